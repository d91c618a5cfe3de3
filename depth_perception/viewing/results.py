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

"""Frame sets of a drive through the pipeline, with the LiDAR beside them, into a recording."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from depth_perception.datasets.bag import BagReader, LidarScan
from depth_perception.errors import TransformError
from depth_perception.evaluation.replay import results
from depth_perception.frames.surround_result import CameraResult, SurroundResult
from depth_perception.geometry.transforms import transform_points
from depth_perception.pipeline import SurroundPipeline
from depth_perception.viewing.recording import Recording

LIDAR_AHEAD_NS = 100_000_000
"""A scan belongs to the frame sets around it: those so much later than a set are shown with it."""


def log_result(recording: Recording, result: SurroundResult, number: int | None = None) -> None:
    """Log everything that is known about one frame set.

    Args:
        recording: Where to.
        result: From the pipeline.
        number: Of the frame set.
    """
    recording.begin_set(result.stamp, number)
    for name, camera in result.cameras.items():
        recording.at(camera.stamp)
        _log_camera(recording, name, camera)
    recording.at(result.stamp)
    for name, reason in result.missing.items():
        recording.clear_camera(name)
        recording.say(f"{name}: {reason}")
    if result.points is not None:
        recording.cloud(result.points)
    if result.obstacles is not None:
        recording.obstacles(result.obstacles)
    if result.occupancy is not None:
        recording.map(result.occupancy)
    recording.ground(result.ground)
    recording.latencies(result.latencies)
    if result.motion is not None:
        recording.speed(result.motion.speed)


def _log_camera(recording: Recording, name: str, camera: CameraResult) -> None:
    recording.place(name, camera.T_base_camera)
    recording.image(name, camera.camera, camera.image)
    recording.depth(name, "estimated", camera.camera, camera.depth)
    recording.confidence(name, camera.camera, camera.confidence)
    for kind, depth in (("measured", camera.measured), ("embodied", camera.embodied)):
        if depth is None or not np.isfinite(depth).any():
            recording.clear_depth(name, kind)
        else:
            recording.depth(name, kind, camera.camera, depth)


def log_drive(
    recording: Recording,
    reader: BagReader,
    pipeline: SurroundPipeline,
    *,
    limit: int = 0,
    lidar: str | None = None,
    each: Callable[[SurroundResult], None] | None = None,
) -> int:
    """Run the pipeline over a bag and log it.

    Args:
        recording: Where to.
        reader: The opened bag.
        pipeline: What computes.
        limit: At most so many frame sets; 0: all.
        lidar: Topic of the scans that are shown beside it; None takes the bag's first, if any.
        each: Called after each set.

    Returns:
        How many frame sets have depth.

    Raises:
        ConfigurationError: No camera of the rig sees the road.
    """
    count = 0
    with _scans(reader, lidar) as scans:
        feed = _LidarFeed(reader, scans, recording)
        for number, (_, result) in enumerate(results(reader, pipeline, limit)):
            feed.until(result.stamp, number)
            log_result(recording, result, number)
            count += bool(result.cameras)
            if each is not None:
                each(result)
    return count


@contextmanager
def _scans(reader: BagReader, lidar: str | None) -> Iterator[Iterable[LidarScan]]:
    """Open a bag once more for its LiDAR; nothing without one."""
    if lidar is None and not reader.lidar_topics:
        yield ()
        return
    with reader.beside() as beside:
        yield beside.clouds(lidar)


class _LidarFeed:
    """Logs scans when the frame sets get there."""

    def __init__(self, reader: BagReader, scans: Iterable[LidarScan], recording: Recording) -> None:
        self._reader, self._scans, self._recording = reader, iter(scans), recording
        self._waiting: LidarScan | None = None
        self._said = False

    def until(self, stamp: int, number: int) -> None:
        """Log the scans up to those of a frame set (ns)."""
        while (scan := self._waiting or next(self._scans, None)) is not None:
            self._waiting = scan
            if scan.stamp > stamp + LIDAR_AHEAD_NS:
                return
            self._waiting = None
            self._log(scan, number)

    def _log(self, scan: LidarScan, number: int) -> None:
        self._recording.begin_set(scan.stamp, number)
        base_frame = self._reader.rig.base_frame
        try:
            T_base_lidar = self._reader.view("").lookup(base_frame, scan.frame_id)
        except TransformError as error:
            if not self._said:
                self._recording.say(f"the LiDAR is not shown: {error}")
            self._said = True
            return
        self._recording.lidar(transform_points(T_base_lidar, scan.points).astype(np.float32))
