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

"""Buildings of the synthetic world.

Each stands with its front along x, facing -y, towards the street: the origin is at the middle of
the front's edge on the ground, and the building reaches from there to +y. Steps, balconies, bays,
cornices and eaves stand out by up to 1.5 m in front of it. All sizes are metres.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from depth_perception.world.objects.building_parts import (
    BAY,
    ROOFS,
    SHOPS,
    TRIMS,
    WALLS,
    Point,
    awning,
    balcony,
    bays_wall,
    chimney,
    facade_tint,
    flat_roof,
    gable_roof,
    outline,
    pick,
    sloped,
    surface,
    wall,
    window_unit,
)
from depth_perception.world.objects.houses import house
from depth_perception.world.objects.mesh import Mesh, SurfaceProperties, join
from depth_perception.world.objects.sheds import garage, industrial
from depth_perception.world.surfaces.facade_textures import BRICK, DWELLINGS, OFFICES
from depth_perception.world.surfaces.shop_textures import LOBBY_ROW

__all__ = ["block", "garage", "house", "industrial", "office"]


def block(rng: np.random.Generator, width: float, depth: float, storeys: int) -> Mesh:
    """A city block of flats: shops or a lobby on the ground floor, then storeys of windows."""
    ground = rng.uniform(3.3, 4.3)
    upper = max(storeys - 1, 1)
    top = ground + upper * rng.uniform(2.9, 3.4)
    kind = int(rng.choice(DWELLINGS))
    tint = facade_tint(rng, kind)
    front = surface(f"facade_{kind}", tint)
    plain = surface("brick", tint) if kind in BRICK else surface("plaster", tint)
    stone = surface("plaster", pick(rng, WALLS)) if rng.random() < 0.6 else surface("stone")
    corners = outline(width, depth)
    edges = list(zip(corners, corners[1:] + corners[:1], strict=True))
    first = (int(rng.integers(4)), int(rng.integers(4)))

    row = int(rng.integers(LOBBY_ROW)) if rng.random() < 0.65 else LOBBY_ROW
    shop = surface(f"shop_{rng.integers(4)}", pick(rng, SHOPS))
    start = (int(rng.integers(4)), row)
    parts = [bays_wall(shop, *edges[0], (0.0, ground), 1, start)]
    for n in (1, 2, 3):
        around = n == 1 and rng.random() < 0.3
        parts.append(
            bays_wall(shop, *edges[n], (0.0, ground), 1, start)
            if around
            else wall(stone, *edges[n], (0.0, ground))
        )
    for n, (a, b) in enumerate(edges):
        blind = n in (1, 3) and rng.random() < 0.5
        z = (ground, top)
        parts.append(wall(plain, a, b, z) if blind else bays_wall(front, a, b, z, upper, first))
    ledge = surface("plaster", pick(rng, ((0.8, 0.78, 0.72), tint)))
    out = rng.uniform(0.1, 0.35)
    parts.append(ledge.box((0, depth / 2, ground), (width + 0.1, depth + 2 * out, 0.3)))
    if row != LOBBY_ROW:
        parts += _shop_fittings(rng, width, ground)
    parts += _projections(rng, front, plain, width, ground, top, upper, first)
    parts += _block_roof(rng, plain, ledge, width, depth, top)
    return join(parts)


def _shop_fittings(rng: np.random.Generator, width: float, ground: float) -> list[Mesh]:
    """Awnings over the shops, and signs that stand out into the street."""
    parts = []
    bays = max(int(round(width / BAY)), 1)
    for bay in range(bays):
        x = (bay + 0.5) * width / bays - width / 2
        if rng.random() < 0.25:
            parts.append(awning(rng, x, ground * 0.78, 0.9 * width / bays))
        elif rng.random() < 0.2:
            sign = surface(
                "plain",
                pick(
                    rng, ((0.6, 0.6, 0.6), (0.5, 0.04, 0.04), (0.04, 0.1, 0.4), (0.03, 0.25, 0.08))
                ),
            )
            tall = rng.uniform(0.5, 1.2)
            parts.append(sign.box((x, -0.5, ground * 0.8 + tall / 2), (0.12, 0.7, tall)))
    return parts


def _projections(
    rng: np.random.Generator,
    front: SurfaceProperties,
    plain: SurfaceProperties,
    width: float,
    ground: float,
    top: float,
    upper: int,
    first: tuple[int, int],
) -> list[Mesh]:
    """Balconies or bay windows on some columns of the front, or nothing."""
    bays = max(int(round(width / BAY)), 1)
    storey = (top - ground) / upper
    style = rng.random()
    parts: list[Mesh] = []
    if style < 0.4:
        every = int(rng.integers(1, 4))
        columns = range(int(rng.integers(every)), bays, every)
        balcony_style = int(rng.integers(3))
        # Detailed balconies cost many triangles: on large fronts they are plain tubs.
        if len(columns) * upper > 6:
            balcony_style = 0
        one = balcony(rng, min(0.9 * width / bays, 2.6), balcony_style)
        for column in columns:
            x = (column + 0.5) * width / bays - width / 2
            parts += [
                one.placed(x, 0, ground + n * storey + 0.1)
                for n in range(1 if upper > 1 else 0, upper)
            ][:10]
    elif style < 0.65:
        columns = range(int(rng.integers(2)), bays, 2)
        half, deep = 0.42 * width / bays, rng.uniform(0.5, 0.9)
        last = top - (storey if rng.random() < 0.5 and upper > 1 else 0)
        for column in columns:
            x = (column + 0.5) * width / bays - width / 2
            z = (ground + 0.15, last)
            count = upper if last == top else upper - 1
            corners = [
                (x - half, 0.0),
                (x - 0.7 * half, -deep),
                (x + 0.7 * half, -deep),
                (x + half, 0.0),
            ]
            for n in range(3):
                start = (first[0] + column, first[1])
                parts.append(
                    bays_wall(front, corners[n], corners[n + 1], z, count, start)
                    if n == 1
                    else wall(plain, corners[n], corners[n + 1], z)
                )
            parts.append(plain.fan([(p, q, z[1]) for p, q in corners]))
            parts.append(plain.fan([(p, q, z[0]) for p, q in corners[::-1]]))
    return parts


def _block_roof(
    rng: np.random.Generator,
    plain: SurfaceProperties,
    ledge: SurfaceProperties,
    width: float,
    depth: float,
    top: float,
) -> list[Mesh]:
    """A flat roof with boxes on it, a mansard, or a tiled one."""
    out = rng.uniform(0.15, 0.5)
    cornice = ledge.box(
        (0, depth / 2, top + 0.1), (width + 0.1, depth + 2 * out, rng.uniform(0.2, 0.5))
    )
    style = rng.random()
    if style < 0.25:
        tiles = surface("roof_tiles", pick(rng, ROOFS))
        roof = gable_roof(
            tiles, ledge, plain, width, depth, top + 0.2, pitch=rng.uniform(0.45, 0.7), overhang=0.3
        )
        ridge = top + 0.5 * depth * 0.5
        stacks = [chimney(rng, s * width * 0.35, depth * 0.4, top, ridge + 1.5) for s in (-1, 1)]
        return [cornice, roof.placed(0, depth / 2), *stacks]
    if style < 0.45:
        slates = surface("roof_tiles", pick(rng, ROOFS[2:5]))
        high, back = rng.uniform(2.2, 3.0), rng.uniform(0.7, 1.3)
        low = [(x, y, top + 0.2) for x, y in outline(width, depth)]
        up = [(x, y, top + high) for x, y in outline(width, depth, back)]
        roof_parts = [
            sloped(slates, [low[n], low[(n + 1) % 4], up[(n + 1) % 4], up[n]]) for n in range(4)
        ]
        roof_parts.append(surface("metal", (0.3, 0.31, 0.33)).fan(up))
        count = max(int(width / 4), 1)
        for n in range(min(count, 4)):
            x = (n + 0.5) / min(count, 4) * width - width / 2
            roof_parts.append(ledge.box((x, 0.15 + back, top + 1.2), (1.4, 2 * back, 1.6)))
            roof_parts.append(
                window_unit(rng, x, top + 0.7, 1.0, 1.25, (0.7, 0.7, 0.7), sill=False).placed(
                    0, 0.15
                )
            )
        roof_parts.append(chimney(rng, width * 0.38, depth * 0.5, top + 1, top + high + 1.6))
        return [cornice, *roof_parts]
    parts = [cornice, flat_roof(plain, surface("gravel"), width, depth, top, rng.uniform(0.5, 1.1))]
    return parts + _roof_boxes(rng, width, depth, top)


def _roof_boxes(rng: np.random.Generator, width: float, depth: float, top: float) -> list[Mesh]:
    """The stair head, machines and masts on a flat roof."""
    parts = []
    for _ in range(int(rng.integers(1, 4))):
        size = rng.uniform((1.5, 1.5, 1.0), (0.35 * width + 1, 0.4 * depth, 3.0)).tolist()
        x, y = rng.uniform(-0.28, 0.28) * width, depth * rng.uniform(0.35, 0.65)
        material = surface(str(rng.choice(["plain", "metal", "plaster"])), pick(rng, WALLS))
        parts.append(material.box((x, y, top + size[2] / 2), size))
    if rng.random() < 0.5:
        x, y = rng.uniform(-0.4, 0.4) * width, depth * 0.3
        mast = surface("metal", (0.4, 0.4, 0.4))
        parts.append(mast.rod((x, y, top), (x, y, top + rng.uniform(3, 6)), 0.06, sides=5))
    return parts


def office(rng: np.random.Generator, width: float, depth: float, storeys: int) -> Mesh:
    """An office building: strips or grids of glass in a wall, or glass all over."""
    ground, storey = rng.uniform(3.6, 4.8), rng.uniform(3.2, 3.8)
    upper = max(storeys - 1, 1)
    top = ground + upper * storey
    corners = outline(width, depth)
    edges = list(zip(corners, corners[1:] + corners[:1], strict=True))
    parts: list[Mesh] = []
    if rng.random() < 0.55:
        kind = int(rng.choice(OFFICES))
        tint = facade_tint(rng, kind)
        front = surface(f"facade_{kind}", tint)
        first = (int(rng.integers(4)), int(rng.integers(4)))
        parts += [bays_wall(front, a, b, (ground, top), upper, first) for a, b in edges]
        edge = surface("plaster", tint)
        if rng.random() < 0.5:  # piers that run up the front
            count = max(int(round(width / 6.0)), 1)
            for n in range(count + 1):
                x = n * width / count - width / 2
                parts.append(edge.box((x, -0.1, top / 2), (0.5, 0.6, top)))
    else:
        edge = surface("metal", pick(rng, TRIMS))
        parts += _curtain_wall(rng, edge, width, depth, ground, storey, upper)
    parts += _office_ground(rng, edges, width, depth, ground)
    parts.append(edge.box((0, depth / 2, ground), (width + 0.3, depth + 0.3, 0.5)))
    parts.append(flat_roof(edge, surface("gravel"), width, depth, top, rng.uniform(0.4, 1.4)))
    return join(parts + _roof_boxes(rng, width, depth, top))


def _curtain_wall(
    rng: np.random.Generator,
    edge: SurfaceProperties,
    width: float,
    depth: float,
    ground: float,
    storey: float,
    upper: int,
) -> list[Mesh]:
    """Walls of panes that differ a little, with slab edges and posts in front of them."""
    hue = np.array(
        pick(rng, ((0.05, 0.07, 0.09), (0.04, 0.08, 0.07), (0.09, 0.10, 0.11), (0.03, 0.05, 0.10)))
    )
    parts = []
    corners = outline(width, depth)
    for n, (a, b) in enumerate(zip(corners, corners[1:] + corners[:1], strict=True)):
        columns = max(int(round(np.hypot(b[0] - a[0], b[1] - a[1]) / 3)), 1) if n == 0 else 3
        columns = min(columns, max(120 // upper, 2))
        t = np.linspace(0, 1, columns + 1)
        points = [(a[0] + s * (b[0] - a[0]), a[1] + s * (b[1] - a[1])) for s in t]
        rows = upper if n == 0 else min(upper, 4)
        z = np.linspace(ground, ground + upper * storey, rows + 1)
        panes = [
            wall(surface("glass"), points[i], points[i + 1], (z[k], z[k + 1]))
            for i in range(columns)
            for k in range(rows)
        ]
        tints = hue * rng.uniform(0.6, 1.5, (len(panes), 1))
        tints[rng.random(len(panes)) < 0.12] = rng.uniform(0.2, 0.4)  # blinds are down
        glass = join(panes)
        parts.append(replace(glass, tint=np.repeat(tints, 2, 0).astype(np.float32)))
    for k in range(upper + 1):
        band = rng.uniform(0.25, 0.3) if k else 0.5
        parts.append(
            edge.box((0, depth / 2, ground + k * storey), (width + 0.12, depth + 0.12, band))
        )
    posts = min(max(int(round(width / 1.5)), 1), 14)
    middle, tall = ground + upper * storey / 2, upper * storey
    for n in range(posts + 1):
        parts.append(edge.box((n * width / posts - width / 2, -0.05, middle), (0.09, 0.2, tall)))
    return parts


def _office_ground(
    rng: np.random.Generator,
    edges: list[tuple[Point, Point]],
    width: float,
    depth: float,
    ground: float,
) -> list[Mesh]:
    """A glazed entrance hall set back behind columns, or a lobby's masonry."""
    if rng.random() < 0.4:
        lobby = surface(f"shop_{rng.integers(4)}", pick(rng, SHOPS))
        row = LOBBY_ROW if rng.random() < 0.6 else int(rng.integers(LOBBY_ROW))
        start = (int(rng.integers(4)), row)
        return [bays_wall(lobby, a, b, (0.0, ground), 1, start) for a, b in edges]
    inset = rng.uniform(0.3, 1.5)
    inner = outline(width, depth, inset)
    glass = surface("glass", (0.06, 0.07, 0.075))
    frame = surface("metal", pick(rng, TRIMS))
    parts = [
        wall(glass, a, b, (0.0, ground)) for a, b in zip(inner, inner[1:] + inner[:1], strict=True)
    ]
    count = max(int(round(width / 4)), 1)
    for n in range(count + 1):
        x = n * (width - 0.6) / count - width / 2 + 0.3
        parts.append(surface("concrete").box((x, 0.3, ground / 2), (0.5, 0.5, ground)))
        parts.append(frame.box((x * 0.93, inset, ground / 2), (0.12, 0.12, ground)))
    parts.append(frame.box((0, inset, 2.4), (width - 2 * inset, 0.14, 0.16)))
    door = rng.uniform(-0.3, 0.3) * width
    parts.append(frame.box((door, inset - 0.05, 1.25), (2.4, 0.2, 2.5)))
    parts.append(wall(glass, (door - 1.1, inset - 0.16), (door + 1.1, inset - 0.16), (0.05, 2.4)))
    parts.append(frame.box((door, (inset - 1.2) / 2, 2.9), (3.6, inset + 1.2, 0.15)))
    return parts
