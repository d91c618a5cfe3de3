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

"""Textures of grounds and masonry, which carry their own colours: a tint near 1 shades them.

Every function returns linear albedo (size, size, 3) of a tile; the edges in metres are those of
`materials.MATERIALS`.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from depth_perception.world.surfaces.tiling_noise import FloatImage, axes, cells, courses, fractal


def coloured(field: FloatImage, *colours: ArrayLike) -> FloatImage:
    """Colour a field by a ramp: -2 gets the first colour, 2 the last."""
    ramp = np.asarray(colours, np.float32)
    at = np.linspace(-2, 2, len(ramp))
    return np.stack([np.interp(field, at, ramp[:, c]) for c in range(3)], -1).astype(np.float32)


def _shaded(colour: FloatImage, shade: FloatImage | NDArray[np.floating]) -> FloatImage:
    return (colour * np.maximum(shade, 0.05)[..., None]).astype(np.float32)


def _hues(
    rng: np.random.Generator, count: int, colour: ArrayLike, spread: float = 0.12
) -> NDArray[np.floating]:
    """Colours around one, redder or yellower: (count, 3)."""
    warmth = rng.normal(0, spread, (count, 1)).clip(-0.3, 0.3)
    return np.asarray(colour) * (1 + warmth * np.array([-0.2, 0.7, 0.9]))


def marks(
    canvas: FloatImage,
    rng: np.random.Generator,
    count: int,
    length: tuple[float, float],
    width: tuple[float, float],
    colours: FloatImage,
) -> None:
    """Lay short strokes or leaves at random places, over the edges too.

    Args:
        canvas: (size, size, 3) picture, painted on.
        rng: Where the randomness comes from.
        count: How many.
        length: Shortest and longest, parts of the tile.
        width: Thinnest and thickest, parts of the tile.
        colours: (N, 3) colours to choose from.
    """
    size = len(canvas)
    centres = rng.random((count, 2)) * size
    long, wide = rng.uniform(*length, count) * size / 2, rng.uniform(*width, count) * size / 2
    angle = rng.uniform(0.0, np.pi, count)
    # Rhombs with a pixel's least width, as polygons in 1/16 pixel.
    along = np.stack([np.cos(angle), np.sin(angle)], 1)
    across = np.stack([-along[:, 1], along[:, 0]], 1) * np.maximum(wide, 0.5)[:, None]
    along *= long[:, None]
    corners = np.stack([along, across, -along, -across], 1)
    picked = colours[rng.integers(len(colours), size=count)].tolist()
    reach = np.abs(corners).max((1, 2))
    for n in range(count):
        margin = reach[n] + 1
        shifts = [
            (dx, dy)
            for dx in _wraps(centres[n, 0], margin, size)
            for dy in _wraps(centres[n, 1], margin, size)
        ]
        for shift in shifts:
            points = np.rint((corners[n] + centres[n] + shift) * 16).astype(np.int32)
            cv2.fillConvexPoly(canvas, points, picked[n], cv2.LINE_8, 4)


def _wraps(position: float, margin: float, size: int) -> tuple[int, ...]:
    if position < margin:
        return (0, size)
    if position > size - margin:
        return (0, -size)
    return (0,)


def cracks(rng: np.random.Generator, size: int, width: float) -> FloatImage:
    """Share of each pixel that cracks cover: where a soft field crosses zero, in some places."""
    field = fractal(rng, size, 1.9)
    steep = np.hypot(field - np.roll(field, 1, 0), field - np.roll(field, 1, 1)) + 1e-4
    line = np.clip(width + 0.5 - np.abs(field) / steep, 0, 1)
    return line * np.clip(fractal(rng, size, 1.6) * 2 - 1.0, 0, 1)


def asphalt(rng: np.random.Generator, size: int) -> FloatImage:
    """Dark binder with light stones in it and hair cracks; even, as its tile is small."""
    stones = np.clip(fractal(rng, size, 0.0) - 1.2, 0, 2) * 0.05
    grain = 0.018 * fractal(rng, size, 0.3) + 0.009 * fractal(rng, size, 1.2, low=7.0)
    grey = np.clip(0.115 + grain + stones, 0.03, 0.4)
    grey = grey * (1 - 0.3 * cracks(rng, size, 0.6))
    return _shaded(
        coloured(fractal(rng, size, 1.0, low=5.0), (0.97, 0.98, 1.0), (1.03, 1.0, 0.95)), grey
    )


def concrete(rng: np.random.Generator, size: int) -> FloatImage:
    """Cast concrete: clouds, drips, the joints and tie holes of its forms."""
    shade = 1 + 0.06 * fractal(rng, size, 1.3) + 0.05 * fractal(rng, size, 0.2)
    shade *= 1 - 0.10 * np.clip(fractal(rng, size, 1.2, tall=25.0, low=2.0), 0, 2)
    joint, panel, x, y = courses(size, 2, 2, joint=(0.006, 0.006), shift=0)
    shade *= rng.normal(1, 0.05, 4)[panel] * (1 - 0.4 * joint)
    hole = np.hypot(np.abs(x - 0.5) - 0.3, np.abs(y - 0.5) - 0.3)
    shade *= np.where(hole < 0.018, 0.45, 1.0)
    return _shaded(coloured(fractal(rng, size, 1.5), (0.33, 0.32, 0.30), (0.42, 0.41, 0.38)), shade)


def soil(rng: np.random.Generator, size: int) -> FloatImage:
    """Earth with pebbles, twigs and dry leaves."""
    field = fractal(rng, size, 0.9, low=5.0)
    ground = coloured(field, (0.06, 0.04, 0.025), (0.14, 0.095, 0.06), (0.26, 0.19, 0.13))
    ground *= (1 + 0.15 * fractal(rng, size, 0.0))[..., None]
    litter = np.array([[0.3, 0.2, 0.1], [0.2, 0.12, 0.05], [0.35, 0.33, 0.3], [0.1, 0.13, 0.04]])
    marks(ground, rng, 160, (0.008, 0.03), (0.004, 0.012), litter.astype(np.float32))
    return ground


def grass(rng: np.random.Generator, size: int) -> FloatImage:
    """Lawn: blades over a dark ground, in patches of several greens, with weeds and dry spots."""
    turf = np.full((size, size, 3), (0.05, 0.075, 0.02), np.float32)
    blades = np.array(
        [
            [0.09, 0.16, 0.03],
            [0.12, 0.20, 0.05],
            [0.15, 0.21, 0.07],
            [0.07, 0.13, 0.03],
            [0.22, 0.22, 0.09],
            [0.10, 0.18, 0.06],
        ]
    )
    marks(turf, rng, 2600, (0.02, 0.06), (0.003, 0.006), blades.astype(np.float32))
    patches = fractal(rng, size, 1.5, low=5.0)
    turf *= coloured(patches, (0.8, 0.87, 0.85), (1, 1, 1), (1.35, 1.15, 1.1))
    turf *= (1 + 0.12 * fractal(rng, size, 0.4))[..., None]
    flowers = np.array([[0.7, 0.7, 0.65], [0.6, 0.5, 0.05], [0.3, 0.2, 0.08]], np.float32)
    marks(turf, rng, 22, (0.006, 0.014), (0.006, 0.01), flowers)
    return turf


def gravel(rng: np.random.Generator, size: int) -> FloatImage:
    """Small stones of several greys and browns with dark gaps."""
    _, gap, stone = cells(rng, size, 26, 26)
    kinds = np.array(
        [[0.35, 0.33, 0.30], [0.25, 0.24, 0.23], [0.42, 0.38, 0.31], [0.3, 0.24, 0.19]]
    )
    tone = kinds[rng.integers(4, size=26 * 26)] * rng.uniform(0.6, 1.25, (26 * 26, 1))
    shade = np.clip(0.3 + 2.2 * gap, 0.3, 1.0) * (1 + 0.1 * fractal(rng, size, 0.4))
    return _shaded(
        tone[stone].astype(np.float32), shade * (1 + 0.06 * fractal(rng, size, 1.5, low=4.0))
    )


def cobbles(rng: np.random.Generator, size: int) -> FloatImage:
    """Setts of about 10 cm, rounded, with sand or moss between them."""
    _, gap, stone = cells(rng, size, 12, 12, jitter=0.4)
    tone = rng.uniform(0.14, 0.34, (144, 1)) * _hues(rng, 144, (1.0, 0.97, 0.92), 0.05)
    shade = (0.75 + 0.25 * np.clip(gap * 2, 0, 1)) * (1 + 0.12 * fractal(rng, size, 0.5))
    sett = _shaded(tone[stone].astype(np.float32), shade)
    between = coloured(
        fractal(rng, size, 1.2), (0.07, 0.06, 0.045), (0.16, 0.13, 0.10), (0.07, 0.1, 0.03)
    )
    cover = np.clip(1.4 - gap * 11, 0, 1)[..., None]
    return sett + cover * (between - sett)


def slabs(rng: np.random.Generator, size: int) -> FloatImage:
    """Paving slabs of 40 x 30 cm with dark joints, stains and old gum."""
    joint, slab, _, _ = courses(size, 4, 3, joint=(0.012, 0.012))
    tone = rng.normal(0.36, 0.035, (12, 1)) * _hues(rng, 12, (1.0, 0.96, 0.9), 0.03)
    shade = 1 + 0.07 * fractal(rng, size, 0.9) + 0.06 * fractal(rng, size, 0.0)
    shade *= 1 - 0.12 * np.clip(fractal(rng, size, 1.7), 0, 2)
    shade *= (1 - 0.65 * joint) * (1 - 0.4 * cracks(rng, size, 0.5))
    paving = _shaded(tone[slab].astype(np.float32), shade)
    gum = np.array([[0.15, 0.15, 0.15], [0.5, 0.5, 0.48], [0.2, 0.16, 0.1]], np.float32)
    marks(paving, rng, 14, (0.012, 0.022), (0.012, 0.02), gum)
    return paving


def brick(rng: np.random.Generator, size: int) -> FloatImage:
    """Brickwork: 26 courses of 8 bricks in 2 m."""
    joint, number, _, height = courses(size, 26, 8, joint=(0.006, 0.006))
    tone = rng.normal(1, 0.17, (208, 1)) * _hues(rng, 208, (0.40, 0.17, 0.11))
    tone[rng.random(208) < 0.06] *= 0.5  # burnt ones
    shade = (1 + 0.1 * fractal(rng, size, 0.4)) * (0.92 + 0.12 * height)
    wall = _shaded(tone[number].astype(np.float32), shade)
    mortar = coloured(fractal(rng, size, 0.8), (0.28, 0.26, 0.23), (0.45, 0.42, 0.38))
    wall = wall + joint[..., None] * (mortar - wall)
    return _shaded(wall, 1 - 0.1 * np.clip(fractal(rng, size, 1.6), -1, 2))


def stone(rng: np.random.Generator, size: int) -> FloatImage:
    """Walls of rough stones of many sizes."""
    _, gap, number = cells(rng, size, 14, 8, jitter=0.75)
    tone = rng.normal(0.31, 0.07, (112, 1)) * _hues(rng, 112, (1.0, 0.93, 0.82), 0.06)
    shade = 1 + 0.09 * fractal(rng, size, 0.9) + 0.06 * fractal(rng, size, 0.1)
    shade *= 1 - 0.12 * np.clip(fractal(rng, size, 1.6), 0, 2)
    rough = _shaded(np.clip(tone, 0.08, 0.6)[number].astype(np.float32), shade)
    mortar = coloured(fractal(rng, size, 0.6), (0.12, 0.11, 0.09), (0.24, 0.22, 0.19))
    return rough + np.clip(1.3 - gap * 9, 0, 1)[..., None] * (mortar - rough)


def roof_tiles(rng: np.random.Generator, size: int) -> FloatImage:
    """Rows of curved tiles, each in the shadow of that above, with lichen."""
    _, number, x, y = courses(size, 6, 8, joint=(0, 0))
    tone = rng.normal(1, 0.13, (48, 1)) * _hues(rng, 48, (0.34, 0.16, 0.10))
    # The upper end of a tile lies in shadow, and so does one side of its curve.
    shade = np.clip(1.15 - 1.1 * np.clip(y - 0.72, 0, 1) * 2, 0.25, 1.15)
    shade = shade * (0.8 + 0.3 * np.sin(np.pi * x)) * np.where(y < 0.08, 1.15, 1.0)
    shade *= (1 + 0.09 * fractal(rng, size, 0.6)) * (1 - 0.12 * fractal(rng, size, 1.5))
    tiles = _shaded(tone[number].astype(np.float32), shade)
    lichen = np.clip(fractal(rng, size, 1.1) - 1.4, 0, 1)[..., None] * 0.6
    return tiles + lichen * (np.array([0.22, 0.23, 0.16], np.float32) - tiles)


def wood(rng: np.random.Generator, size: int) -> FloatImage:
    """Ten upright weathered boards."""
    x, _ = axes(size)
    board = np.floor(x * 10).astype(np.intp)
    tone = rng.normal(1, 0.12, (10, 1)) * _hues(rng, 10, (0.30, 0.20, 0.12))
    grain = 1 + 0.16 * fractal(rng, size, 0.6, tall=120.0) + 0.05 * fractal(rng, size, 0.5)
    gap = np.clip(1.6 - np.abs(x * 10 - np.rint(x * 10)) * size / 10, 0, 1)
    grey = np.clip(0.3 + 0.25 * fractal(rng, size, 1.3, tall=8.0), 0, 0.8)[..., None]
    boards = np.broadcast_to(tone[board], (size, size, 3))
    boards = boards + grey * (np.array([0.27, 0.26, 0.24]) - boards)
    return _shaded(boards.astype(np.float32), grain * (1 - 0.8 * gap))
