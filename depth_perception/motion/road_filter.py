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

"""What the road has shown so far, set after set: where it is, and by which factor ways are longer.

Two Kalman filters over `road.fit_road`, whose fits take in what is expected here. The first looks
at the road near the vehicle, where the height of the cameras over it counts most: it is the ruler
for the way. The second looks farther, with the way known: it is the plane.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.motion.road import FAR, RoadFit, RoadSamples, fit_road, scale_of

RETURN_S = 3.0
"""The vehicle's body comes back to its rest within about this time, s."""
PITCH_NOISE, ROLL_NOISE = np.radians(0.5), np.radians(0.4)
"""Of braking, bends and a road that changes its slope, rad in one second."""
FACTOR_NOISE = 0.01
"""Odometry's error of length hardly changes: share in one second."""
FIRST_FACTOR_SIGMA = 0.08
"""It is hardly larger: wheel radius, smoothing of GPS."""
DRIFT = 0.05
"""Of the scale that images carry on: share in one second."""
GUESSED_SIGMA = 0.25
"""Deviation of the first guess from images."""
PLANE_PATCH = 2000.0
"""Pixels that tell no more about the plane than one: farther away a road is not quite flat."""
HEIGHT_SIGMA = 0.03
"""Of the height of the cameras over the road ahead, relative: springs, dips, camber."""


@dataclass(eq=False)
class _State:
    """Mean (3,) and covariance (3, 3) of pitch, roll and a logarithm."""

    rest: NDArray[np.float64]
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    largest: NDArray[np.float64]

    def predict(self, seconds: float, third_kept: float, third_noise: float) -> None:
        """Let time pass.

        Args:
            seconds: How much.
            third_kept: Of the third number, the share that stays.
            third_noise: Variance that it gains.
        """
        keep = float(np.exp(-seconds / RETURN_S))
        kept = np.array([keep, keep, third_kept])
        self.mean = self.rest + kept * (self.mean - self.rest)
        noise = np.array([PITCH_NOISE**2 * seconds, ROLL_NOISE**2 * seconds, third_noise])
        covariance = self.covariance * np.outer(kept, kept) + np.diag(noise)
        # What is not seen for long is no less sure than it was at rest.
        over = np.sqrt(np.minimum(1.0, self.largest / np.diag(covariance)))
        over[2] = 1.0
        self.covariance = covariance * np.outer(over, over)


class RoadFilter:
    """Follows the road.

    Attributes:
        fit: What the last set showed near the vehicle; None where no road was seen.
    """

    def __init__(self, nominal: GroundPlane) -> None:
        """Begin at the plane that the mounting describes."""
        self._nominal = nominal
        self._way = self._at_rest(FIRST_FACTOR_SIGMA)
        self._plane = self._at_rest(HEIGHT_SIGMA)
        self._seen = False
        self._camera_height = 0.0
        self.fit: RoadFit | None = None

    def _at_rest(self, third_sigma: float) -> _State:
        rest = np.array([self._nominal.pitch, self._nominal.roll, 0.0])
        given = self._nominal.covariance
        variances = np.array([given[1, 1], given[0, 0], third_sigma**2])
        return _State(rest, rest.copy(), np.diag(variances), variances)

    @property
    def factor(self) -> float:
        """By how much the way is longer than was assumed."""
        return float(np.exp(self._way.mean[2]))

    @property
    def factor_sigma(self) -> float:
        """Relative standard deviation of the factor, with what the ruler itself may be off."""
        ruler = 0.0
        if self._camera_height > 0:
            # No number of sets averages away an error of the cameras' height over the road.
            ruler = float(self._nominal.covariance[2, 2]) / self._camera_height**2
        return float(np.sqrt(self._way.covariance[2, 2] + ruler))

    @property
    def ground(self) -> GroundPlane:
        """The road plane now; the nominal one until a road was seen."""
        if not self._seen:
            return self._nominal
        pitch, roll, nearer = self._plane.mean
        covariance = np.zeros((3, 3))
        covariance[:2, :2] = self._plane.covariance[:2, :2][::-1, ::-1]
        height = self._camera_height
        covariance[2, 2] = self._nominal.covariance[2, 2]
        covariance[2, 2] += self._plane.covariance[2, 2] * height**2
        return GroundPlane.from_angles(
            roll, pitch, self._nominal.height + nearer * height, covariance, source="estimated"
        )

    def predict(self, seconds: float, by_odometry: bool) -> None:
        """Let time pass.

        Args:
            seconds: Since the last set.
            by_odometry: The way is odometry's; otherwise its scale drifts.
        """
        passed = max(seconds, 0.0)
        drift = FACTOR_NOISE if by_odometry else DRIFT
        self._way.predict(passed, 1.0, drift**2 * passed)
        keep = float(np.exp(-passed / RETURN_S))
        self._plane.predict(passed, keep, (1 - keep**2) * HEIGHT_SIGMA**2)

    def begin_factor(self, by_odometry: bool, guessed: bool) -> None:
        """Begin a new factor: ways come from another source than before.

        Args:
            by_odometry: The way is odometry's.
            guessed: Otherwise: its length is a first guess. False: it goes on from ways that were
                scaled by the last factor.
        """
        known = float(self._way.covariance[2, 2])
        if by_odometry:
            known = FIRST_FACTOR_SIGMA**2
        elif guessed:
            known = GUESSED_SIGMA**2
        self._way.mean[2] = 0.0
        self._way.covariance[2, :] = self._way.covariance[:, 2] = 0.0
        self._way.covariance[2, 2] = known

    def take_length(self, log_factor: float, sigma: float) -> None:
        """Take in what something else than the road says of the factor.

        It says the same, with much the same error, at every set. So the mean of many is hardly
        surer than one, and where more is known already it says nothing.

        Args:
            log_factor: Its logarithm.
            sigma: Deviation of that.
        """
        covariance, least = self._way.covariance, 0.5 * sigma**2
        known = covariance[2, 2]
        if known <= least:
            return
        along = covariance[:, 2] / known
        share = known / (known + sigma**2)
        self._way.mean = self._way.mean + along * share * (log_factor - self._way.mean[2])
        left = max(known * (1 - share), least)
        self._way.covariance = covariance - np.outer(along, along) * (known - left)

    def update(self, samples: Sequence[RoadSamples]) -> None:
        """Take in what the cameras measured in the lane; no road leaves everything as it is."""
        heights = [float(self._nominal.signed_distance(item.centre)) for item in samples]
        near = [
            item.within(FAR * scale_of(height))
            for item, height in zip(samples, heights, strict=True)
        ]
        self.fit = fit_road(near, self._nominal, self._way.mean, self._way.covariance)
        if self.fit is None:
            return
        self._way.mean, self._way.covariance = self.fit.state.copy(), self.fit.covariance.copy()
        scaled = [replace(item, inverse_depth=item.inverse_depth / self.factor) for item in samples]
        plane = fit_road(
            scaled, self._nominal, self._plane.mean, self._plane.covariance, PLANE_PATCH
        )
        if plane is not None:
            self._plane.mean, self._plane.covariance = plane.state, plane.covariance
            heights = [
                float(self._nominal.signed_distance(item.centre))
                for item in samples
                if len(item.inverse_depth)
            ]
            self._camera_height = float(np.mean(heights))
            self._seen = True
