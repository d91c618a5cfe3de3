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

"""The rig's motion from points that its cameras saw twice."""

from __future__ import annotations

import numpy as np
import pytest
from textured_street import mounted, pose

from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.transforms import interpolate
from depth_perception.motion import ego_motion
from depth_perception.motion.odometry import MotionPrior
from depth_perception.motion.rig_motion import PointPairs, RigMotion, solve_rig_motion

FOCAL = 350.0


def seen(C, T_to_from, count, rng, noise_px=0.15, moving=0.0, share=1.0):
    """Points before a camera, and where they are after the motion; some move by themselves."""
    M = np.linalg.inv(C) @ interpolate(np.eye(4), T_to_from, share) @ C
    depth = rng.uniform(4, 40, count)
    rays = np.c_[rng.uniform(-0.8, 0.8, count), rng.uniform(-0.3, 0.3, count), np.ones(count)]
    points = rays * depth[:, None] @ M[:3, :3].T + M[:3, 3]
    own = rng.random(count) < moving
    points[own] += rng.normal(0, 1.0, (own.sum(), 3)) * [1, 0.2, 1]
    good = points[:, 2] > 0.5
    second = points[good] / points[good, 2:]
    second[:, :2] += rng.normal(0, noise_px / FOCAL, (good.sum(), 2))
    return PointPairs(C, rays[good], second, FOCAL, share)


def errors(T, truth):
    """Rotation (degrees) and direction (degrees) between two motions."""
    turn = T[:3, :3] @ truth[:3, :3].T
    angle = np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
    a, b = T[:3, 3], truth[:3, 3]
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    return angle, np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def wrong_prior(truth, length=1.0, yaw=0.007, **sigmas):
    T = truth @ pose(0, 0.05, yaw)
    T[:3, 3] *= length
    return MotionPrior(T, **sigmas)


@pytest.mark.parametrize("yaw", [0.0, 0.08, -0.15])
def test_one_camera_finds_rotation_and_direction(yaw):
    rng = np.random.default_rng(4)
    truth = np.linalg.inv(pose(1.0, 0.02, yaw))
    pairs = [seen(mounted(), truth, 200, rng)]
    found = solve_rig_motion(pairs, wrong_prior(truth))
    angle, direction = errors(found.T_to_from, truth)
    assert angle < 0.05 and direction < 1.0 and found.inliers > 0.9


def test_things_that_move_are_outvoted_and_all_cameras_count():
    rng = np.random.default_rng(5)
    truth = np.linalg.inv(pose(0.8, 0.0, 0.05))
    mounts = [mounted(yaw=yaw) for yaw in (0.0, 1.0, -1.0, 2.0, -2.0, np.pi)]
    pairs = [seen(C, truth, 80, rng, moving=0.4) for C in mounts]
    found = solve_rig_motion(pairs, wrong_prior(truth))
    angle, direction = errors(found.T_to_from, truth)
    assert angle < 0.05 and direction < 1.0
    assert 0.5 < found.inliers < 0.8


def test_length_stays_what_the_prior_says():
    rng = np.random.default_rng(6)
    truth = np.linalg.inv(pose(1.0, 0.0, 0.02))
    pairs = [seen(mounted(), truth, 200, rng)]
    found = solve_rig_motion(pairs, wrong_prior(truth, length=1.06))
    assert np.linalg.norm(found.T_to_from[:3, 3]) == pytest.approx(1.06, abs=0.02)
    assert np.sqrt(found.covariance[0, 0]) > 0.03  # nobody knows it better than the prior


def test_standing_is_seen_whatever_odometry_says():
    rng = np.random.default_rng(7)
    pairs = [seen(mounted(), np.eye(4), 200, rng, noise_px=0.1)]
    found = solve_rig_motion(pairs, MotionPrior(np.linalg.inv(pose(0.5))))
    assert found.standing and not found.T_to_from[:3, 3].any()


def test_a_car_that_drives_past_a_standing_vehicle_is_no_motion():
    rng = np.random.default_rng(8)
    still = seen(mounted(), np.eye(4), 140, rng, noise_px=0.1)
    passing = seen(mounted(), np.linalg.inv(pose(1.0)), 40, rng)
    both = PointPairs(
        mounted(),
        np.concatenate([still.first, passing.first]),
        np.concatenate([still.second, passing.second]),
        FOCAL,
    )
    found = solve_rig_motion([both], MotionPrior(np.eye(4)))
    angle, _ = errors(found.T_to_from, np.linalg.inv(pose(1.0)))
    assert np.linalg.norm(found.T_to_from[:3, 3]) < 0.02 and angle < 0.05


def test_cameras_whose_images_lie_otherwise_apart_in_time_agree_all_the_same():
    rng = np.random.default_rng(9)
    truth = np.linalg.inv(pose(1.0, 0.0, 0.15))
    pairs = [
        seen(mounted(yaw=0.0), truth, 150, rng),
        seen(mounted(yaw=1.2), truth, 150, rng, share=1.2),
        seen(mounted(yaw=-1.2), truth, 150, rng, share=0.8),
    ]
    found = solve_rig_motion(pairs, wrong_prior(truth))
    angle, direction = errors(found.T_to_from, truth)
    assert angle < 0.05 and direction < 1.0 and found.inliers > 0.9


def test_too_few_points_and_points_that_do_not_agree_give_nothing():
    rng = np.random.default_rng(10)
    truth = np.linalg.inv(pose(1.0))
    assert solve_rig_motion([seen(mounted(), truth, 8, rng)], MotionPrior(truth)) is None
    noise = PointPairs(
        mounted(),
        np.c_[rng.uniform(-0.8, 0.8, (200, 2)), np.ones(200)],
        np.c_[rng.uniform(-0.8, 0.8, (200, 2)), np.ones(200)],
        FOCAL,
    )
    assert solve_rig_motion([noise], MotionPrior(truth)) is None
    assert solve_rig_motion([], MotionPrior(truth)) is None


@pytest.mark.parametrize("count", [2, 4, 6])
@pytest.mark.parametrize("way", [0.8, 1.5])
def test_cameras_all_around_find_which_way_it_went_without_odometry(count, way):
    """From a first guess: steps that run past no way at all ended with one that leads back."""
    truth = pose(way)
    truth[:3, 3] *= -1
    for seed in range(6):
        rng = np.random.default_rng(seed)
        pairs = []
        for yaw in 2 * np.pi * np.arange(count) / count:
            C = mounted(0.8 + 0.7 * np.cos(yaw), 0.5 * np.sin(yaw), yaw=yaw)
            pairs.append(seen(C, truth, 150, rng, moving=0.1))
        guess = np.eye(4)
        guess[0, 3] = -0.5
        found = solve_rig_motion(pairs, MotionPrior(guess, 1.0, np.radians(40), np.radians(20)))
        assert found is not None
        t = found.T_to_from[:3, 3]
        assert t[0] / np.linalg.norm(t) < -0.99
        assert 0.2 < np.linalg.norm(t) < 3.0


@pytest.mark.parametrize(("way", "said"), [(0.4, "images"), (0.02, "")])
def test_a_first_way_that_collapsed_is_none_and_the_next_set_begins_anew(way, said, monkeypatch):
    """The points tell no length: what is far shorter than the guess would never be set right."""
    T = np.eye(4)
    T[0, 3] = -way
    monkeypatch.setattr(
        ego_motion, "solve_rig_motion", lambda pairs, prior: RigMotion(T, np.eye(6), 0.9, 200)
    )
    at = (10**9, {})
    source, found = ego_motion.EgoMotion()._solve({}, at, (10**9 + 10**8, {}), 0.1, GroundPlane())
    assert source == said and (found is None) == (said == "")
