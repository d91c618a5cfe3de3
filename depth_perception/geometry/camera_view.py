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

"""The pixel grid that depth is computed on, for one camera over one ground plane.

Everything that depends only on calibration and ground (rays, plane depth, its uncertainty, where
the own body is, how to bring the arriving image here) is computed once and kept.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import MessageError
from depth_perception.geometry.camera import CameraModel, rectification_maps
from depth_perception.geometry.ground_plane import (
    GroundPlane,
    camera_height,
    plane_depth,
    plane_depth_relative_sigma,
)
from depth_perception.geometry.rig import RigCamera


@dataclass(frozen=True, eq=False)
class CameraView:
    """One camera's working grid of (height, width) pixels.

    Attributes:
        source: The rig's camera.
        camera: Model of the working grid.
        T_base_camera: 4x4, from ``camera``'s frame to the base frame (rectification included).
        rays: (h, w, 3) float32, optical frame, third component 1; NaN where nothing is seen.
        ground: The plane, in the base frame. What follows from it is computed when it is asked for:
            with the vehicle's motion the plane is another at each frame set.
        ego: (h, w) bool, true on the vehicle's own body and where the arriving image ends.
        maps: Fixed maps for `cv2.remap` from the arriving image, or None when resizing is all.
        ray_sigma: (h, w) float32, see `oblique_sigma`; None where no pixel looks so far aside.
    """

    source: RigCamera
    camera: CameraModel
    T_base_camera: NDArray[np.float64]
    rays: NDArray[np.float32]
    ground: GroundPlane
    ego: NDArray[np.bool_]
    maps: tuple[NDArray[np.float32], NDArray[np.float32]] | None
    ray_sigma: NDArray[np.float32] | None = None

    @cached_property
    def height(self) -> float:
        """Height of the optical centre over the plane, metres."""
        return camera_height(self.ground, self.T_base_camera)

    @cached_property
    def normal(self) -> NDArray[np.float64]:
        """(3,) the plane's unit normal, up, in ``camera``'s frame."""
        return np.asarray(self.T_base_camera[:3, :3].T @ self.ground.normal)

    @cached_property
    def plane(self) -> NDArray[np.float32]:
        """(h, w) float32, depth on the ground plane, metres; +Inf above the horizon."""
        return self._exact_plane.astype(np.float32)

    @cached_property
    def inverse_plane(self) -> NDArray[np.float32]:
        """(h, w) float32, 1 / ``plane`` in 1/m, 0 at and above the horizon."""
        plane = self._exact_plane
        with np.errstate(invalid="ignore"):
            return np.where(np.isfinite(plane), 1 / plane, 0).astype(np.float32)

    @cached_property
    def plane_sigma(self) -> NDArray[np.float32]:
        """(h, w) float32, relative standard deviation of ``plane``."""
        rays = self.rays.astype(np.float64)
        return plane_depth_relative_sigma(
            rays, self._exact_plane, self.T_base_camera, self.ground
        ).astype(np.float32)

    @cached_property
    def ground_xy(self) -> NDArray[np.float32]:
        """(h, w, 2) float32, x and y in the base frame of the plane point seen.

        +-Inf or NaN above the horizon.
        """
        with np.errstate(invalid="ignore"):
            direction = self.rays.astype(np.float64) @ self.T_base_camera[:2, :3].T
            ground_xy = direction * self._exact_plane[..., None] + self.T_base_camera[:2, 3]
        return np.asarray(ground_xy, np.float32)

    @cached_property
    def _exact_plane(self) -> NDArray[np.float64]:
        return plane_depth(self.rays, self.T_base_camera, self.ground)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the grid, px."""
        return self.camera.width, self.camera.height

    def image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bring an arriving image onto the grid, bilinear; black where nothing is.

        Args:
            image: (H, W, 3) uint8, BGR.

        Raises:
            MessageError: It is no such image.
        """
        if image.ndim != 3 or image.shape[2] != 3 or not image.size or image.dtype != np.uint8:
            raise MessageError(
                f"an image of the shape {list(image.shape)}, {image.dtype}",
                expected="(height, width, 3), uint8, in BGR",
                fix="convert it before",
            )
        if self.maps is not None:
            return np.asarray(
                cv2.remap(image, *self.maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT),
                dtype=np.uint8,
            )
        if (image.shape[1], image.shape[0]) == self.size:
            return image
        return np.asarray(cv2.resize(image, self.size, interpolation=cv2.INTER_LINEAR), np.uint8)

    def labels(self, labels: NDArray[np.integer]) -> NDArray[np.integer]:
        """Bring a label image of the arriving image's field (any size) onto the grid, nearest.

        What lies outside of the arriving image, where nothing is seen, is `ego` and 0 here.
        """
        height, width = labels.shape
        if self.maps is None:
            rows = (np.arange(self.camera.height) + 0.5) * (height / self.camera.height)
            columns = (np.arange(self.camera.width) + 0.5) * (width / self.camera.width)
            return labels[rows.astype(np.intp)[:, None], columns.astype(np.intp)]
        model = self.source.model
        columns = np.floor((self.maps[0] + 0.5) * (width / model.width)).astype(np.intp)
        rows = np.floor((self.maps[1] + 0.5) * (height / model.height)).astype(np.intp)
        picked = labels[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
        return np.where(_inside(self.maps, model), picked, np.array(0, dtype=labels.dtype))


def _inside(
    maps: tuple[NDArray[np.float32], NDArray[np.float32]], model: CameraModel
) -> NDArray[np.bool_]:
    """Tell where maps lead into the image, to half a pixel beyond the outer pixels' centres."""
    x, y = maps
    inside = (x >= -0.5) & (x <= model.width - 0.5) & (y >= -0.5) & (y <= model.height - 0.5)
    return np.asarray(inside, dtype=np.bool_)


def working_size(camera: CameraModel, image_width: int) -> tuple[int, int]:
    """(width, height) of the grid for a wanted width; 0 keeps the source's; never enlarges."""
    if image_width <= 0 or image_width >= camera.width:
        return camera.width, camera.height
    return image_width, max(1, round(camera.height * image_width / camera.width))


def view_on_ground(view: CameraView, ground: GroundPlane) -> CameraView:
    """Return the same working grid over another ground plane."""
    return dataclasses.replace(view, ground=ground)


OBLIQUE = np.radians(75.0)
"""Farther than this from the optical axis, depth along it hangs on where a pixel looks."""

RAY_SIGMA = np.radians(0.25)
"""Standard deviation of where a pixel looks, rad: no lens is calibrated better at its edge."""


def oblique_sigma(rays: NDArray[np.floating]) -> NDArray[np.float32] | None:
    """Relative standard deviation of depth from where pixels look, far from the optical axis.

    Depth z of a point at distance d is d cos(a), a the angle to the axis, so dz / z = tan(a) da:
    next to nothing in the middle of an image, and all there is at 90 degrees, where depths of a
    few centimetres belong to ground that is metres away.

    Args:
        rays: (h, w, 3), third component 1.

    Returns:
        (h, w), 0 within `OBLIQUE` of the axis; None when that is everywhere.
    """
    tangent = np.hypot(rays[..., 0], rays[..., 1])
    oblique = tangent > np.tan(OBLIQUE)
    if not oblique.any():
        return None
    return np.where(oblique, RAY_SIGMA * tangent, 0).astype(np.float32)


def camera_view(
    source: RigCamera, ground: GroundPlane, image_width: int, size: tuple[int, int] | None = None
) -> CameraView:
    """Precompute the working grid of one camera.

    Args:
        source: The rig's camera.
        ground: The ground plane, in the base frame.
        image_width: Width of the grid, px; 0 for the source's.
        size: (width, height) of the grid, px, instead.
    """
    width, height = size or working_size(source.view, image_width)
    camera = source.view.resized(width, height)
    T_base_camera = source.T_base_camera
    if not np.array_equal(camera.R, np.eye(3)):
        # Depth images carry the rectified optical axis: turn the frame, not every ray.
        T_base_camera = T_base_camera.copy()
        T_base_camera[:3, :3] = T_base_camera[:3, :3] @ camera.R.T
        camera = camera.without_rotation()
    rays = camera.rays()
    maps = None
    if source.view is not source.model and not source.view.same_as(source.model):
        target = source.view.resized(width, height)
        maps = rectification_maps(source.model, target)
    view = CameraView(
        source=source,
        camera=camera,
        T_base_camera=T_base_camera,
        rays=rays.astype(np.float32),
        ground=ground,
        ego=np.zeros((height, width), dtype=bool),
        maps=maps,
        ray_sigma=oblique_sigma(rays),
    )
    if source.ego_mask is not None:
        view.ego[...] = view.labels(source.ego_mask.astype(np.uint8)) > 0
    if maps is not None:
        view.ego[...] |= ~_inside(maps, source.model)
    return view
