"""The road's shape: a spine that bends, climbs and banks, and the ground on both sides of it.

Everything that lies on the ground is placed by (s, t): s metres along the spine, t metres to its
left. Heights are part of the map from (s, t) to the world, so a lane, a kerb or a parked car
follows the road wherever it goes. World frame `odom`: z up, metres.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from depth_perception.world import labels, materials
from depth_perception.world.mesh import FloatArray, Mesh

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
        grid = self.start + STEP * np.arange(len(self.x))
        return np.interp(np.asarray(s, float), grid, getattr(self, name))

    def world(self, s: ArrayLike, t: ArrayLike, height: ArrayLike = 0.0) -> NDArray[np.float64]:
        """Points (..., 3) at (s, t), `height` metres above the banked road."""
        s, t, height = np.broadcast_arrays(*(np.asarray(a, float) for a in (s, t, height)))
        heading = self.at("heading", s)
        x = self.at("x", s) - t * np.sin(heading)
        y = self.at("y", s) + t * np.cos(heading)
        z = self.at("z", s) + t * self.at("bank", s) + height
        return np.stack([x, y, z], axis=-1)


def make_spine(
    rng: np.random.Generator,
    start: float,
    end: float,
    *,
    bend: float = 1 / 150.0,
    grade: float = 0.03,
    bank: float = 0.02,
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
    turn = heading[zero]
    c, si = np.cos(-turn), np.sin(-turn)
    x, y = x - x[zero], y - y[zero]
    return Spine(
        start, c * x - si * y, si * x + c * y, z - z[zero], heading - turn,
        _waves(rng, s, 150.0, 500.0) * bank,
    )  # fmt: skip


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


@dataclass(frozen=True)
class SideRoad:
    """A road that joins on one side.

    Attributes:
        s: Where its middle meets the main road, m.
        side: +1 left, -1 right.
        width: Of its carriageway, m.
        radius: Of the kerb's corners, m.
        length: How far it is paved, m from the main road's edge; by default all the way.
    """

    s: float
    side: int
    width: float
    radius: float
    length: float = 90.0

    def reach(self, s: ArrayLike) -> NDArray[np.float64]:
        """How far beyond the main road's edge the kerb lies at each s: 0 away from the mouth."""
        away = np.abs(np.asarray(s, float) - self.s) - self.width / 2.0
        inside = np.clip(self.radius - away, 0.0, self.radius)
        corner = self.radius - np.sqrt(np.maximum(self.radius**2 - inside**2, 0.0))
        return np.where(away <= 0.0, self.length, corner)


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
        if self.median is not None:
            upper, lower, height = self.median
            inside = np.minimum(upper - t, t - lower)
            # The strip is left out where roads join.
            gap = np.zeros(np.shape(s), bool)
            for road in self.side_roads:
                gap |= np.abs(s - road.s) < road.width / 2 + road.radius
            rise = np.clip((inside + KERB_RUN) / KERB_RUN, 0.0, 1.0) * height
            h = h + np.where(gap, 0.0, rise)
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
        land = self.land[i] * np.clip((beyond - 2.0) / max(self.shelf - 2.0, 1.0), 0.0, 1.0)
        waves = np.zeros(np.shape(beyond))
        for along, across, phase in self.noise[i]:
            waves = waves + np.sin(along * s + across * out + phase)
        rough = self.roughness * waves / np.sqrt(len(self.noise[i])) * np.clip(out / 12.0, 0.0, 1.0)
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


def ground_mesh(spine: Spine, shape: RoadShape, start: float, end: float) -> Mesh:
    """The ground from s = start to end as triangles; texture coordinates are (s, t).

    Rows are closer together where a kerb turns a corner, and columns follow the kerbs, so that
    each kerb is a clean edge.
    """
    s = ground_rows(shape, start, end)
    t = np.concatenate([-_columns(shape, -1, s)[:, ::-1], _columns(shape, 1, s)], axis=1)
    if shape.median is not None:
        upper, lower, _ = shape.median
        inner = np.array([lower - KERB_RUN, lower, upper, upper + KERB_RUN])
        t = np.sort(np.concatenate([t, np.broadcast_to(inner, (len(s), 4))], axis=1), axis=1)
    if shape.roundabout is not None:
        half = shape.island(s)[:, None] * np.array([1.0, 0.97, 0.7, 0.4])
        cut = np.concatenate([half[:, :1] + KERB_RUN, half, 0.0 * half[:, :1]], axis=1)
        t = np.sort(np.concatenate([t, cut, -cut], axis=1), axis=1)
    rows = np.broadcast_to(s[:, None], t.shape)
    height = shape.height(rows, t)
    p = spine.world(rows, t, height)
    normals = _grid_normals(p)
    n, m = t.shape
    i = np.arange(n * m).reshape(n, m)
    a, b, c, d = (k.ravel() for k in (i[:-1, :-1], i[1:, :-1], i[1:, 1:], i[:-1, 1:]))
    # t grows to the left: counter-clockwise from above is a -> b (along s) -> c -> d.
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    count = len(triangles)
    return Mesh(
        vertices=p.reshape(-1, 3).astype(np.float32),
        normals=normals.reshape(-1, 3).astype(np.float32),
        uv=np.stack([rows, t], -1).reshape(-1, 2).astype(np.float32),
        triangles=triangles.astype(np.int32),
        material=np.full(count, materials.INDEX["ground"], np.uint8),
        tint=np.ones((count, 3), np.float32),
        label=np.full(count, labels.TERRAIN, np.uint8),
        instance=np.zeros(count, np.int32),
    )


def ground_rows(shape: RoadShape, start: float, end: float) -> NDArray[np.float64]:
    """Values of s at which the ground's triangles are cut."""
    rows = [np.arange(start, end + 0.5, 1.0)]
    for road in shape.side_roads:
        half = road.width / 2.0
        corner = half + road.radius * (1.0 - np.cos(np.linspace(0.0, np.pi / 2, 9)))
        # The last step to the mouth is as narrow as a kerb.
        corner = np.unique(np.concatenate([corner, [half + KERB_RUN, half]]))
        rows += [road.s + corner, road.s - corner]
    if shape.roundabout is not None:
        made = shape.roundabout
        angle = np.linspace(0.0, np.pi / 2, 15)
        for half in (made.island, made.island + made.ring):
            along = STRETCH * half * np.append(np.sin(angle), 1.0 + KERB_RUN / (STRETCH * half))
            rows += [made.s + along, made.s - along]
    for first, last in shape.drop:
        rows.append(np.array([first, first + 8.0, last - 8.0, last]))
    s = np.unique(np.concatenate(rows))
    s = s[(s >= start) & (s <= end)]
    # Two rows closer than a millimetre make slivers that no ray can hit cleanly.
    return s[np.concatenate([[True], np.diff(s) > 1e-3])]


def _columns(shape: RoadShape, side: int, s: NDArray[np.float64]) -> NDArray[np.float64]:
    """|t| of the cuts on one side, one row for each s: (N, M), from the middle outwards."""
    edge = shape.edge(side, s)[:, None]
    base = shape.left if side > 0 else -shape.right
    middle = max(side * (shape.left + shape.right) / 2.0, 0.0)
    inner = np.array([middle, (middle + base) / 2.0])
    # Short of the ground's end. A second cut just inside the kerb keeps the tilt of the kerb's
    # normals off the road.
    edge = np.minimum(edge, HALF_WIDTH - 1.0)
    foot = np.concatenate([np.maximum(edge - 0.03, base), edge + 1e-3], axis=1)
    road = np.concatenate(
        [np.broadcast_to(inner, (len(s), 2)), np.full((len(s), 1), base), foot], axis=1
    )
    away = np.array([KERB_RUN, 1.0, 2.0, 2.5, 3.5, 6.0, shape.shelf])
    away = np.concatenate([np.unique(away), shape.shelf + np.array([3.0, 7.0, 12.0, 18.0, 26.0])])
    land = np.minimum(edge + away, HALF_WIDTH - 1e-3 * np.arange(len(away), 0, -1))
    last = np.full((len(s), 1), HALF_WIDTH)
    return np.maximum.accumulate(np.concatenate([road, land, last], axis=1), axis=1)


def _grid_normals(p: FloatArray) -> FloatArray:
    """Normals of a grid of points (N, M, 3), smooth except across steep steps such as kerbs."""
    along, across = np.gradient(p, axis=0), np.gradient(p, axis=1)
    normal = np.cross(along, across)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    return np.where(length > 1e-12, normal / np.maximum(length, 1e-12), [0.0, 0.0, 1.0])
