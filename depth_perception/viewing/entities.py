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

"""Names of the entities that a recording has: what is logged there, and where views look."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entities:
    """Paths of entities.

    Attributes:
        base_frame: The vehicle's frame; what is in space lies below its name.
    """

    base_frame: str

    @property
    def vehicle(self) -> str:
        """What everything in space lies below: the base frame, x forward, y left, z up."""
        return f"/{_part(self.base_frame)}"

    def camera(self, name: str) -> str:
        """A camera's mounting: its optical frame."""
        return f"{self.vehicle}/cameras/{_part(name)}"

    def image(self, name: str) -> str:
        """A camera's image, and what it sees."""
        return f"{self.camera(name)}/image"

    def depths(self, name: str) -> str:
        """What a camera's depth images see; they lie below."""
        return f"{self.camera(name)}/depth"

    def depth(self, name: str, kind: str) -> str:
        """One of `DEPTHS` of a camera."""
        return f"{self.depths(name)}/{kind}"

    @property
    def points(self) -> str:
        """The cloud of all cameras."""
        return f"{self.vehicle}/points"

    @property
    def obstacles(self) -> str:
        """The points above the road."""
        return f"{self.vehicle}/obstacles"

    @property
    def lidar(self) -> str:
        """Scans of a LiDAR."""
        return f"{self.vehicle}/lidar"

    @property
    def map(self) -> str:
        """The occupancy map."""
        return f"{self.vehicle}/map"

    @property
    def ground(self) -> str:
        """The road plane."""
        return f"{self.vehicle}/ground"

    @property
    def log(self) -> str:
        """Warnings."""
        return "/log"

    def plot(self, name: str) -> str:
        """A number over time, such as ``ground/pitch``."""
        return f"{PLOTS}/" + "/".join(_part(part) for part in name.split("/"))


DEPTHS = ("estimated", "measured", "embodied", "confidence")
"""What there is of each camera, in the order in which it is shown."""
PLOTS = "/plots"


def _part(name: str) -> str:
    """Escape one part of a path, as rerun does: all but letters, digits, - _ and . are marked."""
    return "".join(c if c.isalnum() or c in "-_." else f"\\{c}" for c in name)
