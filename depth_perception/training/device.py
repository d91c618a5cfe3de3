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
