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

"""A bag, opened: its topics and its messages, whatever its metadata.yaml says.

In: a rosbag2 directory, or a single file: mcap or SQLite, whole or compressed with zstd, under
whatever name. Out: topics, serialized messages in the order of time, and what could not be read.
Messages win over metadata.yaml: that only tells which files there are.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from depth_perception.datasets.bag_kinds import ZSTD_MAGIC
from depth_perception.datasets.bag_metadata import METADATA, disagreement, how_to_mend
from depth_perception.datasets.bag_opening import OpenedPart, open_part, salvage
from depth_perception.datasets.bag_parts import BagParts, find_parts
from depth_perception.datasets.bag_storage import BagTopic, one_line
from depth_perception.datasets.decompression import zstd
from depth_perception.errors import BagError, missing_library

try:
    from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
    from rosbags.typesys.store import Typestore
except ImportError as error:
    raise missing_library("rosbags", error) from None

_PAUSE_NS = 30 * 86_400_000_000_000
"""Nobody drives on after a pause of a month; the clock was another one."""


@contextmanager
def open_bag(path: str | Path, say: Callable[[str], None] | None = None) -> Iterator[BagFile]:
    """Open a rosbag2 directory or file.

    Args:
        path: The directory or file.
        say: Called with what is odd about the bag, and with what is lost, in a line each.

    Raises:
        BagError: It is absent, of an unknown storage, a ROS 1 bag, or broken before the first
            message; names path and fix.
    """
    path = Path(path)
    with ExitStack() as stack:
        try:
            bag = BagFile(find_parts(path), stack, say)
        except OSError as error:
            raise _unreadable(path, error) from None
        yield bag


@lru_cache(maxsize=1)
def standard_types() -> Typestore:
    """Return the messages of ROS 2 as `rosbags` knows them."""
    return get_typestore(Stores.ROS2_JAZZY)


class BagFile:
    """One bag, opened; made by `open_bag`.

    Attributes:
        path: Where it lies.
        connections: Its topics, one for each name and type.
        message_count: Number of messages.
        start_time: Time of the first message, ns; 0 without any. Messages that were recorded with
            another clock, months from most others, do not count here.
        end_time: Time just after the last message, ns, as above.
        losses: What could not be read, so that messages are left out; grows while reading.
    """

    def __init__(
        self, parts: BagParts, stack: ExitStack, say: Callable[[str], None] | None = None
    ) -> None:
        """Open the parts; `stack` closes them."""
        self.path = parts.path
        self.losses: list[str] = []
        self._say = say or (lambda text: None)
        self._types: dict[str, Typestore] = {}
        self._stack = stack
        for text in parts.notes:
            self._say(text)
        for text in parts.losses:
            self._lost(text)
        self._parts = list(self._open(parts))
        self._storages = [part.storage for part in self._parts]
        self._merge_topics()
        self.message_count = sum(topic.msgcount for topic in self.connections)
        self.start_time, self.end_time = self._span()
        kinds = [part.kind for part in self._parts]
        wrong = disagreement(
            parts.metadata, self.connections, self.start_time, self.end_time, kinds
        )
        if wrong and not self.losses:
            self._say(
                f"'{self.path / METADATA}' disagrees with the messages ({wrong}); what the messages"
                f" say holds. Fix: {how_to_mend(self.path, parts.files, kinds)}"
            )

    def messages(
        self,
        connections: Collection[BagTopic] = (),
        start: int | None = None,
        stop: int | None = None,
    ) -> Iterator[tuple[BagTopic, int, bytes]]:
        """Yield (topic, bag time ns, CDR bytes) in the order of time.

        Args:
            connections: Which topics; all when there are none.
            start: Only messages at or after this time, ns.
            stop: Only messages before this time, ns.

        Raises:
            BagError: Nothing of a damaged SQLite file can be read. Of files that are damaged in
                part, the rest is read, and `losses` grow.
        """
        wanted = {topic.number for topic in connections or self.connections}
        streams = [
            self._part_messages(index, wanted, start, stop)
            for index, storage in enumerate(self._storages)
            if storage.end
            and (start is None or storage.end > start)
            and (stop is None or storage.start < stop)
        ]
        for number, time, data in heapq.merge(*streams, key=lambda item: item[1]):
            if number >= 0:
                yield self.connections[number], time, _decompressed(data)

    def deserialize(self, data: bytes, type_name: str) -> Any:
        """Read a message by the definition that ROS gives its type, else by the bag's own.

        What is read here has not changed in any ROS 2, and a damaged bag may define it with other
        names or without fields.

        Raises:
            Exception: Anything: the bytes are damaged, or the type is unknown.
        """
        types = standard_types()
        if type_name not in types.fielddefs:
            types = self._own_types(type_name)
        return types.deserialize_cdr(data, type_name)

    def _open(self, parts: BagParts) -> Iterator[OpenedPart]:
        """Open every part; one that cannot be read is a loss where there are others.

        Raises:
            BagError: None can be read.
        """
        refused: BagError | None = None
        count = 0
        for file in parts.files:
            try:
                part = open_part(file, self._stack, self._lost)
            except BagError as error:
                if len(parts.files) == 1:
                    raise
                refused = refused or error
                self._lost(f"a part is left out: {error}")
                continue
            count += 1
            yield part
        if refused is not None and count == 0:
            raise refused

    def _merge_topics(self) -> None:
        """Make one list of the topics of all parts, without those that are not CDR."""
        self.connections: list[BagTopic] = []
        self._numbers: list[dict[int, int]] = []
        known: dict[tuple[str, str], int] = {}
        for storage in self._storages:
            numbers: dict[int, int] = {}
            for topic in storage.topics:
                if topic.encoding != "cdr":
                    self._lost(
                        f"{topic.topic} is serialized as '{topic.encoding}'; expected cdr, as ROS 2"
                        " writes it; it is left out. Fix: record it with ROS 2"
                    )
                    continue
                number = known.setdefault((topic.topic, topic.msgtype), len(self.connections))
                numbers[topic.number] = number
                if number == len(self.connections):
                    self.connections.append(replace(topic, number=number))
                    continue
                before = self.connections[number]
                self.connections[number] = replace(
                    before,
                    msgcount=before.msgcount + topic.msgcount,
                    latched=before.latched or topic.latched,
                    definition=before.definition if before.definition[0] else topic.definition,
                )
            self._numbers.append(numbers)

    def _part_messages(
        self, index: int, wanted: set[int], start: int | None, stop: int | None
    ) -> Iterator[tuple[int, int, bytes]]:
        """Yield (number of the topic, time, bytes) of a part, after (-1, its start, nothing).

        The first keeps a part closed until its time has come, when parts are merged.
        """
        storage, numbers = self._storages[index], self._numbers[index]
        yield -1, storage.start, b""
        chosen = {number for number, merged in numbers.items() if merged in wanted}
        if not chosen:
            return
        latest, count = start, 0
        try:
            for number, time, data in storage.messages(chosen, start, stop):
                latest, count = time, count + 1 if time == latest else 1
                yield numbers[number], time, data
        except BagError as error:  # an SQLite file that is damaged in the middle
            part = self._parts[index]
            rest = salvage(part.file, part.named, error, self._lost)
            self._stack.callback(rest.close)
            self._storages[index] = rest
            for number, time, data in rest.messages(chosen, latest, stop):
                if time == latest and count > 0:
                    count -= 1  # it came before
                    continue
                yield numbers[number], time, data

    def _span(self) -> tuple[int, int]:
        """Time of the first message, and just after the last, without those of another clock.

        A computer that sets its clock while it records, or whose time is a simulation's that has
        not come yet, leaves messages of 1970 beside those of today.
        """
        filled = [storage for storage in self._storages if storage.end]
        start = min((storage.start for storage in filled), default=0)
        end = max((storage.end for storage in filled), default=0)
        if end - start < _PAUSE_NS or not self.connections:
            return start, end
        times = sorted(time for _, time, _ in self.messages())
        groups: list[list[int]] = [[]]
        for time in times:
            if groups[-1] and time - groups[-1][-1] >= _PAUSE_NS:
                groups.append([])
            groups[-1].append(time)
        group = max(groups, key=len)
        if len(groups) == 1 or not group:
            return start, end
        other = next(one for one in groups if one is not group)
        self._say(
            f"bag '{self.path}': {len(times) - len(group)} of {len(times)} messages were recorded"
            f" by another clock, at {other[0]} ns where most are at {group[0]} ns; the bag's begin"
            " and end are those of most. Fix: set the clock before recording"
        )
        return group[0], group[-1] + 1

    def _own_types(self, type_name: str) -> Typestore:
        """Types of a definition in the bag.

        Raises:
            Exception: There is none, or it is damaged.
        """
        if type_name not in self._types:
            definitions = (
                topic.definition
                for topic in self.connections
                if topic.msgtype == type_name and topic.definition[0]
            )
            kind, text = next(definitions, ("", ""))
            if not kind:
                raise LookupError(f"type {type_name} is unknown, and the bag does not define it")
            types = get_typestore(Stores.EMPTY)
            if kind == "ros2msg":
                types.register(get_types_from_msg(text, type_name))
            else:
                # Several files in one, each after a line of its own name.
                separator = "=" * 80 + "\n"
                for part in text.split(separator):
                    if part.strip():
                        idl = part.split("\n", 1)[1] if part.startswith("IDL: ") else part
                        types.register(get_types_from_idl(idl))
            self._types[type_name] = types
        return self._types[type_name]

    def _lost(self, text: str) -> None:
        if text not in self.losses:
            self.losses.append(text)
            self._say(text)


def _decompressed(data: bytes) -> bytes:
    """Decompress a message that rosbag2 compressed by itself: CDR never begins with zstd's magic.

    One that is damaged stays as it is, so that it is found not to deserialize.
    """
    if data[:4] != ZSTD_MAGIC:
        return data
    try:
        return bytes(zstd().decompress(data))
    except zstd().ZstdError:
        return data


def _unreadable(path: Path, error: OSError) -> BagError:
    return BagError(
        f"bag '{path}' cannot be read: {error.strerror or one_line(error)}"
        + (f" ({error.filename})" if error.filename and str(error.filename) != str(path) else ""),
        expected="files that may be read",
        fix="correct their permissions, or copy the bag to a disk that is whole",
    )
