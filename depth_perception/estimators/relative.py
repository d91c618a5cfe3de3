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

"""Any network of relative depth as an estimator, brought to metres where embodied depth is known.

One scale and shift for the whole rig, fitted on the road of all cameras; a camera whose own road
says that they do not fit it (such networks see each image for itself) gets its own, where it has
enough road. Where motion measured depth, the scale is brought to that place by place
(`local_scale`). Confidence follows the error of the fit.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import DepthPerceptionError, ModelError
from depth_perception.estimators.embodied import embodied_of
from depth_perception.estimators.estimator import Measurement, PastResults
from depth_perception.estimators.fused import levels_of
from depth_perception.estimators.local_scale import locally_scaled
from depth_perception.estimators.named_files import check_relative
from depth_perception.estimators.relative_description import read_description
from depth_perception.estimators.scale_fit import LEAST_PIXELS, Fit, error_of, fit, fit_depth
from depth_perception.frames.frame_set import CameraFrame
from depth_perception.frames.surround_result import CameraResult
from depth_perception.geometry.camera_view import CameraView
from depth_perception.geometry.embodied_depth import confidence_of
from depth_perception.geometry.surface import Surface
from depth_perception.inference.image_input import as_input, fitted_to, warp_from_output
from depth_perception.inference.onnx_session import OnnxSession, absent_provider, default_providers
from depth_perception.parameters import Parameters
from depth_perception.segmentation.sources import Log, Segmentation, SurfaceSource

FARTHEST = 200.0
"""Deeper is +Inf, m."""
_ROAD_RANGE = 40.0
"""Road that is fitted to is at most so far, m: farther, the plane is not known well."""
_MOST_PIXELS = 4000
_MISFIT = 0.10
"""A camera off the rig's fit by more gets its own, where its own is better."""
_LEAST_SIGMA = 0.05
_SPREAD = 1.48
"""Standard deviation over median absolute error, of a Gaussian."""


@dataclass(frozen=True)
class _CameraOutput:
    """One camera before the fit: its image, what the network says, and where its road is.

    What the network says is inverse depth, up to scale and shift of it or of depth; NaN unknown.
    """

    image: NDArray[np.uint8]
    relative: NDArray[np.float32]
    segmentation: Segmentation
    on_road: NDArray[np.float32]
    inverse: NDArray[np.float32]


class RelativeEstimator:
    """See `Estimator`."""

    name = "relative"

    def __init__(
        self, parameters: Parameters, source: SurfaceSource, log: Log = lambda text: None
    ) -> None:
        """Read the description, load the model, and run it once.

        Args:
            parameters: All parameters.
            source: Where the road is.
            log: Is told of a provider that was asked for and is absent.

        Raises:
            ConfigurationError: The description is absent or impossible.
            ModelError: The model is absent, unreadable, not as described, or on the CPU though a
                GPU is required.
        """
        settings = parameters.relative
        check_relative(parameters)
        self._parameters = parameters
        self._source = source
        self._lock = threading.Lock()
        path = Path(os.path.expanduser(settings.model))
        self._description = described = read_description(path)
        session = OnnxSession(
            described.model, settings.providers or default_providers(), settings.require_gpu
        )
        self._session: OnnxSession | None = session
        self._provider = session.reported
        warning = absent_provider(settings.providers, self._provider, "relative.providers")
        if warning:
            log(warning)
        names = [tensor.name for tensor in session.outputs]
        which = described.which
        if isinstance(which, int):
            which = names[which] if which < len(names) else f"number {which}"
        if which not in names or len(session.inputs) != 1:
            raise ModelError(
                f"relative depth '{described.path}': output {which} of a model with"
                f" {len(session.inputs)} inputs",
                expected="one image in, and one of the outputs " + ", ".join(names),
                fix="correct output.name",
            )
        self._output = which
        size = described.input.height, described.input.width
        self._relative(session, np.zeros((*size, 3), np.uint8))

    @property
    def provider(self) -> str:
        """What the network runs on."""
        return self._provider

    @property
    def model(self) -> str:
        """The network's file."""
        return self._description.model.name

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
        """Compute all cameras; see `Estimator`."""
        with self._lock:
            if self._session is None:
                raise ModelError("the estimator is closed", fix="make another")
            return self._estimates(self._session, views, frames, with_embodied, measured or {})

    def set_parameters(self, parameters: Parameters) -> None:
        """Take other live parameters."""
        self._parameters = parameters

    def close(self) -> None:
        """Give back memory, the device's too; a frame set under way is finished first."""
        with self._lock:
            self._session = None

    def _estimates(
        self,
        session: OnnxSession,
        views: Mapping[str, CameraView],
        frames: Mapping[str, CameraFrame],
        with_embodied: bool,
        measured: Mapping[str, Measurement],
    ) -> dict[str, CameraResult | DepthPerceptionError]:
        seen: dict[str, _CameraOutput | DepthPerceptionError] = {}
        for name in views:
            if name in frames:
                try:
                    seen[name] = self._run_network(session, views[name], frames[name])
                except DepthPerceptionError as error:
                    seen[name] = error
        good = {name: item for name, item in seen.items() if isinstance(item, _CameraOutput)}
        fits = self._fits(good)
        results: dict[str, CameraResult | DepthPerceptionError] = {}
        for name, item in seen.items():
            if not isinstance(item, _CameraOutput):
                results[name] = item
            elif name in fits:
                given = (fits[name], with_embodied, measured.get(name))
                results[name] = self._result(views[name], frames[name], item, *given)
            else:
                results[name] = self._without_scale(good)
        return results

    def _without_scale(self, seen: Mapping[str, _CameraOutput]) -> ModelError:
        """Say why nothing could be fitted."""
        pixels = sum(int(np.isfinite(item.on_road).sum()) for item in seen.values())
        if pixels < LEAST_PIXELS:
            return ModelError(
                "relative depth has no scale: no camera sees enough road to measure it by",
                expected=f"{LEAST_PIXELS} pixels of road within {_ROAD_RANGE:g} m, not {pixels}",
                fix="look at segmentation.source, extrinsics and ego masks",
            )
        return ModelError(
            f"relative depth has no scale: what the network says of {pixels} pixels of road does"
            f" not go with their depth as output.kind {self._description.kind} says",
            expected="greater to be nearer with inverse, farther with depth",
            fix=f"correct output.kind in '{self._description.path}', or look at"
            " segmentation.source and extrinsics",
        )

    def _run_network(
        self, session: OnnxSession, view: CameraView, frame: CameraFrame
    ) -> _CameraOutput:
        """Run the network on a camera, and find what can be measured of its road."""
        image = frame.on_grid(view)
        relative = self._relative(session, image)
        segmentation = self._source.segment(view, frame, image)
        road = (segmentation.surface == Surface.ROAD) & ~view.ego
        road &= view.inverse_plane > 1 / _ROAD_RANGE
        pixels = np.flatnonzero(road)
        pixels = pixels[:: max(1, len(pixels) // _MOST_PIXELS)]
        return _CameraOutput(
            image,
            relative,
            segmentation,
            relative.ravel()[pixels],
            view.inverse_plane.ravel()[pixels],
        )

    def _fits(self, seen: Mapping[str, _CameraOutput]) -> dict[str, Fit]:
        """Scale and shift of each camera: the rig's, or its own where the rig's does not fit."""
        if self._description.kind == "metric":
            return {
                name: Fit(1.0, 0.0, error_of(item.on_road, item.inverse))
                for name, item in seen.items()
            }
        if not seen:
            return {}
        fitted = fit_depth if self._description.kind == "depth" else fit
        rig = fitted(
            np.concatenate([item.on_road for item in seen.values()]),
            np.concatenate([item.inverse for item in seen.values()]),
        )
        fits: dict[str, Fit] = {}
        for name, item in seen.items():
            error = np.inf
            if rig is not None:
                error = error_of(rig.inverse_depth(item.on_road), item.inverse)
                fits[name] = rig
                if np.isfinite(error) and np.isfinite(item.on_road).sum() >= LEAST_PIXELS:
                    # What its own road says of the rig's scale counts, where it says enough.
                    fits[name] = replace(rig, error=max(rig.error, error))
            if error > _MISFIT:
                own = fitted(item.on_road, item.inverse)
                if own is not None and own.error < error:
                    fits[name] = own
        return fits

    def _result(
        self,
        view: CameraView,
        frame: CameraFrame,
        item: _CameraOutput,
        fit_of_camera: Fit,
        with_embodied: bool,
        measured: Measurement | None,
    ) -> CameraResult:
        """Bring a camera's relative depth to metres."""
        inverse = fit_of_camera.inverse_depth(item.relative)
        # An error of the shift grows with depth; what the road says holds at its own distance.
        spread = np.float32(max(_LEAST_SIGMA, _SPREAD * min(fit_of_camera.error, 1.0)))
        with np.errstate(divide="ignore", invalid="ignore"):
            sigma = spread * np.maximum(1, 1 / (20 * np.maximum(inverse, 1 / FARTHEST)))
        if measured is not None:
            given = measured.on_grid(inverse.shape)
            inverse, sigma = locally_scaled(inverse, sigma, *given, beyond=1 / FARTHEST)
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = np.where(inverse > 1 / FARTHEST, 1 / inverse, np.float32(np.inf))
        depth[view.ego | np.isnan(view.rays[..., 0]) | ~np.isfinite(inverse)] = np.nan
        sigma = np.where(np.isfinite(depth), sigma, np.float32(np.nan))
        embodied: NDArray[np.float32] = np.full(depth.shape, np.nan, np.float32)
        if with_embodied:
            embodied = embodied_of(view, item.segmentation, self._parameters.embodied).depth
        surface = item.segmentation.surface
        return CameraResult(
            stamp=frame.stamp,
            frame_id=view.source.frame_id,
            camera=view.camera,
            T_base_camera=view.T_base_camera,
            image=item.image,
            depth=depth,
            confidence=confidence_of(sigma),
            level=levels_of(depth, surface),
            embodied=embodied,
            ground=view.ground,
            surface=surface,
        )

    def _relative(self, session: OnnxSession, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Inverse relative depth on the image's grid, (h, w); NaN unknown."""
        described = self._description.input
        array = as_input(fitted_to(image, described), described)
        found = session.run({session.inputs[0].name: array}, [self._output])[0]
        values: NDArray[np.float32] = np.squeeze(found).astype(np.float32)
        if values.ndim != 2 or min(values.shape) < 2:
            raise ModelError(
                f"relative depth '{self._description.path}': {self._output} has the shape"
                f" {list(found.shape)}",
                expected="one value for each pixel",
                fix="choose another output",
            )
        if self._description.kind != "inverse":
            values = np.where(values > 0, values, np.float32(np.nan))
            values = np.divide(1, values, dtype=np.float32)
        size = (image.shape[1], image.shape[0])
        return np.asarray(warp_from_output(values, described, size), np.float32)
