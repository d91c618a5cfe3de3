"""The cloud seen from above: voxel thinning, obstacles above the road, occupancy grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.compiled import compiled
from depth_perception.geometry.ground_plane import GroundPlane

FREE, OCCUPIED, UNSEEN = 0, 100, -1
"""Cell values of ``nav_msgs/OccupancyGrid``."""


@dataclass(frozen=True, eq=False)
class OccupancyMap:
    """A square map around the base frame.

    Attributes:
        cells: (rows, columns) int8; row along y, column along x; `FREE`, `OCCUPIED`, `UNSEEN`.
        resolution: Edge of a cell, metres.
        origin: (3,) base-frame position of the lower corner of cell (0, 0), metres.
    """

    cells: NDArray[np.int8]
    resolution: float
    origin: NDArray[np.float64]


def thin_by_voxels(points: NDArray[np.void], voxel_size: float) -> NDArray[np.void]:
    """Keep the most confident point of each cube of ``voxel_size`` metres; ties keep the first.

    Args:
        points: (N,) with fields x, y, z, confidence.
        voxel_size: Edge of the cubes, metres; 0 or less keeps every point.

    Returns:
        The kept points, in their order.
    """
    if voxel_size <= 0 or len(points) == 0:
        return points
    values = points.view(np.float32).reshape(len(points), -1)
    column = points.dtype.names.index("confidence")  # type: ignore[union-attr]
    keep = np.zeros(len(points), dtype=np.bool_)
    slots = 1 << int(np.ceil(np.log2(2 * len(points) + 1)))
    _best_per_voxel(values, column, np.float32(1.0 / voxel_size), slots, keep)
    return points[keep]


@compiled
def _best_per_voxel(values, column, scale, slots, keep):  # type: ignore[no-untyped-def]
    """Mark the winners with an open-addressing hash table of point indices."""
    table = np.full(slots, -1, dtype=np.int32)
    mask = np.uint64(slots - 1)
    for i in range(values.shape[0]):
        kx = np.int64(np.floor(values[i, 0] * scale))
        ky = np.int64(np.floor(values[i, 1] * scale))
        kz = np.int64(np.floor(values[i, 2] * scale))
        h = np.uint64(kx) * np.uint64(73856093)
        h ^= np.uint64(ky) * np.uint64(19349663)
        h ^= np.uint64(kz) * np.uint64(83492791)
        h ^= h >> np.uint64(15)
        slot = h & mask
        while True:
            j = table[slot]
            if j < 0:
                table[slot] = i
                keep[i] = True
                break
            same = (
                np.int64(np.floor(values[j, 0] * scale)) == kx
                and np.int64(np.floor(values[j, 1] * scale)) == ky
                and np.int64(np.floor(values[j, 2] * scale)) == kz
            )
            if same:
                if values[i, column] > values[j, column]:
                    keep[j] = False
                    keep[i] = True
                    table[slot] = i
                break
            slot = (slot + np.uint64(1)) & mask


def height_above_ground(points: NDArray[np.void], ground: GroundPlane) -> NDArray[np.float32]:
    """Signed distance of each point from the ground plane, (N,) metres."""
    n = ground.normal.astype(np.float32)
    height = points["x"] * n[0] + points["y"] * n[1] + points["z"] * n[2]
    return np.asarray(height - np.float32(ground.height), dtype=np.float32)


def split_obstacles(
    points: NDArray[np.void], ground: GroundPlane, min_height: float, max_height: float
) -> NDArray[np.void]:
    """Return the points between two heights above the ground: what stands in the way."""
    height = height_above_ground(points, ground)
    return points[(height >= min_height) & (height <= max_height)]


def occupancy_map(
    points: NDArray[np.void],
    ground: GroundPlane,
    *,
    resolution: float = 0.25,
    size: float = 60.0,
    min_height: float = 0.3,
    max_height: float = 3.0,
    min_points: int = 3,
) -> OccupancyMap:
    """Count points from above: occupied by obstacles, free where ground was seen, else unseen.

    Args:
        points: (N,) with fields x, y, z, base frame, metres.
        ground: The ground plane.
        resolution: Edge of a cell, metres.
        size: Edge of the map, metres.
        min_height: Lower edge of the obstacles' height band, metres above the ground.
        max_height: Its upper edge.
        min_points: Obstacle points that make a cell occupied.
    """
    edge = max(1, round(size / resolution))
    low = -0.5 * edge * resolution
    column = np.floor((points["x"] - low) / resolution).astype(np.int64)
    row = np.floor((points["y"] - low) / resolution).astype(np.int64)
    inside = (column >= 0) & (column < edge) & (row >= 0) & (row < edge)
    cell = row * edge + column
    height = height_above_ground(points, ground)
    obstacle = inside & (height >= min_height) & (height <= max_height)
    flat = inside & (np.abs(height) < min_height)
    hits = np.bincount(cell[obstacle], minlength=edge * edge)
    seen = np.bincount(cell[flat], minlength=edge * edge)
    cells = np.full(edge * edge, UNSEEN, dtype=np.int8)
    cells[seen > 0] = FREE
    cells[hits >= min_points] = OCCUPIED
    return OccupancyMap(
        cells.reshape(edge, edge), resolution, np.array([low, low, float(ground.height)])
    )
