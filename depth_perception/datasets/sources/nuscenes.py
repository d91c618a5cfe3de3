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

"""nuScenes in its own folders, its tables read without the devkit.

    nuscenes:FOLDER?version=v1.0-mini&split=FILE

FOLDER holds a folder of tables, `v1.0-*/{scene,sample,sample_data,calibrated_sensor,ego_pose,
sensor,log}.json`, and `samples/CAM_*/*.jpg` and `samples/LIDAR_TOP/*.pcd.bin`. Options:

- version: which tables, where there are several;
- split: a file of scene names, one a line (`scene-0103`); without it all scenes;
- cameras: names, with commas; by default the six of `config/nuscenes.yaml`;
- ego_masks: a file as the parameter `ego_masks` takes it, or `none`; by default the package's own;
- max_depth: of LiDAR points, m (80).

Keyframes are read, two a second. The base frame is the ego vehicle's, on the ground under the rear
axle. Cameras and LIDAR_TOP of a sample have instants and ego poses of their own, and both are used.

The two large tables (sweeps are in them, too) are read once, at opening, as a stream: some five
seconds for each gigabyte, and only the keyframes' rows are kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets.sample import DatasetError
from depth_perception.datasets.sources.address import AddressOptions, parse, read_text
from depth_perception.datasets.sources.recorded import points_of
from depth_perception.datasets.sources.rig_source import (
    OPTIONS,
    Datum,
    RigSource,
    Sample,
    pose_matrix,
)
from depth_perception.errors import ConfigurationError
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.transforms import Matrix
from depth_perception.messages.compressed import declared_size

LIDAR = "LIDAR_TOP"
COLUMNS = 5
"""x, y, z, intensity, ring."""
_FETCH = "fetch the tables and blobs of nuScenes again"
_KEYFRAME = re.compile(r'"is_key_frame":\s*true')
_TOKEN = re.compile(r'"token":\s*"([^"]*)"')
_BLOCK = 1 << 22

Row = dict[str, Any]


def open_source(text: str) -> NuscenesSource:
    """Open nuScenes, see the module's head.

    Raises:
        ConfigurationError: An unknown option, scene or camera.
        DatasetError: Folder or tables are absent or damaged.
    """
    folder, options = parse(text, ("version", "split", *OPTIONS))
    versions = sorted(p.name for p in folder.glob("v1.0-*") if p.is_dir())
    version = options.get("version", versions[0] if len(versions) == 1 else "")
    if version not in versions:
        raise DatasetError(
            f"'{folder}' has tables " + (", ".join(versions) or "of no version"),
            expected=f"version={version}" if version else "v1.0-mini or the like",
            fix="choose one with version=" if versions else "name the folder that holds them",
        )
    wanted = None
    if "split" in options:
        listed = read_text(Path(options["split"]), "a list of scenes", "correct split=")
        wanted = set(listed.split())
    return NuscenesSource(folder, folder / version, wanted, options)


class NuscenesSource(RigSource):
    """Frame sets of nuScenes' keyframes.

    Args:
        folder: Of `samples`.
        tables: Folder of the tables.
        wanted: Names of the scenes to be read; None: all.
        options: See `RigSource`.
    """

    def __init__(
        self, folder: Path, tables: Path, wanted: set[str] | None, options: AddressOptions
    ) -> None:
        self.folder = folder
        scenes = [s for s in _table(tables, "scene") if wanted is None or s["name"] in wanted]
        unknown = (wanted or set()) - {scene["name"] for scene in scenes}
        if unknown or not scenes:
            raise ConfigurationError(
                f"'{tables}' has no scene {min(unknown)}" if unknown else f"'{tables}' is empty",
                expected="names of its scenes, one a line",
                fix="correct split= or version=",
            )
        scenes.sort(key=lambda scene: str(scene["name"]))
        channels = {row["token"]: str(row["channel"]) for row in _table(tables, "sensor")}
        self._sensors: dict[str, Row] = {
            row["token"]: row for row in _table(tables, "calibrated_sensor")
        }
        try:
            samples = _samples(tables, scenes, self._sensors, channels)
        except (KeyError, TypeError, ValueError) as error:
            why = f"nothing has {error}" if isinstance(error, KeyError) else str(error)
            raise DatasetError(
                f"tables in '{tables}' do not agree ({why})",
                expected="tables of one version",
                fix=_FETCH,
            ) from None
        used = {d.sensor for items in samples for s in items for d in s.images.values()}
        used |= {s.scan.sensor for items in samples for s in items if s.scan is not None}
        self._sensors = {token: self._sensors[token] for token in used}
        super().__init__("nuscenes", [str(s["name"]) for s in scenes], samples, options)

    def _fetch(self) -> str:
        return _FETCH

    def _lidar(self) -> str:
        return LIDAR

    def _folder(self, drive: int) -> Path:
        return self.folder

    def _mounting(self, drive: int, datum: Datum) -> Matrix:
        return pose_matrix(_pose(self._sensors[datum.sensor]), f"calibrated_sensor {datum.sensor}")

    def _base_pose(self, datum: Datum, T_base_sensor: Matrix) -> Matrix:
        return pose_matrix(datum.pose, f"ego_pose of '{datum.file}'")

    def _lens(self, drive: int, datum: Datum, data: bytes) -> CameraModel:
        width, height = datum.size if min(datum.size) > 0 else declared_size(data) or (0, 0)
        K = np.array(self._sensors[datum.sensor]["camera_intrinsic"], np.float64)
        return CameraModel(width, height, K)

    def _points(self, path: Path, data: bytes) -> NDArray[np.float32]:
        return points_of(data, COLUMNS, str(path))


def _samples(
    tables: Path, scenes: list[Row], sensors: dict[str, Row], channels: dict[str, str]
) -> list[list[Sample]]:
    """Samples of each scene, in the order of time."""
    number = {scene["token"]: i for i, scene in enumerate(scenes)}
    order: list[list[tuple[int, str]]] = [[] for _ in scenes]
    for row in _table(tables, "sample"):
        if row["scene_token"] in number:
            order[number[row["scene_token"]]].append((int(row["timestamp"]), row["token"]))
    # By sample: file, instant, sensor, pose, size of each of its keyframe data.
    data: dict[str, dict[str, Row]] = {token: {} for items in order for _, token in items}
    for row in _stream(tables / "sample_data.json", lambda text: bool(_KEYFRAME.search(text))):
        channel = channels[sensors[row["calibrated_sensor_token"]]["sensor_token"]]
        if row["sample_token"] in data and (channel.startswith("CAM") or channel == LIDAR):
            data[row["sample_token"]][channel] = row
    wanted = {row["ego_pose_token"] for rows in data.values() for row in rows.values()}

    def is_wanted(text: str) -> bool:
        found = _TOKEN.search(text)
        return found is not None and found[1] in wanted

    poses = {row["token"]: _pose(row) for row in _stream(tables / "ego_pose.json", is_wanted)}
    samples = []
    for items in order:
        made = []
        for _, token in sorted(items):
            found = {name: _datum(row, poses) for name, row in data[token].items()}
            scan = found.pop(LIDAR, None)
            made.append(Sample(found, scan))
        samples.append(made)
    return samples


def _datum(row: Row, poses: dict[str, tuple[float, ...]]) -> Datum:
    return Datum(
        row["filename"],
        int(row["timestamp"]) * 1000,
        row["calibrated_sensor_token"],
        poses[row["ego_pose_token"]],
        (int(row.get("width") or 0), int(row.get("height") or 0)),
    )


def _pose(row: Row) -> tuple[float, ...]:
    """Place and quaternion x y z w; the tables have w first."""
    x, y, z = row["translation"]
    qw, qx, qy, qz = row["rotation"]
    return (float(x), float(y), float(z), float(qx), float(qy), float(qz), float(qw))


def _table(tables: Path, name: str) -> list[Row]:
    """A small table, whole."""
    path = tables / f"{name}.json"
    try:
        rows = json.loads(read_text(path, f"the table '{name}'", _FETCH))
    except ValueError as error:
        raise DatasetError(f"'{path}' is damaged ({error})", expected="JSON", fix=_FETCH) from None
    if not isinstance(rows, list):
        raise DatasetError(f"'{path}' is damaged", expected="a list of rows", fix=_FETCH)
    return rows


def _stream(path: Path, keep: Callable[[str], bool]) -> Iterator[Row]:
    """Rows of a large table whose text is to be kept; they hold no rows in them."""
    try:
        with path.open(encoding="utf-8") as file:
            rest = ""
            while block := file.read(_BLOCK):
                *texts, rest = (rest + block).split("}")
                for text in texts:
                    if keep(text):
                        yield json.loads(text[text.index("{") :] + "}")
            if rest.strip() not in ("]", "[]"):
                raise ValueError("it ends early")
    except OSError as error:
        raise DatasetError(
            f"'{path}' cannot be read ({error.strerror})", expected="a table", fix=_FETCH
        ) from None
    except ValueError as error:
        raise DatasetError(
            f"'{path}' is damaged ({error})", expected="a list of rows", fix=_FETCH
        ) from None
