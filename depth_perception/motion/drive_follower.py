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
"""From the frame sets of a drive to stretches of its way, for calibration: no depth is measured.

In: frame sets in the order of time, and odometry where there is any. Out: a `Stretch` for each
metre or two. Odometry is where the motion begins and whence its length; the images of all cameras
together say the rest, and everything where odometry is missing or contradicts them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor

import cv2
import numpy as np

from depth_perception.frames.frame_set import CameraFrame
from depth_perception.geometry.camera_view import CameraView
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.transforms import Matrix, interpolate
from depth_perception.motion.feature_tracks import FeatureTracks
from depth_perception.motion.ground_length import length_from_ground
from depth_perception.motion.mounting_evidence import Stretch
from depth_perception.motion.mounting_observer import CameraImage, MountingObserver, lead_of
from depth_perception.motion.odometry import MotionPrior, OdometryTrack
from depth_perception.motion.rig_motion import PointPairs, RigMotion, solve_rig_motion

GRID_WIDTH = 640
"""Of the images in which the road is aligned and other cameras' points are looked for, px."""
LONGEST_GAP_S = 2.5
"""After a longer pause a stretch begins anew, s."""
FIRST_SPEED = 5.0
"""What is guessed before anything is known, m/s."""
MIN_INLIERS = 0.5
"""With fewer of the points in agreement the motion is not taken."""
LARGEST_TURN = np.radians(8.0)
"""No step of a drive that says anything turns more, rad."""
DISAGREEMENT = np.radians(1.2)
"""Odometry whose rotation is farther from the images' is not believed, rad."""


class DriveFollower:
    """Follows a rig through a drive.

    Attributes:
        odometry: Poses; whoever has them adds them, none from the future.
        observer: What cuts the way into stretches.
        way: How far the vehicle has come, m.
        turned: By how much it has turned in all, rad: left and right both count.
    """

    def __init__(self, names: Sequence[str], ground: GroundPlane) -> None:
        """Begin with nothing known.

        Args:
            names: The cameras.
            ground: The road that the mounting describes.
        """
        self.odometry = OdometryTrack()
        self.observer = MountingObserver(names, ground)
        self.way = self.turned = 0.0
        self._ground = ground
        self._tracks: dict[str, FeatureTracks] = {}
        self._last: tuple[int, dict[str, int]] | None = None
        self._step: tuple[float, Matrix] | None = None

    def take(
        self,
        stamp: int,
        frames: Mapping[str, CameraFrame],
        views: Mapping[str, CameraView],
        pool: Executor,
    ) -> Stretch | None:
        """Take a frame set.

        Args:
            stamp: Of the set, ns.
            frames: Images by camera.
            views: Working grids of those cameras, the same at each call.
            pool: Threads for work camera by camera.

        Returns:
            A stretch, if one ends here.
        """
        if self._last is not None and not 0 < stamp - self._last[0] < LONGEST_GAP_S * 1e9:
            self._last = self._step = None
            self.observer.reset()
        names = [name for name in views if name in frames]
        images = pool.map(lambda name: self._image(stamp, name, frames[name], views[name]), names)
        cameras = dict(zip(names, images, strict=True))
        stamps = {name: item.stamp for name, item in cameras.items()}
        source, found = self._motion(stamp, cameras)
        if found is not None and not _believable(found):
            found = None
        if found is not None and self._last is not None:
            self._step = ((stamp - self._last[0]) * 1e-9, found.T_to_from)
            self.way += float(np.linalg.norm(found.T_to_from[:3, 3]))
            self.turned += abs(float(cv2.Rodrigues(found.T_to_from[:3, :3])[0][2, 0]))
        elif self._last is not None:
            self._step = None
        self._last = (stamp, stamps)
        step = None if found is None else found.T_to_from
        passage = self.observer.observe(stamp, cameras, step, source == "odometry")
        for tracks in self._tracks.values():
            tracks.keep({*self.observer.stamps, *stamps.values()})
        return None if passage is None else self.observer.look(passage)

    def _image(self, stamp: int, name: str, frame: CameraFrame, view: CameraView) -> CameraImage:
        grey = np.asarray(cv2.cvtColor(view.image(frame.image), cv2.COLOR_BGR2GRAY), np.uint8)
        if name not in self._tracks:
            self._tracks[name] = FeatureTracks(view.camera, view.ego)
        tracks = self._tracks[name]
        tracks.advance(grey, frame.stamp)
        grid, mask = view.camera, view.ego
        if grid.width > GRID_WIDTH:
            height = max(1, round(grid.height * GRID_WIDTH / grid.width))
            grid = grid.resized(GRID_WIDTH, height)
            size = (GRID_WIDTH, height)
            grey = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
            mask = cv2.resize(mask.astype(np.uint8), size) > 0
        focal = float(view.camera.K[0, 0])
        lead = lead_of(stamp, frame.stamp, self.odometry, self._step)
        return CameraImage(view.T_base_camera, grid, grey, mask, tracks, focal, frame.stamp, lead)

    def _motion(
        self, stamp: int, cameras: Mapping[str, CameraImage]
    ) -> tuple[str, RigMotion | None]:
        """Find the motion from the last set to this one, and what its length is from."""
        if self._last is None:
            return "", None
        last, since = self._last
        seconds = (stamp - last) * 1e-9
        pairs = []
        for name, camera in cameras.items():
            rays = camera.tracks.common(since[name], camera.stamp) if name in since else None
            if rays is not None:
                share = (camera.stamp - since[name]) * 1e-9 / seconds
                pairs.append(PointPairs(camera.T_base_camera, *rays, camera.focal, share))
        prior = self.odometry.between(last, stamp)
        if prior is not None:
            found = solve_rig_motion(pairs, prior)
            if found is not None:
                turned = found.T_to_from[:3, :3] @ prior.T_to_from[:3, :3].T
                if np.linalg.norm(cv2.Rodrigues(turned)[0]) < DISAGREEMENT:
                    return "odometry", found
        found = solve_rig_motion(pairs, self._carried_on(seconds))
        if found is not None and not found.standing:
            length = length_from_ground(pairs, found.T_to_from, self._ground)
            if length is not None:
                T = found.T_to_from.copy()
                T[:3, 3] *= length / max(float(np.linalg.norm(T[:3, 3])), 1e-6)
                found = RigMotion(T, found.covariance, found.inliers, found.points)
        return "images", found

    def _carried_on(self, seconds: float) -> MotionPrior:
        """Return the motion if the vehicle goes on as before; a guess before it ever moved."""
        if self._step is None or np.linalg.norm(self._step[1][:3, 3]) < 1e-3:
            T = np.eye(4)
            T[0, 3] = -FIRST_SPEED * seconds
            return MotionPrior(T, 1.0, np.radians(40), np.radians(20))
        T = interpolate(np.eye(4), self._step[1], seconds / self._step[0])
        return MotionPrior(T, 0.15, np.radians(10), np.radians(5))


def _believable(found: RigMotion) -> bool:
    """Tell whether a motion is sure enough to build on."""
    turned = float(np.linalg.norm(cv2.Rodrigues(found.T_to_from[:3, :3])[0]))
    return found.inliers > MIN_INLIERS and turned < LARGEST_TURN
