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

"""Weights in a file: what network they belong to, and how they came about."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from depth_perception.errors import DepthPerceptionError, ModelError
from depth_perception.network.configuration import NetworkConfiguration
from depth_perception.network.fused import FusedSurround

FORMAT = "depth_perception fused network"
VERSION = 2
"""Of what `save_checkpoint` writes. Files of version 1 have the names on the left of `RENAMED`."""
RENAMED = {
    "meet": "cross_attention",
    "join": "merge",
    "bring": "semantic_projection",
    "own": "self_attention",
    "coarse_turn": "coarse_tilt",
    "fine_turn": "fine_tilt",
}
"""Names of modules in files of earlier releases, and what they are called now.

A weight's key is a path of such names with dots between: each name on the path counts by itself,
so that the table also serves networks of which the fused network, or a gate, is a part.
"""
RENAMED_SETTINGS = {"doubt": "dead_zone"}
"""Of `NetworkConfiguration`, likewise."""


def save_checkpoint(
    path: str | Path, network: FusedSurround, facts: dict[str, Any], *, half: bool = False
) -> None:
    """Store a network; `load_checkpoint` reads it.

    Args:
        path: The file; replaced at once, so that a reader never sees half of it.
        network: With its configuration.
        facts: Plain values: how the weights were made.
        half: Store weights with 16 bits, but for vectors: statistics of a batch normalisation reach
            beyond the range of 16 bits.
    """
    state = {
        name: value.half() if half and value.dtype == torch.float32 and value.ndim > 1 else value
        for name, value in network.state_dict().items()
    }
    content = {
        "format": FORMAT,
        "version": VERSION,
        "configuration": network.configuration.to_dict(),
        "state": state,
        "facts": facts,
    }
    write_file(path, content)


def current_keys(state: Mapping[str, Any]) -> dict[str, Any]:
    """The weights of a state dict, in its order, by the names that modules have now."""
    return {
        ".".join(RENAMED.get(name, name) for name in key.split(".")): value
        for key, value in state.items()
    }


def current_settings(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a stored network configuration by the names that they have now."""
    return {RENAMED_SETTINGS.get(name, name): value for name, value in configuration.items()}


def write_file(path: str | Path, content: dict[str, Any]) -> None:
    """Store tensors and plain values; the file is replaced at once."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    torch.save(content, part)
    os.replace(part, path)


def read_file(path: str | Path, key: str, value: str, name: str) -> dict[str, Any]:
    """Read what `write_file` stored: tensors on the CPU and plain values, nothing that runs.

    Args:
        path: The file.
        key: Of the content, which says what it is.
        value: That it must have.
        name: Of what it shall be, for messages.

    Raises:
        ModelError: Absent, damaged, or of another kind.
    """
    if not Path(path).is_file():
        raise ModelError(
            f"checkpoint '{path}' does not exist",
            expected="weights.pt of a training run",
            fix="correct the path, or train with depth_perception train",
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises anything for a damaged file
        # What it says behind its first sentence is how to load a file that may run anything.
        reason = " ".join(str(error).split()).partition(". ")[0] or type(error).__name__
        raise ModelError(
            f"checkpoint '{path}' cannot be read ({reason})",
            expected="a whole file of depth_perception train",
            fix="copy it again",
        ) from None
    if not isinstance(content, dict) or content.get(key) != value:
        raise ModelError(
            f"'{path}' is no checkpoint of {name}",
            expected=f"{key} '{value}'",
            fix="give it weights.pt of such a training run",
        )
    return content


def misfit(path: str | Path, error: Exception) -> ModelError:
    """Error of a checkpoint whose weights are not those of the network that it names."""
    return ModelError(
        f"checkpoint '{path}' does not fit ({' '.join(str(error).split())})",
        expected="weights of the network that it names",
        fix="use the release of depth_perception that wrote it",
    )


def with_measured_input(network: FusedSurround) -> FusedSurround:
    """Return a network with the same weights that takes measured depth, too.

    What it does with that is not learnt: sure measurements replace its own depth, others have a
    part in it by their deviation, and where nothing is measured its depth is what it was. Made
    twice it is the same.
    """
    if network.configuration.measured:
        return network
    configuration = replace(network.configuration, measured=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        out = FusedSurround(configuration, pretrained=False)
    out.load_state_dict(network.state_dict(), strict=False)
    out.set_temperature(configuration.temperature)
    return out.eval()


def load_checkpoint(path: str | Path) -> tuple[FusedSurround, dict[str, Any]]:
    """Read a network that `save_checkpoint` stored, ready to be used, and its facts.

    Raises:
        ModelError: Absent, damaged, of another kind or version, or weights that do not fit.
    """
    content = read_file(path, "format", FORMAT, "the fused network")
    if content.get("version") not in (1, VERSION):
        raise ModelError(
            f"checkpoint '{path}' has version {content.get('version')}",
            expected=f"1 or {VERSION}",
            fix="use the release of depth_perception that wrote it",
        )
    try:
        network = FusedSurround(
            NetworkConfiguration.from_dict(current_settings(content["configuration"])),
            pretrained=False,
        )
        network.load_state_dict(current_keys(content["state"]))
        facts = dict(content["facts"])
    except (AttributeError, KeyError, RuntimeError, TypeError, DepthPerceptionError) as error:
        raise misfit(path, error) from None
    for name, value in network.state_dict().items():
        if not torch.isfinite(value).all():
            raise ModelError(
                f"checkpoint '{path}': {name} has values that are no numbers",
                expected="finite weights",
                fix="take the weights of an earlier step",
            )
    network.set_temperature(network.configuration.temperature)
    return network.eval(), facts
