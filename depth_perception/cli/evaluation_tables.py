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

"""The tables that `evaluate` prints: everything that was measured, 100 columns wide."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rich.console import Console
    from rich.table import Table

    from depth_perception.evaluation.boundary import Boundary
    from depth_perception.evaluation.comparison import Comparison, Difference
    from depth_perception.evaluation.exact import ExactScores
    from depth_perception.evaluation.measured import MeasuredScores
    from depth_perception.evaluation.metrics import DepthMetrics
    from depth_perception.evaluation.scores import Evaluation


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


def print_comparison(c: Comparison) -> None:
    """Print what got better and what worse since a former run."""
    from rich.console import Console
    from rich.text import Text

    console = Console(width=100, highlight=False, markup=False, emoji=False)
    table = _table(
        f"Against the former run, {c.shared} frame sets",
        "",
        *("before", "now", "difference", "95 % interval", ""),
    )
    for d in [*c.figures, *c.cameras]:
        table.add_row(
            d.name, *_difference_cells(d), Text(_VERDICTS[d.verdict][0], _VERDICTS[d.verdict][1])
        )
    console.print(table)
    for word, rows in (("worse", c.worse), ("better", c.better)):
        named = ", ".join(f"{r.number} ({r.before:.3f} to {r.after:.3f})" for r in rows)
        if named:
            console.print(f"frame sets that got {word} most: {named}", style="dim")


_VERDICTS = {
    "better": ("better", "green"),
    "worse": ("worse", "red"),
    "same": ("the same", "dim"),
    "unclear": ("no clear difference", "dim"),
    "": ("", ""),
}


def _difference_cells(d: Difference) -> list[str]:
    from depth_perception.evaluation.formats import number

    factor, digits = (100.0, 2) if d.share else (1.0, 3)
    unit = " %" if d.share else ""
    ends = [number(factor * end, digits, sign=True) for end in (d.low, d.high)]
    return [
        number(factor * d.before, digits) + unit,
        number(factor * d.after, digits) + unit,
        number(factor * d.change, digits, sign=True),
        " to ".join(ends) if d.low == d.low else "–",
    ]


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
