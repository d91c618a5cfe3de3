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

"""BriGeS: gates that bring semantics into a frozen depth network (arXiv 2505.23400).

In: images with dense truth. Out: relative inverse depth. What learns are four gates and, by option,
the last block of the decoder (`network`); the losses know no scale and no shift (`affine_losses`).

With and without: `options.gates=false` trains the same last block, as long, on the same images, but
without gates: the fair baseline. The frozen network itself is scored beside it, as `frozen.*`; it
is what both begin as.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from depth_perception.errors import ConfigurationError
from depth_perception.network.checkpoint import (
    current_keys,
    current_settings,
    load_checkpoint,
    misfit,
    read_file,
    write_file,
)
from depth_perception.network.configuration import TRUNKS, NetworkConfiguration
from depth_perception.network.fused import FusedSurround
from depth_perception.network.trunk import Trunk
from depth_perception.resources import WEIGHTS_FOLDER
from depth_perception.training import losses, scoring
from depth_perception.training.configuration import TrainingConfiguration
from depth_perception.training.fit import batches_of_images
from depth_perception.training.systems.bridging_gates import affine_losses as affine
from depth_perception.training.systems.bridging_gates.network import Bridged
from depth_perception.training.systems.bridging_gates.streams import (
    FoundationDepth,
    FoundationSemantics,
    ImageNetSemantics,
    OracleSemantics,
    OwnDepth,
    OwnSemantics,
    SelfSemantics,
)

NAME = "bridging_gates"
SPACES = ("inverse", "log")
NEAREST, FARTHEST = 0.3, 200.0
"""What truth counts, m, beside the sky."""
_DENSE = 0.2
"""Share of pixels with truth from which the gradient term counts."""


@dataclass(frozen=True)
class BridgingGatesOptions:
    """What only this system has.

    Attributes:
        depth: Depth stream: "own", the network that comes with the package; a checkpoint (.pt) of
            system `fused`; or Depth Anything by the name or folder that `foundation` knows.
        semantics: Semantic stream: "lite0", "lite1" or "lite2", EfficientNet-Lite with ImageNet's
            weights; "own", that of our own network; "oracle", true labels; "self", none, gates look
            at depth (a control); or SAM, DINOv2 or CLIP by name or folder.
        gates: Whether there are gates; without: the baseline.
        fusion: Whether the decoder's last block learns, too, at `schedule.trunk_rate`.
        heads: Attention heads of a gate, a divisor of its width; 0: about one for 48 channels.
        temperature: Divides the logits of the gates' attention in use; 1 in training.
        temperatures: More of them that are scored, as `*_t2`.
        space: What the losses compare after the fit: "inverse", inverse depth from 0 to 1, as
            published; "log", its logarithm, where far things count as much as near ones.
        gradient: Weight of the gradient term; 0: without.
        gradient_scales: Of it: steps of 1, 2, 4, ... px.
        depth_side: Shorter side of Depth Anything's images, px, about.
        semantic_side: Longer side of the semantic foundation model's images, px, about.
        most: Largest number of images that are scored of each source; 0: all.
        frozen: Whether the frozen network is scored beside the result.
    """

    depth: str = "own"
    semantics: str = "own"
    gates: bool = True
    fusion: bool = False
    heads: int = 0
    temperature: float = 1.0
    temperatures: tuple[float, ...] = (2.0, 3.0)
    space: str = "inverse"
    gradient: float = 2.0
    gradient_scales: int = 1
    depth_side: int = 518
    semantic_side: int = 1024
    most: int = 64
    frozen: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not (self.gates or self.fusion):
            raise ConfigurationError(
                "options.gates and options.fusion are both false",
                expected="something to learn",
                fix="the frozen network is scored in every run, as frozen.*",
            )
        for value in (self.temperature, *self.temperatures):
            if not (isinstance(value, (int, float)) and value > 0):
                raise ConfigurationError(f"options: temperature {value!r}", expected="above zero")
        if self.space not in SPACES:
            raise ConfigurationError(
                f"options.space '{self.space}'", expected="one of " + ", ".join(SPACES)
            )
        if self.gradient < 0 or self.gradient_scales < 1 or self.heads < 0:
            raise ConfigurationError(
                f"options: gradient {self.gradient}, gradient_scales {self.gradient_scales},"
                f" heads {self.heads}",
                expected="0 or more, 1 or more, 0 or more",
            )


class Training:
    """Gates on images with dense truth; see `system.System`."""

    OPTIONS = BridgingGatesOptions

    def __init__(self) -> None:
        self._frozen: tuple[Any, dict[str, float]] = (None, {})

    def build(self, configuration: TrainingConfiguration) -> nn.Module:
        """Load both streams, and make the gates or take them from `start`."""
        model = bridged(configuration.options)
        if configuration.start:
            _fill(model, configuration.start, _read(configuration.start))
        return model

    def batches(
        self, configuration: TrainingConfiguration, first: int, rank: int, ranks: int
    ) -> Iterator[dict[str, torch.Tensor]]:
        """Changed images of all sizes, without end."""
        return batches_of_images(configuration, first, rank, ranks)

    def groups(
        self, model: nn.Module, configuration: TrainingConfiguration
    ) -> list[dict[str, Any]]:
        """The gates, and the decoder's last block, which is pretrained and learns slower."""
        assert isinstance(model, Bridged)
        schedule = configuration.schedule
        groups = [
            {"params": list(model.gates.parameters()), "lr": schedule.rate},
            {"params": model.fusion_weights(), "lr": schedule.trunk_rate},
        ]
        return [group for group in groups if group["params"]]

    def loss(
        self, model: nn.Module, batch: dict[str, torch.Tensor], configuration: TrainingConfiguration
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """See `relative_loss`."""
        return relative_loss(model(batch), batch["depth"][:, None], configuration.options)

    @torch.inference_mode()
    def validate(
        self, model: nn.Module, configuration: TrainingConfiguration, device: torch.device
    ) -> dict[str, float]:
        """Figures after the fit of scale and shift: as used, at other temperatures, and frozen."""
        assert isinstance(model, Bridged)
        options: BridgingGatesOptions = configuration.options
        if not scoring.held_out(configuration.data):
            return {}
        model.set_temperature(options.temperature)
        figures = _scores(model, configuration)
        for temperature in options.temperatures if options.gates else ():
            model.set_temperature(temperature)
            found = _scores(model, configuration)
            figures.update({f"{name}_t{temperature:g}": value for name, value in found.items()})
        model.set_temperature(1.0)
        return {**figures, **self._frozen_scores(configuration, device)}

    def _frozen_scores(
        self, configuration: TrainingConfiguration, device: torch.device
    ) -> dict[str, float]:
        """Figures of the frozen network, which are found once."""
        if not configuration.options.frozen:
            return {}
        case = (configuration.options, configuration.data)
        if self._frozen[0] != case:
            with torch.random.fork_rng():
                start = bridged(
                    dataclasses.replace(configuration.options, gates=False, fusion=True)
                )
            found = _scores(start.to(device), configuration)
            self._frozen = (case, {f"frozen.{name}": value for name, value in found.items()})
        return self._frozen[1]

    def save(self, model: nn.Module, path: Path, facts: dict[str, Any]) -> None:
        """Write a checkpoint that `load` reads."""
        assert isinstance(model, Bridged)
        content = {"system": NAME, "facts": facts, **model.recipe, "state": model.state_dict()}
        write_file(path, content)


def relative_loss(
    inverse: torch.Tensor, depth: torch.Tensor, options: BridgingGatesOptions
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Affine-invariant error and gradient term, and each without its weight.

    Args:
        inverse: (N, 1, h, w) predicted inverse depth, of any scale and shift.
        depth: (N, 1, H, W) truth, m; NaN unknown, +Inf the sky.
        options: The space, and the gradient term's weight.
    """
    inverse = _sized(inverse.float(), depth)
    if options.space == "log":
        fitted, truth, mask = affine.aligned_logs(inverse, depth, NEAREST, FARTHEST)
    else:
        truth, mask = affine.inverse_truth(depth, NEAREST, FARTHEST)
        fitted = affine.aligned(inverse, truth, mask)
    parts = {
        "affine": losses.masked_mean((fitted - truth).abs(), mask),
        "gradient": losses.gradient_error(
            fitted, truth, affine.dense(mask, _DENSE), options.gradient_scales
        ),
    }
    total = parts["affine"] + options.gradient * parts["gradient"]
    return total, {name: value.detach() for name, value in parts.items()}


def _sized(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(values, like.shape[-2:], mode="bilinear", align_corners=False)


def aligned_depth(inverse: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
    """Depth (N, 1, H, W), m, after the fit of scale and shift to the truth that is scored.

    Args:
        inverse: (N, 1, h, w) predicted inverse depth, of any scale and shift.
        depth: (N, 1, H, W) truth, m.
    """
    seen = torch.isfinite(depth) & (depth > 0) & (depth < scoring.FARTHEST)
    truth = torch.where(seen, 1 / depth, torch.zeros_like(depth))
    fitted = affine.aligned(_sized(inverse.float(), depth), truth, seen.float())
    return 1 / fitted.clamp(1 / FARTHEST, 1e3)


def _scores(model: Bridged, configuration: TrainingConfiguration) -> dict[str, float]:
    """Figures that mean something for relative depth; edges, too, are those after the fit."""
    data, model = configuration.data, model.eval()

    def predict(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return aligned_depth(model(batch), batch["depth"][:, None])

    figures = scoring.score_all(
        predict, data, most=configuration.options.most, device=next(model.parameters()).device
    )
    return {
        name: value
        for name, value in figures.items()
        if name.endswith("_affine") or name.endswith("edges_f1")
    }


def bridged(options: BridgingGatesOptions, networks: dict[str, Any] | None = None) -> Bridged:
    """Both streams and new gates: predicts as the frozen depth network does.

    Args:
        options: Of the system.
        networks: Of our own streams, configurations whose weights are to be loaded afterwards;
            None: weights as published.

    Raises:
        ModelError: A stream's weights are absent.
        ConfigurationError: Heads that do not divide a width.
    """
    depth: OwnDepth | FoundationDepth
    if options.depth == "own" or options.depth.endswith(".pt"):
        depth = OwnDepth(_own_network(options.depth, networks, "depth"))
    else:
        depth = FoundationDepth(options.depth, options.depth_side)
    for width in depth.widths if options.heads else ():
        if width % options.heads:
            raise ConfigurationError(
                f"options.heads {options.heads}", expected=f"a divisor of {depth.widths}"
            )
    semantics = _semantics(options, depth, networks) if options.gates else None
    model = Bridged(depth, semantics, options.heads, options.fusion)
    own = {"depth": depth, "semantics": getattr(semantics, "stream", None)}
    model.recipe = {
        "options": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(options).items()
        },
        "networks": {
            name: stream.network.configuration.to_dict()
            for name, stream in own.items()
            if isinstance(stream, OwnDepth)
        },
    }
    return model


def _semantics(
    options: BridgingGatesOptions,
    depth: OwnDepth | FoundationDepth,
    networks: dict[str, Any] | None,
) -> nn.Module:
    name = options.semantics
    if name in TRUNKS:
        return ImageNetSemantics(Trunk(name, pretrained=networks is None))
    if name == "oracle":
        return OracleSemantics()
    if name == "self":
        return SelfSemantics(depth.widths[-1])
    if name != "own":
        return FoundationSemantics(name, options.semantic_side)
    if isinstance(depth, OwnDepth):
        return OwnSemantics(None, depth.widths[2])
    stream = OwnDepth(_own_network(name, networks, "semantics"))
    return OwnSemantics(stream, stream.widths[2])


def _own_network(name: str, networks: dict[str, Any] | None, stream: str) -> FusedSurround:
    """Our network from the package or a checkpoint, or without weights."""
    if networks is None:
        return load_checkpoint(WEIGHTS_FOLDER / "lite.pt" if name == "own" else name)[0]
    network = FusedSurround(
        NetworkConfiguration.from_dict(current_settings(networks[stream])), pretrained=False
    )
    network.set_temperature(network.configuration.temperature)
    return network


def load(path: str | Path) -> tuple[Bridged, dict[str, Any]]:
    """Read what `Training.save` wrote, ready to be used, and its facts.

    Weights of foundation models are not in the file: they are loaded by name again.

    Raises:
        ModelError: Absent, damaged, of another system, or weights that do not fit.
    """
    content = _read(path)
    try:
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in content["options"].items()
        }
        options = BridgingGatesOptions(**values)
        model = bridged(options, content["networks"])
    except (KeyError, TypeError, ConfigurationError) as error:
        raise misfit(path, error) from None
    _fill(model, path, content)
    model.set_temperature(options.temperature)
    return model.eval(), dict(content["facts"])


def _read(path: str | Path) -> dict[str, Any]:
    return read_file(path, "system", NAME, NAME)


def _fill(model: Bridged, path: str | Path, content: dict[str, Any]) -> None:
    try:
        model.load_state_dict(current_keys(content["state"]))
    except (KeyError, RuntimeError) as error:
        raise misfit(path, error) from None
