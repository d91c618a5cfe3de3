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

"""How good measured depth is: how much of the truth it covers, how far off, and whether it knows.

In: image by image, true depth beside what was measured there, its deviation and its kind. Out:
`MeasuredScores`. Only a few numbers of each image and counts are kept, so that a drive of any
length, every pixel of it scored, needs little memory.

Errors are relative, |D - D*| / D*. The deviation is that of inverse depth as a share of it, so that
|D / D* - 1| within one deviation is what it promises of 68 % of the errors, and two of 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from depth_perception.frames.measured_kind import MEASURED_KINDS, Kind
from depth_perception.geometry.depth_values import is_measured

WRONG = 0.25
"""A larger relative error makes a measurement wrong."""

MEASURED_BINS = ((0.0, 10.0), (10.0, 20.0), (20.0, 40.0), (40.0, 80.0))
"""Ranges of true depth, m; what is farther than the last counts in none of them."""

NEAR = 60.0
"""What is nearer, m, has a row of its own."""

ALL, NEARER = "all", f"up to {NEAR:.0f} m"

_STEPS = 1000
_HIGHEST = 1.0
"""Relative errors are counted in so many bins up to this one, for the median over all points."""


@dataclass(frozen=True)
class MeasuredFigures:
    """How good measured depth is over some points.

    Attributes:
        cover: Share of the points with truth that are measured.
        abs_rel: Mean relative error of these.
        median_error: Median relative error.
        wrong: Share of them that are wrong by more than `WRONG`.
        within_one: Share whose error is within one deviation: 0.68 when deviations are honest.
        within_two: Share within two: 0.95.
    """

    cover: float = math.nan
    abs_rel: float = math.nan
    median_error: float = math.nan
    wrong: float = math.nan
    within_one: float = math.nan
    within_two: float = math.nan


@dataclass(frozen=True)
class MeasuredRow:
    """A row of a table: all points, those of one range, or what is measured in one way.

    Images without truth in the row have no say in it. One of which nothing is measured counts with
    a cover of 0, and has no say in the errors.

    Attributes:
        images: Images with truth.
        measured_images: Those of which anything is measured.
        truth_count: Points with truth.
        count: Those that are measured.
        median: Median over images of each figure.
        mean: Mean over images.
        pooled: Over all points of all images, each point alike.
        kinds: Share of the points with truth that is measured in each way, pooled.
    """

    images: int
    measured_images: int
    truth_count: int
    count: int
    median: MeasuredFigures
    mean: MeasuredFigures
    pooled: MeasuredFigures
    kinds: dict[str, float]


@dataclass(frozen=True)
class MeasuredScores:
    """Scores of measured depth.

    Attributes:
        all: Every point with truth.
        near: Those nearer than `NEAR`.
        by_kind: By the way in which it was measured, ``plane``, ``parallax``, ``overlap``,
            ``range``: those that occur. Their truth is every point, so that covers add up.
        by_range: By true depth, named like ``10-20 m``.
        by_camera: Of each camera.
    """

    all: MeasuredRow
    near: MeasuredRow
    by_kind: dict[str, MeasuredRow]
    by_range: dict[str, MeasuredRow]
    by_camera: dict[str, MeasuredRow]


@dataclass
class _Group:
    """What is kept of one row."""

    truth_count: int = 0
    count: int = 0
    images: list[tuple[float, ...]] = field(default_factory=list)
    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(4))
    """Of relative errors, and counts of wrong ones and of those within one and two deviations."""
    spread: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_STEPS + 1, np.int64))
    kinds: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(Kind), np.int64))

    def add(
        self,
        truth_count: int,
        error: NDArray[np.float64],
        deviations: NDArray[np.float64],
        kind: NDArray[np.integer],
    ) -> None:
        """Take one image: points with truth, and errors, deviations and kinds of the measured."""
        if not truth_count:
            return
        self.truth_count += truth_count
        self.count += len(error)
        if not len(error):
            self.images.append((0.0, *[math.nan] * 5))
            return
        parts = np.stack([error, error > WRONG, deviations <= 1, deviations <= 2])
        abs_rel, wrong, one, two = parts.mean(axis=1)
        self.images.append(
            (len(error) / truth_count, abs_rel, float(np.median(error)), wrong, one, two)
        )
        self.sums += parts.sum(axis=1)
        places = np.minimum(error * (_STEPS / _HIGHEST), _STEPS).astype(np.intp)
        self.spread += np.bincount(places, minlength=_STEPS + 1)
        self.kinds += np.bincount(kind.astype(np.intp), minlength=len(Kind))[: len(Kind)]

    def row(self) -> MeasuredRow:
        table = np.array(self.images, dtype=np.float64).reshape(-1, 6)
        return MeasuredRow(
            images=len(table),
            measured_images=int((table[:, 0] > 0).sum()),
            truth_count=self.truth_count,
            count=self.count,
            median=_over_images(table, np.median),
            mean=_over_images(table, np.mean),
            pooled=self._pooled(),
            kinds={
                kind.name.lower(): float(self.kinds[kind] / self.truth_count)
                for kind in MEASURED_KINDS
                if self.kinds[kind]
            },
        )

    def _pooled(self) -> MeasuredFigures:
        if not self.truth_count:
            return MeasuredFigures()
        if not self.count:
            return MeasuredFigures(cover=0.0)
        abs_rel, wrong, one, two = (float(value) for value in self.sums / self.count)
        place = int(np.searchsorted(np.cumsum(self.spread), self.count / 2))
        middle = (place + 0.5) * _HIGHEST / _STEPS if place < _STEPS else _HIGHEST
        return MeasuredFigures(self.count / self.truth_count, abs_rel, middle, wrong, one, two)


def _over_images(table: NDArray[np.float64], how: object) -> MeasuredFigures:
    """Bring a figure of every image (a column) to one number; images without it have no say."""
    values = []
    for column in table.T:
        known = column[np.isfinite(column)]
        values.append(float(how(known)) if len(known) else math.nan)  # type: ignore[operator]
    return MeasuredFigures(*values) if values else MeasuredFigures()


class MeasuredTally:
    """Scores measured depth image by image."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], _Group] = {}

    def add(
        self,
        camera: str,
        truth: NDArray[np.floating],
        measured: NDArray[np.floating] | None,
        sigma: NDArray[np.floating] | None,
        kind: NDArray[np.integer] | None,
    ) -> None:
        """Take one image.

        Args:
            camera: Whose it is.
            truth: (N,) true depth, m; what is not a finite number above zero does not count.
            measured: (N,) what was measured there, m; NaN where nothing; None for nothing at all,
                as are the next two.
            sigma: (N,) its relative standard deviation.
            kind: (N,) `Kind`.
        """
        known = is_measured(truth)
        depth = np.asarray(truth, dtype=np.float64)[known]
        if not len(depth):
            return
        value = _chosen(measured, known, np.nan)
        here = np.isfinite(value) & (value > 0)
        error = np.abs(value[here] / depth[here] - 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            deviations = error / _chosen(sigma, known, np.nan)[here]
        kinds = _chosen(kind, known, Kind.NOTHING)[here].astype(np.intp)
        depth_here = depth[here]

        def put(group: tuple[str, str], count: int, of: NDArray[np.bool_]) -> None:
            row = self._groups.setdefault(group, _Group())
            row.add(count, error[of], deviations[of], kinds[of])

        every = np.ones(len(error), np.bool_)
        put(("", ALL), len(depth), every)
        put(("camera", camera), len(depth), every)
        put(("", NEARER), int((depth < NEAR).sum()), depth_here < NEAR)
        for item in MEASURED_KINDS:
            put(("kind", item.name.lower()), len(depth), kinds == item)
        for low, high in MEASURED_BINS:
            put(
                ("range", bin_name(low, high)),
                int(((depth >= low) & (depth < high)).sum()),
                (depth_here >= low) & (depth_here < high),
            )

    def scores(self) -> MeasuredScores | None:
        """Return what was gathered; None without any truth."""
        if ("", ALL) not in self._groups:
            return None
        rows = {group: item.row() for group, item in self._groups.items() if item.truth_count}

        def of(what: str) -> dict[str, MeasuredRow]:
            return {name: row for (kind, name), row in rows.items() if kind == what}

        return MeasuredScores(
            all=rows["", ALL],
            near=rows.get(("", NEARER), _Group().row()),
            by_kind={name: row for name, row in of("kind").items() if row.count},
            by_range=of("range"),
            by_camera=of("camera"),
        )


def bin_name(low: float, high: float) -> str:
    """Name a range of true depth as tables do."""
    return f"{low:.0f}-{high:.0f} m"


TableRow = tuple[str, MeasuredFigures, int]
"""Name, figures, and how many points are measured."""


def table_of(scores: Mapping[str, MeasuredScores]) -> list[list[TableRow]]:
    """Return the rows of a table, part by part.

    Of the first entry: all points in three ways, then medians by kind and by range; of each other
    entry (static and moving things, the sky) a part of its own.

    Args:
        scores: By what they are of; the first is of everything. Without any there are no rows.
    """
    if not scores:
        return []
    first, *others = scores.items()
    everything = first[1]
    parts = [
        [
            ("median over images", everything.all.median, everything.all.count),
            ("mean over images", everything.all.mean, everything.all.count),
            ("all points alike", everything.all.pooled, everything.all.count),
        ],
        [(name, row.median, row.count) for name, row in everything.by_kind.items()],
        [(name, row.median, row.count) for name, row in everything.by_range.items()]
        + [(NEARER, everything.near.median, everything.near.count)],
    ]
    for name, item in others:
        part = [(f"{name}, {NEARER}", item.near.median, item.near.count)]
        whole = (f"{name}, all alike", item.all.pooled, item.all.count)
        parts.append([*(part if item.near.truth_count else []), whole])
    return [part for part in parts if part]


def _chosen(
    values: NDArray[np.generic] | None, known: NDArray[np.bool_], missing: float
) -> NDArray[np.float64]:
    if values is None:
        return np.full(int(known.sum()), missing)
    return np.asarray(values, dtype=np.float64)[known]
