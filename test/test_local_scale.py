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


"""Relative depth brought to metres place by place, by what was measured."""

from __future__ import annotations

import numpy as np
import pytest

from depth_perception.estimators.local_scale import locally_scaled

H, W = 96, 160


def scene(rng):
    """True inverse depth of a road with boxes, and a network's that is bent and tilted."""
    rows = np.linspace(0.02, 0.3, H, dtype=np.float32)[:, None] * np.ones((1, W), np.float32)
    for _ in range(8):
        top, left = rng.integers(5, H - 30), rng.integers(0, W - 25)
        rows[top : top + 25, left : left + 20] = rows[top + 24, left]
    tilt = np.exp(np.linspace(-0.5, 0.5, W, dtype=np.float32))[None]
    network = rows**1.15 * tilt * 1.4
    return rows.astype(np.float32), network.astype(np.float32)


def measured_at(truth, share, rng, sigma=0.03):
    known = rng.uniform(size=truth.shape) < share
    depth = np.where(known, 1 / truth * np.exp(rng.normal(0, sigma, truth.shape)), np.nan)
    return depth.astype(np.float32), np.where(known, sigma, np.nan).astype(np.float32)


def abs_rel(inverse, truth, where):
    return float(np.mean(np.abs(truth[where] / inverse[where] - 1)))


@pytest.mark.parametrize("share", [0.05, 0.4])
def test_what_was_not_measured_gains_from_what_was_around(share):
    rng = np.random.default_rng(3)
    truth, network = scene(rng)
    depth, sigma = measured_at(truth, share, rng)
    rest = np.isnan(depth)
    one = network * np.median(truth[~rest] / network[~rest])
    guess = np.full(truth.shape, 0.3, np.float32)
    out, spread = locally_scaled(network, guess, depth, sigma)
    assert abs_rel(out, truth, rest) < 0.4 * abs_rel(one, truth, rest)
    assert abs_rel(out, truth, ~rest) < 0.04
    assert np.median(spread[~rest]) < 0.05 < np.median(spread[rest]) <= 0.3


def test_nothing_measured_changes_nothing():
    rng = np.random.default_rng(0)
    _, network = scene(rng)
    network[:5] = np.nan
    nothing = np.full((H, W), np.nan, np.float32)
    guess = np.full((H, W), 0.3, np.float32)
    out, spread = locally_scaled(network, guess, nothing, nothing)
    np.testing.assert_array_equal(out, network)
    np.testing.assert_array_equal(spread, guess)


def test_what_contradicts_its_surroundings_is_not_followed():
    """A car that drives along ahead is measured many times as far."""
    rng = np.random.default_rng(5)
    truth, network = scene(rng)
    depth, sigma = measured_at(truth, 0.5, rng)
    car = np.zeros((H, W), bool)
    car[40:58, 60:85] = True
    depth[car] *= 6
    out, _ = locally_scaled(network, np.full((H, W), 0.3, np.float32), depth, sigma)
    assert abs_rel(out, truth, car) < 0.25
    assert abs_rel(out, truth, ~car & np.isnan(depth)) < 0.1


def test_unknown_stays_unknown_and_one_side_says_nothing_of_the_other():
    rng = np.random.default_rng(7)
    truth, network = scene(rng)
    depth, sigma = measured_at(truth, 0.5, rng)
    depth[:, 40:], sigma[:, 40:] = np.nan, np.nan
    network[:4] = 1e-4
    network[:, 150:] = np.nan
    depth[:4] = np.nan
    guess = np.full((H, W), 0.3, np.float32)
    out, spread = locally_scaled(network, guess, depth, sigma, beyond=0.005)
    assert (out[:4, :150] == np.float32(1e-4)).all(), "the sky stays"
    assert np.isnan(out[:, 150:]).all() and np.isfinite(out[:, :150]).all()
    assert (out[:, :150] > 0).all()
    assert np.allclose(spread[:, 130:150], 0.3), "nothing was measured near it"
