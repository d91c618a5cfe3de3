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

"""A street of noise, ground and two walls: something to drive along, quick to draw."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.camera_view import CameraView

METRES_PER_PIXEL = 0.03
WALLS = (-9.0, 7.0)


def street_texture(size: int = 1024) -> NDArray[np.uint8]:
    """Make grey noise of several scales, (size, size)."""
    rng = np.random.default_rng(0)
    out = np.zeros((size, size), np.float32)
    for scale in (1, 4, 16):
        noise = rng.normal(0, 1, (size // scale, size // scale)).astype(np.float32)
        out += cv2.resize(noise, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.clip(128 + 28 * out, 0, 255).astype(np.uint8)


def street_period(texture: NDArray[np.uint8]) -> float:
    """After how many metres the street looks as before: a drive of that length has no end."""
    return (texture.shape[0] - 1) * METRES_PER_PIXEL


class StreetCamera:
    """What a camera sees of the street, driving along x: drawn quickly, its rays are followed once.

    Args:
        view: Of the camera.
        texture: Of ground and walls, see `street_texture`.
    """

    def __init__(self, view: CameraView, texture: NDArray[np.uint8]) -> None:
        self._texture = texture
        T = view.T_base_camera
        rays = view.camera.rays().astype(np.float64) @ T[:3, :3].T
        best = np.full(rays.shape[:2], 200.0)
        x, y = np.zeros_like(best), np.zeros_like(best)
        for axis, place in ((2, 0.0), (1, WALLS[0]), (1, WALLS[1])):
            with np.errstate(divide="ignore", invalid="ignore"):
                depth = (place - T[axis, 3]) / rays[..., axis]
            nearer = (depth > 0) & (depth < best)
            points = rays * np.where(nearer, depth, 0)[..., None] + T[:3, 3]
            best = np.where(nearer, depth, best)
            x = np.where(nearer, points[..., 0] / METRES_PER_PIXEL, x)
            y = np.where(nearer, points[..., 3 - axis] / METRES_PER_PIXEL + 300 * axis, y)
        period = texture.shape[0] - 1
        self._x = (x % period).astype(np.float32)
        self._y = (y % period).astype(np.float32)
        self._moves = (best < 200.0).astype(np.float32)

    def image(self, way: float) -> NDArray[np.uint8]:
        """Draw what it sees after a way (m): (h, w, 3) BGR."""
        period = self._texture.shape[0] - 1
        x = (self._x + self._moves * np.float32(way / METRES_PER_PIXEL % period)) % period
        grey = cv2.remap(self._texture, x, self._y, cv2.INTER_LINEAR)
        return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
