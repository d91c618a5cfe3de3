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

"""Where the pixels of one view lie in another, on tensors that gradients pass through.

Depth is (N, 1, H, W), m; K (N, 3, 3), px, pixel centres at integers; poses (N, 4, 4):
`T_source_target` maps points of the target camera's optical frame into the source camera's. NumPy's
side of the same, with lenses of any kind, is `geometry.camera`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch.nn import functional

_NEAREST = 1e-3
_Function = TypeVar("_Function", bound=Callable[..., Any])


def exact(function: _Function) -> _Function:
    """Let a function compute with at least 32 bits: in half precision pixel 1025 is pixel 1024.

    Autocast is off inside of it, and arguments that are half become float.
    """

    @functools.wraps(function)
    def outer(*given: Any, **named: Any) -> Any:
        values = (*given, *named.values())
        device = next(x.device.type for x in values if isinstance(x, torch.Tensor))
        with torch.autocast(device, enabled=False):
            return function(*map(_whole, given), **{k: _whole(v) for k, v in named.items()})

    return outer  # type: ignore[return-value]


def _whole(value: Any) -> Any:
    half = isinstance(value, torch.Tensor) and value.dtype in (torch.float16, torch.bfloat16)
    return value.float() if half else value


@exact
def rigid_transform(axis_angle: torch.Tensor, translation: torch.Tensor) -> torch.Tensor:
    """Rigid motion (N, 4, 4) of a rotation vector (N, 3), rad, and a translation (N, 3), m."""
    angle = axis_angle.norm(dim=1, keepdim=True).clamp(min=1e-7)
    x, y, z = (axis_angle / angle).unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).view(-1, 3, 3)
    s, c = torch.sin(angle)[..., None], torch.cos(angle)[..., None]
    eye = torch.eye(3, dtype=x.dtype, device=x.device)
    rotation = eye + s * cross + (1 - c) * cross @ cross
    top = torch.cat([rotation, translation[..., None]], 2)
    last = torch.tensor([0.0, 0, 0, 1], dtype=x.dtype, device=x.device)
    return torch.cat([top, last.expand(len(top), 1, 4)], 1)


@exact
def inverse_transform(T: torch.Tensor) -> torch.Tensor:
    """Undo rigid motions (..., 4, 4), without a matrix inversion."""
    turned = T[..., :3, :3].transpose(-1, -2)
    moved = -turned @ T[..., :3, 3:]
    return torch.cat([torch.cat([turned, moved], -1), T[..., 3:, :]], -2)


def pixel_grid(height: int, width: int, like: torch.Tensor) -> torch.Tensor:
    """Homogeneous pixels (3, H * W), centres at integers, row by row."""
    v, u = torch.meshgrid(
        torch.arange(height, dtype=like.dtype, device=like.device),
        torch.arange(width, dtype=like.dtype, device=like.device),
        indexing="ij",
    )
    return torch.stack([u, v, torch.ones_like(u)]).view(3, -1)


def pixel_rays(height: int, width: int, K: torch.Tensor) -> torch.Tensor:
    """Rays (N, 3, H * W) of all pixels in the camera's frame, third component 1, row by row."""
    return torch.linalg.inv(K) @ pixel_grid(height, width, K)


def resized_intrinsics(K: torch.Tensor, across: float, down: float = 0.0) -> torch.Tensor:
    """K (N, 3, 3) of images that are so many times smaller; see `geometry.camera`'s `resized`.

    Args:
        K: Of the images.
        across: How many times narrower.
        down: How many times lower; 0: as many.
    """
    scale = torch.tensor([1 / across, 1 / (down or across), 1.0], dtype=K.dtype, device=K.device)
    half = torch.zeros_like(K)
    half[..., :2, 2] = 0.5
    return scale[:, None] * (K + half) - half


@exact
def back_project(depth: torch.Tensor, K: torch.Tensor) -> torch.Tensor:
    """Points (N, 3, H * W), m, in the camera's frame, of depth (N, 1, H, W), m."""
    return pixel_rays(depth.shape[2], depth.shape[3], K) * depth.flatten(2)


@exact
def project(
    points: torch.Tensor, K: torch.Tensor, T_source_target: torch.Tensor, height: int, width: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Where points of the target camera lie in the source image.

    Returns:
        grid (N, H, W, 2) for `grid_sample` with align_corners=True; depth (N, 1, H, W) in the
        source camera; mask (N, 1, H, W), 1 inside of the image and ahead.
    """
    seen = T_source_target[:, :3, :3] @ points + T_source_target[:, :3, 3:]
    depth = seen[:, 2:].clamp(min=_NEAREST)
    uv = (K @ seen)[:, :2] / depth
    scale = torch.tensor([2.0 / (width - 1), 2.0 / (height - 1)], device=uv.device, dtype=uv.dtype)
    grid = (uv * scale[:, None] - 1).view(-1, 2, height, width).permute(0, 2, 3, 1)
    ahead = seen[:, 2:].view(-1, 1, height, width) > _NEAREST
    inside = (grid.abs() <= 1).all(-1)[:, None] & ahead
    return grid, depth.view(-1, 1, height, width), inside.to(uv.dtype)


@exact
def warp(
    source: torch.Tensor, depth: torch.Tensor, K: torch.Tensor, T_source_target: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The target view made of the source's pixels, and the mask of what the source sees."""
    height, width = depth.shape[-2:]
    grid, _, mask = project(back_project(depth, K), K, T_source_target, height, width)
    view = functional.grid_sample(
        source, grid, mode="bilinear", padding_mode="border", align_corners=True
    )
    return view, mask
