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

"""What kind of street it is: lanes, parking, pavements, surfaces, side roads, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from depth_perception.world.scene.carriageways import Lane, Section, widen
from depth_perception.world.scene.paved_areas import PavedArea, draw_paved_areas, dropped_kerbs
from depth_perception.world.scene.road import RoadShape, SideRoad, land_noise
from depth_perception.world.scene.strips import Strip

SETTINGS = ("city", "suburb", "country", "motorway", "industrial", "car_park", "tunnel", "bridge")
"""Kinds of place, each with its own mix of what stands beside the road."""

_FREQUENCY = (0.27, 0.27, 0.14, 0.10, 0.08, 0.07, 0.035, 0.035)


@dataclass(frozen=True)
class StreetPlan:
    """A street before anything stands in it.

    Attributes:
        setting: One of `SETTINGS`.
        shape: Cross-section and side roads.
        lanes: All lanes, from right to left.
        pavement: Width of the pavement (left, right), m; 0 for none.
        verge: Width of the strip between kerb and pavement (left, right), m.
        road_surface: Material of the carriageway: asphalt, concrete or cobbles.
        pavement_surface: Material of the pavements.
        land_surface: Material of the land beyond: grass, soil, gravel, slabs, asphalt.
        building_line: Distance of building fronts from the kerb, m.
        crossings: s of zebra crossings.
        tracks: t of the middles of tram tracks that lie in the carriageway.
        paved_areas: Paved ground beside the road that is no road.
        alike: The pavement is of the road's own surface; only its edge parts them.
    """

    setting: str
    shape: RoadShape
    lanes: tuple[Lane, ...]
    pavement: tuple[float, float]
    verge: tuple[float, float]
    road_surface: str
    pavement_surface: str
    land_surface: str
    building_line: float
    crossings: tuple[float, ...]
    tracks: tuple[float, ...] = ()
    paved_areas: tuple[PavedArea, ...] = ()
    alike: bool = False

    def driving_lanes(self, direction: int) -> list[Lane]:
        """Lanes for traffic in one direction, from the kerb inwards."""
        lanes = [k for k in self.lanes if k.kind == "drive" and k.direction == direction]
        return sorted(lanes, key=lambda lane: lane.t * direction)


def draw_plan(
    rng: np.random.Generator, start: float, end: float, *, setting: str = "", flat: bool = False
) -> StreetPlan:
    """Draw a street between s = start and s = end.

    Args:
        rng: Source of chance.
        start: First s, m.
        end: Last s, m.
        setting: One of `SETTINGS`; empty draws one.
        flat: A level cross-section, without crown or slopes: for tests against closed forms.

    Raises:
        ValueError: For a setting that does not exist.
    """
    if setting and setting not in SETTINGS:
        raise ValueError(f"setting {setting!r}: expected one of {', '.join(SETTINGS)}")
    setting = setting or str(rng.choice(SETTINGS, p=_FREQUENCY))
    # Chance of its own for what lies beside the main road.
    beside = rng.spawn(1)[0]
    lanes, left, right, median = _lanes(rng, setting)
    section = widen(beside, setting, Section(lanes, left, right), median=median is not None)
    lanes, left, right = section.lanes, section.left, section.right
    strips = section.strips
    wide = setting == "city" and median is not None and median[0] - median[1] > 3.2
    if wide and median is not None and beside.uniform() < 0.4:  # trams in the middle
        strips, median = (Strip(median[0], median[1], 0.1, "rails"), *strips), None
    kerbed = setting in ("city", "suburb", "car_park", "tunnel", "bridge") or (
        setting == "industrial" and rng.uniform() < 0.6
    )
    built_up = setting in ("city", "suburb", "industrial")
    side_roads = _side_roads(rng, start, end, setting)
    slope = (0.0, 0.0)
    if setting in ("country", "motorway"):
        slope = _pair(np.clip(rng.normal(0.0, 0.12, 2), -0.3, 0.35))
    elif setting == "suburb" and rng.uniform() < 0.4:
        slope = _pair(rng.normal(0.0, 0.04, 2))
    drop = ((start + 20.0, end - 20.0),) if setting == "bridge" else ()
    shape = RoadShape(
        left=left,
        right=right,
        crown=float(rng.uniform(0.0, 0.025)),
        kerb=float(rng.uniform(0.06, 0.16)) if kerbed else 0.0,
        land=(float(rng.normal(0, 0.1)), float(rng.normal(0, 0.1))) if kerbed else (-0.15, -0.15),
        slope=slope,
        shelf=14.0 if built_up else float(rng.uniform(5.0, 14.0)),
        roughness=0.1 if built_up else float(rng.uniform(0.1, 0.8)),
        side_roads=side_roads,
        median=median,
        drop=drop,
        noise=land_noise(rng),
        strips=strips,
    )
    if kerbed and beside.uniform() < 0.15:
        shape = replace(shape, kerb=float(beside.uniform(0.01, 0.04)))
    if flat:
        shape = replace(shape, crown=0.0, land=(0.0, 0.0), slope=(0.0, 0.0), roughness=0.0)
    pavement, verge = _edges(rng, setting)
    crossings: tuple[float, ...] = ()
    if setting in ("city", "suburb") and rng.uniform() < 0.6:
        crossings = tuple(float(k) for k in rng.uniform(-10, 50, int(rng.integers(1, 3))))
    plan = StreetPlan(
        setting=setting,
        shape=shape,
        lanes=lanes,
        pavement=pavement,
        verge=verge,
        road_surface=_road_surface(rng, setting),
        pavement_surface=str(rng.choice(["slabs", "slabs", "asphalt", "concrete", "cobbles"])),
        land_surface=_land_surface(rng, setting),
        building_line=_building_line(rng, setting, pavement, verge),
        crossings=crossings,
        tracks=section.tracks,
    )
    behind = (pavement[0] + verge[0], pavement[1] + verge[1])
    if setting in ("country", "motorway"):
        behind = (1.0, 1.0)
    paved_areas = draw_paved_areas(beside, setting, shape, behind, plan.building_line, start, end)
    plan = replace(
        plan,
        shape=replace(shape, dropped_kerbs=dropped_kerbs(paved_areas)),
        paved_areas=paved_areas,
    )
    if beside.uniform() < 0.2:
        plan = replace(plan, pavement_surface=plan.road_surface, alike=True)
    return plan


def _pair(values: NDArray[np.float64]) -> tuple[float, float]:
    left, right = values
    return float(left), float(right)


def _lanes(
    rng: np.random.Generator, setting: str
) -> tuple[tuple[Lane, ...], float, float, tuple[float, float, float] | None]:
    """Lanes, left and right edge, and the median. Traffic keeps to the right of its road."""
    width = float(rng.uniform(3.4, 3.75) if setting == "motorway" else rng.uniform(2.7, 3.6))
    per_way = {
        "city": int(rng.choice([1, 1, 2, 2, 3])),
        "suburb": 1,
        "country": 1,
        "motorway": int(rng.choice([2, 2, 3, 4])),
        "industrial": 1,
        "car_park": 1,
        "tunnel": int(rng.choice([1, 2])),
        "bridge": int(rng.choice([1, 2])),
    }[setting]
    one_way = setting in ("city", "suburb", "tunnel") and rng.uniform() < 0.2
    gap = 0.0
    if setting == "motorway" or (setting == "city" and per_way > 1 and rng.uniform() < 0.5):
        gap = float(rng.uniform(1.5, 8.0))
    lanes: list[Lane] = []
    edges = []
    for direction in (1, -1):
        t = gap / 2.0 if not one_way else -per_way * width / 2.0
        if direction == -1 and one_way:
            edges.append(per_way * width / 2.0 + 0.3)
            continue
        for _ in range(per_way):
            lanes.append(Lane(-direction * (t + width / 2), direction, "drive", width))
            t += width
        if setting in ("city", "suburb") and rng.uniform() < 0.2:
            lanes.append(Lane(-direction * (t + 0.8), direction, "cycle", 1.6))
            t += 1.6
        if setting == "motorway":
            t += float(rng.uniform(0.5, 3.0))
        parked = {"city": 0.6, "suburb": 0.65, "industrial": 0.3}.get(setting, 0.0)
        if rng.uniform() < parked:
            lanes.append(Lane(-direction * (t + 1.1), direction, "park", 2.2))
            t += 2.2
        if setting == "car_park":
            lanes.append(Lane(-direction * (t + 2.6), direction, "bay", 5.2))
            t += 5.2
        edges.append(t + float(rng.uniform(0.2, 0.6)))
    if one_way:
        # All lanes run along the spine; the middle of the road is t = 0.
        lanes = [replace(k, direction=1) for k in lanes]
        offset = -(max(k.t for k in lanes) + min(k.t for k in lanes)) / 2.0
        lanes = [replace(k, t=k.t + offset) for k in lanes]
        left = max(k.t + k.width / 2 for k in lanes) + 0.3
        right = min(k.t - k.width / 2 for k in lanes) - 0.3
    else:
        right, left = -edges[0], edges[1]
    median = None
    if gap > 0.0 and not one_way:
        half = gap / 2.0 - 0.2
        if half > 0.25:
            median = (half, -half, float(rng.uniform(0.08, 0.2)))
    return tuple(sorted(lanes, key=lambda k: k.t)), float(left), float(right), median


def _side_roads(
    rng: np.random.Generator, start: float, end: float, setting: str
) -> tuple[SideRoad, ...]:
    """Junctions far enough apart that their corners do not meet."""
    mean = {"city": 45.0, "suburb": 50.0, "country": 120.0, "industrial": 50.0}.get(setting)
    if mean is None:
        return ()
    roads: list[SideRoad] = []
    s = start + rng.uniform(10.0, 60.0)
    while s < end - 10.0:
        width = float(rng.uniform(4.5, 8.0))
        radius = float(rng.uniform(3.0, 8.0))
        sides = [(1,), (-1,), (1, -1)][int(rng.integers(3))]
        roads += [SideRoad(float(s), side, width, radius) for side in sides]
        s += width + 2 * radius + 6.0 + rng.exponential(mean)
    return tuple(roads)


def _edges(
    rng: np.random.Generator, setting: str
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Pavement and verge widths, (left, right) each."""
    if setting in ("country", "motorway"):
        return (0.0, 0.0), (4.0, 4.0)
    low, high = {"city": (1.8, 5.0), "suburb": (1.2, 2.4)}.get(setting, (0.8, 2.0))
    pavement = [float(k) for k in rng.uniform(low, high, 2)]
    if setting == "industrial" and rng.uniform() < 0.5:
        pavement[int(rng.integers(2))] = 0.0
    strip = 0.0
    if rng.uniform() < {"city": 0.3, "suburb": 0.5}.get(setting, 0.0):
        strip = float(rng.uniform(0.8, 2.2))
    return (pavement[0], pavement[1]), (strip, strip)


def _road_surface(rng: np.random.Generator, setting: str) -> str:
    if setting in ("city", "suburb"):
        return str(rng.choice(["asphalt", "concrete", "cobbles"], p=[0.85, 0.08, 0.07]))
    if setting == "country":
        return str(rng.choice(["asphalt", "gravel"], p=[0.92, 0.08]))
    return str(rng.choice(["asphalt", "concrete"], p=[0.8, 0.2]))


def _land_surface(rng: np.random.Generator, setting: str) -> str:
    choices = {
        "city": ["slabs", "slabs", "asphalt", "concrete", "grass"],
        "suburb": ["grass", "grass", "grass", "slabs", "soil"],
        "country": ["grass", "grass", "soil", "grass"],
        "motorway": ["grass", "grass", "soil"],
        "industrial": ["asphalt", "gravel", "concrete", "grass"],
        "car_park": ["grass", "slabs", "asphalt"],
    }.get(setting, ["grass", "concrete"])
    return str(rng.choice(choices))


def _building_line(
    rng: np.random.Generator,
    setting: str,
    pavement: tuple[float, float],
    verge: tuple[float, float],
) -> float:
    """Distance of building fronts from the carriageway's edge, m."""
    base = max(p + v for p, v in zip(pavement, verge, strict=True))
    if setting == "city":
        return base + float(rng.choice([0.1, 0.1, 1.0, 3.0]))
    if setting == "suburb":
        return base + float(rng.uniform(2.0, 9.0))
    if setting == "industrial":
        return base + float(rng.uniform(4.0, 15.0))
    return base + float(rng.uniform(10.0, 30.0))
