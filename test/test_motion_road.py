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

"""The road as a ruler: pitch, roll and the length of the way from what lies in the lane."""

from __future__ import annotations

import numpy as np
import pytest
from textured_street import mounted

from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane, plane_depth
from depth_perception.motion.road import fit_road, lane_samples
from depth_perception.motion.road_filter import RoadFilter

CAMERA = CameraModel(416, 234, np.array([[320.0, 0, 207.5], [0, 320.0, 116.5], [0, 0, 1]]))
RAYS = CAMERA.rays().astype(np.float32)
NOMINAL = GroundPlane()
WIDE = np.diag([np.radians(1.5) ** 2, np.radians(1.5) ** 2, 0.1**2])


def measured(T_base_camera, pitch=0.0, roll=0.0, factor=1.0, noise=0.03, wall=None, seed=0):
    """Inverse depth of a road, by a way that is really ``factor`` longer than assumed."""
    road = GroundPlane.from_angles(roll, pitch, 0.0)
    depth = plane_depth(RAYS, T_base_camera, road)
    if wall is not None:
        depth = np.where(np.arange(CAMERA.width)[None] < CAMERA.width * wall, 6.0, depth)
    rng = np.random.default_rng(seed)
    with np.errstate(divide="ignore"):
        w = np.where(np.isfinite(depth), factor / depth, np.nan)
    return (w * np.exp(rng.normal(0, noise, w.shape))).astype(np.float32)


def samples(T_base_camera, curvature=0.0, **road):
    return lane_samples(measured(T_base_camera, **road), RAYS, T_base_camera, NOMINAL, curvature)


@pytest.mark.parametrize("pitch", [-0.8, 0.0, 1.0])
@pytest.mark.parametrize("factor", [0.92, 1.07])
def test_pitch_and_length_together(pitch, factor):
    C = mounted(x=1.5, z=1.6)
    found = fit_road(
        [samples(C, pitch=np.radians(pitch), roll=0.004, factor=factor)], NOMINAL, np.zeros(3), WIDE
    )
    assert np.degrees(found.state[0]) == pytest.approx(pitch, abs=0.2)
    assert np.exp(found.state[2]) == pytest.approx(factor, abs=0.02)
    assert abs(found.state[2] - np.log(factor)) < 3 * np.sqrt(found.covariance[2, 2])
    assert found.agreeing > 0.95


def test_cameras_ahead_and_behind_measure_together():
    front, back = mounted(x=2.0, z=1.4), mounted(x=-1.0, z=1.2, yaw=np.pi)
    road = {"pitch": 0.012, "roll": -0.01, "factor": 1.05}
    found = fit_road(
        [samples(front, **road), samples(back, seed=1, **road)], NOMINAL, np.zeros(3), WIDE
    )
    np.testing.assert_allclose(found.state, [0.012, -0.01, np.log(1.05)], atol=0.005)
    one = fit_road([samples(front, **road)], NOMINAL, np.zeros(3), WIDE)
    assert found.covariance[0, 0] < one.covariance[0, 0]


def test_what_stands_on_a_part_of_the_lane_is_outvoted():
    C = mounted(x=1.5, z=1.6)
    found = fit_road([samples(C, factor=1.05, wall=0.44)], NOMINAL, np.zeros(3), WIDE)
    assert np.exp(found.state[2]) == pytest.approx(1.05, abs=0.02)
    assert found.agreeing < 0.99


def test_no_road_gives_nothing():
    C = mounted(x=1.5, z=1.6)
    nothing = np.full((CAMERA.height, CAMERA.width), np.nan, np.float32)
    empty = lane_samples(nothing, RAYS, C, NOMINAL, 0.0)
    assert fit_road([empty], NOMINAL, np.zeros(3), WIDE) is None
    assert fit_road([], NOMINAL, np.zeros(3), WIDE) is None
    rng = np.random.default_rng(0)
    noise = rng.uniform(0.02, 0.4, nothing.shape).astype(np.float32)
    chaos = lane_samples(noise, RAYS, C, NOMINAL, 0.0)
    assert fit_road([chaos], NOMINAL, np.zeros(3), WIDE) is None


def test_the_lane_follows_the_bend():
    C = mounted(x=1.5, z=1.6)
    everywhere = measured(C, noise=0.0)
    for curvature, side in ((0.05, 1), (-0.05, -1)):
        lane = lane_samples(everywhere, RAYS, C, NOMINAL, curvature)
        points = lane.rays / lane.inverse_depth[:, None] + lane.centre
        far = points[:, 0] > 12
        assert (np.sign(points[far, 1]) == side).mean() > 0.95


def test_filter_gets_surer_and_follows_a_slope():
    C = mounted(x=1.5, z=1.6)
    follower = RoadFilter(NOMINAL)
    assert follower.ground is NOMINAL and follower.factor == 1.0
    sigmas = []
    for k in range(30):
        follower.predict(0.1, by_odometry=True)
        follower.update([samples(C, pitch=0.012, factor=1.06, seed=k)])
        sigmas.append(follower.factor_sigma)
    assert follower.ground.source == "estimated"
    assert follower.ground.pitch == pytest.approx(0.012, abs=0.002)
    assert follower.factor == pytest.approx(1.06, abs=0.012)
    assert sigmas[-1] < sigmas[0]
    for _ in range(100):  # no road for ten seconds: back to the mounting, and as unsure as that
        follower.predict(0.1, by_odometry=True)
        follower.update([])
    assert abs(follower.ground.pitch) < 0.002
    assert follower.factor == pytest.approx(1.06, abs=0.012)
    assert follower.ground.covariance[1, 1] <= NOMINAL.covariance[1, 1] * 1.001


def test_a_first_guess_may_be_far_off_and_then_only_drifts():
    C = mounted(x=1.5, z=1.6)
    follower = RoadFilter(NOMINAL)
    follower.begin_factor(by_odometry=False, guessed=True)
    for k in range(20):
        follower.predict(0.1, by_odometry=False)
        follower.update([samples(C, factor=1.4, seed=k)])
    assert follower.factor == pytest.approx(1.4, rel=0.03)
    # Odometry comes: what was found scales the past, and its own factor is new and nearly one.
    sure = follower.factor_sigma
    follower.begin_factor(by_odometry=True, guessed=False)
    assert follower.factor == 1.0 and follower.factor_sigma > sure
    # And back: what was known stays known, though no road was seen in the last set.
    known = follower.factor_sigma
    follower.update([])
    follower.begin_factor(by_odometry=False, guessed=False)
    assert follower.factor_sigma == pytest.approx(known, rel=0.01)


def test_road_that_lies_lower_ahead_is_a_lower_plane_not_a_longer_way():
    C = mounted(x=1.5, z=1.6)
    follower = RoadFilter(NOMINAL)
    lower = 1.04
    for k in range(30):
        follower.predict(0.1, by_odometry=True)
        follower.update([samples(C, factor=1 / lower, seed=k)])
    # Nobody can tell the two apart at once; together they explain all of it.
    ground = follower.ground
    height = float(ground.signed_distance(C[:3, 3])) / float(NOMINAL.signed_distance(C[:3, 3]))
    assert height / follower.factor == pytest.approx(lower, abs=0.015)
