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

"""Depth that two cameras of one set measured, beside depth that the way did.

Overlap knows metres: the cameras' distance from each other is that of the mounting. So it is a
ruler for the way, as the road is.
"""

from __future__ import annotations

import math

import numpy as np

from depth_perception.frames.measured_kind import Kind
from depth_perception.motion.measured_depth import MeasuredDepth

OVERLAP_LENGTH = 0.02
"""Relative deviation of the way's length by overlap, were both cameras turned as they should be."""
EXTRINSICS_SIGMA = math.radians(0.1)
"""Standard deviation of the rotation between two cameras, rad: what it shifts looks like depth."""
NEAR = 15.0
"""Farther away it hangs more on the extrinsics' rotation than on their distance, m."""
MIN_PIXELS = 300
AGREE_SIGMAS, AGREE = 2.0, 0.05
"""Two measurements agree within so many deviations, or such a share of inverse depth."""
LARGEST = 0.5
"""Larger differences (of the logarithm) are no difference of length."""


def length_by_overlap(by_way: MeasuredDepth, beside: MeasuredDepth) -> tuple[float, float] | None:
    """Say by how much the way is longer than was assumed, as overlap sees it.

    Args:
        by_way: Measured with ways of assumed length.
        beside: Measured by overlap, in metres; its deviation with that of the extrinsics.

    Returns:
        The logarithm of the factor, and its deviation; None where too few pixels were measured by
        both.
    """
    with np.errstate(invalid="ignore"):
        both = (by_way.kind == Kind.PARALLAX) & (beside.inverse_depth > 1 / NEAR)
        difference = np.log(by_way.inverse_depth[both] / beside.inverse_depth[both])
        relative = beside.sigma[both] / beside.inverse_depth[both]
    good = np.abs(difference) < LARGEST
    if good.sum() < MIN_PIXELS:
        return None
    # A wrong rotation is the same for all pixels: their number makes nothing surer.
    sigma = math.hypot(OVERLAP_LENGTH, float(np.median(relative[good])))
    return float(np.median(difference[good])), sigma


def combined(by_way: MeasuredDepth, beside: MeasuredDepth, length_sigma: float) -> MeasuredDepth:
    """Take, pixel by pixel, the mean of what agrees, else what is surer; `kind` is the surer's.

    Args:
        by_way: Measured with ways of assumed length.
        beside: Measured by overlap.
        length_sigma: Relative deviation of that length.
    """
    one, two = by_way.inverse_depth, beside.inverse_depth
    with np.errstate(invalid="ignore", divide="ignore"):
        sigma = np.hypot(by_way.sigma, length_sigma * one)
        other = np.hypot(beside.sigma, OVERLAP_LENGTH * two)
        difference = np.abs(one - two)
        agree = (difference < AGREE_SIGMAS * np.hypot(sigma, other)) | (difference < AGREE * one)
        a, b = 1 / np.square(sigma), 1 / np.square(other)
        mean, mean_sigma = (a * one + b * two) / (a + b), 1 / np.sqrt(a + b)
    better = np.isfinite(other) & ~(sigma <= other)
    return MeasuredDepth(
        np.where(agree, mean, np.where(better, two, one)).astype(np.float32),
        np.where(agree, mean_sigma, np.where(better, other, by_way.sigma)).astype(np.float32),
        np.where(better, beside.kind, by_way.kind),
    )
