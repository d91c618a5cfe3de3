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

"""What the node says of broken messages: enough, and not again and again."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy")

from depth_perception.ros import throttled_log
from depth_perception.ros.throttled_log import ThrottledLog


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(throttled_log.time, "monotonic", lambda: now[0])
    return now


def test_a_problem_is_said_once_and_again_while_it_lasts(clock: list[float]) -> None:
    lines: list[str] = []
    log = ThrottledLog(lines.append)
    for second in range(61):
        clock[0] = 100.0 + second
        log.add("front", f"{second} bytes do not decode")
        log.add("", "nothing")
    assert lines[:2] == ["camera front: 0 bytes do not decode", "nothing"]
    assert [line for line in lines if line != "nothing"] == [
        f"camera front: {second} bytes do not decode" for second in (0, 30, 60)
    ]


def test_a_problem_of_every_other_image_does_not_fill_the_log(clock: list[float]) -> None:
    lines: list[str] = []
    log = ThrottledLog(lines.append)
    for number in range(240):  # 20 s at 12 Hz
        clock[0] = 100.0 + number / 12
        if number % 2:
            log.add("front", "broken")
        else:
            log.clear("front")
    assert len(lines) == 4


def test_a_problem_that_was_gone_for_a_while_is_said_again(clock: list[float]) -> None:
    lines: list[str] = []
    log = ThrottledLog(lines.append)
    log.add("front", "broken")
    log.add("rear", "broken")
    log.clear("front")
    clock[0] += 6.0
    log.add("front", "broken")
    log.add("rear", "broken")
    assert lines == ["camera front: broken", "camera rear: broken", "camera front: broken"]


def test_ever_new_problems_take_no_more_memory(clock: list[float]) -> None:
    log = ThrottledLog(lambda line: None)
    for number in range(1000):
        log.add("front", "x" * number)
    log.clear("front")
    assert len(log._said) == len(log._cleared) == 200
