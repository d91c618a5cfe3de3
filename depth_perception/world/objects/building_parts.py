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

"""Parts that buildings are put together from: walls, roofs, windows, doors, balconies.

Walls and openings face -y, as buildings do; x runs right and z up when seen from the street.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from depth_perception.datasets.labels import BUILDING
from depth_perception.world.objects.mesh import Mesh, SurfaceProperties, join
from depth_perception.world.surfaces.facade_textures import BRICK, OFFICES
from depth_perception.world.surfaces.materials import INDEX, Colour

BAY = 3.0
"""Width of a bay and height of a storey in the facades' textures, metres."""

Point = tuple[float, float]

WALLS: tuple[Colour, ...] = (
    (0.70, 0.68, 0.64),
    (0.62, 0.55, 0.42),
    (0.66, 0.57, 0.38),
    (0.52, 0.38, 0.20),
    (0.45, 0.43, 0.40),
    (0.32, 0.32, 0.33),
    (0.40, 0.20, 0.14),
    (0.55, 0.36, 0.28),
    (0.38, 0.45, 0.50),
    (0.42, 0.48, 0.38),
    (0.60, 0.44, 0.40),
    (0.78, 0.77, 0.75),
    (0.22, 0.22, 0.24),
    (0.55, 0.50, 0.44),
    (0.48, 0.40, 0.32),
)
"""Albedo of plastered and painted walls."""

ROOFS: tuple[Colour, ...] = (
    (1.0, 1.0, 1.0),
    (0.8, 0.75, 0.7),
    (0.42, 0.75, 1.1),
    (0.25, 0.5, 0.8),
    (0.55, 0.85, 1.1),
    (1.2, 1.1, 1.0),
    (0.6, 0.6, 0.6),
)
"""Tints of roof tiles, which are red: red, brown, slate."""

SHOPS: tuple[Colour, ...] = (
    (1.0, 1.0, 1.0),
    (0.75, 0.85, 1.0),
    (1.0, 0.85, 0.7),
    (0.65, 0.65, 0.65),
    (0.8, 1.0, 0.85),
)
"""Tints of ground floors, so that the few that are drawn do not look alike."""

TRIMS: tuple[Colour, ...] = (
    (0.75, 0.75, 0.73),
    (0.6, 0.58, 0.52),
    (0.3, 0.3, 0.3),
    (0.08, 0.08, 0.09),
)


def surface(name: str, tint: Colour = (1.0, 1.0, 1.0)) -> SurfaceProperties:
    """A material as part of a building."""
    return SurfaceProperties(INDEX[name], tint, BUILDING)


def pick(rng: np.random.Generator, colours: Sequence[Colour], spread: float = 0.08) -> Colour:
    """One of some colours, a little lighter or darker."""
    r, g, b = np.clip(
        np.array(colours[int(rng.integers(len(colours)))]) * rng.normal(1, spread), 0.02, 1.2
    )
    return float(r), float(g), float(b)


def facade_tint(rng: np.random.Generator, kind: int) -> Colour:
    """A plausible tint for the material facade_<kind>."""
    if kind in BRICK:
        return pick(rng, ((0.95, 0.93, 0.9), (0.75, 0.74, 0.73)))
    if kind in OFFICES and rng.random() < 0.8:  # mostly concrete and metal
        return pick(
            rng, ((0.6, 0.6, 0.58), (0.42, 0.42, 0.42), (0.5, 0.47, 0.42), (0.75, 0.75, 0.74))
        )
    return pick(rng, WALLS)


def outline(width: float, depth: float, inset: float = 0.0) -> list[Point]:
    """Corners of a rectangle from the front's left one, counter-clockwise seen from above."""
    x = width / 2 - inset
    return [(-x, inset), (x, inset), (x, depth - inset), (-x, depth - inset)]


def wall(
    material: SurfaceProperties,
    start: Point,
    end: Point,
    z: tuple[float, float],
    *,
    u: tuple[float, float] | None = None,
    v: tuple[float, float] | None = None,
) -> Mesh:
    """An upright wall; seen from outside, it starts on the left.

    Args:
        material: What it is made of.
        start: Its left end, (x, y).
        end: Its right end.
        z: Its lower and upper edge.
        u: Texture coordinates of the ends; by default 0 and the length.
        v: Texture coordinates of the edges; by default the heights.
    """
    left, right = u or (0.0, float(np.hypot(end[0] - start[0], end[1] - start[1])))
    low, high = v or z
    corners = [(*start, z[0]), (*end, z[0]), (*end, z[1]), (*start, z[1])]
    uv = [(left, low), (right, low), (right, high), (left, high)]
    return material.mesh(corners, [[0, 1, 2], [0, 2, 3]], uv=uv)


def bays_wall(
    material: SurfaceProperties,
    start: Point,
    end: Point,
    z: tuple[float, float],
    storeys: int,
    first: tuple[int, int] = (0, 0),
) -> Mesh:
    """A wall in a facade's texture, fitted so that no window is cut.

    Args:
        material: A facade or shop.
        start: Its left end, (x, y).
        end: Its right end.
        z: Its lower and upper edge.
        storeys: Storeys in it.
        first: Bay and storey of the texture to begin with.
    """
    length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
    bays = max(int(round(length / BAY)), 1)
    u = BAY * first[0], BAY * (first[0] + bays)
    # Not quite to the edge: the next row begins there.
    v = BAY * first[1] + 0.02, BAY * (first[1] + storeys) - 0.02
    return wall(material, start, end, z, u=u, v=v)


def sloped(material: SurfaceProperties, corners: ArrayLike) -> Mesh:
    """A flat convex face whose texture runs level to the right and up the slope."""
    p = np.asarray(corners, float)
    normal = np.cross(p[1] - p[0], p[2] - p[0])
    normal /= np.linalg.norm(normal)
    up = np.array([0.0, 0.0, 1.0]) if abs(normal[2]) < 0.999 else np.array([0.0, 1.0, 0.0])
    right = np.cross(up, normal)
    right /= np.linalg.norm(right)
    uv = np.stack([p @ right, p @ np.cross(normal, right)], 1)
    i = np.arange(1, len(p) - 1)
    return material.mesh(p, np.stack([0 * i, i, i + 1], 1), uv=uv)


def gable_roof(
    tiles: SurfaceProperties,
    trim: SurfaceProperties,
    gable: SurfaceProperties,
    length: float,
    span: float,
    eaves: float,
    *,
    pitch: float,
    overhang: float = 0.35,
) -> Mesh:
    """A roof with its ridge along x, centred on the origin, and the gables' walls below it.

    Args:
        tiles: Of the slopes.
        trim: Of the eaves and verges.
        gable: Of the triangles of wall.
        length: Of the walls along x.
        span: Of the walls along y.
        eaves: Height of the walls.
        pitch: Slope, rad.
        overhang: How far it stands out.
    """
    rise, drop, thick = np.tan(pitch) * span / 2, np.tan(pitch) * overhang, 0.18
    x, y = length / 2 + overhang, span / 2 + overhang
    low, ridge = eaves - drop, eaves + rise
    section = [
        (-y, low),
        (0.0, ridge),
        (y, low),
        (y, low + thick),
        (0.0, ridge + thick),
        (-y, low + thick),
    ]
    left, right = ([(s * x, a, b) for a, b in section] for s in (-1, 1))
    parts = [
        sloped(tiles, [left[5], right[5], right[4], left[4]]),
        sloped(tiles, [right[3], left[3], left[4], right[4]]),
        sloped(trim, [left[0], right[0], right[5], left[5]]),
        sloped(trim, [right[2], left[2], left[3], right[3]]),
        sloped(trim, [left[1], right[1], right[0], left[0]]),
        sloped(trim, [right[1], left[1], left[2], right[2]]),
        sloped(trim, [right[0], right[1], right[4], right[5]]),
        sloped(trim, [right[1], right[2], right[3], right[4]]),
        sloped(trim, [left[1], left[0], left[5], left[4]]),
        sloped(trim, [left[2], left[1], left[4], left[3]]),
    ]
    for s in (-1, 1):
        corners = [(s * length / 2, -s * span / 2, eaves), (s * length / 2, s * span / 2, eaves)]
        parts.append(sloped(gable, [*corners, (s * length / 2, 0.0, ridge)]))
    return join(parts)


def hip_roof(
    tiles: SurfaceProperties,
    trim: SurfaceProperties,
    length: float,
    span: float,
    eaves: float,
    *,
    pitch: float,
) -> Mesh:
    """A roof sloping to all four sides, centred on the origin; length is the longer edge."""
    overhang = 0.4
    x, y = length / 2 + overhang, span / 2 + overhang
    low, top = eaves + 0.15, eaves + 0.15 + np.tan(pitch) * y
    ridge = max(x - y, 0.05)
    a, b, c, d = (-x, -y, low), (x, -y, low), (x, y, low), (-x, y, low)
    west, east = (-ridge, 0.0, top), (ridge, 0.0, top)
    faces = [[a, b, east, west], [b, c, east], [c, d, west, east], [d, a, west]]
    # The slab under it shows its edge as the gutter board and its lower side as the soffit.
    slab = trim.box((0, 0, eaves + 0.05), (2 * x, 2 * y, 0.2))
    return join([*(sloped(tiles, face) for face in faces), slab])


def flat_roof(
    material: SurfaceProperties,
    roofing: SurfaceProperties,
    width: float,
    depth: float,
    z: float,
    parapet: float,
) -> Mesh:
    """A flat roof behind a parapet."""
    thick = 0.25
    low = [(x, y, z) for x, y in outline(width, depth)]
    parts = [roofing.fan(low)]
    for y in (thick / 2, depth - thick / 2):
        parts.append(material.box((0, y, z + parapet / 2), (width, thick, parapet)))
    for x in (-width / 2 + thick / 2, width / 2 - thick / 2):
        parts.append(material.box((x, depth / 2, z + parapet / 2), (thick, depth, parapet)))
    return join(parts)


def window_unit(
    rng: np.random.Generator,
    x: float,
    z: float,
    width: float,
    height: float,
    frame: Colour,
    *,
    sill: bool = True,
) -> Mesh:
    """A window on the plane y = 0, its bottom middle at (x, z)."""
    border = surface("plain", frame)
    glass = surface(
        "glass", pick(rng, ((0.05, 0.06, 0.07), (0.1, 0.11, 0.12), (0.3, 0.28, 0.24)), 0.3)
    )
    across = 2 if width > 0.9 else 1
    parts = [border.box((x, -0.01, z + height / 2), (width, 0.1, height))]
    pane = (width - 0.1 * (across + 1)) / across
    for n in range(across):
        left = x - width / 2 + 0.1 + n * (pane + 0.1)
        parts.append(
            wall(glass, (left, -0.065), (left + pane, -0.065), (z + 0.1, z + height - 0.1))
        )
    if sill:
        parts.append(border.box((x, -0.06, z - 0.04), (width + 0.2, 0.22, 0.08)))
    return join(parts)


def door_unit(rng: np.random.Generator, x: float, *, step: float = 0.15) -> Mesh:
    """A front door on the plane y = 0 above a step, at times under a canopy on posts."""
    frame = surface("plain", pick(rng, TRIMS))
    colours = (
        (0.25, 0.05, 0.04),
        (0.04, 0.08, 0.2),
        (0.05, 0.15, 0.08),
        (0.3, 0.18, 0.1),
        (0.5, 0.5, 0.5),
    )
    leaf = surface("plain", pick(rng, colours))
    glass = surface("glass", (0.08, 0.09, 0.1))
    parts = [
        frame.box((x, -0.02, step + 1.12), (1.2, 0.16, 2.24)),
        wall(leaf, (x - 0.5, -0.105), (x + 0.5, -0.105), (step, step + 2.1)),
        wall(glass, (x - 0.3, -0.11), (x + 0.3, -0.11), (step + 1.3, step + 1.95)),
        surface("concrete").box((x, -0.5, step / 2), (1.8, 1.0, step)),
    ]
    style = rng.random()
    if style < 0.4:
        parts.append(frame.box((x, -0.45, step + 2.4), (1.7, 0.9, 0.1)))
    elif style < 0.65:
        tiles = surface("roof_tiles", pick(rng, ROOFS))
        roof = gable_roof(tiles, frame, frame, 1.1, 1.5, 0, pitch=0.5, overhang=0.15)
        parts.append(roof.placed(x, -0.5, step + 2.35, np.pi / 2))
        for side in (-0.75, 0.75):
            parts.append(frame.box((x + side, -0.95, step / 2 + 1.2), (0.12, 0.12, step + 2.3)))
    if step > 0.3:
        parts.append(surface("concrete").box((x, -1.15, step / 4), (1.6, 0.4, step / 2)))
    return join(parts)


def chimney(rng: np.random.Generator, x: float, y: float, low: float, top: float) -> Mesh:
    """A chimney of bricks with a pot or two."""
    wide = rng.uniform(0.5, 0.9)
    parts = [
        surface("brick").box((x, y, (low + top) / 2), (wide, 0.55, top - low)),
        surface("concrete").box((x, y, top), (wide + 0.14, 0.7, 0.12)),
    ]
    pot = surface("plain", (0.4, 0.2, 0.13))
    for side in (-0.18, 0.18)[: int(rng.integers(1, 3))]:
        parts.append(pot.rod((x + side, y, top), (x + side, y, top + 0.45), 0.11, 0.09, sides=6))
    return join(parts)


def balcony(rng: np.random.Generator, width: float, style: int) -> Mesh:
    """A balcony on the plane y = 0, its floor at z = 0 and its middle at x = 0.

    Styles are 0 a solid tub, 1 rails on a slab and 2 sheets of glass.
    """
    deep = 1.1
    slab = surface("concrete", (1.1, 1.1, 1.1))
    if style == 0:
        return surface("plaster", pick(rng, WALLS)).box((0, -deep / 2, 0.45), (width, deep, 1.2))
    parts = [slab.box((0, -deep / 2, -0.08), (width, deep, 0.18))]
    if style == 1:
        rail = surface("metal", (0.1, 0.1, 0.11))
        for height in (0.5, 1.02):
            parts.append(rail.box((0, -deep + 0.04, height), (width, 0.05, 0.05)))
        for end in (-width / 2, width / 2):
            parts.append(rail.box((end, -deep / 2, 1.0), (0.05, deep, 0.06)))
        for post in np.linspace(-width / 2, width / 2, 4):
            at = (float(post), -deep + 0.04)
            parts.append(wall(rail, (at[0] - 0.03, at[1]), (at[0] + 0.03, at[1]), (0, 1.0)))
        return join(parts)
    glass = surface("glass", (0.25, 0.3, 0.3))
    parts.append(glass.box((0, -deep + 0.03, 0.52), (width, 0.03, 0.98)))
    for end in (-width / 2, width / 2):
        parts.append(glass.box((end, -deep / 2, 0.52), (0.03, deep, 0.98)))
    return join(parts)


def awning(rng: np.random.Generator, x: float, z: float, width: float) -> Mesh:
    """A cloth over a shop's window, sloping to the street."""
    colours = (
        (0.4, 0.05, 0.05),
        (0.05, 0.15, 0.08),
        (0.06, 0.09, 0.25),
        (0.5, 0.42, 0.3),
        (0.08, 0.08, 0.08),
    )
    cloth = surface("cloth", pick(rng, colours))
    out, drop = rng.uniform(0.8, 1.3), rng.uniform(0.3, 0.6)
    a, b = (x - width / 2, x + width / 2)
    low = z - drop
    return join(
        [
            sloped(cloth, [(a, -out, low), (b, -out, low), (b, 0, z), (a, 0, z)]),
            sloped(
                cloth,
                [(a, 0, z - 0.03), (b, 0, z - 0.03), (b, -out, low - 0.03), (a, -out, low - 0.03)],
            ),
            wall(cloth, (a, -out), (b, -out), (low - 0.22, low)),
            wall(cloth, (b, -out + 0.01), (a, -out + 0.01), (low - 0.22, low)),
        ]
    )
