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

"""The command: help at once, errors in one line, exit codes."""

import json
import subprocess
import sys

import pytest
from tiny_drive import write_drive

from depth_perception.cli.main import VERBS, main


def test_help_needs_no_heavy_import():
    code = (
        "import sys; from depth_perception.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'cv2', 'numba', 'rclpy', 'torch', 'onnxruntime'} & set(sys.modules)\n"
        "print(heavy, file=sys.stderr); sys.exit(bool(heavy))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=1500
    )
    assert done.returncode == 0, done.stderr
    for verb in VERBS:
        assert verb in done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    assert caught.value.code == 0
    assert f"depth_perception {verb}" in capsys.readouterr().out


RUN_WITHOUT = """
import sys

refused = sys.argv[1].split(",")

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in refused:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
from depth_perception.cli.main import main

sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("command", "module", "fix"),
    [
        (["world", "-o", "bag"], "depth_perception.world", "-DDEPTH_PERCEPTION_TRAINING=ON"),
        (["world", "-o", "bag"], "warp", "depth_perception[world]"),
        (["demo"], "depth_perception.world", "-DDEPTH_PERCEPTION_TRAINING=ON"),
        (["train", "a.yaml", "-o", "run"], "torch", "requirements/training.txt"),
        (["targets", "data", "--model=m", "--kind=depth", "-o", "t"], "torch", "training.txt"),
        (["export", "weights.pt", "-o", "a.onnx"], "torch", "requirements/training.txt"),
    ],
)
def test_a_verb_says_what_is_not_installed_and_how_to_get_it(command, module, fix, tmp_path):
    make_inputs(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", RUN_WITHOUT, module, *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert f"needs the module {module}" in done.stderr
    assert fix in done.stderr


def make_inputs(folder):
    """Put what the commands name where it is looked for before anything is loaded."""
    (folder / "a.yaml").write_text("system: fused")
    (folder / "weights.pt").write_text("weights")
    (folder / "data").mkdir()


def test_training_verbs_say_what_a_robots_build_leaves_out(tmp_path):
    pytest.importorskip("torch")
    make_inputs(tmp_path)
    targets = ["targets", "data", "--model=m", "--kind=depth", "-o", "t"]
    for command in (["train", "a.yaml", "-o", "run"], targets):
        done = subprocess.run(
            [sys.executable, "-c", RUN_WITHOUT, "depth_perception.training", *command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=1500,
            check=False,
        )
        assert done.returncode == 1, done.stderr
        assert "-DDEPTH_PERCEPTION_TRAINING=ON" in done.stderr


@pytest.mark.parametrize("verb", ["inspect", "replay", "evaluate"])
def test_errors_are_one_line_on_stderr(verb, tmp_path, capsys):
    extra = ["--images", str(tmp_path / "p")] if verb == "replay" else []
    assert main([verb, str(tmp_path / "absent"), *extra]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: bag ")
    assert captured.err.count("\n") == 1


def test_inspect_says_what_a_bag_holds_and_what_stops_it(tmp_path, capsys):
    good = write_drive(tmp_path / "good")
    assert main(["inspect", str(good), "--json", "-"]) == 0
    inspection = json.loads(capsys.readouterr().out)
    assert [c["name"] for c in inspection["cameras"]] == ["front", "rear"]
    assert inspection["lidars"][0]["topic"] == "/lidar/points"
    assert main(["inspect", str(good)]) == 0
    assert "nothing stops it" in capsys.readouterr().out
    bad = write_drive(tmp_path / "bad", leave_out=("/tf_static",))
    assert main(["inspect", str(bad)]) == 1
    assert "is not in TF" in capsys.readouterr().out


def test_a_parameter_set_on_the_command_line_is_checked(tmp_path, capsys):
    bag = write_drive(tmp_path / "bag", frames=1)
    assert main(["inspect", str(bag), "--set", "sync.tolerence=0.1"]) == 1
    assert "'sync.tolerance'" in capsys.readouterr().err
    assert main(["inspect", str(bag), "--set", "nonsense"]) == 1
    assert "NAME=VALUE" in capsys.readouterr().err
