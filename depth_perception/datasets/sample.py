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

"""The one sample type of all data sets: frame sets with what is true of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import DepthPerceptionError
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane


class DatasetError(DepthPerceptionError):
    """A data set is damaged, of another format, or could not be made."""


@dataclass(frozen=True, eq=False)
class TrueCamera:
    """One camera's image with its truth.

    Attributes:
        name: The camera's name.
        model: Lens and image size; exact.
        T_base_camera: (4, 4) true pose of the optical frame.
        T_base_calibrated: (4, 4) the pose that the calibration says.
        image: (H, W, 3) uint8 BGR.
        depth: (H, W) float32 along the optical axis, m; +Inf sky or beyond range, NaN unknown.
        label: (H, W) uint8 Cityscapes train id; 255 own body or no ray.
        layers: More truth by name, see `shards.TRUTH_LAYERS`: mirror (H, W) float32 0 to 1, albedo
            (H, W, 3) float32 RGB, normal (H, W, 3) float32, instance (H, W) int32; and what motion
            measured, see `shards.MEASURED_LAYERS`: measured_inverse_depth and measured_sigma (H, W)
            float32, 1/m, NaN where nothing is measured, measured_kind (H, W) uint8 `Kind`.
    """

    name: str
    model: CameraModel
    T_base_camera: NDArray[np.float64]
    T_base_calibrated: NDArray[np.float64]
    image: NDArray[np.uint8]
    depth: NDArray[np.float32]
    label: NDArray[np.uint8]
    layers: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class TrueFrameSet:
    """All cameras of a rig at one instant.

    Attributes:
        key: Unique in its data set.
        cameras: In the rig's order.
        ground: The true ground plane in base_link.
        facts: What else is known: rig, rig_seed, seed, setting, weather, time, speed, drive (its
            number), index (the set's number in it), T_odom_base (4 x 4, odometry).
        ground_in_use: The plane that measuring by motion took for the road, in base_link; None
            where nothing was measured.
    """

    key: str
    cameras: tuple[TrueCamera, ...]
    ground: GroundPlane
    facts: Mapping[str, Any]
    ground_in_use: GroundPlane | None = None


Choose = Callable[[int], Iterable[int]]
"""Which cameras to read, by their indices, of a set that has so many."""
