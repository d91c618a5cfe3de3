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

"""How a depth image is read between its pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MIXED_DEPTHS = 0.1
"""Neighbouring pixels whose depths differ by more than this share are two surfaces."""


def inside_image(uv: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Tell which of (N, 2) positions (u, v) lie in an image of (width, height) pixels; NaN do not.

    Pixel centres are at integers, so that the image reaches from -0.5 to its size less 0.5.
    """
    with np.errstate(invalid="ignore"):
        inside = (uv >= -0.5) & (uv < np.array(size) - 0.5)
    return np.asarray(inside.all(axis=1), dtype=np.bool_)


def sample_depth(
    depth: NDArray[np.floating], uv: NDArray[np.floating], smooth_only: bool = False
) -> NDArray[np.float64]:
    """Read a depth image at sub-pixel positions, never between two surfaces.

    Bilinear in inverse depth, which is exact on planes, where the four neighbours are finite and
    within 10 % of one another; else the nearest pixel as it is, NaN and +Inf included.

    Args:
        depth: (h, w) metres.
        uv: (N, 2) pixels (u, v), pixel centres at integers.
        smooth_only: NaN instead of the nearest pixel where the neighbours are not one surface, and
            beyond the outermost pixel centres.

    Returns:
        (N,) metres; NaN outside of the image and for NaN positions.
    """
    height, width = depth.shape
    out = np.full(len(uv), np.nan)
    inside = inside_image(uv, (width, height))
    if not inside.any():
        return out
    at = np.asarray(uv[inside], dtype=np.float64)
    # A position beyond the outermost pixel centres is read as on them.
    u, v = np.clip(at[:, 0], 0, width - 1), np.clip(at[:, 1], 0, height - 1)
    surrounded = (u == at[:, 0]) & (v == at[:, 1])
    nearest_pixel = depth[np.rint(v).astype(np.intp), np.rint(u).astype(np.intp)]
    left = np.minimum(np.floor(u).astype(np.intp), max(width - 2, 0))
    top = np.minimum(np.floor(v).astype(np.intp), max(height - 2, 0))
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    corners = np.stack(
        [depth[top, left], depth[top, right], depth[bottom, left], depth[bottom, right]]
    ).astype(np.float64)
    low, high = corners.min(axis=0), corners.max(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        smooth = np.isfinite(corners).all(axis=0) & (low > 0) & (high < low * (1 + MIXED_DEPTHS))
        fu, fv = u - left, v - top
        weights = np.stack([(1 - fu) * (1 - fv), fu * (1 - fv), (1 - fu) * fv, fu * fv])
        between = 1 / (weights / corners).sum(axis=0)
    if smooth_only:
        out[inside] = np.where(smooth & surrounded, between, np.nan)
    else:
        out[inside] = np.where(smooth, between, nearest_pixel)
    return out


def sample_nearest(
    image: NDArray[np.integer], uv: NDArray[np.floating], outside: int = 0
) -> NDArray[np.int64]:
    """Read an image of ids at the pixels nearest to (N, 2) positions."""
    height, width = image.shape
    out = np.full(len(uv), outside, dtype=np.int64)
    inside = inside_image(uv, (width, height))
    column, row = np.rint(uv[inside]).astype(np.intp).T
    out[inside] = image[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    return out


def sample_nearest_value(
    image: NDArray[np.floating], uv: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Read an (h, w) image of numbers at the pixels nearest to (N, 2) positions: (N,).

    NaN outside of the image and for NaN positions.
    """
    height, width = image.shape
    out = np.full(len(uv), np.nan)
    inside = inside_image(uv, (width, height))
    column, row = np.rint(uv[inside]).astype(np.intp).T
    out[inside] = image[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    return out
