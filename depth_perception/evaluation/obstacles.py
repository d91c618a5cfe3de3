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

"""Does the obstacle cloud lie where things stand: precision, recall and F-score at half a metre.

In: the predicted points of a frame set and the true ones that its cameras see, base frame. Out:
`ObstacleScores`, pooled over frame sets.

Obstacles are points 0.3 to 3 m above the ground, at most 25 m from the base frame in x and y,
without the own body. Both clouds are thinned to one point, the mean, per cube of 0.2 m, so that
what is near and has many pixels does not decide everything. A predicted point is right when a true
obstacle lies within 0.5 m of it, and a true one is found when a predicted obstacle does (in 3D;
methods.md 7.1). What a point is held against reaches 0.5 m farther away and higher up, so that no
point fails for lying just inside of the limits; not lower, where everything would be near road.

A sparse truth does not know of everything that is there: a predicted point counts for precision
only where truth could tell, on pixels that truth knows (`SeenTruth.known`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets.lidar_truth import TruthProtocol, without_body
from depth_perception.evaluation.seen_truth import SeenTruth
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.sampling import inside_image
from depth_perception.geometry.transforms import inverse, transform_points

OBSTACLE_HEIGHTS = (0.3, 3.0)
"""Heights of obstacles above the ground, m."""

OBSTACLE_RANGE = 25.0
"""Farthest obstacles, from the base frame in x and y, m."""

TOLERANCE = 0.5
"""Points so near to each other are of one thing, m."""

THINNED_TO = 0.2
"""Edge of the cubes that keep one point each, m."""

_OWN_DEPTH = 0.02
"""A point of the cloud is a camera's own where that camera's depth is the same but for this."""


@dataclass(frozen=True)
class ObstacleScores:
    """How the obstacle cloud meets the true one, over all frame sets; NaN where there is none.

    Attributes:
        truth: True obstacle points, thinned.
        predicted: Predicted ones where truth could tell, thinned.
        precision: Share of the predicted points with a true one within 0.5 m.
        recall: Share of the true points with a predicted one within 0.5 m.
        f1: Harmonic mean of both.
    """

    truth: int
    predicted: int
    precision: float
    recall: float
    f1: float

    @staticmethod
    def of(counts: Iterable[NDArray[np.int64]]) -> ObstacleScores | None:
        """Pool the counts of frame sets (`obstacle_counts`); None without any point."""
        right, predicted, found, truth = sum(counts, start=np.zeros(4, dtype=np.int64)).tolist()
        if not predicted + truth:
            return None
        precision = right / predicted if predicted else float("nan")
        recall = found / truth if truth else float("nan")
        both = (precision if predicted else 0.0) + (recall if truth else 0.0)
        f1 = 2 * precision * recall / both if predicted and truth and both else 0.0
        return ObstacleScores(truth, predicted, precision, recall, f1)


def obstacle_counts(
    predicted: NDArray[np.floating],
    tested: NDArray[np.bool_],
    truth: NDArray[np.floating],
    ground: GroundPlane,
    protocol: TruthProtocol,
) -> NDArray[np.int64]:
    """Count how predicted and true points of one frame set meet.

    Args:
        predicted: (N, 3) base frame, m.
        tested: (N,) where truth could tell.
        truth: (M, 3) base frame, m.
        ground: Heights are above it, of both.
        protocol: Has the own body's box.

    Returns:
        (4,): predicted points that are right, predicted points, true points that were found, true
        points; thinned.
    """

    def obstacles(points: NDArray[np.floating], margin: float = 0.0) -> NDArray[np.bool_]:
        return are_obstacles(points, ground, protocol, margin)

    asked = thinned(predicted[obstacles(predicted) & tested])
    true = thinned(truth[obstacles(truth)])
    right = is_near(asked, thinned(truth[obstacles(truth, TOLERANCE)]), TOLERANCE)
    found = is_near(true, thinned(predicted[obstacles(predicted, TOLERANCE)]), TOLERANCE)
    return np.array([right.sum(), len(asked), found.sum(), len(true)], dtype=np.int64)


def are_obstacles(
    points: NDArray[np.floating],
    ground: GroundPlane,
    protocol: TruthProtocol,
    margin: float = TOLERANCE,
) -> NDArray[np.bool_]:
    """Tell which (N, 3) points of the base frame are obstacles, or within a margin beyond (m)."""
    height = ground.signed_distance(points)
    low, high = OBSTACLE_HEIGHTS
    use = (height >= low) & (height <= high + margin) & without_body(points, protocol)
    use &= np.hypot(points[:, 0], points[:, 1]) <= OBSTACLE_RANGE + margin
    return np.asarray(use, dtype=np.bool_)


def thinned(points: NDArray[np.floating], edge: float = THINNED_TO) -> NDArray[np.float64]:
    """Return the mean of the (N, 3) points in each cube of an edge, m."""
    points = np.asarray(points, dtype=np.float64)
    if not len(points):
        return np.zeros((0, 3))
    cells = np.floor(points / edge).astype(np.int64)
    _, place = np.unique(_keys(cells - cells.min(axis=0)), return_inverse=True)
    place = place.reshape(-1)
    count = np.bincount(place)
    return np.stack([np.bincount(place, column) / count for column in points.T], axis=1)


def is_near(
    points: NDArray[np.float64], others: NDArray[np.float64], radius: float
) -> NDArray[np.bool_]:
    """Tell which (N, 3) points have one of the (M, 3) others within a radius, exactly.

    Others are sorted into cubes with the radius as edge, and looked for in the 27 cubes around.
    """
    near = np.zeros(len(points), dtype=np.bool_)
    if not len(points) or not len(others):
        return near
    low = np.minimum(points.min(axis=0), others.min(axis=0))
    # A free cube all around, so that those beside the outermost have keys of their own.
    mine, theirs = (np.floor((p - low) / radius).astype(np.int64) + 1 for p in (points, others))
    shape = np.maximum(mine.max(axis=0), theirs.max(axis=0)) + 2
    keys = _keys(theirs, shape)
    order = np.argsort(keys, kind="stable")
    keys, others = keys[order], others[order]
    around = sorted(itertools.product((-1, 0, 1), repeat=3), key=lambda step: np.abs(step).sum())
    for step in around:
        left = np.flatnonzero(~near)
        wanted = _keys(mine[left] + step, shape)
        begin, end = (np.searchsorted(keys, wanted, side) for side in ("left", "right"))
        count = end - begin
        first = np.repeat(left, count)
        skipped = np.repeat(np.cumsum(count) - count, count)
        second = np.repeat(begin, count) + np.arange(len(first)) - skipped
        close = ((points[first] - others[second]) ** 2).sum(axis=1) <= radius**2
        near[first[close]] = True
    return near


def _keys(
    cells: NDArray[np.int64], shape: NDArray[np.int64] | Sequence[int] | None = None
) -> NDArray[np.int64]:
    """Number (N, 3) cells, none negative, of a box of that many cells."""
    box = cells.max(axis=0) + 1 if shape is None else shape
    return np.asarray((cells[:, 0] * box[1] + cells[:, 1]) * box[2] + cells[:, 2], dtype=np.int64)


def where_truth_could_tell(
    points: NDArray[np.floating], seen: Mapping[str, SeenTruth], which: str = "depth"
) -> NDArray[np.bool_]:
    """Tell which points of a cloud lie on pixels whose truth is known, in the camera they are of.

    A point is of a camera whose depth is that of the point at its pixel: another camera may see it
    behind what truth shows there.

    Args:
        points: (N, 3) base frame, m.
        seen: Truth by camera.
        which: Field of `CameraResult` that the cloud was made of.
    """
    out = np.zeros(len(points), dtype=np.bool_)
    for item in seen.values():
        here = item.result
        in_view = transform_points(inverse(here.T_base_camera), points)
        ahead = np.flatnonzero(in_view[:, 2] > 0)
        uv = here.camera.project(in_view[ahead])
        height, width = item.known.shape
        inside = inside_image(uv, (width, height))
        place, in_view = ahead[inside], in_view[ahead[inside]]
        column, row = np.rint(uv[inside]).astype(np.intp).T
        row, column = row.clip(0, height - 1), column.clip(0, width - 1)
        own = np.asarray(getattr(here, which), dtype=np.float64)[row, column]
        with np.errstate(invalid="ignore"):
            same = np.abs(own - in_view[:, 2]) <= _OWN_DEPTH * in_view[:, 2]
        out[place[same & item.known[row, column]]] = True
    return out
