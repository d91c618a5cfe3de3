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

"""The cameras of one vehicle: calibration, mounting and ego-body masks, read once and kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.camera import CameraModel


@dataclass(frozen=True, eq=False)
class RigCamera:
    """One camera on the vehicle.

    Attributes:
        name: The camera's name, e.g. ``CAM_FRONT``.
        model: Model of its images as they arrive.
        T_base_camera: 4x4, maps points of the optical frame into the base frame, metres.
        frame_id: The optical frame's name in TF.
        view: The pinhole camera that its rectified images have, same size; ``model`` itself when
            images arrive rectified or rectification is off.
        ego_mask: (height, width) bool of the arriving image, true on the vehicle's own body; None
            when the camera sees none of it.
        doubts: What is unlikely about the calibration, though it is used; a sentence each.
        heights: Its height over other frames that may be the vehicle's, m, by frame; for advice.
    """

    name: str
    model: CameraModel
    T_base_camera: NDArray[np.float64]
    frame_id: str
    view: CameraModel
    ego_mask: NDArray[np.bool_] | None = None
    doubts: tuple[str, ...] = ()
    heights: Mapping[str, float] = field(default_factory=dict)

    @property
    def position(self) -> NDArray[np.float64]:
        """The optical centre in the base frame, (3,) metres."""
        return self.T_base_camera[:3, 3]

    def same_as(self, other: RigCamera) -> bool:
        """Tell whether nothing that depth depends on differs."""
        masks_agree = (
            self.ego_mask is None
            if other.ego_mask is None
            else self.ego_mask is not None and np.array_equal(self.ego_mask, other.ego_mask)
        )
        return (
            self.name == other.name
            and self.frame_id == other.frame_id
            and masks_agree
            and np.array_equal(self.T_base_camera, other.T_base_camera)
            and self.model.same_as(other.model)
            and self.view.same_as(other.view)
        )


@dataclass(frozen=True, eq=False)
class Rig:
    """All cameras by name, in a fixed order, and the frame that they are mounted to."""

    cameras: Mapping[str, RigCamera] = field(default_factory=dict)
    base_frame: str = "base_link"

    def __iter__(self) -> Iterator[RigCamera]:
        """Iterate over the cameras in the rig's order."""
        return iter(self.cameras.values())

    def __len__(self) -> int:
        """Count the cameras."""
        return len(self.cameras)

    def __getitem__(self, name: str) -> RigCamera:
        """Return the camera of that name."""
        return self.cameras[name]

    @property
    def names(self) -> list[str]:
        """Camera names in the rig's order."""
        return list(self.cameras)
