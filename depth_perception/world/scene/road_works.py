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

"""Road works: cones, boards and water-filled barriers, and what lies behind them."""

from __future__ import annotations

import numpy as np

from depth_perception.world.objects import barriers
from depth_perception.world.objects.mesh import Mesh
from depth_perception.world.objects.object_pool import POOL_SIZE, pooled_object, pooled_vehicle
from depth_perception.world.scene.carriageways import Lane
from depth_perception.world.scene.site import Site


def add_road_works(site: Site) -> None:
    """Close closed lanes; now and then also the road's edge, a verge or an island."""
    rng = site.extra_rng
    for lane in site.plan.lanes:
        if lane.kind == "closed":
            _close(site, lane)
    chance = rng.uniform()
    if chance < 0.12:
        _guard_edge(site)
    elif chance < 0.28:
        _cones(site)


def _maker(site: Site) -> Mesh:
    """Five metres of what parts road works from traffic, mostly barriers filled with water."""
    rng = site.extra_rng
    kind = rng.uniform()
    if kind < 0.65:
        return barriers.water_barrier(rng, 5.0)
    return (barriers.jersey_barrier if kind < 0.8 else barriers.fence)(rng, 5.0)


def _close(site: Site, lane: Lane) -> None:
    """Barriers along the inner edge of a closed lane, boards across its ends, heaps in it."""
    rng, side = site.extra_rng, -lane.direction
    first = float(rng.uniform(-45, 20))
    last = first + float(rng.uniform(50, 140))
    piece = _maker(site)
    t = lane.t - side * (lane.width / 2 - 0.35)
    for s in np.arange(max(first, site.start + 3), min(last, site.end - 8), 5.05):
        if site.free(side, s, s + 5):
            site.put(piece, float(s) + 2.5, t, rng.normal(0, 0.01), upright=False)
    for end in (first - 2.0, last + 7.0):
        for k in range(3):
            at = end + (k - 1) * 1.5
            if site.start + 2 < at < site.end - 2 and site.free(side, at, at):
                site.put(site.draw_object("barrier_board", rng), at, lane.t)
    s = first + 4.0
    while s < last - 8.0:
        kind = str(rng.choice(["soil_heap", "soil_heap", "cone", "dumpster", "vehicle", "none"]))
        inside = site.start + 6 < s < site.end - 6 and site.free(side, s - 5, s + 5)
        middle = lane.t + side * 0.35
        if inside and kind == "vehicle":
            name, mesh = pooled_vehicle(int(rng.integers(POOL_SIZE)))
            if name in ("van", "pickup", "tipper"):
                site.put_object(name, mesh, s, lane.t + side * 0.25, 0.0)
                s += 4.0
        elif inside and kind != "none":
            heading = float(rng.choice([0.0, np.pi]))
            site.put(_narrow(site.draw_object(kind, rng), lane.width - 1.0), s, middle, heading)
        s += 5.0 + rng.exponential(6.0)


def _narrow(mesh: Mesh, most: float) -> Mesh:
    """The mesh, made as narrow as it has to be to lie in a lane."""
    low, high = mesh.bounds()
    factor = min(1.0, most / max(float(high[1] - low[1]), 1e-3))
    return mesh.scaled(1.0, factor, 1.0)


def _guard_edge(site: Site) -> None:
    """A row of barriers along a kerb or on an island, with road works on the pavement behind."""
    rng, side = site.extra_rng, int(site.extra_rng.choice([-1, 1]))
    first = float(rng.uniform(-40, 25))
    count = int(rng.integers(6, 25))
    islands = [strip for strip in site.plan.shape.raised if strip.upper - strip.lower > 0.9]
    across = side * (site.base_edge(side) + 0.45)
    if islands and rng.uniform() < 0.6:
        chosen = islands[int(rng.integers(len(islands)))]
        side = chosen.side or side
        across = chosen.upper - 0.4 if chosen.side < 0 else chosen.lower + 0.4
    piece = _maker(site)
    for k in range(count):
        s = first + 5.05 * k
        if site.start + 3 < s < site.end - 8 and site.free(side, s, s + 5):
            site.put(piece, s + 2.5, across, rng.normal(0, 0.01), upright=False)
    i = 0 if side > 0 else 1
    if site.plan.pavement[i] > 1.4 and abs(abs(across) - site.base_edge(side)) < 1.0:
        for _ in range(int(rng.integers(1, 4))):
            s = first + float(rng.uniform(5, 5 * count))
            if s < site.end - 4 and site.free(side, s - 3, s + 3):
                heap = _narrow(pooled_object("soil_heap", int(rng.integers(POOL_SIZE))), 1.6)
                site.put(heap, s, across + side * 1.2)


def _cones(site: Site) -> None:
    """A few cones or boards at the road's edge."""
    rng = site.extra_rng
    side = int(rng.choice([-1, 1]))
    s0 = rng.uniform(-10, 40)
    kind = str(rng.choice(["cone", "barrier_board"]))
    for k in range(int(rng.integers(3, 12))):
        s = s0 + 2.5 * k
        t = side * (float(site.plan.shape.edge(side, s)) - min(0.4 + 0.25 * k, 2.0))
        mesh = site.draw_object(kind, rng)
        half = float(np.abs(mesh.bounds()[:, 1]).max())
        if all(
            abs(t - k.t) > k.width / 2 + half - 0.3 for k in site.plan.lanes if k.kind != "park"
        ):
            site.put(mesh, s, t, float(rng.choice([0.0, np.pi])))
