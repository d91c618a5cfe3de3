"""Where the cameras are mounted, from ``/tf_static`` and ``/tf``.

tf2_ros does the listening where it is installed, as on a robot; elsewhere two subscriptions fill a
`TransformTree`. Both give the same matrix to the last digit or two: tf2 normalizes quaternions and
chains them in C++. Look-ups never wait: a transform that is not there yet is a `TransformError`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from rclpy.node import Node
from rclpy.time import Time

from depth_perception.errors import TransformError
from depth_perception.geometry.transforms import Matrix, TransformTree
from depth_perception.messages.transforms import decode_transform
from depth_perception.ros.messages import message_class
from depth_perception.ros.qos import LATCHED, TRANSFORMS

try:
    import tf2_ros
except ImportError:
    tf2_ros = None
try:
    from tf_transformations import quaternion_matrix
except ImportError:
    quaternion_matrix = None


class Extrinsics(Protocol):
    """Looks up mountings."""

    def lookup(self, target: str, source: str) -> Matrix:
        """Return T_target_source as it is now; raise `TransformError` where there is none."""

    def close(self) -> None:
        """Listen no more."""


def make_extrinsics(node: Node, log: Callable[[str], None]) -> Extrinsics:
    """Listen to transforms by tf2_ros where it is installed, else by own subscriptions."""
    return TopicExtrinsics(node, log) if tf2_ros is None else Tf2Extrinsics(node)


def transform_matrix(message: Any) -> tuple[str, str, Matrix]:
    """Read a TransformStamped: (parent, child, T_parent_child).

    tf_transformations wraps the transforms3d that `decode_transform` uses: the bits are the same.

    Raises:
        TransformError: A number is not finite, or the quaternion has no length.
    """
    parent, child, T = decode_transform(message)
    if quaternion_matrix is not None:
        q = message.transform.rotation
        T[:3, :3] = np.asarray(quaternion_matrix([q.x, q.y, q.z, q.w]))[:3, :3]
    return parent, child, T


class Tf2Extrinsics:
    """Extrinsics from a tf2 buffer."""

    def __init__(self, node: Node) -> None:
        """Start listening; callbacks run in the node's own executor."""
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node, spin_thread=False)

    def lookup(self, target: str, source: str) -> Matrix:
        """Return T_target_source as it is now; raise `TransformError` where there is none."""
        target, source = target.lstrip("/"), source.lstrip("/")
        try:
            return transform_matrix(self._buffer.lookup_transform(target, source, Time()))[2]
        except (tf2_ros.TransformException, ValueError) as error:
            raise TransformError(
                f"TF has no transform from '{target}' to '{source}' ({error})",
                fix="publish it on /tf_static (robot_state_publisher or"
                " static_transform_publisher), or name the right base frame with base_frame",
            ) from None

    def close(self) -> None:
        """Listen no more."""
        self._listener.unregister()


class TopicExtrinsics:
    """Extrinsics from own subscriptions to ``/tf_static`` and ``/tf``."""

    def __init__(self, node: Node, log: Callable[[str], None]) -> None:
        """Subscribe; ``log`` gets what is wrong with a transform, each once."""
        self._tree = TransformTree()
        self._lock = threading.Lock()
        self._arrived: dict[str, Any] = {}
        self._log = log
        self._logged: set[str] = set()
        TFMessage = message_class("tf2_msgs/msg/TFMessage")
        self._node = node
        self._subscriptions = [
            node.create_subscription(TFMessage, "/tf_static", self._store, LATCHED),
            node.create_subscription(TFMessage, "/tf", self._store, TRANSFORMS),
        ]

    def close(self) -> None:
        """Listen no more."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def lookup(self, target: str, source: str) -> Matrix:
        """Return T_target_source as it is now; raise `TransformError` where there is none."""
        with self._lock:
            arrived, self._arrived = self._arrived, {}
            for message in arrived.values():
                try:
                    self._tree.set(*transform_matrix(message))
                except TransformError as error:
                    if str(error) not in self._logged:
                        self._logged.add(str(error))
                        self._log(str(error))
            return self._tree.lookup(target, source)

    def _store(self, message: Any) -> None:
        # /tf may bring thousands of transforms a second; only the latest of each frame is read.
        with self._lock:
            for transform in message.transforms:
                self._arrived[transform.child_frame_id] = transform
