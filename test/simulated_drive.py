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
"""What cameras of a vehicle would tell of their mountings: simulated, without any images."""

from __future__ import annotations

import numpy as np

from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.transforms import OPTICAL_AXES, rotation_of_angles
from depth_perception.motion.mounting_evidence import Instant, RayPairs, RoadView, Stretch
from depth_perception.motion.rig_motion import turn

FOCAL = 400.0
LENGTH = 1.5
ROAD_SIGMA = 0.003
INSTANTS = Instant(False, np.eye(4)), Instant(True, np.eye(4))


def mount(x, y, z, yaw, pitch=0.0):
    """T_base_camera of a camera that looks along yaw, and down by pitch (rad)."""
    T = np.eye(4)
    T[:3, :3] = rotation_of_angles(0.0, pitch, yaw) @ OPTICAL_AXES
    T[:3, 3] = [x, y, z]
    return T


MOUNTS = {
    "front": mount(1.6, 0.0, 1.5, 0.0),
    "left": mount(0.8, 0.8, 1.4, np.radians(85)),
    "rear": mount(-0.2, 0.0, 1.4, np.pi),
}


def turned(T, angles):
    """The mounting turned about its own axes: roll, pitch and yaw, degrees."""
    out = T.copy()
    axes = T[:3, :3] @ OPTICAL_AXES.T
    out[:3, :3] = turn(axes @ np.radians(angles)) @ T[:3, :3]
    return out


def stretches(mounts, count, heading=0.0, seed=0, scale=1.0, noise_px=0.2, roads=("front", "rear")):
    """Stretches of a drive that turns by ``heading`` (rad) on each, left and right in turn.

    Odometry's way is longer than the true one by ``scale``. The vehicle nods by 0.2 degrees.
    """
    rng = np.random.default_rng(seed)
    out = []
    for k in range(count):
        yaw = heading if (k // 8) % 2 == 0 else -heading
        nod = np.radians(0.2) * rng.standard_normal(2)
        T_from_to = np.eye(4)
        T_from_to[:3, :3] = rotation_of_angles(nod[0], nod[1], yaw)
        T_from_to[:2, 3] = LENGTH * np.array([np.cos(yaw / 2), np.sin(yaw / 2)])
        T = np.linalg.inv(T_from_to)
        rays, views = [], []
        for index, (name, C) in enumerate(mounts.items()):
            M = np.linalg.inv(C) @ T @ C
            rays.append(_pairs(index, M, rng, noise_px))
            if name in roads:
                views.append(_road(index, C, T, rng))
        told = T.copy()
        told[:3, 3] *= scale
        out.append(Stretch(told, True, rays, views))
    return out


def _pairs(index, M, rng, noise_px):
    depth = rng.uniform(4, 40, 60)
    first = np.c_[rng.uniform(-0.8, 0.8, 60), rng.uniform(-0.4, 0.4, 60), np.ones(60)]
    points = first * depth[:, None] @ M[:3, :3].T + M[:3, 3]
    good = points[:, 2] > 0.5
    second = points[good] / points[good, 2:]
    second[:, :2] += rng.normal(0, noise_px / FOCAL, (good.sum(), 2))
    pair = [item / np.linalg.norm(item, axis=1, keepdims=True) for item in (first[good], second)]
    return RayPairs((index, index), INSTANTS, *pair, FOCAL)


def _road(index, C, T, rng):
    """A look at a flat road, whose plane is seen to within `ROAD_SIGMA` of its length."""
    plane = -(C[:3, :3].T @ GroundPlane().normal) / C[2, 3]
    sigma = ROAD_SIGMA * np.linalg.norm(plane)
    information = np.zeros((9, 9))
    information[:3, :3] = np.eye(3) / sigma**2
    # A plane that is seen with a wrong motion is seen elsewhere.
    information[3:, 3:] = np.eye(6) * 1e-6
    seen = plane + rng.normal(0, sigma, 3)
    motion = np.linalg.inv(C) @ np.linalg.inv(T) @ C
    ahead = C[0, 3] + 6.0 * np.sign(C[0, 2])
    return RoadView(index, INSTANTS, seen, motion, information, np.zeros(9), float(ahead))
