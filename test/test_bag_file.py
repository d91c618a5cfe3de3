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

"""Bags as people have them: what can be read is read, and an error fits what was found."""

import gzip
import shutil
import sqlite3
from pathlib import Path

import pytest
import yaml
from backports import zstd
from broken_bags import edit_metadata, put_together, rewrite, take_apart
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from tiny_drive import PERIOD, START, write_drive

from depth_perception.datasets.bag import BagReader
from depth_perception.datasets.bag_file import open_bag
from depth_perception.datasets.bag_playback import Playback
from depth_perception.datasets.bag_writer import BagWriter, package_typestore
from depth_perception.datasets.inspection import inspect_bag
from depth_perception.datasets.sources.bag import open_source
from depth_perception.errors import BagError
from depth_perception.evaluation.replay import write_mounting
from depth_perception.parameters import Parameters

ENDINGS = {"mcap": "mcap", "sqlite3": "db3"}


def contents(path, connections=()):
    """Everything in a bag, and what is said of it."""
    said = []
    with open_bag(path, said.append) as bag:
        stored = [(c.topic, c.msgtype, time, data) for c, time, data in bag.messages(connections)]
        counts = {c.topic: c.msgcount for c in bag.connections}
        return stored, counts, (bag.start_time, bag.end_time), said


def only_file(folder, storage="mcap"):
    (file,) = folder.glob(f"*.{ENDINGS[storage]}")
    return file


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    """The tiny drive in each storage, never to be changed."""
    folder = tmp_path_factory.mktemp("drives")
    return {kind: write_drive(folder / kind, storage=kind) for kind in ENDINGS}


@pytest.fixture
def bag(drive, tmp_path):
    """A copy of the tiny drive in mcap, for changing."""
    return Path(shutil.copytree(drive["mcap"], tmp_path / "bag"))


FORMS = {
    "indexed": {},
    "no message index": {"message_index": False},
    "no summary": {"summary": False},
    "no statistics": {"statistics": False},
    "nothing repeated": {"repeated": False},
    "loose messages": {"chunks": 0},
    "loose messages, no summary": {"chunks": 0, "summary": False},
    "loose messages, nothing repeated": {"chunks": 0, "repeated": False},
    "many chunks, no index": {"chunks": 9, "message_index": False, "repeated": False},
}


@pytest.mark.parametrize(
    ("form", "compression"),
    [
        (form, compression)
        for form, how in FORMS.items()
        for compression in ("", "zstd", "lz4")
        if not (compression and how.get("chunks") == 0)  # only chunks are compressed
    ],
)
def test_every_form_of_mcap_holds_the_same_messages(drive, bag, form, compression):
    expected = contents(drive["mcap"])
    file = rewrite(only_file(bag), compression=compression, **FORMS[form])
    for path in (file, bag):
        assert contents(path) == expected
    assert expected[3] == []


def test_messages_of_an_unindexed_file_come_in_the_order_of_time_and_between_times(drive, bag):
    heads, stored = take_apart(only_file(bag).read_bytes())
    stored.reverse()
    only_file(bag).write_bytes(put_together(heads, stored, chunks=3, message_index=False))
    expected = contents(drive["mcap"])[0]
    times = [time for _, _, time, _ in contents(bag)[0]]
    assert times == sorted(times) == [time for _, _, time, _ in expected]
    with open_bag(bag) as opened:
        chosen = [c for c in opened.connections if c.topic == "/front/image_raw"]
        found = [t for _, t, _ in opened.messages(chosen, START + PERIOD, START + 2 * PERIOD)]
    assert found == [START + PERIOD]


def test_a_file_without_message_index_works_everywhere(drive, bag):
    file = rewrite(only_file(bag), message_index=False)
    with BagReader(file, Parameters()) as reader, BagReader(drive["mcap"], Parameters()) as whole:
        assert [s.stamp for s in reader.frame_sets()] == [s.stamp for s in whole.frame_sets()]
        assert inspect_bag(reader)["problems"] == []
    source = open_source(str(file))
    assert len(source) == 3 and source.problems == []
    assert len(source.recorded(2).images) == 2
    with Playback(file) as playback:
        assert playback.start == START and playback.topics["/front/image_raw"].count == 3
        assert len(list(playback.messages(playback.start, playback.end))) == 15
        assert playback.static_transforms()


@pytest.mark.parametrize("compression", ["", "zstd", "lz4"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_of_a_cut_mcap_is_read_what_comes_before_the_cut(drive, bag, compression, share):
    file = rewrite(only_file(bag), compression=compression, chunks=4)
    size = len(file.read_bytes())
    file.write_bytes(file.read_bytes()[: int(size * share)])
    whole = contents(drive["mcap"])[0]
    stored, counts, _, said = contents(bag)
    assert len(stored) > 0 and stored == whole[: len(stored)]
    # Of the last chunk, too, is read what is there; compressed ones come in blocks.
    total, kept = (sum(len(item[3]) for item in items) for items in (whole, stored))
    assert kept > total * share - 400_000
    assert sum(counts.values()) == len(stored)
    if len(stored) == len(whole):
        assert said == []  # what was cut off is the summary
        return
    (text,) = said
    assert str(file) in text and "breaks off at byte" in text and "Fix:" in text
    assert f"at byte {int(size * share)}, in a record" in text
    assert f"is read ({len(stored)} messages, " in text


def test_a_recorder_that_was_killed_between_two_chunks_is_told(bag, drive):
    heads, stored = take_apart(only_file(bag).read_bytes())
    only_file(bag).write_bytes(put_together(heads, stored, end=False))
    found, _, _, (text,) = contents(bag)
    assert found == contents(drive["mcap"])[0]
    assert "was not closed" in text and "Fix:" in text


def test_a_cut_bag_is_a_problem_of_inspection_and_its_whole_sets_are_used(bag):
    file = rewrite(only_file(bag), chunks=16)
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * 0.75)])
    log = []
    with BagReader(bag, Parameters(), log.append) as reader:
        problems = inspect_bag(reader)["problems"]
        assert len(list(reader.frame_sets())) >= 2
    assert ["breaks off at byte" in text for text in problems] == [True]
    assert [text for text in log if "breaks off" in text] == problems
    with Playback(bag, say=log.append) as playback:
        assert list(playback.messages(playback.start, playback.end))
    assert log[-1] == problems[0]


def test_a_damaged_chunk_costs_its_messages_alone(drive, bag):
    file = rewrite(only_file(bag), compression="zstd", chunks=4)
    data = bytearray(file.read_bytes())
    at = data.index(b"\x28\xb5\x2f\xfd", len(data) // 2)  # the beginning of a chunk's content
    data[at + 4 : at + 40] = bytes(36)
    file.write_bytes(data)
    whole, (stored, _, _, said) = contents(drive["mcap"])[0], contents(bag)
    assert len(whole) * 0.5 < len(stored) < len(whole)
    assert all(item in whole for item in stored)
    assert len(said) == 1 and "is damaged" in said[0] and "Fix:" in said[0]


WRONG = {
    "2262": {"starting_time": 2**63 - 1, "duration": 0, "message_count": 0},
    "zero": {"starting_time": 0},
    "negative": {"starting_time": -5, "duration": -(10**18)},
    "too many": {"message_count": 10**6},
    "too few": {"message_count": 1},
    "text": {"starting_time": "yesterday", "message_count": "many"},
    "no topics": {"topics_with_message_count": []},
    "nonsense": {"topics_with_message_count": [7, {"topic_metadata": 3}, None]},
    "no identifier": {"storage_identifier": ""},
    "another identifier": {"storage_identifier": "rosbag_v2"},
    "null": {"storage_identifier": None, "duration": None, "compression_mode": None},
    "newer": {"version": 99, "storage_identifier": "x"},
    "compressed, it says": {"compression_mode": "MESSAGE", "compression_format": "x", "version": 1},
}


@pytest.mark.parametrize("storage", ENDINGS)
@pytest.mark.parametrize("case", WRONG)
def test_messages_win_over_metadata(drive, tmp_path, case, storage):
    bag = Path(shutil.copytree(drive[storage], tmp_path / "bag"))
    edit_metadata(bag, **WRONG[case])
    *found, said = contents(bag)
    *expected, nothing = contents(drive[storage])
    assert found == expected and nothing == []
    if case != "compressed, it says":  # nothing comes of that
        (text,) = said
        assert "metadata.yaml' disagrees with the messages" in text and "Fix:" in text
    with BagReader(bag, Parameters()) as reader:
        inspection = inspect_bag(reader)
        assert inspection["duration_s"] == 0.32 and inspection["problems"] == []
        assert inspection["topics"]["/front/image_raw"]["messages"] == 3
        assert reader.start_time == START - PERIOD
    with Playback(bag) as playback:
        assert playback.start == START
        assert playback.end == START + 2 * PERIOD + 20_000_001


def test_a_topic_that_only_metadata_knows_and_one_that_it_does_not_are_named(bag):
    whole = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    topics = whole["topics_with_message_count"]
    topics[1]["topic_metadata"]["name"] = "/absent"
    edit_metadata(bag, topics_with_message_count=topics)
    _, counts, _, (text,) = contents(bag)
    assert "/absent" not in counts and "/absent" in text and "1 more topic" in text


@pytest.mark.parametrize(
    "bad", ["", "x: [", "\0\0\0", "just a text", "rosbag2_bagfile_information: 3"]
)
def test_a_metadata_file_that_is_no_metadata_is_left_aside(bag, drive, bad):
    (bag / "metadata.yaml").write_text(bad)
    stored, _, _, (text,) = contents(bag)
    assert stored == contents(drive["mcap"])[0]
    assert str(bag / "metadata.yaml") in text and "Fix:" in text
    assert "\n" not in text


def test_a_renamed_file_is_read_where_it_is_the_only_one(bag, drive):
    file = only_file(bag)
    other = file.rename(bag / "drive.mcap")
    stored, _, _, (text,) = contents(bag)
    assert stored == contents(drive["mcap"])[0]
    assert file.name in text and "drive.mcap is read in its place" in text
    shutil.copy(other, bag / "again.mcap")
    with pytest.raises(BagError) as caught:
        contents(bag)
    for word in ("again.mcap", "drive.mcap", file.name, f"such as '{bag / 'again.mcap'}'"):
        assert word in str(caught.value)


@pytest.mark.parametrize("storage", ENDINGS)
@pytest.mark.parametrize("name", ["drive.db3", "drive.mcap", "drive", "drive.dat", "a%20?b#c.x"])
def test_a_file_is_read_for_what_it_is_not_what_it_is_called(drive, tmp_path, storage, name):
    file = tmp_path / name
    shutil.copy(only_file(drive[storage], storage), file)
    expected = contents(drive[storage])
    assert contents(file) == expected
    assert contents(tmp_path) == expected


@pytest.mark.parametrize("storage", ENDINGS)
@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize("ending", [".zstd", ".zst"])
def test_a_file_compressed_as_a_whole_is_read(drive, tmp_path, storage, metadata, ending):
    bag = Path(shutil.copytree(drive[storage], tmp_path / "bag"))
    file = only_file(bag, storage)
    packed = file.with_name(file.name + ending)
    packed.write_bytes(zstd.compress(file.read_bytes()))
    file.unlink()
    if metadata:
        edit_metadata(
            bag,
            relative_file_paths=[file.name + ".zstd"],
            compression_format="zstd",
            compression_mode="FILE",
        )
    else:
        (bag / "metadata.yaml").unlink()
    expected = contents(drive[storage])
    for path in (bag, packed):
        assert contents(path) == expected
    with BagReader(packed, Parameters()) as reader:
        assert len(list(reader.frame_sets())) == 3


def test_a_file_that_is_listed_compressed_and_not_is_read_once(bag, drive):
    name = only_file(bag).name
    edit_metadata(bag, relative_file_paths=[name, f"{name}.zstd"])
    assert contents(bag) == contents(drive["mcap"])


def test_a_compressed_file_that_is_cut_is_read_as_far_as_it_goes(bag, drive, tmp_path):
    file = rewrite(only_file(bag), chunks=8)
    packed = tmp_path / "drive.mcap.zstd"
    data = zstd.compress(file.read_bytes())
    packed.write_bytes(data[: len(data) * 3 // 4])
    stored, _, _, said = contents(packed)
    whole = contents(drive["mcap"])[0]
    assert 0 < len(stored) < len(whole) and stored == whole[: len(stored)]
    assert all(str(packed) in text and "Fix:" in text for text in said)
    packed.write_bytes(data[:8])
    with pytest.raises(BagError, match=r"drive\.mcap\.zstd.*Fix:"):
        contents(packed)


@pytest.mark.parametrize("storage", ENDINGS)
def test_messages_that_were_compressed_one_by_one_are_read(drive, tmp_path, storage):
    plugin = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}[storage]
    writer = Writer(tmp_path / "bag", version=9, storage_plugin=plugin)
    writer.set_compression(CompressionMode.MESSAGE, CompressionFormat.ZSTD)
    types, connections = package_typestore(), {}
    with open_bag(drive["mcap"]) as bag, writer:
        for item, time, data in bag.messages():
            if item.topic not in connections:
                connections[item.topic] = writer.add_connection(
                    item.topic, item.msgtype, typestore=types
                )
            writer.write(connections[item.topic], time, data)
    expected = sorted(contents(drive["mcap"])[0])
    for path in (
        tmp_path / "bag",
        only_file(tmp_path / "bag", storage),
    ):  # metadata says so, or not
        assert sorted(contents(path)[0]) == expected


def split(bag):
    """Turn the bag's one file into three parts."""
    heads, stored = take_apart(only_file(bag).read_bytes())
    only_file(bag).unlink()
    names = [f"drive_{index}.mcap" for index in (9, 10, 11)]
    for index, name in enumerate(names):
        part = stored[index * len(stored) // 3 : (index + 1) * len(stored) // 3]
        (bag / name).write_bytes(put_together(heads, part))
    edit_metadata(bag, relative_file_paths=names)
    return bag, names


def test_a_split_bag_is_one_bag_with_and_without_metadata(bag, drive):
    bag, names = split(bag)
    expected = contents(drive["mcap"])
    assert contents(bag) == expected
    (bag / "metadata.yaml").unlink()
    assert contents(bag) == expected
    for name in names:
        (bag / name).rename(bag / name.replace("drive", "city"))
    assert contents(bag) == expected


def test_a_missing_part_is_named_and_the_others_are_read(bag, drive):
    bag, names = split(bag)
    (bag / names[1]).unlink()
    stored, _, _, (text,) = contents(bag)
    whole = contents(drive["mcap"])[0]
    assert [item in stored for item in whole] == [True] * 5 + [False] * 5 + [True] * 6
    assert names[1] in text and "is missing" in text and "Fix:" in text
    with BagReader(bag, Parameters()) as reader:
        assert any(names[1] in problem for problem in inspect_bag(reader)["problems"])


def test_a_part_that_is_no_bag_is_named_and_the_others_are_read(bag):
    bag, names = split(bag)
    (bag / names[2]).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    stored, _, _, (text,) = contents(bag)
    assert len(stored) == 10 and names[2] in text and "git lfs pull" in text


def test_a_part_that_metadata_does_not_list_yet_belongs_to_the_bag(bag, drive):
    bag, names = split(bag)
    edit_metadata(bag, relative_file_paths=names[:2])
    stored, _, _, said = contents(bag)
    assert stored == contents(drive["mcap"])[0]
    assert names[2] in said[0] and "is read, too" in said[0]


HEADS = {
    "drive.bag": (b"#ROSBAG V2.0\n" + bytes(99), "rosbags-convert --src {path} --dst {stem}_ros2"),
    "drive": (b"#ROSBAG V2.0\n" + bytes(99), "mv {path} {path}.bag && rosbags-convert"),
    "wrong.mcap": (b"#ROSBAG V2.0\n" + bytes(99), "is of ROS 1"),
    "pointer.mcap": (b"version https://git-lfs.github.com/spec/v1\n", "run 'git lfs pull' in"),
    "page.db3": (b"\n<!DOCTYPE html><html>Sign in</html>", "is a web page"),
    "nothing.mcap": (b"", "is empty (0 bytes)"),
    "zeros.db3": (bytes(4096), "begins with zeros"),
    "packed.mcap": (gzip.compress(b"x"), "gunzip --keep {path}"),
    "b.zip": (b"PK\x03\x04" + bytes(60), "unzip {path}"),
    "broken.mcap": (b"\x89MC" + bytes(60) + b"x", "does not begin as mcap files do"),
    "cut.mcap": (b"\x89MCAP0\r\n", "before its first message"),
    "cut.db3": (b"SQLite format 3\x00" + bytes(50), "cannot be read"),
    "a.txt": (b"hello", "is no bag"),
    "inner.mcap.zstd": (zstd.compress(b"hello"), "holds is no bag"),
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("as_folder", [False, True])
def test_the_fix_is_chosen_by_what_was_found(tmp_path, name, as_folder):
    data, words = HEADS[name]
    folder = tmp_path / "a folder"
    folder.mkdir()
    path = folder / name
    path.write_bytes(data)
    if as_folder and name == "a.txt":
        words = "has no metadata.yaml and 0 bag files"
    with pytest.raises(BagError) as caught, open_bag(folder if as_folder else path):
        pass
    text = str(caught.value).replace(f"'{path}'", str(path)).replace(f"'{path}", str(path))
    stem = path.with_suffix("")
    assert words.format(path=path, stem=stem) in text.replace("'", "") or words in str(caught.value)
    assert "Fix:" in text and "\n" not in text
    assert str(folder) in text


def test_a_folder_of_bags_names_them(tmp_path):
    for name in ("monday", "tuesday"):
        write_drive(tmp_path / name, frames=1)
    with pytest.raises(BagError) as caught, open_bag(tmp_path):
        pass
    assert "is no bag but a folder of 2: monday, tuesday" in str(caught.value)
    assert str(tmp_path / "monday") in caught.value.fix


def test_a_folder_of_files_of_several_bags_names_them(tmp_path, drive):
    for name in ("monday.mcap", "tuesday.mcap"):
        shutil.copy(only_file(drive["mcap"]), tmp_path / name)
    with pytest.raises(BagError, match=r"2 bag files: monday\.mcap, tuesday\.mcap.*Fix: name"):
        contents(tmp_path)


def test_metadata_stands_for_its_folder_and_alone_it_says_what_is_missing(bag, drive):
    assert contents(bag / "metadata.yaml") == contents(drive["mcap"])
    name = only_file(bag).name
    only_file(bag).unlink()
    with pytest.raises(BagError, match=rf"has only its metadata\.yaml: {name} is not there.*copy"):
        contents(bag)


def test_a_database_without_indices_is_read(drive, tmp_path):
    bag = Path(shutil.copytree(drive["sqlite3"], tmp_path / "bag"))
    with sqlite3.connect(only_file(bag, "sqlite3")) as database:
        database.execute("DROP INDEX timestamp_idx")
    assert contents(bag) == contents(drive["sqlite3"])


def test_a_database_whose_recorder_was_killed_tells_how_to_get_the_rest(drive, tmp_path):
    bag = Path(shutil.copytree(drive["sqlite3"], tmp_path / "bag"))
    file = only_file(bag, "sqlite3")
    Path(f"{file}-wal").write_bytes(b"x" * 100)
    stored, _, _, (text,) = contents(bag)
    assert len(stored) == 16
    assert "PRAGMA wal_checkpoint(TRUNCATE)" in text and str(file) in text


def test_topics_that_are_not_of_ros_2_are_named_and_left_out(bag, drive):
    file = only_file(bag)
    heads, stored = take_apart(file.read_bytes())
    heads = [
        head.replace(b"/lidar/points\x03\x00\x00\x00cdr", b"/lidar/points\x03\x00\x00\x00pb1")
        for head in heads
    ]
    file.write_bytes(put_together(heads, stored))
    found, counts, _, said = contents(file)
    assert "/lidar/points" not in counts and len(found) == 13
    assert "/lidar/points is serialized as 'pb1'" in said[0] and "Fix:" in said[0]


@pytest.mark.parametrize("other", [0, 12 * 10**9, 2**63 - 1])
def test_messages_of_another_clock_do_not_stretch_the_bag(bag, other, tmp_path):
    file = only_file(bag)
    heads, stored = take_apart(file.read_bytes())
    moved = [(c, other if i in (3, 4) else time, data) for i, (c, time, data) in enumerate(stored)]
    file.write_bytes(put_together(heads, moved))
    _, _, (start, end), said = contents(file)
    assert (start, end) == (START - PERIOD, START + 2 * PERIOD + 20_000_001)
    assert "2 of 16 messages were recorded by another clock" in said[0] and "Fix:" in said[0]
    with Playback(file) as playback:
        assert (playback.start, playback.end) == (START, end)
        assert len(list(playback.messages(playback.start, playback.end))) == 13
    with BagReader(file, Parameters()) as reader:
        assert inspect_bag(reader)["duration_s"] == 0.32
        assert len(list(reader.frame_sets())) == 3


def test_a_bag_of_2262_replays_and_is_not_played(bag, tmp_path):
    file = only_file(bag)
    heads, stored = take_apart(file.read_bytes())
    far = 2**63 - 10**9 - START
    file.write_bytes(put_together(heads, [(c, time + far, data) for c, time, data in stored]))
    with BagReader(file, Parameters()) as reader, BagWriter(tmp_path / "out") as writer:
        write_mounting(reader, writer)
    assert contents(tmp_path / "out")[1] == {"/tf_static": 1}
    with pytest.raises(BagError, match="after the year 2038"), Playback(file):
        pass


@pytest.mark.parametrize("share", [0.4, 0.7, 0.99])
def test_of_a_cut_database_is_read_what_comes_before_the_cut(drive, tmp_path, share):
    bag = Path(shutil.copytree(drive["sqlite3"], tmp_path / "bag"))
    file = only_file(bag, "sqlite3")
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    whole, (stored, counts, _, said) = contents(drive["sqlite3"])[0], contents(bag)
    assert stored and all(item in whole for item in stored)
    assert len(whole) * share - 4 < len(stored) < len(whole)
    assert sum(counts.values()) == len(stored)
    (text,) = said
    assert str(file) in text and f"({len(stored)} messages, " in text
    with BagReader(bag, Parameters()) as reader:
        assert text in inspect_bag(reader)["problems"] and list(reader.frame_sets())


def test_a_database_damaged_in_the_middle_costs_what_lies_there(drive, tmp_path):
    bag = Path(shutil.copytree(drive["sqlite3"], tmp_path / "bag"))
    file = only_file(bag, "sqlite3")
    data = bytearray(file.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = b"\xff" * 4096
    file.write_bytes(data)
    whole, (stored, _, _, said) = contents(drive["sqlite3"])[0], contents(bag)
    assert len(stored) == len(whole) - 1
    assert stored == [item for item in whole if item in stored]
    assert len(said) == 1 and "is cut or damaged" in said[0]
