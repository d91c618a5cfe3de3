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

"""What odometry says of a way, and what it is not believed."""

from __future__ import annotations

import numpy as np
import pytest
from textured_street import pose

from depth_perception.motion.odometry import MAX_POSES, OdometryTrack

S = 1_000_000_000


def drive(track, speed=10.0, rate=20, seconds=2.0, start=1.0, yaw_rate=0.0, offset=0.0):
    for k in range(round(seconds * rate) + 1):
        t = start + k / rate
        track.add(round(t * S), pose(offset + speed * (t - start), 0.0, yaw_rate * (t - start)))
    return t


def test_way_between_two_stamps_lies_between_poses():
    track = OdometryTrack()
    drive(track, speed=10.0)
    prior = track.between(round(1.512 * S), round(1.737 * S))
    assert prior is not None and track.problem == ""
    np.testing.assert_allclose(prior.T_to_from[:3, 3], [-2.25, 0, 0], atol=1e-6)


def test_turning_is_in_it():
    track = OdometryTrack()
    drive(track, speed=5.0, yaw_rate=0.4)
    prior = track.between(round(1.5 * S), round(2.0 * S))
    angle = np.arctan2(prior.T_to_from[1, 0], prior.T_to_from[0, 0])
    assert angle == pytest.approx(-0.2, abs=1e-6)


def test_a_little_ahead_of_the_newest_pose_is_less_sure_and_farther_is_nothing():
    track = OdometryTrack()
    end = drive(track, speed=10.0)
    inside = track.between(round(1.5 * S), round(2.0 * S))
    ahead = track.between(round(2.0 * S), round((end + 0.1) * S))
    np.testing.assert_allclose(ahead.T_to_from[0, 3], -10.0 * (end + 0.1 - 2.0), atol=1e-6)
    assert ahead.length_sigma > 2 * inside.length_sigma
    assert track.between(round(2.0 * S), round((end + 0.3) * S)) is None
    assert track.between(round(0.5 * S), round(2.0 * S)) is None


@pytest.mark.parametrize(
    ("broken", "words"),
    [(pose(500.0), "jumped by 4"), (pose(20.5, 0, 2.5), "turned by 143"), (pose(23.9), "velocity")],
)
def test_a_jump_is_said_and_no_way_leads_across_it(broken, words):
    track = OdometryTrack()
    end = drive(track, speed=10.0)
    track.add(round((end + 0.05) * S), broken)
    assert words in track.problem and track.jumps == 1
    assert track.between(round(2.0 * S), round((end + 0.05) * S)) is None
    for k in range(1, 20):  # it goes on from there, and is good again
        step = np.linalg.inv(pose()) @ pose(10.0 * k * 0.05)
        track.add(round((end + 0.05 + k * 0.05) * S), broken @ step)
    assert track.problem == ""
    after = track.between(round((end + 0.2) * S), round((end + 0.7) * S))
    np.testing.assert_allclose(after.T_to_from[0, 3], -5.0, atol=1e-6)


def test_hard_braking_and_noise_of_a_few_centimetres_are_no_jump():
    track = OdometryTrack()
    rng = np.random.default_rng(3)
    x, v = 0.0, 20.0
    for k in range(100):
        v = max(0.0, v - 9.0 * 0.05)
        x += v * 0.05
        track.add(round((1 + k * 0.05) * S), pose(x + rng.normal(0, 0.03), rng.normal(0, 0.03)))
        assert track.jumps == 0, track.problem


def test_frozen_poses_are_said():
    track = OdometryTrack()
    end = drive(track, speed=5.0)
    still = pose(10.0)
    for k in range(1, 12):
        track.add(round((end + k * 0.05) * S), still)
    assert "same pose to the last bit" in track.problem


def test_poses_that_are_no_poses_are_left_out():
    track = OdometryTrack()
    drive(track)
    count = len(track)
    bad = pose()
    bad[0, 3] = np.nan
    track.add(5 * S, bad)
    assert "not finite" in track.problem
    track.add(0, pose())
    assert "without a stamp" in track.problem
    track.add(round(2.5 * S), pose())
    assert "go back" in track.problem
    assert len(track) == count


def test_time_that_begins_again_begins_a_new_track():
    track = OdometryTrack()
    drive(track, start=100.0)
    drive(track, start=1.0)
    assert track.between(round(1.2 * S), round(2.0 * S)) is not None
    assert track.between(round(100.2 * S), round(101.0 * S)) is None


def test_memory_is_bounded():
    track = OdometryTrack()
    for k in range(3 * MAX_POSES):
        track.add(S + k * 1_000_000, pose(0.01 * k))
    assert len(track) <= MAX_POSES
