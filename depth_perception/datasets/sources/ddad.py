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

"""DDAD, and other data in the folders of TRI's dgp: scenes as JSON, read without the package.

    ddad:FOLDER?split=train&cameras=CAMERA_01,CAMERA_05

FOLDER holds the data set's JSON (`ddad.json`; several: name the file itself) with its
`scene_splits`, and scenes: `000000/scene_<hash>.json`, `calibration/<key>.json`,
`rgb/CAMERA_01/*.png`, `point_cloud/LIDAR/*.npz`. A folder without such a JSON may hold scenes
alone. Options:

- split: `train`, `val`, `test` or `train_overfit`; without it all scenes that the JSON names;
- cameras: names, with commas; by default those of `config/ddad.yaml` that a sample has, else all;
- ego_masks: a file as the parameter `ego_masks` takes it, or `none`; by default the package's own
  for DDAD. Vehicles of the data set differ: `depth_perception ego-mask` makes better ones;
- max_depth: of LiDAR points, m (80; tables of DDAD go to 200).

The base frame is that of the calibration's extrinsics, the vehicle's: x ahead, y left, z up, on the
ground (the cameras' z is 1.5 m); LIDAR's own mounting in it is the identity. A datum's pose is that
of its sensor at its own instant, in the log's frame, so that T_odom_base is the pose after the
mounting was undone: exact at every image and scan, which are 0.1 to 0.2 s apart.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets.sample import DatasetError
from depth_perception.datasets.sources.address import AddressOptions, parse, read_text
from depth_perception.datasets.sources.rig_source import (
    OPTIONS,
    Datum,
    RigSource,
    Sample,
    pose_matrix,
)
from depth_perception.errors import ConfigurationError
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.transforms import Matrix, inverse
from depth_perception.messages.compressed import declared_size

SPLITS = ("train", "val", "test", "train_overfit")
"""Numbers of dgp's splits."""
LIDAR = "LIDAR"
_FETCH = "fetch the scene again"
_POLYNOMIAL = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
"""OpenCV's order."""
_OTHER_LENSES = (
    "fisheye",
    "equirectangular",
    "s1",
    "s2",
    "s3",
    "s4",
    "taux",
    "tauy",
    "alpha",
    "beta",
    "w",
    "xi",
)
"""Of lenses that no CameraInfo describes."""


def open_source(text: str) -> DdadSource:
    """Open DDAD, see the module's head.

    Raises:
        ConfigurationError: An unknown option, split or camera.
        DatasetError: Folder, JSON or scenes are absent or damaged.
    """
    path, options = parse(text, ("split", *OPTIONS))
    folder, files = _scene_files(path, options.get("split", ""))
    return DdadSource([folder / file for file in files], options)


class DdadSource(RigSource):
    """Frame sets of dgp's scenes.

    Args:
        scenes: Their JSON files.
        options: See `RigSource`.
    """

    def __init__(self, scenes: list[Path], options: AddressOptions) -> None:
        self._folders = [scene.parent for scene in scenes]
        self._calibrations: dict[Path, dict[str, Any]] = {}
        names = [folder.name for folder in self._folders]
        if len(set(names)) < len(names):  # scenes side by side in one folder
            names = [scene.stem for scene in scenes]
        samples = [_samples(_json(scene, "a scene"), scene) for scene in scenes]
        super().__init__("ddad", names, samples, options)

    def _fetch(self) -> str:
        return _FETCH

    def _lidar(self) -> str:
        return "lidar"

    def _folder(self, drive: int) -> Path:
        return self._folders[drive]

    def _mounting(self, drive: int, datum: Datum) -> Matrix:
        entry = self._calibrated(drive, datum)
        return pose_matrix(entry["pose"], f"'{self._folders[drive]}', extrinsics {datum.sensor}")

    def _base_pose(self, datum: Datum, T_base_sensor: Matrix) -> Matrix:
        return pose_matrix(datum.pose, f"pose of '{datum.file}'") @ inverse(T_base_sensor)

    def _lens(self, drive: int, datum: Datum, data: bytes) -> CameraModel:
        found = {k: v for k, v in self._calibrated(drive, datum).items() if k != "pose"}
        numbers = {name: float(value or 0) for name, value in found.items()}
        other = [name for name in _OTHER_LENSES if numbers.get(name)]
        if other:
            raise DatasetError(
                f"its calibration has {other[0]}={numbers[other[0]]}",
                expected="a pinhole, or OpenCV's polynomial",
                fix="rectify the images first",
            )
        fx, fy, skew, cx, cy = (numbers.get(n, 0.0) for n in ("fx", "fy", "skew", "cx", "cy"))
        D = np.array([numbers.get(name, 0.0) for name in _POLYNOMIAL])
        lens = "rational_polynomial" if np.any(D[5:]) else "plumb_bob"
        width, height = datum.size if min(datum.size) > 0 else declared_size(data) or (0, 0)
        return CameraModel(
            width, height, np.array([[fx, skew, cx], [0, fy, cy], [0, 0, 1]]), D, lens
        )

    def _points(self, path: Path, data: bytes) -> NDArray[np.float32]:
        try:
            with np.load(io.BytesIO(data)) as file:
                points = np.asarray(file["data"], np.float32)
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise _damaged(path, error) from None
        if points.ndim != 2 or points.shape[1] < 3:
            raise _damaged(path, ValueError(f"an array of {points.shape}"))
        return points

    def _calibrated(self, drive: int, datum: Datum) -> dict[str, Any]:
        """Intrinsics, and extrinsics as `pose`, of a datum's sensor."""
        key, _, name = datum.sensor.partition("/")
        path = self._folders[drive] / "calibration" / f"{key}.json"
        if path not in self._calibrations:
            content = _json(path, "a calibration")
            try:
                names, inside, outside = (content[n] for n in ("names", "intrinsics", "extrinsics"))
                self._calibrations[path] = {
                    name: {**numbers, "pose": _pose(pose)}
                    for name, numbers, pose in zip(names, inside, outside, strict=True)
                }
            except (KeyError, TypeError, ValueError) as error:
                raise _damaged(path, error) from None
        if name not in self._calibrations[path]:
            raise DatasetError(
                f"'{path}' has no sensor {name}",
                expected=", ".join(self._calibrations[path]),
                fix=_FETCH,
            )
        return dict(self._calibrations[path][name])


def _scene_files(path: Path, split: str) -> tuple[Path, list[str]]:
    """The data set's folder, and its scenes' files below it."""
    if split and split not in SPLITS:
        raise ConfigurationError(f"split={split}", expected="one of " + ", ".join(SPLITS))
    folder = path if path.is_dir() else path.parent
    found = {}
    for file in sorted(folder.glob("*.json")) if path.is_dir() else [path]:
        content = _json(file, "a data set of scenes")
        if "scene_splits" in content:
            found[file.name] = content["scene_splits"]
    if len(found) > 1:
        raise DatasetError(
            f"'{path}' holds {len(found)} data sets: {', '.join(found)}",
            expected="one",
            fix=f"name the file itself, e.g. {folder / next(iter(found))}",
        )
    if not found:
        files = sorted(str(p.relative_to(folder)) for p in folder.glob("*/scene_*.json"))
        if not files or split or not path.is_dir():
            raise DatasetError(
                f"'{path}' has no JSON with scene_splits",
                expected="e.g. ddad.json" + (f", which split={split} needs" if split else ""),
                fix="name the folder that ddad_train_val.tar was unpacked to",
            )
        return folder, files
    splits = next(iter(found.values()))
    names = {str(SPLITS.index(split))} if split else set(splits)
    try:
        files = [f for name in sorted(names & set(splits)) for f in splits[name]["filenames"]]
    except (KeyError, TypeError) as error:
        raise _damaged(folder / next(iter(found)), error) from None
    if not files:
        present = [SPLITS[int(n)] for n in splits if n.isdigit() and int(n) < len(SPLITS)]
        raise DatasetError(
            f"'{path}' names no scene" + (f" of split '{split}'" if split else ""),
            expected="; there are " + ", ".join(present) if present else "scenes",
            fix="choose another split",
        )
    return folder, files


def _samples(scene: Mapping[str, Any], file: Path) -> list[Sample]:
    """The scene's samples, in the order of time."""
    try:
        data = {datum["key"]: datum for datum in scene["data"]}
        samples = []
        for sample in scene["samples"]:
            images: dict[str, Datum] = {}
            scan = None
            for key in sample["datum_keys"]:
                name, value = data[key]["id"]["name"], data[key]["datum"]
                kind = "image" if "image" in value else "point_cloud"
                if kind not in value or (kind == "point_cloud" and name != LIDAR):
                    continue
                size = (int(value[kind].get("width", 0)), int(value[kind].get("height", 0)))
                made = Datum(
                    value[kind]["filename"],
                    nanoseconds(data[key]["id"]["timestamp"]),
                    f"{sample['calibration_key']}/{name}",
                    _pose(value[kind]["pose"]),
                    size,
                )
                if kind == "image":
                    images[name] = made
                else:
                    scan = made
            samples.append(Sample(images, scan))
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(file, error) from None
    return samples


def nanoseconds(text: str) -> int:
    """Read a protobuf time such as `2019-09-30T18:13:47.936530Z`: ns since 1970.

    Raises:
        ValueError: It is none.
    """
    whole, _, part = text.rstrip("Z").partition(".")
    seconds = int(datetime.fromisoformat(whole + "+00:00").timestamp())
    return seconds * 1_000_000_000 + int(part.ljust(9, "0")[:9])


def _pose(message: Mapping[str, Any]) -> tuple[float, ...]:
    """Numbers of a Pose; protobuf leaves out zeros."""
    t, q = message.get("translation") or {}, message.get("rotation") or {}
    return (
        *(float(t.get(axis, 0.0)) for axis in "xyz"),
        *(float(q.get(axis, 0.0)) for axis in ("qx", "qy", "qz", "qw")),
    )


def _json(path: Path, what: str) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path, what, _FETCH))
    except ValueError as error:
        raise _damaged(path, error) from None
    if not isinstance(content, dict):
        raise _damaged(path, TypeError("no object"))
    return content


def _damaged(path: Path, error: Exception) -> DatasetError:
    why = f"lacks {error}" if isinstance(error, KeyError) else str(error)
    return DatasetError(f"'{path}' is damaged ({why})", expected="as dgp writes it", fix=_FETCH)
