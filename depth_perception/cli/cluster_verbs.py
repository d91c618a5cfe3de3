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

"""A verb on Ray, once for each bag or drive: each task is the command as it is without Ray.

Outputs go to a folder that all machines see. A bag has its name when it is whole, so that one which
is there is not made again.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from depth_perception.cli.cluster import resources_from, summarised
from depth_perception.cli.interruption import leaving
from depth_perception.cli.main import parser_for
from depth_perception.cli.progress import Progress
from depth_perception.errors import BagError


@dataclass(frozen=True)
class VerbJob:
    """One call of a verb.

    Attributes:
        name: Of the bag or drive, for what is said.
        verb: Which.
        arguments: What stands behind the verb, and behind the bag where there is one.
        bag: Path or address of the bag that it works on; empty for none.
        cache: Folder for copies of remote bags; empty for the usual one.
    """

    name: str
    verb: str
    arguments: tuple[str, ...]
    bag: str = ""
    cache: str = ""


def run_verb(job: VerbJob) -> str:
    """Be the task: call the verb; return what it printed.

    Raises:
        DepthPerceptionError, OSError: As the verb.
        BagError: It ended with an error that it had said itself.
    """
    from depth_perception.cluster.bags import fetched

    said = io.StringIO()
    with contextlib.ExitStack() as stack:
        bag = [str(stack.enter_context(fetched(job.bag, job.cache)))] if job.bag else []
        stack.enter_context(contextlib.redirect_stdout(said))
        stack.enter_context(contextlib.redirect_stderr(said))
        module = importlib.import_module(f"depth_perception.cli.{job.verb}")
        code = int(module.run(parser_for(job.verb).parse_args([*bag, *job.arguments])))
    if code:
        raise BagError((said.getvalue().strip().splitlines() or [f"it ended with {code}"])[-1])
    return said.getvalue()


def run_jobs(
    options: argparse.Namespace, jobs: Sequence[VerbJob], before: int, what: str, unit: str = "bag"
) -> int:
    """Call a verb for each job in a session of Ray; return the exit code.

    Args:
        options: The verb's arguments; see `cluster.add_cluster_arguments`.
        jobs: What is left to do.
        before: How many were done by an earlier run.
        what: What is done with each, for the last line.
        unit: What one is.

    Raises:
        ConfigurationError: Ray is not installed, no cluster answers, or a number is impossible.
    """
    resources = resources_from(options)

    from depth_perception.cluster.engine import outcomes, session

    total, failed = before + len(jobs), {}
    with Progress(what, total, unit) as progress:
        progress.to(before)

        def left() -> str:
            return f"{progress.done} of {total} {unit}s are done; the same command goes on"

        if jobs:
            with leaving(left), session(options.cluster, options.cluster_workers):
                for outcome in outcomes(run_verb, jobs, resources):
                    if outcome.error:
                        name = jobs[outcome.number].name
                        failed[name] = outcome.error
                        print(f"warning: {name}: {outcome.error}", file=sys.stderr)
                    progress.update()
    return summarised(what, total - len(failed), failed, unit=unit)


def pipeline_arguments(options: argparse.Namespace) -> tuple[str, ...]:
    """Write ``--params``, ``--set``, ``--estimator`` and ``--frames`` again, for a task.

    A task may run in another folder: a file that is here is named by its whole path.
    """
    made = [f"--set={item}" for item in options.set]
    if options.params is not None:
        path = Path(os.path.expanduser(options.params))
        made.append(f"--params={path.resolve() if path.is_file() else options.params}")
    if options.estimator is not None:
        made.append(f"--estimator={options.estimator}")
    return (*made, f"--frames={options.frames}")


def absolute_source(text: str) -> str:
    """Name a source of data by its whole path: a task may run in another folder."""
    kind, colon, path = text.partition(":")
    return f"{kind}:{os.path.abspath(path)}" if colon else os.path.abspath(text)
