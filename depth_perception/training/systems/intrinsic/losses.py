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

"""Losses of intrinsic decomposition for depth on reflective surfaces.

An image is what the surfaces are, times what light does on them: I = L R. The diffuse image L looks
the same from everywhere; the residual R holds highlights and reflections. Where other views agree
in L and not in I, the surface reflects, and its photometric error is no guide to depth. Source:
"Intrinsic image decomposition for robust self-supervised monocular depth estimation on reflective
surfaces", AAAI 2025, arXiv 2503.22209; methods.md 5.2, with its defaults where the paper's own
formula is not known. Images are (N, 3, H, W) of 0 to 1, masks and depth (N, 1, H, W).
"""

from __future__ import annotations

import torch
from torch.nn import functional

from depth_perception.training.losses import masked_mean
from depth_perception.training.photometric import photometric_error
from depth_perception.training.view_geometry import warp

_LEAST_SPREAD = 1e-6


def views_of(
    sources: torch.Tensor, depth: torch.Tensor, K: torch.Tensor, T: torch.Tensor
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The target made of each source's pixels, and the masks of what each source sees.

    Args:
        sources: (N, S, C, H, W), any maps.
        depth: The target's, m.
        K: (N, 3, 3), px, of all views.
        T: (N, S, 4, 4) from the target's camera to the sources'.
    """
    made = [warp(sources[:, i], depth, K, T[:, i]) for i in range(sources.shape[1])]
    return [view for view, _ in made], [seen for _, seen in made]


def least_error(target: torch.Tensor, views: list[torch.Tensor]) -> torch.Tensor:
    """Smallest photometric error (N, 1, H, W) over the views."""
    errors = torch.cat([photometric_error(target, view) for view in views], 1)
    return errors.min(1, keepdim=True).values


def reconstruction(
    image: torch.Tensor, diffuse: torch.Tensor, residual: torch.Tensor
) -> torch.Tensor:
    """Mean of |I - L R|; a residual of one channel counts for all colours."""
    return (image - diffuse * residual).abs().mean()


def cross_view(
    image: torch.Tensor, diffuse_view: torch.Tensor, residual: torch.Tensor, seen: torch.Tensor
) -> torch.Tensor:
    """Mean of |I - L_view R| where the other view sees the surface.

    Args:
        image: The target's.
        diffuse_view: The source's diffuse image, warped into the target.
        residual: The target's.
        seen: 1 where the warp lies inside of the source.
    """
    error = (image - diffuse_view * residual).abs().mean(1, keepdim=True)
    return masked_mean(error, seen)


def contrast(log_diffuse: torch.Tensor, margin: float = 5.0) -> torch.Tensor:
    """Push diffuse images of different scenes apart, so that they are not all white.

    Mean over the batch's pairs of max(0, margin - d), where d is the mean over the pixels of the
    Euclidean distance of the colours' logarithms; 0 for a single image.

    Args:
        log_diffuse: (N, 3, H, W), each of another scene.
        margin: Distance from which a pair is far enough apart.
    """
    first, second = torch.triu_indices(len(log_diffuse), len(log_diffuse), 1).tolist()
    if not first:
        return log_diffuse.new_zeros(())
    apart = (log_diffuse[first] - log_diffuse[second]).square().sum(1)
    # The root has no slope at 0, where all images begin.
    distance = (apart + 1e-12).sqrt().mean((1, 2))
    return (margin - distance).clamp(min=0).mean()


@torch.no_grad()
def reflective_mask(
    error_image: torch.Tensor,
    error_diffuse: torch.Tensor,
    seen: torch.Tensor,
    spread: float = 1.5,
    dilate: int = 3,
) -> torch.Tensor:
    """Find where views agree in what a surface is, but not in how it looks.

    q = error_image - error_diffuse, standardised in each image: above `spread` and above zero the
    surface reflects. No gradient passes.

    Args:
        error_image: Photometric error (N, 1, H, W) of the image against the warped view.
        error_diffuse: That of the diffuse images.
        seen: 1 where a view sees the surface; elsewhere nothing is known, and nothing masked.
        spread: Standard deviations.
        dilate: px by which reflective regions grow, diagonals too.

    Returns:
        (N, 1, H, W), 1 to keep, 0 reflective.
    """
    q = error_image - error_diffuse
    count = seen.sum((1, 2, 3), keepdim=True).clamp(min=1)
    mean = (q * seen).sum((1, 2, 3), keepdim=True) / count
    variance = ((q - mean).square() * seen).sum((1, 2, 3), keepdim=True) / count
    far = (q - mean) / variance.sqrt().clamp(min=_LEAST_SPREAD) > spread
    reflective = (far & (q > 0) & (seen > 0)).to(q.dtype)
    if dilate:
        reflective = functional.max_pool2d(reflective, 2 * dilate + 1, 1, dilate)
    return 1 - reflective


def pseudo_depth(mask: torch.Tensor, plain: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
    """Depth to learn from: the plain teacher's where the mask is 1, else the masked teacher's."""
    return torch.where(mask > 0.5, plain, masked)


def distillation(depth: torch.Tensor, pseudo: torch.Tensor) -> torch.Tensor:
    """Mean of log(1 + |D - D_p|), depth in m."""
    return torch.log1p((depth - pseudo).abs()).mean()
