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

"""Self-supervision by view synthesis: see one frame with another's pixels, and compare.

Definitions are Monodepth2's (Godard et al., ICCV 2019), in our own words in methods.md 1.6. Images
are (N, 3, H, W) of 0 to 1, depth (N, 1, H, W) m, K (N, 3, 3) px, poses (N, 4, 4).
"""

from __future__ import annotations

import torch
from torch.nn import functional

from depth_perception.training.losses import masked_mean
from depth_perception.training.view_geometry import exact

_SSIM_SHARE = 0.85
_C1, _C2 = 0.01**2, 0.03**2


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
    target: torch.Tensor, views: list[torch.Tensor], sources: list[torch.Tensor]
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
    noise = torch.randn(still.shape, device="cpu").to(still) * 1e-5
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
