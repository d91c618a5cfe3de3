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

"""Charts over distance: errors by true depth, and the road.

In: scores. Out: `Figure`, or None where there is nothing to show.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from depth_perception.evaluation.axes import ticks
from depth_perception.evaluation.charts import (
    Axis,
    Bar,
    BarGroup,
    Line,
    Strip,
    bar_chart,
    line_chart,
)
from depth_perception.evaluation.error_figures import EMBODIED, Figure, error_axis, figure_of
from depth_perception.evaluation.exact import ExactScores
from depth_perception.evaluation.formats import number, share, short
from depth_perception.evaluation.metrics import Accuracy, RangeAccuracy
from depth_perception.evaluation.profile import ErrorProfile

LEVEL_ROAD = "depth image, level road"

FEW = 0.005
"""Bins with a smaller share of the points are drawn, but not called the worst."""

MOST_OFF = 0.8
"""Signed relative errors beyond this are drawn at the edge."""


def range_figure(profiles: Mapping[str, ErrorProfile], name: str, things: str) -> Figure | None:
    """AbsRel by true depth, with the number of points."""
    image = profiles.get("depth image")
    rows = [row for row in image.by_depth if row.truth_count] if image else []
    if image is None or not any(row.count for row in rows):
        return None
    lines = [_by_depth(rows, name, 0)]
    if EMBODIED in profiles:
        lines.insert(0, _by_depth(profiles[EMBODIED].by_depth, EMBODIED, 1))
    weighty = [row for row in rows if row.count >= max(FEW * image.count, 1)]
    worst = max(weighty, key=lambda row: row.abs_rel)
    reading = (
        f"Lower is better. Worst at {worst.low:.0f} to {worst.high:.0f} m ({worst.abs_rel:.3f})."
        f" Below: how many {things} lie at each depth."
    )
    seen = {(row.low, row.high) for row in weighty}
    values = [
        row.abs_rel
        for key in ("depth image", EMBODIED)
        if key in profiles
        for row in profiles[key].by_depth
        if (row.low, row.high) in seen and math.isfinite(row.abs_rel)
    ]
    svg = line_chart(
        lines,
        _depth_axis(rows),
        error_axis(values),
        strip=_counts(rows, things),
        x_marks=_edges(rows),
        y_lines=(0.0,),
        label=reading,
    )
    return figure_of("Error by distance: AbsRel", svg, reading)


def _by_depth(rows: Sequence[RangeAccuracy], name: str, series: int) -> Line:
    return Line(
        name,
        series,
        [((row.low + row.high) / 2, row.abs_rel) for row in rows],
        [
            f"{row.low:.0f} to {row.high:.0f} m, {name}: AbsRel {number(row.abs_rel)}, A10"
            f" {share(row.a10)} %, {row.count:,} points, coverage {share(row.coverage)} %"
            for row in rows
        ],
    )


def _depth_axis(rows: Sequence[RangeAccuracy]) -> Axis:
    return Axis("true depth, metres", rows[0].low, rows[-1].high, lambda value: f"{value:g}")


def _counts(rows: Sequence[RangeAccuracy], things: str) -> Strip:
    most = max(row.truth_count for row in rows)
    counts = [(row.low, row.high, row.truth_count) for row in rows]
    return Strip(f"bars: number of {things}, at most {short(most)}", counts)


def _edges(rows: Sequence[RangeAccuracy]) -> list[float]:
    return [rows[0].low, *(row.high for row in rows)]


def direction_figure(rows: Sequence[Accuracy], things: str) -> Figure | None:
    """Signed relative error by true depth: median, and the middle 80 % of the points."""
    rows = [row for row in rows if row.count]
    if not rows:
        return None
    total = sum(row.count for row in rows)
    weighty = [row for row in rows if row.count >= FEW * total] or rows
    worst = max(weighty, key=lambda row: abs(row.bias[1]))
    side = "near" if worst.bias[1] < 0 else "far"
    reading = (
        "Line: median of the points; band: the middle 80 % of them. Below zero depth is too near,"
        f" above it too far; most off at {worst.low:.0f} to {worst.high:.0f} m"
        f" ({abs(100 * worst.bias[1]):.0f} % too {side})."
    )
    # A step at each bin: what holds for its middle does not hold for the next one's edge.
    points = [(at, row.bias[1]) for row in rows for at in (row.low, row.high)]
    band = [(at, row.bias[0], row.bias[2]) for row in rows for at in (row.low, row.high)]
    shown = [value for row in weighty for value in row.bias]
    low = max(-MOST_OFF, min(-0.1, math.floor(10 * min(shown)) / 10))
    high = min(MOST_OFF, max(0.1, math.ceil(10 * max(shown)) / 10))
    marks = ticks(low, high)
    svg = line_chart(
        [Line("", 0, points, band=band)],
        _depth_axis(rows),
        Axis("error, % of the true depth", low, high, _signed_percent),
        strip=_counts(rows, things),
        x_marks=_edges(rows),
        y_lines=[mark for mark in marks if mark == 0],
        label=reading,
    )
    return figure_of("Too near or too far, by distance", svg, reading)


def _signed_percent(value: float) -> str:
    return f"{100 * value:+.0f} %" if abs(value) > 1e-9 else "0"


def road_figure(road: Mapping[str, Sequence[Accuracy]], name: str) -> Figure | None:
    """A10 on the road by distance: the depth image, embodied depth, the planes."""
    rows = {key: entries for key, entries in road.items() if any(row.count for row in entries)}
    if not rows:
        return None
    looks = {"depth image": (0, name), EMBODIED: (1, EMBODIED)}
    groups, shares_at = [], {}
    entries = next(iter(rows.values()))
    # All distances, which come last in the table, first.
    for k in (len(entries) - 1, *range(len(entries) - 1)):
        bars = []
        for key, every in rows.items():
            row = every[k]
            if not row.count or key == LEVEL_ROAD:
                continue
            series, called = looks.get(key, (2, key))
            hint = f"{called}: A5 {share(row.a5)} %, A10 {share(row.a10)} % of {row.count:,} points"
            bars.append(Bar(series, row.a10, f"{share(row.a10)} %", hint, name=called))
        if bars:
            first = rows["depth image"][k] if "depth image" in rows else entries[k]
            title = f"{first.low:.0f} to {first.high:.0f} m"
            groups.append(BarGroup(f"{title}, {first.count:,} points", bars))
    for row in rows.get("depth image", [])[:-1]:
        if row.count:
            shares_at[f"{row.low:.0f} to {row.high:.0f} m"] = row.a10
    reading = "Share of the LiDAR points on the road that are right to 10 %: longer is better."
    if len(shares_at) > 1:
        worst = min(shares_at, key=shares_at.__getitem__)
        reading += f" Worst at {worst} ({share(shares_at[worst])} %)."
    reading += " The nominal plane is what calibration alone promises."
    svg = bar_chart(groups, "A10, % of road points", shares=True, label=reading)
    return figure_of("On the road: A10 by distance", svg, reading)


def exact_road_figure(x: ExactScores) -> Figure | None:
    """A10 of road pixels by camera and distance."""
    named = [("all cameras", x.all)]
    if len(x.cameras) > 1:
        named += list(x.cameras.items())
    at: dict[str, float] = {}
    groups = []
    for name, scores in named:
        bars = [
            Bar(
                0,
                row.a10,
                f"{share(row.a10)} %",
                f"{name}: A5 {share(row.a5)} %, A10 {share(row.a10)} % of {row.count:,} road"
                f" pixels, coverage {share(row.coverage)} %",
                name=f"{row.low:.0f} to {row.high:.0f} m",
            )
            for row in scores.road[:-1]
            if row.count
        ]
        if bars:
            groups.append(BarGroup(name, bars))
            at |= {
                f"{name}, {row.low:.0f} to {row.high:.0f} m": row.a10
                for row in scores.road[:-1]
                if row.count and (scores is not x.all or len(named) == 1)
            }
    if not groups:
        return None
    worst = min(at, key=at.__getitem__)
    reading = (
        "Share of all pixels labelled road, side streets too, that are right to 10 %: longer is"
        f" better. Worst: {worst} ({share(at[worst])} %)."
    )
    svg = bar_chart(groups, "A10, % of road pixels", shares=True, label=reading)
    return figure_of("On the road: A10 by distance", svg, reading)
