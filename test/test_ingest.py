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

"""The one way in: what images wait for, what closes a set, how the rig follows, and policies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny_drive import CAMERA, mounting, transform

from depth_perception import messages
from depth_perception.datasets.bag_writer import BagTypes, package_typestore
from depth_perception.errors import ConfigurationError, ContradictionError, TransformError
from depth_perception.frames.assembler import Now
from depth_perception.frames.ingest import NOT_ASKED_FOR, Ingest
from depth_perception.parameters import Parameters, SyncParameters, TfParameters
from depth_perception.rig.camera_topics import CameraTopics
from depth_perception.rig.tracker import RigTracker

MS = 1_000_000
PARAMETERS = Parameters(sync=SyncParameters(tolerance=0.05, timeout=0.2))
TYPES = BagTypes(package_typestore())


def message(stamp: int, content: Any = None) -> Any:
    """A stand-in for an image or label message: a header, and what a test looks for."""
    time = SimpleNamespace(sec=stamp // 10**9, nanosec=stamp % 10**9)
    return SimpleNamespace(header=SimpleNamespace(stamp=time), content=content)


def topics(name: str, labels: bool = False) -> CameraTopics:
    return CameraTopics(
        name,
        f"/{name}/image_raw",
        False,
        False,
        f"/{name}/camera_info",
        f"/{name}/labels" if labels else "",
    )


class Feeder:
    """An ingest that is fed by names, stamps and contents."""

    def __init__(self, parameters: Parameters = PARAMETERS, **options: Any) -> None:
        problem = options.get("problem", lambda camera, reason: None)
        self.ingest = Ingest(parameters, RigTracker(parameters, problem=problem), **options)

    def cameras(self, *names: str, labels: bool = False, calibrated: bool = True) -> list[Any]:
        closed = self.ingest.set_cameras([topics(name, labels) for name in names])
        for name in names if calibrated else ():
            self.ingest.add_calibration(name, "info")
        return closed

    def image(self, name: str, stamp: int, content: Any, now: Now) -> list[Any]:
        return self.ingest.add_image(name, message(stamp, content), now)

    def labels(self, name: str, stamp: int, content: Any) -> list[Any]:
        return self.ingest.add_labels(name, message(stamp, content))


def collector(labels: bool = False, *cameras: str) -> Feeder:
    made = Feeder()
    made.cameras(*(cameras or ("a", "b")), labels=labels)
    return made


def at(milliseconds: float) -> Now:
    return Now(round(milliseconds * MS), round(milliseconds * MS))


def test_complete_set_closes_at_once() -> None:
    made = collector()
    assert made.image("a", 1000 * MS, "A", at(0)) == []
    (closed,) = made.image("b", 1010 * MS, "B", at(1))
    assert closed.complete and closed.stamp == 1000 * MS
    assert made.ingest.expire(at(1000)) == []


def test_incomplete_set_closes_after_the_timeout() -> None:
    made = collector()
    made.image("a", 1000 * MS, "A", at(0))
    assert made.ingest.expire(at(199)) == []
    (closed,) = made.ingest.expire(at(200))
    assert list(closed.missing) == ["b"]


def test_image_before_its_calibration_waits_for_it() -> None:
    made = Feeder()
    made.cameras("a", calibrated=False)
    assert made.image("a", 1000 * MS, "A", at(0)) == []
    assert made.ingest.expire(at(1000)) == [], "without calibration it is of no use"
    (closed,) = made.ingest.add_calibration("a", "info")
    assert closed.frames["a"].image.content == "A"


def test_images_without_calibration_do_not_pile_up() -> None:
    made = Feeder()
    made.cameras("a", calibrated=False)
    for index in range(100):
        made.image("a", (1000 + index) * MS, index, at(index))
    closed = made.ingest.add_calibration("a", "info")
    assert [item.frames["a"].image.content for item in closed] == [96, 97, 98, 99]


def test_image_waits_for_labels_of_its_stamp_but_not_for_ever() -> None:
    made = collector(True, "a")
    assert made.image("a", 1000 * MS, "A", at(0)) == []
    assert made.labels("a", 900 * MS, "old") == []
    (closed,) = made.labels("a", 1000 * MS, "L")
    assert closed.frames["a"].labels.content == "L"
    made.image("a", 1100 * MS, "A2", at(100))
    assert made.ingest.expire(at(250)) == []
    (closed,) = made.ingest.expire(at(301))
    assert closed.frames["a"].labels is None


def test_images_whose_labels_are_late_go_on_without_them() -> None:
    made = collector(True, "a")
    closed = [item for i in range(6) for item in made.image("a", (1000 + 100 * i) * MS, i, at(i))]
    assert [item.frames["a"].image.content for item in closed] == [0, 1]


@pytest.mark.parametrize("step", [0, 100])
def test_looped_bag_goes_on_after_it_started_again(step: int) -> None:
    made = collector()
    closed = []
    for loop in range(3):
        for index in range(1 if step == 0 else 3):
            for offset, name in enumerate(("a", "b")):
                stamp = (1000 + index * step + 10 * offset) * MS
                now = at(loop * 1000 + index * 100 + 10 * offset)
                closed += made.image(name, stamp, "image", now)
    assert len(closed) == (3 if step == 0 else 9)
    assert all(item.complete for item in closed)
    assert made.ingest.jumps == 2


def test_simulated_time_that_goes_back_gives_up_no_image() -> None:
    made = collector()
    made.ingest.expire(at(5000))
    made.image("a", 1000 * MS, "A", at(5000))
    (closed,) = made.ingest.expire(Now(100 * MS, 5100 * MS))
    assert list(closed.missing) == ["b"]
    assert made.ingest.jumps == 1
    assert made.ingest.expire(at(5200)) == []


def test_counts_outlive_a_change_of_cameras_and_tolerances() -> None:
    made = collector()
    made.image("a", 0, "A", at(0))
    made.image("a", 1000 * MS, "A", at(0))
    (closed,) = made.cameras("a", "b", "c")
    assert list(closed.missing) == ["b"], "the set that was open is not lost"
    made.ingest.set_parameters(replace(PARAMETERS, sync=replace(PARAMETERS.sync, tolerance=0.0)))
    made.image("a", -1, "A", at(0))
    assert made.ingest.dropped("a") == {"zero_stamp": 2} and not made.ingest.dropped("b")
    made.image("a", 2000 * MS, "A", at(0))
    first, second = made.image("b", 2001 * MS, "B", at(1)) + made.ingest.expire(at(300))
    assert (len(first.frames), len(second.frames)) == (1, 1)


def test_policies() -> None:
    sync = replace(PARAMETERS.sync, policy="anchor", anchor="b")
    made = Feeder(replace(PARAMETERS, sync=sync))
    made.cameras("a")  # the anchor is found later
    made.cameras("a", "b")
    made.image("a", 1000 * MS, "A", at(0))
    made.image("b", 1060 * MS, "B", at(60))
    (closed,) = made.image("a", 1090 * MS, "A2", at(90))
    assert closed.frames["a"].image.content == "A2"


@pytest.mark.parametrize("clock_first", [True, False])
def test_clock_and_stamps_that_jump_back_together_are_one_jump(clock_first: bool) -> None:
    made = collector()
    for number in range(5):
        for name in "ab":
            made.image(name, (5000 + 100 * number) * MS, "old", at(5000 + 100 * number))
        made.ingest.expire(at(5000 + 100 * number))
    closed = []
    for number in range(5):
        steady = (5500 + 100 * number) * MS
        new, late = Now((100 * number) * MS, steady), Now(5400 * MS, steady)
        if clock_first or number:
            closed += made.ingest.expire(new)
        for name in "ab":
            stamp = (1000 + 100 * number) * MS
            closed += made.image(name, stamp, "new", new if clock_first or number else late)
    assert made.ingest.jumps == 1
    assert [item.stamp for item in closed] == [(1000 + 100 * n) * MS for n in range(5)]
    assert all(item.complete for item in closed) and not made.ingest.dropped("a")


def test_a_set_does_not_wait_for_a_camera_that_nobody_asks_for() -> None:
    made = collector()
    open_ones = made.image("a", 1000 * MS, "A", at(0))
    both = [topics("a"), topics("b")]
    open_ones += made.ingest.set_cameras(both, asked_for=["a"])
    assert [list(closed.frames) for closed in open_ones] == [["a"]], "what was open is not lost"
    (closed,) = made.image("a", 1100 * MS, "A2", at(100))
    assert list(closed.frames) == ["a"]
    assert made.image("b", 1100 * MS, "a late one", at(100)) == []
    assert made.ingest.cameras["b"].absence() == NOT_ASKED_FOR
    made.ingest.set_cameras(both)
    assert made.image("a", 1200 * MS, "A3", at(200)) == []
    (closed,) = made.image("b", 1200 * MS, "B3", at(200))
    assert list(closed.frames) == ["a", "b"]
    assert made.ingest.cameras["a"].received == 3, "what has arrived is kept"


def test_images_that_nobody_asked_for_were_not_lost_on_the_way() -> None:
    made = collector(False, "a")
    for index in range(5):
        made.image("a", (1000 + 100 * index) * MS, index, at(100 * index))
    made.ingest.set_cameras([topics("a")], asked_for=[])
    made.ingest.set_cameras([topics("a")])
    made.image("a", 5000 * MS, "later", at(4000))
    assert made.ingest.cameras["a"].gaps == 0
    made.image("a", 5500 * MS, "after a real gap", at(4500))
    assert made.ingest.cameras["a"].gaps == 1


def test_images_of_a_recording_wait_for_calibration_without_end() -> None:
    made = Feeder(recorded=True)
    made.cameras("a", calibrated=False)
    for index in range(100):
        made.image("a", (1000 + 100 * index) * MS, index, at(100 * index))
    closed = made.ingest.add_calibration("a", "info") + made.ingest.flush()
    assert [item.frames["a"].image.content for item in closed] == list(range(100))


def test_an_image_keeps_the_calibration_that_it_came_with() -> None:
    made = collector(False, "a")
    (first,) = made.image("a", 1000 * MS, "A", at(0))
    made.ingest.add_calibration("a", "another")
    (second,) = made.image("a", 1100 * MS, "A2", at(100))
    assert (first.frames["a"].info, second.frames["a"].info) == ("info", "another")


def test_a_set_that_is_open_when_the_clock_follows_the_stamps_back_stays_whole() -> None:
    made = collector()
    for name in "ab":
        made.image(name, 5000 * MS, "old", at(5000))
    made.ingest.expire(at(5000))
    steady = 5100 * MS
    closed = []
    for stamp in (1000 * MS, 1100 * MS):  # the second camera that goes back makes it a jump
        for name in "ab":
            closed += made.image(name, stamp, "new", Now(5100 * MS, steady))
    closed += made.image("a", 1200 * MS, "new", Now(5200 * MS, steady + 100 * MS))
    closed += made.ingest.expire(Now(1200 * MS, steady + 110 * MS))
    closed += made.image("b", 1200 * MS, "new", Now(1210 * MS, steady + 120 * MS))
    assert made.ingest.jumps == 1
    assert [item.stamp // MS for item in closed] == [1000, 1100, 1200]
    assert all(item.complete for item in closed)


# Arrays.


@pytest.fixture
def vehicle() -> Iterator[Feeder]:
    """Cameras front and rear with real messages; problems are in `problems`."""
    problems: list[tuple[str, str]] = []
    recovered: list[str] = []
    made = Feeder(
        problem=lambda camera, reason: problems.append((camera, reason)), recovered=recovered.append
    )
    made.problems, made.recovered = problems, recovered  # type: ignore[attr-defined]
    made.ingest.set_cameras([topics("front"), topics("rear")], {"left": "it is not there"})
    for name in ("front", "rear"):
        info = messages.camera_info_message(TYPES, 10, name, CAMERA)
        made.ingest.add_calibration(name, info)
        mountings = [transform(TYPES, "base_link", name, mounting(name))]
        tf = TYPES.new("tf2_msgs/msg/TFMessage", transforms=mountings)
        made.ingest.rig.add_transforms(tf, "/tf_static")
    yield made
    made.ingest.close()


def drive(made: Feeder, stamp: int, **change: Any) -> Any:
    """Feed one image of each camera; ``change`` sets fields of the rear one's message."""
    closed = []
    for name in ("front", "rear"):
        pixels = np.full((CAMERA.height, CAMERA.width, 3), 90, np.uint8)
        image = messages.image_message(TYPES, stamp, name, pixels, "bgr8")
        for field, value in change.items() if name == "rear" else ():
            setattr(image, field, value)
        closed += made.ingest.add_image(name, image, Now(stamp, stamp))
    return closed[0]


def test_decoding_gives_images_and_the_rig(vehicle: Feeder) -> None:
    frame_set, rig = vehicle.ingest.decode(drive(vehicle, 1000 * MS))
    assert list(frame_set.frames) == rig.names == ["front", "rear"]
    assert frame_set.frames["rear"].image.shape == (CAMERA.height, CAMERA.width, 3)
    assert frame_set.missing == {"left": "it is not there"}
    np.testing.assert_array_equal(rig["rear"].T_base_camera, mounting("rear"))
    _, again = vehicle.ingest.decode(drive(vehicle, 1100 * MS))
    assert again["rear"] is rig["rear"], "nothing has changed, so nothing is built anew"


def mounted(name: str, parent: str = "base_link", x: float | None = None) -> Any:
    """Return a TFMessage that says where a camera is; x moves it along."""
    T = mounting(name)
    T[0, 3] = T[0, 3] if x is None else x
    return TYPES.new("tf2_msgs/msg/TFMessage", transforms=[transform(TYPES, parent, name, T)])


def test_the_rig_follows_calibration(vehicle: Feeder) -> None:
    _, before = vehicle.ingest.decode(drive(vehicle, 1000 * MS))
    info = messages.camera_info_message(TYPES, 10, "front", CAMERA)
    info.k[0] = info.p[0] = 250.0
    vehicle.ingest.add_calibration("front", info)
    _, last = vehicle.ingest.decode(drive(vehicle, 1200 * MS))
    assert last["front"].model.K[0, 0] == 250.0 and last["rear"] is before["rear"]


def test_the_rig_follows_what_moves_on_tf() -> None:
    rig = RigTracker(PARAMETERS)
    rig.add_transforms(mounted("front"), "/tf_static")
    for x in (1.0, 1.25, 1.5):
        rig.add_transforms(mounted("rear", "front", x), "/tf")
        expected = mounting("front") @ mounting("rear")
        expected[:3, 3] = mounting("front")[:3, :3] @ [x, 0, 1.5] + mounting("front")[:3, 3]
        np.testing.assert_allclose(rig.mounting("rear"), expected, atol=1e-12)


def test_a_mounting_told_two_ways_is_nobodys_until_one_is_gone(vehicle: Feeder) -> None:
    vehicle.ingest.decode(drive(vehicle, 1000 * MS))
    rig = vehicle.ingest.rig
    rig.add_transforms(mounted("rear", x=-2.5), "/tf_static")
    frame_set, _ = vehicle.ingest.decode(drive(vehicle, 1100 * MS))
    assert list(frame_set.frames) == ["front"]
    reason = frame_set.missing["rear"]
    assert "frame 'rear' has two values" in reason and "Fix: let only one node" in reason
    assert reason.count("'base_link' (/tf_static: x ") == 2
    assert "x 1.5000, y 0.0000, z 1.5000 m" in reason and "x -2.5000" in reason
    assert vehicle.problems == [("rear", reason)]  # type: ignore[attr-defined]
    # The publisher tells what it has latched, and of its two values that is the second.
    assert rig.doubt("/tf_static")
    rig.add_transforms(mounted("rear", x=-2.5), "/tf_static")
    rig.drop_doubted()
    frame_set, after = vehicle.ingest.decode(drive(vehicle, 1200 * MS))
    assert after["rear"].T_base_camera[0, 3] == -2.5 and not frame_set.missing.get("rear")
    assert vehicle.recovered == ["rear"]  # type: ignore[attr-defined]


def test_what_is_latched_and_not_told_again_is_kept_when_nothing_is(vehicle: Feeder) -> None:
    rig = vehicle.ingest.rig
    rig.add_transforms(mounted("rear", "trailer"), "/tf_static")
    assert rig.doubt("/tf_static")
    rig.drop_doubted()  # nobody answered: the two are as good as before
    with pytest.raises(ContradictionError, match=r"has two parents: 'base_link' .* 'trailer'"):
        rig.mounting("rear")
    assert not rig.doubt("/somewhere/tf_static")


def test_what_tf_no_longer_says_ends_a_contradiction() -> None:
    rig = RigTracker(PARAMETERS)
    rig.add_transforms(mounted("rear"), "/tf_static", at=1.0)
    rig.add_transforms(mounted("rear", "trailer"), "/tf", at=20.0)
    rig.drop_silent(10.0)
    with pytest.raises(ContradictionError, match="on /tf_static and /tf: frame 'rear'"):
        rig.mounting("rear")
    rig.drop_silent(25.0)
    np.testing.assert_allclose(rig.mounting("rear"), mounting("rear"), atol=1e-12)


def test_the_same_value_again_or_rounded_is_no_contradiction() -> None:
    rig = RigTracker(PARAMETERS)
    for x in (1.5, 1.5, 1.500001, np.float32(1.5000001)):
        rig.add_transforms(mounted("rear", x=float(x)), "/tf_static")
        rig.add_transforms(mounted("rear", x=float(x)), "/tf")
    assert rig.mounting("rear")[0, 3] == pytest.approx(1.5, abs=1e-5)
    assert not rig.contradictions()


@pytest.mark.parametrize(("choice", "x"), [("first", 1.5), ("last", -2.5)])
def test_one_of_two_is_taken_when_the_parameters_say_so_and_it_is_said(
    choice: str, x: float
) -> None:
    problems: list[str] = []
    rig = RigTracker(
        Parameters(tf=TfParameters(conflicts=choice)),
        problem=lambda camera, reason: problems.append(reason),
    )
    rig.add_transforms(mounted("rear"), "/tf_static")
    rig.add_transforms(mounted("rear", x=-2.5), "/tf_static")
    assert rig.mounting("rear")[0, 3] == x
    (problem,) = problems
    assert "has two values" in problem and f"taken is the {choice} (tf.conflicts)" in problem


def test_each_namespace_has_its_transforms_and_shares_the_global_ones() -> None:
    problems: list[str] = []
    rig = RigTracker(PARAMETERS, problem=lambda camera, reason: problems.append(reason))
    for index, topic in enumerate(("/tf_static", "/robot1/tf_static", "/robot2/tf_static")):
        rig.add_transforms(mounted("front", x=float(index)), topic)
    rig.add_transforms(mounted("rear", x=7.0), "/tf_static")
    for index, topic in enumerate(("/front/image", "/robot1/front/image", "/robot2/x/image")):
        assert rig.mounting("front", topic)[0, 3] == index
        assert rig.mounting("rear", topic)[0, 3] == 7.0
    assert any("they count as one vehicle" in problem for problem in problems)
    own = RigTracker(PARAMETERS, namespace="/robot2")
    own.add_transforms(mounted("front", x=2.0), "/robot2/tf_static")
    own.add_transforms(mounted("front", x=0.0), "/tf_static")
    assert own.mounting("front", "/cameras/front/image")[0, 3] == 2.0
    named = RigTracker(Parameters(tf=TfParameters(namespace="robot1")))
    named.add_transforms(mounted("front", x=1.0), "/robot1/tf_static")
    named.add_transforms(mounted("front", x=2.0), "/robot2/tf_static")
    assert named.mounting("front", "/robot2/front/image")[0, 3] == 1.0


def test_transforms_that_nobody_reads_do_not_pile_up() -> None:
    rig = RigTracker(PARAMETERS)
    for index in range(12_000):
        rig.add_transforms(mounted("rear", x=index * 0.001), "/tf_static")
    assert len(rig._arrived) <= 10_000 and len(rig.tree.told("rear")) <= 8


def test_a_broken_image_is_its_own_cameras_and_is_said_until_it_is_well(vehicle: Feeder) -> None:
    frame_set, rig = vehicle.ingest.decode(drive(vehicle, 1000 * MS, encoding="bgr99"))
    assert list(frame_set.frames) == ["front"] and "'bgr99' is unknown" in frame_set.missing["rear"]
    assert rig.names == ["front"], "the rear camera was never usable"
    assert vehicle.problems == [("rear", frame_set.missing["rear"])]  # type: ignore[attr-defined]
    frame_set, rig = vehicle.ingest.decode(drive(vehicle, 1100 * MS))
    assert rig.names == ["front", "rear"] and "rear" not in frame_set.missing
    assert vehicle.recovered == ["rear"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("only", [True, False])
def test_a_transform_that_cannot_be_names_itself(only: bool) -> None:
    problems: list[str] = []
    rig = RigTracker(PARAMETERS, problem=lambda camera, reason: problems.append(reason))
    bad = mounted("rear")
    bad.transforms[0].transform.rotation.w = float("nan")
    rig.add_transforms(bad, "/tf_static")
    if not only:  # as tf2 does: what is no transform takes nothing's place
        rig.add_transforms(mounted("rear"), "/tf_static")
        assert rig.mounting("rear")[0, 3] == 1.5
    else:
        with pytest.raises(TransformError, match=r"'rear' is not in TF .*transform base_link -> r"):
            rig.mounting("rear")
    assert [problem[:43] for problem in problems] == ["/tf_static: transform base_link -> rear: tr"]


@pytest.mark.parametrize(("parent", "child"), [("", "rear"), ("/", "rear"), ("rear", "/rear")])
def test_a_transform_that_leads_nowhere_is_refused(parent: str, child: str) -> None:
    problems: list[str] = []
    rig = RigTracker(PARAMETERS, problem=lambda camera, reason: problems.append(reason))
    message = mounted("rear", parent)
    message.transforms[0].child_frame_id = child
    rig.add_transforms(message, "/tf_static")
    with pytest.raises(TransformError, match="expected two different frames"):
        rig.mounting("rear")
    assert "Fix: set header.frame_id and child_frame_id" in problems[0]


def test_only_the_cameras_that_are_needed_are_decoded(vehicle: Feeder) -> None:
    closed = drive(vehicle, 1000 * MS, encoding="bgr99")
    frame_set, _ = vehicle.ingest.decode(closed, ["front"])
    assert list(frame_set.frames) == ["front"] and frame_set.missing["rear"] == NOT_ASKED_FOR
    assert vehicle.problems == []  # type: ignore[attr-defined]


# message_filters.


class FakeSynchronizer:
    """The interface of message_filters' ApproximateTimeSynchronizer, for equal header stamps."""

    def __init__(self, filters: list[Any], queue_size: int, slop: float) -> None:
        self.slop, self.waiting = slop, [{} for _ in filters]
        for index, item in enumerate(filters):
            item.callback = lambda message, index=index: self._add(index, message)

    def registerCallback(self, callback: Any) -> None:
        self._callback = callback

    def _add(self, index: int, message: Any) -> None:
        time = message.header.stamp
        self.waiting[index][time.sec + time.nanosec * 1e-9] = message
        chosen = [
            min(queue, key=lambda at: abs(at - stamp), default=None)
            for stamp in self.waiting[index]
            for queue in self.waiting
        ]
        if None not in chosen and max(chosen) - min(chosen) <= self.slop:
            found = [queue.pop(at) for queue, at in zip(self.waiting, chosen, strict=True)]
            self._callback(*found)


@pytest.fixture
def message_filters(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module behind ``sync.policy: approximate_time``, with message_filters or a stand-in."""
    pytest.importorskip("builtin_interfaces")
    from depth_perception.ros import approximate_time

    if approximate_time.ApproximateTimeSynchronizer is None:

        class SimpleFilter:
            def signalMessage(self, message: Any) -> None:
                self.callback(message)

        monkeypatch.setattr(approximate_time, "SimpleFilter", SimpleFilter)
        monkeypatch.setattr(approximate_time, "ApproximateTimeSynchronizer", FakeSynchronizer)
    return approximate_time


def test_message_filters_groups_images_where_it_is_asked_for(message_filters: Any) -> None:
    made = Feeder(assembler=message_filters.approximate_time_assembler)
    made.cameras("a", "b")
    assert made.image("a", 1000 * MS, "A", at(0)) == []
    (closed,) = made.image("b", 1010 * MS, "B", at(1))
    assert closed.stamp == 1000 * MS and closed.complete
    assert closed.frames["b"].image.content == "B" and closed.frames["b"].stamp == 1010 * MS
    assert made.image("a", 0, "no stamp", at(2)) == []
    assert made.ingest.dropped("a") == {"zero_stamp": 1}
    assert made.ingest.expire(at(5000)) == [], "its sets have no deadline"


def test_message_filters_that_is_absent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("builtin_interfaces")
    from depth_perception.ros import approximate_time

    monkeypatch.setattr(approximate_time, "ApproximateTimeSynchronizer", None)
    with pytest.raises(ConfigurationError, match=r"message_filters.*Fix: install"):
        approximate_time.approximate_time_assembler(["a"], PARAMETERS.sync)
