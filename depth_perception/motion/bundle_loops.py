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

"""The loops of `bundle` over the points of all cameras. All write into arrays of the caller.

A point with the ray r (at present) and the inverse distance w is, for each camera and past set, at
P r + w b in the base frame at that set, and at D P r + w e in the camera at its own instant: both
are positions times w. P (m, K, 3, 3), b (m, K, 3), D (m, K, 3, 3) and e (m, K, 3) are arrays over m
cameras and K past sets.
"""

from __future__ import annotations

import numpy as np

from depth_perception.geometry.compiled import compiled, inlined


@inlined
def _turned(R, v0, v1, v2):  # type: ignore[no-untyped-def]
    return (
        R[0, 0] * v0 + R[0, 1] * v1 + R[0, 2] * v2,
        R[1, 0] * v0 + R[1, 1] * v1 + R[1, 2] * v2,
        R[2, 0] * v0 + R[2, 1] * v1 + R[2, 2] * v2,
    )


@compiled
def axes_across(then, across):  # type: ignore[no-untyped-def]
    """Find two axes across each observed ray.

    Args:
        then: (n, K, 3) unit rays; NaN where a point was not seen.
        across: (n, K, 2, 3), written: unit vectors, right-angled to the ray and to each other.
    """
    for i in range(then.shape[0]):
        for k in range(then.shape[1]):
            x, y, z = then[i, k, 0], then[i, k, 1], then[i, k, 2]
            # The ray crossed with whichever of the axes x and y it does not lie along.
            if abs(x) < 0.7:
                a0, a1, a2 = 0.0, z, -y
            else:
                a0, a1, a2 = -z, 0.0, x
            size = np.sqrt(a0 * a0 + a1 * a1 + a2 * a2)
            a0, a1, a2 = a0 / size, a1 / size, a2 / size
            across[i, k, 0, 0], across[i, k, 0, 1], across[i, k, 0, 2] = a0, a1, a2
            across[i, k, 1, 0] = y * a2 - z * a1
            across[i, k, 1, 1] = z * a0 - x * a2
            across[i, k, 1, 2] = x * a1 - y * a0


@compiled
def triangulate(now, seen, across, camera, P, D, e, least, farthest, inverse):  # type: ignore[no-untyped-def]
    """Find the inverse distances at which the motions agree best with what was seen.

    Args:
        now: (n, 3) unit rays of the optical frames at present.
        seen: (n, K) bool.
        across: (n, K, 2, 3) of `axes_across`.
        camera: (n,) int64, whose point it is.
        P: (m, K, 3, 3), see the module.
        D: (m, K, 3, 3).
        e: (m, K, 3).
        least: (m,) what a point counts for that lies far away, against 1/m of the others' slopes.
        farthest: Largest inverse distance, 1/m.
        inverse: (n,), written, 1/m.
    """
    for i in range(now.shape[0]):
        c = camera[i]
        up, down = 0.0, least[c]
        for k in range(seen.shape[1]):
            if not seen[i, k]:
                continue
            q0, q1, q2 = _turned(P[c, k], now[i, 0], now[i, 1], now[i, 2])
            r0, r1, r2 = _turned(D[c, k], q0, q1, q2)
            for axis in range(2):
                a = across[i, k, axis]
                error = a[0] * r0 + a[1] * r1 + a[2] * r2
                slope = a[0] * e[c, k, 0] + a[1] * e[c, k, 1] + a[2] * e[c, k, 2]
                up += error * slope
                down += slope * slope
        inverse[i] = min(max(-up / down, 0.0), farthest)


@compiled
def normal_equations(  # type: ignore[no-untyped-def]
    now, then, seen, across, camera, P, b, D, e, focal, inverse, width, fine, far_sigma,
    H, g, mixed, down, up,
):  # fmt: skip
    """Add up information and gradient of the motions, the points eliminated.

    Args:
        now: (n, 3) unit rays of the optical frames at present.
        then: (n, K, 3) those that were seen; NaN where they were not.
        seen: (n, K) bool.
        across: (n, K, 2, 3) of `axes_across`.
        camera: (n,) int64, whose point it is.
        P: (m, K, 3, 3), see the module.
        b: (m, K, 3).
        D: (m, K, 3, 3).
        e: (m, K, 3).
        focal: (m,) px per radian.
        inverse: (n,) inverse distances, 1/m.
        width: Of the robust weight, px.
        fine: Standard deviation of a point, px.
        far_sigma: Prior deviation of an inverse distance from zero, 1/m.
        H: (6 K, 6 K), added to: by each motion's twist on the left.
        g: (6 K,), added to.
        mixed: (n, 6 K), written: information between each point and the motions.
        down: (n,), written: each point's own.
        up: (n,), written: each point's gradient.
    """
    count = seen.shape[1]
    slopes = np.empty((2, 6))
    for i in range(now.shape[0]):
        c = camera[i]
        w = inverse[i]
        pull, own = w / far_sigma**2, 1 / far_sigma**2
        mixed[i] = 0
        for k in range(count):
            if not seen[i, k]:
                continue
            q0, q1, q2 = _turned(P[c, k], now[i, 0], now[i, 1], now[i, 2])
            r0, r1, r2 = _turned(D[c, k], q0, q1, q2)
            q0, q1, q2 = q0 + w * b[c, k, 0], q1 + w * b[c, k, 1], q2 + w * b[c, k, 2]
            r0, r1, r2 = r0 + w * e[c, k, 0], r1 + w * e[c, k, 1], r2 + w * e[c, k, 2]
            length = np.sqrt(r0 * r0 + r1 * r1 + r2 * r2)
            # Where a ray points away from what was observed its tangent is of no use.
            if not r0 * then[i, k, 0] + r1 * then[i, k, 1] + r2 * then[i, k, 2] > 0.5 * length:
                continue
            scale = focal[c] / length
            first, second = across[i, k, 0], across[i, k, 1]
            e0 = (first[0] * r0 + first[1] * r1 + first[2] * r2) * scale
            e1 = (second[0] * r0 + second[1] * r1 + second[2] * r2) * scale
            tamed = 1 + (e0 * e0 + e1 * e1) / width**2
            weight = 1 / (tamed * tamed * fine * fine)
            for axis in range(2):
                a0, a1, a2 = across[i, k, axis, 0], across[i, k, axis, 1], across[i, k, axis, 2]
                G0, G1, G2 = _turned(D[c, k].T, a0 * scale, a1 * scale, a2 * scale)
                J = slopes[axis]
                J[0], J[1], J[2] = G0 * w, G1 * w, G2 * w
                J[3], J[4], J[5] = q1 * G2 - q2 * G1, q2 * G0 - q0 * G2, q0 * G1 - q1 * G0
                error = e0 if axis == 0 else e1
                slope = (a0 * e[c, k, 0] + a1 * e[c, k, 1] + a2 * e[c, k, 2]) * scale
                pull += weight * slope * error
                own += weight * slope * slope
                for j in range(6):
                    mixed[i, 6 * k + j] += weight * slope * J[j]
                    g[6 * k + j] += weight * error * J[j]
            for row in range(6):
                left0, left1 = weight * slopes[0, row], weight * slopes[1, row]
                for column in range(row + 1):
                    H[6 * k + row, 6 * k + column] += (
                        left0 * slopes[0, column] + left1 * slopes[1, column]
                    )
        up[i], down[i] = pull, own
        for row in range(6 * count):
            left = mixed[i, row] / own
            if left != 0:
                g[row] -= left * pull
                for column in range(row + 1):
                    H[row, column] -= left * mixed[i, column]
    for row in range(6 * count):
        for column in range(row):
            H[column, row] = H[row, column]


@compiled
def move_points(step, mixed, down, up, farthest, inverse):  # type: ignore[no-untyped-def]
    """Take the points' share of a step of the motions.

    Args:
        step: (6 K,) twists of the motions.
        mixed: (n, 6 K) of `normal_equations`.
        down: (n,) likewise.
        up: (n,) likewise.
        farthest: Largest inverse distance, 1/m.
        inverse: (n,) inverse distances, 1/m, changed.
    """
    for i in range(len(inverse)):
        pull = up[i]
        for j in range(len(step)):
            pull += mixed[i, j] * step[j]
        inverse[i] = min(max(inverse[i] - pull / down[i], 0.0), farthest)
