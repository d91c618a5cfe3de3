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

# mypy: ignore-errors
# Warp compiles these functions from their source: they are its own language, not typed Python.
"""How things look, in NVIDIA Warp: textures, the ground's picture, the sky. For `kernels`."""
# Warp reads the annotations when it compiles the code: they must not become strings.

import warp as wp


@wp.struct
class TextureMaps:
    """Materials, textures and the picture of the ground."""

    tile: wp.array(dtype=wp.float32)
    mirror: wp.array(dtype=wp.float32)
    bumpiness: wp.array(dtype=wp.float32)
    emission: wp.array(dtype=wp.float32)
    mean: wp.array(dtype=wp.vec3)
    textures: wp.array2d(dtype=wp.vec4ub)
    size: wp.int32
    levels: wp.int32
    ground: wp.array(dtype=wp.vec4ub)
    ground_levels: wp.array2d(dtype=wp.int32)
    ground_label: wp.array2d(dtype=wp.uint8)
    ground_material: wp.array2d(dtype=wp.uint8)
    ground_start: wp.float32
    ground_reach: wp.float32
    ground_resolution: wp.float32
    ground_index: wp.int32
    clouds: wp.array2d(dtype=wp.float32)


@wp.struct
class Light:
    """The sun and the sky."""

    sun: wp.vec3
    sun_colour: wp.vec3
    zenith: wp.vec3
    horizon: wp.vec3
    cover: wp.float32
    cloud_shift: wp.vec2
    softness: wp.float32


@wp.func
def hash_unit(a: wp.uint32) -> wp.float32:
    """A well-mixed number from 0 to 1."""
    x = a
    x = (x ^ (x >> wp.uint32(16))) * wp.uint32(0x7FEB352D)
    x = (x ^ (x >> wp.uint32(15))) * wp.uint32(0x746CA68B)
    x = x ^ (x >> wp.uint32(16))
    return wp.float32(x) / 4294967296.0


@wp.func
def squared(texel: wp.vec4ub) -> wp.vec4:
    """Bytes of a texel as they are averaged: colours squared; `decoded` scales their mean."""
    r = wp.float32(texel[0])
    g = wp.float32(texel[1])
    b = wp.float32(texel[2])
    return wp.vec4(r * r, g * g, b * b, wp.float32(texel[3]))


@wp.func
def decoded(mean: wp.vec4) -> wp.vec4:
    """Linear albedo and mirror share from a mean of `squared` texels."""
    k = wp.float32(1.0 / 65025.0)
    return wp.vec4(mean[0] * k, mean[1] * k, mean[2] * k, mean[3] * wp.float32(1.0 / 255.0))


@wp.func
def wrap(i: wp.int32, n: wp.int32) -> wp.int32:
    """I modulo n for powers of two, also below zero."""
    return i & (n - 1)


@wp.func
def texture_level(
    maps: TextureMaps, m: wp.int32, x: wp.float32, y: wp.float32, k: wp.int32
) -> wp.vec4:
    """Bilinear sample of material m's texture at level k, `squared`; x, y in tiles, y up."""
    n = maps.size >> k
    # Of all larger levels: size^2 + (size / 2)^2 + ... + (2 n)^2 texels.
    start = (maps.size * maps.size - n * n) // 3 * 4
    fx = (x - wp.floor(x)) * wp.float32(n) - 0.5
    fy = (1.0 - (y - wp.floor(y))) * wp.float32(n) - 0.5
    x0 = wp.int32(wp.floor(fx))
    y0 = wp.int32(wp.floor(fy))
    ax = fx - wp.float32(x0)
    ay = fy - wp.float32(y0)
    xa = wrap(x0, n)
    xb = wrap(x0 + 1, n)
    ya = start + wrap(y0, n) * n
    yb = start + wrap(y0 + 1, n) * n
    top = squared(maps.textures[m, ya + xa]) * (1.0 - ax) + squared(maps.textures[m, ya + xb]) * ax
    low = squared(maps.textures[m, yb + xa]) * (1.0 - ax) + squared(maps.textures[m, yb + xb]) * ax
    return top * (1.0 - ay) + low * ay


@wp.func
def texture(maps: TextureMaps, m: wp.int32, uv: wp.vec2, footprint: wp.float32) -> wp.vec4:
    """Sample material m's texture at uv (m), averaged over about `footprint` metres."""
    tile = maps.tile[m]
    texel = tile / wp.float32(maps.size)
    level = wp.clamp(wp.log2(wp.max(footprint / texel, 1.0)), 0.0, wp.float32(maps.levels - 1))
    k = wp.int32(level)
    part = level - wp.float32(k)
    x = uv[0] / tile
    y = uv[1] / tile
    value = texture_level(maps, m, x, y, k)
    if part > 0.05 and k + 1 < maps.levels:
        value = value * (1.0 - part) + texture_level(maps, m, x, y, k + 1) * part
    return decoded(value)


@wp.func
def ground_level(maps: TextureMaps, s: wp.float32, t: wp.float32, k: wp.int32) -> wp.vec4:
    """Bilinear sample of the ground's picture at level k, `squared`."""
    width = maps.ground_levels[k, 0]
    height = maps.ground_levels[k, 1]
    start = maps.ground_levels[k, 2]
    scale = wp.float32(1 << k)
    # Pixel centres of a halved picture lie between those of the picture before.
    u = ((s - maps.ground_start) / maps.ground_resolution + 0.5) / scale - 0.5
    v = ((maps.ground_reach - t) / maps.ground_resolution + 0.5) / scale - 0.5
    u = wp.clamp(u, 0.0, wp.float32(width - 1) - 0.001)
    v = wp.clamp(v, 0.0, wp.float32(height - 1) - 0.001)
    x = wp.int32(u)
    y = wp.int32(v)
    ax = u - wp.float32(x)
    ay = v - wp.float32(y)
    i = start + y * width + x
    top = squared(maps.ground[i]) * (1.0 - ax) + squared(maps.ground[i + 1]) * ax
    low = squared(maps.ground[i + width]) * (1.0 - ax) + squared(maps.ground[i + width + 1]) * ax
    return top * (1.0 - ay) + low * ay


@wp.func
def ground_colour(
    maps: TextureMaps, uv: wp.vec2, long_axis: wp.vec2, long: wp.float32, short: wp.float32
) -> wp.vec4:
    """The ground's picture averaged over a pixel's print: `long` x `short` metres."""
    taps = wp.int32(wp.clamp(wp.ceil(long / wp.max(short, maps.ground_resolution)), 1.0, 6.0))
    wide = wp.max(short, long / wp.float32(taps))
    top = wp.float32(maps.ground_levels.shape[0] - 1)
    level = wp.clamp(wp.log2(wp.max(wide / maps.ground_resolution, 1.0)), 0.0, top)
    k = wp.int32(level + 0.5)
    total = wp.vec4(0.0, 0.0, 0.0, 0.0)
    for i in range(taps):
        along = (wp.float32(i) + 0.5) / wp.float32(taps) - 0.5
        p = uv + long_axis * (along * long)
        total += ground_level(maps, p[0], p[1], k)
    return decoded(total / wp.float32(taps))


@wp.func
def cloud_noise(maps: TextureMaps, x: wp.float32, y: wp.float32) -> wp.float32:
    """Bilinear sample of the tiling cloud picture; x, y in tiles."""
    n = maps.clouds.shape[0]
    fx = (x - wp.floor(x)) * wp.float32(n)
    fy = (y - wp.floor(y)) * wp.float32(n)
    x0 = wp.int32(fx)
    y0 = wp.int32(fy)
    ax = fx - wp.float32(x0)
    ay = fy - wp.float32(y0)
    xa = wrap(x0, n)
    xb = wrap(x0 + 1, n)
    ya = wrap(y0, n)
    yb = wrap(y0 + 1, n)
    top = maps.clouds[ya, xa] * (1.0 - ax) + maps.clouds[ya, xb] * ax
    low = maps.clouds[yb, xa] * (1.0 - ax) + maps.clouds[yb, xb] * ax
    return top * (1.0 - ay) + low * ay


@wp.func
def sky(maps: TextureMaps, light: Light, d: wp.vec3) -> wp.vec3:
    """Light from the sky along d, clouds and the sun's glow included."""
    up = wp.max(d[2], 0.0)
    blend = (1.0 - up) * (1.0 - up) * (1.0 - up)
    colour = light.zenith * (1.0 - blend) + light.horizon * blend
    towards = wp.max(wp.dot(d, light.sun), 0.0)
    x = d[0] / (up + 0.12) * 0.11 + light.cloud_shift[0]
    y = d[1] / (up + 0.12) * 0.11 + light.cloud_shift[1]
    density = cloud_noise(maps, x, y)
    clouds = wp.clamp((density - (1.0 - light.cover)) * 4.0, 0.0, 1.0)
    clouds = clouds * (1.0 - 0.5 * blend)
    shade = 0.55 + 0.45 * cloud_noise(maps, x * 2.3 + 0.37, y * 2.3)
    grey = (light.zenith[0] + light.zenith[1] + light.zenith[2]) / 3.0
    white = light.sun_colour * 0.28 + wp.vec3(grey, grey, grey) * 0.9
    colour = colour * (1.0 - clouds) + white * (shade * clouds)
    square = towards * towards
    fourth = square * square
    glow = fourth * fourth * 0.15
    # Elsewhere the power is below 1e-18.
    if towards > 0.9:
        glow += wp.pow(towards, 400.0) * 6.0 * (1.0 - clouds)
    return colour + light.sun_colour * (glow * (1.0 - light.cover * 0.8))
