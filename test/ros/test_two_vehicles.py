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

"""Bags in namespaces: topics, transforms and time of two vehicles side by side do not mix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_drive
from conftest import Listener, RosSession, wait_for
from tiny_drive import mounting, write_drive

rclpy = pytest.importorskip("rclpy")

from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

from depth_perception import messages  # noqa: E402
from depth_perception.messages.sensors import stamp_of  # noqa: E402
from depth_perception.nodes.bag_player import BagPlayer  # noqa: E402
from depth_perception.ros.play_options import parse  # noqa: E402
from depth_perception.ros.qos import LATCHED, SENSOR_INPUT  # noqa: E402
from depth_perception.ros.sim_time import silent_clock  # noqa: E402

OWN_CLOCK = ["--ros-args", "-r", "/clock:=clock"]
IMAGE = "sensor_msgs/msg/Image"
TRANSFORMS = "tf2_msgs/msg/TFMessage"
INFO = "sensor_msgs/msg/CameraInfo"


@pytest.fixture
def play(ros: RosSession) -> Iterator[Callable[..., BagPlayer]]:
    """Start players with rules; they end with the test."""
    started = []

    def make(*arguments: Any, namespace: str = "", rules: tuple[str, ...] = ()) -> BagPlayer:
        words = [word for rule in rules for word in ("-r", rule)]
        player = BagPlayer(
            parse([str(argument) for argument in arguments]),
            namespace=namespace,
            cli_args=["--ros-args", *words],
        )
        started.append(player)
        ros.add(player.node)
        return player

    yield make
    for player in started:
        player.close()
        ros.remove(player.node)


def topics_of(node: Any) -> dict[str, tuple[str, str]]:
    return {
        name: (feed.topics.image, feed.topics.info) for name, feed in node._ingest.cameras.items()
    }


def test_the_player_follows_its_namespace_and_rules(
    tmp_path: Path, play: Any, listener: Listener
) -> None:
    bag = write_drive(tmp_path / "drive", frames=2)
    inside = listener.listen("/car1/front/image_raw", IMAGE, SENSOR_INPUT)
    outside = listener.listen("/front/image_raw", IMAGE, SENSOR_INPUT)
    renamed = listener.listen("/back/camera_info", INFO, SENSOR_INPUT)
    clock = listener.listen("/car1/clock", "rosgraph_msgs/msg/Clock")
    tf = listener.listen("/car1/tf_static", TRANSFORMS, LATCHED)
    rules = ("/clock:=clock", "/tf_static:=tf_static", "/rear/camera_info:=/back/camera_info")
    player = play(bag, namespace="/car1", rules=rules)
    wait_for(player.finished.is_set)
    wait_for(lambda: len(inside) == len(renamed) == 2 and clock and tf)
    assert not outside


@pytest.mark.parametrize(("prefix", "played"), [("/", ""), ("/other", "/other"), ("", "/car1")])
def test_the_prefix_is_the_namespace_where_none_is_given(
    tmp_path: Path, play: Any, prefix: str, played: str
) -> None:
    bag = write_drive(tmp_path / "drive", frames=1)
    player = play(bag, "--prefix", prefix, namespace="/car1")
    names = {publisher.topic_name for publisher in player._publishers._publishers.values()}
    assert names >= {f"{played}/front/image_raw", "/tf_static"}


def test_what_was_recorded_in_the_namespace_is_not_put_into_it_again(
    tmp_path: Path, play: Any
) -> None:
    bag = tmp_path / "drive"
    with tiny_drive.BagWriter(bag) as writer:
        info = messages.camera_info_message(writer.types, 1, "front", tiny_drive.CAMERA)
        for topic in ("/car1/front/camera_info", "/rear/camera_info"):
            writer.write(topic, info, tiny_drive.START)
    player = play(bag, namespace="/car1")
    names = {publisher.topic_name for publisher in player._publishers._publishers.values()}
    assert names == {"/car1/front/camera_info", "/car1/rear/camera_info"}


def drive_of(folder: Path, x: float) -> Path:
    """A drive whose cameras are mounted further in front."""

    def change(topic: str, index: int, message: Any) -> Any:
        if topic == "/tf_static":
            for item in message.transforms:
                item.transform.translation.x += x
        return message

    return write_drive(folder, frames=4, change=change)


def test_two_vehicles_side_by_side_each_have_their_own(
    tmp_path: Path, start: Any, play: Any, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As two launches with ``bag`` and ``namespace`` start them; frames have the same names."""
    cars = {}
    for index, name in enumerate(("car1", "car2")):
        monkeypatch.setattr(tiny_drive, "START", tiny_drive.START + index * 10**12)
        depth = listener.listen(f"/{name}/surround_depth/front/depth/image_rect", IMAGE)
        node = start(namespace=f"/{name}", rules=("/clock:=clock",), use_sim_time=True)
        cars[name] = SimpleNamespace(
            begin=tiny_drive.START,
            x=float(index),
            depth=depth,
            node=node,
            bag=drive_of(tmp_path / name, float(index)),
        )
    rules = ("/clock:=clock", "/tf:=tf", "/tf_static:=tf_static")
    for name, car in cars.items():
        play(car.bag, "--loop", namespace=f"/{name}", rules=rules)
    for name, car in cars.items():
        wait_for(lambda car=car: len(car.depth) > 4, what=f"depth of {name}")
        assert set(topics_of(car.node)) == {"front", "rear"}
        assert topics_of(car.node)["front"][0] == f"/{name}/front/image_raw"
        rig = car.node._ingest.rig
        expected = mounting("front")[0, 3] + car.x
        assert rig.mounting("front", f"/{name}/front/image_raw")[0, 3] == pytest.approx(expected)
        assert not rig.contradictions()
        stamps = np.array([stamp_of(message.header.stamp) for message in car.depth])
        assert (np.abs(stamps - car.begin) < 10**9).all()
    assert not listener.line("time jumps between theirs")
    hardware = listener.listen("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")
    wanted = {(f"{name}/cameras", f"{name}/surround_depth: output") for name in cars}
    wait_for(
        lambda: {(s.hardware_id, s.name) for array in hardware for s in array.status} >= wanted,
        what="diagnostics of both",
    )


def test_two_players_on_one_clock_are_named(
    tmp_path: Path, start: Any, play: Any, listener: Listener
) -> None:
    bag = write_drive(tmp_path / "drive", frames=2)
    start(use_sim_time=True)
    play(bag, "--loop", namespace="/car1")
    play(bag, "--loop", namespace="/car2")
    said = "/clock is published by /car1/bag_player and /car2/bag_player: time jumps"
    for who in ("car1.bag_player", "car2.bag_player", "surround_depth"):
        wait_for(lambda who=who: listener.line(who, said, "Fix: "), what=f"the warning of {who}")


def test_a_clock_elsewhere_is_named(ros: RosSession, tmp_path: Path, play: Any) -> None:
    bag = write_drive(tmp_path / "drive", frames=2)
    follows = [Parameter("use_sim_time", value=True)]
    node = Node("follower", namespace="/car1", parameter_overrides=follows)
    own = Node("own", namespace="/car1", parameter_overrides=follows, cli_args=OWN_CLOCK)
    for item in (node, own):
        ros.add(item)
    try:
        assert "Fix: play the bag" in silent_clock(node)
        play(bag, "--loop", namespace="/car1", rules=("/clock:=clock",))
        wait_for(
            lambda: (
                (
                    "/clock is silent; there is /car1/clock. Fix: start the node with"
                    " -r /clock:=/car1/clock"
                )
                in silent_clock(node)
            )
        )
        wait_for(lambda: not silent_clock(own), what="the clock of the namespace")
    finally:
        for item in (node, own):
            ros.remove(item)
