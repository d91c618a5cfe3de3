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

"""The pixel loops of matching along epipolar lines. All write into arrays that the caller gives.

``census`` images are (h, w) uint32, 24 bits each. A cost volume is (h, w, n): one cost for each
pixel and each of n inverse depths at even steps, so that what one pixel needs lies together.
"""

from __future__ import annotations

import numba
import numpy as np

from depth_perception.geometry.compiled import compiled, inlined

PINHOLE, POLYNOMIAL, EQUIDISTANT = 0, 1, 2
MOST_DIFFERENT = 12
"""More of the 24 bits that differ say no more than this."""
_NEAR = np.float32(0.05)
"""Nearer to a source than this nothing is seen, in units of its depth."""
SCALE = 4
"""Costs are means over sources, in quarters of a bit."""


def fast(loop):  # type: ignore[no-untyped-def]
    """Compile a loop whose numbers are all finite, so that sums and minima may be reordered."""
    try:
        return numba.njit(nogil=True, cache=True, fastmath=True)(loop)
    except RuntimeError:  # see `compiled`
        return numba.njit(nogil=True, fastmath=True)(loop)


@compiled
def census(image, out):  # type: ignore[no-untyped-def]
    """Compare each pixel with every second one of the 7x7 around it: one bit where that is lighter.

    What lighting, exposure and vignette do to a neighbourhood as a whole changes no bit.
    """
    height, width = image.shape
    for v in range(height):
        for u in range(width):
            centre = image[v, u]
            bits = np.uint32(0)
            for dv in range(-3, 4):
                row = min(max(v + dv, 0), height - 1)
                for du in range(-3, 4):
                    if (du + dv) % 2 == 0 and (du != 0 or dv != 0):
                        column = min(max(u + du, 0), width - 1)
                        bits <<= np.uint32(1)
                        if image[row, column] > centre:
                            bits |= np.uint32(1)
            out[v, u] = bits


@inlined
def _count_bits(bits):  # type: ignore[no-untyped-def]
    bits = bits - ((bits >> np.uint32(1)) & np.uint32(0x55555555))
    bits = (bits & np.uint32(0x33333333)) + ((bits >> np.uint32(2)) & np.uint32(0x33333333))
    bits = (bits + (bits >> np.uint32(4))) & np.uint32(0x0F0F0F0F)
    return (bits * np.uint32(0x01010101)) >> np.uint32(24)


@inlined
def _place(kind, K, D, x, y, z):  # type: ignore[no-untyped-def]
    """Project a point; K is fx, skew, cx, fy, cy; D in OpenCV's order. Not a number: unseen."""
    if kind == EQUIDISTANT:
        radius = np.sqrt(x * x + y * y)
        if radius < 1e-9:
            scale = np.float32(1.0)
        else:
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
        if kind == POLYNOMIAL:
            square = a * a + b * b
            radial = (1 + square * (D[0] + square * (D[1] + square * D[4]))) / (
                1 + square * (D[5] + square * (D[6] + square * D[7]))
            )
            tangent = 2 * a * b
            a, b = (
                a * radial + D[2] * tangent + D[3] * (square + 2 * a * a),
                b * radial + D[2] * (square + 2 * b * b) + D[3] * tangent,
            )
    return K[0] * a + K[1] * b + K[2], K[3] * b + K[4]


@compiled
def compare_pinhole(reference, source, rays, M, m, first, step, add, cost, seen):  # type: ignore[no-untyped-def]
    """Compare every pixel with where it would lie in a pinhole source, for each inverse depth.

    Args:
        reference: (h, w) census.
        source: (H, W) census.
        rays: (h, w, 3) float32, third component 1; NaN where nothing is seen.
        M: (3, 3) float32, K R from the reference's frame to the source.
        m: (3,) float32, K t likewise.
        first: Inverse depth of the first step, 1/m.
        step: Between two steps, 1/m.
        add: False for the first source, whose costs replace what is there.
        cost: (h, w, n) uint8: sum over the sources of bits that differ.
        seen: (h, w, n) uint8: by how many sources.
    """
    height, width, planes = cost.shape
    right, bottom = np.float32(source.shape[1] - 0.5), np.float32(source.shape[0] - 0.5)
    half, most = np.float32(0.5), np.uint8(MOST_DIFFERENT)
    m0, m1, m2 = m[0], m[1], m[2]
    for v in range(height):
        for u in range(width):
            ray_x, ray_y = rays[v, u, 0], rays[v, u, 1]
            x0 = M[0, 0] * ray_x + M[0, 1] * ray_y + M[0, 2]
            y0 = M[1, 0] * ray_x + M[1, 1] * ray_y + M[1, 2]
            z0 = M[2, 0] * ray_x + M[2, 1] * ray_y + M[2, 2]
            code = reference[v, u]
            for i in range(planes):
                w = first + step * np.float32(i)
                z = z0 + m2 * w
                bits, inside = np.uint8(0), np.uint8(0)
                if z > _NEAR:
                    over = np.float32(1) / z
                    a = (x0 + m0 * w) * over + half
                    b = (y0 + m1 * w) * over + half
                    # Not a number is not inside either.
                    if a > 0 and b > 0 and a < right + half and b < bottom + half:
                        inside = np.uint8(1)
                        bits = min(np.uint8(_count_bits(code ^ source[int(b), int(a)])), most)
                if add:
                    cost[v, u, i] += bits
                    seen[v, u, i] += inside
                else:
                    cost[v, u, i] = bits
                    seen[v, u, i] = inside


@compiled
def compare_lens(reference, source, rays, R, t, kind, K, D, limit, first, step, add, cost, seen):  # type: ignore[no-untyped-def]
    """The same for a source with a lens that bends lines.

    Args:
        reference: As in `compare_pinhole`.
        source: As there.
        rays: As there.
        R: (3, 3) float32, from the reference's frame to the source's.
        t: (3,) float32 likewise, m.
        kind: `POLYNOMIAL` or `EQUIDISTANT`.
        K: fx, skew, cx, fy, cy.
        D: (8,) float32, distortion in OpenCV's order.
        limit: Cosine of the largest angle to its axis that the source sees.
        first: As in `compare_pinhole`.
        step: As there.
        add: As there.
        cost: As there.
        seen: As there.
    """
    height, width, planes = cost.shape
    rows, columns = source.shape
    for v in range(height):
        for u in range(width):
            ray_x, ray_y = rays[v, u, 0], rays[v, u, 1]
            x0 = R[0, 0] * ray_x + R[0, 1] * ray_y + R[0, 2]
            y0 = R[1, 0] * ray_x + R[1, 1] * ray_y + R[1, 2]
            z0 = R[2, 0] * ray_x + R[2, 1] * ray_y + R[2, 2]
            code = reference[v, u]
            for i in range(planes):
                w = first + step * np.float32(i)
                x, y, z = x0 + t[0] * w, y0 + t[1] * w, z0 + t[2] * w
                bits, inside = np.uint8(0), np.uint8(0)
                if z > limit * np.sqrt(x * x + y * y + z * z):
                    a, b = _place(kind, K, D, x, y, z)
                    if a > -0.5 and b > -0.5 and a < columns - 0.5 and b < rows - 0.5:
                        inside = np.uint8(1)
                        at = source[int(b + np.float32(0.5)), int(a + np.float32(0.5))]
                        bits = min(np.uint8(_count_bits(code ^ at)), np.uint8(MOST_DIFFERENT))
                if add:
                    cost[v, u, i] += bits
                    seen[v, u, i] += inside
                else:
                    cost[v, u, i] = bits
                    seen[v, u, i] = inside


@compiled
def mean_costs(bits, seen, out):  # type: ignore[no-untyped-def]
    """Mean over the sources, in quarters of a bit.

    Where no source sees a place the cost says nothing: it is that of a coin.
    """
    height, width, planes = bits.shape
    share = np.zeros(256, np.float32)
    for count in range(1, 256):
        share[count] = np.float32(SCALE) / np.float32(count)
    for v in range(height):
        for u in range(width):
            for i in range(planes):
                count = seen[v, u, i]
                out[v, u, i] = np.float32(bits[v, u, i]) * share[count]
                if count == 0:
                    out[v, u, i] = np.float32(MOST_DIFFERENT * SCALE)


@fast
def aggregate_rows(cost, image, small, large, total, reverse):  # type: ignore[no-untyped-def]
    """Semi-global matching along the rows; adds path costs to ``total``.

    A change by one step costs ``small``, a larger one ``large``, less where the image has an edge.
    """
    height, width, planes = cost.shape
    before = np.empty(planes + 2, np.float32)
    now = np.empty(planes + 2, np.float32)
    for v in range(height):
        lowest = np.float32(0)
        for k in range(width):
            u = width - 1 - k if reverse else k
            if k == 0:
                for i in range(planes):
                    now[i + 1] = cost[v, u, i]
            else:
                last = u + 1 if reverse else u - 1
                jump = _jump(image[v, u], image[v, last], small, large)
                for i in range(planes):
                    best = min(before[i], before[i + 2]) + small
                    best = min(best, before[i + 1])
                    best = min(best, lowest + jump)
                    now[i + 1] = cost[v, u, i] + best - lowest
            now[0] = now[planes + 1] = np.float32(1e9)
            lowest = np.float32(1e9)
            for i in range(planes):
                lowest = min(lowest, now[i + 1])
                total[v, u, i] += now[i + 1]
            before, now = now, before


@inlined
def _jump(a, b, small, large):  # type: ignore[no-untyped-def]
    """Cost of a larger change between two pixels."""
    difference = np.float32(abs(int(a) - int(b)))
    return max(np.float32(1.5) * small, large / (1 + difference / np.float32(8)))


@fast
def aggregate_columns(cost, image, small, large, total, reverse, slant):  # type: ignore[no-untyped-def]
    """The same from row to row, straight (``slant`` 0) or along a diagonal (-1, 1)."""
    height, width, planes = cost.shape
    before = np.empty((width, planes + 2), np.float32)
    now = np.empty((width, planes + 2), np.float32)
    lowest_before = np.zeros(width, np.float32)
    lowest_now = np.zeros(width, np.float32)
    for k in range(height):
        v = height - 1 - k if reverse else k
        last = v + 1 if reverse else v - 1
        for u in range(width):
            from_u = u - slant
            path = now[u]
            if k == 0 or from_u < 0 or from_u >= width:
                for i in range(planes):
                    path[i + 1] = cost[v, u, i]
            else:
                jump = _jump(image[v, u], image[last, from_u], small, large)
                lowest = lowest_before[from_u]
                old = before[from_u]
                for i in range(planes):
                    best = min(old[i], old[i + 2]) + small
                    best = min(best, old[i + 1])
                    best = min(best, lowest + jump)
                    path[i + 1] = cost[v, u, i] + best - lowest
            path[0] = path[planes + 1] = np.float32(1e9)
            minimum = np.float32(1e9)
            for i in range(planes):
                minimum = min(minimum, path[i + 1])
                total[v, u, i] += path[i + 1]
            lowest_now[u] = minimum
        before, now = now, before
        lowest_before, lowest_now = lowest_now, lowest_before


@compiled
def pick(total, cost, first, step, inverse_depth, ratio, bits):  # type: ignore[no-untyped-def]
    """Take the inverse depth of least cost, between the steps, and say how well it stands out.

    Args:
        total: (h, w, n) aggregated costs.
        cost: (h, w, n) costs before aggregation.
        first: Inverse depth of the first step, 1/m.
        step: Between two steps, 1/m.
        inverse_depth: (h, w) float32, 1/m; NaN at the first and the last step.
        ratio: (h, w) float32: least cost over the least of those more than two steps away; 1 is no
            better at all.
        bits: (h, w) float32: differing bits at the chosen step.
    """
    height, width, planes = total.shape
    for v in range(height):
        for u in range(width):
            path = total[v, u]
            best = 0
            for i in range(1, planes):
                if path[i] < path[best]:
                    best = i
            other = np.float32(1e9)
            for i in range(planes):
                if abs(i - best) > 2 and path[i] < other:
                    other = path[i]
            ratio[v, u] = path[best] / max(other, np.float32(1e-3))
            bits[v, u] = cost[v, u, best] / np.float32(SCALE)
            if best == 0 or best == planes - 1:
                inverse_depth[v, u] = np.float32(np.nan)
                continue
            left, centre, right = path[best - 1], path[best], path[best + 1]
            slope = max(left, right) - centre
            part = np.float32(0)
            if slope > 0:
                part = np.float32(0.5) * (left - right) / slope
            inverse_depth[v, u] = first + step * (np.float32(best) + part)


@compiled
def cost_ratio_at(total, first, step, inverse_depth, ratio):  # type: ignore[no-untyped-def]
    """Say how a given inverse depth compares with the best one.

    Args:
        total: (h, w, n) aggregated costs.
        first: Inverse depth of the first step, 1/m.
        step: Between two steps, 1/m.
        inverse_depth: (h, w) float32, 1/m; not above zero: not asked.
        ratio: (h, w) float32: cost there over the least of all steps, 1 is the best itself;
            infinite where nothing is asked or it is out of range.
    """
    height, width, planes = total.shape
    for v in range(height):
        for u in range(width):
            ratio[v, u] = np.float32(np.inf)
            w = inverse_depth[v, u]
            if not w > 0:
                continue
            at = (w - first) / step
            i = int(at)
            if i < 0 or i + 1 >= planes:
                continue
            path = total[v, u]
            least = path[0]
            for k in range(1, planes):
                least = min(least, path[k])
            here = min(path[i], path[i + 1])
            ratio[v, u] = here / max(least, np.float32(1e-3))


@compiled
def label_surfaces(inverse_depth, good, change, labels, stack):  # type: ignore[no-untyped-def]
    """Number patches of pixels whose inverse depth changes by no step from one to the next.

    Args:
        inverse_depth: (h, w) float32, 1/m.
        good: (h, w) bool: the pixels that are looked at.
        change: Largest relative change from a pixel to the next.
        labels: (h, w) int32, written: 0 where nothing is looked at.
        stack: (h * w,) int32, for the loop's own use.

    Returns:
        How many patches there are.
    """
    height, width = labels.shape
    labels[:] = 0
    count = 0
    for start in range(height * width):
        if labels.flat[start] != 0 or not good.flat[start]:
            continue
        count += 1
        labels.flat[start] = count
        top = 1
        stack[0] = start
        while top > 0:
            top -= 1
            at = stack[top]
            v, u = at // width, at % width
            here = inverse_depth[v, u]
            for k in range(4):
                row = v + (1 if k == 0 else -1 if k == 1 else 0)
                column = u + (1 if k == 2 else -1 if k == 3 else 0)
                if row < 0 or column < 0 or row >= height or column >= width:
                    continue
                if labels[row, column] != 0 or not good[row, column]:
                    continue
                there = inverse_depth[row, column]
                if abs(there - here) <= change * max(there, here):
                    labels[row, column] = count
                    stack[top] = row * width + column
                    top += 1
    return count


@compiled
def compare_with_feet(labels, inverse_depth, plane, flat, reach, sums, counts):  # type: ignore[no-untyped-def]
    """Compare each patch with the ground that is seen directly below it.

    Args:
        labels: (h, w) int32, of `label_surfaces`.
        inverse_depth: (h, w) float32, 1/m.
        plane: (h, w) float32, of the ground, 1/m; 0 at and above the horizon.
        flat: (h, w) bool: pixels that were found on the ground.
        reach: Rows between a patch and the ground below it at the most.
        sums: (count + 1,) float64: sum of ln(measured / ground at the foot) of each patch.
        counts: (count + 1,) int64: of how many columns.
    """
    height, width = labels.shape
    for u in range(width):
        ground_row = -1
        last = 0
        for v in range(height - 1, -1, -1):
            label = labels[v, u]
            if flat[v, u]:
                ground_row = v
                last = 0
                continue
            if label == 0:
                continue
            if label != last and ground_row >= 0 and ground_row - v <= reach:
                foot = plane[ground_row, u]
                if foot > 0 and inverse_depth[v, u] > 0:
                    sums[label] += np.log(inverse_depth[v, u] / foot)
                    counts[label] += 1
            last = label
            ground_row = -1


@compiled
def clear_above(
    labels, against, inverse_depth, plane, flat, reach, change, rise, height, top, moving, above
):  # type: ignore[no-untyped-def]
    """Mark what lies above the foot of a moving thing, up to a thing's height, and is not there.

    A thing that moves falls into patches, of which only the lowest is seen to stand on the ground.

    Args:
        labels: (h, w) int32, of `label_surfaces`.
        against: (count + 1,) bool: patches that contradict the ground on which they stand.
        inverse_depth: (h, w) float32, 1/m.
        plane: (h, w) float32, of the ground, 1/m.
        flat: (h, w) bool, as in `compare_with_feet`.
        reach: As there.
        change: Largest difference of the logarithm from the foot's inverse depth.
        rise: (h, w) float32: height that a pixel's ray gains for each metre of depth.
        height: Of the camera over the ground, m.
        top: Largest height of a thing that moves, m.
        moving: (h, w) bool, written.
        above: (h, w) bool, written: all that lies there, measured or not.
    """
    rows, columns = labels.shape
    for u in range(columns):
        ground_row = -1
        last = 0
        foot = np.float32(0)
        for v in range(rows - 1, -1, -1):
            label = labels[v, u]
            if flat[v, u]:
                ground_row = v
                last = 0
            elif label != 0:
                near = ground_row >= 0 and ground_row - v <= reach
                if label != last and near and against[label]:
                    foot = plane[ground_row, u]
                last = label
                ground_row = -1
            if foot <= 0:
                continue
            if height + rise[v, u] / foot > top:
                foot = np.float32(0)
                continue
            above[v, u] = True
            if label != 0 and abs(np.log(inverse_depth[v, u] / foot)) > change:
                moving[v, u] = True
