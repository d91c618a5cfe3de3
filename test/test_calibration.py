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
"""How cameras are mounted, from what they saw on a drive: simulated, exact, with noise."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_drive import MOUNTS, stretches, turned

from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.motion.calibration import calibration_of, solve_mountings
from depth_perception.motion.mounting_evidence import MountingModel

TURN = np.radians(6.0)


def calibrated(nominal, seen):
    model = MountingModel(list(nominal.values()), GroundPlane())
    found = calibration_of(model, seen, *solve_mountings(model, seen))
    return found, dict(zip(nominal, found.cameras, strict=True))


def apart(A, B):
    """Angle between two mountings, degrees."""
    cosine = (np.trace(A[:3, :3] @ B[:3, :3].T) - 1) / 2
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


@pytest.mark.parametrize("name", MOUNTS)
@pytest.mark.parametrize("axis", range(3))
def test_one_degree_in_any_camera_about_any_axis_is_found(name, axis):
    angles = np.zeros(3)
    angles[axis] = 1.0
    wrong = {**MOUNTS, name: turned(MOUNTS[name], -angles)}  # the camera looks 1 degree otherwise
    _, found = calibrated(wrong, stretches(MOUNTS, 24, TURN))
    item = found[name]
    assert item.relative_known.all()
    np.testing.assert_allclose(np.degrees(item.relative), angles, atol=0.1)
    for other, C in MOUNTS.items():
        assert apart(found[other].applied(wrong[other]), C) < 0.12


def test_a_camera_alone_is_held_against_the_vehicle_and_the_road():
    front = {"front": MOUNTS["front"]}
    wrong = {"front": turned(front["front"], [0.0, -1.0, 1.0])}
    found, by_name = calibrated(wrong, stretches(front, 40, TURN))
    item = by_name["front"]
    assert item.known.all() and found.shared_used.any()
    np.testing.assert_allclose(np.degrees(item.rotation), [0, 1, -1], atol=0.25)
    assert np.isnan(item.relative_sigma).all()
    assert apart(item.applied(wrong["front"]), front["front"]) < 0.35


def test_without_turns_and_road_the_tilt_about_the_way_is_unknown_and_is_left_as_it_is():
    wrong = {**MOUNTS, "left": turned(MOUNTS["left"], [0.0, 1.0, -1.0])}
    _, found = calibrated(wrong, stretches(MOUNTS, 24, 0.0))
    left = found["left"]
    # The left camera looks across the way: its pitch turns it about the way, its yaw does not.
    assert list(left.relative_known) == [True, False, True]
    assert np.degrees(left.relative[2]) == pytest.approx(1.0, abs=0.15)
    corrected = left.applied(wrong["left"])
    assert apart(corrected, turned(MOUNTS["left"], [0.0, 1.0, 0.0])) < 0.2


def test_height_comes_from_the_road_and_a_way_that_is_known():
    seen = stretches(MOUNTS, 24, TURN)
    wrong = {name: C.copy() for name, C in MOUNTS.items()}
    wrong["rear"][2, 3] -= 0.10
    _, found = calibrated(wrong, seen)
    assert found["rear"].height - found["front"].height == pytest.approx(0.10, abs=0.02)
    assert found["left"].raised == 0.0 and not found["left"].height_known


@pytest.mark.parametrize("seed", range(3))
def test_a_rig_that_is_right_is_left_as_it_is(seed):
    _, found = calibrated(MOUNTS, stretches(MOUNTS, 24, TURN, seed=seed))
    for name, item in found.items():
        np.testing.assert_array_equal(item.applied(MOUNTS[name]), MOUNTS[name])
    assert any(np.any(item.relative != 0) for item in found.values())  # told, not applied


def test_odometry_that_is_wrong_in_length_is_noticed_and_does_no_harm():
    found, by_name = calibrated(MOUNTS, stretches(MOUNTS, 24, TURN, scale=0.95))
    assert found.length_factor == pytest.approx(1 / 0.95, abs=0.03)
    assert all(np.degrees(np.abs(item.relative)).max() < 0.1 for item in by_name.values())


def test_deviations_say_how_far_off_the_estimate_is():
    ratios = []
    for seed in range(4):
        _, found = calibrated(MOUNTS, stretches(MOUNTS, 16, TURN, seed=seed))
        for item in found.values():
            ratios += list(item.relative / item.relative_sigma)
    # The simulation lacks most of what deviations allow for (shake, bumps): they are cautious.
    assert 0.1 < np.sqrt(np.mean(np.square(ratios))) < 1.5
