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

"""Measured depth in the fused network: what it says to it, how depth is bound to it, its files."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import tiny_fused

pytest.importorskip("torch", reason="PyTorch runs the network")
pytest.importorskip("efficientnet_lite_pytorch", reason="the image encoder's wheel")

import torch

from depth_perception.errors import ConfigurationError
from depth_perception.inference.network_inputs import USUAL_SIGMA
from depth_perception.network.checkpoint import load_checkpoint, save_checkpoint
from depth_perception.network.configuration import SIZES, NetworkConfiguration
from depth_perception.network.export import ExportOptions, example_feed
from depth_perception.network.fused import around_peak, expectation
from depth_perception.network.measured import (
    CHANNELS,
    GROUND_SIGMA,
    SIGMA_FLOOR,
    Bound,
    MeasuredOutput,
    carried,
    measured_of,
)
from depth_perception.network.prior import prior_of

OPTIONS = ExportOptions(cameras=2, image=(64, 96), network=(64, 96))


def inputs(options: ExportOptions = OPTIONS) -> tuple[torch.Tensor, ...]:
    """Image, rays, camera and measured depth of two level cameras 1.5 m over the road."""
    feed = {
        name: torch.from_numpy(value)
        for name, value in example_feed(options, measured=True).items()
    }
    image = feed["image"].permute(0, 3, 1, 2).float()
    return image, feed["rays"], feed["camera"], feed["measured"]


def on_the_plane(rays: torch.Tensor, height: float, sigma: float = 0.02) -> torch.Tensor:
    """Measured depth of the road in every second row below the horizon."""
    depth = torch.where(rays[:, 1:2] > 0.02, height / rays[:, 1:2].clamp(min=0.02), 0.0)
    depth[:, :, ::2] = 0
    return torch.cat([depth, sigma * (depth > 0)], dim=1)


def test_nothing_measured_changes_no_bit():
    plain, grown = tiny_fused.network(), tiny_fused.network(measured=True)
    left = grown.load_state_dict(plain.state_dict(), strict=False)
    assert {name.partition(".")[0] for name in left.missing_keys} == {"measured_in", "measured_out"}
    image, rays, camera, measured = inputs()
    with torch.inference_mode():
        before = plain(image, rays, camera)
        for nothing in (torch.zeros_like(measured), None, torch.full_like(measured, torch.nan)):
            after = grown(image, rays, camera, nothing)
            for name in ("log_depth", "confidence", "road", "sky", "tilt"):
                assert torch.equal(getattr(before, name), getattr(after, name)), name
        assert not torch.equal(grown(image, rays, camera, measured).log_depth, before.log_depth)
        assert torch.equal(plain(image, rays, camera, measured).log_depth, before.log_depth)


def test_channels_mean_the_same_on_a_robot_and_a_truck():
    _, rays, camera, measured = inputs()
    large = camera.clone()
    large[:, 3] *= 4
    far = measured.clone()
    far[:, 0] *= 4
    one, four = (
        measured_of(m, prior_of(rays, c)).maps for m, c in ((measured, camera), (far, large))
    )
    for a, b in zip(one, four, strict=True):
        assert a.shape[1] == CHANNELS
        others = [0, 2, 3, 4, 5]  # all but the depth itself
        assert torch.allclose(a[:, others], b[:, others], atol=1e-4)
    # And through twice the focal length the same picture is of what is twice as far.
    zoomed = camera.clone()
    zoomed[:, 4] *= 2
    far[:, 0] = measured[:, 0] * 2
    seen = measured_of(far, prior_of(rays, zoomed)).maps[0][:, 1]
    assert torch.allclose(seen, one[0][:, 1], atol=1e-5)


def test_channels_and_completion_of_a_plane_are_the_planes():
    _, rays, camera, _ = inputs()
    measured = on_the_plane(rays, 1.5)
    found = measured_of(measured, prior_of(rays, camera))
    known = measured[:, 0] > 0
    values = found.maps[0].transpose(0, 1)[:, known]
    assert values[0].abs().max() < 1e-4  # as deep as the plane
    assert values[3].abs().max() < 1e-4  # and no higher
    certainty = 1 / (1 + (0.02 / USUAL_SIGMA) ** 2)
    assert torch.allclose(values[4], torch.tensor(certainty))
    assert (values[5] == 1).all() and (found.maps[0][:, :, ~known[0]] == 0).all()
    # Every second row is filled from those beside it.
    between = slice(12, 15, 2)
    wanted = torch.log(1.5 / rays[:, 1, between])
    assert torch.allclose(found.log_filled[:, 0, between], wanted, atol=0.12)  # half a row off
    assert found.near[:, 0, between].min() > 0.9 and found.near[0, 0, 0].max() < 0.5


def test_coarser_levels_are_means_by_certainty():
    _, rays, camera, measured = inputs()
    measured = torch.zeros_like(measured)
    measured[:, 0, 8, 8], measured[:, 1, 8, 8] = 10.0, 0.0  # exact
    measured[:, 0, 8, 9], measured[:, 1, 8, 9] = 20.0, USUAL_SIGMA  # worth half
    fine, coarse = measured_of(measured, prior_of(rays, camera)).maps[:2]
    a, b = fine[0, 1, 8, 8], fine[0, 1, 8, 9]
    assert float(coarse[0, 1, 4, 4]) == pytest.approx(float((2 * a + b) / 3), rel=1e-4)
    assert float(coarse[0, 4, 4, 4]) == pytest.approx(1.5 / 4)
    assert float(coarse[0, 5, 4, 4]) == pytest.approx(2 / 4)


def bound(distrust: float, sigma: float) -> tuple[float, float, float]:
    """Depth (m), expected error and share of 10 m measured where the network says 20 m +-30 %."""
    _, rays, camera, _ = inputs()
    measured = torch.zeros(2, 2, 16, 24)
    measured[:, 0, 8, 8], measured[:, 1, 8, 8] = 10.0, sigma
    head = MeasuredOutput(4)
    with torch.no_grad():
        head.head.bias.copy_(torch.tensor([distrust, -30.0, -30.0, 0.0, 0.0]))
        one = torch.ones(2, 1, 16, 24)
        found = head(
            measured_of(measured, prior_of(rays, camera)),
            torch.zeros(2, 4, 16, 24),
            one * math.log(20),
            one * math.log(0.3),
            one * -30.0,
        )
    assert torch.exp(found.log_depth[0, 0, 0, 0]) == pytest.approx(20.0)
    assert torch.exp(found.confidence[0, 0, 0, 0]) == pytest.approx(0.3)
    return (
        float(torch.exp(found.log_depth[0, 0, 8, 8])),
        float(torch.exp(found.confidence[0, 0, 8, 8])),
        float(found.share[0, 0, 8, 8]),
    )


def test_depth_is_the_sure_measurement_unless_the_network_says_otherwise():
    depth, error, share = bound(distrust=-30.0, sigma=0.0)
    assert depth == pytest.approx(10.0) and share == pytest.approx(1.0)
    assert error == pytest.approx(SIGMA_FLOOR, rel=1e-3)
    # It deviates where the network distrusts, and then is as unsure as the network is.
    depth, error, share = bound(distrust=30.0, sigma=0.0)
    assert depth == pytest.approx(20.0) and error == pytest.approx(0.3) and share < 1e-6
    surprise = math.log(2) / 0.3  # in expected errors
    half, error, share = bound(distrust=-surprise, sigma=0.0)
    assert half == pytest.approx(math.sqrt(200)) and share == pytest.approx(0.5)
    assert SIGMA_FLOOR < error < 0.3
    # A measurement that is unsure is worth less.
    shares = [bound(distrust=-30.0, sigma=s)[2] for s in (0.01, 0.05, USUAL_SIGMA, 0.5)]
    assert shares == sorted(shares, reverse=True) and shares[2] == pytest.approx(0.5)


def test_a_new_network_follows_what_is_measured():
    network = tiny_fused.network(measured=True)
    image, rays, camera, measured = inputs()
    with torch.inference_mode():
        seen = torch.exp(network(image, rays, camera).log_depth)

        def share(factor: float) -> torch.Tensor:
            """How far the result follows measurements that are so many times as far as the rest."""
            known = measured[:, :1] > 0
            told = torch.cat([seen * factor, torch.full_like(seen, 0.01)], dim=1) * known
            depth = torch.exp(network(image, rays, camera, told).log_depth)
            return torch.log(depth / seen)[known] / math.log(factor)

        assert (share(1.2) > 0.95).all() and (share(0.9) > 0.9).all()
        # But not one that the image rules out.
        assert (share(1e4) < 0.05).all() and (share(1e-3) < 0.05).all()


def test_offsets_are_carried_to_what_lies_around():
    weight = torch.zeros(1, 1, 72, 128)
    weight[:, :, ::2, ::2] = 1.0
    everywhere = carried(torch.full_like(weight, 0.3), weight)
    assert 0.24 < everywhere.min() and everywhere.max() <= 0.3  # one scale that is wrong is found
    left = torch.where(torch.arange(128) < 64, 0.3, -0.3).expand_as(weight)
    two = carried(left, weight)
    assert two[..., :48].min() > 0.2 and two[..., 80:].max() < -0.2  # two of them, too
    # A patch says much of what lies in it, less beside it, next to nothing of the whole image.
    patch = torch.zeros_like(weight)
    patch[:, :, 32:40, 32:40] = 1.0
    one = carried(torch.full_like(weight, 0.3), patch)[0, 0, 36]
    assert 0.2 < one[36] < 0.3 and 0.02 < one[44] < one[41] < one[36] and 0 < one[120] < 0.01
    assert one[44:].diff().max() < 1e-6
    # What is worth less counts less; where nothing is, all is exactly 0.
    assert carried(torch.full_like(weight, 0.3), 0.1 * patch)[0, 0, 36, 36] < one[36]
    assert (carried(torch.full_like(weight, 0.3), torch.zeros_like(weight)) == 0).all()


def test_around_a_measurement_the_networks_own_depth_is_corrected():
    _, rays, camera, _ = inputs()
    measured = torch.zeros(2, 2, 16, 24)
    measured[0, 0, 4:12, 4:12], measured[0, 1, 4:12, 4:12] = 10.0, 0.01
    head = MeasuredOutput(4)
    one = torch.ones(2, 1, 16, 24)
    with torch.no_grad():
        head.head.bias[1] = -30.0
        facts = measured_of(measured, prior_of(rays, camera))
        args = (facts, torch.zeros(2, 4, 16, 24), one * math.log(13), one * math.log(0.3))
        args = (*args, one * -30.0)
        found = head(*args)
        head.head.bias[2] = -30.0  # the network says that nothing is to be carried
        alone = head(*args)
    beside = torch.exp(found.log_depth[0, 0, 8, 12:15])
    assert (beside < 12.5).all() and (torch.exp(alone.log_own) - 13).abs().max() < 1e-3
    assert torch.exp(found.log_own[0, 0, 8, 8]) < 10.7  # also where it is measured
    assert torch.equal(found.log_depth[1], (one * math.log(13))[1])  # each image by itself
    # What is distrusted is not carried either.
    with torch.no_grad():
        head.head.bias.copy_(torch.tensor([30.0, -30.0, 4.0, 0.0, 0.0]))
        assert (torch.exp(head(*args).log_depth) - 13).abs().max() < 1e-3


def on_ground(
    measured: torch.Tensor, road: float = 30.0, off: float = 1.0, columns: int = 24
) -> tuple[Bound, torch.Tensor]:
    """Bind depth of an image that is the ground's, `off` times as far; with the ground's depth, m.

    Rays come down towards the ground, 1.5 m below, by 0.02 in the first row to 0.34 in the last.
    `road` is the road's logit in so many columns; to the right of them stands something else.
    """
    slope = torch.linspace(0.02, 0.34, 16)[:, None].expand(16, 24)
    rays = torch.stack([torch.zeros_like(slope), slope, torch.ones_like(slope)])[None]
    camera = torch.tensor([[0.0, -1.0, 0.0, 1.5, 100.0]])
    ground = (1.5 / slope)[None, None]
    one = torch.ones(1, 1, 16, 24)
    logits = torch.where(torch.arange(24) < columns, road * one, -30.0 * one)
    head = MeasuredOutput(4)
    with torch.no_grad():
        head.head.bias[1] = -30.0
        found = head(
            measured_of(measured, prior_of(rays, camera)),
            torch.zeros(1, 4, 16, 24),
            torch.log(ground * off),
            one * math.log(0.1),
            logits,
        )
    return found, ground


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_what_is_measured_beside_the_road_does_not_move_it(factor):
    row = 8  # where the ground is 7.9 m away
    measured = torch.zeros(1, 2, 16, 24)
    _, ground = on_ground(measured)
    measured[:, :1, :, 12:], measured[:, 1, :, 12:] = factor * ground[..., 12:], 0.01

    def moved(road: float = 30.0, off: float = 1.0) -> float:
        found, ground = on_ground(measured, road, off, columns=12)
        assert found.share[0, 0, row, 16] > 0.7
        return abs(float((found.log_depth - torch.log(off * ground))[0, 0, row, 9]))

    assert moved() < 0.01
    # Where the network sees no road, or not at the ground's depth, what stands there is corrected.
    assert moved(road=-30.0) > 0.03
    assert moved(off=1.0 / factor) > 0.03


def test_far_away_is_not_the_ground_above_its_horizon():
    rays = torch.tensor([0.0, -0.1, 1.0]).reshape(1, 3, 1, 1).expand(1, 3, 16, 24)
    facts = torch.tensor([[0.0, -1.0, 0.0, 0.2, 100.0]])  # a small robot
    far = torch.full((1, 1, 16, 24), math.log(200.0))
    for camera in (facts, 0 * facts):
        measured = measured_of(torch.zeros(1, 2, 16, 24), prior_of(rays, camera))
        assert (measured.like_ground(far) == 0).all()
        assert (measured.like_ground(measured.log_ground) == 0).all()
    level = prior_of(-rays, facts)
    measured = measured_of(torch.zeros(1, 2, 16, 24), level)
    assert (measured.like_ground(torch.full_like(far, math.log(2.0))) > 0.999).all()


def test_the_road_is_corrected_by_what_is_measured_of_the_road():
    _, ground = on_ground(torch.zeros(1, 2, 16, 24))
    measured = torch.zeros(1, 2, 16, 24)
    measured[:, :1, :, 12:], measured[:, 1, :, 12:] = 1.05 * ground[..., 12:], 0.01
    found, _ = on_ground(measured)
    ratio = torch.exp(found.log_depth) / ground
    assert ratio[0, 0, 8, 20] == pytest.approx(1.05, abs=0.01)
    assert 1.01 < ratio[0, 0, 8, 10] < 1.05


def test_ground_and_image_together_outweigh_what_is_measured_badly():
    def at(sigma: float, off: float, road: float) -> tuple[float, float]:
        _, ground = on_ground(torch.zeros(1, 2, 16, 24))
        measured = torch.zeros(1, 2, 16, 24)
        measured[0, 0, 8, 8], measured[0, 1, 8, 8] = off * ground[0, 0, 8, 8], sigma
        found, _ = on_ground(measured, road=road)
        return float(found.share[0, 0, 8, 8]), float(torch.exp(found.confidence[0, 0, 8, 8]))

    # A sure measurement is followed on the road, too; one that is not has less of a part there.
    assert at(0.01, 1.03, 30.0)[0] > 0.9
    assert at(GROUND_SIGMA, 1.0, 30.0)[0] == pytest.approx(0.5, abs=0.01)
    assert at(GROUND_SIGMA, 1.0, -30.0)[0] == pytest.approx(0.9, abs=0.01)
    # What differs from both is ruled out: on its own the image would be corrected.
    assert at(0.01, 1.4, 30.0)[0] < 0.05 and at(0.01, 1.4, -30.0)[0] > 0.85
    # Where three agree less is expected to be wrong than where two do.
    assert at(0.02, 1.0, 30.0)[1] < 0.85 * at(0.02, 1.0, -30.0)[1]


def test_the_mean_around_the_peak_lies_on_a_surface():
    centres = torch.linspace(0, 7, 8)[None]
    logits = torch.full((1, 8, 1, 1), -20.0)
    logits[0, 1], logits[0, 6] = 3.0, 2.9  # a near and a far surface
    _, mean = expectation(logits, centres)
    assert 3 < float(mean) < 4
    _, mean = expectation(around_peak(logits, 1), centres)
    assert float(mean) == pytest.approx(1.0, abs=1e-3)
    logits[0, 2] = 3.0
    _, mean = expectation(around_peak(logits, 1), centres)
    assert float(mean) == pytest.approx(1.5, abs=1e-3)


@pytest.mark.parametrize(
    ("values", "named"),
    [({"measured": True, "prior": False}, "prior"), ({"peak_reach": -1}, "peak_reach")],
)
def test_what_cannot_be_built_is_refused(values, named):
    with pytest.raises(ConfigurationError, match=named):
        NetworkConfiguration.from_dict(values)


def test_the_size_is_named_whatever_goes_in():
    lite = NetworkConfiguration(measured=True, peak_reach=2)
    assert lite.named_size == "lite"
    assert dataclasses.replace(SIZES["base"], measured=True).named_size == "base"
    assert dataclasses.replace(lite, bins=8).named_size == "other"


def test_a_checkpoint_keeps_that_it_takes_measured_depth(tmp_path):
    network = tiny_fused.network(measured=True, peak_reach=1)
    save_checkpoint(tmp_path / "m.pt", network, {})
    again, _ = load_checkpoint(tmp_path / "m.pt")
    assert again.configuration == network.configuration
    with torch.inference_mode():
        assert torch.equal(again(*inputs()).log_depth, network(*inputs()).log_depth)


@pytest.fixture(scope="module")
def network():
    made = tiny_fused.network(measured=True, peak_reach=2)
    with torch.no_grad():  # as after some training: measured maps count
        for level in made.measured_in.levels:
            torch.nn.init.normal_(level.weight, std=0.1)
        torch.nn.init.normal_(made.measured_out.head.weight, std=0.3)
    return made


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_files_take_measured_depth(network, tmp_path, precision):
    onnx = pytest.importorskip("onnx", reason="onnx writes the model files")
    from depth_perception.inference.model_file import PREFIX, read_fused_model, read_model_file
    from depth_perception.inference.onnx_session import OnnxSession
    from depth_perception.network.export_check import axes_of, check

    path = tiny_fused.model(tmp_path / "m.onnx", network, precision)
    options = dataclasses.replace(OPTIONS, precision=precision)
    feed = example_feed(options, 1, measured=True)
    result = check(network, path, options, [feed])
    limit = {"fp32": 1e-3, "fp16": 1e-2, "int8": 0.1}[precision]
    assert result["median relative difference of depth"] < limit
    info = read_fused_model(path)
    assert info.measured
    metadata = read_model_file(path).metadata
    assert '"measured": ["cameras", 2, "rows", "columns"]' in metadata[PREFIX + "inputs"]
    assert metadata[PREFIX + "version"] == "2"  # releases that know no such input refuse it
    session = OnnxSession(path, axes=axes_of(feed))
    assert [item.name for item in session.inputs] == ["image", "rays", "camera", "measured"]
    nothing = {**feed, "measured": np.zeros_like(feed["measured"])}
    depth, other = (session.run(item, ["depth"])[0] for item in (feed, nothing))
    assert not np.array_equal(depth, other)
    # NaN is nothing measured, too.
    gaps = {**feed, "measured": np.full_like(feed["measured"], np.nan)}
    assert np.array_equal(session.run(gaps, ["depth"])[0], other)
    if precision == "int8":
        graph = onnx.load(path).graph
        convolutions = [n for n in graph.node if "/measured_in/" in n.name and n.op_type == "Conv"]
        quantised = {n.output[0] for n in graph.node if n.op_type == "DequantizeLinear"}
        assert len(convolutions) == 4
        assert not any(node.input[1] in quantised for node in convolutions)


def test_a_static_file_and_one_without_measured_depth(network, tmp_path):
    from depth_perception.inference.model_file import PREFIX, read_fused_model, read_model_file
    from depth_perception.inference.onnx_session import OnnxSession

    shapes = {"cameras": 2, "image": (60, 96), "network": (64, 96)}
    path = tiny_fused.model(tmp_path / "static.onnx", network, static=True, **shapes)
    assert OnnxSession(path).inputs[-1].shape == (2, 2, 16, 24)
    assert read_fused_model(path).network == (96, 64)
    plain = tiny_fused.model(tmp_path / "plain.onnx", tiny_fused.network())
    assert not read_fused_model(plain).measured
    assert read_model_file(plain).metadata[PREFIX + "version"] == "1"
