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

"""Relative depth: scale and shift are found on the road, whatever stands there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from tiny_onnx import write_model

from depth_perception.errors import ConfigurationError, ModelError
from depth_perception.estimators.relative_description import read_description
from depth_perception.estimators.scale_fit import Fit, fit, fit_depth
from depth_perception.frames.frame_set import CameraFrame, FrameSet
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.camera_view import camera_view
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import Rig, RigCamera
from depth_perception.geometry.surface import Surface
from depth_perception.geometry.transforms import OPTICAL_AXES
from depth_perception.inference.onnx_session import CPU
from depth_perception.parameters import from_flat
from depth_perception.pipeline import SurroundPipeline
from depth_perception.segmentation.sources import Segmentation

CONFIG = Path(__file__).resolve().parents[1] / "config" / "relative"
MODEL = CameraModel(64, 64, np.array([[60.0, 0, 31.5], [0, 60.0, 20.0], [0, 0, 1]]))
STEP = 1 / 300
"""Inverse depth of one grey level of the images here, 1/m."""


def test_scale_and_shift_are_found_among_outliers():
    rng = np.random.default_rng(0)
    inverse = 1 / rng.uniform(3, 40, 4000)
    relative = (inverse - 0.02) / 0.5
    noisy = relative * (1 + rng.normal(0, 0.01, 4000))
    clean = fit(relative, inverse)
    assert (clean.scale, clean.shift) == pytest.approx((0.5, 0.02), rel=1e-6)
    assert clean.error < 1e-6
    noisy[:1000] += rng.uniform(0.1, 0.5, 1000)  # a quarter stands on the road, and is nearer
    found = fit(noisy, inverse)
    assert found.scale == pytest.approx(0.5, rel=0.03)
    assert found.shift == pytest.approx(0.02, abs=0.002)


def test_what_cannot_be_fitted_is_not():
    inverse = 1 / np.linspace(3, 40, 1000)
    assert fit(inverse[:50], inverse[:50]) is None  # too few
    assert fit(np.ones(1000), inverse) is None  # the same everywhere
    assert fit(-inverse, inverse) is None  # nearer comes out farther
    assert fit(np.full(1000, np.nan), inverse) is None
    assert fit(inverse, np.full(1000, 0.1)) is None  # one distance says nothing of the scale


def mounted(name: str, yaw: float = 0.0) -> RigCamera:
    T = np.eye(4)
    c, s = np.cos(yaw), np.sin(yaw)
    T[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ OPTICAL_AXES
    T[:3, 3] = [0.0, 0.0, 1.5]
    return RigCamera(name, MODEL, T, name, MODEL)


def description(folder: Path, kind: str = "inverse", output: dict | None = None) -> Path:
    path = folder / f"{kind}.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "model": "relative.onnx",
                "input": {"width": 64, "height": 64, "color": "bgr", "scale": 1.0},
                "output": output or {"name": "blue", "kind": kind},
            }
        )
    )
    return path


@pytest.fixture
def grey(tmp_path):
    """A network whose output is the image's blue, times 0.25, and 10 more: scale and shift."""
    write_model(tmp_path / "relative.onnx", {"blue": [[0.25, 0, 0]]}, (64, 64), bias=10.0)
    return tmp_path


class Everywhere:
    """Everything below the horizon is road, but for a block that is not seen as such."""

    name = provider = "test"

    def segment(self, view, frame, image):
        road = view.inverse_plane > 0
        return Segmentation(np.where(road, Surface.ROAD, Surface.OTHER).astype(np.uint8))


def scene(factor: float = 1.0) -> np.ndarray:
    """Inverse depth of a road with a box on it, in steps: what the network here sees."""
    inverse = camera_view(mounted("a"), GroundPlane(), 0).inverse_plane.copy()
    inverse[25:45, 20:35] = 1 / 4.0
    image = np.zeros((64, 64, 3), np.uint8)
    image[..., 0] = np.clip(np.round(inverse / STEP * factor), 0, 255)
    return image


def pipeline(path, source, **values):
    flat = {"estimator": "relative", "relative.model": str(path), "occupancy.size": 4.0, **values}
    return SurroundPipeline(from_flat(flat), source=source)


def run(made, **scenes):
    rig = Rig({name: mounted(name) for name in scenes}, "base_link")
    frames = {name: CameraFrame(1, image) for name, image in scenes.items()}
    result = made.process(FrameSet(1, frames), rig)
    made.close()
    return result


def test_a_scene_of_unknown_scale_is_measured_by_its_road(grey):
    result = run(pipeline(description(grey), Everywhere()), a=scene())
    camera = result.cameras["a"]
    assert (result.estimator, result.provider, result.model) == ("relative", CPU, "relative.onnx")
    near = (camera.plane < 10) & (camera.plane > 2)
    near[20:50, 15:40] = False
    assert np.abs(camera.depth[near] / camera.plane[near] - 1).max() < 0.06
    assert np.median(camera.depth[28:42, 22:33]) == pytest.approx(4.0, rel=0.04)
    assert np.isinf(camera.depth[:15, 50:]).all()
    assert camera.confidence[near].mean() > 0.5 > camera.confidence[:15, 50:].max()


def test_a_camera_that_disagrees_with_the_rig_gets_its_own_scale(grey):
    made = pipeline(description(grey), Everywhere())
    result = run(made, a=scene(), b=scene(), c=scene(factor=0.6))
    for name in "abc":
        block = result.cameras[name].depth[28:42, 22:33]
        assert np.median(block) == pytest.approx(4.0, rel=0.06), name


def test_a_camera_without_road_takes_the_rigs_scale(grey):
    class NotThere(Everywhere):
        def segment(self, view, frame, image):
            found = super().segment(view, frame, image)
            if view.source.name == "b":
                found.surface[:] = Surface.OTHER
            return found

    result = run(pipeline(description(grey), NotThere()), a=scene(), b=scene())
    np.testing.assert_array_equal(result.cameras["a"].depth, result.cameras["b"].depth)
    alone = run(pipeline(description(grey), NotThere()), b=scene())
    assert alone.cameras == {}
    assert "no camera sees enough road" in alone.missing["b"]


def test_kinds_of_output(grey):
    # Metres as they are: blue / 4 + 10.
    result = run(
        pipeline(description(grey, "metric"), Everywhere()), a=np.full((64, 64, 3), 20, np.uint8)
    )
    np.testing.assert_allclose(result.cameras["a"].depth, 15.0, rtol=1e-5)
    # Depth of unknown scale and shift of its inverse: no shift here, so the road must say the same.
    write_model(grey / "relative.onnx", {"blue": [[1.0, 0, 0]]}, (64, 64))
    inverse = camera_view(mounted("a"), GroundPlane(), 0).inverse_plane
    with np.errstate(divide="ignore"):
        metres = np.clip(np.round(10 / inverse), 0, 250)
    image = np.repeat(metres[..., None], 3, axis=2).astype(np.uint8)
    camera = run(pipeline(description(grey, "depth"), Everywhere()), a=image).cameras["a"]
    near = (camera.plane < 12) & (camera.plane > 2)
    assert np.abs(camera.depth[near] / camera.plane[near] - 1).max() < 0.05


def test_depth_of_unknown_scale_and_shift_is_measured_by_its_road(grey):
    # Z = 3 d + 2 m where d is what comes out: inverse depth of it is no line.
    inverse = camera_view(mounted("a"), GroundPlane(), 0).inverse_plane
    write_model(grey / "relative.onnx", {"blue": [[0.05, 0, 0]]}, (64, 64))
    with np.errstate(divide="ignore"):
        d = np.where(inverse > 0, (1 / inverse - 2) / 3, 12.7)
    d[25:45, 20:35] = (4.0 - 2) / 3
    image = np.repeat(np.clip(np.round(d / 0.05), 0, 255)[..., None], 3, axis=2).astype(np.uint8)
    camera = run(pipeline(description(grey, "depth"), Everywhere()), a=image).cameras["a"]
    near = (camera.plane < 30) & (camera.plane > 2.3)
    near[20:50, 15:40] = False
    assert np.abs(camera.depth[near] / camera.plane[near] - 1).max() < 0.05
    assert np.median(camera.depth[28:42, 22:33]) == pytest.approx(4.0, rel=0.03)
    # In numbers: the line itself, and what comes out behind the lens is unknown.
    depth = np.linspace(3, 40, 1000)
    found = fit_depth((depth - 2) / 3, 1 / depth)  # the estimator gives it 1 / d
    assert found is None  # nearer comes out farther
    found = fit_depth(3 / (depth - 2), 1 / depth)
    assert (found.scale, found.shift) == pytest.approx((3, 2), rel=1e-5)
    assert found.inverse_depth(np.array([0.0, 1.0], np.float32)) == pytest.approx([0, 0.2])
    assert np.isnan(Fit(3.0, -2.0, 0.0, of_depth=True).inverse_depth(np.array([2.0])))


@pytest.mark.parametrize("kind", ["metric", "depth"])
def test_zeros_of_depth_are_unknown(grey, kind):
    write_model(grey / "relative.onnx", {"blue": [[0.25, 0, 0]]}, (64, 64))
    inverse = camera_view(mounted("a"), GroundPlane(), 0).inverse_plane
    with np.errstate(divide="ignore"):
        image = np.clip(np.round(4 / inverse), 0, 250)[..., None].repeat(3, axis=2)
    image[40:50, 10:20] = 0
    result = run(pipeline(description(grey, kind), Everywhere()), a=image.astype(np.uint8))
    camera = result.cameras["a"]
    assert np.isnan(camera.depth[40:50, 10:20]).all()
    assert np.isnan(camera.depth).sum() <= 12 * 12
    assert np.nanmin(camera.depth) > 1.5
    assert (camera.confidence[40:50, 10:20] == 0).all()


def test_a_wrong_kind_is_named_not_the_road(grey):
    result = run(pipeline(description(grey, "depth"), Everywhere()), a=scene())
    assert result.cameras == {}
    assert "output.kind depth" in result.missing["a"]
    assert "enough road" not in result.missing["a"]


def test_a_camera_off_the_rigs_scale_says_so_in_its_confidence(grey):
    # 7 % off: too little for a fit of its own, too much for the confidence of the others.
    scenes = {"a": scene(), "b": scene(factor=1.07), "c": scene()}
    result = run(pipeline(description(grey), Everywhere()), **scenes)
    at = np.s_[44:48, 45:60]
    assert result.cameras["b"].depth[at].mean() < 0.95 * result.cameras["a"].depth[at].mean()
    assert result.cameras["a"].confidence[at].min() > 0.9
    assert result.cameras["b"].confidence[at].max() < 0.75


def test_an_image_of_a_wrong_shape_concerns_its_camera_alone(grey):
    result = run(pipeline(description(grey), Everywhere()), a=scene(), b=scene()[..., 0])
    assert list(result.cameras) == ["a"]
    assert "an image of the shape [64, 64]" in result.missing["b"]


def test_closing_twice_is_harmless_and_the_end(grey):
    made = pipeline(description(grey), Everywhere())
    made.estimator.close()
    made.estimator.close()
    assert made.estimator.provider == CPU
    assert "closed" in run(made, a=scene()).missing["a"]


@pytest.mark.parametrize("name", sorted(path.name for path in CONFIG.glob("*.yaml")))
def test_descriptions_of_public_networks_lack_only_the_weights(name, tmp_path, monkeypatch):
    monkeypatch.delenv("DEPTH_PERCEPTION_MODELS", raising=False)
    with pytest.raises(ModelError, match="is not found"):
        read_description(CONFIG / name)
    content = yaml.safe_load((CONFIG / name).read_text())
    (tmp_path / content["model"]).touch()
    monkeypatch.setenv("DEPTH_PERCEPTION_MODELS", str(tmp_path))
    assert read_description(CONFIG / name).input.color == "rgb"


def test_wrong_descriptions_are_refused_by_key(grey):
    with pytest.raises(ConfigurationError, match=r"relative\.model is empty"):
        SurroundPipeline(from_flat({"estimator": "relative"}))
    for output, said in (
        ({"name": "blue", "kind": "disparity"}, "output.kind"),
        ({"kind": "inverse"}, "neither name nor index"),
        ({"name": "blue", "sort": 1}, "sort"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            read_description(description(grey, output=output))
    with pytest.raises(ModelError, match="output green"):
        pipeline(description(grey, output={"name": "green"}), Everywhere())
