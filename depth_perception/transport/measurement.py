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

"""What share of large images arrives between two processes here, how late, at what CPU time.

The two processes (`depth_perception.transport.probe`) run in a domain of their own and talk to
this machine only, so that no robot is disturbed. Fast DDS reads its profile once in a process;
therefore each measurement has new ones. Every wait has an end, and so have they, whatever happens.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from itertools import chain
from types import TracebackType
from typing import Any

from depth_perception.errors import DepthPerceptionError
from depth_perception.ros.dds_profile import PROFILE_VARIABLES
from depth_perception.transport.figures import Load, Measurement, delivery_of

START_S = 30.0
"""So long may a process take to start, and the two to find each other."""
_PATIENCE_S = 20.0
_DUTIES = {"publish": "publish", "subscribe": "take"}
_DRAIN_S = 1.0
_MAIN = (
    "import sys; sys.path = [p for p in sys.path if p];"
    " from depth_perception.transport.probe import main; main()"
)
_FOREIGN = ("ROS_STATIC_PEERS", "ROS_DISCOVERY_SERVER", "ROS_SUPER_CLIENT", "ROS_SECURITY_ENABLE")
"""Variables that would take the measurement to other machines, or ask for keys it has not."""


class TransportError(DepthPerceptionError):
    """A process of the measurement did not start, or ended early."""


def private_domain() -> int:
    """Find a ROS domain, not the user's, whose discovery ports nobody on this machine holds.

    Raises:
        TransportError: There is none.
    """
    for offset in range(100):
        domain = 1 + (os.getpid() + offset) % 100
        if str(domain) == os.environ.get("ROS_DOMAIN_ID", "0").strip():
            continue
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as multicast,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unicast,
        ):
            try:
                multicast.bind(("", 7400 + 250 * domain))
                unicast.bind(("", 7410 + 250 * domain))
            except OSError:
                continue
        return domain
    raise TransportError(
        "no free ROS domain between 1 and 100 on this machine",
        expected="one that nobody uses",
        fix="end nodes that are not needed",
    )


def private_environment(profile: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment, with a domain of its own and this machine only.

    Args:
        profile: Variables of `bringup.transport_environment`; empty for Fast DDS's defaults.
    """
    gone = {*_FOREIGN, *PROFILE_VARIABLES}
    out = {name: value for name, value in os.environ.items() if name not in gone}
    out.update(
        profile,
        ROS_DOMAIN_ID=str(private_domain()),
        ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST",
        PYTHONUNBUFFERED="1",
    )
    if os.environ.get("ROS_DISTRO") == "humble":  # later distributions warn about it
        out["ROS_LOCALHOST_ONLY"] = "1"
    return out


def measure(load: Load, profile: Mapping[str, str]) -> Measurement:
    """Send images from one process to another and count what arrives.

    Args:
        load: What to send.
        profile: Variables that name a Fast DDS profile; empty for its defaults.

    Raises:
        TransportError: A process did not start, or ended early.
    """
    environment = private_environment(profile)
    topics = [f"/doctor_{os.getpid()}/camera_{i}/image_raw" for i in range(load.cameras)]
    receiving = {"role": "subscribe", "topics": topics, "depth": load.input_depth}
    sending = {
        "role": "publish",
        "topics": topics,
        "size": [load.width, load.height],
        "rate": load.rate,
        "seconds": load.seconds,
        "warm_up": load.warm_up,
    }
    with _Probe(receiving, environment) as subscriber, _Probe(sending, environment) as publisher:
        for probe in (subscriber, publisher):
            probe.expect("started", START_S)
        try:
            subscriber.expect("ready", START_S)
            matched = True
        except TimeoutError:
            matched = False
        publisher.tell("go")
        sent = publisher.expect("sent", load.warm_up + load.seconds + _PATIENCE_S)
        time.sleep(_DRAIN_S)
        subscriber.tell("stop")
        received = subscriber.expect("received", _PATIENCE_S)
        publisher.tell("stop")
    latencies: dict[str, list[float]] = received["latencies_ms"]
    number = sent["sent"]
    every = list(chain.from_iterable(latencies.values()))
    started = subscriber.started
    return Measurement(
        load=load,
        rmw=started["rmw"],
        profile=next(iter(profile.values()), "") if "fastrtps" in started["rmw"] else "",
        warm_up=(sent["warm_up"] * load.cameras, received["warm_up"]),
        rate=round(number / max(load.seconds, sent["seconds"]), 2),
        cameras={name: delivery_of(number, latencies[name]) for name in latencies},
        total=delivery_of(number * load.cameras, every),
        sets=received["sets"],
        complete=received["complete"],
        publisher_cpu=round(sent["cpu"] / sent["seconds"], 3),
        subscriber_cpu=round(received["cpu"] / sent["seconds"], 3),
        publisher_stall=round(sent["stall"], 3),
        subscriber_stall=round(received["stall"], 3),
        matched=matched,
    )


class _Probe:
    """One of the two processes, from its start to its end."""

    def __init__(self, task: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self._role = task["role"]
        self._said: list[str] = []
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.started: dict[str, Any] = {}
        # A session of its own: Ctrl-C in the terminal reaches it by way of us.
        self._process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, json.dumps(task)],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith('{"event": '):
                self._events.put(json.loads(line))
            elif line.strip():
                self._said.append(line.strip())
        self._events.put(None)

    def expect(self, event: str, limit: float) -> dict[str, Any]:
        """Wait for what the process says.

        Raises:
            TimeoutError: It did not say so in time, but was ``started``.
            TransportError: It ended, or did not start in time.
        """
        deadline = time.monotonic() + limit
        while True:
            try:
                heard = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                if event == "ready":
                    raise TimeoutError(event) from None
                raise self._failure(f"said nothing of '{event}' for {limit:.0f} s") from None
            if heard is None:
                raise self._failure(f"ended with exit code {self._process.wait(_PATIENCE_S)}")
            if heard.get("event") == "started":
                self.started = heard
            if heard.get("event") == event:
                return heard

    def _failure(self, what: str) -> TransportError:
        last = f" ({self._said[-1]})" if self._said else ""
        return TransportError(
            f"the process that was to {_DUTIES[self._role]} images {what}{last}",
            expected="a ROS 2 environment in which nodes start",
            fix="try 'depth_perception launch'; if no node starts, look at RMW_IMPLEMENTATION and"
            " at the Fast DDS profile",
        )

    def tell(self, word: str) -> None:
        """Send an order; a process that has ended shows when it is next expected to speak."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(word + "\n")
            self._process.stdin.flush()

    def __enter__(self) -> _Probe:
        """Return the process, which runs since it was made."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let the process end, and end it where it does not."""
        self.tell("stop")
        for act in (lambda: None, self._process.terminate, self._process.kill):
            act()
            try:
                self._process.wait(3.0)
                break
            except subprocess.TimeoutExpired:
                continue
        self._reader.join(3.0)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()
