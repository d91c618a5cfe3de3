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

"""`depth_perception launch`: starts and stops the same processes as the launch file."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import wait_for
from tiny_drive import write_drive

from depth_perception.errors import ConfigurationError
from depth_perception.nodes.bringup import (
    ARGUMENTS,
    Process,
    namespace_in,
    notice,
    processes,
    resolve,
)
from depth_perception.parameters import load
from depth_perception.rig.camera_topics import find_cameras
from depth_perception.ros.dds_profile import PROFILE_VARIABLES, transport_environment

COMMAND = "import sys; from depth_perception.cli.main import main; sys.exit(main())"


def test_without_a_bag_only_the_node_starts_in_real_time() -> None:
    (node,) = processes({})
    assert node.executable == "surround_depth" and node.parameters == {"use_sim_time": False}


def test_bag_brings_a_player_and_its_time(tmp_path: Path) -> None:
    node, player = processes({"bag": str(tmp_path), "rate": "0.5", "namespace": "car"})
    assert node.parameters["use_sim_time"] is True
    assert player.parameters["bag"] == str(tmp_path) and player.parameters["rate"] == 0.5
    assert node.namespace == player.namespace == "car"


@pytest.mark.parametrize(
    ("pushed", "given", "whole"),
    [
        ("", "", "/"),
        ("", "car", "/car"),
        ("/car1", "", "/car1"),
        ("/fleet/car2", "top/", "/fleet/car2/top"),
        ("/", "car", "/car"),
        ("/car1", "/other", "/other"),
    ],
)
def test_namespaces_that_were_pushed_and_given(pushed: str, given: str, whole: str) -> None:
    assert namespace_in(pushed, given) == whole
    (node,) = processes({"namespace": whole})
    assert f"/{node.namespace}" == whole


def test_a_bag_in_a_namespace_keeps_its_clock_and_transforms_there(tmp_path: Path) -> None:
    bag = {"bag": str(tmp_path)}
    assert not any(process.remappings for process in processes({**bag}))
    assert not processes({"namespace": "car1"})[0].remappings  # live cameras: whoever has /tf
    node, player = processes({**bag, "namespace": "car1"})  # RViz: test_rviz_file.py
    # The node hears the transforms of its namespace by itself, and those that are for all.
    assert node.remappings == (("/clock", "clock"),)
    assert set(player.remappings) == {
        ("/clock", "clock"),
        ("/tf", "tf"),
        ("/tf_static", "tf_static"),
    }


def test_the_notice_names_the_topic_that_remapping_leaves() -> None:
    in_car = {"namespace": "/car1"}
    assert "/car1/surround_depth/points" in notice(in_car, [("/surround_depth/points", "/a")])
    assert "/car1/surround_depth/points" not in notice(in_car, [("surround_depth/points", "/a")])
    assert " /car1/cloud" in notice(in_car, [("surround_depth/points", "cloud")])


def test_parameter_file_by_name_and_values_over_it() -> None:
    node = processes({"params_file": "nuscenes", "cameras": "CAM_FRONT, CAM_BACK"})[0]
    assert Path(node.parameter_files[0]).name == "nuscenes.yaml"
    assert node.parameters["cameras"] == ["CAM_FRONT", "CAM_BACK"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"bgg": "x"}, "'bgg' does not exist"),
        ({"rviz": "maybe"}, "rviz:=maybe"),
        ({"loop": "Ture"}, "did you mean 'true'?"),
        ({"loop": ""}, "loop:=; expected"),
        ({"log_level": "WARNING"}, "did you mean 'warn'?"),
        ({"log_level": "1"}, "log_level:=1"),
        ({"rate": "fast", "bag": "."}, "rate:=fast"),
        ({"params_file": "no"}, "'no.yaml' does not exist"),
        ({"bag": "/nonexistent"}, "bag:=/nonexistent does not exist"),
        ({"namespace": "1bad/name"}, "namespace:=1bad/name"),
    ],
)
def test_impossible_arguments_are_named(values: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match="Fix: ") as caught:
        processes(values)
    assert said in str(caught.value)


BOOLEANS = ("loop", "exit_after_bag", "autostart", "use_sim_time", "rviz")


def test_every_boolean_argument_is_known_here() -> None:
    assert {a.name for a in ARGUMENTS if {"true", "false"} <= set(a.choices)} == set(BOOLEANS)


@pytest.mark.parametrize("name", BOOLEANS)
@pytest.mark.parametrize(
    ("written", "meant"),
    [*((text, "true") for text in ("true", "True", "TRUE", "1", " True "))]
    + [*((text, "false") for text in ("false", "False", "FALSE", "0"))],
)
def test_booleans_are_taken_as_ros_people_write_them(name: str, written: str, meant: str) -> None:
    assert resolve({name: written})[name] == meant


def test_what_is_written_in_capitals_takes_effect(tmp_path: Path) -> None:
    values = {"bag": str(tmp_path), "loop": "True", "autostart": "FALSE", "use_sim_time": "0"}
    node, player = processes({**values, "estimator": "Embodied", "log_level": "DEBUG"})
    assert player.parameters["loop"] is True
    assert node.parameters["autostart"] is False and node.parameters["use_sim_time"] is False
    assert node.parameters["estimator"] == "embodied"
    assert node.log_level == player.log_level == "debug"


def test_log_level_is_of_our_nodes_alone(tmp_path: Path) -> None:
    started = {
        process.name: process.log_arguments
        for process in processes({"bag": str(tmp_path), "namespace": "a/b", "log_level": "debug"})
    }
    assert started == {
        "surround_depth": ("--log-level", "a.b.surround_depth:=debug"),
        "bag_player": ("--log-level", "a.b.bag_player:=debug"),
    }
    assert processes({})[0].log_arguments == ("--log-level", "surround_depth:=info")
    assert Process("rviz2", "rviz2", "rviz2", log_level="debug").log_arguments == ()


def test_the_launch_file_takes_what_the_command_takes(tmp_path: Path) -> None:
    launch = pytest.importorskip("launch")
    pytest.importorskip("launch_ros")
    path = Path(__file__).resolve().parents[2] / "launch/surround.launch.py"
    specification = importlib.util.spec_from_file_location("surround_launch", path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    context = launch.LaunchContext()
    context.launch_configurations.update(loop="True", log_level="INFO", bag=str(tmp_path))
    *declarations, start = module.generate_launch_description().entities
    for declaration in declarations:
        declaration.visit(context)  # raises where it refuses a value
    nodes = [a for a in start.visit(context) if hasattr(a, "node_package")]
    assert len(nodes) == 2


def test_users_own_fast_dds_profile_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROFILE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("RMW_IMPLEMENTATION", raising=False)
    monkeypatch.setattr("depth_perception.ros.dds_profile._shared_memory_suffices", lambda: True)
    ours = transport_environment()
    assert set(ours) == set(PROFILE_VARIABLES)
    assert all(value.endswith("config/fastdds.xml") for value in ours.values())
    assert transport_environment("none") == {}
    monkeypatch.setenv(PROFILE_VARIABLES[0], "/mine.xml")
    assert transport_environment() == {}


def test_every_argument_is_described() -> None:
    assert len({argument.name for argument in ARGUMENTS}) == len(ARGUMENTS)
    assert all(argument.description.endswith((".", "images.")) for argument in ARGUMENTS)


class Running:
    """A process whose output is kept; its children are found in its own lines."""

    def __init__(self, arguments: list[str], environment: dict[str, str], folder: Path) -> None:
        self.lines: list[str] = []
        isolated = ["-P"] if sys.version_info >= (3, 11) else []
        self.process = subprocess.Popen(
            [sys.executable, *isolated, "-c", COMMAND, "launch", *arguments],
            env=environment,
            cwd=folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def line(self, part: str) -> str | None:
        return next((line for line in list(self.lines) if part in line), None)

    @property
    def children(self) -> list[int]:
        started = [line for line in list(self.lines) if " started (process " in line]
        return [int(line.rsplit(" ", 1)[1].rstrip(")\n")) for line in started]


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def launch(ros_environment: dict[str, str], tmp_path: Path) -> Iterator[Any]:
    """Start launches; whatever still runs afterwards is ended by its id."""
    started: list[Running] = []

    def make(*arguments: str) -> Running:
        started.append(Running(list(arguments), ros_environment, tmp_path))
        return started[-1]

    yield make
    for running in started:
        for child in (running.process.pid, *running.children):
            if alive(child):
                os.kill(child, signal.SIGKILL)
        running.process.wait(10)


def test_launch_plays_a_bag_and_ends_after_it(
    needs_executables: None, launch: Any, listener: Any, tmp_path: Path
) -> None:
    bag = write_drive(tmp_path / "drive", frames=5)
    depth = listener.listen("/surround_depth/front/depth/image_rect", "sensor_msgs/msg/Image")
    running = launch(f"bag:={bag}", "exit_after_bag:=true", "queue_size:=10")
    wait_for(lambda: running.process.poll() is not None, what="launch to end")
    assert running.process.returncode == 0, "".join(running.lines)
    assert running.line("[bag_player]") and running.line("[surround_depth]")
    assert len(depth) == 5
    assert len(running.children) == 2 and not any(alive(child) for child in running.children)
    assert not running.line("Traceback")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_everything_cleanly(
    needs_executables: None, launch: Any, number: signal.Signals
) -> None:
    running = launch()
    wait_for(lambda: running.line("estimator fused on"), what="the node to start")
    running.process.send_signal(number)
    wait_for(lambda: running.process.poll() is not None, 20, "launch to end")
    assert running.process.returncode == 0, "".join(running.lines)
    assert not any(alive(child) for child in running.children)
    assert not running.line("Traceback")


def test_nodes_end_with_a_launch_that_was_killed(needs_executables: None, launch: Any) -> None:
    """As `ros2 launch` leaves them when it gets SIGTERM, which it does not pass on."""
    running = launch("estimator:=embodied")
    wait_for(lambda: running.line("estimator embodied on"), what="the node to start")
    (node,) = running.children
    running.process.kill()
    running.process.wait(10)
    wait_for(lambda: not alive(node), 20, "the node to end")


def test_launch_fails_when_a_node_dies(
    needs_executables: None, launch: Any, tmp_path: Path
) -> None:
    bag = tmp_path / "no.mcap"
    bag.write_text("this is no bag")
    running = launch("base_frame:=base_link", f"bag:={bag}")
    wait_for(lambda: running.process.poll() is not None, what="launch to end")
    assert running.process.returncode == 1
    assert running.line("no.mcap' does not begin as mcap files do")
    assert not any(alive(child) for child in running.children)


@pytest.fixture
def fake_rviz(ros_environment: dict[str, str], tmp_path: Path) -> Iterator[Path]:
    """A program in the place of RViz; the environment finds it."""
    prefix = tmp_path / "prefix"
    index = prefix / "share/ament_index/resource_index/packages"
    index.mkdir(parents=True)
    (index / "rviz2").touch()
    program = prefix / "lib/rviz2/rviz2"
    program.parent.mkdir(parents=True)
    ros_environment["AMENT_PREFIX_PATH"] = f"{prefix}:{os.environ['AMENT_PREFIX_PATH']}"
    ros_environment["ROS_LOG_DIR"] = str(tmp_path / "log")
    yield program
    ros_environment["AMENT_PREFIX_PATH"] = os.environ["AMENT_PREFIX_PATH"]
    del ros_environment["ROS_LOG_DIR"]


@pytest.mark.parametrize("end", ["exit 0", "exit 1", "kill -SEGV $$"])
def test_the_nodes_go_on_when_rviz_ends(
    needs_executables: None, launch: Any, fake_rviz: Path, tmp_path: Path, end: str
) -> None:
    fake_rviz.write_text(f'#!/bin/bash\necho "rviz: $*"\n{end}\n')
    fake_rviz.chmod(0o755)
    running = launch("rviz:=true", "cameras:=front", "namespace:=car1", "estimator:=embodied")
    said = wait_for(lambda: running.line("everything else goes on"), what="RViz's end")
    assert "rviz2 has ended" in said
    assert running.line(f"-d {tmp_path}/log/surround_depth_car1.rviz --ros-args -r __node:=rviz2")
    wait_for(lambda: running.line("estimator embodied on"), what="the node to start")
    assert running.process.poll() is None
    running.process.send_signal(signal.SIGINT)
    wait_for(lambda: running.process.poll() is not None, 20, "launch to end")
    assert running.process.returncode == 0, "".join(running.lines)
    assert not any(alive(child) for child in running.children)


def test_cameras_that_are_published_are_found_for_rviz(ros: Any) -> None:
    from vehicle import CAMERAS, Vehicle

    from depth_perception.ros.present_topics import present_topics

    parameters = load(None)
    vehicle = Vehicle(ros, namespace="/car")
    try:
        topics = present_topics("car", parameters)
        assert set(find_cameras(topics, parameters)) == set(CAMERAS)
        assert topics["/tf_static"] == "tf2_msgs/msg/TFMessage"
        # Where no camera is it comes back all the same, when its patience is over.
        assert not find_cameras(present_topics("nobody", parameters, 0.5), parameters)
    finally:
        vehicle.close()
