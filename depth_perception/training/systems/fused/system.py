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

"""Training the fused network: its samples, loss and figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from depth_perception.errors import ConfigurationError
from depth_perception.inference.model_file import STRIDE
from depth_perception.network.checkpoint import load_checkpoint, save_checkpoint
from depth_perception.network.configuration import NetworkConfiguration
from depth_perception.network.fused import CLASSES, FusedOutput, FusedSurround
from depth_perception.training import losses, scoring
from depth_perception.training.configuration import (
    LossConfiguration,
    NoOptions,
    TrainingConfiguration,
)
from depth_perception.training.fit import batches_of_images
from depth_perception.training.samples import TrainingImages
from depth_perception.training.systems.fused.looks import Looks, features_of, is_used
from depth_perception.training.systems.fused.style import StyleMix

FARTHEST = 200.0
"""Deeper truth is not learnt, m."""
NEAREST = 0.3
ROAD, FLAT, SKY = (CLASSES.index(name) for name in ("road", "flat", "sky"))
_OF_MEASURED = ("measured_in", "measured_out")
"""Parts of the network that measured depth brings."""
_MAY_GROW = ("gates", "fine_gate", "finest_gate", "measured", "peak_reach")
"""What of a network's configuration may be other than that of the weights that it starts from."""
_MOST_TESTS = 120
"""Images of each of `data.tests` that are scored."""
_WRONG, _WRONG_SIGMAS = 0.1, 3.0
"""A measurement is wrong from this relative error on, and from so many of its deviations."""
_SKY_DEPTH = 5.0
"""Logarithm of the depth, m, that the sky is at least: 150 m."""


class Training:
    """The fused network on images of the synthetic world; see `system.System`."""

    OPTIONS = NoOptions

    def __init__(self) -> None:
        """Make a system without looks; `build` opens them."""
        self._looks: Looks | None = None

    def build(self, configuration: TrainingConfiguration) -> nn.Module:
        """Make the network, with ImageNet's weights or those of `start`."""
        network = self._network(configuration)
        if configuration.data.style_mix:
            for stage in network.trunk.stages[:2]:
                stage.register_forward_hook(StyleMix(configuration.data.style_mix))
        if not configuration.schedule.trunk_rate:
            network.trunk.requires_grad_(False)
        if network.measured_out is not None and not configuration.loss.distrust:
            network.measured_out.keep_distrust()
        self._looks = Looks(configuration, network.trunk) if is_used(configuration) else None
        return network

    def _network(self, configuration: TrainingConfiguration) -> FusedSurround:
        if not configuration.start:
            return FusedSurround(configuration.network)
        network, _ = load_checkpoint(configuration.start)
        if network.configuration != configuration.network:
            grown = self._grown(network, configuration.network)
            if grown is not None:
                return grown
            raise ConfigurationError(
                f"start '{configuration.start}' holds another network",
                expected=str(configuration.network),
                fix="correct network, or leave start empty",
            )
        network.set_temperature(1.0)
        return network

    @staticmethod
    def _grown(start: FusedSurround, wanted: NetworkConfiguration) -> FusedSurround | None:
        """The network with more gates, or measured depth, which begin as the identity.

        None where more differs.
        """
        may_differ = {name: getattr(wanted, name) for name in _MAY_GROW}
        if replace(start.configuration, **may_differ) != wanted:
            return None
        network = FusedSurround(wanted, pretrained=False)
        left = network.load_state_dict(start.state_dict(), strict=False)
        return None if left.unexpected_keys else network

    def batches(
        self, configuration: TrainingConfiguration, first: int, rank: int, ranks: int
    ) -> Iterator[dict[str, torch.Tensor]]:
        """Changed images of all sizes, or looks, without end."""
        if self._looks is not None:
            return self._looks.batches(configuration, first, rank, ranks)
        return batches_of_images(configuration, first, rank, ranks)

    def groups(
        self, model: nn.Module, configuration: TrainingConfiguration
    ) -> list[dict[str, Any]]:
        """The pretrained image encoder learns slower than the rest, and weights of a start may."""
        schedule = configuration.schedule
        named = [(name.split(".")[0], p) for name, p in model.named_parameters()]
        old = [p for part, p in named if part == "trunk" and p.requires_grad]
        known = [p for part, p in named if part != "trunk" and part not in _OF_MEASURED]
        new = [p for part, p in named if part in _OF_MEASURED]
        groups = [{"params": old, "lr": schedule.trunk_rate}]
        if not schedule.start_rate:
            return [*groups, {"params": [*known, *new], "lr": schedule.rate}]
        slow = {"params": known, "lr": schedule.start_rate}
        return [*groups, slow, *([{"params": new, "lr": schedule.rate}] if new else [])]

    def loss(
        self, model: nn.Module, batch: dict[str, torch.Tensor], configuration: TrainingConfiguration
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """See `fused_loss`."""
        features = features_of(batch, configuration.data, model.training)
        return fused_loss(_seen(model, batch, features), batch, configuration.loss)

    @torch.inference_mode()
    def validate(
        self, model: nn.Module, configuration: TrainingConfiguration, device: torch.device
    ) -> dict[str, float]:
        """Figures on held-out frame sets, whole images as calibrated; tests by `scoring`.

        Of a network that takes measured depth also without it: ``alone_abs_rel`` and so on.
        """
        data = configuration.data

        def predict(batch: dict[str, torch.Tensor]) -> torch.Tensor:
            return torch.exp(_seen(model, batch).log_depth)

        tests = replace(data, validation="")
        found = scoring.score_all(predict, tests, most=_MOST_TESTS, device=device)
        if not data.validation:
            return found
        images, figures = TrainingImages(data, (data.validation,), change=False), Figures()
        alone = Figures() if configuration.network.measured else None
        for begin in range(0, len(images), 8):
            items = [images[(i, 0, 0)] for i in range(begin, min(begin + 8, len(images)))]
            batch = {name: torch.stack([x[name] for x in items]).to(device) for name in items[0]}
            figures.add(_seen(model, batch), batch)
            if alone is not None:
                unmeasured = {**batch, "measured": torch.zeros_like(batch["measured"])}
                alone.add(_seen(model, unmeasured), unmeasured)
        without = {} if alone is None else alone.result()
        return {
            **figures.result(),
            **{f"alone_{name}": value for name, value in without.items()},
            **found,
        }

    def save(self, model: nn.Module, path: Path, facts: dict[str, Any]) -> None:
        """Write a checkpoint that `network.checkpoint.load_checkpoint` reads."""
        assert isinstance(model, FusedSurround)
        save_checkpoint(path, model, facts)


def _seen(
    model: nn.Module, batch: dict[str, torch.Tensor], features: Sequence[torch.Tensor] | None = None
) -> FusedOutput:
    out: FusedOutput = model(
        batch.get("image"), batch["rays"], batch["camera"], batch.get("measured"), features
    )
    return out


def fused_loss(
    out: FusedOutput, batch: dict[str, torch.Tensor], weights: LossConfiguration
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Sum of the parts, and each part without its weight.

    depth: log error of the result, farther pixels counting more; silog; bins: log error of the
    bins alone; plane: log error of the tilted plane on the road; gradient; road, sky, semantics:
    cross entropy; confidence: Laplace's likelihood; angle: of the tilted plane, in tenths of a rad;
    peak: cross entropy of the bins. With measured depth: own: log error of the network's depth
    before it is bound to what is measured; distrust: cross entropy of a measurement being wrong.
    """
    depth, label = batch["depth"][:, None], batch["label"]
    size = depth.shape[-2:]
    seen = ((depth > NEAREST) & (depth < FARTHEST)).float()  # NaN is neither
    truth = torch.log(torch.where(seen > 0, depth, torch.ones_like(depth)))

    def wide(x: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(x, size, mode="bilinear", align_corners=False)

    result = wide(out.log_depth)
    far = torch.exp((truth - 2.7) * 0.5).clamp(0.5, 2.0)
    sky = (label == SKY).float()[:, None]
    small_truth, small_seen = truth[..., 2::STRIDE, 2::STRIDE], seen[..., 2::STRIDE, 2::STRIDE]
    road, road_known = losses.shares(label, ROAD, STRIDE)
    above, above_known = losses.shares(label, SKY, STRIDE)
    flat = (label == ROAD) | (label == FLAT)
    on_plane = seen * flat.float()[:, None] * batch["camera"][:, 3, None, None, None].gt(0)
    classes = label[:, 4::8, 4::8].long()  # of a real drive none is known
    parts = {
        "depth": losses.masked_mean((result - truth).abs() * far, seen)
        + 0.2 * losses.masked_mean((_SKY_DEPTH - result).clamp(min=0.0), sky),
        "silog": losses.scale_invariant_error(result, truth, seen),
        "bins": losses.log_error(out.log_bins, small_truth, small_seen),
        "plane": losses.masked_mean((wide(out.log_plane) - truth).abs().clamp(max=1.0), on_plane),
        "gradient": losses.gradient_error(result, truth, seen),
        "road": _cross_entropy(out.road, road, road_known),
        "sky": _cross_entropy(out.sky, above, above_known),
        "semantics": functional.cross_entropy(
            functional.interpolate(out.semantics, scale_factor=2.0, mode="bilinear"),
            classes,
            ignore_index=255,
            reduction="sum",
        )
        / (classes != 255).sum().clamp(min=1),
        "confidence": losses.laplace_error(out.log_depth - small_truth, out.confidence, small_seen),
        "angle": _angle_error(out, small_truth, flat[:, None, 2::STRIDE, 2::STRIDE] * small_seen),
    }
    if weights.peak:
        parts["peak"] = _peak_error(out, small_truth, small_seen)
    if out.bound is not None:
        parts.update(_bound_errors(out, small_truth, small_seen, sky[..., 2::STRIDE, 2::STRIDE]))
    total = sum(getattr(weights, name) * value for name, value in parts.items())
    return total, {name: value.detach() for name, value in parts.items()}


def _bound_errors(
    out: FusedOutput, log_truth: torch.Tensor, seen: torch.Tensor, sky: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Parts of the loss that only a network with measured depth has; all at stride 4.

    A measurement is wrong where it is off by more than `_WRONG` and `_WRONG_SIGMAS` of its
    deviations, or where the sky is.
    """
    bound, measured = out.bound, out.measured
    assert bound is not None and measured is not None and out.own_confidence is not None
    off = (measured.log_depth - log_truth).abs()
    wrong = (off > _WRONG).float() * (off > _WRONG_SIGMAS * measured.sigma).float()
    known = (measured.certainty > 0).float() * (seen + sky).clamp(max=1.0)
    own = losses.laplace_error(bound.log_own - log_truth, out.own_confidence, seen)
    bound_error = losses.laplace_error(out.log_depth - log_truth, out.confidence, seen)
    return {
        "own": losses.log_error(bound.log_own, log_truth, seen),
        "distrust": _cross_entropy(bound.distrust, torch.maximum(wrong, sky), known),
        "confidence": (own + bound_error) / 2,
    }


def _peak_error(out: FusedOutput, log_truth: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Cross entropy of the bins: the truth is shared by the two whose centres are beside it."""
    assert out.logits is not None
    centres = out.centres[:, :, None, None].detach()
    # How far each bin's centre is from the truth, in widths: 1 at it, 0 one bin away.
    widths = torch.gradient(out.centres.detach(), dim=1)[0][:, :, None, None]
    near = (1 - (log_truth - centres).abs() / widths).clamp(min=0.0)
    near = near / near.sum(1, keepdim=True).clamp(min=1e-6)
    wrong = -(near * torch.log_softmax(out.logits, dim=1)).sum(1, keepdim=True)
    return losses.masked_mean(wrong, seen)


def _angle_error(out: FusedOutput, log_truth: torch.Tensor, flat: torch.Tensor) -> torch.Tensor:
    """How far the plane is tilted wrong on flat ground, in tenths of a rad: alike near and far."""
    wanted = out.prior.height * torch.exp(-log_truth) - out.prior.slope
    return losses.masked_mean(10 * (out.tilt - wanted).abs().clamp(max=0.2), flat * out.prior.known)


def _cross_entropy(logits: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    wrong = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return losses.masked_mean(wrong, mask)


class Figures:
    """Metrics over a validation set: add batches, then ask."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, float] = {}

    def add(self, out: FusedOutput, batch: dict[str, Any]) -> None:
        """Take one batch."""
        depth, label = batch["depth"][:, None], batch["label"][:, None]
        wide = functional.interpolate(
            out.log_depth, depth.shape[-2:], mode="bilinear", align_corners=False
        )
        seen = (depth > NEAREST) & (depth < 80.0)
        relative = (torch.exp(wide) / depth - 1).abs()
        for name, mask in (("", seen), ("road_", seen & (label == ROAD))):
            if mask.any():
                self._add(f"{name}abs_rel", relative[mask])
                self._add(f"{name}a10", (relative[mask] < 0.1).float())
        if not (label != 255).any():  # a real drive: nobody said what is what
            return
        road = functional.interpolate(out.road, depth.shape[-2:], mode="bilinear") > 0
        known, is_road = label != 255, label == ROAD
        both, either = known & road & is_road, known & (road | is_road)
        self._sums["road_iou"] = self._sums.get("road_iou", 0.0) + float(both.sum())
        self._counts["road_iou"] = self._counts.get("road_iou", 0.0) + float(either.sum())
        sky = functional.interpolate(out.sky, depth.shape[-2:], mode="bilinear") > 0
        self._add("sky_accuracy", (sky == (label == SKY))[known].float())

    def _add(self, name: str, values: torch.Tensor) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + float(values.double().sum())
        self._counts[name] = self._counts.get(name, 0.0) + values.numel()

    def result(self) -> dict[str, float]:
        """Means over all pixels, and the road's intersection over union."""
        return {name: total / max(self._counts[name], 1) for name, total in self._sums.items()}
