"""Fills a street with what stands and moves in it, by the kind of place that it is."""

from __future__ import annotations

import numpy as np

from depth_perception.world import backdrop, street_side, structures, traffic
from depth_perception.world.plan import Lane, StreetPlan
from depth_perception.world.road import Spine
from depth_perception.world.site import Site
from depth_perception.world.town import Town


def build_town(
    plan: StreetPlan, spine: Spine, rng: np.random.Generator, start: float, end: float, *,
    ego_speed: float, ego_lane: Lane, ego_s: float = 0.0,
) -> Town:  # fmt: skip
    """Fill a street between s = start and s = end.

    Args:
        plan: The street.
        spine: Where it goes.
        rng: Source of chance.
        start: First s, m.
        end: Last s, m.
        ego_speed: Of the vehicle with the cameras, m/s: its lane flows with it.
        ego_lane: Its lane, one of the plan's; it is kept free around it.
        ego_s: Its s at time 0, m.
    """
    site = Site(plan, spine, rng, start, end, ego_s, ego_speed, ego_lane)
    street_side.add_buildings(site)
    for side in (1, -1):
        street_side.add_boundary(site, side)
        street_side.add_roadside(site, side)
        street_side.add_greenery(site, side)
    traffic.add_parked(site)
    traffic.add_traffic(site)
    traffic.add_people(site)
    traffic.add_works(site)
    structures.add_median(site)
    if plan.setting == "tunnel":
        structures.add_tunnel(site)
    elif rng.uniform() < 0.12 and plan.setting in ("motorway", "country", "city"):
        structures.add_overpass(site)
    if plan.setting == "motorway" and rng.uniform() < 0.5:
        structures.add_gantry(site)
    backdrop.add_backdrop(site)
    return site.town
