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

"""What a training run does, as a YAML file in config/training says it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from depth_perception.errors import ConfigurationError
from depth_perception.network.configuration import NetworkConfiguration


@dataclass(frozen=True)
class DataConfiguration:
    """Where images come from and what is done to them.

    Attributes:
        folders: Data sets, see `datasets.source.open_source`: folders that
            `depth_perception world --dataset` made, relative to the place that the command is run
            from, or drives of other formats.
        validation: Such a data set that is not trained on; empty: none.
        tests: More such data, to be scored with the validation, such as real drives.
        sizes: (width, height) of training images, px, multiples of 32; drawn for each batch.
        crop: (least, most) share of an image's width that is kept.
        prior_drop: Share of images whose calibration is taken away.
        pitch_error: Usual standard deviation of an added error of pitch and roll, degrees.
        large_error: Standard deviation of the rarer, large one, degrees.
        large_share: Share of images that have the large one.
        appearance: How much light and colour are changed: 1 is that of `augmentation.Augmentation`.
        style_mix: Share of batches in which pictures take one another's style, see
            `systems.fused.style`.
        height_error: Standard deviation of an added relative error of the camera's height.
        measured_drop: Share of images whose measured depth is taken away.
        measured_thin: Share of images of whose measured depth only a part stays.
        measured_corrupt: Share of images of whose measured depth some is made wrong.
        workers: Processes that load images.
        looks: Of the fused network, where its image encoder does not learn (`schedule.trunk_rate`
            0): so many changed views of each image are kept with its features, see
            `systems.fused.looks`; 0: none.
        looks_folder: Where they are kept, about 6 bytes for each pixel of each look.
        feature_mix: With looks: share of images whose features take the style of another's.
        feature_drop: With looks: share of images a part of whose features is missing.
    """

    folders: tuple[str, ...] = ()
    validation: str = ""
    tests: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ((288, 160),)
    crop: tuple[float, float] = (0.45, 1.0)
    prior_drop: float = 0.1
    pitch_error: float = 0.2
    large_error: float = 1.2
    large_share: float = 0.25
    height_error: float = 0.02
    appearance: float = 1.0
    style_mix: float = 0.0
    measured_drop: float = 0.25
    measured_thin: float = 0.3
    measured_corrupt: float = 0.3
    workers: int = 1
    looks: int = 0
    looks_folder: str = ""
    feature_mix: float = 0.0
    feature_drop: float = 0.0

    def __post_init__(self) -> None:
        """Refuse impossible sizes."""
        if any(len(size) != 2 for size in self.sizes) or len(self.crop) != 2:
            raise ConfigurationError(
                f"data.sizes {self.sizes}, data.crop {self.crop}",
                expected="pairs of numbers",
                fix="e.g. sizes: [[288, 160]], crop: [0.45, 1.0]",
            )
        for width, height in self.sizes:
            if width < 64 or height < 64 or width % 32 or height % 32:
                raise ConfigurationError(
                    f"data.sizes has {width}x{height}", expected="multiples of 32 from 64 on"
                )
        if not self.sizes:
            raise ConfigurationError("data.sizes is empty", expected="e.g. [[288, 160]]")


@dataclass(frozen=True)
class LossConfiguration:
    """Weights of the parts of the loss, see `systems.fused.system.fused_loss`."""

    depth: float = 1.0
    silog: float = 0.3
    bins: float = 0.5
    plane: float = 0.5
    gradient: float = 0.5
    road: float = 0.5
    sky: float = 0.3
    semantics: float = 0.3
    confidence: float = 0.1
    angle: float = 1.0
    own: float = 0.5
    distrust: float = 0.2
    peak: float = 0.0


@dataclass(frozen=True)
class ScheduleConfiguration:
    """How long and how fast.

    Attributes:
        steps: Number of batches.
        batch: Images in a batch, on each process.
        rate: Highest learning rate of what is new.
        trunk_rate: Highest learning rate of the pretrained image encoder; 0: it stays, which
            takes half of the time (fused network).
        start_rate: Of the fused network: highest learning rate of what is neither in the image
            encoder nor about measured depth; 0: `rate`. Weights that come with `start` forget
            less when it is low.
        weight_decay: Of AdamW.
        warm_up: Steps until the rates are highest; then they fall as a cosine.
        clip: Largest norm of the gradient.
        average: Share that the running average of the weights keeps each step; 0: no average.
    """

    steps: int = 6000
    batch: int = 8
    rate: float = 2e-3
    trunk_rate: float = 4e-4
    start_rate: float = 0.0
    weight_decay: float = 0.01
    warm_up: int = 200
    clip: float = 5.0
    average: float = 0.998

    def __post_init__(self) -> None:
        """Refuse impossible numbers."""
        if self.steps < 1 or self.batch < 1 or not 0 <= self.average < 1:
            raise ConfigurationError(
                f"schedule: steps {self.steps}, batch {self.batch}, average {self.average}",
                expected="1 or more, 1 or more, 0 to below 1",
            )


@dataclass(frozen=True)
class NoOptions:
    """Of a system without any."""


@dataclass(frozen=True)
class TrainingConfiguration:
    """A whole run.

    Attributes:
        system: What is trained: a file in `systems`, or a module of one's own.
        seed: Of weights, order and changes.
        start: Checkpoint whose weights to start from; empty: none.
        save_every: Steps between checkpoints.
        save_minutes: At most so much time between them, min.
        validate_every: Steps between validations.
        options: What only this system has; its `OPTIONS`.
    """

    system: str = "fused"
    seed: int = 0
    start: str = ""
    save_every: int = 500
    save_minutes: float = 10.0
    validate_every: int = 1000
    network: NetworkConfiguration = field(default_factory=NetworkConfiguration)
    data: DataConfiguration = field(default_factory=DataConfiguration)
    loss: LossConfiguration = field(default_factory=LossConfiguration)
    schedule: ScheduleConfiguration = field(default_factory=ScheduleConfiguration)
    options: Any = field(default_factory=NoOptions)


def to_dict(configuration: TrainingConfiguration) -> dict[str, Any]:
    """Plain values that `from_dict` reads, but for the network's size, which is spelt out."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        return [plain(v) for v in value] if isinstance(value, (tuple, list)) else value

    return dict(plain(dataclasses.asdict(configuration)))
