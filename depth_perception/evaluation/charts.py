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

"""Charts as SVG text: bars side by side, and lines over an axis.

In: plain numbers and words. Out: an ``<svg>`` element that takes its colours from the page's style
sheet (so that it follows light, dark and print), loads nothing, and stays legible at the width of a
phone: it is drawn for about 380 px and laid out beside others where there is room.

Every series has a colour and, for readers who cannot tell colours apart, another mark: bars are
solid or outlined, lines whole or dashed, points round or square. Numbers that are not finite are
left out of a drawing; where a whole bar is missing, its place says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from depth_perception.evaluation.axes import (
    SIZE,
    WIDTH,
    hint,
    plain,
    round_up,
    share_start,
    shortened,
    svg,
    text,
    ticks,
    width_of,
    wrapped,
    zoomed_ticks,
)

ROW, GAP = 16, 9
"""Height of a bar with the space below it, and the space between groups of bars."""

LONG = 0.36 * WIDTH
"""Names that are wider stand above their bars instead of beside them."""

MARKS = 2
"""Series with a mark of their own; those after them look like the last."""


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        series: Place of its name in the legend, which gives its colour.
        value: Its length; a bar that is not finite is said to be missing.
        text: Written beside it.
        hint: Shown when the pointer rests on it.
        reach: A thin line goes on to this value; NaN for none.
        name: Written at the left of it; then its group's name stands above.
    """

    series: int
    value: float
    text: str
    hint: str = ""
    reach: float = math.nan
    name: str = ""


@dataclass(frozen=True)
class BarGroup:
    """Bars that belong together, and their name."""

    name: str
    bars: list[Bar]


@dataclass(frozen=True)
class Line:
    """A line through points, with a band around it where that is wanted.

    Attributes:
        name: In the legend; empty for none.
        series: Its colour.
        points: (x, y); the line is interrupted where y is not finite.
        hints: For each point, shown when the pointer rests on it; then points have marks.
        band: (x, low, high).
    """

    name: str
    series: int
    points: list[tuple[float, float]]
    hints: list[str] = field(default_factory=list)
    band: list[tuple[float, float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Axis:
    """An axis: its title with the unit, its ends, and how its numbers are written."""

    title: str
    low: float
    high: float
    form: Callable[[float], str]


@dataclass(frozen=True)
class Strip:
    """How many points there are, as bars below a line chart: (from, to, count) in x, and hints."""

    title: str
    counts: list[tuple[float, float, int]]


def bar_chart(
    groups: Sequence[BarGroup],
    title: str,
    names: Sequence[str] = (),
    *,
    shares: bool = False,
    least: float = 0.0,
    label: str,
) -> str:
    """Draw bars from left to right, group by group; empty text without any finite bar.

    Args:
        groups: From the top down.
        title: Of the axis, with its unit.
        names: Of the series, for the legend; none for a single one.
        shares: Values are shares of one, written as percent; the axis ends at 100 %, and starts
            near the values, said so, where all of them are high.
        least: The axis ends no earlier: below it, differences are noise.
        label: What a screen reader says.
    """
    values = [v for g in groups for b in g.bars for v in (b.value, b.reach) if math.isfinite(v)]
    if not values:
        return ""
    start = share_start(values) if shares else 0.0
    end = 1.0 if shares and max(values) > 0.5 else round_up(max(*values, least))
    own = max(width_of(bar.name) for group in groups for bar in group.bars)
    beside = max(width_of(group.name) for group in groups)
    above = own > 0 or beside > LONG
    left = own + 8 if own else 4.0 if above else beside + 8
    # A bar may be as long as leaves room for its own text.
    room = max(width_of(bar.text) for group in groups for bar in group.bars) + 8
    right = WIDTH - room

    def x(value: float) -> float:
        return left + (right - left) * (min(max(value, start), end) - start) / (end - start)

    used = sorted({bar.series for group in groups for bar in group.bars})
    parts, top = _legend([(names[k], k) for k in used if k < len(names)], "bar", 0.0)
    y = top + 4
    body: list[str] = []
    headings: list[str] = []
    for group in groups:
        if above:
            # Bold is wider than the measure.
            name = shortened(group.name, 0.85 * WIDTH)
            headings.append(text(0, y + 12, name, kind="strong"))
            y += 19
        else:
            middle = y + ROW * len(group.bars) / 2
            body.append(text(left - 8, middle + 3, group.name, "end"))
        for bar in group.bars:
            if bar.name:
                body.append(text(left - 8, y + ROW - 6, bar.name, "end"))
            body.append(_bar(bar, x, y, left))
            y += ROW
        y += GAP
    bottom = y - GAP + 4
    most = max(2, int((right - left) / 48))
    marks = zoomed_ticks(start, most) if start else ticks(start, end, most)
    form = plain(marks, " %" if shares else "", 100.0 if shares else 1.0)
    for mark in marks:
        parts.append(
            f'<line class="{"zero" if mark == start else "grid"}" x1="{x(mark):.1f}"'
            f' x2="{x(mark):.1f}" y1="{top + 2:.1f}" y2="{bottom:.1f}"/>'
        )
        body.append(text(x(mark), bottom + 15, form(mark), "middle", "small"))
    if start > 0:
        body.append(_broken(left, top + 2, bottom))
        title += f"; the axis starts at {form(start)}, not at zero"
    lines = wrapped(title, WIDTH)
    for k, part in enumerate(lines):
        body.append(text(WIDTH / 2, bottom + 32 + 15 * k, part, "middle", "axis"))
    return svg(bottom + 38 + 15 * (len(lines) - 1), parts + body + headings, label)


def _bar(bar: Bar, x: Callable[[float], float], y: float, left: float) -> str:
    tall = ROW - 4
    if not math.isfinite(bar.value):
        return text(left + 5, y + tall - 1, bar.text or "none", kind="small")
    end, parts = x(bar.value), ""
    shape = f'x="{left:.1f}" y="{y:.1f}" width="{max(end - left, 1):.1f}" height="{tall}"'
    parts += f'<rect class="bar s{bar.series}" {shape}/>'
    if math.isfinite(bar.reach) and bar.reach > bar.value:
        end = x(bar.reach)
        middle = y + tall / 2
        parts += (
            f'<path class="reach" d="M{x(bar.value):.1f} {middle:.1f}H{end:.1f}'
            f'M{end:.1f} {y + 2:.1f}V{y + tall - 2:.1f}"/>'
        )
    parts += text(end + 5, y + tall - 2, bar.text)
    return f"<g>{hint(bar.hint)}{parts}</g>"


def _broken(x: float, top: float, bottom: float) -> str:
    """Draw the zigzag of an axis that does not start at zero."""
    steps = "".join(f"l{3 if k % 2 else -3} 4" for k in range(int((bottom - top) / 4)))
    return f'<path class="broken" d="M{x + 4:.1f} {top:.1f}{steps}"/>'


def line_chart(
    lines: Sequence[Line],
    x_axis: Axis,
    y_axis: Axis,
    *,
    label: str,
    strip: Strip | None = None,
    x_marks: Sequence[float] = (),
    y_lines: Sequence[float] = (),
    height: int = 190,
) -> str:
    """Draw lines over an axis; empty text without any finite point.

    Args:
        lines: From the back to the front.
        x_axis: The axis below.
        y_axis: The axis at the left.
        label: What a screen reader says.
        strip: Counts drawn below, over the same x.
        x_marks: Numbers on the x axis; none takes round ones.
        y_lines: Values at which a stronger line goes across.
        height: Of the drawing without titles.
    """
    if not any(math.isfinite(y) for line in lines for _, y in line.points):
        return ""
    y_ticks = ticks(y_axis.low, y_axis.high, 5)
    left = max(width_of(y_axis.form(tick), SIZE - 1) for tick in y_ticks) + 10
    right = WIDTH - 14.0
    # Lines are drawn from the back to the front, and named from the front to the back.
    named = [(line.name, line.series) for line in reversed(lines) if line.name]
    legend, top = _legend(named, "line", 18.0)
    parts = [text(0, 12, y_axis.title, kind="axis"), *legend]
    top += 8
    bottom = top + height

    def x(value: float) -> float:
        return left + (right - left) * (value - x_axis.low) / (x_axis.high - x_axis.low)

    def y(value: float) -> float:
        inside = min(max(value, y_axis.low), y_axis.high)
        return bottom - height * (inside - y_axis.low) / (y_axis.high - y_axis.low)

    for tick in y_ticks:
        kind = "zero" if tick in y_lines else "grid"
        parts.append(
            f'<line class="{kind}" x1="{left:.1f}" x2="{right:.1f}" y1="{y(tick):.1f}"'
            f' y2="{y(tick):.1f}"/>'
        )
        parts.append(text(left - 6, y(tick) + 4, y_axis.form(tick), "end", "small"))
    parts += [_curve(line, x, y) for line in lines]
    if strip is not None:
        parts.append(_strip(strip, x, bottom + 6))
        bottom += 34
    marks = [m for m in x_marks or ticks(x_axis.low, x_axis.high, 6)]
    last = -math.inf
    for mark in marks:
        written = x_axis.form(mark)
        half = width_of(written, SIZE - 1) / 2
        parts.append(
            f'<line class="zero" x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="{bottom:.1f}"'
            f' y2="{bottom + 4:.1f}"/>'
        )
        if x(mark) - half >= last + 4:
            parts.append(text(x(mark), bottom + 17, written, "middle", "small"))
            last = x(mark) + half
    parts.append(text((left + right) / 2, bottom + 34, x_axis.title, "middle", "axis"))
    if strip is not None:
        parts.append(text((left + right) / 2, bottom + 50, strip.title, "middle", "small"))
        bottom += 16
    return svg(bottom + 40, parts, label)


def _curve(line: Line, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    out = ""
    band = [(at, low, high) for at, low, high in line.band if math.isfinite(low + high)]
    if len(band) > 1:
        there = " ".join(f"{x(at):.1f},{y(high):.1f}" for at, _, high in band)
        back = " ".join(f"{x(at):.1f},{y(low):.1f}" for at, low, _ in reversed(band))
        out += f'<polygon class="band s{line.series}" points="{there} {back}"/>'
    elif band:
        at, low, high = band[0]
        out += f'<path class="reach" d="M{x(at):.1f} {y(low):.1f}V{y(high):.1f}"/>'
    drawing, path = False, ""
    for at, value in line.points:
        if math.isfinite(value):
            path += f"{'L' if drawing else 'M'}{x(at):.1f} {y(value):.1f}"
        drawing = math.isfinite(value)
    out += f'<path class="curve s{line.series}" d="{path}"/>'
    for (at, value), words in zip(line.points, line.hints, strict=bool(line.hints)):
        if math.isfinite(value):
            out += f"<g>{hint(words)}{_mark(x(at), y(value), line.series)}</g>"
    return out


def _mark(x: float, y: float, series: int) -> str:
    """Draw a point: round for the first series, square for the others."""
    if series == 0:
        return f'<circle class="mark s{series}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
    return f'<rect class="mark s{series}" x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6"/>'


def _strip(strip: Strip, x: Callable[[float], float], top: float) -> str:
    """Draw counts as bars as high as their share of the largest, at most 24 units."""
    largest = max((number for *_, number in strip.counts), default=0)
    out = ""
    for low, high, number in strip.counts:
        if number:
            tall = max(24 * number / largest, 1)
            out += (
                f'<rect class="count" x="{x(low) + 0.5:.1f}" y="{top + 24 - tall:.1f}"'
                f' width="{max(x(high) - x(low) - 1, 1):.1f}" height="{tall:.1f}">'
                f"{hint(f'{number:,} points')}</rect>"
            )
    return out


def _legend(entries: Sequence[tuple[str, int]], kind: str, top: float) -> tuple[list[str], float]:
    """Draw names beside their marks, in as many rows as they need; also the y below them."""
    if not entries:
        return [], top
    parts, x, y = [], 0.0, top
    for name, series in entries:
        wide = width_of(name) + 34
        if x and x + wide > WIDTH:
            x, y = 0.0, y + 17
        if kind == "bar":
            place = f'x="{x + 1:.1f}" y="{y + 2:.1f}" width="16" height="11"'
            parts.append(f'<rect class="bar s{series}" {place}/>')
        else:
            parts.append(f'<path class="curve s{series}" d="M{x:.1f} {y + 8:.1f}h18"/>')
            if series < MARKS:
                parts.append(_mark(x + 9, y + 8, series))
        parts.append(text(x + 23, y + 12, name))
        x += wide + 8
    return parts, y + 18
