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
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import DepthPerceptionError, ModelError
from depth_perception.estimators.embodied import embodied_of
from depth_perception.estimators.estimator import Measurement, PastResults
from depth_perception.estimators.fused_loops import finish
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
_SURFACES = tuple(
    np.uint8(kind) for kind in (Surface.OTHER, Surface.SKY, Surface.ROAD, Surface.EGO)
)
_LEVELS = tuple(np.uint8(level) for level in (Level.SCENE, Level.ROAD, Level.UNKNOWN, Level.BEYOND))
_USUAL_RATE_HZ = 10.0
"""Frame sets a second that cameras deliver as a rule."""
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
        blind: (H, W) by camera, the same on its working grid.
    """

    session: FixedSession
    capacity: int
    network: Size
    views: dict[str, CameraView] = field(default_factory=dict)
    hidden: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0, 0), np.bool_))
    blind: dict[str, NDArray[np.bool_]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Given:
    """What is known of one frame set; see `Estimator.estimate`.

    Attributes:
        frames: Images by camera.
        pool: Threads.
        with_embodied: See there.
        measured: See there.
        past: Results of past images; None: each camera is computed.
        due: Cameras that are computed anew.
    """

    frames: Mapping[str, CameraFrame]
    pool: Executor
    with_embodied: bool
    measured: Mapping[str, Measurement]
    past: PastResults | None
    due: frozenset[str]


def _bring(batch: _Batch, given: _Given, name: str) -> NDArray[np.uint8] | DepthPerceptionError:
    """Put a camera's image, and what is measured of it, where the network reads them."""
    slot = list(batch.views).index(name)
    try:
        image = given.frames[name].on_grid(batch.views[name])
    except DepthPerceptionError as error:
        return error
    batch.session.buffer("image")[slot] = image
    if MEASURED in batch.session.inputs:
        depths = batch.session.buffer(MEASURED)[slot]
        item = given.measured.get(name)
        if item is None:
            depths[:] = 0
        else:
            found = network_measured(item.inverse_depth, item.sigma, batch.network)
            depths[:] = np.where(batch.hidden[slot], 0, found)
    return image


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
        past: PastResults | None = None,
    ) -> dict[str, CameraResult | DepthPerceptionError]:
        """Compute all cameras; see `Estimator`."""
        with self._lock:
            if self._closed:
                raise ModelError("the estimator is closed", fix="make another")
            # A GPU looks at all cameras in the time that it takes to look at one.
            turns = past if self._apart else None
            names = [name for name in views if name in frames]
            due = frozenset(names if turns is None else turns.due(names, pool))
            given = _Given(frames, pool, with_embodied, measured or {}, turns, due)
            return self._estimates(views, given)

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

    @property
    def _apart(self) -> bool:
        """Whether each camera runs by itself: on a CPU, unless the file is of one rig."""
        return self._provider == CPU and self._fixed is None

    def _estimates(
        self, views: Mapping[str, CameraView], given: _Given
    ) -> dict[str, CameraResult | DepthPerceptionError]:
        groups: dict[Size, dict[str, CameraView]] = {}
        for name, view in views.items():
            groups.setdefault(view.size, {})[name] = view
        for size in self._batches.keys() - groups.keys():
            self._batches.pop(size).session.close()
        found: dict[str, CameraResult | DepthPerceptionError] = {}
        for size, group in groups.items():
            if any(name in given.frames for name in group):
                batch = self._batch(size, group, others=len(views) - len(group))
                run = self._run_apart if batch.session.separate else self._run_batch
                found.update(run(batch, given))
        return {name: found[name] for name in views if name in found}

    def _run_batch(
        self, batch: _Batch, given: _Given
    ) -> Mapping[str, CameraResult | DepthPerceptionError]:
        """Compute the cameras of one size in one pass."""
        present = [name for name in batch.views if name in given.frames]
        images = dict(
            zip(
                present, given.pool.map(lambda name: _bring(batch, given, name), present),
                strict=True,
            )
        )  # fmt: skip
        slots = {name: slot for slot, name in enumerate(batch.views)}
        seen = {slots[n] for n, item in images.items() if isinstance(item, np.ndarray)}
        pixels = batch.session.buffer("image")
        for slot in set(range(batch.capacity)) - seen:
            pixels[slot] = 0
        outputs = batch.session.run()

        def read(name: str) -> CameraResult | DepthPerceptionError:
            return self._read(batch, given, name, images[name], outputs)

        return dict(zip(present, given.pool.map(read, present), strict=True))

    def _run_apart(
        self, batch: _Batch, given: _Given
    ) -> Mapping[str, CameraResult | DepthPerceptionError]:
        """Compute the cameras of one size side by side, and carry along those that are not due."""
        slots = {name: slot for slot, name in enumerate(batch.views)}

        def look(name: str) -> CameraResult | DepthPerceptionError:
            if name not in given.due:
                return self._carried(batch, given, name)
            image = _bring(batch, given, name)
            if isinstance(image, DepthPerceptionError):
                return image
            try:
                outputs = batch.session.run(slots[name])
            except DepthPerceptionError as error:
                return error
            return self._read(batch, given, name, image, outputs)

        present = [name for name in batch.views if name in given.frames]
        # Those that take long first, so that no thread is left with one at the end.
        order = sorted(present, key=lambda name: name not in given.due)
        found = dict(zip(order, given.pool.map(look, order), strict=True))
        return {name: found[name] for name in present}

    def _carried(
        self, batch: _Batch, given: _Given, name: str
    ) -> CameraResult | DepthPerceptionError:
        """Return a camera's past result as it is seen now."""
        view = batch.views[name]
        past = None if given.past is None else given.past.carried(name, view.size)
        if past is None:
            return ModelError(
                "it waits for its turn, as frame sets are left out",
                fix="a faster computer, fewer cameras, or smaller images",
            )
        maps = {"depth": past.depth, "confidence": past.confidence, "road": past.road}
        try:
            image = given.frames[name].on_grid(view)
            result = self._result(view, given.frames[name], image, maps, given.with_embodied)
            return replace(result, carried=True)
        except DepthPerceptionError as error:
            return error

    def _read(
        self,
        batch: _Batch,
        given: _Given,
        name: str,
        image: NDArray[np.uint8] | DepthPerceptionError,
        outputs: Mapping[str, NDArray[np.float32]],
    ) -> CameraResult | DepthPerceptionError:
        """Make a result of what the network said of a camera."""
        if isinstance(image, DepthPerceptionError):
            return image
        slot = list(batch.views).index(name)
        maps = {key: value[slot] for key, value in outputs.items()}
        item = given.measured.get(name)
        try:
            if MEASURED in batch.session.inputs and item is not None:
                maps["depth"] = with_measured_edges(maps["depth"], item, batch.network)
            if given.past is not None:
                given.past.keep(name, maps["depth"], maps["confidence"], maps["road"])
            view, frame = batch.views[name], given.frames[name]
            return self._result(view, frame, image, maps, given.with_embodied)
        except DepthPerceptionError as error:
            return error

    def _result(
        self,
        view: CameraView,
        frame: CameraFrame,
        image: NDArray[np.uint8],
        maps: Mapping[str, NDArray[np.float32]],
        with_embodied: bool,
    ) -> CameraResult:
        depth = maps["depth"].copy()  # the session's memory is written to by the next frame set
        confidence = _enlarged(maps["confidence"], view.size)
        surface, level = np.empty(depth.shape, np.uint8), np.empty(depth.shape, np.uint8)
        blind = self._batches[view.size].blind[view.source.name]
        road = _enlarged(maps["road"], view.size)
        maps_of = (depth, confidence, road, blind, view.ego)
        finish(*maps_of, np.float32(ROAD), _SURFACES, _LEVELS, surface, level)
        if self._source is None:
            segmentation = Segmentation(surface)
        else:
            segmentation = self._source.segment(view, frame, image)
            level = levels_of(depth, segmentation.surface)
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
            level=level,
            embodied=embodied,
            ground=view.ground,
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
        network = batch.network
        if not _same_cameras(batch.views, views):
            rays = np.zeros((batch.capacity, 3, network[1] // STRIDE, network[0] // STRIDE))
            batch.hidden = np.zeros((batch.capacity, *rays.shape[2:]), np.bool_)
            batch.blind = {n: v.ego | np.isnan(v.rays[..., 0]) for n, v in views.items()}
            for slot, view in enumerate(views.values()):
                rays[slot] = network_rays(view.camera, network)
                own = cv2.resize(
                    view.ego.astype(np.float32), rays.shape[:1:-1], interpolation=cv2.INTER_AREA
                )
                batch.hidden[slot] = (own > 0) | (rays[slot, 2] == 0)
            batch.session.set("rays", rays.astype(np.float32))
            if MEASURED in batch.session.inputs:
                batch.session.buffer(MEASURED)[:] = 0
        cameras = np.zeros((batch.capacity, 5))
        cameras[:, 4] = 1.0  # the logarithm of an empty slot's focal length is a number
        for slot, view in enumerate(views.values()):
            cameras[slot] = view_camera(view, network)
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
        at_once = None
        if self._apart:
            rate, count = self._parameters.fused.rate, max(1, capacity + others)
            at_once = min(count, max(1, round(rate / _USUAL_RATE_HZ))) if rate > 0 else count
        batch = _Batch(self._make(capacity, size, network, at_once), capacity, network)
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


def _same_cameras(before: Mapping[str, CameraView], now: Mapping[str, CameraView]) -> bool:
    """Tell whether views are of the same cameras, over whatever ground."""
    return list(before) == list(now) and all(
        before[name].camera is view.camera and before[name].ego is view.ego
        for name, view in now.items()
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
