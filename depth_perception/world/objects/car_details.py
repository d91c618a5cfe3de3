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

"""What a car wears on its body: paint, windows, lamps, bumpers, number plates, doors, mirrors."""

from __future__ import annotations

import numpy as np

from depth_perception.datasets.labels import CAR
from depth_perception.world.objects.mesh import Mesh, SurfaceProperties
from depth_perception.world.objects.shapes import decal, on_both_sides, rectangle
from depth_perception.world.objects.vehicle_parts import (
    BLACK,
    DARK,
    GLASS,
    RED_LAMP,
    SILVER,
    WHITE_LAMP,
    BodyShape,
)
from depth_perception.world.surfaces.materials import INDEX, Colour

PAINTS: tuple[tuple[float, Colour], ...] = (
    (0.24, (0.72, 0.72, 0.71)),  # white
    (0.17, (0.13, 0.135, 0.14)),  # grey
    (0.07, (0.055, 0.058, 0.062)),  # dark grey
    (0.17, (0.013, 0.013, 0.014)),  # black
    (0.13, (0.40, 0.41, 0.42)),  # silver
    (0.08, (0.02, 0.06, 0.22)),  # blue
    (0.02, (0.06, 0.20, 0.42)),  # light blue
    (0.05, (0.34, 0.015, 0.015)),  # red
    (0.01, (0.10, 0.006, 0.012)),  # dark red
    (0.015, (0.03, 0.11, 0.05)),  # green
    (0.015, (0.42, 0.36, 0.26)),  # beige
    (0.01, (0.10, 0.06, 0.035)),  # brown
    (0.01, (0.55, 0.16, 0.02)),  # orange
    (0.01, (0.60, 0.42, 0.03)),  # yellow
)
"""Linear albedo of car paints, each with its share of the cars on the road."""


def paint_colour(rng: np.random.Generator) -> Colour:
    """Draw a car's colour as often as it is seen on the road."""
    shares = np.array([share for share, _ in PAINTS])
    _, (r, g, b) = PAINTS[int(rng.choice(len(PAINTS), p=shares / shares.sum()))]
    light = float(rng.uniform(0.85, 1.12))
    return r * light, g * light, b * light


def car_surface(material: str, tint: Colour) -> SurfaceProperties:
    """A material by name on a car."""
    return SurfaceProperties(INDEX[material], tint, CAR)


def windows(body_shape: BodyShape, body: Mesh, panes: tuple[float, ...]) -> list[Mesh]:
    """Windscreen, rear window and side windows.

    `panes` are the pillars' positions from 0 at the first side window's front edge to 1 at the last
    one's rear edge.
    """
    glass = car_surface("glass", GLASS)
    black = car_surface("plain", BLACK)
    lower = body_shape.width / 2 - body_shape.shoulder
    upper = body_shape.width / 2 * body_shape.roof_width
    low, high = 0.06, 0.86
    parts = []

    def across(t: float, pillar: float) -> float:
        return (lower + (upper - lower) * t) * (1 - pillar)

    def screen(facing: str, low: float, high: float, s: float, pillar: float) -> Mesh:
        a, b = across(low, pillar), across(high, pillar)
        # Above the vault of the bonnet or the boot lid, which would hide it.
        bottom = max(body_shape.window_z(low, s), max(body_shape.belt, body_shape.tail) + 0.055)
        top = body_shape.window_z(high, s)
        corners = [(-a, bottom), (a, bottom), (b, top), (-b, top)]
        return decal(glass, body, corners, facing, cells=(6, 3))

    parts.append(screen("front", 0.10, 0.85, body_shape.roof_front, 0.09))
    low_rear = 0.10 if body_shape.base < 0.9 * body_shape.length else 0.14
    parts.append(screen("rear", low_rear, 0.84, body_shape.roof_rear, 0.15))
    front_low = body_shape.screen(low) + body_shape.curve + 0.10
    front_high = body_shape.screen(high) + body_shape.curve + 0.12
    back = 0.75 * body_shape.curve + (0.16 if body_shape.base < 0.9 * body_shape.length else 0.22)
    rear_low, rear_high = body_shape.rear_screen(low) - back, body_shape.rear_screen(high) - back
    gap = 0.028 / (rear_low - front_low)
    sides = []
    for number, (first, last) in enumerate(zip([0.0, *panes[:-1]], panes, strict=True)):
        u, v = first + gap * (number > 0), last - gap * (number < len(panes) - 1)
        s = [front_low + (rear_low - front_low) * w for w in (u, v)]
        s += [front_high + (rear_high - front_high) * w for w in (v, u)]
        edge = (low + 0.07 * u, low + 0.07 * v, high, high)
        z = [body_shape.window_z(t, x) for t, x in zip(edge, s, strict=True)]
        corners = np.stack([s, z], 1)
        sides.append(decal(glass, body, corners, "left", cells=(2, 3), proud=0.008))
        if number:  # the pillar between two windows is black
            left = [front_low + (rear_low - front_low) * first] * 2
            left += [front_high + (rear_high - front_high) * first] * 2
            shift = np.array([-1, 1, 1, -1]) * 0.03
            z = [
                body_shape.window_z(t, x) for t, x in zip((low, low, high, high), left, strict=True)
            ]
            strip = np.stack([left + shift, z], 1)
            sides.append(decal(black, body, strip, "left", cells=(1, 3), proud=0.005))
    return parts + on_both_sides(sides)


def face(rng: np.random.Generator, body_shape: BodyShape, body: Mesh) -> list[Mesh]:
    """Grille, bumper, headlamps and number plate."""
    half, nose = body_shape.width / 2, body_shape.nose
    dark = car_surface("plain", DARK)
    on = rng.random() < 0.3
    lamp = car_surface("lamp" if on else "glass", (1.0, 0.98, 0.92) if on else WHITE_LAMP)
    top, low = 0.90 * nose, body_shape.clearance + 0.11
    lamp_low = top - float(rng.uniform(0.10, 0.17))
    inner = float(rng.uniform(0.50, 0.62)) * half
    outline = [
        (inner, lamp_low),
        (0.90 * half, lamp_low + 0.02),
        (0.90 * half, top - 0.01),
        (inner, top - 0.02),
    ]
    corner = [
        (0.05, lamp_low + 0.02),
        (0.16, lamp_low + 0.04),
        (0.30, top - 0.015),
        (0.08, top - 0.015),
    ]
    ahead = decal(lamp, body, outline, "front", cells=(3, 2), proud=0.018)
    aside = decal(lamp, body, corner, "left", cells=(3, 2), proud=0.018)
    parts = on_both_sides([ahead, aside])
    width = inner - 0.03
    grille_low = lamp_low - float(rng.uniform(-0.03, 0.14))
    grille = [
        (-0.85 * width, grille_low),
        (0.85 * width, grille_low),
        (width, top - 0.03),
        (-width, top - 0.03),
    ]
    parts.append(decal(dark, body, grille, "front", cells=(2, 2)))
    if rng.random() < 0.6:
        badge = car_surface("metal", SILVER)
        z = (grille_low + top) / 2 - 0.02
        parts.append(decal(badge, body, rectangle(0, z, 0.11, 0.09), "front", proud=0.012))
    intake = [
        (-0.62 * half, low),
        (0.62 * half, low),
        (0.7 * half, low + 0.13),
        (-0.7 * half, low + 0.13),
    ]
    parts.append(decal(dark, body, intake, "front", cells=(4, 1)))
    plate = car_surface("plain", (0.75, 0.75, 0.72))
    z = max(low + 0.16, grille_low - 0.09)
    parts.append(decal(plate, body, rectangle(0, z, 0.52, 0.11), "front", proud=0.016))
    if rng.random() < 0.6:  # fog lamps
        spot = rectangle(0.78 * half, low + 0.10, 0.12, 0.08)
        parts += on_both_sides([decal(lamp if on else dark, body, spot, "front")])
    return parts


def tail(rng: np.random.Generator, body_shape: BodyShape, body: Mesh, upright: bool) -> list[Mesh]:
    """Rear lamps, bumper and number plate."""
    half = body_shape.width / 2
    on = rng.random() < 0.15
    red = car_surface("lamp" if on else "paint", (0.9, 0.03, 0.02) if on else RED_LAMP)
    dark = car_surface("plain", DARK)
    low = body_shape.clearance + 0.14
    top = 0.93 * min(body_shape.belt, body_shape.tail)
    inner = (0.76 if upright else float(rng.uniform(0.48, 0.66))) * half
    foot = top - (0.30 if upright else 0.16)
    lamp = [(inner, foot + 0.02), (0.92 * half, foot), (0.92 * half, top), (inner, top - 0.01)]
    length = body_shape.length
    corner = [
        (length - 0.035, foot),
        (length - 0.11, foot + 0.01),
        (length - 0.20, top),
        (length - 0.05, top),
    ]
    behind = decal(red, body, lamp, "rear", cells=(3, 2), proud=0.02)
    aside = decal(red, body, corner, "left", cells=(3, 2), proud=0.02)
    parts = on_both_sides([behind, aside])
    bumper = [
        (-0.8 * half, low),
        (0.8 * half, low),
        (0.8 * half, low + 0.13),
        (-0.8 * half, low + 0.13),
    ]
    parts.append(decal(dark, body, bumper, "rear", cells=(4, 1)))
    plate = car_surface("plain", (0.75, 0.75, 0.72) if rng.random() < 0.75 else (0.75, 0.55, 0.05))
    z = low + 0.22 if rng.random() < 0.4 else max(top - 0.16, low + 0.22)
    parts.append(decal(plate, body, rectangle(0, z, 0.52, 0.11), "rear", proud=0.012))
    seam = car_surface("plain", BLACK)
    line = [
        (-0.75 * half, low + 0.145),
        (0.75 * half, low + 0.145),
        (0.75 * half, low + 0.157),
        (-0.75 * half, low + 0.157),
    ]
    parts.append(decal(seam, body, line, "rear", cells=(4, 1)))
    return parts


def sides(
    rng: np.random.Generator,
    body_shape: BodyShape,
    body: Mesh,
    doors: tuple[float, ...],
    paint: SurfaceProperties,
) -> list[Mesh]:
    """Seams of the doors, which are where `doors` says behind the nose, handles and mirrors."""
    seam = car_surface("plain", BLACK)
    low, high = body_shape.clearance + 0.10, body_shape.belt - 0.05
    parts = []
    for s in doors:
        gap = min(abs(s - axle) for axle in body_shape.axles)
        foot = low
        if gap < body_shape.arch:  # the seam ends on the wheel arch
            foot = body_shape.wheel + float(np.sqrt(body_shape.arch**2 - gap**2)) + 0.02
        line = [(s - 0.007, foot), (s + 0.007, foot), (s + 0.007, high), (s - 0.007, high)]
        parts.append(decal(seam, body, line, "left", cells=(1, 3), proud=0.006))
    sill = [
        (doors[0], low - 0.008),
        (doors[-1] - 0.2, low - 0.008),
        (doors[-1] - 0.2, low + 0.006),
        (doors[0], low + 0.006),
    ]
    parts.append(decal(seam, body, sill, "left", cells=(3, 1), proud=0.006))
    handle = paint if rng.random() < 0.6 else car_surface("plain", DARK)
    for s in doors[1:3]:
        grip = rectangle(s - 0.16, body_shape.belt - 0.14, 0.19, 0.035)
        parts.append(decal(handle, body, grip, "left", cells=(1, 1), proud=0.03))
        shade = rectangle(s - 0.16, body_shape.belt - 0.15, 0.21, 0.06)
        parts.append(decal(seam, body, shade, "left", cells=(1, 1), proud=0.004))
    shell = paint if rng.random() < 0.7 else car_surface("plain", DARK)
    s = body_shape.screen(0.12) + body_shape.curve + 0.18
    y, z = body_shape.width / 2 + 0.05, body_shape.belt + 0.09
    tall = 0.075 if body_shape.height < 1.85 else 0.14
    parts.append(shell.ellipsoid((-s, y, z), (0.06, 0.09, tall), around=7, down=4))
    glass = car_surface("glass", SILVER)
    a, b = 0.05, 0.6 * tall
    corners = [
        (-s - 0.061, y + a, z - b),
        (-s - 0.061, y - a, z - b),
        (-s - 0.061, y - a, z + b),
        (-s - 0.061, y + a, z + b),
    ]
    parts.append(glass.quad(corners))
    return on_both_sides(parts)
