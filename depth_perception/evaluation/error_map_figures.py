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

"""Error maps as the page shows them: colours, words, and the sentence that names the worst place.

In: `ErrorMap`s by estimator and camera. Out: `MapFigure`s, whose cells the template lays over the
camera's dimmed image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from depth_perception.evaluation.error_figures import EMBODIED, NAMES
from depth_perception.evaluation.error_map import FEWEST_POINTS, LARGEST, ErrorMap
from depth_perception.evaluation.formats import number
from depth_perception.evaluation.pictures import error_colours

LIMITS = (0.05, 0.1, 0.25, 0.5)
"""Ends of the scale: the first that nine of ten cells stay within is taken."""

NOTABLE = 0.02
"""Regions that are off by less are not called the worst."""

WRITTEN = 0.5
"""Cells whose error is at least this share of the scale's end have their number written in them."""

DARK = 130.0
"""Luminance below which a cell is dark."""

FEW = 0.02
"""Regions with a smaller share of the camera's points are not called the worst."""

_DOWN = ("upper", "middle", "lower")
_ACROSS = ("left", "centre", "right")


@dataclass(frozen=True)
class Cell:
    """One cell: its colour (empty: too few points), what is written in it, and its hint.

    ``dark`` tells that the colour is: words on it are to be light.
    """

    colour: str
    text: str
    hint: str
    dark: bool = False


@dataclass(frozen=True)
class MapFigure:
    """One map.

    Attributes:
        camera: Its name.
        columns: Cells side by side.
        size: (width, height) of the image, px.
        cells: Row by row.
        reading: What it shows, in a sentence.
    """

    camera: str
    columns: int
    size: tuple[int, int]
    cells: list[Cell]
    reading: str


@dataclass(frozen=True)
class MapRow:
    """The maps of all cameras by one estimator, or of one run."""

    title: str
    figures: list[MapFigure]


@dataclass(frozen=True)
class Region:
    """A ninth of a camera's image, and by how much depth is off there."""

    camera: str
    place: str
    error: float
    points: int


def map_limit(maps: Iterable[ErrorMap]) -> float:
    """Choose where the scale of these maps ends: relative error."""
    cells = [
        abs(value)
        for item in maps
        for value, shown in zip(item.median, item.shown(), strict=True)
        if shown
    ]
    high = float(np.quantile(cells, 0.9)) if cells else 0.0
    return next((limit for limit in LIMITS if high <= limit), LIMITS[-1])


def map_rows(
    maps: Mapping[str, Mapping[str, ErrorMap]],
    estimator: str,
    limit: float,
    order: Iterable[str] = (),
) -> list[MapRow]:
    """Draw all maps on one scale that ends at ``limit``, the published depth's first.

    ``order`` is that of the cameras; those that it does not name come last.
    """
    order = list(order)
    titles = {"depth image": NAMES.get(estimator, estimator), EMBODIED: EMBODIED}
    return [
        MapRow(
            titles.get(what, what),
            [map_figure(name, cameras[name], limit) for name in in_order(cameras, order)],
        )
        for what, cameras in maps.items()
    ]


def in_order(cameras: Iterable[str], order: Iterable[str]) -> list[str]:
    """Sort names as ``order`` has them; those that it does not name come last."""
    places = {name: k for k, name in enumerate(order)}
    return sorted(cameras, key=lambda name: places.get(name, len(places)))


def map_figure(camera: str, item: ErrorMap, limit: float) -> MapFigure:
    """Draw one map on a scale that ends at ``limit``."""
    cells = [
        _cell(*values, limit)
        for values in zip(item.median, item.count, item.truth_count, item.shown(), strict=True)
    ]
    return MapFigure(camera, item.columns, item.size, cells, _reading(camera, item))


def _cell(median: float, count: int, truth: int, shown: bool, limit: float) -> Cell:
    missing = f", {truth - count:,} more without a depth" if truth > count else ""
    points = f"{count:,} point{'' if count == 1 else 's'}{missing}"
    if not shown:
        return Cell("", "", f"{points}: too few" if truth else "no truth here")
    text = f"{100 * median:+.0f}" if abs(median) >= WRITTEN * limit else ""
    return Cell(
        map_colour(median, limit),
        text,
        f"{side(median)}, {points}",
        dark=_luminance(median, limit) < DARK,
    )


def _luminance(error: float, limit: float) -> float:
    """Return how bright an error's colour is, 0 to 255."""
    colour = map_colour(error, limit)
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return 0.3 * red + 0.59 * green + 0.11 * blue


def map_colour(error: float, limit: float) -> str:
    """Give the colour of an error for the page: blue too near, red too far."""
    scaled = np.array([error / limit * 0.25])  # `error_colours` ends at 25 %
    blue, green, red = error_colours(scaled)[0]
    return f"#{red:02x}{green:02x}{blue:02x}"


def side(error: float) -> str:
    """Say an error in words: "12 % too near"."""
    percent = number(100 * abs(error), 0 if abs(error) >= 0.1 else 1)
    if float(percent) == 0:
        return "right"
    more = " or more" if error >= LARGEST else ""
    return f"{percent} %{more} too {'near' if error < 0 else 'far'}"


def regions(camera: str, item: ErrorMap) -> list[Region]:
    """Sum up the cells by ninths of the image: the mean of their medians, by number of points."""
    found = []
    row, column = np.divmod(np.arange(len(item.count)), item.columns)
    ninth = row * 3 // item.rows * 3 + column * 3 // item.columns
    shown, count = np.array(item.shown()), np.array(item.count)
    for k in range(9):
        use = shown & (ninth == k)
        if use.any():
            mean = float(np.average(np.array(item.median)[use], weights=count[use]))
            place = f"{_DOWN[k // 3]} {_ACROSS[k % 3]}".replace("middle centre", "centre")
            found.append(Region(camera, place, mean, int(count[use].sum())))
    return found


def _reading(camera: str, item: ErrorMap) -> str:
    total = sum(item.count)
    found = regions(camera, item)
    if not found:
        return f"{total:,} points: in no cell {FEWEST_POINTS} of them."
    worst = _worst(found)
    if abs(worst.error) < NOTABLE:
        return f"{total:,} points; no part of the image is off by more than 2 %."
    return f"{total:,} points; most off {worst.place}: {side(worst.error)}."


def _worst(found: Sequence[Region]) -> Region:
    """Return the region that is most off; a handful of points at the rim is no place to begin."""
    enough = FEW * sum(region.points for region in found)
    return max((r for r in found if r.points >= enough), key=lambda region: abs(region.error))


def worst_places(maps: Mapping[str, ErrorMap], most: int = 3) -> list[Region]:
    """Name the cameras whose depth is most off, and where in their image, worst first."""
    every = [_worst(found) for name, item in maps.items() if (found := regions(name, item))]
    notable = [region for region in every if abs(region.error) >= NOTABLE]
    return sorted(notable, key=lambda region: -abs(region.error))[:most]


def legend(limit: float) -> list[tuple[str, str]]:
    """Colours and words of the scale, from too near to too far."""
    steps: Sequence[float] = (-1, -0.5, 0, 0.5, 1)
    return [
        (map_colour(k * limit, limit), f"{100 * k * limit:+g} %" if k else "right") for k in steps
    ]
