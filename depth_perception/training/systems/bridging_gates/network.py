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

"""Bridging gates between two frozen encoders: BriGeS (arXiv 2505.23400), methods.md section 2.

In: training samples (`samples`). Out: relative inverse depth. A depth stream has an encoder, whose
four maps pass a gate each, and a decoder; a semantic stream has one map that all four gates look
at. Both are frozen, but for the decoder's last block where that is wanted.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from depth_perception.network.attention import Attention
from depth_perception.training.systems.bridging_gates.streams import (
    Batch,
    FoundationDepth,
    OwnDepth,
)


class Gate(nn.Module):
    """Depth features attend to semantic ones, then to themselves; begins as the identity.

    Two blocks of a transformer, pre-norm, MLP ratio 4, GELU; about 24 width^2 weights.

    Args:
        width: Channels of depth.
        semantic_width: Channels of semantics; brought to `width` where it differs.
        heads: Of attention; divides the width.
        with_positions: Add a sine code of where a token is: a ViT's tokens know, a convolution's
            do not.
        most: Where depth has more tokens, keys and values come from a coarser grid, which keeps the
            cost linear in the pixels; 0: never.
    """

    def __init__(
        self,
        width: int,
        semantic_width: int,
        heads: int,
        with_positions: bool = False,
        most: int = 0,
    ) -> None:
        super().__init__()
        self.with_positions, self.most = with_positions, most
        same = semantic_width == width
        self.semantic_projection: nn.Module = (
            nn.Identity() if same else nn.Linear(semantic_width, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-6) for _ in range(5))
        self.cross, self.self_attention = Attention(width, heads), Attention(width, heads)
        lasts = [nn.Linear(4 * width, width) for _ in range(2)]
        self.mlps = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), last) for last in lasts
        )
        for last in (self.cross.out, self.self_attention.out, *lasts):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def set_temperature(self, temperature: float) -> None:
        """Divide the logits of both attentions by this: above 1 flattens them."""
        self.cross.temperature = self.self_attention.temperature = temperature

    def forward(self, depth: torch.Tensor, semantic: torch.Tensor) -> torch.Tensor:
        """Depth features (N, width, h, w) with what semantics (N, c, h', w') say of them."""
        grid = coarse_grid(depth.shape[-2], depth.shape[-1], self.most)
        here, there = self._code(depth, depth.shape[-2:]), self._code(depth, grid)
        x, y = _tokens(depth), self.semantic_projection(_tokens(on_grid(semantic, grid)))
        x = x + self.cross(self.norms[0](x) + here, self.norms[1](y) + there)
        x = x + self.mlps[0](self.norms[2](x))
        y = x
        if grid != tuple(depth.shape[-2:]):
            y = _tokens(functional.adaptive_avg_pool2d(_map_like(x, depth), grid))
        x = x + self.self_attention(self.norms[3](x) + here, self.norms[3](y) + there)
        x = x + self.mlps[1](self.norms[4](x))
        return _map_like(x, depth)

    def _code(self, like: torch.Tensor, grid: tuple[int, ...]) -> torch.Tensor | float:
        if not self.with_positions:
            return 0.0
        return position_code(like.shape[1], grid[0], grid[1]).to(like)


def _tokens(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(2).transpose(1, 2)


def _map_like(tokens: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return tokens.transpose(1, 2).reshape(like.shape)


def coarse_grid(height: int, width: int, most: int) -> tuple[int, int]:
    """The grid, halved until it has no more than so many tokens; 0: as it is."""
    while 0 < most < height * width:
        height, width = math.ceil(height / 2), math.ceil(width / 2)
    return height, width


def on_grid(semantic: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Semantics (N, c, h', w') on the grid: bilinear to twice its size, largest of 2x2."""
    twice = functional.interpolate(
        semantic, (2 * grid[0], 2 * grid[1]), mode="bilinear", align_corners=False
    )
    return functional.max_pool2d(twice, 2)


def position_code(channels: int, height: int, width: int) -> torch.Tensor:
    """Sines and cosines (height * width, channels) of half a turn to 16 turns over the image."""
    count = channels // 4
    turns = 0.5 * 32 ** (torch.arange(count) / max(count - 1, 1))

    def waves(size: int) -> torch.Tensor:
        angle = 2 * math.pi * ((torch.arange(size) + 0.5) / size)[:, None] * turns
        return torch.cat([angle.sin(), angle.cos()], dim=1)

    down = waves(height)[:, None].expand(height, width, -1)
    right = waves(width)[None].expand(height, width, -1)
    code = torch.cat([down, right], dim=2).flatten(0, 1)
    return functional.pad(code, (0, channels - code.shape[1]))


def heads_for(width: int) -> int:
    """Attention heads where none are asked for: about 48 channels each, as BriGeS has."""
    wanted = max(width // 48, 2)
    return next(heads for heads in range(wanted, 0, -1) if width % heads == 0)


class Bridged(nn.Module):
    """Both streams, and the gates between them.

    Args:
        depth: `OwnDepth` or `FoundationDepth`.
        semantics: One of the semantic streams; None: no gates.
        heads: Of each gate; 0: by `heads_for`.
        fusion: Whether the decoder's last block learns, too.

    Attributes:
        recipe: Plain values from which it can be built again.
    """

    def __init__(
        self,
        depth: OwnDepth | FoundationDepth,
        semantics: nn.Module | None,
        heads: int = 0,
        fusion: bool = True,
    ) -> None:
        super().__init__()
        self.depth, self.semantics = depth.requires_grad_(False), semantics
        self.gates, self.recipe = nn.ModuleList(), dict[str, Any]()
        if semantics is not None:
            semantics.requires_grad_(False)
            width: Any = semantics.width
            for own in depth.widths:
                self.gates.append(
                    Gate(own, width, heads or heads_for(own), depth.with_positions, depth.tokens)
                )
        if fusion:
            depth.free_last_block()
        self.train()

    def fusion_weights(self) -> list[nn.Parameter]:
        """Weights of the decoder that learn."""
        return [p for p in self.depth.parameters() if p.requires_grad]

    def set_temperature(self, temperature: float) -> None:
        """Of all gates' attention."""
        for gate in self.gates:
            assert isinstance(gate, Gate)
            gate.set_temperature(temperature)

    def train(self, mode: bool = True) -> Bridged:
        """Set the gates' mode; frozen streams, batch norms among them, stay as they are used."""
        super().train(mode)
        self.depth.eval()
        if self.semantics is not None:
            self.semantics.eval()
        return self

    def forward(self, batch: Batch) -> torch.Tensor:
        """Relative inverse depth (N, 1, h, w) of samples' image, rays and camera."""
        depth: Any = self.depth
        with torch.no_grad():
            maps, context = depth.encode(batch)
            if self.semantics is not None:
                semantic = self.semantics(batch, maps, context)
        if self.semantics is not None:
            maps = [gate(one, semantic) for gate, one in zip(self.gates, maps, strict=True)]
        inverse: torch.Tensor = depth.decode(maps, context)
        return inverse
