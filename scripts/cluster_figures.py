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

"""Measure what Ray costs a bag, and say on paper how long 10,000 bags take: docs/cluster.md.

    python scripts/cluster_figures.py BAG --bags 24

A bag is scored as often as asked for, each time as a bag of its own (a link to it), with one and
with two workers, after one run to warm up. Of each task its own time is known: what a worker's time
is more than that is Ray's, and the folder's. Then tasks with times drawn from the measured ones go
to workers as Ray hands them out, each to the first that is free.
"""

from __future__ import annotations

import argparse
import heapq
import tempfile
import time
from pathlib import Path

import numpy as np

from depth_perception.cluster.bags import find_bags
from depth_perception.cluster.engine import session
from depth_perception.cluster.judge import Question
from depth_perception.cluster.judge_bags import Comparison, Run, judge_bags
from depth_perception.cluster.tables import read_table
from depth_perception.parameters import from_flat

BAGS = 10_000
START_S = 10.0
"""Of Ray and of a worker's Python, once."""


def measured(bag: Path, bags: int, workers: int) -> tuple[float, np.ndarray]:
    """Return the wall time of so many bags, s, and the own time of each task."""
    question = Question(from_flat({}))
    with tempfile.TemporaryDirectory() as folder, session("", workers):
        top = Path(folder)
        for kind, count in (("warm", 2 * workers), ("bag", bags)):
            for number in range(count):
                (top / f"{kind}{number:03d}").symlink_to(bag.resolve())
        # With nothing else in the wall time: neither Ray's start nor that of its workers.
        judge_bags(find_bags([f"{top}/warm*"]), question, top / "w", Run(), Comparison())
        started = time.perf_counter()
        failed = judge_bags(find_bags([f"{top}/bag*"]), question, top / "r", Run(), Comparison())
        wall = time.perf_counter() - started
        assert not failed, failed
        rows = read_table(top / "r" / "bags.parquet")
        # One row of the estimator and one of embodied depth.
        return wall, np.array(list({row["bag"]: row["seconds"] for row in rows}.values()))


def makespan(times: np.ndarray, workers: int, overhead: float) -> float:
    """Return when the last of the tasks is done, s, each handed to the first worker free."""
    free = [START_S] * workers
    for seconds in times:
        heapq.heapreplace(free, free[0] + float(seconds) + overhead)
    return max(free)


def main() -> None:
    """Measure, then simulate; print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bag", type=Path)
    parser.add_argument("--bags", type=int, default=24)
    options = parser.parse_args()
    times, overhead = np.zeros(0), 0.0
    for workers in (1, 2):
        wall, times = measured(options.bag, options.bags, workers)
        overhead = (wall * workers - times.sum()) / options.bags
        print(
            f"{workers} workers: {60 * options.bags / wall:.1f} bags a minute, a task"
            f" {np.median(times):.2f} s (median), {overhead:.3f} s of a worker beside each"
        )
    drawn = np.random.default_rng(0).choice(times, BAGS)
    for workers in (2, 16, 64, 256, 1024):
        end = makespan(drawn, workers, overhead)
        busy = drawn.sum() / (workers * end)
        print(f"{BAGS} bags, {workers} workers: {end / 60:.1f} min, {100 * busy:.0f} % at work")


if __name__ == "__main__":
    main()
