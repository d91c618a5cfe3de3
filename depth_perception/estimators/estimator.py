"""What an estimator is: all cameras of a frame set in, depth of each out."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import DepthPerceptionError, MessageError
from depth_perception.frames.frame_set import CameraFrame
from depth_perception.geometry.camera_view import CameraView
from depth_perception.geometry.depth_values import is_beyond, is_unknown
from depth_perception.geometry.embodied_depth import Level
from depth_perception.geometry.surface import Surface
from depth_perception.parameters import Parameters


@dataclass(frozen=True, eq=False)
class CameraEstimate:
    """Depth of one camera on its working grid of (h, w) pixels.

    Attributes:
        image: (h, w, 3) uint8 BGR, the image on the grid.
        depth: (h, w) float32, m along the optical axis; NaN unknown, +Inf beyond range.
        confidence: (h, w) float32, 0 to 1: probability that depth is right to 10 %.
        level: (h, w) uint8, `Level`.
        embodied: (h, w) float32, embodied depth alone.
        surface: (h, w) uint8, `Surface`.
    """

    image: NDArray[np.uint8]
    depth: NDArray[np.float32]
    confidence: NDArray[np.float32]
    level: NDArray[np.uint8]
    embodied: NDArray[np.float32]
    surface: NDArray[np.uint8]


@dataclass(frozen=True)
class EstimatorInput:
    """One frame set, ready for an estimator.

    Attributes:
        views: Working grids of all cameras of the rig whose calibration is good, in the rig's
            order, also of those without an image.
        frames: Images of those cameras that have one.
        pool: Threads for work camera by camera.
        with_embodied: Whether somebody looks at embodied depth beside an estimator's own; without,
            `CameraEstimate.embodied` may be NaN.
    """

    views: Mapping[str, CameraView]
    frames: Mapping[str, CameraFrame]
    pool: Executor
    with_embodied: bool = True


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

    def estimate(self, inputs: EstimatorInput) -> dict[str, CameraEstimate | DepthPerceptionError]:
        """Compute each camera that has an image; an error concerns its camera alone.

        Raises:
            DepthPerceptionError: None of them can be computed.
        """

    def set_parameters(self, parameters: Parameters) -> None:
        """Take other live parameters."""

    def close(self) -> None:
        """Give back memory, the device's too."""


def image_on_grid(view: CameraView, frame: CameraFrame) -> NDArray[np.uint8]:
    """A camera's image on its working grid.

    Raises:
        MessageError: It is no BGR image.
    """
    shape, kind = frame.image.shape, frame.image.dtype
    if len(shape) != 3 or shape[2] != 3 or min(shape) < 1 or kind != np.uint8:
        raise MessageError(
            f"an image of the shape {list(shape)}, {kind}",
            expected="(height, width, 3), uint8, in BGR",
            fix="convert it before",
        )
    return view.image(frame.image)


def levels_of(depth: NDArray[np.float32], surface: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`Level` of depth that a network made: road where it is, scene elsewhere."""
    level = np.where(surface == Surface.ROAD, np.uint8(Level.ROAD), np.uint8(Level.SCENE))
    level[is_unknown(depth)] = Level.UNKNOWN
    level[is_beyond(depth)] = Level.BEYOND
    return level
