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

"""What `make bench` says of motion: that it measured something, by stage and number of cameras."""

from __future__ import annotations

from depth_perception.benchmarks.motion import measure, table


def test_motion_is_timed_while_it_measures():
    result = measure(1, (1, 2))
    assert list(result["cameras"]) == list(result["in_turns"]) == ["1", "2"]
    for row in (*result["cameras"].values(), *result["in_turns"].values()):
        # A bench that timed a vehicle that measures nothing would time nothing.
        assert row["cover"] > 0.5
        stages = row["follow_ms"] + row["motion_ms"] + row["match_ms"]
        assert 0.9 * row["all_ms"] < stages < 1.1 * row["all_ms"]
        assert row["cpu_ms_per_camera"] > 0
    assert result["ratio"] > 0 and result["shape"] == [234, 416]
    lines = table(result)
    assert len(lines) == 1 + 2 * (1 + 2) + 1 and "StereoSGBM" in lines[-1]
