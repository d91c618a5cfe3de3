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

"""Where in the image depth is wrong, and to which side: errors by cell of each camera's image.

In: predictions and truths with their positions in the depth image. Out: `ErrorMap`, the median
signed error of each cell. A median, since a few points past the edge of an object, where depth may
be wrong by ten times, would colour a whole cell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depth_perception.evaluation.metrics import covered
from depth_perception.geometry.depth_values import is_measured

COLUMNS = 16
"""Cells side by side: each a sixteenth of the image wide."""

FEWEST_POINTS = 20
"""Of a cell with fewer points the median says too little to be coloured."""

BIN = 0.005
"""Width of the bins that medians are read from: relative error."""

LARGEST = 1.0
"""Errors beyond this count as this: +100 % and more."""

_BINS = round(2 * LARGEST / BIN) + 1
"""From -100 % to +100 %; the last holds all that is beyond."""


@dataclass(frozen=True)
class ErrorMap:
    """Signed errors over the image of one camera.

    Attributes:
        columns: Cells side by side.
        rows: Cells above one another; cells are about square.
        size: (width, height) of the depth image, px.
        median: Row by row from the upper left, the median of estimated / true depth - 1 in each
            cell: below 0 too near, above 0 too far; NaN without points.
        count: Points with a depth in each cell.
        truth_count: Points with truth in each cell.
    """

    columns: int
    rows: int
    size: tuple[int, int]
    median: list[float]
    count: list[int]
    truth_count: list[int]

    def shown(self) -> list[bool]:
        """Tell which cells have enough points to be coloured."""
        return [count >= FEWEST_POINTS for count in self.count]


class ErrorMapCounter:
    """Counts the errors of one camera by one estimator, image by image."""

    def __init__(self, size: tuple[int, int]) -> None:
        """Take the (width, height) of the depth image, px."""
        self.size = size
        self.columns = COLUMNS
        self.rows = max(1, round(COLUMNS * size[1] / size[0]))
        self._histogram = np.zeros((self.rows * self.columns, _BINS), dtype=np.int64)
        self._truth = np.zeros(self.rows * self.columns, dtype=np.int64)

    def add(
        self,
        uv: NDArray[np.floating],
        prediction: NDArray[np.floating],
        truth: NDArray[np.floating],
    ) -> None:
        """Count the errors at (N, 2) positions, px; predictions and truths are (N,) metres."""
        prediction, truth = np.asarray(prediction, float), np.asarray(truth, float)
        # Pixel centres are at integers: the image begins half a pixel before the first.
        place = np.floor((np.asarray(uv) + 0.5) / self.size * (self.columns, self.rows))
        column, row = np.clip(place, 0, (self.columns - 1, self.rows - 1)).astype(np.int64).T
        cell = row * self.columns + column
        known = is_measured(truth)
        self._truth += np.bincount(cell[known], minlength=len(self._truth))
        use = covered(prediction, truth)
        signed = np.clip(prediction[use] / truth[use] - 1, -LARGEST, LARGEST)
        place = np.minimum(np.floor((signed + LARGEST) / BIN), _BINS - 1).astype(np.int64)
        flat = np.bincount(cell[use] * _BINS + place, minlength=self._histogram.size)
        self._histogram += flat.reshape(self._histogram.shape)

    def map(self) -> ErrorMap:
        """Give the map of what was counted so far."""
        return ErrorMap(
            self.columns,
            self.rows,
            self.size,
            [round(_median(row), 4) for row in self._histogram],
            [int(row.sum()) for row in self._histogram],
            self._truth.tolist(),
        )


def _median(counts: NDArray[np.int64]) -> float:
    """Read the median from bins, straight between the ends of the bin that it falls into."""
    total = counts.sum()
    if not total:
        return math.nan
    ends = np.cumsum(counts)
    k = int(np.searchsorted(ends, total / 2))
    within = (total / 2 - (ends[k] - counts[k])) / counts[k]
    return float(min((k + within) * BIN - LARGEST, LARGEST))


class ErrorMaps:
    """Counters by estimator and camera."""

    def __init__(self) -> None:
        """Begin with none."""
        self._counters: dict[tuple[str, str], ErrorMapCounter] = {}

    def add(
        self,
        what: str,
        camera: str,
        size: tuple[int, int],
        uv: NDArray[np.floating],
        prediction: NDArray[np.floating],
        truth: NDArray[np.floating],
    ) -> None:
        """Count one image's errors; images that change their size midway are counted together."""
        key = what, camera
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = ErrorMapCounter(size)
        # Cells are shares of the image.
        uv = (np.asarray(uv) + 0.5) * np.divide(counter.size, size) - 0.5
        counter.add(uv, prediction, truth)

    def maps(self) -> dict[str, dict[str, ErrorMap]]:
        """Give the maps by estimator, then by camera; those without any truth are left out."""
        found: dict[str, dict[str, ErrorMap]] = {}
        for (what, camera), counter in self._counters.items():
            made = counter.map()
            if any(made.truth_count):
                found.setdefault(what, {})[camera] = made
        return found


def pixel_positions(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return (h * w, 2) the positions of all pixels, row by row."""
    v, u = np.indices(shape)
    return np.stack([u.ravel(), v.ravel()], axis=1).astype(np.float64)
