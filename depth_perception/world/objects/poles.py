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

"""Lamp posts, utility poles and their wires, and bollards; all count as pole.

Each maker returns one thing in its own frame: origin on the ground at its post, metres. The road
lies on the +y side: arms reach over it along +y.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from depth_perception.datasets.labels import POLE
from depth_perception.world.objects.mesh import Mesh, join
from depth_perception.world.objects.primitives import (
    banded,
    choose,
    polyline_tube,
    prism,
    surface,
    tubes,
    varied,
)
from depth_perception.world.surfaces.materials import Colour

STEEL: Colour = (0.45, 0.46, 0.47)
BLACK: Colour = (0.02, 0.02, 0.02)
WHITE: Colour = (0.75, 0.75, 0.73)
RED: Colour = (0.58, 0.04, 0.03)
ORANGE: Colour = (0.80, 0.16, 0.02)
POSTS: tuple[Colour, ...] = (
    STEEL,
    (0.30, 0.31, 0.32),
    (0.04, 0.05, 0.05),
    (0.03, 0.08, 0.06),
    (0.60, 0.60, 0.58),
)
UTILITY_WIRES: tuple[tuple[float, float], ...] = (
    (-0.85, -0.19),
    (-0.3, -0.19),
    (0.3, -0.19),
    (0.85, -0.19),
)
"""Where a utility pole holds its wires: y, and z from the pole's height. Wires run along x, at
x = 0.12 in the pole's frame."""


def lamp_post(rng: np.random.Generator) -> Mesh:
    """A street lamp: a mast with an arm over the road along +y, or a lantern on its top."""
    paint = surface("metal", varied(rng, choose(rng, POSTS)), POLE)
    lens = surface("plain", (0.80, 0.80, 0.76), POLE)
    kind = rng.random()
    if kind < 0.6:  # a tall mast; some have a second arm to the other side
        high, reach = rng.uniform(6.5, 10), rng.uniform(0.8, 2.4)
        parts = [
            paint.rod((0, 0, -0.1), (0, 0, high), 0.085, 0.05),
            paint.rod((0, 0, 0), (0, 0, 1.1), 0.11, 0.10),
        ]
        for side in (1, -1)[: 1 + (rng.random() < 0.15)]:
            if rng.random() < 0.5:  # a curved arm
                angle = np.linspace(0, 1.35, 5)
                rise = 0.45 * reach
                path = np.stack(
                    [
                        0 * angle,
                        side * reach * (1 - np.cos(angle)) / (1 - np.cos(1.35)),
                        high + rise * np.sin(angle),
                    ],
                    1,
                )
            else:
                path = np.array([[0, 0, high - 0.1], [0, side * reach, high + 0.12 * reach]])
            parts.append(polyline_tube(paint, path, np.linspace(0.045, 0.03, len(path))))
            y, z = float(path[-1, 1]), float(path[-1, 2])
            flat = [[-0.07, 0], [0.07, 0], [0.05, 0.07], [-0.05, 0.07]]
            head = prism(paint, np.array(flat) * [1.6, 1.2], -0.35, 0.35).placed(
                0, y + side * 0.2, z - 0.05, np.pi / 2
            )
            parts += [head, lens.box((0, y + side * 0.27, z - 0.055), (0.16, 0.4, 0.02))]
        return join(parts)
    high = rng.uniform(3.2, 5.2)
    parts = [
        paint.rod((0, 0, -0.1), (0, 0, high), 0.065, 0.04),
        paint.rod((0, 0, 0), (0, 0, 0.7), 0.095, 0.08),
    ]
    if kind < 0.75:  # a globe
        size = rng.uniform(0.18, 0.26)
        parts += [lens.ellipsoid((0, 0, high + size), (size, size, size), around=10, down=6)]
    elif kind < 0.88:  # a lantern as of old: glass wider at its top, under a roof
        glass = surface("glass", (0.55, 0.55, 0.50), POLE)
        parts += [
            glass.rod((0, 0, high), (0, 0, high + 0.42), 0.12, 0.21, sides=6),
            paint.rod((0, 0, high + 0.42), (0, 0, high + 0.62), 0.26, 0.05, sides=6),
            paint.rod((0, 0, high + 0.62), (0, 0, high + 0.75), 0.02, sides=4),
        ]
    else:  # a disc above a lens
        parts += [
            lens.rod((0, 0, high), (0, 0, high + 0.2), 0.10),
            paint.rod((0, 0, high + 0.2), (0, 0, high + 0.30), 0.34, 0.10, sides=12),
        ]
    return join(parts)


def utility_pole(rng: np.random.Generator, height: float | None = None) -> Mesh:
    """A wooden or concrete pole with a cross-arm along y for wires along x (`UTILITY_WIRES`)."""
    high = float(rng.uniform(7.5, 10)) if height is None else height
    wooden = rng.random() < 0.75
    tint = varied(rng, (0.24, 0.18, 0.13) if wooden else (0.62, 0.61, 0.58))
    pole = surface("bark" if wooden else "concrete", tint, POLE)
    porcelain = surface("plain", choose(rng, ((0.30, 0.18, 0.12), (0.60, 0.62, 0.62))), POLE)
    wood = surface("wood", varied(rng, (0.30, 0.22, 0.15)), POLE)
    parts = [pole.rod((0, 0, -0.1), (0, 0, high), 0.15, 0.10)]
    for z in (-0.35, -1.1)[: 1 + (rng.random() < 0.4)]:
        parts.append(wood.box((0.12, 0, high + z), (0.10, 2.0, 0.12)))
        bases = np.array([[0.12, y, high + z + 0.06] for y, _ in UTILITY_WIRES])
        parts.append(tubes(porcelain, bases, bases + [0, 0, 0.1], 0.035, 0.02, sides=5))
        brace = [[0.12, y, high + z - 0.05] for y in (-0.6, 0.6)]
        parts.append(tubes(wood, brace, [0.1, 0, high + z - 0.6], 0.02, sides=4))
    if rng.random() < 0.3:  # a transformer
        can = surface("plain", (0.42, 0.44, 0.44), POLE)
        parts.append(can.rod((0, -0.42, high - 2.6), (0, -0.42, high - 1.7), 0.24, sides=10))
    return join(parts)


def cable(a: Sequence[float], b: Sequence[float]) -> Mesh:
    """A wire from a to b that sags by 2 % of its span; 60 triangles."""
    start, stop = np.asarray(a, float), np.asarray(b, float)
    t = np.linspace(0, 1, 11)[:, None]
    sag = 0.02 * np.linalg.norm(stop - start)
    path = start + (stop - start) * t - [0.0, 0.0, 1.0] * (4 * sag * t * (1 - t))
    return polyline_tube(surface("plain", BLACK, POLE), path, 0.012, sides=3)


def bollard(rng: np.random.Generator) -> Mesh:
    """A post that keeps cars out, 0.7 to 1.1 m high: iron, steel, concrete or striped plastic."""
    high, radius = rng.uniform(0.7, 1.1), rng.uniform(0.045, 0.09)
    kind = rng.integers(4)
    if kind == 0:  # cast iron with a knob
        iron = surface("plain", varied(rng, (0.03, 0.03, 0.03)), POLE)
        knob = 1.1 * radius
        return join(
            [
                iron.rod((0, 0, 0), (0, 0, high - knob), radius, 0.8 * radius),
                iron.rod((0, 0, 0), (0, 0, 0.15), 1.3 * radius),
                iron.ellipsoid((0, 0, high - knob), (knob, knob, knob), around=8, down=5),
            ]
        )
    if kind == 1:
        steel = surface("metal", varied(rng, choose(rng, POSTS)), POLE)
        band = surface("plain", choose(rng, (WHITE, RED, (0.8, 0.55, 0.03))), POLE)
        return join(
            [
                steel.rod((0, 0, 0), (0, 0, high), radius),
                band.rod((0, 0, high - 0.25), (0, 0, high - 0.12), radius + 0.004),
            ]
        )
    if kind == 2:
        stone = surface("concrete", varied(rng, (0.70, 0.69, 0.66)), POLE)
        wide = rng.uniform(0.13, 0.2)
        return join(
            [
                stone.rod((0, 0, 0), (0, 0, 0.8 * high), wide, 0.85 * wide),
                stone.rod((0, 0, 0.8 * high), (0, 0, 0.9 * high), 0.85 * wide, 0.5 * wide),
            ]
        )
    plastic, stripe = (ORANGE, WHITE) if rng.random() < 0.5 else (WHITE, RED)
    return join(
        [
            *banded(0.0, high, radius, radius, plastic, stripe, POLE),
            surface("rubber", (0.04, 0.04, 0.04), POLE).rod((0, 0, 0), (0, 0, 0.05), 0.15),
        ]
    )
