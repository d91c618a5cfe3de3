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

"""Consecutive frame sets of a drive with the depth that motion measures, as a vehicle measures it.

In: a drive of a data set with its rig. Out: its frame sets, each with what
`depth_perception.motion.SurroundMotion` measured from the pictures so far, with the calibration
that the vehicle believes in (`T_base_calibrated`) and noisy odometry. It is the very code that runs
in the node, so that a network learns from measurements that fail as they do there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets import labels
from depth_perception.datasets.sample import TrueCamera, TrueFrameSet
from depth_perception.datasets.shards import MEASURED_LAYERS
from depth_perception.frames.frame_set import CameraFrame
from depth_perception.geometry.camera_view import CameraView, camera_view
from depth_perception.geometry.rig import RigCamera
from depth_perception.geometry.transforms import rotation_of_angles, transform_points
from depth_perception.motion.measured_depth import MeasuredDepth
from depth_perception.motion.range_points import RangeScan
from depth_perception.motion.surround_matching import Measured
from depth_perception.motion.surround_motion import Motion, SurroundMotion
from depth_perception.parameters import Parameters
from depth_perception.rig.builder import nominal_ground
from depth_perception.world.output.dataset_plan import (
    DatasetPlan,
    DrivePlan,
    render_camera,
    set_facts,
    true_ground,
)
from depth_perception.world.output.odometry import OdometryNoise, draw_odometry, noisy_poses
from depth_perception.world.output.rigs import MountedCamera, WorldRig
from depth_perception.world.output.sensors import SensorSuite

START = 1_700_000_000_000_000_000
"""Stamp of time 0, ns."""
OVERLAP_SHARE = 0.1
"""Where cameras are matched with each other, neighbours of a surround rig are, too."""


@dataclass(frozen=True)
class Vehicle:
    """How a vehicle measures.

    Attributes:
        odometry: What is wrong with it.
        delays: When each camera's shutter opens after the start of a set, s.
        late: By how much its stamps are too late, s.
        jitter: Standard deviation of the shutters' times, s.
        overlap: Cameras are matched with each other, too.
        lidar: Range points are at hand.
        masked: It knows its own body in the images.
    """

    odometry: OdometryNoise
    delays: Mapping[str, float]
    late: Mapping[str, float]
    jitter: float
    overlap: bool
    lidar: bool
    masked: bool


def draw_vehicle(rng: np.random.Generator, rig: WorldRig, duration: float) -> Vehicle:
    """Draw how a vehicle with this rig measures; most of them as they should."""
    odometry = draw_odometry(rng, duration)
    names = [camera.name for camera in rig.cameras]
    free_running, loose = rng.uniform() < 0.25, rng.uniform() < 0.3
    usual = [camera.delay for camera in rig.cameras]
    own = rng.uniform(0.0, 0.03, len(names)).tolist()
    late = rng.normal(0.0, 0.003, len(names)).tolist()
    return Vehicle(
        odometry=odometry,
        delays=dict(zip(names, own if free_running else usual, strict=True)),
        late=dict(zip(names, late if loose else [0.0] * len(names), strict=True)),
        jitter=0.002 if free_running else 0.0,
        overlap=bool(rng.uniform() < 0.1),
        lidar=bool(rng.uniform() < 0.1),
        masked=bool(rng.uniform() < 0.88),
    )


def wrongly_loaded(rig: WorldRig, rng: np.random.Generator) -> WorldRig:
    """Tilt and lift a rig's calibration as a load does; a quarter of all by up to a degree."""
    most = 1.0 if rng.uniform() < 0.25 else 0.25
    roll, pitch = np.radians(rng.uniform(-most, most, 2) * (0.5, 1.0))
    tilt = np.eye(4)
    tilt[:3, :3] = rotation_of_angles(roll, pitch, 0.0)
    tilt[2, 3] = rng.normal(0.0, 0.015)
    cameras = (replace(c, T_base_calibrated=tilt @ c.T_base_calibrated) for c in rig.cameras)
    return replace(rig, cameras=tuple(cameras))


def measured_sets(
    plan: DatasetPlan,
    drive: DrivePlan,
    suite: SensorSuite,
    check: Callable[[], None] = lambda: None,
) -> Iterator[TrueFrameSet]:
    """Drive through the frame sets of a drive and measure; yield those that are to be stored.

    Args:
        plan: Of the data set.
        drive: Its times, and those before them that only serve to measure.
        suite: Of `dataset_plan.open_drive`.
        check: Called between the cameras, and may raise.
    """
    rng = np.random.default_rng([drive.seed, 31])
    rig = wrongly_loaded(suite.rig, rng)
    vehicle = draw_vehicle(rng, rig, drive.duration)
    poses = noisy_poses(suite.drive, vehicle.odometry, drive.duration, rng)
    parameters = Parameters()
    ground = nominal_ground(parameters.ground)
    width = parameters.motion.image_width
    motion = SurroundMotion(ground, width, OVERLAP_SHARE if vehicle.overlap else None)
    views: dict[str, CameraView] = {}
    with ThreadPoolExecutor(1) as pool:
        for number, time in enumerate((*drive.before, *drive.times)):
            stored = number >= len(drive.before)
            frames, cameras = {}, []
            for camera in rig.cameras:
                check()
                at = time + vehicle.delays[camera.name] + vehicle.jitter * rng.standard_normal()
                truth = render_camera(plan, suite, camera, at)
                if camera.name not in views:
                    mask = truth.label == labels.OWN_BODY if vehicle.masked else None
                    views[camera.name] = camera_view(_believed(camera, mask), ground, 0)
                stamp = _stamp(at + vehicle.late[camera.name])
                frames[camera.name] = CameraFrame(stamp, truth.image)
                cameras.append(truth)
            end = time + max(vehicle.delays.values())
            while poses and poses[0][0] <= end:
                _, stamped, T_odom_base = poses.pop(0)
                motion.odometry.add(_stamp(stamped), T_odom_base)
            if vehicle.lidar:
                motion.range.add(_scan(suite, time, parameters.motion.range_sigma, rng))
            first = min(frame.stamp for frame in frames.values())
            moved = motion.update(first, frames, views, pool)
            if not stored:
                continue
            index = number - len(drive.before)
            facts = {
                **set_facts(drive, suite, index),
                "stamps": {name: frame.stamp for name, frame in frames.items()},
                "motion": _motion_facts(moved, vehicle),
            }
            key = f"{drive.number * plan.sets_per_drive + index:08d}"
            measured = tuple(_with_measured(c, moved.measured.get(c.name), width) for c in cameras)
            yield TrueFrameSet(key, measured, true_ground(suite, time), facts, moved.ground)


def _stamp(time: float) -> int:
    return START + round(time * 1e9)


def _believed(camera: MountedCamera, mask: NDArray[np.bool_] | None) -> RigCamera:
    """A camera as its calibration says; its images stay as they are, and so does the truth."""
    model = camera.model
    name = camera.name
    return RigCamera(name, model, camera.T_base_calibrated, name, model, ego_mask=mask)


def _scan(suite: SensorSuite, time: float, sigma: float, rng: np.random.Generator) -> RangeScan:
    """A scan, thinned: most vehicles' scanners have fewer beams than the rigs' of data sets."""
    points = suite.scan(time)[:, :3]
    points = points[rng.uniform(size=len(points)) < float(rng.choice([0.03, 0.1, 0.5]))]
    placed = transform_points(suite.rig.lidar.T_base_lidar, points)
    return RangeScan(_stamp(time), placed, np.full(len(placed), sigma, np.float32))


def _with_measured(camera: TrueCamera, item: Measured | None, width: int) -> TrueCamera:
    if item is None:
        columns = min(width, camera.model.width)
        rows = max(1, round(camera.model.height * columns / camera.model.width))
        nothing = np.full((rows, columns), np.nan, np.float32)
        item = MeasuredDepth(nothing, nothing, np.zeros((rows, columns), np.uint8))
    values: tuple[NDArray[Any], ...] = (item.inverse_depth, item.sigma, item.kind)
    layers = {**camera.layers, **dict(zip(MEASURED_LAYERS, values, strict=True))}
    return replace(camera, layers=layers)


def _motion_facts(moved: Motion, vehicle: Vehicle) -> dict[str, Any]:
    """What is known of how it was measured, for whoever looks for where errors come from."""
    numbers = {
        "speed": moved.speed,
        "length_factor": moved.length_factor,
        "length_factor_sigma": moved.length_factor_sigma,
    }
    noise = {k: _finite(v) for k, v in asdict(vehicle.odometry).items()}
    return {
        "source": moved.source,
        "problem": moved.problem,
        **{name: _finite(value) for name, value in numbers.items()},
        "odometry": noise,
        "overlap": vehicle.overlap,
        "lidar": vehicle.lidar,
        "masked": vehicle.masked,
    }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
