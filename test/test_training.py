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

"""Training: losses against hand-worked numbers, samples, and a run that is stopped and goes on."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch trains")
pytest.importorskip("efficientnet_lite_pytorch", reason="the image encoder's wheel")

import torch
import yaml
from tiny_training import earlier_keys, trained

from depth_perception.cli.main import main
from depth_perception.datasets import labels
from depth_perception.datasets.sample import TrueCamera, TrueFrameSet
from depth_perception.datasets.shards import TAR_END, encode_set
from depth_perception.errors import ConfigurationError, DepthPerceptionError, ModelError
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane, plane_depth
from depth_perception.network.checkpoint import load_checkpoint, save_checkpoint
from depth_perception.network.configuration import NetworkConfiguration
from depth_perception.network.fused import CLASSES, FusedSurround
from depth_perception.training import losses, systems
from depth_perception.training.configuration import (
    DataConfiguration,
    ScheduleConfiguration,
    TrainingConfiguration,
    to_dict,
)
from depth_perception.training.fit import learning_rate, train
from depth_perception.training.recipe import from_dict, read
from depth_perception.training.samples import Requests, TrainingImages, with_errors
from depth_perception.training.systems.fused.style import StyleMix, mixed
from depth_perception.training.systems.fused.system import Figures, Training, fused_loss
from depth_perception.world.output.rigs import mounting


def _map(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(1, 1, 1, -1)


def test_log_error_by_hand():
    truth, mask = _map(1.0, 2.0, 3.0), _map(1.0, 1.0, 0.0)
    assert losses.log_error(_map(1.5, 2.0, 9.0), truth, mask).item() == pytest.approx(0.25)
    assert losses.log_error(truth, truth, torch.zeros_like(mask)).item() == 0.0


def test_silog_forgives_a_common_factor_in_part():
    truth, mask = torch.randn(2, 1, 4, 5), torch.ones(2, 1, 4, 5)
    wrong = losses.scale_invariant_error(truth + 0.5, truth, mask)
    assert wrong.item() == pytest.approx(math.sqrt(0.15 * 0.25), abs=1e-4)
    free = losses.scale_invariant_error(truth + 0.5, truth, mask, share=1.0)
    assert free.item() == pytest.approx(0.0, abs=2e-3)


def test_gradient_error_sees_steps_and_no_offset():
    truth, mask = torch.zeros(1, 1, 1, 4), torch.ones(1, 1, 1, 4)
    assert losses.gradient_error(truth + 3, truth, mask).item() == 0.0
    # One step of 1 between the second and third of four: of three differences one is 1.
    found = losses.gradient_error(_map(0.0, 0.0, 1.0, 1.0), truth, mask, scales=1)
    assert found.item() == pytest.approx(1 / 3)


def test_gradient_error_does_not_look_across_what_is_unknown():
    truth, mask = torch.zeros(1, 1, 1, 3), _map(1.0, 0.0, 1.0)
    assert losses.gradient_error(_map(0.0, 5.0, 9.0), truth, mask, scales=1).item() == 0.0


def test_the_best_scale_of_laplace_is_the_mean_error():
    error, mask = _map(0.1, -0.3), _map(1.0, 1.0)
    scales = [
        losses.laplace_error(error, torch.full_like(error, s), mask).item()
        for s in (math.log(0.2) - 0.1, math.log(0.2), math.log(0.2) + 0.1)
    ]
    assert scales[1] < scales[0] and scales[1] < scales[2]
    assert scales[1] == pytest.approx(1 + math.log(0.2), abs=1e-5)


def test_shares_of_a_class():
    label = torch.tensor([[[0, 0, 255, 255], [0, 3, 255, 3], [3, 3, 0, 0], [3, 3, 0, 0]]])
    share, known = losses.shares(label, 0, 2)
    assert share[0, 0].tolist() == [[0.75, 0.0], [0.0, 1.0]]
    assert known[0, 0].tolist() == [[1.0, 0.0], [1.0, 1.0]]


def test_mixed_style_has_the_statistics_between_two_pictures_and_keeps_what_is_in_them():
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(2, 3, 8, 8, generator=generator)
    features[1] = features[1] * 4 + 10
    out = mixed(features, torch.tensor([0.25, 1.0]), torch.tensor([1, 0]))
    means, spreads = features.mean((2, 3)), features.std((2, 3))
    torch.testing.assert_close(out[0].mean((1, 2)), 0.25 * means[0] + 0.75 * means[1])
    wanted = 0.25 * spreads[0] + 0.75 * spreads[1]
    torch.testing.assert_close(out[0].std((1, 2)), wanted, rtol=1e-4, atol=0)
    torch.testing.assert_close(out[1], features[1], rtol=1e-4, atol=1e-4)
    # The pattern stays: each channel is its own, stretched and shifted.
    one, same = features[0, 0].flatten(), out[0, 0].flatten()
    assert torch.corrcoef(torch.stack([one, same]))[0, 1] > 0.9999


def test_styles_are_mixed_in_training_alone():
    stage = torch.nn.Identity()
    stage.register_forward_hook(StyleMix(1.0))
    features = torch.stack([torch.randn(2, 4, 4), 5 + torch.randn(2, 4, 4)])
    assert torch.equal(stage.eval()(features), features)
    torch.manual_seed(0)
    changed = [not torch.equal(stage.train()(features), features) for _ in range(8)]
    assert any(changed)
    stage = torch.nn.Identity().train()
    stage.register_forward_hook(StyleMix(0.0))
    assert torch.equal(stage(features), features)


def test_the_learning_rate_rises_then_falls():
    rates = [learning_rate(step, 100, 10) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == 1.0
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] < 0.02


# A flat world: a plane road under sky, as far as one can see.
MODEL = CameraModel(128, 96, np.array([[70.0, 0, 63.5], [0, 70.0, 47.5], [0, 0, 1]]))
POSE = mounting(0.0, 0.0, 1.5, 0.0, 4.0, 0.0)


def _flat_set(number: int) -> TrueFrameSet:
    depth = plane_depth(MODEL.rays(), POSE, GroundPlane()).astype(np.float32)
    road = depth < 150
    depth[~road] = np.inf
    rng = np.random.default_rng(number)
    image = np.where(road[..., None], 90, 210) + rng.integers(-20, 20, (*road.shape, 3))
    label = np.where(road, labels.ROAD, labels.SKY).astype(np.uint8)
    label[-4:] = labels.OWN_BODY
    camera = TrueCamera("front", MODEL, POSE, POSE, image.astype(np.uint8), depth, label)
    return TrueFrameSet(f"{number:08d}", (camera,), GroundPlane(), {"rig": "flat"})


@pytest.fixture(scope="module")
def flat_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of a few such images."""
    folder = tmp_path_factory.mktemp("flat")
    data = b"".join(encode_set(_flat_set(k)) for k in range(6)) + TAR_END
    (folder / "0.tar").write_bytes(data)
    manifest = {
        "format": "depth_perception world shards",
        "version": 1,
        "arguments": {},
        "shards": [{"name": "0.tar", "sets": 6, "bytes": len(data)}],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def _configuration(folder: Path, **changes: object) -> TrainingConfiguration:
    return replace(
        TrainingConfiguration(
            network=NetworkConfiguration(widths=(8, 8, 16, 16), bins=8),
            data=DataConfiguration(
                folders=(str(folder),), validation=str(folder), sizes=((96, 64),), workers=0
            ),
            schedule=ScheduleConfiguration(steps=4, batch=2, warm_up=2, average=0.5),
            save_every=2,
        ),
        **changes,  # type: ignore[arg-type]
    )


def test_a_sample_agrees_with_itself(flat_data):
    """Whatever crop is drawn: truth is what the plane in closed form says of rays and camera."""
    data = DataConfiguration(
        folders=(str(flat_data),),
        sizes=((96, 64),),
        prior_drop=0.0,
        pitch_error=0.0,
        large_share=0.0,
        height_error=0.0,
    )
    images = TrainingImages(data)
    checked = 0
    for seed in range(6):
        item = images[(seed, 0, seed)]
        assert item["image"].shape == (3, 64, 96) and item["rays"].shape == (3, 16, 24)
        slope = -(item["rays"] * item["camera"][:3, None, None]).sum(0)
        expected = item["camera"][3] / slope
        depth = item["depth"].view(16, 4, 24, 4)[:, 1:3, :, 1:3]
        inside = (expected > 0) & (expected < 7) & torch.isfinite(depth).all(3).all(1)
        found = item["camera"][3] * (1 / depth).mean((1, 3))  # inverse depth is affine in the pixel
        checked += int(inside.sum())
        off = (found - slope).abs()[inside] * item["camera"][4]
        assert not (off > 0.1).any()  # px
        road = item["label"] == CLASSES.index("road")
        assert torch.isfinite(item["depth"][road]).all()
        assert not (item["depth"][item["label"] == 255] > 0).any()
    assert checked > 300


def test_dropped_calibration_is_zero_but_for_the_focal_length(flat_data):
    data = DataConfiguration(folders=(str(flat_data),), sizes=((96, 64),), prior_drop=1.0)
    camera = TrainingImages(data)[(0, 0, 1)]["camera"]
    assert camera[:4].tolist() == [0, 0, 0, 0] and camera[4] > 0


def test_calibration_errors_are_rotations_of_the_size_asked_for():
    data = DataConfiguration(pitch_error=1.0, large_share=0.0, height_error=0.1)
    rng = np.random.default_rng(0)
    angles, heights = [], []
    for _ in range(400):
        T = with_errors(POSE, data, rng)
        assert np.allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-9)
        turn = T[:3, :3] @ POSE[:3, :3].T
        angles.append(np.degrees(np.arcsin(turn[0, 2])))
        heights.append(T[2, 3] / POSE[2, 3] - 1)
    assert np.std(angles) == pytest.approx(1.0, rel=0.15)
    assert np.std(heights) == pytest.approx(0.1, rel=0.15)


def test_requests_cover_all_images_once_an_epoch_and_go_on_where_they_were():
    def first(count: int, **more: int) -> list[list[tuple[int, int, int]]]:
        source = iter(Requests(12, 3, 2, seed=5, **more))
        return [next(source) for _ in range(count)]

    batches = first(6)
    assert sorted(place for batch in batches for place, _, _ in batch) == list(range(12))
    assert all(len({size for _, size, _ in batch}) == 1 for batch in batches)
    assert len({seed for batch in batches for *_, seed in batch}) == 12
    assert first(3, first=3) == batches[3:]
    both = [
        place for rank in (0, 1) for batch in first(3, rank=rank, ranks=2) for place, _, _ in batch
    ]
    assert sorted(both) == list(range(12))


def test_the_loss_is_least_where_the_answer_is_right(flat_data):
    configuration = _configuration(flat_data)
    torch.manual_seed(0)
    network = FusedSurround(configuration.network).eval()
    images = TrainingImages(configuration.data, change=False)
    item = {name: value[None] for name, value in images[(0, 0, 0)].items()}
    with torch.inference_mode():
        out = network(item["image"], item["rays"], item["camera"])
        small = item["depth"][:, None, 2::4, 2::4]
        # 200 m stands for the sky here.
        right = torch.log(torch.nan_to_num(small, 5.0, posinf=200.0))
        road = (item["label"][:, None, 2::4, 2::4] == CLASSES.index("road")).float() * 40 - 20
        best = replace(out, log_depth=right, log_bins=right, log_plane=right, road=road)
        _, parts = fused_loss(best, item, configuration.loss)
        _, worse = fused_loss(replace(best, log_depth=right + 0.5), item, configuration.loss)
        _, wrong = fused_loss(replace(best, road=-road), item, configuration.loss)
        nothing = {**item, "label": torch.full_like(item["label"], 255)}
        total, _ = fused_loss(best, nothing, configuration.loss)
    assert torch.isfinite(total)  # a real drive's labels are not known
    assert parts["bins"] < 1e-6
    assert parts["depth"] < 0.1 < 0.25 < worse["depth"]
    assert parts["road"] < 1.0 < wrong["road"]


def test_figures_by_hand():
    depth = torch.tensor([[[10.0, 20.0], [torch.inf, torch.nan]]]).repeat_interleave(4, 1)
    depth = depth.repeat_interleave(4, 2)
    label = torch.tensor([[[0, 2], [5, 255]]], dtype=torch.uint8)
    label = label.repeat_interleave(4, 1).repeat_interleave(4, 2)
    logits = torch.full((1, 1, 8, 8), -9.0)
    logits[..., :4, :] = 9.0  # the whole upper half is called road
    sky = torch.full((1, 1, 8, 8), -9.0)
    sky[..., 4:, :] = 9.0
    found = torch.full((1, 1, 8, 8), math.log(11.0))
    zero = torch.zeros(1)
    from depth_perception.network.fused import FusedOutput

    out = FusedOutput(found, logits, sky, *[zero] * 10)
    figures = Figures()
    figures.add(out, {"depth": depth, "label": label})
    result = figures.result()
    assert result["abs_rel"] == pytest.approx((0.1 + 0.45) / 2, abs=1e-4)
    assert result["road_abs_rel"] == pytest.approx(0.1, abs=1e-4)
    assert result["road_iou"] == pytest.approx(0.5)
    assert result["sky_accuracy"] == pytest.approx(1.0)
    unlabelled = Figures()
    unlabelled.add(out, {"depth": depth, "label": torch.full_like(label, 255)})
    assert "abs_rel" in unlabelled.result() and "road_iou" not in unlabelled.result()


@pytest.mark.long
def test_training_lowers_the_loss_and_writes_what_it_should(flat_data, tmp_path):
    configuration = _configuration(
        flat_data, schedule=ScheduleConfiguration(steps=60, batch=4, warm_up=5, average=0.9)
    )
    figures = trained(Training(), configuration, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    training = [line for line in lines if line["kind"] == "train"]
    assert training[-1]["loss"] < 0.9 * training[0]["loss"]  # of two more seeds 0.711, 0.722
    assert figures["abs_rel"] == pytest.approx(lines[-1]["abs_rel"], abs=1e-4)
    assert (tmp_path / "run/weights.pt").exists()


def test_a_stopped_run_goes_on_and_ends_as_if_it_had_not(flat_data, tmp_path):
    configuration = _configuration(flat_data)
    whole = trained(Training(), configuration, tmp_path / "whole")

    half = replace(configuration, schedule=replace(configuration.schedule, steps=4))
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "stop").write_text("")  # a leftover does not count
    system = _Stopping(folder, after=2)
    train(system, half, folder, device="cpu", say=_nothing)
    assert torch.load(folder / "last.pt", weights_only=True)["step"] == 2
    said: list[str] = []
    again = trained(Training(), configuration, folder, said.append)
    assert said[0] == "goes on at step 2 of 4"
    assert again == pytest.approx(whole, rel=1e-4)


def test_what_a_step_draws_is_its_own_after_a_stop_and_of_each_process(
    flat_data, tmp_path, monkeypatch
):
    configuration = _configuration(flat_data)

    def drawn(folder: str, steps: int, rank: str = "0") -> list[float]:
        monkeypatch.setenv("RANK", rank)
        schedule = replace(configuration.schedule, steps=steps)
        system = _Drawing()
        train(
            system,
            replace(configuration, schedule=schedule),
            tmp_path / folder,
            device="cpu",
            say=_nothing,
        )
        return system.drawn

    whole = drawn("whole", 4)
    assert len(set(whole)) == 4
    assert drawn("parts", 2) + drawn("parts", 4) == whole
    assert not set(drawn("other", 4, rank="1")) & set(whole)


def test_a_run_whose_figures_fail_keeps_its_weights(flat_data, tmp_path):
    configuration = replace(_configuration(flat_data), save_every=1000)
    with pytest.raises(ZeroDivisionError):
        train(_Failing(), configuration, tmp_path, device="cpu", say=_nothing)
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] == 4
    assert load_checkpoint(tmp_path / "weights.pt")[1]["step"] == 4


def test_held_out_data_that_cannot_be_read_are_named_before_the_first_step(flat_data, tmp_path):
    configuration = _configuration(flat_data)
    for name in ("validation", "tests"):
        value: object = str(tmp_path / "none")
        data = replace(configuration.data, **{name: value if name == "validation" else (value,)})
        system = _Drawing()
        with pytest.raises(DepthPerceptionError, match="none"):
            train(
                system,
                replace(configuration, data=data),
                tmp_path / name,
                device="cpu",
                say=_nothing,
            )
        assert not system.drawn


def test_a_start_may_be_given_more_gates_which_begin_as_the_identity(tmp_path):
    torch.manual_seed(0)
    small = NetworkConfiguration(widths=(8, 8, 16, 16), bins=8, pretrained=False)
    network = FusedSurround(small)
    with torch.no_grad():
        for p in network.gate.parameters():
            p.add_(torch.randn_like(p) * 0.1)
    save_checkpoint(tmp_path / "start.pt", network, {})

    def begun(**changes: object) -> FusedSurround:
        wanted = replace(small, **changes)  # type: ignore[arg-type]
        run = TrainingConfiguration(network=wanted, start=str(tmp_path / "start.pt"))
        return Training().build(run).eval()

    grown = begun(fine_gate=True, finest_gate=4)
    assert set(grown.finer_gates) == {"8", "4"} and grown.fine_gate is not None
    rays = torch.randn(1, 3, 24, 32) * 0.3
    rays[:, 2] = 1
    inputs = (torch.rand(1, 3, 96, 128) * 255, rays, torch.tensor([[0, -1, 0, 1.5, 70.0]]))
    with torch.no_grad():
        assert torch.equal(grown(*inputs).log_depth, network.eval()(*inputs).log_depth)
        for p in grown.finer_gates["4"].parameters():
            p.add_(torch.randn_like(p) * 0.1)
        assert not torch.equal(grown(*inputs).log_depth, network(*inputs).log_depth)
    with pytest.raises(ConfigurationError, match="another network"):
        begun(bins=16)
    with pytest.raises(ConfigurationError, match="finest_gate 5"):
        NetworkConfiguration(fine_gate=True, finest_gate=5)


def test_the_system_that_the_docs_add_is_one_folder_and_one_configuration(
    flat_data, tmp_path, monkeypatch
):
    text = (Path(__file__).parents[1] / "docs/systems.md").read_text()
    section = text[text.index("## Adding a ") :]
    code, configuration = (
        section.partition(f"```{kind}\n")[2].partition("```")[0] for kind in ("python", "yaml")
    )
    (tmp_path / "robust").mkdir()
    (tmp_path / "robust/__init__.py").write_text(code)
    (tmp_path / "robust.yaml").write_text(configuration)
    # As if the folder lay beside the others.
    monkeypatch.setattr(systems, "__path__", [*systems.__path__, str(tmp_path)])
    folder = tmp_path / "run"
    changes = {
        "data.folders": f"[{flat_data}]",
        "data.validation": str(flat_data),
        "data.workers": 0,
        "data.sizes": "[[128, 96]]",
        "schedule.steps": 3,
        "schedule.batch": 2,
        "network.pretrained": "false",
        "options.scale": 0.2,
    }
    command = ["train", str(tmp_path / "robust.yaml"), "-o", str(folder), "--device", "cpu"]
    assert main([*command, *(f"--set={k}={v}" for k, v in changes.items())]) == 0
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert lines[0]["robust"] > 0 and "abs_rel" in lines[-1]
    assert load_checkpoint(folder / "weights.pt")[1]["training"]["options"] == {"scale": 0.2}


@pytest.mark.long
def test_two_processes_stop_together(flat_data, tmp_path):
    """One is asked in the middle of a run: the other does not wait for its gradients."""
    configuration = _configuration(
        flat_data, schedule=ScheduleConfiguration(steps=100_000, batch=2, warm_up=2)
    )
    path, folder = tmp_path / "run.yaml", tmp_path / "run"
    path.write_text(yaml.safe_dump(to_dict(configuration)))
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--standalone",
        "-m",
        "depth_perception.cli.main",
        "train",
        str(path),
        "-o",
        str(folder),
        "--device",
        "cpu",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            deadline = time.monotonic() + 1500
            while not (folder / "last.pt").exists():
                assert process.poll() is None and time.monotonic() < deadline, "no checkpoint"
                time.sleep(0.1)
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            os.kill(int(children.split()[1]), signal.SIGTERM)
            said, _ = process.communicate(timeout=1500)
        finally:
            process.kill()
    assert process.returncode == 0, said
    step = torch.load(folder / "last.pt", weights_only=True)["step"]
    assert f"stopped at step {step}" in said
    assert said.count("stopped at step") == 1


def _nothing(_: str) -> None:
    pass


class _Drawing(Training):
    """Remembers one random number of each step."""

    def __init__(self) -> None:
        self.drawn: list[float] = []

    def loss(self, model, batch, configuration):  # type: ignore[no-untyped-def]
        self.drawn.append(float(torch.rand(())))
        return super().loss(model, batch, configuration)


class _Failing(Training):
    """Trains, but has no figures."""

    def validate(self, model, configuration, device):  # type: ignore[no-untyped-def]
        raise ZeroDivisionError


class _Stopping(Training):
    """Asks to stop after some batches, as somebody who creates the file "stop" does."""

    def __init__(self, folder: Path, after: int) -> None:
        self._file, self._left = folder / "stop", after

    def loss(self, model, batch, configuration):  # type: ignore[no-untyped-def]
        self._left -= 1
        if not self._left:
            self._file.write_text("")
        return super().loss(model, batch, configuration)


def test_a_run_from_before_an_option_existed_is_gone_on_with(flat_data, tmp_path):
    configuration = _configuration(flat_data)
    half = replace(configuration, schedule=replace(configuration.schedule, steps=2))
    trained(Training(), half, tmp_path)
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    for name in ("fine_gate", "finest_gate"):  # both as usual
        del state["configuration"]["network"][name]
    torch.save(state, tmp_path / "last.pt")
    said: list[str] = []
    trained(Training(), configuration, tmp_path, said.append)
    assert said[0] == "goes on at step 2 of 4"
    other = replace(configuration, network=replace(configuration.network, fine_gate=True))
    with pytest.raises(ConfigurationError, match="another network"):
        train(Training(), other, tmp_path, device="cpu", say=_nothing)


def test_a_run_that_an_earlier_release_began_ends_as_if_it_had_not(flat_data, tmp_path):
    configuration = _configuration(flat_data)
    trained(Training(), configuration, tmp_path / "whole")
    folder = tmp_path / "begun"
    folder.mkdir()
    train(_Stopping(folder, after=2), configuration, folder, device="cpu", say=_nothing)
    state = torch.load(folder / "last.pt", weights_only=True)
    assert state["step"] == 2
    for name in ("model", "average"):
        state[name] = earlier_keys(state[name])
    settings = state["configuration"]["network"]
    settings["doubt"] = settings.pop("dead_zone")
    for group in state["optimizer"]["param_groups"]:
        group["top"] = group.pop("initial_lr")
    torch.save(state, folder / "last.pt")
    trained(Training(), configuration, folder)
    ends = [
        torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("whole", "begun")
    ]
    for name in ("model", "average"):
        for key, value in ends[0][name].items():
            torch.testing.assert_close(ends[1][name][key], value, msg=key)


def test_a_run_of_another_network_is_not_gone_on_with(flat_data, tmp_path):
    short = replace(
        _configuration(flat_data), schedule=ScheduleConfiguration(steps=1, batch=2, warm_up=1)
    )
    trained(Training(), short, tmp_path)
    other = replace(short, network=replace(short.network, bins=16))
    with pytest.raises(ConfigurationError, match="another network"):
        train(Training(), other, tmp_path, device="cpu", say=_nothing)
    (tmp_path / "last.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ModelError, match="cannot be read"):
        train(Training(), short, tmp_path, device="cpu", say=_nothing)


def test_a_configuration_comes_back_as_it_was():
    configuration = from_dict({"network": {"size": "base"}, "data": {"sizes": [[64, 64]]}})
    assert configuration.network.trunk == "lite2"
    assert from_dict(to_dict(configuration)) == configuration


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("data: {sizes: [[100, 64]]}", "100x64"),
        ("data: {size: 3}", "data.size does not exist"),
        ("schedule: {steps: many}", "schedule.steps"),
        ("losses: {}", "training.losses"),
        ("schedule: 3", "schedule is 3"),
        ("network: {size: huge}", "huge"),
    ],
)
def test_a_wrong_configuration_names_the_value(tmp_path, text, named):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=named):
        read(path)
