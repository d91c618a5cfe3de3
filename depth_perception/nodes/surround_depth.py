"""Node ``surround_depth``: images of all cameras in; depth, clouds, map and status out.

A lifecycle node: configure loads and warms up, activate subscribes. Callbacks store, one worker
thread computes and publishes. See docs/nodes.md for topics, services and transitions.
"""

from __future__ import annotations

import math
import re
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from depth_perception.errors import ConfigurationError, DepthPerceptionError
from depth_perception.frames.ingest import Ingest, MessageSet
from depth_perception.frames.publication import Demand
from depth_perception.parameters import Parameters
from depth_perception.rig.tracker import RigTracker
from depth_perception.ros import process
from depth_perception.ros.approximate_time import approximate_time_assembler
from depth_perception.ros.dds_profile import transport_warning
from depth_perception.ros.diagnostics import Diagnostics, State
from depth_perception.ros.discovery import discover, resolved, why_no_cameras
from depth_perception.ros.inputs import CameraSubscriptions, now_of
from depth_perception.ros.lifecycle import ManagedNode
from depth_perception.ros.parameters import NodeParameters
from depth_perception.ros.processing import Processor
from depth_perception.ros.saving import default_folder, save_frame_set
from depth_perception.ros.throttled_log import ThrottledLog
from depth_perception.ros.transforms import Tf2Extrinsics, TransformSubscriptions, tf2_extrinsics

DISCOVERY_PERIOD_S = 1.0
DEMAND_PERIOD_S = 0.1
EXPIRE_PERIOD_S = 0.02
REPORT_PERIOD_S = 1.0
SILENCE_S = 5.0
SAVE_TIMEOUT_S = 5.0
SAVE_COMPLETE_S = 3.0
"""A frame set to save is waited for so long before one will do that cameras are missing from."""


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
        self._throttled = ThrottledLog(self._log.warning)
        self._diagnostics = Diagnostics(self.node)
        self._transforms: Tf2Extrinsics | TransformSubscriptions | None = None
        self._ingest: Ingest | None = None
        self._processor: Processor | None = None
        self._subscriptions: dict[str, CameraSubscriptions] = {}
        self._enabled = True
        self._to_save: Future | None = None
        self._save_asked = math.inf
        self._since = time.monotonic()
        self._warned = ""
        # Timers by the steady clock: they also run where simulated time stands still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        for period, callback in (
            (DISCOVERY_PERIOD_S, self._discover),
            (DEMAND_PERIOD_S, self._follow_demand),
            (EXPIRE_PERIOD_S, self._expire),
            (REPORT_PERIOD_S, self._report),
        ):
            self.node.create_timer(period, callback, clock=steady)
        self.node.create_service(SetBool, "~/set_enabled", self._set_enabled)
        # It waits for a frame set, which the callbacks of the node's own group bring.
        alone = MutuallyExclusiveCallbackGroup()
        self.node.create_service(
            Trigger, "~/save_frame_set", self._save_frame_set, callback_group=alone
        )
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
        self._ingest = self._new_ingest(parameters)
        self._processor = Processor(
            self.node, parameters, self._ingest, self._throttled, self._log.warning
        )
        self._parameters = parameters
        estimator = self._processor.pipeline.estimator
        model = f", model {estimator.model}" if estimator.model else ""
        self._log.info(
            f"estimator {parameters.estimator} on {estimator.provider}{model}, base frame"
            f" {parameters.base_frame}, ready after {time.monotonic() - begin:.1f} s"
        )

    def _new_ingest(self, parameters: Parameters) -> Ingest:
        """Make what takes the messages, and listen to transforms."""
        by_message_filters = parameters.sync.policy == "approximate_time"
        if by_message_filters:
            approximate_time_assembler(["any"], parameters.sync)  # is it there at all?
        extrinsics = tf2_extrinsics(self.node)
        rig = RigTracker(parameters, extrinsics, self._throttled.add)
        self._transforms = extrinsics or TransformSubscriptions(self.node, rig)
        return Ingest(
            parameters,
            rig,
            assembler=approximate_time_assembler if by_message_filters else None,
            problem=self._throttled.add,
            recovered=self._throttled.clear,
        )

    def activate(self) -> None:
        """Look for cameras, subscribe, and compute."""
        assert self._processor is not None
        self._processor.start()
        self._since = time.monotonic()
        self._warned = ""
        self._discover()

    def deactivate(self) -> None:
        """Unsubscribe; the frame set at hand is still published."""
        for subscriptions in self._subscriptions.values():
            subscriptions.close()
        self._subscriptions.clear()
        self._finish_saving(None)
        if self._ingest is not None:
            self._ingest.set_cameras([])
        if self._processor is not None:
            self._processor.stop()

    def release(self) -> None:
        """Give back everything, from whatever state."""
        self.deactivate()
        for item in (self._processor, self._ingest, self._transforms):
            if item is not None:
                item.close()
        self._processor = self._ingest = self._transforms = None
        self._node_parameters.unlock()

    def close(self) -> None:
        """End the work; the node itself is destroyed by whoever spins it."""
        self.release()

    def _on_parameters(self, parameters: Parameters) -> None:
        """Take live parameters that were changed."""
        parameters = resolved(self.node, parameters)
        self._parameters = parameters
        if self._processor is not None and self._ingest is not None:
            self._processor.put(self._ingest.set_parameters(parameters))
            self._processor.set_parameters(parameters)

    def _discover(self) -> None:
        """Take up cameras that are new; named ones, or all there are."""
        processor, ingest = self._processor, self._ingest
        if self.node.state not in ("active", "activating") or processor is None or ingest is None:
            return
        if self._parameters.cameras and len(ingest.cameras) == len(self._parameters.cameras):
            return
        try:
            found, absent = discover(self.node, self._parameters)
        except ConfigurationError as error:
            self._throttled.add("", str(error))
            return
        known = {name: feed.topics for name, feed in ingest.cameras.items()}
        added = {name: topics for name, topics in found.items() if name not in known}
        order = self._parameters.cameras or sorted({*known, *added})
        topics = [(added | known)[name] for name in order if name in (added | known)]
        awake = [name for name, feed in ingest.cameras.items() if feed.asked_for]
        processor.put(ingest.set_cameras(topics, absent, awake))
        processor.publishers.set_cameras(list(ingest.cameras))
        for name, item in added.items():
            self._subscriptions[name] = CameraSubscriptions(
                self.node, ingest, name, self._parameters.qos, processor.put, self._throttled.add
            )
            self._log.info(f"camera {name}: {item.image}, {item.info}")
        self._follow_demand()

    def _follow_demand(self) -> None:
        """Subscribe to the images that somebody needs, and to no others."""
        processor, ingest = self._processor, self._ingest
        if processor is None or ingest is None:
            return
        names = list(ingest.cameras)
        latest = processor.latest
        waited = time.monotonic() - self._save_asked
        if waited > SAVE_TIMEOUT_S or _will_do(latest, names, waited):
            self._finish_saving(latest)
        processor.demand = processor.publishers.demand(names) if self._enabled else Demand()
        wanted = processor.demand.cameras if self._to_save is None else tuple(names)
        if not wanted:
            processor.latest = None  # it would soon be an old one
        topics = [feed.topics for feed in ingest.cameras.values()]
        processor.put(ingest.set_cameras(topics, ingest.absent, wanted))
        for subscriptions in self._subscriptions.values():
            subscriptions.follow_demand()

    def _expire(self) -> None:
        if self._processor is not None and self._ingest is not None:
            self._processor.put(self._ingest.expire(now_of(self.node)))

    def _report(self) -> None:
        """Publish diagnostics; without results also the status, and after a while a warning."""
        processor, ingest, state = self._processor, self._ingest, self.node.state
        if processor is None or ingest is None:
            self._diagnostics.publish(State(lifecycle=state, pause=f"{state}: nothing is taken in"))
            return
        active = state == "active"
        pause = problem = ""
        if not active:
            pause = f"{state}: nothing is taken in"
        elif not self._enabled:
            pause = "disabled by the service set_enabled"
        elif not processor.publishers.heard:
            pause = "idle: nobody listens, so no images are subscribed to"
        else:
            quiet = min(processor.latencies.silence, time.monotonic() - self._since)
            problem = "" if quiet < SILENCE_S or processor.busy else self._missing_thing()
        if pause:
            self._since = time.monotonic()  # no output is due before it ends
        simulated = getattr(self.node.get_clock(), "ros_time_is_active", False)
        estimator = processor.pipeline.estimator
        self._diagnostics.publish(
            State(
                lifecycle=state,
                inputs=list(ingest.cameras.values()),
                absent=ingest.absent,
                dropped=ingest.dropped,
                stamp_faults=ingest.stamp_faults,
                latencies=processor.latencies,
                budget=self._parameters.monitor.latency_budget,
                counts=processor.counters,
                jumps=ingest.jumps,
                provider=estimator.provider,
                model=estimator.model,
                ground=processor.pipeline.ground,
                pause=pause,
                problem=problem,
                live=not simulated,
            )
        )
        kind = re.sub(r"\d+", "#", problem)  # the same problem with another age is the same
        if problem and kind != self._warned:
            self._log.warning(f"no output for {SILENCE_S:.0f} s: {problem}")
        self._warned = kind
        idle = not processor.busy and time.monotonic() - processor.status_at > REPORT_PERIOD_S
        if active and idle:
            missing = {name: self._absence(name) for name in ingest.cameras}
            if not self._enabled:
                missing = dict.fromkeys(missing, pause)
            stamp = self.node.get_clock().now().nanoseconds
            processor.publish_idle(stamp, {**missing, **ingest.absent})

    def _absence(self, name: str) -> str:
        assert self._ingest is not None
        feed, fault = self._ingest.cameras[name], self._ingest.stamp_faults.get(name)
        return f"{feed.topics.image}: {fault}" if fault else feed.absence()

    def _missing_thing(self) -> str:
        """Name the first thing on the way from topics to results that is not there."""
        assert self._processor is not None and self._ingest is not None
        ingest = self._ingest
        if not ingest.cameras:
            if ingest.absent:
                name, reason = next(iter(ingest.absent.items()))
                return f"camera {name}: {reason}. Fix: start it, or correct the parameter"
            return why_no_cameras(self.node, self._parameters)
        clock = self.node.get_clock()
        if getattr(clock, "ros_time_is_active", False) and clock.now().nanoseconds == 0:
            return "use_sim_time is true and /clock is silent. Fix: play the bag with --clock"
        feeds = {name: feed for name, feed in ingest.cameras.items() if feed.asked_for}
        silent = [
            name
            for name, feed in feeds.items()
            if feed.received == 0 or feed.silence > SILENCE_S or not feed.info
        ]
        if not silent and self._processor.fault:
            return self._processor.fault
        refused = [name for name, feed in feeds.items() if feed.reason]
        name = next(iter([*silent, *refused, *feeds]))
        others = f" (and {len(silent) - 1} more cameras)" if len(silent) > 1 else ""
        return f"camera {name}{others}: {self._absence(name)}"

    def _set_enabled(self, request: Any, response: Any) -> Any:
        self._enabled = bool(request.data)
        self._follow_demand()
        response.success = True
        response.message = "frame sets are " + ("computed" if self._enabled else "left out")
        self._log.info(f"set_enabled: {response.message}")
        return response

    async def _save_frame_set(self, request: Any, response: Any) -> Any:
        """Save a frame set of all cameras, also of those that nobody listens to."""
        ingest, latest = self._ingest, None
        if self.node.state == "active":
            self._to_save = Future()
            self._save_asked = time.monotonic()
            latest = await self._to_save
        if latest is None or ingest is None:
            response.message = "no frame set has come yet. Fix: activate the node, start cameras"
            return response
        folder = self._parameters.monitor.save_folder
        cameras = {name: feed.topics for name, feed in ingest.cameras.items()}
        done: Future = Future()

        def save() -> None:
            try:
                path = save_frame_set(
                    latest, cameras, ingest.rig, Path(folder) if folder else default_folder()
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

    def _finish_saving(self, latest: MessageSet | None) -> None:
        """Give the frame set to whoever waits to save one."""
        waiting, self._to_save, self._save_asked = self._to_save, None, math.inf
        if waiting is not None:
            waiting.set_result(latest)


def _will_do(latest: MessageSet | None, names: Sequence[str], waited: float) -> bool:
    """Tell whether a frame set is one to save, after so many seconds.

    The first sets lack cameras whose subscriptions are not matched yet; the set to save is to have
    all cameras, unless some do not come.
    """
    if latest is None:
        return False
    absent = set(names) - latest.frames.keys()
    return not absent or (waited > SAVE_COMPLETE_S and absent <= latest.missing.keys())


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM."""
    return process.run("surround_depth", SurroundDepth, sys.argv[1:] if args is None else args)


if __name__ == "__main__":
    sys.exit(main())
