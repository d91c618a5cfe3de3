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

"""What an estimator is: all cameras of a frame set in, depth of each out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import DepthPerceptionError
from depth_perception.frames.frame_set import CameraFrame
from depth_perception.frames.surround_result import CameraResult
from depth_perception.geometry.camera_view import CameraView
from depth_perception.parameters import Parameters


class Measurement(Protocol):
    """What geometry measured of one camera, on any grid of its field; see `motion.MeasuredDepth`.

    Attributes:
        inverse_depth: (h, w) float32, 1/m; NaN where nothing is measured.
        sigma: (h, w) float32, its standard deviation, 1/m; NaN there.
    """

    @property
    def inverse_depth(self) -> NDArray[np.float32]:
        """See above."""

    @property
    def sigma(self) -> NDArray[np.float32]:
        """See above."""

    def on_grid(self, shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Depth (h, w), m, and its relative standard deviation; NaN where nothing is measured."""


class PastResult(Protocol):
    """A result of a past image as the present one sees it, all (H, W) float32.

    Attributes:
        depth: m; NaN unknown, +Inf beyond range.
        confidence: 0 to 1.
        road: Probability of the road.
    """

    @property
    def depth(self) -> NDArray[np.float32]:
        """See above."""

    @property
    def confidence(self) -> NDArray[np.float32]:
        """See above."""

    @property
    def road(self) -> NDArray[np.float32]:
        """See above."""


class PastResults(Protocol):
    """Results of past images, carried along; see `motion.ResultPropagation`."""

    def due(self, names: Sequence[str], pool: Executor) -> list[str]:
        """Those of the cameras that are to be computed anew now, in their order."""

    def carried(self, name: str, size: tuple[int, int]) -> PastResult | None:
        """A camera's last result, seen from where it is now, of (width, height) px; None: none."""

    def keep(
        self,
        name: str,
        depth: NDArray[np.float32],
        confidence: NDArray[np.float32],
        road: NDArray[np.float32],
    ) -> None:
        """Keep what was computed of a camera's present image, each on any grid of its field."""


class Estimator(Protocol):
    """Computes depth. One frame set at a time.

    Attributes:
        name: As in the parameter ``estimator``.
        provider: What it runs on, for status messages.
        model: What network it is, for status messages; empty without one.
    """

    name: str

    @property
    def provider(self) -> str:
        """What it runs on."""

    @property
    def model(self) -> str:
        """What network it is."""

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) of the working grid that suits it best, near to ``size``."""

    def estimate(
        self,
        views: Mapping[str, CameraView],
        frames: Mapping[str, CameraFrame],
        pool: Executor,
        with_embodied: bool = True,
        measured: Mapping[str, Measurement] | None = None,
        past: PastResults | None = None,
    ) -> dict[str, CameraResult | DepthPerceptionError]:
        """Compute each camera that has an image; an error concerns its camera alone.

        Args:
            views: Working grids of all cameras of the rig whose calibration is good, in the rig's
                order, also of those without an image.
            frames: Images of those cameras that have one.
            pool: Threads for work camera by camera.
            with_embodied: Whether somebody looks at embodied depth beside an estimator's own;
                without, `CameraResult.embodied` may be NaN.
            measured: What the vehicle's motion measured of cameras, for an estimator that can use
                it; cameras of which nothing is measured are not in it.
            past: Results of past images, for an estimator to which a new one costs much; None: all
                cameras are computed.

        Raises:
            DepthPerceptionError: None of them can be computed.
        """

    def set_parameters(self, parameters: Parameters) -> None:
        """Take other live parameters."""

    def close(self) -> None:
        """Give back memory, the device's too."""
