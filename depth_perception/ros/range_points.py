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

"""Takes a PointCloud2 of a LiDAR or radar, while somebody needs depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import PointCloud2

from depth_perception.errors import DepthPerceptionError
from depth_perception.geometry.transforms import Matrix
from depth_perception.messages.sensors import decode_ranges, stamp_of
from depth_perception.parameters import Parameters
from depth_perception.pipeline import SurroundPipeline
from depth_perception.ros.qos import SENSOR_INPUT


class RangeSubscription:
    """Points of ``motion.range_topic``, with the sensor's mounting."""

    def __init__(
        self,
        node: Node,
        parameters: Parameters,
        lookup: Callable[[str, str], Matrix],
        pipeline: SurroundPipeline,
        problem: Callable[[str, str], None],
    ) -> None:
        """Listen to nothing yet.

        Args:
            node: Whose subscription it is.
            parameters: ``motion`` holds.
            lookup: Returns T_base_frame of a frame, for this topic; raises `TransformError`.
            pipeline: Takes the points.
            problem: Called with ("", reason) when a message cannot be used.
        """
        motion = parameters.motion
        self._node, self._lookup = node, lookup
        self._pipeline, self._problem = pipeline, problem
        self._name = motion.range_topic if motion.enabled else ""
        self._topic = node.resolve_topic_name(self._name) if self._name else ""
        self._subscription: Subscription | None = None

    def follow(self, wanted: bool) -> None:
        """Subscribe while depth is wanted, and not otherwise."""
        if wanted and self._name and self._subscription is None:
            self._subscription = self._node.create_subscription(
                PointCloud2, self._name, self._on_cloud, SENSOR_INPUT
            )
        elif not wanted:
            self.close()

    def close(self) -> None:
        """Unsubscribe."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _on_cloud(self, message: Any) -> None:
        frame, stamp = message.header.frame_id.lstrip("/"), stamp_of(message.header.stamp)
        try:
            points, sigma = decode_ranges(message, self._topic)
            T_base_sensor = self._lookup(frame, self._topic)
        except DepthPerceptionError as error:
            text = str(error)
            self._problem("", text if self._topic in text else f"{self._topic}: {text}")
            return
        if stamp <= 0:
            self._problem(
                "", f"{self._topic}: a stamp of zero. Fix: let the driver fill header.stamp"
            )
            return
        self._pipeline.add_range(stamp, T_base_sensor, points, sigma)
