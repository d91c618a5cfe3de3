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
"""What one stretch of the way says about how the cameras are mounted, as normal equations.

Unknown of each camera: the rotation by which its mounting is wrong (about the axes of the base
frame, through its own centre) and its height. Unknown of each stretch: the motion, and how the
body sits on its springs. Three things tie them together:

- rays: what two images show of one point lies in one plane with both optical centres (epipolar
  constraint), between two instants of one camera or between two cameras;
- road: its parallax, in metres, is that of a plane as far below the cameras as they are mounted;
- vehicle: it drives along its x axis, parallel to the road, and odometry says roughly how far.

The stretch's own unknowns are eliminated (Schur complement), so that information about mountings
adds up from stretch to stretch, whether all at once (`calibration`) or as they come
(`mounting_watch`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.transforms import Matrix, inverse
from depth_perception.motion.rig_motion import turn

Vector = NDArray[np.float64]

ROTATION_SIGMA = np.radians(6.0)
"""How wrong a mounting may be before anything was seen, rad about each axis."""
HEIGHT_SIGMA = 0.05
"""The same of its height, m: a tape measure is no worse."""
LENGTH_SIGMA = 0.05
"""Relative error of odometry's length, the same all along a drive."""
STRETCH_LENGTH_SIGMA = 0.02
"""What of it is new with each stretch."""
FREE_LENGTH_SIGMA = 0.5
"""Without odometry the way is a guess."""
LEVER_SIGMA = 1.5
"""How far the base frame's origin may lie before or behind the axle that does not slip, m."""
SIDE_SIGMA = np.radians(0.3)
"""A vehicle's direction of travel swings about its x axis by so much."""
HEAVE_SIGMA = np.radians(0.3)
"""The same upwards: springs, bumps."""
LEVEL_SIGMA = np.radians(0.3)
"""So much the body's pitch and roll change within a stretch: it turns about the road's normal."""
TILT_SIGMA = np.radians(0.4)
"""The road ahead against the one below the wheels: springs, slopes that change."""
UNEVEN_SIGMA = np.radians(0.3)
UNEVEN_M = 0.025
"""By so much the road that one camera sees is tilted, rad, and lies higher, m, than the road of the
stretch, whatever the images say."""
UNEVEN_WAY = 0.02
"""And the camera's way, as the road shows it, is off by so much of it."""
REST_SIGMA = np.radians(0.1)
"""What of these three never averages out: load, tyres, crown of the road."""
ALIKE_M = 15.0
"""On so much of the way they stay what they are: a shorter stretch counts for its part of it."""
SHAKE_SIGMA = np.radians(0.05)
"""Two images of a camera are turned against the smooth motion of the stretch by so much: vibration,
rows that are exposed one after the other, stamps."""
NOISE_PX = 0.3
"""Standard deviation of a followed point, px."""
NARROWEST_PX = 0.2
"""The robust weight is never narrower than this, px."""
INDEPENDENT = 8.0
"""So many points of one camera are errors of their own; more of them share those."""
INDEPENDENT_SHARED = 1.5
"""The same of points that two cameras see: what looks alike from two sides is less often the same.
"""
AGREEING = 0.6
"""Where fewer of the points that two cameras share lie within a pixel of each other's epipolar
planes, they were taken for one another by chance."""
_DECIDED = 1.0
LOCAL = 9
"""Unknowns of a stretch: translation and rotation of the motion, pitch, roll and curvature of the
road along the way."""
CURVATURE_SIGMA = 1 / 150
"""Crests and dips: curvature of the road along the way, 1/m."""
COMMON = 5
"""Unknowns of the drive beside those of cameras: ln of odometry's factor, lever arm, and the rest
of pitch, roll and yaw."""
_FACTOR, _LEVER, _PITCH, _ROLL, _YAW = range(COMMON)
OF_CAMERA = 4
"""Unknowns of a camera: rotation about x, y and z of the base frame, and height."""
_STEP = 1e-6


@dataclass(frozen=True, eq=False)
class Instant:
    """When an image was taken.

    Attributes:
        at_end: At the end of the stretch, or at its beginning.
        lead: 4x4, the motion of the base frame from the instant of that frame set to that of the
            image: the cameras of a set are some milliseconds apart.
    """

    at_end: bool
    lead: Matrix

    def pose(self, T: Matrix) -> Matrix:
        """Motion from the beginning of the stretch to here, of the motion of all of it."""
        return self.lead @ T if self.at_end else self.lead


@dataclass(frozen=True, eq=False)
class RayPairs:
    """Points that were seen twice.

    Attributes:
        cameras: Index of the camera that saw them first, and of the one that saw them second.
        instants: When.
        first: (n, 3) unit rays of the first camera's frame.
        second: (n, 3) unit rays of the second's.
        focal: Pixels per radian of the coarser of the two, px.
    """

    cameras: tuple[int, int]
    instants: tuple[Instant, Instant]
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    focal: float


@dataclass(frozen=True, eq=False)
class RoadView:
    """What one camera saw of the road: how well its image is explained, around the best.

    A quadratic form in nine numbers: the plane (3,) whose product with a ray at the end of the
    stretch is the inverse depth there (1/m), and the camera's motion from the end to the beginning
    as a twist (rotation, translation) about ``motion``.

    Attributes:
        camera: Its index.
        instants: Of its image at the beginning, and of that at the end.
        plane: (3,) the best, for this motion.
        motion: 4x4, maps points of the camera at the end into it at the beginning.
        information: (9, 9).
        gradient: (9,) at the best.
        ahead: Where the part of the road lies that counts most, m along x of the base frame.
    """

    camera: int
    instants: tuple[Instant, Instant]
    plane: Vector
    motion: Matrix
    information: NDArray[np.float64]
    gradient: Vector
    ahead: float


@dataclass(frozen=True, eq=False)
class Stretch:
    """What was seen on one stretch of the way, a metre or two.

    Attributes:
        T_to_from: 4x4, roughly the motion: base frame at the beginning into that at the end.
        by_odometry: Its length is odometry's.
        rays: Points seen twice.
        roads: What cameras saw of the road.
    """

    T_to_from: Matrix
    by_odometry: bool
    rays: Sequence[RayPairs]
    roads: Sequence[RoadView]

    @cached_property
    def way(self) -> float:
        """Its length, m."""
        return float(np.linalg.norm(self.T_to_from[:3, 3]))

    @cached_property
    def alike(self) -> float:
        """By what factor deviations of vehicle and road are larger, as they last: `ALIKE_M`."""
        return float(np.sqrt(max(ALIKE_M / max(self.way, 1e-3), 1.0)))

    @property
    def heading(self) -> float:
        """By how much the vehicle turned on it, rad, positive to the left."""
        return -float(cv2.Rodrigues(self.T_to_from[:3, :3])[0][2, 0])


@dataclass(eq=False)
class StretchState:
    """The unknowns of one stretch, as now estimated.

    Attributes:
        T: 4x4, the motion.
        road: (3,) pitch and roll of the road under the vehicle, as `GroundPlane` has them, rad, and
            its curvature along the way, 1/m, positive on a crest.
    """

    T: Matrix
    road: Vector

    @cached_property
    def near(self) -> list[StretchState]:
        """The state after a small step of each of the `LOCAL` unknowns alone, for slopes."""
        motions = [StretchState(_stepped(self.T, k), self.road) for k in range(6)]
        roads = [StretchState(self.T, self.road + _unit(3, k)) for k in range(3)]
        return motions + roads


@dataclass(frozen=True, eq=False)
class Equations:
    """Normal equations of one stretch: `information` x = -`gradient` (local first, then global)."""

    information: NDArray[np.float64]
    gradient: Vector

    def eliminated(self) -> tuple[NDArray[np.float64], Vector]:
        """Information and gradient of the global unknowns, the stretch's own eliminated."""
        A, B = self.information[:LOCAL, :LOCAL], self.information[:LOCAL, LOCAL:]
        solved = np.linalg.solve(A, np.concatenate([B, self.gradient[:LOCAL, None]], axis=1))
        return (
            self.information[LOCAL:, LOCAL:] - B.T @ solved[:, :-1],
            self.gradient[LOCAL:] - B.T @ solved[:, -1],
        )

    def local_step(self, global_step: Vector) -> Vector:
        """Return the step of the stretch's unknowns that goes with one of the global ones."""
        A, B = self.information[:LOCAL, :LOCAL], self.information[:LOCAL, LOCAL:]
        return np.asarray(-np.linalg.solve(A, self.gradient[:LOCAL] + B @ global_step))


class MountingModel:
    """The rig whose mountings are asked for; computes equations of stretches."""

    def __init__(self, T_base_camera: Sequence[Matrix], ground: GroundPlane) -> None:
        """Take the rig.

        Args:
            T_base_camera: 4x4 of each camera, as the calibration says.
            ground: The road that goes with it.
        """
        self._nominal = [np.asarray(T, dtype=np.float64) for T in T_base_camera]
        self._ground = ground
        self.size = OF_CAMERA * len(self._nominal) + COMMON
        """Number of global unknowns: of each camera, then common ones."""
        self._latest: tuple[Vector, _Mounts] | None = None

    def __len__(self) -> int:
        """Count the cameras."""
        return len(self._nominal)

    def prior(self) -> NDArray[np.float64]:
        """Information (size, size) about the global unknowns before anything was seen."""
        of_camera = [ROTATION_SIGMA] * 3 + [HEIGHT_SIGMA]
        common = [LENGTH_SIGMA, LEVER_SIGMA, REST_SIGMA, REST_SIGMA, REST_SIGMA]
        sigmas = np.array(of_camera * len(self._nominal) + common)
        return np.asarray(np.diag(1 / sigmas**2))

    def mounting(self, camera: int, unknowns: Vector) -> Matrix:
        """Return the mounting (4x4) of a camera, corrected by the global unknowns."""
        part = unknowns[OF_CAMERA * camera : OF_CAMERA * (camera + 1)]
        T = self._nominal[camera].copy()
        T[:3, :3] = turn(part[:3]) @ T[:3, :3]
        T[2, 3] += part[3]
        return T

    def first_state(self, stretch: Stretch) -> StretchState:
        """Begin with what is known without the images' detail."""
        return StretchState(
            stretch.T_to_from.copy(), np.array([self._ground.pitch, self._ground.roll, 0.0])
        )

    def moved(self, state: StretchState, step: Vector) -> StretchState:
        """Apply a step of the stretch's unknowns."""
        return StretchState(_moved(state.T, step[:6]), state.road + step[6:])

    def equations(
        self, stretch: Stretch, state: StretchState, unknowns: Vector, width: float
    ) -> Equations:
        """Set up the normal equations of a stretch.

        Args:
            stretch: What was seen.
            state: Its unknowns, where it is linearised.
            unknowns: (size,) the global ones, the same.
            width: Of the robust weight, px.
        """
        size = LOCAL + self.size
        mounts = self._mounts(unknowns)
        information, gradient = np.zeros((size, size)), np.zeros(size)
        for pairs in stretch.rays:
            residual, slopes, columns = self._ray_residuals(pairs, state, mounts)
            # Where points agree to a tenth of a pixel, one that is off by half a pixel does not.
            own = max(2.0 * 1.48 * float(np.median(np.abs(residual))), NARROWEST_PX)
            weight = 1 / (1 + np.square(residual / min(width, own))) ** 2 / NOISE_PX**2
            one, two = pairs.cameras
            if one != two and width < _DECIDED and np.mean(np.abs(residual) < 1.0) < AGREEING:
                continue
            count = INDEPENDENT if one == two else INDEPENDENT_SHARED
            weight *= min(1.0, count / max(weight.sum() * NOISE_PX**2, 1.0))
            part, pull = _without_shake(residual, slopes, weight)
            information[np.ix_(columns, columns)] += part
            gradient[columns] += pull
        for road in stretch.roads:
            difference, slopes, columns = self._road_difference(road, state, mounts)
            seen, pull = _as_uneven(road, stretch)
            information[np.ix_(columns, columns)] += slopes.T @ seen @ slopes
            gradient[columns] += slopes.T @ (seen @ difference + pull)
        residual, slopes = self._vehicle_residuals(stretch, state, unknowns)
        information += slopes.T @ slopes
        gradient += slopes.T @ residual
        return Equations(information, gradient)

    def _mounts(self, unknowns: Vector) -> _Mounts:
        """Mountings at some values of the unknowns, which are the same for all stretches."""
        latest = self._latest
        if latest is None or not np.array_equal(latest[0], unknowns):
            self._latest = latest = unknowns.copy(), _Mounts(self, unknowns)
        return latest[1]

    def _of_camera(self, camera: int) -> list[int]:
        begin = LOCAL + OF_CAMERA * camera
        return list(range(begin, begin + OF_CAMERA))

    def _ray_residuals(
        self, pairs: RayPairs, state: StretchState, mounts: _Mounts
    ) -> tuple[Vector, NDArray[np.float64], list[int]]:
        """Distances from epipolar planes (n,), px, their slopes, and of which unknowns.

        The last three slopes are those by a turn of the second image alone.
        """
        one, two = pairs.cameras
        columns = list(range(6)) + self._of_camera(one)
        if two != one:
            columns += self._of_camera(two)
        moved = _between(pairs.instants, state.T)
        first, second = mounts.now[one], mounts.now[two]
        M = second.inverse @ moved @ first.T
        E = _essential(M)
        a, b = pairs.first @ E.T, pairs.second @ E
        top = (a * pairs.second).sum(axis=1)
        # Only what lies across a ray is an error of it (Sampson's distance).
        spread = (a * a).sum(axis=1) + (b * b).sum(axis=1) - 2 * top**2
        scale = pairs.focal / np.sqrt(np.maximum(spread, 1e-6))
        near = [
            second.inverse @ _between(pairs.instants, item.T) @ first.T for item in state.near[:6]
        ]
        if one == two:
            near += [C.inverse @ moved @ C.T for C in mounts.near[one]]
        else:
            near += [second.inverse @ moved @ C.T for C in mounts.near[one]]
            near += [C.inverse @ moved @ first.T for C in mounts.near[two]]
        near += [_stepped(M, 3 + axis) for axis in range(3)]
        changes = np.stack([((_essential(item) - E) / _STEP).ravel() for item in near], axis=1)
        outer = (pairs.second[:, :, None] * pairs.first[:, None, :]).reshape(-1, 9)
        return top * scale, (outer @ changes) * scale[:, None], columns

    def _road_difference(
        self, road: RoadView, state: StretchState, mounts: _Mounts
    ) -> tuple[Vector, NDArray[np.float64], list[int]]:
        """Difference (9,) of what is expected from the best, slopes, and of which unknowns."""
        columns = list(range(LOCAL)) + self._of_camera(road.camera)
        C, instants = mounts.now[road.camera], road.instants[::-1]
        plane, moved = self._road_plane(road, state), _between(instants, state.T)
        value = _road_expected(road, plane, moved, C)
        near = [
            _road_expected(road, plane, _between(instants, item.T), C) for item in state.near[:6]
        ]
        near += [
            _road_expected(road, self._road_plane(road, item), moved, C) for item in state.near[6:]
        ]
        near += [_road_expected(road, plane, moved, item) for item in mounts.near[road.camera]]
        return value, np.stack([(item - value) / _STEP for item in near], axis=1), columns

    def _road_plane(self, road: RoadView, state: StretchState) -> GroundPlane:
        """Return the tangent to the road where a camera sees it: a crest falls away both ways."""
        pitch, roll, curvature = state.road
        height = self._ground.height + 0.5 * curvature * road.ahead**2
        return GroundPlane.from_angles(roll, pitch + curvature * road.ahead, height)

    def _vehicle_residuals(
        self, stretch: Stretch, state: StretchState, unknowns: Vector
    ) -> tuple[Vector, NDArray[np.float64]]:
        """What is expected of the vehicle, in standard deviations: residuals (8,) and slopes."""
        common = self.size - COMMON
        value = self._vehicle(stretch, state, unknowns)
        slopes = np.zeros((len(value), LOCAL + self.size))
        for k, near in enumerate(state.near):
            slopes[:, k] = self._vehicle(stretch, near, unknowns) - value
        for k in range(common, self.size):
            other = unknowns + _unit(len(unknowns), k)
            slopes[:, LOCAL + k] = self._vehicle(stretch, state, other) - value
        return value, slopes / _STEP

    def _vehicle(self, stretch: Stretch, state: StretchState, unknowns: Vector) -> Vector:
        common = unknowns[-COMMON:]
        rotation = cv2.Rodrigues(state.T[:3, :3])[0][:, 0]
        # The way as seen half way, so that a bend alone is no slip.
        way = -turn(-0.5 * rotation) @ state.T[:3, 3]
        length = float(np.linalg.norm(way))
        expected = stretch.way * np.exp(common[_FACTOR] if stretch.by_odometry else 0.0)
        sigma = STRETCH_LENGTH_SIGMA if stretch.by_odometry else FREE_LENGTH_SIGMA
        ahead = max(abs(way[0]), 1e-3) * (1 if way[0] >= 0 else -1)
        side = way[1] / ahead - common[_LEVER] * -rotation[2] / ahead - common[_YAW]
        pitch = state.road[0] - self._ground.pitch
        heave = way[2] / ahead + state.road[0]
        alike = stretch.alike
        return np.array(
            [
                np.log(max(length, 1e-6) / expected) / sigma,
                side / (SIDE_SIGMA * alike),
                heave / (HEAVE_SIGMA * alike),
                (pitch - common[_PITCH]) / (TILT_SIGMA * alike),
                (state.road[1] - self._ground.roll - common[_ROLL]) / (TILT_SIGMA * alike),
                state.road[2] / (CURVATURE_SIGMA * alike),
                (rotation[0] - rotation[2] * state.road[0]) / LEVEL_SIGMA,
                (rotation[1] + rotation[2] * state.road[1]) / LEVEL_SIGMA,
            ]
        )


class _Mounting:
    """T_base_camera (4x4), and its inverse."""

    def __init__(self, T: Matrix) -> None:
        self.T, self.inverse = T, inverse(T)


class _Mounts:
    """Mountings at some values of the unknowns, and a small step of each from there."""

    def __init__(self, model: MountingModel, unknowns: Vector) -> None:
        def of(camera: int, values: Vector) -> _Mounting:
            return _Mounting(model.mounting(camera, values))

        cameras = range(len(model))
        self.now = [of(camera, unknowns) for camera in cameras]
        self.near = [
            [
                of(camera, unknowns + _unit(model.size, OF_CAMERA * camera + k))
                for k in range(OF_CAMERA)
            ]
            for camera in cameras
        ]


def _between(instants: tuple[Instant, Instant], T: Matrix) -> Matrix:
    """Motion of the base frame from one instant of a stretch to another."""
    return np.asarray(instants[1].pose(T) @ inverse(instants[0].pose(T)))


def _road_expected(road: RoadView, plane: GroundPlane, moved: Matrix, C: _Mounting) -> Vector:
    """Difference (9,) of what a camera is to see of a road from the best."""
    normal = -(C.T[:3, :3].T @ plane.normal) / float(plane.signed_distance(C.T[:3, 3]))
    M = C.inverse @ moved @ C.T
    turned = cv2.Rodrigues(M[:3, :3] @ road.motion[:3, :3].T)[0][:, 0]
    return np.concatenate([normal - road.plane, turned, M[:3, 3] - road.motion[:3, 3]])


def _essential(M: Matrix) -> NDArray[np.float64]:
    """Return E of a motion (4x4), for a way of length 1."""
    way = M[:3, 3] / max(float(np.linalg.norm(M[:3, 3])), 1e-9)
    return np.asarray(_cross(way) @ M[:3, :3])


def _as_uneven(road: RoadView, stretch: Stretch) -> tuple[NDArray[np.float64], Vector]:
    """Information and gradient of a look at the road, its errors of its own eliminated.

    These are the road's unevenness there, and that grey values of a road that is no plane are
    explained by a motion that was not.
    """
    length = float(np.linalg.norm(road.plane))
    along = np.outer(road.plane, road.plane) / length**2
    expected = np.zeros((9, 9))
    expected[:3, :3] = along / (UNEVEN_M * length) ** 2 + (np.eye(3) - along) / UNEVEN_SIGMA**2
    expected[:3, :3] /= (length * stretch.alike) ** 2
    expected[3:6, 3:6] = np.eye(3) / SHAKE_SIGMA**2
    expected[6:, 6:] = np.eye(3) / (UNEVEN_WAY * stretch.way) ** 2
    H, g = road.information, road.gradient
    solved = np.linalg.solve(H + expected, np.column_stack([H, g]))
    return H - H @ solved[:, :-1], g - H @ solved[:, -1]


def _without_shake(
    residual: Vector, slopes: NDArray[np.float64], weight: Vector
) -> tuple[NDArray[np.float64], Vector]:
    """Information and gradient with the last three unknowns, the shake, eliminated."""
    weighted = slopes * weight[:, None]
    A, b = weighted.T @ slopes, weighted.T @ residual
    A[-3:, -3:] += np.eye(3) / SHAKE_SIGMA**2
    solved = np.linalg.solve(A[-3:, -3:], np.concatenate([A[-3:, :-3], b[-3:, None]], axis=1))
    return A[:-3, :-3] - A[:-3, -3:] @ solved[:, :-1], b[:-3] - A[:-3, -3:] @ solved[:, -1]


def _moved(T: Matrix, twist: Vector) -> Matrix:
    """Apply a small twist (translation, rotation) on the left."""
    out = np.eye(4)
    R = turn(twist[3:])
    out[:3, :3] = R @ T[:3, :3]
    out[:3, 3] = R @ T[:3, 3] + twist[:3]
    return out


def _unit(size: int, index: int) -> Vector:
    out = np.zeros(size)
    out[index] = _STEP
    return out


_TWISTS = [_unit(6, k) for k in range(6)]
_TURNS = [turn(twist[3:]) for twist in _TWISTS]


def _stepped(T: Matrix, k: int) -> Matrix:
    """Apply a small step of one of the six unknowns of a twist, as `_moved` would."""
    out = np.zeros((4, 4))
    out[3, 3] = 1.0
    out[:3, :3] = _TURNS[k] @ T[:3, :3]
    out[:3, 3] = _TURNS[k] @ T[:3, 3] + _TWISTS[k][:3]
    return out


def _cross(v: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]], dtype=np.float64)
