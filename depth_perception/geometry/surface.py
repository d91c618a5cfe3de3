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

"""What a pixel shows, as far as its depth follows from the ground."""

from __future__ import annotations

from enum import IntEnum


class Surface(IntEnum):
    """How a pixel's depth follows from the ground plane.

    ``OTHER`` is what a road segmenter leaves: not road, and nobody knows whether it is flat or
    stands. ``OBJECT`` is one of a countable kind and gets one depth for each instance;
    ``STRUCTURE`` (walls, buildings, vegetation) follows the ground along its foot.
    """

    UNKNOWN = 0
    ROAD = 1
    GROUND = 2
    OBJECT = 3
    STRUCTURE = 4
    SKY = 5
    EGO = 6
    OTHER = 7
