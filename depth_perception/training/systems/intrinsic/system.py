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

"""Depth without labels on reflective surfaces, by intrinsic decomposition (methods.md 5).

In: triplets of images with known motion. Three runs make one result:

1. `options.stage: depth, options.mask: false`: a plain self-supervised network, teacher A;
2. `options.stage: depth, options.mask: true`: teacher B, whose second decoder splits images into
   diffuse and residual, and which does not learn from the photometric error where those say that
   a surface reflects;
3. `options.stage: student`: a plain network that learns A's depth on matte and B's on reflective
   surfaces. It costs nothing more at run time.

Depth is in metres, because the motion is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from depth_perception.datasets.sample import DatasetError
from depth_perception.errors import ConfigurationError, DepthPerceptionError, ModelError
from depth_perception.network.checkpoint import current_settings, misfit, read_file, write_file
from depth_perception.network.configuration import NetworkConfiguration
from depth_perception.training.configuration import TrainingConfiguration
from depth_perception.training.fit import batches_of, checked_folders
from depth_perception.training.photometric import (
    least_reprojection,
    masked_reprojection,
    smoothness,
)
from depth_perception.training.samples import evenly_spread
from depth_perception.training.scoring import FARTHEST, MIRROR, score_all
from depth_perception.training.systems.intrinsic import losses as intrinsic
from depth_perception.training.systems.intrinsic.networks import DisparityNetwork, IntrinsicOutput
from depth_perception.training.triplets import DRIVES, Triplets

NAME = "intrinsic"
STAGES = ("depth", "student")
Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class IntrinsicOptions:
    """What only this system has.

    Attributes:
        stage: "depth": learn from other views; "student": learn from two such networks.
        mask: Decompose, and leave out what reflects; without: the plain network, or a student of
            the plain teacher alone.
        exact_mask: Take the world's layer `mirror` for the mask instead, as an upper bound.
        teacher_plain: weights.pt of a run with `mask: false`, for a student.
        teacher_masked: weights.pt of a run with `mask: true`, for a student.
        neighbour: How many frame sets before and after the other views are.
        reconstruction: Weight of |I - L R|.
        cross_view: Weight of |I - L_view R|.
        contrast: Weight of the contrast between scenes' diffuse images.
        margin: Of that contrast.
        smoothness: Weight of the smoothness of inverse depth.
        residual_channels: 3, or 1 for light without colour.
        moves_depth: The cross-view loss teaches depth, too, not the decomposition alone.
        spread: Standard deviations above which a pixel is taken to reflect.
        dilate: px by which such regions grow.
        warm_up: Steps without mask, until the decomposition is worth something.
        most: Largest number of validation images of each source; 0 for all.
    """

    stage: str = "depth"
    mask: bool = True
    exact_mask: bool = False
    teacher_plain: str = ""
    teacher_masked: str = ""
    neighbour: int = 1
    reconstruction: float = 1.0
    cross_view: float = 1.0
    contrast: float = 0.01
    margin: float = 5.0
    smoothness: float = 1e-3
    residual_channels: int = 3
    moves_depth: bool = True
    spread: float = 1.5
    dilate: int = 3
    warm_up: int = 500
    most: int = 60

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        if self.stage not in STAGES:
            raise ConfigurationError(
                f"options.stage '{self.stage}'", expected="one of " + ", ".join(STAGES)
            )
        if self.residual_channels not in (1, 3):
            raise ConfigurationError(
                f"options.residual_channels {self.residual_channels}", expected="1 or 3"
            )
        for name in ("reconstruction", "cross_view", "contrast", "margin", "smoothness", "spread"):
            if not getattr(self, name) >= 0:
                raise ConfigurationError(
                    f"options.{name} {getattr(self, name)}", expected="0 or more"
                )
        if self.neighbour < 1 or self.dilate < 0 or self.warm_up < 0 or self.most < 0:
            raise ConfigurationError(
                f"options: neighbour {self.neighbour}, dilate {self.dilate}, "
                f"warm_up {self.warm_up}, most {self.most}",
                expected="1 or more, and 0 or more",
            )


class Training:
    """See the module's head and `system.System`."""

    OPTIONS = IntrinsicOptions

    def __init__(self) -> None:
        self._teachers: dict[str, DisparityNetwork] = {}

    def build(self, configuration: TrainingConfiguration) -> nn.Module:
        """Make the network, with ImageNet's weights or those of `start`; a student's teachers, too.

        Raises:
            ConfigurationError: A student without teachers.
            ModelError: A checkpoint that cannot be used.
        """
        options = configuration.options
        if options.stage == "student":
            self._load_teachers(options)
        decomposes = options.stage == "depth" and options.mask
        model = DisparityNetwork(
            configuration.network, options.residual_channels if decomposes else 0
        )
        if configuration.start:
            before, _ = load(configuration.start)
            if before.configuration != configuration.network:
                raise ConfigurationError(
                    f"start '{configuration.start}' holds another network",
                    expected=str(configuration.network),
                    fix="correct network, or leave start empty",
                )
            # The decoder that only one of the two has keeps its own start.
            try:
                model.load_state_dict(before.state_dict(), strict=False)
            except RuntimeError as error:
                raise misfit(configuration.start, error) from None
        return model

    def _load_teachers(self, options: IntrinsicOptions) -> None:
        wanted = {"teacher_plain": options.teacher_plain}
        if options.mask:
            wanted["teacher_masked"] = options.teacher_masked
        for name, path in wanted.items():
            if not path:
                raise ConfigurationError(
                    f"options.{name} is empty",
                    expected="weights.pt of a run of stage depth",
                    fix=f"--set options.{name}=runs/.../weights.pt",
                )
            try:
                teacher, _ = load(path)
            except ModelError as error:
                raise ModelError(
                    f"options.{name}: {error.problem}", expected=error.expected, fix=error.fix
                ) from None
            if name == "teacher_masked" and teacher.intrinsic is None and not options.exact_mask:
                raise ModelError(
                    f"options.{name} '{path}' has no intrinsic decoder",
                    expected="a run of stage depth with options.mask=true",
                    fix="name that run's weights.pt, or set options.exact_mask=true",
                )
            self._teachers[name] = teacher.requires_grad_(False)

    def batches(
        self, configuration: TrainingConfiguration, first: int, rank: int, ranks: int
    ) -> Iterator[Batch]:
        """Triplets, with the number of the step."""
        data = configuration.data
        checked_folders(configuration, DRIVES)
        triplets = Triplets(data, step=configuration.options.neighbour, posed=True)
        if not len(triplets):
            raise DatasetError(
                f"{', '.join(data.folders)}: no frame set has neighbours "
                f"{configuration.options.neighbour} sets before and after",
                expected="drives of three sets or more",
            )
        for step, batch in enumerate(
            batches_of(triplets, configuration, first, rank, ranks), first
        ):
            yield {**batch, "step": torch.tensor(step)}

    def groups(
        self, model: nn.Module, configuration: TrainingConfiguration
    ) -> list[dict[str, Any]]:
        """The pretrained image encoder learns slower than the rest."""
        assert isinstance(model, DisparityNetwork)
        trunk = {id(p) for p in model.encoder.trunk.parameters()}
        new = [p for p in model.parameters() if id(p) not in trunk]
        old = [p for p in model.encoder.trunk.parameters() if p.requires_grad]
        schedule = configuration.schedule
        return [{"params": old, "lr": schedule.trunk_rate}, {"params": new, "lr": schedule.rate}]

    def loss(
        self, model: nn.Module, batch: Batch, configuration: TrainingConfiguration
    ) -> tuple[torch.Tensor, Batch]:
        """`depth_loss`, or the distillation from both teachers."""
        options: IntrinsicOptions = configuration.options
        if not bool((batch["posed"] > 0).all()):
            raise DatasetError(
                "a drive has no odometry",
                expected="the motion between images, for depth in m",
                fix="leave that drive out of data.folders",
            )
        image, focal = batch["image"], batch["camera"][:, 4]
        if options.stage == "depth":
            others = image[:, 1:].flatten(0, 1) if options.mask else None
            out = model(image[:, 0], focal, others)
            with torch.autocast(image.device.type, enabled=False):
                return depth_loss(out, batch, options)
        depth = model(image[:, 0], focal).depth
        with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
            pseudo, mask = self._pseudo(batch, options)
        loss = intrinsic.distillation(depth, pseudo)
        return loss, {"distillation": loss.detach(), "masked": 1 - mask.mean()}

    def _pseudo(self, batch: Batch, options: IntrinsicOptions) -> tuple[torch.Tensor, torch.Tensor]:
        """Depth that a student shall say, m, and the mask by which it was chosen."""
        if not self._teachers:
            self._load_teachers(options)
        image, focal = batch["image"], batch["camera"][:, 4]
        teachers = {name: item.to(image.device) for name, item in self._teachers.items()}
        plain = teachers["teacher_plain"](image[:, 0], focal).depth
        if not options.mask:
            return plain, torch.ones_like(plain)
        out = teachers["teacher_masked"](image[:, 0], focal, image[:, 1:].flatten(0, 1))
        mask = mask_of(out, batch, options)
        return intrinsic.pseudo_depth(mask, plain, out.depth), mask

    def validate(
        self, model: nn.Module, configuration: TrainingConfiguration, device: torch.device
    ) -> dict[str, float]:
        """Figures of `scoring`, and of a decomposing network how well its mask finds mirrors."""
        data, options = configuration.data, configuration.options
        assert isinstance(model, DisparityNetwork)

        def predict(samples: Batch) -> torch.Tensor:
            depth: torch.Tensor = model(samples["image"], samples["camera"][:, 4]).depth
            return depth

        figures = score_all(predict, data, most=options.most, device=device)
        if model.intrinsic is not None and data.validation:
            figures.update(_mask_figures(model, configuration, device))
        return figures

    def save(self, model: nn.Module, path: Path, facts: dict[str, Any]) -> None:
        """Write a checkpoint that `load` reads."""
        assert isinstance(model, DisparityNetwork)
        content = {
            "system": NAME,
            "facts": facts,
            "state": model.state_dict(),
            "options": {
                "network": model.configuration.to_dict(),
                "residual_channels": model.residual_channels,
            },
        }
        write_file(path, content)


def load(path: str | Path) -> tuple[DisparityNetwork, dict[str, Any]]:
    """Read a network of this system, ready to be used, and its facts.

    Raises:
        ModelError: Absent, damaged, or of another system.
    """
    content = read_file(path, "system", NAME, NAME)
    try:
        network = DisparityNetwork(
            NetworkConfiguration.from_dict(current_settings(content["options"]["network"])),
            int(content["options"]["residual_channels"]),
            pretrained=False,
        )
        network.load_state_dict(content["state"])
        facts = dict(content["facts"])
    except (KeyError, RuntimeError, TypeError, DepthPerceptionError) as error:
        raise misfit(path, error) from None
    return network.eval(), facts


def depth_loss(
    out: IntrinsicOutput, batch: Batch, options: IntrinsicOptions
) -> tuple[torch.Tensor, Batch]:
    """Photometric loss with its masks, smoothness, and the decomposition's three losses.

    Args:
        out: Of the target images, with the intrinsic images of the two other views behind.
        batch: Of `triplets.Triplets`, with "step".
        options: Weights and switches.

    Returns:
        Total, and each part without its weight; masked: share of pixels taken to reflect.
    """
    image, depth = batch["image"].float() / 255, out.depth
    target, sources = image[:, 0], image[:, 1:]
    views, _ = intrinsic.views_of(sources, depth, batch["K"], batch["T"])
    error, moved = least_reprojection(target, views, list(sources.unbind(1)))
    keep = torch.ones_like(error)
    if options.mask and int(batch["step"]) >= options.warm_up:
        keep = mask_of(out, batch, options)
    parts = {
        "photometric": masked_reprojection(error, moved, keep),
        "smoothness": smoothness(out.disparity, target),
    }
    total = parts["photometric"] + options.smoothness * parts["smoothness"]
    if options.mask:
        assert out.log_diffuse is not None and out.log_residual is not None
        count, everything = len(depth), torch.cat([target, sources.flatten(0, 1)])
        diffuse, residual = torch.exp(out.log_diffuse), torch.exp(out.log_residual)
        along = depth if options.moves_depth else depth.detach()
        others = diffuse[count:].unflatten(0, (count, -1))
        found = zip(*intrinsic.views_of(others, along, batch["K"], batch["T"]), strict=True)
        cross = [intrinsic.cross_view(target, v, residual[:count], seen) for v, seen in found]
        parts["reconstruction"] = intrinsic.reconstruction(everything, diffuse, residual)
        parts["cross_view"] = torch.stack(cross).mean()
        parts["contrast"] = intrinsic.contrast(out.log_diffuse[:count], options.margin)
        for name in ("reconstruction", "cross_view", "contrast"):
            total = total + getattr(options, name) * parts[name]
    reported = {name: value.detach() for name, value in parts.items()}
    return total, {**reported, "masked": 1 - keep.mean()}


@torch.no_grad()
def mask_of(out: IntrinsicOutput, batch: Batch, options: IntrinsicOptions) -> torch.Tensor:
    """Where the target does not reflect: (N, 1, H, W), 1 to keep. No gradient passes.

    Raises:
        DatasetError: The exact mask is wanted, and the data have none.
    """
    if options.exact_mask:
        if "mirror" not in batch:
            raise DatasetError(
                "options.exact_mask: the data have no layer 'mirror'",
                expected="data with it",
                fix="depth_perception world --dataset DIR --truth mirror",
            )
        return (batch["mirror"][:, None] <= MIRROR).float()
    assert out.log_diffuse is not None
    count, image = len(out.depth), batch["image"].float() / 255
    diffuse, K, T = torch.exp(out.log_diffuse), batch["K"], batch["T"]
    views, seen = intrinsic.views_of(image[:, 1:], out.depth, K, T)
    others, _ = intrinsic.views_of(diffuse[count:].unflatten(0, (count, -1)), out.depth, K, T)
    return intrinsic.reflective_mask(
        intrinsic.least_error(image[:, 0], views),
        intrinsic.least_error(diffuse[:count], others),
        torch.stack(seen).amax(0),
        options.spread,
        options.dilate,
    )


@torch.inference_mode()
def _mask_figures(
    model: DisparityNetwork, configuration: TrainingConfiguration, device: torch.device
) -> dict[str, float]:
    """mask_precision and mask_recall of mirrors nearer than `FARTHEST`, where these are known."""
    data = configuration.data
    options: IntrinsicOptions = configuration.options
    triplets = Triplets(data, (data.validation,), change=False, step=options.neighbour)
    both = found = there = 0.0
    for index in evenly_spread(len(triplets), options.most):
        item = triplets[(int(index), 0, 0)]
        if "mirror" not in item or not item["posed"]:
            continue
        batch = {name: value[None].to(device) for name, value in item.items()}
        out: IntrinsicOutput = model(
            batch["image"][:, 0], batch["camera"][:, 4], batch["image"][0, 1:]
        )
        claimed = mask_of(out, batch, replace(options, exact_mask=False))[:, 0] < 0.5
        scored = batch["depth"] < FARTHEST  # NaN and the sky are not
        mirrors = batch["mirror"] > MIRROR
        both += float((claimed & mirrors & scored).sum())
        found += float((claimed & scored).sum())
        there += float((mirrors & scored).sum())
    if not there:
        return {}
    return {"mask_precision": both / max(found, 1.0), "mask_recall": both / there}
