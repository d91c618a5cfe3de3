"""Service ``save_frame_set``: the latest frame set as a small bag, to go with a bug report."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from rclpy.serialization import serialize_message

from depth_perception.datasets.bag_writer import BagWriter
from depth_perception.errors import BagError, TransformError
from depth_perception.frames.ingest import MessageSet
from depth_perception.messages.sensors import is_compressed
from depth_perception.messages.transforms import transform_message
from depth_perception.rig.camera_topics import CAMERA_INFO_TYPE, IMAGE_TYPES, CameraTopics
from depth_perception.rig.tracker import RigTracker

_ROOM = 64 * 2**20


def default_folder() -> Path:
    """Return ``~/.ros/depth_perception``, below ``ROS_HOME`` where that is set."""
    return Path(os.environ.get("ROS_HOME") or Path.home() / ".ros") / "depth_perception"


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
    """
    path = folder.expanduser() / datetime.now().strftime("frame_set_%Y%m%d_%H%M%S_%f")
    try:
        folder.expanduser().mkdir(parents=True, exist_ok=True)
        size = sum(len(item.image.data) for item in closed.frames.values())
        free = shutil.disk_usage(folder.expanduser()).free
        if free < size + _ROOM:
            raise _no_room(path, f"{free / 2**20:.0f} MiB free, {size / 2**20:.0f} MiB to write")
        with BagWriter(path) as writer:
            _write(writer, closed, cameras, rig)
    except OSError as error:
        shutil.rmtree(path, ignore_errors=True)
        raise _no_room(path, error.strerror or str(error)) from None
    return path


def _no_room(path: Path, reason: str) -> BagError:
    return BagError(
        f"'{path}' cannot be written ({reason})",
        expected="a folder that is writable and has room",
        fix="free some space, or set monitor.save_folder",
    )


def _write(
    writer: BagWriter, closed: MessageSet, cameras: Mapping[str, CameraTopics], rig: RigTracker
) -> None:
    types = writer.types
    transforms = []
    for item in closed.frames.values():
        frame = item.image.header.frame_id.lstrip("/")
        try:
            T = rig.mounting(frame)
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
