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

"""Machine code of all loops, before the first real image comes.

Numba makes it when a loop first runs, and keeps it: all of motion takes about a minute, once after
an installation. ``python -m depth_perception.motion.warm_up`` does that when a package is built,
nodes do it when they are configured.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.frames.frame_set import CameraFrame
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.camera_view import camera_view
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import RigCamera
from depth_perception.geometry.transforms import OPTICAL_AXES
from depth_perception.motion.matching import Pyramid, Source, census_of, match
from depth_perception.motion.rig_motion import part_of_motion
from depth_perception.motion.surround_motion import SurroundMotion

WIDTH, HEIGHT, FOCAL = 320, 120, 200.0
WALL, STEP, SETS = 12.0, 0.7, 8
"""A wall ahead that the vehicle comes nearer to: m, m for each set, and how many."""
NEAREST = np.geomspace(30.0, 0.3, 16)
"""Nearest depths that make all numbers of steps that a match may have, m."""


def compile_loops() -> None:
    """Drive towards a wall of noise, and match it in all ways."""
    camera = CameraModel(
        WIDTH,
        HEIGHT,
        np.array([[FOCAL, 0, WIDTH / 2 - 0.5], [0, FOCAL, HEIGHT / 2 - 0.5], [0, 0, 1]]),
    )
    mounting = np.eye(4)
    mounting[:3, :3], mounting[2, 3] = OPTICAL_AXES, 1.5
    ground = GroundPlane()
    view = camera_view(RigCamera("front", camera, mounting, "front", camera), ground, 0)
    # Half of the sets are matched, the others take over what was measured.
    motion = SurroundMotion(ground, WIDTH, matching_rate=5.0)
    with ThreadPoolExecutor(1) as pool:
        for k in range(SETS):
            stamp, pose = (k + 1) * 100_000_000, np.eye(4)
            pose[0, 3] = k * STEP
            motion.odometry.add(stamp, pose)
            image = cv2.cvtColor(_wall(WALL - k * STEP), cv2.COLOR_GRAY2BGR)
            frames = {"front": CameraFrame(stamp, np.asarray(image, np.uint8))}
            found = motion.update(stamp, frames, {"front": view}, pool)
            for item in found.measured.values():
                item.on_grid((HEIGHT, WIDTH))  # what was carried along is computed now
            if motion.results.carried("front", view.size) is None:
                depth = np.full((HEIGHT, WIDTH), WALL - k * STEP, np.float32)
                motion.results.keep("front", depth, np.ones_like(depth), np.ones_like(depth))
    part_of_motion(pose, 0.5)  # between the instants of two cameras
    pyramid = Pyramid.of(camera)
    here, before = (pyramid.images(_wall(depth)) for depth in (WALL - 1, WALL))
    T = np.eye(4)
    T[2, 3] = 1.0
    source = Source([census_of(image) for image in before], pyramid.cameras, T)
    for nearest in NEAREST:
        match(here, [census_of(image) for image in here], pyramid, [source], float(nearest))


def _wall(depth: float) -> NDArray[np.uint8]:
    """Grey image (h, w) of a wall of noise at a depth (m)."""
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH)).astype(np.uint8)
    noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), 1.2), np.uint8)
    zoom = WALL / depth
    shift = np.array([[WIDTH / 2 - 0.5], [HEIGHT / 2 - 0.5]]) * (1 - zoom)
    matrix = np.hstack([np.eye(2) * zoom, shift])
    bordered = cv2.warpAffine(noise, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
    return np.asarray(bordered, np.uint8)


if __name__ == "__main__":
    compile_loops()
