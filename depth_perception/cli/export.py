r"""Write a trained network to an ONNX file that a robot runs without PyTorch, and check it.

    depth_perception export runs/lite/weights.pt -o lite_int8.onnx --precision int8 \
        --calibration data/validation
    depth_perception export runs/base/weights.pt -o rig.onnx --precision fp16 --static \
        --cameras 6 --image 1600x900 --size 640x352

One file serves every rig; with --static it serves one, and nothing in it is left open. The check
compares it with PyTorch on the same inputs, and refuses fp32 beyond 0.1 % and fp16 beyond 1 %
(median). --build-only builds TensorRT's engine of a file into the cache instead, on a GPU.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass


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
        "--size", default="640x352", metavar="WxH", help="of the network's images (default 640x352)"
    )
    parser.add_argument(
        "--image", default="", metavar="WxH", help="of the cameras' (default: same)"
    )
    parser.add_argument(
        "--calibration", default="", metavar="DIR",
        help="data set of depth_perception world that int8 takes its ranges from",
    )  # fmt: skip
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
    from depth_perception.errors import ConfigurationError, ModelError

    if not options.output:
        raise ConfigurationError("--output is missing", expected="the .onnx file to write")
    try:
        import onnx  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise ModelError(
            f"export needs PyTorch and onnx ({error})",
            fix="pip install -r requirements/training.txt",
        ) from None
    from depth_perception.network.checkpoint import load_checkpoint
    from depth_perception.network.export import ExportOptions, export_model
    from depth_perception.network.export_check import calibration_feeds, check, example_feeds

    size = _size(options.size)
    chosen = ExportOptions(
        precision=options.precision, static=options.static, cameras=options.cameras, network=size,
        image=_size(options.image) if options.image else size,
    )  # fmt: skip
    network, facts = load_checkpoint(options.checkpoint)
    feeds: list[Any] = []
    if options.calibration:
        feeds = calibration_feeds(options.calibration, chosen, options.calibration_sets)
    path = export_model(network, facts, options.output, chosen, feeds)
    print(f"{path}: {Path(path).stat().st_size / 1e6:.1f} MB, {chosen.precision}")
    for name, value in check(network, path, chosen, feeds[:2] or example_feeds(chosen)).items():
        print(f"  {name}: {value:.3g}")
    return 0


def _build(options: argparse.Namespace) -> int:
    from depth_perception.inference.onnx_session import build_only

    size = _size(options.size)
    image = _size(options.image) if options.image else size
    axes = {
        "cameras": options.cameras, "image_height": image[0], "image_width": image[1],
        "rows": size[0] // 4, "columns": size[1] // 4,
    }  # fmt: skip
    print(f"engines are in {build_only(options.checkpoint, axes, options.cache or None)}")
    return 0


def _size(text: str) -> tuple[int, int]:
    """(height, width) of WxH."""
    from depth_perception.errors import ConfigurationError

    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if not found:
        raise ConfigurationError(f"size '{text}'", expected="WxH", fix="e.g. 640x352")
    return int(found[2]), int(found[1])
