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

"""`depth_perception doctor`: counts what arrives between real processes, and leaves none behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Listener, RosSession, wait_for

from depth_perception.cli.main import main
from depth_perception.errors import ConfigurationError
from depth_perception.ros.dds_profile import transport_environment
from depth_perception.transport.figures import Load, delivery_of
from depth_perception.transport.measurement import TransportError, measure, private_environment

COMMAND = "import sys; from depth_perception.cli.main import main; sys.exit(main())"
SMALL = ["--cameras", "2", "--size", "64x48", "--rate", "10", "--seconds", "1"]


def alive(process: int) -> bool:
    """Tell whether a process runs; one that only waits for its parent to see it end does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rate", "0"], "--rate: 0"),
        (["--rate", "nan"], "--rate: nan"),
        (["--size", "axb"], "--size axb"),
        (["--size", "0x900"], "--size (width): 0"),
        (["--cameras", "0"], "--cameras: 0"),
        (["--seconds", "-1"], "--seconds: -1"),
        (["--rate", "1", "--seconds", "0.2"], "not one image"),
        (["--cameras", "64", "--size", "16384x16384"], "GiB at every instant"),
        (["--input-depth", "0"], "--input-depth: 0"),
    ],
)
def test_impossible_arguments_are_named(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: " + said) or said in error
    assert "Fix: " in error and error.count("\n") == 1


def test_without_ros_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["doctor"]) == 1
    assert "no rclpy" in capsys.readouterr().err


def test_file_that_cannot_be_written_is_named_at_once(
    ros: RosSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for path, reason in ((tmp_path / "file" / "doctor.json", "is a file"), (tmp_path, "a folder")):
        assert main(["doctor", "--json", str(path)]) == 1
        assert reason in capsys.readouterr().err


def test_delivery_by_hand() -> None:
    found = delivery_of(4, [1.0, 2.0, 3.0])
    assert (found.arrived, found.share, found.p50_ms, found.max_ms) == (3, 0.75, 2.0, 3.0)
    nothing = delivery_of(4, [])
    assert (nothing.arrived, nothing.share, nothing.p50_ms) == (0, 0.0, None)


def test_measurement_is_private(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "0")
    monkeypatch.setenv("ROS_STATIC_PEERS", "192.0.2.1")
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", "/mine.xml")
    made = private_environment({})
    assert made["ROS_DOMAIN_ID"] != "0"
    assert made["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert "ROS_STATIC_PEERS" not in made and "FASTRTPS_DEFAULT_PROFILES_FILE" not in made


def test_small_images_all_arrive_and_both_processes_end(
    ros_environment: dict[str, str], ros: RosSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    popen = subprocess.Popen

    def recorded(*args: Any, **kwargs: Any) -> Any:
        process = popen(*args, **kwargs)
        started.append(process.pid)
        return process

    monkeypatch.setattr("depth_perception.transport.measurement.subprocess.Popen", recorded)
    measured = measure(Load(3, 64, 48, 10.0, 1.0, warm_up=0.5), transport_environment())
    assert len(started) == 2 and not any(alive(process) for process in started)
    assert measured.matched and list(measured.cameras) == ["camera_0", "camera_1", "camera_2"]
    # An instant is left out when the machine stands still for longer than a period.
    assert 1 <= measured.instants <= 10
    for delivery in measured.cameras.values():
        assert delivery.sent == delivery.arrived == measured.instants
        assert 0 < delivery.p50_ms <= delivery.p95_ms <= delivery.max_ms
    assert measured.total.arrived == 3 * measured.instants and measured.total.share == 1.0
    assert measured.complete == measured.instants
    assert 0 < measured.warm_up[0] == measured.warm_up[1] <= 15


def test_process_that_cannot_start_is_named(ros: RosSession, monkeypatch: Any) -> None:
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_absent")
    with pytest.raises(TransportError, match=r"ended with exit code 1.*Fix: .*RMW_IMPLEMENTATION"):
        measure(Load(1, 64, 48, 10.0, 1.0), {})


def test_verb_measures_and_writes_json(
    ros: RosSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "doctor.json"
    assert main(["doctor", *SMALL, "--json", str(path)]) == 0
    out = capsys.readouterr().out
    assert "complete frame sets" in out and "/dev/shm" in out and "net.core.rmem_max" in out
    result = json.loads(path.read_text())
    assert result["measured"]["total"]["share"] == 1.0
    assert result["measured"]["total"]["arrived"] == 2 * result["measured"]["sets_sent"]
    assert {"subject", "seen", "fix"} == set(result["findings"][0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_children_end_with_it(
    ros: RosSession, ros_environment: dict[str, str], number: signal.Signals
) -> None:
    arguments = [*SMALL[:-1], "600"]
    doctor = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "doctor", *arguments],
        env=ros_environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    listing = Path(f"/proc/{doctor.pid}/task/{doctor.pid}/children")
    children: list[int] = []
    try:
        wait_for(lambda: len(listing.read_text().split()) == 2, what="two processes")
        children = [int(text) for text in listing.read_text().split()]
        doctor.send_signal(number)
        code = doctor.wait(30)
        assert code == (130 if number == signal.SIGINT else -signal.SIGKILL)
        wait_for(lambda: not any(alive(child) for child in children), what="the end of both")
    finally:
        for process in (doctor.pid, *children):
            if alive(process):
                os.kill(process, signal.SIGKILL)
        doctor.wait(10)
        assert doctor.stderr is not None
        doctor.stderr.close()


def ignore(message: Any) -> None:
    """Take a message; built-in functions have no signature for rclpy before Python 3.11."""


@pytest.fixture
def two_ends(ros: RosSession) -> Any:
    """Make a driver that publishes best effort, a viewer that asks for more, one that does not."""
    from rclpy.node import Node
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
    from sensor_msgs.msg import CameraInfo, Image
    from tf2_msgs.msg import TFMessage

    nodes = [Node("driver", namespace="/rig"), Node("viewer"), Node("modest_viewer")]
    driver, viewer, modest = nodes
    driver.create_publisher(Image, "front/image_raw", qos_profile_sensor_data)
    driver.create_publisher(CameraInfo, "front/camera_info", 10)
    driver.create_publisher(TFMessage, "/tf_static", 10)
    modest.create_subscription(Image, "/rig/front/image_raw", ignore, qos_profile_sensor_data)
    viewer.create_subscription(
        Image,
        "/rig/front/image_raw",
        ignore,
        QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE),
    )
    viewer.create_subscription(
        CameraInfo,
        "/rig/front/camera_info",
        ignore,
        QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL),
    )
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    viewer.create_subscription(TFMessage, "/tf_static", ignore, latched)
    yield nodes
    for node in nodes:
        node.destroy_node()


def test_mismatch_on_the_graph_is_named(two_ends: Any, listener: Listener) -> None:
    from depth_perception.ros.graph_qos import compare_ends

    def both() -> Any:
        report = compare_ends(listener.node)
        return report if len(report.mismatches) == 3 else None

    report = wait_for(both, what="three mismatches")
    info, image, tf = report.mismatches
    assert (image.topic, image.publisher, image.subscriber, image.policies) == (
        "/rig/front/image_raw",
        "/rig/driver",
        "/viewer",
        ("reliability",),
    )
    assert info.topic == "/rig/front/camera_info" and info.policies == ("durability",)
    assert tf.topic == "/tf_static" and "publisher latch (transient_local)" in str(tf)
    assert "/viewer asks for more than /rig/driver offers" in str(image)
    assert "Fix: " in str(image) and "\n" not in str(image)


def test_graph_of_the_users_domain_is_seen_from_outside(two_ends: Any) -> None:
    from depth_perception.ros.graph_qos import inspect_graph

    report = wait_for(lambda: (r := inspect_graph(1.0)).mismatches and r, what="a mismatch")
    assert "/rig/front/image_raw" in report.topics
    assert {item.subscriber for item in report.mismatches} == {"/viewer"}


def test_load_knows_its_size() -> None:
    load = Load()
    assert load.image_bytes == 4_320_000 and load.instants == 120
    with pytest.raises(ConfigurationError, match="1 to 64"):
        Load(cameras=65)
