"""Scores of one frame set."""

from __future__ import annotations

from dataclasses import dataclass

from depth_perception.evaluation.metrics import DepthMetrics


@dataclass(frozen=True)
class FrameScores:
    """Scores of one frame set: means over its images.

    Attributes:
        number: Which one of the drive, the first is 1; pictures of a report count alike.
        stamp: Its time, ns.
        images: Images with truth.
        metric: Of the depth image, as it is.
        embodied: Of the embodied depth beside it; None where that is the depth image itself.
    """

    number: int
    stamp: int
    images: int
    metric: DepthMetrics
    embodied: DepthMetrics | None
