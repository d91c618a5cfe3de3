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

"""What can be trained: the protocol of a system."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from depth_perception.training.configuration import TrainingConfiguration

Batch = dict[str, torch.Tensor]


class System(Protocol):
    """What is trained. `systems` finds one by its name.

    Attributes:
        OPTIONS: Frozen dataclass of what only this system has, `TrainingConfiguration.options`.

    One whose steps leave some weights without gradients says so by ``PARTIAL = True``: several
    processes would wait for them.
    """

    OPTIONS: type

    def build(self, configuration: TrainingConfiguration) -> nn.Module:
        """Make what holds the weights."""

    def batches(
        self, configuration: TrainingConfiguration, first: int, rank: int, ranks: int
    ) -> Iterator[Batch]:
        """Yield batches without end, from a step on."""

    def groups(
        self, model: nn.Module, configuration: TrainingConfiguration
    ) -> list[dict[str, Any]]:
        """Say which weights learn, and how fast: parameter groups of an optimiser."""

    def loss(
        self, model: nn.Module, batch: Batch, configuration: TrainingConfiguration
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Total, and its parts to be reported."""

    def validate(
        self, model: nn.Module, configuration: TrainingConfiguration, device: torch.device
    ) -> dict[str, float]:
        """Figures on held-out data; none where the configuration has no such data."""

    def save(self, model: nn.Module, path: Path, facts: dict[str, Any]) -> None:
        """Write the weights to be used."""
