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

"""Lens distortion of ``sensor_msgs/CameraInfo``, there and back, on normalised coordinates.

Normalised coordinates (x, y) are those of the ray (x, y, 1). Polynomial models (plumb_bob,
rational_polynomial) map them to distorted ones; the equidistant fisheye maps angles.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_NEGLIGIBLE = 1e-60


def _coefficients(D: NDArray[np.float64]) -> tuple[float, ...]:
    """k1 k2 p1 p2 k3 k4 k5 k6, zero where absent."""
    k = np.zeros(8)
    k[: D.size] = D[:8]
    return tuple(float(value) for value in k)


def distort_polynomial(xy: NDArray[np.float64], D: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply plumb_bob or rational_polynomial to normalised (N, 2) coordinates."""
    if not np.any(D):
        return xy
    radius = np.hypot(xy[:, 0], xy[:, 1])
    seen = np.where((radius < _turning_radius(D))[:, None], xy, np.nan)
    return _polynomial_and_slopes(seen, D)[0]


def _polynomial_and_slopes(
    xy: NDArray[np.float64], D: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Distorted coordinates (N, 2) and dx'/dx, dx'/dy = dy'/dx, dy'/dy, each (N,).

    Source: the lens model of OpenCV's calib3d, which CameraInfo names plumb_bob and
    rational_polynomial.
    """
    k1, k2, p1, p2, k3, k4, k5, k6 = _coefficients(D)
    x, y = xy[:, 0], xy[:, 1]
    s = x * x + y * y
    top, bottom = 1 + s * (k1 + s * (k2 + s * k3)), 1 + s * (k4 + s * (k5 + s * k6))
    radial = top / bottom
    slope = (k1 + s * (2 * k2 + s * 3 * k3) - radial * (k4 + s * (2 * k5 + s * 3 * k6))) / bottom
    cross = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y
    out = np.empty_like(xy)
    out[:, 0] = x * radial + 2 * p1 * x * y + p2 * (s + 2 * x * x)
    out[:, 1] = y * radial + p1 * (s + 2 * y * y) + 2 * p2 * x * y
    xx = radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x
    yy = radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x
    return out, xx, cross, yy


def _turning_radius(D: NDArray[np.float64]) -> float:
    """Normalised radius at which the radial polynomial stops growing; infinity when it never does.

    Beyond it a lens model folds the scene back into the image: those points are not seen.
    """
    k1, k2, _, _, k3, k4, k5, k6 = _coefficients(D)
    # In s = r^2: r_d^2 = s N(s)^2 / Q(s)^2 grows while N Q + 2 s (N' Q - N Q') > 0.
    N = np.polynomial.Polynomial([1.0, k1, k2, k3])
    Q = np.polynomial.Polynomial([1.0, k4, k5, k6])
    s = np.polynomial.Polynomial([0.0, 1.0])
    growth = N * Q + 2 * s * (N.deriv() * Q - N * Q.deriv())
    return float(np.sqrt(min(_first_root(growth), _first_root(Q))))


def _first_root(polynomial: np.polynomial.Polynomial) -> float:
    """Return the smallest real root above zero; infinity when there is none."""
    coefficients = polynomial.coef
    # One of 1e-300 matters nowhere that light comes from, and is nothing to divide by.
    used = np.flatnonzero(np.abs(coefficients) > _NEGLIGIBLE * np.abs(coefficients).max())
    if used.size == 0 or used[-1] == 0:
        return np.inf
    roots = map(complex, np.polynomial.Polynomial(coefficients[: used[-1] + 1]).roots())
    real = [z.real for z in roots if abs(z.imag) < 1e-9 * (1 + abs(z)) and z.real > 0]
    return min(real) if real else np.inf


def undistort_polynomial(xy: NDArray[np.float64], D: NDArray[np.float64]) -> NDArray[np.float64]:
    """Invert `distort_polynomial` by Newton; NaN where no seen point ends in that pixel."""
    r_max = _turning_radius(D)
    points = xy.copy()
    if np.isfinite(r_max):
        # Near the turning radius the slope vanishes and Newton leaps: start well inside of it.
        radius = np.hypot(xy[:, 0], xy[:, 1])
        points *= np.minimum(1, 0.7 * r_max / np.maximum(radius, 1e-12))[:, None]
    for _ in range(30):
        value, xx, cross, yy = _polynomial_and_slopes(points, D)
        error = value - xy
        with np.errstate(divide="ignore", invalid="ignore"):
            determinant = xx * yy - cross * cross
            dx = (yy * error[:, 0] - cross * error[:, 1]) / determinant
            dy = (xx * error[:, 1] - cross * error[:, 0]) / determinant
        points = points - np.stack([dx, dy], axis=1)
        # As nanmax, which takes no initial value before NumPy 1.22.
        if np.fmax.reduce(np.abs(error), axis=None, initial=0.0) < 1e-12:
            break
    with np.errstate(invalid="ignore"):
        good = np.abs(distort_polynomial(points, D) - xy).max(axis=1) < 1e-7
    return np.where(good[:, None], points, np.nan)


def distort_equidistant(p: NDArray[np.float64], D: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kannala-Brandt fisheye, also beyond 90 degrees, where OpenCV's own stops.

    theta_d = theta (1 + k1 theta^2 + k2 theta^4 + k3 theta^6 + k4 theta^8).
    """
    radius = np.hypot(p[:, 0], p[:, 1])
    theta = np.arctan2(radius, p[:, 2])
    theta_d = theta * _equidistant_series(theta, D)
    theta_d = np.where(theta < _turning_angle(D), theta_d, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(
            radius > 1e-12, theta_d / radius, np.where(p[:, 2] > 0, 1 / p[:, 2], np.nan)
        )
    return p[:, :2] * scale[:, None]


def undistort_equidistant(xy: NDArray[np.float64], D: NDArray[np.float64]) -> NDArray[np.float64]:
    """Invert `distort_equidistant` by Newton; NaN at and beyond 90 degrees, where depth ends."""
    theta_d = np.hypot(xy[:, 0], xy[:, 1])
    limit = _turning_angle(D)
    theta = np.minimum(theta_d, 0.95 * min(limit, np.pi))
    k = np.zeros(4)
    k[: D.size] = D
    for _ in range(25):
        t2 = theta * theta
        slope = 1 + t2 * (3 * k[0] + t2 * (5 * k[1] + t2 * (7 * k[2] + t2 * 9 * k[3])))
        step = (theta * _equidistant_series(theta, D) - theta_d) / np.where(slope > 0.05, slope, 1)
        theta = np.clip(theta - step, 0, min(limit, np.pi))
    good = np.abs(theta * _equidistant_series(theta, D) - theta_d) < 1e-9
    good &= theta < np.pi / 2 - 1e-6
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(theta_d > 1e-12, np.tan(theta) / theta_d, 1.0)
    return np.where(good[:, None], xy * scale[:, None], np.nan)


def _equidistant_series(theta: NDArray[np.float64], D: NDArray[np.float64]) -> NDArray[np.float64]:
    k = np.zeros(4)
    k[: D.size] = D
    t2 = theta * theta
    return 1 + t2 * (k[0] + t2 * (k[1] + t2 * (k[2] + t2 * k[3])))


def _turning_angle(D: NDArray[np.float64]) -> float:
    """Angle at which the fisheye series stops growing; infinity when it never does."""
    k = np.zeros(4)
    k[: D.size] = D
    growth = np.polynomial.Polynomial([1, 3 * k[0], 5 * k[1], 7 * k[2], 9 * k[3]])
    return float(np.sqrt(_first_root(growth)))
