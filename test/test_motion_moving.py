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

"""What moves by itself is told by the ground below it, and left out with what lies above."""

from __future__ import annotations

import numpy as np
import pytest

from depth_perception.motion.moving import find_moving

HEIGHT, WIDTH, FOCAL, HORIZON, CAMERA_HEIGHT = 120, 80, 100.0, 40, 1.5
ROWS = np.arange(HEIGHT, dtype=np.float32)[:, None] * np.ones((1, WIDTH), np.float32)
PLANE = np.maximum((ROWS - HORIZON) / (FOCAL * CAMERA_HEIGHT), 0).astype(np.float32)
RISE = ((HORIZON - ROWS) / FOCAL).astype(np.float32)
FOOT = 70
"""Row at which the thing stands: the ground there is 5 m away."""


def scene(nearer: float, upper: float = 1.0):
    """Ground, and a thing 20 px wide that is measured ``nearer`` than where it stands."""
    w = np.where(PLANE > 0, PLANE, np.float32(0.01)).astype(np.float32)
    body = np.zeros(w.shape, bool)
    body[50:FOOT, 30:50] = True
    w[body] = PLANE[FOOT, 0] * np.float32(nearer)
    top = np.zeros(w.shape, bool)
    top[42:48, 30:50] = True  # a patch of its own, with no ground below it
    w[top] = PLANE[FOOT, 0] * np.float32(upper)
    flat = (PLANE > 0) & ~body & (ROWS >= FOOT)
    things = body | top
    none = np.zeros(w.shape, bool)
    return find_moving(w, things, none, PLANE, flat, RISE, CAMERA_HEIGHT), body, top


@pytest.mark.parametrize("nearer", [0.5, 1.6])
def test_what_contradicts_its_feet_moves(nearer):
    (moving, above), body, _ = scene(nearer)
    assert moving[body].all() and above[body].all()
    assert not moving[FOOT:].any() and not moving[:, :30].any()


def test_what_stands_where_it_is_measured_stays():
    (moving, above), _, _ = scene(1.05)
    assert not moving.any() and not above.any()


def test_what_lies_above_a_moving_foot_and_is_elsewhere_goes_too():
    (moving, _), _, top = scene(1.6, upper=0.4)
    assert moving[top].all()
    (moving, _), _, top = scene(1.05, upper=0.4)
    assert not moving[top].any()


def test_what_would_lie_under_the_road_moves_with_what_hangs_over_it():
    w = np.where(PLANE > 0, PLANE, np.float32(0.01)).astype(np.float32)
    under = np.zeros(w.shape, bool)
    under[60:FOOT, 30:50] = True  # seen where the road is 5 m away, and seems 10 m away
    w[under] = PLANE[FOOT, 0] / 2
    top = np.zeros(w.shape, bool)
    top[48:56, 30:50] = True
    w[top] = PLANE[FOOT, 0] / 3
    wall = np.zeros(w.shape, bool)
    wall[10:45, :] = True  # large, and mostly not above the thing
    w[wall] = np.float32(0.05)
    none = np.zeros(w.shape, bool)
    flat = (PLANE > 0) & (ROWS > FOOT + 8)  # no ground is seen below: feet say nothing
    things = under | top | wall
    moving, _ = find_moving(w, things, under, PLANE, flat, RISE, CAMERA_HEIGHT)
    assert moving[under].all() and moving[top].all() and not moving[wall].any()
    moving, _ = find_moving(w, things, none, PLANE, flat, RISE, CAMERA_HEIGHT)
    assert not moving.any()


def test_a_foot_that_is_seen_two_rows_too_high_moves_nothing():
    """Near the horizon two rows are a quarter of the distance."""
    w = np.where(PLANE > 0, PLANE, np.float32(0.01)).astype(np.float32)
    foot = HORIZON + 9
    body = np.zeros(w.shape, bool)
    body[20 : foot - 2, 30:50] = True
    w[body] = PLANE[foot, 0]  # true; the ground is believed up to two rows over its foot
    flat = (PLANE > 0) & (ROWS >= foot - 2)
    none = np.zeros(w.shape, bool)
    moving, _ = find_moving(w, body, none, PLANE, flat, RISE, CAMERA_HEIGHT)
    assert not moving.any()


def test_feet_of_a_few_columns_do_not_condemn_a_facade():
    w = np.where(PLANE > 0, PLANE, np.float32(0.01)).astype(np.float32)
    facade = np.zeros(w.shape, bool)
    facade[10:60, :] = True
    w[facade] = PLANE[60, 0]
    # In a tenth of the columns a dark thing hides its foot, and its roof is taken for ground.
    flat = (PLANE > 0) & (ROWS >= 60)
    w[50:60, 30:38] = np.nan
    things = facade & np.isfinite(w)
    flat[50:60, 30:38] = True
    flat[60:, :30] = flat[60:, 38:] = False
    none = np.zeros(w.shape, bool)
    moving, _ = find_moving(w, things, none, PLANE, flat, RISE, CAMERA_HEIGHT)
    assert not moving.any()
