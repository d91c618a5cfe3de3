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

"""What drives, parks, walks and stands in the way. Sides are +1 left and -1 right of the spine."""

from __future__ import annotations

import numpy as np

from depth_perception.world.objects.mesh import Mesh
from depth_perception.world.objects.object_pool import POOL_SIZE, pooled_vehicle
from depth_perception.world.scene.carriageways import Lane
from depth_perception.world.scene.site import Site
from depth_perception.world.scene.street_contents import box_size

LONG = ("bus", "box_lorry", "tipper", "tanker", "articulated")
"""Vehicles that do not park at a kerb."""


def _along(direction: int) -> float:
    """Heading of what moves along the spine (+1) or against it (-1), rad."""
    return 0.0 if direction > 0 else np.pi


def add_parked(site: Site) -> None:
    """Fill parking strips and bays, and put a few vehicles onto driveways."""
    plan, rng = site.plan, site.rng
    for lane in plan.lanes:
        if lane.kind in ("park", "bay", "half"):
            _fill_parking(site, lane)
    if plan.setting in ("suburb", "industrial"):
        for _ in range(rng.poisson(6)):
            side = int(rng.choice([-1, 1]))
            s = float(rng.uniform(site.start, site.end))
            t = side * (site.base_edge(side) + plan.building_line * rng.uniform(0.6, 0.9))
            if plan.building_line > 5.5 and site.free(side, s - 4, s + 4):
                kind, mesh = pooled_vehicle(int(rng.integers(POOL_SIZE)))
                if kind not in LONG:
                    site.put_object(kind, mesh, s, t, np.pi / 2 * side)


def _fill_parking(site: Site, lane: Lane) -> None:
    rng = site.rng
    occupied = rng.uniform(0.3, 0.95)
    side = 1 if lane.t > 0 else -1
    s = site.start + 1.0
    while s < site.end - 6.0:
        kind, mesh = pooled_vehicle(int(rng.integers(POOL_SIZE)))
        length = box_size(mesh)[0]
        if lane.kind == "bay":
            step = 2.5
            fits = length < lane.width
            heading = (np.pi / 2 if rng.uniform() < 0.7 else -np.pi / 2) * side
        else:
            step = length + float(rng.uniform(0.6, 1.6))
            fits = kind not in LONG
            heading = _along(lane.direction)
            heading += np.pi if rng.uniform() < 0.07 else 0.0
        if fits and rng.uniform() < occupied and site.free(side, s - 3, s + step + 3):
            t = lane.t + rng.normal(0, 0.08)
            if lane.kind == "half":  # two wheels on the pavement
                t += side * (lane.width / 2 + 0.05)
            site.put_object(kind, mesh, s + step / 2, t, heading + rng.normal(0, 0.02))
        s += step


def add_traffic(site: Site) -> None:
    """Let vehicles flow in every lane; those of the own lane drive at the own speed."""
    plan, rng = site.plan, site.rng
    # Metres between vehicles beyond what they need; the least is a queue.
    flow = float(rng.choice([2.0, 12.0, 25.0, 25.0, 60.0]))
    for lane in plan.lanes:
        if lane.kind == "cycle":
            _add_cyclists(site, lane)
        if lane.kind == "drive":
            _add_flow(site, lane, flow)
        elif lane.kind == "service":
            _add_flow(site, lane, 12.0 + 2.0 * flow, slow=True)
    if plan.setting in ("city", "suburb") and rng.uniform() < 0.7:
        for direction in (1, -1):
            lanes = plan.driving_lanes(direction)
            if lanes and lanes[0] is not site.ego_lane and lanes[0].width > 3.0:
                _add_cyclists(site, lanes[0], edge=True)


def _add_flow(site: Site, lane: Lane, flow: float, *, slow: bool = False) -> None:
    """Vehicles of one lane, on average `flow` m farther apart than they have to be."""
    rng = site.rng
    own = lane is site.ego_lane
    speed = site.ego_speed
    if not own:
        speed = float(np.clip(speed * rng.uniform(0.6, 1.4) + rng.normal(0, 1), 0.0, 33.0))
        if flow < 5.0:
            speed = min(speed, float(rng.uniform(0.0, 3.0)))
        if slow:
            speed = min(speed, 9.0)
    s = site.start + rng.exponential(flow)
    while s < site.end:
        kind, mesh = pooled_vehicle(int(rng.integers(POOL_SIZE)))
        if rng.uniform() < 0.05:
            kind, mesh = "motorcyclist", site.draw_object("motorcyclist")
        half = box_size(mesh)[0] / 2
        s += half
        if not own or abs(s) > half + 6.0:
            t = lane.t + rng.normal(0, 0.15)
            pace, heading = lane.direction * speed, _along(lane.direction)
            site.put_mover(kind, mesh, s, t, pace, heading, follows=own)
        s += half + 2.0 + min(speed, 12.0) * 0.8 + rng.exponential(flow)


def _add_cyclists(site: Site, lane: Lane, *, edge: bool = False) -> None:
    """Cyclists in the middle or at the right edge of a lane."""
    rng = site.rng
    s = site.start + rng.exponential(25.0)
    while s < site.end:
        t = lane.t - (lane.direction * (lane.width / 2 - 0.5) if edge else 0.0)
        near = any(abs(m.s - s) < 9.0 and abs(m.t - t) < 1.9 for m in site.contents.movers)
        if site.clear_of_ego(s, t) and not near:
            mesh = site.draw_object("cyclist")
            speed = lane.direction * rng.uniform(3.5, 6.5)
            site.put_mover("cyclist", mesh, s, t, speed, _along(lane.direction))
        s += 4.0 + rng.exponential(45.0)


def add_people(site: Site) -> None:
    """People on the pavements, on crossings and, now and then, in the road."""
    plan, rng = site.plan, site.rng
    mean = {
        "city": float(rng.choice([3.0, 6.0, 14.0])),
        "suburb": float(rng.choice([8.0, 25.0])),
        "car_park": 12.0,
        "industrial": 35.0,
        "country": 120.0,
    }.get(plan.setting)
    if mean is None:
        return
    for side in (1, -1):
        _add_walkers(site, side, mean)
    for crossing in plan.crossings:
        for _ in range(rng.poisson(2.0)):
            way = int(rng.choice([-1, 1]))
            t = rng.uniform(plan.shape.right - 1, plan.shape.left + 1)
            if abs(t - site.ego_lane.t) > 1.8 or abs(crossing) > 10:
                mesh = site.draw_object("person")
                s = crossing + rng.uniform(0.5, 3.0)
                _put_crossing(site, mesh, s, t, way, rng.uniform(0.9, 1.5))
    if rng.uniform() < 0.35:
        s = rng.uniform(8, 40)
        t = rng.uniform(plan.shape.right, plan.shape.left)
        way = int(rng.choice([-1, 1]))
        if abs(t - site.ego_lane.t) > 1.6:
            mesh = site.draw_object("person")
            _put_crossing(site, mesh, s, t, way, rng.uniform(0.0, 1.4))


def _put_crossing(site: Site, mesh: Mesh, s: float, t: float, way: int, pace: float) -> None:
    """Somebody who crosses the road at `pace` m/s, to the left (+1) or to the right (-1)."""
    site.put_mover("person", mesh, s, t, 0.0, way * np.pi / 2, sideways=way * pace, upright=True)


def _add_walkers(site: Site, side: int, mean: float) -> None:
    """Groups on one pavement, `mean` m apart, and bicycles that lean there."""
    plan, rng = site.plan, site.rng
    i = 0 if side > 0 else 1
    room = plan.pavement[i] + plan.verge[i]
    s = site.start + rng.exponential(mean)
    while s < site.end:
        group = int(rng.choice([1, 1, 1, 2, 3]))
        way = int(rng.choice([-1, 1]))
        walking = rng.uniform() < 0.8
        for k in range(group):
            across = rng.uniform(0.3, max(room - 0.25, 0.45)) if room > 0 else -0.6
            t = side * (site.base_edge(side) + across)
            mesh = site.draw_object("person")
            speed = way * rng.uniform(0.9, 1.6) if walking else 0.0
            heading = _along(way) if walking else rng.uniform(0, 6.28)
            site.put_mover("person", mesh, s + 0.6 * k, t, speed, heading, upright=True)
        if rng.uniform() < 0.06:
            t = side * (site.base_edge(side) + max(room - 0.4, 0.3))
            bicycle = site.draw_object("bicycle")
            site.put_object("bicycle", bicycle, s + 1.5, t, rng.uniform(-0.3, 0.3))
        s += 1.0 + rng.exponential(mean)
