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

"""Runs a command that starts nodes, and records what they publish until all of it has come."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from depth_perception.datasets.bag_writer import BagWriter
from depth_perception.ros.recording import Recorder

SILENCE_S = 15.0
"""The nodes are done when nothing new came for this long (on a slow machine a set takes 1 s)."""
SILENCE_WITH_MOTION_S = 60.0
"""The same with motion: a set of six cameras takes longer, and the second set compiles loops."""


def record_run(
    command: Sequence[str],
    output: str | Path,
    types: Mapping[str, str],
    wanted: Mapping[str, int],
    progress: Callable[[int], None] = lambda count: None,
    silence: float = SILENCE_S,
) -> None:
    """Start a command and record topics into a bag until it ends, falls silent, or all has come.

    Args:
        command: The program that starts the nodes; it is ended with SIGINT.
        output: The bag to write; one that is there is replaced.
        types: Message type of every topic to record, by absolute name.
        wanted: Number of messages to wait for, by topic; a topic that is absent is not waited for.
        progress: Called with how many of these have come.
        silence: Seconds without any of these after which no more are waited for.
    """
    # Ctrl-C comes to the caller, who tidies up.
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = rclpy.create_node("demo_recorder")
        with BagWriter(output, overwrite=True) as writer:
            recorder = Recorder(node, writer, types)
            child = subprocess.Popen(command, start_new_session=True)
            try:
                _record(node, recorder, child, wanted, progress, silence)
            finally:
                _stop(child)
        node.destroy_node()
    finally:
        rclpy.try_shutdown()


def _record(
    node: Node,
    recorder: Recorder,
    child: subprocess.Popen[bytes],
    wanted: Mapping[str, int],
    progress: Callable[[int], None],
    silence: float,
) -> None:
    """Spin until everything came, nothing new comes, or the nodes are gone."""
    total = sum(wanted.values())
    latest, seen = time.monotonic(), 0
    while True:
        rclpy.spin_once(node, timeout_sec=0.1)
        count = sum(recorder.counts[topic] for topic in wanted)
        if count > seen:
            progress(count)
            seen, latest = count, time.monotonic()
        quiet = time.monotonic() - latest
        if (seen >= total and quiet > 1.0) or child.poll() is not None:
            return
        if quiet > silence * (4 if seen == 0 else 1):
            return


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End the launcher, which ends its nodes; harder when it does not listen."""
    for number, patience in ((signal.SIGINT, 10), (signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        if child.poll() is not None:
            return
        child.send_signal(number)
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            continue
