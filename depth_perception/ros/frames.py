"""From a closed set of messages to the arrays that the pipeline takes: frame set and rig."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import DepthPerceptionError
from depth_perception.frames.assembler import AssembledSet
from depth_perception.frames.frame_set import CameraFrame, FrameSet
from depth_perception.geometry.rig import Rig, RigCamera
from depth_perception.messages.images import decode_image, decode_labels
from depth_perception.parameters import Parameters
from depth_perception.rig.builder import build_rig_camera, calibration_key, ego_masks_of
from depth_perception.ros.assembly import Arrival
from depth_perception.ros.inputs import CameraInput
from depth_perception.ros.transforms import Extrinsics


class FrameSetDecoder:
    """Decodes frame sets, and keeps the rig up to date with calibration and transforms."""

    def __init__(self, parameters: Parameters, extrinsics: Extrinsics) -> None:
        """Load the ego masks.

        Raises:
            ConfigurationError: The mask file is absent or malformed.
        """
        self._parameters = parameters
        self._extrinsics = extrinsics
        self._ego_masks = ego_masks_of(parameters)
        # OpenCV decodes outside of Python's lock: JPEGs of several cameras take the time of one.
        self._pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode")
        self._rig_cameras: dict[str, tuple[tuple[Any, ...], RigCamera]] = {}

    def decode(
        self, closed: AssembledSet[Arrival], inputs: Mapping[str, CameraInput]
    ) -> tuple[FrameSet, Rig, dict[str, str]]:
        """Decode one set.

        Returns:
            The frame set, with the reason for each camera that is missing; the rig, of all cameras
            that were ever usable; and the reasons that are faults of a message, calibration or
            transform, by camera.
        """
        frames: dict[str, CameraFrame] = {}
        faults: dict[str, str] = {}
        decoded = self._pool.map(
            lambda name: _decoded(inputs[name], closed.members[name][1]), closed.members
        )
        for (name, (stamp, arrival)), item in zip(closed.members.items(), decoded, strict=True):
            try:
                if isinstance(item, DepthPerceptionError):
                    raise item
                self._update(inputs[name], item[0], arrival.image.header.frame_id)
            except DepthPerceptionError as error:
                faults[name] = str(error)
            else:
                frames[name] = CameraFrame(stamp, *item)
        missing = {
            name: faults.get(name) or camera.absence()
            for name, camera in inputs.items()
            if name not in frames
        }
        rig = {name: self._rig_cameras[name][1] for name in inputs if name in self._rig_cameras}
        stamp = min((frame.stamp for frame in frames.values()), default=closed.stamp)
        return FrameSet(stamp, frames, missing), Rig(rig, self._parameters.base_frame), faults

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def _update(self, camera: CameraInput, image: NDArray[Any], frame_id: str) -> None:
        """Build the rig's camera anew when calibration, image size or mounting changed."""
        info, name = camera.info, camera.topics.name
        if info is None:
            raise DepthPerceptionError(
                f"{camera.topics.info}: no calibration has arrived",
                expected="a CameraInfo message",
                fix="publish CameraInfo beside the images",
            )
        frame = (frame_id or info.header.frame_id).lstrip("/")
        if not frame:
            raise DepthPerceptionError(
                f"{camera.topics.image}: header.frame_id is empty, as is the one of"
                f" {camera.topics.info}",
                expected="the camera's optical frame",
                fix="set frame_id in the camera driver",
            )
        size = (image.shape[1], image.shape[0])
        T = self._extrinsics.lookup(self._parameters.base_frame, frame)
        key = (size, frame, T.tobytes(), calibration_key(info))
        if name not in self._rig_cameras or self._rig_cameras[name][0] != key:
            built = build_rig_camera(
                name,
                info,
                size,
                camera.topics.rectified,
                T,
                frame,
                self._parameters,
                self._ego_masks,
                camera.topics.info,
            )
            self._rig_cameras[name] = (key, built)


def _decoded(
    camera: CameraInput, arrival: Arrival
) -> tuple[NDArray[np.uint8], NDArray[np.integer] | None] | DepthPerceptionError:
    """Decode image and labels of one camera; hand back what is wrong with them."""
    try:
        image = decode_image(arrival.image, camera.topics.image)
        if arrival.labels is None:
            return image, None
        return image, decode_labels(arrival.labels, camera.topics.labels)
    except DepthPerceptionError as error:
        return error
