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

"""The network that comes with the package: it loads, says what it is, and measures depth."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from test_lidar import SHARED

from depth_perception import resources
from depth_perception.cli.main import main
from depth_perception.datasets.bag import BagReader
from depth_perception.errors import ModelError
from depth_perception.estimators.fused import FusedEstimator
from depth_perception.evaluation.evaluate import evaluate
from depth_perception.evaluation.scores import Evaluation
from depth_perception.inference.model_file import read_fused_model
from depth_perception.parameters import Parameters, from_flat, load
from depth_perception.pipeline import SurroundPipeline
from depth_perception.resources import config_file, weights_file

BOUND = 0.4
"""AbsRel that depth from wrong geometry, or from a network that is not run as trained, exceeds."""


def test_the_file_is_the_small_network_and_serves_every_rig() -> None:
    path = weights_file(gpu=False)
    model = read_fused_model(path)
    assert (path.name, model.name, model.output) == ("lite_int8.onnx", "lite int8", "depth")
    assert (model.cameras, model.height, model.width) == (None, None, None)
    assert 100 <= model.farthest <= 300 and len(model.weights_hash) == 64
    assert model.facts["training"]["system"] == "fused"
    assert path.stat().st_size < 6e6


@pytest.mark.parametrize("size", ["lite", "base"])
def test_the_weights_to_train_on_from_are_of_the_present_format(size: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch reads the checkpoints")
    from depth_perception.network.checkpoint import VERSION, load_checkpoint
    from depth_perception.network.configuration import SIZES

    path = resources.WEIGHTS_FOLDER / f"{size}.pt"
    network, facts = load_checkpoint(path)
    assert network.configuration == SIZES[size] and facts["training"]["system"] == "fused"
    content = torch.load(path, weights_only=True)
    assert content["version"] == VERSION and list(content["state"]) == list(network.state_dict())


def test_the_file_that_runs_was_made_of_the_weights_beside_it() -> None:
    pytest.importorskip("torch", reason="PyTorch reads the checkpoint")
    from depth_perception.network.checkpoint import load_checkpoint
    from depth_perception.network.export import weights_hash

    network, _ = load_checkpoint(resources.WEIGHTS_FOLDER / "lite.pt")
    assert read_fused_model(weights_file(gpu=False)).weights_hash == weights_hash(network)


def test_with_motion_a_file_runs_that_takes_measured_depth() -> None:
    path = weights_file(gpu=False, measured=True)
    model = read_fused_model(path)
    assert path.name == resources.MEASURED_WEIGHTS and model.measured
    assert path.stat().st_size < 6e6
    moving = SurroundPipeline(from_flat({}))
    standing = SurroundPipeline(from_flat({"motion.enabled": False}))
    assert path.name in moving.estimator.model and path.name not in standing.estimator.model
    moving.close()
    standing.close()


def test_the_file_for_motion_has_the_weights_of_the_other() -> None:
    pytest.importorskip("torch", reason="PyTorch reads the checkpoint")
    from depth_perception.network.checkpoint import load_checkpoint, with_measured_input
    from depth_perception.network.export import weights_hash

    network, _ = load_checkpoint(resources.WEIGHTS_FOLDER / "lite.pt")
    made = read_fused_model(weights_file(gpu=False, measured=True)).weights_hash
    assert made == weights_hash(with_measured_input(network)) != weights_hash(network)


def evaluated(bag: Path, parameters: Parameters) -> Evaluation:
    with BagReader(bag, parameters) as reader:
        pipeline = SurroundPipeline(parameters)
        assert pipeline.estimator.name == "fused"
        found = evaluate(reader, pipeline)
        pipeline.close()
    return found


def test_depth_of_a_synthetic_drive(tmp_path: Path) -> None:
    pytest.importorskip("warp", reason="NVIDIA Warp renders the world")
    bag = tmp_path / "drive"
    arguments = ["--seed", "90210", "--rig", "nuscenes", "--width", "480", "--rate", "5"]
    scene = ["--seconds", "0.1", "--setting", "suburb", "--weather", "clear", "--samples", "1"]
    assert main(["world", "--output", str(bag), *arguments, *scene]) == 0
    e = evaluated(bag, from_flat({}))
    assert e.exact is not None and e.embodied is not None
    assert e.exact.all.images == 6 and e.exact.all.metric.coverage > 0.9
    assert e.exact.all.metric.abs_rel < BOUND
    assert e.over_cameras.metric.abs_rel < BOUND
    assert all(camera.embodied is not None for camera in e.exact.cameras.values())


def test_depth_of_a_real_drive() -> None:
    bag = SHARED / "bags" / "nuscenes_sample"
    if not bag.exists():
        pytest.skip(f"no real drive at {bag}")
    e = evaluated(bag, load(config_file("nuscenes.yaml")))
    assert (e.images, set(e.image_size.values())) == (6, {(640, 352)})
    assert e.over_cameras.metric.coverage > 0.9
    assert e.over_cameras.metric.abs_rel < BOUND
    # The road's depth comes from calibration: the network must not lose it.
    assert e.road["depth image"][-1].a10 > 0.8


def weights_in(folder: Path, *names: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the package have these weights only, each a copy of the small network's."""
    folder.mkdir()
    for name in names:
        shutil.copy(weights_file(gpu=False), folder / name)
    monkeypatch.setattr(resources, "WEIGHTS_FOLDER", folder)


def test_a_gpu_gets_the_large_network_where_it_is_there_and_else_the_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights_in(tmp_path / "both", "base_fp16.onnx", "lite_int8.onnx", monkeypatch=monkeypatch)
    assert weights_file(gpu=True).name == "base_fp16.onnx"
    assert weights_file(gpu=False).name == "lite_int8.onnx"
    weights_in(tmp_path / "lite", "lite_int8.onnx", monkeypatch=monkeypatch)
    assert weights_file(gpu=True).name == "lite_int8.onnx"


def test_weights_that_are_absent_or_damaged_are_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights_in(tmp_path / "damaged", "lite_int8.onnx", monkeypatch=monkeypatch)
    file = tmp_path / "damaged" / "lite_int8.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"lite_int8\.onnx' was changed") as caught:
        SurroundPipeline(from_flat({}))
    assert "install depth_perception again" in caught.value.fix
    assert "estimator: embodied" in caught.value.fix
    file.unlink()
    with pytest.raises(ModelError, match=r"lacks its network.*lite_int8\.onnx") as caught:
        SurroundPipeline(from_flat({}))
    assert "install depth_perception again" in caught.value.fix
    SurroundPipeline(from_flat({"estimator": "embodied"})).close()


@pytest.mark.parametrize("asked", [0, 640, 384])
def test_the_networks_width_is_as_asked_and_that_of_depth_is_not(asked: int) -> None:
    parameters = from_flat({"fused.width": asked})
    made = FusedEstimator(parameters, None)
    assert made.width == asked
    # nuScenes, DDAD, KITTI at its own width: where the nearest size is not near, the wish stands.
    assert made.grid((640, 360)) == (640, 352)
    assert made.grid((640, 402)) == (640, 416)
    assert made.grid((1242, 375)) == (1242, 375)


def test_the_sources_own_pixels_are_kept_where_they_are_asked_for() -> None:
    parameters = from_flat({"output.image_width": 0})
    made = FusedEstimator(parameters, None)
    assert made.grid((640, 360)) == (640, 360)
