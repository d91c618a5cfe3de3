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

"""Plants and street furniture of the synthetic world: real sizes, sound meshes, few triangles."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from depth_perception.datasets.labels import FENCE, LIGHT, POLE, SIGN, TERRAIN, VEGETATION, WALL
from depth_perception.world.objects import barriers, furniture, plants, poles, signals, woods
from depth_perception.world.objects.mesh import Mesh
from depth_perception.world.surfaces.materials import INDEX

Maker = Callable[[np.random.Generator], Mesh]
LENGTH = 10.0

# Maker: lowest and highest height and width (the greater of x and y), metres; triangles; labels.
THINGS: dict[str, tuple[Maker, tuple[float, float], tuple[float, float], int, set[int]]] = {
    "broadleaf_tree": (plants.broadleaf_tree, (3.8, 15), (1, 14), 1500, {VEGETATION}),
    "avenue_tree": (plants.avenue_tree, (10, 16), (7, 16), 1500, {VEGETATION}),
    "thicket": (woods.thicket, (4, 14), (13, 19), 1250, {VEGETATION}),
    "conifer": (plants.conifer, (3.8, 15.5), (0.7, 10.5), 1500, {VEGETATION}),
    "bare_tree": (plants.bare_tree, (4, 15), (2, 13), 1500, {VEGETATION}),
    "palm": (plants.palm, (4, 11), (2.5, 7), 800, {VEGETATION}),
    "bush": (plants.bush, (0.5, 2.5), (0.4, 5), 700, {VEGETATION}),
    "hedge": (lambda rng: plants.hedge(rng, LENGTH), (0.6, 2.2), (9.9, 10.6), 1300, {VEGETATION}),
    "grass_tuft": (plants.grass_tuft, (0.05, 0.6), (0.05, 1.2), 24, {VEGETATION}),
    "flower_bed": (plants.flower_bed, (0.15, 0.7), (1, 3.5), 400, {VEGETATION}),
    "lamp_post": (poles.lamp_post, (3.2, 11.5), (0.2, 6), 300, {POLE}),
    "utility_pole": (poles.utility_pole, (7.5, 10.2), (1.9, 2.1), 300, {POLE}),
    "bollard": (poles.bollard, (0.6, 1.15), (0.09, 0.45), 150, {POLE}),
    "traffic_light": (signals.traffic_light, (2.8, 7), (0.3, 7), 500, {POLE, LIGHT}),
    "road_sign": (signals.road_sign, (2.4, 4.5), (0.4, 1.2), 300, {POLE, SIGN}),
    "direction_sign": (signals.direction_sign, (1.8, 4.8), (1.5, 4.1), 200, {POLE, SIGN}),
    "gantry": (lambda rng: signals.gantry(rng, 14), (6.5, 8.6), (13.9, 14.6), 600, {POLE, SIGN}),
    "billboard": (signals.billboard, (2, 7.6), (1.2, 5.6), 150, {POLE, FENCE}),
    "fence": (lambda rng: barriers.fence(rng, LENGTH), (0.7, 2.4), (9.9, 10.1), 600, {FENCE}),
    "guard_rail": (
        lambda rng: barriers.guard_rail(rng, LENGTH),
        (0.7, 0.9),
        (9.9, 10.1),
        300,
        {FENCE},
    ),
    "jersey_barrier": (
        lambda rng: barriers.jersey_barrier(rng, LENGTH),
        (0.75, 1.1),
        (9.9, 10.1),
        250,
        {WALL},
    ),
    "water_barrier": (
        lambda rng: barriers.water_barrier(rng, LENGTH),
        (0.7, 1.3),
        (9.8, 10.1),
        600,
        {WALL},
    ),
    "garden_wall": (
        lambda rng: barriers.garden_wall(rng, LENGTH),
        (0.4, 2.3),
        (9.9, 10.3),
        650,
        {WALL, FENCE},
    ),
    "retaining_wall": (
        lambda rng: barriers.retaining_wall(rng, LENGTH, 3.0),
        (3, 4.3),
        (9.9, 10.1),
        250,
        {WALL, FENCE},
    ),
    "cone": (furniture.cone, (0.4, 0.95), (0.2, 0.55), 150, {FENCE}),
    "barrier_board": (furniture.barrier_board, (0.9, 1.45), (1.2, 2.3), 250, {FENCE}),
    "soil_heap": (furniture.soil_heap, (0.4, 1.7), (1.4, 4.6), 250, {TERRAIN}),
    "bin": (furniture.bin, (0.7, 1.2), (0.35, 0.95), 200, {FENCE}),
    "dumpster": (furniture.dumpster, (1.2, 2), (1.2, 4.4), 250, {FENCE}),
    "bus_shelter": (furniture.bus_shelter, (2.3, 2.9), (3, 5.5), 200, {FENCE}),
    "bench": (furniture.bench, (0.4, 1.05), (1.4, 2.2), 250, {FENCE}),
    "mailbox": (furniture.mailbox, (1.2, 1.7), (0.35, 0.6), 200, {POLE, FENCE}),
    "cabinet": (furniture.cabinet, (0.75, 1.6), (0.55, 1.9), 150, {FENCE}),
    "parking_meter": (furniture.parking_meter, (1.3, 2.1), (0.1, 0.5), 100, {POLE}),
    "planter": (furniture.planter, (0.6, 1.8), (0.5, 2.5), 450, {FENCE, VEGETATION}),
    "hydrant": (furniture.hydrant, (0.65, 1), (0.3, 0.6), 350, {FENCE}),
}
each_thing = pytest.mark.parametrize("name", THINGS)
SEEDS = range(15)


@cache
def _made(name: str, seed: int) -> Mesh:
    return THINGS[name][0](np.random.default_rng(seed))


@each_thing
def test_everything_has_the_size_of_the_real_thing(name: str) -> None:
    _, (low, high), (narrow, wide), _, _ = THINGS[name]
    for seed in SEEDS:
        bottom, top = _made(name, seed).bounds()
        assert low <= top[2] <= high, seed
        assert narrow <= (top - bottom)[:2].max() <= wide, seed
        assert -0.13 <= bottom[2] <= 0.11, "stands on the ground, or a little in it"


@each_thing
def test_meshes_are_sound(name: str) -> None:
    _, _, _, budget, labels = THINGS[name]
    for seed in SEEDS:
        mesh = _made(name, seed)
        assert len(mesh.triangles) <= budget, seed
        assert mesh.triangles.max() < len(mesh.vertices)
        np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-4)
        assert np.isfinite(mesh.vertices).all()
        assert 0 <= mesh.tint.min() and mesh.tint.max() <= 1
        assert set(np.unique(mesh.label)) <= labels, seed


@each_thing
def test_the_same_seed_makes_the_same_and_another_does_not(name: str) -> None:
    make = THINGS[name][0]
    first, again = make(np.random.default_rng(3)), make(np.random.default_rng(3))
    for column in ("vertices", "normals", "uv", "triangles", "material", "tint", "label"):
        np.testing.assert_array_equal(getattr(first, column), getattr(again, column))
    others = (make(np.random.default_rng(seed)) for seed in range(4, 12))
    assert any(
        first.vertices.shape != other.vertices.shape or (first.vertices != other.vertices).any()
        for other in others
    )


@pytest.mark.parametrize("height", [4.0, 9.0, 14.0])
def test_a_tree_grows_as_high_as_asked_for(height: float) -> None:
    for seed in SEEDS:
        tree = plants.broadleaf_tree(np.random.default_rng(seed), height)
        assert tree.bounds()[1, 2] == pytest.approx(height, rel=0.12)


def test_signs_face_the_traffic() -> None:
    for seed in SEEDS:
        sign = signals.road_sign(np.random.default_rng(seed))
        across = _areas(sign)[sign.label == SIGN]
        bright = sign.tint[sign.label == SIGN].max(1) > 0.45  # fields, borders and pictograms
        assert (across[bright][:, 0] < 0).all()


def test_one_lens_of_each_head_glows() -> None:
    light = signals.traffic_light(np.random.default_rng(1))
    glowing = light.material == INDEX["lamp"]
    assert glowing.any()
    assert (light.label[glowing] == LIGHT).all()


def test_solid_things_are_not_inside_out() -> None:
    for make in (furniture.bench, furniture.cabinet, furniture.dumpster, poles.bollard):
        for seed in SEEDS:
            mesh = make(np.random.default_rng(seed))
            middle = mesh.vertices[mesh.triangles].mean(1)
            assert (middle * _areas(mesh)).sum() > 0  # six times the volume


def test_a_cable_hangs_between_its_ends() -> None:
    wire = poles.cable((0, 0, 8), (30, 1, 9))
    assert wire.bounds()[0, 2] < 8.2
    assert wire.bounds()[1, 2] == pytest.approx(9, abs=0.05)
    assert set(wire.label) == {POLE}


def _areas(mesh: Mesh) -> np.ndarray:
    a, b, c = (mesh.vertices[mesh.triangles[:, k]] for k in range(3))
    return np.cross(b - a, c - a)
