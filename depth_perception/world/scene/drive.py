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

"""A drive: a street, its traffic and light, and a vehicle that moves through it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from depth_perception.world.objects.mesh import FloatArray, Mesh, join
from depth_perception.world.scene.carriageways import Lane
from depth_perception.world.scene.ground_mesh import ground_mesh
from depth_perception.world.scene.ground_picture import GroundPicture, paint_ground
from depth_perception.world.scene.pace import Pace, draw_pace
from depth_perception.world.scene.paved_areas import dropped_kerbs
from depth_perception.world.scene.plan import StreetPlan, draw_plan
from depth_perception.world.scene.road import STEP, Spine, make_spine, with_crest
from depth_perception.world.scene.roundabout import path, path_heading, with_roundabout
from depth_perception.world.scene.street_builder import build_street
from depth_perception.world.scene.street_contents import (
    Mover,
    PlacedObject,
    StreetContents,
    box_size,
    ground_pose,
)
from depth_perception.world.scene.weather import Sky, draw_sky, with_hard_sun

BEHIND, AHEAD = 75.0, 150.0
"""How far the street goes on behind the start and beyond the end of a drive, m."""


@dataclass(frozen=True)
class Drive:
    """A vehicle's way through a street. World frame `odom`: the spine at s = 0, z up.

    Attributes:
        seed: What it was made from.
        plan: The street.
        spine: Where the road goes.
        contents: What stands and moves.
        still: All that does not move, as one mesh, the ground first.
        picture: What is painted on the ground.
        sky: The light.
        lane: The vehicle's lane; it starts at s = 0.
        speed: Of the vehicle, m/s; the highest, where it changes.
        pace: How that changes over time.
        suspension: (2, 3) amplitude (rad), angular frequency (rad/s) and phase of the body's
            pitch and roll on its springs.
        lifelike: Its cameras are those of `picture.draw_lifelike_sensor`, and are dazzled.
    """

    seed: int
    plan: StreetPlan
    spine: Spine
    contents: StreetContents
    still: Mesh
    picture: GroundPicture
    sky: Sky
    lane: Lane
    speed: float
    pace: Pace
    suspension: FloatArray
    lifelike: bool = False

    def ego_pose(self, time: float) -> NDArray[np.float64]:
        """T_odom_base (4, 4) at `time` seconds: on the road, moved by its springs."""
        T = self._road_pose(time)
        pitch, roll = self.suspension[:, 0] * np.sin(
            self.suspension[:, 1] * time + self.suspension[:, 2]
        )
        cp, sp, cr, sr = np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
        R_springs = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]]) @ np.array(
            [[1, 0, 0], [0, cr, -sr], [0, sr, cr]]
        )
        T[:3, :3] = T[:3, :3] @ R_springs
        return T

    def ego_twist(self, time: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Linear (m/s) and angular (rad/s) velocity (3,) each, in base_link."""
        step = 1e-3
        a, b = self.ego_pose(time - step), self.ego_pose(time + step)
        middle = self.ego_pose(time)
        linear = middle[:3, :3].T @ (b[:3, 3] - a[:3, 3]) / (2 * step)
        spin = middle[:3, :3].T @ (b[:3, :3] - a[:3, :3]) / (2 * step)
        return linear, np.array([spin[2, 1], spin[0, 2], spin[1, 0]])

    def road_plane(self, time: float) -> tuple[NDArray[np.float64], float]:
        """The true ground plane under the vehicle: normal (3,) and height in base_link.

        Points p of the plane hold normal . p = height. It goes through the ground under the
        vehicle's origin and slopes as the road does between its wheels.
        """
        T = np.linalg.inv(self.ego_pose(time)) @ self._road_pose(time)
        normal = T[:3, 2]
        return normal, float(normal @ T[:3, 3])

    def _road_pose(self, time: float) -> NDArray[np.float64]:
        """Pose (4, 4) of the vehicle on stiff springs; it sways a little within its lane."""
        s = self.pace.way(time)
        sway = 0.12 * np.sin(2 * np.pi * s / 83.0)
        t = self.lane.t + sway
        return ground_pose(
            self.spine,
            self.plan.shape,
            s,
            float(path(self.plan, s, t)),
            path_heading(self.plan, s, t),
            base=1.4,
            track=0.75,
        )

    def moving(self, time: float, own_body: Mesh | None = None) -> Mesh | None:
        """Everything that moves, where it is at `time`; None when nothing does."""
        parts = [m.mesh.transformed(self._mover_pose(m, time)) for m in self._present(time)]
        if own_body is not None:
            parts.append(own_body.transformed(self.ego_pose(time)))
        return join(parts) if parts else None

    def objects(self, time: float) -> list[PlacedObject]:
        """Everything that has an instance id, with its box and velocity at `time`."""
        placed = list(self.contents.objects)
        for mover in self._present(time):
            T = self._mover_pose(mover, time)
            later = self._mover_pose(mover, time + 1e-3)
            x, y, z = (later[:3, 3] - T[:3, 3]) / 1e-3
            velocity = (float(x), float(y), float(z))
            placed.append(
                PlacedObject(mover.instance, mover.kind, T, box_size(mover.mesh), velocity)
            )
        return placed

    def _present(self, time: float) -> list[Mover]:
        """Movers that are on the street's stretch at `time`."""
        low, high = self.spine.start + 1.0, self.spine.end - 1.0
        return [m for m in self.contents.movers if low < self._along(m, time) < high]

    def _along(self, mover: Mover, time: float) -> float:
        """Where a mover is at `time`, m along the spine."""
        if mover.follows:
            return mover.s * (1.0 + self.pace.stretch * time) + self.pace.way(time)
        return mover.s + mover.speed * time

    def _mover_pose(self, mover: Mover, time: float) -> NDArray[np.float64]:
        """T_odom_object (4, 4) of a mover at `time` seconds."""
        s, t = self._along(mover, time), mover.t + mover.sideways * time
        return ground_pose(
            self.spine,
            self.plan.shape,
            s,
            float(path(self.plan, s, t)),
            mover.heading + path_heading(self.plan, s, t),
            upright=mover.upright,
        )


def make_drive(
    seed: int,
    *,
    duration: float = 5.0,
    setting: str = "",
    weather: str = "",
    speed: float | None = None,
    flat: bool = False,
    empty: bool = False,
    grade: float | None = None,
    lifelike: bool = False,
) -> Drive:
    """Make a drive; the same arguments give the same drive on every machine.

    Args:
        seed: Which one.
        duration: How long the vehicle will move, s.
        setting: One of `plan.SETTINGS`; empty draws one.
        weather: One of `weather.WEATHERS`; empty draws one.
        speed: Of the vehicle, m/s; by default 2 to 20, as the place allows.
        flat: A level, straight road without crown, and a body without springs.
        empty: Nothing stands or moves on the ground: for tests.
        grade: Constant slope of the road, rise over run, instead of hills.
        lifelike: Have more of what real drives show: vehicles that brake, stop or move off, an own
            lane that draws apart or closes up, tighter bends, hard sun, more shade of trees, pale
            or damp roads; and cameras that change their exposure or look into the sun (`Drive`).

    Raises:
        ValueError: For a setting, weather or number that does not exist.
    """
    if not 0.0 < duration <= 600.0:
        raise ValueError(f"duration={duration} s: expected more than 0 and at most 600")
    if speed is not None and not 0.0 <= speed <= 40.0:
        raise ValueError(f"speed={speed} m/s: expected 0 to 40")
    rng = np.random.default_rng([seed, 11])
    plan = draw_plan(rng, -BEHIND, 900.0, setting=setting, flat=flat)
    if speed is None:
        low, high = {"motorway": (12, 20), "country": (8, 20), "car_park": (2, 4)}.get(
            plan.setting, (2, 14)
        )
        speed = float(rng.uniform(low, high))
    end = speed * duration + AHEAD
    joined = tuple(road for road in plan.shape.side_roads if road.s < end - 15.0)
    paved_areas = tuple(area for area in plan.paved_areas if area.last < end - 5.0)
    shape = replace(plan.shape, side_roads=joined, dropped_kerbs=dropped_kerbs(paved_areas))
    plan = replace(plan, shape=shape, paved_areas=paved_areas)
    if not flat:
        # Chance of its own: streets without a roundabout stay what they were.
        plan = with_roundabout(plan, np.random.default_rng([seed, 12]), end)
    bend = {"motorway": 1 / 400, "country": 1 / 120, "car_park": 0.0}.get(plan.setting, 1 / 170)
    steep = {"motorway": 0.03, "country": 0.08, "suburb": 0.06}.get(plan.setting, 0.03)
    tame = 0.0 if flat else 1.0
    if lifelike:
        bend *= float(np.random.default_rng([seed, 15]).choice([1.0, 1.0, 1.8]))
    spine = make_spine(
        rng,
        -BEHIND,
        end,
        bend=bend * tame * float(rng.choice([0.0, 0.5, 1.0, 1.0])),
        grade=steep * tame * float(rng.choice([0.1, 0.5, 1.0])),
        bank=0.03 * tame * float(rng.choice([0.0, 0.5, 1.0])),
    )
    if grade is None and not flat:
        spine = with_crest(spine, np.random.default_rng([seed, 13]), plan.setting)
    if grade is not None:
        s = spine.start + STEP * np.arange(len(spine.x), dtype=float)
        spine = replace(spine, z=grade * s)
    lanes = plan.driving_lanes(1)
    lane = lanes[int(rng.integers(len(lanes)))]
    beside = [k for k in plan.lanes if k.kind == "service" and k.direction == 1]
    if beside and np.random.default_rng([seed, 14]).uniform() < 0.2:
        lane, speed = beside[0], min(speed, 9.0)
    sky, leafy, road_tone, wet = draw_sky(rng, weather), 1.0, 1.0, 0.0
    if lifelike:
        of_life = np.random.default_rng([seed, 17])
        sky = with_hard_sun(sky, of_life)
        leafy = float(of_life.uniform(0.8, 3.0))
        road_tone = float(np.exp(of_life.uniform(0.0, 0.9)))
        wet = float(of_life.uniform(0.1, 0.6)) if of_life.uniform() < 0.15 else 0.0
    contents = StreetContents()
    if not empty:
        contents = build_street(
            plan, spine, rng, -BEHIND, end, ego_speed=speed, ego_lane=lane, leafy=leafy
        )
    picture = paint_ground(plan, rng, -BEHIND, end, wet=max(sky.rain, wet), road_tone=road_tone)
    still = join([ground_mesh(spine, plan.shape, -BEHIND, end), *contents.still])
    springs = np.stack(
        [
            np.abs(rng.normal(0, [0.004, 0.004])) * tame,
            rng.uniform(4, 9, 2),
            rng.uniform(0, 6.28, 2),
        ],
        axis=1,
    )
    pace = Pace(speed, speed)
    if lifelike:
        pace = draw_pace(np.random.default_rng([seed, 16]), speed, duration)
    return Drive(
        seed, plan, spine, contents, still, picture, sky, lane, speed, pace, springs, lifelike
    )
