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

"""How errors are spread: counts worked out by hand, quantiles beside those of the points."""

import numpy as np
import pytest

from depth_perception.evaluation.profile import ErrorCounter, depth_edges


def test_errors_are_counted_by_size_depth_and_confidence():
    counter = ErrorCounter([0.0, 10.0, 20.0])
    truth = np.array([5.0, 5.0, 10.0, 20.0, 30.0, np.nan, 8.0])
    prediction = np.array([5.2, 4.0, 10.0, 26.0, 30.0, 3.0, np.nan])
    counter.add(prediction, truth, np.array([0.95, 0.95, 1.0, 0.05, 0.5, 0.5, 0.5]))
    profile = counter.profile()
    # 30 m lies beyond the bins, and NaN is no truth; the missing prediction counts as wrong.
    assert (profile.truth_count, profile.count) == (5, 4)
    shares = {row.limit: row.share for row in profile.below}
    assert (shares[0.04], shares[0.05], shares[0.21], shares[0.31]) == (1 / 5, 2 / 5, 3 / 5, 4 / 5)
    near, far = profile.by_depth
    assert (near.count, near.truth_count, far.count) == (2, 3, 2)
    assert near.abs_rel == pytest.approx((0.04 + 0.2) / 2) and near.a5 == 0.5
    assert far.abs_rel == pytest.approx(0.15) and far.coverage == 1
    sure, unsure = profile.confidence[-1], profile.confidence[0]
    assert (sure.count, sure.a10, unsure.count, unsure.a10) == (3, pytest.approx(2 / 3), 1, 0)
    assert sure.confidence == pytest.approx((0.95 + 0.95 + 1) / 3)


def test_counted_quantiles_are_those_of_the_points():
    rng = np.random.default_rng(1)
    truth = rng.uniform(1, 79, 20_000)
    error = rng.normal(0.02, 0.1, len(truth))
    counter = ErrorCounter(depth_edges(80.0))
    for part in np.array_split(np.arange(len(truth)), 7):
        counter.add(truth[part] * (1 + error[part]), truth[part])
    row = counter.profile().by_depth[-1]
    chosen = (truth >= row.low) & (truth < row.high)
    assert (row.low, row.high, row.count) == (60.0, 80.0, chosen.sum())
    assert row.bias == pytest.approx(np.quantile(error[chosen], [0.1, 0.5, 0.9]), abs=2e-3)
    assert row.a10 == pytest.approx((np.abs(error[chosen]) < 0.1).mean(), abs=1e-9)
