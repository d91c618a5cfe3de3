"""Closing of frame sets: deadlines, waiting for calibration and labels, and time that jumps."""

from __future__ import annotations

import pytest

from depth_perception.parameters import SyncParameters
from depth_perception.ros.assembly import FrameSetCollector, Now

MS = 1_000_000


def collector(labels: bool = False, *cameras: str) -> FrameSetCollector:
    made = FrameSetCollector(SyncParameters(tolerance=0.05, timeout=0.2), labels)
    made.set_cameras(cameras or ("a", "b"))
    for name in cameras or ("a", "b"):
        made.add_calibration(name, Now(0, 0))
    return made


def at(milliseconds: float) -> Now:
    return Now(round(milliseconds * MS), round(milliseconds * MS))


def test_complete_set_closes_at_once() -> None:
    made = collector()
    assert made.add_image("a", 1000 * MS, "A", at(0)) == []
    (closed,) = made.add_image("b", 1010 * MS, "B", at(1))
    assert closed.complete and closed.stamp == 1000 * MS
    assert made.expire(at(1000)) == []


def test_incomplete_set_closes_after_the_timeout_and_not_before() -> None:
    made = collector()
    made.add_image("a", 1000 * MS, "A", at(0))
    assert made.expire(at(199)) == []
    (closed,) = made.expire(at(200))
    assert closed.missing == ("b",)


def test_timeout_is_of_the_nodes_time_so_that_slow_replay_keeps_its_sets() -> None:
    made = collector()
    # At a tenth of the speed 43 ms between two cameras take 430 ms.
    made.add_image("a", 1000 * MS, "A", Now(0, 0))
    assert made.expire(Now(30 * MS, 300 * MS)) == []
    (closed,) = made.add_image("b", 1043 * MS, "B", Now(43 * MS, 430 * MS))
    assert closed.complete


def test_steady_time_ends_the_wait_where_the_clock_stands_still() -> None:
    made = collector()
    made.add_image("a", 1000 * MS, "A", Now(7, 0))
    assert made.expire(Now(7, 1999 * MS)) == []
    assert len(made.expire(Now(7, 2000 * MS))) == 1


def test_image_before_its_calibration_waits_for_it() -> None:
    made = FrameSetCollector(SyncParameters(), False)
    made.set_cameras(["a"])
    assert made.add_image("a", 1000 * MS, "A", at(0)) == []
    (closed,) = made.add_calibration("a", at(5))
    assert closed.members["a"][1].image == "A"


def test_image_waits_for_labels_of_its_stamp_but_not_for_ever() -> None:
    made = collector(True, "a")
    assert made.add_image("a", 1000 * MS, "A", at(0)) == []
    assert made.add_labels("a", 900 * MS, "old", at(1)) == []
    (closed,) = made.add_labels("a", 1000 * MS, "L", at(50))
    assert closed.members["a"][1].labels == "L"
    made.add_image("a", 1100 * MS, "A2", at(100))
    assert made.expire(at(250)) == []
    (closed,) = made.expire(at(301))
    assert closed.members["a"][1].labels is None


@pytest.mark.parametrize("step", [0, 100])
def test_looped_bag_goes_on_after_it_started_again(step: int) -> None:
    """Also one of a single frame set, which repeats the same stamps."""
    made = collector()
    closed = []
    for loop in range(3):
        for index in range(1 if step == 0 else 3):
            for offset, name in enumerate(("a", "b")):
                stamp = (1000 + index * step + 10 * offset) * MS
                now = at(loop * 1000 + index * 100 + 10 * offset)
                closed += made.add_image(name, stamp, "image", now)
    assert len(closed) == (3 if step == 0 else 9)
    assert all(item.complete for item in closed)
    assert made.jumps == 2


def test_camera_with_a_frozen_clock_does_not_disturb_the_others() -> None:
    made = collector(False, "a", "b", "frozen")
    closed = []
    for index in range(10):
        for name in ("a", "b"):
            closed += made.add_image(name, (1000 + 100 * index) * MS, "image", at(100 * index))
        closed += made.add_image("frozen", 1000 * MS, "image", at(100 * index))
        closed += made.expire(at(100 * index + 99))
    closed += made.expire(at(5000))
    assert made.jumps == 0
    assert len(closed) == 10
    assert all({"a", "b"} <= set(item.members) for item in closed)


def test_simulated_time_that_goes_back_resets() -> None:
    made = collector()
    made.expire(at(5000))
    made.add_image("a", 1000 * MS, "A", at(5000))
    made.expire(at(100))
    assert made.jumps == 1
    assert made.expire(at(5000)) == []


def test_duplicate_of_an_image_is_not_a_new_start() -> None:
    made = collector()
    made.add_image("a", 1000 * MS, "A", at(0))
    made.add_image("a", 1000 * MS, "A", at(2))
    (closed,) = made.add_image("b", 1000 * MS, "B", at(3))
    assert closed.complete and made.jumps == 0
