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

"""Bicycles and motorcycles of the synthetic world, without riders."""

from __future__ import annotations

import numpy as np

from depth_perception.datasets.labels import BICYCLE, MOTORCYCLE
from depth_perception.world.objects.mesh import FloatArray, Mesh, SurfaceProperties, join
from depth_perception.world.objects.shapes import moved, on_both_sides, revolved, tube
from depth_perception.world.objects.vehicle_parts import (
    BLACK,
    DARK,
    GLASS,
    RED_LAMP,
    SILVER,
    WHITE_LAMP,
)
from depth_perception.world.surfaces.materials import INDEX, Colour

COLOURS: tuple[Colour, ...] = (
    (0.012, 0.012, 0.013),
    (0.012, 0.012, 0.013),
    (0.13, 0.135, 0.14),
    (0.36, 0.015, 0.015),
    (0.02, 0.07, 0.30),
    (0.70, 0.70, 0.69),
    (0.04, 0.20, 0.10),
    (0.50, 0.18, 0.02),
    (0.40, 0.41, 0.42),
    (0.08, 0.28, 0.30),
)
"""Paints of frames and tanks."""

CRANK = np.array([-0.10, 0.0, 0.28])
"""Middle of a bicycle's cranks."""


def _colour(rng: np.random.Generator) -> Colour:
    return COLOURS[int(rng.integers(len(COLOURS)))]


def spoked_wheel(
    radius: float, tyre: float, label: int, *, spokes: int, sides: int = 18, disc: bool = False
) -> Mesh:
    """A narrow wheel around the origin that one can see through between the spokes."""
    rubber = SurfaceProperties(INDEX["rubber"], (0.02, 0.02, 0.02), label)
    metal = SurfaceProperties(INDEX["metal"], SILVER, label)
    h, r = tyre / 2, radius
    around = [(0, r - 2 * h), (-h, r - h), (0, r), (h, r - h), (0, r - 2 * h)]
    parts = [revolved(rubber, around, sides=sides)]
    inner = r - 2 * h
    edge = 0.75 * h
    rim = [(edge, inner + edge), (0, inner - 0.02), (-edge, inner + edge)]  # faces the hub
    parts.append(revolved(metal, rim, sides=sides))
    for crank_angle in np.linspace(0, 2 * np.pi, spokes, endpoint=False):
        out = np.array([np.sin(crank_angle), 0, np.cos(crank_angle)]) * (inner - 0.005)
        thick = 0.0035 if not disc else 0.016
        parts.append(metal.rod((0, 0, 0), out, thick, sides=3))
    parts.append(metal.rod((0, -0.05, 0), (0, 0.05, 0), 0.025 if not disc else 0.05, sides=6))
    if disc:
        brake = [(h + 0.02, 0.5 * r), (h + 0.02, 0.28 * r)]
        parts.append(revolved(metal, brake, sides=12))
        parts.append(revolved(metal, [(y - 0.004, q) for y, q in brake[::-1]], sides=12))
    return join(parts)


def pedals(crank_angle: float) -> FloatArray:
    """Where the left and the right pedal are at a turn of the cranks (rad, 0 up): (2, 3)."""
    reach = 0.17 * np.array([np.sin(crank_angle), 0.0, np.cos(crank_angle)])
    return np.stack([CRANK + reach + (0, 0.14, 0), CRANK - reach - (0, 0.14, 0)])


def bicycle(rng: np.random.Generator, crank_angle: float | None = None) -> Mesh:
    """A bicycle; `crank_angle` is that of the cranks (rad), at random by default."""
    label, r = BICYCLE, float(rng.uniform(0.325, 0.35))
    crank_angle = float(rng.uniform(0, 6.28)) if crank_angle is None else crank_angle
    frame = SurfaceProperties(INDEX["paint"], _colour(rng), label)
    metal = SurfaceProperties(INDEX["metal"], SILVER, label)
    dark = SurfaceProperties(INDEX["plain"], DARK, label)
    rear, front = np.array([-0.53, 0, r]), np.array([0.53, 0, r])
    seat, saddle = np.array([-0.23, 0, 0.76]), np.array([-0.265, 0, 0.93])
    head, fork = np.array([0.30, 0, 0.86]), np.array([0.36, 0, 0.66])
    low_frame = rng.random() < 0.35
    top = CRANK + (0.10, 0, 0.17) if low_frame else seat
    thick = 0.019
    tubes = [(CRANK, seat), (top, head), (CRANK, fork), (head, fork)]
    parts = [frame.rod(a, b, thick, sides=6) for a, b in tubes]
    side = np.array([0, 0.05, 0])
    stays = [frame.rod(rear + side, p + 0.3 * side, 0.010, sides=4) for p in (CRANK, seat)]
    stays.append(frame.rod(fork + 0.9 * side, front + side, 0.013, sides=4))
    parts += on_both_sides(stays)
    parts.append(metal.rod(seat, saddle, 0.014, sides=6))
    parts.append(dark.ellipsoid(saddle + (0.0, 0, 0.025), (0.14, 0.075, 0.035), around=8, down=5))
    width = float(rng.uniform(0.26, 0.31))
    grip = np.array([0.20, width, 1.02])
    stem = np.array([0.29, 0, 0.99])
    parts.append(metal.rod(head, stem, 0.015, sides=6))
    bar = tube(metal, [stem, stem + (0.02, 0.6 * width, 0.02), grip], 0.012, sides=5)
    handle = dark.rod(grip + (0.03, -0.03, 0), grip + (-0.06, 0.01, -0.01), 0.017, sides=5)
    parts += on_both_sides([bar, handle])
    for x in (rear, front):
        parts.append(moved(spoked_wheel(r, 0.042, label, spokes=12), *x))
    left, right = pedals(crank_angle)
    for y, foot in ((0.07, left), (-0.07, right)):
        start = CRANK + (0, y, 0)
        parts.append(metal.rod(start, (foot[0], y, foot[2]), 0.011, sides=4))
        parts.append(dark.box(foot, (0.09, 0.10, 0.022)))
    ring = moved(
        revolved(dark, [(-0.002, 0.01), (-0.002, 0.09), (0.002, 0.09), (0.002, 0.01)], sides=12),
        *CRANK,
    )
    parts.append(moved(ring, 0, -0.05, 0))
    for z in (0.085, -0.075):  # the chain
        parts.append(dark.rod(CRANK + (0, -0.048, z), rear + (0, -0.048, 0.45 * z), 0.007, sides=3))
    if rng.random() < 0.5:  # mudguards
        angle = np.linspace(-0.6, 2.2, 8)
        guard = np.stack([-np.sin(angle), 0 * angle, np.cos(angle)], 1) * (r + 0.022)
        parts.append(tube(dark, rear + guard, 0.022, sides=4))
        parts.append(tube(dark, front + guard[1:6], 0.022, sides=4))
    if rng.random() < 0.4:  # rack
        parts.append(metal.box((-0.53, 0, r + 0.40), (0.36, 0.13, 0.02)))
        parts += on_both_sides([metal.rod((-0.55, 0.06, r + 0.39), rear + side, 0.007, sides=3)])
    if rng.random() < 0.25:  # basket
        basket = SurfaceProperties(INDEX["wood"], (0.3, 0.2, 0.1), label)
        parts.append(basket.box((0.46, 0, 0.93), (0.26, 0.34, 0.22)))
    lamp = SurfaceProperties(INDEX["paint"], RED_LAMP, label)
    parts.append(lamp.box(saddle + (-0.06, 0, -0.12), (0.03, 0.04, 0.05)))
    return join(parts)


def motorcycle(rng: np.random.Generator) -> Mesh:
    """A motorcycle or a scooter, upright as if on its stand."""
    return _scooter(rng) if rng.random() < 0.4 else _motorbike(rng)


def _surface(material: str, tint: Colour) -> SurfaceProperties:
    return SurfaceProperties(INDEX[material], tint, MOTORCYCLE)


def _front(x: float, top: float, axle: FloatArray) -> list[Mesh]:
    """Fork, handlebar, mirrors and headlamp of a motorcycle whose steering head is at (x, top)."""
    metal, dark = _surface("metal", SILVER), _surface("plain", DARK)
    head = np.array([x, 0, top])
    leg = metal.rod(axle + (0, 0.09, 0), head + (0.02, 0.09, 0), 0.027, sides=6)
    bar = tube(dark, [head, head + (-0.02, 0.2, 0.10), head + (-0.12, 0.37, 0.09)], 0.016, sides=5)
    grip = dark.rod(head + (-0.08, 0.27, 0.09), head + (-0.13, 0.39, 0.09), 0.022, sides=6)
    stalk = dark.rod(head + (-0.05, 0.2, 0.1), head + (-0.02, 0.31, 0.20), 0.008, sides=4)
    mirror = dark.ellipsoid(head + (-0.02, 0.32, 0.21), (0.025, 0.06, 0.04), around=6, down=4)
    parts = on_both_sides([leg, bar, grip, stalk, mirror])
    lamp = _surface("glass", WHITE_LAMP)
    parts.append(dark.ellipsoid(head + (0.10, 0, -0.06), (0.10, 0.11, 0.11), around=8, down=6))
    parts.append(lamp.ellipsoid(head + (0.16, 0, -0.06), (0.06, 0.09, 0.09), around=8, down=6))
    return parts


def _motorbike(rng: np.random.Generator) -> Mesh:
    """A motorcycle with a tank between the knees."""
    r, base = float(rng.uniform(0.30, 0.325)), float(rng.uniform(1.38, 1.50))
    rear, front = np.array([-base / 2 - 0.02, 0, r]), np.array([base / 2 - 0.02, 0, r])
    paint, dark = _surface("paint", _colour(rng)), _surface("plain", DARK)
    metal = _surface("metal", SILVER)
    wide = spoked_wheel(r, 0.17, MOTORCYCLE, spokes=6, sides=16, disc=True)
    narrow = spoked_wheel(r, 0.12, MOTORCYCLE, spokes=6, sides=16, disc=True)
    parts = [moved(wide, *rear), moved(narrow, *front)]
    head = np.array([front[0] - 0.27, 0, 0.90])
    parts += _front(head[0], head[2], front)
    tank = [
        (head[0] - 0.05, 0, 0.86),
        (head[0] - 0.18, 0, 0.89),
        (head[0] - 0.40, 0, 0.87),
        (head[0] - 0.60, 0, 0.77),
    ]
    parts.append(tube(paint, tank, [0.07, 0.14, 0.14, 0.06], sides=10, flat=1.05))
    seat = [
        (head[0] - 0.50, 0, 0.77),
        (head[0] - 0.66, 0, 0.76),
        (head[0] - 0.95, 0, 0.81),
        (head[0] - 1.17, 0, 0.85),
    ]
    parts.append(tube(dark, seat, [0.045, 0.06, 0.055, 0.03], sides=8, flat=2.2))
    tail = np.array(seat[1:]) - (0, 0, 0.06)
    parts.append(tube(paint, tail, [0.06, 0.06, 0.03], sides=6, flat=1.8))
    engine = np.array([0.02, 0, 0.44])
    parts.append(metal.ellipsoid(engine, (0.24, 0.17, 0.20), around=10, down=6))
    parts.append(dark.rod(engine + (0.05, 0, 0.1), engine + (0.16, 0, 0.36), 0.13, 0.11, sides=8))
    parts.append(dark.ellipsoid(engine + (-0.22, 0, 0.12), (0.18, 0.13, 0.20), around=8, down=5))
    parts.append(dark.rod(engine + (-0.05, 0, -0.05), head, 0.035, sides=6))
    swing = metal.rod(rear + (0, 0.11, 0), (-0.18, 0.10, 0.42), 0.03, sides=5)
    peg = dark.rod((-0.12, 0.12, 0.34), (-0.12, 0.30, 0.34), 0.015, sides=5)
    parts += on_both_sides([swing, peg])
    pipe = [engine + (0.24, -0.06, 0.0), engine + (0.14, -0.14, -0.24), (-0.3, -0.17, 0.26)]
    parts.append(tube(metal, np.array([*pipe, (-0.42, -0.19, 0.30)]), 0.028, sides=6))
    parts.append(metal.rod((-0.40, -0.19, 0.30), (-0.86, -0.21, 0.44), 0.05, 0.06, sides=8))
    angle = np.linspace(-0.7, 0.8, 6)
    guard = np.stack([-np.sin(angle), 0 * angle, np.cos(angle)], 1) * (r + 0.03)
    parts.append(tube(paint, front + guard, 0.035, sides=5, flat=1.8))
    if rng.random() < 0.45:  # a fairing with a screen
        nose = [head + (0.26, 0, -0.08), head + (0.18, 0, -0.02), head + (-0.02, 0, 0.0)]
        parts.append(tube(paint, nose, [0.05, 0.15, 0.17], sides=8))
        belly = paint.ellipsoid((0.20, 0, 0.60), (0.28, 0.185, 0.24), around=10, down=6)
        parts.append(belly)
        glass = _surface("glass", GLASS)
        pane = np.array(
            [
                head + (0.16, 0.12, 0.08),
                head + (0.16, -0.12, 0.08),
                head + (0.02, -0.09, 0.30),
                head + (0.02, 0.09, 0.30),
            ]
        )
        parts += [glass.quad(pane[::-1]), glass.quad(pane - (0.01, 0, 0))]
    parts.append(_surface("paint", RED_LAMP).box((seat[-1][0] - 0.03, 0, 0.83), (0.05, 0.16, 0.06)))
    parts.append(dark.box((rear[0] - 0.22, 0, 0.62), (0.03, 0.14, 0.28)))
    plate_box = _surface("plain", (0.75, 0.75, 0.72))
    parts.append(plate_box.box((rear[0] - 0.245, 0, 0.58), (0.02, 0.20, 0.16)))
    if rng.random() < 0.3:  # cases
        case = dark.box((rear[0] - 0.02, 0.32, 0.62), (0.40, 0.20, 0.32))
        parts += on_both_sides([case])
    return join(parts)


def _scooter(rng: np.random.Generator) -> Mesh:
    """A motor scooter with a step-through and small wheels."""
    r = float(rng.uniform(0.22, 0.27))
    rear, front = np.array([-0.66, 0, r]), np.array([0.64, 0, r])
    paint, dark = _surface("paint", _colour(rng)), _surface("plain", DARK)
    small = spoked_wheel(r, 0.11, MOTORCYCLE, spokes=5, sides=14, disc=True)
    parts = [moved(small, *rear), moved(small, *front)]
    head = np.array([0.40, 0, 0.92])
    parts += _front(head[0], head[2], front)
    shield = [(0.50, 0, 0.92), (0.46, 0, 0.60), (0.36, 0, 0.32)]
    parts.append(tube(paint, shield, [0.06, 0.075, 0.06], sides=8, flat=2.6))
    parts.append(paint.box((0.12, 0, 0.27), (0.56, 0.34, 0.10)))
    body = [(-0.06, 0, 0.45), (-0.30, 0, 0.56), (-0.70, 0, 0.66), (-0.92, 0, 0.70)]
    parts.append(tube(paint, body, [0.14, 0.18, 0.15, 0.05], sides=10, flat=1.05))
    seat = [(-0.02, 0, 0.74), (-0.25, 0, 0.75), (-0.50, 0, 0.79), (-0.84, 0, 0.80)]
    parts.append(tube(dark, seat, [0.035, 0.06, 0.055, 0.035], sides=8, flat=2.2))
    parts.append(dark.ellipsoid((-0.45, 0.02, 0.34), (0.30, 0.13, 0.14), around=8, down=5))
    parts.append(dark.rod((-0.50, -0.18, 0.30), (-0.92, -0.20, 0.36), 0.055, sides=7))
    angle = np.linspace(-0.9, 0.9, 6)
    guard = np.stack([-np.sin(angle), 0 * angle, np.cos(angle)], 1) * (r + 0.03)
    parts.append(tube(paint, front + guard, 0.035, sides=5, flat=1.8))
    parts.append(_surface("paint", RED_LAMP).box((-0.93, 0, 0.69), (0.06, 0.18, 0.07)))
    parts.append(_surface("plain", (0.75, 0.75, 0.72)).box((-0.95, 0, 0.50), (0.02, 0.2, 0.16)))
    parts.append(dark.box((-0.91, 0, 0.52), (0.05, 0.12, 0.28)))
    if rng.random() < 0.35:
        case = _surface("plain", BLACK if rng.random() < 0.7 else _colour(rng))
        parts.append(case.box((-0.90, 0, 0.98), (0.36, 0.38, 0.28)))
        parts.append(dark.box((-0.85, 0, 0.84), (0.3, 0.2, 0.05)))
    return join(parts)


def riding_points(rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Where a rider of `motorcycle` has the hips (3,), the hands (2, 3) and the feet (2, 3)."""
    hips = np.array([-0.22 + float(rng.uniform(-0.04, 0.04)), 0, 0.86])
    hands = np.array([[0.32, 0.33, 1.0], [0.32, -0.33, 1.0]])
    feet = np.array([[-0.05, 0.20, 0.36], [-0.05, -0.20, 0.36]])
    return hips, hands, feet
