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

"""Node ``surround_depth``: images of all cameras in; depth, clouds, map and status out.

A lifecycle node: configure loads and warms up, activate subscribes. Callbacks store, one worker
thread computes and publishes. See docs/nodes.md for topics, services and transitions.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType
from std_srvs.srv import SetBool

from depth_perception.frames.ingest import Ingest
from depth_perception.frames.publication import Demand, vehicle_topics
from depth_perception.parameters import Parameters
from depth_perception.ros import process
from depth_perception.ros.approximate_time import approximate_time_assembler
from depth_perception.ros.dds_profile import transport_warning
from depth_perception.ros.debug_log import debug_of
from depth_perception.ros.diagnostics import Diagnostics, State, why_no_output
from depth_perception.ros.discovery import discover, resolved
from depth_perception.ros.inputs import CameraSubscriptions, now_of
from depth_perception.ros.lifecycle import ManagedNode
from depth_perception.ros.listening import IDLE, IdleNotice
from depth_perception.ros.odometry import OdometrySubscription, odometry_of, why_images
from depth_perception.ros.parameters import NodeParameters
from depth_perception.ros.processing import Processor
from depth_perception.ros.range_points import RangeSubscription
from depth_perception.ros.saving import FrameSetSaver
from depth_perception.ros.sim_time import contested_clock, is_simulated
from depth_perception.ros.throttled_log import ThrottledLog
from depth_perception.ros.topic_names import TopicNames
from depth_perception.ros.transforms import TransformSubscriptions

DISCOVERY_PERIOD_S = 1.0
DEMAND_PERIOD_S = 0.1
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

    def __init__(self, arguments: Sequence[str] = (), **node_options: Any) -> None:
        """Declare parameters and services; with ``autostart``, configure and activate.

        Args:
            arguments: Command line that rclpy was initialised with; its remapping rules hold.
            node_options: Of `rclpy.node.Node`, e.g. ``namespace``.

        Raises:
            DepthPerceptionError: With ``autostart``: a parameter, or a file that it names, is
                impossible.
        """
        self.node = ManagedNode("surround_depth", self, **node_options)
        self.finished = threading.Event()
        self.exit_code = 0
        self._names = TopicNames(self.node, [*arguments, *(node_options.get("cli_args") or ())])
        try:
            self._begin()
        except BaseException:
            self.node.destroy_node()
            raise

    def _begin(self) -> None:
        self._log, self._debug = self.node.get_logger(), debug_of(self.node)
        self._node_parameters = NodeParameters(self.node, self._on_parameters)
        self._parameters = Parameters()
        self._throttled = ThrottledLog(self._log.warning)
        self._diagnostics = Diagnostics(self.node)
        self._transforms: TransformSubscriptions | None = None
        self._ingest: Ingest | None = None
        self._odometry: OdometrySubscription | None = None
        self._range: RangeSubscription | None = None
        self._processor: Processor | None = None
        self._subscriptions: dict[str, CameraSubscriptions] = {}
        self._enabled = True
        self._idle: IdleNotice
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
        self._saver = FrameSetSaver(self.node, self._saving)
        if self._node_parameters.autostart:
            self.node.start()

    def configure(self) -> None:
        """Read the parameters, load what they name, warm up, and advertise."""
        parameters = resolved(self._names, self._node_parameters.read())
        warning = transport_warning()
        if warning:
            self._log.warning(warning)
        once = "; the first time this takes a minute" if parameters.motion.enabled else ""
        self._log.info(f"loading and warming up estimator {parameters.estimator}{once}")
        begin = time.monotonic()
        self._ingest = self._new_ingest(parameters)
        self._processor = Processor(
            self.node,
            parameters,
            self._ingest,
            self._throttled,
            self._log.warning,
            self._debug,
            self._log.info,
        )
        assert self._transforms is not None
        self._odometry = odometry_of(
            self.node, parameters, self._transforms, self._processor.pipeline, self._throttled.add
        )
        self._processor.motion_log.why_images = partial(
            why_images, self.node, parameters, self._transforms
        )
        self._range = RangeSubscription(
            self.node,
            parameters,
            self._transforms.rig.mounting,
            self._processor.pipeline,
            self._throttled.add,
        )
        self._parameters = parameters
        points = self.node.resolve_topic_name(vehicle_topics()["points"][0])
        self._idle = IdleNotice(points, self._log.warning, self._log.info)
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
        self._transforms = TransformSubscriptions(
            self.node, parameters, self._throttled.add, self._debug
        )
        approximate = partial(approximate_time_assembler, debug=self._debug)
        return Ingest(
            parameters,
            self._transforms.rig,
            assembler=approximate if by_message_filters else None,
            problem=self._throttled.add,
            recovered=self._throttled.clear,
            debug=self._debug,
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
        for subscriptions in list(self._subscriptions.values()):
            subscriptions.close()
        self._subscriptions.clear()
        if self._range is not None:
            self._range.close()
        self._saver.give_up()
        if self._ingest is not None:
            self._ingest.set_cameras([])
        if self._processor is not None:
            self._processor.stop()

    def release(self) -> None:
        """Give back everything, from whatever state."""
        self.deactivate()
        for item in (self._odometry, self._range, self._processor, self._ingest, self._transforms):
            if item is not None:
                item.close()
        self._odometry = self._range = None
        self._processor = self._ingest = self._transforms = None
        self._node_parameters.unlock()

    def close(self) -> None:
        """End the work; the node itself is destroyed by whoever spins it."""
        self.release()

    def _on_parameters(self, parameters: Parameters) -> None:
        """Take live parameters that were changed."""
        parameters = resolved(self._names, parameters)
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
        found, absent = discover(self._names, self._parameters)
        known = {name: feed.topics for name, feed in ingest.cameras.items()}
        absent = {name: reason for name, reason in absent.items() if name not in known}
        added = {name: topics for name, topics in found.items() if name not in known}
        order = self._parameters.cameras or sorted({*known, *added})
        topics = [(added | known)[name] for name in order if name in (added | known)]
        awake = [name for name, feed in ingest.cameras.items() if feed.asked_for]
        processor.put(ingest.set_cameras(topics, absent, awake))
        if self._transforms is not None:
            self._transforms.follow(feed.topics.image for feed in ingest.cameras.values())
        processor.publishers.set_cameras(list(ingest.cameras))
        for name, item in added.items():
            self._subscriptions[name] = CameraSubscriptions(
                self._names,
                ingest,
                name,
                self._parameters.qos,
                processor.put,
                self._throttled.add,
                self._debug,
            )
            self._log.info(f"camera {name}: {item.image}, {item.info}")
            if item.note:
                self._log.warning(f"camera {name}: {item.note}")
        self._follow_demand()

    def _follow_demand(self) -> None:
        """Subscribe to the images that somebody needs, and to no others."""
        processor, ingest = self._processor, self._ingest
        if processor is None or ingest is None:
            return
        names = list(ingest.cameras)
        self._saver.offer(processor.latest, names)
        demand = processor.publishers.demand(names) if self._enabled else Demand()
        if demand != processor.demand:
            processor.demand = demand
            self._debug("demand: {}".format, demand)
        if self._enabled:
            self._idle.update(bool(names), bool(processor.demand.cameras))
        if self._range is not None:
            active = self.node.state in ("active", "activating")
            self._range.follow(active and bool(processor.demand.cameras))
        wanted = tuple(names) if self._saver.waiting else processor.demand.cameras
        if not wanted:
            processor.latest = None  # it would soon be an old one
        topics = [feed.topics for feed in ingest.cameras.values()]
        processor.put(ingest.set_cameras(topics, ingest.absent, wanted))
        for subscriptions in list(self._subscriptions.values()):
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
        elif ingest.cameras and not processor.publishers.heard:
            pause = IDLE
        else:
            quiet = min(processor.latencies.silence, time.monotonic() - self._since)
            problem = "" if quiet < SILENCE_S or processor.busy else self._why_no_output()
        if pause:
            self._since = time.monotonic()  # no output is due before it ends
        simulated = is_simulated(self.node)
        if simulated and (contest := contested_clock(self.node)):
            self._throttled.add("", contest)
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
                motion=None if pause else processor.motion,
                mountings=processor.pipeline.mountings.told(),
                pause=pause,
                problem=problem,
                unserved=processor.publishers.unserved(),
                live=not simulated,
            )
        )
        kind = re.sub(r"\d+", "#", problem)  # the same problem with another age is the same
        if problem and kind != self._warned:
            self._log.warning(f"no output for {SILENCE_S:.0f} s: {problem}")
        self._warned = kind
        idle = not processor.busy and time.monotonic() - processor.status_at > REPORT_PERIOD_S
        if active and idle:
            missing = {name: ingest.absence(name) for name in ingest.cameras}
            if not self._enabled:
                missing = dict.fromkeys(missing, pause)
            stamp = self.node.get_clock().now().nanoseconds
            processor.publish_idle(stamp, {**missing, **ingest.absent})

    def _why_no_output(self) -> str:
        assert self._processor is not None and self._ingest is not None
        fault = self._processor.fault
        return why_no_output(self._names, self._parameters, self._ingest, fault, SILENCE_S)

    def _set_enabled(self, request: Any, response: Any) -> Any:
        self._enabled = bool(request.data)
        self._follow_demand()
        response.success = True
        response.message = "frame sets are " + ("computed" if self._enabled else "left out")
        self._log.info(f"set_enabled: {response.message}")
        return response

    def _saving(self) -> tuple[Ingest, str] | None:
        """What the saver needs, while there is something to save."""
        if self._ingest is None or self.node.state != "active":
            return None
        return self._ingest, self._parameters.monitor.save_folder


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM."""
    given = sys.argv[1:] if args is None else args
    return process.run("surround_depth", lambda: SurroundDepth(given), given)


if __name__ == "__main__":
    sys.exit(main())
