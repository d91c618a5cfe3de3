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

"""Without what pip installs: one line with the command that installs it, and the rest still works.

`ros2 launch` runs in the system's Python, which has neither rosbags nor ONNX Runtime on a robot.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_drive import write_drive

from depth_perception.datasets.bag_file import open_bag
from depth_perception.datasets.bag_listing import listed_topics
from depth_perception.errors import missing_library

ROOT = Path(__file__).resolve().parents[1]
WITHOUT = "import sys; sys.modules['rosbags'] = sys.modules['onnxruntime'] = None; "


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    return write_drive(tmp_path_factory.mktemp("drive") / "bag")


def run(code, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**{k: v for k, v in os.environ.items() if k != "ROS_DISTRO"}, **environment},
    )


COMMAND = "from depth_perception.cli.main import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.parametrize("verb", ["inspect", "replay", "evaluate"])
def test_a_command_says_in_one_line_that_rosbags_is_missing(verb, drive, tmp_path):
    output = ["-o", tmp_path / "out"] if verb == "replay" else []
    done = run(COMMAND, verb, drive, *output)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: rosbags does not import in {sys.executable} (")
    assert line.endswith(f"Fix: {sys.executable} -m pip install rosbags")


def test_a_model_says_in_one_line_that_onnxruntime_is_missing():
    code = (
        "from depth_perception.inference.onnx_session import OnnxSession\n"
        "from depth_perception.errors import ModelError\n"
        "try: OnnxSession(sys.argv[1])\nexcept ModelError as error: print(error)"
    )
    done = run(code, ROOT / "depth_perception" / "weights" / "lite_int8.onnx")
    (line,) = done.stdout.splitlines()
    assert "lite_int8.onnx' cannot be run: onnxruntime does not import in" in line
    assert f"Fix: {sys.executable} -m pip install onnxruntime; onnxruntime-gpu in its place" in line


@pytest.mark.parametrize("distribution", ["humble", "jazzy", "kilted"])
@pytest.mark.parametrize("in_environment", [True, False])
def test_on_a_robot_the_fix_is_that_of_the_readme(distribution, in_environment, monkeypatch):
    monkeypatch.setenv("ROS_DISTRO", distribution)
    monkeypatch.setattr(sys, "base_prefix", "/usr" if in_environment else sys.prefix)
    error = missing_library("rosbags", ImportError("one\ntwo"))
    assert isinstance(error, ImportError) and "(one two)" in str(error)
    file = f"{distribution}.txt"
    assert f"pip install -r src/depth_perception/requirements/{file}" in error.fix
    assert (ROOT / "requirements" / file).is_file()
    assert ("--system-site-packages" in error.fix) is not in_environment


def test_the_launch_description_needs_neither(drive):
    code = (
        "from depth_perception.nodes.bringup import ARGUMENTS, notice, processes\n"
        "values = {a.name: a.default for a in ARGUMENTS}\n"
        "values |= {'bag': sys.argv[1], 'rviz': 'true', 'estimator': 'embodied'}\n"
        "notice(values)\n"
        "print(*(p.executable for p in processes(values)))"
    )
    done = run(code, drive)
    assert done.returncode == 0, done.stderr
    assert {"surround_depth", "bag_player"} <= set(done.stdout.split())


def test_listed_topics_are_those_of_the_bag(drive, tmp_path):
    with open_bag(drive) as reader:
        assert listed_topics(drive) == {c.topic: c.msgtype for c in reader.connections}
    assert listed_topics(tmp_path) == {}
    (tmp_path / "metadata.yaml").write_text("rosbag2_bagfile_information: [}")
    assert listed_topics(tmp_path) == {}


def test_executables_say_it_in_one_line(tmp_path, ros_environment):
    pytest.importorskip("rclpy")
    written = subprocess.run(
        [sys.executable, ROOT / "scripts" / "write_executables.py", "--setup-cfg"]
        + [ROOT / "setup.cfg", "--interpreter", sys.executable, "--output", tmp_path],
        check=True,
        capture_output=True,
        text=True,
    )
    assert str(tmp_path / "bag_player") in written.stdout
    code = "import runpy; runpy.run_path(sys.argv[1], run_name='__main__')"
    done = run(code, tmp_path / "bag_player", **ros_environment)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("bag_player: rosbags does not import in")


def test_the_node_says_that_onnxruntime_is_missing_and_needs_no_rosbags(ros_environment):
    pytest.importorskip("rclpy")
    code = "from depth_perception.nodes.surround_depth import main; sys.exit(main())"
    done = run(code, **{**ros_environment, "ROS_DISTRO": ""})
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "onnxruntime does not import" in line]
    assert lines and all("pip install onnxruntime" in line for line in lines)
    assert "Traceback" not in done.stderr
