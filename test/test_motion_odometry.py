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
    for k in range(1, 30):  # it goes on from there, and is good again
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


def test_a_vehicle_that_stands_is_no_fault():
    track = OdometryTrack()
    end = drive(track, speed=5.0)
    for k in range(1, 60):  # encoders have no noise: the same to the last bit
        track.add(round((end + k * 0.05) * S), pose(10.0))
    assert track.problem == "" and track.jumps == 0


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
    track.clear()
    drive(track)
    track.add(round(2.5 * S), pose())
    assert track.problem == ""  # a bag may begin again
    track.add(round(3.001 * S), pose(20.01))
    assert "go back, by 0.50 s" in track.problem and "one node alone" in track.problem
    assert len(track) == count + 1
    for k in range(1, 30):  # one of two publishers lags behind the other
        track.add(round((3 + 0.05 * k) * S), pose(20 + 0.5 * k))
        track.add(round((2.4 + 0.05 * k) * S), pose(14 + 0.5 * k))
    assert "go back" in track.problem and len(track) == count + 30 and track.jumps == 0


def test_time_that_begins_again_begins_a_new_track():
    track = OdometryTrack()
    drive(track, start=100.0)
    drive(track, start=1.0)
    assert track.between(round(1.2 * S), round(2.0 * S)) is not None
    assert track.between(round(100.2 * S), round(101.0 * S)) is None


def test_a_short_bag_that_begins_again_is_followed_at_once():
    track = OdometryTrack()
    drive(track, start=100.0, seconds=3.0)
    drive(track, start=100.0, seconds=0.4)
    assert track.latest == round(100.4 * S)
    assert track.between(round(100.1 * S), round(100.4 * S)) is not None
    assert track.problem == "" and track.jumps == 0


def test_images_that_go_back_take_odometry_with_them():
    track = OdometryTrack()
    drive(track, start=100.0, seconds=3.0)
    for k in range(3):
        track.add(round((100.0 + k / 20) * S), pose(0.5 * k))
    track.go_back(round(102.9 * S))  # the same image twice is no jump
    assert track.latest == 103 * S
    track.go_back(round(100.1 * S))
    assert track.latest == round(100.1 * S) and len(track) == 3 and track.problem == ""


def test_velocity_of_a_fast_and_noisy_topic_is_taken_over_a_tenth_of_a_second():
    track = OdometryTrack()
    rng = np.random.default_rng(5)
    for k in range(200):
        track.add(S + k * S // 100, pose(0.1 * k + rng.normal(0, 0.01)))
    prior = track.between(round(2.5 * S), track.latest + S // 5)
    assert prior.T_to_from[0, 3] == pytest.approx(-6.9, abs=0.12)  # 0.49 s and 0.2 s at 10 m/s


def weave(track, delay=0.0, seconds=12.0):
    """Drive serpentines; odometry of 20 Hz is stamped late, images of 10 Hz are not."""

    def at(t):
        return pose(8.0 * t, 0.0, 0.3 * np.sin(1.2 * t))

    for k in range(round(seconds * 20)):
        t = k / 20
        track.add(round((1 + t + delay) * S), at(t))
        if k % 2 == 0 and t >= 0.1:
            start, end = (round((1 + u) * S) for u in (t - 0.1, t))
            seen = np.linalg.inv(at(t)) @ at(t - 0.1)
            track.watch.look_at_turning(start, end, seen, track.yaws_between)


@pytest.mark.parametrize("delay", [0.1, 0.17, -0.1])
def test_stamps_that_are_late_are_noticed_and_undone(delay):
    track = OdometryTrack()
    weave(track, delay)
    assert track.watch.delay * 1e-9 == pytest.approx(delay, abs=0.02)
    assert ("late" if delay > 0 else "early") in track.problem and "0.1" in track.problem
    prior = track.between(round(10.0 * S), round(10.5 * S))
    turned = -np.arctan2(prior.T_to_from[1, 0], prior.T_to_from[0, 0])
    truth = 0.3 * (np.sin(1.2 * 9.5) - np.sin(1.2 * 9.0))
    assert turned == pytest.approx(truth, abs=0.004)


def test_stamps_that_are_right_are_left_alone():
    track = OdometryTrack()
    weave(track)
    assert track.watch.delay == 0 and track.problem == ""


def test_straight_ahead_tells_of_no_delay():
    track = OdometryTrack()
    rng = np.random.default_rng(2)
    for k in range(200):
        track.add(S + k * S // 10, pose(k * 0.8, 0, rng.normal(0, 0.001)))
        turned = pose(0, 0, rng.normal(0, 0.0005))
        times = S + (k - 1) * S // 10, S + k * S // 10
        track.watch.look_at_turning(*times, turned, track.yaws_between)
    assert track.watch.delay == 0 and track.problem == ""


def test_a_wrong_wheel_scale_is_said_once_it_is_sure():
    track = OdometryTrack("/odom")
    drive(track)
    for k in range(30):
        assert track.problem == "" or k > 19
        track.watch.look_at_length(S + k * S // 10, 1.05, 0.01)
    assert track.problem.startswith("/odom: its way is 5 % too short, by the road (to 1 %). Fix:")
    track.watch.look_at_length(5 * S, 1.01, 0.01)
    assert track.problem == ""
    for k in range(30):  # nothing is sure
        track.watch.look_at_length(5 * S + k * S // 10, 1.05, 0.03)
    assert track.problem == ""


def test_odometry_that_has_ended_is_said():
    track = OdometryTrack("/odom")
    track.watch.look_at_age(track.latest, 5 * S, 0.25)
    assert track.problem == ""  # there never was any
    drive(track)
    track.watch.look_at_age(track.latest, 4 * S, 0.25)
    assert "/odom: its newest pose is 1.0 s older than the images" in track.problem


def test_memory_is_bounded():
    track = OdometryTrack()
    for k in range(3 * MAX_POSES):
        track.add(S + k * 1_000_000, pose(0.01 * k))
    assert len(track) <= MAX_POSES
