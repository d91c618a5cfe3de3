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

"""Trams and their way: rails, masts and wires, and the cars that run on beds of their own."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from depth_perception.datasets.labels import POLE, ROAD, TERRAIN
from depth_perception.world.objects.mesh import Mesh, join
from depth_perception.world.objects.poles import POSTS
from depth_perception.world.objects.primitives import choose, polyline_tube, surface, tubes, varied
from depth_perception.world.scene.site import Site
from depth_perception.world.scene.strips import GAUGE, Strip

WIRE_HEIGHT = 5.5
"""Of the contact wire above the rails, m."""

_RAIL = np.array([[0.04, -0.06], [0.04, 0.0], [-0.04, 0.0], [-0.04, -0.06]])


def add_tramway(site: Site) -> None:
    """Rails, masts, wires and trams wherever the plan has tracks."""
    for strip in site.plan.shape.strips:
        if strip.tracks:
            _add_rails(site, strip)
            _add_trams(site, strip)
            if site.extra_rng.uniform() < 0.8:
                _add_masts(site, strip)
    if site.plan.tracks:
        _add_span_wires(site)


def _add_rails(site: Site, strip: Strip) -> None:
    """Two rails a track, proud of the bed and flush where roads cross."""
    shape, rng = site.plan.shape, site.extra_rng
    steel = surface("metal", varied(rng, (0.30, 0.25, 0.22), 0.2), TERRAIN)
    proud = float(rng.choice([0.03, 0.12]))
    s = np.arange(site.start + 1.0, site.end - 1.0, 2.0)
    crossed = shape.gap(strip, s)
    lift = np.where(crossed, 0.008, proud)
    # Where a road crosses them they are part of it.
    piece = np.where(crossed[:-1] | crossed[1:], ROAD, TERRAIN).astype(np.uint8)
    label = np.repeat(piece, 2 * (len(_RAIL) - 1))
    for middle in strip.tracks:
        for t in (middle - GAUGE / 2, middle + GAUGE / 2):
            base = shape.height(s, np.full(len(s), t)) + lift
            rings = site.spine.world(
                s[:, None], t + _RAIL[None, :, 0], base[:, None] + _RAIL[None, :, 1]
            )
            rail = steel.loft(rings, closed=False, smooth=False)
            site.contents.still.append(replace(rail, label=label))


def _add_trams(site: Site, strip: Strip) -> None:
    """Trams of one to three cars on each track."""
    rng = site.extra_rng
    for k, t in enumerate(strip.tracks):
        direction = 1 if len(strip.tracks) > 1 and k == 0 else -1
        s = site.start + rng.exponential(90.0)
        speed = direction * float(rng.choice([0.0, rng.uniform(3, 13)]))
        while s < site.end - 60.0:
            mesh = site.draw_object("tram", rng)
            for car in range(int(rng.integers(1, 4))):
                at = s + 15.9 * car + 8.0
                site.put_mover("tram", mesh, at, t, speed, 0.0 if direction > 0 else np.pi)
            s += 60.0 + rng.exponential(160.0)


def _mast(site: Site, height: float) -> Mesh:
    """A pole for wires."""
    rng = site.extra_rng
    steel = surface("metal", varied(rng, choose(rng, POSTS)), POLE)
    return steel.rod((0, 0, -0.2), (0, 0, height), 0.13, 0.09)


def _add_masts(site: Site, strip: Strip) -> None:
    """Masts beside the bed or between its tracks, with arms, and wires from one to the next."""
    rng, shape = site.extra_rng, site.plan.shape
    between = len(strip.tracks) > 1 and rng.uniform() < 0.6
    t = strip.middle if between else strip.upper - 0.15
    post = _mast(site, 7.4)
    steel = surface("metal", (0.3, 0.3, 0.3), POLE)
    arms = [post]
    for track in strip.tracks:
        over = track - t
        arms.append(tubes(steel, [0, 0, 7.0], [0, over * 1.1, 6.6], 0.04, sides=4))
        arms.append(tubes(steel, [0, 0, WIRE_HEIGHT + 0.2], [0, over * 1.05, WIRE_HEIGHT], 0.03))
    mast = join(arms)
    positions = []
    for s in np.arange(site.start + rng.uniform(2, 20), site.end, float(rng.uniform(28, 40))):
        if not bool(shape.gap(strip, float(s))):
            site.put(mast, float(s), t)
            positions.append(float(s))
    for track in strip.tracks:
        _hang_wire(site, positions, track, WIRE_HEIGHT, 0.0)
        _hang_wire(site, positions, track, 6.7, 0.6)


def _hang_wire(site: Site, positions: list[float], t: float, height: float, sag: float) -> None:
    """A wire over (s, t) at these s, m above the ground, sagging between them."""
    if len(positions) < 2:
        return
    wire = surface("plain", (0.03, 0.03, 0.03), POLE)
    s = np.concatenate([np.linspace(a, b, 5)[:-1] for a, b in pairwise(positions)])
    drop = sag * np.tile(4 * 0.25 * np.array([0, 0.75, 1.0, 0.75]), len(positions) - 1)
    at = np.full(len(s), t)
    points = site.spine.world(s, at, site.plan.shape.height(s, at) + height - drop)
    site.contents.still.append(polyline_tube(wire, points, 0.014, sides=3))


def _add_span_wires(site: Site) -> None:
    """Poles at both kerbs with wires across that hold the contact wires over the tracks."""
    rng, shape, spine = site.extra_rng, site.plan.shape, site.spine
    post = _mast(site, 7.6)
    wire = surface("plain", (0.03, 0.03, 0.03), POLE)
    edges = (shape.left + 0.5, shape.right - 0.5)
    positions = []
    for s in np.arange(site.start + rng.uniform(2, 20), site.end - 2, float(rng.uniform(24, 38))):
        if site.free(1, s, s) and site.free(-1, s, s):
            ends = [spine.world(s, t, float(shape.height(s, t)) + 7.2) for t in edges]
            for t in edges:
                site.put(post, float(s), t)
            across = np.array([0.0, 0.3, 0.7, 1.0])[:, None]
            points = ends[0] + (np.array(ends[1]) - ends[0]) * across
            points[1:3, 2] -= 1.2
            site.contents.still.append(polyline_tube(wire, points, 0.012, sides=3))
            positions.append(float(s))
    for t in site.plan.tracks:
        _hang_wire(site, positions, t, 5.7, 0.15)
