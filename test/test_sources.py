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

"""Data sets in their own folders: what is read is what was written, and depth is the road's."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_drive
import yaml
from test_lidar import SHARED
from tiny_datasets import (
    COLUMNS,
    DRIVE,
    FOCAL,
    HEIGHT,
    PERIOD,
    ROW,
    ROWS,
    SIZE,
    START,
    K,
    by_hand,
    encoded,
    mounted,
    picture,
    plane_drive,
    pose_at,
    turn,
    write_ddad,
    write_kitti,
    write_nuscenes,
)

from depth_perception import messages
from depth_perception.datasets.bag import BagReader
from depth_perception.datasets.bag_writer import BagWriter
from depth_perception.datasets.lidar_truth import TruthProtocol
from depth_perception.datasets.sample import DatasetError, TrueFrameSet
from depth_perception.datasets.source import NOT_KNOWN, open_source
from depth_perception.datasets.sources.bag import levelled
from depth_perception.datasets.sources.kitti import read_split
from depth_perception.datasets.sources.kitti_calibration import imu_pose, nanoseconds
from depth_perception.datasets.sources.recorded import RecordedSet, true_set
from depth_perception.errors import ConfigurationError
from depth_perception.geometry.ground_plane import GroundPlane, camera_height
from depth_perception.geometry.transforms import inverse, rotation_of_angles, transform_points
from depth_perception.parameters import load

KITTI = {"camera_color_left": mounted(0.0, 0.0, 0.06, HEIGHT)}
STEREO = {**KITTI, "camera_color_right": mounted(0.0, 0.0, -0.48, HEIGHT)}
DDAD = {"CAMERA_01": mounted(0.0, 1.5, 0.3, HEIGHT), "CAMERA_05": mounted(1.4, 1.4, 0.5, HEIGHT)}
NUSCENES = {
    "CAM_FRONT": mounted(0.0, 1.7, 0.0, HEIGHT),
    "CAM_FRONT_LEFT": mounted(1.2, 1.5, 0.5, HEIGHT),
}
LATE, SPREAD = 40_000_000, 7_000_000


@pytest.fixture(scope="module")
def kitti(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_kitti(tmp_path_factory.mktemp("kitti"), plane_drive(KITTI))


@pytest.fixture(scope="module")
def ddad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    drives = {
        "000000": plane_drive(DDAD, delay=LATE, name="000000"),
        "000150": plane_drive(DDAD, delay=LATE, name="000150", frames=2),
    }
    return write_ddad(tmp_path_factory.mktemp("ddad"), drives, {"0": ["000000"], "1": ["000150"]})


@pytest.fixture(scope="module")
def nuscenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    drives = {
        name: plane_drive(NUSCENES, delay=LATE, spread=SPREAD, kind=".jpg", name=name, frames=n)
        for name, n in (("scene-0103", 3), ("scene-0061", 2))
    }
    return write_nuscenes(tmp_path_factory.mktemp("nuscenes"), drives)


def texts(kitti: Path, ddad: Path, nuscenes: Path) -> dict[str, str]:
    return {
        "kitti": f"kitti_raw:{kitti}",
        "ddad": f"ddad:{ddad}?split=train&ego_masks=none",
        "nuscenes": f"nuscenes:{nuscenes}?ego_masks=none",
    }


def expect_plane(sample: TrueFrameSet, names: list[str]) -> None:
    """Depth at the LiDAR's pixels is that of the road, in closed form, and nowhere else known."""
    assert [camera.name for camera in sample.cameras] == names
    assert sample.ground.height == 0.0 and sample.ground.normal.tolist() == [0, 0, 1]
    for camera in sample.cameras:
        assert camera.image.shape == (*camera.depth.shape, 3) == (SIZE[1], SIZE[0], 3)
        np.testing.assert_allclose(camera.depth, by_hand(), rtol=1e-5)
        assert (camera.label == NOT_KNOWN).all()
        assert camera_height(sample.ground, camera.T_base_camera) == pytest.approx(HEIGHT)
        np.testing.assert_array_equal(camera.T_base_camera, camera.T_base_calibrated)


def test_row_41_is_100_times_the_height_over_17():
    assert by_hand()[45, 30] == pytest.approx(100 * 1.5 / 21) and by_hand().shape == (72, 128)


@pytest.mark.parametrize("kind", ["kitti", "ddad", "nuscenes"])
def test_depth_is_the_roads_while_the_vehicle_moves_between_image_and_scan(
    kind, kitti, ddad, nuscenes
):
    mountings = {"kitti": KITTI, "ddad": DDAD, "nuscenes": NUSCENES}[kind]
    source = open_source(texts(kitti, ddad, nuscenes)[kind])
    last = 2 if kind != "nuscenes" else 4  # scene-0061 comes first
    names = sorted(mountings, key=source.cameras(last).index)
    sample = source.read(last)
    expect_plane(sample, names)
    for camera in sample.cameras:
        np.testing.assert_allclose(camera.T_base_camera, mountings[camera.name], atol=1e-9)
        np.testing.assert_allclose(camera.model.K, K, atol=1e-9)
        assert camera.model.is_pinhole
    assert sample.facts["stamp"] == START + 2 * PERIOD + (
        SPREAD * list(mountings).index(names[0]) if kind == "nuscenes" else 0
    )
    assert sample.facts["index"] == 2


@pytest.mark.parametrize("kind", ["kitti", "ddad", "nuscenes"])
def test_one_camera_brings_its_own_instant_and_pose(kind, kitti, ddad, nuscenes):
    source = open_source(texts(kitti, ddad, nuscenes)[kind])
    first = source.read(0, lambda count: [count - 1])
    second = source.read(1, lambda count: [count - 1])
    assert len(first.cameras) == 1
    poses = [np.array(sample.facts["T_odom_base"]) for sample in (first, second)]
    stamps = [sample.facts["stamp"] for sample in (first, second)]
    expected = inverse(pose_at(stamps[0])) @ pose_at(stamps[1])
    np.testing.assert_allclose(inverse(poses[0]) @ poses[1], expected, atol=1e-6)
    json.dumps(dict(first.facts))  # plain values


@pytest.mark.parametrize("kind", ["kitti", "ddad", "nuscenes"])
def test_neighbours_end_where_a_drive_ends(kind, kitti, ddad, nuscenes):
    text = {
        "kitti": f"kitti_raw:{kitti}",
        "ddad": f"ddad:{ddad}",
        "nuscenes": f"nuscenes:{nuscenes}",
    }[kind]
    source = open_source(text)
    ends = {"kitti": [0, 3], "ddad": [0, 3, 5], "nuscenes": [0, 2, 5]}[kind]
    assert len(source) == ends[-1]
    for place in range(len(source)):
        following = source.neighbour(place, 1)
        assert following == (None if place + 1 in ends else place + 1)
        assert source.neighbour(place, -1) == (None if place in ends else place - 1)
    assert source.neighbour(0, 7) is None
    with pytest.raises(IndexError):
        source.cameras(len(source))
    keys = [source.recorded(place, lambda _: []).key for place in range(len(source))]
    assert len(set(keys)) == len(keys)


def test_sources_can_be_handed_to_processes(kitti, ddad, nuscenes, tmp_path):
    bag = tiny_drive.write_drive(tmp_path / "bag", compressed=True)
    made = [*texts(kitti, ddad, nuscenes).values(), f"bag:{bag}"]
    for text in made:
        source = open_source(text)
        before = source.read(0)  # what it opened must not hinder
        after = pickle.loads(pickle.dumps(source)).read(0)
        for a, b in zip(before.cameras, after.cameras, strict=True):
            np.testing.assert_array_equal(a.image, b.image)
            np.testing.assert_array_equal(a.depth, b.depth)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(source.cameras, [0]) == [["front", "rear"]]


def test_an_unknown_kind_or_option_is_named(kitti):
    with pytest.raises(ConfigurationError, match="'kitti_raw'"):
        open_source(f"kiti_raw:{kitti}")
    with pytest.raises(ConfigurationError, match="'max_depth'"):
        open_source(f"kitti_raw:{kitti}?max_dept=20")
    with pytest.raises(ConfigurationError, match="no value"):
        open_source(f"kitti_raw:{kitti}?split=")
    with pytest.raises(ConfigurationError, match="max_depth=far"):
        open_source(f"kitti_raw:{kitti}?max_depth=far")
    for kind in ("kitti_raw", "ddad", "nuscenes", "bag"):
        with pytest.raises(DatasetError, match="does not exist"):
            open_source(f"{kind}:{kitti}/absent")
        with pytest.raises(DatasetError):
            (kitti / "empty").mkdir(exist_ok=True)
            open_source(f"{kind}:{kitti}/empty")


def test_points_beyond_max_depth_are_left_out(kitti):
    depth = open_source(f"kitti_raw:{kitti}?max_depth=10").read(0).cameras[0].depth
    expected = by_hand()
    expected[expected >= 10] = np.nan
    np.testing.assert_allclose(depth, expected, rtol=1e-5)


# --- KITTI -------------------------------------------------------------------------------------


def test_mercator_poses_by_hand():
    origin = (49.0, 8.4, 110.0, 0.0, 0.0, 0.0)
    # A hundred thousandth of a degree is 1.1132 m north, and cos 49 of it east.
    T = imu_pose((49.00001, 8.40002, 112.5, 0.0, 0.0, np.pi / 2), origin)
    arc = 6378137.0 * np.radians(1e-5)
    np.testing.assert_allclose(T[:3, 3], [2 * arc * np.cos(np.radians(49)), arc, 2.5], atol=1e-5)
    np.testing.assert_allclose(T[:3, :3], [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12)
    # Roll 90 degrees puts y up, then pitch 90 degrees turns x down.
    np.testing.assert_allclose(
        rotation_of_angles(np.pi / 2, 0, 0) @ [0, 1, 0], [0, 0, 1], atol=1e-12
    )
    np.testing.assert_allclose(
        rotation_of_angles(0, np.pi / 2, 0) @ [1, 0, 0], [0, 0, -1], atol=1e-12
    )


def test_times_of_kitti_have_nanoseconds():
    assert nanoseconds("2011-09-26 13:02:25.964389445", "t") == 1317042145_964389445
    assert nanoseconds("2011-09-26 13:02:25", "t") == 1317042145_000000000
    with pytest.raises(DatasetError, match=r"t\.txt"):
        nanoseconds("yesterday", "t.txt")


def test_both_forms_of_lists_are_read(tmp_path):
    file = tmp_path / "split.txt"
    file.write_text(
        "2011_09_26/2011_09_26_drive_0002_sync 0000000069 l\n\n"
        "2011_09_26/2011_09_26_drive_0022_sync 473 r\n"
        "2011_09_28/2011_09_28_drive_0001_sync/image_02/data/0000000005.png"
        " 2011_09_28_drive_0001_sync/proj_depth/groundtruth/image_02/0000000005.png 721.5377\n"
    )
    assert read_split(file) == [
        ("2011_09_26_drive_0002_sync", 69, "l"),
        ("2011_09_26_drive_0022_sync", 473, "r"),
        ("2011_09_28_drive_0001_sync", 5, "l"),
    ]
    file.write_text("2011_09_26 5 l\n")
    with pytest.raises(ConfigurationError, match="line 1"):
        read_split(file)


def test_a_list_chooses_frames_and_cameras_and_its_neighbours_stay_at_hand(tmp_path):
    write_kitti(tmp_path, plane_drive(STEREO, frames=4), sides="lr")
    split = tmp_path / "split.txt"
    day = DRIVE[:10]
    split.write_text(f"{day}/{DRIVE} 2 r\n{day}/{DRIVE} 0000000001 l\n")
    source = open_source(f"kitti_raw:{tmp_path}?split={split}")
    assert len(source) == 2
    assert [source.cameras(i) for i in range(2)] == [["camera_color_right"], ["camera_color_left"]]
    sample = source.read(0)
    np.testing.assert_allclose(
        sample.cameras[0].T_base_camera, STEREO["camera_color_right"], atol=1e-9
    )
    assert sample.facts["index"] == 2
    # Frames 1 and 3 of the right camera are not in the list: their places are beyond its end.
    before, after = source.neighbour(0, -1), source.neighbour(0, 1)
    assert before is not None and after is not None and before >= 2 and after >= 2
    assert source.cameras(after) == ["camera_color_right"]
    assert source.read(before).facts["index"] == 1 and source.read(after).facts["index"] == 3
    assert source.neighbour(after, -1) == 0
    assert source.neighbour(1, 3) is None
    both = open_source(f"kitti_raw:{tmp_path}?cameras=both")
    assert both.cameras(0) == ["camera_color_left", "camera_color_right"] and len(both) == 4
    split.write_text(f"{day}/{DRIVE} 9 l\n")
    with pytest.raises(DatasetError, match="no image 9"):
        open_source(f"kitti_raw:{tmp_path}?split={split}")
    with pytest.raises(ConfigurationError, match="cameras="):
        open_source(f"kitti_raw:{tmp_path}?split={split}&cameras=both")


def test_improved_truth_is_the_depth_and_frames_without_it_are_left_out(kitti, tmp_path):
    stored = np.zeros((SIZE[1], SIZE[0]), np.uint16)
    stored[50, 60], stored[40, 20] = 256 * 7 + 64, 65535
    file = tmp_path / "val" / DRIVE / "proj_depth" / "groundtruth" / "image_02" / "0000000001.png"
    file.parent.mkdir(parents=True)
    file.write_bytes(encoded(stored))
    source = open_source(f"kitti_raw:{kitti}?truth={tmp_path}")
    assert len(source) == 1
    sample = source.read(0)
    assert sample.facts["index"] == 1
    depth = sample.cameras[0].depth
    assert depth[50, 60] == 7.25 and depth[40, 20] == pytest.approx(255.996, abs=1e-3)
    assert np.isfinite(depth).sum() == 2
    file.write_bytes(encoded(stored.astype(np.uint8)))
    with pytest.raises(DatasetError, match="16 bits"):
        source.read(0)
    with pytest.raises(DatasetError, match="improved truth of no frame"):
        open_source(f"kitti_raw:{kitti}?truth={kitti}")


def test_images_resized_evenly_keep_their_geometry(tmp_path):
    sets = plane_drive(KITTI, frames=1)
    small = cv2.resize(picture(0), (64, 36), interpolation=cv2.INTER_AREA)
    image = replace(sets[0].images[0], data=encoded(small, ".jpg"))
    write_kitti(tmp_path, [replace(sets[0], images=(image,))])
    camera = open_source(f"kitti_raw:{tmp_path}").read(0).cameras[0]
    assert (camera.model.width, camera.model.height) == (64, 36)
    assert camera.model.K[0, 0] == 50 and camera.model.K[1, 2] == (ROW + 0.5) / 2 - 0.5
    v, u = np.nonzero(np.isfinite(camera.depth))
    assert len(v) > 5
    # Within half a pixel of where it is the road's.
    slope = 50 * HEIGHT / camera.depth[v, u]
    assert np.abs(slope - (v - camera.model.K[1, 2])).max() <= 0.5 + 1e-4
    image = replace(image, data=encoded(picture(0)[:40]))
    written = tmp_path / "other"
    write_kitti(written, [replace(sets[0], images=(image,))])
    with pytest.raises(DatasetError, match="128x40"):
        open_source(f"kitti_raw:{written}").read(0)


def test_a_drive_without_lidar_or_gps_has_images_alone(tmp_path):
    write_kitti(tmp_path, plane_drive(KITTI, frames=1, poses=False, scans=False))
    sample = open_source(f"kitti_raw:{tmp_path}").read(0)
    assert np.isnan(sample.cameras[0].depth).all()
    assert "T_odom_base" not in sample.facts


@pytest.mark.parametrize(
    ("inside", "change", "match"),
    [
        ("image_02/data/0000000000.png", None, "0000000000.png"),
        ("image_02/data/0000000000.png", 60, "0000000000.png' is damaged"),
        ("image_02/data/0000000000.png", 8, "is no image"),
        ("velodyne_points/data/0000000000.bin", None, "0000000000.bin"),
        ("velodyne_points/data/0000000000.bin", 50, "50 bytes"),
        ("oxts/data/0000000000.txt", None, "0000000000.txt"),
        ("oxts/data/0000000000.txt", 20, "0000000000.txt' is damaged"),
        ("image_02/timestamps.txt", None, "timestamps.txt"),
        ("image_02/timestamps.txt", 0, "one for image 0"),
        ("../calib_cam_to_cam.txt", None, "calib_cam_to_cam.txt"),
        ("../calib_cam_to_cam.txt", 60, "lacks 'P_rect_02'"),
        ("../calib_velo_to_cam.txt", None, "calib_velo_to_cam.txt"),
        ("../calib_imu_to_velo.txt", None, "calib_imu_to_velo.txt"),
    ],
)
def test_what_kitti_lacks_is_named_with_a_fix(inside, change, match, tmp_path):
    write_kitti(tmp_path, plane_drive(KITTI, frames=1))
    file = (tmp_path / DRIVE[:10] / DRIVE / inside).resolve()
    source = open_source(f"kitti_raw:{tmp_path}")  # found out when it is read
    if change is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:change])
    with pytest.raises(DatasetError, match=match) as caught:
        source.read(0)
    assert caught.value.fix


# --- DDAD --------------------------------------------------------------------------------------


def test_splits_of_ddad(ddad):
    assert len(open_source(f"ddad:{ddad}?split=train")) == 3
    val = open_source(f"ddad:{ddad}/ddad.json?split=val&cameras=CAMERA_05&ego_masks=none")
    assert len(val) == 2 and val.cameras(0) == ["CAMERA_05"]
    expect_plane(val.read(1), ["CAMERA_05"])
    with pytest.raises(DatasetError, match=r"split 'test'.*train, val"):
        open_source(f"ddad:{ddad}?split=test")
    with pytest.raises(ConfigurationError, match="split=tests"):
        open_source(f"ddad:{ddad}?split=tests")
    with pytest.raises(ConfigurationError, match="CAMERA_05"):
        open_source(f"ddad:{ddad}?cameras=CAMERA_02")


def test_scenes_without_a_list_are_read_all(tmp_path):
    write_ddad(tmp_path, {"000007": plane_drive(DDAD, frames=1)}, {"0": []})
    with pytest.raises(DatasetError, match="names no scene"):
        open_source(f"ddad:{tmp_path}")
    (tmp_path / "ddad.json").unlink()
    assert len(open_source(f"ddad:{tmp_path}")) == 1
    with pytest.raises(DatasetError, match="split=train needs"):
        open_source(f"ddad:{tmp_path}?split=train")


def test_an_ego_mask_takes_depth_away_and_marks_the_own_body(ddad, tmp_path):
    masks = tmp_path / "masks.yaml"
    polygon = [[-1, 50], [128, 50], [128, 72], [-1, 72]]
    masks.write_text(yaml.safe_dump({"CAMERA_05": {"size": [128, 72], "polygons": [polygon]}}))
    sample = open_source(f"ddad:{ddad}?split=train&ego_masks={masks}").read(0)
    front, left = sample.cameras
    np.testing.assert_allclose(front.depth, by_hand(), rtol=1e-5)
    expected = by_hand()
    expected[50:] = np.nan
    np.testing.assert_allclose(left.depth, expected, rtol=1e-5)
    assert (left.label[51:] == 255).all() and (left.label[:50] == NOT_KNOWN).all()


@pytest.mark.parametrize(
    ("pattern", "change", "match"),
    [
        ("000000/scene_*.json", None, "scene_000000ab.json"),
        ("000000/scene_*.json", 500, "scene_000000ab.json' is damaged"),
        ("ddad.json", 30, "ddad.json' is damaged"),
        ("000000/calibration/*.json", None, "ca1.json"),
        ("000000/calibration/*.json", 30, "ca1.json' is damaged"),
        ("000000/rgb/CAMERA_01/*.png", None, ".png"),
        ("000000/point_cloud/LIDAR/*.npz", None, ".npz"),
        ("000000/point_cloud/LIDAR/*.npz", 100, ".npz' is damaged"),
    ],
)
def test_what_ddad_lacks_is_named_with_a_fix(pattern, change, match, tmp_path):
    write_ddad(tmp_path, {"000000": plane_drive(DDAD, frames=1)}, {"0": ["000000"]})
    (file,) = tmp_path.glob(pattern)
    if change is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:change])
    with pytest.raises(DatasetError, match=match) as caught:
        open_source(f"ddad:{tmp_path}?ego_masks=none").read(0)
    assert caught.value.fix


def test_lenses_of_dgp(tmp_path):
    write_ddad(tmp_path, {"000000": plane_drive(DDAD, frames=1)}, {"0": ["000000"]})
    file = tmp_path / "000000" / "calibration" / "ca1.json"
    content = json.loads(file.read_text())
    place = content["names"].index("CAMERA_01")
    content["intrinsics"][place].update(k1=-0.1, k2=0.02, p1=1e-3, p2=2e-3, k3=0.003)
    file.write_text(json.dumps(content))
    camera = open_source(f"ddad:{tmp_path}?ego_masks=none").read(0).cameras[0]
    assert camera.model.distortion_model == "plumb_bob"
    assert camera.model.D.tolist() == [-0.1, 0.02, 1e-3, 2e-3, 0.003]
    content["intrinsics"][place]["k4"] = 0.1
    file.write_text(json.dumps(content))
    camera = open_source(f"ddad:{tmp_path}?ego_masks=none").read(0).cameras[0]
    assert camera.model.distortion_model == "rational_polynomial"
    content["intrinsics"][place]["fisheye"] = 1
    file.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="fisheye=1"):
        open_source(f"ddad:{tmp_path}?ego_masks=none").read(0)


# --- nuScenes ----------------------------------------------------------------------------------


def test_a_list_of_scenes_and_a_version(nuscenes, tmp_path):
    split = tmp_path / "split.txt"
    split.write_text("scene-0103\n")
    source = open_source(f"nuscenes:{nuscenes}?version=v1.0-mini&split={split}&ego_masks=none")
    assert len(source) == 3
    sample = source.read(0)
    assert sample.facts["drive_name"] == "scene-0103"
    split.write_text("scene-0103 scene-0104")
    with pytest.raises(ConfigurationError, match="scene-0104"):
        open_source(f"nuscenes:{nuscenes}?split={split}")
    with pytest.raises(DatasetError, match=r"v1\.0-mini"):
        open_source(f"nuscenes:{nuscenes}?version=v1.0-trainval")


def test_the_packages_masks_of_nuscenes_are_taken(nuscenes):
    sample = open_source(f"nuscenes:{nuscenes}").read(0)
    for camera in sample.cameras:
        assert np.isnan(camera.depth[camera.label == 255]).all()


@pytest.mark.parametrize(
    ("pattern", "change", "match"),
    [
        ("v1.0-mini/ego_pose.json", None, "ego_pose.json"),
        ("v1.0-mini/sample_data.json", -1, "sample_data.json' is damaged"),
        ("v1.0-mini/sample_data.json", 700, "sample_data.json' is damaged"),
        ("v1.0-mini/scene.json", 50, "scene.json' is damaged"),
        ("v1.0-mini/sensor.json", None, "sensor.json"),
        ("samples/CAM_FRONT/*.jpg", None, ".jpg"),
        ("samples/CAM_FRONT/*.jpg", 900, ".jpg' is damaged"),
        ("samples/LIDAR_TOP/*.bin", 30, "30 bytes"),
    ],
)
def test_what_nuscenes_lacks_is_named_with_a_fix(pattern, change, match, tmp_path):
    write_nuscenes(tmp_path, {"scene-0001": plane_drive(NUSCENES, frames=1, kind=".jpg")})
    (file,) = tmp_path.glob(pattern)
    if change is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:change])
    with pytest.raises(DatasetError, match=match) as caught:
        open_source(f"nuscenes:{tmp_path}").read(0)
    assert caught.value.fix


def test_tables_that_do_not_agree_are_named(tmp_path):
    write_nuscenes(tmp_path, {"scene-0001": plane_drive(NUSCENES, frames=1)})
    (tmp_path / "v1.0-mini" / "ego_pose.json").write_text("[]")
    with pytest.raises(DatasetError, match="do not agree"):
        open_source(f"nuscenes:{tmp_path}")


# --- bags --------------------------------------------------------------------------------------


def test_a_bag_is_read_at_any_place(tmp_path):
    bag = tiny_drive.write_drive(tmp_path / "tiny", frames=4)
    source = open_source(f"bag:{bag}")
    assert len(source) == 4 and source.cameras(3) == ["front", "rear"]
    for place in (3, 0, 2):
        sample = source.read(place, lambda count: range(1, count))
        np.testing.assert_array_equal(sample.cameras[0].image, tiny_drive.picture(2 * place + 1))
        assert sample.facts["stamp"] == tiny_drive.START + place * tiny_drive.PERIOD + 20_000_000
    front = source.read(1).cameras[0]
    v, u = np.nonzero(np.isfinite(front.depth))
    assert len(v) > 30
    # Road: depth f h / (v - c), to half a pixel.
    slope = 200 * tiny_drive.HEIGHT / front.depth[v, u]
    assert np.abs(slope - (v - 99.5)).max() <= 0.5 + 1e-3


def test_a_program_that_has_read_a_bag_ends_quietly(tmp_path):
    """Which keeps the source to its end, when nothing can be imported any more to close it."""
    bag = tiny_drive.write_drive(tmp_path / "drive", frames=2)
    program = (
        "from depth_perception.datasets.source import open_source\n"
        f"source = open_source('bag:{bag}')\nsource.itself = source\n"
        "print(len(source.read(0).cameras))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and int(done.stdout) > 0


def test_parameters_of_a_bag_are_named_in_the_source(tmp_path):
    bag = tiny_drive.write_drive(tmp_path / "tiny", frames=1)
    file = tmp_path / "mine.yaml"
    values = {"cameras": ["rear"], "ground": {"height": -0.25, "pitch": 0.02}}
    file.write_text(yaml.safe_dump({"/**": {"ros__parameters": values}}))
    source = open_source(f"bag:{bag}?params={file}")
    assert source.cameras(0) == ["rear"]
    sample = source.read(0)
    # The base frame was moved onto the ground that the parameters describe.
    plane = GroundPlane.from_angles(0.0, 0.02, -0.25)
    expected = camera_height(plane, tiny_drive.mounting("rear"))
    assert sample.cameras[0].T_base_camera[2, 3] == pytest.approx(expected)
    with pytest.raises(ConfigurationError, match=r"kiti\.yaml"):
        open_source(f"bag:{bag}?params=kiti")
    with pytest.raises(DatasetError, match="camera_color_left"):
        open_source(f"bag:{bag}?params=kitti")


def test_a_level_frame_has_its_origin_on_the_ground():
    plane = GroundPlane(np.array([0.02, -0.03, 1.0]), -0.4)
    T = levelled(plane)
    np.testing.assert_allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(T[:3, :3]) == pytest.approx(1)
    points = np.random.default_rng(0).normal(0, 5, (20, 3))
    heights = transform_points(T, points)[:, 2]
    np.testing.assert_allclose(heights, plane.signed_distance(points), atol=1e-12)
    np.testing.assert_array_equal(levelled(GroundPlane()), np.eye(4))


def test_a_scan_too_far_in_time_tells_no_depth(tmp_path):
    def late(topic, index, message):
        if topic == "/lidar/points":
            message.header.stamp.nanosec += 160_000_000
        return message

    bag = tiny_drive.write_drive(tmp_path / "late", frames=1, change=late)
    sample = open_source(f"bag:{bag}").read(0)
    # 0.16 s after the front image, 0.14 s after the rear one; 0.1 s is allowed without odometry.
    assert all(np.isnan(camera.depth).all() for camera in sample.cameras)


def test_scans_without_a_point_tell_no_depth(tmp_path):
    def empty(topic, index, message):
        if topic == "/lidar/points":
            message.data = np.full(len(message.data) // 4, np.nan, "<f4").view(np.uint8)
        return message

    source = open_source(f"bag:{tiny_drive.write_drive(tmp_path / 'nan', frames=1, change=empty)}")
    assert np.isnan(source.read(0).cameras[0].depth).all()
    assert "/lidar/points" in " ".join(source.problems)


def test_exact_truth_of_a_bag_goes_before_its_lidar(tmp_path):
    bag = tiny_drive.write_drive(tmp_path / "plain", frames=1)
    truth = np.full((200, 320), 12.5, np.float32)
    truth[:100] = np.inf
    label = np.zeros((200, 320), np.uint8)
    label[:100] = 10
    stamp, path = tiny_drive.START, tmp_path / "exact"
    with BagWriter(path) as writer:
        with BagReader(bag, load("")) as reader:
            for topic, time, message in reader.messages(list(reader.topics)):
                writer.write(topic, message, time, latched=topic == "/tf_static")
        depth = messages.depth_message(writer.types, stamp, "front", truth)
        writer.write("/truth/front/depth", depth, stamp)
        mono = messages.image_message(writer.types, stamp, "front", label, "mono8")
        writer.write("/front/labels", mono, stamp)
    front, rear = open_source(f"bag:{path}").read(0).cameras
    np.testing.assert_array_equal(front.depth, truth)
    np.testing.assert_array_equal(front.label, label)
    assert np.isfinite(rear.depth).any() and (rear.label == NOT_KNOWN).all()


def test_a_cut_bag_is_named(tmp_path):
    bag = tiny_drive.write_drive(tmp_path / "cut", frames=1)
    (file,) = bag.glob("*.mcap")
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(DatasetError, match="cut"):
        open_source(f"bag:{bag}")


# --- real drives -------------------------------------------------------------------------------


def real(bag: str, family: str) -> list[RecordedSet]:
    """The first two frame sets of a real drive, the first two cameras."""
    path = SHARED / "bags" / bag
    if not path.exists():
        pytest.skip(f"no real drive at {path}")
    source = open_source(f"bag:{path}?params={family}")
    places = range(min(len(source), 2))
    return [source.recorded(place, lambda count: range(count)[:2]) for place in places]


@pytest.mark.parametrize(
    ("bag", "family"),
    [("kitti_drive", "kitti"), ("ddad_scene", "ddad"), ("nuscenes_sample", "nuscenes")],
)
def test_a_real_drive_written_in_its_own_folders_reads_the_same(bag, family, tmp_path):
    sets = real(bag, family)
    if family == "kitti":
        write_kitti(tmp_path, sets)
        source = open_source(f"kitti_raw:{tmp_path}")
    elif family == "ddad":
        write_ddad(tmp_path, {"000000": sets}, {"0": ["000000"]})
        source = open_source(f"ddad:{tmp_path}?split=train")
    else:
        write_nuscenes(tmp_path, {"scene-0103": sets})
        source = open_source(f"nuscenes:{tmp_path}")
    assert len(source) == len(sets)
    for place, item in enumerate(sets):
        expected, found = true_set(item, TruthProtocol()), source.read(place)
        assert found.facts["stamp"] == expected.facts["stamp"]
        for a, b in zip(expected.cameras, found.cameras, strict=True):
            assert a.name == b.name
            np.testing.assert_allclose(b.T_base_camera, a.T_base_camera, atol=1e-6)
            np.testing.assert_allclose(b.model.K, a.model.K, rtol=1e-9)
            np.testing.assert_array_equal(b.image, a.image)
            np.testing.assert_array_equal(b.label, a.label)
            known = np.isfinite(a.depth)
            assert known.sum() > 1000
            # Points on the border between two pixels may change sides.
            assert (known != np.isfinite(b.depth)).sum() < 0.002 * known.sum()
            both = known & np.isfinite(b.depth)
            off = np.abs(b.depth[both] / a.depth[both] - 1)
            assert np.quantile(off, 0.998) < 1e-5
    if "T_odom_base" in expected.facts:
        poses = [np.array(source.read(p).facts["T_odom_base"]) for p in (0, 1)]
        wanted = [item.images[0].T_odom_base for item in sets]
        np.testing.assert_allclose(
            inverse(poses[0]) @ poses[1], inverse(wanted[0]) @ wanted[1], atol=1e-6
        )


def test_turned_pixels_are_where_they_are_said_to_be():
    """The tests' own scene: a point of the road before a turned camera lies in its pixel."""
    T = mounted(1.4, 1.4, 0.5, HEIGHT)
    ahead = T[:3, 3] + turn(1.4) @ [FOCAL * HEIGHT / 21, 0, -HEIGHT]
    u, v = (K @ (inverse(T)[:3, :3] @ (ahead - T[:3, 3])))[:2] / (FOCAL * HEIGHT / 21)
    assert (u, v) == (pytest.approx(63.5), pytest.approx(45)) and 45 in ROWS and 30 in COLUMNS
