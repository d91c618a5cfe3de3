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

"""Fences, rails and walls along the road.

Each runs along x from -length/2 to +length/2 with its middle line at y = 0, on the ground. What has
a front shows it to +y, the side of the road. Fences and rails count as fence, walls as wall.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from depth_perception.datasets.labels import FENCE, WALL
from depth_perception.world.objects.mesh import Mesh, join
from depth_perception.world.objects.primitives import (
    along_x,
    between,
    choose,
    prism,
    repeated,
    surface,
    tubes,
    varied,
)
from depth_perception.world.surfaces.materials import Colour

STEEL: Colour = (0.50, 0.51, 0.52)
WOODS: tuple[Colour, ...] = (
    (0.36, 0.24, 0.14),
    (0.28, 0.24, 0.20),
    (0.75, 0.74, 0.70),
    (0.16, 0.10, 0.06),
    (0.45, 0.32, 0.18),
)
PAINTS: tuple[Colour, ...] = (
    (0.02, 0.02, 0.02),
    (0.03, 0.10, 0.06),
    (0.50, 0.51, 0.52),
    (0.12, 0.12, 0.13),
    (0.70, 0.70, 0.68),
)
MASONRY: tuple[tuple[str, Colour], ...] = (
    ("brick", (0.85, 0.75, 0.70)),
    ("brick", (0.95, 0.90, 0.80)),
    ("stone", (0.80, 0.78, 0.74)),
    ("stone", (0.70, 0.66, 0.58)),
    ("plaster", (0.85, 0.82, 0.74)),
    ("plaster", (0.70, 0.62, 0.50)),
    ("concrete", (0.80, 0.80, 0.78)),
)


def fence(rng: np.random.Generator, length: float) -> Mesh:
    """Pickets, boards, railings, posts and rails or wire mesh; up to 600 triangles per 10 m."""
    makers = (_pickets, _boards, _railings, _post_and_rail, _wire_mesh, _pedestrian_rail)
    return choose(rng, makers)(rng, length)


def guard_rail(rng: np.random.Generator, length: float) -> Mesh:
    """A steel W-beam on posts, 0.75 m high, its face to +y."""
    steel = surface("metal", varied(rng, STEEL, 0.2), FENCE)
    front = np.array(
        [
            [0.02, -0.155],
            [0.08, -0.10],
            [0.08, -0.06],
            [0.02, 0.0],
            [0.08, 0.06],
            [0.08, 0.10],
            [0.02, 0.155],
        ]
    )
    high = rng.uniform(0.58, 0.68)
    sheet = np.concatenate([front, front[::-1] - [0.012, 0]]) + [0.06, high]
    ends = (-length / 2, length / 2)
    rings = [np.column_stack([np.full(len(sheet), x), sheet]) for x in ends]
    parts = [steel.loft(rings, smooth=False)]
    posts = along_x(between(length - 0.6, choose(rng, (2.0, 4.0))))
    post = join(
        [
            steel.box((0, -0.01, (high + 0.02) / 2), (0.10, 0.12, high + 0.22)),
            steel.box((0, 0.06, high), (0.10, 0.06, 0.16)),
        ]
    )
    parts.append(repeated(post, posts))
    return join(parts)


def jersey_barrier(rng: np.random.Generator, length: float) -> Mesh:
    """Concrete blocks with sloping sides, 0.8 m high, end to end."""
    high = rng.uniform(0.78, 0.92)
    half = np.array([[0.30, 0.0], [0.30, 0.08], [0.17, 0.33], [0.09, high - 0.02], [0.07, high]])
    outline = np.concatenate([half, half[::-1] * [-1, 1]])
    edges = between(length, rng.uniform(3.0, 4.0))
    base = (0.72, 0.71, 0.68)
    blocks = []
    for start, stop in pairwise(edges):
        concrete = surface("concrete", varied(rng, base, 0.1), WALL)
        blocks.append(prism(concrete, outline, start + 0.015, stop - 0.015))
        if rng.random() < 0.12:  # a reflector on top
            lamp = surface("plain", (0.85, 0.35, 0.03), WALL)
            blocks.append(lamp.box(((start + stop) / 2, 0, high + 0.05), (0.03, 0.10, 0.12)))
    return join(blocks)


def water_barrier(rng: np.random.Generator, length: float) -> Mesh:
    """Plastic tubs filled with water, red or orange and white in turn, 0.75 to 1.05 m high."""
    high = rng.uniform(0.75, 1.05)
    half = np.array([[0.28, 0.0], [0.28, 0.22], [0.13, 0.42], [0.10, high]])
    outline = np.concatenate([half, half[::-1] * [-1, 1]])
    pairs = (
        ((0.62, 0.07, 0.04), (0.72, 0.71, 0.68)),
        ((0.78, 0.20, 0.03), (0.74, 0.73, 0.70)),
        ((0.55, 0.06, 0.05), (0.75, 0.74, 0.72)),
        ((0.62, 0.07, 0.04), (0.62, 0.09, 0.04)),
        ((0.80, 0.50, 0.04), (0.06, 0.06, 0.06)),
    )
    pair = choose(rng, pairs)
    edges = between(length, rng.uniform(1.0, 2.0))
    parts = []
    for k, (start, stop) in enumerate(pairwise(edges)):
        plastic = surface("plain", varied(rng, pair[k % 2], 0.12), WALL)
        # They stand in a line, but not exactly.
        parts.append(prism(plastic, outline + [rng.normal(0, 0.03), 0], start + 0.03, stop - 0.03))
        dark = surface("plain", (0.25 * pair[k % 2][0], 0.04, 0.04), WALL)
        middle = (start + stop) / 2
        parts.append(dark.box((middle, 0, 0.08), (0.35 * (stop - start), 0.57, 0.12)))
        if rng.random() < 0.15:
            lamp = surface("lamp", (0.85, 0.45, 0.03), WALL)
            parts.append(lamp.rod((middle, 0, high), (middle, 0, high + 0.2), 0.08, sides=6))
    return join(parts)


def garden_wall(rng: np.random.Generator, length: float) -> Mesh:
    """A wall with coping, 0.5 to 2 m high, some with pillars or a railing on top."""
    name, tint = choose(rng, MASONRY)
    masonry = surface(name, varied(rng, tint), WALL)
    trim = surface(choose(rng, ("concrete", "stone")), varied(rng, (0.70, 0.69, 0.66)), WALL)
    railed = rng.random() < 0.3
    high = rng.uniform(0.4, 0.9) if railed else rng.uniform(0.5, 1.9)
    thick = rng.uniform(0.18, 0.34)
    pillared = railed or rng.random() < 0.4
    parts = [masonry.box((0, 0, high / 2), (length, thick, high))]
    w = thick / 2 + 0.04
    if rng.random() < 0.4:  # a coping like a small roof
        profile = [[-w, high], [w, high], [w, high + 0.04], [0, high + 0.14], [-w, high + 0.04]]
        parts.append(prism(trim, profile, -length / 2, length / 2))
    else:
        parts.append(trim.box((0, 0, high + 0.03), (length, 2 * w, 0.06)))
    if pillared:
        side, top = thick + 0.14, high + (1.0 if railed else 0.22)
        pillar = [
            masonry.box((0, 0, top / 2), (side, side, top)),
            trim.box((0, 0, top + 0.04), (side + 0.1, side + 0.1, 0.08)),
        ]
        positions = between(length - side, rng.uniform(2.5, 4.0))
        parts.append(repeated(join(pillar), along_x(positions)))
    if railed:
        steel = surface("metal", varied(rng, choose(rng, PAINTS)), FENCE)
        bars = between(length - 0.3, rng.uniform(0.14, 0.18))
        foot = along_x(bars) + [0, 0, high]
        parts.append(tubes(steel, foot, foot + [0, 0, 0.85], 0.011))
        for z in (high + 0.15, high + 0.75):
            parts.append(steel.box((0, 0, z), (length, 0.03, 0.04)))
    return join(parts)


def retaining_wall(rng: np.random.Generator, length: float, height: float) -> Mesh:
    """A wall that holds back higher ground behind it (-y); its face leans back a little."""
    name, tint = choose(
        rng,
        (
            ("concrete", (0.80, 0.79, 0.76)),
            ("stone", (0.75, 0.72, 0.66)),
            ("brick", (0.75, 0.68, 0.64)),
            ("stone", (0.62, 0.58, 0.52)),
        ),
    )
    masonry = surface(name, varied(rng, tint), WALL)
    trim = surface("concrete", varied(rng, (0.75, 0.74, 0.71)), WALL)
    lean = rng.uniform(0.02, 0.10) * height
    front, back = 0.2, -0.3 - lean
    profile = [[back, 0], [front, 0], [front - lean, height], [back, height]]
    parts = [prism(masonry, profile, -length / 2, length / 2)]
    top = (front - lean + back) / 2
    depth = front - lean - back + 0.10
    parts.append(trim.box((0, top, height + 0.06), (length, depth, 0.12)))
    if name != "concrete" and rng.random() < 0.6:  # buttresses
        pillar = masonry.box((0, front, 0.45 * height), (0.5, 0.4, 0.9 * height))
        parts.append(repeated(pillar, along_x(between(length - 0.5, rng.uniform(4, 7)))))
    if rng.random() < 0.5:
        rail = surface("metal", varied(rng, choose(rng, PAINTS)), FENCE)
        foot = along_x(between(length - 0.1, 1.6)) + [0, top, height + 0.12]
        parts.append(tubes(rail, foot, foot + [0, 0, 1.0], 0.025, sides=4))
        for z in (0.35, 0.7, 1.0):
            up = height + 0.12 + z
            start, stop = [-length / 2, top, up], [length / 2, top, up]
            parts.append(tubes(rail, start, stop, 0.022, sides=4))
    return join(parts)


def _pickets(rng: np.random.Generator, length: float) -> Mesh:
    """Upright slats with gaps between them, pointed, round-topped by a slant or flat."""
    wood = surface("wood", varied(rng, choose(rng, WOODS)), FENCE)
    high, wide = rng.uniform(0.8, 1.3), rng.uniform(0.08, 0.11)
    w, tip = wide / 2, choose(rng, (0.0, 0.05, 0.08))
    # Flat in front and with a ridge behind: the fewest triangles that show no gap from the side.
    right, up = np.array(
        [[-w, 0.06], [w, 0.06], [w, high - tip], [0, high], [-w, high - tip], [0, 0.06]]
    ).T
    corners = np.column_stack([-right, [0.035] * 5 + [0.015], up])
    slat = wood.mesh(
        corners, [[0, 1, 2], [0, 2, 3], [0, 3, 4], [2, 1, 5], [3, 2, 5], [4, 3, 5], [0, 4, 5]]
    )
    xs = between(length - wide, wide + rng.uniform(0.065, 0.09))
    parts = [repeated(slat, along_x(xs))]
    for z in (0.25 * high, 0.78 * high):
        parts.append(wood.box((0, 0, z), (length, 0.03, 0.09)))
    post = wood.box((0, -0.03, (high - 0.1) / 2), (0.10, 0.08, high - 0.1 + 0.2))
    parts.append(repeated(post, along_x(between(length - 0.1, 2.2))))
    return join(parts)


def _boards(rng: np.random.Generator, length: float) -> Mesh:
    """A closed fence of boards between posts, upright or lying."""
    tint = varied(rng, choose(rng, WOODS))
    wood = surface("wood", tint, FENCE)
    high = rng.uniform(1.5, 2.0)
    posts = between(length - 0.1, 2.0)
    parts = [repeated(wood.box((0, 0, high / 2), (0.10, 0.10, high + 0.2)), along_x(posts))]
    if rng.random() < 0.5:
        # Faces of boards on both sides of a dark sheet, which shows between them.
        dark = surface("wood", (0.5 * tint[0], 0.5 * tint[1], 0.5 * tint[2]), FENCE)
        parts.append(dark.box((0, 0, high / 2), (length - 0.02, 0.012, high - 0.14)))
        xs = between(length - 0.15, 0.155)
        w = (xs[1] - xs[0]) / 2 - 0.006
        for k in range(4):  # boards differ; every fourth is the same
            low, top = 0.05, high - 0.06 + rng.normal(0, 0.01)
            front = np.array([[w, 0.012, low], [-w, 0.012, low], [-w, 0.012, top], [w, 0.012, top]])
            board = surface("wood", varied(rng, tint, 0.08), FENCE)
            faces = join([board.quad(front), board.quad(front * [-1, -1, 1])])
            parts.append(repeated(faces, along_x(xs[k::4])))
    else:
        for z in np.arange(0.12, high, 0.17):
            plank = surface("wood", varied(rng, tint, 0.08), FENCE)
            parts.append(plank.box((0, 0.02, z + 0.03), (length, 0.025, 0.15)))
    return join(parts)


def _railings(rng: np.random.Generator, length: float) -> Mesh:
    """Upright iron bars between two rails."""
    iron = surface("metal", varied(rng, choose(rng, PAINTS)), FENCE)
    high = rng.uniform(0.9, 1.7)
    foot = along_x(between(length, rng.uniform(0.12, 0.16))) + [0, 0, 0.08]
    parts = [tubes(iron, foot, foot + [0, 0, high - 0.08], 0.011)]
    for z in (0.15, high - 0.15):
        parts.append(iron.box((0, 0, z), (length, 0.03, 0.04)))
    post = iron.box((0, 0, high / 2), (0.06, 0.06, high + 0.2))
    parts.append(repeated(post, along_x(between(length - 0.06, 2.5))))
    return join(parts)


def _post_and_rail(rng: np.random.Generator, length: float) -> Mesh:
    """Two to four bars between posts, as round a paddock."""
    wood = surface("wood", varied(rng, choose(rng, WOODS)), FENCE)
    high = rng.uniform(0.9, 1.3)
    post = wood.box((0, 0, high / 2), (0.11, 0.11, high + 0.2))
    parts = [repeated(post, along_x(between(length - 0.11, rng.uniform(2.0, 2.8))))]
    for z in np.linspace(0.4, high - 0.12, int(rng.integers(2, 5))):
        parts.append(wood.box((0, 0.07, z), (length, 0.04, rng.uniform(0.09, 0.13))))
    return join(parts)


def _wire_mesh(rng: np.random.Generator, length: float) -> Mesh:
    """Wires between steel posts, fewer and thicker than real ones: a grid or chain link."""
    steel = surface("metal", varied(rng, choose(rng, PAINTS)), FENCE)
    high = rng.uniform(1.2, 2.2)
    post = steel.box((0, 0, high / 2), (0.05, 0.05, high + 0.25))
    parts = [repeated(post, along_x(between(length - 0.05, 2.5)))]
    if rng.random() < 0.5:
        foot = along_x(between(length, 0.2)) + [0, 0.03, 0.05]
        parts.append(tubes(steel, foot, foot + [0, 0, high - 0.08], 0.004))
        rails = np.linspace(0.06, high - 0.05, 8)
        radius = 0.005
    else:
        xs = between(length, 0.3)
        lean = 0.55 * (high - 0.1)
        for sign in (-1, 1):
            foot = along_x(xs) + [0, 0.03, 0.05]
            # Wires that would leave the fence at an end stop there, lower down.
            stop = np.clip(xs + sign * lean, -length / 2, length / 2)
            top = along_x(stop) + [0, 0.03, 0.05]
            top[:, 2] += (high - 0.1) * np.abs(stop - xs) / lean
            parts.append(tubes(steel, foot[top[:, 2] > 0.1], top[top[:, 2] > 0.1], 0.0035))
        rails = np.array([0.05, high - 0.04])
        radius = 0.015
    ends = np.array([-length / 2, 0.03, 0.0]) + rails[:, None] * [0, 0, 1]
    parts.append(tubes(steel, ends, ends + [length, 0, 0], radius))
    return join(parts)


def _pedestrian_rail(rng: np.random.Generator, length: float) -> Mesh:
    """A kerb-side rail of tubes: hoops with a knee bar."""
    paint: tuple[Colour, ...] = (*PAINTS, (0.60, 0.04, 0.04), (0.75, 0.50, 0.03))
    steel = surface("metal", varied(rng, choose(rng, paint)), FENCE)
    high = rng.uniform(0.85, 1.1)
    feet = along_x(between(length - 0.06, rng.uniform(1.5, 2.0)))
    parts = [tubes(steel, feet - [0, 0, 0.1], feet + [0, 0, high], 0.024, sides=6)]
    for z in (high, 0.5 * high):
        start, stop = [-length / 2, 0, z], [length / 2, 0, z]
        parts.append(tubes(steel, start, stop, 0.022, sides=6))
    return join(parts)
