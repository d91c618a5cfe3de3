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

"""The YAML file that describes a network of relative depth: what it wants, what it gives.

.. code-block:: yaml

    model: network.onnx       # looked for beside this file and in DEPTH_PERCEPTION_MODELS
    input:                    # as for segmenters, see segmentation.segmenter_description
      width: 518
      height: 518
      mean: [0.485, 0.456, 0.406]
      std: [0.229, 0.224, 0.225]
    output:
      name: predicted_depth   # or index: 0
      kind: inverse           # what is affine in what comes out, with unknown scale and shift:
                              # inverse: 1/Z, greater is nearer; depth: Z, greater is farther.
                              # metric: metres, used as they are. Of depth and metric, 0 and what
                              # is below it is unknown
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from depth_perception.errors import ConfigurationError
from depth_perception.inference.image_input import (
    InputDescription,
    choice,
    find_model,
    number,
    read_input,
)
from depth_perception.yaml_mapping import check_keys, read_yaml_mapping

KINDS = ("inverse", "depth", "metric")
_SEE = "see config/relative"


@dataclass(frozen=True)
class RelativeDescription:
    """A relative-depth network's YAML file, read.

    Attributes:
        path: The file.
        model: The model, found.
        input: What it wants.
        which: Its output's name in the model, or its index.
        kind: One of `KINDS`.
    """

    path: Path
    model: Path
    input: InputDescription
    which: str | int
    kind: str


def read_description(path: str | Path) -> RelativeDescription:
    """Read a relative-depth network's YAML file and find its model.

    Raises:
        ConfigurationError: The file is absent or a key is impossible; names the key and the fix.
        ModelError: The model file is nowhere; lists where it was looked for.
    """
    path = Path(path)
    where = f"relative depth '{path}'"
    content = read_yaml_mapping(path, "relative depth", "model, input and output")
    check_keys(content, ("model", "input", "output"), where)
    for key, kind in {"model": str, "input": dict, "output": dict}.items():
        if not isinstance(content.get(key), kind) or not content[key]:
            raise ConfigurationError(
                f"{where}: {key} is {content.get(key)!r}",
                expected="a file" if kind is str else "a mapping",
                fix=_SEE,
            )
    output = content["output"]
    check_keys(output, ("name", "index", "kind"), f"{where}, output")
    if ("name" in output) == ("index" in output):
        raise ConfigurationError(
            f"{where}: output has neither name nor index, or both",
            expected="the output's name in the model, or its index",
            fix=_SEE,
        )
    which: str | int = str(output.get("name", ""))
    if "index" in output:
        which = int(number(output["index"], f"{where}: output.index", "0 or more", 0, 999, int))
    return RelativeDescription(
        path,
        find_model(content["model"], where, path),
        read_input(content["input"], where, _SEE),
        which,
        choice(output.get("kind", "inverse"), KINDS, f"{where}: output.kind", _SEE),
    )
