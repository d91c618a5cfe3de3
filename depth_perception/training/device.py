"""The device that training and foundation models work on."""

from __future__ import annotations

import torch

from depth_perception.errors import ConfigurationError
from depth_perception.yaml_mapping import nearest

DEVICES = ("cpu", "cuda")
"""What PyTorch computes on here."""


def choose_device(wanted: str = "") -> str:
    """Return the wanted device, ``cpu`` or ``cuda``; by default a GPU if there is one.

    Raises:
        ConfigurationError: CUDA is wanted and PyTorch finds no GPU, or the device is unknown.
    """
    name = wanted or ("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("device cuda: torch finds no GPU", fix="--device cpu")
    if name.partition(":")[0] not in DEVICES:
        raise ConfigurationError(
            f"--device {name}", expected=nearest(name, DEVICES), fix="correct the name"
        )
    return name
