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

"""Odometry as vehicles have it: of the wrong length, drifting, noisy, late, flat, or not there.

In: a drive of the synthetic world. Out: stamped poses that are as wrong as wheels, gyroscopes and
GPS of real vehicles are (docs/motion.md), and when each of them arrives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from depth_perception.geometry.transforms import Matrix, inverse
from depth_perception.world.scene.drive import Drive

BEFORE_S = 0.6
"""Poses begin so long before the first image, s."""


@dataclass(frozen=True)
class OdometryNoise:
    """What is wrong with a vehicle's odometry.

    Attributes:
        rate: Poses a second; 0: there is no odometry.
        length: Factor on the way.
        turn: Factor on rotations.
        drift: Of the heading, rad/s.
        aside: The base frame is turned by so much to the left of where it is said to be, rad.
        position: Standard deviation of each pose's position, m.
        rotation: Standard deviation of each pose's rotation about each axis, rad.
        flat: Poses have neither height nor slope nor roll.
        late: Their stamps are so much after their instants, s.
        arrival: They arrive so long after their stamps, s.
        frozen: From here on the pose does not change any more, s; never when infinite.
        jump: At this instant the frame jumps by some metres, s; never when infinite.
    """

    rate: float = 50.0
    length: float = 1.0
    turn: float = 1.0
    drift: float = 0.0
    aside: float = 0.0
    position: float = 0.0
    rotation: float = 0.0
    flat: bool = False
    late: float = 0.0
    arrival: float = 0.0
    frozen: float = float("inf")
    jump: float = float("inf")


def draw_odometry(rng: np.random.Generator, duration: float) -> OdometryNoise:
    """Draw a vehicle's odometry: a fifth have none, a tenth one that fails on the way."""
    none, good = rng.uniform() < 0.2, rng.uniform() < 0.35
    fails, when = rng.uniform(), float(rng.uniform(0.2, 0.9) * duration)
    wrong = 0.3 if good else 1.0
    return OdometryNoise(
        rate=0.0 if none else float(rng.choice([10.0, 20.0, 50.0, 100.0])),
        length=float(np.exp(np.clip(rng.normal(0.0, 0.03 * wrong), -0.09, 0.09))),
        turn=float(1.0 + rng.normal(0.0, 0.01 * wrong)),
        drift=float(np.radians(rng.normal(0.0, 0.2 * wrong))),
        aside=float(np.radians(rng.normal(0.0, 0.6 * wrong))),
        position=float(wrong * rng.choice([0.0, 0.002, 0.01, 0.02])),
        rotation=float(wrong * np.radians(rng.choice([0.0, 0.01, 0.05, 0.1]))),
        flat=bool(rng.uniform() < 0.35),
        late=0.0 if good else float(rng.choice([0.0, 0.0, 0.01, 0.03, 0.08])),
        arrival=float(rng.choice([0.0, 0.005, 0.02, 0.05])),
        frozen=when if fails < 0.05 else float("inf"),
        jump=when if 0.05 <= fails < 0.1 else float("inf"),
    )


def noisy_poses(
    drive: Drive, noise: OdometryNoise, duration: float, rng: np.random.Generator
) -> list[tuple[float, float, Matrix]]:
    """Make a drive's odometry, in the order of time.

    Args:
        drive: Where the vehicle goes.
        noise: What is wrong.
        duration: Until when, s.
        rng: Of the noise.

    Returns:
        For each pose when it arrives, its stamp (both s of the drive), and T_odom_base (4, 4).
    """
    if not noise.rate:
        return []
    count = int(np.ceil((duration + BEFORE_S) * noise.rate)) + 1
    instants = -BEFORE_S + np.arange(count) / noise.rate
    heading = _about_z(noise.aside)
    before = drive.ego_pose(float(instants[0]))
    place = before.copy()
    poses = []
    for k, instant in enumerate(instants):
        now = drive.ego_pose(min(float(instant), noise.frozen))
        step = inverse(before) @ now
        angle = np.arctan2(step[1, 0], step[0, 0])
        step[:3, 3] *= noise.length
        moves = np.linalg.norm(step[:3, 3]) > 0
        more = (noise.turn - 1.0) * angle + (noise.drift / noise.rate if k and moves else 0.0)
        place = place @ step @ _about_z(more)
        before = now
        said = place @ heading
        if instant >= noise.jump:
            said[:2, 3] += (3.0, -2.0)
        said[:3, 3] += rng.normal(0.0, noise.position, 3)
        said[:3, :3] = said[:3, :3] @ _small_turn(rng.normal(0.0, noise.rotation, 3))
        if noise.flat:
            yaw = float(np.arctan2(said[1, 0], said[0, 0]))
            flat = _about_z(yaw)
            flat[:2, 3] = said[:2, 3]
            said = flat
        stamp = float(instant) + noise.late
        poses.append((stamp + noise.arrival, stamp, said))
    return poses


def _about_z(angle: float) -> Matrix:
    T = np.eye(4)
    T[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return T


def _small_turn(angles: np.ndarray) -> np.ndarray:
    x, y, z = angles
    u, _, v = np.linalg.svd(np.array([[1, -z, y], [z, 1, -x], [-y, x, 1.0]]))
    return np.asarray(u @ v)
