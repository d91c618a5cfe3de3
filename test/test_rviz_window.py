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

"""The layout of RViz's window: read back as Qt reads it, and compared with what was asked for."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from depth_perception.nodes.rviz_window import Stack, window_state

DEFAULT = (
    # The end of a state that RViz saved itself: corners, and the tool bar "Tools" at the top.
    "00000004000000040000000800000008fc0000000100000002000000010000000a0054006f006f006c0073"
    "0100000000ffffffff0000000000000000"
)


class Reader:
    """Reads what QMainWindow::saveState writes, as far as RViz's files use it."""

    def __init__(self, state: str) -> None:
        self.data, self.at = bytes.fromhex(state), 0

    def take(self, layout: str) -> Any:
        values = struct.unpack_from(f">{layout}", self.data, self.at)
        self.at += struct.calcsize(f">{layout}")
        return values[0] if len(values) == 1 else values

    def text(self) -> str:
        size = self.take("I")
        self.at += size
        return self.data[self.at - size : self.at].decode("utf-16-be")

    def stack(self) -> dict[str, Any]:
        marker = self.take("B")
        assert marker in (0xFA, 0xFC), f"{marker:x} at {self.at}"
        front = self.take("i") if marker == 0xFA else None
        orientation, count = self.take("Bi")
        assert orientation in (1, 2)
        items = []
        for _ in range(count):
            kind = self.take("B")
            name = None
            if kind == 0xFB:
                name = self.text()
                assert self.take("B") == 1, f"{name} is hidden"
            else:
                assert kind == 0xFC
            pos, size, smallest, largest = self.take("4i")
            assert 0 <= smallest <= size <= largest
            items.append((name or self.stack(), pos, size))
        return {"vertical": orientation == 2, "front": front, "items": items}


def read_state(state: str) -> dict[str, Any]:
    """Decode a state; by area (0 left, 1 right), and ``centre`` for the 3D view."""
    reader = Reader(state)
    assert reader.take("iiB") == (0xFF, 0, 0xFD)
    out: dict[str, Any] = {}
    for _ in range(reader.take("i")):
        place, width, height = reader.take("iii")
        out[place] = {"size": (width, height), **reader.stack()}
    out["centre"] = reader.take("ii")
    assert reader.data[reader.at :].hex() == DEFAULT
    return out


def panels(stack: dict[str, Any]) -> list[str]:
    """Name all panels of an area, from its upper left to its lower right."""
    names: list[str] = []
    for item, *_ in stack["items"]:
        names += [item] if isinstance(item, str) else panels(item)
    return names


def test_an_area_on_each_side_and_the_rest_for_the_view() -> None:
    right = Stack(("a", Stack(("b", "ü"), vertical=False), Stack(("d", "e"), tabbed=True)))
    read = read_state(window_state((1000, 600), 50, (200, Stack(("Displays",))), (300, right)))
    assert read["centre"] == (500, 600)
    assert read[0]["size"] == (200, 600) and panels(read[0]) == ["Displays"]
    assert read[1]["size"] == (300, 600) and panels(read[1]) == ["a", "b", "ü", "d", "e"]
    (a, *first), (row, *second), (tabs, *third) = read[1]["items"]
    assert a == "a" and [first, second, third] == [[50, 200], [250, 200], [450, 200]]
    assert not row["vertical"] and [item[1:] for item in row["items"]] == [(0, 150), (150, 150)]
    assert tabs["front"] == 0 and {size for _, _, size in tabs["items"]} == {200}


def test_nothing_on_the_right_leaves_it_to_the_view() -> None:
    read = read_state(window_state((1000, 600), 50, (200, Stack(("Displays",))), None))
    assert read["centre"] == (800, 600) and 1 not in read


def test_reader_reads_what_rviz_saved() -> None:
    """The left area of RViz's own default.rviz, so that the reader above is no mirror of ours."""
    saved = (
        "000000ff00000000fd00000001000000000000013c0000025ffc0200000001fb0000001000440069007300700"
        "06c00610079007301000000410000025f000000dd00ffffff000001eb0000025f" + DEFAULT
    )
    read = read_state(saved)
    assert read[0]["items"] == [("Displays", 65, 607)] and read["centre"] == (491, 607)
    with pytest.raises((AssertionError, struct.error)):
        read_state(saved[:-20])
