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

"""The pipeline with motion: measured depth and the estimated road in its results, and messages."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from test_surround_motion import CAMERA, MOUNTS, STEP, seen, straight
from textured_street import pose

from depth_perception.datasets.bag import StampedPose
from depth_perception.datasets.bag_writer import BagTypes, package_typestore
from depth_perception.evaluation.replay import OdometryFeed
from depth_perception.frames.frame_set import CameraFrame, FrameSet
from depth_perception.frames.measured_kind import Kind
from depth_perception.frames.publication import (
    camera_topics,
    demand_of,
    messages_of,
    vehicle_topics,
)
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import Rig, RigCamera
from depth_perception.motion.completion import complete
from depth_perception.parameters import MotionParameters, OutputParameters, Parameters
from depth_perception.pipeline import SurroundPipeline

S = 1_000_000_000
TYPES = BagTypes(package_typestore())
RIG = Rig({"front": RigCamera("front", CAMERA, MOUNTS["front"], "front", CAMERA)})


def parameters(enabled=True, estimator="embodied"):
    return Parameters(
        estimator=estimator,
        motion=MotionParameters(enabled=enabled, image_width=256),
        output=OutputParameters(image_width=0),
    )


def drive(given, poses=None):
    """Results of the last set of a drive, and its exact depth."""
    pipeline = SurroundPipeline(given)
    try:
        for k, (x, yaw) in enumerate(poses or straight(7)):
            stamp = S + k * S // 10
            pipeline.add_odometry(stamp, pose(1.05 * x, 0.0, yaw))
            image, depth = seen("front", x, yaw)
            frame = CameraFrame(stamp, cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
            result = pipeline.process(FrameSet(stamp, {"front": frame}), RIG)
        return result, depth
    finally:
        pipeline.close()


def error(depth, truth):
    known = np.isfinite(depth) & np.isfinite(truth) & (truth < 40)
    return float(np.mean(np.abs(depth[known] / truth[known] - 1)))


def test_embodied_depth_is_filled_from_what_was_measured():
    with_motion, truth = drive(parameters())
    without, _ = drive(parameters(enabled=False))
    moved, still = with_motion.cameras["front"], without.cameras["front"]
    assert error(moved.depth, truth) < 0.4 * error(still.depth, truth)
    measured = np.isfinite(moved.measured)
    assert measured.mean() > 0.4
    assert ((moved.measured_kind > Kind.NOTHING) == measured).all()
    assert {Kind.PLANE, Kind.PARALLAX} <= set(np.unique(moved.measured_kind))
    assert (moved.measured_sigma[measured] > 0).all()
    np.testing.assert_array_equal(moved.depth[measured], moved.measured[measured])
    assert (moved.confidence[measured] > 0.3).mean() > 0.9
    assert with_motion.ground.source == "estimated"
    assert {"follow", "motion", "match"} <= with_motion.latencies.keys()


def test_off_is_off():
    without, _ = drive(parameters(enabled=False), straight(2))
    camera = without.cameras["front"]
    assert camera.measured is camera.measured_sigma is camera.measured_kind is None
    assert without.ground.source == "nominal"
    assert "match" not in without.latencies


def test_the_first_set_is_what_it_would_be_without_motion():
    first, _ = drive(parameters(), straight(1))
    plain, _ = drive(parameters(enabled=False), straight(1))
    np.testing.assert_array_equal(first.cameras["front"].depth, plain.cameras["front"].depth)


def test_measured_depth_has_topics_only_with_motion():
    given = parameters()
    result, _ = drive(given)
    sent = dict(messages_of(result, given, TYPES))
    image = sent["surround_depth/front/measured/image_rect"]
    assert image.encoding == "32FC1" and image.header.frame_id == "front"
    depth = np.frombuffer(bytes(image.data), np.float32).reshape(image.height, image.width)
    np.testing.assert_array_equal(depth, result.cameras["front"].measured)
    assert "surround_depth/front/measured/camera_info" in sent
    colour = "surround_depth/front/measured/image_color"
    assert colour not in sent, "a picture for people, which bags do without"
    (painted,) = [m for t, m in messages_of(result, given, TYPES, {colour})]
    pixels = np.frombuffer(bytes(painted.data), np.uint8).reshape(image.height, image.width, 3)
    assert ((pixels.max(axis=2) == 0) == np.isnan(depth)).all()
    assert not any("measured" in topic for topic in messages_without(result))
    topic = camera_topics("front", motion=True)["measured"][0]
    assert demand_of({topic}, ["front", "rear"], True, motion=True).cameras == ("front",)
    assert demand_of({topic}, ["front"], True).cameras == ()


def test_the_vehicles_velocity_has_a_topic_only_with_motion():
    given = parameters()
    result, _ = drive(given)
    topic, kind = vehicle_topics(motion=True)["twist"]
    message = dict(messages_of(result, given, TYPES))[topic]
    assert kind == "geometry_msgs/msg/TwistWithCovarianceStamped"
    assert message.header.frame_id == "base_link" == result.base_frame
    linear = message.twist.twist.linear
    assert np.linalg.norm([linear.x, linear.y, linear.z]) == pytest.approx(result.motion.speed)
    assert linear.x == pytest.approx(5.0, rel=0.1) and abs(message.twist.twist.angular.z) < 0.02
    covariance = np.array(message.twist.covariance).reshape(6, 6)
    assert 0 < covariance[0, 0] < 1 and np.linalg.eigvalsh(covariance).min() > 0
    assert topic not in messages_without(result) and "twist" not in vehicle_topics()
    assert demand_of({topic}, ["front", "rear"], True, motion=True).cameras == ("front", "rear")
    # The first set of a drive knows of no motion.
    first, _ = drive(given, straight(1))
    assert topic not in dict(messages_of(first, given, TYPES))


def messages_without(result):
    return [topic for topic, _ in messages_of(result, parameters(enabled=False), TYPES)]


def test_a_bags_odometry_comes_when_it_would_on_the_vehicle():
    class Taken:
        stamps = []  # noqa: RUF012

        def add_odometry(self, stamp, pose, name, by_tf):
            self.stamps.append(stamp)

    poses = [StampedPose(k * S // 10, np.eye(4), "/odom", False) for k in range(20)]
    reader = SimpleNamespace(motion=poses)
    feed = OdometryFeed(reader, Taken())
    feed.until(S // 2)
    assert max(Taken.stamps) == round(0.6 * S)
    feed.until(10 * S)
    assert len(Taken.stamps) == 20 and Taken.stamps == sorted(Taken.stamps)


def test_gaps_are_closed_from_their_rim_and_wide_ones_keep_the_guess():
    truth = np.tile(1 / np.linspace(0.2, 0.05, 320, dtype=np.float32), (160, 1))
    guess = np.full_like(truth, 30.0)
    measured = truth.copy()
    measured[40:60, 60:76] = np.nan
    measured[:, 160:] = np.nan
    known = np.isfinite(measured)
    sigma = np.full_like(guess, 0.3)
    depth, spread = complete(
        guess, sigma, measured, np.full_like(guess, 0.03), np.zeros(guess.shape, bool)
    )
    error = np.abs(depth / truth - 1)
    assert error[40:60, 60:76].max() < 0.1
    assert error[:, 162:166].mean() < 0.5 * np.abs(guess / truth - 1)[:, 162:166].mean()
    np.testing.assert_allclose(depth[:, 260:], 30.0, rtol=1e-4)
    np.testing.assert_array_equal(depth[known], measured[known])
    assert (spread[known] == np.float32(0.03)).all() and (spread[~known] >= 0.2).all()


def test_filling_leaves_road_sky_and_the_unknown_alone():
    guess = np.full((64, 64), 10.0, np.float32)
    guess[:8] = np.inf
    guess[8:16] = np.nan
    fixed = np.zeros(guess.shape, bool)
    fixed[48:] = True
    measured = np.full_like(guess, np.nan)
    measured[20:40, 20:40] = 15.0
    depth, _ = complete(guess, np.full_like(guess, 0.3), measured, np.full_like(guess, 0.02), fixed)
    assert np.isinf(depth[:8]).all() and np.isnan(depth[8:16]).all()
    assert (depth[48:] == 10.0).all() and (depth[20:40, 20:40] == 15.0).all()
    assert depth[30, 44] == pytest.approx(15.0, rel=0.2)
    nothing, _ = complete(
        guess, np.full_like(guess, 0.3), measured * np.nan, np.full_like(guess, 0.02), fixed
    )
    np.testing.assert_array_equal(nothing, guess)


def test_the_road_of_the_result_is_the_one_that_was_driven():
    result, _ = drive(parameters(), straight(9, STEP))
    assert isinstance(result.ground, GroundPlane)
    assert abs(result.ground.pitch) < np.radians(0.3) and abs(result.ground.roll) < np.radians(0.5)
