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

"""Measured depth at run time: it reaches the network pixel by pixel, where there is some."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import tiny_fused

from depth_perception.estimators.fused import FusedEstimator
from depth_perception.frames.frame_set import CameraFrame, FrameSet
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.camera_view import camera_view
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import Rig, RigCamera
from depth_perception.inference.network_inputs import network_measured, network_rays
from depth_perception.motion.measured_depth import Kind, MeasuredDepth
from depth_perception.motion.result_propagation import CarriedResult
from depth_perception.motion.surround_motion import Motion
from depth_perception.parameters import from_flat
from depth_perception.pipeline import SurroundPipeline

MODEL = CameraModel(128, 64, np.array([[90.0, 0, 63.5], [0, 90.0, 20.0], [0, 0, 1]]))
SLOW = 100_000_000
"""Between frame sets, ns."""


@pytest.fixture(scope="module")
def follows(tmp_path_factory):
    """A network that says: depth is the plane's, but what is measured is right."""
    torch = pytest.importorskip("torch", reason="PyTorch makes the networks")
    made = tiny_fused.network(plane=True, measured=True)
    with torch.no_grad():
        made.measured_out.head.bias.copy_(torch.tensor([-30.0, -30.0, -30.0, 0.0, 0.0]))
    folder = tmp_path_factory.mktemp("follows")
    from depth_perception.network.checkpoint import save_checkpoint

    save_checkpoint(folder / "m.pt", made, {})
    return tiny_fused.model(folder / "m.onnx", made)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The same without measured depth."""
    path = tmp_path_factory.mktemp("plain") / "m.onnx"
    return tiny_fused.model(path, tiny_fused.network(plane=True))


def mounted(name: str, **more) -> RigCamera:
    T = np.eye(4)
    T[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    T[:3, 3] = [1.0, 0.0, 1.5]
    return RigCamera(name, MODEL, T, name, MODEL, **more)


RIG = Rig({name: mounted(name) for name in ("a", "b")}, "base_link")


def images(stamp: int = 1, names: tuple[str, ...] = ("a", "b")) -> FrameSet:
    frames = {}
    for name in names:
        rng = np.random.default_rng(ord(name))
        frames[name] = CameraFrame(stamp, rng.integers(0, 256, (64, 128, 3), dtype=np.uint8))
    return FrameSet(stamp, frames)


def wall(depth: float, rows: slice = slice(0, 32), columns: slice = slice(0, 64)) -> MeasuredDepth:
    """A wall in a part of a matching grid of half the images' size, sure to 0.1 %."""
    w = np.full((32, 64), np.nan, np.float32)
    w[rows, columns] = 1 / depth
    kind = np.where(np.isnan(w), Kind.NOTHING, Kind.PARALLAX).astype(np.uint8)
    return MeasuredDepth(w, (w * 1e-3).astype(np.float32), kind)


def pipeline(path, **values) -> SurroundPipeline:
    names = {key.replace("__", "."): value for key, value in values.items()}
    return SurroundPipeline(
        from_flat({"estimator": "fused", "fused.model": str(path), "occupancy.size": 4.0, **names})
    )


def measuring(made: SurroundPipeline, monkeypatch, **measured: MeasuredDepth) -> None:
    """Let motion have measured this."""
    assert made.motion is not None
    results = made.motion.results

    def update(*_):
        results.forget()  # as where the way is not known: each camera is looked at
        return Motion(measured=measured, ground=made.ground)

    monkeypatch.setattr(made.motion, "update", update)


@pytest.mark.parametrize("kind", ["onnx", "torch"])
def test_what_is_measured_reaches_the_output(follows, monkeypatch, kind):
    path = follows if kind == "onnx" else follows.with_suffix(".pt")
    made = pipeline(path, motion__enabled=True)
    without = made.process(images(), RIG)
    measuring(made, monkeypatch, a=wall(7.0, rows=slice(0, 16)))
    result = made.process(images(2), RIG)
    a = result.cameras["a"]
    np.testing.assert_allclose(a.depth[:28], 7.0, rtol=2e-3)
    assert np.median(a.confidence[:28]) > 0.99  # as sure as the measurement, not as the network
    np.testing.assert_array_equal(a.depth[40:], without.cameras["a"].depth[40:])
    # The other camera, of which nothing is measured, is what it was, bit for bit.
    np.testing.assert_array_equal(result.cameras["b"].depth, without.cameras["b"].depth)
    np.testing.assert_array_equal(result.cameras["b"].confidence, without.cameras["b"].confidence)
    # The next set, of which nothing is measured, does not remember it.
    measuring(made, monkeypatch)
    again = made.process(images(3), RIG)
    np.testing.assert_array_equal(again.cameras["a"].depth, without.cameras["a"].depth)
    made.close()


def test_a_missing_camera_leaves_the_others(follows, monkeypatch):
    made = pipeline(follows, motion__enabled=True)
    measuring(made, monkeypatch, a=wall(7.0), b=wall(9.0))
    both = made.process(images(), RIG)
    np.testing.assert_allclose(both.cameras["b"].depth, 9.0, rtol=2e-3)
    measuring(made, monkeypatch, b=wall(9.0))
    one = made.process(images(2, names=("b",)), RIG)
    assert set(one.cameras) == {"b"}
    np.testing.assert_array_equal(one.cameras["b"].depth, both.cameras["b"].depth)
    made.close()


def test_the_first_set_and_a_standing_vehicle_are_the_image_alone(follows):
    off, on = pipeline(follows, motion__enabled=False), pipeline(follows)
    for number in range(3):
        frame_set = images(1 + number * SLOW)
        wanted, found = off.process(frame_set, RIG), on.process(frame_set, RIG)
        assert found.motion is not None and wanted.motion is None
        for name in ("a", "b"):
            assert (
                found.cameras[name].measured is None
                or not np.isfinite(found.cameras[name].measured).any()
            )
            np.testing.assert_array_equal(found.cameras[name].depth, wanted.cameras[name].depth)
    assert found.motion.source == "standing"
    off.close()
    on.close()


def test_a_file_without_it_works_as_ever(plain, monkeypatch):
    off, on = pipeline(plain, motion__enabled=False), pipeline(plain)
    measuring(on, monkeypatch, a=wall(7.0))
    wanted, found = off.process(images(), RIG), on.process(images(), RIG)
    np.testing.assert_array_equal(found.cameras["a"].depth, wanted.cameras["a"].depth)
    assert np.isfinite(found.cameras["a"].measured).any()
    off.close()
    on.close()


def test_own_body_and_what_no_lens_sees_is_not_measured(follows):
    ego = np.zeros((64, 128), bool)
    ego[40:] = True
    camera = replace(mounted("a"), ego_mask=ego)
    parameters = from_flat({"estimator": "fused", "fused.model": str(follows)})
    estimator = FusedEstimator(parameters, None)
    view = camera_view(camera, GroundPlane(), 0, (128, 64))
    with ThreadPoolExecutor(1) as pool:
        estimator.estimate({"a": view}, images().frames, pool, measured={"a": wall(7.0)})
    (batch,) = estimator._batches.values()
    given = batch.session.buffer("measured")[0]
    assert (given[:, 10:] == 0).all() and (given[0, :10] > 6.9).all()
    estimator.close()


def test_measured_depth_is_read_where_each_ray_is():
    """On a plane, from grids of any size, to a thousandth: half a pixel would be per cents."""
    focal, height = 400.0, 1.5
    size = (512, 288)
    K = np.array([[focal, 0, 255.5], [0, focal, 100.0], [0, 0, 1]])
    model = CameraModel(*size, K)
    slope = network_rays(model, size)[1]
    for grid in ((416, 234), (832, 468), (512, 288)):
        rays = model.resized(*grid).rays()
        w = np.where(rays[..., 1] > 0.02, rays[..., 1] / height, np.nan).astype(np.float32)
        found = network_measured(w, 0.05 * w, size)
        inside = slope > 0.03
        # The outermost pixels lie beyond the centres of the grid's.
        inside[-1] = False
        np.testing.assert_allclose(found[0][inside], height / slope[inside], rtol=2e-3)
        np.testing.assert_allclose(found[1][inside], 0.05, rtol=1e-3)
        assert (found[:, slope < 0.01] == 0).all()


def test_no_depth_between_two_surfaces_is_made():
    w = np.full((36, 64), 1 / 30.0, np.float32)
    w[:, 33:] = 1 / 5.0
    w[:10] = np.nan
    found = network_measured(w, 0.01 * w, (320, 160))
    assert set(np.unique(np.round(found[0], 3))) == {0.0, 5.0, 30.0}


class Past:
    """Results of past images: camera b is not due."""

    def __init__(self, carried):
        self.of_b, self.kept = carried, []

    def due(self, names, pool):
        return [name for name in names if name != "b"]

    def carried(self, name, size):
        assert name == "b" and size == (128, 64)
        return self.of_b

    def keep(self, name, depth, confidence, road):
        self.kept.append((name, depth.copy()))


def test_a_camera_that_is_not_due_has_its_past_result(plain, monkeypatch):
    made = pipeline(plain, motion__enabled=True)
    assert made.motion is not None
    shape = (64, 128)
    depth = np.full(shape, 9.0, np.float32)
    depth[:20] = np.inf
    carried = CarriedResult(depth, np.full(shape, 0.6, np.float32), np.ones(shape, np.float32))
    made.motion.results = past = Past(carried)
    monkeypatch.setattr(made.motion, "update", lambda *_: Motion(ground=made.ground))
    found = made.process(images(), RIG).cameras
    assert [name for name, _ in past.kept] == ["a"]
    near = np.isfinite(found["a"].depth)
    np.testing.assert_array_equal(found["a"].depth[near], past.kept[0][1][near])
    np.testing.assert_array_equal(found["b"].depth, depth)
    assert (found["b"].confidence[20:] == np.float32(0.6)).all()
    assert not found["b"].confidence[:20].any(), "nothing is known there"
    past.of_b = None
    result = made.process(images(2), RIG)
    assert "waits for its turn" in result.missing["b"] and "b" not in result.cameras
    made.close()
