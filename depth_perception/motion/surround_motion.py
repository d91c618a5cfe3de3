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

"""From frame sets in order to the vehicle's motion, measured depth and the road under it.

The order of work for each set: follow points in every camera; find the rig's motion to a few past
sets; match each camera with those and with the cameras that see the same; let the road say how long
the way was; keep the set if the vehicle has come far enough. What is remembered is bounded: points
and census images of a few keyframes, the last grey image of each camera, ten seconds of odometry.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.frames.frame_set import CameraFrame
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.camera_view import CameraView
from depth_perception.geometry.ground_plane import (
    GroundPlane,
    plane_depth,
    plane_depth_relative_sigma,
)
from depth_perception.geometry.sampling import inside_image
from depth_perception.geometry.transforms import Matrix, interpolate, inverse
from depth_perception.motion.feature_tracks import FeatureTracks
from depth_perception.motion.ground_length import length_from_ground
from depth_perception.motion.keyframes import Keyframe, Keyframes
from depth_perception.motion.matching import Match, Source, census_of, match
from depth_perception.motion.measured_depth import Kind, MeasuredDepth, judge, with_ground
from depth_perception.motion.mounting_observer import CameraImage, lead_of
from depth_perception.motion.mounting_watch import MountingWatch
from depth_perception.motion.odometry import MotionPrior, OdometryTrack
from depth_perception.motion.rig_motion import PointPairs, RigMotion, solve_rig_motion
from depth_perception.motion.road import lane_samples, on_path
from depth_perception.motion.road_filter import RoadFilter

NEAREST_M = 2.5
"""Nearest depth that parallax looks for, m."""
MIN_BASELINE_M = 0.1
"""A shorter way measures nothing."""
LONGEST_GAP_S = 2.5
"""After a longer pause everything begins anew, s."""
FIRST_SPEED = 5.0
"""What is guessed before anything is known, m/s."""
CARRIED_LENGTH_SIGMA = 0.15
"""Relative deviation of the way when the last speed is carried on."""
UNKNOWN_LENGTH_SIGMA = 1.0
PATH_HALF_WIDTH, PATH_LENGTH = 2.5, 25.0
"""Where the vehicle is to drive next it is believed to be able to, m."""
OVERLAP_SHARE = 0.10
"""Cameras are matched with each other where so much of one's image may be in the other's."""
OVERLAP_DEPTHS = (5.0, 20.0)
SAME_INSTANT_S = 0.005
DISAGREEMENT = 3.0
"""Odometry whose rotation is farther from the images', in its deviations, is not believed."""


@dataclass(frozen=True, eq=False)
class Motion:
    """What the motion of the vehicle measured at one frame set.

    Attributes:
        measured: Of each camera, on its matching grid; cameras of which nothing could be measured
            are not in it.
        ground: The road plane; the nominal one until a road was seen.
        source: Whence the way: ``odometry``, ``images``, ``standing``, or empty when unknown.
        speed: Of the vehicle, m/s; NaN when unknown.
        problem: What is wrong; empty when nothing is.
        latencies: Seconds by stage.
    """

    measured: Mapping[str, MeasuredDepth] = field(default_factory=dict)
    ground: GroundPlane = field(default_factory=GroundPlane)
    source: str = ""
    speed: float = float("nan")
    problem: str = ""
    latencies: Mapping[str, float] = field(default_factory=dict)


@dataclass(eq=False)
class _Camera:
    """What belongs to one camera: its grids and its points."""

    view: CameraView
    grid: CameraModel
    rays: NDArray[np.float32]
    mask: NDArray[np.bool_]
    tracks: FeatureTracks
    small: NDArray[np.uint8]
    census: NDArray[np.uint32]
    stamp: int = 0


class SurroundMotion:
    """Measures; one frame set at a time, in the order of time."""

    def __init__(
        self,
        nominal: GroundPlane,
        image_width: int,
        overlap: bool = False,
        watch: MountingWatch | None = None,
    ) -> None:
        """Begin with nothing known.

        Args:
            nominal: The road plane that the mounting describes.
            image_width: Of the matching grid, px; the working grid's where that is smaller.
            overlap: Also match cameras of one set with each other.
            watch: Looks whether cameras have moved; None: nobody does.
        """
        self.odometry = OdometryTrack()
        self.watch = watch
        self._nominal = nominal
        self._width = image_width
        self._cameras: dict[str, _Camera] = {}
        self._keyframes = Keyframes()
        self._road = RoadFilter(nominal)
        self._T_start_now: Matrix = np.eye(4)
        self._last: tuple[int, dict[str, int]] | None = None
        self._with_overlap = overlap
        self._sees: dict[tuple[str, str], bool] = {}
        self._step: tuple[float, Matrix] | None = None
        """Seconds and motion (T_now_last) of the last step."""

    def reset(self) -> None:
        """Forget the past: time has jumped, or the images have."""
        self._keyframes.clear()
        for camera in self._cameras.values():
            camera.tracks.forget()
        self._road = RoadFilter(self._nominal)
        self._T_start_now = np.eye(4)
        self._last = self._step = None
        if self.watch is not None:
            self.watch.reset()

    def update(
        self,
        stamp: int,
        frames: Mapping[str, CameraFrame],
        views: Mapping[str, CameraView],
        pool: Executor,
    ) -> Motion:
        """Take a frame set, and measure.

        Args:
            stamp: Of the set, ns.
            frames: Images by camera.
            views: Working grids of at least those cameras.
            pool: Threads for work camera by camera.
        """
        begin = time.perf_counter()
        if self._last is not None:
            seconds = (stamp - self._last[0]) * 1e-9
            if seconds <= 0 or seconds > LONGEST_GAP_S:
                self.reset()
        names = [name for name in views if name in frames]
        for name, camera in zip(
            names, pool.map(lambda n: self._take(n, frames[n], views[n]), names), strict=True
        ):
            self._cameras[name] = camera
        stamps = {name: frames[name].stamp for name in names}
        followed = time.perf_counter()
        source, step = self._step_to(stamp, stamps)
        if step is not None and self._last is not None:
            self._T_start_now = self._T_start_now @ inverse(step.T_to_from)
            self._step = ((stamp - self._last[0]) * 1e-9, step.T_to_from)
        elif self._last is not None:
            self.reset_memory()
        moved = time.perf_counter()
        measured = self._measure(stamp, stamps, pool, source, step is not None)
        speed = float("nan")
        if step is not None and self._step is not None:
            speed = float(np.linalg.norm(self._step[1][:3, 3])) * self._road.factor / self._step[0]
        if self.watch is not None:
            T = None if step is None else step.T_to_from
            self.watch.observe(stamp, self._images(stamp, names), T, source == "odometry", pool)
        self._remember(stamp, stamps)
        done = time.perf_counter()
        return Motion(
            measured=measured,
            ground=self._road.ground,
            source=source,
            speed=speed,
            problem=self.odometry.problem,
            latencies={
                "follow": followed - begin,
                "motion": moved - followed,
                "match": done - moved,
            },
        )

    def _images(self, stamp: int, names: list[str]) -> dict[str, CameraImage]:
        """What the watch over the mountings looks at."""
        images = {}
        for name in names:
            camera = self._cameras[name]
            view = camera.view
            images[name] = CameraImage(
                view.T_base_camera,
                camera.grid,
                camera.small,
                camera.mask,
                camera.tracks,
                float(view.camera.K[0, 0]),
                camera.stamp,
                lead_of(stamp, camera.stamp, self.odometry, self._step),
            )
        return images

    def reset_memory(self) -> None:
        """Forget keyframes whose way to the present is not known."""
        self._keyframes.clear()
        self._T_start_now = np.eye(4)
        self._step = None

    def _take(self, name: str, frame: CameraFrame, view: CameraView) -> _Camera:
        """Follow the points into a camera's image, and make its census."""
        grey = cv2.cvtColor(view.image(frame.image), cv2.COLOR_BGR2GRAY)
        camera = self._cameras.get(name)
        width = min(self._width, view.camera.width)
        height = max(1, round(view.camera.height * width / view.camera.width))
        small = np.asarray(
            cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8
        )
        if camera is None or not _same(camera.view, view):
            grid = view.camera.resized(width, height)
            mask = cv2.resize(view.ego.astype(np.uint8), (width, height)) > 0
            tracks = FeatureTracks(view.camera, view.ego)
            rays = grid.rays().astype(np.float32)
            camera = _Camera(view, grid, rays, mask, tracks, small, np.zeros(0, np.uint32))
            self._sees = {}
        camera.view = view
        camera.tracks.advance(np.asarray(grey, np.uint8), frame.stamp)
        camera.small = small
        camera.census = census_of(camera.small)
        camera.stamp = frame.stamp
        return camera

    def _pairs(
        self, stamps: Mapping[str, int], since: Mapping[str, int], seconds: float
    ) -> list[PointPairs]:
        """Points of all cameras, from a past set (first) to now (second)."""
        out = []
        for name, stamp in stamps.items():
            if name not in since:
                continue
            camera = self._cameras[name]
            rays = camera.tracks.common(since[name], stamp)
            if rays is None:
                continue
            share = (stamp - since[name]) * 1e-9 / seconds
            focal = float(camera.view.camera.K[0, 0])
            out.append(PointPairs(camera.view.T_base_camera, *rays, focal, share))
        return out

    def _step_to(self, stamp: int, stamps: Mapping[str, int]) -> tuple[str, RigMotion | None]:
        """Find the motion from the last set to this one, and what its length is from."""
        if self._last is None:
            return "", None
        last, since = self._last
        seconds = (stamp - last) * 1e-9
        pairs = self._pairs(stamps, since, seconds)
        prior = self.odometry.between(last, stamp)
        if prior is not None:
            found = solve_rig_motion(pairs, prior)
            if found is not None and self._agrees(found, prior):
                return ("standing" if found.standing else "odometry"), found
        prior = self._carried_on(seconds)
        found = solve_rig_motion(pairs, prior)
        if found is None or found.standing:
            return ("standing" if found is not None else ""), found
        length = length_from_ground(pairs, found.T_to_from, self._road.ground)
        if length is not None:
            now = float(np.linalg.norm(found.T_to_from[:3, 3]))
            if self._step is None or abs(np.log(length / now)) > 2 * CARRIED_LENGTH_SIGMA:
                T = found.T_to_from.copy()
                T[:3, 3] *= length / now
                found = RigMotion(T, found.covariance, found.inliers, found.points)
        return "images", found

    def _agrees(self, found: RigMotion, prior: MotionPrior) -> bool:
        """Tell whether odometry is near to what the images say."""
        difference = found.T_to_from[:3, :3] @ prior.T_to_from[:3, :3].T
        angle = float(np.linalg.norm(cv2.Rodrigues(difference)[0]))
        if angle > DISAGREEMENT * prior.rotation_sigma + np.radians(0.2):
            self.odometry.problem = f"the images turn by {np.degrees(angle):.1f} degrees otherwise"
            return False
        way = float(np.linalg.norm(prior.T_to_from[:3, 3]))
        before = 0.0 if self._step is None else float(np.linalg.norm(self._step[1][:3, 3]))
        if not found.standing and way < MIN_BASELINE_M / 4 and before > 4 * way + 0.05:
            self.odometry.problem = "it stands while the images move"
            return False
        return True

    def _carried_on(self, seconds: float) -> MotionPrior:
        """Return the motion if the vehicle goes on as before; a guess before it ever moved."""
        if self._step is None or np.linalg.norm(self._step[1][:3, 3]) < 1e-3:
            T = np.eye(4)
            T[0, 3] = -FIRST_SPEED * seconds
            return MotionPrior(T, UNKNOWN_LENGTH_SIGMA, np.radians(40), np.radians(20))
        T = interpolate(np.eye(4), self._step[1], seconds / self._step[0])
        # The factor that the road gave is the better speed.
        T[:3, 3] *= self._road.factor
        return MotionPrior(T, CARRIED_LENGTH_SIGMA, np.radians(10), np.radians(5))

    def _measure(
        self, stamp: int, stamps: Mapping[str, int], pool: Executor, source: str, moved: bool
    ) -> dict[str, MeasuredDepth]:
        """Match every camera, and let the road set the length of the way."""
        if self._last is not None:
            self._road.predict((stamp - self._last[0]) * 1e-9, source == "odometry")
        ways = self._ways(stamp, stamps) if moved else []
        # Ways are matched as long as they are thought to be: other cameras know metres already.
        taken = self._road.factor
        scaled = [(keyframe, _stretched(T, taken)) for keyframe, T in ways]
        names = list(stamps)
        matched = pool.map(lambda n: self._match(n, stamps, scaled), names)
        found = {n: item for n, item in zip(names, matched, strict=True) if item is not None}
        curvature = _curvature([T for _, T in ways])
        samples = []
        for name, (_, item) in found.items():
            camera = self._cameras[name]
            of_way = item.kind == Kind.PARALLAX
            w = np.where(of_way, item.inverse_depth * np.float32(taken), np.float32(np.nan))
            C = camera.view.T_base_camera
            samples.append(lane_samples(w, camera.rays, C, self._road.ground, curvature))
        if ways:
            self._road.update(samples)
        factor = self._road.factor / taken
        done = pool.map(lambda n: self._with_ground(n, *found[n], curvature, factor), found)
        return dict(zip(found, done, strict=True))

    def _ways(self, stamp: int, stamps: Mapping[str, int]) -> list[tuple[Keyframe, Matrix]]:
        """Find the motion (T_now_then) from each keyframe that is matched with."""
        ways: list[tuple[Keyframe, Matrix]] = []
        for keyframe in self._keyframes.choose(self._T_start_now):
            seconds = (stamp - keyframe.stamp) * 1e-9
            T = inverse(self._T_start_now) @ keyframe.T_start_base
            pairs = self._pairs(stamps, keyframe.stamps, seconds)
            # The chain of steps is the prior: its length holds, the images say the rest anew.
            found = solve_rig_motion(pairs, MotionPrior(T, 0.01, np.radians(5), np.radians(0.5)))
            if found is not None and not found.standing:
                T = found.T_to_from
            ways.append((keyframe, T))
        return ways

    def _match(
        self, name: str, stamps: Mapping[str, int], ways: list[tuple[Keyframe, Matrix]]
    ) -> tuple[Match, MeasuredDepth] | None:
        """Match one camera with its past and with the cameras beside it."""
        camera = self._cameras[name]
        C, C_inverse = camera.view.T_base_camera, inverse(camera.view.T_base_camera)
        sources, kinds = [], []
        for keyframe, T_now_then in ways:
            census = keyframe.census.get(name)
            if census is None or census.shape != camera.census.shape:
                continue
            T = C_inverse @ inverse(T_now_then) @ C
            if np.linalg.norm(T[:3, 3]) < MIN_BASELINE_M:
                continue
            sources.append(Source(census, camera.grid, T))
            kinds.append(Kind.PARALLAX)
        for other in stamps:
            if other != name and self._overlap(name, other):
                beside = self._cameras[other]
                T = inverse(beside.view.T_base_camera) @ self._between(name, other) @ C
                sources.append(Source(beside.census, beside.grid, T))
                kinds.append(Kind.OVERLAP)
        if not sources:
            return None
        found = match(camera.small, camera.census, camera.rays, sources, NEAREST_M)
        return found, judge(
            found, camera.rays, C, self._road.ground, camera.mask, np.array(kinds, np.uint8)
        )

    def _between(self, name: str, other: str) -> Matrix:
        """Motion of the base frame from the instant of one camera's image to that of another's."""
        if self._step is None:
            return np.eye(4)
        seconds, T = self._step
        later = (self._cameras[other].stamp - self._cameras[name].stamp) * 1e-9
        return interpolate(np.eye(4), _stretched(T, self._road.factor), later / seconds)

    def _overlap(self, name: str, other: str) -> bool:
        """Tell whether a camera may see a part of what another sees, from somewhere else."""
        if not self._with_overlap:
            return False
        later = abs(self._cameras[other].stamp - self._cameras[name].stamp) * 1e-9
        if self._step is None and later > SAME_INSTANT_S:
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
            self._sees[name, other] = apart and share > OVERLAP_SHARE
        return self._sees[name, other]

    def _with_ground(
        self, name: str, found: Match, item: MeasuredDepth, curvature: float, factor: float
    ) -> MeasuredDepth:
        """Bring what was measured with the assumed way to metres, and add the ground."""
        camera = self._cameras[name]
        C, ground = camera.view.T_base_camera, self._road.ground
        depth = plane_depth(camera.rays, C, ground)
        with np.errstate(divide="ignore", invalid="ignore"):
            plane = np.where(np.isfinite(depth) & (depth > 0), 1 / depth, 0).astype(np.float32)
        relative = plane_depth_relative_sigma(camera.rays, depth, C, ground).astype(np.float32)
        lane = on_path(camera.rays, C, ground, curvature, PATH_HALF_WIDTH, PATH_LENGTH)
        return with_ground(
            item,
            found,
            plane,
            relative,
            camera.mask,
            camera.small,
            lane,
            (camera.rays @ (C[:3, :3].T @ ground.normal)).astype(np.float32),
            float(ground.signed_distance(C[:3, 3])),
            factor,
            self._road.factor_sigma,
        )

    def _remember(self, stamp: int, stamps: dict[str, int]) -> None:
        """Keep the set if the vehicle has come far enough, and forget what nobody needs."""
        census = {name: self._cameras[name].census for name in stamps}
        self._keyframes.add(Keyframe(stamp, dict(stamps), census, self._T_start_now))
        self._last = (stamp, dict(stamps))
        wanted = {*self._keyframes.stamps, *stamps.values()}
        if self.watch is not None:
            wanted |= set(self.watch.stamps)
        for camera in self._cameras.values():
            camera.tracks.keep(wanted)


def _same(before: CameraView, now: CameraView) -> bool:
    """Tell whether two working grids show the same camera in the same way."""
    if before is now:
        return True
    return before.size == now.size and before.source.same_as(now.source)


def _stretched(T: Matrix, factor: float) -> Matrix:
    """Return a motion whose way is longer by a factor."""
    out = T.copy()
    out[:3, 3] *= factor
    return out


def _curvature(ways: list[Matrix]) -> float:
    """Curvature of the path, 1/m, positive to the left, from motions T_now_then."""
    if not ways:
        return 0.0
    T = max(ways, key=lambda item: float(np.linalg.norm(item[:3, 3])))
    way = float(np.linalg.norm(T[:3, 3]))
    return float(-np.arctan2(T[1, 0], T[0, 0])) / way if way > MIN_BASELINE_M else 0.0
