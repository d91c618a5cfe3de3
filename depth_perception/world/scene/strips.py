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

"""Strips along the road that part its carriageways: medians, islands and beds of rails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

GAUGE = 1.435
"""Between the rails of a track, m."""


@dataclass(frozen=True)
class Strip:
    """A raised strip along the road, within the outermost kerbs.

    Attributes:
        upper: t of its left face, m.
        lower: t of its right face, m.
        height: Above the carriageway, m.
        kind: "island", or "rails" for a bed of its own for trams or trains.
    """

    upper: float
    lower: float
    height: float
    kind: str = "island"

    @property
    def side(self) -> int:
        """+1 when all of it is left of the spine, -1 right of it, 0 when it is in the middle."""
        return int(self.lower > 0.0) - int(self.upper < 0.0)

    @property
    def middle(self) -> float:
        """The t of its middle, m."""
        return (self.upper + self.lower) / 2.0

    @property
    def tracks(self) -> tuple[float, ...]:
        """Values of t of the tracks' middles: two where there is room, none on an island."""
        if self.kind != "rails":
            return ()
        if self.upper - self.lower < 5.6:
            return (self.middle,)
        return (self.middle - 1.6, self.middle + 1.6)

    def rise(self, t: ArrayLike, run: float) -> NDArray[np.float64]:
        """How far it rises above the carriageway at t; its faces lean back by `run` m."""
        inside = np.minimum(self.upper - np.asarray(t, float), np.asarray(t, float) - self.lower)
        return np.clip((inside + run) / run, 0.0, 1.0) * self.height
