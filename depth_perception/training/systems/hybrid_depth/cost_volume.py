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

"""Depth of two frames: the ManyDepth-type cost volume, and when to believe it.

In: features of a frame and of the one before, intrinsics and the camera's motion. Out: how badly
each depth of a set of planes matches, at stride 4; feature maps of it that are added to those of
any image encoder; and a mask of pixels where matching agrees with a single-frame teacher. Source:
Watson et al., CVPR 2021 (arXiv 2104.14540). Ours differs in that the cost volume does not go
through the image encoder but has a pyramid of its own, so that an encoder need not be opened, and
in that planes are even in inverse depth.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from depth_perception.network.trunk import Trunk
from depth_perception.training.losses import masked_mean
from depth_perception.training.view_geometry import exact, pixel_rays, project

STRIDE = 4
"""Of the cost volume, px."""
_FOLLOW = 0.01
"""Share by which the range of the planes goes towards that of a batch."""
_MARGIN = 0.1
_DISAGREE = 1.0
"""Depths are taken to differ where one is more than twice the other."""
_STILL, _BLIND = 0.25, 0.25
"""Shares of training images whose frame before is the frame itself, and with no cost volume."""


class Matching(nn.Module):
    """Features to be matched, at stride 4: the first layers of EfficientNet-Lite, which stay."""

    def __init__(self, trunk: str = "lite0", pretrained: bool = True) -> None:
        super().__init__()
        whole = Trunk(trunk, pretrained)
        self.trunk = nn.Sequential(whole.stem, whole.stages[0]).requires_grad_(False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Features (N, C, H/4, W/4) of images (N, 3, H, W), 0 to 255."""
        found: torch.Tensor = self.trunk((image - 127.0) / 128.0)
        return found


class DepthRange(nn.Module):
    """Nearest and farthest plane, which follow what the teacher sees, as its scale is its own."""

    def __init__(self, nearest: float = 0.1, farthest: float = 100.0) -> None:
        super().__init__()
        self.limits = (nearest, farthest)
        self.register_buffer("ends", torch.tensor([nearest, farthest]))
        self.register_buffer("begun", torch.tensor(False))
        self.ends: torch.Tensor
        self.begun: torch.Tensor

    @torch.no_grad()
    def follow(self, depth: torch.Tensor) -> None:
        """Take the teacher's depth (N, 1, H, W) of a batch: a tenth more at both ends."""
        flat = depth.float().flatten(1)
        near = flat.min(1).values.mean() * (1 - _MARGIN)
        far = flat.max(1).values.mean() * (1 + _MARGIN)
        ends = torch.stack([near, far]).clamp(*self.limits)
        share = torch.where(self.begun, _FOLLOW, 1.0)
        self.ends.lerp_(ends, share)
        self.begun.fill_(True)

    def planes(self, count: int) -> torch.Tensor:
        """Depths (count,), m, from near to far, even in inverse depth."""
        inverse = 1 / self.ends
        share = torch.linspace(0, 1, count, device=inverse.device)
        return 1 / torch.lerp(inverse[0], inverse[1], share)


@torch.no_grad()
@exact
def cost_volume(
    target: torch.Tensor,
    source: torch.Tensor,
    K: torch.Tensor,
    T_source_target: torch.Tensor,
    planes: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean absolute difference of features if each pixel lay on each plane.

    Args:
        target: (N, C, h, w) features of the frame.
        source: Of the other.
        K: (N, 3, 3) of the features, px.
        T_source_target: (N, 4, 4).
        planes: (D,) depths, m.

    Returns:
        cost (N, D, h, w), the pixel's highest where the other frame does not see a plane, 0 where
        it sees none; seen (N, 1, h, w), 1 where it sees all planes.
    """
    height, width = target.shape[-2:]
    rays = pixel_rays(height, width, K)
    costs, masks = [], []
    for depth in planes:
        grid, _, inside = project(rays * depth, K, T_source_target, height, width)
        found = functional.grid_sample(source, grid, padding_mode="border", align_corners=True)
        costs.append((found - target).abs().mean(1) * inside[:, 0])
        masks.append(inside[:, 0])
    cost, inside = torch.stack(costs, 1), torch.stack(masks, 1)
    highest = cost.max(1, keepdim=True).values
    seen = inside.min(1, keepdim=True).values
    return torch.where(inside > 0, cost, highest), seen


def matched_depth(cost: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
    """Depth (N, 1, h, w), m, of the plane that matches best."""
    return planes[cost.argmin(1, keepdim=True)]


def agreement(matched: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """1 where neither depth is more than twice the other, else 0: what moves does not agree."""
    ratio = matched / teacher
    return (torch.maximum(ratio, 1 / ratio) - 1 < _DISAGREE).to(teacher.dtype)


def consistency(depth: torch.Tensor, teacher: torch.Tensor, trust: torch.Tensor) -> torch.Tensor:
    """Mean difference from the teacher, relative to it, where matching is not to be trusted.

    ManyDepth takes it in the network's unit of depth; relative, it is alike for metric depth.
    """
    difference = (depth - teacher.detach()).abs() / teacher.detach()
    return masked_mean(difference, 1 - trust)


def draw_blindness(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Of training images: which see themselves as the frame before, and which no cost volume.

    So that the network learns what to do at the start of a drive and when the vehicle stands.

    Returns:
        still (N,), blind (N,), booleans, never both.
    """
    drawn = torch.rand(count)
    return drawn < _STILL, (drawn >= _STILL) & (drawn < _STILL + _BLIND)


class CostPyramid(nn.Module):
    """Add what the cost volume says to the features of an encoder; adds nothing to begin with.

    Args:
        planes: Of the cost volume.
        channels: Of the encoder's features, level by level, finest first.
        width: Of the pyramid.
    """

    def __init__(self, planes: int, channels: tuple[int, ...], width: int = 64) -> None:
        super().__init__()
        self.reduce, self.add = nn.ModuleList(), nn.ModuleList()
        for level, wanted in enumerate(channels):
            before, stride = (width, 2) if level else (planes, 1)
            self.reduce.append(
                nn.Sequential(nn.Conv2d(before, width, 3, stride, 1), nn.LeakyReLU(0.1))
            )
            last = nn.Conv2d(width, wanted, 1)
            nn.init.zeros_(last.weight)
            assert last.bias is not None
            nn.init.zeros_(last.bias)
            self.add.append(last)

    def forward(self, features: list[torch.Tensor], cost: torch.Tensor) -> list[torch.Tensor]:
        """Features of all levels with the cost (N, planes, h, w) in them."""
        out, x = [], cost
        for feature, reduce, add in zip(features, self.reduce, self.add, strict=True):
            x = reduce(x)
            more = add(x)
            if more.shape[-2:] != feature.shape[-2:]:
                more = functional.interpolate(
                    more, feature.shape[-2:], mode="bilinear", align_corners=False
                )
            out.append(feature + more)
        return out
