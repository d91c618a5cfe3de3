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

"""Measured depth on the network's grid: read where the network's pixels look."""

from __future__ import annotations

import numpy as np
import pytest

from depth_perception.geometry.camera import CameraModel
from depth_perception.inference.network_inputs import network_measured
from depth_perception.motion.feature_tracks import FeatureTracks


def slanted(width: int, height: int) -> np.ndarray:
    """Inverse depth (height, width) of a plane, 1/m, by the place in the field of view."""
    u = (np.arange(width) + 0.5) / width
    v = (np.arange(height) + 0.5) / height
    return (0.02 + 0.1 * v[:, None] + 0.05 * u).astype(np.float32)


@pytest.mark.parametrize("grid", [(104, 60), (160, 88), (416, 234)])
def test_a_plane_is_read_exactly_whatever_the_grids(grid):
    inverse_depth = slanted(*grid)
    found = network_measured(inverse_depth, 0.05 * inverse_depth, (640, 352))
    assert found.shape == (2, 88, 160)
    expected = 1 / slanted(160, 88)
    inside = found[0] > 0
    assert inside.mean() > 0.95
    # Outside of the outermost pixels' centres nothing is known: there they are taken as they are.
    inside[[0, 1, -2, -1]] = inside[:, [0, 1, -2, -1]] = False
    # Half a pixel to the side would be 0.3 % there.
    np.testing.assert_allclose(found[0][inside], expected[inside], rtol=5e-4)
    np.testing.assert_allclose(found[1][inside], 0.05, rtol=1e-5)


def test_nothing_lies_between_two_surfaces_or_where_nothing_is_measured():
    inverse_depth = np.full((60, 104), 0.1, np.float32)
    inverse_depth[:, 51:] = 0.02
    inverse_depth[:20] = np.nan
    found, spread = network_measured(inverse_depth, 0.05 * inverse_depth, (640, 352))
    assert (found[:28] == 0).all() and (spread[:28] == 0).all()
    values = found[32:]
    assert (np.isclose(values, 10, rtol=1e-4) | np.isclose(values, 50, rtol=1e-4)).all()


@pytest.mark.parametrize(("cameras", "points"), [(1, 400), (2, 400), (4, 250), (12, 150)])
def test_cameras_that_see_one_motion_follow_fewer_points_each(cameras, points):
    K = np.array([[500.0, 0, 319.5], [0, 500.0, 179.5], [0, 0, 1]])
    tracks = FeatureTracks(CameraModel(640, 360, K), cameras=cameras)
    noise = np.random.default_rng(0).integers(0, 255, (360, 640)).astype(np.uint8)
    tracks.advance(noise, 1)
    rays, _ = tracks.common(1, 1)
    assert len(rays) == points
