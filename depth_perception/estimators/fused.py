"""The fused network as an estimator: all cameras in one pass, metric, with confidence and road.

Cameras whose working grids have the same size are one batch, in slots that stay theirs, so that
shapes never change: an absent camera's slot is black, and what comes out of it is left alone.
What the network is told of a camera is uploaded when the rig changes, not with every frame set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import DepthPerceptionError, ModelError
from depth_perception.geometry.camera_view import CameraView
from depth_perception.geometry.surface import Surface
from depth_perception.inference.bound_session import FixedSession
from depth_perception.inference.model_file import FusedModel, read_fused_model
from depth_perception.inference.onnx_session import CPU, OnnxSession, default_providers
from depth_perception.parameters import Parameters
from depth_perception.resources import WEIGHTS_FIX, weights_file
from depth_perception.segmentation.sources import Segmentation, SurfaceSource

from .embodied import embodied_of
from .estimator import CameraEstimate, Scene, levels_of
from .network_inputs import MULTIPLE, STRIDE, network_camera, network_rays, network_size

ROAD = 0.5
"""A pixel is road when the network says so with more than this probability."""
_ALMOST = 0.06
"""A working grid whose aspect differs from the network's by less takes on the network's size."""
_CHECKPOINT = ".pt"
_WIDTH = 512
"""Of the network's images, px, where the parameters leave it open: at that the shipped weights are
most accurate on the whole (docs/inference.md)."""
Size = tuple[int, int]
MakeSession = Callable[[int, Size, Size], FixedSession]
"""Makes a session from number of cameras, (width, height) of the grid and of the network."""


@dataclass
class _Batch:
    """Cameras of one size: a session and what was uploaded to it."""

    session: FixedSession
    capacity: int
    views: dict[str, CameraView] = field(default_factory=dict)


class FusedEstimator:
    """See `Estimator`.

    Attributes:
        width: Of the network's images, px.
    """

    name = "fused"

    def __init__(
        self, parameters: Parameters, source: SurfaceSource | None,
        make_session: MakeSession | None = None,
    ) -> None:  # fmt: skip
        """Check the model's file and load it once.

        Args:
            parameters: All parameters.
            source: Where the road is; None: the network says it.
            make_session: Instead of that of the parameters' model.

        Raises:
            ModelError: The model is absent, damaged or of another kind, or runs on the CPU though
                a GPU is required.
            ConfigurationError: A provider that nobody knows.
        """
        self._parameters = parameters
        self._source = source
        self._batches: dict[Size, _Batch] = {}
        self._model = ""
        # What cannot be loaded is to be known now, not with the first frame set.
        gpu = (parameters.fused.providers or default_providers())[0] != "cpu"
        self._make = make_session or self._session_maker(gpu)
        self._provider = self._tried()
        if gpu and not make_session and not parameters.fused.model and self._provider == CPU:
            # ONNX Runtime could use a GPU, and there is none: the larger network is not for a CPU.
            self._make = self._session_maker(False)
            self._provider = self._tried()
        self.width = parameters.fused.width or _WIDTH

    @property
    def provider(self) -> str:
        """What the network runs on."""
        return self._provider

    @property
    def model(self) -> str:
        """Size and precision of the network, and its file."""
        return self._model

    def grid(self, size: Size) -> Size:
        """Return a size that the network can look at, where one is nearly ``size``.

        As wide as ``size``, whatever the network's own width: depth images are of one size on every
        machine. Where the network is as wide, images are resized once, and depth need not be.
        """
        if not self._parameters.output.image_width:
            return size  # the source's own pixels are asked for
        wanted = network_size(size, size[0])
        fits = wanted[0] == size[0] and abs(wanted[1] / size[1] - 1) < _ALMOST
        return wanted if fits else size

    def estimate(self, scene: Scene) -> dict[str, CameraEstimate | DepthPerceptionError]:
        """Compute all cameras; see `Estimator`."""
        groups: dict[Size, dict[str, CameraView]] = {}
        for name, view in scene.views.items():
            groups.setdefault(view.size, {})[name] = view
        for size in self._batches.keys() - groups.keys():
            self._batches.pop(size).session.close()
        found: dict[str, CameraEstimate | DepthPerceptionError] = {}
        for size, views in groups.items():
            if any(name in scene.frames for name in views):
                found.update(self._group(size, views, scene))
        return {name: found[name] for name in scene.views if name in found}

    def set_parameters(self, parameters: Parameters) -> None:
        """Take other live parameters."""
        self._parameters = parameters

    def close(self) -> None:
        """Give back memory, the device's too."""
        for batch in self._batches.values():
            batch.session.close()
        self._batches.clear()

    def _group(
        self, size: Size, views: dict[str, CameraView], scene: Scene
    ) -> Mapping[str, CameraEstimate | DepthPerceptionError]:
        batch = self._batch(size, views)
        slots = {name: slot for slot, name in enumerate(views)}
        present = [name for name in views if name in scene.frames]
        pixels = batch.session.buffer("image")

        def bring(name: str) -> NDArray[np.uint8]:
            image = views[name].image(scene.frames[name].image)
            pixels[slots[name]] = image
            return image

        images = dict(zip(present, scene.pool.map(bring, present), strict=True))
        for slot in range(batch.capacity):
            if slot >= len(views) or list(views)[slot] not in images:
                pixels[slot] = 0
        outputs = batch.session.run()

        def read(name: str) -> CameraEstimate | DepthPerceptionError:
            try:
                maps = {key: value[slots[name]] for key, value in outputs.items()}
                return self._estimate(views[name], scene, name, images[name], maps)
            except DepthPerceptionError as error:
                return error

        return dict(zip(present, scene.pool.map(read, present), strict=True))

    def _estimate(
        self, view: CameraView, scene: Scene, name: str, image: NDArray[np.uint8],
        maps: Mapping[str, NDArray[np.float32]],
    ) -> CameraEstimate:  # fmt: skip
        depth = maps["depth"].copy()  # the session's memory is written to by the next frame set
        depth[view.ego | np.isnan(view.rays[..., 0])] = np.nan
        if self._source is not None:
            segmentation = self._source.segment(view, scene.frames[name], image)
        else:
            segmentation = Segmentation(_surface(view, depth, _enlarged(maps["road"], view.size)))
        confidence = _enlarged(maps["confidence"], view.size)
        confidence[~np.isfinite(depth)] = 0
        if scene.with_embodied:
            embodied = embodied_of(view, segmentation, self._parameters.embodied).depth
        else:
            embodied = np.full_like(depth, np.nan)
        level = levels_of(depth, segmentation.surface)
        return CameraEstimate(image, depth, confidence, level, embodied, segmentation.surface)

    def _batch(self, size: Size, views: dict[str, CameraView]) -> _Batch:
        """Return the batch of a size, with what it needs to know of these cameras."""
        network = network_size(size, self.width)
        batch = self._batches.get(size)
        if batch is None or batch.capacity < len(views):
            if batch is not None:
                batch.session.close()
                del self._batches[size]
            batch = _Batch(self._make(len(views), size, network), len(views))
            self._batches[size] = batch
            batch.session.set("camera", np.ones((batch.capacity, 5), np.float32))
            batch.session.run()  # warm-up: a device chooses its algorithms now
        same = list(batch.views) == list(views) and all(
            batch.views[name] is view for name, view in views.items()
        )
        if not same:
            rays = np.zeros((batch.capacity, 3, network[1] // STRIDE, network[0] // STRIDE))
            cameras = np.zeros((batch.capacity, 5))
            cameras[:, 4] = 1.0  # the logarithm of an empty slot's focal length is a number
            for slot, view in enumerate(views.values()):
                rays[slot] = network_rays(view.camera, network)
                cameras[slot] = network_camera(view, network)
            batch.session.set("rays", rays.astype(np.float32))
            batch.session.set("camera", cameras.astype(np.float32))
            batch.views = dict(views)
        return batch

    def _tried(self) -> str:
        """Load the network for one small camera, run it, and return what it ran on."""
        small = self._make(1, (MULTIPLE, MULTIPLE), (MULTIPLE, MULTIPLE))
        small.set("camera", np.ones((1, 5), np.float32))
        small.run()
        small.close()
        return small.provider

    def _session_maker(self, gpu: bool) -> MakeSession:
        """Find the model that the parameters name, or the package's, and how it is run."""
        settings = self._parameters.fused
        providers = settings.providers or default_providers()
        path = Path(settings.model) if settings.model else weights_file(gpu)
        if path.suffix == _CHECKPOINT:
            self._model = path.name
            return lambda count, size, network: _torch_session(
                path, _shapes(count, size, network), settings.require_gpu
            )
        try:
            info = read_fused_model(path)
        except ModelError as error:
            fix = f"{error.fix}, or set estimator: embodied" if settings.model else WEIGHTS_FIX
            raise ModelError(error.problem, expected=error.expected, fix=fix) from None
        if info.output != "depth":
            raise ModelError(
                f"model '{path}' gives {info.output}", expected="depth",
                fix="use it with estimator relative",
            )  # fmt: skip
        self._model = f"{info.name} ({path.name})"

        def make(count: int, size: Size, network: Size) -> FixedSession:
            axes = _axes(info, count, size, network)
            session = OnnxSession(
                path, providers, settings.require_gpu, axes=axes,
                cache=settings.tensorrt_cache or None,
            )  # fmt: skip
            return session.bind(_shapes(count, size, network))

        return make


def _torch_session(path: Path, shapes: Mapping[str, Any], require_gpu: bool) -> FixedSession:
    from depth_perception.inference.torch_session import TorchSession

    return TorchSession(path, shapes, require_gpu=require_gpu)


def _axes(info: FusedModel, count: int, size: Size, network: Size) -> dict[str, int]:
    """Sizes of the axes that the file leaves open."""
    if info.cameras is not None:
        return {}
    return {
        "cameras": count, "image_height": size[1], "image_width": size[0],
        "rows": network[1] // STRIDE, "columns": network[0] // STRIDE,
    }  # fmt: skip


def _shapes(count: int, size: Size, network: Size) -> dict[str, tuple[int, ...]]:
    rows, columns = network[1] // STRIDE, network[0] // STRIDE
    return {
        "image": (count, size[1], size[0], 3), "rays": (count, 3, rows, columns),
        "camera": (count, 5), "depth": (count, size[1], size[0]),
        "confidence": (count, rows, columns), "road": (count, rows, columns),
    }  # fmt: skip


def _enlarged(values: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _surface(
    view: CameraView, depth: NDArray[np.float32], road: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """`Surface` by the network: road, sky, and what nobody is sure of."""
    surface = np.full(depth.shape, Surface.OTHER, np.uint8)
    surface[np.isposinf(depth)] = Surface.SKY
    surface[road > ROAD] = Surface.ROAD
    surface[view.ego] = Surface.EGO
    return surface
