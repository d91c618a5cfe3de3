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

"""Pictures of measured depth: its metres in colour over the dimmed image, and how it was measured.

In: a `SurroundResult` with motion. Out: (h, w, 3) uint8 BGR images.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.evaluation.drawing import BACKGROUND, Colour, Picture, write
from depth_perception.evaluation.pictures import BAR, depth_bar, mosaic
from depth_perception.frames.measured_kind import MEASURED_KINDS, Kind
from depth_perception.frames.surround_result import CameraResult, SurroundResult
from depth_perception.geometry.depth_colours import FARTHEST, colour_depth

KIND_COLOURS: dict[Kind, Colour] = {
    Kind.PLANE: (178, 114, 0),
    Kind.PARALLAX: (0, 159, 230),
    Kind.OVERLAP: (167, 121, 204),
    Kind.RANGE: (115, 158, 0),
}
"""BGR: blue, orange, pink and green of Okabe and Ito, apart for who cannot tell colours."""

KIND_NAMES = {
    Kind.PLANE: "plane of the road",
    Kind.PARALLAX: "parallax",
    Kind.OVERLAP: "overlap of cameras",
    Kind.RANGE: "range sensor",
}

_DIM = 0.4
"""How bright the image is where nothing is measured."""
_TINT = 0.6
"""How much of a pixel is the colour of its kind; the image shows through."""


def anything_measured(result: SurroundResult) -> bool:
    """Tell whether a camera of the set has measured depth, even if there is nothing in it."""
    return any(camera.measured is not None for camera in result.cameras.values())


def colour_measured(camera: CameraResult, max_depth: float = FARTHEST) -> Picture:
    """Colour what was measured as depth is coloured; elsewhere is the image, grey and dim."""
    picture = _dimmed(camera.image)
    if camera.measured is not None:
        here = np.isfinite(camera.measured)
        picture[here] = colour_depth(camera.measured, max_depth)[here]
    return picture


def colour_kinds(camera: CameraResult) -> Picture:
    """Tint the grey image by how each pixel was measured; it is dim where nothing was."""
    picture = _dimmed(camera.image)
    if camera.measured_kind is not None:
        grey = cv2.cvtColor(camera.image, cv2.COLOR_BGR2GRAY)[..., None]
        for kind, colour in KIND_COLOURS.items():
            here = camera.measured_kind == kind
            mixed = (1 - _TINT) * grey[here] + _TINT * np.array(colour)
            picture[here] = mixed.astype(np.uint8)
    return picture


def measured_mosaic(
    result: SurroundResult, max_depth: float = FARTHEST, width: int = 1440
) -> Picture:
    """All cameras' measured depth in the colours of the depth images, with their scale."""
    pictures = {n: colour_measured(c, max_depth) for n, c in result.cameras.items()}
    return np.concatenate([mosaic(pictures, _poses(result), width), depth_bar(width, max_depth)])


def kind_mosaic(result: SurroundResult, width: int = 1440) -> Picture:
    """How all cameras' depth was measured, with a legend and the share of each kind."""
    pictures = {n: colour_kinds(c) for n, c in result.cameras.items()}
    return np.concatenate([mosaic(pictures, _poses(result), width), kind_bar(result, width)])


def kind_bar(result: SurroundResult, width: int, height: int = BAR) -> Picture:
    """Draw the legend of `colour_kinds`: the kinds that occur, and their share of all pixels."""
    kinds = [c.measured_kind for c in result.cameras.values() if c.measured_kind is not None]
    total = sum(camera.depth.size for camera in result.cameras.values())
    shares = {k: sum(np.count_nonzero(item == k) for item in kinds) for k in MEASURED_KINDS}
    seen = [kind for kind, count in shares.items() if count]
    bar = np.full((height, width, 3), BACKGROUND, dtype=np.uint8)
    thick = height // 3
    labels = []
    step = (width - 48) // max(len(seen), 1)
    for index, kind in enumerate(seen):
        left = 24 + index * step
        bar[6 : 6 + thick, left : left + step - 24] = KIND_COLOURS[kind]
        text = f"{KIND_NAMES[kind]} {100 * shares[kind] / total:.0f} %"
        labels.append((text, (left + (step - 24) // 2, 8 + thick)))
    if not seen:
        labels.append(("nothing measured", (width // 2, 8 + thick)))
    return write(bar, labels, size=max(11, height // 3), anchor="mt")


def _dimmed(image: NDArray[np.uint8]) -> Picture:
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return np.asarray(
        cv2.cvtColor((grey * _DIM).astype(np.uint8), cv2.COLOR_GRAY2BGR), dtype=np.uint8
    )


def _poses(result: SurroundResult) -> dict[str, NDArray[np.float64]]:
    return {name: camera.T_base_camera for name, camera in result.cameras.items()}
