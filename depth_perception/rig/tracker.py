"""The rig as messages show it: built anew where calibration, image size or mounting changed."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from depth_perception.errors import MessageError, TransformError
from depth_perception.geometry.rig import Rig, RigCamera
from depth_perception.geometry.transforms import Matrix, TransformTree
from depth_perception.messages.transforms import decode_transform
from depth_perception.parameters import Parameters
from depth_perception.rig.builder import build_rig_camera, ego_masks_of
from depth_perception.rig.camera_topics import CameraTopics
from depth_perception.rig.mounting import heights_over_base_frames


class Extrinsics(Protocol):
    """Looks up mountings elsewhere than in the transforms that went into an `Ingest`."""

    def lookup(self, target: str, source: str) -> Matrix:
        """Return T_target_source as it is now; raise `TransformError` where there is none."""


class RigTracker:
    """Keeps each camera of the rig up to date. Transforms may be added by any thread.

    Attributes:
        tree: The transforms that were added, as far as they were read; see `settle`.
    """

    def __init__(
        self,
        parameters: Parameters,
        extrinsics: Extrinsics | None = None,
        problem: Callable[[str, str], None] = lambda camera, reason: None,
    ) -> None:
        """Load the ego masks.

        Args:
            parameters: ``base_frame``, ``rectify`` and ``ego_masks`` hold.
            extrinsics: Where mountings are looked up; None: in the transforms that are added.
            problem: Called with ("", reason) for what is wrong with a transform.

        Raises:
            ConfigurationError: The file of ego masks is absent or malformed.
        """
        self.tree = TransformTree()
        self._parameters = parameters
        self._extrinsics = extrinsics
        self._problem = problem
        # /tf may bring thousands of transforms a second; only the latest of each frame is read.
        self._arrived: dict[str, tuple[str, Any]] = {}
        self._lock = threading.Lock()
        self._mountings: dict[str, Matrix] = {}
        self._ego_masks = ego_masks_of(parameters)
        self._cameras: dict[str, tuple[tuple[Any, ...], RigCamera]] = {}

    @property
    def base_frame(self) -> str:
        """The vehicle frame that mountings are relative to."""
        return self._parameters.base_frame

    def add_transforms(self, message: Any, topic: str) -> None:
        """Take a TFMessage; of each child frame the latest transform holds."""
        with self._lock:
            for transform in message.transforms:
                self._arrived[transform.child_frame_id] = (topic, transform)

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
            TransformError: The mounting is unknown.
            MessageError: No message says which frame the camera is.
        """
        frame = (frame_id or info.header.frame_id).lstrip("/")
        if not frame:
            raise MessageError(
                f"{topics.image}: header.frame_id is empty, as is the one of {topics.info}",
                expected="the camera's optical frame",
                fix="set frame_id in the camera driver",
            )
        T_base_camera = self.mounting(frame)
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
            self._cameras[topics.name] = (key, dataclasses.replace(camera, heights=heights))
        return self._cameras[topics.name][1]

    def mounting(self, frame: str) -> Matrix:
        """Return T_base_frame as it is now.

        Raises:
            TransformError: There is none, or one on the way is impossible.
        """
        if self._extrinsics is not None:
            return self._extrinsics.lookup(self._parameters.base_frame, frame)
        if self._arrived:
            self.settle()
        if frame not in self._mountings:
            self._mountings[frame] = self.tree.lookup(self._parameters.base_frame, frame)
        return self._mountings[frame]

    def settle(self) -> None:
        """Read the transforms that were added since the last time into `tree`."""
        with self._lock:
            arrived, self._arrived = self._arrived, {}
        for topic, message in arrived.values():
            try:
                self.tree.set(*decode_transform(message))
            except TransformError as error:
                self._problem("", f"{topic}: {error}")
                self.tree.refuse(message.child_frame_id.lstrip("/"), str(error))
        self._mountings.clear()


def calibration_key(info: Any) -> tuple[Any, ...]:
    """Return all of a CameraInfo that depth depends on; its stamp changes with every image."""
    roi = info.roi
    return (
        (info.width, info.height, info.distortion_model, info.binning_x, info.binning_y),
        (roi.x_offset, roi.y_offset, roi.width, roi.height, roi.do_rectify),
        tuple(tuple(values) for values in (info.d, info.k, info.r, info.p)),
    )
