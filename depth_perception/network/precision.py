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

"""An exported fp32 graph in fp16 or int8, with what needs more precision left in fp32.

Left in fp32 (methods.md 6.6): the image's and the prior's arithmetic before the first convolutions,
LayerNorm and softmax, and everything behind the heads: bins, exponentials, logarithms. int8 leaves
attention, the heads and the first layers of the image encoder, too: they take little time and
carry much.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from depth_perception.inference.model_file import Feed

_HEADS = ("/bin_head/", "/heads/", "/coarse_tilt/", "/fine_tilt/", "/measured_out/")
_BINS = "/bins/"
_ATTENTION = ("/cross_attention/", "/gate/", "/fine_gate/")
_MEASURED = "/measured_in/"
"""Measured depth is exact: eight bits for all that it spans would blunt it, and save no time."""
_QUANTISED = ("Conv", "Add", "Clip", "Relu", "LeakyRelu", "Resize", "AveragePool")
_WIDE = (
    "Softmax",
    "LayerNormalization",
    "Exp",
    "Log",
    "ReduceSum",
    "ReduceMean",
    "CumSum",
    "Constant",
    "ConstantOfShape",
    "Shape",
)
_FIRST = ("/stem/", "/stages.0/stages.0.0/")
"""The image encoder's first layers: their outputs are large, are cut to 0..6 and spread in all that
comes. They take no longer in fp32, and half of the error was theirs."""


def to_fp16(model: Any) -> Any:
    """Bring an exported model to 16 bits; inputs and outputs stay as they are."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = onnx.shape_inference.infer_shapes(model).graph
    floats = {
        item.name
        for item in (*graph.value_info, *graph.input, *graph.output)
        if item.type.tensor_type.elem_type == TensorProto.FLOAT
    }
    constants = {
        item.name: numpy_helper.to_array(item)
        for item in graph.initializer
        if item.data_type == TensorProto.FLOAT
    }
    wide = {_key(n) for n in (*_before_convolutions(graph), *_behind_heads(graph, own=False))}
    wide |= {_key(n) for n in graph.node if n.op_type in _WIDE or _BINS in n.name}
    halves: dict[str, str] = {}  # of a tensor with 32 bits: its name with 16
    only_half: set[str] = set()  # tensors that exist with 16 bits alone, so far
    nodes: list[Any] = []

    def cast(source: str, target: str, kind: int) -> None:
        nodes.append(helper.make_node("Cast", [source], [target], f"/cast/{target}", to=kind))

    def half(name: str) -> str:
        if name not in halves:
            halves[name] = f"{name}/fp16"
            if name in constants:
                value = numpy_helper.from_array(constants[name].astype(np.float16), halves[name])
                graph.initializer.append(value)
            else:
                cast(name, halves[name], TensorProto.FLOAT16)
        return halves[name]

    def whole(name: str) -> None:
        if name in only_half:
            only_half.remove(name)
            cast(halves[name], name, TensorProto.FLOAT)

    for node in graph.node:
        if _key(node) in wide:
            for name in node.input:
                whole(name)
            nodes.append(node)
            continue
        for place, name in enumerate(node.input):
            is_float = name in floats or name in constants
            if is_float and not (node.op_type == "Resize" and place in (1, 2)):
                node.input[place] = half(name)
        for attribute in node.attribute:
            if (node.op_type, attribute.name, attribute.i) == ("Cast", "to", TensorProto.FLOAT):
                attribute.i = TensorProto.FLOAT16
        for place, name in enumerate(node.output):
            if name in floats:
                halves[name] = node.output[place] = f"{name}/fp16"
                only_half.add(name)
        nodes.append(node)
    for item in graph.output:
        whole(item.name)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(copies)
    _without_unused(graph)
    result = helper.make_model(graph, opset_imports=model.opset_import)
    result.ir_version = model.ir_version
    onnx.checker.check_model(result)
    return result


def to_int8(model: Any, calibration: Sequence[Feed]) -> Any:
    """Quantise an exported model's convolutions and what lies between them.

    Activations are uint8, weights int8, one scale a channel. Weights have seven bits but for those
    of depthwise convolutions: on a CPU without VNNI two products of eight bits overflow in one sum.
    Measured beside it on AVX2: U8U8 1.4 times, S8S8 1.65 times the time.

    Args:
        model: With dynamic or static axes.
        calibration: Inputs that ranges of activations are taken from.
    """
    import onnx
    from onnxruntime import quantization

    with tempfile.TemporaryDirectory() as folder:
        plain, quantised = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        _folded(model, plain)
        folded = onnx.load(plain)
        graph = folded.graph
        left = {node.name for node in _before_convolutions(graph)}
        left |= {node.name for node in _behind_heads(graph, own=True)}
        apart = (*_FIRST, *_ATTENTION, _BINS, _MEASURED)
        left |= {n.name for n in graph.node if any(name in n.name for name in apart)}
        whole = {
            "quant_type": quantization.QuantType.QInt8,
            "reduce_range": False,
            "symmetric": True,
            "axis": 0,
        }
        quantization.quantize_static(
            plain,
            quantised,
            _Reader(calibration),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            op_types_to_quantize=list(_QUANTISED),
            nodes_to_exclude=sorted(left),
            calibrate_method=quantization.CalibrationMethod.MinMax,
            extra_options={
                "ActivationSymmetric": False,
                "WeightSymmetric": True,
                "TensorQuantOverrides": {name: [whole] for name in _depthwise_weights(graph)},
            },
        )
        result = onnx.load(quantised)
    onnx.checker.check_model(result)
    return result


class _Reader:
    """`quantization.CalibrationDataReader` of a list."""

    def __init__(self, feeds: Iterable[Feed]) -> None:
        self._feeds: Iterator[Feed] = iter(feeds)

    def get_next(self) -> Feed | None:
        return next(self._feeds, None)


def _folded(model: Any, path: Path) -> None:
    """Let ONNX Runtime fold what is constant and pull padding into convolutions."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 4
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _depthwise_weights(graph: Any) -> list[str]:
    """Names of the weights of depthwise convolutions, whose products are added with 32 bits."""
    shapes = {item.name: list(item.dims) for item in graph.initializer}
    return sorted(
        {n.input[1] for n in graph.node if n.op_type == "Conv" and shapes[n.input[1]][1] == 1}
    )


def _key(node: Any) -> str:
    """What tells a node from others: what it makes. Names may be missing."""
    return str(node.output[0])


def _before_convolutions(graph: Any) -> list[Any]:
    """Nodes that come before any layer: arithmetic of image, rays, camera and shapes."""
    behind = _behind([node for node in graph.node if _is_layer(node)], graph)
    return [node for node in graph.node if _key(node) not in behind and not _is_layer(node)]


def _behind_heads(graph: Any, own: bool) -> list[Any]:
    """Nodes that need the heads' outputs; the heads too with `own`."""
    heads = [node for node in graph.node if any(name in node.name for name in (*_HEADS, _BINS))]
    keys = _behind(heads, graph) | ({_key(node) for node in heads} if own else set())
    return [node for node in graph.node if _key(node) in keys]


def _behind(nodes: Iterable[Any], graph: Any) -> set[str]:
    """Keys of the nodes that need what some nodes make."""
    made = {name for node in nodes for name in node.output}
    found = set()
    for node in graph.node:  # in the order in which they run
        if made.intersection(node.input):
            made.update(node.output)
            found.add(_key(node))
    return found


def _is_layer(node: Any) -> bool:
    return node.op_type in ("Conv", "Gemm", "MatMul", "LayerNormalization")


def _without_unused(graph: Any) -> None:
    """Take out nodes and constants that nothing reads."""
    while True:
        used = {name for node in graph.node for name in node.input}
        used |= {item.name for item in graph.output}
        unused = [node for node in graph.node if not used.intersection(node.output)]
        for node in unused:
            graph.node.remove(node)
        if not unused:
            break
    kept = [item for item in graph.initializer if item.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
