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

"""The pixel loops of `measured_depth`. All write into arrays that the caller gives."""

from __future__ import annotations

import numpy as np

from depth_perception.geometry.compiled import compiled

KNOWN, GROUND, ON_GROUND = 1, 2, 4
"""Bits of what `compare_with_plane` found: measured; on the plane if nothing stands there; both."""


@compiled
def believe(  # type: ignore[no-untyped-def]
    w, smooth, high, low, structure, coarse_ratio, ratio, bits, sensitivity, mask, shift,
    limits, sigma, good
):  # fmt: skip
    """Tell which matches are unique, agree with those around, and are sure enough.

    Args:
        w: (h, w) float32: inverse depth, 1/m; NaN where there is none.
        smooth: (h, w) float32: its median.
        high: (h, w) float32: largest of that within the reach of a match.
        low: (h, w) float32: least of it.
        structure: (h, w) uint8: how much grey values of neighbours differ.
        coarse_ratio: (h, w) float32, see `matching.Match`, as are the next three.
        ratio: (h, w) float32.
        bits: (h, w) float32.
        sensitivity: (h, w) float32.
        mask: (h, w) bool: nothing may be measured.
        shift: Standard deviation of where a pixel was found again, px.
        limits: Six float32: largest ratio, bits, relative deviation, relative difference from the
            median, step that is no edge, and least structure at an edge.
        sigma: (h, w) float32, written: standard deviation, 1/m; infinite where nothing moves.
        good: (h, w) bool, written.
    """
    most_ratio, most_bits, most_sigma, deviation, step, least_structure = limits
    for v in range(w.shape[0]):
        for u in range(w.shape[1]):
            moved, here, middle = sensitivity[v, u], w[v, u], smooth[v, u]
            own = np.float32(np.inf) if moved == 0 else np.float32(shift) / moved
            sigma[v, u] = own
            fine = (here > 0) & (coarse_ratio[v, u] < most_ratio) & (bits[v, u] < most_bits)
            fine &= (not mask[v, u]) & (own < most_sigma * here)
            fine &= abs(here - middle) < max(deviation * middle, np.float32(2) * own)
            edge = high[v, u] > step * low[v, u]
            sure = (ratio[v, u] < most_ratio) & (structure[v, u] >= least_structure)
            good[v, u] = fine & (sure | (not edge))


@compiled
def keep(  # type: ignore[no-untyped-def]
    w, sigma, good, labels, sizes, smallest, rays, up, height, below, source, kinds, out,
    out_sigma, out_kind, under
):  # fmt: skip
    """Keep what belongs to a patch of some size and does not lie under the road.

    Args:
        w: (h, w) float32: inverse depth, 1/m.
        sigma: (h, w) float32.
        good: (h, w) bool: those that are believed.
        labels: (h, w) int32: their patches, see `moving_loops.label_surfaces`.
        sizes: (count + 1,) int64: pixels of each.
        smallest: Patches of no more pixels are noise.
        rays: (h, w, 3) float32.
        up: (3,) float32: normal of the road in the camera's frame.
        height: Of the camera over it, m.
        below: Three float32: so deep nothing lies under it, m, by depth and by its square.
        source: (h, w) uint8: which source measured best.
        kinds: (S,) uint8: kind of each source.
        out: (h, w) float32, written: inverse depth of what is kept; NaN elsewhere.
        out_sigma: (h, w) float32 likewise.
        out_kind: (h, w) uint8, written; 0 elsewhere.
        under: (h, w) float32, written: inverse depth of what only the road speaks against.
    """
    nothing = np.float32(np.nan)
    rough, slope, bend = below
    for v in range(w.shape[0]):
        for u in range(w.shape[1]):
            out[v, u] = out_sigma[v, u] = under[v, u] = nothing
            out_kind[v, u] = np.uint8(0)
            if not good[v, u] or sizes[labels[v, u]] <= smallest:
                continue
            depth = np.float32(1) / max(w[v, u], np.float32(1e-3))
            rise = rays[v, u, 0] * up[0] + rays[v, u, 1] * up[1] + rays[v, u, 2] * up[2]
            if np.float32(height) + rise * depth > -(rough + depth * (slope + bend * depth)):
                out[v, u], out_sigma[v, u] = w[v, u], sigma[v, u]
                out_kind[v, u] = kinds[source[v, u]]
            else:
                under[v, u] = w[v, u]


@compiled
def compare_with_plane(  # type: ignore[no-untyped-def]
    w, sigma, kind, parallax, factor, factor_sigma, plane, plane_sigma, mask, limits, out,
    out_sigma, found, on_ground, both
):  # fmt: skip
    """Bring measured depth to metres, and compare it with the ground.

    Args:
        w: (h, w) float32: inverse depth in units of the way, 1/m; NaN where nothing is measured.
        sigma: (h, w) float32.
        kind: (h, w) uint8.
        parallax: The kind that hangs on the way; others are metres.
        factor: By how much the way is longer.
        factor_sigma: Its relative standard deviation.
        plane: (h, w) float32: inverse depth of the ground, 1/m.
        plane_sigma: (h, w) float32: its relative standard deviation; infinite above the horizon.
        mask: (h, w) bool: nothing may be measured.
        limits: Two float32: least inverse depth of the ground, and the share within which a match
            is on it.
        out: (h, w) float32, written: inverse depth, 1/m.
        out_sigma: (h, w) float32, written: with what all matches share.
        found: (h, w) uint8, written: `KNOWN`, `GROUND`, `ON_GROUND`.
        on_ground: (h, w) uint8, written: 1 where a match is on the ground.
        both: (h, w) uint8, written: 1 where there is a match before the ground.
    """
    farthest, share = limits
    for v in range(w.shape[0]):
        for u in range(w.shape[1]):
            longer = np.float32(factor) if kind[v, u] == parallax else np.float32(1)
            shared = np.float32(factor_sigma) if kind[v, u] == parallax else np.float32(0)
            here, own = w[v, u] / longer, sigma[v, u] / longer
            out[v, u] = here
            out_sigma[v, u] = np.sqrt(own * own + here * shared * here * shared)
            known = np.isfinite(here)
            ground = (plane[v, u] > farthest) & (not mask[v, u]) & np.isfinite(plane_sigma[v, u])
            # By the match alone: a way of unknown length must not make everything ground.
            near = abs(here - plane[v, u]) < max(share * plane[v, u], np.float32(2) * own)
            on = known & ground & near
            found[v, u] = KNOWN * known | GROUND * ground | ON_GROUND * on
            on_ground[v, u], both[v, u] = np.uint8(on), np.uint8(known & ground)


@compiled
def fill(  # type: ignore[no-untyped-def]
    found, on_share, both_share, around, cost, cost_around, variance, lane, under, factor, w,
    limits, filled, feet, everything, things
):  # fmt: skip
    """Tell where the ground is believed, and what could be a thing that stands on it.

    Args:
        found: (h, w) uint8, of `compare_with_plane`.
        on_share: (h, w) float32: share of the pixels around with a match on the ground.
        both_share: (h, w) float32: share with a match before the ground.
        around: Two float32 arrays: share of the rows around each row that the image has; and of the
            columns.
        cost: (h, w) float32: cost of the ground over the least.
        cost_around: (h, w) float32: its mean.
        variance: (h, w) float32: of grey values.
        lane: (h, w) bool: where the vehicle's path would be seen.
        under: (h, w) float32: inverse depth of what would lie under the road, NaN elsewhere.
        factor: By how much the way is longer.
        w: (h, w) float32: inverse depth, 1/m.
        limits: Six float32: largest cost of the ground, variance of what is blank, share of matches
            that confirm the ground, share that opposes it, share that is little, share of which
            none is asked.
        filled: (h, w) bool, written: ground without a match.
        feet: (h, w) bool, written: what may be the ground under a thing.
        everything: (h, w) float32, written: inverse depth, also of what would lie under the road; 0
            where nothing is measured.
        things: (h, w) bool, written: where that is not on the ground.
    """
    most_cost, blank_variance, support, opposed, little, few = limits
    rows, columns = around
    for v in range(w.shape[0]):
        for u in range(w.shape[1]):
            here = found[v, u]
            known, ground, on = here & KNOWN > 0, here & GROUND > 0, here & ON_GROUND > 0
            whole = both_share[v, u]
            share = on_share[v, u] / whole if whole > few else np.float32(0)
            against = (whole - on_share[v, u]) / (rows[v] * columns[u])
            fits = cost_around[v, u] < most_cost
            blank = variance[v, u] < blank_variance
            open_ground = ground & (not known)
            unopposed = lane[v, u] & (against < opposed) & ((share >= 0.5) | (against <= little))
            confirmed = fits & (share > support) & (not blank)
            filled[v, u] = open_ground & ((unopposed & (fits | blank)) | confirmed)
            feet[v, u] = on | (open_ground & (fits | blank | (cost[v, u] < most_cost)))
            below = np.isfinite(under[v, u])
            measured = w[v, u] if known else np.float32(0)
            everything[v, u] = under[v, u] / np.float32(factor) if below else measured
            things[v, u] = below | (known & (not on))


@compiled
def merge(  # type: ignore[no-untyped-def]
    found, moving, above, filled, plane, plane_sigma, on_plane, w, sigma, kind
):  # fmt: skip
    """Take out what moves, and put the ground in; in place.

    Args:
        found: (h, w) uint8, of `compare_with_plane`.
        moving: (h, w) bool.
        above: (h, w) bool: above the foot of something that moves.
        filled: (h, w) bool: ground without a match.
        plane: (h, w) float32: inverse depth of the ground, 1/m.
        plane_sigma: (h, w) float32: its relative standard deviation.
        on_plane: The kind of the ground.
        w: (h, w) float32, changed.
        sigma: (h, w) float32, changed.
        kind: (h, w) uint8, changed.
    """
    for v in range(w.shape[0]):
        for u in range(w.shape[1]):
            own = plane[v, u] * plane_sigma[v, u]
            if moving[v, u]:
                kind[v, u] = np.uint8(0)
                w[v, u] = sigma[v, u] = np.float32(np.nan)
            elif found[v, u] & ON_GROUND:
                # Two measurements of one thing: the plane's and the match's.
                a = np.float32(1) / (sigma[v, u] * sigma[v, u])
                b = np.float32(1) / (own * own)
                w[v, u] = (w[v, u] * a + plane[v, u] * b) / (a + b)
                sigma[v, u] = np.float32(1) / np.sqrt(a + b)
                kind[v, u] = on_plane
            if filled[v, u] and not above[v, u]:
                w[v, u], sigma[v, u], kind[v, u] = plane[v, u], own, on_plane
