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

"""Any ONNX segmentation network, described by a small YAML file.

In: a BGR image of any size. Out: `Surface` of each of its pixels. What the network wants and gives
is read by `segmenter_description`; here it is checked against the model itself and carried out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import ModelError
from depth_perception.geometry.surface import Surface
from depth_perception.inference.image_input import (
    InputDescription,
    as_input,
    fitted_to,
    placement,
    warp_from_output,
)
from depth_perception.inference.onnx_session import OnnxSession
from depth_perception.inference.session import Tensor
from depth_perception.segmentation.segmenter_description import OutputDescription, read_description
from depth_perception.yaml_mapping import nearest

_UNDECIDED = (Surface.UNKNOWN, Surface.OTHER)


class OnnxSegmenter:
    """One segmentation network. `segment` may be called from several threads.

    Attributes:
        description: What the YAML file says.
        session: The loaded model.
    """

    def __init__(
        self,
        config_path: str | Path,
        providers: Sequence[str] | None = None,
        require_gpu: bool = False,
    ) -> None:
        """Read the description, load the model, and run it once to see that they agree.

        Args:
            config_path: The YAML file; see `segmenter_description` and ``config/segmentation``.
            providers: As for `OnnxSession`.
            require_gpu: As for `OnnxSession`.

        Raises:
            ConfigurationError: The description is absent or impossible.
            ModelError: The model is absent, unreadable, or not as described; names the key.
        """
        self.description = read_description(config_path)
        self._where = f"segmenter '{self.description.path}'"
        self.session = OnnxSession(self.description.model, providers, require_gpu)
        self._input = self._checked_input()
        self._outputs = [self._matching_output(item) for item in self.description.outputs]
        # Exported graphs often leave shapes open; what comes out of a run is what counts.
        blank = np.zeros((self.description.input.height, self.description.input.width, 3), np.uint8)
        for described, array in zip(self.description.outputs, self._run(blank), strict=True):
            self._check_output(described, array)

    @property
    def provider(self) -> str:
        """The execution provider really in use."""
        return self.session.provider

    def segment(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Segment one image.

        Args:
            image: (h, w, 3) uint8 BGR.

        Returns:
            (h, w) uint8 `Surface` values. Scores are enlarged before the decision, so that edges
            are as smooth as the network's scores are.

        Raises:
            ModelError: The device failed.
        """
        described = self.description.input
        height, width = image.shape[:2]
        fitted = fitted_to(image, described)
        result = np.full((height, width), Surface.UNKNOWN, dtype=np.uint8)
        for item, array in zip(self.description.outputs, self._run(fitted), strict=True):
            found = _decided(_channels_first(item, array), item, described, (width, height))
            # What an earlier output is sure of stands; "other" is what nobody is sure of.
            open_pixels = np.isin(result, _UNDECIDED) & (found != Surface.UNKNOWN)
            np.copyto(result, found, where=open_pixels)
        return result

    def _run(self, fitted: NDArray[np.uint8]) -> list[NDArray[Any]]:
        """Run the network on an image of its own size."""
        array = as_input(fitted, self.description.input)
        return self.session.run({self._input.name: array}, [item.name for item in self._outputs])

    def _checked_input(self) -> Tensor:
        """Compare the described input with the model's."""
        described = self.description.input
        if len(self.session.inputs) != 1:
            raise ModelError(
                f"{self._where}: the model has {len(self.session.inputs)} inputs",
                expected="one image",
                fix="export the model with one image as its input",
            )
        tensor = self.session.inputs[0]
        size = (described.height, described.width)
        wanted = (1, 3, *size) if described.layout == "nchw" else (1, *size, 3)
        if len(tensor.shape) != 4:
            raise ModelError(
                f"{self._where}: the model's input has shape {list(tensor.shape)}",
                expected="four axes: batch, channels, height and width",
                fix="export the model with an image as its input",
            )
        channels, rows = (1, 2) if described.layout == "nchw" else (3, 1)
        other = "nhwc" if described.layout == "nchw" else "nchw"
        # The channels go first: with the wrong layout the sizes do not fit either.
        checks = (
            (channels, "input.layout", f"set input.layout: {other}, or use a colour model"),
            (0, "the batch of one image", "export the model with batch 1 or a dynamic batch"),
            (rows, "input.height", f"set input.height: {tensor.shape[rows]}"),
            (rows + 1, "input.width", f"set input.width: {tensor.shape[rows + 1]}"),
        )
        for axis, key, fix in checks:
            if tensor.shape[axis] not in (None, wanted[axis]):
                raise ModelError(
                    f"{self._where}: {key} makes the input {list(wanted)}",
                    expected=f"{list(tensor.shape)} as the model says",
                    fix=fix,
                )
        if tensor.dtype is not None and tensor.dtype != np.dtype(described.dtype):
            raise ModelError(
                f"{self._where}: input.dtype is {described.dtype}",
                expected=f"{tensor.dtype} as the model says",
                fix=f"set input.dtype: {tensor.dtype}",
            )
        return tensor

    def _matching_output(self, item: OutputDescription) -> Tensor:
        """Find the output that a description means, by name or index."""
        names = [tensor.name for tensor in self.session.outputs]
        if isinstance(item.which, int):
            if item.which >= len(names):
                raise ModelError(
                    f"{self._where}: {item.where}.index is {item.which}",
                    expected=f"0 to {len(names) - 1}: the model's outputs are {', '.join(names)}",
                    fix=f"set {item.where}.index",
                )
            return self.session.outputs[item.which]
        if item.which not in names:
            raise ModelError(
                f"{self._where}: {item.where}.name is '{item.which}'",
                expected=nearest(item.which, names),
                fix=f"set {item.where}.name to an output of the model: {', '.join(names)}",
            )
        return self.session.outputs[names.index(item.which)]

    def _check_output(self, item: OutputDescription, array: NDArray[Any]) -> None:
        """Compare what came out of a run with what is described."""
        shape = list(array.shape)
        if item.decode == "ids":
            plain = np.squeeze(array).ndim == 2
            if not plain or not np.issubdtype(array.dtype, np.integer):
                raise ModelError(
                    f"{self._where}: {item.where} gives {array.dtype}{shape}",
                    expected="one whole class id for each pixel, as decode: ids says",
                    fix=f"set {item.where}.decode: argmax",
                )
            return
        if array.ndim != 4 or not np.issubdtype(array.dtype, np.floating):
            fix = f"set {item.where}.decode: ids" if array.ndim == 3 else "choose another output"
            raise ModelError(
                f"{self._where}: {item.where} gives {array.dtype}{shape}",
                expected=f"scores with four axes ({item.layout})",
                fix=fix,
            )
        channels = shape[1] if item.layout == "nchw" else shape[3]
        wanted = 1 if item.decode == "threshold" else max(item.classes.classes) + 1
        missing = [i for i in range(channels) if i not in item.classes.classes]
        if item.decode == "argmax" and channels == 1:
            raise ModelError(
                f"{self._where}: {item.where} gives one channel, {shape}",
                expected="two or more channels for decode: argmax",
                fix=f"set {item.where}.decode: threshold, or {item.where}.layout",
            )
        if channels != wanted or (item.decode == "argmax" and missing):
            detail = f"; {missing[:5]} have no class" if missing else ""
            raise ModelError(
                f"{self._where}: {item.where} gives {channels} channels, {shape}{detail}",
                expected=f"{wanted}, as {item.where}.classes says",
                fix=f"list in {item.where}.classes every channel from 0 to {channels - 1}, or set"
                f" {item.where}.layout",
            )


def _channels_first(item: OutputDescription, array: NDArray[Any]) -> NDArray[Any]:
    """Bring an output of batch 1 to (channels, h, w)."""
    if item.decode == "ids":
        return array.reshape(1, *np.squeeze(array).shape)
    return array[0] if item.layout == "nchw" else array[0].transpose(2, 0, 1)


def _decided(
    scores: NDArray[Any],
    item: OutputDescription,
    described: InputDescription,
    size: tuple[int, int],
) -> NDArray[np.uint8]:
    """Bring one output to an image of (width, height) pixels and decide: (h, w) `Surface`."""
    _, offset = placement(described, *size)

    def at_image(channel: NDArray[Any], method: int) -> NDArray[Any]:
        if (channel.shape[1], channel.shape[0]) == size and not any(offset):
            return channel
        return warp_from_output(channel, described, size, method)

    if item.decode == "ids":
        return np.asarray(at_image(item.classes.apply(scores[0]), cv2.INTER_NEAREST), np.uint8)
    scores = scores.astype(np.float32, copy=False)
    if item.decode == "threshold":
        above = at_image(scores[0], cv2.INTER_LINEAR) > item.threshold
        return item.classes.apply(above.astype(np.uint8))
    if len(scores) == 2:
        above = at_image(scores[1] - scores[0], cv2.INTER_LINEAR) > 0
        return item.classes.apply(above.astype(np.uint8))
    best = at_image(scores[0], cv2.INTER_LINEAR).copy()
    chosen = np.zeros(best.shape, dtype=np.uint8 if len(scores) <= 256 else np.uint16)
    for number in range(1, len(scores)):
        channel = at_image(scores[number], cv2.INTER_LINEAR)
        better = channel > best
        np.copyto(best, channel, where=better)
        chosen[better] = number
    return item.classes.apply(chosen)
