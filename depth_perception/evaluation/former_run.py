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

"""A former run of ``evaluate``, read from the JSON that it wrote.

In: a JSON file, or a report's folder, in which the same numbers lie as ``figures.json``. Out:
`FormerRun`, what a comparison needs of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depth_perception.errors import ConfigurationError
from depth_perception.evaluation.error_map import ErrorMap
from depth_perception.evaluation.scores import Evaluation

FIGURES = "figures.json"
"""Every number of a report, beside its page."""

SLACK_S = 1.0
"""A drive that begins so long before or after the former one may still be the same."""


@dataclass(frozen=True)
class FormerFrame:
    """Scores of one frame set: metrics by their field's name, and AbsRel by camera."""

    number: int
    stamp: int
    metric: Mapping[str, float]
    cameras: Mapping[str, float]


@dataclass(frozen=True)
class FormerRun:
    """What a comparison needs of one run.

    Attributes:
        name: Of the bag.
        what: Estimator, and the model where there is one.
        truth: What the frame sets were scored against: a LiDAR topic or "exact truth", and the
            largest depth that counted, m.
        cameras: Their names.
        frames: By stamp, ns.
        totals: Figures of the whole drive that frame sets do not have, by the name on the page.
        error_maps: By estimator and camera; empty of a run that wrote none.
    """

    name: str
    what: str
    truth: tuple[str, float]
    cameras: list[str]
    frames: Mapping[int, FormerFrame]
    totals: Mapping[str, float]
    error_maps: Mapping[str, Mapping[str, ErrorMap]] = field(default_factory=dict)

    def abs_rel(self) -> dict[int, float]:
        """AbsRel by the stamps of the frame sets, ns."""
        return {stamp: frame.metric["abs_rel"] for stamp, frame in self.frames.items()}

    def check_cameras(self, names: Iterable[str]) -> None:
        """Refuse another rig.

        Raises:
            ConfigurationError: Names the cameras of both.
        """
        here = list(names)
        if missing := [name for name in self.cameras if name not in here]:
            raise ConfigurationError(
                f"--against: the former run scored camera {', '.join(missing)}, which the bag does"
                " not have: another rig",
                expected="the cameras "
                + ", ".join(self.cameras)
                + "; the bag has "
                + ", ".join(here),
                fix="name a former run of the same drive",
            )

    def check_begin(self, stamp: int) -> None:
        """Refuse a drive that begins at another time, by the stamp of its first frame set, ns.

        Raises:
            ConfigurationError: Says the time between them.
        """
        first, last = min(self.frames), max(self.frames)
        slack = round(SLACK_S * 1e9)
        if not first - slack <= stamp <= last + slack:
            raise ConfigurationError(
                f"--against: the former run is of another drive ('{self.name}'): its frame sets"
                f" are of {first * 1e-9:.1f} to {last * 1e-9:.1f} s, this drive begins at"
                f" {stamp * 1e-9:.1f} s",
                expected="a former run of the same drive",
                fix="run evaluate with the former version on this bag, and name its result",
            )


def read_former(text: str) -> FormerRun:
    """Read a former run from a JSON file or a report's folder.

    Raises:
        ConfigurationError: There is none, or it is not what ``evaluate`` writes.
    """
    path = Path(text).expanduser()
    file = path / FIGURES if path.is_dir() else path
    expected = "the JSON that evaluate --json wrote, or the folder of evaluate --report"
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(
            f"--against '{path}'" + (f" has no {FIGURES}" if path.is_dir() else " is not there"),
            expected=expected,
            fix="run evaluate with --report or --json first; pages of version 0.1 have no numbers"
            " beside them",
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"--against '{file}' cannot be read as JSON ({error})",
            expected=expected,
            fix="run the former evaluate again",
        ) from None
    try:
        return _former(data)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ConfigurationError(
            f"--against '{file}' is not what evaluate wrote ({type(error).__name__}: {error})",
            expected=expected,
            fix="run the former evaluate again",
        ) from None


def run_of(evaluation: Evaluation) -> FormerRun:
    """Return the same of this run."""
    return _former(evaluation.to_dict())


def _former(data: Any) -> FormerRun:
    exact = data["exact"]
    rows = data["by_frame"] or (exact["by_frame"] if exact else [])
    if not rows:
        raise ValueError("no frame set was scored")
    frames = {
        int(row["stamp"]): FormerFrame(
            int(row["number"]),
            int(row["stamp"]),
            {name: _number(value) for name, value in row["metric"].items()},
            {name: _number(value) for name, value in row.get("cameras", {}).items()},
        )
        for row in rows
    }
    for frame in frames.values():
        if "abs_rel" not in frame.metric:
            raise ValueError("a frame set has no abs_rel")
    return FormerRun(
        name=str(data["bag"]),
        what=" ".join(filter(None, (str(data["estimator"]), str(data["model"])))),
        truth=(
            str(data["lidar"]) if data["by_frame"] else "exact truth",
            float(data["protocol"]["max_depth"]),
        ),
        cameras=list(data["cameras"] or (exact["cameras"] if exact else {})),
        frames=frames,
        totals=_totals(data),
        error_maps={
            what: {name: _map(item) for name, item in cameras.items()}
            for what, cameras in data.get("error_maps", {}).items()
        },
    )


def _totals(data: Any) -> dict[str, float]:
    """Take the figures that frame sets do not have; those that are missing are NaN."""
    sets = data["sets"] if data["by_frame"] else (data["exact"] or {}).get("sets", {})
    road = (data["road"].get("depth image") or [{}])[-1]
    return {
        "A10 on the road": _number(road.get("a10")),
        "obstacle cloud F": _number((sets.get("obstacles", {}).get("depth image") or {}).get("f1")),
        "flicker": _number((sets.get("flicker", {}).get("depth image") or {}).get("median")),
        "ms per frame set": 1e3 * _number(data["latency"][-1]["p50"]),
    }


def _map(item: Any) -> ErrorMap:
    columns, rows = int(item["columns"]), int(item["rows"])
    made = ErrorMap(
        columns,
        rows,
        (int(item["size"][0]), int(item["size"][1])),
        [_number(value) for value in item["median"]],
        [int(value) for value in item["count"]],
        [int(value) for value in item["truth_count"]],
    )
    if not len(made.median) == len(made.count) == len(made.truth_count) == columns * rows > 0:
        raise ValueError("an error map has not as many cells as it says")
    return made


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
