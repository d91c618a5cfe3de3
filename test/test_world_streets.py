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

"""What lies beside a road of the synthetic world: carriageways, paved areas, rails, trees."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("warp", reason="NVIDIA Warp renders the world")

from depth_perception.datasets import labels
from depth_perception.world.objects.mesh import Mesh
from depth_perception.world.objects.object_pool import HEADROOM, POOL_SIZE, pooled_object
from depth_perception.world.objects.sheds import canopy
from depth_perception.world.scene.carriageways import WIDEST
from depth_perception.world.scene.drive import Drive, make_drive
from depth_perception.world.scene.ground_grid import REACH, RESOLUTION
from depth_perception.world.scene.plan import StreetPlan, draw_plan
from depth_perception.world.scene.road import RoadShape
from depth_perception.world.scene.strips import GAUGE, Strip
from depth_perception.world.scene.tramway import WIRE_HEIGHT

SEEDS = range(40)
PLACES = ("city", "suburb", "country", "motorway", "industrial")


@pytest.fixture(scope="module")
def plans() -> list[StreetPlan]:
    return [
        draw_plan(np.random.default_rng([seed, 11]), -75.0, 200.0, setting=setting)
        for seed in SEEDS
        for setting in PLACES
    ]


@pytest.fixture(scope="module")
def drives() -> list[Drive]:
    return [make_drive(seed, duration=1.0, setting=PLACES[seed % 3]) for seed in range(9)]


def label_at(drive: Drive, s: float, t: float) -> int:
    """Class of the ground's picture at (s, t)."""
    row, column = round((REACH - t) / RESOLUTION), round((s - drive.picture.start) / RESOLUTION)
    return int(drive.picture.label[row, column])


def free_places(drive: Drive, strip: Strip) -> Iterator[float]:
    """Values of s near the vehicle where nothing joins."""
    for s in np.arange(-20.0, 60.0, 1.7):
        if not drive.plan.shape.gap(strip, np.array([s - 1.5, s, s + 1.5])).any():
            yield float(s)


def on_road(drive: Drive, mesh: Mesh) -> np.ndarray:
    """Which vertices of a mesh lie over the main carriageway, and how high above it: (N, 2)."""
    spine, shape = drive.spine, drive.plan.shape
    s = np.arange(-74.0, min(spine.end - 1.0, 90.0), 1.0)
    middle = spine.world(s, 0.0)
    p = mesh.vertices[::3].astype(float)
    # Squared distances but for that of p from the origin, multiplied out: four times as fast.
    near = ((middle[:, :2] ** 2).sum(1) - 2 * p[:, :2] @ middle[:, :2].T).argmin(1)
    heading = spine.at("heading", s[near])
    offset = p[:, :2] - middle[near, :2]
    t = -np.sin(heading) * offset[:, 0] + np.cos(heading) * offset[:, 1]
    height = p[:, 2] - spine.world(s[near], t, shape.height(s[near], t))[:, 2]
    lanes = [k for k in drive.plan.lanes if k.kind in ("drive", "service")]
    over = np.zeros(len(p), bool)
    for lane in lanes:
        over |= np.abs(t - lane.t) < lane.width / 2 - 0.35
    return np.column_stack([over, height])


# Carriageways.


def test_lanes_lie_on_the_road_and_none_on_a_strip_or_on_each_other(
    plans: list[StreetPlan],
) -> None:
    kinds = set()
    for plan in plans:
        shape = plan.shape
        lanes = sorted(plan.lanes, key=lambda lane: lane.t)
        for right, left in pairwise(lanes):
            assert right.t + right.width / 2 < left.t - left.width / 2 + 1e-6
        for lane in lanes:
            kinds.add(lane.kind)
            low, high = lane.t - lane.width / 2, lane.t + lane.width / 2
            assert shape.right - 1e-6 < low and high < shape.left + 1e-6
            for strip in shape.raised:
                assert high < strip.lower + 0.06 or low > strip.upper - 0.06
        assert any(k.kind == "drive" and k.direction == 1 for k in lanes)
        assert max(shape.left, -shape.right) < REACH - 1.0
        assert all(abs(strip.upper) <= WIDEST for strip in shape.strips if strip.side)
    assert {"drive", "service", "park", "half", "closed", "cycle"} <= kinds


def test_a_second_carriageway_is_road_beyond_a_strip_that_is_not() -> None:
    checked = 0
    for seed in SEEDS:
        plan = draw_plan(np.random.default_rng([seed, 11]), -75.0, 900.0, setting="suburb")
        if checked >= 3 or not any(lane.kind == "service" for lane in plan.lanes):
            continue
        drive = make_drive(seed, duration=0.5, setting="suburb", weather="cloudy", empty=True)
        for lane in drive.plan.lanes:
            if lane.kind != "service":
                continue
            side = 1 if lane.t > 0 else -1
            strip = next(k for k in drive.plan.shape.strips if k.side == side)
            assert abs(lane.t) > abs(strip.middle)
            for s in free_places(drive, strip):
                assert label_at(drive, s, lane.t) == labels.ROAD
                assert label_at(drive, s, strip.middle) in (labels.TERRAIN, labels.SIDEWALK)
            checked += 1
    assert checked >= 3


def test_a_strip_rises_by_its_height_and_ends_where_roads_join() -> None:
    strip = Strip(9.0, 6.0, 0.12)
    shape = RoadShape(left=13.0, right=-4.0, crown=0.0, strips=(strip,))
    assert strip.side == 1
    np.testing.assert_allclose(shape.height([10.0] * 4, [5.9, 6.5, 8.9, 9.1]), [0, 0.12, 0.12, 0])
    assert Strip(1.0, -1.0, 0.1).side == 0


# Paved areas.


def test_paved_areas_are_sidewalk_and_keep_clear_of_roads(drives: list[Drive]) -> None:
    seen = set()
    for drive in drives:
        shape = drive.plan.shape
        for area in drive.plan.paved_areas:
            edge = shape.left if area.side > 0 else -shape.right
            away = np.array([max(area.near, 0.3) + 0.3, (area.near + area.far) / 2, area.far - 0.3])
            assert edge + area.far < REACH
            for t in area.side * (edge + away):
                assert label_at(drive, area.middle, float(t)) == labels.SIDEWALK
            for other in drive.plan.paved_areas:
                assert other is area or not other.meets(area.side, area.first, area.last)
            for road in shape.side_roads:
                apart = abs(road.s - area.middle) - (area.last - area.first) / 2
                assert road.side != area.side or apart > road.width / 2 + road.radius
            seen.add(area.kind)
    assert seen == {"driveway", "forecourt", "square"}


def test_kerbs_are_low_before_driveways(drives: list[Drive]) -> None:
    for drive in drives:
        shape = drive.plan.shape
        paved_areas = [k for k in drive.plan.paved_areas if k.kind == "driveway"]
        for area in paved_areas:
            edge = shape.left if area.side > 0 else -shape.right
            s, beside = area.middle, area.first - 0.7
            t = area.side * (edge + np.array([-0.01, 0.05]))
            low = np.diff(shape.height([s, s], t))[0]
            assert low < 0.35 * shape.kerb + 1e-3
            if shape.edge(area.side, beside) == edge and not any(
                k.meets(area.side, beside - 0.1, beside + 0.1) for k in paved_areas
            ):
                full = np.diff(shape.height([beside, beside], t))[0]
                assert full == pytest.approx(shape.kerb, abs=2e-3)


def test_a_canopy_leaves_room_for_cars_below_it_and_stands_off_the_road(
    drives: list[Drive],
) -> None:
    for seed in range(12):
        mesh = canopy(np.random.default_rng(seed))
        roof = mesh.vertices[:, 2] > 2.6
        assert mesh.vertices[roof, 2].min() > 4.4
        low, high = mesh.bounds()
        # Columns and pumps stand inside the roof's outline.
        assert (np.abs(mesh.vertices[~roof, :2]) < high[:2] - 0.1).all()
        assert low[2] == pytest.approx(0.0, abs=1e-6)


# Rails.


def test_beds_of_rails_are_labelled_and_their_rails_stand_proud() -> None:
    found = 0
    for seed in SEEDS:
        plan = draw_plan(np.random.default_rng([seed, 11]), -75.0, 900.0, setting="country")
        if found >= 2 or not any(k.tracks for k in plan.shape.strips):
            continue
        drive = make_drive(seed, duration=0.5, setting="country")
        for strip in (k for k in drive.plan.shape.strips if k.tracks):
            found += 1
            for s in list(free_places(drive, strip))[:6]:
                assert label_at(drive, s, strip.middle) == labels.TERRAIN
                rail = strip.tracks[0] + GAUGE / 2
                p = drive.spine.world(s, rail, drive.plan.shape.height(s, rail))
                away = np.hypot(*(drive.still.vertices[:, :2] - p[:2]).T)
                top = drive.still.vertices[away < 1.05, 2].max()
                assert 0.02 < top - p[2] < 0.2 or top - p[2] > 2.0  # or a mast, a tram's wire
    assert found >= 2


def test_a_track_is_within_its_bed() -> None:
    for width in (3.4, 6.5, 8.0):
        strip = Strip(width, 0.0, 0.1, "rails")
        for t in strip.tracks:
            assert t - 1.3 > strip.lower and t + 1.3 < strip.upper
    assert len(Strip(6.5, 0.0, 0.1, "rails").tracks) == 2
    assert Strip(6.5, 0.0, 0.1).tracks == ()


@pytest.mark.parametrize("seed", range(8))
def test_a_tram_is_as_large_as_one(seed: int) -> None:
    mesh = pooled_object("tram", seed)
    low, high = mesh.bounds()
    assert 13 < high[0] - low[0] < 16.5 and 2.3 < high[1] - low[1] < 2.6
    assert low[2] >= 0.0 and 3.1 < high[2] < WIRE_HEIGHT
    assert set(mesh.label) == {labels.TRAIN} and len(mesh.triangles) <= 900


# Trees, and what must not stand in the way.


@pytest.mark.parametrize("number", range(0, POOL_SIZE, 4))
def test_crowns_of_avenues_clear_a_lorry(number: int) -> None:
    tree = pooled_object("avenue_tree", number)
    p = tree.vertices
    crown = np.hypot(p[:, 0], p[:, 1]) > 0.7
    assert p[crown, 2].min() > HEADROOM + 0.2
    assert np.hypot(p[:, 0], p[:, 1]).max() > 3.5  # and they reach over the road
    assert len(tree.triangles) <= 1500


def test_nothing_stands_on_the_lanes_that_are_driven_on(drives: list[Drive]) -> None:
    """Still things with a class of their own; parked cars have boxes that another test reads."""
    for drive in drives:
        if drive.plan.shape.roundabout is not None:
            continue
        for mesh in drive.contents.still:
            kinds = set(mesh.label.tolist())
            if not kinds & {labels.VEGETATION, labels.POLE, labels.WALL, labels.BUILDING}:
                continue
            if np.hypot(*(mesh.vertices[:, :2].mean(0) - drive.ego_pose(0.0)[:2, 3])) > 70.0:
                continue
            over, height = on_road(drive, mesh).T
            # Twigs and signs over a kerb apart, what is over a lane is high above it.
            inside = (over > 0) & (height > 0.05)
            assert inside.sum() == 0 or height[inside].min() > 2.1, (drive.seed, kinds)


def test_what_parks_does_not_overlap(drives: list[Drive]) -> None:
    pairs = 0
    for drive in drives:
        cars = [o for o in drive.contents.objects if o.size[0] > 2.5]
        for k, first in enumerate(cars):
            for second in cars[k + 1 :]:
                T = np.linalg.inv(first.T_odom_object) @ second.T_odom_object
                if np.hypot(T[0, 3], T[1, 3]) > 9.0:
                    continue
                pairs += 1
                # Boxes about each other's axes, shrunk: mirrors may come close.
                half = (np.array(first.size[:2]) + np.abs(T[:2, :2]) @ second.size[:2]) / 2
                assert (np.abs(T[:2, 3]) > half - 0.55).any(), (drive.seed, first.kind, second.kind)
    assert pairs > 50
