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

"""The ground plane and the map as messages."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.messages.sensors import MessageTypes, header


def occupancy_message(types: MessageTypes, stamp: int, frame_id: str, grid: Any) -> Any:
    """Build an OccupancyGrid from an `OccupancyMap`."""
    cells = np.ascontiguousarray(grid.cells, dtype=np.int8)
    pose = types.new(
        "geometry_msgs/msg/Pose",
        position=types.new(
            "geometry_msgs/msg/Point",
            x=float(grid.origin[0]),
            y=float(grid.origin[1]),
            z=float(grid.origin[2]),
        ),
        orientation=types.new("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0),
    )
    head = header(types, stamp, frame_id)
    info = types.new(
        "nav_msgs/msg/MapMetaData",
        map_load_time=head.stamp,
        resolution=float(grid.resolution),
        width=cells.shape[1],
        height=cells.shape[0],
        origin=pose,
    )
    return types.new(
        "nav_msgs/msg/OccupancyGrid", header=head, info=info, data=types.array(cells.reshape(-1))
    )


def ground_message(
    types: MessageTypes,
    stamp: int,
    frame_id: str,
    normal: NDArray[np.float64],
    height: float,
    covariance: NDArray[np.float64],
    source: int,
) -> Any:
    """Build a ``depth_perception/GroundPlane``."""
    x, y, z = (float(value) for value in normal)
    return types.new(
        "depth_perception/msg/GroundPlane",
        header=header(types, stamp, frame_id),
        normal=types.new("geometry_msgs/msg/Vector3", x=x, y=y, z=z),
        height=float(height),
        covariance=types.array(np.ascontiguousarray(covariance, dtype=np.float64).reshape(-1)),
        source=int(source),
    )
