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

"""LiDAR truth: what hides a point, which points are road, and agreement with real drives."""

import os
from pathlib import Path

import numpy as np
import pytest

from depth_perception.datasets.lidar_truth import (
    BaseScan,
    ScanWindow,
    TruthProtocol,
    base_motion,
    fit_road,
    in_corridor,
    index_of_nearest,
    lidar_truth,
    moved_plane,
    plane_depth_at,
    pose_at,
    road_points,
    visible,
    without_body,
)
from depth_perception.errors import ConfigurationError
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import RigCamera
from depth_perception.geometry.transform_tree import TransformTree
from depth_perception.geometry.transforms import matrix_from

SHARED = Path(
    os.environ.get("DEPTH_PERCEPTION_SHARED", Path(__file__).resolve().parents[2] / "shared")
)
AHEAD = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
PROTOCOL = TruthProtocol()
SECOND = 1_000_000_000


def front_camera(height=1.5, ego_mask=None):
    T = AHEAD.copy()
    T[2, 3] = height
    model = CameraModel(640, 480, np.array([[500.0, 0, 319.5], [0, 500, 239.5], [0, 0, 1]]))
    return RigCamera("front", model, T, "front_optical", model, ego_mask)


def test_a_point_is_hidden_by_a_nearer_one_within_six_pixels():
    uv = np.array([[100, 100], [106, 106], [107, 100], [93, 100], [300, 300], [300, 302]], float)
    depth = np.array([10.0, 12.0, 12.0, 12.0, 10.0, 11.0])
    # 12 m is hidden by 10 m at (6, 6) px, not at 7 px; 11 m is only 9.1 % farther than 10 m.
    np.testing.assert_array_equal(
        visible(uv, depth, (640, 480)), [True, False, True, True, True, True]
    )


def test_occlusion_works_at_the_border_and_without_points():
    uv = np.array([[-0.4, -0.4], [2.0, 2.0], [639.4, 479.4]])
    np.testing.assert_array_equal(
        visible(uv, np.array([5.0, 50.0, 50.0]), (640, 480)), [True, False, True]
    )
    assert visible(np.zeros((0, 2)), np.zeros(0), (640, 480)).shape == (0,)


def test_occlusion_agrees_with_comparing_every_pair():
    rng = np.random.default_rng(3)
    uv = rng.integers(0, 120, (400, 2)).astype(float)
    depth = rng.uniform(5, 50, 400)
    near = (np.abs(uv[:, None] - uv[None]) <= 6).all(axis=2)
    hidden = (near & (depth[None] <= 0.9 * depth[:, None])).any(axis=1)
    np.testing.assert_array_equal(visible(uv, depth, (120, 120)), ~hidden)


def test_truth_of_a_hand_made_scene():
    # Ahead at 10 m on the axis; a wall at 20 m right behind it; beside it; behind us; too far; the
    # bonnet.
    points = np.array(
        [[10, 0, 1.5], [20, 0, 1.5], [20, 2, 1.5], [-5, 0, 1.5], [90, 5, 1.5], [2, 0, 0.9]],
        np.float32,
    )
    truth = lidar_truth(front_camera(), BaseScan(3 * SECOND, points, None), 2 * SECOND, PROTOCOL)
    np.testing.assert_array_equal(truth.index, [0, 2])
    np.testing.assert_allclose(truth.uv, [[319.5, 239.5], [269.5, 239.5]])
    np.testing.assert_allclose(truth.depth, [10, 20])
    assert truth.offset == pytest.approx(1.0)
    assert not truth.road.any() and truth.plane is None


def test_points_on_the_ego_mask_leave():
    mask = np.zeros((480, 640), bool)
    mask[:, :300] = True
    points = np.array([[10, 0, 1.5], [20, 2, 1.5]], np.float32)
    truth = lidar_truth(front_camera(ego_mask=mask), BaseScan(0, points, None), 0, PROTOCOL)
    np.testing.assert_array_equal(truth.index, [0])


def test_own_motion_is_undone():
    # The vehicle drives 2 m ahead between the scan and the image: what was at 10 m is at 8 m.
    ahead = [(0, np.eye(4)), (2 * SECOND, matrix_from((4, 0, 0), (0, 0, 0, 1)))]
    motion = base_motion(ahead, 0, SECOND)
    points = np.array([[10, 0, 1.5]], np.float32)
    truth = lidar_truth(front_camera(), BaseScan(0, points, None), SECOND, PROTOCOL, motion)
    np.testing.assert_allclose(truth.depth, [8.0])
    assert base_motion(ahead, 0, 3 * SECOND) is None
    assert pose_at([], 0) is None


def test_a_plane_moves_with_the_vehicle():
    # A road that falls 0.1 m for each metre ahead, seen again after 5 m of driving level.
    plane = GroundPlane(np.array([0.1, 0, 1.0]), 0.0)
    moved = moved_plane(plane, matrix_from((-5, 0, 0), (0, 0, 0, 1)))
    assert moved.signed_distance(np.array([5.0, 0, -1.0])) == pytest.approx(0)
    assert moved.signed_distance(np.array([0.0, 0, -0.5])) == pytest.approx(0)


def test_road_points_by_corridor_and_distance_from_the_plane():
    points = np.array(
        [
            [20, 0, 0.19],
            [20, 0, 0.21],
            [20, 3.9, 0],
            [20, 4.1, 0],
            [39.9, 0, 0],
            [40.1, 0, 0],
            [39.9, 3.9, 0],
            [-20, 0, -0.1],
        ]
    )
    np.testing.assert_array_equal(
        road_points(points, GroundPlane(), PROTOCOL),
        [True, False, True, False, True, False, False, True],
    )
    np.testing.assert_array_equal(in_corridor(points[4:7], PROTOCOL), [True, False, False])


def test_the_body_box_leaves_the_road_and_the_neighbours():
    points = np.array([[1, 0, 1.8], [1, 0, 0.0], [1, 2.0, 0.5], [6, 0, 0.5]])
    np.testing.assert_array_equal(without_body(points, PROTOCOL), [False, True, True, True])


def test_the_road_is_found_between_kerbs_and_cars():
    rng = np.random.default_rng(1)
    xy = rng.uniform([3, -6], [40, 6], (4000, 2))
    road = np.column_stack([xy, 0.02 * xy[:, 0] + 0.1 + rng.normal(0, 0.02, 4000)])
    cars = rng.uniform([10, -3, 0.4], [25, 3, 2.0], (600, 3))
    plane = fit_road(np.concatenate([road, cars]), PROTOCOL)
    assert np.rad2deg(plane.pitch) == pytest.approx(-np.rad2deg(np.arctan(0.02)), abs=0.1)
    assert plane.height == pytest.approx(0.1, abs=0.02)
    with pytest.raises(ConfigurationError, match="0 points"):
        fit_road(np.zeros((0, 3)), PROTOCOL)


def test_the_nearest_scan_of_a_stream():
    assert [index_of_nearest([10, 20, 30], t) for t in (0, 14, 15, 16, 99)] == [0, 0, 0, 1, 2]
    read = []

    class Scan:
        def __init__(self, stamp):
            self.stamp, self.frame_id = stamp, "lidar"
            self.points = np.zeros((0, 3), np.float32)

    def stream():
        for stamp in range(0, 100 * SECOND, SECOND // 10):
            read.append(stamp)
            yield Scan(stamp)

    tree = TransformTree()
    tree.set("base_link", "lidar", np.eye(4))
    window = ScanWindow(stream(), tree, "base_link", PROTOCOL)
    assert window.nearest(5 * SECOND + 1).stamp == 5 * SECOND
    assert read[-1] < 6.2 * SECOND, "no farther than it must"
    assert window.nearest(5 * SECOND + SECOND // 20 + 1).stamp == 5 * SECOND + SECOND // 10
    assert window.nearest(500 * SECOND).stamp == read[-1]
    assert ScanWindow([], tree, "base_link", PROTOCOL).nearest(0) is None


def road_errors(bag):
    """Pool relative depth errors of road points: nominal plane, plane fitted to the scan."""
    from depth_perception.datasets.bag import BagReader
    from depth_perception.parameters import Parameters

    path = SHARED / "bags" / bag
    if not path.exists():
        pytest.skip(f"no real drive at {path}")
    nominal, fitted = [], []
    with BagReader(path, Parameters()) as reader:
        scans = list(reader.clouds())
        rig = reader.rig
        window = ScanWindow(scans, reader.tree, rig.base_frame, PROTOCOL)
        for frame_set in reader.frame_sets():
            for name, frame in frame_set.frames.items():
                scan = window.nearest(frame.stamp)
                motion = base_motion(reader.odometry, scan.stamp, frame.stamp)
                truth = lidar_truth(rig[name], scan, frame.stamp, PROTOCOL, motion)
                points, depth = truth.points[truth.road], truth.depth[truth.road]
                for errors, plane in ((nominal, GroundPlane()), (fitted, truth.plane)):
                    at = plane_depth_at(points, rig[name].T_base_camera, plane)
                    errors.append(np.abs(at - depth) / depth)
    return np.concatenate(nominal), np.concatenate(fitted)


def shares(errors):
    return [100 * float((errors < limit).mean()) for limit in (0.05, 0.10)]


@pytest.mark.parametrize(
    ("bag", "nominal", "fitted"),
    [
        ("nuscenes_sample", (99.4, 99.8), (99.4, 99.8)),
        ("ddad_scene", (27.8, 73.3), (93.3, 98.1)),
        ("kitti_drive", (92.4, 98.9), (91.7, 98.5)),
        ("kitti_uphill", (3.0, 54.6), (94.0, 98.4)),
        ("kitti_road", (87.7, 91.1), (90.5, 97.2)),
        ("kitti_hill", (2.2, 29.7), (99.5, 99.9)),
    ],
)
def test_planes_on_real_roads(bag, nominal, fitted):
    """A5 and A10 of a plane at the points' exact positions, to 0.3 points."""
    by_mounting, by_lidar = road_errors(bag)
    assert shares(by_mounting) == pytest.approx(nominal, abs=0.3)
    assert shares(by_lidar) == pytest.approx(fitted, abs=0.3)
