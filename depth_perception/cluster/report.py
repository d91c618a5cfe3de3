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

"""One page over all bags: how scores are spread, the worst bags, groups, and a former run beside.

In: results and the rows of a former run. Out: HTML in one file that loads nothing from a network.
Given the same results it is the same text. Style sheet and words are those of a bag's own report.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from depth_perception.cluster.comparison import (
    SCORES,
    Change,
    Group,
    Interval,
    Score,
    compared,
    grouped,
    mean_interval,
    moved_most,
    value_of,
)
from depth_perception.cluster.judge import BagPicture
from depth_perception.errors import ConfigurationError
from depth_perception.evaluation.axes import plain, round_up, ticks
from depth_perception.evaluation.charts import Axis, Bar, BarGroup, Line, bar_chart, line_chart
from depth_perception.evaluation.error_figures import EMBODIED, NAMES, Figure, figure_of
from depth_perception.evaluation.formats import number
from depth_perception.evaluation.glossary import GLOSSARY
from depth_perception.evaluation.report import environment

WORST = 10
"""Bags that are shown with pictures, and that are named as better or worse than before."""

LISTED = 300
"""Bags in the table of all, the worst: the others are in bags.parquet."""

_BARS = 12
"""Groups in a chart."""

_SPREAD = ("abs_rel", "delta1", "road_a10", "latency_p50")
"""Scores whose spread is drawn."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Contents:
    """What the page is made of.

    Attributes:
        rows: Of all bags and estimators; see `tables.bag_rows`.
        cameras: See `tables.camera_rows`.
        estimator: The one that was asked for; rows of embodied depth may stand beside it.
        pictures_of: Gives the pictures of a row's bag.
        failed: Error by bag, of those that could not be, or not to their end.
        tags: For each tag, its value by bag.
        untagged: Bags without tags.
        former: Rows of the former run; none without one.
        former_name: What it is called.
        date: Printed as it is; empty leaves it out.
    """

    rows: Sequence[Row]
    cameras: Sequence[Row]
    estimator: str
    pictures_of: Callable[[Row], Sequence[BagPicture]]
    failed: Mapping[str, str]
    tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    untagged: Sequence[str] = ()
    former: Sequence[Row] = ()
    former_name: str = ""
    date: str = ""


@dataclass(frozen=True)
class GroupTable:
    """Groups of one tag, or of cameras: title, chart and rows."""

    title: str
    figure: Figure | None
    groups: list[Group]


def render(contents: Contents) -> str:
    """Make the page."""
    main = main_rows(contents)
    former = of_estimator(contents.former, main)
    ranked = sorted(
        (row for row in main if math.isfinite(value_of(row, "abs_rel"))),
        key=lambda row: (-value_of(row, "abs_rel"), row["bag"]),
    )
    changes = [c for c in (compared(main, former, score) for score in SCORES) if c is not None]
    better, worse = moved_most(main, former, WORST)
    names = {row["bag"] for row in main}
    template = environment("depth_perception.cluster", interval=interval_text).get_template(
        "cluster.html.j2"
    )
    return template.render(
        c=contents,
        first=main[0] if main else None,
        bags=len(main),
        sets=sum(int(row["frame_sets"]) for row in main),
        images=sum(int(row["images"]) for row in main),
        tiles=[(score, found) for score in SCORES[:8] if (found := _mean(main, score)).bags],
        beside=mean_interval(value_of(r, "abs_rel") for r in beside_rows(contents)),
        figures=spread_figures(main, beside_rows(contents), former),
        changes=changes,
        written=change_cells,
        better=better,
        worse=worse,
        paired=len(names & {row["bag"] for row in former}),
        only_now=sorted(names - {row["bag"] for row in former}) if former else [],
        only_before=sorted({row["bag"] for row in former} - names),
        shown=[(row, contents.pictures_of(row)) for row in ranked[:WORST]],
        tables=group_tables(contents, main, former),
        listed=ranked[:LISTED],
        glossary=GLOSSARY,
    )


def write_report(path: Path, contents: Contents) -> None:
    """Write the page.

    Raises:
        ConfigurationError: It cannot be written.
    """
    try:
        path.write_text(render(contents), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"'{path}' cannot be written ({error.strerror or error})",
            expected="a folder that may be written to and has room",
            fix="make room there: the same command goes on",
        ) from None


def main_rows(contents: Contents) -> list[Row]:
    """Return the rows of the estimator that was asked for, of the bags that were scored."""
    return [
        row
        for row in contents.rows
        if row["estimator"] == contents.estimator and row["status"] != "failed"
    ]


def beside_rows(contents: Contents) -> list[Row]:
    """Return the rows of embodied depth beside it; none where it was asked for itself."""
    return [row for row in contents.rows if row["estimator"] == "embodied" != contents.estimator]


def of_estimator(former: Sequence[Row], main: Sequence[Row]) -> list[Row]:
    """Return the rows of a former run of the same estimator, or else all of its own.

    A run with `embodied` may be held against one with `fused`; the row beside a network's is not
    taken for it where the network's own is there.
    """
    rows = [row for row in former if math.isfinite(value_of(row, "abs_rel"))]
    wanted = {str(row["estimator"]) for row in main}
    same = [row for row in rows if str(row["estimator"]) in wanted]
    return same or [row for row in rows if row["estimator"] != "embodied"] or rows


def group_tables(
    contents: Contents, main: Sequence[Row], former: Sequence[Row]
) -> list[GroupTable]:
    """Make the tables by camera and by tag."""
    wanted = {(row["bag"], row["estimator"]) for row in main}
    cameras = [row for row in contents.cameras if (row["bag"], row["estimator"]) in wanted]
    parts = [("camera", grouped(cameras, [], None))]
    parts += [(name, grouped(main, former, values)) for name, values in contents.tags.items()]
    return [GroupTable(name, _group_figure(name, groups), groups) for name, groups in parts]


def spread_figures(
    main: Sequence[Row], beside: Sequence[Row], former: Sequence[Row]
) -> list[Figure]:
    """Draw how scores are spread over bags, embodied depth and the former run beside them."""
    name = NAMES.get(str(main[0]["estimator"]), str(main[0]["estimator"])) if main else ""
    figures = []
    for score in SCORES:
        if score.name not in _SPREAD:
            continue
        kinds = [(name, 0, main)]
        if former:
            kinds.append(("former run", 1, former))
        elif beside and score.name != "latency_p50":
            kinds.append((EMBODIED, 1, beside))
        figure = _spread(score, kinds)
        if figure is not None:
            figures.append(figure)
    return figures


def _spread(score: Score, kinds: Sequence[tuple[str, int, Sequence[Row]]]) -> Figure | None:
    """Draw the share of the bags up to each value."""
    columns = {
        (name, series): np.sort(
            [v for row in rows if math.isfinite(v := value_of(row, score.name))]
        )
        for name, series, rows in kinds
    }
    columns = {key: values for key, values in columns.items() if len(values)}
    if not columns:
        return None
    ends = [float(edge) for values in columns.values() for edge in (values[0], values[-1])]
    low, high = (0.0, round_up(max(ends))) if score.less_is_better else (min(ends), max(ends))
    if not high > low:
        low, high = (
            (low - 0.05, low + 0.05) if not score.share else (max(0, low - 0.05), low + 0.05)
        )
    lines = []
    for (name, series), values in columns.items():
        share_of = np.arange(1, len(values) + 1) / len(values)
        points = [(low, 0.0)]
        for value, above, below in zip(values, share_of, [0.0, *share_of[:-1]], strict=True):
            points += [(float(value), float(below)), (float(value), float(above))]
        points.append((high, 1.0))
        lines.append(Line(name, series, points))
    marks = ticks(low, high, 6)  # as the chart has across
    form = plain(marks, " %" if score.share else "", 100.0 if score.share else 1.0)
    drawn = line_chart(
        list(reversed(lines)),
        Axis(f"{score.title}{f', {score.unit}' if score.unit == 's' else ''}", low, high, form),
        Axis("share of the bags up to it", 0.0, 1.0, plain([0.0, 0.25], " %", 100.0)),
        label=f"Share of the bags up to each {score.title}",
    )
    own = next(iter(columns.values()))
    middle, worst = float(np.median(own)), float(own[-1] if score.less_is_better else own[0])
    reading = (
        f"Half of the bags have {score_text(score, middle)} or"
        f" {'less' if score.less_is_better else 'more'}; the worst has {score_text(score, worst)}."
    )
    return figure_of(score.title, drawn, reading)


def _group_figure(name: str, groups: Sequence[Group]) -> Figure | None:
    known = [group for group in groups if group.scores[0].bags]
    if len(known) < 2:
        return None
    bars = [
        BarGroup(
            group.value,
            [
                Bar(
                    0,
                    group.scores[0].mean,
                    number(group.scores[0].mean),
                    f"{group.value}: {group.scores[0].bags} bags",
                    group.scores[0].high,
                )
            ],
        )
        for group in known[:_BARS]
    ]
    drawn = bar_chart(
        bars, "AbsRel, mean over bags; line: upper end of its interval", label=f"AbsRel by {name}"
    )
    cut = f" The {_BARS} worst of {len(known)}." if len(known) > _BARS else ""
    reading = f"{known[0].value} is worst, {known[-1].value} best.{cut}"
    return figure_of(f"AbsRel by {name}", drawn, reading)


def _mean(rows: Sequence[Row], score: Score) -> Interval:
    return mean_interval(value_of(row, score.name) for row in rows)


def score_text(score: Score, value: float, sign: bool = False) -> str:
    """Write a value of a score with its unit."""
    text = number(100 * value if score.share else value, score.decimals, sign)
    return f"{text} {score.unit}".strip() if math.isfinite(value) else text


def interval_text(interval: Interval, score: Score, sign: bool = False) -> str:
    """Write the ends of an interval; empty where there is none."""
    if not math.isfinite(interval.low):
        return ""
    factor = 100 if score.share else 1
    low, high = (
        number(factor * value, score.decimals, sign) for value in (interval.low, interval.high)
    )
    return f"{low} to {high}"


def change_cells(change: Change) -> list[str]:
    """Write a change: before, now, difference, its interval, how many bags."""
    score, d = change.score, change.difference
    return [
        score_text(score, change.before),
        score_text(score, change.now),
        score_text(score, d.mean, True),
        interval_text(d, score, True) or "one bag",
        f"{change.better} / {change.worse} of {d.bags}",
    ]
