"""Frame sets: nearest stamp, tolerance, missing cameras, late and repeated images."""

import pytest

from depth_perception.errors import ConfigurationError
from depth_perception.frame_set import FrameSetAssembler

MS = 1_000_000


def stamps(closed):
    return {name: stamp // MS for name, (stamp, _) in closed.members.items()}


def test_a_set_closes_when_its_last_camera_arrives():
    assembler = FrameSetAssembler(["left", "right"], 50 * MS)
    assert assembler.add("left", 100 * MS, "l") == []
    (closed,) = assembler.add("right", 130 * MS, "r")
    assert stamps(closed) == {"left": 100, "right": 130}
    assert closed.complete
    assert closed.stamp == 100 * MS


def test_images_farther_apart_than_the_tolerance_are_two_sets():
    assembler = FrameSetAssembler(["left", "right"], 50 * MS)
    assembler.add("left", 100 * MS, "")
    assert assembler.add("right", 151 * MS, "") == []
    first, second = assembler.flush()
    assert (first.missing, second.missing) == (("right",), ("left",))


def test_an_image_joins_the_nearest_open_set():
    assembler = FrameSetAssembler(["a", "b"], 50 * MS)
    assembler.add("a", 100 * MS, "")
    assembler.add("a", 180 * MS, "")
    closed = assembler.add("b", 145 * MS, "")
    # 145 is 35 ms from 180 and 45 ms from 100; the older set goes out first, incomplete.
    assert [stamps(c) for c in closed] == [{"a": 100}, {"a": 180, "b": 145}]


def test_order_of_arrival_does_not_matter_within_a_set():
    assembler = FrameSetAssembler(["a", "b", "c"], 50 * MS)
    assembler.add("c", 140 * MS, "")
    assembler.add("a", 100 * MS, "")
    (closed,) = assembler.add("b", 120 * MS, "")
    assert list(stamps(closed).items()) == [("a", 100), ("b", 120), ("c", 140)]


def test_a_camera_that_stopped_does_not_hold_the_others_back():
    assembler = FrameSetAssembler(["a", "b"], 10 * MS, max_open=3)
    closed = [c for i in range(10) for c in assembler.add("a", i * 100 * MS, "")]
    assert len(closed) == 7
    assert all(c.missing == ("b",) for c in closed)


def test_a_deadline_closes_old_sets_only():
    assembler = FrameSetAssembler(["a", "b"], 10 * MS)
    assembler.add("a", 100 * MS, "")
    assembler.add("a", 300 * MS, "")
    assert [stamps(c) for c in assembler.flush(before=200 * MS)] == [{"a": 100}]
    assert [stamps(c) for c in assembler.flush()] == [{"a": 300}]


def test_an_image_of_a_set_that_has_closed_is_counted_not_used():
    assembler = FrameSetAssembler(["a", "b"], 20 * MS)
    assembler.add("a", 100 * MS, "")
    assembler.add("b", 100 * MS, "")
    assert assembler.add("a", 90 * MS, "") == []
    assert assembler.flush() == []
    assert assembler.late == 1


def test_the_nearer_of_two_images_of_one_camera_is_kept():
    assembler = FrameSetAssembler(["a", "b"], 50 * MS)
    assembler.add("a", 100 * MS, "")
    assembler.reset()
    assembler.add("b", 140 * MS, "far")
    assembler.add("b", 140 * MS, "same again")
    sets = assembler.flush()
    assert sets[0].members["b"][1] == "far"


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigurationError, match="no cameras"):
        FrameSetAssembler([], 1)
    with pytest.raises(ConfigurationError, match=r"sync\.tolerance"):
        FrameSetAssembler(["a"], -1)
