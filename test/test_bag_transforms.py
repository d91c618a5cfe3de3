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

"""Transforms in bags: what contradicts itself, whose they are, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_drive import CAMERA, PERIOD, START, mounting, picture, transform, write_drive

from depth_perception import messages
from depth_perception.cli.main import main
from depth_perception.datasets.bag import BagReader
from depth_perception.datasets.bag_file import standard_types
from depth_perception.datasets.bag_playback import Playback
from depth_perception.datasets.bag_writer import BagTypes, BagWriter, package_typestore
from depth_perception.datasets.inspection import inspect_bag
from depth_perception.errors import BagError
from depth_perception.parameters import from_flat

FRAME = "camera_optical"


def placed(x: float, z: float = 1.5) -> np.ndarray:
    """Return T_base_camera of a camera that looks ahead."""
    T = mounting("front")
    T[:3, 3] = [x, 0, z]
    return T


def moved(x: float) -> np.ndarray:
    """Return a pose on the x axis."""
    T = np.eye(4)
    T[0, 3] = x
    return T


Said = tuple[str, str, str, np.ndarray]
"""Topic, parent, child, T_parent_child."""


def write_rig(path: Path, cameras: list[str], said: list[Said], frame: str = FRAME) -> Path:
    """Write two images of each camera, named by its namespace; what is said goes before them."""
    with BagWriter(path) as writer:
        types = writer.types
        for index, (topic, parent, child, T) in enumerate(said):
            time = START - PERIOD + index
            tf = transform(types, parent, child, T, time)
            message = types.new("tf2_msgs/msg/TFMessage", transforms=[tf])
            writer.write(topic, message, time, latched=topic.endswith("static"))
        for index in range(2):
            stamp = START + index * PERIOD
            for camera in cameras:
                info = messages.camera_info_message(types, stamp, frame, CAMERA)
                writer.write(f"{camera}/camera_info", info, stamp)
                image = messages.image_message(types, stamp, frame, picture(index), "bgr8")
                writer.write(f"{camera}/image_raw", image, stamp)
    return path


def inspected(path: Path, **values: Any) -> tuple[list[str], list[str]]:
    """Return problems and notes of ``inspect``."""
    with BagReader(path, from_flat(values)) as reader:
        found = inspect_bag(reader)
    return found["problems"], found["notes"]


def rig_of(path: Path, **values: Any) -> tuple[dict[str, float], list[str]]:
    """Return where each camera is along x, and the reader's problems."""
    with BagReader(path, from_flat(values)) as reader:
        return {c.name: float(c.position[0]) for c in reader.rig}, reader.problems


TWO_PARENTS: list[Said] = [
    ("/tf_static", "base_link", FRAME, placed(1.5)),
    ("/tf_static", "base_link", "camera_link", moved(0.5)),
    ("/tf_static", "camera_link", FRAME, placed(0.0, 1.0)),
]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (TWO_PARENTS, ["two parents", "'base_link'", "'camera_link'", "z 1.5000", "z 1.0000"]),
        (
            [TWO_PARENTS[0], TWO_PARENTS[2]],  # with nothing above the driver's own link
            ["two parents", "'base_link'", "'camera_link'"],
        ),
        (
            [TWO_PARENTS[0], ("/tf_static", "base_link", FRAME, placed(1.6))],
            ["two values", "x 1.5000", "x 1.6000"],
        ),
        (
            [TWO_PARENTS[0], ("/tf", "camera_link", FRAME, placed(0.0))],
            ["on /tf_static and /tf", "two parents"],
        ),
        (
            [("/tf", "base_link", FRAME, placed(1.0)), ("/tf", "odom", FRAME, placed(0.0))],
            ["two parents", "'odom'"],
        ),
        (
            [TWO_PARENTS[0], ("/tf", "base_link", FRAME, placed(1.5))]
            + [("/tf", "base_link", FRAME, placed(2.0))],
            ["on /tf_static and /tf", "two values", "x 2.0000"],
        ),
    ],
)
def test_a_mounting_told_two_ways_is_a_problem_that_names_both(
    tmp_path: Path, said: list[Said], words: list[str]
) -> None:
    path = write_rig(tmp_path / "bag", ["/front"], said)
    problems, _ = inspected(path)
    (problem,) = problems
    for word in [f"frame '{FRAME}'", *words, "Fix: let only one node publish", "tf.conflicts"]:
        assert word in problem
    with pytest.raises(BagError, match="contradicts itself"):
        rig_of(path)


def test_replay_and_inspect_say_it_and_what_was_first_can_be_taken(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_rig(tmp_path / "bag", ["/front"], TWO_PARENTS)
    out = ["--output", str(tmp_path / "out"), "--estimator", "embodied"]
    assert main(["replay", str(path), *out]) != 0
    assert "two parents" in "".join(capfd.readouterr())
    main(["inspect", str(path)])
    text = "".join(capfd.readouterr())
    assert "problem: " in text and "nothing stops it" not in text
    assert main(["replay", str(path), *out, "--set", "tf.conflicts=first"]) == 0
    assert "taken is the first (tf.conflicts)" in "".join(capfd.readouterr()).replace("\n", " ")
    assert rig_of(path, **{"tf.conflicts": "first"})[0] == {"front": 1.5}
    assert rig_of(path, **{"tf.conflicts": "last"})[0] == {"front": 0.5}


def test_one_camera_told_two_ways_leaves_the_other(tmp_path: Path) -> None:
    def change(topic: str, index: int, message: Any) -> Any:
        if topic == "/tf_static":
            types = BagTypes(package_typestore())
            message.transforms.append(transform(types, "trailer", "front", placed(0.0)))
        return message

    path = write_drive(tmp_path / "bag", change=change)
    with BagReader(path, from_flat({})) as reader:
        sets = list(reader.frame_sets())
        assert reader.rig.names == ["rear"] and len(sets) == 3
        assert "two parents" in sets[0].missing["front"]
    problems, _ = inspected(path)
    assert len(problems) == 1 and "camera front is left out: TF contradicts" in problems[0]


def test_what_no_camera_depends_on_is_a_note(tmp_path: Path) -> None:
    said = [
        TWO_PARENTS[0],
        ("/tf_static", "base_link", "arm", moved(1.0)),
        ("/tf_static", "torso", "arm", moved(2.0)),
        ("/tf", "odom", "base_link", moved(0.0)),
        ("/tf", "map", "base_link", moved(5.0)),
    ]
    path = write_rig(tmp_path / "bag", ["/front"], said)
    problems, notes = inspected(path)
    assert problems == []
    told = [note for note in notes if "contradicts itself" in note]
    assert ["'arm'" in note or "'base_link' has two" in note for note in told] == [True, True]
    assert all("nothing depends on it" in note for note in told)
    assert rig_of(path)[0] == {"front": 1.5}


def test_each_robot_has_its_own_transforms(tmp_path: Path) -> None:
    said = [(f"/robot{n}/tf_static", "base_link", FRAME, placed(float(n))) for n in (1, 2, 3)]
    path = write_rig(tmp_path / "bag", ["/robot1/front", "/robot2/rear"], said)
    positions, problems = rig_of(path)
    assert positions == {"front": 1.0, "rear": 2.0}
    (problem,) = problems
    assert "/robot1/tf_static" in problem and "/robot2/tf_static" in problem
    assert "they count as one vehicle" in problem and "Fix: " in problem
    _, notes = inspected(path)
    assert "transforms that place no camera: /robot3/tf_static" in notes
    # One robot is chosen by its cameras, or another's transforms by their namespace.
    assert rig_of(path, cameras=["rear"]) == ({"rear": 2.0}, [])
    assert rig_of(path, **{"tf.namespace": "/robot3"}) == ({"front": 3.0, "rear": 3.0}, [])


def test_what_a_namespace_does_not_know_the_global_transforms_say(tmp_path: Path) -> None:
    said = [
        ("/robot1/tf_static", "head", FRAME, placed(0.0)),
        ("/tf_static", "base_link", "head", moved(2.0)),
        ("/robot2/tf_static", "base_link", "head", moved(9.0)),
    ]
    path = write_rig(tmp_path / "bag", ["/robot1/front"], said)
    assert rig_of(path) == ({"front": 2.0}, [])


def test_the_only_transforms_of_a_bag_place_all_cameras_and_it_is_said(tmp_path: Path) -> None:
    said = [("/robot1/tf_static", "base_link", FRAME, placed(1.0))]
    positions, problems = rig_of(write_rig(tmp_path / "outside", ["/front"], said))
    assert positions == {"front": 1.0}
    (problem,) = problems
    assert "/robot1/tf_static" in problem and "/front/image_raw" in problem
    assert rig_of(write_rig(tmp_path / "inside", ["/robot1/front"], said))[1] == []


def test_a_frame_that_is_missing_is_told_with_what_there_is(tmp_path: Path) -> None:
    said = [(f"/robot{n}/tf_static", "base_link", FRAME, placed(1.0)) for n in (1, 2)]
    path = write_rig(tmp_path / "others", ["/front"], said)
    with pytest.raises(BagError) as caught:
        rig_of(path)
    assert "/robot1/tf_static, /robot2/tf_static, in a namespace without" in str(caught.value)
    assert "Fix: set tf.namespace: /robot2" in str(caught.value)
    assert rig_of(path, **{"tf.namespace": "/robot2"})[0] == {"front": 1.0}
    with pytest.raises(BagError, match=r"the bag has no transforms.*Fix: record /tf_static"):
        rig_of(write_rig(tmp_path / "none", ["/front"], []))
    with pytest.raises(BagError, match=r"header\.frame_id is empty.*Fix: set frame_id in the"):
        rig_of(write_rig(tmp_path / "empty", ["/front"], TWO_PARENTS[:1], frame=""))


def test_odometry_is_of_one_frame_and_of_the_cameras_robot(tmp_path: Path) -> None:
    said = [
        ("/robot1/tf_static", "base_link", FRAME, placed(1.0)),
        *(("/robot1/tf", "odom", "base_link", moved(float(x))) for x in range(4)),
        *(("/robot1/tf", "map", "base_link", moved(100.0 + x)) for x in range(2)),
        *(("/robot2/tf", "odom", "base_link", moved(-float(x))) for x in range(9)),
    ]
    path = write_rig(tmp_path / "bag", ["/robot1/front"], said)
    with BagReader(path, from_flat({})) as reader:
        assert [T[0, 3] for _, T in reader.odometry] == [0.0, 1.0, 2.0, 3.0]
        (problem,) = reader.problems
    assert "'map' -> 'base_link' (/robot1/tf)" in problem
    assert "'odom' -> 'base_link' is taken" in problem and "robot2" not in problem


def test_poses_of_an_odometry_topic_are_those_of_the_cameras_robot(tmp_path: Path) -> None:
    path = tmp_path / "bag"
    said = [(f"/robot{n}/tf_static", "base_link", FRAME, placed(1.0)) for n in (1, 2)]
    write_rig(path, ["/robot2/front"], said)
    merged = tmp_path / "merged"
    with BagReader(path, from_flat({})) as reader, BagWriter(merged) as writer:
        for topic, time, message in reader.messages(list(reader.topics)):
            writer.write(topic, message, time, latched=topic.endswith("static"))
        types = writer.types
        for n in (1, 2):
            position = types.new("geometry_msgs/msg/Point", x=float(n), y=0.0, z=0.0)
            level = types.new("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
            pose = types.new("geometry_msgs/msg/Pose", position=position, orientation=level)
            zero = types.new("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0)
            twist = types.new("geometry_msgs/msg/Twist", linear=zero, angular=zero)
            none = np.zeros(36)
            message = types.new(
                "nav_msgs/msg/Odometry",
                header=messages.header(types, START, "odom"),
                child_frame_id="base_link",
                pose=types.new("geometry_msgs/msg/PoseWithCovariance", pose=pose, covariance=none),
                twist=types.new(
                    "geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=none
                ),
            )
            writer.write(f"/robot{n}/odom", message, START)
    with BagReader(merged, from_flat({})) as reader:
        assert [T[0, 3] for _, T in reader.odometry] == [2.0]


def test_a_player_passes_on_a_contradiction_and_says_the_rest_once(tmp_path: Path) -> None:
    said = [*TWO_PARENTS, TWO_PARENTS[0], TWO_PARENTS[1]]
    path = write_rig(tmp_path / "bag", ["/front"], said)
    with Playback(path) as playback:
        data = playback.static_transforms()["/tf_static"]
        tf = standard_types().deserialize_cdr(data, "tf2_msgs/msg/TFMessage")
    told = [(item.header.frame_id, item.child_frame_id) for item in tf.transforms]
    assert told == [("camera_link", FRAME), ("base_link", FRAME), ("base_link", "camera_link")]


def test_motion_takes_the_topic_that_is_named_and_tf_beside_it(tmp_path: Path) -> None:
    said = [
        ("/tf_static", "base_link", FRAME, placed(1.0)),
        *(("/tf", "odom", "base_link", moved(float(x))) for x in range(4)),
        *(("/tf", "map", "base_link", moved(100.0 + x)) for x in range(6)),
    ]
    path = write_rig(tmp_path / "bag", ["/front"], said)
    for frame, expected in (("odom", [0.0, 1.0, 2.0, 3.0]), ("map", [100.0 + x for x in range(6)])):
        given = from_flat({"motion.enabled": True, "motion.fixed_frame": frame})
        with BagReader(path, given) as reader:
            assert [item.T_odom_base[0, 3] for item in reader.motion] == expected
            assert {(item.name, item.by_tf) for item in reader.motion} == {
                (f"TF '{frame}' -> 'base_link'", True)
            }
    for given in ({"motion.enabled": False}, {"motion.enabled": True, "motion.fixed_frame": ""}):
        with BagReader(path, from_flat(given)) as reader:
            assert reader.motion == [] and reader.odometry
