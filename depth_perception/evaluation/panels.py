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

"""The pictures of a report: the worst frame sets of the drive, drawn while it is scored.

In: images, result and samples of a frame set as `evaluate` hands them to its observer. Out:
`Panel`, encoded pictures with captions, and what they show in words for who cannot see them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.evaluation.above_picture import clouds_from_above
from depth_perception.evaluation.cloud_picture import cloud_from_above
from depth_perception.evaluation.formats import METRIC_COLUMNS, count, number, share
from depth_perception.evaluation.frame_choice import Largest, Typical
from depth_perception.evaluation.measured_pictures import (
    anything_measured,
    kind_mosaic,
    measured_mosaic,
)
from depth_perception.evaluation.metrics import DepthMetrics, covered, depth_metrics, mean_metrics
from depth_perception.evaluation.pictures import (
    Picture,
    arrange,
    confidence_mosaic,
    depth_mosaic,
    embodied_mosaic,
    encoded,
    error_bar,
    error_colours,
    input_mosaic,
    mosaic,
    overlay_lidar_error,
)
from depth_perception.evaluation.scores import ImageSample
from depth_perception.frames.frame_set import CameraFrame, FrameSet
from depth_perception.frames.surround_result import SurroundResult
from depth_perception.geometry.transforms import transform_points


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
    """Pictures of one frame set, its title, and its numbers: rows of cells, the heading first."""

    title: str
    pictures: list[PanelPicture]
    numbers: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Shown:
    """A frame set as it was drawn, before it is known what it is in the drive."""

    number: int
    panel: Panel


WORST = 3
"""Frame sets shown as the worst, unless told otherwise."""

CHANGED = 2
"""Frame sets shown that got worse most since a former run, and as many that got better."""

BACKDROP = 400
"""Width of the camera's image below an error map, px."""


class PictureCollector:
    """Draws the worst frame sets and a typical one while an evaluation runs; an ``observer``.

    The error of a frame set is AbsRel, the mean over its images, at LiDAR points; of sets without
    any, over pixels of exact truth. One in which nothing has a depth is worse than all others.
    """

    def __init__(
        self, worst: int = WORST, max_depth: float = 80.0, former: Mapping[int, float] | None = None
    ) -> None:
        """Say what is drawn.

        Args:
            worst: How many of the worst frame sets.
            max_depth: Colours reach to so many metres.
            former: AbsRel of a former run by the stamps of its frame sets, ns: those that changed
                most are drawn, too.
        """
        self.max_depth = max_depth
        self._backdrops: dict[str, tuple[bytes, NDArray[np.float64]]] = {}
        self._former = former or {}
        self._worst: Largest[_Shown] = Largest(max(worst, 1))
        self._typical: Typical[_Shown] = Typical()
        self._worse: Largest[_Shown] = Largest(CHANGED)
        self._better: Largest[_Shown] = Largest(CHANGED)
        self._exact: Mapping[str, NDArray[np.float64]] = {}
        self._ranked = 0
        self._first: int | None = None

    def see_exact_truth(self, depth: Mapping[str, NDArray[np.float64]]) -> None:
        """Take by camera the true depth (h, w) of the frame set that comes next, m."""
        self._exact = depth

    def __call__(
        self,
        index: int,
        frame_set: FrameSet[CameraFrame],
        result: SurroundResult,
        samples: Mapping[str, ImageSample],
    ) -> None:
        """Look at one frame set, and draw it if it may be shown."""
        first = self._first = result.stamp if self._first is None else self._first
        for name, camera in result.cameras.items():
            if name not in self._backdrops:
                self._backdrops[name] = backdrop(camera.image), camera.T_base_camera
        samples = {name: s for name, s in samples.items() if len(s.depth)}
        exact = {} if samples else self._exact
        metrics = {n: depth_metrics(s.prediction, s.depth) for n, s in samples.items()}
        metrics |= {
            n: depth_metrics(result.cameras[n].depth.ravel(), t.ravel()) for n, t in exact.items()
        }
        if not any(item.truth_count for item in metrics.values()):
            return
        mean = mean_metrics(metrics.values())
        error = mean.abs_rel if math.isfinite(mean.abs_rel) else math.inf
        self._ranked += 1
        made: list[_Shown] = []

        def make() -> _Shown:
            if not made:
                after = (result.stamp - first) * 1e-9
                title = f"frame set {index + 1}, {after:.1f} s after the first: " + (
                    f"AbsRel {mean.abs_rel:.3f}" if error < math.inf else "no depth"
                )
                pictures = drawn(result, samples, self.max_depth, exact)
                made.append(_Shown(index, Panel(title, pictures, _numbers(mean, metrics))))
            return made[0]

        self._worst.offer(error, make)
        self._typical.offer(error, make)
        before = self._former.get(result.stamp, math.nan)
        if math.isfinite(change := error - before):
            if change > 0:
                self._worse.offer(change, make)
            elif change < 0:
                self._better.offer(-change, make)

    @property
    def backdrops(self) -> dict[str, bytes]:
        """A small image of each camera, WebP: from left to right, those that look ahead first."""
        rows = arrange({name: pose for name, (_, pose) in self._backdrops.items()})
        return {name: self._backdrops[name][0] for row in rows for name in row}

    @property
    def panels(self) -> list[Panel]:
        """The worst frame sets, the worst first, then the typical one if it is not among them."""
        worst = [shown for _, shown in self._worst.items]
        panels = []
        for place, shown in enumerate(worst):
            rank = "Worst" if place == 0 else f"{place + 1}. worst"
            name = f"{rank} of {self._ranked}" if self._ranked > 1 else "The only one"
            panels.append(_titled(name, shown))
        typical = self._typical.item
        if typical is not None and typical[1].number not in [shown.number for shown in worst]:
            panels.append(_titled("For comparison, about the median", typical[1]))
        return panels

    @property
    def changed(self) -> list[Panel]:
        """The frame sets that changed most since the former run: worse ones, then better ones."""
        return [
            _titled(f"{'Worse' if sign > 0 else 'Better'} by {change:.3f}", shown)
            for sign, largest in ((1, self._worse), (-1, self._better))
            for change, shown in largest.items
        ]


def _titled(name: str, shown: _Shown) -> Panel:
    return dataclasses.replace(shown.panel, title=f"{name}: {shown.panel.title}")


NUMBERS = ("abs_rel", "rmse", "delta1", "a10", "coverage")
"""Fields of the metrics written with a frame set."""


def _numbers(mean: DepthMetrics, cameras: Mapping[str, DepthMetrics]) -> list[list[str]]:
    """Write the numbers of one frame set, by camera where it has several."""
    chosen = [column for column in METRIC_COLUMNS if column[0] in NUMBERS]
    several = {"all, mean": mean} if len(cameras) > 1 else {}
    rows = [
        [
            name,
            *(
                f"{share(getattr(item, key))} %" if is_share else number(getattr(item, key), digits)
                for key, _, digits, is_share in chosen
            ),
            count(item.count),
        ]
        for name, item in {**several, **cameras}.items()
    ]
    return [["camera", *(heading for _, heading, *_ in chosen), "points"], *rows]


def backdrop(image: Picture) -> bytes:
    """Encode a camera's image as what an error map lies over: grey, dim and small, WebP."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    height = max(1, round(BACKDROP * grey.shape[0] / grey.shape[1]))
    small = cv2.resize(grey, (BACKDROP, height), interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".webp", small, [cv2.IMWRITE_WEBP_QUALITY, 50])[1])


def drawn(
    result: SurroundResult,
    samples: Mapping[str, ImageSample],
    max_depth: float,
    exact: Mapping[str, NDArray[np.float64]] | None = None,
) -> list[PanelPicture]:
    """Draw a frame set: what its cameras see, depth, errors, and the cloud from above.

    ``exact`` is true depth (h, w) by camera, drawn where there are no ``samples``.
    """
    exact = exact or {}
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
    truth_of = list(samples) or list(exact)
    if truth_of:
        poses = {n: result.cameras[n].T_base_camera for n in truth_of}
        at = "at every LiDAR point" if samples else "at every pixel"
        pictures.append(
            (
                f"Error {at}: blue is too near, red too far, pale is right",
                "Images of " + ", ".join(truth_of) + ", grey, with the colour of the relative"
                f" error {at}; scale below.",
                errors(result, samples) if samples else exact_errors(result, exact),
                max(map(len, arrange(poses))),
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
        pictures.append(_from_above(result, samples, exact))
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


def exact_errors(
    result: SurroundResult, exact: Mapping[str, NDArray[np.float64]], width: int = 1440
) -> Picture:
    """Draw the error of every pixel with exact truth, with its scale."""
    pictures = {}
    for name, truth in exact.items():
        camera = result.cameras[name]
        grey = cv2.cvtColor(camera.image, cv2.COLOR_BGR2GRAY)
        picture = cv2.cvtColor((grey * 0.45).astype(np.uint8), cv2.COLOR_GRAY2BGR)
        use = covered(camera.depth, truth)
        picture[use] = error_colours(camera.depth[use] / truth[use] - 1)
        pictures[name] = np.asarray(picture, dtype=np.uint8)
    poses = {name: result.cameras[name].T_base_camera for name in pictures}
    return np.concatenate([mosaic(pictures, poses, width), error_bar(width)])


def _from_above(
    result: SurroundResult,
    samples: Mapping[str, ImageSample],
    exact: Mapping[str, NDArray[np.float64]],
) -> tuple[str, str, Picture, int]:
    """Draw the cloud from above beside the truth's, or alone where there is none."""
    assert result.points is not None
    if not samples and not exact:
        return (
            "Point cloud from above; the vehicle drives up",
            f"{len(result.points)} points from above in the colours of the images, with rings"
            " every 10 m around the vehicle, an arrow for ahead and a scale bar.",
            cloud_from_above(result.points, ground_height=result.ground.height),
            0,
        )
    truth_name = "LiDAR" if samples else "exact truth"
    points = np.stack([result.points[axis] for axis in "xyz"], axis=1).astype(np.float64)
    if samples:
        truth = np.concatenate([s.truth.points for s in samples.values()])
        planes = [s.truth.plane for s in samples.values() if s.truth.plane is not None]
        ground = planes[0] if planes else result.ground
    else:
        truth, ground = _exact_points(result, exact), result.ground
    return (
        f"From above, depth on the left and {truth_name} on the right; the vehicle drives up",
        f"{len(points)} points of depth and {len(truth)} of {truth_name} from above, on one scale:"
        " ground grey, obstacles orange to yellow by height, those of the truth over depth in"
        " cyan; rings every 10 m around the vehicle, and a scale bar.",
        clouds_from_above(points, truth, ground, truth_name),
        2,
    )


def _exact_points(
    result: SurroundResult, exact: Mapping[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return (N, 3) the points of exact truth, base frame, metres; of every second pixel."""
    parts = []
    for name, depth in exact.items():
        camera = result.cameras[name]
        chosen = np.zeros(depth.shape, dtype=bool)
        chosen[::2, ::2] = np.isfinite(depth[::2, ::2])
        rays = camera.camera.rays()[chosen] * depth[chosen][:, None]
        parts.append(transform_points(camera.T_base_camera, rays))
    return np.concatenate(parts) if parts else np.zeros((0, 3))
