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

"""Vision transformers whose inner feature maps are asked for: CLIP, DINOv2, SAM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from depth_perception.training.foundation.frozen import Frozen, block_indices
from depth_perception.training.foundation.loading import Opened, opened
from depth_perception.training.foundation.pictures import (
    CLIP,
    IMAGENET,
    ImagePreprocessing,
    check_multiples,
    normalised,
)

FAMILIES = {"clip": CLIP, "dinov2": IMAGENET, "sam": IMAGENET}


class ImageEncoder(Frozen):
    """Feature maps of a vision transformer's blocks; position embeddings fit any image size.

    Maps are what leaves a block, without the class token. DINOv2's are normalised by its last
    layer norm, as its authors read intermediate layers; CLIP's and SAM's are as they are (SAM's
    before its neck).

    Attributes:
        width: Channels of a map.
        patch: Side of a token, px.
        blocks: How many there are.
        side: Shorter side of the images that it was trained on, px.
        family: Which of `FAMILIES`.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: nn.Module, family: str, preprocessing: ImagePreprocessing) -> None:
        """Take the image part of a model of `transformers`."""
        super().__init__()
        config: Any = network.config
        self.network, self.family, self.side = network, family, preprocessing.side
        self.width, self.patch = int(config.hidden_size), int(config.patch_size)
        self.blocks = len(self._layers())
        self.register_buffer("mean", torch.tensor(preprocessing.mean), persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std), persistent=False)
        self.freeze()

    @classmethod
    def open(cls, name: str) -> ImageEncoder:
        """See `foundation.image_encoder`."""
        found: Opened = opened(name, "image encoder", tuple(FAMILIES))
        part = {"clip": "vision_model", "sam": "vision_encoder"}.get(found.family)
        network = getattr(found.model, part) if part else found.model
        return cls(network, found.family, found.preprocessing(FAMILIES[found.family]))

    def _layers(self) -> nn.ModuleList:
        network: Any = self.network
        if self.family == "clip":
            layers = network.encoder.layers
        else:
            layers = network.encoder.layer if self.family == "dinov2" else network.layers
        assert isinstance(layers, nn.ModuleList)
        return layers

    def unfreeze(self, blocks: Sequence[int]) -> None:
        """Let these blocks learn.

        Raises:
            ConfigurationError: There is no such block.
        """
        self._release(self._layers()[i] for i in block_indices(blocks, self.blocks, "block"))

    def forward(self, images: torch.Tensor, blocks: Sequence[int] = (-1,)) -> list[torch.Tensor]:
        """Maps (N, width, H / patch, W / patch) float32 of these blocks, in the order asked for.

        Args:
            images: (N, 3, H, W) RGB of 0 to 255; H and W multiples of `patch`.
            blocks: From 0 on; -1 is the last. Later blocks are not computed.

        Raises:
            ConfigurationError: There is no such block, or the size does not fit.
        """
        wanted = block_indices(blocks, self.blocks, "block")
        check_multiples(images, self.patch)
        size = (images.shape[-2] // self.patch, images.shape[-1] // self.patch)
        tokens = self._tokens(normalised(images, self.mean, self.std), size)
        maps = {}
        for i, layer in enumerate(self._layers()[: max(wanted) + 1]):
            tokens = layer(tokens) if self.family == "sam" else layer(tokens, None)
            if i in wanted:
                maps[i] = self._map(tokens, size)
        return [maps[i] for i in wanted]

    def _tokens(self, pixels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """What goes into the first block: (N, 1 + h w, width), or SAM's (N, h, w, width)."""
        network: Any = self.network
        if self.family == "clip":
            embedded = network.embeddings(pixels, interpolate_pos_encoding=True)
            return network.pre_layrnorm(embedded)
        if self.family == "dinov2":
            return network.embeddings(pixels)
        tokens = network.patch_embed.projection(pixels).permute(0, 2, 3, 1)
        if network.pos_embed is not None:
            tokens = tokens + _positions(network.pos_embed, size)
        return tokens

    def _map(self, tokens: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        if self.family == "sam":
            return tokens.permute(0, 3, 1, 2)
        if self.family == "dinov2":
            tokens = self.network.layernorm(tokens)  # type: ignore[operator]
        return tokens[:, 1:].transpose(1, 2).unflatten(2, size)


def _positions(grid: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Position embeddings (1, h, w, C) at another size."""
    if grid.shape[1:3] == size:
        return grid
    wide = functional.interpolate(
        grid.permute(0, 3, 1, 2), size, mode="bicubic", align_corners=False
    )
    return wide.permute(0, 2, 3, 1)
