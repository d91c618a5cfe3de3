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

"""Depth Anything, whole or in two halves: what its encoder sees, and what its decoder makes of it.

Source: Yang et al., Depth Anything V2, NeurIPS 2024 (arXiv 2406.09414); V1 has the same form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from depth_perception.training.foundation.frozen import Frozen, block_indices
from depth_perception.training.foundation.loading import Opened, opened
from depth_perception.training.foundation.pictures import (
    IMAGENET,
    ImagePreprocessing,
    check_multiples,
    fitted,
    normalised,
)

_SIDE = 518
_LEAST_DEPTH = 1e-3


class DepthModel(Frozen):
    """Relative inverse depth: right up to a factor and an offset of each image; larger is nearer.

    Attributes:
        width: Channels of a feature map.
        patch: Side of a token, px.
        blocks: Of the encoder, how many there are.
        side: Shorter side of the images that it was trained on, px.
        metric: Whether it was trained on metres: then inverse depth is in 1/m.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: nn.Module, preprocessing: ImagePreprocessing) -> None:
        """Take a `DepthAnythingForDepthEstimation`."""
        super().__init__()
        config: Any = network.config
        self.network, self.side = network, preprocessing.side
        self.width, self.patch = int(config.reassemble_hidden_size), int(config.patch_size)
        self.metric = config.depth_estimation_type == "metric"
        self.blocks = len(self._layers())
        self.register_buffer("mean", torch.tensor(preprocessing.mean), persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std), persistent=False)
        self.freeze()

    @classmethod
    def open(cls, name: str) -> DepthModel:
        """See `foundation.depth_model`."""
        found: Opened = opened(name, "depth model", ("depth_anything",))
        return cls(
            found.model, found.preprocessing(ImagePreprocessing(IMAGENET.mean, IMAGENET.std, _SIDE))
        )

    def _layers(self) -> nn.ModuleList:
        network: Any = self.network
        layers = network.backbone.encoder.layer
        assert isinstance(layers, nn.ModuleList)
        return layers

    def unfreeze(self, blocks: Sequence[int] = (), fusions: Sequence[int] = ()) -> None:
        """Let these blocks of the encoder, and these fusion blocks of the decoder, learn.

        Args:
            blocks: From 0 on; -1 is the last.
            fusions: 0 is the coarsest, -1 the last, before the head.

        Raises:
            ConfigurationError: There is no such block.
        """
        network: Any = self.network
        stages = network.neck.fusion_stage.layers
        chosen = (
            block_indices(blocks, self.blocks, "block"),
            block_indices(fusions, len(stages), "fusion block"),
        )
        self._release(self._layers()[i] for i in chosen[0])
        for i in chosen[1]:
            if i == 0:  # the coarsest has nothing to be fused with, so its first half is unused
                self._release([stages[0].residual_layer2, stages[0].projection])
            else:
                self._release([stages[i]])

    def features(self, images: torch.Tensor) -> list[torch.Tensor]:
        """The four maps (N, width, H / patch, W / patch) that the decoder takes, shallow to deep.

        Args:
            images: (N, 3, H, W) RGB of 0 to 255; H and W multiples of `patch`.

        Raises:
            ConfigurationError: The size does not fit.
        """
        check_multiples(images, self.patch)
        size = (images.shape[-2] // self.patch, images.shape[-1] // self.patch)
        network: Any = self.network
        tokens = network.backbone(normalised(images, self.mean, self.std)).feature_maps
        return [t[:, 1:].transpose(1, 2).unflatten(2, size) for t in tokens]

    def decode(self, features: Sequence[torch.Tensor], size: tuple[int, int]) -> torch.Tensor:
        """Inverse depth (N, 1, height, width) of such maps, whoever made them.

        Args:
            features: As `features` gives them.
            size: (height, width) of the result.
        """
        network: Any = self.network
        rows, columns = features[0].shape[-2:]
        # The decoder drops the class token, so that any will do.
        tokens = [functional.pad(f.flatten(2).transpose(1, 2), (0, 0, 1, 0)) for f in features]
        out = network.head(network.neck(tokens, rows, columns), rows, columns)[:, None]
        if self.metric:
            out = 1 / out.clamp(min=_LEAST_DEPTH)
        if out.shape[-2:] == tuple(size):
            return out
        return functional.interpolate(out, size, mode="bilinear", align_corners=False)

    @torch.inference_mode()
    def of_picture(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Inverse depth (H, W), 0 or more, of a BGR image (H, W, 3), as OpenCV has it."""
        rgb = np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1))
        images = torch.from_numpy(rgb)[None].to(self.mean.device).float()
        return np.asarray(self(images, self.side)[0, 0].float().cpu(), np.float32)

    def forward(self, images: torch.Tensor, side: int = 0) -> torch.Tensor:
        """Inverse depth (N, 1, H, W) of images (N, 3, H, W), RGB of 0 to 255, of any size.

        Args:
            images: They are resized to multiples of `patch`, and the result back.
            side: About the shorter side that the network works at, px; 0: the images' own.
        """
        size = (int(images.shape[-2]), int(images.shape[-1]))
        return self.decode(self.features(fitted(images, self.patch, side)), size)
