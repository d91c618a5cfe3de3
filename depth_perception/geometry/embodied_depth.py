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

"""Embodied depth: what a calibrated camera over a road measures without a network, in levels.

In: a camera's working grid (`CameraView`) and what each pixel shows (`Surface`). Out: metric depth,
the level that it comes from, and its relative standard deviation.

- road: the plane's depth on road pixels;
- ground: the same on other flat surfaces;
- extended: what stands on the ground takes the depth of the ground that it touches: countable
  objects one depth for each instance, walls and the like along their foot;
- scene: what is left below the horizon, and the rest of what stands, is filled in from around it
  (Telea inpainting of log depth).

Source: methods.md 3.1, after Vision-Language Embodiment (CVPR 2025, arXiv 2503.16535).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry import embodied_loops as loops
from depth_perception.geometry.camera_view import CameraView
from depth_perception.geometry.surface import Surface


class Level(IntEnum):
    """Where a pixel's depth comes from. Each level's depth image has those before it, too."""

    UNKNOWN = 0
    ROAD = 1
    GROUND = 2
    EXTENDED = 3
    SCENE = 4
    BEYOND = 5
    """Sky, or farther than the range: depth is +Inf (REP 117)."""


CONTACT_REACH = 2
"""How many rows a contact may lie below a thing's lowest pixel: masks are not exact."""

CONTACT_SIGMA = 0.10
"""Relative depth spread within what stands on one contact (its own thickness, mask errors)."""

FILLED_SIGMA = 0.30
"""Relative depth spread of inpainted pixels, and of objects whose feet are out of the image."""

_TELEA_RADIUS = 5
_TELEA_SHRINK = 4
_LOG_DEPTH_TOP = 7.0
"""Natural logarithm of 1097 m, above every depth that is inpainted."""


@dataclass(frozen=True, eq=False)
class EmbodiedDepth:
    """Depth from geometry on one camera's working grid.

    Attributes:
        depth: (h, w) float32, metres along the optical axis; NaN unknown, +Inf beyond range.
        level: (h, w) uint8, `Level`.
        sigma: (h, w) float32, relative standard deviation of depth; NaN where depth is.
    """

    depth: NDArray[np.float32]
    level: NDArray[np.uint8]
    sigma: NDArray[np.float32]


def embodied_depth(
    view: CameraView,
    surface: NDArray[np.uint8],
    *,
    instances: NDArray[np.integer] | None = None,
    level: Level = Level.SCENE,
    max_range: float = 80.0,
    max_object_height: float = 4.0,
) -> EmbodiedDepth:
    """Compute embodied depth up to a level.

    Args:
        view: The camera's working grid over the ground plane.
        surface: (h, w), `Surface` of each pixel.
        instances: (h, w) ids (classes, instances) that tell touching objects apart: connected
            pixels of one id are one object. Without them connected pixels of `Surface.OBJECT` are.
        level: Highest level to fill.
        max_range: Farther is +Inf, metres.
        max_object_height: Height over the ground up to which `Surface.OTHER` is taken to stand
            upright on its foot, metres; above, nobody knows.
    """
    surface = np.where(view.ego, np.uint8(Surface.EGO), surface)
    depth = np.full(surface.shape, np.nan, dtype=np.float32)
    sigma = np.full(surface.shape, np.nan, dtype=np.float32)
    levels = np.zeros(surface.shape, dtype=np.uint8)
    loops.measure_flat(
        surface, view.plane, view.plane_sigma, int(level), max_range, depth, sigma, levels
    )
    if level >= Level.EXTENDED:
        _extend(view, surface, instances, depth, sigma, levels, max_range, max_object_height)
    if level >= Level.SCENE:
        _fill(view, surface, depth, sigma, levels, max_range)
    return EmbodiedDepth(depth, levels, sigma)


def confidence_of(sigma: NDArray[np.floating], tolerance: float = 0.10) -> NDArray[np.float32]:
    """Probability that depth is right to ``tolerance``, for a Gaussian of that relative sigma.

    Zero where sigma is NaN. The error function is Abramowitz and Stegun's 7.1.26 (1.5e-7).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        x = (tolerance / np.sqrt(2.0) / np.asarray(sigma)).astype(np.float32)
    t = 1 / (1 + np.float32(0.3275911) * x)
    series = t * (
        0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))
    )
    with np.errstate(over="ignore", invalid="ignore"):
        value = 1 - series * np.exp(-x * x)
    return np.where(np.isfinite(value), value, np.where(np.isinf(x), 1, 0)).astype(np.float32)


def sigma_of(confidence: NDArray[np.floating], tolerance: float = 0.10) -> NDArray[np.float32]:
    """Relative standard deviation that `confidence_of` makes this confidence of; its inverse.

    By a table: nothing needs it finer than a hundredth.
    """
    sigmas = np.geomspace(0.01, 10.0, 400)
    table = confidence_of(sigmas, tolerance)
    return np.interp(-np.asarray(confidence), -table, sigmas).astype(np.float32)


def _extend(
    view: CameraView,
    surface: NDArray[np.uint8],
    instances: NDArray[np.integer] | None,
    depth: NDArray[np.float32],
    sigma: NDArray[np.float32],
    levels: NDArray[np.uint8],
    max_range: float,
    max_object_height: float,
) -> None:
    """Give upright things the depth of the ground that they touch; writes into the arrays."""
    contact = np.full(surface.shape, np.nan, dtype=np.float32)
    spread = np.full(surface.shape, np.nan, dtype=np.float32)
    plane = view.inverse_plane, view.plane_sigma
    loops.scan_columns(surface, *plane, contact, spread, CONTACT_REACH)
    loops.bridge_hidden_feet(surface, contact, spread)
    objects = surface == Surface.OBJECT
    if objects.any():
        if instances is None:
            count, ids = cv2.connectedComponents(objects.astype(np.uint8), connectivity=4)
        else:
            ids = np.zeros(surface.shape, dtype=np.int32)
            count = loops.connected_equals(
                objects, np.ascontiguousarray(instances, dtype=np.int64), ids
            )
        loops.stand_objects(
            ids, count, surface, *plane, contact, spread, CONTACT_REACH, np.float32(FILLED_SIGMA)
        )
    to_up = view.T_base_camera[2, :3].astype(np.float32)
    loops.measure_standing(
        surface,
        contact,
        spread,
        view.rays,
        to_up,
        np.float32(view.height),
        np.float32(CONTACT_SIGMA),
        max_range,
        max_object_height,
        depth,
        sigma,
        levels,
    )


def _fill(
    view: CameraView,
    surface: NDArray[np.uint8],
    depth: NDArray[np.float32],
    sigma: NDArray[np.float32],
    levels: NDArray[np.uint8],
    max_range: float,
) -> None:
    """Inpaint log depth into the holes; writes into the arrays.

    Below the horizon every pixel gets a depth, above it what is known to be a thing: what is of
    unknown class up there may as well be the sky. Where a column's lowest pixel is a hole itself,
    nothing below it says how far it is, and the ground that it would show starts the filling: what
    stands there is hardly farther.
    """
    thing = (surface == Surface.OBJECT) | (surface == Surface.STRUCTURE)
    hole = (levels == Level.UNKNOWN) & (np.isfinite(view.plane) | thing) & (surface != Surface.EGO)
    if not hole.any():
        return
    height, width = depth.shape
    lowest = height - 1 - np.argmax((surface != Surface.EGO)[::-1], axis=0)
    columns = np.flatnonzero(hole[lowest, np.arange(width)])
    columns = columns[np.isfinite(view.plane[lowest[columns], columns])]
    known = np.isfinite(depth)
    known[lowest[columns], columns] = True
    if not known.any():
        return
    seeded = depth.copy()
    seeded[lowest[columns], columns] = view.plane[lowest[columns], columns]
    size = (max(1, width // _TELEA_SHRINK), max(1, height // _TELEA_SHRINK))
    weight = cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    log_depth = np.log(np.where(known, seeded, 1)).astype(np.float32)
    total = cv2.resize(log_depth * known, size, interpolation=cv2.INTER_AREA)
    with np.errstate(divide="ignore", invalid="ignore"):
        small = np.where(weight > 0, total / weight, 0).astype(np.float32)
    # OpenCV rounds inpainted floats to integers: give it integers fine enough (0.01 %) instead.
    steps = np.round(np.clip(small, 0, _LOG_DEPTH_TOP) * (65535 / _LOG_DEPTH_TOP)).astype(np.uint16)
    filled = cv2.inpaint(steps, (weight == 0).astype(np.uint8), _TELEA_RADIUS, cv2.INPAINT_TELEA)
    filled = filled.astype(np.float32) * np.float32(_LOG_DEPTH_TOP / 65535)
    # Nothing seen below the horizon lies behind the ground that its pixel would show.
    value = np.minimum(
        np.exp(cv2.resize(filled, (width, height))), np.minimum(view.plane, max_range)
    )
    depth[hole] = value[hole]
    sigma[hole] = FILLED_SIGMA
    levels[hole] = Level.SCENE
