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

"""Triangle meshes of the synthetic world, and the shapes that its objects are put together from.

Everything here is NumPy on flat arrays. An object is a `Mesh` in its own frame (x forward, y left,
z up, origin on the ground under its middle, metres); `Mesh.placed` puts it into the world and
`join` makes one mesh of many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from depth_perception.world.surfaces.materials import Colour

FloatArray = NDArray[np.floating]


@dataclass(frozen=True)
class Mesh:
    """Triangles with what the renderer and the labels need.

    Attributes:
        vertices: (V, 3) float32, metres.
        normals: (V, 3) float32, unit length; shading normals, which may differ from the faces'.
        uv: (V, 2) float32, texture coordinates in metres on the surface (x right, y up).
        triangles: (T, 3) int32 indices of vertices, counter-clockwise seen from outside.
        material: (T,) uint8, index into `materials.MATERIALS`.
        tint: (T, 3) float32, linear albedo that multiplies the material's texture.
        label: (T,) uint8, Cityscapes train id.
        instance: (T,) int32, 0 for what has no instances.
    """

    vertices: NDArray[np.float32]
    normals: NDArray[np.float32]
    uv: NDArray[np.float32]
    triangles: NDArray[np.int32]
    material: NDArray[np.uint8]
    tint: NDArray[np.float32]
    label: NDArray[np.uint8]
    instance: NDArray[np.int32]

    def placed(self, x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> Mesh:
        """Return the mesh turned by yaw (rad, counter-clockwise) and moved to (x, y, z)."""
        T = np.eye(4)
        T[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
        T[:3, 3] = x, y, z
        return self.transformed(T)

    def transformed(self, T: FloatArray) -> Mesh:
        """Return the mesh moved by a rigid transform T (4, 4): p becomes T p."""
        R = T[:3, :3].astype(np.float32)
        vertices = self.vertices @ R.T + T[:3, 3].astype(np.float32)
        return replace(self, vertices=vertices, normals=self.normals @ R.T)

    def scaled(self, sx: float, sy: float, sz: float) -> Mesh:
        """Return the mesh stretched about its origin; all factors positive."""
        size = np.array([sx, sy, sz], np.float32)
        normals = self.normals / size
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        return replace(self, vertices=self.vertices * size, normals=normals)

    def of_instance(self, instance: int) -> Mesh:
        """Return the mesh with every triangle belonging to one instance."""
        return replace(self, instance=np.full(len(self.triangles), instance, np.int32))

    def bounds(self) -> NDArray[np.float32]:
        """Lowest and highest corner of the bounding box: (2, 3)."""
        return np.stack([self.vertices.min(0), self.vertices.max(0)])


def join(meshes: Sequence[Mesh]) -> Mesh:
    """Make one mesh of several. Raises `ValueError` for none."""
    if not meshes:
        raise ValueError("no meshes to join")
    starts = np.cumsum([0] + [len(m.vertices) for m in meshes[:-1]])
    triangles = [m.triangles + np.int32(n) for m, n in zip(meshes, starts, strict=True)]
    columns = ("vertices", "normals", "uv", "material", "tint", "label", "instance")
    joined = {name: np.concatenate([getattr(m, name) for m in meshes]) for name in columns}
    return Mesh(triangles=np.concatenate(triangles).astype(np.int32), **joined)


def from_triangles(
    vertices: ArrayLike,
    triangles: ArrayLike,
    material: int,
    tint: Colour,
    label: int,
    *,
    uv: ArrayLike | None = None,
    smooth: bool = False,
) -> Mesh:
    """Make a mesh of one material.

    Args:
        vertices: (V, 3), metres.
        triangles: (T, 3), counter-clockwise seen from outside.
        material: Index into `materials.MATERIALS`.
        tint: Linear albedo.
        label: Cityscapes train id.
        uv: (V, 2) metres; by default the two axes across each triangle's main direction.
        smooth: One normal per vertex, the mean of its triangles; by default edges stay sharp
            and no two triangles share a vertex.
    """
    p = np.asarray(vertices, np.float32)
    f = np.asarray(triangles, np.int32).reshape(-1, 3)
    t = None if uv is None else np.asarray(uv, np.float32)
    if not smooth:
        p, t = p[f.ravel()], None if t is None else t[f.ravel()]
        f = np.arange(len(p), dtype=np.int32).reshape(-1, 3)
    across = _cross(p[f[:, 1]] - p[f[:, 0]], p[f[:, 2]] - p[f[:, 0]])
    if smooth:
        corner = f.T.ravel()
        sums = [np.bincount(corner, np.tile(across[:, k], 3), len(p)) for k in range(3)]
        normals = np.stack(sums, 1).astype(np.float32)
    else:
        normals = np.repeat(across, 3, axis=0)
    normals /= np.maximum(np.sqrt((normals * normals).sum(1, keepdims=True)), 1e-12)
    if t is None:
        t = _box_uv(p, normals)
    n = len(f)
    return Mesh(
        vertices=p,
        normals=normals,
        uv=t,
        triangles=f,
        material=np.full(n, material, np.uint8),
        tint=np.broadcast_to(np.asarray(tint, np.float32), (n, 3)).copy(),
        label=np.full(n, label, np.uint8),
        instance=np.zeros(n, np.int32),
    )


def _cross(a: FloatArray, b: FloatArray) -> FloatArray:
    """Cross products of rows; NumPy's own takes ten times as long for the few of an object."""
    x = a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1]
    y = a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2]
    return np.stack([x, y, a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]], 1)


def _box_uv(p: NDArray[np.float32], normals: NDArray[np.float32]) -> NDArray[np.float32]:
    """Project each vertex onto the plane that its normal faces most: walls get (run, height)."""
    main = np.abs(normals).argmax(1)
    u = np.where(main == 0, p[:, 1], p[:, 0])
    v = np.where(main == 2, p[:, 1], p[:, 2])
    return np.stack([u, v], 1)


@dataclass(frozen=True)
class SurfaceProperties:
    """What a shape is made of; its methods make the shapes.

    Attributes:
        material: Index into `materials.MATERIALS`.
        tint: Linear albedo.
        label: Cityscapes train id.
    """

    material: int
    tint: Colour
    label: int

    def mesh(
        self,
        vertices: ArrayLike,
        triangles: ArrayLike,
        *,
        uv: ArrayLike | None = None,
        smooth: bool = False,
    ) -> Mesh:
        """Triangles as they are; see `from_triangles`."""
        return from_triangles(
            vertices, triangles, self.material, self.tint, self.label, uv=uv, smooth=smooth
        )

    def box(self, centre: ArrayLike, size: ArrayLike) -> Mesh:
        """An upright box around `centre` (3,); `size` (3,) is its length, width and height, m."""
        low = np.asarray(centre, float) - np.asarray(size, float) / 2
        high = low + np.asarray(size, float)
        corners = np.array(
            [
                [x, y, z]
                for x in (low[0], high[0])
                for y in (low[1], high[1])
                for z in (low[2], high[2])
            ]
        )
        return self.mesh(corners, _BOX)

    def quad(self, corners: ArrayLike) -> Mesh:
        """One flat four-sided face, corners counter-clockwise seen from its front: (4, 3)."""
        return self.mesh(corners, [[0, 1, 2], [0, 2, 3]])

    def rod(
        self,
        a: ArrayLike,
        b: ArrayLike,
        radius: float,
        end_radius: float | None = None,
        *,
        sides: int = 8,
    ) -> Mesh:
        """A closed cylinder, or a cone, from point a to point b, (3,) each; metres."""
        start, stop = np.asarray(a, float), np.asarray(b, float)
        u, v = _axes_across(stop - start)
        far = radius if end_radius is None else end_radius
        rings = [*_ring(start, u, v, radius, sides), *_ring(stop, u, v, far, sides)]
        i = np.arange(sides)
        j = (i + 1) % sides
        wall = np.concatenate(
            [np.stack([i, j, sides + j], 1), np.stack([i, sides + j, sides + i], 1)]
        )
        body = self.mesh(rings, wall, smooth=True)
        caps = [
            self.mesh([stop, *rings[sides:]], np.stack([0 * i, i + 1, j + 1], 1)),
            self.mesh([start, *rings[:sides]], np.stack([0 * i, j + 1, i + 1], 1)),
        ]
        return join([body, *caps])

    def ellipsoid(
        self, centre: ArrayLike, radii: ArrayLike, *, around: int = 12, down: int = 7
    ) -> Mesh:
        """A smooth ellipsoid with upright axis around `centre` (3,); `radii` (3,), metres.

        It has `around` points in each ring and `down` rings, the poles among them.
        """
        phi = np.linspace(0, 2 * np.pi, around, endpoint=False)
        theta = np.linspace(0, np.pi, down)[1:-1]
        ring = np.stack([np.cos(phi), np.sin(phi)], 1)
        p = np.concatenate(
            [[[0.0, 0.0, 1.0]]]
            + [np.column_stack([np.sin(t) * ring, np.full(around, np.cos(t))]) for t in theta]
            + [[[0.0, 0.0, -1.0]]]
        )
        i = np.arange(around)
        j = (i + 1) % around
        faces = [np.stack([0 * i, i + 1, j + 1], 1)]
        for k in range(len(theta) - 1):
            a, b = 1 + k * around, 1 + (k + 1) * around
            faces += [np.stack([a + i, b + i, b + j], 1), np.stack([a + i, b + j, a + j], 1)]
        a = 1 + (len(theta) - 1) * around
        faces.append(np.stack([a + i, 0 * i + len(p) - 1, a + j], 1))
        size = np.asarray(radii, float)
        return self.mesh(p * size + np.asarray(centre, float), np.concatenate(faces), smooth=True)

    def loft(self, rings: ArrayLike, *, closed: bool = True, smooth: bool = True) -> Mesh:
        """A skin over rings of points: (N, M, 3), each ring counter-clockwise seen from the last.

        Args:
            rings: N cross-sections of M points.
            closed: Join the last point of a ring with its first.
            smooth: Round shading along the skin.
        """
        p = np.asarray(rings, float)
        n, m = p.shape[:2]
        i, j = np.meshgrid(np.arange(n - 1), np.arange(m if closed else m - 1), indexing="ij")
        k = (j + 1) % m
        a, b, c, d = (i * m + j, i * m + k, (i + 1) * m + k, (i + 1) * m + j)
        faces = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], 2).reshape(-1, 3)
        return self.mesh(p.reshape(-1, 3), faces, smooth=smooth)

    def fan(self, outline: ArrayLike) -> Mesh:
        """A flat convex face: (M, 3) outline, counter-clockwise seen from its front."""
        p = np.asarray(outline, float)
        i = np.arange(1, len(p) - 1)
        return self.mesh(p, np.stack([0 * i, i, i + 1], 1))


_BOX = np.array(
    [
        [0, 1, 3],
        [0, 3, 2],
        [4, 7, 5],
        [4, 6, 7],
        [0, 5, 1],
        [0, 4, 5],
        [2, 3, 7],
        [2, 7, 6],
        [1, 5, 7],
        [1, 7, 3],
        [0, 2, 6],
        [0, 6, 4],
    ]
)


def _axes_across(axis: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Two unit vectors that make a right-handed frame with the given axis as the third."""
    along = axis / max(float(np.linalg.norm(axis)), 1e-12)
    helper = np.array([0.0, 0.0, 1.0]) if abs(along[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
    u = np.cross(helper, along)
    u /= np.linalg.norm(u)
    return u, np.cross(along, u)


def _ring(
    centre: FloatArray, u: FloatArray, v: FloatArray, radius: float, sides: int
) -> FloatArray:
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)[:, None]
    return centre + radius * (np.cos(angle) * u + np.sin(angle) * v)
