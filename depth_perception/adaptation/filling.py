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

"""Depth of a foundation model where a drive measured nothing, brought to metres by what it did.

In: windows of a drive with what motion taught (`recording`), and a model of relative depth such as
Depth Anything. Out: the same windows, in which the model's depth, fitted place by place to what was
taught around (`estimators.local_scale`), stands where nobody knew. What was taught stays as it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depth_perception.adaptation.recording import write_manifest
from depth_perception.datasets import labels
from depth_perception.datasets.manifest import MANIFEST
from depth_perception.datasets.sample import TrueCamera
from depth_perception.datasets.shards import TAR_END, ShardReader, encode_set
from depth_perception.estimators.local_scale import locally_scaled

TAUGHT = 0.05
"""Deviation that is expected of what was taught, as a share."""
LEAST_TAUGHT = 0.05
"""An image of which a smaller share was taught is left as it is: nothing holds metres there."""
RelativeDepth = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
FARTHEST = 80.0
"""Beyond it a relative model's depth is not believed, m."""


def filled(folder: Path, output: Path, model: RelativeDepth) -> Path:
    """Fill windows; return the folder that holds them. One that was finished stays.

    Args:
        folder: Windows as `recording` makes them.
        output: Where the filled ones go.
        model: Says relative inverse depth (h, w) of a BGR image (h, w, 3).
    """
    reader = ShardReader(folder)
    if (output / MANIFEST).exists():  # which is written last
        return output
    output.mkdir(parents=True, exist_ok=True)
    first, counts = 0, {}
    for entry in reader.manifest["shards"]:
        name, count = str(entry["name"]), int(entry["sets"])
        part = output / f"{name}.part"
        with part.open("wb") as file:
            for index in range(first, first + count):
                item = reader.read(index)
                cameras = tuple(_filled(camera, model) for camera in item.cameras)
                file.write(encode_set(replace(item, cameras=cameras)))
            file.write(TAR_END)
        os.replace(part, output / name)
        first, counts[name] = first + count, count
    write_manifest(output, counts, {"made_by": "depth_perception adapt"})
    return output


def _filled(camera: TrueCamera, model: RelativeDepth) -> TrueCamera:
    depth = with_model(camera.depth, model(camera.image), camera.label)
    return replace(camera, depth=depth)


def with_model(
    depth: NDArray[np.float32], inverse: NDArray[np.float32], label: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Depth (h, w), m, with a model's where nobody knew.

    Args:
        depth: (h, w), m, as taught; +Inf the sky, NaN unknown.
        inverse: (h, w), relative inverse depth, 0 or more.
        label: (h, w); the own body stays unknown.
    """
    known = np.isfinite(depth) & (depth > 0)
    if known.mean() < LEAST_TAUGHT or not (inverse[known] > 0).any():
        return depth
    least = np.float32(1e-3 * inverse.max())
    guide = np.maximum(inverse, least)
    ratio = np.float32(np.median(1 / (depth[known] * guide[known])))
    sigma = np.full(depth.shape, 0.3, np.float32)
    taught = np.where(known, depth, np.nan).astype(np.float32)
    deviation = np.where(known, TAUGHT, np.nan).astype(np.float32)
    scaled, _ = locally_scaled(ratio * guide, sigma, taught, deviation)
    with np.errstate(divide="ignore", invalid="ignore"):
        made = 1 / scaled
        believed = np.isnan(depth) & (made > 0) & (made < FARTHEST) & (label != labels.OWN_BODY)
    return np.where(believed, made, depth).astype(np.float32)
