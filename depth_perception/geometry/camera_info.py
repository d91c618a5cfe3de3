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

"""From a ``sensor_msgs/CameraInfo`` to the camera that it describes, and to its rectified view.

In: the message (REP 104) and the size of the image that arrives. Out: a `CameraModel` of just that
image: after region of interest, binning and later resizing, and only if there can be such a camera
(`geometry.plausibility`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from depth_perception.errors import CalibrationError
from depth_perception.geometry import plausibility
from depth_perception.geometry.camera import DISTORTION_MODELS, CameraModel
from depth_perception.geometry.plausibility import Calibrated

_ASPECT_TOLERANCE = 0.02
"""How far a resized image's two scale factors may differ; rounding of small images gives 1 %."""


def from_camera_info(
    info: Any,
    *,
    rectified: bool,
    image_size: tuple[int, int] | None = None,
    topic: str = "camera_info",
) -> CameraModel:
    """Build the model of the image that really arrives from a ``sensor_msgs/CameraInfo``.

    Args:
        info: The message, of rclpy or of `rosbags`: anything with CameraInfo's fields.
        rectified: True when the image is rectified: then P and R hold, else K and D (REP 104).
            Only P's first three columns do: the fourth tells a stereo matcher where the other
            camera is, and this camera is where TF says.
        image_size: (width, height) of the image; None when it is as CameraInfo says. An image
            that was resized after calibration is honoured, one of another shape is refused.
        topic: Name of the camera_info topic, for errors.

    Returns:
        The model after binning, region of interest and resizing.

    Raises:
        CalibrationError: K or P of zeros, unknown distortion model, R that is no rotation, an image
            whose shape contradicts the calibration, or a focal length or principal point that no
            camera has.
    """
    calibrated = _calibrated(info, rectified, image_size, topic)
    impossible = plausibility.refusal(calibrated)
    if impossible is not None:
        raise impossible
    window = _window(calibrated, info, rectified)
    try:
        return _as_delivered(calibrated, info, window)
    except CalibrationError as error:
        raise _named(error, topic) from None


def calibration_doubts(
    info: Any,
    *,
    rectified: bool,
    rectify: bool = True,
    image_size: tuple[int, int] | None = None,
    topic: str = "camera_info",
) -> tuple[str, ...]:
    """Say what is unlikely about a CameraInfo that `from_camera_info` accepts, a sentence each.

    Args:
        info: The message.
        rectified: True when the image is rectified.
        rectify: True when raw images are rectified here, as P says.
        image_size: (width, height) of the image; None when it is as CameraInfo says.
        topic: Name of the camera_info topic.
    """
    found = plausibility.doubts(_calibrated(info, rectified, image_size, topic))
    if not rectified and has_only_rectified(info):
        found.append(
            f"{topic}: K is the identity, D is zero and only P is filled: P is taken as the camera."
            " Fix: fill K with the left of P, and name the image topic image_rect or set"
            " image_kinds"
        )
    elif rectified and not _is_filled(info) and np.any(np.array(getattr(info, "d", ()))):
        found.append(
            f"{topic}: the images are rectified and P is empty: K is taken as their camera. Fix:"
            " publish the P that they were rectified to"
        )
    elif not rectified and rectify and _is_filled(info):
        impossible = plausibility.refusal(_calibrated(info, True, image_size, topic))
        if impossible is not None:
            found.append(
                f"{impossible.problem}; P is left aside, and raw images are rectified by K and D"
                f" alone. Fix: {impossible.fix}"
            )
    return tuple(found)


def has_only_rectified(info: Any) -> bool:
    """Tell whether only P describes a camera: K is the identity and D is zero, both never set."""
    K, D = np.array(getattr(info, "k", ())), np.array(getattr(info, "d", ()))
    if K.size != 9 or not plausibility.is_identity(K.reshape(3, 3)) or np.any(D):
        return False
    return _is_filled(info) and not plausibility.is_identity(
        np.array(info.p, dtype=np.float64).reshape(3, 4)[:, :3]
    )


def _is_filled(info: Any) -> bool:
    P = np.array(getattr(info, "p", ()), dtype=np.float64)
    return P.size == 12 and bool(P[0] > 0 and P[5] > 0)


def _named(error: CalibrationError, topic: str) -> CalibrationError:
    """Put the topic's name into an error of `CameraModel`, which does not know it."""
    problem = error.problem
    if problem.startswith("camera:"):
        problem = topic + problem[len("camera") :]
    return CalibrationError(problem, expected=error.expected, fix=error.fix)


def _calibrated(
    info: Any, rectified: bool, image_size: tuple[int, int] | None, topic: str
) -> Calibrated:
    """Return the calibrated image's camera, whole and unbinned; raise what `CameraModel` does."""
    K = np.array(getattr(info, "k", ()), dtype=np.float64)
    D = np.array(getattr(info, "d", ()), dtype=np.float64)
    R = np.array(getattr(info, "r", ()), dtype=np.float64)
    P = np.array(getattr(info, "p", ()), dtype=np.float64)
    width, height = int(info.width), int(info.height)
    if width == 0 and height == 0 and image_size is not None:
        # Some drivers leave the size out; then the image is what was calibrated.
        width, height = image_size
    if R.size != 9 or not np.any(R):
        R = np.eye(9)[:3, :3]
    name, matrix = str(getattr(info, "distortion_model", "")), "K"
    if rectified or has_only_rectified(info):
        if P.size == 12 and P[0] > 0:
            K, matrix = P.reshape(3, 4)[:, :3].copy(), "P"
        D, name = np.zeros(0), "plumb_bob"
    else:
        R = np.eye(3)
    if not name:
        if np.any(D):
            raise CalibrationError(
                f"{topic}: distortion_model is empty, yet D is {D.tolist()}",
                expected="one of " + ", ".join(DISTORTION_MODELS),
                fix="set distortion_model in the camera driver's calibration file",
            )
        name = "plumb_bob"
    if K.size != 9:
        raise CalibrationError(
            f"{topic}: K has {K.size} numbers", expected="9", fix="publish a valid CameraInfo"
        )
    try:
        camera = CameraModel(width, height, K, D, name, R)
    except CalibrationError as error:
        raise _named(error, topic) from None
    return Calibrated(camera, matrix, topic, _binning(info), image_size)


def _binning(info: Any) -> tuple[int, int]:
    return max(int(info.binning_x), 1), max(int(info.binning_y), 1)


def _window(calibrated: Calibrated, info: Any, rectified: bool) -> tuple[int, int, int, int] | None:
    """Return (x, y, width, height) of the calibrated image that is delivered; None for all of it.

    roi is a window of the raw image. With ``do_rectify`` a rectified image has one of its own, the
    rectangle around the rectified raw one (sensor_msgs/RegionOfInterest, image_geometry). As
    image_proc cuts rectified images at the raw window all the same, the image's size decides.
    """
    camera, roi = calibrated.camera, getattr(info, "roi", None)
    if roi is None or roi.width == 0 or roi.height == 0:
        return None
    window = (int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height))
    right, lower = window[0] + window[2], window[1] + window[3]
    if right > camera.width or lower > camera.height:
        raise CalibrationError(
            f"{calibrated.topic}: roi ends at {right}x{lower}, the calibrated image at"
            f" {camera.width}x{camera.height}",
            expected="a region inside of the calibrated image (REP 104: before binning)",
            fix="correct roi, or width and height, in the camera driver",
        )
    size = calibrated.image_size
    if rectified and roi.do_rectify and size is not None:
        bx, by = calibrated.binning
        distinct = _rectified_window(calibrated, info, window)
        raw_fits = size == (window[2] // bx, window[3] // by)
        # Whoever cut the image may have rounded otherwise.
        if (
            not raw_fits
            and distinct is not None
            and (max(abs(size[0] - distinct[2] // bx), abs(size[1] - distinct[3] // by)) <= 1)
        ):
            return distinct
    return window


def _rectified_window(
    calibrated: Calibrated, info: Any, window: tuple[int, int, int, int]
) -> tuple[int, int, int, int] | None:
    """Return the rectangle that holds a raw window's corners once they are rectified."""
    x, y, width, height = window
    corners = np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]])
    try:
        raw = _calibrated(info, False, calibrated.image_size, calibrated.topic).camera
    except CalibrationError:
        return None
    points = calibrated.camera.project(raw.lift(corners.astype(np.float64)))
    if not np.isfinite(points).all():
        return None
    left, top = np.maximum(np.ceil(points.min(axis=0)), 0).astype(int)
    limits = (calibrated.camera.width, calibrated.camera.height)
    right, lower = np.minimum(np.floor(points.max(axis=0)), limits).astype(int)
    if right <= left or lower <= top:
        return None
    return int(left), int(top), int(right - left), int(lower - top)


def _as_delivered(
    calibrated: Calibrated, info: Any, window: tuple[int, int, int, int] | None
) -> CameraModel:
    """Apply region of interest, binning and later resizing, in the order in which they happen."""
    camera, image_size = calibrated.camera, calibrated.image_size
    if window is not None:
        camera = camera.cropped(*window)
    bx, by = _binning(info)
    if bx > 1 or by > 1:
        # A sensor bins whole blocks: what is left over at the right and lower edge is not read.
        whole = camera.cropped(0, 0, camera.width // bx * bx, camera.height // by * by)
        camera = whole.resized(camera.width // bx, camera.height // by)
    if image_size is None or image_size == (camera.width, camera.height):
        return camera
    sx, sy = image_size[0] / camera.width, image_size[1] / camera.height
    if abs(sx / sy - 1) > _ASPECT_TOLERANCE:
        raise CalibrationError(
            f"{calibrated.topic}: describes images of {camera.width}x{camera.height}, the image is"
            f" {image_size[0]}x{image_size[1]}",
            expected="the same size, or one resized evenly",
            fix="publish the CameraInfo that belongs to this image (set roi when it is cropped)",
        )
    return camera.resized(*image_size)


def rectified_view(
    camera: CameraModel, info: Any = None, max_field_of_view: float = np.deg2rad(120.0)
) -> CameraModel:
    """Choose the pinhole camera into which the raw images of ``camera`` are rectified.

    Args:
        camera: The raw camera.
        info: Its CameraInfo: when P is set, the rectified view is the one that P and R describe,
            as everywhere in ROS, unless no camera can be so. None chooses a view from the
            distortion alone.
        max_field_of_view: Widest horizontal and vertical field, radians, of a view chosen here; a
            fisheye lens sees more than any flat image can hold.

    Returns:
        A pinhole of the same image size.
    """
    if info is not None and _is_filled(info):
        size = (camera.width, camera.height)
        if plausibility.refusal(_calibrated(info, True, size, "camera_info")) is None:
            return from_camera_info(info, rectified=True, image_size=size)
    if camera.is_pinhole:
        return camera
    if min(camera.width, camera.height) < 2:  # a single row or column has no edges
        return CameraModel(camera.width, camera.height, camera.K)
    # The rectangle that the middles of the four image edges reach, cut at the widest field.
    w, h = camera.width - 1.0, camera.height - 1.0
    edges = np.array([[0, h / 2], [w, h / 2], [w / 2, 0], [w / 2, h]])
    left, right, top, bottom = camera.lift(edges)
    limit = np.tan(max_field_of_view / 2)

    def reach(value: float, sign: float) -> float:
        return sign * limit if not np.isfinite(value) or abs(value) > limit else float(value)

    x0, x1 = reach(left[0], -1), reach(right[0], 1)
    y0, y1 = reach(top[1], -1), reach(bottom[1], 1)
    f = max(w / (x1 - x0), h / (y1 - y0))
    K = np.array([[f, 0, w / 2 - f * (x0 + x1) / 2], [0, f, h / 2 - f * (y0 + y1) / 2], [0, 0, 1]])
    return CameraModel(camera.width, camera.height, K)
