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

``census`` images are (h, w) uint32, 24 bits each. A cost volume is (n, h, w): one cost for each
pixel and each of n inverse depths at even steps. All loops run along the pixels of a row, with
small whole numbers: so the compiler does 16 or 32 of them at once. Where the n
begin differs from pixel to pixel: ``base`` (h, w) int32 is the number of the first step, and step
number g is the inverse depth g * step.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from depth_perception.geometry.compiled import compiled, inlined

PINHOLE, POLYNOMIAL, EQUIDISTANT = 0, 1, 2
MOST_DIFFERENT = 12
"""More of the 24 bits that differ say no more than this."""
_NEAR = np.float32(0.05)
"""Nearer to a source than this nothing is seen, in units of its depth."""
SCALE = 16
"""Costs are means over sources, in sixteenths of a bit."""
KNOT = 4
"""Every fourth step is projected into a source; those between lie on a line."""
_NOWHERE = np.float32(-1e6)
_FAR = np.uint16(20000)
"""Above every path's cost."""
_LEAST, _MOST = np.uint16(0), np.uint16(65535)


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


@intrinsic
def _count_bits(typing_context, bits):  # type: ignore[no-untyped-def]
    """Count the bits of a uint32 that are set, by the processor's own instruction."""

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ctpop(arguments[0])

    return types.uint32(types.uint32), code


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


@inlined
def _look_up(x, y, place, reference, codes, total, count, at, inside, bits):  # type: ignore[no-untyped-def]
    """Compare a row of pixels with those of one source on which they would lie.

    Args:
        x: (w,) float32: column in the source plus a half, px.
        y: (w,) float32: row likewise.
        place: (3,) int64: where the source begins in ``codes``, its rows and its columns.
        reference: (w,) uint32 census.
        codes: (N,) uint32 census of all sources.
        total: (w,) int32, added to: bits that differ.
        count: (w,) int32, added to: 1 where the source sees the place.
        at: (w,) int32, for its own use, as are the next two.
        inside: (w,) int32.
        bits: (w,) int32.
    """
    begin, columns = np.int32(place[0]), np.int32(place[2])
    below, right, zero = np.float32(place[1]), np.float32(place[2]), np.float32(0)
    # Three loops: the compiler cannot do several lookups at once, but all that is around them.
    for u in range(len(x)):
        good = (x[u] > 0) & (y[u] > 0) & (x[u] < right) & (y[u] < below)
        column, row = np.int32(x[u] if good else zero), np.int32(y[u] if good else zero)
        at[u] = np.int32(np.int32(np.int32(row * columns) + column) + begin)
        inside[u] = np.int32(1) if good else np.int32(0)
    for u in range(len(x)):
        code = np.uint32(reference[u] ^ codes[np.uint32(at[u])])
        bits[u] = np.int32(_count_bits(code))  # type: ignore[call-arg]
    for u in range(len(x)):
        few = min(bits[u], np.int32(MOST_DIFFERENT))
        total[u] = np.int32(total[u] + np.int32(few * inside[u]))
        count[u] = np.int32(count[u] + inside[u])


@inlined
def _row(width):  # type: ignore[no-untyped-def]
    return np.empty(width, np.float32)


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
        cost: (n, h, w) uint8, written: sixteenths of a bit.
    """
    planes, height, width = cost.shape
    half, one = np.float32(0.5), np.float32(1)
    x0, y0, z0 = (
        np.empty(width, np.float32),
        np.empty(width, np.float32),
        np.empty(width, np.float32),
    )
    x, y, first = (
        np.empty(width, np.float32),
        np.empty(width, np.float32),
        np.empty(width, np.float32),
    )
    at, inside, bits = (
        np.empty(width, np.int32),
        np.empty(width, np.int32),
        np.empty(width, np.int32),
    )
    knots_x, knots_y = np.empty((2, width), np.float32), np.empty((2, width), np.float32)
    total, count = np.empty((planes, width), np.int32), np.empty((planes, width), np.int32)
    share = np.zeros(len(places) + 1, np.float32)
    for s in range(1, len(share)):
        share[s] = np.float32(SCALE) / np.float32(s)
    part, nothing = one / np.float32(KNOT), np.uint8(MOST_DIFFERENT * SCALE)
    for v in range(height):
        total[:] = np.int32(0)
        count[:] = np.int32(0)
        code, ray = reference[v], rays[v]
        for u in range(width):
            first[u] = np.float32(base[v, u]) * step
        for s in range(len(places)):
            dx, dy, dz = t[s, 0], t[s, 1], t[s, 2]
            for u in range(width):
                a, b, c = ray[u, 0], ray[u, 1], ray[u, 2]
                x0[u] = R[s, 0, 0] * a + R[s, 0, 1] * b + R[s, 0, 2] * c
                y0[u] = R[s, 1, 0] * a + R[s, 1, 1] * b + R[s, 1, 2] * c
                z0[u] = R[s, 2, 0] * a + R[s, 2, 1] * b + R[s, 2, 2] * c
            if kind[s] == PINHOLE:
                fx, skew, cx, fy, cy = K[s, 0], K[s, 1], K[s, 2] + half, K[s, 3], K[s, 4] + half
                dx, dy = fx * dx + skew * dy + cx * dz, fy * dy + cy * dz
                for u in range(width):
                    a, b, c = x0[u], y0[u], z0[u]
                    x0[u] = fx * a + skew * b + cx * c
                    y0[u] = fy * b + cy * c
                for i in range(planes):
                    farther = np.float32(i) * step
                    for u in range(width):
                        w = first[u] + farther
                        z = z0[u] + dz * w
                        over = one / max(z, _NEAR)
                        x[u] = (x0[u] + dx * w) * over if z > _NEAR else _NOWHERE
                        y[u] = (y0[u] + dy * w) * over
                    _look_up(
                        x, y, places[s], code, codes, total[i], count[i], at, inside, bits
                    )  # fmt: skip
                continue
            # Other lenses: every fourth step is projected, those between lie on a line.
            for k in range((planes + KNOT - 1) // KNOT + 1):
                now, farther = k % 2, np.float32(KNOT * k) * step
                for u in range(width):
                    w = first[u] + farther
                    a, b = _place(
                        kind[s], K[s], D[s], limit[s],
                        x0[u] + dx * w, y0[u] + dy * w, z0[u] + dz * w,
                    )  # fmt: skip
                    knots_x[now, u] = a + half
                    knots_y[now, u] = b + half
                if k == 0:
                    continue
                a, b = knots_x[1 - now], knots_y[1 - now]
                c, d = knots_x[now], knots_y[now]
                for i in range(KNOT * (k - 1), min(KNOT * k, planes)):
                    along = np.float32(i % KNOT) * part
                    for u in range(width):
                        x[u] = a[u] + (c[u] - a[u]) * along
                        y[u] = b[u] + (d[u] - b[u]) * along
                    _look_up(
                        x, y, places[s], code, codes, total[i], count[i], at, inside, bits
                    )  # fmt: skip
        for i in range(planes):
            sums, number, out = total[i], count[i], cost[i, v]
            for u in range(width):
                known = (number[u] > 0) & (ray[u, 2] != 0)
                mean = np.float32(sums[u]) * share[np.uint32(number[u])] + half
                out[u] = np.uint8(mean) if known else nothing


@fast
def aggregate(cost, base, image, small, large, even, total, reverse):  # type: ignore[no-untyped-def]
    """Semi-global matching along one direction; adds path costs to ``total``.

    From above (``reverse`` False), or from below; along rows where the caller swaps rows and
    columns. A change by one step costs ``small``, a larger one ``large``, less where the image has
    an edge.

    Args:
        cost: (n, h, w) uint8.
        base: (h, w) int32: number of each pixel's first step.
        image: (h, w) uint8, grey.
        small: float32, see above.
        large: float32, see above.
        even: Whether all of ``base`` is the same number.
        total: (n, h, w) uint16, added to.
        reverse: See above.
    """
    planes, height, width = cost.shape
    # Steps that the other pixel does not have are far off: they cost as a large change does.
    pad = planes + 2
    old = np.full((planes + 2 * pad, width), _FAR, np.uint16)
    new = np.full((planes + 2 * pad, width), _FAR, np.uint16)
    low, least = np.zeros(width, np.uint16), np.zeros(width, np.uint16)
    most = np.zeros(width, np.uint16)
    at = np.empty(width, np.int32)
    window = np.empty((planes + 2, width), np.uint16)
    step, reach = np.uint16(small), planes + 1
    for row in range(height):
        v = height - 1 - row if reverse else row
        last = v + 1 if reverse else v - 1
        low, least = least, low
        if row == 0:
            # A path begins: as if the other pixel had cost nothing, whatever its depth.
            low[:] = _LEAST
            most[:] = _LEAST
            window[:] = _LEAST
        else:
            for u in range(width):
                change = np.float32(abs(np.int32(image[v, u]) - np.int32(image[last, u])))
                jump = max(
                    np.float32(1.5) * small, large / (np.float32(1) + change / np.float32(8))
                )
                most[u] = np.uint16(low[u] + np.uint16(jump))
            if not even:
                for u in range(width):
                    shift = min(max(base[v, u] - base[last, u], -reach), reach)
                    at[u] = np.int32((pad - 1 + shift) * width + u)
                flat = old.ravel()
                for i in range(planes + 2):
                    values, begin = window[i], np.int32(i * width)
                    for u in range(width):
                        values[u] = flat[np.uint32(at[u] + begin)]
        least[:] = _MOST
        for i in range(planes):
            if even and row > 0:
                below, here, above = old[pad + i - 1], old[pad + i], old[pad + i + 1]
            else:
                below, here, above = window[i], window[i + 1], window[i + 2]
            own, values, sums = cost[i, v], new[pad + i], total[i, v]
            for u in range(width):
                best = min(np.uint16(min(below[u], above[u]) + step), here[u])
                best = np.uint16(min(best, most[u]) - low[u])
                values[u] = np.uint16(best + np.uint16(own[u]))
                least[u] = min(least[u], values[u])
            for u in range(width):
                sums[u] = np.uint16(sums[u] + values[u])
        old, new = new, old


@fast
def pick(total, cost, base, step, most, inverse_depth, ratio, bits, least):  # type: ignore[no-untyped-def]
    """Take the inverse depth of least cost, between the steps, and say how well it stands out.

    Args:
        total: (n, h, w) uint16 aggregated costs.
        cost: (n, h, w) uint8 costs before aggregation.
        base: (h, w) int32: number of each pixel's first step.
        step: Between two steps, 1/m.
        most: Number of the last step that is looked for.
        inverse_depth: (h, w) float32, 1/m; NaN at the first and the last step.
        ratio: (h, w) float32: least cost over the least of those more than two steps away; 1 is no
            better at all.
        bits: (h, w) float32: differing bits at the chosen step.
        least: (h, w) uint16: least aggregated cost.
    """
    planes, height, width = total.shape
    best, other = np.empty(width, np.uint16), np.empty(width, np.uint16)
    nothing = np.float32(np.nan)
    for v in range(height):
        low = least[v]
        low[:] = _MOST
        best[:] = _LEAST
        other[:] = _MOST
        for i in range(planes):
            here = total[i, v]
            for u in range(width):
                low[u] = min(low[u], here[u])
        for j in range(planes):
            number = np.uint16(planes - 1 - j)
            here = total[planes - 1 - j, v]
            for u in range(width):
                best[u] = number if here[u] == low[u] else best[u]
        for i in range(planes):
            here, number = total[i, v], np.uint16(i + 2)
            for u in range(width):
                # Within two steps: a number from 0 to 4, as whole numbers without sign wrap.
                beside = _MOST if np.uint16(number - best[u]) <= np.uint16(4) else _LEAST
                other[u] = min(other[u], np.uint16(here[u] | beside))
        for u in range(width):
            chosen = np.int64(best[u])
            ratio[v, u] = np.float32(low[u]) / max(np.float32(other[u]), np.float32(1e-3))
            bits[v, u] = np.float32(cost[chosen, v, u]) / np.float32(SCALE)
            step_number = base[v, u] + chosen
            if chosen == 0 or chosen == planes - 1 or step_number >= most:
                inverse_depth[v, u] = nothing
                continue
            left, right = np.float32(total[chosen - 1, v, u]), np.float32(total[chosen + 1, v, u])
            slope = max(left, right) - np.float32(low[u])
            part = np.float32(0)
            if slope > 0:
                part = np.float32(0.5) * (left - right) / slope
            inverse_depth[v, u] = step * (np.float32(step_number) + part)


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
def cost_ratio_at(total, least, base, step, inverse_depth, ratio):  # type: ignore[no-untyped-def]
    """Say how a given inverse depth compares with the best one.

    Args:
        total: (n, h, w) aggregated costs.
        least: (h, w): least of them.
        base: (h, w) int32: number of the first step.
        step: Between two steps, 1/m.
        inverse_depth: (h, w) float32, 1/m; not above zero: not asked.
        ratio: (h, w) float32: cost there over the least of all steps, 1 is the best itself;
            infinite where nothing is asked or it is out of range.
    """
    planes, height, width = total.shape
    for v in range(height):
        for u in range(width):
            ratio[v, u] = np.float32(np.inf)
            w = inverse_depth[v, u]
            if not w > 0:
                continue
            i = int(np.floor(w / step)) - base[v, u]
            if i < 0 or i + 1 >= planes:
                continue
            there = np.float32(min(total[i, v, u], total[i + 1, v, u]))
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
    w, rate, row = _row(width), _row(width), _row(width)
    for v in range(height):
        number = best[v]
        for u in range(width):
            w[u] = inverse_depth[v, u]
            row[u] = zero
            number[u] = np.uint8(0)
        for s in range(len(t)):
            tx, ty, tz, flat = t[s, 0], t[s, 1], t[s, 2], not equidistant[s]
            whole = tx * tx + ty * ty + tz * tz
            for u in range(width):
                a, b, c = rays[v, u, 0], rays[v, u, 1], rays[v, u, 2]
                x = R[s, 0, 0] * a + R[s, 0, 1] * b + R[s, 0, 2] * c + w[u] * tx
                y = R[s, 1, 0] * a + R[s, 1, 1] * b + R[s, 1, 2] * c + w[u] * ty
                z = R[s, 2, 0] * a + R[s, 2, 1] * b + R[s, 2, 2] * c + w[u] * tz
                square = max(x * x + y * y + z * z, tiny)
                along = x * tx + y * ty + z * tz
                out = np.sqrt(max(whole - along * along / square, zero) / square) * focal[s]
                if flat:
                    out = out * square / max(z * z, tiny) if z > zero else zero
                rate[u] = out
            for u in range(width):
                number[u] = np.uint8(s) if rate[u] > row[u] else number[u]
                row[u] = max(row[u], rate[u])
        for u in range(width):
            most[v, u] = row[u]
