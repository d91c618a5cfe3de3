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

"""Motion and metres in self-supervision: by odometry, a pose network, or embodied depth."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("torch", reason="PyTorch trains")
pytest.importorskip("efficientnet_lite_pytorch", reason="the image encoder's wheel")

import torch
from tiny_street import LIGHT, SETS, STEP, batch_of, configuration_of, learn, street_set, write_sets

from depth_perception.datasets.shards import encode_set
from depth_perception.errors import ModelError
from depth_perception.network import depth_coding
from depth_perception.network.prior import prior_of
from depth_perception.training.embodied_scene import OWN, anchor_error
from depth_perception.training.systems.hybrid_depth import runs as hybrid_runs
from depth_perception.training.systems.hybrid_depth import system as hybrid_depth
from depth_perception.training.systems.hybrid_depth.system import Training
from depth_perception.training.triplets import Triplets


def test_a_metric_network_of_a_short_range_begins_with_numbers(street):
    configuration = configuration_of(street, replace(LIGHT, posed=True, farthest=10.0))
    model: Any = Training().build(configuration)
    with torch.no_grad():
        assert torch.isfinite(model(batch_of(street)).disparity).all()


def test_poses_may_begin_straight_ahead(street):
    torch.manual_seed(0)
    model: Any = Training().build(configuration_of(street, replace(LIGHT, ahead=True)))
    with torch.no_grad():
        T = model.eval()(batch_of(street)).T
    before, after = T[:, 0, :3, 3], T[:, 1, :3, 3]
    for t, sign in ((before, 1.0), (after, -1.0)):  # what lies ahead was farther, and comes nearer
        assert (sign * t[:, 2] > 5 * t[:, :2].norm(dim=1)).all()


@pytest.mark.long
def test_the_pose_network_finds_the_motion_ahead(street):
    """Nothing but images: motion and depth are found together, up to a common scale.

    It begins ahead: from anywhere, one of three seeds settled on another direction.
    """
    configuration = configuration_of(street, replace(LIGHT, ahead=True))
    torch.manual_seed(0)
    model, batch = Training().build(configuration), batch_of(street)
    first, last, _ = learn(model, batch, configuration, 40)
    # Figures of three seeds: 0.24, 0.24, 0.25 of the loss is left, depth is 0.04, 0.05, 0.04 off,
    # and the way is 0.90, 1.03, 0.96 of the true one.
    assert last < 0.4 * first
    with torch.no_grad():
        views = model.eval()(batch)
    depth, truth = (
        depth_coding.depth_of_disparity(views.disparity, 0.1, 100.0),
        batch["depth"][:, None],
    )
    scale = (truth / depth).median()
    assert (depth * scale / truth - 1).abs().mean() < 0.25
    for T, known in zip(views.T.flatten(0, 1), batch["T"].flatten(0, 1), strict=True):
        t, wanted = T[:3, 3], known[:3, 3]
        assert t @ wanted > 0.95 * t.norm() * wanted.norm()
        assert (t.norm() * scale).item() == pytest.approx(STEP, rel=0.3)


@pytest.mark.long
def test_embodied_depth_makes_depth_and_motion_metric(street):
    o = replace(LIGHT, embodied=0.1, nearest=1.0)
    configuration = configuration_of(street, o, rate=5e-4)
    torch.manual_seed(0)
    model, batch = Training().build(configuration), batch_of(street, classes="labels")
    first, last, parts = learn(model, batch, configuration, 60)
    # Figures of three seeds: 0.086, 0.101, 0.110 of the loss is left, depth is 0.062, 0.050, 0.063
    # off, and the way is 0.94 to 0.98 of the true one.
    assert last < 0.3 * first and "embodied" in parts
    with torch.no_grad():
        views = model.eval()(batch)
    depth = depth_coding.depth_of_disparity(views.disparity, o.nearest, o.farthest)
    assert (depth / batch["depth"][:, None] - 1).abs().mean() < 0.2
    found = views.T[..., :3, 3].norm(dim=-1)
    assert ((found - STEP).abs() < 0.3 * STEP).all()


def test_what_embodied_depth_says_for_sure_by_hand(street):
    batch = batch_of(street, classes="labels")
    truth, given = batch["depth"][:, None], (batch["embodied"], batch["rays"], batch["camera"])

    def error(depth: torch.Tensor) -> float:
        return anchor_error(depth, *given).item()

    assert error(truth) < 0.06  # the wall's foot is seen to a pixel
    ground = batch["embodied"].clone()
    ground[:, :, :8] = 0  # down to the wall's foot
    assert anchor_error(truth, ground, *given[1:]).item() < 0.003
    for factor in (0.5, 2.0):
        assert error(factor * truth) == pytest.approx(math.log(2), abs=0.06)
    # Nothing lies below the ground, whatever it is: the plane's depth at most, and any less.
    given = (torch.zeros_like(batch["embodied"]), batch["rays"], batch["camera"])
    assert error(truth) < 0.005 and error(truth / 2) == 0.0
    prior = prior_of(batch["rays"], batch["camera"])
    plane = (prior.height / prior.slope.clamp(min=1e-6)).repeat_interleave(4, 2)
    plane = plane.repeat_interleave(4, 3)
    assert error(plane * 0.99) == 0.0
    assert error(plane * 3) == pytest.approx(math.log(3), abs=1e-4)
    uncalibrated = batch["camera"] * torch.tensor([0, 0, 0, 0, 1.0])
    nothing = torch.zeros_like(batch["embodied"]), batch["rays"], uncalibrated
    assert anchor_error(truth, *nothing).item() == 0.0
    buried = batch["camera"].clone()
    buried[:, 3] = 0.05  # what is left of a height of 0 or less
    assert anchor_error(truth, nothing[0], batch["rays"], buried).item() == 0.0
    sky = torch.zeros_like(batch["embodied"])
    sky[:, 3] = 1
    far = anchor_error(torch.full_like(truth, 20.0), sky, batch["rays"], nothing[2])
    assert far.item() == pytest.approx(math.log(80 / 20), abs=1e-5)
    assert anchor_error(torch.full_like(truth, 90.0), sky, batch["rays"], nothing[2]).item() == 0.0
    near = anchor_error(torch.full_like(truth, 20.0), sky, batch["rays"], nothing[2], farthest=20.0)
    assert near.item() == pytest.approx(0.0, abs=1e-5)  # a network whose range ends there


def test_embodied_depth_holds_both_networks_of_two_frames(street):
    """By the classes that the package's own network sees, as a drive without labels has it."""
    options = replace(LIGHT, pipeline="multi_frame", embodied=0.3, nearest=1.0)
    batch = batch_of(street, classes=str(OWN))
    assert batch["embodied"][:, 1].mean() > 0.2
    losses = {}
    for weight in (0.0, 0.3):
        o = replace(options, embodied=weight)
        torch.manual_seed(0)
        model = Training().build(configuration_of(street, replace(options, posed=True))).eval()
        views = model(batch)
        torch.manual_seed(0)
        losses[weight], parts = hybrid_depth.depth_loss(views, batch, o)
    given = (batch["embodied"], batch["rays"], batch["camera"])
    both = [
        anchor_error(depth_coding.depth_of_disparity(d, 1.0, 100.0), *given)
        for d in (views.disparity, views.teacher)
    ]
    assert parts["embodied"].item() == pytest.approx(both[0].item(), rel=1e-5)
    added = (losses[0.3] - losses[0.0]).item()
    assert added == pytest.approx(0.3 * (both[0] + both[1]).item(), rel=1e-3)


def test_with_known_motion_drives_without_odometry_are_scored_image_by_image(street, tmp_path):
    """And of a drive that knows it in part, the part that does."""
    for name, unknown in (("without", range(2 * SETS)), ("partly", range(2))):
        folder = tmp_path / name
        folder.mkdir()
        sets = []
        for place in range(2 * SETS):
            item = street_set(*divmod(place, SETS))
            facts = {k: v for k, v in item.facts.items() if k != "T_odom_base"}
            sets.append(encode_set(replace(item, facts=facts) if place in unknown else item))
        write_sets(folder, sets, SETS)
    tests = tuple(str(tmp_path / name) for name in ("without", "partly"))
    configuration = configuration_of(street, replace(LIGHT, posed=True, most=1))
    configuration = replace(configuration, data=replace(configuration.data, tests=tests))
    model = Training().build(configuration).eval()
    figures = Training().validate(model, configuration, torch.device("cpu"))
    assert figures["without.abs_rel"] > 0 and "without.reprojection" not in figures
    # Of the six triplets the first two have a frame without odometry.
    triplets = Triplets(configuration.data, (tests[1],), change=False)
    assert [float(triplets[(k, 0, 0)]["posed"]) for k in range(6)] == [0, 0, 1, 1, 1, 1]
    assert figures["partly.reprojection"] > 0
    several = replace(configuration, options=replace(configuration.options, pipeline="multi_frame"))
    model = Training().build(several).eval()
    figures = Training().validate(model, several, torch.device("cpu"))
    assert "without.abs_rel" not in figures and figures["partly.abs_rel"] > 0


def test_motions_in_metres_are_not_taken_for_motions_up_to_scale(street, tmp_path):
    metric = replace(LIGHT, embodied=0.3)
    path = tmp_path / "weights.pt"
    hybrid_runs.save(path, Training().build(configuration_of(street, metric)), {})
    several = replace(LIGHT, pipeline="multi_frame", start_teacher=str(path))
    for options, start in ((several, ""), (LIGHT, str(path))):
        configuration = replace(configuration_of(street, options), start=start)
        with pytest.raises(ModelError, match="is metric, and this run is not"):
            Training().build(configuration)
    Training().build(configuration_of(street, replace(several, embodied=0.3)))
    lighter = replace(configuration_of(street, replace(metric, embodied=0.1)), start=str(path))
    Training().build(lighter)  # another weight of the same
