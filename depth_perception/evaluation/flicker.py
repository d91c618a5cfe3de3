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

"""Does depth stay the same from frame set to frame set: flicker of what stands still.

In: two frame sets in a row, the motion between them, and the truth of both. Out: `FlickerScores`,
pooled over all points.

True points of the present image are moved back to the image before. Where truth shows that the same
surface was seen there (depths agree to 3 %), the point stood still and was visible in both. Its
depth before is read, carried along its ray through the vehicle's motion, and compared with the
depth now: |now - carried| / carried (methods.md 7.1, temporal stability). A scale that is wrong in
both costs next to nothing; depth that jumps from set to set does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depth_perception.evaluation.seen_truth import SeenTruth
from depth_perception.geometry.depth_values import is_measured
from depth_perception.geometry.sampling import sample_depth
from depth_perception.geometry.transforms import Matrix, inverse, transform_points

STANDS_STILL = 0.03
"""True depths of one surface in two images agree to this, after the vehicle's motion."""

STEADY = 0.05
"""A point is steady when its depth changes by less."""

EVERY = 4
"""Of dense truth, every so many-th pixel is compared."""

LONGEST_GAP_S = 2.0
"""Frame sets that are farther apart are not compared."""

_EDGES = np.concatenate([np.linspace(0, 0.5, 2501), np.linspace(0.5, 3, 501)[1:]])
"""Edges of the fine bins from which the median is read: 0.02 % wide up to 50 %."""


@dataclass(frozen=True)
class FlickerScores:
    """How much depth of static things changes from one frame set to the next.

    Attributes:
        pairs: Pairs of images compared.
        seconds: Median time between the two, s: a longer one shows more.
        static: Points that stood still and were seen in both.
        count: Those with a depth in both.
        median: Of the relative change; NaN without points, as are the next two.
        mean: Of the relative change, each at most 3.
        steady: Share that changes by less than 5 %.
    """

    pairs: int
    seconds: float
    static: int
    count: int
    median: float
    mean: float
    steady: float


class FlickerTally:
    """Counts changes pair by pair, in the same memory for drives of any length."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._seconds: list[float] = []
        self._bins = np.zeros(len(_EDGES), np.int64)
        self._static = self._steady = 0
        self._sum = 0.0

    def add(self, change: NDArray[np.floating], seconds: float) -> None:
        """Count the (N,) relative changes of static points; NaN where a depth is unknown."""
        known = change[np.isfinite(change)]
        self._seconds.append(seconds)
        self._static += len(change)
        self._steady += int((known < STEADY).sum())
        self._sum += float(np.minimum(known, _EDGES[-1]).sum())
        place = np.searchsorted(_EDGES, known, side="right") - 1
        self._bins += np.bincount(place, minlength=len(_EDGES))

    def scores(self) -> FlickerScores | None:
        """Return what was counted; None where no static point was seen twice."""
        if not self._static:
            return None
        count = int(self._bins.sum())
        return FlickerScores(
            pairs=len(self._seconds),
            seconds=float(np.median(self._seconds)),
            static=self._static,
            count=count,
            median=self._median(count),
            mean=self._sum / count if count else math.nan,
            steady=self._steady / count if count else math.nan,
        )

    def _median(self, count: int) -> float:
        if not count:
            return math.nan
        upto = np.cumsum(self._bins)
        place = int(np.searchsorted(upto, 0.5 * count))
        if place >= len(_EDGES) - 1:
            return float(_EDGES[-1])
        within = (0.5 * count - (upto[place] - self._bins[place])) / self._bins[place]
        return float(_EDGES[place] + within * (_EDGES[place + 1] - _EDGES[place]))


def changes(
    before: SeenTruth, now: SeenTruth, T_now_before: Matrix, fields: tuple[str, ...] = ("depth",)
) -> dict[str, NDArray[np.float64]]:
    """Compare depth of static points in two images of one camera.

    Args:
        before: Truth and depth image of the frame set before.
        now: The same of the present one.
        T_now_before: Motion of the base frame, from the earlier image's instant to the later's.
        fields: Of `CameraResult`, which depths to compare.

    Returns:
        (N,) |now - carried| / carried for each field, over the same static points; NaN where either
        depth is not known, or is beyond range.
    """
    chosen = slice(None) if now.sparse else slice(None, None, EVERY)
    was = transform_points(inverse(T_now_before), now.points[chosen])
    T_camera_base = inverse(before.result.T_base_camera)
    in_view = transform_points(T_camera_base, was)
    ahead = in_view[:, 2] > 0
    in_view, here = in_view[ahead], now.uv[chosen][ahead]
    uv = before.result.camera.project(in_view)
    expected = in_view[:, 2]
    seen = before.true_depth_near(uv, expected)
    with np.errstate(invalid="ignore"):
        static = np.abs(seen - expected) <= STANDS_STILL * expected
    uv, here, rays = uv[static], here[static], in_view[static] / expected[static, None]
    T_camera_camera = inverse(now.result.T_base_camera) @ T_now_before @ before.result.T_base_camera
    out = {}
    for field in fields:
        first = sample_depth(getattr(before.result, field), uv)
        second = sample_depth(getattr(now.result, field), here)
        first = np.where(is_measured(first), first, np.nan)
        carried = transform_points(T_camera_camera, rays * first[:, None])[:, 2]
        with np.errstate(invalid="ignore", divide="ignore"):
            change = np.abs(second - carried) / carried
            out[field] = np.where((carried > 0) & is_measured(second), change, np.nan)
    return out
