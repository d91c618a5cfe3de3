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

"""Hours in little: ``surround_depth`` under full load, and what becomes of its memory.

    python -m depth_perception.benchmarks.soak --minutes 30        # or: make soak

Three processes, as on a vehicle: cameras that send 6 x 1600x900 bgr8 at 12 Hz, the node, and a
listener to every depth image and to the cloud (this process). Passes when the node's resident
memory grows by less than 20 MB after the first minute, and results never stop coming. Frame sets
that a small computer drops are counted; they are no failure. Takes three minutes at least.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.serialization import serialize_message

from depth_perception import messages
from depth_perception.frames.publication import camera_topics, vehicle_topics
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.transforms import OPTICAL_AXES
from depth_perception.ros.dds_profile import transport_environment
from depth_perception.ros.messages import RclpyTypes, message_class
from depth_perception.ros.qos import LATCHED, SENSOR_INPUT

CAMERAS, RATE_HZ, WIDTH, HEIGHT = 6, 12.0, 1600, 900
SAMPLE_S, SETTLED_S = 10.0, 60.0
GROWTH_MB = 20.0
STOP_S = 20.0
STALL_S = 1.5


def send() -> None:
    """Be the cameras, until a signal ends the process."""
    rclpy.init()
    node, types = Node("soak_cameras"), RclpyTypes()
    camera = CameraModel(WIDTH, HEIGHT, np.array([[1256, 0, 799.5], [0, 1256, 449.5], [0, 0, 1]]))
    pixels = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    image_class, info_class = (
        message_class(f"sensor_msgs/msg/{n}") for n in ("Image", "CameraInfo")
    )
    sent = []
    mountings = []
    for index in range(CAMERAS):
        name = f"camera_{index}"
        # Serialized once: only the stamp differs, in bytes 4 to 12 of any message with a header.
        parts = [
            bytearray(serialize_message(message))
            for message in (
                messages.camera_info_message(types, 1, name, camera),
                messages.image_message(types, 1, name, pixels, "bgr8"),
            )
        ]
        publishers = [
            node.create_publisher(info_class, f"{name}/camera_info", SENSOR_INPUT),
            node.create_publisher(image_class, f"{name}/image_raw", SENSOR_INPUT),
        ]
        sent.append((parts, publishers))
        mountings.append(_mounting(types, name, index * 2 * np.pi / CAMERAS))
    kind = "tf2_msgs/msg/TFMessage"
    latched = node.create_publisher(message_class(kind), "/tf_static", LATCHED)
    latched.publish(types.new(kind, transforms=mountings))
    due = time.monotonic()
    while rclpy.ok():
        due += 1 / RATE_HZ
        stamp = np.array(divmod(time.time_ns(), 10**9), np.uint32).tobytes()
        for parts, publishers in sent:
            for part, publisher in zip(parts, publishers, strict=True):
                part[4:12] = stamp
                publisher.publish(bytes(part))
        time.sleep(max(0.0, due - time.monotonic()))


def _mounting(types: RclpyTypes, name: str, yaw: float) -> Any:
    """Build the transform of a camera that looks along a yaw angle, 1.5 m high."""
    c, s = np.cos(yaw), np.sin(yaw)
    T = np.eye(4)
    T[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ OPTICAL_AXES
    T[:3, 3] = c, s, 1.5
    return messages.transform_message(types, time.time_ns(), "base_link", name, T)


def memory_of(process: int) -> dict[str, float]:
    """Resident memory of a process in MB: all of it, and by kind as the kernel splits it."""
    text = Path(f"/proc/{process}/status").read_text()
    found = re.findall(r"(VmRSS|RssAnon|RssFile|RssShmem):\s+(\d+) kB", text)
    return {name: round(int(size) / 1024, 2) for name, size in found}


class Listener:
    """Counts what the node publishes.

    Attributes:
        node: Spun by whoever made it.
        counts: Messages by topic; those of ``status`` without results are left out.
        status: The latest status with results.
        worst: Longest latency, seconds.
        problems: What /diagnostics called an error, and how often.
    """

    def __init__(self) -> None:
        """Subscribe to depth of every camera, to the cloud, to status and /diagnostics."""
        self.node = Node("soak_listener")
        self.counts: Counter[str] = Counter()
        self.status: Any = None
        self.worst = 0.0
        self.problems: Counter[str] = Counter()
        vehicle = vehicle_topics()
        topics = [camera_topics(f"camera_{index}")["depth"] for index in range(CAMERAS)]
        for topic, kind in [*topics, vehicle["points"]]:
            # As bytes: what is counted need not be decoded.
            self.node.create_subscription(
                message_class(kind), topic, partial(self._count, topic), 2, raw=True
            )
        topic, kind = vehicle["status"]
        self.node.create_subscription(message_class(kind), topic, self._on_status, 10)
        self.node.create_subscription(
            message_class("diagnostic_msgs/msg/DiagnosticArray"), "/diagnostics", self._on_state, 10
        )

    def _count(self, topic: str, message: bytes) -> None:
        self.counts[topic] += 1

    def _on_status(self, status: Any) -> None:
        if status.stage_names:
            self.status = status
            self.worst = max(self.worst, status.latency)
            self.counts["results"] += 1

    def _on_state(self, array: Any) -> None:
        for status in array.status:
            if status.level == status.ERROR:
                self.problems[f"{status.name}: {re.sub('[0-9]+', '#', status.message)}"] += 1


def fill_queues(node_process: int) -> None:
    """Stop the node until its image queues are full, and let it go on.

    Places in the middleware's queues are allocated when they are first used, and kept. On a busy
    machine that happens sooner or later, and it is no leak.
    """
    os.kill(node_process, signal.SIGSTOP)
    time.sleep(STALL_S)
    os.kill(node_process, signal.SIGCONT)


def watch(node_process: int, seconds: float, listener: Listener) -> list[dict[str, Any]]:
    """Sample memory and counts every ten seconds while messages are counted."""
    executor = SingleThreadedExecutor()
    executor.add_node(listener.node)
    samples: list[dict[str, Any]] = []
    begin = time.monotonic()
    while listener.status is None and time.monotonic() - begin < SETTLED_S:
        executor.spin_once(timeout_sec=0.1)
    begin, before = time.monotonic(), listener.counts["results"]
    fill_queues(node_process)
    while len(samples) <= seconds / SAMPLE_S and Path(f"/proc/{node_process}/statm").exists():
        if time.monotonic() - begin < len(samples) * SAMPLE_S:
            executor.spin_once(timeout_sec=0.1)
            continue
        results = listener.counts["results"]
        sample = {
            "at_s": round(time.monotonic() - begin, 1),
            **memory_of(node_process),
            "results": results - before,
        }
        samples.append(sample)
        before = results
        print(
            f"{sample['at_s']:7.0f} s  RSS {sample['VmRSS']:7.1f} MB"
            f"  results {sample['results']:4d}",
            flush=True,
        )
    executor.remove_node(listener.node)
    return samples


def verdict(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Judge the samples.

    Growth is that of the trend after the first minute (Theil and Sen's: the median slope of all
    pairs of samples, times the time) or the last third's median less the first third's, whichever
    is more. Single minutes say little: each sample has the frame sets in it that happen to be
    under way, 26 MB each, and more of them when the machine is busy.
    """
    settled = [sample for sample in samples if sample["at_s"] >= SETTLED_S]
    growth = None
    if settled and settled[-1]["at_s"] - settled[0]["at_s"] >= 120:
        at = np.array([sample["at_s"] for sample in settled])
        memory = np.array([sample["VmRSS"] for sample in settled])
        i, j = np.triu_indices(len(at), 1)
        trend = float(np.median((memory[j] - memory[i]) / (at[j] - at[i])) * (at[-1] - at[0]))
        third = len(memory) // 3
        step = float(np.median(memory[-third:]) - np.median(memory[:third]))
        growth = round(max(trend, step), 2)
    silent = sum(sample["results"] == 0 for sample in samples[1:])
    return {
        "growth_mb": growth,
        "growth_limit_mb": GROWTH_MB,
        "peak_mb": max((sample["VmRSS"] for sample in samples), default=None),
        "samples_without_results": silent,
        "passed": growth is not None and growth < GROWTH_MB and silent == 0,
    }


def soak(minutes: float, output: Path) -> bool:
    """Run it all, write JSON, and tell whether it passed."""
    os.environ.update(transport_environment())
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    python = [sys.executable, "-m"]
    processes = [
        subprocess.Popen([*python, "depth_perception.nodes.surround_depth"]),
        subprocess.Popen([*python, "depth_perception.benchmarks.soak", "--send"]),
    ]
    node = processes[0]
    try:
        rclpy.init()
        listener = Listener()
        samples = watch(node.pid, 60 * minutes, listener)
        lived = node.poll() is None
        if lived:
            node.send_signal(signal.SIGINT)
        code = node.wait(STOP_S)
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        rclpy.try_shutdown()
    status = listener.status
    judged = verdict(samples)
    judged["passed"] = judged["passed"] and lived and code == 0
    result = {
        "device": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "rmw": os.environ.get("RMW_IMPLEMENTATION", "default"),
        "input": f"{CAMERAS} x {WIDTH}x{HEIGHT} bgr8 at {RATE_HZ:.0f} Hz",
        "minutes": minutes,
        "node_lived": lived,
        "exit_code": code,
        "processed": status.frame_sets_processed if status else 0,
        "dropped": status.frame_sets_dropped if status else 0,
        "incomplete": status.frame_sets_incomplete if status else 0,
        "worst_latency_s": round(listener.worst, 3),
        **judged,
        "received": dict(listener.counts),
        "errors": dict(listener.problems),
        "samples": samples,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2) + "\n")
    summary = {k: v for k, v in result.items() if k != "samples"}
    print(json.dumps(summary, indent=2))
    print(f"written to {output}: {'passed' if result['passed'] else 'FAILED'}")
    return bool(result["passed"])


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; exit code 0 when it passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default: 30)")
    parser.add_argument("--output", type=Path, default=Path("out/soak.json"), help="JSON to write")
    parser.add_argument("--send", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.send:
        send()
        return 0
    return 0 if soak(options.minutes, options.output) else 1


if __name__ == "__main__":
    raise SystemExit(main())
