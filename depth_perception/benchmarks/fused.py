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

"""How long the fused network takes, by stage: part of ``make bench``.

Six decoded 1600x900 images to depth at 352x640. On the CPU, lite in fp32 and int8; where ONNX
Runtime has CUDA, base in fp16, from images on the host to depth on the host. Files that are not
there are exported from a network of random weights, which takes as long; without PyTorch they are
left out.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from depth_perception.benchmarks import references
from depth_perception.benchmarks.rig import CAMERAS, surround_rig
from depth_perception.errors import ModelError
from depth_perception.estimators.fused import FusedEstimator
from depth_perception.frames.frame_set import CameraFrame
from depth_perception.geometry.camera_view import camera_view
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.inference.onnx_session import PROVIDERS
from depth_perception.parameters import from_flat
from depth_perception.resources import WEIGHTS_FOLDER

AIM_MS = {"lite int8 on the CPU": 100.0, "base fp16 on the GPU": 5.0}
WIDTH, HEIGHT, GRID = 1600, 900, 640
Timer = Callable[[Callable[[], Any], int], list[float]]


def measure(repeats: int, timed: Timer, models: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Time each network that can be had.

    Args:
        repeats: Runs of each stage.
        timed: Runs something after a warm-up; seconds of each run.
        models: Files instead of those of the package, by ``lite fp32``, ``lite int8`` and
            ``base fp16``.

    Returns:
        By network and device: its provider, and milliseconds by stage.
    """
    import onnxruntime

    wanted = {"lite fp32 on the CPU": ["cpu"], "lite int8 on the CPU": ["cpu"]}
    if PROVIDERS["cuda"] in onnxruntime.get_available_providers():
        wanted["base fp16 on the GPU"] = ["cuda"]
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for title, providers in wanted.items():
            name = title.partition(" on ")[0]
            path = _file(name, models or {}, Path(folder))
            if path is None:
                result[title] = {"left out": "no weights, and no PyTorch to make them"}
                continue
            try:
                result[title] = {"file": path.name, **_measure(path, providers, repeats, timed)}
            except ModelError as error:  # e.g. ONNX Runtime could use a GPU, and there is none
                result[title] = {"left out": error.problem}
    return result


def table(result: Mapping[str, Any]) -> list[str]:
    """Lines of a table, with the aim where there is one."""
    lines = [f"fused network, {CAMERAS} decoded images of {WIDTH}x{HEIGHT} to depth of {GRID} px"]
    for title, item in result.items():
        if "stages" not in item:
            lines.append(f"{title}: left out, {item['left out']}")
            continue
        aim = f", aim {AIM_MS[title]:g} ms in all" if title in AIM_MS else ""
        lines.append(f"{title} ({item['provider']}, {item['file']}{aim})")
        lines += [
            f"  {stage:<38}  {value['p50_ms']:6.2f}  {value['p95_ms']:6.2f}"
            for stage, value in item["stages"].items()
        ]
        for name, value in item["beside"].items():
            if "left out" in value:
                lines.append(f"  beside it {name}: left out, {value['left out']}")
                continue
            what = f"beside it {name}, {value['parameters'] / 1e6:.2f} M fp32"
            lines.append(f"  {what:<38}  {value['p50_ms']:6.2f}  {value['p95_ms']:6.2f}")
    return lines


def _measure(path: Path, providers: list[str], repeats: int, timed: Timer) -> dict[str, Any]:
    parameters = from_flat(
        {
            "estimator": "fused",
            "fused.model": str(path),
            "fused.providers": providers,
            "fused.require_gpu": providers != ["cpu"],
            "fused.width": GRID,
        }
    )
    estimator = FusedEstimator(parameters, None)
    size = estimator.grid((GRID, round(HEIGHT * GRID / WIDTH)))
    views = {
        camera.name: camera_view(camera, GroundPlane(), 0, size)
        for camera in surround_rig(WIDTH, HEIGHT)
    }
    rng = np.random.default_rng(0)
    image = np.kron(
        rng.integers(0, 255, (9, 16, 3), dtype=np.uint8), np.ones((100, 100, 1), np.uint8)
    )
    frames = {name: CameraFrame(1, image) for name in views}
    with ThreadPoolExecutor() as pool:
        estimator.estimate(views, frames, pool, with_embodied=False)
        session = next(iter(estimator._batches.values())).session

        def look() -> Any:
            """Run all cameras, as the estimator does."""
            return (
                list(pool.map(session.run, range(CAMERAS))) if session.separate else session.run()
            )

        stages: dict[str, Callable[[], Any]] = {
            "images onto the grid (x6)": lambda: list(
                pool.map(lambda view: view.image(image), views.values())
            ),
            f"network, {size[0]}x{size[1]} (x6)": look,
            "images to depth, all of it": lambda: estimator.estimate(
                views, frames, pool, with_embodied=False
            ),
        }
        milliseconds = {name: np.array(timed(run, repeats)) * 1e3 for name, run in stages.items()}
    estimator.close()
    first, second, whole = milliseconds.values()
    # What is left of the whole: copies, enlarging confidence and road, masks.
    milliseconds["rest"] = np.maximum(whole - np.median(first) - np.median(second), 0)
    beside = estimator.provider == PROVIDERS["cpu"] and "int8" in path.name
    return {
        "provider": estimator.provider,
        "network_size": list(size),
        "beside": references.measure(repeats, timed, image, size, CAMERAS) if beside else {},
        "stages": {
            name: {
                "p50_ms": round(float(np.median(values)), 3),
                "p95_ms": round(float(np.percentile(values, 95)), 3),
            }
            for name, values in milliseconds.items()
        },
    }


def _file(name: str, models: Mapping[str, str], folder: Path) -> Path | None:
    """Find a model file, or make one with random weights."""
    if name in models:
        return Path(models[name])
    size, precision = name.split()
    shipped = WEIGHTS_FOLDER / f"{size}_{precision}.onnx"
    if shipped.is_file():
        return shipped
    if not all(importlib.util.find_spec(name) for name in ("onnx", "torch")):
        return None
    from depth_perception.network.configuration import SIZES
    from depth_perception.network.export import ExportOptions, example_feed, export_model
    from depth_perception.network.fused import FusedSurround

    options = ExportOptions(precision)
    network = FusedSurround(SIZES[size], pretrained=False).eval()
    feeds = [example_feed(ExportOptions(cameras=2))] if precision == "int8" else []
    path = folder / f"random_{size}_{precision}.onnx"
    return export_model(network, {"weights": "random"}, path, options, feeds)
