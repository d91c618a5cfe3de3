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

"""What all pictures share: their ground, their ink, and how words are written on them.

Pictures are (h, w, 3) uint8 BGR arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

BACKGROUND: Colour = (26, 22, 20)
INK: Colour = (236, 232, 228)


def write(
    picture: Picture,
    labels: Sequence[tuple[str, tuple[int, int]]],
    size: int = 13,
    colour: Colour = INK,
    anchor: str = "la",
) -> Picture:
    """Write texts at (x, y) px, anchored as Pillow names it; returns a new picture."""
    canvas = Image.fromarray(np.ascontiguousarray(picture[..., ::-1]))
    draw = ImageDraw.Draw(canvas)
    for text, position in labels:
        draw.text(
            position,
            text,
            fill=colour[::-1],
            font=font(size),
            anchor=anchor,
            stroke_width=2,
            stroke_fill=BACKGROUND[::-1],
        )
    return np.ascontiguousarray(np.asarray(canvas, dtype=np.uint8)[..., ::-1])


@lru_cache(maxsize=8)
def font(size: int) -> ImageFont.FreeTypeFont:
    """Return the font that matplotlib brings along, so that pictures look alike everywhere."""
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), size)
