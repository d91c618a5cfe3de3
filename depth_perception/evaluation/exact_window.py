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

"""Exact truth of images, read message by message beside them and forgotten behind them.

In: the messages of a bag's truth topics in about the order of time. Out: `ExactImage`, depth,
labels and what moves, on the pixels of a camera's image, matched by stamp.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception import messages
from depth_perception.datasets.exact_truth import (
    OBJECTS_TOPIC,
    _depth_topic,
    _instance_topic,
    _label_topic,
    speeds_of,
)
from depth_perception.errors import MessageError

IMAGE_TYPE = "sensor_msgs/msg/Image"

MOVES = 0.1
"""What is faster moves, m/s."""

_SECOND = 1_000_000_000
_AHEAD = 4
"""Truth images of one topic that are read beyond a wanted one before it counts as missing."""


@dataclass(frozen=True, eq=False)
class ExactImage:
    """Truth of one image, on its pixels.

    Attributes:
        depth: (h, w) float32, m.
        labels: (h, w) class ids; None without a label image.
        moving: (h, w) bool, true on things that move; None where that is not known or not asked.
    """

    depth: NDArray[np.float32]
    labels: NDArray[np.integer] | None
    moving: NDArray[np.bool_] | None = None


class ExactWindow:
    """Truth around an instant, read message by message and forgotten behind it."""

    def __init__(self, stream: Iterable[tuple[str, int, Any]], topics: Mapping[str, str]) -> None:
        """Take (topic, bag time, message) in about the order of time, and the bag's types."""
        self._stream = iter(stream)
        self._topics = topics
        self._held: dict[str, dict[int, Any]] = {}
        self._speeds: dict[int, float] = {}
        self._speeds_until = 0
        self.left_out: Counter[str] = Counter()

    def at(
        self, camera: str, stamp: int, size: tuple[int, int], moving: bool = False
    ) -> ExactImage | None:
        """Return the truth of the image of ``stamp`` (ns), or None and count why in ``left_out``.

        Args:
            camera: Its name.
            stamp: Must not go back by more than a second from call to call.
            size: (width, height) of the image, px.
            moving: Also tell which pixels move, where the bag has instances.
        """
        for held in self._held.values():
            for old in [time for time in held if time < stamp - _SECOND]:
                del held[old]
        try:
            depth = self._image(_depth_topic(camera), stamp, size, messages.decode_depth)
        except MessageError as error:
            self.left_out[f"{error}; scored without these images' exact truth"] += 1
            return None
        labels = None
        if _label_topic(camera) in self._topics:
            try:
                labels = self._image(_label_topic(camera), stamp, size, messages.decode_labels)
            except MessageError as error:
                self.left_out[f"{error}; these images have no exact road"] += 1
        return ExactImage(depth, labels, self._moving(camera, stamp, size) if moving else None)

    def _moving(self, camera: str, stamp: int, size: tuple[int, int]) -> NDArray[np.bool_] | None:
        """Tell which pixels show an instance that moves; None and a count of why without."""
        if _instance_topic(camera) not in self._topics or OBJECTS_TOPIC not in self._topics:
            return None
        try:
            ids = self._image(_instance_topic(camera), stamp, size, messages.decode_labels)
        except MessageError as error:
            self.left_out[f"{error}; what moves in these images is not known"] += 1
            return None
        seen, place = np.unique(ids, return_inverse=True)
        named = seen[seen > 0].tolist()
        # Things of this instant may be listed right behind its images.
        while self._speeds_until <= stamp and not self._speeds.keys() >= set(named):
            if not self._read():
                break
        fast = np.array([self._speeds.get(int(item), 0.0) > MOVES for item in seen], np.bool_)
        return np.asarray(fast[place.reshape(ids.shape)], dtype=np.bool_)

    def _image(self, topic: str, stamp: int, size: tuple[int, int], decode: Any) -> NDArray[Any]:
        kind = self._topics.get(topic, "")
        if kind != IMAGE_TYPE:
            raise MessageError(
                f"{topic} is a {kind}" if kind else f"{topic}: no such topic", expected=IMAGE_TYPE
            )
        message = self._take(topic, stamp)
        if message is None:
            raise MessageError(f"{topic}: no message", expected="one with each image's stamp")
        array: NDArray[Any] = decode(message, topic)
        if array.shape != (size[1], size[0]):
            raise MessageError(
                f"{topic}: {array.shape[1]}x{array.shape[0]} pixels",
                expected=f"those of the camera's image, {size[0]}x{size[1]}",
            )
        return array

    def _take(self, topic: str, stamp: int) -> Any:
        """Read on until the message of that stamp is there, or well passed."""
        mine = self._held.setdefault(topic, {})
        while stamp not in mine:
            if any(sum(t > stamp for t in held) >= _AHEAD for held in self._held.values()):
                break
            if not self._read():
                break
        found = mine.pop(stamp, None)
        for old in [time for time in mine if time < stamp]:
            del mine[old]
        return found

    def _read(self) -> bool:
        """Take the next message of the bag; False at its end."""
        item = next(self._stream, None)
        if item is None:
            return False
        topic, time, message = item
        if topic == OBJECTS_TOPIC:
            self._speeds.update(speeds_of(message))
            self._speeds_until = time
        else:
            self._held.setdefault(topic, {})[messages.stamp_of(message.header.stamp)] = message
        return True
