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

"""Fills a street with what stands and moves in it, by the kind of place that it is."""

from __future__ import annotations

import numpy as np

from depth_perception.world.scene import (
    backdrop,
    forecourts,
    road_works,
    spans,
    street_side,
    structures,
    traffic,
    tramway,
    vegetation,
)
from depth_perception.world.scene.carriageways import Lane
from depth_perception.world.scene.plan import StreetPlan
from depth_perception.world.scene.road import Spine
from depth_perception.world.scene.site import Site
from depth_perception.world.scene.street_contents import StreetContents


def build_street(
    plan: StreetPlan,
    spine: Spine,
    rng: np.random.Generator,
    start: float,
    end: float,
    *,
    ego_speed: float,
    ego_lane: Lane,
    leafy: float = 1.0,
) -> StreetContents:
    """Fill a street between s = start and s = end.

    Args:
        plan: The street.
        spine: Where it goes.
        rng: Source of chance.
        start: First s, m.
        end: Last s, m.
        ego_speed: Of the vehicle with the cameras, m/s: its lane flows with it. It starts at s = 0.
        ego_lane: Its lane, one of the plan's; it is kept free around it.
        leafy: Factor on how often crowns meet over the road, and woods, hedges and walls line it.
    """
    site = Site(plan, spine, rng, start, end, ego_speed, ego_lane, leafy)
    # What crosses the road comes first: nothing else may stand in its way.
    below = structures.add_tunnel if plan.setting == "tunnel" else None
    over = site.extra_rng.uniform()
    if below is None and over < 0.12 and plan.setting in ("motorway", "country", "city"):
        spans.add_overpass(site)
    elif below is None and over < 0.2 and plan.setting not in ("country", "bridge", "car_park"):
        spans.add_footbridge(site)
    viaduct = below is None and site.extra_rng.uniform() < 0.25 and spans.add_viaduct(site)
    street_side.add_buildings(site)
    forecourts.furnish_paved_areas(site)
    for side in (1, -1):
        street_side.add_boundary(site, side)
        street_side.add_roadside(site, side)
        vegetation.add_gardens(site, side)
        avenue = not viaduct and vegetation.add_avenue(site, side)
        street_side.add_greenery(site, side, lined=avenue or viaduct)
        vegetation.add_woods(site, side)
        street_side.add_bollards(site, side)
    traffic.add_parked(site)
    traffic.add_traffic(site)
    traffic.add_people(site)
    road_works.add_road_works(site)
    tramway.add_tramway(site)
    if not viaduct:
        structures.add_median(site)
        structures.add_islands(site)
    if below is not None:
        below(site)
    if plan.setting == "motorway" and rng.uniform() < 0.5:
        structures.add_gantry(site)
    backdrop.add_backdrop(site)
    return site.contents
