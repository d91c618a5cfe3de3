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

"""Carriageways beside the main one: service roads behind a strip, beds of rails, closed lanes.

Widths and places are in metres across the road, t to the left of the spine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from depth_perception.world.scene.strips import Strip

WIDEST = 22.0
"""No carriageway ends farther from the spine than this: pavements stay within the picture."""

_SERVICE = {"city": 0.25, "suburb": 0.18, "industrial": 0.25, "motorway": 0.3, "country": 0.1}
_SIDE_RAILS = {"city": 0.06, "suburb": 0.06, "industrial": 0.1, "motorway": 0.1, "country": 0.1}


@dataclass(frozen=True)
class Lane:
    """One lane.

    Attributes:
        t: Of its middle, m.
        direction: +1 along the spine, -1 against it.
        kind: "drive", "service" (on a carriageway of its own), "park", "bay", "half" (cars park
            half on the pavement), "cycle" or "closed" (by road works).
        width: m.
    """

    t: float
    direction: int
    kind: str
    width: float


@dataclass(frozen=True)
class Section:
    """A road from kerb to kerb.

    Attributes:
        lanes: All lanes.
        left: t of the left edge, m.
        right: t of the right edge, m.
        strips: Those beside the main carriageway.
        tracks: t of tracks that lie in the carriageway.
    """

    lanes: tuple[Lane, ...]
    left: float
    right: float
    strips: tuple[Strip, ...] = ()
    tracks: tuple[float, ...] = ()


def widen(rng: np.random.Generator, setting: str, section: Section, *, median: bool) -> Section:
    """Give some roads a service road, rails in it or beside it, a closed lane, cars on the kerb.

    Args:
        rng: Source of chance.
        setting: Kind of place.
        section: The main carriageway.
        median: Whether it has a median, where rails may lie already.
    """
    section = _close_a_lane(rng, setting, section)
    for side in (1, -1):
        if rng.uniform() < _SERVICE.get(setting, 0.0) * 0.7:
            section = _service_road(rng, setting, section, side)
        elif rng.uniform() < _SIDE_RAILS.get(setting, 0.0) / 2:
            width = float(rng.uniform(3.4, 4.5) if rng.uniform() < 0.4 else rng.uniform(6.2, 8.0))
            section = _with_strip(section, side, width, 0.08, "rails")
            section = _moved_edge(section, side, 0.06)
        elif setting in ("city", "suburb") and rng.uniform() < 0.3:
            section = _half_on_pavement(section, side)
    drive = [lane for lane in section.lanes if lane.kind == "drive"]
    if setting in ("city", "suburb") and not median and len(drive) > 1 and rng.uniform() < 0.09:
        inner = sorted(drive, key=lambda lane: abs(lane.t))[:2]
        section = replace(section, tracks=tuple(lane.t for lane in inner))
    return section


def _edge(section: Section, side: int) -> float:
    return section.left if side > 0 else -section.right


def _moved_edge(section: Section, side: int, by: float) -> Section:
    if side > 0:
        return replace(section, left=section.left + by)
    return replace(section, right=section.right - by)


def _with_strip(section: Section, side: int, width: float, height: float, kind: str) -> Section:
    """The road with a strip outside its edge; too wide roads stay as they are."""
    edge = _edge(section, side)
    if edge + width > WIDEST:
        return section
    near, far = side * (edge + 0.1), side * (edge + width)
    strip = Strip(max(near, far), min(near, far), height, kind)
    section = replace(section, strips=(*section.strips, strip))
    return _moved_edge(section, side, width)


def _with_lane(section: Section, side: int, kind: str, width: float, direction: int) -> Section:
    t = side * (_edge(section, side) + width / 2)
    lanes = tuple(sorted((*section.lanes, Lane(t, direction, kind, width)), key=lambda k: k.t))
    return _moved_edge(replace(section, lanes=lanes), side, width)


def _service_road(rng: np.random.Generator, setting: str, section: Section, side: int) -> Section:
    """A road beyond a strip: one lane or two, with or without parked cars on either side."""
    gap = float(
        rng.uniform(3.0, 9.0) if setting in ("motorway", "country") else rng.gamma(3.0, 1.1)
    )
    gap = max(gap, 0.8)
    wide = float(rng.uniform(3.0, 3.6))
    two_way = rng.uniform() < 0.4
    inner, outer = rng.uniform(size=2) < (0.1 if setting in ("motorway", "country") else 0.55)
    need = gap + wide * (2 if two_way else 1) + 2.2 * (int(inner) + int(outer)) + 0.4
    if _edge(section, side) + need > WIDEST:
        return section
    rails = gap > 3.4 and setting != "motorway" and rng.uniform() < 0.3
    height = float(rng.uniform(0.08, 0.18))
    section = _with_strip(section, side, gap, height, "rails" if rails else "island")
    section = _moved_edge(section, side, 0.2)
    if inner:
        section = _with_lane(section, side, "park", 2.2, -side)
    if two_way:
        section = _with_lane(section, side, "service", wide, side)
    section = _with_lane(section, side, "service", wide, -side)
    if outer:
        section = _with_lane(section, side, "park", 2.2, -side)
    return _moved_edge(section, side, 0.2)


def _half_on_pavement(section: Section, side: int) -> Section:
    """Room for the road half of cars that park on the kerb, where no other cars park."""
    outer = max(section.lanes, key=lambda lane: lane.t * side)
    if outer.kind != "drive":
        return section
    return _with_lane(section, side, "half", 1.05, -side)


def _close_a_lane(rng: np.random.Generator, setting: str, section: Section) -> Section:
    """Now and then the outer lane of one direction is closed."""
    direction = int(rng.choice([-1, 1]))
    same = [k for k in section.lanes if k.kind == "drive" and k.direction == direction]
    if setting not in ("city", "motorway") or len(same) < 2 or rng.uniform() > 0.16:
        return section
    chosen = min(same, key=lambda lane: lane.t * direction)
    lanes = tuple(replace(k, kind="closed") if k is chosen else k for k in section.lanes)
    return replace(section, lanes=lanes)
