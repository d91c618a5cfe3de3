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

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.transforms import Matrix, inverse
from depth_perception.motion.camera_overlap import MIN_POINTS, Overlap, find_overlap, matched
from depth_perception.motion.feature_tracks import FeatureTracks
from depth_perception.motion.mounting_evidence import RayPairs, RoadView, Stretch, part_of
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
    """

    T_base_camera: Matrix
    grid: CameraModel
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    tracks: FeatureTracks
    focal: float
    stamp: int


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
    ) -> Stretch | None:
        """Take a frame set.

        Args:
            stamp: Of the set, ns.
            cameras: What of ``names`` is in it.
            step: 4x4, the motion since the last set (T_now_last); None when it is not known.
            by_odometry: The length of that is odometry's.

        Returns:
            A stretch, if one ends here.
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
        stretch = None
        if way < LONGEST_M:
            stretch = self._stretch(began, before, stamp, cameras)
        self._start(stamp, cameras)
        return stretch

    def _start(self, stamp: int, cameras: Mapping[str, CameraImage]) -> None:
        self._begin = (stamp, dict(cameras))
        self._T = np.eye(4)
        self._by_odometry = True

    def _stretch(
        self,
        began: int,
        before: Mapping[str, CameraImage],
        stamp: int,
        cameras: Mapping[str, CameraImage],
    ) -> Stretch | None:
        seconds = (stamp - began) * 1e-9
        rays: list[RayPairs] = []
        roads: list[RoadView] = []
        for name in cameras.keys() & before.keys():
            one, two = before[name], cameras[name]
            pair = two.tracks.common(one.stamp, two.stamp)
            if pair is None or len(pair[0]) < MIN_FOLLOWED:
                self.reasons[name] = "too few points could be followed"
                continue
            times = (one.stamp - began) * 1e-9 / seconds, (two.stamp - began) * 1e-9 / seconds
            index = self._names.index(name)
            first, second = (_unit(item) for item in pair)
            rays.append(RayPairs((index, index), times, first, second, two.focal))
            road = self._road(index, name, times, one, two)
            if road is not None:
                roads.append(road)
        ends = {name: (item.stamp - began) * 1e-9 / seconds for name, item in cameras.items()}
        for name in cameras:
            for other in cameras:
                if name != other:
                    rays += self._shared(name, other, cameras, ends)
        return Stretch(self._T, self._by_odometry, rays, roads) if rays else None

    def _road(
        self, index: int, name: str, times: tuple[float, float], one: CameraImage, two: CameraImage
    ) -> RoadView | None:
        """Align the lane in two images of a camera."""
        C = two.T_base_camera
        way = float(np.linalg.norm(self._T[:3, 3]))
        curvature = -float(np.arctan2(self._T[1, 0], self._T[0, 0])) / way
        pixels = lane_pixels(two.grid, two.mask, C, self._ground, curvature)
        motion = inverse(C) @ part_of(self._T, times[0]) @ inverse(part_of(self._T, times[1])) @ C
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
        return RoadView(
            index, times, found.plane, found.motion, found.information, found.gradient, ahead
        )

    def _shared(
        self, name: str, other: str, cameras: Mapping[str, CameraImage], times: Mapping[str, float]
    ) -> list[RayPairs]:
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
        focal = float(overlap.camera.K[0, 0])
        return [RayPairs(pair, (times[name], times[other]), first, second, focal)]


def _unit(rays: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))
