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
"""The stages of a view between which rays are followed, in NVIDIA Warp: for CPU and GPU.

`generate_rays` makes the rays of the pixels and a back end of `tracing` finds what they hit.
`shade_hits` reads what is there and sends out further rays: to the sun, into the sky (one pixel in
four) and off mirrors. When those are answered, `shade_reflections` shades what mirrors show,
`direct_sunlight` and `gather_sky_light` sum up the light of sun and sky, and `composite` puts the
parts together. A ray whose direction is NaN is none: no stage passes numbers through the host, nor
does any have to know how many rays there are.
"""
# Warp reads the annotations when it compiles the code: they must not become strings.

import warp as wp

from depth_perception.datasets import labels
from depth_perception.world.render.kernel_surfaces import Hit, TriangleArrays, surface_point
from depth_perception.world.render.kernel_texture_maps import Light, TextureMaps, hash_unit, sky
from depth_perception.world.render.kernel_tracing import FAR

NEAR = wp.constant(1.0e-3)
SKY = wp.constant(labels.SKY)
NO_RAY = wp.constant(labels.OWN_BODY)


@wp.struct
class Air:
    """Light without a direction, and what fog does to light on its way."""

    above: wp.vec3
    bounce: wp.vec3
    fog: wp.float32
    colour: wp.vec3
    thickness: wp.float32


@wp.func
def hit_of(
    distance: wp.array(dtype=wp.float32),
    face: wp.array(dtype=wp.int32),
    weights: wp.array(dtype=wp.vec2),
    i: wp.int32,
) -> Hit:
    """What a back end of `tracing` wrote about ray i."""
    hit = Hit()
    hit.t = distance[i]
    hit.face = face[i]
    hit.a = weights[i][0]
    hit.b = weights[i][1]
    return hit


@wp.func
def tangent(n: wp.vec3) -> wp.vec3:
    """Any unit vector across n."""
    helper = wp.vec3(0.0, 0.0, 1.0)
    if wp.abs(n[2]) > 0.9:
        helper = wp.vec3(1.0, 0.0, 0.0)
    return wp.normalize(wp.cross(helper, n))


@wp.kernel(enable_backward=False)
def generate_rays(rays: wp.array(dtype=wp.vec3), T: wp.mat44, directions: wp.array(dtype=wp.vec3)):
    """Turn unit rays of the camera frame, NaN for none, into the world."""
    i = wp.tid()
    directions[i] = wp.transform_vector(T, rays[i])


@wp.kernel(enable_backward=False)
def shade_hits(
    arrays: TriangleArrays,
    maps: TextureMaps,
    light: Light,
    origin: wp.vec3,
    directions: wp.array(dtype=wp.vec3),
    distance: wp.array(dtype=wp.float32),
    face: wp.array(dtype=wp.int32),
    weights: wp.array(dtype=wp.vec2),
    pixel: wp.float32,
    width: wp.int32,
    seed: wp.uint32,
    label: wp.array(dtype=wp.uint8),
    instance: wp.array(dtype=wp.int32),
    normals: wp.array(dtype=wp.vec3),
    albedo: wp.array(dtype=wp.vec3),
    mirror: wp.array(dtype=wp.float32),
    extra_light: wp.array(dtype=wp.vec3),
    positions: wp.array(dtype=wp.vec3),
    to_sun: wp.array(dtype=wp.vec3),
    sky_positions: wp.array(dtype=wp.vec3),
    to_sky: wp.array(dtype=wp.vec3),
    to_mirror: wp.array(dtype=wp.vec3),
):
    """Read what each pixel's ray hit, and make the rays that its light asks for.

    The rays start at `positions`; those into the sky, of every second pixel of every second row,
    lie close together with positions of their own. `extra_light` is light that needs no other ray.
    """
    i = wp.tid()
    row = i // width
    column = i - row * width
    quarter = wp.int32(-1)
    if (column & 1) == 0 and (row & 1) == 0:
        quarter = (row >> 1) * ((width + 1) >> 1) + (column >> 1)
    d = directions[i]
    none = wp.vec3(wp.NAN, wp.NAN, wp.NAN)
    to_sun[i] = none
    to_mirror[i] = none
    if quarter >= 0:
        to_sky[quarter] = none
    if face[i] < 0:
        instance[i] = 0
        normals[i] = wp.vec3()
        albedo[i] = wp.vec3()
        mirror[i] = 0.0
        if d[0] != d[0]:
            label[i] = wp.uint8(NO_RAY)
            extra_light[i] = wp.vec3()
        else:
            label[i] = wp.uint8(SKY)
            extra_light[i] = sky(maps, light, d)
        return
    hit = hit_of(distance, face, weights, i)
    found = surface_point(arrays, maps, hit, origin, d, pixel)
    label[i] = wp.uint8(found.label)
    instance[i] = found.instance
    normals[i] = found.normal
    albedo[i] = found.albedo
    key = wp.uint32(i) * wp.uint32(9781) + seed
    p = found.position + found.face_normal * (NEAR + 2.0e-5 * hit.t)
    positions[i] = p
    facing = wp.dot(found.normal, light.sun)
    if facing > 0.0 and light.sun_colour[1] > 0.02:
        # Within the sun's disc at random: shadows grow softer with distance.
        a = tangent(light.sun)
        b = wp.cross(light.sun, a)
        r = light.softness * wp.sqrt(hash_unit(key))
        angle = 6.2831853 * hash_unit(key + wp.uint32(77))
        to_sun[i] = wp.normalize(light.sun + a * (r * wp.cos(angle)) + b * (r * wp.sin(angle)))
    if quarter >= 0:
        # One ray into the hemisphere, drawn by the cosine: how much sky nearby things hide.
        a = tangent(found.face_normal)
        b = wp.cross(found.face_normal, a)
        x = hash_unit(key + wp.uint32(331))
        angle = 6.2831853 * hash_unit(key + wp.uint32(555))
        r = wp.sqrt(x)
        to_sky[quarter] = (
            found.face_normal * wp.sqrt(1.0 - x) + a * (r * wp.cos(angle)) + b * (r * wp.sin(angle))
        )
        sky_positions[quarter] = p
    cosine = wp.clamp(-wp.dot(found.normal, d), 0.0, 1.0)
    share = wp.float32(0.0)
    if found.mirror > 0.004:
        # What is merely damp is rough: it does not turn into a mirror at grazing angles.
        smooth = wp.clamp(found.mirror * 14.0, 0.0, 1.0)
        grazing = (1.0 - cosine) * (1.0 - cosine)
        grazing = grazing * grazing * (1.0 - cosine)
        share = found.mirror + (1.0 - found.mirror) * smooth * grazing
        share = wp.min(share, 0.95)
        back = wp.normalize(d + found.normal * (2.0 * cosine))
        if wp.dot(back, found.face_normal) < 0.02:
            back = wp.normalize(back + found.face_normal * 0.05)
        to_mirror[i] = back
    extra_light[i] = found.albedo * found.emission
    mirror[i] = share


@wp.kernel(enable_backward=False)
def shade_reflections(
    arrays: TriangleArrays,
    maps: TextureMaps,
    light: Light,
    positions: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    distance: wp.array(dtype=wp.float32),
    face: wp.array(dtype=wp.int32),
    weights: wp.array(dtype=wp.vec2),
    pixel: wp.float32,
    mirror: wp.array(dtype=wp.float32),
    extra_light: wp.array(dtype=wp.vec3),
):
    """Add to `extra_light` what mirror rays see, without shadows or mirrors of its own."""
    i = wp.tid()
    d = directions[i]
    if d[0] != d[0]:
        return
    seen = wp.vec3()
    if face[i] < 0:
        seen = sky(maps, light, d)
    else:
        hit = hit_of(distance, face, weights, i)
        other = surface_point(arrays, maps, hit, positions[i], d, pixel * 4.0)
        sun = wp.max(wp.dot(other.normal, light.sun), 0.0) * 0.7
        amount = light.sun_colour * sun + light.zenith * 0.6 + light.horizon * 0.25
        seen = wp.cw_mul(other.albedo, amount)
    extra_light[i] = extra_light[i] + seen * mirror[i]


@wp.func
def mirrored_index(k: wp.int32, n: wp.int32) -> wp.int32:
    """An index that is out of range by a few, mirrored at the first or last pixel."""
    if k < 0:
        k = -k
    if k >= n:
        k = 2 * n - 2 - k
    return wp.clamp(k, 0, n - 1)


@wp.kernel(enable_backward=False)
def direct_sunlight(
    light: Light,
    to_sun: wp.array(dtype=wp.vec3),
    hidden: wp.array(dtype=wp.uint8),
    normals: wp.array(dtype=wp.vec3),
    direct: wp.array(dtype=wp.float32),
):
    """Cosine under which the sun shines onto each pixel's surface; 0 in the shade."""
    i = wp.tid()
    lit = wp.float32(0.0)
    d = to_sun[i]
    if d[0] == d[0] and hidden[i] == wp.uint8(0):
        lit = wp.dot(normals[i], light.sun)
    direct[i] = lit


@wp.kernel(enable_backward=False)
def gather_sky_light(
    to_sky: wp.array(dtype=wp.vec3),
    hidden: wp.array(dtype=wp.uint8),
    width: wp.int32,
    sums: wp.array(dtype=wp.vec2),
):
    """Along each second row: sum of sky light, and number of its rays, within four pixels."""
    i = wp.tid()
    row = i // width
    column = i - row * width
    total = wp.vec2()
    first = column - 4 + (column & 1)
    for k in range(first, column + 5, 2):
        j = row * ((width + 1) >> 1) + (mirrored_index(k, width) >> 1)
        d = to_sky[j]
        if d[0] == d[0]:
            seen = wp.float32(1.0)
            if hidden[j] != wp.uint8(0):
                seen = 0.1
            total += wp.vec2(seen, 1.0)
    sums[i] = total


@wp.kernel(enable_backward=False)
def composite(
    light: Light,
    air: Air,
    T: wp.mat44,
    width: wp.int32,
    height: wp.int32,
    axis: wp.array(dtype=wp.float32),
    distance: wp.array(dtype=wp.float32),
    direct: wp.array(dtype=wp.float32),
    sums: wp.array(dtype=wp.vec2),
    world_normals: wp.array(dtype=wp.vec3),
    albedo: wp.array(dtype=wp.vec3),
    mirror: wp.array(dtype=wp.float32),
    extra_light: wp.array(dtype=wp.vec3),
    share: wp.float32,
    depth: wp.array(dtype=wp.float32),
    normals: wp.array(dtype=wp.vec3),
    shading: wp.array(dtype=wp.vec3),
    radiance: wp.array(dtype=wp.vec3),
):
    """Put the parts of a view together, see `renderer.View`; `share` of it adds to the radiance."""
    i = wp.tid()
    row = i // width
    column = i - row * width
    # Of the sun's light, half is the pixel's own and half the mean of its neighbourhood.
    left = mirrored_index(column - 1, width)
    right = mirrored_index(column + 1, width)
    above = mirrored_index(row - 1, height) * width
    below = mirrored_index(row + 1, height) * width
    here = row * width
    sun = direct[above + left] + direct[above + column] + direct[above + right]
    sun += direct[here + left] + direct[i] + direct[here + right]
    sun += direct[below + left] + direct[below + column] + direct[below + right]
    sun = 0.5 * direct[i] + sun * (0.5 / 9.0)
    sky_light = wp.vec2()
    first = row - 4 + (row & 1)
    for k in range(first, row + 5, 2):
        sky_light += sums[(mirrored_index(k, height) >> 1) * width + column]
    open_sky = wp.float32(0.0)
    if sky_light[1] > 0.0:
        open_sky = sky_light[0] / sky_light[1]
    n = world_normals[i]
    up = 0.5 + 0.5 * n[2]
    lit = air.above * (open_sky * up) + air.bounce * (1.0 - up) + light.sun_colour * sun
    t = distance[i]
    total = wp.cw_mul(albedo[i], lit) * (1.0 - mirror[i]) + extra_light[i]
    metres = t * axis[i]
    if t >= FAR:
        metres = wp.INF
        # Fog hides the sky too, most at the horizon.
        total = total + (air.colour - total) * air.thickness
    else:
        total = air.colour + (total - air.colour) * wp.exp(-air.fog * t)
    if axis[i] != axis[i]:
        metres = wp.NAN
        total = wp.vec3()
    depth[i] = metres
    normals[i] = wp.vec3(
        T[0, 0] * n[0] + T[1, 0] * n[1] + T[2, 0] * n[2],
        T[0, 1] * n[0] + T[1, 1] * n[1] + T[2, 1] * n[2],
        T[0, 2] * n[0] + T[1, 2] * n[1] + T[2, 2] * n[2],
    )
    shading[i] = lit
    radiance[i] = radiance[i] + total * share


@wp.kernel(enable_backward=False)
def laser_echo(
    arrays: TriangleArrays,
    maps: TextureMaps,
    origin: wp.vec3,
    directions: wp.array(dtype=wp.vec3),
    distance: wp.array(dtype=wp.float32),
    face: wp.array(dtype=wp.int32),
    weights: wp.array(dtype=wp.vec2),
    label: wp.array(dtype=wp.uint8),
    strength: wp.array(dtype=wp.float32),
):
    """Class of what each ray hit, and the strength of a laser's echo from it."""
    i = wp.tid()
    label[i] = wp.uint8(SKY)
    strength[i] = 0.0
    if face[i] < 0:
        return
    hit = hit_of(distance, face, weights, i)
    d = directions[i]
    found = surface_point(arrays, maps, hit, origin, d, 0.002)
    label[i] = wp.uint8(found.label)
    strength[i] = -wp.dot(found.normal, d) * found.albedo[1] * (1.0 - found.mirror)
