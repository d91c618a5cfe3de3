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

"""Every camera of a set matched, or what it showed a moment ago carried along; with the road.

A camera is matched with its past (parallax) and with the cameras that see the same (overlap). How
long the way was the road under it tells, or the cameras beside it. As many cameras are matched as
the rate allows, each in its turn; of the others what was measured moves along with the vehicle.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.camera_view import CameraView
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.sampling import inside_image
from depth_perception.geometry.transforms import Matrix, inverse
from depth_perception.motion.ego_motion import (
    MIN_BASELINE_M,
    CameraTracks,
    EgoMotion,
    moved_by,
    stretched,
)
from depth_perception.motion.ground_loops import ground_of_rays
from depth_perception.motion.keyframes import Keyframe
from depth_perception.motion.matching import SUBPIXEL_SIGMA, Match, Pyramid, Source, match
from depth_perception.motion.measured_depth import (
    Kind,
    MeasuredDepth,
    MeasuredOnDemand,
    judge,
    with_ground,
)
from depth_perception.motion.overlap import EXTRINSICS_SIGMA, combined, length_by_overlap
from depth_perception.motion.propagation import MatchingTurns, Pace, propagated, scaled
from depth_perception.motion.road import lane_samples, on_path
from depth_perception.motion.road_filter import RoadFilter

NEAREST_M, LOWEST_M = 2.5, 0.3
"""Nearest depth that parallax looks for, m, and for a camera that is mounted low."""
NEAREST_OF_ROAD, NEAREST_OF_HEIGHT = 0.75, 0.5
"""It looks as near as so much of the depth of the nearest road that it sees, which a way thought
too long and a mounting that is not quite right bring nearer; but not at less of its height: at the
rim of a fisheye depth along the axis becomes nothing."""
PATH_HALF_WIDTH, PATH_LENGTH = 2.5, 25.0
"""Where the vehicle is to drive next it is believed to be able to, m."""
OVERLAP_DEPTHS = (5.0, 20.0)
SAME_INSTANT_S = 0.005

Measured = MeasuredDepth | MeasuredOnDemand
"""What is measured of a camera, or what computes it."""

_Matched = tuple[Match, MeasuredDepth, NDArray[np.float32], MeasuredDepth | None]
"""Match and measured depth by the way, what would lie under the road, measured depth by overlap."""


@dataclass(eq=False)
class MotionCamera(CameraTracks):
    """What belongs to one camera: its grids and its points."""

    view: CameraView
    pyramid: Pyramid
    mask: NDArray[np.bool_]
    images: tuple[NDArray[np.uint8], ...] = ()
    census: tuple[NDArray[np.uint32], ...] = ()
    stamp: int = 0
    nearest: float | None = None
    """Where the nearest road is that it sees, see `nearest_road`; None: not looked yet."""

    @property
    def grid(self) -> CameraModel:
        """Model of the matching grid."""
        return self.pyramid.cameras[-1]

    @property
    def rays(self) -> NDArray[np.float32]:
        """Rays (h, w, 3) of the matching grid; 0 where nothing is seen."""
        return self.pyramid.rays[-1]


@dataclass(frozen=True, eq=False)
class _Past:
    """What a camera measured when it was last matched, and where that was."""

    measured: MeasuredDepth
    keyframe: Keyframe
    factor: float
    """By how much the way was thought to be longer than its source says."""


class SurroundMatching:
    """Measures the depth of a set's cameras, one set at a time.

    Attributes:
        matched: Cameras that were matched at the latest set.
    """

    def __init__(
        self, nominal: GroundPlane, ego: EgoMotion, overlap_share: float | None, rate: float
    ) -> None:
        """Begin with nothing measured.

        Args:
            nominal: The road plane that the mounting describes.
            ego: The vehicle's motion.
            overlap_share: See `SurroundMotion`.
            rate: Cameras that are matched in a second, all together, 1/s; 0: all of each set.
        """
        self._nominal = nominal
        self._ego = ego
        self._overlap_share = overlap_share
        self.matched: frozenset[str] = frozenset()
        self._turns = MatchingTurns(rate)
        self._past: dict[str, _Past] = {}
        self._sees: dict[tuple[str, str], bool] = {}
        self._cameras: Mapping[str, MotionCamera] = {}
        self._road = RoadFilter(nominal)

    def forget_past(self) -> None:
        """Forget what was measured: the way from there to here is not known."""
        self._past.clear()
        self._turns.reset()

    def forget_rig(self) -> None:
        """Look anew which cameras see the same: one has changed."""
        self._sees.clear()
        self.forget_past()

    def measure(
        self,
        cameras: Mapping[str, MotionCamera],
        now: tuple[int, Mapping[str, int]],
        pace: Pace,
        ways: Sequence[tuple[Keyframe, Matrix]],
        road: RoadFilter,
        pool: Executor,
    ) -> dict[str, Measured]:
        """Measure depth in the cameras of a set.

        Args:
            cameras: By name.
            now: Stamp of the set, ns, and of each camera's image.
            pace: Of the sets.
            ways: Past sets to match with, and the motions T_now_then from them.
            road: Told what the matched cameras show of the road.
            pool: Threads for work camera by camera.

        Returns:
            By name, on the matching grids; cameras of which nothing could be measured are not in
            it.
        """
        self._cameras, self._road = cameras, road
        oldest = now[0] - self._turns.longest(len(now[1])) * 1e9
        self._past = {n: item for n, item in self._past.items() if item.keyframe.stamp >= oldest}
        last = {name: item.keyframe.stamp for name, item in self._past.items()}
        turn = self._turns.choose(last, list(now[1]), *pace)
        measured = self._matched(turn, now, ways, pool)
        others = [name for name in now[1] if name in self._past and name not in turn]
        moved = {name: self._propagated(name, now) for name in others}
        everything: dict[str, Measured] = {**measured, **moved}
        self.matched = frozenset(turn)
        T_start_now, step = self._ego.T_start_now, self._ego.step
        for name in turn:
            self._past.pop(name, None)
        for name, item in measured.items():
            census = {name: cameras[name].census}
            own = Keyframe(now[0], {name: now[1][name]}, census, T_start_now, step)
            self._past[name] = _Past(item, own, road.factor)
        return {name: everything[name] for name in now[1] if name in everything}

    def _propagated(self, name: str, now: tuple[int, Mapping[str, int]]) -> MeasuredOnDemand:
        """See what was measured when a camera was last matched from where it is now.

        If anybody wants to know: of what is given by another way already nobody does.
        """
        camera, past = self._cameras[name], self._past[name]
        keyframe = past.keyframe
        T_now_then = inverse(self._ego.T_start_now) @ keyframe.T_start_base
        own = self._ego.between_images(T_now_then, keyframe, name, now)
        C = camera.view.T_base_camera
        T = inverse(C) @ stretched(own, self._road.factor) @ C
        codes = keyframe.census[name][-1]
        # The present ones, whenever it is computed: the camera goes on.
        image, code = camera.images[-1], camera.census[-1]
        grid, rays, mask = camera.grid, camera.rays, camera.mask
        factor = past.factor / self._road.factor

        def make() -> MeasuredDepth:
            measured = scaled(past.measured, factor)
            return propagated(measured, codes, T, grid, rays, image, code, mask)

        return MeasuredOnDemand(make)

    def _matched(
        self,
        names: Sequence[str],
        now: tuple[int, Mapping[str, int]],
        ways: Sequence[tuple[Keyframe, Matrix]],
        pool: Executor,
    ) -> dict[str, MeasuredDepth]:
        """Match cameras, and let the road set the length of the way."""
        # Ways are matched as long as they are thought to be: other cameras know metres already.
        taken = self._road.factor
        matched = pool.map(lambda n: self._match(n, now, ways, taken), names)
        found = {n: item for n, item in zip(names, matched, strict=True) if item is not None}
        curvature = _curvature([T for _, T in ways])
        samples, lengths = [], []
        for name, (_, item, _, beside) in found.items():
            camera = self._cameras[name]
            if beside is not None and (longer := length_by_overlap(item, beside)) is not None:
                lengths.append(longer)
            of_way = item.kind == Kind.PARALLAX
            w = np.where(of_way, item.inverse_depth * np.float32(taken), np.float32(np.nan))
            C = camera.view.T_base_camera
            samples.append(lane_samples(w, camera.rays, C, self._road.ground, curvature))
        if lengths:  # the surest pair's: what is wrong with the others may be wrong with all
            log_factor, sigma = min(lengths, key=lambda item: item[1])
            self._road.take_length(math.log(taken) + log_factor, sigma)
        if ways and names:
            self._road.update(samples)
        factor = self._road.factor / taken
        done = pool.map(lambda n: self._with_ground(n, *found[n], curvature, factor), found)
        return dict(zip(found, done, strict=True))

    def _match(
        self,
        name: str,
        now: tuple[int, Mapping[str, int]],
        ways: Sequence[tuple[Keyframe, Matrix]],
        factor: float,
    ) -> _Matched | None:
        """Match one camera with its past and with the cameras beside it, each by itself.

        They do not agree to a step until the length of the way is known, and would meet half way.
        """
        camera = self._cameras[name]
        C, C_inverse = camera.view.T_base_camera, inverse(camera.view.T_base_camera)
        past = []
        for keyframe, T_now_then in ways:
            census = keyframe.census.get(name)
            if census is None or census[-1].shape != camera.census[-1].shape:
                continue
            own = stretched(self._ego.between_images(T_now_then, keyframe, name, now), factor)
            T = C_inverse @ inverse(own) @ C
            if np.linalg.norm(T[:3, 3]) >= MIN_BASELINE_M:
                past.append(Source(census, camera.pyramid.cameras, T))
        beside = []
        for other in now[1]:
            if other != name and self._overlap(name, other):
                there = self._cameras[other]
                T = inverse(there.view.T_base_camera) @ self._between(name, other) @ C
                beside.append(Source(there.census, there.pyramid.cameras, T))
        if past and beside:
            by_way = self._judged(camera, past, Kind.PARALLAX)
            return *by_way, self._judged(camera, beside, Kind.OVERLAP)[1]
        if not past and not beside:
            return None
        kind = Kind.PARALLAX if past else Kind.OVERLAP
        return *self._judged(camera, past or beside, kind), None

    def _judged(
        self, camera: MotionCamera, sources: list[Source], kind: Kind
    ) -> tuple[Match, MeasuredDepth, NDArray[np.float32]]:
        """Match a camera with sources of one kind, and judge."""
        C = camera.view.T_base_camera
        if camera.nearest is None:
            camera.nearest = nearest_road(camera.pyramid, C, camera.mask, self._nominal)
        height = float(self._nominal.signed_distance(C[:3, 3]))
        nearest = max(NEAREST_OF_ROAD * camera.nearest, NEAREST_OF_HEIGHT * height)
        nearest = float(np.clip(nearest, LOWEST_M, NEAREST_M))
        found = match(camera.images, camera.census, camera.pyramid, sources, nearest)
        kinds = np.full(len(sources), kind, np.uint8)
        shift = SUBPIXEL_SIGMA
        if kind == Kind.OVERLAP:
            shift = math.hypot(shift, EXTRINSICS_SIGMA * float(camera.grid.K[0, 0]))
        image, ground = camera.images[-1], self._road.ground
        kept, under = judge(found, image, camera.rays, C, ground, camera.mask, kinds, shift)
        return found, kept, under

    def _between(self, name: str, other: str) -> Matrix:
        """Motion of the base frame from the instant of one camera's image to that of another's."""
        later = (self._cameras[other].stamp - self._cameras[name].stamp) * 1e-9
        return stretched(moved_by(self._ego.step, later), self._road.factor)

    def _overlap(self, name: str, other: str) -> bool:
        """Tell whether a camera may see a part of what another sees, from somewhere else."""
        if self._overlap_share is None:
            return False
        later = abs(self._cameras[other].stamp - self._cameras[name].stamp) * 1e-9
        if self._ego.step is None and later > SAME_INSTANT_S:
            return False  # nobody knows how far the vehicle came in between
        if (name, other) not in self._sees:
            one, two = self._cameras[name], self._cameras[other]
            M = inverse(two.view.T_base_camera) @ one.view.T_base_camera
            rays = one.rays[4::9, 4::9].reshape(-1, 3).astype(np.float64)
            share = 0.0
            for depth in OVERLAP_DEPTHS:
                points = rays * depth @ M[:3, :3].T + M[:3, 3]
                uv = two.grid.project(points[np.isfinite(points).all(axis=1)])
                inside = inside_image(uv, (two.grid.width, two.grid.height))
                share = max(share, float(inside.sum()) / max(1, len(rays)))
            apart = float(np.linalg.norm(M[:3, 3])) > MIN_BASELINE_M
            self._sees[name, other] = apart and share > self._overlap_share
        return self._sees[name, other]

    def _with_ground(
        self,
        name: str,
        found: Match,
        item: MeasuredDepth,
        under: NDArray[np.float32],
        beside: MeasuredDepth | None,
        curvature: float,
        factor: float,
    ) -> MeasuredDepth:
        """Bring what was measured with the assumed way to metres, and add the ground."""
        if beside is not None:
            item = combined(item, beside, self._road.factor_sigma)
        camera = self._cameras[name]
        C, ground = camera.view.T_base_camera, self._road.ground
        height = float(ground.signed_distance(C[:3, 3]))
        plane, relative, rise = (np.empty(camera.rays.shape[:2], np.float32) for _ in range(3))
        R, centre = np.ascontiguousarray(C[:3, :3]), C[:3, 3].copy()
        of_plane = (ground.normal, height, ground.covariance)
        ground_of_rays(camera.rays, R, centre, *of_plane, plane, relative, rise)
        lane = on_path(camera.rays, C, ground, curvature, PATH_HALF_WIDTH, PATH_LENGTH)
        return with_ground(
            item,
            under,
            found,
            plane,
            relative,
            camera.mask,
            camera.images[-1],
            lane,
            rise,
            height,
            factor,
            self._road.factor_sigma,
        )


def nearest_road(
    pyramid: Pyramid, T_base_camera: Matrix, mask: NDArray[np.bool_], ground: GroundPlane
) -> float:
    """Tell how near the nearest road is that a camera sees, m.

    Args:
        pyramid: The camera.
        T_base_camera: 4x4, its mounting.
        mask: (h, w), true on its own body.
        ground: The road, in the base frame.

    Returns:
        Depth along the optical axis; infinite where it sees no road. Nearly the least: a few pixels
        in a corner do not count.
    """
    down = -(pyramid.rays[-1] @ (T_base_camera[:3, :3].T @ ground.normal))
    height = float(ground.signed_distance(T_base_camera[:3, 3]))
    steep = down[~mask & (pyramid.rays[-1][..., 2] != 0) & (down > 0)]
    if not len(steep) or height <= 0:
        return float("inf")
    return height / float(np.percentile(steep, 99))


def _curvature(ways: Sequence[Matrix]) -> float:
    """Curvature of the path, 1/m, positive to the left, from motions T_now_then."""
    if not ways:
        return 0.0
    T = max(ways, key=lambda item: float(np.linalg.norm(item[:3, 3])))
    way = float(np.linalg.norm(T[:3, 3]))
    return float(-np.arctan2(T[1, 0], T[0, 0])) / way if way > MIN_BASELINE_M else 0.0
