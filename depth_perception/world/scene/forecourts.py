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

"""What stands on driveways, forecourts and squares: canopies, garages, cars, benches, people."""

from __future__ import annotations

import numpy as np

from depth_perception.world.objects.object_pool import POOL_SIZE, pooled_block, pooled_vehicle
from depth_perception.world.scene.paved_areas import PavedArea
from depth_perception.world.scene.site import Site
from depth_perception.world.scene.street_contents import box_size
from depth_perception.world.scene.traffic import LONG


def furnish_paved_areas(site: Site) -> None:
    """Place things on every paved area of the plan."""
    for area in site.plan.paved_areas:
        if area.kind == "driveway":
            _furnish_driveway(site, area)
        elif area.kind == "forecourt":
            _furnish_forecourt(site, area)
        else:
            _furnish_square(site, area)
        if (
            area.kind != "driveway"
            and site.plan.setting in _BUILT
            and site.extra_rng.uniform() < 0.8
        ):
            _close_back(site, area)


_BUILT = ("city", "suburb", "industrial", "car_park")


def _close_back(site: Site, area: PavedArea) -> None:
    """Buildings behind a paved area, side by side as far as they fit."""
    heading = 0.0 if area.side > 0 else np.pi
    s = area.first
    for _ in range(4):
        mesh = pooled_block(int(site.extra_rng.integers(24)), site.plan.setting == "city")
        width = box_size(mesh)[0]
        if s + width < area.last + 1.5:
            t = _t_beyond_edge(site, area, area.far + 1.6)
            site.put(mesh, s + width / 2, t, heading, sink=0.25)
            s += width + float(site.extra_rng.choice([0.2, 4.0]))


def _t_beyond_edge(site: Site, area: PavedArea, across: float) -> float:
    """The t of what lies `across` m from the carriageway's edge."""
    return area.side * (site.base_edge(area.side) + across)


def _park(site: Site, s: float, t: float, heading: float, longest: float) -> None:
    """Stand a vehicle somewhere off the road if it is short enough."""
    kind, mesh = pooled_vehicle(int(site.extra_rng.integers(POOL_SIZE)))
    if kind not in LONG and box_size(mesh)[0] < longest:
        site.put_object(kind, mesh, s, t, heading + site.extra_rng.normal(0, 0.03))


def _furnish_driveway(site: Site, area: PavedArea) -> None:
    """A garage or a gate at its end, a car before it."""
    rng, wide = site.extra_rng, area.last - area.first
    i = 0 if area.side > 0 else 1
    behind = site.plan.pavement[i] + site.plan.verge[i]
    suburb = site.plan.setting in ("suburb", "country")
    far = _t_beyond_edge(site, area, area.far)
    if suburb and rng.uniform() < 0.7 and abs(far) < 40.0:
        mesh = site.draw_object("garage", rng)
        if box_size(mesh)[0] < wide + 2.0:
            site.put(mesh, area.middle, far, 0.0 if area.side > 0 else np.pi, sink=0.15)
    if rng.uniform() < 0.5 and area.far - behind > 5.3:
        t = _t_beyond_edge(site, area, area.far - 2.9)
        _park(site, area.middle, t, area.side * rng.choice([-1, 1]) * np.pi / 2, area.far - behind)


def _furnish_forecourt(site: Site, area: PavedArea) -> None:
    """A petrol station with its canopy, or cars parked in rows."""
    rng = site.extra_rng
    long, deep = area.last - area.first, area.far - max(area.near, 0.5)
    heading = 0.0 if area.side > 0 else np.pi
    front = max(area.near, 1.2)
    i = 0 if area.side > 0 else 1
    if long > 22.0 and deep > 12.0 and rng.uniform() < 0.5:
        mesh = site.draw_object("canopy", rng)
        size = box_size(mesh)
        across = front + 1.5 + size[1] / 2
        if size[0] < long - 2.0 and across + size[1] / 2 < area.far + 4.0:
            site.put(mesh, area.middle, _t_beyond_edge(site, area, across), heading)
            for k in range(int(rng.integers(0, 5))):
                # Between the pumps and the canopy's edge, or beside it.
                s = area.middle + (k - 2) * 5.6
                t = _t_beyond_edge(site, area, across + rng.choice([-1, 1]) * (size[1] / 2 - 0.3))
                if area.first + 3 < s < area.last - 3:
                    _park(site, s, t, float(rng.choice([0.0, np.pi])), 5.3)
        sign = site.draw_object("billboard", rng)
        site.put(sign, area.first + 1.5, _t_beyond_edge(site, area, front + 1.0), np.pi / 2)
        return
    occupied = rng.uniform(0.15, 0.95)
    for s in np.arange(area.first + 1.8, area.last - 1.0, 2.6):
        if rng.uniform() < occupied:
            way = float(rng.choice([-1, 1])) * np.pi / 2
            _park(site, float(s), _t_beyond_edge(site, area, area.far - 2.6), way, 5.0)
    if deep > 14.0 and rng.uniform() < 0.5:
        for s in np.arange(area.first + 3.2, area.last - 3.0, 6.2):
            if rng.uniform() < 0.5 * occupied:
                _park(
                    site,
                    float(s),
                    _t_beyond_edge(site, area, front + 1.6),
                    float(rng.choice([0.0, np.pi])),
                    5.4,
                )
    if rng.uniform() < 0.4 and site.plan.pavement[i] > 0 and area.near > 0:
        for s in np.arange(area.first + 6.5, area.last, 2.0):
            site.put(
                site.draw_object("bollard", rng),
                float(s),
                _t_beyond_edge(site, area, area.near - 0.2),
            )


def _furnish_square(site: Site, area: PavedArea) -> None:
    """Trees in a row, benches, planters, bollards along the front, people."""
    rng = site.extra_rng
    front = max(area.near, 0.4)
    deep = area.far - front
    if rng.uniform() < 0.5:
        kind = str(rng.choice(["broadleaf_tree", "bare_tree", "palm", "avenue_tree"]))
        pitch = float(rng.uniform(6, 10))
        for s in np.arange(area.first + 3.0, area.last - 2.0, pitch):
            for across in np.arange(front + 6.5, area.far - 2.0, pitch):
                site.put(
                    site.draw_object(kind, rng),
                    float(s),
                    _t_beyond_edge(site, area, across),
                    rng.uniform(0, 6.3),
                )
    if rng.uniform() < 0.45:
        same = site.draw_object("bollard", rng)
        for s in np.arange(area.first + 1.0, area.last, float(rng.uniform(1.4, 2.4))):
            site.put(same, float(s), _t_beyond_edge(site, area, front))
    for _ in range(rng.poisson(0.02 * deep * (area.last - area.first))):
        kind = str(rng.choice(["bench", "bench", "planter", "bin", "flower_bed", "billboard"]))
        s, across = rng.uniform(area.first + 2, area.last - 2), front + rng.uniform(1.5, deep - 1)
        facing = float(rng.choice([0.0, np.pi / 2, np.pi, -np.pi / 2]))
        site.put(site.draw_object(kind, rng), float(s), _t_beyond_edge(site, area, across), facing)
    for _ in range(rng.poisson(0.018 * deep * (area.last - area.first))):
        s, across = rng.uniform(area.first, area.last), front + rng.uniform(0.5, deep)
        way = int(rng.choice([-1, 1]))
        speed = way * rng.uniform(0.7, 1.5) if rng.uniform() < 0.6 else 0.0
        heading = (0.0 if way > 0 else np.pi) if speed else rng.uniform(0, 6.28)
        site.put_mover(
            "person",
            site.draw_object("person", rng),
            s,
            _t_beyond_edge(site, area, across),
            speed,
            heading,
            upright=True,
        )
