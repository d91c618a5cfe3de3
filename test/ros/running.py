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

"""`surround_depth` as a process of its own, and what a client sees of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conftest import RosSession, wait_for

from depth_perception.messages.sensors import stamp_of
from depth_perception.ros.messages import message_class

REQUIRED_S = 2.0
"""Output has to resume within the first; a busy machine gets the second before the test fails."""


class Process:
    """A process whose output is kept; always ended by its id."""

    def __init__(self, environment: dict[str, str], *arguments: str) -> None:
        self.lines: list[str] = []
        isolated = ["-P"] if sys.version_info >= (3, 11) else []
        self.process = subprocess.Popen(
            [sys.executable, *isolated, *arguments],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.id = self.process.pid
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def memory(self) -> float:
        """Resident memory, MB."""
        text = Path(f"/proc/{self.id}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", text)
        assert found is not None
        return int(found[1]) / 1024

    def line(self, part: str) -> str | None:
        return next((line for line in list(self.lines) if part in line), None)

    def end(self) -> None:
        if self.alive:
            os.kill(self.id, signal.SIGKILL)
        self.process.wait(10)


class Surround:
    """A node process, and what a client sees of it."""

    def __init__(
        self, ros: RosSession, environment: dict[str, str], *options: str, namespace: str = ""
    ) -> None:
        from rclpy.node import Node

        self._environment, self._options = environment, options
        self._namespace = namespace
        self._ros = ros
        self.node = Node("watcher", namespace=namespace or None)
        self.statuses: list[tuple[float, Any]] = []
        self.depths: dict[str, list[tuple[float, Any]]] = {}
        self.diagnostics: list[Any] = []
        self._subscribe(
            "surround_depth/status",
            "depth_perception/msg/SurroundDepthStatus",
            lambda m: self.statuses.append((time.monotonic(), m)),
        )
        self._subscribe(
            "/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", self.diagnostics.append
        )
        ros.add(self.node)
        self.start()

    def _subscribe(self, topic: str, kind: str, callback: Callable[[Any], None]) -> None:
        self.node.create_subscription(message_class(kind), topic, callback, 10)

    def start(self) -> None:
        """Start the process."""
        rule = ["-r", f"__ns:={self._namespace}"] if self._namespace else []
        self.process = Process(
            self._environment,
            "-m",
            "depth_perception.nodes.surround_depth",
            "--ros-args",
            *rule,
            *self._options,
        )
        wait_for(lambda: self.process.line("ready after"), what="the node to start")

    def listen(self, camera: str) -> list[tuple[float, Any]]:
        """Subscribe to a camera's depth; returns the list that fills."""
        if camera not in self.depths:
            kept = self.depths.setdefault(camera, [])
            self._subscribe(
                f"surround_depth/{camera}/depth/image_rect",
                "sensor_msgs/msg/Image",
                lambda m: kept.append((time.monotonic(), m)),
            )
        return self.depths[camera]

    def results(self, since: float = 0.0) -> list[Any]:
        """Statuses of results that arrived after a moment (monotonic seconds)."""
        return [s for at, s in list(self.statuses) if at > since and s.stage_names]

    def wait(self, good: Callable[[Any], Any], what: str, stamp: int = 0) -> Any:
        """Wait for a status, from now on, of images not older than ``stamp``."""
        since = time.monotonic()
        return wait_for(
            lambda: next(
                (
                    s
                    for at, s in list(self.statuses)
                    if at > since and stamp_of(s.header.stamp) >= stamp and good(s)
                ),
                None,
            ),
            what=what,
        )

    def more(self, count: int) -> list[Any]:
        """Wait for some more results and return them."""
        since = time.monotonic()
        return wait_for(lambda: (r := self.results(since))[count - 1 :] and r, what="results")

    def resumes(self, what: str, stamp: int = 0, good: Callable[[Any], Any] | None = None) -> Any:
        """Measure how long it takes from now until there are complete results again."""
        begin = time.monotonic()
        found = self.wait(good or complete, f"output after: {what}", stamp)
        measured(what, time.monotonic() - begin)
        return found

    def values(self, task: str) -> dict[str, str]:
        """What the next /diagnostics says of one task, e.g. ``input front``."""
        count = len(self.diagnostics)
        name = f"{self._namespace}/surround_depth: {task}".lstrip("/")

        def found() -> Any:
            for array in self.diagnostics[count:]:
                for status in array.status:
                    if status.name == name:
                        return {"message": status.message} | {
                            item.key: item.value for item in status.values
                        }
            return None

        return wait_for(found, what=f"diagnostics of {name}")

    def count(self, task: str, key: str) -> int:
        return int(self.values(task).get(key, "0"))

    def close(self) -> None:
        self.process.end()
        self._ros.remove(self.node)


def measured(what: str, seconds: float) -> None:
    """Print how long it took; on an idle machine it is below `REQUIRED_S`, see docs/nodes.md."""
    print(f"{what}: output resumed after {seconds:.2f} s (idle machine: {REQUIRED_S:.0f} s)")


def complete(status: Any) -> bool:
    return bool(status.stage_names) and all(camera.present for camera in status.cameras)


def camera(status: Any, name: str) -> Any:
    return next(c for c in status.cameras if c.name == name)


def refused(name: str, *parts: str) -> Callable[[Any], bool]:
    """Tell whether a result lacks one camera, for a reason that holds all parts, and no other."""

    def good(status: Any) -> bool:
        absent = [c for c in status.cameras if not c.present]
        return (
            bool(status.stage_names)
            and [c.name for c in absent] == [name]
            and all(part in absent[0].reason for part in parts)
        )

    return good


def service(surround: Surround, kind: Any, name: str, request: Any) -> Any:
    # The client lives as long as its node: destroying it while the executor spins ends in a crash.
    client = surround.node.create_client(kind, name)
    wait_for(client.service_is_ready, what=name)
    future = client.call_async(request)
    return wait_for(lambda: future.done() and future.result(), what=name)
