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

"""Zones of the ground: where road, kerb, verge, pavement and land are, and what each is made of."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets import labels
from depth_perception.world.scene.ground_grid import RESOLUTION, GroundGrid
from depth_perception.world.scene.ground_mesh import ground_rows
from depth_perception.world.scene.plan import StreetPlan

ROAD, KERB, VERGE, PAVEMENT, LAND, MEDIAN, PARKING, EARTH, ISLAND, RAILS, DRIVEWAY, PAVED_AREA = (
    range(12)
)
"""Zones, the values of `zone_map`."""

_ALBEDO: dict[str, tuple[float, float, float]] = {
    "asphalt": (0.105, 0.105, 0.11),
    "concrete": (0.30, 0.29, 0.27),
    "cobbles": (0.17, 0.16, 0.15),
    "gravel": (0.28, 0.26, 0.22),
    "slabs": (0.27, 0.265, 0.25),
    "grass": (0.075, 0.115, 0.035),
    "soil": (0.17, 0.12, 0.08),
    "stone": (0.30, 0.30, 0.29),
}
"""Mean linear albedo of each surface."""

_PAVED = ("slabs", "asphalt", "concrete", "cobbles", "asphalt", "slabs", "stone")
"""What paved areas are made of, the frequent ones twice."""


def zone_map(grid: GroundGrid, plan: StreetPlan) -> NDArray[np.uint8]:
    """The zone of each pixel: (height, width)."""
    shape = plan.shape
    kerb = 0.15 if shape.kerb > 0 else 0.0
    zone = grid.layer()
    # Kerbs as the ground's triangles have them: straight between its rows.
    rows = ground_rows(shape, grid.start, grid.end)
    left = np.interp(grid.s, rows, shape.edge(1, rows)).astype(np.float32)
    right = np.interp(grid.s, rows, shape.edge(-1, rows)).astype(np.float32)
    t = grid.t.astype(np.float32)[:, None]
    off_road = (t > left[None, :]) | (t < -right[None, :])
    # A pixel more on each side: no spot of a kerb may take its class from a road pixel.
    grown = cv2.dilate(off_road.astype(np.uint8), np.ones((3, 3), np.uint8))
    # Distance to the nearest kerb, so that pavements go round corners and along side roads.
    away = cv2.distanceTransform(grown, cv2.DIST_L2, 5) * RESOLUTION
    for half, pavement, verge in (
        (grid.t > 0, plan.pavement[0], plan.verge[0]),
        (grid.t <= 0, plan.pavement[1], plan.verge[1]),
    ):
        beyond = away[half]
        part = np.zeros(beyond.shape, np.uint8)
        part[beyond > 0] = KERB if kerb else VERGE
        part[beyond > kerb] = VERGE
        part[beyond > kerb + verge] = PAVEMENT if pavement > 0 else LAND
        part[beyond > kerb + verge + pavement] = LAND
        zone[half] = part
    everywhere = np.ones(grid.width, bool)
    for k, strip in enumerate(shape.raised):
        free = ~shape.gap(strip, grid.s)
        kind = MEDIAN if shape.median is not None and k == 0 else ISLAND
        kind = RAILS if strip.kind == "rails" else kind
        inside = (grid.t < strip.upper + 0.07) & (grid.t > strip.lower - 0.07)
        _fill(zone, inside, free, kind)
    if shape.roundabout is not None:
        everywhere = np.abs(grid.s - shape.roundabout.s) > shape.roundabout.length + 2.0
        island = np.interp(grid.s, rows, shape.island(rows)).astype(np.float32)
        zone[(np.abs(t) < island + 0.07) & (island > 0)] = MEDIAN
    for lane in plan.lanes:
        if lane.kind in ("park", "bay"):
            _fill(zone, np.abs(grid.t - lane.t) < lane.width / 2, everywhere, PARKING)
    for area in plan.paved_areas:
        edge = shape.left if area.side > 0 else -shape.right
        away = area.side * grid.t - edge
        low = max(area.near, 0.0) if area.kind == "driveway" else max(area.near, kerb + 0.05)
        across = np.nonzero((away > low) & (away < area.far))[0]
        along = np.nonzero((grid.s > area.first) & (grid.s < area.last))[0]
        if len(across) and len(along):
            part = zone[across[0] : across[-1] + 1, along[0] : along[-1] + 1]
            part[part != ROAD] = DRIVEWAY if area.kind == "driveway" else PAVED_AREA
    return zone


def _fill(
    zone: NDArray[np.uint8], rows: NDArray[np.bool_], columns: NDArray[np.bool_], kind: int
) -> None:
    """Set a band of rows to one zone, in some columns."""
    found = np.nonzero(rows)[0]
    if len(found):
        zone[found[0] : found[-1] + 1, columns] = kind


def zone_surfaces(plan: StreetPlan, rng: np.random.Generator) -> list[str]:
    """Draw the material of each zone, by name."""
    road = plan.road_surface
    parking = road
    if rng.uniform() < 0.3:
        parking = str(rng.choice(["cobbles", "slabs", "asphalt", "concrete"]))
    verge = str(rng.choice(["grass", "grass", "gravel", "slabs", "soil"]))
    if plan.setting in ("country", "motorway"):
        verge = str(rng.choice(["grass", "grass", "gravel", "soil"]))
    median = str(rng.choice(["grass", "concrete", "slabs", "grass"]))
    extra_rng = rng.spawn(1)[0]
    island = str(
        extra_rng.choice(["grass", "grass", "grass", "slabs", "cobbles", "soil", "asphalt"])
    )
    rails = str(extra_rng.choice(["gravel", "gravel", "grass", "concrete"]))
    drive, area = (str(extra_rng.choice(_PAVED)) for _ in range(2))
    return [
        road,
        "stone",
        verge,
        plan.pavement_surface,
        plan.land_surface,
        median,
        parking,
        "soil",
        island,
        rails,
        drive,
        area,
    ]


def zone_labels(surfaces: list[str]) -> NDArray[np.uint8]:
    """Class of each zone by its material's name: (12,) Cityscapes train ids.

    Islands and the areas beside the road are sidewalk where they are paved. Beds of rails, which
    Cityscapes leaves out, are terrain.
    """
    by_surface = [labels.SIDEWALK if k in _PAVED else labels.TERRAIN for k in surfaces]
    for zones, label in (
        ((ROAD, PARKING), labels.ROAD),
        ((RAILS, VERGE), labels.TERRAIN),
        ((KERB, PAVEMENT, DRIVEWAY, PAVED_AREA), labels.SIDEWALK),
    ):
        for zone in zones:
            by_surface[zone] = label
    return np.array(by_surface, np.uint8)


def draw_albedo(rng: np.random.Generator, surface: str) -> NDArray[np.float64]:
    """Draw the linear albedo (3,) of a surface in this street."""
    spread = {"asphalt": 0.45, "grass": 0.35, "soil": 0.35}.get(surface, 0.25)
    colour = np.array(_ALBEDO[surface]) * np.exp(rng.normal(0.0, spread))
    if surface == "grass" and rng.uniform() < 0.35:  # dry
        dry = rng.uniform(0.2, 0.9)
        colour = (1 - dry) * colour + dry * np.array([0.24, 0.19, 0.09])
    return np.clip(colour * np.exp(rng.normal(0, 0.035, 3)), 0.02, 0.6)
