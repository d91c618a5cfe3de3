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
"""Follow rays through Embree's trees, eight at a time, one thread each eight: for CPUs.

The snippets are C++ that Warp compiles. They call functions of Embree 4's C interface by address;
the structs in them are its RTCRay8, RTCHit8 and RTCIntersectArguments. Two scenes are asked one
after the other, the second only for what is nearer: what stands, and what moves (its triangles
count on from `first`; its geometry has number 1). A module of its own, as no GPU can compile it.
"""
# Warp reads the annotations when it compiles the code: they must not become strings.

import warp as wp

WIDTH = 8
"""Rays of a packet."""

_PACKET = """
    struct alignas(32) Ray8 {
        float ox[8], oy[8], oz[8], near_[8], dx[8], dy[8], dz[8], time[8], far_[8];
        unsigned mask[8], id[8], flags[8];
        float nx[8], ny[8], nz[8], u[8], v[8];
        unsigned triangle[8], geometry[8], instance[16];
    } r;
    struct {
        int flags;
        unsigned features;
        void* rest[10];
    } how = {coherent ? 1 << 16 : 0, ~0u, {}};
    alignas(32) int valid[8];
    const int start = packet * 8, left = (int)directions.shape[0] - start;
    const int count = left < 8 ? left : 8;
    const int step = origins.shape[0] > 1 ? 1 : 0;
    int any = 0;
    for (int k = 0; k < 8; ++k) {
        const int i = start + (k < count ? k : count - 1);
        const wp::vec3& o = origins.data[i * step];
        const wp::vec3& d = directions.data[i];
        const bool asked = k < count && d[0] == d[0];
        valid[k] = asked ? -1 : 0;
        any |= valid[k];
        r.ox[k] = o[0]; r.oy[k] = o[1]; r.oz[k] = o[2];
        r.dx[k] = asked ? d[0] : 0.0f; r.dy[k] = asked ? d[1] : 0.0f; r.dz[k] = asked ? d[2] : 1.0f;
        r.near_[k] = 0.0f; r.time[k] = 0.0f; r.far_[k] = reach;
        r.mask[k] = ~0u; r.id[k] = 0; r.flags[k] = 0;
        r.triangle[k] = r.geometry[k] = r.instance[k] = r.instance[k + 8] = ~0u;
    }
    typedef void (*Follow)(const int*, void*, void*, void*);
    if (any && still) ((Follow)follow)(valid, (void*)still, &r, &how);
"""

_NEAREST = (
    _PACKET
    + """
    if (any && moving) ((Follow)follow)(valid, (void*)moving, &r, &how);
    for (int k = 0; k < count; ++k) {
        const int i = start + k;
        const bool hit = valid[k] && r.geometry[k] != ~0u;
        distance.data[i] = hit ? r.far_[k] : reach;
        face.data[i] = hit ? (int)r.triangle[k] + (r.geometry[k] == 1 ? first : 0) : -1;
        weights.data[i] = wp::vec2(1.0f - r.u[k] - r.v[k], r.u[k]);
    }
"""
)

_OCCLUDED = (
    _PACKET
    + """
    bool hidden_[8];
    any = 0;
    for (int k = 0; k < 8; ++k) {
        hidden_[k] = valid[k] && r.far_[k] < 0.0f;
        valid[k] = valid[k] && !hidden_[k] ? -1 : 0;
        any |= valid[k];
    }
    if (any && moving) ((Follow)follow)(valid, (void*)moving, &r, &how);
    for (int k = 0; k < count; ++k) {
        hidden.data[start + k] = hidden_[k] || (valid[k] && r.far_[k] < 0.0f);
    }
"""
)


@wp.func_native(_NEAREST)
def nearest_of(
    follow: wp.uint64,
    still: wp.uint64,
    moving: wp.uint64,
    first: wp.int32,
    coherent: wp.int32,
    reach: wp.float32,
    packet: wp.int32,
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    distance: wp.array(dtype=wp.float32),
    face: wp.array(dtype=wp.int32),
    weights: wp.array(dtype=wp.vec2),
):
    """Ask rtcIntersect8 about eight rays."""
    ...


@wp.func_native(_OCCLUDED)
def occluded_of(
    follow: wp.uint64,
    still: wp.uint64,
    moving: wp.uint64,
    coherent: wp.int32,
    reach: wp.float32,
    packet: wp.int32,
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    hidden: wp.array(dtype=wp.uint8),
):
    """Ask rtcOccluded8 about eight rays."""
    ...


@wp.kernel(enable_backward=False)
def nearest_hits(
    follow: wp.uint64,
    still: wp.uint64,
    moving: wp.uint64,
    first: wp.int32,
    coherent: wp.int32,
    reach: wp.float32,
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    distance: wp.array(dtype=wp.float32),
    face: wp.array(dtype=wp.int32),
    weights: wp.array(dtype=wp.vec2),
):
    """As `kernel_tracing.nearest_hits`, for `WIDTH` rays a thread."""
    nearest_of(
        follow,
        still,
        moving,
        first,
        coherent,
        reach,
        wp.tid(),
        origins,
        directions,
        distance,
        face,
        weights,
    )


@wp.kernel(enable_backward=False)
def occluded(
    follow: wp.uint64,
    still: wp.uint64,
    moving: wp.uint64,
    coherent: wp.int32,
    reach: wp.float32,
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    hidden: wp.array(dtype=wp.uint8),
):
    """As `kernel_tracing.occluded`, for `WIDTH` rays a thread."""
    occluded_of(follow, still, moving, coherent, reach, wp.tid(), origins, directions, hidden)
