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

"""Vehicles and people of the synthetic world: sizes, labels and skins that face outwards."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from depth_perception.datasets.labels import (
    BICYCLE,
    BUS,
    CAR,
    MOTORCYCLE,
    OWN_BODY,
    PERSON,
    RIDER,
    TRUCK,
)
from depth_perception.world.objects.mesh import Mesh
from depth_perception.world.objects.people import cyclist, motorcyclist, person
from depth_perception.world.objects.two_wheelers import bicycle
from depth_perception.world.objects.vehicles import VEHICLES, as_own_body, draw
from depth_perception.world.surfaces.materials import INDEX, MATERIALS

Maker = Callable[[np.random.Generator], Mesh]

# Length, width with mirrors and height of what is on the road (metres, lowest and highest).
SIZES: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "hatchback": ((3.5, 4.5), (1.85, 2.15), (1.40, 1.60)),
    "saloon": ((4.3, 5.1), (1.9, 2.2), (1.36, 1.52)),
    "estate": ((4.3, 5.0), (1.9, 2.2), (1.40, 2.0)),
    "suv": ((4.0, 5.0), (1.7, 2.3), (1.54, 2.3)),
    "people_carrier": ((4.2, 5.2), (1.7, 2.3), (1.60, 2.0)),
    "pickup": ((5.1, 5.5), (1.8, 2.3), (1.72, 1.92)),
    "van": ((4.1, 6.3), (1.7, 2.5), (1.74, 2.75)),
    "bus": ((10.0, 13.2), (2.5, 3.1), (2.9, 4.5)),
    "box_lorry": ((6.0, 10.0), (2.2, 3.0), (2.9, 4.0)),
    "tipper": ((6.9, 9.0), (2.4, 3.0), (2.4, 4.0)),
    "tanker": ((7.9, 10.7), (2.4, 3.0), (2.7, 4.0)),
    "articulated": ((15.7, 16.6), (2.5, 3.0), (3.6, 4.02)),
    "motorcycle": ((1.6, 2.4), (0.6, 1.1), (1.0, 1.4)),
}
LABELS = {
    "bus": BUS,
    "box_lorry": TRUCK,
    "tipper": TRUCK,
    "tanker": TRUCK,
    "articulated": TRUCK,
    "motorcycle": MOTORCYCLE,
}
PEOPLE: dict[str, tuple[Maker, set[int]]] = {
    "person": (person, {PERSON}),
    "cyclist": (cyclist, {RIDER, BICYCLE}),
    "motorcyclist": (motorcyclist, {RIDER, MOTORCYCLE}),
    "bicycle": (bicycle, {BICYCLE}),
}
MAKERS: dict[str, Maker] = {**VEHICLES, **{name: maker for name, (maker, _) in PEOPLE.items()}}


@cache
def made(maker: Maker, seed: int) -> Mesh:
    return maker(np.random.default_rng(seed))


def many(maker: Maker, count: int = 12) -> list[Mesh]:
    return [made(maker, seed) for seed in range(count)]


def first_faces(mesh: Mesh, start: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """For each ray from a start that hits: whether it meets the front of a triangle."""
    corners = mesh.vertices[mesh.triangles].astype(float)
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    across = np.cross(a, b)
    found = []
    for origin, way in zip(start, direction, strict=True):
        p = np.cross(way, b)
        scale = np.einsum("tk,tk->t", a, p)
        scale = np.where(np.abs(scale) < 1e-12, np.nan, scale)
        reach = origin - corners[:, 0]
        q = np.cross(reach, a)
        u, v = np.einsum("tk,tk->t", reach, p) / scale, q @ way / scale
        t = np.einsum("tk,tk->t", q, b) / scale
        hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)
        if hit.any():
            first = int(np.where(hit, t, np.inf).argmin())
            found.append(across[first] @ way < 0)
    return np.array(found)


@pytest.mark.parametrize("kind", sorted(VEHICLES))
def test_vehicles_have_real_sizes_and_stand_on_the_ground(kind: str) -> None:
    for mesh in many(VEHICLES[kind], 12):
        low, high = mesh.bounds()
        for extent, (least, most) in zip(high - low, SIZES[kind], strict=True):
            assert least <= extent <= most
        assert abs(low[2]) < 0.01
        assert abs(low[0] + high[0]) < 0.5 and abs(low[1] + high[1]) < 0.3
        assert set(mesh.label.tolist()) == {LABELS.get(kind, CAR)}
        assert len(mesh.triangles) <= (2200 if kind not in LABELS else 3000)


@pytest.mark.parametrize("kind", sorted(set(VEHICLES) - {"motorcycle"}))
def test_daylight_shows_under_vehicles(kind: str) -> None:
    wheel = [INDEX["rubber"], INDEX["metal"]]
    for mesh in many(VEHICLES[kind], 12):
        body = mesh.triangles[~np.isin(mesh.material, wheel)]
        assert mesh.vertices[body][..., 2].min() > 0.13


def test_people_have_real_sizes() -> None:
    heights = np.array([np.diff(mesh.bounds(), axis=0)[0, 2] for mesh in many(person, 80)])
    assert 1.0 < heights.min() and heights.max() < 2.1
    assert 1.55 < np.median(heights) < 1.80
    for mesh in many(person, 20):
        low, high = mesh.bounds()
        assert abs(low[2]) < 0.01
        assert np.all(high[:2] - low[:2] < (1.5, 1.0))
    for mesh in many(cyclist):
        length, width, height = np.diff(mesh.bounds(), axis=0)[0]
        assert 1.6 < length < 2.0 and 0.4 < width < 0.95 and 1.5 < height < 2.05


@pytest.mark.parametrize("name", sorted(PEOPLE))
def test_people_and_bicycles_have_their_labels(name: str) -> None:
    maker, labels = PEOPLE[name]
    for mesh in many(maker):
        assert set(mesh.label.tolist()) == labels
        assert abs(mesh.bounds()[0, 2]) < 0.01


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_meshes_are_sound_and_repeatable(name: str) -> None:
    for seed, mesh in enumerate(many(MAKERS[name], 4)):
        again = MAKERS[name](np.random.default_rng(seed))
        np.testing.assert_array_equal(mesh.vertices, again.vertices)
        np.testing.assert_array_equal(mesh.tint, again.tint)
        assert np.isfinite(mesh.vertices).all() and np.isfinite(mesh.uv).all()
        used = np.unique(mesh.triangles)
        np.testing.assert_allclose(np.linalg.norm(mesh.normals[used], axis=1), 1, atol=1e-3)
        assert mesh.material.max() < len(MATERIALS)
        assert mesh.tint.min() >= 0 and mesh.tint.max() <= 1


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_what_is_seen_from_outside_are_front_faces(name: str) -> None:
    rng = np.random.default_rng(5)
    seen = []
    for mesh in many(MAKERS[name], 3):
        low, high = mesh.bounds()
        middle, reach = (low + high) / 2, float(np.linalg.norm(high - low))
        angle = rng.uniform(0, 2 * np.pi, 60)
        out = np.stack([np.cos(angle), np.sin(angle), rng.uniform(0.0, 0.6, 60)], 1)
        target = middle + (rng.random((60, 3)) - 0.5) * (high - low)
        seen.append(first_faces(mesh, target + reach * out, -out))
    faces = np.concatenate(seen)
    assert len(faces) > 15
    assert faces.mean() > 0.975


def test_kinds_are_drawn_as_often_as_on_the_road(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = made(VEHICLES["suv"], 0)
    for kind in VEHICLES:  # only the kinds count here
        monkeypatch.setitem(VEHICLES, kind, lambda _rng: mesh)
    rng = np.random.default_rng(0)
    kinds = [draw(rng)[0] for _ in range(2000)]
    cars = np.isin(kinds, ["hatchback", "saloon", "estate", "suv", "people_carrier"]).mean()
    assert 0.65 < cars < 0.8
    assert set(kinds) == set(VEHICLES)


def test_own_body_keeps_the_shape() -> None:
    mesh = VEHICLES["suv"](np.random.default_rng(1))
    own = as_own_body(mesh)
    assert set(own.label.tolist()) == {OWN_BODY}
    np.testing.assert_array_equal(own.vertices, mesh.vertices)
