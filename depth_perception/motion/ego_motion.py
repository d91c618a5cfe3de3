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

"""The vehicle's own motion: from set to set, and to the past sets that are matched with.

From set to set it is found from the points of all cameras (`rig_motion`), with odometry or the last
speed as prior. To several past sets at once it is made exact by bundle adjustment (`bundle`). What
the images cannot know is the length of the way: it is odometry's, or, without odometry, carried on
from the first guess; the road says by which factor that is wrong (`road_filter`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.transforms import Matrix, inverse
from depth_perception.motion.bundle import Tracks, refine_motions
from depth_perception.motion.feature_tracks import FeatureTracks
from depth_perception.motion.ground_length import length_from_ground
from depth_perception.motion.keyframes import Keyframe, Keyframes
from depth_perception.motion.odometry import MAX_AHEAD_S, MotionPrior, OdometryTrack
from depth_perception.motion.rig_motion import (
    PointPairs,
    RigMotion,
    part_of_motion,
    solve_rig_motion,
)

MIN_BASELINE_M = 0.1
"""A shorter way measures nothing."""
FIRST_SPEED = 5.0
"""What is guessed before anything is known, m/s."""
LEAST_OF_GUESS = 0.1
"""A first way that came out as a smaller share of the guess is none."""
CARRIED_LENGTH_SIGMA = 0.15
"""Relative deviation of the way when the last speed is carried on."""
UNKNOWN_LENGTH_SIGMA = 1.0
DISAGREEMENT = 3.0
"""Odometry whose rotation or direction is farther off the images', in its deviations, is wrong."""
POSITION_NOISE_M = 0.05
STEP_ROTATION, KEPT_ROTATION = np.radians(0.1), np.radians(0.05)
"""Deviation of the last step's rotation, and of the chain of steps before, rad."""
STEP_DIRECTION, KEPT_DIRECTION = np.radians(2.0), np.radians(1.0)
STEP_LENGTH, KEPT_LENGTH = 0.03, 0.01
"""Likewise of the way, relative; of the last step where odometry has measured it."""
LARGEST_CHANGE, BRAKING = 0.3, 8.0
"""The points change a step's length by no more than this share, and no more than a vehicle that
brakes or gathers speed, m/s^2."""


@dataclass(eq=False)
class CameraTracks:
    """The points of one camera, and its mounting."""

    T_base_camera: Matrix
    focal: float
    tracks: FeatureTracks


class EgoMotion:
    """Follows the vehicle.

    Attributes:
        odometry: Poses that came; fed from outside.
        transforms: Poses that TF has, likewise; used where no odometry comes.
        T_start_now: 4x4, the base frame at present in a frame that drifts: chained motions.
        step: Seconds and motion (T_now_last) of the last step; None while it is not known.
        step_covariance: (6, 6) of that motion, see `RigMotion.covariance`.
        source: Whence the last step: ``odometry``, ``tf``, ``images``, ``standing``, or empty.
    """

    def __init__(self) -> None:
        """Begin with nothing known."""
        self.odometry = OdometryTrack()
        self.transforms = OdometryTrack("TF")
        self.T_start_now: Matrix = np.eye(4)
        self.step: tuple[float, Matrix] | None = None
        self.step_covariance: NDArray[np.float64] = np.zeros((6, 6))
        self.source = ""
        self._by_images = False

    @property
    def problem(self) -> str:
        """What is wrong with odometry: that of a topic goes before TF."""
        return (self.odometry if len(self.odometry) else self.transforms).problem

    def look_at_age(self, stamp: int) -> None:
        """Compare the newest poses with the images of a frame set (ns)."""
        for track in (self.odometry, self.transforms):
            track.watch.look_at_age(track.latest, stamp, MAX_AHEAD_S)

    def go_back(self, stamp: int) -> None:
        """Let odometry follow a jump of time that the images have made back to an instant (ns)."""
        for track in (self.odometry, self.transforms):
            track.go_back(stamp)

    def watch(self, last: int, stamp: int, factor: float, factor_sigma: float) -> None:
        """Compare odometry with what the images made of the last step.

        Args:
            last: Stamp of the last set, ns.
            stamp: Of this one.
            factor: By how much the way is longer than its source says, by the road.
            factor_sigma: Relative standard deviation of that.
        """
        for name, track in (("odometry", self.odometry), ("tf", self.transforms)):
            if self.step is not None and self._by_images:
                track.watch.look_at_turning(last, stamp, self.step[1], track.yaws_between)
            if self.source == name:
                track.watch.look_at_length(stamp, factor, factor_sigma)

    def reset(self) -> None:
        """Forget the way so far."""
        self.T_start_now = np.eye(4)
        self.step = None
        self.source = ""

    def rescale(self, factor: float) -> None:
        """Take the way so far to be longer by a factor."""
        self.T_start_now = stretched(self.T_start_now, factor)
        if self.step is not None:
            self.step = (self.step[0], stretched(self.step[1], factor))

    def advance(
        self,
        cameras: Mapping[str, CameraTracks],
        last: tuple[int, Mapping[str, int]],
        now: tuple[int, Mapping[str, int]],
        ground: GroundPlane,
    ) -> bool:
        """Find the motion from the last set to this one.

        Args:
            cameras: By name.
            last: Stamp of the last set and of each camera's image in it, ns.
            now: The same of this one.
            ground: Where the road is, for a first guess of the length.

        Returns:
            Whether the motion is known.
        """
        seconds = (now[0] - last[0]) * 1e-9
        self.source, found = self._solve(cameras, last, now, seconds, ground)
        if found is None:
            return False
        self.T_start_now = self.T_start_now @ inverse(found.T_to_from)
        self.step, self.step_covariance = (seconds, found.T_to_from), found.covariance
        self._by_images = found.points > 0
        return True

    def _solve(
        self,
        cameras: Mapping[str, CameraTracks],
        last: tuple[int, Mapping[str, int]],
        now: tuple[int, Mapping[str, int]],
        seconds: float,
        ground: GroundPlane,
    ) -> tuple[str, RigMotion | None]:
        pairs = point_pairs(cameras, now[1], last[1], seconds)
        given: tuple[str, MotionPrior] | None = None
        creeping: tuple[str, OdometryTrack, RigMotion] | None = None
        for source, track in (("odometry", self.odometry), ("tf", self.transforms)):
            prior = track.between(last[0], now[0])
            if prior is None:
                continue
            given = given or (source, prior)
            found = solve_rig_motion(pairs, prior)
            if found is not None and found.standing:
                return "standing", found
            if np.linalg.norm(prior.T_to_from[:3, 3]) < MIN_BASELINE_M / 4:
                here = RigMotion(prior.T_to_from, prior.covariance, 0.0, 0)
                creeping = creeping or (source, track, here)
            elif found is not None and _agrees(found, prior, track):
                return source, found
        found = solve_rig_motion(pairs, self._carried_on(seconds))
        if found is None and given is not None:  # the images show nothing, odometry goes on
            return given[0], RigMotion(given[1].T_to_from, given[1].covariance, 0.0, 0)
        if found is None or found.standing:
            return ("standing" if found is not None else ""), found
        length = None
        if creeping is not None or self.step is None:
            length = length_from_ground(pairs, found.T_to_from, ground)
        way = float(np.linalg.norm(found.T_to_from[:3, 3]))
        if creeping is not None:
            source, track, here = creeping
            known = max(0.0 if self.step is None else way, length or 0.0)
            if known < 4 * float(np.linalg.norm(here.T_to_from[:3, 3])) + 0.05:
                return source, here
            track.watch.note("frozen", "it stands while the images move", track.latest)
        if self.step is None and length is not None:
            T = stretched(found.T_to_from, length / way)
            found = RigMotion(T, found.covariance, found.inliers, found.points)
        elif self.step is None and way < LEAST_OF_GUESS * FIRST_SPEED * seconds:
            # Points tell no length, so it should be the guess's: from so wrong a start nothing is
            # measured that would ever set it right. The next set begins anew.
            return "", None
        return "images", found

    def _carried_on(self, seconds: float) -> MotionPrior:
        """Return the motion if the vehicle goes on as before; a guess before it ever moved."""
        if self.step is None or np.linalg.norm(self.step[1][:3, 3]) < 1e-3:
            T = np.eye(4)
            T[0, 3] = -FIRST_SPEED * seconds
            return MotionPrior(T, UNKNOWN_LENGTH_SIGMA, np.radians(40), np.radians(20))
        T = part_of_motion(self.step[1], seconds / self.step[0])
        return MotionPrior(T, CARRIED_LENGTH_SIGMA, np.radians(10), np.radians(5))

    def ways(
        self,
        cameras: Mapping[str, CameraTracks],
        now: tuple[int, Mapping[str, int]],
        keyframes: Keyframes,
    ) -> list[tuple[Keyframe, Matrix]]:
        """Find the motion (T_now_then) from each past set that is to be matched with.

        Args:
            cameras: By name.
            now: Stamp of this set and of each camera's image in it, ns.
            keyframes: To choose from.
        """
        chosen = keyframes.choose(self.T_start_now)
        if not chosen:
            return []
        T_then_now = np.stack([inverse(item.T_start_base) @ self.T_start_now for item in chosen])
        tracks = [self._tracks(cameras[name], name, now, chosen) for name in now[1]]
        found = refine_motions(
            [item for item in tracks if item is not None], T_then_now, self._prior(T_then_now)
        )
        if found is not None:
            self._stretch_step(T_then_now, found[0])
            T_then_now = found[0]
        return [(item, inverse(T)) for item, T in zip(chosen, T_then_now, strict=True)]

    def _stretch_step(self, before: NDArray[np.float64], after: NDArray[np.float64]) -> None:
        """Without odometry, take the last step to be as long as the points say: scale goes on.

        Nothing else of the chain changes: an error of one set's motions would be the prior of the
        next one's, and grow.

        Args:
            before: (K, 4, 4) the chained motions.
            after: (K, 4, 4) what the points say.
        """
        if self.source != "images" or self.step is None:
            return
        seconds, step = self.step
        way = float(np.linalg.norm(step[:3, 3]))
        if way < MIN_BASELINE_M / 4:
            return
        lengths = [np.linalg.norm(item[:, :3, 3], axis=1) for item in (before, after)]
        change = float(np.median(lengths[1] - lengths[0]))
        limit = min(LARGEST_CHANGE, 0.02 + BRAKING * seconds**2 / way)
        factor = 1 + float(np.clip(change / way, -limit, limit))
        T_start_last = self.T_start_now @ step
        self.step = (seconds, stretched(step, factor))
        self.T_start_now = T_start_last @ inverse(self.step[1])

    def _prior(self, T_then_now: NDArray[np.float64]) -> NDArray[np.float64]:
        """Covariance of the chained motions: all of them share the last step."""
        count = len(T_then_now)
        step = np.eye(4) if self.step is None else self.step[1]
        length = STEP_LENGTH if self.source in ("odometry", "tf") else CARRIED_LENGTH_SIGMA
        shared = _twist_covariance(step[:3, 3], STEP_ROTATION, STEP_DIRECTION, length)
        out = np.tile(shared, (count, count))
        for k in range(count):
            at = slice(6 * k, 6 * k + 6)
            out[at, at] += _twist_covariance(
                T_then_now[k, :3, 3], KEPT_ROTATION, KEPT_DIRECTION, KEPT_LENGTH
            )
        return out

    def _tracks(
        self,
        camera: CameraTracks,
        name: str,
        now: tuple[int, Mapping[str, int]],
        chosen: list[Keyframe],
    ) -> Tracks | None:
        stamps = [item.stamps.get(name, -1) for item in chosen]
        seen = camera.tracks.observations(now[1][name], stamps)
        if seen is None:
            return None
        offsets = [self._offsets(item, name, now) for item in chosen]
        before, after = (np.stack(matrices) for matrices in zip(*offsets, strict=True))
        return Tracks(camera.T_base_camera, *seen, camera.focal, before, after)

    def _offsets(
        self, keyframe: Keyframe, name: str, now: tuple[int, Mapping[str, int]]
    ) -> tuple[Matrix, Matrix]:
        """What a camera's own time adds to the motion between two sets.

        Returns:
            4x4 from the base frame at the camera's present image to that at the present set; 4x4
            from that at the past set to that at the camera's past image.
        """
        past = (keyframe.stamps.get(name, keyframe.stamp) - keyframe.stamp) * 1e-9
        # Before the first step nobody knew the speed; the present one is nearest.
        return (
            moved_by(self.step, (now[0] - now[1][name]) * 1e-9),
            moved_by(keyframe.velocity or self.step, past),
        )

    def between_images(
        self, T_now_then: Matrix, keyframe: Keyframe, name: str, now: tuple[int, Mapping[str, int]]
    ) -> Matrix:
        """Turn the motion between two sets into that between a camera's own two images.

        Args:
            T_now_then: 4x4, of `ways`.
            keyframe: The past set.
            name: The camera's.
            now: Stamp of this set and of each camera's image in it, ns.
        """
        before, after = self._offsets(keyframe, name, now)
        return inverse(before) @ T_now_then @ inverse(after)


def _agrees(found: RigMotion, prior: MotionPrior, track: OdometryTrack) -> bool:
    """Tell whether odometry turns and goes nearly as the images say."""
    difference = found.T_to_from[:3, :3] @ prior.T_to_from[:3, :3].T
    angle = float(np.linalg.norm(cv2.Rodrigues(difference)[0]))
    if angle > DISAGREEMENT * prior.rotation_sigma + np.radians(0.2):
        text = f"it turns by {np.degrees(angle):.1f} degrees otherwise than the images"
        track.watch.note("disagrees", text, track.latest)
        return False
    ahead, seen = prior.T_to_from[:3, 3], found.T_to_from[:3, 3]
    along = seen / max(float(np.linalg.norm(seen)), 1e-6)
    beside = float(np.linalg.norm(ahead - (ahead @ along) * along))
    way = float(np.linalg.norm(ahead))
    if beside > DISAGREEMENT * np.tan(prior.direction_sigma) * way + POSITION_NOISE_M:
        text = f"its way leads {beside:.1f} m beside that of the images"
        track.watch.note("disagrees", text, track.latest)
        return False
    return True


def point_pairs(
    cameras: Mapping[str, CameraTracks],
    stamps: Mapping[str, int],
    since: Mapping[str, int],
    seconds: float,
) -> list[PointPairs]:
    """Points of all cameras, from a past set (first) to now (second).

    Args:
        cameras: By name.
        stamps: Of each camera's image now, ns.
        since: Of each camera's image then, ns.
        seconds: Between the two sets.
    """
    out = []
    for name, stamp in stamps.items():
        if name not in since:
            continue
        camera = cameras[name]
        rays = camera.tracks.common(since[name], stamp)
        if rays is not None:
            share = (stamp - since[name]) * 1e-9 / seconds
            out.append(PointPairs(camera.T_base_camera, *rays, camera.focal, share))
    return out


def moved_by(step: tuple[float, Matrix] | None, seconds: float) -> Matrix:
    """Motion of the base frame (T_later_earlier) in a time, at the speed of a step."""
    if step is None or seconds == 0:
        return np.eye(4)
    return part_of_motion(step[1], seconds / step[0])


def stretched(T: Matrix, factor: float) -> Matrix:
    """Return a motion whose way is longer by a factor."""
    out = T.copy()
    out[:3, 3] *= factor
    return out


def _twist_covariance(
    way: NDArray[np.float64], rotation: float, direction: float, length: float
) -> NDArray[np.float64]:
    """Covariance (6, 6) of a motion's twist: way (m) with relative length, rotation (rad)."""
    size = max(float(np.linalg.norm(way)), 0.02)
    along = way / max(float(np.linalg.norm(way)), 1e-9)
    out = np.zeros((6, 6))
    out[:3, :3] = np.outer(along, along) * ((length * size) ** 2 - (direction * size) ** 2)
    out[:3, :3] += np.eye(3) * ((direction * size) ** 2 + 0.002**2)
    out[3:, 3:] = np.eye(3) * rotation**2
    return out
