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

"""A node that does not keep pace does less of what can be put off, and more again afterwards."""

import pytest

pytest.importorskip("rclpy")


def test_effort_falls_while_sets_wait_and_comes_back_slowly():
    from depth_perception.ros.processing import next_effort

    effort, seen = 1.0, []
    for _ in range(20):
        effort = next_effort(effort, behind=True)
        seen.append(effort)
    assert seen == sorted(seen, reverse=True) and seen[0] < 1.0 and seen[-1] == 0.5
    sets = 0
    while effort < 1.0:
        effort, sets = next_effort(effort, behind=False), sets + 1
    assert effort == 1.0 and 20 < sets < 60, "slower than it fell, and not for ever"
