"""Exact ray intersections with the ground and the primitives, and what speeds them up.

Rays are o + t d, d of any length; t is what is compared. Misses are +Inf. Two indices say which
primitives a ray can meet: per image a list for each tile of pixels, and per direction of light a
grid of cells on the ground, into which everything is projected along the light.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .compiled import compiled
from .scene import FloatArray, IntArray
from .textures import noise3

TILE = 16  # pixels
NEAR = 0.02  # m
GROUND_END = 3000.0  # beyond, a ray that meets the ground counts as sky, m

SKY_ID, ROAD_ID, SIDE_ID, KERB_ID = -1, -2, -3, -4  # in the place of a primitive's index


class Grid(NamedTuple):
    """Primitives by cell of 1 m by 1 m of the plane z = 0, seen along one direction."""

    starts: IntArray  # (nx * ny + 1,)
    items: IntArray  # (M,) indices of primitives
    tops: FloatArray  # (N,) highest z of each primitive
    direction: FloatArray  # (3,) towards the light
    x0: float
    y0: float
    nx: int
    ny: int


@compiled
def hit_ground(ground, ox, oy, oz, dx, dy, dz):
    """Nearest of the road plane, the raised sides and the kerb faces. Returns t, id."""
    best, which = math.inf, SKY_ID
    reach = GROUND_END / math.hypot(dx, dy) if dx != 0.0 or dy != 0.0 else math.inf
    if dz < 0.0:
        t = -oz / dz
        y = oy + t * dy
        if 0.0 < t < reach and ground.right < y < ground.left:
            best, which = t, ROAD_ID
        t = (ground.kerb - oz) / dz
        y = oy + t * dy
        if 0.0 < t < min(best, reach) and (y <= ground.right or y >= ground.left):
            best, which = t, SIDE_ID
        if dy != 0.0:
            t = ((ground.right if dy < 0.0 else ground.left) - oy) / dy
            z = oz + t * dz
            if 0.0 < t < best and 0.0 <= z <= ground.kerb:
                best, which = t, KERB_ID
    return best, which


@compiled
def _hit_box(s, i, ox, oy, oz, dx, dy, dz):
    """A box with slanted sides: six half-spaces in its own axes. Returns t, face 1 to 6."""
    qx, qy, qz = ox - s[i, 0], oy - s[i, 1], oz - s[i, 2] + s[i, 7]
    px, py = s[i, 3] * qx + s[i, 4] * qy, -s[i, 4] * qx + s[i, 3] * qy
    vx, vy = s[i, 3] * dx + s[i, 4] * dy, -s[i, 4] * dx + s[i, 3] * dy
    height = 2.0 * s[i, 7]
    enter, leave, face = -math.inf, math.inf, 0
    for f in range(1, 7):
        # distance of the origin outside this side, and its rate along the ray
        if f == 1:
            k = s[i, 8] / height
            a, b = px + k * qz - s[i, 5], vx + k * dz
        elif f == 2:
            k = s[i, 9] / height
            a, b = -px + k * qz - s[i, 5], -vx + k * dz
        elif f == 3:
            k = s[i, 10] / height
            a, b = py + k * qz - s[i, 6], vy + k * dz
        elif f == 4:
            k = s[i, 10] / height
            a, b = -py + k * qz - s[i, 6], -vy + k * dz
        elif f == 5:
            a, b = qz - height, dz
        else:
            a, b = -qz, -dz
        if b < 0.0:
            t = -a / b
            if t > enter:
                enter, face = t, f
        elif b > 0.0:
            leave = min(leave, -a / b)
        elif a > 0.0:
            return math.inf, 0
        if enter > leave:
            return math.inf, 0
    if enter <= 0.0:
        return math.inf, 0
    return enter, face


@compiled
def _hit_ellipsoid(s, i, leafy, ox, oy, oz, dx, dy, dz):
    qx, qy = ox - s[i, 0], oy - s[i, 1]
    px, py, pz = (
        (s[i, 3] * qx + s[i, 4] * qy) / s[i, 5],
        (-s[i, 4] * qx + s[i, 3] * qy) / s[i, 6],
        (oz - s[i, 2]) / s[i, 7],
    )
    vx, vy, vz = (
        (s[i, 3] * dx + s[i, 4] * dy) / s[i, 5],
        (-s[i, 4] * dx + s[i, 3] * dy) / s[i, 6],
        dz / s[i, 7],
    )
    a = vx * vx + vy * vy + vz * vz
    b = px * vx + py * vy + pz * vz
    # The discriminant from the point of closest approach: no cancellation for far origins.
    u = -b / a
    mx, my, mz = px + u * vx, py + u * vy, pz + u * vz
    rest = 1.0 - (mx * mx + my * my + mz * mz)
    if rest <= 0.0:
        return math.inf, 0
    t = u - math.sqrt(rest / a)
    if t <= 0.0:
        return math.inf, 0
    if leafy:
        x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
        leaves = 0.6 * noise3(3.1 * x, 3.1 * y, 3.1 * z, 11) + 0.4 * noise3(
            9.0 * x, 9.0 * y, 9.0 * z, 12
        )
        if leaves > 0.30 + 0.60 * math.sqrt(rest):  # sqrt(rest): 0 at the outline, 1 in the middle
            return math.inf, 0
    return t, 1


@compiled
def _hit_rod(s, i, round_ends, ox, oy, oz, dx, dy, dz):
    """Cylinder (faces: 1 side, 2 and 3 the ends a and b) or capsule (face 1)."""
    bx, by, bz = s[i, 3] - s[i, 0], s[i, 4] - s[i, 1], s[i, 5] - s[i, 2]
    qx, qy, qz = ox - s[i, 0], oy - s[i, 1], oz - s[i, 2]
    bb = bx * bx + by * by + bz * bz
    bd = bx * dx + by * dy + bz * dz
    bq = bx * qx + by * qy + bz * qz
    # Ray and origin, less their share along the axis.
    kd, kq = bd / bb, bq / bb
    vx, vy, vz = dx - kd * bx, dy - kd * by, dz - kd * bz
    px, py, pz = qx - kq * bx, qy - kq * by, qz - kq * bz
    a = vx * vx + vy * vy + vz * vz
    best, face = math.inf, 0
    if a > 1e-18:
        u = -(px * vx + py * vy + pz * vz) / a
        mx, my, mz = px + u * vx, py + u * vy, pz + u * vz
        rest = s[i, 6] * s[i, 6] - (mx * mx + my * my + mz * mz)
        if rest <= 0.0:
            return math.inf, 0
        t = u - math.sqrt(rest / a)
        along = kq + t * kd
        if t > 0.0 and 0.0 <= along <= 1.0:
            return t, 1
    for end in range(2):
        if round_ends:
            ex, ey, ez = qx - end * bx, qy - end * by, qz - end * bz
            dd = dx * dx + dy * dy + dz * dz
            u = -(ex * dx + ey * dy + ez * dz) / dd
            mx, my, mz = ex + u * dx, ey + u * dy, ez + u * dz
            rest = s[i, 6] * s[i, 6] - (mx * mx + my * my + mz * mz)
            if rest > 0.0:
                t = u - math.sqrt(rest / dd)
                if 0.0 < t < best:
                    best, face = t, 1
        elif bd != 0.0:
            t = (end - kq) / kd
            mx, my, mz = px + t * vx, py + t * vy, pz + t * vz
            if 0.0 < t < best and mx * mx + my * my + mz * mz < s[i, 6] * s[i, 6]:
                best, face = t, 2 + end
    return best, face


@compiled
def hit(kinds, shapes, i, ox, oy, oz, dx, dy, dz):
    """First intersection of a ray with primitive i. Returns t (+Inf on a miss), face.

    The whole arrays come in, not rows of them: each row would be a counted reference, and counting
    is what threads would wait for.
    """
    kind = kinds[i]
    if kind == 0:
        return _hit_box(shapes, i, ox, oy, oz, dx, dy, dz)
    if kind <= 2:
        return _hit_ellipsoid(shapes, i, kind == 2, ox, oy, oz, dx, dy, dz)
    return _hit_rod(shapes, i, kind == 4, ox, oy, oz, dx, dy, dz)


@compiled
def normal(kind, s, face, x, y, z):
    """Outward unit normal at a surface point."""
    if kind == 0:
        lx, ly, lz = 0.0, 0.0, 0.0
        if face == 1:
            lx, lz = 1.0, 0.5 * s[8] / s[7]
        elif face == 2:
            lx, lz = -1.0, 0.5 * s[9] / s[7]
        elif face == 3:
            ly, lz = 1.0, 0.5 * s[10] / s[7]
        elif face == 4:
            ly, lz = -1.0, 0.5 * s[10] / s[7]
        else:
            lz = 1.0 if face == 5 else -1.0
        nx, ny, nz = s[3] * lx - s[4] * ly, s[4] * lx + s[3] * ly, lz
    elif kind <= 2:
        qx, qy, qz = x - s[0], y - s[1], z - s[2]
        lx = (s[3] * qx + s[4] * qy) / (s[5] * s[5])
        ly = (-s[4] * qx + s[3] * qy) / (s[6] * s[6])
        nx, ny, nz = s[3] * lx - s[4] * ly, s[4] * lx + s[3] * ly, qz / (s[7] * s[7])
    else:
        bx, by, bz = s[3] - s[0], s[4] - s[1], s[5] - s[2]
        if face >= 2:
            sign = -1.0 if face == 2 else 1.0
            nx, ny, nz = sign * bx, sign * by, sign * bz
        else:
            qx, qy, qz = x - s[0], y - s[1], z - s[2]
            k = (qx * bx + qy * by + qz * bz) / (bx * bx + by * by + bz * bz)
            k = min(1.0, max(0.0, k))
            nx, ny, nz = qx - k * bx, qy - k * by, qz - k * bz
    size = math.sqrt(nx * nx + ny * ny + nz * nz)
    return nx / size, ny / size, nz / size


def build_tiles(
    corners: FloatArray,
    R_camera_odom: FloatArray,
    origin: FloatArray,
    lens: tuple[float, float, float, float],
    width: int,
    height: int,
) -> tuple[IntArray, IntArray, FloatArray]:
    """Lists of primitives by tile of the image, nearest first. `lens` is fx, fy, cx, cy.

    Returns starts (T + 1,), items (M,), and nearest (N,): no point of a primitive has a smaller
    depth along the optical axis.
    """
    fx, fy, cx, cy = lens
    q = (corners - origin) @ R_camera_odom.T
    z = q[:, :, 2]
    low = np.full((len(q), 2), np.inf)
    high = np.full((len(q), 2), -np.inf)
    for a in range(8):
        for b in range(a, 8):
            # Corners in front, and where connections of corners pierce the near plane.
            if a == b:
                seen = np.flatnonzero(z[:, a] >= NEAR)
                point = q[seen, a]
            else:
                seen = np.flatnonzero((z[:, a] < NEAR) != (z[:, b] < NEAR))
                k = (NEAR - z[seen, a]) / (z[seen, b] - z[seen, a])
                point = q[seen, a] + k[:, None] * (q[seen, b] - q[seen, a])
                point[:, 2] = NEAR
            pixel = point[:, :2] / point[:, 2:] * (fx, fy) + (cx, cy)
            low[seen] = np.minimum(low[seen], pixel)
            high[seen] = np.maximum(high[seen], pixel)
    size = np.array([width, height])
    wanted = np.all((high >= -1.0) & (low <= size), axis=1)
    nearest = np.where(wanted, np.maximum(z.min(1), 0.0), np.inf)
    cells = np.array([-(-width // TILE), -(-height // TILE)])
    order = np.argsort(nearest, kind="stable")[: np.count_nonzero(wanted)]
    spans = _spans((low[order] - 1.0) / TILE, (high[order] + 1.0) / TILE, cells)
    return (*_fill(order, spans, int(cells[0]), int(cells[1])), nearest)


def _spans(low: FloatArray, high: FloatArray, cells: IntArray) -> IntArray:
    """First and last cell of rectangles, clipped: (M, 4) x0, x1, y0, y1."""
    first = np.clip(np.floor(low), 0, cells - 1)
    last = np.clip(np.floor(high), 0, cells - 1)
    return np.stack([first[:, 0], last[:, 0], first[:, 1], last[:, 1]], 1).astype(np.int64)


def _fill(order: IntArray, spans: IntArray, across: int, down: int) -> tuple[IntArray, IntArray]:
    """Compressed rows: for every cell the items of `order` whose span covers it, in that order."""
    counts = np.zeros((down + 1, across + 1), np.int64)
    x0, x1, y0, y1 = spans.T
    for x, y, sign in ((x0, y0, 1), (x1 + 1, y0, -1), (x0, y1 + 1, -1), (x1 + 1, y1 + 1, 1)):
        np.add.at(counts, (y, x), sign)
    counts = counts.cumsum(0).cumsum(1)[:down, :across]
    starts = np.concatenate([[0], np.cumsum(counts)])
    items = np.empty(starts[-1], np.int64)
    _fill_items(order, spans, across, starts[:-1].copy(), items)
    return starts, items


@compiled
def _fill_items(order, spans, across, place, items):
    for i in range(order.shape[0]):
        for y in range(spans[i, 2], spans[i, 3] + 1):
            for x in range(spans[i, 0], spans[i, 1] + 1):
                items[place[y * across + x]] = order[i]
                place[y * across + x] += 1


def build_grid(
    corners: FloatArray, wanted: IntArray, direction: FloatArray, centre: FloatArray
) -> Grid:
    """Index the primitives with indices `wanted` for rays from near the ground along `direction`.

    The grid reaches 140 m along x and 60 m along y from `centre`; beyond, nothing casts shadows.
    """
    cells = np.array([280, 120])
    start = centre[:2] - cells / 2.0
    flat = corners[wanted, :, :2] - corners[wanted, :, 2:] * (direction[:2] / direction[2]) - start
    low, high = flat.min(1), flat.max(1)
    inside = np.all((high >= 0.0) & (low < cells), axis=1)
    spans = _spans(low[inside], high[inside], cells)
    starts, items = _fill(wanted[inside], spans, 280, 120)
    tops = corners[:, :, 2].max(1)
    return Grid(starts, items, tops, direction, float(start[0]), float(start[1]), 280, 120)


@compiled
def occluded(kind, shape, grid, x, y, z):
    """Whether something stands between a point and the light. Leaves let some light through."""
    dx, dy, dz = grid.direction[0], grid.direction[1], grid.direction[2]
    i = int(math.floor(x - z * dx / dz - grid.x0))
    j = int(math.floor(y - z * dy / dz - grid.y0))
    if i < 0 or j < 0 or i >= grid.nx or j >= grid.ny:
        return False
    index = j * grid.nx + i
    items, tops = grid.items, grid.tops
    for m in range(grid.starts[index], grid.starts[index + 1]):
        k = items[m]
        if tops[k] <= z:
            continue
        t, _ = hit(kind, shape, k, x, y, z, dx, dy, dz)
        if t < math.inf:
            if kind[k] == 2:
                hx, hy, hz = x + t * dx, y + t * dy, z + t * dz
                if noise3(4.0 * hx, 4.0 * hy, 4.0 * hz, 21) > 0.58:
                    continue
            return True
    return False
