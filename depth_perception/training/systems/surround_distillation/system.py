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

"""Surround distillation: the fused network learns from a teacher of depth, whole rigs at a time.

In: neighbouring cameras of an instant (`samples`), and a teacher (`teachers`). Out: a
checkpoint of the fused network like any other, which `depth_perception export` takes. The student
trains as `systems.fused` says; on top come the terms of `losses`, each with its weight.
Source: RA-L 2026, arXiv 2512.08700; methods.md section 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from depth_perception.errors import ConfigurationError
from depth_perception.network.checkpoint import load_checkpoint
from depth_perception.network.fused import FusedOutput, FusedSurround
from depth_perception.training import losses, scoring
from depth_perception.training.configuration import TrainingConfiguration
from depth_perception.training.fit import batches_of, checked_folders
from depth_perception.training.systems.fused import system as fused
from depth_perception.training.systems.surround_distillation import losses as distillation
from depth_perception.training.systems.surround_distillation.overlap import overlap_error
from depth_perception.training.systems.surround_distillation.samples import RigSamples
from depth_perception.training.systems.surround_distillation.teachers import (
    SLOTS,
    Teacher,
    TeacherOutput,
    find,
    small_truth,
)
from depth_perception.training.targets import WithTargets

RELATIONS = ("", "features", "place", "bins")


@dataclass(frozen=True)
class SurroundDistillationOptions:
    """What only surround distillation has. A weight of 0 turns its term off.

    Attributes:
        teacher: "oracle": exact truth; a path of weights.pt of the fused network, of any size; or
            the name or folder of a depth foundation model, see `foundation.depth_model`; or
            "targets": what such a model said once, of `data.folders` of the kind targets:FOLDER.
        teacher_side: Shorter side of the images that a depth foundation model sees, px, about; 0:
            as it was trained.
        cameras: How many stand side by side in a sample; frame sets with fewer are left out.
            `schedule.batch` counts such neighbourhoods.
        ckd: Weight of cross-interaction distillation: divergence of the bins' probabilities, and
            the scale-invariant error of the teacher's probabilities at the student's centres.
        vrkd: Weight of view-relational distillation.
        mirror: Weight of the affine-invariant error of the student's probabilities at the
            teacher's centres, against the teacher's depth.
        chamfer: Weight of the distance between centres and truth.
        slots: What the k-th bin is to both: "teacher": the k-th of the teacher's own, by order
            (bins of one width where the teacher has none); "student": the student's k-th centre.
        relation: How tokens of two cameras relate to the teacher: "features": cosines of its
            features; "place": how near their places in the base frame are, by its depth and the
            rig's poses; "bins": cosines of its probabilities. Empty: features if it has such, else
            place.
        spread: Of probabilities around a teacher's depth, in widths of a bin.
        most: Largest number of images of each source in a validation; 0 for all.
        most_sets: Largest number of frame sets whose cameras are compared; 0 for all.
    """

    teacher: str = "oracle"
    teacher_side: int = 0
    cameras: int = 3
    ckd: float = 0.3
    vrkd: float = 0.15
    mirror: float = 0.0
    chamfer: float = 0.03
    slots: str = "teacher"
    relation: str = ""
    spread: float = 1.0
    most: int = 200
    most_sets: int = 30

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.cameras < 1 or (self.vrkd > 0 and self.cameras < 2):
            raise ConfigurationError(
                f"options.cameras {self.cameras} with options.vrkd {self.vrkd}",
                expected="1 or more, and 2 or more to relate them",
                fix="e.g. 3, or vrkd 0",
            )
        for name, known in (("slots", SLOTS), ("relation", RELATIONS)):
            if getattr(self, name) not in known:
                raise ConfigurationError(
                    f"options.{name} '{getattr(self, name)}'",
                    expected="one of " + ", ".join(repr(item) for item in known),
                )
        for name in ("ckd", "vrkd", "mirror", "chamfer"):
            if getattr(self, name) < 0:
                raise ConfigurationError(
                    f"options.{name} {getattr(self, name)}", expected="0 or more"
                )
        if not self.spread > 0:
            raise ConfigurationError(f"options.spread {self.spread}", expected="above 0")

    @property
    def taught(self) -> bool:
        """Whether any term needs the teacher."""
        return max(self.ckd, self.vrkd, self.mirror) > 0


class Student(nn.Module):
    """The fused network, and a projection of its features by which tokens are related.

    The projection begins as the identity and is not saved: what relations want of the features
    need not be what the heads want.
    """

    def __init__(self, network: FusedSurround, related: bool) -> None:
        """Take the network; without relations there is no projection."""
        super().__init__()
        self.network = network
        self.project: nn.Conv2d | None = None
        if related:
            width = network.configuration.widths[0]
            self.project = nn.Conv2d(width, width, 1, bias=False)
            nn.init.dirac_(self.project.weight)

    def forward(self, image: torch.Tensor, rays: torch.Tensor, camera: torch.Tensor) -> FusedOutput:
        """See `FusedSurround`; `features` are projected."""
        out: FusedOutput = self.network(image, rays, camera)
        return out if self.project is None else replace(out, features=self.project(out.features))


class Training(fused.Training):
    """The fused network with a teacher; see `system.System`."""

    OPTIONS = SurroundDistillationOptions  # type: ignore[assignment]

    def __init__(self) -> None:
        self._teacher: Teacher | None = None

    def build(self, configuration: TrainingConfiguration) -> nn.Module:
        """Make the student, see `fused.Training`, and find the teacher."""
        o = configuration.options
        network = super().build(configuration)  # first: a teacher draws random numbers, too
        if o.taught:
            self._teacher = find(
                o.teacher, configuration.network, o.slots, o.spread, o.teacher_side
            )
        assert isinstance(network, FusedSurround)
        return Student(network, o.vrkd > 0)

    def groups(
        self, model: nn.Module, configuration: TrainingConfiguration
    ) -> list[dict[str, Any]]:
        """As of the fused network; the projection learns like what is new."""
        assert isinstance(model, Student)
        groups = super().groups(model.network, configuration)
        if model.project is not None:
            rate = configuration.schedule.rate
            groups.append({"params": list(model.project.parameters()), "lr": rate})
        return groups

    def batches(
        self, configuration: TrainingConfiguration, first: int, rank: int, ranks: int
    ) -> Iterator[dict[str, torch.Tensor]]:
        """Changed neighbourhoods of all sizes, without end: (R, C, ...)."""
        data, o = configuration.data, configuration.options
        checked_folders(configuration)
        samples = WithTargets(RigSamples(data, o.cameras), data.folders)
        if not len(samples):
            raise ConfigurationError(
                f"no frame set of data.folders has {o.cameras} cameras",
                expected="rigs of so many",
                fix="lower options.cameras, or name other folders",
            )
        return batches_of(samples, configuration, first, rank, ranks)

    def loss(
        self, model: nn.Module, batch: dict[str, torch.Tensor], configuration: TrainingConfiguration
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The fused network's loss, and the terms of distillation, each without its weight."""
        cameras = batch["image"].shape[1]
        flat = {name: value.flatten(0, 1) for name, value in batch.items()}
        out = model(flat["image"], flat["rays"], flat["camera"])
        total, parts = fused.fused_loss(out, flat, configuration.loss)
        o = configuration.options
        teacher = self._teacher(flat, cameras, out) if o.taught and self._teacher else None
        terms = distillation_terms(out, teacher, flat, cameras, o)
        for name, value in terms.items():
            total = total + getattr(o, name) * value
        return total, {**parts, **{name: value.detach() for name, value in terms.items()}}

    @torch.inference_mode()
    def validate(
        self, model: nn.Module, configuration: TrainingConfiguration, device: torch.device
    ) -> dict[str, float]:
        """Figures of `scoring` on all held-out sources, and `overlap`, see `overlap_error`."""
        data, o = configuration.data, configuration.options

        def predict(batch: dict[str, torch.Tensor]) -> torch.Tensor:
            return torch.exp(model(batch["image"], batch["rays"], batch["camera"]).log_depth)

        figures = scoring.score_all(predict, data, most=o.most, device=device)
        if not data.validation:
            return figures
        apart = overlap_error(predict, data, data.validation, most=o.most_sets, device=device)
        return figures if apart is None else {**figures, "overlap": apart}

    def save(self, model: nn.Module, path: Path, facts: dict[str, Any]) -> None:
        """Write the network alone, which `network.checkpoint.load_checkpoint` reads."""
        assert isinstance(model, Student)
        super().save(model.network, path, facts)


def load(path: str | Path) -> FusedSurround:
    """Read a student that was saved; the same as `network.checkpoint.load_checkpoint`."""
    return load_checkpoint(path)[0]


def distillation_terms(
    out: FusedOutput,
    teacher: TeacherOutput | None,
    batch: dict[str, torch.Tensor],
    cameras: int,
    options: SurroundDistillationOptions,
) -> dict[str, torch.Tensor]:
    """Each term that has a weight: ckd, vrkd, mirror, chamfer.

    Args:
        out: Of the student, N = R * `cameras` images.
        teacher: Of the teacher; None where no term needs it.
        batch: Flattened samples of `samples`.
        cameras: Of a rig.
        options: Weights, and how tokens relate.
    """
    log_truth, seen = small_truth(batch)
    p, centres = out.probabilities.float(), out.centres.float()
    terms: dict[str, torch.Tensor] = {}
    if teacher is not None:
        known = teacher.known
        if options.ckd:
            crossed = distillation.cross_depth(teacher.probabilities, centres)
            terms["ckd"] = distillation.bin_divergence(
                teacher.probabilities, p, known
            ) + losses.scale_invariant_error(crossed, log_truth, seen * known)
        if options.mirror:
            terms["mirror"] = distillation.affine_invariant_error(
                distillation.cross_depth(p, teacher.centres), teacher.log_depth, known, cameras
            )
        if options.vrkd:
            values, speaks = distillation.tokens(out.features, known, cameras)
            terms["vrkd"] = distillation.relation_error(
                teacher_relations(teacher, batch, cameras, options.relation),
                distillation.similarity(values, speaks),
                speaks,
                distillation.sides(batch["pose"].unflatten(0, (-1, cameras))),
            )
    if options.chamfer:
        terms["chamfer"] = distillation.bin_chamfer(centres, log_truth, seen)
    return terms


def teacher_relations(
    teacher: TeacherOutput, batch: dict[str, torch.Tensor], cameras: int, relation: str
) -> torch.Tensor:
    """(R, C, C, T, T): how the teacher relates tokens, see `SurroundDistillationOptions.relation`.

    Raises:
        ConfigurationError: Features of a teacher that has none.
    """
    relation = relation or ("place" if teacher.features is None else "features")
    if relation == "features" and teacher.features is None:
        raise ConfigurationError(
            "options.relation 'features': this teacher has none", expected="'place' or 'bins'"
        )
    if relation != "place":
        features = teacher.features if relation == "features" else teacher.probabilities
        assert features is not None
        return distillation.similarity(*distillation.tokens(features, teacher.known, cameras))
    pose = batch["pose"].float()
    points = batch["rays"].float() * torch.exp(teacher.log_depth.float()) * teacher.known
    size = distillation.tokens(points.norm(dim=1, keepdim=True), teacher.known, cameras)[0]
    with torch.autocast(points.device.type, enabled=False):  # 16 bits end at 65 km squared
        points = torch.einsum("nij,njhw->nihw", pose[:, :3, :3], points)
    points = points + pose[:, :3, 3, None, None]
    places = distillation.tokens(points, teacher.known, cameras)[0]
    return distillation.affinity(places, size[..., 0])
