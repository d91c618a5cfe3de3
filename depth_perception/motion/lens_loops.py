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

"""Through which lens a camera sees, for loops over pixels."""

from __future__ import annotations

import numpy as np

from depth_perception.geometry.compiled import inlined

PINHOLE, POLYNOMIAL, EQUIDISTANT = 0, 1, 2
NEAREST = np.float32(0.05)
"""Nearer to a camera than this nothing is seen, in units of its depth."""
NOWHERE = np.float32(-1e6)
"""Where things come to lie that are not seen, px."""


@inlined
def place(kind, K, D, limit, x, y, z):  # type: ignore[no-untyped-def]
    """Project a point; far outside of the image where it is not seen.

    K is fx, skew, cx, fy, cy; D in OpenCV's order; limit the cosine of the largest angle seen.
    """
    a, b = NOWHERE, NOWHERE
    if kind == PINHOLE:
        if z > NEAREST:
            a, b = x / z, y / z
            a, b = K[0] * a + K[1] * b + K[2], K[3] * b + K[4]
    elif z > limit * np.sqrt(x * x + y * y + z * z):
        if kind == EQUIDISTANT:
            radius = np.sqrt(x * x + y * y)
            scale = np.float32(1.0)
            if radius > np.float32(1e-9):
                angle = np.arctan2(radius, z)
                square = angle * angle
                scale = (
                    angle
                    * (1 + square * (D[0] + square * (D[1] + square * (D[2] + square * D[3]))))
                    / radius
                )
            a, b = x * scale, y * scale
        else:
            a, b = x / z, y / z
            square = a * a + b * b
            radial = (1 + square * (D[0] + square * (D[1] + square * D[4]))) / (
                1 + square * (D[5] + square * (D[6] + square * D[7]))
            )
            tangent = 2 * a * b
            a, b = (
                a * radial + D[2] * tangent + D[3] * (square + 2 * a * a),
                b * radial + D[2] * (square + 2 * b * b) + D[3] * tangent,
            )
        a, b = K[0] * a + K[1] * b + K[2], K[3] * b + K[4]
    return np.float32(a), np.float32(b)
