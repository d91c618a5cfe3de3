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

"""How numbers of an evaluation are written: on the page and in the terminal."""

from __future__ import annotations

import math

from depth_perception.evaluation.measured import MeasuredFigures
from depth_perception.evaluation.metrics import DepthMetrics

METRIC_COLUMNS = (
    ("abs_rel", "AbsRel", 3, False),
    ("sq_rel", "SqRel", 2, False),
    ("rmse", "RMSE", 2, False),
    ("rmse_log", "RMSE log", 3, False),
    ("silog", "SILog", 1, False),
    ("log10", "log10", 3, False),
    ("delta1", "δ1", 1, True),
    ("delta2", "δ2", 1, True),
    ("delta3", "δ3", 1, True),
    ("a5", "A5", 1, True),
    ("a10", "A10", 1, True),
    ("coverage", "coverage", 1, True),
)
"""Field of `DepthMetrics`, heading, decimals, whether it is a share."""


def number(value: float, decimals: int = 3, sign: bool = False) -> str:
    """Format a number; a dash for none."""
    if not math.isfinite(value):
        return "–"
    # Zero has no sign of its own: not -0.000.
    return f"{round(value, decimals) + 0.0:{'+' if sign else ''}.{decimals}f}"


def share(value: float, decimals: int = 1) -> str:
    """Format a share as percent, without the sign; a dash for none."""
    return number(100 * value, decimals)


def count(value: int) -> str:
    """Format a count with thin spaces between thousands."""
    return f"{value:,}".replace(",", "\u2009")


def short(value: int) -> str:
    """Format a count in at most five characters: 812, 3.4k, 121k, 5.7M."""
    for unit, size in (("M", 1_000_000), ("k", 1000)):
        if value >= size:
            return f"{value / size:.1f}{unit}" if value < 100 * size else f"{value // size}{unit}"
    return str(value)


def milliseconds(seconds: float) -> str:
    """Format a time: 0.04, 3.2, 148."""
    value = 1000 * seconds
    return number(value, 0 if value >= 100 else 1 if value >= 1 else 2)


def metric_cells(metrics: DepthMetrics) -> list[str]:
    """Format the columns of `METRIC_COLUMNS`."""
    return [
        (share if is_share else number)(getattr(metrics, name), decimals)
        for name, _, decimals, is_share in METRIC_COLUMNS
    ]


MEASURED_HEADINGS = ("cover", "AbsRel", "median %", "off 25 %", "in 1 σ", "in 2 σ")
"""Headings of `measured_cells`."""


def measured_cells(figures: MeasuredFigures) -> list[str]:
    """Format the figures of measured depth: shares as percent, AbsRel as a number."""
    return [
        share(figures.cover),
        number(figures.abs_rel),
        share(figures.median_error),
        share(figures.wrong),
        share(figures.within_one, 0),
        share(figures.within_two, 0),
    ]
