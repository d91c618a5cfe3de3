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

"""Where each camera sees the vehicle's own body: mask files read and written.

In: a YAML file of polygons or mask images. Out: a boolean mask for the image that really arrives.
A mask is found from a drive by `ego_mask_proposal`.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import ConfigurationError
from depth_perception.yaml_mapping import check_keys, read_yaml_mapping

_EXAMPLE = "'CAMERA: {size: [width, height], polygons: [[[u, v], [u, v], [u, v]]]}'"
_SEE = "see config/ego_masks"
# As `geometry.camera` does for calibration: a resized image is honoured, a cropped one refused.
_ASPECT_TOLERANCE = 0.02
_SUBPIXEL_BITS = 4
_MISSPELT = 0.85
"""Names that are as alike by difflib's ratio differ in a letter or two."""


@dataclass(frozen=True, eq=False)
class EgoMask:
    """One camera's own-body mask, independent of the size of the image that arrives.

    Attributes:
        camera: The camera's name, for errors.
        size: (width, height) of the image that the mask was made for, px.
        polygons: Each (N, 2) float64 pixel coordinates (u, v) of that image; centres of pixels are
            at integers. May reach beyond the image.
        image: (height, width) bool, true on the own body, instead of polygons.
    """

    camera: str
    size: tuple[int, int]
    polygons: tuple[NDArray[np.float64], ...] = ()
    image: NDArray[np.bool_] | None = None


def load_ego_masks(path: str | Path) -> dict[str, EgoMask]:
    """Read the masks of all cameras from a YAML file.

    Each camera has either ``polygons`` with the ``size`` of the full image that they were measured
    on, or ``image``: a picture beside the YAML file, not zero on the own body.

    Args:
        path: The file; relative mask images are looked for in its folder.

    Returns:
        Masks by camera name; cameras that see nothing of the own body need not be in it.

    Raises:
        ConfigurationError: The file or a mask image is absent or malformed; names the camera.
    """
    path = Path(path)
    content = read_yaml_mapping(path, "ego mask file", _EXAMPLE)
    masks = {}
    for camera, entry in content.items():
        where = f"ego mask file '{path}', camera {camera}"
        if not isinstance(entry, dict) or ("polygons" in entry) == ("image" in entry):
            raise ConfigurationError(
                f"{where}: neither polygons nor image, or both", expected=_EXAMPLE, fix=_SEE
            )
        if "image" in entry:
            check_keys(entry, ("image",), where)
            masks[str(camera)] = _from_image(str(camera), path.parent / str(entry["image"]), where)
            continue
        check_keys(entry, ("size", "polygons"), where)
        size = entry.get("size")
        if (
            not isinstance(size, list)
            or len(size) != 2
            or not all(isinstance(item, int) and item > 0 for item in size)
        ):
            raise ConfigurationError(
                f"{where}: size is {size!r}",
                expected="[width, height] in pixels",
                fix="give the size of the image that the polygons were measured on",
            )
        if not isinstance(entry["polygons"], list):
            raise ConfigurationError(
                f"{where}: polygons is {entry['polygons']!r}", expected=_EXAMPLE, fix=_SEE
            )
        polygons = tuple(
            _polygon(points, f"{where}, polygon {i}") for i, points in enumerate(entry["polygons"])
        )
        masks[str(camera)] = EgoMask(str(camera), (size[0], size[1]), polygons)
    return masks


def masks_without_camera(masks: Collection[str], cameras: Collection[str]) -> list[str]:
    """Name masks that are of no camera, where one without a mask is called nearly so.

    A mask file may well name more cameras than are in use; a name that is misspelt leaves its
    camera's own body in the picture.

    Args:
        masks: Names of the cameras that there are masks of.
        cameras: Names of the cameras of the rig.

    Returns:
        A sentence for each.
    """
    bare = [name for name in cameras if name not in masks]
    # CAM_BACK_LEFT is not CAM_FRONT_LEFT, and camera_05 not camera_06.
    return [
        f"ego_masks has a mask of '{name}', and no camera is called so (did you mean '{near}'?)"
        for name in masks
        if name not in cameras
        for near in difflib.get_close_matches(name, bare, n=1, cutoff=_MISSPELT)
        if re.findall(r"\d+", name) == re.findall(r"\d+", near)
    ]


def _polygon(points: Any, where: str) -> NDArray[np.float64]:
    try:
        polygon = np.array(points, dtype=np.float64)
    except (TypeError, ValueError):
        polygon = np.zeros(0)
    if polygon.ndim != 2 or polygon.shape[1] != 2 or len(polygon) < 3:
        raise ConfigurationError(
            f"{where}: {str(points)[:60]}",
            expected="three or more [u, v] pairs",
            fix="list the corners in order",
        )
    if not np.all(np.abs(polygon) < 1e5):
        raise ConfigurationError(
            f"{where}: a corner lies at {polygon[np.argmax(np.abs(polygon).max(1))].tolist()}",
            expected="pixels of the image",
            fix="correct the corner",
        )
    return polygon


def _from_image(camera: str, path: Path, where: str) -> EgoMask:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
    if picture is None:
        raise ConfigurationError(
            f"{where}: mask image '{path}' "
            + ("is no picture" if path.is_file() else "does not exist"),
            expected="a PNG that is not zero on the own body",
            fix="correct the path, which is relative to the YAML file",
        )
    if picture.ndim == 3:
        # An alpha channel of 255 everywhere would make all of it own body.
        picture = picture[..., :3].max(axis=2)
    return EgoMask(camera, (picture.shape[1], picture.shape[0]), image=picture > 0)


def rasterize(mask: EgoMask, width: int, height: int) -> NDArray[np.bool_]:
    """Draw a mask for the image that really arrives.

    Args:
        mask: The mask.
        width: Width of the arriving image, px.
        height: Height of the arriving image, px.

    Returns:
        (height, width) bool, true on the own body.

    Raises:
        ConfigurationError: The image has another shape than the one that the mask was made for.
    """
    scale_u, scale_v = width / mask.size[0], height / mask.size[1]
    # One pixel more or less is rounding, however small the image.
    tolerance = _ASPECT_TOLERANCE + 1.0 / min(width, height)
    if abs(math.log(scale_u / scale_v)) > tolerance:
        raise ConfigurationError(
            f"ego mask of {mask.camera} is for images of {mask.size[0]}x{mask.size[1]}, the image"
            f" is {width}x{height}",
            expected="the same shape, at any scale",
            fix=f"measure the mask of {mask.camera} on the images that arrive",
        )
    if mask.image is not None:
        if mask.size == (width, height):
            return mask.image.copy()
        resized = cv2.resize(
            mask.image.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT
        )
        return np.asarray(resized > 0)
    canvas = np.zeros((height, width), dtype=np.uint8)
    for polygon in mask.polygons:
        # The centre of pixel 0 stays in the middle of what pixel 0 becomes.
        corners = (polygon + 0.5) * (scale_u, scale_v) - 0.5
        fixed = np.round(corners * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        cv2.fillPoly(canvas, [fixed], 1, shift=_SUBPIXEL_BITS)
    return canvas > 0


def write_ego_masks(path: str | Path, masks: Mapping[str, NDArray[np.bool_]]) -> None:
    """Write masks as polygons; cameras that see nothing of the own body are left out.

    Args:
        path: The YAML file to write; its folder is made.
        masks: (height, width) bool of the full image, by camera name.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    lines = ["# Where each camera sees the vehicle's own body, in pixels of the full image."]
    for camera, mask in masks.items():
        polygons = polygons_of(mask)
        if not polygons:
            continue
        lines += [f"{camera}:", f"  size: [{mask.shape[1]}, {mask.shape[0]}]", "  polygons:"]
        for polygon in polygons:
            corners = ", ".join(f"[{u}, {v}]" for u, v in polygon)
            lines.append(f"    - [{corners}]")
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"ego mask file '{path}' cannot be written ({error.strerror})",
            fix="name a folder that may be written to",
        ) from None


def polygons_of(mask: NDArray[np.bool_]) -> list[NDArray[np.int32]]:
    """Outline a mask: polygons of (N, 2) pixels, within 0.1 % of its width; holes are filled."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    tolerance = 0.001 * mask.shape[1]
    simple = [cv2.approxPolyDP(outline, tolerance, closed=True)[:, 0] for outline in outlines]
    return [np.asarray(polygon, dtype=np.int32) for polygon in simple if len(polygon) >= 3]
