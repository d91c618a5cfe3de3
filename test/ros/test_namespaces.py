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

"""Namespaces and remapping as users have them: cameras, transforms, outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from conftest import Listener, RosSession, wait_for
from tiny_drive import mounting, transform

rclpy = pytest.importorskip("rclpy")

from rclpy.node import Node  # noqa: E402
from vehicle import Vehicle  # noqa: E402

from depth_perception.nodes import surround_depth  # noqa: E402
from depth_perception.ros.messages import RclpyTypes, message_class  # noqa: E402
from depth_perception.ros.qos import LATCHED  # noqa: E402
from depth_perception.ros.topic_names import TopicNames  # noqa: E402

OWN_CLOCK = ["--ros-args", "-r", "/clock:=clock"]
IMAGE = "sensor_msgs/msg/Image"
STATUS = "depth_perception/msg/SurroundDepthStatus"
TRANSFORMS = "tf2_msgs/msg/TFMessage"
INFO = "sensor_msgs/msg/CameraInfo"


@pytest.fixture
def robot(ros: RosSession) -> Iterator[Vehicle]:
    """The vehicle, with its cameras in /robot and its transforms outside of any namespace."""
    made = Vehicle(ros, namespace="/robot")
    yield made
    made.close()


def sent_until(vehicle: Vehicle, condition: Callable[[], Any]) -> None:
    """Send images, ten a second, until the condition holds; not all cameras need be listened to."""

    def attempt() -> Any:
        vehicle.send()
        try:
            return wait_for(condition, 0.1)
        except pytest.fail.Exception:
            return None

    wait_for(attempt, what="the answer to images")


def both(camera: str, topic: str) -> tuple[str, str]:
    """Rules that lead image and calibration of a camera elsewhere."""
    return f"{camera}/image_raw:={topic}/image_raw", f"{camera}/camera_info:={topic}/camera_info"


def topics_of(node: Any) -> dict[str, tuple[str, str]]:
    return {
        name: (feed.topics.image, feed.topics.info) for name, feed in node._ingest.cameras.items()
    }


# One node.


def test_cameras_are_found_by_the_names_that_remapping_gives_them(
    start: Any, robot: Vehicle, listener: Listener
) -> None:
    depth = listener.listen("/car1/surround_depth/camera/depth/image_rect", IMAGE)
    node = start(namespace="/car1", rules=both("camera", "/robot/front"))
    sent_until(robot, lambda: depth)
    assert topics_of(node) == {"camera": ("/robot/front/image_raw", "/robot/front/camera_info")}
    assert depth[0].header.frame_id == "front"


def test_a_camera_is_found_once_and_the_others_too_where_all_are_seen(
    start: Any, robot: Vehicle, listener: Listener
) -> None:
    depth = listener.listen("/surround_depth/eye/depth/image_rect", IMAGE)
    node = start(rules=both("eye", "/robot/front"))
    wait_for(lambda: len(node._ingest.cameras) == 2, what="both cameras")
    sent_until(robot, lambda: depth)
    assert list(topics_of(node)) == ["eye", "rear"]


def test_swapped_cameras_are_swapped(start: Any, robot: Vehicle, listener: Listener) -> None:
    depth = listener.listen("/robot/surround_depth/front/depth/image_rect", IMAGE)
    rules = (*both("front", "/robot/rear"), *both("rear", "/robot/front"))
    node = start(namespace="/robot", rules=rules)
    sent_until(robot, lambda: depth)
    assert topics_of(node)["front"] == ("/robot/rear/image_raw", "/robot/rear/camera_info")
    assert depth[0].header.frame_id == "rear"


@pytest.mark.parametrize(
    ("namespace", "parameters", "rules"),
    [
        ("", {"cameras": ["front"]}, both("front", "/robot/front")),
        ("/car1", {"cameras": ["front"]}, both("front", "/robot/front")),
        (
            "/car1",
            {"cameras": ["front"], "image_topics": ["cam/image"]},
            ("cam/image:=/robot/front/image_raw", "front/camera_info:=/robot/front/camera_info"),
        ),
        (
            "/car1",
            {"cameras": ["front"], "image_topics": ["cam/image"], "camera_info_topics": ["/info"]},
            ("cam/image:=/robot/front/image_raw", "/info:=/robot/front/camera_info"),
        ),
        (
            "/car1",
            {
                "cameras": ["front"],
                "image_topics": ["/robot/front/image_raw"],
                "camera_info_topics": ["/robot/front/camera_info"],
            },
            (),
        ),
    ],
)
def test_named_cameras_and_topics_are_remapped(
    start: Any,
    robot: Vehicle,
    listener: Listener,
    namespace: str,
    parameters: dict[str, Any],
    rules: tuple[str, ...],
) -> None:
    depth = listener.listen(f"{namespace}/surround_depth/front/depth/image_rect", IMAGE)
    node = start(namespace=namespace, rules=rules, **parameters)
    sent_until(robot, lambda: depth)
    assert topics_of(node) == {"front": ("/robot/front/image_raw", "/robot/front/camera_info")}


def test_remapped_outputs_services_and_node_name(
    start: Any, robot: Vehicle, listener: Listener
) -> None:
    points = listener.listen("/points", "sensor_msgs/msg/PointCloud2")
    diagnostics = listener.listen("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")
    rules = (
        "surround_depth/points:=/points",
        "surround_depth/front/depth/image_rect:=/depth_of_front/image",
        "surround_depth/front/depth/camera_info:=/depth_of_front/camera_info",
        "__node:=eyes",
    )
    node = start(rules=rules)
    sent_until(robot, lambda: points and diagnostics)
    statuses = [status for array in diagnostics for status in array.status]
    assert {status.name.split(":")[0] for status in statuses} == {"eyes"}
    assert dict(node.node.get_service_names_and_types()).keys() >= {"/eyes/set_enabled"}
    # What we publish under a camera's name is no camera of ours.
    assert list(topics_of(node)) == ["front", "rear"]


def test_labels_are_remapped(start: Any, robot: Vehicle) -> None:
    node = start(
        namespace="/car1",
        rules=(*both("front", "/robot/front"), "front/labels:=/robot/front/labels"),
        segmentation__labels_topic="labels",
    )
    wait_for(lambda: node._ingest.cameras, what="the camera")
    assert node._ingest.cameras["front"].topics.labels == "/robot/front/labels"


@pytest.mark.parametrize("rules", [("/tf:=tf", "/tf_static:=tf_static"), ()])
def test_transforms_in_a_namespace_and_those_of_others(
    ros: RosSession, start: Any, listener: Listener, rules: tuple[str, ...]
) -> None:
    vehicle = Vehicle(ros, namespace="/car1", tf_topic="/car1/tf_static")
    other = Node("other_vehicle")
    publisher = other.create_publisher(message_class(TRANSFORMS), "/tf_static", LATCHED)
    types = RclpyTypes()
    far = mounting("front")
    far[0, 3] += 5.0
    publisher.publish(
        types.new(TRANSFORMS, transforms=[transform(types, "base_link", "front", far)])
    )
    ros.add(other)
    try:
        depth = listener.listen("/car1/surround_depth/front/depth/image_rect", IMAGE)
        node = start(namespace="/car1", rules=rules)
        sent_until(vehicle, lambda: depth)
        own = mounting("front")
        wait_for(
            lambda: np.allclose(
                node._ingest.rig.mounting("front", "/car1/front/image_raw"), own, atol=1e-6
            ),
            what="the transforms of its own namespace",
        )
        assert not node._ingest.rig.contradictions()
        heard = {"/car1/tf_static"} if rules else {"/car1/tf_static", "/tf_static"}
        wait_for(lambda: {t for t in node._transforms._topics if "static" in t} == heard)
        told = {
            item.topic
            for tree in node._ingest.rig.trees.values()
            for frame in tree.frames
            for item in tree.told(frame)
        }
        assert told == heard
    finally:
        vehicle.close()
        ros.remove(other)


def test_transforms_that_rules_lead_away_from_are_named(
    start: Any, robot: Vehicle, listener: Listener
) -> None:
    status = listener.listen("/robot/surround_depth/status", STATUS)
    start(namespace="/robot", rules=("/tf:=tf", "/tf_static:=tf_static"))
    said = "remapping (/tf_static:=/robot/tf_static) keeps the node from /tf_static"

    def named() -> bool:
        return any(said in camera.reason for message in status for camera in message.cameras)

    sent_until(robot, named)


# What cannot be found is named, with a fix that works.


@pytest.mark.parametrize(
    ("parameters", "rules", "said"),
    [
        (
            {},
            (),
            (
                "camera_info topic in namespace /car1",
                "elsewhere there are /robot/front/camera_info",
                "start the node in their namespace, /robot (-r __ns:=/robot, namespace:=robot",
                "-r front/image_raw:=/robot/front/image_raw"
                " -r front/camera_info:=/robot/front/camera_info",
            ),
        ),
        (
            {"cameras": ["front"]},
            (),
            (
                "no CameraInfo topic named .../front/camera_info; searched in namespace /car1",
                "elsewhere there are /robot/front/camera_info, /robot/front/image_raw.",
                "-r __ns:=/robot",
            ),
        ),
        (
            {"cameras": ["frnt"]},
            (),
            ("searched in namespace /car1", "elsewhere there are /robot/front/camera_info"),
        ),
        (
            {"cameras": ["front"], "image_topics": ["robot/front/image_raw"]},
            (),
            ("topic /car1/robot/front/image_raw", "did you mean /robot/front/image_raw?"),
        ),
        (
            {},
            both("camera", "/robot/frnt"),
            (
                "/car1/camera/image_raw is remapped to /robot/frnt/image_raw, which nobody"
                " publishes (did you mean /robot/front/image_raw?)",
            ),
        ),
        (
            {},
            both("camera", "/robot/front")[:1],
            (
                "no camera_info topic in namespace /car1, only images on /car1/camera/image_raw"
                " (remapped to /robot/front/image_raw)",
                "remap camera_info, too",
            ),
        ),
    ],
)
def test_the_message_says_where_was_searched_and_where_cameras_are(
    start: Any,
    robot: Vehicle,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
    parameters: dict[str, Any],
    rules: tuple[str, ...],
    said: tuple[str, ...],
) -> None:
    monkeypatch.setattr(surround_depth, "SILENCE_S", 2.0)
    diagnostics = listener.listen("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")
    status = listener.listen("/car1/surround_depth/status", STATUS)
    start(namespace="/car1", rules=rules, **parameters)
    line = wait_for(lambda: listener.line("no output", *said))
    assert "Fix: " in line

    def outputs() -> list[str]:
        return [s.message for array in diagnostics for s in array.status if "output" in s.name]

    wait_for(lambda: [text for text in outputs() if all(part in text for part in said)])
    if "cameras" in parameters:
        wait_for(lambda: status and all(part in status[-1].cameras[0].reason for part in said))


# Names.


def test_rules_are_read_in_every_form(ros: RosSession) -> None:
    rules = [
        "front/image_raw:=/a",
        "node:rear/image_raw:=b",
        "rostopic://left:=right",
        "node:rostopic:///right:=/car/left",
        "other:front/camera_info:=/c",
        "rosservice://service:=/d",
        "__ns:=/car",
    ]
    words = [word for rule in rules for word in ("--remap", rule)]
    arguments = ["--ros-args", *words, "-p", "sync.tolerance:=0.1", "-p", "bad//name:=1"]
    node = Node("node", cli_args=arguments)
    try:
        names = TopicNames(node, arguments)
        assert names.rules == {
            "/car/front/image_raw": "/a",
            "/car/rear/image_raw": "/car/b",
            "/car/left": "/car/right",
            "/right": "/car/left",
        }
        assert names.to_ask_for("/a") == "/a" and names.to_ask_for("/car/left") == "/right"
        seen = names.seen({"/a": "x", "/car/left": "y", "/other": "z"}, named=["/a"])
        assert seen == {"/car/front/image_raw": "x", "/a": "x", "/right": "y", "/other": "z"}
    finally:
        node.destroy_node()
