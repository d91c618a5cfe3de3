"""Quality of service of every topic, in one place.

Inputs are best effort and volatile, which pairs with every publisher. Outputs are reliable with a
short queue, which pairs with every subscriber. Depths are small: an old image is worth nothing.
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

SENSOR_INPUT: QoSProfile = qos_profile_sensor_data
"""Images and calibration that a driver publishes again and again: best effort, five deep."""

OUTPUT = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=2,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.VOLATILE,
)
"""Results: reliable, so that RViz and recorders with their defaults get them."""

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
