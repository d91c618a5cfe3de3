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

from typing import Any

import numpy as np
import pytest
from conftest import RosSession, wait_for

rclpy = pytest.importorskip("rclpy")

from rclpy.node import Node  # noqa: E402
from tiny_drive import mounting  # noqa: E402
from vehicle import Vehicle  # noqa: E402

from depth_perception.geometry.transforms import quaternion_of  # noqa: E402
from depth_perception.messages.sensors import header  # noqa: E402
from depth_perception.ros.messages import RclpyTypes, message_class  # noqa: E402
from depth_perception.ros.qos import PLAYED  # noqa: E402

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
    return list(node._processor.pipeline._poses)


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
    topic = "/surround_depth/front/measured/image_rect"
    wait_for(lambda: topic in dict(node.node.get_topic_names_and_types()), what=topic)


def test_without_motion_nobody_listens_to_odometry(
    start: Any, vehicle: Vehicle, wheels: Wheels
) -> None:
    node = start(estimator="embodied")
    wait_for(lambda: node._ingest.cameras, what="the cameras")
    assert node._odometry is None and wheels.publisher.get_subscription_count() == 0
    assert not any("measured" in name for name, _ in node.node.get_topic_names_and_types())
