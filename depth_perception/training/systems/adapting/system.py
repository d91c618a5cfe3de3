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

"""Adapting: the fused network learns from a vehicle's drives, whose teacher is motion.

In: windows of drives with depth that was measured forth and back in time (`adaptation.recording`),
and what is rehearsed. Out: a checkpoint of the fused network like any other. On top of the fused
network's loss come, each with its weight, 0 for none:

- ckd: cross-interaction of bins (system 4): probabilities of the student's bins are those of the
  teacher's depth, and with the student's centres these make that depth;
- vrkd: how places of neighbouring cameras relate, as the network with all measurements sees them
  (system 4);
- photometric, guided: consecutive frames look alike where depth and motion bring one to the other,
  in colours and in features that a foundation model, or the image encoder, guides (system 1);
- reflections: where only a mirror explains what frames say, the measured teacher is not believed:
  depth from one image, of the network before, stands in for it (system 5).

With `gates_first` the bridging gates alone learn for so many steps (system 2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from depth_perception.errors import ConfigurationError
from depth_perception.network.checkpoint import load_checkpoint, with_measured_input
from depth_perception.network.fused import FusedOutput, FusedSurround
from depth_perception.training.configuration import TrainingConfiguration
from depth_perception.training.system import Batch
from depth_perception.training.systems.adapting import samples
from depth_perception.training.systems.adapting.views import (
    Decomposition,
    FoundationGuide,
    TrunkGuide,
    decomposed,
    photometric_terms,
)
from depth_perception.training.systems.fused import system as fused
from depth_perception.training.systems.surround_distillation import losses as distillation
from depth_perception.training.systems.surround_distillation.system import (
    SurroundDistillationOptions,
    distillation_terms,
)
from depth_perception.training.systems.surround_distillation.teachers import Oracle, small_truth

GATES = ("gate", "fine_gate", "finer_gates")
_OWN_RATE = 2e-3
"""Of what is not kept: the decomposition, and the projection of features."""


@dataclass(frozen=True)
class AdaptingOptions:
    """What only adapting has. A weight of 0 turns its term off.

    Attributes:
        drives: Sources of the vehicle: of these, neighbours in time and space are looked at.
        cameras: How many stand side by side; below 2 none do.
        ckd: Weight of cross-interaction distillation.
        vrkd: Weight of view-relational distillation.
        photometric: Weight of view synthesis in colours.
        guided: Weight of view synthesis in features.
        features: Name or folder of CLIP, DINOv2 or SAM, whose features guide; none: the network's
            own image encoder.
        reflections: Whether mirrors are looked for.
        warm_up: Steps until the decomposition is believed.
        gates_first: Steps in which the bridging gates alone learn.
    """

    drives: tuple[str, ...] = ()
    cameras: int = 3
    ckd: float = 0.03
    vrkd: float = 0.05
    photometric: float = 0.5
    guided: float = 0.2
    features: tuple[str, ...] = ()
    reflections: bool = True
    warm_up: int = 100
    gates_first: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name in ("ckd", "vrkd", "photometric", "guided"):
            if not getattr(self, name) >= 0:
                raise ConfigurationError(
                    f"options.{name} {getattr(self, name)}", expected="0 or more"
                )
        if self.warm_up < 0 or self.gates_first < 0:
            raise ConfigurationError(
                f"options: warm_up {self.warm_up}, gates_first {self.gates_first}",
                expected="0 or more",
            )

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of neighbours that are looked at, see `samples.batches`."""
        frames = max(self.photometric, self.guided) > 0 or self.reflections
        together = self.vrkd > 0 and self.cameras > 1
        return (("frames",) if frames else ()) + (("cameras",) if together else ())


class Student(nn.Module):
    """The fused network, and what helps it to learn and is not kept.

    Attributes:
        network: What is kept.
        project: Of its features, before tokens are related; None without relations.
        decomposition: Splits images; None where no mirrors are looked for.
    """

    def __init__(self, network: FusedSurround, options: AdaptingOptions, trunk: Any) -> None:
        super().__init__()
        self.network = network
        self.project: nn.Conv2d | None = None
        self.decomposition = Decomposition(trunk) if options.reflections else None
        if "cameras" in options.kinds:
            width = network.configuration.widths[0]
            self.project = nn.Conv2d(width, width, 1, bias=False)
            nn.init.dirac_(self.project.weight)

    def forward(
        self,
        image: torch.Tensor | None,
        rays: torch.Tensor,
        camera: torch.Tensor,
        measured: torch.Tensor | None = None,
        features: Any = None,
    ) -> FusedOutput:
        """See `FusedSurround`."""
        out: FusedOutput = self.network(image, rays, camera, measured, features)
        return out


class Training(fused.Training):
    """See the module's head and `system.System`."""

    OPTIONS: Any = AdaptingOptions

    def __init__(self) -> None:
        super().__init__()
        self._before: FusedSurround | None = None
        self._guide: Any = None
        self._learning: set[str] = set()

    def build(self, configuration: TrainingConfiguration) -> nn.Module:
        """Make the student of `start`, and what teaches it.

        Raises:
            ConfigurationError: No start, or no drives.
            ModelError: A foundation model cannot be read.
        """
        o: AdaptingOptions = configuration.options
        if not configuration.start:
            raise ConfigurationError(
                "start is empty", expected="weights that are adapted", fix="name a weights.pt"
            )
        if o.kinds and not o.drives:
            raise ConfigurationError(
                "options.drives is empty",
                expected="the vehicle's data among data.folders",
                fix="name them, or turn photometric, guided, reflections and vrkd off",
            )
        network = super().build(configuration)
        assert isinstance(network, FusedSurround)
        before, _ = load_checkpoint(configuration.start)
        if configuration.network.measured:
            before = with_measured_input(before)
        self._before = before.eval().requires_grad_(False)
        if o.guided and "frames" in o.kinds:
            self._guide = _guide(o.features, before)
        self._learning = {n for n, weight in network.named_parameters() if weight.requires_grad}
        return Student(network, o, before.trunk)

    def groups(
        self, model: nn.Module, configuration: TrainingConfiguration
    ) -> list[dict[str, Any]]:
        """As of the fused network; what is not kept learns by a rate of its own."""
        assert isinstance(model, Student)
        groups = super().groups(model.network, configuration)
        rest = [p for m in (model.project, model.decomposition) if m for p in m.parameters()]
        return [*groups, {"params": rest, "lr": _OWN_RATE}] if rest else groups

    def batches(
        self, configuration: TrainingConfiguration, first: int, rank: int, ranks: int
    ) -> Iterator[Batch]:
        """See `samples.batches`.

        Raises:
            ConfigurationError: Several processes: of what is not kept they would not agree.
        """
        if ranks > 1:
            raise ConfigurationError(
                f"system adapting in {ranks} processes",
                expected="one: a drive's images are few",
                fix="start it without torchrun",
            )
        o: AdaptingOptions = configuration.options
        return samples.batches(configuration, o.drives, o.cameras, o.kinds, first, rank, ranks)

    def loss(
        self, model: nn.Module, batch: Batch, configuration: TrainingConfiguration
    ) -> tuple[torch.Tensor, Batch]:
        """The fused network's loss, and the terms of the module's head."""
        o: AdaptingOptions = configuration.options
        assert isinstance(model, Student)
        if o.gates_first:
            self._let_learn(model.network, gates_alone=int(batch["step"]) < o.gates_first)
        near = len(batch["K"]) if "K" in batch else len(batch["pose"]) if "pose" in batch else 0
        all_measured = batch["measured"]
        batch = {**batch, "measured": _dropped(all_measured, near, configuration)}
        terms: Batch = {}
        keep = None
        if "K" in batch and model.decomposition is not None:
            terms["decomposition"], keep = self._mirrors(model.decomposition, batch, o)
        out: FusedOutput = model(batch["image"], batch["rays"], batch["camera"], batch["measured"])
        total, parts = fused.fused_loss(out, batch, configuration.loss)
        terms.update(self._between_frames(out, batch, keep, o))
        terms.update(self._distilled(model, out, batch, all_measured, configuration))
        for name, value in terms.items():
            total = total + getattr(o, name, 1.0) * value
        masked = {} if keep is None else {"mirrors": 1 - keep.mean()}
        return total, {**parts, **{k: v.detach() for k, v in terms.items()}, **masked}

    def _let_learn(self, network: FusedSurround, gates_alone: bool) -> None:
        """Let the bridging gates alone learn, or all that the schedule lets."""
        for name, weight in network.named_parameters():
            wanted = name in self._learning
            weight.requires_grad_(wanted and (not gates_alone or name.split(".")[0] in GATES))

    def _mirrors(
        self, network: Decomposition, batch: Batch, o: AdaptingOptions
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss of the decomposition, and where to believe; changes the depth that is taught."""
        near = len(batch["K"])
        surface = self._from_one_image(batch, near)
        image, views = batch["image"][:near].float() / 255, batch["views"].float() / 255
        taught = batch["depth"][:near, None]
        loss, keep = decomposed(network, image, views, surface, batch["K"], batch["T"], taught)
        if int(batch["step"]) < o.warm_up:
            keep = torch.ones_like(keep)
        depth = batch["depth"].clone()
        depth[:near] = torch.where(keep[:, 0] > 0.5, depth[:near], surface[:, 0])
        batch["depth"] = depth
        return loss, keep

    @torch.no_grad()
    def _from_one_image(self, batch: Batch, near: int) -> torch.Tensor:
        """Depth (near, 1, H, W), m, of the network before, of images alone."""
        before = self._of(batch)
        nothing = torch.zeros_like(batch["measured"][:near])
        out = before(batch["image"][:near], batch["rays"][:near], batch["camera"][:near], nothing)
        size = batch["depth"].shape[-2:]
        wide = functional.interpolate(
            out.log_depth.float(), size, mode="bilinear", align_corners=False
        )
        return torch.exp(wide)

    def _of(self, batch: Batch) -> FusedSurround:
        assert self._before is not None
        return self._before.to(batch["image"].device)

    def _between_frames(
        self, out: FusedOutput, batch: Batch, keep: torch.Tensor | None, o: AdaptingOptions
    ) -> Batch:
        if "K" not in batch or not max(o.photometric, o.guided):
            return {}
        near, size = len(batch["K"]), batch["depth"].shape[-2:]
        with torch.autocast(batch["image"].device.type, enabled=False):
            depth = functional.interpolate(
                torch.exp(out.log_depth[:near].float()), size, mode="bilinear", align_corners=False
            )
            ground = torch.ones_like(depth) if keep is None else keep
            seen = ground * (batch["label"][:near, None] != fused.SKY)
            guide = None if self._guide is None else self._guide.to(depth.device)
            image, views = batch["image"][:near].float() / 255, batch["views"].float() / 255
            return photometric_terms(image, views, depth, batch["K"], batch["T"], seen, guide)

    def _distilled(
        self,
        model: Student,
        out: FusedOutput,
        batch: Batch,
        measured: torch.Tensor,
        configuration: TrainingConfiguration,
    ) -> Batch:
        """Terms of `systems.surround_distillation`, with motion as the teacher."""
        o: AdaptingOptions = configuration.options
        teacher = Oracle(configuration.network, "teacher", 1.0)
        terms: Batch = {}
        if o.ckd:
            weights = SurroundDistillationOptions(ckd=1.0, vrkd=0.0, chamfer=0.0)
            terms = distillation_terms(out, teacher(batch, 1, out), batch, 1, weights)
        if "pose" not in batch or model.project is None:
            return terms
        near, cameras = len(batch["pose"]), int(batch["cameras"])
        with torch.no_grad():
            known = small_truth({k: batch[k][:near] for k in ("depth", "label")})[1]
            seen = self._of(batch)(
                *(batch[k][:near] for k in ("image", "rays", "camera")), measured[:near]
            )
        values, speaks = distillation.tokens(model.project(out.features[:near]), known, cameras)
        theirs = distillation.tokens(seen.features, known, cameras)
        terms["vrkd"] = distillation.relation_error(
            distillation.similarity(*theirs),
            distillation.similarity(values, speaks),
            speaks,
            distillation.sides(batch["pose"].unflatten(0, (-1, cameras))),
        )
        return terms

    @torch.inference_mode()
    def validate(
        self, model: nn.Module, configuration: TrainingConfiguration, device: torch.device
    ) -> dict[str, float]:
        """As of the fused network."""
        assert isinstance(model, Student)
        return super().validate(model.network, configuration, device)

    def save(self, model: nn.Module, path: Path, facts: dict[str, Any]) -> None:
        """Write the network alone, which `network.checkpoint.load_checkpoint` reads."""
        assert isinstance(model, Student)
        super().save(model.network, path, facts)


def _guide(names: tuple[str, ...], before: FusedSurround) -> nn.Module:
    """What guides the comparison of frames: the first model of images, or the image encoder."""
    if not names:
        return TrunkGuide(before.trunk)
    from depth_perception.training.foundation import image_encoder, text_encoder

    encoder = image_encoder(names[0])
    return FoundationGuide(encoder, text_encoder(names[0]) if encoder.family == "clip" else None)


def _dropped(
    measured: torch.Tensor, near: int, configuration: TrainingConfiguration
) -> torch.Tensor:
    """Measured depth without that of some of the images with neighbours, as of others before."""
    drop = torch.rand(near, device="cpu") < configuration.data.measured_drop
    keep = torch.ones(len(measured))
    keep[:near] = 1 - drop.float()
    return measured * keep.to(measured)[:, None, None, None]
