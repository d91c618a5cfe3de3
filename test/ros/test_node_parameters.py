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

"""ROS parameters of `surround_depth`: declared from one table, described, and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import RosSession

from depth_perception.errors import ConfigurationError
from depth_perception.parameters import Parameters, load, specifications

rclpy = pytest.importorskip("rclpy")

from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

from depth_perception.ros.parameters import NodeParameters  # noqa: E402

CONFIG = Path(__file__).resolve().parents[2] / "config"


def declared(*arguments: str, **overrides: Any) -> tuple[Parameters, Node]:
    node = Node(
        "parameters",
        cli_args=["--ros-args", *arguments] if arguments else None,
        parameter_overrides=[
            Parameter(k.replace("__", "."), value=v) for k, v in overrides.items()
        ],
    )
    try:
        return NodeParameters(node, lambda changed: None).read(), node
    except BaseException:
        node.destroy_node()
        raise


def test_defaults_and_the_file_of_all_defaults_agree(ros: RosSession) -> None:
    parameters, node = declared()
    assert parameters == Parameters()
    node.destroy_node()
    parameters, node = declared("--params-file", str(CONFIG / "surround.yaml"))
    assert parameters == Parameters()
    described = node.describe_parameter("sync.tolerance")
    assert "frame set" in described.description and not described.read_only
    assert described.floating_point_range[0].to_value == 10.0
    assert "16UC1" in node.describe_parameter("output.depth_encoding").additional_constraints
    node.destroy_node()


@pytest.mark.parametrize("name", ["nuscenes", "ddad", "kitti"])
def test_files_of_the_data_sets_load_alike_with_and_without_ros(ros: RosSession, name: str) -> None:
    parameters, node = declared("--params-file", str(CONFIG / f"{name}.yaml"))
    without = load(CONFIG / f"{name}.yaml")
    assert parameters.cameras == without.cameras and len(parameters.cameras) in (1, 6)
    assert parameters == without
    node.destroy_node()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"sync__tolerance": 99.0}, "sync.tolerance"),
        ({"sync__tolerance": "soon"}, "sync.tolerance: 'soon' is a str; expected a float"),
        ({"estimator": "magic"}, "estimator: 'magic'; expected one of fused, embodied, relative"),
        ({"cameras": ["a"], "image_topics": ["/a", "/b"]}, "image_topics has 2 entries"),
    ],
)
def test_impossible_values_are_one_line_that_names_the_parameter(
    ros: RosSession, overrides: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        declared(**overrides)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert "Fix: " in str(caught.value)


def test_whole_number_stands_for_a_float(ros: RosSession) -> None:
    parameters, node = declared(sync__tolerance=1)
    assert parameters.sync.tolerance == 1.0
    node.destroy_node()


def test_surround_yaml_names_every_parameter_with_its_default() -> None:
    tree = yaml.safe_load((CONFIG / "surround.yaml").read_text())["/**"]["ros__parameters"]
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update({f"{key}.{name}": item for name, item in value.items()})
        else:
            flat[key] = value
    assert flat == {spec.name: spec.default for spec in specifications()}
    comments = [line.strip() for line in (CONFIG / "surround.yaml").read_text().splitlines()]
    text = " ".join(line[2:] for line in comments if line.startswith("# "))
    assert [s.name for s in specifications() if " ".join(s.description.split()) not in text] == []
