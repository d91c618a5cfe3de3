"""Scale and shift that bring inverse relative depth to metres, from pixels whose depth is known.

1/Z = scale * relative + shift, fitted so that outliers (things that stand on what was taken for
road, edges) do not count. Plain functions of arrays; the same pixels give the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_PIXELS = 200
_ROUNDS = 30
_TOLERANCE = 0.03
"""Relative errors beyond it count with less and less weight."""


@dataclass(frozen=True)
class Fit:
    """Scale and shift.

    Attributes:
        scale: 1/m for each unit of relative inverse depth; above 0.
        shift: 1/m.
        error: Median relative error of the depth over the pixels of the fit.
    """

    scale: float
    shift: float
    error: float

    def inverse_depth(self, relative: NDArray[np.floating]) -> NDArray[np.float32]:
        """1/Z of relative inverse depth, 1/m."""
        return np.asarray(relative * np.float32(self.scale) + np.float32(self.shift), np.float32)


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
    good = np.isfinite(relative) & np.isfinite(inverse) & (inverse > 0)
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
    """Median relative error of depth, from inverse depths; infinity where there are none."""
    if not len(inverse):
        return float("inf")
    return float(np.median(np.abs(inverse / np.maximum(found, 1e-6) - 1)))
