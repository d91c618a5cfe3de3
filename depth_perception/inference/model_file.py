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

"""What an ONNX file says of itself: its metadata, and whether its graph is still as exported.

In: a file. Out: `ModelFile`. Reads the few fields of onnx.proto that are needed; neither `onnx` nor
ONNX Runtime has to be there. `network.export` writes the metadata that is checked here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import ModelError

FORMAT = "depth_perception fused"
VERSION = 1
VERSION_MEASURED = 2
"""Of files that take measured depth: releases that do not know it refuse them by their version."""
PREFIX = "depth_perception."
"""Begins the key of each entry of the metadata that is ours."""
INPUTS = {"image": np.uint8, "rays": np.float32, "camera": np.float32}
"""What every file takes."""
MEASURED = "measured"
"""What some take, too: (cameras, 2, rows, columns) measured depth, m, and its relative standard
deviation, 0 where nothing is measured."""
Feed = Mapping[str, NDArray[Any]]
"""One array for each of `input_types`."""
OUTPUTS = ("depth", "confidence", "road")
"""Of the fused network, in the graph's order."""
MULTIPLE = 32
"""Height and width of the network's images are multiples of this, px."""
STRIDE = 4
"""Of the rays and of confidence and road, px of the network's images."""
_GRAPH, _METADATA = 7, 14
"""Numbers of ModelProto's fields."""
_LENGTH_DELIMITED = 2
_EXPORT = "export it again: depth_perception export"


def input_types(measured: bool) -> dict[str, Any]:
    """Type of each input, in the graph's order, of files with or without measured depth."""
    return {**INPUTS, MEASURED: np.float32} if measured else dict(INPUTS)


def version_of(measured: bool) -> int:
    """Version of the format, of files with or without measured depth."""
    return VERSION_MEASURED if measured else VERSION


@dataclass(frozen=True)
class ModelFile:
    """An ONNX file's metadata.

    Attributes:
        path: The file.
        metadata: By name.
        graph_hash: SHA-256 of graph and weights, as stored.
    """

    path: Path
    metadata: Mapping[str, str]
    graph_hash: str


@dataclass(frozen=True)
class FusedModel:
    """A file of the fused network, checked.

    Attributes:
        path: The file.
        name: What to call it in messages, e.g. ``lite int8``.
        size: Of the network, ``lite`` or ``base``, or ``other``.
        precision: ``fp32``, ``fp16`` or ``int8``.
        output: ``depth``, or ``relative`` for a variant without metres.
        farthest: Deeper is +Inf, m.
        weights_hash: SHA-256 of the weights that it was exported from.
        cameras, height, width: Of the image, px, and how many; None where the file serves all.
        network: (width, height) of the network's images, px; None as well.
        facts: How the weights were made: commit, command, figures.
        measured: Whether it takes measured depth.
    """

    path: Path
    name: str
    size: str
    precision: str
    output: str
    farthest: float
    weights_hash: str
    cameras: int | None
    height: int | None
    width: int | None
    network: tuple[int, int] | None
    facts: Mapping[str, Any]
    measured: bool = False


def read_model_file(path: str | Path) -> ModelFile:
    """Read a file's metadata.

    Raises:
        ModelError: The file is absent, or no ONNX model.
    """
    path = Path(path)
    try:
        content = memoryview(path.read_bytes())
    except OSError as error:
        raise ModelError(
            f"model '{path}' cannot be read ({error.strerror})",
            expected="an .onnx file",
            fix="correct the path, or put the model there",
        ) from None
    metadata: dict[str, str] = {}
    graph = hashlib.sha256()
    found = False
    try:
        for number, value in _fields(content):
            if number == _GRAPH:
                found = True
                graph.update(_content(value))
            elif number == _METADATA:
                entry = dict(_fields(_content(value)))
                metadata[_text(entry.get(1))] = _text(entry.get(2))
    except (ValueError, IndexError, UnicodeDecodeError):
        found = False
    if not found:
        raise ModelError(
            f"'{path}' is no ONNX model, or only part of one",
            expected="a whole .onnx file",
            fix="copy or export it again",
        )
    return ModelFile(path, metadata, graph.hexdigest())


def read_fused_model(path: str | Path) -> FusedModel:
    """Read and check a file of the fused network.

    Raises:
        ModelError: Absent, damaged, not of the fused network, or of another version.
    """
    file = read_model_file(path)
    entries = {k[len(PREFIX) :]: v for k, v in file.metadata.items() if k.startswith(PREFIX)}
    if entries.get("format") != FORMAT:
        raise ModelError(
            f"'{file.path}' is not the fused network: its metadata has no {PREFIX}format"
            if "format" not in entries
            else f"'{file.path}' has the format '{entries['format']}'",
            expected=f"'{FORMAT}'",
            fix=f"{_EXPORT}; another depth network goes with estimator relative",
        )
    if entries.get("version") not in (str(VERSION), str(VERSION_MEASURED)):
        raise ModelError(
            f"model '{file.path}' has version {entries.get('version')} of the format",
            expected=f"{VERSION} or {VERSION_MEASURED}",
            fix=_EXPORT,
        )
    if entries.get("graph_hash") != file.graph_hash:
        raise ModelError(
            f"model '{file.path}' was changed after it was exported: SHA-256 of the graph is"
            f" {file.graph_hash[:12]}...",
            expected=f"{entries.get('graph_hash', '')[:12]}...",
            fix="copy or export it again",
        )
    try:
        size, precision = entries["size"], entries["precision"]
        cameras, height, width = (
            int(entries[key]) if entries[key] else None for key in ("cameras", "height", "width")
        )
        network = None
        inputs = json.loads(entries["inputs"])
        if cameras:
            rows, columns = inputs["rays"][2:]
            network = STRIDE * int(columns), STRIDE * int(rows)
        return FusedModel(
            file.path,
            f"{size} {precision}",
            size,
            precision,
            entries["output"],
            float(entries["farthest"]),
            entries["weights_hash"],
            cameras,
            height,
            width,
            network,
            json.loads(entries["facts"]),
            MEASURED in inputs,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"model '{file.path}': its metadata is incomplete ({error})",
            expected="what depth_perception export writes",
            fix=_EXPORT,
        ) from None


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each field: bytes of one with a length, a number of the others.

    Raises:
        ValueError: The message ends too soon, or is none.
    """
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, position = _varint(data, position)
            yield number, value
            continue
        if kind == _LENGTH_DELIMITED:
            size, position = _varint(data, position)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError("no field of this kind")
        if number == 0 or position + size > len(data):
            raise ValueError("ends too soon")
        content = data[position : position + size]
        yield number, content if kind == _LENGTH_DELIMITED else int.from_bytes(content, "little")
        position += size


def _content(value: Any) -> memoryview:
    """Return the bytes of a field that is to have a length."""
    if not isinstance(value, memoryview):
        raise ValueError("a field of another kind")
    return value


def _text(value: Any) -> str:
    return "" if value is None else bytes(_content(value)).decode()


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
        if shift > 63:
            raise ValueError("no number")
