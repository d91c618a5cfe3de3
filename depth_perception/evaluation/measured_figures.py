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

"""Charts of measured depth: how much is measured, how right it is, and whether it knows.

In: `MeasuredScores`. Out: `Figure` after `Figure`; without anything measured there is one that says
how little.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from depth_perception.evaluation.charts import Bar, BarGroup, bar_chart
from depth_perception.evaluation.error_figures import LEAST_ERROR, Figure, figure_of
from depth_perception.evaluation.formats import number, share
from depth_perception.evaluation.measured import NEARER, MeasuredRow, MeasuredScores
from depth_perception.frames.measured_kind import MEASURED_KINDS

PROMISED = (0.683, 0.954)
"""Shares of normal errors within one and two standard deviations."""

_SERIES = {kind.name.lower(): min(index, 3) for index, kind in enumerate(MEASURED_KINDS)}


def measured_figures(scores: Mapping[str, MeasuredScores], things: str) -> list[Figure]:
    """Return the charts of measured depth; none without scores.

    Args:
        scores: By what they are of; the first is of everything.
        things: What the truth is made of, such as "LiDAR points".
    """
    if not scores:
        return []
    made = [
        cover_figure(scores, things),
        error_figure(scores),
        wrong_figure(scores),
        deviation_figure(next(iter(scores.values()))),
    ]
    return [figure for figure in made if figure is not None]


def cover_figure(scores: Mapping[str, MeasuredScores], things: str) -> Figure | None:
    """Share of the truth that is measured, by distance, and in which way."""
    everything = next(iter(scores.values()))
    groups = []
    for name, row in _places(scores):
        bars = [
            Bar(
                _SERIES[kind],
                value,
                f"{share(value)} %",
                f"{name}, {kind}: {share(value)} % of {row.truth_count:,} {things}",
                name=kind,
            )
            for kind, value in row.kinds.items()
        ]
        nothing = Bar(0, 0.0, "nothing", f"{name}: none of {row.truth_count:,} {things}", name="")
        title = f"{name}: {share(row.pooled.cover)} % of {row.truth_count:,}"
        groups.append(BarGroup(title, bars or [nothing]))
    total = everything.all
    reading = (
        f"Share of the {things} that the vehicle's motion measures, and how: longer is better."
        f" In an image it is {share(total.median.cover)} % (median of {total.images})."
    )
    svg = bar_chart(groups, f"% of {things}", shares=True, least=0.1, label=reading)
    return figure_of("Measured by motion: how much", svg, reading)


def error_figure(scores: Mapping[str, MeasuredScores]) -> Figure | None:
    """AbsRel of what is measured, by distance and by kind: medians over images."""
    everything = next(iter(scores.values()))
    if not everything.all.count:
        return None
    static = scores.get("static")
    groups = _groups(everything, "abs_rel")
    if static is not None and math.isfinite(static.all.median.abs_rel):
        groups.append(BarGroup("without moving things", _bars({"static": static.all}, "abs_rel")))
    worst = _worst(everything.by_range, "abs_rel")
    reading = (
        "Mean relative error of what is measured, medians over images: shorter is better. Of all:"
        f" {number(everything.all.median.abs_rel)}."
    )
    if worst:
        reading += f" Worst at {worst} ({number(everything.by_range[worst].median.abs_rel)})."
    svg = bar_chart(groups, "AbsRel, share of the true depth", least=LEAST_ERROR, label=reading)
    return figure_of("Measured by motion: AbsRel", svg, reading)


def wrong_figure(scores: Mapping[str, MeasuredScores]) -> Figure | None:
    """Share of what is measured that is wrong by more than a quarter."""
    everything = next(iter(scores.values()))
    if not everything.all.count:
        return None
    groups = _groups(everything, "wrong")
    apart = {name: scores[name].all for name in ("static", "moving") if name in scores}
    if apart:
        bars = _bars(apart, "wrong", pooled=True)
        groups.append(BarGroup("static and moving things, all pixels alike", bars))
    total = everything.all
    reading = (
        "Share of what is measured that is off by more than 25 %, medians over images: shorter is"
        f" better. Of all {share(total.median.wrong)} %; all of them alike, not image by image,"
        f" {share(total.pooled.wrong)} %."
    )
    svg = bar_chart(groups, "off by more than 25 %, %", shares=True, least=0.05, label=reading)
    return figure_of("Measured by motion: how much is wrong", svg, reading)


def deviation_figure(scores: MeasuredScores) -> Figure | None:
    """Share of errors within one and two of the deviations that were given, by kind."""
    if not scores.all.count:
        return None
    groups = [
        BarGroup(
            name,
            [
                Bar(
                    k, value, f"{share(value, 0)} %", f"{name}: {promise}", name=f"within {k + 1} σ"
                )
                for k, (value, promise) in enumerate(
                    zip(
                        (row.pooled.within_one, row.pooled.within_two),
                        (f"{share(p, 0)} % would be honest" for p in PROMISED),
                        strict=True,
                    )
                )
            ],
        )
        for name, row in {"all": scores.all, **scores.by_kind}.items()
    ]
    within = scores.all.pooled.within_one
    said = "about what they promise"
    if within < PROMISED[0] - 0.1:
        said = "fewer: deviations are too small"
    elif within > PROMISED[0] + 0.1:
        said = "more: deviations are larger than need be"
    reading = (
        "Each measurement comes with a standard deviation (σ). Honest ones have 68 % of the errors"
        f" within one and 95 % within two; here it is {share(within, 0)} % within one, {said}."
    )
    svg = bar_chart(groups, "% of what is measured", shares=True, label=reading)
    return figure_of("Measured by motion: does it know how sure it is", svg, reading)


def _places(scores: Mapping[str, MeasuredScores]) -> Iterator[tuple[str, MeasuredRow]]:
    """Yield what cover is shown of: ranges, then static and moving things."""
    everything = next(iter(scores.values()))
    yield "all", everything.all
    yield from everything.by_range.items()
    if "static" in scores:
        yield f"static, {NEARER}", scores["static"].near
    for name in ("moving", "sky"):
        if name in scores:
            yield name, scores[name].all


def _groups(scores: MeasuredScores, figure: str) -> list[BarGroup]:
    return [
        BarGroup("by distance", _bars(scores.by_range, figure)),
        BarGroup("by kind", _bars(scores.by_kind, figure)),
    ]


def _bars(rows: Mapping[str, MeasuredRow], figure: str, pooled: bool = False) -> list[Bar]:
    bars = []
    for name, row in rows.items():
        value = getattr(row.pooled if pooled else row.median, figure)
        written = number(value) if figure == "abs_rel" else f"{share(value)} %"
        hint = f"{name}: {written} of {row.count:,} measured, in {row.measured_images} images"
        known = math.isfinite(value)
        bars.append(Bar(0, value, written if known else "nothing", hint, name=name))
    return bars


def _worst(rows: Mapping[str, MeasuredRow], figure: str) -> str:
    known = {name: getattr(row.median, figure) for name, row in rows.items()}
    known = {name: value for name, value in known.items() if math.isfinite(value)}
    return max(known, key=known.__getitem__) if known else ""
