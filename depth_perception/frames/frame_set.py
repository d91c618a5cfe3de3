"""Frame sets: one image per camera, nearest in time, maybe with cameras missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class CameraFrame:
    """One decoded image of one camera.

    Attributes:
        stamp: Time of capture, nanoseconds.
        image: (height, width, 3) uint8, BGR.
        labels: (h, w) class ids of a label image of the same field of view, of any size; None
            without one.
    """

    stamp: int
    image: NDArray[np.uint8]
    labels: NDArray[np.integer] | None = None


@dataclass(frozen=True, eq=False)
class FrameSet:
    """The images of all cameras at about one instant.

    Attributes:
        stamp: Time of the set, nanoseconds: its earliest image.
        frames: By camera name; absent cameras are not in it.
        missing: Why each absent camera is absent.
    """

    stamp: int
    frames: Mapping[str, CameraFrame]
    missing: Mapping[str, str] = field(default_factory=dict)
