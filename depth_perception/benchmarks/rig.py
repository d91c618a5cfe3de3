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

"""The vehicle that benchmarks give images of: cameras all around, six unless said otherwise."""

from __future__ import annotations

import numpy as np

from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.rig import Rig, RigCamera
from depth_perception.geometry.transforms import OPTICAL_AXES

CAMERAS = 6


def surround_rig(width: int, height: int, count: int = CAMERAS, focal: float = 1256.0) -> Rig:
    """Make level cameras, evenly all around and 1.5 m high.

    Args:
        width: Of their images, px.
        height: Likewise.
        count: How many.
        focal: Focal length, px: 65 degrees at 1600 px as it is.
    """
    K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    model = CameraModel(width, height, K)
    cameras = {}
    for index in range(count):
        angle = 2 * np.pi * index / count
        c, s = np.cos(angle), np.sin(angle)
        T = np.eye(4)
        T[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ OPTICAL_AXES
        T[:3, 3] = [0.8 + 0.7 * c, 0.5 * s, 1.5]
        name = f"camera_{index}"
        cameras[name] = RigCamera(name, model, T, name, model)
    return Rig(cameras)
