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

"""Where the vehicle's own body is in a stack of pictures of a drive: outlines that stay in place.

In: small grey images between which the world moved. Out: a mask, and how steady its outline is.

A body is shiny: it mirrors the world, so its brightness changes nearly as much as the world's, and
plain asphalt hardly changes at all. Brightness therefore tells little. What tells is that the
*outline* of a body stays where it is: there every frame has an edge, of the same direction, whereas
the edges of the world pass by. The mask is what lies between an edge of the image and the outermost
outline that stays, found as one least-cost seam for each of the four edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# Gradients (grey levels per pixel) well below this are noise and compression.
_GRADIENT_FLOOR = 1.5
# Steadiness from which on a gradient is taken for an outline, for endless frames; chance makes few
# frames look steadier.
_STEADY, _STEADY_CHANCE = 0.27, 0.85
# And on a straight road lane markings, kerbs and clouds look steady: an outline must stand out from
# what 95 % of the image reaches.
_STANDS_OUT, _MOST_STEADY = 1.4, 0.8
# An outline goes on where steadiness is this share of that, as long as it hangs together.
_WEAK = 0.75
# In units of one fully steady outline pixel under the seam: what an outline pixel inside the region
# is worth (so that the outermost of several outlines wins), and what each row that the region
# claims costs, each such row of passing edges, and each row that the seam jumps between columns.
_GAIN_INSIDE, _COST_ROW, _COST_MOVING, _COST_JUMP = 0.1, 0.002, 0.004, 0.06
# How deep a body may reach into the image from each edge, as a share of the image.
_REACH = {"bottom": 0.6, "top": 0.35, "left": 0.3, "right": 0.3}
_MIN_SHARE = 0.002
_SUPPORT, _STEEP = 0.6, 6


@dataclass(frozen=True, eq=False)
class Body:
    """What was found, on the pixels of the stack.

    Attributes:
        mask: (h, w) bool, true on the body.
        strength: Mean strength of its outline, 0 (chance) to 1; 0 without one.
        steady: (h, w) float32, see `steadiness`.
        direction: (h, w) float32, see `steadiness`.
    """

    mask: NDArray[np.bool_]
    strength: float
    steady: NDArray[np.float32]
    direction: NDArray[np.float32]


def find_body(stack: NDArray[np.float32]) -> Body:
    """Find the body in (n, h, w) float32 grey images, in which the world moves."""
    steady, moving, direction = steadiness(stack)
    threshold = max(
        _STEADY + _STEADY_CHANCE / np.sqrt(len(stack)),
        min(_MOST_STEADY, _STANDS_OUT * float(np.percentile(steady, 95))),
    )
    outline = _outline(steady, threshold)
    # Along the border gradients have one direction by the filter's making.
    outline[:3] = outline[-3:] = 0.0
    outline[:, :3] = outline[:, -3:] = 0.0
    height, width = steady.shape
    mask = np.zeros((height, width), dtype=bool)
    strengths: list[NDArray[np.float32]] = []
    for edge, turns in (("bottom", 0), ("top", 2), ("left", 1), ("right", 3)):
        found = _below_seam(np.rot90(outline, turns), np.rot90(moving, turns), _REACH[edge])
        region, on_seam = np.rot90(found[0], -turns), found[1]
        if region.mean() >= _MIN_SHARE:
            mask |= region
            strengths.append(on_seam)
            # An outline has two sides. Once it bounds a region, it must not bound the world on its
            # other side as a region of the next edge.
            explained = cv2.dilate(region.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
            outline = np.where(explained, np.float32(0), outline)
    strength = float(np.concatenate(strengths).mean()) if strengths else 0.0
    return Body(_smoothed(mask), strength, steady, direction)


def _outline(steady: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
    """Strength of an outline, 0 to 1: where steadiness is above a threshold, and on from there.

    A shiny body's outline is faint where what is behind it looks alike: what hangs together with a
    strong part needs less (hysteresis, as Canny's edges have it; PAMI 8, 1986, section VI).
    """
    low = max(_STEADY, _WEAK * threshold)
    _, labels = cv2.connectedComponents((steady > low).astype(np.uint8), connectivity=8)
    strong = np.zeros(int(labels.max()) + 1, dtype=np.bool_)
    strong[labels[steady > threshold]] = True
    strong[0] = False
    found = np.where(strong[labels], steady - low, 0.0) / (1.0 - low)
    return np.asarray(np.maximum(found, 0.0), dtype=np.float32)


def image_gradient(image: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Grey levels per pixel along u and v."""
    gu = cv2.Sobel(image, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    gv = cv2.Sobel(image, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
    return np.asarray(gu, np.float32), np.asarray(gv, np.float32)


def steadiness(
    stack: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Measure how steadily each pixel shows an edge of one direction, and how much passes by.

    The sign of an edge does not count: a body is now darker, now lighter than what is behind it.
    So directions are averaged at twice their angle, each with a weight that is 0 without an edge.

    Args:
        stack: (n, h, w) float32 grey images.

    Returns:
        Three times (h, w) float32: steadiness, 1 where every frame has the same edge and 0 where
        edges are absent or of any direction; the share of frames with an edge that is not steady;
        and the direction of the steady edge's gradient, rad from u to v, of which pi more is the
        same.
    """
    total = np.zeros(stack.shape[1:], dtype=np.complex64)
    present = np.zeros(stack.shape[1:], dtype=np.float32)
    for image in stack:
        gu, gv = image_gradient(image)
        gradient = gu + 1j * gv
        squared = gu * gu + gv * gv
        strength = np.sqrt(squared)
        weight = strength / (strength + _GRADIENT_FLOOR)
        total += gradient * gradient * (weight / np.maximum(squared, 1e-6))
        present += weight
    steady = np.abs(total) / len(stack)
    passing = (present / len(stack) - steady).astype(np.float32)
    return steady.astype(np.float32), passing, (np.angle(total) / 2).astype(np.float32)


def _below_seam(
    outline: NDArray[np.float32], moving: NDArray[np.float32], reach: float
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Find the region between the bottom edge and the outermost steady outline.

    For each column the seam's row is chosen so that, over all columns, the most outline lies in
    the region, at the least cost of rows claimed and of jumps (dynamic programming; exact).

    Returns:
        (h, w) bool region, and ``outline`` along the seam where there is a region.
    """
    height, width = outline.shape
    gain = _GAIN_INSIDE * outline - _COST_ROW - _COST_MOVING * moving
    # cost[y] of a seam whose region is the rows from y on; y = height claims nothing.
    cost = np.zeros((height + 1, width), dtype=np.float64)
    cost[:height] = -np.cumsum(gain[::-1], axis=0)[::-1] - outline
    cost[: height - int(reach * height)] = np.inf
    jump = _COST_JUMP * np.arange(height + 1)
    total = cost[:, 0].copy()
    totals = [total]
    for x in range(1, width):
        from_above = np.minimum.accumulate(total - jump) + jump
        from_below = np.minimum.accumulate((total + jump)[::-1])[::-1] - jump
        total = np.minimum(from_above, from_below) + cost[:, x]
        totals.append(total)
    rows = np.empty(width, dtype=np.intp)
    rows[-1] = int(np.argmin(totals[-1]))
    for x in range(width - 2, -1, -1):
        rows[x] = int(np.argmin(totals[x] + np.abs(jump - jump[rows[x + 1]])))
    # The outline is a few pixels thick and the seam runs along its outer side.
    nearby = np.minimum(rows[:, None] + np.arange(4), height - 1)
    on_seam = outline[nearby, np.arange(width)[:, None]].max(axis=1)
    on_seam[rows == height] = 0.0
    rows = _supported(rows, on_seam, height)
    region = np.arange(height)[:, None] >= rows[None]
    return region, np.asarray(on_seam[rows < height])


def _supported(
    rows: NDArray[np.intp], on_seam: NDArray[np.float32], height: int
) -> NDArray[np.intp]:
    """Drop the parts of a seam that an outline bounds for less than `_SUPPORT` of their length.

    Steep steps count as length without an outline: a real outline slopes, and what two spurious
    edges span has walls.
    """
    rows = rows.copy()
    claimed = np.concatenate([[False], rows < height, [False]])
    starts = np.flatnonzero(~claimed[:-1] & claimed[1:])
    ends = np.flatnonzero(claimed[:-1] & ~claimed[1:])
    for start, end in zip(starts, ends, strict=True):
        steps = np.abs(np.diff(rows[start:end]))
        walls = np.maximum(steps - _STEEP, 0).sum()
        walls += max(height - rows[start] - _STEEP, 0) if start > 0 else 0
        walls += max(height - rows[end - 1] - _STEEP, 0) if end < len(rows) else 0
        if (on_seam[start:end] > 0).sum() < _SUPPORT * (end - start + walls):
            rows[start:end] = height
    return rows


def _smoothed(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Close gaps, drop crumbs and thin spikes, keep what touches the border."""
    size = max(3, mask.shape[1] // 60) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    margin = 2 * size
    padded = cv2.copyMakeBorder(
        mask.astype(np.uint8), margin, margin, margin, margin, cv2.BORDER_REPLICATE
    )
    padded = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, kernel)
    padded = cv2.morphologyEx(padded, cv2.MORPH_OPEN, kernel)
    smooth = np.asarray(padded[margin:-margin, margin:-margin])
    count, labels, stats, _ = cv2.connectedComponentsWithStats(smooth)
    keep = np.zeros(count, dtype=bool)
    for part in range(1, count):
        inside = labels == part
        border = inside[0].any() or inside[-1].any() or inside[:, 0].any() or inside[:, -1].any()
        keep[part] = border and stats[part, cv2.CC_STAT_AREA] >= _MIN_SHARE * mask.size
    return np.asarray(keep[labels])
