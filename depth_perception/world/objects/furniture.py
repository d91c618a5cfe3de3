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

"""Street furniture that stands alone: bins, benches, shelters, letter boxes, road works.

Each maker returns one thing in its own frame: origin on the ground at its post or under its middle,
metres. The road lies on the +y side: what has a front shows it there, unless its maker says
otherwise. Lamps, poles and bollards are in poles.py, signs and traffic lights in signals.py, fences
and walls in barriers.py.

Labels: what is slender (posts, parking meters) counts as pole. Cityscapes has no class
for other things that stand about, such as bins and benches; they get FENCE here, which thereby
also means "other static obstacle".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from depth_perception.datasets.labels import FENCE, POLE, TERRAIN, VEGETATION
from depth_perception.world.objects.mesh import Mesh, SurfaceProperties, join
from depth_perception.world.objects.plants import bush
from depth_perception.world.objects.poles import BLACK, ORANGE, POSTS, RED, STEEL, WHITE
from depth_perception.world.objects.primitives import banded, choose, prism, surface, tubes, varied
from depth_perception.world.surfaces.materials import Colour

OTHER = FENCE
WOODS: tuple[Colour, ...] = ((0.36, 0.24, 0.14), (0.28, 0.24, 0.20), (0.20, 0.12, 0.07))


def cone(rng: np.random.Generator) -> Mesh:
    """A traffic cone, 0.45 to 0.9 m high, with white bands."""
    high = rng.uniform(0.45, 0.9)
    radius = 0.19 * high + 0.02
    foot = surface("rubber", choose(rng, ((0.04, 0.04, 0.04), ORANGE)), OTHER)
    side = 2.7 * radius
    body = banded(0.03, high, radius, 0.028, ORANGE, WHITE, OTHER, bands=5)
    return join([foot.box((0, 0, 0.02), (side, side, 0.04)), *body])


def barrier_board(rng: np.random.Generator) -> Mesh:
    """A red and white board of road works on two feet; faces -x and +x, runs along y."""
    wide, tall = rng.uniform(1.2, 2.2), rng.uniform(0.20, 0.28)
    top = rng.uniform(0.95, 1.15)
    white = surface("plain", WHITE, OTHER)
    stripe_tint = RED if rng.random() < 0.7 else ORANGE
    red = surface("plain", stripe_tint, OTHER)
    foot = surface("rubber", (0.05, 0.05, 0.05), OTHER)
    parts = []
    for z in (top - tall / 2, 0.45)[: 1 + (rng.random() < 0.6)]:
        parts.append(white.box((0, 0, z), (0.04, wide, tall)))
        count = max(3, round(wide / 0.32))
        pitch, slant = wide / count, tall * 0.5
        for k in range(count):
            y = -wide / 2 + k * pitch
            low = np.clip([y, y + pitch / 2], -wide / 2, wide / 2)
            high = np.clip([y + slant, y + pitch / 2 + slant], -wide / 2, wide / 2)
            for x in (-0.024, 0.024):
                corners = np.array(
                    [
                        [x, low[0], z - tall / 2],
                        [x, low[1], z - tall / 2],
                        [x, high[1], z + tall / 2],
                        [x, high[0], z + tall / 2],
                    ]
                )
                parts.append(red.quad(corners if x > 0 else corners[::-1]))
    for y in (-0.4 * wide, 0.4 * wide):
        parts.append(foot.box((0, y, 0.05), (0.75, 0.22, 0.10)))
        parts.append(white.box((0.045, y, (top + 0.1) / 2), (0.05, 0.05, top - 0.1)))
    if rng.random() < 0.6:
        lamp = surface("lamp", (1.0, 0.45, 0.03), OTHER)
        for y in (-0.4 * wide, 0.4 * wide):
            parts.append(lamp.rod((-0.05, y, top + 0.12), (0.05, y, top + 0.12), 0.1, sides=8))
    return join(parts)


def soil_heap(rng: np.random.Generator) -> Mesh:
    """A heap of soil, sand or gravel, 1.5 to 4 m across."""
    name, tint = choose(
        rng,
        (("soil", (0.9, 0.8, 0.7)), ("gravel", (0.45, 0.42, 0.38)), ("soil", (0.42, 0.34, 0.22))),
    )
    earth = surface(name, varied(rng, tint), TERRAIN)
    wide, deep, high = rng.uniform(0.8, 2.0), rng.uniform(0.8, 1.5), rng.uniform(0.5, 1.4)
    return _above(earth.ellipsoid((0, 0, 0), (wide, deep, high), around=14, down=9), rng)


def _above(heap: Mesh, rng: np.random.Generator) -> Mesh:
    """A heap with a rough skin and nothing more than 0.1 m below the ground."""
    p = heap.vertices * rng.uniform(0.88, 1.1, (len(heap.vertices), 1)).astype(np.float32)
    p[:, 2] = np.maximum(p[:, 2], -0.1)
    return replace(heap, vertices=p)


def bin(rng: np.random.Generator) -> Mesh:
    """A litter bin, or a wheeled bin as households have."""
    if rng.random() < 0.5:  # a wheeled bin with a coloured lid
        body = surface(
            "plain",
            varied(rng, choose(rng, ((0.05, 0.05, 0.05), (0.03, 0.12, 0.06), (0.12, 0.07, 0.04)))),
            OTHER,
        )
        lid = surface(
            "plain",
            varied(rng, choose(rng, ((0.05, 0.05, 0.05), (0.70, 0.50, 0.03), (0.03, 0.10, 0.40)))),
            OTHER,
        )
        size = rng.uniform(0.85, 1.15)
        rubber = surface("rubber", (0.04, 0.04, 0.04), OTHER)
        return join(
            [
                _tapered(body, (0, 0, 0.05), (0.42, 0.48), (0.52, 0.62), 0.85),
                _tapered(lid, (0, 0.01, 0.9), (0.56, 0.68), (0.46, 0.56), 0.09),
                body.box((0, -0.36, 0.90), (0.48, 0.06, 0.06)),
                *(
                    rubber.rod((x - 0.03, -0.24, 0.10), (x + 0.03, -0.24, 0.10), 0.10)
                    for x in (-0.25, 0.25)
                ),
            ]
        ).scaled(size, size, size)
    skin = surface(
        "plain",
        varied(rng, choose(rng, ((0.04, 0.10, 0.05), STEEL, ORANGE, (0.05, 0.05, 0.06)))),
        OTHER,
    )
    dark = surface("plain", BLACK, OTHER)
    radius = rng.uniform(0.2, 0.28)
    high = rng.uniform(0.75, 1.0)
    parts = [
        skin.rod((0, 0, 0.05), (0, 0, high - 0.2), 0.92 * radius, radius, sides=10),
        dark.rod((0, 0, high - 0.2), (0, 0, high - 0.06), 0.8 * radius, sides=8),
        skin.rod((0, 0, high - 0.06), (0, 0, high), 1.05 * radius, 0.7 * radius, sides=10),
        dark.rod((0, 0, 0), (0, 0, 0.05), 0.7 * radius, sides=8),
    ]
    return join(parts)


def dumpster(rng: np.random.Generator) -> Mesh:
    """A big refuse container: on castors with a round lid, or an open skip."""
    tint = varied(
        rng,
        choose(
            rng,
            ((0.03, 0.14, 0.07), (0.04, 0.10, 0.30), STEEL, (0.65, 0.45, 0.04), (0.30, 0.31, 0.30)),
        ),
    )
    skin = surface("plain", tint, OTHER)
    rubber = surface("rubber", (0.04, 0.04, 0.04), OTHER)
    if rng.random() < 0.6:
        wide = rng.uniform(1.2, 1.7)
        lid = surface("plain", varied(rng, tint, 0.4), OTHER)
        angle = np.linspace(0, np.pi, 7)
        dome = np.stack([0.53 * np.cos(angle), 1.1 + 0.28 * np.sin(angle)], 1)
        wheels = [
            rubber.rod((x - 0.04, y, 0.09), (x + 0.04, y, 0.09), 0.09, sides=6)
            for x in (-0.4 * wide, 0.4 * wide)
            for y in (-0.3, 0.3)
        ]
        return join(
            [
                _tapered(skin, (0, 0, 0.18), (wide - 0.2, 0.8), (wide, 1.0), 0.92),
                prism(lid, dome, -wide / 2 - 0.03, wide / 2 + 0.03),
                *wheels,
            ]
        )
    long, high = rng.uniform(3.2, 4.2), rng.uniform(1.1, 1.5)
    load = surface("gravel", varied(rng, (0.40, 0.35, 0.30)), OTHER)
    parts = [
        _tapered(skin, (0, 0, 0.0), (0.55 * long, 1.5), (long, 1.75), high),
        skin.box((0, 0, high + 0.03), (long + 0.1, 1.85, 0.06)),
        load.ellipsoid((0, 0, high), (0.42 * long, 0.75, 0.3), around=10, down=5),
    ]
    for x in np.linspace(-0.25 * long, 0.25 * long, 3):
        for y in (-0.83, 0.83):
            parts.append(skin.box((x, y, high / 2), (0.08, 0.12, high)))
    return join(parts)


def bus_shelter(rng: np.random.Generator) -> Mesh:
    """A shelter along x, open to +y: roof, glass back and side, a bench, a stop sign at its end."""
    long, deep, high = rng.uniform(3.0, 5.0), rng.uniform(1.3, 1.7), rng.uniform(2.3, 2.6)
    frame = surface("metal", varied(rng, choose(rng, POSTS)), OTHER)
    glass = surface("glass", (0.45, 0.50, 0.50), OTHER)
    poster = surface(
        "plain",
        varied(rng, choose(rng, ((0.6, 0.1, 0.1), (0.1, 0.3, 0.6), WHITE, (0.7, 0.5, 0.1)))),
        OTHER,
    )
    x, back, front = long / 2, -deep / 2, deep / 2
    corners = [(-x, back), (x, back), (-x, front - 0.3), (x, front - 0.3), (0, back)]
    parts = [frame.box((u, v, high / 2), (0.08, 0.08, high)) for u, v in corners]
    parts += [
        frame.box((0, 0.05, high + 0.07), (long + 0.3, deep + 0.3, 0.14)),
        # Panes leave a gap below, as they do.
        glass.box((0, back, 0.2 + (high - 0.3) / 2), (long, 0.02, high - 0.3)),
        glass.box((-x, -0.1, 0.2 + (high - 0.3) / 2), (0.02, deep - 0.3, high - 0.3)),
        poster.box((x, -0.1, 1.2), (0.14, deep - 0.3, 1.8)),
        surface("wood", (0.36, 0.24, 0.14), OTHER).box(
            (-0.3, back + 0.3, 0.48), (0.55 * long, 0.38, 0.05)
        ),
        *(
            frame.box((u, back + 0.3, 0.23), (0.06, 0.3, 0.46))
            for u in (-0.2 * long - 0.3, 0.2 * long - 0.3)
        ),
    ]
    return join(parts)


def bench(rng: np.random.Generator) -> Mesh:
    """A bench along x that faces +y, with slats, most with a backrest."""
    long = rng.uniform(1.4, 2.1)
    wood = surface("wood", varied(rng, choose(rng, WOODS)), OTHER)
    frame = surface("metal", varied(rng, (0.05, 0.05, 0.05)), OTHER)
    backed = rng.random() < 0.75
    parts = [wood.box((0, y, 0.45), (long, 0.12, 0.04)) for y in (-0.15, 0.0, 0.15)]
    if backed:
        parts += [
            wood.box((0, -0.25 - 0.03 * k, 0.60 + 0.14 * k), (long, 0.03, 0.11)) for k in range(3)
        ]
    for x in (-0.38 * long, 0.38 * long):
        parts += [
            frame.box((x, 0, 0.405), (0.05, 0.46, 0.05)),
            *(frame.box((x, y, 0.2), (0.05, 0.05, 0.40)) for y in (-0.2, 0.2)),
        ]
        if backed:
            parts.append(tubes(frame, [x, -0.22, 0.40], [x, -0.34, 0.94], 0.03, sides=4))
    return join(parts)


def mailbox(rng: np.random.Generator) -> Mesh:
    """A letter box: a pillar, or a box on a post; front to +y."""
    tint = varied(rng, choose(rng, (RED, (0.80, 0.50, 0.02), (0.02, 0.08, 0.30))))
    skin, dark = surface("plain", tint, OTHER), surface("plain", BLACK, OTHER)
    kind = rng.random()
    if kind < 0.35:  # a round pillar
        return join(
            [
                skin.rod((0, 0, 0.1), (0, 0, 1.45), 0.23, sides=12),
                dark.rod((0, 0, 0), (0, 0, 0.12), 0.25, sides=12),
                skin.rod((0, 0, 1.45), (0, 0, 1.62), 0.27, 0.12, sides=12),
                dark.box((0, 0.22, 1.25), (0.24, 0.04, 0.05)),
            ]
        )
    angle = np.linspace(0, np.pi, 6)
    wide, base = rng.uniform(0.36, 0.5), 0.15 if kind < 0.7 else 0.8
    dome = np.stack([0.22 * np.cos(angle), 1.12 + 0.2 * np.sin(angle)], 1)
    outline = np.concatenate([[[-0.22, base], [0.22, base]], dome])
    parts = [
        prism(skin, outline, -wide / 2, wide / 2),
        dark.box((0, 0.21, 1.08), (0.7 * wide, 0.05, 0.05)),
    ]
    if base > 0.5:
        parts.append(surface("metal", STEEL, POLE).rod((0, 0, -0.1), (0, 0, base), 0.045, sides=6))
    else:
        parts += [
            skin.box((x, y, 0.08), (0.06, 0.06, 0.16))
            for x in (-0.4 * wide, 0.4 * wide)
            for y in (-0.17, 0.17)
        ]
    return join(parts)


def cabinet(rng: np.random.Generator) -> Mesh:
    """A grey or green box of telephone or power wiring, with doors to +y."""
    wide, deep, high = rng.uniform(0.6, 1.8), rng.uniform(0.3, 0.5), rng.uniform(0.8, 1.5)
    tint = varied(rng, choose(rng, ((0.50, 0.51, 0.49), (0.08, 0.14, 0.10), (0.45, 0.43, 0.36))))
    skin, dark = surface("plain", tint, OTHER), surface("plain", (0.08, 0.08, 0.08), OTHER)
    base = surface("concrete", (0.60, 0.60, 0.58), OTHER)
    parts = [
        base.box((0, 0, 0.05), (wide, deep, 0.12)),
        skin.box((0, 0, high / 2 + 0.05), (wide - 0.04, deep - 0.04, high - 0.1)),
        skin.box((0, 0, high + 0.02), (wide + 0.04, deep + 0.04, 0.05)),
    ]
    front = deep / 2 - 0.015
    for x in np.linspace(-wide / 2, wide / 2, max(2, round(wide / 0.6)) + 1)[1:-1]:
        parts.append(dark.box((x, front, high / 2 + 0.05), (0.015, 0.01, high - 0.2)))
    parts.append(dark.box((0.12, front, 0.55 * high), (0.03, 0.03, 0.14)))
    return join(parts)


def parking_meter(rng: np.random.Generator) -> Mesh:
    """A meter on a post, or a ticket machine; faces -y, to the pavement."""
    tint = varied(rng, choose(rng, (STEEL, (0.05, 0.10, 0.25), (0.08, 0.09, 0.09))))
    skin, screen = surface("plain", tint, POLE), surface("glass", (0.30, 0.35, 0.35), POLE)
    if rng.random() < 0.5:
        post = surface("metal", STEEL, POLE)
        angle = np.linspace(0, np.pi, 6)
        cap = np.stack([0.09 * np.cos(angle), 1.36 + 0.09 * np.sin(angle)], 1)
        outline = np.concatenate([[[-0.07, 1.08], [0.07, 1.08]], cap])
        head = prism(skin, outline, -0.06, 0.06).placed(0, 0, 0, np.pi / 2)
        return join(
            [
                post.rod((0, 0, -0.1), (0, 0, 1.1), 0.03, sides=6),
                head,
                screen.box((0, -0.06, 1.34), (0.10, 0.01, 0.08)),
            ]
        )
    white = surface("plain", WHITE, POLE)
    return join(
        [
            skin.box((0, 0, 0.8), (0.32, 0.26, 1.6)),
            skin.box((0, -0.02, 1.63), (0.36, 0.34, 0.06)),
            screen.box((0, -0.13, 1.35), (0.2, 0.02, 0.14)),
            white.box((0, -0.13, 1.1), (0.22, 0.015, 0.2)),
            surface("plain", (0.02, 0.10, 0.45), POLE).box((0, 0, 1.85), (0.3, 0.03, 0.34)),
        ]
    )


def planter(rng: np.random.Generator) -> Mesh:
    """A tub of concrete, wood or iron with a small bush in it."""
    name, tint = choose(
        rng,
        (
            ("concrete", (0.70, 0.69, 0.66)),
            ("wood", (0.33, 0.22, 0.13)),
            ("plain", (0.05, 0.05, 0.06)),
            ("plain", (0.45, 0.20, 0.12)),
        ),
    )
    tub = surface(name, varied(rng, tint), OTHER)
    soil = surface("soil", (0.10, 0.07, 0.05), VEGETATION)
    wide, high = rng.uniform(0.6, 1.2), rng.uniform(0.4, 0.7)
    if rng.random() < 0.5:
        parts = [
            tub.rod((0, 0, 0), (0, 0, high), 0.38 * wide, 0.5 * wide, sides=12),
            soil.rod((0, 0, high), (0, 0, high + 0.02), 0.44 * wide, sides=10),
        ]
        deep = wide
    else:
        long = wide * rng.uniform(1.0, 2.0)
        deep = wide
        parts = [
            _tapered(tub, (0, 0, 0), (0.92 * long, 0.92 * deep), (long, deep), high),
            soil.box((0, 0, high), (0.92 * long, 0.92 * deep, 0.04)),
        ]
    plant = bush(rng, 110)
    low, top = plant.bounds()
    span = float((top - low)[:2].max())
    fit = min(1.15 * deep / span, 0.9 / float(top[2]))
    middle = (low + top)[:2] / 2 * fit
    plant = plant.scaled(fit, fit, fit).placed(-float(middle[0]), -float(middle[1]), high)
    return join([*parts, plant])


def hydrant(rng: np.random.Generator) -> Mesh:
    """A fire hydrant, 0.7 to 0.9 m high, with outlets to three sides."""
    skin = surface(
        "plain", varied(rng, choose(rng, (RED, (0.75, 0.50, 0.03), (0.5, 0.5, 0.5)))), OTHER
    )
    cap = surface("plain", varied(rng, choose(rng, (RED, WHITE, STEEL))), OTHER)
    size = rng.uniform(0.9, 1.15)
    parts = [
        skin.rod((0, 0, 0), (0, 0, 0.06), 0.17, sides=10),
        skin.rod((0, 0, 0.06), (0, 0, 0.58), 0.115, sides=10),
        skin.rod((0, 0, 0.55), (0, 0, 0.60), 0.15, sides=10),
        cap.ellipsoid((0, 0, 0.60), (0.13, 0.13, 0.14), around=10, down=7),
        cap.rod((0, 0, 0.72), (0, 0, 0.78), 0.03, sides=5),
        cap.rod((-0.20, 0, 0.45), (0.20, 0, 0.45), 0.055),
        cap.rod((0, 0, 0.42), (0, 0.20, 0.42), 0.07),
    ]
    return join(parts).scaled(size, size, size)


def _tapered(
    skin: SurfaceProperties,
    foot: Sequence[float],
    bottom: tuple[float, float],
    top: tuple[float, float],
    height: float,
) -> Mesh:
    """A box whose top differs in size from its bottom; `foot` is the middle of its bottom."""
    square = np.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0]])
    low = square * [*bottom, 0] + np.asarray(foot, float)
    high = square * [*top, 0] + np.asarray(foot, float) + [0, 0, height]
    return join([skin.loft([low, high], smooth=False), skin.fan(high), skin.fan(low[::-1])])
