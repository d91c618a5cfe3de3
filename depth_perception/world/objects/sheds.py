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

"""Industrial sheds and garages; they stand as the `buildings` do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from depth_perception.datasets.labels import FENCE
from depth_perception.world.objects.building_parts import (
    ROOFS,
    TRIMS,
    WALLS,
    door_unit,
    flat_roof,
    gable_roof,
    outline,
    pick,
    surface,
    wall,
    window_unit,
)
from depth_perception.world.objects.mesh import Mesh, SurfaceProperties, join
from depth_perception.world.surfaces.materials import Colour

_CLADDING: tuple[Colour, ...] = (
    (0.55, 0.56, 0.57),
    (0.35, 0.37, 0.39),
    (0.12, 0.18, 0.30),
    (0.62, 0.60, 0.54),
    (0.15, 0.25, 0.20),
    (0.40, 0.12, 0.09),
    (0.72, 0.72, 0.71),
)


def industrial(rng: np.random.Generator, width: float, depth: float) -> Mesh:
    """A shed clad in folded steel on a plinth, with roller doors, 5 to 9 m high."""
    height = rng.uniform(5, 9)
    plinth = float(rng.choice([0.3, 1.0, 2.2]))
    tint = pick(rng, _CLADDING)
    cladding = surface("plain", tint)
    base = surface("brick") if rng.random() < 0.4 else surface("concrete")
    trim = surface("plain", pick(rng, _CLADDING))
    corners = outline(width, depth)
    edges = list(zip(corners, corners[1:] + corners[:1], strict=True))
    parts = [wall(base, a, b, (0, plinth)) for a, b in edges]
    parts.append(
        folds(cladding, width, (plinth, height), min(int(width / 0.5), 30), 0.06, upright=True)
    )
    parts += [wall(cladding, a, b, (plinth, height)) for a, b in edges[1:]]
    for x in (-width / 2, width / 2):
        parts.append(trim.box((x, 0, height / 2), (0.25, 0.25, height)))
    if rng.random() < 0.6:
        sheet = surface("metal", pick(rng, ((0.5, 0.5, 0.5), (0.3, 0.31, 0.33))))
        pitch = rng.uniform(0.08, 0.25)
        # The gable looks at the street, or the eaves do.
        if rng.random() < 0.5:
            roof = gable_roof(
                sheet, trim, cladding, depth, width, height, pitch=pitch, overhang=0.25
            )
            parts.append(roof.placed(0, depth / 2, 0, np.pi / 2))
        else:
            roof = gable_roof(
                sheet, trim, cladding, width, depth, height, pitch=pitch, overhang=0.25
            )
            parts.append(roof.placed(0, depth / 2))
    else:
        parts.append(flat_roof(trim, surface("metal", (0.4, 0.4, 0.42)), width, depth, height, 0.6))
        parts.append(trim.box((0, -0.05, height + 0.2), (width + 0.1, 0.15, 0.9)))
    parts += _front_of_shed(rng, width, height)
    return join(parts)


def _front_of_shed(rng: np.random.Generator, width: float, height: float) -> list[Mesh]:
    """Roller doors, an office's door and windows, a board with the name."""
    parts = []
    slots = max(int(width / 5), 1)
    named = rng.random() < 0.6
    door_slot = int(rng.integers(slots))
    rollers = 0
    for n in range(slots):
        x = (n + 0.5) * width / slots - width / 2
        if n == door_slot:
            parts.append(door_unit(rng, x - 1.2, step=0.1).placed(0, -0.07))
            parts.append(window_unit(rng, x + 0.8, 1.0, 1.8, 1.2, (0.5, 0.5, 0.5)).placed(0, -0.07))
        elif rng.random() < 0.6 and rollers < 2:
            rollers += 1
            parts += _roller_door(
                rng, x, rng.uniform(3.0, 4.2), rng.uniform(3.0, min(4.5, height - 0.6))
            )
        elif not named and rng.random() < 0.7:
            parts.append(
                window_unit(rng, x, height - 1.8, 3.0, 1.1, (0.5, 0.5, 0.5)).placed(0, -0.07)
            )
    board = surface("plain", pick(rng, ((0.6, 0.6, 0.6), (0.4, 0.05, 0.04), (0.04, 0.1, 0.35))))
    if named:
        long = rng.uniform(0.2, 0.5) * width
        centre = (rng.uniform(-0.2, 0.2) * width, -0.12, height - 0.8)
        parts.append(board.box(centre, (long, 0.12, 0.9)))
    lamp = surface("plain", (0.5, 0.5, 0.5))
    parts += [
        lamp.box((x, -0.25, height - 1.6), (0.4, 0.4, 0.2)) for x in (-0.3 * width, 0.3 * width)
    ]
    return parts


def _roller_door(rng: np.random.Generator, x: float, wide: float, tall: float) -> list[Mesh]:
    """A door of folded slats in a frame, which may be partly open."""
    frame = surface("metal", pick(rng, TRIMS))
    slats = surface("plain", pick(rng, _CLADDING))
    open_to = tall * rng.uniform(0.3, 0.7) if rng.random() < 0.15 else 0.0
    parts = [folds(slats, wide, (open_to, tall), 10, 0.05, upright=False).placed(x, -0.09)]
    if open_to > 0:
        parts.append(
            wall(
                surface("plain", (0.03, 0.03, 0.03)),
                (x - wide / 2, -0.08),
                (x + wide / 2, -0.08),
                (0, tall),
            )
        )
    for side in (-1, 1):
        parts.append(frame.box((x + side * (wide / 2 + 0.08), -0.1, tall / 2), (0.18, 0.24, tall)))
    parts.append(frame.box((x, -0.12, tall + 0.15), (wide + 0.34, 0.3, 0.36)))
    if rng.random() < 0.5:  # yellow posts that keep lorries off the frame
        post = surface("plain", (0.6, 0.42, 0.03))
        for side in (-1, 1):
            at = x + side * (wide / 2 + 0.35)
            parts.append(post.rod((at, -0.6, 0), (at, -0.6, 1.1), 0.09, sides=5))
    return parts


def folds(
    material: SurfaceProperties,
    width: float,
    z: tuple[float, float],
    count: int,
    deep: float,
    *,
    upright: bool,
) -> Mesh:
    """A sheet facing -y, folded to and fro: centred on x = 0, its back on y = 0."""
    along = np.linspace(0, 1, 2 * count + 1)
    out = np.where(np.arange(2 * count + 1) % 2 == 0, 0.0, -deep)
    if upright:
        x = (along - 0.5) * width
        low, high = (np.stack([x, out, np.full_like(x, h)], 1) for h in z)
    else:
        height = z[0] + along * (z[1] - z[0])
        # A ring of the skin starts at what is the left end for one who looks from the front.
        low, high = (
            np.stack([np.full_like(height, s * width / 2), out, height], 1) for s in (1, -1)
        )
    return material.loft([low, high], closed=False, smooth=False)


def garage(rng: np.random.Generator) -> Mesh:
    """A garage for one or two cars."""
    doors = int(rng.integers(1, 3))
    width, depth, height = (
        doors * rng.uniform(2.9, 3.3),
        rng.uniform(5.5, 6.5),
        rng.uniform(2.4, 2.8),
    )
    material = surface("plaster", pick(rng, WALLS)) if rng.random() < 0.6 else surface("brick")
    trim = surface("plain", pick(rng, TRIMS))
    corners = outline(width, depth)
    parts = [
        wall(material, a, b, (0, height))
        for a, b in zip(corners, corners[1:] + corners[:1], strict=True)
    ]
    colour: Sequence[Colour] = (
        (0.7, 0.7, 0.7),
        (0.3, 0.2, 0.12),
        (0.15, 0.2, 0.18),
        (0.35, 0.36, 0.38),
    )
    leaf = surface("plain", pick(rng, colour))
    for n in range(doors):
        x = (n + 0.5) * width / doors - width / 2
        wide = width / doors - 0.5
        parts.append(trim.box((x, -0.01, 1.08), (wide + 0.16, 0.06, 2.16)))
        parts.append(folds(leaf, wide, (0.02, 2.08), 7, 0.03, upright=False).placed(x, -0.05))
        parts.append(surface("metal", (0.2, 0.2, 0.2)).box((x, -0.1, 1.0), (0.14, 0.05, 0.05)))
    if rng.random() < 0.5:
        parts.append(flat_roof(material, surface("gravel"), width, depth, height, 0.2))
        parts.append(trim.box((0, depth / 2, height + 0.24), (width + 0.2, depth + 0.2, 0.1)))
    else:
        tiles = surface("roof_tiles", pick(rng, ROOFS))
        roof = gable_roof(
            tiles, trim, material, depth, width, height, pitch=rng.uniform(0.4, 0.7), overhang=0.2
        )
        parts.append(roof.placed(0, depth / 2, 0, np.pi / 2))
    return join(parts)


_BANDS: tuple[Colour, ...] = (
    (0.62, 0.05, 0.04),
    (0.04, 0.14, 0.45),
    (0.75, 0.58, 0.05),
    (0.05, 0.28, 0.13),
    (0.75, 0.75, 0.73),
    (0.85, 0.30, 0.03),
)


def canopy(rng: np.random.Generator) -> Mesh:
    """A roof on columns over rows of pumps, 11 to 20 m along x and 7 to 10 m along y, 5 m clear."""
    long, deep = float(rng.uniform(11, 20)), float(rng.uniform(7, 10))
    clear, thick = float(rng.uniform(4.5, 5.4)), float(rng.uniform(0.5, 1.0))
    band = surface("plain", pick(rng, _BANDS))
    white = surface("plain", (0.74, 0.74, 0.72))
    stand = replace(white, label=FENCE)
    steel = surface("metal", pick(rng, ((0.55, 0.55, 0.55),)))
    lamp = surface("lamp", (1.0, 0.97, 0.9))
    kerb = replace(surface("concrete", (0.8, 0.8, 0.78)), label=FENCE)
    parts = [
        white.box((0, 0, clear + thick / 2), (long, deep, thick)),
        band.box((0, 0, clear + 0.5 * thick), (long + 0.06, deep + 0.06, 0.45 * thick)),
    ]
    rows = (0.0,) if deep < 8.2 else (-0.22 * deep, 0.22 * deep)
    for y in rows:
        for x in (-0.32 * long, 0.32 * long):
            parts.append(steel.box((x, y, clear / 2), (0.35, 0.35, clear)))
            # An island with two pumps at each column.
            parts.append(kerb.box((x, y, 0.07), (3.4, 1.1, 0.14)))
            for shift in (-1.1, 1.1):
                high = float(rng.uniform(1.4, 2.0))
                pump = replace(surface("plain", pick(rng, (*_BANDS, (0.3, 0.3, 0.3)))), label=FENCE)
                parts.append(stand.box((x + shift, y, 0.12 + high / 2), (0.7, 0.5, high)))
                parts.append(pump.box((x + shift, y, high - 0.1), (0.74, 0.54, 0.45)))
        for x in np.linspace(-0.4 * long, 0.4 * long, 4):
            parts.append(lamp.box((x, y, clear - 0.01), (1.0, 0.6, 0.04)))
    return join(parts)
