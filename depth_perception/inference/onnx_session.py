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

"""Running an ONNX model with ONNX Runtime, and the truth about which device runs it.

On the CPU, on CUDA, or on TensorRT, which builds an engine for the model first and keeps it in a
folder. Named axes that a model leaves open can be fixed, so that its shapes are static.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import ConfigurationError, ModelError, missing_library
from depth_perception.inference.bound_session import BoundSession
from depth_perception.inference.session import Tensor
from depth_perception.inference.slot_session import SlotSession
from depth_perception.inference.tensorrt import ENGINES, provider_options
from depth_perception.yaml_mapping import nearest

THREADS = "DEPTH_PERCEPTION_THREADS"
"""Environment variable: at most so many threads for one run of a network."""

CPU = "CPUExecutionProvider"
PROVIDERS = {"cpu": CPU, "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
_KNOWN = set(PROVIDERS.values())
_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}
_ASSIGNMENT = "get_provider_graph_assignment_info"
"""Of a session: what it gave to which provider. ONNX Runtime has it from 1.24 on."""
_LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "QLinearConv", "FusedConv")


class OnnxSession:
    """One loaded model. `run` may be called from several threads.

    Attributes:
        path: The model file.
        inputs: In the graph's order.
        outputs: In the graph's order.
        provider: The execution provider really in use, e.g. ``CPUExecutionProvider``: of those that
            were asked for, the first that was given a part of the graph.
        reported: The same for status messages: ``unverified`` stands behind it where ONNX Runtime
            is too old to tell what it gave to whom (before 1.24) and require_gpu is not set.
        assigned: How many nodes of the graph each provider was given; empty where ONNX Runtime is
            too old to tell.
        engines: Folder of TensorRT's engines of this model; empty without TensorRT.
    """

    def __init__(
        self,
        path: str | Path,
        providers: Sequence[str] | None = None,
        require_gpu: bool = False,
        *,
        axes: Mapping[str, int] | None = None,
        cache: str | Path | None = None,
        threads: int | None = None,
    ) -> None:
        """Load the model.

        Args:
            path: An ``.onnx`` file.
            providers: ``tensorrt``, ``cuda`` or ``cpu`` in the order of preference; those that
                this machine's ONNX Runtime lacks are passed over. None is the CPU.
            require_gpu: Refuse to run on the CPU, or layers of the model there.
            axes: Sizes of axes that the model leaves open, by name.
            cache: Folder for TensorRT's engines, which take minutes to build; made when it is not
                there. None: `tensorrt.default_cache`.
            threads: Of the CPU that one run is spread over; None: `available_cores`.

        Raises:
            ModelError: The file is absent or no model, ONNX Runtime is not installed, or
                ``require_gpu`` and the model, or a layer of it, ended up on the CPU.
            ConfigurationError: A provider that nobody knows, or a cache that cannot be written.
        """
        self.path = Path(path)
        if not self.path.is_file():
            raise ModelError(
                f"model '{self.path}' does not exist",
                expected="an .onnx file",
                fix="correct the path, or put the model there",
            )
        wanted = list(dict.fromkeys(provider_name(name) for name in providers or ["cpu"]))
        try:
            import onnxruntime
        except ImportError as error:
            missing = missing_library("onnxruntime", error)
            raise ModelError(
                f"model '{self.path}' cannot be run: {missing.problem}",
                expected="ONNX Runtime",
                fix=f"{missing.fix}; onnxruntime-gpu in its place for CUDA and TensorRT",
            ) from None
        available = onnxruntime.get_available_providers()
        usable = [name for name in wanted if name in available]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or available_cores()
        # Errors are raised as exceptions; the library's own copy on stderr says nothing more.
        options.log_severity_level = 4
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        for name, size in (axes or {}).items():
            options.add_free_dimension_override_by_name(name, size)
        asked = [*usable, *([CPU] * (CPU not in usable))]
        gpus = [name for name in usable if name != CPU]
        can_report = hasattr(onnxruntime.InferenceSession, _ASSIGNMENT)
        if require_gpu and gpus and not can_report:
            # It cannot say afterwards what runs where; but it can refuse the CPU any node.
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
            asked = gpus
        settings = [
            _settings(name, self.path, axes, cache, onnxruntime.__version__) for name in asked
        ]
        try:
            self._session = onnxruntime.InferenceSession(str(self.path), options, asked, settings)
        except Exception as error:  # onnxruntime raises classes of its own without a common base
            raise ModelError(
                f"model '{self.path}' cannot be loaded ({' '.join(str(error).split())})",
                expected=f"a whole ONNX model for ONNX Runtime {onnxruntime.__version__}"
                + ", and no part of it on the CPU, as require_gpu says" * (asked is gpus),
                fix="export or copy it again; a newer opset needs a newer ONNX Runtime",
            ) from None
        # On an error of CUDA or TensorRT it would start over on the CPU, and say nothing.
        self._session.disable_fallback()
        self.engines = next((s[ENGINES] for s in settings if ENGINES in s), "")
        self.assigned, on_cpu = _assigned(self._session)
        in_use: list[str] = self._session.get_providers()
        self.provider = next((n for n in in_use if self.assigned.get(n)), in_use[0])
        known = can_report or self.provider == CPU or asked is gpus
        self.reported = self.provider if known else f"{self.provider}, unverified"
        if require_gpu and (self.provider == CPU or on_cpu):
            where = f"runs on {self.provider}"
            if self.provider != CPU:
                where += f" but for {', '.join(sorted(on_cpu))}, on {CPU}"
            raise ModelError(
                f"model '{self.path}' {where}",
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

    def bind(self, shapes: Mapping[str, Sequence[int]]) -> BoundSession:
        """Make buffers for all inputs and outputs, where the model runs; see `BoundSession`.

        Args:
            shapes: Of inputs and outputs whose shapes the model leaves open, by name.
        """
        device = "cpu" if self.provider.startswith("CPU") else "cuda"
        return BoundSession(
            self._session, self.path, self.reported, device, self.inputs, self.outputs, shapes
        )

    def bind_slots(self, shapes: Mapping[str, Sequence[int]]) -> SlotSession:
        """Make buffers as `bind`, on the CPU, and run each slot of the first axis by itself.

        Args:
            shapes: Of all inputs and outputs, by name; the first axis has the slots.
        """
        return SlotSession(
            self._session, self.path, self.reported, self.inputs, self.outputs, shapes
        )


def default_providers() -> list[str]:
    """CUDA where ONNX Runtime has it, then the CPU."""
    return ["cuda", "cpu"] if usable_providers([PROVIDERS["cuda"]]) else ["cpu"]


def usable_providers(names: Sequence[str]) -> list[str]:
    """Those of ONNX Runtime's names that it was built with on this machine."""
    try:
        import onnxruntime
    except ImportError:
        return []
    available = onnxruntime.get_available_providers()
    return [name for name in names if name in available]


def build_only(
    path: str | Path, axes: Mapping[str, int] | None = None, cache: str | Path | None = None
) -> Path:
    """Build TensorRT's engine of a model into the cache, and do not run it.

    Returns:
        The folder of the engine: one of this model, these sizes and this ONNX Runtime.

    Raises:
        ModelError: TensorRT is not there, or cannot build it, or the model is in int8.
    """
    session = OnnxSession(path, ["tensorrt"], require_gpu=True, axes=axes, cache=cache)
    return Path(session.engines)


def available_cores() -> int:
    """Count the cores that this process may use, which a container or taskset can limit.

    `THREADS` in the environment limits it, too: where several processes share a machine.
    """
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = max(1, len(os.sched_getaffinity(0)))
    limit = os.environ.get(THREADS, "")
    return min(cores, int(limit)) if limit.isdecimal() and int(limit) else cores


def provider_name(name: str) -> str:
    """ONNX Runtime's name of ``tensorrt``, ``cuda`` or ``cpu``.

    Raises:
        ConfigurationError: Nobody knows it.
    """
    known = {**PROVIDERS, **{full.lower(): full for full in PROVIDERS.values()}}
    if name.lower() not in known:
        raise ConfigurationError(
            f"execution provider '{name}' is unknown",
            expected=nearest(name, PROVIDERS),
            fix="correct the name",
        )
    return known[name.lower()]


def absent_provider(asked: Sequence[str], used: str, parameter: str) -> str:
    """Say that what was asked for first is not what a network runs on, and what to install.

    Args:
        asked: ``tensorrt``, ``cuda`` or ``cpu`` in the order of preference, as the user named them.
        used: What it runs on, as `OnnxSession.reported` or a session of PyTorch says it.
        parameter: What the user named them in.

    Returns:
        A warning; empty when the first is used, or none was named.
    """
    if not asked:
        return ""
    first = provider_name(asked[0])
    if used.startswith(first) or (used == "torch cpu" and first == CPU) or used == "torch cuda":
        return ""
    what = f"{parameter} asks for {', '.join(asked)}, and the network runs on {used}"
    or_else = f", or ask for what there is: {parameter}: [cpu]"
    if used.startswith("torch"):
        return f"{what}: PyTorch has no GPU here. Fix: install PyTorch with CUDA{or_else}"
    try:
        import onnxruntime
    except ImportError:
        return ""  # nothing runs without it, and that is said elsewhere
    available = [name for name in onnxruntime.get_available_providers() if name in _KNOWN]
    here = f"ONNX Runtime {onnxruntime.__version__} here has {', '.join(available)}"
    if first in available:
        return (
            f"{what}, though {here}: its libraries did not load, or there is no GPU. Fix: look at"
            " nvidia-smi, and install the CUDA, cuDNN and TensorRT that this version of ONNX"
            f" Runtime was built for{or_else}"
        )
    install = "pip uninstall onnxruntime && pip install onnxruntime-gpu"
    if first == PROVIDERS["tensorrt"]:
        install += " tensorrt"
    return f"{what}: {here}. Fix: {install}, with a CUDA and cuDNN that fit it{or_else}"


def _settings(
    provider: str,
    path: Path,
    axes: Mapping[str, int] | None,
    cache: str | Path | None,
    version: str,
) -> dict[str, str]:
    """Options of a provider, as ONNX Runtime names them."""
    if provider == PROVIDERS["cuda"]:
        # Searching all algorithms takes many times as long as it saves in an hour of driving.
        return {"cudnn_conv_algo_search": "HEURISTIC"}
    if provider != PROVIDERS["tensorrt"]:
        return {}
    return provider_options(path, axes, cache, version)


def _assigned(session: Any) -> tuple[dict[str, int], set[str]]:
    """Nodes of each provider, and what kinds of layers the CPU has beside another provider."""
    if not hasattr(session, _ASSIGNMENT):
        return {}, set()
    counts: dict[str, int] = {}
    layers: set[str] = set()
    for part in getattr(session, _ASSIGNMENT)():
        nodes = part.get_nodes()
        counts[part.ep_name] = counts.get(part.ep_name, 0) + len(nodes)
        if part.ep_name == CPU:
            layers.update(str(node.op_type) for node in nodes if node.op_type in _LAYERS)
    return counts, layers if len(counts) > 1 else set()


def _tensor(item: Any) -> Tensor:
    shape = tuple(axis if isinstance(axis, int) else None for axis in item.shape)
    dtype = _DTYPES.get(item.type)
    return Tensor(item.name, shape, None if dtype is None else np.dtype(dtype))
