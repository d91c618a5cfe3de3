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

"""The triangles of a scene on a device: what stands is loaded once, what moves each instant."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from depth_perception.world.objects.mesh import Mesh

ROOM = 1.25
"""Memory for what moves, times what was asked for: the next instant may have more of it."""
_PADDING = 4
"""Elements behind the last: Embree reads 16 bytes where a corner has 12."""


class Triangles:
    """Arrays of a scene, laid out as `kernel_surfaces.TriangleArrays` says.

    Args:
        wp: The module warp.
        still: What does not move; its triangles come first.
        device: A Warp device.

    Attributes:
        arrays: For the kernels.
        still_points: Number of vertices that stand.
        still_count: Number of triangles that stand.
        points: Number of all vertices.
        count: Number of all triangles.
    """

    def __init__(self, wp: Any, still: Mesh, device: str) -> None:
        self._wp, self._still, self.device = wp, still, device
        surfaces: Any = importlib.import_module("depth_perception.world.render.kernel_surfaces")
        self.arrays: Any = surfaces.TriangleArrays()
        self.still_points, self.still_count = len(still.vertices), len(still.triangles)
        self.points, self.count = self.still_points, self.still_count
        self._reserve(0, 0)

    def move(self, moving: Mesh | None) -> bool:
        """Replace what moves. Returns whether what stands lies elsewhere in memory now."""
        vertices = 0 if moving is None else len(moving.vertices)
        triangles = 0 if moving is None else len(moving.triangles)
        self.points, self.count = self.still_points + vertices, self.still_count + triangles
        grown = vertices > self._room[0] or triangles > self._room[1]
        if grown:
            self._reserve(int(vertices * ROOM), int(triangles * ROOM))
        if moving is not None:
            self._write(moving, self.still_points, self.still_count)
        return grown

    def _reserve(self, vertices: int, triangles: int) -> None:
        """Make the arrays, with room for so much that moves, and load what stands."""
        wp = self._wp
        self._room = (vertices, triangles)
        n, m = self.still_points + vertices + _PADDING, self.still_count + triangles + _PADDING
        for name, size, dtype in (
            ("points", n, wp.vec3),
            ("normals", n, wp.vec3),
            ("uv", n, wp.vec2),
            ("indices", 3 * m, wp.int32),
            ("material", m, wp.uint8),
            ("tint", m, wp.vec3),
            ("label", m, wp.uint8),
            ("instance", m, wp.int32),
        ):
            setattr(self.arrays, name, wp.empty(size, dtype=dtype, device=self.device))
        self._write(self._still, 0, 0)

    def _write(self, mesh: Mesh, vertex: int, triangle: int) -> None:
        indices = mesh.triangles + np.int32(vertex) if vertex else mesh.triangles
        for name, values, start in (
            ("points", mesh.vertices, vertex),
            ("normals", mesh.normals, vertex),
            ("uv", mesh.uv, vertex),
            ("indices", indices.ravel(), 3 * triangle),
            ("material", mesh.material, triangle),
            ("tint", mesh.tint, triangle),
            ("label", mesh.label, triangle),
            ("instance", mesh.instance, triangle),
        ):
            target = getattr(self.arrays, name)
            # Without a copy of its own on the host.
            source = self._wp.array(
                np.ascontiguousarray(values), dtype=target.dtype, device="cpu", copy=False
            )
            if len(source):
                self._wp.copy(target, source, dest_offset=start, count=len(source))
