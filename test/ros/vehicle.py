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

"""A tiny vehicle for node tests: the cameras of `tiny_drive`, published by rclpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import wait_for
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from tiny_drive import CAMERA, HEIGHT, mounting, transform

from depth_perception import messages
from depth_perception.ros.messages import RclpyTypes, message_class
from depth_perception.ros.qos import PLAYED

CAMERAS = ("front", "rear")
LAST_ONE = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
"""``/tf_static`` as tf2's broadcaster publishes it: who comes late gets the last message alone."""
STAMP = 1_700_000_000_000_000_000


def road_depth(row: int) -> float:
    """Depth of the road at an image row of a level camera: Z = f h / (v - cy)."""
    return float(CAMERA.K[1, 1] * HEIGHT / (row - CAMERA.K[1, 2]))


class Vehicle:
    """Publishes images, calibration and mountings; every field of a message can be spoilt."""

    def __init__(
        self,
        ros: Any,
        namespace: str = "",
        transforms: bool = True,
        profile: Any = PLAYED,
        tf_topic: str = "/tf_static",
    ) -> None:
        from rclpy.node import Node

        self._ros = ros
        self.types = RclpyTypes()
        self.node = Node("vehicle")
        self.stamp = STAMP
        self._images: dict[str, Any] = {}
        self._infos: dict[str, Any] = {}
        self._labels: dict[str, Any] = {}
        for name in CAMERAS:
            self._images[name] = self.node.create_publisher(
                message_class("sensor_msgs/msg/Image"), f"{namespace}/{name}/image_raw", profile
            )
            self._infos[name] = self.node.create_publisher(
                message_class("sensor_msgs/msg/CameraInfo"),
                f"{namespace}/{name}/camera_info",
                PLAYED,
            )
            self._labels[name] = self.node.create_publisher(
                message_class("sensor_msgs/msg/Image"), f"{namespace}/{name}/labels", PLAYED
            )
        self._tf = self.node.create_publisher(
            message_class("tf2_msgs/msg/TFMessage"), tf_topic, LAST_ONE
        )
        if transforms:
            self.publish_transforms()
        ros.add(self.node)

    def publish_transforms(self, sink: str = "") -> None:
        """Latch the mountings of all cameras; that of one may lie below the road."""
        mountings = [transform(self.types, "base_link", n, mounting(n)) for n in CAMERAS]
        for item in mountings:
            if item.child_frame_id == sink:
                item.transform.translation.z = -1.0
        self._tf.publish(self.types.new("tf2_msgs/msg/TFMessage", transforms=mountings))

    @property
    def found(self) -> bool:
        """True when somebody listens to every calibration."""
        return all(publisher.get_subscription_count() for publisher in self._infos.values())

    @property
    def watched(self) -> list[str]:
        """Cameras whose images somebody listens to."""
        return [n for n, publisher in self._images.items() if publisher.get_subscription_count()]

    @property
    def heard(self) -> bool:
        """True when somebody listens to every calibration, and to images of a camera."""
        return self.found and bool(self.watched)

    def send(self, *names: str, stamp: int | None = None, **spoilt: dict[str, Any]) -> int:
        """Publish one image and calibration of the cameras named; returns their stamp, ns.

        Args:
            names: Cameras; all of them when none is named.
            stamp: Of the messages; 100 ms after the last when None.
            spoilt: ``image`` or ``info``: fields to set on the message of each camera.
        """
        if stamp is None:
            self.stamp += 100_000_000
            stamp = self.stamp
        for name in names or CAMERAS:
            info = messages.camera_info_message(self.types, stamp, name, CAMERA)
            pixels = np.full((CAMERA.height, CAMERA.width, 3), 90, np.uint8)
            image = messages.image_message(self.types, stamp, name, pixels, "bgr8")
            for message, key in ((info, "info"), (image, "image")):
                for field, value in spoilt.get(key, {}).items():
                    setattr(message, field, value)
            self._infos[name].publish(info)
            self._images[name].publish(image)
        return stamp

    def send_labels(self, stamp: int, number: int) -> None:
        """Publish label images of one class for images that were sent before."""
        for name, publisher in self._labels.items():
            ids = np.full((CAMERA.height, CAMERA.width), number, np.uint8)
            publisher.publish(messages.image_message(self.types, stamp, name, ids, "mono8"))

    def close(self) -> None:
        """Fall silent."""
        self._ros.remove(self.node)


def sent_until(vehicle: Vehicle, condition: Callable[[], Any], *names: str, **spoilt: Any) -> Any:
    """Send images, ten a second, until the condition holds."""
    wait_for(lambda: vehicle.heard, what="the node to subscribe")

    def attempt() -> Any:
        vehicle.send(*names, **spoilt)
        try:
            return wait_for(condition, 0.3)
        except pytest.fail.Exception:
            return None

    return wait_for(attempt, what="the answer to images")
