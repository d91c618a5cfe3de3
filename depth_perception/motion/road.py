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

"""The road as a ruler: its slope under the vehicle, and how long the vehicle's way really was.

Parallax gives depth in units of the way between two images. On the road it must come out as the
camera's height over it says, and that is known to millimetres: for a pixel's ray r (base frame,
third component 1 in the camera) and a road with normal n,

    w = s (-n . r) / (n . p - g)

where w is the inverse depth that was measured with the assumed way, s the factor by which the way
is really longer, p the optical centre and n . X = g the road. Three unknowns, linear but for the
lever arm of p: pitch, roll and s. Taken from what lies in the vehicle's lane, ahead and behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.transforms import Matrix
from depth_perception.motion.ground_loops import path_of_rays

LANE_HALF_WIDTH = 1.6
"""Kerbs and verges begin beyond, m from the vehicle's path."""
NEAR, FAR = 3.0, 18.0
"""Where the road is looked at, m from the camera along the ground: nearer it is blurred by speed,
farther the slope of the road counts more than its height."""
FARTHEST = 30.0
"""As far as the plane is fitted, once the way is known, m."""
USUAL_HEIGHT, LEAST_SCALE = 1.4, 0.25
"""A camera that is mounted lower looks at nearer road, in proportion to its height, m."""
WIDEST = 3.0
"""Largest difference from the road that is expected, in prior deviations."""
PATCH = 150.0
"""So many neighbouring pixels say no more than one: windows overlap and costs are smoothed."""
COARSE_FOCAL = 240.0
"""Of the image whose pixels `PATCH` and `MIN_PIXELS` count, px per radian; a finer one has more."""
ROUGHNESS = 0.03
"""Relative error that no number of pixels averages away: a road is no plane. It is added to what is
known after each set, so that earlier sets, of another piece of road, count ever less."""
MOST_SAMPLES = 1500
"""Of more pixels of a camera some are left out of the fit, while they say the same."""
MIN_PIXELS = 900
MIN_AGREEING = 0.5
"""With fewer of the lane's pixels on one plane there is no road."""
_ITERATIONS = 12


@dataclass(frozen=True, eq=False)
class RoadSamples:
    """What one camera measured where the lane should be.

    Attributes:
        rays: (n, 3) in the base frame's axes, third component 1 in the camera's.
        centre: (3,) the optical centre in the base frame, m.
        inverse_depth: (n,) 1/m.
        away: (n,) how far away they are along the ground, roughly, m.
    """

    rays: NDArray[np.float64]
    centre: NDArray[np.float64]
    inverse_depth: NDArray[np.float64]
    away: NDArray[np.float64]
    fineness: float = 1.0
    """By how much more pixels there are than at `COARSE_FOCAL`."""

    def within(self, distance: float) -> RoadSamples:
        """Return those that are no farther away."""
        near = self.away < distance
        return replace(
            self, rays=self.rays[near], inverse_depth=self.inverse_depth[near], away=self.away[near]
        )


@dataclass(frozen=True, eq=False)
class RoadFit:
    """The road that one set shows.

    Attributes:
        state: (3,) pitch and roll (rad, as `GroundPlane` has them) and ln s; where the way is
            known, by how much nearer the road is than nominal, as a share of the camera's height.
        covariance: (3, 3).
        samples: How many pixels there were.
        agreeing: Share of them that lie on it.
        spread: Relative deviation of those.
    """

    state: NDArray[np.float64]
    covariance: NDArray[np.float64]
    samples: int
    agreeing: float
    spread: float


def lane_samples(
    inverse_depth: NDArray[np.float32],
    rays: NDArray[np.float32],
    T_base_camera: Matrix,
    ground: GroundPlane,
    curvature: float,
) -> RoadSamples:
    """Pick the measured pixels that see the vehicle's lane, if the road is where it should be.

    Args:
        inverse_depth: (h, w) float32, 1/m; NaN where nothing was measured.
        rays: (h, w, 3) float32, third component 1.
        T_base_camera: 4x4, the mounting.
        ground: Where the road is thought to be.
        curvature: Of the vehicle's path, 1/m; positive to the left.
    """
    farthest = FARTHEST * scale_of(float(ground.signed_distance(T_base_camera[:3, 3])))
    lane = on_path(rays, T_base_camera, ground, curvature, LANE_HALF_WIDTH, farthest)
    lane &= np.isfinite(inverse_depth)
    turned = rays[lane].astype(np.float64) @ T_base_camera[:3, :3].T
    w = inverse_depth[lane].astype(np.float64)
    away = np.hypot(turned[:, 0], turned[:, 1]) / w
    # Of neighbouring rays, at the image's middle.
    row, column = rays.shape[0] // 2, rays.shape[1] // 2
    focal = 1 / max(float(rays[row, column, 0] - rays[row, column - 1, 0]), 1e-6)
    fineness = (focal / COARSE_FOCAL) ** 2
    return RoadSamples(turned, T_base_camera[:3, 3], w, away, fineness)


def scale_of(height: float) -> float:
    """By which share distances shrink for a camera at a height (m) over the road."""
    return float(np.clip(height / USUAL_HEIGHT, LEAST_SCALE, 1.0))


def on_path(
    rays: NDArray[np.float32],
    T_base_camera: Matrix,
    ground: GroundPlane,
    curvature: float,
    half_width: float,
    length: float,
) -> NDArray[np.bool_]:
    """Tell which pixels would see the vehicle's path, if nothing stood on it.

    Args:
        rays: (h, w, 3) float32, third component 1.
        T_base_camera: 4x4, the mounting.
        ground: Where the road is.
        curvature: Of the path, 1/m; positive to the left.
        half_width: Of the path, m.
        length: From `NEAR` (nearer for a low camera) to so far from the camera, m.
    """
    height = float(ground.signed_distance(T_base_camera[:3, 3]))
    near = NEAR * scale_of(height)
    out = np.empty(rays.shape[:2], np.bool_)
    R, centre = np.ascontiguousarray(T_base_camera[:3, :3]), T_base_camera[:3, 3].copy()
    limits = (curvature, half_width, near, length)
    path_of_rays(rays, R, centre, ground.normal, height, *limits, out)
    return out


def fit_road(
    samples: Sequence[RoadSamples],
    ground: GroundPlane,
    expected: NDArray[np.float64],
    covariance: NDArray[np.float64],
    patch: float = PATCH,
) -> RoadFit | None:
    """Fit pitch, roll and the factor of the way to what all cameras measured in the lane.

    Args:
        samples: Of each camera.
        ground: Its height holds; the camera heights over it are the ruler.
        expected: (3,) pitch, roll and ln s that are expected, see `RoadFit`.
        covariance: (3, 3) of that.
        patch: So many neighbouring pixels say no more than one.

    Returns:
        The fit, which takes in what was expected; None where no road is seen.
    """
    used = [item for item in samples if len(item.inverse_depth)]
    count = sum(len(item.inverse_depth) for item in used)
    if sum(len(item.inverse_depth) / item.fineness for item in used) < MIN_PIXELS:
        return None
    used = [_thinned(item, patch) for item in used]
    patches = np.concatenate(
        [np.full(len(item.inverse_depth), patch * item.fineness) for item in used]
    )
    prior = np.linalg.inv(covariance)
    state = expected.copy()
    width = WIDEST * float(np.sqrt(covariance[2, 2]) + 0.05)
    information = prior
    residual = np.zeros(0)
    spread = width
    for _ in range(_ITERATIONS):
        parts = [_residuals(item, ground, state) for item in used]
        residual = np.concatenate([part[0] for part in parts])
        slopes = np.concatenate([part[1] for part in parts])
        spread = max(1.48 * float(np.median(np.abs(residual))), 0.005)
        width = max(min(width * 0.6, 6 * spread), 2 * spread)
        weight = 1 / (1 + np.square(residual / width)) ** 2 / spread**2 / patches
        information = prior + (slopes * weight[:, None]).T @ slopes
        gradient = (slopes * weight[:, None]).T @ residual + prior @ (state - expected)
        step = -np.linalg.solve(information, gradient)
        state = state + step
        if np.abs(step).max() < 1e-6:
            break
    agreeing = float((np.abs(residual) < 3 * max(spread, 0.03)).mean())
    if agreeing < MIN_AGREEING or spread > 0.15:
        return None
    found = np.linalg.inv(information) + np.diag([0.0, 0.0, ROUGHNESS**2])
    return RoadFit(state, found, count, agreeing, spread)


def _thinned(samples: RoadSamples, patch: float) -> RoadSamples:
    """Every so many of the samples: neighbours say no more than one, and cost as much."""
    step = min(len(samples.inverse_depth) // MOST_SAMPLES, int(patch * samples.fineness / 4))
    if step < 2:
        return samples
    return RoadSamples(
        samples.rays[::step],
        samples.centre,
        samples.inverse_depth[::step],
        samples.away[::step],
        samples.fineness / step,
    )


def _residuals(
    samples: RoadSamples, ground: GroundPlane, state: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Relative differences of measured from expected inverse depth, and their slopes (n, 3)."""
    pitch, roll, factor = state
    plane = GroundPlane.from_angles(roll, pitch, ground.height)
    height = float(plane.signed_distance(samples.centre))
    down = np.maximum(-(samples.rays @ plane.normal), 1e-6)
    ratio = np.exp(factor) * down / height / samples.inverse_depth
    residual = np.log(ratio)
    slopes = np.empty((len(residual), 3))
    for k, axis in enumerate((_pitch_slope(roll, pitch), _roll_slope(roll, pitch))):
        slopes[:, k] = -(samples.rays @ axis) / down - (samples.centre @ axis) / height
    slopes[:, 2] = 1.0
    return residual, slopes


def _pitch_slope(roll: float, pitch: float) -> NDArray[np.float64]:
    """Change of the normal by pitch."""
    return np.array([np.cos(pitch) * np.cos(roll), 0.0, -np.sin(pitch) * np.cos(roll)])


def _roll_slope(roll: float, pitch: float) -> NDArray[np.float64]:
    """Change of the normal by roll."""
    return np.array([-np.sin(pitch) * np.sin(roll), -np.cos(roll), -np.cos(pitch) * np.sin(roll)])
