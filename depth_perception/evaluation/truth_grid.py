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

"""Bring exact truth of a camera's image onto the pixels of its published depth image.

In: the camera of the rig, model and pose of the published depth image, truth on the image's pixels.
Out: truth on the published pixels, along the published optical axis.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.rig import RigCamera
from depth_perception.geometry.sampling import sample_depth, sample_nearest
from depth_perception.geometry.transforms import Matrix

OWN_BODY_LABEL = 255
"""Class id of the vehicle's own body, and of what lies outside of the image."""


class TruthGrid:
    """Where the pixels of a published depth image lie in the camera's own image.

    Attributes:
        uv: (N, 2) pixels of the camera's image, by row of the published image.
    """

    def __init__(self, source: RigCamera, camera: CameraModel, T_base_camera: Matrix) -> None:
        """Take the rig's camera, and the depth image's model and pose."""
        self.source, self.camera, self.T_base_camera = source, camera, T_base_camera
        T_base_image = image_pose(source)
        image = source.model.without_rotation()
        self._same = camera.same_as(image) and np.allclose(T_base_camera, T_base_image)
        rays = camera.rays().reshape(-1, 3)
        in_image = rays @ T_base_camera[:3, :3].T @ T_base_image[:3, :3]
        self.uv = image.project(in_image)
        with np.errstate(divide="ignore", invalid="ignore"):
            # A published ray of depth 1 is so deep in the camera's image.
            self._depth_of_ray = np.where(in_image[:, 2] > 0, in_image[:, 2], np.nan)
        self._directions = rays @ T_base_camera[:3, :3].T

    def serves(self, source: RigCamera, camera: CameraModel, T_base_camera: Matrix) -> bool:
        """Tell whether it was made from the same numbers."""
        return (
            source.same_as(self.source)
            and camera.same_as(self.camera)
            and np.array_equal(T_base_camera, self.T_base_camera)
        )

    def depth(self, truth: NDArray[np.floating]) -> NDArray[np.float64]:
        """Bring (H, W) true depth to the published pixels: (N,) along their optical axis."""
        if self._same:
            return np.asarray(truth, dtype=np.float64).ravel()
        return sample_depth(truth, self.uv) / self._depth_of_ray

    def labels(self, labels: NDArray[np.integer]) -> NDArray[np.int64]:
        """Bring (H, W) class ids to the published pixels, nearest: (N,)."""
        return sample_nearest(labels, self.uv, outside=OWN_BODY_LABEL)

    def points(self, depth: NDArray[np.floating]) -> NDArray[np.float64]:
        """Lift (N,) depths of the published pixels into the base frame: (N, 3) metres."""
        return self._directions * depth[:, None] + self.T_base_camera[:3, 3]


def image_pose(source: RigCamera) -> Matrix:
    """Return T_base_image: the camera's pose with the axes of its image, which may be rectified."""
    T = source.T_base_camera.copy()
    T[:3, :3] = T[:3, :3] @ source.model.R.T
    return T
