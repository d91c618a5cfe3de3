"""One self-contained HTML page from an evaluation: numbers, charts and pictures.

In: `Evaluation` and the pictures that `PictureCollector` gathered on the way. Out: HTML text
that loads nothing from a network. Given the same numbers, pictures and date it is the same text.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from depth_perception.errors import ConfigurationError
from depth_perception.evaluation.metrics import Accuracy, DepthMetrics, RangeAccuracy
from depth_perception.evaluation.pictures import (
    Picture,
    cloud_from_above,
    confidence_mosaic,
    depth_mosaic,
    embodied_mosaic,
    encoded,
    error_bar,
    input_mosaic,
    mosaic,
    overlay_lidar_error,
)
from depth_perception.evaluation.scores import Evaluation, ImageSample, LevelScores
from depth_perception.frames.frame_set import CameraFrame, FrameSet
from depth_perception.frames.surround_result import SurroundResult

METRIC_COLUMNS = (
    ("abs_rel", "AbsRel", 3, False),
    ("sq_rel", "SqRel", 2, False),
    ("rmse", "RMSE", 2, False),
    ("rmse_log", "RMSE log", 3, False),
    ("silog", "SILog", 1, False),
    ("log10", "log10", 3, False),
    ("delta1", "δ1", 1, True),
    ("delta2", "δ2", 1, True),
    ("delta3", "δ3", 1, True),
    ("a5", "A5", 1, True),
    ("a10", "A10", 1, True),
    ("coverage", "coverage", 1, True),
)
"""Field of `DepthMetrics`, heading, decimals, whether it is a share."""

EXPLANATIONS = (
    ("AbsRel", "mean of |D − D*| / D*: how far off a depth typically is, as a share of the truth."),
    ("SqRel", "mean of (D − D*)² / D*, metres: the same, with large misses weighing more."),
    ("RMSE", "root of the mean squared error, metres: far points dominate it."),
    ("RMSE log", "the same of the natural logarithm: near and far weigh alike."),
    ("SILog", "100 times the spread of ln D − ln D*: what is left when the scale is made right."),
    ("log10", "mean of |log10 D − log10 D*|."),
    ("δ1, δ2, δ3", "share of points within a factor of 1.25, 1.25², 1.25³ of the truth, %."),
    ("A5, A10", "share of points within 5 % and 10 % of the truth, %."),
    (
        "coverage",
        "share of truth (LiDAR points, or pixels with exact truth) where the image has a"
        " finite depth, %; all other metrics are over these.",
    ),
    ("metric", "depth as it comes out, in metres."),
    (
        "embodied depth",
        "what intrinsics, mounting and the road's place in the image say of depth,"
        " without a depth network. Shown beside a network's, read at the same points.",
    ),
    (
        "median-scaled",
        "each image multiplied so that its median is the LiDAR's: what a method"
        " without scale is scored by. Beside metric it tells wrong scale from wrong shape.",
    ),
)

PLANE_LIMITS = (0.4, 0.4, 0.05)
"""Pitch and roll, degrees, and height, metres, from which the nominal plane deserves a look."""

LIDAR_LIMIT = 0.04
"""Median difference of LiDAR and exact truth, metres, that a LiDAR's noise does not explain."""


@dataclass(frozen=True)
class Panel:
    """Pictures of one frame set: title and (caption, JPEG) pairs."""

    title: str
    pictures: list[tuple[str, bytes]]


class PictureCollector:
    """Draws every n-th frame set while an evaluation runs; pass it as ``observer``."""

    def __init__(self, every: int = 1, max_depth: float = 80.0) -> None:
        """Draw each ``every``-th set; colours reach to ``max_depth`` metres."""
        self.every = max(1, every)
        self.max_depth = max_depth
        self.panels: list[Panel] = []

    def __call__(
        self,
        number: int,
        frame_set: FrameSet[CameraFrame],
        result: SurroundResult,
        samples: Mapping[str, ImageSample],
    ) -> None:
        """Draw one frame set."""
        if number % self.every:
            return
        pictures = [
            ("What the cameras see", input_mosaic(result)),
            ("Depth, metres", depth_mosaic(result, self.max_depth)),
        ]
        if result.estimator != "embodied":
            pictures += [
                ("Embodied depth: by geometry alone", embodied_mosaic(result, self.max_depth)),
                ("Confidence: probability that depth is right to 10 %", confidence_mosaic(result)),
            ]
        if samples:
            pictures.append(
                ("Error at every LiDAR point: blue too near, red too far", errors(result, samples))
            )
        if result.points is not None:
            above = cloud_from_above(result.points, ground_height=result.ground.height)
            pictures.append(("Point cloud from above, heading up", above))
        self.panels.append(
            Panel(
                f"Frame set {number + 1}, {len(result.cameras)} cameras, t = {result.stamp} ns",
                [(caption, encoded(picture)) for caption, picture in pictures],
            )
        )


def errors(
    result: SurroundResult, samples: Mapping[str, ImageSample], width: int = 1440
) -> Picture:
    """Draw the error overlay of all cameras with its scale."""
    import numpy as np

    radius = 2 if len(samples) > 1 else 1
    pictures = {
        name: overlay_lidar_error(result.cameras[name].image, s.uv, s.prediction, s.depth, radius)
        for name, s in samples.items()
    }
    poses = {name: result.cameras[name].T_base_camera for name in pictures}
    return np.concatenate([mosaic(pictures, poses, width), error_bar(width)])


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


def render(evaluation: Evaluation, panels: Sequence[Panel], date: str = "") -> str:
    """Make the page.

    Args:
        evaluation: The numbers.
        panels: Pictures by frame set.
        date: Printed as it is; empty leaves it out.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("depth_perception.evaluation", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(number=number, share=share, count=count, metrics=metric_cells)
    return environment.get_template("report.html.j2").render(
        e=evaluation,
        date=date,
        advice=advice(evaluation),
        road20=road_within(evaluation),
        levels=levels_shown(evaluation),
        columns=[heading for _, heading, *_ in METRIC_COLUMNS],
        explanations=EXPLANATIONS,
        error_chart=error_chart(evaluation.by_depth),
        road_chart=road_chart(evaluation.road),
        panels=[
            (p.title, [(c, base64.b64encode(j).decode()) for c, j in p.pictures]) for p in panels
        ],
    )


def write_report(
    folder: str | Path, evaluation: Evaluation, panels: Sequence[Panel], date: str = ""
) -> Path:
    """Write ``folder``/index.html and return its path.

    Raises:
        ConfigurationError: The folder cannot be written.
    """
    path = Path(folder) / "index.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(evaluation, panels, date), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"'{path}' cannot be written ({error.strerror})",
            expected="a folder to write to",
            fix="name another folder with --report",
        ) from None
    return path


def number(value: float, decimals: int = 3, sign: bool = False) -> str:
    """Format a number; a dash for none."""
    if not math.isfinite(value):
        return "–"
    return f"{value:{'+' if sign else ''}.{decimals}f}"


def share(value: float, decimals: int = 1) -> str:
    """Format a share as percent, without the sign; a dash for none."""
    return number(100 * value, decimals)


def count(value: int) -> str:
    """Format a count with thin spaces between thousands."""
    return f"{value:,}".replace(",", "\u2009")


def metric_cells(metrics: DepthMetrics) -> list[str]:
    """Format the columns of `METRIC_COLUMNS`."""
    return [
        (share if is_share else number)(getattr(metrics, name), decimals)
        for name, _, decimals, is_share in METRIC_COLUMNS
    ]


def error_chart(rows: Sequence[Accuracy]) -> str:
    """SVG: signed relative error over depth, its median and the middle 80 % of points."""
    rows = [row for row in rows if row.count]
    if not rows:
        return ""
    width, height, left, bottom, top = 640, 250, 52, 40, 16
    reach, far = 0.8, rows[-1].high

    def x(metres: float) -> float:
        return left + (width - left - 12) * metres / far

    def y(error: float) -> float:
        clipped = max(-reach, min(reach, error))
        return top + (height - top - bottom) * (reach - clipped) / (2 * reach)

    parts = []
    for tick in (-0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75):
        kind = "zero" if tick == 0 else "grid"
        parts.append(
            f'<line class="{kind}" x1="{left}" x2="{width - 12}" y1="{y(tick):.1f}"'
            f' y2="{y(tick):.1f}"/><text x="{left - 8}" y="{y(tick) + 4:.1f}"'
            f' text-anchor="end">{f"{100 * tick:+.0f} %" if tick else "0"}</text>'
        )
    for row in rows:
        low, _, high = row.bias
        middle = (x(row.low) + x(row.high)) / 2
        wide = x(row.high) - x(row.low) - 2
        parts.append(
            f'<rect class="band" x="{x(row.low) + 1:.1f}" width="{wide:.1f}"'
            f' y="{y(high):.1f}" height="{max(1.0, y(low) - y(high)):.1f}"><title>{row.low:.0f} to'
            f" {row.high:.0f} m: {row.count} points, AbsRel {row.abs_rel:.3f}</title></rect>"
            f'<line class="median" x1="{x(row.low) + 1:.1f}" x2="{x(row.high) - 1:.1f}"'
            f' y1="{y(row.bias[1]):.1f}" y2="{y(row.bias[1]):.1f}"/>'
            f'<text x="{middle:.1f}" y="{height - bottom + 30}" text-anchor="middle"'
            f' class="small">{short(row.count)}</text>'
        )
    for edge in sorted({row.low for row in rows} | {far}):
        parts.append(
            f'<text x="{x(edge):.1f}" y="{height - bottom + 16}" text-anchor="middle">'
            f"{edge:.0f}</text>"
        )
    return _svg(width, height, parts, "Signed relative error over depth")


def road_chart(road: Mapping[str, Sequence[Accuracy]]) -> str:
    """SVG: A10 on the road per range bin, the depth image beside the planes."""
    names = [name for name in road if any(row.count for row in road[name])]
    if not names:
        return ""
    bins = [i for i in range(3) if any(road[name][i].count for name in names)]
    width, left, bar, gap = 640, 190, 15, 16
    parts, y = [], 8.0
    for i in bins:
        first = road[names[0]][i]
        parts.append(
            f'<text class="strong" x="0" y="{y + 12:.0f}">{first.low:.0f} to {first.high:.0f} m'
            "</text>"
        )
        for k, name in enumerate(names):
            row = road[name][i]
            if not row.count:
                continue
            y += bar + 4
            long = (width - left - 130) * row.a10
            parts.append(
                f'<text x="{left - 8}" y="{y + 12:.0f}" text-anchor="end">{name}</text>'
                f'<rect class="bar{k}" x="{left}" y="{y:.0f}" rx="2" height="{bar}"'
                f' width="{max(long, 1):.1f}"/>'
                f'<text x="{left + long + 6:.1f}" y="{y + 12:.0f}">{100 * row.a10:.1f} %'
                f' <tspan class="small">of {short(row.count)}</tspan></text>'
            )
        y += bar + gap
    return _svg(width, round(y) + 4, parts, "Share of road points within 10 % of the truth")


def short(value: int) -> str:
    """Format a count in at most five characters: 812, 3.4k, 121k."""
    if value < 1000:
        return str(value)
    return f"{value / 1000:.1f}k" if value < 100_000 else f"{value // 1000}k"


def _svg(width: int, height: int, parts: Sequence[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{title}">'
        + "".join(parts)
        + "</svg>"
    )
