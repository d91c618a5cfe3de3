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

"""Mix the style of pictures in a batch, so that a network does not learn how one world looks.

Source: MixStyle, Zhou et al., ICLR 2021 (arXiv 2104.02008). Mean and spread of each channel of an
early feature map carry the look of a picture more than what is in it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

_PEAKED = 0.1
"""Of the beta distribution that shares are drawn from: mostly near 0 or 1."""


def mixed(features: torch.Tensor, share: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Give features (N, C, H, W) a mean and spread between their own and another picture's.

    Args:
        features: Of N pictures.
        share: (N,) of the own style, 0 to 1.
        other: (N,) index of the picture whose style comes in.
    """
    mean = features.mean((2, 3), keepdim=True)
    spread = (features.var((2, 3), keepdim=True) + 1e-6).sqrt()
    mean, spread = mean.detach(), spread.detach()
    own = share.view(-1, 1, 1, 1).to(features.dtype)
    new_mean = own * mean + (1 - own) * mean[other]
    new_spread = own * spread + (1 - own) * spread[other]
    return (features - mean) / spread * new_spread + new_mean


class StyleMix:
    """A forward hook that mixes styles in a share of the batches while its module trains."""

    def __init__(self, share: float) -> None:
        """Mix in this share of the batches."""
        self.share = share

    def __call__(self, module: nn.Module, _: Any, features: torch.Tensor) -> torch.Tensor | None:
        """Return mixed features, or None to leave them."""
        if not module.training or float(torch.rand(())) >= self.share:
            return None
        count = len(features)
        peaked = torch.full((count,), _PEAKED)
        share = torch.distributions.Beta(peaked, peaked).sample().to(features.device)
        return mixed(features, share, torch.randperm(count, device=features.device))
