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

"""The rows that are kept of a bag: by estimator, by camera, by frame set, and as Parquet.

In: `Evaluation`. Out: plain rows, and tables of the rows of all bags. Parquet keeps the types and
opens in pandas, Polars, DuckDB or Spark; pyarrow (Apache-2.0) writes it.

``truth`` says what the plain columns were scored against: the LiDAR where a bag has one, else exact
truth. Columns that begin with ``exact_`` are of exact truth in either case.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from depth_perception.cluster.libraries import load
from depth_perception.errors import ConfigurationError
from depth_perception.evaluation.exact import ExactScores
from depth_perception.evaluation.metrics import DepthMetrics, RangeAccuracy
from depth_perception.evaluation.scores import Evaluation

Row = dict[str, Any]

METRICS = tuple(field.name for field in dataclasses.fields(DepthMetrics))
_EXACT = ("abs_rel", "delta1", "a10", "coverage")
_NEAR = 20.0
"""Road is scored up to here, m."""

_ROW_GROUP = 100_000
"""Rows that are written at a time."""

_TEXT = (
    *("bag", "address", "key", "status", "error", "node", "estimator", "truth", "provider"),
    *("model", "version", "camera", "lidar"),
)
_COUNTS = ("count", "truth_count", "frame_sets", "images", "number", "stamp", "worst_set")

_SCORES = (
    "abs_rel",
    "sq_rel",
    "rmse",
    "rmse_log",
    "silog",
    "log10",
    "delta1",
    "delta2",
    "delta3",
    "a5",
    "a10",
    "coverage",
)
BAG_COLUMNS = (
    *("bag", "estimator", "status", "error", "truth", "frame_sets", "images", "count"),
    *("truth_count", *_SCORES, "road_a10", "road_coverage", "scale", "cloud_f1"),
    *("cloud_precision", "cloud_recall", "edges_f1", "flicker", "measured_cover"),
    *("measured_abs_rel", "confidence_gap", "plane_pitch", "plane_roll", "plane_height"),
    *("latency_p50", "latency_p95", *(f"exact_{name}" for name in _EXACT), "worst_set"),
    *("provider", "model", "version", "lidar", "address", "node", "seconds", "key"),
)
CAMERA_COLUMNS = ("bag", "camera", "estimator", "truth", "images", "count", "truth_count", *_SCORES)
FRAME_COLUMNS = (
    *("bag", "number", "stamp", "camera", "estimator", "truth", "count", "truth_count"),
    *_SCORES,
)


def bag_rows(e: Evaluation) -> list[Row]:
    """Give the scores of a bag: a row of the estimator, and of embodied depth beside it.

    Shares are of one, angles in degrees, lengths in metres, latencies in seconds.
    """
    kinds = [(e.estimator, "depth image")]
    if e.embodied is not None or (e.exact is not None and e.exact.all.embodied is not None):
        kinds.append(("embodied", "embodied depth"))
    rows = []
    for estimator, which in kinds:
        main = which == "depth image"
        lidar = e.over_cameras.metric if main else e.embodied or DepthMetrics()
        exact = _exact(e.exact, main)
        row: Row = {
            "estimator": estimator,
            "truth": "lidar" if e.points else "exact",
            "frame_sets": e.frame_sets,
            "images": e.images if e.points else (e.exact.all.images if e.exact else 0),
            "provider": e.provider,
            "model": e.model if main else "",
            "lidar": e.lidar,
            **dataclasses.asdict(lidar if e.points else exact),
            **_of_sets(e, which),
        }
        if e.exact is not None:
            row |= {f"exact_{name}": getattr(exact, name) for name in _EXACT}
        if main:
            row |= _of_all(e)
        rows.append(row)
    return rows


def camera_rows(e: Evaluation) -> list[Row]:
    """Give the scores of each camera, means over its images, by estimator."""
    if e.points:
        found = [(n, e.estimator, s.images, s.metric) for n, s in e.cameras.items()]
        found += [
            (n, "embodied", e.cameras[n].images, metric) for n, metric in e.embodied_cameras.items()
        ]
    else:
        cameras = e.exact.cameras if e.exact is not None else {}
        found = [(n, e.estimator, c.images, c.metric) for n, c in cameras.items()]
        found += [
            (n, "embodied", c.images, c.embodied)
            for n, c in cameras.items()
            if c.embodied is not None
        ]
    truth = "lidar" if e.points else "exact"
    return [
        {
            "camera": name,
            "estimator": estimator,
            "truth": truth,
            "images": images,
            **dataclasses.asdict(metric),
        }
        for name, estimator, images, metric in found
    ]


def frame_rows(e: Evaluation, seen: Sequence[Row]) -> list[Row]:
    """Give the scores of each frame set and camera, by estimator.

    Args:
        e: The evaluation.
        seen: The rows against the LiDAR; without any, frame sets against exact truth are taken,
            with an empty name of the camera for all of them.
    """
    if seen or e.exact is None:
        return [{**row, "truth": "lidar"} for row in seen]
    rows = []
    for frame in e.exact.by_frame:
        for estimator, metric in ((e.estimator, frame.metric), ("embodied", frame.embodied)):
            if metric is not None:
                place = {"number": frame.number, "stamp": frame.stamp, "camera": ""}
                about = {**place, "estimator": estimator, "truth": "exact"}
                rows.append({**about, **dataclasses.asdict(metric)})
    return rows


def complete(row: Mapping[str, Any], columns: Sequence[str]) -> Row:
    """Give a row every column: empty text, NaN and 0 for what it lacks."""
    missing = {
        name: "" if name in _TEXT else 0 if name in _COUNTS else math.nan
        for name in columns
        if row.get(name) is None
    }
    return {name: missing.get(name, row.get(name)) for name in columns}


class TableWriter:
    """Writes rows as Parquet, as a whole or not at all; use it in a ``with``.

    Numbers that are not finite become null.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        """Begin a table.

        Raises:
            ConfigurationError: pyarrow is not installed, or the file cannot be written.
        """
        self._arrow = arrow = load("pyarrow")
        types = {name: arrow.string() if name in _TEXT else arrow.float64() for name in columns}
        types |= {name: arrow.int64() for name in columns if name in _COUNTS}
        self._schema = arrow.schema(list(types.items()))
        self._path, self._part = path, path.with_name(path.name + ".part")
        self._rows: list[Mapping[str, Any]] = []
        with self._explained():
            self._writer = load("pyarrow.parquet").ParquetWriter(self._part, self._schema)

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows with every column.

        Raises:
            ConfigurationError: The file cannot be written.
        """
        self._rows.extend(rows)
        if len(self._rows) >= _ROW_GROUP:
            self._flush()

    def __enter__(self) -> TableWriter:
        """Give the table itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """End the table; after an error nothing is left of it."""
        if kind is None:
            self._flush()
        with self._explained():
            self._writer.close()
            if kind is None:
                self._part.replace(self._path)
            else:
                self._part.unlink(missing_ok=True)

    def _flush(self) -> None:
        data = [
            self._arrow.array([_cell(row[field.name]) for row in self._rows], type=field.type)
            for field in self._schema
        ]
        with self._explained():
            self._writer.write_table(self._arrow.table(data, schema=self._schema))
        self._rows.clear()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigurationError(
                f"'{self._path}' cannot be written ({error.strerror or error})",
                expected="a folder that may be written to and has room",
                fix="make room there: the same command goes on",
            ) from None


def read_table(path: Path) -> list[Row]:
    """Read the rows of a table of bags.

    Raises:
        ConfigurationError: pyarrow is not installed, or it is no such table.
    """
    parquet = load("pyarrow.parquet")
    try:
        rows: list[Row] = parquet.read_table(path).to_pylist()
        missing = [name for name in ("bag", "estimator", "abs_rel") if rows and name not in rows[0]]
    except (OSError, ValueError) as error:  # Arrow's own errors are of these
        raise ConfigurationError(
            f"'{path}' cannot be read ({' '.join(str(error).split())})",
            expected="bags.parquet of a run of evaluate --cluster",
            fix="correct the path",
        ) from None
    if missing:
        raise ConfigurationError(
            f"'{path}' has no column {missing[0]}",
            expected="bags.parquet of a run of evaluate --cluster",
            fix="name that file",
        )
    return rows


def _cell(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _exact(exact: ExactScores | None, main: bool) -> DepthMetrics:
    if exact is None:
        return DepthMetrics()
    return exact.all.metric if main else exact.all.embodied or DepthMetrics()


def _of_sets(e: Evaluation, which: str) -> Row:
    """Road, obstacle cloud, edges, flicker and confidence of one depth."""
    exact = e.exact
    sets = e.sets if e.points or exact is None else exact.sets
    profiles = e.profiles if e.points or exact is None else exact.profiles
    if e.points:
        edges = e.boundary.get(which)
        a10, coverage = _near_road(e.road.get(which, []))
    else:
        alone = exact.all if exact is not None else None
        main = which == "depth image"
        edges = None if alone is None else alone.boundary if main else alone.embodied_boundary
        a10, coverage = _near_road(alone.road if alone is not None and main else [])
    cloud, flicker = sets.obstacles.get(which), sets.flicker.get(which)
    profile = profiles.get(which)
    return {
        "road_a10": a10,
        "road_coverage": coverage,
        "cloud_f1": math.nan if cloud is None else cloud.f1,
        "cloud_precision": math.nan if cloud is None else cloud.precision,
        "cloud_recall": math.nan if cloud is None else cloud.recall,
        "edges_f1": math.nan if edges is None else edges.f1,
        "flicker": math.nan if flicker is None else flicker.median,
        "confidence_gap": math.nan if profile is None else profile.confidence_gap,
    }


def _of_all(e: Evaluation) -> Row:
    """What a bag has once, whatever the estimator."""
    row: Row = {"scale": e.over_cameras.scale}
    measured = e.measured if e.points or e.exact is None else e.exact.measured.get("all")
    if measured is not None:
        figures = measured.all.median
        row |= {"measured_cover": figures.cover, "measured_abs_rel": figures.abs_rel}
    if e.plane is not None:
        names = ("plane_pitch", "plane_roll", "plane_height")
        row |= dict(zip(names, e.plane.mean, strict=True))
    total = next((stage for stage in e.latency if stage.stage == "total"), None)
    if total is not None:
        row |= {"latency_p50": total.p50, "latency_p95": total.p95}
    return row


def _near_road(bins: Sequence[RangeAccuracy]) -> tuple[float, float]:
    """A10 and coverage of road points nearer than 20 m, pooled."""
    near = [row for row in bins if row.high <= _NEAR]
    count, truth = sum(row.count for row in near), sum(row.truth_count for row in near)
    if not truth:
        return math.nan, math.nan
    right = sum(row.a10 * row.count for row in near if row.count)
    return right / count if count else math.nan, count / truth
