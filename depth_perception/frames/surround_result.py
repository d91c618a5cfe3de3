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

"""What the pipeline returns for one frame set: plain arrays, no messages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane, plane_depth

if TYPE_CHECKING:  # its loops are compiled: importing Numba takes a second
    from depth_perception.geometry.cloud import OccupancyMap


class GridMeasurement(Protocol):
    """What motion measured of a camera, for any grid of its field; see `motion.MeasuredDepth`."""

    def on_grid(self, shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Depth (h, w), m, and its relative standard deviation; NaN where nothing is measured."""

    def kind_on_grid(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """`measured_kind.Kind` (h, w) of each pixel."""


@dataclass(frozen=True, eq=False)
class CameraResult:
    """Depth of one camera.

    Attributes:
        stamp: Time of the source image, nanoseconds.
        frame_id: Optical frame of the source image.
        camera: Model of the depth image's pixels: a pinhole when images were rectified.
        T_base_camera: 4x4, from ``camera``'s frame to the base frame.
        image: (h, w, 3) uint8 BGR: the source image on the same pixels as the depth.
        depth: (h, w) float32, metres along the optical axis; NaN unknown, +Inf beyond range.
        confidence: (h, w) float32, 0 to 1: probability that depth is right to 10 %.
        level: (h, w) uint8, `geometry.embodied_depth.Level`.
        embodied: (h, w) float32: embodied depth alone, whatever the estimator; all NaN when it was
            not asked for.
        ground: The ground plane in use, in the base frame.
        surface: (h, w) uint8, `segmentation.classes.Surface` of each pixel.
        measurement: What the vehicle's motion measured; None where nothing of this camera was
            measured at all. It is brought onto the grid when somebody asks for it.
        carried: Whether depth is that of an earlier image, as it is seen from here.
    """

    stamp: int
    frame_id: str
    camera: CameraModel
    T_base_camera: NDArray[np.float64]
    image: NDArray[np.uint8]
    depth: NDArray[np.float32]
    confidence: NDArray[np.float32]
    level: NDArray[np.uint8]
    embodied: NDArray[np.float32]
    ground: GroundPlane
    surface: NDArray[np.uint8]
    measurement: GridMeasurement | None = None
    carried: bool = False

    @cached_property
    def plane(self) -> NDArray[np.float32]:
        """(h, w) float32: depth of the ground plane at every pixel, +Inf above the horizon."""
        return plane_depth(self.camera.rays(), self.T_base_camera, self.ground).astype(np.float32)

    @property
    def measured(self) -> NDArray[np.float32] | None:
        """(h, w) float32: what motion measured, m; NaN where nothing; None without any."""
        return None if self._on_grid is None else self._on_grid[0]

    @property
    def measured_sigma(self) -> NDArray[np.float32] | None:
        """(h, w) float32: its relative standard deviation; NaN where nothing."""
        return None if self._on_grid is None else self._on_grid[1]

    @cached_property
    def measured_kind(self) -> NDArray[np.uint8] | None:
        """(h, w) uint8: `measured_kind.Kind` of each pixel."""
        item = self.measurement
        return None if item is None else item.kind_on_grid(self.depth.shape)

    @cached_property
    def _on_grid(self) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        item = self.measurement
        return None if item is None else item.on_grid(self.depth.shape)


@dataclass(frozen=True, eq=False)
class MotionState:
    """How the vehicle moves, as far as one frame set says.

    Attributes:
        source: Where its way is from: ``odometry``, ``tf``, ``images``, ``standing``, or ``none``.
        speed: m/s; NaN where it is not known.
        velocity: (6,) of the base frame, in it: linear (m/s), angular (rad/s); None where it is
            not known.
        velocity_covariance: (6, 6) of that.
        length_factor: By how much its way is longer than the source says, by the road; NaN where
            that is not known.
        length_factor_sigma: Relative standard deviation of that.
        problem: What is wrong with odometry, and what helps; empty when nothing is.
    """

    source: str = "none"
    speed: float = math.nan
    velocity: NDArray[np.float64] | None = None
    velocity_covariance: NDArray[np.float64] | None = None
    length_factor: float = math.nan
    length_factor_sigma: float = math.nan
    problem: str = ""


@dataclass(frozen=True, eq=False)
class SurroundResult:
    """Everything known about one frame set.

    Attributes:
        stamp: Time of the set, nanoseconds.
        cameras: By name, in the rig's order; only cameras that were present.
        missing: Why each absent camera is absent.
        base_frame: Frame of ground, clouds and occupancy.
        ground: The road plane.
        estimator: Name of the estimator.
        provider: What it ran on, e.g. ``numpy`` or ``CPUExecutionProvider``.
        model: Name of the network that made the depth; empty without one.
        points: Structured array x y z rgb confidence (float32 each), base frame; None when not
            asked for.
        obstacles: The points above the road, likewise.
        occupancy: The map, or None when not asked for.
        motion: How the vehicle moves; None without ``motion.enabled``.
        latencies: Seconds by stage, in order; whoever carries the result on adds its own.
    """

    stamp: int
    cameras: Mapping[str, CameraResult]
    missing: Mapping[str, str]
    base_frame: str
    ground: GroundPlane
    estimator: str
    provider: str
    model: str = ""
    points: NDArray[np.void] | None = None
    obstacles: NDArray[np.void] | None = None
    occupancy: OccupancyMap | None = None
    motion: MotionState | None = None
    latencies: dict[str, float] = field(default_factory=dict)
