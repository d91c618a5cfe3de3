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

"""The loops that judge matches and add the ground: as whole-array arithmetic says it."""

from __future__ import annotations

import numpy as np

from depth_perception.motion import measured_loops as loops
from depth_perception.motion.moving_loops import label_surfaces, measure_patches

SHAPE = (40, 50)


def some(rng, low, high):
    return rng.uniform(low, high, SHAPE).astype(np.float32)


def flooded(w, good, change):
    """Patches of neighbours, numbered by their first pixels: by flooding one after the other."""
    labels, count = np.zeros(w.shape, int), 0
    for start in zip(*np.nonzero(good), strict=True):
        if labels[start]:
            continue
        count += 1
        labels[start], edge = count, [start]
        while edge:
            v, u = edge.pop()
            for near in ((v + 1, u), (v - 1, u), (v, u + 1), (v, u - 1)):
                if not (0 <= near[0] < w.shape[0] and 0 <= near[1] < w.shape[1]):
                    continue
                close = abs(w[near] - w[v, u]) <= change * max(w[near], w[v, u])
                if good[near] and not labels[near] and close:
                    labels[near] = count
                    edge.append(near)
    return labels, count


def test_patches_are_those_of_flooding_and_so_are_their_sizes():
    rng = np.random.default_rng(0)
    w = np.exp(0.04 * rng.integers(0, 9, SHAPE)).astype(np.float32)  # winding patches
    good = rng.random(SHAPE) < 0.9
    change = np.float32(0.13)
    labels, parents = np.full(SHAPE, 7, np.int32), np.empty(w.size, np.int32)
    count = label_surfaces(w, good, change, labels, parents)
    expected, number = flooded(w, good, change)
    assert number == count > 20 and np.bincount(expected[good]).max() > 300
    np.testing.assert_array_equal(labels, expected)
    sizes, columns = np.zeros(count + 1, np.int64), np.zeros(count + 1, np.int64)
    measure_patches(labels, sizes, columns, np.full(count + 1, -1, np.int64))
    np.testing.assert_array_equal(sizes, np.bincount(expected.ravel()))
    wide = [len(np.unique(np.nonzero(expected == k)[1])) for k in range(count + 1)]
    np.testing.assert_array_equal(columns, wide)


def test_matches_are_believed_where_everything_speaks_for_them():
    rng = np.random.default_rng(1)
    w, smooth = some(rng, 0.05, 0.3), some(rng, 0.05, 0.3)
    smooth = np.where(rng.random(SHAPE) < 0.7, w * np.float32(1.02), smooth).astype(np.float32)
    w[rng.random(SHAPE) < 0.1] = np.nan
    high, low = smooth * some(rng, 1.0, 1.2), smooth / some(rng, 1.0, 1.2)
    structure = rng.integers(0, 12, SHAPE).astype(np.uint8)
    coarse, ratio, bits = some(rng, 0.5, 1.05), some(rng, 0.5, 1.1), some(rng, 0, 11)
    moved, mask = some(rng, 5, 150), rng.random(SHAPE) < 0.1
    moved[3, 3], mask[3, 3] = 0, False
    limits = tuple(np.float32(value) for value in (0.97, 9.0, 0.15, 0.1, 1.25, 5.0))
    sigma, good = np.empty(SHAPE, np.float32), np.empty(SHAPE, bool)
    of_match = (coarse, ratio, bits, moved, mask)
    loops.believe(w, smooth, high, low, structure, *of_match, 0.35, limits, sigma, good)
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.float32(0.35) / moved
        expected = (w > 0) & (coarse < 0.97) & (bits < 9) & ~mask & (own < np.float32(0.15) * w)
        expected &= np.abs(w - smooth) < np.maximum(np.float32(0.1) * smooth, 2 * own)
        expected &= (high <= np.float32(1.25) * low) | ((ratio < 0.97) & (structure >= 5))
    np.testing.assert_allclose(sigma, own, rtol=1e-6)
    assert np.isinf(sigma[3, 3]) and 100 < expected.sum() < 1500
    np.testing.assert_array_equal(good, expected)


def test_what_is_kept_is_no_speck_and_not_under_the_road():
    rng = np.random.default_rng(2)
    w, sigma, good = some(rng, 0.05, 0.3), some(rng, 0.001, 0.01), rng.random(SHAPE) < 0.8
    labels = np.where(good, rng.integers(1, 6, SHAPE), 0).astype(np.int32)
    sizes = np.array([500, 41, 40, 90, 3, 200])
    rays = np.dstack([some(rng, -1, 1), some(rng, -0.2, 0.6), np.ones(SHAPE, np.float32)])
    up, below = np.array([0.02, -0.99, 0.1], np.float32), (0.15, 0.01, 0.001)
    source, kinds = rng.integers(0, 2, SHAPE).astype(np.uint8), np.array([2, 3], np.uint8)
    out, deviation, under = (np.empty(SHAPE, np.float32) for _ in range(3))
    kind = np.empty(SHAPE, np.uint8)
    road = (rays, up, 1.5, tuple(np.float32(value) for value in below))
    written = (out, deviation, kind, under)
    loops.keep(w, sigma, good, labels, sizes, 40, *road, source, kinds, *written)
    large, depth = good & (sizes[labels] > 40), 1 / w
    above = 1.5 + (rays @ up) * depth > -(0.15 + 0.01 * depth + 0.001 * depth * depth)
    kept = large & above
    assert 50 < kept.sum() < large.sum() - 50
    np.testing.assert_array_equal(out, np.where(kept, w, np.nan))
    np.testing.assert_array_equal(deviation, np.where(kept, sigma, np.nan))
    np.testing.assert_array_equal(kind, np.where(kept, kinds[source], 0))
    np.testing.assert_array_equal(under, np.where(large & ~above, w, np.nan))


def test_the_ground_is_compared_filled_and_merged():
    rng = np.random.default_rng(3)
    plane = np.where(rng.random(SHAPE) < 0.8, some(rng, 0.02, 0.3), 0).astype(np.float32)
    plane_sigma = np.where(plane > 0, np.float32(0.03), np.inf).astype(np.float32)
    factor, shared = 1.05, 0.02
    w = (plane * factor * some(rng, 0.7, 1.4) + np.float32(0.001)).astype(np.float32)
    w[rng.random(SHAPE) < 0.3] = np.nan
    sigma = np.where(np.isnan(w), np.nan, w * np.float32(0.04)).astype(np.float32)
    kind = np.where(np.isnan(w), 0, rng.integers(2, 4, SHAPE)).astype(np.uint8)
    mask, lane = rng.random(SHAPE) < 0.1, rng.random(SHAPE) < 0.5
    metric, deviation = np.empty(SHAPE, np.float32), np.empty(SHAPE, np.float32)
    found, on, both = (np.empty(SHAPE, np.uint8) for _ in range(3))
    limits = (np.float32(1 / 40), np.float32(0.1))
    of_way = (w, sigma, kind, np.uint8(2), factor, shared)
    out = (metric, deviation, found, on, both)
    loops.compare_with_plane(*of_way, plane, plane_sigma, mask, limits, *out)
    longer = np.where(kind == 2, factor, 1.0)
    own = sigma / longer
    np.testing.assert_allclose(metric, w / longer, rtol=1e-6)
    whole = np.hypot(own, metric * np.where(kind == 2, shared, 0.0))
    np.testing.assert_allclose(deviation, whole, rtol=1e-5)
    known, ground = np.isfinite(w), (plane > 1 / 40) & ~mask
    with np.errstate(invalid="ignore"):
        near = np.abs(metric - plane) < np.maximum(0.1 * plane, 2 * own)
    np.testing.assert_array_equal(both > 0, known & ground)
    np.testing.assert_array_equal(on > 0, known & ground & near)
    np.testing.assert_array_equal(found, known + 2 * ground + 4 * (known & ground & near))

    whole = some(rng, 0, 1)
    part = (whole * np.sqrt(some(rng, 0, 1))).astype(np.float32)
    inside = (some(rng, 0.5, 1)[:, 0].copy(), some(rng, 0.5, 1)[0].copy())
    cost, around, variance = some(rng, 1, 1.3), some(rng, 1, 1.3), some(rng, 0, 60)
    under = np.where(rng.random(SHAPE) < 0.1, some(rng, 0.01, 0.1), np.nan).astype(np.float32)
    filled, feet, things = (np.empty(SHAPE, bool) for _ in range(3))
    everything = np.empty(SHAPE, np.float32)
    filling = tuple(np.float32(value) for value in (1.12, 25.0, 0.8, 0.15, 0.02, 0.02))
    of_image = (cost, around, variance, lane, under, factor, metric)
    written = (filled, feet, everything, things)
    loops.fill(found, part, whole, inside, *of_image, filling, *written)
    share = np.where(whole > 0.02, part / np.maximum(whole, 0.02), 0)
    against = (whole - part) / (inside[0][:, None] * inside[1])
    fits, blank, empty = around < np.float32(1.12), variance < 25, ground & ~known
    unopposed = lane & (against < 0.15) & (share >= 0.5 * (against > 0.02))
    expected = empty & ((unopposed & (fits | blank)) | (fits & (share > 0.8) & ~blank))
    assert 20 < expected.sum() < empty.sum()
    np.testing.assert_array_equal(filled, expected)
    on_ground = found & 4 > 0
    np.testing.assert_array_equal(
        feet, on_ground | (empty & (fits | blank | (cost < np.float32(1.12))))
    )
    below = np.isfinite(under)
    np.testing.assert_array_equal(things, below | (known & ~on_ground))
    expected = np.where(below, under / np.float32(factor), np.where(known, metric, 0))
    np.testing.assert_allclose(everything, expected, rtol=1e-6)

    moving, above = rng.random(SHAPE) < 0.1, rng.random(SHAPE) < 0.3
    expected_w, expected_sigma, expected_kind = metric.copy(), deviation.copy(), kind.copy()
    expected_w[moving] = expected_sigma[moving] = np.nan
    expected_kind[moving] = 0
    two = on_ground & ~moving
    a, b = deviation[two] ** -2.0, (plane[two] * plane_sigma[two]) ** -2.0
    expected_w[two] = (metric[two] * a + plane[two] * b) / (a + b)
    expected_sigma[two] = (a + b) ** -0.5
    new = filled & ~above
    expected_w[new], expected_sigma[new] = plane[new], plane[new] * plane_sigma[new]
    expected_kind[two | new] = 1
    of_plane = (plane, plane_sigma, np.uint8(1))
    loops.merge(found, moving, above, filled, *of_plane, metric, deviation, kind)
    np.testing.assert_allclose(metric, expected_w, rtol=1e-5)
    np.testing.assert_allclose(deviation, expected_sigma, rtol=1e-5)
    np.testing.assert_array_equal(kind, expected_kind)
