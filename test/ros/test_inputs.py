"""What the door of the node says of broken messages: enough, and not again and again."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy")

from depth_perception.ros import inputs
from depth_perception.ros.inputs import Complaints


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(inputs.time, "monotonic", lambda: now[0])
    return now


def test_a_problem_is_said_once_and_again_while_it_lasts(clock: list[float]) -> None:
    lines: list[str] = []
    complaints = Complaints(lines.append)
    for second in range(61):
        clock[0] = 100.0 + second
        complaints.add("front", f"{second} bytes do not decode")
        complaints.add("", "nothing")
    assert lines[:2] == ["camera front: 0 bytes do not decode", "nothing"]
    assert [line for line in lines if line != "nothing"] == [
        f"camera front: {second} bytes do not decode" for second in (0, 30, 60)
    ]


def test_a_problem_of_every_other_image_does_not_fill_the_log(clock: list[float]) -> None:
    lines: list[str] = []
    complaints = Complaints(lines.append)
    for number in range(240):  # 20 s at 12 Hz
        clock[0] = 100.0 + number / 12
        if number % 2:
            complaints.add("front", "broken")
        else:
            complaints.clear("front")
    assert len(lines) == 4


def test_a_problem_that_was_gone_for_a_while_is_said_again(clock: list[float]) -> None:
    lines: list[str] = []
    complaints = Complaints(lines.append)
    complaints.add("front", "broken")
    complaints.add("rear", "broken")
    complaints.clear("front")
    clock[0] += 6.0
    complaints.add("front", "broken")
    complaints.add("rear", "broken")
    assert lines == ["camera front: broken", "camera rear: broken", "camera front: broken"]


def test_ever_new_problems_take_no_more_memory(clock: list[float]) -> None:
    complaints = Complaints(lambda line: None)
    for number in range(1000):
        complaints.add("front", "x" * number)
    complaints.clear("front")
    assert len(complaints._said) == len(complaints._cleared) == 200
