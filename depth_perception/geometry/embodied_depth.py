"""Embodied depth: what a calibrated camera over a road measures without a network, in levels.

In: a camera's working grid (`CameraView`) and what each pixel shows (`Surface`). Out: metric depth,
the level that it comes from, and its relative standard deviation.

- road: the plane's depth on road pixels;
- ground: the same on other flat surfaces;
- extended: what stands on the ground takes the depth of the ground that it touches: countable
  objects one depth for each instance, walls and the like along their foot;
- scene: what is left below the horizon is filled in from around it (Telea inpainting of log depth).

Source: methods.md 3.1, after Vision-Language Embodiment (CVPR 2025, arXiv 2503.16535).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

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
"""Relative depth spread of inpainted pixels."""

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
        instances: (h, w) ids that tell touching objects apart; without them connected pixels of
            `Surface.OBJECT` are one.
        level: Highest level to fill.
        max_range: Farther is +Inf, metres.
        max_object_height: Height over the ground up to which `Surface.OTHER` is taken to stand
            upright on its foot, metres; above, nobody knows.
    """
    surface = np.where(view.ego, np.uint8(Surface.EGO), surface)
    depth = np.full(surface.shape, np.nan, dtype=np.float32)
    sigma = np.full(surface.shape, np.nan, dtype=np.float32)
    levels = np.zeros(surface.shape, dtype=np.uint8)
    in_range = view.plane <= max_range
    flat_levels = {Surface.ROAD: Level.ROAD, Surface.GROUND: Level.GROUND}
    for kind, its_level in flat_levels.items():
        if its_level > level:
            continue
        here = (surface == kind) & in_range
        depth[here] = view.plane[here]
        sigma[here] = view.plane_sigma[here]
        levels[here] = its_level
        # Road that ends at the horizon is out of range; other flat things above it are not flat.
        far = (surface == kind) & (view.plane > max_range) & np.isfinite(view.plane)
        depth[far], levels[far] = np.inf, Level.BEYOND
    sky = surface == Surface.SKY
    depth[sky], levels[sky] = np.inf, Level.BEYOND
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
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))  # fmt: skip  # noqa: E501
    with np.errstate(over="ignore", invalid="ignore"):
        value = 1 - series * np.exp(-x * x)
    return np.where(np.isfinite(value), value, np.where(np.isinf(x), 1, 0)).astype(np.float32)


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
    inverse, inverse_sigma = _inverse_plane(view)
    contact = np.full(surface.shape, np.nan, dtype=np.float32)
    foot_sigma = np.full(surface.shape, np.nan, dtype=np.float32)
    _scan_columns(surface, inverse, inverse_sigma, contact, foot_sigma, CONTACT_REACH)
    _bridge_hidden_feet(surface, contact, foot_sigma)
    _stand_objects(surface, instances, inverse, inverse_sigma, contact, foot_sigma)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = 1 / contact
    known = np.isfinite(z) & (levels == Level.UNKNOWN)
    top = view.T_base_camera[2, 3] + z * (view.rays @ view.T_base_camera[2, :3].astype(np.float32))
    floor = view.T_base_camera[2, 3] - view.height
    known &= (surface != Surface.OTHER) | (top - floor <= max_object_height)
    far = known & (z > max_range)
    depth[far], levels[far] = np.inf, Level.BEYOND
    near = known & (z <= max_range)
    depth[near], levels[near] = z[near], Level.EXTENDED
    sigma[near] = np.hypot(foot_sigma[near], CONTACT_SIGMA)


def _inverse_plane(view: CameraView) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Inverse plane depth, 0 at and above the horizon, and its relative sigma."""
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.where(np.isfinite(view.plane), 1 / view.plane, 0).astype(np.float32)
    return inverse, np.where(np.isfinite(view.plane_sigma), view.plane_sigma, 1).astype(np.float32)


@numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _scan_columns(surface, inverse, inverse_sigma, contact, foot_sigma, reach):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Carry the inverse depth of each column's foot up its standing run.

    A run whose foot touches ground within ``reach`` rows gets the mean of the last ground pixel
    and the first of its own, which is the edge between them; other runs stay NaN. A run that
    continues behind an object is a new run: its foot is hidden.
    """
    height, width = surface.shape
    for u in range(width):
        ground_row = -1
        foot = np.float32(np.nan)
        spread = np.float32(np.nan)
        previous = -1
        for v in range(height - 1, -1, -1):
            kind = surface[v, u]
            if kind == 1 or kind == 2:
                ground_row = v if inverse[v, u] > 0 else -1
            elif kind == 4 or kind == 7:
                if kind != previous:
                    foot = np.float32(np.nan)
                    if ground_row >= 0 and ground_row - v <= reach:
                        foot = inverse[ground_row, u]
                        if inverse[v, u] > 0:
                            foot = np.float32(0.5) * (foot + inverse[v, u])
                        spread = inverse_sigma[ground_row, u]
                contact[v, u] = foot
                foot_sigma[v, u] = spread
            previous = kind


def _bridge_hidden_feet(
    surface: NDArray[np.uint8], contact: NDArray[np.float32], foot_sigma: NDArray[np.float32]
) -> None:
    """Give runs with hidden feet the foot of the same structure left and right of what hides it.

    Interpolates linearly in inverse depth between visible columns of one row; beyond the outermost
    visible foot nothing is known.
    """
    standing = (surface == Surface.STRUCTURE) | (surface == Surface.OTHER)
    hidden = standing & ~np.isfinite(contact)
    if hidden.any():
        _interpolate_rows(standing, hidden, contact, foot_sigma)


@numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _interpolate_rows(standing, hidden, contact, foot_sigma):  # type: ignore[no-untyped-def]  # pragma: no cover
    height, width = standing.shape
    for v in range(height):
        left = -1
        u = 0
        while u < width:
            if not standing[v, u]:
                left = -1
            elif not hidden[v, u]:
                left = u
            elif left >= 0:
                right = u
                while right < width and hidden[v, right]:
                    right += 1
                if right < width and standing[v, right]:
                    a, b = contact[v, left], contact[v, right]
                    s = max(foot_sigma[v, left], foot_sigma[v, right])
                    for x in range(u, right):
                        f = np.float32(x - left) / np.float32(right - left)
                        contact[v, x] = a + (b - a) * f
                        foot_sigma[v, x] = s
                u = right - 1
                left = -1
            u += 1


def _stand_objects(
    surface: NDArray[np.uint8],
    instances: NDArray[np.integer] | None,
    inverse: NDArray[np.float32],
    inverse_sigma: NDArray[np.float32],
    contact: NDArray[np.float32],
    foot_sigma: NDArray[np.float32],
) -> None:
    """Give each object one inverse depth: the median over the lowest twentieth of its contacts.

    A contact is an object pixel with visible ground within `CONTACT_REACH` rows below it. Objects
    that touch no visible ground (their feet are hidden) stay unknown.
    """
    mask = surface == Surface.OBJECT
    if not mask.any():
        return
    if instances is None:
        count, ids = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    else:
        _, flat = np.unique(np.where(mask, instances, -1), return_inverse=True)
        ids = flat.reshape(mask.shape).astype(np.int32) + 1
        ids[~mask] = 0
        count = int(ids.max()) + 1
    ground = ((surface == Surface.ROAD) | (surface == Surface.GROUND)) & (inverse > 0)
    foot = np.zeros(mask.shape, dtype=np.float32)
    spread = np.zeros(mask.shape, dtype=np.float32)
    lowest = mask.copy()
    lowest[:-1] &= ids[:-1] != ids[1:]
    for reach in range(CONTACT_REACH, 0, -1):
        below = np.zeros_like(ground)
        below[:-reach] = ground[reach:]
        here = lowest & below
        rows, columns = np.nonzero(here)
        edge = inverse[rows + reach, columns]
        own = inverse[rows, columns]
        foot[rows, columns] = np.where(own > 0, 0.5 * (edge + own), edge)
        spread[rows, columns] = inverse_sigma[rows + reach, columns]
    rows, columns = np.nonzero(foot > 0)
    owners = ids[rows, columns]
    order = np.lexsort((rows, owners))
    rows, columns, owners = rows[order], columns[order], owners[order]
    per_object = np.full(count, np.nan, dtype=np.float32)
    per_object_sigma = np.full(count, np.nan, dtype=np.float32)
    starts = np.searchsorted(owners, np.arange(1, count + 1))
    for owner in range(1, count):
        first, last = starts[owner - 1], starts[owner]
        if last == first:
            continue
        keep = max(1, int(np.ceil(0.05 * (last - first))))
        chosen = slice(last - keep, last)
        per_object[owner] = np.median(foot[rows[chosen], columns[chosen]])
        per_object_sigma[owner] = np.median(spread[rows[chosen], columns[chosen]])
    contact[mask] = per_object[ids[mask]]
    foot_sigma[mask] = per_object_sigma[ids[mask]]


def _fill(
    view: CameraView,
    surface: NDArray[np.uint8],
    depth: NDArray[np.float32],
    sigma: NDArray[np.float32],
    levels: NDArray[np.uint8],
    max_range: float,
) -> None:
    """Inpaint log depth into the holes below the horizon; writes into the arrays."""
    hole = (levels == Level.UNKNOWN) & np.isfinite(view.plane) & (surface != Surface.EGO)
    known = np.isfinite(depth)
    if not hole.any() or not known.any():
        return
    height, width = depth.shape
    size = (max(1, width // _TELEA_SHRINK), max(1, height // _TELEA_SHRINK))
    weight = cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    log_depth = np.log(np.where(known, depth, 1)).astype(np.float32)
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
