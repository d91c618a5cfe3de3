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

"""Image encoders of Hybrid-depth, its language branch, and the head for maps of one size.

In: RGB images (N, 3, H, W) of 0 to 255. Out: four feature maps, and disparity of them. CLIP knows
what things are, DINO where they end: maps of both from a quarter, a half, three quarters and all of
their blocks are put together on DINO's grid. Source: Hybrid-depth, ICCV 2025 (arXiv 2510.09320),
methods.md 1.2 to 1.4. In these respects ours differs:

- the paper takes the residual stages of CLIP's ResNet-50, which `transformers` does not have: ours
  takes block maps of a CLIP vision transformer, by the same rule (resized to DINO's grid, 1 x 1
  convolution, concatenated);
- of CLIP all blocks learn, but not its patch embedding;
- a convolutional encoder with weights of ImageNet is there to compare with;
- the head ends in a sigmoid, as the pipeline's own decoder does: the paper's ReLU has no upper
  bound, so that depth can come out below the nearest, and learns nothing where it is 0.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from depth_perception.network.trunk import Trunk
from depth_perception.training.foundation import fitted
from depth_perception.training.self_supervised import last_of_disparity

LEVELS = 4
CLIP_CHANNELS = 256
"""Of CLIP's maps after the 1 x 1 convolution."""
TEMPLATE = "This patch appears to be {}."
"""A prompt; a depth token or a depth word goes into it."""
LOGIT_SCALE = 100.0


def blocks_of(count: int) -> tuple[int, ...]:
    """Blocks (0-based) after each quarter of a transformer: 2, 5, 8 and 11 of twelve."""
    return tuple(max(count * (i + 1) // LEVELS - 1, 0) for i in range(LEVELS))


class TrunkEncoder(nn.Module):
    """EfficientNet-Lite: the light encoder to compare with.

    Attributes:
        channels: Of the maps at strides 4, 8, 16 and 32.
    """

    def __init__(self, name: str = "lite0", pretrained: bool = True) -> None:
        super().__init__()
        self.trunk = Trunk(name, pretrained)
        self.channels = self.trunk.channels

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Maps at strides 4 to 32 of images whose edges are multiples of 32."""
        found: list[torch.Tensor] = self.trunk(image)
        return found


class HybridEncoder(nn.Module):
    """DINO's maps, and CLIP's on the same grid.

    Args:
        dino: `foundation.image_encoder` of DINOv2.
        clip: `foundation.image_encoder` of CLIP; None: DINO alone.
        clip_channels: Of CLIP's maps after their 1 x 1 convolution.
        fine: DINO's last block learns, too (stage 2); else only CLIP and the convolutions.

    Attributes:
        channels: Of the four maps, which are all of DINO's grid.
        patch: Stride of the grid, px.
    """

    def __init__(
        self, dino: Any, clip: Any = None, clip_channels: int = CLIP_CHANNELS, fine: bool = True
    ) -> None:
        super().__init__()
        self.dino, self.clip, self.patch = dino, clip, int(dino.patch)
        self.align = nn.ModuleList()
        width = int(dino.width)
        if clip is not None:
            clip.unfreeze(tuple(range(clip.blocks)))
            for _ in range(LEVELS):
                same = clip.width == clip_channels
                self.align.append(
                    nn.Identity() if same else nn.Conv2d(clip.width, clip_channels, 1)
                )
            width += clip_channels
        if fine:
            dino.unfreeze((dino.blocks - 1,))
        self.channels = (width,) * LEVELS

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Four maps (N, channels, h, w), h and w about those of the image over `patch`."""
        maps = self.dino(fitted(image, self.patch), blocks_of(self.dino.blocks))
        if self.clip is None:
            return list(maps)
        others = self.clip(fitted(image, self.clip.patch), blocks_of(self.clip.blocks))
        out = []
        for one, other, align in zip(maps, others, self.align, strict=True):
            brought = align(functional.interpolate(other, one.shape[-2:], mode="nearest"))
            out.append(torch.cat([one, brought], 1))
        return out


def resampled(features: torch.Tensor, width: int) -> torch.Tensor:
    """Features (..., C) with `width` channels: linear interpolation along the channels."""
    if features.shape[-1] == width:
        return features
    flat = features.reshape(1, -1, features.shape[-1])
    out = functional.interpolate(flat, width, mode="linear", align_corners=False)
    return out.reshape(*features.shape[:-1], width)


def text_matrix(vectors: torch.Tensor) -> torch.Tensor:
    """Columns (width, M) of texts' vectors (M, width): each of length 1, then all over the norm.

    The second division, by the root of M, is the paper's: it belongs to the scale of the logits.
    """
    columns = functional.normalize(vectors.float(), dim=1).T
    return columns / columns.norm().clamp(min=1e-6)


def alignment(features: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Logits (..., M) of features (..., C): 100 times cosines, by the matrix (width, M)."""
    places = functional.normalize(resampled(features.float(), len(matrix)), dim=-1)
    return LOGIT_SCALE * (places @ matrix)


class LanguageBranch(nn.Module):
    """Say of each place how much it is like each of M learned depth tokens.

    Args:
        text: `foundation.text_encoder`, frozen; None: the matrix comes with a checkpoint, and
            tokens do not learn any more.
        tokens: (M, width of a token) that stand in `TEMPLATE`, to begin with.
        width: Of the text's vectors.
    """

    def __init__(self, text: Any, tokens: torch.Tensor, width: int) -> None:
        super().__init__()
        self.text = text
        self.tokens = nn.Parameter(tokens.clone())
        self.register_buffer("vectors", torch.zeros(len(tokens), width))
        self.vectors: torch.Tensor
        if text is not None:
            with torch.no_grad():
                self.vectors.copy_(text.encode_embeddings(TEMPLATE, self.tokens))

    @property
    def count(self) -> int:
        """Tokens."""
        return len(self.tokens)

    def forward(self, features: list[torch.Tensor]) -> list[torch.Tensor]:
        """Maps (N, C, h, w), each with M logits behind its channels."""
        vectors = self.vectors
        if self.training and self.text is not None:
            vectors = self.text.encode_embeddings(TEMPLATE, self.tokens)
            with torch.no_grad():
                self.vectors.copy_(vectors)
        matrix = text_matrix(vectors)
        out = []
        for feature in features:
            logits = alignment(feature.permute(0, 2, 3, 1), matrix).permute(0, 3, 1, 2)
            out.append(torch.cat([feature, logits.to(feature.dtype)], 1))
        return out


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = x + self.convolutions(x)
        return found


class DepthHead(nn.Module):
    """Disparity of four maps of one grid: the head of DPT (Ranftl et al., ICCV 2021).

    Maps come to four sizes (4, 2, 1 and half of the grid's), and are fused from coarse to fine.

    Args:
        channels: Of the four maps.
        width: Of the fusion; of the maps' convolutions 1, 2, 4 and 4 times that.
        start: Disparity, 0 to 1, before any training.
    """

    def __init__(self, channels: tuple[int, ...], width: int = 256, start: float = 0.5) -> None:
        super().__init__()
        widths = (width, 2 * width, 4 * width, 4 * width)
        resize = (
            nn.ConvTranspose2d(widths[0], widths[0], 4, 4),
            nn.ConvTranspose2d(widths[1], widths[1], 2, 2),
            nn.Identity(),
            nn.Conv2d(widths[3], widths[3], 3, 2, 1),
        )
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, w, 1), r, nn.Conv2d(w, width, 3, padding=1, bias=False))
            for c, w, r in zip(channels, widths, resize, strict=True)
        )
        self.take = nn.ModuleList(_Residual(width) for _ in range(LEVELS - 1))
        self.fuse = nn.ModuleList(_Residual(width) for _ in range(LEVELS))
        self.out = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(LEVELS))
        self.narrow = nn.Conv2d(width, width // 2, 3, padding=1)
        self.end = nn.Sequential(nn.Conv2d(width // 2, 32, 3, padding=1), nn.ReLU())
        self.last = last_of_disparity(32, start)

    def forward(self, features: list[torch.Tensor], size: tuple[int, int]) -> torch.Tensor:
        """Disparity (N, 1, H, W), 0 to 1, at the image's size."""
        maps = [level(f) for level, f in zip(self.levels, features, strict=True)]
        x = maps[-1]
        for i in reversed(range(LEVELS)):
            if i < LEVELS - 1:
                x = x + self.take[i](maps[i])
            x = self.fuse[i](x)
            wanted = maps[i - 1].shape[-2:] if i else [2 * edge for edge in x.shape[-2:]]
            x = functional.interpolate(x, wanted, mode="bilinear", align_corners=True)
            x = self.out[i](x)
        x = functional.interpolate(self.narrow(x), size, mode="bilinear", align_corners=True)
        return torch.sigmoid(self.last(self.end(x)))
