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

"""Measured depth of one camera: which matches are believed, and how sure they are."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.frames.measured_kind import Kind as Kind
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.transforms import Matrix
from depth_perception.motion.matching import SUBPIXEL_SIGMA, Match
from depth_perception.motion.moving import find_moving

MAX_RELATIVE_SIGMA = 0.15
"""What is less sure than this is not measured: near the point that one drives towards, far away."""
MAX_RATIO = 0.97
"""Another depth is nearly as good: not measured. Over all depths, at the smallest size; and beside
a step of depth, where the window of a match sees both sides, at the largest, too."""
EDGE_STEP = 1.25
"""Depths whose ratio is larger have a step between them."""
EDGE_LEVELS = 5
"""Beside a step of depth what is blank takes the depth of the other side: the sky that of a roof.
Grey values of a pixel and those next to it must differ by so much."""
EDGE_REACH = 7
"""How far a window reaches, px."""
MAX_DEVIATION = 0.10
"""A match differs from the median around it by no more than this share, or two deviations."""
SPECKLE = 40
"""Fewer connected pixels of one depth than this are noise."""
SPECKLE_STEP = 0.12
"""Relative change of inverse depth, of the largest there is in the patch, that still connects."""
BELOW_GROUND = (0.15, 0.01, 0.001)
"""Nothing lies deeper under the road than this (m), more by so much for each metre of distance (its
slope is not known better) and for each square metre (it is bent)."""
MAX_BITS = 9.0
"""Of 24; with more that differ nothing was found again: what moves across the epipolar lines."""
PLANE_RATIO = 1.12
"""The ground is not contradicted where its cost is on average so little above the least."""
PLANE_SHARE = 0.10
"""A match within this share of the ground (or two deviations) is on it."""
PLANE_SUPPORT = 0.8
"""Of the matches around, so many must be on the ground for it to be believed without a match."""
PLANE_OPPOSED = 0.15
"""On the path it is believed without any, unless so many of the pixels around say otherwise."""
BLANK_LEVELS = 5.0
"""Where grey values differ by less than this (standard deviation) costs say nothing."""
PLANE_WINDOW = (41, 15)
"""(width, height) of what is around, px."""
ONE_SURFACE = 0.1
"""On one surface inverse depth changes by less than this share within half a pixel."""
PLANE_RANGE = 40.0
"""Farther the ground is not measured by the plane, m."""


@dataclass(frozen=True, eq=False)
class MeasuredDepth:
    """What geometry measured of one camera, on its matching grid.

    Attributes:
        inverse_depth: (h, w) float32, 1/m; NaN where nothing is measured surely.
        sigma: (h, w) float32, its standard deviation, 1/m; NaN there.
        kind: (h, w) uint8, `Kind`.
    """

    inverse_depth: NDArray[np.float32]
    sigma: NDArray[np.float32]
    kind: NDArray[np.uint8]

    def on_grid(self, shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return depth (m) and its relative standard deviation on a grid of the same field.

        Between pixels of one surface inverse depth is read linearly, which is exact on planes and
        evens out noise; elsewhere of the nearest pixel, so that none lies between two surfaces.

        Args:
            shape: (h, w) of that grid, px.
        """
        size = (shape[1], shape[0])
        w, sigma = (
            cv2.resize(item, size, interpolation=cv2.INTER_NEAREST_EXACT)
            for item in (self.inverse_depth, self.sigma)
        )
        between = cv2.resize(self.inverse_depth, size, interpolation=cv2.INTER_LINEAR)
        relative = (sigma / w).astype(np.float32)
        with np.errstate(invalid="ignore"):
            w = np.where(np.abs(between - w) < ONE_SURFACE * w, between, w)
        return (1 / w).astype(np.float32), relative

    def kind_on_grid(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return `Kind` on a grid (h, w) of the same field, on the pixels of `on_grid`."""
        size = (shape[1], shape[0])
        kind = cv2.resize(self.kind, size, interpolation=cv2.INTER_NEAREST_EXACT)
        return np.asarray(kind, dtype=np.uint8)


def judge(
    found: Match,
    image: NDArray[np.uint8],
    rays: NDArray[np.float32],
    T_base_camera: Matrix,
    ground: GroundPlane,
    mask: NDArray[np.bool_],
    kinds: NDArray[np.uint8],
    shift_sigma: float = SUBPIXEL_SIGMA,
) -> tuple[MeasuredDepth, NDArray[np.float32]]:
    """Keep the matches that can be believed.

    Args:
        found: Of `match`.
        image: (h, w) uint8, grey.
        rays: (h, w, 3) float32, third component 1.
        T_base_camera: 4x4, the mounting.
        ground: In the base frame.
        mask: (h, w), true where nothing may be measured: the own body.
        kinds: (number of sources,) uint8, `Kind` of each source of the match.
        shift_sigma: Standard deviation of where a pixel was found again, px.

    Returns:
        Measured depth, of the matches that were kept; and the inverse depth (h, w) of those that
        only the ground speaks against, since they would lie under it; NaN elsewhere.
    """
    w = found.inverse_depth
    with np.errstate(invalid="ignore", divide="ignore"):
        sigma = np.float32(shift_sigma) / found.sensitivity
        good = (
            (w > 0)
            & (found.coarse_ratio < MAX_RATIO)
            & (found.bits < MAX_BITS)
            & ~mask
            & (sigma < MAX_RELATIVE_SIGMA * w)
        )
        filled = np.where(w > 0, w, 0).astype(np.float32)
        smooth = cv2.medianBlur(filled, 5)
        good &= np.abs(w - smooth) < np.maximum(MAX_DEVIATION * smooth, 2 * sigma)
        window = np.ones((EDGE_REACH, EDGE_REACH), np.uint8)
        edge = cv2.dilate(smooth, window) > EDGE_STEP * cv2.erode(smooth, window)
        here = np.ones((3, 3), np.uint8)
        structure = cv2.dilate(image, here) - cv2.erode(image, here) >= EDGE_LEVELS
        good &= ~edge | ((found.ratio < MAX_RATIO) & structure)
    good &= _no_speckle(w, good)
    above = _above_ground(w, rays, T_base_camera, ground)
    nan = np.float32(np.nan)
    under = np.where(good & ~above, w, nan)
    good &= above
    kept = MeasuredDepth(
        np.where(good, w, nan),
        np.where(good, sigma, nan).astype(np.float32),
        np.where(good, kinds[found.best_source], np.uint8(Kind.NOTHING)).astype(np.uint8),
    )
    return kept, under


def _above_ground(
    w: NDArray[np.float32], rays: NDArray[np.float32], T_base_camera: Matrix, ground: GroundPlane
) -> NDArray[np.bool_]:
    """Tell where a point does not lie under the road: what does moves, or is a reflection."""
    up = (T_base_camera[:3, :3].T @ ground.normal).astype(np.float32)
    height = ground.signed_distance(T_base_camera[:3, 3])
    depth = 1 / np.maximum(w, np.float32(1e-3))
    rough, slope, bend = (np.float32(value) for value in BELOW_GROUND)
    allowed = rough + slope * depth + bend * depth * depth
    return np.asarray(height + (rays @ up) * depth > -allowed)


def _no_speckle(w: NDArray[np.float32], good: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which pixels belong to a patch of some size, whose depth has no steps."""
    with np.errstate(invalid="ignore", divide="ignore"):
        steps = np.log(np.where(good, w, 1e-3) / 1e-3) * (1000 / np.log(1e4))
    image = np.where(good, np.clip(steps, 1, 1000), 0).astype(np.int16)
    # The logarithm makes one relative change the same everywhere.
    change = float(np.log1p(SPECKLE_STEP) * (1000 / np.log(1e4)))
    cv2.filterSpeckles(image, 0, SPECKLE, change)
    return np.asarray(image > 0)


def with_ground(
    measured: MeasuredDepth,
    under: NDArray[np.float32],
    found: Match,
    plane: NDArray[np.float32],
    plane_sigma: NDArray[np.float32],
    mask: NDArray[np.bool_],
    image: NDArray[np.uint8],
    lane: NDArray[np.bool_],
    rise: NDArray[np.float32],
    height: float,
    factor: float,
    factor_sigma: float,
) -> MeasuredDepth:
    """Add the ground where it is confirmed, and take out what contradicts the ground it stands on.

    Args:
        measured: Of `judge`.
        under: Of `judge`, too.
        found: What it was judged from.
        plane: (h, w) float32: inverse depth of the ground, 1/m, in metres of the vehicle's true
            way; 0 at and above the horizon.
        plane_sigma: (h, w) float32: its relative standard deviation.
        mask: (h, w), true on the own body.
        image: (h, w) uint8, grey.
        lane: (h, w), true where the ground would lie on the vehicle's path: there it is believed
            where nothing speaks against it, elsewhere only where matches around confirm it.
        rise: (h, w) float32: height over the ground that a ray gains for each metre of depth.
        height: Of the camera over the ground, m.
        factor: By how much the way is longer than was assumed: divides inverse depths.
        factor_sigma: Its relative standard deviation, which all matches share.

    Returns:
        Measured depth in metres, kind `Kind.PLANE` where it is the ground.
    """
    # What other cameras of the set measured hangs on no way.
    by_way = measured.kind == Kind.PARALLAX
    longer = np.where(by_way, factor, 1.0).astype(np.float32)
    shared = np.where(by_way, factor_sigma, 0.0).astype(np.float32)
    w, own = measured.inverse_depth / longer, measured.sigma / longer
    sigma = np.hypot(own, w * shared)
    known = np.isfinite(w)
    ground = (plane > 1 / PLANE_RANGE) & ~mask & np.isfinite(plane_sigma)
    with np.errstate(invalid="ignore"):
        on_ground = known & ground
        # By the match alone: a way of unknown length must not make everything ground.
        on_ground &= np.abs(w - plane) < np.maximum(PLANE_SHARE * plane, 2 * own)
    around = _share_around(on_ground, known & ground)
    cost = np.minimum(found.cost_ratio_at(plane * np.float32(factor)), np.float32(2))
    not_contradicted = cv2.blur(cost, (EDGE_REACH, EDGE_REACH)) < PLANE_RATIO
    blank = contrast(image) < BLANK_LEVELS
    against = _share_around(known & ground & ~on_ground, np.ones_like(ground))
    unopposed = lane & (against < PLANE_OPPOSED) & (around >= 0.5 * (against > 0.02))
    confirmed = not_contradicted & (around > PLANE_SUPPORT) & ~blank
    filled = ground & ~known & ((unopposed & (not_contradicted | blank)) | confirmed)
    feet = on_ground | (ground & ~known & (not_contradicted | blank | (cost < PLANE_RATIO)))
    below = np.isfinite(under)
    everything = np.where(below, under / np.float32(factor), w)
    things = below | (known & ~on_ground)
    moving, above = find_moving(everything, things, below, plane, feet, rise, height)
    filled &= ~above
    kind = measured.kind.copy()
    kind[moving] = Kind.NOTHING
    w[moving] = sigma[moving] = np.nan
    # Two measurements of one thing: the plane's and the match's.
    both = on_ground & ~moving
    a, b = 1 / np.square(sigma[both]), 1 / np.square(plane[both] * plane_sigma[both])
    w[both] = (w[both] * a + plane[both] * b) / (a + b)
    sigma[both] = 1 / np.sqrt(a + b)
    w[filled] = plane[filled]
    sigma[filled] = plane[filled] * plane_sigma[filled]
    kind[both | filled] = Kind.PLANE
    return MeasuredDepth(w.astype(np.float32), sigma.astype(np.float32), kind)


def contrast(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Standard deviation of grey values (h, w) in the window of a match."""
    values = image.astype(np.float32)
    window = (EDGE_REACH, EDGE_REACH)
    variance = cv2.blur(values * values, window) - np.square(cv2.blur(values, window))
    return np.sqrt(np.maximum(variance, 0)).astype(np.float32)


def _share_around(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Of the pixels of ``whole`` around each pixel, the share that is in ``part``; 0 of few."""
    count, of = (
        cv2.boxFilter(item.astype(np.float32), -1, PLANE_WINDOW, borderType=cv2.BORDER_CONSTANT)
        for item in (part, whole)
    )
    few = 0.02
    return np.asarray(np.where(of > few, count / np.maximum(of, few), 0), dtype=np.float32)
