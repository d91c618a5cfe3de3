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
pixel and each of n inverse depths at even steps, 16, 32, 48 or 64. Where the n begin differs from
pixel to pixel: ``base`` (h, w) int32 is the number of the first step, and step number g is the
inverse depth g * step. Codes are compared along the pixels of a row, the rest works on all depths
of a pixel at once, in small whole numbers (`matching_vectors`).
"""

from __future__ import annotations

import numba
import numpy as np

from depth_perception.geometry.compiled import compiled, inlined
from depth_perception.motion.matching_vectors import (
    BLOCK,
    INDEX_BITS,
    LOOKED_UP,
    MOST_DIFFERENT,
    least_apart,
    least_of,
    look_up_pairs,
    look_up_pixels,
    mean_of,
    step_along,
    turn,
)

PINHOLE, POLYNOMIAL, EQUIDISTANT = 0, 1, 2
_NEAR = np.float32(0.05)
"""Nearer to a source than this nothing is seen, in units of its depth."""
SCALE = 6
"""Costs are means over sources, in sixths of a bit: exact for up to three sources, and a path's
cost, which is at most that of a pixel and a large change, is less than 255."""
ROWS = 4
"""So many rows are followed at once: one alone would wait for each of its own steps."""
KNOT = 4
"""Every fourth step is projected into a source; those between lie on a line."""
_NOWHERE = np.float32(-1e6)
_FAR = np.uint8(255)
"""Above every path's cost."""


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
def _address(x, y, columns, right, below, begin):  # type: ignore[no-untyped-def]
    """Index of the upper left pixel of a cell at a place, and whether all of it is there.

    Args:
        x: float32: column between the centres of a square's pixels; of one pixel plus a half, px.
        y: float32: row likewise.
        columns: int32: of the source.
        right: float32: largest ``x``, not reached.
        below: float32: largest ``y``.
        begin: int32: index of the source's first pixel.
    """
    good = (x >= 0) & (y >= 0) & (x < right) & (y < below)
    column, row = np.int32(x if good else np.float32(0)), np.int32(y if good else np.float32(0))
    at = np.uint32(np.int32(np.int32(row * columns) + column) + begin)
    return at, np.uint32(0xFFFFFFFF) if good else np.uint32(0)


@inlined
def _row(width):  # type: ignore[no-untyped-def]
    return np.empty(width, np.float32)


@inlined
def _means(seen, sources, cost):  # type: ignore[no-untyped-def]
    """Costs (16 k,) uint8 from the sums (16 k,) uint16 of `look_up_pixels` over some sources."""
    cost[:] = np.uint8(MOST_DIFFERENT * SCALE)
    for number in range(1, sources + 1):
        # In 256ths: exact where the number divides the scale.
        share = np.uint16((256 * SCALE + number // 2) // number)
        for u in range(0, len(seen), BLOCK):
            mean_of(seen, u, np.uint16(number), share, cost, u)


@inlined
def _pixel_by_pixel(source, begin, target, row, width, planes):  # type: ignore[no-untyped-def]
    """Copy the costs of a row of pixels.

    Args:
        source: (n, k) uint8: depth by depth.
        begin: Where in the k the row begins.
        target: Flat (h * w * n) uint8, written: pixel by pixel.
        row: Number of the row.
        width: Of it.
        planes: n.
    """
    flat, whole = source.ravel(), width // BLOCK * BLOCK
    for u in range(0, whole, BLOCK):
        for i in range(0, planes, BLOCK):
            here = i * source.shape[1] + begin + u
            turn(flat, here, source.shape[1], target, (row * width + u) * planes + i, planes)
    for u in range(whole, width):
        for i in range(planes):
            target[np.uint64((row * width + u) * planes + i)] = source[i, begin + u]


@inlined
def _rays_of_cells(rays, v, side, x, y):  # type: ignore[no-untyped-def]
    """Ray through the middle of each cell of some rows; any where nothing is seen."""
    height, width = rays.shape[:2]
    for k in range(len(x)):
        a, b, count = np.float32(0), np.float32(0), np.float32(0)
        for row in range(v, v + side):
            for column in range(side * k, side * (k + 1)):
                # Beyond an odd last row or column lies what would be there.
                i, j = min(row, height - 1), min(column, width - 1)
                a += rays[i, j, 0]
                b += rays[i, j, 1]
                count += rays[i, j, 2]
        over = np.float32(1) / max(count, np.float32(1))
        x[k] = a * over
        y[k] = b * over


@fast
def compare(  # type: ignore[no-untyped-def]
    reference, rays, base, side, count, step, codes, places, R, t, kind, K, D, limit, stride, cost
):  # fmt: skip
    """Compare every pixel with where it would lie in each source, for each inverse depth.

    The cost is the mean over the sources that see the place; that of a coin where none does. Cells
    of two by two pixels may be looked up together, as if the source showed them at the same size
    and upright: what it shows 30 % larger is read 0.15 px off.

    Args:
        reference: (h, w) census.
        rays: (h, w, 3) float32, third component 1; all 0 where nothing is seen.
        base: (h, w) int32: number of the first step; the same in each cell.
        side: Of a cell, px: 1 or 2.
        count: How many of the n steps are compared; the others cost what a coin does.
        step: Between two steps, 1/m.
        codes: (N,) uint32: census of all sources, one after the other; each at least 2x2.
        places: (S, 3) int64: where each source begins, its rows and its columns.
        R: (S, 3, 3) float32, from the reference's frame to each source's.
        t: (S, 3) float32 likewise, m.
        kind: (S,) int64, `PINHOLE`, `POLYNOMIAL` or `EQUIDISTANT`.
        K: (S, 5) float32: fx, skew, cx, fy, cy.
        D: (S, 8) float32: distortion in OpenCV's order.
        limit: (S,) float32: cosine of the largest angle to its axis that a source sees.
        stride: (S,) int64: so many steps share one look into the source, in their middle.
        cost: (h, w, n) uint8, written: sixths of a bit.
    """
    height, width, planes = cost.shape
    half, one = np.float32(0.5), np.float32(1)
    # Whole vectors: beyond the last pixel there are some more, which nobody reads.
    wide = (width + BLOCK - 1) // BLOCK * BLOCK
    cells = wide // side
    ray_x, ray_y, first = _row(cells), _row(cells), _row(cells)
    x0, y0, z0 = _row(cells), _row(cells), _row(cells)
    at, inside = np.empty(cells, np.uint32), np.empty(cells, np.uint32)
    knots_x, knots_y = np.empty((2, cells), np.float32), np.empty((2, cells), np.float32)
    own = np.zeros(side * wide, np.uint32)
    sums = np.empty((planes, side * wide), np.uint16)
    flat, seen = sums.ravel(), np.empty(side * wide, np.uint16)
    means, out = np.empty((planes, side * wide), np.uint8), cost.ravel()
    part = one / np.float32(KNOT)
    # Between the centres of a square's pixels one lies half a pixel less to the right.
    aside = half if side == 1 else np.float32(0)
    for v in range(0, height, side):
        sums[:] = np.uint16(0)
        rows = min(side, height - v)
        for row in range(rows):
            for u in range(width):
                own[row * wide + u] = reference[v + row, u]
        _rays_of_cells(rays, v, side, ray_x, ray_y)
        for k in range(cells):
            first[k] = np.float32(base[v, min(side * k, width - 1)]) * step
        for s in range(len(places)):
            dx, dy, dz = t[s, 0], t[s, 1], t[s, 2]
            begin, columns = np.int32(places[s, 0]), np.int32(places[s, 2])
            below = np.float32(places[s, 1] - side + 1)
            right = np.float32(places[s, 2] - side + 1)
            every = stride[s]
            middle = np.float32(every - 1) * half
            looks = (count + every - 1) // every
            for k in range(cells):
                a, b = ray_x[k], ray_y[k]
                x0[k] = R[s, 0, 0] * a + R[s, 0, 1] * b + R[s, 0, 2]
                y0[k] = R[s, 1, 0] * a + R[s, 1, 1] * b + R[s, 1, 2]
                z0[k] = R[s, 2, 0] * a + R[s, 2, 1] * b + R[s, 2, 2]
            if kind[s] == PINHOLE:
                fx, skew, cx, fy, cy = K[s, 0], K[s, 1], K[s, 2], K[s, 3], K[s, 4]
                dx, dy = fx * dx + skew * dy + cx * dz, fy * dy + cy * dz
                for k in range(cells):
                    a, b, c = x0[k], y0[k], z0[k]
                    x0[k] = fx * a + skew * b + cx * c
                    y0[k] = fy * b + cy * c
            for look in range(looks):
                i = look * every
                # Every fourth look is projected, those between lie on a line.
                knot, along = look // KNOT, np.float32(look % KNOT) * part
                if look % KNOT == 0:
                    for number in range(knot if look == 0 else knot + 1, knot + 2):
                        farther = (np.float32(KNOT * every * number) + middle) * step
                        knot_x, knot_y = knots_x[number % 2], knots_y[number % 2]
                        if kind[s] == PINHOLE:
                            for k in range(cells):
                                w = first[k] + farther
                                z = z0[k] + dz * w
                                over = one / max(z, _NEAR)
                                knot_x[k] = (x0[k] + dx * w) * over if z > _NEAR else _NOWHERE
                                knot_y[k] = (y0[k] + dy * w) * over
                        else:
                            for k in range(cells):
                                w = first[k] + farther
                                knot_x[k], knot_y[k] = _place(
                                    kind[s], K[s], D[s], limit[s],
                                    x0[k] + dx * w, y0[k] + dy * w, z0[k] + dz * w,
                                )  # fmt: skip
                a, b = knots_x[knot % 2], knots_y[knot % 2]
                c, d = knots_x[1 - knot % 2], knots_y[1 - knot % 2]
                for k in range(cells):
                    x = a[k] + (c[k] - a[k]) * along + aside
                    y = b[k] + (d[k] - b[k]) * along + aside
                    at[k], inside[k] = _address(x, y, columns, right, below, begin)
                if every == 1:
                    _look_up_rows(codes, at, inside, side, columns, own, flat, i * side * wide)
                    continue
                seen[:] = np.uint16(0)
                _look_up_rows(codes, at, inside, side, columns, own, seen, 0)
                for j in range(i, min(i + every, count)):
                    of_step = sums[j]
                    for u in range(side * wide):
                        of_step[u] = np.uint16(of_step[u] + seen[u])
        _means(flat, len(places), means.ravel())
        for row in range(rows):
            for u in range(width):
                if rays[v + row, u, 2] == 0:
                    means[:, row * wide + u] = np.uint8(MOST_DIFFERENT * SCALE)
            _pixel_by_pixel(means, row * wide, out, v + row, width, planes)


@inlined
def _look_up_rows(codes, at, inside, side, columns, own, seen, place):  # type: ignore[no-untyped-def]
    """Compare one row (w,) or a pair of rows (2w,) with a source; see `look_up_pairs`."""
    wide, none = side * len(at), np.uint32(0)
    if side == 1:
        for u in range(0, wide, LOOKED_UP):
            look_up_pixels(codes, at, inside, u, none, own, u, seen, place + u)
        return
    for u in range(0, wide, LOOKED_UP):
        k, lower = u // 2, wide + u
        look_up_pairs(codes, at, inside, k, none, own, u, seen, place + u)
        look_up_pairs(codes, at, inside, k, np.uint32(columns), own, lower, seen, place + lower)


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
