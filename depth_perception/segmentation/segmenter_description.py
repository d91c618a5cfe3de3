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

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depth_perception.errors import ConfigurationError, ModelError
from depth_perception.segmentation.classes import ClassMap, class_map, class_map_from
from depth_perception.yaml_mapping import check_keys, read_yaml_mapping

SEARCH_PATH = "DEPTH_PERCEPTION_MODELS"
_SEE = "see config/segmentation"
_EXAMPLE = "model, input and outputs"
_CHOICES = {
    "color": ("rgb", "bgr"),
    "layout": ("nchw", "nhwc"),
    "dtype": ("float32", "float16", "uint8"),
    "resize": ("stretch", "letterbox"),
    "decode": ("argmax", "threshold", "ids"),
}


@dataclass(frozen=True)
class InputDescription:
    """What a network wants: pixels of ``color``, (pixel * scale - mean) / std."""

    width: int
    height: int
    color: str = "rgb"
    scale: float = 1.0 / 255.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    layout: str = "nchw"
    dtype: str = "float32"
    resize: str = "stretch"
    pad: int = 114

    @property
    def letterbox(self) -> bool:
        """True when the image's aspect is kept."""
        return self.resize == "letterbox"

    @property
    def is_identity(self) -> bool:
        """True when pixels go in as they are."""
        return self.scale == 1.0 and self.mean == (0.0,) * 3 and self.std == (1.0,) * 3


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
    described = _input(content["input"], where)
    outputs = tuple(
        _output(entry, f"outputs[{i}]", where, path) for i, entry in enumerate(content["outputs"])
    )
    return SegmenterDescription(path, find_model(content["model"], path), described, outputs)


def find_model(name: str, config: Path) -> Path:
    """Find a model file that a YAML file names.

    ``${VARIABLES}`` are filled in. A relative name is looked for beside the YAML file and in the
    folders of the environment variable ``DEPTH_PERCEPTION_MODELS``; never in the current folder,
    where anybody may have put a file.

    Raises:
        ConfigurationError: A variable in the name is not set.
        ModelError: It is nowhere; lists where it was looked for.
    """
    expanded = os.path.expanduser(os.path.expandvars(name))
    if "${" in expanded:
        raise ConfigurationError(
            f"segmenter '{config}': model is '{expanded}'",
            expected="environment variables that are set",
            fix="export the variable, or write the path",
        )
    if Path(expanded).is_absolute():
        places = [Path(expanded)]
    else:
        named = [Path(item) for item in os.environ.get(SEARCH_PATH, "").split(os.pathsep) if item]
        places = [folder / expanded for folder in (config.parent, *named)]
    for place in places:
        if place.is_file():
            return place.resolve()
    looked = ", ".join(f"'{place}'" for place in dict.fromkeys(places))
    raise ModelError(
        f"segmenter '{config}': model '{name}' is not found",
        expected=f"it at {looked}",
        fix=f"put it there, or name its folder in {SEARCH_PATH}",
    )


def _input(entry: Mapping[str, Any], where: str) -> InputDescription:
    check_keys(entry, tuple(InputDescription.__dataclass_fields__), f"{where}, input")
    values: dict[str, Any] = {}
    for key, value in entry.items():
        name = f"{where}: input.{key}"
        if key in _CHOICES:
            values[key] = _choice(value, key, name)
        elif key in ("width", "height"):
            values[key] = int(_number(value, name, "a whole number of pixels", 1, 16384, int))
        elif key == "pad":
            values[key] = int(_number(value, name, "a grey level, 0 to 255", 0, 255, int))
        elif key == "scale":
            values[key] = float(_number(value, name, "a number above 0", 1e-9, 1e9))
        else:
            if not isinstance(value, list) or len(value) != 3:
                raise ConfigurationError(
                    f"{name} is {value!r}", expected="three numbers", fix=f"e.g. {key}: [1, 1, 1]"
                )
            low = 1e-9 if key == "std" else -1e9
            expected = "numbers above 0" if key == "std" else "numbers"
            values[key] = tuple(float(_number(v, name, expected, low, 1e9)) for v in value)
    for key in ("width", "height"):
        if key not in values:
            raise ConfigurationError(
                f"{where}: input.{key} is not there",
                expected="the size of the network's input",
                fix=_SEE,
            )
    described = InputDescription(**values)
    if described.dtype == "uint8" and not described.is_identity:
        raise ConfigurationError(
            f"{where}: input.dtype is uint8 with scale {described.scale}, mean"
            f" {list(described.mean)}, std {list(described.std)}",
            expected="scale 1, mean 0 and std 1 for a network that takes pixels as they are",
            fix="set input.scale: 1.0 and leave mean and std out",
        )
    return described


def _output(entry: Any, key: str, where: str, path: Path) -> OutputDescription:
    if not isinstance(entry, dict) or ("name" in entry) == ("index" in entry):
        raise ConfigurationError(
            f"{where}: {key} has neither name nor index, or both",
            expected="the output's name in the model, or its index",
            fix=_SEE,
        )
    check_keys(
        entry,
        ("name", "index", "decode", "threshold", "layout", "classes"),
        f"{where}, {key}",
    )
    name = f"{where}: {key}"
    which: str | int
    if "index" in entry:
        which = int(_number(entry["index"], f"{name}.index", "0 or more", 0, 999, int))
    else:
        which = str(entry["name"])
    decode = _choice(entry.get("decode", "argmax"), "decode", f"{name}.decode")
    if "threshold" in entry and decode != "threshold":
        raise ConfigurationError(
            f"{name}.threshold is set with decode: {decode}",
            expected="decode: threshold",
            fix="set decode: threshold, or leave threshold out",
        )
    threshold = _number(entry.get("threshold", 0.5), f"{name}.threshold", "a number", -1e9, 1e9)
    layout = _choice(entry.get("layout", "nchw"), "layout", f"{name}.layout")
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


def _choice(value: Any, key: str, name: str) -> str:
    if value not in _CHOICES[key]:
        raise ConfigurationError(
            f"{name} is {value!r}", expected="one of " + ", ".join(_CHOICES[key]), fix=_SEE
        )
    return str(value)


def _number(
    value: Any, name: str, expected: str, low: float, high: float, kind: type = float
) -> float:
    wrong = isinstance(value, bool) or not isinstance(value, (int, kind))
    if wrong or not low <= value <= high:
        raise ConfigurationError(f"{name} is {value!r}", expected=expected, fix="correct it")
    return float(value) if kind is float else int(value)
