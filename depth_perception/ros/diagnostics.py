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

"""The state of the node on ``/diagnostics``, once a second; names as REP 107 wants them.

And the one sentence that says why nothing comes out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from depth_perception.frames.assembler import DROP_REASONS
from depth_perception.frames.ingest import NOT_ASKED_FOR, CameraFeed, Ingest
from depth_perception.frames.publication import Counters
from depth_perception.frames.surround_result import MotionState
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.parameters import Parameters
from depth_perception.ros.discovery import why_no_cameras
from depth_perception.ros.processing import Latencies
from depth_perception.ros.sim_time import silent_clock
from depth_perception.ros.topic_names import TopicNames

_STALE_S = 5.0
_OLD_S = 10.0


@dataclass(frozen=True)
class State:
    """What one report is made from.

    Attributes:
        lifecycle: State of the node, e.g. ``active``.
        inputs: The cameras that were found.
        absent: Why cameras that were named are not among them.
        dropped: Images of a camera that were left out of frame sets, by reason.
        stamp_faults: What is wrong with the stamps of cameras whose images are left out for it.
        latencies: Of the latest results.
        budget: The latency's 95th percentile that is still well, seconds.
        counts: Frame sets since the start.
        jumps: How often time has jumped.
        provider: What the estimator runs on; empty while the node is not configured.
        model: What network makes the depth; empty without one.
        ground: The plane in use; None while the node is not configured.
        motion: How the vehicle moves; None without ``motion.enabled``, or before the first set.
        mountings: By camera, what the watch over the mountings has found: what is to be warned
            of, empty for nothing, and numbers.
        pause: Why nothing is computed although nothing is wrong; empty otherwise.
        problem: The one thing that keeps the node from results; empty when there is none.
        unserved: Who subscribes to a topic and gets nothing of it, and why.
        live: True when stamps are to be compared with the computer's clock.
    """

    lifecycle: str
    inputs: Sequence[CameraFeed] = ()
    absent: Mapping[str, str] = field(default_factory=dict)
    dropped: Callable[[str], Counter[str]] = lambda camera: Counter()
    stamp_faults: Mapping[str, str] = field(default_factory=dict)
    latencies: Latencies = field(default_factory=Latencies)
    budget: float = 0.0
    counts: Counters = field(default_factory=Counters)
    jumps: int = 0
    provider: str = ""
    model: str = ""
    ground: GroundPlane | None = None
    motion: MotionState | None = None
    mountings: Mapping[str, tuple[str, Mapping[str, str]]] = field(default_factory=dict)
    pause: str = ""
    problem: str = ""
    unserved: Sequence[str] = ()
    live: bool = True


class Diagnostics:
    """Publishes inputs by camera, processing, output, ground and motion."""

    def __init__(self, node: Node) -> None:
        """Advertise ``/diagnostics``."""
        self._node = node
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._gaps: dict[str, int] = {}

    def publish(self, state: State) -> None:
        """Publish one array."""
        statuses = []
        if state.lifecycle == "active":
            statuses += [self._camera(camera, state) for camera in state.inputs]
            statuses += [
                self._status(f"input {name}", DiagnosticStatus.ERROR, reason, {})
                for name, reason in state.absent.items()
            ]
        statuses += [self._processing(state), self._output(state)]
        if state.ground is not None:
            statuses.append(self._ground(state.ground))
        if state.motion is not None:
            statuses.append(self._motion(state.motion))
        for name, (warning, values) in state.mountings.items():
            level = DiagnosticStatus.WARN if warning else DiagnosticStatus.OK
            text = warning or "as calibrated, as far as is known"
            statuses.append(self._status(f"mounting {name}", level, text, dict(values)))
        array = DiagnosticArray(status=statuses)
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)

    def _camera(self, camera: CameraFeed, state: State) -> DiagnosticStatus:
        name = camera.topics.name
        now = self._node.get_clock().now().nanoseconds
        age = (now - camera.stamp) * 1e-9 if camera.stamp else math.nan
        lost, self._gaps[name] = camera.gaps - self._gaps.get(name, camera.gaps), camera.gaps
        level, text = DiagnosticStatus.OK, f"{camera.rate:.1f} Hz"
        if not camera.asked_for:
            disabled = state.pause if state.pause.startswith("disabled") else ""
            text = f"not subscribed to images: {disabled or NOT_ASKED_FOR}"
        elif camera.received == 0 or camera.silence > _STALE_S:
            level, text = DiagnosticStatus.STALE, camera.absence()
            if camera.mismatch:
                level = DiagnosticStatus.ERROR
        elif camera.reason or camera.info is None:
            level, text = DiagnosticStatus.ERROR, camera.absence()
        elif name in state.stamp_faults:
            level, text = (
                DiagnosticStatus.ERROR,
                f"{camera.topics.image}: {state.stamp_faults[name]}",
            )
        elif state.live and not -_OLD_S < age < _OLD_S:
            side = "behind" if age > 0 else "ahead of"
            level = DiagnosticStatus.WARN
            text = (
                f"stamps are {abs(age):.0f} s {side} this computer's clock: synchronize the clocks,"
                " or set use_sim_time when a bag is played"
            )
        elif camera.doubts:
            level, text = DiagnosticStatus.WARN, camera.doubts[0]
        elif lost > 0:
            level, text = DiagnosticStatus.WARN, f"{camera.rate:.1f} Hz, images are lost on the way"
        values = {
            "topic": camera.topics.image,
            "camera_info": camera.topics.info,
            "rate (Hz)": f"{camera.rate:.2f}",
            "age (s)": f"{age:.3f}",
            "received": str(camera.received),
            "refused": str(camera.refused),
            "gaps": str(camera.gaps),
            "QoS": camera.mismatch or "matches",
        }
        for reason, count in state.dropped(name).items():
            values[f"left out, {DROP_REASONS[reason]}"] = str(count)
        return self._status(f"input {name}", level, text, values)

    def _processing(self, state: State) -> DiagnosticStatus:
        latencies, counts = state.latencies, state.counts
        p50, p95 = latencies.percentile(50), latencies.percentile(95)
        values = {"latency p50 (ms)": f"{p50 * 1e3:.1f}", "latency p95 (ms)": f"{p95 * 1e3:.1f}"}
        for stage in latencies.stages:
            for percent in (50, 95):
                seconds = latencies.percentile(percent, stage)
                values[f"{stage} p{percent} (ms)"] = f"{seconds * 1e3:.1f}"
        values |= {
            "latency budget (ms)": f"{state.budget * 1e3:.1f}",
            "provider": state.provider,
            "model": state.model or "none",
            "frame sets processed": str(counts.processed),
            "frame sets dropped": str(counts.dropped),
            "frame sets incomplete": str(counts.incomplete),
            "images computed": str(counts.computed),
            "images carried along": str(counts.carried),
            "effort (%)": f"{100 * counts.effort:.0f}",
            "jumps of time": str(state.jumps),
        }
        level, text = DiagnosticStatus.OK, f"{p50 * 1e3:.0f} ms"
        if not counts.processed:
            text = "nothing processed yet"
        elif p95 > state.budget > 0:
            level = DiagnosticStatus.WARN
            text = f"latency p95 {p95 * 1e3:.0f} ms is above the budget"
        return self._status("processing", level, text, values)

    def _output(self, state: State) -> DiagnosticStatus:
        level, text = DiagnosticStatus.OK, f"{state.latencies.rate:.1f} Hz"
        if state.pause:
            text = state.pause
        elif state.problem:
            level, text = DiagnosticStatus.ERROR, state.problem
        if state.unserved and level == DiagnosticStatus.OK:
            level, text = DiagnosticStatus.WARN, state.unserved[0]
        values = {
            "rate (Hz)": f"{state.latencies.rate:.2f}",
            "lifecycle state": state.lifecycle,
            "QoS": "; ".join(state.unserved) or "matches",
        }
        return self._status("output", level, text, values)

    def _ground(self, ground: GroundPlane) -> DiagnosticStatus:
        values = {
            "source": ground.source,
            "roll (deg)": f"{math.degrees(ground.roll):.3f}",
            "pitch (deg)": f"{math.degrees(ground.pitch):.3f}",
            "height (m)": f"{ground.height:.3f}",
        }
        return self._status("ground", DiagnosticStatus.OK, ground.source, values)

    def _motion(self, motion: MotionState) -> DiagnosticStatus:
        level, text = DiagnosticStatus.OK, motion.source
        if math.isfinite(motion.speed):
            text += f", {motion.speed:.1f} m/s"
        if motion.problem:
            level, text = DiagnosticStatus.WARN, motion.problem
        values = {
            "source": motion.source,
            "speed (m/s)": f"{motion.speed:.2f}",
            "length factor": f"{motion.length_factor:.3f}",
            "length factor deviation": f"{motion.length_factor_sigma:.3f}",
            "odometry": motion.problem or "nothing is wrong",
        }
        return self._status("motion", level, text, values)

    def _status(
        self, task: str, level: bytes, text: str, values: dict[str, str]
    ) -> DiagnosticStatus:
        return DiagnosticStatus(
            level=level,
            name=f"{self._node.get_fully_qualified_name().lstrip('/')}: {task}",
            message=text,
            hardware_id=f"{self._node.get_namespace()}/cameras".lstrip("/"),
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )


def why_no_output(
    names: TopicNames, parameters: Parameters, ingest: Ingest, fault: str, silence: float
) -> str:
    """Name the first thing on the way from topics to results that is not there.

    Args:
        names: Of the node's topics; its graph and clock count.
        parameters: ``cameras`` and the topics hold.
        ingest: What has arrived.
        fault: Why the latest frame set as a whole was lost; empty when it was not.
        silence: A camera without an image for so many seconds is silent.
    """
    if not ingest.cameras:
        if ingest.absent:
            name, reason = next(iter(ingest.absent.items()))
            fix = "" if "Fix:" in reason else ". Fix: start it, or correct the parameter"
            return f"camera {name}: {reason}{fix}"
        return why_no_cameras(names, parameters)
    if clock := silent_clock(names.node):
        return clock
    feeds = {name: feed for name, feed in ingest.cameras.items() if feed.asked_for}
    silent = [
        name
        for name, feed in feeds.items()
        if feed.received == 0 or feed.silence > silence or not feed.info
    ]
    if not silent and fault:
        return fault
    refused = [name for name, feed in feeds.items() if feed.reason]
    name = next(iter([*silent, *refused, *feeds, *ingest.cameras]))
    others = f" (and {len(silent) - 1} more cameras)" if len(silent) > 1 else ""
    return f"camera {name}{others}: {ingest.absence(name)}"
