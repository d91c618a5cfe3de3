"""Pictures, exact depth and labels of a scene from one pinhole camera; and rays of any other kind.

`render` gives what a camera sees: colour with shadows and antialiased edges, depth along the
optical axis and labels of the ray through each pixel's centre. `cast_rays` is for everything else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .compiled import compiled
from .intersect import (
    KERB_ID,
    ROAD_ID,
    SIDE_ID,
    SKY_ID,
    TILE,
    Grid,
    build_grid,
    build_tiles,
    hit,
    hit_ground,
    normal,
    occluded,
)
from .scene import BUS, CAR, OWN_BODY, TRUCK, FloatArray, Ground, IntArray, Primitives, Scene
from .textures import is_paved, material, noise3, road, roadside, sky, surroundings


@dataclass(frozen=True)
class Rendering:
    """One camera's view. Depth is z along the optical axis of pixel centres."""

    image: NDArray[np.uint8]  # (H, W, 3) BGR
    depth: NDArray[np.float32]  # (H, W) metres, +Inf sky
    labels: NDArray[np.uint8]  # (H, W) Cityscapes train ids, 255 own body


class World(NamedTuple):
    """All that light meets at one instant."""

    prims: Primitives
    ground: Ground
    seed: int
    sun: Grid
    zenith: Grid  # vehicles only, from above: they shade the road under and about them


class View(NamedTuple):
    """One camera's rays and its lists of primitives by tile."""

    starts: IntArray
    items: IntArray
    nearest: FloatArray
    R: FloatArray  # (3, 3) odom<-camera
    origin: FloatArray  # (3,)
    fx: float
    fy: float
    cx: float
    cy: float
    across: int  # tiles in a row


def render(
    scene: Scene,
    time: float,
    T_odom_base: FloatArray,
    T_base_camera: FloatArray,
    K: FloatArray,
    width: int,
    height: int,
    *,
    seed: int = 0,
) -> Rendering:
    """Render the scene at `time` seconds. `T_*` (4, 4), K (3, 3); `seed` draws the sensor noise."""
    T = T_odom_base @ T_base_camera
    R, origin = np.ascontiguousarray(T[:3, :3]), np.ascontiguousarray(T[:3, 3])
    primitives = scene.at(time, T_odom_base)
    lens = (K[0, 0], K[1, 1], K[0, 2], K[1, 2])
    tiles = build_tiles(primitives.corners, R.T, origin, lens, width, height)
    everything = np.arange(len(primitives.kind))
    sun = build_grid(primitives.corners, everything, scene.sun, origin)
    vehicles = np.flatnonzero(np.isin(primitives.label, (CAR, TRUCK, BUS, OWN_BODY)))
    zenith = build_grid(primitives.corners, vehicles, np.array([0.0, 0.0, 1.0]), origin)
    colour = np.empty((height, width, 3))
    ids = np.empty((height, width), np.int64)
    depth = np.empty((height, width), np.float32)
    labels = np.empty((height, width), np.uint8)
    view = View(*tiles, R, origin, *lens, (width + TILE - 1) // TILE)
    world = World(primitives, scene.ground, scene.seed, sun, zenith)
    _trace_centres(world, view, colour, ids, depth, labels)
    _trace_edges(world, view, _edges(colour, ids), colour)
    return Rendering(_develop(colour, seed), depth, labels)


def cast_rays(
    scene: Scene, time: float, T_odom_base: FloatArray, origin: FloatArray, directions: FloatArray
) -> tuple[FloatArray, NDArray[np.uint8], FloatArray]:
    """First hits of rays from one origin (3,) along unit directions (M, 3), all in odom.

    Returns distances (M,) in metres (+Inf on a miss), labels (M,), and reflectance times the
    cosine of incidence (M,), 0 to 1.
    """
    primitives = scene.at(time, T_odom_base)
    centres = primitives.corners.mean(1)
    squares = ((primitives.corners - centres[:, None]) ** 2).sum(2).max(1)
    distance, strength = np.empty(len(directions)), np.zeros(len(directions))
    labels = np.empty(len(directions), np.uint8)
    _cast(
        primitives, scene.ground, np.column_stack([centres, squares]), origin,
        np.ascontiguousarray(directions), distance, labels, strength,
    )  # fmt: skip
    return distance, labels, strength


@compiled
def _first(prims, ground, view, tile, dx, dy, dz):
    """Nearest hit of a ray whose t is depth along the optical axis. Returns t, id, face."""
    kinds, shapes, items, nearest = prims.kind, prims.shape, view.items, view.nearest
    ox, oy, oz = view.origin[0], view.origin[1], view.origin[2]
    best, which = hit_ground(ground, ox, oy, oz, dx, dy, dz)
    face = 0
    for m in range(view.starts[tile], view.starts[tile + 1]):
        k = items[m]
        if nearest[k] > best:
            break
        t, f = hit(kinds, shapes, k, ox, oy, oz, dx, dy, dz)
        if t < best:
            best, which, face = t, k, f
    return best, which, face


@compiled
def _shade(world, o, dx, dy, dz, t, which, face, pixel):
    """Linear colour of a hit. `pixel` is the angle between neighbouring rays. Returns r, g, b."""
    prims, ground, seed = world.prims, world.ground, world.seed
    sun, zenith = world.sun, world.zenith
    size = math.sqrt(dx * dx + dy * dy + dz * dz)
    ux, uy, uz = dx / size, dy / size, dz / size
    light = sun.direction
    if which == SKY_ID:
        return sky(ux, uy, uz, light, seed)
    x, y, z = o[0] + t * dx, o[1] + t * dy, o[2] + t * dz
    foot = max(1e-4, pixel * t)
    gloss, open_sky = 0.0, 1.0
    if which < 0:
        nx, ny, nz = 0.0, 0.0, 1.0
        # A pixel's print on the ground is long along the view and narrow across it.
        flat = math.hypot(ux, uy) + 1e-9
        long, cx, cy = foot / max(0.002, -uz), ux / flat, uy / flat
        foot_x = math.hypot(long * cx, foot * cy)
        foot_y = math.hypot(long * cy, foot * cx)
        if which == ROAD_ID:
            r, g, b = road(ground, x, y, foot_x, foot_y)
        else:
            r, g, b = roadside(ground, x, y, foot_x, foot_y)
        if which == KERB_ID:
            ny, nz = (1.0 if y < ground.centre else -1.0), 0.0
            r, g, b = 0.8 * r, 0.8 * g, 0.8 * b
        for k in range(4):
            sx, sy = 0.16 * ((k & 1) * 2 - 1), 0.16 * ((k >> 1) * 2 - 1)
            if occluded(prims.kind, prims.shape, zenith, x + sx, y + sy, z + 1e-3):
                open_sky -= 0.19
    else:
        kind, shape = prims.kind[which], prims.shape[which]
        nx, ny, nz = normal(kind, shape, face, x, y, z)
        r, g, b, gloss = material(
            kind, shape, prims.material[which], prims.extra[which], prims.colour[which],
            x, y, z, face, nz, foot, seed + which,
        )  # fmt: skip
    e = 2e-3
    leaves = which >= 0 and prims.kind[which] == 2
    if leaves:  # no smooth balls: leaves face all ways, and let light in unevenly
        nx += 1.6 * (noise3(5.0 * x, 5.0 * y, 5.0 * z, 31) - 0.5)
        ny += 1.6 * (noise3(5.0 * x, 5.0 * y, 5.0 * z, 32) - 0.5)
        nz += 1.6 * (noise3(5.0 * x, 5.0 * y, 5.0 * z, 33) - 0.5)
        e = 0.9 * noise3(6.0 * x, 6.0 * y, 6.0 * z, 34)
    facing = nx * light[0] + ny * light[1] + nz * light[2]
    lit = 0.0
    if facing > 0.0 and not occluded(
        prims.kind, prims.shape, sun, x + e * nx, y + e * ny, z + e * nz
    ):
        lit = 1.0
    if leaves:
        lit = 0.25 + 0.75 * lit
        facing = 0.30 + 0.70 * max(facing, -0.2)
        open_sky = min(1.1, max(0.35, 0.55 + 0.45 * nz))
    direct = max(facing, 0.0) * lit
    above, below = 0.5 + 0.5 * nz, 0.5 - 0.5 * nz
    r *= 2.0 * direct + open_sky * (0.50 * above + 0.22 * below)
    g *= 1.85 * direct + open_sky * (0.57 * above + 0.21 * below)
    b *= 1.56 * direct + open_sky * (0.70 * above + 0.20 * below)
    if gloss > 0.0:
        c = -(nx * ux + ny * uy + nz * uz)
        mx, my, mz = ux + 2.0 * c * nx, uy + 2.0 * c * ny, uz + 2.0 * c * nz
        k = gloss * (0.25 + 0.75 * (1.0 - max(0.0, c)) ** 4)
        er, eg, eb = surroundings(mx, my, mz, light, seed)
        shine = max(0.0, mx * light[0] + my * light[1] + mz * light[2]) ** 300 * 8.0 * gloss * lit
        r, g, b = r + (er - r) * k + shine, g + (eg - g) * k + shine, b + (eb - b) * k + shine
    haze = 1.0 - math.exp(-t * size / 900.0)
    return r + (0.74 - r) * haze, g + (0.80 - g) * haze, b + (0.87 - b) * haze


@compiled
def _label(prims, ground, which, y):
    """Label of a hit; on the raised sides it depends on y only."""
    if which >= 0:
        return prims.label[which]
    if which == ROAD_ID:
        return 0
    if which == SKY_ID:
        return 10
    return 1 if which == KERB_ID or is_paved(max(ground.right - y, y - ground.left)) else 9


@compiled
def _sample(world, view, tile, u, v):
    """Trace the ray through image position (u, v). Returns t, id, label, r, g, b."""
    R, o = view.R, view.origin
    a, b = (u - view.cx) / view.fx, (v - view.cy) / view.fy
    dx = R[0, 0] * a + R[0, 1] * b + R[0, 2]
    dy = R[1, 0] * a + R[1, 1] * b + R[1, 2]
    dz = R[2, 0] * a + R[2, 1] * b + R[2, 2]
    t, which, face = _first(world.prims, world.ground, view, tile, dx, dy, dz)
    label = _label(world.prims, world.ground, which, o[1] + t * dy)
    r, g, b = _shade(world, o, dx, dy, dz, t, which, face, 1.0 / view.fx)
    return t, which, label, r, g, b


@compiled
def _trace_centres(world, view, colour, ids, depth, labels):
    for v in range(depth.shape[0]):
        for u in range(depth.shape[1]):
            tile = (v // TILE) * view.across + u // TILE
            t, which, label, r, g, b = _sample(world, view, tile, float(u), float(v))
            depth[v, u], ids[v, u], labels[v, u] = t, which, label
            colour[v, u, 0], colour[v, u, 1], colour[v, u, 2] = r, g, b


@compiled
def _trace_edges(world, view, edges, colour):
    """Replace pixels of `edges` (M, 2) by the mean of four rays on a rotated grid within each."""
    for i in range(edges.shape[0]):
        v, u = edges[i, 0], edges[i, 1]
        tile = (v // TILE) * view.across + u // TILE
        colour[v, u] = 0.0
        for k in range(4):
            du = 0.375 - 0.25 * k
            dv = 0.125 * (1 - 2 * (k & 1)) * (3 - 2 * (k == 0) - 2 * (k == 3))
            _, _, _, r, g, b = _sample(world, view, tile, u + du, v + dv)
            # Bright samples are clipped first, as on a sensor, else edges stay jagged.
            colour[v, u, 0] += 0.25 * min(r, 1.3)
            colour[v, u, 1] += 0.25 * min(g, 1.3)
            colour[v, u, 2] += 0.25 * min(b, 1.3)


def _edges(colour: FloatArray, ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pixels (M, 2) as v, u that differ so much from a neighbour that one ray does not do."""
    tone = np.sqrt(colour[:, :, 1])
    edge = np.zeros(ids.shape, np.bool_)
    across = (ids[:, 1:] != ids[:, :-1]) | (np.abs(tone[:, 1:] - tone[:, :-1]) > 0.10)
    down = (ids[1:] != ids[:-1]) | (np.abs(tone[1:] - tone[:-1]) > 0.10)
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return np.argwhere(edge)


def _develop(colour: FloatArray, seed: int) -> NDArray[np.uint8]:
    """Linear colour (H, W, 3) RGB to an 8-bit BGR picture: vignette, tone curve, sensor noise."""
    height, width = colour.shape[:2]
    y, x = np.mgrid[:height, :width]
    x, y = (x - (width - 1) / 2) / width, (y - (height - 1) / 2) / width
    level = colour[:, :, ::-1] * (1.0 - 0.35 * (x * x + y * y))[:, :, None]
    level = np.sqrt(level * 1.45 / (1.0 + 0.45 * level))
    rng = np.random.default_rng([seed, 3])
    grain = rng.standard_normal(colour.shape, np.float32)
    return np.clip(255.0 * level + 1.3 * grain, 0.0, 255.0).astype(np.uint8)


@compiled
def _cast(prims, ground, spheres, o, directions, distance, labels, strength):
    kinds, shapes = prims.kind, prims.shape
    ox, oy, oz = o[0], o[1], o[2]
    for i in range(directions.shape[0]):
        dx, dy, dz = directions[i, 0], directions[i, 1], directions[i, 2]
        best, which = hit_ground(ground, o[0], o[1], o[2], dx, dy, dz)
        face = 0
        for k in range(spheres.shape[0]):
            cx, cy, cz = spheres[k, 0] - ox, spheres[k, 1] - oy, spheres[k, 2] - oz
            along = cx * dx + cy * dy + cz * dz
            if cx * cx + cy * cy + cz * cz - along * along > spheres[k, 3]:
                continue
            t, f = hit(kinds, shapes, k, ox, oy, oz, dx, dy, dz)
            if t < best:
                best, which, face = t, k, f
        distance[i] = best
        labels[i] = _label(prims, ground, which, o[1] + best * dy)
        x, y, z = o[0] + best * dx, o[1] + best * dy, o[2] + best * dz
        if which == ROAD_ID:
            strength[i] = -dz * road(ground, x, y, 0.05, 0.05)[0]
        elif which in (SIDE_ID, KERB_ID):
            strength[i] = -dz * roadside(ground, x, y, 0.05, 0.05)[1]
        elif which >= 0:
            nx, ny, nz = normal(prims.kind[which], prims.shape[which], face, x, y, z)
            strength[i] = -(nx * dx + ny * dy + nz * dz) * prims.colour[which, 1]
