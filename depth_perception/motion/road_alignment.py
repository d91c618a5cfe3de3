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
"""What a camera shows of the road in the vehicle's lane, from two of its images alone.

The later image's pixels that would see the lane are looked up in the earlier image by the plane
and the camera's motion; the plane that explains them best is found by Gauss-Newton on grey values,
coarse to fine. Asphalt has few points to follow, but plenty of faint texture, of which this takes
all. Source: direct alignment by a plane (inverse depth of a ray r is m . r, three unknowns).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.transforms import Matrix
from depth_perception.motion.rig_motion import turn
from depth_perception.motion.road import on_path

NEAR_ENOUGH = 14.0
"""Road is looked at up to so far from the camera, m; it begins at `road.NEAR`."""
HALF_WIDTH = 1.5
MOST_PIXELS = 3000
FEWEST_PIXELS = 250
BLURS = (4.0, 2.0, 1.0)
"""Images are smoothed by so many pixels (standard deviation), from coarse to fine."""
_ITERATIONS = 6
_BACKGROUND = 12.0
"""Brightness that changes over more than this many pixels is left out, px: exposure, shadow."""
PIXELS_ALIKE = 25.0
"""So many neighbouring pixels err together: smoothing, compression, and a road that is no plane."""
MIN_CORRELATION = 0.6
"""Below, the two images do not show the same plane."""
MIN_TEXTURE = 0.6
"""Grey values (standard deviation) below which there is nothing to align."""
TILT_SIGMA = np.radians(1.5)
FACTOR_SIGMA = 0.07
"""What is expected of the plane before it is looked at: its slope, rad, and ln of its height over
the length of the way. Without it, markings are taken for one another."""
TURN_SIGMA = np.radians(0.2)
WAY_SIGMA = 0.025
"""The same of the motion: its rotation, rad, and its translation, over the way. A mounting
that is wrong by a degree gives it another direction."""
LOOSENED = 3.0
"""In the end all of these count so much wider."""
FARTHEST = 3.0
"""A plane that is farther off, in those deviations, is not the road."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """The plane that explains two images.

    Attributes:
        plane: (3,) its product with a ray of the later image (third component 1) is 1/depth, 1/m.
        motion: 4x4, the motion that goes with it.
        information: (9, 9) of the plane, and of rotation (on the left) and translation of the
            motion, by the images alone.
        gradient: (9,) there.
        correlation: Of the two images' pixels, by that plane.
    """

    plane: NDArray[np.float64]
    motion: Matrix
    information: NDArray[np.float64]
    gradient: NDArray[np.float64]
    correlation: float


def lane_pixels(
    grid: CameraModel,
    mask: NDArray[np.bool_],
    T_base_camera: Matrix,
    ground: GroundPlane,
    curvature: float,
) -> NDArray[np.intp]:
    """Return the pixels (n, 2) of (u, v) that would see the lane, thinned to `MOST_PIXELS`.

    Args:
        grid: The camera.
        mask: (h, w), true where its own body or nothing is seen.
        T_base_camera: 4x4, the mounting.
        ground: Where the road is thought to be.
        curvature: Of the vehicle's path, 1/m; positive to the left.
    """
    lane = on_path(
        grid.rays().astype(np.float32), T_base_camera, ground, curvature, HALF_WIDTH, NEAR_ENOUGH
    )
    rows, columns = np.nonzero(lane & ~mask)
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), MOST_PIXELS)).astype(np.intp)
    return np.stack([columns[chosen], rows[chosen]], axis=1)


def align(
    past: NDArray[np.uint8],
    now: NDArray[np.uint8],
    grid: CameraModel,
    pixels: NDArray[np.intp],
    motion: Matrix,
    plane: NDArray[np.float64],
) -> Alignment | None:
    """Find the plane.

    Args:
        past: (h, w) grey, the earlier image.
        now: (h, w) grey, the later one.
        grid: The camera of both.
        pixels: (n, 2) of the later image that may show the plane, see `lane_pixels`.
        motion: 4x4, maps points of the camera at the later image into it at the earlier.
        plane: (3,) where to begin.

    Returns:
        The best plane; None where the images do not show one.
    """
    if len(pixels) < FEWEST_PIXELS:
        return None
    rays = grid.lift(pixels.astype(np.float64))
    start, found = plane, plane
    begun = motion
    hold = np.zeros((9, 9))
    hold[:3, :3] = _expected(plane)
    hold[3:6, 3:6] = np.eye(3) / TURN_SIGMA**2
    hold[6:, 6:] = np.eye(3) / (WAY_SIGMA * float(np.linalg.norm(motion[:3, 3]))) ** 2
    for blur in BLURS:
        one, other = _banded(past, blur), _banded(now, blur)
        wanted = other[pixels[:, 1], pixels[:, 0]].astype(np.float64)
        # Close to it the images alone are to decide.
        held = hold if blur != BLURS[-1] else hold / LOOSENED**2
        slopes_x = np.asarray(cv2.Sobel(one, cv2.CV_32F, 1, 0, scale=1 / 8), np.float32)
        slopes_y = np.asarray(cv2.Sobel(one, cv2.CV_32F, 0, 1, scale=1 / 8), np.float32)
        for _ in range(_ITERATIONS):
            terms = _terms(one, slopes_x, slopes_y, grid, rays, wanted, motion, found)
            if terms is None:
                return None
            residual, J, weight, correlation, _ = terms
            weighted = J * (weight / _spread(residual, weight) / PIXELS_ALIKE)[:, None]
            off = np.concatenate(
                [
                    found - start,
                    cv2.Rodrigues(motion[:3, :3] @ begun[:3, :3].T)[0][:, 0],
                    motion[:3, 3] - begun[:3, 3],
                ]
            )
            step = -np.linalg.solve(weighted.T @ J + held, weighted.T @ residual + held @ off)
            found = found + step[:3]
            motion = _stepped(motion, step[3:])
            if np.abs(rays @ step[:3]).max() < 1e-4 * np.abs(rays @ found).max():
                break
    terms = _terms(one, slopes_x, slopes_y, grid, rays, wanted, motion, found)
    if terms is None:
        return None
    residual, J, weight, correlation, texture = terms
    if correlation < MIN_CORRELATION or texture < MIN_TEXTURE:
        return None
    if (found - start) @ hold[:3, :3] @ (found - start) > FARTHEST**2:
        return None
    weight = weight / _spread(residual, weight) / PIXELS_ALIKE
    weighted = J * weight[:, None]
    return Alignment(found, motion, weighted.T @ J, weighted.T @ residual, correlation)


def _banded(image: NDArray[np.uint8], blur: float) -> NDArray[np.float32]:
    """Return the image smoothed, without what changes slowly."""
    fine = cv2.GaussianBlur(image.astype(np.float32), (0, 0), blur)
    return np.asarray(fine - cv2.GaussianBlur(fine, (0, 0), _BACKGROUND), dtype=np.float32)


def _stepped(motion: Matrix, step: NDArray[np.float64]) -> Matrix:
    """Apply a small rotation and translation."""
    out = motion.copy()
    out[:3, :3] = turn(step[:3]) @ motion[:3, :3]
    out[:3, 3] += step[3:]
    return out


def _expected(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Information (3, 3) about the plane before it is looked at."""
    length = float(np.linalg.norm(plane))
    along = np.outer(plane, plane) / length**2
    across = np.eye(3) - along
    return np.asarray((along / FACTOR_SIGMA**2 + across / TILT_SIGMA**2) / length**2)


def _spread(residual: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """Variance of grey values that agree, at least that of rounding and compression."""
    return max(float(np.sum(weight * residual**2) / np.sum(weight)), 0.05)


def _terms(
    one: NDArray[np.float32],
    slopes_x: NDArray[np.float32],
    slopes_y: NDArray[np.float32],
    grid: CameraModel,
    rays: NDArray[np.float64],
    wanted: NDArray[np.float64],
    motion: Matrix,
    plane: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float, float] | None:
    """Residuals (n,), slopes (n, 9), robust weights, correlation and texture; of what is seen."""
    inverse_depth = rays @ plane
    turned = rays @ motion[:3, :3].T
    points = turned + inverse_depth[:, None] * motion[:3, 3]
    uv = grid.project(points)
    inside = (uv[:, 0] > 1) & (uv[:, 0] < grid.width - 2) & (uv[:, 1] > 1)
    inside &= (uv[:, 1] < grid.height - 2) & (inverse_depth > 0)
    if inside.sum() < FEWEST_PIXELS:
        return None
    rays, turned, points, uv = (item[inside] for item in (rays, turned, points, uv))
    inverse_depth = inverse_depth[inside]
    at = uv.astype(np.float32)
    seen, gx, gy = (
        cv2.remap(item, at[:, 0], at[:, 1], cv2.INTER_LINEAR)[:, 0].astype(np.float64)
        for item in (one, slopes_x, slopes_y)
    )
    other = wanted[inside]
    texture = float(min(seen.std(), other.std()))
    if texture < 1e-3:
        return None
    correlation = float(np.corrcoef(seen, other)[0, 1])
    gain = float(np.clip((seen @ other) / (seen @ seen), 0.5, 2.0))
    # How a pixel moves with its point, for any lens.
    step = 1e-4 * np.linalg.norm(points, axis=1, keepdims=True)
    along = np.empty((len(points), 3))
    for k in range(3):
        near = points.copy()
        near[:, k] += step[:, 0]
        shift = (grid.project(near) - uv) / step
        along[:, k] = gx * shift[:, 0] + gy * shift[:, 1]
    residual = gain * seen - other
    J = np.empty((len(points), 9))
    J[:, :3] = (along @ motion[:3, 3])[:, None] * rays
    J[:, 3:6] = np.cross(turned, along)  # along . (w x r) = w . (r x along)
    J[:, 6:] = along * inverse_depth[:, None]
    J *= gain
    good = np.isfinite(J).all(axis=1) & np.isfinite(residual)
    width = max(2.5 * 1.48 * float(np.median(np.abs(residual[good]))), 0.5)
    weight = np.where(good, 1 / (1 + np.square(residual / width)) ** 2, 0.0)
    return np.where(good, residual, 0), np.where(good[:, None], J, 0), weight, correlation, texture
