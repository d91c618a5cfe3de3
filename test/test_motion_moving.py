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
