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

"""Message classes of rclpy for the builders in `depth_perception.messages`.

Images are decoded by `messages.sensors.decode_image` here as everywhere, and not by
cv_bridge where there is one: replay and node then see the same bits, while cv_bridge scales 16-bit
and converts YUV and Bayer images differently between its releases, and its binaries fail with the
NumPy that a virtual environment brings.
"""

from __future__ import annotations

import array
import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import MessageError


def message_class(type_name: str) -> type:
    """Import the class of a message such as ``sensor_msgs/msg/Image``.

    Raises:
        MessageError: Its package is not installed, or has no such message.
    """
    package, _, name = type_name.partition("/msg/")
    try:
        found = getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError, ValueError):
        raise MessageError(
            f"message type {type_name} is not installed",
            expected=f"package {package} in the environment",
            fix=f"install ros-$ROS_DISTRO-{package.replace('_', '-')}, or build and source it",
        ) from None
    if not isinstance(found, type):
        raise MessageError(f"message type {type_name} is not a message", fix="correct its name")
    return found


class RclpyTypes:
    """`MessageTypes` of rclpy: makes messages by type name, with their sequences filled fast."""

    def __init__(self) -> None:
        """Start with no class imported."""
        self._classes: dict[str, type] = {}

    def new(self, type_name: str, **fields: Any) -> Any:
        """Make a message such as ``sensor_msgs/msg/Image`` with the fields given."""
        found = self._classes.get(type_name)
        if found is None:
            found = self._classes[type_name] = message_class(type_name)
        return found(**fields)

    def array(self, values: NDArray[Any]) -> Any:
        """Put a contiguous array into the container that rclpy's sequences take without a loop.

        ``uint8[]`` and ``int8[]`` become an ``array.array`` at the speed of a copy; bytes or a list
        would be checked element by element. Other numbers come few at a time (calibration,
        covariance), and a list suits fixed and unbounded sequences alike.
        """
        if values.dtype in (np.uint8, np.int8):
            out = array.array("B" if values.dtype == np.uint8 else "b")
            out.frombytes(values.data)
            return out
        return values.tolist()
