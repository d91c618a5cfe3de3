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

"""Drawing on a facade of 12 x 12 m: rectangles in metres, wall grounds, and windows.

A canvas is a (size, size, 4) float32 picture of linear albedo and mirror share, row 0 on top;
x runs right and y up, in metres, and whatever leaves one side comes in at the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depth_perception.world.surfaces.materials import Colour
from depth_perception.world.surfaces.tiling_noise import FloatImage, courses, fractal

TILE = 12.0
"""Edge of the canvas, metres."""

PLASTER = 0.74  # mean albedo of a wall, so that white frames can be brighter

BRICKS: tuple[Colour, ...] = (
    (0.42, 0.17, 0.11),
    (0.34, 0.13, 0.09),
    (0.45, 0.24, 0.15),
    (0.55, 0.42, 0.26),
    (0.30, 0.20, 0.15),
    (0.40, 0.34, 0.28),
    (0.5, 0.47, 0.42),
)
"""Albedo of bricks."""

# Tints are mostly warm: glass that is blue before the tint is grey after it.
_GLASS = np.array([0.065, 0.10, 0.145])
_PANE_MIRROR = 0.13

# Rows and columns of stones or plates on one canvas.
_ASHLARS = ((32, 16), (24, 10), (20, 12))
_PANELS = ((4, 4), (4, 8), (8, 8), (8, 4))


def fill(
    canvas: FloatImage,
    x: tuple[float, float],
    y: tuple[float, float],
    colour: Colour | NDArray[np.floating] | float,
    *,
    mirror: float = 0.0,
    opacity: float = 1.0,
) -> None:
    """Paint a rectangle with smooth edges."""
    size = len(canvas)
    scale = size / TILE
    left, right = x[0] * scale, x[1] * scale
    top, bottom = (TILE - y[1]) * scale, (TILE - y[0]) * scale
    if right <= left or bottom <= top:
        return
    column, row = math.floor(left), math.floor(top)
    cover_x = np.ones(math.ceil(right) - column, np.float32)
    cover_x[0] -= left - column
    cover_x[-1] -= column + len(cover_x) - right
    cover_y = np.ones(math.ceil(bottom) - row, np.float32)
    cover_y[0] -= top - row
    cover_y[-1] -= row + len(cover_y) - bottom
    cover = np.multiply.outer(cover_y * np.float32(opacity), cover_x)[..., None]
    target = np.empty(4, np.float32)
    target[:3], target[3] = colour, mirror
    if 0 <= column <= size - len(cover_x) and 0 <= row <= size - len(cover_y):
        patch = canvas[row : row + len(cover_y), column : column + len(cover_x)]
        patch += cover * (target - patch)
    else:
        rows, columns = np.arange(len(cover_y)) + row, np.arange(len(cover_x)) + column
        index = np.ix_(rows % size, columns % size)
        patch = canvas[index]
        canvas[index] = patch + cover * (target - patch)


def wall_ground(rng: np.random.Generator, size: int, kind: str) -> FloatImage:
    """An empty wall: "plaster", "ashlar", "boards" or "panels" near white, or coloured "brick"."""
    shade = 1 + 0.035 * fractal(rng, size, 1.0) + 0.035 * fractal(rng, size, 0.0)
    streaks = fractal(rng, size, 1.2, tall=30.0, low=3.0)
    shade *= 1 - rng.uniform(0.03, 0.12) * np.clip(streaks, 0, 2.5)
    shade *= 1 - rng.uniform(0.0, 0.08) * np.clip(fractal(rng, size, 1.6), 0, 2)
    colour: FloatImage = np.full((size, size, 3), PLASTER, np.float32)
    if kind == "brick":
        joint, stone, _, _ = courses(size, 160, 50, joint=(0.010 / TILE, 0.012 / TILE))
        base = np.array(BRICKS[rng.integers(len(BRICKS))])
        tone = rng.normal(1.0, 0.16, (160 * 50, 1)).astype(np.float32)
        hue = rng.normal(0.0, 0.08, (160 * 50, 1)) * np.array([-0.4, 0.6, 1.0])
        brick = (base * tone * (1 + hue))[stone]
        mortar = np.full(3, rng.choice([0.25, 0.5, 0.62]))
        colour = brick + 0.8 * joint[..., None] * (mortar - brick)
    elif kind == "ashlar":
        rows, columns = _ASHLARS[int(rng.integers(len(_ASHLARS)))]
        joint, stone, _, _ = courses(size, rows, columns, joint=(0.02 / TILE, 0.02 / TILE))
        colour = (
            colour
            * rng.normal(1, 0.06, rows * columns)[stone, None]
            * (1 - 0.35 * joint)[..., None]
        )
    elif kind == "boards":
        rows = int(rng.choice([48, 64, 80]))
        _, _, _, height = courses(size, rows, 2, joint=(0, 0))
        colour = colour * (1.03 - 0.3 * (height < 0.18) + 0.05 * (height > 0.8))[..., None]
    elif kind == "panels":
        rows, columns = _PANELS[int(rng.integers(len(_PANELS)))]
        joint, stone, _, _ = courses(size, rows, columns, joint=(0.05 / TILE, 0.05 / TILE), shift=0)
        colour = (
            colour * rng.normal(1, 0.04, rows * columns)[stone, None] * (1 - 0.4 * joint)[..., None]
        )
    canvas = np.zeros((size, size, 4), np.float32)
    canvas[..., :3] = np.clip(colour * shade[..., None], 0.05, 0.98)
    return canvas


@dataclass(frozen=True)
class WindowStyle:
    """What the windows of a facade have in common; lengths in metres.

    Attributes:
        width: Of the opening.
        height: Of the opening.
        across: Panes side by side.
        transom: Height of a bar from the bottom, as a part of the window; 0 for none.
        frame: Colour of the frame.
        trim: Colour of the surround and the sill.
        surround: Width of the surround, 0 for none.
        ledge: A small cornice over the window.
        arch: How far the top is round: 0 straight, 1 half a circle.
        shutters: Their colour, or none.
        railing: A railing in front, as of French windows.
    """

    width: float
    height: float
    across: int = 2
    transom: float = 0.0
    frame: Colour = (0.95, 0.95, 0.95)
    trim: Colour = (0.9, 0.9, 0.9)
    surround: float = 0.0
    ledge: bool = False
    arch: float = 0.0
    shutters: Colour | None = None
    railing: bool = False


def glazing(
    canvas: FloatImage,
    rng: np.random.Generator,
    x: tuple[float, float],
    y: tuple[float, float],
    *,
    lit: float = 0.06,
    mirror: float = _PANE_MIRROR,
    dwelling: bool = True,
) -> None:
    """Paint the glass of one window with the room, curtains and blinds behind it."""
    width, height = x[1] - x[0], y[1] - y[0]
    if rng.random() < lit:
        warm = np.array([1.0, rng.uniform(0.75, 0.95), rng.uniform(0.4, 0.75)])
        fill(canvas, x, y, warm * rng.uniform(0.55, 0.95), mirror=mirror)
        fill(canvas, x, (y[0], y[0] + 0.35 * height), warm * 0.4, mirror=mirror, opacity=0.6)
    else:
        glass = _GLASS * rng.uniform(0.5, 1.7)
        fill(canvas, x, y, glass, mirror=mirror)
        # The upper part of a pane mirrors more of the sky, the lower more of the street.
        fill(canvas, x, (y[0] + rng.uniform(0.4, 0.75) * height, y[1]), glass * 1.6, mirror=mirror)
    pick = rng.random()
    cloth = np.array([1.0, 0.97, 0.92]) * rng.uniform(0.3, 0.75)
    if dwelling and pick < 0.5:
        for side in (0, 1):
            if rng.random() < 0.85:
                share = width * rng.uniform(0.08, 0.32)
                edge = (x[0], x[0] + share) if side == 0 else (x[1] - share, x[1])
                fill(canvas, edge, y, cloth, mirror=mirror, opacity=0.9)
                fold = (edge[0] + 0.4 * share, edge[0] + 0.6 * share)
                fill(canvas, fold, y, cloth * 0.6, mirror=mirror, opacity=0.7)
    elif dwelling and pick < 0.6:
        fill(
            canvas,
            x,
            (y[0], y[0] + rng.uniform(0.35, 0.6) * height),
            cloth,
            mirror=mirror,
            opacity=0.6,
        )
    elif pick < 0.85:
        low = y[1] - height * rng.choice([0.15, 0.3, 0.5, 0.75, 1.0], p=[0.3, 0.25, 0.2, 0.15, 0.1])
        fill(canvas, x, (low, y[1]), cloth, mirror=mirror, opacity=0.95)
        for slat in np.arange(low + 0.06, y[1], 0.2):
            fill(canvas, x, (slat, slat + 0.04), cloth * 0.6, mirror=mirror, opacity=0.6)


def window(
    canvas: FloatImage, rng: np.random.Generator, x: float, y: float, style: WindowStyle
) -> None:
    """Paint a window whose bottom middle is at (x, y)."""
    left, right, top = x - style.width / 2, x + style.width / 2, y + style.height
    trim = np.asarray(style.trim)
    edge = style.surround
    if edge > 0:
        fill(canvas, (left - edge - 0.04, right + edge + 0.05), (y - 0.04, top + edge), trim * 0.55)
        fill(canvas, (left - edge, right + edge), (y, top + edge + 0.02), trim)
    if style.ledge:
        fill(canvas, (left - 0.28, right + 0.28), (top + 0.12, top + 0.2), trim * 0.4)
        fill(canvas, (left - 0.28, right + 0.28), (top + 0.2, top + 0.34), trim)
    wall = canvas.copy() if style.arch > 0 else canvas
    fill(canvas, (left, right), (y, top), trim * 0.3)  # the reveal lies in shadow
    inner_x, inner_y = (left + 0.04, right - 0.04), (y, top - 0.09)
    fill(canvas, inner_x, inner_y, style.frame)
    pane_x = (inner_x[0] + 0.07, inner_x[1] - 0.07)
    pane_y = (inner_y[0] + 0.08, inner_y[1] - 0.07)
    glazing(canvas, rng, pane_x, pane_y)
    for k in range(1, style.across):
        middle = pane_x[0] + (pane_x[1] - pane_x[0]) * k / style.across
        fill(canvas, (middle - 0.045, middle + 0.045), pane_y, style.frame)
    if style.transom > 0:
        bar = y + style.transom * style.height
        fill(canvas, pane_x, (bar - 0.04, bar + 0.04), style.frame)
    if style.arch > 0:
        _round_top(canvas, wall, x, top, style)
    if style.railing:
        _railing(canvas, (left - 0.12, right + 0.12), y)
    else:
        fill(canvas, (left - 0.12, right + 0.14), (y - 0.16, y - 0.07), trim * 0.4)
        fill(canvas, (left - 0.1, right + 0.1), (y - 0.08, y + 0.02), trim)
        for corner in (left - 0.05, right - 0.05):  # rain runs off the ends of the sill
            run = rng.uniform(0.2, 0.8)
            fill(canvas, (corner, corner + 0.1), (y - 0.16 - run, y - 0.16), 0.3, opacity=0.12)
    if style.shutters is not None:
        _shutters(canvas, rng, (left, right), (y, top), np.asarray(style.shutters))


def _round_top(
    canvas: FloatImage, wall: FloatImage, x: float, top: float, style: WindowStyle
) -> None:
    """Put the wall back above the arch of a window, with a ring of stones along it."""
    scale = len(canvas) / TILE
    half = style.width / 2
    rise = max(style.arch * half, 0.1)
    rows = slice(max(int((TILE - top - 0.4) * scale), 0), int((TILE - top + rise) * scale) + 1)
    columns = slice(int((x - half - 0.4) * scale), int((x + half + 0.4) * scale) + 1)
    part, behind = canvas[rows, columns], wall[rows, columns]
    across = ((np.arange(part.shape[1]) + columns.start + 0.5) / scale - x) / half
    height = TILE - (np.arange(part.shape[0]) + rows.start + 0.5) / scale
    above = ((height - (top - rise)) / rise)[:, None]
    beyond = (np.hypot(across, above) - 1) * rise * scale
    outside = np.where(above > 0, np.clip(beyond + 0.5, 0, 1), 0)
    part += (outside[..., None] * (behind - part)).astype(np.float32)
    ring = outside * np.clip(0.2 * scale - beyond, 0, 1)
    part += (0.8 * ring[..., None] * (np.append(style.trim, 0.0) - part)).astype(np.float32)


def _railing(canvas: FloatImage, x: tuple[float, float], y: float) -> None:
    """Paint a balcony's slab and its railing."""
    fill(canvas, (x[0] - 0.1, x[1] + 0.1), (y - 0.34, y - 0.12), 0.22)
    fill(canvas, (x[0] - 0.1, x[1] + 0.1), (y - 0.14, y + 0.02), 0.8)
    for bar in np.arange(x[0], x[1], 0.12):
        fill(canvas, (bar, bar + 0.03), (y, y + 1.0), 0.05)
    fill(canvas, x, (y + 0.97, y + 1.04), 0.05)
    fill(canvas, x, (y + 0.08, y + 0.12), 0.05)


def _shutters(
    canvas: FloatImage,
    rng: np.random.Generator,
    x: tuple[float, float],
    y: tuple[float, float],
    colour: NDArray[np.floating],
) -> None:
    """Paint the pair of shutters of a window, mostly open, at times shut."""
    half = (x[1] - x[0]) / 2
    shut = rng.random() < 0.12
    leaves = [(x[0], x[0] + half), (x[1] - half, x[1])]
    if not shut:
        leaves = [(x[0] - half, x[0] - 0.02), (x[1] + 0.02, x[1] + half)]
    for leaf in leaves:
        fill(canvas, (leaf[0] + 0.03, leaf[1] + 0.05), (y[0] - 0.05, y[1]), 0.25, opacity=0.7)
        fill(canvas, leaf, y, colour)
        for slat in np.arange(y[0] + 0.1, y[1] - 0.05, 0.14):
            fill(canvas, (leaf[0] + 0.06, leaf[1] - 0.06), (slat, slat + 0.05), colour * 0.5)
