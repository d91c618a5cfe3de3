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

"""KITTI's calibration files, times and GPS/IMU packets: mountings and poses.

In: the text files of a day and of a drive. Out: `Calibration`, and poses by the Mercator
projection of the raw data's development kit. The base frame is that of `kitti`.
"""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets.sample import DatasetError
from depth_perception.datasets.sources.address import read_text
from depth_perception.datasets.sources.recorded import pinhole
from depth_perception.geometry.transforms import OPTICAL_AXES, Matrix, rotation_of_angles

HEIGHT = 1.65
"""Of the cameras above the road, m (sensor setup, Geiger et al., IJRR 2013)."""
EARTH = 6378137.0
"""Radius of the Mercator projection, m."""
NUMBERS = {"l": "02", "r": "03"}
"""Numbers of the left and right colour camera."""
FETCH = "fetch the drive's 'synced+rectified data' from cvlibs.net again"
_FETCH_CALIBRATION = "fetch the day's 'calibration' from cvlibs.net"


class Calibration:
    """A day's calibration.

    Attributes:
        models: Left and right colour camera, rectified, by "l" and "r".
        T_base_camera: Their mountings.
        T_base_velodyne: (4, 4).
        T_base_imu: (4, 4), or None where nobody asked.

    Raises:
        DatasetError: A file is absent or lacks a line; names both.
    """

    def __init__(self, folder: Path, with_imu: bool) -> None:
        cameras = _Numbers(folder / "calib_cam_to_cam.txt")
        T_base_0 = np.eye(4)
        T_base_0[:3, :3] = OPTICAL_AXES
        T_base_0[2, 3] = HEIGHT
        self.models, self.T_base_camera = {}, {}
        for side, number in NUMBERS.items():
            P = cameras.take(f"P_rect_{number}", 12).reshape(3, 4)
            width, height = cameras.take(f"S_rect_{number}", 2)
            self.models[side] = pinhole(P[:, :3], (int(width), int(height)), str(cameras.path))
            # P = K [I | -c]: the camera's centre in rectified camera 0.
            T_0_camera = np.eye(4)
            T_0_camera[:3, 3] = -np.linalg.solve(P[:, :3], P[:, 3])
            self.T_base_camera[side] = T_base_0 @ T_0_camera
        rectified = np.eye(4)
        rectified[:3, :3] = cameras.take("R_rect_00", 9).reshape(3, 3)
        T_0_velodyne = _Numbers(folder / "calib_velo_to_cam.txt").motion()
        self.T_base_velodyne = T_base_0 @ rectified @ T_0_velodyne
        self.T_base_imu: Matrix | None = None
        if with_imu:
            T_velodyne_imu = _Numbers(folder / "calib_imu_to_velo.txt").motion()
            self.T_base_imu = self.T_base_velodyne @ T_velodyne_imu


class _Numbers:
    """A calibration file: names with their numbers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: dict[str, str] = {}
        for line in read_text(path, "a calibration", _FETCH_CALIBRATION).splitlines():
            name, colon, values = line.partition(":")
            if colon:
                self._lines[name.strip()] = values

    def take(self, name: str, count: int) -> NDArray[np.float64]:
        """Return a line's numbers."""
        try:
            values = np.array(self._lines[name].split(), np.float64)
        except (KeyError, ValueError):
            values = np.zeros(0)
        if len(values) != count or not np.isfinite(values).all():
            raise DatasetError(
                f"'{self.path}' lacks '{name}'", expected=f"{count} numbers", fix=_FETCH_CALIBRATION
            )
        return values

    def motion(self) -> Matrix:
        """Return the rigid motion of lines R and T."""
        T = np.eye(4)
        T[:3, :3] = self.take("R", 9).reshape(3, 3)
        T[:3, 3] = self.take("T", 3)
        return T


Oxts = tuple[float, float, float, float, float, float]
"""Latitude and longitude, degrees; altitude, m; roll, pitch, yaw, rad."""


def read_oxts(path: Path) -> Oxts:
    """Read the pose of an OXTS packet.

    Raises:
        DatasetError: The file is absent or damaged; names it.
    """
    try:
        values = [float(v) for v in read_text(path, "an OXTS packet", FETCH).split()[:6]]
    except ValueError:
        values = []
    if len(values) != 6 or not np.isfinite(values).all():
        raise DatasetError(f"'{path}' is damaged", expected="30 numbers", fix=FETCH)
    return (values[0], values[1], values[2], values[3], values[4], values[5])


def imu_pose(packet: Oxts, origin: Oxts) -> Matrix:
    """T_odom_imu: Mercator's x east and y north, m, and z up, from the origin's place.

    Source: the raw data's development kit. The scale is the cosine of the origin's latitude, so
    that metres are true near there.
    """
    scale = np.cos(np.radians(origin[0]))
    places = [
        np.array(
            [
                scale * EARTH * np.radians(lon),
                scale * EARTH * np.log(np.tan(np.radians(90 + lat) / 2)),
                alt,
            ]
        )
        for lat, lon, alt, *_ in (packet, origin)
    ]
    T = np.eye(4)
    T[:3, :3] = rotation_of_angles(*packet[3:])
    T[:3, 3] = places[0] - places[1]
    return T


def nanoseconds(text: str, where: str) -> int:
    """Read a time such as `2011-09-26 13:02:25.964389445`, taken as UTC.

    Raises:
        DatasetError: It is none; names the file.
    """
    whole, _, part = text.strip().partition(".")
    try:
        time = datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
        return int(time.timestamp()) * 1_000_000_000 + int(part.ljust(9, "0")[:9] or "0")
    except ValueError:
        raise DatasetError(
            f"'{where}': '{text.strip()}' is no time",
            expected="e.g. 2011-09-26 13:02:25.964389445",
            fix=FETCH,
        ) from None
