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

"""What numbers of a depth image mean and in which colours they are seen; where an image ends."""

import numpy as np
import pytest

from depth_perception.geometry.depth_colours import BEYOND, FARTHEST, NEAREST, colour_depth
from depth_perception.geometry.depth_values import is_beyond, is_measured, is_unknown
from depth_perception.geometry.sampling import inside_image


def test_every_number_is_one_thing_at_most():
    depth = np.array([[2.5, np.nan, np.inf], [0.0, -1.0, -np.inf]], np.float32)
    assert is_measured(depth).tolist() == [[True, False, False], [False, False, False]]
    assert is_unknown(depth).tolist() == [[False, True, False], [False, False, False]]
    assert is_beyond(depth).tolist() == [[False, False, True], [False, False, False]]


def test_a_colour_is_the_same_distance_in_every_picture():
    depth = np.geomspace(NEAREST, FARTHEST, 60, dtype=np.float32)
    alone = [colour_depth(np.full((2, 3), d, np.float32))[1, 2].tolist() for d in depth]
    assert colour_depth(depth[None])[0].tolist() == alone
    assert len({tuple(colour) for colour in alone}) == 60, "each has a colour of its own"
    blue, _, red = np.array(alone).T
    assert (red[:8] > blue[:8]).all() and (blue[-8:] > red[-8:]).all()
    assert min(max(colour) for colour in alone) > 100, "none is as dark as what is unknown"


def test_what_is_no_distance_is_black_and_the_sky_is_white():
    depth = np.array([[np.nan, 0.0, -1.0, -np.inf, np.inf]], np.float32)
    assert colour_depth(depth)[0].tolist() == [[0, 0, 0]] * 4 + [list(BEYOND)]
    near, far = colour_depth(np.array([[0.1, NEAREST]])), colour_depth(np.array([[FARTHEST, 500]]))
    assert (near[0, 0] == near[0, 1]).all() and (far[0, 0] == far[0, 1]).all()


@pytest.mark.parametrize(
    ("u", "v", "inside"),
    [
        (-0.5, -0.5, True),
        (3.49, 1.49, True),
        (-0.51, 0, False),
        (3.5, 0, False),
        (0, 1.5, False),
        (np.nan, 0, False),
    ],
)
def test_an_image_reaches_half_a_pixel_beyond_the_outer_centres(u, v, inside):
    assert inside_image(np.array([[u, v]]), (4, 2)).tolist() == [inside]
