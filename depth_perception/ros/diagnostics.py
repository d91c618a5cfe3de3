"""The state of the node on ``/diagnostics``, once a second; names as REP 107 wants them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from depth_perception.publication import Counters
from depth_perception.ros.inputs import CameraInput

_STALE_S = 5.0


class Latencies:
    """The latest processing times, for their percentiles."""

    def __init__(self, kept: int = 200) -> None:
        """Keep that many."""
        self._seconds: deque[float] = deque(maxlen=kept)
        self._at: deque[float] = deque(maxlen=kept)

    def add(self, seconds: float) -> None:
        """Note one result."""
        self._seconds.append(seconds)
        self._at.append(time.monotonic())

    def percentile(self, percent: float) -> float:
        """Percentile in seconds; 0 before the first result."""
        values = list(self._seconds)
        return float(np.percentile(values, percent)) if values else 0.0

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


class Diagnostics:
    """Publishes inputs by camera, processing and output."""

    def __init__(self, node: Node) -> None:
        """Advertise ``/diagnostics``."""
        self._node = node
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)

    def publish(
        self,
        inputs: Iterable[CameraInput],
        absent: dict[str, str],
        latencies: Latencies,
        counts: Counters,
        provider: str,
        idle: bool,
        problem: str,
    ) -> None:
        """Publish one array.

        Args:
            inputs: The cameras that are subscribed to.
            absent: Why cameras that were named are not among them.
            latencies: Of the latest results.
            counts: Frame sets since the start.
            provider: What the estimator runs on.
            idle: True when nobody listens, so that nothing is computed.
            problem: The one thing that keeps the node from results; empty when there is none.
        """
        statuses = [self._camera(camera) for camera in inputs]
        statuses += [
            self._status(f"input {name}", DiagnosticStatus.ERROR, reason, {})
            for name, reason in absent.items()
        ]
        statuses.append(self._processing(latencies, counts, provider))
        statuses.append(self._output(latencies, idle, problem))
        array = DiagnosticArray(status=statuses)
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)

    def _camera(self, camera: CameraInput) -> DiagnosticStatus:
        now = self._node.get_clock().now().nanoseconds
        age = (now - camera.stamp) * 1e-9 if camera.stamp else float("nan")
        level, text = DiagnosticStatus.OK, f"{camera.rate:.1f} Hz"
        if camera.received == 0 or camera.silence > _STALE_S:
            level, text = DiagnosticStatus.STALE, camera.absence()
        elif camera.reason or camera.info is None:
            level, text = DiagnosticStatus.ERROR, camera.absence()
        values = {
            "topic": camera.topics.image,
            "camera_info": camera.topics.info,
            "rate (Hz)": f"{camera.rate:.2f}",
            "age (s)": f"{age:.3f}",
            "received": str(camera.received),
            "refused": str(camera.refused),
        }
        return self._status(f"input {camera.topics.name}", level, text, values)

    def _processing(
        self, latencies: Latencies, counts: Counters, provider: str
    ) -> DiagnosticStatus:
        p50, p95 = latencies.percentile(50), latencies.percentile(95)
        values = {
            "latency p50 (ms)": f"{p50 * 1e3:.1f}",
            "latency p95 (ms)": f"{p95 * 1e3:.1f}",
            "provider": provider,
            "frame sets processed": str(counts.processed),
            "frame sets dropped": str(counts.dropped),
            "frame sets incomplete": str(counts.incomplete),
        }
        text = f"{p50 * 1e3:.0f} ms" if counts.processed else "nothing processed yet"
        return self._status("processing", DiagnosticStatus.OK, text, values)

    def _output(self, latencies: Latencies, idle: bool, problem: str) -> DiagnosticStatus:
        level, text = DiagnosticStatus.OK, f"{latencies.rate:.1f} Hz"
        if idle:
            text = "idle: nobody listens"
        elif problem:
            level, text = DiagnosticStatus.ERROR, problem
        return self._status("output", level, text, {"rate (Hz)": f"{latencies.rate:.2f}"})

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
