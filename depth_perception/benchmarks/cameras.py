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

"""The cameras of a vehicle, in a process of their own, for whoever measures the node from outside.

    python -m depth_perception.benchmarks.cameras --count 6 --encoding jpeg

They drive along the street of `benchmarks.street` without an end: its noise repeats itself. All
images are made and serialized before the first is sent; afterwards only stamps change, so that
sending costs little beside what the middleware does with it.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.serialization import serialize_message

from depth_perception import messages
from depth_perception.benchmarks.rig import CAMERAS, surround_rig
from depth_perception.benchmarks.street import StreetCamera, street_period, street_texture
from depth_perception.geometry.camera_view import camera_view
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import RigCamera
from depth_perception.ros.messages import RclpyTypes, message_class
from depth_perception.ros.qos import LATCHED, SENSOR_INPUT

RATE_HZ, WIDTH, HEIGHT = 12.0, 1600, 900
ENCODINGS = ("bgr8", "jpeg")
SPEED = 8.0
TEXTURE = 512
"""Of 3 cm: what the cameras see repeats itself after 15 m, two seconds of images."""
JPEG_QUALITY = 90
_STAMP = slice(4, 12)
"""Bytes of the stamp in any serialized message that begins with a header."""


class _Camera:
    """What one camera sends: its calibration, and images one after the other, as bytes."""

    def __init__(self, node: Node, camera: RigCamera, encoding: str, rate: float) -> None:
        types, name = RclpyTypes(), camera.name
        texture = street_texture(TEXTURE)
        sets = max(1, round(street_period(texture) / SPEED * rate))
        step = street_period(texture) / sets
        street = StreetCamera(camera_view(camera, GroundPlane(), camera.model.width), texture)
        kind = "sensor_msgs/msg/" + ("CompressedImage" if encoding == "jpeg" else "Image")
        topic = f"{name}/image_raw" + ("/compressed" if encoding == "jpeg" else "")
        info_class = message_class("sensor_msgs/msg/CameraInfo")
        self.info = bytearray(
            serialize_message(messages.camera_info_message(types, 1, name, camera.model))
        )
        self.images = [
            bytearray(
                serialize_message(_message(types, name, street.image(index * step), encoding))
            )
            for index in range(sets)
        ]
        self._publishers = (
            node.create_publisher(info_class, f"{name}/camera_info", SENSOR_INPUT),
            node.create_publisher(message_class(kind), topic, SENSOR_INPUT),
        )

    def send(self, index: int, stamp: bytes) -> None:
        """Send calibration and image of the set with that number."""
        parts = (self.info, self.images[index % len(self.images)])
        for part, publisher in zip(parts, self._publishers, strict=True):
            part[_STAMP] = stamp
            publisher.publish(bytes(part))


def _message(types: RclpyTypes, name: str, pixels: Any, encoding: str) -> Any:
    if encoding == "bgr8":
        return messages.image_message(types, 1, name, pixels, "bgr8")
    data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return types.new(
        "sensor_msgs/msg/CompressedImage",
        header=messages.header(types, 1, name),
        format="bgr8; jpeg compressed bgr8",
        data=types.array(np.ravel(data)),
    )


def send(count: int, encoding: str, rate: float) -> None:
    """Be the cameras, until a signal ends the process."""
    rclpy.init()
    node, types = Node("benchmark_cameras"), RclpyTypes()
    rig = surround_rig(WIDTH, HEIGHT, count)
    cameras = [_Camera(node, camera, encoding, rate) for camera in rig]
    transforms = [
        messages.transform_message(
            types, time.time_ns(), rig.base_frame, camera.frame_id, camera.T_base_camera
        )
        for camera in rig
    ]
    kind = "tf2_msgs/msg/TFMessage"
    latched = node.create_publisher(message_class(kind), "/tf_static", LATCHED)
    latched.publish(types.new(kind, transforms=transforms))
    begin, index = time.monotonic(), 0
    while rclpy.ok():
        stamp = np.array(divmod(time.time_ns(), 10**9), np.uint32).tobytes()
        for camera in cameras:
            camera.send(index, stamp)
        # Where sending takes too long, sets are left out, as a camera driver would.
        index = max(index, int((time.monotonic() - begin) * rate)) + 1
        time.sleep(max(0.0, begin + index / rate - time.monotonic()))


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=CAMERAS, help="how many cameras")
    parser.add_argument("--encoding", choices=ENCODINGS, default=ENCODINGS[0])
    parser.add_argument("--rate", type=float, default=RATE_HZ, help="images a second of each")
    options = parser.parse_args(argv)
    with contextlib.suppress(KeyboardInterrupt):  # it is stopped so
        send(options.count, options.encoding, options.rate)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
