"""Quality of service of every topic, in one place.

By default inputs are best effort and volatile, which pairs with every publisher, and outputs are
reliable with a short queue, which pairs with every subscriber. Depths are small: an old image is
worth nothing.
"""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_profile_sensor_data,
)

from depth_perception.parameters import QosParameters

SENSOR_INPUT: QoSProfile = qos_profile_sensor_data
"""What a driver publishes again and again: best effort, five deep."""


def image_input(qos: QosParameters) -> QoSProfile:
    """Profile of image subscriptions, as the parameters say."""
    return _profile(qos.input == "reliable", qos.input_depth)


def result_output(qos: QosParameters) -> QoSProfile:
    """Profile of results, as the parameters say."""
    return _profile(qos.output == "reliable", qos.output_depth)


def _profile(reliable: bool, depth: int) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.VOLATILE,
    )


LATCHED = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=100,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
"""``/tf_static``: late joiners get what was said before they came."""

TRANSFORMS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=100, reliability=ReliabilityPolicy.RELIABLE
)
"""``/tf``, as tf2 subscribes to it."""

CLOCK = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.RELIABLE
)
"""``/clock`` of a player: nodes subscribe best effort, others may not."""

PLAYED = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.RELIABLE
)
"""A played topic: reliable pairs with every subscriber, whatever the recorded driver offered."""


def mismatch(kind: object, topic: str, we_publish: bool) -> str:
    """Say in one line that two ends of a topic do not match, and what to do.

    Args:
        kind: ``QoSPolicyKind`` of the policy that does not match.
        topic: Its name.
        we_publish: True when this node publishes and another subscribes.
    """
    policy = str(getattr(kind, "name", kind)).lower().removeprefix("rmw_qos_policy_")
    if we_publish:
        return (
            f"{topic}: a subscriber asks for more than this node offers (QoS policy {policy}), and"
            " gets nothing. Fix: set qos.output: reliable, or let the subscriber ask for"
            " best-effort, volatile messages"
        )
    return (
        f"{topic}: a publisher offers less than this node asks for (QoS policy {policy}), and none"
        " of its messages arrives. Fix: set qos.input: sensor_data, or let the publisher be"
        " reliable"
    )


def calibration_input(node: Node, topic: str) -> QoSProfile:
    """Choose the profile for a camera_info topic: latched when every publisher latches it.

    Calibration said once before the node started would otherwise never arrive.
    """
    publishers = node.get_publishers_info_by_topic(topic)
    latched = [
        info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        and info.qos_profile.reliability == ReliabilityPolicy.RELIABLE
        for info in publishers
    ]
    return LATCHED if latched and all(latched) else SENSOR_INPUT
