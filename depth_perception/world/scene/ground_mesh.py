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

"""The ground as triangles: rows across the road, columns that follow its kerbs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets import labels
from depth_perception.world.objects.mesh import FloatArray, Mesh
from depth_perception.world.scene.road import HALF_WIDTH, KERB_RUN, STRETCH, RoadShape, Spine
from depth_perception.world.surfaces import materials


def ground_mesh(spine: Spine, shape: RoadShape, start: float, end: float) -> Mesh:
    """The ground from s = start to end as triangles; texture coordinates are (s, t).

    Rows are closer together where a kerb turns a corner, and columns follow the kerbs, so that
    each kerb is a clean edge.
    """
    s = ground_rows(shape, start, end)
    t = np.concatenate([-_columns(shape, -1, s)[:, ::-1], _columns(shape, 1, s)], axis=1)
    for strip in shape.raised:
        lower, upper = strip.lower, strip.upper
        inner = np.array([lower - KERB_RUN, lower, upper, upper + KERB_RUN])
        t = np.sort(np.concatenate([t, np.broadcast_to(inner, (len(s), 4))], axis=1), axis=1)
    if shape.roundabout is not None:
        half = shape.island(s)[:, None] * np.array([1.0, 0.97, 0.7, 0.4])
        cut = np.concatenate([half[:, :1] + KERB_RUN, half, 0.0 * half[:, :1]], axis=1)
        t = np.sort(np.concatenate([t, cut, -cut], axis=1), axis=1)
    rows = np.broadcast_to(s[:, None], t.shape)
    height = shape.height(rows, t)
    p = spine.world(rows, t, height)
    normals = _grid_normals(p)
    n, m = t.shape
    i = np.arange(n * m).reshape(n, m)
    a, b, c, d = (k.ravel() for k in (i[:-1, :-1], i[1:, :-1], i[1:, 1:], i[:-1, 1:]))
    # t grows to the left: counter-clockwise from above is a -> b (along s) -> c -> d.
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    count = len(triangles)
    return Mesh(
        vertices=p.reshape(-1, 3).astype(np.float32),
        normals=normals.reshape(-1, 3).astype(np.float32),
        uv=np.stack([rows, t], -1).reshape(-1, 2).astype(np.float32),
        triangles=triangles.astype(np.int32),
        material=np.full(count, materials.INDEX["ground"], np.uint8),
        tint=np.ones((count, 3), np.float32),
        label=np.full(count, labels.TERRAIN, np.uint8),
        instance=np.zeros(count, np.int32),
    )


def ground_rows(shape: RoadShape, start: float, end: float) -> NDArray[np.float64]:
    """Values of s at which the ground's triangles are cut."""
    rows = [np.arange(start, end + 0.5, 1.0)]
    for road in shape.side_roads:
        half = road.width / 2.0
        corner = half + road.radius * (1.0 - np.cos(np.linspace(0.0, np.pi / 2, 9)))
        # The last step to the mouth is as narrow as a kerb.
        corner = np.unique(np.concatenate([corner, [half + KERB_RUN, half]]))
        rows += [road.s + corner, road.s - corner]
    if shape.roundabout is not None:
        roundabout = shape.roundabout
        angle = np.linspace(0.0, np.pi / 2, 15)
        for half in (roundabout.island, roundabout.island + roundabout.ring):
            along = STRETCH * half * np.append(np.sin(angle), 1.0 + KERB_RUN / (STRETCH * half))
            rows += [roundabout.s + along, roundabout.s - along]
    for side_dips in shape.dropped_kerbs:
        rows += [np.array(side_dips) - 1e-3, np.array(side_dips) + 1e-3]
    for first, last in shape.drop:
        rows.append(np.array([first, first + 8.0, last - 8.0, last]))
    s = np.unique(np.concatenate(rows))
    s = s[(s >= start) & (s <= end)]
    # Two rows closer than a millimetre make slivers that no ray can hit cleanly.
    return s[np.concatenate([[True], np.diff(s) > 1e-3])]


def _columns(shape: RoadShape, side: int, s: NDArray[np.float64]) -> NDArray[np.float64]:
    """|t| of the cuts on one side, one row for each s: (N, M), from the middle outwards."""
    edge = shape.edge(side, s)[:, None]
    base = shape.left if side > 0 else -shape.right
    middle = max(side * (shape.left + shape.right) / 2.0, 0.0)
    inner = np.array([middle, (middle + base) / 2.0])
    # Short of the ground's end. A second cut just inside the kerb keeps the tilt of the kerb's
    # normals off the road.
    edge = np.minimum(edge, HALF_WIDTH - 1.0)
    foot = np.concatenate([np.maximum(edge - 0.03, base), edge + 1e-3], axis=1)
    road = np.concatenate(
        [np.broadcast_to(inner, (len(s), 2)), np.full((len(s), 1), base), foot], axis=1
    )
    away = np.array([KERB_RUN, 1.0, 2.0, 2.5, 3.5, 6.0, shape.shelf])
    away = np.concatenate([np.unique(away), shape.shelf + np.array([3.0, 7.0, 12.0, 18.0, 26.0])])
    land = np.minimum(edge + away, HALF_WIDTH - 1e-3 * np.arange(len(away), 0, -1))
    last = np.full((len(s), 1), HALF_WIDTH)
    return np.maximum.accumulate(np.concatenate([road, land, last], axis=1), axis=1)


def _grid_normals(p: FloatArray) -> FloatArray:
    """Normals of a grid of points (N, M, 3), smooth except across steep steps such as kerbs."""
    along, across = np.gradient(p, axis=0), np.gradient(p, axis=1)
    normal = np.cross(along, across)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    return np.where(length > 1e-12, normal / np.maximum(length, 1e-12), [0.0, 0.0, 1.0])
