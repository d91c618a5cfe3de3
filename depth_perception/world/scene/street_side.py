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

"""What lines a street: buildings, fences and rails, lamps and signs, trees.

Sides are +1 left and -1 right of the spine.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from depth_perception.world.objects import barriers, buildings, plants, sheds
from depth_perception.world.objects.mesh import FloatArray, Mesh
from depth_perception.world.objects.poles import UTILITY_WIRES, cable
from depth_perception.world.scene.road import HALF_WIDTH
from depth_perception.world.scene.site import Site

LongMaker = Callable[[np.random.Generator, float], Mesh]

_DENSITY = {"city": 0.95, "suburb": 0.85, "industrial": 0.6, "country": 0.08, "car_park": 0.3}
"""Share of the plots that are built on."""

_FURNITURE = {
    "city": [
        "bin",
        "bollard",
        "bollard",
        "bench",
        "cabinet",
        "parking_meter",
        "planter",
        "bus_shelter",
        "dumpster",
        "billboard",
        "hydrant",
        "mailbox",
    ],
    "suburb": ["bin", "cabinet", "bollard", "mailbox", "hydrant", "dumpster"],
    "country": ["bollard", "bollard", "cabinet"],
    "motorway": ["bollard", "cabinet"],
    "industrial": ["dumpster", "cabinet", "bollard", "bin"],
    "car_park": ["bollard", "bin", "planter", "parking_meter"],
}
"""Small things on the pavement; those named twice are twice as frequent."""


def add_buildings(site: Site) -> None:
    """Houses, blocks and sheds along both sides, with gaps between them."""
    plan, rng = site.plan, site.rng
    density = _DENSITY.get(plan.setting, 0.0)
    if density == 0.0:
        return
    tall = int(rng.choice([3, 4, 5, 8, 14])) if plan.setting == "city" else 2
    for side in (1, -1):
        s = site.start + rng.uniform(0, 10)
        while s < site.end:
            style = rng.uniform()
            if plan.setting in ("city", "car_park"):
                width = 3.0 * int(rng.integers(3, 12))
                depth = float(rng.uniform(9, 16))
                storeys = max(2, int(tall + rng.integers(-2, 3)))
            elif plan.setting == "industrial":
                width, depth, storeys = 3.0 * int(rng.integers(5, 16)), 18.0, 2
            else:
                width, depth = 3.0 * int(rng.integers(2, 6)), float(rng.uniform(7, 11))
                storeys = 2
            middle = s + width / 2
            if not site.free(side, s, s + width, 1.5):
                s += 2.5  # up against a junction or a paved area
                continue
            if rng.uniform() < density:
                if plan.setting == "industrial" and style < 0.8:
                    mesh = sheds.industrial(rng, width, depth)
                elif plan.setting in ("city", "car_park"):
                    make = buildings.office if style < 0.25 else buildings.block
                    mesh = make(rng, width, depth, storeys)
                else:
                    mesh = buildings.house(rng, width, depth)
                line = plan.building_line + (0.0 if plan.setting == "city" else rng.uniform(0, 2.5))
                t = side * (site.base_edge(side) + line)
                site.put(mesh, middle, t, 0.0 if side > 0 else np.pi, sink=0.25)
            city_gap = float(rng.choice([0.0, 0.0, 0.0, 2.0, 6.0]))
            gap = {"city": city_gap, "suburb": rng.uniform(1.5, 9.0)}
            s += width + gap.get(plan.setting, rng.uniform(4, 30))


def add_boundary(site: Site, side: int) -> None:
    """Hedges, walls and fences between pavement and plot; rails and barriers on fast roads."""
    plan, rng = site.plan, site.rng
    i = 0 if side > 0 else 1
    behind = plan.pavement[i] + plan.verge[i] + 0.35
    maker: LongMaker
    if plan.setting == "bridge":
        site.put_along(side, 2.1, lambda n: barriers.fence(rng, n))
        site.put_along(side, 0.4, lambda n: barriers.guard_rail(rng, n))
    elif plan.setting == "tunnel":
        return
    elif plan.setting == "motorway":
        maker = barriers.guard_rail if rng.uniform() < 0.7 else barriers.jersey_barrier
        if rng.uniform() < 0.8:
            site.put_along(side, 0.7, lambda n: maker(rng, n))
        if rng.uniform() < 0.3:
            wall = float(rng.uniform(2.0, 5.0))
            site.put_along(side, 5.0, lambda n: barriers.retaining_wall(rng, n, wall))
    elif plan.setting == "country":
        if rng.uniform() < 0.6:
            kinds = [barriers.fence, plants.hedge, barriers.guard_rail, barriers.garden_wall]
            maker = kinds[int(rng.integers(len(kinds)))]
            offset = float(rng.uniform(2.0, 6.0))
            site.put_along(side, offset, lambda n: maker(rng, n), share=0.8)
    elif plan.building_line - behind > 1.0:
        kinds = [barriers.fence, barriers.fence, plants.hedge, barriers.garden_wall]
        site.put_along(
            side, behind, lambda n: kinds[int(rng.integers(len(kinds)))](rng, n), share=0.85
        )


def add_roadside(site: Site, side: int) -> None:
    """Lamps, signs, poles, bins and whatever else stands on a pavement or verge."""
    plan, rng = site.plan, site.rng
    i = 0 if side > 0 else 1
    room = max(plan.pavement[i] + plan.verge[i], 1.0 if plan.setting != "tunnel" else 0.0)
    edge = site.base_edge(side)
    if rng.uniform() < 0.8 and plan.setting != "country":
        spacing = float(rng.uniform(18, 40))
        lamp = site.draw_object("lamp_post")
        for s in np.arange(site.start + rng.uniform(0, spacing), site.end, spacing):
            if site.free(side, s, s):
                site.put(lamp, float(s), side * (edge + 0.5), 0.0 if side < 0 else -np.pi)
    if rng.uniform() < (0.5 if plan.setting in ("country", "suburb") else 0.1):
        _add_poles_and_wires(site, side, side * (edge + room + 0.4))
    _add_furniture(site, side, room)
    _add_signs(site, side)


def _add_poles_and_wires(site: Site, side: int, t: float) -> None:
    """A line of utility poles at t, on one side of the road, with its wires."""
    rng = site.rng
    height = float(site.extra_rng.uniform(7.5, 9.5))
    pole = site.draw_object("utility_pole")
    top = float(pole.bounds()[1, 2])
    pole = pole.scaled(1.0, 1.0, height / top)
    last: FloatArray | None = None
    for s in np.arange(site.start + rng.uniform(0, 30), site.end - 2, rng.uniform(28, 45)):
        if not site.free(side, s, s):
            continue
        site.put(pole, float(s), t)
        base = site.plan.shape.height(float(s), t)
        ends = np.array(
            [
                site.spine.world(float(s), t + y, float(base) + height + z + 0.1)
                for y, z in UTILITY_WIRES
            ]
        )
        if last is not None and np.linalg.norm(ends[0] - last[0]) < 60.0:
            site.contents.still += [
                cable(a.tolist(), b.tolist()) for a, b in zip(last, ends, strict=True)
            ]
        last = ends


def _add_furniture(site: Site, side: int, room: float) -> None:
    """Small things on the `room` m between kerb and plot."""
    rng, setting = site.rng, site.plan.setting
    kinds = _FURNITURE.get(setting, ["cabinet"])
    mean = {"city": 4.5, "suburb": 10.0, "car_park": 10.0}.get(setting, 25.0)
    s = site.start + rng.exponential(mean)
    while s < site.end:
        kind = str(rng.choice(kinds))
        if site.free(side, s - 2, s + 2):
            mesh = site.draw_object(kind)
            across = max(rng.uniform(0.3, max(room - 0.3, 0.4)), _half_width(mesh) + 0.1)
            t = side * (site.base_edge(side) + across)
            site.put(mesh, float(s), t, np.pi if side > 0 else 0.0)
        s += 1.0 + rng.exponential(mean)


def _half_width(mesh: Mesh) -> float:
    """How far a thing that stands along or against the road reaches across it, m."""
    return float(np.abs(mesh.bounds()[:, 1]).max())


def _add_signs(site: Site, side: int) -> None:
    """Signs and traffic lights; they face the traffic that comes on this side."""
    plan, rng = site.plan, site.rng
    edge = site.base_edge(side)
    heading = 0.0 if side < 0 else np.pi
    mean = {"city": 15.0, "motorway": 50.0, "suburb": 24.0}.get(plan.setting, 32.0)
    s = site.start + rng.exponential(mean)
    while s < site.end:
        kind = "direction_sign" if rng.uniform() < 0.12 else "road_sign"
        if site.free(side, s - 1, s + 1):
            mesh = site.draw_object(kind)
            # No board reaches over the road.
            away = max(rng.uniform(0.4, 1.2), _half_width(mesh) + 0.2)
            site.put(mesh, float(s), side * (edge + away), heading + rng.normal(0, 0.1))
        s += 3.0 + rng.exponential(mean)
    if plan.setting in ("city", "suburb"):
        roundabout = plan.shape.roundabout
        for road in plan.shape.side_roads:
            if roundabout is not None and abs(road.s - roundabout.s) < roundabout.length:
                continue
            if rng.uniform() < 0.45:
                at = road.s - np.sign(-side) * (road.width / 2 + road.radius + 1.0)
                light = site.draw_object("traffic_light")
                site.put(light, float(at), side * (edge + 0.5), heading)


def add_bollards(site: Site, side: int) -> None:
    """A row of bollards or of short posts along the kerb for a stretch."""
    plan, rng = site.plan, site.extra_rng
    i = 0 if side > 0 else 1
    if plan.pavement[i] + plan.verge[i] < 1.2 or rng.uniform() > 0.3:
        return
    first = float(rng.uniform(-20, 40))
    post = site.draw_object("bollard", rng)
    for s in first + np.arange(int(rng.integers(6, 26))) * float(rng.uniform(1.4, 2.6)):
        if s < site.end - 2 and site.free(side, s, s):
            site.put(post, float(s), side * (site.base_edge(side) + 0.45))


def add_greenery(site: Site, side: int, *, lined: bool = False) -> None:
    """Trees along the kerb unless it is `lined`, trees and bushes beyond, tufts of grass."""
    plan, rng = site.plan, site.rng
    if plan.setting == "tunnel":
        return
    i = 0 if side > 0 else 1
    edge, room = site.base_edge(side), plan.pavement[i] + plan.verge[i]
    main_kind = str(rng.choice(["broadleaf_tree", "broadleaf_tree", "bare_tree", "mixed"]))

    def tree() -> str:
        if main_kind == "mixed" or rng.uniform() < 0.15:
            return str(rng.choice(["broadleaf_tree", "conifer", "bare_tree"]))
        return main_kind

    if plan.setting in ("city", "suburb", "car_park") and rng.uniform() < 0.55 and not lined:
        spacing = float(rng.uniform(7, 18))
        for s in np.arange(site.start + rng.uniform(0, spacing), site.end, spacing):
            if site.free(side, s, s, 1.0) and rng.uniform() < 0.85:
                site.put_tree(tree(), float(s), min(0.8, 0.5 * room + 0.3), side)
    mean = {"city": 25.0, "suburb": 7.0, "country": 7.0, "motorway": 9.0}.get(plan.setting, 15.0)
    s = site.start + rng.exponential(mean)
    while s < site.end:
        low = room + 1.0 if plan.setting != "city" else plan.building_line + 14.0
        away = low + rng.gamma(1.5, 8.0)
        if site.free(side, s - 2, s + 2) and edge + away < HALF_WIDTH - 2:
            inside = plan.building_line - 1.0 < away < plan.building_line + 13.0
            if not (inside and plan.setting in ("city", "suburb", "industrial")):
                kind = tree() if rng.uniform() < 0.6 else "bush"
                site.put_tree(kind, float(s), away, side)
        s += rng.exponential(mean)
    if plan.land_surface == "grass" or plan.setting in ("country", "motorway"):
        for _ in range(int(rng.integers(10, 60))):
            s = rng.uniform(max(site.start, -30.0), min(site.end, 60.0))
            if site.free(side, s, s):
                t = side * (edge + room + rng.gamma(1.2, 2.0) + 0.2)
                site.put(site.draw_object("grass_tuft"), float(s), t)
