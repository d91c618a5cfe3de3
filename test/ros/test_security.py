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

"""The SROS 2 policy against the running node: all that it needs, nothing that it does not."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from conftest import wait_for

pytest.importorskip("rclpy")

POLICY = Path(__file__).resolve().parents[2] / "config/security/surround_depth.policy.xml"


def allowed(kind: str, right: str) -> list[str]:
    (profile,) = ElementTree.parse(POLICY).getroot().iter("profile")
    assert (profile.get("ns"), profile.get("node")) == ("/", "surround_depth")
    (group,) = [group for group in profile.findall(kind) if group.get(right) == "ALLOW"]
    return ["/" + str(item.text) for item in group]


@pytest.mark.parametrize(
    ("kind", "right", "ask"),
    [
        ("topics", "publish", "get_publisher_names_and_types_by_node"),
        ("topics", "subscribe", "get_subscriber_names_and_types_by_node"),
        ("services", "reply", "get_service_names_and_types_by_node"),
    ],
)
def test_policy_is_what_the_node_does(
    start: Any, vehicle: Any, listener: Any, kind: str, right: str, ask: str
) -> None:
    listener.listen("/surround_depth/status", "depth_perception/msg/SurroundDepthStatus")
    motion = {"motion__enabled": True, "motion__range_topic": "lidar/points"}
    node = start(use_sim_time=True, **motion).node
    wait_for(lambda: len(vehicle.watched) == 2)
    rules = allowed(kind, right)

    def names() -> list[str]:
        return [name for name, _ in getattr(node, ask)("surround_depth", "/")]

    wait_for(lambda: len(names()) >= 5)
    newer = ("get_type_description", "get_logger_levels", "set_logger_levels")
    optional = {f"/surround_depth/{name}" for name in newer}  # Humble's rclpy has none

    def unused() -> set[str]:
        return {r for r in rules if not any(fnmatchcase(n, r) for n in names())} - optional

    wait_for(lambda: not unused(), what=f"all of {rules}")
    forbidden = [n for n in names() if not any(fnmatchcase(n, rule) for rule in rules)]
    assert forbidden == []
