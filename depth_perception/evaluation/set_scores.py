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

"""Scores of whole frame sets: the obstacle cloud, and flicker from one set to the next.

In: result and truth of one frame set after the other. Out: `SetScores`, of the published depth and
of embodied depth beside it. One `SetScorer` for each kind of truth, LiDAR and exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets.lidar_truth import TruthProtocol, base_motion
from depth_perception.evaluation.flicker import LONGEST_GAP_S, FlickerScores, FlickerTally, changes
from depth_perception.evaluation.obstacles import (
    ObstacleScores,
    are_obstacles,
    obstacle_counts,
    where_truth_could_tell,
)
from depth_perception.evaluation.seen_truth import SeenTruth
from depth_perception.frames.surround_result import SurroundResult
from depth_perception.geometry.cloud import back_project
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.transforms import Matrix
from depth_perception.motion.ego_motion import moved_by, stretched
from depth_perception.pipeline import SurroundPipeline

FIELDS = {"depth image": "depth", "embodied depth": "embodied"}
"""Names of scores, and fields of `CameraResult`."""


@dataclass(frozen=True)
class SetScores:
    """What frame sets as a whole score: by name, ``depth image`` and ``embodied depth`` beside it.

    Attributes:
        obstacles: The obstacle cloud; an entry without any point is left out.
        flicker: From set to set, of what stands still; likewise.
        flicker_motion: Whence the motion for it: ``odometry``, ``estimated`` (``motion.enabled``),
            both, or empty.
        flicker_missing: Why there is no flicker; empty where there is.
    """

    obstacles: dict[str, ObstacleScores] = field(default_factory=dict)
    flicker: dict[str, FlickerScores] = field(default_factory=dict)
    flicker_motion: str = ""
    flicker_missing: str = ""


class SetScorer:
    """Scores frame sets in the order of time; keeps counts and the last set."""

    def __init__(self, protocol: TruthProtocol) -> None:
        """Take the own body's box of the protocol."""
        self._protocol = protocol
        self._obstacles: dict[str, list[NDArray[np.int64]]] = {}
        self._flicker: dict[str, FlickerTally] = {}
        self._last: Mapping[str, SeenTruth] = {}
        self._sets = self._twice = 0
        self._gaps: list[float] = []
        self._sources: dict[str, None] = {}

    def add(
        self,
        result: SurroundResult,
        seen: Mapping[str, SeenTruth],
        ground: GroundPlane,
        motion: VehicleMotion,
    ) -> None:
        """Score a frame set.

        Args:
            result: Of the pipeline.
            seen: Truth by camera.
            ground: Heights of obstacles are above it.
            motion: Of the vehicle since the set before.
        """
        self._sets += bool(seen)
        if seen:
            self._add_obstacles(result, seen, ground)
        fields = _fields_of(result)
        for name, now in seen.items():
            before = self._last.get(name)
            if before is None:
                continue
            self._twice += 1
            seconds = (now.result.stamp - before.result.stamp) * 1e-9
            self._gaps.append(seconds)
            if not 0 < seconds <= LONGEST_GAP_S:
                continue
            found = motion.between(before.result.stamp, now.result.stamp)
            if found is None:
                continue
            T, source = found
            self._sources[source] = None
            compared = changes(before, now, T, tuple(fields.values()))
            for called, which in fields.items():
                self._flicker.setdefault(called, FlickerTally()).add(compared[which], seconds)
        self._last = {name: item.without_points() for name, item in seen.items()}

    def _add_obstacles(
        self, result: SurroundResult, seen: Mapping[str, SeenTruth], ground: GroundPlane
    ) -> None:
        truth = np.concatenate([item.points for item in seen.values()])
        for called, which in _fields_of(result).items():
            points = _cloud(result, which)
            # Most points are road, or far away: not to be looked for in each camera.
            points = points[are_obstacles(points, ground, self._protocol)]
            tested = where_truth_could_tell(points, seen, which)
            counts = obstacle_counts(points, tested, truth, ground, self._protocol)
            self._obstacles.setdefault(called, []).append(counts)

    def scores(self) -> SetScores:
        """Return what was counted."""
        obstacles = {name: ObstacleScores.of(counts) for name, counts in self._obstacles.items()}
        flicker = {name: tally.scores() for name, tally in self._flicker.items()}
        return SetScores(
            {name: item for name, item in obstacles.items() if item is not None},
            {name: item for name, item in flicker.items() if item is not None},
            " and ".join(self._sources),
            "" if any(item is not None for item in flicker.values()) else self._why(),
        )

    def _why(self) -> str:
        if self._sets < 2:
            return "a single frame set with truth cannot flicker"
        if not self._twice:
            return "no camera has truth in two frame sets in a row"
        shortest = min(self._gaps, default=math.inf)
        if shortest > LONGEST_GAP_S:
            return (
                f"frame sets are {shortest:.1f} s apart; what is seen more than {LONGEST_GAP_S:g} s"
                " later is not compared"
            )
        if not self._sources:
            return (
                "how the vehicle moved between frame sets is not known: no odometry covers them"
                " (motion.odometry_topic), and motion.enabled estimated nothing"
            )
        return "no surface was seen by truth in two frame sets in a row where it stood still"


class VehicleMotion:
    """The vehicle's motion between two images of consecutive frame sets, and whence it is known.

    Of a bag with exact truth odometry is taken first, which is exact there too; else what
    `motion.enabled` estimated, which the images made exact, goes before odometry.
    """

    def __init__(
        self,
        odometry: list[tuple[int, Matrix]],
        pipeline: SurroundPipeline,
        result: SurroundResult,
        exact: bool,
    ) -> None:
        """Take what is known right after a frame set was processed."""
        self._odometry, self._exact = odometry, exact
        self._step: tuple[float, Matrix] | None = None
        if pipeline.parameters.motion.enabled and pipeline.motion is not None:
            step = pipeline.motion.ego.step
            factor = result.motion.length_factor if result.motion is not None else math.nan
            if step is not None:
                longer = factor if math.isfinite(factor) else 1.0
                self._step = (step[0], stretched(step[1], longer))

    def between(self, before: int, now: int) -> tuple[Matrix, str] | None:
        """Return T_now_before of the base frame at two instants (ns), and its source; or None."""
        by_odometry = base_motion(self._odometry, before, now)
        if by_odometry is not None and (self._exact or self._step is None):
            return by_odometry, "odometry"
        if self._step is None:
            return None
        return moved_by(self._step, (now - before) * 1e-9), "estimated"


def _fields_of(result: SurroundResult) -> dict[str, str]:
    """Return what is scored: embodied depth apart where another estimator makes the depth."""
    return {k: v for k, v in FIELDS.items() if v == "depth" or result.estimator != "embodied"}


def _cloud(result: SurroundResult, which: str) -> NDArray[np.float64]:
    """Return (N, 3) points: the published cloud, or all of embodied depth."""
    points = result.points
    if which != "depth" or points is None:
        cameras = list(result.cameras.values())
        depths = [np.asarray(getattr(item, which), dtype=np.float32) for item in cameras]
        points = back_project(
            [item.camera for item in cameras],
            [item.T_base_camera for item in cameras],
            depths,
            [item.image for item in cameras],
            [np.ones_like(depth) for depth in depths],
        )
    return np.stack([points[axis] for axis in "xyz"], axis=1).astype(np.float64)
