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

RCLError = rclpy_implementation.RCLError

_POLICIES = {
    "durability": ("transient local", "durability"),
    "deadline": ("deadline",),
    "liveliness lease duration": ("lease",),
    "liveliness": ("liveliness", "manual"),
    "reliability": ("reliable", "best effort"),
}
"""Words by which the middleware's explanation tells the policy, in the order to look for them."""
_FIXES = {
    "reliability": "let the subscriber ask for best effort, or the publisher be reliable"
    " (surround_depth: qos.input, qos.output)",
    "durability": "let the subscriber ask for volatile, or the publisher latch (transient local)",
}


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
        fix = _FIXES.get(self.policies[0], "let the subscriber ask for no more than is offered")
        return (
            f"{self.topic}: {self.subscriber} asks for more than {self.publisher} offers (QoS"
            f" policy {', '.join(self.policies)}), and gets nothing of it. Fix: {fix}"
        )


@dataclass(frozen=True)
class GraphReport:
    """What was looked at on the graph.

    Attributes:
        topics: Image, camera_info and surround_depth topics with a publisher or a subscriber.
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
        if not ours and not set(types) & {CAMERA_INFO_TYPE, *IMAGE_TYPES}:
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


def _name(endpoint: Any) -> str:
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"
