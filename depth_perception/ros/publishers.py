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

"""Sends the outputs of `depth_perception.frames.publication`, each only when somebody listens."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher

from depth_perception.frames.camera_feed import CameraFeed
from depth_perception.frames.publication import (
    OCCUPANCY,
    Counters,
    Demand,
    camera_topics,
    demand_of,
    messages_of,
    status_message,
    vehicle_topics,
)
from depth_perception.frames.surround_result import SurroundResult
from depth_perception.parameters import Parameters
from depth_perception.ros.events import PublisherEventCallbacks
from depth_perception.ros.graph_qos import unmatched
from depth_perception.ros.messages import RclpyTypes, message_class
from depth_perception.ros.qos import map_output, mismatch, policy_name, result_output

_TRIES = 10
"""So often it is looked for on the graph who asks for more than is offered."""


class ResultPublishers:
    """All outputs of ``surround_depth``; topics are relative, so namespaces and remaps hold."""

    def __init__(
        self, node: Node, parameters: Parameters, problem: Callable[[str, str], None]
    ) -> None:
        """Advertise what does not depend on the cameras; `set_cameras` advertises the rest.

        Args:
            node: The node.
            parameters: ``rectify``, ``output`` and ``qos`` hold.
            problem: Called with ("", reason) when a subscriber asks for more than is offered.
        """
        self._node = node
        self._types = RclpyTypes()
        self._parameters = parameters
        self._problem = problem
        self._profile = result_output(parameters.qos)
        self._map_profile = map_output(parameters.qos)
        self._publishers: dict[str, Publisher] = {}
        self._asked_for_more: dict[str, str] = {}
        """By topic: the QoS policy that somebody wants more of, while it is not said who does."""
        self._tries: dict[str, int] = {}
        self._vehicle = vehicle_topics(parameters.motion.enabled)
        self._advertise(self._vehicle)

    def _advertise(self, topics: Mapping[str, tuple[str, str]]) -> None:
        for topic, type_name in topics.values():
            if topic not in self._publishers:
                profile = self._map_profile if type_name == OCCUPANCY else self._profile
                self._publishers[topic] = self._node.create_publisher(
                    message_class(type_name),
                    topic,
                    profile,
                    event_callbacks=PublisherEventCallbacks(
                        incompatible_qos=partial(self._mismatch, topic)
                    ),
                )

    def _mismatch(self, topic: str, event: Any) -> None:
        found = self._unserved(topic)
        self._asked_for_more[topic] = "" if found else policy_name(event.last_policy_kind)
        self._tries[topic] = 0
        for text in found:
            self._problem("", text)

    def _find_missed(self) -> None:
        """Look for those of whom no event came, which the middleware does not promise."""
        for topic in self._publishers:
            if topic in self._asked_for_more:
                continue
            # Counts of the graph and of the publisher need not be of the same moment: who has just
            # died is in one and not in the other, and would hide who has just come.
            if self._node.count_subscribers(self._node.resolve_topic_name(topic)) == 0:
                continue
            for text in self._unserved(topic):
                self._asked_for_more[topic] = ""
                self._tries[topic] = 0
                self._problem("", text)

    def _unserved(self, topic: str) -> list[str]:
        name = self._node.resolve_topic_name(topic)
        return [
            mismatch(policies, name, True, other)
            for other, policies in unmatched(self._node, name, we_publish=True)
        ]

    def unserved(self) -> list[str]:
        """Say who on the graph gets nothing of a topic, since it asks for more than is offered.

        To be called once a second: the graph shows later than the event whom it was about, and
        what was not said for that is said here.
        """
        texts: list[str] = []
        self._find_missed()
        for topic, policy in sorted(self._asked_for_more.items()):
            found = self._unserved(topic)
            texts += found
            if found and not policy:
                continue
            self._tries[topic] += 1
            if not found and policy and self._tries[topic] < _TRIES:
                continue
            if policy:
                name = self._node.resolve_topic_name(topic)
                for text in found or [mismatch((policy,), name, we_publish=True)]:
                    self._problem("", text)
            if found:
                self._asked_for_more[topic] = ""
            else:
                del self._asked_for_more[topic]
        return texts

    def close(self) -> None:
        """Withdraw every topic."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        self._publishers.clear()

    def set_parameters(self, parameters: Parameters) -> None:
        """Take other live parameters."""
        self._parameters = parameters

    def set_cameras(self, names: list[str]) -> None:
        """Advertise the topics of cameras that are new."""
        for name in names:
            self._advertise(
                camera_topics(name, self._parameters.rectify, self._parameters.motion.enabled)
            )

    @property
    def heard(self) -> set[str]:
        """The topics that somebody listens to, relative."""
        publishers = list(self._publishers.items())
        return {topic for topic, item in publishers if item.get_subscription_count() > 0}

    def demand(self, cameras: Sequence[str]) -> Demand:
        """Say what is needed for the topics that somebody listens to."""
        parameters = self._parameters
        return demand_of(self.heard, cameras, parameters.rectify, parameters.motion.enabled)

    def publish(self, result: SurroundResult) -> None:
        """Publish everything but the status of one result that somebody listens to."""
        for topic, message in messages_of(result, self._parameters, self._types, self.heard):
            self._publishers[topic].publish(message)

    def flush(self, limit: float) -> None:
        """Wait until subscribers have what was published, for at most ``limit`` seconds."""
        deadline = time.monotonic() + limit
        for publisher in self._publishers.values():
            left = max(0.0, deadline - time.monotonic())
            publisher.wait_for_all_acked(Duration(seconds=left))

    def publish_status(
        self,
        result: SurroundResult,
        counters: Counters,
        cameras: Mapping[str, CameraFeed],
        latency: float,
    ) -> None:
        """Publish the status of a result, which may have no camera at all.

        Args:
            result: What was computed, and why cameras are missing.
            counters: Frame sets since the start.
            cameras: What has arrived from each camera.
            latency: Seconds from the set's arrival to now.
        """
        topic = self._vehicle["status"][0]
        if self._publishers[topic].get_subscription_count() == 0:
            return
        message = status_message(
            self._types,
            result,
            counters,
            now=self._node.get_clock().now().nanoseconds,
            latency=latency,
            order=self._parameters.cameras or list(cameras),
            latest={name: feed.stamp for name, feed in cameras.items() if feed.stamp > 0},
        )
        self._publishers[topic].publish(message)
