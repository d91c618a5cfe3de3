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

"""Frame set and rig in, depth of all cameras, clouds and map out: what everything else calls."""

from __future__ import annotations

import dataclasses
import math
import os
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import DepthPerceptionError
from depth_perception.estimators.estimator import Estimator
from depth_perception.estimators.factory import make_estimator
from depth_perception.estimators.named_files import (
    named_file_errors,
    provider_note,
    unused_file_notes,
)
from depth_perception.frames.frame_set import CameraFrame, FrameSet
from depth_perception.frames.surround_result import CameraResult, MotionState, SurroundResult
from depth_perception.geometry.camera_view import (
    CameraView,
    camera_view,
    view_on_ground,
    working_size,
)
from depth_perception.geometry.cloud import (
    OccupancyMap,
    occupancy_map,
    split_obstacles,
    thinned_cloud,
)
from depth_perception.geometry.embodied_depth import Level, confidence_of, sigma_of
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import Rig, RigCamera
from depth_perception.geometry.transforms import Matrix, transform_points
from depth_perception.motion.completion import complete
from depth_perception.motion.mounting_watch import MountingWatch, WatchReport
from depth_perception.motion.range_points import RangeScan
from depth_perception.motion.surround_motion import Motion, SurroundMotion
from depth_perception.motion.warm_up import compile_loops
from depth_perception.parameters import Parameters
from depth_perception.rig.builder import ego_masks_of, nominal_ground
from depth_perception.rig.ego_mask import masks_without_camera
from depth_perception.rig.mounting import (
    height_doubt,
    height_error,
    mounting_errors,
    no_road,
    view_error,
)
from depth_perception.segmentation.sources import SurfaceSource

_WAITING_SCANS = 16
_WAITING_POSES = 1000
"""Poses of odometry that wait for the next frame set, at the most."""


def look_at_named_files(parameters: Parameters) -> tuple[list[str], list[str]]:
    """Look at the files, folders and providers that the parameters name; loads no network.

    Returns:
        What keeps the pipeline from being made, and what is worth knowing.
    """
    problems = [str(error) for error in named_file_errors(parameters)]
    return problems, [*filter(None, [provider_note(parameters)]), *unused_file_notes(parameters)]


def check_named_files(parameters: Parameters) -> None:
    """Refuse parameters that name files, folders or providers that do not exist.

    Raises:
        ConfigurationError, ModelError: The first of them.
    """
    for error in named_file_errors(parameters):
        raise error


def new_motion(ground: GroundPlane, parameters: Parameters) -> SurroundMotion | None:
    """Make what measures by motion, where the parameters ask for it."""
    if not parameters.motion.enabled:
        return None
    given = parameters.motion
    limit = math.radians(given.mounting_warning)
    watch = MountingWatch(ground, limit) if given.mounting_warning > 0 else None
    share = given.overlap_share if given.overlap else None
    rates = (given.matching_rate, parameters.fused.rate)
    return SurroundMotion(ground, given.image_width, share, watch, *rates)


class SurroundPipeline:
    """Computes `SurroundResult` from frame sets.

    A function of frame sets in order, rig and parameters. What it remembers are tables that depend
    on the rig alone, made anew when the rig changes, and with ``motion.enabled`` what
    `SurroundMotion` keeps of the past. Same input, same bits, on every run.

    Attributes:
        parameters: All parameters.
        ground: The nominal ground plane that they describe.
        estimator: What computes depth.
        motion: What the vehicle's motion measures; None unless ``motion.enabled``.
        warnings: What was warned of so far, each once, for whoever reports at the end.
    """

    def __init__(
        self,
        parameters: Parameters,
        log: Callable[[str], None] | None = None,
        source: SurfaceSource | None = None,
    ) -> None:
        """Load what the parameters name.

        Args:
            parameters: All parameters.
            log: Where warnings go; nowhere when None.
            source: Where the road is; chosen by the parameters when None.

        Raises:
            ConfigurationError, ModelError: A file is absent or impossible, or a GPU that is
                required is not used.
        """
        self.parameters = parameters
        self.ground = nominal_ground(parameters.ground)
        self._log = log or (lambda text: None)
        self.warnings: list[str] = []
        self._warned: set[tuple[str, str]] = set()
        self.estimator: Estimator = make_estimator(parameters, self.warn, source)
        self.motion = new_motion(self.ground, parameters)
        self._poses: deque[tuple[int, NDArray[np.float64], str, bool]] = deque(
            maxlen=_WAITING_POSES
        )
        self._scans: deque[RangeScan] = deque(maxlen=_WAITING_SCANS)
        self._views: dict[str, CameraView] = {}
        # More threads than cores take no less time, and each takes memory for a whole image.
        self._pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="camera")

    def set_parameters(self, parameters: Parameters) -> None:
        """Take other live parameters; to be called between two frame sets."""
        before, self.parameters = self.parameters, parameters
        self.estimator.set_parameters(parameters)
        if parameters.ground != before.ground:
            self.ground = nominal_ground(parameters.ground)
            self.motion = new_motion(self.ground, parameters)
            self._views.clear()

    def warn(self, text: str, camera: str = "") -> None:
        """Log a warning, once; of one camera the same with other numbers is not repeated.

        Args:
            text: The warning.
            camera: The camera that it is about; empty for none.
        """
        kind = (camera, re.sub(r"\d+", "#", text) if camera else text)
        if kind not in self._warned:
            self._warned.add(kind)
            self.warnings.append(text)
            self._log(text)

    def check_rig(self, rig: Rig) -> None:
        """Warn of each camera that sees no road where TF and parameters put it, or lacks its mask.

        For whoever has the whole rig before the first frame set, as of a bag: a mounting that
        cannot work is then known before the work.

        Raises:
            ConfigurationError: None of the cameras sees the road; says what to set.
        """
        errors = mounting_errors(rig, self.ground)
        if errors and len(errors) == len(rig):
            raise no_road(errors)
        for name, error in errors.items():
            self.warn(str(error), name)
        for text in masks_without_camera(ego_masks_of(self.parameters), rig.names):
            self.warn(text)

    def warn_of_lost(self, frame_set: FrameSet[CameraFrame], result: SurroundResult) -> None:
        """Warn of each camera whose image is there and gave no depth, and of wrong odometry."""
        if result.motion is not None and result.motion.problem:
            self.warn(result.motion.problem, "motion")
        for name, reason in result.missing.items():
            if name in frame_set.frames:
                self.warn(reason, name)

    def close(self) -> None:
        """End the worker threads, and give back memory, a device's too."""
        self._pool.shutdown(wait=True)
        self.estimator.close()
        self._views.clear()

    def process(
        self,
        frame_set: FrameSet[CameraFrame],
        rig: Rig,
        *,
        clouds: bool = True,
        occupancy: bool = True,
        embodied: bool = True,
    ) -> SurroundResult:
        """Compute everything that is known about one frame set.

        Args:
            frame_set: Decoded images by camera name.
            rig: The cameras; frames of cameras that it lacks are left out.
            clouds: Also make the point clouds.
            occupancy: Also make the occupancy map.
            embodied: Also fill `CameraResult.embodied` where another estimator makes the depth.

        Returns:
            The result; cameras without a frame, or whose calibration, mounting or segmentation
            fails, are in ``missing`` with the reason.
        """
        started = time.perf_counter()
        names = [name for name in rig.cameras if name in frame_set.frames]
        missing = {name: "no image in this frame set" for name in rig.cameras if name not in names}
        missing.update(frame_set.missing)
        views: dict[str, CameraView] = {}
        for name, camera in rig.cameras.items():
            misplaced = height_error(camera, self.ground, rig.base_frame)
            if misplaced is not None:
                missing[name] = str(misplaced) if name in names else missing[name]
                continue
            try:
                views[name] = self._view(camera)
            except DepthPerceptionError as error:
                missing[name] = f"camera {name}: {error}" if name in names else missing[name]
        moved = self._move(frame_set, views)
        measuring = dict(moved.latencies) if moved is not None else {}
        ground = moved.ground if moved is not None else self.ground
        if ground is not self.ground:
            views = {name: view_on_ground(view, ground) for name, view in views.items()}
        prepared = time.perf_counter()
        results: dict[str, CameraResult] = {}
        frames = {name: frame_set.frames[name] for name in names if name in views}
        outcomes: Mapping[str, CameraResult | DepthPerceptionError] = {}
        try:
            if frames:
                measured = {} if moved is None else moved.measured
                past = None if self.motion is None else self.motion.results
                outcomes = self.estimator.estimate(
                    views, frames, self._pool, embodied, measured, past
                )
        except DepthPerceptionError as error:  # what fails for all fails for each
            outcomes = dict.fromkeys(frames, error)
        for name, outcome in outcomes.items():
            if isinstance(outcome, CameraResult):
                results[name] = self._with_measured(outcome, moved, name)
                outcome = results[name]
                if (sigma := views[name].ray_sigma) is not None:
                    limit = confidence_of(sigma)
                    np.minimum(outcome.confidence, limit, out=outcome.confidence)
            else:
                missing[name] = f"camera {name}: {outcome}"
        depth_done = time.perf_counter()
        points = obstacles = None
        grid: OccupancyMap | None = None
        if clouds or occupancy:
            points = self._cloud(results)
            cloud = self.parameters.cloud
            if clouds:
                obstacles = split_obstacles(
                    points, ground, cloud.obstacle_min_height, cloud.obstacle_max_height
                )
            if occupancy:
                grid = self._occupancy(points, ground)
        cloud_done = time.perf_counter()
        return SurroundResult(
            stamp=frame_set.stamp,
            cameras=results,
            missing=missing,
            base_frame=rig.base_frame,
            ground=ground,
            points=points if clouds else None,
            obstacles=obstacles,
            occupancy=grid,
            estimator=self.parameters.estimator,
            provider=self.estimator.provider,
            model=self.estimator.model,
            motion=None if moved is None else _state_of(moved),
            latencies={
                **frame_set.latencies,
                **measuring,
                "prepare": prepared - started - sum(measuring.values()),
                "depth": depth_done - prepared,
                "cloud": cloud_done - depth_done,
            },
        )

    def add_odometry(
        self,
        stamp: int,
        T_odom_base: NDArray[np.float64],
        name: str = "odometry",
        by_tf: bool = False,
    ) -> None:
        """Take a pose of the base frame, from any thread; ignored unless ``motion.enabled``.

        Args:
            stamp: Of the pose, ns.
            T_odom_base: 4x4.
            name: Where it comes from, for what is said of it.
            by_tf: It is from TF, which is used where no odometry comes.
        """
        if self.motion is not None:
            self._poses.append((stamp, T_odom_base, name, by_tf))

    def add_range(
        self,
        stamp: int,
        T_base_sensor: Matrix,
        points: NDArray[np.float32],
        sigma: NDArray[np.float32] | None = None,
    ) -> None:
        """Take a scan of a LiDAR or radar, from any thread; ignored unless ``motion.enabled``.

        Args:
            stamp: Its instant, ns.
            T_base_sensor: 4x4, the sensor's mounting.
            points: (N, 3) of the sensor's frame, m.
            sigma: (N,) standard deviation of each point's range, m; None:
                ``motion.range_sigma``.
        """
        if self.motion is not None:
            if sigma is None:
                sigma = np.full(len(points), self.parameters.motion.range_sigma, np.float32)
            self._scans.append(RangeScan(stamp, transform_points(T_base_sensor, points), sigma))

    def compile_motion(self) -> None:
        """Make machine code of motion's loops, or load it; nothing without ``motion.enabled``.

        Else it is made while the first images wait: a minute, once after an installation.
        """
        if self.motion is not None:
            compile_loops()

    def forget_motion(self) -> None:
        """Forget what the past images showed: what comes next does not follow them."""
        if self.motion is not None:
            self.motion.reset()

    @property
    def mountings(self) -> WatchReport:
        """What the watch over the mountings has found; empty without ``motion.enabled``."""
        if self.motion is None or self.motion.watch is None:
            return WatchReport({}, {}, 0, 0.0)
        return self.motion.watch.report

    def _move(
        self, frame_set: FrameSet[CameraFrame], views: Mapping[str, CameraView]
    ) -> Motion | None:
        """Measure by the vehicle's motion; None when that is off."""
        if self.motion is None:
            return None
        while self._poses:
            stamp, pose, name, by_tf = self._poses.popleft()
            track = self.motion.transforms if by_tf else self.motion.odometry
            if track.name != name:  # poses of two frames do not mix
                track.clear()
                track.name = name
            track.add(stamp, pose)
        while self._scans:
            self.motion.range.add(self._scans.popleft())
        frames = {name: frame for name, frame in frame_set.frames.items() if name in views}
        pace = (frame_set.period, frame_set.effort)
        moved = self.motion.update(frame_set.stamp, frames, views, self._pool, *pace)
        for name, text in self.mountings.warnings.items():
            self.warn(text, name or "all cameras")
        return moved

    def _with_measured(self, result: CameraResult, moved: Motion | None, name: str) -> CameraResult:
        """Add what was measured of a camera; embodied depth is filled from it."""
        item = None if moved is None else moved.measured.get(name)
        if item is None:
            return result
        result = dataclasses.replace(result, measurement=item)
        if self.parameters.estimator != "embodied":
            return result
        measured, sigma = item.on_grid(result.depth.shape)
        fixed = (result.level == Level.ROAD) | (result.level == Level.GROUND)
        guess = sigma_of(result.confidence)
        depth, spread = complete(result.depth, guess, measured, sigma, fixed)
        confidence = np.where(np.isfinite(depth), confidence_of(spread), result.confidence)
        return dataclasses.replace(
            result, depth=depth, embodied=depth, confidence=confidence.astype(np.float32)
        )

    def _view(self, camera: RigCamera) -> CameraView:
        """Return the camera's tables, made anew when its calibration changed."""
        view = self._views.get(camera.name)
        if view is None or not (view.source is camera or view.source.same_as(camera)):
            size = working_size(camera.view, self.parameters.output.image_width)
            view = camera_view(camera, self.ground, 0, self.estimator.grid(size))
            if not np.isfinite(view.plane).any() and (error := view_error(camera, self.ground)):
                self.warn(str(error), camera.name)
            if doubt := height_doubt(camera, self.ground, self.parameters.base_frame):
                self.warn(doubt, camera.name)
            self._views[camera.name] = view
        return view

    def _cloud(self, results: dict[str, CameraResult]) -> np.ndarray:
        cloud = self.parameters.cloud
        cameras = list(results.values())
        return thinned_cloud(
            [item.camera for item in cameras],
            [item.T_base_camera for item in cameras],
            [item.depth for item in cameras],
            [item.image for item in cameras],
            [item.confidence for item in cameras],
            cloud.voxel_size,
            max_range=cloud.max_range,
            min_confidence=cloud.min_confidence,
            step=cloud.pixel_step,
            executor=self._pool,
        )

    def _occupancy(self, points: np.ndarray, ground: GroundPlane) -> OccupancyMap:
        return occupancy_map(
            points,
            ground,
            resolution=self.parameters.occupancy.resolution,
            size=self.parameters.occupancy.size,
            min_height=self.parameters.cloud.obstacle_min_height,
            max_height=self.parameters.cloud.obstacle_max_height,
            min_points=self.parameters.occupancy.min_points,
        )


def _state_of(moved: Motion) -> MotionState:
    if not moved.source:
        return MotionState(problem=moved.problem)
    twist = moved.twist
    return MotionState(
        source=moved.source,
        speed=moved.speed,
        velocity=None if twist is None else np.concatenate([twist.linear, twist.angular]),
        velocity_covariance=None if twist is None else twist.covariance,
        length_factor=moved.length_factor,
        length_factor_sigma=moved.length_factor_sigma,
        problem=moved.problem,
    )
