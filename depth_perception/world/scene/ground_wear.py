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

"""What time and weather do to the ground: stains, patches, cracks, litter and puddles.

Layers are (height, width) of the grid; how much darker and how much brighter the carriageway gets
is in 1/255 of the square root of albedo.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets import labels
from depth_perception.world.scene.ground_grid import (
    REACH,
    RESOLUTION,
    SHIFT,
    GroundGrid,
    Mask,
    Point,
)
from depth_perception.world.scene.ground_zones import EARTH, KERB, LAND, MEDIAN, PAVEMENT, VERGE
from depth_perception.world.scene.plan import StreetPlan


def draw_wear(grid: GroundGrid, plan: StreetPlan, rng: np.random.Generator) -> tuple[Mask, Mask]:
    """Patches, seams, cracks, manholes, gratings and stains on the carriageway.

    Returns:
        A layer of what darkens it and one of what brightens it.
    """
    shape = plan.shape
    dark, bright = grid.layer(), grid.layer()
    length = grid.end - grid.start

    def anywhere() -> Point:
        s = float(rng.uniform(grid.start, grid.end))
        return s, float(rng.uniform(shape.right, shape.left))

    for _ in range(rng.poisson(length / 14.0 * rng.choice([0.2, 1.0, 2.0]))):
        s, t = anywhere()
        long, wide = rng.uniform(0.5, 9.0), rng.uniform(0.5, 2.2)
        darker = rng.uniform() < 0.6
        strength = int(rng.uniform(12, 60) if darker else rng.uniform(5, 22))
        top = min(t + wide, shape.left)
        grid.rectangle(dark if darker else bright, s, s + long, t, top, strength)
        outline = [(s, t), (s + long, t), (s + long, t + wide), (s, t + wide), (s, t)]
        grid.line(dark, outline, 0.05, 70)
    for _ in range(rng.poisson(length / 8.0 * rng.choice([0.2, 1.0, 3.0]))):
        crack = _crack(rng, *anywhere(), shape.right, shape.left)
        grid.line(dark, crack, 0.05, int(rng.uniform(40, 120)))
    for joint in _joints(grid, plan, rng):
        grid.line(dark, joint, 0.05, 60)
    for _ in range(rng.poisson(length / 22.0)):
        s, t = anywhere()
        radius = int(rng.uniform(0.28, 0.36) / RESOLUTION * (1 << SHIFT))
        strength = int(rng.uniform(40, 130))
        cv2.circle(dark, grid.pixel(s, t), radius, strength, -1, cv2.LINE_AA, SHIFT)
        for k in (-0.15, 0.0, 0.15):
            grid.line(bright, [(s - 0.2, t + k), (s + 0.2, t + k)], 0.05, 25)
    if shape.kerb > 0:
        for side in (-1, 1):
            for s in np.arange(grid.start + rng.uniform(2, 20), grid.end, rng.uniform(15, 35)):
                t = side * (float(shape.edge(side, s)) - 0.28)
                grid.rectangle(dark, s, s + 0.5, t - 0.2, t + 0.2, 170)
    for _ in range(rng.poisson(length / 6.0)):
        s, t = anywhere()
        one = 1 << SHIFT
        axes = (int(rng.uniform(2, 14) * one), int(rng.uniform(2, 9) * one))
        angle, strength = rng.uniform(0, 180), int(rng.uniform(8, 45))
        cv2.ellipse(dark, grid.pixel(s, t), axes, angle, 0, 360, strength, -1, cv2.LINE_AA, SHIFT)
    return dark, bright


def wear_paths(
    grid: GroundGrid, plan: StreetPlan, rng: np.random.Generator, zone: NDArray[np.uint8]
) -> None:
    """Wear patches of bare earth into the grass of `zone` (height, width), in place."""
    if plan.land_surface != "grass" or rng.uniform() < 0.5:
        return
    noise = grid.noise(rng, 0.5, 9.0)
    bare = noise > np.quantile(noise[::9, ::9], rng.uniform(0.6, 0.95))
    zone[bare & ((zone == LAND) | (zone == VERGE))] = EARTH


_KERB_PAINT = (
    ((0.03, 0.03, 0.03), (0.6, 0.6, 0.58)),
    ((0.5, 0.04, 0.03), (0.6, 0.6, 0.58)),
    ((0.55, 0.38, 0.04), (0.05, 0.05, 0.05)),
    ((0.55, 0.38, 0.04), (0.55, 0.38, 0.04)),
)


def colour_edges(
    grid: GroundGrid,
    plan: StreetPlan,
    rng: np.random.Generator,
    zone: NDArray[np.uint8],
    picture: NDArray[np.float32],
) -> None:
    """Paint some kerbs in stripes, some pavements and cycle lanes in one colour.

    `picture` (height, width, 3) holds sqrt(albedo) * 255, RGB, and is changed in place.
    """
    if rng.uniform() < 0.25:
        pair = np.sqrt(_KERB_PAINT[int(rng.integers(len(_KERB_PAINT)))]) * 255.0
        v, u = np.nonzero(zone == KERB)
        stripe = np.floor((grid.s[u] + grid.t[v]) / rng.uniform(0.5, 1.2)).astype(int) % 2
        picture[v, u] = 0.8 * pair[stripe] + 0.2 * picture[v, u]
    tints = np.array([[1.5, 0.75, 0.65], [0.75, 1.25, 0.85], [1.35, 0.95, 0.75]], np.float32)
    if rng.uniform() < 0.2:
        picture[zone == PAVEMENT] *= tints[int(rng.integers(3))]
    for lane in plan.lanes:
        if lane.kind == "cycle" and rng.uniform() < 0.5:
            rows = np.nonzero(np.abs(grid.t - lane.t) < lane.width / 2)[0]
            picture[rows[0] : rows[-1]] *= tints[int(rng.integers(2))]


def _crack(
    rng: np.random.Generator, s: float, t: float, lowest: float, highest: float
) -> list[Point]:
    """A line that wanders from (s, t) and stays between two values of t."""
    heading = rng.uniform(0, 2 * np.pi)
    points = [(s, t)]
    for _ in range(int(rng.integers(4, 25))):
        heading += rng.normal(0, 0.5)
        s, t = s + 0.25 * np.cos(heading), t + 0.25 * np.sin(heading)
        points.append((s, float(np.clip(t, lowest, highest))))
    return points


def _joints(grid: GroundGrid, plan: StreetPlan, rng: np.random.Generator) -> list[list[Point]]:
    """Seams: along the lanes, and across where the road is concrete."""
    lines = []
    if rng.uniform() < 0.7:
        for lane in plan.lanes:
            t = lane.t + lane.width / 2 + rng.uniform(-0.1, 0.1)
            lines.append([(grid.start, t), (grid.end, t)])
    if plan.road_surface == "concrete":
        for s in np.arange(grid.start, grid.end, rng.uniform(4.5, 7.5)):
            lines.append([(float(s), plan.shape.right), (float(s), plan.shape.left)])
    return lines


def draw_tone(
    grid: GroundGrid, plan: StreetPlan, rng: np.random.Generator, zone: Mask
) -> NDArray[np.float32]:
    """Factor on the square root of albedo: stains and bleaching of all sizes."""
    strength = rng.uniform(0.03, 0.10)
    tone = 1.0 + strength * grid.noise(rng, 0.12, 10.0)
    # Grass and soil are patchier than what is paved.
    patchy = np.isin(zone, [VERGE, LAND, MEDIAN])
    if patchy.any() and plan.land_surface in ("grass", "soil", "gravel"):
        tone[patchy] += 0.18 * grid.noise(rng, 0.3, 3.0)[patchy]
    # Traffic polishes two tracks in each lane and drips oil between them.
    track = rng.uniform(-0.06, 0.08)
    for lane in plan.lanes:
        if lane.kind != "drive":
            continue
        away = np.abs(np.abs(grid.t - lane.t) - 0.8)
        profile = track * np.exp(-((away / 0.25) ** 2))
        oil = -0.05 * np.exp(-(((grid.t - lane.t) / 0.2) ** 2))
        tone += (profile + oil).astype(np.float32)[:, None]
    return tone


def strew_litter(
    grid: GroundGrid, plan: StreetPlan, rng: np.random.Generator, picture: NDArray[np.float32]
) -> None:
    """Draw leaves, paper and chewing gum into a picture; thickest in the gutters.

    Args:
        grid: Its pixels.
        plan: The street.
        rng: Source of chance.
        picture: (height, width, 3) sqrt(linear albedo) * 255; changed.
    """
    shape = plan.shape
    count = rng.poisson(grid.width * RESOLUTION * rng.choice([0.3, 2.0, 8.0]))
    s = rng.uniform(grid.start, grid.end, count)
    side = rng.choice([-1, 1], count)
    edge = np.where(side > 0, shape.edge(1, s), shape.edge(-1, s))
    t = side * (edge + rng.normal(0.3, 1.2, count))
    u = np.clip((s - grid.start) / RESOLUTION, 0, grid.width - 3).astype(int)
    v = np.clip((REACH - t) / RESOLUTION, 0, grid.height - 3).astype(int)
    palette = np.array(
        [[0.25, 0.13, 0.03], [0.2, 0.18, 0.05], [0.5, 0.5, 0.48], [0.05, 0.05, 0.05]]
    )
    tone = np.sqrt(palette[rng.integers(0, 4, count)] * rng.uniform(0.6, 1.3, (count, 1))) * 255
    for du, dv in ((0, 0), (1, 0), (0, 1)):
        keep = rng.uniform(size=count) < 0.7
        picture[v[keep] + dv, u[keep] + du] = tone[keep]


def make_wet(
    grid: GroundGrid,
    plan: StreetPlan,
    rng: np.random.Generator,
    picture: NDArray[np.float32],
    label: Mask,
    wet: float,
) -> Mask:
    """Darken what is wet and lay puddles into hollows and along the gutters.

    Args:
        grid: Its pixels.
        plan: The street.
        rng: Source of chance.
        picture: (height, width, 3) sqrt(linear albedo) * 255; changed.
        label: (height, width) Cityscapes train ids.
        wet: 0 dry to 1 rain.

    Returns:
        Fresnel's F0 of the surface in 1/255.
    """
    noise = grid.noise(rng, 0.4, 5.0)
    shape = plan.shape
    left_side = grid.t[:, None] > 0
    edges = np.where(left_side, shape.edge(1, grid.s), shape.edge(-1, grid.s))
    gutter = np.exp(-(((np.abs(grid.t)[:, None] - edges + 0.4) / 0.6) ** 2)).astype(np.float32)
    level = noise + 0.5 * gutter
    paved = (label == labels.ROAD) | (label == labels.SIDEWALK)
    threshold = np.quantile(level[::7, ::7], 1.0 - 0.25 * wet)
    puddle = np.clip((level - threshold) / 0.06, 0.0, 1.0) * paved
    damp = np.clip(wet * 1.3 + 0.3 * noise, 0.0, 1.0)
    picture *= (1.0 - 0.28 * damp - 0.12 * puddle)[..., None]
    mirror = 255.0 * (0.02 * damp * paved + 0.05 * puddle)
    return np.clip(mirror, 0, 255).astype(np.uint8)
