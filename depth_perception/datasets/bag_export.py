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

"""Write a source's drives as rosbag2 bags: what is known of them, in the topics of a real rig.

In: a `FrameSource` and frame sets of one drive. Out: a bag that every verb reads, with

- `/<camera>/image_raw/compressed` (image_rect where it is) with the bytes as they are stored, or
  as PNG where a source has pixels only; `/<camera>/camera_info`;
- `/tf_static` from base_link to each camera and LiDAR; `/odom` and `/tf` at the instants of images
  and scans, where poses are known; `/<lidar>/points` (x y z, intensity) in the LiDAR's own frame;
- of the synthetic world, and of better truth than a scan's: `/truth/<camera>/depth`,
  `/<camera>/labels`, `/truth/ground`, and frames `truth/<camera>` where calibration is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception import messages
from depth_perception.datasets.bag_writer import BagWriter
from depth_perception.datasets.sample import DatasetError, TrueFrameSet
from depth_perception.datasets.source import FrameSource
from depth_perception.datasets.sources.recorded import (
    RecordedImage,
    RecordedScan,
    RecordedSet,
    RecordedSource,
)
from depth_perception.geometry.ground_plane import SOURCES
from depth_perception.geometry.transforms import Matrix

START = 1_700_000_000_000_000_000
"""Stamp of time 0 of a synthetic drive, ns."""
_SECOND = 1_000_000_000
_SAME = 1e-6


def drives_of(source: FrameSource) -> dict[str, list[int]]:
    """Indices of each drive's frame sets by the drive's name, in the order of time."""
    drives: dict[str, list[int]] = {}
    if isinstance(source, RecordedSource):
        for index in sorted(range(len(source)), key=source.locate):
            drives.setdefault(source.drives[source.locate(index).drive], []).append(index)
        return drives
    name = ""
    for index in range(len(source)):
        if source.neighbour(index, -1) is None:
            name = f"{len(drives):06d}"
        drives.setdefault(name, []).append(index)
    return drives


def recorded_at(source: FrameSource, index: int) -> RecordedSet:
    """A frame set as it is stored; one of exact truth becomes pictures with that truth."""
    if isinstance(source, RecordedSource):
        return source.recorded(index)
    sample = source.read(index)
    facts = sample.facts
    stamp = int(facts.get("stamp", START + round(1e9 * float(facts.get("time", index)))))
    pose = facts.get("T_odom_base")
    images = tuple(
        RecordedImage(
            c.name,
            stamp,
            c.model,
            c.T_base_calibrated,
            c.image,
            f"{sample.key}, {c.name}",
            None if pose is None else np.asarray(pose, np.float64),
            depth=c.depth,
            label=c.label,
        )
        for c in sample.cameras
    )
    drive = int(facts.get("drive", 0))
    return RecordedSet(
        sample.key,
        str(facts.get("rig", "")),
        drive,
        f"{drive:06d}",
        int(facts.get("index", 0)),
        images,
        sample,
    )


def write_bag(
    path: str | Path, sets: Iterable[RecordedSet], *, storage: str = "mcap", overwrite: bool = False
) -> int:
    """Write one drive; the bag appears when it is whole.

    Args:
        path: The bag's directory.
        sets: In the order of time.
        storage: `mcap` or `sqlite3`.
        overwrite: Replace a bag that is there.

    Returns:
        How many frame sets were written.

    Raises:
        BagError: The path is taken, or cannot be written.
        DatasetError: A sensor's mounting changes on the way.
    """
    count = 0
    with BagWriter(path, storage=storage, overwrite=overwrite, keep_part=False) as writer:
        drive = _DriveWriter(writer)
        for item in sets:
            drive.add(item)
            count += 1
        drive.finish()
    return count


class _DriveWriter:
    """Writes frame sets' messages in the order of time, each once."""

    def __init__(self, writer: BagWriter) -> None:
        self._writer, self._types = writer, writer.types
        self._mountings: dict[str, Matrix] = {}
        self._written: set[tuple[str, int]] = set()
        self._waiting: list[tuple[int, int, str, Any]] = []
        self._count = 0

    def add(self, item: RecordedSet) -> None:
        """Take a frame set; what lies well before it is written."""
        if not item.images:
            return
        first = min(image.stamp for image in item.images)
        scans = {id(i.scan): i.scan for i in item.images if i.scan is not None}.values()
        self._mount(item, list(scans), min([first, *(scan.stamp for scan in scans)]))
        for image in item.images:
            self._image(image)
        for scan in scans:
            self._scan(scan)
        if item.truth is not None:
            self._truth(item.truth, first)
        self._flush(first - _SECOND)

    def finish(self) -> None:
        """Write what waits."""
        self._flush(None)

    def _flush(self, end: int | None) -> None:
        self._waiting.sort(key=lambda entry: entry[:2])
        while self._waiting and (end is None or self._waiting[0][0] < end):
            time, _, topic, message = self._waiting.pop(0)
            self._writer.write(topic, message, time, latched=topic == "/tf_static")
        if end is not None:
            self._written = {entry for entry in self._written if entry[1] >= end - _SECOND}

    def _put(self, topic: str, message: Any, stamp: int) -> None:
        # Cameras that a list names one by one share their instant's scan and pose.
        if (topic, stamp) not in self._written:
            self._written.add((topic, stamp))
            self._waiting.append((stamp, self._count, topic, message))
            self._count += 1

    def _mount(self, item: RecordedSet, scans: list[RecordedScan], stamp: int) -> None:
        mountings = {image.name: image.T_base_camera for image in item.images}
        mountings |= {scan.name: scan.T_base_lidar for scan in scans}
        if item.truth is not None:
            for camera in item.truth.cameras:
                if not np.array_equal(camera.T_base_camera, camera.T_base_calibrated):
                    mountings[f"truth/{camera.name}"] = camera.T_base_camera
        new = {name: T for name, T in mountings.items() if name not in self._mountings}
        for name, T in mountings.items():
            if name not in new and np.abs(self._mountings[name] - T).max() > _SAME:
                raise DatasetError(
                    f"drive '{item.drive_name}': the mounting of {name} changes at {item.key}",
                    expected="one calibration a drive",
                    fix="convert the parts one by one",
                )
        if new:
            self._mountings |= new
            # All of them again: whoever comes late gets the last message alone.
            static = [
                messages.transform_message(self._types, stamp, "base_link", *m)
                for m in self._mountings.items()
            ]
            message = self._types.new("tf2_msgs/msg/TFMessage", transforms=static)
            self._waiting.append((stamp, -1, "/tf_static", message))

    def _image(self, image: RecordedImage) -> None:
        types, stamp, name = self._types, image.stamp, image.name
        data = image.data if isinstance(image.data, bytes) else png(image.data)
        compressed = types.new(
            "sensor_msgs/msg/CompressedImage",
            header=messages.header(types, stamp, name),
            format="jpeg" if data[:2] == b"\xff\xd8" else "png",
            data=np.frombuffer(data, np.uint8),
        )
        rectified = not np.allclose(image.model.R, np.eye(3))
        info = messages.camera_info_message(types, stamp, name, image.model)
        self._put(f"/{name}/camera_info", info, stamp)
        self._put(f"/{name}/image_{'rect' if rectified else 'raw'}/compressed", compressed, stamp)
        if image.depth is not None:
            truth = messages.depth_message(types, stamp, name, image.depth)
            self._put(f"/truth/{name}/depth", truth, stamp)
        if image.label is not None:
            label = messages.image_message(types, stamp, name, image.label, "mono8")
            self._put(f"/{name}/labels", label, stamp)
        self._pose(stamp, image.T_odom_base)

    def _scan(self, scan: RecordedScan) -> None:
        names = ["x", "y", "z"] + (["intensity"] if scan.intensity is not None else [])
        cloud = np.empty(len(scan.points), [(name, np.float32) for name in names])
        for i, axis in enumerate("xyz"):
            cloud[axis] = scan.points[:, i]
        if scan.intensity is not None:
            cloud["intensity"] = scan.intensity
        message = messages.cloud_message(self._types, scan.stamp, scan.name, cloud)
        self._put(f"/{scan.name}/points", message, scan.stamp)
        self._pose(scan.stamp, scan.T_odom_base)

    def _pose(self, stamp: int, T: Matrix | None) -> None:
        if T is None:
            return
        types, unknown = self._types, np.zeros(36)
        transform = messages.transform_message(self._types, stamp, "odom", "base_link", T)
        zero = types.new("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0)
        x, y, z = (float(v) for v in T[:3, 3])
        pose = types.new(
            "geometry_msgs/msg/Pose",
            position=types.new("geometry_msgs/msg/Point", x=x, y=y, z=z),
            orientation=transform.transform.rotation,
        )
        odometry = types.new(
            "nav_msgs/msg/Odometry",
            header=messages.header(types, stamp, "odom"),
            child_frame_id="base_link",
            pose=types.new("geometry_msgs/msg/PoseWithCovariance", pose=pose, covariance=unknown),
            twist=types.new(
                "geometry_msgs/msg/TwistWithCovariance",
                twist=types.new("geometry_msgs/msg/Twist", linear=zero, angular=zero),
                covariance=unknown,
            ),
        )
        self._put("/tf", types.new("tf2_msgs/msg/TFMessage", transforms=[transform]), stamp)
        self._put("/odom", odometry, stamp)

    def _truth(self, sample: TrueFrameSet, stamp: int) -> None:
        plane = messages.ground_message(
            self._types,
            stamp,
            "base_link",
            sample.ground.normal,
            sample.ground.height,
            np.zeros((3, 3)),
            SOURCES.index("external"),
        )
        self._put("/truth/ground", plane, stamp)


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels (H, W, 3) BGR as a PNG."""
    done, data = cv2.imencode(".png", pixels)
    if not done:
        raise DatasetError(f"a PNG of {pixels.shape} {pixels.dtype} does not encode")
    return data.tobytes()
