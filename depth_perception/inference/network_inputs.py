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

"""What the fused network is told of a camera, and the size of the images that it looks at.

NumPy alone: a robot has no PyTorch. The meaning of the numbers is that of `network.prior`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import ConfigurationError
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.camera_view import CameraView
from depth_perception.geometry.ground_plane import GroundPlane, camera_height
from depth_perception.geometry.sampling import sample_depth
from depth_perception.inference.model_file import MULTIPLE, STRIDE

LEAST_HEIGHT = 0.05
"""A camera is at least this high over the road for the network, m."""
WIDTH = 512
"""Of the network's images, px, where the parameters leave it open, see `usual_width`: at that the
shipped weights are most accurate on the whole (docs/inference.md)."""
USUAL_SIGMA = 0.15
"""Relative standard deviation of a measurement that is worth half: about the error of a guess."""
_ASPECT = 16 / 9
AXES = {
    "image": {0: "cameras", 1: "image_height", 2: "image_width"},
    "rays": {0: "cameras", 2: "rows", 3: "columns"},
    "camera": {0: "cameras"},
    "measured": {0: "cameras", 2: "rows", 3: "columns"},
}
"""Names of the axes that a model file leaves open, by input and place."""
Size = tuple[int, int]


def check_sizes(count: int, image: Size, network: Size) -> None:
    """Refuse sizes that no model file can have.

    Args:
        count: Of the cameras.
        image: Sides of the images, px.
        network: Sides of the network's images, px.

    Raises:
        ConfigurationError: One of them is impossible.
    """
    if count < 1 or min(image) < 1 or any(n < MULTIPLE or n % MULTIPLE for n in network):
        raise ConfigurationError(
            f"{count} cameras, images {image}, network {network}",
            expected="one camera or more, images of a pixel or more, and multiples of"
            f" {MULTIPLE} for the network",
            fix="correct --cameras, --image and --size",
        )


def axis_sizes(count: int, image: Size, network: Size) -> dict[str, int]:
    """Sizes of `AXES`.

    Args:
        count: Of the cameras.
        image: (width, height) of the images and of depth, px.
        network: (width, height) of the network's images, px.
    """
    return {
        "cameras": count,
        "image_height": image[1],
        "image_width": image[0],
        "rows": network[1] // STRIDE,
        "columns": network[0] // STRIDE,
    }


def tensor_shapes(count: int, image: Size, network: Size) -> dict[str, tuple[int, ...]]:
    """Shapes of all inputs, whether a file takes them or not, and outputs; see `axis_sizes`."""
    size = axis_sizes(count, image, network)
    images = (count, size["image_height"], size["image_width"])
    maps = (count, size["rows"], size["columns"])
    return {
        "image": (*images, 3),
        "rays": (count, 3, *maps[1:]),
        "camera": (count, 5),
        "measured": (count, 2, *maps[1:]),
        "depth": images,
        "confidence": maps,
        "road": maps,
    }


def usual_width(grid: Size) -> int:
    """Width of the network's images, px, where the parameters leave it open.

    `WIDTH` for pictures of 16:9 and higher ones; flatter ones are as many pixels wider, so that
    they get as many in all.
    """
    return round(WIDTH * math.sqrt(max(1.0, grid[0] / grid[1] / _ASPECT)))


def network_size(grid: Size, width: int) -> Size:
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


def network_measured(
    inverse_depth: NDArray[np.float32], sigma: NDArray[np.float32], size: Size
) -> NDArray[np.float32]:
    """Measured depth (2, h, w) at stride 4 of the network's images, see `model_file.MEASURED`.

    Each value is read where the ray of its pixel is: between pixels of one surface in inverse
    depth, which is exact on planes; elsewhere of the nearest pixel, so that none lies between two
    surfaces. A nearest pixel alone would be off by half of one, at 20 m a few per cent.

    Args:
        inverse_depth: (H, W) 1/m on any grid of the same field; NaN where nothing is measured.
        sigma: (H, W) its standard deviation, 1/m; NaN there.
        size: (width, height) of the network's images, px.
    """
    rows, columns = size[1] // STRIDE, size[0] // STRIDE
    height, width = inverse_depth.shape
    u = (np.arange(columns) + 0.5) * (width / columns) - 0.5
    v = (np.arange(rows) + 0.5) * (height / rows) - 0.5
    with np.errstate(invalid="ignore", divide="ignore"):
        depth = np.where(inverse_depth > 0, 1 / inverse_depth, np.nan)
        relative = sigma / inverse_depth
    places = np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)
    found = sample_depth(depth, places).reshape(rows, columns)
    row = np.clip(np.rint(v), 0, height - 1).astype(np.intp)
    column = np.clip(np.rint(u), 0, width - 1).astype(np.intp)
    spread = relative[np.ix_(row, column)]
    known = np.isfinite(found) & np.isfinite(spread)
    return np.where(known, np.stack([found, spread]), 0).astype(np.float32)


def network_camera(
    model: CameraModel, T_base_camera: NDArray[np.float64], ground: GroundPlane | None
) -> NDArray[np.float32]:
    """A camera's numbers (5,), see `network.prior.CAMERA`; without a ground, no calibration."""
    if ground is None:
        return _numbers(model, np.zeros(3), 0.0)
    height = max(camera_height(ground, T_base_camera), LEAST_HEIGHT)
    return _numbers(model, T_base_camera[:3, :3].T @ ground.normal, height)


def view_camera(view: CameraView, size: Size) -> NDArray[np.float32]:
    """`network_camera` of a working grid, for the network's images of ``size``."""
    return _numbers(view.camera.resized(*size), view.normal, max(view.height, LEAST_HEIGHT))


def _numbers(model: CameraModel, normal: NDArray[np.float64], height: float) -> NDArray[np.float32]:
    """Normal of the ground, height over it, focal length."""
    focal = math.sqrt(abs(model.K[0, 0] * model.K[1, 1]))
    return np.array([*normal, height, focal], np.float32)
