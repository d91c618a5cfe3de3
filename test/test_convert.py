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

"""`depth_perception convert`: bags of other data sets say what the data sets say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from test_evaluate import Pipeline
from test_lidar import SHARED
from tiny_datasets import (
    DRIVE,
    HEIGHT,
    by_hand,
    mounted,
    plane_drive,
    pose_at,
    write_ddad,
    write_kitti,
    write_nuscenes,
)

from depth_perception.cli.main import main
from depth_perception.datasets import labels
from depth_perception.datasets.bag import BagReader
from depth_perception.datasets.bag_export import drives_of
from depth_perception.datasets.sample import TrueCamera, TrueFrameSet
from depth_perception.datasets.shards import TAR_END, encode_set
from depth_perception.datasets.source import open_source
from depth_perception.evaluation.evaluate import evaluate
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane, plane_depth
from depth_perception.geometry.transforms import inverse
from depth_perception.parameters import load
from depth_perception.resources import config_file

KITTI = {"camera_color_left": mounted(0.0, 0.0, 0.06, HEIGHT)}
DDAD = {"CAMERA_01": mounted(0.0, 1.5, 0.3, HEIGHT), "CAMERA_05": mounted(1.4, 1.4, 0.5, HEIGHT)}
NUSCENES = {
    "CAM_FRONT": mounted(0.0, 1.7, 0.0, HEIGHT),
    "CAM_FRONT_LEFT": mounted(1.2, 1.5, 0.5, HEIGHT),
}
LATE, SPREAD = 40_000_000, 7_000_000


def made(kind: str, folder: Path) -> str:
    """A data set of two drives (KITTI: one) in a folder; its source."""
    if kind == "kitti":
        write_kitti(folder, plane_drive(KITTI))
        return f"kitti_raw:{folder}"
    mountings = DDAD if kind == "ddad" else NUSCENES
    names = ["000000", "000001"] if kind == "ddad" else ["scene-0001", "scene-0002"]
    drives = {
        name: plane_drive(mountings, delay=LATE, spread=SPREAD, kind=".jpg", name=name)
        for name in names
    }
    if kind == "ddad":
        write_ddad(folder, drives, {"0": names})
        return f"ddad:{folder}?ego_masks=none"
    write_nuscenes(folder, drives)
    return f"nuscenes:{folder}?ego_masks=none"


def convert(source: str, output: Path, *more: str) -> int:
    return main(["convert", source, "--output", str(output), *more])


@pytest.mark.parametrize("kind", ["kitti", "ddad", "nuscenes"])
def test_a_converted_drive_gives_the_same_truth(kind, tmp_path, capsys):
    text = made(kind, tmp_path / "data")
    source = open_source(text)
    name = next(iter(drives_of(source)))
    assert convert(text, tmp_path / "bag", "--drives", name) == 0
    assert "3 frame sets" in capsys.readouterr().out
    bag = open_source(f"bag:{tmp_path / 'bag'}")
    assert len(bag) == 3
    for place in range(3):
        expected = source.read(place)
        found = {camera.name: camera for camera in bag.read(place).cameras}
        assert sorted(found) == sorted(camera.name for camera in expected.cameras)
        for a in expected.cameras:
            b = found[a.name]
            np.testing.assert_array_equal(b.image, a.image)
            np.testing.assert_allclose(b.T_base_camera, a.T_base_camera, atol=1e-8)
            np.testing.assert_allclose(b.depth, by_hand(), rtol=1e-5)
    # Both know where the vehicle was, at the instant of the camera that is asked for.
    one, two = (bag.read(p, lambda _: [0]).facts for p in (0, 2))
    poses = [np.array(facts["T_odom_base"]) for facts in (one, two)]
    wanted = inverse(pose_at(one["stamp"])) @ pose_at(two["stamp"])
    np.testing.assert_allclose(inverse(poses[0]) @ poses[1], wanted, atol=1e-6)


def test_images_keep_their_bytes_and_clouds_their_intensity(tmp_path):
    sets = plane_drive(NUSCENES, kind=".jpg", name="scene-0001")
    write_nuscenes(tmp_path / "data", {"scene-0001": sets})
    assert convert(f"nuscenes:{tmp_path / 'data'}", tmp_path / "bag") == 0
    with BagReader(tmp_path / "bag", load("")) as reader:
        assert reader.counts["/CAM_FRONT/camera_info"] == 3 == reader.counts["/LIDAR_TOP/points"]
        stored = [m for _, _, m in reader.messages(["/CAM_FRONT/image_raw/compressed"])]
        assert [bytes(m.data) for m in stored] == [item.images[0].data for item in sets]
        assert {m.format for m in stored} == {"jpeg"}
        (cloud, *_) = [m for _, _, m in reader.messages(["/LIDAR_TOP/points"])]
        assert [field.name for field in cloud.fields] == ["x", "y", "z", "intensity"]
        values = np.frombuffer(cloud.data, "<f4").reshape(-1, 4)
        np.testing.assert_array_equal(values[:, :3], sets[0].images[0].scan.points)
        np.testing.assert_array_equal(values[:, 3], sets[0].images[0].scan.intensity)
        times = [time for _, time, _ in reader.messages(list(reader.topics))]
        assert times == sorted(times)
        assert not reader.problems


def test_evaluate_finds_a_converted_plane_right_and_inspect_finds_nothing_wrong(tmp_path, capsys):
    text = made("nuscenes", tmp_path / "data")
    bag = tmp_path / "bag"
    assert convert(text, bag, "--drives", "scene-0002", "--frames", "2") == 0
    assert main(["inspect", str(bag)]) == 0
    assert "nothing stops it" in capsys.readouterr().out
    with BagReader(bag, load("")) as reader:
        found = evaluate(reader, Pipeline())  # depth of the nominal ground
    assert found.frame_sets == 2 and found.moved_by_odometry
    # Two cameras on two sets, each with all its points.
    assert found.points == 2 * 2 * int(np.isfinite(by_hand()).sum())
    assert found.over_images.metric.abs_rel < 1e-4
    assert found.over_images.metric.coverage == 1.0
    assert found.road["nominal plane"][-1].a5 == 1.0


def test_several_drives_become_a_bag_each_and_nothing_is_overwritten_unasked(tmp_path, capsys):
    text = made("ddad", tmp_path / "data")
    out = tmp_path / "out"
    assert convert(text, out, "--frames", "1") == 0
    assert sorted(p.name for p in out.iterdir()) == ["000000", "000001"]
    assert len(open_source(f"bag:{out / '000001'}")) == 1
    assert convert(text, out) == 1
    assert "exists" in capsys.readouterr().err
    assert len(open_source(f"bag:{out / '000001'}")) == 1
    assert convert(text, out, "--overwrite", "--storage", "sqlite3") == 0
    assert len(open_source(f"bag:{out / '000001'}")) == 3
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    assert convert(text, tmp_path / "mine", "--drives", "000000", "--overwrite") == 1
    assert "is no bag" in capsys.readouterr().err
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep me"


def test_wrong_arguments_are_named(tmp_path, capsys):
    text = made("ddad", tmp_path / "data")
    assert convert(text, tmp_path / "bag", "--drives", "00002") == 1
    assert "expected one of 000000, 000001 (did you mean '0000" in capsys.readouterr().err
    assert convert(text, tmp_path / "bag", "--frames", "-1") == 1
    assert "--frames -1" in capsys.readouterr().err
    assert convert("dad:x", tmp_path / "bag") == 1
    assert "'ddad'" in capsys.readouterr().err
    assert not (tmp_path / "bag").exists()


def test_a_drive_that_breaks_off_leaves_no_bag(tmp_path, capsys):
    text = made("kitti", tmp_path / "data")
    images = tmp_path / "data" / DRIVE[:10] / DRIVE / "image_02" / "data"
    (images / "0000000002.png").write_bytes(b"no image")
    assert convert(text, tmp_path / "bag") == 1
    assert "0000000002.png" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data"]


def test_a_mounting_that_changes_is_refused(tmp_path, capsys):
    made("nuscenes", tmp_path / "data")
    tables = tmp_path / "data" / "v1.0-mini"
    sensors = json.loads((tables / "calibrated_sensor.json").read_text())
    data = json.loads((tables / "sample_data.json").read_text())
    other = dict(next(s for s in sensors if s["token"] == "c-scene-0001-CAM_FRONT"))
    other.update(token="new", translation=[1.7, 0.0, 1.6])
    last = [d for d in data if "scene-0001" in d["filename"] and "CAM_FRONT/" in d["filename"]]
    max(last, key=lambda d: d["timestamp"] * d["is_key_frame"])["calibrated_sensor_token"] = "new"
    (tables / "calibrated_sensor.json").write_text(json.dumps([*sensors, other]))
    (tables / "sample_data.json").write_text(json.dumps(data))
    text = f"nuscenes:{tmp_path / 'data'}"
    assert convert(text, tmp_path / "bag", "--drives", "scene-0001") == 1
    assert "the mounting of CAM_FRONT changes" in capsys.readouterr().err


def test_cameras_that_a_list_names_one_by_one_share_scan_and_pose(tmp_path):
    stereo = {**KITTI, "camera_color_right": mounted(0.0, 0.0, -0.48, HEIGHT)}
    write_kitti(tmp_path / "data", plane_drive(stereo, frames=2), sides="lr")
    lines = [f"{DRIVE[:10]}/{DRIVE} {frame} {side}" for frame in (1, 0) for side in "rl"]
    split = tmp_path / "split.txt"
    split.write_text("\n".join(lines))
    text = f"kitti_raw:{tmp_path / 'data'}?split={split}"
    assert len(open_source(text)) == 4
    assert convert(text, tmp_path / "bag") == 0
    with BagReader(tmp_path / "bag", load("")) as reader:
        assert reader.counts["/velo_link/points"] == 2 == len(reader.odometry)
    bag = open_source(f"bag:{tmp_path / 'bag'}")
    assert len(bag) == 2
    assert bag.cameras(1) == ["camera_color_left", "camera_color_right"]


def test_shards_of_the_world_keep_their_exact_truth(tmp_path):
    """Without a LiDAR: depth, labels, ground, and how wrong the calibration is."""
    model = CameraModel(
        64, 48, [[50, 0, 31.5], [0, 50, 20.0], [0, 0, 1]], [-0.1, 0.02], "plumb_bob"
    )
    ground, T = GroundPlane(np.array([0.01, 0.0, 1.0]), -0.02), mounted(0.2, 1.0, 0.1, 1.4)
    wrong = T.copy()
    wrong[2, 3] += 0.05
    depth = plane_depth(model.rays(), T, ground).astype(np.float32)
    label = np.where(np.isfinite(depth), labels.ROAD, labels.SKY).astype(np.uint8)
    label[46:] = labels.OWN_BODY
    image = np.random.default_rng(1).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    camera = TrueCamera("front", model, T, wrong, image, depth, label)
    sets = []
    for i in range(4):
        facts = {
            "rig": "robot",
            "drive": i // 2,
            "index": i % 2,
            "time": 0.25 * (i % 2),
            "T_odom_base": pose_at(i).tolist(),
        }
        sets.append(TrueFrameSet(f"{i:08d}", (camera,), ground, facts))
    data = b"".join(map(encode_set, sets)) + TAR_END
    folder = tmp_path / "shards"
    folder.mkdir()
    (folder / "0.tar").write_bytes(data)
    manifest = {
        "format": "depth_perception world shards",
        "version": 1,
        "arguments": {"sets_per_drive": 2},
        "shards": [{"name": "0.tar", "sets": 4, "bytes": len(data)}],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    source = open_source(str(folder))
    assert drives_of(source) == {"000000": [0, 1], "000001": [2, 3]}
    assert convert(str(folder), tmp_path / "bag", "--drives", "000001") == 0
    bag = open_source(f"bag:{tmp_path / 'bag'}")
    expected, (found,) = source.read(2).cameras[0], bag.read(0).cameras
    np.testing.assert_array_equal(found.image, expected.image)
    np.testing.assert_array_equal(found.depth, expected.depth)
    np.testing.assert_array_equal(found.label, expected.label)
    np.testing.assert_allclose(found.T_base_calibrated, wrong, atol=1e-8)
    assert found.model.D.tolist() == [-0.1, 0.02]
    assert bag.read(1).facts["stamp"] - bag.read(0).facts["stamp"] == 250_000_000
    with BagReader(tmp_path / "bag", load("")) as reader:
        np.testing.assert_allclose(reader.tree.lookup("base_link", "truth/front"), T, atol=1e-9)
        assert reader.counts["/truth/ground"] == 2 and not reader.lidar_topics


def test_a_real_bag_converts_to_one_that_evaluates_the_same(tmp_path):
    path = SHARED / "bags" / "kitti_road"
    if not path.exists():
        pytest.skip(f"no real drive at {path}")
    assert convert(f"bag:{path}?params=kitti", tmp_path / "bag") == 0
    found = []
    for bag in (path, tmp_path / "bag"):
        with BagReader(bag, load(config_file("kitti.yaml"))) as reader:
            found.append(evaluate(reader, Pipeline()))
    assert found[0].points == found[1].points
    one, two = (evaluation.over_images.metric.abs_rel for evaluation in found)
    assert one == pytest.approx(two, rel=1e-6)
