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

"""Things that move by themselves, told by the ground that they stand on.

A vehicle that comes towards the camera moves in the image as if it were near, one that goes ahead
as if it were far. Its own pixels do not tell: a static thing at that depth would look the same. But
what is seen directly below its wheels is the road, whose depth is known; and what seems farther
away than the road that it hides would have to lie under that road.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from depth_perception.motion import moving_loops as loops

FEET_REACH = 4
"""Rows between a thing and the ground below it."""
FEET_CONTRADICTION = float(np.log(1.22))
"""What is measured by so much nearer or farther than the ground on which it stands moves."""
FEET_COLUMNS, FEET_SHARE = 3, 0.2
"""So many of a patch's columns, and such a share of them, must be seen to stand on the ground."""
UNDER_SHARE, UNDER_LEAST = 0.3, 12
"""A patch moves where so much of it, and so many pixels, would lie under the road."""
SURFACE_CHANGE = 0.10
HIDDEN_SHARE, LARGE = 0.6, 0.04
"""A patch belongs to what moves below it where so much of it lies above that, and
elsewhere; but not one that fills such a share of the image."""
MOVING_HEIGHT = 3.5
"""Height up to which something that moves is looked for over its foot, m."""


def find_moving(
    w: NDArray[np.float32],
    things: NDArray[np.bool_],
    under: NDArray[np.bool_],
    plane: NDArray[np.float32],
    flat: NDArray[np.bool_],
    rise: NDArray[np.float32],
    height: float,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell what contradicts the ground on which it stands.

    Args:
        w: (h, w) float32: inverse depth, 1/m, also of what would lie under the road.
        things: (h, w): pixels that were measured and are not the ground.
        under: (h, w): those of them that would lie under the road.
        plane: (h, w) float32: inverse depth of the ground, 1/m; 0 at and above the horizon.
        flat: (h, w): pixels on the ground.
        rise: (h, w) float32: height over the ground that a ray gains for each metre of depth.
        height: Of the camera over the ground, m.

    Returns:
        (h, w) bool: pixels that move; (h, w) bool: all that lies above the foot of one, measured
        or not.
    """
    labels, parents = np.empty(w.shape, np.int32), np.empty(w.size, np.int32)
    values = np.fmax(w, np.float32(0))
    count = loops.label_surfaces(values, things, np.float32(SURFACE_CHANGE), labels, parents)
    sums, columns = np.zeros(count + 1), np.zeros(count + 1, np.int64)
    loops.compare_with_feet(labels, values, plane, flat, FEET_REACH, sums, columns)
    mean = sums / np.maximum(columns, 1)
    size, wide = np.zeros(count + 1, np.int64), np.zeros(count + 1, np.int64)
    loops.measure_patches(labels, size, wide, np.full(count + 1, -1, np.int64))
    feet = (columns >= FEET_COLUMNS) & (columns > FEET_SHARE * wide)
    against = feet & (np.abs(mean) > FEET_CONTRADICTION)
    below = np.bincount(labels[under], minlength=count + 1)
    against |= (below >= UNDER_LEAST) & (below > UNDER_SHARE * size)
    against[0] = False
    elsewhere = np.zeros(w.shape, np.bool_)
    above = np.zeros(w.shape, np.bool_)
    loops.clear_above(
        labels,
        against,
        values,
        plane,
        np.float32(FEET_CONTRADICTION),
        rise,
        np.float32(height),
        np.float32(MOVING_HEIGHT),
        elsewhere,
        above,
    )
    # A facade behind a vehicle stays: it is large, and most of it is not above one.
    inside = np.bincount(labels[elsewhere], minlength=count + 1)
    against |= (inside > HIDDEN_SHARE * size) & (size < LARGE * w.size)
    against[0] = False
    return np.ascontiguousarray(against[labels]), above
