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
        position = np.log(depth / NEAREST) / math.log(max_depth / NEAREST)
        shade = 255 * (1 - np.clip(np.nan_to_num(position, posinf=1.0), 0, 1))
    # The very ends of the map are nearly black: 3 % of each stay unused.
    picture = cv2.applyColorMap((8 + shade * 239 / 255).astype(np.uint8), cv2.COLORMAP_TURBO)
    picture[~is_measured(depth)] = unknown
    picture[is_beyond(depth)] = BEYOND
    return np.asarray(picture, dtype=np.uint8)
