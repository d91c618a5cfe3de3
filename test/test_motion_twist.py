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

"""The vehicle's velocity: a motion's logarithm, and deviations that are honest."""

import numpy as np
import pytest

from depth_perception.geometry.transforms import inverse
from depth_perception.motion.twist import POINT_AGREEMENT, twist_of


def motion_of(velocity, seconds):
    """T_last_now of a velocity (linear, angular) that is kept for a time."""
    x, y, z = velocity[3:]
    generator = np.zeros((4, 4))
    generator[:3, :3] = [[0, -z, y], [z, 0, -x], [-y, x, 0]]
    generator[:3, 3] = velocity[:3]
    term = total = np.eye(4)
    for k in range(1, 20):  # the exponential's series
        term = term @ generator * (seconds / k)
        total = total + term
    return total


@pytest.mark.parametrize(
    "velocity",
    [
        [8.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [8.0, 0.1, -0.05, 0.02, -0.03, 0.6],
        [-1.0, 0.0, 0.0, 0.0, 0.0, -1.5],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [5.0, 0.0, 0.0, 0.0, 1e-8, 0.0],
    ],
)
def test_the_velocity_that_makes_a_motion(velocity):
    T_now_last = inverse(motion_of(np.array(velocity), 0.25))
    found = twist_of(T_now_last, 0.25, np.zeros((6, 6)))
    np.testing.assert_allclose(found.linear, velocity[:3], atol=1e-6)
    np.testing.assert_allclose(found.angular, velocity[3:], atol=1e-6)


def test_the_ways_length_is_as_sure_as_its_factor():
    T_now_last = inverse(motion_of(np.array([10.0, 0, 0, 0, 0, 0.1]), 0.1))
    found = twist_of(T_now_last, 0.1, np.diag([1.0, 1e-4, 1e-4, 1e-6, 1e-6, 1e-6]), 1.1, 0.02)
    assert np.linalg.norm(found.linear) == pytest.approx(11.0, rel=1e-3)
    sigma = np.sqrt(np.diag(found.covariance))
    # Not the 10 m/s that the points leave open along the way.
    assert sigma[0] == pytest.approx(0.02 * 11.0, rel=0.02)
    across = np.sqrt(POINT_AGREEMENT) * 0.01 * 1.1 / 0.1
    assert sigma[1] == pytest.approx(across, rel=0.02)
    assert sigma[3:] == pytest.approx(np.sqrt(POINT_AGREEMENT) * 1e-3 / 0.1)
    assert np.allclose(found.covariance, found.covariance.T)
    assert np.linalg.eigvalsh(found.covariance).min() > 0


def test_errors_of_a_motion_are_those_of_the_velocity():
    """First order: drawn motions around a mean have velocities with the covariance that is said."""
    rng = np.random.default_rng(0)
    mean = inverse(motion_of(np.array([6.0, 0.2, 0.0, 0.0, 0.02, 0.3]), 0.2))
    root = np.diag([0.0, 0.01, 0.02, 0.002, 0.001, 0.003])
    root[1, 5] = 0.005
    covariance = root @ root.T
    drawn = []
    for _ in range(2000):
        moved = motion_of(root @ rng.normal(size=6), 1.0) @ mean
        one = twist_of(moved, 0.2, covariance)
        drawn.append(np.concatenate([one.linear, one.angular]))
    wanted = twist_of(mean, 0.2, covariance).covariance / POINT_AGREEMENT
    found = np.cov(np.array(drawn).T)
    sigma, seen = (np.sqrt(np.diag(item))[1:] for item in (wanted, found))
    np.testing.assert_allclose(seen, sigma, rtol=0.15)
