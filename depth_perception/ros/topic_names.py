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

"""The node's own names of topics, and what remapping rules make of them on the graph.

A rule ``front/image_raw:=/sensors/cam0/image`` gives a topic of the graph another name for this
node. Cameras are found by the node's own names, as its source would write them; messages and
`CameraTopics` have the names on the graph, which ``ros2 topic`` knows.

rclpy applies the rules to one name; it does not list them. They are read from the command line,
and each counts only as far as rclpy applies it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from rclpy.exceptions import InvalidTopicNameException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node

RCLError = rclpy_implementation.RCLError


class TopicNames:
    """Translates between a node's own names of topics and those on the graph; all are absolute.

    Attributes:
        node: Whose names they are.
        rules: Name on the graph by own name, where remapping makes them differ.
    """

    def __init__(self, node: Node, arguments: Iterable[str]) -> None:
        """Read the rules.

        Args:
            node: Whose names they are; its name and namespace count.
            arguments: Command lines that the node was started with; what is no rule is skipped.
        """
        self.node = node
        self.rules: dict[str, str] = {}
        for argument in arguments:
            name = _remapped_name(argument)
            try:
                own = self.own(name) if name else ""
            except (InvalidTopicNameException, RCLError):
                continue  # e.g. -p sync.tolerance:=0.1
            if own and (actual := self.on_graph(own)) != own:
                self.rules[own] = actual

    def own(self, name: str) -> str:
        """Return the absolute form of a name that may be relative, before remapping."""
        return self.node.resolve_topic_name(name, only_expand=True)

    def on_graph(self, name: str) -> str:
        """Return the name on the graph of one of the node's own names."""
        return self.node.resolve_topic_name(name)

    def to_ask_for(self, actual: str) -> str:
        """Return the own name that leads to a topic of the graph.

        Usually they are the same. Where rules swap two topics, a subscription that was asked for
        by the name on the graph would get the other one.
        """
        if self.on_graph(actual) == actual:
            return actual
        return next((own for own, led_to in self.rules.items() if led_to == actual), actual)

    def seen(self, graph: Mapping[str, str], named: Collection[str] = ()) -> dict[str, str]:
        """Return the topics of the graph by the node's own names.

        A topic that a rule leads to has the rule's name, and no longer its own besides, so that no
        camera is found twice. A topic from whose name a rule leads away is not within reach.

        Args:
            graph: Type by name on the graph.
            named: Own names that parameters name: they stay as they are.
        """
        led_to = set(self.rules.values())
        out = {
            topic: kind
            for topic, kind in graph.items()
            if topic not in led_to and topic not in self.rules
        }
        for own in (*self.rules, *named):
            actual = self.on_graph(own)
            if actual in graph:
                out[own] = graph[actual]
        return out


def _remapped_name(argument: str) -> str:
    """Return what a rule ``[node:][rostopic://]name:=other`` is about; empty where it is none."""
    name, separator, _ = argument.partition(":=")
    scheme, has_scheme, rest = name.rpartition("://")
    if not separator or (has_scheme and not scheme.endswith("rostopic")):
        return ""
    name = rest.rpartition(":")[2]
    return "" if name.startswith("__") else name
