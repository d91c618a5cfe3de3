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

"""Tiny drives in the folders of KITTI, DDAD and nuScenes, for tests.

`plane_drive` makes frame sets over a flat road whose depth is known by hand; `write_kitti`,
`write_ddad` and `write_nuscenes` write any recorded frame sets as those data sets lie on disk.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np

from depth_perception.datasets.sources.recorded import RecordedImage, RecordedScan, RecordedSet
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.transforms import (
    OPTICAL_AXES,
    inverse,
    quaternion_of,
    transform_points,
)

SIZE = (128, 72)
FOCAL, ROW = 100.0, 24.0
K = np.array([[FOCAL, 0, 63.5], [0, FOCAL, ROW], [0, 0, 1]])
MODEL = CameraModel(*SIZE, K)
HEIGHT = 1.5
"""Of the level cameras over the road, m: depth of row v is FOCAL HEIGHT / (v - ROW)."""
COLUMNS, ROWS = np.arange(10, 120, 20), np.arange(31, 70, 7)
"""Pixels at whose centres the LiDAR has points; far enough apart that none hides another."""
START = 1_317_042_000_000_000_000
PERIOD = 100_000_000
DRIVE = "2011_09_26_drive_0001_sync"


def by_hand(height: float = HEIGHT) -> np.ndarray:
    """Depth (H, W) at the LiDAR's pixels, NaN elsewhere."""
    depth = np.full((SIZE[1], SIZE[0]), np.nan)
    for row in ROWS:
        depth[row, COLUMNS] = FOCAL * height / (row - ROW)
    return depth


def mounted(yaw: float, x: float, y: float, z: float) -> np.ndarray:
    """T_base_camera of a level camera, turned to the left by yaw, rad."""
    T = np.eye(4)
    T[:3, :3] = turn(yaw) @ OPTICAL_AXES
    T[:3, 3] = [x, y, z]
    return T


def turn(yaw: float) -> np.ndarray:
    """Rotation about z."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def pose_at(stamp: int) -> np.ndarray:
    """T_odom_base of a vehicle at 10 m/s in a slight bend, away from the origin."""
    time = (stamp - START) * 1e-9
    T = np.eye(4)
    T[:3, :3] = turn(0.3 + 0.4 * time)
    T[:3, 3] = [50 + 10 * time * np.cos(0.3), 20 + 10 * time * np.sin(0.3), 0.1 * time]
    return T


def picture(seed: int) -> np.ndarray:
    """A picture of blots."""
    small = np.random.default_rng(seed).integers(0, 255, (9, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, SIZE, interpolation=cv2.INTER_CUBIC))


def encoded(image: np.ndarray, kind: str = ".png") -> bytes:
    """A picture as a file's bytes."""
    return cv2.imencode(kind, image)[1].tobytes()


def plane_drive(
    mountings: dict[str, np.ndarray],
    *,
    frames: int = 3,
    delay: int = 0,
    spread: int = 0,
    kind: str = ".png",
    name: str = DRIVE,
    poses: bool = True,
    scans: bool = True,
) -> list[RecordedSet]:
    """Frame sets of cameras over the road z = 0, with LiDAR points at known pixels.

    Args:
        mountings: T_base_camera by name.
        frames: How many.
        delay: Of the scan after the first image, ns.
        spread: Between one camera's image and the next's, ns.
        kind: Of the images' files.
        name: Of the drive.
        poses: Whether odometry is known; without, nothing moves.
        scans: Whether there is a LiDAR.
    """
    T_base_lidar = np.eye(4)
    T_base_lidar[:3, :3] = turn(0.2)
    T_base_lidar[:3, 3] = [0.5, 0.1, 1.8]
    out = []
    for frame in range(frames):
        stamp = START + frame * PERIOD
        scan_stamp = stamp + delay
        at_scan = pose_at(scan_stamp)
        points = []
        for number, T in enumerate(mountings.values()):
            pixels = np.stack(np.meshgrid(COLUMNS, ROWS), -1).reshape(-1, 2)
            rays = MODEL.lift(pixels)
            road = transform_points(T, rays * (T[2, 3] / rays[:, 1:2]))
            if poses:
                moved = inverse(at_scan) @ pose_at(stamp + number * spread)
                road = transform_points(moved, road)
            points.append(transform_points(inverse(T_base_lidar), road))
        cloud = np.concatenate(points).astype(np.float32)
        light = np.linspace(0, 1, len(cloud), dtype=np.float32)
        scan = RecordedScan(
            scan_stamp, "lidar", T_base_lidar, cloud, light, at_scan if poses else None
        )
        images = tuple(
            RecordedImage(
                camera,
                stamp + i * spread,
                MODEL,
                T,
                encoded(picture(7 * frame + i), kind),
                f"{camera} {frame}",
                pose_at(stamp + i * spread) if poses else None,
                scan if scans else None,
            )
            for i, (camera, T) in enumerate(mountings.items())
        )
        out.append(RecordedSet(f"{frame}", "plane", 0, name, frame, images))
    return out


def extension(data: bytes | np.ndarray) -> str:
    """Ending of an image's file."""
    assert isinstance(data, bytes)
    return "jpg" if data[:2] == b"\xff\xd8" else "png"


def written(path: Path, data: bytes | str) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


# --- KITTI raw ---------------------------------------------------------------------------------


def _numbers(values: np.ndarray) -> str:
    return " ".join(repr(float(v)) for v in np.asarray(values).ravel())


def _rotation_translation(T: np.ndarray) -> str:
    return f"calib_time: 15-Mar-2012\nR: {_numbers(T[:3, :3])}\nT: {_numbers(T[:3, 3])}\n"


def write_kitti(root: Path, sets: list[RecordedSet], drive: str = DRIVE, sides: str = "l") -> Path:
    """Write frame sets of one or two level cameras as a KITTI raw drive; images of each by side."""
    day, folder = root / drive[:10], root / drive[:10] / drive
    T_base_0 = np.eye(4)
    T_base_0[:3, :3] = OPTICAL_AXES
    T_base_0[2, 3] = 1.65
    rectified = np.eye(4)
    rectified[:3, :3] = OPTICAL_AXES.T @ turn(0.01) @ OPTICAL_AXES
    lines = ["calib_time: 09-Jan-2012 13:57:47", "corner_dist: 9.95e-02"]
    lines.append(f"R_rect_00: {_numbers(rectified[:3, :3])}")
    images = list(sets[0].images)
    for number, image in zip(("02", "03"), [images[0], images[-1]], strict=True):
        centre = (inverse(T_base_0) @ image.T_base_camera)[:3, 3]
        P = np.column_stack([image.model.K, -image.model.K @ centre])
        lines.append(f"S_rect_{number}: {image.model.width:e} {image.model.height:e}")
        lines.append(f"P_rect_{number}: {_numbers(P)}")
    written(day / "calib_cam_to_cam.txt", "\n".join(lines) + "\n")
    scan = images[0].scan
    T_base_velodyne = np.eye(4) if scan is None else scan.T_base_lidar
    T_0_velodyne = inverse(rectified) @ inverse(T_base_0) @ T_base_velodyne
    written(day / "calib_velo_to_cam.txt", _rotation_translation(T_0_velodyne))
    T_velodyne_imu = np.eye(4)
    T_velodyne_imu[:3, :3] = turn(-0.02)
    T_velodyne_imu[:3, 3] = [0.81, -0.31, 0.8]
    written(day / "calib_imu_to_velo.txt", _rotation_translation(T_velodyne_imu))
    times = {"l": "", "r": ""}
    for item in sets:
        for side, image in zip(sides, item.images, strict=True):
            number = {"l": "02", "r": "03"}[side]
            name = f"{item.index:010d}.{extension(image.data)}"
            written(folder / f"image_{number}" / "data" / name, image.data)
            seconds, part = divmod(image.stamp, 1_000_000_000)
            shown = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
            times[side] += f"{shown}.{part:09d}\n"
            written(folder / f"image_{number}" / "timestamps.txt", times[side])
        first = item.images[0]
        if first.scan is not None:
            data = _with_light(first.scan).tobytes()
            written(folder / "velodyne_points" / "data" / f"{item.index:010d}.bin", data)
        if first.T_odom_base is not None:
            origin = sets[0].images[0].T_odom_base
            T_base_imu = T_base_velodyne @ T_velodyne_imu
            packet = _packet(first.T_odom_base @ T_base_imu, (origin @ T_base_imu)[:3, 3])
            written(folder / "oxts" / "data" / f"{item.index:010d}.txt", packet)
    return root


def _packet(T_odom_imu: np.ndarray, origin: np.ndarray) -> str:
    """An OXTS packet: Mercator's projection turned round, from 49 N, 8.4 E."""
    lat0, lon0 = np.radians([49.0, 8.4])
    metres = np.cos(lat0) * 6378137.0
    x, y, z = T_odom_imu[:3, 3] - origin
    north = np.log(np.tan(np.pi / 4 + lat0 / 2)) + y / metres
    lat, lon = 2 * np.arctan(np.exp(north)) - np.pi / 2, lon0 + x / metres
    R = T_odom_imu[:3, :3]
    angles = [np.arctan2(R[2, 1], R[2, 2]), -np.arcsin(R[2, 0]), np.arctan2(R[1, 0], R[0, 0])]
    return _numbers(np.array([*np.degrees([lat, lon]), z + 100.0, *angles, *np.zeros(24)]))


# --- DDAD (dgp) --------------------------------------------------------------------------------


def _pose_message(T: np.ndarray) -> dict[str, dict[str, float]]:
    x, y, z, w = (float(v) for v in quaternion_of(T))
    translation = dict(zip("xyz", map(float, T[:3, 3]), strict=True))
    return {"translation": translation, "rotation": {"qx": x, "qy": y, "qz": z, "qw": w}}


def _time_text(stamp: int) -> str:
    seconds, part = divmod(stamp, 1_000_000_000)
    shown = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{shown}.{part:09d}Z"


def write_ddad(
    root: Path, drives: dict[str, list[RecordedSet]], splits: dict[str, list[str]]
) -> Path:
    """Write drives as dgp scenes; splits name them by "0" (train), "1" (val), ..."""
    files = {name: _write_scene(root, name, sets) for name, sets in drives.items()}
    listed = {k: {"filenames": [files[name] for name in names]} for k, names in splits.items()}
    written(root / "ddad.json", json.dumps({"metadata": {"name": "DDAD"}, "scene_splits": listed}))
    return root


def _write_scene(root: Path, name: str, sets: list[RecordedSet]) -> str:
    """Write one scene; returns its JSON's path below the root."""
    folder, first = root / name, sets[0]
    sensors = [(image.name, image.T_base_camera, image.model.K) for image in first.images]
    if first.images[0].scan is not None:
        sensors.insert(0, ("LIDAR", first.images[0].scan.T_base_lidar, np.zeros((3, 3))))
    calibration = {
        "names": [sensor for sensor, _, _ in sensors],
        "intrinsics": [
            {"fx": k[0, 0], "fy": k[1, 1], "cx": k[0, 2], "cy": k[1, 2], "skew": 0.0, "k1": 0.0}
            for _, _, k in sensors
        ],
        "extrinsics": [_pose_message(T) for _, T, _ in sensors],
    }
    written(folder / "calibration" / "ca1.json", json.dumps(calibration))
    data, samples = [], []
    for item in sets:
        found = []
        for image in item.images:
            file = f"rgb/{image.name}/{image.stamp}.{extension(image.data)}"
            written(folder / file, image.data)
            datum = {
                "filename": file,
                "pose": _pose_message(_base(image) @ image.T_base_camera),
                "width": image.model.width,
                "height": image.model.height,
                "channels": 3,
            }
            found.append((image.name, image.stamp, {"image": datum}))
        scan = item.images[0].scan
        if scan is not None:
            file = f"point_cloud/LIDAR/{scan.stamp}.npz"
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(folder / file, data=_with_light(scan))
            datum = {"filename": file, "pose": _pose_message(_base(scan) @ scan.T_base_lidar)}
            found.append(("LIDAR", scan.stamp, {"point_cloud": datum}))
        keys = [f"{sensor}-{item.index}" for sensor, _, _ in found]
        for key, (sensor, stamp, datum) in zip(keys, found, strict=True):
            identity = {"log": "", "name": sensor, "timestamp": _time_text(stamp), "index": "0"}
            data.append({"id": identity, "key": key, "datum": datum, "next_key": ""})
        samples.append({"id": {}, "datum_keys": keys, "calibration_key": "ca1"})
    scene = {"name": name, "samples": samples, "data": data, "ontologies": {}}
    written(folder / f"scene_{name}ab.json", json.dumps(scene, indent=2))
    return f"{name}/scene_{name}ab.json"


def _with_light(scan: RecordedScan) -> np.ndarray:
    """Points with their intensity, (N, 4) float32."""
    light = scan.intensity
    light = np.zeros(len(scan.points), np.float32) if light is None else light
    return np.column_stack([scan.points, light]).astype("<f4")


def _base(item: RecordedImage | RecordedScan) -> np.ndarray:
    return np.eye(4) if item.T_odom_base is None else item.T_odom_base


# --- nuScenes ----------------------------------------------------------------------------------


def write_nuscenes(
    root: Path, drives: dict[str, list[RecordedSet]], version: str = "v1.0-mini"
) -> Path:
    """Write drives as nuScenes' tables and files, with a sweep between keyframes."""
    tables: dict[str, list[dict]] = {
        name: []
        for name in (
            "scene",
            "sample",
            "sample_data",
            "calibrated_sensor",
            "ego_pose",
            "sensor",
            "log",
        )
    }
    known: set[str] = set()

    def sensor(drive: str, name: str, T: np.ndarray, intrinsic: list) -> str:
        if name not in known:
            tables["sensor"].append(
                {
                    "token": f"s-{name}",
                    "channel": name,
                    "modality": "camera" if intrinsic else "lidar",
                }
            )
            known.add(name)
        token = f"c-{drive}-{name}"
        if token not in known:
            tables["calibrated_sensor"].append(
                {
                    "token": token,
                    "sensor_token": f"s-{name}",
                    **_place(T),
                    "camera_intrinsic": intrinsic,
                }
            )
            known.add(token)
        return token

    def add(
        item: RecordedImage | RecordedScan,
        sample: str,
        calibrated: str,
        file: str,
        key: bool,
        size: tuple[int, int],
    ) -> None:
        token = f"{'key' if key else 'sweep'}-{file}"
        stamp = item.stamp // 1000 + (0 if key else 50_000)
        tables["ego_pose"].append({"token": token, "timestamp": stamp, **_place(_base(item))})
        tables["sample_data"].append(
            {
                "token": token,
                "sample_token": sample,
                "ego_pose_token": token,
                "calibrated_sensor_token": calibrated,
                "timestamp": stamp,
                "is_key_frame": key,
                "fileformat": file.rsplit(".", 1)[1],
                "width": size[0],
                "height": size[1],
                "filename": file,
                "prev": "",
                "next": "",
            }
        )

    for drive, sets in drives.items():
        tables["log"].append({"token": f"log-{drive}", "logfile": drive, "vehicle": "n015"})
        tables["scene"].append(
            {
                "token": f"t-{drive}",
                "log_token": f"log-{drive}",
                "nbr_samples": len(sets),
                "name": drive,
                "description": "a plane",
            }
        )
        for item in reversed(sets):  # the tables are in no order
            sample = f"{drive}-{item.index}"
            stamp = item.images[0].stamp // 1000
            tables["sample"].append(
                {"token": sample, "timestamp": stamp, "scene_token": f"t-{drive}"}
            )
            for image in item.images:
                calibrated = sensor(drive, image.name, image.T_base_camera, image.model.K.tolist())
                size = (image.model.width, image.model.height)
                name = f"{image.name}/{drive}_{image.stamp}.{extension(image.data)}"
                written(root / "samples" / name, image.data)
                add(image, sample, calibrated, f"samples/{name}", True, size)
                add(image, sample, calibrated, f"sweeps/{name}", False, size)
            scan = item.images[0].scan
            if scan is not None:
                calibrated = sensor(drive, "LIDAR_TOP", scan.T_base_lidar, [])
                ring = np.zeros(len(scan.points), "<f4")
                file = f"samples/LIDAR_TOP/{drive}_{scan.stamp}.pcd.bin"
                written(root / file, np.column_stack([_with_light(scan), ring]).tobytes())
                add(scan, sample, calibrated, file, True, (0, 0))
                radar = sensor(drive, "RADAR_FRONT", np.eye(4), [])
                add(scan, sample, radar, "samples/RADAR_FRONT/absent.pcd", True, (0, 0))
    for name, rows in tables.items():
        written(root / version / f"{name}.json", json.dumps(rows, indent=0))
    return root


def _place(T: np.ndarray) -> dict[str, list[float]]:
    x, y, z, w = (float(v) for v in quaternion_of(T))
    return {"translation": [float(v) for v in T[:3, 3]], "rotation": [w, x, y, z]}
