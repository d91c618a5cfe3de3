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

"""Surround distillation: losses by hand, teachers, the mirrored rig, and a run that is exported."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch trains")
pytest.importorskip("efficientnet_lite_pytorch", reason="the image encoder's wheel")

import torch
from tiny_training import trained

from depth_perception.cli.main import main
from depth_perception.datasets import labels
from depth_perception.datasets.augmentation import Augmentation, mirrored
from depth_perception.datasets.sample import TrueCamera, TrueFrameSet
from depth_perception.datasets.shards import TAR_END, encode_set
from depth_perception.errors import ConfigurationError, ModelError
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane, plane_depth
from depth_perception.network.checkpoint import load_checkpoint, save_checkpoint
from depth_perception.network.configuration import NetworkConfiguration
from depth_perception.network.fused import CLASSES, FusedSurround
from depth_perception.training import losses, targets
from depth_perception.training.configuration import (
    DataConfiguration,
    ScheduleConfiguration,
    TrainingConfiguration,
)
from depth_perception.training.recipe import from_dict
from depth_perception.training.systems.fused.system import fused_loss
from depth_perception.training.systems.surround_distillation import losses as distillation
from depth_perception.training.systems.surround_distillation import teachers as surround_teachers
from depth_perception.training.systems.surround_distillation.overlap import (
    disagreement,
    overlap_error,
    seen_by_both,
)
from depth_perception.training.systems.surround_distillation.samples import (
    RigSamples,
    from_left_to_right,
)
from depth_perception.training.systems.surround_distillation.system import (
    Student,
    SurroundDistillationOptions,
    Training,
    distillation_terms,
    load,
    teacher_relations,
)
from depth_perception.world.output.rigs import mounting

NETWORK = NetworkConfiguration(widths=(8, 8, 16, 16), bins=8)
KL_BY_HAND = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
"""Of (3/4, 1/4) and (1/2, 1/2)."""


def _row(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(1, 1, 1, -1)


def _bins(*pixels: tuple[float, ...]) -> torch.Tensor:
    """Probabilities (1, K, 1, pixels)."""
    return torch.tensor(pixels).T[None, :, None]


def test_reference_centres_by_hand():
    # Two bins from 1 m to e^2 m; a lens twice as long sees the same picture twice as far away.
    focal = torch.tensor([500.0, 1000.0])
    centres = distillation.reference_centres(focal, 2, 1.0, math.e**2, 500.0)
    expected = torch.tensor([[0.5, 1.5], [0.5 + math.log(2), 1.5 + math.log(2)]])
    torch.testing.assert_close(centres, expected)


def test_probabilities_around_a_depth_by_hand():
    p = distillation.probabilities_at(_row(0.25), torch.tensor([[0.0, 1.0]]), 0.5)
    # Exponents are -0.5 (0.5)^2 and -0.5 (1.5)^2: they differ by 1.
    expected = 1 / (1 + math.exp(-1.0))
    assert p.flatten().tolist() == pytest.approx([expected, 1 - expected])
    centres = torch.linspace(0, 5, 32)[None]
    p = distillation.probabilities_at(_row(2.2), centres, 0.2)
    assert distillation.cross_depth(p, centres).item() == pytest.approx(2.2, abs=1e-3)


def test_bins_by_order():
    like = torch.zeros(())
    assert torch.equal(distillation.slots(3, 3, like).round(decimals=6), torch.eye(3))
    p, centres = _bins((0.1, 0.2, 0.3, 0.4)), torch.tensor([[0.0, 1.0, 2.0, 3.0]])
    merged, middle = distillation.by_order(p, centres, 2)
    assert merged.flatten().tolist() == pytest.approx([0.3, 0.7])
    assert middle[0].tolist() == pytest.approx([0.5, 2.5])
    split, _ = distillation.by_order(_bins((0.4, 0.6)), torch.tensor([[0.0, 1.0]]), 3)
    assert split.flatten().tolist() == pytest.approx([0.4 * 2 / 3, 1 / 3, 0.6 * 2 / 3])


def test_bins_by_depth_keep_the_expected_depth():
    generator = torch.Generator().manual_seed(2)
    p = torch.softmax(torch.randn(2, 5, 3, 4, generator=generator), 1)
    centres = torch.tensor([[0.5, 1.0, 1.4, 2.0, 2.9]]).repeat(2, 1)
    wanted = torch.tensor([[0.0, 0.9, 1.1, 3.0], [0.4, 0.5, 2.5, 3.5]])
    moved = distillation.by_depth(p, centres, wanted)
    torch.testing.assert_close(moved.sum(1), torch.ones(2, 3, 4))
    before, after = (distillation.cross_depth(*x) for x in ((p, centres), (moved, wanted)))
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(distillation.by_depth(p, centres, centres), p, rtol=0, atol=1e-5)
    # What lies beyond the outermost centres goes to them.
    near = distillation.by_depth(_bins((1.0,)), torch.tensor([[-3.0]]), torch.tensor([[0.0, 1.0]]))
    assert near.flatten().tolist() == pytest.approx([1.0, 0.0])


def test_divergence_of_two_bins_by_hand():
    p, q = _bins((0.75, 0.25)), _bins((0.5, 0.5))
    once = distillation.bin_divergence(p, q, _row(1.0), temperature=1.0)
    assert once.item() == pytest.approx(KL_BY_HAND, abs=1e-6)
    # At temperature 2 the odds of 3 become their root.
    a = math.sqrt(3) / (math.sqrt(3) + 1)
    soft = 4 * (a * math.log(2 * a) + (1 - a) * math.log(2 * (1 - a)))
    assert distillation.bin_divergence(p, q, _row(1.0)).item() == pytest.approx(soft, abs=1e-6)
    assert distillation.bin_divergence(p, p, _row(1.0)).item() == pytest.approx(0.0, abs=1e-7)
    two, other = _bins((0.75, 0.25), (0.9, 0.1)), _bins((0.5, 0.5), (0.1, 0.9))
    masked = distillation.bin_divergence(two, other, _row(1.0, 0.0), temperature=1.0)
    assert masked.item() == pytest.approx(KL_BY_HAND, abs=1e-6)
    assert distillation.bin_divergence(two, other, _row(0.0, 0.0)).item() == 0.0


def test_teachers_probabilities_at_the_students_centres_must_be_metric():
    p, truth = _bins((0.75, 0.25, 0.0), (0.0, 0.5, 0.5)), _row(0.25, 1.5)
    centres = torch.tensor([[0.0, 1.0, 2.0]])
    right = distillation.cross_depth(p, centres)
    assert torch.equal(right, truth)
    none = losses.scale_invariant_error(right, right, torch.ones_like(truth)).item()
    mask = torch.ones_like(truth)
    assert losses.scale_invariant_error(right, truth, mask).item() == none < 2e-3
    wrong = distillation.cross_depth(p, centres + 0.4)
    expected = math.sqrt(0.15 * 0.16)
    assert losses.scale_invariant_error(wrong, truth, mask).item() == pytest.approx(
        expected, abs=1e-3
    )


def test_mirror_term_by_hand_and_whatever_scale_and_shift_the_teacher_has():
    student, teacher, mask = _row(0.0, 1.0, 2.0), _row(0.0, 2.0, 1.0), _row(1.0, 1.0, 1.0)
    # Median 1, mean distance 2/3: (-1.5, 0, 1.5) against (-1.5, 1.5, 0).
    found = distillation.affine_invariant_error(student, teacher, mask, 1)
    assert found.item() == pytest.approx(1.0)
    again = distillation.affine_invariant_error(student, 7 * teacher - 3, mask, 1)
    assert again.item() == pytest.approx(1.0, rel=1e-5)
    same = distillation.affine_invariant_error(student, 0.2 * student + 9, mask, 1)
    assert same.item() == pytest.approx(0.0, abs=1e-5)
    # A rig has one scale: with its own for each camera it would not be seen that one is wrong.
    two = student.repeat(2, 1, 1, 1)
    scaled = two * torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)
    ones = torch.ones_like(two)
    assert distillation.affine_invariant_error(two, scaled, ones, 2).item() > 0.1
    assert distillation.affine_invariant_error(two, scaled, ones, 1).item() < 1e-5
    hidden = distillation.affine_invariant_error(student, teacher, mask * 0, 1)
    assert hidden.item() == 0.0


def test_fit_is_robust():
    x = torch.linspace(-1, 2, 50)[None].repeat(2, 1)
    y = torch.stack([2 * x[0] + 1, -0.5 * x[1]])
    y[:, ::6] += 4.0
    scale, shift = distillation.robust_fit(x, y, torch.ones_like(x), rounds=30)
    assert scale.tolist() == pytest.approx([2.0, -0.5], abs=0.05)
    assert shift.tolist() == pytest.approx([1.0, 0.0], abs=0.05)
    scale, shift = distillation.robust_fit(torch.zeros(1, 4), torch.ones(1, 4), torch.ones(1, 4))
    assert (scale.item(), shift.item()) == pytest.approx((1.0, 1.0))


def test_relative_depth_becomes_metric_with_one_scale_for_a_rig():
    generator = torch.Generator().manual_seed(3)
    log_depth = 1 + 3 * torch.rand(6, 1, 5, 7, generator=generator)
    inverse = 7 * torch.exp(-0.6 * log_depth)
    inverse[3:] = 0.01 * torch.exp(-1.8 * log_depth[3:])  # another rig, of another scale
    seen = (torch.rand(log_depth.shape, generator=generator) < 0.3).float()
    given = torch.ones_like(seen)
    found = surround_teachers.metric_log_depth(inverse, given, log_depth, seen, 3)
    torch.testing.assert_close(found, log_depth, rtol=1e-3, atol=1e-3)
    # A camera without truth is made metric by the others of its rig.
    seen[1] = 0
    inverse[2], given[2] = torch.nan, 0
    found = surround_teachers.metric_log_depth(inverse, given, log_depth, seen, 3)
    torch.testing.assert_close(found[1], log_depth[1], rtol=1e-3, atol=1e-3)


def test_tokens_are_means_of_what_is_known():
    features = torch.tensor([[1.0, 3.0, 5.0, 9.0]]).view(1, 1, 1, 4)
    mask = _row(1.0, 1.0, 0.0, 1.0)
    values, speaks = distillation.tokens(features, mask, 1, (1, 2))
    assert values.flatten().tolist() == pytest.approx([2.0, 9.0])
    assert speaks.flatten().tolist() == [1.0, 1.0]
    _, speaks = distillation.tokens(features, _row(1.0, 1.0, 0.0, 0.0), 1, (1, 2))
    assert speaks.flatten().tolist() == [1.0, 0.0]


def test_similarity_ignores_a_common_rotation_and_what_all_tokens_share():
    generator = torch.Generator().manual_seed(4)
    values = torch.randn(2, 3, 6, 5, generator=generator)
    weight = torch.ones(2, 3, 6)
    turn, _ = torch.linalg.qr(torch.randn(5, 5, generator=generator))
    one = distillation.similarity(values, weight)
    assert one.shape == (2, 3, 3, 6, 6)
    torch.testing.assert_close(one[:, 0, 0].diagonal(dim1=1, dim2=2), torch.ones(2, 6))
    torch.testing.assert_close(one, one.permute(0, 2, 1, 4, 3))
    two = distillation.similarity(3 * values @ turn + 2, weight)
    torch.testing.assert_close(two, one, rtol=0, atol=1e-4)
    side = distillation.sides(_poses(45, 0, -45).repeat(2, 1, 1, 1))
    error = distillation.relation_error(one, two, weight, side, (2, 3))
    assert error.item() == pytest.approx(0.0, abs=1e-5)
    other = distillation.similarity(torch.randn(2, 3, 6, 5, generator=generator), weight)
    assert distillation.relation_error(one, other, weight, side, (2, 3)).item() > 0.5


def test_affinity_by_hand():
    points = torch.tensor([[[[2.0, 0, 0]], [[2.0, 0.5, 0]]]])  # (1, 2 cameras, 1 token, 3)
    size = torch.full((1, 2, 1), 2.0)
    found = distillation.affinity(points, size)
    assert found[0, 0, 0].item() == 1.0
    assert found[0, 0, 1].item() == pytest.approx(math.exp(-1))  # 0.5 m of 0.25 * 2 m
    torch.testing.assert_close(distillation.affinity(3 * points, 3 * size), found)


def test_relation_error_by_hand():
    """Two cameras, two tokens: one direction is known, the other is right already."""
    teacher, student = torch.zeros(2, 1, 2, 2, 2, 2).unbind(0)
    teacher[0, 0, 1, :, 0] = 0.1 * math.log(3)  # each token: 3/4 and 1/4
    speaks, side = torch.ones(1, 2, 2), torch.tensor([[[0.0, 1.0], [-1.0, 0.0]]])
    error = distillation.relation_error(teacher, student, speaks, side, (1, 2))
    assert error.item() == pytest.approx(KL_BY_HAND / 2, abs=1e-6)
    alone = distillation.relation_error(teacher, student, speaks, side.clamp(min=0), (1, 2))
    assert alone.item() == pytest.approx(KL_BY_HAND, abs=1e-6)
    # Only the right of two columns is wrong. A quarter of the width is half of it: 1.5 to 1.
    teacher[0, 0, 1, 0] = 0
    error = distillation.relation_error(teacher, student, speaks, side.clamp(min=0), (1, 2))
    assert error.item() == pytest.approx(KL_BY_HAND * 1.5 / 2.5, abs=1e-6)
    speaks[0, 0, 1] = 0  # which says nothing now
    error = distillation.relation_error(teacher, student, speaks, side.clamp(min=0), (1, 2))
    assert error.item() == 0.0
    nobody = distillation.relation_error(teacher, student, torch.zeros(1, 2, 2), side, (1, 2))
    assert nobody.item() == 0.0


def test_columns_beside_the_neighbour_count_twice():
    like = torch.zeros(())
    right = distillation.column_weights(10, 1, like)
    assert right.tolist() == pytest.approx([1.0] * 7 + [1.5, 2.0, 2.0], abs=1e-5)
    left = distillation.column_weights(10, -1, like)
    torch.testing.assert_close(left, right.flip(0))


def _poses(*yaws: float) -> torch.Tensor:
    poses = [mounting(1.0, 0.0, 1.5, yaw, 2.0, 0.0) for yaw in yaws]
    return torch.from_numpy(np.stack(poses)).float()[None]


def test_neighbours_stand_side_by_side():
    # From left to right; yaw is to the left.
    assert distillation.sides(_poses(45, 0, -45))[0].tolist() == [[0, 1, 0], [-1, 0, 1], [0, -1, 0]]
    ring = distillation.sides(_poses(180, 90, 0, -90))[0]
    assert ring[3, 0] == 1 and ring[0, 3] == -1 and ring[0, 2] == 0
    torch.testing.assert_close(ring, -ring.T)
    assert not distillation.sides(_poses(60, -60)).any()
    assert distillation.sides(_poses(0.5, 0))[0].tolist() == [[0, 1], [-1, 0]]
    assert distillation.sides(_poses(0, 0.5))[0].tolist() == [[0, 1], [-1, 0]]  # a stereo pair
    assert not distillation.sides(_poses(0.0)).any()


def test_chamfer_by_hand():
    centres, depth = torch.tensor([[0.0, 2.0]]), _row(0.0, 0.5, 9.0)
    # To depth: 0 and 1.5^2; to a centre: 0 and 0.5^2; the third is not known.
    found = distillation.bin_chamfer(centres, depth, _row(1.0, 1.0, 0.0))
    assert found.item() == pytest.approx(2.25 / 2 + 0.25 / 2)
    both = distillation.bin_chamfer(
        centres.repeat(2, 1),
        depth.repeat(2, 1, 1, 1),
        torch.cat([_row(1.0, 1.0, 0.0), _row(0.0, 0.0, 0.0)]),
    )
    assert both.item() == pytest.approx(2.25 / 2 + 0.25 / 2)


# A flat world and a rig of three cameras, whose images overlap in part.
MODEL = CameraModel(128, 96, np.array([[64.0, 0, 63.5], [0, 64.0, 47.5], [0, 0, 1]]))


def _camera(name: str, yaw: float, seed: int, y: float = 0.0) -> TrueCamera:
    pose = mounting(0.0, y, 1.5, yaw, 4.0, 0.0)
    depth = plane_depth(MODEL.rays(), pose, GroundPlane()).astype(np.float32)
    road = depth < 150
    depth[~road] = np.inf
    rng = np.random.default_rng(seed)
    image = np.where(road[..., None], 90, 210) + rng.integers(-20, 20, (*road.shape, 3))
    label = np.where(road, labels.ROAD, labels.SKY).astype(np.uint8)
    label[-4:] = labels.OWN_BODY
    return TrueCamera(name, MODEL, pose, pose, image.astype(np.uint8), depth, label)


def _rig(number: int) -> TrueFrameSet:
    cameras = tuple(
        _camera(name, yaw, 10 * number + k, y)
        for k, (name, yaw, y) in enumerate(
            (("front", 3.0, 0.1), ("left", 47.0, 0.5), ("right", -60.0, -0.4))
        )
    )
    return TrueFrameSet(f"{number:08d}", cameras, GroundPlane(), {"rig": "three"})


def _stored(folder: Path, sets: list[TrueFrameSet]) -> Path:
    data = b"".join(encode_set(item) for item in sets) + TAR_END
    (folder / "0.tar").write_bytes(data)
    manifest = {
        "format": "depth_perception world shards",
        "version": 1,
        "arguments": {},
        "shards": [{"name": "0.tar", "sets": len(sets), "bytes": len(data)}],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def rigs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four frame sets of three cameras; the right one looks farther back than the left one."""
    return _stored(tmp_path_factory.mktemp("rigs"), [_rig(k) for k in range(4)])


def _data(folder: Path) -> DataConfiguration:
    return DataConfiguration(
        folders=(str(folder),), validation=str(folder), sizes=((96, 64),), workers=0
    )


def _configuration(folder: Path, **options: object) -> TrainingConfiguration:
    return TrainingConfiguration(
        system="surround_distillation",
        network=NETWORK,
        data=_data(folder),
        schedule=ScheduleConfiguration(steps=24, batch=1, warm_up=4, average=0.5),
        options=SurroundDistillationOptions(**options),  # type: ignore[arg-type]
    )


def _batch(folder: Path, count: int = 2) -> dict[str, torch.Tensor]:
    samples = RigSamples(_data(folder), 3, change=False)
    items = [samples[(k, 0, 0)] for k in range(count)]
    return {name: torch.stack([x[name] for x in items]) for name in items[0]}


def _flat(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.flatten(0, 1) for name, value in batch.items()}


@pytest.fixture(scope="module")
def student() -> FusedSurround:
    torch.manual_seed(1)
    return FusedSurround(NETWORK).eval()


def _seen(network: FusedSurround, flat: dict[str, torch.Tensor]):  # type: ignore[no-untyped-def]
    return network(flat["image"], flat["rays"], flat["camera"])


@pytest.mark.parametrize("slots", ["teacher", "student"])
def test_nothing_is_to_be_learnt_from_oneself(rigs, student, tmp_path, slots):
    """Divergence and relations are right already where the student is its own teacher."""
    save_checkpoint(tmp_path / "self.pt", student, {})
    teacher = surround_teachers.find(str(tmp_path / "self.pt"), NETWORK, slots, 1.0)
    flat = _flat(_batch(rigs))
    # It sees the right calibration, whatever the student is told.
    torch.testing.assert_close(surround_teachers.true_camera(flat), flat["camera"])
    with torch.no_grad():
        out = _seen(student, flat)
        said = teacher({**flat, "camera": flat["camera"] * torch.tensor([0, 0, 0, 0, 1.0])}, 3, out)
    assert said.known.mean() > 0.1
    torch.testing.assert_close(said.log_depth, out.log_depth, rtol=1e-4, atol=1e-4)
    error = distillation.bin_divergence(said.probabilities, out.probabilities, said.known)
    assert error.item() == pytest.approx(0.0, abs=1e-4)
    terms = distillation_terms(
        out, said, flat, 3, SurroundDistillationOptions(mirror=1.0, slots=slots)
    )
    assert terms["vrkd"].item() == pytest.approx(0.0, abs=1e-4)
    bins_alone = distillation_terms(
        out, replace(said, log_depth=out.log_bins), flat, 3, SurroundDistillationOptions(mirror=1.0)
    )
    assert bins_alone["mirror"].item() == pytest.approx(0.0, abs=1e-3)


def test_a_teacher_with_more_bins_teaches_fewer(rigs, student, tmp_path):
    torch.manual_seed(2)
    save_checkpoint(tmp_path / "big.pt", FusedSurround(replace(NETWORK, bins=20)), {})
    flat = _flat(_batch(rigs))
    with torch.no_grad():
        out = _seen(student, flat)
    depths = []
    for slots in ("teacher", "student"):
        teacher = surround_teachers.find(str(tmp_path / "big.pt"), NETWORK, slots, 1.0)
        said = teacher(flat, 3, out)
        assert said.probabilities.shape == out.probabilities.shape
        assert said.centres.shape == (6, NETWORK.bins)
        assert said.features is not None and said.features.shape[0] == 6
        depths.append(distillation.cross_depth(said.probabilities, said.centres))
        loss = distillation_terms(out, said, flat, 3, SurroundDistillationOptions(slots=slots))
        assert all(torch.isfinite(value) for value in loss.values())
    # Both ways its expected depth stays about what it was.
    assert (depths[0] - depths[1]).abs().mean() < 0.3


def test_sky_and_own_body_are_never_taught(rigs, student):
    """No gradient reaches probabilities there, and the teacher's tokens of sky say nothing."""
    flat = _flat(_batch(rigs))
    with torch.no_grad():
        out = _seen(student, flat)
    oracle = surround_teachers.Oracle(NETWORK, "teacher", 1.0)
    said = oracle(flat, 3, out)
    small = flat["depth"][:, None, 2::4, 2::4]
    assert torch.equal(said.known > 0, (small > 0.3) & (small < 200))
    assert said.known.any() and not said.known.all()
    p = out.probabilities.clone().requires_grad_()
    features = out.features.clone().requires_grad_()
    terms = distillation_terms(
        replace(out, probabilities=p, features=features),
        said,
        flat,
        3,
        SurroundDistillationOptions(mirror=1.0),
    )
    sum(terms.values()).backward()  # type: ignore[union-attr]
    for grad in (p.grad, features.grad):
        assert grad is not None
        size = grad.abs().sum(1, keepdim=True)
        assert size[said.known > 0].sum() > 0
        assert size[said.known == 0].sum() == 0
    _, speaks = distillation.tokens(out.features, said.known, 3)
    assert not speaks.view(2, 3, 6, 10)[:, :, 0].any()  # the uppermost row is sky
    # What sky depth may be in truth, a label alone keeps it out.
    near = {**flat, "depth": torch.full_like(flat["depth"], 9.0)}
    assert torch.equal(
        surround_teachers.small_truth(near)[1] > 0,
        flat["label"][:, None, 2::4, 2::4] != CLASSES.index("sky"),
    )


def test_other_teachers_fill_what_a_lidar_leaves_open():
    depth = torch.full((2, 8, 8), torch.nan)
    depth[0, 2, 2] = 9.0  # four pixels at stride 4: one hit of four is dense
    label = torch.full((2, 8, 8), 255, dtype=torch.uint8)
    said = torch.full((2, 1, 2, 2), math.log(20.0))
    said[1, 0, 1, 1] = math.log(500.0)
    batch = {"depth": depth, "label": label}
    found = surround_teachers.may_speak(said, batch)
    assert found[0, 0].tolist() == [[1, 0], [0, 0]]
    assert found[1, 0].tolist() == [[1, 1], [1, 0]]
    own = torch.zeros_like(label)
    own[1, :4, :4] = 1  # an ego mask of a drive whose classes nobody knows
    found = surround_teachers.may_speak(said, {**batch, "own": own})
    assert found[1, 0].tolist() == [[0, 1], [1, 0]]


class _RelativeModel:
    """As a foundation model: inverse depth to a power, of no scale, from the red channel."""

    patch, side = 8, 64

    def features(self, images: torch.Tensor) -> list[torch.Tensor]:
        assert not any(n % self.patch for n in images.shape[-2:])
        return [images]

    def decode(self, features: list[torch.Tensor], size: tuple[int, int]) -> torch.Tensor:
        assert size == features[0].shape[-2:]
        return 3 * (features[0][:, :1] / 255) ** 0.7


def test_of_a_lidars_points_the_nearest_in_a_block_counts():
    """Two images of 8x8: few points, not at the blocks' middles; and surfaces everywhere."""
    depth = torch.full((2, 8, 8), torch.nan)
    depth[0, 0, 3], depth[0, 3, 1], depth[0, 7, 7] = 20.0, 12.0, 0.1
    depth[1] = 30.0
    depth[1, 0, 0] = 5.0
    batch = {"depth": depth, "label": torch.full((2, 8, 8), 255, dtype=torch.uint8)}
    log_depth, known = surround_teachers.small_truth(batch)
    assert known[0, 0].tolist() == [[1, 0], [0, 0]]
    assert torch.exp(log_depth[0, 0, 0, 0]).item() == pytest.approx(12.0)
    assert torch.exp(log_depth[1]).flatten().tolist() == pytest.approx([30.0] * 4)


def test_what_a_teacher_puts_infinitely_far_spoils_no_relation(rigs):
    """With 16 bits, as on a GPU: places of the sky are no numbers there."""
    flat = _flat(_batch(rigs, 1))
    truth, known = surround_teachers.small_truth(flat)
    assert (known == 0).any()
    sky = torch.where(known > 0, truth, torch.full_like(truth, 13.0))
    said = surround_teachers.TeacherOutput(torch.zeros(0), torch.zeros(0), sky, known, None)
    with torch.autocast("cpu", dtype=torch.float16):
        found = teacher_relations(said, flat, 3, "place")
    assert torch.isfinite(found).all()
    # Relative depth itself ends at a kilometre.
    inverse = torch.where(known > 0, torch.exp(-truth), torch.zeros_like(truth))
    fitted = surround_teachers.metric_log_depth(inverse, torch.ones_like(known), truth, known, 3)
    assert fitted.max() <= 7.0


def test_whatever_the_teacher_the_student_begins_alike(rigs, student, tmp_path):
    save_checkpoint(tmp_path / "teacher.pt", student, {})
    starts = []
    kinds: tuple[dict[str, object], ...] = (
        {},
        {"teacher": str(tmp_path / "teacher.pt")},
        {"ckd": 0.0, "vrkd": 0.0, "chamfer": 0.0},
    )
    for options in kinds:
        torch.manual_seed(5)
        model = Training().build(_configuration(rigs, **options))
        assert isinstance(model, Student)
        starts.append(model.network.state_dict())
    for other in starts[1:]:
        assert all(torch.equal(value, other[name]) for name, value in starts[0].items())


def test_a_relative_teacher_says_what_truth_would(rigs, student):
    flat = _flat(_batch(rigs))
    inverse = torch.nan_to_num(2 / flat["depth"], 0.5, posinf=0.0).clamp(max=1.0)
    flat["image"] = (inverse[:, None] * 255).repeat(1, 3, 1, 1)
    with torch.no_grad():
        out = _seen(student, flat)
    teacher = surround_teachers.Relative(_RelativeModel(), NETWORK, "teacher", 1.0)
    said = teacher(flat, 3, out)
    truth, known = surround_teachers.small_truth(flat)
    near = (known > 0) & (truth < math.log(25.0))
    assert near.float().mean() > 0.1
    assert (said.log_depth - truth)[near].abs().median() < 0.03
    assert not (said.known.bool() & (flat["label"][:, None, 2::4, 2::4] == 5)).any()
    assert said.features is not None and said.features.shape[:2] == (6, 3)
    blind = {**flat, "depth": torch.full_like(flat["depth"], torch.nan)}
    assert not teacher(blind, 3, out).known.any()
    # The same, had it been computed before; nothing is taught where there is no target.
    once = surround_teachers.find("targets", NETWORK, "teacher", 1.0)
    stored = 3 * inverse**0.7
    stored[:, :, :48] = torch.nan
    again = once({**flat, "teacher": stored}, 3, out)
    assert again.features is None and not again.known[..., :12].any()
    both = near & (again.known > 0)
    assert (again.log_depth - truth)[both].abs().median() < 0.03
    with pytest.raises(ConfigurationError, match="samples have none"):
        once(flat, 3, out)


def test_targets_that_were_computed_once_teach(rigs, tmp_path):
    def make(images: torch.Tensor) -> dict[str, np.ndarray]:
        return {"teacher": 1 + images[:, 0, ::2, ::2].float().numpy()}

    folder = targets.compute(tmp_path, str(rigs), "depth", make, model="red", say=lambda _: None)
    data = replace(_data(rigs), folders=(f"targets:{folder}",))
    configuration = replace(_configuration(rigs, teacher="targets"), data=data)
    system = Training()
    model = system.build(configuration)
    batch = next(system.batches(configuration, 0, 0, 1))
    assert batch["teacher"].shape == batch["depth"].shape == (1, 3, 64, 96)
    _, parts = system.loss(model, batch, configuration)
    assert parts["ckd"] > 0 and parts["vrkd"] > 0


def test_foundation_architecture_teaches(rigs, student):
    pytest.importorskip("transformers", reason="foundation models come from it")
    pytest.importorskip("depth_perception.training.foundation")
    teacher = surround_teachers.find("tiny-depth-anything", NETWORK, "student", 1.0)
    flat = _flat(_batch(rigs, 1))
    with torch.no_grad():
        out = _seen(student, flat)
    terms = distillation_terms(
        out, teacher(flat, 3, out), flat, 3, SurroundDistillationOptions(mirror=1.0)
    )
    assert set(terms) == {"ckd", "vrkd", "mirror", "chamfer"}
    assert all(torch.isfinite(value) for value in terms.values())


def test_a_mirrored_rig_has_its_cameras_in_the_other_order(rigs, tmp_path):
    """Left becomes right: images, order, neighbours, and how the oracle relates tokens."""
    plain = Augmentation(None, 0.0, (1.0, 1.0), 0, 0, 0, 0, 0)
    flipped = replace(plain, flip=1.0)
    views = [
        from_left_to_right(change(_rig(0), np.random.default_rng(0)).cameras)
        for change in (plain, flipped)
    ]
    assert [camera.name for camera in views[0]] == ["left", "front", "right"]
    assert [camera.name for camera in views[1]] == ["left", "front", "right"]
    for one, other in zip(views[0], reversed(views[1]), strict=True):
        assert np.array_equal(one.image, other.image[:, ::-1])
        assert one.T_base_camera[1, 3] == pytest.approx(-other.T_base_camera[1, 3])
    (tmp_path / "mirrored").mkdir()
    folder = _stored(tmp_path / "mirrored", [mirrored(_rig(k)) for k in range(2)])
    relations, sides = [], []
    for batch in (_batch(rigs), _batch(folder)):
        flat = _flat(batch)
        out = SimpleNamespace(centres=torch.zeros(6, NETWORK.bins))
        said = surround_teachers.Oracle(NETWORK, "teacher", 1.0)(flat, 3, out)  # type: ignore[arg-type]
        relations.append(teacher_relations(said, flat, 3, "place").view(2, 3, 3, 6, 10, 6, 10))
        sides.append(distillation.sides(batch["pose"]))
    assert torch.equal(sides[0], sides[1])
    # Maps at stride 4 take the third of four pixels, which mirrored is the second.
    plain_pair = relations[0][:, 1, 2]
    assert plain_pair.max() > 0.5
    apart = (relations[1][:, 1, 0].flip(2, 4) - plain_pair).abs().mean()
    # Only the order or only the columns mirrored, or nothing: all are wrong.
    for wrong in (relations[1][:, 1, 0], relations[1][:, 1, 2].flip(2, 4), relations[1][:, 1, 2]):
        assert (wrong - plain_pair).abs().mean() > 2 * apart


def test_the_oracle_relates_the_same_place_in_two_cameras(rigs):
    flat = _flat(_batch(rigs, 1))
    out = SimpleNamespace(centres=torch.zeros(3, NETWORK.bins))
    said = surround_teachers.Oracle(NETWORK, "teacher", 1.0)(flat, 3, out)  # type: ignore[arg-type]
    found = teacher_relations(said, flat, 3, "").view(3, 3, 6, 10, 6, 10)
    # Front's rightmost column is what the right camera sees left of its middle.
    columns = found[1, 2, 4, 9, 4]
    assert 2 <= int(columns.argmax()) <= 6 and columns.max() > 0.5
    assert found[1, 2, 4, 9, 4].max() > found[1, 2, 4, 1, 4].max()
    with pytest.raises(ConfigurationError, match="relation 'features'"):
        teacher_relations(said, flat, 3, "features")
    bins = teacher_relations(said, flat, 3, "bins")
    assert bins.shape == (1, 3, 3, 60, 60) and bins.max() <= 1.0001


def test_cameras_agree_where_depth_is_true_and_by_how_much_they_do_not():
    a, b = _camera("a", 0.0, 1), _camera("b", -40.0, 2)  # at one place, turned
    pixels, places = seen_by_both(a, b)
    assert len(pixels) > 50
    assert (pixels[:, 0] > 40).all() and (places[:, 0] < 87).all()  # a's right, b's left
    assert np.median(disagreement(a, b, a.depth, b.depth)) < 1e-3
    # Around one centre, depth that is a tenth too large stays so in the other camera.
    found = disagreement(a, b, 1.1 * a.depth, b.depth)
    assert np.median(found) == pytest.approx(0.1, abs=1e-3)
    found = disagreement(a, b, a.depth, 1.25 * b.depth)
    assert np.median(found) == pytest.approx(0.2, abs=1e-3)
    # Behind a board that hides everything from b nothing is seen by both.
    board = replace(b, depth=np.full_like(b.depth, 0.5))
    assert len(seen_by_both(a, board)[0]) == 0


def test_overlap_of_a_source(rigs):
    def truth(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.nan_to_num(batch["depth"], 1e3, posinf=1e3)[:, None]

    data = _data(rigs)
    assert overlap_error(truth, data, str(rigs), most=2) < 5e-3  # type: ignore[operator]

    def wrong(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return truth(batch) * torch.tensor([1.0, 1.2, 1.0]).view(3, 1, 1, 1)

    # A fifth too deep in the middle camera: 0.2 from there, 1/6 to there.
    assert 0.15 < overlap_error(wrong, data, str(rigs), most=1) < 0.25  # type: ignore[operator]


def test_without_terms_it_is_the_fused_network(rigs):
    configuration = _configuration(rigs, ckd=0.0, vrkd=0.0, chamfer=0.0, teacher="")
    system = Training()
    torch.manual_seed(0)
    model = system.build(configuration).eval()
    batch = _batch(rigs, 1)
    with torch.no_grad():
        total, parts = system.loss(model, batch, configuration)
        expected, known = fused_loss(_seen(model, _flat(batch)), _flat(batch), configuration.loss)
    assert total.item() == pytest.approx(expected.item())
    assert set(parts) == set(known)


@pytest.mark.long
def test_training_lowers_all_terms_and_the_student_is_shipped(rigs, tmp_path):
    pytest.importorskip("onnx", reason="onnx writes the model files")
    configuration = _configuration(rigs, most=2, most_sets=1)
    system = Training()
    batch = _batch(rigs)
    torch.manual_seed(configuration.seed)
    fresh = system.build(configuration).train()
    with torch.no_grad():
        before, was = system.loss(fresh, batch, configuration)
    figures = trained(system, configuration, tmp_path)
    assert {"abs_rel", "delta1", "overlap"} <= set(figures)
    student = load(tmp_path / "weights.pt")
    end = Student(student, related=True).train()
    state = torch.load(tmp_path / "last.pt", weights_only=True)["average"]
    end.load_state_dict(state)  # with the projection, which is not shipped
    with torch.no_grad():
        after, parts = system.loss(end, batch, configuration)
    assert after < 0.8 * before
    for name in ("ckd", "vrkd", "depth"):
        assert parts[name] < was[name]
    again, facts = load_checkpoint(tmp_path / "weights.pt")
    flat = _flat(batch)
    with torch.no_grad():
        same = _seen(load(tmp_path / "weights.pt"), flat).log_depth
        assert torch.equal(_seen(again, flat).log_depth, same)
    assert facts["training"]["options"]["teacher"] == "oracle"
    model = tmp_path / "student.onnx"
    size = ["--size", "96x64", "--cameras", "3"]
    assert main(["export", str(tmp_path / "weights.pt"), "-o", str(model), *size]) == 0
    assert model.stat().st_size > 100_000


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"cameras": 0}, "options.cameras 0"),
        ({"cameras": 1}, "options.vrkd"),
        ({"slots": "mine"}, "options.slots 'mine'"),
        ({"relation": "near"}, "options.relation"),
        ({"ckd": -1.0}, "options.ckd"),
        ({"spread": 0.0}, "options.spread"),
        ({"tutor": "oracle"}, "options.tutor does not exist"),
    ],
)
def test_bad_options_are_named(options, named):
    with pytest.raises(ConfigurationError, match=named):
        from_dict({"system": "surround_distillation", "options": options})


def test_bad_teachers_and_rigs_are_named(rigs, tmp_path):
    with pytest.raises(ModelError, match=r"absent\.pt' does not exist"):
        Training().build(_configuration(rigs, teacher=str(tmp_path / "absent.pt")))
    with pytest.raises(ConfigurationError, match=r"options\.teacher is empty"):
        Training().build(_configuration(rigs, teacher=""))
    with pytest.raises(ConfigurationError, match="has 4 cameras"):
        next(Training().batches(_configuration(rigs, cameras=4), 0, 0, 1))
    with pytest.raises(ConfigurationError, match=r"data\.folders is empty"):
        empty = replace(_configuration(rigs), data=DataConfiguration())
        next(Training().batches(empty, 0, 0, 1))
