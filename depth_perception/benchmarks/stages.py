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

"""How long each stage takes here: ``python -m depth_perception.benchmarks`` or ``make bench``.

Six cameras on a made-up road at 640x352. Times are per frame set, as median and 95th percentile of
many runs after a warm-up; what has a natural yardstick (copying the same bytes) is also given as a
ratio to it, measured in turn with it, which holds on a noisy machine where milliseconds do not.
Then how many frame sets the assembler makes of what arrives, beside message_filters; depth from
motion by number of cameras; and last the fused network: with `--model "lite int8=FILE"` that of a
file.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from depth_perception.benchmarks import frame_sets as frame_set_benchmark
from depth_perception.benchmarks import fused as fused_benchmark
from depth_perception.benchmarks import motion as motion_benchmark
from depth_perception.benchmarks.comparison import RELEASE, YARDSTICK, compare_with_release
from depth_perception.benchmarks.rig import CAMERAS, surround_rig
from depth_perception.frames.frame_set import CameraFrame, FrameSet
from depth_perception.geometry.camera_view import camera_view
from depth_perception.geometry.cloud import (
    back_project,
    occupancy_map,
    split_obstacles,
    thin_by_voxels,
    thinned_cloud,
)
from depth_perception.geometry.embodied_depth import confidence_of, embodied_depth
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.surface import Surface
from depth_perception.messages.pixel_watch import faults
from depth_perception.parameters import CloudParameters, from_flat
from depth_perception.pipeline import SurroundPipeline

WIDTH, HEIGHT = 640, 352
SOURCE_WIDTH, SOURCE_HEIGHT = 1600, 880
WARM_UP = 3


def surfaces() -> np.ndarray:
    """Make a class map with road, cars and buildings."""
    surface = np.full((HEIGHT, WIDTH), Surface.SKY, dtype=np.uint8)
    surface[HEIGHT // 2 :] = Surface.ROAD
    surface[100:200, :150] = Surface.STRUCTURE
    surface[120:230, 500:] = Surface.OTHER
    for u in range(200, 460, 60):
        surface[150:205, u : u + 40] = Surface.OBJECT
    return surface


def figures(run: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Run after a warm-up: median and 95th percentile of the time, and CPU time of all threads."""
    for _ in range(WARM_UP):
        run()
    wall, cpu = [], []
    for _ in range(repeats):
        used = time.process_time()
        wall.append(_seconds(run) * 1e3)
        cpu.append((time.process_time() - used) * 1e3)
    return {
        "p50_ms": round(float(np.median(wall)), 3),
        "p95_ms": round(float(np.percentile(wall, 95)), 3),
        "cpu_ms": round(float(np.mean(cpu)), 3),
    }


def peak_memory_mb() -> float:
    """Most memory that this process has had resident so far, MB; 0 where that is not told."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def timed(run: Callable[[], Any], repeats: int) -> list[float]:
    """Run after a warm-up; return seconds of each run."""
    for _ in range(WARM_UP):
        run()
    return [_seconds(run) for _ in range(repeats)]


def compared(run: Callable[[], Any], yardstick: Callable[[], Any], repeats: int) -> list[float]:
    """Run in turn with a yardstick; return the ratios of each pair."""
    for _ in range(WARM_UP):
        run()
        yardstick()
    return [_seconds(run) / _seconds(yardstick) for _ in range(repeats)]


def _seconds(run: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def measure(repeats: int) -> dict[str, Any]:
    """Time every stage; return milliseconds and ratios by name."""
    rig, ground = surround_rig(SOURCE_WIDTH, SOURCE_HEIGHT), GroundPlane()
    surface = surfaces()
    rng = np.random.default_rng(0)
    source = rng.integers(0, 255, (SOURCE_HEIGHT, SOURCE_WIDTH, 3), dtype=np.uint8)
    source = np.asarray(cv2.GaussianBlur(source, (0, 0), 3), dtype=np.uint8)
    jpeg = cv2.imencode(".jpg", source, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    views = [camera_view(camera, ground, WIDTH) for camera in rig]
    images = [view.image(source) for view in views]
    results = [embodied_depth(view, surface) for view in views]
    confidence = [confidence_of(result.sigma) for result in results]
    everywhere = [np.full((HEIGHT, WIDTH), 8 + i, np.float32) for i in range(CAMERAS)]
    pool = ThreadPoolExecutor()
    mountings = [view.T_base_camera for view in views]
    models = [view.camera for view in views]

    def project(depths: Sequence[Any]) -> Any:
        return back_project(models, mountings, depths, images, confidence, executor=pool)

    def as_published(depths: Sequence[Any]) -> Any:
        step = CloudParameters().pixel_step
        return thinned_cloud(
            models, mountings, depths, images, confidence, 0.1, step=step, executor=pool
        )

    full = project(everywhere)
    cloud = project([result.depth for result in results])
    thinned = thin_by_voxels(cloud, 0.1)
    pipeline = SurroundPipeline(from_flat({"estimator": "embodied", "output.image_width": WIDTH}))
    frames = {name: CameraFrame(1, source) for name in rig.names}
    frame_set = FrameSet(1, frames)
    stages: dict[str, Callable[[], Any]] = {
        YARDSTICK: lambda: [source.copy() for _ in range(CAMERAS)],
        "decode JPEG 1600x880 (x6)": lambda: [
            cv2.imdecode(jpeg, cv2.IMREAD_COLOR) for _ in range(CAMERAS)
        ],
        "look at the pixels, every 64th image": lambda: faults(source),
        "shrink images (x6)": lambda: [view.image(source) for view in views],
        "tables of one camera, once": lambda: camera_view(rig["camera_0"], ground, WIDTH),
        "embodied depth (x6)": lambda: [embodied_depth(view, surface) for view in views],
        "confidence (x6)": lambda: [confidence_of(result.sigma) for result in results],
        f"back-project {len(full)} points": lambda: project(everywhere),
        f"thin {len(cloud)} points": lambda: thin_by_voxels(cloud, 0.1),
        "cloud as published (x6)": lambda: as_published(everywhere),
        f"obstacles of {len(thinned)} points": lambda: split_obstacles(thinned, ground, 0.3, 3.0),
        f"occupancy of {len(thinned)} points": lambda: occupancy_map(thinned, ground),
        "whole pipeline, geometric road": lambda: pipeline.process(frame_set, rig),
    }
    times = {name: figures(run, repeats) for name, run in stages.items()}
    ratios = compared(lambda: project(everywhere), full.copy, repeats)
    pool.shutdown()
    pipeline.close()
    return {
        "stages": times,
        "ratios": {"back-projection / copy of its result": round(float(np.median(ratios)), 3)},
    }


def processor() -> str:
    """Name of the processor, as far as the system tells it."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"model name\s*:\s*(.+)", text)
    return found.group(1).strip() if found else platform.machine()


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--json", type=Path, default=Path("out/bench.json"))
    parser.add_argument("--release", type=Path, default=RELEASE, help="what to compare with")
    parser.add_argument(
        "--live",
        type=float,
        default=0.0,
        metavar="S",
        help="also run the node, S seconds for each number of cameras, encoding and listeners",
    )
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FILE")
    options = parser.parse_args(argv)
    models = dict(item.split("=", 1) for item in options.model)
    result = {
        "machine": processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "onnxruntime": _version("onnxruntime"),
        "threads": {"opencv": cv2.getNumThreads(), "camera pool": os.cpu_count()},
        "shape": [CAMERAS, HEIGHT, WIDTH],
        "warm_up": WARM_UP,
        "repeats": options.repeats,
        **measure(options.repeats),
        "frame_sets": frame_set_benchmark.measure(options.repeats),
        "motion": motion_benchmark.measure(options.repeats),
        "fused": fused_benchmark.measure(options.repeats, timed, models),
        "peak_memory_mb": peak_memory_mb(),
    }
    if options.live > 0:
        from depth_perception.benchmarks.live import matrix  # the only part that takes ROS

        result["live"] = matrix(options.live)
    print(
        f"{result['machine']}, {result['cores']} cores, Python {result['python']},"
        f" {CAMERAS} x {HEIGHT} x {WIDTH}, {options.repeats} runs after {WARM_UP}"
    )
    width = max(len(name) for name in [*result["stages"], *result["ratios"]])
    print(f"{'stage':<{width}}  p50 ms  p95 ms  CPU ms")
    for name, value in result["stages"].items():
        row = (value[key] for key in ("p50_ms", "p95_ms", "cpu_ms"))
        print(f"{name:<{width}}" + "".join(f"  {number:6.2f}" for number in row))
    for name, ratio in result["ratios"].items():
        print(f"{name:<{width}}  {ratio:6.2f}x")
    print("\n".join(["", *frame_set_benchmark.table(result["frame_sets"])]))
    print("\n".join(["", *motion_benchmark.table(result["motion"])]))
    print("\n".join(["", *fused_benchmark.table(result["fused"])]))
    if "live" in result:
        from depth_perception.benchmarks.live import table as live_table

        print("\n".join(["", *(line for item in result["live"] for line in live_table(item))]))
    print("\n".join(["", *compare_with_release(result, options.release)]))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written to {options.json}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
