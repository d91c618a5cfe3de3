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

"""Training data of the synthetic world: shards, what is in them, tensors."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depth_perception.datasets import shards
from depth_perception.datasets.sample import DatasetError
from depth_perception.datasets.shards import ShardReader
from depth_perception.errors import ConfigurationError, DepthPerceptionError
from depth_perception.geometry.transforms import inverse
from depth_perception.world.output import dataset, dataset_plan

pytest.importorskip("warp", reason="NVIDIA Warp renders the world")

# Three drives of two sets, the last one cut, in shards of two drives.
ARGUMENTS: dict[str, Any] = {
    "frames": 5,
    "seed": 26,
    "width": 64,
    "height": 48,
    "sets_per_drive": 2,
    "rigs": ("kitti", "robot"),
    "truth": ("mirror", "albedo", "normal", "instance"),
}
SETS_PER_SHARD = 4


@pytest.fixture(scope="module", autouse=True)
def small_shards():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset_plan, "SETS_PER_SHARD", SETS_PER_SHARD)
        yield


PLAN = dataset_plan.DatasetPlan(**{k: v for k, v in ARGUMENTS.items() if k != "frames"})


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """A run with one worker, killed before its second drive, and resumed with two."""
    path = tmp_path_factory.mktemp("data") / "set"
    script = (
        "import os, signal\n"
        "from depth_perception.world.output import dataset, dataset_plan\n"
        f"dataset_plan.SETS_PER_SHARD = {SETS_PER_SHARD}\n"
        "make = dataset._make_part\n"
        "def make_one(folder, plan, drive):\n"
        "    if drive.number > 0:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    make(folder, plan, drive)\n"
        "dataset._make_part = make_one\n"
        f"dataset.write_dataset({str(path)!r}, workers=1, **{ARGUMENTS!r})"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    ended = subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    first = path / dataset.PARTS / "drive-0000000-2.tar"
    assert first.exists()
    made_by_the_first = first.read_bytes()
    incomplete = shards.read_manifest(path)
    seen: list[tuple[int, int]] = []
    dataset.write_dataset(path, **ARGUMENTS, workers=2, progress=lambda *n: seen.append(n))
    return path, incomplete, made_by_the_first, seen


@pytest.fixture(scope="module")
def folder(resumed):
    return resumed[0]


@pytest.fixture(scope="module")
def suite():
    """The last drive: a robot with four cameras."""
    return dataset_plan.open_drive(PLAN, PLAN.drive(2))


def test_a_killed_run_goes_on_where_it_was(resumed):
    path, incomplete, made_by_the_first, seen = resumed
    assert not incomplete["complete"]
    assert shards.read_manifest(path)["complete"]
    assert seen[0] == (2, 5), "the drive that was finished is not made again"
    assert seen[-1] == (5, 5)
    assert (path / "shard-000000.tar").read_bytes().startswith(made_by_the_first)


def test_any_process_makes_the_same_bytes(folder, suite):
    # One of two workers made this drive, a whole shard; here this process does.
    made = shards.encode_set(dataset_plan.render_set(PLAN, PLAN.drive(2), suite, 0))
    assert (folder / "shard-000001.tar").read_bytes() == made + shards.TAR_END


def test_the_manifest_tells_what_is_there(folder):
    manifest = shards.read_manifest(folder)
    assert manifest["complete"]
    assert manifest["arguments"]["seed"] == 26
    assert [entry["sets"] for entry in manifest["shards"]] == [4, 1]
    for entry in manifest["shards"]:
        data = (folder / entry["name"]).read_bytes()
        assert len(data) == entry["bytes"]
        assert hashlib.sha256(data).hexdigest() == entry["sha256"]
    assert sorted(p.name for p in folder.iterdir()) == [
        "manifest.json",
        "shard-000000.tar",
        "shard-000001.tar",
    ]


def test_a_finished_data_set_is_left_as_it_is(folder):
    before = {p: p.stat().st_mtime_ns for p in folder.glob("*.tar")}
    dataset.write_dataset(folder, **ARGUMENTS)
    assert {p: p.stat().st_mtime_ns for p in folder.glob("*.tar")} == before


def test_drives_made_elsewhere_and_those_that_failed_there(folder, tmp_path):
    again = tmp_path / "again"
    shutil.copytree(folder, again)
    lost = again / "shard-000001.tar"
    whole = lost.read_bytes()
    lost.unlink()
    asked = []

    def fail(jobs, note):
        asked.extend(job.drive.number for job in jobs)
        raise DatasetError("the machine went away")

    with pytest.raises(DatasetError, match="went away"):
        dataset.write_dataset(again, **ARGUMENTS, make=fail)
    assert asked == [2]  # the two drives of the other shard are there

    def make(jobs, note):
        for job in jobs:
            dataset.make_drive(job)
            note(job)

    assert dataset.write_dataset(again, **ARGUMENTS, make=make)["complete"]
    assert lost.read_bytes() == whole


def test_other_arguments_are_refused(folder, tmp_path):
    with pytest.raises(ConfigurationError, match="begun with seed=26, now 27"):
        dataset.write_dataset(folder, **{**ARGUMENTS, "seed": 27})
    with pytest.raises(ConfigurationError, match="frames=5, now 4"):
        dataset.write_dataset(folder, **{**ARGUMENTS, "frames": 4})
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="holds something else"):
        dataset.write_dataset(tmp_path, frames=1)


@pytest.mark.parametrize(
    "wrong", [{"frames": 0}, {"rigs": ("bus",)}, {"rigs": ()}, {"truth": ("smell",)}, {"width": 8}]
)
def test_impossible_arguments_are_refused(tmp_path, wrong):
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        dataset.write_dataset(tmp_path / "set", **{"frames": 1, **wrong})
    assert not (tmp_path / "set").exists()


def test_a_data_set_grows_by_what_is_missing(tmp_path, monkeypatch):
    made: list[int] = []

    def make(folder, plan, drive, _check=None):
        made.append(drive.number)
        text = f"{drive.seed} {drive.times};".encode()
        (folder / dataset.PARTS / f"drive-{drive.number:07d}-{len(drive.times)}.tar").write_bytes(
            text
        )

    monkeypatch.setattr(dataset, "_make_part", make)
    once, twice = tmp_path / "once", tmp_path / "twice"
    dataset.write_dataset(once, **{**ARGUMENTS, "frames": 11}, workers=1)
    assert made == [0, 1, 2, 3, 4, 5]
    dataset.write_dataset(twice, **{**ARGUMENTS, "frames": 5}, workers=1)
    made.clear()
    manifest = dataset.write_dataset(twice, **{**ARGUMENTS, "frames": 11}, workers=1)
    assert made == [2, 3, 4, 5], "the first shard was whole"
    assert [entry["sets"] for entry in manifest["shards"]] == [4, 4, 3]
    files = {p.name: p.read_bytes() for p in once.iterdir()}
    assert files == {p.name: p.read_bytes() for p in twice.iterdir()}


def test_what_fails_names_the_seed(tmp_path, monkeypatch):
    def fail(*_args, **_kwargs):
        raise ZeroDivisionError("no road")

    monkeypatch.setattr(dataset, "open_drive", fail)
    with pytest.raises(shards.DatasetError, match=f"seed {PLAN.drive(0).seed}.*no road"):
        dataset.write_dataset(tmp_path / "set", **ARGUMENTS, workers=1)


def test_a_truncated_shard_is_named(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    shard = tmp_path / "shard-000000.tar"
    shard.write_bytes(shard.read_bytes()[:-3000])
    with pytest.raises(shards.DatasetError, match=r"shard-000000.tar' has \d+ bytes.*Fix"):
        ShardReader(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["shards"][0]["bytes"] = shard.stat().st_size
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DepthPerceptionError, match=r"shard-000000.tar"):
        _ = [ShardReader(tmp_path)[i] for i in range(4)]
    manifest["version"] = 99
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(shards.DatasetError, match="format version 99"):
        ShardReader(tmp_path)


def test_frame_sets_are_read_at_any_place(folder):
    reader = ShardReader(folder)
    assert len(reader) == 5
    assert [reader[i].key for i in (4, 0, 3)] == ["00000004", "00000000", "00000003"]
    with pytest.raises(IndexError):
        reader[5]
    one = reader.read(4, lambda n: [n - 1])
    assert [camera.name for camera in one.cameras] == [reader[4].cameras[-1].name]
    for i in range(5):
        sample = reader[i]
        assert sample.facts["rig"] in ("kitti", "robot")
        assert {"seed", "setting", "weather", "time", "speed"} <= set(sample.facts)
        assert abs(sample.ground.normal[2] - 1) < 0.02
        for camera in sample.cameras:
            assert camera.image.shape == (48, 64, 3)
            error = inverse(camera.T_base_camera) @ camera.T_base_calibrated
            assert 0 < np.linalg.norm(error[:3, 3]) < 0.1


def test_stored_frame_sets_are_what_was_rendered(folder, suite):
    made = dataset_plan.render_set(PLAN, PLAN.drive(2), suite, 0)
    read = ShardReader(folder)[4]
    assert made.facts == read.facts
    for a, b in zip(made.cameras, read.cameras, strict=True):
        assert a.model.same_as(b.model)
        assert np.array_equal(a.T_base_camera, b.T_base_camera)
        assert np.array_equal(a.label, b.label)
        assert np.array_equal(a.layers["instance"], b.layers["instance"])
        near = np.isfinite(a.depth) & (a.depth < 255.99)
        assert near.mean() > 0.3
        assert np.abs(a.depth[near] - b.depth[near]).max() <= 1 / 512 + 1e-5
        assert np.isposinf(b.depth[~near & ~np.isnan(a.depth)]).all()
        assert np.abs(a.layers["mirror"] - b.layers["mirror"]).max() <= 0.5 / 255 + 1e-6
        assert np.abs(np.sqrt(a.layers["albedo"]) - np.sqrt(b.layers["albedo"])).max() < 0.003
        assert np.abs(a.layers["normal"] - b.layers["normal"]).max() < 0.01
        difference = a.image.astype(int) - b.image
        assert np.abs(difference).mean() < 4  # JPEG of 64x48 px


def test_depth_is_stored_to_half_a_step():
    depth = np.array([[np.nan, np.inf, 0.0005, 1.0, 37.123, 255.98, 256.1, 5000.0]], np.float32)
    steps = shards.encode_depth(depth)
    assert steps.tolist()[0][:4] == [0, 65535, 1, 256]
    back = shards.decode_depth(steps)
    assert np.isnan(back[0, 0])
    assert np.isposinf(back[0, [1, 6, 7]]).all()
    assert np.abs(back[0, 2:6] - depth[0, 2:6]).max() <= 1 / 256
    assert np.abs(back[0, 3:6] - depth[0, 3:6]).max() <= 1 / 512


def test_webdataset_reads_the_shards(folder):
    webdataset = pytest.importorskip("webdataset")
    urls = [str(p) for p in sorted(folder.glob("*.tar"))]
    found = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert [item["__key__"] for item in found] == [f"{i:08d}" for i in range(5)]
    sample = shards.decode_set({k: v for k, v in found[4].items() if not k.startswith("_")})
    assert np.array_equal(
        sample.cameras[0].depth, ShardReader(folder)[4].cameras[0].depth, equal_nan=True
    )
