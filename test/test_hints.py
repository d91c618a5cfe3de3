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

"""Commands that people are told to type: of README, docs and help they parse, of verbs they run."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest
from tiny_drive import write_drive

from depth_perception.cli.main import VERBS, main, parser_for
from depth_perception.errors import ConfigurationError
from depth_perception.nodes.bringup import processes, resolve

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands(text: str) -> list[str]:
    """Lines of code that begin with the command or the launch file, whole and without comments."""
    text = re.sub(r" *\\\n\s*", " ", text)
    wanted = re.compile(r"^\s*((?:depth_perception [a-z]|ros2 launch depth_perception ).*)$", re.M)
    indented = [line for line in text.splitlines() if line.startswith("    ")]
    blocks = re.findall(r"^```(?:bash)?\n(.*?)^```", text, re.M | re.S)
    found = wanted.findall("\n".join([*indented, *blocks]))
    return [re.sub(r"\s+#.*", "", line).strip() for line in found]


def told() -> list[tuple[str, str]]:
    """Where a command stands, and the command."""
    found = [(str(page.relative_to(ROOT)), c) for page in PAGES for c in commands(page.read_text())]
    for verb in VERBS:
        module = importlib.import_module(f"depth_perception.cli.{verb.replace('-', '_')}")
        found += [(verb, c) for c in commands(module.__doc__ or "")]
    # What has places to fill in is a pattern, no command.
    pattern = re.compile(r"[<\[]|\.\.\. |\$[A-Z]")
    return [(w, c) for w, c in found if not pattern.search(c.replace("data.folders=[", ""))]


@pytest.mark.parametrize(("where", "command"), told())
def test_a_command_that_people_are_told_parses(where, command, capsys):
    words = shlex.split(command)
    if words[0] == "ros2" or words[1] == "launch":
        assignments = [word.split(":=") for word in words if ":=" in word]
        resolve(dict(assignments))
        return
    verb = words[1]
    assert verb in VERBS, where
    try:
        options = parser_for(verb).parse_args(words[2:])
    except SystemExit as stop:
        assert "--help" in words or "--version" in words, f"{where}: {capsys.readouterr().err}"
        assert not stop.code
        return
    for value in vars(options).values():
        if isinstance(value, str) and value.startswith("config/"):
            assert (ROOT / value).exists(), f"{where}: {value}"


def test_targets_of_make_that_people_are_told_exist():
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    targets = {target for line in lines if (target := line.partition(":")[0]).isidentifier()}
    targets |= {"test-all", "test-long"}
    for page in PAGES:
        for block in re.findall(r"^```bash\n(.*?)^```", page.read_text(), re.M | re.S):
            told_here = re.findall(r"^(?:\w+=\S+ )*make ([\w-]+)", block, re.M)
            assert set(told_here) <= targets, page


def hints(text: str) -> list[list[str]]:
    """Commands of the package in what a verb has printed."""
    lines = re.findall(r"^\s*(?:look at it: )?depth_perception (.*)$", text, re.M)
    return [re.split(r"   ", line)[0].split() for line in lines]


def run_hints(text: str, folder: Path) -> list[str]:
    """Run each command, with a folder for DIR; gives the verbs that were run."""
    verbs = []
    for words in hints(text):
        verbs.append(words[0])
        if words[0] == "launch":
            processes(dict(word.split(":=") for word in words[1:]))
            continue
        code = main([str(folder / word) if word == "DIR" else word for word in words])
        assert code == 0, f"depth_perception {' '.join(words)} ended with {code}"
    return verbs


def test_what_world_tells_to_type_works(tmp_path, capsys):
    pytest.importorskip("warp")
    small = ["--width", "64", "--seconds", "0.2", "--rate", "5", "--samples", "1", "--rig", "kitti"]
    assert main(["world", "-o", str(tmp_path / "drive"), *small]) == 0
    assert run_hints(capsys.readouterr().out, tmp_path) == ["inspect"]


def test_what_ego_mask_tells_to_type_parses(tmp_path, capsys):
    bag = write_drive(tmp_path / "bag", frames=12)
    assert main(["ego-mask", str(bag), "--output", str(tmp_path / "masks.yaml")]) in (0, 1)
    said = capsys.readouterr()
    for fix in re.findall(r"--force [\w ]+", said.err):
        parser_for("ego-mask").parse_args([str(bag), "--output", "m.yaml", *fix.split()])


def test_a_launch_argument_that_does_not_exist_would_be_found():
    """Of the test above: it can fail."""
    with pytest.raises(ConfigurationError):
        resolve({"bagg": "x"})
    with pytest.raises(SystemExit):
        parser_for("replay").parse_args(["BAG", "--outptu", "x"])
    assert commands("```bash\ndepth_perception replay BAG \\\n  -o OUT   # why\n```\n") == [
        "depth_perception replay BAG -o OUT"
    ]
