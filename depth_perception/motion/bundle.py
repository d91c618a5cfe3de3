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
weights of Geman and McClure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.transforms import Matrix
from depth_perception.motion.rig_motion import FINE, turn

_WIDTHS = (4.0, 2.0, 1.0, 0.7, 0.7)
"""Of the robust weight, px, from the first iteration to the last."""
_FAR_SIGMA = 0.5
"""Prior deviation of a point's inverse distance from zero, 1/m."""
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
    # A camera's points may all be younger than the past sets.
    used = [camera for camera in map(_Camera, tracks) if len(camera.now)]
    if sum(int(item.seen.sum()) for item in used) < MIN_OBSERVATIONS:
        return None
    count = len(T_then_now)
    T = T_then_now.copy()
    prior = np.linalg.inv(prior_covariance)
    offset = np.zeros(6 * count)
    for camera in used:
        camera.triangulate(T)
    information = prior
    for width in _WIDTHS:
        information, gradient = prior.copy(), prior @ offset
        eliminated = [camera.normal_equations(T, width) for camera in used]
        for H, g in eliminated:
            information += H
            gradient += g
        step = -np.linalg.solve(information, gradient)
        for camera in used:
            camera.move_points(step)
        for k in range(count):
            twist = step[6 * k : 6 * k + 6]
            R = turn(twist[3:])
            T[k, :3, :3] = R @ T[k, :3, :3]
            T[k, :3, 3] = R @ T[k, :3, 3] + twist[:3]
        offset += step
        if np.abs(step).max() < 1e-6 and width == _WIDTHS[-1]:
            break
    return T, np.asarray(np.linalg.inv(information), np.float64)


class _Camera:
    """Points of one camera with their inverse distances."""

    def __init__(self, tracks: Tracks) -> None:
        seen: NDArray[np.bool_] = np.asarray(np.isfinite(tracks.then).all(axis=2))
        some = np.asarray(seen.any(axis=1))
        self.seen = seen[some]
        self.now = tracks.now[some]
        self.then = np.where(self.seen[..., None], tracks.then[some], [0.0, 0.0, 1.0])
        self.focal = tracks.focal
        self.C = tracks.T_base_camera
        self.before, self.after = tracks.before, tracks.after
        self.inverse = np.zeros(len(self.now))
        self._slopes: tuple[NDArray[np.float64], ...] = ()
        # Two axes across each observed ray, (n, K, 2, 3).
        helper = np.where(np.abs(self.then[..., :1]) < 0.7, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
        first = np.cross(self.then, helper)
        first /= np.linalg.norm(first, axis=-1, keepdims=True)
        self.across = np.stack([first, np.cross(self.then, first)], axis=-2)

    def _rays(
        self, T: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Where the points are at each past instant, times their inverse distance.

        Returns:
            (n, K, 3) in the base frame before `after`; (n, K, 3) in the camera; (n, K, 3) the
            change of the latter with inverse distance.
        """
        C_R, p = self.C[:3, :3], self.C[:3, 3]
        ray = self.now @ C_R.T
        R_b, t_b = self.before[:, :3, :3], self.before[:, :3, 3]
        a = np.einsum("kij,nj->nki", R_b, ray)
        b = np.einsum("kij,j->ki", R_b, p) + t_b
        a = np.einsum("kij,nkj->nki", T[:, :3, :3], a)
        b = np.einsum("kij,kj->ki", T[:, :3, :3], b) + T[:, :3, 3]
        base = a + self.inverse[:, None, None] * b
        R_a, t_a = self.after[:, :3, :3], self.after[:, :3, 3]
        b = np.einsum("kij,kj->ki", R_a, b) + t_a - p
        camera = np.einsum("kij,nkj->nki", R_a, a) + self.inverse[:, None, None] * b
        return base, camera @ C_R, np.broadcast_to(b @ C_R, camera.shape)

    def triangulate(self, T: NDArray[np.float64]) -> None:
        """Take the inverse distances at which the motions agree best."""
        self.inverse[:] = 0
        _, at, change = self._rays(T)
        weight = self.seen[..., None]
        e = np.einsum("nkij,nkj->nki", self.across, at) * weight
        s = np.einsum("nkij,nkj->nki", self.across, change) * weight
        down = (s * s).sum(axis=(1, 2)) + (FINE / self.focal / _FAR_SIGMA) ** 2
        self.inverse = np.clip(-(e * s).sum(axis=(1, 2)) / down, 0.0, 2.0)

    def normal_equations(
        self, T: NDArray[np.float64], width: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Information (6K, 6K) and gradient (6K,) of the motions, the points eliminated."""
        base, at, change = self._rays(T)
        count = T.shape[0]
        length = np.linalg.norm(at, axis=-1, keepdims=True)
        e = np.einsum("nkij,nkj->nki", self.across, at / length) * self.focal
        # Where a ray points away from what was observed its tangent is of no use.
        ahead = (at * self.then).sum(axis=-1) > 0.5 * length[..., 0]
        weight = self.seen * ahead / (1 + (e * e).sum(axis=-1) / width**2) ** 2 / FINE**2
        A = self.across * (self.focal / length[..., None])
        to_camera = np.einsum("kij,il->kjl", self.after[:, :3, :3], self.C[:3, :3])
        G = np.einsum("nkij,klj->nkil", A, to_camera)
        J = np.empty((*e.shape, 6))
        J[..., :3] = G * self.inverse[:, None, None, None]
        J[..., 3:] = np.cross(base[:, :, None, :], G)
        s = np.einsum("nkij,nkj->nki", A, change)
        down = (weight[..., None] * s * s).sum(axis=(1, 2)) + 1 / _FAR_SIGMA**2
        up = (weight[..., None] * s * e).sum(axis=(1, 2)) + self.inverse / _FAR_SIGMA**2
        mixed = np.einsum("nk,nki,nkij->nkj", weight, s, J).reshape(len(e), -1)
        H = np.zeros((6 * count, 6 * count))
        for k in range(count):
            flat = J[:, k].reshape(-1, 6)
            twice = np.repeat(weight[:, k], 2)[:, None]
            H[6 * k : 6 * k + 6, 6 * k : 6 * k + 6] = (flat * twice).T @ flat
        H -= (mixed / down[:, None]).T @ mixed
        g = np.einsum("nk,nki,nkij->kj", weight, e, J).ravel() - mixed.T @ (up / down)
        self._slopes = (mixed, down, up)
        return H, g

    def move_points(self, step: NDArray[np.float64]) -> None:
        """Take the points' share of a step of the motions."""
        mixed, down, up = self._slopes
        self.inverse = np.clip(self.inverse - (up + mixed @ step) / down, 0.0, 2.0)
