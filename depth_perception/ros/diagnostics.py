"""The state of the node on ``/diagnostics``, once a second; names as REP 107 wants them."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from depth_perception.frames.assembler import DROP_REASONS
from depth_perception.frames.publication import Counters
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.ros.inputs import CameraInput

_STALE_S = 5.0
_OLD_S = 10.0


class Latencies:
    """The latest processing times by stage, for their percentiles."""

    def __init__(self, kept: int = 200) -> None:
        """Keep that many."""
        self._kept = kept
        self._stages: dict[str, deque[float]] = {}
        self._at: deque[float] = deque(maxlen=kept)

    def add(self, total: float, stages: Mapping[str, float]) -> None:
        """Note one result: seconds in all and by stage."""
        for name, seconds in {**stages, "": total}.items():
            self._stages.setdefault(name, deque(maxlen=self._kept)).append(seconds)
        self._at.append(time.monotonic())

    def percentile(self, percent: float, stage: str = "") -> float:
        """Percentile of a stage, or of all together, in seconds; 0 before the first result."""
        values = list(self._stages.get(stage, ()))
        return float(np.percentile(values, percent)) if values else 0.0

    @property
    def stages(self) -> list[str]:
        """Names of the stages, in the order in which they run."""
        return [name for name in list(self._stages) if name]

    @property
    def rate(self) -> float:
        """Results a second over the last five."""
        now = time.monotonic()
        recent = [at for at in list(self._at) if now - at <= _STALE_S]
        if len(recent) < 2:
            return len(recent) / _STALE_S
        return (len(recent) - 1) / max(recent[-1] - recent[0], 1e-6)

    @property
    def silence(self) -> float:
        """Seconds since the latest result; infinity before the first."""
        return time.monotonic() - self._at[-1] if self._at else float("inf")


@dataclass(frozen=True)
class State:
    """What one report is made from.

    Attributes:
        lifecycle: State of the node, e.g. ``active``.
        inputs: The cameras that are subscribed to.
        absent: Why cameras that were named are not among them.
        dropped: Images of a camera that were left out of frame sets, by reason.
        doubts: What is wrong with the stamps of cameras whose images are left out for it.
        latencies: Of the latest results.
        budget: The latency's 95th percentile that is still well, seconds.
        counts: Frame sets since the start.
        jumps: How often time has jumped.
        provider: What the estimator runs on; empty while the node is not configured.
        model: What network makes the depth; empty without one.
        ground: The plane in use; None while the node is not configured.
        pause: Why nothing is computed although nothing is wrong; empty otherwise.
        problem: The one thing that keeps the node from results; empty when there is none.
        live: True when stamps are to be compared with the computer's clock.
    """

    lifecycle: str
    inputs: Iterable[CameraInput]
    absent: Mapping[str, str]
    dropped: Callable[[str], Counter[str]]
    doubts: Mapping[str, str]
    latencies: Latencies
    budget: float
    counts: Counters
    jumps: int
    provider: str
    model: str
    ground: GroundPlane | None
    pause: str
    problem: str
    live: bool


class Diagnostics:
    """Publishes inputs by camera, processing, ground and output."""

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
        array = DiagnosticArray(status=statuses)
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)

    def _camera(self, camera: CameraInput, state: State) -> DiagnosticStatus:
        name = camera.topics.name
        now = self._node.get_clock().now().nanoseconds
        age = (now - camera.stamp) * 1e-9 if camera.stamp else math.nan
        lost, self._gaps[name] = camera.gaps - self._gaps.get(name, camera.gaps), camera.gaps
        level, text = DiagnosticStatus.OK, f"{camera.rate:.1f} Hz"
        if camera.received == 0 or camera.silence > _STALE_S:
            level, text = DiagnosticStatus.STALE, camera.absence()
            if camera.mismatch:
                level = DiagnosticStatus.ERROR
        elif camera.reason or camera.info is None:
            level, text = DiagnosticStatus.ERROR, camera.absence()
        elif name in state.doubts:
            level, text = DiagnosticStatus.ERROR, f"{camera.topics.image}: {state.doubts[name]}"
        elif state.live and not -_OLD_S < age < _OLD_S:
            side = "behind" if age > 0 else "ahead of"
            level = DiagnosticStatus.WARN
            text = (
                f"stamps are {abs(age):.0f} s {side} this computer's clock: synchronize the clocks,"
                " or set use_sim_time when a bag is played"
            )
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
        values = {"rate (Hz)": f"{state.latencies.rate:.2f}", "lifecycle state": state.lifecycle}
        return self._status("output", level, text, values)

    def _ground(self, ground: GroundPlane) -> DiagnosticStatus:
        values = {
            "source": ground.source,
            "roll (deg)": f"{math.degrees(ground.roll):.3f}",
            "pitch (deg)": f"{math.degrees(ground.pitch):.3f}",
            "height (m)": f"{ground.height:.3f}",
        }
        return self._status("ground", DiagnosticStatus.OK, ground.source, values)

    def _status(
        self, task: str, level: bytes, text: str, values: dict[str, str]
    ) -> DiagnosticStatus:
        return DiagnosticStatus(
            level=level,
            name=f"{self._node.get_fully_qualified_name().lstrip('/')}: {task}",
            message=text,
            hardware_id="cameras",
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
