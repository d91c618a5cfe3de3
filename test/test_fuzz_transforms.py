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

"""Trees of transforms drawn at random: what is consistent is multiplied, all else is refused.

Loops, several parents, NaN, nothing in between, deep chains, leading slashes and empty names: only
a `DepthPerceptionError` with a fix comes out.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from test_fuzz import cases

from depth_perception.datasets.bag_transforms import TRANSFORM_TYPE, BagTransforms
from depth_perception.errors import ContradictionError, DepthPerceptionError
from depth_perception.geometry.transform_tree import same_transform
from depth_perception.geometry.transforms import matrix_from
from depth_perception.parameters import Parameters, TfParameters
from depth_perception.rig.tracker import RigTracker

NAMES = ["base_link", "front", "rear", "odom", "a", "b", "c"]
NAME = st.sampled_from([*NAMES, *(f"/{name}" for name in NAMES), "", "/", "//", "a/b"])
TOPIC = st.sampled_from(["/tf_static", "/tf", "/robot1/tf_static", "/robot1/tf", "/robot2/tf"])
LENGTH = st.floats(-100, 100)


def message(parent: str, child: str, t: Any, q: Any) -> Any:
    """Make a TFMessage of one transform."""
    return SimpleNamespace(
        transforms=[
            SimpleNamespace(
                header=SimpleNamespace(frame_id=parent, stamp=SimpleNamespace(sec=1, nanosec=0)),
                child_frame_id=child,
                transform=SimpleNamespace(
                    translation=SimpleNamespace(**dict(zip("xyz", t, strict=True))),
                    rotation=SimpleNamespace(**dict(zip("xyzw", q, strict=True))),
                ),
            )
        ]
    )


@st.composite
def rotations(draw: Any) -> list[float]:
    """Quaternions of length 1."""
    q = np.array(draw(st.lists(st.floats(-1, 1), min_size=4, max_size=4)))
    length = float(np.linalg.norm(q))
    return [0.0, 0.0, 0.0, 1.0] if length < 1e-3 else (q / length).tolist()


@st.composite
def hostile(draw: Any) -> tuple[str, Any]:
    """A topic and a message of any names, whose numbers may be anything in one case of four."""
    t: Any = draw(st.tuples(LENGTH, LENGTH, LENGTH))
    q: Any = draw(rotations())
    if draw(st.integers(0, 3)) == 0:
        t = draw(st.tuples(st.floats(), st.floats(), st.floats()))
        q = draw(st.tuples(st.floats(), st.floats(), st.floats(), st.floats()))
    return draw(TOPIC), message(draw(NAME), draw(NAME), t, q)


@cases(700)
@given(
    st.lists(hostile(), max_size=12),
    NAME,
    st.sampled_from(["", "/front/image", "/robot1/front/image", "/robot3/x"]),
    st.sampled_from(["refuse", "first", "last"]),
)
def test_whatever_is_told_only_errors_with_a_fix_come_out(
    told: list[tuple[str, Any]], frame: str, camera: str, choice: str
) -> None:
    problems: list[str] = []
    rig = RigTracker(
        Parameters(tf=TfParameters(conflicts=choice)),
        problem=lambda camera, reason: problems.append(reason),
    )
    for topic, item in told:
        rig.add_transforms(item, topic)
    try:
        T = rig.mounting(frame, camera)
    except DepthPerceptionError as error:
        assert error.fix and "\n" not in str(error)
        assert choice == "refuse" or not isinstance(error, ContradictionError)
    else:
        assert T.shape == (4, 4) and np.isfinite(T).all()
        np.testing.assert_allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-6)
    assert all("Fix: " in p or "tf.conflicts" in p or "vehicle" in p for p in problems)
    rig.doubt("/tf_static")
    rig.drop_doubted()
    rig.drop_silent(1.0)
    rig.contradictions()


@cases(250)
@given(st.lists(hostile(), max_size=12), st.sampled_from(["/front/image", "/robot2/front/image"]))
def test_whatever_a_bag_holds_poses_are_rigid_and_errors_have_a_fix(
    told: list[tuple[str, Any]], camera: str
) -> None:
    problems: list[str] = []
    rig = RigTracker(Parameters(), problem=lambda camera, reason: problems.append(reason))
    topics = dict.fromkeys((topic for topic, _ in told), TRANSFORM_TYPE)
    made = BagTransforms({**topics, camera: "sensor_msgs/msg/Image"}, rig, problems.append)
    stream = [(topic, time, item) for time, (topic, item) in enumerate(told, 1)]
    for _, T in made.read(stream, [camera]):
        assert np.isfinite(T).all()
        np.testing.assert_allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-6)
    try:
        rig.mounting("front", camera)
    except DepthPerceptionError as error:
        assert made.explain(camera, error).fix
    assert set(made.unused([camera])) <= set(topics)
    for text in [*problems, *made.contradictions]:
        assert "Fix: " in text or "contradicts itself" in text or "no other transforms" in text
    assert made.edges == sorted(set(made.edges))


@st.composite
def trees(draw: Any) -> list[tuple[int, Any, Any]]:
    """For frames 1, 2, ...: the parent's number, a translation and a quaternion."""
    deep = draw(st.booleans())
    return [
        (
            child - 1 if deep else draw(st.integers(0, child - 1)),
            draw(st.tuples(LENGTH, LENGTH, LENGTH)),
            draw(rotations()),
        )
        for child in range(1, draw(st.integers(2, 30)))
    ]


@cases(250)
@given(trees(), st.data())
def test_a_consistent_tree_is_what_multiplying_by_hand_gives(tree: Any, data: Any) -> None:
    base = data.draw(st.integers(0, len(tree)))
    frame = data.draw(st.integers(0, len(tree)))
    T_root = {0: np.eye(4)}
    rig = RigTracker(Parameters(base_frame=f"f{base}"))
    items = list(enumerate(tree, 1))
    for child, (parent, t, q) in items:
        T_root[child] = T_root[parent] @ matrix_from(t, q)
    for child, (parent, t, q) in data.draw(st.permutations(items)):
        slash = data.draw(st.sampled_from(["", "/"]))
        topic = data.draw(st.sampled_from(["/tf_static", "/tf"]))
        rig.add_transforms(message(f"{slash}f{parent}", f"f{child}", t, q), topic)
    expected = np.linalg.inv(T_root[base]) @ T_root[frame]
    np.testing.assert_allclose(rig.mounting(f"f{frame}"), expected, rtol=1e-9, atol=1e-6)


@cases(250)
@given(trees(), st.data())
def test_a_second_parent_or_value_on_the_way_is_refused_and_elsewhere_not(
    tree: Any, data: Any
) -> None:
    rig = RigTracker(Parameters(base_frame="f0"))
    parents = {child: parent for child, (parent, _, _) in enumerate(tree, 1)}
    for child, (parent, t, q) in enumerate(tree, 1):
        rig.add_transforms(message(f"f{parent}", f"f{child}", t, q), "/tf_static")
    frame = data.draw(st.integers(1, len(tree)))
    told_twice = data.draw(st.integers(1, len(tree)))
    way = set()
    above = frame
    while above:
        way.add(above)
        above = parents[above]
    before = rig.mounting(f"f{frame}")
    other = data.draw(st.sampled_from(["elsewhere", f"f{parents[told_twice]}"]))
    t, q = np.add(tree[told_twice - 1][1], [0, 0, 1e-3]), tree[told_twice - 1][2]
    rig.add_transforms(message(other, f"f{told_twice}", t, q), "/tf_static")
    try:
        again = rig.mounting(f"f{frame}")
    except ContradictionError as error:
        assert told_twice in way
        text = str(error)
        assert f"'f{told_twice}'" in text and f"'{other}'" in text
        assert f"'f{parents[told_twice]}'" in text
    else:
        assert told_twice not in way and same_transform(before, again)
