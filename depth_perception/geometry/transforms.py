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

"""Rigid transforms as 4x4 matrices; a tree of them is in `transform_tree`.

``T_a_b`` maps points of frame b into frame a. Quaternions are (x, y, z, w), as ROS writes them.
The arithmetic is transforms3d's, which tf_transformations wraps: both give the same bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from transforms3d import quaternions

from depth_perception.errors import TransformError

Matrix = NDArray[np.float64]


OPTICAL_AXES = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""R_base_optical of a camera that looks ahead (REP 103): its z is x of the base, its x is -y, its y
is -z."""


def matrix_from(translation: object, quaternion: object, name: str = "transform") -> Matrix:
    """Build a 4x4 transform from a translation (3, metres) and a quaternion (x, y, z, w).

    Raises:
        TransformError: A number is not finite, or the quaternion has no length.
    """
    t = np.asarray(translation, dtype=np.float64)
    q = np.asarray(quaternion, dtype=np.float64)
    with np.errstate(over="ignore"):  # infinite is too long, too
        length = float(np.linalg.norm(q))
    if not (np.isfinite(t).all() and np.isfinite(q).all()) or abs(length - 1) > 0.1:
        raise TransformError(
            f"{name}: translation {t.tolist()}, quaternion (x, y, z, w) {q.tolist()}",
            expected="finite numbers and a quaternion of length 1",
            fix="correct the publisher of this transform",
        )
    T = np.eye(4)
    T[:3, :3] = quaternions.quat2mat([q[3], q[0], q[1], q[2]])
    T[:3, 3] = t
    return T


def quaternion_of(T: Matrix) -> NDArray[np.float64]:
    """Return the quaternion (x, y, z, w) of a transform's rotation."""
    w, x, y, z = quaternions.mat2quat(np.asarray(T)[:3, :3])
    return np.array([x, y, z, w])


def rotation_of_angles(roll: float, pitch: float, yaw: float) -> Matrix:
    """Build a rotation (3, 3) about x, then y, then z of the fixed frame, rad (REP 103)."""
    (cr, sr), (cp, sp), (cy, sy) = ((np.cos(a), np.sin(a)) for a in (roll, pitch, yaw))
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cr, -sr], [0.0, sr, cr]])
    about_y = np.array([[cp, 0.0, sp], [0.0, 1.0, 0.0], [-sp, 0.0, cp]])
    about_z = np.array([[cy, -sy, 0.0], [sy, cy, 0.0], [0.0, 0.0, 1.0]])
    return np.asarray(about_z @ about_y @ about_x)


def inverse(T: Matrix) -> Matrix:
    """Invert a rigid transform without a matrix inversion."""
    out = np.zeros((4, 4))
    out[3, 3] = 1.0
    out[:3, :3] = T[:3, :3].T
    out[:3, 3] = -T[:3, :3].T @ T[:3, 3]
    return out


def transform_points(T: Matrix, points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Map (..., 3) points through a 4x4 transform."""
    return np.asarray(points, dtype=np.float64) @ T[:3, :3].T + T[:3, 3]


def interpolate(T0: Matrix, T1: Matrix, fraction: float) -> Matrix:
    """Move from T0 (fraction 0) to T1 (fraction 1): straight line, constant rotation rate."""
    relative = T0[:3, :3].T @ T1[:3, :3]
    axis, angle = quaternions.quat2axangle(quaternions.mat2quat(relative))
    out = np.eye(4)
    turn = quaternions.quat2mat(quaternions.axangle2quat(axis, angle * fraction))
    out[:3, :3] = T0[:3, :3] @ turn
    out[:3, 3] = (1 - fraction) * T0[:3, 3] + fraction * T1[:3, 3]
    return out
