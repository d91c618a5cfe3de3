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

"""A session whose inputs and outputs stay where they are, on the GPU or in one place of memory.

`OnnxSession.bind` makes one. What does not change from frame to frame is uploaded once; what does
is written into the session's own buffer. On the CPU nothing is copied at all: the network reads
`buffer` and writes what `run` returns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import ModelError
from depth_perception.inference.session import Tensor


class BoundSession:
    """A `FixedSession` of ONNX Runtime.

    Attributes:
        provider: The execution provider really in use; see `OnnxSession.reported`.
        device: Where the buffers are: ``cpu`` or ``cuda``.
        inputs: Names of what the model takes.
        separate: False.
    """

    separate = False

    def __init__(
        self,
        inner: Any,
        path: str | Path,
        provider: str,
        device: str,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        shapes: Mapping[str, Sequence[int]],
        arrays: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        """Make the buffers; see `OnnxSession.bind`.

        On the CPU those of ``arrays``, by name, are taken in their place.
        """
        import onnxruntime

        self.provider = provider
        self.device = device
        self.inputs = tuple(tensor.name for tensor in inputs)
        self._path = path
        self._inner: Any = inner
        self._value = onnxruntime.OrtValue
        self._binding: Any = inner.io_binding()
        self._hosts: dict[str, NDArray[Any]] = {}
        self._values: dict[str, Any] = {}
        self._written: set[str] = set()
        for tensor in inputs:
            host = (arrays or {}).get(tensor.name)
            if host is None:
                host = np.zeros(shape_of(tensor, shapes), tensor.dtype)
            self._hosts[tensor.name] = host
            value = self._value.ortvalue_from_numpy(host, self.device, 0)
            self._values[tensor.name] = value
            self._binding.bind_ortvalue_input(tensor.name, value)
        self._outputs: dict[str, Any] = {}
        for tensor in outputs:
            if arrays is not None:
                value = self._value.ortvalue_from_numpy(arrays[tensor.name], self.device, 0)
            else:
                value = self._value.ortvalue_from_shape_and_type(
                    shape_of(tensor, shapes), tensor.dtype, self.device, 0
                )
            self._outputs[tensor.name] = value
            self._binding.bind_ortvalue_output(tensor.name, value)

    def buffer(self, name: str) -> NDArray[Any]:
        """Return an input to be written in place; see `FixedSession`."""
        self._written.add(name)
        return self._hosts[name]

    def set(self, name: str, value: NDArray[Any]) -> None:
        """Set an input that stays; see `FixedSession`."""
        np.copyto(self._hosts[name], value)
        self._written.discard(name)
        self._upload(name)

    def run(self, slot: int | None = None) -> dict[str, NDArray[Any]]:
        """Run once; see `FixedSession`."""
        for name in self._written:
            self._upload(name)
        try:
            self._inner.run_with_iobinding(self._binding)
            return {name: value.numpy() for name, value in self._outputs.items()}
        except Exception as error:  # onnxruntime raises classes without a common base
            raise ModelError(
                f"model '{self._path}' failed on {self.provider} ({' '.join(str(error).split())})",
                expected="a device with enough free memory",
                fix="look at what else runs on it, or choose another of fused.providers",
            ) from None

    def close(self) -> None:
        """Give back the memory; see `FixedSession`."""
        if self._binding is not None:
            self._binding.clear_binding_inputs()
            self._binding.clear_binding_outputs()
        self._values.clear()
        self._outputs.clear()
        self._binding = self._inner = None

    def _upload(self, name: str) -> None:
        if self.device != "cpu":  # on the CPU the model reads the host's buffer itself
            self._values[name].update_inplace(self._hosts[name])


def shape_of(tensor: Tensor, shapes: Mapping[str, Sequence[int]]) -> list[int]:
    """Return the shape of a tensor: its own, or the one given where the model leaves it open.

    Raises:
        ModelError: The two contradict each other.
    """
    given = [int(n) for n in shapes.get(tensor.name, [])]
    known = [n for n in tensor.shape if n is not None]
    if not given and len(known) == len(tensor.shape):
        return known
    fits = len(given) == len(tensor.shape) and all(
        n in (None, m) for n, m in zip(tensor.shape, given, strict=True)
    )
    if not fits:
        raise ModelError(
            f"{tensor.name} is to have the shape {given}",
            expected=str(list(tensor.shape)),
            fix="use the file that was exported for this rig, or one for every rig",
        )
    return given
