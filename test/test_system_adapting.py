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

"""Adapting's parts: frames compared by hand, mirrors found, gates alone, batches, filled depth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch trains")
pytest.importorskip("efficientnet_lite_pytorch", reason="the image encoder's wheel")

import torch
from tiny_street import SETS, street_set, write_sets, write_street
from tiny_training import trained
from torch import nn

from depth_perception.adaptation import filling, learning
from depth_perception.adaptation.recording import write_manifest
from depth_perception.adaptation.settings import MORE_PARTS, Options
from depth_perception.datasets import labels
from depth_perception.datasets.sample import DatasetError
from depth_perception.datasets.shards import ShardReader, encode_set
from depth_perception.datasets.source import NOT_KNOWN
from depth_perception.errors import ConfigurationError
from depth_perception.network.checkpoint import save_checkpoint
from depth_perception.network.configuration import NetworkConfiguration
from depth_perception.network.fused import FusedSurround
from depth_perception.training.configuration import (
    DataConfiguration,
    ScheduleConfiguration,
    TrainingConfiguration,
)
from depth_perception.training.foundation import family_of, image_encoder, text_encoder
from depth_perception.training.systems import find
from depth_perception.training.systems.adapting import load, views
from depth_perception.training.systems.adapting.samples import batches
from depth_perception.training.systems.adapting.system import AdaptingOptions, Training

NETWORK = NetworkConfiguration(widths=(8, 8, 16, 16), bins=8, measured=True)
SIDE = torch.eye(4).repeat(1, 2, 1, 1)
SIDE[0, 0, 0, 3], SIDE[0, 1, 0, 3] = 1.0, -1.0
"""Views a metre to the left and to the right."""
K = torch.tensor([[[20.0, 0, 15.5], [0, 20.0, 7.5], [0, 0, 1]]])


def at(depth: float, size: tuple[int, int] = (16, 32)) -> torch.Tensor:
    return torch.full((1, 1, *size), depth)


def wall(depth: float, seed: int = 0, channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """A textured wall at a depth of which a metre is a whole number of px, and its two views."""
    shift = round(20 / depth)
    wide = torch.rand(1, channels, 16, 48, generator=torch.Generator().manual_seed(seed))
    frame = wide[..., 8:40]
    return frame, torch.stack([wide[..., 8 - s : 40 - s] for s in (shift, -shift)], 1)


def test_features_are_alike_where_depth_is_right():
    maps, others = (nn.functional.normalize(x, dim=-3) for x in wall(10.0, channels=8))
    right, counts = views.guided_error(maps, others, at(10.0), K, SIDE)
    wrong, _ = views.guided_error(maps, others, at(5.0), K, SIDE)
    assert counts.mean() > 0.9 and right[counts > 0].max() < 1e-5
    assert wrong.mean() > 0.05
    still, moved = views.guided_error(maps, maps[:, None].repeat(1, 2, 1, 1, 1), at(10.0), K, SIDE)
    assert not moved.any() and still.mean() > 0.05, "who stands learns nothing of it"


def test_frames_teach_depth_but_where_surfaces_reflect():
    frame, others = wall(10.0)
    depth = at(8.0).requires_grad_(True)
    keep = torch.ones_like(depth)
    keep[..., :16] = 0
    right = views.photometric_terms(frame, others, at(10.0), K, SIDE, keep.detach())
    wrong = views.photometric_terms(frame, others, depth, K, SIDE, keep.detach())
    assert right["photometric"] < 1e-4 < 0.02 < wrong["photometric"]
    wrong["photometric"].backward()
    assert depth.grad[..., 18:].abs().sum() > 0
    assert not depth.grad[..., :14].any(), "what reflects has no say"


class Exact(nn.Module):
    """A decomposition that knows: half of what is seen is light, where it is told so."""

    def __init__(self, diffuse: torch.Tensor, image: torch.Tensor) -> None:
        super().__init__()
        self.diffuse, self.image = diffuse, image

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        diffuse = nn.functional.interpolate(self.diffuse, image.shape[-2:], mode="area")
        return torch.log(diffuse), torch.log(image / diffuse)


@pytest.mark.parametrize(("taught", "believed"), [(40.0, False), (5.5, True), (np.nan, True)])
def test_a_mirror_is_found_where_its_picture_is_measured_behind_it(taught, believed):
    smooth = nn.AvgPool2d(5, 1, 2)
    frame, others = wall(5.0)
    frame, others = 0.3 + 0.4 * smooth(frame), 0.3 + 0.4 * smooth(others.flatten(0, 1))[None]
    diffuse = torch.cat([frame, others.flatten(0, 1)])
    shine = torch.ones(3, 1, 16, 32)
    # A lamp's picture in the window, that moves as what is far does: not at all.
    shine[:, :, 4:12, 12:16] = 1.6
    image = diffuse * shine
    image[1:] = diffuse[1:] * shine.roll(6, -1)[1:]
    known = Exact(diffuse, image)
    far = at(5.0)
    far[..., 4:12, 10:18] = taught
    _, keep = views.decomposed(known, image[:1], image[1:][None], at(5.0), K, SIDE, far)
    inside, outside = keep[..., 4:12, 12:16].mean(), keep[..., :, 24:].mean()
    assert outside == 1
    assert (inside > 0.9) == believed


@pytest.mark.parametrize("size", [(96, 160), (352, 96), (64, 64)])
def test_images_of_any_size_of_the_network_are_decomposed(size):
    trunk = FusedSurround(NETWORK, pretrained=False).trunk
    frame, others = torch.rand(1, 3, *size), torch.rand(1, 2, 3, *size)
    far = at(8.0, size)
    loss, keep = views.decomposed(views.Decomposition(trunk), frame, others, far, K, SIDE, far)
    assert torch.isfinite(loss) and keep.shape == far.shape and keep.min() == 1


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("start") / "start.pt"
    torch.manual_seed(3)
    save_checkpoint(path, FusedSurround(NETWORK, pretrained=False).eval(), {})
    return path


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_street(tmp_path_factory.mktemp("street"))


def configured(
    street: str, start: Path, steps: int = 3, **options: object
) -> TrainingConfiguration:
    return TrainingConfiguration(
        system="adapting",
        start=str(start),
        network=NETWORK,
        data=DataConfiguration(folders=(street,), sizes=((96, 64), (64, 64)), workers=0),
        schedule=ScheduleConfiguration(steps=steps, batch=4, warm_up=1, average=0.0),
        options=AdaptingOptions(**{"drives": (street,), "cameras": 1, **options}),  # type: ignore[arg-type]
    )


def test_a_batch_has_neighbours_first_and_one_size(street, start):
    configuration = configured(street, start)
    made = batches(configuration, (street,), 1, ("frames", "cameras"), 2, 0, 1)
    for step in (2, 3, 4, 5):
        batch = next(made)
        assert int(batch["step"]) == step and batch["image"].shape[:2] == (4, 3)
        assert batch["image"].shape[-2:] == batch["depth"].shape[-2:] == batch["label"].shape[-2:]
        if step % 2 == 0:
            assert batch["views"].shape == (2, 2, *batch["image"].shape[1:])
            # The one before is nearer to the start: 0.4 m back, and ahead.
            torch.testing.assert_close(batch["T"][:, :, 2, 3], torch.tensor([[0.4, -0.4]] * 2))
        else:
            assert batch["pose"].shape == (2, 4, 4) and int(batch["cameras"]) == 1
    with pytest.raises(DatasetError, match="no cameras are neighbours"):
        next(batches(configured(street, start), (street,), 3, ("cameras",), 0, 0, 1))


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load(path)[0].state_dict()


def test_gates_learn_first_and_then_the_rest(street, start, tmp_path):
    plain = {"vrkd": 0.0, "photometric": 0.0, "guided": 0.0, "reflections": False}
    before = weights(start)
    for steps, moved in ((2, {"gate"}), (3, {"gate", "decode", "bin_head", "trunk"})):
        configuration = configured(street, start, steps, gates_first=2, **plain)
        trained(Training(), configuration, tmp_path / str(steps))
        after = weights(tmp_path / str(steps) / "weights.pt")
        changed = {
            name.split(".")[0]
            for name, value in after.items()
            if name.endswith(("weight", "bias")) and not torch.equal(value, before[name])
        }
        assert moved <= changed
        assert steps == 3 or changed <= {"gate", "fine_gate", "finer_gates"}, changed


def test_all_parts_learn_together_and_the_network_alone_is_kept(street, start, tmp_path):
    said: list[str] = []
    configuration = configured(street, start, 4, features=("tiny-clip",), warm_up=1)
    trained(Training(), configuration, tmp_path, said.append)
    line = next(s for s in said if s.startswith("step 4/4") and "loss" in s)
    for part in ("ckd", "photometric", "guided", "decomposition", "mirrors"):
        assert f"{part} " in line
    assert set(weights(tmp_path / "weights.pt")) == set(weights(start))


def test_who_teaches_what_reflects_is_the_network_before(street, start, monkeypatch):
    from depth_perception.training.systems.adapting import system

    configuration = configured(street, start, warm_up=0)
    training = Training()
    model = training.build(configuration).train()
    batch = next(training.batches(configuration, 0, 0, 1))
    near, taught = len(batch["K"]), batch["depth"].clone()
    mask = torch.ones(near, 1, *taught.shape[-2:])
    mask[..., :20] = 0
    monkeypatch.setattr(system, "decomposed", lambda *_: (torch.zeros(()), mask))
    given = {}
    whole = system.fused.fused_loss
    monkeypatch.setattr(
        system.fused, "fused_loss", lambda out, b, w: given.update(b) or whole(out, b, w)
    )
    training.loss(model, batch, configuration)
    surface = training._from_one_image(batch, near)[:, 0]
    torch.testing.assert_close(given["depth"][:near, :, :20], surface[..., :20])
    torch.testing.assert_close(given["depth"][:, :, 20:], taught[:, :, 20:], equal_nan=True)
    torch.testing.assert_close(given["depth"][near:], taught[near:], equal_nan=True)


def test_what_cannot_be_is_refused(street, start):
    with pytest.raises(ConfigurationError, match="start is empty"):
        Training().build(replace(configured(street, start), start=""))
    with pytest.raises(ConfigurationError, match=r"options\.drives"):
        wrong = replace(configured(street, start), options=AdaptingOptions())
        Training().build(wrong)
    with pytest.raises(ConfigurationError, match="photometric -1"):
        AdaptingOptions(photometric=-1.0)
    assert find("adapting").OPTIONS is AdaptingOptions


def test_words_of_depth_guide_where_a_model_knows_words():
    images = 255 * torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    encoder, text = image_encoder("tiny-clip"), text_encoder("tiny-clip")
    plain, told = views.FoundationGuide(encoder), views.FoundationGuide(encoder, text)
    assert told(images).shape[1] == plain(images).shape[1] + 7, "seven words"
    torch.testing.assert_close(told(images).norm(dim=1), torch.ones(told(images)[:, 0].shape))


def test_each_shard_of_a_recording_is_a_drive(tmp_path):
    sets = [encode_set(street_set(0, i)) for i in range(5)]
    for name, some in (("a.tar", sets[:2]), ("b.tar", sets[2:])):
        (tmp_path / name).mkdir()
        write_sets(tmp_path / name, some, 1)
        data = (tmp_path / name / "0.tar").read_bytes()
        (tmp_path / name / "0.tar").rename(tmp_path / f"{name}.part")
        (tmp_path / name / "manifest.json").unlink()
        (tmp_path / name).rmdir()
        (tmp_path / name).write_bytes(data)
    write_manifest(tmp_path, {"a.tar": 2, "b.tar": 3}, {})
    reader = ShardReader(tmp_path)
    assert [reader.neighbour(i, 1) for i in range(5)] == [1, None, 3, 4, None]
    assert reader.neighbour(2, -1) is None and reader.neighbour(4, -2) == 2


def test_a_depth_model_fills_what_nobody_measured():
    truth = street_set(0, 0).cameras[0].depth
    label = np.full(truth.shape, NOT_KNOWN, np.uint8)
    label[-3:] = labels.OWN_BODY
    taught = np.where(np.arange(truth.shape[1]) % 6 < 2, truth, np.nan).astype(np.float32)
    taught[:2] = np.inf
    # Right about shapes, and wrong about scale: more to the right.
    inverse = (1 / truth * np.linspace(2, 3, truth.shape[1])).astype(np.float32)
    made = filling.with_model(taught, inverse, label)
    filled = np.isnan(taught) & np.isfinite(made)
    assert filled[2:-3].mean() > 0.6 and np.isnan(made[-3:]).sum() == np.isnan(taught[-3:]).sum()
    assert np.median(np.abs(made[filled] / truth[filled] - 1)) < 0.05
    np.testing.assert_array_equal(made[~np.isnan(taught)], taught[~np.isnan(taught)])
    nearly = np.full_like(truth, np.nan)
    nearly[30, 30] = 7.0
    np.testing.assert_array_equal(filling.with_model(nearly, inverse, label), nearly)


def test_models_are_told_apart_by_their_family(tmp_path):
    assert family_of("tiny-sam") == "sam"
    (tmp_path / "learn").mkdir()
    for wrong in (("tiny-blip",), ("tiny-clip", "tiny-dinov2")):
        with pytest.raises(ConfigurationError, match=f"--foundation {wrong[-1]}"):
            learning._with_foundation(tmp_path, Options(foundation=wrong), print)
    folder, guides = learning._with_foundation(tmp_path, Options(foundation=("tiny-sam",)), print)
    assert guides == ("tiny-sam",) and folder == tmp_path / "learn"


def test_parts_follow_what_is_wanted_and_what_drives_have(street, tmp_path):
    reader, both = ShardReader(street), (("vehicle", 40), ("synthetic", 320))

    def chosen(source, folder, also=MORE_PARTS, guides=()):
        return learning._options(source, Path(folder), Options(also=also), guides, 20, 60)

    usual = chosen(reader, street, also=())
    assert learning._in_words(usual) == []
    assert AdaptingOptions(**{**usual, "drives": (), "features": ()}).kinds == ()
    assert learning.mixed(*both, usual) == ["vehicle"] * 8 + ["synthetic"]
    assert learning.mixed(("v", 100), ("s", 50), usual) == ["v"] + ["s"] * 2
    own = chosen(reader, street)
    assert own["vrkd"] == 0, "one camera has no neighbour"
    assert own["gates_first"] == 10 and own["reflections"]
    assert learning._in_words(own) == ["bins", "photometric", "reflections", "gates"]
    # Of each batch 3 are the vehicle's with neighbours, and of the other 5 one: half and half.
    assert learning.mixed(*both, own) == ["vehicle"] * 2 + ["synthetic"]
    assert learning._in_words(chosen(reader, street, (), ("tiny-clip",))) == ["photometric"]
    still = [replace(street_set(0, i), facts={"rig": "street"}) for i in range(SETS)]
    write_sets(tmp_path, [encode_set(item) for item in still], SETS)
    own = chosen(ShardReader(tmp_path), tmp_path)
    assert learning._in_words(own) == ["bins", "gates"], "nobody knows the way between frames"


def test_several_processes_are_refused(street, start):
    with pytest.raises(ConfigurationError, match="in 2 processes"):
        Training().batches(configured(street, start), 0, 0, 2)
