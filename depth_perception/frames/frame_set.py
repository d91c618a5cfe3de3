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

"""Frame sets: what all cameras saw at about one instant, as messages first and as arrays then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from depth_perception.geometry.camera_view import CameraView
    from depth_perception.geometry.rig import RigCamera

Frame = TypeVar("Frame")


@dataclass(frozen=True, eq=False)
class CameraMessages:
    """One image of one camera as it arrived, with the messages that belong to it.

    Attributes:
        stamp: Time of capture, nanoseconds.
        image: The ``Image`` or ``CompressedImage``.
        info: The camera's ``CameraInfo`` when the image joined its frame set.
        labels: The label image of the same stamp, or None.
    """

    stamp: int
    image: Any
    info: Any
    labels: Any = None


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
    _on_grid: dict[tuple[int, int], tuple[RigCamera, NDArray[np.uint8]]] = field(
        default_factory=dict, repr=False
    )

    def on_grid(self, view: CameraView) -> NDArray[np.uint8]:
        """Return the image on a working grid, see `CameraView.image`; made once for all who ask.

        Raises:
            MessageError: It is no image.
        """
        known = self._on_grid.get(view.size)
        if known is None or known[0] is not view.source:
            known = self._on_grid[view.size] = (view.source, view.image(self.image))
        return known[1]


@dataclass(frozen=True, eq=False)
class FrameSet(Generic[Frame]):
    """What all cameras saw at about one instant.

    The assembler makes sets of what it is given, `Ingest.decode` turns sets of `CameraMessages`
    into sets of `CameraFrame`.

    Attributes:
        stamp: Time of the set, nanoseconds: its earliest image.
        frames: By camera name, in the order of the cameras; absent cameras are not in it.
        missing: Why each absent camera is absent.
        latencies: Seconds by stage so far, in order; whoever carries the set on adds its own.
        period: Seconds since the set before it, which may have been left out; None: not known, all
            sets are computed.
        effort: Share of the work that may be put off which is to be done, 0 to 1; below 1 where a
            computer does not keep pace.
    """

    stamp: int
    frames: Mapping[str, Frame]
    missing: Mapping[str, str] = field(default_factory=dict)
    latencies: dict[str, float] = field(default_factory=dict)
    period: float | None = None
    effort: float = 1.0

    @property
    def complete(self) -> bool:
        """True when every camera is present."""
        return not self.missing
