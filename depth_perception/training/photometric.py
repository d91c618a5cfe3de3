"""Self-supervision by view synthesis: see one frame with another's pixels, and compare.

Definitions are Monodepth2's (Godard et al., ICCV 2019), in our own words in methods.md 1.6. Images
are (N, 3, H, W) of 0 to 1, depth (N, 1, H, W) m, K (N, 3, 3) px, poses (N, 4, 4).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch.nn import functional

from depth_perception.training.losses import masked_mean

_SSIM_SHARE = 0.85
_C1, _C2 = 0.01**2, 0.03**2
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
def transform_of(axis_angle: torch.Tensor, translation: torch.Tensor) -> torch.Tensor:
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
def inverse_of(T: torch.Tensor) -> torch.Tensor:
    """Undo rigid motions (..., 4, 4), without a matrix inversion."""
    turned = T[..., :3, :3].transpose(-1, -2)
    moved = -turned @ T[..., :3, 3:]
    return torch.cat([torch.cat([turned, moved], -1), T[..., 3:, :]], -2)


def pixels(height: int, width: int, like: torch.Tensor) -> torch.Tensor:
    """Homogeneous pixels (3, H * W), centres at integers, row by row."""
    v, u = torch.meshgrid(
        torch.arange(height, dtype=like.dtype, device=like.device),
        torch.arange(width, dtype=like.dtype, device=like.device),
        indexing="ij",
    )
    return torch.stack([u, v, torch.ones_like(u)]).view(3, -1)


@exact
def points_of(depth: torch.Tensor, K: torch.Tensor) -> torch.Tensor:
    """Points (N, 3, H * W), m, in the camera's frame."""
    rays = torch.linalg.inv(K) @ pixels(depth.shape[2], depth.shape[3], depth)
    return rays * depth.flatten(2)


@exact
def projected(
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
def warped(
    source: torch.Tensor, depth: torch.Tensor, K: torch.Tensor, T_source_target: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The target view made of the source's pixels, and the mask of what the source sees."""
    height, width = depth.shape[-2:]
    grid, _, mask = projected(points_of(depth, K), K, T_source_target, height, width)
    view = functional.grid_sample(
        source, grid, mode="bilinear", padding_mode="border", align_corners=True
    )
    return view, mask


def structural_difference(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(1 - SSIM) / 2 of 3 x 3 windows, (N, C, H, W) from 0 to 1."""
    a, b = (functional.pad(x, (1, 1, 1, 1), mode="reflect") for x in (a, b))
    mean_a, mean_b = functional.avg_pool2d(a, 3, 1), functional.avg_pool2d(b, 3, 1)
    var_a = functional.avg_pool2d(a * a, 3, 1) - mean_a**2
    var_b = functional.avg_pool2d(b * b, 3, 1) - mean_b**2
    both = functional.avg_pool2d(a * b, 3, 1) - mean_a * mean_b
    ssim = ((2 * mean_a * mean_b + _C1) * (2 * both + _C2)) / (
        (mean_a**2 + mean_b**2 + _C1) * (var_a + var_b + _C2)
    )
    return ((1 - ssim) / 2).clamp(0, 1)


@exact
def photometric_error(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(N, 1, H, W): 0.85 (1 - SSIM) / 2 + 0.15 |a - b|, mean over the channels."""
    apart = (a - b).abs().mean(1, keepdim=True)
    return (
        _SSIM_SHARE * structural_difference(a, b).mean(1, keepdim=True) + (1 - _SSIM_SHARE) * apart
    )


def least_reprojection(
    target: torch.Tensor,
    views: list[torch.Tensor],
    sources: list[torch.Tensor],
    generator: torch.Generator | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Smallest error over the warped views, and where it counts (auto-mask).

    A pixel counts where some warped view is better than all sources as they are: what moves along
    with the camera, and a camera at rest, do not. Ties are broken by noise of 1e-5.

    Returns:
        error (N, 1, H, W), mask (N, 1, H, W).
    """
    error = torch.cat([photometric_error(target, view) for view in views], 1)
    error = error.min(1, keepdim=True).values
    still = torch.cat([photometric_error(target, source) for source in sources], 1)
    still = still.min(1, keepdim=True).values
    noise = torch.randn(still.shape, generator=generator, device="cpu").to(still) * 1e-5
    return error, (error.detach() < still + noise).to(error.dtype)


def smoothness(disparity: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Gradients of mean-normalised disparity (N, 1, H, W), less where the image has edges."""
    d = disparity / (disparity.mean((2, 3), keepdim=True) + 1e-7)
    total = disparity.new_zeros(())
    for axis in (2, 3):
        change = d.diff(dim=axis).abs()
        edge = image.diff(dim=axis).abs().mean(1, keepdim=True)
        total = total + (change * torch.exp(-edge)).mean()
    return total


def masked_reprojection(error: torch.Tensor, *masks: torch.Tensor) -> torch.Tensor:
    """Mean error where all masks are."""
    together = torch.ones_like(error)
    for mask in masks:
        together = together * mask
    return masked_mean(error, together)
