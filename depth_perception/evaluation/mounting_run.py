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
"""From a bag to what its drive says of how the cameras are mounted."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from depth_perception.datasets.bag import BagReader
from depth_perception.geometry.camera_view import CameraView, camera_view, working_size
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import Rig
from depth_perception.geometry.transforms import OPTICAL_AXES, Matrix
from depth_perception.motion.calibration import Calibration, calibration_of, solve_mountings
from depth_perception.motion.drive_follower import DriveFollower
from depth_perception.motion.mounting_evidence import MountingModel, Stretch

VIEW_WIDTH = 1280
"""Points are followed in images of at most this width, px."""
ODOMETRY_AHEAD_NS = 100_000_000
MOST_STRETCHES = 400
"""So many stretches are taken from a drive: half a kilometre or more says all that one can."""


@dataclass(frozen=True, eq=False)
class Drive:
    """What was seen on a drive.

    Attributes:
        rig: The rig, as the calibration has it.
        mounts: 4x4 of each camera: from the frame in which its points are seen, which is the
            rectified one, to the base frame.
        ground: The road that goes with it.
        stretches: What was seen.
        sets: How many frame sets were read.
        way: How far the vehicle came, m.
        turned: By how much it turned, rad; left and right both count.
        reasons: Of each camera: why its last images said nothing of the road; empty when they did.
    """

    rig: Rig
    mounts: Sequence[Matrix]
    ground: GroundPlane
    stretches: Sequence[Stretch]
    sets: int
    way: float
    turned: float
    reasons: dict[str, str]

    @property
    def turned_degrees(self) -> float:
        """By how much the vehicle turned in all."""
        return math.degrees(self.turned)


def observe_drive(
    reader: BagReader,
    ground: GroundPlane,
    *,
    limit: int = 0,
    progress: Callable[[], None] = lambda: None,
) -> Drive:
    """Read an opened bag and see what its frame sets say of the mountings.

    Args:
        reader: The opened bag.
        ground: The nominal road plane.
        limit: At most so many frame sets; 0: all.
        progress: Called after each set.
    """
    rig = reader.rig
    names = rig.names
    views: dict[str, CameraView] = {
        camera.name: camera_view(camera, ground, 0, working_size(camera.view, VIEW_WIDTH))
        for camera in rig
    }
    follower = DriveFollower(names, ground)
    poses = iter(reader.odometry)
    waiting = next(poses, None)
    stretches: list[Stretch] = []
    sets = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for frame_set in reader.frame_sets():
            if (limit and sets >= limit) or len(stretches) >= MOST_STRETCHES:
                break
            sets += 1
            while waiting is not None and waiting[0] <= frame_set.stamp + ODOMETRY_AHEAD_NS:
                follower.odometry.add(*waiting)
                waiting = next(poses, None)
            stretch = follower.take(frame_set.stamp, frame_set.frames, views, pool)
            if stretch is not None:
                stretches.append(stretch)
            progress()
    mounts = [views[name].T_base_camera for name in names]
    return Drive(
        rig,
        mounts,
        ground,
        stretches,
        sets,
        follower.way,
        follower.turned,
        follower.observer.reasons,
    )


def solve_drive(drive: Drive) -> Calibration | None:
    """Estimate by how much the cameras of a drive are mounted otherwise than calibrated.

    Returns:
        The estimate; None where the drive has nothing to say: the vehicle never moved, or nothing
        could be followed.
    """
    if not drive.stretches:
        return None
    model = MountingModel(drive.mounts, drive.ground)
    unknowns, covariance = solve_mountings(model, drive.stretches)
    return calibration_of(model, drive.stretches, unknowns, covariance)


def corrected_mountings(
    drive: Drive, calibration: Calibration
) -> tuple[dict[str, Matrix], dict[str, str]]:
    """Return the mountings (4x4) to use, and what was changed of each, by camera."""
    mountings, changes = {}, {}
    for camera, item in zip(drive.rig, calibration.cameras, strict=True):
        mountings[camera.name] = item.applied(camera.T_base_camera)
        axes = OPTICAL_AXES @ camera.T_base_camera[:3, :3].T
        roll, pitch, yaw = (math.degrees(angle) for angle in axes @ item.correction)
        changes[camera.name] = (
            f"roll {roll:+.3f}, pitch {pitch:+.3f}, yaw {yaw:+.3f} deg, height {item.raised:+.3f} m"
        )
    return mountings, changes
