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


"""How good a network is on drives that nobody labelled, by itself and with what motion measures.

In: windows of a drive with what both ways measured alike (`adaptation.recording`). Out: figures
that need no label, and those by LiDAR where the drive has one:

- parallax: mean relative error and share within 10 % where both ways measured alike;
- road: share of the pixels of road that are within 10 % of the ground that was found;
- cameras: median relative difference of what two cameras say of the same place;
- photometric: mean difference of grey, of 1, between an image and the one before, as depth and the
  vehicle's way bring it here; where odometry knows that way;
- confidence: how far what is promised is from what is true, by ten classes of confidence, at those
  pixels (expected calibration error);
- LiDAR: as parallax, at its points up to 80 m.

Each camera of each set counts alike. The references are of the network that was in use before, so
they do not favour the one that is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.adaptation.recording import driven, ground_of
from depth_perception.datasets import labels
from depth_perception.datasets.sample import TrueCamera, TrueFrameSet
from depth_perception.datasets.source import FrameSource
from depth_perception.frames.surround_result import CameraResult, SurroundResult
from depth_perception.geometry.ground_plane import plane_depth
from depth_perception.geometry.transforms import Matrix, inverse
from depth_perception.parameters import Parameters
from depth_perception.pipeline import SurroundPipeline

FARTHEST = 80.0
"""Beyond it nothing is judged, m."""
BEYOND = 200.0
"""Depth that stands for sky where something is, m."""
RIGHT = 0.1
_CLASSES = 10
_STEP = 4
"""Of cameras and images that are compared every so many pixels count."""
_LEAST_POINTS = 50
"""An image with fewer says nothing."""


@dataclass
class Figures:
    """Means over images, and what is promised and true of all their pixels.

    Attributes:
        sums: Of each figure.
        counts: Images that have it.
    """

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    _promised: NDArray[np.float64] = field(default_factory=lambda: np.zeros((3, _CLASSES)))

    def add(self, name: str, value: float) -> None:
        """Take a figure of one image."""
        self.sums[name] = self.sums.get(name, 0.0) + value
        self.counts[name] = self.counts.get(name, 0) + 1

    def promise(self, confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> None:
        """Take what was promised of pixels, and what was true."""
        place = np.minimum((confidence * _CLASSES).astype(np.intp), _CLASSES - 1)
        for row, weights in enumerate((None, confidence, right)):
            self._promised[row] += np.bincount(place, weights, minlength=_CLASSES)

    def result(self) -> dict[str, float]:
        """All figures."""
        out = {name: total / self.counts[name] for name, total in self.sums.items()}
        count, promised, true = self._promised
        if count.sum():
            out["confidence_error"] = float(np.abs(promised - true).sum() / count.sum())
        return out


def judge(
    source: FrameSource,
    windows: Sequence[Sequence[int]],
    taught: Mapping[int, TrueFrameSet],
    references: Mapping[int, Mapping[str, NDArray[Any]]],
    parameters: Parameters,
    check: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Compute windows of a drive as a vehicle would, and compare.

    Args:
        source: The drive.
        windows: Consecutive sets each.
        taught: Sets as they were recorded, by number: for road, sky and ground.
        references: (h, w), m, by number and camera.
        parameters: Of the pipeline, with the network that is judged.
        check: Called between the sets, and may raise.

    Returns:
        Figures by name; those by LiDAR where the drive has one.
    """
    figures = Figures()
    pipeline = SurroundPipeline(parameters)
    try:
        for numbers in windows:
            before: tuple[SurroundResult, Matrix | None] | None = None
            for number, item, result in driven(source, numbers, pipeline):
                check()
                _between_cameras(figures, result)
                pose = item.facts.get("T_odom_base")
                now = (result, None if pose is None else np.array(pose))
                if before is not None:
                    _photometric(figures, now, before)
                before = now
                if number not in taught:
                    continue
                for truth in item.cameras:
                    found = result.cameras.get(truth.name)
                    if found is not None:
                        _by_lidar(figures, found, truth)
                for recorded in taught[number].cameras:
                    found = result.cameras.get(recorded.name)
                    reference = references.get(number, {}).get(recorded.name)
                    if found is not None and reference is not None:
                        _by_drive(figures, found, recorded, taught[number], reference)
    finally:
        pipeline.close()
    return figures.result()


def _errors(
    depth: NDArray[np.floating], truth: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Relative errors of the pixels (n,) that have depth, and which have."""
    with np.errstate(invalid="ignore"):
        known = ~np.isnan(depth) & (truth > 0) & (truth < FARTHEST)
    nearer = np.minimum(depth[known].astype(np.float64), BEYOND)
    true = truth[known].astype(np.float64)
    return np.abs(nearer - true) / true, known


def _by_lidar(figures: Figures, found: CameraResult, truth: TrueCamera) -> None:
    rows, columns = np.nonzero(np.isfinite(truth.depth))
    if len(rows) < _LEAST_POINTS:
        return
    true = truth.depth[rows, columns]
    rays = truth.model.rays()[rows, columns]
    points = (rays * true[:, None]) @ truth.T_base_calibrated[:3, :3].T
    uv = np.rint(found.camera.project(points @ found.T_base_camera[:3, :3]))
    height, width = found.depth.shape
    with np.errstate(invalid="ignore"):
        inside = (uv >= 0).all(axis=1) & (uv[:, 0] < width) & (uv[:, 1] < height)
    u, v = uv[inside].astype(np.intp).T
    error, _ = _errors(found.depth[v, u], true[inside])
    if len(error) >= _LEAST_POINTS:
        figures.add("lidar_abs_rel", float(error.mean()))
        figures.add("lidar_a10", float((error < RIGHT).mean()))


def _by_drive(
    figures: Figures,
    found: CameraResult,
    recorded: TrueCamera,
    taught: TrueFrameSet,
    reference: NDArray[Any],
) -> None:
    if found.depth.shape != reference.shape:
        return
    error, known = _errors(found.depth, reference.astype(np.float32))
    if len(error) >= _LEAST_POINTS:
        figures.add("parallax_abs_rel", float(error.mean()))
        figures.add("parallax_a10", float((error < RIGHT).mean()))
        figures.promise(found.confidence[known], error < RIGHT)
    road = recorded.label == labels.ROAD
    if np.count_nonzero(road) >= _LEAST_POINTS:
        plane = plane_depth(found.camera.rays(), found.T_base_camera, ground_of(taught))
        with np.errstate(invalid="ignore"):
            right = np.abs(found.depth[road] / plane[road] - 1) < RIGHT
        figures.add("road_a10", float(right.mean()))


def _placed(found: CameraResult) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]:
    """Points (n, 3) in the base frame of every `_STEP`-th pixel, m, and their rows and columns."""
    depth = found.depth[::_STEP, ::_STEP]
    rays = found.camera.rays()[::_STEP, ::_STEP]
    with np.errstate(invalid="ignore"):
        rows, columns = np.nonzero((depth > 0) & (depth < FARTHEST) & np.isfinite(rays[..., 0]))
    points = rays[rows, columns] * depth[rows, columns, None]
    T = found.T_base_camera
    return points @ T[:3, :3].T + T[:3, 3], rows * _STEP, columns * _STEP


def _seen_by(
    found: CameraResult, points: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Depth (n,), m, and place (n, 2), px, of base-frame points; which of them the image shows."""
    T = inverse(found.T_base_camera)
    here = points @ T[:3, :3].T + T[:3, 3]
    with np.errstate(invalid="ignore", divide="ignore"):
        uv = found.camera.project(here)
        height, width = found.depth.shape
        inside = (here[:, 2] > 0.1) & (uv >= 0).all(axis=1)
        inside &= (uv[:, 0] <= width - 1) & (uv[:, 1] <= height - 1)
    return here[:, 2], uv, inside


def _between_cameras(figures: Figures, result: SurroundResult) -> None:
    """Compare what two cameras say of the same places."""
    for name, one in result.cameras.items():
        points, _, _ = _placed(one)
        for other, two in result.cameras.items():
            if other == name or not len(points):
                continue
            depth, uv, inside = _seen_by(two, points)
            u, v = np.rint(uv[inside]).astype(np.intp).T
            error, _ = _errors(two.depth[v, u], depth[inside])
            if len(error) >= _LEAST_POINTS:
                figures.add("cameras_apart", float(np.median(error)))


def _photometric(
    figures: Figures,
    now: tuple[SurroundResult, Matrix | None],
    before: tuple[SurroundResult, Matrix | None],
) -> None:
    """Compare each image with the one before it, as depth and the vehicle's way bring it here."""
    (result, pose), (past, past_pose) = now, before
    if pose is None or past_pose is None:
        return
    T_past_now = inverse(past_pose) @ pose
    for name, found in result.cameras.items():
        other = past.cameras.get(name)
        if other is None:
            continue
        points, rows, columns = _placed(found)
        _, uv, inside = _seen_by(other, points @ T_past_now[:3, :3].T + T_past_now[:3, 3])
        if np.count_nonzero(inside) < _LEAST_POINTS:
            continue
        grey, seen = (
            cv2.cvtColor(item.image, cv2.COLOR_BGR2GRAY).astype(np.float32) / 255
            for item in (found, other)
        )
        place = uv[inside].astype(np.float32)[:, None]
        there = cv2.remap(seen, place, None, cv2.INTER_LINEAR)[:, 0]  # type: ignore[call-overload]
        figures.add(
            "photometric", float(np.abs(grey[rows[inside], columns[inside]] - there).mean())
        )
