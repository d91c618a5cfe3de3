"""What a pixel shows, as far as its depth follows from the ground."""

from __future__ import annotations

from enum import IntEnum


class Surface(IntEnum):
    """How a pixel's depth follows from the ground plane.

    ``OTHER`` is what a road segmenter leaves: not road, and nobody knows whether it is flat or
    stands. ``OBJECT`` is one of a countable kind and gets one depth for each instance;
    ``STRUCTURE`` (walls, buildings, vegetation) follows the ground along its foot.
    """

    UNKNOWN = 0
    ROAD = 1
    GROUND = 2
    OBJECT = 3
    STRUCTURE = 4
    SKY = 5
    EGO = 6
    OTHER = 7
