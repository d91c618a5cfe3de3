"""The pool of things that all streets draw from: a few dozen specimens of each kind, made once."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from depth_perception.world import (
    furniture,
    people,
    plants,
    poles,
    signals,
    two_wheelers,
    vehicles,
)
from depth_perception.world.mesh import Mesh

POOL = 48
"""Different specimens of each kind."""

_MAKERS: dict[str, Callable[[np.random.Generator], Mesh]] = {
    maker.__name__: maker
    for maker in (
        plants.broadleaf_tree, plants.conifer, plants.bare_tree, plants.bush, plants.grass_tuft,
        furniture.bench, furniture.bin, furniture.barrier_board, furniture.bus_shelter,
        furniture.cabinet, furniture.cone, furniture.dumpster, furniture.hydrant,
        furniture.mailbox, furniture.parking_meter, furniture.planter,
        poles.bollard, poles.lamp_post, poles.utility_pole,
        signals.billboard, signals.direction_sign, signals.road_sign, signals.traffic_light,
        people.cyclist, people.motorcyclist, people.person, two_wheelers.bicycle,
    )
}  # fmt: skip


@lru_cache(maxsize=4096)
def specimen(kind: str, number: int) -> Mesh:
    """A thing in its own frame; the same for the same arguments on every machine.

    Args:
        kind: Name of the function that makes it, such as "bench" or "person".
        number: Which one, 0 to `POOL` - 1.

    Raises:
        KeyError: For a kind that is not in the pool.
    """
    return _MAKERS[kind](np.random.default_rng([number, *kind.encode()]))


@lru_cache(maxsize=POOL * 2)
def vehicle_specimen(number: int) -> tuple[str, Mesh]:
    """Kind and mesh of a vehicle, kinds as frequent as on a road; `number` as for `specimen`."""
    return vehicles.draw(np.random.default_rng([number, 77]))
