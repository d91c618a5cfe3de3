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

import numpy as np

from depth_perception.frames.measured_kind import Kind
from depth_perception.motion.measured_depth import MeasuredDepth

OVERLAP_LENGTH = 0.02
"""Relative deviation of the way's length by overlap: extrinsics are exact to about 0.1 degrees."""
NEAR = 15.0
"""Farther away it hangs more on the extrinsics' rotation than on their distance, m."""
MIN_PIXELS = 300
LARGEST = 0.5
"""Larger differences (of the logarithm) are no difference of length."""


def length_by_overlap(by_way: MeasuredDepth, beside: MeasuredDepth) -> float | None:
    """Say by how much the way is longer than was assumed, as overlap sees it.

    Args:
        by_way: Measured with ways of assumed length.
        beside: Measured by overlap, in metres.

    Returns:
        The logarithm of the factor; None where too few pixels were measured by both.
    """
    with np.errstate(invalid="ignore"):
        both = (by_way.kind == Kind.PARALLAX) & (beside.inverse_depth > 1 / NEAR)
        difference = np.log(by_way.inverse_depth[both] / beside.inverse_depth[both])
    difference = difference[np.abs(difference) < LARGEST]
    return float(np.median(difference)) if len(difference) >= MIN_PIXELS else None


def surer_of(by_way: MeasuredDepth, beside: MeasuredDepth, length_sigma: float) -> MeasuredDepth:
    """Take, pixel by pixel, what is surer.

    Args:
        by_way: Measured with ways of assumed length.
        beside: Measured by overlap.
        length_sigma: Relative deviation of that length.
    """
    with np.errstate(invalid="ignore"):
        sigma = np.hypot(by_way.sigma, length_sigma * by_way.inverse_depth)
        other = np.hypot(beside.sigma, OVERLAP_LENGTH * beside.inverse_depth)
    better = np.isfinite(other) & ~(sigma <= other)
    return MeasuredDepth(
        np.where(better, beside.inverse_depth, by_way.inverse_depth),
        np.where(better, other, by_way.sigma).astype(np.float32),
        np.where(better, beside.kind, by_way.kind),
    )
