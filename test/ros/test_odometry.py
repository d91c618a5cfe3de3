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

"""The node takes odometry where motion is enabled, of whatever frame of the vehicle."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from conftest import Listener, RosSession, wait_for

rclpy = pytest.importorskip("rclpy")

from rclpy.node import Node  # noqa: E402
from tiny_drive import mounting  # noqa: E402
from vehicle import Vehicle  # noqa: E402

from depth_perception.geometry.transforms import quaternion_of  # noqa: E402
from depth_perception.messages.sensors import header  # noqa: E402
from depth_perception.messages.transforms import transform_message  # noqa: E402
from depth_perception.ros.messages import RclpyTypes, message_class  # noqa: E402
from depth_perception.ros.qos import PLAYED  # noqa: E402

STATUS = ("/surround_depth/status", "depth_perception/msg/SurroundDepthStatus")
ODOMETRY = "nav_msgs/msg/Odometry"


class Wheels:
    """Publishes odometry."""

    def __init__(self, ros: RosSession) -> None:
        self.node = Node("wheels")
        self.types = RclpyTypes()
        self.publisher = self.node.create_publisher(message_class(ODOMETRY), "/odom", PLAYED)
        ros.add(self.node)

    def send(self, stamp: int, T: Any, child: str = "base_link", length: float = 1.0) -> None:
        message = message_class(ODOMETRY)()
        message.header = header(self.types, stamp, "odom")
        message.child_frame_id = child
        position, orientation = message.pose.pose.position, message.pose.pose.orientation
        position.x, position.y, position.z = (float(value) for value in T[:3, 3])
        turned = [float(value) * length for value in quaternion_of(T)]
        orientation.x, orientation.y, orientation.z, orientation.w = turned
        self.publisher.publish(message)


@pytest.fixture
def wheels(ros: RosSession) -> Any:
    made = Wheels(ros)
    yield made
    ros.remove(made.node)


def poses_of(node: Any) -> list[tuple[int, Any]]:
    return [item[:2] for item in node._processor.pipeline._poses]


def test_poses_of_another_frame_become_the_base_frames(
    start: Any, vehicle: Vehicle, wheels: Wheels
) -> None:
    node = start(estimator="embodied", motion__enabled=True)
    T = np.eye(4)
    T[:3, 3] = [3.0, 1.0, 0.5]

    def taken() -> list[tuple[int, Any]]:
        vehicle.publish_transforms()
        wheels.send(1_000_000_000, T @ mounting("front"), child="front")
        return poses_of(node)

    stamp, pose = wait_for(taken, what="a pose")[0]
    assert stamp == 1_000_000_000
    np.testing.assert_allclose(pose, T, atol=1e-6)


def test_an_impossible_pose_is_left_out_and_the_node_goes_on(
    start: Any, vehicle: Vehicle, wheels: Wheels
) -> None:
    node = start(estimator="embodied", motion__enabled=True)
    sent = iter(range(1, 1000))

    def taken() -> list[tuple[int, Any]]:
        wheels.send(next(sent), np.eye(4), length=0.0)
        wheels.send(10_000 + next(sent), np.eye(4))
        return poses_of(node)

    wait_for(taken, what="a good pose")
    assert all(stamp > 10_000 for stamp, _ in poses_of(node))


def test_measured_depth_is_advertised_with_motion_alone(start: Any, vehicle: Vehicle) -> None:
    node = start(estimator="embodied", motion__enabled=True)
    wait_for(lambda: node._ingest.cameras, what="the cameras")
    for topic in ("/surround_depth/front/measured/image_rect", "/surround_depth/twist"):
        wait_for(
            lambda topic=topic: topic in dict(node.node.get_topic_names_and_types()), what=topic
        )


def test_without_motion_nobody_listens_to_odometry(
    start: Any, vehicle: Vehicle, wheels: Wheels
) -> None:
    node = start(estimator="embodied", motion__enabled=False)
    wait_for(lambda: node._ingest.cameras, what="the cameras")
    assert node._odometry is None and wheels.publisher.get_subscription_count() == 0
    there = [name for name, _ in node.node.get_topic_names_and_types()]
    assert not any("measured" in name or name.endswith("/twist") for name in there)


def drive(vehicle: Vehicle, wheels: Any, **place: Any) -> int:
    """Send a set of images, and odometry at 5 m/s with it; returns their stamp."""
    time.sleep(0.1)  # sets that wait for the node would be dropped
    stamp = vehicle.send()
    T = np.eye(4)
    T[0, 3] = (stamp % 10**12) * 5e-9
    if wheels is not None:
        wheels.send(stamp, T, **place)
    return stamp


def moving_status(vehicle: Vehicle, listener: Listener, wheels: Any, **place: Any) -> Any:
    """Drive until a status is of the fifth frame set or a later one."""
    statuses = listener.listen(*STATUS)

    def come() -> Any:
        if vehicle.heard:
            drive(vehicle, wheels, **place)
        return [item for item in list(statuses) if item.stage_names][4:]

    return wait_for(come, what="a status")[-1]


def test_status_and_diagnostics_say_where_the_way_is_from(
    start: Any, vehicle: Vehicle, wheels: Wheels, listener: Listener
) -> None:
    diagnostics = listener.listen("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")
    start(motion__enabled=True)
    status = moving_status(vehicle, listener, wheels)
    assert status.motion_source == "odometry" and status.motion_problem == ""
    assert status.motion_speed == pytest.approx(5.0, rel=0.01)
    assert status.motion_length_factor == pytest.approx(1.0)

    def motion() -> Any:
        drive(vehicle, wheels)
        found = [s for d in list(diagnostics) for s in d.status if s.name.endswith(": motion")]
        return found[-1] if found and found[-1].message.startswith("odometry") else None

    item = wait_for(motion, what="diagnostics of the motion")
    assert item.message == "odometry, 5.0 m/s" and item.level == b"\0"
    values = {value.key: value.value for value in item.values}
    assert values["source"] == "odometry" and values["speed (m/s)"] == "5.00"
    assert values["odometry"] == "nothing is wrong"


def test_without_motion_the_status_says_nothing_of_it(
    start: Any, vehicle: Vehicle, listener: Listener
) -> None:
    start(motion__enabled=False)
    status = moving_status(vehicle, listener, None)
    assert status.motion_source == "" and np.isnan(status.motion_speed)


def test_odometry_that_ends_is_warned_of_with_its_topic(
    start: Any, vehicle: Vehicle, wheels: Wheels, listener: Listener
) -> None:
    start(motion__enabled=True)
    moving_status(vehicle, listener, wheels)
    statuses = listener.messages[STATUS[0]]

    def late() -> Any:
        drive(vehicle, None)
        return statuses[-1].motion_problem

    assert wait_for(late, what="a problem").startswith("/odom: its newest pose is")
    wait_for(lambda: listener.line("/odom: its newest pose", "Fix: check"), what="the warning")


def test_odometry_of_an_unknown_frame_is_refused_with_both_frames(
    start: Any, vehicle: Vehicle, wheels: Wheels, listener: Listener
) -> None:
    start(motion__enabled=True)
    status = moving_status(vehicle, listener, wheels, child="imu")
    assert status.motion_source == "none"

    def line() -> str | None:
        drive(vehicle, wheels, child="imu")
        return listener.line("/odom", "child_frame_id 'imu'", "'base_link'", "Fix:")

    wait_for(line, what="the line on the console")


def test_after_a_pause_the_motion_begins_anew(
    ros: RosSession, start: Any, vehicle: Vehicle, wheels: Wheels, listener: Listener
) -> None:
    node = start(motion__enabled=True)
    moving_status(vehicle, listener, wheels)
    assert len(node._processor.pipeline.motion._keyframes) > 1
    ros.call(node.deactivate)
    ros.call(node.activate)
    statuses = listener.messages[STATUS[0]]
    statuses.clear()

    def first() -> Any:
        if vehicle.heard:
            drive(vehicle, wheels)
        # One of before may still be on its way; it says whence the way was.
        return [item for item in list(statuses) if item.motion_source == "none"]

    assert wait_for(first, what="a status whose way is not known")[0].stage_names


def test_the_images_alone_are_said_with_the_odometry_that_there_is(
    start: Any, vehicle: Vehicle, wheels: Wheels
) -> None:
    def why(**names: Any) -> str:
        node = start(motion__enabled=True, **names)
        return node._processor.motion_log.why_images()

    assert why() == ""  # it is published: something else is wrong
    named = why(motion__odometry_topic="wheel_odometry", motion__fixed_frame="")
    assert "nobody publishes /wheel_odometry" in named and "TF is not asked" in named
    assert "there is /odom." in named and "set motion.odometry_topic: /odom" in named
    assert "nothing on /tf moves 'base_link'" in why(motion__odometry_topic="")


class Localisation:
    """Publishes TF from a fixed frame to the base frame."""

    def __init__(self, ros: RosSession) -> None:
        self.node, self.types = Node("localisation"), RclpyTypes()
        kind = message_class("tf2_msgs/msg/TFMessage")
        self.publisher = self.node.create_publisher(kind, "/tf", PLAYED)
        ros.add(self.node)

    def send(self, stamp: int, T: Any, parent: str) -> None:
        item = transform_message(self.types, stamp, parent, "base_link", T)
        self.publisher.publish(self.types.new("tf2_msgs/msg/TFMessage", transforms=[item]))


@pytest.fixture
def localisation(ros: RosSession) -> Any:
    made = Localisation(ros)
    yield made
    ros.remove(made.node)


@pytest.mark.parametrize("frame", ["odom", "map"])
def test_without_odometry_tf_says_how_the_vehicle_moves(
    start: Any, vehicle: Vehicle, localisation: Localisation, listener: Listener, frame: str
) -> None:
    start(motion__enabled=True)
    status = moving_status(vehicle, listener, localisation, parent=frame)
    assert status.motion_source == "tf"
    assert status.motion_speed == pytest.approx(5.0, rel=0.01)
    if frame == "map":
        assert listener.line("TF has no frame 'odom'", "'map'", "Fix:")


def test_odometry_goes_before_tf(
    start: Any, vehicle: Vehicle, wheels: Wheels, localisation: Localisation, listener: Listener
) -> None:
    start(motion__enabled=True)

    class Both:
        def send(self, stamp: int, T: Any) -> None:
            wheels.send(stamp, T)
            localisation.send(stamp, np.diag([2.0, 1, 1, 1]) @ T @ np.diag([0.5, 1, 1, 1]), "odom")

    status = moving_status(vehicle, listener, Both())
    assert status.motion_source == "odometry"
    assert status.motion_speed == pytest.approx(5.0, rel=0.01)
