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

"""Training runs for tests: one that is cut short fails its test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from depth_perception.training.fit import train


def trained(
    system: Any, configuration: Any, folder: Path, say: Any = lambda _: None
) -> dict[str, float]:
    """Train to the end, on the CPU; returns the last validation's figures.

    A signal, as a time limit sends one, lets `train` save and return before its end: weights that
    are half trained must not be compared with anything.
    """
    figures = train(system, configuration, folder, device="cpu", say=say)
    step = torch.load(folder / "last.pt", weights_only=True)["step"]
    wanted = configuration.schedule.steps
    assert step == wanted, f"the run was stopped at step {step} of {wanted}"
    return figures


EARLIER = {
    "cross_attention": "meet",
    "merge": "join",
    "semantic_projection": "bring",
    "coarse_tilt": "coarse_turn",
    "fine_tilt": "fine_turn",
}
"""Modules, and what they were called in checkpoints of version 1."""


def earlier_keys(state: dict[str, Any]) -> dict[str, Any]:
    """Weights under the names that they had in checkpoints of version 1."""
    found = {}
    for key, value in state.items():
        names = {**EARLIER, "self_attention": "own"} if key.startswith("gates.") else EARLIER
        found[".".join(names.get(name, name) for name in key.split("."))] = value
    return found
