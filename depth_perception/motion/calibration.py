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
"""How the cameras are really mounted, from a drive: all stretches of the way at once.

In: stretches (`mounting_observer`). Out: of each camera the rotation and height by which its
mounting is wrong, with standard deviations. Gauss-Newton over the mountings and the motion of each
stretch together, with robust weights that narrow from coarse to fine.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.transforms import OPTICAL_AXES, Matrix
from depth_perception.motion.mounting_evidence import OF_CAMERA, MountingModel, Stretch, Vector
from depth_perception.motion.rig_motion import turn

_WIDTHS = (8.0, 4.0, 2.0, 1.2, 0.8, 0.5, 0.5, 0.5, 0.5, 0.5)
"""Widths of the robust weight, px, from the first iteration to the last."""
KNOWN_ROTATION = np.radians(0.75)
"""An angle with a larger standard deviation has not been estimated."""
KNOWN_HEIGHT = 0.04
"""The same of a height, m: little better than what was assumed of it."""
SIGNIFICANT = 2.0
"""What is not more than so many deviations is left as it is calibrated: of one camera, and what all
of them share. A rig is what the user says it is, unless the drive says otherwise."""
ANGLES = ("roll", "pitch", "yaw")


@dataclass(frozen=True, eq=False)
class MountingError:
    """By how much one camera's mounting differs from its calibration.

    Angles are about the camera's own axes: roll about where it looks, positive when its right side
    is lower than calibrated; pitch, positive when it looks lower; yaw, positive when it looks
    farther to the left.

    Attributes:
        rotation: (3,) roll, pitch and yaw against the vehicle, rad.
        rotation_sigma: (3,) their standard deviations.
        relative: (3,) the same against the rig as a whole.
        relative_sigma: (3,) their standard deviations; of a camera alone NaN.
        height: m, positive when it is mounted higher.
        height_sigma: Its standard deviation.
        correction: (3,) rotation vector, about the axes of the base frame through the camera's
            centre, that takes out of the calibration what was estimated of the error, rad.
        raised: By how much the camera is moved up with it, m.
        stretches: On how many its points were followed.
        roads: On how many it saw the road.
        shared: How many points it was found to see together with other cameras.
    """

    rotation: Vector
    rotation_sigma: Vector
    relative: Vector
    relative_sigma: Vector
    height: float
    height_sigma: float
    correction: Vector
    raised: float
    stretches: int
    roads: int
    shared: int

    @property
    def known(self) -> NDArray[np.bool_]:
        """(3,) which of the angles were estimated against the vehicle."""
        return np.asarray(self.rotation_sigma < KNOWN_ROTATION)

    @property
    def relative_known(self) -> NDArray[np.bool_]:
        """(3,) which of the angles were estimated against the rig."""
        return np.asarray(self.relative_sigma < KNOWN_ROTATION)

    @property
    def height_known(self) -> bool:
        """Whether the height was estimated."""
        return self.height_sigma < KNOWN_HEIGHT

    def applied(self, T_base_camera: Matrix) -> Matrix:
        """Return the corrected mounting (4x4) of one that was calibrated."""
        out = T_base_camera.copy()
        out[:3, :3] = turn(self.correction) @ T_base_camera[:3, :3]
        out[2, 3] += self.raised
        return out


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a drive says of the mountings of a rig.

    Attributes:
        cameras: By how much each is wrong, in the rig's order.
        shared: (3,) rotation vector about the axes of the base frame that all cameras share, rad:
            an error of the base frame, or how the vehicle is loaded.
        shared_sigma: (3,) its standard deviations.
        length_factor: By how much the way was longer than odometry said.
    """

    cameras: Sequence[MountingError]
    shared: Vector
    shared_sigma: Vector
    length_factor: float

    @property
    def shared_used(self) -> NDArray[np.bool_]:
        """(3,) which angles of what all cameras share are taken out."""
        return np.asarray(
            (np.abs(self.shared) > SIGNIFICANT * self.shared_sigma)
            & (self.shared_sigma < KNOWN_ROTATION)
        )


def solve_mountings(
    model: MountingModel, stretches: Sequence[Stretch]
) -> tuple[Vector, NDArray[np.float64]]:
    """Estimate the global unknowns from all stretches.

    Returns:
        (size,) the unknowns of `MountingModel`, and (size, size) their covariance.
    """
    unknowns = np.zeros(model.size)
    states = [model.first_state(stretch) for stretch in stretches]
    prior = model.prior()
    information = prior
    for width in _WIDTHS:
        information, gradient = prior.copy(), prior @ unknowns
        equations = [
            model.equations(stretch, state, unknowns, width)
            for stretch, state in zip(stretches, states, strict=True)
        ]
        for item in equations:
            more, pull = item.eliminated()
            information += more
            gradient += pull
        step = np.asarray(-np.linalg.solve(information, gradient))
        unknowns = unknowns + step
        states = [
            model.moved(state, item.local_step(step))
            for state, item in zip(states, equations, strict=True)
        ]
    return unknowns, np.asarray(np.linalg.inv(information))


def calibration_of(
    model: MountingModel,
    stretches: Sequence[Stretch],
    unknowns: Vector,
    covariance: NDArray[np.float64],
) -> Calibration:
    """Say of each camera by how much its mounting is wrong.

    Args:
        model: The rig.
        stretches: What the estimate is from.
        unknowns: (size,) of it.
        covariance: (size, size) of it.
    """
    count = len(model)
    of_cameras = unknowns[: OF_CAMERA * count].reshape(count, OF_CAMERA)
    variance = np.diag(covariance)[: OF_CAMERA * count].reshape(count, OF_CAMERA)
    mean = np.zeros((3, model.size))
    shared = np.zeros(3)
    for axis in range(3):
        # A camera of which nothing is known about an axis does not take part.
        among = variance[:, axis] < 4 * variance[:, axis].min()
        shared[axis] = _middle(of_cameras[among, axis])
        mean[axis, axis : OF_CAMERA * count : OF_CAMERA] = among / among.sum()
    shared_sigma = np.sqrt(np.diag(mean @ covariance @ mean.T))
    out = Calibration([], shared, shared_sigma, float(np.exp(unknowns[OF_CAMERA * count])))
    errors = []
    for camera in range(count):
        part = slice(OF_CAMERA * camera, OF_CAMERA * (camera + 1))
        # From the axes of the base frame to the camera's own: x ahead, y left, z up.
        axes = (model.mounting(camera, np.zeros(model.size))[:3, :3] @ OPTICAL_AXES.T).T
        found, spread = unknowns[part], covariance[part, part]
        against = -mean
        against[:, part][:, :3] += np.eye(3)
        between = against @ covariance @ against.T
        relative = axes @ (found[:3] - shared)
        relative_sigma = np.sqrt(np.diag(axes @ between @ axes.T))
        if count == 1:
            relative_sigma = np.full(3, np.nan)
        height_sigma = float(np.sqrt(spread[3, 3]))
        # What all share is taken out of a camera only where it is known to share it.
        known = relative_sigma < KNOWN_ROTATION if count > 1 else np.ones(3, dtype=bool)
        told = np.abs(relative) > SIGNIFICANT * np.nan_to_num(relative_sigma)
        wrong = np.where(told, relative, 0.0) + axes @ np.where(out.shared_used, shared, 0.0)
        used = axes.T @ np.where(known, wrong, 0.0)
        raised = float(found[3])
        if height_sigma >= KNOWN_HEIGHT or abs(raised) <= SIGNIFICANT * height_sigma:
            raised = 0.0
        errors.append(
            MountingError(
                axes @ found[:3],
                np.sqrt(np.diag(axes @ spread[:3, :3] @ axes.T)),
                relative,
                relative_sigma,
                float(found[3]),
                height_sigma,
                used,
                raised,
                sum(any(r.cameras == (camera, camera) for r in s.rays) for s in stretches),
                sum(any(road.camera == camera for road in s.roads) for s in stretches),
                sum(
                    len(r.first)
                    for s in stretches
                    for r in s.rays
                    if camera in r.cameras and r.cameras[0] != r.cameras[1]
                ),
            )
        )
    return dataclasses.replace(out, cameras=errors)


def _middle(angles: Vector) -> float:
    """Return the angle that most of the cameras (n,) share.

    The median, which one camera that was moved does not change. Of two cameras the one is taken to
    be right that is less wrong against the vehicle.
    """
    if len(angles) == 2:
        return float(angles[int(np.argmin(np.abs(angles)))])
    return float(np.median(angles))
