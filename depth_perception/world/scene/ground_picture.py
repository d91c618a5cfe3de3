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

"""What is painted on the ground: a picture of the street from above, in (s, t).

Four layers of one size: colour, class, material (whose texture adds the fine grain) and how much
the surface mirrors. Lanes, kerbs and pavements follow the plan (`ground_zones`); on top come
patches, cracks, tyre tracks, leaves and puddles (`ground_wear`) and paint (`ground_markings`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depth_perception.world.scene.ground_grid import Mask, make_grid
from depth_perception.world.scene.ground_markings import draw_markings
from depth_perception.world.scene.ground_tracks import draw_gutters, draw_tracks, mark_paved_areas
from depth_perception.world.scene.ground_wear import (
    colour_edges,
    draw_tone,
    draw_wear,
    make_wet,
    strew_litter,
    wear_paths,
)
from depth_perception.world.scene.ground_zones import (
    DRIVEWAY,
    ISLAND,
    KERB,
    MEDIAN,
    PAVED_AREA,
    PAVEMENT,
    RAILS,
    ROAD,
    draw_albedo,
    zone_labels,
    zone_map,
    zone_surfaces,
)
from depth_perception.world.scene.plan import StreetPlan
from depth_perception.world.surfaces.materials import INDEX

_WHITE = (np.sqrt([0.62, 0.62, 0.60]) * 255.0).astype(np.float32)  # of linear albedo
_YELLOW = (np.sqrt([0.60, 0.42, 0.06]) * 255.0).astype(np.float32)


@dataclass(frozen=True)
class GroundPicture:
    """The ground from above.

    Row 0 is at t = `REACH`, column 0 at s = start, pixels are `RESOLUTION` metres apart, both of
    `ground_grid`.

    Attributes:
        start: s of column 0, m.
        colour: (H, W, 3) uint8, sqrt(linear albedo) * 255.
        label: (H, W) uint8, Cityscapes train ids.
        material: (H, W) uint8, index into `materials.MATERIALS`.
        mirror: (H, W) uint8, Fresnel's F0 of the surface in 1/255: wet or puddled.
    """

    start: float
    colour: NDArray[np.uint8]
    label: NDArray[np.uint8]
    material: NDArray[np.uint8]
    mirror: NDArray[np.uint8]


def paint_ground(
    plan: StreetPlan,
    rng: np.random.Generator,
    start: float,
    end: float,
    *,
    wet: float = 0.0,
    road_tone: float = 1.0,
) -> GroundPicture:
    """Paint the ground from s = start to s = end.

    Args:
        plan: The street.
        rng: Source of chance.
        start: First s, m.
        end: Last s, m.
        road_tone: Factor on the road's albedo: old asphalt is pale.
        wet: 0 dry to 1 rain: darkens the road, fills puddles and lets them mirror.
    """
    grid = make_grid(start, end)
    zone = zone_map(grid, plan)
    wear_paths(grid, plan, rng, zone)
    surfaces = zone_surfaces(plan, rng)
    material = np.array([INDEX[name] for name in surfaces], np.uint8)[zone]
    label = zone_labels(surfaces)[zone]
    dark, bright = draw_wear(grid, plan, rng)
    white, yellow = draw_markings(grid, plan, rng)
    extra_rng = rng.spawn(1)[0]
    off_road = (zone == MEDIAN) | (zone == ISLAND) | (zone == RAILS)
    for layer in (white, yellow):
        if layer is not None:
            layer[off_road] = 0
    draw_tracks(grid, plan, extra_rng, surfaces[RAILS], dark, bright)
    draw_gutters(grid, plan, extra_rng, dark, bright)
    mark_paved_areas(grid, plan, extra_rng, white, dark)
    albedo = np.array([draw_albedo(rng, name) for name in surfaces], np.float32)
    of_road = np.array([name == surfaces[ROAD] for name in surfaces])
    albedo[of_road] = np.minimum(albedo[of_road] * road_tone, 0.6)
    for k in (PAVEMENT, DRIVEWAY, PAVED_AREA):
        # Of the road's own colour: only the edge parts them.
        if surfaces[k] == surfaces[ROAD] and (plan.alike or k != PAVEMENT):
            albedo[k] = albedo[ROAD] * extra_rng.uniform(0.85, 1.15)
    if plan.alike and extra_rng.uniform() < 0.5:
        albedo[KERB] = albedo[PAVEMENT] * extra_rng.uniform(0.9, 1.3)
    tone = draw_tone(grid, plan, rng, zone)
    # Whole pictures of floats are what takes the time here: one pass over all three channels, and
    # what is drawn on them only where it is.
    table = np.clip(np.sqrt(albedo) * 255.0, 0, 255).astype(np.float32)
    tone *= 1.0 - dark * np.float32(1 / 255)
    picture = np.take(table, zone, axis=0)
    picture *= tone[..., None]
    lit = np.nonzero(bright)
    picture[lit] += bright[lit][:, None]
    colour_edges(grid, plan, rng, zone, picture)
    wear = grid.noise(rng, 0.15, 0.6)
    _paint(picture, white, _WHITE, np.clip(1.15 - rng.uniform(0.1, 0.9) * wear, 0.1, 1.0))
    if yellow is not None:
        _paint(picture, yellow, _YELLOW, np.clip(1.1 - 0.5 * wear, 0.1, 1.0))
    strew_litter(grid, plan, rng, picture)
    mirror = grid.layer()
    if wet > 0.0:
        mirror = make_wet(grid, plan, rng, picture, label, wet)
    colour = np.clip(picture, 0, 255, out=picture).astype(np.uint8)
    return GroundPicture(start, colour, label, material, mirror)


def _paint(
    picture: NDArray[np.float32], mask: Mask, colour: NDArray[np.float32], left: NDArray[np.float32]
) -> None:
    """Lay paint over a picture (H, W, 3) where `mask` is set; `left` is the share not worn off."""
    where = np.nonzero(mask)
    alpha = (mask[where] * np.float32(1 / 255) * left[where])[:, None]
    picture[where] += alpha * (colour - picture[where])
