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

"""How fast the vehicle drives: steadily, or braking, stopping and moving off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pace:
    """The speed of the vehicle over time, and how the lane in which it is keeps up with it.

    Attributes:
        first: Speed until `since`, m/s.
        last: Speed in the end, m/s.
        since: When it begins to change, s.
        change: Acceleration until `last` is reached, m/s^2, positive for braking, too.
        stretch: By which share of their distance the vehicles of the own lane draw away each
            second; negative when they close up.
    """

    first: float
    last: float
    since: float = 0.0
    change: float = 1.0
    stretch: float = 0.0

    def way(self, time: float) -> float:
        """How far the vehicle has come since time 0, m; negative before."""
        if self.first == self.last or time <= self.since:
            return self.first * time
        lasts = abs(self.last - self.first) / self.change
        ramp = min(time - self.since, lasts)
        turn = np.sign(self.last - self.first) * self.change
        after = time - self.since - ramp
        return float(
            self.first * (self.since + ramp) + 0.5 * turn * ramp * ramp + self.last * after
        )

    def speed(self, time: float) -> float:
        """Speed of the vehicle, m/s."""
        turn = np.sign(self.last - self.first) * self.change
        now = self.first + turn * max(0.0, time - self.since)
        low, high = sorted((self.first, self.last))
        return min(max(float(now), low), high)


def draw_pace(rng: np.random.Generator, speed: float, duration: float) -> Pace:
    """Draw how a vehicle drives that goes at about `speed` (m/s) for `duration` (s).

    Half of them drive steadily; others brake, some to a stop, or move off or speed up.
    """
    style = rng.uniform()
    since = float(rng.uniform(0.0, 0.6) * duration)
    stretch = float(rng.uniform(-0.03, 0.1) / max(1.0, duration))
    if style < 0.5:
        return Pace(speed, speed, stretch=stretch)
    if style < 0.7:
        slower = speed * float(rng.choice([0.0, 0.0, 0.5]))
        return Pace(speed, slower, since, float(rng.uniform(1.0, 5.0)), stretch)
    if style < 0.85:
        return Pace(0.0, speed, since, float(rng.uniform(0.8, 2.5)), stretch)
    return Pace(0.6 * speed, speed, since, float(rng.uniform(0.5, 2.5)), stretch)
