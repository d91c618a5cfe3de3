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

"""Stage 1 of Hybrid-depth: depth words in order along lanes, without any depth.

In: labels, rays and calibration of images, feature maps, vectors of depth words. Out: points along
the road from near to far, and losses. Along a lane the image's row orders distance: of seven points
and seven words, from close to distant, each word shall suit its own point best. Source:
Hybrid-depth (arXiv 2510.09320), methods.md 1.5, which takes annotated lanes; here a lane is where
the road lies at a constant offset from the camera, by labels and embodied depth.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from depth_perception.inference.model_file import STRIDE
from depth_perception.network.fused import CLASSES
from depth_perception.network.prior import prior_of
from depth_perception.training.systems.hybrid_depth.encoder import alignment, resampled

WORDS = (
    "very close",
    "close",
    "rather close",
    "at a middle distance",
    "rather far",
    "far",
    "very far",
)
"""From near to far, as points of a lane are."""
POINTS = len(WORDS)
NEAREST, FARTHEST = 2.0, 80.0
"""Of points, m."""
_ROAD = CLASSES.index("road")
_UNKNOWN = 255
_CORRIDOR, _CORRIDOR_END = 1.5, 25.0
"""Where nothing is labelled, half the width and the length, m, of what is taken for road."""


def lane_points(
    label: torch.Tensor, rays: torch.Tensor, camera: torch.Tensor, offsets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Points along the road, from near to far, at equal steps of those rows that show it.

    Args:
        label: (N, H, W), indices in `network.fused.CLASSES`. Of an image without any label the road
            is taken to be a short corridor ahead: cars in it are not noticed.
        rays: (N, 3, H/4, W/4), see `network.prior.prior_of`.
        camera: (N, 5), see `network.prior.CAMERA`; without calibration there are no points.
        offsets: (N, L), m, of the lanes from the camera, to the right of its axis.

    Returns:
        points (N, L, 7, 2), x and y from -1 to 1 at the image's edges; found (N, L), whether a lane
        has as many points.
    """
    prior = prior_of(rays, camera)
    below = (prior.slope > 1e-3) & (prior.known > 0)
    depth = torch.where(below, prior.height / prior.slope.clamp(min=1e-3), torch.inf)[:, 0]
    aside = torch.where(below[:, 0], depth * rays[:, 0], torch.inf)
    column = torch.where(below[:, 0], depth * STRIDE / prior.focal[:, 0], 0.0)
    small = label[:, STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
    labelled = (label != _UNKNOWN).flatten(1).any(1)[:, None, None]
    corridor = (aside.abs() < _CORRIDOR) & (depth < _CORRIDOR_END)
    road = torch.where(labelled, small == _ROAD, corridor)
    road = road & (depth > NEAREST) & (depth < FARTHEST)
    images, lanes = offsets.shape
    height, width = depth.shape[1:]
    points = torch.zeros(images, lanes, POINTS, 2, device=rays.device)
    found = torch.zeros(images, lanes, dtype=torch.bool, device=rays.device)
    for n in range(images):
        for k in range(lanes):
            apart, u = (aside[n] - offsets[n, k]).abs().min(1)
            v = torch.arange(height, device=rays.device)
            good = road[n, v, u] & (apart <= column[n, v, u])
            rows = v[good]
            if len(rows) < POINTS:
                continue
            rows = rows[depth[n, rows, u[rows]].argsort()]  # from near to far
            chosen = rows[torch.linspace(0, len(rows) - 1, POINTS).round().long()]
            x = (u[chosen] + 0.5) / width * 2 - 1
            y = (chosen + 0.5) / height * 2 - 1
            points[n, k], found[n, k] = torch.stack([x, y], 1), True
    return points, found


def point_features(features: list[torch.Tensor], points: torch.Tensor, width: int) -> torch.Tensor:
    """Features (N, L, P, width) of points (N, L, P, 2): all maps' channels, resampled."""
    found = [
        functional.grid_sample(
            f.float(), points.to(f.device).float(), padding_mode="border", align_corners=False
        )
        for f in features
    ]
    return resampled(torch.cat(found, 1).permute(0, 2, 3, 1), width)


def lane_logits(features: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Logits (B, P, P) of lanes' points (B, P, width): [point i, word j], near to far."""
    return alignment(features, matrix)


def ranking_loss(logits: torch.Tensor) -> torch.Tensor:
    """Word j must suit point j at least as well as a nearer point i: hinge of margin 0.

    Args:
        logits: (B, P, P), [point i, word j].

    Returns:
        Sum over pairs i < j of max(0, logits[i, j] - logits[j, j]), mean over B.
    """
    own = logits.diagonal(dim1=1, dim2=2)[:, None, :]
    wrong = (logits - own).clamp(min=0.0).triu(1)
    return wrong.sum((1, 2)).sum() / max(len(logits), 1)


def contrast_loss(features: torch.Tensor) -> torch.Tensor:
    """Push points apart, the more the farther they are from one another along the lane.

    Args:
        features: (B, P, C), near to far.

    Returns:
        Mean over B and all pairs of |i - j| / (P - 1) times the cosine of points i and j.
    """
    count = features.shape[1]
    rank = torch.arange(count, device=features.device, dtype=features.dtype)
    weight = (rank[:, None] - rank).abs() / max(count - 1, 1)
    unit = functional.normalize(features, dim=-1)
    cosines = unit @ unit.transpose(1, 2)
    return (weight * cosines).sum() / (count * count * max(len(features), 1))


def rank_figures(logits: torch.Tensor) -> dict[str, float]:
    """How well words order points; 0.5 by chance.

    Args:
        logits: (B, P, P), [point i, word j].

    Returns:
        ranked: share of pairs i < j of which word j suits j better than i; ordered: share of them
        of which the mean word of j, by softmax, is the farther one.
    """
    count = logits.shape[1]
    i, j = torch.triu_indices(count, count, 1)
    own = logits.diagonal(dim1=1, dim2=2)
    ranked = (logits[:, i, j] < own[:, j]).float().mean()
    rank = torch.arange(count, device=logits.device, dtype=logits.dtype)
    mean = (logits.softmax(2) * rank).sum(2)
    ordered = (mean[:, i] < mean[:, j]).float().mean()
    return {"ranked": float(ranked), "ordered": float(ordered)}
