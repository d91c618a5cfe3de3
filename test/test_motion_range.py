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

"""Points of a LiDAR or radar as measured depth."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from test_surround_motion import CAMERA, MOUNTS, STEP, seen, straight, views_of
from textured_street import mounted, pose

from depth_perception.datasets.bag_writer import BagTypes, package_typestore
from depth_perception.frames.frame_set import CameraFrame
from depth_perception.frames.measured_kind import Kind
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.transforms import transform_points
from depth_perception.messages.sensors import cloud_message, decode_points, decode_ranges
from depth_perception.motion.measured_depth import MeasuredDepth
from depth_perception.motion.range_points import RangePoints, RangeScan, merged, project_points
from depth_perception.motion.surround_motion import SurroundMotion

S = 1_000_000_000
GRID = CAMERA.resized(160, 80)
NO_MASK = np.zeros((80, 160), bool)


def layer_of(points, sigma=0.05, mask=NO_MASK):
    points = np.array(points, dtype=float)
    return project_points(points, np.full(len(points), sigma), GRID, mask)


def test_a_point_is_where_it_is_seen_with_its_depth_and_deviation():
    ray = GRID.rays()[30, 100]
    layer = layer_of([20.0 * ray])
    assert layer.kind[30, 100] == Kind.RANGE and (layer.kind > 0).sum() == 1
    assert 1 / layer.inverse_depth[30, 100] == pytest.approx(20.0, rel=1e-6)
    along = 0.05 / np.linalg.norm(ray)  # range lies along the ray
    assert layer.sigma[30, 100] == pytest.approx(along / 400, rel=1e-5)


def test_what_is_hidden_behind_outside_or_on_the_body_is_left_out():
    rays = GRID.rays()
    mask = NO_MASK.copy()
    mask[70:] = True
    points = [
        5.0 * rays[30, 50],
        9.0 * rays[31, 51],  # a roof's LiDAR sees over what hides this from the camera
        9.0 * rays[30, 80],
        7.0 * rays[75, 80],
        -7.0 * rays[20, 20],
        [100.0, 0, 1],
    ]
    layer = layer_of(points, mask=mask)
    assert list(zip(*np.nonzero(layer.kind), strict=True)) == [(30, 50), (30, 80)]


def test_what_is_too_unsure_measures_nothing():
    assert not (layer_of([[0, 0, 4.0]], sigma=0.8).kind > 0).any()
    assert (layer_of([[0, 0, 40.0]], sigma=0.8).kind > 0).any()


def measured_of(depth, sigma):
    shape = NO_MASK.shape
    w = np.full(shape, np.nan if depth is None else 1 / depth, np.float32)
    return MeasuredDepth(w, w * np.float32(sigma), np.full(shape, Kind.PARALLAX, np.uint8))


@pytest.mark.parametrize(
    ("depth", "sigma", "kind"),
    [
        (None, 0.1, Kind.RANGE),  # nothing else is known
        (20.5, 0.05, Kind.RANGE),  # surer than parallax
        (20.01, 0.001, Kind.PARALLAX),
        (8.0, 0.05, Kind.PARALLAX),  # parallax sees what hides the point
        (40.0, 0.05, Kind.RANGE),  # and here does not see a thin post
    ],
)
def test_a_point_counts_where_nothing_better_is_known(depth, sigma, kind):
    place = 30, 100
    layer = layer_of([20.0 * GRID.rays()[place]])
    out = merged(measured_of(depth, sigma), layer)
    assert out.kind[place] == kind
    assert out.kind[10, 10] == Kind.PARALLAX
    alone = merged(None, layer)
    assert (alone.kind > 0).sum() == 1


def test_points_are_moved_to_the_image_by_the_vehicles_motion():
    """At 10 m/s and 0.1 s before the image a point is a metre nearer in it."""
    memory, C = RangePoints(), mounted(x=1.5, z=1.5)
    ahead = transform_points(C, [[0.0, 0.0, 12.0]])
    memory.add(RangeScan(round(1.95 * S), ahead, np.array([0.05])))
    for t in (1.8, 1.9, 2.0):
        memory.note_place(round(t * S), pose(9.0 * t), 10 / 9)
    layer = memory.layer(GRID, C, NO_MASK, round(2.05 * S))
    (depth,) = 1 / layer.inverse_depth[layer.kind > 0]
    assert depth == pytest.approx(11.0, abs=1e-4)
    assert memory.layer(GRID, C, NO_MASK, round(2.3 * S)) is None  # too old
    memory.forget_way()
    layer = memory.layer(GRID, C, NO_MASK, round(1.96 * S))
    (sigma,) = layer.sigma[layer.kind > 0] * 144
    assert sigma == pytest.approx(np.hypot(0.05, 0.1), rel=1e-3)


def test_old_scans_are_forgotten_and_a_jump_of_time_forgets_all():
    memory = RangePoints()
    for k in range(100):
        memory.add(RangeScan(S + k * S // 100, np.zeros((1, 3)), np.ones(1)))
    assert len(memory) <= 32
    memory.add(RangeScan(10 * S, np.zeros((1, 3)), np.ones(1)))
    assert len(memory) == 1
    memory.add(RangeScan(S, np.zeros((1, 3)), np.ones(1)))
    assert len(memory) == 1


@pytest.mark.parametrize("count", [1, 6])
def test_a_drive_is_measured_by_range_and_parallax_together(count):
    """Also at the first set, before anything moved."""
    motion, name = SurroundMotion(GroundPlane(), 160), "front"
    views = views_of({name: MOUNTS[name]})
    with ThreadPoolExecutor(2) as pool:
        for k, (x, yaw) in enumerate(straight(count)):
            stamp = round((1 + k / 10) * S)
            motion.odometry.add(stamp, pose(x))
            image, depth = seen(name, x, yaw)
            rays = CAMERA.rays()[::9, ::9].reshape(-1, 3)
            points = rays * depth[::9, ::9].reshape(-1, 1)
            near = (depth[::9, ::9].reshape(-1) < 40) & np.isfinite(points).all(axis=1)
            # The scan comes 40 ms before the image, and in it everything is still farther.
            back = transform_points(MOUNTS[name], points[near])
            if k:
                back = transform_points(pose(0.4 * STEP), back)
            scan = stamp if k == 0 else stamp - round(0.04 * S)
            motion.range.add(RangeScan(scan, back, np.full(len(back), 0.03)))
            frame = CameraFrame(stamp, cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
            found = motion.update(stamp, {name: frame}, views, pool).measured[name]
    by_range = found.kind == Kind.RANGE
    assert by_range.sum() > 100
    small = cv2.resize(depth, (160, 80), interpolation=cv2.INTER_NEAREST)
    error = np.abs(1 / found.inverse_depth[by_range] / small[by_range] - 1)
    assert np.median(error) < 0.02
    if count > 1:
        assert (found.kind == Kind.PARALLAX).sum() > 1000


def test_a_cloud_may_bring_the_deviation_of_each_point():
    dtype = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("sigma", "<f4")])
    points = np.array([(1, 2, 3, 0.1), (4, 5, np.nan, 0.2), (7, 8, 9, 0.0)], dtype)
    types = BagTypes(package_typestore())
    message = cloud_message(types, S, "radar", points)
    xyz, sigma = decode_ranges(message, "/radar")
    np.testing.assert_array_equal(xyz, [[1, 2, 3]])
    np.testing.assert_allclose(sigma, [0.1])
    assert len(decode_points(message, "/radar")) == 2
    plain = cloud_message(types, S, "radar", points[["x", "y", "z"]].astype(dtype.descr[:3]))
    xyz, sigma = decode_ranges(plain, "/radar")
    assert len(xyz) == 2 and sigma is None
