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

"""A session on the CPU that runs each slot of its first axis by itself.

A batch is no quicker on a CPU than its images one after the other. Apart, several run side by side
without waiting for each other, and those that nobody needs are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.inference.bound_session import BoundSession, shape_of
from depth_perception.inference.session import Tensor


class SlotSession:
    """A `FixedSession` of ONNX Runtime on the CPU, of a model whose first axis is open.

    Attributes:
        provider: See `FixedSession`.
        inputs: Names of what the model takes.
        separate: True.
    """

    separate = True

    def __init__(
        self,
        inner: Any,
        path: str | Path,
        provider: str,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        shapes: Mapping[str, Sequence[int]],
    ) -> None:
        """Make the buffers; see `OnnxSession.bind_slots`."""
        self.provider = provider
        self.inputs = tuple(tensor.name for tensor in inputs)
        one = {name: (1, *shape[1:]) for name, shape in shapes.items()}
        self._arrays: dict[str, NDArray[Any]] = {}
        for tensor in (*inputs, *outputs):
            count = shapes[tensor.name][0]
            self._arrays[tensor.name] = np.zeros(
                (count, *shape_of(tensor, one)[1:]), dtype=tensor.dtype
            )
        self._outputs = tuple(tensor.name for tensor in outputs)
        self._slots = [
            BoundSession(
                inner, path, provider, "cpu", inputs, outputs, one,
                {name: array[slot : slot + 1] for name, array in self._arrays.items()},
            )
            for slot in range(shapes[inputs[0].name][0])
        ]  # fmt: skip

    def buffer(self, name: str) -> NDArray[Any]:
        """Return an input to be written in place; see `FixedSession`."""
        return self._arrays[name]

    def set(self, name: str, value: NDArray[Any]) -> None:
        """Set an input that stays; see `FixedSession`."""
        np.copyto(self._arrays[name], value)

    def run(self, slot: int | None = None) -> dict[str, NDArray[Any]]:
        """Run once; see `FixedSession`. Different slots may run in threads of their own."""
        for each in self._slots if slot is None else self._slots[slot : slot + 1]:
            each.run()
        return {name: self._arrays[name] for name in self._outputs}

    def close(self) -> None:
        """Give back the memory; see `FixedSession`."""
        for each in self._slots:
            each.close()
