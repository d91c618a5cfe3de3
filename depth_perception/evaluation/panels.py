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

"""The pictures of a report: some frame sets of the drive, drawn while it is scored.

In: images, result and samples of a frame set as `evaluate` hands them to its observer. Out:
`Panel`, encoded pictures with captions, and what they show in words for who cannot see them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from depth_perception.evaluation.cloud_picture import cloud_from_above
from depth_perception.evaluation.measured_pictures import (
    anything_measured,
    kind_mosaic,
    measured_mosaic,
)
from depth_perception.evaluation.pictures import (
    Picture,
    arrange,
    confidence_mosaic,
    depth_mosaic,
    embodied_mosaic,
    encoded,
    error_bar,
    input_mosaic,
    mosaic,
    overlay_lidar_error,
)
from depth_perception.evaluation.scores import ImageSample
from depth_perception.frames.frame_set import CameraFrame, FrameSet
from depth_perception.frames.surround_result import SurroundResult


@dataclass(frozen=True)
class PanelPicture:
    """One picture.

    Attributes:
        caption: Written below it.
        words: What it shows, for who cannot see it.
        jpeg: The picture, encoded.
        columns: Cameras side by side in it: on a narrow screen it is not made narrower than these
            can be seen at. 0 for a picture that is not of cameras.
    """

    caption: str
    words: str
    jpeg: bytes
    columns: int = 0


@dataclass(frozen=True)
class Panel:
    """Pictures of one frame set, and its title."""

    title: str
    pictures: list[PanelPicture]


class PictureCollector:
    """Draws every n-th frame set while an evaluation runs; pass it as ``observer``."""

    def __init__(self, every: int = 1, max_depth: float = 80.0) -> None:
        """Draw each ``every``-th set; colours reach to ``max_depth`` metres."""
        self.every = max(1, every)
        self.max_depth = max_depth
        self.panels: list[Panel] = []

    def __call__(
        self,
        number: int,
        frame_set: FrameSet[CameraFrame],
        result: SurroundResult,
        samples: Mapping[str, ImageSample],
    ) -> None:
        """Draw one frame set."""
        if number % self.every or not result.cameras:
            return
        cameras = len(result.cameras)
        named = f"{cameras} camera{'' if cameras == 1 else 's'}"
        self.panels.append(
            Panel(
                f"Frame set {number + 1}, {named}, t = {result.stamp} ns",
                drawn(result, samples, self.max_depth),
            )
        )


def drawn(
    result: SurroundResult, samples: Mapping[str, ImageSample], max_depth: float
) -> list[PanelPicture]:
    """Draw a frame set: what its cameras see, depth, errors, and the cloud from above."""
    columns = max(map(len, arrange({n: c.T_base_camera for n, c in result.cameras.items()})))
    of = "of " + ", ".join(result.cameras)
    pictures = [
        ("What the cameras see", f"Images {of}.", input_mosaic(result), columns),
        (
            "Depth: warm is near, cold is far",
            f"Depth images {of} in colour, by the logarithm of depth, from red at 2 m to blue at"
            f" {max_depth:.0f} m; scale below.",
            depth_mosaic(result, max_depth),
            columns,
        ),
    ]
    if samples:
        columns_with_truth = max(
            map(len, arrange({n: result.cameras[n].T_base_camera for n in samples}))
        )
        pictures.append(
            (
                "Error at every LiDAR point: blue is too near, red too far, pale is right",
                "Images of " + ", ".join(samples) + ", grey, with a dot at each LiDAR point in the"
                " colour of its relative error; scale below.",
                errors(result, samples),
                columns_with_truth,
            )
        )
    if result.estimator != "embodied":
        pictures += [
            (
                "Embodied depth: by geometry alone",
                f"Embodied depth {of} in the colours of the depth images; grey where unknown.",
                embodied_mosaic(result, max_depth),
                columns,
            ),
            (
                "Confidence: how probable it is that depth is right to 10 %",
                f"Confidence {of} in colour, from dark blue at 0 to yellow at 1; scale below.",
                confidence_mosaic(result),
                columns,
            ),
        ]
    if anything_measured(result):
        pictures += [
            (
                "Measured by motion: grey where nothing is",
                f"Measured depth {of} in the colours of the depth images, over the dimmed images.",
                measured_mosaic(result, max_depth),
                columns,
            ),
            (
                "How it was measured",
                f"Images {of}, tinted by how depth was measured at each pixel; legend below.",
                kind_mosaic(result),
                columns,
            ),
        ]
    if result.points is not None:
        pictures.append(
            (
                "Point cloud from above; the vehicle drives up",
                f"{len(result.points)} points from above in the colours of the images, with rings"
                " every 10 m around the vehicle, an arrow for ahead and a scale bar.",
                cloud_from_above(result.points, ground_height=result.ground.height),
                0,
            )
        )
    return [
        PanelPicture(caption, words, encoded(picture), wide)
        for caption, words, picture, wide in pictures
    ]


def errors(
    result: SurroundResult, samples: Mapping[str, ImageSample], width: int = 1440
) -> Picture:
    """Draw the error overlay of all cameras with its scale."""
    radius = 2 if len(samples) > 1 else 1
    pictures = {
        name: overlay_lidar_error(result.cameras[name].image, s.uv, s.prediction, s.depth, radius)
        for name, s in samples.items()
    }
    poses = {name: result.cameras[name].T_base_camera for name in pictures}
    return np.concatenate([mosaic(pictures, poses, width), error_bar(width)])
