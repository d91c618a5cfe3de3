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

"""What users of other camera nodes report in their issue threads, as tests of this one.

The numbers are those of the survey of issue threads that the package was designed from; what is
tested elsewhere: 5, 13 and 15 (QoS) in test_managed_node, 9 (zero stamps) and 11 (the warning after
silence) in test_surround_depth_node, 10 (missing cameras) in test_frame_set.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from conftest import Listener, RosSession, wait_for

rclpy = pytest.importorskip("rclpy")

from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from tiny_drive import CAMERA  # noqa: E402
from vehicle import CAMERAS, Vehicle, sent_until  # noqa: E402

from depth_perception import messages  # noqa: E402
from depth_perception.messages.sensors import stamp_of  # noqa: E402
from depth_perception.ros.messages import message_class  # noqa: E402

STATUS = ("/surround_depth/status", "depth_perception/msg/SurroundDepthStatus")
FRONT_DEPTH = ("/surround_depth/front/depth/image_rect", "sensor_msgs/msg/Image")
RELIABLE = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)


def test_1_and_4_a_slow_estimator_drops_old_sets_and_stays_up_to_date(
    start: Any, vehicle: Vehicle, listener: Listener
) -> None:
    depth, status = listener.listen(*FRONT_DEPTH, RELIABLE), listener.listen(*STATUS, RELIABLE)
    node = start()
    sent_until(vehicle, lambda: depth)
    wait_for(lambda: stamp_of(depth[-1].header.stamp) == vehicle.stamp, what="all before")
    depth.clear()
    feeds = node._ingest.cameras.values()
    process = node._processor.pipeline.process
    begun, go_on = threading.Event(), threading.Event()

    def slow(*args: Any, **options: Any) -> Any:
        begun.set()
        assert go_on.wait(300.0)
        return process(*args, **options)

    node._processor.pipeline.process = slow
    first = vehicle.send()
    assert begun.wait(120.0)
    for _ in range(30):
        last = vehicle.send()
        wait_for(lambda last=last: min(feed.stamp for feed in feeds) == last, what="the images")
    go_on.set()
    wait_for(lambda: depth and stamp_of(depth[-1].header.stamp) == last, what="the newest")
    # The one that was computed, and of those that came meanwhile the newest alone.
    assert [stamp_of(image.header.stamp) for image in depth] == [first, last]
    wait_for(lambda: [s for s in list(status) if s.frame_sets_dropped >= 29])


def test_3_it_does_not_stick_after_a_few_frames(
    start: Any, vehicle: Vehicle, listener: Listener
) -> None:
    depth = listener.listen(*FRONT_DEPTH, RELIABLE)
    start(sync__queue_size=1000)
    sent_until(vehicle, lambda: depth)
    wait_for(lambda: stamp_of(depth[-1].header.stamp) == vehicle.stamp)
    depth.clear()
    for _ in range(150):
        sent = vehicle.send()
        wait_for(lambda sent=sent: depth and stamp_of(depth[-1].header.stamp) == sent, what="depth")
    assert len(depth) == 150


@pytest.mark.parametrize("offset", [7_000_000, -3_600_000_000_000])
def test_6_7_and_8_calibration_is_kept_not_synchronized(
    start: Any, vehicle: Vehicle, listener: Listener, offset: int
) -> None:
    """Published three times as often, with other stamps, and republished late."""
    depth = listener.listen(*FRONT_DEPTH, RELIABLE)
    start(sync__tolerance=0.005)
    other = messages.header(vehicle.types, vehicle.stamp + offset, "front")
    sent_until(vehicle, lambda: depth, info={"header": other})
    infos = [
        messages.camera_info_message(vehicle.types, vehicle.stamp + k, name, CAMERA)
        for k, name in enumerate(CAMERAS)
    ]
    for _ in range(10):
        for _ in range(3):
            for name, info in zip(CAMERAS, infos, strict=True):
                vehicle._infos[name].publish(info)
        sent = vehicle.send(info={"header": other})
        wait_for(lambda sent=sent: stamp_of(depth[-1].header.stamp) == sent, what="the image")


def test_12_and_14_best_effort_cameras_are_heard_and_reliable_viewers_served(
    ros: RosSession, start: Any, listener: Listener
) -> None:
    camera = Vehicle(ros, profile=QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT))
    try:
        cloud = listener.listen("/surround_depth/points", "sensor_msgs/msg/PointCloud2", RELIABLE)
        start()
        sent_until(camera, lambda: cloud)
        (info,) = listener.node.get_publishers_info_by_topic("/surround_depth/points")
        assert info.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    finally:
        camera.close()


def test_15_results_may_be_best_effort_when_asked(
    start: Any, vehicle: Vehicle, listener: Listener
) -> None:
    best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    depth = listener.listen(*FRONT_DEPTH, best_effort)
    start(qos__output="sensor_data", qos__output_depth=7)
    sent_until(vehicle, lambda: depth)
    infos = listener.node.get_publishers_info_by_topic(FRONT_DEPTH[0])
    assert [i.qos_profile.reliability for i in infos] == [ReliabilityPolicy.BEST_EFFORT]


def test_wall_clock_that_is_set_does_not_matter(
    start: Any, vehicle: Vehicle, listener: Listener
) -> None:
    """All cameras jump by an hour back, as when NTP sets their clock: sets go on at once."""
    depth, status = listener.listen(*FRONT_DEPTH, RELIABLE), listener.listen(*STATUS, RELIABLE)
    start()
    sent_until(vehicle, lambda: depth)
    for jump in (-3600, 7200):
        vehicle.stamp += jump * 10**9
        first = vehicle.send()
        wait_for(lambda first=first: any(stamp_of(d.header.stamp) == first for d in list(depth)))
    full = [s for s in status if s.stage_names]
    assert all(c.present for s in full[-2:] for c in s.cameras)


def test_a_camera_info_rect_beside_camera_info_blocks_no_camera(
    start: Any, vehicle: Vehicle, listener: Listener
) -> None:
    """As drivers of stereo cameras publish them (zed-ros-wrapper 343)."""
    kind = message_class("sensor_msgs/msg/CameraInfo")
    for name in CAMERAS:
        vehicle.node.create_publisher(kind, f"/{name}/camera_info_rect", RELIABLE)
    depth, status = listener.listen(*FRONT_DEPTH, RELIABLE), listener.listen(*STATUS, RELIABLE)
    node = start()
    sent_until(vehicle, lambda: depth and status)
    feeds = node._ingest.cameras
    assert {name: feed.topics.info for name, feed in feeds.items()} == {
        name: f"/{name}/camera_info" for name in CAMERAS
    }
    assert all("camera_info_rect is not" in feed.topics.note for feed in feeds.values())
    assert not node._ingest.absent


def test_only_the_camera_that_is_unclear_is_left_out(
    start: Any, vehicle: Vehicle, listener: Listener
) -> None:
    """Two vehicles on one network that share the name of a camera."""
    info, image = (message_class(f"sensor_msgs/msg/{name}") for name in ("CameraInfo", "Image"))
    vehicle.node.create_publisher(info, "/other/front/camera_info", RELIABLE)
    vehicle.node.create_publisher(image, "/other/front/image_raw", RELIABLE)
    rear = listener.listen("/surround_depth/rear/depth/image_rect", FRONT_DEPTH[1], RELIABLE)
    status = listener.listen(*STATUS, RELIABLE)
    start()
    wait_for(lambda: vehicle.watched == ["rear"], what="the node to subscribe")

    def answered() -> Any:
        vehicle.send()
        time.sleep(0.1)
        return rear and [s for s in list(status) if s.stage_names]

    latest = wait_for(answered)[-1]
    reasons = {camera.name: camera.reason for camera in latest.cameras}
    assert reasons["rear"] == ""
    for word in ("/front/camera_info, /other/front/camera_info", "Fix: set cameras"):
        assert word in reasons["front"]


def test_pixels_and_calibration_that_look_wrong_are_said_once_and_shown(
    start: Any, vehicle: Vehicle, listener: Listener, capfd: pytest.CaptureFixture[str]
) -> None:
    reports = listener.listen("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")
    depth = listener.listen(*FRONT_DEPTH, RELIABLE)
    listener.listen(FRONT_DEPTH[0].replace("front", "rear"), FRONT_DEPTH[1])
    start()
    wait_for(lambda: len(vehicle.watched) == 2, what="the node to subscribe")
    f, cx, cy = 130.0, 103.5, 64.5  # the K of an image 0.65 times as large
    K = [f, 0.0, cx, 0.0, f, cy, 0.0, 0.0, 1.0]
    black = np.zeros(CAMERA.width * CAMERA.height * 3, np.uint8)

    def warned(name: str, words: str) -> bool:
        now = time.time_ns()
        vehicle.send("front", stamp=now, image={"data": black.tobytes()})
        vehicle.send("rear", stamp=now, info={"k": K})
        return any(
            status.level == b"\x01" and words in status.message
            for array in list(reports)
            for status in array.status
            if status.name.endswith(f"input {name}")
        )

    wait_for(
        lambda: (
            warned("front", "/front/image_raw: the image is nearly black")
            and warned("rear", "/rear/camera_info: K has its principal point at (103.5, 64.5)")
        ),
        what="both on /diagnostics",
    )
    wait_for(lambda: depth, what="depth: both are used all the same")
    said = capfd.readouterr().err
    assert said.count("camera front: /front/image_raw: the image is nearly black") == 1
    assert said.count("camera rear: /rear/camera_info: K has its principal point") == 1
