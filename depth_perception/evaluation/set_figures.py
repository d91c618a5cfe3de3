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

"""Charts of whole frame sets: the obstacle cloud, and flicker.

In: scores. Out: `Figure`, or None where there is nothing to show.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from depth_perception.evaluation.charts import Bar, BarGroup, bar_chart
from depth_perception.evaluation.error_figures import EMBODIED, Figure, figure_of
from depth_perception.evaluation.flicker import FlickerScores
from depth_perception.evaluation.formats import share
from depth_perception.evaluation.obstacles import ObstacleScores

DEPTH_IMAGE = "depth image"


def obstacles_figure(rows: Mapping[str, ObstacleScores], name: str, truth: str) -> Figure | None:
    """F-score, precision and recall of the obstacle cloud, beside embodied depth's."""
    if not rows:
        return None
    looks = {DEPTH_IMAGE: (0, name), EMBODIED: (1, EMBODIED)}
    groups = []
    for title, key in (("F-score", "f1"), ("precision", "precision"), ("recall", "recall")):
        bars = []
        for which, item in rows.items():
            series, called = looks[which]
            value = getattr(item, key)
            text = f"{share(value)} %" if math.isfinite(value) else "no points"
            hint = f"{called}: {item.predicted:,} predicted points where {truth} could tell,"
            bars.append(Bar(series, value, text, f"{hint} {item.truth:,} true ones"))
        groups.append(BarGroup(title, bars))
    reading = (
        "Points 0.3 to 3 m above the ground and within 25 m, right to half a metre: longer is"
        f" better. Precision: predicted points that {truth} confirms; recall: true ones that were"
        " found."
    )
    svg = bar_chart(groups, "% of points", (name, EMBODIED), shares=True, label=reading)
    return figure_of("The obstacle cloud", svg, reading)


def flicker_figure(rows: Mapping[str, FlickerScores], name: str) -> Figure | None:
    """Change of depth of what stands still, beside embodied depth's."""
    known = {key: item for key, item in rows.items() if item.count}
    if not known:
        return None
    looks = {DEPTH_IMAGE: (0, name), EMBODIED: (1, EMBODIED)}
    groups = []
    for title, key in (("median", "median"), ("mean", "mean")):
        bars = []
        for which, item in known.items():
            series, called = looks[which]
            value = getattr(item, key)
            hint = (
                f"{called}: {share(value)} %, {item.count:,} points, {share(item.steady)} % steady"
            )
            bars.append(Bar(series, 100 * value, f"{share(value)} %", hint))
        groups.append(BarGroup(title, bars))
    first = next(iter(known.values()))
    reading = (
        "How much depth of what stands still changes from one frame set to the next"
        f" ({first.seconds:.2g} s), the vehicle's motion taken out: shorter is better."
        f" {share(first.steady, 0)} % of the points change by less than 5 %."
    )
    svg = bar_chart(groups, "change, % of the depth", (name, EMBODIED), least=1.0, label=reading)
    return figure_of("Flicker", svg, reading)
