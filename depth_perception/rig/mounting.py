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

"""Whether cameras are mounted where they can see the road, and in what words to say that not.

A wrong ``base_frame`` or ``ground.height`` is the commonest mistake in a new setup: it puts cameras
at or below the ground. What is said of it comes from here, wherever it is said: by ``inspect``,
``replay``, ``evaluate``, the demo and the node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import ConfigurationError, DepthPerceptionError, TransformError
from depth_perception.geometry.camera_view import camera_view
from depth_perception.geometry.ground_plane import GroundPlane, camera_height
from depth_perception.geometry.rig import Rig, RigCamera
from depth_perception.geometry.transforms import Matrix

LOWEST = 0.05
"""A camera at most so high above the ground, m, sees no road that depth could be measured on."""

USUAL = (0.2, 5.0)
"""Between these heights above the road, m, cameras of vehicles are mounted."""

DOUBTED = (0.1, 10.0)
"""Outside of these heights above the road, m, a mounting is possible and unlikely."""

TYPICAL = 1.5
"""What an example of a right ``ground.height`` takes for the height of a camera, m."""

BASE_FRAMES = (
    "base_footprint",
    "base_link",
    "base",
    "vehicle",
    "ego_vehicle",
    "ego",
    "chassis",
    "chassis_link",
    "body",
)
"""Frames that are usually the vehicle's, and so may have been meant with ``base_frame``; the one
that lies on the ground by its definition (REP 120) is first."""

_UPRIGHT = 0.5
_WIDTH = 64
"""Pixels of a row of the grid that is enough to see whether any of it shows the ground."""


def heights_over_base_frames(
    lookup: Callable[[str, str], Matrix], frame: str, base_frame: str
) -> dict[str, float]:
    """Find how high a camera is over the other frames that may have been meant with ``base_frame``.

    Args:
        lookup: Called with (target, source), gives T_target_source or raises `TransformError`.
        frame: The camera's optical frame.
        base_frame: The one in use, which is left out.

    Returns:
        Height over the frame's origin, m, by frame, of those of `BASE_FRAMES` that TF connects and
        in which the camera is the right way up.
    """
    heights = {}
    for name in BASE_FRAMES:
        if name in (base_frame, frame):
            continue
        try:
            T_other_camera = lookup(name, frame)
        except TransformError:
            continue
        if _is_upright(T_other_camera):
            heights[name] = float(T_other_camera[2, 3])
    return heights


def height_error(
    camera: RigCamera, ground: GroundPlane, base_frame: str
) -> ConfigurationError | None:
    """Say that a camera is at or below the ground; None for one that is above it.

    Args:
        camera: The camera, with its mounting in ``base_frame``.
        ground: The ground plane in ``base_frame``.
        base_frame: The name of that frame.
    """
    height = camera_height(ground, camera.T_base_camera)
    if height > LOWEST:
        return None
    return ConfigurationError(
        f"camera {camera.name} is {_metres(height)} m above the ground (ground.height is"
        f" {ground.height:g} m in base_frame '{base_frame}')",
        expected="the road below it",
        fix=_fix(camera, ground, base_frame, height),
    )


def height_doubt(camera: RigCamera, ground: GroundPlane, base_frame: str) -> str:
    """Doubt a height above the ground that is possible and unlikely; empty for others."""
    height = camera_height(ground, camera.T_base_camera)
    if height <= LOWEST or DOUBTED[0] <= height <= DOUBTED[1]:
        return ""
    return (
        f"camera {camera.name} is {_metres(height)} m above the ground (ground.height is"
        f" {ground.height:g} m in base_frame '{base_frame}'), and depth on the road grows with that"
        f" height; {USUAL[0]:g} to {USUAL[1]:g} m are usual on vehicles. Fix: if it is not so high,"
        f" {_fix(camera, ground, base_frame, height)}"
    )


def view_error(camera: RigCamera, ground: GroundPlane) -> ConfigurationError | None:
    """Say that a camera that is above the ground looks where there is none; None for others."""
    if np.isfinite(camera_view(camera, ground, _WIDTH).plane).any():
        return None
    looks = (camera.T_base_camera[:3, 2].round(2) + 0.0).tolist()
    return ConfigurationError(
        f"camera {camera.name} sees no ground: by TF it looks along {looks} of the base frame",
        expected="an optical frame (z forward, x right, y down)",
        fix="put the optical frame into header.frame_id, or correct TF",
    )


def mounting_errors(rig: Rig, ground: GroundPlane) -> dict[str, DepthPerceptionError]:
    """Find the cameras of a rig that see no road, and why, by name in the rig's order."""
    errors: dict[str, DepthPerceptionError] = {}
    for camera in rig:
        error = height_error(camera, ground, rig.base_frame) or view_error(camera, ground)
        if error is not None:
            errors[camera.name] = error
    return errors


def no_road(errors: Mapping[str, DepthPerceptionError]) -> ConfigurationError:
    """Make one error of those of all cameras of a rig: nothing can be computed."""
    first, *others = errors.values()
    problems = "; ".join([first.problem, *(other.problem for other in others)])
    return ConfigurationError(
        f"no camera sees the road: {problems}", expected=first.expected, fix=first.fix
    )


def _fix(camera: RigCamera, ground: GroundPlane, base_frame: str, height: float) -> str:
    """Say what to set: the frame that was probably meant, or the road's z in the one in use."""
    over_base = height + ground.height
    upright = _is_upright(camera.T_base_camera)
    if ground.height and upright and _is_usual(over_base):
        return (
            f"set ground.height to 0 if base_frame '{base_frame}' lies on the road: TF has the"
            f" camera {_metres(over_base)} m above it; else to the road's z in that frame"
        )
    meant = next((name for name, z in camera.heights.items() if _is_usual(z)), "")
    if meant:
        also = ", and ground.height to 0," if ground.height else ","
        return (
            f"set base_frame to '{meant}'{also} if that is the vehicle's frame on the road: TF has"
            f" the camera {_metres(camera.heights[meant])} m above it; or set ground.height to the"
            f" road's z in '{base_frame}'"
        )
    example = (
        f"set ground.height to the road's z in base_frame '{base_frame}' (about"
        f" {_metres(over_base - TYPICAL)} if the camera is {TYPICAL:g} m above the road)"
    )
    if upright:
        return f"{example}, name the vehicle's frame with base_frame, or correct TF"
    return (
        f"name the vehicle's frame (x forward, y left, z up) with base_frame: in '{base_frame}' the"
        f" camera is not the right way up; or correct TF, or {example}"
    )


def _is_upright(T_base_camera: NDArray[np.float64]) -> bool:
    """Whether the image's columns, or what it looks along, point down in the base frame."""
    down = max(-T_base_camera[2, 1], -T_base_camera[2, 2])
    return bool(down > _UPRIGHT)


def _is_usual(height: float) -> bool:
    return USUAL[0] <= height <= USUAL[1]


def _metres(value: float) -> str:
    """Two decimals, and no minus in front of zero."""
    return f"{round(value, 2) + 0.0:.2f}"
