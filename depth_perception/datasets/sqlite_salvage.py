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

"""What is left of an SQLite file of rosbag2 that is cut off or damaged.

SQLite refuses a file that is shorter than its head says, and ends a query at the first page that
is missing. Here each message is asked for by its number, so that those whose pages are there are
found. In: a path. Out: topics and messages, as `bag_storage.Storage`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from depth_perception.datasets.bag_storage import BagTopic, StoredMessage

_MISSES = 10_000
"""The messages are over when so many numbers in a row have none that can be read."""


class SalvagedSqliteFile:
    """A damaged ``.db3`` file; see `bag_storage.Storage`."""

    def __init__(self, path: Path) -> None:
        """Find what can be read.

        Raises:
            sqlite3.Error: Not even the list of topics can.
        """
        uri = f"file:{quote(str(path))}?immutable=1&mode=ro"
        self._database = sqlite3.connect(uri, uri=True, check_same_thread=False)
        try:
            # Without it, a file that is shorter than its head says is refused as a whole.
            self._database.execute("PRAGMA writable_schema = ON")
            self._places = self._find_messages()
            self.topics = self._find_topics()
        except BaseException:
            self._database.close()
            raise
        known = {topic.number for topic in self.topics}
        self._places = sorted(place for place in self._places if place[2] in known)
        self.start = self._places[0][0] if self._places else 0
        self.end = self._places[-1][0] + 1 if self._places else 0

    def messages(
        self, numbers: Collection[int], start: int | None = None, stop: int | None = None
    ) -> Iterator[StoredMessage]:
        """See `bag_storage.Storage`."""
        for time, number, topic in self._places:
            if topic not in numbers or not (start is None or time >= start):
                continue
            if stop is not None and time >= stop:
                return
            row = self._row("SELECT data FROM messages WHERE id = ?", number)
            if row is not None and isinstance(row[0], bytes):
                yield topic, time, row[0]

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _find_messages(self) -> list[tuple[int, int, int]]:
        """(time, number, topic) of every message that can be read as a whole."""
        places, number, misses = [], 0, 0
        while misses < _MISSES:
            number += 1
            row = self._row("SELECT timestamp, topic_id, data FROM messages WHERE id = ?", number)
            if row is None:
                misses += 1
                continue
            misses = 0
            time, topic, data = row
            if isinstance(time, int) and isinstance(topic, int) and isinstance(data, bytes):
                places.append((time, number, topic))
        return places

    def _row(self, query: str, number: int) -> tuple[Any, ...] | None:
        try:
            row = self._database.execute(query, (number,)).fetchone()
        except (sqlite3.Error, OverflowError):
            return None
        return None if row is None else tuple(row)

    def _find_topics(self) -> list[BagTopic]:
        counts: dict[int, int] = {}
        for _, _, topic in self._places:
            counts[topic] = counts.get(topic, 0) + 1
        rows = self._database.execute("SELECT id, name, type, serialization_format FROM topics")
        return [
            BagTopic(number, name, kind, counts.get(number, 0), encoding=encoding or "cdr")
            for number, name, kind, encoding in rows.fetchall()
            if isinstance(name, str) and isinstance(kind, str)
        ]
