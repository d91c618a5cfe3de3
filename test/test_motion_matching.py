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

"""Matching along epipolar lines finds the depth of a textured street, through every lens."""

from __future__ import annotations

import numpy as np
import pytest
from textured_street import mounted, pose, render

from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.motion.matching import Pyramid, Source, census_of, match
from depth_perception.motion.measured_depth import Kind, judge

WIDTH, HEIGHT = 320, 160
K = np.array([[214.0, 0, 159.5], [0, 214.0, 72.0], [0, 0, 1]])
LENSES = {
    "pinhole": CameraModel(WIDTH, HEIGHT, K),
    "plumb_bob": CameraModel(WIDTH, HEIGHT, K, np.array([-0.25, 0.06, 0.001, -0.001, 0.0])),
    "equidistant": CameraModel(
        WIDTH,
        HEIGHT,
        K * [[0.6], [0.6], [1]] + [[0, 0, 64], [0, 0, 29], [0, 0, 0]],
        np.array([0.01, -0.002, 0, 0]),
        "equidistant",
    ),
}


def match_images(image, camera, others, nearest=2.0):
    """Match an image of a camera with others: pairs of an image and its T_source_reference."""
    pyramid = Pyramid.of(camera)

    def census(grey):
        return [census_of(item) for item in pyramid.images(grey)]

    sources = [Source(census(other), pyramid.cameras, T) for other, T in others]
    return match(pyramid.images(image), census(image), pyramid, sources, nearest)


def match_drive(camera, T_base_camera, ways=(0.5, 1.1, 1.8), exposure=1.0, yaw=0.0):
    """Match an image with earlier ones; return the match, exact depth and rays."""
    image, depth = render(camera, pose() @ T_base_camera)
    sources = []
    for way in ways:
        earlier = pose(-way, 0.0, -yaw * way)
        past, _ = render(camera, earlier @ T_base_camera)
        past = np.clip(past * exposure + 8, 0, 255).astype(np.uint8)
        T = np.linalg.inv(earlier @ T_base_camera) @ T_base_camera
        sources.append((past, T))
    rays = Pyramid.of(camera).rays[-1]
    return match_images(image, camera, sources), image, depth, rays


def measured(camera, T_base_camera, **options):
    found, image, depth, rays = match_drive(camera, T_base_camera, **options)
    kinds = np.full(3, Kind.PARALLAX, np.uint8)
    mask = np.zeros(depth.shape, bool)
    out, _ = judge(found, image, rays, T_base_camera, GroundPlane(), mask, kinds)
    return out, depth


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("yaw", [0.0, np.pi / 2, np.pi])
def test_depth_through_every_lens_ahead_aside_and_behind(lens, yaw):
    out, depth = measured(LENSES[lens], mounted(yaw=yaw))
    known = np.isfinite(out.inverse_depth)
    near = np.isfinite(depth) & (depth < 25)
    thing = known & np.isfinite(depth)
    error = np.abs(1 / out.inverse_depth[thing] / depth[thing] - 1)
    assert (known & near).sum() > 0.6 * near.sum()
    assert np.median(error) < 0.03
    assert (error > 0.25).mean() < 0.02
    # Beside the walls' upper edge windows see the wall and the sky.
    assert (known & ~np.isfinite(depth)).sum() < 0.10 * known.sum()


def test_deviation_says_how_wrong_it_is():
    out, depth = measured(LENSES["pinhole"], mounted())
    known = np.isfinite(out.inverse_depth)
    off = np.abs(out.inverse_depth[known] - 1 / depth[known]) / out.sigma[known]
    assert 0.75 < (off < 2).mean() <= 1.0
    assert np.median(off) > 0.1  # nor is it far better than it says


def test_the_point_that_one_drives_towards_is_not_measured():
    camera = LENSES["pinhole"]
    out, _ = measured(camera, mounted())
    u, v = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    ahead = np.hypot(u - 159.5, v - 72.0) < 4
    assert not np.isfinite(out.inverse_depth[ahead]).any()


def test_exposure_changes_nothing_much():
    plain, _ = measured(LENSES["pinhole"], mounted())
    other, depth = measured(LENSES["pinhole"], mounted(), exposure=0.6)
    known = np.isfinite(other.inverse_depth)
    error = np.abs(1 / other.inverse_depth[known] / depth[known] - 1)
    assert known.sum() > 0.85 * np.isfinite(plain.inverse_depth).sum()
    assert np.median(error) < 0.03


def test_turning_on_the_way():
    out, depth = measured(LENSES["pinhole"], mounted(), yaw=0.05)
    known = np.isfinite(out.inverse_depth)
    assert np.median(np.abs(1 / out.inverse_depth[known] / depth[known] - 1)) < 0.03


def test_nothing_is_measured_on_the_own_body_or_without_texture():
    camera = LENSES["pinhole"]
    found, image, depth, rays = match_drive(camera, mounted())
    mask = np.zeros(depth.shape, bool)
    mask[110:] = True
    kinds = np.full(3, Kind.PARALLAX, np.uint8)
    out, _ = judge(found, image, rays, mounted(), GroundPlane(), mask, kinds)
    assert not np.isfinite(out.inverse_depth[110:]).any()
    grey = np.full((HEIGHT, WIDTH), 120, np.uint8)
    T = np.eye(4)
    T[2, 3] = 1.0
    blank = match_images(grey, camera, [(grey, T)])
    out, _ = judge(blank, grey, rays, mounted(), GroundPlane(), ~mask & False, kinds)
    assert np.isfinite(out.inverse_depth).mean() < 0.02


def test_two_cameras_of_one_instant_measure_by_overlap():
    camera = LENSES["pinhole"]
    left, right = mounted(y=0.3), mounted(y=-0.3)
    image, depth = render(camera, left)
    beside, _ = render(camera, right)
    found = match_images(image, camera, [(beside, np.linalg.inv(right) @ left)])
    rays = Pyramid.of(camera).rays[-1]
    kinds = np.array([Kind.OVERLAP], np.uint8)
    out, _ = judge(found, image, rays, left, GroundPlane(), np.zeros(depth.shape, bool), kinds)
    known = np.isfinite(out.inverse_depth)
    near = np.isfinite(depth) & (depth < 15)
    assert (known & near).sum() > 0.6 * near.sum()
    assert (out.kind[known] == Kind.OVERLAP).all()
    assert np.median(np.abs(1 / out.inverse_depth[known] / depth[known] - 1)) < 0.03


def test_a_pyramid_halves_down_to_what_still_shows_something():
    camera = LENSES["pinhole"]
    pyramid = Pyramid.of(camera)
    assert [item.width for item in pyramid.cameras] == [160, 320]
    assert [item.shape for item in pyramid.images(np.zeros((HEIGHT, WIDTH), np.uint8))] == [
        (80, 160),
        (160, 320),
    ]
    assert [item.width for item in Pyramid.of(camera.resized(832, 400)).cameras] == [208, 416, 832]
    assert [item.width for item in Pyramid.of(camera.resized(100, 50)).cameras] == [100]


def test_other_depths_can_be_asked_about():
    camera = LENSES["pinhole"]
    found, _, depth, _ = match_drive(camera, mounted())
    true = (1 / depth).astype(np.float32)
    known = np.isfinite(found.inverse_depth) & (depth < 15)
    right = found.cost_ratio_at(true)[known]
    wrong = found.cost_ratio_at(true * np.float32(1.6))[known]
    assert np.median(right) < 1.1 < np.median(wrong)
    assert np.isinf(found.cost_ratio_at(np.zeros_like(true))).all()
