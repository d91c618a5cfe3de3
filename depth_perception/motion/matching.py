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

"""Depth of a camera's pixels from other images of the same things, by matching.

One reference image, several sources with known poses: earlier images of the same camera
(parallax), other cameras of the same set (overlap). Census costs along the epipolar lines at even
steps of inverse depth, all sources together; semi-global aggregation; the least cost, between the
steps. From coarse to fine: a small image is matched over all depths, larger ones only around what
the smaller found, which is both faster and finer. Works on rays: pinholes, distorted lenses and
fisheyes alike.

Sources: census transform (Zabih and Woodfill 1994); semi-global matching (Hirschmueller 2008), from
coarse to fine (Rothermel et al. 2012); plane sweep over several views (Collins 1996).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.transforms import Matrix
from depth_perception.motion import lens_loops, matching_costs
from depth_perception.motion import matching_loops as loops
from depth_perception.motion.matching_vectors import BLOCK, blocks

SMALL_CHANGE = 5.0
"""Cost of a change by one step from pixel to pixel, bits."""
LARGE_CHANGE = 30.0
"""Cost of a larger one, where the image is smooth; less where it has an edge."""
EDGE_LEVELS, LEAST_LARGE = 8.0, 1.5
"""Half of that at an edge of so many grey levels; never less than so many small changes."""
LEVELS = 3
"""Each has half the width and height of the next."""
SMALLEST_WIDTH = 150
"""A smaller image shows too little, px."""
MIN_STEPS, MAX_STEPS = 16, 64
"""Steps of the coarsest level."""
WINDOWS = (16, 16)
"""Steps of the finer ones."""
STEP_PX = 1.5
"""One step of inverse depth moves no pixel by much more than this in any source, px."""
LOOK_PX = 1.0
"""Steps share one look into a source in which they move no pixel by more than this, px."""
SUBPIXEL_SIGMA = 0.35
"""Standard deviation of a match, px."""


@dataclass(frozen=True, eq=False)
class Pyramid:
    """One camera at several sizes, from the smallest to the largest.

    Attributes:
        cameras: Its models.
        rays: (h, w, 3) float32 of each: of its pixels, third component 1; 0 where it sees nothing.
    """

    cameras: tuple[CameraModel, ...]
    rays: tuple[NDArray[np.float32], ...]

    @classmethod
    def of(cls, camera: CameraModel, levels: int = LEVELS) -> Pyramid:
        """Make one for a camera, whose model is that of the largest image."""
        cameras = [camera]
        while len(cameras) < levels and cameras[0].width // 2 >= SMALLEST_WIDTH:
            half = max(1, cameras[0].height // 2)
            cameras.insert(0, camera.resized(cameras[0].width // 2, half))
        rays = [np.nan_to_num(item.rays(), nan=0.0, posinf=0, neginf=0) for item in cameras]
        for item in rays:
            item[(item[..., 2] != 1)] = 0
        return cls(tuple(cameras), tuple(item.astype(np.float32) for item in rays))

    def images(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
        """Resize a grey image, which is at least as large as the largest, to all sizes."""
        out: list[NDArray[np.uint8]] = []
        for camera in reversed(self.cameras):
            size = (camera.width, camera.height)
            if (image.shape[1], image.shape[0]) != size:
                resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
                image = np.asarray(resized, dtype=np.uint8)
            out.insert(0, image)
        return tuple(out)


@dataclass(frozen=True, eq=False)
class Source:
    """Another image of the same things.

    Attributes:
        census: Of each size, from the smallest, (H, W) uint32, see `matching_costs.census`.
        cameras: The models of those sizes.
        T_source_reference: 4x4, from the reference camera's frame to this one's.
    """

    census: Sequence[NDArray[np.uint32]]
    cameras: Sequence[CameraModel]
    T_source_reference: Matrix


@dataclass(frozen=True, eq=False)
class Match:
    """What matching found, before anything is judged, at the largest size.

    Attributes:
        inverse_depth: (h, w) float32, 1/m; NaN where it is out of range.
        ratio: (h, w) float32: least cost over the next best, 1 is no better at all.
        coarse_ratio: (h, w) float32: the same over all depths, at the smallest size.
        bits: (h, w) float32: bits of the census that differ.
        sensitivity: (h, w) float32: by how many pixels a match moves in the best source when
            inverse depth changes by 1/m.
        best_source: (h, w) uint8: index of that source.
        levels: Costs of all sizes, for whoever asks about another depth.
    """

    inverse_depth: NDArray[np.float32]
    ratio: NDArray[np.float32]
    coarse_ratio: NDArray[np.float32]
    bits: NDArray[np.float32]
    sensitivity: NDArray[np.float32]
    best_source: NDArray[np.uint8]
    levels: tuple[Costs, ...]

    def cost_ratio_at(self, inverse_depth: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compare a given inverse depth (h, w) with the best: its cost over the least.

        1 is as good as the best; infinite where it is not above zero, or out of range. Where the
        finer sizes did not look there, the coarser tell.
        """
        out = self.levels[-1].ratio_at(inverse_depth)
        size = (inverse_depth.shape[1], inverse_depth.shape[0])
        for costs in self.levels[-2::-1]:
            smaller = (costs.base.shape[1], costs.base.shape[0])
            asked = cv2.resize(inverse_depth, smaller, interpolation=cv2.INTER_NEAREST)
            there = costs.ratio_at(np.asarray(asked, np.float32))
            there = np.asarray(cv2.resize(there, size, interpolation=cv2.INTER_NEAREST), np.float32)
            out = np.where(np.isfinite(out), out, there)
        return out


@dataclass(frozen=True, eq=False)
class Costs:
    """Aggregated costs of one size.

    Attributes:
        total: (h, w, n) uint16.
        least: (h, w) uint16: least of each pixel.
        base: (h, w) int32: number of the first step of each pixel.
        count: How many of the n steps there are.
        step: From one step to the next, 1/m.
    """

    total: NDArray[np.uint16]
    least: NDArray[np.uint16]
    base: NDArray[np.int32]
    count: int
    step: np.float32

    def ratio_at(self, inverse_depth: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Match.cost_ratio_at`."""
        out = np.empty(inverse_depth.shape, np.float32)
        of_steps = (self.base, self.count, self.step)
        loops.cost_ratio_at(self.total, self.least, *of_steps, inverse_depth, out)
        return out


def census_of(image: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return the census (h, w) of a grey image (h, w)."""
    out = np.empty(image.shape, dtype=np.uint32)
    matching_costs.census(image, out)
    return out


def match(
    images: Sequence[NDArray[np.uint8]],
    census: Sequence[NDArray[np.uint32]],
    pyramid: Pyramid,
    sources: Sequence[Source],
    nearest: float,
) -> Match:
    """Match one image with its sources.

    Args:
        images: (h, w) uint8, grey, of each size of the pyramid.
        census: (h, w), of them.
        pyramid: The camera.
        sources: At least one; with as many sizes.
        nearest: Nearest depth that is looked for, metres.

    Returns:
        The match of every pixel.
    """
    far = 1.0 / nearest
    finest = len(images) - 1
    largest, shifts = _shifts(pyramid, sources, far)
    steps = int(np.clip(np.ceil(far * largest / STEP_PX), MIN_STEPS, MAX_STEPS))
    # One step more at the far end: a minimum at infinity is one that has two sides.
    step, most = far / (steps - 2), steps - 2
    strides = _strides(shifts, step)
    base = np.full(census[0].shape, -1, np.int32)
    done: list[Costs] = []
    coarse_ratio = ratio = np.zeros((0, 0), np.float32)
    inverse_depth = bits = ratio
    for level in range(finest + 1):
        if level > 0:
            step, most, steps = step / 2, 2 * most, WINDOWS[min(level, len(WINDOWS)) - 1]
            base = np.empty(census[level].shape, np.int32)
            loops.window_of(inverse_depth, np.float32(step), steps, -1, most, base)
        height, width = census[level].shape
        planes = -(-steps // BLOCK) * BLOCK
        cost = np.empty((height, width, planes), np.uint8)
        size = np.float32(step)
        lenses = _lenses(sources, level)
        side = 1 if level == 0 else 2  # as `loops.window_of` lays windows
        matching_costs.compare(
            census[level], pyramid.rays[level], base, side, steps, size, *lenses, strides, cost
        )
        total, lanes = np.empty(cost.shape, np.uint16), blocks(planes)
        loops.aggregate(cost, base, images[level], *_CHANGES, level == 0, lanes, total)
        inverse_depth, ratio, bits = (np.empty((height, width), np.float32) for _ in range(3))
        least = np.empty((height, width), np.uint16)
        out = (inverse_depth, ratio, bits, least)
        loops.pick(total, cost, base, steps, size, most, lanes, *out)
        done.append(Costs(total, least, base, steps, size))
        if level == 0:
            coarse_ratio = ratio
        if level < finest:
            _fill(inverse_depth)
    shape = inverse_depth.shape
    coarse_ratio = cv2.resize(coarse_ratio, shape[::-1], interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    moved, best = np.empty(shape, np.float32), np.empty(shape, np.uint8)
    finite = np.nan_to_num(inverse_depth)
    loops.sensitivity(pyramid.rays[finest], finite, *_turned(sources, finest), moved, best)
    return Match(inverse_depth, ratio, coarse_ratio, bits, moved, best, tuple(done))


def _changes() -> tuple[np.uint8, NDArray[np.uint8]]:
    """What `loops.aggregate` charges for changes: by one step, and by more at each grey step."""
    levels = np.arange(256)
    large = LARGE_CHANGE / (1 + levels / EDGE_LEVELS)
    jumps = np.maximum(LEAST_LARGE * SMALL_CHANGE, large) * matching_costs.SCALE
    return np.uint8(SMALL_CHANGE * matching_costs.SCALE), np.rint(jumps).astype(np.uint8)


_CHANGES = _changes()


def _fill(inverse_depth: NDArray[np.float32]) -> None:
    """Look where the neighbours are, where a small image shows nothing; in place."""
    nothing = np.isnan(inverse_depth)
    inverse_depth[nothing] = 0
    smooth = cv2.medianBlur(inverse_depth, 5)
    inverse_depth[nothing] = smooth[nothing]


def _lenses(sources: Sequence[Source], level: int) -> tuple[NDArray[np.generic], ...]:
    """What `matching_costs.compare` asks of the sources at one size."""
    codes, places, R, t, kinds, K, D, limits = [], [], [], [], [], [], [], []
    begin = 0
    for source in sources:
        camera, code = source.cameras[level], source.census[level]
        codes.append(code.ravel())
        places.append((begin, *code.shape))
        begin += code.size
        R.append(camera.R @ source.T_source_reference[:3, :3])
        t.append(camera.R @ source.T_source_reference[:3, 3])
        kind, intrinsics, distortion, limit = lens_of(camera)
        kinds.append(kind)
        K.append(intrinsics)
        D.append(distortion)
        limits.append(limit)
    return (
        np.concatenate(codes),
        np.array(places, np.int64),
        np.array(R, np.float32),
        np.array(t, np.float32),
        np.array(kinds, np.int64),
        np.array(K, np.float32),
        np.array(D, np.float32),
        np.array(limits, np.float32),
    )


def _turned(sources: Sequence[Source], level: int) -> tuple[NDArray[np.generic], ...]:
    """What `matching_loops.sensitivity` asks of the sources."""
    cameras = [source.cameras[level] for source in sources]
    T = np.array([source.T_source_reference for source in sources], np.float32)
    return (
        np.ascontiguousarray(T[:, :3, :3]),
        np.ascontiguousarray(T[:, :3, 3]),
        np.array([camera.K[0, 0] for camera in cameras], np.float32),
        np.array([camera.distortion_model == "equidistant" for camera in cameras]),
    )


def _shifts(
    pyramid: Pyramid, sources: Sequence[Source], far: float
) -> tuple[float, NDArray[np.float64]]:
    """By how many pixels of the smallest size a match moves for 1/m, nearly at the most.

    Returns:
        In the source where it moves most; (S,) in each source.
    """
    rays = np.ascontiguousarray(pyramid.rays[0][2::4, 2::4])
    some = np.full(rays.shape[:2], far / 4, np.float32)
    moved, best = np.empty((len(sources), *some.shape), np.float32), np.empty(some.shape, np.uint8)
    for number, source in enumerate(sources):
        loops.sensitivity(rays, some, *_turned([source], 0), moved[number], best)
    each = np.percentile(moved.reshape(len(sources), -1), 95, axis=1)
    return float(np.percentile(moved.max(axis=0), 95)), np.asarray(each, np.float64)


def _strides(shifts: NDArray[np.float64], step: float) -> NDArray[np.int64]:
    """How many steps share one look into each source: where a step hardly moves what is seen.

    Args:
        shifts: (S,) of `_shifts`.
        step: At the smallest size, 1/m; that of each size moves about as many of its pixels.
    """
    strides = np.ones(len(shifts), np.int64)
    for stride in (2, 4):
        strides[shifts * step * stride <= LOOK_PX] = stride
    strides[np.argmax(shifts)] = 1
    return strides


def lens_of(
    camera: CameraModel,
) -> tuple[int, NDArray[np.float32], NDArray[np.float32], np.float32]:
    """What the loops project with: kind, K, D and limit, see `matching_costs.compare`."""
    K = camera.K[[0, 0, 0, 1, 1], [0, 1, 2, 1, 2]].astype(np.float32)
    D = np.zeros(8, np.float32)
    D[: len(camera.D)] = camera.D
    if camera.distortion_model == "equidistant":
        return lens_loops.EQUIDISTANT, K, D, _limit(camera)
    if camera.is_pinhole:
        return lens_loops.PINHOLE, K, D, np.float32(0)
    return lens_loops.POLYNOMIAL, K, D, _limit(camera)


def _limit(camera: CameraModel) -> np.float32:
    """Cosine of the largest angle to the axis that the camera's image holds, with a little room."""
    u, v = np.meshgrid(
        np.linspace(-0.5, camera.width - 0.5, 33), np.linspace(-0.5, camera.height - 0.5, 33)
    )
    rays = camera.without_rotation().lift(np.stack([u, v], axis=-1))
    cosine = 1 / np.linalg.norm(rays, axis=-1)
    if not np.isfinite(cosine).any():
        return np.float32(0.0)
    return np.float32(max(0.01, float(np.nanmin(cosine)) * 0.98))
