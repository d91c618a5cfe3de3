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

"""What a configured node computes with: ingest, pipeline, publishers, and a thread for them."""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from rclpy.node import Node

from depth_perception.frames.camera_feed import NOT_ASKED_FOR, CameraFeed
from depth_perception.frames.debug_text import Debug, set_text, silent, timings_text
from depth_perception.frames.ingest import Ingest, MessageSet
from depth_perception.frames.publication import Counters, Demand
from depth_perception.frames.surround_result import MotionState, SurroundResult
from depth_perception.parameters import Parameters
from depth_perception.pipeline import SurroundPipeline
from depth_perception.ros.motion_log import MotionLog
from depth_perception.ros.publishers import ResultPublishers
from depth_perception.ros.throttled_log import ThrottledLog
from depth_perception.ros.warm_up import warm_up

STOP_S, FLUSH_S = 3.0, 1.0
_RECENT_S = 5.0
_LESS_EFFORT, _MORE_EFFORT, _LEAST_EFFORT = 0.9, 1.02, 0.5
"""Work that can be put off is done so much less at each set after which half of the queue is full,
more at each other, and never less than so much. Who wants every set waits for it, in a long queue,
and has every set as a replay has it."""


def next_effort(effort: float, behind: bool) -> float:
    """Effort for the next set, 0 to 1: less where sets pile up, slowly more where they do not.

    Args:
        effort: At the last one.
        behind: Whether so many sets wait that the next ones will be left out.
    """
    change = _LESS_EFFORT if behind else _MORE_EFFORT
    return min(1.0, max(_LEAST_EFFORT, effort * change))


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
        recent = [at for at in list(self._at) if now - at <= _RECENT_S]
        if len(recent) < 2:
            return len(recent) / _RECENT_S
        return (len(recent) - 1) / max(recent[-1] - recent[0], 1e-6)

    @property
    def silence(self) -> float:
        """Seconds since the latest result; infinity before the first."""
        return time.monotonic() - self._at[-1] if self._at else float("inf")


class Processor:
    """Turns closed frame sets into published results, one at a time, in a thread of its own.

    `put` never waits, so that no message is lost while a set is computed; sets that wait too long
    make room for newer ones.

    Attributes:
        pipeline: What computes.
        publishers: Where results go.
        latencies: Of the latest results.
        counters: Frame sets since the node was configured.
        demand: What is to be computed; whoever owns the processor keeps it up to date.
        motion: How the vehicle moves, by the latest frame set; None without ``motion.enabled``.
        motion_log: Says in the log what is known of that.
        latest: The latest closed frame set, as messages; None before the first.
        status_at: Monotonic seconds of the latest status.
        fault: Why the latest frame set as a whole was lost; empty when it was not.
    """

    def __init__(
        self,
        node: Node,
        parameters: Parameters,
        ingest: Ingest,
        log: ThrottledLog,
        warn: Callable[[str], None],
        debug: Debug = silent,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Load everything, warm up, and advertise.

        Args:
            node: Whose topics they are.
            parameters: All parameters.
            ingest: Decodes the frame sets; it belongs to the caller.
            log: Gets problems of single frame sets.
            warn: Gets warnings while loading.
            debug: Told what becomes of frame sets.
            say: Told what is good to know and happens seldom.

        Raises:
            DepthPerceptionError: A file that the parameters name is absent or impossible.
        """
        self.latencies = Latencies()
        self.counters = Counters()
        self.demand = Demand()
        self.latest: MessageSet | None = None
        self.status_at = time.monotonic()
        self.fault = ""
        self._parameters = parameters
        self._ingest = ingest
        self._log, self._debug = log, debug
        self._asked: Parameters | None = None
        self._queue: deque[tuple[float, MessageSet]] = deque()
        self._last_stamp: int | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._abandoned: set[threading.Thread] = set()
        self._computing = False
        self.motion: MotionState | None = None
        self._begins_anew = False
        self.motion_log = MotionLog(log.add, say)
        self.pipeline = SurroundPipeline(parameters, warn)
        try:
            if not _builds_engines(parameters):
                warm_up(self.pipeline)
            self.publishers = ResultPublishers(node, parameters, log.add)
        except BaseException:
            self.pipeline.close()
            raise

    @property
    def busy(self) -> bool:
        """True while a frame set is computed or waits for that."""
        with self._changed:
            return self._computing or bool(self._queue)

    def start(self) -> None:
        """Begin to compute."""
        self._stopping = threading.Event()
        self._begins_anew = True
        self._thread = threading.Thread(
            target=self._run, args=(self._stopping,), name="depth worker", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End after the frame sets at hand; what takes longer than `STOP_S` goes unheard."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        with self._changed:
            self._stopping.set()
            self._changed.notify_all()
        thread.join(STOP_S)
        if thread.is_alive():
            self._abandoned.add(thread)
            self._queue.clear()
        self.latest = None

    def close(self) -> None:
        """Give everything back; results that are under way get out first."""
        self.stop()
        self.publishers.flush(FLUSH_S)
        self.publishers.close()
        self.pipeline.close()

    def set_parameters(self, parameters: Parameters) -> None:
        """Take other live parameters from the next frame set on."""
        self._asked = parameters

    def put(self, closed: Sequence[MessageSet]) -> None:
        """Queue frame sets; older ones that still wait are dropped and counted."""
        if not closed or self._thread is None:
            return
        self.latest = closed[-1]
        now = time.monotonic()
        with self._changed:
            for item in closed:
                while len(self._queue) >= self._parameters.sync.queue_size:
                    _, old = self._queue.popleft()
                    self.counters.dropped += 1
                    self._debug(set_text, old.stamp, "is dropped: the queue is full")
                last, self._last_stamp = self._last_stamp, item.stamp
                period = None if last is None else (item.stamp - last) * 1e-9
                self._queue.append((now, replace(item, period=period)))
            self._changed.notify()

    def publish_idle(self, stamp: int, missing: Mapping[str, str]) -> None:
        """Publish a status without results.

        Args:
            stamp: Of the status, nanoseconds.
            missing: Why each camera has no part in a result.
        """
        self._publish_status(self._empty_result(stamp, missing), self._ingest.cameras, 0.0)

    def _run(self, stopping: threading.Event) -> None:
        thread = threading.current_thread()
        while True:
            with self._changed:
                self._computing = False
                while not self._queue or self._stopping is not stopping:
                    if stopping.is_set():
                        return
                    self._changed.wait()
                since, closed = self._queue.popleft()
                self._computing = True
            try:
                self._compute(closed, since)
                with self._changed:
                    behind = 2 * len(self._queue) >= self._parameters.sync.queue_size
                self.counters.effort = next_effort(self.counters.effort, behind)
            except Exception as error:  # whatever one frame set does, the next one gets its turn
                if thread not in self._abandoned:  # else nobody is left to publish for
                    where = "".join(traceback.format_tb(error.__traceback__)[-1:]).strip()
                    self.fault = f"frame set lost: {type(error).__name__}: {error} ({where})"
                    self._log.add("", self.fault)

    def _compute(self, closed: MessageSet, since: float) -> None:
        if self._asked is not None:
            self._parameters, self._asked = self._asked, None
            self.pipeline.set_parameters(self._parameters)
            self.publishers.set_parameters(self._parameters)
        if self._begins_anew:
            self._begins_anew = False
            self.pipeline.forget_motion()
        cameras = self._ingest.cameras
        demand = self.demand
        if not demand.cameras:
            self._debug(set_text, closed.stamp, "is left out: nobody listens")
            return
        begin = time.monotonic()
        frame_set, rig = self._ingest.decode(closed, demand.cameras)
        frame_set = replace(frame_set, period=closed.period, effort=self.counters.effort)
        frame_set.latencies.update(wait=begin - since, decode=time.monotonic() - begin)
        result = self.pipeline.process(
            frame_set,
            rig,
            clouds=demand.clouds,
            occupancy=demand.occupancy,
            embodied=demand.embodied,
        )
        self.motion = result.motion
        self.motion_log.add(result.motion)
        wanted = [name for name in result.missing if name not in cameras or name in demand.cameras]
        latency = 0.0
        if result.cameras:
            for name in result.missing.keys() & frame_set.frames.keys():
                self._log.add("", result.missing[name])
            self.counters.processed += 1
            self.counters.incomplete += bool(wanted)
            carried = sum(camera.carried for camera in result.cameras.values())
            self.counters.carried += carried
            self.counters.computed += len(result.cameras) - carried
            computed = time.monotonic()
            self.publishers.publish(result)
            end = time.monotonic()
            result.latencies["publish"] = end - computed
            latency = end - since
            self.latencies.add(latency, result.latencies)
            self.fault = ""
        else:
            self.fault = next((result.missing[name] for name in wanted), "")
        self._debug(_computed_text, result, latency)
        self._publish_status(result, cameras, latency)

    def _empty_result(self, stamp: int, missing: Mapping[str, str]) -> SurroundResult:
        """Make a result without any camera, for the status."""
        return SurroundResult(
            stamp=stamp,
            cameras=MappingProxyType({}),
            missing=missing,
            base_frame=self._parameters.base_frame,
            ground=self.pipeline.ground,
            estimator=self._parameters.estimator,
            provider=self.pipeline.estimator.provider,
            model=self.pipeline.estimator.model,
            motion=MotionState() if self._parameters.motion.enabled else None,
        )

    def _publish_status(
        self, result: SurroundResult, cameras: Mapping[str, CameraFeed], latency: float
    ) -> None:
        self.status_at = time.monotonic()
        self.publishers.publish_status(result, self.counters, cameras, latency)


def _computed_text(result: SurroundResult, latency: float) -> str:
    """Say what came of a frame set, and what each stage took; without a result, why."""
    missing = ", ".join(
        f"{name} ({reason})" for name, reason in result.missing.items() if reason != NOT_ASKED_FOR
    )
    if not result.cameras:
        return set_text(result.stamp, "gives nothing:", missing)
    done = f"done in {latency * 1e3:.1f} ms ({timings_text(result.latencies)}):"
    without = f"; without {missing}" if missing else ""
    return set_text(result.stamp, done, ", ".join(result.cameras) + without)


def _builds_engines(parameters: Parameters) -> bool:
    """Whether TensorRT would build an engine, for minutes, of a made-up image's size."""
    names = [name.lower() for name in parameters.fused.providers]
    return parameters.estimator == "fused" and any(name.startswith("tensorrt") for name in names)
