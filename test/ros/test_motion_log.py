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

"""What the log says of the vehicle's motion: each fault once, and when it is over."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy")

from depth_perception.frames.surround_result import MotionState
from depth_perception.ros import motion_log, throttled_log
from depth_perception.ros.motion_log import MotionLog
from depth_perception.ros.throttled_log import ThrottledLog


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(motion_log.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(throttled_log.time, "monotonic", lambda: now[0])
    return now


def drive(log: MotionLog, clock: list[float], seconds: float, state: MotionState | None) -> None:
    for _ in range(round(seconds * 10)):
        clock[0] += 0.1
        log.add(state)


def test_a_fault_is_said_once_and_its_end_once(clock: list[float]) -> None:
    warned: list[str] = []
    said: list[str] = []
    log = MotionLog(ThrottledLog(warned.append).add, said.append)
    drive(log, clock, 3, MotionState("odometry", 5.0))
    assert said == ["motion: the vehicle's way is taken from odometry"] and not warned
    for turned in (3.1, 3.2, 4.0):
        problem = f"/odom: it turns by {turned} degrees otherwise. Fix: check it"
        drive(log, clock, 2, MotionState("images", 5.0, problem=problem))
    assert warned == ["/odom: it turns by 3.1 degrees otherwise. Fix: check it"]
    drive(log, clock, 10, MotionState("odometry", 5.0))
    assert said[1:] == [
        "motion: the vehicle's way is taken from the images alone",
        "motion: the vehicle's way is taken from odometry",
        "motion: this is over: /odom: it turns by 4.0 degrees otherwise",
    ]


def test_standing_and_single_sets_change_no_source(clock: list[float]) -> None:
    said: list[str] = []
    log = MotionLog(lambda camera, text: None, said.append)
    for source in ("odometry", "standing", "none"):
        drive(log, clock, 3, MotionState(source))
    for _ in range(20):
        drive(log, clock, 0.3, MotionState("odometry"))
        drive(log, clock, 0.2, MotionState("images"))
    log.add(None)
    assert said == ["motion: the vehicle's way is taken from odometry"]
