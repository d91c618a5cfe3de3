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

"""``depth_perception launch``: start the nodes of `bringup` where there is no ``ros2 launch``."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import IO

import yaml

from depth_perception.errors import ConfigurationError
from depth_perception.nodes.bringup import ARGUMENTS, Process, notice, processes, resolve
from depth_perception.ros.dds_profile import transport_environment
from depth_perception.ros.launcher import ends_with_us

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the last when its terminal closes
GRACE_S = 10.0
"""A process that does not end by itself this long after SIGINT gets SIGTERM, and then SIGKILL."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("assignments", nargs="*", metavar="name:=value", help="see --show-args")
    parser.add_argument(
        "--show-args", "-s", action="store_true", help="list the arguments and their defaults"
    )


def run(args: argparse.Namespace) -> int:
    """Start the processes, wait for them, and stop all when one that is required ends."""
    if args.show_args:
        for argument in ARGUMENTS:
            print(f"{argument.name}:={argument.default!s}\n    {argument.help}")
        return 0
    values = {}
    for assignment in args.assignments:
        name, separator, value = assignment.partition(":=")
        if not separator:
            raise ConfigurationError(
                f"'{assignment}' is no argument", expected="name:=value", fix="see --show-args"
            )
        values[name] = value
    environment = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        **ends_with_us(),
        **transport_environment(resolve(values)["fastdds_profile"]),
    }
    wanted = processes(values)
    text = notice(values)
    notes = [*([text] if text else []), *(note for process in wanted for note in process.notes)]
    for note in notes:
        print(f"[launch] {note}", flush=True)
    with tempfile.TemporaryDirectory(prefix="depth_perception_") as folder:
        return _Group(Path(folder), environment).run(wanted)


def command(process: Process, folder: Path) -> list[str]:
    """Make the command line of a process, as ``ros2 launch`` would.

    Parameters go through a file, so that a text such as ``123`` stays a text.

    Raises:
        ConfigurationError: The executable is not installed.
    """
    words = [executable(process), *process.arguments, "--ros-args"]
    if process.name:
        words += ["-r", f"__node:={process.name}"]
    if process.namespace:
        words += ["-r", f"__ns:=/{process.namespace.strip('/')}"]
    for old, new in process.remappings:
        words += ["-r", f"{old}:={new}"]
    for file in process.parameter_files:
        words += ["--params-file", file]
    if process.parameters:
        path = folder / f"{process.name}.yaml"
        content = {"/**": {"ros__parameters": dict(process.parameters)}}
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        words += ["--params-file", str(path)]
    return [*words, *process.log_arguments]


def executable(process: Process) -> str:
    """Find ``lib/<package>/<executable>`` of a prefix, else a program of that name.

    Raises:
        ConfigurationError: There is neither.
    """
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        path = Path(prefix) / "lib" / process.package / process.executable
        if prefix and os.access(path, os.X_OK):
            return str(path)
    beside = shutil.which(process.executable, path=str(Path(sys.executable).parent))
    found = beside or shutil.which(process.executable)
    if found is None:
        raise ConfigurationError(
            f"executable '{process.executable}' of package '{process.package}' is not installed",
            expected=f"lib/{process.package}/{process.executable} in a prefix of AMENT_PREFIX_PATH",
            fix="source env.bash (or the workspace's setup file), or leave the process out",
        )
    return found


class _Group:
    """The processes that were started, from the first start to the last end."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._children: dict[str, subprocess.Popen[str]] = {}
        self._changed = threading.Event()
        self._signalled = False
        self._optional: dict[str, Process] = {}

    def run(self, wanted: list[Process]) -> int:
        """Start all, wait, stop all; the exit code is that of the process that failed."""
        commands = {process.name: command(process, self._folder) for process in wanted}
        required = {process.name for process in wanted if process.required}
        self._optional = {process.name: process for process in wanted if process.optional}
        previous = {n: signal.signal(n, self._on_signal) for n in _SIGNALS}
        try:
            for name, words in commands.items():
                self._start(name, words)
            failed = self._wait(required)
        finally:
            self._stop()
            for number, handler in previous.items():
                signal.signal(number, handler)
        if failed:
            return failed
        # What our own signals did to a process that was still starting is no failure of it.
        asked = (0, -signal.SIGINT, -signal.SIGTERM)
        codes = [c.returncode for name, c in self._children.items() if name not in self._optional]
        return 1 if any(code not in asked for code in codes) else 0

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signalled = True
        self._changed.set()

    def _start(self, name: str, words: list[str]) -> None:
        # A session of its own: Ctrl-C in the terminal reaches the children once, by way of us.
        child = subprocess.Popen(
            words,
            env=dict(self._environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._children[name] = child
        print(f"[launch] {name} started (process {child.pid})", flush=True)
        assert child.stdout is not None
        threading.Thread(target=self._relay, args=(name, child.stdout), daemon=True).start()

    def _relay(self, name: str, lines: IO[str]) -> None:
        for line in lines:
            print(f"[{name}] {line.rstrip()}", flush=True)
        self._changed.set()

    def _wait(self, required: set[str]) -> int:
        """Wait until a required process or all of them end, one fails, or a signal comes.

        Returns:
            The exit code of the one that failed, as a shell would give it; 0 when none did.
        """
        while not self._signalled:
            # The closing of its output announces an end; the timeout is for one that lives on.
            self._changed.wait(0.5)
            self._changed.clear()
            ended = {n: c.returncode for n, c in self._children.items() if c.poll() is not None}
            for name in self._optional.keys() & ended.keys():
                print(f"[launch] {self._optional.pop(name).left(ended[name])}", flush=True)
                del self._children[name], ended[name]
            for name in [name for name in ended if ended[name]]:
                print(f"[launch] {name} ended with exit code {ended[name]}", flush=True)
            if any(ended.values()):
                code = next(code for code in ended.values() if code)
                return code if code > 0 else 128 - code
            if ended.keys() & required or len(ended) == len(self._children):
                break
        return 0

    def _stop(self) -> None:
        """Interrupt every process that runs, by its id, and see that it ends."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            running = [child for child in self._children.values() if child.poll() is None]
            for child in running:
                child.send_signal(number)
            for child in running:
                try:
                    child.wait(GRACE_S)
                except subprocess.TimeoutExpired:
                    continue
