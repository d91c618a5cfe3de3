"""Where the cameras are mounted, from ``/tf_static`` and ``/tf``.

tf2_ros does the listening where it is installed, as on a robot; elsewhere two subscriptions bring
the transforms to the `RigTracker`. Both give the same matrix to the last digit or two: tf2
normalizes quaternions and chains them in C++. Look-ups never wait: a transform that is not there
yet is a `TransformError`.
"""

from __future__ import annotations

from functools import partial

from rclpy.node import Node
from rclpy.time import Time

from depth_perception.errors import TransformError
from depth_perception.geometry.transforms import Matrix
from depth_perception.messages.transforms import decode_transform
from depth_perception.rig.tracker import RigTracker
from depth_perception.ros.messages import message_class
from depth_perception.ros.qos import LATCHED, TRANSFORMS

try:
    import tf2_ros
except ImportError:
    tf2_ros = None


class Tf2Extrinsics:
    """`rig.tracker.Extrinsics` from a tf2 buffer."""

    def __init__(self, node: Node) -> None:
        """Start listening; callbacks run in the node's own executor."""
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node, spin_thread=False)

    def lookup(self, target: str, source: str) -> Matrix:
        """Return T_target_source as it is now; raise `TransformError` where there is none."""
        target, source = target.lstrip("/"), source.lstrip("/")
        try:
            return decode_transform(self._buffer.lookup_transform(target, source, Time()))[2]
        except (tf2_ros.TransformException, ValueError) as error:
            raise TransformError(
                f"TF has no transform from '{target}' to '{source}' ({error})",
                fix="publish it on /tf_static (robot_state_publisher or"
                " static_transform_publisher), or name the right base frame with base_frame",
            ) from None

    def close(self) -> None:
        """Listen no more."""
        self._listener.unregister()


def tf2_extrinsics(node: Node) -> Tf2Extrinsics | None:
    """Listen by tf2_ros where it is installed; None where it is not."""
    return None if tf2_ros is None else Tf2Extrinsics(node)


class TransformSubscriptions:
    """Own subscriptions to ``/tf_static`` and ``/tf``."""

    def __init__(self, node: Node, rig: RigTracker) -> None:
        """Subscribe; the tracker gets every message."""
        TFMessage = message_class("tf2_msgs/msg/TFMessage")
        self._node = node
        self._subscriptions = [
            node.create_subscription(
                TFMessage, topic, partial(rig.add_transforms, topic=topic), profile
            )
            for topic, profile in (("/tf_static", LATCHED), ("/tf", TRANSFORMS))
        ]

    def close(self) -> None:
        """Listen no more."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()
