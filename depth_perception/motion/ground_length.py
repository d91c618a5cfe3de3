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

"""How long a way was, from followed points in the vehicle's lane: a first guess without odometry.

A point on the road lies at the depth that the mounting gives; by how much it moved then says how
far the camera has come. Points are few on asphalt, and some are on other things: the median of
those near the vehicle, good to a fifth. `road.fit_road` does it again with every pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.transforms import Matrix, inverse
from depth_perception.motion.rig_motion import PointPairs, part_of_motion

LANE_HALF_WIDTH = 2.5
FARTHEST = 15.0
MIN_POINTS = 5
MIN_SHIFT_PX = 1.5
"""Points that move by less say too little."""


def length_from_ground(
    pairs: Sequence[PointPairs], T_to_from: Matrix, ground: GroundPlane
) -> float | None:
    """Return the length of the way, m; None where too few points lie on the road.

    Args:
        pairs: Of each camera: points at the first instant and at the second.
        T_to_from: 4x4, motion of the base frame between them, of any length above zero.
        ground: Where the road should be, base frame.
    """
    assumed = float(np.linalg.norm(T_to_from[:3, 3]))
    lengths: list[NDArray[np.float64]] = []
    for item in pairs:
        C = item.T_base_camera
        up = C[:3, :3].T @ ground.normal
        height = float(ground.signed_distance(C[:3, 3]))
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = -height / (item.second @ up)
            points = (item.second * depth[:, None]) @ C[:3, :3].T + C[:3, 3]
        near = (depth > 0) & (np.linalg.norm(points - C[:3, 3], axis=1) < FARTHEST)
        near &= np.abs(points[:, 1]) < LANE_HALF_WIDTH
        if not near.any():
            continue
        T = part_of_motion(T_to_from, item.share)
        M = inverse(C) @ inverse(T) @ C  # from the second instant to the first
        at_once = item.second[near] @ M[:3, :3].T
        start = at_once / np.linalg.norm(at_once, axis=1, keepdims=True)
        seen = item.first[near] / np.linalg.norm(item.first[near], axis=1, keepdims=True)
        # seen ~ at_once + k M_t / depth, k how much longer the way is: by cross products.
        left = np.cross(seen, M[:3, 3] / depth[near][:, None])
        right = -np.cross(seen, at_once)
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = (left * right).sum(axis=1) / (left * left).sum(axis=1)
        moved = np.linalg.norm(seen - start, axis=1) * item.focal > MIN_SHIFT_PX
        lengths.append(factor[moved & (factor > 0)] * assumed)
    found = np.concatenate(lengths) if lengths else np.zeros(0)
    return float(np.median(found)) if len(found) >= MIN_POINTS else None
