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

"""Bodies of people: how they are built and dressed, and what their trunk, limbs and head look like.

A body is put together from where its hips, hands and feet are; knees and elbows follow from
the lengths of the limbs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from depth_perception.world.objects.mesh import FloatArray, Mesh, SurfaceProperties, join
from depth_perception.world.objects.shapes import tube
from depth_perception.world.surfaces.materials import INDEX, Colour

SKINS: tuple[Colour, ...] = (
    (0.55, 0.36, 0.27),
    (0.50, 0.31, 0.22),
    (0.42, 0.25, 0.17),
    (0.30, 0.17, 0.10),
    (0.19, 0.10, 0.06),
    (0.10, 0.05, 0.03),
    (0.06, 0.032, 0.02),
)
"""Linear albedo of skin."""

HAIRS: tuple[Colour, ...] = (
    (0.008, 0.007, 0.006),
    (0.02, 0.013, 0.008),
    (0.05, 0.028, 0.014),
    (0.12, 0.07, 0.03),
    (0.30, 0.20, 0.09),
    (0.32, 0.32, 0.32),
    (0.16, 0.05, 0.02),
)
"""Linear albedo of hair."""

CLOTHES: tuple[tuple[float, Colour], ...] = (
    (0.22, (0.012, 0.012, 0.013)),
    (0.13, (0.04, 0.042, 0.046)),
    (0.10, (0.16, 0.16, 0.165)),
    (0.12, (0.02, 0.035, 0.09)),
    (0.08, (0.07, 0.12, 0.22)),
    (0.10, (0.62, 0.62, 0.60)),
    (0.06, (0.30, 0.02, 0.02)),
    (0.05, (0.38, 0.30, 0.19)),
    (0.04, (0.08, 0.10, 0.04)),
    (0.03, (0.12, 0.07, 0.03)),
    (0.02, (0.04, 0.22, 0.12)),
    (0.02, (0.55, 0.35, 0.03)),
    (0.02, (0.48, 0.14, 0.20)),
    (0.01, (0.60, 0.75, 0.05)),
)
"""Linear albedo of clothes, each with its share."""


@dataclass(frozen=True)
class Appearance:
    """How somebody is built and dressed.

    Attributes:
        height: Metres, with shoes.
        build: Girth relative to a slim person.
        woman: Narrower shoulders, wider hips, more skirts.
        label: Cityscapes train id.
        skin: Of the face and the hands.
        hair: Hair.
        top: Shirt or jacket.
        arm: Sleeves from the elbow down; skin for short ones.
        leg: Trousers.
        shin: Legs from the knee down; skin for shorts and skirts.
        shoe: Shoes.
    """

    height: float
    build: float
    woman: bool
    label: int
    skin: SurfaceProperties
    hair: SurfaceProperties
    top: SurfaceProperties
    arm: SurfaceProperties
    leg: SurfaceProperties
    shin: SurfaceProperties
    shoe: SurfaceProperties

    @property
    def limb(self) -> tuple[float, float, float, float]:
        """Lengths of upper arm, forearm to the palm, thigh and shin."""
        h = self.height
        short = np.interp(h, [1.0, 1.6], [0.90, 1.0])  # children have short legs and arms
        return 0.172 * h * short, 0.185 * h * short, 0.248 * h * short, 0.236 * h * short


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[int(rng.integers(len(colours)))]


def cloth_colour(rng: np.random.Generator) -> Colour:
    """Draw the linear albedo of a garment."""
    shares = np.array([share for share, _ in CLOTHES])
    r, g, b = CLOTHES[int(rng.choice(len(CLOTHES), p=shares / shares.sum()))][1]
    light = float(rng.uniform(0.8, 1.2))
    return r * light, g * light, b * light


def draw_appearance(rng: np.random.Generator, label: int, child: float) -> Appearance:
    """Draw somebody; `child` is the share of children."""
    woman = bool(rng.random() < 0.5)
    if rng.random() < child:
        height = float(rng.uniform(1.10, 1.50))
    else:
        height = float(np.clip(rng.normal(1.66 if woman else 1.78, 0.065), 1.50, 1.95))
    build = float(np.clip(rng.normal(1.08, 0.13), 0.88, 1.5))
    skin = SurfaceProperties(INDEX["skin"], _pick(rng, SKINS), label)

    def cloth(tint: Colour) -> SurfaceProperties:
        return SurfaceProperties(INDEX["cloth"], tint, label)

    top, leg = cloth(cloth_colour(rng)), cloth(cloth_colour(rng))
    if rng.random() < 0.35:  # jeans
        leg = cloth((0.04, 0.06, 0.13))
    hair = cloth(_pick(rng, HAIRS if height > 1.5 else HAIRS[:5]))
    sole: Colour = (0.6, 0.6, 0.58) if rng.random() < 0.3 else (0.02, 0.02, 0.02)
    return Appearance(
        height=height,
        build=build,
        woman=woman,
        label=label,
        skin=skin,
        hair=hair,
        top=top,
        arm=skin if rng.random() < 0.3 else top,
        leg=leg,
        shin=skin if rng.random() < 0.18 else leg,
        shoe=SurfaceProperties(INDEX["plain"], sole, label),
    )


def _bend(a: FloatArray, b: FloatArray, first: float, second: float, way: FloatArray) -> FloatArray:
    """Where a limb from a to b bends towards `way`; b comes nearer if it is out of reach."""
    line = b - a
    reach = min(float(np.linalg.norm(line)), 0.998 * (first + second))
    along = line / np.linalg.norm(line)
    run = (reach**2 + first**2 - second**2) / (2 * reach)
    out = way - (way @ along) * along
    out /= np.linalg.norm(out)
    return a + run * along + np.sqrt(max(first**2 - run**2, 0.0)) * out


def _limb(
    upper: SurfaceProperties, lower: SurfaceProperties, joints: FloatArray, radii: tuple[float, ...]
) -> Mesh:
    """An arm or a leg over its three joints; radii at the root, mid, joint, mid and end."""
    a, b, c = joints
    first = tube(upper, [a, a + 0.5 * (b - a), b], radii[:3], sides=6)
    second = tube(lower, [b, b + 0.35 * (c - b), c], radii[2:], sides=6)
    return join([first, second])


def tilted(points: FloatArray, pitch: float) -> FloatArray:
    """Lean points forward around the hips."""
    c, s = np.cos(pitch), np.sin(pitch)
    return np.asarray(points) @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])


def _trunk(appearance: Appearance, hips: FloatArray, pitch: float, coat: bool) -> list[Mesh]:
    """Hips, belly, chest, shoulders and neck."""
    h, wide = appearance.height, appearance.build
    thick = 1.15 if coat else 1.0
    angle = np.linspace(0, 2 * np.pi, 10, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1)
    hip, chest_width = (0.100, 0.94) if appearance.woman else (0.092, 1.0)

    def ring(z: float, depth: float, width: float, x: float = 0.0) -> FloatArray:
        size = np.array([depth * wide * thick, width * wide**0.7 * thick, 1.0]) * h
        return tilted(circle * size + (x * h, 0, z * h), pitch) + hips

    low = float(np.clip(0.01 - (0.05 if coat else 0.0), -0.04, 0.02))
    pelvis = [ring(-0.045, 0.045, 0.060), ring(-0.01, 0.066, hip), ring(0.05, 0.062, hip - 0.008)]
    chest = [
        ring(low, 0.070, hip + 0.004),
        ring(0.095, 0.063, 0.084),
        ring(0.19, 0.067, 0.098 * chest_width),
        ring(0.255, 0.060, 0.106 * chest_width),
        ring(0.292, 0.046, 0.098 * chest_width, -0.004),
        ring(0.312, 0.036, 0.060, -0.004),
        ring(0.325, 0.030, 0.036, 0.0),
    ]
    neck = [ring(0.30, 0.030, 0.032), ring(0.36, 0.029, 0.031, 0.012)]
    caps = [
        appearance.leg.fan(pelvis[0][::-1]),
        appearance.top.fan(chest[-1]),
        appearance.top.fan(chest[0][::-1]),
    ]
    return [
        appearance.leg.loft(pelvis),
        appearance.top.loft(chest),
        appearance.skin.loft(neck),
        *caps,
    ]


def head(
    rng: np.random.Generator, appearance: Appearance, hips: FloatArray, pitch: float
) -> list[Mesh]:
    """Head, with hair or something on it."""
    h = appearance.height
    # A child's head is nearly as large as a grown-up's.
    length = float(np.interp(h, [1.0, 1.75], [0.205, 0.228]))
    neck = tilted(np.array([0.010 * h, 0, 0.335 * h]), pitch) + hips
    middle = neck + np.array([0.012, 0, 0.46 * length])
    radii = np.array([0.42, 0.335, 0.50]) * length
    parts = [appearance.skin.ellipsoid(middle, radii, around=9, down=7)]
    kind = rng.choice(
        ["short", "long", "bald", "cap", "hat", "hood"],
        p=[0.20, 0.55, 0.0, 0.11, 0.06, 0.08]
        if appearance.woman
        else [0.59, 0.05, 0.09, 0.14, 0.04, 0.09],
    )
    cloth = SurfaceProperties(INDEX["cloth"], cloth_colour(rng), appearance.label)
    if kind in ("short", "long"):
        shape = radii * (1.0, 1.12, 0.90)
        parts.append(
            appearance.hair.ellipsoid(middle + (-0.022, 0, 0.03), shape, around=10, down=6)
        )
    if kind == "long":
        fall = middle + (-0.055, 0, -0.05)
        locks = (0.065, 0.095, float(rng.uniform(0.12, 0.2)))
        parts.append(appearance.hair.ellipsoid(fall, locks, around=8, down=6))
    if kind == "cap":
        shape = radii * (1.08, 1.14, 0.75)
        parts.append(cloth.ellipsoid(middle + (-0.008, 0, 0.05), shape, around=10, down=6))
        if rng.random() < 0.5:
            peak = middle + (0.10, 0, 0.045)
            parts.append(cloth.ellipsoid(peak, (0.07, 0.065, 0.012), around=8, down=4))
    if kind == "hat":
        crown = middle + np.array([0, 0, 0.045])
        parts.append(cloth.rod(crown, crown + (0, 0, 0.10), 0.095, 0.085, sides=10))
        parts.append(cloth.rod(crown, crown + (0, 0, 0.012), 0.16, sides=12))
    if kind == "hood":
        shape = radii * (1.12, 1.25, 1.12)
        parts.append(appearance.top.ellipsoid(middle + (-0.03, 0, 0.0), shape, around=10, down=7))
    return parts


def human_body(
    appearance: Appearance,
    hips: FloatArray,
    pitch: float,
    hands: FloatArray,
    feet: FloatArray,
    *,
    coat: bool = False,
    toes: tuple[float, float] = (0.0, 0.0),
    elbows: float = 0.0,
) -> list[Mesh]:
    """Trunk, arms and legs.

    Args:
        appearance: Who it is.
        hips: Middle of the hips.
        pitch: How far the trunk leans forward, rad.
        hands: Left and right hand: (2, 3).
        feet: Left and right ankle: (2, 3).
        coat: Thick clothes.
        toes: How far each foot points down, rad.
        elbows: How far elbows point outwards; otherwise they point back.
    """
    h, wide = appearance.height, appearance.build**0.6 * (1.12 if coat else 1.0)
    upper, fore, thigh, shin = appearance.limb
    parts = _trunk(appearance, hips, pitch, coat)
    for k, side in enumerate((1, -1)):
        root = hips + np.array([0.0, side * 0.050 * h * appearance.build**0.5, 0.0])
        knee = _bend(root, feet[k], thigh, shin, np.array([1.0, 0.08 * side, 0.0]))
        line = feet[k] - knee
        ankle = knee + line * min(1.0, shin / float(np.linalg.norm(line)))
        bare = appearance.shin is appearance.skin
        calf = (0.031 if bare else 0.036) * h * wide
        radii = (0.052 * h * wide, 0.047 * h * wide, 0.034 * h * wide, calf, 0.026 * h)
        parts.append(_limb(appearance.leg, appearance.shin, np.array([root, knee, ankle]), radii))
        point = np.array([np.cos(toes[k]), 0, -np.sin(toes[k])])
        lift = 0.004 * h
        heel, tip = ankle - 0.030 * h * point, ankle + 0.105 * h * point
        drop = np.array([0, 0, -0.016 * h + lift])
        parts.append(
            tube(
                appearance.shoe,
                [heel + drop, ankle + 0.3 * (tip - heel) + drop, tip + drop],
                [0.024 * h, 0.027 * h, 0.016 * h],
                sides=6,
            )
        )
        start = np.array(
            [
                0.0,
                side * (0.097 if appearance.woman else 0.104) * h * appearance.build**0.7,
                0.272 * h,
            ]
        )
        shoulder = tilted(start, pitch) + hips
        back = np.array([-1.0, side * (0.25 + elbows), -0.3])
        if hands[k, 2] > shoulder[2]:  # a raised forearm: the elbow hangs down in front
            back = np.array([0.5, 0.7 * side, -1.0])
        elbow = _bend(shoulder, hands[k], upper, fore, back)
        line = hands[k] - elbow
        wrist = elbow + line * min(1.0, fore / float(np.linalg.norm(line)))
        radii = (0.033 * h * wide, 0.031 * h * wide, 0.025 * h * wide, 0.023 * h * wide, 0.017 * h)
        parts.append(
            _limb(appearance.top, appearance.arm, np.array([shoulder, elbow, wrist]), radii)
        )
        parts.append(appearance.top.ellipsoid(shoulder, (0.035 * h * wide,) * 3, around=7, down=4))
        palm = wrist + 0.3 * 0.1 * h * line / np.linalg.norm(line)
        parts.append(
            appearance.skin.ellipsoid(palm, (0.022 * h, 0.016 * h, 0.030 * h), around=6, down=4)
        )
    return parts


def helmet(
    rng: np.random.Generator, appearance: Appearance, hips: FloatArray, pitch: float, full: bool
) -> list[Mesh]:
    """A rider's head; full helmets have a visor."""
    h = appearance.height
    neck = tilted(np.array([0.015 * h, 0, 0.335 * h]), pitch) + hips
    middle = neck + np.array([0.02, 0, 0.105])
    tint = cloth_colour(rng)
    shell = SurfaceProperties(INDEX["paint"], tint, appearance.label)
    if full:
        visor = SurfaceProperties(INDEX["glass"], (0.02, 0.02, 0.02), appearance.label)
        return [
            shell.ellipsoid(middle, (0.145, 0.128, 0.150), around=12, down=8),
            visor.ellipsoid(middle + (0.03, 0, 0.015), (0.125, 0.115, 0.062), around=10, down=6),
        ]
    parts = [appearance.skin.ellipsoid(middle, (0.096, 0.077, 0.115), around=10, down=7)]
    if rng.random() < 0.6:
        top = middle + (-0.012, 0, 0.055)
        parts.append(shell.ellipsoid(top, (0.135, 0.105, 0.085), around=10, down=6))
    else:
        top = middle + (-0.022, 0, 0.03)
        parts.append(appearance.hair.ellipsoid(top, (0.096, 0.088, 0.10), around=10, down=6))
    return parts
