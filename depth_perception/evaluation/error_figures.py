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

"""Charts of errors: by camera, by frame set, by size, and by confidence.

In: scores. Out: `Figure`, or None where there is nothing to show.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from depth_perception.evaluation.axes import plain, round_up, ticks
from depth_perception.evaluation.charts import (
    Axis,
    Bar,
    BarGroup,
    Line,
    Strip,
    bar_chart,
    line_chart,
)
from depth_perception.evaluation.formats import number, share, short
from depth_perception.evaluation.frame_scores import FrameScores
from depth_perception.evaluation.metrics import DepthMetrics
from depth_perception.evaluation.profile import ErrorProfile

NAMES = {"fused": "network (fused)", "relative": "network (relative)", "embodied": "embodied depth"}
"""How the depth of each estimator is called beside others."""

EMBODIED = "embodied depth"

LEAST_ERROR = 0.01
"""Axes of AbsRel end no earlier."""

CUMULATIVE_END = 0.5
"""Relative error at which the chart of cumulative error ends."""


@dataclass(frozen=True)
class Figure:
    """A chart: title, SVG, and the sentence that says how to read it."""

    title: str
    svg: str
    reading: str


def figure_of(title: str, svg: str, reading: str) -> Figure | None:
    """Return the figure; None without a drawing."""
    return Figure(title, svg, reading) if svg else None


def camera_figure(
    cameras: Mapping[str, DepthMetrics], embodied: Mapping[str, DepthMetrics], name: str
) -> Figure | None:
    """AbsRel by camera, beside embodied depth's; none where there is nothing to compare."""
    if len(cameras) < 2 and not embodied:
        return None
    groups = []
    for camera, metrics in cameras.items():
        bars = [_error_bar(0, metrics, f"{camera}, {name}")]
        if embodied:
            beside = embodied.get(camera, DepthMetrics())
            bars.append(_error_bar(1, beside, f"{camera}, {EMBODIED}"))
        groups.append(BarGroup(camera, bars))
    known = {c: m.abs_rel for c, m in cameras.items() if math.isfinite(m.abs_rel)}
    reading = "Mean relative error: shorter is better."
    if len(known) > 1:
        worst, best = max(known, key=known.__getitem__), min(known, key=known.__getitem__)
        reading += f" Worst is {worst} ({known[worst]:.3f}), best {best} ({known[best]:.3f})."
    both = [c for c in known if c in embodied and math.isfinite(embodied[c].abs_rel)]
    won = sum(embodied[c].abs_rel < known[c] for c in both)
    if len(both) == 1:
        reading += f" Embodied depth is {'better' if won else 'worse'}, where it has a depth."
    elif both:
        reading += f" Embodied depth is better on {won} of {len(both)}, where it has a depth."
    return figure_of(
        "Error by camera: AbsRel",
        bar_chart(
            groups,
            "AbsRel, share of the true depth",
            (name, EMBODIED),
            least=LEAST_ERROR,
            label=reading,
        ),
        reading,
    )


def _error_bar(series: int, metrics: DepthMetrics, name: str) -> Bar:
    value = metrics.abs_rel
    if not math.isfinite(value):
        return Bar(series, value, "no depth", f"{name}: no depth where the truth is known")
    return Bar(
        series,
        value,
        f"{value:.3f}",
        f"{name}: AbsRel {value:.3f}, A10 {share(metrics.a10)} %, coverage"
        f" {share(metrics.coverage)} %, {metrics.count:,} points",
    )


def frame_figure(rows: Sequence[FrameScores], name: str) -> Figure | None:
    """AbsRel of each frame set, beside embodied depth's; none of a single one."""
    known = [row for row in rows if math.isfinite(row.metric.abs_rel)]
    if len(known) < 2:
        return None
    first = rows[0].stamp
    lines = [
        Line(
            EMBODIED,
            1,
            [(r.number, r.embodied.abs_rel) for r in rows if r.embodied is not None],
            [_frame_hint(r, r.embodied, EMBODIED) for r in rows if r.embodied is not None],
        ),
        Line(
            name,
            0,
            [(r.number, r.metric.abs_rel) for r in rows],
            [_frame_hint(r, r.metric, name) for r in rows],
        ),
    ]
    # Many marks side by side are no marks.
    if len(rows) > 60:
        lines = [Line(line.name, line.series, line.points) for line in lines]
    lines = [line for line in lines if line.points]
    worst = max(known, key=lambda row: row.metric.abs_rel)
    reading = (
        f"Mean over the images of each frame set: lower is better. Worst is frame set"
        f" {worst.number} ({worst.metric.abs_rel:.3f}),"
        f" {(worst.stamp - first) * 1e-9:.1f} s after the first."
    )
    low, high = rows[0].number, rows[-1].number
    marks = [mark for mark in ticks(low, high, 6) if mark == round(mark)] or [low, high]
    svg = line_chart(
        lines,
        Axis("frame set, number in the drive", low, high, lambda value: f"{value:.0f}"),
        error_axis(y for line in lines for _, y in line.points),
        x_marks=marks,
        label=reading,
    )
    return figure_of("Error by frame set: AbsRel", svg, reading)


def _frame_hint(row: FrameScores, metrics: DepthMetrics, name: str) -> str:
    images = f"{row.images} image{'' if row.images == 1 else 's'}"
    return f"frame set {row.number}, {name}: AbsRel {number(metrics.abs_rel)}, {images}"


def cumulative_figure(
    profiles: Mapping[str, ErrorProfile], name: str, things: str
) -> Figure | None:
    """Share of the truth points whose relative error is below x."""
    lines, at_ten = [], {}
    for series, (key, called) in enumerate((("depth image", name), (EMBODIED, EMBODIED))):
        profile = profiles.get(key)
        if profile is None or not profile.truth_count:
            continue
        rows = [row for row in profile.below if row.limit <= CUMULATIVE_END]
        points = [(0.0, 0.0), *((row.limit, row.share) for row in rows)]
        lines.append(Line(called, series, points))
        at_ten[series] = next(row.share for row in rows if row.limit == 0.10)
    if not lines:
        return None
    reading = (
        f"Higher is better: {share(at_ten[0], 0)} % of all {things} are right to 10 %"
        + (f", of embodied depth {share(at_ten[1], 0)} %" if 1 in at_ten else "")
        + ". Points without a depth count as wrong."
    )
    percent = plain([0, 0.1], " %", 100)
    svg = line_chart(
        lines[::-1],
        Axis("relative error below, %", 0.0, CUMULATIVE_END, percent),
        Axis(f"share of all {things}, %", 0.0, 1.0, percent),
        y_lines=(0.0,),
        label=reading,
    )
    return figure_of("Cumulative error", svg, reading)


def confidence_figure(profile: ErrorProfile | None, things: str) -> Figure | None:
    """Share that is right to 10 % against the confidence that was given."""
    if profile is None or not profile.confidence:
        return None
    rows = profile.confidence
    most = max(rows, key=lambda row: row.count)
    off = most.a10 - most.confidence
    word = "as" if abs(off) < 0.05 else "more than" if off > 0 else "fewer than"
    reading = (
        "On the dashed line confidence keeps its word; below it depth is surer than it should be."
        f" Where it says {most.low:.1f} to {most.high:.1f} (most {things}),"
        f" {share(most.a10, 0)} % are right to 10 %, {word} promised. Over all bins the two differ"
        f" by {share(profile.confidence_gap)} % (ECE)."
    )
    hints = [
        f"confidence {row.low:.1f} to {row.high:.1f}: {row.confidence:.2f} in the mean,"
        f" {share(row.a10)} % right to 10 %, AbsRel {number(row.abs_rel)}, {row.count:,} points"
        for row in rows
    ]
    tenths = [k / 10 for k in range(0, 11, 2)]
    svg = line_chart(
        [
            Line("as promised", 3, [(0.0, 0.0), (1.0, 1.0)]),
            Line("measured", 0, [(row.confidence, row.a10) for row in rows], hints),
        ],
        Axis("confidence given, 0 to 1", 0.0, 1.0, lambda value: f"{value:.1f}"),
        Axis("right to 10 %, % of points", 0.0, 1.0, plain(tenths, " %", 100)),
        strip=Strip(
            f"bars: number of {things}, at most {short(most.count)}",
            [(row.low, row.high, row.count) for row in rows],
        ),
        x_marks=tenths,
        y_lines=(0.0,),
        label=reading,
    )
    return figure_of("Is confidence right?", svg, reading)


def error_axis(values: Iterable[float]) -> Axis:
    """Return an axis of AbsRel that has room for the finite values; there is at least one."""
    high = round_up(max(LEAST_ERROR, *(value for value in values if math.isfinite(value))))
    return Axis("AbsRel, share of the true depth", 0.0, high, plain(ticks(0.0, high)))
