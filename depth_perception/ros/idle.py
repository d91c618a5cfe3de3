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

"""Waiting until a running ``surround_depth`` has computed all that it took in."""

from __future__ import annotations

import threading
import time
from typing import Any

from rclpy.node import Node

from depth_perception.frames.publication import STATUS
from depth_perception.ros.messages import message_class

_QUIET = 2
"""So many statuses in a row without a frame set: one may come before images are read."""


def wait_until_idle(node: Node, topic: str, limit: float, stop: threading.Event) -> bool:
    """Wait until ``surround_depth`` says that there is nothing left to compute.

    It publishes a status with each frame set and, while it has nothing to do, about once a second
    without one. Listening to it asks for all cameras' images, so it is done when no more are sent.

    Args:
        node: Listens; another thread spins it.
        topic: The status topic; a relative name follows the node's namespace.
        limit: Seconds to wait at most.
        stop: Ends the wait.

    Returns:
        False when the limit ran out or the wait was stopped. True at once where nobody publishes
        the topic.
    """
    quiet, on_graph = 0, node.resolve_topic_name(topic)

    def on_status(message: Any) -> None:
        nonlocal quiet
        quiet = 0 if message.stage_names else quiet + 1

    subscription = node.create_subscription(message_class(STATUS), topic, on_status, 10)
    try:
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline and not stop.wait(0.05):
            if quiet >= _QUIET or not node.count_publishers(on_graph):
                return True
        return False
    finally:
        node.destroy_subscription(subscription)
