"""Running an ONNX model with ONNX Runtime, and the truth about which device runs it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import ConfigurationError, ModelError
from depth_perception.yaml_mapping import nearest

CPU = "CPUExecutionProvider"
PROVIDERS = {
    "cpu": CPU,
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_DTYPES = {
    "tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8, "tensor(int8)": np.int8, "tensor(int32)": np.int32,
    "tensor(int64)": np.int64, "tensor(bool)": np.bool_,
}  # fmt: skip


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


class OnnxSession:
    """One loaded model. `run` may be called from several threads.

    Attributes:
        path: The model file.
        inputs: In the graph's order.
        outputs: In the graph's order.
        provider: The execution provider really in use, e.g. ``CPUExecutionProvider``.
    """

    def __init__(
        self,
        path: str | Path,
        providers: Sequence[str] | None = None,
        require_gpu: bool = False,
    ) -> None:
        """Load the model.

        Args:
            path: An ``.onnx`` file.
            providers: ``tensorrt``, ``cuda`` or ``cpu`` in the order of preference; those that
                this machine's ONNX Runtime lacks are passed over. None is the CPU.
            require_gpu: Refuse to run on the CPU.

        Raises:
            ModelError: The file is absent or no model, ONNX Runtime is not installed, or
                ``require_gpu`` and the model ended up on the CPU.
            ConfigurationError: A provider that nobody knows.
        """
        self.path = Path(path)
        if not self.path.is_file():
            raise ModelError(
                f"model '{self.path}' does not exist",
                expected="an .onnx file",
                fix="correct the path, or put the model there",
            )
        wanted = [_provider(name) for name in providers or ["cpu"]]
        try:
            import onnxruntime
        except ImportError as error:
            raise ModelError(
                f"model '{self.path}' cannot be run: onnxruntime does not import ({error})",
                expected="ONNX Runtime",
                fix="pip install onnxruntime, or onnxruntime-gpu for CUDA and TensorRT",
            ) from None
        available = onnxruntime.get_available_providers()
        usable = [name for name in wanted if name in available]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = available_cores()
        # Errors are raised as exceptions; the library's own copy on stderr says nothing more.
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                str(self.path), options, providers=[*usable, *([CPU] * (CPU not in usable))]
            )
        except Exception as error:  # onnxruntime raises classes of its own without a common base
            raise ModelError(
                f"model '{self.path}' cannot be loaded ({' '.join(str(error).split())})",
                expected=f"a whole ONNX model for ONNX Runtime {onnxruntime.__version__}",
                fix="export or copy it again; a newer opset needs a newer ONNX Runtime",
            ) from None
        self.provider: str = self._session.get_providers()[0]
        if require_gpu and self.provider == CPU:
            raise ModelError(
                f"model '{self.path}' runs on {self.provider}",
                expected="a GPU, as require_gpu says; ONNX Runtime offers "
                + ", ".join(available)
                + " and was asked for "
                + ", ".join(wanted),
                fix="install onnxruntime-gpu with a matching CUDA, ask for the provider cuda, or"
                " drop require_gpu",
            )
        self.inputs = tuple(_tensor(item) for item in self._session.get_inputs())
        self.outputs = tuple(_tensor(item) for item in self._session.get_outputs())

    def run(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> list[NDArray[Any]]:
        """Run the model once.

        Args:
            inputs: One array for each input, by name.
            outputs: Names of the outputs wanted; None for all.

        Raises:
            ModelError: Names, shapes or types do not fit, or the device failed.
        """
        try:
            return list(self._session.run(None if outputs is None else list(outputs), dict(inputs)))
        except Exception as error:  # see __init__
            shapes = ", ".join(f"{k} {v.dtype}{list(v.shape)}" for k, v in inputs.items())
            raise ModelError(
                f"model '{self.path}' failed on {shapes} ({' '.join(str(error).split())})",
                expected=", ".join(f"{t.name} {t.dtype}{list(t.shape)}" for t in self.inputs),
                fix="give it inputs of these shapes",
            ) from None


def available_cores() -> int:
    """Count the cores that this process may use, which a container or taskset can limit."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def _provider(name: str) -> str:
    known = {**PROVIDERS, **{full.lower(): full for full in PROVIDERS.values()}}
    if name.lower() not in known:
        raise ConfigurationError(
            f"execution provider '{name}' is unknown",
            expected=nearest(name, PROVIDERS),
            fix="correct the name",
        )
    return known[name.lower()]


def _tensor(item: Any) -> Tensor:
    shape = tuple(axis if isinstance(axis, int) else None for axis in item.shape)
    dtype = _DTYPES.get(item.type)
    return Tensor(item.name, shape, None if dtype is None else np.dtype(dtype))
