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

"""What an evaluation says: its numbers as dataclasses, and how they follow from samples."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets.lidar_truth import LidarTruth, TruthProtocol
from depth_perception.evaluation.boundary import Boundary, boundary_counts_at_points
from depth_perception.evaluation.error_map import ErrorMap, ErrorMaps
from depth_perception.evaluation.exact import ExactScores
from depth_perception.evaluation.frame_scores import FrameScores
from depth_perception.evaluation.measured import MeasuredScores, MeasuredTally
from depth_perception.evaluation.metrics import (
    Accuracy,
    DepthMetrics,
    accuracy_by_range,
    depth_metrics,
    mean_metrics,
)
from depth_perception.evaluation.profile import ErrorCounter, ErrorProfile
from depth_perception.evaluation.set_scores import SetScores
from depth_perception.geometry.embodied_depth import Level
from depth_perception.geometry.ground_plane import GroundPlane

LEVELS = (Level.ROAD, Level.GROUND, Level.EXTENDED, Level.SCENE)
ROAD_BINS = ((0.0, 10.0), (10.0, 20.0), (20.0, 40.0), (0.0, 40.0))
CONSISTENT = 0.05
"""Two cameras agree on a point when their depths differ by less than this share."""


@dataclass(frozen=True, eq=False)
class ImageSample:
    """One depth image, read where the LiDAR knows the truth.

    Attributes:
        truth: The points.
        stamp: Time of the image, ns.
        uv: (N, 2) their positions in the depth image, px.
        depth: (N,) true depth along the depth image's own optical axis, metres.
        prediction: (N,) the depth image there; NaN unknown, +Inf beyond range.
        level: (N,) `Level` of the nearest pixel.
        planes: (N,) depth of each plane by name at the exact positions, metres.
        true_planes: (N,) true depth that belongs to ``planes``: along the source image's axis.
        size: (width, height) of the depth image, px.
        measured: (N,) what motion measured there, m; NaN where nothing; None without motion, as are
            the next two.
        measured_sigma: (N,) its relative standard deviation.
        measured_kind: (N,) `frames.measured_kind.Kind`.
        embodied: (N,) embodied depth there, read as the depth image is, where another estimator
            made that; None where it is the depth image itself.
        confidence: (N,) confidence of the nearest pixel, NaN outside of the image; None where there
            is none.
        exact: (N,) exact truth on the depth image's pixels, read as that is; None without.
    """

    truth: LidarTruth
    stamp: int
    uv: NDArray[np.float64]
    depth: NDArray[np.float64]
    prediction: NDArray[np.float64]
    level: NDArray[np.int64]
    planes: Mapping[str, NDArray[np.float64]]
    true_planes: NDArray[np.float64]
    size: tuple[int, int]
    embodied: NDArray[np.float64] | None = None
    measured: NDArray[np.float64] | None = None
    measured_sigma: NDArray[np.float64] | None = None
    measured_kind: NDArray[np.int64] | None = None
    confidence: NDArray[np.float64] | None = None
    exact: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Scores:
    """The seven metrics of one camera, or of all.

    Attributes:
        images: Images with truth.
        metric: As it is.
        median: After each image was scaled by median(D*) / median(D).
        rig: After all images of a frame set were scaled by one such factor.
        scale: Median over images of the per-image factor; 1 when the scale is right.
    """

    images: int
    metric: DepthMetrics
    median: DepthMetrics
    rig: DepthMetrics
    scale: float


@dataclass(frozen=True)
class LevelScores:
    """One level of embodied depth: by itself, and with the levels before it."""

    level: str
    alone: DepthMetrics
    cumulative: DepthMetrics


@dataclass(frozen=True)
class PlaneOffset:
    """How the road fitted to the LiDAR lies against the nominal one, over the scans used.

    ``mean``, ``low`` and ``high`` are (pitch, roll, height): degrees, degrees, metres. Positive
    pitch: the road falls away ahead; positive roll: it falls to the right.
    """

    scans: int
    mean: tuple[float, float, float]
    low: tuple[float, float, float]
    high: tuple[float, float, float]


@dataclass(frozen=True)
class Overlap:
    """How well two cameras agree where LiDAR points show that both see the same thing.

    ``median`` and ``mean`` are of |D_A->B - D_B| / D_B, both directions pooled; ``consistent``
    is the share below 5 %.
    """

    cameras: tuple[str, str]
    count: int
    median: float
    mean: float
    consistent: float


@dataclass(frozen=True)
class StageLatency:
    """Time of one stage per frame set, seconds."""

    stage: str
    p50: float
    p95: float


@dataclass(frozen=True)
class Evaluation:
    """Everything that was measured on one bag.

    ``estimator``, ``provider`` and ``model`` are those of `SurroundResult`.
    ``embodied`` is embodied depth's score on the same points, mean over cameras, metric, and
    ``embodied_cameras`` that of each camera; None and empty with estimator embodied. ``profiles``
    has the spread of errors of the depth image and of embodied depth beside it, ``boundary`` their
    edges at LiDAR points. ``exact`` is None where the bag has no exact truth. Without a LiDAR
    ``lidar`` is empty, ``points`` 0, and what follows from its points is empty, None or NaN.
    ``measured`` is what motion measured, None unless ``motion.enabled``.
    ``sets`` has the obstacle cloud and flicker, against the LiDAR.
    ``error_maps`` has by estimator ("depth image", "embodied depth") and camera where in the image
    depth is wrong, against ``error_map_truth``: exact truth where the bag has it, since it covers
    the image, else the LiDAR.
    ``broken`` says why the bag could not be read to its end; empty where it could.
    """

    bag: str
    estimator: str
    provider: str
    model: str
    lidar: str
    frame_sets: int
    images: int
    points: int
    image_size: dict[str, tuple[int, int]]
    protocol: TruthProtocol
    max_offset: float
    offsets: tuple[float, float]
    moved_by_odometry: bool
    over_images: Scores
    over_cameras: Scores
    cameras: dict[str, Scores]
    embodied: DepthMetrics | None
    embodied_cameras: dict[str, DepthMetrics]
    by_frame: list[FrameScores]
    profiles: dict[str, ErrorProfile]
    levels: list[LevelScores]
    road: dict[str, list[Accuracy]]
    by_depth: list[Accuracy]
    boundary: dict[str, Boundary]
    plane: PlaneOffset | None
    overlap_all: Overlap | None
    overlap: list[Overlap]
    latency: list[StageLatency]
    exact: ExactScores | None
    notes: list[str]
    broken: str = ""
    measured: MeasuredScores | None = None
    sets: SetScores = field(default_factory=SetScores)
    error_maps: dict[str, dict[str, ErrorMap]] = field(default_factory=dict)
    error_map_truth: str = ""

    @property
    def frames(self) -> list[FrameScores]:
        """Scores by frame set: the LiDAR's, or exact truth's where there is none."""
        return self.by_frame or (self.exact.by_frame if self.exact is not None else [])

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON can hold it: NaN and infinity become null."""
        return plain(dataclasses.asdict(self))


def mean_scores(items: Sequence[Scores]) -> Scores:
    """Average scores; each item counts alike."""
    scales = [item.scale for item in items if math.isfinite(item.scale)]
    return Scores(
        images=sum(item.images for item in items),
        metric=mean_metrics(item.metric for item in items),
        median=mean_metrics(item.median for item in items),
        rig=mean_metrics(item.rig for item in items),
        scale=float(np.median(scales)) if scales else math.nan,
    )


def measured_scores(sets: Sequence[Mapping[str, ImageSample]]) -> MeasuredScores | None:
    """Score what motion measured, over the images of all frame sets; None if that is nothing."""
    tally = MeasuredTally()
    for samples in sets:
        for name, s in samples.items():
            tally.add(name, s.depth, s.measured, s.measured_sigma, s.measured_kind)
    scores = tally.scores()
    return scores if scores is not None and scores.all.measured_images else None


def embodied_scores(sets: Sequence[Mapping[str, ImageSample]]) -> dict[str, DepthMetrics]:
    """Score embodied depth beside another estimator's: means over images, by camera."""
    cameras: dict[str, list[DepthMetrics]] = {}
    for samples in sets:
        for name, s in samples.items():
            if s.embodied is not None:
                cameras.setdefault(name, []).append(depth_metrics(s.embodied, s.depth))
    return {name: mean_metrics(items) for name, items in cameras.items()}


def frame_scores(
    frames: Sequence[tuple[int, int]], sets: Sequence[Mapping[str, ImageSample]]
) -> list[FrameScores]:
    """Score each frame set that has truth; ``frames`` are their numbers and stamps, ns."""
    rows = []
    for (frame, stamp), samples in zip(frames, sets, strict=True):
        seen = {name: s for name, s in samples.items() if len(s.depth)}
        images = list(seen.values())
        if not images:
            continue
        metrics = {name: depth_metrics(s.prediction, s.depth) for name, s in seen.items()}
        beside = [depth_metrics(s.embodied, s.depth) for s in images if s.embodied is not None]
        rows.append(
            FrameScores(
                frame,
                stamp,
                len(images),
                mean_metrics(metrics.values()),
                mean_metrics(beside) if beside else None,
                {name: item.abs_rel for name, item in metrics.items()},
            )
        )
    return rows


def add_to_maps(maps: ErrorMaps, camera: str, s: ImageSample) -> None:
    """Count the errors at an image's LiDAR points by their place in the image."""
    if not len(s.depth):
        return
    maps.add("depth image", camera, s.size, s.uv, s.prediction, s.depth)
    if s.embodied is not None:
        maps.add("embodied depth", camera, s.size, s.uv, s.embodied, s.depth)


def error_profiles(
    images: Sequence[ImageSample], edges: Sequence[float]
) -> dict[str, ErrorProfile]:
    """Say how errors at LiDAR points are spread, of the depth image and of embodied depth.

    Args:
        images: What was sampled.
        edges: Ends of the depth bins, metres.
    """
    counters: dict[str, ErrorCounter] = {}
    for s in images:
        counters.setdefault("depth image", ErrorCounter(edges)).add(
            s.prediction, s.depth, s.confidence
        )
        if s.embodied is not None:
            counters.setdefault("embodied depth", ErrorCounter(edges)).add(s.embodied, s.depth)
    return {name: counter.profile() for name, counter in counters.items()}


def level_scores(images: Sequence[ImageSample]) -> list[LevelScores]:
    """Score each level by itself and with those before it; means over images."""

    def over(images: Sequence[ImageSample], low: int, high: int) -> DepthMetrics:
        return mean_metrics(
            depth_metrics(
                np.where((s.level >= low) & (s.level <= high), s.prediction, np.nan), s.depth
            )
            for s in images
        )

    return [
        LevelScores(level.name.lower(), over(images, level, level), over(images, 1, level))
        for level in LEVELS
    ]


def road_scores(images: Sequence[ImageSample]) -> dict[str, list[Accuracy]]:
    """Score road points per range bin: the depth image, its road level, embodied depth, planes.

    Empty without images.
    """
    if not images:
        return {}
    road = [s.truth.road for s in images]
    rows = {
        "depth image": [s.prediction for s in images],
        "depth image, level road": [
            np.where(s.level == Level.ROAD, s.prediction, np.nan) for s in images
        ],
    }
    if all(s.embodied is not None for s in images):
        rows["embodied depth"] = [s.embodied for s in images if s.embodied is not None]
    truths = {name: [s.depth for s in images] for name in rows}
    names = {name: None for s in images for name in s.planes}
    for name in names:
        rows[name] = [s.planes.get(name, np.full(len(s.truth), np.nan)) for s in images]
        truths[name] = [s.true_planes for s in images]

    def pooled(values: Sequence[NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate([v[chosen] for v, chosen in zip(values, road, strict=True)])

    distance = pooled([s.truth.range for s in images])
    return {
        name: accuracy_by_range(pooled(rows[name]), pooled(truths[name]), distance, ROAD_BINS)
        for name in rows
    }


def boundary_scores(images: Sequence[ImageSample]) -> dict[str, Boundary]:
    """Score edges at LiDAR points, pooled over images; without any edge an entry is left out."""
    counts: dict[str, list[NDArray[np.int64]]] = {"depth image": [], "embodied depth": []}
    best = [
        boundary_counts_at_points(s.uv, s.exact, s.depth, s.size)
        for s in images
        if s.exact is not None
    ]
    if len(best) < len(images):  # what some images allow says nothing of all
        best = []
    for s in images:
        counts["depth image"].append(boundary_counts_at_points(s.uv, s.prediction, s.depth, s.size))
        if s.embodied is not None:
            counts["embodied depth"].append(
                boundary_counts_at_points(s.uv, s.embodied, s.depth, s.size)
            )
    pooled = {name: Boundary.of(items, best) for name, items in counts.items()}
    return {name: item for name, item in pooled.items() if item is not None}


def plane_offset(fitted: Sequence[GroundPlane], nominal: GroundPlane) -> PlaneOffset | None:
    """Compare fitted planes with the nominal one; heights at the base frame's origin."""
    if not fitted:
        return None
    rows = np.array(
        [
            (
                math.degrees(plane.pitch - nominal.pitch),
                math.degrees(plane.roll - nominal.roll),
                plane.height / plane.normal[2] - nominal.height / nominal.normal[2],
            )
            for plane in fitted
        ]
    )
    mean, low, high = (tuple(map(float, f(rows, axis=0))) for f in (np.mean, np.min, np.max))
    return PlaneOffset(len(fitted), mean, low, high)  # type: ignore[arg-type]


def overlap_of(cameras: tuple[str, str], difference: NDArray[np.floating]) -> Overlap:
    """Summarise (N,) relative differences of two cameras."""
    if not len(difference):
        return Overlap(cameras, 0, math.nan, math.nan, math.nan)
    return Overlap(
        cameras,
        len(difference),
        float(np.median(difference)),
        float(np.mean(difference)),
        float((difference < CONSISTENT).mean()),
    )


def plain(value: Any) -> Any:
    """Make a value what JSON can hold: NaN and infinity become null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
