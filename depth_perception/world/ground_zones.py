"""Zones of the ground: where road, kerb, verge, pavement and land are, and what each is made of."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.world import labels
from depth_perception.world.ground_grid import RESOLUTION, GroundGrid
from depth_perception.world.plan import StreetPlan
from depth_perception.world.road import ground_rows

ROAD, KERB, VERGE, PAVEMENT, LAND, MEDIAN, PARKING, EARTH = range(8)
"""Zones, the values of `zone_map`."""

_ALBEDO: dict[str, tuple[float, float, float]] = {
    "asphalt": (0.105, 0.105, 0.11), "concrete": (0.30, 0.29, 0.27), "cobbles": (0.17, 0.16, 0.15),
    "gravel": (0.28, 0.26, 0.22), "slabs": (0.27, 0.265, 0.25), "grass": (0.075, 0.115, 0.035),
    "soil": (0.17, 0.12, 0.08), "stone": (0.30, 0.30, 0.29),
}  # fmt: skip
"""Mean linear albedo of each surface."""


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
    for half, pavement, verge in ((grid.t > 0, plan.pavement[0], plan.verge[0]),
                                  (grid.t <= 0, plan.pavement[1], plan.verge[1])):  # fmt: skip
        beyond = away[half]
        part = np.zeros(beyond.shape, np.uint8)
        part[beyond > 0] = KERB if kerb else VERGE
        part[beyond > kerb] = VERGE
        part[beyond > kerb + verge] = PAVEMENT if pavement > 0 else LAND
        part[beyond > kerb + verge + pavement] = LAND
        zone[half] = part
    everywhere = np.ones(grid.width, bool)
    if shape.median is not None:
        upper, lower, _ = shape.median
        free = everywhere.copy()
        for road in shape.side_roads:
            free &= np.abs(grid.s - road.s) > road.width / 2 + road.radius
        zone[np.ix_((grid.t < upper + 0.07) & (grid.t > lower - 0.07), free)] = MEDIAN
    if shape.roundabout is not None:
        everywhere = np.abs(grid.s - shape.roundabout.s) > shape.roundabout.length + 2.0
        island = np.interp(grid.s, rows, shape.island(rows)).astype(np.float32)
        zone[(np.abs(t) < island + 0.07) & (island > 0)] = MEDIAN
    for lane in plan.lanes:
        if lane.kind in ("park", "bay"):
            zone[np.ix_(np.abs(grid.t - lane.t) < lane.width / 2, everywhere)] = PARKING
    return zone


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
    return [road, "stone", verge, plan.pavement_surface, plan.land_surface, median, parking,
            "soil"]  # fmt: skip


def zone_labels(plan: StreetPlan) -> NDArray[np.uint8]:
    """Class of each zone: (8,) Cityscapes train ids."""
    paved = {"slabs", "asphalt", "concrete", "cobbles", "stone"}
    land = labels.SIDEWALK if plan.land_surface in paved else labels.TERRAIN
    return np.array(
        [labels.ROAD, labels.SIDEWALK, labels.TERRAIN, labels.SIDEWALK, land, labels.TERRAIN,
         labels.ROAD, labels.TERRAIN], np.uint8,
    )  # fmt: skip


def draw_albedo(rng: np.random.Generator, surface: str) -> NDArray[np.float64]:
    """Draw the linear albedo (3,) of a surface in this street."""
    spread = {"asphalt": 0.45, "grass": 0.35, "soil": 0.35}.get(surface, 0.25)
    colour = np.array(_ALBEDO[surface]) * np.exp(rng.normal(0.0, spread))
    if surface == "grass" and rng.uniform() < 0.35:  # dry
        dry = rng.uniform(0.2, 0.9)
        colour = (1 - dry) * colour + dry * np.array([0.24, 0.19, 0.09])
    return np.clip(colour * np.exp(rng.normal(0, 0.035, 3)), 0.02, 0.6)
