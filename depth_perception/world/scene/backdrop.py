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

"""Land, woods and houses out to the horizon, beyond the ground that belongs to the road."""

from __future__ import annotations

import numpy as np

from depth_perception.datasets import labels
from depth_perception.world.objects.mesh import FloatArray, Mesh, SurfaceProperties
from depth_perception.world.objects.object_pool import POOL_SIZE, pooled_block, pooled_object
from depth_perception.world.scene.road import HALF_WIDTH, RoadShape, Spine
from depth_perception.world.scene.site import Site
from depth_perception.world.surfaces.materials import INDEX


def add_backdrop(site: Site) -> None:
    """Add the land around the vehicle's start, 1.5 km to each side, and what stands on it."""
    _add_distant(site, *_add_land(site))


def _add_land(site: Site) -> tuple[FloatArray, FloatArray]:
    """A grid of land that follows the road near it and rolls far from it.

    Returns:
        Offsets of its lines (N,) from the vehicle's start along x and y, and its heights (N, N), m.
    """
    rng, shape = site.rng, site.plan.shape
    step = np.concatenate([np.arange(0, 130, 13.0), np.geomspace(140, 1500, 14)])
    lines = np.concatenate([-step[:0:-1], step])
    middle = site.spine.world(0.0, 0.0)
    gx, gy = np.meshgrid(middle[0] + lines, middle[1] + lines, indexing="ij")
    height, away = _land_height(site.spine, shape, gx, gy)
    rolling = np.zeros(gx.shape)
    for _ in range(5):
        k = rng.normal(0, 2 * np.pi / 500.0, 2)
        rolling += np.sin(k[0] * gx + k[1] * gy + rng.uniform(0, 6.3))
    hills = float(rng.choice([1.0, 4.0, 14.0, 40.0]))
    far = np.clip((away - HALF_WIDTH) / 400.0, 0.0, 1.0)
    # Below the road's own ground, and under its edge all the more.
    z = height + hills * rolling * far - np.where(away < HALF_WIDTH + 14, 2.0, 0.4)
    if shape.drop:
        z -= 6.0
    n = len(lines)
    i = np.arange(n * n).reshape(n, n)
    a, b, c, d = (k.ravel() for k in (i[:-1, :-1], i[1:, :-1], i[1:, 1:], i[:-1, 1:]))
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    red, green, blue = (float(k) for k in rng.uniform(0.6, 1.2, 3) * [1.0, 1.0, 0.8])
    land = SurfaceProperties(INDEX["grass"], (red, green, blue), labels.TERRAIN)
    points = np.stack([gx, gy, z], -1).reshape(-1, 3)
    site.contents.still.append(land.mesh(points, faces, uv=points[:, :2], smooth=True))
    return lines, z


def _add_distant(site: Site, lines: FloatArray, land: FloatArray) -> None:
    """Blocks, woods and trees, up to 400 m away; at some roads' ends they close the view."""
    rng, setting = site.rng, site.plan.setting
    middle = site.spine.world(0.0, 0.0)
    built = setting in ("city", "industrial", "suburb", "car_park", "motorway")
    positions = []
    for _ in range(int(rng.integers(30, 75))):
        angle, r = rng.uniform(0, 2 * np.pi), rng.uniform(40, 400)
        positions.append((middle[0] + r * np.cos(angle), middle[1] + r * np.sin(angle)))
    for s, out in ((site.end - 1.0, 1.0), (site.start + 1.0, -1.0)):
        if rng.uniform() < 0.6:  # beyond the road's end, as where it turns off
            away = float(rng.uniform(10.0, 90.0))
            heading = float(site.spine.at("heading", s))
            ahead = np.array([np.cos(heading), np.sin(heading)]) * out
            end = site.spine.world(s, 0.0)[:2] + away * ahead
            for t in np.arange(-0.45 * away - 25.0, 0.45 * away + 26.0, float(rng.uniform(9, 16))):
                x, y = end + t * np.array([-ahead[1], ahead[0]]) + rng.normal(0, 3.0, 2)
                positions.append((float(x), float(y)))
    x, y = np.array(positions).T
    ground, distance = _land_height(site.spine, site.plan.shape, x, y)
    i, j = (
        np.clip(np.searchsorted(lines, k) - 1, 0, len(lines) - 2)
        for k in (x - middle[0], y - middle[1])
    )
    # The lowest corner of the cell: what stands on it may sink in, but nothing hangs in the air.
    lowest = np.minimum.reduce([land[i, j], land[i + 1, j], land[i, j + 1], land[i + 1, j + 1]])
    # What lies beyond an end of the road is near to it, but not beside it.
    s_end = np.array([site.spine.world(k, 0.0)[:2] for k in (site.start, site.end)])
    beyond = np.hypot(x[:, None] - s_end[:, 0], y[:, None] - s_end[:, 1]).min(1) <= distance + 2.5
    for k in range(len(x)):
        if distance[k] < (9.0 if beyond[k] else HALF_WIDTH * 0.75):
            continue
        outside = beyond[k] or distance[k] > HALF_WIDTH
        base = float(lowest[k] if outside else ground[k])
        mesh, sink = _distant(rng, setting, built)
        heading = rng.uniform(0, 6.28)
        site.contents.still.append(mesh.placed(float(x[k]), float(y[k]), base - sink, heading))


def _distant(rng: np.random.Generator, setting: str, built: bool) -> tuple[Mesh, float]:
    """Something far off, and how deep it stands in the ground, m."""
    if built and rng.uniform() < 0.5:
        return pooled_block(int(rng.integers(24)), setting == "city"), 1.0
    if rng.uniform() < 0.6:
        size = float(rng.uniform(1.0, 1.7))
        return pooled_object("thicket", int(rng.integers(POOL_SIZE))).scaled(size, size, size), 1.0
    return pooled_object("broadleaf_tree", int(rng.integers(8))), 0.5


def _land_height(
    spine: Spine, shape: RoadShape, x: FloatArray, y: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Height of the land at world points, as the road's ground goes on, and their way to the road.

    Args:
        spine: Where the road goes.
        shape: Its cross-section.
        x: (...) m.
        y: (...) m.

    Returns:
        Height (...) m, and distance from the spine (...) m.
    """
    px, py = spine.x[::8], spine.y[::8]
    s = spine.start + 4.0 * np.arange(len(px))
    dx, dy = x[..., None] - px, y[..., None] - py
    nearest = (dx**2 + dy**2).argmin(-1)
    away = np.sqrt((dx**2 + dy**2).min(-1))
    heading = spine.at("heading", s[nearest])
    left = (
        -np.sin(heading) * np.take_along_axis(dx, nearest[..., None], -1)[..., 0]
        + np.cos(heading) * np.take_along_axis(dy, nearest[..., None], -1)[..., 0]
    )
    t = np.clip(np.where(left >= 0, away, -away), -HALF_WIDTH, HALF_WIDTH)
    height = spine.world(s[nearest], t, shape.height(s[nearest], t))[..., 2]
    return height, away
