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

"""The rig as messages show it: built anew where calibration, image size or mounting changed."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Collection, Iterable
from typing import Any, Protocol

from depth_perception.errors import ContradictionError, MessageError, TransformError
from depth_perception.geometry.rig import Rig, RigCamera
from depth_perception.geometry.transform_tree import (
    Told,
    TransformTree,
    TransformView,
    contradiction,
)
from depth_perception.geometry.transforms import Matrix
from depth_perception.messages.transforms import decode_edge, transform_bits
from depth_perception.parameters import Parameters
from depth_perception.rig.builder import build_rig_camera, ego_masks_of, extrinsics_of
from depth_perception.rig.camera_topics import CameraTopics
from depth_perception.rig.mounting import heights_over_base_frames

_UNREAD = 10_000
"""So many transforms are kept unread; with no camera in use nobody else would read them."""


class Extrinsics(Protocol):
    """Looks up mountings elsewhere than in the transforms that went into an `Ingest`."""

    def lookup(self, target: str, source: str) -> Matrix:
        """Return T_target_source as it is now; raise `TransformError` where there is none."""


def namespace_of(topic: str) -> str:
    """Return what stands before the last element of a topic, e.g. ``/robot1`` of ``/robot1/tf``."""
    return topic.rpartition("/")[0]


def is_static(topic: str) -> bool:
    """Tell from its name whether a topic carries static transforms."""
    return topic.endswith("tf_static")


def enclosing(namespace: str) -> list[str]:
    """List a namespace and those around it: ``/a/b``, ``/a`` and the global one, which is empty."""
    parts = [part for part in namespace.split("/") if part]
    return ["".join(f"/{part}" for part in parts[:n]) for n in range(len(parts), -1, -1)]


class RigTracker:
    """Keeps each camera of the rig up to date. Any thread may call.

    Attributes:
        trees: The transforms that were added, as far as they were read, by the namespace of their
            topics; see `settle`.
    """

    def __init__(
        self,
        parameters: Parameters,
        extrinsics: Extrinsics | None = None,
        problem: Callable[[str, str], None] = lambda camera, reason: None,
        explain: Callable[[str, TransformError], TransformError] = lambda topic, error: error,
        namespace: str = "",
        debug: Callable[..., None] = lambda make, *arguments: None,
    ) -> None:
        """Load the ego masks.

        Args:
            parameters: ``base_frame``, ``tf``, ``rectify``, ``ego_masks`` and ``extrinsics`` hold.
            extrinsics: Where mountings are looked up that nothing contradicts; None: in the
                transforms that are added.
            problem: Called with ("", reason) for what is wrong with transforms.
            explain: Called with a camera's image topic and why it has no mounting; returns the
                error with what is known beyond the transforms.
            namespace: Of the node; its transforms go before the global ones.
            debug: Told which transforms are taken and where cameras are placed, as
                ``debug(make, *arguments)``, of which ``make(*arguments)`` makes the text.

        Raises:
            ConfigurationError: The file of ego masks or of extrinsics is absent or malformed.
        """
        self.trees: dict[str, TransformTree] = {"": TransformTree()}
        self._parameters = parameters
        self._extrinsics = extrinsics
        self._problem = problem
        self._explain = explain
        self._namespace, self._debug = namespace, debug
        # /tf may bring thousands of transforms a second; only the latest of each frame is read.
        self._arrived: dict[tuple[Any, ...], tuple[str, str, bool, float, Any]] = {}
        self._lock = threading.RLock()
        self._mountings: dict[tuple[str, str], Matrix] = {}
        self._used: dict[str, frozenset[str]] = {}
        self._ego_masks = ego_masks_of(parameters)
        self._given = extrinsics_of(parameters)
        self._cameras: dict[str, tuple[tuple[Any, ...], RigCamera]] = {}

    @property
    def base_frame(self) -> str:
        """The vehicle frame that mountings are relative to."""
        return self._parameters.base_frame

    @property
    def tree(self) -> TransformTree:
        """The transforms of ``/tf`` and ``/tf_static``."""
        return self.trees[""]

    # Transforms come in.

    def add_transforms(
        self,
        message: Any,
        topic: str,
        *,
        static: bool | None = None,
        namespace: str | None = None,
        at: float = 0.0,
    ) -> None:
        """Take a TFMessage; of each child frame what moves is replaced by what comes later.

        Args:
            message: The message.
            topic: Where it came from.
            static: Whether it holds until told otherwise; None: as the topic's name says.
            namespace: Whose cameras it places; None: that of the topic.
            at: When, seconds of any clock; 0 in a recording.
        """
        static = is_static(topic) if static is None else static
        namespace = namespace_of(topic) if namespace is None else namespace
        with self._lock:
            for transform in message.transforms:
                key: tuple[Any, ...] = (topic, transform.header.frame_id, transform.child_frame_id)
                if static:  # each value counts: two that differ are a contradiction
                    key += (transform_bits(transform.transform),)
                self._arrived.pop(key, None)
                self._arrived[key] = (topic, namespace, static, at, transform)
            if len(self._arrived) > _UNREAD:
                self.settle()

    def settle(self) -> None:
        """Read the transforms that were added since the last time into `trees`."""
        with self._lock:
            arrived, self._arrived = self._arrived, {}
            for topic, namespace, static, at, message in arrived.values():
                try:
                    parent, child, T = decode_edge(message)
                except TransformError as error:
                    self._problem("", f"{topic}: {error}")
                    self.tree_of(namespace).refuse(message.child_frame_id, str(error))
                    continue
                tree = self.tree_of(namespace)
                if static or not tree.told(child):  # what moves would fill the log
                    self._debug(_taken_text, parent, child, T, topic)
                tree.tell(Told(parent, child, T, topic, static, at))
            self._mountings.clear()

    def tree_of(self, namespace: str) -> TransformTree:
        """Return the tree of a namespace, which is empty as long as nothing was told there."""
        return self.trees.setdefault(namespace, TransformTree())

    # What was told may have ceased to hold.

    def contradictions(self, topic: str = "") -> frozenset[tuple[str, str, str, bytes]]:
        """Name what is contradicted, by (topic, parent, child, value), to see what is new.

        Args:
            topic: What this static topic told; empty: all topics.
        """
        with self._lock:
            if self._arrived:
                self.settle()
            return frozenset(
                (item.topic, item.parent, item.child, item.T_parent_child.tobytes())
                for tree in self.trees.values()
                for told in tree.contradictions.values()
                for item in told
                if not topic or (item.static and item.topic == topic)
            )

    def doubt(self, topic: str) -> bool:
        """Doubt what a latched topic told of contradicted frames, until it is told again.

        Returns:
            True when there is something to doubt.
        """
        with self._lock:
            self.settle()
            return any([tree.doubt(topic) for tree in self.trees.values()])

    def drop_doubted(self) -> None:
        """Forget what was not told again since `doubt`."""
        with self._lock:
            self.settle()
            for tree in self.trees.values():
                tree.drop_doubted()

    def drop_silent(self, before: float) -> None:
        """Forget what ``/tf`` no longer says of contradicted frames, by the clock of ``at``."""
        with self._lock:
            self.settle()
            for tree in self.trees.values():
                tree.drop_silent(before)

    # Mountings and cameras go out.

    def namespaces_for(self, topic: str) -> list[str]:
        """List the namespaces whose transforms place what a topic shows, the first one first.

        They need not exist. The longest beginning of the topic comes first, the global one last.
        """
        own = self._parameters.tf.namespace or namespace_of(topic)
        around = [] if self._parameters.tf.namespace else enclosing(self._namespace)[:-1]
        return list(dict.fromkeys([*enclosing(own)[:-1], *around, ""]))

    def view(self, topic: str) -> TransformView:
        """Return the transforms that place what a topic shows, as far as they were read."""
        with self._lock:
            trees = [self.trees[name] for name in self.namespaces_for(topic) if name in self.trees]
        return TransformView(trees, self._parameters.tf.conflicts)

    def mounting(self, frame: str, topic: str = "") -> Matrix:
        """Return T_base_frame as it is now, for a camera with this image topic.

        Raises:
            ContradictionError: It is told two ways.
            TransformError: There is none, or one on the way is impossible.
        """
        with self._lock:
            if self._arrived:
                self.settle()
            key = (namespace_of(topic), frame)
            if key in self._mountings:
                return self._mountings[key]
            try:
                T, moved_elsewhere = self._looked_up(frame, topic)
            except TransformError as error:
                raise self._explain(topic, error) from None
            if not moved_elsewhere:
                self._mountings[key] = T
            return T

    def _looked_up(self, frame: str, topic: str) -> tuple[Matrix, bool]:
        """Return T_base_frame, and whether it may change without a transform being added."""
        base, view, choice = self.base_frame, self.view(topic), self._parameters.tf.conflicts
        own: Matrix | TransformError
        try:
            own, way = view.find(base, frame)
        except ContradictionError:
            raise
        except TransformError as error:
            own, way = error, []
        names = frozenset(
            name for tree, _ in way for name, known in self.trees.items() if known is tree
        )
        if self._extrinsics is not None and choice == "refuse" and names <= {""}:
            try:
                return self._extrinsics.lookup(base, frame), True
            except TransformError as error:
                # What they have not heard, such as what is not latched, was heard here.
                own = error if not view.frames else own
        if isinstance(own, TransformError):
            raise own
        self._used[topic] = names
        self._check_one_vehicle()
        for tree, child in way:
            if child in tree.contradictions:
                problem = contradiction(tree.told(child)).problem
                self._problem("", f"{problem}; taken is the {choice} (tf.conflicts)")
        return own, False

    def _check_one_vehicle(self) -> None:
        """Say it when cameras are placed by transforms that have nothing in common."""
        used = {topic: names for topic, names in self._used.items() if names}
        for topic, names in used.items():
            other = next((t for t, n in used.items() if n and not n & names), "")
            if other:
                (a, b), (x, y) = (topic, other), (_topics(names), _topics(used[other]))
                self._problem(
                    "",
                    f"{a} is placed by {x}, {b} by {y}: they count as one vehicle with one"
                    f" {self.base_frame}. Fix: if they are of two, name the cameras of one in"
                    " cameras, or run a node in the namespace of each",
                )
                return

    def _mounting_of(self, topics: CameraTopics, frame: str) -> Matrix:
        """Return T_base_camera: what the parameters give, else what transforms say.

        Raises:
            TransformError: The parameters give it for another frame, or transforms have none.
        """
        given = self._given.get(topics.name)
        if given is None:
            return self.mounting(frame, topics.image)
        if given.frame != frame:
            raise TransformError(
                f"{self._parameters.extrinsics} places camera {topics.name} as frame"
                f" '{given.frame}', its images are of frame '{frame}'",
                expected="the frame of the images",
                fix="correct frame of that camera in the file, or make the file anew with"
                " depth_perception calibrate",
            )
        return given.T_base_camera

    def rig_of(self, names: Iterable[str]) -> Rig:
        """Return the rig of those of the cameras that were ever usable, in this order."""
        known = {name: self._cameras[name][1] for name in names if name in self._cameras}
        return Rig(known, self._parameters.base_frame)

    def camera(
        self, topics: CameraTopics, info: Any, size: tuple[int, int], frame_id: str
    ) -> RigCamera:
        """Return a camera of the rig, built anew when calibration, image size or mounting changed.

        Args:
            topics: The camera's topics.
            info: Its CameraInfo.
            size: (width, height) of its images as they arrive.
            frame_id: Of its images; where that is empty, the calibration's counts.

        Raises:
            CalibrationError: The calibration is degenerate or contradicts the image size.
            TransformError: The mounting is unknown, or told two ways.
            MessageError: No message says which frame the camera is.
        """
        frame = (frame_id or info.header.frame_id).lstrip("/")
        if not frame:
            raise MessageError(
                f"{topics.image}: header.frame_id is empty, as is the one of {topics.info}",
                expected="the camera's optical frame",
                fix="set frame_id in the camera driver",
            )
        T_base_camera = self._mounting_of(topics, frame)
        key = (size, frame, T_base_camera.tobytes(), calibration_key(info))
        if topics.name not in self._cameras or self._cameras[topics.name][0] != key:
            camera = build_rig_camera(
                topics.name,
                info,
                size,
                topics.rectified,
                T_base_camera,
                frame,
                self._parameters,
                self._ego_masks,
                topics.info,
            )
            lookup = (self._extrinsics or self.tree).lookup
            heights = heights_over_base_frames(lookup, frame, self._parameters.base_frame)
            self._debug(_placed_text, topics.name, size, self.base_frame, frame, T_base_camera)
            self._cameras[topics.name] = (key, dataclasses.replace(camera, heights=heights))
        return self._cameras[topics.name][1]


def _taken_text(parent: str, child: str, T_parent_child: Matrix, topic: str) -> str:
    """Say which transform is taken from where."""
    return f"transform {parent} to {child} is taken from {topic}: {_place(T_parent_child)}"


def _placed_text(
    name: str, size: tuple[int, int], base: str, frame: str, T_base_camera: Matrix
) -> str:
    """Say where a camera of the rig, which is new or has changed, is."""
    place = f"{frame} is at {_place(T_base_camera)} in {base}"
    return f"{name}: calibration and mounting are taken: {size[0]}x{size[1]} px, {place}"


def _place(T: Matrix) -> str:
    x, y, z = T[:3, 3]
    return f"x {x:.3f}, y {y:.3f}, z {z:.3f} m"


def _topics(namespaces: Collection[str]) -> str:
    return " and ".join(f"{name}/tf_static" for name in sorted(namespaces))


def calibration_key(info: Any) -> tuple[Any, ...]:
    """Return all of a CameraInfo that depth depends on; its stamp changes with every image."""
    roi = info.roi
    return (
        (info.width, info.height, info.distortion_model, info.binning_x, info.binning_y),
        (roi.x_offset, roi.y_offset, roi.width, roi.height, roi.do_rectify),
        tuple(tuple(values) for values in (info.d, info.k, info.r, info.p)),
    )
