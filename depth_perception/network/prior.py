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

"""Embodied depth as the network sees it: what calibration says of each pixel.

Over a plane, inverse depth is slope / height: the slope is how far a ray of unit depth comes down
towards the plane (methods: closed form, 1/Z = -(n.r)/h). The slope alone is independent of the
camera's height, so that what the network learns about it carries over from a robot to a truck.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from depth_perception.network.depth_coding import focal_shift

CAMERA = 5
"""Numbers of a camera: normal x, y, z of the ground in the optical frame, height over it in m,
focal length in px of the network's image. Normal and height of 0 stand for no calibration."""
CHANNELS = 5
_LEAST_SLOPE = 1e-3
_MOST_SLOPE = 2.0
_STEEPEST = 100.0
_LOG_SCALE = 4.0


@dataclass
class Prior:
    """Embodied depth of the ground plane at stride 4.

    Attributes:
        maps: (N, `CHANNELS`, h, w): what the network looks at.
        slope: (N, 1, h, w), 1/depth times camera height; negative above the horizon.
        height: (N, 1, 1, 1) camera height over the plane, m; 1 where it is not known.
        known: (N, 1, 1, 1), 1 where there is a calibration, else 0.
        focal: (N, 1, 1, 1) focal length, px of the network's image.
    """

    maps: torch.Tensor
    slope: torch.Tensor
    height: torch.Tensor
    known: torch.Tensor
    focal: torch.Tensor


def prior_of(rays: torch.Tensor, camera: torch.Tensor) -> Prior:
    """Compute the prior.

    Args:
        rays: (N, 3, h, w) rays of the pixels at stride 4 in the optical frame, third component 1;
            0 where a lens has none.
        camera: (N, `CAMERA`).
    """
    values = camera[:, :, None, None]
    normal, height, focal = values[:, :3], values[:, 3:4], values[:, 4:5]
    known = (height > 0).to(rays.dtype)
    slope = (-(rays * normal).sum(1, keepdim=True)).clamp(-_STEEPEST, _STEEPEST)
    seen = slope.clamp(-_MOST_SLOPE, _MOST_SLOPE)
    height = height + (1 - known)
    below = (slope > _LEAST_SLOPE).to(rays.dtype) * known
    log_depth = torch.log(height / slope.clamp(min=_LEAST_SLOPE)) / _LOG_SCALE
    flat = torch.ones_like(slope)
    maps = torch.cat(
        [
            seen * known * 4,
            log_depth * below,
            below,
            focal_shift(focal) * flat,
            torch.log(height) * known * flat,
        ],
        dim=1,
    )
    return Prior(maps, slope, height, known, focal)
