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

"""Ctrl-C at any moment of the first seconds: it is quiet. The child interrupts itself, at an event.

What a user runs is tested, as it is built: the executables that scripts/write_executables.py makes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tiny_drive import write_drive

from depth_perception.cli import main as command

pytest.importorskip("rclpy")

ROOT = Path(__file__).resolve().parents[2]

INTERRUPTED_AT = """
import os, signal, sys

moment, name = os.environ["INTERRUPTED_AT"].split(" ")
done = False

def interrupt():
    global done
    if not done:
        done = True
        sys.setprofile(None)
        print("now", flush=True)
        os.kill(os.getpid(), signal.SIGINT)

def on_audit(event, arguments):
    if event == "import" and arguments[0] == name:
        interrupt()

def on_call(frame, event, argument):
    if event == "call" and frame.f_code.co_name == name:
        if "depth_perception" in frame.f_code.co_filename or "rclpy" in frame.f_code.co_filename:
            interrupt()

if moment == "site":
    interrupt()
elif moment == "import":
    sys.addaudithook(on_audit)
else:
    sys.setprofile(on_call)
"""
"""The sitecustomize of the child: sends SIGINT to itself when a module is imported, or a function
of ours or of rclpy called, whose name the environment says."""


@pytest.fixture(scope="module")
def executables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the executables, with the interpreter of the tests."""
    folder = tmp_path_factory.mktemp("bin")
    script = ROOT / "scripts" / "write_executables.py"
    words = ["--setup-cfg", str(ROOT / "setup.cfg"), "--interpreter", sys.executable]
    subprocess.run([sys.executable, str(script), *words, "--output", str(folder)], check=True)
    (folder / "sitecustomize.py").write_text(INTERRUPTED_AT)
    return folder


def interrupted(
    executables: Path, environment: dict[str, str], moment: str, *command: str
) -> tuple[int, list[str]]:
    """Run a command that is interrupted at a moment; return exit code and what it printed."""
    path = [str(executables), str(ROOT), environment.get("PYTHONPATH", "")]
    done = subprocess.run(
        [str(executables / command[0]), *command[1:]],
        env={**environment, "INTERRUPTED_AT": moment, "PYTHONPATH": os.pathsep.join(path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert "now" in lines, f"{moment} did not come:\n{done.stdout}"
    for word in ("Traceback", "KeyboardInterrupt", "Exception", "[ERROR]", "[FATAL]"):
        assert word not in done.stdout, done.stdout
    return done.returncode, lines[lines.index("now") + 1 :]


LOADING = [
    "site packages",
    "import depth_perception",
    "import numpy",
    "import cv2",
    "import rclpy",
    "import depth_perception.ros.process",
]


@pytest.mark.parametrize("moment", [*LOADING, "import depth_perception.pipeline", "call main"])
def test_a_node_that_is_interrupted_while_it_loads_ends_without_a_word(
    executables: Path, ros_environment: dict[str, str], moment: str
) -> None:
    code, lines = interrupted(executables, ros_environment, moment, "surround_depth")
    assert (code, lines) == (0, [])


@pytest.mark.parametrize("moment", ["site packages", "import cv2", "call parse"])
def test_a_player_that_is_interrupted_while_it_loads_ends_without_a_word(
    executables: Path, ros_environment: dict[str, str], tmp_path: Path, moment: str
) -> None:
    bag = str(write_drive(tmp_path / "drive", frames=2))
    code, lines = interrupted(executables, ros_environment, moment, "bag_player", bag)
    assert (code, lines) == (0, [])


@pytest.mark.parametrize(
    "moment",
    [
        "call transport_environment",
        "call init",
        "call configure",
        "import onnxruntime",
        "call activate",
        "call _spin_once",
    ],
)
def test_a_node_that_is_interrupted_later_ends_as_it_always_does(
    executables: Path, ros_environment: dict[str, str], moment: str
) -> None:
    code, _ = interrupted(executables, ros_environment, moment, "surround_depth")
    assert code == 0


@pytest.mark.parametrize("moment", ["call transport_environment", "call init", "call _spin_once"])
def test_a_player_that_is_interrupted_later_ends_as_it_always_does(
    executables: Path, ros_environment: dict[str, str], tmp_path: Path, moment: str
) -> None:
    bag = str(write_drive(tmp_path / "drive", frames=2))
    code, _ = interrupted(executables, ros_environment, moment, "bag_player", bag)
    assert code == 0


@pytest.mark.parametrize(
    ("moment", "verb"),
    [
        ("import argparse", "--help"),
        ("import depth_perception.cli.main", "replay"),
        ("call main", "replay"),
        ("import depth_perception.cli.arguments", "replay"),
        ("import yaml", "launch"),
    ],
)
def test_the_command_is_quiet_while_it_loads(
    executables: Path, ros_environment: dict[str, str], moment: str, verb: str
) -> None:
    code, lines = interrupted(executables, ros_environment, moment, "depth_perception", verb)
    assert (code, lines) == (-signal.SIGINT, [])


@pytest.mark.parametrize(
    "moment",
    [
        "call parser_for",
        "import numpy",
        "import cv2",
        "import depth_perception.evaluation.replay",
        "import onnxruntime",
        "call process",
    ],
)
def test_the_command_says_one_line_when_it_has_begun(
    executables: Path, ros_environment: dict[str, str], tmp_path: Path, moment: str
) -> None:
    bag, out = str(write_drive(tmp_path / "drive", frames=2)), str(tmp_path / "out")
    code, lines = interrupted(
        executables, ros_environment, moment, "depth_perception", "replay", bag, "-o", out
    )
    assert code == 128 + signal.SIGINT
    assert len([line for line in lines if line.startswith("interrupted")]) == 1


def test_an_interruption_that_is_ignored_or_made_another_error_still_ends_the_verb(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    timer = threading.Timer
    waited: list[int] = []

    class Goes:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def ignored(waits: int, verb: str, arguments: object) -> int:
        Goes()  # what is raised while an object goes is printed by Python, and no more
        for number in range(waits):
            time.sleep(0.01)
            waited.append(number)
        return 0

    def altered(verb: str, arguments: object) -> int:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as stop:
            raise ImportError("initialization failed") from stop
        return 0

    for work in (partial(ignored, 0), partial(ignored, 3000), altered):
        monkeypatch.setattr(command, "_run", work)
        assert command.main(["inspect", "x"]) == 128 + signal.SIGINT
        assert capfd.readouterr().err == "interrupted\n"
    assert len(waited) < 3000, "the second waited to the end"

    class Quick(threading.Timer):
        """As on a busy machine: it has fired before what started it goes on."""

        def start(self) -> None:
            super().start()
            self.join()
            time.sleep(0.001)

    fired: list[int] = []

    def quick_at_first(*arguments: Any) -> threading.Timer:
        fired.append(1)
        return (Quick if len(fired) < 3 else timer)(*arguments)

    monkeypatch.setattr(threading, "Timer", quick_at_first)
    monkeypatch.setattr(command, "_run", partial(ignored, 3000))
    assert command.main(["inspect", "x"]) == 128 + signal.SIGINT
    assert len(fired) == 3 and capfd.readouterr().err == "interrupted\n"
    monkeypatch.setattr(threading, "Timer", timer)

    def broken(verb: str, arguments: object) -> int:
        raise ImportError("no such module")

    monkeypatch.setattr(command, "_run", broken)
    with pytest.raises(ImportError):
        command.main(["inspect", "x"])


def test_ctrl_c_is_ignored_in_the_background_as_shells_ask_for_it(
    executables: Path, ros_environment: dict[str, str]
) -> None:
    path = str(executables / "depth_perception")
    code = "import os, signal; signal.signal(signal.SIGINT, signal.SIG_IGN);"
    code += f" os.execv({path!r}, [{path!r}, '--version'])"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={
            **ros_environment,
            "INTERRUPTED_AT": "import argparse",
            "PYTHONPATH": os.pathsep.join([str(executables), str(ROOT)]),
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0 and done.stdout.startswith("now"), done
