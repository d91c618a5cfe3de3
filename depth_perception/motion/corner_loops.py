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

"""Which corners of an image are followed: the strongest ones that lie apart from each other."""

from __future__ import annotations

import numpy as np

from depth_perception.geometry.compiled import compiled


@compiled
def corner_strength(dx, dy, strength):  # type: ignore[no-untyped-def]
    """Compute the smaller eigenvalue of the structure tensor of 3x3 pixels (Shi and Tomasi).

    Args:
        dx: (h, w) int16, derivative along rows (Sobel's of 8 bits).
        dy: (h, w) int16, along columns.
        strength: (h, w) float32, written; 0 along the rim.
    """
    height, width = dx.shape
    xx, xy = np.empty(width, np.int32), np.empty(width, np.int32)
    yy = np.empty(width, np.int32)
    strength[0] = 0
    strength[height - 1] = 0
    for v in range(1, height - 1):
        x0, x1, x2 = dx[v - 1], dx[v], dx[v + 1]
        y0, y1, y2 = dy[v - 1], dy[v], dy[v + 1]
        for u in range(width):
            a0, a1, a2 = np.int32(x0[u]), np.int32(x1[u]), np.int32(x2[u])
            b0, b1, b2 = np.int32(y0[u]), np.int32(y1[u]), np.int32(y2[u])
            xx[u] = a0 * a0 + a1 * a1 + a2 * a2
            xy[u] = a0 * b0 + a1 * b1 + a2 * b2
            yy[u] = b0 * b0 + b1 * b1 + b2 * b2
        out = strength[v]
        for u in range(1, width - 1):
            a = np.float32(np.int32(xx[u - 1] + xx[u] + xx[u + 1])) * np.float32(0.5)
            b = np.float32(np.int32(xy[u - 1] + xy[u] + xy[u + 1]))
            c = np.float32(np.int32(yy[u - 1] + yy[u] + yy[u + 1])) * np.float32(0.5)
            out[u] = (a + c) - np.sqrt((a - c) * (a - c) + b * b)
        out[0] = 0
        out[width - 1] = 0


@compiled
def _is_corner(strength, free, v, u):  # type: ignore[no-untyped-def]
    """Tell whether a pixel may be taken, and is no slope that leads up to another."""
    here = strength[v, u]
    return (
        free[v, u] != 0
        and here >= strength[v - 1, u - 1]
        and here >= strength[v - 1, u]
        and here >= strength[v - 1, u + 1]
        and here >= strength[v, u - 1]
        and here >= strength[v, u + 1]
        and here >= strength[v + 1, u - 1]
        and here >= strength[v + 1, u]
        and here >= strength[v + 1, u + 1]
    )


@compiled
def corner_of_each_cell(strength, free, cell, columns, rows, values):  # type: ignore[no-untyped-def]
    """Find the corner in each square of an image, if that is where the square is strongest.

    Args:
        strength: (h, w) float32, how much of a corner a pixel is.
        free: (h, w) uint8, 0 where nothing is looked for.
        cell: Side of a square, px.
        columns: (n,) int64, written, for n no smaller than the number of squares.
        rows: (n,) int64, written.
        values: (n,) float32, written: their strength.

    Returns:
        In how many squares there is one.
    """
    height, width = strength.shape
    count = 0
    highest = np.empty(width, np.float32)
    for top in range(1, height - 1, cell):
        bottom = min(top + cell, height - 1)
        highest[:] = strength[top]
        for v in range(top + 1, bottom):
            line = strength[v]
            for u in range(width):
                here, above = line[u], highest[u]
                highest[u] = here if here > above else above
        for left in range(1, width - 1, cell):
            right = min(left + cell, width - 1)
            column, row = left, top
            for u in range(left + 1, right):
                if highest[u] > highest[column]:
                    column = u
            best = highest[column]
            if not best > 0:
                continue
            while strength[row, column] != best:
                row += 1
            # What is highest may belong to a corner of the next square, which is as near as any.
            if _is_corner(strength, free, row, column):
                columns[count], rows[count], values[count] = column, row, best
                count += 1
    return count


@compiled
def _is_near(u, v, points, spacing):  # type: ignore[no-untyped-def]
    for i in range(len(points)):
        x, y = points[i, 0] - u, points[i, 1] - v
        if x * x + y * y < spacing * spacing:
            return True
    return False


@compiled
def choose_apart(order, columns, rows, values, points, spacing, quality, chosen):  # type: ignore[no-untyped-def]
    """Choose corners that lie apart from points and from each other, the strongest first.

    Args:
        order: (n,) int64: corners by their strength, the strongest first.
        columns: (>= n,) int64.
        rows: (>= n,) int64.
        values: (>= n,) float32, strength.
        points: (m, 2) float32 (column, row): what is followed already.
        spacing: Least distance, px.
        quality: What is weaker than this share of the first that is chosen is none.
        chosen: (k, 2) float32 (column, row), written: at most k are chosen.

    Returns:
        How many were chosen.
    """
    count = 0
    least = np.float32(0)
    for k in order:
        if count == len(chosen) or values[k] < least:
            break
        u, v = np.float32(columns[k]), np.float32(rows[k])
        if _is_near(u, v, points, spacing) or _is_near(u, v, chosen[:count], spacing):
            continue
        if count == 0:
            least = np.float32(quality * values[k])
        chosen[count, 0], chosen[count, 1] = u, v
        count += 1
    return count
