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

"""Textures and buildings of the synthetic world."""

from __future__ import annotations

import numpy as np
import pytest

from depth_perception.datasets import labels
from depth_perception.world.objects import buildings
from depth_perception.world.objects.mesh import Mesh
from depth_perception.world.surfaces.facade_textures import DWELLINGS, OFFICES
from depth_perception.world.surfaces.materials import INDEX, MATERIALS
from depth_perception.world.surfaces.surface_textures import OWN_COLOURS, texture_set
from depth_perception.world.surfaces.tiling_noise import fractal


@pytest.fixture(scope="module")
def textures():
    return texture_set(3, 128)


def linear(texture):
    return (texture[..., :3] / 255.0) ** 2


def test_textures_cover_all_materials(textures):
    assert textures.shape == (len(MATERIALS), 128, 128, 4)
    assert textures.dtype == np.uint8


@pytest.mark.parametrize("axis", [0, 1])
def test_textures_have_no_seam(textures, axis):
    for texture, material in zip(textures, MATERIALS, strict=True):
        # A joint or a row of shops may lie on the border: no worse than the worst line inside.
        steps = np.abs(np.diff(texture.astype(int), axis=axis)).mean((1 - axis, 2))
        first, last = texture.take(0, axis).astype(int), texture.take(-1, axis).astype(int)
        assert np.abs(first - last).mean() <= 1.2 * steps.max() + 2, material.name


def test_fractal_has_no_seam():
    field = fractal(np.random.default_rng(0), 128, 1.5)
    inside = np.abs(np.diff(field, axis=0)).mean()
    assert np.abs(field[0] - field[-1]).mean() < 1.5 * inside
    assert field.mean() == pytest.approx(0, abs=1e-5)
    assert field.std() == pytest.approx(1, abs=1e-5)


def test_no_texture_is_flat(textures):
    for texture, material in zip(textures, MATERIALS, strict=True):
        assert texture[..., :3].std((0, 1)).max() > 1.0, material.name


def test_albedo_is_physical(textures):
    for texture, material in zip(textures, MATERIALS, strict=True):
        mean = linear(texture).mean()
        if material.name in OWN_COLOURS or material.name.startswith(("shop", "facade", "ground")):
            assert 0.04 < mean < 0.75, material.name
        else:
            assert 0.6 < mean < 0.92, material.name
    green = linear(textures[INDEX["grass"]]).mean((0, 1))
    assert green[1] > green[0] > green[2]


def test_only_panes_and_metal_mirror(textures):
    for texture, material in zip(textures, MATERIALS, strict=True):
        mirror = texture[..., 3]
        if material.name.startswith(("facade", "shop")):
            pane = mirror > 20
            assert 0.05 < pane.mean() < 0.85, material.name
            assert np.median(linear(texture)[pane]) < 0.5, material.name
        elif material.name != "metal":
            assert not mirror.any(), material.name


def test_facades_differ():
    facades = texture_set(3, 64)[[INDEX[f"facade_{k}"] for k in (*DWELLINGS, *OFFICES)]]
    flat = facades[..., :3].reshape(len(facades), -1).astype(float)
    apart = np.abs(flat[:, None] - flat[None]).mean(-1)
    assert apart[~np.eye(len(flat), dtype=bool)].min() > 8


def test_textures_follow_the_seed():
    a, b, c = texture_set(5, 32), texture_set(5, 32), texture_set(6, 32)
    np.testing.assert_array_equal(a, b)
    assert (a != c).any((1, 2, 3)).all()


BUILDERS = {
    "house": lambda rng: buildings.house(rng, 9.0, 8.0),
    "block": lambda rng: buildings.block(rng, 15.0, 12.0, 5),
    "office": lambda rng: buildings.office(rng, 24.0, 16.0, 7),
    "industrial": lambda rng: buildings.industrial(rng, 25.0, 20.0),
    "garage": buildings.garage,
}
SIZES = {  # least and most width, depth and height
    "house": ((9, 8, 3), (10.5, 10.5, 18)),
    "block": ((15, 12, 14), (17, 14.5, 28)),
    "office": ((24, 16, 20), (26, 19, 42)),
    "industrial": ((25, 20, 5), (26, 22, 14)),
    "garage": ((2.9, 5.5, 2.4), (7.5, 7.5, 6)),
}


def sides(mesh: Mesh):
    a, b, c = (mesh.vertices[mesh.triangles[:, k]].astype(float) for k in range(3))
    return a, np.cross(b - a, c - a)


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("seed", range(12))
def test_buildings(name, seed):
    mesh = BUILDERS[name](np.random.default_rng(seed))
    low, high = mesh.bounds()
    least, most = SIZES[name]
    assert np.all(high - low >= np.array(least) - 1e-3), high - low
    assert np.all(high - low <= most), high - low
    assert low[2] == pytest.approx(0, abs=1e-4)
    assert low[1] >= -1.6
    assert 50 <= len(mesh.triangles) <= 900
    assert set(mesh.label) == {labels.BUILDING}
    assert np.isfinite(mesh.uv).all()
    assert mesh.tint.min() > 0
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-3)

    corner, normal = sides(mesh)
    area = np.linalg.norm(normal, axis=1)
    assert (area > 1e-6).all()
    # Shading normals lie on the side that the winding shows.
    for k in range(3):
        assert ((normal * mesh.normals[mesh.triangles[:, k]]).sum(1) > 0).all()
    # What is widest at the four sides faces outwards.
    for axis, sign, edge in ((1, -1, low[1] + 1.6), (1, 1, high[1] - 0.6)):
        there = (np.abs(normal[:, axis]) > 0.99 * area) & (sign * (corner[:, axis] - edge) > -0.05)
        assert (sign * normal[there, axis]).sum() > 0


def test_buildings_are_deterministic():
    for build in BUILDERS.values():
        a, b = build(np.random.default_rng(4)), build(np.random.default_rng(4))
        np.testing.assert_array_equal(a.vertices, b.vertices)
        np.testing.assert_array_equal(a.tint, b.tint)


def test_facade_bays_are_whole():
    mesh = buildings.block(np.random.default_rng(1), 15.0, 12.0, 5)
    facade = np.isin(mesh.material, [INDEX[f"facade_{k}"] for k in DWELLINGS])
    u = mesh.uv[mesh.triangles[facade].ravel(), 0] / 3.0
    np.testing.assert_allclose(u, np.rint(u), atol=1e-4)
