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

"""Bags of any form and any metadata.yaml: the messages are those of the file, whatever it says.

FUZZ=N runs N times as many cases, others on every run; see test_fuzz.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from broken_bags import put_together, take_apart
from hypothesis import given
from hypothesis import strategies as st
from test_fuzz import TEXT, attempt, cases, mutated, read_bag, tiny
from tiny_drive import write_drive

from depth_perception.datasets.bag_file import open_bag
from depth_perception.datasets.bag_playback import Playback

KEYS = (
    "version",
    "storage_identifier",
    "duration",
    "starting_time",
    "message_count",
    "topics_with_message_count",
    "compression_format",
    "compression_mode",
    "relative_file_paths",
    "files",
    "custom_data",
    "ros_distro",
)
INNER_KEYS = ("nanoseconds", "nanoseconds_since_epoch", "topic_metadata", "name", "message_count")
NUMBER = st.sampled_from([0, -1, 1, 2**31, 2**63 - 1, 2**63, -(2**63), 2**64, 10**30])
NAME = st.sampled_from(
    ["mcap.mcap", "x/mcap.mcap", "absent.mcap", "mcap.mcap.zstd", "metadata.yaml", "..", "a" * 300]
)
LEAF = NUMBER | TEXT | NAME | st.none() | st.booleans() | st.floats() | st.dates()
VALUE = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "nanoseconds",
                    "nanoseconds_since_epoch",
                    "topic_metadata",
                    "name",
                    "message_count",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


def contents(path: Path) -> list[tuple[str, int, bytes]]:
    with open_bag(path) as bag:
        assert bag.start_time <= bag.end_time
        assert sum(topic.msgcount for topic in bag.connections) == bag.message_count
        return [(topic.topic, time, data) for topic, time, data in bag.messages()]


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzzed") / "mcap"
    return write_drive(folder, frames=2, compressed=True, change=tiny)


@pytest.fixture
def bag(drive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drive, tmp_path / "bag"))


@st.composite
def metadata(draw: Any, good: dict[str, Any]) -> dict[str, Any]:
    """The right one with some values replaced or removed."""
    out = dict(good)
    for name in draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=4)):
        if draw(st.integers(0, 4)) == 0:
            out.pop(name, None)
        elif name == "relative_file_paths":
            out[name] = draw(st.lists(NAME | LEAF, max_size=4) | VALUE)
        else:
            out[name] = draw(VALUE)
    return out


def test_whatever_metadata_says_the_messages_are_those_of_the_file(drive: Path, bag: Path) -> None:
    expected = contents(drive)
    whole = yaml.safe_load((drive / "metadata.yaml").read_text())

    @cases(200)
    @given(metadata(whole["rosbag2_bagfile_information"]))
    def check(values: dict[str, Any]) -> None:
        text = yaml.safe_dump({"rosbag2_bagfile_information": values})
        (bag / "metadata.yaml").write_text(text, encoding="utf-8", errors="replace")
        assert contents(bag) == expected
        said: list[str] = []
        with open_bag(bag, said.append), Playback(bag) as playback:
            assert playback.start <= playback.end
        assert all("Fix:" in text and "\n" not in text and len(text) < 2000 for text in said)

    check()


def test_a_damaged_metadata_file_never_costs_the_messages(drive: Path, bag: Path) -> None:
    expected = contents(drive)

    @cases(200)
    @given(mutated((drive / "metadata.yaml").read_bytes()) | st.binary(max_size=200))
    def check(data: bytes) -> None:
        (bag / "metadata.yaml").write_bytes(data)
        assert contents(bag) == expected

    check()


@st.composite
def forms(draw: Any) -> dict[str, Any]:
    flag = st.booleans()
    return {
        "chunks": draw(st.integers(0, 6)),
        "compression": draw(st.sampled_from(["", "zstd", "lz4"])),
        **{
            name: draw(flag)
            for name in ("message_index", "summary", "statistics", "repeated", "end")
        },
    }


def test_every_form_of_mcap_is_read_and_a_cut_one_up_to_the_cut(drive: Path, bag: Path) -> None:
    expected = contents(drive)
    (file,) = bag.glob("*.mcap")
    heads, stored = take_apart(file.read_bytes())

    @cases(300)
    @given(forms(), st.randoms(use_true_random=False), st.floats(0, 1))
    def check(form: dict[str, Any], random: Any, share: float) -> None:
        order = list(stored)
        random.shuffle(order)
        data = put_together(heads, order, **form)
        file.write_bytes(data)
        assert sorted(contents(bag)) == sorted(expected)
        file.write_bytes(data[: int(share * len(data))])
        found = attempt(contents, bag)
        assert found is None or set(found) <= set(expected)
        attempt(read_bag, file)

    check()


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_damaged_files_without_an_index(drive: Path, tmp_path: Path, compression: str) -> None:
    (file,) = drive.glob("*.mcap")
    heads, stored = take_apart(file.read_bytes())
    data = put_together(heads, stored, chunks=3, compression=compression, message_index=False)
    outcomes: list[int | None] = []

    @cases(200)
    @given(mutated(data))
    def check(damaged: bytes) -> None:
        (tmp_path / "bag.mcap").write_bytes(damaged)
        outcomes.append(attempt(read_bag, tmp_path / "bag.mcap"))

    check()
    assert outcomes.count(4) > len(outcomes) / 10 and len(set(outcomes)) > 1
