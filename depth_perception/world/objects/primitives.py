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

"""Shapes and choices that the makers of plants and street furniture share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from depth_perception.world.objects.mesh import FloatArray, Mesh, SurfaceProperties
from depth_perception.world.surfaces.materials import INDEX, Colour

Choice = TypeVar("Choice")


def surface(material: str, tint: Colour, label: int) -> SurfaceProperties:
    """Return a surface of the material with this name."""
    return SurfaceProperties(INDEX[material], tint, label)


def choose(rng: np.random.Generator, options: Sequence[Choice]) -> Choice:
    """Return one of the options, all equally likely."""
    return options[int(rng.integers(len(options)))]


def varied(rng: np.random.Generator, colour: Colour, spread: float = 0.15) -> Colour:
    """Return a colour near the given one: mainly lighter or darker, a little off in hue."""
    light = 1 + rng.uniform(-spread, spread)
    mixed = np.asarray(colour) * light * (1 + rng.uniform(-spread, spread, 3) / 5)
    r, g, b = np.clip(mixed, 0, 0.95)
    return float(r), float(g), float(b)


def unit(vectors: FloatArray) -> FloatArray:
    """Return vectors (..., 3) at length 1."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, 1e-9)


def between(length: float, pitch: float) -> FloatArray:
    """Places from -length/2 to length/2, both included, as near to the pitch as divides evenly."""
    return np.linspace(-length / 2, length / 2, max(2, round(length / pitch) + 1))


def along_x(x: ArrayLike) -> FloatArray:
    """Points (N, 3) on the x axis."""
    positions = np.atleast_1d(np.asarray(x, float))
    return np.stack([positions, 0 * positions, 0 * positions], 1)


def repeated(mesh: Mesh, offsets: ArrayLike) -> Mesh:
    """Return copies of a mesh, one at each offset (N, 3), as one mesh."""
    moves = np.asarray(offsets, np.float32).reshape(-1, 1, 3)
    n, count = len(moves), len(mesh.vertices)
    first = (np.arange(n, dtype=np.int32) * count)[:, None, None]
    return replace(
        mesh,
        vertices=(mesh.vertices + moves).reshape(-1, 3),
        normals=np.tile(mesh.normals, (n, 1)),
        uv=np.tile(mesh.uv, (n, 1)),
        triangles=(mesh.triangles + first).reshape(-1, 3),
        material=np.tile(mesh.material, n),
        tint=np.tile(mesh.tint, (n, 1)),
        label=np.tile(mesh.label, n),
        instance=np.tile(mesh.instance, n),
    )


def tubes(
    skin: SurfaceProperties,
    starts: ArrayLike,
    ends: ArrayLike,
    radii: ArrayLike,
    end_radii: ArrayLike | None = None,
    *,
    sides: int = 3,
) -> Mesh:
    """Many open tubes at once, 2 * sides triangles each: limbs, bars and wires.

    Args:
        skin: What they are made of.
        starts: (N, 3) or (3,).
        ends: (N, 3) or (3,).
        radii: (N,) or one for all, at the starts.
        end_radii: The same at the ends; by default no taper.
        sides: Edges of the cross-section.
    """
    shape = np.broadcast_shapes(np.shape(starts), np.shape(ends), (1, 3))
    a = np.broadcast_to(np.asarray(starts, float), shape)
    b = np.broadcast_to(np.asarray(ends, float), shape)
    n = len(a)
    along = unit(b - a)
    helper = np.where(np.abs(along[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    u = unit(np.cross(helper, along))
    v = np.cross(along, u)
    angle = 2 * np.pi * np.arange(sides)[:, None] / sides
    ring = np.cos(angle) * u[:, None] + np.sin(angle) * v[:, None]
    wide = np.broadcast_to(np.asarray(radii, float), n)
    narrow = wide if end_radii is None else np.broadcast_to(np.asarray(end_radii, float), n)
    near = a[:, None] + wide[:, None, None] * ring
    far = b[:, None] + narrow[:, None, None] * ring
    i = np.arange(sides)
    j = (i + 1) % sides
    one = np.concatenate([np.stack([i, j, sides + j], 1), np.stack([i, sides + j, sides + i], 1)])
    faces = one + (np.arange(n) * 2 * sides)[:, None, None]
    corners = np.stack([near, far], 1).reshape(-1, 3)
    return skin.mesh(corners, faces.reshape(-1, 3), smooth=True)


def polyline_tube(
    skin: SurfaceProperties, points: ArrayLike, radii: ArrayLike, *, sides: int = 6
) -> Mesh:
    """One tube through points (N, 3), bending at each, without caps."""
    p = np.asarray(points, float)
    r = np.broadcast_to(np.asarray(radii, float), len(p))
    along = unit(np.gradient(p, axis=0))
    # One helper for the whole tube, across its mean direction, so that the rings do not twist.
    mean = unit(p[-1] - p[0])
    u = unit(np.cross(np.eye(3)[np.abs(mean).argmin()], along))
    v = np.cross(along, u)
    angle = (2 * np.pi * np.arange(sides) / sides)[None, :, None]
    rings = p[:, None] + r[:, None, None] * (
        np.cos(angle) * u[:, None] + np.sin(angle) * v[:, None]
    )
    return skin.loft(rings)


def prism(skin: SurfaceProperties, profile: ArrayLike, start: float, stop: float) -> Mesh:
    """A bar along x with flat ends.

    Args:
        skin: What it is made of.
        profile: (M, 2) outline in (y, z), counter-clockwise, which sees all of itself from its
            middle.
        start: x of its rear end.
        stop: x of its front end, the greater.
    """
    outline = np.asarray(profile, float)
    m = len(outline)
    corners = np.concatenate(
        [np.column_stack([np.full(m, x), outline]) for x in (start, stop)]
        + [[[x, *outline.mean(0)] for x in (start, stop)]]
    )
    i = np.arange(m)
    j = (i + 1) % m
    faces = [
        np.stack([i, j, m + j], 1),
        np.stack([i, m + j, m + i], 1),
        np.stack([0 * i + 2 * m, j, i], 1),
        np.stack([0 * i + 2 * m + 1, m + i, m + j], 1),
    ]
    return skin.mesh(corners, np.concatenate(faces))


def banded(
    low: float,
    high: float,
    radius: float,
    end_radius: float,
    colour: Colour,
    band: Colour,
    label: int,
    bands: int = 5,
) -> list[Mesh]:
    """Return an upright rod or cone in bands of two colours, the first at both ends if odd."""
    edges = np.linspace(low, high, bands + 1)
    radii = np.linspace(radius, end_radius, bands + 1)
    # Only the top has a cap that shows.
    path = np.column_stack([0 * edges, 0 * edges, edges])
    parts = [
        tubes(
            surface("plain", (colour, band)[k % 2], label),
            path[k],
            path[k + 1],
            radii[k],
            radii[k + 1],
            sides=10,
        )
        for k in range(bands)
    ]
    return [*parts, _disc(surface("plain", colour, label), path[-1], end_radius)]


def _disc(skin: SurfaceProperties, centre: FloatArray, radius: float) -> Mesh:
    angle = 2 * np.pi * np.arange(10) / 10
    ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1)
    return skin.fan(np.asarray(centre) + radius * ring)
