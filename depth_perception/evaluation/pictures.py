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

"""Pictures of depth: in colour, against the LiDAR, from above, and all cameras around the vehicle.

In: arrays of a `SurroundResult` (and `ImageSample` for errors). Out: (h, w, 3) uint8 BGR images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.evaluation.drawing import BACKGROUND, Colour, Picture, font, write
from depth_perception.frames.surround_result import SurroundResult
from depth_perception.geometry.depth_colours import BEYOND, FARTHEST, NEAREST, colour_depth

UNKNOWN: Colour = (40, 36, 34)
"""Of unknown depth: not the black of what a camera may show."""
FAINT: Colour = (92, 82, 76)

BAR = 60
"""Height of the scales below pictures, px: their words are a third as high."""

ERROR_LIMIT = 0.25
"""Relative error at the ends of the error scale."""


def depth_bar(width: int, max_depth: float = FARTHEST, height: int = BAR) -> Picture:
    """Draw the scale of `colour_depth`, with metres below it."""
    bar = np.full((height, width, 3), BACKGROUND, dtype=np.uint8)
    margin, thick = 24, height // 3
    legend = 330 if width >= 700 else 0
    inner = max(width - 2 * margin - legend, 2)
    depths = np.geomspace(NEAREST, max_depth, inner)[None].repeat(thick, axis=0)
    bar[6 : 6 + thick, margin : margin + inner] = colour_depth(depths, max_depth, UNKNOWN)
    labels = []
    for metres in (2, 3, 5, 10, 20, 40, 80, 120, 200):
        if metres > max_depth * 1.001:
            break
        x = margin + inner * math.log(metres / NEAREST) / math.log(max_depth / NEAREST)
        labels.append((f"{metres} m", (round(x), 8 + thick)))
    if legend:
        for x, colour, text in ((0, UNKNOWN, "unknown"), (155, BEYOND, "beyond range")):
            left = margin + inner + 30 + x
            bar[6 : 6 + thick, left : left + 140] = colour
            cv2.rectangle(bar, (left, 6), (left + 140, 6 + thick), FAINT, 1)
            labels.append((text, (left + 70, 8 + thick)))
    return write(bar, labels, size=max(11, height // 3), anchor="mt")


def overlay_lidar_error(
    image: Picture,
    uv: NDArray[np.floating],
    prediction: NDArray[np.floating],
    truth: NDArray[np.floating],
    radius: int = 2,
) -> Picture:
    """Draw LiDAR points over a dimmed grey image, coloured by signed relative error.

    Blue: depth is too near; red: too far; pale: right. Points without a prediction are small and
    dark.

    Args:
        image: (h, w, 3) BGR, on the pixels of ``uv``.
        uv: (N, 2) px.
        prediction: (N,) metres; NaN and +Inf are not covered.
        truth: (N,) metres.
        radius: Of the dots, px.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    picture = cv2.cvtColor((grey * 0.45).astype(np.uint8), cv2.COLOR_GRAY2BGR)
    with np.errstate(invalid="ignore"):
        error = (prediction - truth) / truth
    usable = np.isfinite(error)
    colours = error_colours(np.where(usable, error, 0.0))
    for point in np.rint(uv[~usable]).astype(int):
        cv2.circle(picture, point.tolist(), 1, (86, 78, 72), -1, cv2.LINE_AA)
    # The worst on top: they are what one looks for.
    for i in np.flatnonzero(usable)[np.argsort(np.abs(error[usable]))]:
        centre = np.rint(uv[i]).astype(int).tolist()
        cv2.circle(picture, centre, radius, colours[i].tolist(), -1, cv2.LINE_AA)
    return np.asarray(picture, dtype=np.uint8)


def error_colours(error: NDArray[np.floating]) -> NDArray[np.uint8]:
    """BGR of (N,) signed relative errors: blue below, pale at zero, red above; (N, 3)."""
    stops = np.array([-1.0, -0.4, 0.0, 0.4, 1.0])
    bgr = np.array([[255, 96, 24], [255, 190, 110], [232, 246, 236], [80, 170, 255], [40, 40, 235]])
    position = np.clip(error / ERROR_LIMIT, -1, 1)
    return np.stack([np.interp(position, stops, bgr[:, k]) for k in range(3)], axis=1).astype(
        np.uint8
    )


def error_bar(width: int, height: int = BAR) -> Picture:
    """Draw the scale of `overlay_lidar_error`."""
    bar = np.full((height, width, 3), BACKGROUND, dtype=np.uint8)
    margin, thick = 100, height // 3
    inner = max(width - 2 * margin, 2)
    colours = error_colours(np.linspace(-ERROR_LIMIT, ERROR_LIMIT, inner))
    bar[6 : 6 + thick, margin : margin + inner] = colours[None]
    top = 8 + thick
    labels = [
        (text, (round(margin + inner * (value / ERROR_LIMIT + 1) / 2), top))
        for text, value in (
            ("25 % too near", -0.25),
            ("10 %", -0.1),
            ("right", 0.0),
            ("10 %", 0.1),
            ("25 % too far", 0.25),
        )
    ]
    return write(bar, labels, size=max(11, height // 3), anchor="mt")


def camera_yaw(T_base_camera: NDArray[np.floating]) -> float:
    """Where a camera looks in the base frame, rad: 0 ahead, positive to the left."""
    x, y = T_base_camera[:2, 2]
    return math.atan2(y, x)


def arrange(T_base_cameras: Mapping[str, NDArray[np.floating]]) -> list[list[str]]:
    """Sort cameras into a front and a back row, each from left to right.

    The front row is what a driver sees ahead; the back row what one sees on turning one's head:
    left, rear, right.
    """
    yaw = {name: camera_yaw(T) for name, T in T_base_cameras.items()}
    limit = math.radians(89.0)
    front = sorted((n for n in yaw if abs(yaw[n]) <= limit), key=lambda n: -yaw[n])
    back = sorted((n for n in yaw if abs(yaw[n]) > limit), key=lambda n: yaw[n] % (2 * math.pi))
    return [row for row in (front, back) if row]


def mosaic(
    pictures: Mapping[str, Picture],
    T_base_cameras: Mapping[str, NDArray[np.floating]],
    width: int = 1440,
    gap: int = 6,
    labels: bool = True,
) -> Picture:
    """Put one picture per camera where it looks; ``width`` is the whole mosaic's, px."""
    rows = arrange({name: T_base_cameras[name] for name in pictures})
    columns = max(map(len, rows))
    cell = (width - gap * (columns - 1)) // columns
    drawn = []
    for row in rows:
        tiles = [_tile(pictures[name], cell, name if labels else "") for name in row]
        tall = max(tile.shape[0] for tile in tiles)
        band = np.full((tall, width, 3), BACKGROUND, dtype=np.uint8)
        x = (width - len(row) * cell - gap * (len(row) - 1)) // 2
        for tile in tiles:
            band[: tile.shape[0], x : x + cell] = tile
            x += cell + gap
        drawn += [band, np.full((gap, width, 3), BACKGROUND, dtype=np.uint8)]
    return np.concatenate(drawn[:-1])


def _tile(picture: Picture, width: int, name: str) -> Picture:
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    method = cv2.INTER_AREA if width < picture.shape[1] else cv2.INTER_LINEAR
    tile = np.asarray(cv2.resize(picture, (width, height), interpolation=method), dtype=np.uint8)
    if not name:
        return tile
    # As large as there is room for: the picture may be shown at half its size.
    size = next((k for k in range(22, 13, -1) if font(k).getlength(name) < width - 14), 13)
    left, _, right, _ = font(size).getbbox(name)
    plate = tile[0 : size + 9, 0 : round(right - left) + 14]
    plate[:] = (plate * 0.35).astype(np.uint8)
    return write(tile, [(name, (7, 2))], size=size)


def input_mosaic(result: SurroundResult, width: int = 1440) -> Picture:
    """All cameras' images."""
    return mosaic({n: c.image for n, c in result.cameras.items()}, _poses(result), width)


def depth_mosaic(result: SurroundResult, max_depth: float = FARTHEST, width: int = 1440) -> Picture:
    """All cameras' depth in colour, with its scale."""
    pictures = {n: colour_depth(c.depth, max_depth, UNKNOWN) for n, c in result.cameras.items()}
    return np.concatenate([mosaic(pictures, _poses(result), width), depth_bar(width, max_depth)])


def embodied_mosaic(
    result: SurroundResult, max_depth: float = FARTHEST, width: int = 1440
) -> Picture:
    """All cameras' embodied depth in the colours of `depth_mosaic`, whose scale stands below."""
    pictures = {n: colour_depth(c.embodied, max_depth, UNKNOWN) for n, c in result.cameras.items()}
    return np.concatenate([mosaic(pictures, _poses(result), width), depth_bar(width, max_depth)])


def colour_confidence(confidence: NDArray[np.floating]) -> Picture:
    """Colour (h, w) confidence, 0 to 1: dark for none, yellow for all."""
    shade = (255 * np.clip(np.nan_to_num(confidence), 0, 1)).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(shade, cv2.COLORMAP_VIRIDIS), dtype=np.uint8)


def confidence_mosaic(result: SurroundResult, width: int = 1440) -> Picture:
    """All cameras' confidence in colour, with its scale."""
    pictures = {n: colour_confidence(c.confidence) for n, c in result.cameras.items()}
    bar = np.full((BAR, width, 3), BACKGROUND, dtype=np.uint8)
    inner, thick = width - 48, BAR // 3
    bar[6 : 6 + thick, 24 : 24 + inner] = colour_confidence(np.linspace(0, 1, inner)[None])
    labels = [(f"{k / 5:.1f}", (24 + k * (inner - 1) // 5, 8 + thick)) for k in range(6)]
    bar = write(bar, labels, size=BAR // 3, anchor="mt")
    return np.concatenate([mosaic(pictures, _poses(result), width), bar])


def _poses(result: SurroundResult) -> dict[str, NDArray[np.float64]]:
    return {name: camera.T_base_camera for name, camera in result.cameras.items()}


def encoded(picture: Picture, quality: int = 88) -> bytes:
    """Encode as JPEG."""
    return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])
