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

"""Shapes beyond those of `mesh`: tubes, bodies of revolution, and patches stuck onto a skin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from depth_perception.world.objects.mesh import FloatArray, Mesh, SurfaceProperties, join


def mirrored(mesh: Mesh) -> Mesh:
    """The same on the other side, left for right."""
    flip = np.array([1, -1, 1], np.float32)
    return replace(
        mesh,
        vertices=mesh.vertices * flip,
        normals=mesh.normals * flip,
        triangles=mesh.triangles[:, ::-1].copy(),
    )


def on_both_sides(meshes: Sequence[Mesh]) -> list[Mesh]:
    """The meshes and their mirror images."""
    return [*meshes, *(mirrored(mesh) for mesh in meshes)]


def rectangle(x: float, z: float, width: float, height: float) -> list[tuple[float, float]]:
    """Corners of an upright rectangle around a point, for `decal`."""
    a, b = width / 2, height / 2
    return [(x - a, z - b), (x + a, z - b), (x + a, z + b), (x - a, z + b)]


_FACING = {
    "left": (0.0, 1.0, 0.0),
    "right": (0.0, -1.0, 0.0),
    "front": (1.0, 0.0, 0.0),
    "rear": (-1.0, 0.0, 0.0),
    "top": (0.0, 0.0, 1.0),
}


def decal(
    surface: SurfaceProperties,
    body: Mesh,
    corners: ArrayLike,
    facing: str,
    *,
    cells: tuple[int, int] = (3, 2),
    proud: float = 0.006,
) -> Mesh:
    """A four-sided patch that lies on a body's skin: a window, a lamp, a seam.

    Args:
        surface: What the patch is made of.
        body: What it lies on.
        corners: (4, 2) in turn around the patch: (s, z) on the sides, (y, z) on the front and
            the rear, (s, y) on top. Parts that miss the body are left out.
        facing: Side of the body: left, right, front, rear or top.
        cells: How often it is divided from corner 0 to 1, and from corner 1 to 2.
        proud: How far it stands off the skin, metres.
    """
    a, b, c, d = np.asarray(corners, float)
    u, v = np.meshgrid(*(np.linspace(0, 1, n + 1) for n in cells), indexing="ij")
    u, v = u[..., None], v[..., None]
    flat = ((1 - u) * (1 - v) * a + u * (1 - v) * b + u * v * c + (1 - u) * v * d).reshape(-1, 2)
    outwards = np.array(_FACING[facing])
    columns = {0: (flat[:, :1] * 0, flat), 1: (-flat[:, :1], flat[:, :1] * 0, flat[:, 1:])}
    columns[2] = (-flat[:, :1], flat[:, 1:], flat[:, :1] * 0)
    start = np.concatenate(columns[int(np.abs(outwards).argmax())], axis=1) + 100 * outwards
    distance, across = _first_hit(body, start, -outwards)
    hit = np.isfinite(distance)
    p = start - np.where(hit, distance, 0)[:, None] * outwards + proud * across
    index = np.arange(len(p)).reshape(cells[0] + 1, cells[1] + 1)
    quads = np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], -1)
    quads = quads.reshape(-1, 4)
    # No cell may hang in the air between a near part of the body and a far one.
    near, far = distance[quads].min(1), distance[quads].max(1)
    quads = quads[np.where(hit[quads].all(1), far, np.inf) - near < 0.45]
    faces = np.concatenate([quads[:, :3], quads[:, [0, 2, 3]]])
    normals = np.cross(p[faces[:, 1]] - p[faces[:, 0]], p[faces[:, 2]] - p[faces[:, 0]])
    if len(faces) and (normals @ outwards).sum() < 0:
        faces = faces[:, ::-1]
    used, faces = np.unique(faces, return_inverse=True)
    return surface.mesh(p[used], faces.reshape(-1, 3), smooth=True)


def _first_hit(
    body: Mesh, start: FloatArray, direction: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Distance to the first front face along an axis, infinite for none, and its normal."""
    # Only triangles that lie across the bundle of rays can be met.
    plane = np.flatnonzero(direction == 0)
    low, high = start[:, plane].min(0) - 1e-4, start[:, plane].max(0) + 1e-4
    corners = body.vertices[body.triangles]
    spread = corners[:, :, plane]
    near = ((spread.max(1) >= low) & (spread.min(1) <= high)).all(1)
    corners = corners[near].astype(float)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    front = across @ direction < -1e-7
    corners, across = corners[front], across[front]
    if not len(corners):
        return np.full(len(start), np.inf), np.zeros((len(start), 3))
    origin, edges = corners[:, 0], (corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    p = np.cross(direction, edges[1])
    scale = 1 / np.einsum("tk,tk->t", edges[0], p)
    reach = start[:, None] - origin
    u = np.einsum("ntk,tk->nt", reach, p) * scale
    q = np.cross(reach, edges[0])
    v = q @ direction * scale
    t = np.einsum("ntk,tk->nt", q, edges[1]) * scale
    slack = 1e-6
    t = np.where((u > -slack) & (v > -slack) & (u + v < 1 + slack) & (t > 0), t, np.inf)
    first = t.argmin(1)
    normal = across[first] / np.linalg.norm(across[first], axis=1, keepdims=True)
    return t[np.arange(len(t)), first], normal


def tube(
    surface: SurfaceProperties,
    points: ArrayLike,
    radii: ArrayLike,
    *,
    sides: int = 8,
    flat: float = 1.0,
) -> Mesh:
    """A closed smooth tube along a line of points, such as an arm or a handlebar.

    Args:
        surface: What it is made of.
        points: (N, 3) middle line.
        radii: Its radius at each point.
        sides: Corners of its cross-section.
        flat: Width of the cross-section relative to its depth.
    """
    p = np.asarray(points, float)
    r = np.broadcast_to(np.asarray(radii, float), len(p))
    along = np.gradient(p, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    main = np.abs(p[-1] - p[0])
    # The axis that the line runs along least: the cross-sections do not twist then.
    helper = np.eye(3)[1] if main[1] <= 0.7 * main.max() else np.eye(3)[int(main.argmin())]
    u = np.cross(np.cross(along, helper), along)
    u = -u / np.linalg.norm(u, axis=1, keepdims=True)
    v = np.cross(along, u)
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)[None, :, None]
    ring = flat * np.cos(angle) * u[:, None] + np.sin(angle) * v[:, None]
    rings = p[:, None] + r[:, None, None] * ring
    return join([surface.loft(rings), surface.fan(rings[-1]), surface.fan(rings[0][::-1])])


def revolved(surface: SurfaceProperties, profile: ArrayLike, *, sides: int = 14) -> Mesh:
    """A smooth skin around the y axis; profile is (N, 2) of (y, radius), from right to left."""
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False) + np.pi
    ring = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], 1)
    rings = [r * ring + np.array([0, y, 0]) for y, r in np.asarray(profile, float)]
    return surface.loft(rings)


def moved(mesh: Mesh, x: float, y: float, z: float) -> Mesh:
    """The mesh shifted."""
    return replace(mesh, vertices=mesh.vertices + np.array([x, y, z], np.float32))
