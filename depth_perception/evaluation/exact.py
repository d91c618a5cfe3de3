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

"""Exact truth: the depth images that a bag of the synthetic world carries beside its cameras.

In: the bag's truth messages in its order, and the published depth of each image. Out:
`ExactScores`. Truth lies on the pixels of the camera's image, metres along that image's optical
axis, +Inf in the sky and NaN where no ray is; it has the image's stamp.

The protocol:

1. Truth is brought onto the published depth image: pixel by pixel where both are of one camera;
   else each published pixel's ray is projected with the image's camera and read there, as LiDAR
   points are read (`sample_depth`), and its depth turned to the published optical axis.
2. The own body (label 255; without labels the box that LiDAR points leave, too), the ego mask, the
   sky, pixels without a ray and what is beyond the largest depth are left out.
3. Metrics are those of the LiDAR's tables, over images and then over cameras. Road is label 0,
   pooled over all images, by distance from the base frame in x and y. Edges (`boundary`) are
   pooled, too; those of objects before the sky are among them.
4. The obstacle cloud and flicker are scored by frame set (`set_scores`), with every pixel's truth.
5. With ``motion.enabled`` what was measured is scored (`measured`) on all pixels with truth, and
   where the bag has instances and their speeds, on static pixels and on those of things that move.

No extrinsic is used but for the distance of road pixels, so that a wrong mounting shows as an error
of depth. The LiDAR is held against the same truth: `LidarAgreement` is a check of both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets.lidar_truth import LidarTruth, TruthProtocol, fit_road, without_body
from depth_perception.errors import ConfigurationError
from depth_perception.evaluation.boundary import Boundary, boundary_counts, shifted_counts, spacing
from depth_perception.evaluation.error_map import ErrorMaps, pixel_positions
from depth_perception.evaluation.exact_window import ExactImage, ExactWindow
from depth_perception.evaluation.frame_scores import FrameScores
from depth_perception.evaluation.measured import MeasuredScores, MeasuredTally
from depth_perception.evaluation.metrics import (
    DepthMetrics,
    RangeAccuracy,
    covered,
    depth_metrics,
    mean_metrics,
)
from depth_perception.evaluation.profile import ErrorCounter, ErrorProfile, depth_edges
from depth_perception.evaluation.seen_truth import SeenTruth, seen_exactly
from depth_perception.evaluation.set_scores import SetScorer, SetScores, VehicleMotion
from depth_perception.evaluation.truth_grid import OWN_BODY_LABEL, TruthGrid, image_pose
from depth_perception.frames.surround_result import CameraResult, SurroundResult
from depth_perception.geometry.depth_values import is_beyond
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import RigCamera
from depth_perception.geometry.sampling import sample_depth, sample_nearest
from depth_perception.geometry.transforms import inverse, transform_points

ROAD_LABEL = 0

_PIXELS = ("all", "static", "moving", "sky")
"""What measured depth is scored on."""

_ROAD_EVERY = 7
"""Of road pixels, every so many-th is used to fit the ground under obstacles."""

_SKY = 1e6
"""As far as the sky is when measured depth is scored, m: whatever is measured there is wrong."""

EXACT_ROAD_BINS = ((0.0, 10.0), (10.0, 20.0), (20.0, 40.0), (0.0, 40.0))
"""Distances of road pixels, metres."""


@dataclass(frozen=True)
class LidarAgreement:
    """LiDAR depth against exact depth at the LiDAR's pixels, where the surface is smooth; metres.

    Attributes:
        count: Points.
        bias: Median of LiDAR minus exact.
        median: Median of the absolute difference.
        p95: 95 % quantile of the absolute difference.
    """

    count: int
    bias: float
    median: float
    p95: float


@dataclass(frozen=True)
class CameraExact:
    """Scores of one camera, or of all.

    Attributes:
        images: Images with truth.
        metric: Mean over images; over cameras, for all. Nothing is scaled by the truth.
        road: By range, pooled; empty without label images.
        lidar: The check of the truth itself; None without LiDAR points.
        embodied: As ``metric``, of the embodied depth beside another estimator's; None with
            estimator embodied.
        boundary: Edges of the published depth; None without any.
        embodied_boundary: Edges of the embodied depth beside it.
    """

    images: int
    metric: DepthMetrics
    road: list[RangeAccuracy]
    lidar: LidarAgreement | None
    embodied: DepthMetrics | None = None
    boundary: Boundary | None = None
    embodied_boundary: Boundary | None = None


@dataclass(frozen=True)
class ExactScores:
    """What exact truth says: of each camera, of all, of each frame set, and how errors are spread.

    ``profiles`` has the depth image's and, with another estimator than embodied, embodied depth's.
    ``measured`` has what motion measured: ``all`` pixels that have a depth, ``static`` and
    ``moving`` ones where the bag tells them apart, and those of the ``sky``, where all that is
    measured is wrong; empty if nothing was. ``sets`` has the obstacle cloud and flicker.
    """

    cameras: dict[str, CameraExact]
    all: CameraExact
    by_frame: list[FrameScores] = field(default_factory=list)
    profiles: dict[str, ErrorProfile] = field(default_factory=dict)
    measured: dict[str, MeasuredScores] = field(default_factory=dict)
    sets: SetScores = field(default_factory=SetScores)


@dataclass
class _Gathered:
    """What is kept of one camera: a few numbers an image, and a number a LiDAR point."""

    images: list[DepthMetrics] = field(default_factory=list)
    # Number and time of the frame set that each image belongs to.
    frames: list[tuple[int, int]] = field(default_factory=list)
    # Truth, covered, within 5 %, within 10 %, sum of relative errors: a row for each range bin.
    road: NDArray[np.float64] = field(default_factory=lambda: np.zeros((len(EXACT_ROAD_BINS), 5)))
    labelled: bool = False
    lidar: list[NDArray[np.float32]] = field(default_factory=list)
    embodied: list[DepthMetrics] = field(default_factory=list)
    edges: list[NDArray[np.int64]] = field(default_factory=list)
    best_edges: list[NDArray[np.int64]] = field(default_factory=list)
    embodied_edges: list[NDArray[np.int64]] = field(default_factory=list)


class ExactScorer:
    """Scores depth images against exact truth on the way through a bag.

    Attributes:
        maps: Where in the images depth is wrong.
        scored: By camera the true depth (h, w) that the present frame set is scored against, m;
            NaN where nothing is scored.
    """

    def __init__(
        self, window: ExactWindow, protocol: TruthProtocol, measured: bool = False
    ) -> None:
        """Take the truth, and the largest depth and own body's box of the protocol.

        With ``measured`` what motion measured is scored, too.
        """
        self.window, self.protocol = window, protocol
        self._measured = {name: MeasuredTally() for name in _PIXELS} if measured else {}
        self._grids: dict[str, TruthGrid] = {}
        self._gathered: dict[str, _Gathered] = {}
        self._counters: dict[str, ErrorCounter] = {}
        self.maps = ErrorMaps()
        self.scored: dict[str, NDArray[np.float64]] = {}
        self._frame = (1, 0)
        self._sets = SetScorer(protocol)
        self._seen: dict[str, SeenTruth] = {}
        self._ground: GroundPlane | None = None

    def begin(self, number: int, stamp: int) -> None:
        """Name the frame set that the next images belong to: its number, and its time in ns."""
        self._frame = (number, stamp)
        self._seen, self._ground = {}, None
        self.scored = {}

    def depth_of(self, camera: str) -> NDArray[np.float64] | None:
        """Return true depth on the published pixels (h, w) of a camera added since `begin`, m.

        NaN where it is unknown, +Inf in the sky; None without truth of that image.
        """
        seen = self._seen.get(camera)
        return None if seen is None else seen.depth

    def end(self, result: SurroundResult, motion: VehicleMotion) -> None:
        """Score the frame set as a whole, when all of its images were added.

        Args:
            result: Of the pipeline.
            motion: Of the vehicle since the set before.
        """
        self._sets.add(result, self._seen, self._ground or result.ground, motion)

    def add(
        self,
        result: CameraResult,
        source: RigCamera,
        lidar: LidarTruth | None,
        embodied: bool = False,
    ) -> bool:
        """Score one depth image; False when it has no truth.

        Args:
            result: The published depth.
            source: The rig's camera, with the model of its images as they arrive.
            lidar: The LiDAR points that the image shows, if any.
            embodied: Also score the embodied depth beside the published one.
        """
        name = source.name
        size = (source.model.width, source.model.height)
        image = self.window.at(name, result.stamp, size, moving=bool(self._measured))
        if image is None:
            return False
        grid = self._grids.get(name)
        if grid is None or not grid.serves(source, result.camera, result.T_base_camera):
            grid = self._grids[name] = TruthGrid(source, result.camera, result.T_base_camera)
        kept = self._gathered.setdefault(name, _Gathered())
        whole = grid.depth(image.depth)
        truth, points, road, own_body = self._usable(grid, image, whole)
        prediction = np.asarray(result.depth, dtype=np.float64).ravel()
        kept.images.append(depth_metrics(prediction, truth))
        kept.frames.append(self._frame)
        self._count("depth image", prediction, truth, result.confidence.ravel())
        self.scored[name] = truth.reshape(result.depth.shape)
        self._map("depth image", name, result.depth, truth)
        if self._measured:
            self._add_measured(result, truth, is_beyond(whole), grid, image)
        shape = result.depth.shape
        with_sky = np.where(is_beyond(whole), np.inf, truth).reshape(shape)
        step = spacing(shape[1])
        kept.edges.append(boundary_counts(prediction.reshape(shape), with_sky, step))
        kept.best_edges.append(shifted_counts(with_sky, step))
        if embodied:
            kept.embodied.append(depth_metrics(result.embodied.ravel(), truth))
            self._count("embodied depth", result.embodied.ravel(), truth)
            self._map("embodied depth", name, result.embodied, truth)
            kept.embodied_edges.append(boundary_counts(result.embodied, with_sky, step))
        self._seen[name] = seen_exactly(result, points, whole, own_body)
        if self._ground is None:
            self._ground = _ground_of(
                lidar, points[:0] if road is None else points[road], self.protocol
            )
        if road is not None:
            kept.labelled = True
            distance = np.hypot(points[road, 0], points[road, 1])
            kept.road += _road_sums(prediction[road], truth[road], distance)
        if lidar is not None:
            # Both along the axis of the camera's image, at the very position of the point.
            measured = transform_points(inverse(image_pose(source)), lidar.points)[:, 2]
            exact = sample_depth(image.depth, lidar.uv, smooth_only=True)
            difference = (measured - exact)[np.isfinite(exact)]
            kept.lidar.append(difference.astype(np.float32))
        return True

    def _add_measured(
        self,
        result: CameraResult,
        truth: NDArray[np.float64],
        sky: NDArray[np.bool_],
        grid: TruthGrid,
        image: ExactImage,
    ) -> None:
        """Score what motion measured, on static and moving pixels apart where truth knows them.

        The sky is in none of these: it is apart, too.
        """
        chosen = {"all": ~sky, "sky": sky}
        truth = np.where(sky, _SKY, truth)
        if image.moving is not None:
            moving = sample_nearest(image.moving.astype(np.uint8), grid.uv) > 0
            chosen |= {"static": ~moving & ~sky, "moving": moving & ~sky}
        for what, here in chosen.items():
            self._measured[what].add(
                grid.source.name,
                truth[here],
                None if result.measured is None else result.measured.ravel()[here],
                None if result.measured_sigma is None else result.measured_sigma.ravel()[here],
                None if result.measured_kind is None else result.measured_kind.ravel()[here],
            )

    def _map(self, what: str, name: str, depth: NDArray[np.float32], truth: Any) -> None:
        h, w = depth.shape
        self.maps.add(what, name, (w, h), pixel_positions((h, w)), depth.ravel(), truth)

    def _count(self, what: str, prediction: Any, truth: Any, confidence: Any = None) -> None:
        counter = self._counters.get(what)
        if counter is None:
            counter = self._counters[what] = ErrorCounter(depth_edges(self.protocol.max_depth))
        counter.add(prediction, truth, confidence)

    def _usable(
        self, grid: TruthGrid, image: ExactImage, truth: NDArray[np.float64]
    ) -> tuple[
        NDArray[np.float64], NDArray[np.float64], NDArray[np.intp] | None, NDArray[np.bool_]
    ]:
        """Truth on the published pixels and points, NaN where it does not count; road; own body."""
        with np.errstate(invalid="ignore"):
            keep = (truth > 0) & (truth <= self.protocol.max_depth)
        points = grid.points(np.where(keep, truth, np.nan))
        labels = None if image.labels is None else grid.labels(image.labels)
        own = ~without_body(points, self.protocol) if labels is None else labels == OWN_BODY_LABEL
        if grid.source.ego_mask is not None:
            mask = grid.source.ego_mask.astype(np.uint8)
            own |= sample_nearest(mask, grid.uv, outside=1) != 0
        keep &= ~own
        road = None if labels is None else np.flatnonzero(keep & (labels == ROAD_LABEL))
        points[~keep] = np.nan
        return np.where(keep, truth, np.nan), points, road, own

    def finish(self, names: Sequence[str]) -> ExactScores | None:
        """Average what was gathered, cameras in the order of ``names``; None without any truth."""
        kept = {name: self._gathered[name] for name in names if name in self._gathered}
        if not kept:
            return None
        cameras = {name: _camera(item, mean_metrics(item.images)) for name, item in kept.items()}
        everything = _Gathered(
            images=[metrics for item in kept.values() for metrics in item.images],
            road=np.sum([item.road for item in kept.values()], axis=0),
            labelled=any(item.labelled for item in kept.values()),
            lidar=[part for item in kept.values() for part in item.lidar],
            edges=[counts for item in kept.values() for counts in item.edges],
            best_edges=[counts for item in kept.values() for counts in item.best_edges],
            embodied_edges=[counts for item in kept.values() for counts in item.embodied_edges],
        )
        mean = mean_metrics(camera.metric for camera in cameras.values())
        beside = [camera.embodied for camera in cameras.values() if camera.embodied is not None]
        total = _camera(everything, mean)
        if beside:
            total = dataclasses.replace(total, embodied=mean_metrics(beside))
        measured = {
            name: scores
            for name, tally in self._measured.items()
            if (scores := tally.scores()) is not None
        }
        if not any(scores.all.measured_images for scores in measured.values()):
            measured = {}
        return ExactScores(
            cameras,
            total,
            _by_frame(kept),
            {name: counter.profile() for name, counter in self._counters.items()},
            measured,
            self._sets.scores(),
        )

    def notes(self) -> Iterator[str]:
        """Say which images had no usable truth, and why."""
        for reason, count in self.window.left_out.items():
            yield f"exact truth, {count} image{'' if count == 1 else 's'}: {reason}"


def _ground_of(
    lidar: LidarTruth | None, road: NDArray[np.float64], protocol: TruthProtocol
) -> GroundPlane | None:
    """Return the plane of the LiDAR's road, else of the (N, 3) road pixels; None without either."""
    if lidar is not None and lidar.plane is not None:
        return lidar.plane
    try:
        return fit_road(road[np.isfinite(road).all(axis=1)][::_ROAD_EVERY], protocol)
    except ConfigurationError:
        return None


def _by_frame(cameras: Mapping[str, _Gathered]) -> list[FrameScores]:
    frames = sorted({frame for camera in cameras.values() for frame in camera.frames})
    rows = []
    for frame in frames:
        seen = [
            (name, camera, i)
            for name, camera in cameras.items()
            for i, own in enumerate(camera.frames)
            if own == frame
        ]
        images = [(camera, i) for _, camera, i in seen]
        beside = [camera.embodied[i] for camera, i in images if camera.embodied]
        rows.append(
            FrameScores(
                *frame,
                len(images),
                mean_metrics(camera.images[i] for camera, i in images),
                mean_metrics(beside) if beside else None,
                {n: c.images[i].abs_rel for n, c, i in seen},
            )
        )
    return rows


def _road_sums(
    prediction: NDArray[np.float64], truth: NDArray[np.float64], distance: NDArray[np.float64]
) -> NDArray[np.float64]:
    use = covered(prediction, truth)
    relative = np.full(len(truth), np.nan)
    relative[use] = np.abs(prediction[use] - truth[use]) / truth[use]
    rows = []
    for low, high in EXACT_ROAD_BINS:
        chosen = (distance >= low) & (distance < high)
        errors = relative[chosen & use]
        rows.append(
            (chosen.sum(), len(errors), (errors < 0.05).sum(), (errors < 0.10).sum(), errors.sum())
        )
    return np.array(rows, dtype=np.float64)


def _camera(kept: _Gathered, metric: DepthMetrics) -> CameraExact:
    road = []
    for (low, high), (total, count, a5, a10, error) in zip(EXACT_ROAD_BINS, kept.road, strict=True):
        shares = [x / count if count else np.nan for x in (a5, a10, error)]
        coverage = count / total if total else np.nan
        road.append(
            RangeAccuracy(low, high, int(count), int(total), float(coverage), *map(float, shares))
        )
    return CameraExact(
        images=len(kept.images),
        metric=metric,
        road=road if kept.labelled else [],
        lidar=_agreement(np.concatenate(kept.lidar)) if kept.lidar else None,
        embodied=mean_metrics(kept.embodied) if kept.embodied else None,
        boundary=Boundary.of(kept.edges, kept.best_edges),
        embodied_boundary=Boundary.of(kept.embodied_edges, kept.best_edges),
    )


def _agreement(difference: NDArray[np.floating]) -> LidarAgreement | None:
    if not len(difference):
        return None
    median, p95 = np.quantile(np.abs(difference), [0.5, 0.95])
    return LidarAgreement(len(difference), float(np.median(difference)), float(median), float(p95))
