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

"""The network of Vision-Language Embodiment: depth from an image, from text, or from both.

In: image, embodied scene depth as maps (`embodied_scene`), a text, the focal length. Out: the
logarithm of depth. A text becomes a Gaussian (mean, variance) over latent vectors; a latent map
z = mean + noise * deviation is decoded into depth, by one decoder for both

- noise that is drawn: depth from text alone, as many as one likes (a variational auto-encoder);
- noise that is found at each place in image and embodied depth (the conditional sampler).

Sources: Vision-Language Embodiment (CVPR 2025, arXiv 2503.16535), methods.md 3.2 and 3.3, which
publishes no widths; those of latent and decoder are WorDepth's (CVPR 2024, arXiv 2404.03635).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from depth_perception.network.attention import Attention, TwoWayAttention
from depth_perception.network.depth_coding import focal_shift, log_depth_of_code
from depth_perception.network.trunk import Trunk
from depth_perception.training.embodied_scene import CHANNELS
from depth_perception.training.systems.vision_language.text_latent import (
    FoundationWords,
    TextLatent,
    WordEncoder,
    reparameterised,
)

STRIDE = 16
"""Of the latent map, px; depth comes out at a quarter of the image's size."""


@dataclass
class TextDepth:
    """What `TextDepthNetwork` gives.

    Attributes:
        log_depth: (N, 1, H/4, W/4) natural logarithm of depth along the optical axis, m.
        mean: (N, latent) of the text's Gaussian.
        log_variance: (N, latent) of it.
        noise: (N, latent, H/16, W/16), drawn or found.
    """

    log_depth: torch.Tensor
    mean: torch.Tensor
    log_variance: torch.Tensor
    noise: torch.Tensor


class _ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each place of a map (N, channels, h, w).

    A norm over places would take away how far everything is.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _convolution(channels: int, width: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(channels, width, 3, stride, 1)
    nn.init.kaiming_normal_(conv.weight, 0.1)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return nn.Sequential(conv, nn.LeakyReLU(0.1))


class TransformerBlock(nn.Module):
    """Self-attention and an MLP over a map (N, channels, h, w), each added to what came in."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(channels), nn.LayerNorm(channels)])
        self.attention = Attention(channels, heads)
        self.mlp = nn.Sequential(
            nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Look around."""
        tokens = x.flatten(2).transpose(1, 2)
        own = self.norms[0](tokens)
        tokens = tokens + self.attention(own, own)
        tokens = tokens + self.mlp(self.norms[1](tokens))
        return tokens.transpose(1, 2).reshape(x.shape)


class TrunkEncoder(nn.Module):
    """Image (N, 3, H, W) to a map at stride 16, from the light trunk's strides 8, 16 and 32."""

    def __init__(self, trunk: str, pretrained: bool, width: int) -> None:
        super().__init__()
        self.trunk = Trunk(trunk, pretrained)
        _, c8, c16, c32 = self.trunk.channels
        self.fine = nn.Conv2d(c8, width, 3, 2, 1)
        self.middle, self.coarse = nn.Conv2d(c16, width, 1), nn.Conv2d(c32, width, 1)
        self.norm = _ChannelNorm(width)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(N, width, H/16, W/16)."""
        _, f8, f16, f32 = self.trunk(image.float())
        wide = functional.interpolate(
            self.coarse(f32), f16.shape[-2:], mode="bilinear", align_corners=False
        )
        return self.norm(self.fine(f8) + self.middle(f16) + wide)


class FoundationImage(nn.Module):
    """Image (N, 3, H, W) to a map at stride 16, from four blocks of a frozen encoder.

    Args:
        name: See `foundation.image_encoder`.
        width: Of what comes out.
    """

    def __init__(self, name: str, width: int) -> None:
        super().__init__()
        from depth_perception.training.foundation import image_encoder

        self.encoder = image_encoder(name, torch.device("cpu"))
        blocks = int(self.encoder.blocks)
        self.blocks = tuple(sorted({max(0, (i * blocks) // 4 - 1) for i in range(1, 5)}))
        self.lateral = nn.Conv2d(len(self.blocks) * int(self.encoder.width), width, 1)
        self.norm = _ChannelNorm(width)

    def train(self, mode: bool = True) -> FoundationImage:
        """The encoder stays as it is."""
        super().train(mode)
        self.encoder.eval()
        return self

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(N, width, H/16, W/16)."""
        size = (image.shape[-2] // STRIDE, image.shape[-1] // STRIDE)
        patch = int(self.encoder.patch)
        fitting = functional.interpolate(
            image.float(), (size[0] * patch, size[1] * patch), mode="bilinear", align_corners=False
        )
        with torch.no_grad():
            maps: list[Any] = [
                functional.interpolate(m, size, mode="bilinear", align_corners=False)
                for m in self.encoder(fitting, self.blocks)
            ]
        return self.norm(self.lateral(torch.cat(maps, 1)))


class Decoder(nn.Module):
    """Latent map at stride 16 to log depth at stride 4: three stages, whose maps are summed.

    Where in the image, and the focal length, come in as planes: a text alone tells neither.
    """

    def __init__(self, latent: int) -> None:
        super().__init__()
        widths = (latent, latent // 2, latent // 4)
        self.stages = nn.ModuleList()
        for narrow, wide in ((latent + 3, widths[0]), widths[:2], widths[1:]):
            self.stages.append(nn.Sequential(_convolution(narrow, wide), _convolution(wide, wide)))
        self.out = nn.ModuleList(nn.Conv2d(width, widths[2], 1) for width in widths)
        self.last = nn.Conv2d(widths[2], 1, 3, padding=1)

    def forward(self, z: torch.Tensor, focal: torch.Tensor) -> torch.Tensor:
        """(N, 1, 4 h, 4 w) of z (N, latent, h, w) and focal (N,) px."""
        n, _, h, w = z.shape
        away = focal_shift(focal).to(z.dtype).view(n, 1, 1, 1)
        across = torch.linspace(-1, 1, w, device=z.device, dtype=z.dtype).expand(n, 1, h, w)
        down = torch.linspace(-1, 1, h, device=z.device, dtype=z.dtype).view(1, 1, h, 1)
        x = torch.cat([z, across, down.expand(n, 1, h, w), away.expand(n, 1, h, w)], 1)
        total = z.new_zeros(())
        for number, (stage, out) in enumerate(zip(self.stages, self.out, strict=True)):
            if number:
                x = functional.interpolate(
                    x, scale_factor=2.0, mode="bilinear", align_corners=False
                )
            x = stage(x)
            part = out(x)
            if number < 2:
                part = functional.interpolate(
                    part, (4 * h, 4 * w), mode="bilinear", align_corners=False
                )
            total = total + part
        return log_depth_of_code(self.last(functional.leaky_relu(total, 0.1)), away)


class TextDepthNetwork(nn.Module):
    """The network.

    Args:
        latent: Width of the latent map and of the maps that are fused; a multiple of 4.
        heads: Attention heads; divides `latent`.
        layers: Transformer blocks of the sampler.
        text: "own", or a foundation model's text tower; empty: no text, the latent map is what the
            sampler finds.
        image: "trunk", or a foundation model's image encoder.
        embodied: Embodied depth goes in.
        fusion: Image and embodied depth attend to each other; without: they are added.
        trunk: See `network.trunk`.
        pretrained: Load ImageNet's weights into the trunk.

    Attributes:
        settings: All arguments but `pretrained`.
        words: Text encoder, or None.
        text: `TextLatent`, or None.
    """

    def __init__(
        self,
        latent: int = 128,
        heads: int = 4,
        layers: int = 2,
        *,
        text: str = "own",
        image: str = "trunk",
        embodied: bool = True,
        fusion: bool = True,
        trunk: str = "lite0",
        pretrained: bool = True,
    ) -> None:
        super().__init__()
        self.latent = latent
        self.settings: dict[str, Any] = {
            "latent": latent,
            "heads": heads,
            "layers": layers,
            "text": text,
            "image": image,
            "embodied": embodied,
            "fusion": fusion,
            "trunk": trunk,
        }
        self.words: WordEncoder | FoundationWords | None = None
        self.text: TextLatent | None = None
        if text:
            self.words = WordEncoder(latent, heads) if text == "own" else FoundationWords(text)
            self.text = TextLatent(self.words.width, latent)
        self.image: TrunkEncoder | FoundationImage
        if image == "trunk":
            self.image = TrunkEncoder(trunk, pretrained, latent)
        else:
            self.image = FoundationImage(image, latent)
        self.embodied: nn.Sequential | None = None
        self.cross_attention: TwoWayAttention | None = None
        if embodied:
            self.embodied = nn.Sequential(
                _convolution(CHANNELS, latent // 4),
                _convolution(latent // 4, latent // 2, 2),
                _convolution(latent // 2, latent, 2),
                TransformerBlock(latent, heads),
            )
            self.cross_attention = TwoWayAttention(latent, heads) if fusion else None
        self.sampler = nn.Sequential(
            *(TransformerBlock(latent, heads) for _ in range(layers)),
            _ChannelNorm(latent),
            nn.Conv2d(latent, latent, 1),
        )
        self.decoder = Decoder(latent)

    def describe(self, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log variance (N, latent) of texts; zeros without text."""
        if self.words is None or self.text is None:
            zeros = torch.zeros(len(texts), self.latent, device=self.decoder.last.weight.device)
            return zeros, zeros
        mean, log_variance = self.text(self.words(texts))
        return mean, log_variance

    def found_noise(self, image: torch.Tensor, embodied: torch.Tensor) -> torch.Tensor:
        """What the sampler sees: (N, latent, H/16, W/16).

        Args:
            image: (N, 3, H, W) RGB, 0 to 255; H and W multiples of 32.
            embodied: (N, `CHANNELS`, H/4, W/4), see `embodied_scene.scene_maps`.
        """
        seen = self.image(image)
        if self.embodied is not None:
            felt = self.embodied(embodied)
            seen = seen + felt if self.cross_attention is None else self.cross_attention(seen, felt)
        return self.sampler(seen)

    def forward(
        self,
        image: torch.Tensor,
        embodied: torch.Tensor,
        texts: list[str],
        focal: torch.Tensor,
        noise: torch.Tensor | None = None,
    ) -> TextDepth:
        """Depth by text and drawn noise, or by text, image and embodied depth.

        In the second case nothing of the text learns: it is as given.

        Args:
            image: See `found_noise`.
            embodied: See `found_noise`.
            texts: N texts.
            focal: (N,) focal length, px.
            noise: (N, latent, H/16, W/16) drawn noise: image and embodied depth do not count. None:
                the sampler finds it.
        """
        if noise is not None:
            mean, log_variance = self.describe(texts)
        else:
            with torch.no_grad():
                mean, log_variance = self.describe(texts)
            noise = self.found_noise(image, embodied)
        z = reparameterised(mean, log_variance, noise)
        return TextDepth(self.decoder(z, focal), mean, log_variance, noise)
