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

"""Many bags scored on Ray: what is missing is computed, then tables and the page are made anew.

In: bags, how to score them, and a folder. Out: in the folder, `results` of each bag, Parquet tables
and one page; and what failed, by bag.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depth_perception import __version__
from depth_perception.cluster.bags import Bag
from depth_perception.cluster.comparison import tags_of_bags
from depth_perception.cluster.engine import Resources, outcomes, session
from depth_perception.cluster.judge import BagPicture, Job, Question, code_digest, judge, key_of
from depth_perception.cluster.libraries import load
from depth_perception.cluster.parts import Place
from depth_perception.cluster.report import Contents, write_report
from depth_perception.cluster.results import ResultFolder
from depth_perception.cluster.tables import (
    BAG_COLUMNS,
    CAMERA_COLUMNS,
    FRAME_COLUMNS,
    Row,
    TableWriter,
    complete,
)
from depth_perception.errors import DepthPerceptionError

PAGE = "index.html"
BAGS, CAMERAS, FRAMES = "bags.parquet", "cameras.parquet", "frames.parquet"

_AT_ONCE = 32
"""Bags that are looked at side by side: a store answers after tens of milliseconds."""


@dataclass(frozen=True)
class Run:
    """Where and on what bags are scored.

    Attributes:
        address: Of the Ray cluster; empty starts Ray on this machine.
        workers: Cores of this machine, where Ray is started here; 0: all.
        resources: Of each task.
        cache: Folder for copies of remote bags; empty for the usual one.
    """

    address: str = ""
    workers: int = 0
    resources: Resources = field(default_factory=Resources)
    cache: str = ""


@dataclass(frozen=True)
class Comparison:
    """What the results are held against, and said with.

    Attributes:
        tags: For each tag, its value by bag; see `comparison.read_tags`.
        former: Rows of a former run's bags.
        former_name: What that is called.
        date: Printed in the page as it is.
    """

    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    former: Sequence[Row] = ()
    former_name: str = ""
    date: str = ""


def judge_bags(
    bags: Sequence[Bag],
    question: Question,
    folder: Path,
    run: Run,
    comparison: Comparison,
    progress: Callable[[int, int], None] = lambda done, of: None,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, str]:
    """Score bags, each once however often this is called, and write tables and page.

    Args:
        bags: Which.
        question: How.
        folder: Where results go.
        run: On what.
        comparison: Beside what.
        progress: Called with how many bags are done, and of how many.
        say: Called with what failed, when it did.

    Returns:
        Why, by bag, for bags that could not be scored or not to their end; the others are whole.

    Raises:
        ConfigurationError: A library is missing, no cluster answers, or the folder cannot be
            written.
    """
    for library in ("ray", "pyarrow.parquet"):
        load(library)  # an hour of work is not to end with one that is missing
    store = ResultFolder(folder)
    failed: dict[str, str] = {}
    keys = _keys(bags, question, failed)
    there = [bag for bag in bags if bag.name in keys]
    left = [bag for bag in there if store.finished(bag.name, keys[bag.name]) is None]
    done = len(bags) - len(left)
    progress(done, len(bags))
    if left:
        jobs = [_job(bag, keys[bag.name], question, run) for bag in left]
        with session(run.address, run.workers):
            for outcome in outcomes(judge, jobs, run.resources):
                if outcome.error:
                    name = left[outcome.number].name
                    failed[name] = outcome.error
                    say(f"{name}: {outcome.error}")
                else:
                    store.keep(outcome.value)
                done += 1
                progress(done, len(bags))
    return _write(bags, keys, failed, question, store, comparison)


def _keys(bags: Sequence[Bag], question: Question, failed: dict[str, str]) -> dict[str, str]:
    """Hash what each bag's result depends on; a bag that is not there has failed."""
    code = code_digest(question.parameters)

    def key(bag: Bag) -> str | DepthPerceptionError | OSError:
        try:
            return key_of(bag, question, code)
        except (DepthPerceptionError, OSError) as error:
            return error

    keys = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for bag, found in zip(bags, pool.map(key, bags), strict=True):
            if isinstance(found, str):
                keys[bag.name] = found
            else:
                failed[bag.name] = str(found)
    return keys


def _job(bag: Bag, key: str, question: Question, run: Run) -> Job:
    resources = run.resources
    return Job(bag, key, question, Place(bag.address, run.cache, resources.cpus, resources.gpus))


def _write(
    bags: Sequence[Bag],
    keys: dict[str, str],
    failed: dict[str, str],
    question: Question,
    store: ResultFolder,
    comparison: Comparison,
) -> dict[str, str]:
    """Write the tables and the page, in the order of the bags, whatever order they came in.

    Results are read again one by one: those of 10,000 bags do not fit into memory.
    """
    problems = dict(failed)
    rows: list[Row] = []
    cameras: list[Row] = []
    with TableWriter(store.path / FRAMES, FRAME_COLUMNS) as frames:
        for bag in bags:
            about: Row = {"bag": bag.name, "address": bag.address, "version": __version__}
            result = store.finished(bag.name, keys[bag.name]) if bag.name in keys else None
            if result is None:
                why = problems.setdefault(bag.name, "its result is gone")
                about |= {"status": "failed", "error": why}
                about["estimator"] = question.parameters.estimator
                rows.append(complete(about, BAG_COLUMNS))
                continue
            broken = result.evaluation["broken"]
            if broken:
                problems[bag.name] = broken
            about |= {"status": "broken off" if broken else "done", "error": broken}
            about |= {"key": result.key, "node": result.node, "seconds": result.seconds}
            about["worst_set"] = result.worst
            rows += [complete({**row, **about}, BAG_COLUMNS) for row in result.scores]
            cameras += [complete({**row, **about}, CAMERA_COLUMNS) for row in result.cameras]
            frames.write([complete({**row, **about}, FRAME_COLUMNS) for row in result.frames])
    for name, columns, table in ((BAGS, BAG_COLUMNS, rows), (CAMERAS, CAMERA_COLUMNS, cameras)):
        with TableWriter(store.path / name, columns) as writer:
            writer.write(table)
    tags, untagged = tags_of_bags(comparison.tags, {bag.name: bag.address for bag in bags})

    def pictures_of(row: Mapping[str, Any]) -> list[BagPicture]:
        result = store.finished(row["bag"], row["key"])
        return [] if result is None else result.pictures

    contents = Contents(
        rows=rows,
        cameras=cameras,
        estimator=question.parameters.estimator,
        pictures_of=pictures_of,
        failed=problems,
        tags=tags,
        untagged=untagged,
        former=comparison.former,
        former_name=comparison.former_name,
        date=comparison.date,
    )
    write_report(store.path / PAGE, contents)
    return problems
