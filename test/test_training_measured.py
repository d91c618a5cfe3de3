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

"""Measured depth of training images: it follows the image, is made worse by share, and counts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch trains the networks")
pytest.importorskip("efficientnet_lite_pytorch", reason="the image encoder's wheel")

from depth_perception.datasets import labels  # noqa: E402
from depth_perception.datasets.sample import TrueCamera, TrueFrameSet  # noqa: E402
from depth_perception.datasets.shards import TAR_END, encode_set  # noqa: E402
from depth_perception.geometry.camera import CameraModel  # noqa: E402
from depth_perception.geometry.ground_plane import GroundPlane, plane_depth  # noqa: E402
from depth_perception.network.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from depth_perception.network.configuration import NetworkConfiguration  # noqa: E402
from depth_perception.network.fused import FusedSurround  # noqa: E402
from depth_perception.training.configuration import (  # noqa: E402
    DataConfiguration,
    LossConfiguration,
    ScheduleConfiguration,
    TrainingConfiguration,
)
from depth_perception.training.fit import train  # noqa: E402
from depth_perception.training.measured import worsened  # noqa: E402
from depth_perception.training.recipe import read  # noqa: E402
from depth_perception.training.samples import TrainingImages, collate  # noqa: E402
from depth_perception.training.systems.fused.system import Training, fused_loss  # noqa: E402
from depth_perception.world.output.rigs import mounting  # noqa: E402

MODEL = CameraModel(256, 192, np.array([[140.0, 0, 127.5], [0, 140.0, 95.5], [0, 0, 1]]))
POSE = mounting(0.0, 0.0, 1.5, 0.0, 4.0, 0.0)
IN_USE = GroundPlane(np.array([0.02, 0.0, 1.0]), 0.05, source="estimated")
SMALL = NetworkConfiguration(widths=(8, 8, 16, 16), bins=8, pretrained=False, measured=True)


def _set(number: int, measured: bool = True) -> TrueFrameSet:
    """A flat road under sky, measured on a grid of 3/4 of the image, on one side of it alone."""
    depth = plane_depth(MODEL.rays(), POSE, GroundPlane()).astype(np.float32)
    road = depth < 150
    depth[~road] = np.inf
    rng = np.random.default_rng(number)
    image = np.where(road[..., None], 90, 210) + rng.integers(-20, 20, (*road.shape, 3))
    label = np.where(road, labels.ROAD, labels.SKY).astype(np.uint8)
    layers = {}
    if measured:
        truth = plane_depth(MODEL.resized(192, 144).rays(), POSE, GroundPlane())
        w = np.where(truth < 100, 1 / truth, np.nan).astype(np.float32)
        w[:, : 30 * number] = np.nan
        layers = {
            "measured_inverse_depth": w,
            "measured_sigma": (0.03 * w).astype(np.float32),
            "measured_kind": np.isfinite(w).astype(np.uint8),
        }
    camera = TrueCamera("front", MODEL, POSE, POSE, image.astype(np.uint8), depth, label, layers)
    ground = IN_USE if measured else None
    return TrueFrameSet(f"{number:08d}", (camera,), GroundPlane(), {"rig": "flat"}, ground)


def _folder(folder: Path, sets: list[TrueFrameSet]) -> str:
    folder.mkdir()
    data = b"".join(encode_set(item) for item in sets) + TAR_END
    (folder / "0.tar").write_bytes(data)
    manifest = {
        "format": "depth_perception world shards",
        "version": 1,
        "arguments": {},
        "shards": [{"name": "0.tar", "sets": len(sets), "bytes": len(data)}],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return str(folder)


@pytest.fixture(scope="module")
def measured_data(tmp_path_factory) -> str:
    return _folder(tmp_path_factory.mktemp("data") / "m", [_set(k) for k in range(6)])


def _data(folder: str, **changes) -> DataConfiguration:
    sure = {"measured_drop": 0.0, "measured_thin": 0.0, "measured_corrupt": 0.0, "prior_drop": 0.0}
    return DataConfiguration(folders=(folder,), sizes=((128, 96),), **{**sure, **changes})


def test_measured_depth_follows_every_crop_and_flip(measured_data):
    """It stays the depth that is true at the pixels where the image now shows it."""
    images, flipped, checked = TrainingImages(_data(measured_data)), set(), 0
    errors: list[torch.Tensor] = []
    for seed in range(24):
        item = images[(seed % 6, 0, seed)]
        depth, sigma = item["measured"]
        assert item["measured"].shape == (2, 24, 32) and item["measured"].dtype == torch.float32
        assert not {"measured_inverse_depth", "measured_sigma", "measured_kind"} & set(item)
        known = depth > 0
        # Truth between the four pixels in the middle of each square, in inverse depth.
        truth = 1 / (1 / item["depth"].view(24, 4, 32, 4)[:, 1:3, :, 1:3]).mean((1, 3))
        inside = known & (truth < 12)
        if not inside.any():
            continue  # the crop is of the side that is not measured
        # In rows of this image: of what is stored, and then of the image, the nearest pixel.
        off = ((1 / depth - 1 / truth) * 1.5 * item["camera"][4])[inside]
        assert (off.abs() < 1.4).float().mean() > 0.98
        errors.append(off)
        assert torch.allclose(sigma[known], torch.tensor(0.03), rtol=0.06)
        assert (sigma[~known] == 0).all()
        checked += int(inside.sum())
        empty = (~known & (truth < 20)).any(0)
        if bool(empty.any()) and not bool(empty.all()):
            flipped.add(bool(empty[: len(empty) // 2].sum() > empty[len(empty) // 2 :].sum()))
    assert checked > 1500 and flipped == {True, False}
    assert torch.cat(errors).mean().abs() < 0.1  # a corner for a centre is 0.22


def test_measured_images_have_the_road_and_the_mounting_of_the_measuring(measured_data, tmp_path):
    data = _data(measured_data, pitch_error=5.0, large_share=0.0, height_error=0.2)
    wanted = POSE[:3, :3].T @ IN_USE.normal
    normals = [TrainingImages(data)[(0, 0, seed)]["camera"] for seed in range(8)]
    for camera in normals:
        assert torch.allclose(camera[:3].abs(), torch.tensor(wanted).abs().float(), atol=1e-5)
        assert camera[3] == pytest.approx(float(IN_USE.signed_distance(POSE[:3, 3])), rel=1e-4)
    # Where it is taken away, calibration is as wrong as ever.
    dropped = TrainingImages(replace(data, measured_drop=1.0))
    cameras = torch.stack([dropped[(0, 0, seed)]["camera"] for seed in range(8)])
    assert all(not dropped[(0, 0, seed)]["measured"].any() for seed in range(8))
    assert cameras[:, 2].std() > 0.03


def test_a_sample_without_measured_depth_has_zeros(measured_data, tmp_path):
    plain = _folder(tmp_path / "plain", [_set(0, measured=False)])
    item = TrainingImages(_data(plain), change=False)[(0, 0, 0)]
    assert item["measured"].shape == (2, 24, 32) and not item["measured"].any()
    other = TrainingImages(_data(measured_data), change=False)[(0, 0, 0)]
    assert collate([item, other])["measured"].shape == (2, 2, 24, 32)
    # And its picture is what it was before there was measured depth to draw errors of.
    again = TrainingImages(_data(plain, measured_drop=0.9))[(0, 0, 5)]
    first = TrainingImages(_data(plain))[(0, 0, 5)]
    assert all(torch.equal(again[name], first[name]) for name in first)


def test_measurements_are_made_worse_by_their_shares():
    given = np.stack([np.full((24, 32), 10.0), np.full((24, 32), 0.02)]).astype(np.float32)

    def drawn(**shares) -> list[np.ndarray]:
        data = _data("", **shares)
        return [worsened(given, data, np.random.default_rng(k)) for k in range(200)]

    assert all(np.array_equal(item, given) for item in drawn())
    dropped = [not item.any() for item in drawn(measured_drop=0.3)]
    assert 0.2 < np.mean(dropped) < 0.4
    for item in drawn(measured_thin=1.0):
        known = item[0] > 0
        assert np.array_equal(item[:, known], given[:, known]) and (item[:, ~known] == 0).all()
    kept = [np.mean(item[0] > 0) for item in drawn(measured_thin=1.0)]
    assert min(kept) < 0.1 and max(kept) > 0.7
    wrong = [np.mean(np.abs(item[0] / 10 - 1) > 0.1) for item in drawn(measured_corrupt=1.0)]
    assert 0.03 < np.mean(wrong) < 0.5
    assert given[0].min() == 10.0  # not in place


def test_the_loss_teaches_to_distrust_what_is_wrong(measured_data):
    torch.manual_seed(0)
    network = FusedSurround(SMALL).eval()
    images = TrainingImages(_data(measured_data), change=False)
    item = {name: value[None] for name, value in images[(0, 0, 0)].items()}
    known = item["measured"][:, :1] > 0
    wrong = item["measured"].clone()
    wrong[:, 0] *= 1.6

    def parts(measured: torch.Tensor, distrust: float) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            network.measured_out.head.bias[0] = distrust
        out = network(item["image"].float(), item["rays"], item["camera"], measured)
        return fused_loss(out, item, LossConfiguration(peak=0.1))[1]

    assert known.sum() > 100
    right, doubted = parts(item["measured"], -6.0), parts(item["measured"], 6.0)
    for name in ("depth", "distrust", "confidence", "silog"):
        assert right[name] < doubted[name], name
    believed, seen_through = parts(wrong, -6.0), parts(wrong, 6.0)
    assert seen_through["distrust"] < 0.1 < believed["distrust"]
    assert right["peak"] > 0 and right["own"] > 0
    # The network's own depth is corrected around what is trusted.
    assert right["own"] < doubted["own"]


def test_training_goes_on_from_weights_without_measured_depth(measured_data, tmp_path):
    start = replace(SMALL, measured=False)
    save_checkpoint(tmp_path / "start.pt", FusedSurround(start), {})
    configuration = TrainingConfiguration(
        start=str(tmp_path / "start.pt"),
        network=replace(SMALL, peak_reach=2),
        data=replace(_data(measured_data), validation=measured_data, workers=0),
        loss=LossConfiguration(peak=0.1),
        schedule=ScheduleConfiguration(steps=3, batch=2, warm_up=1, average=0.5),
    )
    figures = train(Training(), configuration, tmp_path / "run", device="cpu", say=lambda _: None)
    assert {"abs_rel", "alone_abs_rel"} <= set(figures)
    assert figures["abs_rel"] < figures["alone_abs_rel"]
    network, _ = load_checkpoint(tmp_path / "run/weights.pt")
    assert network.configuration.measured and network.configuration.peak_reach == 2
    # Every new weight has learnt.
    assert all(level.weight.abs().max() > 0 for level in network.measured_in.levels)
    assert network.measured_out.head.weight.abs().max() > 0
    assert network.measured_out.compare[-1].weight.abs().max() > 0


def test_a_run_is_saved_by_the_clock(measured_data, tmp_path):
    configuration = TrainingConfiguration(
        network=SMALL,
        data=replace(_data(measured_data), workers=0),
        schedule=ScheduleConfiguration(steps=4, batch=1, warm_up=1, average=0.5),
        save_every=1000,
        save_minutes=0.0,
    )
    seen: list[int] = []

    class Watched(Training):
        def save(self, model, path, facts):  # type: ignore[no-untyped-def]
            seen.append(facts["step"])
            super().save(model, path, facts)

    train(Watched(), configuration, tmp_path / "run", device="cpu", say=lambda _: None)
    assert seen == [1, 2, 3, 4]
    seen.clear()
    slow = replace(configuration, save_minutes=60.0)
    train(Watched(), slow, tmp_path / "other", device="cpu", say=lambda _: None)
    assert seen == [4]


@pytest.mark.parametrize("name", ["fused_lite", "fused_base"])
def test_the_shipped_recipes_take_measured_depth(name):
    file = Path(__file__).parents[1] / f"config/training/{name}.yaml"
    configuration = read(file)
    assert configuration.network.measured and configuration.save_minutes == 10.0
    assert not read(file, {"network.measured": False}).network.measured


def test_weights_of_a_start_may_learn_slower_than_what_measured_depth_brings():
    schedule = ScheduleConfiguration(rate=1e-3, start_rate=1e-4, trunk_rate=1e-5)
    network = FusedSurround(SMALL)
    run = TrainingConfiguration(network=SMALL, schedule=schedule)
    rate = {id(p): g["lr"] for g in Training().groups(network, run) for p in g["params"]}
    for name, weight in network.named_parameters():
        if not weight.requires_grad:
            continue
        wanted = 1e-4
        if name.startswith("measured_"):
            wanted = 1e-3
        elif name.startswith("trunk."):
            wanted = 1e-5
        assert rate[id(weight)] == wanted, name
    alike = replace(run, schedule=replace(schedule, start_rate=0.0))
    assert {g["lr"] for g in Training().groups(network, alike)} == {1e-3, 1e-5}
