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
    step: int = 1,
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
        step: Of so many pixels along rows and columns one is looked at, the middle one.
        executor: Threads to spread the cameras over; the loops hold no lock.

    Returns:
        (N,) array of `POINT_DTYPE`, in the order of cameras, rows, columns.
    """
    parts = _parts(cameras, T_base_cameras, depths, images, confidences)
    limits = np.float32(max_range), np.float32(min_confidence), np.int64(step)
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


_Part = tuple[
    tuple[NDArray[np.float32], NDArray[np.float32]],
    NDArray[np.float64],
    NDArray[np.float32],
    NDArray[np.uint8],
    NDArray[np.float32],
]
"""Directions and origin of a camera, its depth, image and confidence."""


def _parts(
    cameras: Sequence[CameraModel],
    T_base_cameras: Sequence[NDArray[np.float64]],
    depths: Sequence[NDArray[np.float32]],
    images: Sequence[NDArray[np.uint8]],
    confidences: Sequence[NDArray[np.float32]],
) -> list[_Part]:
    """What the loops take of each camera."""
    return [
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


def thinned_cloud(
    cameras: Sequence[CameraModel],
    T_base_cameras: Sequence[NDArray[np.float64]],
    depths: Sequence[NDArray[np.float32]],
    images: Sequence[NDArray[np.uint8]],
    confidences: Sequence[NDArray[np.float32]],
    voxel_size: float,
    *,
    max_range: float = np.inf,
    min_confidence: float = 0.0,
    step: int = 1,
    executor: Executor | None = None,
) -> NDArray[np.void]:
    """Lift pixels to points, and keep the most confident one of each cube: in one pass.

    What `thin_by_voxels` keeps of `back_project`, in another order and several times as fast:
    points that are not kept are never written.

    Args:
        cameras: See `back_project`, as of what is not said here.
        T_base_cameras: See there.
        depths: See there.
        images: See there.
        confidences: See there.
        voxel_size: Edge of the cubes, metres; 0 or less keeps every point.
        max_range: See there.
        min_confidence: See there.
        step: See there.
        executor: See there.

    Returns:
        (N,) array of `POINT_DTYPE`.
    """
    if voxel_size <= 0:
        return back_project(
            cameras,
            T_base_cameras,
            depths,
            images,
            confidences,
            max_range=max_range,
            min_confidence=min_confidence,
            step=step,
            executor=executor,
        )
    limits = np.float32(max_range), np.float32(min_confidence), np.int64(step)
    scale = np.float32(1.0 / voxel_size)

    def thinned(part: _Part) -> NDArray[np.void]:
        (affine, rays), origin, depth, image, confidence = part
        bits = _FIRST_TABLE_BITS
        points = np.empty(depth.size, POINT_DTYPE)
        values, colours = (points.view(kind).reshape(-1, 5) for kind in (np.float32, np.uint32))
        given = (affine, rays, origin, depth, image, confidence, *limits, scale)
        # Most images have far fewer cubes than pixels, and a small table stays in the cache.
        while (count := _write_thinned(*given, bits, values, colours)) < 0:
            bits += 2
        return points[:count]

    spread: Callable[..., Iterable[Any]] = map if executor is None else executor.map
    parts = _parts(cameras, T_base_cameras, depths, images, confidences)
    found = list(spread(thinned, parts))
    if not found:
        return np.empty(0, POINT_DTYPE)
    if len(found) == 1:
        return found[0].copy()
    # Where cameras do not see the same, each point is in a cube of its own.
    points = np.concatenate(found)
    return _thinned(points, scale, _bits_of(len(points)))


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
def _count(affine, rays, origin, depth, confidence, max_range, min_confidence, step, rows):  # type: ignore[no-untyped-def]
    for v in range(step // 2, depth.shape[0], step):
        count = 0
        for u in range(step // 2, depth.shape[1], step):
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
    step,
    begin,
    values,
    colours,
):
    for v in range(step // 2, depth.shape[0], step):
        n = begin[v]
        for u in range(step // 2, depth.shape[1], step):
            x, y, z = _point(affine, rays, origin, depth, u, v)
            if _kept(x, y, z, confidence[v, u], max_range, min_confidence):
                values[n, 0] = x
                values[n, 1] = y
                values[n, 2] = z
                values[n, 4] = confidence[v, u]
                colours[n, 3] = _packed(image, v, u)
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
    # Most clouds have far fewer cubes than points, and a small table stays in the cache.
    bits = min(_bits_of(len(points)), max(_FIRST_TABLE_BITS, _bits_of(len(points)) - 3))
    return _thinned(points, np.float32(1.0 / voxel_size), bits)


def _thinned(points: NDArray[np.void], scale: np.float32, bits: int) -> NDArray[np.void]:
    """Keep the best point of each cube, with a table of 2^bits to begin with."""
    if len(points) == 0:
        return points
    values = points.view(np.float32).reshape(len(points), -1)
    column = points.dtype.names.index("confidence")  # type: ignore[union-attr]
    keep = np.empty(len(points), np.bool_)
    while (count := _best_per_voxel(values, column, scale, bits, keep)) < 0:
        bits += 2
    thinned = np.empty(count, points.dtype)
    _take_kept(values, keep, thinned.view(np.float32).reshape(count, -1))
    return thinned


def _bits_of(count: int) -> int:
    """Size of a table, as a power of two, that holds so many cubes."""
    return max(4, (count * 4 // 3 + 1).bit_length())


_FIRST_TABLE_BITS = 17
_CELL_BITS = np.int64(21)
_CELL_MASK = np.int64((1 << 21) - 1)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@inlined
def _cube(x, y, z, scale):  # type: ignore[no-untyped-def]
    """Number of the cube that a point is in."""
    kx = np.int64(np.floor(x * scale)) & _CELL_MASK
    ky = np.int64(np.floor(y * scale)) & _CELL_MASK
    kz = np.int64(np.floor(z * scale)) & _CELL_MASK
    return (kx << (_CELL_BITS + _CELL_BITS)) | (ky << _CELL_BITS) | kz


@inlined
def _place_of(key, keys, winners, mask, shift):  # type: ignore[no-untyped-def]
    """Slot of a cube, its own or an empty one: open addressing (Fibonacci hashing)."""
    place = np.int64((np.uint64(key) * _GOLDEN) >> shift)
    while winners[place] >= 0 and keys[place] != key:
        place = (place + np.int64(1)) & mask
    return place


@compiled
def _write_thinned(  # type: ignore[no-untyped-def]
    affine,
    rays,
    origin,
    depth,
    image,
    confidence,
    max_range,
    min_confidence,
    step,
    scale,
    bits,
    values,
    colours,
):
    """Write the most confident point of each cube.

    Returns:
        How many there are; -1 where a table of 2^bits is too small.
    """
    slots = np.int64(1) << np.int64(bits)
    keys, winners = np.empty(slots, np.int64), np.full(slots, -1, np.int32)
    mask, shift, count = slots - np.int64(1), np.uint64(64 - bits), 0
    room = slots - slots // 4
    # Neighbours in the image are often in the same cube: of the row above it is remembered which.
    above = np.full(depth.shape[1], -1, np.int64)
    of_above = np.zeros(depth.shape[1], np.int32)
    for v in range(step // 2, depth.shape[0], step):
        before, n = np.int64(-1), np.int64(-1)
        for u in range(step // 2, depth.shape[1], step):
            x, y, z = _point(affine, rays, origin, depth, u, v)
            sure = confidence[v, u]
            if not _kept(x, y, z, sure, max_range, min_confidence):
                above[u] = -1
                continue
            key, new = _cube(x, y, z, scale), False
            if key != before:
                before = key
                if above[u] == key:
                    n = np.int64(of_above[u])
                else:
                    place = _place_of(key, keys, winners, mask, shift)
                    n = np.int64(winners[place])
                    if n < 0:
                        if count >= room:
                            return -1
                        n, new = np.int64(count), True
                        keys[place], winners[place] = key, n
                        count += 1
            above[u], of_above[u] = key, n
            if not new and not sure > values[n, 4]:
                continue
            values[n, 0] = x
            values[n, 1] = y
            values[n, 2] = z
            values[n, 4] = sure
            colours[n, 3] = _packed(image, v, u)
    return count


@inlined
def _packed(image, v, u):  # type: ignore[no-untyped-def]
    """Colour of a pixel as PCL packs it."""
    return (
        np.uint32(image[v, u, 2]) << np.uint32(16)
        | np.uint32(image[v, u, 1]) << np.uint32(8)
        | np.uint32(image[v, u, 0])
    )


@compiled
def _best_per_voxel(values, column, scale, bits, keep):  # type: ignore[no-untyped-def]
    """Mark the most confident point of each cube.

    Returns:
        How many there are; -1 where the table of 2^bits is too small.
    """
    slots = np.int64(1) << np.int64(bits)
    keys, winners = np.empty(slots, np.int64), np.full(slots, -1, np.int32)
    mask, shift = slots - np.int64(1), np.uint64(64 - bits)
    room, count = slots - slots // 4, 0
    before, winner, place = np.int64(-1), np.int64(-1), np.int64(0)
    for i in range(values.shape[0]):
        key = _cube(values[i, 0], values[i, 1], values[i, 2], scale)
        keep[i] = False
        if key != before:  # neighbours in the image are often neighbours in the same cube
            before = key
            place = _place_of(key, keys, winners, mask, shift)
            winner = np.int64(winners[place])
            if winner < 0:
                if count >= room:
                    return -1
                count += 1
                keys[place], winners[place], winner = key, i, np.int64(i)
                keep[i] = True
                continue
        if values[i, column] > values[winner, column]:
            keep[winner] = False
            keep[i] = True
            winners[place] = i
            winner = np.int64(i)
    return count


@compiled
def _take_kept(values, keep, out):  # type: ignore[no-untyped-def]
    n = 0
    for i in range(values.shape[0]):
        if keep[i]:
            for k in range(values.shape[1]):
                out[n, k] = values[i, k]
            n += 1


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
