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

"""A rosbag2 drive as frame sets by index.

    bag:PATH?params=kitti

PATH is a rosbag2 directory, .mcap or .db3. Options:

- params: a parameter file, or a name of one in `config/` (`kitti`, `ddad`, `nuscenes`): cameras and
  their order, base frame, ground, ego masks, tolerance of stamps. Without it every camera that the
  bag shows, in `base_link`, and no masks;
- max_depth: of LiDAR points, m (80).

At opening the bag is read through once: headers, calibration, transforms and odometry are taken,
images and clouds are only passed by. What is kept is a few numbers a message. A frame set is read
from where it lies in the file when it is asked for, and nothing of it is kept. Each process and
thread opens the file once, when it reads first.

Depth is what `depth_perception evaluate` takes for truth: the scan nearest to each image within the
same limits of time, moved by odometry; where the bag has exact depth of an image
(`/truth/<camera>/depth`, with `/<camera>/labels`), that. Where the parameters put the ground
elsewhere than at z = 0 of the base frame, the base frame is moved onto it.
"""

from __future__ import annotations

import copy
import os
import threading
import weakref
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from depth_perception import messages
from depth_perception.datasets.bag import BagReader
from depth_perception.datasets.bag_file import BagFile, open_bag
from depth_perception.datasets.exact_truth import exact_topics
from depth_perception.datasets.lidar_truth import (
    OFFSET_WITH_ODOMETRY,
    OFFSET_WITHOUT_ODOMETRY,
    TruthProtocol,
    index_of_nearest,
    pose_at,
)
from depth_perception.datasets.sample import Choose, DatasetError
from depth_perception.datasets.sources.address import parse, protocol_of
from depth_perception.datasets.sources.recorded import (
    DriveFrame,
    RecordedImage,
    RecordedScan,
    RecordedSet,
    RecordedSource,
)
from depth_perception.errors import ConfigurationError, DepthPerceptionError
from depth_perception.frames.assembler import Now
from depth_perception.frames.ingest import MessageSet
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import RigCamera
from depth_perception.geometry.transforms import Matrix, inverse
from depth_perception.messages.compressed import declared_size
from depth_perception.parameters import Parameters, load
from depth_perception.resources import parameter_file
from depth_perception.rig.builder import nominal_ground


def open_source(text: str) -> BagSource:
    """Open a bag, see the module's head.

    Raises:
        ConfigurationError: An unknown option or parameter file.
        DatasetError: The bag is absent or damaged, or has no usable camera.
    """
    path, options = parse(text, ("params",))
    name = options.get("params")
    parameters = load(parameter_file(name) if name else None)
    return BagSource(path, parameters, protocol_of(options))


_LOOKED_AT = 50
"""So many images of a camera tell how many of 16 bits it uses."""


class MessageReference(NamedTuple):
    """Where a message is found again: its topic, its time in the bag and its stamp, ns."""

    topic: str
    time: int
    stamp: int


@dataclass(frozen=True)
class _Image:
    """An image of the index: its message, its camera's index in `BagSource._rig`."""

    message: MessageReference
    camera: int


class BagSource(RecordedSource):
    """Frame sets of a bag.

    Args:
        path: The bag.
        parameters: What cameras, frames and masks to use.
        protocol: Which LiDAR points count.

    Attributes:
        path: The bag.
        problems: What was wrong with it and left out.
    """

    def __init__(self, path: Path, parameters: Parameters, protocol: TruthProtocol) -> None:
        self.path, self.parameters = path, parameters
        self._rig: list[RigCamera] = []
        self._sets: list[dict[str, _Image]] = []
        self._scans: list[MessageReference] = []
        self._scan_stamps: list[int] = []
        self._exact: dict[str, dict[int, MessageReference]] = {}
        self._bits: dict[str, messages.BitDepth] = {}
        self._looked: dict[str, int] = {}
        self._opened: tuple[tuple[int, int], Callable[[], Any], BagFile] | None
        self._opened = None
        with _as_dataset_error(), BagReader(path, parameters) as reader:
            self._index(reader)
            self._name, self._odometry = reader.name, reader.odometry
            self._odometry_stamps = [stamp for stamp, _ in self._odometry]
            self._lidars = {}
            for topic in {scan.topic for scan in self._scans}:
                first = next(reader.clouds(topic), None)
                if first is None:  # no scan has a finite point
                    self._scans, self._scan_stamps = [], []
                    continue
                T_base_lidar = reader.view(topic).lookup(parameters.base_frame, first.frame_id)
                self._lidars[topic] = (first.frame_id, T_base_lidar)
            self.problems = list(reader.problems)
        self._T_level_base = levelled(nominal_ground(parameters.ground))
        if not self._sets:
            raise DatasetError(
                f"bag '{path}' has no frame set",
                expected="images with their CameraInfo",
                fix="run 'depth_perception inspect' on it",
            )
        drive_frames = [DriveFrame(0, index) for index in range(len(self._sets))]
        super().__init__([self._name], drive_frames, protocol)

    def cameras(self, index: int) -> list[str]:
        """Name the cameras of a frame set: those whose image is there."""
        return list(self._sets[self.locate(index).frame])

    def recorded(self, index: int, choose: Choose = range) -> RecordedSet:
        """Read the chosen cameras of a frame set as they are stored."""
        members = list(self._sets[self.locate(index).frame].values())
        chosen = [members[i] for i in choose(len(members))]
        scans: dict[MessageReference, RecordedScan] = {}
        images = []
        with _as_dataset_error():
            reader = self._reader()
            for member in chosen:
                found = self._scan_of(member.message.stamp)
                if found is not None and found not in scans:
                    scans[found] = self._scan(reader, found)
                scan = None if found is None else scans[found]
                images.append(self._image(reader, member, scan))
        key = f"{self._name.replace('.', '_')}_{index:06d}"
        return RecordedSet(key, "bag", 0, self._name, index, tuple(images))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the open file: another process opens its own."""
        return {**self.__dict__, "_opened": None}

    def _reader(self) -> BagFile:
        """The file, open in this process and thread."""
        here = (os.getpid(), threading.get_ident())
        if self._opened is None or self._opened[0] != here:
            if self._opened is not None and self._opened[0][0] == here[0]:
                self._opened[1]()
            context = open_bag(self.path)
            reader = context.__enter__()
            # At the end of the process, too, while there is still something to close it with.
            close = weakref.finalize(self, context.__exit__, None, None, None)
            self._opened = (here, close, reader)
        return self._opened[2]

    def _index(self, reader: BagReader) -> None:
        """Read through the bag: which image is where, and which belong together."""
        names = reader.rig.names
        ingest = reader.ingest(names)
        by_image = {reader.cameras[name].image: name for name in names}
        by_info = {reader.cameras[name].info: name for name in names}
        exact = exact_topics(reader.topics, names)
        lidar = reader.lidar_topics[:1]
        times: dict[tuple[str, int], int] = {}

        def keep(closed: Sequence[MessageSet]) -> None:
            for frame_set in closed:
                members = {}
                for name, item in frame_set.frames.items():
                    topics = reader.cameras[name]
                    size, frame = _head(item.image) or ((0, 0), "")
                    camera = self._camera_index(ingest.rig.camera(topics, item.info, size, frame))
                    time = times.pop((name, item.stamp))
                    members[name] = _Image(MessageReference(topics.image, time, item.stamp), camera)
                self._sets.append(members)

        for topic, time, message in reader.messages([*by_image, *by_info, *exact, *lidar]):
            here = MessageReference(topic, time, messages.stamp_of(message.header.stamp))
            if topic in by_info:
                keep(ingest.add_calibration(by_info[topic], message))
            elif topic in by_image:
                # What promises no pixels is left out of frame sets, as in replay.
                if _head(message) is not None and here.stamp > 0:
                    self._observe_bits(message, topic)
                    times[by_image[topic], here.stamp] = time
                    keep(ingest.add_image(by_image[topic], message, Now(time, time)))
            elif topic in lidar:
                if message.width * message.height > 0:
                    self._scans.append(here)
            else:
                self._exact.setdefault(topic, {})[here.stamp] = here
        keep(ingest.flush())
        ingest.close()
        self._scans.sort(key=lambda scan: scan.stamp)
        self._scan_stamps = [scan.stamp for scan in self._scans]

    def _observe_bits(self, message: Any, topic: str) -> None:
        """Find how many of 16 bits a camera uses: an image that is read alone may be a dark one."""
        deep = "16" in (
            message.format if messages.is_compressed(message) else message.encoding
        ) or (messages.is_compressed(message) and not messages.is_plain(message))
        if not deep or self._looked.get(topic, 0) >= _LOOKED_AT:
            return
        self._looked[topic] = self._looked.get(topic, 0) + 1
        with suppress(DepthPerceptionError):  # whoever reads the image says so
            bits = self._bits.setdefault(topic, messages.BitDepth())
            messages.decode_image(message, topic, bits)

    def _camera_index(self, camera: RigCamera) -> int:
        """Index of a camera in `_rig`, where it is added when its calibration is new."""
        for index, known in enumerate(self._rig):
            if known is camera or (known.name == camera.name and known.same_as(camera)):
                return index
        self._rig.append(camera)
        return len(self._rig) - 1

    def _pose(self, stamp: int) -> Matrix | None:
        """T_odom_base at an instant, of the base frame that lies on the ground."""
        right = bisect_left(self._odometry_stamps, stamp)
        T = pose_at(self._odometry[max(right - 1, 0) : right + 1], stamp)
        return None if T is None else T @ inverse(self._T_level_base)

    def _scan_of(self, stamp: int) -> MessageReference | None:
        """The scan nearest to an image, if it is near enough."""
        if not self._scans:
            return None
        scan = self._scans[index_of_nearest(self._scan_stamps, stamp)]
        both = self._pose(stamp) is not None and self._pose(scan.stamp) is not None
        limit = OFFSET_WITH_ODOMETRY if both else OFFSET_WITHOUT_ODOMETRY
        return scan if abs(scan.stamp - stamp) * 1e-9 <= limit else None

    def _scan(self, reader: BagFile, reference: MessageReference) -> RecordedScan:
        points = messages.decode_points(self._take(reader, reference), reference.topic)
        frame, T_base_lidar = self._lidars[reference.topic]
        if frame == self.parameters.base_frame:  # points that somebody has moved already
            frame = "lidar"
        T = self._T_level_base @ T_base_lidar
        return RecordedScan(reference.stamp, frame, T, points, None, self._pose(reference.stamp))

    def _image(self, reader: BagFile, member: _Image, scan: RecordedScan | None) -> RecordedImage:
        reference, camera = member.message, self._rig[member.camera]
        message = self._take(reader, reference)
        data: bytes | NDArray[np.uint8]
        if messages.is_compressed(message) and messages.is_plain(message):
            data = bytes(memoryview(message.data))
        else:
            bits = copy.copy(self._bits.get(reference.topic))
            data = messages.decode_image(message, reference.topic, bits)
        image = RecordedImage(
            camera.name,
            reference.stamp,
            camera.model,
            self._T_level_base @ camera.T_base_camera,
            data,
            f"{self.path}, {reference.topic}",
            self._pose(reference.stamp),
            scan,
            camera.ego_mask,
        )
        return self._with_exact(reader, image)

    def _with_exact(self, reader: BagFile, image: RecordedImage) -> RecordedImage:
        """Add exact depth and labels where the bag has them for this image."""
        depth = self._exact.get(f"/truth/{image.name}/depth", {}).get(image.stamp)
        label = self._exact.get(f"/{image.name}/labels", {}).get(image.stamp)
        if depth is None:
            return image
        found = messages.decode_depth(self._take(reader, depth), depth.topic)
        classes = None
        if label is not None:
            ids = messages.decode_labels(self._take(reader, label), label.topic)
            classes = np.clip(ids, 0, 255).astype(np.uint8)
        for array, topic in ((found, depth.topic), (classes, label.topic if label else "")):
            if array is not None and array.shape != (image.model.height, image.model.width):
                raise DatasetError(
                    f"bag '{self.path}', {topic}: {array.shape[1]}x{array.shape[0]} px",
                    expected=f"those of the image, {image.model.width}x{image.model.height}",
                    fix="record truth at the images' size",
                )
        return replace(image, depth=found, label=classes)

    def _take(self, reader: BagFile, reference: MessageReference) -> Any:
        """Read one message again."""
        connections = [c for c in reader.connections if c.topic == reference.topic]
        for connection, _, raw in reader.messages(connections, reference.time, reference.time + 1):
            message = reader.deserialize(raw, connection.msgtype)
            if messages.stamp_of(message.header.stamp) == reference.stamp:
                return message
        raise DatasetError(
            f"bag '{self.path}': the message on {reference.topic} of {reference.stamp} ns is gone",
            expected="a bag that does not change",
            fix="open the source again",
        )


def _head(message: Any) -> tuple[tuple[int, int], str] | None:
    """((width, height), frame) of an image; None when it promises no pixels."""
    if messages.is_compressed(message):
        size = declared_size(bytes(memoryview(message.data)[: 1 << 20]))
    else:
        size = (int(message.width), int(message.height))
    if size is None or min(size) < 1:
        return None
    return size, message.header.frame_id.lstrip("/")


def levelled(ground: GroundPlane) -> Matrix:
    """T_level_base: to a frame on the ground, z its normal, x ahead as far as it lies in it."""
    x = np.array([1.0, 0.0, 0.0])
    x = x - (x @ ground.normal) * ground.normal
    x /= np.linalg.norm(x)
    T = np.eye(4)
    T[:3, :3] = np.stack([x, np.cross(ground.normal, x), ground.normal])
    T[:3, 3] = -T[:3, :3] @ (ground.normal * ground.height)
    return T


@contextmanager
def _as_dataset_error() -> Iterator[None]:
    """Turn errors of bags into those of data sets; a wrong configuration stays one."""
    try:
        yield
    except (ConfigurationError, DatasetError):
        raise
    except DepthPerceptionError as error:
        raise DatasetError(error.problem, expected=error.expected, fix=error.fix) from error
