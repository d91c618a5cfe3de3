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

"""Leaves: loose triangles in clusters, and the dark lumps behind them.

The triangles are far bigger than real leaves: each stands for a spray of them. They are seen from
both sides, and shaded as part of the crown that they lie on rather than each for itself, which
would glitter.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets.labels import VEGETATION
from depth_perception.world.objects.mesh import FloatArray, Mesh
from depth_perception.world.objects.primitives import surface, unit
from depth_perception.world.surfaces.materials import Colour


def foliage(
    rng: np.random.Generator,
    centres: FloatArray,
    radii: FloatArray,
    count: int,
    size: float,
    tint: Colour,
    *,
    upright: float = 0.0,
) -> Mesh:
    """Leaves over the outside of ellipsoids that overlap, few where they meet."""
    area = (radii[:, 0] * radii[:, 1] * radii[:, 2]) ** (2 / 3)
    tries = round(1.7 * count)
    owner = rng.choice(len(centres), tries, p=normalised(area))
    outward = unit(rng.normal(size=(tries, 3)))
    points = centres[owner] + outward * radii[owner] * rng.uniform(0.72, 1.1, (tries, 1))
    # Squared distance to each ellipsoid, in its radii, multiplied out: ten times as fast.
    inverse = radii**-2.0
    depth = points**2 @ inverse.T - 2 * points @ (centres * inverse).T
    depth = (depth + (centres**2 * inverse).sum(1)).min(1)
    keep = np.sort(np.argsort(-depth)[:count])
    normals = outward / radii[owner]
    # Leaves at the underside get less of the sky than the crown's own shape tells.
    low, high = points[:, 2].min(), points[:, 2].max()
    shade = 0.72 + 0.36 * (points[keep, 2] - low) / (high - low)
    # The clusters' own normals with a little of the whole crown's, as it shades itself.
    whole = unit(points - centres.mean(0))
    return leaves(
        rng,
        points[keep],
        unit(unit(normals) + 0.6 * whole)[keep],
        size,
        tint,
        shade=shade,
        upright=upright,
    )


def leaves(
    rng: np.random.Generator,
    points: FloatArray,
    outward: FloatArray,
    size: float,
    tint: Colour,
    *,
    shade: FloatArray | float = 1.0,
    upright: float = 0.0,
) -> Mesh:
    """One uneven triangle at each point, about `size` from its middle to its corners."""
    n = len(points)
    facing = unit(outward + 0.55 * rng.normal(size=(n, 3)))
    u = unit(np.cross(facing, rng.normal(size=(n, 3))))
    v = np.cross(facing, u)
    angle = 2 * np.pi / 3 * np.arange(3) + rng.uniform(-0.5, 0.5, (n, 3))
    reach = size * rng.uniform(0.5, 1.5, (n, 3))
    corners = (reach * np.cos(angle))[..., None] * u[:, None]
    corners += (reach * np.sin(angle))[..., None] * v[:, None]
    corners *= [1 - 0.4 * upright, 1 - 0.4 * upright, 1 + 0.8 * upright]
    return loose(rng, points[:, None] + corners, outward, tint, shade=shade)


def loose(
    rng: np.random.Generator,
    corners: FloatArray,
    outward: FloatArray,
    tint: Colour,
    material: str = "leaves",
    *,
    shade: FloatArray | float = 1.0,
) -> Mesh:
    """Triangles (N, 3, 3) shaded along given directions (N, 3), each in its own tint."""
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    back = (across * outward).sum(1) < 0
    corners = np.where(back[:, None, None], corners[:, ::-1], corners)
    n = len(corners)
    mesh = surface(material, tint, VEGETATION).mesh(
        corners.reshape(-1, 3), np.arange(3 * n).reshape(-1, 3)
    )
    normals = unit(np.repeat(outward, 3, axis=0) + 0.8 * mesh.normals)
    return mottled(rng, replace(mesh, normals=normals.astype(np.float32)), shade)


def blobs(rng: np.random.Generator, centres: FloatArray, radii: FloatArray, tint: Colour) -> Mesh:
    """Bumpy ellipsoids, dark: the inside of a crown, behind its leaves."""
    skin = surface("leaves", scaled_colour(tint, 0.6), VEGETATION)
    ball, triangles = _ball()
    bumps = rng.uniform(0.68, 1.2, (len(centres), len(ball), 1))
    points = centres[:, None] + ball * bumps * radii[:, None]
    first = (np.arange(len(centres)) * len(ball))[:, None, None]
    faces = (triangles + first).reshape(-1, 3)
    return mottled(rng, skin.mesh(points.reshape(-1, 3), faces))


@cache
def _ball() -> tuple[FloatArray, NDArray[np.int32]]:
    """Vertices and triangles of a coarse unit ball."""
    ball = surface("leaves", (0, 0, 0), VEGETATION).ellipsoid(
        (0, 0, 0), (1, 1, 1), around=7, down=5
    )
    return ball.vertices, ball.triangles


def slivers(
    rng: np.random.Generator, tint: Colour, roots: FloatArray, tips: FloatArray, width: FloatArray
) -> Mesh:
    """One long thin triangle from each root to its tip."""
    side = unit(np.cross(tips - roots, rng.normal(size=roots.shape)))
    half = side * np.maximum(width, 0.016)[:, None]
    corners = np.stack([roots - half, roots + half, tips], 1)
    return loose(rng, corners, unit(np.cross(side, tips - roots)), tint, "bark")


def mottled(rng: np.random.Generator, mesh: Mesh, shade: FloatArray | float = 1.0) -> Mesh:
    """Vary the tint from triangle to triangle: 25 % in lightness, a little in hue."""
    n = len(mesh.tint)
    light = rng.uniform(0.75, 1.25, n) * shade
    hue = rng.uniform(0.92, 1.08, (n, 3))
    tint = np.clip(mesh.tint * light[:, None] * hue, 0, 0.95)
    return replace(mesh, tint=tint.astype(np.float32))


def above_ground(mesh: Mesh) -> Mesh:
    """Lift what hangs into the ground up to it."""
    vertices = mesh.vertices.copy()
    vertices[:, 2] = np.maximum(vertices[:, 2], 0.0)
    return replace(mesh, vertices=vertices)


def even_directions(rng: np.random.Generator, count: int) -> FloatArray:
    """Directions spread evenly over the sphere, more or less."""
    k = np.arange(count) + 0.5
    z = 1 - 2 * k / count
    azimuth = 2.4 * k + rng.uniform(0, 2 * np.pi)
    flat = np.sqrt(1 - z**2)
    even = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), z], 1)
    return even + rng.normal(0, 0.25, even.shape)


def normalised(weights: FloatArray | list[float]) -> FloatArray:
    """Return the weights as shares of 1."""
    share = np.asarray(weights, float)
    return share / share.sum()


def scaled_colour(colour: Colour, factor: float) -> Colour:
    """Return a colour that many times as light."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor
