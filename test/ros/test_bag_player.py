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

"""The node `bag_player`: what was recorded comes out, when and how it should."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broken_bags import edit_metadata
from conftest import Listener, RosSession, wait_for
from tiny_drive import CAMERA, PERIOD, START, picture, write_drive

rclpy = pytest.importorskip("rclpy")

from depth_perception import messages  # noqa: E402
from depth_perception.datasets.bag_writer import BagWriter  # noqa: E402
from depth_perception.errors import BagError, ConfigurationError  # noqa: E402
from depth_perception.messages.sensors import stamp_of  # noqa: E402
from depth_perception.nodes.bag_player import BagPlayer  # noqa: E402
from depth_perception.ros.messages import message_class  # noqa: E402
from depth_perception.ros.play_options import parse  # noqa: E402
from depth_perception.ros.qos import LATCHED, SENSOR_INPUT  # noqa: E402

IMAGE = "sensor_msgs/msg/Image"
CLOCK = "rosgraph_msgs/msg/Clock"
TRANSFORMS = "tf2_msgs/msg/TFMessage"


@pytest.fixture
def play(ros: RosSession) -> Iterator[Callable[..., BagPlayer]]:
    """Start players with command line arguments; they end with the test."""
    started = []

    def make(*arguments: Any) -> BagPlayer:
        player = BagPlayer(parse([str(argument) for argument in arguments]))
        started.append(player)
        ros.add(player.node)
        return player

    yield make
    for player in started:
        player.close()
        ros.remove(player.node)


def stamps(messages: list[Any]) -> list[int]:
    return [stamp_of(message.header.stamp) for message in messages]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("single_file", [False, True])
def test_every_message_of_either_storage_arrives_once_and_in_order(
    tmp_path: Path, play: Any, listener: Listener, storage: str, single_file: bool
) -> None:
    bag = write_drive(tmp_path / "drive", frames=3, storage=storage)
    if single_file:
        bag = next(path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
    front = listener.listen("/front/image_raw", IMAGE, SENSOR_INPUT)
    rear = listener.listen("/rear/camera_info", "sensor_msgs/msg/CameraInfo", SENSOR_INPUT)
    player = play(bag)
    wait_for(player.finished.is_set)
    wait_for(lambda: len(front) == 3 and len(rear) == 3)
    assert stamps(front) == [START + index * PERIOD for index in range(3)]
    assert front[0].encoding == "bgr8" and len(front[0].data) == 320 * 200 * 3
    assert player.exit_code == 0


def test_static_transforms_are_whole_for_who_comes_late(
    tmp_path: Path, play: Any, listener: Listener
) -> None:
    bag = write_drive(tmp_path / "drive", frames=2)
    front = listener.listen("/front/image_raw", IMAGE, SENSOR_INPUT)
    play(bag, "--loop", "--rate", "2")
    wait_for(lambda: len(front) >= 1)
    late = listener.listen("/tf_static", TRANSFORMS, LATCHED)
    wait_for(lambda: late)
    assert {t.child_frame_id for t in late[0].transforms} == {"front", "rear", "lidar"}
    assert len(late) == 1


def test_clock_never_goes_back_and_carries_the_time_of_the_messages(
    tmp_path: Path, play: Any, listener: Listener
) -> None:
    bag = write_drive(tmp_path / "drive", frames=5)
    front = listener.listen("/front/image_raw", IMAGE, SENSOR_INPUT)
    clock = listener.listen("/clock", CLOCK, 1000)
    player = play(bag, "--clock", "100", "--rate", "0.5")
    wait_for(player.finished.is_set)
    wait_for(lambda: len(front) == 5)
    times = [stamp_of(message.clock) for message in clock]
    assert times == sorted(times)
    assert set(stamps(front)) <= set(times)
    # 0.4 s at half the speed are 0.8 s at 100 Hz.
    assert len(times) > 40


def test_start_duration_topics_remap_and_prefix(
    tmp_path: Path, play: Any, listener: Listener
) -> None:
    bag = write_drive(tmp_path / "drive", frames=6)
    renamed = listener.listen("/camera", IMAGE, SENSOR_INPUT)
    prefixed = listener.listen("/car/rear/image_raw", IMAGE, SENSOR_INPUT)
    left_out = listener.listen("/car/lidar/points", "sensor_msgs/msg/PointCloud2", SENSOR_INPUT)
    player = play(
        bag,
        "--start",
        "0.15",
        "--duration",
        "0.2",
        "--prefix",
        "/car",
        "--topics",
        "/front/image_raw",
        "/rear/image_raw",
        "--remap",
        "/front/image_raw:=/camera",
    )
    wait_for(player.finished.is_set)
    wait_for(lambda: len(renamed) == 2 and len(prefixed) == 2)
    assert stamps(renamed) == [START + 2 * PERIOD, START + 3 * PERIOD]
    assert not left_out


def test_loop_starts_again(tmp_path: Path, play: Any, listener: Listener) -> None:
    bag = write_drive(tmp_path / "drive", frames=2)
    front = listener.listen("/front/image_raw", IMAGE, SENSOR_INPUT)
    player = play(bag, "--loop", "--rate", "4")
    wait_for(lambda: len(front) >= 5)
    assert stamps(front)[:4] == [START, START + PERIOD] * 2
    assert not player.finished.is_set()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rate", "0"], "rate: 0.0; expected at least 0.001"),
        (["--start", "9"], "start: 9.0 s; expected less than the bag's 0.1 s"),
        (["--remap", "front"], "remap: 'front'; expected /recorded/name:=/new/name"),
    ],
)
def test_impossible_options_name_the_option_and_the_fix(
    ros: RosSession, tmp_path: Path, arguments: list[str], said: str
) -> None:
    bag = write_drive(tmp_path / "drive", frames=2)
    with pytest.raises(ConfigurationError) as caught:
        BagPlayer(parse([str(bag), *arguments]))
    assert said in str(caught.value)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_what_is_cut_before_its_first_message_is_one_line(
    ros: RosSession, tmp_path: Path, storage: str
) -> None:
    bag = write_drive(tmp_path / "drive", frames=3, storage=storage)
    file = next(path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
    file.write_bytes(file.read_bytes()[:300])
    for path in (bag, file):
        with pytest.raises(BagError) as caught:
            BagPlayer(parse([str(path), "--wait-for-subscribers", "0"]))
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_cut_bag_is_played_up_to_the_cut_in_spite_of_its_metadata(
    tmp_path: Path, play: Any, listener: Listener, storage: str
) -> None:
    bag = write_drive(tmp_path / "drive", frames=9, storage=storage)
    file = next(path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 3 // 4])
    edit_metadata(bag, starting_time=2**63 - 1, duration=0, message_count=0, storage_identifier="")
    front = listener.listen("/front/image_raw", IMAGE, SENSOR_INPUT)
    player = play(bag)
    wait_for(player.finished.is_set)
    wait_for(lambda: len(front) >= 5)
    assert stamps(front) == [START + index * PERIOD for index in range(len(front))]
    assert 5 <= len(front) < 9 and player.exit_code == 0


def test_ros1_empty_and_unknown_bags_are_refused(ros: RosSession, tmp_path: Path) -> None:
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    empty = write_drive(tmp_path / "empty", frames=0, leave_out=("/tf_static",))
    for path, said in (
        (tmp_path / "old.bag", "is of ROS 1"),
        (empty, "is empty"),
        (tmp_path / "absent", "does not exist"),
    ):
        with pytest.raises(BagError, match=said):
            BagPlayer(parse([str(path)]))


def test_process_ends_with_code_1_and_one_line(
    ros_environment: dict[str, str], tmp_path: Path
) -> None:
    code = "import sys; from depth_perception.nodes.bag_player import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(tmp_path / "absent")]
        if sys.version_info >= (3, 11)
        else [sys.executable, "-c", code, str(tmp_path / "absent")],
        env=ros_environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    lines = (done.stdout + done.stderr).strip().splitlines()
    assert done.returncode == 1
    assert len(lines) == 1 and "does not exist. Fix: correct the path" in lines[0]


def test_only_who_listens_to_more_than_calibration_and_odometry_counts_as_listening(
    tmp_path: Path, play: Any, listener: Listener
) -> None:
    """`surround_depth` takes those before anybody wants depth; images only then."""
    with BagWriter(tmp_path / "drive") as writer:
        types = writer.types
        new = types.new
        zero = new("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0)
        still = new("geometry_msgs/msg/Twist", linear=zero, angular=zero)
        origin = new("geometry_msgs/msg/Point", x=0.0, y=0.0, z=0.0)
        level = new("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
        here = new("geometry_msgs/msg/Pose", position=origin, orientation=level)
        none = np.zeros(36)
        pose = new(
            "nav_msgs/msg/Odometry",
            header=messages.header(types, START, "odom"),
            child_frame_id="base_link",
            pose=new("geometry_msgs/msg/PoseWithCovariance", pose=here, covariance=none),
            twist=new("geometry_msgs/msg/TwistWithCovariance", twist=still, covariance=none),
        )
        writer.write("/odom", pose, START)
        info = messages.camera_info_message(types, START, "front", CAMERA)
        writer.write("/front/camera_info", info, START)
        image = messages.image_message(types, START, "front", picture(0), "bgr8")
        writer.write("/front/image_raw", image, START)
    info = listener.listen("/front/camera_info", "sensor_msgs/msg/CameraInfo", SENSOR_INPUT)
    way = listener.listen("/odom", "nav_msgs/msg/Odometry", SENSOR_INPUT)
    player = play(tmp_path / "drive", "--loop")
    wait_for(lambda: info and way, what="the player to play without a listener")
    assert player._publishers.subscriptions == 0
    listener.listen("/front/image_raw", IMAGE, SENSOR_INPUT)
    wait_for(lambda: player._publishers.subscriptions == 1, what="the listener to count")


def test_the_player_waits_for_what_is_still_computed(
    tmp_path: Path, ros: RosSession, play: Any
) -> None:
    """The end waits for two statuses in a row without a frame set; without a node, for nothing."""
    bag = write_drive(tmp_path / "drive", frames=1)
    topic = "/surround_depth/status"
    alone = play(bag, "--wait-for-subscribers", 0, "--wait-for-results", topic)
    wait_for(alone.finished.is_set)
    node = rclpy.node.Node("computes")
    ros.add(node)
    Status = message_class("depth_perception/msg/SurroundDepthStatus")
    publisher = node.create_publisher(Status, topic, 10)
    player = play(bag, "--wait-for-subscribers", 0, "--wait-for-results", topic)
    wait_for(publisher.get_subscription_count)
    received = []
    for stages in (["network"], [], ["network"], []):
        publisher.publish(Status(stage_names=stages))
        received.append(player.finished.wait(0.5))
    assert not any(received)
    publisher.publish(Status(stage_names=[]))
    wait_for(player.finished.is_set)
    ros.remove(node)
