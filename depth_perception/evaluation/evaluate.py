"""Score depth against the LiDAR of a bag.

In: an opened bag and a pipeline. Out: `Evaluation`, everything that is known about how good the
depth is, as plain numbers. The truth is `lidar`'s, the metrics are `metrics`'.

Averages of the seven metrics are over images (each image counts alike), per camera, and over the
cameras. Shares on the road and errors over range are pooled over all points, with their counts:
single images hold few road points per range bin.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import BagError
from depth_perception.evaluation.lidar import (
    OFFSET_WITH_ODOMETRY,
    OFFSET_WITHOUT_ODOMETRY,
    LidarTruth,
    ScanWindow,
    TruthProtocol,
    base_motion,
    lidar_truth,
    plane_depth_at,
)
from depth_perception.evaluation.metrics import (
    accuracy_by_range,
    depth_metrics,
    median_scale,
    sample_depth,
    sample_nearest,
    scaled,
)
from depth_perception.evaluation.scores import (
    DEPTH_EDGES,
    Evaluation,
    ImageSample,
    Scores,
    StageLatency,
    level_scores,
    mean_scores,
    overlap_of,
    plane_offset,
    road_scores,
)
from depth_perception.frame_set import FrameSet
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import RigCamera
from depth_perception.geometry.transforms import Matrix, inverse, transform_points
from depth_perception.surround_result import CameraResult, SurroundResult

if TYPE_CHECKING:
    from depth_perception.datasets.bag import BagReader, LidarScan
    from depth_perception.pipeline import SurroundPipeline

Observer = Callable[[int, FrameSet, SurroundResult, Mapping[str, ImageSample]], None]


def evaluate(
    reader: BagReader,
    pipeline: SurroundPipeline,
    *,
    protocol: TruthProtocol | None = None,
    max_offset: float | None = None,
    frames: int = 0,
    lidar: str | None = None,
    scans: Iterable[LidarScan] | None = None,
    progress: Callable[[Iterable[FrameSet]], Iterable[FrameSet]] = iter,
    observer: Observer | None = None,
) -> Evaluation:
    """Run the pipeline over a bag and score it.

    Args:
        reader: The opened bag.
        pipeline: What to score. Its first call is repeated, so that latencies are warm.
        protocol: Which LiDAR points count.
        max_offset: Largest time between image and scan, s; None takes 0.25 where odometry covers
            both instants and 0.1 elsewhere.
        frames: Only this many frame sets; 0 for all.
        lidar: Topic of the truth; None takes the bag's first.
        scans: The scans in the order of time; None reads them from the bag.
        progress: Wraps the iteration over frame sets.
        observer: Called with each frame set's number, images, result and samples.

    Raises:
        BagError: No LiDAR, or none at the time of the images.
    """
    if scans is None:
        if not reader.lidar_topics:
            raise BagError(
                f"bag '{reader.path}' has no LiDAR to score depth against",
                expected="a sensor_msgs/PointCloud2 topic; there are "
                + (", ".join(sorted(reader.topics)) or "no topics"),
                fix="record the LiDAR with the cameras, or use 'depth_perception replay'",
            )
        from depth_perception.datasets.bag import BagReader as Reader

        # Images and scans are read side by side: two readers, each with its own place in the file.
        with Reader(reader.path, reader.parameters) as beside:
            beside.problems = reader.problems  # one list: what is wrong with a scan is reported too
            return evaluate(
                reader, pipeline, protocol=protocol, max_offset=max_offset, frames=frames,
                lidar=lidar, scans=beside.clouds(lidar), progress=progress, observer=observer,
            )  # fmt: skip
    run = _Run(reader, pipeline, protocol or TruthProtocol(), max_offset)
    run.lidar = lidar or next(iter(reader.lidar_topics), "")
    window = ScanWindow(scans, reader.tree, reader.rig.base_frame, run.protocol)
    sets = itertools.islice(reader.frame_sets(), frames or None)
    for number, frame_set in enumerate(progress(sets)):
        if not frame_set.frames:
            continue
        result, samples = run.add(frame_set, window)
        if observer is not None:
            observer(number, frame_set, result, samples)
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
        self.lidar = ""
        self.sets: list[dict[str, ImageSample]] = []
        self.latencies: list[dict[str, float]] = []
        self.fitted: dict[int, GroundPlane] = {}
        self.overlaps: dict[tuple[str, str], list[NDArray[np.float64]]] = {}
        self.image_size: dict[str, tuple[int, int]] = {}
        self.closest = math.inf
        self.without_truth = 0
        self.moved = True
        self.provider = ""

    def add(
        self, frame_set: FrameSet, window: ScanWindow
    ) -> tuple[SurroundResult, dict[str, ImageSample]]:
        """Process and score one frame set."""
        rig = self.reader.rig
        if not self.sets:
            self.pipeline.process(frame_set, rig)
        started = time.perf_counter()
        result = self.pipeline.process(frame_set, rig)
        total = time.perf_counter() - started
        self.latencies.append({**result.latencies, "total": total})
        self.provider = result.provider
        samples: dict[str, ImageSample] = {}
        for name, camera in result.cameras.items():
            truth = self._truth(name, camera.stamp, window)
            if truth is None:
                self.without_truth += 1
                continue
            if truth.plane is not None and truth.scan not in self.fitted:
                self.fitted[truth.scan] = truth.plane
            samples[name] = _sample(camera, truth, self._planes(truth, result), rig[name])
            self.image_size[name] = (camera.camera.width, camera.camera.height)
        self._overlap(result, samples)
        self.sets.append(samples)
        return result, samples

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
                kept.append(_disagreement(one, i, first, two, j, second, motion))

    def finish(self) -> Evaluation:
        """Average what was gathered."""
        images = [sample for samples in self.sets for sample in samples.values()]
        if not images or not any(len(sample.depth) for sample in images):
            raise self._no_truth()
        names = [name for name in self.reader.rig.names if name in self.image_size]
        per_image = self._scores()
        cameras = {name: mean_scores([s for n, s in per_image if n == name]) for name in names}
        every = [np.concatenate(v) for v in self.overlaps.values()]
        offsets = [sample.truth.offset for sample in images]
        far = min(self.protocol.max_depth, DEPTH_EDGES[-1])
        edges = [e for e in DEPTH_EDGES if e < far] + [far]
        depth = np.concatenate([s.depth for s in images])
        return Evaluation(
            bag=self.reader.name,
            estimator=self.pipeline.parameters.estimator,
            provider=self.provider,
            lidar=self.lidar,
            frame_sets=len(self.sets),
            images=len(images),
            points=len(depth),
            image_size=self.image_size,
            protocol=self.protocol,
            max_offset=self.max_offset
            or (OFFSET_WITH_ODOMETRY if self.moved else OFFSET_WITHOUT_ODOMETRY),
            offsets=(min(offsets), max(offsets)),
            moved_by_odometry=self.moved,
            over_images=mean_scores([scores for _, scores in per_image]),
            over_cameras=mean_scores(list(cameras.values())),
            cameras=cameras,
            levels=level_scores(images),
            road=road_scores(images),
            by_depth=accuracy_by_range(
                np.concatenate([s.prediction for s in images]), depth, depth,
                list(itertools.pairwise(edges)),
            ),
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
            notes=self._notes(),
        )  # fmt: skip

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
        notes = list(self.reader.problems)
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


def _sample(
    result: CameraResult,
    truth: LidarTruth,
    planes: Mapping[str, GroundPlane | None],
    camera: RigCamera,
) -> ImageSample:
    """Read a depth image where the LiDAR knows the truth: exact for every camera model.

    Points are projected with the depth image's own camera and pose, which differ from the source
    image's by resizing and rectification.
    """
    in_view = transform_points(inverse(result.T_base_camera), truth.points)
    uv = result.camera.project(in_view)
    unknown = np.full(len(truth), np.nan)
    return ImageSample(
        truth=truth,
        stamp=result.stamp,
        uv=uv,
        depth=in_view[:, 2],
        prediction=sample_depth(result.depth, uv),
        level=sample_nearest(result.level, uv),
        planes={
            name: unknown
            if plane is None
            else plane_depth_at(truth.points, camera.T_base_camera, plane)
            for name, plane in planes.items()
        },
        true_planes=truth.depth,
    )


def _disagreement(
    one: ImageSample,
    i: NDArray[np.intp],
    first: CameraResult,
    two: ImageSample,
    j: NDArray[np.intp],
    second: CameraResult,
    motion: Matrix | None,
) -> NDArray[np.float64]:
    """|D_A->B - D_B| / D_B at common points: what A sees, looked at from B.

    Args:
        one: Samples of camera A.
        i: Places of the common points in it.
        first: Result of camera A.
        two: Samples of camera B.
        j: Places of the same points in it.
        second: Result of camera B.
        motion: Of the base frame from A's instant to B's, None without.
    """
    known = np.isfinite(one.prediction[i]) & np.isfinite(two.prediction[j])
    i, j = i[known], j[known]
    rays = transform_points(inverse(first.T_base_camera), one.truth.points[i])
    seen = transform_points(first.T_base_camera, rays / rays[:, 2:] * one.prediction[i][:, None])
    if motion is not None:
        seen = transform_points(motion, seen)
    from_b = transform_points(inverse(second.T_base_camera), seen)[:, 2]
    expected = two.prediction[j]
    return np.abs(from_b - expected) / expected
