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

"""The tool that writes bags with wrong odometry: each fault is what it is called."""

from __future__ import annotations

import importlib.util
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from textured_street import pose

from depth_perception import messages
from depth_perception.datasets.bag import BagReader
from depth_perception.datasets.bag_writer import BagWriter
from depth_perception.parameters import Parameters

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "odometry_faults.py"
S = 1_000_000_000


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("odometry_faults", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def straight():
    return [(S + k * S // 10, pose(3.0 + 0.5 * k)) for k in range(20)]


def steps(poses):
    """Ways and turns (degrees) from pose to pose, in the base frame."""
    moves = [np.linalg.inv(a) @ b for (_, a), (_, b) in pairwise(poses)]
    turns = [np.degrees(np.arctan2(T[1, 0], T[0, 0])) for T in moves]
    return np.array([np.linalg.norm(T[:3, 3]) for T in moves]), np.array(turns)


def test_each_fault_is_what_it_is_called(tool):
    true = straight()
    np.testing.assert_allclose(steps(tool.scaled(true))[0], 0.515)
    assert tool.scaled(true)[0][1][0, 3] == 3.0
    assert [stamp - before for (stamp, _), (before, _) in zip(tool.delayed(true), true, strict=True)
            ] == [S // 10] * 20  # fmt: skip
    ways, _ = steps(tool.frozen(true))
    np.testing.assert_allclose(ways, [0.5] * 10 + [0.0] * 9)
    ways, turns = steps(tool.jumping(true))
    assert [k for k, way in enumerate(ways) if way > 0.6] == [4, 9, 14]
    np.testing.assert_allclose(turns[[4, 9, 14]], 5.0, atol=1e-6)
    ways, _ = steps(tool.reset(true))
    assert [k for k, way in enumerate(ways) if abs(way - 0.5) > 0.01] == [9]
    np.testing.assert_allclose(tool.reset(true)[10][1], np.eye(4), atol=1e-9)


def test_a_copy_differs_in_odometry_alone(tool, tmp_path, monkeypatch, capsys):
    with BagWriter(tmp_path / "bag") as writer:
        new = writer.types.new
        zero = new("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0)
        twist = new("geometry_msgs/msg/Twist", linear=zero, angular=zero)
        for stamp, T in straight():
            point = new("geometry_msgs/msg/Point", x=float(T[0, 3]), y=0.0, z=0.0)
            level = new("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
            at = new("geometry_msgs/msg/Pose", position=point, orientation=level)
            none = np.zeros(36)
            message = new(
                "nav_msgs/msg/Odometry",
                header=messages.header(writer.types, stamp, "odom"),
                child_frame_id="base_link",
                pose=new("geometry_msgs/msg/PoseWithCovariance", pose=at, covariance=none),
                twist=new("geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=none),
            )
            writer.write("/odom", message, stamp)
            note = new("std_msgs/msg/String", data=str(stamp))
            writer.write("/notes", note, stamp)
    arguments = [str(SCRIPT), str(tmp_path / "bag"), str(tmp_path / "out"), "delayed", "away"]
    monkeypatch.setattr(sys, "argv", arguments)
    assert tool.main() == 0, capsys.readouterr().err
    for fault, first in (("delayed", S + S // 10), ("away", None)):
        with BagReader(tmp_path / "out" / fault, Parameters()) as reader:
            assert reader.counts["/notes"] == 20
            assert [stamp for stamp, _ in reader.odometry][:1] == ([first] if first else [])
    assert tool.main() == 1  # nothing is written over
    assert "exists" in capsys.readouterr().err
