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

"""The motion of the rig between two instants, from points that its cameras saw at both.

Each pair of rays must lie in one plane with the way of its camera (epipolar constraint). All
cameras together give rotation and direction; how long the way was only a prior knows, or the road
(`road`). Robust: points on things that move by themselves are outvoted.

Source: Gauss-Newton with iteratively reweighted residuals, annealed from coarse to fine; the
residual is the first-order distance of both rays from the plane (Sampson's). The sums over the
points are compiled (`rig_motion_loops`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.transforms import Matrix
from depth_perception.motion.odometry import MotionPrior
from depth_perception.motion.rig_motion_loops import (
    epipolar_distances,
    epipolar_terms,
    prior_terms,
    ray_distances,
    rotation_terms,
    share_of_motion,
)

FINE = 0.3
"""Standard deviation of a followed point, px."""
_COARSE = (12.0, 6.0, 3.0, 1.5, 0.8, 0.5, 0.3, 0.3, 0.3, 0.3)
"""Widths of the robust weight, px, from the first iteration to the last."""
MIN_POINTS = 12
MIN_INLIERS = 0.35
"""With fewer of the points in agreement nothing is known."""
STANDING_PX = 0.35
"""Points that move by less than this, rotation undone, tell of no way."""
_SAME_TIME = 1e-3


@dataclass(frozen=True, eq=False)
class PointPairs:
    """What one camera saw at both instants.

    Attributes:
        T_base_camera: 4x4, its mounting.
        first: (n, 3) rays of the optical frame at the first instant.
        second: (n, 3) the same points' rays at the second.
        focal: Pixels per radian near the axis, px: what an angle is worth.
        share: Of the time of the motion, how much lies between this camera's two images.
    """

    T_base_camera: Matrix
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    focal: float
    share: float = 1.0


@dataclass(frozen=True, eq=False)
class RigMotion:
    """The motion of the base frame between two instants.

    Attributes:
        T_to_from: 4x4, maps points of the base frame at the first instant into that at the second.
        covariance: (6, 6) of translation (m) and rotation (rad), as a twist on the left.
        inliers: Share of the points that agree with it.
        points: How many points there were.
        standing: The images show no way.
    """

    T_to_from: Matrix
    covariance: NDArray[np.float64]
    inliers: float
    points: int
    standing: bool = False


def turn(rotation: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the rotation matrix (3, 3) of a rotation vector (3,), rad."""
    return np.asarray(cv2.Rodrigues(np.asarray(rotation, dtype=np.float64))[0])


def part_of_motion(T: Matrix, share: float) -> Matrix:
    """Return a share of a motion: `transforms.interpolate` from standing, in a tenth of its time.

    Args:
        T: 4x4, by less than half a turn.
        share: Of its time; below 0 and above 1, too.
    """
    out = np.eye(4)
    out[:3, :3], out[:3, 3], _ = share_of_motion(T[:3, :3], T[:3, 3], float(share))
    return out


def solve_rig_motion(pairs: Sequence[PointPairs], prior: MotionPrior) -> RigMotion | None:
    """Find the motion that the points of all cameras agree on, near to a prior.

    Args:
        pairs: Of each camera.
        prior: Where to begin, and how far from there the result may lie.

    Returns:
        The motion; None where the points are too few or do not agree on one.
    """
    used = [item for item in pairs if len(item.first)]
    count = sum(len(item.first) for item in used)
    if count < MIN_POINTS:
        return None
    points = _Points(used)
    T = prior.T_to_from.copy()
    T[:3, :3], flow = _align_rotation(points, T[:3, :3])
    if _still(flow):
        T[:3, 3] = 0
        agree = float((flow < 3 * STANDING_PX).mean())
        covariance = np.diag([1e-4] * 3 + [1e-8] * 3)
        return RigMotion(T, covariance, agree, count, standing=True)
    start = prior.T_to_from
    length = max(float(np.linalg.norm(start[:3, 3])), 1e-3)
    if np.linalg.norm(T[:3, 3]) < 1e-3:
        T[:3, 3] = [-1e-3, 0, 0]  # vehicles go ahead; the points say it better
        length = 1e-3
    direction_sigma = min(prior.direction_sigma, 1.4)
    sigmas = float(prior.rotation_sigma), float(prior.length_sigma), float(direction_sigma)
    information, gradient = np.empty((6, 6)), np.empty(6)
    for width in _COARSE:
        prior_terms(T, start, length, *sigmas, information, gradient)
        epipolar_terms(T, *points.optical, width, FINE, information, gradient)
        step = np.asarray(np.linalg.solve(information + 1e-9 * np.eye(6), -gradient), np.float64)
        # The first steps, from far away, may not run off.
        turned, way = float(np.linalg.norm(step[3:])), float(np.linalg.norm(step[:3]))
        # A way that shrank past nothing would come out as one that leads back.
        shrinks = float(step[:3] @ T[:3, 3]) < 0
        reach = 0.5 * (max(float(np.linalg.norm(T[:3, 3])), 1e-3) if shrinks else length)
        step /= max(1.0, turned / 0.05, way / reach)
        T = _moved(T, step)
        if np.abs(step).max() < 1e-7 and width == _COARSE[-1]:
            break
    final = np.empty(count)
    epipolar_distances(T, *points.optical, final)
    inliers = float((np.abs(final) < 3 * FINE).mean())
    if inliers < MIN_INLIERS:
        return None
    covariance = np.asarray(np.linalg.inv(information), dtype=np.float64)
    return RigMotion(T, covariance, inliers, count)


def _still(flow: NDArray[np.float64]) -> bool:
    """Tell whether the points, rotation undone, show no way."""
    return bool(np.median(flow) < STANDING_PX and np.percentile(flow, 80) < 3 * STANDING_PX)


def _moved(T: Matrix, twist: NDArray[np.float64]) -> Matrix:
    """Apply a small twist (translation, rotation) on the left."""
    out = np.eye(4)
    R = turn(twist[3:])
    out[:3, :3] = R @ T[:3, :3]
    out[:3, 3] = R @ T[:3, 3] + twist[:3]
    return out


class _Points:
    """The points of all cameras, one camera after the other.

    Attributes:
        optical: What the loops of `rig_motion_loops` take: unit rays (n, 3) at both instants in
            the optical frames, where each camera's begin (m + 1,), mountings (m, 4, 4), pixels per
            radian (m,), shares of the time (m,).
        base: Unit rays (n, 3) at both instants along the axes of the base frame, and pixels per
            radian of each (n,).
    """

    def __init__(self, pairs: Sequence[PointPairs]) -> None:
        counts = [len(item.first) for item in pairs]
        first, second = (_unit([getattr(item, k) for item in pairs]) for k in ("first", "second"))
        mountings = np.stack([item.T_base_camera for item in pairs]).astype(np.float64)
        focals = np.array([item.focal for item in pairs], np.float64)
        shares = np.array([item.share for item in pairs], np.float64)
        shares[np.abs(shares - 1) <= _SAME_TIME] = 1.0
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self.optical = (first, second, starts, mountings, focals, shares)
        turned = np.empty_like(first), np.empty_like(second)
        for k, C in enumerate(mountings):
            at = slice(starts[k], starts[k + 1])
            for rays, out in zip((first, second), turned, strict=True):
                np.matmul(rays[at], C[:3, :3].T, out=out[at])
        self.base = (*turned, np.repeat(focals, counts))


def _unit(rays: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Rays of all cameras (n, 3), made to be of length 1."""
    out = np.concatenate(rays).astype(np.float64)
    out /= np.sqrt(np.einsum("ij,ij->i", out, out))[:, None]
    return out


def _align_rotation(
    points: _Points, start: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the rotation that most of the rays share, as if there were no way between.

    Only used to tell standing from driving, and as a start: where the vehicle drives, what is far
    decides.

    Returns:
        The rotation (3, 3), and how far the points have moved, px (n,), once it is undone.
    """
    first, second, focal = points.base
    inertia, moment = np.empty((3, 3)), np.empty(3)
    found = []
    for begin in (start, np.eye(3)):
        R = np.ascontiguousarray(begin)
        for width in (20.0, 8.0, 3.0, 1.0, 0.5):
            rotation_terms(R, first, second, focal, width, inertia, moment)
            R = turn(np.linalg.solve(inertia + 1e-9 * np.eye(3), moment)) @ R
        error = np.empty(len(focal))
        ray_distances(R, first, second, focal, error)
        found.append((float(np.minimum(error, 5.0).sum()), R, error))
    _, R, error = min(found, key=lambda item: item[0])
    return R, error
