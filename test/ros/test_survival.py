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

"""`surround_depth` as a process while things break: it lives, resumes, counts, and stays small."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import RosSession, wait_for
from tiny_drive import HEIGHT, START, write_drive

rclpy = pytest.importorskip("rclpy")

from running import Process, Surround, camera, complete, measured, refused, service  # noqa: E402
from traffic import SMALL, Traffic, pitched  # noqa: E402

from depth_perception.datasets.bag import BagReader  # noqa: E402
from depth_perception.messages.sensors import decode_depth, stamp_of  # noqa: E402
from depth_perception.parameters import Parameters  # noqa: E402

GROWTH_MB = 60.0
"""What the node may grow by after its first results: some threads and buffers come late."""
CAMERAS = ("front", "left", "right")

READER = """
import sys, rclpy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("never_reads")
node.create_subscription(Image, sys.argv[1], lambda m: print("first", flush=True), 10)
rclpy.spin(node)
"""


@pytest.fixture(scope="module")
def traffic(ros: RosSession) -> Iterator[Traffic]:
    made = Traffic(ros, CAMERAS, compressed=["right"])
    yield made
    made.close()


@pytest.fixture(scope="module")
def group(
    ros: RosSession,
    ros_environment: dict[str, str],
    traffic: Traffic,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Surround, float]]:
    """One node that most tests share, and its memory after the first results, MB."""
    folder = tmp_path_factory.mktemp("saved")
    made = Surround(
        ros,
        ros_environment,
        "-p",
        f"cameras:=[{', '.join(CAMERAS)}]",
        "-p",
        "estimator:=embodied",
        "-p",
        "embodied.level:=road",
        "-p",
        f"monitor.save_folder:={folder}",
    )
    try:
        made.listen("front")
        made.resumes("start")
        made.more(10)
        yield made, made.process.memory
    finally:
        made.close()


@pytest.fixture
def surround(group: tuple[Surround, float], traffic: Traffic) -> Iterator[Surround]:
    """The shared node, in good order before the test; alive, small and quiet after it."""
    made, memory = group
    traffic.repair()
    made.wait(complete, "complete sets before the test", traffic.now())
    lines = len(made.process.lines)
    yield made
    assert made.process.alive
    assert not made.process.line("Traceback")
    said = made.process.lines[lines:]
    assert len(said) < 30, "".join(said)
    growth = made.process.memory - memory
    print(f"memory: {memory:.0f} MB after the first results, {growth:+.1f} MB since")
    assert growth < GROWTH_MB


def test_a_camera_dies_and_returns(surround: Surround, traffic: Traffic) -> None:
    whole = surround.more(10)
    before = whole[-1]
    traffic.alive = {"front", "right"}
    surround.wait(refused("left", "/left/image_raw: no image for"), "the camera to be missed")
    without = surround.more(10)
    assert sum(refused("left")(status) for status in without) > 5
    usual, waits = (
        np.median(np.diff([stamp_of(s.header.stamp) * 1e-9 for s in some]))
        for some in (whole, without)
    )
    assert waits < 2 * usual + 0.05, "the others wait for it"
    assert without[-1].frame_sets_incomplete - before.frame_sets_incomplete >= 10
    traffic.repair()
    surround.resumes("a camera dies and returns", traffic.now())
    later = surround.more(10)
    assert later[-1].frame_sets_incomplete - later[0].frame_sets_incomplete < 5


def test_all_cameras_die_and_return(surround: Surround, traffic: Traffic) -> None:
    traffic.alive = set()
    silent = surround.wait(
        lambda s: all("no image for" in c.reason for c in s.cameras), "all to be missed"
    )
    assert not silent.stage_names and not any(c.present for c in silent.cameras)
    assert [c.name for c in silent.cameras] == list(CAMERAS)
    processed = silent.frame_sets_processed
    again = surround.wait(lambda s: True, "a status without results")
    assert again.frame_sets_processed == processed
    traffic.repair()
    surround.resumes("all cameras die and return", traffic.now())
    counted = surround.more(10)
    assert counted[-1].frame_sets_processed - processed >= 10


def test_transform_is_late_then_changes_by_two_degrees(
    surround: Surround, traffic: Traffic
) -> None:
    row = 40
    v = (row - SMALL.K[1, 2]) / SMALL.K[1, 1]

    def expected(degrees: float) -> float:
        """Z = h / (v cos a + sin a), a camera at height h that looks down by a."""
        a = np.deg2rad(degrees)
        return float(HEIGHT / (v * np.cos(a) + np.sin(a)))

    def depth_is(value: float, since: float) -> bool:
        return any(
            decode_depth(m)[row, 40] == pytest.approx(value, rel=1e-4)
            for at, m in list(surround.listen("front"))
            if at > since
        )

    since = time.monotonic()
    wait_for(lambda: depth_is(expected(0.0), since), what="depth of the level camera")
    traffic.frame["front"] = "front_late"
    surround.wait(refused("front", "'front_late'", "TF", "Fix: publish it"), "TF to be missed")
    surround.more(10)
    traffic.mount({"front_late": pitched(0.0)})
    surround.resumes("transform is late", traffic.now())
    assert abs(expected(2.0) / expected(0.0) - 1) > 0.05
    begin = time.monotonic()
    traffic.mount({"front_late": pitched(2.0)})
    wait_for(lambda: depth_is(expected(2.0), begin), what="depth of the turned camera")
    measured("transform changes by 2 degrees", time.monotonic() - begin)


def test_half_the_images_are_corrupt(surround: Surround, traffic: Traffic) -> None:
    before = surround.count("input right", "refused")

    def cut(name: str, kind: str, number: int, message: Any) -> None:
        # No regular turn: a busy node takes every second frame set, or every third.
        if name == "right" and kind == "image" and (number * 2654435761 >> 20) & 1:
            message.data = message.data[: len(message.data) // 2]

    lines = len(surround.process.lines)
    traffic.spoil = cut
    surround.wait(
        refused("right", "/right/image_raw/compressed: ", "do not decode", "Fix: check the camera"),
        "the camera to be refused",
    )
    results = surround.more(20)
    present = [camera(s, "right").present for s in results]
    assert 2 <= sum(present) <= 18
    others = [camera(s, "front").present and camera(s, "left").present for s in results]
    assert sum(others) > 10, "one camera's fault is its own"
    counted = surround.count("input right", "refused") - before
    assert counted >= present.count(False)
    assert len(surround.process.lines) - lines < 10, "one fault fills the log"
    traffic.repair()
    surround.resumes("half the images are corrupt", traffic.now())
    after = surround.count("input right", "refused")
    surround.more(5)
    assert surround.count("input right", "refused") == after


def test_image_size_changes_midway(surround: Surround, traffic: Traffic) -> None:
    traffic.size["front"] = (160, 100)
    surround.resumes("image size doubles", traffic.now())
    since = time.monotonic()
    depth = wait_for(lambda: [m for at, m in surround.listen("front") if at > since])[0]
    assert (depth.width, depth.height) == (160, 100)
    traffic.size["front"] = (80, 80)
    surround.wait(
        refused("front", "/front/camera_info: describes images of 80x50, the image is 80x80"),
        "the shape to be refused",
    )
    surround.more(5)
    traffic.repair()
    surround.resumes("image shape changes and returns", traffic.now())


def test_camera_info_contradicts_the_image(surround: Surround, traffic: Traffic) -> None:
    wrong: dict[str, Any] = {}

    def contradict(name: str, kind: str, number: int, message: Any) -> None:
        if name == "left" and kind == "info":
            for field, value in wrong.items():
                setattr(message, field, value)

    traffic.spoil = contradict
    for fields, said in (
        ({"width": 640}, "describes images of 640x50, the image is 80x50"),
        ({"k": np.zeros(9), "p": np.zeros(12)}, "uncalibrated camera"),
        ({"distortion_model": "fish"}, "distortion_model 'fish' is unknown"),
    ):
        wrong.clear()
        wrong.update(fields)
        surround.wait(refused("left", "/left/camera_info: ", said), said)
    traffic.repair()
    surround.resumes("camera_info contradicts the image", traffic.now())


def test_clock_of_all_cameras_jumps_by_an_hour(surround: Surround, traffic: Traffic) -> None:
    jumps = surround.count("processing", "jumps of time")
    hour = 3600 * 10**9
    for turn, offset in enumerate((hour, 0, -hour, 0), 1):
        before = surround.more(1)[-1].frame_sets_processed
        traffic.offset = offset
        low = traffic.now()
        begin = time.monotonic()
        found = wait_for(
            lambda low=low, begin=begin: [
                s
                for s in surround.results(begin)
                if complete(s) and 0 <= stamp_of(s.header.stamp) - low < 10 * 10**9
            ],
            what="results by the new time",
        )[0]
        measured(f"clock jumps to {offset / hour:+.0f} h", time.monotonic() - begin)
        assert found.frame_sets_processed > before
        assert surround.count("processing", "jumps of time") == jumps + turn


def test_a_subscriber_never_reads(
    surround: Surround, traffic: Traffic, ros_environment: dict[str, str]
) -> None:
    traffic.size["front"] = (320, 200)
    reader = Process(ros_environment, "-c", READER, "/surround_depth/front/depth/image_rect")
    try:
        wait_for(lambda: reader.line("first"), what="the reader")
        os.kill(reader.id, signal.SIGSTOP)
        memory = surround.process.memory
        begin = time.monotonic()
        surround.more(40)
        rate = 40 / (time.monotonic() - begin)
        growth = surround.process.memory - memory
        print(f"a subscriber never reads: {rate:.1f} results a second, {growth:+.1f} MB")
        assert growth < 20
    finally:
        reader.end()
    surround.resumes("a subscriber never read", traffic.now())


def test_disk_is_full_while_saving(surround: Surround, tmp_path: Path) -> None:
    from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
    from rcl_interfaces.srv import SetParameters
    from std_srvs.srv import Trigger

    def folder_is(path: Path) -> None:
        value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=str(path))
        request = SetParameters.Request(
            parameters=[Parameter(name="monitor.save_folder", value=value)]
        )
        answer = service(surround, SetParameters, "/surround_depth/set_parameters", request)
        assert answer.results[0].successful, answer.results[0].reason

    def save() -> Any:
        return service(surround, Trigger, "/surround_depth/save_frame_set", Trigger.Request())

    folder_is(tmp_path / "full")
    limits = resource.prlimit(surround.process.id, resource.RLIMIT_FSIZE)
    # To a process, a file that may not grow looks like a disk without room.
    resource.prlimit(surround.process.id, resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        answer = save()
    finally:
        resource.prlimit(surround.process.id, resource.RLIMIT_FSIZE, limits)
    assert not answer.success
    assert str(tmp_path / "full") in answer.message
    assert "Fix: free some space, or set monitor.save_folder" in answer.message
    assert not list((tmp_path / "full").iterdir()), "half a bag is left"

    (tmp_path / "file").touch()
    folder_is(tmp_path / "file" / "below")
    answer = save()
    assert not answer.success
    assert str(tmp_path / "file" / "below") in answer.message and "Fix: " in answer.message

    folder_is(tmp_path / "room")
    answer = save()
    assert answer.success, answer.message
    with BagReader(answer.message, Parameters()) as reader:
        (frame_set,) = reader.frame_sets()
        assert sorted(frame_set.frames) == sorted(CAMERAS)
    surround.resumes("disk is full")


def test_node_is_restarted_under_load(surround: Surround, traffic: Traffic) -> None:
    old = surround.process
    os.kill(old.id, signal.SIGINT)
    wait_for(lambda: not old.alive, what="the node to end")
    assert old.process.returncode == 0, "".join(old.lines)
    assert not old.line("Traceback")
    surround.start()
    found = surround.resumes("node is restarted under load", traffic.now())
    assert found.frame_sets_processed < 50, "it counts from its own start"


def test_twelve_cameras(ros: RosSession, ros_environment: dict[str, str]) -> None:
    names = [f"camera_{number:02d}" for number in range(12)]
    made = Surround(ros, ros_environment, namespace="/bus")
    try:
        made.listen(names[-1])
        sender = Traffic(ros, names, compressed=names[8:], namespace="/bus", rate=5.0)
        try:
            made.resumes("twelve cameras", good=lambda s: complete(s) and len(s.cameras) == 12)
            memory = made.process.memory
            results = made.more(20)
            assert sum(complete(s) for s in results) > 10
            assert [c.name for c in results[-1].cameras] == names
            sender.alive = set(names[:6])
            made.wait(lambda s: sum(c.present for c in s.cameras) == 6, "half of them to die")
            sender.repair()
            made.resumes("six of twelve cameras die and return", sender.now())
            assert made.depths[names[-1]]
            assert made.process.alive and made.process.memory - memory < GROWTH_MB
        finally:
            sender.close()
    finally:
        made.close()


def test_player_is_killed_and_a_new_one_starts_over(
    ros: RosSession, ros_environment: dict[str, str], tmp_path: Path
) -> None:
    bag = write_drive(tmp_path / "drive", frames=35, leave_out=("/lidar/points",))
    options = ("-p", "use_sim_time:=true", "-p", "estimator:=embodied")
    made = Surround(ros, ros_environment, *options, namespace="/car")
    images: list[float] = []
    made._subscribe(
        "/car/front/image_raw", "sensor_msgs/msg/Image", lambda m: images.append(time.monotonic())
    )
    player = ("-m", "depth_perception.nodes.bag_player", str(bag))
    players: list[Process] = []

    def starts_over() -> int | None:
        """Index of the first complete result that is older than the one before it.

        What the node still had of the player that was killed comes in order, after its end too.
        """
        stamps = [stamp_of(s.header.stamp) if complete(s) else -1 for s in made.results()]
        back = [k for k in range(1, len(stamps)) if -1 < stamps[k] < max(stamps[:k])]
        return back[0] if back else None

    def late(first: int) -> bool:
        """Tell whether a result is from two seconds into the bag: the next player goes back."""
        return any(stamp_of(s.header.stamp) > START + 2 * 10**9 for s in made.results()[first:])

    try:
        players.append(Process(ros_environment, *player, "--prefix", "/car", "--rate", "0.5"))
        wait_for(lambda: late(0), what="results from later in the bag")
        assert starts_over() is None
        os.kill(players[0].id, signal.SIGKILL)
        memory = made.process.memory

        players[0].process.wait()
        images.clear()
        players.append(Process(ros_environment, *player, "--prefix", "/car", "--rate", "0.5"))
        first = wait_for(lambda: images[:1], what="the second player's first image")[0]
        back = wait_for(starts_over, what="results from the bag's beginning")
        measured("another player starts", time.monotonic() - first)
        wait_for(lambda: late(back), what="results from later in the bag, once more")
        # The node counts before it publishes, but what it said of that may still be on the way.
        wait_for(lambda: made.count("processing", "jumps of time") > 0, what="the jump")
        assert made.count("processing", "jumps of time") == 1
        assert made.process.alive and not made.process.line("Traceback")
        assert made.process.memory - memory < GROWTH_MB
    finally:
        for each in players:
            each.end()
        made.close()
