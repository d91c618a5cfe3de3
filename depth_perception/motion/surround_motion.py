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
sets; measure depth with those and with the cameras that see the same (`surround_matching`), which
says how long the way was; keep the set if the vehicle has come far enough. What is remembered is
bounded: points and census images of a few keyframes, the last grey image of each camera, ten
seconds of odometry.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field

import cv2
import numpy as np

from depth_perception.errors import MessageError
from depth_perception.frames.frame_set import CameraFrame
from depth_perception.geometry.camera_view import CameraView
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.motion.ego_motion import EgoMotion
from depth_perception.motion.feature_tracks import FeatureTracks
from depth_perception.motion.keyframes import Keyframe, Keyframes
from depth_perception.motion.matching import Pyramid, census_of
from depth_perception.motion.measured_depth import MeasuredOnDemand
from depth_perception.motion.mounting_observer import CameraImage, lead_of
from depth_perception.motion.mounting_watch import MountingWatch
from depth_perception.motion.odometry import OdometryTrack
from depth_perception.motion.propagation import Pace
from depth_perception.motion.range_points import RangePoints, merged
from depth_perception.motion.result_propagation import ResultPropagation
from depth_perception.motion.road import scale_of
from depth_perception.motion.road_filter import RoadFilter
from depth_perception.motion.surround_matching import Measured, MotionCamera, SurroundMatching
from depth_perception.motion.twist import Twist, twist_of

LEFT_OUT = 1.5
"""When so many periods have passed since the last set, one has been left out between."""
LONGEST_GAP_S = 2.5
"""After a longer pause everything begins anew, s."""


@dataclass(frozen=True, eq=False)
class Motion:
    """What the motion of the vehicle measured at one frame set.

    Attributes:
        measured: Of each camera, on its matching grid; cameras of which nothing could be measured
            are not in it.
        ground: The road plane; the nominal one until a road was seen.
        source: Whence the way: ``odometry``, ``tf``, ``images``, ``standing``, or empty when
            unknown.
        speed: Of the vehicle, m/s; NaN when unknown.
        twist: Velocity of the base frame, by the last step; None when unknown.
        problem: What is wrong with odometry, and what helps; empty when nothing is.
        length_factor: By how much the way is longer than its source says, by the road.
        length_factor_sigma: Relative standard deviation of that.
        latencies: Seconds by stage.
    """

    measured: Mapping[str, Measured] = field(default_factory=dict)
    ground: GroundPlane = field(default_factory=GroundPlane)
    source: str = ""
    speed: float = float("nan")
    twist: Twist | None = None
    problem: str = ""
    length_factor: float = float("nan")
    length_factor_sigma: float = float("nan")
    latencies: Mapping[str, float] = field(default_factory=dict)


class SurroundMotion:
    """Measures; one frame set at a time, in the order of time.

    Attributes:
        ego: How the vehicle moves.
        results: Carries along what a network made of past images.
        range: Points of LiDAR and radar; add them here.
        watch: Over the mountings; None: nobody looks.
    """

    def __init__(
        self,
        nominal: GroundPlane,
        image_width: int,
        overlap_share: float | None = None,
        watch: MountingWatch | None = None,
        matching_rate: float = 0.0,
        result_rate: float = 0.0,
    ) -> None:
        """Begin with nothing known.

        Args:
            nominal: The road plane that the mounting describes.
            image_width: Of the matching grid, px; the working grid's where that is smaller.
            overlap_share: Cameras of one set are matched with each other where so much of one's
                image may be in the other's; None: none are.
            watch: Looks whether cameras have moved; None: nobody does.
            matching_rate: Cameras that are matched in a second, all together, 1/s; of the others
                what was measured is carried along by the motion. 0: all of each set.
            result_rate: Likewise, cameras that a network looks at; see `results`.
        """
        self.ego = EgoMotion()
        self.results = ResultPropagation(self.ego, result_rate)
        self.range = RangePoints()
        self.watch = watch
        self._nominal = nominal
        self._width = image_width
        self._cameras: dict[str, MotionCamera] = {}
        self._keyframes = Keyframes()
        self._matching = SurroundMatching(nominal, self.ego, overlap_share, matching_rate)
        self._road = RoadFilter(nominal)
        self._last: tuple[int, dict[str, int]] | None = None
        self._by_odometry: bool | None = None

    @property
    def odometry(self) -> OdometryTrack:
        """Poses that came; add them here."""
        return self.ego.odometry

    @property
    def transforms(self) -> OdometryTrack:
        """Poses that TF has; add them here. Used where no odometry comes."""
        return self.ego.transforms

    def reset(self) -> None:
        """Forget the past: time has jumped, or the images have."""
        self._by_odometry = None
        self.reset_memory()
        for camera in self._cameras.values():
            camera.tracks.forget()
        self._road = RoadFilter(self._nominal)
        self._last = None
        if self.watch is not None:
            self.watch.reset()

    def update(
        self,
        stamp: int,
        frames: Mapping[str, CameraFrame],
        views: Mapping[str, CameraView],
        pool: Executor,
        period: float | None = None,
        effort: float = 1.0,
    ) -> Motion:
        """Take a frame set, and measure.

        Args:
            stamp: Of the set, ns.
            frames: Images by camera.
            views: Working grids of at least those cameras.
            pool: Threads for work camera by camera.
            period: Seconds since the set before this one, also where that was left out, for want of
                time: cameras come to their turn no more often for that. None: since the last.
            effort: Cameras come to their turn so much less often, 0 to 1.
        """
        begin = time.perf_counter()
        if self._last is not None:
            seconds = (stamp - self._last[0]) * 1e-9
            if seconds <= 0 or seconds > LONGEST_GAP_S:
                self.reset()
                self.ego.go_back(stamp)
        there = [name for name in views if name in frames]
        cameras = pool.map(lambda name: self._take(name, frames[name], views), there)
        taken = {n: item for n, item in zip(there, cameras, strict=True) if item is not None}
        names = list(taken)
        if not names:  # nothing was seen, and so nothing is to be forgotten
            return Motion(ground=self._road.ground, problem=self.ego.problem)
        self.ego.look_at_age(stamp)
        self._cameras.update(taken)
        heights = [self._nominal.signed_distance(views[n].T_base_camera[:3, 3]) for n in names]
        self._keyframes.scale = scale_of(float(np.median(heights)))
        stamps = {name: frames[name].stamp for name in names}
        followed = time.perf_counter()
        moved, seconds = False, 0.0
        if self._last is not None:
            seconds = (stamp - self._last[0]) * 1e-9
            last, now = self._last, (stamp, stamps)
            moved = self.ego.advance(self._cameras, last, now, self._road.ground)
            if not moved:
                self.reset_memory()
            self._note_source()
            self.ego.watch(last[0], stamp, self._road.factor, self._road.factor_sigma)
            self._road.predict(seconds, bool(self._by_odometry))
        ways = self.ego.ways(self._cameras, (stamp, stamps), self._keyframes) if moved else []
        known = time.perf_counter()
        pace = Pace(seconds * effort)
        if period is not None and period > 0:
            pace = Pace(min(seconds, period) * effort, seconds > LEFT_OUT * period)
        measured = self._matching.measure(
            self._cameras, (stamp, stamps), pace, ways, self._road, pool
        )
        fresh = self._matching.matched
        road = self._road
        self.results.advance(self._cameras, (stamp, stamps), pace, road.factor, road.ground, fresh)
        if len(self.range):
            measured = self._with_range(stamp, stamps, measured, pool)
        twist = None
        if moved and self.ego.step is not None:
            seconds, T = self.ego.step
            of_way = (self._road.factor, self._road.factor_sigma)
            twist = twist_of(T, seconds, self.ego.step_covariance, *of_way)
        if self.watch is not None:
            step = self.ego.step[1] if moved and self.ego.step is not None else None
            by_odometry = self.ego.source == "odometry"
            self.watch.observe(stamp, self._images(stamp, names), step, by_odometry, pool)
        self._remember(stamp, stamps)
        done = time.perf_counter()
        return Motion(
            measured=measured,
            ground=self._road.ground,
            source=self.ego.source,
            speed=float("nan") if twist is None else float(np.linalg.norm(twist.linear)),
            twist=twist,
            problem=self.ego.problem,
            length_factor=self._road.factor,
            length_factor_sigma=self._road.factor_sigma,
            latencies={
                "follow": followed - begin,
                "motion": known - followed,
                "match": done - known,
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
                camera.images[-1],
                camera.mask,
                camera.tracks,
                float(view.camera.K[0, 0]),
                camera.stamp,
                lead_of(stamp, camera.stamp, self.odometry, self.ego.step),
            )
        return images

    def reset_memory(self) -> None:
        """Forget keyframes whose way to the present is not known."""
        self._keyframes.clear()
        self._matching.forget_past()
        self.results.forget()
        self.ego.reset()
        if not self._by_odometry:
            self._by_odometry = None  # the next length is guessed anew; odometry's factor holds
        self.range.forget_way()

    def _note_source(self) -> None:
        """Begin a new factor where the way comes from somewhere else than before."""
        if self.ego.source not in ("odometry", "tf", "images"):
            return
        by_odometry = self.ego.source != "images"
        if by_odometry != self._by_odometry:
            from_nothing = self._by_odometry is None
            if not from_nothing:
                # Ways so far are made as long as they were found to be.
                self.ego.rescale(self._road.factor)
                self._keyframes.rescale(self._road.factor)
            self._matching.forget_past()
            self.results.forget()
            self.range.forget_way()
            self._road.begin_factor(by_odometry, guessed=from_nothing)
            self._by_odometry = by_odometry

    def _take(
        self, name: str, frame: CameraFrame, views: Mapping[str, CameraView]
    ) -> MotionCamera | None:
        """Follow the points into a camera's image, and make its census; None of no such image."""
        view = views[name]
        try:
            grey = cv2.cvtColor(frame.on_grid(view), cv2.COLOR_BGR2GRAY)
        except MessageError:  # depth is computed of the same image, and says what is wrong with it
            return None
        camera = self._cameras.get(name)
        if camera is None or not _same(camera.view, view):
            width = min(self._width, view.camera.width)
            height = max(1, round(view.camera.height * width / view.camera.width))
            mask = cv2.resize(view.ego.astype(np.uint8), (width, height)) > 0
            pyramid = Pyramid.of(view.camera.resized(width, height))
            mask |= pyramid.rays[-1][..., 2] == 0
            tracks = FeatureTracks(view.camera, view.ego, len(views))
            focal = float(view.camera.K[0, 0])
            camera = MotionCamera(view.T_base_camera, focal, tracks, view, pyramid, mask)
            self._matching.forget_rig()
            self.results.forget()
        camera.view = view
        camera.tracks.advance(np.asarray(grey, np.uint8), frame.stamp)
        camera.images = camera.pyramid.images(np.asarray(grey, np.uint8))
        camera.census = tuple(census_of(image) for image in camera.images)
        camera.stamp = frame.stamp
        return camera

    def _with_range(
        self, stamp: int, stamps: Mapping[str, int], measured: dict[str, Measured], pool: Executor
    ) -> dict[str, Measured]:
        """Add what a LiDAR or radar measured."""
        self.range.note_place(stamp, self.ego.T_start_now, self._road.factor)

        def with_range(name: str) -> Measured | None:
            camera, item = self._cameras[name], measured.get(name)
            mounting = camera.view.T_base_camera
            layer = self.range.layer(camera.grid, mounting, camera.mask, stamps[name])
            if layer is None:
                return item
            return merged(item.made if isinstance(item, MeasuredOnDemand) else item, layer)

        out = zip(stamps, pool.map(with_range, stamps), strict=True)
        return {name: item for name, item in out if item is not None}

    def _remember(self, stamp: int, stamps: dict[str, int]) -> None:
        """Keep the set if the vehicle has come far enough, and forget what nobody needs."""
        census = {name: self._cameras[name].census for name in stamps}
        T_start_now, step = self.ego.T_start_now, self.ego.step
        self._keyframes.add(Keyframe(stamp, dict(stamps), census, T_start_now, step))
        # A camera that misses a set is followed from where it was last seen.
        before = {} if self._last is None else self._last[1]
        recent = {n: s for n, s in before.items() if s > stamp - round(LONGEST_GAP_S * 1e9)}
        self._last = (stamp, {**recent, **stamps})
        wanted = {*self._keyframes.stamps, *self._last[1].values()}
        if self.watch is not None:
            wanted |= set(self.watch.stamps)
        for camera in self._cameras.values():
            camera.tracks.keep(wanted)


def _same(before: CameraView, now: CameraView) -> bool:
    """Tell whether two working grids show the same camera in the same way."""
    if before is now:
        return True
    return before.size == now.size and before.source.same_as(now.source)
