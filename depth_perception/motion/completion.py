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

REACH = 16.0
"""Of the neighbourhood, px."""
CLOSED = 0.25
"""A gap in what was measured is closed from its rim where so much around it was measured."""
FILLED_SIGMA = 0.20
"""Relative deviation of what was filled from measurements around, at best."""


def complete(
    depth: NDArray[np.float32],
    sigma: NDArray[np.float32],
    measured: NDArray[np.float32],
    measured_sigma: NDArray[np.float32],
    fixed: NDArray[np.bool_],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Put measured depth in, and close the gaps in it.

    Gaps are closed from their rim, in inverse depth; the less is measured around a pixel, the more
    it stays what was guessed.

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
    out, spread = depth.copy(), sigma.copy()
    if known.any():
        w = np.zeros(depth.shape, np.float32)
        w[known] = 1 / measured[known]
        around, near = _pull_push(w, known)
        filled = np.isfinite(depth) & (depth > 0) & ~known & ~fixed
        share = np.clip(near[filled] / CLOSED, 0, 1)
        out[filled] = 1 / (share * around[filled] + (1 - share) / depth[filled])
        spread[filled] = np.maximum(np.minimum(spread[filled], 2 * FILLED_SIGMA), FILLED_SIGMA)
    out[known] = measured[known]
    spread[known] = measured_sigma[known]
    return out, spread


def _pull_push(
    values: NDArray[np.float32], known: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Carry values to where there are none, from as near as there are some.

    Args:
        values: (h, w) float32; 0 where unknown.
        known: (h, w) bool, true somewhere.

    Returns:
        (h, w) float32 values everywhere; (h, w) float32 the share of what is known around.

    Source: pull-push (Gortler et al. 1996).
    """
    levels = [(values, known.astype(np.float32))]
    while min(levels[-1][0].shape) > 1:
        height, width = levels[-1][0].shape
        size = (max(1, width // 2), max(1, height // 2))
        smaller = [cv2.resize(item, size, interpolation=cv2.INTER_AREA) for item in levels[-1]]
        levels.append((np.asarray(smaller[0], np.float32), np.asarray(smaller[1], np.float32)))
    out = np.full(levels[-1][0].shape, values.sum() / known.sum(), np.float32)
    for total, weight in reversed(levels):
        out = np.asarray(cv2.resize(out, total.shape[::-1]), np.float32)
        own = np.clip(4 * weight, 0, 1)
        out = own * total / np.maximum(weight, np.float32(1e-6)) + (1 - own) * out
    near = np.asarray(cv2.GaussianBlur(known.astype(np.float32), (0, 0), REACH), np.float32)
    return np.asarray(out, np.float32), near
