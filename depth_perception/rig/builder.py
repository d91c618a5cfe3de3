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

"""From CameraInfo, mounting and parameters to the cameras of the rig and the ground under it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.camera_info import (
    calibration_doubts,
    from_camera_info,
    rectified_view,
)
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import RigCamera
from depth_perception.parameters import GroundParameters, Parameters
from depth_perception.rig.ego_mask import EgoMask, load_ego_masks, rasterize
from depth_perception.rig.extrinsics_file import GivenMounting, load_extrinsics


def nominal_ground(parameters: GroundParameters) -> GroundPlane:
    """Build the ground plane that the parameters describe."""
    covariance = np.diag(
        np.square([parameters.roll_std, parameters.pitch_std, parameters.height_std])
    )
    return GroundPlane.from_angles(parameters.roll, parameters.pitch, parameters.height, covariance)


def ego_masks_of(parameters: Parameters) -> dict[str, EgoMask]:
    """Load the masks that the parameters name; none when they name no file."""
    return load_ego_masks(parameters.ego_masks) if parameters.ego_masks else {}


def extrinsics_of(parameters: Parameters) -> dict[str, GivenMounting]:
    """Load the mountings that the parameters name; none when they name no file."""
    if not parameters.extrinsics:
        return {}
    return load_extrinsics(parameters.extrinsics, parameters.base_frame)


def build_rig_camera(
    name: str,
    info: Any,
    image_size: tuple[int, int],
    rectified: bool,
    T_base_camera: NDArray[np.float64],
    frame_id: str,
    parameters: Parameters,
    ego_masks: Mapping[str, EgoMask],
    info_topic: str = "",
) -> RigCamera:
    """Build one camera of the rig.

    Args:
        name: The camera's name.
        info: Its CameraInfo message.
        image_size: (width, height) of the images that arrive.
        rectified: True when they arrive rectified.
        T_base_camera: 4x4, its mounting.
        frame_id: Its optical frame.
        parameters: ``rectify`` holds.
        ego_masks: By camera name.
        info_topic: For errors.

    Raises:
        CalibrationError: The calibration is degenerate or contradicts the image size.
    """
    topic = info_topic or f"{name}/camera_info"
    # Whoever chained the transforms (tf2 does it in C++) rounds its own way. Without the nanometres
    # depth is the same to the last bit.
    T_base_camera = np.round(T_base_camera, 9)
    model = from_camera_info(info, rectified=rectified, image_size=image_size, topic=topic)
    view = model
    if parameters.rectify and not rectified:
        chosen = rectified_view(model, info)
        view = model if chosen.same_as(model) else chosen
    doubts = calibration_doubts(
        info, rectified=rectified, rectify=parameters.rectify, image_size=image_size, topic=topic
    )
    mask = ego_masks.get(name)
    return RigCamera(
        name=name,
        model=model,
        T_base_camera=T_base_camera,
        frame_id=frame_id,
        view=view,
        ego_mask=None if mask is None else rasterize(mask, *image_size),
        doubts=doubts,
    )
