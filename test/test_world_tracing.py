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

"""The back ends that follow rays agree, with each other and with numbers worked out by hand."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("warp", reason="NVIDIA Warp renders the world")

import warp as wp

from depth_perception.errors import ConfigurationError
from depth_perception.world.objects.mesh import Mesh, SurfaceProperties
from depth_perception.world.output.rigs import make_rig
from depth_perception.world.output.sensors import SensorSuite
from depth_perception.world.render import tracing
from depth_perception.world.render.renderer import View
from depth_perception.world.render.tracing import FAR, TRACERS, Tracer, make_tracer
from depth_perception.world.render.triangles import Triangles
from depth_perception.world.scene.drive import make_drive

NEEDS_EMBREE = pytest.mark.skipif(
    importlib.util.find_spec("embreex") is None, reason="embreex is not installed"
)
BACK_ENDS = [pytest.param(name, marks=NEEDS_EMBREE if name == "embree" else ()) for name in TRACERS]
WALL = SurfaceProperties(0, (0.5, 0.5, 0.5), 2)


def wall(x: float) -> Mesh:
    """A wall of 4 m x 4 m across the x axis, in the yz plane at x."""
    return WALL.quad([[x, -2, -2], [x, 2, -2], [x, 2, 2], [x, -2, 2]])


def vectors(values: Any) -> Any:
    return wp.array(np.asarray(values, np.float32), dtype=wp.vec3, device="cpu")


def nearest_hits(tracer: Tracer, origins: Any, directions: Any) -> tuple[Any, Any, Any]:
    n = len(directions)
    out = (
        wp.empty(n, dtype=wp.float32, device="cpu"),
        wp.empty(n, dtype=wp.int32, device="cpu"),
        wp.zeros(n, dtype=wp.vec2, device="cpu"),
    )
    tracer.nearest_hits(vectors(origins), vectors(directions), *out)
    return out[0].numpy(), out[1].numpy(), out[2].numpy()


def occluded(tracer: Tracer, origins: Any, directions: Any, reach: float) -> Any:
    hidden = wp.empty(len(directions), dtype=wp.uint8, device="cpu")
    tracer.occluded(vectors(origins), vectors(directions), reach, hidden, coherent=False)
    return hidden.numpy()


def loaded(name: str, still: Mesh, moving: Mesh | None) -> tuple[Tracer, Triangles]:
    tracer, triangles = make_tracer(wp, "cpu", name), Triangles(wp, still, "cpu")
    triangles.move(moving)
    tracer.load(triangles, anew=True)
    return tracer, triangles


@pytest.mark.parametrize("name", BACK_ENDS)
def test_rays_meet_what_stands_and_what_moves_where_geometry_says(name: str) -> None:
    still, moving = wall(10.0), wall(6.0)
    tracer, triangles = loaded(name, still, moving)
    a = 1 / np.sqrt(2)
    none = [np.nan] * 3
    directions = [[1, 0.1, 0.05], [-1, 0, 0], none, [0.6, 0.8, 0], [a, a, 0], [1, 0, 0.1]]
    directions = [np.asarray(d) / np.linalg.norm(d) for d in directions]
    # Nine rays are two packets of eight, the second all but empty.
    directions += [directions[0]] * 3
    distance, face, weights = nearest_hits(tracer, [[0, 0, 0]], directions)
    assert distance[0] == pytest.approx(6.0 * np.sqrt(1 + 0.01 + 0.0025), rel=1e-5)
    assert (face[0] >= 2) and (face[[1, 2, 3, 4]] == -1).all()
    assert (distance[[1, 2, 3, 4]] == FAR).all()
    np.testing.assert_array_equal(face[6:], face[0])
    corners = moving.vertices[moving.triangles[face[0] - 2]]
    w = [*weights[0], 1 - weights[0].sum()]
    np.testing.assert_allclose(w @ corners, directions[0] * distance[0], atol=1e-5)
    # Without it, the same ray goes on to the wall behind.
    tracer.load(triangles, anew=triangles.move(None))
    distance, face, _ = nearest_hits(tracer, [[0, 0, 0]], directions)
    assert distance[0] == pytest.approx(10.0 * np.sqrt(1 + 0.01 + 0.0025), rel=1e-5)
    assert face[0] in (0, 1)


@pytest.mark.parametrize("name", BACK_ENDS)
def test_only_what_is_within_reach_hides(name: str) -> None:
    tracer, _ = loaded(name, wall(10.0), wall(6.0))
    origins = [[0, 0, 0.1], [7, 0, 0.1], [0, 0, 0.1], [0, 5, 0.1], [11, 0, 0.1]]
    ahead, none = [1, 0, 0], [np.nan] * 3
    assert occluded(tracer, origins, [ahead] * 5, 5.0).tolist() == [0, 1, 0, 0, 0]
    assert occluded(tracer, origins, [ahead, ahead, none, ahead, ahead], 50.0).tolist() == [
        1,
        1,
        0,
        0,
        0,
    ]


@pytest.mark.parametrize("name", BACK_ENDS)
def test_what_moves_may_grow_from_one_instant_to_the_next(name: str) -> None:
    """Beyond the memory that was set aside: what stands is still there."""
    tracer, triangles = loaded(name, wall(10.0), wall(6.0))
    many = WALL.ellipsoid((0, 0, -5), (1, 1, 1), around=40, down=30)
    grown = triangles.move(many)
    assert grown
    tracer.load(triangles, anew=grown)
    distance, face, _ = nearest_hits(tracer, [[0, 0, 0.1]], [[1, 0, 0], [0, 0, -1]])
    np.testing.assert_allclose(distance, [10.0, 4.1], atol=1e-3)
    assert face[0] < 2 <= face[1]


@pytest.fixture(scope="module")
def both() -> dict[str, SensorSuite]:
    drive = make_drive(4, duration=1.0, setting="suburb", weather="rain", speed=8.0)
    rig = make_rig("fisheye", width=320)
    rig = replace(rig, lidar=replace(rig.lidar, noise=0.0, lost=0.0))
    return {name: SensorSuite(drive, rig, device="cpu", tracer=name) for name in TRACERS}


@NEEDS_EMBREE
@pytest.mark.parametrize("samples", [1, 2])
def test_both_back_ends_see_the_same(both: dict[str, SensorSuite], samples: int) -> None:
    """A wet street through a fisheye, so that all kinds of rays are cast."""
    camera = both["warp"].rig.cameras[0]
    a, b = (both[name].view(camera, 0.2, samples=samples) for name in TRACERS)
    assert {name: suite.tracer for name, suite in both.items()} == {n: n for n in TRACERS}
    assert (a.mirror > 0).any() and (a.instance > 0).any()
    assert share(a, b, "label", 0) > 0.999
    assert share(a, b, "instance", 0) > 0.999
    known = np.isfinite(a.depth)
    np.testing.assert_array_equal(np.isnan(a.depth), np.isnan(b.depth))
    assert np.mean(np.abs(a.depth[known] / b.depth[known] - 1) < 1e-4) > 0.999
    for name in ("normal", "albedo", "mirror", "shading", "radiance"):
        assert share(a, b, name, 2e-3) > 0.999, name


def share(a: View, b: View, name: str, most: float) -> float:
    """Share of pixels that differ by at most so much."""
    difference = np.abs(np.subtract(getattr(a, name), getattr(b, name), dtype=np.float64))
    return float(np.mean(difference <= most))


@NEEDS_EMBREE
def test_both_back_ends_scan_the_same(both: dict[str, SensorSuite]) -> None:
    """Beam by beam: an echo that grazes an edge may be lost by either."""
    lidar = both["warp"].rig.lidar
    beams, points = [], []
    for name in TRACERS:
        found = both[name].scan(0.2)
        x, y, z = found[:, :3].T.astype(float)
        row = np.abs(np.arctan2(z, np.hypot(x, y))[:, None] - lidar.elevations).argmin(1)
        column = np.rint((np.pi - np.arctan2(y, x)) / (2 * np.pi) * lidar.columns)
        beams.append(row * lidar.columns + column.astype(int) % lidar.columns)
        points.append(found)
    same, first, second = np.intersect1d(*beams, return_indices=True)
    assert len(same) > 10000
    assert len(same) > 0.999 * max(len(found) for found in points)
    assert np.mean(np.abs(points[0][first] - points[1][second]).max(axis=1) < 1e-2) > 0.999


def test_without_embree_warp_follows_the_rays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "find_embree", lambda: None)
    monkeypatch.delenv("DEPTH_PERCEPTION_WORLD_TRACER", raising=False)
    assert make_tracer(wp, "cpu").name == "warp"
    with pytest.raises(ConfigurationError, match=r"'embree'.*does not run.*pip install embreex"):
        make_tracer(wp, "cpu", "embree")


@NEEDS_EMBREE
def test_embree_is_the_choice_on_a_cpu_and_never_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEPTH_PERCEPTION_WORLD_TRACER", raising=False)
    assert make_tracer(wp, "cpu").name == "embree"
    assert make_tracer(wp, "cuda:0").name == "warp"
    monkeypatch.setenv("DEPTH_PERCEPTION_WORLD_TRACER", "warp")
    assert make_tracer(wp, "cpu").name == "warp"
    monkeypatch.setenv("DEPTH_PERCEPTION_WORLD_TRACER", "optix")
    with pytest.raises(ConfigurationError, match=r"'optix'.*expected embree or warp"):
        make_tracer(wp, "cpu")
