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

"""The pixel loops of matching: from costs (`matching_costs`) to the inverse depth of each pixel.

They work on all depths of a pixel at once, in small whole numbers (`matching_vectors`). All write
into arrays that the caller gives.
"""

from __future__ import annotations

import numpy as np

from depth_perception.geometry.compiled import compiled, inlined
from depth_perception.motion.matching_costs import SCALE, fast
from depth_perception.motion.matching_vectors import INDEX_BITS, least_apart, least_of, step_along

ROWS = 4
"""So many rows are followed at once: one alone would wait for each of its own steps."""
_FAR = np.uint8(255)
"""Above every path's cost."""


@inlined
def _shift(base, v, u, row, column, reach):  # type: ignore[no-untyped-def]
    """By how many steps a pixel begins later than another, no more than ``reach`` either way."""
    return min(max(np.int64(base[v, u]) - np.int64(base[row, column]), -reach), reach)


@inlined
def _jump(image, v, u, row, column, jumps):  # type: ignore[no-untyped-def]
    """What a change by more than one step costs between two pixels."""
    return jumps[np.uint32(abs(np.int32(image[v, u]) - np.int32(image[row, column])))]


@inlined
def _begin(values, pad, planes):  # type: ignore[no-untyped-def]
    """Begin paths (k, n + 2 pad): as if the pixel before had cost nothing, whatever its depth."""
    for k in range(len(values)):
        for i in range(planes):
            values[k, pad + i] = np.uint8(0)


@fast
def aggregate(cost, base, image, small, jumps, even, lanes, total):  # type: ignore[no-untyped-def]
    """Semi-global matching: add the costs of the paths from left, right, above and below.

    Args:
        cost: (h, w, n) uint8.
        base: (h, w) int32: number of each pixel's first step.
        image: (h, w) uint8, grey.
        small: uint8: what a change by one step from pixel to pixel costs.
        jumps: (256,) uint8: what a larger one costs, by the difference of grey values; at least
            ``small``, and less than 256 with the largest cost.
        even: Whether all of ``base`` is the same number.
        lanes: `matching_vectors.blocks` of n.
        total: (h, w, n) uint16, written.
    """
    height, width, planes = cost.shape
    # Steps that the other pixel does not have are far off: they cost as a large change does.
    reach = 0 if even else planes + 1
    pad = reach + 1
    size = planes + 2 * pad
    along, down = np.full((2 * ROWS, size), _FAR), np.full((width, size), _FAR)
    rows, columns = along.ravel(), down.ravel()
    costs, sums = cost.ravel(), total.ravel()
    _begin(down, pad, planes)
    for top in range(0, height, ROWS):
        bottom = min(top + ROWS, height)
        total[top:bottom] = np.uint16(0)
        _begin(along, pad, planes)
        for u in range(width):
            back = width - 1 - u
            left, right = max(u - 1, 0), min(back + 1, width - 1)
            for v in range(top, bottom):
                here = (v - top) * 2 * size + pad
                step_along(
                    rows, here + _shift(base, v, u, v, left, reach), here,
                    costs, sums, (v * width + u) * planes,
                    _jump(image, v, u, v, left, jumps), small, lanes,
                )  # fmt: skip
                here += size
                step_along(
                    rows, here + _shift(base, v, back, v, right, reach), here,
                    costs, sums, (v * width + back) * planes,
                    _jump(image, v, back, v, right, jumps), small, lanes,
                )  # fmt: skip
        for v in range(top, bottom):
            last = max(v - 1, 0)
            for u in range(width):
                here = u * size + pad
                step_along(
                    columns, here + _shift(base, v, u, last, u, reach), here,
                    costs, sums, (v * width + u) * planes,
                    _jump(image, v, u, last, u, jumps), small, lanes,
                )  # fmt: skip
    _begin(down, pad, planes)
    for v in range(height - 1, -1, -1):
        last = min(v + 1, height - 1)
        for u in range(width):
            here = u * size + pad
            step_along(
                columns, here + _shift(base, v, u, last, u, reach), here,
                costs, sums, (v * width + u) * planes,
                _jump(image, v, u, last, u, jumps), small, lanes,
            )  # fmt: skip


@fast
def pick(total, cost, base, count, step, most, lanes, inverse_depth, ratio, bits, least):  # type: ignore[no-untyped-def] # fmt: skip
    """Take the inverse depth of least cost, between the steps, and say how well it stands out.

    Args:
        total: (h, w, n) uint16 aggregated costs; those from ``count`` on are made 65535.
        cost: (h, w, n) uint8 costs before aggregation.
        base: (h, w) int32: number of each pixel's first step.
        count: How many of the n there are.
        step: Between two steps, 1/m.
        most: Number of the last step that is looked for.
        lanes: `matching_vectors.blocks` of n.
        inverse_depth: (h, w) float32, 1/m; NaN at the first and the last step.
        ratio: (h, w) float32: least cost over the least of those more than two steps away; 1 is no
            better at all.
        bits: (h, w) float32: differing bits at the chosen step.
        least: (h, w) uint16: least aggregated cost.
    """
    height, width, planes = total.shape
    nothing, number = np.float32(np.nan), np.uint16(count)
    sums = total.ravel()
    for v in range(height):
        for u in range(width):
            at = (v * width + u) * planes
            for i in range(count, planes):
                sums[np.uint64(at + i)] = np.uint16(65535)
            key = least_of(sums, at, number, lanes)
            chosen = np.int64(key) & ((1 << INDEX_BITS) - 1)
            low = np.uint16(key >> np.uint16(INDEX_BITS))
            other = least_apart(sums, at, np.uint16(chosen), lanes)
            least[v, u] = low
            ratio[v, u] = np.float32(low) / max(np.float32(other), np.float32(1e-3))
            bits[v, u] = np.float32(cost[v, u, chosen]) / np.float32(SCALE)
            step_number = base[v, u] + chosen
            if chosen == 0 or chosen == count - 1 or step_number >= most:
                inverse_depth[v, u] = nothing
                continue
            left = np.float32(sums[np.uint64(at + chosen - 1)])
            right = np.float32(sums[np.uint64(at + chosen + 1)])
            slope = max(left, right) - np.float32(low)
            part = np.float32(0)
            if slope > 0:
                part = np.float32(0.5) * (left - right) / slope
            inverse_depth[v, u] = step * (np.float32(step_number) + part)


@compiled
def window_of(inverse_depth, step, planes, least, most, base):  # type: ignore[no-untyped-def]
    """Lay the steps of a finer level around what the coarser one found.

    Args:
        inverse_depth: (h, w) float32, 1/m, of the coarser level, which has half the size; NaN where
            it found nothing.
        step: Of the finer level, 1/m.
        planes: How many steps each pixel has there.
        least: Number of the first step of all.
        most: Number of the last.
        base: (H, W) int32, written; of the finer level.
    """
    rows, columns = inverse_depth.shape
    height, width = base.shape
    for v in range(height):
        row = min(v // 2, rows - 1)
        for u in range(width):
            w = inverse_depth[row, min(u // 2, columns - 1)]
            middle = np.int64(0) if np.isnan(w) else np.int64(np.rint(w / step))
            base[v, u] = max(least, min(middle - planes // 2, most - planes + 1))


@compiled
def cost_ratio_at(total, least, base, count, step, inverse_depth, ratio):  # type: ignore[no-untyped-def]
    """Say how a given inverse depth compares with the best one.

    Args:
        total: (h, w, n) aggregated costs.
        least: (h, w): least of them.
        base: (h, w) int32: number of the first step.
        count: How many of the n there are.
        step: Between two steps, 1/m.
        inverse_depth: (h, w) float32, 1/m; not above zero: not asked.
        ratio: (h, w) float32: cost there over the least of all steps, 1 is the best itself;
            infinite where nothing is asked or it is out of range.
    """
    height, width = inverse_depth.shape
    for v in range(height):
        for u in range(width):
            ratio[v, u] = np.float32(np.inf)
            w = inverse_depth[v, u]
            if not w > 0:
                continue
            i = int(np.floor(w / step)) - base[v, u]
            if i < 0 or i + 1 >= count:
                continue
            there = np.float32(min(total[v, u, i], total[v, u, i + 1]))
            ratio[v, u] = there / max(np.float32(least[v, u]), np.float32(1e-3))


@fast
def sensitivity(rays, inverse_depth, R, t, focal, equidistant, most, best):  # type: ignore[no-untyped-def]
    """By how many pixels a match moves when inverse depth changes by 1/m, in the best source.

    Of the angle between the rays, by the source's focal length: near enough for every lens.

    Args:
        rays: (h, w, 3) float32, third component 1; all 0 where nothing is seen.
        inverse_depth: (h, w) float32, 1/m; finite.
        R: (S, 3, 3) float32, from the reference's frame to each source's.
        t: (S, 3) float32 likewise, m.
        focal: (S,) float32, px.
        equidistant: (S,) bool: pixels do not get finer away from the axis.
        most: (h, w) float32, written.
        best: (h, w) uint8, written: index of that source.
    """
    height, width = inverse_depth.shape
    zero, tiny = np.float32(0), np.float32(1e-12)
    for v in range(height):
        number, row, ray, w = best[v], most[v], rays[v], inverse_depth[v]
        for u in range(width):
            row[u] = zero
            number[u] = np.uint8(0)
        for s in range(len(t)):
            tx, ty, tz, flat = t[s, 0], t[s, 1], t[s, 2], not equidistant[s]
            whole, square_focal = tx * tx + ty * ty + tz * tz, focal[s] * focal[s]
            for u in range(width):
                a, b, c = ray[u, 0], ray[u, 1], ray[u, 2]
                x = R[s, 0, 0] * a + R[s, 0, 1] * b + R[s, 0, 2] * c + w[u] * tx
                y = R[s, 1, 0] * a + R[s, 1, 1] * b + R[s, 1, 2] * c + w[u] * ty
                z = R[s, 2, 0] * a + R[s, 2, 1] * b + R[s, 2, 2] * c + w[u] * tz
                square = max(x * x + y * y + z * z, tiny)
                along = x * tx + y * ty + z * tz
                # The square of the angle's change, and of the pixels' in a flat image.
                over = max(z, zero) * max(z, zero) if flat else square
                out = max(whole * square - along * along, zero) * square_focal
                out = out / max(over * over, tiny * tiny) if over > zero else zero
                number[u] = np.uint8(s) if out > row[u] else number[u]
                row[u] = max(row[u], out)
        for u in range(width):
            row[u] = np.sqrt(row[u])
