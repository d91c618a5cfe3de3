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

"""Measured depth of training images: from a data set's layers, and worse than it was measured.

What motion measured is stored with a frame set (see `datasets.shards`) as layers
``measured_inverse_depth`` and ``measured_sigma`` (H, W), 1/m, NaN where nothing is measured. They
follow the image through crops and flips; depth along the optical axis stays what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.inference.model_file import STRIDE
from depth_perception.inference.network_inputs import Size, network_measured
from depth_perception.training.configuration import DataConfiguration

INVERSE_DEPTH, SIGMA = "measured_inverse_depth", "measured_sigma"
PREFIX = "measured_"
"""Begins the name of each layer of measured depth."""
_LENGTH_ERROR = 0.02
"""Standard deviation of the relative error that all depths of a worsened image share: the way."""
_PATCHES = 4
_PATCH_FACTOR = 0.5
"""Standard deviation of the logarithm by which a wrong patch is wrong."""
_PATCH_SIGMA = 0.05
"""Of what a wrong patch says of itself where nothing was measured."""
_BLOCKS = 8
"""Measurements are taken away in regions of about an eighth of the image, or pixel by pixel."""


def measured_depth(layers: Mapping[str, NDArray[Any]], size: Size) -> NDArray[np.float32]:
    """What the network is told of measured depth, see `inference.model_file.MEASURED`.

    Args:
        layers: Of an image; zeros where they have no measured depth.
        size: (width, height) of the image, px.

    Returns:
        (2, height/4, width/4) float32.
    """
    if INVERSE_DEPTH not in layers or SIGMA not in layers:
        return np.zeros((2, size[1] // STRIDE, size[0] // STRIDE), np.float32)
    return network_measured(layers[INVERSE_DEPTH], layers[SIGMA], size)


def worsened(
    measured: NDArray[np.float32], data: DataConfiguration, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Take measurements (2, h, w) away, thin them out, or make some wrong, each by its share."""
    drop, thin, corrupt = rng.uniform(size=3)
    if drop < data.measured_drop:
        return np.zeros_like(measured)
    out = measured.copy()
    if corrupt < data.measured_corrupt:
        out = _corrupted(out, rng)
    if thin < data.measured_thin:
        out *= _kept(out.shape[1:], rng)
    return out


def _corrupted(measured: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Make rectangles wrong that say they are right: some follow the scene, some are flat."""
    out = measured.copy()
    known = out[0] > 0
    out[0] *= np.float32(np.exp(rng.normal(0, _LENGTH_ERROR)))
    height, width = known.shape
    for _ in range(int(rng.integers(1, _PATCHES + 1))):
        h, w = (max(2, int(n * rng.uniform(0.05, 0.35))) for n in (height, width))
        top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
        patch = out[:, top : top + h, left : left + w]
        factor = np.float32(np.exp(rng.normal(0, _PATCH_FACTOR)))
        if known.any() and rng.uniform() < 0.3:
            patch[0] = np.median(out[0][known]) * factor
            patch[1] = np.where(patch[1] > 0, patch[1], _PATCH_SIGMA)
        else:
            patch[0] *= factor
    return out


def _kept(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """1 where a measurement stays: a random share of all, in regions or pixel by pixel."""
    share = rng.uniform(0.02, 0.9)
    if rng.uniform() < 0.5:
        return (rng.uniform(size=shape) < share).astype(np.float32)
    field = rng.uniform(size=(_BLOCKS, _BLOCKS)).astype(np.float32)
    field = np.asarray(cv2.resize(field, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)
    return (field < np.quantile(field, share)).astype(np.float32)
