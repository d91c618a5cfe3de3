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

"""Roundabouts: an island in a ring that the road widens into, and the way around it.

The island is as long as it is wide, times `STRETCH`, so that the way in turns no sharper than a
car can. Everything is in (s, t), metres; the middle is on the spine.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from depth_perception.world.scene.paved_areas import dropped_kerbs
from depth_perception.world.scene.plan import StreetPlan
from depth_perception.world.scene.road import Roundabout, SideRoad


def with_roundabout(plan: StreetPlan, rng: np.random.Generator, end: float) -> StreetPlan:
    """Give some streets a roundabout ahead of the vehicle; other junctions near by go.

    Only a road of one lane each way without a median can have one.
    """
    drive = [lane for lane in plan.lanes if lane.kind == "drive"]
    simple = (
        plan.setting in ("city", "suburb", "country", "industrial")
        and len(drive) == 2
        and drive[0].direction > 0 > drive[1].direction
        and not plan.shape.raised
    )
    island, ring = float(rng.uniform(3.0, 9.0)), float(rng.uniform(6.0, 8.0))
    s = float(rng.uniform(18.0, 55.0))
    sides, chosen = [(1,), (-1,), (1, -1)][int(rng.integers(3))], rng.uniform() < 0.2
    if not (simple and chosen and s < end - 40.0):
        return plan
    roundabout = Roundabout(s, island, ring, float(rng.uniform(0.2, 0.9)))
    arms = tuple(SideRoad(s, side, float(rng.uniform(5.0, 7.0)), 4.0) for side in sides)
    kept = tuple(
        r for r in plan.shape.side_roads if abs(r.s - s) > roundabout.length + r.width + 12.0
    )
    paved_areas = tuple(
        y
        for y in plan.paved_areas
        if abs(y.middle - s) > roundabout.length + y.last - y.first + 8.0
    )
    shape = replace(
        plan.shape,
        side_roads=kept + arms,
        roundabout=roundabout,
        dropped_kerbs=dropped_kerbs(paved_areas),
    )
    crossings = tuple(c for c in plan.crossings if abs(c - s) > roundabout.length + 4.0)
    return replace(plan, shape=shape, crossings=crossings, paved_areas=paved_areas, tracks=())


def path(plan: StreetPlan, s: ArrayLike, t: ArrayLike) -> NDArray[np.float64]:
    """Where someone at (s, t) of a straight road is when the road has a roundabout: t, m.

    Traffic goes round the island in the middle of the ring; who walks beside the road keeps to
    its edge.
    """
    s, t = np.asarray(s, float), np.asarray(t, float)
    roundabout = plan.shape.roundabout
    if roundabout is None:
        return t
    circle = roundabout.across(s, roundabout.island + roundabout.ring / 2.0)
    # A smooth maximum, so that the way in has no kink.
    driven = np.sign(t) * (np.abs(t) ** 4 + circle**4) ** 0.25
    base = np.where(t > 0, plan.shape.left, -plan.shape.right)
    widened = np.maximum(roundabout.across(s, roundabout.island + roundabout.ring) - base, 0.0)
    return np.where(np.abs(t) <= base, driven, t + np.sign(t) * widened)


def path_heading(plan: StreetPlan, s: float, t: float) -> float:
    """Direction of `path` against the spine's, rad, counter-clockwise."""
    if plan.shape.roundabout is None:
        return 0.0
    ahead, behind = path(plan, s + 0.2, t), path(plan, s - 0.2, t)
    return float(np.arctan2(ahead - behind, 0.4))
