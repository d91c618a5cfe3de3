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

"""One self-contained HTML page from an evaluation: pictures, charts and numbers.

In: `Evaluation` and the pictures that `PictureCollector` gathered on the way. Out: HTML text
that loads nothing from a network. Given the same numbers, pictures and date it is the same text.
"""

from __future__ import annotations

import base64
import html
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depth_perception.errors import ConfigurationError
from depth_perception.evaluation.comparison import Comparison, FrameChange
from depth_perception.evaluation.error_map import FEWEST_POINTS
from depth_perception.evaluation.error_map_figures import (
    in_order,
    legend,
    map_figure,
    map_limit,
    map_rows,
    side,
    worst_places,
)
from depth_perception.evaluation.figures import exact_figures, latency_figure, lidar_figures
from depth_perception.evaluation.formats import (
    MEASURED_HEADINGS,
    METRIC_COLUMNS,
    count,
    measured_cells,
    metric_cells,
    milliseconds,
    number,
    share,
    short,
)
from depth_perception.evaluation.glossary import GLOSSARY
from depth_perception.evaluation.measured import table_of
from depth_perception.evaluation.metrics import RangeAccuracy
from depth_perception.evaluation.page_budget import LARGEST_PAGE, fitted
from depth_perception.evaluation.panels import Panel, PictureCollector
from depth_perception.evaluation.scores import Evaluation, LevelScores
from depth_perception.evaluation.set_table import (
    SET_HEADINGS,
    exact_set_rows,
    lidar_set_rows,
    set_remarks,
)

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

__all__ = [
    "METRIC_COLUMNS",
    "Panel",
    "PictureCollector",
    "advice",
    "levels_shown",
    "metric_cells",
    "number",
    "render",
    "road_within",
    "share",
    "short",
    "write_report",
]

PLANE_LIMITS = (0.4, 0.4, 0.05)
"""Pitch and roll, degrees, and height, metres, from which the nominal plane deserves a look."""

LIDAR_LIMIT = 0.04
"""Median difference of LiDAR and exact truth, metres, that a LiDAR's noise does not explain."""


def road_within(evaluation: Evaluation, distance: float = 20.0) -> tuple[int, float]:
    """Covered road points of the depth image up to ``distance`` metres, and their A10.

    Those of the LiDAR; pixels of exact truth where there is none.
    """
    exact = evaluation.exact
    road: Sequence[RangeAccuracy] = evaluation.road.get("depth image", [])
    rows = [
        row
        for row in road or (exact.all.road if exact else [])
        if row.high <= distance and row.count and row.high - row.low < 30
    ]
    count = sum(row.count for row in rows)
    return count, sum(row.a10 * row.count for row in rows) / count if count else math.nan


def levels_shown(evaluation: Evaluation) -> list[LevelScores]:
    """Return the levels that a table shows: a network knows road and all else, no more."""
    if evaluation.estimator == "embodied":
        return evaluation.levels
    return [row for row in evaluation.levels if row.alone.count]


def advice(evaluation: Evaluation) -> list[str]:
    """Say what the numbers suggest doing, most telling first; may be empty."""
    lines = []
    plane = evaluation.plane
    if plane is not None:
        names = ("pitch", "roll", "height")
        off = [
            f"{name} {value:+.2f} {'m' if name == 'height' else '°'}"
            for name, value, limit in zip(names, plane.mean, PLANE_LIMITS, strict=True)
            if abs(value) > limit
        ]
        if off:
            lines.append(
                f"The road under the LiDAR lies off the nominal ground by {', '.join(off)}."
                " If this is so on every drive, an extrinsic or ground.height is wrong (correct"
                " TF, or set ground.pitch, ground.roll, ground.height); if it changes from place to"
                " place, it is the road's own slope."
            )
    scale = evaluation.over_cameras.scale
    if math.isfinite(scale) and abs(scale - 1) > 0.15:
        text = f"the median truth is {scale:.2f} times the median prediction"
        lines.append(
            f"Depths are too {'near' if scale > 1 else 'far'}: {text}."
            + (
                " What stands on the ground is often measured too near where its foot is hidden."
                if scale > 1 and evaluation.estimator == "embodied"
                else ""
            )
        )
    road = evaluation.road["depth image"][-1] if evaluation.road else None
    if road is not None and road.truth_count and road.coverage < 0.9:
        lines.append(
            f"Only {100 * road.coverage:.0f} % of the road points have a depth. Where is the road:"
            " check segmentation.source and the ego masks."
        )
    lidar = evaluation.exact.all.lidar if evaluation.exact else None
    if lidar is not None and lidar.median > LIDAR_LIMIT:
        lines.append(
            f"LiDAR and exact truth differ by {lidar.median:.2f} m (median): the bag's extrinsics,"
            " calibration or stamps are not those that its images were made with."
        )
    return lines


def render(
    evaluation: Evaluation,
    panels: Sequence[Panel],
    date: str = "",
    *,
    backdrops: Mapping[str, bytes] | None = None,
    comparison: Comparison | None = None,
    changed: Sequence[Panel] = (),
    limit: int = LARGEST_PAGE,
) -> str:
    """Make the page.

    Args:
        evaluation: The numbers.
        panels: Pictures by frame set, the worst first.
        date: Printed as it is; empty leaves it out.
        backdrops: An image of each camera, WebP, that its error map lies over; maps stand in
            their order.
        comparison: With a former run of the same drive.
        changed: Pictures of the frame sets that changed most since that run.
        limit: Largest size of the page, bytes of UTF-8: pictures get coarser and then fewer, the
            worst frame set's last, and the page says so.
    """
    template = environment(
        metrics=metric_cells,
        measured=measured_cells,
        milliseconds=milliseconds,
        side=side,
        most_by=most_by,
    ).get_template("report.html.j2")
    known = _about(evaluation, date) | _about_maps(evaluation, comparison, list(backdrops or {}))
    known |= {"comparison": comparison, "backdrops": backdrops or {}}
    without: dict[str, Any] = {"panels": [], "changed": [], "left_out": []}
    rest = len(template.render(known | without).encode())
    notes = []
    if rest > limit and backdrops:
        known |= {"backdrops": {}}
        notes.append("Left out: the cameras' images below the error maps.")
        rest = len(template.render(known | without).encode())
    # What changed stands between the worst frame set and the others.
    ordered = [*panels[:1], *changed, *panels[1:]]
    kept, coarser = fitted(ordered, limit - rest)
    first = len(panels[:1])
    shown = {
        "panels": [*kept[:first], *kept[first + len(changed) :]],
        "changed": kept[first : first + len(changed)],
        "left_out": [*notes, *coarser],
    }
    return template.render(known | shown)


def environment(*packages: str, **filters: Any) -> jinja2.Environment:
    """Make what fills templates: of these packages first, else of this one; with more filters."""
    import jinja2

    folders = [jinja2.PackageLoader(name, "templates") for name in (*packages, __package__)]
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader(folders),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    made.filters.update(
        number=number,
        share=share,
        count=count,
        words=explained,
        base64=lambda data: base64.b64encode(data).decode(),
        **filters,
    )
    return made


def _about(evaluation: Evaluation, date: str) -> dict[str, Any]:
    """Everything that the page shows of the numbers but for maps and the former run."""
    return {
        "e": evaluation,
        "date": date,
        "advice": advice(evaluation),
        "road20": road_within(evaluation),
        "levels": levels_shown(evaluation),
        "columns": [heading for _, heading, *_ in METRIC_COLUMNS],
        "measured_columns": MEASURED_HEADINGS,
        "lidar_measured": (
            [] if evaluation.measured is None else table_of({"": evaluation.measured})
        ),
        "exact_measured": table_of(evaluation.exact.measured) if evaluation.exact else [],
        "set_columns": SET_HEADINGS,
        "lidar_sets": lidar_set_rows(evaluation),
        "exact_sets": exact_set_rows(evaluation.exact),
        "set_remarks": set_remarks,
        "glossary": GLOSSARY,
        "lidar_figures": lidar_figures(evaluation),
        "exact_figures": exact_figures(evaluation.exact, evaluation.estimator),
        "latency": latency_figure(evaluation.latency, evaluation.frame_sets),
    }


def _about_maps(
    evaluation: Evaluation, comparison: Comparison | None, order: Sequence[str]
) -> dict[str, Any]:
    """The error maps, and those of the former run beside them, all on one scale."""
    maps = evaluation.error_maps
    former = comparison.before.error_maps if comparison is not None else {}
    old, new = former.get("depth image", {}), maps.get("depth image", {})
    # Embodied depth, often far off where it knows little, is not to make all others look right.
    limit = map_limit([*old.values(), *new.values()])
    return {
        "map_rows": map_rows(maps, evaluation.estimator, limit, order),
        "map_scale": legend(limit),
        "fewest": FEWEST_POINTS,
        "places": worst_places(new),
        "pair_maps": [
            (name, map_figure(name, old[name], limit), map_figure(name, item, limit))
            for name, item in ((name, new[name]) for name in in_order(new, order))
            if name in old
        ],
    }


def most_by(change: FrameChange) -> str:
    """Name the camera whose error changed most in a frame set: "left, 0.100 to 0.310"."""
    known = {
        name: pair for name, pair in change.cameras.items() if math.isfinite(pair[1] - pair[0])
    }
    if not known:
        return "–"
    sign = 1 if change.after > change.before else -1
    name = max(known, key=lambda n: sign * (known[n][1] - known[n][0]))
    return f"{name}, {number(known[name][0])} to {number(known[name][1])}"


_NAMES = {name: word for word in GLOSSARY for name in word.names}
_ANY_NAME = re.compile(
    r"(?<!\w)(" + "|".join(map(re.escape, sorted(_NAMES, key=len, reverse=True))) + r")(?!\w)"
)


def explained(text: str) -> Markup:
    """Link the words of the glossary to their entries, which show on hover and focus too."""
    from markupsafe import Markup

    def link(match: re.Match[str]) -> str:
        word = _NAMES[match[1]]
        return (
            f'<a class="term" href="#word-{word.key}" aria-describedby="word-{word.key}">'
            f'{html.escape(match[1])}<span class="tip" aria-hidden="true">'
            f"{html.escape(word.meaning)}</span></a>"
        )

    return Markup(_ANY_NAME.sub(link, html.escape(text, quote=False)))


def write_report(
    folder: str | Path, evaluation: Evaluation, panels: Sequence[Panel], date: str = "", **more: Any
) -> Path:
    """Write ``folder``/index.html and return its path; ``more`` is as in `render`.

    Raises:
        ConfigurationError: The folder cannot be written.
    """
    path = Path(folder) / "index.html"
    page = render(evaluation, panels, date, **more)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"'{path}' cannot be written ({error.strerror})",
            expected="a folder to write to",
            fix="name another folder with --report",
        ) from None
    return path
