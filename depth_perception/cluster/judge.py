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

"""One bag scored: the task of ``evaluate --cluster``, and all that is kept of it.

In: a bag and how to score it. Out: `BagResult`: what ``evaluate`` gives of that bag without Ray, to
the last digit but its times; scores by frame set and camera; and the pictures of its worst set.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depth_perception import __version__
from depth_perception.cluster.bags import Bag, fetched, identity
from depth_perception.cluster.parts import Place, gathered_pipeline
from depth_perception.cluster.tables import bag_rows, camera_rows, frame_rows
from depth_perception.datasets.bag import BagReader
from depth_perception.datasets.lidar_truth import TruthProtocol
from depth_perception.errors import ConfigurationError
from depth_perception.evaluation.evaluate import evaluate
from depth_perception.evaluation.metrics import depth_metrics
from depth_perception.evaluation.panels import errors
from depth_perception.evaluation.pictures import depth_mosaic, encoded, input_mosaic
from depth_perception.evaluation.scores import ImageSample
from depth_perception.frames.frame_set import CameraFrame, FrameSet
from depth_perception.frames.surround_result import SurroundResult
from depth_perception.parameters import Parameters

FORMAT = 1
"""Goes up when results change although neither the package's code nor the question does."""

PICTURE_WIDTH = 960
"""Of the pictures of a bag's worst frame set, px: a report shows those of ten bags."""

_BESIDE = ("cli", "cluster", "adaptation", "training", "world", "benchmarks", "nodes", "ros")
"""Rooms that no score depends on."""


@dataclass(frozen=True)
class Question:
    """How bags are scored; the arguments of ``evaluate``.

    Attributes:
        parameters: Of the pipeline.
        max_depth: Farthest truth, m.
        max_offset: Largest time between image and scan, s; None as `evaluate`.
        lidar: Topic of the truth; None as `evaluate`.
        frames: At most so many frame sets of each bag; 0 for all.
        part: A bag of more frame sets is computed in parts of so many, where no part needs what
            came before it; 0 for never.
    """

    parameters: Parameters
    max_depth: float = 80.0
    max_offset: float | None = None
    lidar: str | None = None
    frames: int = 0
    part: int = 0


@dataclass(frozen=True)
class Job:
    """A bag and a question, as a task gets them.

    Attributes:
        bag: The bag.
        key: What the result depends on, hashed; see `key_of`.
        question: How it is scored.
        place: Where the bag is found, and what a task may use.
        version: Of the package that asks.
    """

    bag: Bag
    key: str
    question: Question
    place: Place
    version: str = __version__


@dataclass(frozen=True)
class BagPicture:
    """One picture of a bag's worst frame set: caption, what it shows in words, JPEG."""

    caption: str
    words: str
    jpeg: bytes


@dataclass(frozen=True)
class BagResult:
    """What is known of one bag.

    Attributes:
        bag: Its name.
        address: Where it lies.
        key: See `Job`.
        seconds: Time that the task took.
        node: Machine that it ran on.
        evaluation: `Evaluation.to_dict`.
        scores: See `tables.bag_rows`.
        cameras: See `tables.camera_rows`.
        frames: See `tables.frame_rows`.
        worst: Number of its worst frame set, from 1; 0 without any.
        pictures: Of that.
    """

    bag: str
    address: str
    key: str
    seconds: float
    node: str
    evaluation: dict[str, Any]
    scores: list[dict[str, Any]]
    cameras: list[dict[str, Any]]
    frames: list[dict[str, Any]]
    worst: int = 0
    pictures: list[BagPicture] = field(default_factory=list)


def judge(job: Job) -> BagResult:
    """Score a bag.

    Raises:
        DepthPerceptionError, OSError: As `evaluate`, and as `bags.fetched`.
        ConfigurationError: This machine has another version of the package.
    """
    if job.version != __version__:
        raise ConfigurationError(
            f"depth_perception {__version__} is installed on {os.uname().nodename}",
            expected=f"{job.version}, as where the command was started",
            fix="install the same version on all machines",
        )
    started = time.perf_counter()
    asked, parameters = job.question, job.question.parameters
    with (
        fetched(job.place.address, job.place.cache) as path,
        BagReader(path, parameters) as reader,
        gathered_pipeline(reader, job.place, parameters, asked.frames, asked.part) as pipeline,
    ):
        watch = SetWatch()
        evaluation = evaluate(
            reader,
            pipeline,
            protocol=TruthProtocol(
                max_depth=asked.max_depth, ground_height=parameters.ground.height
            ),
            max_offset=asked.max_offset,
            frames=asked.frames,
            lidar=asked.lidar,
            observer=watch,
        )
    return BagResult(
        bag=job.bag.name,
        address=job.bag.address,
        key=job.key,
        seconds=time.perf_counter() - started,
        node=os.uname().nodename,
        evaluation=evaluation.to_dict(),
        scores=bag_rows(evaluation),
        cameras=camera_rows(evaluation),
        frames=frame_rows(evaluation, watch.rows),
        worst=watch.number,
        pictures=watch.pictures(asked.max_depth),
    )


class SetWatch:
    """Scores each frame set and camera while an evaluation runs, and holds on to the worst set.

    Attributes:
        rows: A row for each frame set, camera and estimator.
        number: Of the worst set, from 1; 0 so far.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.number = 0
        self._error = -math.inf
        self._worst: tuple[SurroundResult, Mapping[str, ImageSample]] | None = None

    def __call__(
        self,
        number: int,
        frame_set: FrameSet[CameraFrame],
        result: SurroundResult,
        samples: Mapping[str, ImageSample],
    ) -> None:
        """Take one frame set; the first is number 0."""
        errors_of_images = []
        for name, sample in samples.items():
            estimators = {result.estimator: sample.prediction}
            if sample.embodied is not None:
                estimators["embodied"] = sample.embodied
            for estimator, depth in estimators.items():
                scores = dataclasses.asdict(depth_metrics(depth, sample.depth))
                self.rows.append(
                    {
                        "number": number + 1,
                        "stamp": sample.stamp,
                        "camera": name,
                        "estimator": estimator,
                        **scores,
                    }
                )
                if estimator == result.estimator and math.isfinite(scores["abs_rel"]):
                    errors_of_images.append(scores["abs_rel"])
        # Of a bag without a LiDAR, that its first set stands for it.
        error = sum(errors_of_images) / len(errors_of_images) if errors_of_images else -1.0
        if error > self._error:
            # Drawn at the end, once: a drive that gets worse and worse would be drawn set by set.
            self._error, self.number, self._worst = error, number + 1, (result, samples)

    def pictures(self, max_depth: float) -> list[BagPicture]:
        """Draw the worst set; colours reach to ``max_depth`` metres."""
        if self._worst is None:
            return []
        result, samples = self._worst
        of = "of " + ", ".join(result.cameras)
        made = [
            ("What the cameras see", f"Images {of}.", input_mosaic(result, PICTURE_WIDTH)),
            (
                "Depth: warm is near, cold is far",
                f"Depth images {of} in colour, from red at 2 m to blue at {max_depth:.0f} m.",
                depth_mosaic(result, max_depth, PICTURE_WIDTH),
            ),
        ]
        if samples:
            made.append(
                (
                    "Error at every LiDAR point: blue is too near, red too far, pale is right",
                    "Images of " + ", ".join(samples) + " with a dot at each LiDAR point in the"
                    " colour of its relative error.",
                    errors(result, samples, PICTURE_WIDTH),
                )
            )
        return [BagPicture(caption, words, encoded(p, 80)) for caption, words, p in made]


def key_of(bag: Bag, question: Question, code: str) -> str:
    """Hash all that a bag's result depends on: its files, the question, the package.

    Args:
        bag: The bag.
        question: How it is scored.
        code: See `code_digest`.

    Raises:
        BagError: The bag is not there.
    """
    asked = {k: v for k, v in dataclasses.asdict(question).items() if k != "part"}
    text = json.dumps([FORMAT, code, identity(bag), asked], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def code_digest(parameters: Parameters) -> str:
    """Hash the package's code and networks, and the files that the parameters name."""
    top = Path(__file__).parents[1]
    files = [
        path
        for path in sorted(top.rglob("*"))
        if path.suffix in (".py", ".onnx", ".yaml")
        and path.relative_to(top).parts[0] not in _BESIDE
    ]
    digest = hashlib.sha256(__version__.encode())
    for path in files:
        digest.update(str(path.relative_to(top)).encode() + path.read_bytes())
    for named in _texts(dataclasses.asdict(parameters)):
        path = Path(os.path.expanduser(named))
        if named and path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _texts(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []
