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

"""Buses and lorries of the synthetic world."""

from __future__ import annotations

import numpy as np

from depth_perception.datasets.labels import BUS, TRUCK
from depth_perception.world.objects.mesh import Mesh, SurfaceProperties, join
from depth_perception.world.objects.shapes import (
    decal,
    mirrored,
    moved,
    on_both_sides,
    rectangle,
    tube,
)
from depth_perception.world.objects.vehicle_parts import (
    BLACK,
    DARK,
    GLASS,
    RED_LAMP,
    SILVER,
    WHITE_LAMP,
    BodyShape,
    cabin,
    lower_body,
    wheel,
    wheels,
)
from depth_perception.world.surfaces.materials import INDEX, Colour

LIVERIES: tuple[Colour, ...] = (
    (0.70, 0.70, 0.69),
    (0.70, 0.70, 0.69),
    (0.38, 0.015, 0.015),
    (0.02, 0.07, 0.28),
    (0.03, 0.16, 0.07),
    (0.60, 0.42, 0.03),
    (0.06, 0.25, 0.45),
    (0.13, 0.135, 0.14),
    (0.52, 0.16, 0.02),
    (0.10, 0.30, 0.08),
)
"""Paints of buses and lorries."""


def _livery(rng: np.random.Generator) -> Colour:
    return LIVERIES[int(rng.integers(len(LIVERIES)))]


def bus(rng: np.random.Generator) -> Mesh:
    """A city bus or a coach, sometimes with two decks."""
    length = float(rng.uniform(10.2, 12.6))
    double = rng.random() < 0.2
    coach = not double and rng.random() < 0.25
    height = 4.3 if double else float(rng.uniform(3.3, 3.7) if coach else rng.uniform(2.95, 3.25))
    belt = 1.45 if coach else 1.12
    body_shape = BodyShape(
        length=length,
        width=2.52,
        height=height,
        axles=(2.7, length - 3.3),
        wheel=0.48,
        tyre=0.29,
        clearance=float(rng.uniform(0.28, 0.34)),
        belt=belt,
        nose=belt,
        tail=belt,
        cowl=0.02,
        roof_front=float(rng.uniform(0.10, 0.45)),
        roof_rear=length - 0.14,
        base=length - 0.02,
        roof_width=0.96,
        shoulder=0.012,
        roof_drop=0.0,
        square_nose=1.0,
        square_tail=1.0,
        slab=1.0,
        curve=0.07,
    )
    colour = _livery(rng)
    two_tone = rng.random() < 0.35
    lower_colour = (LIVERIES[0], (0.13, 0.135, 0.14))[int(rng.integers(2))] if two_tone else colour
    low = lower_body(body_shape, SurfaceProperties(INDEX["paint"], lower_colour, BUS))
    body = join(
        [low, cabin(body_shape, SurfaceProperties(INDEX["paint"], colour, BUS), flat_roof=0.85)]
    )
    glass = SurfaceProperties(INDEX["glass"], GLASS, BUS)
    dark = SurfaceProperties(INDEX["plain"], BLACK, BUS)
    decks = [(belt + 0.02, (2.25 if double else height - 0.50))]
    if double:
        decks.append((2.75, 3.85))
    door_side = "right" if rng.random() < 0.7 else "left"
    parts = [body]
    run = length - 0.9 - 0.5
    count = int(rng.integers(5, 8))
    for bottom, top in decks:
        # One dark band from end to end, and the panes on it.
        band = [(0.55, bottom), (length - 0.45, bottom), (length - 0.45, top), (0.55, top)]
        for side in ("left", "right"):
            parts.append(decal(dark, body, band, side, cells=(2, 3)))
            for k in range(count):
                a, b = 0.9 + run * k / count + 0.03, 0.9 + run * (k + 1) / count - 0.03
                pane = [(a, bottom + 0.05), (b, bottom + 0.05), (b, top - 0.05), (a, top - 0.05)]
                parts.append(decal(glass, body, pane, side, cells=(1, 3), proud=0.012))
    if not coach:
        for s in (0.85, length * float(rng.uniform(0.46, 0.54))):
            door = rectangle(s + 0.55, 1.32, 1.2, 1.96)
            parts.append(decal(dark, body, door, door_side, cells=(1, 4), proud=0.016))
            for k in (-1, 1):
                leaf = rectangle(s + 0.55 + 0.29 * k, 1.32, 0.5, 1.8)
                parts.append(decal(glass, body, leaf, door_side, cells=(1, 4), proud=0.02))
    parts += _bus_ends(rng, body_shape, body, decks)
    rear = [
        (-0.95, decks[-1][0] + 0.25),
        (0.95, decks[-1][0] + 0.25),
        (0.92, decks[-1][1] - 0.05),
        (-0.92, decks[-1][1] - 0.05),
    ]
    parts.append(decal(glass, body, rear, "rear", cells=(6, 3), proud=0.012))
    parts += _skirt_seams(body_shape, body)
    parts.append(wheels(body_shape, BUS, rim=0.58, spokes=0, twin=True))
    if not double and rng.random() < 0.7:  # the cooler of the air conditioning
        box = SurfaceProperties(INDEX["paint"], colour, BUS)
        parts.append(box.box((-length * 0.42, 0, height + 0.09), (2.4, 1.7, 0.22)))
    return moved(join(parts), length / 2, 0, 0)


def _bus_ends(
    rng: np.random.Generator, body_shape: BodyShape, body: Mesh, decks: list[tuple[float, float]]
) -> list[Mesh]:
    """Windscreens, destination display, lamps, bumpers, mirrors."""
    glass = SurfaceProperties(INDEX["glass"], GLASS, BUS)
    dark = SurfaceProperties(INDEX["plain"], DARK, BUS)
    parts = []
    for bottom, top in decks:
        screen = [(-1.16, bottom), (1.16, bottom), (1.10, top + 0.08), (-1.10, top + 0.08)]
        parts.append(decal(glass, body, screen, "front", cells=(6, 3)))
    sign_z = decks[0][1] + (0.27 if len(decks) == 1 else 0.22)
    black = SurfaceProperties(INDEX["plain"], BLACK, BUS)
    parts.append(decal(black, body, rectangle(0, sign_z, 1.9, 0.32), "front", cells=(4, 2)))
    if rng.random() < 0.8:
        amber = SurfaceProperties(INDEX["lamp"], (0.9, 0.42, 0.05), BUS)
        text = rectangle(0.1, sign_z, float(rng.uniform(0.7, 1.2)), 0.14)
        parts.append(decal(amber, body, text, "front", cells=(3, 1), proud=0.012))
    on = rng.random() < 0.5
    lamp = SurfaceProperties(
        INDEX["lamp" if on else "glass"], (1, 0.98, 0.92) if on else WHITE_LAMP, BUS
    )
    parts += on_both_sides([decal(lamp, body, rectangle(0.92, 0.66, 0.36, 0.17), "front")])
    bumper = rectangle(0, body_shape.clearance + 0.16, 2.2, 0.2)
    parts += [decal(dark, body, bumper, end, cells=(4, 1)) for end in ("front", "rear")]
    plate = SurfaceProperties(INDEX["plain"], (0.75, 0.75, 0.72), BUS)
    parts.append(decal(plate, body, rectangle(0, 0.58, 0.52, 0.11), "front", proud=0.012))
    parts.append(decal(plate, body, rectangle(0.3, 0.80, 0.52, 0.11), "rear", proud=0.012))
    red = SurfaceProperties(INDEX["paint"], RED_LAMP, BUS)
    for shape in (
        rectangle(1.03, 0.98, 0.16, 0.5),
        rectangle(1.0, body_shape.height - 0.3, 0.18, 0.08),
    ):
        parts += on_both_sides([decal(red, body, shape, "rear", cells=(2, 2))])
    if rng.random() < 0.7:
        grille = rectangle(-0.2, 0.78, 1.3, 0.3)
        parts.append(decal(dark, body, grille, "rear", cells=(3, 1)))
    top = min(decks[0][1], body_shape.height - 0.3)
    arm = tube(
        dark,
        [(-0.1, 1.05, top + 0.25), (0.25, 1.28, top + 0.2), (0.3, 1.33, top - 0.1)],
        0.03,
        sides=5,
    )
    mirror = dark.ellipsoid((0.28, 1.34, top - 0.22), (0.07, 0.13, 0.24), around=8, down=5)
    return parts + on_both_sides([arm, mirror])


def _skirt_seams(body_shape: BodyShape, body: Mesh) -> list[Mesh]:
    line = SurfaceProperties(INDEX["plain"], BLACK, BUS)
    parts = []
    for s in np.arange(1.0, body_shape.length - 0.5, 1.3):
        if min(abs(s - axle) for axle in body_shape.axles) > body_shape.arch + 0.05:
            strip = rectangle(
                float(s),
                (body_shape.clearance + body_shape.belt) / 2,
                0.014,
                body_shape.belt - body_shape.clearance - 0.1,
            )
            parts.append(decal(line, body, strip, "left", cells=(1, 1), proud=0.003))
    return on_both_sides(parts)


def _truck(material: str, tint: Colour) -> SurfaceProperties:
    return SurfaceProperties(INDEX[material], tint, TRUCK)


def _lorry_cab(rng: np.random.Generator, width: float, height: float, wheel_radius: float) -> Mesh:
    """A cab over the engine, its nose at x = 0, with its front wheels."""
    depth = float(rng.uniform(1.75, 2.2))
    belt = 0.56 * height + 0.08
    body_shape = BodyShape(
        length=depth,
        width=width,
        height=height,
        axles=(min(1.35, depth - 0.68),),
        wheel=wheel_radius,
        tyre=0.28,
        clearance=0.36,
        belt=belt,
        nose=belt,
        tail=belt,
        cowl=0.03,
        roof_front=float(rng.uniform(0.20, 0.42)),
        roof_rear=depth - 0.06,
        base=depth - 0.01,
        roof_width=0.92,
        shoulder=0.03,
        roof_drop=0.0,
        square_nose=0.9,
        square_tail=1.0,
        slab=0.9,
        curve=0.20,
    )
    paint = _truck("paint", _livery(rng))
    body = join([lower_body(body_shape, paint), cabin(body_shape, paint, flat_roof=0.6)])
    glass, dark = _truck("glass", GLASS), _truck("plain", DARK)
    half, low, high = width / 2, belt + 0.03, body_shape.window_z(0.72, 0)
    parts = [body]
    screen = [(-0.90 * half, low), (0.90 * half, low), (0.86 * half, high), (-0.86 * half, high)]
    parts.append(decal(glass, body, screen, "front", cells=(6, 3)))
    side = [(0.42, low), (1.25, low + 0.06), (1.25, high - 0.05), (0.55, high - 0.05)]
    parts += on_both_sides([decal(glass, body, side, "left", cells=(2, 3), proud=0.01)])
    grille = [
        (-0.55 * half, 0.85),
        (0.55 * half, 0.85),
        (0.62 * half, belt - 0.22),
        (-0.62 * half, belt - 0.22),
    ]
    parts.append(decal(dark, body, grille, "front", cells=(2, 2)))
    bumper = rectangle(0, 0.55, 1.7 * half, 0.3)
    parts.append(decal(dark, body, bumper, "front", cells=(6, 1)))
    plate = _truck("plain", (0.75, 0.75, 0.72))
    parts.append(decal(plate, body, rectangle(0, 0.52, 0.52, 0.11), "front", proud=0.014))
    on = rng.random() < 0.4
    lamp = _truck("lamp" if on else "glass", (1, 0.98, 0.92) if on else WHITE_LAMP)
    seam = _truck("plain", BLACK)
    door = [
        decal(
            seam,
            body,
            rectangle(s, (0.75 + belt) / 2 + 0.3, 0.016, belt - 0.5),
            "left",
            cells=(1, 2),
            proud=0.004,
        )
        for s in (0.34, 1.34)
    ]
    lamps = decal(lamp, body, rectangle(0.74 * half, 0.66, 0.34, 0.16), "front", proud=0.014)
    arm = tube(
        dark, [(-0.2, half - 0.06, high + 0.1), (-0.14, half + 0.12, high + 0.02)], 0.025, sides=5
    )
    mirror = dark.box((-0.14, half + 0.12, high - 0.24), (0.10, 0.18, 0.5))
    parts += on_both_sides([*door, lamps, arm, mirror])
    parts.append(wheels(body_shape, TRUCK, rim=0.56, spokes=0))
    if rng.random() < 0.4:  # an air deflector on the roof
        top, rise = body_shape.height - 0.02, float(rng.uniform(0.3, 0.6))
        rings = [
            [(-0.55, y, top + 0.03) for y in (0.8, -0.8)],
            [(-depth + 0.1, y, top + rise) for y in (0.95, -0.95)],
        ]
        front = paint.loft(np.array(rings)[::-1], closed=False)
        sides = [paint.fan([rings[0][0], (-depth + 0.1, 0.95, top), rings[1][0]])]
        a, b = (-depth + 0.1, -0.95, top), (-depth + 0.1, -0.95, top + rise)
        back = paint.quad([a, b, (b[0], 0.95, b[2]), (a[0], 0.95, a[2])])
        parts += [front, back, *on_both_sides(sides)]
    return join(parts)


def _chassis(
    length: float, width: float, axles: tuple[float, ...], radius: float, start: float = 0.8
) -> list[Mesh]:
    """Frame, twin rear wheels with mudguards, side guards, tank, rear bumper with lamps."""
    dark = _truck("plain", BLACK)
    last = length - 0.25
    parts = [dark.box((-(start + last) / 2, 0, 0.83), (last - start, 0.9, 0.30))]
    for s in axles:
        twin = moved(wheel(radius, 0.56, TRUCK, rim=0.56, spokes=0), -s, width / 2 - 0.31, radius)
        guard = dark.box((-s, width / 2 - 0.31, 2 * radius + 0.03), (1.7 * radius, 0.56, 0.04))
        axle = dark.rod((-s, 0, radius), (-s, width / 2 - 0.4, radius), 0.08, sides=6)
        parts += on_both_sides([twin, guard, axle])
    first, end = start + 1.4, axles[0] - radius - 0.25
    grey = _truck("metal", (0.3, 0.3, 0.3))
    if end - first > 0.8:
        for z in (0.55, 0.88):
            bar = grey.box((-(first + end) / 2, width / 2 - 0.04, z), (end - first, 0.03, 0.11))
            parts += on_both_sides([bar])
        run = min(1.1, end - first - 0.2)
        tank = _truck("metal", SILVER)
        a, y = first + 0.1, width / 2 - 0.38
        parts.append(tank.rod((-a, y, 0.70), (-a - run, y, 0.70), 0.28, sides=10))
        parts.append(dark.box((-a - run / 2, -y, 0.72), (run, 0.5, 0.5)))
    bar_s = length - 0.08
    parts.append(dark.box((-bar_s, 0, 0.55), (0.1, width * 0.92, 0.14)))
    parts += on_both_sides([dark.box((-bar_s + 0.02, 0.5, 0.75), (0.07, 0.07, 0.4))])
    red = _truck("paint", RED_LAMP)
    lamp = red.box((-bar_s - 0.03, width / 2 - 0.33, 0.72), (0.08, 0.4, 0.14))
    plate = _truck("plain", (0.75, 0.75, 0.72))
    parts += on_both_sides([lamp])
    parts.append(plate.box((-length + 0.02, 0, 0.55), (0.01, 0.52, 0.11)))
    return parts


def _load_box(
    rng: np.random.Generator, first: float, last: float, width: float, floor: float, top: float
) -> list[Mesh]:
    """A closed body: plain panels or a curtain, with frame, doors and perhaps a big sign."""
    colour = (0.68, 0.68, 0.67) if rng.random() < 0.55 else _livery(rng)
    body = _truck("paint" if rng.random() < 0.6 else "cloth", colour)
    frame = _truck("metal", SILVER if rng.random() < 0.6 else (0.2, 0.2, 0.2))
    middle, run, half = -(first + last) / 2, last - first, width / 2
    box = body.box((middle, 0, (floor + top) / 2), (run, width, top - floor))
    parts = [box]
    for z in (floor + 0.06, top - 0.05):
        parts.append(frame.box((middle, 0, z), (run + 0.03, width + 0.03, 0.12)))
    for x in (-first, -last):
        post = frame.box((x, half - 0.03, (floor + top) / 2), (0.10, 0.10, top - floor))
        parts += on_both_sides([post])
    dark = _truck("plain", DARK)
    rib = _truck("plain", tuple(0.8 * c for c in colour))  # type: ignore[arg-type]
    for s in np.linspace(first, last, int(run / 1.2) + 1)[1:-1]:
        strip = decal(
            rib,
            box,
            rectangle(float(s), (floor + top) / 2, 0.04, top - floor - 0.3),
            "left",
            cells=(1, 1),
            proud=0.006,
        )
        parts += on_both_sides([strip])
    parts.append(dark.box((-last - 0.012, 0, (floor + top) / 2), (0.02, 0.025, top - floor - 0.2)))
    for y in (0.25, 0.75):  # the bars that lock the doors
        bar = frame.rod(
            (-last - 0.04, y, floor + 0.1), (-last - 0.04, y, top - 0.1), 0.018, sides=5
        )
        parts += on_both_sides([bar])
    if rng.random() < 0.6:
        tint = _livery(rng)
        size = float(rng.uniform(0.3, 0.6)) * run, float(rng.uniform(0.25, 0.5)) * (top - floor)
        shape = rectangle(-middle + float(rng.uniform(-0.1, 0.1)) * run, (floor + top) / 2, *size)
        sign = decal(_truck("plain", tint), box, shape, "left", cells=(1, 1), proud=0.012)
        parts += on_both_sides([sign])
    return parts


def box_lorry(rng: np.random.Generator) -> Mesh:
    """A rigid lorry with a closed body, from 6 to 10 m long."""
    length = float(rng.uniform(6.2, 9.8))
    large = length > 7.6
    width = 2.5 if large else 2.3
    radius = 0.50 if large else 0.42
    cab = float(rng.uniform(2.75, 3.15) if large else rng.uniform(2.35, 2.6))
    top = float(rng.uniform(3.4, 3.95) if large else rng.uniform(3.0, 3.4))
    front = _lorry_cab(rng, width - 0.06, cab, radius)
    start = -float(front.bounds()[0, 0]) + 0.12
    axles: tuple[float, ...] = (length - 2.0,)
    if length > 9.0:
        axles = (length - 2.9, length - 1.6)
    parts = [front, *_chassis(length, width, axles, radius)]
    parts += _load_box(rng, start, length - 0.06, width, 2 * radius + 0.12, top)
    return moved(join(parts), length / 2, 0, 0)


def tipper(rng: np.random.Generator) -> Mesh:
    """A lorry with an open steel tub for gravel and soil."""
    length = float(rng.uniform(7.0, 8.8))
    front = _lorry_cab(rng, 2.44, float(rng.uniform(2.8, 3.1)), 0.50)
    start = -float(front.bounds()[0, 0]) + 0.15
    parts = [front, *_chassis(length, 2.5, (length - 2.6, length - 1.25), 0.50)]
    paint = _truck("paint", _livery(rng))
    low, high = 1.18, float(rng.uniform(2.3, 2.8))
    end = length - 0.05
    # Rings go up the outside, over the rim and down the inside to the load.
    load = high - float(rng.uniform(0.1, 0.6))
    outline = [
        (low, 0.10, 0.95),
        (low + 0.25, 0.0, 1.23),
        (high, 0.0, 1.25),
        (high, 0.06, 1.19),
        (load, 0.08, 1.17),
    ]
    rings = [
        [(-start - i, -y, z), (-start - i, y, z), (-end + i, y, z), (-end + i, -y, z)]
        for z, i, y in outline
    ]
    parts.append(paint.loft(rings, smooth=False))
    soil = SurfaceProperties(INDEX["gravel"], (0.55, 0.47, 0.38), TRUCK)
    heap = np.array(rings[-1]) * (0.6, 0.5, 1.0) + ((-(start + end) / 2) * 0.4, 0, 0.25)
    parts += [soil.loft(np.array([rings[-1], heap])), soil.fan(heap)]
    for s in np.linspace(start + 0.3, end - 0.3, 5):
        rib = paint.box((-float(s), 1.26, (low + high) / 2 + 0.12), (0.10, 0.07, high - low - 0.3))
        parts += on_both_sides([rib])
    parts.append(paint.box((-start - 0.05, 0, high + 0.15), (0.08, 2.4, 0.4)))
    if rng.random() < 0.6:  # a shield over the cab
        parts.append(
            paint.box((-start + 0.35, 0, max(high, front.bounds()[1, 2]) + 0.12), (0.9, 2.3, 0.06))
        )
        parts.append(paint.box((-start - 0.05, 0, high + 0.3), (0.08, 2.3, 0.6)))
    return moved(join(parts), length / 2, 0, 0)


def tanker(rng: np.random.Generator) -> Mesh:
    """A lorry with a lying tank."""
    length = float(rng.uniform(8.0, 10.5))
    front = _lorry_cab(rng, 2.44, float(rng.uniform(2.8, 3.2)), 0.50)
    start = -float(front.bounds()[0, 0]) + 0.2
    parts = [front, *_chassis(length, 2.5, (length - 2.8, length - 1.5), 0.50)]
    shiny = rng.random() < 0.5
    skin = _truck("metal", SILVER) if shiny else _truck("paint", _livery(rng))
    end, z = length - 0.15, 2.10
    rise, half = float(rng.uniform(0.82, 0.98)), 1.2
    angle = np.linspace(0, 2 * np.pi, 18, endpoint=False)
    ring = np.stack([0 * angle, half * np.cos(angle), rise * np.sin(angle)], 1)
    # Vaulted ends: the cross-section grows quickly from each end.
    vault = [(0.0, 0.35), (0.06, 0.75), (0.20, 0.96), (0.4, 1.0)]
    stations = [(end - s, share) for s, share in vault]
    stations += [(start + s, share) for s, share in vault[::-1]]
    rings = [ring * share + (-s, 0, z) for s, share in stations]
    parts += [skin.loft(rings), skin.fan(rings[-1]), skin.fan(rings[0][::-1])]
    grey = _truck("metal", (0.3, 0.3, 0.3))
    parts.append(grey.box((-(start + end) / 2, 0, z + rise + 0.03), (end - start - 0.9, 0.5, 0.05)))
    for s in np.linspace(start + 0.9, end - 0.9, 4):
        parts.append(grey.rod((-float(s), 0, z + rise), (-float(s), 0, z + rise + 0.14), 0.25))
    parts.append(
        _truck("plain", BLACK).box((-(start + end) / 2, 0, 1.12), (end - start - 0.4, 1.5, 0.3))
    )
    for y in (0.2, 0.55):
        ladder = grey.rod((-end - 0.05, y, 0.8), (-end + 0.02, y, z + rise), 0.02, sides=5)
        parts.append(ladder)
    plate = _truck("plain", (0.55, 0.16, 0.02))
    parts.append(plate.box((-end - 0.03, -0.5, 1.4), (0.02, 0.4, 0.3)))
    return moved(join(parts), length / 2, 0, 0)


def articulated(rng: np.random.Generator) -> Mesh:
    """A tractor with a three-axle trailer, 16.5 m long."""
    length = float(rng.uniform(15.8, 16.5))
    front = _lorry_cab(rng, 2.48, float(rng.uniform(3.1, 3.4)), 0.50)
    back = -float(front.bounds()[0, 0])
    dark = _truck("plain", BLACK)
    parts = [front, dark.box((-3.4, 0, 0.85), (5.2, 0.9, 0.3))]
    drive = moved(wheel(0.50, 0.56, TRUCK, rim=0.56, spokes=0), -5.0, 0.92, 0.50)
    guard = dark.box((-5.0, 0.92, 1.05), (1.1, 0.56, 0.04))
    tank = _truck("metal", SILVER).rod((-2.6, 0.88, 0.66), (-3.9, 0.88, 0.66), 0.30, sides=10)
    parts += on_both_sides([drive, guard, tank])
    axles = (length - 4.6, length - 3.3, length - 2.0)
    parts += _chassis(length, 2.5, axles, 0.50, start=6.6)
    leg = dark.box((-6.9, 0.7, 0.72), (0.15, 0.15, 0.8))
    parts += [leg, mirrored(leg)]
    parts += _load_box(rng, back + 0.65, length - 0.05, 2.55, 1.15, float(rng.uniform(3.8, 4.0)))
    return moved(join(parts), length / 2, 0, 0)
