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

"""What crosses over the road or stands along it on piers: bridges, footbridges, viaducts."""

from __future__ import annotations

import numpy as np

from depth_perception.datasets import labels
from depth_perception.world.objects.barriers import PAINTS
from depth_perception.world.objects.mesh import Mesh, SurfaceProperties, join
from depth_perception.world.objects.primitives import between, choose, surface, tubes, varied
from depth_perception.world.scene.road import HALF_WIDTH
from depth_perception.world.scene.site import Site
from depth_perception.world.surfaces.materials import INDEX


def _clear_stretch(site: Site, half: float, low: float, high: float) -> float | None:
    """An s ahead of the vehicle where nothing joins on either side; None when none is found."""
    for _ in range(8):
        s = float(site.extra_rng.uniform(low, high))
        inside = site.start + half < s < site.end - half
        if inside and all(site.free(side, s - half, s + half, 1.0) for side in (1, -1)):
            return s
    return None


def add_overpass(site: Site) -> None:
    """A bridge over the road on piers, ahead of the vehicle."""
    rng, shape, spine = site.extra_rng, site.plan.shape, site.spine
    width, clear = float(rng.uniform(6, 22)), float(rng.uniform(4.8, 7.0))
    s = _clear_stretch(site, width / 2 + 1.0, 8, 100)
    if s is None:
        return
    site.taken += [(side, s - width / 2 - 2, s + width / 2 + 2) for side in (1, -1)]
    grey = float(rng.uniform(0.6, 1.1))
    concrete = SurfaceProperties(INDEX["concrete"], (grey, grey, grey * 0.97), labels.BUILDING)
    heading = float(spine.at("heading", s)) + rng.normal(0, 0.15)
    long = 2 * HALF_WIDTH
    parts = [
        concrete.box((0, 0, clear + 0.6), (width, long, 1.2)),
        concrete.box((-width / 2 + 0.15, 0, clear + 1.7), (0.3, long, 1.0)),
        concrete.box((width / 2 - 0.15, 0, clear + 1.7), (0.3, long, 1.0)),
    ]
    if rng.uniform() < 0.4:  # a railing or a wall against noise on top
        glass = surface("plain", varied(rng, (0.35, 0.42, 0.40)), labels.BUILDING)
        for x in (-width / 2 + 0.1, width / 2 - 0.1):
            parts.append(glass.box((x, 0, clear + 3.0), (0.12, long, 1.8)))
    columns = [shape.left + 2.6, shape.right - 2.6, shape.left + 22, shape.right - 22]
    columns += [k.middle for k in shape.raised if k.upper - k.lower > 1.6 and not k.tracks]
    for t in columns:
        if abs(t) < long / 2:
            for x in (-width / 3, width / 3):
                parts.append(concrete.rod((x, t, -3.0), (x, t, clear + 0.2), 0.5, sides=12))
    x, y, z = spine.world(s, 0.0, 0.0)
    site.contents.still.append(join(parts).placed(x, y, z, heading))


def add_footbridge(site: Site) -> None:
    """A narrow bridge for people, of steel or concrete, with stairs beyond both kerbs."""
    rng, shape, spine = site.extra_rng, site.plan.shape, site.spine
    s = _clear_stretch(site, 4.0, 10, 90)
    if s is None:
        return
    site.taken += [(side, s - 4.0, s + 4.0) for side in (1, -1)]
    left, right = (
        shape.left + float(rng.uniform(1.5, 3.0)),
        shape.right - float(rng.uniform(1.5, 3)),
    )
    wide, clear = float(rng.uniform(2.2, 4.0)), float(rng.uniform(4.8, 6.0))
    long, middle = left - right + 2.0, (left + right) / 2
    body = choose(
        rng,
        (
            surface("concrete", varied(rng, (0.8, 0.79, 0.76)), labels.BUILDING),
            surface("metal", varied(rng, (0.10, 0.22, 0.15)), labels.BUILDING),
            surface("plain", varied(rng, (0.70, 0.70, 0.68)), labels.BUILDING),
        ),
    )
    rail = surface("metal", varied(rng, choose(rng, PAINTS)), labels.FENCE)
    parts = [body.box((0, middle, clear + 0.3), (wide, long, 0.6))]
    steps = between(long - 0.2, 1.5 if rng.random() < 0.5 else 0.5) + middle
    style = rng.random()
    for x in (-wide / 2 + 0.06, wide / 2 - 0.06):
        foot = np.column_stack([np.full(len(steps), x), steps, np.full(len(steps), clear + 0.6)])
        if style < 0.4:  # a truss as high as a man
            high = 2.4
            parts.append(body.box((x, middle, clear + 0.6 + high), (0.2, long, 0.2)))
            lean = foot[1:].copy()
            lean[:, 2] += high
            parts.append(tubes(body, foot[:-1], lean, 0.07, sides=4))
            parts.append(tubes(body, foot, foot + [0, 0, high], 0.06, sides=4))
        else:
            parts.append(rail.box((x, middle, clear + 1.7), (0.06, long, 0.06)))
            parts.append(tubes(rail, foot, foot + [0, 0, 1.1], 0.025))
    if style > 0.8:  # roofed
        parts.append(body.box((0, middle, clear + 3.2), (wide + 0.3, long, 0.12)))
        for x in (-wide / 2 + 0.1, wide / 2 - 0.1):
            for t in between(long - 1.0, 5.0) + middle:
                parts.append(body.box((x, t, clear + 1.9), (0.1, 0.1, 2.6)))
    for t, way in ((left, 1.0), (right, -1.0)):
        parts.append(body.box((0, t, clear / 2 - 1.0), (0.8, 0.5, clear + 2.0)))
        parts += _stairs(body, rail, t + 0.55 * way, clear + 0.6, wide)
    x, y, z = spine.world(s, 0.0, 0.0)
    mesh = join(parts)
    site.contents.still.append(mesh.placed(x, y, z, float(spine.at("heading", s))))


def _stairs(
    body: SurfaceProperties, rail: SurfaceProperties, t: float, top: float, wide: float
) -> list[Mesh]:
    """A flight of stairs along the road (x) at t, down from the deck's height `top`."""
    run, half = 1.7 * top, 0.9
    start = wide / 2
    profile = [(start, top), (start + run, 0.0), (start + run, -0.6), (start, top - 0.6)]
    near = np.array([[x, t - half, z] for x, z in profile])
    far = near + [0, 2 * half, 0]
    parts = [
        body.quad(near[::-1]),
        body.quad(far),
        body.quad([near[0], near[1], far[1], far[0]]),
        body.quad([near[3], far[3], far[2], near[2]]),
        body.box((start + 0.62 * run, t, 0.13 * top), (0.4, 1.2, 0.5 * top)),
        body.box((0, t, top - 0.3), (wide, 2 * half, 0.6)),
    ]
    for y in (t - half + 0.05, t + half - 0.05):
        parts.append(tubes(rail, [start, y, top + 1.0], [start + run, y, 1.0], 0.03, sides=4))
        k = np.linspace(0, 1, 9)[:, None]
        foot = np.array([start, y, top]) + k * np.array([run, 0.0, -top])
        parts.append(tubes(rail, foot, foot + [0, 0, 1.0], 0.02))
    return parts


def add_viaduct(site: Site) -> bool:
    """An elevated road along this one, on piers that stand on an island; whether there is one."""
    rng, shape, spine = site.extra_rng, site.plan.shape, site.spine
    wide = [k for k in shape.raised if k.upper - k.lower > 2.2 and not k.tracks]
    if not wide:
        return False
    strip = max(wide, key=lambda k: k.upper - k.lower)
    half, clear = float(rng.uniform(4.0, 8.0)), float(rng.uniform(6.5, 9.5))
    grey = float(rng.uniform(0.6, 1.0))
    concrete = SurfaceProperties(INDEX["concrete"], (grey, grey, grey * 0.97), labels.BUILDING)
    t = strip.middle
    across = t + half * np.array([1.0, 1.0, 0.45, -0.45, -1.0, -1.0])
    outline = np.column_stack([across, clear + np.array([2.3, 0.9, 0.0, 0.0, 0.9, 2.3])])
    s = np.arange(site.start, site.end, 6.0)
    rings = spine.world(s[:, None], outline[None, :, 0], outline[None, :, 1])
    site.contents.still.append(concrete.loft(rings, closed=False, smooth=False))
    deck = spine.world(
        s[:, None], np.array([[t - half, t + half]]), np.array([[clear + 1.2, clear + 1.2]])
    )
    site.contents.still.append(concrete.loft(deck, closed=False, smooth=False))
    radius = min(0.9, (strip.upper - strip.lower) / 2 - 0.4)
    forked = rng.uniform() < 0.5
    pier = [concrete.rod((0, 0, -1.5), (0, 0, clear * (0.6 if forked else 1.02)), radius, sides=14)]
    if forked:
        for y in (-0.4 * half, 0.4 * half):
            pier.append(
                concrete.rod((0, 0, 0.55 * clear), (0, y, clear + 0.2), 0.8 * radius, sides=10)
            )
    mesh = join(pier)
    for at in np.arange(site.start + rng.uniform(2, 25), site.end - 2, float(rng.uniform(22, 34))):
        if not bool(shape.gap(strip, float(at))):
            site.put(mesh, float(at), t)
    return True
