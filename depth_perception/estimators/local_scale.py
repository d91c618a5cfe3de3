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


"""Depth of unknown scale brought to metres place by place, by what was measured around.

A network of relative depth is right about shapes and wrong about scale, more wrong here than there.
In windows of halving size measured inverse depth is a straight line of the network's, fitted by
weighted least squares, each towards that of the window twice as large where little is measured:
a guided filter (He, Sun and Tang 2010) whose guide is the network, weighted by what is known. Where
nothing was measured near, the line of the whole image holds, and without any, depth is as it was.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

WINDOWS = (0.5, 0.25, 0.125, 0.06)
"""Sides of the windows, as shares of the image's width."""
BELIEVED = 0.15
"""A measurement whose relative deviation is so large has half of a say at its own pixel."""
OUTLIER = 0.5
"""What is off by more from the line of a window's surroundings, in log depth, has no say in it."""
_FLAT = 0.15
"""Relative spread of inverse depth in a window below which slopes are those of the larger one."""
_ENOUGH = 0.05
"""Share of a window that must be measured for its own line to count half."""
_MOST_CHANGE = 2.0
"""A window's line says at most so many times as much as that of the larger one, or as little."""
_LEAST_SIGMA = 0.03


def locally_scaled(
    inverse: NDArray[np.float32],
    sigma: NDArray[np.float32],
    measured: NDArray[np.float32],
    measured_sigma: NDArray[np.float32],
    beyond: float = 0.0,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Bring inverse depth to what was measured around.

    Args:
        inverse: (h, w) float32, 1/m, as one scale for all brings it to metres; NaN unknown.
        sigma: (h, w) float32, relative deviation that is expected of it.
        measured: (h, w) float32, m; NaN where nothing was measured.
        measured_sigma: (h, w) float32, relative deviation of that.
        beyond: What is less, 1/m, is the sky; it stays where nothing was measured.

    Returns:
        Inverse depth (h, w) float32, 1/m, and its expected relative deviation.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        w = (1 / measured).astype(np.float32)
    known = np.isfinite(w) & np.isfinite(inverse) & (inverse > 0)
    if not known.any():
        return inverse, sigma
    guide = np.where(np.isfinite(inverse), inverse, 0).astype(np.float32)
    weight = np.zeros(guide.shape, np.float32)
    weight[known] = 1 / (np.square(measured_sigma[known]) + np.square(np.float32(_LEAST_SIGMA)))
    weight /= weight.max()
    # Relative errors count: a line through far things must not be that of what is near.
    weight *= np.where(known, 1 / np.maximum(np.square(w), np.float32(1e-6)), 0)
    scale = np.float32(_median_ratio(w[known], guide[known]))
    slope = np.full(guide.shape, scale, np.float32)
    offset = np.zeros(guide.shape, np.float32)
    nearby = np.zeros(guide.shape, np.float32)
    for share in WINDOWS:
        side = max(3, round(share * guide.shape[1]) | 1)
        line = slope * guide + offset
        with np.errstate(divide="ignore", invalid="ignore"):
            off = np.abs(np.log(np.where(known, w, 1) / np.maximum(line, 1e-6)))
        used = weight * (off < OUTLIER)
        own_slope, own_offset, nearby = _lines(guide, w, used, slope, side)
        own = own_slope * guide + own_offset
        own = np.clip(own, line / _MOST_CHANGE, line * _MOST_CHANGE)
        part = nearby / (nearby + np.float32(_ENOUGH))
        slope = slope + part * (own_slope - slope)
        offset = line + part * (own - line) - slope * guide
    out = slope * guide + offset
    spread = np.maximum(sigma * (1 - nearby / (nearby + np.float32(_ENOUGH))), sigma / 3)
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.abs(np.log(np.where(known, w, 1) / np.maximum(out, 1e-6)))
        trusted = known & (off < OUTLIER)
        share_ = 1 / (1 + np.square(measured_sigma / BELIEVED))
        mixed = np.exp(share_ * np.log(w) + (1 - share_) * np.log(np.maximum(out, 1e-6)))
    out = np.where(trusted, mixed, np.where(inverse < beyond, inverse, out))
    spread = np.where(trusted, np.minimum(spread, np.maximum(measured_sigma, _LEAST_SIGMA)), spread)
    return (
        np.where(np.isfinite(inverse), out, np.nan).astype(np.float32),
        np.asarray(spread, np.float32),
    )


def _median_ratio(w: NDArray[np.float32], guide: NDArray[np.float32]) -> float:
    return float(np.median(w / guide))


def _lines(
    guide: NDArray[np.float32],
    w: NDArray[np.float32],
    weight: NDArray[np.float32],
    larger: NDArray[np.float32],
    side: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Fit lines in windows: slope, offset, and the share of each window that is measured."""

    def mean(values: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(cv2.blur(values.astype(np.float64), (side, side)), np.float64)

    known = np.where(weight > 0, w, 0)
    total = np.maximum(mean(weight), 1e-12)
    x, y = mean(weight * guide) / total, mean(weight * known) / total
    spread = np.maximum(mean(weight * guide * guide) / total - x * x, 0)
    both = mean(weight * guide * known) / total - x * y
    towards = np.square(_FLAT * x)
    slope = (both + towards * larger) / np.maximum(spread + towards, 1e-12)
    slope = np.clip(slope, larger / _MOST_CHANGE, larger * _MOST_CHANGE)
    share = mean((weight > 0).astype(np.float64))
    return (slope.astype(np.float32), (y - slope * x).astype(np.float32), share.astype(np.float32))
