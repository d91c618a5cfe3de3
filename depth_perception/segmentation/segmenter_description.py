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

"""The YAML file that describes an ONNX segmenter: what it wants, what it gives, what that means.

.. code-block:: yaml

    model: network.onnx       # see `find_model` for where it is looked for
    input:
      width: 640              # pixels of the network's input
      height: 360
      color: rgb              # rgb or bgr
      scale: 0.00392156862745 # the input is (pixel * scale - mean) / std
      mean: [0, 0, 0]         # in the order of color
      std: [1, 1, 1]
      layout: nchw            # nchw or nhwc
      dtype: float32          # float32, float16 or uint8
      resize: stretch         # or letterbox: keeps the aspect, fills up with pad
      pad: 114
    outputs:                  # the first whose surface is neither unknown nor other decides
      - name: scores          # or index: 0
        decode: argmax        # over channels; threshold: of one channel; ids: class ids
        threshold: 0.5        # only for decode: threshold; classes are 0 below and 1 above
        layout: nchw
        classes: {0: {name: other, surface: other}, 1: {name: road, surface: road}}
                              # or a class map: cityscapes, a file
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depth_perception.errors import ConfigurationError
from depth_perception.inference.image_input import (
    InputDescription,
    choice,
    find_model,
    number,
    read_input,
)
from depth_perception.segmentation.classes import ClassMap, class_map, class_map_from
from depth_perception.yaml_mapping import check_keys, read_yaml_mapping

_SEE = "see config/segmentation"
_EXAMPLE = "model, input and outputs"
_DECODERS = ("argmax", "threshold", "ids")
_LAYOUTS = ("nchw", "nhwc")


@dataclass(frozen=True)
class OutputDescription:
    """What one output of a network means.

    Attributes:
        where: Its key in the file, for errors.
        which: Its name in the model, or its index.
        classes: Meaning of channels, of ids, or of 0 below and 1 above the threshold.
        decode: ``argmax``, ``threshold`` or ``ids``.
        threshold: Of the raw score, for ``decode: threshold``.
        layout: ``nchw`` or ``nhwc``.
    """

    where: str
    which: str | int
    classes: ClassMap
    decode: str = "argmax"
    threshold: float = 0.5
    layout: str = "nchw"


@dataclass(frozen=True)
class SegmenterDescription:
    """A segmenter's YAML file, read: where it lies, the model found, input and outputs."""

    path: Path
    model: Path
    input: InputDescription
    outputs: tuple[OutputDescription, ...]


def read_description(path: str | Path) -> SegmenterDescription:
    """Read a segmenter's YAML file and find its model.

    Raises:
        ConfigurationError: The file is absent or a key is impossible; names the key and the fix.
        ModelError: The model file is nowhere; lists where it was looked for.
    """
    path = Path(path)
    where = f"segmenter '{path}'"
    content = read_yaml_mapping(path, "segmenter", _EXAMPLE)
    check_keys(content, ("model", "input", "outputs"), where)
    kinds: dict[str, type] = {"model": str, "input": dict, "outputs": list}
    for key, kind in kinds.items():
        if not isinstance(content.get(key), kind) or not content[key]:
            raise ConfigurationError(
                f"{where}: {key} is {content.get(key)!r}",
                expected={"model": "a file", "input": "a mapping", "outputs": "a list"}[key],
                fix=_SEE,
            )
    described = read_input(content["input"], where, _SEE)
    outputs = tuple(
        _output(entry, f"outputs[{i}]", where, path) for i, entry in enumerate(content["outputs"])
    )
    return SegmenterDescription(path, find_model(content["model"], where, path), described, outputs)


def _output(entry: Any, key: str, where: str, path: Path) -> OutputDescription:
    if not isinstance(entry, dict) or ("name" in entry) == ("index" in entry):
        raise ConfigurationError(
            f"{where}: {key} has neither name nor index, or both",
            expected="the output's name in the model, or its index",
            fix=_SEE,
        )
    check_keys(
        entry, ("name", "index", "decode", "threshold", "layout", "classes"), f"{where}, {key}"
    )
    name = f"{where}: {key}"
    which: str | int
    if "index" in entry:
        which = int(number(entry["index"], f"{name}.index", "0 or more", 0, 999, int))
    else:
        which = str(entry["name"])
    decode = choice(entry.get("decode", "argmax"), _DECODERS, f"{name}.decode", _SEE)
    if "threshold" in entry and decode != "threshold":
        raise ConfigurationError(
            f"{name}.threshold is set with decode: {decode}",
            expected="decode: threshold",
            fix="set decode: threshold, or leave threshold out",
        )
    threshold = number(entry.get("threshold", 0.5), f"{name}.threshold", "a number", -1e9, 1e9)
    layout = choice(entry.get("layout", "nchw"), _LAYOUTS, f"{name}.layout", _SEE)
    listed = entry.get("classes")
    if isinstance(listed, str):
        beside = path.parent / listed
        classes = class_map(beside if beside.is_file() else listed)
    else:
        classes = class_map_from(listed, name, f"{path.name} {key}")
    if decode == "threshold" and set(classes.classes) != {0, 1}:
        raise ConfigurationError(
            f"{name}.classes lists {sorted(classes.classes)}",
            expected="0 (below the threshold) and 1 (above it)",
            fix="list these two",
        )
    if decode == "argmax":
        # Ids such as 255, "ignore", name no channel.
        channels = {i: c for i, c in classes.classes.items() if i != 255 or 254 in classes.classes}
        classes = ClassMap(classes.name, channels)
    return OutputDescription(key, which, classes, decode, float(threshold), layout)
