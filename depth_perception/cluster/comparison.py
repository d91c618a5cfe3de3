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

"""What differs between bags: by tag, by camera, and from a former run, with how sure that is.

In: rows of `tables`, one a bag. Out: means with confidence intervals. A bag counts as one, however
long it is: frame sets of a drive are alike, and only another drive is another try. The intervals
are percentiles of means of bags drawn anew (bootstrap, Efron 1979), with a fixed seed, so that the
same results give the same page. Runs are compared bag by bag: what is drawn are differences.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import ConfigurationError

RESAMPLES = 2000
_SEED = 20260101
_AT_ONCE = 100
"""Means drawn at a time: all of 10,000 bags would take 160 MB."""

UNTAGGED = "(none)"
"""Value of a tag for bags that have none."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Score:
    """A column that runs are compared by.

    Attributes:
        name: Of the column.
        title: For people.
        decimals: Shown.
        share: It is a share of one, shown as percent.
        less_is_better: As of errors.
        unit: Behind the number.
    """

    name: str
    title: str
    decimals: int = 1
    share: bool = True
    less_is_better: bool = False
    unit: str = "%"


SCORES = (
    Score("abs_rel", "AbsRel", 4, False, True, ""),
    Score("rmse", "RMSE", 2, False, True, "m"),
    Score("delta1", "δ1"),
    Score("a10", "A10"),
    Score("coverage", "coverage"),
    Score("road_a10", "road A10 below 20 m"),
    Score("cloud_f1", "obstacle cloud"),
    Score("edges_f1", "edges F1"),
    Score("flicker", "flicker", 2, True, True),
    Score("confidence_gap", "ECE", 1, True, True),
    Score("measured_cover", "measured by motion"),
    Score("exact_abs_rel", "AbsRel, exact truth", 4, False, True, ""),
    Score("latency_p50", "latency of a frame set", 3, False, True, "s"),
)


@dataclass(frozen=True)
class Interval:
    """A mean over bags, and the interval that holds it with 95 %; NaN ends below two bags."""

    mean: float
    low: float
    high: float
    bags: int


@dataclass(frozen=True)
class Change:
    """How one score changed from a former run, over the bags that have it in both.

    Attributes:
        score: Which one.
        before: Mean of the former run.
        now: Mean of this one.
        difference: Of now - before, bag by bag.
        better: Bags of which it is better.
        worse: Bags of which it is worse.
    """

    score: Score
    before: float
    now: float
    difference: Interval
    better: int
    worse: int

    @property
    def verdict(self) -> str:
        """``better`` or ``worse`` where the interval leaves no doubt of the sign, else ``same``."""
        d = self.difference
        if not (d.low > 0 or d.high < 0):
            return "same"
        return "better" if (d.mean < 0) == self.score.less_is_better else "worse"


@dataclass(frozen=True)
class Group:
    """Bags, or their cameras, that have something in common: what it is, and their scores.

    Attributes:
        value: Of the tag, or the camera's name.
        scores: AbsRel, δ1 and A10.
        change: Of AbsRel since the former run; None without one.
    """

    value: str
    scores: tuple[Interval, Interval, Interval]
    change: Change | None


def value_of(row: Row, name: str) -> float:
    """Return a number of a row; NaN where there is none."""
    value = row.get(name)
    return math.nan if value is None else float(value)


def mean_interval(values: Iterable[float]) -> Interval:
    """Return the mean over bags and its interval of 95 %; values that are not finite are left out.

    Args:
        values: One of each bag.
    """
    kept = np.array([v for v in values if math.isfinite(v)], dtype=np.float64)
    if not len(kept):
        return Interval(math.nan, math.nan, math.nan, 0)
    if len(kept) == 1:
        return Interval(float(kept[0]), math.nan, math.nan, 1)
    low, high = np.quantile(_drawn_means(kept), [0.025, 0.975])
    return Interval(float(kept.mean()), float(low), float(high), len(kept))


def _drawn_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    generator = np.random.default_rng(_SEED)
    means = [
        values[generator.integers(0, len(values), (_AT_ONCE, len(values)))].mean(axis=1)
        for _ in range(RESAMPLES // _AT_ONCE)
    ]
    return np.concatenate(means)


def compared(now: Sequence[Row], before: Sequence[Row], score: Score) -> Change | None:
    """Compare two runs by one score, over the bags that have it in both; None without any.

    Args:
        now: Rows of this run, of one estimator; also of its cameras.
        before: Rows of the former one.
        score: Which.
    """
    former = {_identity(row): value_of(row, score.name) for row in before}
    pairs = [(value_of(row, score.name), former.get(_identity(row), math.nan)) for row in now]
    both = np.array([pair for pair in pairs if all(map(math.isfinite, pair))], dtype=np.float64)
    if not len(both):
        return None
    difference = both[:, 0] - both[:, 1]
    gain = -difference if score.less_is_better else difference
    return Change(
        score,
        float(both[:, 1].mean()),
        float(both[:, 0].mean()),
        mean_interval(difference),
        int((gain > 0).sum()),
        int((gain < 0).sum()),
    )


def moved_most(
    now: Sequence[Row], before: Sequence[Row], count: int, score: Score = SCORES[0]
) -> tuple[list[tuple[str, float, float]], list[tuple[str, float, float]]]:
    """Return the bags that got better most, and those that got worse: (bag, before, now)."""
    former = {_identity(row): value_of(row, score.name) for row in before}
    rows = [
        (str(row["bag"]), former.get(_identity(row), math.nan), value_of(row, score.name))
        for row in now
    ]
    rows = [row for row in rows if math.isfinite(row[1]) and math.isfinite(row[2])]
    sign = 1 if score.less_is_better else -1
    rows.sort(key=lambda row: (sign * (row[2] - row[1]), row[0]))
    better = [row for row in rows if sign * (row[2] - row[1]) < 0][:count]
    worse = [row for row in reversed(rows) if sign * (row[2] - row[1]) > 0][:count]
    return better, worse


def grouped(now: Sequence[Row], before: Sequence[Row], of: Mapping[str, str] | None) -> list[Group]:
    """Part rows into groups; the worst mean AbsRel comes first.

    Args:
        now: Rows of this run, of one estimator.
        before: Rows of the former run; none without one.
        of: Value by bag; None: by the rows' cameras.
    """
    groups: dict[str, list[Row]] = {}
    for row in now:
        value = row["camera"] if of is None else of.get(row["bag"], UNTAGGED)
        groups.setdefault(value, []).append(row)
    made = []
    for value, rows in groups.items():
        abs_rel, delta1, a10 = (
            mean_interval(value_of(row, name) for row in rows)
            for name in ("abs_rel", "delta1", "a10")
        )
        made.append(Group(value, (abs_rel, delta1, a10), compared(rows, before, SCORES[0])))
    return sorted(
        made, key=lambda g: (-g.scores[0].mean if g.scores[0].bags else math.inf, g.value)
    )


def read_tags(path: Path) -> dict[str, dict[str, str]]:
    """Read what is known of bags, from a CSV file with a column ``bag``.

    Returns:
        For each other column the value by bag.

    Raises:
        ConfigurationError: It cannot be read, has no such column, or a bag twice.
    """
    expected = "a first line such as bag,weather,road and a line for each bag"
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            columns = [name for name in reader.fieldnames or [] if name]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(
            f"--tags '{path}' cannot be read ({error})", expected=expected, fix="correct the path"
        ) from None
    if "bag" not in columns or len(columns) < 2:
        raise ConfigurationError(
            f"--tags '{path}' has the columns {', '.join(columns) or '(none)'}",
            expected=expected,
            fix="name the column of bags 'bag'",
        )
    tags: dict[str, dict[str, str]] = {name: {} for name in columns if name != "bag"}
    seen: set[str] = set()
    for number, row in enumerate(rows, 2):
        bag = (row["bag"] or "").strip().rstrip("/")
        if bag in seen:
            raise ConfigurationError(
                f"--tags '{path}', line {number}: bag '{bag}' is there twice",
                expected="one line a bag",
                fix="remove one of them",
            )
        seen.add(bag)
        for name, values in tags.items():
            values[bag] = (row[name] or "").strip() or UNTAGGED
    return tags


def tags_of_bags(
    tags: Mapping[str, Mapping[str, str]], bags: Mapping[str, str]
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Find the tags of the bags of a run, by name or address.

    Args:
        tags: See `read_tags`.
        bags: Address by name.

    Returns:
        For each column the value by name; and the names of bags that have no tags.
    """
    known = next(iter(tags.values()), {})
    called = {
        name: next((t for t in (name, address, address.rstrip("/")) if t in known), None)
        for name, address in bags.items()
    }
    found = {
        column: {name: values[tag] for name, tag in called.items() if tag is not None}
        for column, values in tags.items()
    }
    return found, [name for name, tag in called.items() if tag is None]


def _identity(row: Row) -> tuple[str, str]:
    return str(row["bag"]), str(row.get("camera", ""))
