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

"""What the numbers of a depth image mean (REP 117 and REP 118), in one place.

Depth is metres along the camera's optical axis, as a float. A number above zero is a measurement.
NaN is unknown: nothing tells how far this pixel sees. +Inf is beyond range: this pixel sees the
sky, or what is farther than anything that is measured. Zero and below are no depth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

is_unknown = np.isnan
"""Tells where a depth of any shape is unknown."""
is_beyond = np.isposinf
"""Tells where a depth of any shape is beyond range."""


def is_measured(depth: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Tell where a depth of any shape is a distance: finite, and above zero."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.isfinite(depth) & (depth > 0), dtype=np.bool_)
