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

"""Frame sets of the own assembler beside those of message_filters, under the same losses.

Both get the same made-up images: cameras at 12 Hz with jittered stamps, each arriving some
milliseconds later, in the order of arrival. What counts is how many sets come out of those that
were possible, how many of them complete, and at what CPU time a set. message_filters runs behind
the interface that `surround_depth` uses it by, which has a small part in its time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from depth_perception.errors import ConfigurationError
from depth_perception.frames.assembler import Assembler, FrameSetAssembler, Now
from depth_perception.parameters import SyncParameters

INSTANTS = 300
RATE_HZ = 12.0
CAMERA_COUNTS = (6, 12)
WARM_UP = 3
OTHER = "message_filters"
_START_NS = 10**15
_DELAY_MS = (8.0, 12.0)
_CHECK_NS = 20_000_000
"""How often the node looks for sets whose deadline has passed."""


class Scenario(NamedTuple):
    """What happens to the images.

    Attributes:
        name: In a few words.
        jitter_ms: Stamps of one instant lie this far apart at most.
        lost: Share of the images that never arrive.
        dead: One camera sends nothing after the first third.
    """

    name: str
    jitter_ms: float = 20.0
    lost: float = 0.0
    dead: bool = False


SCENARIOS = (
    Scenario("nothing lost"),
    Scenario("5 % lost", lost=0.05),
    Scenario("one camera dies", dead=True),
)


class Image(NamedTuple):
    """An image that arrives: when, of which camera, with which stamp; times in nanoseconds."""

    at: int
    camera: str
    stamp: int


class Traffic(NamedTuple):
    """The images of a scenario.

    Attributes:
        images: In the order of their arrival.
        possible: Instants of which at least one image arrives.
        complete: Instants of which every camera's image arrives.
    """

    images: list[Image]
    possible: int
    complete: int


def traffic(cameras: list[str], scenario: Scenario, seed: int = 0) -> Traffic:
    """Make the images of a scenario; the same seed gives the same images."""
    rng = np.random.default_rng(seed)
    shape = (INSTANTS, len(cameras))
    instants = _START_NS + np.arange(INSTANTS)[:, None] * round(1e9 / RATE_HZ)
    stamps = instants + (rng.uniform(0, scenario.jitter_ms, shape) * 1e6).astype(np.int64)
    arrivals = stamps + (rng.uniform(*_DELAY_MS, shape) * 1e6).astype(np.int64)
    here = rng.random(shape) >= scenario.lost
    if scenario.dead:
        here[INSTANTS // 3 :, -1] = False
    images = [
        Image(int(arrivals[i, c]), cameras[c], int(stamps[i, c]))
        for i, c in zip(*np.nonzero(here), strict=True)
    ]
    return Traffic(sorted(images), int(here.any(1).sum()), int(here.all(1).sum()))


def run(make: Callable[[list[str]], Assembler[Any]], cameras: list[str], sent: Traffic) -> Any:
    """Feed an assembler; return its sets, how many are complete, and CPU microseconds a set."""
    assembler = make(cameras)
    payload: Any = None
    sets = complete = 0
    check = sent.images[0].at
    begin = time.thread_time()  # CPU time: other load on the machine has less part in it
    for image in sent.images:
        closed = []
        if image.at >= check:
            closed = assembler.expire(Now(image.at, image.at))
            check = image.at + _CHECK_NS
        closed += assembler.add(image.camera, image.stamp, payload, Now(image.at, image.at))
        sets += len(closed)
        complete += sum(item.complete for item in closed)
    last = sent.images[-1].at + 10**9
    closed = assembler.expire(Now(last, last))
    seconds = time.thread_time() - begin
    sets += len(closed)
    complete += sum(item.complete for item in closed)
    return {"sets": sets, "complete": complete, "us_per_set": 1e6 * seconds / max(sets, 1)}


def assemblers() -> dict[str, Callable[[list[str]], Assembler[Any]]]:
    """Return how to make each assembler that is installed, as ``surround_depth`` makes it."""
    sync = SyncParameters()
    tolerance, timeout = round(sync.tolerance * 1e9), round(sync.timeout * 1e9)
    out: dict[str, Callable[[list[str]], Assembler[Any]]] = {
        "own": lambda cameras: FrameSetAssembler(cameras, tolerance, timeout=timeout)
    }
    try:
        from depth_perception.ros.approximate_time import ApproximateTimeAssembler

        ApproximateTimeAssembler(["probe"], tolerance)
    except (ConfigurationError, ImportError):
        return out
    out[OTHER] = lambda cameras: ApproximateTimeAssembler(cameras, tolerance)
    return out


def measure(repeats: int) -> list[dict[str, Any]]:
    """Run every scenario with every assembler in turn; times are the medians of the repeats."""
    made = assemblers()
    out = []
    for count in CAMERA_COUNTS:
        cameras = [f"camera_{index}" for index in range(count)]
        for scenario in SCENARIOS:
            sent = traffic(cameras, scenario)
            row: dict[str, Any] = {
                "cameras": count,
                "scenario": scenario.name,
                "possible": sent.possible,
                "complete_possible": sent.complete,
                "assemblers": {},
            }
            rounds = [
                {name: run(make, cameras, sent) for name, make in made.items()}
                for _ in range(WARM_UP + repeats)
            ][WARM_UP:]
            for name in made:
                us = float(np.median([results[name]["us_per_set"] for results in rounds]))
                row["assemblers"][name] = {**rounds[0][name], "us_per_set": round(us, 1)}
            out.append(row)
    return out


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Write the rows as lines of text."""
    names = list(rows[0]["assemblers"])
    head = f"{'frame sets (jitter 20 ms)':<28}"
    lines = [head + "".join(f"  {name + ': sets, complete, us a set':>42}" for name in names)]
    for row in rows:
        line = f"{row['cameras']:>2} cameras, {row['scenario']:<16}"
        for name in names:
            line += f"  {_cells(row, row['assemblers'][name]):>42}"
        lines.append(line.rstrip())
    if OTHER not in names:
        lines.append(
            f"{OTHER} is not installed and was left out: install ros-$ROS_DISTRO-message-filters,"
            " or put src/ of github.com/ros2/message_filters on PYTHONPATH"
        )
    return lines


def _cells(row: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    return (
        f"{result['sets']}/{row['possible']}  {result['complete']:>3}/{row['complete_possible']}"
        f"  {result['us_per_set']:>7.1f}"
    )
