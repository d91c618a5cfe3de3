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

"""Patterns that repeat without a seam, from which the surface textures are put together.

Pictures have row 0 at the top; positions along a tile run from 0 to 1, rightwards and upwards.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.floating]


def fractal(
    rng: np.random.Generator, size: int, slope: float = 1.0, *, tall: float = 1.0, low: float = 1.0
) -> FloatImage:
    """Random field with the spectrum 1 / frequency^slope, mean 0 and standard deviation 1.

    Args:
        rng: Where the randomness comes from.
        size: Edge of the square, pixels.
        slope: 0 for white noise, 1 for clouds with fine detail, 2 for soft blotches.
        tall: How much longer than wide the features are; less than 1 for lying ones.
        low: Frequency (cycles per tile) below which the spectrum is flat.
    """
    up = np.fft.fftfreq(size, 1 / size)[:, None] * np.sqrt(tall)
    across = np.fft.rfftfreq(size, 1 / size)[None] / np.sqrt(tall)
    frequency = np.hypot(up, across)
    gain = np.maximum(frequency, low) ** -slope
    gain[0, 0] = 0.0
    phases = rng.standard_normal((2, *gain.shape))
    field = np.fft.irfft2(gain * (phases[0] + 1j * phases[1]), s=(size, size))
    return (field / field.std()).astype(np.float32)


def axes(size: int) -> tuple[FloatImage, FloatImage]:
    """Position of the pixels' middles: rightwards (1, size) and upwards (size, 1)."""
    middles = ((np.arange(size) + 0.5) / size).astype(np.float32)
    return middles[None], 1 - middles[:, None]


def courses(
    size: int, rows: int, columns: int, *, joint: tuple[float, float], shift: float = 0.5
) -> tuple[FloatImage, NDArray[np.intp], FloatImage, FloatImage]:
    """Stones of one size laid in rows.

    Args:
        size: Edge of the square, pixels.
        rows: Rows in a tile; even where every second row is shifted.
        columns: Stones in a row.
        joint: Width of the upright and of the lying joints, parts of the tile.
        shift: By how much of a stone every second row is shifted.

    Returns:
        How much of each pixel is joint, the number of its stone, and the position in the stone,
        0 to 1 rightwards and upwards.
    """
    x, y = axes(size)
    row = np.floor(y * rows)
    along = x * columns + shift * (row % 2)
    column = np.floor(along)
    in_x, in_y = along - column, np.broadcast_to(y * rows - row, (size, size))
    stone = (row * columns + column % columns).astype(np.intp)
    upright = _line(np.minimum(in_x, 1 - in_x) * size / columns, joint[0] * size)
    lying = _line(np.minimum(in_y, 1 - in_y) * size / rows, joint[1] * size)
    return np.maximum(upright, lying), stone, in_x, in_y


def _line(distance: FloatImage, width: float) -> FloatImage:
    """Share of a pixel that a line covers, from the distance to its middle; both in pixels."""
    return np.clip(width / 2 - distance + 0.5, 0, 1) * np.float32(min(width, 1.0))


def cells(
    rng: np.random.Generator, size: int, rows: int, columns: int, *, jitter: float = 0.9
) -> tuple[FloatImage, FloatImage, NDArray[np.intp]]:
    """Irregular stones: the Voronoi cells of jittered grid points.

    Returns:
        Distance to the nearest point, how much farther the second is (0 at a joint), both in
        cells, and the number of the nearest.
    """
    points = 0.5 + jitter * (rng.random((rows, columns, 2), np.float32) - 0.5)
    x, y = axes(size)
    x, y = x * columns, y * rows
    column, row = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    nearest = np.full((size, size), 9.0, np.float32)
    second = nearest.copy()
    owner = np.zeros((size, size), np.intp)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            r, c = (row + down) % rows, (column + right) % columns
            distance = np.hypot(
                column + right + points[r, c, 0] - x, row + down + points[r, c, 1] - y
            )
            closer = distance < nearest
            second = np.where(closer, nearest, np.minimum(second, distance))
            owner = np.where(closer, r * columns + c, owner)
            nearest = np.where(closer, distance, nearest)
    return nearest, second - nearest, owner
