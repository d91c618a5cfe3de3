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

"""Road vehicles of the synthetic world: cars, vans, buses, lorries and motorcycles.

Each function makes one at random that heads along +x and stands over the origin. Lorries and
buses are in `heavy_vehicles`, what all are made of in `vehicle_parts`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from depth_perception.datasets.labels import CAR, OWN_BODY
from depth_perception.world.objects.car_details import (
    car_surface,
    face,
    paint_colour,
    sides,
    tail,
    windows,
)
from depth_perception.world.objects.heavy_vehicles import (
    articulated,
    box_lorry,
    bus,
    tanker,
    tipper,
)
from depth_perception.world.objects.mesh import Mesh, join
from depth_perception.world.objects.shapes import decal, moved, on_both_sides, rectangle, tube
from depth_perception.world.objects.two_wheelers import motorcycle
from depth_perception.world.objects.vehicle_parts import (
    BLACK,
    DARK,
    GLASS,
    SILVER,
    BodyShape,
    cabin,
    lower_body,
    wheels,
)


def _finish(parts: list[Mesh], body_shape: BodyShape) -> Mesh:
    return moved(join(parts), body_shape.length / 2, 0, 0)


def _car(
    rng: np.random.Generator,
    body_shape: BodyShape,
    panes: tuple[float, ...],
    doors: tuple[float, ...],
    *,
    upright: bool = False,
    clad: float = 0.0,
    steel: float = 0.2,
) -> Mesh:
    """Put a car together from its proportions."""
    paint = car_surface("paint", paint_colour(rng))
    low = lower_body(body_shape, paint, clad=bool(rng.random() < clad))
    body = join([low, cabin(body_shape, paint)])
    parts = [body, *windows(body_shape, body, panes), *face(rng, body_shape, body)]
    parts += tail(rng, body_shape, body, upright)
    parts += sides(rng, body_shape, body, doors, paint)
    spokes = 0 if rng.random() < steel else int(rng.choice([5, 5, 6, 7, 8]))
    parts.append(wheels(body_shape, CAR, rim=float(rng.uniform(0.64, 0.76)), spokes=spokes))
    return _finish(parts, body_shape)


def _doors(body_shape: BodyShape, b_pillar: float, last: float) -> tuple[float, float, float]:
    """Front edge of the front door, middle pillar, rear edge of the rear door."""
    front = body_shape.axles[0] + body_shape.arch + 0.10
    return front, b_pillar, last


def hatchback(rng: np.random.Generator) -> Mesh:
    """A small or compact car with a hatch."""
    length = float(rng.uniform(3.65, 4.40))
    height = float(rng.uniform(1.43, 1.54))
    belt = height * float(rng.uniform(0.635, 0.67))
    wheel = float(rng.uniform(0.30, 0.335))
    body_shape = BodyShape(
        length=length,
        width=float(rng.uniform(1.66, 1.83)),
        height=height,
        axles=(length * 0.195, length * 0.81),
        wheel=wheel,
        tyre=0.20,
        clearance=float(rng.uniform(0.17, 0.21)),
        belt=belt,
        nose=belt * 0.85,
        tail=belt,
        cowl=length * float(rng.uniform(0.20, 0.235)),
        roof_front=length * 0.42,
        roof_rear=length * float(rng.uniform(0.85, 0.93)),
        base=length * 0.972,
        roof_width=0.65,
        roof_drop=float(rng.uniform(0.04, 0.09)),
        curve=0.20,
    )
    panes: tuple[float, ...] = (0.50, 0.93) if rng.random() < 0.6 else (0.48, 0.86, 1.0)
    return _car(
        rng,
        body_shape,
        panes,
        _doors(body_shape, length * 0.565, length * 0.76),
        upright=bool(rng.random() < 0.4),
        clad=0.15,
    )


def saloon(rng: np.random.Generator) -> Mesh:
    """A car with a boot."""
    length = float(rng.uniform(4.40, 5.05))
    height = float(rng.uniform(1.40, 1.48))
    belt = height * float(rng.uniform(0.64, 0.675))
    body_shape = BodyShape(
        length=length,
        width=float(rng.uniform(1.76, 1.90)),
        height=height,
        axles=(length * 0.185, length * 0.785),
        wheel=float(rng.uniform(0.315, 0.35)),
        tyre=0.22,
        clearance=float(rng.uniform(0.16, 0.20)),
        belt=belt,
        nose=belt * 0.83,
        tail=belt * float(rng.uniform(1.0, 1.06)),
        cowl=length * float(rng.uniform(0.235, 0.262)),
        roof_front=length * 0.42,
        roof_rear=length * float(rng.uniform(0.70, 0.74)),
        base=length * float(rng.uniform(0.86, 0.90)),
        roof_width=0.64,
        roof_drop=0.06,
        curve=0.20,
    )
    return _car(rng, body_shape, (0.46, 0.93), _doors(body_shape, length * 0.54, length * 0.735))


def estate(rng: np.random.Generator) -> Mesh:
    """A car with a long roof."""
    length = float(rng.uniform(4.45, 4.95))
    height = float(rng.uniform(1.44, 1.53))
    belt = height * float(rng.uniform(0.635, 0.665))
    body_shape = BodyShape(
        length=length,
        width=float(rng.uniform(1.76, 1.88)),
        height=height,
        axles=(length * 0.19, length * 0.78),
        wheel=float(rng.uniform(0.315, 0.35)),
        tyre=0.22,
        clearance=float(rng.uniform(0.16, 0.20)),
        belt=belt,
        nose=belt * 0.84,
        tail=belt,
        cowl=length * float(rng.uniform(0.225, 0.25)),
        roof_front=length * 0.41,
        roof_rear=length * float(rng.uniform(0.90, 0.935)),
        base=length * 0.98,
        roof_width=0.66,
        roof_drop=0.06,
        curve=0.20,
    )
    car = _car(
        rng, body_shape, (0.38, 0.70, 0.98), _doors(body_shape, length * 0.535, length * 0.72)
    )
    return _with_rails(rng, car, body_shape) if rng.random() < 0.6 else car


def _with_rails(rng: np.random.Generator, car: Mesh, body_shape: BodyShape) -> Mesh:
    """Add a roof's rails, and sometimes a box on them."""
    tint = SILVER if rng.random() < 0.5 else DARK
    rail = car_surface("metal", tint)
    s = np.linspace(body_shape.roof_front + 0.35, body_shape.roof_rear - 0.25, 3)
    z = [body_shape.window_z(1.0, float(x)) + 0.035 for x in s]
    y = np.full(3, body_shape.width / 2 * body_shape.roof_width - 0.07)
    line = tube(rail, np.stack([body_shape.length / 2 - s, y, z], 1), 0.018, sides=5)
    parts = [car, *on_both_sides([line])]
    if rng.random() < 0.2:
        box = car_surface("plain", DARK if rng.random() < 0.7 else SILVER)
        middle = (body_shape.length / 2 - float(s[1]), 0.1, float(z[1]) + 0.20)
        parts.append(box.ellipsoid(middle, (1.05, 0.42, 0.19), around=10, down=6))
    return join(parts)


def suv(rng: np.random.Generator) -> Mesh:
    """A tall car."""
    length = float(rng.uniform(4.15, 4.90))
    height = float(rng.uniform(1.58, 1.80))
    belt = height * float(rng.uniform(0.64, 0.675))
    body_shape = BodyShape(
        length=length,
        width=float(rng.uniform(1.79, 1.97)),
        height=height,
        axles=(length * 0.19, length * 0.79),
        wheel=float(rng.uniform(0.34, 0.385)),
        tyre=0.24,
        clearance=float(rng.uniform(0.22, 0.27)),
        belt=belt,
        nose=belt * 0.90,
        tail=belt,
        cowl=length * float(rng.uniform(0.235, 0.26)),
        roof_front=length * 0.40,
        roof_rear=length * float(rng.uniform(0.87, 0.94)),
        base=length * 0.978,
        roof_width=0.69,
        roof_drop=float(rng.uniform(0.03, 0.08)),
        curve=0.20,
        slab=0.2,
        square_nose=0.3,
        square_tail=0.2,
    )
    car = _car(
        rng,
        body_shape,
        (0.42, 0.76, 0.98),
        _doors(body_shape, length * 0.55, length * 0.745),
        upright=bool(rng.random() < 0.4),
        clad=0.75,
        steel=0.05,
    )
    return _with_rails(rng, car, body_shape) if rng.random() < 0.6 else car


def people_carrier(rng: np.random.Generator) -> Mesh:
    """A tall family car with one sweep from bonnet to roof, or a small van with windows."""
    length = float(rng.uniform(4.25, 5.15))
    height = float(rng.uniform(1.66, 1.96))
    belt = height * 0.60
    body_shape = BodyShape(
        length=length,
        width=float(rng.uniform(1.80, 1.98)),
        height=height,
        axles=(length * 0.20, length * 0.80),
        wheel=0.325,
        tyre=0.21,
        clearance=0.20,
        belt=belt,
        nose=belt * 0.84,
        tail=belt,
        cowl=length * 0.17,
        roof_front=length * 0.345,
        roof_rear=length * 0.955,
        base=length * 0.985,
        roof_width=0.77,
        roof_drop=0.03,
        curve=0.2,
        square_nose=0.2,
        square_tail=0.5,
        slab=0.3,
    )
    return _car(
        rng,
        body_shape,
        (0.32, 0.64, 1.0),
        _doors(body_shape, length * 0.50, length * 0.72),
        upright=True,
        steel=0.4,
    )


def pickup(rng: np.random.Generator) -> Mesh:
    """A car with an open load bed, which may be covered."""
    length = float(rng.uniform(5.15, 5.45))
    height = float(rng.uniform(1.76, 1.88))
    belt = height * 0.63
    double = rng.random() < 0.7
    base = length * (0.665 if double else 0.54)
    body_shape = BodyShape(
        length=length,
        width=float(rng.uniform(1.80, 1.95)),
        height=height,
        axles=(length * 0.175, length * 0.775),
        wheel=float(rng.uniform(0.36, 0.40)),
        tyre=0.25,
        clearance=float(rng.uniform(0.30, 0.36)),
        belt=belt,
        nose=belt * 0.92,
        tail=belt,
        cowl=length * 0.245,
        roof_front=length * 0.355,
        roof_rear=base - 0.16,
        base=base,
        roof_width=0.72,
        roof_drop=0.0,
        curve=0.14,
        slab=0.35,
        square_nose=0.4,
        square_tail=0.9,
        bed=base + 0.02,
    )
    panes = (0.5, 0.96) if double else (0.9,)
    doors = _doors(body_shape, length * 0.50, base - 0.12)
    car = _car(rng, body_shape, panes, doors, upright=True, clad=0.5)
    if rng.random() < 0.35:
        cover = car_surface("plain", DARK)
        run = length - base - 0.12
        middle = (length / 2 - base - 0.06 - run / 2, 0, belt + 0.005)
        car = join([car, cover.box(middle, (run, body_shape.width * 0.88, 0.03))])
    return car


def van(rng: np.random.Generator) -> Mesh:
    """A delivery van, small or large, mostly white."""
    small = rng.random() < 0.3
    length = float(rng.uniform(4.2, 4.6) if small else rng.uniform(4.9, 6.2))
    width = float(rng.uniform(1.78, 1.86) if small else rng.uniform(1.92, 2.06))
    height = float(rng.uniform(1.78, 1.88) if small else rng.uniform(1.95, 2.70))
    belt = 1.08 if small else float(rng.uniform(1.14, 1.24))
    front = 0.88 if small else 0.95
    wheel = 0.31 if small else 0.345
    body_shape = BodyShape(
        length=length,
        width=width,
        height=height,
        axles=(front, length - (0.85 if small else 1.05)),
        wheel=wheel,
        tyre=0.22,
        clearance=float(rng.uniform(0.20, 0.27)),
        belt=belt,
        nose=belt * 0.86,
        tail=belt,
        cowl=0.72 if small else 0.62,
        roof_front=1.45 if small else 1.25 + 0.25 * (height - 1.9),
        roof_rear=length - 0.10,
        base=length - 0.03,
        roof_width=0.85 if small else 0.86,
        shoulder=0.035,
        roof_drop=0.0,
        curve=0.16,
        square_nose=0.35,
        square_tail=1.0,
        slab=0.6,
    )
    # A van's side windows end behind the front doors, and stop below a high roof.
    short = replace(
        body_shape,
        roof_rear=body_shape.roof_front + 1.35,
        base=body_shape.roof_front + 1.25,
        height=min(height, belt + 0.80),
    )
    white = rng.random() < 0.6
    paint = car_surface("paint", (0.70, 0.70, 0.69) if white else paint_colour(rng))
    low = lower_body(body_shape, paint, clad=bool(rng.random() < 0.6))
    body = join([low, cabin(body_shape, paint, flat_roof=0.7)])
    parts = [body, *_van_windows(rng, body_shape, short, body)]
    parts += face(rng, body_shape, body) + tail(rng, body_shape, body, True)
    first = body_shape.axles[0] + body_shape.arch + 0.06
    last = first + (1.15 if small else 1.30)
    parts += sides(rng, body_shape, body, (first, first + 0.85, last), paint)
    parts.append(wheels(body_shape, CAR, rim=0.62, spokes=0 if rng.random() < 0.7 else 6))
    if rng.random() < 0.35:  # a firm's name along the side
        tint = paint_colour(rng)
        z, run = belt + 0.30 * (height - belt), float(rng.uniform(0.8, 1.6))
        s = (last + length - 0.3) / 2
        sign = decal(
            car_surface("plain", tint),
            body,
            rectangle(s, z, run, 0.32),
            "left",
            cells=(2, 2),
            proud=0.009,
        )
        parts += on_both_sides([sign])
    return _finish(parts, body_shape)


def _van_windows(
    rng: np.random.Generator, body_shape: BodyShape, front: BodyShape, body: Mesh
) -> list[Mesh]:
    """Windscreen, front doors' windows, and now and then small windows in the rear doors."""
    parts = []
    glass = car_surface("glass", GLASS)
    top = (front.height - body_shape.belt) / (body_shape.height - body_shape.belt)
    half = body_shape.width / 2 * 0.86
    bottom, high = body_shape.belt + 0.02, body_shape.window_z(min(0.84, top * 0.92), 0)
    parts.append(
        decal(
            glass,
            body,
            [(-half, bottom), (half, bottom), (half * 0.92, high), (-half * 0.92, high)],
            "front",
            cells=(6, 3),
        )
    )
    t = (high - body_shape.belt) / (body_shape.height - body_shape.belt)
    s = [
        body_shape.screen(0.05) + body_shape.curve + 0.14,
        0.0,
        0.0,
        body_shape.screen(t) + body_shape.curve + 0.16,
    ]
    s[1] = s[2] = body_shape.axles[0] + body_shape.arch + 0.06 + 0.78
    s[0] = min(s[0], s[1] - 0.6)
    side = np.stack([s, [body_shape.belt + 0.04] * 2 + [high - 0.04] * 2], 1)
    parts += on_both_sides([decal(glass, body, side, "left", cells=(2, 3), proud=0.008)])
    line = car_surface("plain", BLACK)
    edge = [
        (-0.006, 0.45),
        (0.006, 0.45),
        (0.006, body_shape.height - 0.12),
        (-0.006, body_shape.height - 0.12),
    ]
    parts.append(decal(line, body, edge, "rear", cells=(1, 4), proud=0.004))
    if rng.random() < 0.5:
        pane = rectangle(body_shape.width * 0.21, body_shape.belt + 0.36, 0.42, 0.46)
        parts += on_both_sides([decal(glass, body, pane, "rear", cells=(2, 2), proud=0.009)])
    return parts


def as_own_body(mesh: Mesh) -> Mesh:
    """The same as the vehicle that carries the cameras."""
    return replace(mesh, label=np.full(len(mesh.triangles), OWN_BODY, np.uint8))


VEHICLES: dict[str, Callable[[np.random.Generator], Mesh]] = {
    "hatchback": hatchback,
    "saloon": saloon,
    "estate": estate,
    "suv": suv,
    "people_carrier": people_carrier,
    "pickup": pickup,
    "van": van,
    "bus": bus,
    "box_lorry": box_lorry,
    "tipper": tipper,
    "tanker": tanker,
    "articulated": articulated,
    "motorcycle": motorcycle,
}
"""All kinds of vehicles by name."""

_SHARES = {
    "hatchback": 0.24,
    "saloon": 0.14,
    "estate": 0.11,
    "suv": 0.19,
    "people_carrier": 0.04,
    "pickup": 0.03,
    "van": 0.10,
    "bus": 0.03,
    "box_lorry": 0.035,
    "tipper": 0.015,
    "tanker": 0.01,
    "articulated": 0.015,
    "motorcycle": 0.045,
}


def draw(rng: np.random.Generator) -> tuple[str, Mesh]:
    """Draw a vehicle of a kind that is met as often as on real roads; returns its kind too."""
    kinds = list(_SHARES)
    kind = kinds[int(rng.choice(len(kinds), p=list(_SHARES.values())))]
    return kind, VEHICLES[kind](rng)
