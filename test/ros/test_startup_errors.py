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

"""A node that cannot start says why in one line, and ends with exit code 1."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

pytest.importorskip("rclpy")


@pytest.mark.parametrize(
    ("node", "arguments", "said"),
    [
        ("surround_depth", "fused.model:=absent.onnx", "model 'absent.onnx' cannot be read"),
        ("surround_depth", "ground.height:=high", "ground.height: 'high' is a str"),
        ("surround_depth", "ground.hight:=0.2", "'ground.hight' does not exist"),
        ("bag_player", "bag:=absent", "bag 'absent' does not exist"),
    ],
)
def test_what_keeps_a_node_from_starting_is_one_line(
    ros_environment: dict[str, str], node: str, arguments: str, said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"depth_perception.nodes.{node}", "--ros-args", "-p", arguments],
        env=ros_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 1
    (line,) = [x for x in done.stdout.splitlines() if re.search(r"\[(ERROR|FATAL)\]", x)]
    assert said in line and "Fix: " in line
    assert done.stdout.count(said) == 1
