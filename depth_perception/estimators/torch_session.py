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

"""The network straight from a checkpoint in PyTorch, on CUDA replayed as one recorded graph.

Optional: only where PyTorch is installed. Everything else of this package needs none of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import ModelError
from depth_perception.inference.model_file import OUTPUTS, input_types
from depth_perception.inference.onnx_session import PROVIDERS, provider_name

_WARM_UP = 3


def device_of(providers: Sequence[str]) -> str:
    """``cuda`` or ``cpu``: the first of some providers that PyTorch has here.

    Args:
        providers: ``tensorrt``, ``cuda`` or ``cpu``, in order of preference. TensorRT, which
            PyTorch does not run, is passed over. Empty: CUDA where there is one.

    Raises:
        ConfigurationError: A provider that nobody knows.
        ModelError: PyTorch is missing.
    """
    names = [provider_name(name) for name in providers]
    try:
        import torch
    except ImportError as error:
        raise _without_torch(error) from None
    for name in names or [PROVIDERS["cuda"]]:
        if name == PROVIDERS["cpu"]:
            break
        if name == PROVIDERS["cuda"] and torch.cuda.is_available():
            return "cuda"
    return "cpu"


class TorchSession:
    """See `inference.bound_session.FixedSession`.

    Attributes:
        provider: ``torch cuda`` or ``torch cpu``.
        inputs: Names of what the network takes.
        separate: False.
    """

    separate = False

    def __init__(
        self,
        path: str | Path,
        shapes: Mapping[str, Sequence[int]],
        *,
        device: str = "",
        require_gpu: bool = False,
        half: bool = True,
    ) -> None:
        """Load a checkpoint and, on CUDA, record a run of it.

        Args:
            path: A file of `network.checkpoint`.
            shapes: Of the inputs.
            device: ``cuda`` or ``cpu``; empty: CUDA where there is one.
            require_gpu: Refuse the CPU.
            half: Compute with 16 bits on CUDA, but for what needs more.

        Raises:
            ModelError: PyTorch is missing, the file is absent or damaged, or no GPU is there.
        """
        try:
            import torch

            from depth_perception.network.checkpoint import load_checkpoint
        except ImportError as error:
            raise _without_torch(error) from None
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        if require_gpu and device == "cpu":
            raise ModelError(
                f"checkpoint '{path}' runs on torch cpu",
                expected="a GPU, as require_gpu says",
                fix="install PyTorch with CUDA, or drop require_gpu",
            )
        network, _ = load_checkpoint(path)
        self.provider = f"torch {device}"
        self.inputs = tuple(input_types(network.configuration.measured))
        self._path = path
        self._torch = torch
        self._half = half and device == "cuda"
        self._written: set[str] = set()
        self._model: Any = None
        self._graph: Any = None
        self._outputs: Any = None
        self._inputs: dict[str, Any] = {}
        self._hosts: dict[str, Any] = {}
        try:
            self._load(network, device, shapes)
        except ModelError:
            self.close()  # what the device has taken so far
            raise

    def _load(self, network: Any, device: str, shapes: Mapping[str, Sequence[int]]) -> None:
        torch = self._torch
        from depth_perception.network.deployed import DeployedSurround
        from depth_perception.network.fused import expectation

        with self._failing():
            self._model = DeployedSurround(network).to(device).eval()
            self._model.network.expectation = expectation  # ONNX Runtime's form overflows 16 bits
            self._inputs = {
                name: torch.zeros(
                    tuple(shapes[name]), device=device, dtype=getattr(torch, kind.__name__)
                )
                for name, kind in input_types(network.configuration.measured).items()
            }
            self._hosts = {
                name: torch.zeros(value.shape, dtype=value.dtype, pin_memory=device == "cuda")
                for name, value in self._inputs.items()
            }
            if device == "cuda":
                self._record()

    def buffer(self, name: str) -> NDArray[Any]:
        """Return an input to be written in place; see `FixedSession`."""
        self._written.add(name)
        return np.asarray(self._hosts[name].numpy())

    def set(self, name: str, value: NDArray[Any]) -> None:
        """Set an input that stays; see `FixedSession`."""
        self._written.discard(name)
        self._hosts[name].copy_(self._torch.from_numpy(np.ascontiguousarray(value)))
        self._inputs[name].copy_(self._hosts[name])

    def run(self, slot: int | None = None) -> dict[str, NDArray[Any]]:
        """Run once; see `FixedSession`."""
        with self._failing():
            for name in self._written:
                self._inputs[name].copy_(self._hosts[name], non_blocking=True)
            if self._graph is None:
                self._outputs = self._forward()
            else:
                self._graph.replay()
            return {
                name: np.asarray(value.float().cpu().numpy())
                for name, value in zip(OUTPUTS, self._outputs, strict=True)
            }

    def close(self) -> None:
        """Give back the memory; see `FixedSession`."""
        self._graph = self._outputs = self._model = None
        self._inputs.clear()
        self._hosts.clear()
        if self.provider == "torch cuda":
            self._torch.cuda.empty_cache()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Say in one line what PyTorch fails with, e.g. that the device has no memory left."""
        try:
            yield
        except RuntimeError as error:  # of which `torch.OutOfMemoryError` is one
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise ModelError(
                f"checkpoint '{self._path}' failed on {self.provider} ({lines[0]})",
                expected="a device with enough free memory",
                fix="look at what else runs on it, or choose another of fused.providers",
            ) from None

    def _forward(self) -> Any:
        torch = self._torch
        with torch.inference_mode(), torch.autocast("cuda", torch.float16, enabled=self._half):
            return self._model(*(self._inputs[name] for name in self.inputs))

    def _record(self) -> None:
        torch = self._torch
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(_WARM_UP):
                self._forward()
        torch.cuda.current_stream().wait_stream(beside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outputs = self._forward()


def _without_torch(error: ImportError) -> ModelError:
    return ModelError(
        f"a checkpoint needs PyTorch ({error})",
        expected="torch installed",
        fix="pip install torch, or export it once: depth_perception export",
    )
