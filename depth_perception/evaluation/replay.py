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

"""Every frame set of a bag through the pipeline once, into a bag with the node's topics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from depth_perception.datasets.bag import BagReader, RangeScanMessage
from depth_perception.datasets.bag_writer import BagWriter
from depth_perception.frames.frame_set import CameraFrame, FrameSet
from depth_perception.frames.publication import (
    Counters,
    messages_of,
    status_message,
    vehicle_topics,
)
from depth_perception.frames.surround_result import SurroundResult
from depth_perception.messages.transforms import transform_message
from depth_perception.pipeline import SurroundPipeline

ODOMETRY_AHEAD_NS = 100_000_000
"""Odometry comes late on a vehicle, too; a set waits for it so long."""


class OdometryFeed:
    """Hands a bag's poses and range scans to the pipeline as a vehicle would: none too early."""

    def __init__(
        self, reader: BagReader, pipeline: SurroundPipeline, ranges: Iterable[RangeScanMessage] = ()
    ) -> None:
        """Begin before the first pose of an opened bag.

        Args:
            reader: The bag.
            pipeline: Takes what is handed over.
            ranges: Scans of a LiDAR or radar in the order of time.
        """
        self._poses = reader.motion
        self._next = 0
        self._pipeline = pipeline
        self._ranges = iter(ranges)
        self._scan: RangeScanMessage | None = None

    def until(self, stamp: int) -> None:
        """Hand over what has come when the set of this stamp (ns) is computed."""
        while (scan := self._scan or next(self._ranges, None)) is not None:
            self._scan = scan
            if scan.stamp > stamp + ODOMETRY_AHEAD_NS:
                break
            self._pipeline.add_range(*scan)
            self._scan = None
        while self._next < len(self._poses):
            pose = self._poses[self._next]
            if pose.stamp > stamp + ODOMETRY_AHEAD_NS:
                return
            self._pipeline.add_odometry(*pose)
            self._next += 1


def results(
    reader: BagReader, pipeline: SurroundPipeline, limit: int | None = None
) -> Iterator[tuple[FrameSet[CameraFrame], SurroundResult]]:
    """Yield every frame set of an opened bag with its result, in the order of time.

    Cameras that give no depth although their images are there are warned of by the pipeline; a set
    of which no camera gives any has a result without cameras.

    Args:
        reader: The opened bag.
        pipeline: What computes.
        limit: At most so many sets; None or 0: all.

    Raises:
        ConfigurationError: No camera of the rig sees the road; see `SurroundPipeline.check_rig`.
    """
    pipeline.check_rig(reader.rig)
    with ranges_of(reader) as ranges:
        odometry = OdometryFeed(reader, pipeline, ranges)
        for index, frame_set in enumerate(reader.frame_sets()):
            if limit and index >= limit:
                return
            if frame_set.frames:
                odometry.until(frame_set.stamp)
                result = pipeline.process(frame_set, reader.rig)
                pipeline.warn_of_lost(frame_set, result)
                yield frame_set, result


@contextmanager
def ranges_of(reader: BagReader) -> Iterator[Iterable[RangeScanMessage]]:
    """Open a bag once more for the scans of ``motion.range_topic``; nothing without one."""
    if not reader.range_topic:
        yield ()
        return
    with reader.beside() as beside:
        yield beside.ranges()


def replay(
    reader: BagReader,
    pipeline: SurroundPipeline,
    writer: BagWriter,
    *,
    limit: int | None = None,
    each: Callable[[FrameSet[CameraFrame], SurroundResult], None] | None = None,
) -> int:
    """Write the outputs of every frame set to a bag; return how many sets have depth.

    Messages carry the node's topics and stamps. Bag times are the sets' stamps, so the same bag
    gives the same bytes; latencies, which differ from run to run, are written as zero.

    Args:
        reader: The opened bag.
        pipeline: What computes.
        writer: Where messages go.
        limit: At most so many sets; None or 0: all.
        each: Called after each set, e.g. to draw or to count.
    """
    write_mounting(reader, writer)
    processed = incomplete = 0
    for frame_set, result in results(reader, pipeline, limit):
        if result.cameras:
            processed += 1
            incomplete += bool(result.missing)
        end = max((camera.stamp for camera in result.cameras.values()), default=result.stamp)
        counters = Counters(processed=processed, incomplete=incomplete)
        if result.cameras:  # else there is nothing but the status to tell, as by the node
            for topic, message in messages_of(result, pipeline.parameters, writer.types):
                writer.write(f"/{topic}", message, end)
        timeless = dict.fromkeys(result.latencies, 0.0)
        status = status_message(
            writer.types, result, counters, now=end, latency=0.0, stages=timeless
        )
        writer.write(f"/{vehicle_topics()['status'][0]}", status, end)
        if each is not None:
            each(frame_set, result)
    return processed


def write_mounting(reader: BagReader, writer: BagWriter) -> None:
    """Write ``/tf_static`` with every camera's mounting, so that the new bag shows in RViz."""
    types = writer.types
    # Seconds of a stamp are an int32; a clock that was never set gives any time.
    time = min(reader.start_time, 2**31 * 1_000_000_000 - 1)
    base_frame = reader.rig.base_frame
    transforms = [
        transform_message(types, time, base_frame, camera.frame_id, camera.T_base_camera)
        for camera in reader.rig
    ]
    writer.write(
        "/tf_static", types.new("tf2_msgs/msg/TFMessage", transforms=transforms), time, latched=True
    )
