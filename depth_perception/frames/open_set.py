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

"""What the assembler keeps: of each camera its stamps, the sets that are open, doubtful images."""

from __future__ import annotations

from collections import deque
from typing import Generic, NamedTuple, TypeVar

Payload = TypeVar("Payload")

NEVER = -(2**63)
"""The stamp and time of what has not come yet."""


class Now(NamedTuple):
    """When a payload arrived, nanoseconds: by the node's time and by one that only goes forward.

    The node's time may be a simulation's: it stands still, goes slowly or jumps.
    """

    ros: int
    steady: int


class CameraStamps:
    """What is known of one camera's stamps."""

    __slots__ = ("arrived", "gaps", "heard", "missed", "stamp")

    def __init__(self) -> None:
        self.stamp = NEVER
        self.arrived = 0
        self.heard = NEVER
        self.missed = 0
        self.gaps: deque[int] = deque(maxlen=5)

    @property
    def period(self) -> int:
        """Usual time between two of its stamps, nanoseconds; 0 before there were two."""
        return sorted(self.gaps)[len(self.gaps) // 2] if self.gaps else 0


class OpenSet(Generic[Payload]):
    """A set that waits for cameras."""

    __slots__ = ("centre", "high", "low", "members", "since", "total")

    def __init__(self, stamp: int, since: Now) -> None:
        self.members: dict[str, tuple[int, Payload]] = {}
        self.low = self.high = self.centre = stamp
        self.total = 0
        self.since = since


class HeldImage(NamedTuple):
    """A payload whose stamp cannot be right, unless time itself has jumped."""

    reason: str
    stamp: int
    payload: object
    now: Now
