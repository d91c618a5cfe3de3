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

"""The point cloud of all cameras in the base frame: obstacles above the road, an occupancy grid.

The loops are Numba's: a point is written once, at its final place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.compiled import compiled, inlined
from depth_perception.geometry.ground_plane import GroundPlane

POINT_DTYPE = np.dtype(
    [(name, np.float32) for name in ("x", "y", "z", "rgb", "confidence")], align=False
)
"""One point: metres in the base frame, colour packed as in PCL (0x00RRGGBB), confidence 0 to 1."""


def back_project(
    cameras: Sequence[CameraModel],
    T_base_cameras: Sequence[NDArray[np.float64]],
    depths: Sequence[NDArray[np.float32]],
    images: Sequence[NDArray[np.uint8]],
    confidences: Sequence[NDArray[np.float32]],
    *,
    max_range: float = np.inf,
    min_confidence: float = 0.0,
    executor: Executor | None = None,
) -> NDArray[np.void]:
    """Lift every pixel with a finite depth to a point of the base frame.

    Args:
        cameras: Model of each depth image.
        T_base_cameras: 4x4 of each.
        depths: (h, w) metres along the optical axis of each; NaN and Inf give no point.
        images: (h, w, 3) uint8 BGR of each, on the same pixels.
        confidences: (h, w) float32 of each.
        max_range: Points whose x or y is farther from zero are left out, metres.
        min_confidence: Pixels below it are left out.
        executor: Threads to spread the cameras over; the loops hold no lock.

    Returns:
        (N,) array of `POINT_DTYPE`, in the order of cameras, rows, columns.
    """
    parts = [
        (
            _directions(camera, T),
            T[:3, 3],
            np.ascontiguousarray(depth),
            np.ascontiguousarray(image),
            np.ascontiguousarray(confidence),
        )
        for camera, T, depth, image, confidence in zip(
            cameras, T_base_cameras, depths, images, confidences, strict=True
        )
    ]
    limits = np.float32(max_range), np.float32(min_confidence)
    spread: Callable[..., Iterable[Any]] = map if executor is None else executor.map

    def count(part: Any) -> NDArray[np.int64]:
        (affine, rays), origin, depth, _, confidence = part
        rows = np.zeros(depth.shape[0], dtype=np.int64)
        _count(affine, rays, origin, depth, confidence, *limits, rows)
        return rows

    counts = list(spread(count, parts))
    ends = np.cumsum(np.concatenate([np.zeros(1, np.int64), *counts]))
    points = np.empty(int(ends[-1]), dtype=POINT_DTYPE)
    values = points.view(np.float32).reshape(-1, 5)
    colours = points.view(np.uint32).reshape(-1, 5)
    first_rows = np.cumsum([0, *(len(rows) for rows in counts)])

    def write(index: int) -> None:
        (affine, rays), origin, depth, image, confidence = parts[index]
        begin = ends[first_rows[index] : first_rows[index + 1]]
        _write(affine, rays, origin, depth, image, confidence, *limits, begin, values, colours)

    list(spread(write, range(len(parts))))
    return points


def _directions(
    camera: CameraModel, T_base_camera: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Base-frame direction of each pixel: (3, 3) affine in (u, v, 1) for pinholes, else a table."""
    R = T_base_camera[:3, :3]
    if camera.is_pinhole and np.array_equal(camera.R, np.eye(3)):
        return (R @ np.linalg.inv(camera.K)).astype(np.float32), np.zeros((0, 0, 3), np.float32)
    return np.zeros((3, 3), np.float32), (camera.rays() @ R.T).astype(np.float32)


@inlined
def _point(affine, rays, origin, depth, u, v):  # type: ignore[no-untyped-def]
    d = depth[v, u]
    if rays.shape[0] > 0:
        dx, dy, dz = rays[v, u, 0], rays[v, u, 1], rays[v, u, 2]
    else:
        dx = affine[0, 0] * u + affine[0, 1] * v + affine[0, 2]
        dy = affine[1, 0] * u + affine[1, 1] * v + affine[1, 2]
        dz = affine[2, 0] * u + affine[2, 1] * v + affine[2, 2]
    return (
        np.float32(d * dx + origin[0]),
        np.float32(d * dy + origin[1]),
        np.float32(d * dz + origin[2]),
    )


@inlined
def _kept(x, y, z, confidence, max_range, min_confidence):  # type: ignore[no-untyped-def]
    # Comparisons with NaN are false, so unknown depth is never kept.
    near = abs(x) <= max_range and abs(y) <= max_range and abs(z) < np.inf
    return near and confidence >= min_confidence


@compiled
def _count(affine, rays, origin, depth, confidence, max_range, min_confidence, rows):  # type: ignore[no-untyped-def]
    for v in range(depth.shape[0]):
        count = 0
        for u in range(depth.shape[1]):
            x, y, z = _point(affine, rays, origin, depth, u, v)
            if _kept(x, y, z, confidence[v, u], max_range, min_confidence):
                count += 1
        rows[v] = count


@compiled
def _write(  # type: ignore[no-untyped-def]
    affine,
    rays,
    origin,
    depth,
    image,
    confidence,
    max_range,
    min_confidence,
    begin,
    values,
    colours,
):
    for v in range(depth.shape[0]):
        n = begin[v]
        for u in range(depth.shape[1]):
            x, y, z = _point(affine, rays, origin, depth, u, v)
            if _kept(x, y, z, confidence[v, u], max_range, min_confidence):
                values[n, 0] = x
                values[n, 1] = y
                values[n, 2] = z
                values[n, 4] = confidence[v, u]
                colours[n, 3] = (
                    np.uint32(image[v, u, 2]) << np.uint32(16)
                    | np.uint32(image[v, u, 1]) << np.uint32(8)
                    | np.uint32(image[v, u, 0])
                )
                n += 1


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
