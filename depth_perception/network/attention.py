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

"""Attention between feature maps: two ways between image and embodied depth, and bridging gates.

Two-way: Vision-Language Embodiment (arXiv 2503.16535), swapped queries. Gate: BriGeS (arXiv
2505.23400), cross-attention to semantics, then self-attention, in residual form that begins as the
identity; its softmax has a temperature that flattens it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Attention(nn.Module):
    """Multi-head attention of tokens (N, T, channels) to others (N, S, channels)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = 1.0
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(channels, 2 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """What x finds in y, (N, T, channels)."""
        n, t, c = x.shape
        size = c // self.heads
        scale = 1.0 / (size**0.5 * self.temperature)
        q = (self.query(x) * scale).view(n, t, self.heads, size).transpose(1, 2)
        k, v = self.key_value(y).view(n, -1, 2, self.heads, size).unbind(2)
        weights = torch.softmax(q @ k.permute(0, 2, 3, 1), dim=-1)
        found = weights @ v.transpose(1, 2)
        return self.out(found.transpose(1, 2).reshape(n, t, c))


class _Mlp(nn.Sequential):
    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Linear(channels, 2 * channels), nn.ReLU(), nn.Linear(2 * channels, channels)
        )


def _tokens(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(2).transpose(1, 2)


def _map_like(tokens: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return tokens.transpose(1, 2).reshape(like.shape)


class TwoWayAttention(nn.Module):
    """Image asks embodied depth, embodied depth asks the image; both answers are added.

    Maps (N, channels, h, w) in and out.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.image_norm, self.embodied_norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.to_embodied, self.to_image = Attention(channels, heads), Attention(channels, heads)
        self.merge = nn.Linear(2 * channels, channels)
        self.norm, self.mlp = nn.LayerNorm(channels), _Mlp(channels)

    def forward(self, image: torch.Tensor, embodied: torch.Tensor) -> torch.Tensor:
        """Fuse the two."""
        x, e = _tokens(image), _tokens(embodied)
        nx, ne = self.image_norm(x), self.embodied_norm(e)
        both = torch.cat([self.to_embodied(nx, ne), self.to_image(ne, nx)], dim=-1)
        x = x + e + self.merge(both)
        return _map_like(x + self.mlp(self.norm(x)), image)


class BridgingGate(nn.Module):
    """Depth features attend to semantic ones, then to themselves; begins as the identity.

    Keys and values come from maps of stride 32, whatever the stride of the queries, which keeps
    the cost linear in the pixels.
    """

    def __init__(self, channels: int, heads: int, semantic_channels: int) -> None:
        super().__init__()
        self.semantic_projection = nn.Linear(semantic_channels, channels)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(5))
        self.cross, self.self_attention = Attention(channels, heads), Attention(channels, heads)
        self.mlps = nn.ModuleList(_Mlp(channels) for _ in range(2))
        mlps: Any = self.mlps
        for last in (self.cross.out, self.self_attention.out, *(mlp[-1] for mlp in mlps)):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, depth: torch.Tensor, semantic: torch.Tensor) -> torch.Tensor:
        """Depth features (N, channels, h, w) with what semantics (N, c, h', w') say of them."""
        x, y = _tokens(depth), self.semantic_projection(_tokens(semantic))
        x = x + self.cross(self.norms[0](x), self.norms[1](y))
        x = x + self.mlps[0](self.norms[2](x))
        own = _map_like(x, depth)
        if depth.shape[-2:] != semantic.shape[-2:]:
            own = nn.functional.avg_pool2d(own, depth.shape[-1] // semantic.shape[-1])
        x = x + self.self_attention(self.norms[3](x), self.norms[3](_tokens(own)))
        x = x + self.mlps[1](self.norms[4](x))
        return _map_like(x, depth)
