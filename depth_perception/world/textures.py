"""Procedural colours: value noise, the ground, materials and the sky, compiled.

Everything is a function of world or object coordinates and of the size of a pixel there
(`foot`, metres), so that patterns fade before they alias. Colours are linear, 0 to 1.
"""

from __future__ import annotations

import math

from .compiled import compiled
from .scene import (
    BARK,
    BRICK,
    CABIN,
    COACH,
    FACADE,
    FOLIAGE,
    GLOSSY,
    PAINT,
    PAVEMENT,
    ROOF,
    SIGN,
    VERGE,
    WHEEL,
)

KERB_STONE = 0.16  # m
_MASK = 0xFFFFFFFF


@compiled
def hash01(i: int, j: int, k: int) -> float:
    """A repeatable number in [0, 1) for three integers."""
    h = (i * 374761393 + j * 668265263 + k * 1274126177) & _MASK
    h = ((h ^ (h >> 13)) * 1274126177) & _MASK
    h = ((h ^ (h >> 15)) * 668265263) & _MASK
    return (h ^ (h >> 16)) / 4294967296.0


@compiled
def noise2(x: float, y: float, seed: int) -> float:
    """Value noise with unit cells, 0 to 1."""
    i, j = math.floor(x), math.floor(y)
    u, v = x - i, y - j
    u, v = u * u * (3.0 - 2.0 * u), v * v * (3.0 - 2.0 * v)
    i, j = int(i), int(j)
    a = hash01(i, j, seed) * (1.0 - u) + hash01(i + 1, j, seed) * u
    b = hash01(i, j + 1, seed) * (1.0 - u) + hash01(i + 1, j + 1, seed) * u
    return a * (1.0 - v) + b * v


@compiled
def noise3(x: float, y: float, z: float, seed: int) -> float:
    """Value noise with unit cells in space, 0 to 1."""
    k = math.floor(z)
    w = z - k
    w = w * w * (3.0 - 2.0 * w)
    k = int(k) * 7919 + seed
    return noise2(x, y, k) * (1.0 - w) + noise2(x, y, k + 7919) * w


@compiled
def fade(wavelength: float, foot: float) -> float:
    """Weight of a pattern of a wavelength: 1 where pixels are small, 0 where they hide it."""
    return min(1.0, max(0.0, 0.5 * wavelength / foot - 0.5))


@compiled
def rough(x: float, y: float, seed: int, wavelength: float, octaves: int, foot: float) -> float:
    """A sum of noise octaves about zero, each half as long and 0.65 as strong as the one before."""
    total, amplitude = 0.0, 1.0
    for k in range(octaves):
        weight = fade(wavelength, foot)
        if weight <= 0.0:
            break
        total += amplitude * weight * (noise2(x / wavelength, y / wavelength, seed + k) - 0.5)
        wavelength *= 0.5
        amplitude *= 0.65
    return total


@compiled
def stripe(v: float, centre: float, half: float, foot: float) -> float:
    """Share of a pixel of width `foot` at v that a stripe covers: an exact box filter."""
    low, high = max(v - 0.5 * foot, centre - half), min(v + 0.5 * foot, centre + half)
    return max(0.0, high - low) / foot


@compiled
def dashes(u: float, period: float, length: float, foot: float) -> float:
    """Share of a pixel that lies on a dash of a periodic row of dashes: an exact box filter."""
    a, b = (u - 0.5 * foot) / period, (u + 0.5 * foot) / period
    duty = length / period
    lower = math.floor(a) * duty + min(a - math.floor(a), duty)
    upper = math.floor(b) * duty + min(b - math.floor(b), duty)
    return (upper - lower) / (b - a)


@compiled
def road(ground, x, y, foot_x, foot_y):
    """Asphalt with wheel tracks, repairs, cracks, covers and markings. Returns r, g, b."""
    seed = ground.seed * 131 + 17
    foot = 0.35 * foot_x + 0.65 * min(foot_x, foot_y)
    tone = 0.165 + 0.035 * rough(x * 0.4, y, seed, 3.0, 3, foot)
    tone *= 1.0 + 0.5 * rough(x, y, seed + 9, 0.045, 3, foot)
    across = abs(y - ground.centre)
    tone *= 1.0 - 0.10 * math.exp(-(((abs(across - 1.75) - 0.8) / 0.3) ** 2))
    tone *= 1.0 - 0.16 * math.exp(-(((across - 1.75) / 0.35) ** 2)) * noise2(x * 0.15, 3.0, seed)
    # Repairs: some cells of 7 m by 2.4 m hold a darker rectangle with a tar seam.
    i, j = int(math.floor(x / 7.0)), int(math.floor(y / 2.4))
    if hash01(i, j, seed + 1) < 0.22:
        u = abs(x / 7.0 - i - 0.5) * 7.0 - 1.0 - 2.2 * hash01(i, j, seed + 2)
        v = abs(y / 2.4 - j - 0.5) * 2.4 - 0.35 - 0.7 * hash01(i, j, seed + 3)
        inside = max(u, v)
        if inside < 0.0:
            tone *= 0.82
        tone *= 1.0 - 0.4 * stripe(inside, 0.0, 0.025, max(foot_x, foot_y))
    wander = 0.6 * noise2(x * 1.5, y * 1.5, seed + 5)
    ridge = abs(noise2(x * 0.22 + wander, y * 0.5, seed + 4) - 0.5)
    tone *= 1.0 - 0.35 * max(0.0, 1.0 - ridge / 0.006) * fade(0.12, foot)
    cover = math.hypot(x - 9.0 * i, y - 0.9) if j == 0 else 9.0
    if cover < 0.36 and hash01(i, 5, seed) < 0.5:
        tone *= 0.55 + 0.25 * (cover < 0.31)
    edge = min(y - ground.right, ground.left - y)
    tone *= 1.0 - 0.28 * max(0.0, 1.0 - edge / 0.35)
    tone += 0.05 * stripe(edge, 0.14, 0.13, foot_y)

    paint = stripe(y, ground.centre, 0.065, foot_y) * dashes(x, 6.0, 3.0, foot_x)
    for offset in (-3.5, 3.5):
        paint += stripe(y, ground.centre + offset, 0.055, foot_y)
        bay = 0.5 * (offset / 3.5 + 1.0) * ground.left + 0.5 * (1.0 - offset / 3.5) * ground.right
        line = ground.centre + offset
        paint += stripe(y, 0.5 * (bay + line), 0.5 * abs(bay - line), foot_y) * dashes(
            x + 2.95, 6.0, 0.1, foot_x
        )
    gap = abs(x - ground.crossing)
    if gap < 9.0:
        bars = dashes(y - ground.right - 0.35, 1.1, 0.55, foot_y)
        zebra = stripe(gap, 0.0, 1.7, foot_x)
        lane = y < ground.centre
        stop = stripe(x, ground.crossing - 3.2, 0.18, foot_x) if lane else 0.0
        paint = max(paint * (gap > 3.4), zebra * bars, stop * (abs(across - 1.75) < 1.68))
    worn = 0.82 + 0.5 * rough(x, y, seed + 7, 0.4, 3, foot)
    paint = min(1.0, paint) * min(1.0, max(0.25, worn))
    return (
        tone * (1.0 - paint) + 0.66 * paint,
        tone * 0.99 * (1.0 - paint) + 0.66 * paint,
        tone * 1.01 * (1.0 - paint) + 0.63 * paint,
    )


@compiled
def is_paved(out: float) -> bool:
    """Whether it is stone, not grass, `out` metres from the kerb face."""
    return out < KERB_STONE or VERGE < out < PAVEMENT


@compiled
def roadside(ground, x, y, foot_x, foot_y):
    """Kerb stone, grass verge, paved footway, land. Returns r, g, b."""
    seed = ground.seed * 131 + 61
    foot = max(foot_x, foot_y) * 0.6
    out = max(ground.right - y, y - ground.left)
    if out < KERB_STONE:
        tone = 0.34 + 0.08 * rough(x, y, seed, 0.3, 3, foot)
        tone *= 1.0 - 0.5 * dashes(x, 1.0, 0.02, foot_x)
        return tone, tone, tone * 0.97
    if is_paved(out):
        i, j = int(math.floor(x / 0.6)), int(math.floor(out / 0.4))
        tone = 0.29 + 0.07 * (hash01(i, j, seed) - 0.5) * fade(0.6, foot)
        tone += 0.09 * rough(x, y, seed, 0.8, 4, foot)
        seams = max(dashes(x, 0.6, 0.02, foot_x), dashes(out, 0.4, 0.02, foot_y))
        tone *= 1.0 - 0.45 * seams
        return tone, tone * 0.97, tone * 0.91
    leaf = 0.75 + 0.9 * rough(x, y, seed + 3, 1.6, 2, foot) + rough(x, y, seed + 5, 0.14, 3, foot)
    dry = noise2(x * 0.3, y * 0.3, seed + 8)
    leaf = max(leaf, 0.2)
    return (0.085 + 0.05 * dry) * leaf, (0.135 + 0.01 * dry) * leaf, 0.035 * leaf


@compiled
def sky(dx, dy, dz, sun, seed):
    """Gradient, drifting clouds and a glow about the sun, for a unit direction. Returns r, g, b."""
    up = max(dz, 0.0)
    t = math.sqrt(up)
    r, g, b = 0.80 - 0.62 * t, 0.88 - 0.50 * t, 0.98 - 0.28 * t
    if up > 0.015:
        u, v = dx / (up + 0.08), dy / (up + 0.08)
        c = noise2(0.9 * u, 0.9 * v, seed) + 0.5 * noise2(2.1 * u, 2.1 * v, seed + 1)
        c += 0.25 * noise2(4.7 * u, 4.7 * v, seed + 2) + 0.12 * noise2(9.5 * u, 9.5 * v, seed + 3)
        c = min(1.0, max(0.0, (c - 0.92) * 2.6)) * min(1.0, up * 8.0)
        white = 0.97 - 0.18 * c
        r, g, b = r + (white - r) * c, g + (white - g) * c, b + (white + 0.02 - b) * c
    glow = max(0.0, dx * sun[0] + dy * sun[1] + dz * sun[2])
    glow = 0.5 * glow**24 + 4.0 * glow**900
    return r + glow, g + 0.95 * glow, b + 0.85 * glow


@compiled
def surroundings(dx, dy, dz, sun, seed):
    """What a mirror shows: sky above, a dark band of houses at the horizon, the road below."""
    if dz < 0.0:
        return 0.17, 0.17, 0.18
    r, g, b = sky(dx, dy, dz, sun, seed)
    w = min(1.0, max(0.0, (dz - 0.22) * 6.0))
    return 0.20 + (r - 0.20) * w, 0.19 + (g - 0.19) * w, 0.18 + (b - 0.18) * w


@compiled
def _facade(u, v, half_u, extra, r, g, b, foot):
    """Plaster or brick with windows. u along the wall, v above ground. Returns r, g, b, gloss."""
    pitch, storey, style, shop = extra[0], extra[1], extra[2], extra[3]
    seed = int(style * 10007.0)
    tone = 1.0 + 0.35 * rough(u, v, seed, 2.5, 4, foot)
    if r > 1.6 * b:
        row = math.floor(v / 0.14)
        brick = max(dashes(v, 0.14, 0.022, foot), dashes(u + 0.15 * (row % 2), 0.3, 0.022, foot))
        tone *= 1.0 - 0.25 * brick * fade(0.2, foot)
        each = hash01(int(math.floor(u / 0.3)), int(row), seed) - 0.5
        tone *= 1.0 + 0.3 * each * fade(0.3, foot)
    if v < 0.5:
        tone *= 0.6
    level = int(math.floor((v - 0.3) / storey))
    h = (v - 0.3) / storey - level
    if level < 0:
        return r * tone, g * tone, b * tone, 0.0
    if level == 0 and shop > 0.5:
        panes = dashes(u, 2.2, 0.12, foot)
        if 0.1 < h < 0.76 and abs(u) < half_u - 0.4:
            lit = 0.05 + 0.22 * noise2(u * 1.2, v * 1.5, seed + 1)
            return lit + 0.2 * panes, lit * 0.9 + 0.2 * panes, lit * 0.75 + 0.2 * panes, 0.35
        if 0.78 < h < 0.97:
            tint = hash01(seed, 1, 2)
            text = noise2(u * 4.0, v * 3.0, seed + 2) > 0.62 and 0.83 < h < 0.92
            ink = 0.7 if text else 0.0
            return 0.05 + 0.4 * tint + ink, 0.10 + ink, 0.30 - 0.25 * tint + ink, 0.05
        return r * tone * 0.8, g * tone * 0.8, b * tone * 0.8, 0.0
    column = int(math.floor((u + half_u) / pitch))
    w = ((u + half_u) / pitch - column - 0.5) * pitch
    wide, low, high = 0.26 * pitch + 0.1 * style, 0.26, 0.80
    if level == 0 and hash01(column, seed, 7) < 0.2:
        low = 0.0
        if abs(w) < 0.5 and h < 0.72:
            paint = hash01(column, seed, 8)
            panel = 1.0 if abs(abs(w) - 0.25) < 0.14 and 0.1 < h < 0.6 else 0.75
            return (0.08 + 0.2 * paint) * panel, 0.09 * panel, (0.22 - 0.18 * paint) * panel, 0.05
        return r * tone, g * tone, b * tone, 0.0
    inside = min(wide - abs(w), min(h - low, high - h) * storey)
    if inside > 0.0:
        if inside < 0.07 or abs(w) < 0.03 or abs(h - 0.6) < 0.01:
            return 0.62, 0.61, 0.58, 0.0
        dark = 0.025 + 0.05 * hash01(column, level, seed)
        if hash01(column, level, seed + 3) < 0.4 and abs(w) > 0.35 * wide:
            return 0.4, 0.38, 0.34, 0.12
        if (high - h) * storey < 0.22:
            return dark * 0.4, dark * 0.4, dark * 0.4, 0.05
        return dark, dark * 1.1, dark * 1.25, 0.45
    if abs(w) < wide + 0.12 and -0.06 < h - low < 0.0:
        return 0.5, 0.48, 0.44, 0.0
    if inside > -0.12:
        tone *= 1.12
    return r * tone, g * tone, b * tone, 0.0


@compiled
def _paint(lx, ly, lz, z, face, half_x, extra, r, g, b):
    """Bodywork with wheel arches, lamps, plates, door seams. Returns r, g, b, gloss."""
    base, radius, seed = extra[0], extra[1], extra[2]
    if face == 3 or face == 4:
        arch = min(math.hypot(lx - base, z - radius), math.hypot(lx + base, z - radius))
        if arch < radius + 0.05:
            return 0.008, 0.008, 0.008, 0.0
        if z < 0.27:
            return 0.03, 0.03, 0.03, 0.0
        seam = min(abs(lx - 0.75), abs(lx + 0.25), abs(lx + 1.15))
        if seam < 0.012 and z > 0.3:
            return r * 0.3, g * 0.3, b * 0.3, 0.05
        if 0.78 < z < 0.81 and (abs(lx - 0.0) < 0.08 or abs(lx + 0.95) < 0.08):
            return 0.02, 0.02, 0.02, 0.1
        return r, g, b, 0.3
    if face == 1 or face == 2:
        if z < 0.34:
            return 0.03, 0.03, 0.03, 0.0
        if abs(ly) < 0.27 and 0.44 < z < 0.56:
            edge = noise2(ly * 22.0, 3.0, int(seed * 999.0)) > 0.5 and abs(z - 0.5) < 0.035
            return (0.05, 0.05, 0.05, 0.0) if edge else (0.7, 0.7, 0.66, 0.0)
        if face == 1:
            if abs(ly) > 0.5 and 0.58 < z < 0.74:
                return 0.75, 0.77, 0.78, 0.5
            if abs(ly) < 0.45 and 0.58 < z < 0.72:
                return 0.02, 0.02, 0.022, 0.15
        elif abs(ly) > 0.55 and 0.55 < z < 0.84:
            return 0.42, 0.015, 0.012, 0.35
    return r, g, b, 0.3


@compiled
def _glazing(lx, ly, lz, face, half, inset, r, g, b):
    """The glass house of a car: dark glass between painted pillars. Returns r, g, b, gloss."""
    up = (lz + half[2]) / (2.0 * half[2])
    if face == 5:
        return r, g, b, 0.3
    if up > 0.90:
        return r, g, b, 0.25
    if face == 3 or face == 4:
        front, back = half[0] - inset[0] * up, -half[0] + inset[1] * up
        if lx > front - 0.09 or lx < back + 0.14 or abs(lx + 0.12) < 0.045 or up < 0.06:
            return r, g, b, 0.25
        return 0.018, 0.022, 0.024, 0.45
    side = half[1] - inset[2] * up
    if abs(ly) > side - 0.07 or up < 0.05:
        return r, g, b, 0.25
    return 0.016, 0.02, 0.022, 0.55


@compiled
def material(kind, shape, code, extra, colour, x, y, z, face, nz, foot, seed):
    """Colour of a primitive at a surface point in the world. Returns r, g, b, gloss."""
    r, g, b = colour[0], colour[1], colour[2]
    if code == 0:
        tone = 1.0 + 0.25 * (noise3(3.0 * x, 3.0 * y, 3.0 * z, 5) - 0.5) * fade(0.3, foot)
        return r * tone, g * tone, b * tone, 0.0
    if code == FOLIAGE:
        a = noise3(x * 2.2, y * 2.2, z * 2.2, seed) - 0.5
        c = (noise3(x * 7.0, y * 7.0, z * 7.0, seed + 1) - 0.5) * fade(0.15, foot)
        d = (noise3(x * 19.0, y * 19.0, z * 19.0, seed + 2) - 0.5) * fade(0.055, foot)
        tone = max(0.12, 0.95 + 0.9 * a + 1.3 * c + 1.0 * d)
        return r * tone * (1.0 + 0.3 * a), g * tone, b * tone, 0.0
    if code == BARK:
        tone = 0.8 + 0.8 * (noise3(x * 14.0, y * 14.0, z * 2.5, seed) - 0.3) * fade(0.1, foot)
        return r * tone, g * tone, b * tone, 0.0
    if code == WHEEL:
        ax, ay = shape[3] - shape[0], shape[4] - shape[1]
        along = ((x - shape[0]) * ax + (y - shape[1]) * ay) / (ax * ax + ay * ay)
        px, py, pz = x - shape[0] - along * ax, y - shape[1] - along * ay, z - shape[2]
        ratio = math.sqrt(px * px + py * py + pz * pz) / shape[6]
        if face == 2 or face == 3:
            if extra[0] > 0.5:  # a bicycle's: spokes, hardly anything between
                return (0.02, 0.02, 0.02, 0.0) if ratio > 0.9 else (0.14, 0.14, 0.14, 0.0)
            if ratio < 0.66:
                level = math.hypot(px, py) * (1.0 if px > 0 else -1.0)
                spoke = math.cos(5.0 * math.atan2(pz, level))
                bright = 0.34 if spoke > -0.2 or ratio < 0.16 or ratio > 0.58 else 0.04
                return bright, bright, bright, 0.1
        return r, g, b, 0.0
    if code == SIGN:
        if kind != 0:
            radius = math.hypot(y - shape[1], z - shape[2]) / shape[6]
            bar = abs(z - shape[2]) < 0.07 and abs(y - shape[1]) < 0.2
            if radius > 0.78 or (shape[0] * 0.37) % 1.0 < 0.5:
                return (0.8, 0.8, 0.78, 0.0) if bar and radius < 0.78 else (0.5, 0.02, 0.02, 0.05)
            return (0.05, 0.05, 0.05, 0.0) if bar else (0.8, 0.8, 0.78, 0.0)
        edge = max(abs(y - shape[1]), abs(z - shape[2])) / shape[6]
        walker = abs(abs(y - shape[1]) - 0.4 * (shape[2] + 0.2 - z)) < 0.04 and z < shape[2] + 0.2
        return (0.8, 0.8, 0.8, 0.0) if edge > 0.9 or walker else (r, g, b, 0.05)
    # The rest are boxes: textures live in the box's own axes.
    qx, qy, lz = x - shape[0], y - shape[1], z - shape[2]
    lx, ly = shape[3] * qx + shape[4] * qy, -shape[4] * qx + shape[3] * qy
    if code == FACADE:
        if face >= 5:
            return 0.25, 0.25, 0.25, 0.0
        along, half = (ly, shape[6]) if face <= 2 else (lx, shape[5])
        return _facade(along, lz + shape[7], half, extra, r, g, b, foot)
    if code == PAINT:
        return _paint(lx, ly, lz, z, face, shape[5], extra, r, g, b)
    if code == CABIN:
        return _glazing(lx, ly, lz, face, shape[5:8], shape[8:11], r, g, b)
    if code == ROOF:
        seam = dashes(lx, 0.3, 0.04, foot) * 0.4 + dashes(lz, 0.22, 0.03, foot) * 0.4
        tone = (1.0 - seam) * (1.0 + 0.6 * rough(lx, lz, seed, 1.5, 4, foot))
        return r * tone, g * tone, b * tone, 0.0
    if code == BRICK:
        u = lx if face >= 3 else ly
        row = math.floor(lz / 0.09)
        seam = max(dashes(lz, 0.09, 0.015, foot), dashes(u + 0.12 * (row % 2), 0.24, 0.015, foot))
        cell = hash01(int(math.floor((u + 0.12 * (row % 2)) / 0.24)), int(row), seed)
        tone = (1.0 + 0.5 * (cell - 0.5) * fade(0.24, foot)) * (1.0 - 0.3 * seam)
        return r * tone, g * tone, b * tone, 0.0
    if code == COACH:
        up = (lz + shape[7]) / (2.0 * shape[7])
        if face == 3 or face == 4:
            if 0.42 < up < 0.82 and dashes(lx, 1.5, 0.1, foot) < 0.5:
                return 0.02, 0.025, 0.03, 0.45
        elif face <= 2 and 0.36 < up < 0.86 and abs(ly) < shape[6] - 0.12:
            return 0.02, 0.025, 0.03, 0.5
        if up < 0.12:
            return 0.03, 0.03, 0.03, 0.0
        return r, g, b, 0.25
    return r, g, b, 0.35 if code == GLOSSY else 0.0
