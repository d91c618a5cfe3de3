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

"""The cloud and the map: hand-worked points, voxels, obstacles and cells."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from test_ground_plane import mounted

from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.cloud import (
    FREE,
    OCCUPIED,
    POINT_DTYPE,
    UNSEEN,
    back_project,
    height_above_ground,
    occupancy_map,
    split_obstacles,
    thin_by_voxels,
    thinned_cloud,
)
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.transforms import transform_points

CAMERA = CameraModel(8, 6, [[10, 0, 3.5], [0, 10, 2.5], [0, 0, 1]])


def one(depth, image=None, confidence=None, camera=CAMERA, T=None, **kwargs):
    shape = depth.shape
    image = np.zeros((*shape, 3), np.uint8) if image is None else image
    confidence = np.ones(shape, np.float32) if confidence is None else confidence
    T = mounted(height=1.5) if T is None else T
    return back_project([camera], [T], [depth.astype(np.float32)], [image], [confidence], **kwargs)


def cloud(xyz, confidence=None):
    points = np.zeros(len(xyz), dtype=POINT_DTYPE)
    for axis, name in enumerate("xyz"):
        points[name] = np.asarray(xyz)[:, axis]
    points["confidence"] = 1 if confidence is None else confidence
    return points


def test_points_are_rays_times_depth_in_the_base_frame():
    depth = np.random.default_rng(1).uniform(2, 30, (6, 8))
    T = mounted(height=1.5, x=1.0, yaw=0.7, pitch_down=0.1)
    points = one(depth, T=T)
    expected = transform_points(T, CAMERA.rays() * depth[..., None]).reshape(-1, 3)
    found = np.stack([points[name] for name in "xyz"], axis=1)
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_fisheye_goes_through_its_ray_table():
    fisheye = CameraModel(
        64, 48, [[30, 0, 31.5], [0, 30, 23.5], [0, 0, 1]], [0.01] * 4, "equidistant"
    )
    depth = np.full((48, 64), 5.0)
    points = one(depth, camera=fisheye)
    rays = fisheye.rays()
    seen = np.isfinite(rays).all(axis=-1)
    assert len(points) == seen.sum()
    expected = transform_points(mounted(height=1.5), rays[seen] * 5.0)
    found = np.stack([points[name] for name in "xyz"], axis=1)
    assert found == pytest.approx(expected, abs=1e-3)


def test_colour_is_packed_as_in_pcl():
    image = np.zeros((6, 8, 3), np.uint8)
    image[...] = (10, 20, 30)  # blue, green, red
    packed = one(np.full((6, 8), 5.0), image=image)["rgb"].view(np.uint32)
    assert (packed == (30 << 16) + (20 << 8) + 10).all()


def test_unknown_infinite_far_and_doubtful_pixels_give_no_point():
    depth = np.full((6, 8), 5.0)
    depth[0, 0], depth[0, 1], depth[0, 2] = np.nan, np.inf, 500.0
    confidence = np.ones((6, 8), np.float32)
    confidence[1, 1] = 0.2
    assert len(one(depth, confidence=confidence, max_range=50, min_confidence=0.5)) == 48 - 4


def test_threads_change_no_bit():
    rng = np.random.default_rng(2)
    depths = [rng.uniform(1, 60, (6, 8)).astype(np.float32) for _ in range(5)]
    arguments = (
        [CAMERA] * 5,
        [mounted(yaw=y) for y in range(5)],
        depths,
        [np.zeros((6, 8, 3), np.uint8)] * 5,
        [np.ones((6, 8), np.float32)] * 5,
    )
    alone = back_project(*arguments, max_range=30)
    with ThreadPoolExecutor(3) as pool:
        assert back_project(*arguments, max_range=30, executor=pool).tobytes() == alone.tobytes()


def test_no_camera_gives_no_point():
    assert len(back_project([], [], [], [], [])) == 0


def test_a_voxel_keeps_its_most_confident_point():
    points = cloud(
        [[0.01, 0.01, 0.01], [0.09, 0.09, 0.09], [0.11, 0.0, 0.0], [-0.01, 0.01, 0.01]],
        [0.5, 0.9, 0.1, 0.3],
    )
    kept = thin_by_voxels(points, 0.1)
    assert kept["confidence"].tolist() == pytest.approx([0.9, 0.1, 0.3])
    assert len(thin_by_voxels(points, 0)) == 4


def test_thinning_agrees_with_numpy_on_many_points():
    rng = np.random.default_rng(5)
    points = cloud(rng.uniform(-20, 20, (50_000, 3)), rng.uniform(size=50_000))
    kept = thin_by_voxels(points, 1.0)
    keys = np.floor(np.stack([points[n] for n in "xyz"], axis=1)).astype(int)
    _, inverse = np.unique(keys, axis=0, return_inverse=True)
    best = np.full(inverse.max() + 1, -1.0)
    np.maximum.at(best, inverse.ravel(), points["confidence"])
    assert np.sort(kept["confidence"]) == pytest.approx(np.sort(best))


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("voxel", [0.0, 0.3, 2.0])
def test_the_cloud_in_one_pass_has_the_points_of_the_cloud_in_two(voxel, step):
    """Three cameras that see the same, so that cubes are shared among them."""
    rng = np.random.default_rng(7)
    camera = CameraModel(64, 48, [[80, 0, 31.5], [0, 80, 23.5], [0, 0, 1]])
    depths = [rng.uniform(2, 12, (48, 64)).astype(np.float32) for _ in range(3)]
    depths[1][:9] = np.nan
    depths[2][:, :9] = np.inf
    images = [rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(3)]
    confidence = [rng.uniform(size=(48, 64)).astype(np.float32) for _ in range(3)]
    mountings = [mounted(height=1.5, yaw=yaw) for yaw in (0.0, 0.1, 0.2)]
    given = ([camera] * 3, mountings, depths, images, confidence)
    limits = {"max_range": 11.0, "min_confidence": 0.2, "step": step}
    expected = thin_by_voxels(back_project(*given, **limits), voxel)
    with ThreadPoolExecutor(2) as pool:
        found = thinned_cloud(*given, voxel, executor=pool, **limits)
    assert len(found) == len(expected) > 50
    order = list(POINT_DTYPE.names)
    assert (np.sort(found, order=order) == np.sort(expected, order=order)).all()


def test_every_so_many_pixels_begin_in_the_middle():
    depth = np.full((6, 8), 5.0)
    colours = np.zeros((6, 8, 3), np.uint8)
    colours[1::2, 1::2] = (0, 0, 255)
    points = one(depth, colours, step=2)
    assert len(points) == 12
    assert (points["rgb"].view(np.uint32) == 0xFF0000).all()


def test_a_table_that_is_too_small_is_made_larger():
    """A cube for each of half a million points: the first table holds a fraction of them."""
    rng = np.random.default_rng(8)
    points = cloud(rng.uniform(-500, 500, (500_000, 3)))
    assert len(thin_by_voxels(points, 0.01)) > 499_990


def test_no_camera_gives_no_thinned_point():
    assert len(thinned_cloud([], [], [], [], [], 0.1)) == 0
    blind = [np.full((6, 8), np.nan, np.float32)] * 2
    black, sure = [np.zeros((6, 8, 3), np.uint8)] * 2, [np.ones((6, 8), np.float32)] * 2
    mountings = [mounted(height=1.5)] * 2
    assert len(thinned_cloud([CAMERA] * 2, mountings, blind, black, sure, 0.1)) == 0


def test_obstacles_are_what_stands_between_two_heights_over_a_sloping_road():
    ground = GroundPlane.from_angles(pitch=-0.1)  # rises ahead: z = 0.1003 x
    points = cloud([[10, 0, 1.0], [10, 0, 1.6], [10, 0, 6.0], [-10, 0, 0.0]])
    height = height_above_ground(points, ground)
    assert height[0] == pytest.approx(np.cos(0.1) * (1.0 - 10 * np.tan(0.1)), abs=1e-4)
    kept = split_obstacles(points, ground, 0.3, 3.0)
    assert kept["x"].tolist() == [10, -10]
    assert kept["z"].tolist() == pytest.approx([1.6, 0.0])


def test_cells_are_occupied_free_or_unseen():
    points = cloud([[1.1, 0.1, 1.0]] * 3 + [[-1.1, 0.1, 0.0]] + [[1.1, 1.6, 1.0]] * 2)
    grid = occupancy_map(points, GroundPlane(), resolution=0.5, size=4.0, min_points=3)
    assert grid.cells.shape == (8, 8)
    assert grid.origin.tolist() == [-2, -2, 0]
    # Row along y, column along x, from the lower corner at (-2, -2).
    assert grid.cells[4, 6] == OCCUPIED
    assert grid.cells[4, 1] == FREE
    assert grid.cells[7, 6] == UNSEEN  # two obstacle points are too few
    assert (grid.cells == UNSEEN).sum() == 62
