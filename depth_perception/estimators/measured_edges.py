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

"""Edges of depth as they were measured, where a network knows them at its stride alone."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.estimators.estimator import Measurement
from depth_perception.inference.model_file import STRIDE
from depth_perception.inference.network_inputs import USUAL_SIGMA, Size

STEP = 1.4
"""Depth has an edge where the farthest around is so many times as far as the nearest. On smooth
surfaces the network's mean over its cells is more exact than single measurements."""
TOLERANCE = 1.1
"""A measurement is of one of the surfaces that the network sees around it, or a little beside."""
_CELLS = 1.25
"""Reach of what is around, in cells of the network: depth between two is read from both."""


def with_measured_edges(
    depth: NDArray[np.float32], measured: Measurement, network: Size
) -> NDArray[np.float32]:
    """Put measurements in the place of depth that hangs between two surfaces.

    The network says depth once for each cell of its stride, and in between it is read from
    neighbours: at edges that is neither's. What was measured there is finer. What the network does
    not see around, and so distrusts, is left aside.

    Args:
        depth: (H, W) float32, m; NaN unknown, +Inf beyond range; both stay.
        measured: On a grid (h, w) of the same field.
        network: (width, height) of the network's images, px.

    Returns:
        (H, W) float32, m.
    """
    w = measured.inverse_depth
    known = np.isfinite(w) & (w > 0)
    if not known.any():
        return depth
    height, width = w.shape
    with np.errstate(invalid="ignore", divide="ignore"):
        inverse = np.where(depth > 0, 1 / depth, 0).astype(np.float32)
        share = 1 / (1 + np.square(measured.sigma / w / USUAL_SIGMA))
    way = cv2.INTER_AREA if width < depth.shape[1] else cv2.INTER_LINEAR
    seen = cv2.resize(inverse, (width, height), interpolation=way)
    reach = max(1, round(_CELLS * STRIDE * width / network[0]))
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    nearest, farthest = cv2.dilate(seen, window), cv2.erode(seen, window)
    taken = known & (seen > 0) & (nearest > STEP * farthest)
    taken &= (w > farthest / TOLERANCE) & (w < nearest * TOLERANCE)
    if not taken.any():
        return depth
    change = np.zeros(w.shape, np.float32)
    change[taken] = share[taken] * np.log(seen[taken] / w[taken])
    size = (depth.shape[1], depth.shape[0])
    # The nearest change, not the nearest depth: surfaces stay as smooth as the network has them.
    enlarged = cv2.resize(change, size, interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(depth * np.exp(enlarged), np.float32)
