"""Where training's frame sets come from: shards of the world, or drives in other formats.

A source is named by a text: a folder of shards, or `KIND:FOLDER`, see `KINDS`. All of them give
`TrueFrameSet`s. Of a real drive, depth is what the LiDAR measured and NaN everywhere else, labels
are 255 (unknown), and `facts` has `T_odom_base` where odometry is known.
"""

from __future__ import annotations

import importlib
from typing import Protocol

from depth_perception.errors import ConfigurationError
from depth_perception.world.shards import Choose, ShardReader, TrueFrameSet
from depth_perception.yaml_mapping import nearest

KINDS: dict[str, str] = {}
"""Prefix: module here, whose function `open_source(folder)` opens such data."""


class FrameSource(Protocol):
    """Frame sets at any place, in the order of their drives. Safe to hand to processes."""

    def __len__(self) -> int:
        """Count the frame sets."""

    def cameras(self, place: int) -> list[str]:
        """Name the cameras of a frame set, without reading images."""

    def read(self, place: int, choose: Choose = range) -> TrueFrameSet:
        """Read the chosen cameras of a frame set."""

    def neighbour(self, place: int, offset: int) -> int | None:
        """Place of the set so many later in the same drive; None beyond its ends."""


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
            f"source '{text}': kind '{kind}'", expected=nearest(kind, KINDS),
            fix="name a folder of shards, or KIND:FOLDER",
        )  # fmt: skip
    source: FrameSource = importlib.import_module(f"{__name__}.{KINDS[kind]}").open_source(rest)
    return source
