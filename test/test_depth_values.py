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

"""What numbers of a depth image mean, and where an image ends."""

import numpy as np
import pytest

from depth_perception.geometry.depth_values import is_beyond, is_measured, is_unknown
from depth_perception.geometry.sampling import inside_image


def test_every_number_is_one_thing_at_most():
    depth = np.array([[2.5, np.nan, np.inf], [0.0, -1.0, -np.inf]], np.float32)
    assert is_measured(depth).tolist() == [[True, False, False], [False, False, False]]
    assert is_unknown(depth).tolist() == [[False, True, False], [False, False, False]]
    assert is_beyond(depth).tolist() == [[False, False, True], [False, False, False]]


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
