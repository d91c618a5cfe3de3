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

"""A page that stays below a size, whatever the drive: pictures get coarser, then fewer.

In: panels in the order of what matters, and the bytes that they may take. Out: the same, as much
as fits, and in words what was changed or left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from depth_perception.evaluation.panels import Panel, PanelPicture
from depth_perception.evaluation.pictures import Picture, encoded

LARGEST_PAGE = 14_900_000
"""Bytes of a page: mail and issue trackers refuse more than 15 MB."""

MARKUP = 600
"""Bytes around a picture: tags, and a place to link to; its words come on top."""

STEPS = ((75, 1440), (62, 1200), (50, 1000))
"""Quality and width, px, that pictures are brought to, one step after the other."""


def inlined_size(data: bytes) -> int:
    """Bytes of a picture in a page: base64 makes four of three."""
    return 4 * -(-len(data) // 3)


def size_of(panels: Sequence[Panel]) -> int:
    """Bytes that panels take in a page, at most."""
    return sum(
        MARKUP
        + 2 * len(panel.title.encode())
        + sum(
            MARKUP + inlined_size(p.jpeg) + 6 * len(p.caption.encode()) + 6 * len(p.words.encode())
            for p in panel.pictures
        )
        + sum(MARKUP + 12 * len(cell.encode()) for row in panel.numbers for cell in row)
        for panel in panels
    )


def fitted(panels: Sequence[Panel], limit: int) -> tuple[list[Panel], list[str]]:
    """Make panels fit into ``limit`` bytes.

    Args:
        panels: The most important first.
        limit: Bytes that they may take in the page.

    Returns:
        Panels, and sentences that say what was done to them; none where all fitted as they were.
    """
    kept = list(panels)
    if size_of(kept) <= limit:
        return kept, []
    notes = []
    for quality, width in STEPS:
        kept = [
            dataclasses.replace(
                panel, pictures=[_coarser(p, quality, width) for p in panel.pictures]
            )
            for panel in panels
        ]
        notes = [f"Pictures are at most {width} px wide, JPEG quality {quality}."]
        if size_of(kept) <= limit:
            return kept, notes
    gone: list[str] = []
    while len(kept) > 1 and size_of(kept) > limit:
        gone.insert(0, kept.pop().title)
    if gone:
        notes.append("Left out: " + "; ".join(gone) + ".")
    lost: list[str] = []
    while kept and kept[0].pictures and size_of(kept) > limit:
        lost.insert(0, kept[0].pictures[-1].caption)
        kept = [dataclasses.replace(kept[0], pictures=kept[0].pictures[:-1])]
    if lost:
        notes.append(f"Left out of {kept[0].title}: " + "; ".join(lost) + ".")
    return kept, notes


def _coarser(picture: PanelPicture, quality: int, width: int) -> PanelPicture:
    data = np.frombuffer(picture.jpeg, dtype=np.uint8)
    decoded: Picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
    h, w = decoded.shape[:2]
    if w > width:
        size = (width, max(1, round(h * width / w)))
        decoded = np.asarray(cv2.resize(decoded, size, interpolation=cv2.INTER_AREA), np.uint8)
    made = encoded(decoded, quality)
    return dataclasses.replace(picture, jpeg=min(made, picture.jpeg, key=len))
