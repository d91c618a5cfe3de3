"""What the fused network is told of a camera, and the size of the images that it looks at.

NumPy alone: a robot has no PyTorch. The meaning of the numbers is that of `network.prior`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.camera_view import CameraView

MULTIPLE, STRIDE = 32, 4
"""As in `network.fused`: of the sizes of the network's images, and of its maps, px."""
_LEAST_HEIGHT = 0.05
"""A camera is at least this high over the road for the network, m."""


def network_size(grid: tuple[int, int], width: int) -> tuple[int, int]:
    """(width, height) of the network's images for a working grid of (width, height).

    Multiples of 32 about as wide as wished, but not wider than the grid; the height is the one
    whose aspect is nearest to the grid's.
    """
    wished = min(width, grid[0])
    columns = max(1, round(wished / MULTIPLE))
    exact = columns * grid[1] / grid[0]
    below = max(1, math.floor(exact))
    rows = min((below, below + 1), key=lambda n: abs(math.log(n / exact)))
    return columns * MULTIPLE, rows * MULTIPLE


def network_rays(model: CameraModel, size: tuple[int, int]) -> NDArray[np.float32]:
    """Rays (3, h, w) at stride 4 of the network's images of ``size`` (width, height), px.

    Third component 1; all 0 where the lens has none.
    """
    rays = model.resized(size[0] // STRIDE, size[1] // STRIDE).rays()
    rays[~np.isfinite(rays).all(axis=-1)] = 0
    return np.ascontiguousarray(rays.transpose(2, 0, 1), dtype=np.float32)


def network_camera(view: CameraView, size: tuple[int, int]) -> NDArray[np.float32]:
    """The numbers (5,) of a camera: normal of the ground, height over it, focal length.

    All but the focal length 0 would stand for no calibration; a view always has one.
    """
    K = view.camera.resized(*size).K
    focal = math.sqrt(abs(K[0, 0] * K[1, 1]))
    return np.array([*view.normal, max(view.height, _LEAST_HEIGHT), focal], np.float32)
