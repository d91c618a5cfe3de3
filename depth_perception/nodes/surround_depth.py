"""Node ``surround_depth``: images of all cameras in; depth, clouds, map and status out.

A lifecycle node: configure loads and warms up, activate subscribes. Callbacks store, one worker
thread computes and publishes. See docs/nodes.md for topics, services and transitions.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from depth_perception.errors import ConfigurationError, DepthPerceptionError
from depth_perception.frames.assembler import AssembledSet, Now
from depth_perception.frames.publication import Counters
from depth_perception.parameters import Parameters
from depth_perception.ros import process
from depth_perception.ros.assembly import Arrival, FrameSetCollector
from depth_perception.ros.dds_profile import transport_warning
from depth_perception.ros.diagnostics import Diagnostics, Latencies, State
from depth_perception.ros.discovery import discover, resolved, why_no_cameras
from depth_perception.ros.inputs import CameraInput, CameraSubscriptions, Complaints
from depth_perception.ros.lifecycle import ManagedNode
from depth_perception.ros.parameters import NodeParameters
from depth_perception.ros.processing import Job, Processor
from depth_perception.ros.saving import default_folder, save_frame_set
from depth_perception.ros.transforms import make_extrinsics

LOOK_PERIOD_S = 1.0
EXPIRE_PERIOD_S = 0.02
REPORT_PERIOD_S = 1.0
SILENCE_S = 5.0


class SurroundDepth:
    """The application: a lifecycle node, what it takes in, and what it computes with.

    Attributes:
        node: The ROS node.
        finished: Never set: the node runs until a signal comes.
        exit_code: 0.
    """

    def __init__(self, **node_options: Any) -> None:
        """Declare parameters and services; with ``autostart``, configure and activate.

        Args:
            node_options: Of `rclpy.node.Node`, e.g. ``namespace``.

        Raises:
            DepthPerceptionError: With ``autostart``: a parameter, or a file that it names, is
                impossible.
        """
        self.node = ManagedNode("surround_depth", self, **node_options)
        self.finished = threading.Event()
        self.exit_code = 0
        try:
            self._begin()
        except BaseException:
            self.node.destroy_node()
            raise

    def _begin(self) -> None:
        self._log = self.node.get_logger()
        self._node_parameters = NodeParameters(self.node, self._on_parameters)
        self._parameters = Parameters()
        self._extrinsics = make_extrinsics(self.node, self._log.warning)
        self._complaints = Complaints(self._log.warning)
        self._diagnostics = Diagnostics(self.node)
        self._processor: Processor | None = None
        self._collector: FrameSetCollector | None = None
        self._inputs: dict[str, CameraInput] = {}
        self._absent: dict[str, str] = {}
        self._subscriptions: list[CameraSubscriptions] = []
        self._latest: AssembledSet[Arrival] | None = None
        self._enabled = True
        self._since = time.monotonic()
        self._warned = ""
        # Timers by the steady clock: they also run where simulated time stands still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        for period, callback in (
            (LOOK_PERIOD_S, self._look),
            (EXPIRE_PERIOD_S, self._expire),
            (REPORT_PERIOD_S, self._report),
        ):
            self.node.create_timer(period, callback, clock=steady)
        self.node.create_service(SetBool, "~/set_enabled", self._set_enabled)
        self.node.create_service(Trigger, "~/save_frame_set", self._save_frame_set)
        if self._node_parameters.autostart:
            self.node.start()

    def configure(self) -> None:
        """Read the parameters, load what they name, warm up, and advertise."""
        parameters = resolved(self.node, self._node_parameters.read())
        warning = transport_warning()
        if warning:
            self._log.warning(warning)
        self._log.info(f"loading and warming up estimator {parameters.estimator}")
        begin = time.monotonic()
        with_labels = bool(parameters.segmentation.labels_topic)
        self._collector = FrameSetCollector(parameters.sync, with_labels)
        self._processor = Processor(
            self.node, parameters, self._extrinsics, self._log.warning, self._complaints
        )
        self._parameters = parameters
        model = f", model {self._processor.model}" if self._processor.model else ""
        self._log.info(
            f"estimator {parameters.estimator} on {self._processor.provider}{model}, base frame"
            f" {parameters.base_frame}, ready after {time.monotonic() - begin:.1f} s"
        )

    def activate(self) -> None:
        """Look for cameras, subscribe, and compute."""
        assert self._processor is not None
        self._processor.start()
        self._since = time.monotonic()
        self._warned = ""
        self._take_in()

    def deactivate(self) -> None:
        """Unsubscribe; the frame set at hand is still published."""
        for subscriptions in self._subscriptions:
            subscriptions.close()
        self._subscriptions.clear()
        self._inputs, self._absent = {}, {}
        self._latest = None
        if self._collector is not None:
            self._collector.set_cameras([])
        if self._processor is not None:
            self._processor.stop()

    def release(self) -> None:
        """Give back everything, from whatever state."""
        self.deactivate()
        processor, self._processor, self._collector = self._processor, None, None
        if processor is not None:
            processor.close()
        self._node_parameters.unlock()

    def close(self) -> None:
        """End the work; the node itself is destroyed by whoever spins it."""
        self.release()
        self._extrinsics.close()

    def _on_parameters(self, parameters: Parameters) -> None:
        """Take live parameters that were changed."""
        parameters = resolved(self.node, parameters)
        before, self._parameters = self._parameters, parameters
        if self._collector is not None and parameters.sync != before.sync:
            self._queue(self._collector.set_sync(parameters.sync))
        if self._processor is not None:
            self._processor.set_parameters(parameters)

    def _now(self) -> Now:
        steady = time.monotonic_ns()
        clock = self.node.get_clock()
        # Simulated time counts where it is in use. The computer's own clock may be set any moment,
        # which is no reason to close a frame set.
        simulated = getattr(clock, "ros_time_is_active", False)
        return Now(clock.now().nanoseconds if simulated else steady, steady)

    def _look(self) -> None:
        if self.node.state == "active":
            self._take_in()

    def _take_in(self) -> None:
        """Subscribe to cameras that are new; named ones, or all there are."""
        for subscriptions in self._subscriptions:
            subscriptions.look_for_labels()
        if self._parameters.cameras and len(self._inputs) == len(self._parameters.cameras):
            return
        try:
            found, self._absent = discover(self.node, self._parameters)
        except ConfigurationError as error:
            self._complaints.add("", str(error))
            return
        added = [topics for name, topics in found.items() if name not in self._inputs]
        processor, collector = self._processor, self._collector
        if not added or processor is None or collector is None:
            return
        inputs = {**self._inputs, **{topics.name: CameraInput(topics) for topics in added}}
        order = self._parameters.cameras or sorted(inputs)
        self._inputs = {name: inputs[name] for name in order if name in inputs}
        processor.set_cameras(list(self._inputs))
        self._queue(collector.set_cameras(list(self._inputs)))
        for topics in added:
            made = CameraSubscriptions(
                self.node,
                self._inputs[topics.name],
                self._parameters.qos,
                self._on_image,
                self._on_info,
                self._on_labels,
                self._complaints.add,
            )
            self._subscriptions.append(made)
            self._log.info(f"camera {topics.name}: {topics.image}, {topics.info}")

    def _on_image(self, name: str, stamp: int, message: Any) -> None:
        if self._collector is not None:
            self._queue(self._collector.add_image(name, stamp, message, self._now()))

    def _on_info(self, name: str) -> None:
        if self._collector is not None:
            self._queue(self._collector.add_calibration(name, self._now()))

    def _on_labels(self, name: str, stamp: int, message: Any) -> None:
        if self._collector is not None:
            self._queue(self._collector.add_labels(name, stamp, message))

    def _expire(self) -> None:
        if self._collector is not None:
            self._queue(self._collector.expire(self._now()))

    def _queue(self, closed: list[AssembledSet[Arrival]]) -> None:
        if self._processor is None or not closed:
            return
        self._latest = closed[-1]
        if self._enabled:
            for item in closed:
                self._processor.put(Job(item, self._inputs, self._absent, time.monotonic()))

    def _report(self) -> None:
        """Publish diagnostics; without results also the status, and after a while a warning."""
        processor, state = self._processor, self.node.state
        active = state == "active" and processor is not None
        pause = "" if active else f"{state}: nothing is taken in"
        problem = ""
        if active and processor is not None:
            if not self._enabled:
                pause = "disabled by the service set_enabled"
            elif not processor.wanted:
                pause = "idle: nobody listens"
            else:
                quiet = min(processor.latencies.silence, time.monotonic() - self._since)
                problem = "" if quiet < SILENCE_S or processor.busy else self._missing_thing()
        simulated = getattr(self.node.get_clock(), "ros_time_is_active", False)
        collector = self._collector
        self._diagnostics.publish(
            State(
                lifecycle=state,
                inputs=list(self._inputs.values()),
                absent=self._absent,
                dropped=collector.dropped if collector else lambda name: Counter(),
                doubts=collector.doubts if collector else {},
                latencies=processor.latencies if processor else Latencies(),
                budget=self._parameters.monitor.latency_budget,
                counts=processor.counters if processor else Counters(),
                jumps=collector.jumps if collector else 0,
                provider=processor.provider if processor else "",
                model=processor.model if processor else "",
                ground=processor.ground if processor else None,
                pause=pause,
                problem=problem,
                live=not simulated,
            )
        )
        kind = re.sub(r"\d+", "#", problem)  # the same problem with another age is the same
        if problem and kind != self._warned:
            self._log.warning(f"no output for {SILENCE_S:.0f} s: {problem}")
        self._warned = kind
        if (
            active
            and processor is not None
            and not processor.busy
            and time.monotonic() - processor.status_at > REPORT_PERIOD_S
        ):
            missing = {name: self._absence(camera) for name, camera in self._inputs.items()}
            if not self._enabled:
                missing = dict.fromkeys(missing, pause)
            stamp = self.node.get_clock().now().nanoseconds
            processor.publish_idle(stamp, self._inputs, {**missing, **self._absent})

    def _absence(self, camera: CameraInput) -> str:
        doubt = self._collector.doubts.get(camera.topics.name) if self._collector else None
        return f"{camera.topics.image}: {doubt}" if doubt else camera.absence()

    def _missing_thing(self) -> str:
        """Name the first thing on the way from topics to results that is not there."""
        assert self._processor is not None
        if not self._inputs:
            if self._absent:
                name, reason = next(iter(self._absent.items()))
                return f"camera {name}: {reason}. Fix: start it, or correct the parameter"
            return why_no_cameras(self.node, self._parameters)
        clock = self.node.get_clock()
        if getattr(clock, "ros_time_is_active", False) and clock.now().nanoseconds == 0:
            return "use_sim_time is true and /clock is silent. Fix: play the bag with --clock"
        cameras = list(self._inputs.values())
        silent = [c for c in cameras if c.received == 0 or c.silence > SILENCE_S or not c.info]
        if not silent and self._processor.fault:
            return self._processor.fault
        camera = (silent or [c for c in cameras if c.reason] or cameras)[0]
        others = f" (and {len(silent) - 1} more cameras)" if len(silent) > 1 else ""
        return f"camera {camera.topics.name}{others}: {self._absence(camera)}"

    def _set_enabled(self, request: Any, response: Any) -> Any:
        self._enabled = bool(request.data)
        response.success = True
        response.message = "frame sets are " + ("computed" if self._enabled else "left out")
        self._log.info(f"set_enabled: {response.message}")
        return response

    async def _save_frame_set(self, request: Any, response: Any) -> Any:
        latest = self._latest
        if latest is None:
            response.message = "no frame set has come yet. Fix: activate the node, start cameras"
            return response
        folder = self._parameters.monitor.save_folder
        inputs, base_frame = dict(self._inputs), self._parameters.base_frame
        done: Future = Future()

        def save() -> None:
            try:
                path = save_frame_set(
                    latest,
                    inputs,
                    self._extrinsics,
                    base_frame,
                    Path(folder) if folder else default_folder(),
                )
                done.set_result((True, str(path)))
            except DepthPerceptionError as error:
                done.set_result((False, str(error)))
            except Exception as error:  # the one who asked is to hear of it
                done.set_result((False, f"{type(error).__name__}: {error}"))

        # A slow disk must not hold up the images.
        threading.Thread(target=save, name="save frame set", daemon=True).start()
        response.success, response.message = await done
        return response


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM."""
    return process.run("surround_depth", SurroundDepth, sys.argv[1:] if args is None else args)


if __name__ == "__main__":
    sys.exit(main())
