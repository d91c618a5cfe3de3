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

"""A point cloud from above: rings every 10 m, the vehicle, an arrow for ahead and a scale bar.

In: the structured points of a `SurroundResult`. Out: a (h, w, 3) uint8 BGR image.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.evaluation.drawing import BACKGROUND, INK, Picture, write


def cloud_from_above(
    points: NDArray[np.void],
    *,
    ahead: float = 50.0,
    behind: float = 30.0,
    side: float = 30.0,
    scale: float = 10.0,
    ground_height: float = 0.0,
    reference: NDArray[np.floating] | None = None,
    title: str = "",
    words: float = 1.0,
) -> Picture:
    """Draw a cloud from above: heading up, the vehicle in the middle, axes in metres.

    An arrow at the upper right points ahead; a bar at the lower right is so many metres long.

    Args:
        points: Structured array with x y z rgb, base frame, metres; rgb packed as 0x00RRGGBB.
        ahead: Metres ahead of the vehicle.
        behind: Metres behind.
        side: Metres to either side.
        scale: Pixels per metre.
        ground_height: z of the road; what is more than 4 m above it (crowns, bridges) is left out.
        reference: (N, 3) points drawn over it as small cyan dots, e.g. a LiDAR's.
        title: Written above.
        words: Factor of the size of words and of the reference's dots: more for a picture that is
            shown small.
    """
    width, height = round(2 * side * scale), round((ahead + behind) * scale)
    picture = np.full((height, width, 3), BACKGROUND, dtype=np.uint8)

    def pixel(x: NDArray[np.floating] | float, y: NDArray[np.floating] | float) -> NDArray[np.intp]:
        return np.stack([np.rint((side - y) * scale), np.rint((ahead - x) * scale)], -1).astype(
            np.intp
        )

    z = points["z"] - ground_height
    shown = points[np.argsort(z)]
    shown = shown[(shown["z"] - ground_height < 4.0) & (shown["z"] - ground_height > -2.0)]
    column, row = pixel(shown["x"], shown["y"]).T
    inside = (column >= 0) & (column < width - 1) & (row >= 0) & (row < height - 1)
    packed = np.ascontiguousarray(shown["rgb"][inside]).view(np.uint32)
    colours = np.stack([packed & 255, packed >> 8 & 255, packed >> 16 & 255], axis=1)
    # Streets are dark, and so is the background: lift the shadows.
    colours = (255 * (colours / 255.0) ** 0.7).astype(np.uint8)
    column, row = column[inside], row[inside]
    # Points thin out with distance: bigger dots keep far ground readable.
    distance = np.hypot(shown["x"][inside], shown["y"][inside])
    for size, limit in ((4, 30.0), (3, 15.0), (2, 0.0)):
        far = distance >= limit
        for down, right in np.ndindex(size, size):
            y = np.clip(row[far] + down - size // 2, 0, height - 1)
            x = np.clip(column[far] + right - size // 2, 0, width - 1)
            picture[y, x] = colours[far]
    if reference is not None:
        spots = pixel(reference[:, 0], reference[:, 1])
        size = round(words)
        spots = spots[((spots >= 0) & (spots < [width - size + 1, height - size + 1])).all(axis=1)]
        for down, right in np.ndindex(size, size):
            picture[spots[:, 1] + down, spots[:, 0] + right] = (255, 214, 60)
    picture = _grid(picture, ahead, behind, side, scale, words)
    _vehicle(picture, pixel, scale)
    picture = _ahead_and_scale(picture, scale, words)
    if title:
        picture = write(picture, [(title, (12, 10))], size=round(15 * words))
    return picture


def _grid(
    picture: Picture, ahead: float, behind: float, side: float, scale: float, words: float
) -> Picture:
    """Draw rings every 10 m around the base frame, with their distances."""
    centre = (round(side * scale), round(ahead * scale))
    lines = picture.copy()
    reach = int(max(ahead, behind, side))
    for metres in range(10, reach + 1, 10):
        cv2.circle(lines, centre, round(metres * scale), INK, 1, cv2.LINE_AA)
    cv2.line(lines, (centre[0], 0), (centre[0], picture.shape[0]), INK, 1, cv2.LINE_AA)
    cv2.line(lines, (0, centre[1]), (picture.shape[1], centre[1]), INK, 1, cv2.LINE_AA)
    picture = np.asarray(cv2.addWeighted(lines, 0.3, picture, 0.7, 0), dtype=np.uint8)
    labels = []
    for metres in range(10, reach + 1, 10):
        for sign, limit in ((1, ahead), (-1, behind)):
            if metres < limit:
                position = (centre[0] + 5, round((ahead - sign * metres) * scale) + 3)
                labels.append((f"{sign * metres} m", position))
        if metres < side:
            labels.append((f"{metres} m", (round((side - metres) * scale) + 4, centre[1] + 4)))
            labels.append((f"{-metres} m", (round((side + metres) * scale) + 4, centre[1] + 4)))
    return write(picture, labels, size=round(12 * words))


def _vehicle(picture: Picture, pixel: object, scale: float) -> None:
    """Draw a passenger car: rounded body, windscreen, and an arrow ahead."""
    assert callable(pixel)
    corners = np.array([[3.6, 0.7], [3.1, 0.95], [-0.7, 0.95], [-0.95, 0.7]])
    outline = np.concatenate([corners, corners[::-1] * [1, -1]])
    body = pixel(outline[:, 0], outline[:, 1]).astype(np.int32)
    glass = np.array([[2.3, 0.75], [1.7, 0.6], [1.7, -0.6], [2.3, -0.75]])
    cv2.fillPoly(picture, [body], (250, 248, 246), cv2.LINE_AA)
    cv2.fillPoly(picture, [pixel(glass[:, 0], glass[:, 1]).astype(np.int32)], (120, 96, 80))
    cv2.polylines(picture, [body], True, (20, 16, 14), max(1, round(scale / 10)), cv2.LINE_AA)


def _ahead_and_scale(picture: Picture, scale: float, words: float) -> Picture:
    """Draw an arrow for ahead at the upper right, and a scale bar at the lower right."""
    height, width = picture.shape[:2]
    if min(height, width) < 160:
        return picture
    x, top, bottom = width - 23 - round(17 * words), 40, 104
    thick = 3
    for colour, more in ((BACKGROUND, 4), (INK, 0)):
        tip = np.array([[x, top - more], [x - 11 - more, top + 20], [x + 11 + more, top + 20]])
        cv2.line(picture, (x, top + 16), (x, bottom), colour, thick + more, cv2.LINE_AA)
        cv2.fillPoly(picture, [tip.astype(np.int32)], colour, cv2.LINE_AA)
    metres = next((m for m in (50, 20, 10, 5, 2, 1) if m * scale <= width / 4), 1)
    right, low = width - 22, height - 24
    left = right - round(metres * scale)
    for colour, more in ((BACKGROUND, 4), (INK, 0)):
        for a, b in (
            ((left, low), (right, low)),
            ((left, low - 6), (left, low + 6)),
            ((right, low - 6), (right, low + 6)),
        ):
            cv2.line(picture, a, b, colour, thick + more, cv2.LINE_AA)
    labels = [
        ("ahead", (x, bottom + 8)),
        (f"{metres} m", ((left + right) // 2, low - 15 - round(17 * words))),
    ]
    return write(picture, labels, size=round(17 * words), anchor="mt")
