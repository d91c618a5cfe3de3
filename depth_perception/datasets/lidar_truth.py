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

"""Ground truth for depth images: LiDAR points where a camera sees them.

In: a scan, the camera that looked at the same scene, the motion between the two instants. Out:
`LidarTruth`, points with their exact sub-pixel position in the camera's source image and their
depth. Depth is along the optical axis, metres.

The protocol (all lengths are parameters):

1. The scan nearest in time; where odometry covers both instants, its points are moved to the
   image's. Only the vehicle's own motion is undone: what moves by itself stays where the LiDAR saw
   it.
2. Points in a box around the vehicle are its own body and leave.
3. Projection with the bag's calibration onto the source image, at its full size; 1 m < z < 80 m.
4. A LiDAR on the roof sees over what hides things from a camera: a point leaves when another, at
   least 10 % nearer, falls within 6 px of it (in u and in v).
5. Points on the camera's ego mask leave.

Road points lie within 0.2 m of the plane fitted to the same scan, with |y| < 4 m and less than
40 m from the base frame in x and y. The plane is fitted to each scan's points of that corridor.

Rule 4 also takes road: for focal length f and height h, road that is 10 % nearer lies f h / 9 Z
pixels below a point at depth Z, so within 6 px from Z = f h / 54 on (22 m at KITTI's 721 px and
1.65 m), wherever the next scan line falls that close. Road counts beyond it are small, and printed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import ConfigurationError
from depth_perception.geometry.ground_plane import GroundPlane, fit_ground_plane, plane_depth
from depth_perception.geometry.occlusion import visible
from depth_perception.geometry.rig import RigCamera
from depth_perception.geometry.transform_tree import TransformTree, TransformView
from depth_perception.geometry.transforms import Matrix, interpolate, inverse, transform_points

if TYPE_CHECKING:
    from depth_perception.datasets.bag import LidarScan

_SECOND = 1_000_000_000

OFFSET_WITH_ODOMETRY = 0.25
OFFSET_WITHOUT_ODOMETRY = 0.1
"""Largest time between image and scan, s. Without odometry nothing undoes the motion: at 10 m/s,
0.1 s displace every point by a metre."""


@dataclass(frozen=True)
class TruthProtocol:
    """Which LiDAR points count; the defaults are the ones that tables are made with.

    Attributes:
        min_depth: Nearest depth, metres.
        max_depth: Farthest depth, metres.
        body_min: (x, y, z) of one corner of the own body's box, base frame, metres, z counted
            from ``ground_height``.
        body_max: The other corner. The default fits a passenger car whose base frame lies
            anywhere between its axles; it ends 0.3 m above the ground, so that road stays.
        occlusion_pixels: How far, in u and in v, a nearer point hides others, px.
        occlusion_ratio: Share by which it must be nearer.
        road_half_width: |y| of road points, metres.
        road_range: Distance of road points from the base frame in x and y, metres.
        road_tolerance: Distance of road points from the fitted plane, metres.
        ground_height: z of the road in the base frame, metres.
    """

    min_depth: float = 1.0
    max_depth: float = 80.0
    body_min: tuple[float, float, float] = (-2.5, -1.1, 0.3)
    body_max: tuple[float, float, float] = (3.5, 1.1, 2.2)
    occlusion_pixels: int = 6
    occlusion_ratio: float = 0.1
    road_half_width: float = 4.0
    road_range: float = 40.0
    road_tolerance: float = 0.2
    ground_height: float = 0.0


@dataclass(frozen=True, eq=False)
class LidarTruth:
    """The LiDAR points that one image shows.

    Attributes:
        camera: Name of the camera.
        scan: Time of the scan, ns.
        offset: Time of the scan minus time of the image, s.
        plane: The road fitted to the scan, base frame at the image's instant; None when the scan
            shows no road. Then there are no road points either.
        uv: (N, 2) float64, sub-pixel position in the source image, pixel centres at integers.
        depth: (N,) float64, along the camera's optical axis, metres.
        points: (N, 3) float64, base frame at the image's instant, metres.
        road: (N,) bool.
        range: (N,) float64, distance from the base frame in x and y, metres.
        index: (N,) int64, the points' places in the scan.
    """

    camera: str
    scan: int
    offset: float
    plane: GroundPlane | None
    uv: NDArray[np.float64]
    depth: NDArray[np.float64]
    points: NDArray[np.float64]
    road: NDArray[np.bool_]
    range: NDArray[np.float64]
    index: NDArray[np.int64]

    def __len__(self) -> int:
        """Count the points."""
        return len(self.depth)


@dataclass(frozen=True, eq=False)
class BaseScan:
    """A scan in the base frame.

    Attributes:
        stamp: Its instant, ns.
        points: (N, 3) float32, metres.
        plane: The road fitted to it; None when it shows no road.
    """

    stamp: int
    points: NDArray[np.float32]
    plane: GroundPlane | None


def index_of_nearest(stamps: Sequence[int], stamp: int) -> int:
    """Return the index of the value nearest to ``stamp`` in sorted ``stamps`` (not empty)."""
    right = bisect_left(stamps, stamp)
    if right == 0:
        return 0
    if right == len(stamps) or stamp - stamps[right - 1] <= stamps[right] - stamp:
        return right - 1
    return right


def pose_at(odometry: Sequence[tuple[int, Matrix]], stamp: int) -> Matrix | None:
    """Interpolate T_odom_base at ``stamp`` (ns); None outside of what odometry covers."""
    stamps = [time for time, _ in odometry]
    if not stamps or not stamps[0] <= stamp <= stamps[-1]:
        return None
    right = bisect_left(stamps, stamp)
    if stamps[right] == stamp:
        return odometry[right][1]
    (t0, T0), (t1, T1) = odometry[right - 1], odometry[right]
    return interpolate(T0, T1, (stamp - t0) / (t1 - t0))


def base_motion(odometry: Sequence[tuple[int, Matrix]], source: int, target: int) -> Matrix | None:
    """Return T_target_source: points of the base frame at ``source`` ns into that at ``target``.

    None when odometry does not cover both instants.
    """
    T_odom_source, T_odom_target = pose_at(odometry, source), pose_at(odometry, target)
    if T_odom_source is None or T_odom_target is None:
        return None
    return inverse(T_odom_target) @ T_odom_source


def without_body(points: NDArray[np.floating], protocol: TruthProtocol) -> NDArray[np.bool_]:
    """Tell which (N, 3) points of the base frame lie outside of the own body's box."""
    lift = np.array([0, 0, protocol.ground_height])
    inside = (points > lift + protocol.body_min) & (points < lift + protocol.body_max)
    return ~np.asarray(inside.all(axis=1), dtype=np.bool_)


def in_corridor(points: NDArray[np.floating], protocol: TruthProtocol) -> NDArray[np.bool_]:
    """Tell which (N, 3) points of the base frame lie where road points are looked for."""
    near = np.hypot(points[:, 0], points[:, 1]) < protocol.road_range
    return np.asarray(near & (np.abs(points[:, 1]) < protocol.road_half_width), dtype=np.bool_)


def fit_road(points: NDArray[np.floating], protocol: TruthProtocol) -> GroundPlane:
    """Fit the road plane to a scan's (N, 3) points in the base frame.

    Raises:
        ConfigurationError: Too few points lie on any plane.
    """
    chosen = without_body(points, protocol) & in_corridor(points, protocol)
    return fit_ground_plane(points[chosen], tolerance=protocol.road_tolerance)


def road_points(
    points: NDArray[np.floating], plane: GroundPlane, protocol: TruthProtocol
) -> NDArray[np.bool_]:
    """Tell which (N, 3) points of the base frame are road points of ``plane``."""
    close = np.abs(plane.signed_distance(points)) < protocol.road_tolerance
    return np.asarray(close & in_corridor(points, protocol), dtype=np.bool_)


def lidar_truth(
    camera: RigCamera,
    scan: BaseScan,
    stamp: int,
    protocol: TruthProtocol,
    T_image_scan: Matrix | None = None,
) -> LidarTruth:
    """Find the points of a scan that one image shows.

    Args:
        camera: The camera, with the model of its images as they arrive.
        scan: The scan nearest to the image.
        stamp: Time of the image, ns.
        protocol: What counts.
        T_image_scan: Motion of the base frame from the scan's instant to the image's (see
            `base_motion`); None when nothing moved.
    """
    index = np.flatnonzero(without_body(scan.points, protocol))
    at_scan = np.asarray(scan.points[index], dtype=np.float64)
    plane, moved = scan.plane, at_scan
    road = np.zeros(len(index), dtype=np.bool_)
    if plane is not None:
        road = road_points(at_scan, plane, protocol)
    if T_image_scan is not None:
        moved = transform_points(T_image_scan, at_scan)
        plane = None if plane is None else moved_plane(plane, T_image_scan)
    in_camera = transform_points(inverse(camera.T_base_camera), moved)
    depth = in_camera[:, 2]
    keep = (depth > protocol.min_depth) & (depth < protocol.max_depth)
    uv = np.full((len(depth), 2), np.nan)
    uv[keep] = camera.model.project(in_camera[keep])
    size = (camera.model.width, camera.model.height)
    with np.errstate(invalid="ignore"):
        keep &= ((uv > -0.5) & (uv < np.array(size) - 0.5)).all(axis=1)
    chosen = np.flatnonzero(keep)
    seen = visible(
        uv[chosen], depth[chosen], size, protocol.occlusion_pixels, protocol.occlusion_ratio
    )
    chosen = chosen[seen]
    if camera.ego_mask is not None:
        column, row = np.rint(uv[chosen]).astype(np.intp).T
        chosen = chosen[~camera.ego_mask[row, column]]
    return LidarTruth(
        camera=camera.name,
        scan=scan.stamp,
        offset=(scan.stamp - stamp) * 1e-9,
        plane=plane,
        uv=uv[chosen],
        depth=depth[chosen],
        points=moved[chosen],
        road=road[chosen],
        range=np.hypot(moved[chosen, 0], moved[chosen, 1]),
        index=index[chosen],
    )


def plane_depth_at(
    points: NDArray[np.floating], T_base_camera: Matrix, plane: GroundPlane
) -> NDArray[np.float64]:
    """Depth of the plane where a camera sees (N, 3) points of the base frame, metres.

    Exact, between pixels too: the ray is the point's own. +Inf above the horizon.
    """
    in_camera = transform_points(inverse(T_base_camera), points)
    return plane_depth(in_camera / in_camera[:, 2:], T_base_camera, plane)


def moved_plane(plane: GroundPlane, T_target_source: Matrix) -> GroundPlane:
    """Express a plane of the source frame in the target frame."""
    normal = T_target_source[:3, :3] @ plane.normal
    height = plane.height + float(normal @ T_target_source[:3, 3])
    return GroundPlane(normal, height, plane.covariance, plane.source)


class ScanWindow:
    """The scans around an instant, read one after the other and forgotten behind it.

    A long drive's scans do not fit into memory, and images need only the nearest.
    """

    def __init__(
        self,
        scans: Iterable[LidarScan],
        tree: TransformTree | TransformView,
        base_frame: str,
        protocol: TruthProtocol,
    ) -> None:
        """Take scans in about the order of time, and how to bring them into the base frame."""
        self._scans = iter(scans)
        self._tree, self._base_frame, self._protocol = tree, base_frame, protocol
        self._held: list[LidarScan] = []
        self._last: BaseScan | None = None

    def nearest(self, stamp: int) -> BaseScan | None:
        """Return the scan nearest to ``stamp`` (ns); None when there is none at all.

        Stamps must not go back by more than a second from call to call.

        Raises:
            TransformError: TF does not connect the LiDAR to the base frame.
        """
        while not self._held or self._held[-1].stamp < stamp + _SECOND:
            scan = next(self._scans, None)
            if scan is None:
                break
            self._held.append(scan)
            self._held.sort(key=lambda item: item.stamp)
        while len(self._held) > 1 and self._held[1].stamp < stamp - _SECOND:
            self._held.pop(0)
        if not self._held:
            return None
        chosen = self._held[index_of_nearest([scan.stamp for scan in self._held], stamp)]
        # All cameras of a frame set ask for the same one.
        if self._last is None or self._last.stamp != chosen.stamp:
            self._last = self._in_base(chosen)
        return self._last

    def _in_base(self, scan: LidarScan) -> BaseScan:
        T_base_lidar = self._tree.lookup(self._base_frame, scan.frame_id)
        points = transform_points(T_base_lidar, scan.points).astype(np.float32)
        try:
            plane: GroundPlane | None = fit_road(points, self._protocol)
        except ConfigurationError:
            plane = None
        return BaseScan(scan.stamp, points, plane)
