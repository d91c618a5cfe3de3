"""The network straight from a checkpoint in PyTorch, on CUDA replayed as one recorded graph.

Optional: only where PyTorch is installed. Everything else of this package needs none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import ModelError

INPUTS = {"image": np.uint8, "rays": np.float32, "camera": np.float32}
OUTPUTS = ("depth", "confidence", "road")
_WARM_UP = 3


class TorchSession:
    """See `inference.bound_session.FixedSession`.

    Attributes:
        provider: ``torch cuda`` or ``torch cpu``.
    """

    def __init__(
        self, path: str | Path, shapes: Mapping[str, Sequence[int]], *, device: str = "",
        require_gpu: bool = False, half: bool = True,
    ) -> None:  # fmt: skip
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
            from depth_perception.network.deployed import DeployedSurround
            from depth_perception.network.fused import expectation
        except ImportError as error:
            raise ModelError(
                f"checkpoint '{path}' needs PyTorch ({error})", expected="torch installed",
                fix="pip install torch, or export it once: depth_perception export",
            ) from None  # fmt: skip
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        if require_gpu and device == "cpu":
            raise ModelError(
                f"checkpoint '{path}' runs on torch cpu", expected="a GPU, as require_gpu says",
                fix="install PyTorch with CUDA, or drop require_gpu",
            )  # fmt: skip
        network, _ = load_checkpoint(path)
        self.provider = f"torch {device}"
        self._torch = torch
        self._model: Any = DeployedSurround(network).to(device).eval()
        self._model.network.expectation = expectation  # ONNX Runtime's form overflows 16 bits
        self._half = half and device == "cuda"
        self._inputs = {
            name: torch.zeros(
                tuple(shapes[name]), device=device, dtype=getattr(torch, kind.__name__)
            )
            for name, kind in INPUTS.items()
        }
        self._hosts = {
            name: torch.zeros(value.shape, dtype=value.dtype, pin_memory=device == "cuda")
            for name, value in self._inputs.items()
        }
        self._written: set[str] = set()
        self._graph: Any = None
        self._outputs: Any = None
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

    def run(self) -> dict[str, NDArray[Any]]:
        """Run once; see `FixedSession`."""
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

    def _forward(self) -> Any:
        torch = self._torch
        with torch.inference_mode(), torch.autocast("cuda", torch.float16, enabled=self._half):
            return self._model(*(self._inputs[name] for name in INPUTS))

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
