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

"""The images of one camera, one after another, to pixels: what they show over time is kept here.

Node, replay and inspection decode through this, so that all see the same pixels and the same
doubts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.messages.bit_depth import BitDepth
from depth_perception.messages.pixel_watch import PixelWatch
from depth_perception.messages.sensors import decode_image


class ImageDecoder:
    """Decodes the images of one camera; not for two threads at a time.

    Attributes:
        topic: Of the images, for errors.
        bits: How many of 16 bits are in use.
    """

    def __init__(self, topic: str) -> None:
        """Begin with nothing seen."""
        self.topic = topic
        self.bits = BitDepth()
        self._watch = PixelWatch(topic)
        self._news: list[str] = []

    @property
    def doubts(self) -> list[str]:
        """What was wrong with the latest image that was looked at closely, a sentence each."""
        return list(self._watch.doubts.values())

    def decode(self, message: Any) -> NDArray[np.uint8]:
        """Decode an ``Image`` or ``CompressedImage`` to (height, width, 3) uint8 BGR.

        Raises:
            MessageError: As `decode_image` does.
        """
        before = self.bits.bits
        image = decode_image(message, self.topic, self.bits)
        if self.bits.bits != before:
            self._news.append(self._of_bits(before))
        self._news += self._watch.look(image)
        return image

    def news(self) -> list[str]:
        """Return what there is to say and was not said before, each once."""
        news, self._news = self._news, []
        return news

    def _of_bits(self, before: int) -> str:
        now = self.bits.bits
        if now == 16:
            return f"{self.topic}: its 16-bit images use all 16 bits, not {before} as it seemed"
        return (
            f"{self.topic}: its 16-bit images use {now} bits, and are read so. Fix: nothing needs"
            " to be done; to be rid of this line, let the camera driver fill the upper bits"
        )
