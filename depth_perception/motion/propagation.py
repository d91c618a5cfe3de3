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

"""Measured depth between two matches: what was measured a moment ago, seen from here.

Matching costs many times what it costs to move what was matched along with the vehicle, and of
what a camera shows little changes within a quarter of a second. So where many cameras send many
images a second each is matched in its turn, and its depth is propagated between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.transforms import Matrix, inverse
from depth_perception.motion import propagation_loops as loops
from depth_perception.motion.matching import lens_of
from depth_perception.motion.measured_depth import (
    BLANK_LEVELS,
    MAX_RELATIVE_SIGMA,
    Kind,
    MeasuredDepth,
    variance,
)

ONE_SURFACE = 0.1
"""Inverse depths that differ by less than this share are of one surface."""
MOST_BITS = 9.0
"""Of 24; where more differ on average around a pixel, something else is seen there now."""
LONGEST_S = 1.0
"""What was measured longer ago is not carried along, s: nobody looked at the camera meanwhile."""
AROUND = (5, 5)
"""What is around, px."""


class Pace(NamedTuple):
    """How sets follow each other.

    Attributes:
        seconds: That count for cameras' turns, since the last set.
        behind: Sets are left out for want of time.
    """

    seconds: float
    behind: bool = False


class MatchingTurns:
    """Whose turn it is to be matched: the cameras in which that was longest ago.

    Attributes:
        rate: Cameras to be matched in a second, all together, 1/s; 0: all of each set.
    """

    def __init__(self, rate: float) -> None:
        """Begin with nobody matched.

        Args:
            rate: See above.
        """
        self.rate = rate
        self._due = 0.0
        self._first = 0

    def reset(self) -> None:
        """Begin anew."""
        self._due = 0.0

    def longest(self, count: int) -> float:
        """Seconds for which so many cameras may wait for their turn, before they are forgotten."""
        return max(LONGEST_S, 2 * count / self.rate) if self.rate > 0 else LONGEST_S

    def all_due(self, count: int, seconds: float) -> bool:
        """Tell whether all of so many cameras are to be matched, so many seconds after the last."""
        return self.rate <= 0 or int(self._due + seconds * self.rate + 1e-6) >= count

    def choose(
        self, matched: Mapping[str, int], names: Sequence[str], seconds: float, behind: bool = False
    ) -> list[str]:
        """Say which cameras are matched at a set.

        Args:
            matched: Stamps at which cameras were last matched, ns; those that never were, or of
                which it is not known how to get from there to here, are not in it.
            names: Cameras of the set.
            seconds: Since the last set.
            behind: Sets are left out for want of time.

        Returns:
            All that are not in ``matched``; of the others as many as the rate allows, evenly over
            sets, those first that have waited longest. Where sets are left out no more in all than
            the rate allows, or else there is ever less time.
        """
        waiting = sorted((name for name in names if name in matched), key=matched.__getitem__)
        if self.rate <= 0:
            return list(names)
        self._due = min(self._due + seconds * self.rate, float(len(names)))
        count = int(self._due + 1e-6)
        self._due -= count
        new = [name for name in names if name not in matched]
        if behind:
            first = self._first % max(1, len(new))
            new = (new[first:] + new[:first])[: max(1, count)]
            self._first += len(new)
            count -= len(new)
        chosen = {*new, *waiting[: max(0, count)]}
        return [name for name in names if name in chosen]


def scaled(measured: MeasuredDepth, factor: float) -> MeasuredDepth:
    """Return what was measured, inverse depths by parallax multiplied by a factor."""
    of_way = measured.kind == Kind.PARALLAX
    times = np.where(of_way, np.float32(factor), np.float32(1))
    return MeasuredDepth(measured.inverse_depth * times, measured.sigma * times, measured.kind)


def propagated(
    past: MeasuredDepth,
    codes: NDArray[np.uint32],
    T_now_past: Matrix,
    camera: CameraModel,
    rays: NDArray[np.float32],
    image: NDArray[np.uint8],
    code: NDArray[np.uint32],
    mask: NDArray[np.bool_],
) -> MeasuredDepth:
    """Return what was measured in a camera's past image as its present image sees it.

    Args:
        past: Measured then, on the matching grid (h, w).
        codes: (h, w) census of that image.
        T_now_past: 4x4, from the optical frame then to that now, m.
        camera: Model of the matching grid.
        rays: (h, w, 3) float32, third component 1; 0 where nothing is seen.
        image: (h, w) uint8, grey, the present one.
        code: (h, w) its census.
        mask: (h, w), true where nothing may be measured: the own body.

    Returns:
        On the same grid. Nothing is known where the present image shows something else than the
        past one did: what has moved, what had been hidden.
    """
    sigma, kinds = np.empty(past.sigma.shape, np.float32), np.empty(past.sigma.shape, np.uint8)
    bits = np.empty(past.sigma.shape, np.uint8)
    w, places = seen_again(past.inverse_depth, T_now_past, camera, rays)
    loops.take_measured(
        w, places, rays, *_float(inverse(T_now_past)), past.sigma, past.kind, codes, code,
        sigma, kinds, bits,
    )  # fmt: skip
    known = bits != loops.NO_CODE
    share = cv2.blur(known.astype(np.float32), AROUND)
    differ = cv2.blur(np.where(known, bits, 0).astype(np.float32), AROUND)
    # A blank road differs in noise alone.
    blank = (kinds == Kind.PLANE) & (variance(image) < BLANK_LEVELS**2)
    with np.errstate(invalid="ignore"):
        good = known & ~mask & ((differ <= MOST_BITS * share) | blank)
        good &= sigma < MAX_RELATIVE_SIGMA * w
    nan = np.float32(np.nan)
    return MeasuredDepth(
        np.where(good, w, nan),
        np.where(good, sigma, nan),
        np.where(good, kinds, np.uint8(Kind.NOTHING)),
    )


def seen_again(
    past: NDArray[np.float32], T_now_past: Matrix, camera: CameraModel, rays: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """See depth of a camera's past image from where it is now.

    Args:
        past: (h, w) float32, inverse depth then, 1/m; NaN where unknown.
        T_now_past: 4x4, from the optical frame then to that now, m.
        camera: Model of the grid.
        rays: (h, w, 3) float32, third component 1; 0 where nothing is seen.

    Returns:
        (h, w) float32 inverse depth now, 1/m, NaN where nothing is known; (h, w) int32 where that
        was in the past image, see `propagation_loops.read_back`.
    """
    kind, K, D, limit = lens_of(camera)
    lens = (np.ascontiguousarray(camera.R, np.float32), kind, K, D, limit)
    w, places = np.empty(past.shape, np.float32), np.empty(past.shape, np.int32)
    guess = np.empty((past.shape[0] + 2, past.shape[1] + 2), np.float32)
    loops.splat(past, rays, *_float(T_now_past), *lens, guess)
    back = _float(inverse(T_now_past))
    loops.read_back(guess, rays, *back, *lens, np.float32(ONE_SURFACE), past, w, places)
    return w, places


def _float(T: Matrix) -> Iterable[NDArray[np.float32]]:
    return np.ascontiguousarray(T[:3, :3], np.float32), np.ascontiguousarray(T[:3, 3], np.float32)
