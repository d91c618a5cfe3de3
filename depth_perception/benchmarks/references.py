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


"""Other networks beside the fused one, on the same images in the same process, for their time.

Made from their descriptions with random weights, so that nothing of anybody's is shipped:

- RT-MonoDepth-S (Feng, Bo, Kollmannsberger, Ellison 2023, "Real-time Monocular Depth Estimation on
  Embedded Systems", arXiv:2308.10569): plain convolutions to a sixteenth of the image, and back.
- A plain U-Net of inverted residuals (Sandler et al. 2018, "MobileNetV2") with skips.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

OPSET = 17
Timer = Callable[[Callable[[], Any], int], list[float]]


class Graph:
    """A network of convolutions as ONNX, made step by step.

    Attributes:
        parameters: How many numbers are learned.
    """

    def __init__(self) -> None:
        """Begin with an image: (1, 3, h, w) float32, 0 to 1."""
        import onnx

        self.parameters = 0
        self._onnx, self._random = onnx, np.random.default_rng(0)
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._channels = {"image": 3}

    def add(self, kind: str, *inputs: str, channels: int | None = None, **attributes: Any) -> str:
        """Add an operator; return its output, of as many channels as its first input by default."""
        name = f"{kind}_{len(self._nodes)}"
        node = self._onnx.helper.make_node(kind, list(inputs), [name], **attributes)
        self._nodes.append(node)
        self._channels[name] = channels or self._channels[inputs[0]]
        return name

    def constant(self, values: NDArray[Any]) -> str:
        """Add numbers that are not learned."""
        name = f"constant_{len(self._weights)}"
        self._weights.append(self._onnx.numpy_helper.from_array(values, name))
        return name

    def conv(self, x: str, channels: int, size: int = 3, stride: int = 1, **options: Any) -> str:
        """Add a convolution.

        Args:
            x: Its input.
            channels: Of the output.
            size: Of the kernel, px.
            stride: Every so many pixels.
            options: ``group`` (1) and ``mode``: ``reflect`` instead of zeros around the image.
        """
        group, reach = options.get("group", 1), size // 2
        kernel = (channels, self._channels[x] // group, size, size)
        spread = np.prod(kernel[1:]) ** -0.5
        weights = self._random.normal(0, spread, kernel).astype(np.float32)
        names = [self.constant(weights), self.constant(np.zeros(channels, np.float32))]
        self.parameters += weights.size + channels
        if options.get("mode") == "reflect":
            around = self.constant(np.array([0, 0, reach, reach] * 2, np.int64))
            x, reach = self.add("Pad", x, around, mode="reflect"), 0
        return self.add(
            "Conv", x, *names, channels=channels, kernel_shape=[size, size], group=group,
            strides=[stride, stride], pads=[reach] * 4,
        )  # fmt: skip

    def twice(self, x: str) -> str:
        """Add an enlargement to twice the size, of the nearest."""
        sizes = self.constant(np.array([1, 1, 2, 2], np.float32))
        return self.add(
            "Resize", x, "", sizes, mode="nearest", nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )  # fmt: skip

    def join(self, one: str, two: str) -> str:
        """Put the channels of two behind one another."""
        channels = self._channels[one] + self._channels[two]
        return self.add("Concat", one, two, channels=channels, axis=1)

    def channels(self, x: str) -> int:
        """Tell how many channels an output has."""
        return self._channels[x]

    def save(self, out: str, path: Path, size: tuple[int, int]) -> Path:
        """Write it for images of (width, height) px."""
        helper, kind = self._onnx.helper, self._onnx.TensorProto.FLOAT
        image = helper.make_tensor_value_info("image", kind, [1, 3, size[1], size[0]])
        disparity = helper.make_tensor_value_info(out, kind, [1, 1, None, None])
        graph = helper.make_graph(self._nodes, "reference", [image], [disparity], self._weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 8
        self._onnx.checker.check_model(model)
        self._onnx.save(model, path)
        return path


def rt_monodepth_s(graph: Graph) -> str:
    """Add RT-MonoDepth-S, its finest output alone, as it runs on a robot; return that."""
    x = graph.add("Relu", graph.conv("image", 64, size=7, stride=2))
    for channels in (64, 128, 192):
        for stride in (2, 1):
            x = graph.add("LeakyRelu", graph.conv(x, channels, stride=stride), alpha=0.1)
    for channels in (96, 64, 32, 16):
        x = graph.add("Elu", graph.conv(x, channels, mode="reflect"))
        x = graph.add("Elu", graph.conv(graph.twice(x), channels, mode="reflect"))
    return graph.add("Sigmoid", graph.conv(x, 1))


def plain_unet(graph: Graph) -> str:
    """Add a U-Net of inverted residuals to a sixteenth of the image, at half of it; return that."""

    def inverted(x: str, channels: int, stride: int = 1) -> str:
        inner = 6 * graph.channels(x)
        y = graph.add("Relu", graph.conv(x, inner, size=1))
        y = graph.add("Relu", graph.conv(y, inner, stride=stride, group=inner))
        y = graph.conv(y, channels, size=1)
        same = stride == 1 and channels == graph.channels(x)
        return graph.add("Add", x, y) if same else y

    x = graph.add("Relu", graph.conv("image", 16, stride=2))
    skips = []
    for channels, blocks in ((24, 2), (48, 3), (128, 5)):
        skips.append(x)
        for block in range(blocks):
            x = inverted(x, channels, stride=1 if block else 2)
    for skip, channels in zip(reversed(skips), (48, 32, 16), strict=True):
        x = graph.join(graph.twice(x), skip)
        x = graph.add("Relu", graph.conv(x, graph.channels(x), group=graph.channels(x)))
        x = graph.add("Relu", graph.conv(x, channels, size=1))
        x = graph.add("Relu", graph.conv(x, channels))
    return graph.add("Sigmoid", graph.conv(x, 1))


NETWORKS: Mapping[str, Callable[[Graph], str]] = {
    "RT-MonoDepth-S": rt_monodepth_s,
    "plain U-Net": plain_unet,
}


def measure(
    repeats: int, timed: Timer, image: NDArray[np.uint8], size: tuple[int, int], cameras: int
) -> dict[str, Any]:
    """Time them as the fused network runs: each image by itself, on as many cores as there are.

    Args:
        repeats: Runs of each.
        timed: Runs something after a warm-up; seconds of each run.
        image: (H, W, 3) uint8 of one camera, BGR.
        size: (width, height) that the networks look at, px.
        cameras: How many such images.

    Returns:
        By network: its parameters, and milliseconds from decoded images to disparity.
    """
    import onnxruntime

    try:
        import onnx  # noqa: F401
    except ImportError:
        return {name: {"left out": "no package onnx to make it with"} for name in NETWORKS}
    found: dict[str, Any] = {}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    for name, build in NETWORKS.items():
        graph = Graph()
        with tempfile.TemporaryDirectory() as folder:
            path = graph.save(build(graph), Path(folder) / "reference.onnx", size)
            session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )

        def look(_: int, session: Any = session) -> Any:
            small = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
            rgb = cv2.cvtColor(small, cv2.COLOR_BGR2RGB).astype(np.float32) / np.float32(255)
            return session.run(None, {"image": np.moveaxis(rgb, 2, 0)[None]})[0]

        with ThreadPoolExecutor() as pool:

            def all_cameras(look: Any = look, pool: Any = pool) -> Any:
                return list(pool.map(look, range(cameras)))

            milliseconds = np.array(timed(all_cameras, repeats)) * 1e3
        found[name] = {
            "parameters": graph.parameters,
            "output": list(look(0).shape[2:]),
            "p50_ms": round(float(np.median(milliseconds)), 3),
            "p95_ms": round(float(np.percentile(milliseconds, 95)), 3),
        }
    return found
