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

"""Depth in colours that mean distance: one scale for every frame, camera, picture and topic.

In: depth as `depth_values` has it. Out: (h, w, 3) uint8 BGR.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.depth_values import is_beyond, is_measured

NEAREST = 2.0
"""Depth at the near end of the colour scale, metres; what is nearer has the same colour."""
FARTHEST = 80.0
"""Depth at the far end, metres, unless told otherwise; what is farther has the same colour."""

BLACK = (0, 0, 0)
BEYOND = (236, 232, 228)
"""Nearly white: sky, or beyond range."""

_FIRST, _LAST = 8, 247
"""Of the 256 colours: the very ends of the map are nearly black, so 3 % of each stay unused."""
_UNKNOWN, _BEYOND = 0, 255
"""Two of the unused, for what is no distance."""


def colour_depth(
    depth: NDArray[np.floating], max_depth: float = FARTHEST, unknown: tuple[int, int, int] = BLACK
) -> NDArray[np.uint8]:
    """Colour depth by its logarithm with the colour map Turbo: warm near, cold far.

    Equal ratios of depth look equally different, near by and far away. Nothing is fitted to the
    picture at hand, so a colour is the same distance everywhere.

    Args:
        depth: (h, w) metres. +Inf (beyond range) becomes `BEYOND`.
        max_depth: Depth at the far end of the scale, metres.
        unknown: BGR of what is no depth: NaN, zero and below.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        position = np.log(depth / np.float32(NEAREST)) / math.log(max_depth / NEAREST)
        shade = _FIRST + (_LAST - _FIRST) * (1 - position)
        shade = np.fmin(np.fmax(shade, _FIRST), _LAST).astype(np.uint8)  # also without a number
    shade[~is_measured(depth)] = _UNKNOWN
    shade[is_beyond(depth)] = _BEYOND
    table = cv2.applyColorMap(np.arange(256, dtype=np.uint8), cv2.COLORMAP_TURBO)
    table[_UNKNOWN], table[_BEYOND] = unknown, BEYOND
    return np.asarray(cv2.applyColorMap(shade, table), dtype=np.uint8)
