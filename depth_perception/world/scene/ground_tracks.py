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

"""Tram tracks, gutters and the marks on paved areas, drawn into layers of the ground's picture."""

from __future__ import annotations

import numpy as np

from depth_perception.world.scene.ground_grid import GroundGrid, Mask
from depth_perception.world.scene.plan import StreetPlan
from depth_perception.world.scene.strips import GAUGE


def draw_tracks(
    grid: GroundGrid, plan: StreetPlan, rng: np.random.Generator, bed: str, dark: Mask, bright: Mask
) -> None:
    """Rails that lie in the road, and the sleepers of ballasted beds."""
    strength = int(rng.uniform(10, 60))
    for middle in plan.tracks:
        for t in (middle - GAUGE / 2, middle + GAUGE / 2):
            grid.rectangle(dark, grid.start, grid.end, t - 0.08, t + 0.08, strength)
            grid.rectangle(bright, grid.start, grid.end, t - 0.03, t + 0.04, strength)
        if rng.uniform() < 0.4:  # the track's own slabs
            for t in (middle - 1.1, middle + 1.1):
                grid.rectangle(dark, grid.start, grid.end, t - 0.03, t + 0.03, 45)
    if bed != "gravel":
        return
    darker = rng.uniform() < 0.5
    half, layer = 0.13, dark if darker else bright
    columns = np.zeros(grid.width, bool)
    for s in np.arange(grid.start + 0.3, grid.end - 0.3, 0.65):
        first = int((s - half - grid.start) / (grid.s[1] - grid.s[0]))
        columns[first : first + 5] = True
    for strip in plan.shape.strips:
        free = columns & ~plan.shape.gap(strip, grid.s)
        for middle in strip.tracks:
            rows = np.nonzero(np.abs(grid.t - middle) < 1.25)[0]
            layer[rows[0] : rows[-1] + 1, free] = 70 if darker else 40


def draw_gutters(
    grid: GroundGrid, plan: StreetPlan, rng: np.random.Generator, dark: Mask, bright: Mask
) -> None:
    """On some streets a row of stones or a strip of concrete along the kerb."""
    if plan.shape.kerb == 0.0 or rng.uniform() > 0.35:
        return
    lighter = rng.uniform() < 0.6
    layer, strength = (bright, int(rng.uniform(8, 45))) if lighter else (dark, 50)
    wide = float(rng.uniform(0.15, 0.45))
    s = np.arange(grid.start, grid.end, 0.5)
    for side in (1, -1):
        edge = side * (np.minimum(plan.shape.edge(side, s), 90.0) - wide / 2)
        points = [(float(a), float(b)) for a, b in zip(s, edge, strict=True)]
        grid.line(layer, points, wide, strength)


def mark_paved_areas(
    grid: GroundGrid, plan: StreetPlan, rng: np.random.Generator, white: Mask, dark: Mask
) -> None:
    """Joints around paved areas, and bays painted on some forecourts."""
    for area in plan.paved_areas:
        edge = plan.shape.left if area.side > 0 else -plan.shape.right
        near, far = area.side * (edge + area.near + 0.12), area.side * (edge + area.far)
        outline = [
            (area.first, near),
            (area.last, near),
            (area.last, far),
            (area.first, far),
            (area.first, near),
        ]
        if rng.uniform() < 0.7:
            grid.line(dark, outline, 0.06, 60)
        if area.kind == "forecourt" and rng.uniform() < 0.5:
            back = area.side * (edge + area.far - 5.0)
            for s in np.arange(area.first + 0.5, area.last, 2.6):
                grid.line(white, [(s, back), (s, far)], 0.1, 255)
        elif area.kind == "square" and rng.uniform() < 0.5:
            pitch = float(rng.uniform(3.0, 7.0))
            for s in np.arange(area.first + pitch, area.last, pitch):
                grid.line(dark, [(s, near), (s, far)], 0.15, 35)
            for k in np.arange(area.near + pitch, area.far, pitch):
                t = area.side * (edge + k)
                grid.line(dark, [(area.first, t), (area.last, t)], 0.15, 35)
