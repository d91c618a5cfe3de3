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

"""The network as a robot runs it: the pipeline's uint8 images in, metres out, all in one graph.

`export` writes it to ONNX; `estimators.torch_session` runs it as it is.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import nn
from torch.nn import functional

from depth_perception.inference.model_file import STRIDE
from depth_perception.network.attention import Attention
from depth_perception.network.fused import FusedSurround

FARTHEST = 200.0
"""Deeper is +Inf, m: farther truth is not learnt."""
_TOLERANCE = 0.1
_LARGEST_LOGIT = 40.0
"""e to the power of it is still a number with 32 bits, and to the power of its negative not 0."""


class DeployedSurround(nn.Module):
    """Network with everything around it.

    Args:
        network: The network; it is copied, and stays as it is.
        farthest: Deeper is +Inf, m.
        at_image: Depth has the size of the images; else of the network's images.
        half: What runs it may compute with 16 bits whatever it likes, as TensorRT does.
    """

    def __init__(
        self,
        network: FusedSurround,
        farthest: float = FARTHEST,
        at_image: bool = True,
        half: bool = False,
    ) -> None:
        super().__init__()
        self.network = _prepared(network)
        if half:
            self.network.expectation = _narrow_expectation
        self.log_farthest = math.log(farthest)
        self.at_image = at_image

    def forward(
        self,
        image: torch.Tensor,
        rays: torch.Tensor,
        camera: torch.Tensor,
        measured: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Look at all cameras.

        Args:
            image: (N, H, W, 3) uint8 BGR, any size.
            rays: (N, 3, h, w) float32 at stride 4 of the network's images, which are 4 h x 4 w;
                see `prior.prior_of`. What is no number counts as no ray.
            camera: (N, 5) float32, see `prior.CAMERA`.
            measured: (N, 2, h, w) float32, see `measured.measured_of`; of networks that take it.

        Returns:
            Depth (N, H, W), m, +Inf for the sky and beyond the range; confidence (N, h, w), the
            probability that depth is right to 10 %; road (N, h, w), a probability.
        """
        size = (STRIDE * rays.shape[2], STRIDE * rays.shape[3])
        pixels = functional.interpolate(
            image.permute(0, 3, 1, 2).float(), size, mode="bilinear", align_corners=False
        )
        out = self.network(pixels, torch.where(torch.isnan(rays), 0.0, rays), camera, measured)
        wide = functional.interpolate(
            torch.cat([out.log_depth, out.sky], dim=1),
            image.shape[1:3] if self.at_image else size,
            mode="bilinear",
            align_corners=False,
        )
        log_depth, sky = wide[:, 0], wide[:, 1]
        beyond = (sky > 0) | (log_depth > self.log_farthest)
        depth = torch.where(beyond, torch.inf, torch.exp(log_depth))
        right = 1 - torch.exp(-_TOLERANCE * torch.exp(-out.confidence[:, 0].clamp(min=-20.0)))
        return depth, right, torch.sigmoid(out.road[:, 0])


def _prepared(network: FusedSurround) -> FusedSurround:
    """Copy a network; fold temperature and channel order into weights."""
    network = copy.deepcopy(network).eval().requires_grad_(False)
    stem = network.trunk.stem[0]
    stem.weight.copy_(stem.weight.flip(1))  # type: ignore[operator, union-attr]
    for module in network.modules():
        if isinstance(module, Attention):
            size = module.query.out_features // module.heads
            scale = 1 / (size**0.5 * module.temperature)
            module.query.weight.mul_(scale)
            module.query.bias.mul_(scale)
            module.temperature = size**-0.5  # of which forward makes a factor of 1
    network.expectation = _expectation
    return network


def _expectation(logits: torch.Tensor, centres: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`fused.expectation` as one matrix product: ONNX Runtime transposes all for a softmax."""
    return _mean(torch.exp(logits.clamp(-_LARGEST_LOGIT, _LARGEST_LOGIT)), centres)


def _narrow_expectation(
    logits: torch.Tensor, centres: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """`_expectation` for 16 bits, and any logits; a third slower on a CPU.

    Weights are at most 1, and one of them is: neither of the sums leaves 16 bits.
    """
    return _mean(torch.exp(logits - logits.amax(1, keepdim=True)), centres)


def _mean(weights: torch.Tensor, centres: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights (N, bins, h, w) as they are, and the weighted mean of centres."""
    terms = torch.stack([centres, torch.ones_like(centres)], dim=1) @ weights.flatten(2)
    mean = terms[:, :1] / terms[:, 1:]
    return weights, mean.unflatten(2, weights.shape[2:])
