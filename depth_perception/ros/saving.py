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

"""Service ``save_frame_set``: a frame set of all cameras as a small bag, for a bug report."""

from __future__ import annotations

import math
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rclpy.node import Node
from rclpy.serialization import serialize_message
from std_srvs.srv import Trigger

from depth_perception.errors import BagError, DepthPerceptionError, TransformError
from depth_perception.frames.ingest import Ingest, MessageSet
from depth_perception.messages.sensors import is_compressed
from depth_perception.messages.transforms import transform_message
from depth_perception.rig.camera_topics import CAMERA_INFO_TYPE, IMAGE_TYPES, CameraTopics
from depth_perception.rig.tracker import RigTracker
from depth_perception.ros.deferred_service import Answer, DeferredService

if TYPE_CHECKING:
    from depth_perception.datasets.bag_writer import BagWriter

COMPLETE_S, PATIENCE_S = 3.0, 5.0
"""A frame set to save is waited for so long before one will do that cameras are missing from, and
before the latest one has to do, whatever it is."""
_NOTHING = "no frame set has come yet. Fix: activate the node, start cameras"
_ROOM = 64 * 2**20


def default_folder() -> Path:
    """Return ``~/.ros/depth_perception``, below ``ROS_HOME`` where that is set."""
    return Path(os.environ.get("ROS_HOME") or Path.home() / ".ros") / "depth_perception"


class FrameSetSaver:
    """The service: saves a frame set of all cameras, also of those that nobody listens to.

    A slow disk does not hold up the images: a thread writes, and the answer comes when it has.
    """

    def __init__(self, node: Node, context: Callable[[], tuple[Ingest, str] | None]) -> None:
        """Offer the service.

        Args:
            node: Whose service it is.
            context: Gives the ingest and the folder, empty for `default_folder`; None while
                nothing is taken in.
        """
        self._context = context
        self._asked: list[tuple[Any, Answer, Ingest, str]] = []
        self._since = math.inf
        self._service = DeferredService(node, Trigger, "~/save_frame_set", self._save)

    @property
    def waiting(self) -> bool:
        """True while a frame set of all cameras is wanted."""
        return bool(self._asked)

    def offer(self, latest: MessageSet | None, names: Sequence[str]) -> None:
        """Give the latest frame set to whoever waits to save one, if it will do.

        The first sets lack cameras whose subscriptions are not matched yet: it is to have all
        cameras, unless some do not come.

        Args:
            latest: The set; None before the first.
            names: All cameras there are.
        """
        waited = time.monotonic() - self._since
        if latest is not None:
            absent = set(names) - latest.frames.keys()
            if not absent or (waited > COMPLETE_S and absent <= latest.missing.keys()):
                self._answer(latest)
        if waited > PATIENCE_S:
            self._answer(latest)

    def give_up(self) -> None:
        """Say that there will be none."""
        self._answer(None)

    def _answer(self, closed: MessageSet | None) -> None:
        asked, self._asked, self._since = self._asked, [], math.inf
        for response, answer, ingest, folder in asked:
            if closed is None:
                response.message = _NOTHING
                answer(response)
                continue
            given = (response, answer, closed, ingest, folder)
            threading.Thread(
                target=_save_and_answer, args=given, name="save frame set", daemon=True
            ).start()

    def _save(self, request: Any, response: Any, answer: Answer) -> None:
        context = self._context()
        if context is None:
            response.message = _NOTHING
            answer(response)
            return
        if not self._asked:
            self._since = time.monotonic()
        self._asked.append((response, answer, *context))


def _save_and_answer(
    response: Any, answer: Answer, closed: MessageSet, ingest: Ingest, folder: str
) -> None:
    """Write a frame set, and say where it is, or why it is not."""
    cameras = {name: feed.topics for name, feed in ingest.cameras.items()}
    try:
        path = Path(folder) if folder else default_folder()
        response.message = str(save_frame_set(closed, cameras, ingest.rig, path))
        response.success = True
    except DepthPerceptionError as error:
        response.message = str(error)
    except Exception as error:  # the one who asked is to hear of it
        response.message = f"{type(error).__name__}: {error}"
    answer(response)


def save_frame_set(
    closed: MessageSet, cameras: Mapping[str, CameraTopics], rig: RigTracker, folder: Path
) -> Path:
    """Write images, calibration, labels and mountings as they came; replay reads the bag.

    Args:
        closed: The frame set.
        cameras: Topics of its cameras.
        rig: Knows where they are mounted; what is not known is left out.
        folder: Where the new bag goes, named after the time of saving.

    Returns:
        The bag.

    Raises:
        BagError: The folder cannot be written, or has no room.
        LibraryError: rosbags does not import; the node does without it otherwise.
    """
    from depth_perception.datasets.bag_writer import BagWriter

    folder = Path(os.path.expanduser(folder))
    path = folder / datetime.now().strftime("frame_set_%Y%m%d_%H%M%S_%f")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        size = sum(len(item.image.data) for item in closed.frames.values())
        free = shutil.disk_usage(folder).free
        if free < size + _ROOM:
            room = f"{free / 2**20:.0f} MiB free, {size / 2**20:.0f} MiB to write"
            raise _no_room(f"'{path}' cannot be written ({room})")
        try:
            with BagWriter(path, keep_part=False) as writer:
                _write(writer, closed, cameras, rig)
        except BagError as error:
            raise _no_room(error.problem) from None
    except OSError as error:
        raise _no_room(f"'{path}' cannot be written ({error.strerror or error})") from None
    return path


def _no_room(problem: str) -> BagError:
    return BagError(
        problem,
        expected="a folder that is writable and has room",
        fix="free some space, or set monitor.save_folder",
    )


def _write(
    writer: BagWriter, closed: MessageSet, cameras: Mapping[str, CameraTopics], rig: RigTracker
) -> None:
    types = writer.types
    transforms = []
    for name, item in closed.frames.items():
        frame = item.image.header.frame_id.lstrip("/")
        try:
            T = rig.mounting(frame, cameras[name].image)
        except TransformError:
            continue  # that it is missing may be what the report is about
        transforms.append(transform_message(types, closed.stamp, rig.base_frame, frame, T))
    if transforms:
        message = types.new("tf2_msgs/msg/TFMessage", transforms=transforms)
        writer.write("/tf_static", message, closed.stamp, latched=True)
    for name, item in closed.frames.items():
        topics = cameras[name]
        found = [(topics.info, CAMERA_INFO_TYPE, item.info)]
        found.append((topics.image, _image_type(item.image), item.image))
        if item.labels is not None:
            found.append((topics.labels, _image_type(item.labels), item.labels))
        for topic, kind, message in found:
            writer.write_serialized(topic, kind, bytes(serialize_message(message)), item.stamp)


def _image_type(message: object) -> str:
    return IMAGE_TYPES[1] if is_compressed(message) else IMAGE_TYPES[0]
