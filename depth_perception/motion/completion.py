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

"""Fill depth that geometry guessed from depth that it measured."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SHRINK = 8
NARROW, WIDE = 2.0, 8.0
"""Reach of a measurement, in shrunk pixels: near ones decide, where there are any."""
WIDE_SHARE = 0.05
LEAST = 0.003
"""With less of measurements around than this a guess stays nearly what it was."""
FILLED_SIGMA = 0.20
"""Relative deviation of what was filled from measurements around, at best."""


def complete(
    depth: NDArray[np.float32],
    sigma: NDArray[np.float32],
    measured: NDArray[np.float32],
    measured_sigma: NDArray[np.float32],
    fixed: NDArray[np.bool_],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Put measured depth in, and bring the guesses around it to its scale.

    By how much measurements differ from the guess, as a ratio, is carried on smoothly to where
    nothing was measured: shape stays the guess's, scale is the measurements'.

    Args:
        depth: (h, w) float32, m; NaN unknown, +Inf beyond range.
        sigma: (h, w) float32, its relative standard deviation.
        measured: (h, w) float32, m; NaN where nothing was measured.
        measured_sigma: (h, w) float32, relative standard deviation.
        fixed: (h, w), true where the guess stays though nothing was measured: on the road.

    Returns:
        Depth and its relative standard deviation.
    """
    known = np.isfinite(measured)
    both = known & np.isfinite(depth)
    out, spread = depth.copy(), sigma.copy()
    if both.any():
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(both, np.log(measured / np.where(both, depth, 1)), 0)
        height, width = depth.shape
        size = (max(1, width // SHRINK), max(1, height // SHRINK))
        of = cv2.resize(both.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        top = cv2.resize(ratio.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        weight = np.zeros(of.shape, np.float32)
        total = np.zeros(of.shape, np.float32)
        for reach, share in ((NARROW, 1.0), (WIDE, WIDE_SHARE)):
            weight += np.float32(share) * np.asarray(
                cv2.GaussianBlur(of, (0, 0), reach), np.float32
            )
            total += np.float32(share) * np.asarray(
                cv2.GaussianBlur(top, (0, 0), reach), np.float32
            )
        field = cv2.resize(total / (weight + LEAST), (width, height))
        filled = np.isfinite(depth) & ~known & ~fixed
        out[filled] *= np.exp(field[filled])
        spread[filled] = np.maximum(np.minimum(spread[filled], 2 * FILLED_SIGMA), FILLED_SIGMA)
    out[known] = measured[known]
    spread[known] = measured_sigma[known]
    return out, spread
