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

"""A text as a Gaussian over latent vectors: text encoders, MLPs, divergence, reparameterisation.

In: captions and sentences (`sentences`). Out: mean and log variance of latent vectors, of
which drawn or found noise makes a latent map, see `network`.

Sources: methods.md 3.2, after Vision-Language Embodiment (CVPR 2025, arXiv 2503.16535), which
publishes no widths; those of the MLPs are WorDepth's (CVPR 2024, arXiv 2404.03635).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from depth_perception.network.depth_coding import USUAL_LOG_DEPTH
from depth_perception.training.systems.vision_language.sentences import WORDS, words_of

_PAD, _OTHER, _NUMBER = 0, 1, 2
_LONGEST = 192
_RATES = (1.0, 2.0, 4.0)
"""Of the waves over a number's logarithm that a number is told by."""
_MEMORY, _LARGEST = 0.99, 5.0
_LARGEST_LOG_VARIANCE = 8.0
_KEPT = 20000
_FIRST = 0.5
"""About how far a text's mean and log variance are from 0 before training."""


def normal_divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """KL divergence of Gaussians (N, latent) from the standard normal: sums, averaged over N.

    -0.5 sum(1 + log_variance - mean^2 - exp(log_variance)), methods.md 3.4.
    """
    each = 1 + log_variance - mean.square() - log_variance.exp()
    return -0.5 * each.sum(1).mean()


def reparameterised(
    mean: torch.Tensor, log_variance: torch.Tensor, noise: torch.Tensor
) -> torch.Tensor:
    """Latent map (N, latent, h, w) of noise of that shape: mean + noise * deviation."""
    deviation = torch.exp(0.5 * log_variance)
    return mean[:, :, None, None] + noise * deviation[:, :, None, None]


class WordEncoder(nn.Module):
    """A text encoder of our own, trained along: transformer over words, mean over places.

    Words are those of `sentences.WORDS`; all others are one. A number is its value.

    Attributes:
        width: Of what comes out.
    """

    def __init__(self, width: int, heads: int, layers: int = 2) -> None:
        super().__init__()
        self.width = width
        self.known = {word: place for place, word in enumerate(WORDS, 3)}
        self.words = nn.Embedding(3 + len(self.known), width, padding_idx=_PAD)
        self.number = nn.Sequential(
            nn.Linear(2 * len(_RATES) + 1, width), nn.LeakyReLU(0.1), nn.Linear(width, width)
        )
        self.places = nn.Parameter(0.02 * torch.randn(_LONGEST, width))
        layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, texts: list[str]) -> torch.Tensor:
        """(N, width) of N texts."""
        split = [["."] + words_of(text)[: _LONGEST - 1] for text in texts]
        longest = max(len(words) for words in split)
        ids = torch.full((len(texts), longest), _PAD)
        values = torch.ones(len(texts), longest)
        for row, words in enumerate(split):
            for column, word in enumerate(words):
                if word[0].isdigit():
                    ids[row, column], values[row, column] = _NUMBER, float(word)
                else:
                    ids[row, column] = self.known.get(word, _OTHER)
        ids, values = ids.to(self.places.device), values.to(self.places.device)
        size = torch.log(values + 0.1)[..., None]
        waves = size * torch.tensor(_RATES, device=size.device)
        numbers = torch.cat([size - USUAL_LOG_DEPTH, torch.sin(waves), torch.cos(waves)], -1)
        x = self.words(ids) + self.number(numbers) * (ids == _NUMBER)[..., None]
        there = (ids != _PAD)[..., None].to(x.dtype)
        found = self.layers(x + self.places[:longest], src_key_padding_mask=ids == _PAD)
        return self.norm((found * there).sum(1) / there.sum(1))


class FoundationWords(nn.Module):
    """A frozen text tower, such as CLIP's: each sentence by itself, then their mean.

    A text of many sentences is longer than what such a tower takes (77 tokens for CLIP's).

    Args:
        name: See `foundation.text_encoder`.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        from depth_perception.training.foundation import text_encoder

        self.encoder = text_encoder(name, torch.device("cpu"))
        self.width = int(self.encoder.width)
        self._place = nn.Parameter(torch.zeros(()), requires_grad=False)
        self._known: dict[str, torch.Tensor] = {}

    def train(self, mode: bool = True) -> FoundationWords:
        """Stay as it is."""
        del mode
        return super().train(False)

    @torch.no_grad()
    def forward(self, texts: list[str]) -> torch.Tensor:
        """(N, width) of N texts."""
        split = [[s.strip() for s in text.split(". ") if s.strip()] or [""] for text in texts]
        unknown = sorted({s for sentences in split for s in sentences} - self._known.keys())
        if len(self._known) > _KEPT:
            self._known, unknown = {}, sorted({s for sentences in split for s in sentences})
        if unknown:
            self._known.update(zip(unknown, self.encoder(unknown).float().cpu(), strict=True))
        means = [torch.stack([self._known[s] for s in sentences]).mean(0) for sentences in split]
        return torch.stack(means).to(self._place.device)


class Standardised(nn.Module):
    """Vectors (N, width) less their running mean, over their running deviation.

    What all texts share is most of a text's vector: without this, what tells them apart is lost in
    the noise. The statistics follow in training, but not where no gradients are asked for.
    """

    mean: torch.Tensor
    variance: torch.Tensor
    count: torch.Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Standardise."""
        x = x.float()
        if self.training and torch.is_grad_enabled():
            with torch.no_grad():
                share = 1 - min(_MEMORY, float(self.count) / (float(self.count) + 1))
                self.mean.lerp_(x.mean(0), share)
                self.variance.lerp_((x - self.mean).square().mean(0), share)
                self.count.add_(1)
        out = (x - self.mean) / torch.sqrt(self.variance + 1e-6)
        return out.clamp(-_LARGEST, _LARGEST)


class TextLatent(nn.Module):
    """Two MLPs from a text's vector to mean and log variance, methods.md 3.2."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        self.standardised = Standardised(width)

        def mlp() -> nn.Sequential:
            layers = nn.Sequential(
                nn.Linear(width, 4 * latent),
                nn.LeakyReLU(0.1),
                nn.Linear(4 * latent, 2 * latent),
                nn.LeakyReLU(0.1),
                nn.Linear(2 * latent, latent),
            )
            linear: Any
            for linear in (layers[0], layers[2], layers[4]):
                nn.init.kaiming_normal_(linear.weight, 0.1)
                nn.init.zeros_(linear.bias)
            nn.init.normal_(linear.weight, std=_FIRST / math.sqrt(2 * latent))
            return layers

        self.mean, self.log_variance = mlp(), mlp()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, latent) each."""
        x, most = self.standardised(x), _LARGEST_LOG_VARIANCE
        return self.mean(x), self.log_variance(x).clamp(-most, most)
