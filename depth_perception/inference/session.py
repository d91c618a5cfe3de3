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

"""What sessions share: the tensors of a model, and one whose shapes are fixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Tensor:
    """An input or output of a model.

    Attributes:
        name: Its name in the graph.
        shape: Its axes; None where an axis is dynamic.
        dtype: Its NumPy type; None for one that NumPy lacks.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any] | None


class FixedSession(Protocol):
    """A model with inputs and outputs of fixed shapes, whatever runs it.

    Not for several threads at a time, but for `run` of different slots where they are `separate`.

    Attributes:
        provider: What it runs on.
        inputs: Names of what the model takes.
        separate: Slots of the first axis run each by itself, at their own time; else always all.
    """

    provider: str
    inputs: tuple[str, ...]
    separate: bool

    def buffer(self, name: str) -> NDArray[Any]:
        """Return an input to be written in place: what it holds at `run` goes in."""

    def set(self, name: str, value: NDArray[Any]) -> None:
        """Set an input that stays until it is set again."""

    def run(self, slot: int | None = None) -> dict[str, NDArray[Any]]:
        """Run once; the outputs, by name, are the session's own until the next run.

        Args:
            slot: Where slots are `separate`: run this one alone. None: all.
        """

    def close(self) -> None:
        """Give back the memory, the device's too."""
