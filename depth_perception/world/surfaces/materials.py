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

"""Surface materials: how they reflect, and which texture each one wears.

A texture is a square that repeats every `tile` metres. Albedo is linear light, 0 to 1, and is
multiplied by a triangle's tint, so textures that take a tint are near white.
"""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[float, float, float]
"""Red, green and blue, 0 to 1."""


@dataclass(frozen=True)
class Material:
    """How a surface looks.

    Attributes:
        name: Its name, also that of its texture.
        tile: Edge of the square that the texture covers, metres.
        mirror: Share of light mirrored at normal incidence (Fresnel's F0), 0 to 1; more at
            grazing angles. 0 for matt.
        bumpiness: How much shading normals scatter within a surface of leaves or gravel, 0 to 1.
        emission: Light given off, in units of a sunlit white surface.
    """

    name: str
    tile: float = 2.0
    mirror: float = 0.0
    bumpiness: float = 0.0
    emission: float = 0.0


MATERIALS: tuple[Material, ...] = (
    Material("plain"),  # slight unevenness only, for anything painted or moulded
    Material("paint", mirror=0.06),  # car paint
    Material("glass", mirror=0.10),  # dark, mirrors the street
    Material("rubber", 0.5),
    Material("metal", 0.5, mirror=0.12),  # galvanised steel, wheel rims
    Material("cloth", 0.5),
    Material("skin", 0.3),
    Material("leaves", 1.5, bumpiness=0.8),
    Material("bark", 1.0, bumpiness=0.3),
    Material("grass", 2.0, bumpiness=0.3),
    Material("soil", 2.0),
    Material("asphalt", 2.0),
    Material("concrete", 3.0),
    Material("gravel", 1.0, bumpiness=0.3),
    Material("cobbles", 1.2),
    Material("slabs", 1.2),  # paving slabs
    Material("brick", 2.0),
    Material("plaster", 4.0),
    Material("stone", 3.0),
    Material("roof_tiles", 2.0),
    Material("wood", 1.5),
    Material("lamp", emission=0.6),  # lenses of lamps that are on
    *(Material(f"facade_{i}", 12.0) for i in range(8)),  # 4 x 4 bays of 3 m with windows
    *(Material(f"shop_{i}", 12.0) for i in range(4)),  # ground floors, 4 bays of 3 m, 3 m high x 4
    Material("ground"),  # coloured by the scene's own ground picture
)
"""All materials; a triangle holds an index into this tuple."""

INDEX: dict[str, int] = {material.name: i for i, material in enumerate(MATERIALS)}
"""Material indices by name."""
