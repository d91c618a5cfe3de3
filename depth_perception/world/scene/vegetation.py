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

"""Vegetation that closes the view: woods, avenues whose crowns meet over the road, gardens."""

from __future__ import annotations

import numpy as np

from depth_perception.world.objects import barriers, plants
from depth_perception.world.scene.road import HALF_WIDTH
from depth_perception.world.scene.site import Site

_WOODS = {
    "country": 0.75,
    "motorway": 0.75,
    "suburb": 0.6,
    "industrial": 0.6,
    "car_park": 0.6,
    "city": 0.35,
    "bridge": 0.6,
}
"""Chance of a wood's edge along each side."""

_AVENUES = {"city": 0.25, "suburb": 0.3, "country": 0.3, "car_park": 0.15}
"""Chance of big trees along each side, close to the road."""


def add_woods(site: Site, side: int) -> None:
    """The edge of a wood, or a belt of trees, along one side; it has a few gaps."""
    plan, rng = site.plan, site.extra_rng
    if rng.uniform() > site.leafy * _WOODS.get(plan.setting, 0.0):
        return
    edge = site.base_edge(side)
    i = 0 if side > 0 else 1
    away = plan.pavement[i] + plan.verge[i] + 4.0 + float(rng.gamma(1.6, 5.0))
    if plan.setting in ("city", "suburb", "industrial"):
        away = plan.building_line + float(rng.uniform(14.0, 22.0))
    if plan.setting == "bridge":
        away += 25.0
    if edge + away > HALF_WIDTH - 4.0:
        return
    there = True
    s = site.start + 6.0
    while s < site.end - 6.0:
        if rng.uniform() < 0.12:
            there = not there
        # Behind the paved areas that are in the way.
        paved_areas = [k.far for k in plan.paved_areas if k.meets(side, s - 7.0, s + 7.0)]
        back = max([away, *(far + 4.0 for far in paved_areas)])
        if there and edge + back < HALF_WIDTH and site.free(side, s - 6.5, s + 6.5, away=back):
            mesh = site.draw_object("thicket", rng)
            t = side * (edge + back + rng.normal(0, 0.9))
            site.put(mesh, float(s), float(t), np.pi if side > 0 else 0.0, sink=0.4)
        s += float(rng.uniform(8.0, 10.5))


def add_avenue(site: Site, side: int) -> bool:
    """Big trees close to the kerb, their crowns over the road; whether there are any."""
    plan, rng = site.plan, site.extra_rng
    if rng.uniform() > site.leafy * _AVENUES.get(plan.setting, 0.0):
        return False
    away = float(rng.uniform(0.7, 2.2))
    spacing = float(rng.uniform(8.0, 14.0))
    bare = rng.uniform() < 0.1
    for s in np.arange(site.start + rng.uniform(0, spacing), site.end, spacing):
        if site.free(side, s, s, 1.0) and rng.uniform() < 0.9:
            kind = "bare_tree" if bare else "avenue_tree"
            site.put_tree(kind, float(s) + rng.normal(0, 0.4), away, side)
    return True


def add_gardens(site: Site, side: int) -> None:
    """Suburban fronts: hedges and walls close to the road, flower beds, palms where it is warm."""
    plan, rng = site.plan, site.extra_rng
    i = 0 if side > 0 else 1
    behind = plan.pavement[i] + plan.verge[i]
    room = plan.building_line - behind
    if plan.setting not in ("suburb", "city", "car_park") or room < 0.9:
        return
    if plan.setting == "suburb" and room > 1.6 and rng.uniform() < 0.5 * site.leafy:
        hedged = rng.uniform() < 0.6
        site.put_along(
            side,
            behind + 0.75,
            lambda n: (plants.hedge if hedged else barriers.garden_wall)(rng, n),
            share=0.8,
        )
    warm = rng.uniform() < 0.12
    for s in np.arange(site.start, site.end, float(rng.uniform(5, 12))):
        s += rng.uniform(0, 3)
        if site.free(side, s - 1.5, s + 1.5) and rng.uniform() < 0.6:
            t = side * (site.base_edge(side) + behind + rng.uniform(1.2, max(room, 1.3)))
            kind = str(rng.choice(["bush", "bush", "flower_bed", "conifer"]))
            kind = "palm" if warm and rng.uniform() < 0.5 else kind
            if kind in ("palm", "conifer"):
                site.put_tree(kind, float(s), abs(t) - site.base_edge(side), side)
            else:
                site.put(site.draw_object(kind, rng), float(s), t, rng.uniform(0, 6.3))
