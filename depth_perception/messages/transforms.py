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

"""Transforms and poses between messages and 4x4 matrices."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import TransformError
from depth_perception.geometry.transforms import Matrix, matrix_from, quaternion_of
from depth_perception.messages.sensors import MessageTypes, header


def decode_transform(message: Any) -> tuple[str, str, Matrix]:
    """Read a TransformStamped: (parent, child, T_parent_child)."""
    parent, child = message.header.frame_id.lstrip("/"), message.child_frame_id.lstrip("/")
    t, q = message.transform.translation, message.transform.rotation
    name = f"transform {parent} -> {child}"
    return parent, child, matrix_from((t.x, t.y, t.z), (q.x, q.y, q.z, q.w), name)


def decode_edge(message: Any) -> tuple[str, str, Matrix]:
    """Read a TransformStamped as part of a tree: (parent, child, T_parent_child).

    Raises:
        TransformError: It is no rigid motion, or does not lead from one frame to another.
    """
    parent, child, T = decode_transform(message)
    if not parent or not child or parent == child:
        raise TransformError(
            f"transform '{parent}' -> '{child}'",
            expected="two different frames, each with a name",
            fix="set header.frame_id and child_frame_id in the publisher of this transform",
        )
    return parent, child, T


def transform_bits(transform: Any) -> bytes:
    """Return the value of a ``geometry_msgs/Transform`` as bytes, in which NaN is like NaN."""
    t, q = transform.translation, transform.rotation
    return struct.pack("7d", t.x, t.y, t.z, q.x, q.y, q.z, q.w)


def decode_pose(pose: Any, name: str = "pose") -> Matrix:
    """Read a ``geometry_msgs/Pose`` as the 4x4 transform that maps body points to its frame."""
    p, q = pose.position, pose.orientation
    return matrix_from((p.x, p.y, p.z), (q.x, q.y, q.z, q.w), name)


def of_another_frame(
    topic: str, child: str, base_frame: str, error: TransformError
) -> TransformError:
    """Make the error of odometry of a frame that has no mounting on the vehicle."""
    return TransformError(
        f"{topic}: its poses are of child_frame_id '{child}', not of the base frame"
        f" '{base_frame}', and {error.problem}",
        expected=error.expected,
        fix=f"publish the transform between '{base_frame}' and '{child}' on /tf_static, or let"
        f" child_frame_id name the frame that the poses are of, or set base_frame",
    )


def transform_message(
    types: MessageTypes, stamp: int, parent: str, child: str, T_parent_child: Matrix
) -> Any:
    """Build a ``geometry_msgs/TransformStamped`` of a 4x4 matrix; the stamp is in nanoseconds."""
    x, y, z = (float(value) for value in T_parent_child[:3, 3])
    qx, qy, qz, qw = (float(value) for value in quaternion_of(T_parent_child))
    return types.new(
        "geometry_msgs/msg/TransformStamped",
        header=header(types, stamp, parent),
        child_frame_id=child,
        transform=types.new(
            "geometry_msgs/msg/Transform",
            translation=types.new("geometry_msgs/msg/Vector3", x=x, y=y, z=z),
            rotation=types.new("geometry_msgs/msg/Quaternion", x=qx, y=qy, z=qz, w=qw),
        ),
    )


def twist_message(
    types: MessageTypes,
    stamp: int,
    frame_id: str,
    velocity: NDArray[np.float64],
    covariance: NDArray[np.float64],
) -> Any:
    """Build a geometry_msgs/TwistWithCovarianceStamped.

    Args:
        types: What makes the messages.
        stamp: ns.
        frame_id: Frame that moves, and in which its velocity is said.
        velocity: (6,) linear (m/s), then angular (rad/s).
        covariance: (6, 6) of that.
    """
    linear, angular = (
        types.new("geometry_msgs/msg/Vector3", x=float(x), y=float(y), z=float(z))
        for x, y, z in (velocity[:3], velocity[3:])
    )
    return types.new(
        "geometry_msgs/msg/TwistWithCovarianceStamped",
        header=header(types, stamp, frame_id),
        twist=types.new(
            "geometry_msgs/msg/TwistWithCovariance",
            twist=types.new("geometry_msgs/msg/Twist", linear=linear, angular=angular),
            covariance=types.array(np.ascontiguousarray(covariance, np.float64).reshape(-1)),
        ),
    )
