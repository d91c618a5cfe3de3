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
"""Follow rays through Warp's own tree of triangles, one thread a ray: for CPU and GPU.

Origins are one for all rays or one for each; a direction that is NaN stands for no ray.
"""
# Warp reads the annotations when it compiles the code: they must not become strings.

import warp as wp

FAR = wp.constant(1.0e6)


@wp.kernel(enable_backward=False)
def nearest_hits(
    mesh: wp.uint64,
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    distance: wp.array(dtype=wp.float32),
    face: wp.array(dtype=wp.int32),
    weights: wp.array(dtype=wp.vec2),
):
    """First hit of each ray: distance `FAR` and face -1 where there is none."""
    i = wp.tid()
    distance[i] = FAR
    face[i] = -1
    d = directions[i]
    if d[0] != d[0]:
        return
    found = wp.mesh_query_ray(mesh, origins[wp.min(i, origins.shape[0] - 1)], d, FAR)
    if found.result:
        distance[i] = found.t
        face[i] = found.face
        weights[i] = wp.vec2(found.u, found.v)


@wp.kernel(enable_backward=False)
def occluded(
    mesh: wp.uint64,
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    reach: wp.float32,
    hidden: wp.array(dtype=wp.uint8),
):
    """Tell for each ray whether it hits anything within `reach`: 1 or 0."""
    i = wp.tid()
    hidden[i] = wp.uint8(0)
    d = directions[i]
    if d[0] != d[0]:
        return
    if wp.mesh_query_ray_anyhit(mesh, origins[wp.min(i, origins.shape[0] - 1)], d, reach):
        hidden[i] = wp.uint8(1)
