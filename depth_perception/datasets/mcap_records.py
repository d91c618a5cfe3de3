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

"""Records of the MCAP format (https://mcap.dev/spec), from bytes.

A record is one byte of kind, eight of length, and a content; messages lie in chunks, which may be
compressed, or loose between them. Numbers are little endian, texts have their length before them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from depth_perception.datasets.bag_kinds import MCAP_MAGIC
from depth_perception.datasets.bag_storage import one_line
from depth_perception.datasets.decompression import lz4_frame, zstd
from depth_perception.errors import BagError

HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK = range(1, 7)
CHUNK_INDEX, STATISTICS, DATA_END = 0x08, 0x0B, 0x0F

RECORD_HEAD = struct.Struct("<BQ")
MESSAGE_HEAD = struct.Struct("<HIQQ")
_CHUNK = struct.Struct("<QQQI")
_CHUNK_INDEX = struct.Struct("<QQQQ")
_STATISTICS = struct.Struct("<QHIIIIQQ")
FOOTER_SIZE = RECORD_HEAD.size + 20 + len(MCAP_MAGIC)

_LARGEST_CHUNK = 1 << 32


class Damaged(Exception):
    """Bytes are not what the format says."""


@dataclass
class Chunk:
    """Messages that lie together.

    Attributes:
        offset: Of its content in the file, bytes.
        size: Of its content, bytes.
        start: Time of the first message, ns.
        end: Time of the last message, ns.
        counts: Number of messages by channel.
        loose: True for messages that are in no chunk.
        cut: True when the file ends inside of it.
    """

    offset: int
    size: int
    start: int = 2**64
    end: int = -1
    counts: dict[int, int] = field(default_factory=dict)
    loose: bool = False
    cut: bool = False

    def add(self, channel: int, time: int) -> None:
        """Count a message."""
        self.counts[channel] = self.counts.get(channel, 0) + 1
        self.start, self.end = min(self.start, time), max(self.end, time)


@dataclass(frozen=True)
class Channel:
    """A channel's topic, how its messages are encoded, their schema, and other properties."""

    topic: str
    encoding: str
    schema: int
    metadata: dict[str, str]


def records_of(data: bytes) -> tuple[list[tuple[int, int, int]], int]:
    """Find the whole records in some bytes.

    Returns:
        (kind, begin of content, end of content) of each, and where the last one ends.
    """
    found, at = [], 0
    while at + RECORD_HEAD.size <= len(data):
        kind, length = RECORD_HEAD.unpack_from(data, at)
        content = at + RECORD_HEAD.size
        if length > len(data) - content or kind == 0:
            break
        at = content + length
        found.append((kind, content, at))
    return found, at


def indexed_chunk(content: bytes, data_end: int) -> Chunk:
    """Read a chunk index.

    The lengths of a chunk's message indexes, one after another behind it, tell how many messages of
    each channel it holds: each is 15 bytes and 16 for a message.

    Raises:
        Damaged: The chunk would not lie in the file's data.
    """
    start, end, offset, length = _CHUNK_INDEX.unpack_from(content)
    (size,) = struct.unpack_from("<I", content, _CHUNK_INDEX.size)
    at = _CHUNK_INDEX.size + 4
    if size % 10 or at + size > len(content):
        raise Damaged("a chunk index of another length than it says")
    offsets = sorted((o, c) for c, o in struct.iter_unpack("<HQ", content[at : at + size]))
    (index_length,) = struct.unpack_from("<Q", content, at + size)
    if length < RECORD_HEAD.size or offset + length + index_length > data_end:
        raise Damaged("a chunk index that points out of the file")
    ends = [o for o, _ in offsets[1:]] + [offset + length + index_length]
    counts = {c: (stop - o - 15) // 16 for (o, c), stop in zip(offsets, ends, strict=False)}
    if any(count < 0 for count in counts.values()):
        raise Damaged("message indexes that overlap")
    counts = {channel: count for channel, count in counts.items() if count}
    return Chunk(offset + RECORD_HEAD.size, length - RECORD_HEAD.size, start, end, counts)


def statistics_of(content: bytes) -> tuple[int, dict[int, int]]:
    """Number of chunks, and of messages by channel."""
    chunks = _STATISTICS.unpack_from(content)[5]
    (size,) = struct.unpack_from("<I", content, _STATISTICS.size)
    at = _STATISTICS.size + 4
    if size % 10 or at + size > len(content):
        raise Damaged("statistics of another length than they say")
    return chunks, dict(struct.iter_unpack("<HQ", content[at : at + size]))


def text_at(content: bytes, at: int) -> tuple[str, int]:
    """Read a string, and where the next thing begins."""
    (size,) = struct.unpack_from("<I", content, at)
    end = at + 4 + size
    if end > len(content):
        raise Damaged("a text that is longer than its record")
    return content[at + 4 : end].decode(), end


def unpack(content: bytes, cut: bool) -> bytes:
    """Decompress the records of a chunk; of one that is cut, as many bytes as there are.

    Raises:
        Damaged: The chunk's head, size or checksum does not fit.
    """
    try:
        _, _, size, checksum = _CHUNK.unpack_from(content)
        compression, at = text_at(content, _CHUNK.size)
        (packed,) = struct.unpack_from("<Q", content, at)
    except (struct.error, UnicodeDecodeError):
        raise Damaged("its head is cut or unreadable") from None
    data = content[at + 8 : at + 8 + packed]
    if len(data) < packed and not cut:
        raise Damaged(f"{len(data)} bytes of {packed}")
    if size > _LARGEST_CHUNK:
        raise Damaged(f"it would be {size} bytes")
    unpacked = _decompress(data, compression, size)
    if cut:
        return unpacked
    if len(unpacked) != size:
        raise Damaged(f"{len(unpacked)} bytes of {size}")
    if checksum and crc32(unpacked) != checksum:
        raise Damaged("its checksum differs")
    return unpacked


def _decompress(data: bytes, compression: str, size: int) -> bytes:
    if compression == "":
        return data
    makers: dict[str, Callable[[], Any]] = {
        "zstd": lambda: zstd().ZstdDecompressor(),
        "lz4": lambda: lz4_frame().LZ4FrameDecompressor(),
    }
    if compression not in makers:
        raise Damaged(f"its compression '{compression}' is neither zstd nor lz4")
    out = b""
    try:
        while data and len(out) < size:  # there may be several frames
            decompressor = makers[compression]()
            if compression == "zstd":
                out += decompressor.decompress(data, size - len(out) + 1)
            else:
                out += decompressor.decompress(data)
            data = decompressor.unused_data if decompressor.eof else b""
    except BagError:
        raise
    except Exception as error:  # of the decompressor's own kinds
        raise Damaged(f"it does not decompress: {one_line(error)}") from None
    return out
