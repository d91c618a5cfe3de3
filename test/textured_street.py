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

"""A street of textured planes that a camera can be driven through: road, two walls, an end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.transforms import OPTICAL_AXES, rotation_of_angles

HALF_WIDTH = 6.0
END = 70.0


def mounted(x=1.0, y=0.0, z=1.5, yaw=0.0, pitch=0.0) -> NDArray[np.float64]:
    """T_base_camera of a camera that looks along ``yaw`` (rad, to the left)."""
    T = np.eye(4)
    T[:3, :3] = rotation_of_angles(0.0, pitch, yaw) @ OPTICAL_AXES
    T[:3, 3] = [x, y, z]
    return T


def pose(x=0.0, y=0.0, yaw=0.0) -> NDArray[np.float64]:
    """T_street_base of a vehicle on the road."""
    T = np.eye(4)
    T[:3, :3] = rotation_of_angles(0.0, 0.0, yaw)
    T[:2, 3] = [x, y]
    return T


_NOISE = np.random.default_rng(1).random((256, 256)).astype(np.float32)


def _noise(a, b):
    """Smooth noise of two coordinates, period 256."""
    a0, b0 = np.floor(a), np.floor(b)
    fa, fb = a - a0, b - b0
    i, j = a0.astype(np.int64) % 256, b0.astype(np.int64) % 256
    i1, j1 = (i + 1) % 256, (j + 1) % 256
    top = _NOISE[i, j] * (1 - fa) + _NOISE[i1, j] * fa
    bottom = _NOISE[i, j1] * (1 - fa) + _NOISE[i1, j1] * fa
    return top * (1 - fb) + bottom * fb


def _texture(a, b, distance, focal):
    """Grey value of a surface, each octave only where pixels are fine enough for it."""
    value = np.full(a.shape, 0.5)
    for octave, size in enumerate((2.0, 0.8, 0.3, 0.12, 0.05)):
        seen = np.clip(size * focal / distance / 2 - 0.5, 0, 1)
        value = value + 0.28 * seen * (_noise(a / size + 17 * octave, b / size) - 0.5)
    return value


def render(
    camera: CameraModel, T_street_camera: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Draw the street: grey image (h, w) uint8 and exact depth (h, w), m."""
    rays = camera.rays()
    rays = np.where(np.isfinite(rays), rays, 0.0)
    directions = rays @ T_street_camera[:3, :3].T
    centre = T_street_camera[:3, 3]
    best = np.full(rays.shape[:2], np.inf)
    value = np.full(rays.shape[:2], 0.9)
    length = np.linalg.norm(rays, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        for axis, at, (one, other) in (
            (2, 0.0, (0, 1)),
            (1, HALF_WIDTH, (0, 2)),
            (1, -HALF_WIDTH, (0, 2)),
            (0, END, (1, 2)),
            (0, -END, (1, 2)),
        ):
            depth = (at - centre[axis]) / directions[..., axis]
            point = centre + directions * depth[..., None]
            hit = (depth > 0.05) & (depth < best) & (point[..., 2] < 5.0)
            best[hit] = depth[hit]
            hits = point[hit]
            value[hit] = _texture(
                hits[:, one] + 31 * axis + at,
                hits[:, other],
                depth[hit] * length[hit],
                camera.K[0, 0],
            )
    image = np.clip(255 * value, 0, 255)
    return image.astype(np.uint8), best.astype(np.float32)
