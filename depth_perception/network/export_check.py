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

"""The check of an exported file: the same inputs through ONNX Runtime and through PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from depth_perception.errors import ModelError
from depth_perception.inference.model_file import (
    OUTPUTS,
    STRIDE,
    Feed,
    input_types,
    read_fused_model,
)
from depth_perception.inference.network_inputs import axis_sizes
from depth_perception.inference.onnx_session import OnnxSession
from depth_perception.network.deployed import DeployedSurround
from depth_perception.network.export import ExportOptions, example_feed
from depth_perception.network.fused import FusedSurround

_REPORT = "report it with the versions of torch, onnx and onnxruntime"
LARGEST = {"fp32": 1e-3, "fp16": 1e-2, "int8": float("inf")}
"""Relative difference of depth that is accepted: the largest of fp32, the median of others."""


def check(
    network: FusedSurround, path: str | Path, options: ExportOptions, feeds: Sequence[Feed]
) -> dict[str, float]:
    """Compare a file with the network that it was made from.

    Returns:
        Median, mean and largest relative difference of depth where both are finite; share of
        pixels where only one is; largest difference of confidence and road.

    Raises:
        ModelError: The file is damaged, or differs by more than `LARGEST`, or gives NaN.
    """
    info = read_fused_model(path)
    names = list(input_types(network.configuration.measured))
    module = DeployedSurround(network, options.farthest, options.at_image)
    axes = {} if options.static else axes_of(feeds[0])
    session = OnnxSession(path, axes=axes)
    differences, apart, others = [], [], []
    for feed in feeds:
        with torch.inference_mode():
            wanted = module(*(torch.from_numpy(feed[name]) for name in names))
        found = session.run({name: feed[name] for name in names}, list(OUTPUTS))
        _refuse_nan(path, found)
        depth, truth = found[0], wanted[0].numpy()
        both = np.isfinite(depth) & np.isfinite(truth)
        differences.append(np.abs(depth[both] / truth[both] - 1))
        apart.append(np.mean(np.isfinite(depth) != np.isfinite(truth)))
        others += [np.abs(a - b.numpy()).max() for a, b in zip(found[1:], wanted[1:], strict=True)]
    difference = np.concatenate(differences)
    if not len(difference):
        if any(apart):
            raise ModelError(
                f"'{path}' has a depth only where the network that it was made from has none",
                expected="the same depths",
                fix=_REPORT,
            )
        difference = np.zeros(1)  # everything is beyond the range in both
    result = {
        "median relative difference of depth": float(np.median(difference)),
        "mean relative difference of depth": float(np.mean(difference)),
        "largest relative difference of depth": float(np.max(difference)),
        "share of pixels beyond the range in one only": float(np.mean(apart)),
        "largest difference of confidence and road": float(max(others)),
    }
    kind = "largest" if info.precision == "fp32" else "median"
    value = result[f"{kind} relative difference of depth"]
    if not value <= LARGEST[info.precision]:
        raise ModelError(
            f"'{path}' differs from the network that it was made from: {kind} {value:.2g}",
            expected=f"at most {LARGEST[info.precision]:g} of depth",
            fix=_REPORT,
        )
    return result


def _refuse_nan(path: str | Path, found: Sequence[NDArray[Any]]) -> None:
    """Refuse a file that says what is no number: every input here has a depth or is beyond it."""
    for name, values in zip(OUTPUTS, found, strict=True):
        if np.isnan(values).any():
            raise ModelError(
                f"'{path}' gives NaN for {np.isnan(values).mean():.1%} of {name}",
                expected="numbers everywhere",
                fix=_REPORT,
            )


def axes_of(feed: Feed) -> dict[str, int]:
    """Sizes of the named axes that inputs have."""
    count, height, width = feed["image"].shape[:3]
    rows, columns = feed["rays"].shape[2:]
    return axis_sizes(count, (width, height), (columns * STRIDE, rows * STRIDE))


def example_feeds(
    options: ExportOptions, count: int = 2, measured: bool = False
) -> list[dict[str, NDArray[Any]]]:
    """Made-up inputs; see `export.example_feed`."""
    return [example_feed(options, seed, measured) for seed in range(count)]
