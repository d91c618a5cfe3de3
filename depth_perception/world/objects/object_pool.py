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

"""The pool of things that all streets draw from: a few dozen of each kind, made once."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from depth_perception.world.objects import (
    buildings,
    furniture,
    people,
    plants,
    poles,
    sheds,
    signals,
    tram,
    two_wheelers,
    vehicles,
    woods,
)
from depth_perception.world.objects.mesh import Mesh

POOL_SIZE = 48
"""Different objects of each kind."""

_MAKERS: dict[str, Callable[[np.random.Generator], Mesh]] = {
    maker.__name__: maker
    for maker in (
        plants.broadleaf_tree,
        plants.conifer,
        plants.bare_tree,
        plants.bush,
        plants.grass_tuft,
        plants.avenue_tree,
        woods.thicket,
        plants.palm,
        plants.flower_bed,
        furniture.soil_heap,
        sheds.canopy,
        sheds.garage,
        tram.tram,
        furniture.bench,
        furniture.bin,
        furniture.barrier_board,
        furniture.bus_shelter,
        furniture.cabinet,
        furniture.cone,
        furniture.dumpster,
        furniture.hydrant,
        furniture.mailbox,
        furniture.parking_meter,
        furniture.planter,
        poles.bollard,
        poles.lamp_post,
        poles.utility_pole,
        signals.billboard,
        signals.direction_sign,
        signals.road_sign,
        signals.traffic_light,
        people.cyclist,
        people.motorcyclist,
        people.person,
        two_wheelers.bicycle,
    )
}


@lru_cache(maxsize=4096)
def pooled_object(kind: str, number: int) -> Mesh:
    """A thing in its own frame; the same for the same arguments on every machine.

    Args:
        kind: Name of the function that makes it, such as "bench" or "person".
        number: Which one, 0 to `POOL_SIZE` - 1.

    Raises:
        KeyError: For a kind that is not in the pool.
    """
    return _MAKERS[kind](np.random.default_rng([number, *kind.encode()]))


HEADROOM = 4.0
"""Height that is kept free over carriageways, m."""


@lru_cache(maxsize=4096)
def low_reach(kind: str, number: int) -> float:
    """How far an object of the pool reaches from its middle below `HEADROOM`, m."""
    p = pooled_object(kind, number).vertices
    return float(np.hypot(p[:, 0], p[:, 1])[p[:, 2] < HEADROOM].max())


@lru_cache(maxsize=POOL_SIZE * 2)
def pooled_vehicle(number: int) -> tuple[str, Mesh]:
    """Kind and mesh of vehicle `number`, 0 to `POOL_SIZE` - 1, kinds as frequent as on a road."""
    return vehicles.draw(np.random.default_rng([number, 77]))


@lru_cache(maxsize=POOL_SIZE)
def pooled_block(number: int, city: bool) -> Mesh:
    """A block of flats, 12 to 33 m wide, for where it stands far off or behind something."""
    rng = np.random.default_rng([number, 78])
    tall = int(rng.integers(2, 14 if city else 5))
    return buildings.block(rng, 3.0 * int(rng.integers(4, 12)), 14.0, tall)
