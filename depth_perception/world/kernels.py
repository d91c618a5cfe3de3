# mypy: ignore-errors
# Warp compiles these functions from their source: they are its own language, not typed Python.
"""Ray tracing and shading of one view, in NVIDIA Warp: the same code for CPU and GPU.

One thread follows one camera ray: nearest hit, surface, shadow ray to the sun, one short ray for
the sky that nearby things hide, and one mirror ray where the surface shines. What comes out is not
a finished picture but its parts, all linear light, so that labels and shading stay exact.
"""
# Warp reads the annotations when it compiles the code: they must not become strings.

import warp as wp

from depth_perception.world import labels
from depth_perception.world.kernel_looks import (
    Light,
    Looks,
    ground_colour,
    hash_unit,
    sky,
    texture,
    texture_level,
)

FAR = wp.constant(1.0e6)
NEAR = wp.constant(1.0e-3)
ROAD = wp.constant(labels.ROAD)
SIDEWALK = wp.constant(labels.SIDEWALK)
SKY = wp.constant(labels.SKY)
NO_RAY = wp.constant(labels.OWN_BODY)


@wp.struct
class Body:
    """A triangle mesh on the device, with what its triangles look like."""

    mesh: wp.uint64
    indices: wp.array(dtype=wp.int32)
    normals: wp.array(dtype=wp.vec3)
    uv: wp.array(dtype=wp.vec2)
    material: wp.array(dtype=wp.uint8)
    tint: wp.array(dtype=wp.vec3)
    label: wp.array(dtype=wp.uint8)
    instance: wp.array(dtype=wp.int32)


@wp.struct
class Hit:
    """What a ray meets first."""

    t: wp.float32
    face: wp.int32
    a: wp.float32
    b: wp.float32


@wp.func
def nearest(body: Body, o: wp.vec3, d: wp.vec3) -> Hit:
    """First hit of the ray; its face is -1 where there is none."""
    hit = Hit()
    hit.t = FAR
    hit.face = -1
    found = wp.mesh_query_ray(body.mesh, o, d, FAR)
    if found.result:
        hit.t = found.t
        hit.face = found.face
        hit.a = found.u
        hit.b = found.v
    return hit


@wp.struct
class Surface:
    """A surface where a ray meets it."""

    position: wp.vec3
    normal: wp.vec3
    face_normal: wp.vec3
    albedo: wp.vec3
    mirror: wp.float32
    glow: wp.float32
    lumpy: wp.float32
    label: wp.int32
    instance: wp.int32


@wp.func
def surface_of(
    body: Body, looks: Looks, hit: Hit, o: wp.vec3, d: wp.vec3, pixel: wp.float32
) -> Surface:
    """Look up what a hit shows. `pixel` is the angle between neighbouring rays."""
    out = Surface()
    i0 = body.indices[3 * hit.face]
    i1 = body.indices[3 * hit.face + 1]
    i2 = body.indices[3 * hit.face + 2]
    c = 1.0 - hit.a - hit.b
    uv = body.uv[i0] * hit.a + body.uv[i1] * hit.b + body.uv[i2] * c
    normal = wp.normalize(
        body.normals[i0] * hit.a + body.normals[i1] * hit.b + body.normals[i2] * c
    )
    face = wp.mesh_eval_face_normal(body.mesh, hit.face)
    # Leaves and thin sheets are seen from both sides.
    if wp.dot(face, d) > 0.0:
        face = -face
    if wp.dot(normal, face) < 0.0:
        normal = -normal
    m = wp.int32(body.material[hit.face])
    cosine = wp.max(-wp.dot(face, d), 0.02)
    footprint = pixel * hit.t / wp.sqrt(cosine)
    out.position = o + d * hit.t
    out.label = wp.int32(body.label[hit.face])
    out.instance = body.instance[hit.face]
    tint = body.tint[hit.face]
    extra = wp.float32(0.0)
    if m == looks.ground_index:
        short = pixel * hit.t
        p0 = wp.mesh_get_point(body.mesh, 3 * hit.face)
        p1 = wp.mesh_get_point(body.mesh, 3 * hit.face + 1)
        p2 = wp.mesh_get_point(body.mesh, 3 * hit.face + 2)
        # The direction of view in (s, t), from the triangle's edges.
        flat = wp.normalize(d - face * wp.dot(d, face))
        e1 = p1 - p0
        e2 = p2 - p0
        d11 = wp.dot(e1, e1)
        d12 = wp.dot(e1, e2)
        d22 = wp.dot(e2, e2)
        f1 = wp.dot(flat, e1)
        f2 = wp.dot(flat, e2)
        det = wp.max(d11 * d22 - d12 * d12, 1.0e-12)
        w1 = (d22 * f1 - d12 * f2) / det
        w2 = (d11 * f2 - d12 * f1) / det
        axis = (body.uv[i1] - body.uv[i0]) * w1 + (body.uv[i2] - body.uv[i0]) * w2
        axis = axis / wp.max(wp.length(axis), 1.0e-6)
        colour = ground_colour(looks, uv, axis, short / cosine, short)
        u = wp.int32(
            wp.clamp(
                wp.round((uv[0] - looks.ground_start) / looks.ground_resolution),
                0.0, wp.float32(looks.ground_label.shape[1] - 1),
            )
        )  # fmt: skip
        v = wp.int32(
            wp.clamp(
                wp.round((looks.ground_reach - uv[1]) / looks.ground_resolution),
                0.0, wp.float32(looks.ground_label.shape[0] - 1),
            )
        )  # fmt: skip
        out.label = wp.int32(looks.ground_label[v, u])
        # The picture's pixels are wider than a kerb's face, which is no road.
        if out.label == ROAD and face[2] < 0.8:
            out.label = SIDEWALK
        m = wp.int32(looks.ground_material[v, u])
        # The material's own texture adds grain around 1 to the colour that is painted.
        grain = texture(looks, m, uv, footprint)
        mean = texture_level(looks, m, 0.5, 0.5, looks.levels - 1)
        tint = wp.vec3(
            colour[0] * grain[0] / wp.max(mean[0], 0.02),
            colour[1] * grain[1] / wp.max(mean[1], 0.02),
            colour[2] * grain[2] / wp.max(mean[2], 0.02),
        )
        extra = colour[3]
        out.albedo = tint
    else:
        value = texture(looks, m, uv, footprint)
        out.albedo = wp.vec3(value[0] * tint[0], value[1] * tint[1], value[2] * tint[2])
        extra = value[3]
    out.lumpy = looks.lumpy[m]
    if out.lumpy > 0.0:
        key = wp.uint32(hit.face * 7919)
        if out.lumpy < 0.5:
            q = out.position * 12.0
            key = wp.uint32(
                wp.int32(wp.floor(q[0])) * 73856093
                ^ wp.int32(wp.floor(q[1])) * 19349663
                ^ wp.int32(wp.floor(q[2])) * 83492791
            )
        bump = wp.vec3(
            hash_unit(key) - 0.5, hash_unit(key + wp.uint32(1)) - 0.5,
            hash_unit(key + wp.uint32(2)) - 0.5,
        )  # fmt: skip
        normal = wp.normalize(normal + bump * out.lumpy)
        # Leaves, blades and stones differ in brightness too; what is too small to see averages.
        spread = 1.2 * out.lumpy
        if out.lumpy < 0.5:
            spread = spread * wp.clamp(1.5 - 8.0 * footprint, 0.0, 1.0)
        shade = 1.0 + spread * (hash_unit(key + wp.uint32(3)) - 0.5)
        out.albedo = out.albedo * shade
    out.normal = normal
    out.face_normal = face
    out.mirror = wp.min(looks.mirror[m] + extra, 0.9)
    out.glow = looks.glow[m]
    return out


@wp.func
def tangent(n: wp.vec3) -> wp.vec3:
    """Any unit vector across n."""
    helper = wp.vec3(0.0, 0.0, 1.0)
    if wp.abs(n[2]) > 0.9:
        helper = wp.vec3(1.0, 0.0, 0.0)
    return wp.normalize(wp.cross(helper, n))


@wp.kernel(enable_backward=False)
def trace(
    body: Body,
    looks: Looks,
    light: Light,
    rays: wp.array(dtype=wp.vec3),
    T: wp.mat44,
    pixel: wp.float32,
    width: wp.int32,
    seed: wp.uint32,
    hidden_reach: wp.float32,
    distance: wp.array(dtype=wp.float32),
    label: wp.array(dtype=wp.uint8),
    instance: wp.array(dtype=wp.int32),
    normals: wp.array(dtype=wp.vec3),
    albedo: wp.array(dtype=wp.vec3),
    direct: wp.array(dtype=wp.float32),
    open_sky: wp.array(dtype=wp.float32),
    shine: wp.array(dtype=wp.vec3),
    mirror: wp.array(dtype=wp.float32),
):
    """Follow one ray a thread. `rays` are unit vectors in the camera frame, NaN for none."""
    i = wp.tid()
    ray = rays[i]
    if ray[0] != ray[0]:
        distance[i] = FAR
        label[i] = wp.uint8(NO_RAY)
        return
    o = wp.vec3(T[0, 3], T[1, 3], T[2, 3])
    d = wp.transform_vector(T, ray)
    hit = nearest(body, o, d)
    distance[i] = hit.t
    if hit.face < 0:
        label[i] = wp.uint8(SKY)
        shine[i] = sky(looks, light, d)
        return
    found = surface_of(body, looks, hit, o, d, pixel)
    label[i] = wp.uint8(found.label)
    instance[i] = found.instance
    normals[i] = found.normal
    key = wp.uint32(i) * wp.uint32(9781) + seed
    p = found.position + found.face_normal * (NEAR + 2.0e-5 * hit.t)
    facing = wp.dot(found.normal, light.sun)
    lit = wp.float32(0.0)
    if facing > 0.0 and light.sun_colour[1] > 0.02:
        # Within the sun's disc at random: shadows grow softer with distance.
        a = tangent(light.sun)
        b = wp.cross(light.sun, a)
        r = light.softness * wp.sqrt(hash_unit(key))
        angle = 6.2831853 * hash_unit(key + wp.uint32(77))
        towards = wp.normalize(light.sun + a * (r * wp.cos(angle)) + b * (r * wp.sin(angle)))
        if not wp.mesh_query_ray_anyhit(body.mesh, p, towards, 250.0):
            lit = facing
    direct[i] = lit
    # One ray into the hemisphere, drawn by the cosine: how much sky nearby things hide. It is
    # cast for one pixel of four; the picture's maker spreads it.
    open_sky[i] = -1.0
    column = i % width
    row = i // width
    if (column & 1) == 0 and (row & 1) == 0:
        a = tangent(found.face_normal)
        b = wp.cross(found.face_normal, a)
        x = hash_unit(key + wp.uint32(331))
        angle = 6.2831853 * hash_unit(key + wp.uint32(555))
        r = wp.sqrt(x)
        up = (
            found.face_normal * wp.sqrt(1.0 - x) + a * (r * wp.cos(angle)) + b * (r * wp.sin(angle))
        )
        open_sky[i] = 1.0
        if wp.mesh_query_ray_anyhit(body.mesh, p, up, hidden_reach):
            open_sky[i] = 0.1
    cosine = wp.clamp(-wp.dot(found.normal, d), 0.0, 1.0)
    share = wp.float32(0.0)
    light_out = found.albedo * found.glow
    if found.mirror > 0.004:
        # What is merely damp is rough: it does not turn into a mirror at grazing angles.
        smooth = wp.clamp(found.mirror * 14.0, 0.0, 1.0)
        share = found.mirror + (1.0 - found.mirror) * smooth * wp.pow(1.0 - cosine, 5.0)
        share = wp.min(share, 0.95)
        back = wp.normalize(d + found.normal * (2.0 * cosine))
        if wp.dot(back, found.face_normal) < 0.02:
            back = wp.normalize(back + found.face_normal * 0.05)
        second = nearest(body, p, back)
        seen = sky(looks, light, back)
        if second.face >= 0:
            other = surface_of(body, looks, second, p, back, pixel * 4.0)
            sun = wp.max(wp.dot(other.normal, light.sun), 0.0) * 0.7
            amount = light.sun_colour * sun + light.zenith * 0.6 + light.horizon * 0.25
            seen = wp.cw_mul(other.albedo, amount)
        light_out = light_out + seen * share
    shine[i] = light_out
    mirror[i] = share
    albedo[i] = found.albedo


@wp.kernel(enable_backward=False)
def measure(
    body: Body,
    rays: wp.array(dtype=wp.vec3),
    origins: wp.array(dtype=wp.vec3),
    distance: wp.array(dtype=wp.float32),
    label: wp.array(dtype=wp.uint8),
    cosine: wp.array(dtype=wp.float32),
    mirror: wp.array(dtype=wp.float32),
    looks: Looks,
):
    """Nearest distance along each ray (world frame, unit length): a laser's view."""
    i = wp.tid()
    hit = nearest(body, origins[i], rays[i])
    distance[i] = hit.t
    label[i] = wp.uint8(SKY)
    if hit.face < 0:
        return
    found = surface_of(body, looks, hit, origins[i], rays[i], 0.002)
    label[i] = wp.uint8(found.label)
    cosine[i] = -wp.dot(found.normal, rays[i]) * found.albedo[1]
    mirror[i] = found.mirror
