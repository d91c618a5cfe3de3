"""Land, woods and houses out to the horizon, beyond the ground that belongs to the road."""

from __future__ import annotations

import numpy as np

from depth_perception.world import buildings, labels
from depth_perception.world.materials import INDEX
from depth_perception.world.mesh import FloatArray, Surface
from depth_perception.world.road import HALF_WIDTH, RoadShape, Spine
from depth_perception.world.site import Site
from depth_perception.world.specimens import specimen


def add_backdrop(site: Site) -> None:
    """Add the land around the vehicle's start, 1.5 km to each side, and what stands on it."""
    _add_distant(site, _add_land(site))


def _add_land(site: Site) -> float:
    """A grid of land that follows the road near it and rolls far from it: height of hills, m."""
    rng, shape = site.rng, site.plan.shape
    step = np.concatenate([np.arange(0, 130, 13.0), np.geomspace(140, 1500, 14)])
    lines = np.concatenate([-step[:0:-1], step])
    middle = site.spine.world(site.ego_s, 0.0)
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
    land = Surface(INDEX["grass"], (red, green, blue), labels.TERRAIN)
    points = np.stack([gx, gy, z], -1).reshape(-1, 3)
    site.town.still.append(land.mesh(points, faces, uv=points[:, :2], smooth=True))
    return hills


def _add_distant(site: Site, hills: float) -> None:
    """Blocks, woods (bushes much enlarged) and trees, up to 400 m away."""
    rng, still, setting = site.rng, site.town.still, site.plan.setting
    middle = site.spine.world(site.ego_s, 0.0)
    leafy = [specimen("bush", k) for k in range(8)]
    trees = [specimen("broadleaf_tree", k) for k in range(4)]
    built = setting in ("city", "industrial", "suburb", "car_park", "motorway")
    for _ in range(int(rng.integers(20, 60))):
        angle, r = rng.uniform(0, 2 * np.pi), rng.uniform(40, 400)
        x, y = middle[0] + r * np.cos(angle), middle[1] + r * np.sin(angle)
        ground, distance = _land_height(
            site.spine, site.plan.shape, np.array([x]), np.array([y])
        )  # fmt: skip
        if distance[0] < HALF_WIDTH * 0.75:
            continue
        base = float(ground[0]) + hills * float(rng.normal(0, 0.1)) * min(r / 400, 1)
        sink = 1.0
        if built and rng.uniform() < 0.55:
            tall = int(rng.integers(2, 14 if setting == "city" else 5))
            mesh = buildings.block(rng, 3.0 * int(rng.integers(4, 12)), 14.0, tall)
        elif rng.uniform() < 0.5:
            size = float(rng.uniform(3, 9))
            mesh = leafy[int(rng.integers(8))].scaled(size * 1.6, size * 1.6, size)
        else:
            sink = 0.5
            mesh = trees[int(rng.integers(4))]
        still.append(mesh.placed(x, y, base - sink, rng.uniform(0, 6.28)))


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
