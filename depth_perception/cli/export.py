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

r"""Write a trained network to an ONNX file that a robot runs without PyTorch, and check it.

    depth_perception export runs/lite/weights.pt -o lite_int8.onnx --precision int8 \
        --calibration data/validation
    depth_perception export runs/base/weights.pt -o rig.onnx --precision fp16 --static \
        --cameras 6 --image 640x352 --size 512x288
    depth_perception export base_fp16.onnx --build-only --cameras 6 --image 640x352

One file serves every rig; with --static it serves one, and nothing in it is left open. The check
compares it with PyTorch on the same inputs, and refuses fp32 beyond 0.1 % and fp16 beyond 1 %
(median). --build-only builds TensorRT's engine of a file into the cache instead, on a GPU, for
depth images of the size --image.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from depth_perception.cli.destinations import check_file, check_folder

_DEFAULT = "640x352"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("checkpoint", help="weights.pt of a training run; .onnx with --build-only")
    parser.add_argument("--output", "-o", metavar="FILE", help="the .onnx file to write")
    parser.add_argument(
        "--precision", default="fp32", choices=("fp32", "fp16", "int8"), help="default fp32"
    )
    parser.add_argument("--static", action="store_true", help="fix all shapes")
    parser.add_argument("--cameras", type=int, default=6, help="how many (default 6)")
    parser.add_argument(
        "--size",
        default="",
        metavar="WxH",
        help="of the network's images (default 640x352; with --build-only what a node chooses)",
    )
    parser.add_argument(
        "--image",
        default="",
        metavar="WxH",
        help="of the images and of depth (default: as --size; with --build-only 640x352)",
    )
    parser.add_argument(
        "--width", type=int, default=0, help="fused.width of the node, with --build-only"
    )
    parser.add_argument(
        "--measured",
        action="store_true",
        help="let a network that was trained without measured depth take it: where the vehicle's"
        " motion measured surely, that is its depth",
    )
    parser.add_argument(
        "--calibration",
        default="",
        metavar="DIR",
        help="data set of depth_perception world that int8 takes its ranges from",
    )
    parser.add_argument(
        "--calibration-sets", type=int, default=8, metavar="N", help="batches of it (default 8)"
    )
    parser.add_argument(
        "--build-only", action="store_true", help="build TensorRT's engine for these shapes"
    )
    parser.add_argument("--cache", default="", metavar="DIR", help="folder for TensorRT's engines")


def run(options: argparse.Namespace) -> int:
    """Run the verb."""
    if options.build_only:
        return _build(options)
    from depth_perception.cli.extras import load_extras
    from depth_perception.errors import ConfigurationError
    from depth_perception.inference.network_inputs import check_sizes

    if options.output is None:
        raise ConfigurationError(
            "--output is missing", expected="the .onnx file to write", fix="e.g. -o lite.onnx"
        )
    check_file("--output", options.output)
    size = _size(options.size or _DEFAULT)
    image = _size(options.image) if options.image else size
    check_sizes(options.cameras, image, size)
    if options.precision == "int8":
        _check_calibration(options)
    _check_there(options.checkpoint)
    load_extras("export", "torch", "onnx")
    from depth_perception.network.checkpoint import load_checkpoint, with_measured_input
    from depth_perception.network.export import ExportOptions, export_model
    from depth_perception.network.export_check import check, example_feeds

    chosen = ExportOptions(
        precision=options.precision,
        static=options.static,
        cameras=options.cameras,
        network=size,
        image=image,
    )
    Path(options.output).parent.mkdir(parents=True, exist_ok=True)
    network, facts = load_checkpoint(options.checkpoint)
    if options.measured:
        network = with_measured_input(network)
    feeds: list[Any] = []
    if options.calibration:
        load_extras("calibration", "depth_perception.training")
        from depth_perception.training.calibration import calibration_feeds

        feeds = calibration_feeds(options.calibration, chosen, options.calibration_sets)
    path = export_model(network, facts, options.output, chosen, feeds)
    print(f"{path}: {Path(path).stat().st_size / 1e6:.1f} MB, {chosen.precision}")
    measured = network.configuration.measured
    tried = feeds[:2] or example_feeds(chosen, measured=measured)
    for name, value in check(network, path, chosen, tried).items():
        print(f"  {name}: {value:.3g}")
    return 0


def _check_there(checkpoint: str) -> None:
    """Refuse a checkpoint that is not there, before PyTorch is loaded to read it.

    Raises:
        ModelError: It is no file.
    """
    from depth_perception.errors import ModelError
    from depth_perception.yaml_mapping import near_path

    if not Path(checkpoint).is_file():
        raise ModelError(
            f"checkpoint '{checkpoint}' does not exist",
            expected="weights.pt of a training run",
            fix="correct the path, or train with depth_perception train" + near_path(checkpoint),
        )


def _check_calibration(options: argparse.Namespace) -> None:
    """Refuse int8 without a data set to take its ranges from.

    Raises:
        ConfigurationError: There is none, or nothing of it is to be used.
    """
    from depth_perception.errors import ConfigurationError

    if not options.calibration or options.calibration_sets < 1:
        raise ConfigurationError(
            "int8 without calibration"
            if not options.calibration
            else f"--calibration-sets {options.calibration_sets}",
            expected="inputs to take the ranges of activations from",
            fix="give --calibration a data set of depth_perception world, and 1 batch or more",
        )


def _build(options: argparse.Namespace) -> int:
    from depth_perception.inference.model_file import read_fused_model
    from depth_perception.inference.network_inputs import (
        axis_sizes,
        check_sizes,
        network_size,
        usual_width,
    )
    from depth_perception.inference.onnx_session import build_only

    if options.cache:
        check_folder("--cache", options.cache)
    image = _size(options.image or _DEFAULT)[::-1]
    network = network_size(image, options.width or usual_width(image)) if min(image) > 0 else image
    if options.size:
        network = _size(options.size)[::-1]
    check_sizes(options.cameras, image, network)
    info = read_fused_model(options.checkpoint)
    axes = {} if info.cameras else axis_sizes(options.cameras, image, network)
    folder = build_only(options.checkpoint, axes, options.cache or None)
    cameras, image = info.cameras or options.cameras, _fixed(info.width, info.height) or image
    network = info.network or network
    print(
        f"engine in {folder}: {cameras} cameras, images {image[0]}x{image[1]},"
        f" network {network[0]}x{network[1]}"
    )
    return 0


def _fixed(width: int | None, height: int | None) -> tuple[int, int] | None:
    return None if width is None or height is None else (width, height)


def _size(text: str) -> tuple[int, int]:
    """(height, width) of WxH."""
    from depth_perception.errors import ConfigurationError

    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if not found:
        raise ConfigurationError(f"size '{text}'", expected="WxH", fix="e.g. 640x352")
    return int(found[2]), int(found[1])
