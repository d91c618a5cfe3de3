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

"""Where the road is, from whichever source is configured: a network, label images, or geometry.

In: one camera's working grid, its frame and its image. Out: `Surface` of each pixel of the grid.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import ConfigurationError, DepthPerceptionError, MessageError
from depth_perception.frames.frame_set import CameraFrame
from depth_perception.geometry.camera_view import CameraView
from depth_perception.geometry.depth_values import is_measured
from depth_perception.geometry.surface import Surface
from depth_perception.parameters import SegmentationParameters
from depth_perception.segmentation.classes import ClassMap, class_map
from depth_perception.segmentation.onnx_segmenter import OnnxSegmenter

Log = Callable[[str], None]

LABEL_TOLERANCE = 50_000_000
"""Label files within this time of an image belong to it, ns."""

CORRIDOR_HALF_WIDTH = 4.0
CORRIDOR_LENGTH = 30.0


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What each pixel of one camera's working grid shows.

    Attributes:
        surface: (h, w) uint8 `Surface` values, `Surface.EGO` on the vehicle's own body.
        instances: (h, w) ids that tell touching objects apart: connected pixels of one id belong
            to one object. None when only surfaces are known.
    """

    surface: NDArray[np.uint8]
    instances: NDArray[np.integer] | None = None


class SurfaceSource(Protocol):
    """Tells what each pixel shows. May be called from several threads.

    Attributes:
        name: ``onnx``, ``labels`` or ``geometric``.
        provider: What it runs on, for status messages.
    """

    name: str
    provider: str

    def segment(
        self, view: CameraView, frame: CameraFrame, image: NDArray[np.uint8]
    ) -> Segmentation:
        """Tell what each pixel of the working grid shows.

        Args:
            view: The camera's working grid of (h, w) pixels.
            frame: What arrived: stamp and labels.
            image: (h, w, 3) uint8 BGR, the image on the working grid.
        """


class OnnxSource:
    """A segmentation network; see `OnnxSegmenter`."""

    name = "onnx"

    def __init__(self, config_path: str | Path) -> None:
        """Load the network that a YAML file describes.

        Raises:
            ConfigurationError: The description is absent or impossible.
            ModelError: The model is absent, unreadable or not as described.
        """
        self.segmenter = OnnxSegmenter(config_path)
        self.provider = self.segmenter.provider

    def segment(
        self, view: CameraView, frame: CameraFrame, image: NDArray[np.uint8]
    ) -> Segmentation:
        """Segment the image on the working grid; see `SurfaceSource`."""
        return Segmentation(_with_ego(self.segmenter.segment(image), view))


class GeometricSource:
    """A fixed corridor along the vehicle, for when nothing tells where the road is.

    Pixels that see the ground plane within 4 m to either side and 30 m of the vehicle are called
    road; all others, those above the horizon too, are `Surface.OTHER`: it is neither known whether
    they are flat nor whether they stand, and a wall 6 m beside must not become a road.

    The road is assumed, not seen. Whatever stands in the corridor is called road too and so gets
    the depth of the ground behind its foot, farther than it is. That is fit for checking
    calibration and mounting, and for drives on an empty road; not for keeping clear of obstacles.
    """

    name = "geometric"
    provider = "geometry"

    def __init__(self, log: Log) -> None:
        """Set where the warning goes, which is given once, when the source is first used."""
        self._log = log
        self._lock = threading.Lock()
        self._warned = False

    def segment(
        self, view: CameraView, frame: CameraFrame, image: NDArray[np.uint8]
    ) -> Segmentation:
        """Return the corridor; see `SurfaceSource`."""
        with self._lock:
            warn, self._warned = not self._warned, True
        if warn:
            self._log(
                "No segmentation: the road is assumed, not seen. Everything within"
                f" {CORRIDOR_HALF_WIDTH:g} m beside and {CORRIDOR_LENGTH:g} m around the vehicle is"
                " taken for road, obstacles too. Fix: set segmentation.model,"
                " segmentation.labels_topic or segmentation.labels_folder"
            )
        return Segmentation(geometric_surface(view))


def geometric_surface(view: CameraView) -> NDArray[np.uint8]:
    """Return the corridor of `GeometricSource`: (h, w) uint8 `Surface`, own body included."""
    x, y = view.ground_xy[..., 0], view.ground_xy[..., 1]
    with np.errstate(invalid="ignore", over="ignore"):
        road = (np.abs(y) < CORRIDOR_HALF_WIDTH) & (x * x + y * y < CORRIDOR_LENGTH**2)
        road &= is_measured(view.plane)
    surface = np.where(road, np.uint8(Surface.ROAD), np.uint8(Surface.OTHER))
    return _with_ego(surface, view)


class LabelSource:
    """Label images: those that arrive with the frames, or files.

    Files are ``<folder>/<camera>/<stamp in ns>.png``, the nearest within 50 ms, or
    ``<folder>/<camera>.png`` for all stamps. Labels show the whole arriving image, at any size.
    Where there is no label image, the corridor of `GeometricSource` stands in, and is announced
    once for each camera.
    """

    name = "labels"
    provider = "labels"

    def __init__(self, classes: ClassMap, folder: str | Path | None, log: Log) -> None:
        """Set the meaning of the labels and where files are.

        Raises:
            ConfigurationError: The folder does not exist.
        """
        self._classes = classes
        self._folder = Path(folder) if folder else None
        if self._folder is not None and not self._folder.is_dir():
            raise ConfigurationError(
                f"segmentation.labels_folder: '{self._folder}' does not exist",
                expected="a folder with <camera>/<stamp in ns>.png or <camera>.png",
                fix="correct the path",
            )
        self._log = log
        self._lock = threading.Lock()
        self._stamps: dict[str, list[int]] = {}
        self._fixed: dict[str, NDArray[np.integer] | None] = {}
        self._warned: set[str] = set()

    def segment(
        self, view: CameraView, frame: CameraFrame, image: NDArray[np.uint8]
    ) -> Segmentation:
        """Return the labels on the working grid; see `SurfaceSource`."""
        camera = view.source.name
        try:
            found = self._labelled(camera, frame)
        except DepthPerceptionError as error:
            self._warn(camera, str(error))
            return Segmentation(geometric_surface(view))
        if found is None:
            self._warn(
                camera,
                f"{camera}: no label image at {frame.stamp}"
                + (f" on its topic or in '{self._folder}'" if self._folder else " on its topic"),
            )
            return Segmentation(geometric_surface(view))
        ids = view.labels(found)
        return Segmentation(_with_ego(self._classes.apply(ids), view), ids)

    def _labelled(self, camera: str, frame: CameraFrame) -> NDArray[np.integer] | None:
        """Return the label image of a frame at its own size, None without one."""
        if frame.labels is not None:
            return frame.labels
        if self._folder is None:
            return None
        path = self._file(camera, frame.stamp)
        if path is not None:
            return read_labels(path)
        with self._lock:
            if camera not in self._fixed:
                path = self._folder / f"{camera}.png"
                self._fixed[camera] = read_labels(path) if path.is_file() else None
            return self._fixed[camera]

    def _file(self, camera: str, stamp: int) -> Path | None:
        """Find the label file of the nearest stamp within the tolerance."""
        assert self._folder is not None
        with self._lock:
            if camera not in self._stamps:
                files = (self._folder / camera).glob("*.png")
                self._stamps[camera] = sorted(int(f.stem) for f in files if f.stem.isdecimal())
            stamps = self._stamps[camera]
        following = bisect_left(stamps, stamp)
        near = min(
            stamps[max(0, following - 1) : following + 1],
            key=lambda s: abs(s - stamp),
            default=None,
        )
        if near is None or abs(near - stamp) > LABEL_TOLERANCE:
            return None
        return self._folder / camera / f"{near}.png"

    def _warn(self, camera: str, problem: str) -> None:
        with self._lock:
            if camera in self._warned:
                return
            self._warned.add(camera)
        self._log(f"{problem}. The road of {camera} is assumed there, not seen")


def read_labels(path: Path) -> NDArray[np.integer]:
    """Read a label image: (h, w) class ids.

    Raises:
        MessageError: It is no picture, or holds colours.
    """
    labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if labels is None or labels.ndim != 2:
        raise MessageError(
            f"label image '{path}' " + ("is no picture" if labels is None else "holds colours"),
            expected="a PNG of one channel with a class id for each pixel",
            fix="write it as 8 or 16 bit grey, without a palette",
        )
    return np.asarray(labels)


def make_source(parameters: SegmentationParameters, log: Log) -> SurfaceSource:
    """Make the source that the parameters ask for.

    Args:
        parameters: ``auto`` is the network when ``model`` is set, else labels when a topic or a
            folder is set, else geometry.
        log: Receives warnings.

    Raises:
        ConfigurationError: The source that is asked for is not configured, or wrongly.
        ModelError: The network's model is absent, unreadable or not as described.
    """
    has_labels = bool(parameters.labels_folder or parameters.labels_topic)
    source = parameters.source
    if source == "auto":
        source = "onnx" if parameters.model else "labels" if has_labels else "geometric"
    if source == "onnx":
        if not parameters.model:
            raise ConfigurationError(
                "segmentation.source is onnx, segmentation.model is empty",
                expected="a YAML file that describes the network",
                fix="set segmentation.model, e.g. to config/segmentation/twinlitenet.yaml",
            )
        return OnnxSource(parameters.model)
    if source == "labels":
        if not has_labels:
            raise ConfigurationError(
                "segmentation.source is labels, neither labels_topic nor labels_folder is set",
                expected="one of them",
                fix="set segmentation.labels_topic or segmentation.labels_folder",
            )
        return LabelSource(class_map(parameters.classes), parameters.labels_folder or None, log)
    return GeometricSource(log)


def _with_ego(surface: NDArray[np.uint8], view: CameraView) -> NDArray[np.uint8]:
    """Mark the own body, whatever the source took it for."""
    # An output of a network may be a view of its memory, which is not ours to write.
    return np.where(view.ego, np.uint8(Surface.EGO), surface)
