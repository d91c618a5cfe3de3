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

"""The charts of a report, each with a title, and a sentence that says how to read it.

In: `Evaluation`. Out: `Figure` after `Figure`; what has nothing to show is left out. A sentence
names the worst camera, frame set or distance, since that is where one looks next.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from depth_perception.evaluation.boundary import Boundary
from depth_perception.evaluation.charts import Bar, BarGroup, bar_chart
from depth_perception.evaluation.distance_figures import (
    direction_figure,
    exact_road_figure,
    range_figure,
    road_figure,
)
from depth_perception.evaluation.error_figures import (
    EMBODIED,
    NAMES,
    Figure,
    camera_figure,
    confidence_figure,
    cumulative_figure,
    figure_of,
    frame_figure,
)
from depth_perception.evaluation.exact import ExactScores
from depth_perception.evaluation.formats import milliseconds, share
from depth_perception.evaluation.measured_figures import measured_figures
from depth_perception.evaluation.scores import Evaluation, Overlap, StageLatency
from depth_perception.evaluation.set_figures import flicker_figure, obstacles_figure

MOST_PAIRS = 10
"""Pairs of cameras in a chart: the others are in JSON."""


def lidar_figures(e: Evaluation) -> list[Figure]:
    """Return the charts of what was scored against a LiDAR; none without one."""
    if not e.points:
        return []
    name = NAMES.get(e.estimator, e.estimator)
    cameras = {key: scores.metric for key, scores in e.cameras.items()}
    image = e.profiles.get("depth image")
    made = [
        road_figure(e.road, name),
        camera_figure(cameras, e.embodied_cameras, name),
        frame_figure(e.by_frame, name),
        cumulative_figure(e.profiles, name, "LiDAR points"),
        range_figure(e.profiles, name, "LiDAR points"),
        direction_figure(e.by_depth, "LiDAR points"),
        confidence_figure(image, "LiDAR points"),
        overlap_figure(e.overlap_all, e.overlap),
        obstacles_figure(e.sets.obstacles, name, "the LiDAR"),
        edges_figure(e.boundary, name),
        flicker_figure(e.sets.flicker, name),
        *measured_figures({} if e.measured is None else {"all": e.measured}, "LiDAR points"),
    ]
    return [figure for figure in made if figure is not None]


def exact_figures(x: ExactScores | None, estimator: str) -> list[Figure]:
    """Return the charts of what was scored against exact truth; none without it."""
    if x is None:
        return []
    name = NAMES.get(estimator, estimator)
    cameras = {key: scores.metric for key, scores in x.cameras.items()}
    embodied = {k: c.embodied for k, c in x.cameras.items() if c.embodied is not None}
    image = x.profiles.get("depth image")
    edges = {"depth image": x.all.boundary, EMBODIED: x.all.embodied_boundary}
    made = [
        exact_road_figure(x),
        camera_figure(cameras, embodied, name),
        frame_figure(x.by_frame, name),
        cumulative_figure(x.profiles, name, "pixels"),
        range_figure(x.profiles, name, "pixels"),
        direction_figure(image.by_depth if image else [], "pixels"),
        confidence_figure(image, "pixels"),
        obstacles_figure(x.sets.obstacles, name, "exact truth"),
        edges_figure({k: b for k, b in edges.items() if b is not None}, name),
        flicker_figure(x.sets.flicker, name),
        *measured_figures(x.measured, "pixels"),
    ]
    return [figure for figure in made if figure is not None]


def edges_figure(rows: Mapping[str, Boundary], name: str) -> Figure | None:
    """Precision, recall and F1 of depth edges, beside embodied depth's."""
    looks = {"depth image": (0, name), EMBODIED: (1, EMBODIED)}
    groups = []
    for title, key in (("F1", "f1"), ("precision", "precision"), ("recall", "recall")):
        bars = []
        for which, boundary in rows.items():
            series, called = looks[which]
            value = getattr(boundary, key)
            text = f"{share(value)} %" if math.isfinite(value) else "none found"
            hint = f"{called}: {boundary.edges:,} true edges, {boundary.predicted:,} predicted"
            if key == "f1" and math.isfinite(boundary.reached):
                hint += f"; {share(boundary.reached, 0)} % of what the pixels allow"
            bars.append(Bar(series, value, text, hint))
        groups.append(BarGroup(title, bars))
    if not rows:
        return None
    reading = (
        "Do jumps of depth lie at the edges of objects? Longer is better; precision: found edges"
        " that are true, recall: true edges that were found."
    )
    first = next(iter(rows.values()))
    if math.isfinite(first.reached):
        reading += (
            f" Truth itself would reach an F1 of {share(first.attainable, 0)} % on these pixels:"
            f" that is attainable, and {share(first.reached, 0)} % of it is reached."
        )
    svg = bar_chart(groups, "% of edges", (name, EMBODIED), shares=True, label=reading)
    return figure_of("Edges of objects", svg, reading)


def overlap_figure(total: Overlap | None, pairs: Sequence[Overlap]) -> Figure | None:
    """Median difference of two cameras about the same point: of all pairs, then the worst ones."""
    if total is None or not total.count:
        return None
    known = sorted((pair for pair in pairs if pair.count), key=lambda pair: -pair.median)
    named = [(" – ".join(pair.cameras), pair) for pair in known]
    reading = (
        "How far two cameras that see the same point differ; shorter is better. Of all such points"
        f" {share(total.consistent)} % agree to 5 %."
    )
    if len(named) > 1:
        reading += f" Worst: {named[0][0]} ({share(known[0].median)} %)."
        named = [("all pairs", total), *named[:MOST_PAIRS]]
        if len(known) > MOST_PAIRS:
            reading += f" Shown are the {MOST_PAIRS} worst of {len(known)} pairs."
    groups = [
        BarGroup(
            name,
            [
                Bar(
                    0,
                    100 * pair.median,
                    f"{share(pair.median)} %",
                    f"{name}: median {share(pair.median)} %, mean {share(pair.mean)} %,"
                    f" {share(pair.consistent)} % of {pair.count:,} points agree to 5 %",
                )
            ],
        )
        for name, pair in named
    ]
    svg = bar_chart(groups, "median difference, % of the depth", least=1.0, label=reading)
    return figure_of("Where two cameras overlap", svg, reading)


def latency_figure(rows: Sequence[StageLatency], sets: int) -> Figure | None:
    """Time of each stage, median and 95 %."""
    if not rows:
        return None
    groups = [
        BarGroup(
            row.stage,
            [
                Bar(
                    2 if row.stage == "total" else 0,
                    1000 * row.p50,
                    milliseconds(row.p50) + (f" ({milliseconds(row.p95)})" if sets > 1 else ""),
                    f"{row.stage}: p50 {milliseconds(row.p50)} ms, p95 {milliseconds(row.p95)} ms",
                    1000 * row.p95,
                )
            ],
        )
        for row in rows
    ]
    stages = [row for row in rows if row.stage != "total"] or list(rows)
    slowest = max(stages, key=lambda row: row.p50)
    reading = f"Milliseconds for a frame set: most are spent on {slowest.stage}."
    if sets > 1:
        reading += " Bar and number: median (p50); thin line and number in brackets: p95."
    svg = bar_chart(groups, "time for a frame set, ms", label=reading)
    return figure_of("Latency by stage", svg, reading)
