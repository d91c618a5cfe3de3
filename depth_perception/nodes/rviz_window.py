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

"""Where RViz's panels stand, as its files keep it: Qt's ``QMainWindow::saveState``, in hexadecimal.

Qt describes the format nowhere but in its source (qmainwindowlayout.cpp, qdockarealayout.cpp): a
tree of panels that lie side by side, above each other, or one behind the other with tabs.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_VERSION = 0xFF
_DOCKS, _SIDE_BY_SIDE, _PANEL, _TABS = 0xFD, 0xFC, 0xFB, 0xFA
_TOOL_BARS = 0xFC
_LEFT, _RIGHT = 0, 1
_HORIZONTAL, _VERTICAL = 1, 2
_VISIBLE = 1
_CORNERS = (4, 4, 8, 8)
"""Top and bottom corners belong to the areas at the top and at the bottom, as Qt has it."""
_SMALLEST, _LARGEST = 20, 0xFFFFFF
TOOL_BAR = "Tools"
"""The name of RViz's only tool bar."""


@dataclass(frozen=True)
class Stack:
    """Panels that share a rectangle, in equal parts.

    Attributes:
        items: Names of panels, and stacks in turn.
        vertical: Above each other rather than side by side.
        tabbed: One behind the other, the first one in front.
    """

    items: tuple[str | Stack, ...]
    vertical: bool = True
    tabbed: bool = False


def window_state(
    size: tuple[int, int], top: int, left: tuple[int, Stack], right: tuple[int, Stack] | None
) -> str:
    """Lay out a window: panels on the left and on the right of the 3D view, which has the rest.

    Args:
        size: Width and height of all three together, pixels.
        top: Where they begin below the window's upper edge, pixels.
        left: Width in pixels, and the panels there.
        right: The same; None without any.

    Returns:
        What RViz reads as ``QMainWindow State``.
    """
    width, height = size
    areas = [(_LEFT, *left)] + ([(_RIGHT, *right)] if right else [])
    out = struct.pack(">iiBi", _VERSION, 0, _DOCKS, len(areas))
    for place, wide, stack in areas:
        out += struct.pack(">iii", place, wide, height) + _stack(stack, (wide, height), top)
    centre = width - sum(wide for _, wide, _ in areas)
    out += struct.pack(">ii4i", centre, height, *_CORNERS)
    out += struct.pack(">Biii", _TOOL_BARS, 1, 2, 1) + _text(TOOL_BAR)
    return (out + struct.pack(">Biiii", _VISIBLE, 0, -1, 0, 0)).hex()


def _stack(stack: Stack, size: tuple[int, int], begin: int = 0) -> bytes:
    """Write a stack that fills a rectangle, and all that is in it."""
    out = struct.pack(">Bi", _TABS, 0) if stack.tabbed else struct.pack(">B", _SIDE_BY_SIDE)
    out += struct.pack(">Bi", _VERTICAL if stack.vertical else _HORIZONTAL, len(stack.items))
    shares = 1 if stack.tabbed else max(len(stack.items), 1)
    length = size[1 if stack.vertical else 0] // shares
    part = (size[0], length) if stack.vertical else (length, size[1])
    for index, item in enumerate(stack.items):
        at = begin + (0 if stack.tabbed else index * length)
        extent = struct.pack(">4i", at, length, _SMALLEST, _LARGEST)
        if isinstance(item, Stack):
            out += struct.pack(">B", _SIDE_BY_SIDE) + extent + _stack(item, part)
        else:
            out += struct.pack(">B", _PANEL) + _text(item) + struct.pack(">B", _VISIBLE) + extent
    return out


def _text(text: str) -> bytes:
    """Write a text as QDataStream does."""
    data = text.encode("utf-16-be")
    return struct.pack(">I", len(data)) + data
