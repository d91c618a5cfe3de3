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

"""How many of 16 bits a camera uses: sensors of 10, 12 or 14 bits often leave the upper ones zero.

Read as 16 bits such images are nearly black, and no field of the message says so. What the values
of a camera's images show over time is kept in one `BitDepth` for each camera.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_DEPTHS = (8, 10, 12, 14)
_STEP = 7
"""Every so many rows and columns are looked at; odd, so that all filters of a mosaic are seen."""
_SATURATED, _PILE = 0.97, 0.0005
"""A sensor that is blinded piles pixels up on one value, at the top of its range."""
_BRIGHT = 0.25
"""The brightest twentieth of a well exposed image is above this share of its range."""


class BitDepth:
    """The number of bits in use, 16 until images have shown otherwise; then it only grows.

    A dark image of 16 bits has small values, too. Fewer than 16 bits are therefore believed only
    when an image fills the range that they give: its brightest value is one on which pixels pile
    up, or a twentieth of it is bright. Values that are all multiples of 4 or more (12 bits moved to
    the upper end) need the pile.

    Attributes:
        bits: 8, 10, 12, 14 or 16.
    """

    def __init__(self) -> None:
        """Begin with all 16 bits."""
        self.bits = 16
        self._largest = 0

    def observe(self, pixels: NDArray[np.integer]) -> None:
        """Take what the uint16 values of one more image, of any shape, say."""
        if self._largest >= 1 << _DEPTHS[-1] or pixels.size == 0:
            return  # all 16 bits are in use
        largest = int(pixels.max())
        before, self._largest = self.bits, max(self._largest, largest)
        fewest = next((bits for bits in _DEPTHS if self._largest < 1 << bits), 16)
        if before < 16 or fewest == 16:
            self.bits = max(before, fewest)
        elif largest == self._largest and _fills(pixels[::_STEP, ::_STEP], fewest, largest):
            self.bits = fewest

    def upper_8(self, pixels: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Keep the upper 8 of the bits in use."""
        image = pixels >> (self.bits - 8)
        if self.bits < 16 and pixels.size and pixels.max() >> self.bits:
            image = np.minimum(image, 255)  # an image that was not observed
        return image.astype(np.uint8)


def _fills(sample: NDArray[np.integer], bits: int, largest: int) -> bool:
    """Tell whether an image, of which a sample is given, fills the range of so many bits."""
    end = 1 << bits
    if largest >= _SATURATED * end and (sample == largest).mean() >= _PILE:
        return True
    shifted = not int(np.bitwise_or.reduce(sample, axis=None)) & 3
    return not shifted and float(np.percentile(sample, 95)) >= _BRIGHT * end
