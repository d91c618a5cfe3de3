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

"""What the frames of a drive say of each other: photometric terms, and what reflects.

Sources: view synthesis, Godard et al., ICCV 2019 (methods.md 1.6); features that language guides,
Hybrid-depth, ICCV 2025 (methods.md 1.3); reflections, AAAI 2025, arXiv 2503.22209 (methods.md 5).
Images are (S, 3, H, W) of 0 to 1, depth (S, 1, H, W), m, views (S, 2, ...) the frame before and the
one after.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from depth_perception.network.trunk import Trunk
from depth_perception.training.losses import masked_mean
from depth_perception.training.photometric import least_reprojection
from depth_perception.training.systems.hybrid_depth import ranking
from depth_perception.training.systems.hybrid_depth.encoder import TEMPLATE, alignment, text_matrix
from depth_perception.training.systems.intrinsic import losses as intrinsic
from depth_perception.training.systems.intrinsic.networks import LARGEST_RESIDUAL, Decoder
from depth_perception.training.view_geometry import resized_intrinsics

_LEVELS = 2
"""Of the image encoder's maps the second, of stride 8, is compared, of images of half the size."""
_BEHIND = 1.2
"""What a mirror shows lies so many times as far as its surface, or farther."""
_FINE = 8
_WIDTHS = (8, 8, 16, 24, 32)
_START_DIFFUSE = 0.2


class TrunkGuide(nn.Module):
    """Features of an image encoder: what is compared where no foundation model is at hand."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Maps (N, C, H/16, W/16) of length 1, of images of 0 to 255."""
        small = functional.avg_pool2d(images.float(), 2)
        return functional.normalize(self.trunk(small, _LEVELS)[-1].float(), dim=1)


class FoundationGuide(nn.Module):
    """Block maps of a foundation model; of CLIP, how much each place is like each depth word.

    Args:
        encoder: `foundation.image_encoder`.
        text: `foundation.text_encoder` of the same CLIP; None: maps as they are.
    """

    def __init__(self, encoder: Any, text: Any = None) -> None:
        super().__init__()
        self.encoder = encoder
        matrix = torch.zeros(0, 0)
        if text is not None:
            with torch.no_grad():
                matrix = text_matrix(text([TEMPLATE.format(word) for word in ranking.WORDS]))
        self.register_buffer("matrix", matrix, persistent=False)
        self.matrix: torch.Tensor

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Maps (N, C, h, w) of length 1, of images of 0 to 255."""
        from depth_perception.training.foundation import fitted

        maps = self.encoder(fitted(images.float(), int(self.encoder.patch)))[0]
        if self.matrix.numel():
            said = alignment(maps.movedim(1, -1), self.matrix)
            told = (said - said.mean(-1, keepdim=True)).movedim(-1, 1)
            # What a place is comes first; how far words put it is added to that.
            maps = torch.cat(
                [functional.normalize(maps, dim=1), functional.normalize(told, dim=1)], 1
            )
        return functional.normalize(maps, dim=1)


def guided_error(
    maps: torch.Tensor, others: torch.Tensor, depth: torch.Tensor, K: torch.Tensor, T: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """One less the cosine of features, of the frame and as the nearest of its views has them.

    Args:
        maps: (S, C, h, w) of the frame, of length 1.
        others: (S, 2, C, h, w) of its views.
        depth: (S, 1, h, w), m, at the maps' size.
        K: (S, 3, 3), px, at the maps' size.
        T: (S, 2, 4, 4), see `training.triplets`.

    Returns:
        error (S, 1, h, w), and where it counts: some view sees the place, and is more like it than
        where it would be if nothing moved.
    """
    views, seen = intrinsic.views_of(others, depth, K, T)
    errors, still = (
        torch.cat([1 - (maps * view).sum(1, keepdim=True) for view in some], 1)
        for some in (views, list(others.unbind(1)))
    )
    visible = torch.cat(seen, 1)
    errors = torch.where(visible > 0, errors, errors.new_tensor(2.0)).amin(1, keepdim=True)
    still = still.amin(1, keepdim=True)
    counts = visible.amax(1, keepdim=True) * (errors.detach() < still)
    return errors, counts


def photometric_terms(
    image: torch.Tensor,
    views: torch.Tensor,
    depth: torch.Tensor,
    K: torch.Tensor,
    T: torch.Tensor,
    keep: torch.Tensor,
    guide: Any = None,
) -> dict[str, torch.Tensor]:
    """Errors of view synthesis: "photometric" of colours; with a guide "guided", of its features.

    Args:
        image: (S, 3, H, W) of 0 to 1.
        views: (S, 2, 3, H, W) likewise.
        depth: (S, 1, H, W), m, with gradient.
        K: (S, 3, 3), px.
        T: (S, 2, 4, 4).
        keep: (S, 1, H, W), 1 where surfaces do not reflect, and are no sky.
        guide: `TrunkGuide` or `FoundationGuide`.
    """
    made, seen = intrinsic.views_of(views, depth, K, T)
    error, moved = least_reprojection(image, made, list(views.unbind(1)))
    visible = torch.stack(seen).amax(0)
    terms = {"photometric": masked_mean(error, moved * visible * keep)}
    if guide is None:
        return terms
    with torch.no_grad():
        maps = guide(torch.cat([image, views.flatten(0, 1)]) * 255)
    size, count = maps.shape[-2:], len(image)
    small = functional.interpolate(torch.log(depth), size, mode="bilinear", align_corners=False)
    kept = functional.adaptive_avg_pool2d(keep, size)
    others = maps[count:].unflatten(0, (count, -1))
    scaled = resized_intrinsics(K, image.shape[-1] / size[1], image.shape[-2] / size[0])
    error, counts = guided_error(maps[:count], others, torch.exp(small), scaled, T)
    return {**terms, "guided": masked_mean(error, counts * (kept > 0.5))}


class Decomposition(nn.Module):
    """Split images into what surfaces are and what light does there, see `systems.intrinsic`.

    Args:
        trunk: Image encoder, frozen: the decoder alone learns.
    """

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.fine = nn.Sequential(nn.Conv2d(3, _FINE, 3, stride=2, padding=1), nn.ELU())
        self.decoder = Decoder((_FINE, *trunk.channels), _WIDTHS, 6)
        assert self.decoder.head.bias is not None
        nn.init.constant_(self.decoder.head.bias[:3], _START_DIFFUSE)
        self._trunk = [trunk]  # no part of what learns, or is saved

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logarithms (N, 3, H, W) of the diffuse image, 0 or less, and of the residual.

        Args:
            image: (N, 3, H, W) of 0 to 1.
        """
        trunk = self._trunk[0].to(image.device).eval()
        with torch.no_grad():
            features = trunk(image * 255)
        both = self.decoder([self.fine(image - 0.5), *features]).float()
        residual = LARGEST_RESIDUAL * torch.tanh(both[:, 3:] / LARGEST_RESIDUAL)
        return -functional.softplus(both[:, :3]), residual


def decomposed(
    network: Decomposition,
    image: torch.Tensor,
    views: torch.Tensor,
    depth: torch.Tensor,
    K: torch.Tensor,
    T: torch.Tensor,
    taught: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of a decomposition, and where surfaces reflect, (S, 1, H, W), 1 to keep.

    A surface reflects where views agree in what it is but not in how it looks, as depth from one
    image has it, and where what motion measured lies behind that: such is a mirror's picture. At
    about half the size.

    Args:
        network: That decomposes.
        image: (S, 3, H, W) of 0 to 1.
        views: (S, 2, 3, H, W) likewise.
        depth: (S, 1, H, W), m, of surfaces, from one image.
        K: (S, 3, 3), px.
        T: (S, 2, 4, 4).
        taught: (S, 1, H, W), m, by motion; NaN where nobody knows.
    """
    size, count = image.shape[-2:], len(image)
    # Its decoder wants multiples of 32.
    h, w = (max(64, 32 * round(n / 64)) for n in size)
    target, others = (
        functional.interpolate(x, (h, w), mode="area") for x in (image, views.flatten(0, 1))
    )
    small = functional.interpolate(depth, (h, w), mode="bilinear", align_corners=False)
    half = resized_intrinsics(K, size[1] / w, size[0] / h)
    log_diffuse, log_residual = network(torch.cat([target, others]))
    diffuse, residual = torch.exp(log_diffuse), torch.exp(log_residual)
    sources, stuff = (x.unflatten(0, (count, -1)) for x in (others, diffuse[count:]))
    found = list(zip(*intrinsic.views_of(stuff, small, half, T), strict=True))
    cross = [intrinsic.cross_view(target, view, residual[:count], seen) for view, seen in found]
    loss = (
        intrinsic.reconstruction(torch.cat([target, others]), diffuse, residual)
        + torch.stack(cross).mean()
        + 0.01 * intrinsic.contrast(log_diffuse[:count])
    )
    with torch.no_grad():
        made, seen = intrinsic.views_of(sources, small, half, T)
        keep = intrinsic.reflective_mask(
            intrinsic.least_error(target, made),
            intrinsic.least_error(diffuse[:count], [view for view, _ in found]),
            torch.stack(seen).amax(0),
        )
        behind = taught > _BEHIND * depth  # NaN is not
        keep = 1 - (1 - functional.interpolate(keep, size, mode="nearest")) * behind
    return loss, keep
