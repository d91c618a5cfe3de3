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

"""Advice for two ends of a topic that do not match: of the policy that it is about, no other."""

from __future__ import annotations

from typing import Any

import pytest

rclpy = pytest.importorskip("rclpy")

from rclpy.duration import Duration  # noqa: E402
from rclpy.qos import (  # noqa: E402
    DurabilityPolicy,
    LivelinessPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)

from depth_perception.parameters import QosParameters  # noqa: E402
from depth_perception.ros.graph_qos import Mismatch, mismatched_policies  # noqa: E402
from depth_perception.ros.qos import map_output, mismatch, policy_name, result_output  # noqa: E402

SECOND = Duration(seconds=1)
ASKED = {
    "reliability": {"reliability": ReliabilityPolicy.RELIABLE},
    "durability": {"durability": DurabilityPolicy.TRANSIENT_LOCAL},
    "deadline": {"deadline": SECOND},
    "liveliness": {"liveliness": LivelinessPolicy.MANUAL_BY_TOPIC},
    "liveliness_lease_duration": {"liveliness_lease_duration": SECOND},
}
"""What a subscriber may ask for, by policy, that a plain best-effort publisher does not offer."""


def profile(**asked: Any) -> QoSProfile:
    plain = {"reliability": ReliabilityPolicy.BEST_EFFORT, "liveliness": LivelinessPolicy.AUTOMATIC}
    return QoSProfile(depth=1, **{**plain, **asked})


@pytest.mark.parametrize("policy", ASKED)
def test_what_the_middleware_says_is_the_policy_asked_for(policy: str) -> None:
    assert mismatched_policies(profile(), profile(**ASKED[policy])) == (policy,)
    assert mismatched_policies(profile(**ASKED[policy]), profile()) == ()


@pytest.mark.parametrize("kind", [kind for kind in QoSPolicyKind if kind.name != "INVALID"])
@pytest.mark.parametrize("we_publish", [True, False])
def test_the_fix_is_of_the_policy(kind: QoSPolicyKind, we_publish: bool) -> None:
    policy = policy_name(kind)
    line = mismatch((policy,), "/points", we_publish, "/viewer")
    assert line.startswith("/points: /viewer ") and f"(QoS policy {policy})" in line
    fix = line.partition("Fix: ")[2]
    assert fix
    ours = "qos.output: reliable" if we_publish else "qos.input: sensor_data"
    assert (ours in fix) == (policy == "reliability")
    assert ("volatile" in fix) == (policy == "durability" and we_publish)
    assert ("transient_local" in fix) == (policy == "durability")
    if policy.startswith("live"):
        assert ("lease" in fix) == (policy == "liveliness_lease_duration")


def test_several_policies_have_a_fix_each() -> None:
    line = mismatch(("reliability", "durability"), "/points", True)
    assert "set qos.output: reliable" in line and "; and let the subscriber ask for volat" in line
    between = str(Mismatch("/tf_static", "/driver", "/nav", ("durability",)))
    assert "ask for volatile" in between and "publisher latch (transient_local)" in between
    ours = str(Mismatch("/surround_depth/points", "/surround_depth", "/nav", ("durability",)))
    assert "ask for volatile" in ours and "publisher" not in ours


def test_by_default_the_map_serves_whoever_asks_for_what_a_map_server_offers() -> None:
    latched = profile(**ASKED["durability"], reliability=ReliabilityPolicy.RELIABLE)
    assert mismatched_policies(map_output(QosParameters()), latched) == ()
    assert mismatched_policies(result_output(QosParameters()), latched) == ("durability",)
