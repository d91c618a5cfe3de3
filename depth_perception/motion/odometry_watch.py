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

"""What is wrong with odometry: noticed pose by pose, and against what the images say.

In: faults as they are met, and for each step of the vehicle its rotation by the images and the
length factor that the road gives. Out: the one fault that matters most, in words, with a fix.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FIXES = {
    "no_stamp": "let its publisher fill header.stamp",
    "not_finite": "check its publisher: position and orientation must be numbers",
    "back": "let one node alone publish it, with one clock",
    "jump": "name odometry that is continuous (REP 105: odom, not map or GPS); that step is taken"
    " from the images",
    "late": "check that its publisher still runs, and that its stamps are of the cameras' clock",
    "frozen": "check encoders or localisation; the way is taken from the images",
    "disagrees": "check child_frame_id, its mounting and the stamps; that step is taken from the"
    " images",
    "delayed": "let its publisher stamp when it measures; it is undone here",
    "scale": "correct wheel radius or ticks per turn, or, if the cameras' heights are wrong, those;"
    " it is undone here",
}
"""What helps, by kind of fault; the worst first."""

DELAYS_S = np.arange(-4, 9) * 0.05
"""Delays of odometry's stamps that are tried, s."""
SHORTEST_DELAY_S = 0.06
KEPT_STEPS = 200
MIN_STEPS = 20
MIN_TURNING = float(np.radians(0.15))
"""By the images yaw steps must vary by so much (standard deviation, rad) to tell of a delay."""
BETTER = 0.4
"""A delay is believed when it leaves at most this share of the squared disagreement,"""
CONFIRMED = 3
"""and has come out so many times in a row."""
EVERY = 5
"""It is looked for at each fifth step."""

MIN_SCALE = 0.03
"""Ways that are off by less are usual."""
SCALE_SIGMAS = 2.5
SCALE_S = 2.0
"""It must have been so for this long, s."""

YawsBetween = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]]
"""How far the poses turn from each stamp (ns) to another, rad, to the left; NaN where unknown."""


@dataclass(frozen=True)
class Fault:
    """Something wrong with odometry: what, of which kind, and when it was last so (ns)."""

    kind: str
    text: str
    stamp: int

    def __str__(self) -> str:
        """Say what is wrong, and what helps."""
        return f"{self.text}. Fix: {FIXES[self.kind]}"


class OdometryWatch:
    """What is wrong with the poses of one source.

    Attributes:
        delay: By how much its stamps are late, ns; 0 until that is sure.
    """

    def __init__(self) -> None:
        self.delay = 0
        self._faults: dict[str, Fault] = {}
        self._steps: deque[tuple[int, int, float]] = deque(maxlen=KEPT_STEPS)
        self._seen = 0
        self._found: deque[int] = deque(maxlen=CONFIRMED)
        self._off_since: int | None = None

    def note(self, kind: str, text: str, stamp: int) -> None:
        """Note a fault of a kind of `FIXES`, at an instant (ns)."""
        self._faults[kind] = Fault(kind, text, stamp)

    def forget_before(self, stamp: int) -> None:
        """Forget what was last so before an instant (ns), and can only be said of a pose."""
        lasting = ("delayed", "scale", "late")
        self._faults = {
            kind: fault
            for kind, fault in self._faults.items()
            if kind in lasting or fault.stamp >= stamp
        }

    def current(self) -> Fault | None:
        """Return the worst fault there is now; None where all is well."""
        return next((self._faults[kind] for kind in FIXES if kind in self._faults), None)

    def look_at_age(self, latest: int, stamp: int, limit: float) -> None:
        """Compare the newest pose with the images.

        Args:
            latest: Its stamp, ns; 0 where there never was one.
            stamp: Of the frame set, ns.
            limit: It may be so much older, s.
        """
        self._faults.pop("late", None)
        behind = (stamp - latest) * 1e-9
        if latest and behind > limit:
            self.note("late", f"its newest pose is {behind:.1f} s older than the images", stamp)

    def look_at_length(self, stamp: int, factor: float, sigma: float) -> None:
        """Compare its way with the road's.

        Args:
            stamp: Of the frame set, ns.
            factor: By how much the way is longer than the poses say.
            sigma: Relative standard deviation of that.
        """
        off = float(np.log(factor))
        if abs(off) < max(MIN_SCALE, SCALE_SIGMAS * sigma):
            self._off_since = None
            self._faults.pop("scale", None)
            return
        if self._off_since is None or stamp < self._off_since:
            self._off_since = stamp
        if stamp - self._off_since >= SCALE_S * 1e9:
            side = "short" if factor > 1 else "long"
            text = f"its way is {100 * abs(1 - 1 / factor):.0f} % too {side}, by the road"
            self.note("scale", f"{text} (to {100 * sigma:.0f} %)", stamp)

    def look_at_turning(
        self, start: int, end: int, T_to_from: NDArray[np.float64], yaws_between: YawsBetween
    ) -> None:
        """Compare when it turns with when the images do.

        Args:
            start: Stamp of the last frame set, ns.
            end: Of this one.
            T_to_from: 4x4, the motion between them as the images have it.
            yaws_between: Returns how far the poses turn between stamps.
        """
        self._steps.append((start, end, yaw_of(T_to_from)))
        self._seen += 1
        if self._seen % EVERY or len(self._steps) < MIN_STEPS:
            return
        self._found.append(self._best_delay(yaws_between))
        spread = max(self._found) - min(self._found)
        if len(self._found) < CONFIRMED or spread > 0.051e9:
            return
        delay = round(float(np.median(self._found)))
        self.delay = delay if abs(delay) > SHORTEST_DELAY_S * 1e9 else 0
        if self.delay:
            side = "late" if self.delay > 0 else "early"
            seconds = abs(self.delay) * 1e-9
            self.note("delayed", f"its stamps are {seconds:.2f} s too {side}, by the images", end)
        else:
            self._faults.pop("delayed", None)

    def _best_delay(self, yaws_between: YawsBetween) -> int:
        """Return the delay that explains the turning best, ns; 0 where none is much better."""
        starts, ends, turned = (np.array(column) for column in zip(*self._steps, strict=True))
        if float(turned.std()) < MIN_TURNING:
            return self.delay
        costs = []
        for delay in DELAYS_S:
            shift = round(float(delay) * 1e9)
            off = yaws_between(starts + shift, ends + shift) - turned
            off = off[np.isfinite(off)]
            costs.append(float(np.mean(off**2)) if len(off) >= MIN_STEPS // 2 else np.inf)
        best = int(np.argmin(costs))
        now = int(np.argmin(np.abs(DELAYS_S)))
        if not np.isfinite(costs[now]) or costs[best] > BETTER * costs[now]:
            return 0
        delay = float(DELAYS_S[best])
        if 0 < best < len(costs) - 1 and np.isfinite(costs[best - 1 : best + 2]).all():
            before, here, after = costs[best - 1 : best + 2]
            bend = before + after - 2 * here
            if bend > 0:
                delay += 0.5 * (before - after) / bend * float(DELAYS_S[1] - DELAYS_S[0])
        return round(delay * 1e9)


def yaw_of(T_to_from: NDArray[np.float64]) -> float:
    """Turn about the vertical of a motion (4x4) of the base frame, rad, positive to the left."""
    return float(-np.arctan2(T_to_from[1, 0], T_to_from[0, 0]))
