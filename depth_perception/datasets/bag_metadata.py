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

"""metadata.yaml of a bag: which files it lists, and where it disagrees with the messages.

It is written at another time than the messages, and by other tools; what it says of them is not
relied on anywhere. In: the file. Out: what it says, and a sentence about what is wrong in it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

import yaml

from depth_perception.datasets.bag_storage import BagTopic, one_line

METADATA = "metadata.yaml"

_SLACK_NS = 1_000_000_000
"""Times in metadata.yaml may be off by so much without a word."""
_BRIEF = 60


def read_metadata(path: Path, notes: list[str]) -> dict[str, Any]:
    """Read what metadata.yaml says of the bag; empty, with a note, when it says nothing."""
    reason = "it has no mapping rosbag2_bagfile_information"
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8", errors="replace"))
        if isinstance(found, dict) and isinstance(found.get("rosbag2_bagfile_information"), dict):
            return dict(found["rosbag2_bagfile_information"])
    except OSError:
        raise
    except Exception as error:  # damaged YAML raises anything
        reason = one_line(error)
    notes.append(
        f"'{path}' is not read ({reason}); what the files themselves say holds. Fix: correct it, or"
        " remove it: it is not needed here"
    )
    return {}


def listed_names(metadata: dict[str, Any]) -> list[str]:
    """File names in `relative_file_paths`; folders before them date from where it was recorded."""
    listed = metadata.get("relative_file_paths")
    if not isinstance(listed, list):
        return []
    names = [PurePath(item).name for item in listed if isinstance(item, str)]
    return [name for name in dict.fromkeys(names) if name not in ("", METADATA)]


def how_to_mend(folder: Path, files: Iterable[Path], kinds: Iterable[str]) -> str:
    """Say how to make a metadata.yaml that is true of these files."""
    storage = " ".join(set(kinds))
    # The tool of ROS looks for files with a number, of one storage, and leaves the others alone.
    if all(re.fullmatch(r".+_\d+\.(mcap|db3)", file.name) for file in files) and " " not in storage:
        return f"run: ros2 bag reindex -s {storage} {shlex.quote(str(folder))}"
    return f"correct {METADATA}, or remove it: it is not needed here"


def disagreement(
    metadata: dict[str, Any], topics: Iterable[BagTopic], start: int, end: int, kinds: Iterable[str]
) -> str:
    """Name what metadata.yaml says otherwise than the files; empty when nothing.

    Args:
        metadata: Of `read_metadata`; nothing disagrees with an empty one.
        topics: Of the bag, with the number of their messages.
        start: Time of the first message, ns.
        end: Time just after the last message, ns.
        kinds: What the files are: ``mcap``, ``sqlite3``.
    """
    if not metadata:
        return ""
    found = []
    storage, kinds = metadata.get("storage_identifier"), sorted(set(kinds))
    if kinds and kinds != [storage]:
        found.append(f"storage_identifier '{_brief(storage)}', the file is {' and '.join(kinds)}")
    counts: dict[str, int] = {}
    for topic in topics:
        counts[topic.topic] = counts.get(topic.topic, 0) + topic.msgcount
    total = sum(counts.values())
    if total:
        said, truth = _nested(metadata, "starting_time", "nanoseconds_since_epoch"), start
        if not _near(said, truth):
            found.append(f"starting_time {_brief(said)}, they begin at {truth} ns")
        said, truth = _nested(metadata, "duration", "nanoseconds"), end - start - 1
        if not _near(said, truth):
            found.append(f"duration {_brief(said)}, they last {truth} ns")
    if metadata.get("message_count") != total:
        said = _brief(metadata.get("message_count"))
        found.append(f"message_count {said}, there are {total}")
    listed = _listed_counts(metadata)
    names = sorted({*listed, *counts})
    wrong = [name for name in names if listed.get(name, 0) != counts.get(name, 0)]
    if wrong:
        name, more = wrong[0], f", and {len(wrong) - 1} more topics" if wrong[1:] else ""
        said = _brief(listed.get(name, "no messages"))
        found.append(f"{said} of {_brief(name)}, there are {counts.get(name, 0)}{more}")
    return "; ".join(found)


def _brief(value: Any) -> str:
    """Write a value that may be anything in a few characters of one line."""
    try:
        text = " ".join(str(value).split())
    except ValueError:  # a number of thousands of digits
        text = type(value).__name__
    return text if len(text) <= _BRIEF else text[:_BRIEF] + "..."


def _nested(metadata: dict[str, Any], name: str, key: str) -> Any:
    value = metadata.get(name)
    return value.get(key) if isinstance(value, dict) else None


def _near(value: Any, truth: int) -> bool:
    return isinstance(value, int) and abs(value - truth) <= _SLACK_NS


def _listed_counts(metadata: dict[str, Any]) -> dict[str, Any]:
    """Number of messages by topic, as metadata.yaml lists them."""
    listed: dict[str, Any] = {}
    entries = metadata.get("topics_with_message_count")
    for entry in entries if isinstance(entries, list) else []:
        name = _nested(entry, "topic_metadata", "name") if isinstance(entry, dict) else None
        count = entry.get("message_count") if isinstance(entry, dict) else None
        if isinstance(name, str):
            before = listed.get(name, 0)
            both = isinstance(before, int) and isinstance(count, int)
            listed[name] = before + count if both else count
    return listed
