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

import os
import re
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
from depth_perception.nodes.bringup import ARGUMENTS, processes
from depth_perception.ros.dds_profile import PROFILE_VARIABLES, transport_environment

COMMAND = "import sys; from depth_perception.cli.main import main; sys.exit(main())"


def test_without_a_bag_only_the_node_starts_in_real_time() -> None:
    (node,) = processes({})
    assert node.executable == "surround_depth" and node.parameters == {"use_sim_time": False}


def test_bag_brings_a_player_and_its_time(tmp_path: Path) -> None:
    node, player = processes({"bag": str(tmp_path), "rate": "0.5", "namespace": "car"})
    assert node.parameters["use_sim_time"] is True
    assert player.parameters["bag"] == str(tmp_path) and player.parameters["rate"] == 0.5
    assert player.parameters["prefix"] == "/car" and node.namespace == player.namespace == "car"


def test_parameter_file_by_name_and_values_over_it() -> None:
    node = processes({"params_file": "nuscenes", "cameras": "CAM_FRONT, CAM_BACK"})[0]
    assert Path(node.parameter_files[0]).name == "nuscenes.yaml"
    assert node.parameters["cameras"] == ["CAM_FRONT", "CAM_BACK"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"bgg": "x"}, "'bgg' does not exist"),
        ({"rviz": "maybe"}, "rviz:=maybe"),
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


def test_rviz_shows_a_camera_of_the_bag(tmp_path: Path) -> None:
    bag = write_drive(tmp_path / "bag", frames=1, compressed=True)
    rviz = next(p for p in processes({"bag": str(bag), "rviz": "true"}) if p.name == "rviz2")
    text = Path(rviz.arguments[1]).read_text()
    topics = re.findall(r"Value: (\S*image_\S*)", text)
    assert topics == [
        "/front/image_raw",
        "surround_depth/front/depth/image_rect",
        "surround_depth/front/embodied/image_rect",
    ]
    assert "CAM_FRONT" not in text
    live = next(p for p in processes({"rviz": "true"}) if p.name == "rviz2")
    assert "/CAM_FRONT/image_rect" in Path(live.arguments[1]).read_text()
