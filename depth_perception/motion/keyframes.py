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

"""The past images that matching needs: few, bounded, chosen by how far the vehicle has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.transforms import Matrix, inverse

SPACING_M = 0.12
"""A set becomes a keyframe when the vehicle has come so far since the last one, m."""
KEPT = 20
"""Keyframes that are remembered."""
FARTHEST_M = 8.0
"""Beyond this way nothing is matched any more, m."""
BASELINES_M = (0.6, 1.5, 2.7)
"""Ways from the keyframes that are matched with to the present, m."""


@dataclass(frozen=True, eq=False)
class Keyframe:
    """One past set.

    Attributes:
        stamp: Of the set, ns.
        stamps: Of each camera's image, ns.
        census: (h, w) uint32 of each camera's matching image, at all sizes from the smallest.
        T_start_base: 4x4, the base frame then, in a frame that drifts: chained motions.
    """

    stamp: int
    stamps: Mapping[str, int]
    census: Mapping[str, tuple[NDArray[np.uint32], ...]]
    T_start_base: Matrix
    velocity: tuple[float, Matrix] | None = None
    """Seconds and motion (T_now_last) of the last step then."""


class Keyframes:
    """A bounded memory of keyframes, in the order of time."""

    def __init__(self, scale: float = 1.0) -> None:
        """Begin with none.

        Args:
            scale: Of all ways: smaller for cameras near to the road, which changes fast for them.
        """
        self._frames: list[Keyframe] = []
        self.scale = scale

    def __len__(self) -> int:
        """Count them."""
        return len(self._frames)

    @property
    def stamps(self) -> list[int]:
        """Stamps of all images that are remembered, ns."""
        return [stamp for frame in self._frames for stamp in frame.stamps.values()]

    def clear(self) -> None:
        """Forget all."""
        self._frames.clear()

    def rescale(self, factor: float) -> None:
        """Take all ways to be longer by a factor."""
        for k, frame in enumerate(self._frames):
            T = frame.T_start_base.copy()
            T[:3, 3] *= factor
            self._frames[k] = replace(frame, T_start_base=T)

    def add(self, frame: Keyframe) -> None:
        """Remember a set, if the vehicle has come far enough since the last; drop the oldest."""
        if self._frames:
            last = self._frames[-1]
            way = inverse(last.T_start_base) @ frame.T_start_base
            same = last.census.keys() >= frame.census.keys()
            if same and np.linalg.norm(way[:3, 3]) < SPACING_M * self.scale:
                return
        self._frames.append(frame)
        del self._frames[:-KEPT]

    def choose(self, T_start_now: Matrix) -> list[Keyframe]:
        """Return the keyframes whose ways to the present come nearest to `BASELINES_M`.

        Args:
            T_start_now: 4x4, the base frame at present.
        """
        ways = {}
        for frame in self._frames:
            way = float(np.linalg.norm((inverse(frame.T_start_base) @ T_start_now)[:3, 3]))
            if SPACING_M / 2 * self.scale < way < FARTHEST_M:
                ways[frame.stamp] = (way, frame)
        chosen: dict[int, Keyframe] = {}
        for wanted in BASELINES_M:
            left = [item for stamp, item in ways.items() if stamp not in chosen]
            if not left:
                break
            aim = wanted * self.scale
            # Twice too long is as far off as half as long.
            way, frame = min(left, key=lambda item: abs(np.log(item[0] / aim)))
            chosen[frame.stamp] = frame
        return list(chosen.values())
