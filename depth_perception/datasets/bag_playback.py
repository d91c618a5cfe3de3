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

"""A bag as a player needs it: topics, raw messages in the order of time, static transforms at once.

In: a rosbag2 directory or a single .mcap or .db3 file, of either storage. Out: serialized messages
as they were recorded; nothing is decoded but static transforms. No ROS is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from depth_perception.datasets.bag_file import open_bag, standard_types
from depth_perception.errors import BagError, ConfigurationError
from depth_perception.messages.transforms import transform_bits

TRANSFORM_TYPE = "tf2_msgs/msg/TFMessage"
ABSOLUTE_TOPICS = ("/tf", "/tf_static", "/clock", "/rosout", "/parameter_events")
"""Topics that are one for all vehicles; a prefix leaves them alone."""

LATEST_NS = 2**31 * 1_000_000_000
"""No stamp is of this time or later: its seconds are an int32."""


@dataclass(frozen=True)
class PlayedTopic:
    """One topic of a bag.

    Attributes:
        name: As recorded.
        type_name: E.g. ``sensor_msgs/msg/Image``.
        latched: True when it was recorded from a transient-local publisher.
        count: Messages in the bag.
    """

    name: str
    type_name: str
    latched: bool
    count: int


@dataclass(frozen=True)
class PlayedMessage:
    """One message: topic as recorded, bag time in ns, CDR bytes with their header."""

    topic: str
    time: int
    data: bytes


class Playback:
    """One bag, opened; use it with ``with``.

    Attributes:
        path: Where it lies.
        topics: By name as recorded.
        start: Time of the first message that is not a static transform, ns.
        end: Time of the last message, ns.
    """

    def __init__(
        self, path: str | Path, topics: Iterable[str] = (), say: Callable[[str], None] | None = None
    ) -> None:
        """Name the bag and the topics to play; all of them when there are none.

        Static transforms always belong to it: without them nothing else has a place. ``say`` is
        called with what is odd about the bag and with what cannot be read of it, in a line each.
        """
        self.path = Path(path)
        self._say = say
        self.topics: dict[str, PlayedTopic] = {}
        self.start = self.end = 0
        self._wanted = set(topics)

    def __enter__(self) -> Playback:
        """Open the bag.

        Raises:
            BagError: It cannot be read, is empty, or lacks a wanted topic.
        """
        self._context = open_bag(self.path, self._say)
        self._reader = self._context.__enter__()
        try:
            self._read_topics()
        except BaseException:
            self._context.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the bag."""
        self._context.__exit__(None, None, None)

    def _read_topics(self) -> None:
        if self._reader.message_count == 0:
            raise BagError(
                f"bag '{self.path}' is empty", expected="messages", fix="record it again"
            )
        recorded = {connection.topic for connection in self._reader.connections}
        for topic in sorted(self._wanted - recorded):
            raise BagError(
                f"bag '{self.path}' has no topic {topic}",
                expected="one of " + ", ".join(sorted(recorded)),
                fix="correct topics",
            )
        for connection in self._reader.connections:
            name, kind = connection.topic, connection.msgtype
            if self._wanted and name not in self._wanted and not is_static_transforms(name, kind):
                continue
            before = self.topics.get(name)
            self.topics[name] = PlayedTopic(
                name=name,
                type_name=kind,
                latched=connection.latched or is_static_transforms(name, kind),
                count=connection.msgcount + (before.count if before else 0),
            )
        # Static transforms are often stamped long before the drive; waiting for it serves nobody.
        self.start, self.end = self._reader.start_time, self._reader.end_time
        first = next(self._raw(moving=True, start=self.start, end=self.end), None)
        self.start = self.start if first is None else first.time
        if self.end > LATEST_NS:
            raise BagError(
                f"bag '{self.path}' was recorded at {self.end} ns, after the year 2038",
                expected="a time that a message's header can hold",
                fix="set the clock, and record it again",
            )

    def messages(self, start: int, end: int) -> Iterator[PlayedMessage]:
        """Yield what is not a static transform, from ``start`` to before ``end`` (ns), in order.

        Raises:
            BagError: Nothing more of a damaged file can be read.
        """
        yield from self._raw(moving=True, start=start, end=end)

    def static_transforms(self) -> dict[str, bytes]:
        """Merge all static transforms of the whole bag, by topic: one message each.

        What was published several times is in it once, at its latest place; what contradicts itself
        is in it as it was. In a bag they came from several latched publishers; a player that
        repeated them one by one would leave late joiners with the last one only.

        Raises:
            BagError: Nothing of a damaged file can be read, or a message does not deserialize.
        """
        merged: dict[str, dict[tuple[Any, ...], Any]] = {}
        for message in self._raw(moving=False):
            transforms = self._decode(message).transforms
            latest = merged.setdefault(message.topic, {})
            for item in transforms:
                key = (item.header.frame_id, item.child_frame_id, transform_bits(item.transform))
                latest.pop(key, None)
                latest[key] = item
        types = standard_types()
        out = {}
        for topic, latest in merged.items():
            every = types.types[TRANSFORM_TYPE](transforms=list(latest.values()))
            out[topic] = bytes(types.serialize_cdr(every, TRANSFORM_TYPE))
        return out

    def _decode(self, message: PlayedMessage) -> Any:
        try:
            return self._reader.deserialize(message.data, self.topics[message.topic].type_name)
        except Exception as error:  # a damaged message raises anything
            raise BagError(
                f"bag '{self.path}': a message of {message.topic} does not deserialize ({error})",
                expected=TRANSFORM_TYPE,
                fix="record the bag again",
            ) from None

    def _raw(
        self, moving: bool, start: int | None = None, end: int | None = None
    ) -> Iterator[PlayedMessage]:
        connections = [
            c
            for c in self._reader.connections
            if c.topic in self.topics and is_static_transforms(c.topic, c.msgtype) != moving
        ]
        if not connections:
            return
        for connection, time, data in self._reader.messages(connections, start, end):
            yield PlayedMessage(connection.topic, time, data)


def is_static_transforms(topic: str, type_name: str) -> bool:
    """Tell topics whose messages hold for the whole bag."""
    return type_name == TRANSFORM_TYPE and topic.rsplit("/", 1)[-1] == "tf_static"


def remapping(rules: Iterable[str]) -> dict[str, str]:
    """Read rules such as ``/a:=/b``.

    Raises:
        ConfigurationError: A rule has another form.
    """
    out = {}
    for rule in rules:
        old, separator, new = rule.partition(":=")
        if not separator or not old.startswith("/") or not new:
            raise ConfigurationError(
                f"remap: '{rule}'", expected="/recorded/name:=/new/name", fix="correct the rule"
            )
        out[old] = new
    return out


def played_name(topic: str, rules: Mapping[str, str], prefix: str) -> str:
    """Name under which a recorded topic is played: its rule, else the prefix before it."""
    if topic in rules:
        return rules[topic]
    return topic if topic in ABSOLUTE_TOPICS else prefix.rstrip("/") + topic


def encapsulation_problem(data: bytes) -> str:
    """Say what is wrong with the CDR header of a serialized message; empty when nothing is.

    The first two bytes name the encoding: plain CDR, big (0x0000) or little endian (0x0001), is
    what every DDS reads.
    """
    if len(data) < 4:
        return f"{len(data)} bytes are no serialized message"
    if data[0] != 0 or data[1] not in (0, 1):
        return f"encapsulation 0x{data[0]:02x}{data[1]:02x} is not plain CDR"
    return ""
