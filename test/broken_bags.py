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

"""Bags as people have them, for tests: MCAP without index, end or right names, and the like."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lz4.frame
import yaml
from backports import zstd

from depth_perception.datasets.mcap_records import (
    CHANNEL,
    CHUNK,
    CHUNK_INDEX,
    DATA_END,
    FOOTER,
    HEADER,
    MESSAGE,
    SCHEMA,
    STATISTICS,
)

MAGIC = b"\x89MCAP0\r\n"
MESSAGE_INDEX = 7
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "zstd": zstd.compress,
    "lz4": lz4.frame.compress,
}


def record(kind: int, content: bytes) -> bytes:
    return struct.pack("<BQ", kind, len(content)) + content


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<I", len(data)) + data


def records(data: bytes, at: int = 0) -> Iterator[tuple[int, bytes]]:
    """(kind, content) of each record of bytes."""
    while at + 9 <= len(data) and data[at:] != MAGIC:
        kind, size = struct.unpack_from("<BQ", data, at)
        yield kind, data[at + 9 : at + 9 + size]
        at += 9 + size


def take_apart(data: bytes) -> tuple[list[bytes], list[tuple[int, int, bytes]]]:
    """Schemas and channels of an uncompressed file as records, and (channel, time, message).

    Messages are in the order of time.
    """
    heads: list[bytes] = []
    stored: list[tuple[int, int, bytes]] = []
    for kind, content in records(data, len(MAGIC)):
        if kind != CHUNK:
            continue
        (name,) = struct.unpack_from("<I", content, 28)
        assert name == 0, "uncompressed"
        for inner, item in records(content, 40):
            if inner in (SCHEMA, CHANNEL):
                heads.append(record(inner, item))
            elif inner == MESSAGE:
                channel, _, time = struct.unpack_from("<HIQ", item)
                stored.append((channel, time, item[22:]))
    return heads, sorted(stored, key=lambda item: item[1])


def put_together(
    heads: list[bytes],
    stored: list[tuple[int, int, bytes]],
    *,
    chunks: int = 2,
    compression: str = "",
    message_index: bool = True,
    summary: bool = True,
    statistics: bool = True,
    repeated: bool = True,
    end: bool = True,
) -> bytes:
    """Write an MCAP file with or without what it may lack.

    Args:
        heads: Records of schemas and channels.
        stored: (channel, time, message).
        chunks: How many; 0 leaves messages loose.
        compression: Of the chunks: empty, ``zstd`` or ``lz4``.
        message_index: Whether each chunk has one.
        summary: Whether there is one.
        statistics: Whether it has statistics.
        repeated: Whether it repeats schemas and channels.
        end: Whether the file was closed.
    """
    out = bytearray(MAGIC + record(HEADER, text("ros2") + text("test")))
    indexes: list[bytes] = []
    counts: dict[int, int] = {}
    for channel, _, _ in stored:
        counts[channel] = counts.get(channel, 0) + 1
    if chunks == 0:
        out += b"".join(heads)
        for channel, time, data in stored:
            out += record(MESSAGE, struct.pack("<HIQQ", channel, 0, time, time) + data)
    for index in range(chunks):
        part = stored[index * len(stored) // chunks : (index + 1) * len(stored) // chunks]
        inner = bytearray(b"".join(heads))
        places: dict[int, bytes] = {}
        for channel, time, data in part:
            places[channel] = places.get(channel, b"") + struct.pack("<QQ", time, len(inner))
            inner += record(MESSAGE, struct.pack("<HIQQ", channel, 0, time, time) + data)
        times = [time for _, time, _ in part]
        packed = COMPRESS[compression](bytes(inner))
        begin = len(out)
        out += record(
            CHUNK,
            struct.pack("<QQQI", min(times), max(times), len(inner), 0)
            + text(compression)
            + struct.pack("<Q", len(packed))
            + packed,
        )
        stop, offsets = len(out), b""
        for channel, entries in places.items() if message_index else ():
            offsets += struct.pack("<HQ", channel, len(out))
            out += record(MESSAGE_INDEX, struct.pack("<HI", channel, len(entries)) + entries)
        indexes.append(
            record(
                CHUNK_INDEX,
                struct.pack("<QQQQI", min(times), max(times), begin, stop - begin, len(offsets))
                + offsets
                + struct.pack("<Q", len(out) - stop)
                + text(compression)
                + struct.pack("<QQ", len(packed), len(inner)),
            )
        )
    if not end:
        return bytes(out)
    out += record(DATA_END, bytes(4))
    begin = len(out) if summary else 0
    if summary:
        out += b"".join(heads) if repeated else b""
        out += b"".join(indexes)
        if statistics:
            times = [time for _, time, _ in stored]
            by_channel = b"".join(struct.pack("<HQ", c, n) for c, n in counts.items())
            out += record(
                STATISTICS,
                struct.pack(
                    "<QHIIIIQQI",
                    len(stored),
                    1,
                    len(counts),
                    0,
                    0,
                    chunks,
                    min(times),
                    max(times),
                    len(by_channel),
                )
                + by_channel,
            )
    return bytes(out + record(FOOTER, struct.pack("<QQI", begin, 0, 0)) + MAGIC)


def rewrite(file: Path, **options: Any) -> Path:
    """Write an uncompressed MCAP file anew, see `put_together`."""
    file.write_bytes(put_together(*take_apart(file.read_bytes()), **options))
    return file


def edit_metadata(folder: Path, **values: Any) -> Path:
    """Replace values of metadata.yaml; ``starting_time`` and ``duration`` in nanoseconds."""
    path = folder / "metadata.yaml"
    whole = yaml.safe_load(path.read_text())
    bag = whole["rosbag2_bagfile_information"]
    inner = {"starting_time": "nanoseconds_since_epoch", "duration": "nanoseconds"}
    for name, value in values.items():
        bag[name] = {inner[name]: value} if name in inner else value
    path.write_text(yaml.safe_dump(whole))
    return folder
