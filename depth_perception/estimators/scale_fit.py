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

"""Scale and shift that bring inverse relative depth to metres, from pixels whose depth is known.

1/Z = scale * relative + shift, or for networks of depth Z = scale * relative + shift, fitted so
that outliers (things that stand on what was taken for road, edges) do not count. Plain functions
of arrays; the same pixels give the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.depth_values import is_measured

LEAST_PIXELS = 200
_ROUNDS = 30
_TOLERANCE = 0.03
"""Relative errors beyond it count with less and less weight."""


@dataclass(frozen=True)
class Fit:
    """Scale and shift.

    Attributes:
        scale: For each unit of what the network says, 1/m, or m of depth; above 0.
        shift: 1/m, or m.
        error: Median relative error of the depth over the pixels of the fit.
        of_depth: Scale and shift are those of depth, not of inverse depth.
    """

    scale: float
    shift: float
    error: float
    of_depth: bool = False

    def inverse_depth(self, relative: NDArray[np.floating]) -> NDArray[np.float32]:
        """1/Z of relative inverse depth, 1/m; NaN where depth came out behind the lens."""
        if not self.of_depth:
            return _line(relative, self.scale, self.shift)
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = _line(1 / np.asarray(relative), self.scale, self.shift)
            return np.where(depth > 0, 1 / depth, np.float32(np.nan))


def fit_depth(relative: NDArray[np.floating], inverse: NDArray[np.floating]) -> Fit | None:
    """Fit scale and shift of depth; see `fit`, whose arguments these are, too."""
    relative, inverse = np.asarray(relative, np.float64), np.asarray(inverse, np.float64)
    good = is_measured(relative) & is_measured(inverse)
    relative, inverse = relative[good], inverse[good]
    line = fit(1 / relative, 1 / inverse)
    if line is None:
        return None
    found = Fit(line.scale, line.shift, 0.0, of_depth=True)
    return replace(found, error=error_of(found.inverse_depth(relative), inverse))


def fit(relative: NDArray[np.floating], inverse: NDArray[np.floating]) -> Fit | None:
    """Fit scale and shift.

    Least squares of the relative error, reweighted (Geman-McClure); the start is the line through
    the medians of the near and the far third, which a third of outliers does not move much.

    Args:
        relative: (n,) inverse relative depth.
        inverse: (n,) 1/Z of the same pixels, 1/m, above 0.

    Returns:
        None where there are too few pixels, all of one depth, or nearer comes out farther.
    """
    relative, inverse = np.asarray(relative, np.float64), np.asarray(inverse, np.float64)
    good = np.isfinite(relative) & is_measured(inverse)
    relative, inverse = relative[good], inverse[good]
    if len(relative) < LEAST_PIXELS:
        return None
    near, far = np.quantile(inverse, [2 / 3, 1 / 3])
    upper, lower = inverse >= near, inverse <= far
    run = np.median(relative[upper]) - np.median(relative[lower])
    if not run > 1e-9 * max(1.0, float(np.abs(relative).max())):
        return None
    scale = (np.median(inverse[upper]) - np.median(inverse[lower])) / run
    shift = np.median(inverse - scale * relative)
    weight = 1 / inverse
    ones = np.ones_like(relative)
    for _ in range(_ROUNDS):
        error = (scale * relative + shift) / inverse - 1
        tolerance = max(_TOLERANCE, 1.5 * float(np.median(np.abs(error))))
        trust = weight / (1 + (error / tolerance) ** 2)
        matrix = np.stack([relative, ones], axis=1) * trust[:, None]
        (scale, shift), *_ = np.linalg.lstsq(matrix, inverse * trust, rcond=None)
    if not (np.isfinite(scale) and scale > 0):
        return None
    return Fit(float(scale), float(shift), error_of(scale * relative + shift, inverse))


def error_of(found: NDArray[np.floating], inverse: NDArray[np.floating]) -> float:
    """Median relative error of depth, from inverse depths; infinity where none are known."""
    known = ~np.isnan(found)
    if not known.any():
        return float("inf")
    return float(np.median(np.abs(inverse[known] / np.maximum(found[known], 1e-6) - 1)))


def _line(x: NDArray[np.floating], scale: float, shift: float) -> NDArray[np.float32]:
    return np.asarray(x * np.float32(scale) + np.float32(shift), np.float32)
