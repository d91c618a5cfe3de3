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

"""KITTI raw in its own folders, with the lists and the better truth that papers use.

    kitti_raw:FOLDER?split=FILE&truth=FOLDER&cameras=left

FOLDER holds `2011_09_26/calib_*.txt` and `2011_09_26/2011_09_26_drive_0001_sync/...`: `image_02`
(left) and `image_03` (right), `velodyne_points` and `oxts`, synchronised and rectified. Options:

- split: a list of frames, in either of the forms in use: `DRIVE FRAME l|r` (Eigen's and Zhou's), or
  a line's first word an image's path (lists with improved truth). Frames come in its order, each
  with the one camera that the line names. Without a list: all drives, all frames;
- truth: the folder of `train` and `val` of the improved ground truth (Uhrig et al., 3DV 2017),
  which then is the depth; frames without it are left out;
- cameras: `left` (default), `right` or `both`, where there is no list;
- max_depth: of LiDAR points, m (80).

The base frame lies 1.65 m under the left grey camera (rectified camera 0), along its axes: x is the
optical axis, z up. Cameras are called as in `config/kitti.yaml`. Poses are OXTS's, by the Mercator
projection of the development kit: x east, y north, from the drive's first frame on. The camera
fires when the scanner looks ahead: image and scan of a number are of one instant.

Drives without `velodyne_points` or `oxts` have images alone; other files that lack are errors.
"""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets.lidar_truth import TruthProtocol
from depth_perception.datasets.sample import Choose, DatasetError
from depth_perception.datasets.sources.address import parse, protocol_of, read_bytes, read_text
from depth_perception.datasets.sources.kitti_calibration import (
    FETCH,
    NUMBERS,
    Calibration,
    Oxts,
    imu_pose,
    nanoseconds,
    read_oxts,
)
from depth_perception.datasets.sources.recorded import (
    DriveFrame,
    RecordedImage,
    RecordedScan,
    RecordedSet,
    RecordedSource,
    fitting_model,
    points_of,
)
from depth_perception.errors import ConfigurationError
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.transforms import Matrix, inverse

NAMES = {"l": "camera_color_left", "r": "camera_color_right"}
SIDES = {"left": "l", "right": "r", "both": "lr"}
GAPS = {"2011_09_26_drive_0009_sync": range(177, 181)}
"""Frames for which KITTI itself has no scan."""

_LISTED = re.compile(r"^(\S*?)(\d{4}_\d\d_\d\d_drive_\d{4}_sync)/?\s+(\d+)\s+([lr])\b")
_PICTURED = re.compile(r"^(\S*?)(\d{4}_\d\d_\d\d_drive_\d{4}_sync)/image_0([23])/data/(\d+)\.\w+")

Frame = tuple[str, int, str]
"""Drive, number, sides: "l", "r" or "lr"."""


def open_source(text: str) -> KittiSource:
    """Open KITTI, see the module's head.

    Raises:
        ConfigurationError: An unknown option, or a list without a frame.
        DatasetError: Folder, list or files of the list are absent.
    """
    folder, options = parse(text, ("split", "truth", "cameras"))
    sides = options.get("cameras", "left")
    if sides not in SIDES or ("cameras" in options and "split" in options):
        raise ConfigurationError(
            f"source 'kitti_raw:{text}': cameras={sides}",
            expected="left, right or both, and no split: a list names its cameras",
        )
    frames = read_split(Path(options["split"])) if "split" in options else None
    truth = Path(options["truth"]) if "truth" in options else None
    return KittiSource(folder, frames, SIDES[sides], truth, protocol_of(options))


def read_split(path: Path) -> list[Frame]:
    """Read a list of frames.

    Raises:
        ConfigurationError: A line names no frame; names the line.
        DatasetError: There is no such file.
    """
    frames: list[Frame] = []
    text = read_text(path, "a list of frames", "correct split=")
    for number, line in enumerate(text.splitlines()):
        if not line.strip():
            continue
        if found := _LISTED.match(line):
            frames.append((found[2], int(found[3]), found[4]))
        elif found := _PICTURED.match(line):
            frames.append((found[2], int(found[4]), "l" if found[3] == "2" else "r"))
        else:
            raise ConfigurationError(
                f"'{path}', line {number + 1}: '{line[:80]}'",
                expected="e.g. '2011_09_26/2011_09_26_drive_0002_sync 0000000069 l'",
            )
    if not frames:
        raise ConfigurationError(f"'{path}' names no frame", expected="a frame a line")
    return frames


class KittiSource(RecordedSource):
    """Frame sets of KITTI raw.

    Args:
        folder: Of the days.
        frames: To be read, in this order; None: all.
        sides: Cameras of a frame set where there is no list: "l", "r" or "lr".
        truth: Folder of improved truth, or None.
        protocol: Which LiDAR points count.
    """

    def __init__(
        self,
        folder: Path,
        frames: list[Frame] | None,
        sides: str,
        truth: Path | None,
        protocol: TruthProtocol,
    ) -> None:
        self.folder, self.truth = folder, truth
        self._stamps: dict[str, list[int]] = {}
        self._days: dict[str, Calibration] = {}
        self._origins: dict[str, Oxts] = {}
        if frames is None:
            drives = sorted(p.name for p in folder.glob("????_??_??/????_??_??_drive_????_sync"))
        else:
            drives = sorted({drive for drive, _, _ in frames})
        number = {drive: i for i, drive in enumerate(drives)}
        if not drives:
            raise DatasetError(
                f"'{folder}' holds no drive",
                expected="2011_09_26/2011_09_26_drive_0001_sync/...",
                fix="name the folder of the days",
            )
        tracks = {(d, s) for d in drives for s in sides}
        if frames is not None:
            tracks = {(drive, side) for drive, _, side in frames}
        present = {(drive, side): self._frames(drive, side) for drive, side in sorted(tracks)}
        whole = [
            (drive, index, sides)
            for drive in drives
            if frames is None
            for index in sorted(set.intersection(*(present[drive, side] for side in sides)))
        ]
        listed = whole if frames is None else frames
        if truth is not None:
            listed = [f for f in listed if all(self._truth_file(f[0], f[1], s) for s in f[2])]
            if not listed:
                raise DatasetError(
                    f"'{truth}' has improved truth of no frame",
                    expected="train|val/DRIVE/proj_depth/groundtruth/image_02/*.png",
                    fix="name the folder of 'data_depth_annotated'",
                )
        for drive, index, side in listed:
            if any(index not in present[drive, s] for s in side):
                raise DatasetError(
                    f"'{folder}': no image {index} of {drive}, camera {NAMES[side[0]]}",
                    expected="every frame that the list names",
                    fix=FETCH,
                )
        named = set(listed)
        others = [
            (drive, index, side)
            for (drive, side), found in present.items()
            if frames is not None
            for index in sorted(found)
            if (drive, index, side) not in named
        ]
        drive_frames = [
            DriveFrame(number[drive], index, side) for drive, index, side in [*listed, *others]
        ]
        super().__init__(drives, drive_frames, protocol, len(listed))

    def cameras(self, index: int) -> list[str]:
        """Name the cameras of a frame set."""
        return [NAMES[side] for side in self.locate(index).track]

    def recorded(self, index: int, choose: Choose = range) -> RecordedSet:
        """Read the chosen cameras of a frame set as they are stored."""
        drive, frame, sides = self.locate(index)
        name = self.drives[drive]
        calibration = self._calibration(name)
        T_odom_base = self._pose(name, frame)
        chosen = [sides[i] for i in choose(len(sides))]
        stamp = self._stamp(name, frame)
        scan = self._scan(name, frame, stamp, T_odom_base) if chosen else None
        images = []
        for side in chosen:
            path = self._image_file(name, frame, side)
            data = read_bytes(path, "an image", FETCH)
            model = fitting_model(calibration.models[side], data, str(path))
            images.append(
                RecordedImage(
                    NAMES[side],
                    stamp,
                    model,
                    calibration.T_base_camera[side],
                    data,
                    str(path),
                    T_odom_base,
                    scan,
                    depth=self._truth(name, frame, side, model),
                )
            )
        key = f"{name}_{frame:010d}_{sides}"
        return RecordedSet(key, "kitti", drive, name, frame, tuple(images))

    def _drive(self, name: str) -> Path:
        return self.folder / name[:10] / name

    def _frames(self, drive: str, side: str) -> set[int]:
        folder = self._drive(drive) / f"image_{NUMBERS[side]}" / "data"
        try:
            names = [p.stem for p in folder.iterdir() if p.suffix in (".png", ".jpg")]
        except OSError as error:
            raise DatasetError(
                f"'{folder}' cannot be read ({error.strerror})",
                expected="images of the drive",
                fix=FETCH,
            ) from None
        return {int(name) for name in names if name.isdigit()}

    def _image_file(self, drive: str, index: int, side: str) -> Path:
        folder = self._drive(drive) / f"image_{NUMBERS[side]}" / "data"
        path = folder / f"{index:010d}.png"
        # Many keep the images as JPEG, which take a fifth of the room.
        smaller = path.with_suffix(".jpg")
        return smaller if not path.exists() and smaller.exists() else path

    def _truth_file(self, drive: str, index: int, side: str) -> Path | None:
        assert self.truth is not None
        inside = Path(drive) / "proj_depth" / "groundtruth" / f"image_{NUMBERS[side]}"
        paths = [self.truth / part / inside / f"{index:010d}.png" for part in ("train", "val")]
        return next((path for path in paths if path.exists()), None)

    def _truth(
        self, drive: str, index: int, side: str, model: CameraModel
    ) -> NDArray[np.float32] | None:
        path = self._truth_file(drive, index, side) if self.truth is not None else None
        if path is None:
            return None
        stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if stored is None or stored.dtype != np.uint16 or stored.ndim != 2:
            raise DatasetError(
                f"'{path}' is damaged", expected="a PNG of 16 bits", fix="fetch it again"
            )
        if stored.shape != (model.height, model.width):
            raise DatasetError(
                f"'{path}' has {stored.shape[1]}x{stored.shape[0]} px",
                expected=f"those of the image, {model.width}x{model.height}",
                fix="use the images at their own size",
            )
        depth = stored.astype(np.float32) / np.float32(256)
        depth[stored == 0] = np.nan
        return depth

    def _scan(
        self, drive: str, index: int, stamp: int, T_odom_base: Matrix | None
    ) -> RecordedScan | None:
        folder = self._drive(drive) / "velodyne_points" / "data"
        if not folder.exists() or index in GAPS.get(drive, ()):
            return None
        path = folder / f"{index:010d}.bin"
        points = points_of(read_bytes(path, "a LiDAR scan", FETCH), 4, str(path))
        T = self._calibration(drive).T_base_velodyne
        return RecordedScan(stamp, "velo_link", T, points[:, :3], points[:, 3], T_odom_base)

    def _stamp(self, drive: str, index: int) -> int:
        if drive not in self._stamps:
            left, right = (
                self._drive(drive) / f"image_{n}" / "timestamps.txt" for n in NUMBERS.values()
            )
            path = right if right.exists() and not left.exists() else left
            lines = read_text(path, "a time a line", FETCH).splitlines()
            self._stamps[drive] = [nanoseconds(line, str(path)) for line in lines if line.strip()]
        stamps = self._stamps[drive]
        if index >= len(stamps):
            raise DatasetError(
                f"drive {drive}: timestamps.txt has {len(stamps)} lines",
                expected=f"one for image {index}",
                fix=FETCH,
            )
        return stamps[index]

    def _pose(self, drive: str, index: int) -> Matrix | None:
        folder = self._drive(drive) / "oxts" / "data"
        if not folder.exists():
            return None
        if drive not in self._origins:
            first = min(folder.glob("*.txt"), default=folder / f"{index:010d}.txt")
            self._origins[drive] = read_oxts(first)
        origin, here = self._origins[drive], read_oxts(folder / f"{index:010d}.txt")
        calibration = self._calibration(drive, with_imu=True)
        assert calibration.T_base_imu is not None
        return imu_pose(here, origin) @ inverse(calibration.T_base_imu)

    def _calibration(self, drive: str, with_imu: bool = False) -> Calibration:
        day = drive[:10]
        known = self._days.get(day)
        if known is None or (with_imu and known.T_base_imu is None):
            self._days[day] = known = Calibration(self.folder / day, with_imu)
        return known
