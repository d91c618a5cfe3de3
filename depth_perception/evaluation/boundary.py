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

"""Do edges of depth follow objects: precision, recall and F1 of jumps in depth.

In: predicted and true depth on the same grid of places. Out: `Boundary`.

Places side by side whose depths differ by more than a factor of 1.25 have an edge between them, and
the prediction has the same edge if it, too, jumps there, in the same direction. Only ratios count,
so that a wrong scale costs nothing (methods.md 7.1; the idea is that of the boundary F1 of Depth
Pro, Bochkovskii et al. 2024). Places are 1 % of the image's width apart: edges that lie beside the
object by more are missed. Pairs lie in a row of the image, never one above the other, where far
road alone would make edges.

No image of pixels gets all of them, so that beside F1 stands what truth itself reaches when it has
no more resolution than the depth image: between pixels `shifted_counts`; at a LiDAR's points the
exact depth image, where there is one, read as the prediction is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.sampling import inside_image

EDGE_RATIO = 1.25
"""Depths side by side with a larger ratio have an edge between them."""

EDGE_SPACING = 0.01
"""Distance between the places that are compared, as a share of the image's width."""


@dataclass(frozen=True)
class Boundary:
    """How predicted edges meet true ones; NaN where there are none to compare.

    Attributes:
        edges: True edges.
        predicted: Predicted edges between places with truth.
        precision: Share of the predicted edges that are true.
        recall: Share of the true edges that were predicted; unknown depth has no edges.
        f1: Harmonic mean of both.
        attainable: F1 of the truth itself at the depth image's resolution; NaN where not known.
        reached: ``f1`` as a share of it: above 1 where edges lie better than that.
    """

    edges: int
    predicted: int
    precision: float
    recall: float
    f1: float
    attainable: float = float("nan")
    reached: float = float("nan")

    @staticmethod
    def of(
        counts: Iterable[NDArray[np.int64]], best: Iterable[NDArray[np.int64]] = ()
    ) -> Boundary | None:
        """Pool the counts of images, and those of truth itself; None without any edge."""
        total = sum(counts, start=np.zeros(3, dtype=np.int64))
        found, predicted, true = (int(value) for value in total)
        if not predicted + true:
            return None
        f1 = 2 * found / (predicted + true)
        again, seen, there = (int(v) for v in sum(best, start=np.zeros(3, dtype=np.int64)))
        attainable = 2 * again / (seen + there) if seen + there else float("nan")
        return Boundary(
            edges=true,
            predicted=predicted,
            precision=found / predicted if predicted else float("nan"),
            recall=found / true if true else float("nan"),
            f1=f1,
            attainable=attainable,
            reached=f1 / attainable if attainable else float("nan"),
        )


def spacing(width: int) -> int:
    """Distance of compared places in an image of this width, px."""
    return max(1, round(EDGE_SPACING * width))


def boundary_counts(
    prediction: NDArray[np.floating], truth: NDArray[np.floating], step: int = 1
) -> NDArray[np.int64]:
    """Count edges between places ``step`` columns apart.

    Args:
        prediction: (h, w) metres; NaN unknown, +Inf beyond range.
        truth: (h, w) metres; NaN does not count, +Inf is the sky.
        step: Columns.

    Returns:
        (3,): true edges that were predicted, predicted edges, true edges.
    """
    true, known = _edges(truth, step)
    predicted, _ = _edges(prediction, step)
    predicted = predicted * known
    return np.array(
        [
            np.count_nonzero(true * predicted > 0),
            np.count_nonzero(predicted),
            np.count_nonzero(true),
        ]
    )


def shifted_counts(truth: NDArray[np.floating], step: int = 1) -> NDArray[np.int64]:
    """Count edges of a dense truth against itself, half a pixel to either side.

    Pixels say no more exactly where an edge is. Half a pixel falls half of the time on the pixel
    itself and half of the time on its neighbour, so that both are counted, to the left and right.

    Args:
        truth: (h, w) metres; NaN does not count, +Inf is the sky.
        step: Columns between places that are compared.

    Returns:
        As `boundary_counts`.
    """
    sign, known = _edges(truth, step)
    left, right = sign[:, :-1], sign[:, 1:]
    both = known[:, :-1] & known[:, 1:]
    itself = np.count_nonzero(left) + np.count_nonzero(right)
    beside = np.count_nonzero((left * both, right * both))
    return np.array([itself + 2 * np.count_nonzero(left * right > 0), itself + beside, 2 * itself])


def _edges(depth: NDArray[np.floating], step: int) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """1 where depth jumps up to the right, -1 where down, else 0; and where both are known."""
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.where(depth > 0, np.log(depth.astype(np.float64)), np.nan)
        jump = value[:, step:] - value[:, :-step]
        sign = np.where(np.abs(jump) > np.log(EDGE_RATIO), np.sign(jump), 0).astype(np.int8)
    known = ~(np.isnan(value[:, step:]) | np.isnan(value[:, :-step]))
    return sign, known


def boundary_counts_at_points(
    uv: NDArray[np.floating],
    prediction: NDArray[np.floating],
    truth: NDArray[np.floating],
    size: tuple[int, int],
) -> NDArray[np.int64]:
    """Count edges between points that lie side by side in the image, such as a LiDAR's.

    The image is cut into square cells as wide as places are apart; of a cell's points the nearest
    counts, and cells that touch in a row are compared.

    Args:
        uv: (N, 2) pixels.
        prediction: (N,) metres there.
        truth: (N,) metres there.
        size: (width, height) of the image, px.

    Returns:
        As `boundary_counts`.
    """
    cell = max(1.0, EDGE_SPACING * size[0])
    inside = inside_image(uv, size)
    column, row = ((uv[inside] + 0.5) / cell).astype(np.intp).T
    grid = np.full((2, int(size[1] / cell) + 1, int(size[0] / cell) + 1), np.nan)
    # What is written last stays: the nearest.
    order = np.argsort(-truth[inside])
    at = row[order], column[order]
    grid[0][at] = prediction[inside][order]
    grid[1][at] = truth[inside][order]
    return boundary_counts(grid[0], grid[1])
