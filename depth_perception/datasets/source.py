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

"""Where frame sets with truth come from: shards of the world, or drives in other formats.

A source is named by a text: a folder of shards, or `KIND:FOLDER`, see `KINDS`, maybe with options
as in `bag:drives/monday?params=ddad`. All of them give `TrueFrameSet`s. Of a real drive, depth is
what the LiDAR measured and NaN everywhere else, labels are `NOT_KNOWN` (255 on the own body, where
a mask says so), and `facts` has `T_odom_base` where odometry is known; see `recorded`.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol

from depth_perception.datasets.sample import Choose, TrueFrameSet
from depth_perception.datasets.shards import ShardReader
from depth_perception.errors import ConfigurationError
from depth_perception.yaml_mapping import near_path, nearest

KINDS: dict[str, str] = {
    "bag": "bag",
    "ddad": "ddad",
    "kitti_raw": "kitti",
    "nuscenes": "nuscenes",
    "targets": "targets",
}
"""Prefix: module in `sources`, whose function `open_source(folder)` opens such data."""


_READERS = "depth_perception.datasets.sources"

NOT_KNOWN = 254
"""Label of a pixel whose class nobody knows but whose depth may be known; 255 has no depth."""


class FrameSource(Protocol):
    """Frame sets by index, in the order of their drives. Safe to hand to processes.

    A source that a list of frames was chosen from has indices beyond its length: frames that the
    list does not name, which only `neighbour` leads to.
    """

    def __len__(self) -> int:
        """Count the frame sets."""

    def cameras(self, index: int) -> list[str]:
        """Name the cameras of a frame set, without reading images."""

    def read(self, index: int, choose: Choose = range) -> TrueFrameSet:
        """Read the chosen cameras of a frame set."""

    def neighbour(self, index: int, offset: int) -> int | None:
        """Index of the set so many later in the same drive; None beyond its ends."""


def check_source(text: str) -> None:
    """Refuse a source of an unknown kind, or whose path leads nowhere, without opening it.

    Raises:
        ConfigurationError: It is such.
    """
    kind, colon, rest = text.partition(":")
    if colon and kind not in KINDS:
        raise ConfigurationError(
            f"source '{text}': kind '{kind}'",
            expected=nearest(kind, KINDS),
            fix="name a folder of shards, or KIND:FOLDER",
        )
    path = (rest if colon else text).partition("?")[0]
    if not path or not Path(path).exists():
        raise ConfigurationError(
            f"source '{text}': '{path}' does not exist",
            expected="a folder of shards, or KIND:FOLDER",
            fix="correct the path" + near_path(path),
        )


def open_source(text: str) -> FrameSource:
    """Open a source by its text.

    Raises:
        ConfigurationError: An unknown kind.
        DatasetError: No such data, or damaged.
    """
    kind, colon, rest = text.partition(":")
    if not colon:
        return ShardReader(text)
    if kind not in KINDS:
        raise ConfigurationError(
            f"source '{text}': kind '{kind}'",
            expected=nearest(kind, KINDS),
            fix="name a folder of shards, or KIND:FOLDER",
        )
    source: FrameSource = importlib.import_module(f"{_READERS}.{KINDS[kind]}").open_source(rest)
    return source
