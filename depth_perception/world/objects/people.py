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

"""People of the synthetic world: on foot, on bicycles and on motorcycles.

Each function makes one at random that heads along +x and stands over the origin; bodies are in
`human_bodies`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from depth_perception.datasets.labels import PERSON, RIDER
from depth_perception.world.objects.human_bodies import (
    Appearance,
    cloth_colour,
    draw_appearance,
    head,
    helmet,
    human_body,
    tilted,
)
from depth_perception.world.objects.mesh import FloatArray, Mesh, SurfaceProperties, join
from depth_perception.world.objects.shapes import tube
from depth_perception.world.objects.two_wheelers import bicycle, motorcycle, pedals, riding_points
from depth_perception.world.surfaces.materials import INDEX


def person(rng: np.random.Generator) -> Mesh:
    """Somebody on foot, walking, running or standing."""
    appearance = draw_appearance(rng, PERSON, 0.12)
    h = appearance.height
    legs = appearance.limb[2] + appearance.limb[3]
    gait = rng.choice(["walk", "stand", "run"], p=[0.66, 0.29, 0.05])
    ankle = 0.040 * h
    side = 0.052 * h
    lead = 1 if rng.random() < 0.5 else -1
    feet = np.array([[0.0, side, ankle], [0.0, -side, ankle]])
    front, rear = (0, 1) if lead > 0 else (1, 0)
    toes = [0.0, 0.0]
    step, bend, swing = 0.0, 0.994, 0.0
    if gait == "stand":
        feet[:, 0] = rng.uniform(-0.07, 0.07, 2)
        feet[:, 1] *= float(rng.uniform(1.0, 1.7))
    else:
        phase = float(rng.random())  # from both feet on the ground to one passing the other
        step = (0.21 if gait == "walk" else 0.28) * h * (1 - 0.85 * phase)
        feet[front, 0], feet[rear, 0] = step, -step * (1.05 + 0.4 * phase) - 0.10 * h * phase
        lift = 0.045 + (0.09 if gait == "walk" else 0.22) * phase
        feet[rear, 2] += lift * h
        toes[rear], toes[front] = 0.5 + 0.4 * phase, -0.2 * (1 - phase)
        swing = 0.75 * step
        bend = 0.975 if gait == "walk" else 0.93
    reach = np.sqrt(max((bend * legs) ** 2 - feet[front, 0] ** 2, 0.1))
    hips = np.array([0.0, 0.0, ankle + reach])
    pitch = float(rng.normal(0.05, 0.04)) + (0.12 if gait == "run" else 0.0)
    arms = appearance.limb[0] + appearance.limb[1]
    shoulder_z = hips[2] + 0.268 * h
    low = shoulder_z - 0.955 * arms
    out = (0.142 + 0.02 * float(rng.random())) * h * appearance.build**0.6
    hands = np.array([[0.03, out, low], [0.03, -out, low]])
    hands[front, 0] -= swing
    hands[rear, 0] += swing * 1.15
    hands[:, 2] += 0.5 * np.abs(hands[:, 0]) * (2.0 if gait == "run" else 0.7)
    act = rng.random()
    busy = int(rng.integers(2))
    inwards = 1 if busy == 0 else -1
    if act < 0.14:  # looking at a telephone
        hands[busy] = [0.19 * h, 0.06 * h * inwards, hips[2] + 0.17 * h]
    elif act < 0.22:  # telephone at the ear
        hands[busy] = [0.06 * h, 0.075 * h * inwards, hips[2] + 0.39 * h]
    elif act < 0.34:  # hands in the pockets
        hands = np.array([[0.06, 0.12, 0.02], [0.06, -0.12, 0.02]]) * h + hips
    elif act < 0.40 and gait == "stand":  # folded arms
        hands = np.array([[0.11, -0.05, 0.17], [0.11, 0.05, 0.17]]) * h + hips
    coat = rng.random() < 0.38
    parts = human_body(
        appearance,
        hips,
        pitch,
        hands,
        feet,
        coat=coat,
        toes=(toes[0], toes[1]),
        elbows=0.5 if act < 0.4 else 0.0,
    )
    parts += head(rng, appearance, hips, pitch)
    dress = rng.random()
    if coat and dress < 0.55:
        hem = hips[2] - float(rng.uniform(0.05, 0.26)) * h
        parts += _skirt(appearance.top, appearance, hips, hem, 0.3, step)
    elif appearance.woman and not coat and dress < 0.35:
        same = rng.random() < 0.4  # a dress
        cloth = (
            appearance.top
            if same
            else SurfaceProperties(INDEX["cloth"], cloth_colour(rng), appearance.label)
        )
        hem = hips[2] - float(rng.uniform(0.14, 0.34)) * h
        parts += _skirt(cloth, appearance, hips, hem, float(rng.uniform(0.1, 0.8)), step)
    parts += _luggage(rng, appearance, hips, hands)
    return _grounded(join(parts))


def cyclist(rng: np.random.Generator) -> Mesh:
    """Somebody riding a bicycle."""
    appearance = draw_appearance(rng, RIDER, 0.0)
    crank_angle = float(rng.uniform(0, 2 * np.pi))
    bike = bicycle(rng, crank_angle)
    grip = bike.vertices[np.abs(bike.vertices[:, 2] - 1.02) < 0.02]
    width = float(np.abs(grip[:, 1]).max()) if len(grip) else 0.29
    hands = np.array([[0.17, width, 1.05], [0.17, -width, 1.05]])
    feet = pedals(crank_angle) + np.array([-0.05, -0.02, 0.085])
    feet[1, 1] += 0.04
    hips = np.array([-0.27, 0, 0.99 + 0.08 * (appearance.height - 1.7)])
    pitch = float(rng.uniform(0.30, 0.75))
    parts = human_body(appearance, hips, pitch, hands, feet, toes=(0.15, 0.15), elbows=0.15)
    parts += helmet(rng, appearance, hips, pitch, False)
    if rng.random() < 0.25:
        bag = SurfaceProperties(INDEX["cloth"], cloth_colour(rng), appearance.label)
        middle = tilted(np.array([-0.12, 0, 0.19]) * appearance.height, pitch) + hips
        parts.append(bag.ellipsoid(middle, (0.13, 0.15, 0.2), around=9, down=6))
    return join([bike, *parts])


def motorcyclist(rng: np.random.Generator) -> Mesh:
    """Somebody riding a motorcycle."""
    appearance = draw_appearance(rng, RIDER, 0.0)
    dark = (
        appearance.leg
        if rng.random() < 0.4
        else SurfaceProperties(INDEX["cloth"], (0.012,) * 3, RIDER)
    )
    appearance = replace(
        appearance, leg=dark, shin=dark, arm=appearance.top, skin=appearance.shoe
    )  # gloves
    bike = motorcycle(rng)
    hips, hands, feet = riding_points(rng)
    pitch = float(rng.uniform(0.12, 0.45))
    parts = human_body(appearance, hips, pitch, hands, feet, coat=True, elbows=0.7)
    parts += helmet(rng, appearance, hips, pitch, True)
    return join([bike, *parts])


def _skirt(
    surface: SurfaceProperties,
    appearance: Appearance,
    hips: FloatArray,
    low: float,
    flare: float,
    stride: float,
) -> list[Mesh]:
    """A skirt, or the lower part of a coat, from the waist down to a height."""
    h = appearance.height
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1)
    waist, girth = float(hips[2]) + 0.07 * h, appearance.build
    rings = []
    for share in (1.0, 0.55, 0.0):
        z = low + share * (waist - low)
        # Wide enough for the legs, which reach the stride when they are on the ground.
        reach = (stride + 0.10 * h) * max(0.0, 1 - z / float(hips[2]))
        size = h * np.array([0.076, 0.112, 0]) * girth
        size += h * (1 - share) * np.array([0.012 + 0.03 * flare, 0.004 + 0.03 * flare, 0])
        size[0] += reach
        rings.append(circle * size + (hips[0], 0, z))
    return [surface.loft(rings[::-1]), surface.fan(rings[-1][::-1])]


def _luggage(
    rng: np.random.Generator, appearance: Appearance, hips: FloatArray, hands: FloatArray
) -> list[Mesh]:
    """Sometimes a rucksack, a shoulder bag or something carried in a hand."""
    h = appearance.height
    bag = SurfaceProperties(INDEX["cloth"], cloth_colour(rng), appearance.label)
    kind = rng.choice(["none", "rucksack", "shoulder", "hand"], p=[0.5, 0.2, 0.13, 0.17])
    if kind == "rucksack":
        tall, deep = float(rng.uniform(0.10, 0.14)) * h, 0.055 * h
        middle = hips + np.array([-(0.055 * appearance.build + 0.045) * h, 0, 0.18 * h])
        line = [middle + (0, 0, share * tall) for share in (-1.0, -0.75, 0.4, 1.0)]
        radii = np.array([0.75, 1.0, 0.95, 0.4]) * deep
        return [tube(bag, line, radii, sides=8, flat=1.55)]
    if kind == "shoulder":
        side = 1 if rng.random() < 0.5 else -1
        foot = hips + np.array([0.01 * h, side * 0.135 * h * appearance.build**0.7, -0.02 * h])
        neck = hips + np.array([0.0, -side * 0.06 * h, 0.30 * h])
        strap = bag.rod(foot + (0, 0, 0.05 * h), neck, 0.008, sides=4)
        return [bag.box(foot, (0.17 * h, 0.06 * h, 0.13 * h)), strap]
    if kind == "hand":
        hand = hands[int(rng.integers(2))] - (0, 0, 0.03 * h)
        size = np.array([rng.uniform(0.12, 0.24), rng.uniform(0.05, 0.12), rng.uniform(0.16, 0.3)])
        size[2] = min(size[2], hand[2] - 0.12)
        middle = hand - (0, 0, size[2] / 2 + 0.06)
        loop = bag.rod(hand, hand - (0, 0, 0.07), 0.012, sides=4)
        return [bag.box(middle, size), loop] if size[2] > 0.1 else []
    return []


def _grounded(mesh: Mesh) -> Mesh:
    """The mesh moved up or down so that its lowest point is on the ground."""
    return mesh.placed(0, 0, -float(mesh.vertices[:, 2].min()))
