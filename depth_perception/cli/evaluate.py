"""Score depth against the LiDAR in a bag: metrics, road by range, planes, overlap, latency.

With --report a page with charts and pictures; with --json every number.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from depth_perception.cli.arguments import add_parameter_arguments, parameters_from

if TYPE_CHECKING:
    from depth_perception.evaluation.metrics import DepthMetrics
    from depth_perception.evaluation.scores import Evaluation

PICTURED = 4
"""Frame sets that a report shows pictures of."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("bag", help="rosbag2 directory, .mcap or .db3")
    parser.add_argument("--json", metavar="FILE", help="write every number there")
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
    parser.add_argument("--frames", type=int, default=0, metavar="N", help="at most N frame sets")
    add_parameter_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb."""
    import contextlib
    import json
    import sys
    from pathlib import Path

    from tqdm import tqdm

    from depth_perception.datasets.bag import BagReader
    from depth_perception.errors import ConfigurationError
    from depth_perception.evaluation.evaluate import evaluate
    from depth_perception.evaluation.lidar import TruthProtocol
    from depth_perception.evaluation.report import PictureCollector, write_report
    from depth_perception.pipeline import SurroundPipeline

    if not options.max_depth > 1.0:
        raise ConfigurationError(
            f"--max-depth {options.max_depth}", expected="more than 1 m", fix="e.g. 80"
        )
    if options.frames < 0 or (options.max_offset is not None and not options.max_offset > 0):
        raise ConfigurationError(
            f"--frames {options.frames}, --max-offset {options.max_offset}",
            expected="frames of 0 (all) or more, an offset above zero",
            fix="correct them",
        )
    parameters = parameters_from(options)

    def say(text: str) -> None:
        tqdm.write(f"warning: {text}", file=sys.stderr)

    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(BagReader(options.bag, parameters, log=say))
        pipeline = SurroundPipeline(parameters, log=say)
        stack.callback(pipeline.close)
        total = min(reader.image_count, options.frames or reader.image_count)
        pictures = PictureCollector(max(1, -(-total // PICTURED)), options.max_depth)
        evaluation = evaluate(
            reader,
            pipeline,
            protocol=TruthProtocol(
                max_depth=options.max_depth, ground_height=parameters.ground.height
            ),
            max_offset=options.max_offset,
            frames=options.frames,
            lidar=options.lidar,
            progress=lambda sets: tqdm(sets, total=total, unit="set", disable=None),
            observer=pictures if options.report else None,
        )
    print_tables(evaluation)
    if options.json:
        try:
            text = json.dumps(evaluation.to_dict(), indent=2, allow_nan=False)
            Path(options.json).write_text(text + "\n")
        except OSError as error:
            raise ConfigurationError(
                f"'{options.json}' cannot be written ({error.strerror})",
                fix="name another file with --json",
            ) from None
        print(f"numbers: {options.json}")
    if options.report:
        page = write_report(options.report, evaluation, pictures.panels, options.date)
        print(f"report: {page}")
    return 0


def print_tables(e: Evaluation) -> None:
    """Print what was measured, 100 columns wide."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from depth_perception.evaluation.report import (
        METRIC_COLUMNS,
        advice,
        metric_cells,
        number,
        share,
        short,
    )

    console = Console(width=100, highlight=False)

    def table(title: str, first: str, *columns: str) -> Table:
        made = Table(
            title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0), header_style="dim",
        )  # fmt: skip
        made.add_column(first, no_wrap=True)
        for column in columns:
            made.add_column(column, justify="right", no_wrap=True)
        return made

    console.print(
        f"[bold]{e.bag}[/bold]: {e.frame_sets} frame sets, {e.images} images,"
        f" {e.points:,} LiDAR points of {e.lidar}; {e.estimator} on {e.provider}"
    )
    # log10 and A5 are in the report and in JSON: 100 columns hold no more.
    headings = {"RMSE log": "RMSElog", "coverage": "cover", "log10": "", "A5": ""}
    names = [headings.get(heading, heading) for _, heading, *_ in METRIC_COLUMNS]
    columns = [name for name in names if name]

    def cells_of(metrics: DepthMetrics) -> list[str]:
        cells = zip(names, metric_cells(metrics), strict=True)
        return [*(cell for name, cell in cells if name), f"{metrics.count}"]

    scores = table("\nAll points", "", *columns, "points")
    rows = [(name, item) for name, item in e.cameras.items()] if len(e.cameras) > 1 else []
    for name, item in rows:
        scores.add_row(name, *cells_of(item.metric))
    if rows:
        scores.add_section()
    total = e.over_cameras
    for name, metrics in (("mean, metric", total.metric), ("median-scaled", total.median)):
        scores.add_row(name, *cells_of(metrics))
    if rows:
        scores.add_row("one scale a rig", *cells_of(total.rig))
    console.print(scores)

    bins = [f"{row.low:.0f}-{row.high:.0f} m" for row in e.road["depth image"]]
    road = table("Road: A5/A10 % of points", "", *bins, "cover")
    for name, entries in e.road.items():
        cells = [f"{share(r.a5)}/{share(r.a10)} [dim]{short(r.count)}[/dim]" for r in entries]
        road.add_row(name.replace("depth ", ""), *cells, share(entries[-1].coverage, 0))
    console.print(road)

    levels = table(
        "Levels: by itself | with those before", "",
        "cover", "A5", "A10", "AbsRel", "points", "| cover", "A5", "A10", "AbsRel", "points",
    )  # fmt: skip
    for row in e.levels:
        cells = []
        for m in (row.alone, row.cumulative):
            cells += [share(m.coverage), share(m.a5), share(m.a10), number(m.abs_rel), f"{m.count}"]
        levels.add_row(row.level, *cells)
    console.print(levels)

    if e.plane is not None:
        plane = table("Road under the LiDAR against nominal", "", "pitch °", "roll °", "height m")
        for name, (pitch, roll, height) in (
            (f"mean of {e.plane.scans}", e.plane.mean), ("lowest", e.plane.low),
            ("highest", e.plane.high),
        ):  # fmt: skip
            plane.add_row(name, f"{pitch:+.2f}", f"{roll:+.2f}", f"{height:+.3f}")
        console.print(plane)
    if e.overlap_all is not None:
        overlap = table("Overlap of cameras", "", "median %", "mean %", "agree to 5 %", "points")
        for pair in [e.overlap_all, *e.overlap]:
            overlap.add_row(
                "all pairs" if pair is e.overlap_all else " - ".join(pair.cameras),
                share(pair.median), share(pair.mean), share(pair.consistent), f"{pair.count}",
            )  # fmt: skip
        console.print(overlap)
    latency = table("Latency", "ms per frame set, warm", "p50", "p95")
    for stage in e.latency:
        latency.add_row(stage.stage, f"{1e3 * stage.p50:.1f}", f"{1e3 * stage.p95:.1f}")
    console.print(latency)
    for line in advice(e):
        console.print(f"[yellow]![/yellow] {line}")
    for note in e.notes:
        console.print(f"[dim]note: {note}[/dim]")
