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

"""Traffic lights, road signs and billboards.

What has a face shows it towards -x, to the traffic that drives along +x; the road lies on the +y
side, so that arms reach over it along +y. Origin on the ground at the (first) post.

Labels: posts and arms are poles, lamp housings are traffic lights, plates are traffic signs, their
backs too. Billboards are "other static obstacle", for which the fence class stands (furniture.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from depth_perception.datasets.labels import FENCE, LIGHT, POLE, SIGN
from depth_perception.world.objects.mesh import FloatArray, Mesh, SurfaceProperties, join
from depth_perception.world.objects.primitives import choose, polyline_tube, surface, tubes, varied
from depth_perception.world.surfaces.materials import Colour

WHITE: Colour = (0.78, 0.78, 0.76)
RED: Colour = (0.60, 0.03, 0.03)
BLUE: Colour = (0.02, 0.10, 0.45)
GREEN: Colour = (0.01, 0.25, 0.10)
YELLOW: Colour = (0.80, 0.50, 0.02)
BLACK: Colour = (0.02, 0.02, 0.02)
STEEL: Colour = (0.45, 0.46, 0.47)

# Strokes of block letters in a cell 1 wide and 2 high: (right, up, width, height) of each.
_SEGMENTS: dict[str, tuple[float, float, float, float]] = {
    "a": (0.5, 1.9, 1.0, 0.26),
    "b": (0.9, 1.5, 0.24, 1.0),
    "c": (0.9, 0.5, 0.24, 1.0),
    "d": (0.5, 0.1, 1.0, 0.26),
    "e": (0.1, 0.5, 0.24, 1.0),
    "f": (0.1, 1.5, 0.24, 1.0),
    "g": (0.5, 1.0, 1.0, 0.26),
    "i": (0.5, 1.0, 0.24, 2.0),
}
_LETTERS = {
    "0": "abcdef",
    "1": "bc",
    "2": "abged",
    "3": "abgcd",
    "4": "fgbc",
    "5": "afgcd",
    "6": "afgecd",
    "7": "abc",
    "8": "abcdefg",
    "9": "abcdfg",
    "S": "afgcd",
    "T": "ai",
    "O": "abcdef",
    "P": "abfeg",
    "H": "bcefg",
}


def traffic_light(rng: np.random.Generator) -> Mesh:
    """A post with a signal head, and at some also one on an arm over the road along +y."""
    paint = varied(rng, choose(rng, (STEEL, (0.10, 0.11, 0.11), (0.05, 0.10, 0.08))))
    housing = choose(rng, (BLACK, BLACK, (0.03, 0.06, 0.05), (0.65, 0.42, 0.03)))
    pole = surface("metal", paint, POLE)
    lit = int(rng.choice([0, 0, 1, 2, 2]))
    board = rng.random() < 0.35
    side_height = rng.uniform(2.3, 2.7)
    parts = [_head((-0.16, 0.0, side_height), housing, lit, board)]
    if rng.random() < 0.45:  # a head on an arm as well
        reach, high = rng.uniform(3.0, 6.5), rng.uniform(5.6, 6.4)
        bend = min(0.8, 0.3 * reach)
        path = [
            [0, 0, -0.1],
            [0, 0, high - bend],
            [0, 0.3 * bend, high - 0.25 * bend],
            [0, bend, high],
            [0, reach, high + 0.1],
        ]
        parts.append(polyline_tube(pole, path, [0.11, 0.09, 0.08, 0.075, 0.05], sides=8))
        for y in (reach - 0.25, 0.5 * reach)[: 1 + (reach > 4.5)]:
            parts.append(_head((-0.2, y, high - 0.55), housing, lit, board))
    else:
        parts.append(pole.rod((0, 0, -0.1), (0, 0, side_height + 0.65), 0.065, 0.055))
    if rng.random() < 0.5:  # the one for people on foot, who cross the road
        parts.append(_walker_head((0.0, 0.15, rng.uniform(2.1, 2.3)), housing, lit == 0))
    if rng.random() < 0.4:  # the button box
        box = surface("plain", (0.70, 0.45, 0.03), POLE)
        parts.append(box.box((-0.09, 0, 1.05), (0.10, 0.12, 0.22)))
    return join(parts)


def road_sign(rng: np.random.Generator) -> Mesh:
    """A post with one or two plates: speed limits, warnings, give way, parking and so on."""
    post = surface("metal", varied(rng, STEEL), POLE)
    high = rng.uniform(2.0, 2.5)
    size = rng.uniform(0.60, 0.80)
    parts = [_plate(rng, high + size / 2, size)]
    top = high + size
    if rng.random() < 0.25:
        parts.append(_plate(rng, top + 0.05 + size / 2, size))
        top += size + 0.05
    if rng.random() < 0.3:  # words on a small plate below
        board = _Board(high - 0.22, _rectangle(size * 0.9, 0.30), size)
        parts.append(board.show(WHITE, BLACK, [_bar(0, dy, 0.6, 0.07) for dy in (0.1, -0.1)]))
    parts.append(post.rod((0.03, 0, -0.1), (0.03, 0, top - 0.1), 0.03, sides=6))
    return join(parts)


def direction_sign(rng: np.random.Generator) -> Mesh:
    """A big board with lines of writing and an arrow on two posts, 1.5 to 4 m wide."""
    wide, tall = rng.uniform(1.5, 4.0), rng.uniform(0.9, 2.2)
    bottom = rng.uniform(1.0, 2.3)
    post = surface("metal", varied(rng, STEEL), POLE)
    parts = [_lettered_board(rng, 0.0, bottom + tall / 2, wide, tall)]
    for y in (-0.35 * wide, 0.35 * wide):
        parts.append(post.rod((0.08, y, -0.1), (0.08, y, bottom + tall), 0.05, sides=6))
    return join(parts)


def gantry(rng: np.random.Generator, width: float) -> Mesh:
    """A beam with boards across a road, from -width/2 to width/2 along y, 5.5 m clear below."""
    steel = surface("metal", varied(rng, STEEL), POLE)
    high, half = rng.uniform(6.8, 7.6), width / 2
    parts = [
        steel.box((0, y, (high + 0.2) / 2 - 0.05), (0.35, 0.35, high + 0.3)) for y in (-half, half)
    ]
    lower = high - 0.8
    if rng.random() < 0.5:  # a truss
        bays = max(4, round(width / 1.2))
        nodes = np.linspace(-half, half, bays + 1)
        zigzag = np.stack([0 * nodes, nodes, np.where(np.arange(bays + 1) % 2, high, lower)], 1)
        parts.append(tubes(steel, zigzag[:-1], zigzag[1:], 0.05, sides=4))
        for z in (lower, high):
            parts.append(steel.box((0, 0, z), (0.14, width, 0.14)))
    else:
        parts.append(steel.box((0, 0, high - 0.2), (0.4, width, 0.5)))
    count = int(rng.integers(1, 1 + max(1, min(3, int(width // 4)))))
    room = width / count
    for k in range(count):
        wide, tall = min(room * 0.75, rng.uniform(2.2, 4.0)), rng.uniform(1.4, 2.2)
        y = -half + (k + 0.5) * room
        parts.append(_lettered_board(rng, y, high - 1.4 + tall / 2, wide, tall, x=-0.3))
    return join(parts)


def billboard(rng: np.random.Generator) -> Mesh:
    """An advertisement: a big hoarding on posts, a lit column box or a board on one leg."""
    frame = surface("plain", varied(rng, choose(rng, ((0.10, 0.10, 0.10), STEEL))), FENCE)
    leg = surface("metal", varied(rng, STEEL), POLE)
    kind = rng.integers(3)
    if kind == 0:  # a hoarding
        wide, tall, bottom = rng.uniform(3.4, 5.5), rng.uniform(2.3, 3.0), rng.uniform(0.6, 2.2)
        legs = [
            leg.box((0.15, y, (bottom + tall) / 2 - 0.05), (0.12, 0.12, bottom + tall - 0.1))
            for y in (-0.35 * wide, 0.35 * wide)
        ]
    elif kind == 1:  # a city light poster
        wide, tall, bottom = 1.3, 1.9, rng.uniform(0.4, 0.7)
        legs = [leg.box((0.05, 0, bottom / 2), (0.16, 0.7, bottom + 0.1))]
    else:  # on a mast
        wide, tall, bottom = rng.uniform(3.0, 4.2), rng.uniform(2.2, 3.0), rng.uniform(3.0, 4.5)
        legs = [leg.rod((0.36, 0, -0.1), (0.36, 0, bottom + 0.8 * tall), 0.2, 0.18)]
    middle = bottom + tall / 2
    parts = [*legs, frame.box((0.05, 0, middle), (0.2, wide, tall))]
    paper = varied(rng, _bright(rng))
    parts.append(
        _face(
            surface("plain", paper, FENCE),
            _rectangle(wide - 0.16, tall - 0.16),
            -0.056,
            (0, middle),
        )
    )
    # A picture: patches of colour, then lines of writing.
    for layer in range(int(rng.integers(3, 6))):
        w, h = wide * rng.uniform(0.15, 0.6), tall * rng.uniform(0.08, 0.5)
        at = (
            rng.uniform(-0.45, 0.45) * (wide - w - 0.2),
            middle + rng.uniform(-0.45, 0.45) * (tall - h - 0.2),
        )
        outline = _circle(min(w, h) / 2, 10) if rng.random() < 0.3 else _rectangle(w, h)
        patch = surface("plain", varied(rng, _bright(rng)), FENCE)
        parts.append(_face(patch, outline, -0.06 - 0.004 * layer, at))
    return join(parts)


class _Board:
    """A plate at the origin's post: shows outlines in layers, each just before the last."""

    def __init__(self, height: float, outline: FloatArray, size: float, y: float = 0.0) -> None:
        self.height, self.outline, self.size, self.y = height, outline, size, y

    def show(
        self,
        field: Colour,
        border: Colour,
        drawing: Sequence[tuple[FloatArray, Colour] | FloatArray],
        ink: Colour = BLACK,
        *,
        inner: float = 0.84,
        x: float = 0.0,
    ) -> Mesh:
        """Return the plate; drawings are in units of half its size, from its middle."""
        middle = (-self.y, self.height)
        back = surface("metal", (0.35, 0.36, 0.37), SIGN)
        parts = [
            _slab(back, self.outline, x, middle),
            _face(surface("plain", border, SIGN), self.outline, x - 0.014, middle),
            _face(surface("plain", field, SIGN), self.outline * inner, x - 0.018, middle),
        ]
        for shape in drawing:
            outline, colour = shape if isinstance(shape, tuple) else (shape, ink)
            paint = surface("plain", colour, SIGN)
            parts.append(_face(paint, outline * self.size / 2, x - 0.022, middle))
        return join(parts)


def _plate(rng: np.random.Generator, height: float, size: float) -> Mesh:
    """One of the usual road signs, its middle at this height."""
    disc = _Board(height, _circle(size / 2, 16), size)
    square = _Board(height, _rectangle(size, size), size)
    # Triangles are wider than discs in every country's book; their middle is their centroid.
    wide = size * 1.15
    upward = _Board(height - 0.08 * size, _triangle(wide), wide)
    downward = _Board(height + 0.08 * size, _triangle(-wide), wide)
    diamond = _Board(height, _circle(size * 0.7, 4), size)
    kind = int(rng.integers(16))
    if kind <= 2:
        limit = choose(rng, ("30", "50", "60", "70", "80"))
        return disc.show(WHITE, RED, _text(limit, 0.85), inner=0.78)
    if kind == 3:
        return disc.show(RED, WHITE, [_bar(0, 0, 1.3, 0.32)], WHITE, inner=0.95)
    if kind == 4:  # no overtaking: two cars
        cars = [(_bar(-0.28, -0.05, 0.42, 0.28), RED), (_bar(0.28, -0.05, 0.42, 0.28), BLACK)]
        return disc.show(WHITE, RED, cars, inner=0.8)
    if kind == 5:  # no parking
        stroke = _turned(_bar(0, 0, 1.6, 0.22), -0.8)
        return disc.show(BLUE, RED, [(stroke, RED)], inner=0.8)
    if kind == 6:
        angle = choose(rng, (0.0, 1.57, -1.57))
        arrow = [_turned(p, angle) for p in _arrow(1.0)]
        return disc.show(BLUE, WHITE, arrow, WHITE, inner=0.94)
    if kind == 7:
        return downward.show(WHITE, RED, [], inner=0.66)
    if kind <= 9:
        pictures: tuple[list[FloatArray], ...] = (
            [_bar(0, 0.14, 0.12, 0.5), _bar(0, -0.28, 0.13, 0.13)],
            [_bar(-0.1, -0.1, 0.13, 0.5), _turned(_bar(0.1, 0.25, 0.13, 0.4), -0.5)],
            [_bar(0, -0.05, 0.13, 0.7), _bar(0, 0.0, 0.6, 0.12)],
            [_bar(0, 0.05, 0.2, 0.4), _bar(-0.1, -0.25, 0.1, 0.3), _bar(0.12, -0.25, 0.1, 0.3)],
        )
        return upward.show(WHITE, RED, choose(rng, pictures), inner=0.70)
    if kind == 10:
        octagon = _turned(_circle(size * 0.54, 8), np.pi / 8)
        stop = _Board(height, octagon, size)
        return stop.show(RED, WHITE, _text("STOP", 0.62), WHITE, inner=0.93)
    if kind == 11:
        return square.show(BLUE, WHITE, _text("P", 1.25), WHITE, inner=0.94)
    if kind == 12:  # a crossing for people on foot
        human_body = [
            _bar(0, 0.0, 0.16, 0.4),
            _bar(-0.12, -0.28, 0.1, 0.3),
            _bar(0.12, -0.28, 0.1, 0.3),
            _circle(0.09, 6) + [0, 0.3],
        ]
        triangle = (_triangle(1.65) - [0, 0.1], WHITE)
        return join(
            [
                square.show(BLUE, WHITE, [triangle], inner=0.95),
                _Board(height, 0.02 * square.outline, size * 0.9).show(
                    WHITE, BLACK, human_body, x=-0.006
                ),
            ]
        )
    if kind == 13:  # a road with priority, or an American warning
        if rng.random() < 0.5:
            return diamond.show(YELLOW, WHITE, [], inner=0.72)
        return diamond.show(YELLOW, BLACK, _arrow(0.8), inner=0.92)
    if kind == 14:
        upright = _Board(height, _rectangle(size * 0.75, size), size * 0.8)
        words = [_bar(0, 0.85, 0.9, 0.12), _bar(0, 0.6, 0.7, 0.12)]
        number = [p - [0, 0.25] for p in _text(choose(rng, ("25", "35", "45", "55")), 0.9)]
        return upright.show(WHITE, BLACK, [*words, *number], inner=0.93)
    one_way = _Board(height, _rectangle(size * 1.3, size * 0.5), size)
    angle = choose(rng, (1.57, -1.57))
    ahead = [_turned(p, angle) * [1.2, 0.9] for p in _arrow(0.9)]
    return one_way.show(BLUE, WHITE, ahead, WHITE, inner=0.93)


def _lettered_board(
    rng: np.random.Generator, y: float, height: float, wide: float, tall: float, x: float = 0.0
) -> Mesh:
    """A board of destinations: lines of blocks that stand for words, and an arrow at one side."""
    field, ink = choose(
        rng, ((BLUE, WHITE), (GREEN, WHITE), (YELLOW, BLACK), (WHITE, BLACK), (BLUE, WHITE))
    )
    lines = int(np.clip(round(tall / 0.5), 1, 4))
    pitch = 2 * 0.8 / lines
    side = choose(rng, (-1, 1))
    aspect = wide / tall
    drawing = []
    for k in range(lines):
        up = 0.8 - (k + 0.5) * pitch
        right = -0.85 * aspect + 0.45 * (side < 0)
        end = 0.85 * aspect - 0.45 * (side > 0)
        while right < end - 0.2:  # words of a few letters, gaps between them
            word = min(rng.uniform(0.25, 0.8), end - right)
            drawing.append(_bar(right + word / 2, up, word, 0.42 * pitch))
            right += word + 0.12
            if rng.random() < 0.35:
                break
    angle = choose(rng, (0.0, 0.0, -1.57 * side, -0.8 * side))
    size = min(0.9, 0.5 * aspect)
    arrow = [_turned(p, angle) + [side * (0.9 * aspect - 0.3), 0] for p in _arrow(size)]
    board = _Board(height, _rectangle(wide, tall), tall, y)
    return board.show(field, ink, [*drawing, *arrow], ink, inner=0.965, x=x)


def _head(at: Sequence[float], housing: Colour, lit: int, board: bool) -> Mesh:
    """A signal head of three lenses under visors; `at` is the back of its middle."""
    x, y, z = at
    box = surface("plain", housing, LIGHT)
    parts = [box.box((x, y, z), (0.20, 0.30, 0.92))]
    if board:
        edge = _rectangle(0.62, 1.24)
        parts.append(_slab(surface("plain", BLACK, LIGHT), edge, x + 0.05, (-y, z)))
        parts.append(_face(surface("plain", WHITE, LIGHT), edge, x + 0.034, (-y, z)))
        parts.append(_face(surface("plain", BLACK, LIGHT), edge * [0.9, 0.95], x + 0.03, (-y, z)))
    # A bracket to the post or the arm behind.
    parts.append(surface("plain", BLACK, POLE).box((x + 0.12, y, z + 0.25), (0.12, 0.06, 0.06)))
    glowing: tuple[Colour, ...] = ((1.0, 0.06, 0.04), (1.0, 0.55, 0.05), (0.10, 1.0, 0.55))
    for k, colour in enumerate(glowing):
        up = z + 0.295 * (1 - k)
        dark = (0.10 * colour[0], 0.10 * colour[1], 0.10 * colour[2])
        lens = surface("lamp", colour, LIGHT) if k == lit else surface("plain", dark, LIGHT)
        parts.append(_face(lens, _circle(0.105, 10), x - 0.104, (-y, up)))
        # The visor: a half tube, whose inside is a little narrower than its outside.
        angle = np.linspace(-0.3, np.pi + 0.3, 6)
        rim = np.stack(
            [0 * angle + x - 0.10, y + 0.125 * np.cos(angle), up + 0.125 * np.sin(angle)], 1
        )
        hood = rim - [0.18, 0, 0]
        hood[[0, -1], 0] = x - 0.12  # cut back at its lower corners
        parts.append(box.loft([hood, rim], closed=False))
        inside = np.array([x, y, up]) + (np.stack([rim, hood]) - [x, y, up]) * [1, 0.96, 0.96]
        parts.append(box.loft(inside, closed=False))
    return join(parts)


def _walker_head(at: Sequence[float], housing: Colour, go: bool) -> Mesh:
    """A signal of two lenses that faces across the road, +y."""
    x, y, z = at
    parts = [surface("plain", housing, LIGHT).box((x, y, z), (0.26, 0.18, 0.52))]
    for up, on, colour in ((0.13, not go, (1.0, 0.06, 0.04)), (-0.13, go, (0.10, 1.0, 0.45))):
        dark = (0.1 * colour[0], 0.1 * colour[1], 0.1 * colour[2])
        lens = surface("lamp", colour, LIGHT) if on else surface("plain", dark, LIGHT)
        ring = _circle(0.09, 8)
        # Seen from +y, right is -x.
        points = [[x - r, y + 0.094, z + up + u] for r, u in ring]
        parts.append(lens.fan(points))
    return join(parts)


def _face(skin: SurfaceProperties, outline: ArrayLike, x: float, middle: ArrayLike) -> Mesh:
    """A flat convex face towards -x; outline and middle are (right, up) as its reader sees it."""
    p = np.asarray(outline, float) + np.asarray(middle, float)
    return skin.fan(np.column_stack([np.full(len(p), x), -p[:, 0], p[:, 1]]))


def _slab(skin: SurfaceProperties, outline: FloatArray, x: float, middle: ArrayLike) -> Mesh:
    """A flat convex plate, 2 cm thick about x, without its front."""
    p = outline + np.asarray(middle, float)
    rings = [
        np.column_stack([np.full(len(p), at), -p[:, 0], p[:, 1]]) for at in (x + 0.01, x - 0.01)
    ]
    return join([skin.loft(rings, smooth=False), skin.fan(rings[0][::-1]), skin.fan(rings[1])])


def _circle(radius: float, corners: int) -> FloatArray:
    angle = 2 * np.pi * np.arange(corners) / corners
    return radius * np.stack([np.cos(angle), np.sin(angle)], 1)


def _rectangle(wide: float, tall: float) -> FloatArray:
    return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [wide / 2, tall / 2]


def _triangle(side: float) -> FloatArray:
    """Corner up, or down for a negative side."""
    return np.array([[-0.5, -0.289], [0.5, -0.289], [0.0, 0.577]]) * side


def _bar(right: float, up: float, wide: float, tall: float) -> FloatArray:
    return _rectangle(wide, tall) + [right, up]


def _turned(outline: FloatArray, angle: float) -> FloatArray:
    c, s = np.cos(angle), np.sin(angle)
    return outline @ np.array([[c, s], [-s, c]])


def _arrow(size: float) -> list[FloatArray]:
    """An arrow upwards, `size` high, about the middle."""
    head = np.array([[-0.42, 0.08], [0.42, 0.08], [0.0, 0.62]])
    return [head * size, _bar(0, -0.25 * size, 0.24 * size, 0.7 * size)]


def _text(letters: str, height: float) -> list[FloatArray]:
    """Block letters in a row about the middle."""
    unit, pitch = height / 2, 1.35
    first = -((len(letters) - 1) * pitch + 1) / 2
    return [
        (_bar(*_SEGMENTS[s]) + [first + k * pitch, -1.0]) * unit
        for k, letter in enumerate(letters)
        for s in _LETTERS[letter]
    ]


def _bright(rng: np.random.Generator) -> Colour:
    colours = (
        WHITE,
        RED,
        BLUE,
        GREEN,
        YELLOW,
        BLACK,
        (0.75, 0.25, 0.40),
        (0.10, 0.45, 0.60),
        (0.80, 0.35, 0.05),
        (0.35, 0.15, 0.45),
        (0.55, 0.45, 0.35),
    )
    return choose(rng, colours)
