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

"""Motions to several past sets at once, from points with known places."""

from dataclasses import replace

import numpy as np
import pytest

from depth_perception.geometry.transforms import inverse
from depth_perception.motion.bundle import Tracks, refine_motions
from depth_perception.motion.rig_motion import turn

FOCAL = 400.0
COUNT = 3


def mounting(yaw=0.0, x=1.5):
    C = np.eye(4)
    forward = np.array([[0, 0, 1.0], [-1, 0, 0], [0, -1, 0]])
    C[:3, :3] = turn([0, 0, yaw]) @ forward
    C[:3, 3] = [x, 0, 1.5]
    return C


def motion(way, yaw):
    T = np.eye(4)
    T[:3, :3] = turn([0, 0, yaw])
    T[:3, 3] = way
    return T


TRUE = np.stack(
    [motion([0.6 * k, 0.02 * k, 0.0], 0.01 * k) for k in range(1, COUNT + 1)]
)  # then <- now


def seen(C, rng, n=300, noise=0.0, wall=False):
    """Tracks of points before a camera, and the share that was seen each time."""
    depth = np.full(n, 12.0) if wall else rng.uniform(5, 40, n)
    at = rng.uniform(-0.6, 0.6, (n, 2)) * [1.0, 0.3]
    points = np.column_stack([at * depth[:, None], depth])
    base = points @ C[:3, :3].T + C[:3, 3]
    then = []
    for T in TRUE:
        moved = base @ T[:3, :3].T + T[:3, 3]
        M = inverse(C)
        then.append(moved @ M[:3, :3].T + M[:3, 3])
    then = np.stack(then, axis=1)
    then = then / np.linalg.norm(then, axis=-1, keepdims=True)
    then += rng.normal(0, noise / FOCAL, then.shape)
    then /= np.linalg.norm(then, axis=-1, keepdims=True)
    then[rng.random((n, COUNT)) < 0.2] = np.nan
    now = points / np.linalg.norm(points, axis=1, keepdims=True)
    same = np.tile(np.eye(4), (COUNT, 1, 1))
    return Tracks(C, now, then, FOCAL, same, same)


def prior(rotation=0.2, way=0.1):
    each = np.diag([way**2] * 3 + [np.radians(rotation) ** 2] * 3)
    return np.kron(np.eye(COUNT), each)


def off(rng, rotation=0.2):
    """The true motions, wrongly turned and shortened, all by the same share."""
    out = TRUE.copy()
    for T in out:
        T[:3, :3] = turn(rng.normal(0, np.radians(rotation), 3)) @ T[:3, :3]
        T[1, 3] += 0.05
    return out


def errors(found):
    """Largest error of rotation (rad), and of the way (m) once one scale for all is undone."""
    turned = [a[:3, :3] @ b[:3, :3].T - np.eye(3) for a, b in zip(found, TRUE, strict=True)]
    ways, true = found[:, :3, 3], TRUE[:, :3, 3]
    scale = (ways * true).sum() / (ways * ways).sum()
    return max(map(np.linalg.norm, turned)), np.abs(scale * ways - true).max()


@pytest.mark.parametrize("seed", range(3))
def test_finds_rotation_and_direction(seed):
    rng = np.random.default_rng(seed)
    cameras = [seen(mounting(), rng, noise=0.2), seen(mounting(2.0, 0.0), rng, noise=0.2)]
    found, covariance = refine_motions(cameras, off(rng), prior())
    turned, way = errors(found)
    assert turned < np.radians(0.05) and way < 0.02
    sigma = np.sqrt(np.diag(covariance)).reshape(COUNT, 6)
    assert sigma[:, 3:].max() < np.radians(0.1)


def test_lengths_agree_among_each_other():
    """One length is wrong: the points, seen in all images, tell it from the others'."""
    rng = np.random.default_rng(1)
    start = TRUE.copy()
    start[2, :3, 3] *= 1.08
    each = [
        np.diag([s**2, 0.02**2, 0.02**2] + [np.radians(0.1) ** 2] * 3) for s in (0.002, 0.002, 0.3)
    ]
    covariance = np.zeros((18, 18))
    for k, block in enumerate(each):
        covariance[6 * k : 6 * k + 6, 6 * k : 6 * k + 6] = block
    found, _ = refine_motions([seen(mounting(), rng, noise=0.2)], start, covariance)
    assert found[2, 0, 3] == pytest.approx(TRUE[2, 0, 3], rel=0.01)


def test_things_that_move_do_not_pull():
    rng = np.random.default_rng(2)
    still, moving = seen(mounting(), rng, noise=0.2), seen(mounting(), rng, n=120)
    then = moving.then + np.array([0.03, 0.01, 0.0])
    then /= np.linalg.norm(then, axis=-1, keepdims=True)
    both = Tracks(
        still.T_base_camera,
        np.concatenate([still.now, moving.now]),
        np.concatenate([still.then, then]),
        FOCAL,
        still.before,
        still.after,
    )
    found, _ = refine_motions([both], off(rng, 0.05), prior())
    turned, way = errors(found)
    assert turned < np.radians(0.06) and way < 0.03


def test_each_camera_has_its_own_time():
    """Images taken 50 ms later, on the way, tell the same once that is undone."""
    rng = np.random.default_rng(3)
    tracks = seen(mounting(), rng)
    late = motion([-0.2, 0, 0], 0.0)  # base frame later <- at the set's instant
    C = tracks.T_base_camera
    # What is seen at the camera's own time: points as now, seen from 0.2 m farther on.
    depth = rng.uniform(5, 40, 300)
    at = rng.uniform(-0.6, 0.6, (300, 2)) * [1.0, 0.3]
    base = np.column_stack([at * depth[:, None], depth]) @ C[:3, :3].T + C[:3, 3]

    def rays(T):
        points = base @ T[:3, :3].T + T[:3, 3]
        M = inverse(C)
        points = points @ M[:3, :3].T + M[:3, 3]
        return points / np.linalg.norm(points, axis=1, keepdims=True)

    then = np.stack([rays(late @ T) for T in TRUE], axis=1)
    before = np.tile(inverse(late), (COUNT, 1, 1))
    after = np.tile(late, (COUNT, 1, 1))
    found, _ = refine_motions(
        [Tracks(C, rays(late), then, FOCAL, before, after)], off(rng, 0.05), prior()
    )
    turned, way = errors(found)
    assert turned < np.radians(0.02) and way < 0.01


def test_too_few_points_say_nothing():
    rng = np.random.default_rng(4)
    assert refine_motions([seen(mounting(), rng, n=8)], TRUE, prior()) is None


def test_a_camera_whose_points_are_all_new_changes_nothing():
    """Beside a rig that sees the past: it began to see after the last set that is remembered."""
    rng = np.random.default_rng(5)
    old, new = seen(mounting(), rng), seen(mounting(yaw=2.0), rng)
    new = replace(new, then=np.full_like(new.then, np.nan))
    begin = off(rng)
    both, alone = (refine_motions(given, begin, prior()) for given in ([old, new], [old]))
    np.testing.assert_array_equal(both[0], alone[0])
    assert refine_motions([new], begin, prior()) is None
