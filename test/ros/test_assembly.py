"""What images wait for before they join a frame set: calibration, labels; and policies."""

from __future__ import annotations

import dataclasses

import pytest

from depth_perception.errors import ConfigurationError
from depth_perception.frames.assembler import Now
from depth_perception.parameters import SyncParameters
from depth_perception.ros.assembly import FrameSetCollector

MS = 1_000_000
SYNC = SyncParameters(tolerance=0.05, timeout=0.2)


def collector(labels: bool = False, *cameras: str) -> FrameSetCollector:
    made = FrameSetCollector(SYNC, labels)
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


def test_incomplete_set_closes_after_the_timeout() -> None:
    made = collector()
    made.add_image("a", 1000 * MS, "A", at(0))
    assert made.expire(at(199)) == []
    (closed,) = made.expire(at(200))
    assert closed.missing == ("b",)


def test_image_before_its_calibration_waits_for_it() -> None:
    made = FrameSetCollector(SYNC, False)
    made.set_cameras(["a"])
    assert made.add_image("a", 1000 * MS, "A", at(0)) == []
    assert made.expire(at(1000)) == [], "without calibration it is of no use"
    (closed,) = made.add_calibration("a", at(1005))
    assert closed.members["a"][1].image == "A"


def test_images_without_calibration_do_not_pile_up() -> None:
    made = FrameSetCollector(SYNC, False)
    made.set_cameras(["a"])
    for index in range(100):
        made.add_image("a", (1000 + index) * MS, index, at(index))
    closed = made.add_calibration("a", at(200))
    assert [item.members["a"][1].image for item in closed] == [96, 97, 98, 99]


def test_image_waits_for_labels_of_its_stamp_but_not_for_ever() -> None:
    made = collector(True, "a")
    assert made.add_image("a", 1000 * MS, "A", at(0)) == []
    assert made.add_labels("a", 900 * MS, "old") == []
    (closed,) = made.add_labels("a", 1000 * MS, "L")
    assert closed.members["a"][1].labels == "L"
    made.add_image("a", 1100 * MS, "A2", at(100))
    assert made.expire(at(250)) == []
    (closed,) = made.expire(at(301))
    assert closed.members["a"][1].labels is None


def test_images_whose_labels_are_late_go_on_without_them() -> None:
    made = collector(True, "a")
    closed = [
        item for i in range(6) for item in made.add_image("a", (1000 + 100 * i) * MS, i, at(i))
    ]
    assert [item.members["a"][1].image for item in closed] == [0, 1]


@pytest.mark.parametrize("step", [0, 100])
def test_looped_bag_goes_on_after_it_started_again(step: int) -> None:
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


def test_simulated_time_that_goes_back_gives_up_no_image() -> None:
    made = collector()
    made.expire(at(5000))
    made.add_image("a", 1000 * MS, "A", at(5000))
    (closed,) = made.expire(Now(100 * MS, 5100 * MS))
    assert closed.missing == ("b",)
    assert made.jumps == 1
    assert made.expire(at(5200)) == []


def test_counts_outlive_a_change_of_cameras_and_tolerances() -> None:
    made = collector()
    made.add_image("a", 0, "A", at(0))
    made.add_image("a", 1000 * MS, "A", at(0))
    (closed,) = made.set_cameras(["a", "b", "c"])
    assert closed.missing == ("b",), "the set that was open is not lost"
    made.set_sync(dataclasses.replace(SYNC, tolerance=0.0))
    made.add_image("a", -1, "A", at(0))
    assert made.dropped("a") == {"zero_stamp": 2} and not made.dropped("b")
    made.add_image("a", 2000 * MS, "A", at(0))
    first, second = made.add_image("b", 2001 * MS, "B", at(1)) + made.expire(at(300))
    assert (len(first.members), len(second.members)) == (1, 1)


def test_policies() -> None:
    anchored = FrameSetCollector(dataclasses.replace(SYNC, policy="anchor", anchor="b"), False)
    anchored.set_cameras(["a"])  # the anchor is found later
    anchored.set_cameras(["a", "b"])
    for name in "ab":
        anchored.add_calibration(name, at(0))
    anchored.add_image("a", 1000 * MS, "A", at(0))
    anchored.add_image("b", 1060 * MS, "B", at(60))
    (closed,) = anchored.add_image("a", 1090 * MS, "A2", at(90))
    assert closed.members["a"][1].image == "A2"


def test_message_filters_is_used_where_it_is_installed_and_asked_for_elsewhere() -> None:
    sync = dataclasses.replace(SYNC, policy="approximate_time")
    try:
        import message_filters  # noqa: F401
    except ImportError:
        with pytest.raises(ConfigurationError, match=r"message_filters.*Fix: install"):
            FrameSetCollector(sync, False)
        return
    made = FrameSetCollector(sync, False)
    made.set_cameras(["a", "b"])
    for name in "ab":
        made.add_calibration(name, at(0))
    assert made.add_image("a", 1000 * MS, "A", at(0)) == []
    (closed,) = made.add_image("b", 1010 * MS, "B", at(1))
    assert closed.members["b"] == (1010 * MS, closed.members["b"][1])
    assert closed.members["b"][1].image == "B" and closed.stamp == 1000 * MS


@pytest.mark.parametrize("clock_first", [True, False])
def test_clock_and_stamps_that_jump_back_together_are_one_jump(clock_first: bool) -> None:
    made = collector()
    for number in range(5):
        for name in "ab":
            made.add_image(name, (5000 + 100 * number) * MS, "old", at(5000 + 100 * number))
        made.expire(at(5000 + 100 * number))
    closed = []
    for number in range(5):
        steady = (5500 + 100 * number) * MS
        new, late = Now((100 * number) * MS, steady), Now(5400 * MS, steady)
        if clock_first or number:
            closed += made.expire(new)
        for name in "ab":
            stamp = (1000 + 100 * number) * MS
            closed += made.add_image(name, stamp, "new", new if clock_first or number else late)
    assert made.jumps == 1
    assert [item.stamp for item in closed] == [(1000 + 100 * n) * MS for n in range(5)]
    assert all(item.complete for item in closed) and not made.dropped("a")
