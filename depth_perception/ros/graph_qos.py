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

"""QoS mismatches on the running graph: who publishes what nobody can hear, and for which policy."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import rclpy
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, qos_check_compatible
from rclpy.signals import SignalHandlerOptions

from depth_perception.errors import ConfigurationError
from depth_perception.rig.camera_topics import CAMERA_INFO_TYPE, IMAGE_TYPES
from depth_perception.ros.qos import mismatch_fix

TRANSFORM_TYPE = "tf2_msgs/msg/TFMessage"
RCLError = rclpy_implementation.RCLError

_POLICIES = {
    "durability": ("transient local", "durability"),
    "deadline": ("deadline",),
    "liveliness_lease_duration": ("lease",),
    "liveliness": ("liveliness", "manual"),
    "reliability": ("reliable", "best effort"),
}
"""Words by which the middleware's explanation tells the policy, in the order to look for them."""


@dataclass(frozen=True)
class Mismatch:
    """Two ends of a topic that exchange nothing.

    Attributes:
        topic: Its name.
        publisher, subscriber: Full names of the nodes.
        policies: QoS policies of which the subscriber asks for more than the publisher offers.
    """

    topic: str
    publisher: str
    subscriber: str
    policies: tuple[str, ...]

    def __str__(self) -> str:
        """Make one line of it, with the fix."""
        ours = ""
        if "surround_depth" in self.topic.split("/"):
            ours = "publisher"
        elif self.subscriber.endswith("/surround_depth"):
            ours = "subscriber"
        return (
            f"{self.topic}: {self.subscriber} asks for more than {self.publisher} offers (QoS"
            f" policy {', '.join(self.policies)}), and gets nothing of it. Fix:"
            f" {mismatch_fix(self.policies, ours)}"
        )


@dataclass(frozen=True)
class GraphReport:
    """What was looked at on the graph.

    Attributes:
        topics: Image, camera_info, TF and surround_depth topics with a publisher or a subscriber.
        mismatches: Of those topics.
    """

    topics: tuple[str, ...]
    mismatches: tuple[Mismatch, ...]


def inspect_graph(seconds: float = 3.0) -> GraphReport:
    """Join the graph of the user's own domain for some seconds, and compare the ends of topics.

    Raises:
        ConfigurationError: The middleware does not start.
    """
    context = rclpy.Context()
    try:
        rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
        node = Node(
            "transport_doctor", context=context, start_parameter_services=False, enable_rosout=False
        )
        try:
            time.sleep(seconds)  # discovery goes on in the middleware's own threads
            return compare_ends(node)
        finally:
            node.destroy_node()
    except RCLError as error:
        raise ConfigurationError(
            "no node can be started: " + " ".join(str(error).split()),
            expected="a middleware that starts",
            fix="look at RMW_IMPLEMENTATION and ROS_DOMAIN_ID",
        ) from None
    finally:
        rclpy.try_shutdown(context=context)


def compare_ends(node: Node) -> GraphReport:
    """Compare what a node sees: every publisher of each topic with every subscriber."""
    topics, found = [], []
    for topic, types in sorted(node.get_topic_names_and_types()):
        ours = "surround_depth" in topic.split("/")
        if not ours and not set(types) & {CAMERA_INFO_TYPE, TRANSFORM_TYPE, *IMAGE_TYPES}:
            continue
        topics.append(topic)
        for publisher in node.get_publishers_info_by_topic(topic):
            for subscriber in node.get_subscriptions_info_by_topic(topic):
                policies = mismatched_policies(publisher.qos_profile, subscriber.qos_profile)
                if policies:
                    found.append(Mismatch(topic, _name(publisher), _name(subscriber), policies))
    return GraphReport(tuple(topics), tuple(dict.fromkeys(found)))


def mismatched_policies(publisher: Any, subscriber: Any) -> tuple[str, ...]:
    """Name the QoS policies for which two profiles do not match; empty when they do."""
    compatibility, reason = qos_check_compatible(publisher, subscriber)
    if compatibility != QoSCompatibility.ERROR:
        return ()
    errors = [part.lower() for part in reason.split(";") if "error" in part.lower()]
    named = [
        next((name for name, words in _POLICIES.items() if any(w in part for w in words)), part)
        for part in errors
    ]
    return tuple(dict.fromkeys(named)) or (reason.strip(),)


def unmatched(node: Node, topic: str, we_publish: bool) -> list[tuple[str, tuple[str, ...]]]:
    """Name those with whom a node exchanges nothing on a topic, and the QoS policies.

    Args:
        node: One of the two ends.
        topic: Full name.
        we_publish: True when the node publishes and the others subscribe.

    Returns:
        Full name and policies of each; empty while the graph does not show both ends.
    """
    publishers = node.get_publishers_info_by_topic(topic)
    subscribers = node.get_subscriptions_info_by_topic(topic)
    ours, others = (publishers, subscribers) if we_publish else (subscribers, publishers)
    # By what the graph says of both: in a profile of our own, what is left to the middleware
    # reads differently.
    own = next((info for info in ours if _name(info) == node.get_fully_qualified_name()), None)
    if own is None:
        return []
    found: dict[tuple[str, tuple[str, ...]], None] = {}
    for info in others:
        ends = (own, info) if we_publish else (info, own)
        policies = mismatched_policies(*(end.qos_profile for end in ends))
        if policies:
            found[_name(info), policies] = None
    return list(found)


def _name(endpoint: Any) -> str:
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"
