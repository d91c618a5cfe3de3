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

"""Looks: features of a fixed image encoder, kept on disk, teach as images do."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch trains the networks")
pytest.importorskip("efficientnet_lite_pytorch", reason="the image encoder's wheel")

from test_training_measured import SMALL, _data, _folder, _set  # noqa: E402
from tiny_training import trained  # noqa: E402

from depth_perception.errors import ConfigurationError  # noqa: E402
from depth_perception.network.checkpoint import load_checkpoint  # noqa: E402
from depth_perception.network.fused import FusedSurround  # noqa: E402
from depth_perception.training.configuration import (  # noqa: E402
    LossConfiguration,
    ScheduleConfiguration,
    TrainingConfiguration,
)
from depth_perception.training.fit import train  # noqa: E402
from depth_perception.training.recipe import read  # noqa: E402
from depth_perception.training.systems.fused.looks import Looks, features_of  # noqa: E402
from depth_perception.training.systems.fused.system import Training, _seen  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    return _folder(tmp_path_factory.mktemp("data") / "m", [_set(k) for k in range(5)])


def run(folder: str, kept_in: Path, **data) -> TrainingConfiguration:
    kept = {"looks": 2, "looks_folder": str(kept_in), "workers": 0}
    return TrainingConfiguration(
        network=SMALL,
        data=replace(_data(folder), **{**kept, **data}),
        loss=LossConfiguration(distrust=0.0),
        schedule=ScheduleConfiguration(steps=6, batch=2, warm_up=1, average=0.5, trunk_rate=0.0),
    )


def test_a_look_teaches_what_its_image_would(folder, tmp_path):
    configuration = run(folder, tmp_path)
    network = FusedSurround(SMALL).eval()
    looks = Looks(configuration, network.trunk)
    requests = [(3, 0, 8), (1, 0, 8)]  # look 0 of two images
    batch = looks.batch(requests)
    images = torch.stack([looks._images[(i, 0, i)]["image"] for i, _, _ in requests])
    with torch.inference_mode():
        wanted = _seen(network, {**batch, "image": images})
        found = _seen(network, batch, features_of(batch, configuration.data, True))
    assert torch.allclose(found.log_depth, wanted.log_depth, atol=0.02)  # kept with 16 bits
    assert {"rays", "camera", "depth", "label", "measured"} <= set(batch) and "image" not in batch
    assert torch.equal(batch["label"], torch.stack([looks._images[r]["label"] for r in
                                                    [(3, 0, 3), (1, 0, 1)]]))  # fmt: skip
    other = looks.batch([(3, 0, 9), (1, 0, 9)])
    assert not torch.equal(other["features0"], batch["features0"])


def test_looks_are_made_once_and_found_again(folder, tmp_path, monkeypatch):
    configuration = run(folder, tmp_path)
    trunk = FusedSurround(SMALL).trunk
    requests = [(k, 0, 4) for k in range(3)]
    before = Looks(configuration, trunk).batch(requests)
    again = Looks(configuration, trunk)
    monkeypatch.setattr(again, "_trunk", None)  # nobody computes
    after = again.batch(requests)
    assert all(torch.equal(before[name], after[name]) for name in before if name != "depth")
    np.testing.assert_array_equal(before["depth"], after["depth"])
    # Those of another encoder, or of other changes, are others.
    with torch.no_grad():
        next(trunk.parameters()).add_(0.1)
    assert Looks(configuration, trunk)._folder != again._folder
    larger = replace(configuration, data=replace(configuration.data, crop=(0.9, 1.0)))
    other = Looks(configuration, trunk)._folder
    assert Looks(larger, trunk)._folder != other
    # And those of a data set that was made anew at the same place.
    shard = next(Path(folder).glob("*.tar"))
    os.utime(shard, ns=(0, shard.stat().st_mtime_ns + 1))
    assert Looks(configuration, trunk)._folder != other


def test_two_processes_may_begin_the_same_files(folder, tmp_path):
    configuration = run(folder, tmp_path)
    trunk = FusedSurround(SMALL).trunk
    one, two = Looks(configuration, trunk), Looks(configuration, trunk)
    a, b = one.batch([(0, 0, 0)]), two.batch([(1, 0, 0), (0, 0, 0)])
    assert torch.equal(a["features2"][0], b["features2"][1])
    # Both began at once: the second finds the first's files, and leaves nothing behind.
    made = {"rays": np.zeros((3, 4, 4), np.float32)}
    one._make_files(one._folder / "0_1", made)
    two._make_files(two._folder / "0_1", made)
    assert sorted(p.name for p in one._folder.iterdir()) == ["0_0", "0_1"]


def test_measured_depth_is_made_worse_at_each_step(folder, tmp_path):
    configuration = run(folder, tmp_path, looks=1, measured_drop=0.5)
    looks = Looks(configuration, FusedSurround(SMALL).trunk)
    dropped = [not looks.batch([(0, 0, seed)])["measured"].any() for seed in range(12)]
    assert 0 < sum(dropped) < 12


def test_features_are_made_unlike_while_training_alone(folder, tmp_path):
    data = run(folder, tmp_path, feature_mix=1.0, feature_drop=1.0).data
    batch = {f"features{k}": torch.rand(4, 6, 3, 3) + 0.5 for k in range(4)}
    torch.manual_seed(0)
    same = features_of(batch, data, False)
    assert all(torch.equal(a, batch[f"features{k}"]) for k, a in enumerate(same))
    other = features_of(batch, data, True)
    missing = (other[0] == 0).all(dim=(2, 3)).float().mean()
    assert 0.05 < missing < 0.6
    assert features_of({"image": batch["features0"]}, data, True) is None


def test_a_run_with_looks_learns_all_but_encoder_and_distrust(folder, tmp_path):
    configuration = run(folder, tmp_path / "looks", feature_mix=0.5, feature_drop=0.4)
    trained(Training(), configuration, tmp_path / "run")
    made, _ = load_checkpoint(tmp_path / "run/weights.pt")
    torch.manual_seed(configuration.seed)
    before = FusedSurround(SMALL).state_dict()
    for name, value in made.state_dict().items():
        if name.startswith("trunk."):
            assert torch.equal(value, before[name]), name
    out = made.measured_out
    assert (out.head.weight[0] == 0).all() and out.head.weight[1:].abs().max() > 0
    assert (out.compare[-1].weight[0] == 0).all()
    assert float(out.head.bias[0].detach()) == pytest.approx(-6.0, abs=0.01)

    # A run that was stopped goes on as if it had not been.
    class Stopped(Training):
        def loss(self, model, batch, configuration):
            (tmp_path / "other/stop").touch()
            return super().loss(model, batch, configuration)

    train(Stopped(), configuration, tmp_path / "other", device="cpu", say=lambda _: None)
    assert torch.load(tmp_path / "other/last.pt", weights_only=True)["step"] == 1
    trained(Training(), configuration, tmp_path / "other")
    again, _ = load_checkpoint(tmp_path / "other/weights.pt")
    for name, value in again.state_dict().items():
        assert torch.equal(value, made.state_dict()[name]), name


@pytest.mark.parametrize(
    ("changes", "named"), [({"looks_folder": ""}, "looks_folder"), ({}, "trunk_rate")]
)
def test_looks_that_cannot_be_kept_are_refused(folder, tmp_path, changes, named):
    configuration = run(folder, tmp_path, **changes)
    if named == "trunk_rate":
        schedule = replace(configuration.schedule, trunk_rate=1e-5)
        configuration = replace(configuration, schedule=schedule)
    with pytest.raises(ConfigurationError, match=named):
        Training().build(configuration)


def test_the_shipped_recipe_keeps_looks():
    file = Path(__file__).parents[1] / "config/training/fused_measured.yaml"
    configuration = read(file)
    assert configuration.data.looks == 2 and not configuration.schedule.trunk_rate
    assert not configuration.loss.distrust and configuration.network.measured
