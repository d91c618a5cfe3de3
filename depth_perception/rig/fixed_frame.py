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

"""How the vehicle moves, by TF: poses of its base frame in a frame that stands still.

In: TFMessages as they come, of a node or of a bag. Out: stamped poses, one for each new transform
on the way from the fixed frame to the base frame. Transforms elsewhere, such as a robot's joints,
are not read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from depth_perception.errors import TransformError
from depth_perception.geometry.transforms import Matrix, interpolate
from depth_perception.messages.sensors import stamp_of
from depth_perception.messages.transforms import decode_edge

_KEPT = 100
"""Transforms of one moving frame that are remembered."""
_GAP_NS = 1_500_000_000
"""Between transforms farther apart nothing is interpolated."""
_JUMP_NS = 2_000_000_000
"""Transforms that are older by so much come after a jump of time."""

_Key = tuple[str, str, str]
"""Namespace, parent, child."""


class _Edge:
    """One transform of the tree, and its latest values."""

    def __init__(self, static: bool) -> None:
        self.static = static
        self.raw: Any = None
        """The latest message, as long as nobody has asked for it."""
        self.values: deque[tuple[int, Matrix]] = deque(maxlen=1 if static else _KEPT)

    def push(self, stamp: int, T_parent_child: Matrix) -> bool:
        """Take a value; one that is not newer is left out, unless time has jumped."""
        if self.values and not self.static and stamp <= self.values[-1][0]:
            if stamp > self.values[-1][0] - _JUMP_NS:
                return False
            self.values.clear()
        self.values.append((stamp, T_parent_child))
        return True

    def at(self, stamp: int) -> Matrix | None:
        """Return T_parent_child at an instant (ns); None where no values lie around it."""
        if self.static:
            return self.values[-1][1] if self.values else None
        before = None
        for time, T in reversed(self.values):
            if time == stamp:
                return T
            if time < stamp:
                if before is None or before[0] - time > _GAP_NS:
                    return None
                return interpolate(T, before[1], (stamp - time) / (before[0] - time))
            before = time, T
        return None


class FixedFrame:
    """Follows the base frame through TF.

    Attributes:
        name: What the poses are of, for messages; empty as long as there are none.
    """

    def __init__(
        self,
        base_frame: str,
        fixed_frame: str,
        take: Callable[[int, Matrix, str], None],
        say: Callable[[str], None] = lambda text: None,
        namespaces: Callable[[], Sequence[str]] = lambda: ("",),
    ) -> None:
        """Begin without any transform.

        Args:
            base_frame: The vehicle's frame.
            fixed_frame: The frame that its poses are wanted in. Where nothing leads from there to
                the base frame, the first frame that the base frame moves in takes its place.
            take: Called with stamp (ns), T_fixed_base and `name` for each pose.
            say: Called once when another frame takes the place of ``fixed_frame``.
            namespaces: Returns the namespaces whose transforms are of this vehicle, the nearest
                first.
        """
        self.name = ""
        self._base, self._wanted = base_frame.lstrip("/"), fixed_frame.lstrip("/")
        self._take, self._say, self._namespaces = take, say, namespaces
        self._edges: dict[_Key, _Edge] = {}
        self._order: tuple[str, ...] = ()
        self._chain: list[_Key] = []
        self._last = 0
        self._changed = False
        self._said = ""

    def know(self, message: Any, namespace: str, static: bool) -> None:
        """Learn from a TFMessage which frames there are; for a recording, before the first `add`.

        Args:
            message: The message.
            namespace: Of its topic.
            static: Whether that is ``tf_static``.
        """
        for item in message.transforms:
            parent, child = item.header.frame_id.lstrip("/"), item.child_frame_id.lstrip("/")
            edge = self._edges.get((namespace, parent, child))
            if edge is None or (static and not edge.static):
                self._edges[namespace, parent, child] = _Edge(static)
                self._changed = True

    def add(self, message: Any, namespace: str, static: bool) -> None:
        """Take a TFMessage of a namespace's ``/tf`` or ``/tf_static``; arguments as of `know`."""
        self.know(message, namespace, static)
        order = tuple(self._namespaces())
        if self._changed or order != self._order:
            self._order, self._changed = order, False
            chain = self._find_chain()
            if chain != self._chain:
                self._chain, self._last = chain, 0
        for item in message.transforms:
            key = namespace, item.header.frame_id.lstrip("/"), item.child_frame_id.lstrip("/")
            if self._edges[key].static == static:
                self._edges[key].raw = item
        fresh = [key for key in self._chain if self._edges[key].raw is not None]
        moved = [key for key in fresh if self._read(self._edges[key]) and not static]
        if moved:
            self._give()

    def _read(self, edge: _Edge) -> bool:
        """Decode what has arrived of a transform on the way; tell whether it is new."""
        raw, edge.raw = edge.raw, None
        try:
            _, _, T = decode_edge(raw)
        except TransformError:
            return False  # who follows the mountings has said it
        return edge.push(stamp_of(raw.header.stamp), T)

    def _find_chain(self) -> list[_Key]:
        """Return the transforms from the base frame up to the fixed frame; empty without any."""
        ways: dict[str, list[_Key]] = {self._base: []}
        waiting, moving = [self._base], ""
        for frame in waiting:
            for namespace in self._order:
                above = [key for key in self._edges if key[0] == namespace and key[2] == frame]
                for key in above:
                    if key[1] not in ways:
                        ways[key[1]] = [*ways[frame], key]
                        waiting.append(key[1])
                        if not moving and not self._edges[key].static:
                            moving = key[1]
                if above:
                    break
        found = self._wanted if self._wanted in ways else moving
        chain = ways.get(found, [])
        if not any(not self._edges[key].static for key in chain):
            return []
        self.name = f"TF '{found}' -> '{self._base}'"
        if found != self._wanted and found != self._said:
            self._said = found
            self._say(
                f"TF has no frame '{self._wanted}' (motion.fixed_frame) above '{self._base}':"
                f" '{found}', in which it moves, takes its place. Fix: if that is right, set"
                f" motion.fixed_frame: {found}; else publish '{self._wanted}'"
            )
        return chain

    def _give(self) -> None:
        """Hand over the newest pose that all transforms on the way have."""
        edges = [self._edges[key] for key in self._chain]
        if not all(edge.values for edge in edges):
            return
        stamp = min(edge.values[-1][0] for edge in edges if not edge.static)
        if stamp == self._last:
            return
        T = np.eye(4)
        for edge in edges:
            T_parent_child = edge.at(stamp)
            if T_parent_child is None:
                return
            T = T_parent_child @ T
        self._last = stamp
        self._take(stamp, T, self.name)
