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

"""Tiny ONNX models for tests, written byte by byte: 1x1 convolutions of an image.

The `onnx` package is not needed to run models, so it is not needed to make these either. Field
numbers are those of onnx.proto.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def _field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _tensor(name: str, array: np.ndarray) -> bytes:
    dims = b"".join(_field(1, size) for size in array.shape)
    return dims + _field(2, 1) + _field(8, name) + _field(9, array.astype("<f4").tobytes())


def _value(name: str, shape: tuple[int | str, ...]) -> bytes:
    dims = b"".join(_field(1, _field(1 if isinstance(s, int) else 2, s)) for s in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, dims)))


def write_model(
    path: Path,
    outputs: dict[str, list[list[float]]],
    size: tuple[int | str, int | str] = (8, 8),
    bias: float = 0.0,
    count: int | str = 1,
) -> Path:
    """Write a model with the input ``image`` (count, 3, height, width) float32.

    Args:
        path: The file to write.
        outputs: By name, one row of three channel weights for each output channel.
        size: (height, width); a string is a dynamic axis.
        bias: Added to every output.
        count: Of images; a string is a dynamic axis.
    """
    graph = b""
    values = b""
    for name, rows in outputs.items():
        weights = np.array(rows, dtype=np.float32)[:, :, None, None]
        node = _field(1, "image") + _field(1, f"{name}_w") + _field(1, f"{name}_b")
        graph += _field(1, node + _field(2, name) + _field(4, "Conv"))
        values += _field(5, _tensor(f"{name}_w", weights))
        values += _field(5, _tensor(f"{name}_b", np.full(len(rows), bias, np.float32)))
    graph += _field(2, "tiny") + values + _field(11, _value("image", (count, 3, *size)))
    for name, rows in outputs.items():
        graph += _field(12, _value(name, (count, len(rows), *size)))
    path.write_bytes(_field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13)))
    return path
