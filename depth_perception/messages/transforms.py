"""Transforms and poses between messages and 4x4 matrices."""

from __future__ import annotations

from typing import Any

from depth_perception.geometry.transforms import Matrix, matrix_from


def decode_transform(message: Any) -> tuple[str, str, Matrix]:
    """Read a TransformStamped: (parent, child, T_parent_child)."""
    parent, child = message.header.frame_id.lstrip("/"), message.child_frame_id.lstrip("/")
    t, q = message.transform.translation, message.transform.rotation
    name = f"transform {parent} -> {child}"
    return parent, child, matrix_from((t.x, t.y, t.z), (q.x, q.y, q.z, q.w), name)


def decode_pose(pose: Any, name: str = "pose") -> Matrix:
    """Read a ``geometry_msgs/Pose`` as the 4x4 transform that maps body points to its frame."""
    p, q = pose.position, pose.orientation
    return matrix_from((p.x, p.y, p.z), (q.x, q.y, q.z, q.w), name)
