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

"""Bags of real drives: cameras, calibration, transforms, frame sets, LiDAR and odometry, no ROS.

In: a rosbag2 directory or a single .mcap or .db3 file, opened by `bag_file`. Out: an iterator of
`FrameSet`, the `Rig`, LiDAR scans and odometry.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from depth_perception import messages
from depth_perception.datasets.bag_file import open_bag
from depth_perception.datasets.bag_transforms import BagTransforms
from depth_perception.errors import BagError, DepthPerceptionError, MessageError, TransformError
from depth_perception.frames.assembler import DROP_REASONS, Now
from depth_perception.frames.frame_set import CameraFrame, FrameSet
from depth_perception.frames.ingest import Ingest, MessageSet
from depth_perception.geometry.rig import Rig, RigCamera
from depth_perception.geometry.transform_tree import TransformTree, TransformView
from depth_perception.geometry.transforms import Matrix, inverse
from depth_perception.parameters import Parameters
from depth_perception.rig.camera_topics import (
    CameraTopics,
    find_cameras,
    unclear_cameras,
    why_no_camera,
)
from depth_perception.rig.fixed_frame import FixedFrame
from depth_perception.rig.tracker import RigTracker

CLOUD_TYPE = "sensor_msgs/msg/PointCloud2"
ODOMETRY_TYPE = "nav_msgs/msg/Odometry"


class StampedPose(NamedTuple):
    """Stamp (ns), T_odom_base, where the pose comes from, and whether that is TF."""

    stamp: int
    T_odom_base: Matrix
    name: str
    by_tf: bool


class RangeScanMessage(NamedTuple):
    """Stamp (ns), T_base_sensor, points (N, 3) of the sensor's frame, m, and their sigma, m."""

    stamp: int
    T_base_sensor: Matrix
    points: NDArray[np.float32]
    sigma: NDArray[np.float32] | None


@dataclass(frozen=True, eq=False)
class LidarScan:
    """One LiDAR revolution: (N, 3) float32 points of its own frame, metres, at one instant (ns)."""

    stamp: int
    frame_id: str
    points: NDArray[np.float32]


class BagReader:
    """One bag, opened: what is in it, and its frame sets in the order of time.

    Attributes:
        path: Where it lies.
        name: Its file name without ending.
        parameters: What cameras, frames and masks to use.
        topics: Type by topic name.
        counts: Number of messages by topic name.
        cameras: Topics of each usable camera, by name.
        odometry: (stamp ns, T_odom_base) in the order of time; may be empty.
        motion: Poses as ``motion`` of the parameters has them, in the order of time.
        transforms: What the bag's transforms are, by their topics.
        lidar_topics: Topics of point clouds; the one with most points in its first scan is first.
        problems: What was wrong and left out, each once.
    """

    def __init__(
        self, path: str | Path, parameters: Parameters, log: Callable[[str], None] | None = None
    ) -> None:
        """Name the bag; open it with ``with``."""
        self.path = Path(path)
        self.name = self.path.stem
        self.parameters = parameters
        self.topics: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self.cameras: dict[str, CameraTopics] = {}
        self.odometry: list[tuple[int, Matrix]] = []
        self.motion: list[StampedPose] = []
        self.lidar_topics: list[str] = []
        self.problems: list[str] = []
        self._log = log or (lambda text: None)
        self._tracker = RigTracker(
            parameters,
            problem=lambda camera, reason: self._problem(reason),
            explain=lambda topic, error: self.transforms.explain(topic, error),
        )
        self._rig: Rig | None = None
        self._missing: dict[str, str] = {}

    def __enter__(self) -> BagReader:
        """Open the bag and read everything but images and clouds."""
        self._context = open_bag(self.path, self._problem)
        self._reader = self._context.__enter__()
        try:
            for connection in self._reader.connections:
                self.topics[connection.topic] = connection.msgtype
                count = self.counts.get(connection.topic, 0)
                self.counts[connection.topic] = count + connection.msgcount
            self.cameras = find_cameras(self.topics, self.parameters)
            self.transforms = BagTransforms(self.topics, self._tracker, self._problem)
            images = [camera.image for camera in self.cameras.values()]
            stream = self.messages(self.transforms.topics)
            self.odometry = self.transforms.read(stream, images, self._fixed_frame(images))
            self._read_odometry()
            for name, camera in self.cameras.items():
                if camera.note:
                    self._problem(f"camera {name}: {camera.note}")
            self.lidar_topics = self._clouds_by_size()
        except BaseException:
            self._context.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the bag."""
        self._context.__exit__(None, None, None)

    @contextmanager
    def beside(self) -> Iterator[BagReader]:
        """Open the file once more, at its beginning, for reading two things at the same time.

        What is known of the bag is not read anew; problems of both end up in one list.
        """
        with open_bag(self.path, self._problem) as again:
            other = copy.copy(self)
            other._reader = again
            yield other

    @property
    def start_time(self) -> int:
        """Time of the first message, ns."""
        return int(self._reader.start_time)

    @property
    def end_time(self) -> int:
        """Time just after the last message, ns."""
        return int(self._reader.end_time)

    @property
    def losses(self) -> list[str]:
        """What of the file could not be read, of `problems`."""
        return self._reader.losses

    @property
    def tree(self) -> TransformTree:
        """Static transforms, and those that only /tf has, as they were first."""
        return self._tracker.tree

    def view(self, topic: str) -> TransformView:
        """Return the transforms that place what a topic shows: those of its namespace first."""
        return self._tracker.view(topic)

    @property
    def rig(self) -> Rig:
        """The rig as the bag's first images and calibration show it.

        Raises:
            BagError: No camera is usable; says why for each.
        """
        if self._rig is None:
            self._rig = self._first_rig()
        return self._rig

    @property
    def image_count(self) -> int:
        """Number of images of the camera that has most: about the number of frame sets."""
        return max((self.counts[c.image] for c in self.cameras.values()), default=0)

    def messages(self, topics: list[str]) -> Iterator[tuple[str, int, Any]]:
        """Yield (topic, bag time ns, message) in the bag's order; broken ones are left out.

        Raises:
            BagError: Nothing more of a damaged file can be read.
        """
        wanted = set(topics)
        connections = [c for c in self._reader.connections if c.topic in wanted]
        if not connections:
            return
        for connection, time, raw in self._reader.messages(connections):
            try:
                message = self._reader.deserialize(raw, connection.msgtype)
            except Exception as error:
                self._problem(
                    f"{connection.topic}: a message does not deserialize ({error});"
                    f" expected {connection.msgtype}. Fix: record the bag again"
                )
                continue
            yield connection.topic, time, message

    def _clouds_by_size(self) -> list[str]:
        """List the topics of point clouds; a LiDAR comes before a radar of a few points."""
        topics = sorted(
            topic
            for topic, kind in self.topics.items()
            if kind == CLOUD_TYPE and "surround_depth" not in topic.split("/")
        )
        sizes: dict[str, int] = {}
        if len(topics) > 1:
            for topic, _, message in self.messages(topics):
                sizes.setdefault(topic, message.width * message.height)
                if len(sizes) == len(topics):
                    break
        return sorted(topics, key=lambda topic: -sizes.get(topic, 0))

    def clouds(self, topic: str | None = None) -> Iterator[LidarScan]:
        """Yield the scans of one LiDAR topic (the first when None) in the bag's order.

        Raises:
            BagError: There is no such topic.
        """
        if topic is None and self.lidar_topics:
            topic = self.lidar_topics[0]
        if topic not in self.lidar_topics or topic is None:
            raise BagError(
                f"bag '{self.path}' has no LiDAR" + (f" topic {topic}" if topic else ""),
                expected="a sensor_msgs/PointCloud2 topic; there are "
                + (", ".join(sorted(self.topics)) or "no topics"),
                fix="record the LiDAR with the cameras",
            )
        for _, _, message in self.messages([topic]):
            try:
                points = messages.decode_points(message, topic)
            except MessageError as error:
                self._problem(str(error))
                continue
            if len(points) == 0:
                self._problem(
                    f"{topic}: of the {message.width * message.height} points of a scan none has"
                    " finite x, y and z; it is left out. Fix: check the LiDAR driver"
                )
                continue
            frame = message.header.frame_id.lstrip("/")
            yield LidarScan(messages.stamp_of(message.header.stamp), frame, points)

    @property
    def range_topic(self) -> str:
        """Topic whose points the motion takes as measurements; empty without one."""
        motion = self.parameters.motion
        if not motion.enabled or not motion.range_topic:
            return ""
        return "/" + motion.range_topic.lstrip("/")

    def ranges(self) -> Iterator[RangeScanMessage]:
        """Yield the scans of `range_topic` in the bag's order; what cannot be used is said."""
        topic = self.range_topic
        if topic and self.topics.get(topic) != CLOUD_TYPE:
            there = ", ".join(self.lidar_topics) or "none"
            self._problem(
                f"motion.range_topic {topic} is no sensor_msgs/PointCloud2 of the bag; there are:"
                f" {there}. Fix: name one of them, or leave it empty"
            )
            return
        for _, _, message in self.messages([topic] if topic else []):
            try:
                points, sigma = messages.decode_ranges(message, topic)
                frame = message.header.frame_id.lstrip("/")
                T_base_sensor = self.view(topic).lookup(self.parameters.base_frame, frame)
            except DepthPerceptionError as error:
                self._problem(f"{topic}: {error}" if topic not in str(error) else str(error))
                continue
            stamp = messages.stamp_of(message.header.stamp)
            yield RangeScanMessage(stamp, T_base_sensor, points, sigma)

    def frame_sets(self) -> Iterator[FrameSet[CameraFrame]]:
        """Yield every frame set once, in the order of time.

        The rig follows along: when calibration or image size changes, `rig` is new from the set
        on in which it did.
        """
        names = self.rig.names
        ingest = self.ingest(names)
        by_image = {self.cameras[name].image: name for name in names}
        by_info = {self.cameras[name].info: name for name in names}
        by_labels = {feed.topics.labels: name for name, feed in ingest.cameras.items()}

        def closed_sets() -> Iterator[MessageSet]:
            for topic, time, message in self.messages([*by_image, *by_info, *by_labels]):
                if topic in by_info:
                    yield from ingest.add_calibration(by_info[topic], message)
                elif topic in by_labels:
                    yield from ingest.add_labels(by_labels[topic], message)
                else:
                    yield from ingest.add_image(by_image[topic], message, Now(time, time))
            yield from ingest.flush()

        with closing(ingest):
            for closed in closed_sets():
                frame_set, self._rig = ingest.decode(closed)
                yield frame_set
        for name in names:
            for reason, count in ingest.dropped(name).items():
                if reason != "zero_stamp":  # that was said when the first of them came
                    self._problem(
                        f"{self.cameras[name].image}: {count} images left out:"
                        f" {DROP_REASONS[reason]}"
                    )

    def ingest(self, names: Iterable[str]) -> Ingest:
        """Make what turns the messages of cameras into frame sets; it knows the mountings."""
        made = Ingest(
            self.parameters,
            self._tracker,
            recorded=True,
            problem=lambda camera, reason: self._problem(reason),
        )
        made.set_cameras([self._with_labels(self.cameras[name]) for name in names], self._missing)
        return made

    def _with_labels(self, topics: CameraTopics) -> CameraTopics:
        """Leave out a label topic that the bag lacks: no image is to wait for it."""
        return topics if topics.labels in self.topics else dataclasses.replace(topics, labels="")

    def _first_rig(self) -> Rig:
        """Read until every camera has shown calibration and a whole image, then build the rig."""
        unclear = unclear_cameras(self.topics, self.parameters)
        wanted = self.parameters.cameras or [*self.cameras, *unclear]
        reasons = {
            name: why_no_camera(name, self.topics, self.parameters)
            for name in wanted
            if name not in self.cameras
        }
        by_topic = {c.image: n for n, c in self.cameras.items()}
        by_topic.update({c.info: n for n, c in self.cameras.items()})
        infos: dict[str, Any] = {}
        images: dict[str, Any] = {}
        cameras: dict[str, RigCamera] = {}
        for topic, _, message in self.messages(list(by_topic)):
            name = by_topic[topic]
            if topic == self.cameras[name].info:
                infos[name] = message
            elif (stamp := messages.stamp_of(message.header.stamp)) <= 0:
                reasons[name] = messages.zero_stamp(topic, stamp)
            elif name not in cameras:
                images[name] = message
            if name in cameras or name not in images or name not in infos:
                continue
            try:
                decoder = messages.ImageDecoder(self.cameras[name].image)
                image = decoder.decode(images[name])
                frame = images[name].header.frame_id
                size = (image.shape[1], image.shape[0])
                cameras[name] = self._tracker.camera(self.cameras[name], infos[name], size, frame)
                reasons.pop(name, None)
                for text in (*cameras[name].doubts, *decoder.news()):
                    self._problem(text)
            except DepthPerceptionError as error:
                reasons[name] = str(error)
            if len(cameras) == len(self.cameras):
                break
        for name in self.cameras:
            if name not in cameras and name not in reasons:
                topics = self.cameras[name]
                absent = topics.info if name not in infos else topics.image
                kind = "calibration" if name not in infos else "images"
                reasons[name] = (
                    f"{absent}: no message in the bag; expected the camera's {kind}."
                    f" Fix: record {absent} with the drive"
                )
        ordered = {name: cameras[name] for name in wanted if name in cameras}
        for name, reason in reasons.items():
            self._problem(f"camera {name} is left out: {reason}")
        self._missing = {name: reasons[name] for name in wanted if name in reasons}
        if not ordered:
            raise BagError(
                f"bag '{self.path}' has no usable camera"
                + "".join(f"; {name}: {reason}" for name, reason in reasons.items()),
                expected=""
                if reasons
                else "CameraInfo topics with images beside them; there are "
                + (", ".join(sorted(self.topics)) or "no topics"),
                fix=""
                if reasons
                else "record camera_info, or name topics with cameras,"
                " image_topics and camera_info_topics",
            )
        return Rig(ordered, self.parameters.base_frame)

    def _fixed_frame(self, images: list[str]) -> FixedFrame | None:
        """Make what follows the base frame through TF, where ``motion`` asks for it."""
        motion, base_frame = self.parameters.motion, self.parameters.base_frame
        if not motion.enabled or not motion.fixed_frame:
            return None
        return FixedFrame(
            base_frame,
            motion.fixed_frame,
            lambda stamp, T, name: self.motion.append(StampedPose(stamp, T, name, True)),
            self._problem,
            lambda: self._tracker.namespaces_for(images[0] if images else ""),
        )

    def _read_odometry(self) -> None:
        """Read poses of the base frame; an Odometry topic goes before /tf."""
        topics = [topic for topic, kind in self.topics.items() if kind == ODOMETRY_TYPE]
        poses: list[tuple[int, Matrix]] = []
        images = [camera.image for camera in self.cameras.values()]
        base, motion = self.parameters.base_frame, self.parameters.motion
        wanted = motion.odometry_topic
        ending = wanted if wanted.startswith("/") else f"/{wanted}"
        named = [
            topic for topic in topics if topic == wanted or (topic.endswith(ending) and wanted)
        ]
        for topic, _, message in self.messages(
            self.transforms.nearest(named or topics, images)[:1]
        ):
            child = message.child_frame_id.lstrip("/") or base
            try:
                T_odom_base = messages.decode_pose(message.pose.pose, topic)
                if child != base:
                    T_base_child = self._mounting_of_odometry(topic, child)
                    T_odom_base = T_odom_base @ inverse(T_base_child)
            except TransformError as error:
                self._problem(str(error))
                continue
            stamp = messages.stamp_of(message.header.stamp)
            poses.append((stamp, T_odom_base))
            if motion.enabled and motion.odometry_topic:
                self.motion.append(StampedPose(stamp, T_odom_base, topic, False))
        if poses:
            self.odometry = sorted(poses, key=lambda item: item[0])
        self.motion.sort(key=lambda item: item.stamp)

    def _mounting_of_odometry(self, topic: str, child: str) -> Matrix:
        base = self.parameters.base_frame
        try:
            return self.view(topic).lookup(base, child)
        except TransformError as error:
            raise messages.of_another_frame(topic, child, base, error) from None

    def _problem(self, text: str) -> None:
        if text not in self.problems:
            self.problems.append(text)
            self._log(text)
