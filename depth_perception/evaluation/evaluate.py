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

"""Score depth against the LiDAR of a bag, and against exact truth where the bag carries it.

In: an opened bag and a pipeline. Out: `Evaluation`, everything that is known about how good the
depth is, as plain numbers. The truth is `lidar`'s and `exact`'s, the metrics are `metrics`'.

Averages of the seven metrics are over images (each image counts alike), per camera, and over the
cameras. Shares on the road and errors over range are pooled over all points, with their counts:
single images hold few road points per range bin.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets.exact_truth import exact_topics, moving_topics
from depth_perception.datasets.lidar_truth import (
    OFFSET_WITH_ODOMETRY,
    OFFSET_WITHOUT_ODOMETRY,
    LidarTruth,
    ScanWindow,
    TruthProtocol,
    base_motion,
    lidar_truth,
)
from depth_perception.errors import BagError
from depth_perception.evaluation.error_map import ErrorMaps
from depth_perception.evaluation.exact import ExactScorer
from depth_perception.evaluation.exact_window import ExactWindow
from depth_perception.evaluation.metrics import (
    accuracy_by_range,
    depth_metrics,
    mean_metrics,
    median_scale,
    scaled,
)
from depth_perception.evaluation.profile import depth_edges
from depth_perception.evaluation.replay import OdometryFeed, ranges_of
from depth_perception.evaluation.samples import disagreement, image_sample
from depth_perception.evaluation.scores import (
    Evaluation,
    ImageSample,
    Scores,
    StageLatency,
    add_to_maps,
    boundary_scores,
    embodied_scores,
    error_profiles,
    frame_scores,
    level_scores,
    mean_scores,
    measured_scores,
    overlap_of,
    plane_offset,
    road_scores,
)
from depth_perception.evaluation.seen_truth import seen_by_lidar
from depth_perception.evaluation.set_scores import SetScorer, VehicleMotion
from depth_perception.frames.frame_set import CameraFrame, FrameSet
from depth_perception.frames.surround_result import SurroundResult
from depth_perception.geometry.ground_plane import GroundPlane

if TYPE_CHECKING:
    from depth_perception.datasets.bag import BagReader, LidarScan
    from depth_perception.pipeline import SurroundPipeline

Observer = Callable[[int, FrameSet[CameraFrame], SurroundResult, Mapping[str, ImageSample]], None]


@runtime_checkable
class SeesExactTruth(Protocol):
    """An observer that wants exact truth, too."""

    def see_exact_truth(self, depth: Mapping[str, NDArray[np.float64]]) -> None:
        """Take by camera the true depth (h, w) of the set that it is called with next, m."""


def evaluate(
    reader: BagReader,
    pipeline: SurroundPipeline,
    *,
    protocol: TruthProtocol | None = None,
    max_offset: float | None = None,
    frames: int = 0,
    lidar: str | None = None,
    scans: Iterable[LidarScan] | None = None,
    exact: Iterable[tuple[str, int, Any]] | None = None,
    progress: Callable[[Iterable[FrameSet[CameraFrame]]], Iterable[FrameSet[CameraFrame]]] = iter,
    observer: Observer | None = None,
) -> Evaluation:
    """Run the pipeline over a bag and score it.

    Args:
        reader: The opened bag.
        pipeline: What to score. Its first call is repeated, so that latencies are warm.
        protocol: Which LiDAR points count, and how far exact truth does.
        max_offset: Largest time between image and scan, s; None takes 0.25 where odometry covers
            both instants and 0.1 elsewhere.
        frames: Only this many frame sets; 0 for all.
        lidar: Topic of the truth; None takes the bag's first.
        scans: The scans in the order of time; None reads them from the bag.
        exact: (topic, bag time, message) of exact truth in the order of time; None reads them from
            the bag.
        progress: Wraps the iteration over frame sets.
        observer: Called with each frame set's number, images, result and samples.

    Raises:
        BagError: No truth: neither a LiDAR that saw what the images show nor exact depth; or no
            image gave any depth to be scored.
        ConfigurationError: No camera of the rig sees the road.
    """
    pipeline.check_rig(reader.rig)
    topics = exact_topics(reader.topics, reader.rig.names)
    lidar = _truth_topic(reader, lidar, bool(topics))
    motion = pipeline.parameters.motion.enabled
    if topics and motion:
        topics += moving_topics(reader.topics, reader.rig.names)
    with contextlib.ExitStack() as stack:
        # Images and truth are read side by side, each with its own place in the file.
        if scans is None and (lidar or not topics):
            if not reader.lidar_topics:
                raise _no_lidar(reader)
            scans = stack.enter_context(reader.beside()).clouds(lidar)
        if exact is None and topics:
            exact = stack.enter_context(reader.beside()).messages(topics)
        run = _Run(reader, pipeline, protocol or TruthProtocol(), max_offset)
        run.odometry = OdometryFeed(reader, pipeline, stack.enter_context(ranges_of(reader)))
        if scans is not None:
            run.lidar = lidar or ""
        if exact is not None and topics:
            run.exact = ExactScorer(ExactWindow(exact, reader.topics), run.protocol, motion)
        placed = reader.view(lidar or "")
        window = ScanWindow(scans or (), placed, reader.rig.base_frame, run.protocol)
        sets = itertools.islice(reader.frame_sets(), frames or None)
        try:
            for number, frame_set in enumerate(progress(sets)):
                if not frame_set.frames:
                    continue
                result, samples = run.add(number + 1, frame_set, window)
                if isinstance(observer, SeesExactTruth) and run.exact is not None:
                    observer.see_exact_truth(run.exact.scored)
                if observer is not None and result.cameras:
                    observer(number, frame_set, result, samples)
        except BagError as error:  # what lies before the break is whole, and may be hours of work
            if not run.sets:
                raise
            run.broken = str(error)
        return run.finish()


class _Run:
    """What an evaluation gathers on its way through a bag."""

    def __init__(
        self,
        reader: BagReader,
        pipeline: SurroundPipeline,
        protocol: TruthProtocol,
        max_offset: float | None,
    ) -> None:
        self.reader, self.pipeline, self.protocol = reader, pipeline, protocol
        self.max_offset = max_offset
        self.odometry = OdometryFeed(reader, pipeline)
        self.lidar = ""
        self.exact: ExactScorer | None = None
        self.sets: list[dict[str, ImageSample]] = []
        self.frames: list[tuple[int, int]] = []
        self.latencies: list[dict[str, float]] = []
        self.fitted: dict[int, GroundPlane] = {}
        self.overlaps: dict[tuple[str, str], list[NDArray[np.float64]]] = {}
        self.image_size: dict[str, tuple[int, int]] = {}
        self.closest = math.inf
        self.without_truth = 0
        self.moved = True
        self.provider = self.model = ""
        self.computed = False
        self.broken = ""
        self.set_scorer = SetScorer(protocol)
        self.maps = ErrorMaps()

    def add(
        self, number: int, frame_set: FrameSet[CameraFrame], window: ScanWindow
    ) -> tuple[SurroundResult, dict[str, ImageSample]]:
        """Process and score one frame set; the first is number 1."""
        rig = self.reader.rig
        self.odometry.until(frame_set.stamp)
        if not self.sets:
            self.pipeline.process(frame_set, rig)
        started = time.perf_counter()
        result = self.pipeline.process(frame_set, rig)
        total = time.perf_counter() - started
        self.pipeline.warn_of_lost(frame_set, result)
        self.computed |= bool(result.cameras)
        self.latencies.append({**result.latencies, "total": total})
        self.provider, self.model = result.provider, result.model
        beside = result.estimator != "embodied"
        samples: dict[str, ImageSample] = {}
        if self.exact is not None:
            self.exact.begin(number, frame_set.stamp)
        for name, camera in result.cameras.items():
            truth = self._truth(name, camera.stamp, window)
            scored = self.exact is not None and self.exact.add(camera, rig[name], truth, beside)
            if scored or truth is not None:
                self.image_size[name] = (camera.camera.width, camera.camera.height)
            if truth is None:
                self.without_truth += 1
                continue
            if truth.plane is not None and truth.scan not in self.fitted:
                self.fitted[truth.scan] = truth.plane
            planes = self._planes(truth, result)
            pixels = self.exact.depth_of(name) if self.exact is not None else None
            sample = image_sample(camera, truth, planes, rig[name], beside, pixels)
            samples[name] = sample
            add_to_maps(self.maps, name, sample)
        self._overlap(result, samples)
        self._whole(result, samples)
        self.sets.append(samples)
        self.frames.append((number, frame_set.stamp))
        return result, samples

    def _whole(self, result: SurroundResult, samples: Mapping[str, ImageSample]) -> None:
        """Score the frame set as a whole: its obstacle cloud, and flicker since the one before."""
        exact = self.exact is not None
        motion = VehicleMotion(self.reader.odometry, self.pipeline, result, exact)
        seen = {
            name: seen_by_lidar(result.cameras[name], s.truth.points, s.uv, s.depth)
            for name, s in samples.items()
            if len(s.depth)
        }
        planes = (s.truth.plane for s in samples.values())
        ground = next((plane for plane in planes if plane is not None), result.ground)
        self.set_scorer.add(result, seen, ground, motion)
        if self.exact is not None:
            self.exact.end(result, motion)

    def _truth(self, name: str, stamp: int, window: ScanWindow) -> LidarTruth | None:
        scan = window.nearest(stamp)
        if scan is None:
            return None
        motion = base_motion(self.reader.odometry, scan.stamp, stamp)
        offset = (scan.stamp - stamp) * 1e-9
        self.closest = min(self.closest, offset, key=abs)
        limit = self.max_offset
        if limit is None:
            limit = OFFSET_WITHOUT_ODOMETRY if motion is None else OFFSET_WITH_ODOMETRY
        if abs(offset) > limit:
            return None
        self.moved &= motion is not None
        return lidar_truth(self.reader.rig[name], scan, stamp, self.protocol, motion)

    def _planes(self, truth: LidarTruth, result: SurroundResult) -> dict[str, GroundPlane | None]:
        nominal = self.pipeline.ground
        planes: dict[str, GroundPlane | None] = {"nominal plane": nominal}
        if result.ground.source != "nominal":
            planes["estimated plane"] = result.ground
        planes["plane fitted to LiDAR"] = truth.plane
        return planes

    def _overlap(self, result: SurroundResult, samples: Mapping[str, ImageSample]) -> None:
        for pair in itertools.combinations(samples, 2):
            a, b = (samples[name] for name in pair)
            if a.truth.scan != b.truth.scan:
                continue
            _, in_a, in_b = np.intersect1d(
                a.truth.index, b.truth.index, assume_unique=True, return_indices=True
            )
            if not len(in_a):
                continue
            kept = self.overlaps.setdefault((pair[0], pair[1]), [])
            for (one, i, first), (two, j, second) in itertools.permutations(
                ((a, in_a, result.cameras[pair[0]]), (b, in_b, result.cameras[pair[1]]))
            ):
                motion = base_motion(self.reader.odometry, one.stamp, two.stamp)
                kept.append(disagreement(one, i, first, two, j, second, motion))

    def finish(self) -> Evaluation:
        """Average what was gathered."""
        if not self.computed:
            raise self._no_truth()
        images = [sample for samples in self.sets for sample in samples.values()]
        exact = None if self.exact is None else self.exact.finish(self.reader.rig.names)
        exact_maps = {} if self.exact is None else self.exact.maps.maps()
        notes = self._notes()
        if not any(len(sample.depth) for sample in images):
            error = self._no_truth()
            if exact is None:
                raise error
            if self.lidar:
                notes.append(f"scored against exact truth alone: {error}")
            images, self.sets = [], [{} for _ in self.sets]
        per_image = self._scores()
        names = [n for n in self.reader.rig.names if any(name == n for name, _ in per_image)]
        cameras = {name: mean_scores([s for n, s in per_image if n == name]) for name in names}
        every = [np.concatenate(v) for v in self.overlaps.values()]
        offsets = [sample.truth.offset for sample in images]
        edges = depth_edges(self.protocol.max_depth)
        motion = self.pipeline.parameters.motion.enabled
        measured = measured_scores(self.sets) if motion else None
        if motion and measured is None and len(self.sets) > 1:
            notes.append(
                "the vehicle's motion measured nothing: it stood, frame sets are more than 2.5 s"
                " apart, or the images show too little in common (docs/motion.md)"
            )
        embodied = embodied_scores(self.sets)
        depth = _joined([s.depth for s in images])
        return Evaluation(
            bag=self.reader.name,
            estimator=self.pipeline.parameters.estimator,
            provider=self.provider,
            model=self.model,
            lidar=self.lidar,
            frame_sets=len(self.sets),
            images=len(images),
            points=len(depth),
            image_size=self.image_size,
            protocol=self.protocol,
            max_offset=self.max_offset
            or (OFFSET_WITH_ODOMETRY if self.moved else OFFSET_WITHOUT_ODOMETRY),
            offsets=(min(offsets, default=math.nan), max(offsets, default=math.nan)),
            moved_by_odometry=self.moved,
            over_images=mean_scores([scores for _, scores in per_image]),
            over_cameras=mean_scores(list(cameras.values())),
            cameras=cameras,
            embodied=mean_metrics(embodied.values()) if embodied else None,
            embodied_cameras={name: embodied[name] for name in names if name in embodied},
            by_frame=frame_scores(self.frames, self.sets),
            profiles=error_profiles(images, edges),
            levels=level_scores(images),
            road=road_scores(images),
            by_depth=accuracy_by_range(
                _joined([s.prediction for s in images]),
                depth,
                depth,
                list(itertools.pairwise(edges)),
            ),
            boundary=boundary_scores(images),
            plane=plane_offset(list(self.fitted.values()), self.pipeline.ground),
            overlap_all=overlap_of(("all", "pairs"), np.concatenate(every)) if every else None,
            overlap=[
                overlap_of(pair, np.concatenate(v)) for pair, v in sorted(self.overlaps.items())
            ],
            latency=[
                StageLatency(stage, *(float(q) for q in np.quantile(times, [0.5, 0.95])))
                for stage in self.latencies[0]
                for times in [[item[stage] for item in self.latencies]]
            ],
            exact=exact,
            notes=notes,
            broken=self.broken,
            measured=measured,
            sets=self.set_scorer.scores(),
            error_maps=exact_maps or self.maps.maps(),
            error_map_truth="exact truth" if exact_maps else self.lidar,
        )

    def _scores(self) -> list[tuple[str, Scores]]:
        limits = (1e-3, self.protocol.max_depth)
        rows = []
        for samples in self.sets:
            if not samples:
                continue
            predictions = np.concatenate([s.prediction for s in samples.values()])
            truths = np.concatenate([s.depth for s in samples.values()])
            rig_scale = median_scale(predictions, truths)
            for name, s in samples.items():
                scale = median_scale(s.prediction, s.depth)
                scores = Scores(
                    images=1,
                    metric=depth_metrics(s.prediction, s.depth),
                    median=depth_metrics(scaled(s.prediction, scale, limits), s.depth),
                    rig=depth_metrics(scaled(s.prediction, rig_scale, limits), s.depth),
                    scale=scale,
                )
                rows.append((name, scores))
        return rows

    def _notes(self) -> list[str]:
        notes = list(dict.fromkeys([*self.reader.problems, *self.pipeline.warnings]))
        if self.broken:
            notes.append(f"scored is what lies before the bag breaks off: {self.broken}")
        if self.exact is not None:
            notes += self.exact.notes()
        if not self.lidar:
            return [*notes, "no LiDAR: scored against exact truth alone"]
        if self.without_truth:
            notes.append(
                f"{self.without_truth} images had no scan within the time limit and are left out"
            )
        if not self.moved:
            notes.append(
                "odometry does not cover every image and scan: there, points were not moved from"
                " the scan's instant to the image's"
            )
        if not self.fitted:
            notes.append("no scan showed a road that a plane could be fitted to: no road scores")
        if len(self.reader.lidar_topics) > 1:
            notes.append(
                f"truth is {self.lidar}; other clouds: "
                + ", ".join(t for t in self.reader.lidar_topics if t != self.lidar)
            )
        return notes

    def _why(self) -> str:
        """Return the first problem of the LiDAR that was met, for an error."""
        found = [text for text in self.reader.problems if text.startswith(self.lidar)]
        return f" ({found[0]})" if found else ""

    def _no_truth(self) -> BagError:
        if not self.sets:
            return BagError(
                f"bag '{self.reader.path}' has no frame set",
                expected="images of the cameras " + ", ".join(self.reader.rig.names),
                fix="run 'depth_perception inspect' on it",
            )
        if not self.computed:
            why = "; ".join(self.pipeline.warnings[-1:])
            return BagError(
                f"no frame set of bag '{self.reader.path}' gave any depth" + (why and f": {why}"),
                fix="" if why else "run 'depth_perception inspect' on it",
            )
        if self.broken:
            return BagError(self.broken)
        if not self.lidar:
            found = [*self.reader.problems, *(self.exact.notes() if self.exact else [])]
            why = "".join(f"; {text}" for text in found[-1:])
            return BagError(
                f"bag '{self.reader.path}' has no LiDAR, and no image has exact truth{why}",
                expected="a sensor_msgs/PointCloud2 topic, or depth with the images' stamps",
                fix="record the LiDAR with the cameras, or make the bag anew",
            )
        if not math.isfinite(self.closest):
            return BagError(
                f"bag '{self.reader.path}': {self.lidar} has no usable scan{self._why()}",
                expected="at least one",
                fix="record the LiDAR with the cameras, or choose another topic with --lidar",
            )
        if any(self.sets):
            return BagError(
                f"bag '{self.reader.path}': no point of {self.lidar} falls into an image"
                + self._why(),
                expected="LiDAR points in front of the cameras",
                fix="check the transforms of LiDAR and cameras ('depth_perception inspect'), or"
                " choose another topic with --lidar",
            )
        limit = self.max_offset or (
            OFFSET_WITH_ODOMETRY if self.reader.odometry else OFFSET_WITHOUT_ODOMETRY
        )
        return BagError(
            f"bag '{self.reader.path}': the scan of {self.lidar} nearest to any image is"
            f" {self.closest:+.3f} s away",
            expected=f"at most {limit} s",
            fix="check that cameras and LiDAR stamp with the same clock, or raise --max-offset",
        )


def _truth_topic(reader: BagReader, lidar: str | None, exact: bool) -> str | None:
    """Return the topic of the truth, the bag's first when None; None where there is none.

    Raises:
        BagError: It would be the one that depth is measured with.
    """
    taken = reader.range_topic
    others = [topic for topic in reader.lidar_topics if topic != taken]
    if taken and (lidar == taken or (not lidar and reader.lidar_topics and not others)):
        if not lidar and exact:
            return None
        raise BagError(
            f"depth would be scored against {taken} (motion.range_topic), with which it is"
            " measured",
            expected="another LiDAR topic as truth; there are "
            + (", ".join(others) or "no others"),
            fix="choose another with --lidar, or set motion.range_topic to ''",
        )
    return lidar or next(iter(others), None)


def _no_lidar(reader: BagReader) -> BagError:
    return BagError(
        f"bag '{reader.path}' has no LiDAR to score depth against",
        expected="a sensor_msgs/PointCloud2 topic; there are "
        + (", ".join(sorted(reader.topics)) or "no topics"),
        fix="record the LiDAR with the cameras, or use 'depth_perception replay'",
    )


def _joined(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate([np.zeros(0), *parts])
