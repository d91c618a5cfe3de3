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
residual is the first-order distance of both rays from the plane (Sampson's).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.transforms import Matrix, interpolate, inverse
from depth_perception.motion.odometry import MotionPrior

FINE = 0.3
"""Standard deviation of a followed point, px."""
_COARSE = (12.0, 6.0, 3.0, 1.5, 0.8, 0.5, 0.3, 0.3, 0.3, 0.3)
"""Widths of the robust weight, px, from the first iteration to the last."""
MIN_POINTS = 12
MIN_INLIERS = 0.35
"""With fewer of the points in agreement nothing is known."""
STANDING_PX = 0.35
"""Points that move by less than this, rotation undone, tell of no way."""
_STEP = 1e-6
_SAME_TIME = 1e-3
_HERE = np.eye(4)


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


def solve_rig_motion(pairs: Sequence[PointPairs], prior: MotionPrior) -> RigMotion | None:
    """Find the motion that the points of all cameras agree on, near to a prior.

    Args:
        pairs: Of each camera.
        prior: Where to begin, and how far from there the result may lie.

    Returns:
        The motion; None where the points are too few or do not agree on one.
    """
    used = [_Pairs(item) for item in pairs if len(item.first)]
    count = sum(len(item.weight) for item in used)
    if count < MIN_POINTS:
        return None
    T = prior.T_to_from.copy()
    T[:3, :3] = _align_rotation(used, T[:3, :3])
    flow = np.concatenate([item.flow(T[:3, :3]) for item in used])
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
    information = np.zeros((6, 6))
    for width in _COARSE:
        information, gradient = _prior_terms(T, start, length, prior)
        for item in used:
            residual, slopes = item.residuals(T)
            weight = 1 / (1 + np.square(residual / width)) ** 2 / FINE**2
            information += (slopes * weight[:, None]).T @ slopes
            gradient += (slopes * weight[:, None]).T @ residual
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
    final = np.concatenate([item.residuals(T)[0] for item in used])
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


def _prior_terms(
    T: Matrix, start: Matrix, length: float, prior: MotionPrior
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Information (6, 6) and gradient (6,) of a prior at T."""
    information, gradient = np.zeros((6, 6)), np.zeros(6)
    difference = cv2.Rodrigues(T[:3, :3] @ start[:3, :3].T)[0][:, 0]
    weight = 1 / prior.rotation_sigma**2
    information[3:, 3:] += weight * np.eye(3)
    gradient[3:] += weight * difference
    t, t0 = T[:3, 3], start[:3, 3]
    along = t / max(float(np.linalg.norm(t)), 1e-9)
    across = np.eye(3) - np.outer(along, along)
    weights = np.outer(along, along) / (prior.length_sigma * length) ** 2
    weights += across / (np.tan(min(prior.direction_sigma, 1.4)) * length) ** 2
    # A twist's rotation turns the translation, too; the prior holds the translation itself.
    slopes = np.concatenate([np.eye(3), -_cross(t)], axis=1)
    information += slopes.T @ weights @ slopes
    gradient += slopes.T @ weights @ (t - t0)
    return information, gradient


def _cross(v: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]], dtype=np.float64)


class _Pairs:
    """Unit rays of one camera's points, with what the solver asks of them."""

    def __init__(self, pairs: PointPairs) -> None:
        self.first = pairs.first / np.linalg.norm(pairs.first, axis=1, keepdims=True)
        self.second = pairs.second / np.linalg.norm(pairs.second, axis=1, keepdims=True)
        self.C, self.C_inverse = pairs.T_base_camera, inverse(pairs.T_base_camera)
        self.focal = pairs.focal
        self.share = pairs.share
        self.weight = np.ones(len(self.first))

    def essential(self, T: Matrix) -> NDArray[np.float64]:
        """Return E of this camera for a motion of the base frame, unit translation."""
        if abs(self.share - 1) > _SAME_TIME:
            T = interpolate(_HERE, T, self.share)
        M = self.C_inverse @ T @ self.C
        way = M[:3, 3] / max(float(np.linalg.norm(M[:3, 3])), 1e-9)
        return _cross(way) @ M[:3, :3]

    def residuals(self, T: Matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return distances from the epipolar planes (n,), px, and slopes by a twist (n, 6)."""
        E = self.essential(T)
        a, b = self.first @ E.T, self.second @ E
        top = (a * self.second).sum(axis=1)
        # Only what lies across a ray is an error of it.
        spread = (a * a).sum(axis=1) + (b * b).sum(axis=1) - 2 * top**2
        scale = self.focal / np.sqrt(np.maximum(spread, 1e-6))
        slopes = np.empty((len(top), 6))
        for k in range(6):
            twist = np.zeros(6)
            twist[k] = _STEP
            change = (self.essential(_moved(T, twist)) - E) / _STEP
            slopes[:, k] = ((self.first @ change.T) * self.second).sum(axis=1) * scale
        return top * scale, slopes

    def flow(self, R_base: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far points have moved, rotation undone, px (n,)."""
        R = self.C_inverse[:3, :3] @ R_base @ self.C[:3, :3]
        return np.asarray(np.linalg.norm(self.second - self.first @ R.T, axis=1) * self.focal)


def _align_rotation(used: Sequence[_Pairs], start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Find the rotation that most of the rays share, as if there were no way between.

    Only used to tell standing from driving, and as a start: where the vehicle drives, what is far
    decides.
    """
    first = np.concatenate([item.first @ item.C[:3, :3].T for item in used])
    second = np.concatenate([item.second @ item.C[:3, :3].T for item in used])
    focal = np.concatenate([np.full(len(item.first), item.focal) for item in used])
    best, best_cost = start, np.inf
    for begin in (start, np.eye(3)):
        R = begin
        for width in (20.0, 8.0, 3.0, 1.0, 0.5):
            turned = first @ R.T
            error = np.linalg.norm(second - turned, axis=1) * focal
            weight = 1 / (1 + np.square(error / width)) ** 2
            # Small-angle least squares: second - turned = w x turned.
            moment = (weight[:, None] * np.cross(turned, second)).sum(axis=0)
            inertia = (weight * (turned**2).sum(axis=1)).sum() * np.eye(3)
            inertia -= (weight[:, None, None] * turned[:, :, None] * turned[:, None, :]).sum(axis=0)
            R = turn(np.linalg.solve(inertia + 1e-9 * np.eye(3), moment)) @ R
        error = np.linalg.norm(second - first @ R.T, axis=1) * focal
        cost = float(np.minimum(error, 5.0).sum())
        if cost < best_cost:
            best, best_cost = R, cost
    return best
