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

"""What follows from a network's maps for each pixel, in one pass."""

from __future__ import annotations

import numpy as np

from depth_perception.geometry.compiled import compiled


@compiled
def finish(depth, confidence, road, blind, ego, threshold, surfaces, levels, surface, level):  # type: ignore[no-untyped-def]
    """Leave out what a camera does not see, and say what each pixel is.

    Args:
        depth: (h, w) float32, m; NaN unknown, +Inf beyond range; written: NaN where blind.
        confidence: (h, w) float32, 0 to 1; written: 0 without a depth.
        road: (h, w) float32, probability of the road.
        blind: (h, w) bool: the own body, and where a lens has no ray.
        ego: (h, w) bool: the own body.
        threshold: Of the probability, above which a pixel is road.
        surfaces: uint8 of `Surface`: OTHER, SKY, ROAD and EGO.
        levels: uint8 of `Level`: SCENE, ROAD, UNKNOWN and BEYOND.
        surface: (h, w) uint8, written.
        level: (h, w) uint8, written.
    """
    other, sky, lane, own = surfaces
    scene, on_road, unknown, beyond = levels
    for v in range(depth.shape[0]):
        for u in range(depth.shape[1]):
            d = np.float32(np.nan) if blind[v, u] else depth[v, u]
            depth[v, u] = d
            if not np.isfinite(d):
                confidence[v, u] = 0
            kind = other
            if d == np.inf:
                kind = sky
            if road[v, u] > threshold:
                kind = lane
            if ego[v, u]:
                kind = own
            surface[v, u] = kind
            if d == np.inf:
                level[v, u] = beyond
            elif np.isnan(d):
                level[v, u] = unknown
            else:
                level[v, u] = on_road if kind == lane else scene
