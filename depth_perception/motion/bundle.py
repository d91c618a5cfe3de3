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

"""Motions to several past sets at once, from points that were seen in several of them.

Pairs of images, one after the other, leave the rotation and the direction of the way hardly told
apart where most of what is seen is one wall, and say nothing about lengths. Points that are seen
in three or four images do: each has one depth for all of them. Unknown are the motions and each
point's inverse distance, which is eliminated (Schur complement), so that what is solved stays as
small as the motions are.

Source: bundle adjustment (Triggs et al. 2000), inverse distance as in Civera et al. 2008; robust
weights of Geman and McClure. The sums over the points are compiled (`bundle_loops`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.transforms import Matrix
from depth_perception.motion.bundle_loops import (
    axes_across,
    move_points,
    normal_equations,
    triangulate,
)
from depth_perception.motion.rig_motion import FINE, turn

_WIDTHS = (4.0, 2.0, 1.0, 0.7, 0.7)
"""Of the robust weight, px, from the first iteration to the last."""
_FAR_SIGMA = 0.5
"""Prior deviation of a point's inverse distance from zero, 1/m."""
_FARTHEST = 2.0
"""Largest inverse distance, 1/m."""
MIN_OBSERVATIONS = 30


@dataclass(frozen=True, eq=False)
class Tracks:
    """Points of one camera that are seen now and in some of K past images.

    Attributes:
        T_base_camera: 4x4, the mounting.
        now: (n, 3) unit rays of the optical frame.
        then: (n, K, 3) likewise; NaN where a point was not seen.
        focal: Pixels per radian near the axis, px.
        before: (K, 4, 4): from the base frame at this camera's instant of the present to that at
            the present's own; applied before each motion.
        after: (K, 4, 4): from the base frame at a past set's instant to that at this camera's.
    """

    T_base_camera: Matrix
    now: NDArray[np.float64]
    then: NDArray[np.float64]
    focal: float
    before: NDArray[np.float64]
    after: NDArray[np.float64]


def refine_motions(
    tracks: Sequence[Tracks], T_then_now: NDArray[np.float64], prior_covariance: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Find the motions that all points agree on, near to a prior.

    Args:
        tracks: Of each camera.
        T_then_now: (K, 4, 4): the motions to begin with, and the prior's mean. Each maps points of
            the base frame at present into that of a past set.
        prior_covariance: (6 K, 6 K): of each motion's twist on the left: translation (m), then
            rotation (rad).

    Returns:
        The motions (K, 4, 4) and their covariance (6 K, 6 K); None where too few points are seen.
    """
    if sum(int(np.isfinite(item.then[..., 0]).sum()) for item in tracks) < MIN_OBSERVATIONS:
        return None
    points = _Points(tracks)
    count = len(T_then_now)
    T = T_then_now.copy()
    prior = np.asarray(np.linalg.inv(prior_covariance), np.float64)
    offset = np.zeros(6 * count)
    points.triangulate(T)
    information = prior
    for width in _WIDTHS:
        information, gradient = prior.copy(), np.asarray(prior @ offset, np.float64)
        points.add_normal_equations(T, width, information, gradient)
        step = np.asarray(-np.linalg.solve(information, gradient), np.float64)
        points.move(step)
        for k in range(count):
            twist = step[6 * k : 6 * k + 6]
            R = turn(twist[3:])
            T[k, :3, :3] = R @ T[k, :3, :3]
            T[k, :3, 3] = R @ T[k, :3, 3] + twist[:3]
        offset += step
        if np.abs(step).max() < 1e-6 and width == _WIDTHS[-1]:
            break
    return T, np.asarray(np.linalg.inv(information), np.float64)


class _Points:
    """Points of all cameras, one camera after the other, with their inverse distances.

    Attributes:
        seen: (n, K) bool: whether a point was seen in a past image; in one of them at the least.
        inverse: (n,) inverse distances, 1/m.
    """

    def __init__(self, tracks: Sequence[Tracks]) -> None:
        seen = [np.asarray(np.isfinite(item.then[..., 0])) for item in tracks]
        # A camera's points may all be younger than the past sets.
        some = [np.asarray(item.any(axis=1)) for item in seen]
        self.seen = _joined(seen, some)
        self.now = _joined([item.now for item in tracks], some)
        self.then = _joined([item.then for item in tracks], some)
        numbers = [int(item.sum()) for item in some]
        self.camera = np.repeat(np.arange(len(tracks)), numbers).astype(np.int64)
        self.focal = np.array([item.focal for item in tracks], np.float64)
        size, count = self.seen.shape
        self.across = np.empty((size, count, 2, 3))
        axes_across(self.then, self.across)
        self.inverse = np.zeros(size)
        self._mixed = np.empty((size, 6 * count))
        self._down, self._up = np.empty(size), np.empty(size)
        C = np.stack([item.T_base_camera for item in tracks])[:, None]
        after = np.stack([item.after for item in tracks])
        back = C[..., :3, :3].swapaxes(-1, -2)
        self._start = np.stack([item.before for item in tracks]) @ C
        self._D = np.ascontiguousarray(back @ after[..., :3, :3])
        self._lever = back @ (after[..., :3, 3] - C[..., :3, 3])[..., None]

    def _geometry(self, T: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Where points lie for motions (K, 4, 4): P, b, D, e of `bundle_loops`."""
        moved = T @ self._start
        e = self._D @ moved[..., :3, 3:] + self._lever
        P, b = (np.ascontiguousarray(item) for item in (moved[..., :3, :3], moved[..., :3, 3]))
        return P, b, self._D, e[..., 0].copy()

    def triangulate(self, T: NDArray[np.float64]) -> None:
        """Take the inverse distances at which the motions agree best."""
        P, _, D, e = self._geometry(T)
        least = (FINE / self.focal / _FAR_SIGMA) ** 2
        points = self.now, self.seen, self.across, self.camera
        triangulate(*points, P, D, e, least, _FARTHEST, self.inverse)

    def add_normal_equations(
        self,
        T: NDArray[np.float64],
        width: float,
        information: NDArray[np.float64],
        gradient: NDArray[np.float64],
    ) -> None:
        """Add information (6K, 6K) and gradient (6K,) of the motions, the points eliminated."""
        normal_equations(
            self.now, self.then, self.seen, self.across, self.camera, *self._geometry(T),
            self.focal, self.inverse, width, FINE, _FAR_SIGMA,
            information, gradient, self._mixed, self._down, self._up,
        )  # fmt: skip

    def move(self, step: NDArray[np.float64]) -> None:
        """Take the points' share of a step of the motions."""
        move_points(step, self._mixed, self._down, self._up, _FARTHEST, self.inverse)


def _joined(arrays: Sequence[NDArray[Any]], some: Sequence[NDArray[np.bool_]]) -> NDArray[Any]:
    """Join what is wanted of each camera's array."""
    return np.concatenate([item[wanted] for item, wanted in zip(arrays, some, strict=True)])
