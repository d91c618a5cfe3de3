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
pixel and each of n inverse depths at even steps, so that what one pixel needs lies together. Where
the n begin differs from pixel to pixel: ``base`` (h, w) int32 is the number of the first step, and
step number g is the inverse depth g * step.
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
KNOT = 4
"""Every fourth step is projected into a source; those between lie on a line."""
_NOWHERE = np.float32(-1e6)


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
            if 3 <= v < height - 3 and 3 <= u < width - 3:
                for dv in range(-3, 4):
                    for du in range(-3, 4):
                        if (du + dv) % 2 == 0 and (du != 0 or dv != 0):
                            bits <<= np.uint32(1)
                            bits |= np.uint32(image[v + dv, u + du] > centre)
            else:
                for dv in range(-3, 4):
                    row = min(max(v + dv, 0), height - 1)
                    for du in range(-3, 4):
                        if (du + dv) % 2 == 0 and (du != 0 or dv != 0):
                            column = min(max(u + du, 0), width - 1)
                            bits <<= np.uint32(1)
                            bits |= np.uint32(image[row, column] > centre)
            out[v, u] = bits


@inlined
def _count_bits(bits):  # type: ignore[no-untyped-def]
    bits = bits - ((bits >> np.uint32(1)) & np.uint32(0x55555555))
    bits = (bits & np.uint32(0x33333333)) + ((bits >> np.uint32(2)) & np.uint32(0x33333333))
    bits = (bits + (bits >> np.uint32(4))) & np.uint32(0x0F0F0F0F)
    return (bits * np.uint32(0x01010101)) >> np.uint32(24)


@inlined
def _place(kind, K, D, limit, x, y, z):  # type: ignore[no-untyped-def]
    """Project a point; far outside of the image where it is not seen.

    K is fx, skew, cx, fy, cy; D in OpenCV's order; limit the cosine of the largest angle seen.
    """
    a, b = _NOWHERE, _NOWHERE
    if kind == PINHOLE:
        if z > _NEAR:
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


@fast
def compare(reference, rays, base, step, codes, places, R, t, kind, K, D, limit, cost):  # type: ignore[no-untyped-def]
    """Compare every pixel with where it would lie in each source, for each inverse depth.

    The cost is the mean over the sources that see the place; that of a coin where none does.

    Args:
        reference: (h, w) census.
        rays: (h, w, 3) float32, third component 1; all 0 where nothing is seen.
        base: (h, w) int32: number of the first step.
        step: Between two steps, 1/m.
        codes: (N,) uint32: census of all sources, one after the other.
        places: (S, 3) int64: where each source begins, its rows and its columns.
        R: (S, 3, 3) float32, from the reference's frame to each source's.
        t: (S, 3) float32 likewise, m.
        kind: (S,) int64, `PINHOLE`, `POLYNOMIAL` or `EQUIDISTANT`.
        K: (S, 5) float32: fx, skew, cx, fy, cy.
        D: (S, 8) float32: distortion in OpenCV's order.
        limit: (S,) float32: cosine of the largest angle to its axis that a source sees.
        cost: (h, w, n) float32, written: quarters of a bit.
    """
    height, width, planes = cost.shape
    knots = (planes + KNOT - 1) // KNOT + 1
    a = np.empty(knots, np.float32)
    b = np.empty(knots, np.float32)
    x = np.empty(planes, np.float32)
    y = np.empty(planes, np.float32)
    at = np.empty(planes, np.float32)
    inside = np.empty(planes, np.float32)
    bits = np.empty(planes, np.float32)
    total = np.empty(planes, np.float32)
    count = np.empty(planes, np.float32)
    part = np.float32(1) / np.float32(KNOT)
    half, one, zero = np.float32(0.5), np.float32(1), np.float32(0)
    most, nothing = np.float32(MOST_DIFFERENT), np.float32(MOST_DIFFERENT * SCALE)
    # What every loop over steps does is simple enough for the compiler to do eight at once.
    for v in range(height):
        for u in range(width):
            if rays[v, u, 2] == 0:
                for i in range(planes):
                    cost[v, u, i] = nothing
                continue
            for i in range(planes):
                total[i] = zero
                count[i] = zero
            ray_x, ray_y = rays[v, u, 0], rays[v, u, 1]
            code = reference[v, u]
            first = np.float32(base[v, u]) * step
            for s in range(len(places)):
                x0 = R[s, 0, 0] * ray_x + R[s, 0, 1] * ray_y + R[s, 0, 2]
                y0 = R[s, 1, 0] * ray_x + R[s, 1, 1] * ray_y + R[s, 1, 2]
                z0 = R[s, 2, 0] * ray_x + R[s, 2, 1] * ray_y + R[s, 2, 2]
                if kind[s] == PINHOLE:
                    fx, skew, cx, fy, cy = K[s, 0], K[s, 1], K[s, 2], K[s, 3], K[s, 4]
                    p0, q0 = fx * x0 + skew * y0 + cx * z0, fy * y0 + cy * z0
                    dp = fx * t[s, 0] + skew * t[s, 1] + cx * t[s, 2]
                    dq, dz = fy * t[s, 1] + cy * t[s, 2], t[s, 2]
                    for i in range(planes):
                        w = first + step * np.float32(i)
                        z = z0 + dz * w
                        over = one / max(z, _NEAR)
                        seen = z > _NEAR
                        x[i] = (p0 + dp * w) * over + half if seen else _NOWHERE
                        y[i] = (q0 + dq * w) * over + half
                else:
                    for k in range(knots):
                        w = first + step * np.float32(KNOT * k)
                        a[k], b[k] = _place(
                            kind[s], K[s], D[s], limit[s],
                            x0 + t[s, 0] * w, y0 + t[s, 1] * w, z0 + t[s, 2] * w,
                        )  # fmt: skip
                    for i in range(planes):
                        k, j = i // KNOT, np.float32(i % KNOT) * part
                        x[i] = a[k] + (a[k + 1] - a[k]) * j + half
                        y[i] = b[k] + (b[k + 1] - b[k]) * j + half
                rows, columns = np.float32(places[s, 1]), np.float32(places[s, 2])
                begin = places[s, 0]
                for i in range(planes):
                    good = (x[i] > 0) & (y[i] > 0) & (x[i] < columns) & (y[i] < rows)
                    inside[i] = one if good else zero
                    # Exact: no image has more pixels than float32 has whole numbers.
                    at[i] = np.floor(y[i]) * columns + np.floor(x[i]) if good else zero
                for i in range(planes):
                    bits[i] = np.float32(
                        np.uint8(_count_bits(code ^ codes[begin + np.int64(at[i])]))
                    )
                for i in range(planes):
                    total[i] += min(bits[i], most) * inside[i]
                    count[i] += inside[i]
            for i in range(planes):
                known = total[i] * np.float32(SCALE) / max(count[i], one)
                cost[v, u, i] = known if count[i] > 0 else nothing


@inlined
def _jump(a, b, small, large):  # type: ignore[no-untyped-def]
    """Cost of a larger change between two pixels."""
    difference = np.float32(abs(int(a) - int(b)))
    return max(np.float32(1.5) * small, large / (1 + difference / np.float32(8)))


@inlined
def _extend(old, jump, small, lowest, cost, now, total):  # type: ignore[no-untyped-def]
    """Carry a path on by one pixel; adds its costs to ``total`` and returns their least.

    Args:
        old: (n + 2,) the other pixel's path, from one step below this pixel's first to one above
            its last.
        jump: Cost of a larger change.
        small: Of a change by one step.
        lowest: Least of the other pixel's path.
        cost: (n,) of this pixel.
        now: (n,) its path, written.
        total: (n,) added to.
    """
    least = np.float32(1e9)
    for i in range(len(cost)):
        best = min(min(old[i], old[i + 2]) + small, old[i + 1])
        value = cost[i] + min(best, lowest + jump) - lowest
        now[i] = value
        total[i] += value
        least = min(least, value)
    return least


@fast
def aggregate(cost, base, image, small, large, total, reverse):  # type: ignore[no-untyped-def]
    """Semi-global matching from two of four directions; adds path costs to ``total``.

    From the left and from above (``reverse`` False), or from the right and from below. A
    change by one step costs ``small``, a larger one ``large``, less where the image has an edge.

    Args:
        cost: (h, w, n) float32.
        base: (h, w) int32: number of each pixel's first step.
        image: (h, w) uint8, grey.
        small: See above.
        large: See above.
        total: (h, w, n) float32, added to.
        reverse: See above.
    """
    height, width, planes = cost.shape
    # Steps that the other pixel does not have are far off: they cost as a large change does.
    pad = planes + 2
    size = planes + 2 * pad
    before = np.full((width, size), np.float32(1e9), np.float32)
    now = np.full((width, size), np.float32(1e9), np.float32)
    side = np.full((2, size), np.float32(1e9), np.float32)
    lowest_before = np.zeros(width, np.float32)
    lowest_now = np.zeros(width, np.float32)
    nothing = np.full(planes + 2, np.float32(0), np.float32)
    zero = np.float32(0)
    for row in range(height):
        v = height - 1 - row if reverse else row
        last = v + 1 if reverse else v - 1
        lowest_side = zero
        for column in range(width):
            u = width - 1 - column if reverse else column
            own, sums = cost[v, u], total[v, u]
            out = side[column % 2, pad : pad + planes]
            if column == 0:
                lowest_side = _extend(nothing, zero, zero, zero, own, out, sums)
            else:
                beside = u + 1 if reverse else u - 1
                shift = min(max(base[v, u] - base[v, beside], -planes - 1), planes + 1)
                jump = _jump(image[v, u], image[v, beside], small, large)
                begin = pad + shift - 1
                old = side[1 - column % 2, begin : begin + planes + 2]
                lowest_side = _extend(old, jump, small, lowest_side, own, out, sums)
            out = now[u, pad : pad + planes]
            if row == 0:
                lowest_now[u] = _extend(nothing, zero, zero, zero, own, out, sums)
            else:
                shift = min(max(base[v, u] - base[last, u], -planes - 1), planes + 1)
                jump = _jump(image[v, u], image[last, u], small, large)
                begin = pad + shift - 1
                old = before[u, begin : begin + planes + 2]
                lowest_now[u] = _extend(old, jump, small, lowest_before[u], own, out, sums)
        before, now = now, before
        lowest_before, lowest_now = lowest_now, lowest_before


@fast
def pick(total, cost, base, step, most, inverse_depth, ratio, bits):  # type: ignore[no-untyped-def]
    """Take the inverse depth of least cost, between the steps, and say how well it stands out.

    Args:
        total: (h, w, n) aggregated costs.
        cost: (h, w, n) costs before aggregation.
        base: (h, w) int32: number of each pixel's first step.
        step: Between two steps, 1/m.
        most: Number of the last step that is looked for.
        inverse_depth: (h, w) float32, 1/m; NaN at the first and the last step.
        ratio: (h, w) float32: least cost over the least of those more than two steps away; 1 is no
            better at all.
        bits: (h, w) float32: differing bits at the chosen step.
    """
    height, width, planes = total.shape
    for v in range(height):
        for u in range(width):
            path = total[v, u]
            least = np.float32(1e9)
            for i in range(planes):
                least = min(least, path[i])
            best = 0
            while path[best] > least:
                best += 1
            other = np.float32(1e9)
            for i in range(best - 2):
                other = min(other, path[i])
            for i in range(best + 3, planes):
                other = min(other, path[i])
            ratio[v, u] = path[best] / max(other, np.float32(1e-3))
            bits[v, u] = cost[v, u, best] / np.float32(SCALE)
            number = base[v, u] + best
            if best == 0 or best == planes - 1 or number >= most:
                inverse_depth[v, u] = np.float32(np.nan)
                continue
            left, centre, right = path[best - 1], path[best], path[best + 1]
            slope = max(left, right) - centre
            part = np.float32(0)
            if slope > 0:
                part = np.float32(0.5) * (left - right) / slope
            inverse_depth[v, u] = step * (np.float32(number) + part)


@compiled
def window_of(inverse_depth, step, planes, least, most, base):  # type: ignore[no-untyped-def]
    """Lay the steps of a finer level around what the coarser one found.

    Args:
        inverse_depth: (h, w) float32, 1/m, of the coarser level; NaN where it found nothing.
        step: Of the finer level, 1/m.
        planes: How many steps each pixel has there.
        least: Number of the first step of all.
        most: Number of the last.
        base: (H, W) int32, written; of the finer level.
    """
    rows, columns = inverse_depth.shape
    height, width = base.shape
    for v in range(height):
        row = min(v * rows // height, rows - 1)
        for u in range(width):
            w = inverse_depth[row, min(u * columns // width, columns - 1)]
            middle = np.int64(0) if np.isnan(w) else np.int64(np.rint(w / step))
            base[v, u] = max(least, min(middle - planes // 2, most - planes + 1))


@compiled
def cost_ratio_at(total, base, step, inverse_depth, ratio):  # type: ignore[no-untyped-def]
    """Say how a given inverse depth compares with the best one.

    Args:
        total: (h, w, n) aggregated costs.
        base: (h, w) int32: number of each pixel's first step.
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
            i = int(np.floor(w / step)) - base[v, u]
            if i < 0 or i + 1 >= planes:
                continue
            path = total[v, u]
            least = path[0]
            for k in range(1, planes):
                least = min(least, path[k])
            ratio[v, u] = min(path[i], path[i + 1]) / max(least, np.float32(1e-3))


@compiled
def sensitivity(rays, inverse_depth, R, t, focal, equidistant, most, best):  # type: ignore[no-untyped-def]
    """By how many pixels a match moves when inverse depth changes by 1/m, in the best source.

    Of the angle between the rays, by the source's focal length: near enough for every lens.

    Args:
        rays: (h, w, 3) float32, third component 1; all 0 where nothing is seen.
        inverse_depth: (h, w) float32, 1/m; NaN counts as 0.
        R: (S, 3, 3) float32, from the reference's frame to each source's.
        t: (S, 3) float32 likewise, m.
        focal: (S,) float32, px.
        equidistant: (S,) bool: pixels do not get finer away from the axis.
        most: (h, w) float32, written.
        best: (h, w) uint8, written: index of that source.
    """
    height, width = inverse_depth.shape
    for v in range(height):
        for u in range(width):
            most[v, u] = np.float32(0)
            best[v, u] = 0
            w = inverse_depth[v, u]
            if np.isnan(w):
                w = np.float32(0)
            for s in range(len(t)):
                x = (
                    R[s, 0, 0] * rays[v, u, 0]
                    + R[s, 0, 1] * rays[v, u, 1]
                    + R[s, 0, 2]
                    + w * t[s, 0]
                )
                y = (
                    R[s, 1, 0] * rays[v, u, 0]
                    + R[s, 1, 1] * rays[v, u, 1]
                    + R[s, 1, 2]
                    + w * t[s, 1]
                )
                z = (
                    R[s, 2, 0] * rays[v, u, 0]
                    + R[s, 2, 1] * rays[v, u, 1]
                    + R[s, 2, 2]
                    + w * t[s, 2]
                )
                square = x * x + y * y + z * z
                along = x * t[s, 0] + y * t[s, 1] + z * t[s, 2]
                whole = t[s, 0] * t[s, 0] + t[s, 1] * t[s, 1] + t[s, 2] * t[s, 2]
                if square <= 0:
                    continue
                out = (
                    np.sqrt(max(whole - along * along / square, np.float32(0)) / square) * focal[s]
                )
                if not equidistant[s]:
                    if z <= 0:
                        continue
                    out *= square / (z * z)
                if out > most[v, u]:
                    most[v, u] = out
                    best[v, u] = s
