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

"""The node takes points of a LiDAR or radar as measurements, while somebody needs depth."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from conftest import Listener, RosSession, wait_for

rclpy = pytest.importorskip("rclpy")

from rclpy.node import Node  # noqa: E402
from tiny_drive import CAMERA, mounting  # noqa: E402
from vehicle import Vehicle  # noqa: E402

from depth_perception.messages.sensors import cloud_message  # noqa: E402
from depth_perception.ros.messages import RclpyTypes, message_class  # noqa: E402
from depth_perception.ros.qos import SENSOR_INPUT  # noqa: E402

CLOUD = "sensor_msgs/msg/PointCloud2"
MEASURED = ("/surround_depth/front/measured/image_rect", "sensor_msgs/msg/Image")
POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("sigma", "<f4")])


class Lidar:
    """Publishes a wall in the frame of the front camera."""

    def __init__(self, ros: RosSession) -> None:
        self.node, self.types = Node("lidar"), RclpyTypes()
        self.publisher = self.node.create_publisher(message_class(CLOUD), "/scan", SENSOR_INPUT)
        ros.add(self.node)

    def send(self, stamp: int, frame: str = "front", depth: float = 8.0) -> None:
        rays = CAMERA.rays()[4:-4:7, 4:-4:7].reshape(-1, 3)
        points = np.zeros(len(rays), POINT)
        for k, axis in enumerate("xyz"):
            points[axis] = depth * rays[:, k]
        points["sigma"] = 0.02
        self.publisher.publish(cloud_message(self.types, stamp, frame, points))


@pytest.fixture
def lidar(ros: RosSession) -> Any:
    made = Lidar(ros)
    yield made
    ros.remove(made.node)


def send(vehicle: Vehicle, lidar: Lidar, **cloud: Any) -> None:
    time.sleep(0.1)
    lidar.send(vehicle.stamp + 100_000_000, **cloud)
    time.sleep(0.05)
    vehicle.send()


def test_points_are_measured_depth_while_somebody_listens(
    start: Any, vehicle: Vehicle, lidar: Lidar, listener: Listener
) -> None:
    start(motion__enabled=True, motion__range_topic="scan")
    wait_for(lambda: vehicle.found, what="the node")
    time.sleep(0.5)
    assert lidar.publisher.get_subscription_count() == 0  # nobody needs depth
    images = listener.listen(*MEASURED)
    wait_for(lambda: vehicle.heard and lidar.publisher.get_subscription_count(), what="demand")

    def come() -> Any:
        send(vehicle, lidar)
        return images

    image = wait_for(come, what="measured depth")[-1]
    depth = np.frombuffer(bytes(image.data), np.float32).reshape(image.height, image.width)
    known = np.isfinite(depth)
    assert known.sum() > 20
    np.testing.assert_allclose(depth[known], 8.0, rtol=1e-4)
    np.testing.assert_allclose(mounting("front")[3], [0, 0, 0, 1])


def test_a_cloud_that_cannot_be_placed_is_said_with_topic_and_frames(
    start: Any, vehicle: Vehicle, lidar: Lidar, listener: Listener
) -> None:
    start(motion__enabled=True, motion__range_topic="scan")
    listener.listen(*MEASURED)
    wait_for(lambda: vehicle.heard and lidar.publisher.get_subscription_count(), what="demand")

    def line() -> str | None:
        send(vehicle, lidar, frame="velodyne")
        return listener.line("/scan", "'velodyne' is not in TF", "'base_link'", "Fix:")

    wait_for(line, what="the line on the console")


def test_without_motion_nobody_listens_to_the_lidar(
    start: Any, vehicle: Vehicle, lidar: Lidar, listener: Listener
) -> None:
    start(motion__enabled=False, motion__range_topic="scan")
    listener.listen("/surround_depth/front/depth/image_rect", "sensor_msgs/msg/Image")
    wait_for(lambda: vehicle.heard, what="demand")
    time.sleep(0.5)
    assert lidar.publisher.get_subscription_count() == 0
