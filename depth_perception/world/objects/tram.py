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

"""Trams: the class TRAIN of the synthetic world."""

from __future__ import annotations

import numpy as np

from depth_perception.datasets.labels import TRAIN
from depth_perception.world.objects.mesh import Mesh, join
from depth_perception.world.objects.primitives import choose, prism, surface, varied
from depth_perception.world.surfaces.materials import Colour

_LIVERIES: tuple[Colour, ...] = (
    (0.55, 0.04, 0.04),
    (0.72, 0.55, 0.06),
    (0.75, 0.74, 0.70),
    (0.05, 0.16, 0.42),
    (0.06, 0.28, 0.14),
    (0.45, 0.46, 0.48),
)


def tram(rng: np.random.Generator) -> Mesh:
    """One car of a tram, 13 to 15 m long, 2.4 m wide; heads along x; at most 700 triangles."""
    long, half, top = float(rng.uniform(13, 15)), 1.2, float(rng.uniform(3.2, 3.5))
    paint = surface("paint", varied(rng, choose(rng, _LIVERIES)), TRAIN)
    white = surface("paint", (0.72, 0.72, 0.70), TRAIN)
    glass = surface("glass", (0.03, 0.035, 0.04), TRAIN)
    dark = surface("plain", (0.03, 0.03, 0.03), TRAIN)
    grey = surface("metal", (0.25, 0.25, 0.26), TRAIN)
    belt, sill = 1.35, float(rng.uniform(0.28, 0.45))
    upper = white if rng.random() < 0.5 else paint
    end = long / 2
    low = [[-half, sill], [half, sill], [half, belt], [-half, belt]]
    high = [
        [-half, belt],
        [half, belt],
        [half * 0.97, top - 0.25],
        [half * 0.75, top],
        [-half * 0.75, top],
        [-half * 0.97, top - 0.25],
    ]
    parts = [prism(paint, low, -end, end), prism(upper, high, -end, end)]
    # Ends lean a little: caps in front of the body.
    for sign in (-1.0, 1.0):
        nose = [[0.0, sill], [0.5, sill], [0.55, belt], [0.15, top - 0.3], [0.0, top - 0.1]]
        corners = np.array([[sign * (end + x), y, z] for y in (-0.95, 0.95) for x, z in nose])
        m = len(nose)
        i = np.arange(m)
        j = (i + 1) % m
        faces = np.concatenate(
            [
                np.stack([i, j, m + j], 1),
                np.stack([i, m + j, m + i], 1),
                [[0, 2, 1], [0, 3, 2], [0, 4, 3]],
                [[m, m + 1, m + 2], [m, m + 2, m + 3], [m, m + 3, m + 4]],
            ]
        )
        # Counter-clockwise from outside at the front, mirrored at the rear.
        parts.append(paint.mesh(corners, faces if sign < 0 else faces[:, ::-1]))
        pane = np.array(
            [
                [sign * (end + x + 0.015), y, z]
                for x, y, z in (
                    (0.53, -0.88, belt + 0.05),
                    (0.53, 0.88, belt + 0.05),
                    (0.20, 0.84, top - 0.42),
                    (0.20, -0.84, top - 0.42),
                )
            ]
        )
        parts.append(glass.quad(pane if sign > 0 else pane[::-1]))
        for y in (-0.6, 0.6):
            colour = (0.9, 0.88, 0.8) if sign > 0 else (0.6, 0.02, 0.02)
            lamp = surface("plain", colour, TRAIN)
            parts.append(lamp.box((sign * (end + 0.53), y, 0.85), (0.06, 0.26, 0.14)))
    count = int(rng.integers(7, 10))
    pitch = (long - 0.8) / count
    doors = (1, count - 2) if rng.random() < 0.7 else (0, count // 2)
    for side in (-1.0, 1.0):
        parts.append(dark.box((0, side * (half - 0.02), 1.95), (long - 0.3, 0.06, 1.15)))
        for k in range(count):
            x = -end + 0.4 + (k + 0.5) * pitch
            y = side * (half + 0.012)
            if k in doors:
                parts.append(dark.box((x, y - side * 0.02, 1.4), (pitch - 0.1, 0.05, 2.05)))
                for shift in (-0.25, 0.25):
                    parts.append(glass.box((x + shift * pitch, y, 1.45), (0.4 * pitch, 0.04, 1.75)))
            else:
                parts.append(glass.box((x, y, 1.95), (pitch - 0.12, 0.05, 1.0)))
    for x in (-0.3 * long, 0.3 * long):
        parts.append(dark.box((x, 0, 0.3), (2.4, 1.9, 0.5)))
        parts.append(grey.box((x, 0, 0.25), (1.6, 2.0, 0.36)))
    parts.append(grey.box((rng.uniform(-2, 2), 0, top + 0.14), (3.6, 1.6, 0.28)))
    reach = float(rng.uniform(-3.5, 3.5))
    for y in (-0.4, 0.4):  # the collector
        parts.append(dark.rod((reach, y, top), (reach + 0.9, y, top + 1.0), 0.03, sides=4))
        parts.append(dark.rod((reach + 0.9, y, top + 1.0), (reach, y * 0.6, 5.4), 0.025, sides=4))
    parts.append(dark.box((reach, 0, 5.42), (0.25, 1.5, 0.05)))
    return join(parts)
