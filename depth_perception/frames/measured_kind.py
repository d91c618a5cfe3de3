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

"""How a pixel of measured depth was measured: the numbers in an image of kinds."""

from __future__ import annotations

from enum import IntEnum


class Kind(IntEnum):
    """How a pixel was measured."""

    NOTHING = 0
    PLANE = 1
    PARALLAX = 2
    OVERLAP = 3
    RANGE = 4


MEASURED_KINDS = tuple(kind for kind in Kind if kind != Kind.NOTHING)
"""The kinds of what is measured, in the order of tables and legends."""
