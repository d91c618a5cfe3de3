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

"""The demo: the same bag through the nodes over DDS and through replay gives the same bits."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_drive import write_drive

pytest.importorskip("rclpy")

from test_hints import run_hints


def test_nodes_and_replay_agree_bit_for_bit(
    needs_executables: None, ros_environment: dict[str, str], tmp_path: Path
) -> None:
    bag = write_drive(tmp_path / "drive", frames=5)
    done = subprocess.run(
        [sys.executable, "-m", "depth_perception.cli.main", "demo"]
        + ["--bag", str(bag), "--output", str(tmp_path / "out")],
        env=ros_environment,
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # Ten of depth, and of what motion measured at two of the sets or more.
    (count,) = re.findall(
        r"(\d+) of \1 depth images came over DDS, bit for bit those of replay", done.stdout
    )
    assert int(count) >= 10 + 4
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["frame_sets"] == 5
    assert (tmp_path / "out" / "report" / "index.html").stat().st_size > 10_000
    tried = done.stdout.split("and try:")[1]
    assert run_hints(tried, tmp_path)[:2] == ["inspect", "replay"]
    assert list((tmp_path / "DIR").glob("*_depth.jpg"))
