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

"""One file of a bag, opened: what each kind of storage offers, and SQLite files.

SQLite is read by PyPI ``rosbags``; MCAP by `mcap_file`. In: a path. Out: topics, and messages as
they were recorded.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from depth_perception.errors import BagError, missing_library

try:
    from rosbags.interfaces import MessageDefinitionFormat, QosDurability
    from rosbags.rosbag2 import Reader
except ImportError as error:
    raise missing_library("rosbags", error) from None

StoredMessage = tuple[int, int, bytes]
"""Number of the topic in its file, bag time in ns, CDR bytes with their header."""


@dataclass(frozen=True)
class BagTopic:
    """One topic of a bag or of one of its files.

    Attributes:
        number: Of the topic in the file, or in the bag.
        topic: Its name.
        msgtype: E.g. ``sensor_msgs/msg/Image``.
        msgcount: How many messages there are.
        latched: True when it was recorded from a transient-local publisher.
        encoding: How messages are serialized; ROS 2 writes ``cdr``.
        definition: (format, text) of the message type, format ``ros2msg``, ``ros2idl`` or empty.
    """

    number: int
    topic: str
    msgtype: str
    msgcount: int
    latched: bool = False
    encoding: str = "cdr"
    definition: tuple[str, str] = ("", "")


class Storage(Protocol):
    """An opened file.

    Attributes:
        topics: What is in it, by number.
        start: Time of the first message, ns; 0 without any.
        end: Time just after the last message, ns; 0 without any.
    """

    topics: list[BagTopic]
    start: int
    end: int

    def messages(
        self, numbers: Collection[int], start: int | None, stop: int | None
    ) -> Iterator[StoredMessage]:
        """Yield the messages of some topics from ``start`` to before ``stop`` (ns), in order."""

    def close(self) -> None:
        """Close the file."""


class SqliteFile:
    """A ``.db3`` file; see `Storage`."""

    def __init__(self, path: Path, named: Path | None = None) -> None:
        """Open it.

        Args:
            path: The file.
            named: What it is called in errors, when it was decompressed from another file.

        Raises:
            BagError: It is cut, damaged, or holds no bag; names file and fix.
        """
        self._path = named or path
        # The reader makes a URI of the path, in which ? and % have a meaning.
        self._reader: Any = Reader.STORAGE_PLUGINS[".db3"](Path(quote(str(path))))
        try:
            self._reader.open()
            self.topics = [
                _topic(connection)
                for connection in self._reader.connections
                # A damaged database may have anything in the place of a text.
                if isinstance(connection.topic, str) and isinstance(connection.msgtype, str)
            ]
            empty = self._reader.metadata.message_count == 0
            self.start = 0 if empty else int(self._reader.metadata.start_time)
            self.end = 0 if empty else int(self._reader.metadata.end_time)
        except Exception as error:  # damaged files raise anything, from apsw.Error to KeyError
            raise self._unreadable(error) from None

    def messages(
        self, numbers: Collection[int], start: int | None, stop: int | None
    ) -> Iterator[StoredMessage]:
        """See `Storage`.

        Raises:
            BagError: The file is damaged from here on.
        """
        wanted = [c for c in self._reader.connections if c.id in numbers]
        if not wanted:
            return
        try:
            for connection, time, data in self._reader.messages(wanted, start, stop):
                if isinstance(time, int) and isinstance(data, bytes):  # SQLite lets be anything
                    yield connection.id, time, data
        except Exception as error:  # as above
            raise self._unreadable(error) from None

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def _unreadable(self, error: Exception) -> BagError:
        return BagError(
            f"bag '{self._path}' cannot be read: {one_line(error)}",
            expected="a whole SQLite file of rosbag2 (this one is cut or damaged)",
            fix=unwritten_log(self._path)
            or "copy it anew from where it was recorded, or record it again",
        )


def unwritten_log(path: Path) -> str:
    """Say how to bring in what SQLite keeps beside a file whose writer was killed; else empty."""
    log = path.with_name(path.name + "-wal")
    with suppress(OSError):
        if log.stat().st_size > 0:
            command = f"sqlite3 {shlex.quote(str(path))} 'PRAGMA wal_checkpoint(TRUNCATE)'"
            return f"bring in the messages of '{log.name}', which lies beside it: {command}"
    return ""


def counted(messages: int) -> str:
    """Write a number of messages."""
    return "1 message" if messages == 1 else f"{messages} messages"


def one_line(error: BaseException) -> str:
    """Text of an error in one line; its kind where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def _topic(connection: Any) -> BagTopic:
    formats = {MessageDefinitionFormat.MSG: "ros2msg", MessageDefinitionFormat.IDL: "ros2idl"}
    profiles = connection.ext.offered_qos_profiles or []
    return BagTopic(
        number=connection.id,
        topic=connection.topic,
        msgtype=connection.msgtype,
        msgcount=connection.msgcount,
        latched=any(profile.durability == QosDurability.TRANSIENT_LOCAL for profile in profiles),
        encoding=connection.ext.serialization_format or "cdr",
        definition=(formats.get(connection.msgdef.format, ""), connection.msgdef.data),
    )
