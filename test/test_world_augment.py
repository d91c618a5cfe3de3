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

"""Augmentation of training data: what a changed frame set says about the world stays true."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from depth_perception.datasets import augmentation as augment
from depth_perception.datasets.sample import TrueCamera, TrueFrameSet
from depth_perception.errors import ConfigurationError
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane, plane_depth
from depth_perception.geometry.transforms import inverse, transform_points
from depth_perception.world.output.rigs import make_rig


def frame_set(lens: str = "plain") -> TrueFrameSet:
    """A robot's four cameras over a tilted plane; pictures are gradients."""
    numbers, model_name = {
        "plain": ([], "plumb_bob"),
        "barrel": ([-0.2, 0.03, 2e-3, -3e-3], "plumb_bob"),
        "rational": ([-0.2, 0.08, 1e-3, 2e-3, 0.005, 0.02, 0.01, 0.001], "rational_polynomial"),
        "fisheye": ([0.02, -0.01, 0.004, 0.001], "equidistant"),
    }[lens]
    ground = GroundPlane(np.array([0.02, -0.03, 1.0]), -0.05, source="external")
    K = np.array([[50.0, 0.3, 33.0], [0, 52.0, 21.5], [0, 0, 1]])
    model = CameraModel(64, 48, K, np.array(numbers), model_name)
    u, v = np.meshgrid(np.arange(64), np.arange(48))
    image = np.stack([3 * u + 20, 4 * v + 20, u + v + 30], axis=-1).astype(np.uint8)
    cameras = []
    for camera in make_rig("robot", width=64, height=48).cameras:
        T = camera.T_base_camera
        depth = plane_depth(model.rays(), T, ground).astype(np.float32)
        normal = np.broadcast_to((T[:3, :3].T @ ground.normal).astype(np.float32), (48, 64, 3))
        wrong = T.copy()
        wrong[:3, 3] += [0.01, 0.02, 0.03]
        cameras.append(
            TrueCamera(
                camera.name,
                model,
                T,
                wrong,
                image,
                depth,
                (u % 19).astype(np.uint8),
                {"normal": np.ascontiguousarray(normal)},
            )
        )
    return TrueFrameSet("00000000", tuple(cameras), ground, {"rig": "robot"})


def back_projected(camera: TrueCamera) -> np.ndarray:
    """(H, W, 3) points of the base frame; not finite where depth is not."""
    with np.errstate(invalid="ignore"):
        points = camera.model.rays() * camera.depth[..., None]
        return transform_points(camera.T_base_camera, points)


def seen_at(camera: TrueCamera, points: np.ndarray) -> np.ndarray:
    """What the picture shows of (N, 3) points of the base frame, between pixels too."""
    u, v = camera.model.project(transform_points(inverse(camera.T_base_camera), points)).T
    left, top = np.floor(u).astype(int), np.floor(v).astype(int)
    fu, fv = (u - left)[:, None], (v - top)[:, None]
    image = camera.image.astype(float)
    return (
        image[top, left] * (1 - fu) * (1 - fv)
        + image[top, left + 1] * fu * (1 - fv)
        + image[top + 1, left] * (1 - fu) * fv
        + image[top + 1, left + 1] * fu * fv
    )


def points_before(camera: TrueCamera, low: tuple[int, int], high: tuple[int, int]) -> np.ndarray:
    """Points at several depths in front of a window's pixels, base frame."""
    rng = np.random.default_rng(3)
    pixels = rng.uniform(np.add(low, 2), np.subtract(high, 3), (200, 2))
    rays = camera.model.lift(pixels) * rng.uniform(0.5, 40, (200, 1))
    return transform_points(camera.T_base_camera, rays)


LENSES = ("plain", "barrel", "rational", "fisheye")
MIRROR = np.array([1.0, -1.0, 1.0])


@pytest.mark.parametrize("lens", LENSES)
def test_a_mirrored_world_shows_the_same_at_mirrored_points(lens):
    before = frame_set(lens)
    after = augment.mirrored(before)
    names = [camera.name for camera in before.cameras]
    assert [camera.name for camera in after.cameras] == names
    for camera in after.cameras:
        twin = {"left": "right", "right": "left"}.get(camera.name, camera.name)
        source = before.cameras[names.index(twin)]
        # The robot is symmetric: the mirrored right camera stands where the left one stood.
        place = before.cameras[names.index(camera.name)]
        assert np.allclose(camera.T_base_camera, place.T_base_camera)
        assert np.isclose(np.linalg.det(camera.T_base_camera[:3, :3]), 1)
        points = points_before(source, (0, 0), (64, 48))
        assert np.allclose(seen_at(source, points), seen_at(camera, points * MIRROR), atol=1e-6)
        expected = (back_projected(source) * MIRROR)[:, ::-1]
        found = back_projected(camera)
        known = np.isfinite(expected).all(axis=-1) & (camera.depth < 100)
        assert known.mean() > 0.2
        assert np.abs(found[known] - expected[known]).max() < 1e-4
        assert np.abs(after.ground.signed_distance(found[known])).max() < 1e-3
        down = camera.T_base_camera[:3, :3] @ camera.layers["normal"][20, 20]
        assert np.allclose(down, after.ground.normal, atol=1e-6)
        offset = camera.T_base_calibrated[:3, 3] - camera.T_base_camera[:3, 3]
        assert np.allclose(offset, [0.01, -0.02, 0.03])
        assert np.array_equal(camera.label, source.label[:, ::-1])


@pytest.mark.parametrize("lens", LENSES)
def test_mirroring_twice_changes_nothing(lens):
    before = frame_set(lens)
    after = augment.mirrored(augment.mirrored(before))
    for a, b in zip(before.cameras, after.cameras, strict=True):
        assert a.name == b.name
        assert np.allclose(a.model.K, b.model.K)
        assert np.array_equal(a.model.D, b.model.D)
        assert np.allclose(a.T_base_camera, b.T_base_camera)
        assert np.array_equal(a.image, b.image)


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("size", [(40, 30), (20, 15), (100, 90)])
def test_a_crop_shows_the_same_points_and_planes(lens, size):
    for before in frame_set(lens).cameras:
        after = augment.cropped(before, (11, 7, 40, 30), size)
        assert (after.model.width, after.model.height) == size
        assert after.image.shape == (size[1], size[0], 3)
        points = points_before(before, (13, 9), (49, 35))
        # Gradients survive resizing but for their rounding to integers.
        assert np.abs(seen_at(before, points) - seen_at(after, points)).max() < 1.6
        exact = plane_depth(after.model.rays(), after.T_base_camera, frame_set().ground)
        # As far as neighbouring pixels are told from two surfaces: to 10 % of depth.
        near = exact < (30 if size == (40, 30) else 2)
        assert near.mean() > 0.1
        error = np.abs(after.depth[near] / exact[near] - 1)
        assert error.max() < (1e-5 if lens == "plain" or size == (40, 30) else 0.02)


def test_a_window_outside_of_the_image_is_refused():
    with pytest.raises(ConfigurationError, match="64x48"):
        augment.cropped(frame_set().cameras[0], (30, 0, 40, 40), (20, 20))


def test_no_depth_is_made_up_at_edges_and_towards_the_sky():
    camera = frame_set().cameras[0]
    depth = np.full((48, 64), np.inf, np.float32)
    depth[20:] = 8.0
    depth[20:, 30:] = 2.0
    depth[40:] = np.nan
    after = augment.cropped(replace(camera, depth=depth), (0, 0, 64, 48), (37, 29))
    values = after.depth[~np.isnan(after.depth)]
    assert set(np.unique(np.round(values, 5)).tolist()) == {2.0, 8.0, np.inf}


def test_colours_change_and_truth_stays():
    before = frame_set()
    after = augment.recoloured(before, gain=np.array([1.2, 1.0, 0.8]), contrast=0.9, gamma=1.1)
    assert not np.array_equal(before.cameras[0].image, after.cameras[0].image)
    assert before.cameras[0].depth is after.cameras[0].depth
    same = augment.recoloured(before)
    assert np.array_equal(before.cameras[0].image, same.cameras[0].image)


def test_augmentation_is_the_seed_s():
    change = augment.Augmentation(size=(48, 32))
    a, b, c = (change(frame_set(), np.random.default_rng(k)) for k in (5, 5, 6))
    assert np.array_equal(a.cameras[1].image, b.cameras[1].image)
    assert not np.array_equal(a.cameras[1].image, c.cameras[1].image)
    for camera in c.cameras:
        exact = plane_depth(camera.model.rays(), camera.T_base_camera, c.ground)
        near = exact < 2
        near[[0, -1]] = near[:, [0, -1]] = False  # enlarged: beyond the outermost centres
        assert np.abs(camera.depth[near] / exact[near] - 1).max(initial=0) < 1e-4
