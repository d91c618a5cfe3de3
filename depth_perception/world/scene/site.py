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

"""A street while it is being filled: where there is room, and how things are put there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from depth_perception.world.objects.mesh import Mesh
from depth_perception.world.objects.object_pool import POOL_SIZE, low_reach, pooled_object
from depth_perception.world.scene.carriageways import Lane
from depth_perception.world.scene.plan import StreetPlan
from depth_perception.world.scene.road import Spine
from depth_perception.world.scene.street_contents import (
    Mover,
    PlacedObject,
    StreetContents,
    box_size,
    ground_pose,
)

_PIECE = 5.0  # length of a piece of fence, wall or hedge, m


@dataclass
class Site:
    """A street, and what has been put into it so far. Sides are +1 left and -1 right.

    Attributes:
        plan: The street.
        spine: Where it goes.
        rng: Source of chance.
        start: First s, m.
        end: Last s, m.
        ego_speed: Speed of the vehicle with the cameras, which is at s = 0 at time 0, m/s.
        ego_lane: Its lane, one of the plan's.
        leafy: Factor on the chance of woods, avenues, hedges and garden walls.
        contents: What has been placed.
        extra_rng: Source of chance for what was added to the world later, so that streets without
            it stay the same.
        taken: (side, first, last): stretches of s beside the road that are used up.
    """

    plan: StreetPlan
    spine: Spine
    rng: np.random.Generator
    start: float
    end: float
    ego_speed: float
    ego_lane: Lane
    leafy: float = 1.0
    contents: StreetContents = field(default_factory=StreetContents)
    taken: list[tuple[int, float, float]] = field(default_factory=list)
    extra_rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.extra_rng = self.rng.spawn(1)[0]

    def base_edge(self, side: int) -> float:
        """|t| of the carriageway's edge away from junctions, m."""
        return self.plan.shape.left if side > 0 else -self.plan.shape.right

    def free(
        self, side: int, first: float, last: float, margin: float = 0.0, *, away: float = 0.0
    ) -> bool:
        """Whether no side road, roundabout, paved area or the like is between two values of s.

        Paved areas that end nearer to the road than `away` m do not count.
        """
        roundabout = self.plan.shape.roundabout
        if roundabout is not None:
            half = roundabout.length + 1.0 + margin
            if first < roundabout.s + half and last > roundabout.s - half:
                return False
        for road in self.plan.shape.side_roads:
            half = road.width / 2 + road.radius + margin
            if road.side == side and first < road.s + half and last > road.s - half:
                return False
        low, high = first - margin, last + margin
        if any(k.meets(side, low, high) and k.far > away for k in self.plan.paved_areas):
            return False
        return not any(k == side and low < b and high > a for k, a, b in self.taken)

    def clear_of_ego(self, s: float, t: float) -> bool:
        """Whether (s, t) is outside the vehicle's lane or farther than 7 m along it."""
        return abs(t - self.ego_lane.t) > 2.0 or abs(s) > 7.0

    def bend(self, s: float) -> float:
        """Curvature of the spine at s, 1/m, positive to the left."""
        heading = self.spine.at("heading", [s - 2.0, s + 2.0])
        return float(heading[1] - heading[0]) / 4.0

    def draw_object(self, kind: str, rng: np.random.Generator | None = None) -> Mesh:
        """One of the pool's objects of a kind, drawn at random."""
        return pooled_object(kind, int((rng or self.rng).integers(POOL_SIZE)))

    def put_tree(self, kind: str, s: float, away: float, side: int) -> None:
        """Plant a tree `away` m from the carriageway's edge, or farther off if it is in the way.

        Below `HEADROOM` nothing of it reaches over the carriageway.
        """
        number = int(self.extra_rng.integers(POOL_SIZE))
        away = max(away, low_reach(kind, number) + 0.1)
        t = side * (self.base_edge(side) + away)
        self.put(pooled_object(kind, number), s, t, self.extra_rng.uniform(0, 6.3))

    def put(
        self,
        mesh: Mesh,
        s: float,
        t: float,
        heading: float = 0.0,
        *,
        upright: bool = True,
        sink: float = 0.0,
    ) -> None:
        """Stand something on the ground at (s, t), `sink` m deep; see `ground_pose`."""
        T = ground_pose(self.spine, self.plan.shape, s, t, heading, upright=upright)
        T[2, 3] -= sink
        self.contents.still.append(mesh.transformed(T))

    def put_object(self, kind: str, mesh: Mesh, s: float, t: float, heading: float) -> None:
        """Stand something that has an instance id on the slope of the ground at (s, t)."""
        instance = self.contents.instance()
        T = ground_pose(self.spine, self.plan.shape, s, t, heading)
        self.contents.still.append(mesh.of_instance(instance).transformed(T))
        self.contents.objects.append(
            PlacedObject(instance, kind, T, box_size(mesh), (0.0, 0.0, 0.0))
        )

    def put_mover(
        self,
        kind: str,
        mesh: Mesh,
        s: float,
        t: float,
        speed: float,
        heading: float,
        *,
        sideways: float = 0.0,
        upright: bool = False,
        follows: bool = False,
    ) -> None:
        """Let something move from (s, t) on; arguments as the attributes of `Mover`."""
        instance = self.contents.instance()
        self.contents.movers.append(
            Mover(
                mesh.of_instance(instance),
                float(s),
                float(t),
                float(speed),
                float(sideways),
                float(heading),
                instance,
                kind,
                upright,
                follows,
            )
        )

    def put_along(
        self, side: int, offset: float, maker: Callable[[float], Mesh], *, share: float = 1.0
    ) -> None:
        """Set pieces of something long, 5 m each, end to end beside the road.

        Args:
            side: +1 left, -1 right.
            offset: Distance from the carriageway's edge, m.
            maker: Makes a piece of a length (m) along x that faces +y.
            share: Of the pieces that are there.
        """
        s = self.start + 2.0
        cached: Mesh | None = None
        while s < self.end - _PIECE:
            if self.free(side, s, s + _PIECE, 1.0):
                if cached is None:
                    cached = maker(_PIECE * 1.02)
                if self.rng.uniform() < share:
                    t = side * (self.base_edge(side) + offset)
                    middle = s + _PIECE / 2
                    # A line beside a bend is longer or shorter than the spine.
                    stretch = 1.0 - t * self.bend(middle)
                    mesh = cached.scaled(float(np.clip(stretch, 0.5, 1.6)), 1.0, 1.0)
                    heading = np.pi if side > 0 else 0.0  # they face the road with +y
                    self.put(mesh, middle, t, heading, upright=False)
                elif self.rng.uniform() < 0.3:
                    cached = None  # behind a gap it may go on differently
            else:
                cached = None
            s += _PIECE
