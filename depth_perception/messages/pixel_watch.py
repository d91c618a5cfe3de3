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

"""A look at a camera's images themselves, now and then, for pixels read with a wrong meaning.

No field of a message shows that, and depth from such images is wrong without a gap in it. A few
thousand pixels are looked at, of the first images often, later rarely.

The limits were chosen on recorded drives so that everyday pictures stay far from them. What
`_mosaic_likeness` measures is -0.4 for pictures, up to 0.5 for noise (which repeats nothing), 0.4
to 1.5 for Bayer mosaics of balanced colours and 1.8 for those of a bare sensor. Red and blue count
as swapped only where an orange sky stands over bluish green plants; most pictures do not tell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_PIXELS = 4000
_EVERY = 64
_BLACK, _FLAT, _VARIED = 16, 2, 40
_MOSAIC, _REPEATS = 0.3, 0.1
_SKY_SHARE, _SKY_RATIO, _PLANT_SHARE, _PLANT_SWAPPED = 0.04, 5.0, 0.02, 0.75
_CHANNELS = ("blue", "green", "red")


@dataclass
class PixelWatch:
    """What one camera's images look like.

    Attributes:
        topic: Of the images, for the sentences.
        doubts: A sentence for each thing that was wrong with the latest image looked at, by kind.
    """

    topic: str
    doubts: dict[str, str] = field(default_factory=dict)
    _seen: int = 0
    _said: set[str] = field(default_factory=set)

    def look(self, image: NDArray[np.uint8]) -> list[str]:
        """Look at (height, width, 3) BGR if it is time to; return what was not said before."""
        self._seen += 1
        often = self._seen <= _EVERY and self._seen & (self._seen - 1) == 0
        if not often and self._seen % _EVERY:
            return []
        kinds = faults(image)
        self.doubts = {kind: f"{self.topic}: {text}" for kind, text in kinds.items()}
        news = [text for kind, text in self.doubts.items() if kind not in self._said]
        self._said |= kinds.keys()
        return news


def faults(image: NDArray[np.uint8]) -> dict[str, str]:
    """Say what is wrong with a (height, width, 3) BGR image, by kind; empty when nothing is."""
    height, width = image.shape[:2]
    step = max(1, math.isqrt(height * width // _PIXELS)) | 1
    sample = image[::step, ::step]
    colours = sample.reshape(-1, 3).astype(np.int16)
    low, high = colours.min(axis=0), colours.max(axis=0)
    if (colours > _BLACK).mean() < 0.01:
        return {
            "black": f"the image is nearly black: 99 % of its values are at most {_BLACK} of 255."
            " Fix: check cover and exposure, and that no 10 or 12 bits are sent as 16, of which"
            " only the upper 8 were kept (mono16 as JPEG)"
        }
    found = {}
    flat = high - low <= _FLAT
    if flat.any() and (high - low).max() >= _VARIED:
        names = " and ".join(name for name, is_flat in zip(_CHANNELS, flat, strict=True) if is_flat)
        found["channel"] = (
            f"{names} is the same in all pixels, and the rest is not. Fix: check that the encoding"
            " is the one that the camera driver sends (channels, and bits of each)"
        )
    if _looks_like_mosaic(image, step):
        found["mosaic"] = (
            "the image looks like a Bayer mosaic shown as a picture: its pixels alternate. Fix: let"
            " encoding, or format of a CompressedImage, name the pattern (e.g. bayer_rggb8), or use"
            " the image_color of image_proc"
        )
    elif _is_swapped(colours.reshape(sample.shape)):
        found["swapped"] = (
            "red and blue seem to be swapped: the sky is orange and plants are bluish. Fix: let the"
            " camera driver name the order that it sends, rgb8 or bgr8"
        )
    return found


def _looks_like_mosaic(image: NDArray[np.uint8], step: int) -> bool:
    """Tell whether a BGR image alternates from pixel to pixel, along rows and along columns."""
    green = image[..., 1]
    if min(green.shape) < 8:
        return False
    for rows in (green, green.T):
        likeness, repeats = _mosaic_likeness(rows, step)
        if likeness < _MOSAIC or repeats < _REPEATS:
            return False
    return True


def _mosaic_likeness(grey: NDArray[np.uint8], step: int) -> tuple[float, float]:
    """Compare the differences of neighbouring pixels with those one and two pixels on.

    In a mosaic, which repeats after two pixels, they turn their sign and turn it back.

    Returns:
        The correlation with those two on, less that with those one on; and the former alone.
    """
    here, *others = (
        grey[::step, start : grey.shape[1] - 3 + start : step].astype(np.float32)
        for start in range(4)
    )
    differences = []
    for other in others:
        # Edges of things, which are rare and large, are not to outweigh all the rest.
        differences.append(np.clip(here - other, -20, 20))
        here = other
    first, second, third = differences
    energy = float((first * first + second * second + third * third).mean()) / 3 + 0.01
    repeats = float((first * third).mean()) / energy
    turns = float((first * second + second * third).mean()) / 2 / energy
    return repeats - turns, repeats


def _is_swapped(sample: NDArray[np.int16]) -> bool:
    """Tell from sky and plants of a small (height, width, 3) BGR picture."""
    if len(sample) < 3:
        return False
    blue, green, red = sample[: len(sample) * 2 // 5].reshape(-1, 3).T
    lit = np.maximum(blue, red) > 90
    bluish = (lit & (blue >= green) & (green >= red) & (blue > 1.12 * red)).mean()
    orange = (lit & (red >= green) & (green >= blue) & (red > 1.12 * blue)).mean()
    if orange < _SKY_SHARE or orange < _SKY_RATIO * bluish:
        return False
    blue, green, red = sample.reshape(-1, 3).T
    plants = (green > 40) & (green > 1.08 * np.maximum(blue, red))
    count = int(plants.sum())
    return (
        count >= _PLANT_SHARE * plants.size
        and int((plants & (blue > red)).sum()) >= _PLANT_SWAPPED * count
    )
