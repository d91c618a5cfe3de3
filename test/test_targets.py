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

"""Targets computed once to disk: they go where their pixels go, and a stopped run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch trains")

import torch
from torch.utils.data import default_collate

from depth_perception.cli.main import main
from depth_perception.datasets.sample import DatasetError, TrueCamera, TrueFrameSet
from depth_perception.datasets.shards import TAR_END, encode_set
from depth_perception.datasets.source import open_source
from depth_perception.datasets.targets import Targets
from depth_perception.errors import ConfigurationError
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.training import targets
from depth_perception.training.configuration import DataConfiguration
from depth_perception.training.samples import TrainingImages
from depth_perception.training.systems.surround_distillation.samples import RigSamples
from depth_perception.training.targets import WithTargets, cut, decode_text, encode_text
from depth_perception.training.triplets import Triplets
from depth_perception.world.output.rigs import mounting

WIDTH, HEIGHT = 128, 96
K = np.array([[70.0, 0, 63.5], [0, 70.0, 47.5], [0, 0, 1]])
SETS = 6


def _inverse(number: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Inverse depth of image `number`, 1/m: a tilted plane, at the pixels of any size of it."""
    u = (np.arange(width) + 0.5) * WIDTH / width - 0.5
    v = (np.arange(height) + 0.5) * HEIGHT / height - 0.5
    return 0.05 + 0.01 * number + 5e-4 * u + 1e-3 * v[:, None]


def _camera(number: int, name: str, yaw: float, lens: bool) -> TrueCamera:
    distortion = np.array([-0.2, 0.05, 0, 0, 0]) if lens else np.zeros(5)
    model = CameraModel(WIDTH, HEIGHT, K, distortion)
    pose = mounting(0.0, yaw, 1.5, yaw * 60, 4.0, 0.0)
    image = np.full((HEIGHT, WIDTH, 3), 10 + 15 * number, np.uint8)
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    depth = (1 / _inverse(number)).astype(np.float32)
    return TrueCamera(name, model, pose, pose, image, depth, label)


def _source(folder: Path, cameras: int = 2, lens: bool = False, size: int = SETS) -> str:
    """A data set whose image number i is grey of its own, so that targets can tell."""
    sets = []
    for place in range(size):
        several = tuple(
            _camera(place * cameras + k, f"camera{k}", 0.5 - k, lens) for k in range(cameras)
        )
        facts = {"T_odom_base": np.eye(4).tolist()}
        sets.append(TrueFrameSet(f"{place:08d}", several, GroundPlane(), facts))
    data = b"".join(map(encode_set, sets)) + TAR_END
    folder.mkdir()
    (folder / "0.tar").write_bytes(data)
    manifest = {
        "format": "depth_perception world shards",
        "version": 1,
        "arguments": {"sets_per_drive": size},
        "shards": [{"name": "0.tar", "sets": size, "bytes": len(data)}],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return str(folder)


def _numbers(images: torch.Tensor) -> list[int]:
    """Which images these are, by their grey."""
    return [round((float(image.float().mean()) - 10) / 15) for image in images]


def _make(images: torch.Tensor) -> Mapping[str, np.ndarray]:
    """A teacher that knows truth, at half the size, and features that are it at an eighth."""
    numbers = _numbers(images)
    half = [_inverse(i, HEIGHT // 2, WIDTH // 2) for i in numbers]
    eighth = [_inverse(i, HEIGHT // 8, WIDTH // 8) for i in numbers]
    return {
        "teacher": np.stack(half),
        "features": np.stack([[x, -x] for x in eighth]),
        "caption": encode_text([f"image {i}" for i in numbers], 16),
    }


def _compute(folder: Path, source: str, make: Callable[..., Any] = _make, **more: Any) -> str:
    facts = {"model": "a plane", "batch": 4, "say": lambda _: None, **more}
    return f"targets:{targets.compute(folder, source, 'all', make, **facts)}"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("stored")
    return _compute(folder / "targets", _source(folder / "data"))


def _data(*folders: str, **more: Any) -> DataConfiguration:
    return DataConfiguration(folders=folders, sizes=((96, 64),), workers=0, **more)


def _check(item: dict[str, torch.Tensor], tolerance: float = 0.02) -> None:
    """The teacher knows truth in every window: so it went where the truth's pixels went."""
    truth = 1 / item["depth"]
    known = torch.isfinite(item["teacher"]) & torch.isfinite(truth)
    assert known.float().mean() > 0.8
    # Places are those of the nearest pixel; half a pixel is at most 0.75e-3 here.
    assert float((item["teacher"] - truth).abs()[known].max()) < tolerance * float(truth.median())
    blocks = torch.nn.functional.avg_pool2d(truth.nan_to_num()[None], 16)[0]
    seen = torch.isfinite(item["features"][0])
    assert item["features"].shape == (2, 4, 6) and seen.float().mean() > 0.5
    off = (item["features"][0] - blocks).abs()[seen].max()
    assert float(off) < tolerance * float(truth.median())
    torch.testing.assert_close(item["features"][1], -item["features"][0], equal_nan=True)


def test_targets_are_cut_and_mirrored_with_the_images(stored):
    images = WithTargets(TrainingImages(_data(stored)), (stored,))
    assert len(images) == 2 * SETS
    turned = set()
    for seed in range(12):
        item = images[(seed, 0, seed)]
        assert item["teacher"].shape == (64, 96) and targets.SOURCE_PIXEL not in item
        _check(item)
        assert decode_text(item["caption"]) == f"image {seed}"
        turned.add(bool(item["teacher"][0, -1] > item["teacher"][0, 0]))
    assert turned == {True, False}  # some were mirrored


def test_a_whole_image_gets_its_whole_targets(stored):
    images = WithTargets(TrainingImages(_data(stored), change=False), (stored,), stride=8)
    item = images[(5, 0, 0)]
    # 96 x 64 px is not the image's shape: the window is the largest that is.
    assert item["features"].shape == (2, 8, 12)
    v = (np.arange(64) + 0.5) * 85 / 64 - 0.5
    row = item["teacher"].mean(1).numpy()
    assert np.polyfit(v, row, 1)[0] == pytest.approx(1e-3, rel=0.02)


def test_rigs_of_cameras_and_triplets_have_targets_too(stored, tmp_path):
    rigs = WithTargets(RigSamples(_data(stored), 2), (stored,))
    for seed in range(4):
        item = rigs[(seed, 0, seed)]
        assert item["teacher"].shape == (2, 64, 96)
        for k in range(2):
            _check({name: item[name][k] for name in ("teacher", "features", "depth")})
        assert {decode_text(row) for row in item["caption"]} == {
            f"image {2 * seed}",
            f"image {2 * seed + 1}",
        }
    bent = _compute(tmp_path / "targets", _source(tmp_path / "data", cameras=1, lens=True))
    triplets = WithTargets(Triplets(_data(bent)), (bent,))
    for seed in range(4):  # these are undistorted
        item = triplets[(seed, 0, seed)]
        _check(item, 0.03)
        assert decode_text(item["caption"]) == f"image {seed + 1}"


def test_what_lies_outside_of_the_image_is_unknown(stored):
    whole = Targets(stored.partition(":")[2])
    place = torch.zeros(32, 32, 4)
    place[..., 2] = 1
    place[:, :8, 2] = 0
    out = cut(whole, place, 16)
    assert torch.isnan(out["teacher"][:, :8]).all() and torch.isfinite(out["teacher"][:, 8:]).all()
    assert torch.isnan(out["features"][..., 0]).all()
    assert torch.isfinite(out["features"][..., 1]).all()
    nowhere = cut(whole, torch.zeros(32, 32, 4), 16)
    assert torch.isnan(nowhere["teacher"]).all() and decode_text(nowhere["caption"]) == ""
    assert {n: (v.shape, v.dtype) for n, v in nowhere.items()} == {
        n: (v.shape, v.dtype) for n, v in out.items()
    }


def test_samples_with_targets_make_a_batch(stored, tmp_path):
    other = _compute(tmp_path / "targets", _source(tmp_path / "data", cameras=1, size=3))
    folders = (stored, other)
    images = WithTargets(TrainingImages(_data(*folders)), folders)
    items = [images[(place, 0, 7)] for place in (0, 11, 12, 14)]
    for item in items:
        _check(item)
    batch = default_collate(items)
    assert batch["teacher"].shape == (4, 64, 96)
    found = [decode_text(row) for row in batch["caption"]]
    assert found == ["image 0", "image 11", "image 0", "image 2"]


def test_all_folders_have_targets_or_none(stored, tmp_path):
    plain = _source(tmp_path / "data", cameras=1, size=2)
    item = WithTargets(TrainingImages(_data(plain)), (plain,))[(0, 0, 0)]
    assert "teacher" not in item and targets.SOURCE_PIXEL not in item
    with pytest.raises(ConfigurationError, match="1 of 2 with targets"):
        WithTargets(TrainingImages(_data(plain, stored)), (plain, stored))


class _Killed(Exception):
    pass


def test_a_stopped_run_goes_on_and_computes_nothing_twice(tmp_path):
    source = _source(tmp_path / "data")
    seen: list[int] = []

    def mortal(images: torch.Tensor) -> Mapping[str, np.ndarray]:
        if len(seen) >= 8:
            raise _Killed
        seen.extend(_numbers(images))
        return _make(images)

    with pytest.raises(_Killed):
        _compute(tmp_path / "targets", source, mortal)
    assert seen == list(range(8))
    with pytest.raises(DatasetError, match="not complete"):
        open_source(f"targets:{tmp_path / 'targets'}")
    (tmp_path / "targets/00000/00000004.7.part").write_bytes(b"half")  # as a kill leaves it

    def later(images: torch.Tensor) -> Mapping[str, np.ndarray]:
        seen.extend(_numbers(images))
        return _make(images)

    found = Targets(_compute(tmp_path / "targets", source, later).partition(":")[2])
    assert seen == list(range(12))
    whole = Targets(_compute(tmp_path / "whole", source, batch=1).partition(":")[2])
    for place in range(SETS):
        for k in range(2):
            pairs = zip(found.read(place, k).items(), whole.read(place, k).items(), strict=True)
            for (name, a), (other, b) in pairs:
                assert name == other and a.dtype == b.dtype and np.array_equal(a, b)
    assert found.read(0, 0)["teacher"].dtype == np.float16


def test_targets_of_another_model_or_source_are_not_mixed(stored, tmp_path):
    folder = tmp_path / "targets"
    source = _source(tmp_path / "data", size=2)
    _compute(folder, source)
    for more, named in (
        ({"model": "another"}, "model 'a plane'"),
        ({"settings": {"side": 3}}, "settings {}"),
    ):
        with pytest.raises(DatasetError, match=named):
            _compute(folder, source, **more)
    with pytest.raises(DatasetError, match="with source"):
        _compute(folder, _source(tmp_path / "more", size=2))
    manifest = json.loads((folder / "manifest.json").read_text())
    for change, named in (
        ({"version": 99}, "format version 99"),
        ({"format": "x"}, "of another kind"),
        ({"sets": 7}, "has 2 frame sets"),
    ):
        (folder / "manifest.json").write_text(json.dumps({**manifest, **change}))
        with pytest.raises(DatasetError, match=named):
            open_source(f"targets:{folder}")
    (folder / "manifest.json").write_text("{")
    with pytest.raises(DatasetError, match="damaged"):
        open_source(f"targets:{folder}")
    with pytest.raises(DatasetError, match=r"no manifest\.json"):
        open_source(f"targets:{tmp_path}")


def test_a_damaged_file_is_named(tmp_path):
    found = _compute(tmp_path / "targets", _source(tmp_path / "data", cameras=1, size=2))
    path = tmp_path / "targets/00000/00000001.npz"
    data = path.read_bytes()
    images = WithTargets(TrainingImages(_data(found)), (found,))
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DatasetError, match=r"00000001\.npz' are damaged"):
        images[(1, 0, 0)]
    path.unlink()
    with pytest.raises(DatasetError, match=r"00000001\.npz' are absent"):
        images[(1, 0, 0)]
    _compute(tmp_path / "targets", str(tmp_path / "data"))  # computes what is absent
    _check(images[(1, 0, 0)])


@pytest.mark.parametrize("wrong", [np.zeros((1, 8, 8)), np.zeros(8), np.zeros((2, 4, 4), np.int64)])
def test_arrays_that_cannot_be_stored(wrong, tmp_path):
    with pytest.raises(ConfigurationError, match="targets 'teacher'"):
        source = _source(tmp_path / "data", size=1)
        _compute(tmp_path / "targets", source, lambda _: {"teacher": wrong})


def test_large_values_stay_finite(tmp_path):
    source = _source(tmp_path / "data", cameras=1, size=1)
    found = _compute(
        tmp_path / "t", source, lambda x: {"features": np.full((len(x), 1, 2, 2), 1e9)}
    )
    assert np.isfinite(Targets(found.partition(":")[2]).read(0, 0)["features"]).all()


def test_texts_come_back():
    rows = encode_text(["Straße", "", "ä" * 40], 17)
    assert rows.shape == (3, 17) and rows.dtype == np.uint8
    assert [decode_text(row) for row in rows] == ["Straße", "", "ä" * 8]  # no half letter
    assert decode_text(torch.from_numpy(rows[0])) == "Straße"


@pytest.mark.parametrize(
    ("kind", "model", "name"),
    [
        ("depth", "tiny-depth-anything", "teacher"),
        ("features", "tiny-dinov2", "features"),
        ("captions", "tiny-blip", "caption"),
    ],
)
def test_the_command_computes_targets_that_training_takes(kind, model, name, tmp_path, capsys):
    pytest.importorskip("transformers", reason="foundation models come with it")
    source = _source(tmp_path / "data", cameras=1, size=2)
    folder = str(tmp_path / "targets")
    command = ["targets", source, "--kind", kind, "--model", model, "-o", folder]
    command += ["--device", "cpu"]
    assert main(command) == 0
    assert f"targets:{folder}" in capsys.readouterr().out
    assert main(command) == 0  # nothing is left to do
    found = f"targets:{folder}"
    item = WithTargets(TrainingImages(_data(found)), (found,))[(1, 0, 3)]
    assert item[name].float().isfinite().all() and item[name].float().abs().sum() > 0
    assert main([*command[:3], "depth", "--model", "tiny-clip", "-o", folder]) == 1
    assert "is of family 'clip'" in capsys.readouterr().err


def test_parts_that_others_computed_are_those_of_one_run(tmp_path: Path, stored: str) -> None:
    source = _source(tmp_path / "data")
    for part in (range(3, SETS), range(3)):
        _compute(tmp_path / "targets", source, only=part)
        with pytest.raises(DatasetError, match="not complete"):
            open_source(f"targets:{tmp_path / 'targets'}")

    def never(images: torch.Tensor) -> Mapping[str, np.ndarray]:
        raise AssertionError("nothing is left to compute")

    found = Targets(_compute(tmp_path / "targets", source, never).partition(":")[2])
    whole = Targets(stored.partition(":")[2])
    for place in range(SETS):
        assert found.read(place, 1).keys() == whole.read(place, 1).keys()
        assert np.array_equal(found.read(place, 1)["teacher"], whole.read(place, 1)["teacher"])
