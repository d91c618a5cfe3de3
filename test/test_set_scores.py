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

"""Obstacle cloud, flicker and calibration: cases with answers that are known by hand."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from test_evaluate import Pipeline
from test_evaluate_exact import DEPTH, write_drive
from tiny_drive import PERIOD, START

from depth_perception.cli.evaluate import print_tables
from depth_perception.datasets.bag import BagReader
from depth_perception.datasets.lidar_truth import TruthProtocol
from depth_perception.evaluation.boundary import Boundary, boundary_counts, shifted_counts
from depth_perception.evaluation.evaluate import evaluate
from depth_perception.evaluation.flicker import FlickerTally
from depth_perception.evaluation.obstacles import (
    ObstacleScores,
    is_near,
    obstacle_counts,
    thinned,
    where_truth_could_tell,
)
from depth_perception.evaluation.profile import ErrorCounter
from depth_perception.evaluation.report import render
from depth_perception.evaluation.seen_truth import seen_by_lidar, seen_exactly
from depth_perception.evaluation.set_scores import SetScorer, VehicleMotion
from depth_perception.frames.surround_result import CameraResult, SurroundResult
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.transforms import OPTICAL_AXES
from depth_perception.parameters import Parameters

GROUND, PROTOCOL = GroundPlane(), TruthProtocol()
SECOND = 1_000_000_000
WIDTH, HEIGHT = 64, 48
CAMERA = CameraModel(WIDTH, HEIGHT, np.array([[50.0, 0, 31.5], [0, 50, 23.5], [0, 0, 1]]))


def wall(x, y=(-3, 3), z=(0.45, 2.95)):
    """A wall across the way, a point each 5 cm."""
    ys, zs = np.meshgrid(np.arange(*y, 0.05) + 0.025, np.arange(*z, 0.05))
    return np.stack([np.full(ys.size, x), ys.ravel(), zs.ravel()], axis=1)


def score(predicted, truth, tested=None):
    tested = np.ones(len(predicted), bool) if tested is None else tested
    return ObstacleScores.of([obstacle_counts(predicted, tested, truth, GROUND, PROTOCOL)])


@pytest.mark.parametrize(("moved", "f1"), [(0.0, 1), (0.4, 1), (0.49, 1), (0.51, 0), (0.6, 0)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_obstacles_are_right_to_half_a_metre(moved, f1, axis):
    if axis == 2:  # a beam: a wall that is moved along itself still covers itself
        truth = wall(10.0, z=(1.0, 1.04))
    else:
        truth = wall(10.0, y=(0, 0.04)) if axis == 1 else wall(10.0)
    found = score(truth + moved * np.eye(3)[axis], truth)
    assert (found.f1, found.precision, found.recall) == (f1, f1, f1)


def test_what_is_missing_costs_recall_and_what_is_not_there_precision():
    truth, half = wall(10.0), wall(10.0, y=(-3, 0))
    found = score(half, truth)
    # Beside the half that was found, half a metre more lies within reach.
    assert found.precision == 1 and found.recall == pytest.approx(3.5 / 6, abs=0.02)
    ghost = score(np.concatenate([truth, wall(20.0)]), truth)
    assert ghost.recall == 1 and ghost.precision == pytest.approx(0.5, abs=0.01)
    assert ghost.f1 == pytest.approx(2 / 3, abs=0.01)
    nothing = score(np.zeros((0, 3)), truth)
    assert (nothing.f1, nothing.recall, nothing.predicted) == (0, 0, 0)
    assert math.isnan(nothing.precision)
    assert score(np.zeros((0, 3)), np.zeros((0, 3))) is None


def test_obstacles_stand_in_the_band_within_25_m_and_are_not_the_own_body():
    def truth_count(points):
        found = score(points, points)
        return 0 if found is None else found.truth

    assert truth_count(np.array([[10.0, 0, 0.29]])) == truth_count(np.array([[10.0, 0, 3.01]])) == 0
    assert truth_count(np.array([[10.0, 0, 0.31]])) == truth_count(np.array([[10.0, 0, 2.99]])) == 1
    assert truth_count(np.array([[24.9, 0, 1.0]])) == 1 and not truth_count(
        np.array([[20, 20, 1.0]])
    )
    assert not truth_count(np.array([[1.0, 0.5, 1.0]]))  # in the own body's box
    # Limits cut no pair in two, but the lower one, below which everything is near road.
    assert score(np.array([[25.2, 0, 1.0]]), np.array([[24.9, 0, 1.0]])).recall == 1
    assert score(np.array([[10, 0, 0.35]]), np.array([[10, 0, 0.2]])).precision == 0
    # Heights are above the ground, wherever it lies.
    low = GroundPlane(height=-1.0)
    counts = obstacle_counts(wall(10.0) - [0, 0, 1], np.ones(6000, bool), wall(10.0), low, PROTOCOL)
    assert counts[1] > 300


def test_a_thousand_points_of_one_place_weigh_as_one():
    near = np.full((1000, 3), [5.0, 2.05, 1.05]) + np.random.default_rng(0).uniform(
        0, 0.1, (1000, 3)
    )
    found = score(np.concatenate([near, [[15, 0, 1.0]]]), near)
    assert (found.predicted, found.precision) == (2, 0.5)
    assert thinned(near).shape == (1, 3) and np.allclose(thinned(near)[0], near.mean(axis=0))


def test_near_is_what_the_distances_say():
    rng = np.random.default_rng(1)
    points, others = rng.uniform(-4, 4, (400, 3)), rng.uniform(-5, 3, (300, 3))
    for radius in (0.1, 0.5, 1.3):
        distance = np.linalg.norm(points[:, None] - others[None], axis=2).min(axis=1)
        assert np.array_equal(is_near(points, others, radius), distance <= radius)
    assert not is_near(points, others[:0], 0.5).any() and not len(is_near(points[:0], others, 1))


def pose(x=0.0, height=1.5):
    T = np.eye(4)
    T[:3, :3] = OPTICAL_AXES
    T[:3, 3] = (x, 0, height)
    return T


def camera(depth, stamp=0, embodied=None, T=None):
    depth = np.broadcast_to(np.asarray(depth, np.float32), (HEIGHT, WIDTH))
    shape = depth.shape
    return CameraResult(
        stamp,
        "front",
        CAMERA,
        pose() if T is None else T,
        np.zeros((*shape, 3), np.uint8),
        depth,
        np.ones(shape, np.float32),
        np.ones(shape, np.uint8),
        np.asarray(depth if embodied is None else np.full(shape, embodied), np.float32),
        np.full(shape, np.inf, np.float32),
        np.ones(shape, np.uint8),
    )


def result(item, estimator="embodied"):
    return SurroundResult(item.stamp, {"front": item}, {}, "base_link", GROUND, estimator, "test")


def facing(item, true_depth, every=1):
    """LiDAR truth of a wall across the view, each so many-th pixel."""
    v, u = np.mgrid[:HEIGHT:every, :WIDTH:every].reshape(2, -1).astype(float)
    rays = CAMERA.rays()[::every, ::every].reshape(-1, 3)
    points = (rays * true_depth) @ item.T_base_camera[:3, :3].T + item.T_base_camera[:3, 3]
    return seen_by_lidar(item, points, np.stack([u, v], 1), np.full(len(u), float(true_depth)))


def test_a_point_counts_where_truth_could_tell():
    item = camera(10.0)
    v, u = 24, 32
    ray = CAMERA.rays()[v, u]
    point = (ray * 10) @ item.T_base_camera[:3, :3].T + item.T_base_camera[:3, 3]
    seen = seen_by_lidar(item, point[None], np.array([[u, v]], float), np.array([10.0]))
    assert seen.known.sum() == 25 and seen.known[v - 2 : v + 3, u - 2 : u + 3].all()

    def told(row, column, depth):
        at = CAMERA.rays()[row, column] * depth @ item.T_base_camera[:3, :3].T
        return where_truth_could_tell((at + item.T_base_camera[:3, 3])[None], {"front": seen})[0]

    assert told(v, u, 10) and told(v + 2, u - 2, 10) and not told(v + 3, u, 10)
    # Another camera's point behind what this one sees, which truth does not speak of.
    assert not told(v, u, 15) and not told(v, u, -10)


@pytest.mark.parametrize(("depth", "f1"), [(10.4, 1), (10.6, 0)])
def test_the_obstacle_cloud_of_a_depth_image_is_held_against_the_lidar(depth, f1):
    item = camera(depth, embodied=10.0)
    scorer = SetScorer(PROTOCOL)
    motion = VehicleMotion([], stub(), result(item), exact=False)
    scorer.add(result(item, "fused"), {"front": facing(item, 10.0, every=2)}, GROUND, motion)
    found = scorer.scores()
    assert found.obstacles["depth image"].f1 == pytest.approx(f1, abs=0.02)
    assert found.obstacles["embodied depth"].f1 == 1
    assert found.flicker == {} and "single frame set" in found.flicker_missing


def stub(step=None, enabled=False):
    return SimpleNamespace(
        parameters=SimpleNamespace(motion=SimpleNamespace(enabled=enabled)),
        motion=SimpleNamespace(ego=SimpleNamespace(step=step)) if enabled else None,
    )


def shift(x):
    T = np.eye(4)
    T[0, 3] = x
    return T


def flicker_of(before, now, true_before, true_now, way=1.0, exact=False, seconds=0.1):
    """Two sets with a wall; the vehicle goes ``way`` metres towards it between them."""
    scorer = SetScorer(PROTOCOL)
    later = round(seconds * SECOND)
    odometry = [(0, np.eye(4)), (later, shift(way))] if way is not None else []
    for stamp, depth, true in ((0, before, true_before), (later, now, true_now)):
        item = camera(depth, stamp)
        seen = facing(item, true)
        if exact:
            points = np.full((HEIGHT * WIDTH, 3), np.nan)
            points[:] = seen.points
            truth = np.full(HEIGHT * WIDTH, float(true))
            seen = seen_exactly(item, points, truth, np.zeros(len(truth), bool))
        motion = VehicleMotion(odometry, stub(), result(item), exact)
        scorer.add(result(item), {"front": seen}, GROUND, motion)
    return scorer.scores()


@pytest.mark.parametrize("exact", [False, True], ids=["LiDAR", "exact"])
def test_flicker_is_the_change_that_motion_does_not_explain(exact):
    def median(*numbers, **options):
        found = flicker_of(*numbers, exact=exact, **options).flicker["depth image"]
        assert found.count == found.static > 500 and found.pairs == 1
        assert found.mean == pytest.approx(found.median, abs=2e-4)
        return found.median

    assert median(10, 9, 10, 9) < 3e-4
    assert median(10, 9 * 1.06, 10, 9) == pytest.approx(0.06, abs=3e-4)
    assert median(10, 9 * 0.97, 10, 9) == pytest.approx(0.03, abs=3e-4)
    # 10 % too far in both: 11 m are 10 m after a metre, and 9.9 m are said.
    assert median(11, 9.9, 10, 9) == pytest.approx(0.1 / 10, abs=3e-4)
    # Standing: the same depth twice.
    assert median(12, 12, 10, 10, way=0.0) < 3e-4


@pytest.mark.parametrize("exact", [False, True], ids=["LiDAR", "exact"])
def test_what_moves_by_itself_does_not_flicker(exact):
    found = flicker_of(10, 8.0, 10, 8.0, exact=exact)
    assert found.flicker == {} and "stood still" in found.flicker_missing


def test_depth_that_is_unknown_in_one_set_is_not_compared():
    depth = np.full((HEIGHT, WIDTH), 9 * 1.04, np.float32)
    depth[:, ::2] = np.nan
    found = flicker_of(10, depth, 10, 9).flicker["depth image"]
    assert found.count == pytest.approx(found.static / 2, rel=0.05)
    assert found.median == pytest.approx(0.04, abs=3e-4) and found.steady == 1


def test_no_motion_and_long_gaps_are_said_in_words():
    assert "no odometry covers them" in flicker_of(10, 9, 10, 9, way=None).flicker_missing
    assert "3.0 s apart" in flicker_of(10, 9, 10, 9, seconds=3.0).flicker_missing
    found = flicker_of(10, 9, 10, 9)
    assert (found.flicker_missing, found.flicker_motion) == ("", "odometry")


def test_the_median_of_counted_changes_is_that_of_the_changes():
    change = np.abs(np.random.default_rng(2).normal(0, 0.05, 5001))
    tally = FlickerTally()
    tally.add(change[:2000], 0.1)
    tally.add(np.append(change[2000:], [np.nan] * 7), 0.3)
    found = tally.scores()
    assert found.median == pytest.approx(np.median(change), abs=1e-4)
    assert found.mean == pytest.approx(change.mean()) and found.static == 5008
    assert (found.pairs, found.seconds, found.count) == (2, 0.2, 5001)
    wild = FlickerTally()
    wild.add(np.full(9, 50.0), 0.1)
    assert wild.scores().median == wild.scores().mean == 3


def test_motion_is_odometry_of_an_exact_world_and_else_what_the_images_made_of_it():
    item = result(camera(10.0))
    odometry = [(0, np.eye(4)), (SECOND // 10, shift(1.0))]
    moved = stub((0.1, shift(-1.2)), enabled=True)

    def way(*arguments):
        found = VehicleMotion(*arguments).between(0, SECOND // 10)
        return None if found is None else (round(float(found[0][0, 3]), 6), found[1])

    # T_now_before: what was ahead has come nearer.
    assert way(odometry, moved, item, True) == (-1.0, "odometry")
    assert way(odometry, moved, item, False) == (-1.2, "estimated")
    assert way(odometry, stub(None, enabled=True), item, False) == (-1.0, "odometry")
    assert way([], moved, item, True) == (-1.2, "estimated")
    assert way([], stub(), item, False) is None


@pytest.mark.parametrize("told", [0.0, 0.2])
def test_calibration_is_off_by_as_much_as_confidence_says_too_much(told):
    rng = np.random.default_rng(3)
    probability = rng.uniform(0, 0.8, 40_000)
    right = rng.uniform(size=len(probability)) < probability
    truth = np.full(len(probability), 10.0)
    counter = ErrorCounter([0.0, 80.0])
    counter.add(np.where(right, 10.5, 12.0), truth, probability + told)
    assert counter.profile().confidence_gap == pytest.approx(told, abs=0.01)


def test_truth_gets_of_its_own_edges_what_half_a_pixel_leaves():
    truth = np.where(np.arange(40) < 20, 5.0, 10.0)[None].repeat(3, axis=0)
    # 4 pairs span the edge; moved by a pixel 3 of them still do: (4 + 3) / 2 of 4.
    assert Boundary.of([shifted_counts(truth, 4)]).f1 == pytest.approx(7 / 8)
    counts = boundary_counts(np.roll(truth, 1, axis=1)[:, 1:], truth[:, 1:], 4)
    found = Boundary.of([counts], [shifted_counts(truth, 4)])
    assert found.f1 == 0.75 and found.reached == pytest.approx(0.75 / (7 / 8))
    assert math.isnan(Boundary.of([counts]).reached)
    assert not shifted_counts(np.full((4, 9), 7.0), 1).any()


class Flickering(Pipeline):
    """Depth of the ground, 4 % farther in each second frame set."""

    def process(self, frame_set, rig):
        self.scale = 1.04 if (frame_set.stamp - START) // PERIOD % 2 else 1.0
        return super().process(frame_set, rig)


def test_flicker_of_a_drive_is_in_tables_page_and_json(tmp_path, capsys):
    bag = write_drive(tmp_path / "drive")
    with BagReader(bag, Parameters()) as reader:
        reader.odometry = [(START - PERIOD, np.eye(4)), (START + 9 * PERIOD, np.eye(4))]
        e = evaluate(reader, Flickering())
    for sets in (e.sets, e.exact.sets):
        found = sets.flicker["depth image"]
        # Up by 4 %, down by 1 - 1 / 1.04.
        assert found.pairs == 2 and 0.0384 < found.median < 0.0401
        assert found.mean == pytest.approx((0.04 + 1 - 1 / 1.04) / 2, abs=3e-4)
    kept = json.loads(json.dumps(e.to_dict(), allow_nan=False))
    assert kept["exact"]["sets"]["flicker"]["depth image"]["pairs"] == 2
    page = render(e, [])
    assert "Flicker" in page and "motion by odometry" in page
    print_tables(e)
    assert "motion by odometry" in capsys.readouterr().out


def test_a_drive_without_odometry_says_why_nothing_flickers(tmp_path, capsys):
    bag = write_drive(tmp_path / "drive", frames=2, leave_out=(DEPTH,))
    with BagReader(bag, Parameters()) as reader:
        e = evaluate(reader, Pipeline())
    print_tables(e)
    printed = capsys.readouterr().out
    assert "No flicker" in printed and "no odometry covers them" in printed.replace("\n", " ")
    assert "motion.odometry_topic" in render(e, [])
    assert e.to_dict()["sets"]["flicker"] == {}
