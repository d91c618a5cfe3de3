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

"""Where nothing happens, something says why: nobody listens, no camera, too large an image."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Listener, RosSession, wait_for
from tiny_drive import CAMERA, write_drive

rclpy = pytest.importorskip("rclpy")

from vehicle import Vehicle  # noqa: E402

from depth_perception import messages  # noqa: E402
from depth_perception.nodes import surround_depth  # noqa: E402
from depth_perception.nodes.bringup import notice  # noqa: E402
from depth_perception.resources import config_file  # noqa: E402
from depth_perception.ros import listening  # noqa: E402
from depth_perception.ros.dds_profile import PROFILE_VARIABLES, too_large  # noqa: E402
from depth_perception.ros.messages import message_class  # noqa: E402

STATUS = ("/surround_depth/status", "depth_perception/msg/SurroundDepthStatus")
ROOT = Path(__file__).resolve().parents[2]


def test_a_node_that_nobody_listens_to_says_so_once(
    ros: RosSession,
    start: Any,
    vehicle: Vehicle,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "PATIENCE_S", 1.0)
    start()
    assert wait_for(
        lambda: listener.line(
            "WARN", "nobody listens to any output: nothing is computed. Fix: ", "/surround_depth/"
        )
    )
    viewer = rclpy.create_node("viewer")
    kind = message_class("sensor_msgs/msg/PointCloud2")
    viewer.create_subscription(kind, "/surround_depth/points", lambda message: None, 10)
    ros.add(viewer)
    wait_for(lambda: vehicle.watched, what="the images to be subscribed to")
    assert not listener.line("nobody listens any more")
    ros.remove(viewer)
    assert wait_for(lambda: listener.line("INFO", "nobody listens any more"))
    said = [line for line in listener.lines if "nobody listens to any output" in line]
    assert len(said) == 1


def test_no_camera_is_said_also_while_nobody_listens(
    start: Any, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surround_depth, "SILENCE_S", 0.5)
    start()
    assert wait_for(
        lambda: listener.line(
            "no output", "nobody publishes a camera_info topic", "sensor_msgs/msg/CameraInfo"
        )
    )


def test_cameras_of_another_namespace_are_named(
    start: Any, vehicle: Vehicle, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surround_depth, "SILENCE_S", 2.0)
    start(namespace="/car1")
    assert wait_for(
        lambda: listener.line(
            "camera_info topic in namespace /car1",
            "elsewhere there are /front/camera_info, /front/image_raw",
            "Fix: start the node without a namespace",
        )
    )


@pytest.fixture
def profile(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package's profile in use."""
    monkeypatch.delenv("RMW_IMPLEMENTATION", raising=False)
    path = config_file("fastdds.xml")
    for name in PROFILE_VARIABLES:
        monkeypatch.setenv(name, str(path))
    return path


def test_an_image_above_the_transports_limit_is_named_when_it_never_comes(
    profile: Path, start: Any, vehicle: Vehicle, listener: Listener
) -> None:
    status = listener.listen(*STATUS)
    start()
    wait_for(lambda: vehicle.heard)

    def reasons() -> dict[str, str]:
        """Send calibrations of 24 megapixels, and no image."""
        for name, size in (("front", (6000, 4000)), ("rear", (320, 200))):
            info = messages.camera_info_message(vehicle.types, vehicle.stamp, name, CAMERA)
            info.width, info.height = size
            vehicle._infos[name].publish(info)
        return {c.name: c.reason for s in status[-1:] for c in s.cameras}

    wait_for(lambda: "6000x4000" in reasons().get("front", ""))
    found = reasons()
    for part in ("/front/image_raw: no image has arrived", "69 MiB", "16 MiB", "Fix: "):
        assert part in found["front"]
    assert found["rear"] == "/rear/image_raw: no image has arrived"


def test_the_limit_is_that_of_the_profile_in_use(
    profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 16 * 2**20
    assert not too_large(1, limit // 3)
    assert str(profile) in too_large(1, limit // 3 + 1)
    larger = tmp_path / "larger.xml"
    larger.write_text(profile.read_text().replace(str(limit), str(5 * limit)))
    monkeypatch.setenv(PROFILE_VARIABLES[0], str(larger))
    assert not too_large(6000, 4000)
    assert "80 MiB" in too_large(6000, 5000)
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_cyclonedds_cpp")
    assert not too_large(6000, 5000)


def test_advice_names_only_programs_that_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    installed: set[str] = set()
    monkeypatch.setattr(listening.shutil, "which", lambda name: name if name in installed else None)
    assert "ros2" not in notice({}) and "rviz" not in notice({})
    assert "subscribe to /surround_depth/points" in notice({})
    installed |= {"ros2", "rviz2"}
    assert "ros2 topic hz /car/surround_depth/points" in notice({"namespace": "car"})
    assert "rviz:=true" in notice({})


def test_launching_a_bag_says_that_nothing_is_computed(
    needs_executables: None, ros_environment: dict[str, str], tmp_path: Path
) -> None:
    """The README's command: a bag is played, and nobody listens to what could be made of it."""
    bag = write_drive(tmp_path / "drive", frames=100)
    code = "import sys; from depth_perception.cli.main import main; sys.exit(main())"
    arguments = ["launch", f"bag:={bag}", "estimator:=embodied"]
    lines: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=ros_environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.append(line)
                if "nothing is computed" in line:
                    break
        finally:
            process.send_signal(signal.SIGINT)
            lines += process.communicate(timeout=1500)[0].splitlines()
    assert lines[0].startswith("[launch] depth is computed while somebody listens")
    assert any("[surround_depth]" in x and "nobody listens to any output" in x for x in lines)
    assert process.returncode == 0 and not any("Traceback" in line for line in lines)


def test_ctrl_c_while_a_node_loads_is_no_traceback(tmp_path: Path) -> None:
    """The executable as it is built, with a module that takes long in place of the node's."""
    configuration = tmp_path / "setup.cfg"
    configuration.write_text("[options.entry_points]\nconsole_scripts =\n    node = slow:main\n")
    (tmp_path / "slow.py").write_text(
        "import time\nprint('loading', flush=True)\ntime.sleep(600)\ndef main(): pass\n"
    )
    script = ROOT / "scripts" / "write_executables.py"
    arguments = ["--setup-cfg", str(configuration), "--output", str(tmp_path / "bin")]
    subprocess.run(
        [sys.executable, str(script), *arguments, "--interpreter", sys.executable], check=True
    )
    with subprocess.Popen(
        [str(tmp_path / "bin" / "node")],
        env={"PYTHONPATH": str(tmp_path)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "loading\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=600)
    assert process.returncode == -signal.SIGINT and not errors
