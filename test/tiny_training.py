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
