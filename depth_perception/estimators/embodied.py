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

"""Embodied depth as an estimator: geometry and a segmentation, no depth network."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor

from depth_perception.errors import DepthPerceptionError
from depth_perception.estimators.estimator import Measurement, PastResults
from depth_perception.frames.frame_set import CameraFrame
from depth_perception.frames.surround_result import CameraResult
from depth_perception.geometry.camera_view import CameraView
from depth_perception.geometry.embodied_depth import (
    EmbodiedDepth,
    Level,
    confidence_of,
    embodied_depth,
)
from depth_perception.parameters import EmbodiedParameters, Parameters
from depth_perception.segmentation.sources import Segmentation, SurfaceSource


class EmbodiedEstimator:
    """See `Estimator`."""

    name = "embodied"
    model = ""

    def __init__(self, parameters: Parameters, source: SurfaceSource) -> None:
        self._parameters = parameters.embodied
        self._source = source

    @property
    def provider(self) -> str:
        """What the segmentation runs on, the heaviest step."""
        return self._source.provider

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Any is as good."""
        return size

    def estimate(
        self,
        views: Mapping[str, CameraView],
        frames: Mapping[str, CameraFrame],
        pool: Executor,
        with_embodied: bool = True,
        measured: Mapping[str, Measurement] | None = None,
        past: PastResults | None = None,
    ) -> dict[str, CameraResult | DepthPerceptionError]:
        """Compute each camera; see `Estimator`. The pipeline puts in what is measured."""
        names = [name for name in views if name in frames]
        done = pool.map(lambda n: self._guarded(views[n], frames[n]), names)
        return dict(zip(names, done, strict=True))

    def set_parameters(self, parameters: Parameters) -> None:
        """Take other live parameters."""
        self._parameters = parameters.embodied

    def close(self) -> None:
        """Do nothing: the segmentation belongs to the pipeline."""

    def _guarded(self, view: CameraView, frame: CameraFrame) -> CameraResult | DepthPerceptionError:
        """Compute one camera; what is wrong with it does not concern the others."""
        try:
            image = frame.on_grid(view)
            segmentation = self._source.segment(view, frame, image)
            result = embodied_of(view, segmentation, self._parameters)
        except DepthPerceptionError as error:
            return error
        return CameraResult(
            stamp=frame.stamp,
            frame_id=view.source.frame_id,
            camera=view.camera,
            T_base_camera=view.T_base_camera,
            image=image,
            depth=result.depth,
            confidence=confidence_of(result.sigma),
            level=result.level,
            embodied=result.depth,
            ground=view.ground,
            surface=segmentation.surface,
        )


def embodied_of(
    view: CameraView, segmentation: Segmentation, parameters: EmbodiedParameters
) -> EmbodiedDepth:
    """Embodied depth of a camera, as the parameters want it."""
    return embodied_depth(
        view,
        segmentation.surface,
        instances=segmentation.instances,
        level=Level[parameters.level.upper()],
        max_range=parameters.max_range,
        max_object_height=parameters.max_object_height,
    )
