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

"""Road markings: lines, crossings, stop lines and arrows, painted into masks of a ground grid."""

from __future__ import annotations

import itertools

import numpy as np

from depth_perception.world.scene.carriageways import Lane
from depth_perception.world.scene.ground_grid import GroundGrid, Mask
from depth_perception.world.scene.plan import StreetPlan
from depth_perception.world.scene.road import SIDE_ROAD_LENGTH


def draw_markings(
    grid: GroundGrid, plan: StreetPlan, rng: np.random.Generator
) -> tuple[Mask, Mask | None]:
    """White markings, and yellow ones or None, as masks (height, width): 255 where there is paint.

    Some roads have none.
    """
    markings = _Markings(grid, plan, rng)
    bare = 0.25 if plan.setting == "suburb" else 0.06
    if plan.setting == "car_park" or rng.uniform() >= bare:
        markings.draw()
    return markings.white, markings.yellow


class _Markings:
    """Holds the masks while they are drawn. Lengths in metres."""

    def __init__(self, grid: GroundGrid, plan: StreetPlan, rng: np.random.Generator) -> None:
        self.grid, self.plan, self.rng = grid, plan, rng
        self.white = grid.layer()
        self.yellow: Mask | None = None

    def draw(self) -> None:
        plan, rng = self.plan, self.rng
        width = float(rng.uniform(0.10, 0.18))
        centre = self.white
        if rng.uniform() < 0.3:
            centre = self.yellow = self.grid.layer()
        for right, left in itertools.pairwise(plan.lanes):
            self._divider(centre, right, left, width)
        driven = [k for k in plan.lanes if k.kind == "drive"]
        for edge in (plan.shape.left, plan.shape.right):
            if plan.setting in ("motorway", "country", "bridge", "tunnel") or rng.uniform() < 0.3:
                side = np.sign(edge)
                outer = max(driven, key=lambda k: k.t * side)
                self._stripes(self.white, outer.t + side * (outer.width / 2 + 0.05), width)
        if plan.setting in ("city", "suburb", "industrial") and rng.uniform() < 0.2:
            if self.yellow is None:
                self.yellow = self.grid.layer()
            for edge, inwards in ((plan.shape.left, -1.0), (plan.shape.right, 1.0)):
                for away in (0.3, 0.5):
                    self._stripes(self.yellow, edge + inwards * away, 0.08)
        self._junctions(width)
        for s in plan.crossings:
            self._zebra(s)
        for _ in range(rng.poisson(2.5 if plan.setting in ("city", "motorway") else 0.5)):
            lane = driven[int(rng.integers(len(driven)))]
            self._arrow(float(rng.uniform(self.grid.start, self.grid.end)), lane)

    def _divider(self, centre: Mask, right: Lane, left: Lane, width: float) -> None:
        """The line between two neighbouring lanes; that between directions goes into `centre`."""
        rng, plan, grid = self.rng, self.plan, self.grid
        t = (right.t + right.width / 2 + left.t - left.width / 2) / 2.0
        kinds = {right.kind, left.kind}
        for strip in plan.shape.strips:
            if right.t < strip.middle < left.t:  # a carriageway's edge on each side of it
                if rng.uniform() < 0.5:
                    self._stripes(self.white, strip.lower - 0.3, width)
                    self._stripes(self.white, strip.upper + 0.3, width)
                return
        if "half" in kinds:
            return
        if "park" in kinds or "bay" in kinds:
            if right.kind == left.kind:
                return
            lane = right if right.kind in ("park", "bay") else left
            if rng.uniform() < 0.6 or lane.kind == "bay":
                spacing = 2.5 if lane.kind == "bay" else 5.5
                for s in np.arange(grid.start, grid.end, spacing):
                    across = [(s, lane.t - lane.width / 2), (s, lane.t + lane.width / 2)]
                    grid.line(self.white, across, width, 255)
            if lane.kind == "park" and rng.uniform() < 0.6:
                self._stripes(self.white, t, width)
        elif "cycle" in kinds:
            self._stripes(self.white, t, width)
        elif right.direction == left.direction:
            self._stripes(self.white, t, width, rng.uniform(2, 6), rng.uniform(3, 12))
        elif plan.shape.median is not None:
            for edge in plan.shape.median[:2]:
                self._stripes(self.white, edge + 0.25 * np.sign(edge), width)
        else:
            style = rng.uniform()
            if style < 0.25:
                self._stripes(centre, t - width, width)
                self._stripes(centre, t + width, width)
            elif style < 0.5:
                self._stripes(centre, t, width)
            else:
                self._stripes(centre, t, width, rng.uniform(2, 6), rng.uniform(2, 9))

    def _stripes(
        self, layer: Mask, t: float, width: float, dash: float = 0.0, gap: float = 0.0
    ) -> None:
        """A line along the whole road: solid, or dashes with gaps."""
        s, end = self.grid.start, self.grid.end
        while s < end:
            stop = end if dash <= 0.0 else s + dash
            self.grid.rectangle(layer, s, stop, t - width / 2, t + width / 2, 255)
            s = stop + gap

    def _junctions(self, width: float) -> None:
        """End lines at most junctions; give side roads stop lines and a dashed middle."""
        shape, grid = self.plan.shape, self.grid
        if shape.roundabout is not None:
            roundabout = shape.roundabout
            inside = np.abs(grid.s - roundabout.s) < roundabout.length + 1.0
            for layer in (self.white, self.yellow):
                if layer is not None:
                    layer[:, inside] = 0
            for way, lanes in ((-1, self.plan.driving_lanes(1)), (1, self.plan.driving_lanes(-1))):
                s = roundabout.s + way * (roundabout.length + 1.0)
                for k in np.arange(-1.4, 1.2, 0.8):
                    t = lanes[0].t + k
                    grid.rectangle(self.white, s - 0.2, s + 0.2, t, t + 0.5, 255)
        for road in shape.side_roads:
            if self.rng.uniform() < 0.7:
                half = road.width / 2 + 0.6 * road.radius
                columns = (np.abs(grid.s - road.s) < half).nonzero()[0]
                if len(columns):
                    self.white[:, columns[0] : columns[-1]] = 0
                    if self.yellow is not None:
                        self.yellow[:, columns[0] : columns[-1]] = 0
            edge = (shape.left if road.side > 0 else -shape.right) + road.radius * 0.4
            if shape.roundabout is not None and road.s == shape.roundabout.s:
                edge = shape.roundabout.island + shape.roundabout.ring + 0.5
            if self.rng.uniform() < 0.6:
                s0, s1 = road.s, road.s + road.side * road.width / 2
                t = road.side * edge
                grid.rectangle(self.white, min(s0, s1), max(s0, s1), t - 0.2, t + 0.2, 255)
            for k in np.arange(edge + 1.0, SIDE_ROAD_LENGTH + edge, 6.0):
                t = road.side * k
                grid.rectangle(
                    self.white, road.s - width / 2, road.s + width / 2, t, t + 3.0 * road.side, 255
                )

    def _zebra(self, s: float) -> None:
        """A crossing at s, and a stop line before it."""
        shape, grid = self.plan.shape, self.grid
        length = self.rng.uniform(2.5, 4.5)
        for t in np.arange(shape.right + 0.2, shape.left - 0.3, 1.0):
            grid.rectangle(self.white, s, s + length, t, t + 0.5, 255)
        for lane in self.plan.driving_lanes(1):
            low, high = lane.t - lane.width / 2, lane.t + lane.width / 2
            grid.rectangle(self.white, s - 2.5, s - 2.1, low, high, 255)

    def _arrow(self, s: float, lane: Lane) -> None:
        """An arrow that points along a lane from s on."""
        d = lane.direction
        shaft = [
            (s, lane.t - 0.08),
            (s + 3 * d, lane.t - 0.08),
            (s + 3 * d, lane.t + 0.08),
            (s, lane.t + 0.08),
        ]
        head = [(s + 3 * d, lane.t - 0.4), (s + 4.5 * d, lane.t), (s + 3 * d, lane.t + 0.4)]
        self.grid.polygon(self.white, shaft, 255)
        self.grid.polygon(self.white, head, 255)
