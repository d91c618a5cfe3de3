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

"""tf2_ros, where it is installed and whole; look-ups in its buffer.

Parts of two installations mix easily (a workspace over another distribution, a wheel beside apt):
tf2_ros then imports or not, and fails at the first look-up. So it is tried before it is relied on;
where it does not work, the package's own buffer does, and a warning says why. A crash of mixed
binaries cannot be caught.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.time import Time

from depth_perception.errors import TransformError
from depth_perception.geometry.transforms import Matrix
from depth_perception.messages.transforms import decode_transform, transform_message
from depth_perception.ros.messages import RclpyTypes


def _import_tf2() -> tuple[Any, str]:
    """Import tf2_ros: the module, or None and why it fails; nothing where it is not installed."""
    try:
        import tf2_ros
    except ModuleNotFoundError as error:
        return None, "" if error.name == "tf2_ros" else _words(error)
    except Exception as error:  # a binary of another Python or another NumPy raises anything
        return None, _words(error)
    return tf2_ros, ""


def _words(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


tf2_ros, _fault = _import_tf2()


def _try_out() -> str:
    """Put one transform into a buffer and look it up; say what is wrong, or nothing."""
    expected = np.eye(4)
    expected[:3, 3] = 1.0, 2.0, 3.0
    message = transform_message(RclpyTypes(), 0, "parent", "child", expected)
    try:
        assert issubclass(tf2_ros.TransformException, Exception)
        buffer = tf2_ros.Buffer()
        buffer.set_transform_static(message, "depth_perception")
        found = decode_transform(buffer.lookup_transform("parent", "child", Time()))[2]
    except Exception as error:  # whatever a mixed installation raises
        return _words(error)
    return "" if np.allclose(found, expected) else "it looks up other transforms than were put in"


def tf2_extrinsics(node: Node) -> Tf2Extrinsics | None:
    """Listen by tf2_ros; None where it is not installed, or, with a warning, does not work."""
    fault = _fault
    if tf2_ros is not None:
        fault = _try_out()
        if not fault:
            try:
                return Tf2Extrinsics(node)
            except Exception as error:  # its listener may be of another release than its buffer
                fault = _words(error)
    if fault:
        node.get_logger().warning(
            f"tf2_ros is installed and does not work ({fault}): transforms are looked up in the"
            " node's own buffer, with the same result. Fix: have tf2_ros, tf2_py and geometry_msgs"
            " of one installation (apt install --reinstall ros-$ROS_DISTRO-tf2-ros"
            " ros-$ROS_DISTRO-tf2-py), and source no other"
        )
    return None


class Tf2Extrinsics:
    """`rig.tracker.Extrinsics` from a tf2 buffer."""

    def __init__(self, node: Node) -> None:
        """Start listening; callbacks run in the node's own executor."""
        self._node = node
        self._listen()

    def _listen(self) -> None:
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, self._node, spin_thread=False)

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

    def listen_anew(self) -> None:
        """Forget everything: what came last may be of a publisher that is gone."""
        self.close()
        self._listen()

    def close(self) -> None:
        """Listen no more."""
        self._listener.unregister()
