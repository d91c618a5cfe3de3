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

"""What an image network wants as its input, and how an image becomes that.

The mapping ``input`` of the YAML files that describe segmenters and relative-depth networks; see
`segmentation.segmenter_description` for all its keys.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import ConfigurationError, ModelError
from depth_perception.yaml_mapping import check_keys

SEARCH_PATH = "DEPTH_PERCEPTION_MODELS"
_CHOICES = {
    "color": ("rgb", "bgr"),
    "layout": ("nchw", "nhwc"),
    "dtype": ("float32", "float16", "uint8"),
    "resize": ("stretch", "letterbox"),
}


@dataclass(frozen=True)
class InputDescription:
    """What a network wants: pixels of ``color``, (pixel * scale - mean) / std."""

    width: int
    height: int
    color: str = "rgb"
    scale: float = 1.0 / 255.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    layout: str = "nchw"
    dtype: str = "float32"
    resize: str = "stretch"
    pad: int = 114

    @property
    def letterbox(self) -> bool:
        """True when the image's aspect is kept."""
        return self.resize == "letterbox"

    @property
    def is_identity(self) -> bool:
        """True when pixels go in as they are."""
        return self.scale == 1.0 and self.mean == (0.0,) * 3 and self.std == (1.0,) * 3


def fitted_to(image: NDArray[np.uint8], described: InputDescription) -> NDArray[np.uint8]:
    """Resize an image (h, w, 3) to the network's size, with its aspect where that is kept."""
    if described.letterbox:
        scale, offset = placement(described, image.shape[1], image.shape[0])
        return _letterboxed(image, described, scale, offset)
    return _resized(image, described.width, described.height)


def as_input(fitted: NDArray[np.uint8], described: InputDescription) -> NDArray[Any]:
    """Turn a BGR image of the network's size into its input, a batch of one."""
    pixels = cv2.cvtColor(fitted, cv2.COLOR_BGR2RGB) if described.color == "rgb" else fitted
    if described.is_identity:
        array: NDArray[Any] = pixels
    else:
        std = np.array(described.std, dtype=np.float32)
        factor = np.float32(described.scale) / std
        shift = np.array(described.mean, dtype=np.float32) / std
        array = pixels * factor - shift
    if described.layout == "nchw":
        array = array.transpose(2, 0, 1)
    return np.ascontiguousarray(array[None], dtype=described.dtype)


def placement(
    described: InputDescription, width: int, height: int
) -> tuple[tuple[float, float], tuple[int, int]]:
    """Scale from image to network input along u and v, and the letterbox's offset, px."""
    if not described.letterbox:
        return (described.width / width, described.height / height), (0, 0)
    scale = min(described.width / width, described.height / height)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    offset = (described.width - inner[0]) // 2, (described.height - inner[1]) // 2
    return (inner[0] / width, inner[1] / height), offset


def warp_from_output(
    values: NDArray[Any],
    described: InputDescription,
    size: tuple[int, int],
    method: int = cv2.INTER_LINEAR,
) -> NDArray[Any]:
    """Bring what a network says of its input back onto the image that it was made from.

    Pixel centres are at integers in all three: the image, the network's input, which `fitted_to`
    made of it, and the output, which may be coarser than the input.

    Args:
        values: (rows, columns) of the output.
        described: The network's input.
        size: (width, height) of the image.
        method: Of `cv2.warpAffine`: how values between pixels are read.
    """
    (x, y), (left, top) = placement(described, *size)
    across, down = values.shape[1] / described.width, values.shape[0] / described.height
    # u_output = ((u + 0.5) * x + left) * across - 0.5, and the same with v.
    to_output = np.array(
        [
            [x * across, 0.0, (0.5 * x + left) * across - 0.5],
            [0.0, y * down, (0.5 * y + top) * down - 0.5],
        ]
    )
    return cv2.warpAffine(
        np.ascontiguousarray(values),
        to_output,
        size,
        flags=method | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _resized(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    if (image.shape[1], image.shape[0]) == (width, height):
        return image
    # Beyond half size, bilinear sampling skips pixels.
    shrinks = image.shape[1] >= 2 * width or image.shape[0] >= 2 * height
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), dtype=np.uint8)


def _letterboxed(
    image: NDArray[np.uint8],
    described: InputDescription,
    scale: tuple[float, float],
    offset: tuple[int, int],
) -> NDArray[np.uint8]:
    width, height = round(image.shape[1] * scale[0]), round(image.shape[0] * scale[1])
    fitted = np.full((described.height, described.width, 3), described.pad, dtype=np.uint8)
    inner = fitted[offset[1] : offset[1] + height, offset[0] : offset[0] + width]
    inner[...] = _resized(image, width, height)
    return fitted


def find_model(name: str, where: str, config: Path) -> Path:
    """Find a model file that a YAML file names.

    ``${VARIABLES}`` are filled in. A relative name is looked for beside the YAML file and in the
    folders of the environment variable ``DEPTH_PERCEPTION_MODELS``; never in the current folder,
    where anybody may have put a file.

    Raises:
        ConfigurationError: A variable in the name is not set.
        ModelError: It is nowhere; lists where it was looked for.
    """
    expanded = os.path.expanduser(os.path.expandvars(name))
    if "${" in expanded:
        raise ConfigurationError(
            f"{where}: model is '{expanded}'",
            expected="environment variables that are set",
            fix="export the variable, or write the path",
        )
    if Path(expanded).is_absolute():
        candidates = [Path(expanded)]
    else:
        named = [Path(item) for item in os.environ.get(SEARCH_PATH, "").split(os.pathsep) if item]
        candidates = [folder / expanded for folder in (config.parent, *named)]
    for candidate in candidates:
        if candidate.is_file():
            return candidate.resolve()
    looked = ", ".join(f"'{candidate}'" for candidate in dict.fromkeys(candidates))
    raise ModelError(
        f"{where}: model '{name}' is not found",
        expected=f"it at {looked}",
        fix=f"put it there, or name its folder in {SEARCH_PATH}",
    )


def read_input(entry: Mapping[str, Any], where: str, see: str) -> InputDescription:
    """Read the mapping ``input`` of a description.

    Args:
        entry: The mapping.
        where: What it belongs to, for errors.
        see: Where an example is, for errors.

    Raises:
        ConfigurationError: A key is impossible or missing.
    """
    check_keys(entry, tuple(InputDescription.__dataclass_fields__), f"{where}, input")
    values: dict[str, Any] = {}
    for key, value in entry.items():
        name = f"{where}: input.{key}"
        if key in _CHOICES:
            values[key] = choice(value, _CHOICES[key], name, see)
        elif key in ("width", "height"):
            values[key] = int(number(value, name, "a whole number of pixels", 1, 16384, int))
        elif key == "pad":
            values[key] = int(number(value, name, "a grey level, 0 to 255", 0, 255, int))
        elif key == "scale":
            values[key] = float(number(value, name, "a number above 0", 1e-9, 1e9))
        else:
            if not isinstance(value, list) or len(value) != 3:
                raise ConfigurationError(
                    f"{name} is {value!r}", expected="three numbers", fix=f"e.g. {key}: [1, 1, 1]"
                )
            low = 1e-9 if key == "std" else -1e9
            expected = "numbers above 0" if key == "std" else "numbers"
            values[key] = tuple(float(number(v, name, expected, low, 1e9)) for v in value)
    for key in ("width", "height"):
        if key not in values:
            raise ConfigurationError(
                f"{where}: input.{key} is not there",
                expected="the size of the network's input",
                fix=see,
            )
    described = InputDescription(**values)
    if described.dtype == "uint8" and not described.is_identity:
        raise ConfigurationError(
            f"{where}: input.dtype is uint8 with scale {described.scale}, mean"
            f" {list(described.mean)}, std {list(described.std)}",
            expected="scale 1, mean 0 and std 1 for a network that takes pixels as they are",
            fix="set input.scale: 1.0 and leave mean and std out",
        )
    return described


def choice(value: Any, allowed: Sequence[str], name: str, see: str) -> str:
    """Return a value that is one of those allowed; ConfigurationError otherwise."""
    if value not in allowed:
        raise ConfigurationError(
            f"{name} is {value!r}", expected="one of " + ", ".join(allowed), fix=see
        )
    return str(value)


def number(
    value: Any, name: str, expected: str, low: float, high: float, kind: type = float
) -> float:
    """Return a number between two others; ConfigurationError otherwise."""
    wrong = isinstance(value, bool) or not isinstance(value, (int, kind))
    if wrong or not low <= value <= high:
        raise ConfigurationError(f"{name} is {value!r}", expected=expected, fix="correct it")
    return float(value) if kind is float else int(value)
