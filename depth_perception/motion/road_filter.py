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

"""What the road has shown so far, set after set: pitch, roll and the factor of the way.

A Kalman filter over `road.fit_road`: its fit takes in what is expected here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.motion.road import RoadFit, RoadSamples, fit_road

RETURN_S = 3.0
"""The vehicle's body comes back to its rest within about this time, s."""
PITCH_NOISE, ROLL_NOISE = np.radians(0.5), np.radians(0.4)
"""Of braking, bends and a road that changes its slope, rad in one second."""
FACTOR_NOISE = 0.01
"""Odometry's error of length hardly changes: share in one second."""
FIRST_FACTOR_SIGMA = 0.08
"""It is hardly larger: wheel radius, smoothing of GPS."""
FREE_FACTOR_SIGMA = 0.25
"""Without odometry the way is guessed anew for every set."""


class RoadFilter:
    """Follows the road.

    Attributes:
        fit: What the last set showed; None where no road was seen.
    """

    def __init__(self, nominal: GroundPlane) -> None:
        """Begin at the plane that the mounting describes."""
        self._nominal = nominal
        self._rest = np.array([nominal.pitch, nominal.roll, 0.0])
        self._state = self._rest.copy()
        self._covariance = np.diag(
            [nominal.covariance[1, 1], nominal.covariance[0, 0], FIRST_FACTOR_SIGMA**2]
        )
        self._largest = np.diag(self._covariance).copy()
        self._measured = False
        self._ruler_variance = 0.0
        self.fit: RoadFit | None = None

    @property
    def factor(self) -> float:
        """By how much the way is longer than was assumed."""
        return float(np.exp(self._state[2]))

    @property
    def factor_sigma(self) -> float:
        """Relative standard deviation of the factor, with what the ruler itself may be off."""
        return float(np.sqrt(self._covariance[2, 2] + self._ruler_variance))

    @property
    def ground(self) -> GroundPlane:
        """The road plane now; the nominal one until a road was seen."""
        if not self._measured:
            return self._nominal
        pitch, roll, _ = self._state
        covariance = np.zeros((3, 3))
        covariance[:2, :2] = self._covariance[:2, :2][::-1, ::-1]
        covariance[2, 2] = self._nominal.covariance[2, 2]
        return GroundPlane.from_angles(
            roll, pitch, self._nominal.height, covariance, source="estimated"
        )

    def predict(self, seconds: float, by_odometry: bool) -> None:
        """Let time pass.

        Args:
            seconds: Since the last set.
            by_odometry: The way is odometry's; otherwise it is a guess, whose factor is new.
        """
        keep = float(np.exp(-max(seconds, 0.0) / RETURN_S))
        shrink = np.diag([keep, keep, 1.0])
        self._state = self._rest + shrink @ (self._state - self._rest)
        noise = np.array([PITCH_NOISE, ROLL_NOISE, FACTOR_NOISE]) ** 2 * max(seconds, 0.0)
        self._covariance = shrink @ self._covariance @ shrink + np.diag(noise)
        if not by_odometry:
            self._state[2] = 0.0
            self._covariance[2, :] = self._covariance[:, 2] = 0.0
            self._covariance[2, 2] = FREE_FACTOR_SIGMA**2
        # What is not seen for long is no less sure than it was at rest.
        over = np.sqrt(np.minimum(1.0, self._largest[:2] / np.diag(self._covariance)[:2]))
        limit = np.diag([over[0], over[1], 1.0])
        self._covariance = limit @ self._covariance @ limit

    def update(self, samples: Sequence[RoadSamples]) -> None:
        """Take in what the cameras measured in the lane; no road leaves everything as it is."""
        self.fit = fit_road(samples, self._nominal, self._state, self._covariance)
        if self.fit is not None:
            # No number of sets averages away an error of the cameras' height over the road.
            height = np.mean([self._nominal.signed_distance(item.centre) for item in samples])
            self._ruler_variance = float(self._nominal.covariance[2, 2] / height**2)
            self._state, self._covariance = self.fit.state.copy(), self.fit.covariance.copy()
            self._measured = True

    def expected(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """State (pitch, roll, ln factor) and covariance, as now known."""
        return self._state.copy(), self._covariance.copy()
