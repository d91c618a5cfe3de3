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

"""What verbs leave behind: nothing that misleads, nothing of others removed, also when stopped."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from tiny_drive import PERIOD, START, write_drive

from depth_perception.cli.main import main
from depth_perception.datasets.bag import BagReader, open_bag
from depth_perception.datasets.bag_writer import BagWriter
from depth_perception.datasets.inspection import inspect_bag, print_inspection
from depth_perception.errors import BagError, ConfigurationError
from depth_perception.evaluation.output_folder import OutputFolder
from depth_perception.parameters import Parameters

QUICK = ["--estimator", "embodied", "--set", "segmentation.source=geometric"]
HEADER = "std_msgs/msg/Header"


def number_message(writer: BagWriter, number: int):
    stamp = writer.types.new("builtin_interfaces/msg/Time", sec=number, nanosec=0)
    return writer.types.new(HEADER, stamp=stamp, frame_id="")


def written(path: Path, storage: str, count: int = 5, stop: BaseException | None = None) -> None:
    with BagWriter(path, storage=storage) as writer:
        for number in range(count):
            writer.write("/number", number_message(writer, number), START + number)
        if stop is not None:
            raise stop


def numbers(path: Path) -> list[int]:
    with open_bag(path) as reader:
        return [reader.deserialize(raw, c.msgtype).stamp.sec for c, _, raw in reader.messages()]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_bag_has_its_name_when_it_is_whole_and_not_before(tmp_path, storage):
    path = tmp_path / "drive"
    with BagWriter(path, storage=storage) as writer:
        writer.write("/number", number_message(writer, 7), START)
        assert not path.exists()
        assert (tmp_path / "drive.part").exists()
    assert numbers(path) == [7]
    assert os.listdir(tmp_path) == ["drive"]
    names = sorted(file.name for file in path.iterdir())
    assert names == [{"mcap": "drive.mcap", "sqlite3": "drive.db3"}[storage], "metadata.yaml"]
    information = yaml.safe_load((path / "metadata.yaml").read_text())
    (file,) = information["rosbag2_bagfile_information"]["relative_file_paths"]
    assert file == names[0]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("stop", [KeyboardInterrupt(), BagError("broken")])
def test_a_bag_that_breaks_off_is_readable_and_bears_the_name_of_a_part(tmp_path, storage, stop):
    path = tmp_path / "drive"
    with pytest.raises(type(stop)):
        written(path, storage, stop=stop)
    assert os.listdir(tmp_path) == ["drive.part"]
    assert numbers(tmp_path / "drive.part") == [0, 1, 2, 3, 4]
    # The next run takes its place, and leaves nothing of it.
    written(path, storage, count=2)
    assert os.listdir(tmp_path) == ["drive"]
    assert numbers(path) == [0, 1]


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(
    ("size", "storage"), [(1_000, "mcap"), (10**5, "mcap"), (10**5, "sqlite3")]
)
def test_a_full_disk_is_one_error_and_leaves_what_is_wanted(tmp_path, keep, size, storage):
    """To a process, a file that may not grow looks like a disk without room.

    A small bag finds out when it is closed, a large one on the way.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with (
            pytest.raises(BagError, match="cannot be written") as caught,
            BagWriter(tmp_path / "drive", storage=storage, keep_part=keep) as writer,
        ):
            data = bytes(size)
            for number in range(100):
                writer.write_serialized("/blob", "std_msgs/msg/UInt8MultiArray", data, number)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == (["drive.part"] if keep else [])
    assert ("drive.part" in str(caught.value)) == keep


def test_the_old_bag_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "drive"
    written(path, "mcap", count=3)
    with pytest.raises(KeyboardInterrupt), BagWriter(path, overwrite=True) as writer:
        writer.write("/number", number_message(writer, 9), START)
        raise KeyboardInterrupt
    assert numbers(path) == [0, 1, 2]
    with BagWriter(path, overwrite=True) as writer:
        writer.write("/number", number_message(writer, 9), START)
    assert numbers(path) == [9]


@pytest.mark.parametrize("where", ["drive", "drive.part", "drive.part/drive"])
def test_what_is_no_part_of_a_bag_is_never_removed_with_it(tmp_path, where):
    path = tmp_path / "drive"
    written(path, "mcap")
    (tmp_path / where).mkdir(parents=True, exist_ok=True)
    (tmp_path / where / "notes.txt").write_text("years of work")
    with pytest.raises(BagError, match=r"'notes\.txt' in it is no part of a bag") as caught:
        BagWriter(path, overwrite=True)
    assert "Fix: " in str(caught.value)
    assert (tmp_path / where / "notes.txt").read_text() == "years of work"
    assert numbers(path) == [0, 1, 2, 3, 4]


def test_a_folder_loses_what_an_earlier_run_wrote_and_nothing_else(tmp_path):
    first = OutputFolder(tmp_path / "out")
    first.begin()
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        first.write(name, name.encode())
    (tmp_path / "out" / "mine.jpg").write_bytes(b"mine")
    (tmp_path / "out" / "b.jpg").write_bytes(b"retouched by hand")
    second = OutputFolder(tmp_path / "out")
    second.check("a.jpg")
    second.begin()
    second.write("d.jpg", b"d")
    found = {p.name: p.read_bytes() for p in (tmp_path / "out").glob("*.jpg")}
    assert found == {"b.jpg": b"retouched by hand", "d.jpg": b"d", "mine.jpg": b"mine"}
    for name, why in (("mine.jpg", "exists"), ("b.jpg", "changed since it was written")):
        with pytest.raises(ConfigurationError, match=why) as caught:
            second.write(name, b"new")
        assert "Fix: name another folder" in str(caught.value)
    third = OutputFolder(tmp_path / "out")
    third.begin()
    assert sorted(p.name for p in (tmp_path / "out").glob("*.jpg")) == ["b.jpg", "mine.jpg"]


def test_a_list_of_outputs_reaches_nothing_outside_of_its_folder(tmp_path):
    outside = tmp_path / "outside.jpg"
    outside.write_bytes(b"12345")
    folder = OutputFolder(tmp_path / "out")
    folder.begin()
    folder.write("a.jpg", b"12345")
    (listed,) = (p for p in (tmp_path / "out").iterdir() if p.name.startswith("."))
    for name in ("../outside.jpg", str(outside), "..", "", "absent"):
        text = listed.read_text()
        listed.write_text(text.replace('"a.jpg"', repr(name).replace("'", '"')) + "\nnonsense\n[1]")
        OutputFolder(tmp_path / "out").begin()
        assert outside.read_bytes() == b"12345"
        listed.write_text(text)
    (tmp_path / "out" / "a.jpg").unlink()
    (tmp_path / "out" / "a.jpg").symlink_to(outside)
    OutputFolder(tmp_path / "out").begin()
    assert (tmp_path / "out" / "a.jpg").read_bytes() == b"12345"


def test_pictures_of_two_drives_do_not_mix(tmp_path):
    """Same folder, two bags of different length: only the second one's sets are there."""
    pictures = tmp_path / "pictures"
    for frames in (3, 1):
        bag = write_drive(tmp_path / f"bag{frames}", frames=frames)
        assert main(["replay", str(bag), "--images", str(pictures), *QUICK]) == 0
        assert len(list(pictures.glob("*_depth.jpg"))) == frames


def test_a_picture_of_somebody_else_is_not_replaced(tmp_path, capsys):
    bag = write_drive(tmp_path / "bag", frames=1)
    pictures = tmp_path / "pictures"
    assert main(["replay", str(bag), "--images", str(pictures), *QUICK]) == 0
    (depth,) = pictures.glob("*_depth.jpg")
    depth.write_bytes(b"mine now")
    assert main(["replay", str(bag), "--images", str(pictures), *QUICK]) == 1
    assert f"'{depth}' exists, and was changed" in capsys.readouterr().err
    assert depth.read_bytes() == b"mine now"


def test_frame_sets_of_equal_stamps_keep_their_pictures(tmp_path):
    folder = OutputFolder(tmp_path)
    folder.begin()
    endings = ("_input.jpg", "_depth.jpg")
    for number in range(3):
        stem = folder.free("1700", endings)
        for ending in endings:
            folder.write(stem + ending, str(number).encode())
    depths = {p.name: p.read_text() for p in tmp_path.glob("*_depth.jpg")}
    assert depths == {"1700_depth.jpg": "0", "1700-2_depth.jpg": "1", "1700-3_depth.jpg": "2"}


def test_a_report_page_of_somebody_else_stops_evaluate_before_the_work(tmp_path, capsys):
    bag = write_drive(tmp_path / "bag", frames=1)
    page = tmp_path / "site" / "index.html"
    page.parent.mkdir()
    page.write_text("my home page")
    arguments = ["evaluate", str(bag), "--report", str(page.parent), *QUICK]
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert f"'{page}' exists" in captured.err and not captured.out
    assert page.read_text() == "my home page"
    page.unlink()
    for _ in range(2):  # its own page is replaced
        assert main(arguments) == 0
    assert "<html" in page.read_text()


def test_names_in_brackets_are_printed_as_they_stand(tmp_path, capsys):
    """`rich` takes them for its markup, and words between colons for pictures, unless told not."""
    name = "[bold] of [nan] :camera: [red]"
    bag = write_drive(tmp_path / name, frames=1)
    for verb in ("inspect", "evaluate"):
        assert main([verb, str(bag), *(QUICK if verb == "evaluate" else ())]) == 0
        assert name in capsys.readouterr().out.replace("\n", ""), verb
    problem = "topic [/b]: K is [nan, 0] in frame [x]"
    inspection = inspect_bag_of(bag)
    inspection["problems"], inspection["notes"] = [problem], [f"note of {problem}"]
    for camera in inspection["cameras"]:
        camera["name"] = "[i]left[/i]"
    print_inspection(inspection)
    said = capsys.readouterr().out
    assert f"problem: {problem}" in said and f"note: note of {problem}" in said
    assert "[i]left[/i]" in said


def inspect_bag_of(bag):
    with BagReader(bag, Parameters()) as reader:
        return inspect_bag(reader)


SLOW = """
import sys, time
from depth_perception.evaluation import replay
whole = replay.results
def slow(*arguments):
    for number, item in enumerate(whole(*arguments)):
        yield item
        print("set", number, flush=True)
        time.sleep(0.3)
replay.results = slow
from depth_perception.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
"""Replay, so slow that a signal comes in the middle of it for certain."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_replay_says_so_and_leaves_a_part(tmp_path, number):
    bag = write_drive(tmp_path / "bag", frames=200)
    command = [sys.executable, "-c", SLOW, "replay", str(bag), "-o", str(tmp_path / "out"), *QUICK]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("set 3"):
            break
    process.send_signal(number)
    _, errors = process.communicate(timeout=1500)
    assert process.returncode == 128 + number
    (said,) = [line for line in errors.splitlines() if line.startswith("interrupted")]
    assert "Traceback" not in errors
    assert sorted(os.listdir(tmp_path)) == ["bag", "out.part"]
    claimed = re.search(r"out\.part' holds the first (\d+) frame sets", said)
    assert claimed, said
    with open_bag(tmp_path / "out.part") as reader:
        depth = [c for c in reader.connections if c.topic.endswith("front/depth/image_rect")]
        stamps = [t for _, t, _ in reader.messages(depth)]
    assert 4 <= int(claimed[1]) <= len(stamps) <= int(claimed[1]) + 1
    assert np.all(np.diff(stamps) == PERIOD)


def test_long_work_speaks_where_there_is_no_terminal(capfd, monkeypatch):
    """Every period a line, also while a single piece takes long; one at the end."""
    from depth_perception.cli import progress

    monkeypatch.setattr(progress, "PERIOD_S", 0.2)
    with progress.Progress("replay", 40) as work:
        for _ in work.over(range(3)):
            pass
        time.sleep(0.9)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) >= 3
    assert all(re.fullmatch(r"replay: \d of 40 sets, \d+ s(, done)?", line) for line in lines)
    assert lines[-2].startswith("replay: 3 of 40") and lines[-1].endswith(", done")
    with pytest.raises(KeyboardInterrupt), progress.Progress("replay") as work:
        work.update(2)
        time.sleep(0.5)
        raise KeyboardInterrupt
    last = capfd.readouterr().err.splitlines()[-1]
    assert re.fullmatch(r"replay: 2 sets, \d+ s, broken off", last)
    with progress.Progress("replay", 1) as work:
        work.update()
    assert not capfd.readouterr().err, "short work says nothing but its result"


def test_a_line_of_c_code_is_held_back_and_no_other(capfd):
    pytest.importorskip("warp")
    from depth_perception.world.render.renderer import without_line

    with without_line("no driver"):
        os.write(2, b"before\nWarning: no driver here.\nafter\n")
    assert capfd.readouterr().err == "before\nafter\n"
    with pytest.raises(ValueError, match="x"), without_line("no driver"):
        os.write(2, b"kept\n")
        raise ValueError("x")
    os.write(2, b"later: no driver\n")
    assert capfd.readouterr().err == "kept\nlater: no driver\n"


def test_a_world_bears_no_name_of_a_part(tmp_path):
    pytest.importorskip("warp")
    path = tmp_path / "drive"
    small = ["--width", "64", "--seconds", "0.2", "--rate", "5", "--samples", "1", "--rig", "kitti"]
    assert main(["world", "-o", str(path), *small]) == 0
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["drive", "drive.mcap", "metadata.yaml"]
    assert ".part" not in (path / "metadata.yaml").read_text()
    with BagReader(path, Parameters()) as reader:
        assert len(reader.rig) >= 1
    assert b".part" not in (path / "drive.mcap").read_bytes()
