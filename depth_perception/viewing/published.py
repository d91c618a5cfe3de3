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

"""Messages of the node's topics into a recording: as they come from it, or lie in a bag.

Works on anything with a message's fields, and imports no ROS. What a message that cannot be shown
is about is said, and the next one is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception import messages
from depth_perception.datasets.bag import BagReader
from depth_perception.errors import DepthPerceptionError, MessageError
from depth_perception.frames.publication import ROOT, camera_topics, vehicle_topics
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.camera_info import from_camera_info
from depth_perception.geometry.cloud import OccupancyMap
from depth_perception.geometry.ground_plane import SOURCES, GroundPlane
from depth_perception.geometry.transforms import Matrix, transform_points
from depth_perception.rig.camera_topics import CameraTopics
from depth_perception.viewing.recording import Recording

Mounting = Callable[[str, str], Matrix]
"""T_base_frame of a frame, for what a topic shows."""

DEPTH_OF = {"depth": "estimated", "measured": "measured", "embodied": "embodied"}
"""Depth images: kind in a recording by short name in `publication.camera_topics`."""
_INFO_OF = {
    "depth": "camera_info",
    "confidence": "camera_info",
    "measured": "measured_info",
    "embodied": "embodied_info",
}
_INFOS = set(_INFO_OF.values())
_NOT_SHOWN = {"colour", "measured_colour", "twist"}
"""What others say in numbers, and the status says, too."""


@dataclass(frozen=True)
class Shown:
    """What a topic shows.

    Attributes:
        what: Short name as in `publication`, or ``image``, ``image_info``, ``lidar``.
        camera: The camera's name; empty for the whole vehicle.
        source: The camera's own topics, of ``image`` and ``image_info``.
    """

    what: str
    camera: str = ""
    source: CameraTopics | None = None


def shown_outputs(topics: Iterable[str]) -> dict[str, Shown]:
    """Find the node's outputs among topics, in any namespace."""
    found = {}
    vehicle = {topic: short for short, (topic, _) in vehicle_topics(motion=True).items()}
    for topic in topics:
        parts = topic.split("/")
        if ROOT not in parts[:-1]:
            continue
        relative = "/".join(parts[parts.index(ROOT) :])
        if relative in vehicle:
            found[topic] = Shown(vehicle[relative])
            continue
        camera = parts[parts.index(ROOT) + 1]
        for rectified in (True, False):
            for short, (name, _) in camera_topics(camera, rectified, motion=True).items():
                if name == relative:
                    found[topic] = Shown(short, camera)
    return {topic: item for topic, item in found.items() if item.what not in _NOT_SHOWN}


def shown_cameras(cameras: Iterable[CameraTopics]) -> dict[str, Shown]:
    """Name what the topics of cameras show."""
    found = {}
    for camera in cameras:
        found[camera.info] = Shown("image_info", camera.name, camera)
        found[camera.image] = Shown("image", camera.name, camera)
    return found


class Published:
    """Shows messages.

    Attributes:
        mountings: T_base_camera of the cameras that were shown, by name.
        sets: Frame sets whose status came.
    """

    def __init__(
        self,
        recording: Recording,
        mounting: Mounting,
        problem: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Begin.

        Args:
            recording: Where to.
            mounting: Says where frames are; raises a `TransformError` where it cannot.
            problem: Told what cannot be shown.
        """
        self.mountings: dict[str, Matrix] = {}
        self.sets = 0
        self._recording, self._mounting, self._problem = recording, mounting, problem
        self._infos: dict[tuple[str, str], Any] = {}
        self._missing: dict[str, str] = {}
        self._vehicle: dict[str, Callable[[Any], None]] = {
            "points": lambda message: recording.cloud(decode_cloud(message)),
            "obstacles": lambda message: recording.obstacles(decode_cloud(message)),
            "occupancy": lambda message: recording.map(decode_map(message)),
            "ground": lambda message: recording.ground(decode_ground(message)),
            "status": self._status,
        }

    def take(self, topic: str, shown: Shown, message: Any) -> None:
        """Show a message; what is wrong with it is said."""
        try:
            self._recording.begin_set(messages.stamp_of(message.header.stamp))
            if shown.what in _INFOS or shown.what == "image_info":
                self._infos[shown.camera, shown.what] = message
            elif shown.what == "lidar":
                T = self._mounting(message.header.frame_id.lstrip("/"), topic)
                points = transform_points(T, messages.decode_points(message, topic))
                self._recording.lidar(points.astype(np.float32))
            elif shown.what in self._vehicle:
                self._vehicle[shown.what](message)
            elif shown.source is not None:
                self._image(topic, shown.camera, shown.source, message)
            else:
                self._depth(topic, shown, message)
        except DepthPerceptionError as error:
            text = str(error)
            self._problem(text if topic in text else f"{topic}: {text}")

    def _image(self, topic: str, name: str, source: CameraTopics, message: Any) -> None:
        info = self._infos.get((name, "image_info"))
        if info is None:
            return  # it comes with the next images
        image = messages.decode_image(message, topic)
        size = image.shape[1], image.shape[0]
        camera = from_camera_info(
            info, rectified=source.rectified, image_size=size, topic=source.info
        )
        self._place(topic, name, message)
        self._recording.image(name, camera, image)

    def _depth(self, topic: str, shown: Shown, message: Any) -> None:
        info = self._infos.get((shown.camera, _INFO_OF[shown.what]))
        if info is None:
            return
        camera = _described(info)
        values = messages.decode_depth(message, topic)  # confidence is an image of floats, too
        if values.shape != (camera.height, camera.width):
            raise MessageError(
                f"{topic}: {values.shape[1]}x{values.shape[0]} px",
                expected=f"{camera.width}x{camera.height} px, as camera_info beside it says",
                fix="record both topics, of one run of the node",
            )
        self._place(topic, shown.camera, message)
        if shown.what == "confidence":
            self._recording.confidence(shown.camera, camera, values)
        elif np.isfinite(values).any():
            self._recording.depth(shown.camera, DEPTH_OF[shown.what], camera, values)
        else:
            self._recording.clear_depth(shown.camera, DEPTH_OF[shown.what])

    def _place(self, topic: str, name: str, message: Any) -> None:
        T = self._mounting(message.header.frame_id.lstrip("/"), topic)
        self.mountings[name] = T
        self._recording.place(name, T)

    def _status(self, message: Any) -> None:
        seconds = dict(zip(message.stage_names, map(float, message.stage_latencies), strict=False))
        self.sets += bool(seconds)
        # Replay writes none, as they would differ from run to run.
        if any(seconds.values()):
            self._recording.latencies(seconds, float(message.latency))
        self._recording.speed(float(message.motion_speed))
        missing = {camera.name: camera.reason for camera in message.cameras if not camera.present}
        for name, reason in missing.items():
            if name not in self._missing:
                self._recording.clear_depths(name)
            if self._missing.get(name) != reason:
                self._recording.say(f"{name}: {reason}")
        self._missing = missing


def log_recorded(
    recording: Recording,
    reader: BagReader,
    *,
    limit: int = 0,
    lidar: str | None = None,
    each: Callable[[], None] = lambda: None,
) -> tuple[int, Mapping[str, Matrix]]:
    """Show the results that lie in a bag, with its images and LiDAR where it has them.

    Args:
        recording: Where to.
        reader: The opened bag.
        limit: At most so many frame sets; 0: all.
        lidar: Topic of the LiDAR; None takes the bag's first, if any.
        each: Called after each set.

    Returns:
        How many frame sets were shown, and T_base_camera by camera.
    """
    shown = {**shown_outputs(reader.topics), **shown_cameras(reader.cameras.values())}
    shown.update(
        {topic: Shown("lidar") for topic in ([lidar] if lidar else reader.lidar_topics[:1])}
    )

    def mounting(frame: str, topic: str) -> Matrix:
        return reader.view(topic).lookup(reader.parameters.base_frame, frame)

    said: set[str] = set()

    def problem(text: str) -> None:
        if text not in said:
            said.add(text)
            recording.say(text)

    published = Published(recording, mounting, problem)
    for topic, _, message in reader.messages(list(shown)):
        before = published.sets
        published.take(topic, shown[topic], message)
        if published.sets > before:
            each()
        if limit and published.sets >= limit:
            break
    return published.sets, published.mountings


def recorded_mountings(reader: BagReader) -> dict[str, Matrix]:
    """T_base_camera of each camera of which a bag has depth images, by name."""
    shown = shown_outputs(reader.topics)
    infos = {topic: item for topic, item in shown.items() if item.what == "camera_info"}
    found: dict[str, Matrix] = {}
    for topic, _, message in reader.messages(list(infos)):
        name = infos[topic].camera
        if name not in found:
            frame = message.header.frame_id.lstrip("/")
            found[name] = reader.view(topic).lookup(reader.parameters.base_frame, frame)
        if len(found) == len(infos):
            break
    return found


def decode_cloud(message: Any) -> NDArray[np.void]:
    """Read the node's own clouds: a structured array with x, y, z, rgb (float32) and the rest.

    Raises:
        MessageError: It is another cloud, or its data is too short.
    """
    fields = {field.name: int(field.offset) for field in message.fields if field.datatype == 7}
    data = np.frombuffer(message.data, np.uint8)
    count, step = int(message.width) * int(message.height), int(message.point_step)
    fits = all(0 <= offset <= step - 4 for offset in fields.values()) and step > 0
    if not {"x", "y", "z", "rgb"} <= set(fields) or not fits or data.size < count * step:
        raise MessageError(
            f"a cloud of {count} points with the fields {', '.join(fields)}, {data.size} bytes",
            expected="x, y, z and rgb as FLOAT32, as surround_depth publishes them",
            fix="record the topic of the node again",
        )
    layout = {"names": list(fields), "offsets": list(fields.values()), "itemsize": step}
    dtype = np.dtype({**layout, "formats": [np.float32] * len(fields)})  # type: ignore[call-overload]
    return data[: count * step].view(dtype)


def decode_map(message: Any) -> OccupancyMap:
    """Read an OccupancyGrid.

    Raises:
        MessageError: It does not have as many cells as it says.
    """
    rows, columns = int(message.info.height), int(message.info.width)
    cells = np.asarray(message.data, np.int8)
    if cells.size != rows * columns or not cells.size:
        raise MessageError(
            f"a map of {columns}x{rows} cells has {cells.size}",
            expected="as many as it says",
            fix="record the topic of the node again",
        )
    place = message.info.origin.position
    origin = np.array([place.x, place.y, place.z])
    return OccupancyMap(cells.reshape(rows, columns), float(message.info.resolution), origin)


def decode_ground(message: Any) -> GroundPlane:
    """Read a GroundPlane.

    Raises:
        ConfigurationError: Its normal is none.
    """
    n, source = message.normal, int(message.source)
    covariance = np.array(message.covariance, np.float64).reshape(3, 3)
    named = SOURCES[source] if source < len(SOURCES) else "external"
    return GroundPlane(np.array([n.x, n.y, n.z]), float(message.height), covariance, named)


def _described(info: Any) -> CameraModel:
    """Build the model of a depth image from the CameraInfo that the node publishes beside it."""
    return from_camera_info(info, rectified=not np.any(np.asarray(info.d)))
