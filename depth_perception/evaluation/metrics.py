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

"""Depth metrics as plain functions of arrays.

Definitions are those of the field (methods.md 7.1). In all of them D is the prediction, D* the
truth, both in metres, and only truth points with a finite prediction above zero are compared: NaN
(unknown) and +Inf (beyond range) are not covered. Without any such point every metric is NaN and
``count`` is 0; nothing raises.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.depth_values import is_measured


@dataclass(frozen=True)
class DepthMetrics:
    """The field's depth metrics over one set of points.

    Attributes:
        count: Truth points that have a prediction; the others below are over these.
        truth_count: Truth points.
        coverage: count / truth_count.
        abs_rel: mean |D - D*| / D*.
        sq_rel: mean (D - D*)^2 / D*, metres.
        rmse: sqrt(mean (D - D*)^2), metres.
        rmse_log: sqrt(mean (ln D - ln D*)^2).
        silog: 100 sqrt(mean g^2 - (mean g)^2), g = ln D - ln D*.
        log10: mean |log10 D - log10 D*|.
        delta1: Share with max(D / D*, D* / D) < 1.25.
        delta2: The same below 1.25^2.
        delta3: The same below 1.25^3.
        a5: Share with |D - D*| / D* < 0.05.
        a10: Share with |D - D*| / D* < 0.10.
    """

    count: int = 0
    truth_count: int = 0
    coverage: float = np.nan
    abs_rel: float = np.nan
    sq_rel: float = np.nan
    rmse: float = np.nan
    rmse_log: float = np.nan
    silog: float = np.nan
    log10: float = np.nan
    delta1: float = np.nan
    delta2: float = np.nan
    delta3: float = np.nan
    a5: float = np.nan
    a10: float = np.nan


def covered(prediction: NDArray[np.floating], truth: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Tell where both are finite and above zero."""
    return np.asarray(is_measured(prediction) & is_measured(truth), dtype=np.bool_)


def depth_metrics(prediction: NDArray[np.floating], truth: NDArray[np.floating]) -> DepthMetrics:
    """Compare (N,) predictions with (N,) true depths, metres."""
    truth = np.asarray(truth, dtype=np.float64)
    prediction = np.asarray(prediction, dtype=np.float64)
    total = int(is_measured(truth).sum())
    use = covered(prediction, truth)
    count = int(use.sum())
    if count == 0:
        return DepthMetrics(0, total, 0.0 if total else np.nan)
    d, t = prediction[use], truth[use]
    error, relative = d - t, np.abs(d - t) / t
    g = np.log(d) - np.log(t)
    ratio = np.maximum(d / t, t / d)
    return DepthMetrics(
        count=count,
        truth_count=total,
        coverage=count / total,
        abs_rel=float(relative.mean()),
        sq_rel=float((error**2 / t).mean()),
        rmse=float(np.sqrt((error**2).mean())),
        rmse_log=float(np.sqrt((g**2).mean())),
        # Rounding may leave a variance of -1e-17 where every ratio is the same.
        silog=float(100 * np.sqrt(max(0.0, (g**2).mean() - g.mean() ** 2))),
        log10=float(np.abs(g).mean() / np.log(10)),
        delta1=float((ratio < 1.25).mean()),
        delta2=float((ratio < 1.25**2).mean()),
        delta3=float((ratio < 1.25**3).mean()),
        a5=float((relative < 0.05).mean()),
        a10=float((relative < 0.10).mean()),
    )


def median_scale(prediction: NDArray[np.floating], truth: NDArray[np.floating]) -> float:
    """Return median(D*) / median(D) over the covered points; NaN without any."""
    use = covered(np.asarray(prediction), np.asarray(truth))
    if not use.any():
        return float("nan")
    return float(np.median(truth[use]) / np.median(prediction[use]))


def scaled(
    prediction: NDArray[np.floating], scale: float, limits: tuple[float, float]
) -> NDArray[np.float64]:
    """Scale (N,) predictions, then clamp the finite ones to ``limits``, as published tables do."""
    prediction = np.asarray(prediction, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(prediction), np.clip(prediction * scale, *limits), prediction)


def mean_metrics(items: Iterable[DepthMetrics]) -> DepthMetrics:
    """Average metrics over images or cameras; counts are summed.

    An image where a metric is NaN (nothing covered) has no say in that metric; one without truth
    has none at all. Each of the others counts alike, however many points it has.
    """
    chosen = [item for item in items if item.truth_count > 0]
    if not chosen:
        return DepthMetrics()
    values: dict[str, float] = {}
    for field in dataclasses.fields(DepthMetrics)[2:]:
        column = np.array([getattr(item, field.name) for item in chosen])
        column = column[np.isfinite(column)]
        values[field.name] = float(column.mean()) if len(column) else float("nan")
    return DepthMetrics(
        sum(item.count for item in chosen), sum(item.truth_count for item in chosen), **values
    )


@dataclass(frozen=True)
class RangeAccuracy:
    """Share of points whose depth is right, for one range bin of a table.

    Attributes:
        low: Lower end of the bin, metres.
        high: Upper end, metres.
        count: Covered points.
        truth_count: Truth points.
        coverage: count / truth_count.
        a5: Share of the covered points within 5 % of the truth.
        a10: Share within 10 %.
        abs_rel: Mean relative error.
    """

    low: float
    high: float
    count: int
    truth_count: int
    coverage: float
    a5: float
    a10: float
    abs_rel: float


@dataclass(frozen=True)
class Accuracy(RangeAccuracy):
    """The same with the direction of the errors.

    Attributes:
        bias: Quantiles 10, 50 and 90 % of the signed relative error (D - D*) / D*.
    """

    bias: tuple[float, float, float]


def accuracy_by_range(
    prediction: NDArray[np.floating],
    truth: NDArray[np.floating],
    distance: NDArray[np.floating],
    edges: Sequence[tuple[float, float]],
) -> list[Accuracy]:
    """Pool (N,) points by distance (N,) and compare; one entry per (low, high) of ``edges``."""
    rows = []
    for low, high in edges:
        chosen = (distance >= low) & (distance < high)
        metrics = depth_metrics(prediction[chosen], truth[chosen])
        use = chosen & covered(prediction, truth)
        signed = (prediction[use] - truth[use]) / truth[use]
        p10, p50, p90 = np.quantile(signed, [0.1, 0.5, 0.9]) if len(signed) else [np.nan] * 3
        rows.append(
            Accuracy(
                low,
                high,
                metrics.count,
                metrics.truth_count,
                metrics.coverage,
                metrics.a5,
                metrics.a10,
                metrics.abs_rel,
                (float(p10), float(p50), float(p90)),
            )
        )
    return rows
