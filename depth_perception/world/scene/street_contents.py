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

"""What stands and moves in a street: still meshes, movers, and a list of objects with their boxes.

`street_builder.build_street` fills one; `ground_pose` puts a thing onto the ground.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from depth_perception.world.objects.mesh import Mesh
from depth_perception.world.scene.road import RoadShape, Spine

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Mover:
    """Something that moves along the road at a steady speed.

    Attributes:
        mesh: In its own frame, heading along x.
        s: Where it is at time 0, m along the spine.
        t: Where it is at time 0, m to the left of the spine.
        speed: ds/dt, m/s; negative against the spine.
        sideways: dt/dt, m/s, for people who cross.
        heading: Of its x axis from the spine's direction, rad, counter-clockwise.
        instance: > 0.
        kind: Such as "saloon" or "person".
        upright: Stands plumb, as people do; else it follows the road's slope.
        follows: Drives in the lane of the vehicle with the cameras, as fast as that does.
    """

    mesh: Mesh
    s: float
    t: float
    speed: float
    sideways: float
    heading: float
    instance: int
    kind: str
    upright: bool = False
    follows: bool = False


@dataclass(frozen=True)
class PlacedObject:
    """An entry of the list of objects: its box in the world frame.

    Attributes:
        instance: > 0, as in the instance images.
        kind: Such as "saloon" or "person".
        T_odom_object: (4, 4), origin on the ground under its middle.
        size: Length, width, height, m.
        velocity: (3,) m/s, world frame.
    """

    instance: int
    kind: str
    T_odom_object: NDArray[np.float64]
    size: Triple
    velocity: Triple


@dataclass
class StreetContents:
    """Everything in a street but the ground: what stands, and what moves.

    Attributes:
        still: What stands, in the world frame.
        movers: What moves.
        objects: Of what stands, the things that have an instance id.
        next_instance: The id that the next of them gets.
    """

    still: list[Mesh] = field(default_factory=list)
    movers: list[Mover] = field(default_factory=list)
    objects: list[PlacedObject] = field(default_factory=list)
    next_instance: int = 1

    def instance(self) -> int:
        """Hand out the next instance id."""
        self.next_instance += 1
        return self.next_instance - 1


def box_size(mesh: Mesh) -> Triple:
    """Length, width and height of a mesh's bounding box, m."""
    low, high = mesh.bounds()
    return float(high[0] - low[0]), float(high[1] - low[1]), float(high[2] - low[2])


def ground_pose(
    spine: Spine,
    shape: RoadShape,
    s: float,
    t: float,
    heading: float = 0.0,
    *,
    upright: bool = False,
    base: float = 1.3,
    track: float = 0.7,
) -> NDArray[np.float64]:
    """Pose (4, 4), in the world frame, of a thing that stands on the ground at (s, t).

    x points along the spine, turned by `heading` (rad, counter-clockwise); z is plumb for what
    stands `upright`, else across the ground's slope: its directions are those between the points
    of the ground at +-base along the spine and at +-track across it, m.
    """
    s = float(np.clip(s, spine.start + base, spine.end - base))
    points_s = np.array([s, s + base, s - base, s, s])
    points_t = np.array([t, t, t, t + track, t - track])
    p = spine.world(points_s, points_t, shape.height(points_s, points_t))
    forward, left = p[1] - p[2], p[3] - p[4]
    if upright:
        forward[2] = left[2] = 0.0
    forward /= np.linalg.norm(forward)
    up = _cross(forward, left)
    up /= np.linalg.norm(up)
    left = _cross(up, forward)
    c, si = np.cos(heading), np.sin(heading)
    T = np.eye(4)
    T[:3, 0] = c * forward + si * left
    T[:3, 1] = c * left - si * forward
    T[:3, 2] = up
    T[:3, 3] = p[0]
    return T


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross product of two vectors (3,); NumPy's own takes ten times as long."""
    x, y, z = a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
    return np.array([x, y, z])
