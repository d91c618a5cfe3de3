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

"""One data set made by many tasks: drives of ``world --dataset``, frame sets of ``targets``.

Tasks write to the data set's own folder, which all machines see: what is there is whole, so that a
run goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from depth_perception.cli.cluster import resources_from
from depth_perception.cli.interruption import leaving
from depth_perception.cli.progress import Progress

if TYPE_CHECKING:
    from depth_perception.world.output.dataset import MakeDrives

SETS = 64
"""Frame sets of a task of ``targets``: it loads the model once for them."""

Job = TypeVar("Job")


@dataclass(frozen=True)
class TargetJob:
    """Frame sets whose targets a task computes: the verb's arguments, first set, and the last's."""

    options: argparse.Namespace
    first: int
    end: int


def drives_on_cluster(options: argparse.Namespace) -> MakeDrives:
    """Return what makes the drives of a data set as tasks; see `dataset.write_dataset`.

    Raises:
        ConfigurationError: A number is impossible.
    """
    from depth_perception.world.output.dataset import make_drive

    resources_from(options)

    def make(jobs: Sequence[Any], note: Callable[[Any], None]) -> None:
        _each(options, make_drive, jobs, note, lambda job: f"drive {job.drive.number}")

    return make


def targets_on_cluster(options: argparse.Namespace, compute: Callable[[TargetJob], object]) -> None:
    """Compute the targets of a source as tasks of some frame sets each.

    Args:
        options: The verb's arguments; source and output become whole paths, as tasks may run in
            other folders.
        compute: The task.

    Raises:
        DatasetError: Some could not be computed; names them. The others are kept.
    """
    from depth_perception.cli.cluster_verbs import absolute_source
    from depth_perception.datasets.source import open_source
    from depth_perception.datasets.targets import file_of

    resources_from(options)
    given = {**vars(options), "source": absolute_source(options.source)}
    given["output"] = str(Path(options.output).expanduser().resolve())
    absolute = argparse.Namespace(**given)
    options.source, options.output = absolute.source, absolute.output
    folder, count = Path(options.output), len(open_source(options.source))
    jobs = [
        TargetJob(absolute, first, min(first + SETS, count))
        for first in range(0, count, SETS)
        if not all(file_of(folder, n).exists() for n in range(first, min(first + SETS, count)))
    ]
    with Progress("targets", count) as progress:
        progress.to(count - sum(job.end - job.first for job in jobs))
        text = "what is computed is kept; the same command goes on"
        with leaving(lambda: text):
            _each(
                options,
                compute,
                jobs,
                lambda job: progress.update(job.end - job.first),
                lambda job: f"frame sets {job.first} to {job.end - 1}",
            )


def _each(
    options: argparse.Namespace,
    function: Callable[[Job], Any],
    jobs: Sequence[Job],
    note: Callable[[Job], None],
    name: Callable[[Job], str],
) -> None:
    """Have a function called for each job, in a session of Ray.

    Raises:
        DatasetError: Some failed; names the first. All others were done.
    """
    from depth_perception.cluster.engine import outcomes, session
    from depth_perception.datasets.sample import DatasetError

    failed = []
    if jobs:
        with session(options.cluster, options.cluster_workers):
            for outcome in outcomes(function, jobs, resources_from(options)):
                job = jobs[outcome.number]
                if outcome.error:
                    failed.append(f"{name(job)}: {outcome.error}")
                    print(f"warning: {failed[-1]}", file=sys.stderr)
                else:
                    note(job)
    if failed:
        others = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise DatasetError(failed[0] + others, fix="run again: what is done is kept")
