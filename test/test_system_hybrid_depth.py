# Copyright 2026 depth_perception contributors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""Hybrid-depth: its losses and parts by hand, and that each of its pipelines learns."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="PyTorch trains")
pytest.importorskip("efficientnet_lite_pytorch", reason="the image encoder's wheel")

import torch
from tiny_street import LIGHT, STEP, WALL, batch_of, configuration_of, learn
from tiny_training import trained

from depth_perception.errors import ConfigurationError, ModelError
from depth_perception.network import depth_coding
from depth_perception.network.prior import prior_of
from depth_perception.training import self_supervised
from depth_perception.training.recipe import from_dict
from depth_perception.training.systems.hybrid_depth import cost_volume as cv
from depth_perception.training.systems.hybrid_depth import encoder as he
from depth_perception.training.systems.hybrid_depth import system as hybrid_depth
from depth_perception.training.systems.hybrid_depth.networks import (
    HybridDepthOptions,
    Ranking,
    first_tokens,
)
from depth_perception.training.systems.hybrid_depth.system import Training, ranking
from depth_perception.training.view_geometry import resized_intrinsics

TINY = HybridDepthOptions(
    clip="tiny-clip", dino="tiny-dinov2", tokens=8, head_width=16, planes=8, most=2
)


# --- The single-frame pipeline.


def test_disparity_and_depth_at_the_ends_and_between():
    disparity = torch.tensor([0.0, 1.0, 0.5])
    depth = depth_coding.depth_of_disparity(disparity, 0.1, 100.0)
    assert depth.tolist() == pytest.approx([100.0, 0.1, 1 / 5.005], rel=1e-5)
    assert depth_coding.disparity_of_depth(1 / 5.005, 0.1, 100.0) == pytest.approx(0.5)
    last = self_supervised.last_of_disparity(4, 0.2)
    assert torch.sigmoid(last(torch.zeros(1, 4, 3, 3))).mean().item() == pytest.approx(0.2)


def test_the_view_is_best_where_depth_and_motion_are_true(street):
    batch = batch_of(street)
    images, truth = batch["image"].float() / 255, batch["depth"][:, None]
    losses = {}
    for factor in (0.5, 0.9, 1.0, 1.1, 2.0):
        depth = truth * factor
        _, parts = self_supervised.view_loss(images, 1 / depth, depth, batch["K"], batch["T"], 0.0)
        losses[factor] = float(parts["reprojection"])
    assert min(losses, key=lambda k: losses[k]) == 1.0
    assert losses[1.0] < 0.03 and losses[2.0] > 2 * losses[1.0]
    each = self_supervised.reprojection(images, truth, batch["K"], batch["T"])
    assert each.shape == (2,) and each.mean().item() == pytest.approx(losses[1.0], abs=1e-5)


def test_what_is_not_trusted_does_not_count(street):
    batch = batch_of(street)
    images, depth = batch["image"].float() / 255, batch["depth"][:, None] * 2
    view = (images, 1 / depth, depth, batch["K"], batch["T"], 0.0)
    none, _ = self_supervised.view_loss(*view, trust=torch.zeros_like(depth))
    found = []
    for trust in (torch.ones_like(depth), None):
        torch.manual_seed(0)  # ties of the auto-mask are broken by chance
        found.append(self_supervised.view_loss(*view, trust=trust)[0].item())
    assert none.item() == 0.0 < found[0] == pytest.approx(found[1], rel=1e-5)


def test_motions_are_those_of_odometry_or_of_the_pose_network(street):
    batch = batch_of(street)
    images = batch["image"].float()
    given = self_supervised.motions(None, images, batch)
    # 0.4 m on, things ahead are nearer by as much: z of the camera.
    assert given[:, 0, 2, 3].tolist() == pytest.approx([STEP, STEP], abs=1e-5)
    assert given[:, 1, 2, 3].tolist() == pytest.approx([-STEP, -STEP], abs=1e-5)
    with pytest.raises(ConfigurationError, match="no odometry"):
        self_supervised.motions(None, images, {**batch, "posed": torch.tensor([1.0, 0.0])})
    torch.manual_seed(0)
    pose = self_supervised.PoseNetwork(pretrained=False)
    with torch.no_grad():
        found = self_supervised.motions(pose, images, batch)
        to_frame, to_after = pose(images[:, 1], images[:, 0]), pose(images[:, 0], images[:, 2])
    eye = torch.eye(4).expand(2, 4, 4)
    torch.testing.assert_close(found[:, 0] @ to_frame, eye, atol=1e-5, rtol=0)
    torch.testing.assert_close(found[:, 1], to_after, atol=1e-5, rtol=1e-4)
    assert (found[:, :, :3, 3].norm(dim=-1) < 0.1).all()  # it begins with small motions


@pytest.mark.long
def test_depth_of_one_image_learns_from_its_neighbours(street):
    """Known motion, no depth given: the loss falls and depth comes nearer to the truth."""
    configuration = configuration_of(street, replace(LIGHT, posed=True))
    torch.manual_seed(0)
    model, batch = Training().build(configuration), batch_of(street)
    truth = batch["depth"][:, None]

    def off() -> float:
        with torch.no_grad():
            depth = depth_coding.depth_of_disparity(model.eval()(batch).disparity, 0.1, 100.0)
        return float((depth / truth - 1).abs().mean())

    before = off()
    first, last, parts = learn(model, batch, configuration, 40)
    assert last < 0.7 * first
    assert off() < 0.7 * before
    assert set(parts) == {"photometric", "smoothness", "reprojection"}


# --- The cost volume.


def test_intrinsics_of_a_smaller_image():
    K = torch.tensor([[[100.0, 0, 49.5], [0, 80.0, 29.5], [0, 0, 1]]])
    small = resized_intrinsics(K, 4)[0]
    # 100 px become 25: their centre 49.5 becomes 12.
    assert small[0].tolist() == pytest.approx([25.0, 0.0, 12.0])
    assert small[1].tolist() == pytest.approx([0.0, 20.0, 7.0])
    assert small[2].tolist() == [0.0, 0.0, 1.0]


def test_the_plane_that_is_seen_costs_least():
    """A wall at 8 m, a step of 0.96 m to the right: features of 20 px focal move by 2.4 px."""
    K = torch.tensor([[[20.0, 0, 15.5], [0, 20.0, 7.5], [0, 0, 1]]])
    place = torch.arange(32.0)

    def row(shift: float) -> torch.Tensor:
        waves = [torch.sin(0.5 * (place + shift) + k) for k in range(3)]
        return torch.stack(waves)[None, :, None].expand(1, 3, 16, 32)

    T = torch.eye(4)[None].clone()
    T[0, 0, 3] = -0.96
    planes = torch.tensor([2.0, 4.0, 8.0, 16.0])
    cost, seen = cv.cost_volume(row(0.0), row(2.4), K, T, planes)
    assert cost.shape == (1, 4, 16, 32)
    # On the nearest plane a pixel moves by 9.6 px: only those right of that are seen on all planes.
    assert seen[0, 0, 0].tolist() == [0.0] * 10 + [1.0] * 22
    inside = cost[0, :, :, 10:]
    assert inside[2].max() < 0.05 and inside[[0, 1, 3]].mean() > 0.3
    assert (cv.matched_depth(cost, planes)[..., 10:] == 8.0).all()
    # Where a plane is out of sight it costs as much as the worst that is in sight.
    assert torch.equal(cost[0, 0, :, 5], cost[0, 1:, :, 5].max(0).values)


def test_planes_follow_the_teacher():
    depths = cv.DepthRange(0.1, 100.0)
    assert depths.planes(2).tolist() == pytest.approx([0.1, 100.0])
    seen = torch.tensor([[2.0, 10.0], [4.0, 30.0]]).view(2, 1, 1, 2)
    depths.follow(seen)
    # Means of nearest 3 and farthest 20, a tenth more.
    assert depths.ends.tolist() == pytest.approx([2.7, 22.0])
    middle = depths.planes(3)[1].item()
    assert 1 / middle == pytest.approx((1 / 2.7 + 1 / 22) / 2)
    depths.follow(seen * 10)
    assert depths.ends.tolist() == pytest.approx([2.7 * 0.99 + 0.27, 22 * 0.99 + 1.0])


def test_matching_is_trusted_up_to_twice_the_depth_and_else_the_teacher_counts():
    teacher = torch.full((1, 1, 1, 4), 10.0)
    matched = torch.tensor([5.1, 4.9, 19.0, 21.0]).view(1, 1, 1, 4)
    trust = cv.agreement(matched, teacher)
    assert trust.flatten().tolist() == [1.0, 0.0, 1.0, 0.0]
    depth = torch.tensor([1.0, 12.0, 1.0, 6.0]).view(1, 1, 1, 4).requires_grad_()
    near = cv.consistency(depth, teacher, trust)
    assert near.item() == pytest.approx((0.2 + 0.4) / 2)
    near.backward()
    assert (depth.grad != 0).flatten().tolist() == [False, True, False, True]
    assert cv.consistency(depth, teacher, torch.ones_like(trust)).item() == 0.0


def test_some_training_images_stand_still_and_some_are_blind():
    torch.manual_seed(0)
    still, blind = cv.draw_blindness(4000)
    assert not (still & blind).any()
    assert still.float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert blind.float().mean().item() == pytest.approx(0.25, abs=0.03)


def test_the_cost_pyramid_adds_nothing_to_begin_with_and_learns():
    pyramid = cv.CostPyramid(6, (4, 5), width=8)
    features = [torch.randn(1, 4, 8, 8), torch.randn(1, 5, 3, 3)]
    out = pyramid(features, torch.rand(1, 6, 8, 8))
    assert all(torch.equal(a, b) for a, b in zip(out, features, strict=True))
    sum((x**2).sum() for x in out).backward()
    assert all(last.weight.grad.abs().sum() > 0 for last in pyramid.add)


@pytest.mark.long
def test_depth_of_two_images_learns(street):
    """Its teacher sees what a single-frame network sees, and learns first."""
    o = replace(LIGHT, pipeline="multi_frame", posed=True)
    configuration = configuration_of(street, o, rate=3e-4)
    torch.manual_seed(0)
    model, batch = Training().build(configuration), batch_of(street)
    before = Training().loss(model.train(), batch, configuration)[1]
    _, _, parts = learn(model, batch, configuration, 25)
    # Not the sum: it has the more parts the more pixels are trusted. Nor that of two frames, which
    # waits for its teacher: of three seeds two had raised it after so few steps.
    # Of three seeds 0.378, 0.489 and 0.520 is left.
    assert parts["teacher_reprojection"] < 0.7 * before["teacher_reprojection"]
    assert {"consistency", "trusted", "teacher_reprojection"} <= set(parts)
    assert 0 <= float(parts["trusted"]) <= 1
    with torch.no_grad():
        other = {**batch, "image": batch["image"][:, [0, 2, 1]]}
        assert not torch.equal(model.eval()(batch).disparity, model(other).disparity)


# --- Encoders, language, head.


def test_blocks_after_each_quarter():
    assert he.blocks_of(12) == (2, 5, 8, 11)
    assert he.blocks_of(24) == (5, 11, 17, 23)
    assert he.blocks_of(2) == (0, 0, 0, 1)


class _Maps(torch.nn.Module):
    """Stands for a vision transformer: its maps say the block and the place."""

    def __init__(self, width: int, patch: int, scale: float) -> None:
        super().__init__()
        self.width, self.patch, self.blocks, self.scale = width, patch, 12, scale
        self.freed: tuple[int, ...] = ()

    def unfreeze(self, blocks: tuple[int, ...]) -> None:
        self.freed = blocks

    def forward(self, images: torch.Tensor, blocks: tuple[int, ...]) -> list[torch.Tensor]:
        h, w = (edge // self.patch for edge in images.shape[-2:])
        column = torch.arange(w, dtype=torch.float32).expand(len(images), self.width, h, w)
        return [self.scale * (block + column / 100) for block in blocks]


def test_the_hybrid_encoder_brings_clip_to_the_grid_of_dino():
    dino, clip = _Maps(3, 14, 1.0), _Maps(2, 32, -1.0)
    encoder = he.HybridEncoder(dino, clip, clip_channels=2)
    maps = encoder(torch.zeros(1, 3, 64, 128))  # 5 x 9 patches of 14 px; 2 x 4 of 32 px
    assert encoder.channels == (5, 5, 5, 5)
    assert [tuple(m.shape) for m in maps] == [(1, 5, 5, 9)] * 4
    assert [round(m[0, 0, 0, 0].item()) for m in maps] == [2, 5, 8, 11]
    # Nearest neighbours: nine columns of four.
    assert (-100 * maps[0][0, 4, 0] - 200).round().tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3]
    assert clip.freed == tuple(range(12)) and dino.freed == (11,)
    assert he.HybridEncoder(_Maps(3, 14, 1.0), fine=False).dino.freed == ()
    wide = he.HybridEncoder(dino, clip)  # CLIP of another width comes by a convolution
    assert wide.channels == (259,) * 4 and wide(torch.zeros(1, 3, 64, 128))[3].shape[1] == 259


def test_text_vectors_and_alignment_by_hand():
    vectors = torch.tensor([[3.0, 0, 0], [0, 0.5, 0], [0, 0, 1], [0, 2, 0]])
    matrix = he.text_matrix(vectors)
    # Each of length 1, and all of them over the root of four.
    assert matrix.shape == (3, 4) and matrix.norm().item() == pytest.approx(1.0)
    torch.testing.assert_close(matrix.norm(dim=0), torch.full((4,), 0.5))
    logits = he.alignment(torch.tensor([[0.0, 7.0, 0.0], [1.0, 0.0, 1.0]]), matrix)
    assert logits[0].tolist() == pytest.approx([0.0, 50.0, 0.0, 50.0])
    assert logits[1].tolist() == pytest.approx([50 / math.sqrt(2), 0, 50 / math.sqrt(2), 0])


def test_channels_are_resampled_along_a_line():
    ramp = torch.arange(8.0)
    assert torch.equal(he.resampled(ramp, 8), ramp)
    assert he.resampled(ramp, 4).tolist() == pytest.approx([0.5, 2.5, 4.5, 6.5])
    assert he.resampled(torch.zeros(2, 3, 8), 5).shape == (2, 3, 5)


class _Text:
    """Stands for CLIP's text tower: a prompt's vector is the token's, turned about."""

    width = token_width = 4

    def encode_embeddings(self, template: str, tokens: torch.Tensor) -> torch.Tensor:
        assert template.count("{}") == 1
        return torch.nn.functional.normalize(tokens.roll(1, dims=1), dim=1)

    def embed_tokens(self, texts: Any) -> list[torch.Tensor]:
        return [torch.full((2, 4), float(k)) for k, _ in enumerate(texts)]


def test_the_language_branch_learns_tokens_and_keeps_their_vectors():
    torch.manual_seed(0)
    branch = he.LanguageBranch(_Text(), torch.randn(6, 4), 4)
    features = [torch.randn(2, 9, 3, 5)]
    out = branch.train()(features)[0]
    assert out.shape == (2, 9 + 6, 3, 5) and torch.equal(out[:, :9], features[0])
    out[:, 9:].square().sum().backward()
    assert branch.tokens.grad.abs().sum() > 0
    # Without the text encoder the vectors that it last made do as well.
    silent = he.LanguageBranch(None, torch.zeros(6, 4), 4)
    silent.load_state_dict(branch.state_dict())
    torch.testing.assert_close(silent.eval()(features)[0], branch.eval()(features)[0])


def test_tokens_may_begin_between_the_words():
    tokens = first_tokens(replace(TINY, tokens=13, token_words=True), _Text())
    assert tokens.shape == (13, 4)
    assert tokens[:, 0].tolist() == pytest.approx([k / 2 for k in range(13)])
    torch.manual_seed(0)
    assert first_tokens(replace(TINY, tokens=500), _Text()).std().item() == pytest.approx(
        0.02, rel=0.1
    )


def test_the_head_takes_grids_of_any_size():
    head = he.DepthHead((5, 5, 5, 5), width=8, start=0.3)
    out = head([torch.zeros(1, 5, 5, 9)] * 4, (70, 130))
    assert out.shape == (1, 1, 70, 130)
    assert (out > 0).all() and (out < 1).all()


# --- Stage 1.


def test_ranking_is_zero_where_the_order_is_right():
    right = torch.tensor([[[3.0, 2, 1], [2, 3, 2], [1, 2, 3]]])
    assert ranking.ranking_loss(right).item() == 0.0
    assert ranking.rank_figures(right) == {"ranked": 1.0, "ordered": 1.0}
    # Word 2 suits point 0 by 4 and point 1 by 1 better than its own, word 1 point 0 by 2.
    wrong = torch.tensor([[[9.0, 5, 5], [9, 3, 2], [9, 9, 1]]])
    assert ranking.ranking_loss(wrong).item() == pytest.approx(4 + 1 + 2)
    # What lies below the diagonal, and whose own words suit them better, costs nothing.
    both = torch.cat([right, wrong])
    assert ranking.ranking_loss(both).item() == pytest.approx(3.5)
    assert ranking.rank_figures(wrong)["ranked"] == 0.0
    assert ranking.ranking_loss(right[:0]).item() == 0.0


def test_contrast_weighs_pairs_by_their_distance():
    same = torch.ones(1, 3, 4)
    # Weights 1/2, 1/2, 1 of three pairs, each twice, of nine: 4 / 9 where all cosines are 1.
    assert ranking.contrast_loss(same).item() == pytest.approx(4 / 9)
    apart = torch.eye(3)[None]
    assert ranking.contrast_loss(apart).item() == 0.0
    ends = torch.tensor([[[1.0, 0], [0, 1], [-2, 0]]])
    assert ranking.contrast_loss(ends).item() == pytest.approx(-2 / 9)


def test_lanes_run_along_the_road_from_near_to_far(street):
    batch = batch_of(street)
    offsets = torch.tensor([[-1.0, 0.5], [2.0, 90.0]])
    points, found = ranking.lane_points(batch["label"], batch["rays"], batch["camera"], offsets)
    assert found.tolist() == [[True, True], [True, False]]
    prior = prior_of(batch["rays"], batch["camera"])
    depth = prior.height / prior.slope.clamp(min=1e-3)
    for n, k in ((0, 0), (0, 1), (1, 0)):
        x = ((points[n, k, :, 0] + 1) / 2 * 24 - 0.5).round().long()
        y = ((points[n, k, :, 1] + 1) / 2 * 16 - 0.5).round().long()
        z = depth[n, 0, y, x]
        assert (z.diff() > 0).all() and (y.diff() < 0).all()
        assert z.max() < WALL
        aside = batch["rays"][n, 0, y, x] * z
        assert ((aside - offsets[n, k]).abs() <= z * 4 / 50).all()
    unknown = torch.full_like(batch["label"], 255)
    points, found = ranking.lane_points(unknown, batch["rays"], batch["camera"], offsets)
    assert found.tolist() == [[True, True], [False, False]]  # a corridor of 3 m
    _, found = ranking.lane_points(
        batch["label"], batch["rays"], torch.zeros_like(batch["camera"]), offsets
    )
    assert not found.any()


def test_features_are_taken_where_the_points_are():
    left_right = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2)
    points = torch.tensor([[-0.5, -0.5], [0.5, 0.5]]).view(1, 1, 2, 2)
    found = ranking.point_features([left_right, 10 * left_right], points, 2)
    assert found.view(2, 2).tolist() == [[1.0, 10.0], [4.0, 40.0]]


# --- Whole runs, with the architectures of the foundation models at tiny size.


@pytest.mark.long
def test_stage_one_ranks_and_stage_two_begins_with_its_encoder(street, tmp_path):
    pytest.importorskip("transformers", reason="foundation models")
    one = configuration_of(street, replace(TINY, stage="ranking"), steps=20, rate=3e-3)
    one = replace(one, schedule=replace(one.schedule, trunk_rate=3e-3))
    system = Training()
    torch.manual_seed(0)
    start = system.build(one)
    before = {k: v.clone() for k, v in start.state_dict().items()}
    assert all("clip" in k or "align" in k or k == "vectors" for k in before)  # DINO stays
    batch = next(system.batches(one, 0, 0, 1))
    first, last, parts = learn(start, batch, one, 25)
    assert last < 0.8 * first and set(parts) == {"ranking", "contrast", "lanes"}
    after = start.state_dict()
    still = {k for k in before if torch.equal(before[k], after[k])}
    assert "vectors" in still and any("clip" in k for k in before.keys() - still)
    figures = trained(system, one, tmp_path / "one")
    assert set(figures) == {"ranked", "ordered"}

    path = tmp_path / "one/weights.pt"
    loaded, options, facts = hybrid_depth.load(path)
    assert options.stage == "ranking" and facts["step"] == 20
    two = configuration_of(street, replace(TINY, start_encoder=str(path)))
    model: Any = system.build(two)
    mine, theirs = model.depth.encoder.state_dict(), loaded.encoder.state_dict()
    assert theirs and all(torch.equal(mine[k], v) for k, v in theirs.items())
    assert any("dino" in k for k in mine)  # now its last block learns
    learns = {name for name, p in model.named_parameters() if p.requires_grad}
    assert "depth.language.tokens" in learns and not any(".text." in name for name in learns)


@pytest.mark.parametrize("pipeline", ["single", "multi_frame"])
def test_a_run_with_clip_and_dino_comes_back_as_it_was(street, tmp_path, pipeline):
    pytest.importorskip("transformers", reason="foundation models")
    configuration = configuration_of(street, replace(TINY, pipeline=pipeline))
    figures = trained(Training(), configuration, tmp_path)
    assert {"abs_rel_median", "reprojection"} <= set(figures)
    model, options, _ = hybrid_depth.load(tmp_path / "weights.pt")
    assert options == configuration.options
    again = Training().validate(model, configuration, torch.device("cpu"))
    assert again == pytest.approx(figures, rel=1e-5)


def test_two_frames_begin_with_a_run_of_one_whose_teacher_stays(street, tmp_path):
    single = configuration_of(street, LIGHT)
    trained(Training(), single, tmp_path / "one")
    path = str(tmp_path / "one/weights.pt")
    options = replace(LIGHT, pipeline="multi_frame", start_teacher=path)
    configuration = configuration_of(street, options)
    model: Any = Training().build(configuration)
    batch = batch_of(street)
    loaded, _, _ = hybrid_depth.load(path)
    with torch.no_grad():
        views = model.eval()(batch)
        alone = loaded(batch)
    assert torch.equal(views.teacher, alone.disparity) and torch.equal(views.T, alone.T)
    # The cost volume adds nothing yet: the student sees what its teacher sees.
    torch.testing.assert_close(views.disparity, alone.disparity)
    assert not any(p.requires_grad for p in model.single.parameters())
    _, parts = Training().loss(model.train(), batch, configuration)
    assert "teacher_reprojection" not in parts
    with pytest.raises(ModelError, match="another network"):
        Training().build(
            configuration_of(street, replace(TINY, pipeline="multi_frame", start_teacher=path))
        )


def test_a_run_begins_with_what_fits_it_alone(street, tmp_path):
    single = configuration_of(street, LIGHT)
    path = tmp_path / "weights.pt"
    Training().save(Training().build(single), path, {})
    again: Any = Training().build(replace(single, start=str(path)))
    stored = hybrid_depth.load(path)[0].state_dict()
    assert all(torch.equal(value, stored[name]) for name, value in again.state_dict().items())
    with pytest.raises(ModelError, match=r"options\.farthest is 100\.0"):
        other = replace(single, start=str(path), options=replace(LIGHT, farthest=50.0))
        Training().build(other)
    multi = replace(LIGHT, pipeline="multi_frame", start_teacher=str(path))
    with pytest.raises(ModelError, match=r"has depth from 0\.1 to 100\.0"):
        Training().build(configuration_of(street, replace(multi, nearest=1.0)))
    with pytest.raises(ConfigurationError, match=r"start_teacher and options\.start_encoder"):
        replace(multi, start_encoder=str(path))
    # Of the first frame of a drive nothing matches: as in training, a cost volume of zeros.
    model: Any = Training().build(configuration_of(street, multi)).eval()
    image = batch_of(street)["image"][:, 0].float()
    with torch.no_grad():
        for p in model.depth.cost.parameters():
            p.add_(0.05 * torch.randn_like(p))
        blind = torch.zeros(len(image), LIGHT.planes, image.shape[2] // 4, image.shape[3] // 4)
        assert torch.equal(model.depth(image), model.depth(image, blind))


def test_depth_of_an_image_with_and_without_the_frame_before(street):
    batch = batch_of(street)
    image, before = batch["image"][:, 0], batch["image"][:, 1]
    single = Training().build(configuration_of(street, replace(LIGHT, posed=True))).eval()
    with torch.no_grad():
        wanted = depth_coding.depth_of_disparity(single(batch).disparity, 0.1, 100.0)
    torch.testing.assert_close(hybrid_depth.predict(single, image), wanted)
    for posed in (True, False):
        options = replace(LIGHT, pipeline="multi_frame", posed=posed)
        model: Any = Training().build(configuration_of(street, options)).eval()
        with torch.no_grad():
            for p in model.depth.cost.parameters():
                p.add_(0.05 * torch.randn_like(p))
            wanted = depth_coding.depth_of_disparity(model(batch).disparity, 0.1, 100.0)
        T = batch["T"][:, 0] if posed else None
        both = hybrid_depth.predict(model, image, before, batch["K"], T)
        torch.testing.assert_close(both, wanted)
        assert not torch.allclose(hybrid_depth.predict(model, image), wanted)
        with pytest.raises(ValueError, match="K is needed"):
            hybrid_depth.predict(model, image, before)
    with pytest.raises(ModelError, match="stage 1 has no depth"):
        hybrid_depth.predict(Ranking(replace(LIGHT, stage="ranking"), width=8), image)


def test_frames_without_neighbours_are_scored_one_by_one(street, tmp_path):
    """Of a source whose drives have one frame each."""
    folder = tmp_path / "single"
    folder.mkdir()
    manifest = json.loads((Path(street) / "manifest.json").read_text())
    manifest["arguments"]["sets_per_drive"] = 1
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "0.tar").write_bytes((Path(street) / "0.tar").read_bytes())
    configuration = configuration_of(street, LIGHT)
    configuration = replace(configuration, data=replace(configuration.data, tests=(str(folder),)))
    model = Training().build(configuration).eval()
    figures = Training().validate(model, configuration, torch.device("cpu"))
    assert figures["single.abs_rel_median"] > 0
    assert "reprojection" in figures and "single.reprojection" not in figures
    alone = replace(configuration, data=replace(configuration.data, folders=(str(folder),)))
    with pytest.raises(ConfigurationError, match="no three frames in a row"):
        next(Training().batches(alone, 0, 0, 1))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"stage": "depht"}, "options.stage 'depht'"),
        ({"encoder": "clip"}, "encoder 'clip'"),
        ({"pipeline": "many"}, "options.pipeline"),
        ({"tokens": 0}, "options.tokens 0"),
        ({"nearest": 5.0, "farthest": 2.0}, "options.nearest 5.0"),
        ({"start_teacher": "weights.pt"}, "start_teacher"),
        ({"token": 3}, "options.token "),
        ({"planes": 1}, "options.planes"),
        ({"embodied": -0.1}, "options.embodied -0.1"),
    ],
)
def test_wrong_options_are_named(options, named):
    with pytest.raises(ConfigurationError, match=named):
        from_dict({"system": "hybrid_depth", "options": options})


def test_a_checkpoint_that_is_none_is_named(street, tmp_path):
    path = tmp_path / "weights.pt"
    with pytest.raises(ModelError, match="does not exist"):
        hybrid_depth.load(path)
    path.write_bytes(b"no checkpoint")
    with pytest.raises(ModelError, match="cannot be read"):
        hybrid_depth.load(path)
    torch.save({"format": "another"}, path)
    with pytest.raises(ModelError, match="no checkpoint of hybrid_depth"):
        Training().build(configuration_of(street, replace(LIGHT, start_encoder=str(path))))
