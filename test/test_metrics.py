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

"""Metrics against numbers worked by hand, and reading depth between pixels."""

import dataclasses
import math

import numpy as np
import pytest

from depth_perception.evaluation.boundary import (
    Boundary,
    boundary_counts,
    boundary_counts_at_points,
    spacing,
)
from depth_perception.evaluation.metrics import (
    DepthMetrics,
    accuracy_by_range,
    depth_metrics,
    mean_metrics,
    median_scale,
    scaled,
)
from depth_perception.geometry.sampling import sample_depth, sample_nearest

TRUTH = np.array([10.0, 10.0, 20.0, 40.0])
PREDICTION = np.array([11.0, 9.7, 20.0, 60.0])
# Errors 1, -0.3, 0, 20; relative 0.1, 0.03, 0, 0.5; logs ln 1.1, ln 0.97, 0, ln 1.5.


def test_each_metric_by_hand():
    m = depth_metrics(PREDICTION, TRUTH)
    assert (m.count, m.truth_count, m.coverage) == (4, 4, 1.0)
    assert m.abs_rel == pytest.approx((0.1 + 0.03 + 0 + 0.5) / 4)
    assert m.sq_rel == pytest.approx((0.1 + 0.009 + 0 + 10) / 4)
    assert m.rmse == pytest.approx(math.sqrt((1 + 0.09 + 400) / 4))
    g = [0.0953101798, -0.0304592075, 0.0, 0.4054651081]
    mean_square = sum(value**2 for value in g) / 4
    assert m.rmse_log == pytest.approx(math.sqrt(mean_square))
    assert m.silog == pytest.approx(100 * math.sqrt(mean_square - (sum(g) / 4) ** 2))
    assert m.log10 == pytest.approx((0.0413926852 + 0.0132282657 + 0.1760912591) / 4)
    assert (m.delta1, m.delta2, m.delta3) == (0.75, 1.0, 1.0)


def test_a5_and_a10_are_shares_strictly_below():
    truth = np.full(4, 100.0)
    m = depth_metrics(np.array([104.0, 106.0, 91.0, 115.0]), truth)
    assert (m.a5, m.a10) == (0.25, 0.75)


def test_delta_counts_ratios_both_ways():
    m = depth_metrics(np.array([8.1, 7.9, 12.4, 15.7]), np.full(4, 10.0))
    assert m.delta1 == 0.5  # 10 / 8.1 and 1.24
    assert m.delta2 == 0.75  # 10 / 7.9 = 1.266 too, 1.57 is above 1.5625


def test_a_wrong_scale_costs_no_silog():
    m = depth_metrics(TRUTH * 1.7, TRUTH)
    assert m.silog == pytest.approx(0, abs=1e-5)
    assert m.rmse_log == pytest.approx(math.log(1.7))
    assert m.abs_rel == pytest.approx(0.7)


def test_unknown_and_beyond_are_not_covered():
    m = depth_metrics(np.array([10.0, np.nan, np.inf, -3.0, 0.0]), np.full(5, 10.0))
    assert (m.count, m.truth_count, m.coverage) == (1, 5, 0.2)
    assert m.abs_rel == 0


@pytest.mark.parametrize("truth", [[], [10.0, 20.0]])
def test_nothing_covered_is_nan_with_count_zero(truth):
    m = depth_metrics(np.full(len(truth), np.nan), np.array(truth))
    assert (m.count, m.truth_count) == (0, len(truth))
    assert all(math.isnan(getattr(m, f.name)) for f in dataclasses.fields(m)[3:]), (
        "all metrics but the counts and coverage"
    )
    assert math.isnan(median_scale(np.full(len(truth), np.nan), np.array(truth)))


def test_median_scale_is_a_ratio_of_medians_over_covered_points():
    prediction = np.array([1.0, 2.0, 4.0, np.nan])
    assert median_scale(prediction, np.array([3.0, 8.0, 9.0, 1000.0])) == 4.0
    np.testing.assert_array_equal(
        scaled(np.array([1.0, 30.0, np.inf]), 4.0, (1e-3, 80.0)), [4.0, 80.0, np.inf]
    )


def test_each_image_counts_alike_and_empty_ones_do_not():
    many = depth_metrics(np.full(1000, 11.0), np.full(1000, 10.0))
    few = depth_metrics(np.array([13.0]), np.array([10.0]))
    blind = depth_metrics(np.full(5, np.nan), np.full(5, 10.0))
    m = mean_metrics([many, few, blind, DepthMetrics()])
    assert m.abs_rel == pytest.approx(0.2)
    assert m.coverage == pytest.approx(2 / 3)
    assert (m.count, m.truth_count) == (1001, 1006)


def test_sampling_is_exact_on_a_plane():
    # 1/Z is affine in the pixel on every plane: 1/Z = 0.002 v + 0.0005 u + 0.05.
    v, u = np.mgrid[0:8, 0:10]
    depth = (1 / (0.002 * v + 0.0005 * u + 0.05)).astype(np.float32)
    uv = np.array([[3.25, 4.75], [0.5, 6.5], [8.9, 0.1]])
    expected = 1 / (0.002 * uv[:, 1] + 0.0005 * uv[:, 0] + 0.05)
    np.testing.assert_allclose(sample_depth(depth, uv), expected, rtol=1e-6)


def test_sampling_never_mixes_two_surfaces():
    depth = np.array([[10.0, 20.0], [10.0, 20.0]], dtype=np.float32)
    uv = np.array([[0.4, 0.5], [0.6, 0.5]])
    np.testing.assert_array_equal(sample_depth(depth, uv), [10.0, 20.0])


def test_sampling_keeps_unknown_and_beyond_and_the_border():
    depth = np.array([[np.nan, 8.0], [np.inf, 8.0]], dtype=np.float32)
    uv = np.array([[0.1, 0.1], [0.1, 0.9], [0.9, 0.2], [1.4, 1.4], [1.6, 0.0], [np.nan, 0.0]])
    np.testing.assert_array_equal(
        sample_depth(depth, uv), [np.nan, np.inf, 8.0, 8.0, np.nan, np.nan]
    )
    ids = np.array([[1, 2], [3, 4]], dtype=np.uint8)
    np.testing.assert_array_equal(sample_nearest(ids, uv, outside=9), [1, 3, 2, 4, 9, 9])


def test_accuracy_bins_hold_their_lower_end_and_print_counts():
    truth = np.array([5.0, 10.0, 15.0, 30.0])
    rows = accuracy_by_range(
        np.array([5.1, 10.8, np.nan, 24.0]), truth, truth, [(0, 10), (10, 20), (20, 40), (40, 80)]
    )
    assert [(r.count, r.truth_count) for r in rows] == [(1, 1), (1, 2), (1, 1), (0, 0)]
    assert [r.a5 for r in rows[:3]] == [1.0, 0.0, 0.0]
    assert [r.a10 for r in rows[:3]] == [1.0, 1.0, 0.0]
    assert rows[2].bias[1] == pytest.approx(-0.2)
    assert math.isnan(rows[3].a10)


def test_edges_by_hand():
    truth = np.array([[10.0, 10.0, 20.0, 20.0, np.inf, np.nan, 5.0]])
    # Two true edges (10 to 20, 20 to the sky); nothing is compared beside the NaN.
    prediction = np.array([[8.0, 10.1, 19.0, 14.0, 14.0, 14.0, 2.0]])
    # Jumps: 8 to 10.1 (false), 10.1 to 19 (true), 19 to 14 (false); the sky is missed, and 14 to 2
    # not compared.
    assert boundary_counts(prediction, truth).tolist() == [1, 3, 2]
    score = Boundary.of([boundary_counts(prediction, truth)])
    assert (score.edges, score.predicted) == (2, 3)
    assert (score.precision, score.recall) == (pytest.approx(1 / 3), 0.5)
    assert score.f1 == pytest.approx(2 * (1 / 3 * 0.5) / (1 / 3 + 0.5))


def test_an_edge_in_the_wrong_direction_is_wrong_twice():
    assert boundary_counts(np.array([[20.0, 10.0]]), np.array([[10.0, 20.0]])).tolist() == [0, 1, 1]


def test_edges_do_not_depend_on_scale():
    truth = np.random.default_rng(1).uniform(2, 60, (20, 30))
    found, predicted, true = boundary_counts(truth * 3.7, truth)
    assert found == predicted == true > 100


def test_unknown_depth_has_no_edges():
    truth = np.array([[10.0, 20.0], [10.0, 20.0]])
    prediction = np.array([[np.nan, 20.0], [10.0, 20.0]])
    assert boundary_counts(prediction, truth).tolist() == [1, 1, 2]


def test_soft_edges_are_found_within_the_spacing():
    truth = np.where(np.arange(60) < 30, 10.0, 30.0)[None]
    soft = np.exp(np.interp(np.arange(60), [28, 33], np.log([10, 30])))[None]
    step = spacing(600)
    assert step == 6
    found, predicted, true = boundary_counts(soft, truth, step)
    assert true == 6
    assert found == 6
    assert predicted >= found
    assert boundary_counts(soft, truth, 1)[0] < 1 + boundary_counts(truth, truth, 1)[0]


def test_edges_between_points_side_by_side():
    # Cells are 2 px wide. Row 0: 10 m, 30 m, and 12 m that hide 80 m.
    uv = np.array([[0.0, 0.0], [2.0, 1.0], [4.0, 0.0], [5.0, 1.0], [0.0, 2.0], [300.0, 0.0]])
    truth = np.array([10.0, 30.0, 12.0, 80.0, 40.0, 5.0])
    prediction = np.array([10.0, 11.0, 6.0, 80.0, 40.0, 5.0])
    # True: 10 to 30, 30 to 12. Predicted: 11 to 6. Below, 40 m has no neighbour in its row.
    assert boundary_counts_at_points(uv, prediction, truth, (200, 4)).tolist() == [1, 1, 2]


def test_without_edges_there_is_no_score():
    flat = np.full((3, 4), 10.0)
    assert Boundary.of([boundary_counts(flat, flat)]) is None
    assert Boundary.of([]) is None
    missed = Boundary.of([np.array([0, 0, 4])])
    assert (missed.recall, missed.f1) == (0.0, 0.0)
    assert math.isnan(missed.precision)
