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

"""What a bag player does over rclpy: advertises, keeps the time, waits for who listens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from nav_msgs.msg import Odometry
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo

from depth_perception.datasets.bag_playback import (
    Playback,
    PlayedTopic,
    encapsulation_problem,
    played_name,
)
from depth_perception.errors import BagError, MessageError
from depth_perception.messages.sensors import header
from depth_perception.ros.messages import RclpyTypes, message_class
from depth_perception.ros.qos import CLOCK, LATCHED, PLAYED

_SETTLED_S = 1.5


class BagPublishers:
    """Publishers for the topics of a bag; messages go out as the bytes that were recorded."""

    def __init__(
        self,
        node: Node,
        playback: Playback,
        rules: Mapping[str, str],
        prefix: str,
        warn: Callable[[str], None],
    ) -> None:
        """Advertise every topic whose type is installed, and latch the static transforms.

        Args:
            node: Advertises.
            playback: The bag.
            rules: Played name by recorded name.
            prefix: Before the names of topics; empty: the node's namespace.
            warn: Called with what is left out, and why.

        Raises:
            BagError: No topic can be played, or the type of the static transforms is missing.
        """
        self._warn = warn
        self._bad: set[str] = set()
        self._publishers: dict[str, Publisher] = {}
        static = playback.static_transforms()
        for topic in playback.topics.values():
            if topic.name == "/clock":
                continue  # the player's own clock is the time of the bag
            try:
                self._advertise(node, topic, _name(node, topic.name, rules, prefix))
            except MessageError as error:
                if topic.name in static:
                    raise BagError(
                        f"{topic.name}: {error.problem}", expected=error.expected, fix=error.fix
                    ) from None
                warn(f"{topic.name} is left out: {error}")
        if not self._publishers:
            raise BagError(
                f"bag '{playback.path}': no topic can be played",
                expected="message types that are installed",
                fix="install their packages",
            )
        for name, data in static.items():
            self.publish(name, data)

    def _advertise(self, node: Node, topic: PlayedTopic, name: str) -> None:
        profile = LATCHED if topic.latched else PLAYED
        self._publishers[topic.name] = node.create_publisher(
            message_class(topic.type_name), name, profile
        )

    def publish(self, topic: str, data: bytes) -> None:
        """Publish one serialized message; what no DDS reads is left out with one warning."""
        publisher = self._publishers.get(topic)
        if publisher is None:
            return
        problem = encapsulation_problem(data)
        if not problem:
            publisher.publish(data)
        elif topic not in self._bad:
            self._bad.add(topic)
            self._warn(f"{topic}: a message is left out: {problem}")

    @property
    def subscriptions(self) -> int:
        """How many subscriptions there are that show that somebody wants the bag.

        Transforms, which every node takes, do not count, nor do calibration and odometry:
        ``surround_depth`` takes them before anybody listens to its depth, and images only then.
        """
        usual = (CameraInfo, Odometry)
        return sum(
            publisher.get_subscription_count()
            for name, publisher in self._publishers.items()
            if name not in ("/tf", "/tf_static") and publisher.msg_type not in usual
        )

    def wait_for_subscribers(self, limit: float, stop: threading.Event) -> bool:
        """Wait until somebody listens and no more join, for at most ``limit`` seconds.

        Which topics will ever be listened to is unknown (nobody may want the LiDAR), so the sign
        that all are there is that for a while nobody new has come.
        """
        deadline = time.monotonic() + limit
        count, since = 0, time.monotonic()
        while not stop.is_set() and (now := time.monotonic()) < deadline:
            if self.subscriptions != count:
                count, since = self.subscriptions, now
            if count and now - since > _SETTLED_S:
                return True
            stop.wait(0.05)
        return count > 0

    def flush(self, limit: float) -> None:
        """Wait until reliable subscribers have everything, for at most ``limit`` seconds."""
        deadline = time.monotonic() + limit
        for publisher in self._publishers.values():
            left = max(0.0, deadline - time.monotonic())
            publisher.wait_for_all_acked(Duration(seconds=left))


def _name(node: Node, topic: str, rules: Mapping[str, str], prefix: str) -> str:
    """Name a recorded topic is asked for by; rules of ``--ros-args -r`` about it hold, too."""
    namespace = node.get_namespace().rstrip("/")
    if topic not in rules and node.resolve_topic_name(topic) != topic:
        return topic
    if not prefix and topic not in rules and topic.startswith(f"{namespace}/"):
        return topic
    return played_name(topic, rules, prefix or namespace)


class PlayClock:
    """Time of the bag against real time, and ``/clock``.

    Args:
        node: Publishes ``/clock``.
        rate: Seconds of the bag in one second.
        frequency: Of ``/clock``, Hz of real time; 0 publishes none.
        stop: Ends every wait.
    """

    def __init__(self, node: Node, rate: float, frequency: float, stop: threading.Event) -> None:
        """Advertise ``/clock`` when it is wanted."""
        self._types = RclpyTypes()
        self._rate = rate
        self._period = 1.0 / frequency if frequency > 0 else float("inf")
        self._publisher = node.create_publisher(Clock, "/clock", CLOCK) if frequency > 0 else None
        self._stop = stop
        self._bag_start = 0
        self._started = self._next_tick = 0.0
        self.lateness = 0.0
        """The longest time by which a message went out late, s."""

    def begin(self, bag_time: int) -> None:
        """Start: ``bag_time`` (ns) is now."""
        self._bag_start = bag_time
        self._started = self._next_tick = time.monotonic()

    def wait_until(self, bag_time: int) -> bool:
        """Wait until it is ``bag_time`` (ns), with ``/clock`` running; False when stopped."""
        due = self._started + (bag_time - self._bag_start) * 1e-9 / self._rate
        while (now := time.monotonic()) < due:
            if now >= self._next_tick:
                self.publish(self._bag_start + int((now - self._started) * self._rate * 1e9))
                self._next_tick = now + self._period
            if self._stop.wait(max(0.0, min(due, self._next_tick) - time.monotonic())):
                return False
        self.lateness = max(self.lateness, now - due)
        return not self._stop.is_set()

    def publish(self, bag_time: int) -> None:
        """Say on ``/clock`` that it is ``bag_time`` (ns)."""
        if self._publisher is not None:
            self._publisher.publish(Clock(clock=header(self._types, bag_time, "").stamp))
