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

"""Losses of surround distillation: a student with depth bins learns from a teacher of any kind.

Source: scale-invariant and view-relational distillation for surround depth (RA-L 2026, arXiv
2512.08700); methods.md 4.2 says what is inferred. Here N = R * C images are R rigs of C cameras,
from left to right; maps are (N, 1, h, w), masks 0 or 1; depth and centres of bins are natural
logarithms of metres; every mean is over what the mask leaves, and 0 where it leaves nothing.

- CKD, cross-interaction: `bin_divergence` of the bins' probabilities, and `cross_depth`, which the
  teacher's probabilities and the student's centres must make metric together.
- Mirror term: `affine_invariant_error` of the student's probabilities at the teacher's centres.
- VRKD, view-relational: `tokens`, how they relate (`similarity`, `affinity`), and
  `relation_error` between neighbouring cameras.
- `bin_chamfer`: centres of bins lie where depth is (AdaBins, Bhat et al. 2021).
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from depth_perception.network.depth_coding import focal_shift
from depth_perception.training.losses import masked_mean

TEMPERATURE = 2.0
"""Of both sides' probabilities; the divergence is multiplied by its square (Hinton et al. 2015)."""
GRID = (6, 10)
"""Rows and columns of tokens of an image."""
_SHARPNESS = 0.1
"""Temperature of the softmax over a row of similarities."""
_NEAR_SHARE, _NEAR_WEIGHT = 0.25, 2.0
"""Columns in this share of the width beside a neighbour count so much."""
_WIDEST = math.cos(math.radians(100.0))
"""Cameras whose axes are farther apart are no neighbours."""
_BESIDE = 0.1
"""Sine of the angle by which a right neighbour may look to the left: axes of a stereo pair."""
_SPEAKS = 0.25
"""A token counts from this share of known pixels on."""
_REACH = 0.25
"""Points this share of their range apart are 1/e related."""
_LEAST = 1e-12
_DOUBT = 0.05
"""Residual of log depth up to which a fit is by least squares, beyond by least differences."""


def reference_centres(
    focal: torch.Tensor, bins: int, nearest: float, farthest: float, usual_focal: float
) -> torch.Tensor:
    """Centres (N, bins) of bins of one width in log depth, for each camera's focal length (N,), px.

    They are where the student's own lie before anything moves them, see `network.fused`.
    """
    low, high = math.log(nearest), math.log(farthest)
    places = (torch.arange(bins, device=focal.device) + 0.5) / bins
    return low + places * (high - low) + focal_shift(focal[:, None], usual_focal)


def probabilities_at(
    log_depth: torch.Tensor, centres: torch.Tensor, spread: float | torch.Tensor
) -> torch.Tensor:
    """Probabilities (N, K, h, w) of bins, Gaussian around a depth (N, 1, h, w).

    TIE-KD's rule: proportional to exp(-(centre - depth)^2 / (2 spread^2)), here of logarithms.
    """
    apart = (centres[:, :, None, None] - log_depth) / spread
    return torch.softmax(-0.5 * apart * apart, dim=1)


def slots(bins: int, wanted: int, like: torch.Tensor) -> torch.Tensor:
    """Share (bins, wanted) of each of the teacher's bins in each of the student's, by order alone.

    Both sides' bins cut 0 to 1 into equal parts; identity for as many.
    """
    mine = torch.arange(bins, device=like.device, dtype=like.dtype)[:, None] / bins
    theirs = torch.arange(wanted, device=like.device, dtype=like.dtype)[None] / wanted
    end = torch.minimum(mine + 1 / bins, theirs + 1 / wanted)
    return (end - torch.maximum(mine, theirs)).clamp(min=0.0) * bins


def by_order(
    probabilities: torch.Tensor, centres: torch.Tensor, wanted: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """A bin head's probabilities (N, K, h, w) and centres (N, K) for so many bins, by their order.

    The k-th part of the range stays the k-th part: no depth is looked at, so that the teacher may
    be of any scale.
    """
    share = slots(centres.shape[1], wanted, centres)
    middle = (centres @ share) / share.sum(0)
    return torch.einsum("nkhw,kj->njhw", probabilities, share.to(probabilities.dtype)), middle


def by_depth(
    probabilities: torch.Tensor, centres: torch.Tensor, wanted: torch.Tensor
) -> torch.Tensor:
    """A bin head's probabilities (N, K, h, w) at other centres (N, J): (N, J, h, w).

    Each bin's probability goes to the two centres around its own, more to the nearer: the expected
    log depth stays, but beyond the outermost centres.
    """
    gap = wanted.diff(dim=1).clamp(min=1e-6)
    far = torch.full_like(wanted[:, :1], 1e6)
    before, after = torch.cat([far, gap], 1), torch.cat([gap, far], 1)
    apart = centres[:, :, None] - wanted[:, None]
    share = 1 + torch.minimum(apart / before[:, None], -apart / after[:, None])
    share = share.clamp(min=0.0)
    share = share / share.sum(2, keepdim=True).clamp(min=1e-6)
    return torch.einsum("nkhw,nkj->njhw", probabilities, share.to(probabilities.dtype))


def bin_divergence(
    teacher: torch.Tensor,
    student: torch.Tensor,
    mask: torch.Tensor,
    temperature: float = TEMPERATURE,
) -> torch.Tensor:
    """KL(teacher || student) of bins' probabilities (N, K, h, w), softened, times temperature^2."""
    p, q = (
        torch.log_softmax(torch.log(x.float().clamp(min=_LEAST)) / temperature, dim=1)
        for x in (teacher, student)
    )
    divergence = (torch.exp(p) * (p - q)).sum(1, keepdim=True)
    return temperature**2 * masked_mean(divergence, mask)


def cross_depth(probabilities: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Log depth (N, 1, h, w) of one side's probabilities (N, K, h, w), the other's centres."""
    return (probabilities * centres[:, :, None, None]).sum(1, keepdim=True)


def normalised(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Values (R, M) less their median, over their mean distance from it, row by row (MiDaS).

    Only masked values count; others are 0.
    """
    known = torch.where(mask > 0, values, torch.full_like(values, torch.nan))
    middle = torch.nan_to_num(known.nanmedian(dim=1, keepdim=True).values)
    apart = (values - middle) * mask
    size = apart.abs().sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1.0)
    return apart / size.clamp(min=1e-4)


def affine_invariant_error(
    student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor, cameras: int
) -> torch.Tensor:
    """Mean absolute difference (N, 1, h, w) after each rig's own shift and scale on both sides."""
    mask = mask.reshape(len(mask) // cameras, -1)
    a, b = (normalised(x.reshape(mask.shape), mask) for x in (student, teacher))
    return masked_mean((a - b).abs(), mask)


def robust_fit(
    x: torch.Tensor, y: torch.Tensor, mask: torch.Tensor, rounds: int = 10
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale and shift (R,) with which x (R, M) is nearest to y where the mask is, row by row.

    Least differences by reweighted least squares; where x is all alike, the scale is 1.
    """
    weight = mask
    scale = shift = x.new_zeros(len(x))
    for _ in range(rounds):
        total = weight.sum(1).clamp(min=1e-6)
        mean_x, mean_y = (weight * x).sum(1) / total, (weight * y).sum(1) / total
        dx, dy = x - mean_x[:, None], y - mean_y[:, None]
        square, both = (weight * dx * dx).sum(1) / total, (weight * dx * dy).sum(1) / total
        scale = torch.where(square > 1e-6, both / square.clamp(min=1e-6), torch.ones_like(both))
        shift = mean_y - scale * mean_x
        apart = (scale[:, None] * x + shift[:, None] - y).abs()
        weight = mask / apart.clamp(min=_DOUBT)
    return scale, shift


def tokens(
    features: torch.Tensor, mask: torch.Tensor, cameras: int, grid: tuple[int, int] = GRID
) -> tuple[torch.Tensor, torch.Tensor]:
    """Means of features (N, F, h, w) over the cells of a grid, of masked pixels alone.

    Returns:
        tokens (R, C, T, F), and (R, C, T) 1 where enough pixels of a cell are masked.
    """
    features = features.float()
    near = functional.adaptive_avg_pool2d(mask, (features.shape[2], features.shape[3]))
    share = functional.adaptive_avg_pool2d(near, grid)
    mean = functional.adaptive_avg_pool2d(features * near, grid) / share.clamp(min=1e-6)
    speaks = (functional.adaptive_avg_pool2d(mask, grid) > _SPEAKS).to(mean.dtype)
    mean = mean.flatten(2).transpose(1, 2)
    return mean.unflatten(0, (-1, cameras)), speaks.flatten(1).unflatten(0, (-1, cameras))


def similarity(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Cosines (R, C, C, T, T) between tokens (R, C, T, F) of all cameras of a rig.

    The rig's mean token, by weight (R, C, T), is taken off before: what all tokens share relates
    nothing. A common rotation, or factor, of all features changes nothing.
    """
    weight = weight[..., None]
    total = weight.sum((1, 2), keepdim=True).clamp(min=1.0)
    values = values - (values * weight).sum((1, 2), keepdim=True) / total
    values = functional.normalize(values, dim=-1)
    with torch.autocast(values.device.type, enabled=False):
        return torch.einsum("ritf,rjsf->rijts", values.float(), values.float())


def affinity(points: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
    """How near tokens' places are: (R, C, C, T, T), 1 at the same place, falling to 0.

    Args:
        points: (R, C, T, 3) in the base frame, of any common scale.
        size: (R, C, T) distance of each from its camera.

    exp(-distance / (0.25 mean range)): the teacher's scale does not matter.
    """
    apart = points[:, :, None, :, None] - points[:, None, :, None, :]
    reach = _REACH * 0.5 * (size[:, :, None, :, None] + size[:, None, :, None, :])
    return torch.exp(-apart.norm(dim=-1) / reach.clamp(min=1e-6))


def sides(pose: torch.Tensor) -> torch.Tensor:
    """On which side of each camera each other stands: (R, C, C), 1 right, -1 left, 0 no neighbour.

    Args:
        pose: (R, C, 4, 4) T_base_camera of cameras from left to right; three or more may close a
            ring. Neighbours follow one another clockwise, less than 100 degrees between their axes.
    """
    count = pose.shape[1]
    ahead = functional.normalize(pose[:, :, :2, 2], dim=-1)
    left = torch.stack([-ahead[..., 1], ahead[..., 0]], -1)
    cosine, sine = (torch.einsum("rix,rjx->rij", x, ahead) for x in (ahead, left))
    follows = (cosine > _WIDEST) & (sine < _BESIDE)
    order = torch.zeros(count, count, dtype=torch.bool, device=pose.device)
    for i in range(count if count > 2 else count - 1):
        order[i, (i + 1) % count] = True
    right = (follows & order).to(pose.dtype)
    return right - right.transpose(1, 2)


def column_weights(columns: int, side: int, like: torch.Tensor) -> torch.Tensor:
    """Weight (columns,) of tokens: 2 in the quarter of the width on that side (1 right, -1 left).

    A column that is partly in it has its share.
    """
    left = torch.arange(columns, device=like.device, dtype=like.dtype) / columns
    if side < 0:
        left = 1 - 1 / columns - left
    share = ((left + 1 / columns - (1 - _NEAR_SHARE)) * columns).clamp(0.0, 1.0)
    return 1 + (_NEAR_WEIGHT - 1) * share


def relation_error(
    teacher: torch.Tensor,
    student: torch.Tensor,
    speaks: torch.Tensor,
    side: torch.Tensor,
    grid: tuple[int, int] = GRID,
) -> torch.Tensor:
    """VRKD: mean KL(teacher || student) of how a token relates to a neighbouring camera's tokens.

    Args:
        teacher: (R, C, C, T, T) relations of a camera's tokens to another's.
        student: The same.
        speaks: (R, C, T), 1 for tokens that count.
        side: (R, C, C), see `sides`.
        grid: Rows and columns of the T tokens.
    """
    hidden = (speaks[:, None, :, None, :] == 0).expand_as(student)
    p, q = (
        torch.log_softmax((x.float() / _SHARPNESS).masked_fill(hidden, -1e4), dim=-1)
        for x in (teacher, student)
    )
    divergence = (torch.exp(p) * (p - q)).sum(-1)  # (R, C, C, T)
    right, left = (column_weights(grid[1], s, divergence).repeat(grid[0]) for s in (1, -1))
    near = (side > 0)[..., None] * right + (side < 0)[..., None] * left
    answered = speaks.any(-1)[:, None, :, None]
    return masked_mean(divergence, near * speaks[:, :, None] * answered)


def bin_chamfer(centres: torch.Tensor, log_depth: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Squared distance of centres (N, K) from the nearest depth, and of depths from the nearest
    centre, each a mean; images without depth do not count.
    """  # noqa: D205
    mask = mask.flatten(1)
    apart = (centres[:, :, None] - log_depth.flatten(1)[:, None]) ** 2
    some = (mask.sum(1) > 0).to(apart.dtype)
    to_depth = apart.masked_fill(mask[:, None] == 0, 1e4).amin(2).mean(1)
    to_centre = (apart.amin(1) * mask).sum(1) / mask.sum(1).clamp(min=1.0)
    return masked_mean(to_depth + to_centre, some)
