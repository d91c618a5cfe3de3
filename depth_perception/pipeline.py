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

import os
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from depth_perception.errors import DepthPerceptionError
from depth_perception.estimators.estimator import Estimator
from depth_perception.estimators.factory import make_estimator
from depth_perception.estimators.named_files import (
    named_file_errors,
    provider_note,
    unused_file_notes,
)
from depth_perception.frames.frame_set import CameraFrame, FrameSet
from depth_perception.frames.surround_result import CameraResult, SurroundResult
from depth_perception.geometry.camera_view import CameraView, camera_view, working_size
from depth_perception.geometry.cloud import (
    OccupancyMap,
    back_project,
    occupancy_map,
    split_obstacles,
    thin_by_voxels,
)
from depth_perception.geometry.embodied_depth import confidence_of
from depth_perception.geometry.rig import Rig, RigCamera
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


class SurroundPipeline:
    """Computes `SurroundResult` from frame sets.

    A pure function of frame set, rig and parameters; what it remembers are tables that depend on
    the rig alone, made anew when the rig changes. Same input, same bits, on every run.

    Attributes:
        parameters: All parameters.
        ground: The nominal ground plane that they describe.
        estimator: What computes depth.
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
        self._views: dict[str, CameraView] = {}
        # More threads than cores take no less time, and each takes memory for a whole image.
        self._pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="camera")

    def set_parameters(self, parameters: Parameters) -> None:
        """Take other live parameters; to be called between two frame sets."""
        before, self.parameters = self.parameters, parameters
        self.estimator.set_parameters(parameters)
        if parameters.ground != before.ground:
            self.ground = nominal_ground(parameters.ground)
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
        """Warn of each camera whose image is there and gave no depth, with the reason."""
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
        prepared = time.perf_counter()
        results: dict[str, CameraResult] = {}
        frames = {name: frame_set.frames[name] for name in names if name in views}
        outcomes: Mapping[str, CameraResult | DepthPerceptionError] = {}
        try:
            if frames:
                outcomes = self.estimator.estimate(views, frames, self._pool, embodied)
        except DepthPerceptionError as error:  # what fails for all fails for each
            outcomes = dict.fromkeys(frames, error)
        for name, outcome in outcomes.items():
            if isinstance(outcome, CameraResult):
                results[name] = outcome
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
                    points, self.ground, cloud.obstacle_min_height, cloud.obstacle_max_height
                )
            if occupancy:
                grid = self._occupancy(points)
        cloud_done = time.perf_counter()
        return SurroundResult(
            stamp=frame_set.stamp,
            cameras=results,
            missing=missing,
            base_frame=rig.base_frame,
            ground=self.ground,
            points=points if clouds else None,
            obstacles=obstacles,
            occupancy=grid,
            estimator=self.parameters.estimator,
            provider=self.estimator.provider,
            model=self.estimator.model,
            latencies={
                **frame_set.latencies,
                "prepare": prepared - started,
                "depth": depth_done - prepared,
                "cloud": cloud_done - depth_done,
            },
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
        points = back_project(
            [item.camera for item in cameras],
            [item.T_base_camera for item in cameras],
            [item.depth for item in cameras],
            [item.image for item in cameras],
            [item.confidence for item in cameras],
            max_range=cloud.max_range,
            min_confidence=cloud.min_confidence,
            executor=self._pool,
        )
        return thin_by_voxels(points, cloud.voxel_size)

    def _occupancy(self, points: np.ndarray) -> OccupancyMap:
        return occupancy_map(
            points,
            self.ground,
            resolution=self.parameters.occupancy.resolution,
            size=self.parameters.occupancy.size,
            min_height=self.parameters.cloud.obstacle_min_height,
            max_height=self.parameters.cloud.obstacle_max_height,
            min_points=self.parameters.occupancy.min_points,
        )
