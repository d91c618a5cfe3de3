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

"""Results between two looks of the network: what it said a moment ago, seen from here.

A network costs many times what it costs to move what it said along with the vehicle. So where many
cameras send many images a second, each is looked at in its turn; between, its result is carried
along: what stands still by the vehicle's own motion, what drives along beside or ahead in its
place, as the present image shows which is which.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.transforms import inverse
from depth_perception.motion import propagation_loops as loops
from depth_perception.motion.ego_motion import EgoMotion, stretched
from depth_perception.motion.keyframes import Keyframe
from depth_perception.motion.propagation import (
    AROUND,
    MOST_BITS,
    ONE_SURFACE,
    MatchingTurns,
    Pace,
    seen_again,
)
from depth_perception.motion.surround_matching import MotionCamera

MOVES_ALONG_BITS = 4
"""In its place fewer bits must differ than by the way, before something is thought to move."""
STAYS_BITS = 6
"""Of 24; so few differ where what is not known otherwise is still what it was."""
WEAR_S = 20.0
"""A camera of whose result nothing is left comes as much earlier to its turn, s: of two the one
comes first in which more has changed, whoever has waited longer, up to the longest wait."""
FRESH_S = 0.25
"""A camera that was just matched comes as much earlier to its turn, s: the network then is told
what was measured now, and nobody asks for what was measured before."""
FILLED = 0.5
"""Confidence in what is filled in, as a share of that beside it."""
_FARTHEST, _BEYOND = 1e-5, 1 / 200
"""Inverse depth of what is beyond all range, 1/m: it turns with the vehicle, and no more; and the
one below which something is."""
_AROUND_SHARES = (8, 32, 128)
"""What is around is looked for in images that are so many times as small, the next one where there
is nothing."""


class CarriedResult(NamedTuple):
    """A past result as the present image sees it, all (H, W) float32.

    Attributes:
        depth: m; NaN unknown, +Inf beyond range.
        confidence: 0 to 1.
        road: Probability of the road.
    """

    depth: NDArray[np.float32]
    confidence: NDArray[np.float32]
    road: NDArray[np.float32]


class _Seen(NamedTuple):
    """Where the present image shows a past result, all (h, w) on the matching grid.

    Attributes:
        inverse_depth: float32, 1/m; NaN where nothing is known.
        places: int32, the pixel in the past; see `propagation_loops.read_back`.
        by_way: uint8, bits that differ there around a pixel.
        in_place: uint8, bits that differ from the past in the very place.
    """

    inverse_depth: NDArray[np.float32]
    places: NDArray[np.int32]
    by_way: NDArray[np.uint8]
    in_place: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class _Kept:
    """What a network said of an image, on the matching grid, and where that was."""

    inverse_depth: NDArray[np.float32]
    confidence: NDArray[np.float32]
    road: NDArray[np.float32]
    keyframe: Keyframe


class ResultPropagation:
    """Says whose turn it is, keeps what came of it, and carries it along; see `Propagation`."""

    def __init__(self, ego: EgoMotion, rate: float) -> None:
        """Begin with nothing kept.

        Args:
            ego: The vehicle's motion.
            rate: Cameras that are looked at in a second, all together, 1/s; 0: all of each set.
        """
        self._ego = ego
        self._turns = MatchingTurns(rate)
        self._kept: dict[str, _Kept] = {}
        self._seen: dict[str, _Seen] = {}
        self._cameras: Mapping[str, MotionCamera] = {}
        self._now: tuple[int, Mapping[str, int]] = (0, {})
        self._pace = Pace(0.0)
        self._factor = 1.0
        self._ground = GroundPlane()
        self._fresh: frozenset[str] = frozenset()

    def forget(self) -> None:
        """Forget what was kept: the way from there to here is not known."""
        self._kept.clear()
        self._seen.clear()
        self._turns.reset()

    def advance(
        self,
        cameras: Mapping[str, MotionCamera],
        now: tuple[int, Mapping[str, int]],
        pace: Pace,
        factor: float,
        ground: GroundPlane,
        fresh: Iterable[str],
    ) -> None:
        """Take what is known of the present set.

        Args:
            cameras: By name, with the present images.
            now: Stamp of the set, ns, and of each camera's image.
            pace: Of the sets.
            factor: By how much the way is longer than its source says.
            ground: The road in use.
            fresh: Cameras that were matched at this set: of them the most is known.
        """
        self._cameras, self._now, self._pace = cameras, now, pace
        self._factor, self._ground = factor, ground
        self._fresh = frozenset(fresh)
        self._seen.clear()
        oldest = now[0] - self._turns.longest(len(now[1])) * 1e9
        self._kept = {n: item for n, item in self._kept.items() if item.keyframe.stamp >= oldest}

    def due(self, names: Sequence[str], pool: Executor) -> list[str]:
        """Say which cameras the network is to look at now.

        Args:
            names: Cameras that have an image.
            pool: Threads to see past results from here, camera by camera.

        Returns:
            Those of whose last result the least is left in the present image come first, as many as
            the rate allows, in the order of ``names``.
        """
        there = [n for n in names if n in self._now[1] and self._fits(n)]
        if self._turns.all_due(len(names), self._pace.seconds):
            there = []  # nobody need be compared
        seen = pool.map(self._see, there)
        self._seen = {n: item for n, item in zip(there, seen, strict=True) if item is not None}
        last = {name: self._kept[name].keyframe.stamp - self._lead(name) for name in there}
        return self._turns.choose(last, names, *self._pace)

    def _lead(self, name: str) -> int:
        """Say how much earlier a camera comes to its turn, ns."""
        lead = FRESH_S * (name in self._fresh)
        if name in self._seen:
            lead += WEAR_S * self._wear(self._seen[name], self._cameras[name].mask)
        return round(1e9 * lead)

    @staticmethod
    def _wear(seen: _Seen, mask: NDArray[np.bool_]) -> float:
        """Tell of what share of an image the past result is out of sight, or of something else."""
        worn = np.minimum(seen.by_way, seen.in_place) > MOST_BITS
        return float(np.count_nonzero(worn & ~mask)) / max(1, int(np.count_nonzero(~mask)))

    def keep(
        self,
        name: str,
        depth: NDArray[np.float32],
        confidence: NDArray[np.float32],
        road: NDArray[np.float32],
    ) -> None:
        """Keep what the network said of a camera's present image.

        Args:
            name: The camera's.
            depth: (H, W) m; NaN unknown, +Inf beyond range.
            confidence: (h, w) on any grid of the same field, 0 to 1.
            road: (h, w) likewise, probability of the road.
        """
        camera = self._cameras.get(name)
        if camera is None or name not in self._now[1]:
            return
        size = (camera.grid.width, camera.grid.height)
        near = np.asarray(cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST_EXACT))
        with np.errstate(divide="ignore"):
            w = np.maximum(np.float32(1) / near, np.float32(_FARTHEST))
        census = {name: camera.census[-1:]}
        self._seen.pop(name, None)
        self._kept[name] = _Kept(
            w,
            np.asarray(cv2.resize(confidence, size, interpolation=cv2.INTER_LINEAR), np.float32),
            np.asarray(cv2.resize(road, size, interpolation=cv2.INTER_LINEAR), np.float32),
            Keyframe(
                self._now[0],
                {name: self._now[1][name]},
                census,
                self._ego.T_start_now,
                self._ego.step,
            ),
        )

    def carried(self, name: str, size: tuple[int, int]) -> CarriedResult | None:
        """See a camera's last result from where it is now.

        Args:
            name: The camera's.
            size: (W, H) of the result, px.

        Returns:
            None where nothing is kept, or the way from there is not known.
        """
        seen = self._seen.pop(name, None) or self._see(name)
        if seen is None:
            return None
        kept, camera = self._kept[name], self._cameras[name]
        C, rays = camera.view.T_base_camera, camera.rays
        w, places, by_way, in_place = seen
        height = max(float(self._ground.signed_distance(C[:3, 3])), 1e-3)
        down = (C[:3, :3].T @ self._ground.normal / -height).astype(np.float32)
        confidence, road = np.empty(w.shape, np.float32), np.empty(w.shape, np.float32)
        loops.take_results(
            w, places, kept.inverse_depth, kept.confidence, kept.road, by_way, in_place,
            MOVES_ALONG_BITS, STAYS_BITS, (confidence, road),
        )  # fmt: skip
        w = np.asarray(cv2.medianBlur(w, 3), np.float32)
        loops.fill(w, _around(w, w > 0), rays, down, np.float32(FILLED), confidence, road)
        found = CarriedResult(*(np.empty(size[::-1], np.float32) for _ in range(3)))
        loops.enlarge(
            w, confidence, road, np.float32(ONE_SURFACE), np.float32(_BEYOND), tuple(found)
        )
        return found

    def _see(self, name: str) -> _Seen | None:
        """See a camera's last result from where it is now; None where that is not known."""
        if name not in self._now[1] or not self._fits(name):
            return None
        kept, camera = self._kept[name], self._cameras[name]
        keyframe, C = kept.keyframe, camera.view.T_base_camera
        T_now_then = inverse(self._ego.T_start_now) @ keyframe.T_start_base
        own = self._ego.between_images(T_now_then, keyframe, name, self._now)
        T = inverse(C) @ stretched(own, self._factor) @ C
        w, places = seen_again(kept.inverse_depth, T, camera.grid, camera.rays)
        bits = np.empty((2, *w.shape), np.uint8)
        loops.differences(places, keyframe.census[name][-1], camera.census[-1], *bits)
        return _Seen(w, places, *(np.asarray(cv2.blur(item, AROUND), np.uint8) for item in bits))

    def _fits(self, name: str) -> bool:
        """Tell whether a result is kept, on the grid that the camera still has."""
        kept, camera = self._kept.get(name), self._cameras.get(name)
        if kept is None or camera is None:
            return False
        return kept.inverse_depth.shape == camera.rays.shape[:2]


def _around(w: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Inverse depth as it is around each pixel: pull-push (Gortler et al. 1996) in few steps."""
    height, width = w.shape
    level = np.dstack([w, known.astype(np.float32)])
    levels = []
    for share in _AROUND_SHARES:
        size = (max(1, width // share), max(1, height // share))
        level = np.asarray(cv2.resize(level, size, interpolation=cv2.INTER_AREA), np.float32)
        levels.append(level)
    out: NDArray[np.float32] | None = None
    for level in reversed(levels):
        parts, shares = level[..., 0], level[..., 1]
        own = np.asarray(parts / np.maximum(shares, 1e-6), np.float32)
        if out is not None:
            size = (own.shape[1], own.shape[0])
            coarse = np.asarray(cv2.resize(out, size, interpolation=cv2.INTER_LINEAR), np.float32)
            own = np.asarray(coarse + np.minimum(4 * shares, 1) * (own - coarse), np.float32)
        out = own
    assert out is not None
    return np.asarray(cv2.resize(out, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
