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

"""The textures of all materials, drawn from a seed.

Which take a tint: plain, paint, glass, rubber, metal, cloth, skin, leaves, bark, plaster, lamp and
the facades that are not of brick are near white (walls of facades and plaster about 0.74, so that
white frames stand out), and the tint is the surface's albedo. Asphalt, concrete, soil, grass,
gravel, cobbles, slabs, brick, stone, roof_tiles, wood, the shops and the facades
`facade_textures.BRICK` carry their own colours, and a tint near 1 shades them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from depth_perception.world.surfaces import ground_textures
from depth_perception.world.surfaces.facade_drawing import PLASTER
from depth_perception.world.surfaces.facade_textures import facade
from depth_perception.world.surfaces.ground_textures import coloured, cracks, marks
from depth_perception.world.surfaces.materials import MATERIALS
from depth_perception.world.surfaces.shop_textures import shops
from depth_perception.world.surfaces.tiling_noise import FloatImage, cells, fractal

OWN_COLOURS = {
    "asphalt": ground_textures.asphalt,
    "concrete": ground_textures.concrete,
    "soil": ground_textures.soil,
    "grass": ground_textures.grass,
    "gravel": ground_textures.gravel,
    "cobbles": ground_textures.cobbles,
    "slabs": ground_textures.slabs,
    "brick": ground_textures.brick,
    "stone": ground_textures.stone,
    "roof_tiles": ground_textures.roof_tiles,
    "wood": ground_textures.wood,
}
"""Materials whose texture has a colour of its own."""


def texture_set(seed: int, size: int = 256) -> NDArray[np.uint8]:
    """Draw a texture for every material, each tiling without a seam.

    Args:
        seed: Equal seeds give equal textures.
        size: Edge of a texture, pixels.

    Returns:
        (len(MATERIALS), size, size, 4): albedo as sqrt(linear) * 255, and a share of mirrored
        light, 0 to 255, to be added to the material's own. Row 0 is the top of the tile.
    """
    textures = np.empty((len(MATERIALS), size, size, 4), np.uint8)
    for number, material in enumerate(MATERIALS):
        rng = np.random.default_rng([seed, number])
        picture = _picture(rng, size, material.name)
        textures[number, ..., :3] = np.sqrt(np.clip(picture[..., :3], 0, 1)) * 255 + 0.5
        mirror = picture[..., 3] if picture.shape[2] == 4 else 0.0
        textures[number, ..., 3] = np.clip(mirror, 0, 1) * np.float32(255) + np.float32(0.5)
    return textures


def _picture(rng: np.random.Generator, size: int, name: str) -> FloatImage:
    """Draw one material as linear albedo, (size, size, 3), or with its mirror share, 4."""
    kind, _, number = name.partition("_")
    if kind == "facade":
        return facade(rng, size, int(number))
    if kind == "shop":
        return shops(rng, size)
    if name in OWN_COLOURS:
        return OWN_COLOURS[name](rng, size)
    return _NEAR_WHITE.get(name, _plain)(rng, size)


def _grey(shade: FloatImage | NDArray[np.floating]) -> FloatImage:
    return np.repeat(shade[..., None], 3, 2).astype(np.float32)


def _plain(rng: np.random.Generator, size: int) -> FloatImage:
    """Painted or moulded: slight unevenness, scuffs, a little dirt."""
    shade = 0.84 + 0.02 * fractal(rng, size, 1.2) + 0.012 * fractal(rng, size, 0.0)
    shade -= 0.05 * np.clip(fractal(rng, size, 1.4, tall=6.0) - 0.8, 0, 2)
    picture = _grey(shade)
    scuffs = np.array([[0.75, 0.74, 0.72], [0.9, 0.9, 0.9]], np.float32)
    marks(picture, rng, 20, (0.01, 0.06), (0.002, 0.004), scuffs)
    return picture


def _paint(rng: np.random.Generator, size: int) -> FloatImage:
    """Car paint: nearly even, with a film of dust."""
    dust = np.clip(fractal(rng, size, 1.5), -1.5, 2.5)
    return coloured(dust, (0.9, 0.9, 0.9), (0.87, 0.87, 0.87), (0.83, 0.82, 0.80))


def _glass(rng: np.random.Generator, size: int) -> FloatImage:
    """Smears on a pane."""
    return _grey(0.82 + 0.05 * fractal(rng, size, 1.4) + 0.03 * fractal(rng, size, 1.0, tall=20.0))


def _rubber(rng: np.random.Generator, size: int) -> FloatImage:
    dust = np.clip(fractal(rng, size, 1.3), -1, 2) * 0.06
    return _grey(np.clip(0.78 + 0.05 * fractal(rng, size, 0.0) + dust, 0.4, 1.0))


def _metal(rng: np.random.Generator, size: int) -> FloatImage:
    """Galvanised steel: the flakes of the zinc, scratches, and a little rust, which is matt."""
    _, _, flake = cells(rng, size, 14, 14)
    shade = 0.78 + rng.normal(0, 0.05, 196)[flake] + 0.03 * fractal(rng, size, 0.8, tall=0.05)
    rust = np.clip(fractal(rng, size, 1.3) * 1.5 - 3.4, 0, 0.5)[..., None]
    picture = _grey(shade)
    picture += rust * (np.array([0.42, 0.25, 0.16], np.float32) - picture)
    mirror = np.clip(rng.normal(0.04, 0.03, 196)[flake], 0, 1) * (1 - rust[..., 0])
    return np.dstack([picture, mirror]).astype(np.float32)


def _cloth(rng: np.random.Generator, size: int) -> FloatImage:
    """Folds, and the mottling of a weave."""
    folds = fractal(rng, size, 1.9, tall=4.0)
    weave = fractal(rng, size, 0.0)
    return _grey(np.clip(0.8 + 0.07 * folds + 0.035 * weave, 0.3, 1.0))


def _skin(rng: np.random.Generator, size: int) -> FloatImage:
    blotches = fractal(rng, size, 1.6)
    tone = coloured(blotches, (0.88, 0.82, 0.80), (0.86, 0.84, 0.83), (0.86, 0.78, 0.76))
    return tone * (1 + 0.025 * fractal(rng, size, 0.3))[..., None]


def _leaves(rng: np.random.Generator, size: int) -> FloatImage:
    """Leaves over one another, those further back darker; some yellowish."""
    depths = ((0.5, 700), (0.72, 600), (0.92, 520))
    picture = np.full((size, size, 3), 0.3, np.float32)
    for shade, count in depths:
        hues = rng.normal([1.0, 1.0, 0.85], [0.12, 0.06, 0.12], (24, 3)) * rng.normal(
            1, 0.1, (24, 1)
        )
        colours = np.clip(shade * hues, 0.1, 1.0).astype(np.float32)
        marks(picture, rng, count, (0.05, 0.09), (0.022, 0.045), colours)
    return picture


def _bark(rng: np.random.Generator, size: int) -> FloatImage:
    """Upright ridges with dark furrows."""
    ridges = np.abs(fractal(rng, size, 1.3, tall=7.0, low=3.0))
    shade = 0.55 + 0.33 * np.clip(ridges * 1.6, 0, 1) + 0.06 * fractal(rng, size, 0.3)
    moss = np.clip(fractal(rng, size, 1.5) - 1.1, 0, 1)[..., None]
    picture = _grey(np.clip(shade, 0.2, 1.0))
    return picture * (1 - moss * np.array([0.25, 0.12, 0.35], np.float32))


def _plaster(rng: np.random.Generator, size: int) -> FloatImage:
    """Rough plaster with drips, stains, hair cracks."""
    shade = PLASTER * (1 + 0.035 * fractal(rng, size, 1.0) + 0.03 * fractal(rng, size, 0.0))
    shade *= 1 - 0.07 * np.clip(fractal(rng, size, 1.2, tall=30.0, low=2.0), 0, 2.5)
    shade *= 1 - 0.06 * np.clip(fractal(rng, size, 1.7), 0, 2)
    return _grey(np.clip(shade * (1 - 0.3 * cracks(rng, size, 0.4)), 0.2, 1.0))


def _lamp(rng: np.random.Generator, size: int) -> FloatImage:
    """A ribbed lens."""
    return _grey(0.86 + 0.05 * fractal(rng, size, 0.8, tall=40.0))


def _ground(rng: np.random.Generator, size: int) -> FloatImage:
    """Never seen: the scene colours its ground itself."""
    return _grey(0.25 + 0.01 * fractal(rng, size, 1.0))


_NEAR_WHITE = {
    "plain": _plain,
    "paint": _paint,
    "glass": _glass,
    "rubber": _rubber,
    "metal": _metal,
    "cloth": _cloth,
    "skin": _skin,
    "leaves": _leaves,
    "bark": _bark,
    "plaster": _plaster,
    "lamp": _lamp,
    "ground": _ground,
}
