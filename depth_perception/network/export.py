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

"""The network as an ONNX file: one for every rig, in fp32, fp16 or int8, and with its metadata.

Axes are named and dynamic; a session fixes them when it loads the file, so that shapes are static
where it runs. A TensorRT or other build that wants none can have a file for one rig instead.
The exporter is PyTorch's TorchScript one: it writes opset 17 as it is, without conversion.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from depth_perception.errors import ConfigurationError, ModelError
from depth_perception.inference import model_file
from depth_perception.inference.model_file import OUTPUTS, STRIDE, Feed, input_types
from depth_perception.inference.network_inputs import AXES, check_sizes
from depth_perception.network.deployed import FARTHEST, DeployedSurround
from depth_perception.network.fused import FusedSurround

OPSET = 17
PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True)
class ExportOptions:
    """What file is made.

    Attributes:
        precision: One of `PRECISIONS`.
        static: All shapes fixed, to those below.
        cameras: How many, with `static`.
        image: Height and width of the images, px, with `static`.
        network: Height and width of the network's images, px, with `static`.
        farthest: Deeper is +Inf, m.
        at_image: Depth has the size of the images; else of the network's images.
    """

    precision: str = "fp32"
    static: bool = False
    cameras: int = 6
    image: tuple[int, int] = (352, 640)
    network: tuple[int, int] = (352, 640)
    farthest: float = FARTHEST
    at_image: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        if self.precision not in PRECISIONS:
            raise ConfigurationError(
                f"precision '{self.precision}'", expected="one of " + ", ".join(PRECISIONS)
            )
        check_sizes(self.cameras, self.image, self.network)


def export_model(
    network: FusedSurround,
    facts: Mapping[str, Any],
    path: str | Path,
    options: ExportOptions | None = None,
    calibration: Sequence[Feed] = (),
) -> Path:
    """Write a network to a file.

    Args:
        network: The network.
        facts: How its weights were made; stored in the file.
        path: The file; replaced at once.
        options: What file.
        calibration: Inputs that int8 takes the ranges of activations from; measured depth among
            them where the network takes it.

    Raises:
        ModelError: A package is missing.
        ConfigurationError: int8 without calibration, or no folder for the file.
    """
    options = options or ExportOptions()
    check_folder(path)
    if options.precision == "int8" and not calibration:
        raise ConfigurationError(
            "int8 without calibration",
            expected="inputs to take the ranges of activations from",
            fix="give --calibration a data set of depth_perception world",
        )
    half = options.precision == "fp16"
    deployed = DeployedSurround(network, options.farthest, options.at_image, half)
    model = _traced(deployed, options)
    if options.precision != "fp32":
        from depth_perception.network import precision

        if half:
            model = precision.to_fp16(model)
        else:
            names = input_types(network.configuration.measured)
            feeds = [{name: feed[name] for name in names} for feed in calibration]
            model = precision.to_int8(model, feeds)
    fixed = (options.cameras, *options.image) if options.static else ("", "", "")
    return _write(
        model,
        Path(path),
        {
            "format": model_file.FORMAT,
            "version": model_file.version_of(network.configuration.measured),
            "output": "depth",
            "size": network.configuration.named_size,
            "precision": options.precision,
            "configuration": json.dumps(network.configuration.to_dict()),
            "inputs": json.dumps(_signature(model)),
            "farthest": options.farthest,
            "weights_hash": weights_hash(network),
            "facts": json.dumps(dict(facts), default=str),
            **dict(zip(("cameras", "height", "width"), fixed, strict=True)),
        },
    )


def check_folder(path: str | Path) -> None:
    """Refuse a file that cannot be written, before there is something to write."""
    path = Path(path)
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise ConfigurationError(
            f"'{path}' cannot be written: "
            + ("it is a folder" if path.is_dir() else f"no folder '{path.parent}' to write to"),
            expected="the .onnx file to write, in a folder that is there",
            fix="make the folder, or correct --output",
        )


def weights_hash(network: FusedSurround) -> str:
    """SHA-256 of a network's weights."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def example_feed(
    options: ExportOptions, seed: int = 0, measured: bool = False
) -> dict[str, NDArray[Any]]:
    """Inputs of the right shapes: noise, seen by level pinhole cameras 1.5 m over the road.

    With `measured` also measured depth of some pixels, most of it near the road's.
    """
    rng = np.random.default_rng(seed)
    rows, columns = options.network[0] // STRIDE, options.network[1] // STRIDE
    focal = 0.8 * options.network[1]
    v, u = np.mgrid[:rows, :columns] * STRIDE + (STRIDE - 1) / 2
    rays = np.stack(
        [
            (u - options.network[1] / 2 + 0.5) / focal,
            (v - options.network[0] / 2 + 0.5) / focal,
            np.ones_like(u),
        ]
    )
    camera = np.array([0, -1, 0, 1.5, focal])
    small = rng.integers(0, 256, (options.cameras, 9, 16, 3), dtype=np.uint8)
    place = [
        np.linspace(0, n - 1, wanted).astype(int)
        for n, wanted in zip((9, 16), options.image, strict=True)
    ]
    feed: dict[str, NDArray[Any]] = {
        "image": np.ascontiguousarray(small[:, place[0]][:, :, place[1]]),
        "rays": np.tile(rays, (options.cameras, 1, 1, 1)).astype(np.float32),
        "camera": np.tile(camera, (options.cameras, 1)).astype(np.float32),
    }
    if not measured:
        return feed
    plane = 1.5 / np.maximum(rays[1], 0.02)
    depth = plane * np.exp(rng.normal(0, 0.2, (options.cameras, rows, columns)))
    sigma = rng.uniform(0.01, 0.15, depth.shape)
    known = rng.uniform(size=depth.shape) < 0.6
    maps = np.stack([depth, sigma], axis=1) * known[:, None]
    return {**feed, "measured": maps.astype(np.float32)}


def _traced(module: DeployedSurround, options: ExportOptions) -> Any:
    """Trace the network on inputs of the wanted shapes: an `onnx.ModelProto` in fp32."""
    try:
        import onnx
    except ImportError as error:
        raise ModelError(
            f"export needs the package onnx ({error})", fix="pip install 'depth_perception[train]'"
        ) from None
    takes_measured = module.network.configuration.measured
    feed, names = example_feed(options, measured=takes_measured), list(input_types(takes_measured))
    with warnings.catch_warnings(), torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        # Of tracing: sizes that Python sees are constants. Those that may differ, it does not see.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            tuple(torch.from_numpy(feed[name]) for name in names),
            file,
            opset_version=OPSET,
            dynamo=False,
            input_names=names,
            output_names=list(OUTPUTS),
            dynamic_axes=None if options.static else {name: AXES[name] for name in names},
        )
        model = onnx.load(file)
    onnx.checker.check_model(model)
    return model


def _signature(model: Any) -> dict[str, list[Any]]:
    return {
        item.name: [axis.dim_param or axis.dim_value for axis in item.type.tensor_type.shape.dim]
        for item in model.graph.input
    }


def _write(model: Any, path: Path, metadata: Mapping[str, Any]) -> Path:
    """Store a model and, behind it, its metadata with the hash of what stands in the file."""
    import onnx

    part = path.with_name(path.name + ".part")
    del model.metadata_props[:]
    content = model.SerializeToString()
    try:
        part.write_bytes(content)
        entries = {**metadata, "graph_hash": model_file.read_model_file(part).graph_hash}
        # Messages written one behind the other are one message.
        tail = onnx.ModelProto()
        for name, value in entries.items():
            tail.metadata_props.add(key=model_file.PREFIX + name, value=str(value))
        part.write_bytes(content + tail.SerializeToString())
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise ConfigurationError(
            f"'{path}' cannot be written ({error.strerror or error})",
            expected="a file that can be written, on a disk with room",
            fix="make room there, or name another file",
        ) from None
    return path
