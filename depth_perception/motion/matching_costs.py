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

"""The pixel loops of what a match costs: census codes, compared along epipolar lines.

``census`` images are (h, w) uint32, 24 bits each. A cost volume is (h, w, n): one cost for each
pixel and each of n inverse depths at even steps, 16, 32, 48 or 64. Where the n begin differs from
pixel to pixel: ``base`` (h, w) int32 is the number of the first step, and step number g is the
inverse depth g * step. Codes are compared along the pixels of a row. All write into arrays that the
caller gives.
"""

from __future__ import annotations

import numpy as np

from depth_perception.geometry.compiled import compiled, inlined
from depth_perception.motion.lens_loops import NEAREST, NOWHERE, PINHOLE, place
from depth_perception.motion.matching_vectors import (
    BLOCK,
    LOOKED_UP,
    MOST_DIFFERENT,
    look_up_pairs,
    look_up_pixels,
    mean_of,
    turn,
)

SCALE = 6
"""Costs are means over sources, in sixths of a bit: exact for up to three sources, and a path's
cost, which is at most that of a pixel and a large change, is less than 255."""
KNOT = 4
"""Every fourth step is projected into a source; those between lie on a line."""


def fast(loop):  # type: ignore[no-untyped-def]
    """Compile a loop whose numbers are all finite, so that sums and minima may be reordered."""
    return compiled(loop, fastmath=True)


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
                                over = one / max(z, NEAREST)
                                knot_x[k] = (x0[k] + dx * w) * over if z > NEAREST else NOWHERE
                                knot_y[k] = (y0[k] + dy * w) * over
                        else:
                            for k in range(cells):
                                w = first[k] + farther
                                knot_x[k], knot_y[k] = place(
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
