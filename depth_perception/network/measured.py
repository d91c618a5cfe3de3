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

"""Measured depth as the network sees it, and how its own depth gives way to it.

What geometry measured (parallax, overlap, the road's plane, range points) comes at stride 4 with
its deviation, for some pixels or none. Here it becomes channels that mean the same on every rig, at
several strides; a completion of what lies between, and by how much the network is off around it;
and the share that a measurement has in the result. The ground that goes in is one more witness:
where the image shows it, less is changed. Where nothing is measured all of it is exactly 0, and
the network what it is without.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from depth_perception.inference.network_inputs import USUAL_SIGMA
from depth_perception.network.depth_coding import USUAL_LOG_DEPTH, focal_shift
from depth_perception.network.prior import Prior

CHANNELS = 6
LEVELS = 4
"""Strides 4, 8, 16 and 32."""
SIGMA_FLOOR = 0.01
"""No measurement is expected to be better than this: pixels at stride 4 are not points."""
_NEAREST, _FARTHEST = 0.05, 1000.0
_LEAST_SLOPE = 1e-3
_MOST_SLOPE = 2.0
_MOST_RATIO = 2.0
_MOST_HEIGHT = 3.0
_COMPARISONS, _COMPARED = 6, 16
_MOST_SURPRISE = 20.0
"""By how many of its expected errors a measurement is off: of more nothing new follows."""
_USUAL_SURPRISE = 4.0
_FULL = 4.0
"""A place counts as measured all over when a quarter of it is."""
USUAL_OFFSET = 0.5
"""A measurement that differs so much from the network, in log depth, says half as much about what
lies beside it: it may be wrong, or of something else."""
_MOST_OFFSET = 0.7
_CARRIED_FROM = 1
"""Level (stride 8) from which offsets are carried: at stride 4 it would be the pixel's own."""
_NEAR_PRIOR, _BLURRED_PRIOR, _IMAGE_PRIOR = 0.3, 1.0, 1.0
"""Certainty of no offset that is set against what a level measured: at strides 4 to 32, around a
place there, and over the whole image."""
_BLUR = 5
GROUND_TOLERANCE = 0.1
"""Depth that differs so much from the ground's, in log depth, is 37 % likely to be the ground."""
GROUND_SIGMA = 0.05
"""As `USUAL_SIGMA`, where image and ground say the same: less surely measured is not news."""
_GROUND_SURPRISE = 3.0
"""Two that agree are harder to rule out: so many times more surprising is what differs."""

_GROUND_SPREAD = -0.25
"""Logarithm of how much smaller errors are where measurement, image and ground agree."""


@dataclass
class Measured:
    """Measured depth at stride 4, all (N, 1, h, w) unless said otherwise.

    Attributes:
        log_depth: Natural logarithm of measured depth, m; 0 where nothing is measured.
        sigma: Its relative standard deviation; 0 there.
        certainty: What it is worth by its deviation, 0 to 1; 0 there.
        maps: For strides 4, 8, 16 and 32, (N, `CHANNELS`, h, w): what the network looks at.
        log_filled: Logarithm of depth everywhere, m, from what is measured around; in images
            without any measurement it means nothing.
        near: 0 to 1, how much is measured around; 0 there.
        log_ground: Logarithm of depth of the ground that goes into the network, m.
        below: 1 where rays meet that ground, else 0, as everywhere without a calibration.
    """

    log_depth: torch.Tensor
    sigma: torch.Tensor
    certainty: torch.Tensor
    maps: tuple[torch.Tensor, ...]
    log_filled: torch.Tensor
    near: torch.Tensor
    log_ground: torch.Tensor
    below: torch.Tensor

    def like_ground(self, log_depth: torch.Tensor) -> torch.Tensor:
        """How well depths (N, 1, h, w), natural logarithm of m, are the ground's: 0 to 1."""
        off = (log_depth - self.log_ground) / GROUND_TOLERANCE
        return torch.exp(-off.square()) * self.below


def measured_of(measured: torch.Tensor, prior: Prior) -> Measured:
    """Compute what the network looks at.

    Args:
        measured: (N, 2, h, w) depth along the optical axis, m, and its relative standard deviation;
            0 where nothing is measured. What is no number counts as that.
        prior: Of the same pixels.

    Source of the completion: pull-push (Gortler et al. 1996), in inverse depth, which is linear
    over planes.
    """
    depth, sigma = measured[:, :1], measured[:, 1:]
    is_valid = (depth > _NEAREST) & (depth < _FARTHEST) & (sigma >= 0)
    valid = is_valid.to(prior.slope.dtype)
    depth = torch.where(is_valid, depth, 1.0)
    sigma = torch.where(is_valid, sigma, 0.0)
    log_depth = torch.log(depth)
    certainty = valid / (1 + (sigma / USUAL_SIGMA) ** 2)
    maps = [torch.cat([_coded(depth, log_depth, prior) * valid, certainty, valid], dim=1)]
    inverse = [certainty / depth]
    for _ in range(1, LEVELS):
        inverse.append(functional.avg_pool2d(inverse[-1], 2))
        maps.append(_pooled(maps[-1]))
    worth = [item[:, -2:-1] for item in maps]
    log_filled = -torch.log(_filled(inverse, worth).clamp(1 / _FARTHEST, 1 / _NEAREST))
    near = (_up(_up(worth[2])) * _FULL).clamp(max=1.0)
    ground, below = _ground(prior)
    return Measured(log_depth, sigma, certainty, tuple(maps), log_filled, near, ground, below)


def _ground(prior: Prior) -> tuple[torch.Tensor, torch.Tensor]:
    """Logarithm of the ground's depth, m; and 1 where rays meet it, else 0."""
    below = (prior.slope > _LEAST_SLOPE).to(prior.slope.dtype) * prior.known
    return torch.log(prior.height / prior.slope.clamp(min=_LEAST_SLOPE)), below


def _coded(depth: torch.Tensor, log_depth: torch.Tensor, prior: Prior) -> torch.Tensor:
    """Four channels that mean the same for a robot and a truck, and any focal length.

    Depth over that of the plane; depth that the reference camera would see; slope; height over the
    plane, in heights of the camera.
    """
    slope = prior.height / depth
    log_plane, below = _ground(prior)
    return torch.cat(
        [
            2 * (log_depth - log_plane).clamp(-_MOST_RATIO, _MOST_RATIO) * below,
            log_depth - focal_shift(prior.focal) - USUAL_LOG_DEPTH,
            4 * slope.clamp(max=_MOST_SLOPE) * prior.known,
            (1 - prior.slope / slope).clamp(-_MOST_HEIGHT, _MOST_HEIGHT) * prior.known,
        ],
        dim=1,
    )


def _pooled(maps: torch.Tensor) -> torch.Tensor:
    """Maps at twice the stride: values by their certainty, certainty and validity on average."""
    values, worth, valid = maps[:, :-2], maps[:, -2:-1], maps[:, -1:]
    sums = functional.avg_pool2d(torch.cat([values * worth, worth, valid], dim=1), 2)
    values, worth = sums[:, :-2], sums[:, -2:-1]
    return torch.cat([values / worth.clamp(min=1e-6), sums[:, -2:]], dim=1)


def _filled(inverse: list[torch.Tensor], worth: list[torch.Tensor]) -> torch.Tensor:
    """Inverse depth everywhere, 1/m: of each level where it knows, else of the next coarser one.

    Args:
        inverse: By level, inverse depth times certainty, pooled.
        worth: By level, certainty, pooled.
    """
    total, weight = inverse[-1].mean((2, 3), keepdim=True), worth[-1].mean((2, 3), keepdim=True)
    out = total / weight.clamp(min=1e-6) + torch.zeros_like(worth[-1])
    for level in reversed(range(len(worth))):
        known = (worth[level] * _FULL).clamp(max=1.0)
        own = inverse[level] / worth[level].clamp(min=1e-6)
        out = out + known * (own - out)
        if level:
            out = _up(out)
    return out


def carried(offset: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Carry offsets to where there are none, less the farther and the fewer there are.

    From the whole image down to stride 8, each level is the mean of what it knows and of the level
    above it, which counts as so much weight; above the image there is no offset. So a few
    measurements on the road change little of a house, and a scale that is wrong all over is found.

    Args:
        offset: (N, 1, h, w).
        weight: (N, 1, h, w), what each is worth, 0 to 1; 0 where there is none.

    Returns:
        (N, 1, h, w); exactly 0 in an image without weight.
    """
    levels = [torch.cat([offset * weight, weight], dim=1)]
    for _ in range(1, LEVELS):
        levels.append(functional.avg_pool2d(levels[-1], 2))
    image = levels[-1].mean((2, 3), keepdim=True)
    out = image[:, :1] / (image[:, 1:] + _IMAGE_PRIOR) + torch.zeros_like(levels[-1][:, :1])
    around = functional.avg_pool2d(levels[-1], _BLUR, 1, _BLUR // 2)
    out = _towards(out, around, _BLURRED_PRIOR)
    for level in reversed(range(LEVELS)):
        if level >= _CARRIED_FROM:
            out = _towards(out, levels[level], _NEAR_PRIOR)
        if level:
            out = _up(out)
    return out


def _towards(out: torch.Tensor, level: torch.Tensor, prior: float) -> torch.Tensor:
    """Mean of a level's offsets and of coarser ones, which count as much as `prior`."""
    total, weight = level[:, :1], level[:, 1:]
    return (total + prior * out) / (weight + prior)


def _up(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class MeasuredInput(nn.Module):
    """Convolutions that add measured maps to the embodied encoder's; they begin with nothing.

    Args:
        widths: Channels of the encoder at strides 4, 8, 16 and 32.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Conv2d(CHANNELS, width, 3, padding=1, bias=False) for width in widths
        )
        for level in self.levels:
            nn.init.zeros_(level.weight)  # type: ignore[arg-type]

    def forward(self, measured: Measured) -> list[torch.Tensor]:
        """What to add before each level's normalisation."""
        pairs = zip(self.levels, measured.maps, strict=True)
        return [convolution(maps) for convolution, maps in pairs]


def _comparisons(
    measured: Measured, log_depth: torch.Tensor, confidence: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """How measurements compare with depth from the image.

    Which is not to learn from it: it is the measurement that is judged.

    Returns:
        (N, `_COMPARISONS`, h, w); and (N, 1, h, w) by how many of its expected errors a measurement
        is off, 0 where there is none.
    """
    log_depth, confidence = log_depth.detach(), confidence.detach()
    known = (measured.certainty > 0).to(log_depth.dtype)
    off = (measured.log_depth - log_depth) * known
    error = torch.exp(confidence.clamp(-4.0, 1.0)) + measured.sigma
    surprise = (off.abs() / error).clamp(max=_MOST_SURPRISE)
    off = off.clamp(-_MOST_RATIO, _MOST_RATIO)
    to_filled = (measured.log_filled - log_depth).clamp(-_MOST_RATIO, _MOST_RATIO) * measured.near
    seen = surprise / _USUAL_SURPRISE
    maps = [off, off.abs(), seen, confidence, measured.certainty, to_filled]
    return torch.cat(maps, dim=1), surprise


def _certainty_beside(measured: Measured, ground: torch.Tensor) -> torch.Tensor:
    """What measurements are worth, 0 to 1, where so much (0 to 1) is the ground without them."""
    usual = USUAL_SIGMA * torch.exp(ground * math.log(GROUND_SIGMA / USUAL_SIGMA))
    known = (measured.certainty > 0).to(ground.dtype)
    return known / (1 + (measured.sigma / usual) ** 2)


@dataclass
class Bound:
    """Depth that was bound to what is measured, all (N, 1, h, w).

    Attributes:
        log_depth: Natural logarithm of the result, m.
        log_own: Of the network's own depth, which measurements around may have a part in.
        distrust: Logits of a measurement being wrong.
        share: Of the measurement in the result, 0 to 1.
        confidence: Natural logarithm of the expected error of `log_depth`.
    """

    log_depth: torch.Tensor
    log_own: torch.Tensor
    distrust: torch.Tensor
    share: torch.Tensor
    confidence: torch.Tensor


class MeasuredOutput(nn.Module):
    """Binds the network's depth to what is measured.

    At first measurements are followed as far as their deviation says, and by how much the network
    was off there it is corrected around them. The result differs from a measurement that is sure
    only where the network distrusts it; the expected error is then that of the network's own depth.

    Distrust begins with what the two say of each other. Were a measurement right, it would be off
    from the image by Laplace's law with the expected error; were it wrong, anywhere: the logit of
    that grows by one with each expected error. So what moves along beside the vehicle, and is
    measured ten times as far, does not take the place of what is seen.

    The ground that goes into the network is a witness of its own, of the road: where the network
    takes it for what is seen and its own depth agrees, that is surer than its depth elsewhere. So
    measurements have less of a part there the less sure they are, what contradicts both is ruled
    out sooner, and around measurements only those of the ground correct it: what a wall beside the
    road is off by says nothing of the road.

    Args:
        channels: Of the features.
    """

    _DISTRUST, _FILL, _CARRY = -6.0, -2.0, 4.0
    _SPREAD, _CHANGE = -0.25, -0.4

    def __init__(self, channels: int) -> None:
        super().__init__()
        # Distrust, completion, correction, logarithms of how much larger errors are than the
        # deviation of measurements, and than the error of the network's own depth.
        biases = (self._DISTRUST, self._FILL, self._CARRY, self._SPREAD, self._CHANGE)
        self.head = nn.Conv2d(channels, len(biases), 1)
        nn.init.zeros_(self.head.weight)
        with torch.no_grad():
            self.head.bias.copy_(torch.tensor(biases))  # type: ignore[union-attr]
        # Whether a measurement is wrong hangs on how it compares with what the image says.
        last = nn.Conv2d(_COMPARED, len(biases), 1, bias=False)
        nn.init.zeros_(last.weight)
        self.compare = nn.Sequential(
            nn.Conv2d(channels + _COMPARISONS, _COMPARED, 1), nn.LeakyReLU(0.1), last
        )

    def keep_distrust(self) -> None:
        """Let distrust be what it begins with while the rest learns.

        What wrong measurements look like hangs on how wrong the network is, which is more on real
        drives than on those that it learns from.
        """

        def without_first(gradient: torch.Tensor) -> torch.Tensor:
            gradient = gradient.clone()
            gradient[0] = 0
            return gradient

        last: Any = self.compare[-1]
        for weight in (self.head.weight, self.head.bias, last.weight):
            assert weight is not None
            weight.register_hook(without_first)

    def forward(
        self,
        measured: Measured,
        features: torch.Tensor,
        log_depth: torch.Tensor,
        confidence: torch.Tensor,
        plane: torch.Tensor,
    ) -> Bound:
        """Bind depth.

        Args:
            measured: What is measured.
            features: (N, channels, h, w).
            log_depth: (N, 1, h, w) of the network without measurements, m.
            confidence: (N, 1, h, w) logarithm of its expected error.
            plane: (N, 1, h, w) logits of a pixel showing the road, by the network.
        """
        ground = measured.like_ground(log_depth.detach()) * torch.sigmoid(plane.detach())
        comparisons, surprise = _comparisons(measured, log_depth, confidence)
        compared = self.compare(torch.cat([features, comparisons], dim=1))
        distrust, fill, carry, spread, change = (self.head(features) + compared).split(1, dim=1)
        surprise = surprise * (1 + _GROUND_SURPRISE * ground)
        distrust = distrust + surprise.clamp(max=_MOST_SURPRISE)
        filled = torch.sigmoid(fill) * measured.near * (1 - ground)
        log_own = log_depth + filled * (measured.log_filled - log_depth)
        trusted = torch.sigmoid(-distrust)
        share = trusted * _certainty_beside(measured, ground)
        offset = measured.log_depth - log_own
        worth = share / (1 + (offset / USUAL_OFFSET) ** 2)
        offset = offset.clamp(-_MOST_OFFSET, _MOST_OFFSET)
        around = carried(offset, worth)
        of_ground = carried(offset, worth * measured.like_ground(measured.log_depth))
        around = around + ground * (of_ground - around)
        log_own = log_own + torch.sigmoid(carry) * around
        confidence = confidence + change * measured.near
        result = log_own + share * (measured.log_depth - log_own)
        # The share learns from depth alone: a small expected error is no reason to follow. What the
        # ground takes of it is no doubt: the mean of what agrees is as sure as a measurement.
        weight = (trusted * measured.certainty).detach()
        spread = spread + _GROUND_SPREAD * ground
        expected = (measured.sigma + SIGMA_FLOOR) * torch.exp(
            (spread - confidence).clamp(-20.0, 20.0)
        )
        grown = torch.log(1 + weight * (expected - 1))
        return Bound(result, log_own, distrust, share, confidence + grown)
