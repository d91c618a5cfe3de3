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

r"""Score depth against the LiDAR in a bag: metrics, road by range, planes, overlap, latency.

A bag of the synthetic world is scored against its exact depth, too, and needs no LiDAR. Where a
network makes the depth, embodied depth is scored beside it. With --report a page with charts and
pictures; with --json every number; with --against what got better and worse since a former run.
With --cluster many bags, on many machines or processes:

    depth_perception evaluate 'drives/*' --cluster --output out/release
    depth_perception evaluate 's3://drives/*.mcap' --cluster HEAD:6379 --output out/release \
        --tags tags.csv --against out/before/bags.parquet
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from depth_perception.cli.arguments import (
    add_frames_argument,
    add_parameter_arguments,
    bag_from,
    frames_from,
    parameters_from,
)
from depth_perception.cli.cluster import add_cluster_arguments, alone
from depth_perception.cli.cluster_evaluation import add_comparison_arguments, evaluate_on_cluster
from depth_perception.cli.destinations import check_file, check_folder, write_text
from depth_perception.cli.evaluation_tables import print_comparison, print_tables
from depth_perception.cli.progress import Progress
from depth_perception.errors import ConfigurationError, DepthPerceptionError
from depth_perception.yaml_mapping import nearest

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from depth_perception.evaluation.comparison import Comparison
    from depth_perception.evaluation.former_run import FormerRun
    from depth_perception.evaluation.output_folder import OutputFolder
    from depth_perception.evaluation.panels import PictureCollector
    from depth_perception.evaluation.scores import Evaluation
    from depth_perception.frames.frame_set import CameraFrame, FrameSet

__all__ = ["add_arguments", "print_tables", "run"]

MOST_PICTURED = 30
"""Frame sets that a report shows pictures of at most: each is some MB in memory."""

FARTHEST = 1e6
"""No truth is as far, m."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument(
        "bag", nargs="+", help="rosbag2 directory, .mcap or .db3; several with --cluster"
    )
    parser.add_argument("--json", metavar="FILE", help="write every number there ('-' for stdout)")
    parser.add_argument(
        "--report",
        metavar="DIR",
        help="write a page with pictures, DIR/index.html, and its numbers, DIR/figures.json",
    )
    parser.add_argument(
        "--worst",
        type=int,
        default=3,
        metavar="N",
        help="pictures in the report of the N worst frame sets (default 3)",
    )
    parser.add_argument(
        "--against",
        metavar="FORMER",
        help="compare with a former run on the same drive: its --json file or --report folder; with"
        " --cluster on the same bags: its bags.parquet or --output folder",
    )
    parser.add_argument("--date", default="", help="printed in the report as it is")
    parser.add_argument("--lidar", metavar="TOPIC", help="the truth (default: the first cloud)")
    parser.add_argument(
        "--max-depth", type=float, default=80.0, metavar="M", help="farthest truth (default 80)"
    )
    parser.add_argument(
        "--max-offset",
        type=float,
        metavar="S",
        help="largest time between image and scan (default 0.25 with odometry, else 0.1)",
    )
    add_frames_argument(parser)
    add_parameter_arguments(parser)
    add_cluster_arguments(parser, "DIR is made with results of each bag, tables and one page")
    add_comparison_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb."""
    import contextlib
    import json
    import sys

    from tqdm import tqdm

    from depth_perception.evaluation.former_run import read_former

    _check_limits(options)
    limit = frames_from(options)
    parameters = parameters_from(options)
    if options.cluster is not None:
        return evaluate_on_cluster(options, parameters, limit)
    bag = bag_from(alone(options, ("output", "tags")))
    # Refused before the work: an hour of it is not to end with a path that cannot be written.
    shown = options.json == "-"
    numbers = None if options.json is None or shown else check_file("--json", options.json)
    page_folder = _report_folder(options)
    former = None if options.against is None else read_former(options.against)

    from depth_perception.datasets.bag import BagReader
    from depth_perception.datasets.lidar_truth import TruthProtocol
    from depth_perception.evaluation.comparison import compare
    from depth_perception.evaluation.evaluate import evaluate
    from depth_perception.evaluation.former_run import run_of
    from depth_perception.evaluation.report import PictureCollector
    from depth_perception.pipeline import SurroundPipeline, check_named_files

    def say(text: str) -> None:
        tqdm.write(f"warning: {text}", file=sys.stderr)

    with contextlib.ExitStack() as stack:
        check_named_files(parameters)
        reader = stack.enter_context(BagReader(bag, parameters, log=say))
        progress = stack.enter_context(Progress("evaluate"))
        _check_lidar(options.lidar, reader.lidar_topics)
        if former is not None:
            former.check_cameras(reader.rig.names)
        pipeline = SurroundPipeline(parameters, log=say)
        stack.callback(pipeline.close)
        progress.to(0, min(reader.image_count, limit or reader.image_count))
        pictures = PictureCollector(
            options.worst, options.max_depth, former.abs_rel() if former is not None else None
        )
        evaluation = evaluate(
            reader,
            pipeline,
            protocol=TruthProtocol(
                max_depth=options.max_depth, ground_height=parameters.ground.height
            ),
            max_offset=options.max_offset,
            frames=limit,
            lidar=options.lidar,
            progress=lambda sets: _of_the_drive(former, progress.over(sets)),
            observer=pictures if page_folder else None,
        )
    failed: list[DepthPerceptionError] = []
    comparison = None
    if former is not None:
        with _collected(failed):
            comparison = compare(former, run_of(evaluation))
    data = evaluation.to_dict()
    if comparison is not None:
        data["against"] = comparison.to_dict()
    text = json.dumps(data, indent=2, allow_nan=False)
    if shown:
        print(text)
    else:
        print_tables(evaluation, said=pipeline.warnings)
        if comparison is not None:
            print_comparison(comparison)
    # What fails is said at the end; it does not keep the others from being written.
    if numbers is not None:
        with _collected(failed):
            write_text("--json", numbers, text + "\n")
            print(f"numbers: {numbers}")
    if page_folder is not None:
        with _collected(failed):
            page = _write_page(page_folder, evaluation, pictures, comparison, options.date, text)
            print(f"report: {page}", file=sys.stderr if shown else sys.stdout)
    for error in failed:
        print(f"error: {error}", file=sys.stderr)
    if evaluation.broken:
        print(f"error: {evaluation.broken}", file=sys.stderr)
    return 1 if failed or evaluation.broken else 0


def _report_folder(options: argparse.Namespace) -> OutputFolder | None:
    """Return the folder of the report, looked at; None without one."""
    from depth_perception.evaluation.former_run import FIGURES
    from depth_perception.evaluation.output_folder import OutputFolder

    if options.report is None:
        return None
    folder = OutputFolder(check_folder("--report", options.report))
    folder.check("index.html")
    folder.check(FIGURES)
    return folder


def _write_page(
    folder: OutputFolder,
    evaluation: Evaluation,
    pictures: PictureCollector,
    comparison: Comparison | None,
    date: str,
    numbers: str,
) -> Path:
    """Write the page and its numbers; return the page."""
    from depth_perception.evaluation.former_run import FIGURES
    from depth_perception.evaluation.report import write_report

    folder.begin()
    page = write_report(
        folder.path,
        evaluation,
        pictures.panels,
        date,
        backdrops=pictures.backdrops,
        comparison=comparison,
        changed=pictures.changed if comparison is not None else (),
    )
    folder.note(page.name)
    folder.write(FIGURES, (numbers + "\n").encode())
    return page


def _of_the_drive(
    former: FormerRun | None, sets: Iterable[FrameSet[CameraFrame]]
) -> Iterator[FrameSet[CameraFrame]]:
    """Hand on the frame sets; refuse another drive than the former run's at the first of them."""
    for place, frame_set in enumerate(sets):
        if place == 0 and former is not None:
            former.check_begin(frame_set.stamp)
        yield frame_set


@contextmanager
def _collected(failed: list[DepthPerceptionError]) -> Iterator[None]:
    """Put an error of the package into a list, and go on."""
    try:
        yield
    except DepthPerceptionError as error:
        failed.append(error)


def _check_limits(options: argparse.Namespace) -> None:
    """Refuse impossible numbers.

    Raises:
        ConfigurationError: Names the argument.
    """
    if not 1.0 < options.max_depth < FARTHEST:
        raise ConfigurationError(
            f"--max-depth {options.max_depth}",
            expected=f"more than 1 m, and less than {FARTHEST:g} m",
            fix="e.g. 80",
        )
    if not 1 <= options.worst <= MOST_PICTURED:
        raise ConfigurationError(
            f"--worst {options.worst}", expected=f"1 to {MOST_PICTURED} frame sets", fix="e.g. 3"
        )
    if options.max_offset is not None and not 0 < options.max_offset < math.inf:
        raise ConfigurationError(
            f"--max-offset {options.max_offset}",
            expected="a time above zero, s",
            fix="leave it out, or give e.g. 0.1",
        )


def _check_lidar(topic: str | None, topics: Collection[str]) -> None:
    """Refuse a LiDAR that the bag does not have.

    Raises:
        ConfigurationError: Lists those that it has.
    """
    if topic is not None and topic not in topics:
        raise ConfigurationError(
            f"--lidar '{topic}' is no sensor_msgs/PointCloud2 topic of the bag",
            expected=nearest(topic, topics),
            fix="name one of them, or leave --lidar out",
        )
