"""The vehicle that benchmarks give images of: six cameras all around."""

from __future__ import annotations

import numpy as np

from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.rig import Rig, RigCamera
from depth_perception.geometry.transforms import OPTICAL_AXES

CAMERAS = 6


def surround_rig(width: int, height: int) -> Rig:
    """Make six level cameras, 60 degrees apart and 1.5 m high, 65 degrees wide at 1600 px."""
    K = np.array([[1256, 0, (width - 1) / 2], [0, 1256, (height - 1) / 2], [0, 0, 1]])
    model = CameraModel(width, height, K)
    cameras = {}
    for index in range(CAMERAS):
        c, s = np.cos(index * np.pi / 3), np.sin(index * np.pi / 3)
        T = np.eye(4)
        T[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ OPTICAL_AXES
        T[:3, 3] = [0.8 + 0.7 * c, 0.5 * s, 1.5]
        name = f"camera_{index}"
        cameras[name] = RigCamera(name, model, T, name, model)
    return Rig(cameras)
