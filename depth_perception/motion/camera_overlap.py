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
"""Points that two cameras of one frame set see: neighbours of a surround rig, a stereo pair.

Neighbours look in directions far apart, so that the same thing looks different in the corners of
both. The second's image is therefore drawn as the first's would be, twice: if all that it shows
were far away, and if it were road. What is either then looks alike in both, and a point of the one
is found in the other by Lucas and Kanade's method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.camera import CameraModel, rectification_maps
from depth_perception.geometry.ground_plane import GroundPlane, plane_depth
from depth_perception.geometry.transforms import Matrix, inverse

MIN_SHARE = 0.03
"""Of one image, that must lie within the other."""
MIN_POINTS = 12
"""Fewer than so many that were found may have been found by chance."""
WANTED = 120
_SPACING = 6
"""So many points are looked for, at least so many pixels apart."""
_DISTANCE = 15.0
"""At this distance it is looked whether images overlap, m."""
_LARGEST_TANGENT = 1.2
"""What the two look at together may be so wide (tangent of half its angle)."""
_WINDOW = (21, 21)
_CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 20, 0.01)
_BACK_LIMIT = 0.5
"""A point that is looked for back must come out where it began, px."""
_UNLIKE = 30.0
"""Grey values by which the two, evened out, may differ in the mean."""
_LOCAL_PX = 8.0
"""Brightness and contrast are evened out over so many pixels (standard deviation)."""
_FAINT = 2.0
"""Contrast that is left as it is, grey values: noise is no texture."""
_FAR = 300.0
_FARTHEST_ROAD = 25.0

Maps = tuple[NDArray[np.float32], NDArray[np.float32]]
Rays = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Guess:
    """The second's image as the first's would be, if everything were road, or far away.

    Attributes:
        ground: The road in the base frame; None: everything is far away.
        maps: For `cv2.remap`, from the second's image.
        inside: (h, w) bool, whether both images show something there.
    """

    ground: GroundPlane | None
    maps: Maps
    inside: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Overlap:
    """What two cameras share.

    Attributes:
        camera: A pinhole in the first camera's place that looks into what they share.
        rotation: 3x3, from the first camera's optical frame into that of ``camera``.
        maps: For `cv2.remap`, from the first's image.
        guesses: How the second's image is drawn.
        T_base_one: 4x4, mounting of the first camera.
        M: 4x4, maps points of the first camera's frame into the second's.
    """

    camera: CameraModel
    rotation: NDArray[np.float64]
    maps: Maps
    guesses: Sequence[Guess]
    T_base_one: Matrix
    M: Matrix

    def rays(self, pixels: NDArray[np.floating]) -> Rays:
        """Return rays (n, 3) of the first camera's frame, of pixels (n, 2) of ``camera``."""
        return np.asarray(self.camera.lift(pixels) @ self.rotation)

    def points(self, rays: Rays, ground: GroundPlane | None) -> NDArray[np.float64]:
        """Points (n, 3) of the second camera's frame that rays end at, if a guess is right."""
        return np.asarray(
            rays * _depths(rays, self.T_base_one, ground)[:, None] @ self.M[:3, :3].T
            + self.M[:3, 3]
        )


def find_overlap(
    cameras: tuple[CameraModel, CameraModel],
    mounts: tuple[Matrix, Matrix],
    masks: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    ground: GroundPlane,
) -> Overlap | None:
    """Look whether two cameras see the same.

    Args:
        cameras: Their models.
        mounts: 4x4, T_base_camera of each.
        masks: (h, w) of each, true where it sees its own body or nothing.
        ground: Where the road is.

    Returns:
        None where they do not see the same, or from the same place.
    """
    one, other = cameras
    M = inverse(mounts[1]) @ mounts[0]
    if np.linalg.norm(M[:3, 3]) < 0.1:
        return None
    shared = _shared_rays(one, other, M)
    if shared is None:
        return None
    ahead = shared.mean(axis=0) / np.linalg.norm(shared.mean(axis=0))
    right = np.cross([0.0, 1.0, 0.0], ahead)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(ahead, right), ahead])
    looked = shared @ rotation.T
    looked = looked[looked[:, 2] > 0.3]
    tangents = np.abs(looked[:, :2] / looked[:, 2:])
    half = np.minimum(np.percentile(tangents, 95, axis=0) * 1.25 + 0.05, _LARGEST_TANGENT)
    focal = float(min(one.K[0, 0], other.K[0, 0]))
    width, height = (int(2 * focal * h) | 1 for h in half)
    K = np.array([[focal, 0, width // 2], [0, focal, height // 2], [0, 0, 1]])
    camera = CameraModel(width, height, K)
    maps = rectification_maps(one, CameraModel(width, height, K, R=rotation))
    seen = _free(masks[0], maps)
    guesses: list[Guess] = []
    found = Overlap(camera, rotation, maps, guesses, mounts[0], M)
    v, u = np.mgrid[0:height, 0:width]
    rays = found.rays(np.stack([u, v], axis=-1).reshape(-1, 2).astype(np.float64))
    for plane in (None, ground):
        uv = other.project(found.points(rays, plane)).reshape(height, width, 2)
        uv = np.where(np.isfinite(uv), uv, -1e4)
        to_other: Maps = (
            np.ascontiguousarray(uv[..., 0], dtype=np.float32),
            np.ascontiguousarray(uv[..., 1], dtype=np.float32),
        )
        inside = seen & _free(masks[1], to_other)
        if plane is not None:
            depths = _depths(rays, mounts[0], plane).reshape(height, width)
            inside &= depths < _FARTHEST_ROAD
        margin = np.ones((_WINDOW[1] // 2 | 1, _WINDOW[0] // 2 | 1), np.uint8)
        inside = cv2.erode(inside.astype(np.uint8), margin, borderValue=0) > 0
        if inside.any():
            guesses.append(Guess(plane, to_other, inside))
    return found if guesses else None


def matched(
    overlap: Overlap, image: NDArray[np.uint8], other: NDArray[np.uint8]
) -> tuple[Rays, Rays]:
    """Find what one camera shows in the other's image of the same frame set.

    Args:
        overlap: Of the two.
        image: (h, w) grey of the first camera, of the size of the model given for it.
        other: The same of the second.

    Returns:
        Two (n, 3) arrays: unit rays of the first camera's frame, and of the second's.
    """
    one = _alike(np.asarray(cv2.remap(image, *overlap.maps, cv2.INTER_LINEAR), np.uint8))
    first: list[Rays] = []
    second: list[Rays] = []
    for guess in overlap.guesses:
        two = _alike(np.asarray(cv2.remap(other, *guess.maps, cv2.INTER_LINEAR), np.uint8))
        free = guess.inside.astype(np.uint8) * 255
        corners = cv2.goodFeaturesToTrack(one, WANTED, 0.01, _SPACING, mask=free)
        if corners is None:
            continue
        begin = corners.astype(np.float32).reshape(-1, 1, 2)
        end, good = _followed(one, two, begin)
        x, y = np.rint(np.clip(np.nan_to_num(end[:, 0]), -1e6, 1e6)).astype(np.intp).T
        good &= (x >= 0) & (y >= 0) & (x < free.shape[1]) & (y < free.shape[0])
        good[good] = guess.inside[y[good], x[good]]
        first.append(overlap.rays(begin[good, 0].astype(np.float64)))
        looked = overlap.rays(end[good, 0].astype(np.float64))
        second.append(overlap.points(looked, guess.ground))
    if not first:
        return np.zeros((0, 3)), np.zeros((0, 3))
    return _unit(np.concatenate(first)), _unit(np.concatenate(second))


def _alike(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give an image the same brightness and contrast everywhere: cameras are exposed apart."""
    grey = image.astype(np.float32)
    detail = grey - cv2.GaussianBlur(grey, (0, 0), _LOCAL_PX)
    contrast = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), _LOCAL_PX)) + _FAINT
    return np.asarray(np.clip(128 + 40 * detail / contrast, 0, 255), dtype=np.uint8)


def _shared_rays(one: CameraModel, other: CameraModel, M: Matrix) -> Rays | None:
    """Unit rays of the first camera to what the second sees, too; None if that is too little."""
    v, u = np.mgrid[0 : one.height - 1 : 25j, 0 : one.width - 1 : 33j]
    rays = one.lift(np.stack([u, v], axis=-1).reshape(-1, 2))
    rays = rays[np.isfinite(rays).all(axis=1)]
    if not len(rays):
        return None
    rays = _unit(rays)
    points = rays * _DISTANCE @ M[:3, :3].T + M[:3, 3]
    uv = other.project(points)
    with np.errstate(invalid="ignore"):
        inside = (uv >= 0).all(axis=1) & (uv[:, 0] < other.width) & (uv[:, 1] < other.height)
    inside &= (rays[:, 2] > 0.1) & (points[:, 2] > 0.1 * _DISTANCE)
    return rays[inside] if inside.mean() > MIN_SHARE else None


def _depths(rays: Rays, T_base_camera: Matrix, ground: GroundPlane | None) -> Rays:
    """Factors (n,) by which rays are longer where they end, if a guess is right."""
    if ground is None:
        return np.full(len(rays), _FAR)
    depths = plane_depth(rays, T_base_camera, ground)
    return np.clip(np.nan_to_num(depths, nan=_FAR, posinf=_FAR), 0.0, _FAR)


def _free(mask: NDArray[np.bool_], maps: Maps) -> NDArray[np.bool_]:
    """Where maps lead into an image, and not onto the own body."""
    free = np.pad(np.where(mask, 0, 255).astype(np.uint8)[1:-1, 1:-1], 1)
    return np.asarray(cv2.remap(free, *maps, cv2.INTER_NEAREST) > 0)


def _followed(
    one: NDArray[np.uint8], two: NDArray[np.uint8], begin: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Points (n, 1, 2) in the other image, and whether they were found there."""
    end, found, error = cv2.calcOpticalFlowPyrLK(
        one, two, begin, None, winSize=_WINDOW, maxLevel=2, criteria=_CRITERIA
    )  # type: ignore[call-overload]
    back, again, _ = cv2.calcOpticalFlowPyrLK(
        two, one, end, None, winSize=_WINDOW, maxLevel=2, criteria=_CRITERIA
    )  # type: ignore[call-overload]
    good = (found[:, 0] > 0) & (again[:, 0] > 0) & (error[:, 0] < _UNLIKE)
    good &= np.linalg.norm(back - begin, axis=2)[:, 0] < _BACK_LIMIT
    return end, good


def _unit(rays: Rays) -> Rays:
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))
