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

"""Frame sets: nearest stamp, missing cameras, deadlines, impossible stamps and jumps of time."""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth_perception.errors import ConfigurationError
from depth_perception.frames.assembler import DROP_REASONS, FrameSetAssembler, Now
from depth_perception.frames.frame_set import FrameSet

MS = 1_000_000
START = 1_700_000_000_000 * MS
PERIOD = 83 * MS
SURROUND = ("front", "front_left", "front_right", "rear", "rear_left", "rear_right")


START_OF_TIME = Now(0, 0)


class Assembler(FrameSetAssembler[tuple[int, Any]]):
    """Keeps each payload's stamp beside it."""

    def add(
        self, camera: str, stamp: int, payload: Any, now: Now = START_OF_TIME
    ) -> list[FrameSet[tuple[int, Any]]]:
        kept = payload if isinstance(payload, tuple) else (stamp, payload)
        return super().add(camera, stamp, kept, now)


def stamps(closed: FrameSet[Any]) -> dict[str, int]:
    return {name: stamp // MS for name, (stamp, _) in closed.frames.items()}


def at(milliseconds: float) -> Now:
    return Now(round(milliseconds * MS), round(milliseconds * MS))


class Drive:
    """Feeds an assembler as cameras at 12 Hz would, with jitter, and keeps the sets."""

    def __init__(self, cameras: tuple[str, ...] = SURROUND, **options: object) -> None:
        self.cameras = cameras
        self.assembler: Assembler = Assembler(list(cameras), 50 * MS, timeout=200 * MS, **options)
        self.random = random.Random(7)
        self.steady = 0
        self.closed: list[tuple[int, FrameSet[Any]]] = []

    def run(
        self,
        sets: int,
        *,
        without: tuple[str, ...] = (),
        lost: float = 0.0,
        offset: int = 0,
        offsets: dict[str, int] | None = None,
        start: int | None = None,
    ) -> None:
        """Let time pass: ``sets`` periods; offsets (ns) are added to the stamps."""
        if start is not None:
            self.random = random.Random(7)
        for index in range(sets):
            base = START + self.steady + offset if start is None else start + index * PERIOD
            order = sorted((self.random.uniform(0, 20 * MS), name) for name in self.cameras)
            for jitter, name in order:
                if name in without or self.random.random() < lost:
                    continue
                arrived = self.steady + round(jitter) + 5 * MS
                self._tick(arrived)
                stamp = base + round(jitter) + (offsets or {}).get(name, 0)
                for item in self.assembler.add(name, stamp, name, Now(arrived, arrived)):
                    self.closed.append((arrived, item))
            self.steady += PERIOD
            self._tick(self.steady)

    def _tick(self, until: int) -> None:
        for item in self.assembler.expire(Now(until, until)):
            self.closed.append((until, item))

    @property
    def sets(self) -> list[FrameSet[Any]]:
        return [item for _, item in self.closed]


def pair(**options: object) -> Assembler:
    return Assembler(["a", "b"], 50 * MS, **options)


def test_a_set_closes_when_its_last_camera_arrives() -> None:
    assembler = pair()
    assert assembler.add("a", 100 * MS, "A") == []
    (closed,) = assembler.add("b", 130 * MS, "B")
    assert stamps(closed) == {"a": 100, "b": 130}
    assert closed.complete and closed.stamp == 100 * MS


class Told(list[str]):
    """What was said at level debug."""

    def __call__(self, make: Any, *arguments: Any) -> None:
        self.append(make(*arguments))


def test_debug_tells_why_a_set_closes_and_what_is_not_in_it() -> None:
    told = Told()
    assembler = pair(timeout=200 * MS, debug=told)
    assembler.add("a", START, "")
    assembler.add("b", START + 30 * MS, "")
    assert told == ["frame set 1700000000.000000000 closes complete: a +0.0 ms, b +30.0 ms"]
    told.clear()
    assembler.add("a", START + 100 * MS, "", at(100))
    assembler.expire(at(300))
    (line,) = told
    assert "frame set 1700000000.100000000 closes at its deadline (sync.timeout): a" in line
    assert line.endswith("; without b (none came; its latest is 70.0 ms older)")


def test_debug_tells_that_nothing_more_can_come_or_that_all_sets_close() -> None:
    told = Told()
    assembler = pair(debug=told)
    assembler.add("b", START, "")
    assert told == []
    assembler.add("a", START + 100 * MS, "")
    (line,) = told
    assert "closes as nothing more can come: b +0.0 ms; without a (has sent a newer one, " in line
    told.clear()
    assembler.flush()
    (line,) = told
    assert "closes as every open set does: a +0.0 ms; without b (none came; " in line


def test_debug_tells_whom_a_set_does_not_wait_for() -> None:
    told = Told()
    drive = Drive(debug=told)
    drive.run(3)
    drive.run(6, without=("rear",))
    assert drive.sets[-1].missing.keys() == {"rear"}
    assert told[-1].endswith("without rear (missed 2 sets in a row: not waited for)")
    assert len([line for line in told if line.startswith("frame set")]) == len(drive.sets)
    slow = Told()
    assembler = pair(debug=slow)
    for index in range(8):
        assembler.add("a", START + index * 400 * MS, "")
        for step in range(4):
            assembler.add("b", START + (index * 4 + step) * 100 * MS, "")
    assert slow[-1].endswith("without a (not due: one comes each 400.0 ms)")


@pytest.mark.parametrize(
    ("stamp", "said"),
    [
        (0, "is left out: header.stamp is zero"),
        (START, "is left out: the stamp of the image before"),
        (START + 3_600_000 * MS, "is held back: stamps are 3600.0 s ahead of the other cameras'"),
        (START - 100 * MS, "is held back: stamps went back by 0.100 s"),
    ],
)
def test_debug_tells_which_images_are_left_out_and_why(stamp: int, said: str) -> None:
    told = Told()
    assembler = Assembler(["a", "b", "c"], 50 * MS, debug=told)
    for name in ("a", "b", "c"):
        assembler.add(name, START, "")
    told.clear()
    assembler.add("a", stamp, "")
    assert told == [f"a: image {stamp // 10**9}.{stamp % 10**9:09d} {said}"]


def test_debug_tells_of_every_image_that_is_counted_as_left_out() -> None:
    told = Told()
    drive = Drive(debug=told)
    drive.run(60, lost=0.1, offsets={"rear": 40 * MS})
    drive.run(20, offset=3_600_000 * MS)
    said = Counter(line.split(" is left out: ")[1] for line in told if " is left out: " in line)
    assert said == {DROP_REASONS[reason]: n for reason, n in drive.assembler.dropped.items()}
    assert any(line.startswith("time has jumped: most cameras agree (") for line in told)


def test_images_farther_apart_than_the_tolerance_are_two_sets() -> None:
    assembler = pair()
    assembler.add("a", 100 * MS, "")
    # b has gone past a's image already, so nothing can join it any more.
    (first,) = assembler.add("b", 151 * MS, "")
    (second,) = assembler.flush()
    assert (tuple(first.missing), tuple(second.missing)) == (("b",), ("a",))


def test_an_image_joins_the_set_with_the_nearest_mean() -> None:
    assembler = pair()
    assembler.add("a", 100 * MS, "")
    assembler.add("a", 180 * MS, "")
    closed = assembler.add("b", 145 * MS, "")
    # 145 is 35 ms from 180 and 45 ms from 100; the older set goes out first, incomplete.
    assert [stamps(c) for c in closed] == [{"a": 100}, {"a": 180, "b": 145}]


def test_order_of_arrival_does_not_matter_within_a_set() -> None:
    assembler = Assembler(["a", "b", "c"], 50 * MS)
    assembler.add("c", 140 * MS, "")
    assembler.add("a", 100 * MS, "")
    (closed,) = assembler.add("b", 120 * MS, "")
    assert list(stamps(closed).items()) == [("a", 100), ("b", 120), ("c", 140)]


def test_a_set_spans_no_more_than_the_tolerance() -> None:
    assembler = Assembler(["a", "b", "c"], 50 * MS)
    assembler.add("a", 100 * MS, "")
    assembler.add("b", 145 * MS, "")
    first, second = assembler.add("c", 160 * MS, "") + assembler.flush()
    assert stamps(first) == {"a": 100, "b": 145} and stamps(second) == {"c": 160}


def test_every_set_is_complete_when_nothing_is_lost() -> None:
    drive = Drive()
    drive.run(300)
    assert len(drive.sets) == 300 and all(item.complete for item in drive.sets)
    assert not drive.assembler.dropped


def test_no_set_is_lost_when_five_percent_of_the_images_are() -> None:
    """Where message_filters' approximate synchronizer gives 215 of 300."""
    drive = Drive()
    drive.run(300, lost=0.05)
    drive.run(4)
    assert len(drive.sets) == 304
    missing = sum(len(item.missing) for item in drive.sets)
    assert 0 < missing < 0.08 * 6 * 300
    assert not drive.assembler.dropped


def test_a_lost_image_is_known_to_be_lost_when_the_next_one_comes() -> None:
    assembler = pair(timeout=10_000 * MS)
    for index in range(3):
        assembler.add("a", (1000 + 100 * index) * MS, "", at(100 * index))
        assembler.add("b", (1000 + 100 * index) * MS, "", at(100 * index))
    assembler.add("a", 1300 * MS, "", at(300))
    assembler.add("a", 1400 * MS, "", at(400))
    closed = assembler.add("b", 1400 * MS, "", at(401))
    assert [tuple(c.missing) for c in closed] == [("b",), ()]


def test_a_camera_that_stopped_is_waited_for_twice_and_then_no_more() -> None:
    drive = Drive()
    drive.run(20)
    drive.closed.clear()
    drive.run(50, without=("rear",))
    assert len(drive.sets) in (49, 50)
    assert all(tuple(item.missing) == ("rear",) for item in drive.sets)
    delays = [at - (item.stamp - START) for at, item in drive.closed]
    assert max(delays[5:]) <= 30 * MS, "the dead camera costs no time"
    drive.run(3)
    assert [item.complete for item in drive.sets[-2:]] == [True, True], "it is back"


def test_a_camera_that_never_came_does_not_hold_the_others_back() -> None:
    drive = Drive()
    drive.run(30, without=("rear", "rear_left"))
    assert len(drive.sets) >= 28
    assert all(len(item.frames) == 4 for item in drive.sets)


def test_a_slow_camera_is_not_waited_for_while_its_image_is_not_due() -> None:
    assembler = pair(timeout=1000 * MS)
    closed = []
    for index in range(40):
        now = at(100 * index)
        closed += assembler.add("a", (1000 + 100 * index) * MS, "", now)
        if index % 2 == 0:
            closed += assembler.add("b", (1000 + 100 * index) * MS, "", now)
    assert len(closed) >= 38
    assert [len(item.frames) for item in closed[-10:]] == [2, 1] * 5


def test_a_set_closes_at_its_deadline_and_not_before() -> None:
    assembler = pair(timeout=200 * MS)
    assembler.add("a", 1000 * MS, "", at(0))
    assert assembler.expire(at(199)) == []
    (closed,) = assembler.expire(at(200))
    assert tuple(closed.missing) == ("b",)


def test_the_deadline_is_of_the_nodes_time_so_that_slow_replay_keeps_its_sets() -> None:
    assembler = pair(timeout=200 * MS)
    # At a tenth of the speed 43 ms between two cameras take 430 ms.
    assembler.add("a", 1000 * MS, "", Now(0, 0))
    assert assembler.expire(Now(30 * MS, 300 * MS)) == []
    (closed,) = assembler.add("b", 1043 * MS, "", Now(43 * MS, 430 * MS))
    assert closed.complete


def test_steady_time_ends_the_wait_where_the_clock_stands_still() -> None:
    assembler = pair(timeout=200 * MS)
    assembler.add("a", 1000 * MS, "", Now(7, 0))
    assert assembler.expire(Now(7, 1999 * MS)) == []
    assert len(assembler.expire(Now(7, 2000 * MS))) == 1


def test_an_image_of_a_set_that_has_closed_is_counted_not_used() -> None:
    assembler = pair(timeout=200 * MS)
    assembler.add("a", 1000 * MS, "", at(0))
    assembler.expire(at(300))
    assert assembler.add("b", 1010 * MS, "", at(310)) == []
    assert assembler.flush() == []
    assert assembler.dropped == {"late": 1}
    assert assembler.dropped_by_camera["b"] == {"late": 1}


def test_an_image_repeated_at_once_is_a_duplicate() -> None:
    assembler = pair()
    assembler.add("a", 1000 * MS, "first", at(0))
    assembler.add("a", 1000 * MS, "again", at(2))
    (closed,) = assembler.add("b", 1000 * MS, "", at(3))
    assert closed.frames["a"][1] == "first"
    assert assembler.dropped == {"duplicate": 1} and assembler.jumps == 0


def test_the_nearer_of_two_images_of_one_camera_is_kept() -> None:
    assembler = Assembler(["a", "b", "c"], 50 * MS)
    assembler.add("a", 1000 * MS, "", at(0))
    assembler.add("b", 1000 * MS, "", at(0))
    assembler.add("c", 960 * MS, "far", at(1))
    # c was the last: the set is out; a second one of c finds its set closed with c in it.
    assert assembler.add("c", 1000 * MS, "near", at(2)) == []
    assembler = Assembler(["a", "b", "c"], 50 * MS)
    assembler.add("b", 1000 * MS, "", at(0))
    assembler.add("c", 960 * MS, "far", at(1))
    assembler.add("c", 985 * MS, "near", at(2))
    (closed,) = assembler.add("a", 1000 * MS, "", at(3))
    assert closed.frames["c"][1] == "near"
    assert assembler.dropped == {"superseded": 1}


def test_zero_and_negative_stamps_are_counted() -> None:
    assembler = pair()
    assert assembler.add("a", 0, "") == assembler.add("a", -5, "") == []
    assert assembler.dropped == {"zero_stamp": 2} and assembler.flush() == []


@pytest.mark.parametrize("hours", [1, -1])
@pytest.mark.parametrize("first", [True, False])
def test_one_camera_with_a_wrong_clock_disturbs_nobody_else(hours: int, first: bool) -> None:
    drive = Drive()
    wrong = {"rear": hours * 3600 * 10**9}
    if not first:
        drive.run(10)
    drive.run(60, offsets=wrong)
    others = [item for item in drive.sets[10:] if item.stamp - START < 1800 * 10**9]
    assert len(others) >= 45
    assert all(tuple(item.missing) in ((), ("rear",)) for item in others[-40:])
    assert re.search("3599|3600|went back", drive.assembler.stamp_faults["rear"])
    assert drive.assembler.dropped_by_camera["rear"].total() >= 45
    assert not drive.assembler.dropped_by_camera["front"]


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_jump_of_all_clocks_is_taken_and_nothing_is_lost(seconds: int) -> None:
    drive = Drive()
    drive.run(20)
    drive.run(20, offset=seconds * 10**9)
    assert drive.assembler.jumps == 1
    assert len(drive.sets) == 40 and all(item.complete for item in drive.sets)


@pytest.mark.parametrize("length", [1, 20])
def test_a_looped_bag_goes_on(length: int) -> None:
    """Also one of a single frame set, which repeats the same stamps."""
    drive = Drive()
    for _ in range(3):
        drive.run(length, start=START)
    assert drive.assembler.jumps == 2
    assert len(drive.sets) == 3 * length and all(item.complete for item in drive.sets)


def test_a_pause_is_no_jump() -> None:
    drive = Drive()
    drive.run(10)
    drive.steady += 30 * 10**9
    drive.run(10)  # cameras paused: stamps went on
    bag = 10 * PERIOD
    drive.run(10, start=START + drive.steady)
    paused = START + drive.steady + bag
    drive.steady += 30 * 10**9
    drive.run(10, start=paused)  # the player paused: stamps stood still
    assert drive.assembler.jumps == 0
    assert len(drive.sets) == 40 and all(item.complete for item in drive.sets)


def test_a_frozen_stamp_of_one_camera_is_told_from_a_jump() -> None:
    assembler = Assembler(["a", "b", "frozen"], 50 * MS, timeout=200 * MS)
    closed = []
    for index in range(10):
        for name in ("a", "b"):
            closed += assembler.add(name, (1000 + 100 * index) * MS, "", at(100 * index))
        closed += assembler.add("frozen", 1000 * MS, "", at(100 * index))
        closed += assembler.expire(at(100 * index + 99))
    closed += assembler.expire(at(5000))
    assert assembler.jumps == 0 and len(closed) == 10
    assert all({"a", "b"} <= set(item.frames) for item in closed)


def test_anchor_gets_the_nearest_image_of_every_camera() -> None:
    assembler = Assembler(["slow", "fast"], 20 * MS, timeout=500 * MS, anchor="slow")
    closed = []
    for index in range(30):
        now = at(33 * index)
        closed += assembler.add("fast", (1000 + 33 * index) * MS, "", now)
        if index % 3 == 0:
            closed += assembler.add("slow", (1005 + 33 * index) * MS, "", now)
    assert len(closed) == 10 and all(item.complete for item in closed)
    assert [item.stamp // MS for item in closed[:2]] == [1000, 1099]
    assert set(assembler.dropped) == {"no_anchor"}


def test_anchor_draws_its_set_around_itself() -> None:
    assembler = Assembler(["a", "b", "anchor"], 30 * MS, timeout=500 * MS, anchor="anchor")
    assembler.add("a", 1000 * MS, "", at(0))
    assembler.add("b", 1025 * MS, "", at(1))
    assert assembler.add("anchor", 1051 * MS, "", at(2)) == []
    (closed,) = assembler.add("a", 1055 * MS, "", at(3))
    assert stamps(closed) == {"a": 1055, "b": 1025, "anchor": 1051}


def test_without_its_anchor_the_rest_goes_on() -> None:
    drive = Drive(anchor="front")
    drive.run(20)
    drive.closed.clear()
    drive.run(30, without=("front",))
    assert len(drive.sets) >= 26 and all(tuple(item.missing) == ("front",) for item in drive.sets)


def test_memory_is_bounded_whatever_comes() -> None:
    assembler = Assembler([f"c{i}" for i in range(12)], 10 * MS, max_open=4)
    closed = 0
    for index in range(1000):
        name = f"c{index % 7}"
        closed += len(assembler.add(name, (1000 + 60 * index) * MS, "", at(60 * index)))
        assert len(assembler._open) <= 4
    assert closed >= 990


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.one_of(
                st.integers(-2 * MS, 400 * MS),
                st.sampled_from([0, 10**18, 2**62, -(2**62), 3600 * 10**9]),
            ),
            st.integers(0, 300 * MS),
        ),
        max_size=60,
    ),
    st.sampled_from(["", "a"]),
    st.booleans(),
)
def test_every_image_is_in_one_set_or_counted(
    events: list[tuple[str, int, int]], anchor: str, wait: bool
) -> None:
    assembler: Assembler = Assembler(
        list("abc"), 50 * MS, timeout=200 * MS, anchor=anchor, wait_for_all=wait
    )
    steady = 0
    closed: list[FrameSet[Any]] = []
    for index, (name, stamp, gap) in enumerate(events):
        steady += gap
        closed += assembler.add(name, stamp + steady, index, Now(steady, steady))
        closed += assembler.expire(Now(steady, steady))
    closed += assembler.flush()
    used = [payload for item in closed for _, payload in item.frames.values()]
    assert len(used) == len(set(used)), "an image in two sets"
    held = len(assembler._held)
    assert len(used) + assembler.dropped.total() + held == len(events)
    assert held <= 3
    for item in closed:
        times = [stamp for stamp, _ in item.frames.values()]
        assert item.stamp == min(times)
        assert max(times) - min(times) <= (100 if anchor in item.frames else 50) * MS
        assert set(item.frames) | set(item.missing) == set("abc")
        for name, (_, payload) in item.frames.items():
            assert events[payload][0] == name
    assert isinstance(assembler.dropped, Counter)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="no cameras"):
        Assembler([], 1)
    with pytest.raises(ConfigurationError, match=r"sync\.tolerance"):
        Assembler(["a"], -1)
    with pytest.raises(ConfigurationError, match=r"sync\.anchor: 'z'.*a, b"):
        Assembler(["a", "b"], 1, anchor="z")
