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

"""Edges of a network's depth where something was measured: what hangs in between goes."""

import cv2
import numpy as np
import pytest

from depth_perception.estimators.measured_edges import with_measured_edges
from depth_perception.inference.model_file import STRIDE
from depth_perception.motion.measured_depth import Kind, MeasuredDepth

NETWORK = (512, 288)
OUT = (640, 360)
NEAR, FAR = 8.0, 30.0
EDGE = 0.43
"""Where the near surface ends, share of the width."""


def true_depth(size):
    """(H, W): a near surface to the left of a far one."""
    u = (np.arange(size[0]) + 0.5) / size[0]
    return np.tile(np.where(u < EDGE, NEAR, FAR), (size[1], 1)).astype(np.float32)


def seen_by_network(size=OUT):
    """The same as the network says it: by cells of its stride, read in between."""
    cells = true_depth((NETWORK[0] // STRIDE, NETWORK[1] // STRIDE))
    return np.exp(cv2.resize(np.log(cells), size, interpolation=cv2.INTER_LINEAR))


def measured(depth, sigma=0.01):
    w = (1 / depth).astype(np.float32)
    kind = np.where(np.isfinite(w), np.uint8(Kind.PARALLAX), np.uint8(Kind.NOTHING))
    return MeasuredDepth(w, (w * sigma).astype(np.float32), kind)


def hanging(depth):
    """Pixels of the middle row that are near neither surface."""
    row = depth[depth.shape[0] // 2]
    return int(((row > 1.1 * NEAR) & (row < FAR / 1.1)).sum())


@pytest.mark.parametrize("width", [416, 640, 832])
def test_depth_at_an_edge_is_that_of_one_surface(width):
    before = seen_by_network()
    after = with_measured_edges(before, measured(true_depth((width, width * 9 // 16))), NETWORK)
    assert hanging(before) >= 4 and hanging(after) <= 2  # those of one measured pixel
    wrong = [np.abs(np.log(d / true_depth(OUT))).mean() for d in (before, after)]
    assert wrong[1] < 0.5 * wrong[0]
    assert after.dtype == np.float32


def test_smooth_surfaces_stay_as_the_network_has_them():
    rows = np.linspace(1, 3, OUT[1], dtype=np.float32)
    depth = np.repeat(rows[:, None] * 10, OUT[0], axis=1)
    noise = np.random.default_rng(0).normal(0, 0.05, (234, 416))
    noisy = cv2.resize(depth, (416, 234), interpolation=cv2.INTER_AREA) * np.exp(noise)
    assert np.array_equal(with_measured_edges(depth, measured(noisy), NETWORK), depth)


def test_what_the_network_does_not_see_around_is_left_aside():
    depth = seen_by_network()
    wrong = true_depth((416, 234)) * 5
    assert np.array_equal(with_measured_edges(depth, measured(wrong), NETWORK), depth)
    nothing = np.full((234, 416), np.nan, np.float32)
    assert np.array_equal(with_measured_edges(depth, measured(nothing), NETWORK), depth)


def test_a_measurement_that_is_unsure_changes_little():
    depth, truth = seen_by_network(), true_depth((416, 234))
    sure, unsure = (
        np.abs(np.log(with_measured_edges(depth, measured(truth, s), NETWORK) / depth)).max()
        for s in (0.01, 0.45)
    )
    assert unsure < 0.2 * sure


def test_unknown_and_beyond_stay():
    depth = seen_by_network()
    depth[:40] = np.inf
    depth[-40:] = np.nan
    after = with_measured_edges(depth, measured(true_depth((416, 234))), NETWORK)
    assert np.isposinf(after[:40]).all() and np.isnan(after[-40:]).all()
    assert np.isfinite(after[40:-40]).all()
