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

"""Paved ground beside the road that is no road: driveways, forecourts and squares.

They look much like a road or a pavement; only a kerb or a change of surface parts them from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from depth_perception.world.scene.road import RoadShape

FARTHEST_EDGE = 27.0
"""Paved areas end at this |t|, within the picture of the ground, m."""

_WIDE = {"city": 75.0, "industrial": 70.0, "suburb": 140.0, "country": 150.0, "car_park": 70.0}
"""Mean distance between squares and forecourts on one side, m."""

_DRIVEWAYS = {"suburb": 17.0, "industrial": 60.0, "country": 110.0, "city": 130.0}
"""Mean distance between driveways on one side, m."""


@dataclass(frozen=True)
class PavedArea:
    """A paved rectangle beside the road.

    Attributes:
        side: +1 left, -1 right.
        first: Its first s, m.
        last: Its last s, m.
        near: Distance of its front from the carriageway's edge, m; 0 where cars drive in.
        far: Distance of its back from the carriageway's edge, m.
        kind: "driveway", "forecourt" or "square".
    """

    side: int
    first: float
    last: float
    near: float
    far: float
    kind: str

    @property
    def middle(self) -> float:
        """The s of its middle, m."""
        return (self.first + self.last) / 2.0

    def meets(self, side: int, first: float, last: float) -> bool:
        """Whether it lies on a side and reaches between two values of s."""
        return self.side == side and self.first < last and self.last > first


def draw_paved_areas(
    rng: np.random.Generator,
    setting: str,
    shape: RoadShape,
    behind: tuple[float, float],
    line: float,
    start: float,
    end: float,
) -> tuple[PavedArea, ...]:
    """Draw the paved areas of a street, clear of its side roads and of each other.

    Args:
        rng: Source of chance.
        setting: Kind of place.
        shape: The road, with its side roads.
        behind: Distance of the pavement's back from the edge (left, right), m.
        line: Distance of the buildings' fronts from the edge, m.
        start: First s, m.
        end: Last s, m.
    """
    if shape.slope != (0.0, 0.0) and setting == "motorway":
        return ()
    paved_areas: list[PavedArea] = []

    def room(side: int, first: float, last: float) -> bool:
        taken = any(area.meets(side, first - 1.5, last + 1.5) for area in paved_areas)
        return not taken and not any(
            road.side == side
            and abs(road.s - (first + last) / 2)
            < road.width / 2 + road.radius + (last - first) / 2 + 1.0
            for road in shape.side_roads
        )

    for side in (1, -1):
        edge = shape.left if side > 0 else -shape.right
        back = behind[0] if side > 0 else behind[1]
        deepest = FARTHEST_EDGE - edge
        if setting in _WIDE and deepest > back + 7.0:
            s = start + rng.exponential(_WIDE[setting])
            while s < end:
                long = float(rng.uniform(14.0, 55.0))
                deep = min(back + float(rng.uniform(8.0, 24.0)), deepest)
                square = rng.uniform() < {"city": 0.6, "suburb": 0.25}.get(setting, 0.1)
                open_front = rng.uniform() < 0.55
                near = 0.0 if open_front else back
                if room(side, s, s + long):
                    kind = "square" if square else "forecourt"
                    paved_areas.append(PavedArea(side, float(s), float(s + long), near, deep, kind))
                s += long + rng.exponential(_WIDE[setting])
        if setting in _DRIVEWAYS and rng.uniform() < 0.85:
            s = start + rng.uniform(0.0, 15.0)
            while s < end:
                wide = float(rng.uniform(2.7, 6.2))
                far = min(max(line, back + 5.5) + float(rng.uniform(0.0, 3.0)), deepest)
                if far > 3.0 and room(side, s, s + wide):
                    paved_areas.append(
                        PavedArea(side, float(s), float(s + wide), 0.0, far, "driveway")
                    )
                s += wide + 6.0 + rng.exponential(max(_DRIVEWAYS[setting] - 9.0, 4.0))
    return tuple(paved_areas)


def dropped_kerbs(
    paved_areas: tuple[PavedArea, ...],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Where kerbs are lowered for driveways: sorted s of beginnings and ends, (left, right), m."""
    dropped_kerbs: list[tuple[float, ...]] = []
    for side in (1, -1):
        low = sorted(
            (k.first, k.last) for k in paved_areas if k.side == side and k.kind == "driveway"
        )
        dropped_kerbs.append(tuple(value for pair in low for value in pair))
    return dropped_kerbs[0], dropped_kerbs[1]
