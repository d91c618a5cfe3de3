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

"""Points that a LiDAR or radar measured, as measured depth of the cameras.

In: scans in the base frame, each with its own instant, and where the vehicle was at each frame set.
Out: for one image a sparse `MeasuredDepth` on its matching grid, of kind `Kind.RANGE`, and its
merger with what parallax measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depth_perception.frames.measured_kind import Kind
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.occlusion import visible
from depth_perception.geometry.sampling import inside_image
from depth_perception.geometry.transforms import Matrix, interpolate, inverse, transform_points
from depth_perception.motion.measured_depth import MAX_RELATIVE_SIGMA, MeasuredDepth

MAX_AGE_S = 0.25
"""Scans farther from an image in time tell nothing of it, s."""
KEPT_S = 1.0
MAX_SCANS = 32
OWN_SPEED = 1.0
"""Things move by themselves by about so much, m/s: a scan is the less sure the older it is."""
UNKNOWN_SPEED = 10.0
"""Instead, as long as nobody knows how the vehicle moves, m/s."""
MAX_AHEAD_S = 0.25
"""The vehicle's motion is carried on beyond the latest frame set for so long, s."""
NEAREST_M = 0.5
HIDING_PX, HIDING_RATIO = 2, 0.1
"""A point is hidden by another that is so near in the image, and by this share nearer."""
BEHIND_SIGMAS = 3.0
"""What lies so much behind what parallax measured there is hidden, too."""


@dataclass(frozen=True, eq=False)
class RangeScan:
    """One scan.

    Attributes:
        stamp: Its instant, ns.
        points: (N, 3), in the base frame at that instant, m.
        sigma: (N,) standard deviation of each point's range, m.
    """

    stamp: int
    points: NDArray[np.floating]
    sigma: NDArray[np.floating]


class RangePoints:
    """The latest scans, and the vehicle's latest places."""

    def __init__(self) -> None:
        self._scans: list[RangeScan] = []
        self._places: list[tuple[int, Matrix]] = []
        self._factor = 1.0

    def __len__(self) -> int:
        """Count the scans that are kept."""
        return len(self._scans)

    def add(self, scan: RangeScan) -> None:
        """Take a scan; one from long before the newest comes after a jump of time."""
        newest = max((item.stamp for item in self._scans), default=scan.stamp)
        if scan.stamp < newest - KEPT_S * 1e9:
            self._scans.clear()
            newest = scan.stamp
        oldest = max(newest, scan.stamp) - KEPT_S * 1e9
        self._scans = [item for item in [*self._scans, scan] if item.stamp >= oldest][-MAX_SCANS:]

    def forget_way(self) -> None:
        """Forget where the vehicle was: nothing leads from there to the present."""
        self._places.clear()

    def note_place(self, stamp: int, T_start_base: Matrix, factor: float) -> None:
        """Note where the vehicle is.

        Args:
            stamp: Of a frame set, ns.
            T_start_base: 4x4, of the base frame in a frame that stands still.
            factor: By how much ways are longer than those between these places.
        """
        self._factor = factor
        kept = [item for item in self._places if stamp - KEPT_S * 1e9 < item[0] < stamp]
        self._places = [*kept, (stamp, T_start_base)]

    def layer(
        self, camera: CameraModel, T_base_camera: Matrix, mask: NDArray[np.bool_], stamp: int
    ) -> MeasuredDepth | None:
        """Return what scans say of an image.

        Args:
            camera: Model of the matching grid.
            T_base_camera: 4x4, its mounting.
            mask: (h, w), true on the own body, where nothing is measured.
            stamp: Of the image, ns.

        Returns:
            Measured depth, NaN where no point falls; None where no scan is near.
        """
        parts = [
            part
            for scan in self._scans
            if abs(scan.stamp - stamp) <= MAX_AGE_S * 1e9
            and (part := self._at_image(scan, T_base_camera, stamp)) is not None
        ]
        if not parts:
            return None
        points, sigma = (np.concatenate(column) for column in zip(*parts, strict=True))
        return project_points(points, sigma, camera, mask)

    def _at_image(
        self, scan: RangeScan, T_base_camera: Matrix, stamp: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Move a scan's points into a camera at its own instant, with their deviations then."""
        apart = abs(stamp - scan.stamp) * 1e-9
        then, now = self._place(scan.stamp), self._place(stamp)
        known = then is not None and now is not None
        T_now_then = inverse(now) @ then if then is not None and now is not None else np.eye(4)
        T_now_then[:3, 3] *= self._factor
        T = inverse(T_base_camera) @ T_now_then
        ahead = scan.points @ T[2, :3] + T[2, 3] > NEAREST_M
        points = transform_points(T, np.asarray(scan.points[ahead], dtype=np.float64))
        speed = OWN_SPEED if known else UNKNOWN_SPEED
        return points, np.hypot(scan.sigma[ahead], speed * apart)

    def _place(self, stamp: int) -> Matrix | None:
        """Return where the vehicle was at an instant; None where that is not known."""
        if len(self._places) < 2:
            return None
        after = next((k for k, item in enumerate(self._places) if item[0] >= stamp), None)
        b = len(self._places) - 1 if after is None else max(1, after)
        (t0, T0), (t1, T1) = self._places[b - 1], self._places[b]
        if stamp > t1 + MAX_AHEAD_S * 1e9 or stamp < t0 - MAX_AHEAD_S * 1e9:
            return None
        return interpolate(T0, T1, (stamp - t0) / (t1 - t0))


def project_points(
    points: NDArray[np.float64],
    sigma: NDArray[np.float64],
    camera: CameraModel,
    mask: NDArray[np.bool_],
) -> MeasuredDepth:
    """Make measured depth of points that a camera may see.

    Args:
        points: (N, 3) of the optical frame, m.
        sigma: (N,) standard deviation of their range, m.
        camera: Model of the grid.
        mask: (h, w), true where nothing is measured.

    Returns:
        Measured depth: of points in one pixel the surest, of those that others hide none.
    """
    size = (camera.width, camera.height)
    uv = camera.project(points)
    z = points[:, 2]
    with np.errstate(invalid="ignore"):
        keep = inside_image(uv, size) & (z > NEAREST_M)
    uv, z, sigma, points = uv[keep], z[keep], sigma[keep], points[keep]
    out = MeasuredDepth(
        np.full(mask.shape, np.nan, np.float32),
        np.full(mask.shape, np.nan, np.float32),
        np.zeros(mask.shape, np.uint8),
    )
    if not len(z):
        return out
    # Range lies along the ray, depth along the axis.
    sigma = sigma * z / np.linalg.norm(points, axis=1)
    column, row = np.rint(uv).astype(np.intp).T
    good = visible(uv, z, size, HIDING_PX, HIDING_RATIO) & (sigma < MAX_RELATIVE_SIGMA * z)
    good &= ~mask[row, column]
    # The surest is written last, and stays.
    order = np.flatnonzero(good)[np.argsort(-sigma[good], kind="stable")]
    place = row[order], column[order]
    out.inverse_depth[place] = 1 / z[order]
    out.sigma[place] = sigma[order] / np.square(z[order])
    out.kind[place] = Kind.RANGE
    return out


def merged(measured: MeasuredDepth | None, layer: MeasuredDepth) -> MeasuredDepth:
    """Put range points where nothing better is known.

    Args:
        measured: By parallax, overlap and ground; None where nothing of the camera was.
        layer: Of `project_points`, on the same grid.
    """
    if measured is None:
        return layer
    with np.errstate(invalid="ignore"):
        both = np.hypot(measured.sigma, layer.sigma)
        hidden = layer.inverse_depth < measured.inverse_depth - BEHIND_SIGMAS * both
        hidden &= layer.inverse_depth < (1 - HIDING_RATIO) * measured.inverse_depth
        better = np.isnan(measured.inverse_depth) | (layer.sigma < measured.sigma)
    chosen = np.isfinite(layer.inverse_depth) & better & ~hidden
    return MeasuredDepth(
        np.where(chosen, layer.inverse_depth, measured.inverse_depth),
        np.where(chosen, layer.sigma, measured.sigma),
        np.where(chosen, layer.kind, measured.kind),
    )
