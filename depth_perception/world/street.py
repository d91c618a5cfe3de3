"""The layout of a synthetic street, made from a seed.

Right-hand traffic on the plane z = 0: two lanes of 3.5 m with parking strips, kerbs, verges with
trees, pavements, front gardens and houses. The ego vehicle follows y = 0, the middle of its lane.
"""

from __future__ import annotations

import numpy as np

from . import objects as o
from . import scene as s
from .scene import PAVEMENT, VERGE, Ground, Placement, Scene, SceneBuilder

RIGHT_KERB, LEFT_KERB, CENTRE = -4.6, 8.1, 1.75
KERB_HEIGHT = 0.12
REAR, AHEAD = -90.0, 170.0  # how far the street goes on behind the start and ahead of the end, m


def build_street(seed: int = 0, travel: float = 20.0) -> Scene:
    """A street long enough for an ego vehicle that drives `travel` metres along x from x = 0."""
    rng = np.random.default_rng([seed, 1])
    builder = SceneBuilder()
    end = travel + AHEAD
    crossing = 24.0 + rng.uniform(-2.0, 4.0)
    _houses(builder, rng, end)
    _far_away(builder, rng, end)
    for side in (-1.0, 1.0):
        _roadside(builder, rng, side, end, crossing)
    _parked(builder, rng, end, crossing)
    _traffic(builder, rng, end)
    _people(builder, rng, end, crossing)
    own = SceneBuilder()
    o.own_body(Placement(own, s.OWN_BODY, 0.0, 0.0))
    elevation = np.radians(rng.uniform(38.0, 55.0))
    azimuth = np.radians(rng.choice([-1.0, 1.0]) * rng.uniform(30.0, 150.0))
    sun = np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ]
    )
    ground = Ground(RIGHT_KERB, LEFT_KERB, KERB_HEIGHT, CENTRE, crossing, seed)
    return Scene(builder.primitives(), own.primitives(), ground, sun, seed)


def _kerb(side: float) -> float:
    return LEFT_KERB if side > 0 else RIGHT_KERB


def _houses(builder: SceneBuilder, rng: np.random.Generator, end: float) -> None:
    """Two rows of houses with gaps; a garden wall or a hedge in front of some; closed ends."""
    for side in (-1.0, 1.0):
        x = REAR
        while x < end:
            width, depth = rng.uniform(9.0, 18.0), rng.uniform(9.0, 12.0)
            storeys = int(rng.choice([2, 2, 3, 3, 4, 5]))
            garden = rng.choice([0.15, 2.2, 3.6])
            near = _kerb(side) + side * (PAVEMENT + garden)
            place = Placement(builder, s.BUILDING, x + width / 2, near + side * depth / 2)
            o.house(place, rng, width, depth, storeys)
            if garden > 1.0:
                _fence(builder, rng, x, x + width, _kerb(side) + side * (PAVEMENT + 0.15), side)
            x += width + rng.choice([0.0, 0.0, 0.3, 3.0, 7.0])
    for x, yaw in ((REAR - 18.0, 0.0), (end + 12.0, 0.0)):
        for y in (-16.0, 2.0, 20.0):
            place = Placement(builder, s.BUILDING, x, y, KERB_HEIGHT, yaw + np.pi / 2)
            o.house(place, rng, 17.8, 10.0, int(rng.integers(3, 6)))


def _fence(builder, rng, x0: float, x1: float, y: float, side: float) -> None:
    style = int(rng.integers(3))
    middle, half = (x0 + x1) / 2.0, (x1 - x0) / 2.0
    gate = rng.uniform(-0.4, 0.4) * half
    label = (s.WALL, s.VEGETATION, s.FENCE)[style]
    for a, b in ((-half, gate - 0.6), (gate + 0.6, half)):
        place = Placement(builder, label, middle + (a + b) / 2.0, y)
        size = (b - a) / 2.0
        if style == 0:
            place.box((0, 0, 0.5), (size, 0.12, 0.5), (0.30, 0.15, 0.10), s.BRICK)
        elif style == 1:
            place.box((0, side * 0.2, 0.65), (size, 0.35, 0.65), (0.05, 0.10, 0.025), s.FOLIAGE)
        else:
            for z in (0.45, 1.0):
                place.box((0, 0, z), (size, 0.02, 0.05), (0.4, 0.38, 0.34))
            for u in np.arange(-size, size, 0.5 if size < 5 else 0.8):
                place.box((u, 0, 0.62), (0.05, 0.025, 0.55), (0.45, 0.43, 0.38))
    if rng.uniform() < 0.6:
        o.bush(Placement(builder, s.VEGETATION, middle + gate + 2.0, y + side * 1.0), rng)


def _far_away(builder: SceneBuilder, rng: np.random.Generator, end: float) -> None:
    """Woods and hills around, so that no view ends at a bare horizon."""
    middle = (end + REAR) / 2.0
    for angle in np.arange(0.0, 2 * np.pi, 0.16):
        radius = rng.uniform(330.0, 420.0) + (end - REAR) / 2.0 * abs(np.cos(angle))
        x, y = middle + radius * np.cos(angle), radius * np.sin(angle)
        place = Placement(builder, s.VEGETATION, x, y, 0.0, angle)
        size = (rng.uniform(15, 30), rng.uniform(40, 60), rng.uniform(12, 26))
        place.ellipsoid((0, 0, 0), size, (0.06, 0.10, 0.04), s.FOLIAGE)
    for _ in range(24):
        side = rng.choice([-1.0, 1.0])
        place = Placement(builder, s.VEGETATION, rng.uniform(REAR, end), side * rng.uniform(28, 60))
        o.tree(place, rng, 1.6)


def _roadside(builder, rng, side: float, end: float, crossing: float) -> None:
    """Trees, lamps, signs, bins and bushes on the verge of one side."""
    kerb = _kerb(side)
    x, i = REAR + rng.uniform(0, 5), 0
    while x < end:
        y = kerb + side * rng.uniform(0.8, 1.1)
        if abs(x - crossing) < 5.0:
            pass
        elif i % 3 == 1:
            o.lamp_post(Placement(builder, s.POLE, x, y, KERB_HEIGHT), -side * 1.9)
        else:
            o.tree(Placement(builder, s.VEGETATION, x, y, KERB_HEIGHT), rng)
        if rng.uniform() < 0.3:
            yaw = 0.0 if side < 0 else np.pi
            place = Placement(builder, s.POLE, x + 4.0, kerb + side * 0.45, KERB_HEIGHT, yaw)
            o.road_sign(place, rng)
        if rng.uniform() < 0.25:
            place = Placement(builder, s.FENCE, x + 2.0, kerb + side * 1.5, KERB_HEIGHT)
            place.rod((0, 0, 0), (0, 0, 0.85), 0.25, (0.06, 0.12, 0.07))
            place.rod((0, 0, 0.85), (0, 0, 0.92), 0.28, (0.03, 0.03, 0.03))
        x += rng.uniform(6.5, 9.5)
        i += 1
    yaw = 0.0 if side < 0 else np.pi
    at = crossing + side * 2.8
    o.traffic_light(Placement(builder, s.POLE, at, kerb + side * 0.4, KERB_HEIGHT, yaw))


def _parked(builder, rng, end: float, crossing: float) -> None:
    """Cars and vans along both kerbs, with free bays."""
    for side in (-1.0, 1.0):
        for x in np.arange(REAR + 3.0, end - 4.0, 6.0):
            if rng.uniform() > 0.42 or abs(x - crossing) < 7.5:
                continue
            y = _kerb(side) - side * rng.uniform(1.10, 1.25)
            yaw = (0.0 if side < 0 else np.pi) + rng.normal(0.0, 0.015)
            place = Placement(builder, s.CAR, x + rng.uniform(-0.3, 0.3), y, 0.0, yaw)
            (o.van if rng.uniform() < 0.12 else o.car)(place, rng)


def _traffic(builder, rng, end: float) -> None:
    """One car ahead, one behind, a stream of oncoming traffic, and a rider near the kerb."""
    ahead = Placement(builder, s.CAR, rng.uniform(19.0, 25.0), 0.05, velocity=(8.4, 0.0))
    o.car(ahead, rng)
    o.car(Placement(builder, s.CAR, rng.uniform(-22.0, -16.0), -0.05, velocity=(7.8, 0.0)), rng)
    o.cyclist(Placement(builder, s.RIDER, -7.0, -1.2, velocity=(5.5, 0.0)), rng)
    o.cyclist(Placement(builder, s.RIDER, 33.0, 4.6, 0.0, np.pi, (-4.5, 0.0)), rng)
    x, i = rng.uniform(9.0, 13.0), 0
    while x < end - 12.0:
        if i == 2:
            place = Placement(builder, s.BUS, x + 4.0, 3.35, 0.0, np.pi, (-8.5, 0.0))
            o.bus(place, rng)
        else:
            place = Placement(builder, s.CAR, x, 3.4, 0.0, np.pi, (-8.5, 0.0))
            o.car(place, rng)
        x += rng.uniform(16.0, 30.0)
        i += 1
    o.car(Placement(builder, s.CAR, -11.0, 3.4, 0.0, np.pi, (-8.5, 0.0)), rng)


def _people(builder, rng, end: float, crossing: float) -> None:
    """People along both pavements, and some at the crossing."""
    for side in (-1.0, 1.0):
        x = REAR
        while x < end:
            way = rng.choice([-1.0, 1.0])
            y = _kerb(side) + side * rng.uniform(VERGE + 0.3, PAVEMENT - 0.4)
            yaw = 0.0 if way > 0 else np.pi
            speed = way * rng.uniform(0.9, 1.6)
            place = Placement(builder, s.PERSON, x, y, KERB_HEIGHT, yaw, (speed, 0.0))
            o.person(place, rng)
            x += rng.exponential(7.5) + 0.6
    for y, z in ((RIGHT_KERB - 0.5, KERB_HEIGHT), (LEFT_KERB + 0.6, KERB_HEIGHT), (5.9, 0.0)):
        yaw = np.pi / 2 if y < 0 else -np.pi / 2
        speed = (0.0, -1.2) if z == 0.0 else (0.0, 0.0)
        o.person(Placement(builder, s.PERSON, crossing + 0.8, y, z, yaw, speed), rng)
