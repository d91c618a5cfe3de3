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

"""Where frames are, as those who publish transforms say it; and what they contradict each other on.

In: transforms by parent and child, each with the topic that it came on. Out: the transform between
any two connected frames, or an error that says which frame is missing, or is told two ways.

A `TransformTree` holds what one pair of topics (``/tf``, ``/tf_static``) told. A `TransformView`
looks through one or several of them, the most specific first: a camera below ``/robot1`` is placed
by ``/robot1/tf_static``, and by ``/tf_static`` where that knows a frame and the other does not.

tf2 keeps what was told last. Here a frame that is told two ways has no place, since one of the two
is wrong and nobody knows which; a changing transform on ``/tf`` is no contradiction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from transforms3d import euler

from depth_perception.errors import ContradictionError, TransformError
from depth_perception.geometry.transforms import Matrix, inverse

SAME_TRANSLATION_M = 1e-4
SAME_ROTATION_RAD = 1e-4
"""Transforms closer than this are the same one, rounded. At 50 m a camera 1.5 m above the road sees
it 0.17 m nearer or farther (0.3 %) for a pitch of so much."""
_KEPT = 8
"""What is kept of a frame; a publisher may tell another value ten times a second, for hours."""

CHOICES = ("refuse", "first", "last")


@dataclass(frozen=True, eq=False)
class Told:
    """What somebody says of where a frame is.

    Attributes:
        parent, child: The frames, without leading slashes.
        T_parent_child: 4x4.
        topic: Where it was said; empty when nobody said it, but it was set.
        static: True for what holds until somebody says otherwise, as on ``/tf_static``.
        at: When it was said last, seconds of any clock; 0 in a recording.
        order: Rank by when it was first told, among what is told of the frame.
        doubted: True when its publisher may be gone; see `TransformTree.doubt`.
    """

    parent: str
    child: str
    T_parent_child: Matrix
    topic: str = ""
    static: bool = True
    at: float = 0.0
    order: int = 0
    doubted: bool = False

    def repeats(self, other: Told) -> bool:
        """Tell whether this takes the place of what was told before."""
        if (self.parent, self.static) != (other.parent, other.static):
            return False
        moves = not self.static and self.topic == other.topic
        return moves or same_transform(self.T_parent_child, other.T_parent_child)

    def contradicts(self, other: Told) -> bool:
        """Tell whether the two cannot both be right."""
        return self.parent != other.parent or not same_transform(
            self.T_parent_child, other.T_parent_child
        )

    def __str__(self) -> str:
        """Write parent, topic and value, the angles in degrees."""
        return f"'{self.parent}' ({self.topic or 'set'}: {value_text(self.T_parent_child)})"


def same_transform(A: Matrix, B: Matrix) -> bool:
    """Tell whether two 4x4 transforms differ by no more than rounding."""
    with np.errstate(over="ignore"):  # infinitely far apart is not the same, either
        distance = float(np.linalg.norm(A[:3, 3] - B[:3, 3]))
    if distance > SAME_TRANSLATION_M:
        return False
    # The norm of the difference of two rotations is 2 sqrt(2) sin(angle / 2).
    difference = float(np.linalg.norm(A[:3, :3] - B[:3, :3]))
    return difference <= np.sqrt(2) * SAME_ROTATION_RAD


def value_text(T: Matrix) -> str:
    """Write a 4x4 transform as translation (m) and fixed-axis yaw, pitch and roll (degrees)."""
    x, y, z = np.asarray(T)[:3, 3].round(4) + 0.0
    roll, pitch, yaw = np.rad2deg(euler.mat2euler(np.asarray(T)[:3, :3], "sxyz")).round(3) + 0.0
    return (
        f"x {x:.4f}, y {y:.4f}, z {z:.4f} m, yaw {yaw:.3f}, pitch {pitch:.3f}, roll {roll:.3f} deg"
    )


def contradiction(told: Sequence[Told]) -> ContradictionError:
    """Build the error of a frame of which different things are told."""
    told = sorted(told, key=lambda item: item.order)
    child, parents = told[0].child, {item.parent for item in told}
    number = "two" if len(told) == 2 else str(len(told))
    listed = ", ".join(map(str, told[:-1])) + f" and {told[-1]}"
    topics = tuple(dict.fromkeys(item.topic for item in told))
    kind = f"{number} parents" if len(parents) == len(told) else f"{number} values"
    where = f" on {' and '.join(topics)}" if all(topics) else ""
    return ContradictionError(
        f"TF contradicts itself{where}: frame '{child}' has {kind}: {listed}",
        expected="one parent and one value",
        fix=f"let only one node publish '{child}' (switch TF off in the camera's driver, or take"
        " the frame out of the URDF); for a recording that is as it is, tf.conflicts: first or"
        " last takes one of them",
        topics=topics,
    )


class TransformTree:
    """What was told of each frame, in the order in which it was first told."""

    def __init__(self) -> None:
        """Start empty."""
        self._told: dict[str, list[Told]] = {}
        self._refused: dict[str, str] = {}

    def refuse(self, child: str, reason: str) -> None:
        """Remember why a transform was not set, for the error of a look-up that lacks it."""
        self._refused[child.lstrip("/")] = reason

    def set(self, parent: str, child: str, T_parent_child: Matrix) -> None:
        """Add or replace the transform of ``child``; leading slashes of tf1 names are dropped."""
        child = child.lstrip("/")
        self._told[child] = [Told(parent.lstrip("/"), child, np.asarray(T_parent_child))]

    def tell(self, told: Told) -> None:
        """Hear a transform: it takes the place of what it repeats, and stands beside all else."""
        items = self._told.setdefault(told.child, [])
        order = max((item.order for item in items), default=-1) + 1
        for index, item in enumerate(items):
            if told.repeats(item):
                order = items.pop(index).order
                break
        items.append(dataclasses.replace(told, order=order))
        if len(items) > _KEPT:
            first = min(items, key=lambda item: item.order)
            items.remove(next(item for item in items if item is not first))

    def told(self, child: str) -> Sequence[Told]:
        """Return all that is told of a frame, what was told last at the end."""
        return self._told.get(child, ())

    def reason(self, child: str) -> str:
        """Say why a transform of the frame was not set; empty when none was refused."""
        return self._refused.get(child, "")

    @property
    def frames(self) -> list[str]:
        """Every frame that was named, sorted."""
        parents = {item.parent for items in self._told.values() for item in items}
        return sorted({*(child for child, items in self._told.items() if items), *parents})

    @property
    def edges(self) -> list[tuple[str, str]]:
        """Every (parent, child), sorted."""
        return sorted({(i.parent, i.child) for items in self._told.values() for i in items})

    @property
    def contradictions(self) -> dict[str, Sequence[Told]]:
        """All that is told of each frame that is told more than one way."""
        return {child: items for child, items in self._told.items() if _contradict(items)}

    def lookup(self, target: str, source: str) -> Matrix:
        """Return T_target_source; see `TransformView.lookup`."""
        return TransformView([self]).lookup(target, source)

    # What is told may have ceased to hold.

    def doubt(self, topic: str) -> bool:
        """Doubt what a latched topic told of contradicted frames, until it is told again.

        Returns:
            True when there is something to doubt.
        """
        found = False
        for child in self.contradictions:
            for index, item in enumerate(self._told[child]):
                if item.static and item.topic == topic:
                    self._told[child][index] = dataclasses.replace(item, doubted=True)
                    found = True
        return found

    def drop_doubted(self) -> None:
        """Forget what was not told again, of frames of which something was."""
        for child, items in self._told.items():
            certain = [item for item in items if not item.doubted]
            self._told[child] = certain or [
                dataclasses.replace(item, doubted=False) for item in items
            ]

    def drop_silent(self, before: float) -> None:
        """Forget what ``/tf`` no longer says of contradicted frames.

        Args:
            before: What was said last before this time has ended; of the clock of `Told.at`.
        """
        for child in self.contradictions:
            items = self._told[child]
            self._told[child] = [i for i in items if i.static or i.at >= before] or items[-1:]


class TransformView:
    """Looks through trees: where a frame is, the first tree says that knows it.

    Attributes:
        trees: The trees, the most specific first.
    """

    def __init__(self, trees: Iterable[TransformTree], choice: str = "refuse") -> None:
        """Look through these trees.

        Args:
            trees: The most specific first.
            choice: Of what is told of a frame in two ways: ``refuse`` both, or take what was told
                ``first`` or ``last``.
        """
        self.trees = tuple(trees)
        self._choice = choice

    @property
    def frames(self) -> list[str]:
        """Every frame that was named, sorted."""
        return sorted({frame for tree in self.trees for frame in tree.frames})

    def lookup(self, target: str, source: str) -> Matrix:
        """Return T_target_source.

        Raises:
            ContradictionError: A frame on the way is told two ways, and none of them is chosen.
            TransformError: A frame is unknown, or the two are not connected.
        """
        return self.find(target, source)[0]

    def find(self, target: str, source: str) -> tuple[Matrix, list[tuple[TransformTree, str]]]:
        """Return T_target_source, and the (tree, child) of each transform on the way.

        Raises:
            ContradictionError: A frame on the way is told two ways, and none of them is chosen.
            TransformError: A frame is unknown, or the two are not connected.
        """
        target, source = target.lstrip("/"), source.lstrip("/")
        up_target, end_target = self._ancestors(target)
        up_source, end_source = self._ancestors(source)
        for frame, T_frame_source in up_source.items():
            if frame in up_target:
                way = [*_until(up_source, frame), *_until(up_target, frame)]
                edges = [(tree, child) for child in way if (tree := self._tree_of(child))]
                return inverse(up_target[frame]) @ T_frame_source, edges
        if end_source is not None:
            raise end_source
        if end_target is not None and self._all_above(target) & self._all_above(source):
            raise end_target
        raise self._missing(target, source)

    def _missing(self, target: str, source: str) -> TransformError:
        known = self.frames
        missing = [frame for frame in (source, target) if frame not in known]
        problem = (
            f"frame '{missing[0]}' is not in TF"
            if missing
            else f"TF does not connect '{target}' and '{source}'"
        )
        reasons = [tree.reason(f) for f in (source, target) for tree in self.trees]
        refused = next(filter(None, reasons), "")
        if refused:
            problem += f" ({refused})"
        return TransformError(
            problem,
            expected=f"a transform from '{target}' to '{source}'; known frames: "
            + (", ".join(known) or "none"),
            fix="publish it on /tf_static (robot_state_publisher or static_transform_publisher),"
            " or name the right base frame with base_frame",
        )

    def _tree_of(self, frame: str) -> TransformTree | None:
        return next((tree for tree in self.trees if tree.told(frame)), None)

    def _ancestors(self, frame: str) -> tuple[dict[str, Matrix], TransformError | None]:
        """Map each frame from ``frame`` upward to T_ancestor_frame; say what ended it but a root.

        What lies above the frames that a look-up is about does not matter to it.
        """
        chain = {frame: np.eye(4)}
        T = np.eye(4)
        while (tree := self._tree_of(frame)) is not None:
            told = tree.told(frame)
            if self._choice == "refuse" and _contradict(told):
                return chain, contradiction(told)
            chosen = self._chosen(told)
            if chosen.parent in chain:
                return chain, TransformError(
                    f"TF has a loop through '{chosen.parent}'",
                    expected="a tree",
                    fix=f"stop the node that publishes '{chosen.parent}' -> '{frame}', or another"
                    " transform of the loop",
                )
            T = chosen.T_parent_child @ T
            frame = chosen.parent
            chain[frame] = T
        return chain, None

    def _chosen(self, told: Sequence[Told]) -> Told:
        """Choose from what is told of a frame; without a contradiction, what is static first."""
        if self._choice == "first":
            return min(told, key=lambda item: item.order)
        if self._choice == "last" and _contradict(told):
            return told[-1]
        return ([item for item in told if item.static] or told)[-1]

    def _all_above(self, frame: str) -> set[str]:
        """Return a frame and all that anybody says is above it."""
        found, new = {frame}, [frame]
        while new:
            below = new.pop()
            tree = self._tree_of(below)
            parents = {item.parent for item in tree.told(below)} - found if tree else set()
            found |= parents
            new += parents
        return found


def _contradict(told: Sequence[Told]) -> bool:
    return any(told[0].contradicts(item) for item in told[1:])


def _until(chain: Iterable[str], end: str) -> list[str]:
    """Return the frames of a chain before one of them."""
    frames = []
    for frame in chain:
        if frame == end:
            break
        frames.append(frame)
    return frames
