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

"""What the demo sets by itself: drives are measured by motion, unless the user says no."""

import argparse

import pytest
import yaml
from tiny_drive import write_drive

from depth_perception.cli import demo
from depth_perception.parameters import MotionParameters


@pytest.mark.parametrize(
    ("given", "motion"),
    [
        ([], True),
        (["--set", "motion.enabled=false"], False),
        (["--bag", "BAG"], True),
        (["--bag", "BAG", "--set", "motion.enabled=false"], False),
    ],
)
def test_drives_are_measured_by_motion(tmp_path, given, motion):
    bag = write_drive(tmp_path / "drive", frames=1)
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    options = parser.parse_args([str(bag) if item == "BAG" else item for item in given])
    path = demo._write_parameters(options, bag, tmp_path / "params.yaml")
    values = yaml.safe_load(path.read_text())["/**"]["ros__parameters"]
    assert values.get("motion.enabled", MotionParameters().enabled) is motion
    assert values["sync.queue_size"] == 1000
    assert (values["qos.input"], values["qos.input_depth"]) == ("reliable", 100)


def test_the_drive_moves_and_knows_what_else_does():
    said = dict(zip(demo.DRIVE[::2], demo.DRIVE[1::2], strict=True))
    assert float(said["--speed"]) * float(said["--seconds"]) > 10
    assert set(said["--truth"].split(",")) == {"depth", "instance"}
