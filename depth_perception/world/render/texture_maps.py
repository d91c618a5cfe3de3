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

"""Pictures that surfaces look up, at all sizes: of textures, of the ground, of clouds."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.world.scene.ground_grid import REACH, RESOLUTION
from depth_perception.world.scene.ground_picture import GroundPicture
from depth_perception.world.surfaces.materials import INDEX, MATERIALS


def make_texture_maps(
    wp: Any, device: str, ground: GroundPicture, textures: NDArray[np.uint8]
) -> Any:
    """Put materials and pictures onto a device: a `kernel_texture_maps.TextureMaps`.

    Args:
        wp: The module warp.
        device: A Warp device.
        ground: The picture painted on the ground.
        textures: All levels of a set of textures, from `texture_mipmaps`.
    """

    def array(values: Any, dtype: Any) -> Any:
        return wp.array(np.ascontiguousarray(values), dtype=dtype, device=device)

    maps: Any = importlib.import_module(
        "depth_perception.world.render.kernel_texture_maps"
    ).TextureMaps()
    for name in ("tile", "mirror", "bumpiness", "emission"):
        values = np.array([getattr(m, name) for m in MATERIALS], np.float32)
        setattr(maps, name, array(values, wp.float32))
    maps.textures = array(textures, wp.vec4ub)
    # What grain is measured against; the last level is one texel.
    mean = np.square(textures[:, -1, :3] / np.float32(255.0))
    maps.mean = array(np.maximum(mean, 0.02), wp.vec3)
    # size^2 + (size/2)^2 + ... + 1 texels.
    maps.levels = int(round(np.log2(3 * textures.shape[1] + 1) / 2))
    maps.size = 1 << (maps.levels - 1)
    painted = np.concatenate([ground.colour, ground.mirror[..., None]], axis=-1)
    texels, levels = _picture_mipmaps(painted)
    maps.ground = array(texels, wp.vec4ub)
    maps.ground_levels = array(levels, wp.int32)
    maps.ground_label = array(ground.label, wp.uint8)
    maps.ground_material = array(ground.material, wp.uint8)
    maps.ground_start = float(ground.start)
    maps.ground_reach = float(REACH)
    maps.ground_resolution = float(RESOLUTION)
    maps.ground_index = INDEX["ground"]
    maps.clouds = array(_clouds(), wp.float32)
    return maps


def with_contrast(textures: NDArray[np.uint8], powers: Sequence[float]) -> NDArray[np.uint8]:
    """Raise the contrast of textures (M, N, N, 4) around their mean; what they mirror stays.

    `powers` has one exponent for each of the M textures; 1 leaves it as it is.
    """
    albedo = textures[..., :3].astype(np.float32)
    mean = albedo.mean(axis=(1, 2), keepdims=True)
    contrasted = (
        mean
        * (albedo / np.maximum(mean, 1.0)) ** np.asarray(powers, np.float32)[:, None, None, None]
    )
    colours = np.clip(np.rint(contrasted), 0, 255).astype(np.uint8)
    return np.concatenate([colours, textures[..., 3:]], axis=-1)


def texture_mipmaps(textures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Halve (M, N, N, 4) again and again to one texel: (M, texels of all levels, 4).

    Light is averaged, not its square root, so that a surface keeps its brightness with distance.
    """
    level = textures.astype(np.float32)
    level[..., :3] = np.square(level[..., :3] / 255.0)  # linear light
    chain = [textures.reshape(len(textures), -1, 4)]
    while level.shape[1] > 1:
        m, n = level.shape[:2]
        level = level.reshape(m, n // 2, 2, n // 2, 2, 4).mean(axis=(2, 4))
        packed = level.copy()
        packed[..., :3] = np.sqrt(packed[..., :3]) * 255.0
        chain.append(np.rint(packed).astype(np.uint8).reshape(m, -1, 4))
    return np.concatenate(chain, axis=1)


def _picture_mipmaps(picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Halve a picture (H, W, 4) to about 16 pixels: texels in a row, and (width, height, start)."""
    texels, levels, start = [], [], 0
    while True:
        height, width = picture.shape[:2]
        texels.append(picture.reshape(-1, 4))
        levels.append((width, height, start))
        start += width * height
        if min(height, width) <= 16:
            # Bilinear sampling reads one texel on; the last row needs a successor.
            texels.append(picture.reshape(-1, 4)[-width - 1 :])
            return np.concatenate(texels), np.array(levels, np.int32)
        half = picture[: height // 2 * 2, : width // 2 * 2]
        smaller = cv2.resize(half, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        picture = np.asarray(smaller, np.uint8)


def _clouds() -> NDArray[np.float32]:
    """A tiling picture of cloud density, evenly spread from 0 to 1: (256, 256)."""
    rng = np.random.default_rng(7)
    k = np.fft.fftfreq(256) * 256
    radius = np.maximum(np.hypot(k[:, None], k[None, :]), 1.0)
    spectrum = np.fft.fft2(rng.standard_normal((256, 256))) / radius**1.5
    noise = np.fft.ifft2(spectrum).real
    order = np.argsort(np.argsort(noise.ravel()))
    return (order / order.size).reshape(noise.shape).astype(np.float32)
