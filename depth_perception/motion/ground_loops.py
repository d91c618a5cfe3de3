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

"""What the road plane means for each pixel of a camera, in one pass over its rays."""

from __future__ import annotations

import numpy as np

from depth_perception.geometry.compiled import compiled, inlined


@inlined
def _turned(R, ray):  # type: ignore[no-untyped-def]
    """A camera's ray (3,) float32 in the base frame, in float64."""
    a, b, c = np.float64(ray[0]), np.float64(ray[1]), np.float64(ray[2])
    return (
        R[0, 0] * a + R[0, 1] * b + R[0, 2] * c,
        R[1, 0] * a + R[1, 1] * b + R[1, 2] * c,
        R[2, 0] * a + R[2, 1] * b + R[2, 2] * c,
    )


@compiled
def ground_of_rays(rays, R, centre, normal, height, covariance, inverse_depth, sigma, rise):  # type: ignore[no-untyped-def]
    """Compute the plane's inverse depth, its deviation, and how fast rays rise over it.

    The same as `geometry.ground_plane.plane_depth` and `plane_depth_relative_sigma`, which say
    what the formula is.

    Args:
        rays: (h, w, 3) float32, third component 1; all 0 where nothing is seen.
        R: (3, 3) from the camera's to the base frame.
        centre: (3,) optical centre in the base frame, m.
        normal: (3,) of the plane.
        height: Of the camera over it, m.
        covariance: (3, 3) of roll, pitch and height.
        inverse_depth: (h, w) float32, written: 1/m; 0 at and above the horizon.
        sigma: (h, w) float32, written: relative standard deviation; infinite there.
        rise: (h, w) float32, written: height that a ray gains for each metre of depth.
    """
    S = covariance
    for v in range(rays.shape[0]):
        for u in range(rays.shape[1]):
            dx, dy, dz = _turned(R, rays[v, u])
            up = normal[0] * dx + normal[1] * dy + normal[2] * dz
            rise[v, u] = up
            if up >= 0:
                inverse_depth[v, u] = 0
                sigma[v, u] = np.inf
                continue
            depth = -height / up
            x, y = depth * dx + centre[0], depth * dy + centre[1]
            variance = S[0, 0] * y * y + S[1, 1] * x * x + S[2, 2]
            variance += 2 * (S[0, 2] * y - S[0, 1] * x * y - S[1, 2] * x)
            inverse_depth[v, u] = 1 / depth
            sigma[v, u] = np.sqrt(max(variance, 0.0)) / height


@compiled
def path_of_rays(rays, R, centre, normal, height, curvature, half_width, near, length, out):  # type: ignore[no-untyped-def]
    """Tell which pixels would see the vehicle's path, see `road.on_path`.

    Args:
        rays: (h, w, 3) float32, third component 1.
        R: (3, 3) from the camera's to the base frame.
        centre: (3,) optical centre in the base frame, m.
        normal: (3,) of the plane.
        height: Of the camera over it, m.
        curvature: Of the path, 1/m; positive to the left.
        half_width: Of the path, m.
        near: From so far away from the camera, m.
        length: To so far, m.
        out: (h, w) bool, written.
    """
    for v in range(rays.shape[0]):
        for u in range(rays.shape[1]):
            out[v, u] = False
            dx, dy, dz = _turned(R, rays[v, u])
            down = -(normal[0] * dx + normal[1] * dy + normal[2] * dz)
            if not down > 1e-6:
                continue
            depth = height / down
            away = np.sqrt(dx * dx + dy * dy) * depth
            if away > near and away < length:
                x, y = depth * dx + centre[0], depth * dy + centre[1]
                out[v, u] = abs(y - 0.5 * curvature * x * abs(x)) < half_width
