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

"""A light encoder-decoder for depth without labels, and a second decoder for intrinsic images.

In: RGB images (N, 3, H, W) of 0 to 255, H and W multiples of 32, and focal lengths. Out: depth at
full size and, where asked for, what surfaces are (diffuse) and what light does there (residual).
Decoders are of Monodepth2's type (Godard et al., ICCV 2019): nearest upsampling, skip connections,
3 x 3 convolutions with mirrored borders and ELU. The intrinsic decoder is a copy of the depth
decoder on the same encoder (arXiv 2503.22209).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from depth_perception.network.configuration import NetworkConfiguration
from depth_perception.network.depth_coding import depth_of_disparity, disparity_of_depth
from depth_perception.network.trunk import Trunk

START = 10.0
"""Depth that an untrained decoder says, m: half of the sigmoid would be a metre."""
LARGEST_RESIDUAL = 2.0
"""Largest |log residual|: light makes a surface at most 7.4 times brighter or darker."""
_START_DIFFUSE = 0.2
"""Of the logits: a diffuse image of 0.45, mid-grey."""


@dataclass
class IntrinsicOutput:
    """What the network says of images.

    Attributes:
        disparity: (N, 1, H, W), from 0, farthest, to 1, nearest.
        depth: (N, 1, H, W), m, of cameras with the focal lengths that were said.
        log_diffuse: (N + M, 3, H, W) logarithm of the view-independent image, 0 or less; of the
            images and then of the others. None without an intrinsic decoder.
        log_residual: (N + M, 1 or 3, H, W) logarithm of the view-dependent factor; None likewise.
    """

    disparity: torch.Tensor
    depth: torch.Tensor
    log_diffuse: torch.Tensor | None = None
    log_residual: torch.Tensor | None = None


class Encoder(nn.Module):
    """EfficientNet-Lite, and a convolution of its own at stride 2, where the trunk gives nothing.

    Args:
        name: See `network.trunk.Trunk`.
        pretrained: Load ImageNet's weights.
        fine: Channels at stride 2.

    Attributes:
        channels: Of the features at strides 2, 4, 8, 16 and 32.
    """

    def __init__(self, name: str, pretrained: bool = True, fine: int = 16) -> None:
        super().__init__()
        self.trunk = Trunk(name, pretrained)
        self.fine = nn.Sequential(nn.Conv2d(3, fine, 3, stride=2, padding=1), nn.ELU())
        self.channels = (fine, *self.trunk.channels)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Features of images (N, 3, H, W) of 0 to 255."""
        return [self.fine(image / 255 - 0.5), *self.trunk(image)]


def _convolution(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, width, 3, padding=1, padding_mode="reflect"), nn.ELU())


class Decoder(nn.Module):
    """From features at several strides to maps at full size.

    Args:
        channels: Of the features, from stride 2 on, as `Encoder.channels`.
        widths: Of the decoder at strides 1, 2, 4, ...: as many as there are features.
        out: Channels that come out.
    """

    def __init__(self, channels: Sequence[int], widths: Sequence[int], out: int) -> None:
        super().__init__()
        self.before, self.after = nn.ModuleList(), nn.ModuleList()
        below = channels[-1]
        for level in reversed(range(len(widths))):
            skip = channels[level - 1] if level else 0
            self.before.append(_convolution(below, widths[level]))
            self.after.append(_convolution(widths[level] + skip, widths[level]))
            below = widths[level]
        self.head = nn.Conv2d(below, out, 3, padding=1, padding_mode="reflect")
        nn.init.normal_(self.head.weight, std=0.01)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    def forward(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Maps (N, out, H, W), without a last nonlinearity."""
        x = features[-1]
        skips = [*reversed(features[:-1]), None]
        for before, after, skip in zip(self.before, self.after, skips, strict=True):
            x = functional.interpolate(before(x), scale_factor=2.0, mode="nearest")
            x = after(x if skip is None else torch.cat([x, skip], 1))
        return self.head(x)


class DisparityNetwork(nn.Module):
    """Depth from one image; with `residual_channels`, intrinsic images, too.

    Args:
        configuration: Its trunk, pretrained, widths (strides 4, 8 and 16), nearest, farthest and
            focal count; the rest is the fused network's.
        residual_channels: Of the residual, 1 or 3; 0: no intrinsic decoder.
        pretrained: False when all weights are loaded afterwards.
    """

    def __init__(
        self,
        configuration: NetworkConfiguration,
        residual_channels: int = 0,
        pretrained: bool = True,
    ) -> None:
        super().__init__()
        self.configuration = c = configuration
        self.residual_channels = residual_channels
        fine = max(c.widths[0] // 2, 4)
        widths = (fine, fine, *c.widths[:3])
        self.encoder = Encoder(c.trunk, pretrained and c.pretrained, fine)
        self.depth = Decoder(self.encoder.channels, widths, 1)
        start = min(max(disparity_of_depth(START, c.nearest, c.farthest), 1e-3), 1 - 1e-3)
        assert self.depth.head.bias is not None
        nn.init.constant_(self.depth.head.bias, math.log(start / (1 - start)))
        self.intrinsic: Decoder | None = None
        if residual_channels:
            self.intrinsic = Decoder(self.encoder.channels, widths, 3 + residual_channels)
            assert self.intrinsic.head.bias is not None
            nn.init.constant_(self.intrinsic.head.bias[:3], _START_DIFFUSE)

    def forward(
        self, image: torch.Tensor, focal: torch.Tensor, others: torch.Tensor | None = None
    ) -> IntrinsicOutput:
        """Look at images; depth of `image` (N, 3, H, W) alone, intrinsic images of both.

        Args:
            image: RGB, 0 to 255.
            focal: (N,), px: with twice the focal length the same picture is twice as far away.
            others: (M, 3, H, W) more images, such as other views of the same scenes.
        """
        c, count = self.configuration, len(image)
        together = image.float() if others is None else torch.cat([image, others]).float()
        features = self.encoder(together)
        disparity = torch.sigmoid(self.depth([x[:count] for x in features]).float())
        depth = depth_of_disparity(disparity, c.nearest, c.farthest) * (
            focal.view(-1, 1, 1, 1) / c.focal
        )
        out = IntrinsicOutput(disparity, depth)
        if self.intrinsic is not None:
            both = self.intrinsic(features).float()
            out.log_diffuse = -functional.softplus(both[:, :3])
            out.log_residual = LARGEST_RESIDUAL * torch.tanh(both[:, 3:] / LARGEST_RESIDUAL)
        return out
