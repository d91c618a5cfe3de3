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

"""The plane for each pixel in one pass: as the formulas of geometry.ground_plane have it."""

from __future__ import annotations

import numpy as np
import pytest

from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import (
    GroundPlane,
    plane_depth,
    plane_depth_relative_sigma,
)
from depth_perception.geometry.transforms import OPTICAL_AXES, rotation_of_angles
from depth_perception.motion.ground_loops import ground_of_rays
from depth_perception.motion.road import on_path

CAMERA = CameraModel(80, 60, np.array([[60.0, 0, 39.5], [0, 60.0, 24.0], [0, 0, 1]]))


def mounted(yaw: float) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = rotation_of_angles(0.02, 0.05, yaw) @ OPTICAL_AXES
    T[:3, 3] = [1.2, -0.4, 1.5]
    return T


def ground() -> GroundPlane:
    spread = np.array([[4.0, 1.0, -0.6], [1.0, 9.0, 0.8], [-0.6, 0.8, 2.0]]) * 1e-4
    tilted = GroundPlane.from_angles(0.01, -0.02, 0.05)
    return GroundPlane(tilted.normal, tilted.height, covariance=spread)


@pytest.mark.parametrize("yaw", [0.0, 1.6, -2.5])
def test_plane_deviation_and_rise_are_those_of_the_formulas(yaw):
    C, plane = mounted(yaw), ground()
    rays = CAMERA.rays().astype(np.float32)
    inverse_depth, sigma, rise = (np.empty(rays.shape[:2], np.float32) for _ in range(3))
    height = float(plane.signed_distance(C[:3, 3]))
    ground_of_rays(
        rays, C[:3, :3].copy(), C[:3, 3].copy(), plane.normal, height, plane.covariance,
        inverse_depth, sigma, rise,
    )  # fmt: skip
    depth = plane_depth(rays, C, plane)
    below = np.isfinite(depth)
    assert 0.2 < below.mean() < 0.9
    np.testing.assert_allclose(inverse_depth[below], 1 / depth[below], rtol=1e-5)
    assert (inverse_depth[~below] == 0).all() and np.isinf(sigma[~below]).all()
    expected = plane_depth_relative_sigma(rays, depth, C, plane)
    np.testing.assert_allclose(sigma[below], expected[below], rtol=1e-4)
    np.testing.assert_allclose(rise, rays @ (C[:3, :3].T @ plane.normal), atol=1e-5)


@pytest.mark.parametrize("curvature", [0.0, 0.04, -0.04])
def test_the_path_is_where_the_vehicle_will_come(curvature):
    C, plane = mounted(0.0), ground()
    rays = CAMERA.rays().astype(np.float32)
    found = on_path(rays, C, plane, curvature, 1.6, 18.0)
    depth = plane_depth(rays, C, plane)
    with np.errstate(invalid="ignore"):
        points = (rays * depth[..., None]) @ C[:3, :3].T + C[:3, 3]
        away = np.hypot(*np.moveaxis(points - C[:3, 3], -1, 0)[:2])
        aside = np.abs(points[..., 1] - 0.5 * curvature * points[..., 0] * np.abs(points[..., 0]))
        expected = np.isfinite(depth) & (aside < 1.6) & (away > 3.0) & (away < 18.0)
    assert expected.sum() > 50
    np.testing.assert_array_equal(found, expected)
