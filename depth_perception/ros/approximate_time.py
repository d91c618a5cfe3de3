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

"""``sync.policy: approximate_time``: message_filters behind the interface of the own assembler.

Complete sets only, as its users know it: what it leaves out when messages are lost is the price.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Generic

from depth_perception.errors import ConfigurationError
from depth_perception.frames.assembler import DROP_REASONS, Now, Payload
from depth_perception.frames.debug_text import Debug, image_text, set_text, silent
from depth_perception.frames.frame_set import FrameSet
from depth_perception.parameters import SyncParameters

try:
    from builtin_interfaces.msg import Time
    from message_filters import ApproximateTimeSynchronizer, SimpleFilter
except ImportError:
    ApproximateTimeSynchronizer = SimpleFilter = None

_QUEUE = 10


class ApproximateTimeAssembler(Generic[Payload]):
    """Feeds an ``ApproximateTimeSynchronizer`` and takes its sets.

    Attributes:
        jumps: Always 0: it does not notice that time jumps.
        dropped_by_camera: Images with a stamp of zero; it says nothing of others.
        stamp_faults: Always empty.
    """

    def __init__(self, cameras: Sequence[str], tolerance: int, debug: Debug = silent) -> None:
        """Connect one filter a camera.

        Args:
            cameras: Names, in the order in which sets list them.
            tolerance: How far apart stamps of a set may be, nanoseconds.
            debug: Told when sets close; of what it leaves out, message_filters says nothing.

        Raises:
            ConfigurationError: message_filters is not installed.
        """
        if ApproximateTimeSynchronizer is None:
            raise ConfigurationError(
                "sync.policy: approximate_time needs the package message_filters",
                expected="nearest or anchor, which need nothing",
                fix="install ros-$ROS_DISTRO-message-filters, or set another policy",
            )
        self.jumps = 0
        self._debug = debug
        self.dropped_by_camera: dict[str, Counter[str]] = {name: Counter() for name in cameras}
        self.stamp_faults: dict[str, str] = {}
        self._cameras = list(cameras)
        self._filters = {name: SimpleFilter() for name in cameras}
        self._closed: list[FrameSet[Payload]] = []
        self._synchronizer = ApproximateTimeSynchronizer(
            list(self._filters.values()), _QUEUE, tolerance * 1e-9
        )
        self._synchronizer.registerCallback(self._take)

    def add(self, camera: str, stamp: int, payload: Payload, now: Now) -> list[FrameSet[Payload]]:
        """Add an image; return the sets that this closes."""
        if stamp <= 0:
            self.dropped_by_camera[camera]["zero_stamp"] += 1
            self._debug(image_text, camera, stamp, "is left out:", DROP_REASONS["zero_stamp"])
            return []
        sec, nanosec = divmod(stamp, 1_000_000_000)
        header = SimpleNamespace(stamp=Time(sec=sec, nanosec=nanosec))
        self._filters[camera].signalMessage(SimpleNamespace(header=header, item=(stamp, payload)))
        closed, self._closed = self._closed, []
        return closed

    def expire(self, now: Now) -> list[FrameSet[Payload]]:
        """Return nothing: its sets have no deadline."""
        return []

    def flush(self) -> list[FrameSet[Payload]]:
        """Return nothing: an incomplete set is none."""
        return []

    def restart(self) -> list[FrameSet[Payload]]:
        """Return nothing: it copes with older stamps, or does not, as it always does."""
        return []

    def _take(self, *messages: Any) -> None:
        items = {name: m.item for name, m in zip(self._cameras, messages, strict=True)}
        stamp = min(item[0] for item in items.values())
        self._debug(set_text, stamp, "closes complete (message_filters)")
        self._closed.append(FrameSet(stamp, {name: item[1] for name, item in items.items()}))


def approximate_time_assembler(
    cameras: Sequence[str], sync: SyncParameters, debug: Debug = silent
) -> ApproximateTimeAssembler[Any]:
    """Make one as ``sync.tolerance`` says; raises as `ApproximateTimeAssembler` does."""
    return ApproximateTimeAssembler(cameras, round(sync.tolerance * 1e9), debug)
