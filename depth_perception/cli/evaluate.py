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

"""Score depth against the LiDAR in a bag: metrics, road by range, planes, overlap, latency.

A bag of the synthetic world is scored against its exact depth, too, and needs no LiDAR. Where a
network makes the depth, embodied depth is scored beside it. With --report a page with charts and
pictures; with --json every number.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from depth_perception.cli.arguments import (
    add_frames_argument,
    add_parameter_arguments,
    bag_from,
    frames_from,
    parameters_from,
)
from depth_perception.cli.destinations import check_file, check_folder, write_text
from depth_perception.cli.progress import Progress
from depth_perception.errors import ConfigurationError, DepthPerceptionError
from depth_perception.yaml_mapping import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rich.console import Console
    from rich.table import Table

    from depth_perception.evaluation.boundary import Boundary
    from depth_perception.evaluation.exact import ExactScores
    from depth_perception.evaluation.measured import MeasuredScores
    from depth_perception.evaluation.metrics import DepthMetrics
    from depth_perception.evaluation.scores import Evaluation

PICTURED = 4
"""Frame sets that a report shows pictures of."""

FARTHEST = 1e6
"""No truth is as far, m."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("bag", help="rosbag2 directory, .mcap or .db3")
    parser.add_argument("--json", metavar="FILE", help="write every number there ('-' for stdout)")
    parser.add_argument(
        "--report", metavar="DIR", help="write a page with pictures, DIR/index.html"
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


def run(options: argparse.Namespace) -> int:
    """Run the verb."""
    import contextlib
    import json
    import sys

    from tqdm import tqdm

    from depth_perception.evaluation.output_folder import OutputFolder

    _check_limits(options)
    limit = frames_from(options)
    parameters = parameters_from(options)
    bag = bag_from(options)
    # Refused before the work: an hour of it is not to end with a path that cannot be written.
    shown = options.json == "-"
    numbers = None if options.json is None or shown else check_file("--json", options.json)
    folder = None if options.report is None else check_folder("--report", options.report)
    page_folder = OutputFolder(folder or ".")
    if folder is not None:
        page_folder.check("index.html")

    from depth_perception.datasets.bag import BagReader
    from depth_perception.datasets.lidar_truth import TruthProtocol
    from depth_perception.evaluation.evaluate import evaluate
    from depth_perception.evaluation.report import PictureCollector, write_report
    from depth_perception.pipeline import SurroundPipeline, check_named_files

    def say(text: str) -> None:
        tqdm.write(f"warning: {text}", file=sys.stderr)

    with contextlib.ExitStack() as stack:
        check_named_files(parameters)
        reader = stack.enter_context(BagReader(bag, parameters, log=say))
        progress = stack.enter_context(Progress("evaluate"))
        _check_lidar(options.lidar, reader.lidar_topics)
        pipeline = SurroundPipeline(parameters, log=say)
        stack.callback(pipeline.close)
        total = min(reader.image_count, limit or reader.image_count)
        progress.to(0, total)
        pictures = PictureCollector(max(1, -(-total // PICTURED)), options.max_depth)
        evaluation = evaluate(
            reader,
            pipeline,
            protocol=TruthProtocol(
                max_depth=options.max_depth, ground_height=parameters.ground.height
            ),
            max_offset=options.max_offset,
            frames=limit,
            lidar=options.lidar,
            progress=progress.over,
            observer=pictures if folder else None,
        )
    text = json.dumps(evaluation.to_dict(), indent=2, allow_nan=False)
    if shown:
        print(text)
    else:
        print_tables(evaluation, said=pipeline.warnings)
    failed: list[DepthPerceptionError] = []
    # What fails is said at the end; it does not keep the others from being written.
    if numbers is not None:
        with _collected(failed):
            write_text("--json", numbers, text + "\n")
            print(f"numbers: {numbers}")
    if folder is not None:
        with _collected(failed):
            page_folder.begin()
            page = write_report(folder, evaluation, pictures.panels, options.date)
            page_folder.note(page.name)
            print(f"report: {page}", file=sys.stderr if shown else sys.stdout)
    for error in failed:
        print(f"error: {error}", file=sys.stderr)
    if evaluation.broken:
        print(f"error: {evaluation.broken}", file=sys.stderr)
    return 1 if failed or evaluation.broken else 0


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


def print_tables(e: Evaluation, said: Collection[str] = ()) -> None:
    """Print what was measured, 100 columns wide; notes that were said before are left out."""
    from rich.console import Console
    from rich.text import Text

    from depth_perception.evaluation.report import advice

    # Names of files and topics may hold brackets or colons, which are to be read as they stand.
    console = Console(width=100, highlight=False, markup=False, emoji=False)
    truths = [f"{e.images} images, {e.points:,} LiDAR points of {e.lidar}"] if e.points else []
    if e.exact is not None:
        truths.append(f"{e.exact.all.metric.truth_count:,} pixels of exact truth")
    console.print(
        Text(str(e.bag), style="bold"),
        f": {e.frame_sets} frame sets, {', '.join(truths)};"
        f" {e.estimator} on {e.provider}" + (f", {e.model}" if e.model else ""),
        sep="",
    )
    if e.points:
        _print_lidar(console, e)
    if e.exact is not None:
        _print_exact(console, e.exact)
    latency = _table("Latency", "ms per frame set, warm", "p50", "p95")
    for stage in e.latency:
        latency.add_row(stage.stage, f"{1e3 * stage.p50:.1f}", f"{1e3 * stage.p95:.1f}")
    console.print(latency)
    for line in advice(e):
        console.print(Text("!", style="yellow"), line)
    for note in (note for note in e.notes if note not in said):
        console.print(f"note: {note}", style="dim")


def _table(title: str, first: str, *columns: str) -> Table:
    from rich import box
    from rich.table import Table

    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        header_style="dim",
    )
    made.add_column(first, no_wrap=True)
    for column in columns:
        made.add_column(column, justify="right", no_wrap=True)
    return made


def _end_section(table: Table) -> None:
    """Draw a line below the rows so far: `Table.add_section`, which rich has since 12.3."""
    if table.rows:
        table.rows[-1].end_section = True


def _metric_names(left_out: tuple[str, ...]) -> list[str]:
    """Headings of the metrics, empty for those that 100 columns have no room for."""
    from depth_perception.evaluation.report import METRIC_COLUMNS

    short = {"RMSE log": "RMSElog", "coverage": "cover"}
    names = [short.get(heading, heading) for _, heading, *_ in METRIC_COLUMNS]
    return ["" if name in left_out else name for name in names]


def _metric_cells(names: list[str], metrics: DepthMetrics) -> list[str]:
    from depth_perception.evaluation.report import metric_cells

    cells = zip(names, metric_cells(metrics), strict=True)
    return [*(cell for name, cell in cells if name), f"{metrics.count}"]


def _print_lidar(console: Console, e: Evaluation) -> None:
    from rich.text import Text

    from depth_perception.evaluation.report import levels_shown, number, share, short
    from depth_perception.evaluation.set_table import lidar_set_rows, set_remarks

    # What is left out is in the report and in JSON.
    names = _metric_names(("log10", "A5"))
    scores = _table("\nAll points", "", *filter(None, names), "points")
    rows = [(name, item) for name, item in e.cameras.items()] if len(e.cameras) > 1 else []
    for name, item in rows:
        scores.add_row(name, *_metric_cells(names, item.metric))
    if rows:
        _end_section(scores)
    total = e.over_cameras
    for name, metrics in (("mean, metric", total.metric), ("median-scaled", total.median)):
        scores.add_row(name, *_metric_cells(names, metrics))
    if rows:
        scores.add_row("one scale a rig", *_metric_cells(names, total.rig))
    if e.embodied is not None:
        _end_section(scores)
        scores.add_row("embodied depth", *_metric_cells(names, e.embodied))
    console.print(scores)

    bins = [f"{row.low:.0f}-{row.high:.0f} m" for row in e.road["depth image"]]
    road = _table("Road: A5/A10 % of points", "", *bins, "cover")
    for name, entries in e.road.items():
        found = [
            Text.assemble(f"{share(r.a5)}/{share(r.a10)} ", (short(r.count), "dim"))
            for r in entries
        ]
        road.add_row(name.replace("depth image", "image"), *found, share(entries[-1].coverage, 0))
    console.print(road)

    levels = _table(
        "Levels: by itself | with those before",
        "",
        "cover",
        "A5",
        "A10",
        "AbsRel",
        "points",
        "| cover",
        "A5",
        "A10",
        "AbsRel",
        "points",
    )
    for row in levels_shown(e):
        cells = []
        for m in (row.alone, row.cumulative):
            cells += [share(m.coverage), share(m.a5), share(m.a10), number(m.abs_rel), f"{m.count}"]
        levels.add_row(row.level, *cells)
    console.print(levels)

    if e.boundary:
        _print_boundary(console, "Edges of depth, at LiDAR points", e.boundary)
    _print_sets(console, "at LiDAR points", lidar_set_rows(e), set_remarks(e.sets, e.profiles))
    if e.plane is not None:
        plane = _table("Road under the LiDAR against nominal", "", "pitch °", "roll °", "height m")
        for name, (pitch, roll, height) in (
            (f"mean of {e.plane.scans}", e.plane.mean),
            ("lowest", e.plane.low),
            ("highest", e.plane.high),
        ):
            plane.add_row(name, f"{pitch:+.2f}", f"{roll:+.2f}", f"{height:+.3f}")
        console.print(plane)
    if e.measured is not None:
        _print_measured(console, "LiDAR points", {"all": e.measured})
    if e.overlap_all is not None:
        overlap = _table("Overlap of cameras", "", "median %", "mean %", "agree to 5 %", "points")
        for pair in [e.overlap_all, *e.overlap]:
            overlap.add_row(
                "all pairs" if pair is e.overlap_all else " - ".join(pair.cameras),
                share(pair.median),
                share(pair.mean),
                share(pair.consistent),
                f"{pair.count}",
            )
        console.print(overlap)


def _print_boundary(console: Console, title: str, rows: Mapping[str, Boundary]) -> None:
    from depth_perception.evaluation.report import share

    headings = ("F1 %", "attainable", "precision %", "recall %", "true edges", "predicted")
    table = _table(title, "", *headings)
    for name, b in rows.items():
        cells = (share(value) for value in (b.f1, b.attainable, b.precision, b.recall))
        table.add_row(name, *cells, f"{b.edges}", f"{b.predicted}")
    console.print(table)


def _print_sets(
    console: Console, where: str, rows: Mapping[str, list[str]], remarks: list[str]
) -> None:
    from depth_perception.evaluation.set_table import SET_HEADINGS

    if not rows:
        return
    # Its title says what is percent; lines part what belongs together.
    first = {"cloud F %": "F", "edges F1 %": "| F1", "flicker %": "| flicker", "ECE %": "| ECE"}
    headings = [first.get(name, name.replace("its ", "")) for name in SET_HEADINGS]
    table = _table(f"Obstacle cloud | edges | flicker | confidence, {where}: %", "", *headings)
    for name, cells in rows.items():
        table.add_row(name, *cells)
    console.print(table)
    for line in remarks:
        console.print(f"  {line}", style="dim")


def _print_measured(console: Console, things: str, scores: Mapping[str, MeasuredScores]) -> None:
    from depth_perception.cli.measured_table import fill_measured_table
    from depth_perception.evaluation.formats import MEASURED_HEADINGS

    row = next(iter(scores.values())).all
    title = f"Measured by motion, at {things}: {row.measured_images} of {row.images} images"
    table = _table(title, "", *MEASURED_HEADINGS, "measured")
    fill_measured_table(table, scores)
    console.print(table)


def _print_exact(console: Console, exact: ExactScores) -> None:
    from depth_perception.evaluation.report import number, share, short
    from depth_perception.evaluation.set_table import exact_set_rows, set_remarks

    names = _metric_names(("log10", "SILog"))
    rows = list(exact.cameras.items()) if len(exact.cameras) > 1 else []
    pixels = _table("\nExact truth: all pixels", "", *filter(None, names), "pixels")
    for name, item in rows:
        pixels.add_row(name, *_metric_cells(names, item.metric))
    if rows:
        _end_section(pixels)
    pixels.add_row("mean, metric", *_metric_cells(names, exact.all.metric))
    if exact.all.embodied is not None:
        _end_section(pixels)
        pixels.add_row("embodied depth", *_metric_cells(names, exact.all.embodied))
    console.print(pixels)
    edges = {"image": exact.all.boundary, "embodied depth": exact.all.embodied_boundary}
    if any(edges.values()):
        found = {name: item for name, item in edges.items() if item is not None}
        _print_boundary(console, "Exact truth: edges of depth", found)
    remarks = set_remarks(exact.sets, exact.profiles)
    _print_sets(console, "exact truth", exact_set_rows(exact), remarks)
    if exact.measured:
        _print_measured(console, "pixels of exact truth", exact.measured)
    if not exact.all.road and exact.all.lidar is None:
        return

    bins = [f"{row.low:.0f}-{row.high:.0f} m" for row in exact.all.road]
    check = exact.all.lidar is not None
    road = _table(
        "Exact truth: road, A5/A10 % of pixels" + ("; |LiDAR - exact|, m" if check else ""),
        "",
        *bins,
        *(("cover", "pixels") if bins else ()),
        *(("| median", "95 %") if check else ()),
    )
    for name, item in [*rows, ("all", exact.all)]:
        if item is exact.all and rows:
            _end_section(road)
        cells = [f"{share(r.a5)}/{share(r.a10)}" for r in item.road] or [""] * len(bins)
        if bins:
            last = item.road[-1] if item.road else None
            cells += [share(last.coverage, 0), short(last.count)] if last else ["", ""]
        if item.lidar is not None:
            cells += [number(item.lidar.median), number(item.lidar.p95)]
        road.add_row(name, *cells)
    console.print(road)
