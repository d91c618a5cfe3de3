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

"""FusedSurround: images and embodied depth in, metric depth, confidence, road and sky out.

One pass over all cameras, which are the batch. In order: image encoder; embodied depth of the
ground plane at stride 4 and an encoder for it, which measured depth joins where there is some;
two-way attention between both at stride 32; semantics, and gates that let depth look at them; a
decoder to stride 4; depth bins whose centres follow image and camera; where the ground plane is
what is seen, the plane itself, tilted by a small angle that the network finds; and where depth is
measured, that. Sources: docs/network.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from depth_perception.network.attention import BridgingGate, TwoWayAttention
from depth_perception.network.configuration import NetworkConfiguration
from depth_perception.network.depth_coding import focal_shift
from depth_perception.network.measured import (
    Bound,
    Measured,
    MeasuredInput,
    MeasuredOutput,
    measured_of,
)
from depth_perception.network.prior import CHANNELS, Prior, prior_of
from depth_perception.network.trunk import Trunk

CLASSES = ("road", "flat", "building", "thin", "vegetation", "sky", "person", "vehicle")
"""What the semantic stream tells apart: Cityscapes' classes, grouped."""
LARGEST_TILT = 0.12
"""The plane is tilted by at most so much at each pixel, rad: 12 % of slope."""
_SMALLEST = 1e-3
_EMBODIED = 16
_TILT_CHANNELS = 32


@dataclass
class FusedOutput:
    """All (N, 1, h, w) at stride 4 unless said otherwise; logits before the sigmoid.

    Attributes:
        log_depth: Natural logarithm of depth along the optical axis, m: the result.
        road: Logits of the road.
        sky: Logits of the sky.
        confidence: Natural logarithm of the expected error of `log_depth` (Laplace's scale).
        trust: Logits of taking the tilted plane rather than the bins.
        log_plane: Logarithm of the tilted plane's depth, m.
        log_bins: Logarithm of the depth by the bins, m.
        probabilities: (N, bins, h, w) of the bins.
        centres: (N, bins) logarithm of the bins' depth for the camera's focal length, m.
        semantics: (N, `CLASSES`, H/16, W/16) logits.
        tilt: Angle by which the plane is tilted, rad.
        prior: What the calibration says.
        features: (N, widths[0], h, w) what the heads look at.
        logits: (N, bins, h, w) of the bins.
        measured: What is measured; None without.
        bound: How `log_depth` was bound to it; None without.
        own_confidence: As `confidence`, of the network's depth before it was bound; None without.
    """

    log_depth: torch.Tensor
    road: torch.Tensor
    sky: torch.Tensor
    confidence: torch.Tensor
    trust: torch.Tensor
    log_plane: torch.Tensor
    log_bins: torch.Tensor
    probabilities: torch.Tensor
    centres: torch.Tensor
    semantics: torch.Tensor
    tilt: torch.Tensor
    prior: Prior
    features: torch.Tensor
    logits: torch.Tensor | None = None
    measured: Measured | None = None
    bound: Bound | None = None
    own_confidence: torch.Tensor | None = None


def convolution(channels: int, width: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, leaky ReLU: with a plain one all features on the road died."""
    return nn.Sequential(
        nn.Conv2d(channels, width, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(width),
        nn.LeakyReLU(0.1),
    )


def _point(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))


def upsample(x: torch.Tensor) -> torch.Tensor:
    """Maps (N, C, h, w) at twice the size, bilinear."""
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class _SeparableBlock(nn.Module):
    """Depthwise and pointwise convolution, added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.pointwise = convolution(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.pointwise(self.depthwise(x))


class _DepthBins(nn.Module):
    """Centres of depth bins by image and camera: widths in log depth that add up to the range."""

    def __init__(self, configuration: NetworkConfiguration) -> None:
        super().__init__()
        c = configuration
        self.range = (torch.log(torch.tensor(c.nearest)), torch.log(torch.tensor(c.farthest)))
        self.focal, self.bins = c.focal, c.bins
        self.widths: nn.Sequential | None = None
        if c.camera_bins:
            last = nn.Linear(96, c.bins)
            nn.init.normal_(last.weight, std=0.01)
            nn.init.zeros_(last.bias)
            self.widths = nn.Sequential(nn.Linear(c.widths[3] + 3, 96), nn.LeakyReLU(0.1), last)

    def forward(self, pooled: torch.Tensor, prior: Prior) -> torch.Tensor:
        """(N, bins) logarithm of the centres, m, from near to far."""
        widths = torch.ones_like(pooled[:, :1]).repeat(1, self.bins)
        if self.widths is not None:
            log_height = torch.log(prior.height) * prior.known
            camera = [focal_shift(prior.focal), prior.known, log_height]
            facts = torch.cat([pooled, *(item.flatten(1) for item in camera)], dim=1)
            widths = functional.softplus(self.widths(facts))
        low, high = float(self.range[0]), float(self.range[1])
        widths = (widths + 0.05) / (widths + 0.05).sum(1, keepdim=True) * (high - low)
        ends = torch.cumsum(widths, dim=1)
        return low + ends - widths / 2 + focal_shift(prior.focal.flatten(1), self.focal)


def non_negative_garrote(tilt: torch.Tensor, dead_zone: float) -> torch.Tensor:
    """Small angles become 0, large ones stay about as they are (non-negative garrote).

    A calibration that is right is better than what one image says of it: only what stands out
    of `dead_zone`, rad, counts. Breiman (1995): x becomes x max(0, 1 - dead_zone^2 / x^2).
    """
    inside = tilt.clamp(-dead_zone, dead_zone)
    return tilt - inside * (dead_zone / tilt.abs().clamp(min=max(dead_zone, 1e-9)))


def around_peak(logits: torch.Tensor, reach: int) -> torch.Tensor:
    """Logits (N, bins, h, w) of the most probable bin and `reach` on either side; others -1e4.

    Between a near and a far surface the mean over all bins hangs in the air; over the bins around
    the most probable one it lies on one of the two.
    """
    peak = logits.argmax(1, keepdim=True)
    places = torch.arange(logits.shape[1], device=logits.device).view(1, -1, 1, 1)
    return torch.where((places - peak).abs() <= reach, logits, -1e4)


def expectation(logits: torch.Tensor, centres: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities (N, bins, h, w) and mean (N, 1, h, w) of centres (N, bins)."""
    probabilities = torch.softmax(logits, dim=1)
    return probabilities, (probabilities * centres[:, :, None, None]).sum(1, keepdim=True)


class FusedSurround(nn.Module):
    """The network.

    Args:
        configuration: Sizes and switches.
        pretrained: Load ImageNet's weights into the image encoder, where the configuration says
            so; False when all weights are loaded afterwards.
    """

    def __init__(self, configuration: NetworkConfiguration, pretrained: bool = True) -> None:
        super().__init__()
        self.configuration = c = configuration
        w4, w8, w16, w32 = c.widths
        self.trunk = Trunk(c.trunk, pretrained and c.pretrained)
        self.lateral = nn.ModuleList(
            _point(channels, width)
            for channels, width in zip(self.trunk.channels, c.widths, strict=True)
        )
        self.embodied = nn.ModuleList()
        if c.prior:
            self.embodied_lateral = _point(_EMBODIED, w4)
            self.embodied.append(convolution(CHANNELS, _EMBODIED))
            for narrow, wide in ((_EMBODIED, w8), (w8, w16), (w16, w32)):
                self.embodied.append(convolution(narrow, wide, stride=2))
        self.measured_in = MeasuredInput((_EMBODIED, w8, w16, w32)) if c.measured else None
        self.cross_attention = (
            TwoWayAttention(w32, c.heads) if c.cross_attention and c.prior else None
        )
        self.semantic_in = nn.ModuleList([_point(self.trunk.channels[2], w16), _point(w32, w16)])
        self.semantic = nn.Sequential(_SeparableBlock(w16), _SeparableBlock(w16))
        self.semantic_head = nn.Conv2d(w16, len(CLASSES), 1)
        self.gate = BridgingGate(w32, c.heads, w16) if c.gates else None
        self.fine_gate = BridgingGate(w16, c.heads, w16) if c.gates and c.fine_gate else None
        widths = {8: w8, 4: w4}
        self.finer_gates = nn.ModuleDict(
            {str(s): BridgingGate(widths[s], c.heads, w16) for s in c.finer_gates}
        )
        self.narrow = nn.ModuleList([_point(w32, w16), _point(w16, w8), _point(w8, w4)])
        self.decode = nn.ModuleList(
            nn.Sequential(convolution(w, w), _SeparableBlock(w)) for w in (w16, w8, w4)
        )
        self.bins = _DepthBins(c)
        self.expectation = expectation
        """`export` puts a form of it here that runtimes are quicker with."""
        self.bin_head = nn.Conv2d(w4, c.bins, 1)
        # Road, sky, confidence, trust.
        self.heads = nn.Conv2d(w4, 4, 1)
        # Most of the angle is one for the whole image, which takes all of it to see.
        self.coarse_tilt = nn.Sequential(
            convolution(w32, _TILT_CHANNELS), nn.Conv2d(_TILT_CHANNELS, 1, 1)
        )
        self.fine_tilt = nn.Conv2d(w8, 1, 1)
        self.measured_out = MeasuredOutput(w4) if c.measured else None
        last: Any
        for last in (self.coarse_tilt[-1], self.fine_tilt):
            nn.init.normal_(last.weight, std=0.01)
            nn.init.zeros_(last.bias)

    def set_temperature(self, temperature: float) -> None:
        """Divide the gates' attention logits by this."""
        for gate in (self.gate, self.fine_gate, *self.finer_gates.values()):
            if isinstance(gate, BridgingGate):
                gate.cross.temperature = temperature
                gate.self_attention.temperature = temperature

    def forward(
        self,
        image: torch.Tensor | None,
        rays: torch.Tensor,
        camera: torch.Tensor,
        measured: torch.Tensor | None = None,
        features: Sequence[torch.Tensor] | None = None,
    ) -> FusedOutput:
        """Look at all cameras.

        Args:
            image: (N, 3, H, W) RGB, 0 to 255; H and W multiples of `MULTIPLE`.
            rays: (N, 3, H/4, W/4), see `prior.prior_of`.
            camera: (N, 5), see `prior.CAMERA`.
            measured: (N, 2, H/4, W/4), see `measured.measured_of`; None: nothing is measured. A
                network without `NetworkConfiguration.measured` does not look at it.
            features: What the image encoder makes of the images, where it is known already;
                ``image`` then may be None.
        """
        c = self.configuration
        prior = prior_of(rays, camera)
        known = None
        if self.measured_in is not None and measured is not None:
            known = measured_of(measured, prior)
        if features is None:
            assert image is not None
            features = self.trunk(image.float())
        f4, f8, f16, f32 = (lateral(f) for lateral, f in zip(self.lateral, features, strict=True))
        if c.prior:
            e4, e8, e16, e32 = self._embodied(prior, known)
            f4, f8, f16 = f4 + self.embodied_lateral(e4), f8 + e8, f16 + e16
            g32 = f32 + e32 if self.cross_attention is None else self.cross_attention(f32, e32)
        else:
            g32 = f32
        semantic = self.semantic(
            self.semantic_in[0](features[2]) + upsample(self.semantic_in[1](g32))
        )
        coarse = functional.avg_pool2d(semantic, 2)
        if self.gate is not None:
            g32 = self.gate(g32, coarse)
        x16 = upsample(self.narrow[0](g32)) + f16
        if self.fine_gate is not None:
            x16 = self.fine_gate(x16, coarse)
        x16 = self.decode[0](x16 + semantic)
        x8 = self.decode[1](self._bridged(upsample(self.narrow[1](x16)) + f8, coarse, 8))
        x4 = self.decode[2](self._bridged(upsample(self.narrow[2](x8)) + f4, coarse, 4))
        out = self._read(prior, g32, self.semantic_head(semantic), x8, x4)
        return out if known is None else self._bound(out, known)

    def _embodied(self, prior: Prior, measured: Measured | None) -> list[torch.Tensor]:
        """Features of embodied and measured depth at strides 4, 8, 16 and 32."""
        added: list[torch.Tensor] = []
        if self.measured_in is not None and measured is not None:
            added = self.measured_in(measured)
        x, found = prior.maps, []
        block: Any
        for level, block in enumerate(self.embodied):
            x = block[0](x)
            if added:
                x = x + added[level]
            x = block[2](block[1](x))
            found.append(x)
        return found

    def _bound(self, out: FusedOutput, measured: Measured) -> FusedOutput:
        """Bind the depth of an output to what is measured."""
        assert self.measured_out is not None
        plane = torch.maximum(out.trust, out.road)
        bound = self.measured_out(measured, out.features, out.log_depth, out.confidence, plane)
        return replace(
            out,
            log_depth=bound.log_depth,
            confidence=bound.confidence,
            measured=measured,
            bound=bound,
            own_confidence=out.confidence,
        )

    def _bridged(self, x: torch.Tensor, semantic: torch.Tensor, stride: int) -> torch.Tensor:
        name = str(stride)
        return self.finer_gates[name](x, semantic) if name in self.finer_gates else x

    def _read(
        self,
        prior: Prior,
        g32: torch.Tensor,
        semantics: torch.Tensor,
        x8: torch.Tensor,
        x4: torch.Tensor,
    ) -> FusedOutput:
        """Turn features into depth and the rest."""
        centres = self.bins(g32.mean((2, 3)), prior)
        logits = self.bin_head(x4)
        reach = self.configuration.peak_reach
        probabilities, log_bins = self.expectation(
            around_peak(logits, reach) if reach else logits, centres
        )
        road, sky, confidence, trust = self.heads(x4).split(1, dim=1)
        coarse = functional.interpolate(
            self.coarse_tilt(g32), scale_factor=4.0, mode="bilinear", align_corners=False
        )
        tilt = LARGEST_TILT * torch.tanh(upsample(coarse + self.fine_tilt(x8)))
        slope = prior.slope + non_negative_garrote(tilt, self.configuration.dead_zone)
        log_plane = torch.log(prior.height / slope.clamp(min=_SMALLEST))
        log_depth = log_bins
        if self.configuration.prior:
            seen = torch.sigmoid(slope * 400 - 3) * prior.known
            share = torch.maximum(torch.sigmoid(trust), torch.sigmoid(road)) * seen
            log_depth = log_bins + share * (log_plane - log_bins)
        return FusedOutput(
            log_depth,
            road,
            sky,
            confidence,
            trust,
            log_plane,
            log_bins,
            probabilities,
            centres,
            semantics,
            tilt,
            prior,
            x4,
            logits,
        )
