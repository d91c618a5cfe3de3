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

"""Losses on depth, shared by all systems. Maps are (N, 1, H, W); masks are 0 or 1.

Every mean is over the masked pixels of the batch, and 0 where there are none.
"""

from __future__ import annotations

import torch
from torch.nn import functional


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over where the mask is; values may be anything finite elsewhere."""
    return (values * mask).sum() / mask.sum().clamp(min=1.0)


def log_error(log_depth: torch.Tensor, log_truth: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean absolute error of log depth: about the relative error, alike near and far."""
    return masked_mean((log_depth - log_truth).abs(), mask)


def scale_invariant_error(
    log_depth: torch.Tensor, log_truth: torch.Tensor, mask: torch.Tensor, share: float = 0.85
) -> torch.Tensor:
    """SILog of each image (Eigen et al. 2014), then the mean: sqrt(mean g^2 - share mean(g)^2)."""
    g = (log_depth - log_truth) * mask
    count = mask.sum((1, 2, 3)).clamp(min=1.0)
    square, mean = (g * g).sum((1, 2, 3)) / count, g.sum((1, 2, 3)) / count
    return torch.sqrt((square - share * mean * mean).clamp(min=0.0) + 1e-6).mean()


def gradient_error(
    log_depth: torch.Tensor, log_truth: torch.Tensor, mask: torch.Tensor, scales: int = 3
) -> torch.Tensor:
    """Differences of the error between neighbours at several scales (Li and Snavely 2018).

    0 where prediction and truth have the same steps, whatever their offset.
    """
    error, total = (log_depth - log_truth) * mask, log_depth.new_zeros(())
    for scale in range(scales):
        step = 2**scale
        e, m = error[..., ::step, ::step], mask[..., ::step, ::step]
        across, along = m[..., 1:] * m[..., :-1], m[..., 1:, :] * m[..., :-1, :]
        total = total + masked_mean((e[..., 1:] - e[..., :-1]).abs(), across)
        total = total + masked_mean((e[..., 1:, :] - e[..., :-1, :]).abs(), along)
    return total / scales


def laplace_error(error: torch.Tensor, log_scale: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Negative log likelihood of |error| under Laplace's law with a predicted scale.

    The error is taken as it is: only the scale learns.
    """
    log_scale = log_scale.clamp(-6.0, 3.0)
    return masked_mean(error.detach().abs() * torch.exp(-log_scale) + log_scale, mask)


def shares(labels: torch.Tensor, wanted: int, stride: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Share of a class in each square of `stride` px, and where the classes of a square are known.

    Args:
        labels: (N, H, W) integers, 255 unknown.
        wanted: The class.
        stride: Edge of a square.
    """
    known = (labels != 255).float()[:, None]
    found = functional.avg_pool2d((labels == wanted).float()[:, None], stride)
    seen = functional.avg_pool2d(known, stride)
    return found / seen.clamp(min=1e-3), (seen > 0.5).float()
