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

"""What a data set of the synthetic world is made of: which drives, rigs and instants.

In: a seed, rigs, an image size. Out: a plan of every drive by its number alone, so that any process
can make any of them, and the frame sets that it yields, which `dataset` writes into shards. All
cameras of a set see the same instant, unless the sets are measured (`measured_sets`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from depth_perception.datasets.sample import TrueCamera, TrueFrameSet
from depth_perception.datasets.shards import TRUTH_LAYERS
from depth_perception.errors import ConfigurationError
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.world.output.rigs import RIGS, MountedCamera, make_rig

if TYPE_CHECKING:
    from depth_perception.world.output.sensors import SensorSuite

SETS_PER_SHARD = 48
"""About how many frame sets a shard has: whole drives only."""


@dataclass(frozen=True)
class DrivePlan:
    """One drive of a data set.

    Attributes:
        number: Its index in the data set.
        seed: Of `drive.make_drive`.
        rig: Name of the rig's family.
        rig_seed: Of `rigs.make_rig`.
        miscalibration: Of the rig, degrees.
        times: When its frame sets are taken, s.
        duration: Of the drive, s.
        before: Instants before them at which is looked, too, but nothing stored, s.
    """

    number: int
    seed: int
    rig: str
    rig_seed: int
    miscalibration: float
    times: tuple[float, ...]
    duration: float
    before: tuple[float, ...] = ()


@dataclass(frozen=True)
class DatasetPlan:
    """What a data set is made from; everything else follows.

    Attributes:
        seed: Of everything.
        width: Of the images, px.
        height: Of the images, px.
        sets_per_drive: Frame sets of one drive.
        rigs: Families of rigs to draw from.
        truth: Layers to store beside depth and label, see `shards.TRUTH_LAYERS`.
        samples: Rays a pixel for the light; truth is that of the pixel's centre.
        miscalibration: Typical error of the calibration, degrees.
        spacing: Mean time between two sets of a drive, s: 2.5 for sets that differ, a quarter for
            sets that look at the same things.
        measured: Sets follow each other as a vehicle's do, with what motion measured (see
            `measured_sets`): the spacing is drawn.
    """

    seed: int = 0
    width: int = 640
    height: int = 352
    sets_per_drive: int = 6
    rigs: tuple[str, ...] = RIGS
    truth: tuple[str, ...] = ()
    samples: int = 1
    miscalibration: float = 0.2
    spacing: float = 2.5
    measured: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        for name, value, least in (
            ("width", self.width, 32),
            ("height", self.height, 32),
            ("samples", self.samples, 1),
            ("sets_per_drive", self.sets_per_drive, 1),
            ("seed", self.seed, 0),
            ("miscalibration", self.miscalibration, 0),
            ("spacing", self.spacing, 0.02),
        ):
            if value < least:
                raise ConfigurationError(f"{name}={value}", expected=f"at least {least}")
        for name, given, known in (("rigs", self.rigs, RIGS), ("truth", self.truth, TRUTH_LAYERS)):
            wrong = [item for item in given if item not in known]
            if wrong or (name == "rigs" and not given):
                raise ConfigurationError(
                    f"{name}={', '.join(given) or 'nothing'}",
                    expected=f"some of {', '.join(known)}",
                )

    @property
    def drives_per_shard(self) -> int:
        """Drives that share a shard."""
        return max(1, SETS_PER_SHARD // self.sets_per_drive)

    def drive(self, number: int, sets: int | None = None) -> DrivePlan:
        """Draw a drive; only its first `sets` frame sets are to be taken."""
        rng = np.random.default_rng([self.seed, 41, number])
        seed, rig_seed = (int(k) for k in rng.integers(1 << 31, size=2))
        rig = self.rigs[int(rng.integers(len(self.rigs)))]
        miscalibration = self.miscalibration * abs(float(rng.normal()))
        if self.measured:
            before, times = _consecutive(rng, self.sets_per_drive)
            duration = times[-1] + 0.3
            miscalibration *= float(rng.choice([0.3, 1.0, 1.0]))
            return DrivePlan(
                number, seed, rig, rig_seed, miscalibration, times[:sets], duration, before
            )
        positions = np.arange(self.sets_per_drive) + rng.uniform(0.2, 0.8, self.sets_per_drive)
        times = tuple(round(float(t), 3) for t in positions * self.spacing)
        duration = max(self.spacing * self.sets_per_drive, 1.0)
        return DrivePlan(number, seed, rig, rig_seed, miscalibration, times[:sets], duration)


def _consecutive(
    rng: np.random.Generator, sets: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Instants to look at before, and those of the sets: at the rates of real cameras.

    Depth is measured from the second set on, and best from the fourth. An eighth of the drives are
    stored from the first on.
    """
    rate = float(rng.choice([2.0, 5.0, 10.0, 10.0, 12.0]))
    usual = {2.0: 2, 5.0: 3}.get(rate, 4)
    before = 0 if rng.uniform() < 0.125 else usual
    times = tuple(round(0.05 + k / rate, 6) for k in range(before + sets))
    return times[:before], times[before:]


def open_drive(plan: DatasetPlan, drive: DrivePlan) -> SensorSuite:
    """Make a drive of a data set and put its rig onto it: seconds of work."""
    from depth_perception.world.output.sensors import SensorSuite
    from depth_perception.world.scene.drive import make_drive

    rig = make_rig(
        drive.rig,
        width=plan.width,
        height=plan.height,
        seed=drive.rig_seed,
        miscalibration=drive.miscalibration,
    )
    way = make_drive(drive.seed, duration=drive.duration, lifelike=plan.measured)
    return SensorSuite(way, rig)


def render_set(
    plan: DatasetPlan,
    drive: DrivePlan,
    suite: SensorSuite,
    index: int,
    check: Callable[[], None] = lambda: None,
) -> TrueFrameSet:
    """Render one frame set of a drive; `check` is called between the cameras and may raise."""
    time = drive.times[index]
    cameras = []
    for camera in suite.rig.cameras:
        check()
        cameras.append(render_camera(plan, suite, camera, time))
    facts = set_facts(drive, suite, index)
    key = f"{drive.number * plan.sets_per_drive + index:08d}"
    return TrueFrameSet(key, tuple(cameras), true_ground(suite, time), facts)


def render_camera(
    plan: DatasetPlan, suite: SensorSuite, camera: MountedCamera, time: float
) -> TrueCamera:
    """Render what one camera of a rig sees at an instant."""
    view = suite.view(camera, time, samples=plan.samples)
    return TrueCamera(
        camera.name,
        camera.model,
        camera.T_base_camera,
        camera.T_base_calibrated,
        suite.picture(camera, view, time),
        view.depth,
        view.label,
        {name: getattr(view, name) for name in plan.truth},
    )


def true_ground(suite: SensorSuite, time: float) -> GroundPlane:
    """The true ground plane under the vehicle."""
    normal, height = suite.drive.road_plane(time)
    return GroundPlane(normal, height, source="external")


def set_facts(drive: DrivePlan, suite: SensorSuite, index: int) -> dict[str, Any]:
    """What else is known of a frame set, see `TrueFrameSet.facts`."""
    time = drive.times[index]
    weather = {name: np.asarray(value).tolist() for name, value in asdict(suite.drive.sky).items()}
    return {
        "rig": drive.rig,
        "rig_seed": drive.rig_seed,
        "miscalibration": drive.miscalibration,
        "seed": drive.seed,
        "setting": suite.drive.plan.setting,
        "weather": weather,
        "time": time,
        "speed": suite.drive.pace.speed(time),
        "drive": drive.number,
        "index": index,
        "T_odom_base": suite.drive.ego_pose(time).tolist(),
    }
