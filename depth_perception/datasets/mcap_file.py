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

"""MCAP files, also those without message index, without summary, or cut off.

A summary at the end says what is in each chunk. Where it does not account for all messages, or is
not there, the file is read once from end to end and the same index made from what is found. In: a
path. Out: topics, and messages as they were recorded. Records themselves: `mcap_records`.
"""

from __future__ import annotations

import heapq
import os
import struct
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import yaml

from depth_perception.datasets.bag_kinds import MCAP_MAGIC
from depth_perception.datasets.bag_storage import BagTopic, StoredMessage, counted
from depth_perception.datasets.mcap_records import (
    CHANNEL,
    CHUNK,
    CHUNK_INDEX,
    DATA_END,
    FOOTER,
    FOOTER_SIZE,
    MESSAGE,
    MESSAGE_HEAD,
    RECORD_HEAD,
    SCHEMA,
    STATISTICS,
    Channel,
    Chunk,
    Damaged,
    indexed_chunk,
    records_of,
    statistics_of,
    text_at,
    unpack,
)
from depth_perception.errors import BagError

_LOOSE_BYTES = 1 << 22
"""Loose messages are indexed in pieces of about so many bytes."""


class McapFile:
    """An ``.mcap`` file, opened; see `bag_storage.Storage`."""

    def __init__(self, path: Path, lost: Callable[[str], None], named: Path | None = None) -> None:
        """Open it and make sure of what is in it.

        Args:
            path: The file.
            lost: Called with what cannot be read of it, in one line, when that is found.
            named: What it is called in errors, when it was decompressed from another file.

        Raises:
            BagError: It breaks off before its first message; names file and fix.
            OSError: It cannot be read.
        """
        self._path, self._lost = named or path, lost
        self._damaged: set[int] = set()
        self._file = path.open("rb")
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            self._clear()
            if not self._read_summary():
                self._clear()
                self._scan()
        except BaseException:
            self._file.close()
            raise
        self._chunks.sort(key=lambda chunk: chunk.offset)
        filled = [chunk for chunk in self._chunks if chunk.counts]
        self.start = min((chunk.start for chunk in filled), default=0)
        self.end = max((chunk.end + 1 for chunk in filled), default=0)
        self.topics = [self._topic(number) for number in self._channels]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def messages(
        self, numbers: Collection[int], start: int | None = None, stop: int | None = None
    ) -> Iterator[StoredMessage]:
        """Yield (channel, bag time ns, CDR bytes) in the order of time; damaged chunks are lost."""
        wanted = set(numbers)
        streams = [
            self._chunk_messages(chunk, wanted, start, stop)
            for chunk in self._chunks
            if not wanted.isdisjoint(chunk.counts)
            and (start is None or chunk.end >= start)
            and (stop is None or chunk.start < stop)
        ]
        for time, channel, data in heapq.merge(*streams, key=lambda item: item[0]):
            if channel >= 0:
                yield channel, time, data

    def _chunk_messages(
        self, chunk: Chunk, wanted: set[int], start: int | None, stop: int | None
    ) -> Iterator[tuple[int, int, bytes]]:
        """Yield (time, channel, bytes) of one chunk, in the order of time.

        Before them comes (time of the first, -1, nothing), so that merging many chunks loads each
        when its time has come.
        """
        yield chunk.start, -1, b""
        try:
            data = self._load(chunk)
            records, end = records_of(data)
            if end < len(data) and not chunk.cut:
                self._lose(chunk, f"it breaks off {end} bytes after its beginning")
        except Damaged as error:
            self._lose(chunk, str(error))
            return
        found = []
        for kind, begin, end in records:
            if kind != MESSAGE or end - begin < MESSAGE_HEAD.size:
                continue
            channel, _, time, _ = MESSAGE_HEAD.unpack_from(data, begin)
            if (
                channel in wanted
                and (start is None or time >= start)
                and (stop is None or time < stop)
            ):
                found.append((time, channel, begin, end))
        found.sort(key=lambda item: item[0])
        for time, channel, begin, end in found:
            yield time, channel, data[begin + MESSAGE_HEAD.size : end]

    def _load(self, chunk: Chunk) -> bytes:
        """Read the records of a chunk.

        Raises:
            Damaged: They are not what the chunk's head says.
        """
        self._file.seek(chunk.offset)
        content = self._file.read(chunk.size)
        if len(content) < chunk.size:
            raise Damaged("the file ends inside of it")
        return content if chunk.loose else unpack(content, chunk.cut)

    def _lose(self, chunk: Chunk, why: str) -> None:
        if chunk.offset in self._damaged:
            return
        self._damaged.add(chunk.offset)
        count = sum(chunk.counts.values())
        self._lost(
            f"bag '{self._path}': the chunk of messages at byte {chunk.offset} is damaged ({why});"
            f" what cannot be read of its {count or 'unknown number of'} messages is left out."
            " Fix: copy the bag anew from where it was recorded"
        )

    def _clear(self) -> None:
        self._schemas: dict[int, tuple[str, str, str]] = {}
        self._channels: dict[int, Channel] = {}
        self._chunks: list[Chunk] = []

    # What is in the file, by its summary.

    def _read_summary(self) -> bool:
        """Take the index from the end of the file; False when it does not tell of all messages."""
        self._file.seek(max(0, self._size - FOOTER_SIZE))
        footer = self._file.read()
        if len(footer) < FOOTER_SIZE or not footer.endswith(MCAP_MAGIC):
            return False
        kind, length, begin = struct.unpack_from("<BQQ", footer)
        end = self._size - FOOTER_SIZE
        if (kind, length) != (FOOTER, 20) or not len(MCAP_MAGIC) <= begin < end:
            return False
        self._file.seek(begin)
        data = self._file.read(end - begin)
        statistics: tuple[int, dict[int, int]] | None = None
        try:
            records, stopped = records_of(data)
            if stopped != len(data):
                return False
            for kind, at, to in records:
                self._describe(kind, data[at:to])
                if kind == CHUNK_INDEX:
                    self._chunks.append(indexed_chunk(data[at:to], begin))
                elif kind == STATISTICS:
                    statistics = statistics_of(data[at:to])
        except (Damaged, struct.error, UnicodeDecodeError):
            return False
        if statistics is None or statistics[0] != len(self._chunks):
            return False
        # Without a message index, chunks look empty here, and the statistics know better; where
        # messages lie loose, there are chunks for none of them.
        counted: dict[int, int] = {}
        for chunk in self._chunks:
            for channel, count in chunk.counts.items():
                counted[channel] = counted.get(channel, 0) + count
        return (
            counted == {c: n for c, n in statistics[1].items() if n}
            and all(channel in self._channels for channel in counted)
            and all(c.schema in self._schemas for c in self._channels.values() if c.schema)
        )

    # What is in the file, by reading all of it.

    def _scan(self) -> None:
        """Make the index from the records themselves.

        Raises:
            BagError: The file breaks off before its first message.
        """
        at, loose, ended, cut = len(MCAP_MAGIC), None, False, False
        while at + RECORD_HEAD.size <= self._size:
            self._file.seek(at)
            kind, length = RECORD_HEAD.unpack(self._file.read(RECORD_HEAD.size))
            content = at + RECORD_HEAD.size
            if (kind, length) in ((DATA_END, 4), (FOOTER, 20)):
                ended = True
                break
            if kind == 0:  # no record; a file that was given its size before it was filled
                break
            cut = length > self._size - content
            if kind == CHUNK:
                self._add_chunk(Chunk(content, min(length, self._size - content), cut=cut))
            if cut:
                break
            if kind in (SCHEMA, CHANNEL):
                self._try_describe(kind, self._file.read(length))
            elif kind == MESSAGE and length >= MESSAGE_HEAD.size:
                channel, _, time, _ = MESSAGE_HEAD.unpack(self._file.read(MESSAGE_HEAD.size))
                if loose is None or loose.offset + loose.size != at or loose.size >= _LOOSE_BYTES:
                    loose = Chunk(at, 0, loose=True)
                    self._chunks.append(loose)
                loose.add(channel, time)
                loose.size = content + length - loose.offset
            at = content + length
        for chunk in self._chunks:  # a message without its channel is of unknown type
            chunk.counts = {c: n for c, n in chunk.counts.items() if c in self._channels}
        if not ended:
            self._say_where_it_ends(at, cut)

    def _say_where_it_ends(self, at: int, cut: bool) -> None:
        filled = [chunk for chunk in self._chunks if chunk.counts]
        count = sum(sum(chunk.counts.values()) for chunk in filled)
        where = f"bag '{self._path}' breaks off at byte {at} of {self._size}"
        if cut:
            where = f"bag '{self._path}' breaks off at byte {self._size}, in a record begun at {at}"
        elif at >= self._size:
            where = f"bag '{self._path}' was not closed: it ends after {at} bytes without a footer"
        fix = "copy it anew from where it was recorded, or record it again"
        if not count:
            raise BagError(f"{where}, before its first message", expected="a whole bag", fix=fix)
        seconds = (max(c.end for c in filled) - min(c.start for c in filled)) * 1e-9
        self._lost(
            f"{where}; what is before that is read ({counted(count)}, {seconds:.1f} s), the rest is"
            f" left out. Fix: {fix}"
        )

    def _add_chunk(self, chunk: Chunk) -> None:
        """Count what is in a chunk, and read the schemas and channels in it."""
        self._chunks.append(chunk)
        try:
            data = self._load(chunk)
        except Damaged as error:
            if not chunk.cut:
                self._lose(chunk, str(error))
            return
        for kind, begin, end in records_of(data)[0]:
            if kind in (SCHEMA, CHANNEL):
                self._try_describe(kind, data[begin:end])
            elif kind == MESSAGE and end - begin >= MESSAGE_HEAD.size:
                channel, _, time, _ = MESSAGE_HEAD.unpack_from(data, begin)
                chunk.add(channel, time)

    def _try_describe(self, kind: int, content: bytes) -> None:
        try:
            self._describe(kind, content)
        except (Damaged, struct.error, UnicodeDecodeError):
            return  # it comes again in other chunks, or its messages are of unknown type

    def _describe(self, kind: int, content: bytes) -> None:
        """Take a schema or a channel."""
        if kind == SCHEMA:
            (number,) = struct.unpack_from("<H", content)
            name, at = text_at(content, 2)
            encoding, at = text_at(content, at)
            text, _ = text_at(content, at)
            self._schemas[number] = (name, encoding, text)
        elif kind == CHANNEL:
            number, schema = struct.unpack_from("<HH", content)
            topic, at = text_at(content, 4)
            encoding, at = text_at(content, at)
            (size,) = struct.unpack_from("<I", content, at)
            metadata, at, end = {}, at + 4, at + 4 + size
            while at < end:
                key, at = text_at(content, at)
                metadata[key], at = text_at(content, at)
            self._channels[number] = Channel(topic, encoding, schema, metadata)

    def _topic(self, number: int) -> BagTopic:
        channel = self._channels[number]
        name, encoding, text = self._schemas.get(channel.schema, ("", "", ""))
        return BagTopic(
            number=number,
            topic=channel.topic,
            msgtype=name,
            msgcount=sum(chunk.counts.get(number, 0) for chunk in self._chunks),
            latched=_is_latched(channel.metadata.get("offered_qos_profiles", "")),
            encoding=channel.encoding or "cdr",
            definition=(encoding, text),
        )


def _is_latched(profiles: str) -> bool:
    """Tell from a channel's QoS whether its publisher was transient local."""
    try:
        found = yaml.safe_load(profiles) if profiles else None
    except Exception:  # damaged YAML raises anything
        return False
    if not isinstance(found, list):
        return False
    return any(
        isinstance(one, dict) and str(one.get("durability")).lower() in ("1", "transient_local")
        for one in found
    )
