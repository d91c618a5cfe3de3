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

"""The fused network as an estimator: all cameras in one pass, metric, with confidence and road.

Cameras whose working grids have the same size are one batch, in slots that stay theirs, so that
shapes never change: an absent camera's slot is black, and what comes out of it is left alone.
What the network is told of a camera is uploaded when the rig changes, not with every frame set.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import DepthPerceptionError, ModelError
from depth_perception.estimators.embodied import embodied_of
from depth_perception.estimators.estimator import Measurement
from depth_perception.estimators.fused_model import network_file
from depth_perception.estimators.measured_edges import with_measured_edges
from depth_perception.frames.frame_set import CameraFrame
from depth_perception.frames.surround_result import CameraResult
from depth_perception.geometry.camera_view import CameraView
from depth_perception.geometry.depth_values import is_beyond, is_unknown
from depth_perception.geometry.embodied_depth import Level
from depth_perception.geometry.surface import Surface
from depth_perception.inference.model_file import MEASURED, STRIDE
from depth_perception.inference.network_inputs import (
    Size,
    network_measured,
    network_rays,
    network_size,
    usual_width,
    view_camera,
)
from depth_perception.inference.onnx_session import (
    CPU,
    PROVIDERS,
    absent_provider,
    default_providers,
    provider_name,
    usable_providers,
)
from depth_perception.inference.session import FixedSession
from depth_perception.parameters import Parameters
from depth_perception.segmentation.sources import Log, Segmentation, SurfaceSource

ROAD = 0.5
"""A pixel is road when the network says so with more than this probability."""
_ALMOST = 0.06
"""A working grid whose aspect differs from the network's by less takes on the network's size."""


@dataclass
class _Batch:
    """Cameras of one size: a session and what was uploaded to it.

    Attributes:
        session: With a slot for each camera.
        capacity: How many slots there are.
        network: (width, height) of the network's images, px.
        views: Of the cameras in the slots, in order.
        hidden: (slots, h, w) at stride 4: own body, and where a lens has no ray.
    """

    session: FixedSession
    capacity: int
    network: Size
    views: dict[str, CameraView] = field(default_factory=dict)
    hidden: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0, 0), np.bool_))


class FusedEstimator:
    """See `Estimator`.

    Attributes:
        width: Of the network's images, px; 0: `network_inputs.usual_width`.
    """

    name = "fused"

    def __init__(
        self, parameters: Parameters, source: SurfaceSource | None, log: Log = lambda text: None
    ) -> None:
        """Check the model's file and load it once.

        Args:
            parameters: All parameters.
            source: Where the road is; None: the network says it.
            log: Is told, each time that it is seen, of a provider that was asked for and is absent.

        Raises:
            ModelError: The model is absent, damaged or of another kind, or runs on the CPU though
                a GPU is required.
            ConfigurationError: A provider that nobody knows.
        """
        self._parameters = parameters
        self._source = source
        self._log = log
        self._batches: dict[Size, _Batch] = {}
        self._lock = threading.Lock()
        self._closed = False
        self.width = parameters.fused.width
        # What cannot be loaded is to be known now, not with the first frame set.
        asked = parameters.fused.providers or default_providers()
        gpu = provider_name(asked[0]) != CPU
        moving = parameters.motion.enabled
        file = network_file(parameters.fused, gpu, moving)
        self._provider = file.probe_provider()
        if gpu and not parameters.fused.model and self._provider == CPU:
            # ONNX Runtime could use a GPU, and there is none: the larger network is not for a CPU.
            file = network_file(parameters.fused, False, moving)
            self._provider = file.probe_provider()
        self._make, self._model, self._fixed = file.session, file.title, file.fixed_rig
        if not (_is_tensorrt(asked[0]) and self._provider.startswith(PROVIDERS["cuda"])):
            self._warn_of_provider()  # else it was tried with CUDA instead, and is not known yet
        if self._fixed is not None and self._configured() > self._fixed.cameras:
            raise self._too_many(self._configured())

    @property
    def provider(self) -> str:
        """What the network runs on: until the first frame set, what it was tried on."""
        return self._provider

    @property
    def model(self) -> str:
        """Size and precision of the network, and its file."""
        return self._model

    def grid(self, size: Size) -> Size:
        """Return a size that the network can look at, where one is nearly ``size``.

        As wide as ``size``, whatever the network's own width: depth images are of one size on every
        machine. Where the network is as wide, images are resized once, and depth need not be. A
        file that was made for one size gets that.
        """
        if self._fixed is not None:
            return self._fixed.image
        if not self._parameters.output.image_width:
            return size  # the source's own pixels are asked for
        wanted = network_size(size, size[0])
        fits = wanted[0] == size[0] and abs(wanted[1] / size[1] - 1) < _ALMOST
        return wanted if fits else size

    def estimate(
        self,
        views: Mapping[str, CameraView],
        frames: Mapping[str, CameraFrame],
        pool: Executor,
        with_embodied: bool = True,
        measured: Mapping[str, Measurement] | None = None,
    ) -> dict[str, CameraResult | DepthPerceptionError]:
        """Compute all cameras; see `Estimator`."""
        with self._lock:
            if self._closed:
                raise ModelError("the estimator is closed", fix="make another")
            return self._estimates(views, frames, pool, with_embodied, measured or {})

    def set_parameters(self, parameters: Parameters) -> None:
        """Take other live parameters."""
        self._parameters = parameters

    def close(self) -> None:
        """Give back memory, the device's too; a frame set under way is finished first."""
        with self._lock:
            self._closed = True
            for batch in self._batches.values():
                batch.session.close()
            self._batches.clear()

    def _estimates(
        self,
        views: Mapping[str, CameraView],
        frames: Mapping[str, CameraFrame],
        pool: Executor,
        with_embodied: bool,
        measured: Mapping[str, Measurement],
    ) -> dict[str, CameraResult | DepthPerceptionError]:
        groups: dict[Size, dict[str, CameraView]] = {}
        for name, view in views.items():
            groups.setdefault(view.size, {})[name] = view
        for size in self._batches.keys() - groups.keys():
            self._batches.pop(size).session.close()
        found: dict[str, CameraResult | DepthPerceptionError] = {}
        for size, group in groups.items():
            if any(name in frames for name in group):
                batch = self._batch(size, group, others=len(views) - len(group))
                found.update(self._run_batch(batch, frames, pool, with_embodied, measured))
        return {name: found[name] for name in views if name in found}

    def _run_batch(
        self,
        batch: _Batch,
        frames: Mapping[str, CameraFrame],
        pool: Executor,
        with_embodied: bool,
        measured: Mapping[str, Measurement],
    ) -> Mapping[str, CameraResult | DepthPerceptionError]:
        """Compute the cameras of one size in one pass."""
        views = batch.views
        slots = {name: slot for slot, name in enumerate(views)}
        present = [name for name in views if name in frames]
        pixels = batch.session.buffer("image")
        depths: NDArray[np.float32] | None = None
        if MEASURED in batch.session.inputs:
            depths = batch.session.buffer(MEASURED)
            depths[:] = 0

        def bring(name: str) -> NDArray[np.uint8] | DepthPerceptionError:
            try:
                image = views[name].image(frames[name].image)
            except DepthPerceptionError as error:
                return error
            pixels[slots[name]] = image
            item = measured.get(name)
            if depths is not None and item is not None:
                found = network_measured(item.inverse_depth, item.sigma, batch.network)
                depths[slots[name]] = np.where(batch.hidden[slots[name]], 0, found)
            return image

        images = dict(zip(present, pool.map(bring, present), strict=True))
        seen = {slots[n] for n, item in images.items() if isinstance(item, np.ndarray)}
        for slot in set(range(batch.capacity)) - seen:
            pixels[slot] = 0
        outputs = batch.session.run()

        def read(name: str) -> CameraResult | DepthPerceptionError:
            image = images[name]
            if isinstance(image, DepthPerceptionError):
                return image
            try:
                maps = {key: value[slots[name]] for key, value in outputs.items()}
                if depths is not None and (item := measured.get(name)) is not None:
                    maps["depth"] = with_measured_edges(maps["depth"], item, batch.network)
                return self._result(views[name], frames[name], image, maps, with_embodied)
            except DepthPerceptionError as error:
                return error

        return dict(zip(present, pool.map(read, present), strict=True))

    def _result(
        self,
        view: CameraView,
        frame: CameraFrame,
        image: NDArray[np.uint8],
        maps: Mapping[str, NDArray[np.float32]],
        with_embodied: bool,
    ) -> CameraResult:
        depth = maps["depth"].copy()  # the session's memory is written to by the next frame set
        depth[view.ego | np.isnan(view.rays[..., 0])] = np.nan
        if self._source is not None:
            segmentation = self._source.segment(view, frame, image)
        else:
            segmentation = Segmentation(_surface(view, depth, _enlarged(maps["road"], view.size)))
        confidence = _enlarged(maps["confidence"], view.size)
        confidence[~np.isfinite(depth)] = 0
        if with_embodied:
            embodied = embodied_of(view, segmentation, self._parameters.embodied).depth
        else:
            embodied = np.full_like(depth, np.nan)
        return CameraResult(
            stamp=frame.stamp,
            frame_id=view.source.frame_id,
            camera=view.camera,
            T_base_camera=view.T_base_camera,
            image=image,
            depth=depth,
            confidence=confidence,
            level=levels_of(depth, segmentation.surface),
            embodied=embodied,
            plane=view.plane,
            surface=segmentation.surface,
        )

    def _batch(self, size: Size, views: dict[str, CameraView], others: int) -> _Batch:
        """Return the batch of a size, with what it needs to know of these cameras."""
        batch = self._batches.get(size)
        if batch is None or not self._fits(batch, len(views), others):
            if batch is not None:
                batch.session.close()
                del self._batches[size]
            batch = self._new_batch(size, len(views), others)
        same = list(batch.views) == list(views) and all(
            batch.views[name] is view for name, view in views.items()
        )
        if not same:
            network = batch.network
            rays = np.zeros((batch.capacity, 3, network[1] // STRIDE, network[0] // STRIDE))
            cameras = np.zeros((batch.capacity, 5))
            cameras[:, 4] = 1.0  # the logarithm of an empty slot's focal length is a number
            batch.hidden = np.zeros((batch.capacity, *rays.shape[2:]), np.bool_)
            for slot, view in enumerate(views.values()):
                rays[slot] = network_rays(view.camera, network)
                cameras[slot] = view_camera(view, network)
                own = cv2.resize(
                    view.ego.astype(np.float32), rays.shape[:1:-1], interpolation=cv2.INTER_AREA
                )
                batch.hidden[slot] = (own > 0) | (rays[slot, 2] == 0)
            batch.session.set("rays", rays.astype(np.float32))
            batch.session.set("camera", cameras.astype(np.float32))
            batch.views = dict(views)
        return batch

    def _new_batch(self, size: Size, count: int, others: int) -> _Batch:
        network = network_size(size, self.width or usual_width(size))
        capacity = max(count, self._configured() - others)
        if self._fixed is not None:
            if size != self._fixed.image:
                raise ModelError(
                    f"model {self._model} is for images of {self._fixed.image}, these are {size}",
                    expected="the model's size",
                    fix="export it without --static",
                )
            if count > self._fixed.cameras:
                raise self._too_many(count)
            capacity, network = self._fixed.cameras, self._fixed.network
        batch = _Batch(self._make(capacity, size, network), capacity, network)
        self._batches[size] = batch
        self._provider = batch.session.provider
        self._warn_of_provider()
        batch.session.set("camera", np.ones((capacity, 5), np.float32))
        batch.session.run()  # warm-up: a device chooses its algorithms now
        return batch

    def _fits(self, batch: _Batch, count: int, others: int) -> bool:
        """Whether a batch has room enough, and no room that no camera will ever take."""
        if self._fixed is not None:
            return count <= batch.capacity
        complete = 0 < self._configured() <= count + others
        return count <= batch.capacity and not (complete and others and batch.capacity > count)

    def _warn_of_provider(self) -> None:
        asked = self._parameters.fused.providers
        warning = absent_provider(asked, self._provider, "fused.providers")
        if warning:
            self._log(warning)

    def _configured(self) -> int:
        """How many cameras the parameters name: they may appear one after the other."""
        named = self._parameters
        return max(len(named.cameras), len(named.image_topics), len(named.camera_info_topics))

    def _too_many(self, count: int) -> ModelError:
        cameras = 0 if self._fixed is None else self._fixed.cameras
        return ModelError(
            f"model {self._model} is for {cameras} cameras, the rig has {count}",
            expected=f"{cameras} cameras or fewer",
            fix=f"export it with --static --cameras {count}, or without --static",
        )


def _is_tensorrt(name: str) -> bool:
    """Whether ONNX Runtime has TensorRT here, and this is it."""
    full = provider_name(name)
    return full == PROVIDERS["tensorrt"] and bool(usable_providers([full]))


def levels_of(depth: NDArray[np.float32], surface: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`Level` of depth that a network made: road where it is, scene elsewhere."""
    level = np.where(surface == Surface.ROAD, np.uint8(Level.ROAD), np.uint8(Level.SCENE))
    level[is_unknown(depth)] = Level.UNKNOWN
    level[is_beyond(depth)] = Level.BEYOND
    return level


def _enlarged(values: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _surface(
    view: CameraView, depth: NDArray[np.float32], road: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """`Surface` by the network: road, sky, and what nobody is sure of."""
    surface = np.full(depth.shape, Surface.OTHER, np.uint8)
    surface[is_beyond(depth)] = Surface.SKY
    surface[road > ROAD] = Surface.ROAD
    surface[view.ego] = Surface.EGO
    return surface
