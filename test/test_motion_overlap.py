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

"""What two cameras of one set measured is a ruler for the way, and taken where it is surer."""

from __future__ import annotations

import numpy as np
import pytest

from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.motion.measured_depth import ONE_SURFACE, Kind, MeasuredDepth
from depth_perception.motion.overlap import OVERLAP_LENGTH, combined, length_by_overlap
from depth_perception.motion.road_filter import RoadFilter

SHAPE = (40, 60)
TRUE = np.linspace(0.08, 0.3, SHAPE[1], dtype=np.float32) * np.ones((SHAPE[0], 1), np.float32)


def measured(w, sigma, kind, known=None):
    known = np.ones(SHAPE, bool) if known is None else known
    nan = np.float32(np.nan)
    return MeasuredDepth(
        np.where(known, w, nan).astype(np.float32),
        np.where(known, sigma, nan).astype(np.float32),
        np.where(known, np.uint8(kind), np.uint8(Kind.NOTHING)).astype(np.uint8),
    )


def test_overlap_says_how_long_the_way_was():
    rng = np.random.default_rng(0)
    by_way = measured(TRUE * 1.07 * rng.normal(1, 0.03, SHAPE), 0.01, Kind.PARALLAX)
    gross = np.where(rng.random(SHAPE) < 0.2, 3.0, 1.0)
    beside = measured(TRUE * gross * rng.normal(1, 0.03, SHAPE), 0.01, Kind.OVERLAP)
    longer, sigma = length_by_overlap(by_way, beside)
    assert longer == pytest.approx(np.log(1.07), abs=0.01)
    assert sigma == pytest.approx(np.hypot(OVERLAP_LENGTH, 0.01 / np.median(TRUE)), rel=0.2)
    few = np.zeros(SHAPE, bool)
    few[:4, :50] = True
    assert length_by_overlap(by_way, measured(TRUE, 0.01, Kind.OVERLAP, few)) is None


def test_the_surer_is_taken_with_what_the_length_leaves_open():
    left = np.zeros(SHAPE, bool)
    left[:, :40] = True
    by_way = measured(TRUE, 0.001, Kind.PARALLAX, left)
    beside = measured(TRUE * 1.1, 0.004, Kind.OVERLAP, ~left | (np.arange(SHAPE[1]) > 20))
    out = combined(by_way, beside, 0.01)
    assert (out.kind[:, :40] == Kind.PARALLAX).all() and (out.kind[:, 40:] == Kind.OVERLAP).all()
    out = combined(by_way, beside, 0.2)  # nobody knows how long the way was
    assert (out.kind[:, :21] == Kind.PARALLAX).all() and (out.kind[:, 21:] == Kind.OVERLAP).all()
    assert np.isfinite(out.sigma).all()


def test_the_mean_of_what_agrees_is_surer_than_both():
    by_way, beside = (
        measured(TRUE * 1.02, 0.004, Kind.PARALLAX),
        measured(TRUE, 0.004, Kind.OVERLAP),
    )
    out = combined(by_way, beside, 0.0)
    assert (out.inverse_depth > TRUE).all() and (out.inverse_depth < 1.02 * TRUE).all()
    assert (out.sigma < 0.004).all() and (out.sigma > 0.0028).all()
    assert (out.kind == Kind.PARALLAX).all()  # overlap's length is not exact
    # What contradicts each other is not mixed: one of the two it is.
    apart = combined(measured(TRUE * 1.5, 0.002, Kind.PARALLAX), beside, 0.0)
    assert np.isin(apart.inverse_depth, (TRUE * 1.5, TRUE)).all()


def test_a_length_that_something_else_says_is_weighed():
    follower = RoadFilter(GroundPlane())
    unsure = follower.factor_sigma
    follower.take_length(np.log(1.08), 0.02)
    assert 1.06 < follower.factor < 1.08 and follower.factor_sigma < 0.5 * unsure
    follower.take_length(np.log(2.0), 100.0)
    assert follower.factor < 1.09
    # It has the same error at every set: that it is said often makes nothing surer.
    for _ in range(50):
        follower.take_length(np.log(1.08), 0.02)
    assert 0.014 < follower.factor_sigma <= 0.02


@pytest.mark.parametrize("size", [(90, 60), (96, 64), (31, 21)])
def test_on_another_grid_planes_are_exact_and_edges_stay(size):
    """A road on the left, a thing on the right; on finer grids and on a coarser one."""
    height, width = 48, 72
    v = (np.arange(height) + 0.5) / height
    road = np.tile((0.05 + 0.2 * v)[:, None], (1, width)).astype(np.float32)
    truth = np.where((np.arange(width) + 0.5) / width < 0.5, road, 0.6).astype(np.float32)
    known = np.ones((height, width), bool)
    known[:6] = False
    nan, kind = np.float32(np.nan), np.where(known, np.uint8(Kind.PARALLAX), np.uint8(0))
    item = MeasuredDepth(np.where(known, truth, nan), np.where(known, truth * 0.02, nan), kind)
    depth, sigma = item.on_grid((size[1], size[0]))
    there = np.isfinite(depth)
    assert (there == (item.kind_on_grid((size[1], size[0])) == Kind.PARALLAX)).all()
    wanted = 0.05 + 0.2 * (np.arange(size[1]) + 0.5) / size[1]
    inner = there[:, 0].copy()
    inner[[np.argmax(inner), -1]] = False  # beyond the outermost centres the nearest is taken
    left = 1 / depth[inner, : size[0] // 3]
    np.testing.assert_allclose(left, np.tile(wanted[inner, None], left.shape[1]), rtol=1e-3)
    # What lies beside the edge is of one of the two surfaces, to a tenth.
    off = np.abs(1 / depth - 0.6) / 0.6, np.abs(1 / depth - wanted[:, None]) / wanted[:, None]
    assert (np.minimum(*off)[there] < ONE_SURFACE + 0.02).all()
    assert np.allclose(sigma[there], 0.02)
