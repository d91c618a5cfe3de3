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

"""``evaluate --cluster``: many bags scored on Ray, with tables and one page over all of them."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from depth_perception.cli.cluster import resources_from, summarised
from depth_perception.cli.destinations import check_folder
from depth_perception.cli.interruption import leaving
from depth_perception.cli.progress import Progress
from depth_perception.errors import ConfigurationError

if TYPE_CHECKING:
    from depth_perception.parameters import Parameters


def add_comparison_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what results over many bags are parted by and held against."""
    group = parser.add_argument_group("with --cluster, the page over all bags")
    group.add_argument(
        "--tags", metavar="FILE", help="CSV with a column 'bag' and others, such as weather"
    )
    group.add_argument(
        "--part-sets",
        type=int,
        default=400,
        metavar="N",
        help="longer bags are computed in parts of N frame sets, where motion is off (default 400,"
        " 0: never)",
    )


def evaluate_on_cluster(options: argparse.Namespace, parameters: Parameters, limit: int) -> int:
    """Score all bags that the arguments name.

    Raises:
        ConfigurationError, BagError: An argument is impossible, a library is missing, a bag that
            is named is not there, or no cluster answers.
    """
    if options.json is not None or options.report is not None:
        raise ConfigurationError(
            "--json and --report are of a single bag",
            expected="--output DIR with --cluster",
            fix="name a folder with --output; it gets a page, tables and every number",
        )
    if options.output is None:
        raise ConfigurationError(
            "--cluster needs a folder for results", fix="name one with --output DIR"
        )
    if options.part_sets < 0:
        raise ConfigurationError(
            f"--part-sets {options.part_sets}", expected="0 or more", fix="correct the value"
        )
    resources = resources_from(options)
    folder = check_folder("--output", options.output)

    from depth_perception.cluster.bags import find_bags
    from depth_perception.cluster.comparison import read_tags
    from depth_perception.cluster.judge import Question
    from depth_perception.cluster.judge_bags import PAGE, Comparison, Run, judge_bags
    from depth_perception.cluster.libraries import load
    from depth_perception.cluster.tables import read_table
    from depth_perception.pipeline import check_named_files

    load("ray")
    check_named_files(parameters)
    comparison = Comparison(date=options.date)
    if options.tags is not None:
        tags = read_tags(Path(os.path.expanduser(options.tags)))
        comparison = Comparison(tags, date=options.date)
    if options.against is not None:
        former = Path(os.path.expanduser(options.against))
        if former.is_dir():
            former = former / "bags.parquet"
        # Read before the work, which may write anew just what it is compared with.
        rows = read_table(former)
        comparison = Comparison(comparison.tags, rows, options.against, options.date)
    bags = find_bags(options.bag)
    question = Question(
        parameters, options.max_depth, options.max_offset, options.lidar, limit, options.part_sets
    )
    run = Run(options.cluster, options.cluster_workers, resources, options.cache)
    with Progress("evaluate", len(bags), "bag") as progress:

        def left() -> str:
            return f"{progress.done} of {len(bags)} bags are done; the same command goes on"

        with leaving(left):
            failed = judge_bags(bags, question, folder, run, comparison, progress.to, _say)
    code = summarised("scored", len(bags) - len(failed), failed)
    print(f"report: {folder / PAGE}\ntables: {folder}/bags.parquet, cameras, frames")
    return code


def _say(text: str) -> None:
    from tqdm import tqdm

    tqdm.write(f"warning: {text}", file=sys.stderr)
