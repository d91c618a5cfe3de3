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

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.frames.measured_kind import Kind as Kind
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.transforms import Matrix
from depth_perception.motion import measured_loops as loops
from depth_perception.motion.matching import SUBPIXEL_SIGMA, Match
from depth_perception.motion.moving import find_moving
from depth_perception.motion.moving_loops import label_surfaces

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
LITTLE = 0.02
"""A share of the pixels around that says nothing."""


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


class MeasuredOnDemand:
    """Measured depth that is computed when somebody looks at it; as `MeasuredDepth`."""

    def __init__(self, make: Callable[[], MeasuredDepth]) -> None:
        """Compute it with ``make``, from any thread."""
        self._make = make

    @cached_property
    def made(self) -> MeasuredDepth:
        """What is computed."""
        return self._make()

    @property
    def inverse_depth(self) -> NDArray[np.float32]:
        """See `MeasuredDepth`."""
        return self.made.inverse_depth

    @property
    def sigma(self) -> NDArray[np.float32]:
        """See `MeasuredDepth`."""
        return self.made.sigma

    @property
    def kind(self) -> NDArray[np.uint8]:
        """See `MeasuredDepth`."""
        return self.made.kind

    def on_grid(self, shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `MeasuredDepth`."""
        return self.made.on_grid(shape)

    def kind_on_grid(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """See `MeasuredDepth`."""
        return self.made.kind_on_grid(shape)


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
    smooth = cv2.medianBlur(np.fmax(w, np.float32(0)), 5)
    window, here = np.ones((EDGE_REACH, EDGE_REACH), np.uint8), np.ones((3, 3), np.uint8)
    high, low = cv2.dilate(smooth, window), cv2.erode(smooth, window)
    structure = cv2.subtract(cv2.dilate(image, here), cv2.erode(image, here))
    sigma, good = np.empty(w.shape, np.float32), np.empty(w.shape, np.bool_)
    of_match = (found.coarse_ratio, found.ratio, found.bits, found.sensitivity)
    around = (smooth, high, low, structure)
    loops.believe(w, *around, *of_match, mask, shift_sigma, _BELIEVED, sigma, good)
    labels, parents = np.empty(w.shape, np.int32), np.empty(w.size, np.int32)
    count = label_surfaces(w, good, _SPECKLE_CHANGE, labels, parents)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    up = (T_base_camera[:3, :3].T @ ground.normal).astype(np.float32)
    height = float(ground.signed_distance(T_base_camera[:3, 3]))
    kept, kept_sigma, under = (np.empty(w.shape, np.float32) for _ in range(3))
    kind = np.empty(w.shape, np.uint8)
    patches = (labels, sizes, SPECKLE)
    road = (rays, up, height, _floats(BELOW_GROUND))
    out = (kept, kept_sigma, kind, under)
    loops.keep(w, sigma, good, *patches, *road, found.best_source, kinds, *out)
    return MeasuredDepth(kept, kept_sigma, kind), under


def _floats(values: Iterable[float]) -> tuple[np.float32, ...]:
    return tuple(np.float32(value) for value in values)


_BELIEVED = _floats(
    (MAX_RATIO, MAX_BITS, MAX_RELATIVE_SIGMA, MAX_DEVIATION, EDGE_STEP, EDGE_LEVELS)
)
_SPECKLE_CHANGE = np.float32(1 - 1 / (1 + SPECKLE_STEP))
"""The same as a share of the larger one."""


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
    shape = plane.shape
    w, sigma = np.empty(shape, np.float32), np.empty(shape, np.float32)
    hits, on_ground, both = (np.empty(shape, np.uint8) for _ in range(3))
    # What other cameras of the set measured hangs on no way.
    way = (np.uint8(Kind.PARALLAX), factor, factor_sigma)
    of_way = (measured.inverse_depth, measured.sigma, measured.kind, *way)
    of_plane = (plane, plane_sigma, mask, _floats((1 / PLANE_RANGE, PLANE_SHARE)))
    loops.compare_with_plane(*of_way, *of_plane, w, sigma, hits, on_ground, both)
    shares = (_share_around(on_ground), _share_around(both))
    whole = [
        _share_around(np.ones((length, 1), np.uint8), (1, reach)).ravel()
        for length, reach in zip(shape, PLANE_WINDOW[::-1], strict=True)
    ]
    cost = np.minimum(found.cost_ratio_at(plane * np.float32(factor)), np.float32(2))
    costs = (cost, cv2.blur(cost, (EDGE_REACH, EDGE_REACH)))
    filled, feet, things = (np.empty(shape, np.bool_) for _ in range(3))
    everything = np.empty(shape, np.float32)
    of_image = (variance(image), lane, under, factor, w)
    out = (filled, feet, everything, things)
    loops.fill(hits, *shares, tuple(whole), *costs, *of_image, _FILLED, *out)
    below = np.isfinite(under)
    moving, above = find_moving(everything, things, below, plane, feet, rise, height)
    kind = measured.kind.copy()
    moved = (hits, moving, above, filled)
    loops.merge(*moved, plane, plane_sigma, np.uint8(Kind.PLANE), w, sigma, kind)
    return MeasuredDepth(w, sigma, kind)


_FILLED = _floats((PLANE_RATIO, BLANK_LEVELS**2, PLANE_SUPPORT, PLANE_OPPOSED, LITTLE, LITTLE))


def variance(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Variance of grey values (h, w) in the window of a match."""
    window = (EDGE_REACH, EDGE_REACH)
    mean = cv2.boxFilter(image, cv2.CV_32F, window)
    return np.asarray(cv2.sqrBoxFilter(image, cv2.CV_32F, window) - mean * mean, np.float32)


def _share_around(
    part: NDArray[np.uint8], window: tuple[int, int] = PLANE_WINDOW
) -> NDArray[np.float32]:
    """Share of ones around each pixel; beyond the image there are none."""
    share = cv2.boxFilter(part, cv2.CV_32F, window, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(share, np.float32)
