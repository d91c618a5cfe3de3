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

"""Frozen depth and semantic streams that bridging gates stand between, see `network`.

In: training samples (`samples`). A depth stream gives four maps, and decodes them to relative
inverse depth; a semantic stream gives one map. Streams of foundation models are loaded by
`foundation`. Without such weights our own network is the depth stream: without calibration, as its
depth is relative then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from depth_perception.network.fused import CLASSES, FusedSurround, upsample
from depth_perception.network.prior import Prior, prior_of
from depth_perception.network.trunk import Trunk
from depth_perception.training.foundation import depth_model, fitted, image_encoder

Batch = dict[str, torch.Tensor]
_LABEL_STRIDE = 8
_UNKNOWN = 255


@dataclass
class OwnContext:
    """What our own decoder needs beside the maps.

    Attributes:
        prior: That there is no calibration, and the focal length.
        semantic: (N, widths[2], H/16, W/16), the network's own semantic stream.
    """

    prior: Prior
    semantic: torch.Tensor


class OwnDepth(nn.Module):
    """Our network, without calibration, cut where its decoder begins: maps at strides 4 to 32.

    Args:
        network: With its weights.

    Attributes:
        widths: Channels of the four maps.
        with_positions: Whether gates should be told where tokens are.
        tokens: Largest number of keys and values of a gate; 0: as many as there are.
    """

    with_positions, tokens = True, 600

    def __init__(self, network: FusedSurround) -> None:
        super().__init__()
        self.network = network
        self.widths: tuple[int, ...] = network.configuration.widths

    def encode(self, batch: Batch) -> tuple[list[torch.Tensor], OwnContext]:
        """Maps, and what else `decode` needs."""
        net, camera = self.network, batch["camera"]
        camera = torch.cat([torch.zeros_like(camera[:, :4]), camera[:, 4:]], dim=1)
        prior = prior_of(batch["rays"], camera)
        features = net.trunk(batch["image"].float())
        maps = [lateral(f) for lateral, f in zip(net.lateral, features, strict=True)]
        if net.configuration.prior:
            e = net.embodied[0](prior.maps)
            maps[0] = maps[0] + net.embodied_lateral(e)
            for level in (1, 2, 3):
                e = net.embodied[level](e)
                if level < 3 or net.cross_attention is None:
                    maps[level] = maps[level] + e
                else:
                    maps[level] = net.cross_attention(maps[level], e)
        semantic = net.semantic(
            net.semantic_in[0](features[2]) + upsample(net.semantic_in[1](maps[3]))
        )
        if net.gate is not None:
            maps[3] = net.gate(maps[3], functional.avg_pool2d(semantic, 2))
        return maps, OwnContext(prior, semantic)

    def decode(self, maps: list[torch.Tensor], context: OwnContext) -> torch.Tensor:
        """Inverse depth (N, 1, H/4, W/4), 1/m up to scale."""
        net, (f4, f8, f16, g32) = self.network, maps
        x16 = upsample(net.narrow[0](g32)) + f16
        if net.fine_gate is not None:
            x16 = net.fine_gate(x16, functional.avg_pool2d(context.semantic, 2))
        x16 = net.decode[0](x16 + context.semantic)
        x8 = net.decode[1](upsample(net.narrow[1](x16)) + f8)
        x4 = net.decode[2](upsample(net.narrow[2](x8)) + f4)
        centres = net.bins(g32.mean((2, 3)), context.prior)
        return torch.exp(-net.expectation(net.bin_head(x4), centres)[1])

    def free_last_block(self) -> None:
        """Let that of the decoder learn which joins the finest map with the coarser ones."""
        for part in (self.network.narrow[2], self.network.decode[2]):
            part.requires_grad_(True)


class FoundationDepth(nn.Module):
    """Depth Anything, cut before its DPT decoder. Attributes: see `OwnDepth`.

    Args:
        name: See `foundation.depth_model`.
        side: Shorter side of the images that it sees, px, about; 518 in the paper.

    Raises:
        ModelError: There is no such model.
    """

    with_positions, tokens = False, 0

    def __init__(self, name: str, side: int) -> None:
        super().__init__()
        self.model, self.side = depth_model(name), side
        self.widths: tuple[int, ...] = (self.model.width,) * 4

    def encode(self, batch: Batch) -> tuple[list[torch.Tensor], tuple[int, int]]:
        """Maps before the decoder, and the size of the images that it saw."""
        image = fitted(batch["image"], self.model.patch, self.side)
        return self.model.features(image), (image.shape[-2], image.shape[-1])

    def decode(self, maps: list[torch.Tensor], context: tuple[int, int]) -> torch.Tensor:
        """Inverse depth (N, 1, h, w) of the model's image size, of no scale and shift."""
        return self.model.decode(maps, context)

    def free_last_block(self) -> None:
        """Let the last fusion block of DPT learn."""
        self.model.unfreeze(fusions=(-1,))


class OwnSemantics(nn.Module):
    """The semantic stream of our own network, learnt from labels of the synthetic world.

    Args:
        stream: The network, where the depth stream is another one.
        width: Channels.
    """

    def __init__(self, stream: OwnDepth | None, width: int) -> None:
        super().__init__()
        self.stream, self.width = stream, width

    def forward(self, batch: Batch, maps: list[torch.Tensor], context: Any) -> torch.Tensor:
        """(N, width, H/16, W/16)."""
        if self.stream is not None:
            context = self.stream.encode(batch)[1]
        out: torch.Tensor = context.semantic
        return out


class ImageNetSemantics(nn.Module):
    """EfficientNet-Lite as ImageNet taught it to name things: strides 16 and 32, side by side."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk, self.width = trunk, trunk.channels[2] + trunk.channels[3]

    def forward(self, batch: Batch, maps: list[torch.Tensor], context: Any) -> torch.Tensor:
        """(N, width, H/16, W/16), each of both maps of unit variance in each image."""
        features = self.trunk(batch["image"].float())[2:]
        f16, f32 = (f / f.std((1, 2, 3), keepdim=True).clamp(min=1e-3) for f in features)
        return torch.cat([f16, upsample(f32)], dim=1)


class FoundationSemantics(nn.Module):
    """The last block of SAM's, DINOv2's or CLIP's image encoder, before any neck.

    Args:
        name: See `foundation.image_encoder`.
        side: Longer side of the images that it sees, px, about; 1024 in the paper.
    """

    def __init__(self, name: str, side: int) -> None:
        super().__init__()
        self.model, self.side = image_encoder(name), side
        self.width = self.model.width

    def forward(self, batch: Batch, maps: list[torch.Tensor], context: Any) -> torch.Tensor:
        """(N, width, h, w)."""
        height, width = batch["image"].shape[-2:]
        shorter = round(self.side * min(height, width) / max(height, width))
        return self.model(fitted(batch["image"], self.model.patch, shorter), (-1,))[0]


class OracleSemantics(nn.Module):
    """True labels, as shares of classes at stride 8: the most that semantics can bring."""

    width = len(CLASSES) + 1

    def forward(self, batch: Batch, maps: list[torch.Tensor], context: Any) -> torch.Tensor:
        """(N, classes and unknown, H/8, W/8)."""
        label = batch["label"].long()
        classes = torch.where(label == _UNKNOWN, len(CLASSES), label)
        shares = functional.one_hot(classes, self.width).movedim(-1, 1).float()
        return functional.avg_pool2d(shares, _LABEL_STRIDE)


class SelfSemantics(nn.Module):
    """No semantics: gates look at the last map of depth, which shows what they bring by size."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, batch: Batch, maps: list[torch.Tensor], context: Any) -> torch.Tensor:
        """The coarsest map of depth."""
        return maps[-1]
