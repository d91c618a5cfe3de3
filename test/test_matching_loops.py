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

"""The loops of matching, all depths of a pixel at once: as plain arithmetic says it."""

from __future__ import annotations

import numpy as np
import pytest

from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.transforms import rotation_of_angles
from depth_perception.motion import matching
from depth_perception.motion import matching_costs as costs
from depth_perception.motion import matching_loops as loops
from depth_perception.motion.matching import Pyramid, Source
from depth_perception.motion.matching_vectors import blocks

SMALL, JUMPS = matching._CHANGES
DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0))
K = np.array([[40.0, 0.5, 24.0], [0, 42.0, 17.0], [0, 0, 1]])
LENSES = {
    "pinhole": CameraModel(50, 35, K),
    "plumb_bob": CameraModel(50, 35, K, np.array([-0.25, 0.06, 0.001, -0.001, 0.0])),
    "equidistant": CameraModel(50, 35, K, np.array([0.01, -0.002, 0, 0]), "equidistant"),
}


def paths(cost, base, image):
    """Sum of the four paths, depth by depth: a dictionary of what each pixel's path costs."""
    height, width, planes = cost.shape
    total = np.zeros(cost.shape, np.int64)
    for down, right in DIRECTIONS:
        values: dict[tuple[int, int], dict[int, int]] = {}
        rows = range(height) if down >= 0 else range(height - 1, -1, -1)
        for v in rows:
            columns = range(width) if right >= 0 else range(width - 1, -1, -1)
            for u in columns:
                before = values.get((v - down, u - right))
                jump = 0
                if before is not None:
                    change = abs(int(image[v, u]) - int(image[v - down, u - right]))
                    jump = int(JUMPS[change])
                here = {}
                for i in range(planes):
                    step = int(base[v, u]) + i
                    best = 0
                    if before is not None:
                        far = [before.get(step, jump)]
                        far += [before.get(step + k, jump) + int(SMALL) for k in (-1, 1)]
                        best = min(*far, jump)
                    here[step] = best + int(cost[v, u, i])
                    total[v, u, i] += here[step]
                least = min(here.values())
                values[v, u] = {step: value - least for step, value in here.items()}
    return total


@pytest.mark.parametrize("planes", [16, 32, 48, 64])
@pytest.mark.parametrize("even", [False, True])
def test_paths_cost_what_each_of_their_steps_costs(planes, even):
    rng = np.random.default_rng(planes)
    height, width = 7, 10  # no whole number of the rows that are followed at once
    base = np.full((height, width), -1, np.int32)
    if not even:  # windows that meet, nearly or not at all
        far = [0, 0, 1, -2, planes - 1, -planes, 200]
        base += rng.choice(far, (height, width)).astype(np.int32)
    image = rng.choice([10, 12, 40, 255], (height, width)).astype(np.uint8)
    cost = rng.integers(0, 12 * costs.SCALE + 1, (height, width, planes)).astype(np.uint8)
    cost[2:5, 3:8] = rng.choice([0, 12 * costs.SCALE], (3, 5, planes)).astype(np.uint8)
    total = np.empty(cost.shape, np.uint16)
    loops.aggregate(cost, base, image, SMALL, JUMPS, even, blocks(planes), total)
    np.testing.assert_array_equal(total, paths(cost, base, image))


def test_no_path_can_cost_more_than_its_number_holds():
    assert 12 * costs.SCALE + int(JUMPS.max()) < 255
    assert int(JUMPS.min()) >= int(SMALL) > 0
    assert 4 * (12 * costs.SCALE + int(JUMPS.max())) < 1024
    with pytest.raises(ValueError, match="20 depths: expected 16, 32, 48 or 64"):
        blocks(20)


@pytest.mark.parametrize("planes", [16, 32, 48, 64])
def test_the_best_step_and_how_it_stands_out(planes):
    rng = np.random.default_rng(planes)
    height, width, count = 6, 9, planes - 5
    base = rng.integers(-1, 30, (height, width)).astype(np.int32)
    total = rng.integers(200, 1009, (height, width, planes)).astype(np.uint16)
    total[..., count:] = 0  # no depths: must not be found
    total[0, 0, 4] = total[0, 0, 9] = 100  # of two the first
    total[0, 1, 0] = total[0, 2, count - 1] = total[0, 3, 3] = 100
    cost = rng.integers(0, 73, total.shape).astype(np.uint8)
    size, most = np.float32(0.01), 40
    shape = (height, width)
    inverse_depth, ratio, bits = (np.empty(shape, np.float32) for _ in range(3))
    least, lanes = np.empty(shape, np.uint16), blocks(planes)
    was = total[..., :count].astype(np.float64)
    of_steps = (base, count, size, most, lanes)
    loops.pick(total, cost, *of_steps, inverse_depth, ratio, bits, least)
    best = was.argmin(axis=-1)
    np.testing.assert_array_equal(least, was.min(axis=-1))
    chosen = np.take_along_axis(cost, best[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose(bits, chosen / costs.SCALE, rtol=1e-6)
    apart = np.where(np.abs(np.arange(count) - best[..., None]) > 2, was, np.inf).min(axis=-1)
    np.testing.assert_allclose(ratio, was.min(axis=-1) / apart, rtol=1e-6)
    inner = (best > 0) & (best < count - 1) & (base + best < most)
    assert 0.3 < inner.mean() < 1.0
    np.testing.assert_array_equal(np.isfinite(inverse_depth), inner)
    for v, u in np.argwhere(inner):
        left, low, right = was[v, u, best[v, u] - 1 : best[v, u] + 2]
        part = 0.5 * (left - right) / max(left - low, right - low, 1e-9)
        expected = float(size) * (base[v, u] + best[v, u] + part)
        assert inverse_depth[v, u] == pytest.approx(expected, rel=1e-5)


def bits_that_differ(one, other):
    return bin(int(one) ^ int(other)).count("1")


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize(("side", "strides"), [(1, (1, 1)), (2, (1, 1)), (2, (2, 1)), (1, (1, 4))])
def test_costs_are_means_over_the_sources_that_see_the_place(lens, side, strides):
    rng = np.random.default_rng(1)
    camera, height, width = LENSES[lens], 35, 50  # odd: the last squares are not whole
    census = [rng.integers(0, 1 << 24, (height, width)).astype(np.uint32) for _ in range(3)]
    # Much of it agrees in few bits: the least that count is not the most.
    for item in census[1:]:
        item[:] = census[0] ^ (item & census[0] & 0x111111)
    pyramid = Pyramid.of(camera, 1)
    rays = pyramid.rays[0].copy()
    rays[5, 7] = 0  # nothing is seen there
    T = [np.eye(4), np.eye(4)]
    T[0][:3, :3], T[0][:3, 3] = rotation_of_angles(0.01, -0.02, 0.03), [0.1, 0.05, 0.9]
    T[1][:3, 3] = [-0.8, 0.0, 0.1]
    sources = [Source([code], [camera], M) for code, M in zip(census[1:], T, strict=True)]
    squares = rng.integers(-1, 12, ((height + 1) // 2, (width + 1) // 2))
    base = squares.repeat(2, 0).repeat(2, 1)[:height, :width].astype(np.int32)
    base = np.ascontiguousarray(base)
    planes, count, size = 32, 21, np.float32(0.02)
    cost = np.empty((height, width, planes), np.uint8)
    lenses = matching._lenses(sources, 0)
    stride = np.array(strides, np.int64)
    costs.compare(census[0], rays, base, side, count, size, *lenses, stride, cost)
    nothing = 12 * costs.SCALE
    assert (cost[..., count:] == nothing).all() and (cost[5, 7] == nothing).all()
    asked, right, seen = 0, 0, 0
    for v, u in [(v, u) for v in range(0, height - 1, 5) for u in range(0, width - 1, 4)]:
        top, left = v // side * side, u // side * side
        assert (top, left) != (4, 6) and (v, u) != (5, 7)
        ray = rays[top : top + side, left : left + side].reshape(-1, 3).astype(float).mean(axis=0)
        aside, most = (0.5, 0) if side == 1 else (0.0, 1)
        bits, number = np.zeros(count), np.zeros(count)
        for code, M, every in zip(census[1:], T, strides, strict=True):
            i = np.arange(count) // every * every + (every - 1) / 2
            points = M[:3, :3] @ ray + ((base[v, u] + i) * float(size))[:, None] * M[:3, 3]
            column, row = camera.project(points).T + aside
            there = (column >= 0) & (column < width - most) & (row >= 0) & (row < height - most)
            for k in np.flatnonzero(there & (points[:, 2] > 0.05)):
                other = code[int(row[k]) + v - top, int(column[k]) + u - left]
                bits[k] += min(12, bits_that_differ(census[0][v, u], other))
                number[k] += 1
        mean = np.floor(bits / np.maximum(number, 1) * costs.SCALE + 0.5)
        expected = np.where(number > 0, mean, nothing)
        asked, seen = asked + count, seen + int((number > 0).sum())
        right += int((cost[v, u, :count] == expected).sum())
    assert 0.5 * asked < seen
    # A few lie on the border of two pixels; places between four steps are on a line.
    assert right > 0.85 * asked
