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

"""Parts that vehicles are put together from: bodies and wheels.

A body is described from the nose backwards: `s` is the distance behind the nose, so that x = -s
until the finished vehicle is moved to stand over its origin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from depth_perception.world.objects.mesh import FloatArray, Mesh, SurfaceProperties, join
from depth_perception.world.objects.shapes import mirrored, moved, on_both_sides, revolved
from depth_perception.world.surfaces.materials import INDEX, Colour

DARK: Colour = (0.02, 0.02, 0.022)
BLACK: Colour = (0.006, 0.006, 0.006)
GLASS: Colour = (0.025, 0.03, 0.032)
RED_LAMP: Colour = (0.35, 0.01, 0.01)
WHITE_LAMP: Colour = (0.6, 0.62, 0.65)
SILVER: Colour = (0.45, 0.46, 0.47)

_WHEEL_SIDES = 14  # corners around a tyre


@dataclass(frozen=True)
class BodyShape:
    """Proportions of a body; lengths in metres.

    Attributes:
        length: From the nose to the tail.
        width: Without mirrors.
        height: Above the ground.
        axles: Distance of each axle behind the nose.
        wheel: Radius of the wheels.
        tyre: Width of the tyres.
        clearance: Height of the sills above the ground.
        belt: Height of the lower edge of the side windows.
        nose: Height of the front edge of the bonnet.
        tail: Height of the rear edge of the boot lid or the load bed.
        cowl: Where the windscreen starts, behind the nose.
        roof_front: Where the roof starts.
        roof_rear: Where the roof ends.
        base: Where the rear window ends.
        roof_width: Width of the roof as a share of the body's width.
        shoulder: How far the windows stand in from the side, on each side.
        roof_drop: How much lower the vaulted roof is at its ends.
        square_nose: 0 for a car's rounded nose, 1 for the flat front of a bus.
        square_tail: The same for the tail.
        slab: 0 for bulging sides, 1 for flat ones.
        curve: How far back the corners of the windscreen lie behind its middle.
        bed: Where an open load bed starts behind the nose; none by default.
    """

    length: float
    width: float
    height: float
    axles: tuple[float, ...]
    wheel: float
    tyre: float
    clearance: float
    belt: float
    nose: float
    tail: float
    cowl: float
    roof_front: float
    roof_rear: float
    base: float
    roof_width: float = 0.70
    shoulder: float = 0.05
    roof_drop: float = 0.03
    square_nose: float = 0.0
    square_tail: float = 0.0
    slab: float = 0.0
    curve: float = 0.22
    bed: float | None = None

    @property
    def arch(self) -> float:
        """Radius of the wheel arches."""
        return 1.1 * self.wheel + 0.025

    def blend(self, round_: float, flat: float, square: float) -> float:
        """Go from one value to another as the shape goes from round to square."""
        return round_ + (flat - round_) * square

    def deck(self, s: float | FloatArray) -> FloatArray:
        """Height of the bonnet, the window sills and the boot lid."""
        n, t, length = self.square_nose, self.square_tail, self.length
        profile = [(0.0, self.nose * self.blend(0.80, 1, n))]
        profile += [(0.03, self.nose * self.blend(0.89, 1, n))]
        profile += [(0.12, self.nose * self.blend(0.96, 1, n))]
        if self.cowl > 0.4:
            profile += [(0.30, self.nose + 0.15 * (self.belt - self.nose))]
        profile += [(max(self.cowl, 0.13), self.belt)]
        profile += [(min(self.base, length - 0.14), max(self.belt, self.tail))]
        profile += [(length - 0.12, self.tail * self.blend(0.985, 1, t))]
        profile += [(length - 0.03, self.tail * self.blend(0.90, 1, t))]
        profile += [(length, self.tail * self.blend(0.74, 1, t))]
        return np.interp(s, *np.array(profile).T)

    def half_width(self, s: float | FloatArray) -> FloatArray:
        """Half the width where the body is widest, seen from above."""
        n, t, length = self.square_nose, self.square_tail, self.length
        ends = [(0.0, 0.74, 0.91), (0.03, 0.86, 0.965), (0.12, 0.94, 0.99), (0.3, 0.975, 1.0)]
        front = [(s, self.blend(a, b, n)) for s, a, b in [*ends, (0.7, 1.0, 1.0)]]
        ends = [(0.35, 0.985, 1.0), (0.12, 0.96, 0.995), (0.03, 0.91, 0.985), (0.0, 0.82, 0.96)]
        rear = [(length - s, self.blend(a, b, t)) for s, a, b in ends]
        return self.width / 2 * np.interp(s, *np.array(front + rear).T)

    def bottom(self, s: float | FloatArray) -> FloatArray:
        """Height of the lower edge of the side, without the wheel arches."""
        c, length = self.clearance, self.length
        lift = 1 - 0.7 * self.slab
        front = [(0.0, c + 0.09 * lift), (0.03, c + 0.05 * lift), (0.12, c + 0.02 * lift), (0.5, c)]
        rear = [(length - 0.5, c + 0.02 * lift), (length - 0.12, c + 0.06 * lift)]
        rear += [(length - 0.03, c + 0.09 * lift), (length, c + 0.14 * lift)]
        return np.interp(s, *np.array(front + rear).T)

    def window_z(self, t: float, s: float) -> float:
        """Height above the ground at a share t of the way from the belt to the roof."""
        z = self.belt + t * (self.height - self.belt)
        return z - self.roof_drop * t * float(self._off_middle(s))

    def _off_middle(self, s: float | FloatArray) -> FloatArray:
        middle = (self.roof_front + self.roof_rear) / 2
        behind = np.clip((s - middle) / max(self.base - middle, 0.1), 0, 1) ** 2
        before = np.clip((middle - s) / max(middle - self.cowl, 0.1), 0, 1) ** 2
        return behind + 0.8 * before

    def screen(self, t: float) -> float:
        """Where the windscreen is at a share t of the way from the belt to the roof."""
        return self.cowl + (self.roof_front - self.cowl) * t

    def rear_screen(self, t: float) -> float:
        """Where the rear window is at a share t of the way from the belt to the roof."""
        return self.base + (self.roof_rear - self.base) * t


def lower_body(body_shape: BodyShape, paint: SurfaceProperties, *, clad: bool = False) -> Mesh:
    """The body below the windows, with bonnet and boot, wheel arches cut out, and a dark floor.

    Args:
        body_shape: Its proportions.
        paint: What it is made of.
        clad: The lower edge is of dark plastic.
    """
    length = body_shape.length
    ends = np.array([0.0, 0.03, 0.12, 0.3])
    plain = np.concatenate(
        [ends, [body_shape.cowl, body_shape.base], length - ends, [length * 0.5]]
    )
    plain = np.unique(np.clip(plain, 0, length).round(3))
    in_arch = [np.abs(plain - axle) < body_shape.arch + 0.03 for axle in body_shape.axles]
    plain = plain[~np.any(in_arch, axis=0)]
    stations = [(s, float(body_shape.bottom(s)), False) for s in plain]
    for axle in body_shape.axles:
        for way in (-1, 1):
            s = axle + way * (body_shape.arch + 0.006)
            stations.append((s, float(body_shape.bottom(s)), False))
        for angle in np.linspace(0, np.pi, 7):
            s = axle - body_shape.arch * np.cos(angle)
            stations.append((s, body_shape.wheel + body_shape.arch * np.sin(angle), False))
    if body_shape.bed is not None:
        first, last = body_shape.bed, length - 0.07
        stations = [(s, low, first < s < last) for s, low, _ in stations]
        for s, inside in ((first - 0.01, 0), (first, 1), (last, 1), (last + 0.01, 0)):
            stations.append((s, float(body_shape.bottom(s)), bool(inside)))
    stations.sort(key=lambda station: -station[0])
    rings = [_section(body_shape, *station) for station in stations]
    skin = paint.loft(rings, closed=False)
    if clad:
        cell = np.arange(len(skin.triangles)) // 2 % (len(rings[0]) - 1)
        lowest = (cell == 0) | (cell == len(rings[0]) - 2)
        skin.tint[lowest], skin.material[lowest] = DARK, INDEX["plain"]
    caps = [_cap(paint, rings[-1]), _cap(paint, rings[0][::-1])]
    return join([skin, *caps, _underside(body_shape, paint.label)])


def _cap(paint: SurfaceProperties, ring: FloatArray) -> Mesh:
    """Close a ring from its middle, as some of its points may lie on one line."""
    i = np.arange(len(ring))
    triangles = np.stack([0 * i, i + 1, (i + 1) % len(ring) + 1], 1)
    return paint.mesh(np.concatenate([[ring.mean(0)], ring]), triangles)


def _section(body_shape: BodyShape, s: float, low: float, in_bed: bool) -> FloatArray:
    """One cross-section of the lower body, from the lower left edge over the top to the right."""
    deck, width = float(body_shape.deck(s)), float(body_shape.half_width(s))
    top = deck - body_shape.blend(0.075, 0.01, body_shape.slab)
    low = min(low, top - 0.04)
    z = low + (top - low) * np.array([0, 0.22, 0.65, 1])
    share = (z - body_shape.clearance) / (body_shape.belt - body_shape.clearance)
    bulge = np.interp(share, [0, 0.15, 0.45, 0.8, 1], [0.945, 0.975, 1, 0.99, 0.975])
    y = width * (bulge + (1 - bulge) * body_shape.slab)
    crown = 0.04 * (1 - body_shape.slab)
    edge = width * body_shape.blend(0.94, 0.99, body_shape.slab)
    half = [*zip(y, z, strict=True), (edge, deck - 0.01 * (1 - body_shape.slab))]
    if body_shape.bed is not None:
        # An open bed: the inner wall goes down from the rail.
        floor = body_shape.wheel + body_shape.arch + 0.02 if in_bed else deck
        half += [(edge - 0.06, deck), (edge - 0.08, floor), (0.0, floor)]
    else:
        half += [(0.0, deck + crown)]
    left = np.array([(-s, a, b) for a, b in half])
    return np.concatenate([left, (left * (1, -1, 1))[-2::-1]])


def _underside(body_shape: BodyShape, label: int) -> Mesh:
    """What is dark beneath: the floor, and the liners of the wheel arches."""
    dark = SurfaceProperties(INDEX["plain"], BLACK, label)
    parts = []
    deep = body_shape.tyre + 0.14
    top = body_shape.wheel + body_shape.arch
    edges = [
        0.06,
        *(a + w * body_shape.arch for a in body_shape.axles for w in (-1, 1)),
        body_shape.length - 0.1,
    ]
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        low = float(np.max(body_shape.bottom(np.array([first, last])))) + 0.015
        width = 1.86 * float(np.min(body_shape.half_width(np.array([first, last]))))
        parts.append(dark.box((-(first + last) / 2, 0, low + 0.05), (last - first, width, 0.1)))
    low = body_shape.clearance + 0.03
    first, last = edges[1], edges[-2]
    size = (last - first, body_shape.width - 2 * deep, top - low)
    parts.append(dark.box((-(first + last) / 2, 0, (top + low) / 2), size))
    angle = np.linspace(0, np.pi, 7)
    for axle in body_shape.axles:
        s, z = (
            axle - body_shape.arch * np.cos(angle),
            body_shape.wheel + body_shape.arch * np.sin(angle),
        )
        outside = body_shape.half_width(s) * 0.97
        liner = [np.stack([-s, outside - d, z], 1) for d in (deep, 0.0)]
        half = dark.loft(liner, closed=False)
        parts += [half, mirrored(half)]
    return join(parts)


def cabin(body_shape: BodyShape, paint: SurfaceProperties, *, flat_roof: float = 0.0) -> Mesh:
    """What stands on the lower body: pillars, roof and window faces, all in one paint."""
    roof = body_shape.roof_rear - body_shape.roof_front - 2.2 * body_shape.curve
    tight = (1 - 0.6 * flat_roof) * min(1.0, roof / 1.3)
    levels = [
        (-0.02 if flat_roof else -0.12, 0.0, 0.0),
        (0.0, 0.0, 0.0),
        (0.45, 0.0, 0.0),
        (0.86, 0.0, 0.0),
    ]
    if flat_roof:
        levels[-1] = (0.93, 0.0, 0.0)
    levels += [(0.96, 0.05 * tight, 0.028 * tight), (0.99, 0.22 * tight, 0.13 * tight)]
    levels += [(1.0, 0.45 * tight, 0.33 * tight)]
    lower = body_shape.width / 2 - body_shape.shoulder
    upper = body_shape.width / 2 * body_shape.roof_width
    across = np.array([-0.93, -0.6, 0.0, 0.6, 0.93])
    rings = []
    for t, inwards, inset in levels:
        half = (
            lower + (upper - lower) * t + 0.02 * (1 - body_shape.slab) * np.sin(np.pi * max(t, 0))
        )
        half -= inset
        first, last = body_shape.screen(t) + inwards, body_shape.rear_screen(t) - inwards
        bend = body_shape.curve * (across**2)
        back = 0.75 * bend
        run = np.linspace(first + 1.25 * body_shape.curve, last - 0.95 * body_shape.curve, 4)
        belly = half * (1 - 0.03 * (1 - body_shape.slab) * np.linspace(-1, 1, 4) ** 2)
        s = np.concatenate([first + bend, run, last - back, run[::-1]])
        y = np.concatenate([across * half, belly, -across * half, -belly])
        z = body_shape.belt - 0.01 + t * (body_shape.height - body_shape.belt + 0.01)
        drop = body_shape.roof_drop * max(t, 0) * body_shape._off_middle(s)
        rings.append(np.stack([-s, y, z - drop], 1))
    return join([paint.loft(rings), paint.fan(rings[-1])])


def wheel(radius: float, width: float, label: int, *, rim: float, spokes: int) -> Mesh:
    """A road wheel around the origin that shows its outer side to the left.

    Args:
        radius: Of the tyre.
        width: Of the tyre.
        label: Cityscapes train id.
        rim: Radius of the rim as a share of the tyre's.
        spokes: 0 for a plain disc.
    """
    rubber = SurfaceProperties(INDEX["rubber"], (0.028, 0.028, 0.03), label)
    metal = SurfaceProperties(INDEX["metal"], SILVER, label)
    half, r = width / 2, radius
    profile = [(-half, 0.98 * r), (0.65 * half, r), (half, 0.94 * r)]
    parts = [revolved(rubber, [*profile, (half, rim * r)], sides=_WHEEL_SIDES)]
    angle = np.linspace(0, 2 * np.pi, _WHEEL_SIDES, endpoint=False)
    circle = np.stack([np.cos(angle), 0 * angle, -np.sin(angle)], 1)
    inner = circle[::-2] * 0.97 * r + np.array([0, -half, 0])
    parts.append(SurfaceProperties(INDEX["rubber"], BLACK, label).fan(inner))
    face = circle * rim * r
    if spokes:
        dark = SurfaceProperties(INDEX["rubber"], BLACK, label)
        parts.append(dark.fan(face + np.array([0, half - 0.002, 0])))
        for spoke_angle in np.linspace(0, 2 * np.pi, spokes, endpoint=False):
            out = np.array([np.cos(spoke_angle), 0, -np.sin(spoke_angle)])
            side = np.array([-np.sin(spoke_angle), 0, -np.cos(spoke_angle)])
            end, thick = rim * r * out, rim * r * (0.9 / max(spokes, 5) + 0.03)
            middle = np.array([0, half + 0.008, 0])
            corners = [-thick * side, end - 0.7 * thick * side, end + 0.7 * thick * side]
            parts.append(metal.quad(np.array([*corners, thick * side]) + middle))
    else:
        parts.append(metal.fan(face + np.array([0, half - 0.002, 0])))
        hub = circle[::2] * 0.3 * rim * r
        parts.append(
            SurfaceProperties(INDEX["metal"], DARK, label).fan(hub + np.array([0, half + 0.01, 0]))
        )
    return join(parts)


def wheels(
    body_shape: BodyShape, label: int, *, rim: float, spokes: int, twin: bool = False
) -> Mesh:
    """All wheels of a body; twin tyres behind the first axle if wanted."""
    parts = []
    for number, axle in enumerate(body_shape.axles):
        wide = body_shape.tyre * (1.9 if twin and number else 1.0)
        one = wheel(body_shape.wheel, wide, label, rim=rim, spokes=spokes)
        outside = 0.985 * float(body_shape.half_width(axle))
        parts.append(moved(one, -axle, outside - wide / 2 - 0.01, body_shape.wheel))
    return join(on_both_sides(parts))
