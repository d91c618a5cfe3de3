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

"""How a soak is judged."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("rclpy")

from depth_perception.benchmarks.soak import memory_of, verdict


def samples(seconds: int, memory: Any, results: Any = lambda t: 30) -> list[dict[str, Any]]:
    return [
        {"at_s": float(t), "VmRSS": memory(t), "results": results(t)}
        for t in range(0, seconds + 1, 10)
    ]


def test_what_is_taken_in_the_first_minute_and_what_comes_and_goes_is_no_growth() -> None:
    judged = verdict(samples(600, lambda t: 500.0 + (t if t < 60 else 300 + t % 20)))
    assert judged["passed"] and abs(judged["growth_mb"]) <= 10 and judged["peak_mb"] == 810


def test_a_leak_is_growth() -> None:
    judged = verdict(samples(1800, lambda t: 500 + t / 60))
    assert judged["growth_mb"] == pytest.approx(29, abs=0.5) and not judged["passed"]


def test_a_worker_that_stops_is_lost_though_memory_stands_still() -> None:
    judged = verdict(samples(600, lambda t: 500.0, lambda t: 30 if t < 300 else 0))
    assert judged["samples_without_results"] == 31 and not judged["passed"]


def test_too_short_a_soak_proves_nothing() -> None:
    judged = verdict(samples(60, lambda t: 500.0))
    assert judged["growth_mb"] is None and not judged["passed"]


def test_memory_of_a_process_is_split_as_the_kernel_splits_it() -> None:
    import os

    memory = memory_of(os.getpid())
    assert memory["VmRSS"] == pytest.approx(
        memory["RssAnon"] + memory["RssFile"] + memory["RssShmem"], abs=2.0
    )
