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

"""The road's shape: a spine that bends, climbs and banks, and the ground on both sides of it.

Everything that lies on the ground is placed by (s, t): s metres along the spine, t metres to its
left. Heights are part of the map from (s, t) to the world, so a lane, a kerb or a parked car
follows the road wherever it goes. World frame `odom`: z up, metres.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from depth_perception.world.scene.strips import Strip

STEP = 0.5
"""Spacing of the spine's samples, m."""

HALF_WIDTH = 72.0
"""How far the ground reaches to either side, m."""

KERB_RUN = 0.02
"""A kerb's face leans back by so much, m."""


@dataclass(frozen=True)
class Spine:
    """The road's centre line, sampled every `STEP` metres from `start` on.

    Attributes:
        start: s of the first sample, m.
        x, y, z: World position, m.
        heading: Direction of travel, rad, counter-clockwise from x.
        bank: Cross slope dz/dt, positive where the left is higher.
    """

    start: float
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    z: NDArray[np.float64]
    heading: NDArray[np.float64]
    bank: NDArray[np.float64]

    @property
    def end(self) -> float:
        """Largest s, m."""
        return self.start + STEP * (len(self.x) - 1)

    def at(self, name: str, s: ArrayLike) -> NDArray[np.float64]:
        """One of the sampled columns at s, linear between samples."""
        column: NDArray[np.float64] = getattr(self, name)
        position = np.clip((np.asarray(s, float) - self.start) / STEP, 0.0, len(column) - 1.0)
        index = np.minimum(position.astype(np.int64), len(column) - 2)
        share = position - index
        return column[index] * (1.0 - share) + column[index + 1] * share

    def world(self, s: ArrayLike, t: ArrayLike, height: ArrayLike = 0.0) -> NDArray[np.float64]:
        """Points (..., 3) at (s, t), `height` metres above the banked road."""
        s, t, height = np.broadcast_arrays(*(np.asarray(a, float) for a in (s, t, height)))
        heading = self.at("heading", s)
        x = self.at("x", s) - t * np.sin(heading)
        y = self.at("y", s) + t * np.cos(heading)
        z = self.at("z", s) + t * self.at("bank", s) + height
        return np.stack([x, y, z], axis=-1)


def make_spine(
    rng: np.random.Generator, start: float, end: float, *, bend: float, grade: float, bank: float
) -> Spine:
    """Draw a spine from gentle waves; zero for all three gives a straight, level road.

    Args:
        rng: Source of chance.
        start: First s, m.
        end: Last s, m.
        bend: Largest curvature, 1/m.
        grade: Largest slope along the road, rise over run.
        bank: Largest cross slope.
    """
    n = int(np.ceil((end - start) / STEP)) + 1
    s: NDArray[np.float64] = start + STEP * np.arange(n, dtype=np.float64)
    heading = np.concatenate([[0.0], np.cumsum(_waves(rng, s, 90.0, 320.0)[:-1] * bend * STEP)])
    # The grade itself changes slowly: a crest or a dip has a radius of some hundred metres.
    slope = _waves(rng, s, 160.0, 600.0) * grade
    x = np.concatenate([[0.0], np.cumsum(np.cos(heading[:-1]) * STEP)])
    y = np.concatenate([[0.0], np.cumsum(np.sin(heading[:-1]) * STEP)])
    z = np.concatenate([[0.0], np.cumsum(slope[:-1] * STEP)])
    zero = int(np.clip(round(-start / STEP), 0, n - 1))
    start_heading = heading[zero]
    c, si = np.cos(-start_heading), np.sin(-start_heading)
    x, y = x - x[zero], y - y[zero]
    return Spine(
        start,
        c * x - si * y,
        si * x + c * y,
        z - z[zero],
        heading - start_heading,
        _waves(rng, s, 150.0, 500.0) * bank,
    )


def with_crest(spine: Spine, rng: np.random.Generator, setting: str) -> Spine:
    """Let some roads go over a hill's crest, or through a dip, within sight of the vehicle."""
    chance = {"country": 0.3, "suburb": 0.25, "city": 0.12, "motorway": 0.1}.get(setting, 0.0)
    change = float(rng.uniform(0.02, 0.07)) * float(rng.choice([1.0, 1.0, -1.0]))
    length, at = float(rng.uniform(25.0, 60.0)), float(rng.uniform(25.0, 130.0))
    if rng.uniform() > chance:
        return spine
    s: NDArray[np.float64] = spine.start + STEP * np.arange(len(spine.x), dtype=np.float64)
    # The grade goes from +change to -change; its radius is length / change, some hundred metres.
    rise = -change * length * (np.logaddexp(0, 2 * (s - at) / length) - (s - at) / length)
    return replace(spine, z=spine.z + rise - float(np.interp(0.0, s, rise)))


def _waves(
    rng: np.random.Generator, s: NDArray[np.float64], shortest: float, longest: float
) -> NDArray[np.float64]:
    """A smooth random curve within -1 and 1."""
    total = np.zeros_like(s)
    weights = rng.uniform(0.3, 1.0, 3)
    for weight in weights:
        length = rng.uniform(shortest, longest)
        total += weight * np.sin(2 * np.pi * s / length + rng.uniform(0, 2 * np.pi))
    return total / weights.sum() * rng.uniform(0.1, 1.0)


SIDE_ROAD_LENGTH = 90.0
"""How far side roads are paved, m from the main road's edge: beyond the ground's."""


@dataclass(frozen=True)
class SideRoad:
    """A road that joins on one side.

    Attributes:
        s: Where its middle meets the main road, m.
        side: +1 left, -1 right.
        width: Of its carriageway, m.
        radius: Of the kerb's corners, m.
    """

    s: float
    side: int
    width: float
    radius: float

    def reach(self, s: ArrayLike) -> NDArray[np.float64]:
        """How far beyond the main road's edge the kerb lies at each s: 0 away from the mouth."""
        away = np.abs(np.asarray(s, float) - self.s) - self.width / 2.0
        inside = np.clip(self.radius - away, 0.0, self.radius)
        corner = self.radius - np.sqrt(np.maximum(self.radius**2 - inside**2, 0.0))
        return np.where(away <= 0.0, SIDE_ROAD_LENGTH, corner)


STRETCH = 1.4
"""Length of a roundabout over its width."""


@dataclass(frozen=True)
class Roundabout:
    """An oval island in the middle of the road with a ring of carriageway around it.

    Attributes:
        s: Of its middle, m; t is 0.
        island: Half width of the island, m.
        ring: Width of the carriageway around it, m.
        mound: How high the island's middle rises above its kerb, m.
    """

    s: float
    island: float
    ring: float
    mound: float

    @property
    def length(self) -> float:
        """Half length of island and ring along the road, m."""
        return STRETCH * (self.island + self.ring)

    def across(self, s: ArrayLike, half_width: float) -> NDArray[np.float64]:
        """Half width at each s of the oval that is `half_width` wide in its middle; 0 outside."""
        along = (np.asarray(s, float) - self.s) / (STRETCH * half_width)
        return half_width * np.sqrt(np.maximum(1.0 - along**2, 0.0))


@dataclass(frozen=True)
class RoadShape:
    """Cross-section of the ground, in metres from the spine, and what changes along it.

    Attributes:
        left: t of the left edge of the carriageway, > 0.
        right: t of its right edge, < 0.
        crown: Fall of the road from its middle to either side, rise over run.
        kerb: Height of the kerb; 0 for none.
        land: Height of the land beside the road above the edge: (left, right).
        slope: Slope of the land beyond `shelf`, up positive: (left, right).
        shelf: How far from the edge the land is level.
        roughness: Standard deviation of the land's height beyond the shelf.
        side_roads: Roads that join.
        roundabout: One on this road; None for none.
        median: (t of left face, t of right face, height) of a raised strip; None for none.
        drop: Intervals of s where the land falls by 6 m, 2.5 to 3.5 m off the edge: a bridge.
        noise: (2 sides, N waves, (along, across, phase)) of the land, from `land_noise`.
        strips: Raised strips between the main carriageway and others beside it.
        dropped_kerbs: Sorted s where lowered kerbs begin and end: (left, right).
    """

    left: float
    right: float
    crown: float = 0.02
    kerb: float = 0.12
    land: tuple[float, float] = (0.0, 0.0)
    slope: tuple[float, float] = (0.0, 0.0)
    shelf: float = 14.0
    roughness: float = 0.3
    side_roads: tuple[SideRoad, ...] = ()
    median: tuple[float, float, float] | None = None
    drop: tuple[tuple[float, float], ...] = ()
    noise: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, 8, 3)))
    roundabout: Roundabout | None = None
    strips: tuple[Strip, ...] = ()
    dropped_kerbs: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())

    @property
    def raised(self) -> tuple[Strip, ...]:
        """All strips, the median among them."""
        middle = () if self.median is None else (Strip(*self.median),)
        return (*middle, *self.strips)

    def gap(self, strip: Strip, s: ArrayLike) -> NDArray[np.bool_]:
        """Whether a strip is left out at each s because a road joins there."""
        s = np.asarray(s, float)
        gap = np.zeros(np.shape(s), bool)
        for road in self.side_roads:
            if strip.side in (0, road.side):
                gap |= np.abs(s - road.s) < road.width / 2 + road.radius
        return gap

    def edge(self, side: int, s: ArrayLike) -> NDArray[np.float64]:
        """|t| of the kerb's foot at each s on one side (+1 left, -1 right)."""
        base = self.left if side > 0 else -self.right
        reach = np.zeros(np.shape(s))
        for road in self.side_roads:
            if road.side == side:
                reach = np.maximum(reach, road.reach(s))
        if self.roundabout is not None:
            ring = self.roundabout.across(s, self.roundabout.island + self.roundabout.ring)
            return np.maximum(base + reach, ring)
        return base + reach

    def island(self, s: ArrayLike) -> NDArray[np.float64]:
        """Half width of the roundabout's island at each s; 0 where there is none."""
        if self.roundabout is None:
            return np.zeros(np.shape(s))
        return self.roundabout.across(s, self.roundabout.island)

    def road_height(self, t: ArrayLike) -> NDArray[np.float64]:
        """Height of the carriageway above the banked plane at t; level beyond its edges."""
        on_road = np.clip(np.asarray(t, float), self.right, self.left)
        middle = (self.left + self.right) / 2.0
        return -self.crown * np.abs(on_road - middle)

    def height(self, s: ArrayLike, t: ArrayLike) -> NDArray[np.float64]:
        """Height of the ground above the banked plane at (s, t)."""
        s, t = np.broadcast_arrays(np.asarray(s, float), np.asarray(t, float))
        h = self.road_height(t)
        for side in (1, -1):
            beyond = side * t - self.edge(side, s)
            h = np.where(beyond > 0, h + self._rise(side, s, beyond), h)
        for strip in self.raised:
            rise = strip.rise(t, KERB_RUN)
            if rise.any():
                h = h + np.where(self.gap(strip, s), 0.0, rise)
        if self.roundabout is not None:
            half = self.island(s)
            inside = np.where(half > 0.0, half - np.abs(t), -1.0)
            kerb = np.clip((inside + KERB_RUN) / KERB_RUN, 0.0, 1.0) * max(self.kerb, 0.08)
            share = np.clip(inside / self.roundabout.island, 0.0, 1.0)
            h = h + kerb + self.roundabout.mound * share * (2.0 - share)
        return h

    def _rise(
        self, side: int, s: NDArray[np.float64], beyond: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """How much the land lies above the carriageway's edge, `beyond` metres from its kerb."""
        i = 0 if side > 0 else 1
        out = np.maximum(beyond - self.shelf, 0.0)
        step = np.clip(beyond / KERB_RUN, 0.0, 1.0) * self.kerb
        if self.dropped_kerbs[i]:
            low = np.searchsorted(self.dropped_kerbs[i], s) % 2 == 1
            ramp = np.clip(beyond / KERB_RUN, 0.0, 0.25) + 0.75 * np.clip(beyond, 0.0, 1.0)
            step = np.where(low, ramp * self.kerb, step)
        land = self.land[i] * np.clip((beyond - 2.0) / max(self.shelf - 2.0, 1.0), 0.0, 1.0)
        rough = np.zeros(np.shape(beyond))
        if self.roughness > 0.0 and out.any():
            for along, across, phase in self.noise[i]:
                rough = rough + np.sin(along * s + across * out + phase)
            rough *= self.roughness / np.sqrt(len(self.noise[i])) * np.clip(out / 12.0, 0.0, 1.0)
        fall = np.zeros(np.shape(beyond))
        for first, last in self.drop:
            along = np.clip(np.minimum(s - first, last - s) / 8.0, 0.0, 1.0)
            fall = fall - 6.0 * along * np.clip((beyond - 2.5) / 1.0, 0.0, 1.0)
        return step + land + self.slope[i] * out + rough + fall


def land_noise(rng: np.random.Generator) -> NDArray[np.float64]:
    """Waves of the land beside the road: (2 sides, 8 waves, (along, across, phase))."""
    length = rng.uniform(8.0, 60.0, (2, 8))
    angle = rng.uniform(0.0, 2 * np.pi, (2, 8))
    k = 2 * np.pi / length
    phase = rng.uniform(0, 2 * np.pi, (2, 8))
    return np.stack([k * np.cos(angle), k * np.sin(angle), phase], axis=-1)
