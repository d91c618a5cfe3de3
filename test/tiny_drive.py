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

"""A tiny drive as a bag, for tests: two cameras and a LiDAR over a flat road, exact by design."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from depth_perception import messages
from depth_perception.datasets.bag_writer import BagWriter
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.cloud import POINT_DTYPE
from depth_perception.geometry.transforms import OPTICAL_AXES

START = 1_700_000_000_000_000_000
PERIOD = 100_000_000
CAMERA = CameraModel(320, 200, [[200, 0, 159.5], [0, 200, 99.5], [0, 0, 1]])
HEIGHT = 1.5


def mounting(name: str) -> np.ndarray:
    """Return T_base_camera of camera ``front`` or ``rear``, or of the ``lidar``."""
    T = np.eye(4)
    if name == "lidar":
        T[:3, 3] = [0, 0, 1.8]
        return T
    T[:3, :3] = OPTICAL_AXES
    T[:3, 3] = [1.5, 0, HEIGHT]
    if name == "rear":
        T[:2, :3] *= -1
    return T


def picture(index: int) -> np.ndarray:
    """Return image number ``index``: sky above, textured road below that moves."""
    rng = np.random.default_rng(index)
    image = np.full((200, 320, 3), (235, 206, 160), np.uint8)
    image[100:] = rng.integers(60, 110, (100, 320, 1), dtype=np.uint8)
    return image


def transform(types: Any, parent: str, child: str, T: np.ndarray, stamp: int = START) -> Any:
    """Build a TransformStamped."""
    return messages.transform_message(types, stamp, parent, child, T)


def write_drive(
    path: Path,
    *,
    frames: int = 3,
    compressed: bool = False,
    storage: str = "mcap",
    leave_out: tuple[str, ...] = (),
    change: Any = None,
) -> Path:
    """Write the drive.

    Args:
        path: The new bag.
        frames: Number of frame sets.
        compressed: PNG instead of raw images.
        storage: ``mcap`` or ``sqlite3``.
        leave_out: Topics that are not written.
        change: Called with (topic, index, message); returns the message to write, or None.
    """
    with BagWriter(path, storage=storage) as writer:
        types = writer.types

        def write(topic: str, index: int, message: Any, time: int, latched: bool = False) -> None:
            if topic in leave_out:
                return
            if change is not None:
                message = change(topic, index, message)
            if message is not None:
                writer.write(topic, message, time, latched=latched)

        mountings = [
            transform(types, "base_link", name, mounting(name))
            for name in ("front", "rear", "lidar")
        ]
        tf = types.new("tf2_msgs/msg/TFMessage", transforms=mountings)
        write("/tf_static", 0, tf, START - PERIOD, latched=True)
        for index in range(frames):
            for offset, name in enumerate(("front", "rear")):
                stamp = START + index * PERIOD + offset * 20_000_000
                info = messages.camera_info_message(types, stamp, name, CAMERA)
                write(f"/{name}/camera_info", index, info, stamp)
                image = picture(2 * index + offset)
                if compressed:
                    topic = f"/{name}/image_raw/compressed"
                    message = types.new(
                        "sensor_msgs/msg/CompressedImage",
                        header=messages.header(types, stamp, name),
                        format="png",
                        data=cv2.imencode(".png", image)[1].ravel(),
                    )
                else:
                    topic = f"/{name}/image_raw"
                    message = messages.image_message(types, stamp, name, image, "bgr8")
                write(topic, index, message, stamp)
            stamp = START + index * PERIOD
            cloud = messages.cloud_message(types, stamp, "lidar", road_points())
            write("/lidar/points", index, cloud, stamp)
    return path


def road_points() -> np.ndarray:
    """Return LiDAR points on the road z = 0 of the base frame, in the LiDAR's frame."""
    x, y = np.meshgrid(np.r_[-35:-4:0.5, 4:35:0.5], np.arange(-6, 6, 0.4))
    points = np.zeros(x.size, POINT_DTYPE)
    points["x"], points["y"], points["z"] = x.ravel(), y.ravel(), -1.8
    return points
