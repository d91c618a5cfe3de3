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
"""The file of mountings that take the place of TF's: what `depth_perception calibrate` writes.

A YAML mapping: the base frame, and of each camera its optical frame, translation (m) and
quaternion (x, y, z, w) in the base frame. Other keys of a camera, such as by how much it was
corrected, are for the reader alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from depth_perception.errors import ConfigurationError, TransformError
from depth_perception.geometry.rig import Rig
from depth_perception.geometry.transforms import Matrix, matrix_from, quaternion_of
from depth_perception.yaml_mapping import check_keys, read_yaml_mapping

_EXAMPLE = (
    "'base_frame: base_link' and 'cameras: {CAMERA: {frame: optical_frame, translation: [x, y, z],"
    " rotation: [x, y, z, w]}}'"
)
_FIX = "write it anew with: depth_perception calibrate BAG --output FILE"
_KEYS = ("frame", "translation", "rotation", "correction")


@dataclass(frozen=True, eq=False)
class GivenMounting:
    """Where a file says that a camera is.

    Attributes:
        frame: Its optical frame.
        T_base_camera: 4x4.
    """

    frame: str
    T_base_camera: Matrix


def load_extrinsics(path: str | Path, base_frame: str) -> dict[str, GivenMounting]:
    """Read the mountings of a file.

    Args:
        path: The file.
        base_frame: The one in use, which must be the file's.

    Returns:
        Mountings by camera name; cameras that are not in the file are placed by TF.

    Raises:
        ConfigurationError: The file is absent or malformed, or is of another base frame.
    """
    where = f"extrinsics file '{path}'"
    content = read_yaml_mapping(path, "extrinsics file", _EXAMPLE)
    check_keys(content, ("base_frame", "cameras"), where)
    cameras, named = content.get("cameras"), content.get("base_frame")
    if not isinstance(cameras, dict) or not isinstance(named, str):
        raise ConfigurationError(
            f"{where} has no base_frame or no cameras", expected=_EXAMPLE, fix=_FIX
        )
    if named.lstrip("/") != base_frame.lstrip("/"):
        raise ConfigurationError(
            f"{where} is of base_frame '{named}', in use is base_frame '{base_frame}'",
            expected="mountings in the base frame that is in use",
            fix=f"set base_frame: {named}, or {_FIX}",
        )
    return {
        str(name): _mounting(entry, f"{where}, camera {name}") for name, entry in cameras.items()
    }


def _mounting(entry: Any, where: str) -> GivenMounting:
    if not isinstance(entry, dict):
        raise ConfigurationError(f"{where}: {entry!r}", expected=_EXAMPLE, fix=_FIX)
    check_keys(entry, _KEYS, where)
    frame = entry.get("frame")
    try:
        translation = np.array(entry["translation"], dtype=np.float64).reshape(3)
        rotation = np.array(entry["rotation"], dtype=np.float64).reshape(4)
        T = matrix_from(translation, rotation, where)
    except (KeyError, TypeError, ValueError, TransformError) as error:
        raise ConfigurationError(
            f"{where}: translation is {entry.get('translation')!r}, rotation is"
            f" {entry.get('rotation')!r} ({type(error).__name__})",
            expected=_EXAMPLE,
            fix=_FIX,
        ) from None
    if not isinstance(frame, str) or not frame.strip("/"):
        raise ConfigurationError(f"{where}: frame is {frame!r}", expected=_EXAMPLE, fix=_FIX)
    return GivenMounting(frame.lstrip("/"), T)


def extrinsics_text(
    rig: Rig, mountings: Mapping[str, Matrix], corrections: Mapping[str, str], source: str
) -> str:
    """Write a file of mountings.

    Args:
        rig: Its cameras' frames count.
        mountings: 4x4 T_base_camera by camera.
        corrections: What was changed of each, in words.
        source: What the mountings are from, for the first line.
    """
    lines = [
        f"# Mountings of the cameras, by depth_perception calibrate from '{source}'.",
        "# Use it as the parameter 'extrinsics' (--set extrinsics=THIS_FILE). Or publish, in place",
        "# of what places the cameras now:",
    ]
    for name, T in mountings.items():
        translation, rotation = _numbers(T[:3, 3]), _numbers(quaternion_of(T))
        named = zip(("x", "y", "z", "qx", "qy", "qz", "qw"), translation + rotation, strict=True)
        values = " ".join(f"--{key} {value}" for key, value in named)
        lines.append(
            f"#   ros2 run tf2_ros static_transform_publisher {values}"
            f" --frame-id {rig.base_frame} --child-frame-id {rig[name].frame_id}"
        )
    lines += [f"base_frame: {_quoted(rig.base_frame)}", "cameras:"]
    for name, T in mountings.items():
        lines += [
            f"  {_quoted(name)}:",
            f"    frame: {_quoted(rig[name].frame_id)}",
            f"    translation: [{', '.join(map(str, _numbers(T[:3, 3])))}]",
            f"    rotation: [{', '.join(map(str, _numbers(quaternion_of(T))))}]",
            f"    correction: {_quoted(corrections[name])}",
        ]
    return "\n".join(lines) + "\n"


def _numbers(values: Any) -> list[float]:
    return [round(float(value), 9) + 0.0 for value in values]


def _quoted(text: str) -> str:
    """Write a text so that YAML reads it back as it is."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
