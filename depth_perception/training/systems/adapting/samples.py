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

"""Batches of adapting: single images, and beside them images with neighbours in time or in space.

Of each batch five eighths are images as the fused network learns from (`training.samples`), of all
data. The others come from the vehicle's drives alone: by turns triplets of consecutive frames
(`training.triplets`) and cameras side by side (`surround_distillation.samples`). All have one size.
Out, for a batch of N images of which the first S have neighbours:

- all keys of `training.samples`, (N, ...);
- of triplets: views (S, 2, 3, H, W) uint8, the frame before and the one after, K (S, 3, 3) and
  T (S, 2, 4, 4) as in `training.triplets`;
- of cameras side by side: pose (S, 4, 4), and cameras, how many stand together;
- step: number of the batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler

from depth_perception.datasets.sample import DatasetError
from depth_perception.training.configuration import TrainingConfiguration
from depth_perception.training.fit import batches_of_images, loader
from depth_perception.training.samples import Request, Requests
from depth_perception.training.system import Batch
from depth_perception.training.systems.surround_distillation.samples import RigSamples
from depth_perception.training.triplets import Triplets

NEAR = 3 / 8
"""Share of a batch that has neighbours."""
_OF_ALL = ("image", "rays", "camera", "depth", "label", "measured")


class _EachTurn(Sampler[list[Request]]):
    """Of the requests of a run those of its turns alone; sizes stay those of the step."""

    def __init__(self, requests: Requests, first: int, turn: int, turns: int) -> None:
        self._requests, self._first, self._turn, self._turns = requests, first, turn, turns

    def __iter__(self) -> Iterator[list[Request]]:
        for step, request in enumerate(self._requests, self._first):
            if step % self._turns == self._turn:
                yield request


def batches(
    configuration: TrainingConfiguration,
    drives: tuple[str, ...],
    cameras: int,
    kinds: tuple[str, ...],
    first: int,
    rank: int,
    ranks: int,
) -> Iterator[Batch]:
    """Yield batches without end, see the module's head.

    Args:
        configuration: Of the run; `schedule.batch` counts images.
        drives: Sources that have neighbours.
        cameras: How many stand side by side.
        kinds: Of neighbours, by turns: "frames", "cameras"; none: single images alone.
        first: Step to begin with.
        rank: This process.
        ranks: How many there are.

    Raises:
        DatasetError: The drives have no such neighbours.
    """
    whole = configuration.schedule.batch
    near = max(1, round(NEAR * whole)) if kinds else 0
    data = replace(configuration.data, folders=drives)
    sources: list[Iterator[Batch]] = []
    for turn, kind in enumerate(kinds):
        samples: Dataset[Any] = (
            Triplets(data, posed=True) if kind == "frames" else RigSamples(data, cameras)
        )
        if not len(samples):  # type: ignore[arg-type]
            raise DatasetError(
                f"{', '.join(drives)}: no {kind} are neighbours",
                expected="three sets in a row, or rigs of several cameras",
                fix=f"leave out what needs neighbouring {kind}",
            )
        together = near if kind == "frames" else max(1, near // cameras)
        asked = Requests(
            len(samples),  # type: ignore[arg-type]
            len(data.sizes),
            together,
            configuration.seed,
            first,
            rank,
            ranks,
        )
        sources.append(loader(samples, _EachTurn(asked, first, turn, len(kinds)), data.workers))
    single = replace(
        configuration, schedule=replace(configuration.schedule, batch=max(1, whole - near))
    )
    for step, plain in zip(count(first), batches_of_images(single, first, rank, ranks)):
        made = plain if not kinds else joined(next(sources[step % len(kinds)]), plain)
        yield {**made, "step": torch.tensor(step)}


def joined(near: Batch, plain: Batch) -> Batch:
    """Put images with neighbours before single ones, see the module's head."""
    extra: Batch = {}
    if "T" in near:
        extra = {"views": near["image"][:, 1:], "K": near["K"], "T": near["T"]}
        near = {**near, "image": near["image"][:, 0]}
    else:
        together = near["image"].shape[1]
        near = {name: value.flatten(0, 1) for name, value in near.items()}
        extra = {"pose": near["pose"], "cameras": torch.tensor(together)}
    return {**{name: torch.cat([near[name], plain[name]]) for name in _OF_ALL}, **extra}
