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

"""Quality of service of every topic, in one place.

By default inputs are best effort and volatile, which pairs with every publisher, and outputs are
reliable with a short queue, which pairs with every subscriber that does not ask for latched ones;
the map is latched. Depths are small: an old image is worth nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

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


def map_output(qos: QosParameters) -> QoSProfile:
    """Profile of the occupancy map: latched, as maps are by convention, unless best effort is set.

    nav2 and RViz ask for a latched map by default, and get none from who offers less; who asks for
    less gets it all the same. Who comes late gets the last map, with its stamp, and then new ones.
    """
    return LATCHED_MAP if qos.output == "reliable" else result_output(qos)


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

LATCHED_MAP = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
"""A map, as map_server and the costmaps of nav2 publish it."""

TRANSFORMS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=100, reliability=ReliabilityPolicy.RELIABLE
)
"""``/tf``, as tf2 subscribes to it."""

CLOCK = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.RELIABLE
)
"""``/clock`` of a player: nodes subscribe best effort, others may not."""

ODOMETRY = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=50, reliability=ReliabilityPolicy.BEST_EFFORT
)
"""Odometry comes often; best effort pairs with every publisher."""

PLAYED = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.RELIABLE
)
"""A played topic: reliable pairs with every subscriber, whatever the recorded driver offered."""


_LESS_ASKED = {
    "reliability": "let the subscriber ask for best effort",
    "durability": "let the subscriber ask for volatile, not transient_local (nav2:"
    " map_subscribe_transient_local: false; RViz: Durability Policy: Volatile)",
    "deadline": "let the subscriber ask for no deadline",
    "liveliness": "let the subscriber ask for automatic liveliness",
    "liveliness_lease_duration": "let the subscriber ask for no lease duration",
}
_MORE_OFFERED = {
    "reliability": "let the publisher be reliable",
    "durability": "let the publisher latch (transient_local)",
    "deadline": "let the publisher offer a deadline as short",
    "liveliness": "let the publisher offer liveliness by topic",
    "liveliness_lease_duration": "let the publisher offer a lease as short",
}
_OUR_INPUT = {"reliability": "set qos.input: sensor_data"}
_OUR_OUTPUT = {"reliability": "set qos.output: reliable"}


def policy_name(kind: object) -> str:
    """Name a QoS policy as `mismatch_fix` knows it, from a ``QoSPolicyKind`` of any binding."""
    return str(getattr(kind, "name", kind)).lower().removeprefix("rmw_qos_policy_")


def mismatch_fix(policies: Sequence[str], ours: str = "") -> str:
    """Say what to change so that two ends of a topic match.

    Args:
        policies: Of which the subscriber asks for more than the publisher offers.
        ours: ``publisher`` or ``subscriber`` when that end is this package's node.

    Returns:
        What to change for each policy, at the one end or the other.
    """
    fixes = []
    for policy in policies:
        if ours == "publisher":
            ends = (_OUR_OUTPUT, _LESS_ASKED)
        elif ours == "subscriber":
            ends = (_OUR_INPUT, _MORE_OFFERED)
        else:
            ends = (_LESS_ASKED, _MORE_OFFERED)
        fixes.append(", or ".join(end[policy] for end in ends if policy in end))
    found = "; and ".join(fix for fix in fixes if fix)
    return found or f"let the subscriber ask for no more {' and '.join(policies)} than is offered"


def mismatch(policies: Sequence[str], topic: str, we_publish: bool, other: str = "") -> str:
    """Say in one line that two ends of a topic do not match, and what to do.

    Args:
        policies: Names of the QoS policies that do not match.
        topic: Its name.
        we_publish: True when this node publishes and another subscribes.
        other: Full name of the other node, where it is known.
    """
    named = f"QoS policy {', '.join(policies)}"
    if we_publish:
        return (
            f"{topic}: {other or 'a subscriber'} asks for more than this node offers ({named}), and"
            f" gets nothing. Fix: {mismatch_fix(policies, 'publisher')}"
        )
    return (
        f"{topic}: {other or 'a publisher'} offers less than this node asks for ({named}), and none"
        f" of its messages arrives. Fix: {mismatch_fix(policies, 'subscriber')}"
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
