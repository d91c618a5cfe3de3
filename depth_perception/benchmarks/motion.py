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

"""What measuring depth from motion costs: by stage, by number of cameras, beside OpenCV's stereo.

A street of noise (ground and two walls) that level cameras drive along at 8 m/s and 12 Hz, past
sets enough that all sources of a match are there. Once with every camera matched at each set, once
at the rate that is the default (`motion.matching_rate`), cameras in their turn.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np

from depth_perception.benchmarks.rig import surround_rig
from depth_perception.benchmarks.street import StreetCamera, street_texture
from depth_perception.frames.frame_set import CameraFrame
from depth_perception.geometry.camera_view import camera_view
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.motion.surround_motion import SurroundMotion
from depth_perception.parameters import MotionParameters

COUNTS = (1, 4, 6, 12)
WIDTH, HEIGHT = 640, 360
FOCAL = 500.0
MATCHING_WIDTH = 416
SPEED, RATE = 8.0, 12.0
BEFORE = 6
"""Sets until all sources of a match are there."""
DISPARITIES = 64


def _stereo_seconds(repeats: int) -> list[float]:
    """Time OpenCV's semi-global matching on a pair of the matching grid's size."""
    left = street_texture()[: round(HEIGHT * MATCHING_WIDTH / WIDTH), :MATCHING_WIDTH].copy()
    right = np.roll(left, -12, axis=1)
    matcher = cv2.StereoSGBM.create(0, DISPARITIES, 5, 200, 800)
    out = []
    for _ in range(repeats + 1):
        begin = time.thread_time()
        matcher.compute(left, right)
        out.append(time.thread_time() - begin)
    return out[1:]


def measure(repeats: int, counts: Sequence[int] = COUNTS) -> dict[str, Any]:
    """Time motion.

    Args:
        repeats: Sets that are measured for each number of cameras.
        counts: Numbers of cameras.

    Returns:
        ``cameras``: for each number, median milliseconds of each stage and of the whole, and mean
        ``cpu_ms_per_camera``; ``in_turns``: the same at the default rate of matching;
        ``stereo_ms``: median CPU time of OpenCV's `StereoSGBM` on one pair of the same size;
        ``ratio``: CPU time of a camera, all of motion, over that.
    """
    stereo = float(np.median(_stereo_seconds(max(3, repeats))))
    by_count = _by_count(repeats, counts, 0.0)
    most = by_count[str(counts[-1])]["cpu_ms_per_camera"]
    return {
        "shape": [round(HEIGHT * MATCHING_WIDTH / WIDTH), MATCHING_WIDTH],
        "cameras": by_count,
        "in_turns": _by_count(repeats, counts, MotionParameters().matching_rate),
        "stereo_ms": round(stereo * 1e3, 2),
        "ratio": round(most / (stereo * 1e3), 2),
    }


def _by_count(repeats: int, counts: Sequence[int], matching_rate: float) -> dict[str, Any]:
    """Time motion with numbers of cameras; see `measure`."""
    texture, ground = street_texture(), GroundPlane()
    by_count: dict[str, Any] = {}
    with ThreadPoolExecutor() as pool:
        for count in counts:
            rig = surround_rig(WIDTH, HEIGHT, count, FOCAL)
            views = {camera.name: camera_view(camera, ground, WIDTH) for camera in rig}
            streets = {name: StreetCamera(view, texture) for name, view in views.items()}
            motion = SurroundMotion(ground, MATCHING_WIDTH, matching_rate=matching_rate)
            stages: dict[str, list[float]] = {}
            cpu = []
            covered = 0.0
            for index in range(BEFORE + repeats):
                stamp = round((index + 1) * 1e9 / RATE)
                frames = {
                    name: CameraFrame(stamp, street.image(index * SPEED / RATE))
                    for name, street in streets.items()
                }
                begin, used = time.perf_counter(), time.process_time()
                result = motion.update(stamp, frames, views, pool)
                whole, used = time.perf_counter() - begin, time.process_time() - used
                if index < BEFORE:
                    continue
                cpu.append(used)
                for stage, seconds in (*result.latencies.items(), ("all", whole)):
                    stages.setdefault(stage, []).append(seconds)
                covered = _cover(result.measured)
            by_count[str(count)] = {
                **{f"{name}_ms": round(float(np.median(v)) * 1e3, 2) for name, v in stages.items()},
                "p95_ms": round(float(np.percentile(stages["all"], 95)) * 1e3, 2),
                "cpu_ms_per_camera": round(float(np.mean(cpu)) * 1e3 / count, 2),
                "cover": round(covered, 3),
            }
    return by_count


def _cover(measured: Mapping[str, Any]) -> float:
    """Share of all cameras' pixels that were measured."""
    shares = [float(np.isfinite(item.inverse_depth).mean()) for item in measured.values()]
    return float(np.mean(shares)) if shares else 0.0


def table(result: Mapping[str, Any]) -> list[str]:
    """Return lines to print."""
    rows, columns = result["shape"]
    stages = ("follow", "motion", "match", "all")
    lines = [f"depth from motion, {columns}x{rows}, ms a set (p50; p95 of all) and CPU a camera"]
    for text, key in (("all matched", "cameras"), ("in turns", "in_turns")):
        lines.append(
            f"{text:>11} {'cameras':>7} {'follow':>8} {'motion':>8} {'match':>8} {'all':>8}"
            f" {'p95':>8} {'CPU':>8} {'cover':>6}"
        )
        for count, row in result[key].items():
            values = " ".join(f"{row[f'{stage}_ms']:8.1f}" for stage in stages)
            lines.append(
                f"{'':>11} {count:>7} {values} {row['p95_ms']:8.1f} {row['cpu_ms_per_camera']:8.1f}"
                f" {100 * row['cover']:5.0f}%"
            )
    lines.append(
        f"all of motion of one camera / OpenCV's StereoSGBM ({DISPARITIES} disparities, one pair,"
        f" {result['stereo_ms']:.1f} ms): {result['ratio']:.1f}x"
    )
    return lines
