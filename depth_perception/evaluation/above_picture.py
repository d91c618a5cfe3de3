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

"""The cloud from above with the truth beside it: same scale, same axes, same colours.

In: points of a `SurroundResult` and those of the truth that the cameras see. Out: one
(h, w, 3) uint8 BGR image.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.evaluation.cloud_picture import cloud_from_above
from depth_perception.evaluation.drawing import BACKGROUND, Picture, font, write
from depth_perception.geometry.cloud import POINT_DTYPE
from depth_perception.geometry.ground_plane import GroundPlane

OBSTACLE = 0.3
"""What is higher above the ground than this is an obstacle, m: as the obstacle cloud has it."""

HIGH = 3.0
"""From here up obstacles have the last colour, m."""

ROAD_COLOUR = (96, 92, 88)
LOW_COLOUR, HIGH_COLOUR = (48, 84, 240), (110, 226, 255)
TRUTH_COLOUR = (255, 214, 60)
"""What `cloud_from_above` draws its reference in."""

BEHIND = 8.0
"""Shown behind the vehicle where no point lies farther back, m."""

WORDS = 1.7
"""Words are larger than in a picture of one cloud: the page shows this at about half its size."""

LEGEND = 22
"""Size of the legend's words, px."""

SCALE = 10.0
"""Pixels per metre."""


def clouds_from_above(
    points: NDArray[np.floating], truth: NDArray[np.floating], ground: GroundPlane, truth_name: str
) -> Picture:
    """Draw both clouds side by side; the truth's obstacles lie over the estimated ones, too.

    Args:
        points: (N, 3) the estimated cloud, base frame, metres.
        truth: (M, 3) points of the truth, base frame, metres.
        ground: Above which heights are measured.
        truth_name: Written above the right half.
    """
    # Who has no camera at the rear sees nothing there: more room for what is ahead.
    every = np.concatenate([points, truth])
    seen_behind = (every[:, 0] < -BEHIND).mean() > 0.01 if len(every) else False
    ahead, behind = (40.0, 30.0) if seen_behind else (50.0, BEHIND)
    tall = truth[_height(truth, ground) > OBSTACLE]
    low = tall[_height(tall, ground) < HIGH + 1.0]
    halves = [
        cloud_from_above(
            _coloured(cloud, ground),
            ahead=ahead,
            behind=behind,
            side=30.0,
            scale=SCALE,
            ground_height=ground.height / ground.normal[2],
            reference=over,
            title=title,
            words=WORDS,
        )
        for cloud, over, title in ((points, low, "Depth"), (truth, None, truth_name))
    ]
    gap = np.full((halves[0].shape[0], 8, 3), 90, dtype=np.uint8)
    both = np.concatenate([halves[0], gap, halves[1]], axis=1)
    return np.concatenate([both, _legend(both.shape[1], truth_name)])


def _height(points: NDArray[np.floating], ground: GroundPlane) -> NDArray[np.float64]:
    return ground.signed_distance(points) if len(points) else np.zeros(0)


def _coloured(cloud: NDArray[np.floating], ground: GroundPlane) -> NDArray[np.void]:
    """Give points their colour by height: road grey, obstacles from orange to yellow."""
    height = _height(cloud, ground)
    share = np.clip((height - OBSTACLE) / (HIGH - OBSTACLE), 0, 1)[:, None]
    colours = np.where(
        height[:, None] > OBSTACLE,
        (1 - share) * np.array(LOW_COLOUR) + share * np.array(HIGH_COLOUR),
        np.array(ROAD_COLOUR, dtype=float),
    ).astype(np.uint32)
    points = np.zeros(len(cloud), POINT_DTYPE)
    for k, axis in enumerate("xyz"):
        points[axis] = cloud[:, k]
    packed = colours[:, 0] | colours[:, 1] << 8 | colours[:, 2] << 16
    points["rgb"] = packed.astype(np.uint32).view(np.float32)
    return points


def _legend(width: int, truth_name: str) -> Picture:
    bar = np.full((56, width, 3), BACKGROUND, dtype=np.uint8)
    entries = (
        (ROAD_COLOUR, "ground"),
        (LOW_COLOUR, "obstacle, low"),
        (HIGH_COLOUR, "3 m and more"),
        (TRUTH_COLOUR, f"{truth_name}'s obstacles"),
    )
    labels, x = [], 16
    for colour, text in entries:
        cv2.rectangle(bar, (x, 16), (x + 24, 40), colour, -1)
        labels.append((text, (x + 32, 15)))
        x += 56 + round(font(LEGEND).getlength(text))
    return write(bar, labels, size=LEGEND)
