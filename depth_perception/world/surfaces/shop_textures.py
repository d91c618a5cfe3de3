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

"""Ground floors: four pictures of 12 x 12 m, each four fronts of 12 x 3 m on top of one another.

Front `row` covers v = 3 row to 3 row + 3 m. They carry their own colours; tint is near 1.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from depth_perception.world.surfaces.facade_drawing import TILE, fill, wall_ground
from depth_perception.world.surfaces.tiling_noise import FloatImage

LOBBY_ROW = 3
"""The front of each picture that is an entrance of flats or offices instead of shops."""

_PANE_MIRROR = 0.12

# Width and height of a stroke of spray paint, metres.
_SPRAYED = np.array([(0.5, 0.1), (0.1, 0.5), (0.25, 0.2)])


def shops(rng: np.random.Generator, size: int) -> FloatImage:
    """Draw one picture of ground floors as linear albedo and mirror share: (size, size, 4)."""
    canvas = wall_ground(rng, size, "plaster")
    for row in range(4):
        y = 3.0 * row
        wall = _wall_colour(rng)
        fill(canvas, (0, TILE), (y, y + 3.0), wall, opacity=0.8)
        if row == LOBBY_ROW:
            _lobby(canvas, rng, y, wall)
            continue
        x = 0.0
        while x < TILE:
            width = min(float(rng.choice([3.0, 6.0], p=[0.4, 0.6])), TILE - x)
            _shop(canvas, rng, x, y, width)
            x += width
    return canvas


def _wall_colour(rng: np.random.Generator) -> NDArray[np.floating]:
    grey = rng.uniform(0.12, 0.5)
    return grey * np.array([1.0, rng.uniform(0.85, 1.0), rng.uniform(0.7, 1.0)])


def _paint_colour(rng: np.random.Generator) -> NDArray[np.floating]:
    """A colour that shops are painted in: greys and muted colours mostly, a few loud ones."""
    grey = rng.choice([0.02, 0.05, 0.12, 0.3, 0.7], p=[0.2, 0.25, 0.2, 0.2, 0.15])
    hue = rng.dirichlet([0.7, 0.6, 0.6]) * rng.choice([0.04, 0.12, 0.4], p=[0.4, 0.42, 0.18])
    return np.clip(grey * np.array([1.0, 0.97, 0.92]) + hue, 0.02, 0.8)


def _shop(canvas: FloatImage, rng: np.random.Generator, x: float, y: float, width: float) -> None:
    """Paint one shop: panes over a low wall, a door, a fascia with letters, perhaps an awning."""
    colour = _paint_colour(rng)
    pillar = rng.uniform(0.12, 0.35)
    left, right = x + pillar, x + width - pillar
    head = y + rng.uniform(2.25, 2.45)
    sill = y + rng.choice([0.12, 0.45, 0.6])
    if rng.random() < 0.14:
        _roller_shutter(canvas, rng, (left, right), (y, head))
    else:
        fill(canvas, (left, right), (y, head), colour)
        fill(canvas, (left, right), (y, y + 0.08), 0.05)
        door = left if rng.random() < 0.5 else right - 1.1
        _door(canvas, rng, door + 0.05, (y, head - 0.08), colour)
        pane_left, pane_right = (door + 1.15, right) if door == left else (left, door - 0.05)
        panes = max(int(round((pane_right - pane_left) / rng.uniform(1.2, 2.4))), 1)
        edges = np.linspace(pane_left, pane_right, panes + 1)
        for a, b in pairwise(edges.tolist()):
            _display(canvas, rng, (a + 0.06, b - 0.06), (sill, head - 0.1))
    fill(canvas, (x, x + width), (head - 0.12, head), 0.03, opacity=0.75)
    _fascia(canvas, rng, (x + 0.06, x + width - 0.06), (head, y + 2.92), colour)
    if rng.random() < 0.3:
        _awning(canvas, rng, (left, right), (head - 0.45, head + 0.12))


def _display(
    canvas: FloatImage, rng: np.random.Generator, x: tuple[float, float], y: tuple[float, float]
) -> None:
    """Paint a pane with the shop behind it: dim, with goods, lamps and posters."""
    width, height = x[1] - x[0], y[1] - y[0]
    bright = rng.uniform(0.02, 0.1)
    room = bright * np.array([1.0, rng.uniform(0.85, 1.05), rng.uniform(0.7, 1.1)])
    fill(canvas, x, y, room, mirror=_PANE_MIRROR)
    fill(canvas, x, (y[1] - 0.35 * height, y[1]), room * 0.6, mirror=_PANE_MIRROR)
    for _ in range(int(rng.integers(2, 10))):
        a = x[0] + rng.uniform(0, 0.9) * width
        wide, tall = rng.uniform(0.1, 0.6), rng.uniform(0.1, 0.9)
        b, bottom = min(a + wide, x[1]), y[0] + rng.choice([0.0, 0.0, 0.3, 0.6])
        goods = _paint_colour(rng) * rng.uniform(0.2, 0.8)
        fill(
            canvas,
            (a, b),
            (bottom, min(bottom + tall, y[1])),
            goods,
            mirror=_PANE_MIRROR,
            opacity=0.8,
        )
    if rng.random() < 0.5:
        for lamp in np.arange(x[0] + 0.2, x[1] - 0.1, rng.uniform(0.4, 0.9)):
            fill(canvas, (lamp, lamp + 0.12), (y[1] - 0.2, y[1] - 0.13), (1.0, 0.9, 0.7))
    if rng.random() < 0.35:
        a = x[0] + rng.uniform(0, 0.6) * width
        low = y[0] + rng.uniform(0.1, 0.8)
        poster = (a, min(a + 0.6, x[1])), (low, min(low + 0.8, y[1]))
        fill(canvas, *poster, _paint_colour(rng), mirror=0.05)
        fill(canvas, poster[0], (low + 0.2, low + 0.3), 0.8, mirror=0.05)


def _door(
    canvas: FloatImage,
    rng: np.random.Generator,
    x: float,
    y: tuple[float, float],
    colour: NDArray[np.floating],
) -> None:
    """Paint a door of 1 m, most of it glass."""
    fill(canvas, (x - 0.04, x + 1.04), y, 0.04)
    top = min(y[0] + 2.1, y[1])
    fill(canvas, (x, x + 1.0), (y[0] + 0.03, top), colour * 0.8)
    glass = rng.uniform(0.03, 0.1)
    low = y[0] + rng.choice([0.15, 0.8])
    fill(canvas, (x + 0.12, x + 0.88), (low, top - 0.12), glass, mirror=_PANE_MIRROR)
    fill(canvas, (x, x + 1.0), (top + 0.05, y[1]), glass, mirror=_PANE_MIRROR)
    fill(canvas, (x + 0.14, x + 0.19), (y[0] + 0.9, y[0] + 1.3), 0.6, mirror=0.1)


def _fascia(
    canvas: FloatImage,
    rng: np.random.Generator,
    x: tuple[float, float],
    y: tuple[float, float],
    colour: NDArray[np.floating],
) -> None:
    """Paint the board over a shop, with marks that look like letters from afar."""
    board = colour if rng.random() < 0.5 else _paint_colour(rng)
    fill(canvas, x, y, board)
    fill(canvas, x, (y[1] - 0.04, y[1]), board * 0.5)
    letters = np.full(3, 0.85) if board.mean() < 0.3 else _paint_colour(rng) * 0.3
    tall = (y[1] - y[0]) * rng.uniform(0.35, 0.6)
    low = (y[0] + y[1] - tall) / 2
    position = x[0] + rng.uniform(0.1, 0.3) * (x[1] - x[0])
    end = x[1] - rng.uniform(0.05, 0.3) * (x[1] - x[0])
    while position < end:
        wide = tall * rng.uniform(0.4, 0.8)
        stroke = 0.2 * tall + 0.02
        fill(canvas, (position, position + stroke), (low, low + tall), letters)
        for part in rng.choice([0.0, 0.4, 0.8], size=2, replace=False):
            fill(
                canvas,
                (position, position + wide),
                (low + part * tall, low + (part + 0.2) * tall),
                letters,
            )
        if rng.random() < 0.5:
            fill(canvas, (position + wide - stroke, position + wide), (low, low + tall), letters)
        position += wide + 0.25 * tall + (tall if rng.random() < 0.15 else 0)


def _awning(
    canvas: FloatImage, rng: np.random.Generator, x: tuple[float, float], y: tuple[float, float]
) -> None:
    """Paint an awning, plain or striped, with its shadow."""
    colour = _paint_colour(rng)
    striped = rng.random() < 0.6
    fill(canvas, x, (y[0] - 0.4, y[0]), 0.02, opacity=0.5)
    fill(canvas, x, y, colour)
    if striped:
        for stripe in np.arange(x[0], x[1], 0.5):
            fill(canvas, (stripe, min(stripe + 0.25, x[1])), y, 0.7)
    fill(canvas, x, (y[0], y[0] + 0.14), colour * 0.5, opacity=0.5)


def _roller_shutter(
    canvas: FloatImage, rng: np.random.Generator, x: tuple[float, float], y: tuple[float, float]
) -> None:
    """Paint a closed shutter, often sprayed upon."""
    grey = rng.uniform(0.15, 0.5)
    fill(canvas, x, y, grey)
    for slat in np.arange(y[0], y[1], 0.12):
        fill(canvas, x, (slat, slat + 0.04), grey * 0.55)
    if rng.random() < 0.6:
        spray = _paint_colour(rng)
        for _ in range(14):
            a, b = rng.uniform(*x), rng.uniform(y[0] + 0.3, y[1] - 0.5)
            long, tall = _SPRAYED[rng.integers(len(_SPRAYED))]
            fill(canvas, (a, min(a + long, x[1])), (b, b + tall), spray, opacity=0.7)


def _lobby(
    canvas: FloatImage, rng: np.random.Generator, y: float, wall: NDArray[np.floating]
) -> None:
    """Paint a masonry front with one entrance and windows in the other bays."""
    course = rng.choice([0.3, 0.5, 0.75])
    for low in np.arange(y, y + 2.99, course):
        fill(canvas, (0, TILE), (low, low + 0.03), wall * 0.5)
    fill(canvas, (0, TILE), (y + 2.8, y + 2.95), wall * 1.3)
    fill(canvas, (0, TILE), (y + 2.74, y + 2.8), wall * 0.4)
    fill(canvas, (0, TILE), (y, y + 0.4), wall * 0.6)
    entrance = int(rng.integers(4))
    frame = float(rng.choice([0.05, 0.3, 0.75]))
    for bay in range(4):
        middle = 3.0 * bay + 1.5
        if bay == entrance:
            fill(canvas, (middle - 1.1, middle + 1.1), (y, y + 2.5), wall * 0.25)
            colour = _paint_colour(rng) * 0.5
            fill(canvas, (middle - 0.95, middle + 0.95), (y, y + 2.35), colour)
            for side in (-0.85, 0.08):
                pane = (middle + side, middle + side + 0.77)
                fill(canvas, pane, (y + 0.5, y + 1.95), 0.06, mirror=_PANE_MIRROR)
            fill(
                canvas,
                (middle - 0.85, middle + 0.85),
                (y + 2.05, y + 2.3),
                0.08,
                mirror=_PANE_MIRROR,
            )
            fill(canvas, (middle + 1.2, middle + 1.4), (y + 1.2, y + 1.55), 0.6, mirror=0.1)
            continue
        half = rng.uniform(0.5, 1.1)
        fill(canvas, (middle - half - 0.1, middle + half + 0.1), (y + 0.8, y + 0.92), wall * 1.3)
        fill(canvas, (middle - half, middle + half), (y + 0.9, y + 2.35), frame)
        for side in (-half + 0.07, 0.04):
            pane = (middle + side, middle + side + half - 0.11)
            fill(canvas, pane, (y + 0.98, y + 2.2), rng.uniform(0.03, 0.1), mirror=_PANE_MIRROR)
        if rng.random() < 0.4:  # bars in front of the window
            for bar in np.arange(middle - half, middle + half, 0.16):
                fill(canvas, (bar, bar + 0.03), (y + 0.9, y + 2.35), 0.04)
