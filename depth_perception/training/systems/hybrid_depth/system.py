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

"""Training Hybrid-depth: CLIP and DINO together as the encoder of self-supervised depth.

Two stages, each a run: `options.stage: ranking` teaches the encoder which of two points of a lane
is farther, with depth words; `options.stage: depth` learns depth from video, beginning with the
encoder of the first (`options.start_encoder`), by a Monodepth2-type or ManyDepth-type pipeline.
Source: ICCV 2025, arXiv 2510.09320, methods.md section 1; differences stand in `encoder`,
`self_supervised`, `cost_volume` and `ranking`. Depth is up to scale unless `options.posed`
or `options.embodied`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from depth_perception.errors import ConfigurationError
from depth_perception.network.depth_coding import depth_of_disparity
from depth_perception.training import scoring
from depth_perception.training.configuration import TrainingConfiguration
from depth_perception.training.embodied_scene import Classes, anchor_error
from depth_perception.training.fit import batches_of, checked_folders
from depth_perception.training.samples import TrainingImages
from depth_perception.training.self_supervised import score_triplets, view_loss
from depth_perception.training.systems.hybrid_depth import ranking
from depth_perception.training.systems.hybrid_depth import runs as hybrid_runs
from depth_perception.training.systems.hybrid_depth.cost_volume import consistency
from depth_perception.training.systems.hybrid_depth.networks import HybridDepthOptions, Views
from depth_perception.training.triplets import DRIVES, Triplets

load = hybrid_runs.load
predict = hybrid_runs.predict
_OFFSETS = 4.0
"""Lanes are drawn up to so far to both sides, m."""


class Training:
    """Hybrid-depth's two stages; see `system.System`."""

    OPTIONS = HybridDepthOptions

    def build(self, configuration: TrainingConfiguration) -> nn.Module:
        """Make the networks, with the weights that the options name."""
        model = hybrid_runs.built(configuration.options)
        if configuration.start:
            hybrid_runs.begun(model, configuration.options, configuration.start)
        return model

    def batches(
        self, configuration: TrainingConfiguration, first: int, rank: int, ranks: int
    ) -> Iterator[dict[str, torch.Tensor]]:
        """Triplets of all sizes, without end; for stage 1 images."""
        data, o = configuration.data, configuration.options
        checked_folders(configuration, DRIVES)
        images: Any
        if o.stage == "ranking":
            images = TrainingImages(data)
        else:
            classes = Classes(o.segments) if o.embodied else None
            images = Triplets(data, step=o.step, classes=classes, posed=o.posed)
        if not len(images):
            raise ConfigurationError(
                f"data.folders {list(data.folders)} have no three frames in a row",
                expected=f"drives of {2 * o.step + 1} frame sets or more",
                fix="make data of drives, or lower options.step",
            )
        return batches_of(images, configuration, first, rank, ranks)

    def groups(
        self, model: nn.Module, configuration: TrainingConfiguration
    ) -> list[dict[str, Any]]:
        """What is pretrained learns slower than the rest; frozen weights are left out."""
        old: list[nn.Parameter] = []
        new: list[nn.Parameter] = []
        for name, p in model.named_parameters():
            if p.requires_grad:
                pretrained = any(f".{part}." in f".{name}" for part in ("trunk", "clip", "dino"))
                (old if pretrained else new).append(p)
        schedule = configuration.schedule
        groups = [{"params": old, "lr": schedule.trunk_rate}, {"params": new, "lr": schedule.rate}]
        return [group for group in groups if group["params"]]

    def loss(
        self, model: nn.Module, batch: dict[str, torch.Tensor], configuration: TrainingConfiguration
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Of stage 1: ranking and contrast. Of stage 2: see `self_supervised.view_loss`."""
        o: HybridDepthOptions = configuration.options
        if o.stage == "depth":
            return depth_loss(model(batch), batch, o)
        offsets = (torch.rand(len(batch["image"]), o.lanes) * 2 - 1) * _OFFSETS
        points, found = ranking.lane_points(
            batch["label"], batch["rays"], batch["camera"], offsets.to(batch["rays"].device)
        )
        features = model(batch["image"], points)[found]
        plain: Any = getattr(model, "module", model)
        logits = plain.logits(features)
        ranked, apart = ranking.ranking_loss(logits), ranking.contrast_loss(features)
        lanes = found.float().sum() / len(found)
        return ranked + apart, {
            "ranking": ranked.detach(),
            "contrast": apart.detach(),
            "lanes": lanes,
        }

    @torch.inference_mode()
    def validate(
        self, model: nn.Module, configuration: TrainingConfiguration, device: torch.device
    ) -> dict[str, float]:
        """Of stage 1 how well words rank; of stage 2 `scoring`'s figures and the reprojection.

        Depth is scored on frames that have one before and one after, so that both pipelines are
        scored on the same, with `posed` on those whose motion is known; of a source without any,
        the single-frame one on all frames, and the other not.
        """
        data, o = configuration.data, configuration.options
        figures: dict[str, float] = {}
        for prefix, source in scoring.held_out(data):
            if o.stage == "ranking":
                found = _rank(model, configuration, source, device)
            else:
                found = _score(model, configuration, source, device)
            figures.update({f"{prefix}{key}": value for key, value in found.items()})
        return figures

    def save(self, model: nn.Module, path: Path, facts: dict[str, Any]) -> None:
        """Write a checkpoint that `load` reads."""
        hybrid_runs.save(path, model, facts)


def depth_loss(
    views: Views, batch: dict[str, torch.Tensor], o: HybridDepthOptions
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """View synthesis and nearness to embodied depth; of two frames also the teacher's."""
    total, parts = _views_loss(views, batch, o)
    if not o.embodied:
        return total, parts
    learners = [views.disparity]
    if views.teacher is not None and not o.start_teacher:
        learners.append(views.teacher)
    for disparity in learners:
        depth = depth_of_disparity(disparity, o.nearest, o.farthest)
        near = anchor_error(depth, batch["embodied"], batch["rays"], batch["camera"], o.farthest)
        total = total + o.embodied * near
        parts.setdefault("embodied", near.detach())
    return total, parts


def _views_loss(
    views: Views, batch: dict[str, torch.Tensor], o: HybridDepthOptions
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    images, K = batch["image"].float() / 255, batch["K"]

    def depth(disparity: torch.Tensor) -> torch.Tensor:
        return depth_of_disparity(disparity, o.nearest, o.farthest)

    if views.teacher is None or views.trust is None:
        return view_loss(images, views.disparity, depth(views.disparity), K, views.T, o.smoothness)
    teacher = depth(views.teacher)
    total, parts = view_loss(
        images,
        views.disparity,
        depth(views.disparity),
        K,
        views.T.detach(),
        o.smoothness,
        views.trust,
    )
    near = consistency(depth(views.disparity), teacher, views.trust)
    total = total + near
    if not o.start_teacher:
        own, of_teacher = view_loss(images, views.teacher, teacher, K, views.T, o.smoothness)
        total = total + own
        parts["teacher_reprojection"] = of_teacher["reprojection"]
    return total, {**parts, "consistency": near.detach(), "trusted": views.trust.mean()}


def _score(
    model: nn.Module, configuration: TrainingConfiguration, source: str, device: torch.device
) -> dict[str, float]:
    data, o = configuration.data, configuration.options

    def of_triplets(batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        views: Views = model(batch)
        return depth_of_disparity(views.disparity, o.nearest, o.farthest), views.T

    def of_images(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        network: Any = model
        return depth_of_disparity(network.depth(batch["image"].float()), o.nearest, o.farthest)

    found = score_triplets(
        of_triplets, data, source, step=o.step, most=o.most, device=device, posed=o.posed
    )
    if found:
        return found
    if o.pipeline == "multi_frame":  # it needs the frame before, and the motion
        return {}
    return scoring.score(of_images, data, source, most=o.most, device=device)


def _rank(
    model: Any, configuration: TrainingConfiguration, source: str, device: torch.device
) -> dict[str, float]:
    data, o = configuration.data, configuration.options
    images = TrainingImages(data, (source,), change=False)
    most = min(o.most or len(images), len(images))
    offsets = torch.linspace(-_OFFSETS, _OFFSETS, o.lanes + 2, device=device)[None, 1:-1]
    logits = []
    for k in range(most):
        item = images[(k * len(images) // most, 0, 0)]
        batch = {name: value[None].to(device) for name, value in item.items()}
        points, found = ranking.lane_points(batch["label"], batch["rays"], batch["camera"], offsets)
        if found.any():
            logits.append(model.logits(model(batch["image"], points)[found]))
    return ranking.rank_figures(torch.cat(logits)) if logits else {}
