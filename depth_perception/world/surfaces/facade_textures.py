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

"""Facades above the ground floor: eight of 4 x 4 bays of 3 m.

Their walls are near white for the tint to colour, but for those of brick. The kind of each is
fixed, so that who builds can pick a fitting one; all the rest is drawn.
"""

from __future__ import annotations

import numpy as np

from depth_perception.world.surfaces.facade_drawing import (
    TILE,
    WindowStyle,
    fill,
    glazing,
    wall_ground,
    window,
)
from depth_perception.world.surfaces.materials import Colour
from depth_perception.world.surfaces.tiling_noise import FloatImage

DWELLINGS = (0, 1, 2, 3, 4, 5)
"""Facades with single windows."""

BRICK = (2, 3)
"""Those dwellings that are of brick, which has its own colour: their tint is a light grey."""

OFFICES = (6, 7)
"""Facades with strips and grids of glass."""

_BAY = 3.0
_FRAMES: tuple[Colour, ...] = (
    (0.96, 0.96, 0.95),
    (0.96, 0.96, 0.95),
    (0.96, 0.95, 0.9),
    (0.3, 0.2, 0.14),
    (0.12, 0.12, 0.13),
)
_TRIMS: tuple[Colour, ...] = (
    (0.95, 0.95, 0.93),
    (0.9, 0.87, 0.8),
    (0.6, 0.6, 0.6),
    (0.8, 0.8, 0.82),
)
_SHUTTERS: tuple[Colour, ...] = (
    (0.12, 0.25, 0.16),
    (0.1, 0.16, 0.3),
    (0.3, 0.12, 0.1),
    (0.75, 0.75, 0.75),
    (0.3, 0.24, 0.18),
)


def facade(rng: np.random.Generator, size: int, kind: int) -> FloatImage:
    """Draw one facade as linear albedo and mirror share: (size, size, 4).

    Args:
        rng: Where the randomness comes from.
        size: Edge of the picture, pixels.
        kind: 0 plain windows, 1 ornate, 2 brick, 3 brick with arches, 4 wide modern windows,
            5 French windows with railings, 6 strips of glass, 7 a grid of glass.
    """
    if kind in OFFICES:
        return _office(rng, size, strips=kind == OFFICES[0])
    ground = {
        0: ("plaster", "boards"),
        1: ("plaster", "ashlar"),
        2: ("brick",),
        3: ("brick",),
        4: ("plaster", "panels", "boards"),
        5: ("plaster", "plaster", "ashlar"),
    }[kind]
    canvas = wall_ground(rng, size, str(rng.choice(ground)))
    style = _style(rng, kind)
    _bands(canvas, rng, kind, style)
    # One column of many facades differs: a staircase, a bathroom.
    odd = int(rng.integers(4)) if kind not in (1, 3) and rng.random() < 0.5 else -1
    narrow = WindowStyle(
        rng.uniform(0.5, 0.8),
        rng.uniform(0.7, 1.3),
        1,
        0.0,
        style.frame,
        style.trim,
        style.surround,
    )
    bottom = 0.14 if style.railing else min(0.9, 2.72 - style.height)
    for row in range(4):
        for column in range(4):
            x, y = (column + 0.5) * _BAY, row * _BAY
            if column == odd:
                window(canvas, rng, x, y + 2.3 - narrow.height, narrow)
                continue
            window(canvas, rng, x, y + bottom, style)
            if kind in (0, 2, 4) and rng.random() < 0.15:
                _air_conditioner(canvas, x + rng.choice([-1, 1]) * (style.width / 2 + 0.5), y + 0.3)
    if rng.random() < 0.6:
        _drain_pipe(canvas, rng, float(rng.choice([0.05, 6.0])))
    return canvas


def _style(rng: np.random.Generator, kind: int) -> WindowStyle:
    """Draw what the windows of a facade look like."""
    frame = _FRAMES[rng.integers(len(_FRAMES))]
    trim = _TRIMS[rng.integers(len(_TRIMS))]
    shutters = _SHUTTERS[rng.integers(len(_SHUTTERS))] if rng.random() < 0.55 else None
    transom = float(rng.choice([0.0, 0.5, 0.7]))
    edge = float(rng.choice([0.0, 0.12]))
    if kind == 0:
        width = rng.uniform(0.9, 1.2) if shutters is not None else rng.uniform(0.9, 1.6)
        return WindowStyle(
            width, rng.uniform(1.2, 1.6), 2, transom, frame, trim, edge, shutters=shutters
        )
    if kind == 1:
        return WindowStyle(
            rng.uniform(1.0, 1.3),
            rng.uniform(1.7, 1.95),
            2,
            0.7,
            frame,
            trim,
            0.16,
            ledge=True,
            shutters=shutters if rng.random() < 0.3 else None,
        )
    if kind == 2:
        across = int(rng.integers(1, 4))
        return WindowStyle(0.5 + 0.5 * across, rng.uniform(1.3, 1.7), across, 0.5, frame, trim, 0.0)
    if kind == 3:
        return WindowStyle(
            rng.uniform(1.0, 1.5),
            rng.uniform(1.6, 1.9),
            2,
            0.62,
            frame,
            trim,
            arch=rng.uniform(0.35, 1.0),
        )
    if kind == 4:
        across = int(rng.integers(2, 4))
        return WindowStyle(rng.uniform(1.8, 2.4), rng.uniform(1.2, 1.7), across, 0.0, frame, trim)
    return WindowStyle(
        rng.uniform(1.2, 2.0), rng.uniform(2.2, 2.4), 2, 0.0, frame, trim, edge, railing=True
    )


def _bands(canvas: FloatImage, rng: np.random.Generator, kind: int, style: WindowStyle) -> None:
    """Paint what runs along each storey: bands, ledges, lintels."""
    trim = np.asarray(style.trim)
    every = kind == 1 or rng.random() < 0.4
    if every:
        for row in range(4):
            fill(canvas, (0, TILE), (row * _BAY - 0.16, row * _BAY - 0.08), trim * 0.45)
            fill(canvas, (0, TILE), (row * _BAY - 0.08, row * _BAY + 0.1), trim)
    if kind == 2:  # stone lintels over the openings
        for row in range(4):
            low = row * _BAY + min(0.9, 2.72 - style.height) + style.height
            for column in range(4):
                x = (column + 0.5) * _BAY
                half = style.width / 2 + 0.12
                fill(canvas, (x - half, x + half), (low - 0.02, low + 0.2), trim)
    if kind == 1 and rng.random() < 0.5:  # pilasters between the bays
        for column in range(0, 4, int(rng.choice([1, 2]))):
            x = column * _BAY
            fill(canvas, (x - 0.2, x + 0.25), (0, TILE), trim * 0.55)
            fill(canvas, (x - 0.2, x + 0.2), (0, TILE), trim * 0.95)


def _drain_pipe(canvas: FloatImage, rng: np.random.Generator, x: float) -> None:
    grey = rng.uniform(0.25, 0.8)
    fill(canvas, (x + 0.1, x + 0.17), (0, TILE), 0.3, opacity=0.7)
    fill(canvas, (x, x + 0.11), (0, TILE), grey * 0.75)
    fill(canvas, (x + 0.03, x + 0.06), (0, TILE), grey)


def _air_conditioner(canvas: FloatImage, x: float, y: float) -> None:
    fill(canvas, (x - 0.38, x + 0.46), (y - 0.1, y + 0.52), 0.28)
    fill(canvas, (x - 0.4, x + 0.4), (y, y + 0.55), (0.9, 0.9, 0.88))
    fill(canvas, (x - 0.3, x + 0.12), (y + 0.07, y + 0.48), 0.3)
    fill(canvas, (x - 0.24, x + 0.06), (y + 0.13, y + 0.42), 0.5)


def _office(rng: np.random.Generator, size: int, *, strips: bool) -> FloatImage:
    """Draw strips of glass all along, or a grid of large panes between fins."""
    canvas = wall_ground(rng, size, "panels" if rng.random() < 0.7 else "plaster")
    metal = float(rng.choice([0.12, 0.35, 0.9]))
    spacing = float(rng.choice([1.0, 1.5])) if strips else float(rng.choice([1.5, 3.0]))
    low, high = (rng.uniform(0.8, 1.1), 2.6) if strips else (rng.uniform(0.15, 0.6), 2.75)
    fin = 0.0 if strips else rng.uniform(0.15, 0.3)
    mirror = rng.uniform(0.12, 0.3)
    for row in range(4):
        y = (row * _BAY + low, row * _BAY + high)
        fill(canvas, (0, TILE), (y[0] - 0.1, y[1] + 0.1), metal)
        fill(canvas, (0, TILE), (y[1] - 0.08, y[1] + 0.02), 0.06)  # shadow under the lintel
        for x in np.arange(0, TILE, spacing):
            pane = (x + 0.05 + fin, x + spacing - 0.05)
            glazing(canvas, rng, pane, (y[0], y[1] - 0.06), mirror=mirror, dwelling=False, lit=0.12)
            if fin > 0:
                fill(canvas, (x, x + fin), (row * _BAY, (row + 1) * _BAY), metal * 0.9 + 0.05)
                fill(canvas, (x + fin, x + fin + 0.07), y, 0.05, opacity=0.8)
        fill(canvas, (0, TILE), (y[0] - 0.2, y[0] - 0.1), 0.3, opacity=0.5)
    return canvas
