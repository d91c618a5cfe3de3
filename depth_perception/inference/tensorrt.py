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

"""Engines that TensorRT builds of a model: where they are kept, and with what precision.

ONNX Runtime finds an engine by the name of the model's file and of its nodes alone. Each model,
size and setting therefore has a folder of its own: a hash over all that an engine is made for.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from depth_perception.errors import ConfigurationError, ModelError
from depth_perception.inference.model_file import PREFIX, read_model_file

ENGINES = "trt_engine_cache_path"
_FP16 = "trt_fp16_enable"


def default_cache() -> Path:
    """Folder for engines when none is set."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "depth_perception" / "tensorrt"


def provider_options(
    path: Path, axes: Mapping[str, int] | None, cache: str | Path | None, version: str
) -> dict[str, str]:
    """Options of ONNX Runtime's TensorRT provider for a model; makes the folders.

    Args:
        path: The model.
        axes: Sizes of its open axes, by name.
        cache: Folder for all engines; None: `default_cache`.
        version: Of ONNX Runtime.

    Raises:
        ModelError: The model is in int8, or unreadable.
        ConfigurationError: The folder cannot be made.
    """
    refuse_int8(path)
    # TensorRT itself would lower any model to 16 bits, whatever it was made for.
    precision = {_FP16: "1" if _precision(path) == "fp16" else "0"}
    base = Path(os.path.expanduser(cache or default_cache()))
    folder = base / _key(path, axes or {}, version, precision)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the folder of TensorRT engines '{folder}' cannot be made ({error.strerror})",
            expected="a folder that can be written",
            fix="set fused.tensorrt_cache",
        ) from None
    return {
        "trt_engine_cache_enable": "1",
        ENGINES: str(folder),
        # How long a layer takes is the same in every model.
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(base),
        **precision,
    }


def refuse_int8(path: str | Path) -> None:
    """Refuse a file of `network.export` in int8, whose zero points TensorRT cannot use.

    Raises:
        ModelError: It is one, or unreadable.
    """
    if _precision(path) == "int8":
        raise ModelError(
            f"model '{path}' is in int8, whose zero points TensorRT does not support",
            expected="fp16 or fp32 with the provider tensorrt",
            fix="use an fp16 export: depth_perception export WEIGHTS -o FILE --precision fp16",
        )


def _precision(path: str | Path) -> str:
    return read_model_file(path).metadata.get(f"{PREFIX}precision", "")


def _key(path: Path, axes: Mapping[str, int], version: str, precision: Mapping[str, str]) -> str:
    digest = hashlib.sha256(path.read_bytes())
    digest.update(repr((sorted(axes.items()), version, sorted(precision.items()))).encode())
    return digest.hexdigest()[:32]
