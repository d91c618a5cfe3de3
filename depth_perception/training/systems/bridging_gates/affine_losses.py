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

"""Losses on inverse depth that is known up to scale and shift, of each image.

In: predicted inverse depth (N, 1, H, W) of any scale and shift, true depth, a mask. Out: means over
the masked pixels of the batch, as in `losses`. The fit is by least squares (MiDaS, Ranftl et al.
2020, equation 4; BriGeS, arXiv 2505.23400), and gradients flow through it, so that a loss has no
wish for any scale or shift.
"""

from __future__ import annotations

import math

import torch

_LEAST = 1e-12
"""Smaller variance of a prediction over its mean square is none, but rounding."""


def inverse_truth(
    depth: torch.Tensor, nearest: float, farthest: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Inverse depth, from 0 to 1 in each image, and where it is known.

    Args:
        depth: (N, 1, H, W) m; NaN unknown, +Inf the sky, whose inverse depth is 0.
        nearest: Nearer is not known, m.
        farthest: Deeper is not known, m, but for the sky.

    Returns:
        (N, 1, H, W) inverse depth after its least becomes 0 and its largest 1, and 0 where it is
        not known; (N, 1, H, W) mask of 0 and 1.
    """
    known = ((depth > nearest) & (depth < farthest)) | torch.isposinf(depth)  # NaN is neither
    inverse = torch.where(known, 1 / depth, torch.zeros_like(depth))
    high = torch.where(known, inverse, -torch.inf).amax((1, 2, 3), keepdim=True)
    low = torch.where(known, inverse, torch.inf).amin((1, 2, 3), keepdim=True)
    span = high - low
    varied = torch.isfinite(span) & (span > 0)
    mask = (known & varied).to(depth.dtype)
    low, span = torch.where(varied, low, 0.0), torch.where(varied, span, 1.0)
    return (inverse - low) / span * mask, mask


def affine_fit(
    prediction: torch.Tensor, truth: torch.Tensor, mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale s and shift t of each image for which s prediction + t is nearest to truth.

    Args:
        prediction: (N, 1, H, W).
        truth: (N, 1, H, W), finite everywhere.
        mask: (N, 1, H, W), 0 or 1.

    Returns:
        Both (N, 1, 1, 1); the scale may be negative, and is 0 for a prediction without variance.
    """
    prediction, truth = prediction.float(), truth.float()
    share = mask / mask.sum((1, 2, 3), keepdim=True).clamp(min=1.0)

    def mean(values: torch.Tensor) -> torch.Tensor:
        return (values * share).sum((1, 2, 3), keepdim=True)

    middle, level = mean(prediction), mean(truth)
    away = prediction - middle
    variance = mean(away * away)
    varied = variance > _LEAST * mean(prediction * prediction)
    scale = mean(away * (truth - level)) / torch.where(varied, variance, 1.0)
    scale = torch.where(varied, scale, 0.0)
    return scale, level - scale * middle


def aligned(prediction: torch.Tensor, truth: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Prediction (N, 1, H, W) after `affine_fit`."""
    scale, shift = affine_fit(prediction, truth, mask)
    return scale * prediction.float() + shift


def log_inverse(inverse: torch.Tensor, least: float) -> torch.Tensor:
    """Logarithm of inverse depth, that goes on as a line below the least: it may be negative."""
    line = math.log(least) + inverse / least - 1
    return torch.where(inverse > least, torch.log(inverse.clamp(min=least)), line)


def aligned_logs(
    prediction: torch.Tensor, depth: torch.Tensor, nearest: float, farthest: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logarithms of inverse depth after the fit, which is made in inverse depth.

    Errors of inverse depth are errors of what is near; those of its logarithm count alike near and
    far, as figures of relative error and of edges do.

    Args:
        prediction: (N, 1, H, W) inverse depth of any scale and shift.
        depth: (N, 1, H, W) m; NaN unknown, +Inf the sky, which is at `farthest` or beyond.
        nearest: Nearer is not known, m.
        farthest: Deeper is not known, m, but for the sky.

    Returns:
        Of the prediction, of truth, and the mask where truth is known: (N, 1, H, W) each.
    """
    seen, sky = (depth > nearest) & (depth < farthest), torch.isposinf(depth)
    inverse = torch.where(seen, 1 / depth, torch.full_like(depth, 1 / farthest))
    found = log_inverse(aligned(prediction, inverse, seen.to(depth.dtype)), 1 / farthest)
    truth = torch.log(inverse)
    return torch.where(sky, torch.maximum(found, truth), found), truth, (seen | sky).to(depth.dtype)


def dense(mask: torch.Tensor, least: float) -> torch.Tensor:
    """The mask of images of which at least this share is known, and nothing of the others.

    The gradient term is for truth without holes: a LiDAR's neighbours lie on other things.
    """
    return mask * (mask.mean((1, 2, 3), keepdim=True) >= least)
