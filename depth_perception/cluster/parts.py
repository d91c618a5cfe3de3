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

"""A long bag computed in parts by several tasks, and scored as if by one: the same bits.

What crosses frame sets decides what may be parted:

- With ``motion.enabled`` each frame set's depth depends on the ones before it without an end (what
  was measured and computed is carried along, and the road is followed): the bag stays whole. An
  overlap of some sets would give nearly the same, and nearly is not the same.
- Without it the pipeline is a function of one frame set and the rig. A part reads the bag from its
  beginning, so that the sets are cut and the rig is followed as ever, and computes its own alone.
- Scores cross frame sets, too (flicker, sums in the order of images). They are not parted: one
  process gets all results in their order and scores them with the code that scores any bag.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from depth_perception.cluster.bags import fetched
from depth_perception.cluster.engine import settle
from depth_perception.cluster.libraries import load
from depth_perception.datasets.bag import BagReader
from depth_perception.errors import BagError
from depth_perception.frames.frame_set import CameraFrame, FrameSet
from depth_perception.frames.surround_result import SurroundResult
from depth_perception.geometry.rig import Rig
from depth_perception.parameters import Parameters
from depth_perception.pipeline import SurroundPipeline


@dataclass(frozen=True)
class Place:
    """Where a part's task finds the bag, and what it may use.

    Attributes:
        address: Of the bag.
        cache: Folder for copies of remote bags; empty for the usual one.
        cpus: Cores of a task.
        gpus: GPUs of a task.
    """

    address: str
    cache: str = ""
    cpus: int = 1
    gpus: float = 0.0


Computed = tuple[SurroundResult, list[tuple[str, str]]]
"""A frame set's result, and the warnings (text, camera) that came with it."""


@contextlib.contextmanager
def gathered_pipeline(
    reader: BagReader, place: Place, parameters: Parameters, frames: int, part: int
) -> Iterator[SurroundPipeline]:
    """Make the pipeline of a bag: a usual one, or one whose results other tasks compute.

    Args:
        reader: The bag, opened.
        place: Where other machines find it.
        parameters: Of the pipeline.
        frames: At most so many frame sets; 0 for all.
        part: Frame sets of a part; 0 for no parts.
    """
    bounds = part_bounds(reader.image_count, parameters.motion.enabled, frames, part)
    if len(bounds) < 2:
        pipeline = SurroundPipeline(parameters)
    else:
        pipeline = GatheredPipeline(parameters, _from_tasks(place, parameters, bounds))
    with contextlib.closing(pipeline):
        yield pipeline


def part_bounds(sets: int, motion: bool, frames: int, part: int) -> list[tuple[int, int | None]]:
    """Say which frame sets each part computes: (first, end), counted from 0; None: to the end.

    A single part where the bag stays whole. How many sets there are is known only about, from the
    number of images: the last part takes what is left.
    """
    count = min(sets, frames or sets)
    if motion or not part or count <= part:
        return [(0, frames or None)]
    firsts = list(range(0, count, part))
    return list(itertools.zip_longest(firsts, firsts[1:], fillvalue=frames or None))  # type: ignore[arg-type]


class RecordingPipeline(SurroundPipeline):
    """A pipeline that keeps its warnings with the camera that each is of."""

    def __init__(self, parameters: Parameters) -> None:
        self.recorded: list[tuple[str, str]] = []
        super().__init__(parameters)

    def warn(self, text: str, camera: str = "") -> None:
        """Log a warning, once, and keep it."""
        self.recorded.append((text, camera))
        super().warn(text, camera)


class GatheredPipeline(SurroundPipeline):
    """A pipeline whose results come from elsewhere, in the order of the frame sets."""

    def __init__(self, parameters: Parameters, computed: Iterator[Computed]) -> None:
        """Take the results of all frame sets that have an image."""
        super().__init__(parameters)
        self._computed = computed
        self._last: tuple[FrameSet[CameraFrame], SurroundResult] | None = None

    def process(self, frame_set: FrameSet[CameraFrame], rig: Rig, **wanted: bool) -> SurroundResult:
        """Give the frame set's result; of the one before again, if that is asked for twice.

        Raises:
            BagError: The part that computed it read fewer sets: the bag changed meanwhile.
        """
        if self._last is not None and self._last[0] is frame_set:
            return self._last[1]
        result, warnings = next(self._computed, (None, []))
        if result is None or result.stamp != frame_set.stamp:
            raise BagError(
                f"frame set {frame_set.stamp} was not computed by its part",
                expected="a bag that does not change while it is read",
                fix="run again",
            )
        for text, camera in warnings:
            self.warn(text, camera)
        self._last = (frame_set, result)
        return result


def compute_part(
    place: Place, parameters: Parameters, first: int, end: int | None
) -> Iterator[Computed]:
    """Compute some frame sets of a bag: be the task of a part.

    Args:
        place: The bag.
        parameters: Of the pipeline, without ``motion.enabled``.
        first: The first set that is computed, counted from 0.
        end: The one behind the last; None: all that follow.

    Yields:
        The result of each set that has an image, and the warnings that came with it.
    """
    settle(place.cpus)
    with (
        fetched(place.address, place.cache) as path,
        contextlib.closing(RecordingPipeline(parameters)) as pipeline,
        BagReader(path, parameters) as reader,
    ):
        pipeline.recorded.clear()  # what making it says, the pipeline that gathers says, too
        for number, frame_set in enumerate(itertools.islice(reader.frame_sets(), end)):
            if number < first or not frame_set.frames:
                continue
            result = pipeline.process(frame_set, reader.rig)
            yield result, list(pipeline.recorded)
            pipeline.recorded.clear()


def _from_tasks(
    place: Place, parameters: Parameters, bounds: list[tuple[int, int | None]]
) -> Iterator[Computed]:
    """Start a task for each part, and give their results in order.

    While this process waits for them, Ray gives its cores to others.
    """
    ray = load("ray")

    run = ray.remote(
        num_cpus=place.cpus,
        num_gpus=place.gpus,
        max_retries=2,
        scheduling_strategy="SPREAD",
        # So many results a part runs ahead: one takes some 10 MB.
        _generator_backpressure_num_objects=16,
    )(compute_part)
    parts = [run.remote(place, parameters, *bound) for bound in bounds]
    try:
        for part in parts:
            for reference in part:
                yield ray.get(reference)
    finally:  # after an error nobody reads what the others compute
        for part in parts:
            with contextlib.suppress(Exception):
                ray.cancel(part)
