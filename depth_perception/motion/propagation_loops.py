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

"""The pixel loops of `propagation`. All write into arrays that the caller gives.

Between two images of one camera: ``R`` (3, 3) and ``t`` (3,) float32 map points of the optical
frame of the one into that of the other, m. Rays have the third component 1, inverse depth is along
the optical axis.
"""

from __future__ import annotations

import numpy as np

from depth_perception.geometry.compiled import compiled, inlined
from depth_perception.motion.lens_loops import PINHOLE, place

LEAST_ADVANCE = np.float32(0.05)
"""What comes nearer than this share of its depth is not followed."""
NO_CODE = np.uint8(255)
CHANCE = np.uint8(12)
"""Bits of 24 that differ where two images have nothing in common."""
NOWHERE = np.int32(-1)
ONE, HALF = np.float32(1), np.float32(0.5)
TRIES = 2
"""How often it is looked where a pixel was in the past."""


def quick(loop):  # type: ignore[no-untyped-def]
    """Compile a loop that divides by nothing that is 0, so that it need not be looked for."""
    return compiled(loop, error_model="numpy")


@inlined
def count_bits(code):  # type: ignore[no-untyped-def]
    """Count the bits of a uint32 that are set: in pairs, in fours, in bytes, and all bytes."""
    code = np.uint32(code - ((code >> np.uint32(1)) & np.uint32(0x55555555)))
    code = np.uint32(
        (code & np.uint32(0x33333333)) + ((code >> np.uint32(2)) & np.uint32(0x33333333))
    )
    code = np.uint32((code + (code >> np.uint32(4))) & np.uint32(0x0F0F0F0F))
    return np.uint32(code * np.uint32(0x01010101)) >> np.uint32(24)


@inlined
def _seen_row(w, ray, R, t, turn, kind, K, D, limit, columns, rows, depths):  # type: ignore[no-untyped-def]
    """Say where a row of pixels lies in the other image.

    Args:
        w: (w,) float32 inverse depths, 1/m; NaN or 0 where nothing is known.
        ray: (w, 3) float32.
        R: From this image to the other, with t.
        t: See above.
        turn: See `splat`, as of kind, K, D and limit.
        kind: See there.
        K: See there.
        D: See there.
        limit: See there.
        columns: (w,) float32, written, px.
        rows: (w,) float32, written, px.
        depths: (w,) float32, written: depth there over depth here; -1 where it is not seen.
    """
    fx, skew, cx, fy, cy = K[0], K[1], K[2], K[3], K[4]
    if kind == PINHOLE:
        # As one matrix, and without a branch: so that the compiler does many at once.
        Q = np.empty((3, 4), np.float32)
        for i in range(3):
            for j in range(4):
                value = np.float32(0)
                for k in range(3):
                    value += turn[i, k] * (R[k, j] if j < 3 else t[k])
                Q[i, j] = value
        for j in range(4):
            Q[0, j] = fx * Q[0, j] + skew * Q[1, j] + cx * Q[2, j]
            Q[1, j] = fy * Q[1, j] + cy * Q[2, j]
        for u in range(len(w)):
            a, b, c = ray[u, 0], ray[u, 1], ray[u, 2]
            z = R[2, 0] * a + R[2, 1] * b + R[2, 2] * c + w[u] * t[2]
            ahead = Q[2, 0] * a + Q[2, 1] * b + Q[2, 2] * c + w[u] * Q[2, 3]
            over = ONE / max(ahead, LEAST_ADVANCE)
            columns[u] = (Q[0, 0] * a + Q[0, 1] * b + Q[0, 2] * c + w[u] * Q[0, 3]) * over
            rows[u] = (Q[1, 0] * a + Q[1, 1] * b + Q[1, 2] * c + w[u] * Q[1, 3]) * over
            seen = (w[u] > 0) & (c > 0) & (z >= LEAST_ADVANCE) & (ahead >= LEAST_ADVANCE)
            depths[u] = z if seen else -ONE
        return
    for u in range(len(w)):
        depths[u] = -ONE
        if not w[u] > 0 or ray[u, 2] == 0:
            continue
        columns[u], rows[u], z = _seen(w[u], ray[u], R, t, turn, kind, K, D, limit)
        if z >= LEAST_ADVANCE:
            depths[u] = z


@inlined
def _seen(w, ray, R, t, turn, kind, K, D, limit):  # type: ignore[no-untyped-def]
    """Say where one pixel lies in the other image, and its depth there over that here."""
    a, b, c = ray[0], ray[1], ray[2]
    x = R[0, 0] * a + R[0, 1] * b + R[0, 2] * c + w * t[0]
    y = R[1, 0] * a + R[1, 1] * b + R[1, 2] * c + w * t[1]
    z = R[2, 0] * a + R[2, 1] * b + R[2, 2] * c + w * t[2]
    column, row = place(
        kind, K, D, limit,
        turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z,
        turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z,
        turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z,
    )  # fmt: skip
    return column, row, z


@quick
def splat(inverse_depth, rays, R, t, turn, kind, K, D, limit, out):  # type: ignore[no-untyped-def]
    """Draw what was measured into the present image, the nearest of what meets in one pixel.

    Each pixel covers the four around the place where it comes to lie: so no gaps open where the
    image grows by less than twice.

    Args:
        inverse_depth: (h, w) float32 of the past image, 1/m; NaN where nothing is known.
        rays: (h, w, 3) float32 of the camera.
        R: From the past to the present, with t.
        t: See above.
        turn: (3, 3) float32, the camera's own rotation before it projects.
        kind: Its lens, with K, D and limit; see `matching_costs.compare`.
        K: See there.
        D: See there.
        limit: See there.
        out: (h + 2, w + 2) float32, written: 1/m; 0 where nothing comes to lie. The rim is beyond
            the image.
    """
    height, width = inverse_depth.shape
    columns, rows = np.empty(width, np.float32), np.empty(width, np.float32)
    depths = np.empty(width, np.float32)
    right, below = np.float32(width), np.float32(height)
    out[:] = 0
    for v in range(height):
        w = inverse_depth[v]
        _seen_row(w, rays[v], R, t, turn, kind, K, D, limit, columns, rows, depths)
        for u in range(width):
            column, row = columns[u] + ONE, rows[u] + ONE
            inside = (column > 0) & (row > 0) & (column < right + ONE) & (row < below + ONE)
            if not (inside & (depths[u] > 0)):
                continue
            there, i, j = w[u] / depths[u], np.int64(row), np.int64(column)
            out[i, j] = max(out[i, j], there)
            out[i, j + 1] = max(out[i, j + 1], there)
            out[i + 1, j] = max(out[i + 1, j], there)
            out[i + 1, j + 1] = max(out[i + 1, j + 1], there)


@quick
def read_back(guess, rays, R, t, turn, kind, K, D, limit, same, past, w_out, places):  # type: ignore[no-untyped-def]
    """Find for each pixel of the present where it was seen in the past, and read its depth there.

    Between pixels of one surface inverse depth is read linearly, elsewhere of the nearest.

    Args:
        guess: (h + 2, w + 2) float32, of `splat`.
        rays: (h, w, 3) float32 of the camera.
        R: From the present to the past, with t.
        t: See above.
        turn: As of `splat`, and so are kind, K, D and limit.
        kind: See there.
        K: See there.
        D: See there.
        limit: See there.
        same: Inverse depths that differ by less than this share are of one surface.
        past: (h, w) float32: inverse depth of the past image, 1/m; NaN where unknown.
        w_out: (h, w) float32, written: inverse depth, 1/m; NaN where nothing is known.
        places: (h, w) int32, written: the nearest pixel in the past, row * w + column; `NOWHERE`.
    """
    height, width = past.shape
    columns, rows = np.empty(width, np.float32), np.empty(width, np.float32)
    depths = np.empty(width, np.float32)
    nothing, right, below = np.float32(np.nan), np.float32(width - 1), np.float32(height - 1)
    w_out[:], places[:] = nothing, NOWHERE
    for v in range(height):
        guessed, ray = guess[v + 1, 1 : width + 1], rays[v]
        _seen_row(guessed, ray, R, t, turn, kind, K, D, limit, columns, rows, depths)
        for u in range(width):
            z, column, row, w = depths[u], columns[u], rows[u], guessed[u]
            ahead = R[2, 0] * ray[u, 0] + R[2, 1] * ray[u, 1] + R[2, 2] * ray[u, 2]
            # What was drawn here is of a pixel nearby, whose depth may differ: where that leads to
            # is better, and to be confirmed by where it leads to in turn.
            found, nearest, i, j = False, np.float32(0), np.int64(0), np.int64(0)
            for number in range(TRIES):
                if number > 0:
                    column, row, z = _seen(w, ray[u], R, t, turn, kind, K, D, limit)
                inside = (column >= -HALF) & (row >= -HALF)
                inside &= (column < right + HALF) & (row < below + HALF)
                if not (inside & (z >= LEAST_ADVANCE)):
                    break
                i, j = np.int64(row + HALF), np.int64(column + HALF)
                nearest = past[i, j]
                rest = ONE - nearest * t[2]
                if not ((nearest > 0) & (rest >= LEAST_ADVANCE)):
                    break
                # Beside the edge of a thing what is drawn reaches too far: another is read there.
                found = abs(nearest * z - w) < same * nearest * z
                if found:
                    break
                w = nearest * ahead / rest
            if not found:
                continue
            value = nearest
            if (column >= 0) & (row >= 0) & (column < right) & (row < below):
                left, top = np.int64(column), np.int64(row)
                part, down = column - np.float32(left), row - np.float32(top)
                one, two = past[top, left], past[top, left + 1]
                three, four = past[top + 1, left], past[top + 1, left + 1]
                near = same * nearest  # false of NaN
                if (
                    (abs(one - nearest) < near)
                    & (abs(two - nearest) < near)
                    & (abs(three - nearest) < near)
                    & (abs(four - nearest) < near)
                ):
                    over = one + (two - one) * part
                    under = three + (four - three) * part
                    value = over + (under - over) * down
            # w_past = w / (ahead + w * t_z), solved for w.
            rest = ONE - value * t[2]
            if rest < LEAST_ADVANCE:
                continue
            w_out[v, u] = value * ahead / rest
            places[v, u] = i * width + j


@quick
def take_measured(w, places, rays, R, t, sigma, kinds, codes, code, sigma_out, kind_out, bits):  # type: ignore[no-untyped-def]
    """Take along what else was measured, and compare what is seen.

    Args:
        w: (h, w) float32 of `read_back`, 1/m.
        places: (h, w) int32 of `read_back`.
        rays: (h, w, 3) float32 of the camera.
        R: From the present to the past, with t.
        t: See above.
        sigma: (h, w) float32 of the past: deviation of inverse depth, 1/m.
        kinds: (h, w) uint8 of the past: its kind.
        codes: (h, w) uint32: census of the past image.
        code: (h, w) uint32: census of the present one.
        sigma_out: (h, w) float32, written, 1/m; NaN where nothing is known.
        kind_out: (h, w) uint8, written; 0 there.
        bits: (h, w) uint8, written: how many of the 24 bits differ; `NO_CODE` there.
    """
    height, width = w.shape
    nothing = np.float32(np.nan)
    for v in range(height):
        for u in range(width):
            place = places[v, u]
            if place == NOWHERE:
                sigma_out[v, u], kind_out[v, u], bits[v, u] = nothing, np.uint8(0), NO_CODE
                continue
            i, j = place // width, place % width
            ahead = R[2, 0] * rays[v, u, 0] + R[2, 1] * rays[v, u, 1] + R[2, 2] * rays[v, u, 2]
            # w = v a / (1 - v t), whose slope in the past's v is a / (1 - v t)^2 = (a + w t)^2 / a.
            slope = ahead + w[v, u] * t[2]
            sigma_out[v, u] = sigma[i, j] * slope * slope / ahead
            kind_out[v, u] = kinds[i, j]
            bits[v, u] = np.uint8(count_bits(np.uint32(code[v, u] ^ codes[i, j])))


@quick
def differences(places, codes, code, by_way, in_place):  # type: ignore[no-untyped-def]
    """Compare the present image with the past one: where each pixel should be, and where it is.

    Args:
        places: (h, w) int32 of `read_back`.
        codes: (h, w) uint32: census of the past image.
        code: (h, w) uint32: census of the present one.
        by_way: (h, w) uint8, written: bits that differ, if what is seen stands still; `CHANCE`
            where it was not seen.
        in_place: (h, w) uint8, written: bits that differ, if it moves along with the vehicle.
    """
    height, width = places.shape
    for v in range(height):
        for u in range(width):
            here, place = code[v, u], places[v, u]
            in_place[v, u] = np.uint8(count_bits(np.uint32(here ^ codes[v, u])))
            by_way[v, u] = CHANCE
            if place != NOWHERE:
                there = codes[place // width, place % width]
                by_way[v, u] = np.uint8(count_bits(np.uint32(here ^ there)))


@quick
def take_results(w, places, past, values, shares, by_way, in_place, margin, most, out):  # type: ignore[no-untyped-def]
    """Take along a result.

    What the present image shows in the very place where the past one did, and not where it would
    be if it stood still, moves along: it keeps its depth.

    Args:
        w: (h, w) float32 of `read_back`, 1/m; written: 0 where nothing is known.
        places: (h, w) int32 of `read_back`.
        past: (h, w) float32: inverse depth of the past result, 1/m; NaN where unknown.
        values: (h, w) float32 of the past: its confidence.
        shares: (h, w) float32 of the past: probability of the road.
        by_way: (h, w) uint8, of `differences`, smoothed; with in_place.
        in_place: See above.
        margin: Bits by which in_place is to be better.
        most: Bits that may differ in place where nothing else is known.
        out: confidence and road (h, w) float32 each, written; 0 where nothing is known.
    """
    value_out, share_out = out
    height, width = w.shape
    for v in range(height):
        row = w[v]
        for u in range(width):
            place = places[v, u]
            stays = in_place[v, u] <= most and in_place[v, u] + margin < by_way[v, u]
            stays &= past[v, u] > 0
            if stays:
                row[u] = past[v, u]
                value_out[v, u], share_out[v, u] = values[v, u], shares[v, u]
            elif place != NOWHERE:
                i, j = place // width, place % width
                value_out[v, u], share_out[v, u] = values[i, j], shares[i, j]
            else:
                row[u], value_out[v, u], share_out[v, u] = 0, 0, 0


@quick
def fill(w, around, rays, down, fade, values, shares):  # type: ignore[no-untyped-def]
    """Fill what had not been seen, along the rows.

    What something near had hidden is as far as the farther of what is on both sides. What had been
    outside of the image is like what is around. Both are no farther than the ground.

    Args:
        w: (h, w) float32, 1/m, 0 where nothing is known; written.
        around: (h, w) float32: inverse depth as it is around, 1/m.
        rays: (h, w, 3) float32; 0 where nothing is seen.
        down: (3,) float32: normal of the ground in the camera's frame over minus the height, 1/m.
        fade: What is filled is so much less sure.
        values: (h, w) float32: confidence; written.
        shares: (h, w) float32: probability of the road; written.
    """
    height, width = w.shape
    for v in range(height):
        row, u = w[v], 0
        while u < width:
            if row[u] > 0:
                u += 1
                continue
            end = u
            while end < width and not row[end] > 0:
                end += 1
            side, inside = -1, u > 0 and end < width
            if inside:
                side = u - 1 if row[u - 1] <= row[end] else end
            elif u > 0:
                side = u - 1
            elif end < width:
                side = end
            while u < end:
                ground = down[0] * rays[v, u, 0] + down[1] * rays[v, u, 1] + down[2] * rays[v, u, 2]
                farther = row[side] if inside else around[v, u]
                if side >= 0:
                    values[v, u], shares[v, u] = fade * values[v, side], shares[v, side]
                row[u] = max(farther, ground)
                u += 1


@quick
def enlarge(w, values, shares, same, beyond, out):  # type: ignore[no-untyped-def]
    """Bring a result onto a finer grid of the same field.

    Between pixels of one surface inverse depth is read linearly, elsewhere of the nearest.

    Args:
        w: (h, w) float32, inverse depth, 1/m; 0 where nothing is known.
        values: (h, w) float32, confidence.
        shares: (h, w) float32, probability of the road.
        same: Inverse depths that differ by less than this share are of one surface.
        beyond: Inverse depths below it are beyond all range, 1/m.
        out: depth (m; infinite beyond range, NaN unknown), confidence and road (H, W) float32 each,
            written.
    """
    depth_out, value_out, share_out = out
    height, width = w.shape
    rows, columns = depth_out.shape
    down, across = np.float32(height / rows), np.float32(width / columns)
    last_row, last_column = np.float32(height - 1), np.float32(width - 1)
    for v in range(rows):
        y = min(max((np.float32(v) + HALF) * down - HALF, np.float32(0)), last_row)
        top = min(np.int64(y), max(height - 2, 0))
        under, part_y = min(top + 1, height - 1), y - np.float32(top)
        i = top if part_y < HALF else under
        for u in range(columns):
            x = min(max((np.float32(u) + HALF) * across - HALF, np.float32(0)), last_column)
            left = min(np.int64(x), max(width - 2, 0))
            right, part_x = min(left + 1, width - 1), x - np.float32(left)
            j = left if part_x < HALF else right
            nearest = w[i, j]
            a, b = w[top, left], w[top, right]
            c, d = w[under, left], w[under, right]
            one = a + (b - a) * part_x
            between = one + (c + (d - c) * part_x - one) * part_y
            value = between if abs(between - nearest) < same * nearest else nearest
            if value > beyond:
                depth_out[v, u] = ONE / value
            else:
                depth_out[v, u] = np.inf if value > 0 else np.nan
            value_out[v, u], share_out[v, u] = values[i, j], shares[i, j]
