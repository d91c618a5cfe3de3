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

"""Big things of a street: what stands on its median and islands, tunnels, gantries."""

from __future__ import annotations

import numpy as np

from depth_perception.datasets import labels
from depth_perception.world.objects import barriers, plants, signals
from depth_perception.world.objects.mesh import FloatArray, Mesh, SurfaceProperties
from depth_perception.world.objects.object_pool import POOL_SIZE, low_reach, pooled_object
from depth_perception.world.scene.road import Spine
from depth_perception.world.scene.site import Site
from depth_perception.world.surfaces.materials import INDEX


def add_median(site: Site) -> None:
    """A rail, or trees and bushes, on the median if there is one."""
    plan, rng = site.plan, site.rng
    if plan.shape.median is None:
        return
    upper, lower, _ = plan.shape.median
    middle = (upper + lower) / 2
    choice = rng.uniform()
    if plan.setting == "motorway" or choice < 0.3:
        make = barriers.guard_rail if rng.uniform() < 0.6 else barriers.jersey_barrier
        piece = make(rng, 5.1)
        for s in np.arange(site.start, site.end - 5, 5.0):
            if site.free(1, s, s + 5) and site.free(-1, s, s + 5):
                site.put(piece, float(s) + 2.5, middle, upright=False)
    elif upper - lower > 1.2:
        for s in np.arange(site.start, site.end, rng.uniform(6, 15)):
            if site.free(1, s - 2, s + 2) and site.free(-1, s - 2, s + 2):
                kind = str(rng.choice(["broadleaf_tree", "bush", "bush"]))
                site.put(site.draw_object(kind), float(s), middle)


def add_islands(site: Site) -> None:
    """Hedges, rails, fences, trees, signs or nothing on the strips beside the main road."""
    plan, rng = site.plan, site.extra_rng
    for strip in plan.shape.strips:
        wide = strip.upper - strip.lower
        if strip.tracks or wide < 0.7:
            continue
        free = [
            s
            for s in np.arange(site.start + 3, site.end - 8, 5.0)
            if not plan.shape.gap(strip, np.array([s - 3.5, s, s + 3.5])).any()
        ]
        choice = rng.uniform()
        if choice < 0.35:
            makers = [barriers.guard_rail, barriers.fence]
            if wide > 1.8:
                makers += [plants.hedge, plants.hedge]
            piece = makers[int(rng.integers(len(makers)))](rng, 5.1)
            for s in free:
                site.put(piece, float(s), strip.middle, upright=False)
        elif choice < 0.8 and wide > 1.5:
            kinds = ["broadleaf_tree", "bush", "avenue_tree", "bush", "bare_tree", "flower_bed"]
            for s in free:
                kind = str(rng.choice(kinds))
                number = int(rng.integers(POOL_SIZE))
                if rng.uniform() < 0.6 and low_reach(kind, number) < wide / 2 + 0.3:
                    site.put(
                        pooled_object(kind, number), float(s), strip.middle, rng.uniform(0, 6.3)
                    )
        for s in free:
            if rng.uniform() < 0.08:
                kind = str(rng.choice(["road_sign", "lamp_post", "bollard", "direction_sign"]))
                heading = float(rng.choice([0.0, np.pi]))
                mesh = site.draw_object(kind, rng)
                if kind == "lamp_post" or np.abs(mesh.bounds()[:, 1]).max() < wide / 2 - 0.1:
                    site.put(mesh, float(s) + 2.5, strip.middle, heading)


def _profile_along(
    spine: Spine, surface: SurfaceProperties, outline: FloatArray, first: float, last: float
) -> Mesh:
    """Sweep an outline (M, 2) of (t, height), m, along the road from one s to another."""
    rings = [spine.world(s, outline[:, 0], outline[:, 1]) for s in np.arange(first, last + 2, 4.0)]
    return surface.loft(np.array(rings), closed=False, smooth=False)


def add_tunnel(site: Site) -> None:
    """A tunnel over the road near the vehicle, round or square, with lamps and a hill on it."""
    rng, shape, spine, still = site.rng, site.plan.shape, site.spine, site.contents.still
    first, last = rng.uniform(-60, 25), rng.uniform(60, 150)
    first, last = max(first, site.start), min(last, site.end - 2)
    left, right = shape.left + 1.2, shape.right - 1.2
    top = float(rng.uniform(4.6, 6.5))
    grey = float(rng.uniform(0.5, 1.1))
    wall = SurfaceProperties(INDEX["concrete"], (grey, grey, grey), labels.WALL)
    if rng.uniform() < 0.5:
        angle = np.linspace(0, np.pi, 13)
        middle, half = (left + right) / 2, (left - right) / 2
        arch = np.stack([middle + half * np.cos(angle), 1.0 + (top - 1.0) * np.sin(angle)], 1)
        outline = np.concatenate([[[left, -0.5]], arch, [[right, -0.5]]])
    else:
        outline = np.array([[left, -0.5], [left, top], [right, top], [right, -0.5]])
    still.append(_profile_along(spine, wall, outline, first, last))
    lamp = SurfaceProperties(INDEX["lamp"], (1.0, 0.92, 0.7), labels.WALL).box(
        (0, 0, 0), (1.2, 0.25, 0.12)
    )
    for s in np.arange(first + 3, last - 3, 9.0):
        for t in (left - 0.6, right + 0.6):
            x, y, z = spine.world(s, t, top * 0.72)
            still.append(lamp.placed(x, y, z, float(spine.at("heading", s))))
    portal = SurfaceProperties(INDEX["stone"], (0.9, 0.9, 0.9), labels.WALL)
    for s, way in ((first, -1), (last, 1)):
        for t0, t1, z0 in ((left, left + 30, -1.0), (right - 30, right, -1.0), (right, left, top)):
            p = spine.world(np.full(4, s), [t0, t1, t1, t0], [z0, z0, top + 4, top + 4])
            still += [portal.quad(p[::way]), portal.quad(p[::-way])]  # seen from both sides
    roof = SurfaceProperties(INDEX["grass"], (0.8, 0.9, 0.6), labels.TERRAIN)
    hill = np.array([[left + 30, top + 3.9], [right - 30, top + 3.9]])
    still.append(_profile_along(spine, roof, hill, first, last))
    still.append(_profile_along(spine, roof, hill[::-1], first, last))


def add_gantry(site: Site) -> None:
    """A sign gantry across the carriageway, ahead of the vehicle."""
    s = float(site.rng.uniform(15, 90))
    shape = site.plan.shape
    mesh = signals.gantry(site.rng, shape.left - shape.right + 2.5)
    site.put(mesh, s, (shape.left + shape.right) / 2)
