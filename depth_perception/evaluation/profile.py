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

"""How errors are spread: over their size, over depth, and over confidence.

In: predictions beside the truth, image by image. Out: `ErrorProfile`, pooled over all of them. Only
counts are kept, so that a drive of any length, each pixel of it scored, needs the same memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depth_perception.evaluation.metrics import Accuracy, covered
from depth_perception.geometry.depth_values import is_measured

DEPTH_EDGES = (0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0, 80.0, 120.0, 200.0)
"""Ends of the depth bins, metres."""

ERROR_LIMITS = tuple(k / 100 for k in range(1, 101))
"""Relative errors below which points are counted."""

CONFIDENCE_BINS = 10
RIGHT = 0.10
"""Confidence is the probability of a relative error below this."""

_SIGNED = np.linspace(-1.0, 3.0, 4001)
"""Edges of the fine bins from which quantiles of the signed relative error are read."""


@dataclass(frozen=True)
class ErrorShare:
    """Share of the truth points with a relative error below ``limit``.

    Points without a depth are never below: the shares end at the coverage at most.
    """

    limit: float
    share: float


@dataclass(frozen=True)
class ConfidenceBin:
    """What became of the points to which about the same confidence was given.

    Attributes:
        low: Lowest confidence of the bin.
        high: Highest.
        count: Covered points.
        confidence: Mean confidence, which is the share that should be right to 10 %.
        a10: Share that is right to 10 %.
        abs_rel: Mean relative error.
    """

    low: float
    high: float
    count: int
    confidence: float
    a10: float
    abs_rel: float


@dataclass(frozen=True)
class ErrorProfile:
    """How errors are spread, pooled over all points.

    Attributes:
        truth_count: Truth points.
        count: Those that have a depth.
        below: Share of the truth points with an error below each of `ERROR_LIMITS`.
        by_depth: Accuracy by true depth.
        confidence: By confidence, bins without points left out; empty where none is known.
        confidence_gap: Mean over points of how far the share that is right lies from the confidence
            that was given, bin by bin (expected calibration error); NaN where none is known.
    """

    truth_count: int
    count: int
    below: list[ErrorShare]
    by_depth: list[Accuracy]
    confidence: list[ConfidenceBin]
    confidence_gap: float


def depth_edges(max_depth: float) -> list[float]:
    """Return the ends of the depth bins up to the farthest depth that counts, metres."""
    far = min(max_depth, DEPTH_EDGES[-1])
    return [edge for edge in DEPTH_EDGES if edge < far] + [far]


class ErrorCounter:
    """Counts errors image by image."""

    def __init__(self, edges: Sequence[float]) -> None:
        """Take the ends of the depth bins, metres, from `depth_edges`."""
        self.edges = np.asarray(edges, dtype=np.float64)
        bins = len(edges) - 1
        self._truth = np.zeros(bins, np.int64)
        self._signed = np.zeros((bins, len(_SIGNED) + 1), np.int64)
        self._within = np.zeros((bins, len(ERROR_LIMITS) + 1), np.int64)
        self._error = np.zeros(bins)
        # Points, sum of confidence, points that are right, sum of relative errors.
        self._confidence = np.zeros((4, CONFIDENCE_BINS))

    def add(
        self,
        prediction: NDArray[np.floating],
        truth: NDArray[np.floating],
        confidence: NDArray[np.floating] | None = None,
    ) -> None:
        """Count (N,) predictions against (N,) true depths, metres, with their (N,) confidences.

        Truth outside of the depth bins does not count; nor does NaN as a confidence.
        """
        truth = np.asarray(truth, dtype=np.float64)
        prediction = np.asarray(prediction, dtype=np.float64)
        inside = is_measured(truth) & (truth >= self.edges[0]) & (truth <= self.edges[-1])
        places = np.minimum(np.searchsorted(self.edges, truth, side="right"), len(self.edges) - 1)
        self._truth += np.bincount(places[inside] - 1, minlength=len(self._truth))
        use = inside & covered(prediction, truth)
        row = places[use] - 1
        signed = (prediction[use] - truth[use]) / truth[use]
        relative = np.abs(signed)
        self._signed += _counts(row, np.searchsorted(_SIGNED, signed), self._signed.shape)
        within = np.searchsorted(ERROR_LIMITS, relative, side="right")
        self._within += _counts(row, within, self._within.shape)
        self._error += np.bincount(row, relative, minlength=len(self._error))
        if confidence is not None:
            self._add_confidence(np.asarray(confidence, dtype=np.float64)[use], relative)

    def _add_confidence(
        self, confidence: NDArray[np.float64], relative: NDArray[np.float64]
    ) -> None:
        known = np.isfinite(confidence)
        confidence, relative = np.clip(confidence[known], 0, 1), relative[known]
        column = np.minimum((confidence * CONFIDENCE_BINS).astype(np.intp), CONFIDENCE_BINS - 1)
        for row, weight in zip(
            self._confidence,
            (np.ones(len(column)), confidence, (relative < RIGHT).astype(np.float64), relative),
            strict=True,
        ):
            row += np.bincount(column, weight, minlength=CONFIDENCE_BINS)

    def profile(self) -> ErrorProfile:
        """Return what was counted."""
        truth_count = int(self._truth.sum())
        below = np.cumsum(self._within.sum(axis=0))[:-1] / max(truth_count, 1)
        confidence = [
            ConfidenceBin(
                k / CONFIDENCE_BINS,
                (k + 1) / CONFIDENCE_BINS,
                int(count),
                float(given / count),
                float(right / count),
                float(error / count),
            )
            for k, (count, given, right, error) in enumerate(self._confidence.T)
            if count
        ]
        points = sum(row.count for row in confidence)
        gap = sum(row.count * abs(row.a10 - row.confidence) for row in confidence)
        return ErrorProfile(
            truth_count=truth_count,
            count=int(self._within.sum()),
            below=[
                ErrorShare(limit, float(share))
                for limit, share in zip(ERROR_LIMITS, below, strict=True)
                if truth_count
            ],
            by_depth=self._by_depth(),
            confidence=confidence,
            confidence_gap=gap / points if points else float("nan"),
        )

    def _by_depth(self) -> list[Accuracy]:
        rows = []
        for k, (low, high) in enumerate(itertools.pairwise(self.edges.tolist())):
            within = np.cumsum(self._within[k])
            count, total = int(within[-1]), int(self._truth[k])
            a5, a10 = (
                float(within[ERROR_LIMITS.index(limit)] / count) if count else float("nan")
                for limit in (0.05, 0.10)
            )
            rows.append(
                Accuracy(
                    low,
                    high,
                    count,
                    total,
                    count / total if total else float("nan"),
                    a5,
                    a10,
                    float(self._error[k] / count) if count else float("nan"),
                    _quantiles(self._signed[k]),
                )
            )
        return rows


def _counts(
    row: NDArray[np.intp], column: NDArray[np.intp], shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """Count (N,) places in a table of that shape."""
    flat = np.bincount(row * shape[1] + column, minlength=shape[0] * shape[1])
    return flat.reshape(shape).astype(np.int64)


def _quantiles(counts: NDArray[np.int64]) -> tuple[float, float, float]:
    """Quantiles 10, 50 and 90 % of what fell into the fine bins; NaN without any."""
    total = counts.sum()
    if not total:
        return (float("nan"),) * 3
    upto = np.cumsum(counts)[:-1] / total
    places = np.minimum(np.searchsorted(upto, (0.1, 0.5, 0.9)), len(_SIGNED) - 1)
    half = (_SIGNED[1] - _SIGNED[0]) / 2
    low, mid, high = (float(_SIGNED[place]) - half for place in places)
    return low, mid, high
