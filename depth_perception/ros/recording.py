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

"""Records topics over the middleware into a bag, as bytes, without taking them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial

from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

from depth_perception.datasets.bag_writer import BagWriter
from depth_perception.ros.messages import message_class

RECORDED = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=200, reliability=ReliabilityPolicy.RELIABLE
)


class Recorder:
    """Subscribes to topics and appends every message to a bag at its time of arrival.

    Attributes:
        counts: Messages by topic so far.
    """

    def __init__(self, node: Node, writer: BagWriter, topics: Mapping[str, str]) -> None:
        """Subscribe.

        Args:
            node: Spun by the caller.
            writer: The open bag.
            topics: Type by absolute topic name.
        """
        self.counts: Counter[str] = Counter()
        self._node = node
        self._writer = writer
        for topic, type_name in topics.items():
            take = partial(self._take, topic, type_name)
            node.create_subscription(message_class(type_name), topic, take, RECORDED, raw=True)

    def _take(self, topic: str, type_name: str, data: bytes) -> None:
        time = self._node.get_clock().now().nanoseconds
        self._writer.write_serialized(topic, type_name, data, time)
        self.counts[topic] += 1
