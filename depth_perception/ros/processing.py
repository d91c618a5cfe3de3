"""What a configured node computes with: decoder, pipeline, publishers, and a thread for them."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from rclpy.node import Node

from depth_perception.frames.assembler import AssembledSet
from depth_perception.frames.publication import Counters
from depth_perception.frames.surround_result import SurroundResult
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.parameters import Parameters
from depth_perception.pipeline import SurroundPipeline
from depth_perception.ros.assembly import Arrival
from depth_perception.ros.diagnostics import Latencies
from depth_perception.ros.frames import FrameSetDecoder
from depth_perception.ros.inputs import CameraInput, Complaints
from depth_perception.ros.publishers import ResultPublishers
from depth_perception.ros.transforms import Extrinsics
from depth_perception.ros.warm_up import warm_up
from depth_perception.ros.worker import Worker

STOP_S, FLUSH_S = 3.0, 1.0


@dataclass(frozen=True)
class Job:
    """A closed frame set, the cameras that it is of, and when (monotonic seconds) it was closed."""

    closed: AssembledSet[Arrival]
    inputs: Mapping[str, CameraInput]
    absent: Mapping[str, str]
    at: float


class Processor:
    """Turns closed frame sets into published results, one at a time, in a thread of its own.

    Attributes:
        latencies: Of the latest results.
        answered: Monotonic seconds of the latest result.
        status_at: Monotonic seconds of the latest status.
        fault: Why the latest frame set as a whole was lost; empty when it was not.
    """

    def __init__(
        self,
        node: Node,
        parameters: Parameters,
        extrinsics: Extrinsics,
        warn: Callable[[str], None],
        complaints: Complaints,
    ) -> None:
        """Load everything, warm up, and advertise.

        Raises:
            DepthPerceptionError: A file that the parameters name is absent or impossible.
        """
        self.latencies = Latencies()
        self.status_at = time.monotonic()
        self.fault = ""
        self._node = node
        self._parameters = parameters
        self._complaints = complaints
        self._processed = self._incomplete = self._dropped = 0
        self._asked: Parameters | None = None
        self._worker: Worker[Job] | None = None
        self._pipeline = SurroundPipeline(parameters, warn)
        try:
            self._decoder = FrameSetDecoder(parameters, extrinsics)
        except BaseException:
            self._pipeline.close()
            raise
        try:
            if not _builds_engines(parameters):
                warm_up(self._pipeline)
            self._publishers = ResultPublishers(node, parameters, self._mismatch)
        except BaseException:
            self._decoder.close()
            self._pipeline.close()
            raise

    @property
    def ground(self) -> GroundPlane:
        """The plane in use."""
        return self._pipeline.ground

    @property
    def provider(self) -> str:
        """What the estimator runs on."""
        return self._pipeline.provider

    @property
    def model(self) -> str:
        """What network makes the depth; empty without one."""
        return self._pipeline.model

    @property
    def wanted(self) -> bool:
        """True when somebody listens to anything."""
        return self._publishers.wanted

    @property
    def busy(self) -> bool:
        """True while a frame set is computed or waits for that."""
        return self._worker is not None and self._worker.busy

    @property
    def counters(self) -> Counters:
        """Frame sets since the node was configured."""
        worker = self._worker
        dropped = self._dropped + (worker.dropped if worker else 0)
        return Counters(self._processed, dropped, self._incomplete)

    def start(self) -> None:
        """Begin to compute."""
        self._worker = Worker(self._compute, self._failed, self._parameters.sync.queue_size)

    def stop(self) -> None:
        """End after the frame sets at hand."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop(STOP_S)
            self._dropped += worker.dropped

    def close(self) -> None:
        """Give everything back; results that are under way get out first."""
        self.stop()
        self._publishers.flush(FLUSH_S)
        self._publishers.close()
        self._decoder.close()
        self._pipeline.close()

    def set_cameras(self, names: Sequence[str]) -> None:
        """Advertise the topics of cameras that are new."""
        self._publishers.set_cameras(list(names))

    def set_parameters(self, parameters: Parameters) -> None:
        """Take other live parameters from the next frame set on."""
        self._asked = parameters

    def put(self, job: Job) -> None:
        """Queue a frame set; an older one that still waits is dropped and counted."""
        if self._worker is not None:
            self._worker.put(job)

    def publish_idle(
        self, stamp: int, inputs: Mapping[str, CameraInput], missing: Mapping[str, str]
    ) -> None:
        """Publish a status without results.

        Args:
            stamp: Of the status, nanoseconds.
            inputs: All cameras.
            missing: Why each has no part in a result.
        """
        self._publish_status(self._nothing(stamp, missing), inputs, 0.0)

    def _compute(self, job: Job) -> None:
        if self._asked is not None:
            self._parameters, self._asked = self._asked, None
            self._pipeline.set_parameters(self._parameters)
            self._publishers.set_parameters(self._parameters)
        if not self._publishers.wanted:
            return
        begin = time.monotonic()
        frame_set, rig, faults = self._decoder.decode(job.closed, job.inputs)
        decoded = time.monotonic()
        for name, camera in job.inputs.items():
            if name in faults:
                camera.refuse(faults[name])
                self._complaints.add(name, faults[name])
            elif name in frame_set.frames and camera.reason:
                camera.reason = ""
                self._complaints.clear(name)
        wanted = self._publishers.wanted_cameras(list(frame_set.frames))
        asleep = {
            name: "nobody listens to its topics" for name in frame_set.frames if name not in wanted
        }
        frame_set = replace(
            frame_set,
            frames={name: frame_set.frames[name] for name in wanted},
            missing={**frame_set.missing, **asleep},
        )
        if not frame_set.frames:
            self._without_result(job, {**frame_set.missing, **job.absent}, asleep)
            return
        result = self._pipeline.process(
            frame_set,
            rig,
            clouds=self._publishers.wants_clouds,
            occupancy=self._publishers.wants_occupancy,
            embodied=self._publishers.wants_embodied(list(frame_set.frames)),
        )
        missing = {**result.missing, **job.absent}
        if not result.cameras:
            self._without_result(job, missing, asleep)
            return
        for name in result.missing.keys() & frame_set.frames.keys():
            self._complaints.add("", result.missing[name])
        self._processed += 1
        self._incomplete += bool(missing.keys() - asleep.keys())
        computed = time.monotonic()
        result = replace(
            result,
            missing=missing,
            latencies={"wait": begin - job.at, "decode": decoded - begin, **result.latencies},
        )
        self._publishers.publish(result, self.counters, 0.0)
        end = time.monotonic()
        result = replace(result, latencies={**result.latencies, "publish": end - computed})
        self.latencies.add(end - job.at, result.latencies)
        self.fault = ""
        self._publish_status(result, job.inputs, end - job.at)

    def _without_result(
        self, job: Job, missing: Mapping[str, str], asleep: Mapping[str, str]
    ) -> None:
        self.fault = next((reason for name, reason in missing.items() if name not in asleep), "")
        self._publish_status(self._nothing(job.closed.stamp, missing), job.inputs, 0.0)

    def _failed(self, error: Exception) -> None:
        where = "".join(traceback.format_tb(error.__traceback__)[-1:]).strip()
        self.fault = f"frame set lost: {type(error).__name__}: {error} ({where})"
        self._complaints.add("", self.fault)

    def _nothing(self, stamp: int, missing: Mapping[str, str]) -> SurroundResult:
        """A result without any camera, for the status."""
        return SurroundResult(
            stamp,
            {},
            missing,
            self._parameters.base_frame,
            self._pipeline.ground,
            None,
            None,
            None,
            self._parameters.estimator,
            self._pipeline.provider,
            model=self._pipeline.model,
        )

    def _publish_status(
        self, result: SurroundResult, inputs: Mapping[str, CameraInput], latency: float
    ) -> None:
        self.status_at = time.monotonic()
        latest = {name: camera.stamp for name, camera in inputs.items() if camera.stamp > 0}
        order = self._parameters.cameras or list(inputs)
        self._publishers.publish_status(result, self.counters, order, latest, latency)

    def _mismatch(self, topic: str, reason: str) -> None:
        self._complaints.add("", reason)


def _builds_engines(parameters: Parameters) -> bool:
    """Whether TensorRT would build an engine, for minutes, of a made-up image's size."""
    names = [name.lower() for name in parameters.fused.providers]
    return parameters.estimator == "fused" and any(name.startswith("tensorrt") for name in names)
