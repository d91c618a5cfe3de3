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

"""Points of one camera that are followed from image to image (Lucas-Kanade, OpenCV).

What the motion is found from, and what is left of a past image once its pixels are gone: where its
points were seen.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.camera import CameraModel
from depth_perception.motion.corner_loops import choose_apart, corner_of_each_cell, corner_strength

WANTED, LEAST_WANTED = 400, 150
"""Points that are followed in one image, and the fewest where other cameras help."""
TOGETHER = 1000
"""Points that are enough for one motion, in all cameras together."""
SPACING = 8
"""They lie at least so many pixels apart."""
_WINDOW = (16, 16)
"""Wide and low: OpenCV goes along rows by 8 pixels, and takes twice the time for 15 columns."""
_LEVELS, _LEVELS_BACK = 4, 2
"""Halvings of the image; on the way back, whose end is known, fewer find what went wrong."""
_BACK_LIMIT = 0.5
"""A point that is followed back must come out where it began, px."""
_QUALITY = 0.005
"""Weaker than this share of the strongest is no corner."""
_CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.03)

Points = NDArray[np.float32]


class FeatureTracks:
    """The points of one camera."""

    def __init__(
        self, camera: CameraModel, mask: NDArray[np.bool_] | None = None, cameras: int = 1
    ) -> None:
        """Begin without any.

        Args:
            camera: Model of the images that will come.
            mask: (h, w), true where nothing is to be followed: the own body, no image.
            cameras: How many there are that see one motion.
        """
        self.camera = camera
        self.wanted = min(max(TOGETHER // max(cameras, 1), LEAST_WANTED), WANTED)
        self._free = np.full((camera.height, camera.width), 255, dtype=np.uint8)
        if mask is not None:
            # A window that reaches onto the body would follow the body.
            reach = np.ones((_WINDOW[1] | 1, _WINDOW[0] | 1), np.uint8)
            self._free[cv2.dilate(mask.astype(np.uint8), reach) > 0] = 0
        self._image: NDArray[np.uint8] | None = None
        self._points: Points = np.zeros((0, 2), np.float32)
        self._ids: NDArray[np.int64] = np.zeros(0, np.int64)
        self._next = 0
        self._seen: dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]] = {}

    def advance(self, image: NDArray[np.uint8], stamp: int) -> None:
        """Follow the points into the next image, and find new ones where some were lost.

        Args:
            image: (h, w) uint8, grey.
            stamp: Names the image, ns.
        """
        if self._image is not None and len(self._points):
            moved, found, _ = cv2.calcOpticalFlowPyrLK(
                self._image, image, self._points[:, None], None,  # type: ignore[call-overload]
                winSize=_WINDOW, maxLevel=_LEVELS, criteria=_CRITERIA,
            )  # fmt: skip
            back, found_back, _ = cv2.calcOpticalFlowPyrLK(
                image, self._image, moved, self._points[:, None].copy(),
                winSize=_WINDOW, maxLevel=_LEVELS_BACK, criteria=_CRITERIA,
                flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
            )  # fmt: skip
            moved, back = moved[:, 0], back[:, 0]
            good = (found[:, 0] > 0) & (found_back[:, 0] > 0)
            good &= np.linalg.norm(back - self._points, axis=1) < _BACK_LIMIT
            columns, rows = np.rint(moved).astype(np.intp).T
            good &= (columns >= 0) & (columns < image.shape[1])
            good &= (rows >= 0) & (rows < image.shape[0])
            good[good] = self._free[rows[good], columns[good]] > 0
            self._points, self._ids = moved[good], self._ids[good]
        self._refill(image)
        self._image = image
        self._seen[stamp] = (self._ids, self.camera.lift(self._points.astype(np.float64)))

    def keep(self, stamps: Collection[int]) -> None:
        """Forget where points were seen in all images but these."""
        for stamp in self._seen.keys() - set(stamps):
            del self._seen[stamp]

    def forget(self) -> None:
        """Begin anew: what comes next has nothing to do with what was."""
        self._image = None
        self._points, self._ids = np.zeros((0, 2), np.float32), np.zeros(0, np.int64)
        self._seen.clear()

    def common(
        self, first: int, second: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Return the rays of the points that were seen in both of two images.

        Returns:
            Two (n, 3) arrays of rays of the optical frame, third component 1; None where one of
            the images is not remembered.
        """
        if first not in self._seen or second not in self._seen:
            return None
        (ids_a, rays_a), (ids_b, rays_b) = self._seen[first], self._seen[second]
        at_a, at_b = _common(ids_a, ids_b)
        good = np.isfinite(rays_a[at_a]).all(axis=1) & np.isfinite(rays_b[at_b]).all(axis=1)
        return rays_a[at_a[good]], rays_b[at_b[good]]

    def observations(
        self, now: int, then: Sequence[int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Return where the points of one image were seen in several others.

        Args:
            now: Stamp of the one image, ns.
            then: Stamps of the K others, ns.

        Returns:
            (n, 3) and (n, K, 3) unit rays of the optical frame; NaN where a point was not seen.
            None where the one image is not remembered.
        """
        if now not in self._seen:
            return None
        ids, rays = self._seen[now]
        out = np.full((len(ids), len(then), 3), np.nan)
        for k, stamp in enumerate(then):
            if stamp in self._seen:
                others, seen = self._seen[stamp]
                a, b = _common(ids, others)
                out[a, k] = seen[b]
        good = np.isfinite(rays).all(axis=1)
        rays, out = rays[good], out[good]
        rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
        return rays, out / np.linalg.norm(out, axis=-1, keepdims=True)

    def _refill(self, image: NDArray[np.uint8]) -> None:
        missing = self.wanted - len(self._points)
        if missing < self.wanted // 4:
            return
        new = corners(image, self._free, self._points, missing)
        ids = np.arange(self._next, self._next + len(new))
        self._next += len(new)
        self._points = np.concatenate([self._points, new])
        self._ids = np.concatenate([self._ids, ids])


def corners(
    image: NDArray[np.uint8], free: NDArray[np.uint8], points: Points, wanted: int
) -> Points:
    """Find corners to follow: the strongest, apart from each other and from what is followed.

    The corners of OpenCV's `goodFeaturesToTrack` (Shi-Tomasi), in a third of its time: it sorts
    every pixel that stands out, where the first of each square is enough.

    Args:
        image: (h, w) uint8, grey.
        free: (h, w) uint8, 0 where no corner is wanted.
        points: (m, 2) float32 (column, row), that are followed already.
        wanted: At most so many are found.

    Returns:
        (n, 2) float32 (column, row), the strongest first.
    """
    strength = np.empty(image.shape, np.float32)
    corner_strength(*cv2.spatialGradient(image), strength)
    most = (image.shape[0] // SPACING + 1) * (image.shape[1] // SPACING + 1)
    columns, rows = np.empty(most, np.int64), np.empty(most, np.int64)
    values = np.empty(most, np.float32)
    count = corner_of_each_cell(strength, free, SPACING, columns, rows, values)
    order = np.argsort(-values[:count], kind="stable")
    out = np.empty((wanted, 2), np.float32)
    found = choose_apart(order, columns, rows, values, points, SPACING, _QUALITY, out)
    return out[:found]


def _common(
    first: NDArray[np.int64], second: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where in each of two arrays stand the numbers that are in both; each array ascends."""
    if not len(second):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    at = np.minimum(np.searchsorted(second, first), len(second) - 1)
    both = np.flatnonzero(second[at] == first)
    return both, at[both]
