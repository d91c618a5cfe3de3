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

"""The node as a vehicle has it: cameras and listeners in processes of their own.

    python -m depth_perception.benchmarks.live --cameras 6 --encoding bgr8 --seconds 60

Three processes: cameras that send at 12 Hz (`benchmarks.cameras`), ``surround_depth`` with its
defaults, and a listener (this process) to the cloud, one depth image and the status. What counts is
how many of the sets that were sent come out, how long after their last image came in, and what the
node takes of the processor, by thread, and of memory.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data

from depth_perception.benchmarks.cameras import ENCODINGS, HEIGHT, RATE_HZ, WIDTH
from depth_perception.errors import LibraryError
from depth_perception.frames.publication import camera_topics, vehicle_topics
from depth_perception.ros.dds_profile import transport_environment
from depth_perception.ros.messages import message_class

LISTENERS = ("clouds", "depth", "status")
"""What is listened to: clouds, one depth image and the status; the last two; or the last."""
COUNTS = (1, 4, 6, 12)
SETTLE_S, STARTS_WITHIN_S, STOP_S = 5.0, 240.0, 20.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Listener:
    """Counts what the node publishes, and keeps each status.

    Attributes:
        node: Spun by whoever made it.
        counts: Messages by topic.
        statuses: Those of frame sets that gave results: arrival, s (monotonic), and message.
    """

    def __init__(self, listens: str) -> None:
        """Subscribe to what one of `LISTENERS` says."""
        self.node = Node("benchmark_listener")
        self.counts: Counter[str] = Counter()
        self.statuses: list[tuple[float, Any]] = []
        vehicle = vehicle_topics()
        topics = {
            "clouds": [vehicle["points"], camera_topics("camera_0")["depth"]],
            "depth": [camera_topics("camera_0")["depth"]],
            "status": [],
        }[listens]
        for topic, kind in topics:
            # As bytes: what is counted need not be decoded.
            self.node.create_subscription(
                message_class(kind),
                topic,
                partial(self._count, topic),
                qos_profile_sensor_data,
                raw=True,
            )
        topic, kind = vehicle["status"]
        self.node.create_subscription(message_class(kind), topic, self._on_status, 10)

    def _count(self, topic: str, message: bytes) -> None:
        self.counts[topic] += 1

    def _on_status(self, status: Any) -> None:
        self.counts["status"] += 1
        if status.stage_names:
            self.statuses.append((time.monotonic(), status))


def cpu_of(process: int) -> dict[str, float]:
    """Seconds of processor that the threads of a process took so far, by name."""
    found: dict[str, float] = defaultdict(float)
    for task in Path(f"/proc/{process}/task").iterdir():
        try:
            text = (task / "stat").read_text()
        except OSError:  # it ended just now
            continue
        name = "main" if task.name == str(process) else text[text.index("(") + 1 : text.rindex(")")]
        fields = text[text.rindex(")") + 2 :].split()
        found[name.rstrip("0123456789_-")] += (int(fields[11]) + int(fields[12])) / _TICKS
    return dict(found)


def memory_of(process: int) -> dict[str, float]:
    """MB that a process has and had at most, of its own and of files."""
    out = {}
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in ("VmHWM", "VmRSS", "RssAnon", "RssFile", "RssShmem"):
            out[name] = round(int(value.split()[0]) / 1024, 1)
    return out


def measure(
    seconds: float,
    cameras: int = 6,
    encoding: str = "bgr8",
    listens: str = "clouds",
    parameters: Mapping[str, str] | None = None,
    rate: float = RATE_HZ,
) -> dict[str, Any]:
    """Run the three processes and measure.

    Args:
        seconds: For how long, after the first results have come and some time has passed.
        cameras: How many.
        encoding: One of `cameras.ENCODINGS`.
        listens: One of `LISTENERS`.
        parameters: Of the node, besides its defaults.
        rate: Sets a second.

    Returns:
        ``sent`` and ``processed`` sets and their ``share``; ``cameras_in_set`` with depth, on
        average; the share of sets in which ``motion_known``; ``latency_ms`` from the last image's
        arrival to the published cloud and ``stages_ms``, each with p50 and p95; ``cpu_ms`` a set by
        thread; ``memory_mb``; ``received`` messages by topic.

    Raises:
        LibraryError: The node ended, or gave nothing.
    """
    os.environ.update(transport_environment())
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    given = [item for k, v in (parameters or {}).items() for item in ("-p", f"{k}:={v}")]
    python = [sys.executable, "-m"]
    node_command = [*python, "depth_perception.nodes.surround_depth"]
    sender_command = [*python, "depth_perception.benchmarks.cameras", "--count", str(cameras)]
    sender_command += ["--encoding", encoding, "--rate", str(rate)]
    with ExitStack() as stack:
        node = _started([*node_command, *(["--ros-args", *given] if given else [])], stack)
        _started(sender_command, stack)
        rclpy.init()
        stack.callback(rclpy.try_shutdown)
        listener = Listener(listens)
        executor = SingleThreadedExecutor()
        executor.add_node(listener.node)
        stack.callback(executor.shutdown)
        _wait_for_results(executor, listener, node)
        _spin(executor, SETTLE_S)
        begin, first, used = time.monotonic(), len(listener.statuses), cpu_of(node.pid)
        listener.counts.clear()
        _spin(executor, seconds)
        if node.poll() is not None:
            raise LibraryError("surround_depth ended", fix="look at what it said above")
        duration = time.monotonic() - begin
        after, memory = cpu_of(node.pid), memory_of(node.pid)
    statuses = [status for _, status in listener.statuses[first:]]
    if not statuses:
        raise LibraryError("surround_depth gave no results", fix="look at what it said above")
    sent, done = round(duration * rate), len(statuses)
    stages = {
        name: [s.stage_latencies[list(s.stage_names).index(name)] * 1e3 for s in statuses
               if name in s.stage_names]
        for name in statuses[-1].stage_names
    }  # fmt: skip
    cpu = {name: 1e3 * (value - used.get(name, 0.0)) / done for name, value in after.items()}
    return {
        "cameras": cameras,
        "encoding": encoding,
        "listens": listens,
        "seconds": round(duration, 1),
        "sent": sent,
        "processed": done,
        "share": round(done / sent, 3),
        "rate_hz": round(done / duration, 2),
        "cameras_in_set": round(
            float(np.mean([sum(c.present for c in status.cameras) for status in statuses])), 2
        ),
        "motion_known": round(
            float(np.mean([np.isfinite(status.motion_speed) for status in statuses])), 3
        ),
        "latency_ms": _percentiles([status.latency * 1e3 for status in statuses]),
        "stages_ms": {name: _percentiles(values) for name, values in stages.items()},
        "cpu_ms": {
            "all": round(sum(cpu.values()), 1),
            **{name: round(value, 1) for name, value in cpu.items() if value >= 0.05},
        },
        "memory_mb": memory,
        "received": dict(listener.counts),
    }


def matrix(seconds: float) -> list[dict[str, Any]]:
    """Measure `COUNTS` of cameras, raw and as JPEG, with and without a listener to the cloud."""
    return [
        measure(seconds, count, encoding, listens)
        for count in COUNTS
        for encoding in ENCODINGS
        for listens in ("clouds", "depth")
    ]


def _started(command: Sequence[str], stack: ExitStack) -> subprocess.Popen[bytes]:
    """Start a process that ends with the stack, gently if it can."""
    process = subprocess.Popen(command)

    def stop() -> None:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    stack.callback(stop)
    return process


def _wait_for_results(
    executor: SingleThreadedExecutor, listener: Listener, node: subprocess.Popen[bytes]
) -> None:
    begin = time.monotonic()
    while not listener.statuses:
        executor.spin_once(timeout_sec=0.1)
        if node.poll() is not None or time.monotonic() - begin > STARTS_WITHIN_S:
            raise LibraryError("surround_depth gave no results", fix="look at what it said above")


def _spin(executor: SingleThreadedExecutor, seconds: float) -> None:
    begin = time.monotonic()
    while (left := begin + seconds - time.monotonic()) > 0:
        executor.spin_once(timeout_sec=left)


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    return {
        "p50": round(float(np.median(values)), 2),
        "p95": round(float(np.percentile(values, 95)), 2),
    }


def table(result: Mapping[str, Any]) -> list[str]:
    """Lines that say what was measured."""
    latency, memory = result["latency_ms"], result["memory_mb"]
    lines = [
        f"{result['cameras']} x {WIDTH}x{HEIGHT} {result['encoding']}, heard: {result['listens']}:"
        f" {result['processed']} of {result['sent']} sets ({100 * result['share']:.1f} %),"
        f" {result['rate_hz']:.2f} a second with {result['cameras_in_set']:.1f} cameras, motion"
        f" known in {100 * result['motion_known']:.0f} %, latency p50 {latency['p50']:.0f} ms,"
        f" p95 {latency['p95']:.0f} ms, CPU {result['cpu_ms']['all']:.0f} ms a set,"
        f" peak {memory['VmHWM']:.0f} MB"
    ]
    lines += [
        f"  {name:<10} {value['p50']:8.2f} {value['p95']:8.2f}"
        for name, value in result["stages_ms"].items()
    ]
    cpu = sorted(result["cpu_ms"].items(), key=lambda item: -item[1])
    lines.append("  CPU ms a set: " + ", ".join(f"{name} {value}" for name, value in cpu[:8]))
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, default=6)
    parser.add_argument("--encoding", choices=ENCODINGS, default=ENCODINGS[0])
    parser.add_argument("--listens", choices=LISTENERS, default=LISTENERS[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=RATE_HZ, help="sets a second")
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="NAME=VALUE", help="of the node"
    )
    parser.add_argument("--json", type=Path, help="where to write it too")
    options = parser.parse_args(argv)
    parameters = dict(item.split("=", 1) for item in options.parameter)
    result = measure(
        options.seconds,
        options.cameras,
        options.encoding,
        options.listens,
        parameters,
        options.rate,
    )
    print("\n".join(table(result)))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
