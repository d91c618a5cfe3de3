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

"""What is in an image, in words.

Source: BLIP, Li et al., ICML 2022 (arXiv 2201.12086).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from depth_perception.training.foundation.frozen import Frozen, quiet
from depth_perception.training.foundation.loading import Opened, opened
from depth_perception.training.foundation.pictures import (
    CLIP,
    ImagePreprocessing,
    normalised,
    resized,
)

_SIDE = 384


class Captioner(Frozen):
    """A sentence for an image.

    Attributes:
        side: Side of the square that images are resized to, px.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self, network: nn.Module, tokenizer: Any, preprocessing: ImagePreprocessing
    ) -> None:
        """Take a `BlipForConditionalGeneration` and its tokenizer."""
        super().__init__()
        self.network, self.tokenizer, self.side = network, tokenizer, preprocessing.side
        self.register_buffer("mean", torch.tensor(preprocessing.mean), persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std), persistent=False)
        self.freeze()

    @classmethod
    def open(cls, name: str) -> Captioner:
        """See `foundation.captioner`."""
        found: Opened = opened(name, "captioner", ("blip",))
        preprocessing = found.preprocessing(ImagePreprocessing(CLIP.mean, CLIP.std, _SIDE))
        return cls(found.model, found.tokenizer(), preprocessing)

    @torch.no_grad()
    def forward(self, images: torch.Tensor, longest: int = 30, beams: int = 1) -> list[str]:
        """One caption an image, the same every time.

        Args:
            images: (N, 3, H, W) RGB of 0 to 255, of any size.
            longest: Largest number of tokens.
            beams: How many sentences are followed at a time; 1 takes the likeliest word each time.
        """
        pixels = normalised(resized(images, (self.side, self.side)), self.mean, self.std)
        network: Any = self.network
        with quiet():
            ids = network.generate(
                pixel_values=pixels,
                interpolate_pos_encoding=True,
                max_new_tokens=longest,
                num_beams=beams,
                do_sample=False,
            )
        texts = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]
