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
from depth_perception.motion.matching_loops import _place

LEAST_ADVANCE = np.float32(0.05)
"""What comes nearer than this share of its depth is not followed."""
NO_CODE = np.uint8(255)
ONE, HALF = np.float32(1), np.float32(0.5)
TRIES = 2
"""How often it is looked where a pixel was in the past."""


@inlined
def count_bits(code):  # type: ignore[no-untyped-def]
    """Count the bits of a uint32 that are set: in pairs, in fours, in bytes, and all bytes."""
    code = np.uint32(code - ((code >> np.uint32(1)) & np.uint32(0x55555555)))
    code = np.uint32(
        (code & np.uint32(0x33333333)) + ((code >> np.uint32(2)) & np.uint32(0x33333333))
    )
    code = np.uint32((code + (code >> np.uint32(4))) & np.uint32(0x0F0F0F0F))
    return np.uint32(code * np.uint32(0x01010101)) >> np.uint32(24)


@compiled
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
        kind: Its lens, with K, D and limit; see `matching_loops.compare`.
        K: See there.
        D: See there.
        limit: See there.
        out: (h, w) float32, written: 1/m; 0 where nothing comes to lie.
    """
    height, width = out.shape
    out[:] = 0
    for v in range(height):
        for u in range(width):
            w = inverse_depth[v, u]
            if not w > 0:
                continue
            a, b, c = rays[v, u, 0], rays[v, u, 1], rays[v, u, 2]
            x = R[0, 0] * a + R[0, 1] * b + R[0, 2] * c + w * t[0]
            y = R[1, 0] * a + R[1, 1] * b + R[1, 2] * c + w * t[1]
            z = R[2, 0] * a + R[2, 1] * b + R[2, 2] * c + w * t[2]
            if z < LEAST_ADVANCE:
                continue
            column, row = _place(
                kind, K, D, limit,
                turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z,
                turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z,
                turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z,
            )  # fmt: skip
            if not (column > -1 and row > -1 and column < width and row < height):
                continue
            there = w / z
            left, top = int(np.floor(column)), int(np.floor(row))
            for i in range(max(top, 0), min(top + 2, height)):
                for j in range(max(left, 0), min(left + 2, width)):
                    out[i, j] = max(out[i, j], there)


@compiled
def read_back(
    guess, rays, R, t, turn, kind, K, D, limit, same, past, sigma, kinds, codes, code, out, bits
):  # type: ignore[no-untyped-def]
    """Read for each pixel of the present what was measured where it was seen in the past.

    Between pixels of one surface inverse depth is read linearly, elsewhere of the nearest.

    Args:
        guess: (h, w) float32, of `splat`.
        rays: (h, w, 3) float32 of the camera.
        R: From the present to the past, with t.
        t: See above.
        turn: As of `splat`, and so are kind, K, D and limit.
        kind: See there.
        K: See there.
        D: See there.
        limit: See there.
        same: Inverse depths that differ by less than this share are of one surface.
        past: (3, h, w): see sigma. Inverse depth of the past image, 1/m; NaN where unknown.
        sigma: (h, w) float32: its deviation, 1/m.
        kinds: (h, w) uint8: its kind.
        codes: (h, w) uint32: census of the past image.
        code: (h, w) uint32: census of the present one.
        out: inverse depth, deviation (h, w) float32 each and kind (h, w) uint8, written; NaN and 0
            where nothing is known.
        bits: (h, w) uint8, written: how many of the 24 bits differ; `NO_CODE` where unknown.
    """
    height, width = guess.shape
    w_out, sigma_out, kind_out = out
    for v in range(height):
        for u in range(width):
            w_out[v, u], sigma_out[v, u], kind_out[v, u] = np.nan, np.nan, 0
            bits[v, u] = NO_CODE
            w = guess[v, u]
            a, b, c = rays[v, u, 0], rays[v, u, 1], rays[v, u, 2]
            if not w > 0 or c == 0:
                continue
            ahead = R[2, 0] * a + R[2, 1] * b + R[2, 2] * c
            # What was drawn here is of a pixel nearby, whose depth may differ: where that leads to
            # is better, and to be confirmed by where it leads to in turn.
            found, nearest = False, np.float32(0)
            i, j, column, row = 0, 0, np.float32(0), np.float32(0)
            for _ in range(TRIES):
                x = R[0, 0] * a + R[0, 1] * b + R[0, 2] * c + w * t[0]
                y = R[1, 0] * a + R[1, 1] * b + R[1, 2] * c + w * t[1]
                z = ahead + w * t[2]
                if z < LEAST_ADVANCE:
                    break
                column, row = _place(
                    kind, K, D, limit,
                    turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z,
                    turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z,
                    turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z,
                )  # fmt: skip
                j = int(np.floor(column + HALF))
                i = int(np.floor(row + HALF))
                if i < 0 or j < 0 or i >= height or j >= width:
                    break
                nearest = past[i, j]
                rest = ONE - nearest * t[2]
                if not nearest > 0 or rest < LEAST_ADVANCE:
                    break
                # Beside the edge of a thing what is drawn reaches too far: another is read there.
                found = abs(nearest - w / z) < same * nearest
                if found:
                    break
                w = nearest * ahead / rest
            if not found:
                continue
            value = nearest
            left, top = int(np.floor(column)), int(np.floor(row))
            if left >= 0 and top >= 0 and left + 1 < width and top + 1 < height:
                right, down = column - np.float32(left), row - np.float32(top)
                one, two = past[top, left], past[top, left + 1]
                three, four = past[top + 1, left], past[top + 1, left + 1]
                near = same * nearest  # false of NaN
                if (
                    abs(one - nearest) < near
                    and abs(two - nearest) < near
                    and abs(three - nearest) < near
                    and abs(four - nearest) < near
                ):
                    above = one + (two - one) * right
                    below = three + (four - three) * right
                    value = above + (below - above) * down
            # w_past = w / (ahead + w * t_z), solved for w.
            rest = ONE - value * t[2]
            if rest < LEAST_ADVANCE:
                continue
            w_out[v, u] = value * ahead / rest
            sigma_out[v, u] = sigma[i, j] * ahead / (rest * rest)
            kind_out[v, u] = kinds[i, j]
            bits[v, u] = np.uint8(count_bits(np.uint32(code[v, u] ^ codes[i, j])))
