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

"""What `make bench` says of the running node, and what got slower since a release."""

import copy
import json
import os
import re

import numpy as np
import pytest

from depth_perception.benchmarks.comparison import (
    YARDSTICK,
    compare,
    compare_with_release,
    times_of,
)
from depth_perception.benchmarks.rig import surround_rig
from depth_perception.benchmarks.stages import figures, peak_memory_mb
from depth_perception.benchmarks.street import StreetCamera, street_period, street_texture
from depth_perception.geometry.camera_view import camera_view
from depth_perception.geometry.ground_plane import GroundPlane

RESULT = {
    "machine": "one",
    "cores": 2,
    "stages": {
        YARDSTICK: {"p50_ms": 10.0, "p95_ms": 12.0, "cpu_ms": 10.0},
        "cloud": {"p50_ms": 20.0, "p95_ms": 22.0, "cpu_ms": 30.0},
        "tiny": {"p50_ms": 0.01, "p95_ms": 0.01, "cpu_ms": 0.01},
    },
    "live": [
        {"cameras": n, "encoding": "jpeg", "listens": "clouds", "latency_ms": {"p50": 80.0 * n}}
        for n in (1, 6)
    ],
}


def changed(**stages):
    out = copy.deepcopy(RESULT)
    for name, ms in stages.items():
        out["stages"][YARDSTICK if name == "copy" else name]["p50_ms"] = ms
    return out


def test_the_same_is_not_slower():
    assert compare(RESULT, RESULT)[-1] == "nothing takes 1.3 times as long as at the release"


def test_what_got_slower_is_told_worst_first():
    now = changed(cloud=40.0)
    now["live"][1]["latency_ms"]["p50"] = 1440.0
    lines = [line for line in compare(RESULT, now) if "slower, " in line]
    assert lines == [
        "slower, 3.00 times: live 6, jpeg, clouds > latency_ms, 480 -> 1440 ms",
        "slower, 2.00 times: stages > cloud, 20 -> 40 ms",
    ]


def test_a_slower_machine_is_no_slower_code():
    now = changed(cloud=40.0, copy=20.0)
    now["live"] = []
    now["machine"] = "another"
    lines = compare(RESULT, now)
    assert "machine one, this is another" in lines[0] and "2.00 times as long" in lines[1]
    assert not any("slower, " in line for line in lines)
    assert sum("not measured any more: live" in line for line in lines) == 2
    now = changed(cloud=20.0, copy=5.0)  # twice as fast a machine, and no faster
    assert any("slower, 2.00 times: stages > cloud" in line for line in compare(RESULT, now))


def test_what_takes_no_time_says_nothing():
    assert not any("tiny" in line for line in compare(RESULT, changed(tiny=0.04)))


def test_files_that_cannot_be_compared_say_why(tmp_path):
    (now := changed())["stages"].pop(YARDSTICK)
    assert f"lacks the yardstick, '{YARDSTICK}'" in compare(RESULT, now)[-1]
    path = tmp_path / "release.json"
    assert "is not there" in compare_with_release(RESULT, path)[0]
    path.write_text("{")
    assert "is no JSON" in compare_with_release(RESULT, path)[0]
    path.write_text(json.dumps(RESULT))
    assert compare_with_release(RESULT, path) == compare(RESULT, RESULT)


def test_times_have_names_that_are_their_own():
    places = [place for place, _ in times_of(RESULT)]
    assert len(places) == len(set(places)) == 5


def test_figures_tell_waiting_from_work():
    import time

    found = figures(lambda: time.sleep(0.02), 3)
    assert found["p95_ms"] >= found["p50_ms"] >= 20 > found["cpu_ms"] >= 0


def test_the_street_repeats_itself_and_moves_in_between():
    texture = street_texture(128)
    rig = surround_rig(160, 90, 2, 125.0)
    for camera in rig:
        street = StreetCamera(camera_view(camera, GroundPlane(), 160), texture)
        first, between = street.image(0.0), street.image(0.4)
        assert first.shape == (90, 160, 3) and np.ptp(first) > 60
        change = np.abs(between.astype(int) - first)
        assert np.median(change) > 5
        again = street.image(street_period(texture))
        assert np.abs(again.astype(int) - first).max() <= 3


def test_memory_and_threads_of_a_process():
    pytest.importorskip("rclpy")
    from depth_perception.benchmarks.live import cpu_of, memory_of

    assert 10 < memory_of(os.getpid())["VmRSS"] <= memory_of(os.getpid())["VmHWM"]
    assert memory_of(os.getpid())["VmHWM"] <= peak_memory_mb() * 1.05
    before = cpu_of(os.getpid())["main"]
    sum(k * k for k in range(3_000_000))
    assert cpu_of(os.getpid())["main"] > before


def test_lines_of_a_run_of_the_node():
    pytest.importorskip("rclpy")
    from depth_perception.benchmarks.live import table

    lines = table(
        {
            "cameras": 6,
            "encoding": "bgr8",
            "listens": "clouds",
            "sent": 240,
            "processed": 60,
            "share": 0.25,
            "rate_hz": 3.0,
            "cameras_in_set": 5.9,
            "motion_known": 1.0,
            "latency_ms": {"p50": 300.0, "p95": 400.0},
            "stages_ms": {"match": {"p50": 60.0, "p95": 70.0}},
            "cpu_ms": {"all": 500.0, "python": 400.0, "main": 100.0},
            "memory_mb": {"VmHWM": 1000.0},
        }
    )
    assert re.search(r"60 of 240 sets \(25.0 %\), 3.00 a second with 5.9 cameras", lines[0])
    assert "p50 300 ms" in lines[0] and "peak 1000 MB" in lines[0]
    assert lines[1].split() == ["match", "60.00", "70.00"]
    assert lines[2].startswith("  CPU ms a set: all 500.0, python 400.0")
