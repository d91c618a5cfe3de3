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


"""Networks of others beside ours in `make bench`: as large as their papers say, and they run."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")

from depth_perception.benchmarks import references


@pytest.mark.parametrize(
    ("name", "millions", "output"),
    [("RT-MonoDepth-S", 1.24, [64, 128]), ("plain U-Net", 1.07, [32, 64])],
)
def test_a_network_is_as_large_as_it_is_said_to_be(name, millions, output):
    image = np.random.default_rng(0).integers(0, 255, (90, 160, 3), np.uint8)
    runs = []

    def timed(run, repeats):
        runs.append(run())
        return [0.002] * repeats

    found = references.measure(3, timed, image, (128, 64), 2)[name]
    assert found["parameters"] / 1e6 == pytest.approx(millions, rel=0.06)
    assert found["output"] == output and found["p50_ms"] == pytest.approx(2.0)
    assert all(len(run) == 2 for run in runs) and all(np.ptp(run[0]) > 0 for run in runs)
