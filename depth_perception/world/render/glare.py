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

"""What a lens does with the sun before it: a bloom, a veil over the picture, ghosts."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.camera import CameraModel

WIDEST = np.radians(65.0)
"""A sun farther from the optical axis than this does not reach the lens, rad."""
_COARSE = 8
"""So soft a light is computed for one pixel of so many in each direction."""
_BLOOM, _VEIL = (4.0, np.radians(4.0)), (0.35, np.radians(28.0))
"""Strength and width of both, the latter rad from the sun."""
_GHOSTS = ((-0.4, 0.05, 0.10), (-0.85, 0.09, 0.06), (0.45, 0.03, 0.10))
"""Place on the line from the picture's middle (0) to the sun (1), radius (of the width), light."""


def glare(
    model: CameraModel, sun: NDArray[np.float64], depth: NDArray[np.float32]
) -> NDArray[np.float32] | None:
    """Light (H, W) that the lens adds, in units of the sun's; None where the sun is not before it.

    Args:
        model: Of the camera.
        sun: (3,) unit vector towards the sun, optical frame.
        depth: (H, W), +Inf where the sky is seen: what stands before the sun takes its light away.
    """
    if sun[2] < np.cos(WIDEST):
        return None
    height, width = depth.shape
    at = model.project(sun[None])[0]
    inside = np.isfinite(at).all() and 0 <= at[0] < width and 0 <= at[1] < height
    seen = 1.0
    if inside:
        x, y = (int(k) for k in at)
        around = depth[max(0, y - 4) : y + 5, max(0, x - 4) : x + 5]
        seen = float(np.isposinf(around).mean())
        if seen == 0.0:
            return None
    size = max(2, width // _COARSE), max(2, height // _COARSE)
    rays = np.nan_to_num(model.resized(*size).rays())
    length = np.maximum(np.linalg.norm(rays, axis=-1), 1e-6)
    angle = np.arccos(np.clip(rays @ sun / length, -1.0, 1.0))
    light = np.zeros((size[1], size[0]))
    for strength, spread in (_BLOOM, _VEIL):
        light += strength * np.exp(-((angle / spread) ** 2) if spread < 0.2 else -angle / spread)
    soft = np.asarray(cv2.resize(light.astype(np.float32), (width, height)), np.float32)
    if inside:
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        ghosts = np.zeros((height, width), np.float32)
        for place, radius, strength in _GHOSTS:
            x, y = middle + place * (at - middle)
            disc = np.zeros_like(ghosts)
            cv2.circle(disc, (round(x), round(y)), max(1, round(radius * width)), strength, -1)
            ghosts += disc
        soft += cv2.GaussianBlur(ghosts, (0, 0), 0.006 * width + 0.3)
    return soft * np.float32(seen)
