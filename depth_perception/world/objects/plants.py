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

"""Trees, bushes, hedges and grass.

Each maker returns one plant in its own frame: origin on the ground under its middle, metres. All
of a plant counts as vegetation, its trunk too, as in Cityscapes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from depth_perception.datasets.labels import VEGETATION
from depth_perception.world.objects.foliage import (
    above_ground,
    blobs,
    even_directions,
    foliage,
    leaves,
    loose,
    mottled,
    normalised,
    scaled_colour,
    slivers,
)
from depth_perception.world.objects.mesh import FloatArray, Mesh, SurfaceProperties, join
from depth_perception.world.objects.primitives import (
    choose,
    polyline_tube,
    surface,
    tubes,
    unit,
    varied,
)
from depth_perception.world.surfaces.materials import Colour

LEAF_COLOURS: tuple[Colour, ...] = (
    (0.10, 0.17, 0.045),
    (0.07, 0.13, 0.04),
    (0.14, 0.20, 0.05),
    (0.06, 0.11, 0.05),
    (0.11, 0.15, 0.07),
    (0.16, 0.21, 0.08),
)
AUTUMN: tuple[Colour, ...] = (
    (0.42, 0.26, 0.05),
    (0.38, 0.15, 0.04),
    (0.30, 0.07, 0.04),
    (0.26, 0.22, 0.06),
)
NEEDLES: tuple[Colour, ...] = (
    (0.05, 0.09, 0.045),
    (0.04, 0.08, 0.03),
    (0.07, 0.11, 0.08),
    (0.07, 0.11, 0.04),
)
BARKS: tuple[Colour, ...] = (
    (0.20, 0.16, 0.12),
    (0.14, 0.11, 0.09),
    (0.28, 0.25, 0.20),
    (0.22, 0.20, 0.18),
)
BLOSSOMS: tuple[Colour, ...] = (
    (0.70, 0.06, 0.06),
    (0.80, 0.60, 0.05),
    (0.75, 0.75, 0.72),
    (0.45, 0.12, 0.50),
    (0.80, 0.30, 0.40),
)


def broadleaf_tree(rng: np.random.Generator, height: float | None = None) -> Mesh:
    """A tree in leaf, 4 to 14 m high unless its height is given; 600 to 1500 triangles."""
    tall = float(rng.uniform(4, 14)) if height is None else height
    # Crown: width as a share of the height, and where it begins: spreading, round, oval, column.
    forms = ((0.40, 0.24), (0.33, 0.27), (0.25, 0.24), (0.14, 0.14))
    return _leafy_tree(rng, tall, *choose(rng, forms))


def avenue_tree(rng: np.random.Generator) -> Mesh:
    """A big tree in leaf whose crown, 8 to 13 m wide, spreads over a road 4.2 m above it."""
    tall = float(rng.uniform(10.5, 15))
    tree = _leafy_tree(rng, tall, float(rng.uniform(0.38, 0.46)), 0.42)
    # Lorries and crews with saws keep the space over a road free: up with what hangs into it.
    p = tree.vertices.copy()
    low = (np.hypot(p[:, 0], p[:, 1]) > 0.6) & (p[:, 2] < 4.9)
    p[low, 2] = 4.25 + 0.65 * np.clip(p[low, 2] / 4.9, 0.0, 1.0) ** 3
    return replace(tree, vertices=p)


def _leafy_tree(rng: np.random.Generator, tall: float, width: float, clear: float) -> Mesh:
    """A tree in leaf; its crown's width and where it begins are shares of its height."""
    radius = tall * width * rng.uniform(0.85, 1.1)
    bottom = tall * clear * rng.uniform(0.85, 1.2)
    middle = np.array([*rng.normal(0, 0.03, 2) * tall, (tall + bottom) / 2])
    crown = np.array([radius * rng.uniform(0.9, 1.1), radius * rng.uniform(0.9, 1.1), 0.0])
    crown[2] = (tall - bottom) / 2

    # Clusters of leaves all over it, rounder than the crown is.
    around = unit(even_directions(rng, int(rng.integers(8, 11))))
    centres = middle + around * crown * rng.uniform(0.5, 0.72, (len(around), 1))
    centres = np.concatenate([middle[None], centres])
    round_ = 0.5 * crown + 0.5 * np.cbrt(crown.prod())
    radii = round_ * rng.uniform(0.3, 0.52, (len(centres), 1)) * rng.uniform(0.85, 1.1, 3)
    radii[:, :2] = np.minimum(radii[:, :2], 0.6 * radius)
    radii[0] = crown * 0.6
    # Nothing rises above the height asked for, nor hangs low enough to brush passers-by.
    centres[:, 2] = np.clip(centres[:, 2], bottom + 0.7 * radii[:, 2], tall - radii[:, 2])
    highest = (centres[:, 2] + radii[:, 2]).argmax()
    centres[highest, 2] = tall - radii[highest, 2]

    tint = varied(rng, choose(rng, AUTUMN if rng.random() < 0.15 else LEAF_COLOURS))
    size = float(np.clip(0.10 + 0.07 * radius, 0.14, 0.4))
    return join(
        [
            _trunk_and_boughs(rng, tall, middle, bottom, centres),
            blobs(rng, centres, 0.74 * radii, tint),
            foliage(rng, centres, radii, int(rng.integers(700, 860)), size, tint),
        ]
    )


def conifer(rng: np.random.Generator) -> Mesh:
    """A spruce, a pine or a slim cypress, 4 to 15 m high; at most 1500 triangles."""
    tint = varied(rng, choose(rng, NEEDLES))
    kind = rng.random()
    if kind < 0.65:
        return _spruce(rng, float(rng.uniform(4, 15)), tint)
    if kind < 0.85:
        return _pine(rng, float(rng.uniform(8, 15)), tint)
    tall = float(rng.uniform(4, 9))
    radius = tall * rng.uniform(0.09, 0.14)
    heights = np.array([0.22, 0.42, 0.62, 0.8]) * tall
    centres = np.column_stack([rng.normal(0, 0.08 * radius, (4, 2)), heights])
    radii = radius * np.array([[1.0], [1.0], [0.8], [0.5]]) * [1.0, 1.0, 0.0]
    radii[:, 2] = np.array([0.2, 0.22, 0.2, 0.2]) * tall
    green = foliage(rng, centres, radii, 720, 0.02 * tall + 0.06, tint, upright=1.0)
    trunk = polyline_tube(_bark(rng), [[0, 0, -0.1], [0, 0, 0.4 * tall]], 0.02 * tall)
    inside = blobs(rng, centres, 0.8 * radii, tint)
    return join([trunk, above_ground(join([inside, green]))])


def bare_tree(rng: np.random.Generator) -> Mesh:
    """A tree without leaves, 5 to 13 m high: branches down to twigs; at most 1500 triangles."""
    tall = float(rng.uniform(5, 13))
    bark = _bark(rng)
    bottom = tall * rng.uniform(0.2, 0.32)
    lean = rng.normal(0, 0.02, 2) * tall
    heights = np.array([-0.1, 0.06 * tall, bottom, 0.55 * tall, 0.8 * tall])
    path = np.column_stack([np.outer(np.maximum(heights, 0) / tall, lean), heights])
    path[2:, :2] += rng.normal(0, 0.006 * tall, (3, 2))
    thick = tall * rng.uniform(0.012, 0.017)
    trunk = polyline_tube(bark, path, thick * np.array([1.4, 1.0, 0.85, 0.4, 0.15]), sides=7)

    # Boughs leave the trunk between the fork and the top, the lower the longer and flatter.
    count = int(rng.integers(9, 12))
    share = np.sort(rng.uniform(0, 1, count)) ** 1.2
    roots = np.stack(
        [np.interp(bottom + share * 0.5 * tall, path[:, 2], path[:, k]) for k in range(3)], 1
    )
    azimuth = 2.4 * np.arange(count) + rng.uniform(0, 6) + rng.normal(0, 0.3, count)
    rise = 0.6 + 0.6 * share + rng.normal(0, 0.1, count)
    heading = np.stack(
        [np.cos(azimuth) * np.cos(rise), np.sin(azimuth) * np.cos(rise), np.sin(rise)], 1
    )
    long = tall * rng.uniform(0.28, 0.38) * (1.15 - 0.5 * share) * rng.uniform(0.8, 1.15, count)
    width = thick * (0.5 - 0.25 * share)
    bend = roots + heading * (0.5 * long)[:, None]
    tips = (
        bend
        + unit(heading + rng.normal(0, 0.15, heading.shape) + [0, 0, 0.2]) * ((0.5 * long)[:, None])
    )
    parts = [
        trunk,
        tubes(bark, roots, bend, width, 0.7 * width, sides=5),
        tubes(bark, bend, tips, 0.7 * width, 0.2 * width, sides=4),
    ]
    # Each further order leaves along the outer part of the one before.
    for order, (children, shrink) in enumerate(((5, 0.55), (5, 0.55), (2, 0.6))):
        count = children * len(roots)
        at = np.linspace(0.25, 1.0, children) + rng.normal(0, 0.05, (len(roots), children))
        at = np.clip(at, 0.1, 1.0).reshape(-1, 1)
        a, b, c = (np.repeat(p, children, axis=0) for p in (roots, bend, tips))
        along = unit(c - a)
        long = np.repeat(long, children) * shrink * rng.uniform(0.7, 1.2, count)
        long *= 1.2 - 0.5 * at.ravel()  # the shorter the nearer to the tip
        roots = np.where(at < 0.5, a + (b - a) * 2 * at, b + (c - b) * (2 * at - 1))
        heading = unit(along + 0.5 * rng.normal(size=roots.shape) + [0, 0, 0.15])
        tips = roots + heading * long[:, None]
        bend = (roots + tips) / 2
        width = np.repeat(width, children) * 0.42
        if order == 0:
            parts.append(tubes(bark, roots, tips, width, 0.4 * width))
        else:  # Twigs are slivers: too thin for anyone to see that they are flat.
            parts.append(slivers(rng, bark.tint, roots, tips, width))
    return join(parts)


def palm(rng: np.random.Generator) -> Mesh:
    """A palm, 5 to 10 m high, with a crown of feathered fronds; about 600 triangles."""
    tall = float(rng.uniform(4, 8.5))
    steps = np.linspace(0, 1, 6)
    lean = rng.normal(0, 0.05, 2) * tall
    path = np.column_stack([np.outer(steps**2, lean), steps * (tall + 0.1) - 0.1])
    thick = rng.uniform(0.11, 0.17)
    trunk = polyline_tube(
        _bark(rng), path, thick * np.array([1.3, 1.0, 0.95, 0.9, 0.9, 1.1]), sides=8
    )

    count, joints = int(rng.integers(15, 20)), 13
    azimuth = 2.4 * np.arange(count) + rng.normal(0, 0.2, count)
    rise = np.linspace(1.2, -0.5, count) + rng.normal(0, 0.1, count)
    long = rng.uniform(1.8, 2.8) * rng.uniform(0.85, 1.1, count)
    # A frond leaves at its own angle and bends down over its length.
    along = np.linspace(0, 1, joints)
    pitch = rise[:, None] - 1.5 * along
    step = long[:, None] / (joints - 1)
    out = np.cumsum(np.cos(pitch) * step, 1) - np.cos(pitch) * step
    up = np.cumsum(np.sin(pitch) * step, 1) - np.sin(pitch) * step
    side = np.stack([-np.sin(azimuth), np.cos(azimuth), 0 * azimuth], 1)[:, None]
    ahead = np.stack([np.cos(azimuth), np.sin(azimuth), 0 * azimuth], 1)[:, None]
    spine = path[-1] + out[..., None] * ahead + up[..., None] * [0.0, 0.0, 1.0]
    reach = (0.16 * long)[:, None] * np.sin(np.pi * (0.15 + 0.75 * along[:-1]))
    leaflets = []
    for sign in (-1.0, 1.0):
        tip = spine[:, 1:] + sign * reach[..., None] * side + 1.2 * step[..., None] * ahead
        tip = tip - [0.0, 0.0, 1.0] * (0.4 * reach + 0.5 * step)[..., None]
        leaflets.append(np.stack([spine[:, :-1], spine[:, 1:], tip], 2).reshape(-1, 3, 3))
    corners = np.concatenate(leaflets)
    outward = unit(corners.mean(1) - path[-1] + [0.0, 0.0, 0.8])
    green = varied(rng, (0.12, 0.17, 0.05))
    heart = blobs(rng, path[-1:], np.full((1, 3), 1.5 * thick), green)
    return join([trunk, heart, loose(rng, corners, outward, green)])


def bush(rng: np.random.Generator, count: int | None = None) -> Mesh:
    """A bush, 0.5 to 2.2 m high, of 260 to 400 leaves unless their count is given."""
    many = int(rng.integers(260, 400)) if count is None else count
    tall = float(rng.uniform(0.5, 2.1))
    lumps = int(rng.integers(2, 6))
    radii = tall * rng.uniform(0.34, 0.5, (lumps, 1)) * rng.uniform(0.85, 1.15, (lumps, 3))
    centres = np.column_stack([rng.normal(0, 0.32 * tall, (lumps, 2)), 0.9 * radii[:, 2]])
    centres[0, 2] = tall - radii[0, 2]
    tint = varied(rng, choose(rng, AUTUMN if rng.random() < 0.12 else LEAF_COLOURS))
    green = foliage(rng, centres, radii, many, 0.06 + 0.045 * tall, tint)
    return above_ground(join([blobs(rng, centres, 0.8 * radii, tint), green]))


def hedge(rng: np.random.Generator, length: float) -> Mesh:
    """A clipped hedge along x, 0.6 to 2 m high; about 110 triangles per metre."""
    tall = float(rng.uniform(0.6, 1.9))
    half = tall * rng.uniform(0.18, 0.3) + 0.15
    tint = varied(rng, choose(rng, LEAF_COLOURS))
    xs = np.linspace(-length / 2, length / 2, max(3, round(length / 0.6) + 1))
    side = np.array([[1.0, 0.0], [1.06, 0.5], [0.95, 0.93], [0.5, 1.0]])
    outline = np.concatenate([side, side[::-1] * [-1, 1]]) * [half, tall]
    rings = np.empty((len(xs), len(outline), 3))
    rings[..., 0] = xs[:, None] + rng.normal(0, 0.05, rings.shape[:2])
    rings[..., 1:] = outline + rng.normal(0, 0.045, (*rings.shape[:2], 2))
    rings[:, [0, -1], 2] = 0.0
    rings[[0, -1], :, 0] = np.array([-length / 2, length / 2])[:, None]
    leafy = surface("leaves", scaled_colour(tint, 0.65), VEGETATION)
    body = [leafy.loft(rings), leafy.fan(rings[0, ::-1]), leafy.fan(rings[-1])]

    # Leaves all over, as many on each face as it has area.
    n = int(np.clip(75 * length, 80, 1500))
    face = rng.choice(
        5,
        n,
        p=normalised(
            [tall * length, tall * length, 2 * half * length, tall * 2 * half, tall * 2 * half]
        ),
    )
    outward = np.array([[0, 1, 0], [0, -1, 0], [0, 0, 1], [1, 0, 0], [-1, 0, 0]], float)[face]
    spot = rng.uniform(-1, 1, (n, 3))
    spot = np.where(outward != 0, outward, spot) * [length / 2, half, tall / 2]
    spot += [0, 0, tall / 2] + outward * rng.uniform(0.0, 0.09, (n, 1))
    green = leaves(rng, spot, outward, float(rng.uniform(0.08, 0.14)), tint)
    return above_ground(join([*(mottled(rng, part) for part in body), green]))


def grass_tuft(rng: np.random.Generator) -> Mesh:
    """A tuft of long grass, 0.15 to 0.6 m high; 12 to 24 triangles."""
    n = int(rng.integers(12, 25))
    tall = rng.uniform(0.15, 0.55)
    azimuth = rng.uniform(0, 2 * np.pi, n)
    ahead = np.stack([np.cos(azimuth), np.sin(azimuth), 0 * azimuth], 1)
    root = ahead * rng.uniform(0, 0.3 * tall, (n, 1))
    side = np.stack([-np.sin(azimuth), np.cos(azimuth), 0 * azimuth], 1) * 0.016 * (0.6 + tall)
    up = np.array([0.0, 0.0, 1.0]) * rng.uniform(0.6, 1.0, (n, 1)) * tall
    tip = root + ahead * rng.uniform(0.1, 0.6, (n, 1)) * tall + up
    corners = np.stack([root - side, root + side, tip], 1)
    dry = choose(rng, ((0.12, 0.19, 0.05), (0.16, 0.20, 0.06), (0.28, 0.24, 0.10)))
    return loose(rng, corners, unit(ahead + [0.0, 0.0, 1.2]), varied(rng, dry), "grass")


def flower_bed(rng: np.random.Generator) -> Mesh:
    """A low mound of soil, leaves and blossoms, 1 to 3 m across; about 300 triangles."""
    wide, deep = rng.uniform(0.6, 1.6), rng.uniform(0.4, 0.9)
    soil = surface("soil", (0.10, 0.07, 0.05), VEGETATION)
    mound = soil.ellipsoid((0, 0, 0), (wide, deep, 0.12), around=12, down=5)
    n = 170
    azimuth, out = rng.uniform(0, 2 * np.pi, n), np.sqrt(rng.uniform(0, 0.95, n))
    spot = np.stack([np.cos(azimuth) * out * wide, np.sin(azimuth) * out * deep, 0 * out], 1)
    spot[:, 2] = 0.12 * np.sqrt(1 - out**2) + rng.uniform(0.02, 0.2, n)
    up = np.broadcast_to([0.0, 0.0, 1.0], (n, 3))
    green = leaves(rng, spot, up, 0.11, varied(rng, choose(rng, LEAF_COLOURS)))
    blooms = [
        leaves(rng, spot[k::4] + [0, 0, 0.09], up[k::4], 0.07, choose(rng, BLOSSOMS))
        for k in range(2)
    ]
    return above_ground(join([mound, green, *blooms]))


def _spruce(rng: np.random.Generator, tall: float, tint: Colour) -> Mesh:
    """Whorls of drooping sprays round a cone, dense enough to hide most of the trunk."""
    radius = tall * rng.uniform(0.17, 0.27)
    bottom = rng.uniform(0.2, 0.9) + 0.03 * tall
    trunk = polyline_tube(
        _bark(rng), [[0, 0, -0.1], [0, 0, 0.75 * tall]], [0.015 * tall, 0.005 * tall]
    )
    # The dark inside: a cone whose radius jumps in and out, as the whorls do.
    rows, sides = 9, 9
    t = np.linspace(0, 0.96, rows)
    azimuth = 2 * np.pi * np.arange(sides) / sides
    reach = radius * (0.56 - 0.16 * (np.arange(rows) % 2)) * (1 - t) ** 0.8 + 0.02
    reach = reach[:, None] * rng.uniform(0.8, 1.2, (rows, sides))
    rings = np.stack([reach * np.cos(azimuth), reach * np.sin(azimuth), 0 * reach], 2)
    rings[..., 2] = (bottom + t * (tall - bottom))[:, None]
    dark = surface("leaves", scaled_colour(tint, 0.7), VEGETATION)
    core = join([dark.loft(rings, smooth=False), dark.fan(rings[0, ::-1])])

    n = int(rng.integers(300, 380))
    t = rng.uniform(0, 1, n) ** 0.9  # sprays shrink towards the top as the girth does
    whorls = round(tall / rng.uniform(0.55, 0.8))
    t = np.clip((np.round(t * whorls) + rng.normal(0, 0.12, n)) / whorls, 0, 0.985)
    azimuth = rng.uniform(0, 2 * np.pi, n)
    ahead = np.stack([np.cos(azimuth), np.sin(azimuth), 0 * azimuth], 1)
    side = np.stack([-np.sin(azimuth), np.cos(azimuth), 0 * azimuth], 1)
    long = (radius * (1 - t) ** 0.75 * rng.uniform(0.75, 1.12, n))[:, None] + 0.1
    root = ahead * 0.3 * long
    root[:, 2] = bottom + t * (tall - bottom) + 0.3 * (1 - t) * long[:, 0]
    fall = rng.uniform(0.35, 0.95, (n, 1)) * (1 - 0.5 * t[:, None])
    tip = root + 0.7 * long * (ahead - [0.0, 0.0, 1.0] * fall)
    tip[:, 2] = np.maximum(tip[:, 2], 0.15)
    half = side * np.maximum(0.2 * long, 0.09) * rng.uniform(0.7, 1.4, (n, 1))
    waist = root + 0.6 * (tip - root) + [0.0, 0.0, 0.04] * long
    corners = np.stack([root, waist + half, tip, waist - half], 1)
    kites = np.concatenate([corners[:, [0, 3, 1]], corners[:, [2, 1, 3]]])
    outward = np.tile(unit(ahead + [0.0, 0.0, 0.5]), (2, 1))
    leader = polyline_tube(dark, [[0, 0, 0.85 * tall], [0, 0, tall]], [0.05, 0.01], sides=4)
    return join([trunk, mottled(rng, core), loose(rng, kites, outward, tint), leader])


def _pine(rng: np.random.Generator, tall: float, tint: Colour) -> Mesh:
    """A long bare trunk with flat clumps of needles in the upper half."""
    count = int(rng.integers(8, 12))
    crown = tall * rng.uniform(0.17, 0.24)
    centres = unit(even_directions(rng, count)) * [0.75 * crown, 0.75 * crown, 0.22 * tall]
    centres[:, 2] += 0.74 * tall
    radii = crown * rng.uniform(0.45, 0.75, (count, 1)) * [1.0, 1.0, 0.5]
    centres[0], radii[0] = (0, 0, 0.92 * tall), 0.6 * crown * np.array([1, 1, 0.6])
    centres[:, 2] = np.minimum(centres[:, 2], tall - radii[:, 2])
    middle = np.array([0.0, 0.0, 0.78 * tall])
    limbs = _trunk_and_boughs(rng, tall, middle, 0.5 * tall, centres, (0.26, 0.16, 0.10))
    green = foliage(rng, centres, radii, 720, float(np.clip(0.023 * tall, 0.16, 0.3)), tint)
    return join([limbs, blobs(rng, centres, 0.66 * radii, tint), green])


def _bark(rng: np.random.Generator, tint: Colour | None = None) -> SurfaceProperties:
    return surface("bark", varied(rng, tint or choose(rng, BARKS)), VEGETATION)


def _trunk_and_boughs(
    rng: np.random.Generator,
    tall: float,
    middle: FloatArray,
    bottom: float,
    centres: FloatArray,
    tint: Colour | None = None,
) -> Mesh:
    """A tapered trunk up into the crown and boughs from it to some of the crown's clusters."""
    bark = _bark(rng, tint)
    thick = tall * rng.uniform(0.013, 0.019) + 0.02
    heights = np.array([-0.05, 0.05 * tall, 0.6 * bottom, bottom, middle[2]])
    share = np.clip(heights / middle[2], 0, 1)[:, None]
    path = np.concatenate([middle[:2] * share, heights[:, None]], 1)
    path[2:4, :2] += rng.normal(0, 0.005 * tall, (2, 2))
    trunk = polyline_tube(bark, path, thick * np.array([1.4, 1.0, 0.9, 0.85, 0.35]), sides=7)
    ends = centres[1 : 1 + int(rng.integers(3, 7))]
    roots = path[3] + (path[4] - path[3]) * rng.uniform(0, 0.4, (len(ends), 1))
    bend = roots + (ends - roots) * [0.6, 0.6, 0.45]
    boughs = [
        tubes(bark, roots, bend, 0.45 * thick, 0.3 * thick, sides=5),
        tubes(bark, bend, ends, 0.3 * thick, 0.12 * thick, sides=5),
    ]
    return join([trunk, *boughs])
