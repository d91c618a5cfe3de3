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
"""What a ray sees, in NVIDIA Warp: the triangle's surface, texture and label. For `kernels`."""
# Warp reads the annotations when it compiles the code: they must not become strings.

import warp as wp

from depth_perception.datasets import labels
from depth_perception.world.render.kernel_texture_maps import (
    TextureMaps,
    ground_colour,
    hash_unit,
    texture,
)

ROAD = wp.constant(labels.ROAD)
SIDEWALK = wp.constant(labels.SIDEWALK)


@wp.struct
class TriangleArrays:
    """Triangles on the device: what stands, then what moves, and how they look."""

    points: wp.array(dtype=wp.vec3)
    indices: wp.array(dtype=wp.int32)
    normals: wp.array(dtype=wp.vec3)
    uv: wp.array(dtype=wp.vec2)
    material: wp.array(dtype=wp.uint8)
    tint: wp.array(dtype=wp.vec3)
    label: wp.array(dtype=wp.uint8)
    instance: wp.array(dtype=wp.int32)


@wp.struct
class Hit:
    """What a ray meets first: its length, the triangle, weights of its first two corners."""

    t: wp.float32
    face: wp.int32
    a: wp.float32
    b: wp.float32


@wp.struct
class SurfacePoint:
    """A surface where a ray meets it."""

    position: wp.vec3
    normal: wp.vec3
    face_normal: wp.vec3
    albedo: wp.vec3
    mirror: wp.float32
    emission: wp.float32
    bumpiness: wp.float32
    label: wp.int32
    instance: wp.int32


@wp.func
def surface_point(
    arrays: TriangleArrays, maps: TextureMaps, hit: Hit, o: wp.vec3, d: wp.vec3, pixel: wp.float32
) -> SurfacePoint:
    """Look up what a hit shows. `pixel` is the angle between neighbouring rays."""
    out = SurfacePoint()
    i0 = arrays.indices[3 * hit.face]
    i1 = arrays.indices[3 * hit.face + 1]
    i2 = arrays.indices[3 * hit.face + 2]
    c = 1.0 - hit.a - hit.b
    uv = arrays.uv[i0] * hit.a + arrays.uv[i1] * hit.b + arrays.uv[i2] * c
    normal = wp.normalize(
        arrays.normals[i0] * hit.a + arrays.normals[i1] * hit.b + arrays.normals[i2] * c
    )
    p0 = arrays.points[i0]
    e1 = arrays.points[i1] - p0
    e2 = arrays.points[i2] - p0
    face = wp.normalize(wp.cross(e1, e2))
    # Leaves and thin sheets are seen from both sides.
    if wp.dot(face, d) > 0.0:
        face = -face
    if wp.dot(normal, face) < 0.0:
        normal = -normal
    m = wp.int32(arrays.material[hit.face])
    cosine = wp.max(-wp.dot(face, d), 0.02)
    footprint = pixel * hit.t / wp.sqrt(cosine)
    out.position = o + d * hit.t
    out.label = wp.int32(arrays.label[hit.face])
    out.instance = arrays.instance[hit.face]
    tint = arrays.tint[hit.face]
    extra = wp.float32(0.0)
    if m == maps.ground_index:
        short = pixel * hit.t
        # The direction of view in (s, t), from the triangle's edges.
        flat = wp.normalize(d - face * wp.dot(d, face))
        d11 = wp.dot(e1, e1)
        d12 = wp.dot(e1, e2)
        d22 = wp.dot(e2, e2)
        f1 = wp.dot(flat, e1)
        f2 = wp.dot(flat, e2)
        det = wp.max(d11 * d22 - d12 * d12, 1.0e-12)
        w1 = (d22 * f1 - d12 * f2) / det
        w2 = (d11 * f2 - d12 * f1) / det
        axis = (arrays.uv[i1] - arrays.uv[i0]) * w1 + (arrays.uv[i2] - arrays.uv[i0]) * w2
        axis = axis / wp.max(wp.length(axis), 1.0e-6)
        colour = ground_colour(maps, uv, axis, short / cosine, short)
        u = wp.int32(
            wp.clamp(
                wp.round((uv[0] - maps.ground_start) / maps.ground_resolution),
                0.0,
                wp.float32(maps.ground_label.shape[1] - 1),
            )
        )
        v = wp.int32(
            wp.clamp(
                wp.round((maps.ground_reach - uv[1]) / maps.ground_resolution),
                0.0,
                wp.float32(maps.ground_label.shape[0] - 1),
            )
        )
        out.label = wp.int32(maps.ground_label[v, u])
        # The picture's pixels are wider than a kerb's face, which is no road.
        if out.label == ROAD and face[2] < 0.8:
            out.label = SIDEWALK
        m = wp.int32(maps.ground_material[v, u])
        # The material's own texture adds grain around 1 to the colour that is painted.
        grain = texture(maps, m, uv, footprint)
        mean = maps.mean[m]
        tint = wp.vec3(
            colour[0] * grain[0] / mean[0],
            colour[1] * grain[1] / mean[1],
            colour[2] * grain[2] / mean[2],
        )
        extra = colour[3]
        out.albedo = tint
    else:
        value = texture(maps, m, uv, footprint)
        out.albedo = wp.vec3(value[0] * tint[0], value[1] * tint[1], value[2] * tint[2])
        extra = value[3]
    out.bumpiness = maps.bumpiness[m]
    if out.bumpiness > 0.0:
        key = wp.uint32(hit.face * 7919)
        if out.bumpiness < 0.5:
            q = out.position * 12.0
            key = wp.uint32(
                wp.int32(wp.floor(q[0])) * 73856093
                ^ wp.int32(wp.floor(q[1])) * 19349663
                ^ wp.int32(wp.floor(q[2])) * 83492791
            )
        bump = wp.vec3(
            hash_unit(key) - 0.5,
            hash_unit(key + wp.uint32(1)) - 0.5,
            hash_unit(key + wp.uint32(2)) - 0.5,
        )
        normal = wp.normalize(normal + bump * out.bumpiness)
        # Leaves, blades and stones differ in brightness too; what is too small to see averages.
        spread = 1.2 * out.bumpiness
        if out.bumpiness < 0.5:
            spread = spread * wp.clamp(1.5 - 8.0 * footprint, 0.0, 1.0)
        shade = 1.0 + spread * (hash_unit(key + wp.uint32(3)) - 0.5)
        out.albedo = out.albedo * shade
    out.normal = normal
    out.face_normal = face
    out.mirror = wp.min(maps.mirror[m] + extra, 0.9)
    out.emission = maps.emission[m]
    return out
