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

"""What a calibration that is valid by its form says of the camera: refused where no camera is so.

In: a matrix of CameraInfo (K, or the left of P) as a `CameraModel` of the calibrated image, before
region of interest and binning. Out: the `CalibrationError` of what cannot be, and sentences about
what is unlikely but used. The limits leave room for every lens on a vehicle: telephoto of 5
degrees, fisheye of 220, images cropped from a larger one with ``roi``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from depth_perception.errors import CalibrationError
from depth_perception.geometry.camera import CameraModel

_IMPOSSIBLE_FIELD, _WIDE_FIELD = np.deg2rad(170.0), np.deg2rad(150.0)
"""Of a flat image: at 170 degrees its focal length is a twentieth of its width."""
_IMPOSSIBLE_FISHEYE, _WIDE_FISHEYE = np.deg2rad(360.0), np.deg2rad(240.0)
"""Along the shorter side; the longer one may reach beyond the circle that the lens draws."""
_IMPOSSIBLY_NARROW, _NARROW_FIELD = np.deg2rad(0.5), np.deg2rad(4.0)
_CORNER = 0.15
"""A principal point within this share of the image of both edges of a corner is in a corner."""
_OFF_CENTRE = 0.25
_OTHER_SIZE = 0.08
"""Off centre by this much, and in both directions alike: K of another resolution."""
_ALIKE = 0.03
_CLEARLY_OTHER, _ON_DIAGONAL = 0.2, 0.02
"""Off centre by this much and alike to this: no lens is so by chance; an image 0.6 or 1.4 times as
large has its middle there."""
_FITS = 0.1
"""A principal point this near (share of the size) to the middle of an image may be that image's."""
_SQUARE = 1.25


@dataclass(frozen=True)
class Calibrated:
    """One matrix of a CameraInfo, with what the message says of the image that arrives.

    Attributes:
        camera: The calibrated image's size and the matrix, before roi and binning.
        matrix: ``K`` or ``P``.
        topic: The camera_info topic.
        binning: Along x and y, 1 for none.
        image_size: (width, height) of the image that arrives; None when it is not known.
    """

    camera: CameraModel
    matrix: str
    topic: str
    binning: tuple[int, int] = (1, 1)
    image_size: tuple[int, int] | None = None


def refusal(calibrated: Calibrated) -> CalibrationError | None:
    """Return the error of a calibration that no camera has; None where it may be one's."""
    return _focal_length_refusal(calibrated) or _principal_point_refusal(calibrated)


def doubts(calibrated: Calibrated) -> list[str]:
    """Return a sentence for each property that is unlikely, of a calibration that is used."""
    camera, where = calibrated.camera, f"{calibrated.topic}: {calibrated.matrix}"
    found = []
    angles = field_of_view(camera)
    wide, narrow = _widest(camera, angles), min(angles)
    limit = _WIDE_FISHEYE if camera.distortion_model == "equidistant" else _WIDE_FIELD
    if wide > limit or narrow < _NARROW_FIELD:
        found.append(
            f"{where} means a field of view of {_degrees(angles)}, which few cameras have; it is"
            " used. Fix: check fx and fy, in pixels, and that the calibration is this camera's"
        )
    off = _off_centre(camera)
    alike = abs(off[0] - off[1]) < _ALIKE and min(np.abs(off)) > _OTHER_SIZE
    if max(np.abs(off)) > _OFF_CENTRE or alike:
        cause = (
            f"{_other_resolution(calibrated)}, or the lens is that far off centre"
            if alike
            else "the lens is that far off centre, or the image is part of a larger one"
        )
        found.append(
            f"{where} has its principal point at {_principal_point(camera)} of a"
            f" {camera.width}x{camera.height} image, far from the middle; it is used. Either"
            f" {cause}. Fix: check that K, width, height and roi belong to the same image"
        )
    ratio = camera.K[0, 0] / camera.K[1, 1]
    if not 1 / _SQUARE < ratio < _SQUARE:
        found.append(
            f"{where} has fx {camera.K[0, 0]:.1f} and fy {camera.K[1, 1]:.1f} px: pixels that are"
            " far from square; it is used. Fix: check that K is of this image, and not of one that"
            " was stretched or turned by 90 degrees"
        )
    return found


def field_of_view(camera: CameraModel) -> tuple[float, float]:
    """Return the horizontal and vertical field, radians, that the focal lengths alone mean."""
    sizes = np.array([camera.width, camera.height])
    focal = np.array([camera.K[0, 0], camera.K[1, 1]])
    if camera.distortion_model == "equidistant":
        angles = sizes / focal
    else:
        angles = 2 * np.arctan(sizes / (2 * focal))
    return float(angles[0]), float(angles[1])


def is_identity(K: np.ndarray) -> bool:
    """Tell whether a (3, 3) intrinsic matrix is the identity, as drivers leave it by default."""
    return bool(np.array_equal(K, np.eye(3)))


def _focal_length_refusal(calibrated: Calibrated) -> CalibrationError | None:
    camera = calibrated.camera
    angles = field_of_view(camera)
    fisheye = camera.distortion_model == "equidistant"
    most = _IMPOSSIBLE_FISHEYE if fisheye else _IMPOSSIBLE_FIELD
    if _widest(camera, angles) <= most and min(angles) >= _IMPOSSIBLY_NARROW:
        return None
    fx, fy, cx, cy = camera.K[0, 0], camera.K[1, 1], camera.K[0, 2], camera.K[1, 2]
    fix = "calibrate the camera, e.g. with camera_calibration, and load the result in the driver"
    if max(fx, fy) <= 3 and max(abs(cx), abs(cy)) <= 1 and not is_identity(camera.K):
        fix = (
            "these look like shares of the image: multiply fx and cx by its width, fy and cy by"
            f" its height; or {fix}"
        )
    elif (fx, fy) == (1, 1):
        fix = f"no calibration is loaded (1 px is image_publisher's default): {fix}"
    elif max(fx, fy) < 50 <= camera.width:
        fix = f"these look like millimetres: divide them by the size of a pixel in mm; or {fix}"
    return CalibrationError(
        f"{calibrated.topic}: {calibrated.matrix} has the focal lengths {fx:.6g} and {fy:.6g} px"
        f" for images of {camera.width}x{camera.height}, a field of view of {_degrees(angles)}",
        expected="those of a calibrated camera, in pixels, about 0.3 to 3 times the image's width",
        fix=fix,
    )


def _principal_point_refusal(calibrated: Calibrated) -> CalibrationError | None:
    camera = calibrated.camera
    off = np.array(_off_centre(camera))
    expected = f"it near the middle, ({camera.width / 2 - 0.5:g}, {camera.height / 2 - 0.5:g})"
    where = (
        f"{calibrated.topic}: the principal point of {calibrated.matrix} is"
        f" {_principal_point(camera)}"
    )
    size = f"{camera.width}x{camera.height}"
    if (np.abs(off) > _OTHER_SIZE).all():
        other = _size_that_fits(calibrated)
        if other is not None:
            bx, by = calibrated.binning
            binned = f" and binning is {bx}x{by}" if bx > 1 or by > 1 else ""
            return CalibrationError(
                f"{where}, the middle of an image of {other[0]}x{other[1]}, while width and height"
                f" say {size}{binned}",
                expected=f"{calibrated.matrix} of the whole, unbinned image of {size}"
                " (sensor_msgs/CameraInfo)",
                fix=f"if {calibrated.matrix} is already that of the image of"
                f" {other[0]}x{other[1]}, set width and height to that, and binning and roi to 0,"
                f" or publish the {calibrated.matrix} of {size}; if the lens really is so far off"
                " centre, calibrate again",
            )
    outside = (np.abs(off) > 0.5).any()
    corner = (np.abs(off) > 0.5 - _CORNER).all()
    diagonal = abs(off[0] - off[1]) < _ON_DIAGONAL and (np.abs(off) > _CLEARLY_OTHER).all()
    if not outside and not corner and not diagonal:
        return None
    cx, cy = camera.K[0, 2], camera.K[1, 2]
    if 0 < cx <= 1 and 0 < cy <= 1:
        fix = (
            "these look like shares of the image: multiply cx by its width and cy by its height;"
            " check fx and fy, too"
        )
    elif abs(off[0] - off[1]) < _ALIKE * max(1.0, 10 * float(np.abs(off).max())):
        fix = (
            f"{_other_resolution(calibrated)}: publish the one of this image, or width and height"
            " of that one (with roi where this image is a part of that)"
        )
    else:
        fix = (
            "publish the calibration of this image; where it is a part of a larger one, width and"
            " height of that one, with roi"
        )
    place = "outside of" if outside else "in a corner of" if corner else "far from the middle of"
    what = f"{place} the {size} image"
    return CalibrationError(f"{where}, {what}", expected=expected, fix=fix)


def _size_that_fits(calibrated: Calibrated) -> tuple[int, int] | None:
    """Return the size of another image that the message means and whose middle is there."""
    camera, (bx, by) = calibrated.camera, calibrated.binning
    own = (camera.width, camera.height)
    sizes = [(camera.width // bx, camera.height // by)]
    if calibrated.image_size is not None:
        sizes.append(calibrated.image_size)
    for size in sizes:
        if size != own and 0 not in size:
            as_if = dataclasses.replace(camera, width=size[0], height=size[1])
            if max(np.abs(_off_centre(as_if))) < _FITS:
                return size
    return None


def _other_resolution(calibrated: Calibrated) -> str:
    """Say of what image the matrix seems to be."""
    off = _off_centre(calibrated.camera)
    factor = (off[0] + off[1]) + 1.0
    return f"{calibrated.matrix} looks like that of an image {factor:.2g} times as large"


def _off_centre(camera: CameraModel) -> tuple[float, float]:
    """Return how far the principal point is from the middle, as shares of width and height."""
    return (
        float((camera.K[0, 2] + 0.5) / camera.width - 0.5),
        float((camera.K[1, 2] + 0.5) / camera.height - 0.5),
    )


def _widest(camera: CameraModel, angles: tuple[float, float]) -> float:
    return min(angles) if camera.distortion_model == "equidistant" else max(angles)


def _principal_point(camera: CameraModel) -> str:
    return f"({camera.K[0, 2]:.6g}, {camera.K[1, 2]:.6g})"


def _degrees(angles: tuple[float, float]) -> str:
    return f"{np.rad2deg(angles[0]):.3g} x {np.rad2deg(angles[1]):.3g} degrees"
