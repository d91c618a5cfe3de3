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

"""Edges of woods: many trees as one thing, cheap enough to line a whole road."""

from __future__ import annotations

import numpy as np

from depth_perception.datasets.labels import VEGETATION
from depth_perception.world.objects.foliage import above_ground, blobs, foliage, scaled_colour
from depth_perception.world.objects.mesh import Mesh, join
from depth_perception.world.objects.plants import BARKS, LEAF_COLOURS
from depth_perception.world.objects.primitives import choose, surface, tubes, varied


def thicket(rng: np.random.Generator) -> Mesh:
    """The edge of a wood along x, 13 m long, 5 to 13 m high, leafy to the ground; 900 faces."""
    tall = float(rng.uniform(5, 13))
    n = int(rng.integers(8, 11))
    centres = np.column_stack(
        [
            np.linspace(-5.2, 5.2, n) + rng.normal(0, 0.5, n),
            rng.uniform(-1.6, 1.6, n),
            tall * rng.uniform(0.3, 0.72, n),
        ]
    )
    radii = np.column_stack(
        [rng.uniform(1.5, 2.6, n), rng.uniform(1.5, 2.4, n), tall * rng.uniform(0.22, 0.3, n)]
    )
    under = np.column_stack([np.linspace(-5.5, 5.5, 5), rng.normal(0.9, 0.4, 5), [0.7] * 5])
    centres = np.concatenate([centres, under])
    radii = np.concatenate(
        [radii, np.column_stack([[1.7] * 5, [1.1] * 5, rng.uniform(0.8, 1.6, 5)])]
    )
    tint = varied(rng, choose(rng, LEAF_COLOURS))
    green = foliage(rng, centres, radii, 520, float(rng.uniform(0.4, 0.55)), tint)
    inside = blobs(rng, centres, 0.85 * radii, scaled_colour(tint, 0.8))
    trunks = [[x, rng.normal(-0.3, 0.6), -0.2] for x in rng.uniform(-5, 5, 4)]
    bark = surface("bark", varied(rng, choose(rng, BARKS)), VEGETATION)
    wood = tubes(bark, trunks, np.array(trunks) + [0, 0, 0.6 * tall], 0.2, 0.1, sides=5)
    return above_ground(join([wood, inside, green]))
