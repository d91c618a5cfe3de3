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

"""Houses for one family or a few; they stand as the `buildings` do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from depth_perception.world.objects.building_parts import (
    ROOFS,
    TRIMS,
    WALLS,
    bays_wall,
    chimney,
    door_unit,
    gable_roof,
    hip_roof,
    outline,
    pick,
    surface,
    wall,
    window_unit,
)
from depth_perception.world.objects.mesh import Mesh, SurfaceProperties, join

HeightAt = Callable[[float, float], float]


def house(rng: np.random.Generator, width: float, depth: float) -> Mesh:
    """A detached or terraced house of 1 to 3 storeys with a gabled or hipped roof."""
    storeys = int(rng.choice([1, 2, 3], p=[0.25, 0.6, 0.15]))
    plinth = rng.uniform(0.15, 0.6)
    eaves = plinth + storeys * rng.uniform(2.6, 3.0)
    material = _house_wall(rng)
    trim = surface("plain", pick(rng, TRIMS))
    gable = (
        material
        if rng.random() < 0.75
        else surface("wood", pick(rng, ((1.0, 1.0, 1.0), (2.0, 2.2, 2.4))))
    )
    bays = max(int(width / rng.uniform(2.6, 3.6)), 1)
    door_bay = int(rng.integers(bays))
    pitch_x = width / bays
    door_x = (door_bay + 0.5) * pitch_x - width / 2
    parts = _house_walls(
        rng, material, outline(width, depth), plinth, eaves, storeys, bays, door_bay
    )
    parts.append(door_unit(rng, door_x, step=plinth))

    roof, height_at = _house_roof(rng, trim, gable, width, depth, eaves)
    parts += roof
    if rng.random() < 0.75:
        x, y = rng.uniform(-0.4, 0.4) * width, depth * rng.uniform(0.35, 0.65)
        ridge = height_at(x, y)
        parts.append(chimney(rng, x, y, ridge - 1.5, ridge + rng.uniform(0.7, 1.4)))
    faces_street = height_at(0, 1.0) > height_at(0, 0) + 0.6
    if faces_street and rng.random() < 0.45 and width > 5:
        count = 1 if width < 8 else int(rng.integers(1, 3))
        for n in range(count):
            x = (n + 0.5) / count * width * 0.7 - width * 0.35
            parts.append(_dormer(rng, material, trim, x, height_at))
    pipe = surface("metal", pick(rng, TRIMS))
    corner = (width / 2 - 0.15) * rng.choice([-1, 1])
    parts.append(pipe.rod((corner, -0.08, 0.1), (corner, -0.08, eaves - 0.1), 0.05, sides=5))
    return join(parts)


def _house_wall(rng: np.random.Generator) -> SurfaceProperties:
    """What the walls of a house are made of where no window is drawn on them."""
    kind = rng.choice(["plaster", "brick", "stone", "wood"], p=[0.5, 0.32, 0.08, 0.1])
    if kind == "plaster":
        return surface("plaster", pick(rng, WALLS))
    if kind == "brick":
        return surface(
            "brick",
            pick(rng, ((1.0, 1.0, 1.0), (0.7, 0.75, 0.8), (1.2, 1.7, 1.8), (0.8, 1.1, 1.3))),
        )
    if kind == "wood":
        return surface(
            "wood", pick(rng, ((1.0, 1.0, 1.0), (2.0, 2.4, 2.8), (1.1, 0.35, 0.3), (0.5, 0.6, 0.7)))
        )
    return surface("stone", pick(rng, ((1.0, 1.0, 1.0), (1.4, 1.35, 1.2))))


def _house_walls(
    rng: np.random.Generator,
    material: SurfaceProperties,
    corners: list[tuple[float, float]],
    plinth: float,
    eaves: float,
    storeys: int,
    bays: int,
    door_bay: int,
) -> list[Mesh]:
    """The four walls, their windows as geometry or, for some plastered ones, as a facade."""
    width = corners[1][0] - corners[0][0]
    depth = corners[2][1] - corners[1][1]
    base = surface("concrete", pick(rng, ((0.9, 0.9, 0.9), (0.6, 0.58, 0.55))))
    edges = list(zip(corners, corners[1:] + corners[:1], strict=True))
    parts = [wall(base, a, b, (0.0, plinth)) for a, b in edges]
    plastered = material.tint if material == surface("plaster", material.tint) else None
    if plastered is not None and rng.random() < 0.35:
        kind = int(rng.choice([0, 1, 4]))
        painted = surface(f"facade_{kind}", plastered)
        first = (int(rng.integers(4)), int(rng.integers(4)))
        for n, (a, b) in enumerate(edges):
            blind = n in (1, 3) and rng.random() < 0.5
            if blind:
                parts.append(wall(material, a, b, (plinth, eaves)))
            else:
                parts.append(bays_wall(painted, a, b, (plinth, eaves), storeys, first))
        return parts
    parts += [wall(material, a, b, (plinth, eaves)) for a, b in edges]
    frame = pick(rng, TRIMS)
    wide = min(rng.uniform(0.9, 1.7), width / bays - 0.4)
    tall = rng.uniform(1.1, 1.5)
    storey = (eaves - plinth) / storeys
    for n in range(storeys):
        z = plinth + n * storey + 0.95
        for bay in range(bays):
            x = (bay + 0.5) * width / bays - width / 2
            if n > 0 or bay != door_bay:
                parts.append(window_unit(rng, x, z, wide, tall, frame))
            elif width / bays > 3.2:
                parts.append(window_unit(rng, x + 1.1, z, 0.55, tall, frame, sill=False))
        for side, yaw in ((width / 2, np.pi / 2), (-width / 2, -np.pi / 2)):
            if rng.random() < 0.6:
                y = depth * rng.uniform(0.25, 0.75)
                one = window_unit(rng, 0.0, z, min(wide, 1.0), tall, frame, sill=False)
                parts.append(one.placed(float(side), y, 0.0, yaw))
    return parts


def _house_roof(
    rng: np.random.Generator,
    trim: SurfaceProperties,
    gable: SurfaceProperties,
    width: float,
    depth: float,
    eaves: float,
) -> tuple[list[Mesh], HeightAt]:
    """A roof, and the function of (x, y) that says how high it is."""
    tiles = surface("roof_tiles", pick(rng, ROOFS))
    pitch = rng.uniform(0.45, 0.8)
    style = rng.random()
    if style < 0.75:
        slope = np.tan(pitch)
        to_street = style > 0.5 and width < 11
        half = width / 2 if to_street else depth / 2

        def under_gable(x: float, y: float) -> float:
            return eaves + 0.18 + slope * (half - abs(x if to_street else y - depth / 2))

        along, across = (depth, width) if to_street else (width, depth)
        roof = gable_roof(tiles, trim, gable, along, across, eaves, pitch=pitch)
        parts = [roof.placed(0, depth / 2, 0, np.pi / 2 if to_street else 0.0)]
        if not to_street:
            gutter = surface("metal", pick(rng, TRIMS))
            parts.append(
                gutter.box((0, -0.4, eaves - 0.35 * slope + 0.08), (width + 0.6, 0.12, 0.12))
            )
        elif slope * half > 2.2:
            parts.append(window_unit(rng, 0.0, eaves + 0.3, 0.9, 1.1, pick(rng, TRIMS)))
        return parts, under_gable
    slope = np.tan(min(pitch, 0.6))

    def under_hip(x: float, y: float) -> float:
        return eaves + 0.55 + slope * min(width / 2 - abs(x), depth / 2 - abs(y - depth / 2))

    long, short = max(width, depth), min(width, depth)
    roof = hip_roof(tiles, trim, long, short, eaves, pitch=min(pitch, 0.6))
    return [roof.placed(0, depth / 2, 0, 0.0 if width >= depth else np.pi / 2)], under_hip


def _dormer(
    rng: np.random.Generator,
    material: SurfaceProperties,
    trim: SurfaceProperties,
    x: float,
    height_at: HeightAt,
) -> Mesh:
    """A dormer window in the front slope of a roof."""
    y, wide, tall = 0.9, rng.uniform(1.2, 1.8), 1.45
    low = height_at(x, y) - 0.25
    slope = max((height_at(x, y + 0.5) - height_at(x, y)) / 0.5, 0.3)
    deep = (tall + 0.3) / slope
    parts = [
        material.box((x, y + deep / 2, low + tall / 2), (wide, deep, tall)),
        window_unit(rng, x, low + 0.3, wide - 0.3, tall - 0.45, trim.tint, sill=False).placed(0, y),
    ]
    if rng.random() < 0.6:
        tiles = surface("roof_tiles", pick(rng, ROOFS[:3]))
        roof = gable_roof(tiles, trim, trim, deep + 0.6, wide, 0, pitch=0.6, overhang=0.15)
        parts.append(roof.placed(x, y + deep / 2 + 0.3, low + tall, np.pi / 2))
    else:
        parts.append(
            surface("metal", (0.25, 0.26, 0.28)).box(
                (x, y + deep / 2 - 0.1, low + tall), (wide + 0.3, deep + 0.3, 0.12)
            )
        )
    return join(parts)
