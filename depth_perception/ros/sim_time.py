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

"""Simulated time on the graph: whether a node follows it, and who says on ``/clock`` what it is."""

from __future__ import annotations

from rclpy.node import Node

CLOCK_TYPE = "rosgraph_msgs/msg/Clock"


def is_simulated(node: Node) -> bool:
    """Tell whether a node takes its time from ``/clock``."""
    return bool(getattr(node.get_clock(), "ros_time_is_active", False))


def silent_clock(node: Node) -> str:
    """Say that a node with simulated time has not heard any; empty when it has, or needs none."""
    if not is_simulated(node) or node.get_clock().now().nanoseconds:
        return ""
    topic = node.resolve_topic_name("/clock")
    others = [
        name
        for name, types in sorted(node.get_topic_names_and_types())
        if CLOCK_TYPE in types and name != topic and node.count_publishers(name)
    ]
    if others:
        return (
            f"use_sim_time is true and {topic} is silent; there is {', '.join(others)}. Fix: start"
            f" the node with -r /clock:={others[0]}"
        )
    return f"use_sim_time is true and {topic} is silent. Fix: play the bag with --clock"


def contested_clock(node: Node) -> str:
    """Say that several nodes publish the clock that a node follows or publishes; empty when not.

    Their times differ, and whoever follows them jumps from one to the other with each message.
    """
    infos = node.get_publishers_info_by_topic("/clock")
    if len(infos) < 2:
        return ""
    names = sorted(f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in infos)
    topic = node.resolve_topic_name("/clock")
    return (
        f"{topic} is published by {' and '.join(names)}: time jumps between theirs. Fix: for each"
        " vehicle a namespace with a clock in it, as launch bag:=... namespace:=car1 does (by hand:"
        " -r __ns:=/car1 -r /clock:=clock for player and nodes), or a ROS_DOMAIN_ID; or --clock 0"
        " for all players but one"
    )
