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

"""The vehicle's velocity from its motion between two frame sets, with what is not known of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transforms3d import quaternions

from depth_perception.geometry.transforms import Matrix, inverse

POINT_AGREEMENT = 4.0
"""Variances of a motion by its points are so many times what independent errors would leave:
neighbours on one surface err together, and with them what moves by itself."""
_SMALL_ANGLE = 1e-6


@dataclass(frozen=True, eq=False)
class Twist:
    """Velocity of the base frame, in the base frame at present.

    Attributes:
        linear: (3,) m/s.
        angular: (3,) rad/s.
        covariance: (6, 6), of linear, then angular.
    """

    linear: NDArray[np.float64]
    angular: NDArray[np.float64]
    covariance: NDArray[np.float64]


def twist_of(
    T_now_last: Matrix,
    seconds: float,
    covariance: NDArray[np.float64],
    factor: float = 1.0,
    factor_sigma: float = 0.0,
) -> Twist:
    """Velocity that, kept for a time, makes a motion.

    Args:
        T_now_last: 4x4, maps points of the base frame at the last set into that of the present.
        seconds: Between the two.
        covariance: (6, 6) of that motion, of a twist on the left: translation (m), rotation (rad).
        factor: By how much the way is longer.
        factor_sigma: Relative standard deviation of that, which is then that of the way's length.

    Source: logarithm of a rigid motion (e.g. Barfoot 2017, 7.1.3); of the covariance the first
    order, since between two frame sets a vehicle turns little.
    """
    way, rotation = _logarithm(inverse(T_now_last))
    linear, angular = way * factor / seconds, rotation / seconds
    out = covariance * (POINT_AGREEMENT / seconds**2)
    out[:3] *= factor
    out[:, :3] *= factor
    length = float(np.linalg.norm(linear))
    if length > 0:
        # What the points leave open of the length is the prior's; the factor knows it better.
        along = linear / length
        across = np.eye(6)
        across[:3, :3] -= np.outer(along, along)
        out = across @ out @ across.T
        out[:3, :3] += np.outer(linear, linear) * factor_sigma**2
    return Twist(linear, angular, (out + out.T) / 2)


def _logarithm(T: Matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Translation (m) and rotation (rad) of the constant velocity that makes a motion."""
    axis, angle = quaternions.quat2axangle(quaternions.mat2quat(T[:3, :3]))
    angle = float((angle + np.pi) % (2 * np.pi) - np.pi)
    rotation = np.asarray(axis, np.float64) * angle
    x, y, z = rotation
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    bend = 1 / 12
    if abs(angle) > _SMALL_ANGLE:
        half = angle / 2
        bend = (1 - half / np.tan(half)) / angle**2
    return (np.eye(3) - 0.5 * cross + bend * cross @ cross) @ T[:3, 3], rotation
