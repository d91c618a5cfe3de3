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

"""The grid of pixels over (s, t) on which the ground is painted, and how shapes get onto it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

RESOLUTION = 0.05
"""Edge of a pixel of the picture, m."""

REACH = 28.0
"""The picture ends at |t| = REACH; its border goes on from there to the ground's edge, m."""

SHIFT = 4
"""Fractional bits of the coordinates that OpenCV gets."""

Mask = NDArray[np.uint8]
Point = tuple[float, float]


@dataclass(frozen=True)
class GroundGrid:
    """Pixels `RESOLUTION` metres apart; row 0 is at t = `REACH`, column 0 at s = start.

    Attributes:
        start: s of column 0, m.
        width: Columns.
        height: Rows.
        s: (width,) s of the columns, m.
        t: (height,) t of the rows, m; falls.
    """

    start: float
    width: int
    height: int
    s: NDArray[np.float64]
    t: NDArray[np.float64]

    @property
    def end(self) -> float:
        """The s of the last column, m."""
        return float(self.s[-1])

    def layer(self) -> Mask:
        """An empty layer (height, width)."""
        return np.zeros((self.height, self.width), np.uint8)

    def pixel(self, s: float, t: float) -> tuple[int, int]:
        """Column and row of (s, t), with `SHIFT` fractional bits."""
        u, v = (s - self.start) / RESOLUTION, (REACH - t) / RESOLUTION
        return int(round(u * (1 << SHIFT))), int(round(v * (1 << SHIFT)))

    def polygon(self, layer: Mask, points: Sequence[Point], value: int) -> None:
        """Fill a polygon with corners (s, t)."""
        corners = np.array([self.pixel(*p) for p in points], np.int32)
        cv2.fillPoly(layer, [corners], value, cv2.LINE_AA, SHIFT)

    def rectangle(
        self, layer: Mask, s0: float, s1: float, t0: float, t1: float, value: int
    ) -> None:
        """Fill the rectangle between two values of s and of t."""
        self.polygon(layer, [(s0, t0), (s1, t0), (s1, t1), (s0, t1)], value)

    def line(self, layer: Mask, points: Sequence[Point], width: float, value: int) -> None:
        """Draw a line through points (s, t), `width` m wide but at least a pixel."""
        corners = np.array([self.pixel(*p) for p in points], np.int32)
        thickness = max(1, round(width / RESOLUTION))
        cv2.polylines(layer, [corners], False, value, thickness, cv2.LINE_AA, SHIFT)

    def noise(
        self, rng: np.random.Generator, finest: float, coarsest: float
    ) -> NDArray[np.float32]:
        """Noise (height, width) about from -1 to 1, grains from `finest` to `coarsest` metres."""
        total = np.zeros((self.height, self.width), np.float32)
        scale, weight, sum_weights = coarsest, 1.0, 0.0
        while scale >= finest:
            rows = max(2, int(2 * REACH / scale) + 2)
            columns = max(2, int(self.width * RESOLUTION / scale) + 2)
            grains = rng.standard_normal((rows, columns)).astype(np.float32)
            total += weight * cv2.resize(
                grains, (self.width, self.height), interpolation=cv2.INTER_LINEAR
            )
            sum_weights += weight
            scale, weight = scale / 3.0, weight * 0.8
        return total / np.float32(sum_weights)


def make_grid(start: float, end: float) -> GroundGrid:
    """Make the grid from s = start to s = end."""
    width = int(np.ceil((end - start) / RESOLUTION)) + 1
    height = int(round(2 * REACH / RESOLUTION)) + 1
    return GroundGrid(
        start,
        width,
        height,
        s=start + RESOLUTION * np.arange(width, dtype=np.float64),
        t=REACH - RESOLUTION * np.arange(height, dtype=np.float64),
    )
