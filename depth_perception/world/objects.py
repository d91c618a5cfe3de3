"""What stands in a street: cars, vans, people, trees, houses, poles, from a few primitives each."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from . import scene as s
from .scene import Colour, Placement

CAR_COLOURS: tuple[Colour, ...] = (
    (0.48, 0.49, 0.50), (0.03, 0.03, 0.035), (0.52, 0.52, 0.50), (0.16, 0.17, 0.18),
    (0.35, 0.03, 0.03), (0.04, 0.09, 0.25), (0.10, 0.22, 0.14), (0.30, 0.30, 0.32),
    (0.45, 0.36, 0.22), (0.10, 0.25, 0.42),
)  # fmt: skip
CLOTHES: tuple[Colour, ...] = (
    (0.05, 0.06, 0.10), (0.30, 0.05, 0.05), (0.06, 0.15, 0.32), (0.55, 0.52, 0.45),
    (0.10, 0.20, 0.10), (0.45, 0.25, 0.05), (0.12, 0.12, 0.12), (0.42, 0.42, 0.45),
)  # fmt: skip
WALLS: tuple[Colour, ...] = (
    (0.42, 0.36, 0.28), (0.50, 0.47, 0.41), (0.33, 0.17, 0.12), (0.36, 0.34, 0.31),
    (0.46, 0.32, 0.22), (0.26, 0.14, 0.10), (0.55, 0.53, 0.50), (0.35, 0.40, 0.42),
)  # fmt: skip
TYRE: Colour = (0.02, 0.02, 0.02)


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[int(rng.integers(len(colours)))]


def _wheels(p: Placement, base: float, width: float, radius: float) -> None:
    for x in (-base, base):
        for side in (-1.0, 1.0):
            outer, inner = side * (width + 0.015), side * (width - 0.2)
            p.rod((x, outer, radius), (x, inner, radius), radius, TYRE, s.WHEEL)


def car(p: Placement, rng: np.random.Generator) -> None:
    """A hatchback, saloon or estate, 4.0 to 4.7 m long, heading along the placement's x."""
    colour = _pick(rng, CAR_COLOURS)
    style = int(rng.integers(3))
    length, width = rng.uniform(4.0, 4.7) / 2.0, rng.uniform(0.86, 0.92)
    base, radius = length * 0.6, rng.uniform(0.30, 0.34)
    height = rng.uniform(1.42, 1.58)
    waist = rng.uniform(0.86, 0.93)
    lamps = (base, radius, rng.uniform())
    # Slightly drawn in at the top, so that bodywork mirrors sky and street, not one flat tone.
    p.box(
        (0, 0, 0.44), (length, width, 0.24), colour, s.PAINT, inset=(0.05, 0.05, 0.0), extra=lamps
    )
    top = ((waist + 0.68) / 2.0, (waist - 0.68) / 2.0)
    rear = 0.30 if style == 1 else 0.08
    p.box((0, 0, top[0]), (length - 0.05, width, top[1]), colour, s.PAINT,
          inset=(0.38, rear, 0.05), extra=lamps)  # fmt: skip
    back = {0: length - 0.12, 1: length - 0.62, 2: length - 0.10}[style]
    front = length - 1.05
    half = (height - waist) / 2.0
    p.box(((front - back) / 2.0, 0, waist + half), ((front + back) / 2.0, width - 0.07, half),
          colour, s.CABIN, inset=(0.78, (0.45, 0.62, 0.22)[style], 0.17))  # fmt: skip
    _wheels(p, base, width, radius)


def van(p: Placement, rng: np.random.Generator) -> None:
    """A delivery van, 5.5 m long and 2.3 m high."""
    colour = _pick(rng, CAR_COLOURS[:4])
    extra = (1.65, 0.35, rng.uniform())
    p.box((0, 0, 0.66), (2.75, 0.98, 0.42), colour, s.PAINT, inset=(0.12, 0.02, 0.0), extra=extra)
    p.box((-0.75, 0, 1.68), (1.98, 0.97, 0.62), colour, s.GLOSSY, inset=(0.0, 0.05, 0.1))
    p.box((1.75, 0, 1.60), (0.85, 0.95, 0.54), colour, s.CABIN, inset=(0.75, 0.0, 0.1))
    _wheels(p, 1.65, 0.98, 0.35)


def bus(p: Placement, rng: np.random.Generator) -> None:
    """A city bus, 11 m long and 3 m high."""
    colour = ((0.45, 0.05, 0.04), (0.65, 0.50, 0.08), (0.08, 0.25, 0.45))[int(rng.integers(3))]
    p.box((0, 0, 1.68), (5.5, 1.25, 1.36), colour, s.COACH, inset=(0.12, 0.04, 0.05))
    _wheels(p, 3.1, 1.25, 0.48)


def person(p: Placement, rng: np.random.Generator) -> None:
    """A person 1.55 to 1.9 m tall, in mid-step along the placement's x."""
    k = rng.uniform(1.55, 1.9) / 1.75
    stride, arm = rng.uniform(0.08, 0.26), rng.uniform(0.05, 0.22)
    top, legs = _pick(rng, CLOTHES), _pick(rng, CLOTHES[:4])
    skin = ((0.52, 0.33, 0.24), (0.25, 0.14, 0.09), (0.40, 0.24, 0.16))[int(rng.integers(3))]
    hair = (0.05, 0.035, 0.025) if rng.uniform() < 0.7 else (0.25, 0.17, 0.08)
    for side, step in ((0.09, stride), (-0.09, -stride)):
        hip, foot = (0.0, side * k, 0.86 * k), (step * k, side * k, 0.10 * k)
        p.rod(hip, foot, 0.075 * k, legs, round_ends=True)
        toe = (step * k + 0.13 * k, side * k, 0.05 * k)
        p.rod((step * k, side * k, 0.05 * k), toe, 0.048 * k, (0.03, 0.025, 0.02), round_ends=True)
        hand = (-np.sign(step) * arm * k, 2.9 * side * k, 0.82 * k)
        p.rod((0.0, 2.35 * side * k, 1.36 * k), hand, 0.052 * k, top, round_ends=True)
    p.ellipsoid((0.0, 0.0, 1.14 * k), (0.15 * k, 0.215 * k, 0.36 * k), top)
    p.rod((0.0, 0.0, 1.4 * k), (0.0, 0.0, 1.55 * k), 0.055 * k, skin, round_ends=True)
    p.ellipsoid((0.01, 0.0, 1.62 * k), (0.098 * k, 0.08 * k, 0.125 * k), skin)
    p.ellipsoid((-0.015, 0.0, 1.66 * k), (0.1 * k, 0.086 * k, 0.1 * k), hair)


def cyclist(p: Placement, rng: np.random.Generator) -> None:
    """A rider on a bicycle: two thin wheels, a frame, and a body leaning forward."""
    bike = replace(p, label=s.BICYCLE)
    for x in (-0.52, 0.52):
        bike.rod((x, -0.018, 0.34), (x, 0.018, 0.34), 0.34, TYRE, s.WHEEL, extra=(1.0,))
    frame = _pick(rng, CAR_COLOURS)
    joints = ((-0.52, 0.34), (-0.1, 0.3), (0.42, 0.82), (-0.15, 0.85), (-0.1, 0.3), (0.42, 0.82),
              (0.52, 0.34))  # fmt: skip
    for a, b in pairwise(joints):
        bike.rod((a[0], 0, a[1]), (b[0], 0, b[1]), 0.022, frame)
    bike.rod((0.42, -0.26, 0.98), (0.42, 0.26, 0.98), 0.018, TYRE)
    top, legs = _pick(rng, CLOTHES), _pick(rng, CLOTHES[:4])
    p.rod((-0.13, 0, 1.0), (0.16, 0, 1.42), 0.15, top, round_ends=True)
    for side, knee, foot in ((0.09, 0.25, 0.42), (-0.09, 0.18, 0.16)):
        p.rod((-0.13, side, 0.95), (knee, side, 0.72), 0.075, legs, round_ends=True)
        p.rod((knee, side, 0.72), (-0.06, side, foot), 0.06, legs, round_ends=True)
        p.rod((0.15, 2.0 * side, 1.38), (0.42, 2.4 * side, 1.02), 0.05, top, round_ends=True)
    p.ellipsoid((0.27, 0, 1.66), (0.105, 0.085, 0.125), (0.48, 0.30, 0.22))
    p.ellipsoid((0.25, 0, 1.72), (0.13, 0.1, 0.09), _pick(rng, CLOTHES))


def tree(p: Placement, rng: np.random.Generator, scale: float = 1.0) -> None:
    """A trunk, two boughs and a crown of several leafy ellipsoids."""
    k = scale * rng.uniform(0.85, 1.2)
    fork = 2.7 * k
    bark = (0.13, 0.10, 0.075)
    p.rod((0, 0, 0), (0, 0, fork + 0.8 * k), 0.15 * k, bark, s.BARK)
    for _ in range(2):
        tip = (rng.uniform(-1, 1) * k, rng.uniform(-1, 1) * k, fork + 1.6 * k)
        p.rod((0, 0, fork - 0.3 * k), tip, 0.07 * k, bark, s.BARK)
    hue = rng.uniform(-0.03, 0.05)
    for i in range(7):
        angle = i * 2.4 + rng.uniform(-0.4, 0.4)
        reach = (0.2 if i == 0 else rng.uniform(0.7, 1.25)) * k
        centre = (reach * np.cos(angle), reach * np.sin(angle), fork + rng.uniform(0.9, 2.7) * k)
        radius = rng.uniform(0.95, 1.45) * k
        leaf = (0.085 + hue, 0.155 + 0.3 * hue, 0.035)
        p.ellipsoid(centre, (radius, radius, 0.85 * radius), leaf, s.FOLIAGE, leaves=True)


def bush(p: Placement, rng: np.random.Generator) -> None:
    """A bush of three small leafy ellipsoids."""
    for i in range(3):
        r = rng.uniform(0.4, 0.75)
        leaf = (0.06, 0.12 + rng.uniform(0, 0.04), 0.03)
        p.ellipsoid((0.6 * (i - 1), rng.uniform(-0.2, 0.2), 0.7 * r), (r, r, r), leaf, s.FOLIAGE,
                    leaves=True)  # fmt: skip


def house(p: Placement, rng: np.random.Generator, width: float, depth: float, storeys: int) -> None:
    """A building with a grid of windows, its long side along x; flat or pitched roof."""
    wall = _pick(rng, WALLS)
    storey = rng.uniform(2.9, 3.3)
    height = storeys * storey + 0.5
    pitch = rng.uniform(2.2, 3.0)
    shop = float(rng.uniform() < 0.45)
    extra = (width / max(1, round(width / pitch)), storey, rng.uniform(), shop)
    half = (width / 2.0, depth / 2.0)
    p.box((0, 0, height / 2.0), (*half, height / 2.0), wall, s.FACADE, extra=extra)
    p.box((0, 0, height - 0.12), (half[0] + 0.02, half[1] + 0.22, 0.14), (0.5, 0.48, 0.45))
    if storeys <= 3:
        roof = ((0.22, 0.09, 0.06), (0.10, 0.10, 0.11), (0.16, 0.11, 0.08))[int(rng.integers(3))]
        p.box((0, 0, height + 1.3), (half[0] + 0.01, half[1] + 0.25, 1.3), roof, s.ROOF,
              inset=(0.0, 0.0, half[1] + 0.2))  # fmt: skip
        x = rng.uniform(-0.3, 0.3) * width
        p.box((x, 0.8, height + 2.5), (0.35, 0.3, 0.7), (0.25, 0.12, 0.09), s.BRICK)
    elif rng.uniform() < 0.6:
        p.box((0, 0, height + 0.9), (half[0] * 0.4, half[1] * 0.5, 0.9), (0.35, 0.35, 0.36))


def lamp_post(p: Placement, arm: float) -> None:
    """A street lamp, its arm reaching `arm` metres along y."""
    grey = (0.22, 0.23, 0.24)
    p.rod((0, 0, 0), (0, 0, 1.1), 0.09, grey)
    p.rod((0, 0, 1.0), (0, 0, 7.2), 0.055, grey)
    p.rod((0, 0, 7.15), (0, arm, 7.45), 0.035, grey)
    p.box((0, arm, 7.42), (0.12, 0.32, 0.06), (0.35, 0.35, 0.34))


def road_sign(p: Placement, rng: np.random.Generator) -> None:
    """A pole with a round sign or a square plate facing -x."""
    p.rod((0, 0, 0), (0, 0, 2.75), 0.035, (0.35, 0.36, 0.37))
    plate = replace(p, label=s.TRAFFIC_SIGN)
    if rng.uniform() < 0.6:
        plate.rod((-0.05, 0, 2.4), (-0.07, 0, 2.4), 0.32, (0.75, 0.75, 0.75), s.SIGN)
    else:
        plate.box((-0.06, 0, 2.4), (0.012, 0.32, 0.32), (0.04, 0.12, 0.42), s.SIGN)


def traffic_light(p: Placement) -> None:
    """A pole with a head of three lamps that faces -x."""
    p.rod((0, 0, 0), (0, 0, 3.3), 0.06, (0.10, 0.11, 0.11))
    head = replace(p, label=s.LIGHT)
    head.box((-0.12, 0, 2.95), (0.10, 0.15, 0.45), (0.015, 0.015, 0.015))
    lamps = ((3.25, (0.25, 0.02, 0.01)), (2.95, (0.20, 0.11, 0.0)), (2.65, (0.1, 1.6, 0.5)))
    for z, colour in lamps:
        head.rod((-0.21, 0, z), (-0.24, 0, z), 0.1, colour)


def own_body(p: Placement) -> None:
    """The ego vehicle as its own cameras see it: a dark bonnet in front, the boot behind."""
    dark = (0.012, 0.013, 0.016)
    p.box((1.25, 0, 0.50), (2.15, 0.88, 0.28), dark, s.GLOSSY, inset=(0.1, 0.1, 0.06))
    p.ellipsoid((2.25, 0, 0.80), (1.05, 0.82, 0.33), dark, s.GLOSSY)
    p.ellipsoid((-0.30, 0, 0.70), (0.75, 0.84, 0.30), dark, s.GLOSSY)
    _wheels(replace(p, x=p.x + 1.4), 1.4, 0.86, 0.33)
