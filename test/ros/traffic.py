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

"""Cameras that send without pause, as on a vehicle, each of which can be made to misbehave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import cv2
import numpy as np
from tiny_drive import CAMERA, mounting, transform
from vehicle import LAST_ONE

from depth_perception import messages
from depth_perception.geometry.transforms import Matrix
from depth_perception.ros.messages import RclpyTypes, message_class
from depth_perception.ros.qos import PLAYED

SMALL = CAMERA.resized(80, 50)


def pitched(degrees: float) -> Matrix:
    """Return T_base_camera of the front camera, turned down by some degrees."""
    a = np.deg2rad(degrees)
    T = mounting("front")
    T[:3, :3] = T[:3, :3] @ [[1, 0, 0], [0, np.cos(a), np.sin(a)], [0, -np.sin(a), np.cos(a)]]
    return T


class Traffic:
    """Publishes images and calibration of all cameras at a rate, from a thread of its own.

    Attributes:
        alive: Names of the cameras that send.
        offset: What is wrong with the clock of all cameras, ns.
        size: (width, height) of a camera's images where it is not that of its calibration.
        frame: The frame_id of a camera's images where it is not its name.
        spoil: Called with (camera, "image" or "info", number, message) before each is sent.
    """

    def __init__(
        self,
        ros: Any,
        cameras: Iterable[str],
        compressed: Iterable[str] = (),
        *,
        namespace: str = "",
        rate: float = 10.0,
    ) -> None:
        from rclpy.node import Node

        self.cameras, self.compressed = list(cameras), set(compressed)
        self.alive = set(self.cameras)
        self.offset = 0
        self.size: dict[str, tuple[int, int]] = {}
        self.frame: dict[str, str] = {}
        self.spoil: Callable[[str, str, int, Any], None] | None = None
        self._ros = ros
        self._types = RclpyTypes()
        self._period = 1 / rate
        self._node = Node("traffic", namespace=namespace)
        self._number = 0
        self._stop = threading.Event()
        self._images, self._infos = {}, {}
        for name in self.cameras:
            kind, end = (
                ("CompressedImage", "/compressed") if name in self.compressed else ("Image", "")
            )
            self._images[name] = self._node.create_publisher(
                message_class(f"sensor_msgs/msg/{kind}"), f"{name}/image_raw{end}", PLAYED
            )
            self._infos[name] = self._node.create_publisher(
                message_class("sensor_msgs/msg/CameraInfo"), f"{name}/camera_info", PLAYED
            )
        self._tf = self._node.create_publisher(
            message_class("tf2_msgs/msg/TFMessage"), "/tf_static", LAST_ONE
        )
        self._mountings: dict[str, Matrix] = {}
        self.mount({name: mounting(name) for name in self.cameras})
        ros.add(self._node)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def mount(self, mountings: dict[str, Matrix]) -> None:
        """Latch T_base_camera by frame, with what was latched before, as tf2's broadcaster does."""
        self._mountings.update(mountings)
        items = [transform(self._types, "base_link", n, T) for n, T in self._mountings.items()]
        self._tf.publish(self._types.new("tf2_msgs/msg/TFMessage", transforms=items))

    def now(self) -> int:
        """Time by the cameras' clock, ns."""
        return time.time_ns() + self.offset

    def repair(self) -> None:
        """Put everything right but the clock."""
        self.alive = set(self.cameras)
        self.spoil = None
        self.size, self.frame = {}, {}

    def close(self) -> None:
        """Fall silent."""
        self._stop.set()
        self._thread.join()
        self._ros.remove(self._node)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._period, time.monotonic())
            self._number += 1
            stamp = self.now()
            for name in sorted(self.alive):
                self._send(name, stamp)

    def _send(self, name: str, stamp: int) -> None:
        width, height = self.size.get(name, (SMALL.width, SMALL.height))
        frame = self.frame.get(name, name)
        pixels = np.full((height, width, 3), 90, np.uint8)
        if name in self.compressed:
            pixels[height // 2 :] = np.random.default_rng(0).integers(
                0, 200, (height - height // 2, width, 3), dtype=np.uint8
            )
            image = self._types.new(
                "sensor_msgs/msg/CompressedImage",
                header=messages.header(self._types, stamp, frame),
                format="jpeg",
                data=self._types.array(cv2.imencode(".jpg", pixels)[1].ravel()),
            )
        else:
            image = messages.image_message(self._types, stamp, frame, pixels, "bgr8")
        info = messages.camera_info_message(self._types, stamp, name, SMALL)
        if self.spoil is not None:
            self.spoil(name, "info", self._number, info)
            self.spoil(name, "image", self._number, image)
        self._infos[name].publish(info)
        self._images[name].publish(image)
