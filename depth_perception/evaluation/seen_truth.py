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

"""What truth knows of one image, in the one form that clouds and flicker are scored with.

In: a depth image and its truth, points of a LiDAR or an exact depth image. Out: `SeenTruth`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.frames.surround_result import CameraResult
from depth_perception.geometry.sampling import inside_image, sample_depth

NEAR_RAY = 2
"""A pixel is as good as looked at by the LiDAR when one of its points lies so near, px."""


@dataclass(frozen=True, eq=False)
class SeenTruth:
    """Truth of one image, on the pixels of its depth image.

    Attributes:
        result: The depth image.
        points: (N, 3) true points that the image shows, base frame at its instant, m; without the
            own body.
        uv: (N, 2) where they lie in the depth image, px.
        depth: (h, w) true depth along the depth image's axis, m, the nearest of each pixel; NaN
            where it is not known, +Inf in the sky.
        known: (h, w) whether truth can tell what the pixel shows.
        sparse: The points are a LiDAR's: a pixel's truth is that of the points within `NEAR_RAY`.
    """

    result: CameraResult
    points: NDArray[np.float64]
    uv: NDArray[np.float64]
    depth: NDArray[np.float64]
    known: NDArray[np.bool_]
    sparse: bool

    def without_points(self) -> SeenTruth:
        """Return it without its points, as it is kept for the next frame set."""
        return dataclasses.replace(self, points=np.zeros((0, 3)), uv=np.zeros((0, 2)))

    def true_depth_near(
        self, uv: NDArray[np.float64], expected: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the true depth at (N, 2) pixels: of a LiDAR's points around, the most expected.

        Args:
            uv: Pixels.
            expected: (N,) depth that is looked for, m.

        Returns:
            (N,) m; NaN where nothing is known.
        """
        if not self.sparse:
            return sample_depth(self.depth, uv)
        height, width = self.depth.shape
        best = np.full(len(uv), np.nan)
        reach = range(-NEAR_RAY, NEAR_RAY + 1)
        for shift in ((du, dv) for dv in reach for du in reach):
            moved = uv + shift
            inside = np.flatnonzero(inside_image(moved, (width, height)))
            column, row = np.rint(moved[inside]).astype(np.intp).T
            row, column = np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)
            value = self.depth[row, column]
            with np.errstate(invalid="ignore"):
                nearer = np.abs(value - expected[inside]) < np.abs(best[inside] - expected[inside])
                nearer |= np.isnan(best[inside]) & np.isfinite(value)
            best[inside[nearer]] = value[nearer]
        return best


def seen_by_lidar(
    result: CameraResult,
    points: NDArray[np.float64],
    uv: NDArray[np.float64],
    depth: NDArray[np.float64],
) -> SeenTruth:
    """Take a LiDAR's points as the truth of an image.

    Args:
        result: The depth image.
        points: (N, 3) that the image shows, base frame at its instant, m.
        uv: (N, 2) where they lie in it, px.
        depth: (N,) along its optical axis, m.
    """
    height, width = result.depth.shape
    inside = inside_image(uv, (width, height)) & (depth > 0)
    raster = np.full((height, width), np.inf)
    column, row = np.rint(uv[inside]).astype(np.intp).T
    np.minimum.at(raster, (row.clip(0, height - 1), column.clip(0, width - 1)), depth[inside])
    hit = np.isfinite(raster)
    kernel = np.ones((2 * NEAR_RAY + 1, 2 * NEAR_RAY + 1), np.uint8)
    known = cv2.dilate(hit.astype(np.uint8), kernel) > 0
    return SeenTruth(
        result, points[inside], uv[inside], np.where(hit, raster, np.nan), known, sparse=True
    )


def seen_exactly(
    result: CameraResult,
    points: NDArray[np.float64],
    depth: NDArray[np.float64],
    own_body: NDArray[np.bool_],
) -> SeenTruth:
    """Take an exact depth image as the truth of an image.

    Args:
        result: The depth image.
        points: (h * w, 3) true points by pixel, base frame, m; NaN where none counts.
        depth: (h * w,) true depth along the depth image's axis, m; NaN without a ray, +Inf in the
            sky.
        own_body: (h * w,) pixels of the vehicle's own body.
    """
    height, width = result.depth.shape
    use = np.isfinite(points).all(axis=1)
    row, column = np.divmod(np.flatnonzero(use), width)
    return SeenTruth(
        result,
        points[use],
        np.stack([column, row], axis=1).astype(np.float64),
        depth.reshape(height, width),
        (~np.isnan(depth) & ~own_body).reshape(height, width),
        sparse=False,
    )
