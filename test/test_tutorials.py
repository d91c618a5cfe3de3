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

"""The tutorials of docs/tutorials: every command in them is run, in their order and in one folder.

What is smaller here than there stands in `SMALLER`; what is not run, and what is looked at instead,
in `check_instead`; where a refusal is an answer, too, in `REFUSALS`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from depth_perception.cli.main import main
from depth_perception.frames.publication import vehicle_topics
from depth_perception.nodes.bringup import processes, resolve

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "tutorials"

SMALLER = {
    "world --output": "--seconds 1.6 --width 96 --samples 1",
    "world --output my_drive": "--seconds 3 --speed 13 --width 128 --samples 1",
    "evaluate": "--frames 3",
    "replay": "--frames 3",
    "world --dataset": "--frames 2 --sets-per-drive 2 --width 128 --samples 1 --workers 1",
    "train": "--set schedule.steps=2 --set schedule.batch=2 --set schedule.warm_up=1"
    " --set data.sizes=[[64,64]] --set data.workers=0 --device cpu",
    "export": "--size 128x64 --calibration-sets 1",
    "adapt": "--frame-sets 8 --rehearsal 0 --steps 2 --device cpu",
}
"""Put behind a command that begins so, where the last of two options counts."""

REFUSALS = {
    "ego-mask": "not written, since doubted",  # no body is in view, and two seconds are too few
    "adapt": "nothing to learn from|no better",  # so short and small a drive teaches nothing
}
"""What a verb may end with exit code 1 for: the tutorial says so."""

LONG = {"my_robot.md", "judge_a_release.md", "adapt.md", "own_network.md"}
NEEDED = {"my_robot.md": (), "judge_a_release.md": ("first_drive.md",)}
NEEDED["own_network.md"] = NEEDED["adapt.md"] = ("first_drive.md", "judge_a_release.md")
"""Tutorials whose files another one uses."""


def pages() -> list[str]:
    """Name the tutorials in the order of their table."""
    return re.findall(r"^\| \[[^]]+\]\((\w+\.md)\)", (FOLDER / "index.md").read_text(), re.M)


def statements(text: str) -> list[str]:
    """Split the bash blocks of a page into what a shell runs one by one."""
    found: list[str] = []
    for block in re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S):
        pending = ""
        for line in block.splitlines(keepends=True):
            pending += line
            if pending.strip() and _whole(pending):
                found.append(pending.strip())
                pending = ""
        assert not pending.strip(), f"a command that does not end: {pending}"
    return found


def _whole(text: str) -> bool:
    """Whether a shell would run it now, and not wait for more."""
    mark = re.search(r"<<'(\w+)'", text)
    if mark:
        return re.search(rf"^{mark[1]}$", text, re.M) is not None
    if text.rstrip().endswith("\\"):
        return False
    return (
        subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True).returncode == 0
    )


def check_instead(statement: str) -> bool:
    """Look at what is not run; False where it is to be run.

    Drivers, `ros2 bag` and `ros2 topic` are in no wheel, and need a robot; nodes that are launched
    are run by test/ros. Topics, launch arguments and what is launched are looked at all the same.
    """
    words = shlex.split(statement)
    if words[0] == "ros2" and words[1] in ("run", "bag", "topic"):
        known = {f"/{topic}" for topic, _ in vehicle_topics(motion=True).values()}
        ours = {word for word in words if word.startswith("/surround_depth/")}
        assert ours <= known, ours - known
        assert words[1] != "run" or words[2] in ("camera_calibration", "tf2_ros")
        return True
    if words[1:2] == ["launch"]:
        assignments = dict(word.split(":=") for word in words if ":=" in word)
        resolve(assignments)
        if words[0] == "depth_perception":
            assert [process.name for process in processes(assignments)]
        return True
    return False


def run(statement: str, said: Callable[[], str]) -> None:
    """Run one statement in the folder that is current; the verbs in this process.

    Args:
        statement: As the tutorial has it.
        said: Returns what was printed since it was last called.
    """
    if check_instead(statement):
        return
    statement = re.sub(r"\\\n\s*", "", statement)
    simple = not re.search(r"[;|><]|&&|\|\|", statement)
    words = shlex.split(statement, comments=True)
    if words[0] != "depth_perception" or not simple:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", statement], text=True, capture_output=True
        )
        assert done.returncode == 0, f"{statement}\n{done.stdout}{done.stderr}"
        return
    verb = words[1]
    begins = [text for text in SMALLER if f"{' '.join(words[1:])} ".startswith(f"{text} ")]
    arguments = words[1:] + shlex.split(SMALLER[max(begins, key=len)] if begins else "")
    try:
        code = main(arguments)
    except SystemExit as stop:
        assert {"--help", "--version"} & set(words), said()
        code = int(stop.code or 0)
    text = said()
    if code == 1 and verb in REFUSALS:
        assert re.search(REFUSALS[verb], text), f"{statement}\n{text}"
        return
    assert code == 0, f"{statement}\n{text}"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The folder of all tutorials, with the command in it, and which were worked through in it."""
    folder = tmp_path_factory.mktemp("tutorials")
    commands = tmp_path_factory.mktemp("bin")
    for name, module in (("depth_perception", "-m depth_perception.cli.main"), ("python", "")):
        script = commands / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {module} "$@"\n')
        script.chmod(0o755)
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{commands}{os.pathsep}{before}"
    yield folder, set()
    os.environ["PATH"] = before


@pytest.mark.parametrize(
    "page", [pytest.param(p, marks=pytest.mark.long) if p in LONG else p for p in pages()]
)
def test_every_command_of_a_tutorial_works(page, place, monkeypatch, capsys):
    pytest.importorskip("warp")
    if page in LONG:
        pytest.importorskip("torch")
    folder, done = place
    monkeypatch.chdir(folder)

    def said() -> str:
        captured = capsys.readouterr()
        return captured.out + captured.err

    for name in (*NEEDED.get(page, ()), page):
        if name in done:
            continue
        for statement in statements((FOLDER / name).read_text(encoding="utf-8")):
            run(statement, said)
        done.add(name)


def test_all_tutorials_are_in_the_table():
    assert {path.name for path in FOLDER.glob("*.md")} == {*pages(), "index.md"}


def test_statements_are_what_a_shell_would_run():
    text = "```bash\na \\\n  b\ncat > f <<'END'\nfor x in\nEND\npython -c \"\nx\n\"\n```\n"
    assert statements(text) == ["a \\\n  b", "cat > f <<'END'\nfor x in\nEND", 'python -c "\nx\n"']
    with pytest.raises(AssertionError, match="does not end"):
        statements("```bash\necho 'open\n```\n")


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("depth_perception inspect nowhere", AssertionError),
        ("depth_perception inspect --nonsense", AssertionError),
        ("false", AssertionError),
        ("ros2 topic hz /surround_depth/pionts", AssertionError),
        ("depth_perception launch bga:=x", Exception),
    ],
)
def test_a_command_that_does_not_work_would_be_found(statement, error, capsys):
    with pytest.raises(error):
        run(statement, lambda: capsys.readouterr().err)
