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

"""The node `surround_depth` with the real rclpy: exact depth, lazy work, faults and recovery."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import Listener, RosSession, wait_for

rclpy = pytest.importorskip("rclpy")

from vehicle import CAMERAS, Vehicle, road_depth, sent_until  # noqa: E402

from depth_perception.frames.publication import camera_topics, vehicle_topics  # noqa: E402
from depth_perception.messages.sensors import decode_depth, stamp_of  # noqa: E402
from depth_perception.nodes import surround_depth  # noqa: E402
from depth_perception.ros.messages import message_class  # noqa: E402

STATUS = ("/surround_depth/status", "depth_perception/msg/SurroundDepthStatus")
FRONT_DEPTH = ("/surround_depth/front/depth/image_rect", "sensor_msgs/msg/Image")


def test_every_output_is_exact_and_carries_stamp_and_frame_of_its_source(
    start: Any, vehicle: Vehicle, listener: Listener
) -> None:
    topics = dict(vehicle_topics().values())
    for name in CAMERAS:
        topics.update(camera_topics(name).values())
    for topic, kind in topics.items():
        listener.listen(f"/{topic}", kind)
    listener.listen("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")
    start(embodied__level="road")

    def pair(name: str) -> tuple[Any, Any] | None:
        """An image and the calibration of its stamp: the two topics match at different times."""
        infos = listener.messages[f"/surround_depth/{name}/depth/camera_info"]
        by_stamp = {stamp_of(info.header.stamp): info for info in infos}
        for image in listener.messages[f"/surround_depth/{name}/depth/image_rect"]:
            if (stamp := stamp_of(image.header.stamp)) in by_stamp:
                return image, by_stamp[stamp]
        return None

    def whole() -> list[Any]:
        """Statuses of sets of all cameras; the first may lack some: topics match one by one."""
        done = [s for s in listener.messages["/surround_depth/status"] if s.stage_names]
        return [s for s in done if all(c.present for c in s.cameras)]

    sent_until(
        vehicle,
        lambda: all(listener.messages.values()) and whole() and all(pair(name) for name in CAMERAS),
    )

    for name in CAMERAS:
        image, info = pair(name)
        assert image.encoding == "32FC1" and (image.width, image.height) == (320, 200)
        assert image.header.frame_id == info.header.frame_id == name
        assert image.header.stamp == info.header.stamp
        assert info.k[0] == 200.0 and info.p[6] == 99.5
        depth = decode_depth(image)
        for row in (125, 150, 180, 199):
            assert depth[row, 159] == pytest.approx(road_depth(row), rel=1e-5)
        assert not np.isfinite(depth[:90]).any()
        confidence = listener.messages[f"/surround_depth/{name}/depth/confidence"][0]
        values = np.frombuffer(confidence.data, np.float32)
        assert 0 <= np.nanmin(values) and np.nanmax(values) <= 1
    for topic in ("points", "obstacles", "occupancy", "ground", "status"):
        message = listener.messages[f"/surround_depth/{topic}"][0]
        assert message.header.frame_id == "base_link", topic
    ground = listener.messages["/surround_depth/ground"][0]
    assert (ground.normal.z, ground.height, ground.source) == (1.0, 0.0, ground.SOURCE_NOMINAL)
    cloud = listener.messages["/surround_depth/points"][0]
    assert [f.name for f in cloud.fields] == ["x", "y", "z", "rgb", "confidence"]
    assert cloud.width > 100 and len(cloud.data) == cloud.width * cloud.point_step
    done = whole()
    assert [c.name for c in done[0].cameras] == ["front", "rear"]
    assert not any(c.reason for c in done[0].cameras)
    assert done[0].latency > 0 and done[0].frame_sets_processed >= 1


def test_messages_are_made_only_for_topics_that_somebody_listens_to(
    start: Any, vehicle: Vehicle, listener: Listener
) -> None:
    node = start()
    made: list[str] = []
    asked: list[dict[str, bool]] = []
    publishers, pipeline = node._processor.publishers, node._processor.pipeline
    new, process = publishers._types.new, pipeline.process
    publishers._types.new = lambda kind, **f: made.append(kind) or new(kind, **f)
    pipeline.process = lambda *a, **k: asked.append(k) or process(*a, **k)
    depth = listener.listen(*FRONT_DEPTH)
    sent_until(vehicle, lambda: depth)
    assert {kind for kind in made if kind.startswith("sensor_msgs")} == {"sensor_msgs/msg/Image"}
    assert asked[-1] == {"clouds": False, "occupancy": False, "embodied": False}


def test_images_are_subscribed_to_only_while_somebody_needs_them(
    ros: RosSession, start: Any, vehicle: Vehicle, listener: Listener
) -> None:
    node = start()
    reports = listener.listen("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")
    wait_for(lambda: vehicle.found, what="the calibrations to be subscribed to")

    def said(part: str) -> bool:
        texts = [f"{item.name}: {item.message}" for r in reports[-1:] for item in r.status]
        return any(part in text for text in texts)

    wait_for(lambda: said("input rear: not subscribed to images: nobody listens"))
    wait_for(lambda: said("output: idle: nobody listens"))
    for _ in range(3):
        vehicle.send()
    assert vehicle.watched == [], "six raw cameras that nobody looks at cost nothing"
    assert all(feed.received == 0 for feed in node._ingest.cameras.values())

    def viewer(topic: str, kind: str) -> Any:
        node = rclpy.create_node("viewer")
        node.create_subscription(message_class(kind), topic, lambda message: None, 10)
        ros.add(node)
        return node

    of_front = viewer(*FRONT_DEPTH)
    wait_for(lambda: vehicle.watched == ["front"], what="the front camera alone")
    wait_for(lambda: said("input rear: not subscribed to images"))
    of_all = viewer("/surround_depth/points", "sensor_msgs/msg/PointCloud2")
    wait_for(lambda: vehicle.watched == ["front", "rear"], what="a cloud of all cameras")
    ros.remove(of_all)
    wait_for(lambda: vehicle.watched == ["front"], what="the rear camera to be let go")
    ros.remove(of_front)
    wait_for(lambda: vehicle.watched == [], what="both cameras to be let go")


@pytest.mark.parametrize("short", [*vehicle_topics(), *camera_topics("front")])
def test_each_output_comes_when_it_alone_is_listened_to(
    start: Any, vehicle: Vehicle, listener: Listener, short: str
) -> None:
    topic, kind = {**vehicle_topics(), **camera_topics("front")}[short]
    found = listener.listen(f"/{topic}", kind)
    start()

    def computed() -> bool:
        return any(getattr(message, "stage_names", True) for message in found)

    sent_until(vehicle, computed)
    of_vehicle = short in vehicle_topics()
    wait_for(lambda: vehicle.watched == (list(CAMERAS) if of_vehicle else ["front"]))


def test_missing_camera_is_named_with_its_reason_and_the_other_still_works(
    start: Any, vehicle: Vehicle, listener: Listener
) -> None:
    status, depth = listener.listen(*STATUS), listener.listen(*FRONT_DEPTH)
    start(cameras=["front", "rear", "left"])
    sent_until(vehicle, lambda: depth and any(s.stage_names for s in status), "front")
    cameras = {c.name: c for c in next(s for s in status if s.stage_names).cameras}
    assert list(cameras) == ["front", "rear", "left"]
    assert cameras["front"].present
    assert cameras["rear"].reason == "/rear/image_raw: no image has arrived"
    assert "no CameraInfo topic named .../left/camera_info" in cameras["left"].reason
    assert next(s for s in status if s.stage_names).frame_sets_incomplete >= 1


FAULTS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "unknown encoding": (
        {"image": {"encoding": "bgr99"}},
        ("/rear/image_raw", "'bgr99' is unknown", "Fix: set the camera driver"),
    ),
    "wrong step": (
        {"image": {"step": 10}},
        ("/rear/image_raw", "step 10", "Fix: set step = width * bytes per pixel"),
    ),
    "zeros in K": (
        {"info": {"k": np.zeros(9), "p": np.zeros(12)}},
        ("/rear/camera_info", "expected", "Fix:"),
    ),
    "size against calibration": (
        {"info": {"width": 640, "height": 200}},
        ("/rear/camera_info", "640x200", "320x200", "Fix: publish the CameraInfo"),
    ),
    "unknown frame": (
        {"image": {}, "frame": {}},
        ("'nowhere'", "TF", "Fix: publish it on /tf_static"),
    ),
}


def test_bad_messages_are_named_with_fix_and_the_next_good_one_recovers(
    start: Any, vehicle: Vehicle, listener: Listener
) -> None:
    status = listener.listen(*STATUS)
    start()

    def latest(name: str) -> Any:
        done = [s for s in list(status) if s.stage_names]
        return next((c for c in done[-1].cameras if c.name == name), None) if done else None

    for fault, (spoilt, parts) in FAULTS.items():
        if fault == "unknown frame":
            stamp = vehicle.stamp + 1
            head = vehicle.types.new("std_msgs/msg/Header", frame_id="nowhere")
            head.stamp.sec, head.stamp.nanosec = divmod(stamp, 10**9)
            spoilt = {"image": {"header": head}}

        def spoil(spoilt: dict[str, Any] = spoilt) -> None:
            stamp = vehicle.send("front")
            if "header" in spoilt.get("image", {}):
                header = spoilt["image"]["header"]
                header.stamp.sec, header.stamp.nanosec = divmod(stamp, 10**9)
            vehicle.send("rear", stamp=stamp, **spoilt)

        sent_until(vehicle, lambda: latest("rear") and latest("rear").present)

        def named(spoil: Callable[[], None] = spoil, parts: tuple[str, ...] = parts) -> bool:
            spoil()
            try:
                return wait_for(
                    lambda: (
                        not latest("rear").present
                        and all(part in latest("rear").reason for part in parts)
                    ),
                    0.5,
                )
            except pytest.fail.Exception:
                return False

        wait_for(named, what=f"'{fault}' in the status")
        assert wait_for(lambda parts=parts: listener.line("camera rear", *parts)), fault
        assert latest("front").present, fault
        sent_until(vehicle, lambda: latest("rear").present)


def test_zero_stamps_are_refused_with_topic_and_fix(
    start: Any, vehicle: Vehicle, listener: Listener
) -> None:
    status = listener.listen(*STATUS)
    start()
    wait_for(lambda: vehicle.heard)
    vehicle.send(stamp=0)
    assert wait_for(
        lambda: listener.line("/front/image_raw: header.stamp is zero", "Fix: let the camera")
    )
    assert wait_for(
        lambda: [s for s in status if all("stamp is zero" in c.reason for c in s.cameras)]
    )
    sent_until(vehicle, lambda: any(s.stage_names for s in status))


def test_without_transforms_the_warning_names_them_and_they_may_come_later(
    ros: RosSession, start: Any, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surround_depth, "SILENCE_S", 1.0)
    depth = listener.listen(*FRONT_DEPTH)
    vehicle = Vehicle(ros, transforms=False)
    try:
        start()
        sent_until(
            vehicle, lambda: listener.line("no output for 1 s", "'front'", "TF", "Fix: publish it")
        )
        assert not depth
        vehicle.publish_transforms()
        sent_until(vehicle, lambda: depth)
    finally:
        vehicle.close()


def test_without_cameras_one_warning_says_so(
    start: Any, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surround_depth, "SILENCE_S", 0.5)
    listener.listen(*STATUS)
    start()
    assert wait_for(lambda: listener.line("no output", "nobody publishes a camera_info topic"))


def test_label_images_that_come_later_decide_where_the_road_is(
    start: Any, vehicle: Vehicle, listener: Listener
) -> None:
    depth = listener.listen(*FRONT_DEPTH)
    start(segmentation__labels_topic="labels", embodied__level="road", sync__timeout=5.0)
    wait_for(lambda: vehicle.heard)
    road, sky = 0, 10
    answers = {}
    for number in (road, sky):
        # The first images may pass before all subscriptions match; later ones are answered.
        for _ in range(20):
            stamp = vehicle.send()
            vehicle.send_labels(stamp, number)
            try:
                answers[number] = wait_for(
                    lambda stamp=stamp: [m for m in depth if stamp_of(m.header.stamp) == stamp], 1.0
                )[0]
                break
            except pytest.fail.Exception:
                continue
    assert decode_depth(answers[road])[150, 10] == pytest.approx(road_depth(150), rel=1e-5)
    assert not np.isfinite(decode_depth(answers[sky])).any()


def test_namespace_and_raw_grid_and_millimetres(
    ros: RosSession, start: Any, listener: Listener
) -> None:
    depth = listener.listen("/car/surround_depth/front/depth/image_raw", "sensor_msgs/msg/Image")
    vehicle = Vehicle(ros, namespace="/car")
    other = Vehicle(ros, namespace="/truck")
    try:
        node = start(namespace="/car", rectify=False, output__depth_encoding="16UC1")
        sent_until(vehicle, lambda: depth)
        assert list(node._ingest.cameras) == ["front", "rear"]
        assert depth[0].encoding == "16UC1"
        millimetres = np.frombuffer(depth[0].data, np.uint16).reshape(200, 320)
        assert millimetres[150, 159] == round(road_depth(150) * 1000)
        assert stamp_of(depth[0].header.stamp) <= vehicle.stamp
    finally:
        vehicle.close()
        other.close()


def test_one_camera_below_the_road_does_not_stop_the_other(
    ros: RosSession, start: Any, listener: Listener
) -> None:
    depth, status = listener.listen(*FRONT_DEPTH), listener.listen(*STATUS)
    vehicle = Vehicle(ros, transforms=False)
    try:
        start()
        vehicle.publish_transforms(sink="rear")
        sent_until(vehicle, lambda: depth)
        done = wait_for(lambda: [s for s in status if s.stage_names])[-1]
        front, rear = done.cameras
        assert front.present and not rear.present
        assert "above the ground" in rear.reason and "Fix: " in rear.reason
    finally:
        vehicle.close()


def test_a_label_topic_of_another_type_is_named_and_the_node_lives(
    start: Any, vehicle: Vehicle, listener: Listener
) -> None:
    from std_msgs.msg import String

    depth = listener.listen(*FRONT_DEPTH)
    wrong = [vehicle.node.create_publisher(String, f"/{name}/words", 1) for name in CAMERAS]
    node = start(segmentation__labels_topic="words")
    sent_until(vehicle, lambda: depth)
    for publisher in wrong:
        publisher.publish(String(data="no labels"))
    assert wait_for(lambda: listener.line("/front/words is a std_msgs/msg/String", "Fix: "))
    count = len(depth)
    sent_until(vehicle, lambda: len(depth) > count + 1)
    assert node.exit_code == 0
