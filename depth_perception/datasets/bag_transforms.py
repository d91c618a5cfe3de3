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

"""The transforms of a bag: which place which cameras, what they contradict, how the vehicle moves.

In: the bag's topics and its TFMessages. Out: the trees of a `RigTracker`, and the poses of the base
frame, as ``/tf`` has them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from depth_perception import messages
from depth_perception.errors import ContradictionError, TransformError
from depth_perception.geometry.transform_tree import Told, contradiction, same_transform
from depth_perception.geometry.transforms import Matrix
from depth_perception.rig.fixed_frame import FixedFrame
from depth_perception.rig.tracker import RigTracker, is_static, namespace_of

TRANSFORM_TYPE = "tf2_msgs/msg/TFMessage"

Poses = list[tuple[int, Matrix]]
"""(stamp ns, T_odom_base) in the order of time."""


class BagTransforms:
    """The transforms of one bag.

    Attributes:
        topics: Their topics.
    """

    def __init__(
        self, topics: Mapping[str, str], rig: RigTracker, problem: Callable[[str], None]
    ) -> None:
        """Sort the topics by the cameras that they place.

        Args:
            topics: Type by name of all topics of the bag.
            rig: What is read goes there.
            problem: Called with what is wrong and left out.
        """
        self.topics = [topic for topic, kind in topics.items() if kind == TRANSFORM_TYPE]
        self._rig, self._problem = rig, problem
        self._namespaces = {topic: namespace_of(topic) for topic in self.topics}
        only = set(self._namespaces.values())
        # Where all are of one namespace, nothing else can place what is outside of it.
        self._single = only.pop() if len(only) == 1 else ""
        if self._single:
            self._namespaces = dict.fromkeys(self._namespaces, "")

    def read(
        self,
        stream: Iterable[tuple[str, int, Any]],
        cameras: Sequence[str],
        fixed_frame: FixedFrame | None = None,
    ) -> Poses:
        """Read all; edges that only /tf has count as static when first seen.

        Args:
            stream: (topic, bag time ns, TFMessage) of `topics`.
            cameras: Image topics; the vehicle is that of the first of them.
            fixed_frame: Told every transform, too, those that are static first.

        Returns:
            Where the base frame was, by what moves it.
        """
        moving: list[tuple[int, Told]] = []
        heard: list[tuple[Any, str, bool]] = []
        for topic, time, message in stream:
            namespace = self._namespaces[topic]
            if fixed_frame is not None:
                heard.append((message, namespace, is_static(topic)))
            if is_static(topic):
                self._rig.add_transforms(message, topic, static=True, namespace=namespace)
                continue
            for item in message.transforms:
                try:
                    parent, child, T = messages.decode_edge(item)
                except TransformError as error:
                    self._problem(f"{topic}: {error}")
                    self._rig.tree_of(namespace).refuse(item.child_frame_id, str(error))
                    continue
                told = Told(parent, child, T, topic, static=False)
                moving.append((messages.stamp_of(item.header.stamp) or time, told))
        self._rig.settle()
        if fixed_frame is not None:
            heard.sort(key=lambda item: not item[2])
            for item in heard:
                fixed_frame.know(*item)
            for item in heard:
                fixed_frame.add(*item)
        outside = [topic for topic in cameras if not topic.startswith(self._single + "/")]
        if self._single and outside:
            self._problem(
                f"{', '.join(self.topics)}: the bag has no other transforms, so that these place"
                f" what is outside of {self._single}, too: {', '.join(outside)}"
            )
        return self._chosen(self._take(moving), cameras)

    def _take(self, moving: Sequence[tuple[int, Told]]) -> dict[tuple[str, str, str], Poses]:
        """Hear what moves as it is first, and whatever contradicts a static transform.

        Returns:
            By (topic, parent, child): how the base frame moves in the parent.
        """
        base = self._rig.base_frame
        static = {
            (namespace, child)
            for namespace, tree in self._rig.trees.items()
            for _, child in tree.edges
        }
        # What moves is the base frame, or a frame that it is fixed to, such as base_footprint.
        fixed: dict[tuple[str, str], Matrix | None] = {}
        for namespace, child in {(self._namespaces[t.topic], t.child) for _, t in moving}:
            try:
                T = np.eye(4) if child == base else self._rig.tree_of(namespace).lookup(child, base)
            except TransformError:
                fixed[namespace, child] = None
            else:
                fixed[namespace, child] = T
        first: dict[tuple[str, str, str], Told] = {}
        poses: dict[tuple[str, str, str], Poses] = {}
        for stamp, told in moving:
            namespace, key = self._namespaces[told.topic], (told.topic, told.parent, told.child)
            new = key not in first
            if new:
                first[key] = told
            if (namespace, told.child) in static:
                if new or not same_transform(first[key].T_parent_child, told.T_parent_child):
                    self._rig.tree_of(namespace).tell(told)
                continue
            if new:
                self._rig.tree_of(namespace).tell(told)
            T_child_base = fixed[namespace, told.child]
            if T_child_base is not None:
                poses.setdefault(key, []).append((stamp, told.T_parent_child @ T_child_base))
        return poses

    def _chosen(self, poses: Mapping[tuple[str, str, str], Poses], cameras: Sequence[str]) -> Poses:
        """Choose the poses of one frame in one other: two vehicles, or map and odom, do not mix."""
        if not poses:
            return []
        order = self._rig.namespaces_for(cameras[0] if cameras else "")
        spaces = {key: self._namespaces[key[0]] for key in poses}
        ranks = {k: order.index(s) if s in order else len(order) for k, s in spaces.items()}
        nearest = [key for key in poses if ranks[key] == min(ranks.values())]
        chosen = max(nearest, key=lambda key: len(poses[key]))
        if len(nearest) > 1:
            named = ", ".join(f"'{p}' -> '{child}' ({topic})" for topic, p, child in nearest)
            self._problem(
                f"{self._rig.base_frame} moves by {named}; for odometry '{chosen[1]}' ->"
                f" '{chosen[2]}' is taken, of which there are most. Fix: record nav_msgs/Odometry,"
                " which goes before them, or one of them"
            )
        return sorted(poses[chosen], key=lambda item: item[0])

    def nearest(self, topics: Iterable[str], cameras: Sequence[str]) -> list[str]:
        """Sort topics by how near their namespace is to that of the first camera, then by name."""
        order = self._rig.namespaces_for(cameras[0] if cameras else "")

        def rank(topic: str) -> tuple[int, str]:
            namespace = namespace_of(topic)
            return (order.index(namespace) if namespace in order else len(order), topic)

        return sorted(topics, key=rank)

    def explain(self, image_topic: str, error: TransformError) -> TransformError:
        """Say in an error of a missing transform what the bag has instead."""
        if isinstance(error, ContradictionError):
            return error
        used = self._rig.namespaces_for(image_topic)
        others = sorted(t for t, namespace in self._namespaces.items() if namespace not in used)
        problem, fix = error.problem, "record /tf_static with the drive"
        if not self.topics:
            problem += "; the bag has no transforms"
        elif others:
            problem += f"; there are {', '.join(others)}, in a namespace without this camera"
            fix = f"set tf.namespace: {self._namespaces[others[-1]]}"
        return TransformError(
            problem,
            expected=error.expected,
            fix=f"{fix}, or name the right base frame with base_frame",
        )

    @property
    def edges(self) -> list[tuple[str, str]]:
        """Every (parent, child) of all transforms, sorted."""
        return sorted({edge for tree in self._rig.trees.values() for edge in tree.edges})

    @property
    def contradictions(self) -> list[str]:
        """What transforms contradict each other on, whether it matters to a camera or not."""
        return [
            contradiction(told).problem
            for tree in self._rig.trees.values()
            for told in tree.contradictions.values()
        ]

    def unused(self, shown: Collection[str]) -> list[str]:
        """List the topics of transforms that place none of the things that these topics show."""
        used = {name for topic in shown for name in self._rig.namespaces_for(topic)}
        return sorted(t for t, namespace in self._namespaces.items() if namespace not in used)
