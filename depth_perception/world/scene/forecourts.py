"""What stands on drives, forecourts and squares: canopies, garages, cars, benches, people."""

from __future__ import annotations

import numpy as np

from depth_perception.world.objects.specimens import POOL, block_specimen, vehicle_specimen
from depth_perception.world.scene.site import Site
from depth_perception.world.scene.town import box_size
from depth_perception.world.scene.traffic import LONG
from depth_perception.world.scene.yards import Yard


def add_yards(site: Site) -> None:
    """Furnish all yards of the plan."""
    for yard in site.plan.yards:
        if yard.kind == "drive":
            _furnish_drive(site, yard)
        elif yard.kind == "forecourt":
            _furnish_forecourt(site, yard)
        else:
            _furnish_square(site, yard)
        if yard.kind != "drive" and site.plan.setting in _BUILT and site.more.uniform() < 0.8:
            _close_back(site, yard)


_BUILT = ("city", "suburb", "industrial", "car_park")


def _close_back(site: Site, yard: Yard) -> None:
    """Buildings behind a yard, side by side as far as they fit."""
    heading = 0.0 if yard.side > 0 else np.pi
    s = yard.first
    for _ in range(4):
        mesh = block_specimen(int(site.more.integers(24)), site.plan.setting == "city")
        width = box_size(mesh)[0]
        if s + width < yard.last + 1.5:
            t = _place(site, yard, yard.far + 1.6)
            site.put(mesh, s + width / 2, t, heading, sink=0.25)
            s += width + float(site.more.choice([0.2, 4.0]))


def _place(site: Site, yard: Yard, across: float) -> float:
    """The t of what lies `across` m from the carriageway's edge."""
    return yard.side * (site.base_edge(yard.side) + across)


def _park(site: Site, s: float, t: float, heading: float, longest: float) -> None:
    """Stand a vehicle somewhere off the road if it is short enough."""
    kind, mesh = vehicle_specimen(int(site.more.integers(POOL)))
    if kind not in LONG and box_size(mesh)[0] < longest:
        site.put_object(kind, mesh, s, t, heading + site.more.normal(0, 0.03))


def _furnish_drive(site: Site, yard: Yard) -> None:
    """A garage or a gate at its end, a car before it."""
    rng, wide = site.more, yard.last - yard.first
    i = 0 if yard.side > 0 else 1
    behind = site.plan.pavement[i] + site.plan.verge[i]
    suburb = site.plan.setting in ("suburb", "country")
    far = _place(site, yard, yard.far)
    if suburb and rng.uniform() < 0.7 and abs(far) < 40.0:
        mesh = site.specimen("garage", rng)
        if box_size(mesh)[0] < wide + 2.0:
            site.put(mesh, yard.middle, far, 0.0 if yard.side > 0 else np.pi, sink=0.15)
    if rng.uniform() < 0.5 and yard.far - behind > 5.3:
        t = _place(site, yard, yard.far - 2.9)
        _park(site, yard.middle, t, yard.side * rng.choice([-1, 1]) * np.pi / 2, yard.far - behind)


def _furnish_forecourt(site: Site, yard: Yard) -> None:
    """A petrol station with its canopy, or cars parked in rows."""
    rng = site.more
    long, deep = yard.last - yard.first, yard.far - max(yard.near, 0.5)
    heading = 0.0 if yard.side > 0 else np.pi
    front = max(yard.near, 1.2)
    i = 0 if yard.side > 0 else 1
    if long > 22.0 and deep > 12.0 and rng.uniform() < 0.5:
        mesh = site.specimen("canopy", rng)
        size = box_size(mesh)
        across = front + 1.5 + size[1] / 2
        if size[0] < long - 2.0 and across + size[1] / 2 < yard.far + 4.0:
            site.put(mesh, yard.middle, _place(site, yard, across), heading)
            for k in range(int(rng.integers(0, 5))):
                # Between the pumps and the canopy's edge, or beside it.
                s = yard.middle + (k - 2) * 5.6
                t = _place(site, yard, across + rng.choice([-1, 1]) * (size[1] / 2 - 0.3))
                if yard.first + 3 < s < yard.last - 3:
                    _park(site, s, t, rng.choice([0.0, np.pi]), 5.3)
        sign = site.specimen("billboard", rng)
        site.put(sign, yard.first + 1.5, _place(site, yard, front + 1.0), np.pi / 2)
        return
    occupied = rng.uniform(0.15, 0.95)
    for s in np.arange(yard.first + 1.8, yard.last - 1.0, 2.6):
        if rng.uniform() < occupied:
            way = rng.choice([-1, 1]) * np.pi / 2
            _park(site, float(s), _place(site, yard, yard.far - 2.6), way, 5.0)
    if deep > 14.0 and rng.uniform() < 0.5:
        for s in np.arange(yard.first + 3.2, yard.last - 3.0, 6.2):
            if rng.uniform() < 0.5 * occupied:
                _park(
                    site, float(s), _place(site, yard, front + 1.6), rng.choice([0.0, np.pi]), 5.4
                )
    if rng.uniform() < 0.4 and site.plan.pavement[i] > 0 and yard.near > 0:
        for s in np.arange(yard.first + 6.5, yard.last, 2.0):
            site.put(site.specimen("bollard", rng), float(s), _place(site, yard, yard.near - 0.2))


def _furnish_square(site: Site, yard: Yard) -> None:
    """Trees in a row, benches, planters, bollards along the front, people."""
    rng = site.more
    front = max(yard.near, 0.4)
    deep = yard.far - front
    if rng.uniform() < 0.5:
        kind = str(rng.choice(["broadleaf_tree", "bare_tree", "palm", "avenue_tree"]))
        pitch = float(rng.uniform(6, 10))
        for s in np.arange(yard.first + 3.0, yard.last - 2.0, pitch):
            for across in np.arange(front + 6.5, yard.far - 2.0, pitch):
                site.put(
                    site.specimen(kind, rng),
                    float(s),
                    _place(site, yard, across),
                    rng.uniform(0, 6.3),
                )
    if rng.uniform() < 0.45:
        same = site.specimen("bollard", rng)
        for s in np.arange(yard.first + 1.0, yard.last, float(rng.uniform(1.4, 2.4))):
            site.put(same, float(s), _place(site, yard, front))
    for _ in range(rng.poisson(0.02 * deep * (yard.last - yard.first))):
        kind = str(rng.choice(["bench", "bench", "planter", "bin", "flower_bed", "billboard"]))
        s, across = rng.uniform(yard.first + 2, yard.last - 2), front + rng.uniform(1.5, deep - 1)
        turn = float(rng.choice([0.0, np.pi / 2, np.pi, -np.pi / 2]))
        site.put(site.specimen(kind, rng), float(s), _place(site, yard, across), turn)
    for _ in range(rng.poisson(0.018 * deep * (yard.last - yard.first))):
        s, across = rng.uniform(yard.first, yard.last), front + rng.uniform(0.5, deep)
        way = int(rng.choice([-1, 1]))
        speed = way * rng.uniform(0.7, 1.5) if rng.uniform() < 0.6 else 0.0
        heading = (0.0 if way > 0 else np.pi) if speed else rng.uniform(0, 6.28)
        site.put_mover(
            "person",
            site.specimen("person", rng),
            s,
            _place(site, yard, across),
            speed,
            heading,
            upright=True,
        )
