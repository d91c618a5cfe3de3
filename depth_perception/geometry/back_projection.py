"""From the depth images of all cameras to one point cloud in the base frame.

The loops are Numba's: a point is written once, at its final place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.compiled import compiled, inlined

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
