"""Node ``surround_depth``: images of all cameras in; depth, clouds, map and status out.

Callbacks store, one worker thread computes and publishes. See docs/nodes.md for the topics.
"""

from __future__ import annotations

import re
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from depth_perception.errors import ConfigurationError
from depth_perception.frame_set import AssembledSet
from depth_perception.parameters import Parameters
from depth_perception.pipeline import SurroundPipeline
from depth_perception.publication import Counters
from depth_perception.ros import process
from depth_perception.ros.assembly import Arrival, FrameSetCollector, Now
from depth_perception.ros.diagnostics import Diagnostics, Latencies
from depth_perception.ros.discovery import discover, resolved, why_no_cameras
from depth_perception.ros.frames import FrameSetDecoder
from depth_perception.ros.inputs import CameraInput, CameraSubscriptions, Complaints
from depth_perception.ros.parameters import declare_parameters
from depth_perception.ros.publishers import ResultPublishers
from depth_perception.ros.transforms import make_extrinsics
from depth_perception.ros.warm_up import warm_up
from depth_perception.ros.worker import Worker
from depth_perception.surround_result import SurroundResult

LOOK_PERIOD_S = 1.0
EXPIRE_PERIOD_S = 0.02
REPORT_PERIOD_S = 1.0
SILENCE_S = 5.0
STOP_S, FLUSH_S = 3.0, 1.0


@dataclass(frozen=True)
class Job:
    """A closed frame set and when (monotonic seconds) it was closed."""

    closed: AssembledSet[Arrival]
    at: float


class SurroundDepth:
    """The application: a node, its worker and what both remember.

    Attributes:
        node: The ROS node.
        finished: Never set: the node runs until a signal comes.
        exit_code: 0.
    """

    def __init__(self, **node_options: Any) -> None:
        """Read the parameters, load the estimator, and start looking for cameras.

        Args:
            node_options: Of `rclpy.node.Node`, e.g. ``namespace``.

        Raises:
            DepthPerceptionError: A parameter or a file that it names is impossible.
        """
        self.node = Node("surround_depth", **node_options)
        self.finished = threading.Event()
        self.exit_code = 0
        self._log = self.node.get_logger()
        parameters = declare_parameters(self.node)
        self._parameters: Parameters = resolved(self.node, parameters)
        self._pipeline = SurroundPipeline(self._parameters, self._log.warning)
        self._extrinsics = make_extrinsics(self.node, self._log.warning)
        self._decoder = FrameSetDecoder(self._parameters, self._extrinsics)
        self._publishers = ResultPublishers(self.node, self._parameters)
        self._diagnostics = Diagnostics(self.node)
        with_labels = bool(self._parameters.segmentation.labels_topic)
        self._collector = FrameSetCollector(self._parameters.sync, with_labels)
        self._complaints = Complaints(self._log.warning)
        self._inputs: dict[str, CameraInput] = {}
        self._subscriptions: list[CameraSubscriptions] = []
        self._absent: dict[str, str] = {}
        self._latencies = Latencies()
        self._processed = self._incomplete = 0
        self._started = self._status_at = time.monotonic()
        self._warned = ""
        self._worker: Worker[Job] = Worker(
            self._compute, self._failed, self._parameters.sync.queue_size,
            prepare=lambda: warm_up(self._pipeline),
        )  # fmt: skip
        # Timers by the steady clock: they also run where simulated time stands still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        for period, callback in (
            (LOOK_PERIOD_S, self._look), (EXPIRE_PERIOD_S, self._expire),
            (REPORT_PERIOD_S, self._report),
        ):  # fmt: skip
            self.node.create_timer(period, callback, clock=steady)
        self._look()
        self._log.info(
            f"estimator {self._parameters.estimator}, base frame {self._parameters.base_frame}"
        )

    def close(self) -> None:
        """End the worker after the frame sets at hand, and let their results get out."""
        self._worker.stop(STOP_S)
        self._decoder.close()
        self._pipeline.close()
        self._publishers.flush(FLUSH_S)

    def _now(self) -> Now:
        return Now(self.node.get_clock().now().nanoseconds, time.monotonic_ns())

    def _look(self) -> None:
        """Subscribe to cameras that are new; named ones, or all there are."""
        for subscriptions in self._subscriptions:
            subscriptions.look_for_labels()
        if self._parameters.cameras and len(self._inputs) == len(self._parameters.cameras):
            return
        try:
            found, self._absent = discover(self.node, self._parameters)
        except ConfigurationError as error:
            self._complaints.add("(all)", str(error))
            return
        added = [topics for name, topics in found.items() if name not in self._inputs]
        if not added:
            return
        inputs = {**self._inputs, **{topics.name: CameraInput(topics) for topics in added}}
        order = self._parameters.cameras or sorted(inputs)
        self._inputs = {name: inputs[name] for name in order if name in inputs}
        self._publishers.set_cameras(list(self._inputs))
        self._collector.set_cameras(list(self._inputs))
        for topics in added:
            subscriptions = CameraSubscriptions(
                self.node, self._inputs[topics.name], self._on_image, self._on_info,
                self._on_labels, self._complaints.add,
            )  # fmt: skip
            self._subscriptions.append(subscriptions)
            self._log.info(f"camera {topics.name}: {topics.image}, {topics.info}")

    def _on_image(self, name: str, stamp: int, message: Any) -> None:
        self._queue(self._collector.add_image(name, stamp, message, self._now()))

    def _on_info(self, name: str) -> None:
        self._queue(self._collector.add_calibration(name, self._now()))

    def _on_labels(self, name: str, stamp: int, message: Any) -> None:
        self._queue(self._collector.add_labels(name, stamp, message, self._now()))

    def _expire(self) -> None:
        self._queue(self._collector.expire(self._now()))

    def _queue(self, closed: list[AssembledSet[Arrival]]) -> None:
        for item in closed:
            self._worker.put(Job(item, time.monotonic()))

    def _compute(self, job: Job) -> None:
        """Turn one frame set into outputs; runs in the worker thread."""
        if not self._publishers.wanted:
            return
        inputs = self._inputs
        frame_set, rig, faults = self._decoder.decode(job.closed, inputs)
        for name, camera in inputs.items():
            if name in faults:
                camera.refuse(faults[name])
                self._complaints.add(name, faults[name])
            elif name in frame_set.frames and camera.reason:
                camera.reason = ""
                self._complaints.clear(name)
        if not frame_set.frames:
            self._publish_status(self._nothing(job.closed.stamp, dict(frame_set.missing)), 0.0)
            return
        result = self._pipeline.process(
            frame_set, rig,
            clouds=self._publishers.wants_clouds, occupancy=self._publishers.wants_occupancy,
        )  # fmt: skip
        result = replace(result, missing={**result.missing, **self._absent})
        self._processed += 1
        self._incomplete += bool(result.missing)
        self._publishers.publish(result, self._counters(), 0.0)
        latency = time.monotonic() - job.at
        self._latencies.add(latency)
        self._warned = ""
        self._publish_status(result, latency)

    def _failed(self, error: Exception) -> None:
        where = "".join(traceback.format_tb(error.__traceback__)[-1:]).strip()
        self._complaints.add("(all)", f"frame set lost: {type(error).__name__}: {error} ({where})")

    def _nothing(self, stamp: int, missing: dict[str, str]) -> SurroundResult:
        """A result without any camera, for the status."""
        return SurroundResult(
            stamp, {}, {**missing, **self._absent}, self._parameters.base_frame,
            self._pipeline.ground, None, None, None,
            self._parameters.estimator, self._pipeline.provider,
        )  # fmt: skip

    def _publish_status(self, result: SurroundResult, latency: float) -> None:
        self._status_at = time.monotonic()
        inputs = self._inputs
        latest = {name: camera.stamp for name, camera in inputs.items() if camera.stamp}
        order = self._parameters.cameras or list(inputs)
        self._publishers.publish_status(result, self._counters(), order, latest, latency)

    def _counters(self) -> Counters:
        return Counters(self._processed, self._worker.dropped, self._incomplete)

    def _report(self) -> None:
        """Publish diagnostics; without results also the status, and after a while a warning."""
        idle = not self._publishers.wanted
        quiet = min(self._latencies.silence, time.monotonic() - self._started)
        busy = self._worker.busy
        problem = "" if idle or busy or quiet < SILENCE_S else self._missing_thing()
        self._diagnostics.publish(
            self._inputs.values(), self._absent, self._latencies, self._counters(),
            self._pipeline.provider, idle, problem,
        )  # fmt: skip
        kind = re.sub(r"\d+", "#", problem)  # the same problem with another age is the same
        if problem and kind != self._warned:
            self._warned = kind
            self._log.warning(f"no output for {SILENCE_S:.0f} s: {problem}")
        if not busy and time.monotonic() - self._status_at > REPORT_PERIOD_S:
            missing = {name: camera.absence() for name, camera in self._inputs.items()}
            self._publish_status(self._nothing(self._now().ros, missing), 0.0)

    def _missing_thing(self) -> str:
        """Name the first thing on the way from topics to results that is not there."""
        if not self._inputs:
            if self._absent:
                name, reason = next(iter(self._absent.items()))
                return f"camera {name}: {reason}. Fix: start it, or correct the parameter"
            return why_no_cameras(self.node, self._parameters)
        clock = self.node.get_clock()
        if getattr(clock, "ros_time_is_active", False) and clock.now().nanoseconds == 0:
            return "use_sim_time is true and /clock is silent. Fix: play the bag with --clock"
        name, camera = next(iter(self._inputs.items()))
        others = f" (and {len(self._inputs) - 1} more cameras)" if len(self._inputs) > 1 else ""
        return f"camera {name}{others}: {camera.absence()}"


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM."""
    return process.run("surround_depth", SurroundDepth, sys.argv[1:] if args is None else args)


if __name__ == "__main__":
    sys.exit(main())
