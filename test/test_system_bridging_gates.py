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

"""BriGeS: its losses and gates against hand-worked numbers, and runs in which gates alone learn."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch trains")
pytest.importorskip("efficientnet_lite_pytorch", reason="the image encoder's wheel")

import torch
from tiny_training import earlier_keys, trained

from depth_perception.datasets import labels
from depth_perception.datasets.sample import TrueCamera, TrueFrameSet
from depth_perception.datasets.shards import TAR_END, encode_set
from depth_perception.errors import ConfigurationError, ModelError
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane, plane_depth
from depth_perception.network.checkpoint import save_checkpoint
from depth_perception.network.configuration import NetworkConfiguration
from depth_perception.network.fused import FusedSurround
from depth_perception.training.configuration import (
    DataConfiguration,
    ScheduleConfiguration,
    TrainingConfiguration,
)
from depth_perception.training.recipe import read
from depth_perception.training.samples import TrainingImages
from depth_perception.training.systems.bridging_gates.network import (
    Gate,
    coarse_grid,
    heads_for,
    on_grid,
    position_code,
)
from depth_perception.training.systems.bridging_gates.streams import OwnDepth
from depth_perception.training.systems.bridging_gates.system import (
    BridgingGatesOptions,
    Training,
    aligned_depth,
    bridged,
    load,
    relative_loss,
)
from depth_perception.world.output.rigs import mounting

# Losses.


def test_the_gradient_term_is_for_dense_truth():
    depth = torch.full((2, 1, 8, 8), math.nan)
    depth[0] = torch.linspace(3, 30, 64).view(8, 8)
    depth[1, 0, ::4, ::4] = torch.linspace(3, 30, 4).view(2, 2)
    depth[1, 0, 0, 1] = 9.0  # neighbours, but few
    noise = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    _, both = relative_loss(noise, depth, BridgingGatesOptions())
    total, first = relative_loss(noise[:1], depth[:1], BridgingGatesOptions(gradient=0.5))
    assert both["gradient"] == first["gradient"] > 0
    assert total.item() == pytest.approx(float(first["affine"] + 0.5 * first["gradient"]))
    _, second = relative_loss(noise[1:], depth[1:], BridgingGatesOptions())
    assert second["gradient"] == 0.0 and second["affine"] > 0


def test_a_prediction_right_up_to_scale_and_shift_is_right():
    depth = torch.linspace(2, 60, 96).view(1, 1, 8, 12)
    depth[..., 0, 0] = math.inf
    inverse = 1 - 3 / depth
    for space in ("inverse", "log"):
        total, _ = relative_loss(inverse, depth, BridgingGatesOptions(space=space))
        assert total.item() == pytest.approx(0.0, abs=1e-4)
        wrong, _ = relative_loss(inverse.flip(3), depth, BridgingGatesOptions(space=space))
        other, _ = relative_loss(2 - 5 * inverse.flip(3), depth, BridgingGatesOptions(space=space))
        assert wrong > 0.1 and other.item() == pytest.approx(wrong.item(), rel=1e-4)
    found = aligned_depth(inverse, depth)
    torch.testing.assert_close(found[depth < 100], depth[depth < 100], rtol=1e-3, atol=0)
    assert found[0, 0, 0, 0] == pytest.approx(200.0)


# Gates.


def _plain_gate(**more: Any) -> Gate:
    """One head, two channels; no norms, and attention in which all maps are the identity."""
    gate = Gate(2, 2, 1, **more)
    gate.norms = torch.nn.ModuleList(torch.nn.Identity() for _ in range(5))
    with torch.no_grad():
        for attention in (gate.cross, gate.self_attention):
            attention.query.weight.copy_(torch.eye(2))
            attention.key_value.weight.copy_(torch.eye(2).repeat(2, 1))
            attention.query.bias.zero_()
            attention.key_value.bias.zero_()
    return gate


def _two_tokens(a: tuple[float, float], b: tuple[float, float]) -> torch.Tensor:
    return torch.tensor([a, b]).T.view(1, 2, 1, 2)


SEMANTIC = _two_tokens((1.0, 0.0), (0.0, 2.0))


def test_semantics_on_a_grid_by_hand():
    """Four between two by lines: 1, 0.75, 0.25, 0 and 0, 0.5, 1.5, 2; the larger of each pair."""
    assert on_grid(SEMANTIC, (1, 2))[0, 0].tolist() == [[1.0, 0.25]]
    assert on_grid(SEMANTIC, (1, 2))[0, 1].tolist() == [[0.5, 2.0]]


def test_cross_attention_of_two_tokens_by_hand():
    gate = _plain_gate()
    with torch.no_grad():
        gate.cross.out.weight.copy_(torch.eye(2))
    keys = ((1.0, 0.5), (0.25, 2.0))
    for temperature in (1.0, 2.0):
        gate.set_temperature(temperature)
        found = gate(_two_tokens((1.0, 0.0), (0.0, 1.0)), SEMANTIC)[0, :, 0].T
        for token, (own, logits) in enumerate((((1.0, 0.0), (1.0, 0.25)), ((0.0, 1.0), (0.5, 2)))):
            a, b = (math.exp(logit / math.sqrt(2) / temperature) for logit in logits)
            wanted = [own[c] + (a * keys[0][c] + b * keys[1][c]) / (a + b) for c in (0, 1)]
            assert found[token].tolist() == pytest.approx(wanted, rel=1e-5)


def test_self_attention_of_two_tokens_by_hand():
    gate = _plain_gate()
    with torch.no_grad():
        gate.self_attention.out.weight.copy_(torch.eye(2))
    found = gate(_two_tokens((1.0, 0.0), (0.0, 1.0)), SEMANTIC)[0, :, 0].T
    share = math.exp(1 / math.sqrt(2)) / (math.exp(1 / math.sqrt(2)) + 1)
    assert found[0].tolist() == pytest.approx([1 + share, 1 - share])
    assert found[1].tolist() == pytest.approx([1 - share, 1 + share])


def test_at_an_endless_temperature_all_tokens_get_the_mean():
    gate = _plain_gate()
    gate.set_temperature(1e9)
    with torch.no_grad():
        gate.cross.out.weight.copy_(torch.eye(2))
    x = _two_tokens((1.0, 0.0), (-3.0, 1.0))
    mean = torch.tensor([(1.0 + 0.25) / 2, (0.5 + 2.0) / 2])
    torch.testing.assert_close(gate(x, SEMANTIC), x + mean.view(1, 2, 1, 1))


def test_a_gate_begins_as_the_identity_and_has_24_widths_squared():
    torch.manual_seed(0)
    gate = Gate(16, 5, 2, with_positions=True, most=8)
    x = torch.randn(2, 16, 6, 4)
    assert torch.equal(gate(x, torch.randn(2, 5, 3, 2)), x)
    with torch.device("meta"):
        large = Gate(768, 768, 16)
    assert sum(p.numel() for p in large.parameters()) == 24 * 768**2 + 28 * 768


def test_keys_come_from_a_grid_that_is_small_enough():
    assert coarse_grid(40, 72, 600) == (10, 18)
    assert coarse_grid(5, 9, 600) == (5, 9)
    assert coarse_grid(5, 9, 20) == (3, 5)
    assert coarse_grid(37, 37, 0) == (37, 37)


def test_heads_have_about_48_channels():
    assert [heads_for(width) for width in (32, 96, 384, 768, 1024)] == [2, 2, 8, 16, 16]


def test_places_have_codes_of_their_own():
    code = position_code(34, 6, 9)
    assert code.shape == (54, 34) and not code[:, 32:].any()
    apart = torch.cdist(code, code) + 100 * torch.eye(54)
    assert apart.min() > 0.3


# Runs, on a plane with a box in front of it, under sky.

MODEL = CameraModel(128, 96, np.array([[70.0, 0, 63.5], [0, 70.0, 47.5], [0, 0, 1]]))
POSE = mounting(0.0, 0.0, 1.5, 0.0, 4.0, 0.0)


def _box_set(number: int) -> TrueFrameSet:
    rng = np.random.default_rng(number)
    depth = plane_depth(MODEL.rays(), POSE, GroundPlane()).astype(np.float32)
    road = depth < 150
    depth[~road] = np.inf
    label = np.where(road, labels.ROAD, labels.SKY).astype(np.uint8)
    image = np.where(road[..., None], 90, 210) + rng.integers(-20, 20, (*road.shape, 3))
    left = int(rng.integers(10, 80))
    box = np.s_[30:60, left : left + 30]
    depth[box], label[box] = 6.0, labels.CAR
    image[box] = [200, 40, 40]
    camera = TrueCamera("front", MODEL, POSE, POSE, image.astype(np.uint8), depth, label)
    return TrueFrameSet(f"{number:08d}", (camera,), GroundPlane(), {"rig": "box"})


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of a few such images."""
    folder = tmp_path_factory.mktemp("boxes")
    data = b"".join(encode_set(_box_set(k)) for k in range(4)) + TAR_END
    (folder / "0.tar").write_bytes(data)
    manifest = {
        "format": "depth_perception world shards",
        "version": 1,
        "arguments": {},
        "shards": [{"name": "0.tar", "sets": 4, "bytes": len(data)}],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


NETWORK = NetworkConfiguration(widths=(8, 8, 16, 16), bins=8)


@pytest.fixture(scope="module")
def network(boxes: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small network that has learnt nothing, but knows the spread of its features."""
    path = tmp_path_factory.mktemp("network") / "small.pt"
    torch.manual_seed(0)
    made = FusedSurround(NETWORK)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean of all batches
    batch = _batch(_configuration(boxes, ""), 4)
    with torch.no_grad():
        made.train()(batch["image"], batch["rays"], batch["camera"])
    save_checkpoint(path, made, {})
    return str(path)


def _configuration(folder: Path, network: str, **options: Any) -> TrainingConfiguration:
    chosen: dict[str, Any] = {
        "depth": network,
        "semantics": "lite0",
        "fusion": True,
        "temperatures": (2.0,),
        "most": 2,
        **options,
    }
    return TrainingConfiguration(
        system="bridging_gates",
        options=BridgingGatesOptions(**chosen),
        data=DataConfiguration(
            folders=(str(folder),), validation=str(folder), sizes=((96, 64),), workers=0
        ),
        schedule=ScheduleConfiguration(
            steps=4, batch=2, warm_up=2, average=0.5, rate=1e-2, trunk_rate=1e-2
        ),
    )


def _batch(configuration: TrainingConfiguration, count: int = 2) -> dict[str, torch.Tensor]:
    images = TrainingImages(configuration.data)
    items = [images[(k, 0, k)] for k in range(count)]
    return {name: torch.stack([item[name] for item in items]) for name in items[0]}


def _step(model: torch.nn.Module, configuration: TrainingConfiguration) -> list[float]:
    """Learn the same batch a few times; return the losses."""
    system, batch = Training(), _batch(configuration)
    optimizer = torch.optim.AdamW(system.groups(model, configuration))
    found = []
    for _ in range(6):
        loss, _ = system.loss(model.train(), batch, configuration)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


@pytest.mark.parametrize(
    "changes",
    [{}, {"prior": False}, {"fine_gate": True, "cross_attention": False}, {"gates": False}],
)
def test_our_network_in_two_halves_is_our_network(boxes, network, changes):
    torch.manual_seed(0)
    whole = FusedSurround(replace(NETWORK, **changes)).eval()
    for module in whole.modules():  # gates that do something
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=0.3)
    batch = _batch(_configuration(boxes, network))
    camera = batch["camera"].clone()
    camera[:, :4] = 0
    stream = OwnDepth(whole)
    with torch.inference_mode():
        wanted = torch.exp(-whole(batch["image"], batch["rays"], camera).log_depth)
        assert torch.equal(stream.decode(*stream.encode(batch)), wanted)


@pytest.mark.parametrize("semantics", ["lite0", "own", "oracle", "self"])
def test_it_begins_exactly_as_the_frozen_network(boxes, network, semantics):
    configuration = _configuration(boxes, network, semantics=semantics)
    model = bridged(configuration.options)
    frozen = bridged(replace(configuration.options, gates=False))
    batch = _batch(configuration)
    assert len(model.gates) == 4 and len(frozen.gates) == 0
    with torch.no_grad():
        before = model(batch)
        assert torch.equal(before, frozen(batch))
    losses = _step(model, configuration)
    assert losses[-1] < losses[0]
    with torch.no_grad():
        assert not torch.equal(model(batch), before)


@pytest.mark.parametrize("fusion", [True, False])
def test_gates_alone_learn_and_by_option_the_last_block(boxes, network, fusion):
    configuration = _configuration(boxes, network, fusion=fusion)
    model = bridged(configuration.options)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    _step(model, configuration)
    changed = {name for name, value in model.state_dict().items() if (value != before[name]).any()}
    blocks = ("depth.network.narrow.2.", "depth.network.decode.2.") if fusion else ()
    assert all(name.startswith(("gates.", *blocks)) for name in changed)
    assert {name.split(".")[1] for name in changed if name.startswith("gates.")} == set("0123")
    assert any(name.startswith("depth.") for name in changed) == fusion
    # Each gate's every part has a part in it, attention and what brings semantics among them.
    parts = {name for name, _ in model.gates.named_parameters()}
    assert {f"gates.{name}" for name in parts} - changed <= {
        f"gates.{k}.{one}.key_value.bias" for k in range(4) for one in ("cross", "self_attention")
    }


def test_the_oracle_sees_labels_and_imagenet_does_not(boxes, network):
    configuration = _configuration(boxes, network)
    batch = _batch(configuration)
    other = {**batch, "label": torch.full_like(batch["label"], 255)}
    for semantics, sees in (("oracle", True), ("lite0", False)):
        stream = bridged(replace(configuration.options, semantics=semantics)).semantics
        assert stream is not None
        found = stream(batch, [], None)
        assert found.shape[1] == stream.width
        assert torch.equal(found, stream(other, [], None)) != sees
        if sees:
            torch.testing.assert_close(found.sum(1), torch.ones_like(found[:, 0]))


@pytest.mark.long
def test_a_run_lowers_the_loss_and_its_checkpoint_predicts_the_same(boxes, network, tmp_path):
    configuration = _configuration(boxes, network, most=4, semantics="own")
    configuration = replace(
        configuration,
        schedule=replace(configuration.schedule, steps=40, batch=4, rate=0.03, trunk_rate=0.03),
    )
    found = trained(Training(), configuration, tmp_path)
    batch = _batch(configuration, 4)
    model, facts = load(tmp_path / "weights.pt")
    assert facts["step"] == 40
    with torch.no_grad():
        first, last = (
            Training().loss(one, batch, configuration)[0].item()
            for one in (bridged(configuration.options), model)
        )
    assert last < 0.7 * first
    assert found["abs_rel_affine"] < 0.8 * found["frozen.abs_rel_affine"]
    assert found["edges_f1"] > found["frozen.edges_f1"]
    assert {"abs_rel_affine_t2", "edges_f1_t2"} <= set(found)
    assert found["abs_rel_affine_t2"] != found["abs_rel_affine"]

    again = Training().validate(model, configuration, torch.device("cpu"))
    assert again == pytest.approx(found, rel=1e-5)
    # A run that begins with it begins there; its own options say what learns.
    further = replace(configuration, start=str(tmp_path / "weights.pt"))
    going_on = Training().build(further)
    with torch.no_grad():
        model.set_temperature(1.0)
        assert torch.equal(going_on(batch), model(batch))


def test_without_gates_the_same_block_learns(boxes, network, tmp_path):
    configuration = _configuration(boxes, network, gates=False)
    model = bridged(configuration.options)
    assert len(Training().groups(model, configuration)) == 1
    losses = _step(model, configuration)
    assert losses[-1] < losses[0]
    figures = Training().validate(model, configuration, torch.device("cpu"))
    assert not any(name.endswith("_t2") for name in figures)
    assert figures["frozen.abs_rel_affine"] > 0


def test_foundation_models_of_tiny_size_are_bridged_alike(boxes, tmp_path):
    """Depth Anything and SAM: gates before the DPT decoder learn, and its last fusion block."""
    pytest.importorskip("transformers", reason="it has the foundation models")
    configuration = _configuration(
        boxes, "tiny-depth-anything", semantics="tiny-sam", depth_side=56, semantic_side=64
    )
    model = bridged(configuration.options)
    frozen = bridged(replace(configuration.options, gates=False))
    batch = _batch(configuration)
    with torch.no_grad():
        before = model(batch)
        assert before.shape == (2, 1, 56, 84) and before.std() > 0
        assert torch.equal(before, frozen(batch))
    all_before = {name: value.clone() for name, value in model.named_parameters()}
    losses = _step(model, configuration)
    assert losses[-1] < losses[0]
    learnt = {n for n, value in model.named_parameters() if (value != all_before[n]).any()}
    last = "depth.model.network.neck.fusion_stage.layers.3."
    assert all(name.startswith(("gates.", last)) for name in learnt)
    assert any(name.startswith(last) for name in learnt)
    # Published weights are not in the file: they are loaded by name.
    Training().save(model, tmp_path / "weights.pt", {})
    stored = torch.load(tmp_path / "weights.pt", weights_only=True)["state"]
    assert all(name.startswith(("gates.", last)) for name in stored)
    again, _ = load(tmp_path / "weights.pt")
    with torch.no_grad():
        assert torch.equal(again(batch), model(batch))


def test_the_shipped_network_can_be_the_depth_stream():
    model = bridged(BridgingGatesOptions(semantics="self", heads=2))
    assert model.depth.widths == (32, 48, 64, 96)
    assert model.recipe["networks"]["depth"]["trunk"] == "lite0"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"gates": False, "fusion": False}, "something to learn"),
        ({"temperature": 0.0}, "above"),
        ({"temperatures": (2.0, -1.0)}, "-1.0"),
        ({"gradient": -1.0}, "gradient -1.0"),
        ({"space": "linear"}, "one of inverse, log"),
    ],
)
def test_options_that_cannot_be_are_named(options, named):
    with pytest.raises(ConfigurationError, match=named):
        BridgingGatesOptions(**options)


def test_heads_that_do_not_divide_and_checkpoints_that_do_not_fit(boxes, network, tmp_path):
    configuration = _configuration(boxes, network)
    with pytest.raises(ConfigurationError, match=r"options.heads 3"):
        bridged(replace(configuration.options, heads=3))
    with pytest.raises(ModelError, match="does not exist"):
        bridged(replace(configuration.options, depth=str(tmp_path / "none.pt")))
    (tmp_path / "bad.pt").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot be read"):
        load(tmp_path / "bad.pt")
    with pytest.raises(ModelError, match="no checkpoint of bridging_gates"):
        load(network)
    model = bridged(configuration.options)
    Training().save(model, tmp_path / "good.pt", {"step": 3})
    other = replace(configuration, start=str(tmp_path / "good.pt"))
    with pytest.raises(ModelError, match="does not fit"):
        Training().build(replace(other, options=replace(other.options, semantics="oracle")))
    with pytest.raises(ConfigurationError, match=r"data.folders is empty"):
        Training().batches(
            replace(configuration, data=replace(configuration.data, folders=())), 0, 0, 1
        )


def test_a_checkpoint_with_earlier_names_is_read(boxes, network, tmp_path):
    configuration = _configuration(boxes, network)
    model, batch = bridged(configuration.options), _batch(configuration)
    _step(model, configuration)
    Training().save(model, tmp_path / "weights.pt", {})
    content = torch.load(tmp_path / "weights.pt", weights_only=True)
    content["state"] = earlier_keys(content["state"])
    assert {"gates.0.own.out.bias", "depth.network.meet.join.bias"} <= set(content["state"])
    settings = content["networks"]["depth"]
    settings["doubt"] = settings.pop("dead_zone")
    torch.save(content, tmp_path / "earlier.pt")
    with torch.no_grad():
        found = load(tmp_path / "earlier.pt")[0](batch)
        assert torch.equal(found, model.eval()(batch))


def test_the_configuration_that_comes_with_the_package_is_read():
    path = Path(__file__).parents[1] / "config/training/bridging_gates.yaml"
    found = read(
        path, {"options.temperatures": [1.5, 3.0], "options.gates": False, "options.fusion": True}
    )
    assert found.system == "bridging_gates"
    assert dataclasses.asdict(found.options)["temperatures"] == (1.5, 3.0)
    assert found.options.gates is False
