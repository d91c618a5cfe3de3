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

"""Which of many points in an image hide others."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def visible(
    uv: NDArray[np.floating],
    depth: NDArray[np.floating],
    size: tuple[int, int],
    pixels: int = 6,
    ratio: float = 0.1,
) -> NDArray[np.bool_]:
    """Tell which points no other point hides.

    Args:
        uv: (N, 2) pixels inside of the image.
        depth: (N,) metres.
        size: (width, height) of the image, px.
        pixels: How far a point hides others, in u and in v.
        ratio: Share by which it must be nearer.
    """
    width, height = size
    column, row = np.rint(uv).astype(np.intp).T
    raster = np.full((height, width), np.inf, dtype=np.float32)
    np.minimum.at(raster, (row, column), depth.astype(np.float32))
    side = 2 * pixels + 1
    nearest_around = cv2.erode(
        raster,
        np.ones((side, side), np.uint8),
        borderType=cv2.BORDER_CONSTANT,
        borderValue=float("inf"),
    )
    # A point compared with itself in float32 must not come out nearer than itself.
    return np.asarray(nearest_around[row, column] > depth * (1 - ratio), dtype=np.bool_)
