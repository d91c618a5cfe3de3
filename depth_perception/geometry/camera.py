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

"""Camera models of ``sensor_msgs/CameraInfo``: project, lift, per-pixel rays, rectification maps.

`CameraModel` maps between points in the camera's optical frame (z forward, x right, y down; metres)
and pixels. Pixel centres are at integers: the image covers u in [-0.5, width - 0.5]. How one is
made of a message: `geometry.camera_info`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import CalibrationError
from depth_perception.geometry import lens

DISTORTION_MODELS = {"plumb_bob": (0, 4, 5), "rational_polynomial": (0, 8), "equidistant": (0, 4)}
"""Distortion models of ``sensor_msgs/distortion_models.hpp``: numbers of coefficients they take."""

_LARGEST = 1e9
"""No number of K or D is larger. Their squares and products must still be numbers."""


@dataclass(frozen=True, eq=False)
class CameraModel:
    """One calibrated camera, for images of exactly ``width`` x ``height`` pixels.

    Attributes:
        width: Image width, px.
        height: Image height, px.
        K: Intrinsic matrix 3x3, px.
        D: Distortion coefficients in OpenCV's order; empty or all zero for a pinhole.
        distortion_model: One of `DISTORTION_MODELS`.
        R: Rotation 3x3 from the camera's optical frame into the rectified frame whose pixels K
            describes; identity for a raw image.
    """

    width: int
    height: int
    K: NDArray[np.float64]
    D: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    distortion_model: str = "plumb_bob"
    R: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))

    def __post_init__(self) -> None:
        """Normalise the arrays once and refuse what cannot be a camera."""
        object.__setattr__(self, "K", np.array(self.K, dtype=np.float64).reshape(3, 3))
        D = np.array(self.D, dtype=np.float64).ravel()
        # Drivers pad with zeros to 5, 8, 12 or 14; a coefficient that is zero changes nothing.
        object.__setattr__(self, "D", np.trim_zeros(D, "b"))
        object.__setattr__(self, "R", np.array(self.R, dtype=np.float64).reshape(3, 3))
        check_calibration(self)
        for array in (self.K, self.D, self.R):
            array.setflags(write=False)

    @cached_property
    def is_pinhole(self) -> bool:
        """True when straight lines stay straight: no distortion coefficient differs from zero.

        An equidistant camera bends lines even with all its coefficients at zero.
        """
        return self.distortion_model != "equidistant" and not np.any(self.D)

    def project(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Project points of the optical frame.

        Args:
            points: (..., 3), metres, in the camera's optical frame.

        Returns:
            (..., 2) pixels (u, v), also outside of the image; NaN behind the camera and where the
            distortion polynomial has turned back on itself, so that nothing is seen twice.
        """
        points = np.asarray(points, dtype=np.float64)
        p = points.reshape(-1, 3) @ self.R.T
        if self.distortion_model == "equidistant":
            xy = lens.distort_equidistant(p, self.D)
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                xy = np.where(p[:, 2:] > 0, p[:, :2] / p[:, 2:], np.nan)
            xy = lens.distort_polynomial(xy, self.D)
        uv = np.empty_like(xy)
        uv[:, 0] = self.K[0, 0] * xy[:, 0] + self.K[0, 1] * xy[:, 1] + self.K[0, 2]
        uv[:, 1] = self.K[1, 1] * xy[:, 1] + self.K[1, 2]
        return uv.reshape(*points.shape[:-1], 2)

    def lift(self, pixels: NDArray[np.floating]) -> NDArray[np.float64]:
        """Lift pixels to rays of the optical frame, the inverse of `project`.

        Args:
            pixels: (..., 2), (u, v).

        Returns:
            (..., 3) rays scaled so that the third component is 1 (a ray times a depth is a point);
            NaN where no ray in front of the camera ends in that pixel.
        """
        pixels = np.asarray(pixels, dtype=np.float64)
        uv = pixels.reshape(-1, 2)
        y = (uv[:, 1] - self.K[1, 2]) / self.K[1, 1]
        x = (uv[:, 0] - self.K[0, 2] - self.K[0, 1] * y) / self.K[0, 0]
        xy = np.stack([x, y], axis=1)
        if self.distortion_model == "equidistant":
            xy = lens.undistort_equidistant(xy, self.D)
        elif not self.is_pinhole:
            xy = lens.undistort_polynomial(xy, self.D)
        rays = np.concatenate([xy, np.where(np.isfinite(xy[:, :1]), 1.0, np.nan)], axis=1)
        if not np.array_equal(self.R, np.eye(3)):
            rays = rays @ self.R
            with np.errstate(divide="ignore", invalid="ignore"):
                rays = np.where(rays[:, 2:] > 0, rays / rays[:, 2:], np.nan)
        return rays.reshape(*pixels.shape[:-1], 3)

    def rays(self) -> NDArray[np.float64]:
        """Per-pixel rays of the whole image: (height, width, 3), third component 1."""
        u, v = np.meshgrid(np.arange(self.width), np.arange(self.height))
        return self.lift(np.stack([u, v], axis=-1))

    def resized(self, width: int, height: int) -> CameraModel:
        """Return the same camera for an image resized to ``width`` x ``height`` pixels."""
        sx, sy = width / self.width, height / self.height
        K = self.K.copy()
        K[0, :2] *= sx
        K[1, 1] *= sy
        K[0, 2] = (self.K[0, 2] + 0.5) * sx - 0.5
        K[1, 2] = (self.K[1, 2] + 0.5) * sy - 0.5
        return dataclasses.replace(self, width=width, height=height, K=K)

    def cropped(self, x: int, y: int, width: int, height: int) -> CameraModel:
        """Return the same camera for the window of its image that starts at pixel (x, y)."""
        K = self.K.copy()
        K[0, 2] -= x
        K[1, 2] -= y
        return dataclasses.replace(self, width=width, height=height, K=K)

    def without_rotation(self) -> CameraModel:
        """Return the camera in its rectified frame: what K sees, with R left out."""
        return dataclasses.replace(self, R=np.eye(3))

    def same_as(self, other: CameraModel) -> bool:
        """Tell whether both describe the same camera, number for number."""
        return (
            (self.width, self.height) == (other.width, other.height)
            and self.distortion_model == other.distortion_model
            and np.array_equal(self.K, other.K)
            and np.array_equal(self.D, other.D)
            and np.array_equal(self.R, other.R)
        )


def check_calibration(camera: CameraModel, topic: str = "camera") -> None:
    """Raise `CalibrationError` when ``camera`` cannot describe a real camera."""
    if camera.width <= 0 or camera.height <= 0:
        raise CalibrationError(
            f"{topic}: image size is {camera.width}x{camera.height}",
            expected="a positive width and height",
            fix="let the driver fill width and height of CameraInfo",
        )
    if not (np.isfinite(camera.K).all() and np.isfinite(camera.D).all()):
        raise CalibrationError(
            f"{topic}: K or D holds NaN or infinity",
            expected="finite numbers",
            fix="calibrate the camera again, e.g. with camera_calibration",
        )
    if camera.K[0, 0] <= 0 or camera.K[1, 1] <= 0:
        raise CalibrationError(
            f"{topic}: K is {camera.K.ravel().tolist()} (uncalibrated camera, REP 104)",
            expected="focal lengths K[0] and K[4] above zero",
            fix="calibrate the camera, e.g. with camera_calibration, and load the result in the"
            " driver",
        )
    size = max(np.abs(camera.K).max(), np.abs(camera.D).max(initial=0.0))
    if size > _LARGEST or not np.allclose(camera.K[2], [0, 0, 1], atol=1e-6):
        raise CalibrationError(
            f"{topic}: K is {camera.K.ravel().tolist()}, D is {camera.D.tolist()}",
            expected="K[6:9] of 0, 0, 1 and numbers of a lens",
            fix="calibrate the camera again, e.g. with camera_calibration",
        )
    if camera.distortion_model not in DISTORTION_MODELS:
        raise CalibrationError(
            f"{topic}: distortion_model '{camera.distortion_model}' is unknown",
            expected="one of " + ", ".join(DISTORTION_MODELS),
            fix="calibrate with one of these models, or rectify the images first",
        )
    counts = DISTORTION_MODELS[camera.distortion_model]
    used = camera.D.size
    if used > counts[-1]:
        raise CalibrationError(
            f"{topic}: D has {used} coefficients in use, distortion_model is"
            f" '{camera.distortion_model}'",
            expected=f"at most {counts[-1]}",
            fix="name the model that D belongs to in CameraInfo.distortion_model",
        )
    if not np.allclose(camera.R @ camera.R.T, np.eye(3), atol=1e-3):
        raise CalibrationError(
            f"{topic}: R is not a rotation: {camera.R.ravel().tolist()}",
            expected="an orthonormal 3x3 matrix, identity for a monocular camera",
            fix="calibrate the camera again, or set R to identity",
        )


def rectification_maps(
    source: CameraModel, target: CameraModel
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Maps for `cv2.remap` that draw ``target``'s image from ``source``'s.

    Returns:
        map_x, map_y: each (target.height, target.width), source pixels; -1e4 where the source
        sees nothing, so that the border value is used.
    """
    uv = source.project(target.rays())
    uv = np.where(np.isfinite(uv), uv, -1e4).astype(np.float32)
    return np.ascontiguousarray(uv[..., 0]), np.ascontiguousarray(uv[..., 1])
