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
"""From frame sets to stretches of the way: what the images say of how cameras are mounted.

A stretch ends when the vehicle has come far enough, or turned, since it began. For calibration
from a drive (`calibration`) and for the watch while driving (`mounting_watch`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.transforms import Matrix, inverse
from depth_perception.motion.camera_overlap import MIN_POINTS, Overlap, find_overlap, matched
from depth_perception.motion.feature_tracks import FeatureTracks
from depth_perception.motion.mounting_evidence import Instant, RayPairs, RoadView, Stretch
from depth_perception.motion.odometry import OdometryTrack
from depth_perception.motion.rig_motion import turn
from depth_perception.motion.road_alignment import align, lane_pixels

STRETCH_M = 1.2
"""A stretch is so long at least, m."""
LONGEST_M = 6.0
"""What is longer, as between rare images, is left out: nothing is followed so far."""
STRETCH_TURN = np.radians(6.0)
"""Or the vehicle has turned so much on it, and come `SHORTEST_M`."""
SHORTEST_M = 0.3
MIN_FOLLOWED = 15
"""With fewer points of a camera that were seen at both ends, they say nothing."""


Rays = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CameraImage:
    """One camera's image of a frame set, and its points.

    Attributes:
        T_base_camera: 4x4, its mounting.
        grid: Model of ``image``.
        image: (h, w) uint8, grey.
        mask: (h, w) bool, true on the own body and where nothing is seen.
        tracks: Its points, with the image of ``stamp`` taken in.
        focal: Pixels per radian of the image in which they are followed.
        stamp: ns.
        lead: 4x4, the motion of the base frame from the frame set's instant to the image's.
    """

    T_base_camera: Matrix
    grid: CameraModel
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    tracks: FeatureTracks
    focal: float
    stamp: int
    lead: Matrix


@dataclass(frozen=True, eq=False)
class Passage:
    """The images at both ends of a stretch, for `MountingObserver.look`.

    Attributes:
        began: Stamp of the frame set at its beginning, ns.
        ended: The same at its end.
        before: Images at its beginning.
        after: Images at its end.
        points: Rays of the points that each camera saw at both, see `FeatureTracks.common`.
        T_to_from: 4x4, the motion.
        by_odometry: Its length is odometry's.
    """

    began: int
    ended: int
    before: Mapping[str, CameraImage]
    after: Mapping[str, CameraImage]
    points: Mapping[str, tuple[Rays, Rays]]
    T_to_from: Matrix
    by_odometry: bool


class MountingObserver:
    """Cuts the way into stretches. Remembers one frame set: that at which the stretch began."""

    def __init__(self, names: Sequence[str], ground: GroundPlane) -> None:
        """Begin.

        Args:
            names: The cameras; a stretch names them by their place in here.
            ground: The road that the mounting describes.
        """
        self._names = list(names)
        self._ground = ground
        self._overlaps: dict[tuple[str, str], Overlap | None] = {}
        self._begin: tuple[int, Mapping[str, CameraImage]] | None = None
        self._T = np.eye(4)
        self._by_odometry = True
        self.reasons: dict[str, str] = {}
        """Of each camera: why the last stretch tells nothing of the road; empty when it does."""

    @property
    def stamps(self) -> list[int]:
        """Stamps of the images whose points must not be forgotten, ns."""
        return [] if self._begin is None else [item.stamp for item in self._begin[1].values()]

    def reset(self) -> None:
        """Forget where the stretch began."""
        self._begin = None

    def observe(
        self, stamp: int, cameras: Mapping[str, CameraImage], step: Matrix | None, by_odometry: bool
    ) -> Passage | None:
        """Take a frame set.

        Args:
            stamp: Of the set, ns.
            cameras: What of ``names`` is in it.
            step: 4x4, the motion since the last set (T_now_last); None when it is not known.
            by_odometry: The length of that is odometry's.

        Returns:
            A passage, if one ends here; nothing is computed yet.
        """
        if self._begin is None or step is None:
            self._start(stamp, cameras)
            return None
        self._T = step @ self._T
        self._by_odometry = self._by_odometry and by_odometry
        way = float(np.linalg.norm(self._T[:3, 3]))
        heading = abs(float(np.arctan2(self._T[1, 0], self._T[0, 0])))
        if way < STRETCH_M and not (heading > STRETCH_TURN and way > SHORTEST_M):
            return None
        began, before = self._begin
        passage = None
        if way < LONGEST_M:
            points = {}
            for name in before.keys() & cameras.keys():
                pair = cameras[name].tracks.common(before[name].stamp, cameras[name].stamp)
                if pair is not None and len(pair[0]) >= MIN_FOLLOWED:
                    points[name] = pair
                else:
                    self.reasons[name] = "too few points could be followed"
            passage = Passage(
                began, stamp, before, dict(cameras), points, self._T, self._by_odometry
            )
        self._start(stamp, cameras)
        return passage

    def _start(self, stamp: int, cameras: Mapping[str, CameraImage]) -> None:
        self._begin = (stamp, dict(cameras))
        self._T = np.eye(4)
        self._by_odometry = True

    def look(self, passage: Passage) -> Stretch | None:
        """Compute what a passage shows; None where no camera followed enough points.

        May run in another thread than `observe`, one passage at a time.
        """
        rays: list[RayPairs] = []
        roads: list[RoadView] = []
        for name in self._names:
            if name not in passage.points:
                continue
            one, two = passage.before[name], passage.after[name]
            instants = Instant(False, one.lead), Instant(True, two.lead)
            index = self._names.index(name)
            first, second = (_unit(item) for item in passage.points[name])
            rays.append(RayPairs((index, index), instants, first, second, two.focal))
            road = self._road(name, instants, passage)
            if road is not None:
                roads.append(road)
        for name in passage.after:
            for other in passage.after:
                if name != other:
                    rays += self._shared(name, other, passage.after)
        return Stretch(passage.T_to_from, passage.by_odometry, rays, roads) if rays else None

    def _road(
        self, name: str, instants: tuple[Instant, Instant], passage: Passage
    ) -> RoadView | None:
        """Align the lane in two images of a camera."""
        one, two, T = passage.before[name], passage.after[name], passage.T_to_from
        C = two.T_base_camera
        way = float(np.linalg.norm(T[:3, 3]))
        curvature = -float(np.arctan2(T[1, 0], T[0, 0])) / way
        pixels = lane_pixels(two.grid, two.mask, C, self._ground, curvature)
        motion = inverse(C) @ instants[0].pose(T) @ inverse(instants[1].pose(T)) @ C
        plane = -(C[:3, :3].T @ self._ground.normal) / float(self._ground.signed_distance(C[:3, 3]))
        if one.image.shape != two.image.shape:
            return None
        found = align(one.image, two.image, two.grid, pixels, motion, plane)
        if found is None:
            self.reasons[name] = "no road was seen in the vehicle's lane"
            return None
        self.reasons[name] = ""
        rays = two.grid.lift(pixels.astype(np.float64))
        inverse_depth = rays @ plane
        x = rays @ C[0, :3] / inverse_depth + C[0, 3]
        ahead = float(np.average(x, weights=inverse_depth**2))
        index = self._names.index(name)
        return RoadView(
            index, instants, found.plane, found.motion, found.information, found.gradient, ahead
        )

    def _shared(self, name: str, other: str, cameras: Mapping[str, CameraImage]) -> list[RayPairs]:
        """Find points that two cameras see at the end of the stretch."""
        one, two = cameras[name], cameras[other]
        if (name, other) not in self._overlaps:
            self._overlaps[name, other] = find_overlap(
                (one.grid, two.grid),
                (one.T_base_camera, two.T_base_camera),
                (one.mask, two.mask),
                self._ground,
            )
        overlap = self._overlaps[name, other]
        if overlap is None:
            return []
        first, second = matched(overlap, one.image, two.image)
        if len(first) < MIN_POINTS:
            return []
        pair = self._names.index(name), self._names.index(other)
        instants = Instant(True, one.lead), Instant(True, two.lead)
        focal = float(overlap.camera.K[0, 0])
        return [RayPairs(pair, instants, first, second, focal)]


def _unit(rays: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))


def lead_of(
    stamp: int, image: int, odometry: OdometryTrack, step: tuple[float, Matrix] | None
) -> Matrix:
    """Return the motion (4x4) from a frame set's instant to that of one of its images.

    Args:
        stamp: Of the set, ns.
        image: Of the image, ns.
        odometry: Knows it best: a vehicle sways on its springs within a few milliseconds.
        step: Seconds and motion of the last step, which is carried on where there is no odometry.
    """
    if image == stamp:
        return np.eye(4)
    known = odometry.between(stamp, image)
    if known is not None:
        return known.T_to_from
    return np.eye(4) if step is None else _carried(step[1], (image - stamp) * 1e-9 / step[0])


def _carried(T: Matrix, share: float) -> Matrix:
    out = np.eye(4)
    out[:3, :3] = turn(share * cv2.Rodrigues(T[:3, :3])[0][:, 0])
    out[:3, 3] = share * T[:3, 3]
    return out
