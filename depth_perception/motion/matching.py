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
steps. Works on rays: pinholes, distorted lenses and fisheyes alike.

Sources: census transform (Zabih and Woodfill 1994); semi-global matching (Hirschmüller 2008); plane
sweep over several views (Collins 1996).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.transforms import Matrix
from depth_perception.motion import matching_loops as loops

SMALL_CHANGE = np.float32(20.0)
"""Cost of a change by one step from pixel to pixel, in quarters of a bit."""
LARGE_CHANGE = np.float32(120.0)
"""Cost of a larger one, where the image is smooth."""
MIN_STEPS, MAX_STEPS = 16, 96
STEP_PX = 1.5
"""One step of inverse depth moves no pixel by much more than this in any source, px."""
SUBPIXEL_SIGMA = 0.35
"""Standard deviation of a match, px."""


@dataclass(frozen=True, eq=False)
class Source:
    """Another image of the same things.

    Attributes:
        census: (H, W) uint32, see `matching_loops.census`.
        camera: Its model.
        T_source_reference: 4x4, from the reference camera's frame to this one's.
    """

    census: NDArray[np.uint32]
    camera: CameraModel
    T_source_reference: Matrix


@dataclass(frozen=True, eq=False)
class Match:
    """What matching found, before anything is judged.

    Attributes:
        inverse_depth: (h, w) float32, 1/m; NaN where it is out of range.
        ratio: (h, w) float32: least cost over the next best, 1 is no better at all.
        bits: (h, w) float32: bits of the census that differ.
        sensitivity: (h, w) float32: by how many pixels a match moves in the best source when
            inverse depth changes by 1/m.
        best_source: (h, w) uint8: index of that source.
        paths: (h, w, n) float32: the costs, for whoever asks about another depth.
        first: Inverse depth of the first step, 1/m.
        step: From one step to the next, 1/m.
    """

    inverse_depth: NDArray[np.float32]
    ratio: NDArray[np.float32]
    bits: NDArray[np.float32]
    sensitivity: NDArray[np.float32]
    best_source: NDArray[np.uint8]
    paths: NDArray[np.float32]
    first: np.float32
    step: np.float32

    def cost_ratio_at(self, inverse_depth: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compare a given inverse depth (h, w) with the best: its cost over the least.

        1 is as good as the best; infinite where it is not above zero, or out of range.
        """
        out = np.empty(inverse_depth.shape, np.float32)
        loops.cost_ratio_at(self.paths, self.first, self.step, inverse_depth, out)
        return out


def census_of(image: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return the census (h, w) of a grey image (h, w)."""
    out = np.empty(image.shape, dtype=np.uint32)
    loops.census(image, out)
    return out


def match(
    image: NDArray[np.uint8],
    census: NDArray[np.uint32],
    rays: NDArray[np.float32],
    sources: Sequence[Source],
    nearest: float,
) -> Match:
    """Match one image with its sources.

    Args:
        image: (h, w) uint8, grey.
        census: (h, w), of it.
        rays: (h, w, 3) float32, of its pixels, third component 1.
        sources: At least one.
        nearest: Nearest depth that is looked for, metres.

    Returns:
        The match of every pixel.
    """
    far = 1.0 / nearest
    moved = [
        _sensitivity(rays, source, np.full(census.shape, far / 4, np.float32)) for source in sources
    ]
    largest = max(float(np.nanpercentile(item, 95)) for item in moved)
    steps = int(np.clip(np.ceil(far * largest / STEP_PX), MIN_STEPS, MAX_STEPS))
    # One step more at the far end: a minimum at infinity is one that has two sides.
    step = np.float32(far / (steps - 2))
    first = np.float32(-step)
    shape = (*census.shape, steps)
    bits, seen = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
    for k, source in enumerate(sources):
        _compare(census, source, rays, first, step, k > 0, bits, seen)
    cost = np.empty(shape, np.float32)
    loops.mean_costs(bits, seen, cost)
    paths = np.zeros(shape, np.float32)
    for reverse in (False, True):
        loops.aggregate_rows(cost, image, SMALL_CHANGE, LARGE_CHANGE, paths, reverse)
        for slant in (-1, 0, 1):
            loops.aggregate_columns(cost, image, SMALL_CHANGE, LARGE_CHANGE, paths, reverse, slant)
    inverse_depth, ratio, differing = (np.empty(census.shape, np.float32) for _ in range(3))
    loops.pick(paths, cost, first, step, inverse_depth, ratio, differing)
    at = np.nan_to_num(inverse_depth)
    each = np.stack([_sensitivity(rays, source, at) for source in sources])
    best = np.nanargmax(np.where(np.isfinite(each), each, 0), axis=0)
    return Match(
        inverse_depth,
        ratio,
        differing,
        np.nanmax(np.where(np.isfinite(each), each, 0), axis=0).astype(np.float32),
        best.astype(np.uint8),
        paths,
        first,
        step,
    )


def _compare(
    census: NDArray[np.uint32],
    source: Source,
    rays: NDArray[np.float32],
    first: np.float32,
    step: np.float32,
    add: bool,
    bits: NDArray[np.uint8],
    seen: NDArray[np.uint8],
) -> None:
    """Add the costs of one source, see `matching_loops.compare_pinhole`."""
    camera = source.camera
    R = camera.R @ source.T_source_reference[:3, :3]
    t = camera.R @ source.T_source_reference[:3, 3]
    if camera.is_pinhole:
        M, m = (camera.K @ R).astype(np.float32), (camera.K @ t).astype(np.float32)
        loops.compare_pinhole(census, source.census, rays, M, m, first, step, add, bits, seen)
        return
    kind, K, D = _lens(camera)
    R, t = R.astype(np.float32), t.astype(np.float32)
    limit = _limit(camera)
    loops.compare_lens(
        census, source.census, rays, R, t, kind, K, D, limit, first, step, add, bits, seen
    )


def _lens(camera: CameraModel) -> tuple[int, NDArray[np.float32], NDArray[np.float32]]:
    """What the loops project with."""
    K = camera.K[[0, 0, 0, 1, 1], [0, 1, 2, 1, 2]].astype(np.float32)
    D = np.zeros(8, np.float32)
    D[: len(camera.D)] = camera.D
    if camera.distortion_model == "equidistant":
        return loops.EQUIDISTANT, K, D
    return (loops.PINHOLE if camera.is_pinhole else loops.POLYNOMIAL), K, D


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


def _sensitivity(
    rays: NDArray[np.float32], source: Source, inverse_depth: NDArray[np.float32]
) -> NDArray[np.float32]:
    """By how many pixels of the source a pixel moves for each 1/m of inverse depth, (h, w).

    Of the angle between the rays, by the source's focal length: near enough for every lens.
    """
    M = source.T_source_reference.astype(np.float32)
    at = rays @ M[:3, :3].T + inverse_depth[..., None] * M[:3, 3]
    square = (at * at).sum(axis=-1)
    along = at @ M[:3, 3]
    with np.errstate(invalid="ignore", divide="ignore"):
        across = np.sqrt(np.maximum(float(M[:3, 3] @ M[:3, 3]) - along**2 / square, 0))
        out = across / np.sqrt(square) * np.float32(source.camera.K[0, 0])
    if source.camera.distortion_model != "equidistant":
        # A pinhole's pixels are finer away from the axis.
        with np.errstate(invalid="ignore", divide="ignore"):
            out = np.where(at[..., 2] > 0, out * square / np.square(at[..., 2]), 0)
    return np.asarray(out, dtype=np.float32)
