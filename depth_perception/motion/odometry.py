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

"""What odometry says of the way between two instants, and whether it can be believed.

Poses come stamped, from `nav_msgs/Odometry` or the bag; asked is the motion of the base frame
between the stamps of two images. Odometry is right about the rough way and wrong in the fine print
(architecture: "What the first round taught"), so that its deviation goes along.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.transforms import Matrix, interpolate, inverse
from depth_perception.motion.odometry_watch import OdometryWatch

KEPT_S = 10.0
"""Poses older than this before the newest are forgotten, s."""
MAX_POSES = 4000
MAX_SPEED = 70.0
"""No vehicle is faster, m/s: a step that would take more is a jump of the odometry frame."""
MAX_ACCELERATION = 25.0
"""Nor does one change its velocity faster, m/s^2, than by a crash."""
MAX_TURN_RATE = np.radians(200.0)
MAX_AHEAD_S = 0.25
"""How far a pose may be carried on beyond the newest, by the velocity before it, s: nobody waits
for odometry, and odometry that comes 0.1 s late at 10 Hz is 0.2 s old at times."""
VELOCITY_SPAN_S = 0.1
"""Poses at least so far apart give that velocity, s: those of a fast topic are too noisy."""
MAX_GAP_S = 1.5
"""Between poses farther apart than this nothing is interpolated, s."""
BACK_AGAIN = 5
"""So many poses in a row from before the newest: time has jumped, as when a bag begins again."""
HELD_S = 1.0
"""What was wrong with a pose is said for so long after it, s of stamps."""

LENGTH_SIGMA = 0.05
"""Relative standard deviation of the length of a way: wheel radius, slip, GPS smoothing."""
ROTATION_SIGMA = np.radians(0.3)
"""Standard deviation of its rotation, rad: probes found 0.005 to 0.15 degrees, and worse."""
DIRECTION_SIGMA = np.radians(4.0)
"""Of its direction: base frames are not quite where they are said to be."""


@dataclass(frozen=True, eq=False)
class MotionPrior:
    """Roughly known motion of the base frame between two instants.

    Attributes:
        T_to_from: 4x4, maps points of the base frame at the first instant into that at the second.
        length_sigma: Relative standard deviation of the translation's length.
        direction_sigma: Standard deviation of its direction, rad.
        rotation_sigma: Standard deviation of the rotation about each axis, rad.
    """

    T_to_from: Matrix
    length_sigma: float = LENGTH_SIGMA
    direction_sigma: float = DIRECTION_SIGMA
    rotation_sigma: float = ROTATION_SIGMA

    @property
    def covariance(self) -> NDArray[np.float64]:
        """(6, 6) of translation (m) and rotation (rad), as a twist on the left."""
        way = float(np.linalg.norm(self.T_to_from[:3, 3])) + 0.01
        along = self.T_to_from[:3, 3] / way
        out = np.zeros((6, 6))
        out[:3, :3] = (way * np.tan(min(self.direction_sigma, 1.4))) ** 2 * np.eye(3)
        out[:3, :3] += (way * self.length_sigma) ** 2 * np.outer(along, along)
        out[3:, 3:] = self.rotation_sigma**2 * np.eye(3)
        return out


class OdometryTrack:
    """A bounded run of stamped poses of the base frame.

    Attributes:
        name: Where the poses come from, for what is said of them: a topic, or two frames of TF.
        jumps: How often the odometry frame was reset or jumped.
        watch: What is wrong with the poses.
    """

    def __init__(self, name: str = "odometry") -> None:
        self._stamps: list[int] = []
        self._poses: list[Matrix] = []
        self._yaws: list[float] = []
        self._run: list[int] = []
        """Of each pose: the number of the run it belongs to; a jump begins a new one."""
        self._earlier: list[tuple[int, Matrix]] = []
        """Poses in a row from before the newest."""
        self._steady: tuple[int, float, NDArray[np.float64]] | None = None
        """Stamp (ns), duration (s) and velocity in the base frame (m/s) of the last good step."""
        self.name = name
        self.jumps = 0
        self.watch = OdometryWatch()

    def __len__(self) -> int:
        """Count the poses that are kept."""
        return len(self._stamps)

    @property
    def problem(self) -> str:
        """What is wrong with what came lately, with a fix; empty when nothing is."""
        fault = self.watch.current()
        return f"{self.name}: {fault}" if fault else ""

    @property
    def latest(self) -> int:
        """Stamp of the newest pose, ns; 0 before the first."""
        return self._stamps[-1] if self._stamps else 0

    def add(self, stamp: int, T_odom_base: NDArray[np.floating]) -> None:
        """Take a pose; one that cannot follow the last begins a new run.

        Args:
            stamp: Time of the pose, ns.
            T_odom_base: 4x4, of the base frame in the odometry frame.
        """
        T = np.asarray(T_odom_base, dtype=np.float64)
        if stamp <= 0:
            self.watch.note("no_stamp", "a pose without a stamp", self.latest)
            return
        if not np.isfinite(T).all():
            self.watch.note("not_finite", "a pose with numbers that are not finite", self.latest)
            return
        if self._stamps and stamp <= self._stamps[-1]:
            self._take_earlier(stamp, T)
            return
        if self._earlier:  # a newer one after older ones: not a jump of time
            back = (self._stamps[-1] - self._earlier[-1][0]) * 1e-9
            self.watch.note("back", f"its stamps go back, by {back:.2f} s", stamp)
            self._earlier.clear()
        run = self._run[-1] if self._run else 0
        if self._stamps and (reason := self._impossible(stamp, T)):
            run += 1
            self.jumps += 1
            self.watch.note("jump", reason, stamp)
        self.watch.forget_before(stamp - round(HELD_S * 1e9))
        self._stamps.append(stamp)
        self._poses.append(T)
        self._yaws.append(float(np.arctan2(T[1, 0], T[0, 0])))
        self._run.append(run)
        oldest = bisect.bisect_left(self._stamps, stamp - round(KEPT_S * 1e9))
        oldest = max(oldest, len(self._stamps) - MAX_POSES)
        if oldest > 0:
            for kept in (self._stamps, self._poses, self._yaws, self._run):
                del kept[:oldest]

    def clear(self) -> None:
        """Forget all poses, and what was wrong with them."""
        for kept in (self._stamps, self._poses, self._yaws, self._run, self._earlier):
            kept.clear()
        self._steady = None
        self.watch = OdometryWatch()

    def _take_earlier(self, stamp: int, T: Matrix) -> None:
        """Leave out a pose that is not newer, unless so many come in a row that time has jumped."""
        if stamp == self._stamps[-1]:
            return
        if self._earlier and stamp <= self._earlier[-1][0]:
            self._earlier.clear()
        self._earlier.append((stamp, T))
        if self._stamps[-1] - stamp > KEPT_S * 1e9 or len(self._earlier) >= BACK_AGAIN:
            self._begin_again()

    def go_back(self, stamp: int) -> None:
        """Follow a jump of time that the images have made back to an instant (ns)."""
        if self.latest > stamp + MAX_GAP_S * 1e9:
            self._begin_again()

    def _begin_again(self) -> None:
        """Forget all but the poses that came last, from before the newest."""
        earlier = list(self._earlier)
        self.clear()
        for item in earlier:
            self.add(*item)

    def between(self, start: int, end: int) -> MotionPrior | None:
        """Return the motion from one instant to another, as odometry has it.

        Args:
            start: Stamp, ns.
            end: Stamp, ns; may lie up to `MAX_AHEAD_S` after the newest pose.

        Returns:
            The motion; None where no pose is near, or the odometry frame jumped in between.
        """
        delay = self.watch.delay
        first, second = self._at(start + delay), self._at(end + delay)
        if first is None or second is None or first[1] != second[1]:
            return None
        ahead = max(start, end) + delay - self.latest
        worse = 1.0 + max(0.0, ahead * 1e-9) / 0.05
        return MotionPrior(
            inverse(second[0]) @ first[0],
            LENGTH_SIGMA * worse,
            DIRECTION_SIGMA * worse,
            ROTATION_SIGMA * worse,
        )

    def yaws_between(
        self, starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return how far the base frame turned, to the left, from each of many instants to another.

        Args:
            starts: (n,) stamps, ns.
            ends: (n,) stamps, ns.

        Returns:
            (n,) rad; NaN where no poses lie around, or the odometry frame jumped in between.
        """
        if not self._stamps:
            return np.full(len(starts), np.nan)
        stamps = np.array(self._stamps)
        yaws = np.unwrap(np.array(self._yaws))
        # Nanoseconds since 1970 have more digits than a float64.
        first = self._stamps[0]
        a, b = (
            np.interp((at - first) * 1e-9, (stamps - first) * 1e-9, yaws, np.nan, np.nan)
            for at in (starts, ends)
        )
        runs = np.array(self._run)
        before = np.searchsorted(stamps, starts).clip(1, len(stamps)) - 1
        after = np.searchsorted(stamps, ends).clip(0, len(stamps) - 1)
        return np.where(runs[before] == runs[after], b - a, np.nan)

    def _at(self, stamp: int) -> tuple[Matrix, int] | None:
        """Pose at an instant, and its run."""
        if not self._stamps:
            return None
        k = bisect.bisect_left(self._stamps, stamp)
        if k < len(self._stamps) and self._stamps[k] == stamp:
            return self._poses[k], self._run[k]
        if k == 0:
            return None
        b = k
        if k == len(self._stamps):
            if stamp - self._stamps[-1] > MAX_AHEAD_S * 1e9 or k < 2:
                return None
            b = k - 1
            span = round(VELOCITY_SPAN_S * 1e9)
            k = max(1, bisect.bisect_right(self._stamps, self._stamps[b] - span))
            # A run that has only begun is shorter.
            k = max(k, bisect.bisect_left(self._run, self._run[b]) + 1)
            k = min(k, b)
        a = k - 1
        step = self._stamps[b] - self._stamps[a]
        if self._run[a] != self._run[b] or step > MAX_GAP_S * 1e9:
            return None
        fraction = (stamp - self._stamps[a]) / step
        return interpolate(self._poses[a], self._poses[b], fraction), self._run[b]

    def _impossible(self, stamp: int, T: Matrix) -> str:
        """Say why no vehicle can have come from the last pose to this one; empty when one can."""
        seconds = (stamp - self._stamps[-1]) * 1e-9
        step = inverse(self._poses[-1]) @ T
        way = float(np.linalg.norm(step[:3, 3]))
        # Stamps are not exact either: the time may be 10 ms longer, and 5 cm are noise.
        if way > MAX_SPEED * (seconds + 0.01) + 0.05:
            return f"it jumped by {way:.1f} m in {seconds:.2f} s"
        angle = float(np.arccos(np.clip((np.trace(step[:3, :3]) - 1) / 2, -1, 1)))
        if angle > MAX_TURN_RATE * (seconds + 0.01):
            return f"it turned by {np.degrees(angle):.0f} degrees in {seconds:.2f} s"
        velocity = step[:3, 3] / seconds
        if self._steady is None or (stamp - self._steady[0]) * 1e-9 > MAX_GAP_S:
            self._steady = stamp, seconds, velocity
            return ""
        at, before, last = self._steady
        # Slack for noise of position: 10 cm each way, and odometry that comes at uneven times.
        change = float(np.linalg.norm(velocity - last))
        apart = (stamp - at) * 1e-9 + (before - seconds) / 2
        allowed = MAX_ACCELERATION * apart + 0.2 / min(seconds, before)
        if change > allowed:
            return f"its velocity changed by {change:.0f} m/s in {seconds:.2f} s"
        self._steady = stamp, seconds, velocity
        return ""
