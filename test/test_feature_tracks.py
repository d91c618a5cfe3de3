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

"""Which points are followed from image to image, and how surely."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from depth_perception.geometry.camera import CameraModel
from depth_perception.motion.feature_tracks import SPACING, FeatureTracks, corners

WIDTH, HEIGHT = 320, 200
NONE = np.zeros((0, 2), np.float32)


def camera():
    K = np.array([[300.0, 0, WIDTH / 2], [0, 300.0, HEIGHT / 2], [0, 0, 1]])
    return CameraModel(WIDTH, HEIGHT, K)


def texture(seed, blur=2.0, size=(HEIGHT + 260, WIDTH + 260)):
    """Patches of all sizes, uint8."""
    rng = np.random.default_rng(seed)
    rough = cv2.GaussianBlur(rng.normal(size=size), (0, 0), 4 * blur) * 4
    image = rough + cv2.GaussianBlur(rng.normal(size=size), (0, 0), blur)
    return cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def shifted(image, x, y):
    """The image that a camera sees whose points have moved by x, y px."""
    M = np.array([[1.0, 0, x - 130], [0, 1.0, y - 130]])
    return cv2.warpAffine(image, M, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC)


def distances(a, b):
    return np.linalg.norm(a[:, None] - b[None], axis=-1)


@pytest.mark.parametrize("wanted", [30, 150])
@pytest.mark.parametrize("blur", [1.0, 2.5])
def test_corners_are_those_of_shi_and_tomasi(wanted, blur):
    image = shifted(texture(0, blur), 0, 0)
    free = np.full(image.shape, 255, np.uint8)
    free[150:, 100:200] = 0
    found = corners(image, free, NONE, wanted)
    expected = cv2.goodFeaturesToTrack(image, wanted, 0.005, SPACING, mask=free)[:, 0]
    assert abs(len(found) - len(expected)) <= 0.03 * len(expected)
    same = {tuple(item) for item in found} & {tuple(item) for item in expected}
    assert len(same) >= 0.8 * len(expected)
    np.testing.assert_array_equal(found[:10], expected[:10])  # the strongest first


def test_corners_lie_apart_and_where_they_may():
    image = shifted(texture(1), 0, 0)
    free = np.full(image.shape, 255, np.uint8)
    free[:, :90] = 0
    old = corners(image, free, NONE, 40)
    new = corners(image, free, old, 500)
    assert len(old) == 40 and len(new) > 100
    assert new[:, 0].min() >= 90
    assert distances(new, old).min() >= SPACING
    assert (distances(new, new) + 99 * np.eye(len(new))).min() >= SPACING


def test_a_blank_image_and_one_without_room_have_no_corners():
    free = np.full((HEIGHT, WIDTH), 255, np.uint8)
    assert len(corners(np.full((HEIGHT, WIDTH), 90, np.uint8), free, NONE, 50)) == 0
    assert len(corners(shifted(texture(2), 0, 0), 0 * free, NONE, 50)) == 0


@pytest.mark.parametrize("shape", [(3, 3), (9, 200), (200, 10), (17, 25)])
def test_small_images_have_corners_too(shape):
    rng = np.random.default_rng(3)
    image = rng.integers(0, 255, shape, np.uint8)
    found = corners(image, np.full(shape, 255, np.uint8), NONE, 1000)
    assert 1 <= len(found) <= shape[0] * shape[1]
    assert (found[:, 0] < shape[1] - 1).all() and (found[:, 1] < shape[0] - 1).all()
    assert (found >= 1).all()


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (1.3, -0.6), (-12.4, 3.7), (25.0, -18.5)])
def test_points_are_followed_to_a_fraction_of_a_pixel(x, y):
    world, tracks = texture(4), FeatureTracks(camera())
    tracks.advance(shifted(world, 0, 0), 1)
    tracks.advance(shifted(world, x, y), 2)
    first, second = tracks.common(1, 2)
    moved = (second - first)[:, :2] * 300.0
    assert len(first) > 100
    error = np.linalg.norm(moved - [x, y], axis=1)
    assert np.median(error) < 0.05 and np.percentile(error, 95) < 0.3


def test_what_is_hidden_is_not_followed():
    """A thing comes into the way: its texture has nothing to do with what was there."""
    world, tracks = texture(5), FeatureTracks(camera())
    tracks.advance(shifted(world, 0, 0), 1)
    image = shifted(world, 2.0, 0)
    image[40:140, 100:220] = texture(6)[40:140, 100:220]
    tracks.advance(image, 2)
    first, second = tracks.common(1, 2)
    at = second[:, :2] * 300.0 + [WIDTH / 2, HEIGHT / 2]
    hidden = (np.abs(at - [160, 90]) < [52, 42]).all(axis=1)
    error = np.linalg.norm((second - first)[:, :2] * 300.0 - [2.0, 0], axis=1)
    assert (error[~hidden] < 0.5).mean() > 0.9
    before = np.concatenate([tracks.common(1, 1)[0][:, :2] * 300.0 + [WIDTH / 2, HEIGHT / 2]])
    were = (np.abs(before + [2, 0] - [160, 90]) < [52, 42]).all(axis=1).sum()
    assert were > 20 and hidden.sum() < 0.25 * were


def test_points_keep_their_numbers_over_images_that_lost_some():
    world, tracks = texture(7), FeatureTracks(camera())
    for k in range(6):
        tracks.advance(shifted(world, 22.0 * k, -6.0 * k), k)
    now, then = tracks.observations(5, [4, 0, 77])
    assert 0 < np.isfinite(then[:, 1, 0]).sum() < len(now)  # some are new
    assert np.isnan(then[:, 2]).all()
    for k, (back, least) in enumerate([(1, 0.6), (5, 0.1)]):
        seen = np.isfinite(then[:, k, 0])
        assert least < seen.mean() <= 1
        a, b = (rays / rays[:, 2:] * 300.0 for rays in (now[seen], then[seen, k]))
        error = np.linalg.norm((a - b)[:, :2] - np.array([22.0, -6.0]) * back, axis=1)
        assert (error < 0.5).mean() > 0.9
    assert tracks.common(5, 77) is None
    tracks.keep([4, 5])
    assert tracks.common(5, 0) is None and len(tracks.common(4, 5)[0]) > 50
