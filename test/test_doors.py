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

"""What a verb is given is looked at before its work: outputs, bags, named files, names, numbers."""

import errno
import json
import sqlite3

import pytest
from rosbags.rosbag2 import Writer
from tiny_drive import write_drive

from depth_perception.cli import extras
from depth_perception.cli.destinations import check_bag, check_file, check_folder, write_text
from depth_perception.cli.main import main
from depth_perception.datasets.bag import BagReader
from depth_perception.errors import BagError, ConfigurationError

EMBODIED = ["--estimator", "embodied"]


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return str(write_drive(tmp_path_factory.mktemp("drive") / "bag"))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder that is current, with a file in it."""
    (tmp_path / "file").write_text("precious")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_work(monkeypatch):
    """Let a verb that begins its work, or loads what only the work needs, fail the test."""

    def opened(*_):
        raise AssertionError("the bag was opened first")

    def loaded(task, *modules):
        wrong = {"torch", "onnx", "warp"} & set(modules)
        assert not wrong, f"{wrong} was loaded first"

    monkeypatch.setattr(BagReader, "__enter__", opened)
    monkeypatch.setattr(extras, "load_extras", loaded)


def refused(capsys, *arguments):
    """Run a verb that must refuse; return its one line of error."""
    assert main([str(item) for item in arguments]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    return lines[0]


OUTPUTS = {
    "inspect": ["inspect", "BAG", "--json"],
    "replay": ["replay", "BAG", *EMBODIED, "--output"],
    "replay, pictures": ["replay", "BAG", *EMBODIED, "--images"],
    "evaluate": ["evaluate", "BAG", *EMBODIED, "--json"],
    "evaluate, report": ["evaluate", "BAG", *EMBODIED, "--report"],
    "ego-mask": ["ego-mask", "BAG", "--output"],
    "ego-mask, pictures": ["ego-mask", "BAG", "--output", "m.yaml", "--images"],
    "convert": ["convert", "bag:BAG", "--output"],
    "world": ["world", "--output"],
    "world, data set": ["world", "--dataset"],
    "train": ["train", "recipe.yaml", "--output"],
    "targets": ["targets", "bag:BAG", "--model", "m", "--kind", "depth", "--output"],
    "export": ["export", "file", "--output"],
    "demo": ["demo", "--bag", "BAG", "--output"],
}


WRITE_FILES = ("inspect", "evaluate", "ego-mask", "export")


@pytest.mark.parametrize("wrong", ["file/below", "/proc/nowhere", ""])
@pytest.mark.parametrize("what", OUTPUTS)
def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    what, wrong, bag, place, no_work, capsys
):
    (place / "recipe.yaml").write_text("system: fused")
    command = [item.replace("BAG", bag) for item in OUTPUTS[what]]
    line = refused(capsys, *command, wrong)
    assert command[-1] in line and "Fix: " in line
    assert wrong in line
    assert {item.name for item in place.iterdir()} == {"file", "recipe.yaml"}


@pytest.mark.parametrize("what", [w for w in OUTPUTS if w not in WRITE_FILES])
def test_a_file_where_a_folder_is_meant_is_never_replaced(what, bag, place, no_work, capsys):
    (place / "recipe.yaml").write_text("system: fused")
    command = [item.replace("BAG", bag) for item in OUTPUTS[what]]
    if what in ("replay", "world"):
        command.insert(2 if what == "replay" else 1, "--overwrite")
    assert "'file'" in refused(capsys, *command, "file")
    assert (place / "file").read_text() == "precious"


def test_a_check_of_an_output_leaves_nothing_behind(place):
    assert check_file("--json", "new/folder/x.json").name == "x.json"
    assert check_folder("--report", "new/folder").name == "folder"
    assert check_bag("--output", "new/bag", False).name == "bag"
    assert check_file("--json", "file").read_text() == "precious"
    assert [item.name for item in place.iterdir()] == ["file"]
    (place / "bag").mkdir()
    (place / "bag" / "metadata.yaml").write_text("")
    check_bag("--output", "bag", True)
    with pytest.raises(BagError, match="'bag' exists; expected a new folder"):
        check_bag("--output", "bag", False)


def test_the_folders_above_an_output_are_made(bag, place):
    assert main(["inspect", bag, "--json", "new/folder/x.json"]) == 0
    assert json.loads((place / "new/folder/x.json").read_text())["problems"] == []
    with pytest.raises(
        ConfigurationError, match=r"--json '/dev/full' cannot be written \(No space"
    ):
        write_text("--json", check_file("--json", "/dev/full"), "text")


@pytest.mark.parametrize("verb", ["inspect", "replay", "evaluate", "ego-mask"])
def test_a_bag_that_is_not_there_is_said_at_once_with_what_lies_beside(
    verb, place, no_work, capsys
):
    output = {"replay": ["-o", "out"], "ego-mask": ["--output", "m.yaml"]}.get(verb, [])
    (place / "monday").mkdir()
    line = refused(capsys, verb, "mondya", *output)
    assert "bag 'mondya' does not exist" in line and "did you mean 'monday'?" in line


NAMED = [
    (["fused.model=nope.onnx"], "nope.onnx"),
    (["fused.providers=[cudaa]"], "did you mean 'cuda'?"),
    (["estimator=relative"], "relative.model is empty"),
    (["estimator=relative", "relative.model=nope.yaml"], "nope.yaml"),
    (["estimator=embodied", "segmentation.model=nope.yaml"], "nope.yaml"),
    (["estimator=embodied", "segmentation.source=onnx"], "segmentation.model is empty"),
    (["estimator=embodied", "segmentation.source=network"], "segmentation.source is network"),
    (["segmentation.labels_folder=nope"], "segmentation.labels_folder: 'nope' does not exist"),
    (["segmentation.labels_topic=l", "segmentation.classes=cityscape"], "'cityscapes'"),
    (["ego_masks=nope.yaml"], "ego mask file 'nope.yaml'"),
]


@pytest.mark.parametrize("verb", ["replay", "evaluate"])
@pytest.mark.parametrize(("assignments", "words"), NAMED)
def test_a_named_file_that_is_not_there_is_refused_before_the_bag(
    verb, assignments, words, bag, place, no_work, capsys
):
    output = ["-o", "out"] if verb == "replay" else []
    chosen = [part for item in assignments for part in ("--set", item)]
    assert words in refused(capsys, verb, bag, *output, *chosen)


@pytest.mark.parametrize(("assignments", "words"), NAMED)
def test_inspect_says_what_a_named_file_would_stop(assignments, words, bag, place, capsys):
    chosen = [part for item in assignments for part in ("--set", item)]
    assert main(["inspect", bag, *chosen]) == 1
    captured = capsys.readouterr()
    assert words in captured.out + captured.err
    assert "nothing stops it" not in captured.out


def test_inspect_notes_a_file_that_is_not_there_and_not_read(bag, place, capsys):
    assert main(["inspect", bag, *EMBODIED, "--set", "fused.model=nope", "--json", "-"]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert any("fused.model 'nope' does not exist; with estimator embodied" in n for n in notes)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("replay BAG -o out --frames -1", "--frames -1; expected 1 or more, or 0 for all"),
        (f"replay BAG -o {'a' * 300}", "File name too long"),
        (f"inspect {'a' * 300}", "File name too long"),
        ("evaluate BAG --frames -1", "--frames -1"),
        ("convert bag:BAG -o out --frames -1", "--frames -1"),
        ("evaluate BAG --max-depth nan", "--max-depth nan"),
        ("evaluate BAG --max-depth inf", "--max-depth inf"),
        ("evaluate BAG --max-offset nan", "--max-offset nan"),
        ("evaluate BAG --max-offset -1", "--max-offset -1"),
        ("demo --bag BAG --rate nan", "--rate nan"),
        ("demo --bag BAG --rate 0", "--rate 0"),
        ("demo --bag nope", "'nope' does not exist"),
        ("demo --bag BAG --set fused.model=nope.onnx", "nope.onnx"),
        ("world -o w --seconds nan", "--seconds nan"),
        ("world -o w --miscalibration nan", "--miscalibration nan"),
        ("world -o w --width 99999999999", "--width 99999999999"),
        ("world -o w --seed -1", "--seed -1"),
        ("world --dataset w --frames 0", "--frames 0; expected 1 to"),
        ("world --dataset w --spacing inf", "--spacing inf"),
        ("world --dataset w --sets-per-drive 0", "--sets-per-drive 0"),
        ("world -o w --rig nuscene", "did you mean 'nuscenes'?"),
        ("world -o w --setting sity", "did you mean 'city'?"),
        ("world -o w --weather cleer", "did you mean 'clear'?"),
        ("world -o w --truth dept", "did you mean 'depth'?"),
        ("train ./nope.yaml -o run", "'nope.yaml' cannot be read"),
        ("train fused_light -o run", "did you mean 'training/fused_lite.yaml'?"),
        ("world -o w --device cud", "did you mean 'cuda'?"),
        ("train recipe.yaml -o run --set a", "--set a; expected NAME=VALUE"),
        ("train recipe.yaml -o run --set a=[", "no YAML"),
        ("targets nope --model m --kind depth -o t", "'nope' does not exist"),
        ("targets bga:BAG --model m --kind depth -o t", "did you mean 'bag'?"),
        ("targets bag:BAG --model m --kind depth -o t --batch 0", "--batch 0"),
        ("export nope.pt -o x.onnx", "'nope.pt' does not exist"),
        ("export file -o x.onnx --size 0x0", "multiples of 32"),
        ("export file -o x.onnx --cameras 0", "0 cameras"),
        ("export file -o x.onnx --precision int8", "int8 without calibration"),
        ("inspect BAG --set =5", "expected NAME=VALUE"),
        ("inspect BAG --set a", "expected NAME=VALUE"),
        ("inspect BAG --set cameras=[[", "no YAML"),
        ("inspect BAG --set base_frame=2026-13-01", "no YAML"),
        ("inspect BAG --set cameras=front", "cameras: [front]"),
        ("inspect BAG --set cameras=[[a]]", "a list of texts"),
        ("inspect BAG --set sync.tolerance=1e999", "sync.tolerance: inf; expected 0.0 to 10.0"),
        (f"inspect BAG --set sync.tolerance=1{'0' * 400}", "sync.tolerance: inf"),
        ("inspect BAG --set tolerance=1", "'sync.tolerance'"),
        ("inspect BAG --estimator fussed", "did you mean 'fused'?"),
        ("inspect BAG --estimator ", "estimator"),
        ("inspect BAG --params nuscene", "did you mean 'nuscenes.yaml'?"),
        ("inspect BAG --params ./recipee.yaml", "did you mean 'recipe.yaml'?"),
        ("inspect BAG --params ", "is empty"),
        ("inspect BAG --params ~nobody-here/x.yaml", "cannot be read"),
        ("launch bga:=x", "did you mean 'bag'?"),
        ("launch bag:=mondya", "bag:=mondya does not exist"),
        ("launch log_level:=inffo", "did you mean 'info'?"),
    ],
)
def test_an_impossible_argument_is_named_before_the_work(
    command, words, bag, place, no_work, capsys
):
    (place / "recipe.yaml").write_text("system: fused")
    line = refused(capsys, *command.replace("BAG", bag).split(" "))
    assert words in line
    assert {item.name for item in place.iterdir()} == {"file", "recipe.yaml"}


def test_a_name_that_the_bag_lacks_is_answered_with_those_that_it_has(bag, capsys):
    line = refused(capsys, "evaluate", bag, *EMBODIED, "--lidar", "/lidar/point")
    assert "--lidar '/lidar/point'" in line and "did you mean '/lidar/points'?" in line
    anchor = ["--set", "sync.policy=anchor", "--set", "sync.anchor=frnt"]
    line = refused(capsys, "evaluate", bag, *EMBODIED, *anchor)
    assert "sync.anchor: 'frnt'; expected one of front, rear (did you mean 'front'?)" in line
    assert main(["inspect", bag, "--set", "cameras=[frnt]"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "expected one of front, rear (did you mean 'front'?)" in said
    topics = ["image_topics=[/front/image]", "camera_info_topics=[/front/camera_info]"]
    chosen = [part for item in ("cameras=[a]", *topics) for part in ("--set", item)]
    assert main(["inspect", bag, *chosen]) == 1
    assert "did you mean /front/image_raw?" in " ".join(capsys.readouterr().out.split())


def test_a_verb_that_there_is_not_is_answered_with_those_there_are(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["evalute", "bag"])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "no verb 'evalute' (did you mean 'evaluate'?)" in said and "ego-mask" in said


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_disk_that_fills_up_ends_replay_with_the_bags_name(
    storage, bag, place, monkeypatch, capsys
):
    written = []
    full = OSError(errno.ENOSPC, "No space left on device")
    error = full if storage == "mcap" else sqlite3.OperationalError("database or disk is full")

    def write(self, *arguments):
        written.append(arguments)
        if len(written) > 5:
            raise error

    monkeypatch.setattr(Writer, "write", write)
    assert main(["replay", bag, "-o", "out", "--storage", storage, *EMBODIED]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: bag 'out") and "cannot be written" in last
    assert "No space" in last or "is full" in last


def test_evaluate_gives_its_numbers_to_standard_output_too(bag, place, capsys):
    assert main(["evaluate", bag, *EMBODIED, "--json", "-", "--report", "report"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["frame_sets"] == 3
    assert "report: report/index.html" in captured.err
    assert {item.name for item in place.iterdir()} == {"file", "report"}


def test_evaluate_writes_what_can_be_written(bag, place, capsys):
    outputs = ["--json", "/dev/full", "--report", "report"]
    assert main(["evaluate", bag, *EMBODIED, *outputs]) == 1
    captured = capsys.readouterr()
    assert "report: report/index.html" in captured.out
    assert (place / "report" / "index.html").stat().st_size > 1000
    assert captured.err.splitlines()[-1].startswith("error: --json '/dev/full' cannot be written")


def test_evaluate_scores_what_lies_before_a_bag_breaks_off(bag, place, monkeypatch, capsys):
    whole = BagReader.frame_sets

    def broken(self):
        for index, frame_set in enumerate(whole(self)):
            if index == 2:
                raise BagError(f"bag '{self.path}' cannot be read: it breaks off")
            yield frame_set

    monkeypatch.setattr(BagReader, "frame_sets", broken)
    assert main(["evaluate", bag, *EMBODIED, "--json", "scores.json"]) == 1
    scores = json.loads((place / "scores.json").read_text())
    assert scores["frame_sets"] == 2 and "breaks off" in scores["broken"]
    assert any("scored is what lies before" in note for note in scores["notes"])
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: bag '{bag}' cannot be")
    monkeypatch.setattr(BagReader, "frame_sets", lambda self: broken(self))
    assert main(["evaluate", bag, *EMBODIED, "--frames", "2"]) == 0


@pytest.mark.parametrize("verb", ["replay", "evaluate"])
def test_a_run_without_any_depth_is_an_error_that_says_why(verb, bag, place, monkeypatch, capsys):
    from depth_perception.errors import ModelError
    from depth_perception.estimators.embodied import EmbodiedEstimator

    def fail(self, *_, **__):
        raise ModelError("the device is gone")

    monkeypatch.setattr(EmbodiedEstimator, "estimate", fail)
    output = ["-o", "out", "--images", "pictures"] if verb == "replay" else []
    assert main([verb, bag, *EMBODIED, *output]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "warning: camera front: the device is gone" in line]
    assert "gave any depth: camera" in lines[-1] and "the device is gone" in lines[-1]
    assert "LiDAR" not in lines[-1]
