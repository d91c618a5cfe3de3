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

"""Training shards: how the frame sets of the synthetic world lie in tar files, written and read.

In: rendered frame sets with their truth (`TrueFrameSet`). Out: the bytes of plain tar files in
WebDataset's layout, and frame sets read back from them by index. A set with key K has

- ``K.json``: rig, seeds, setting, weather, time, speed, true ground plane, and each camera's
  calibration, see `describe`;
- ``K.<i>.jpg``: image of camera i, quality 95 (the sensor's own compression is in it already);
- ``K.<i>.depth.png``: 16 bits, depth along the optical axis in 1/256 m, rounded: right to 1/512 m.
  0 is unknown (no ray); 1 also stands for anything nearer; 65535 is the sky or beyond 255.99 m;
- ``K.<i>.label.png``: 8 bits, Cityscapes train id; 255 is the own body or no ray;
- with `TRUTH_LAYERS`: ``mirror`` 8 bits, share of mirrored light times 255; ``albedo`` RGB, square
  root of linear reflectance times 255; ``normal`` RGB, 128 + 127 (x, y, z) in the optical frame,
  (0, 0, 0) where there is none; ``instance`` 16 bits, 0 where there is none;
- with `MEASURED_LAYERS`, what `depth_perception.motion` measured from the images so far, on its own
  smaller grid: ``measured_inverse_depth`` 16 bits, 1 + 512 ln(w / 1e-4 m^-1), right to 0.1 %, 0
  where nothing was measured; ``measured_sigma`` 8 bits, 1 + 20 ln(sigma / 1e-5 m^-1), right to
  2.5 %, 0 likewise; ``measured_kind`` 8 bits, `frames.measured_kind.Kind`. Read, they are as large
  as the image, each pixel with the nearest value, as `MeasuredDepth.on_grid` gives them; and the
  ground plane that was in use is `TrueFrameSet.ground_in_use`.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets.manifest import read_checked_manifest
from depth_perception.datasets.sample import Choose, DatasetError, TrueCamera, TrueFrameSet
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.depth_values import is_unknown
from depth_perception.geometry.ground_plane import GroundPlane

FORMAT = "depth_perception world shards"
FORMAT_VERSION = 1
TRUTH_LAYERS = ("mirror", "albedo", "normal", "instance")
"""What can be stored beside depth and label."""
MEASURED_LAYERS = ("measured_inverse_depth", "measured_sigma", "measured_kind")
"""What motion measured, stored by data sets of consecutive sets."""

_LOGARITHMIC: dict[str, tuple[float, float, type[np.unsignedinteger[Any]]]] = {
    "measured_inverse_depth": (1e-4, 512.0, np.uint16),
    "measured_sigma": (1e-5, 20.0, np.uint8),
}
"""Of layers that are stored as logarithms: least value, steps for each factor of e, type."""

DEPTH_STEPS = 256.0
"""Steps of stored depth, 1/m."""
DEPTH_BEYOND = 65535
"""Stored depth of the sky and of what is farther than 255.99 m."""
JPEG_QUALITY = 95
_BLOCK = 512


def describe(sample: TrueFrameSet) -> dict[str, Any]:
    """Everything of a frame set that is not a picture, as JSON holds it; SI units, row by row."""
    used = sample.ground_in_use
    return {
        **sample.facts,
        **({} if used is None else {"ground_in_use": _plane_facts(used)}),
        "key": sample.key,
        "ground": {"normal": sample.ground.normal.tolist(), "height": sample.ground.height},
        "cameras": [
            {
                "name": c.name,
                "width": c.model.width,
                "height": c.model.height,
                "distortion_model": c.model.distortion_model,
                "K": c.model.K.tolist(),
                "D": c.model.D.tolist(),
                "T_base_camera": np.asarray(c.T_base_camera).tolist(),
                "T_base_calibrated": np.asarray(c.T_base_calibrated).tolist(),
                "layers": sorted(c.layers),
            }
            for c in sample.cameras
        ],
    }


def _plane_facts(plane: GroundPlane) -> dict[str, Any]:
    return {
        "normal": plane.normal.tolist(),
        "height": plane.height,
        "covariance": plane.covariance.tolist(),
        "source": plane.source,
    }


def encode_depth(depth: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Metres to stored steps, see the module's head."""
    with np.errstate(invalid="ignore"):
        steps = np.clip(np.rint(depth * DEPTH_STEPS), 1, DEPTH_BEYOND)
    return np.where(is_unknown(depth), 0, steps).astype(np.uint16)


def decode_depth(steps: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Stored steps to metres: NaN where unknown, +Inf for the sky and beyond."""
    depth = steps.astype(np.float32) / np.float32(DEPTH_STEPS)
    depth[steps == 0] = np.nan
    depth[steps == DEPTH_BEYOND] = np.inf
    return depth


def _encode_layer(name: str, values: NDArray[Any]) -> NDArray[Any]:
    if name in _LOGARITHMIC:
        least, steps, kind = _LOGARITHMIC[name]
        known = np.isfinite(values)
        stored = 1 + steps * np.log(np.where(known, np.maximum(values, least), least) / least)
        return np.where(known, np.minimum(np.rint(stored), np.iinfo(kind).max), 0).astype(kind)
    if name == "measured_kind":
        return values.astype(np.uint8)
    if name == "mirror":
        return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    if name == "albedo":
        return np.rint(np.sqrt(np.clip(values[..., ::-1], 0, 1)) * 255).astype(np.uint8)
    if name == "normal":
        known = np.any(values != 0, axis=-1, keepdims=True)
        return np.where(known, np.rint(128 + 127 * values[..., ::-1]), 0).astype(np.uint8)
    if values.max(initial=0) > 65535 or values.min(initial=0) < 0:
        raise DatasetError(
            f"instance id {int(values.max())} does not fit into 16 bits",
            expected="0 to 65535",
            fix="leave 'instance' out of truth",
        )
    return values.astype(np.uint16)


def _decode_layer(name: str, stored: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """A layer as `TrueCamera.layers` holds it; `size` (width, height) is that of the image."""
    if name in MEASURED_LAYERS:
        if name in _LOGARITHMIC:
            least, steps, _ = _LOGARITHMIC[name]
            values = least * np.exp((stored.astype(np.float32) - 1) / np.float32(steps))
            stored = np.where(stored > 0, values, np.nan).astype(np.float32)
        return np.asarray(cv2.resize(stored, size, interpolation=cv2.INTER_NEAREST_EXACT))
    if name == "mirror":
        return stored.astype(np.float32) / np.float32(255)
    if name == "albedo":
        return np.square(stored[..., ::-1].astype(np.float32) / np.float32(255))
    if name == "normal":
        known = np.any(stored != 0, axis=-1, keepdims=True)
        vectors = (stored[..., ::-1].astype(np.float32) - 128) / np.float32(127)
        length = np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6)
        return np.where(known, vectors / length, 0).astype(np.float32)
    return stored.astype(np.int32)


def _packed(extension: str, picture: NDArray[Any], options: list[int]) -> bytes:
    done, data = cv2.imencode(extension, picture, options)
    if not done:
        raise DatasetError(f"a {extension} of {picture.shape} {picture.dtype} does not encode")
    return data.tobytes()


def encode_set(sample: TrueFrameSet) -> bytes:
    """A frame set as members of a tar file, without the file's end; the same bytes every time."""
    png = [cv2.IMWRITE_PNG_COMPRESSION, 3]
    # Classes come in runs: smaller, and quicker to write, than by any level of compression.
    runs = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    out = io.BytesIO()

    def add(name: str, data: bytes) -> None:
        member = tarfile.TarInfo(f"{sample.key}.{name}")
        member.size, member.mode = len(data), 0o644
        out.write(member.tobuf(tarfile.USTAR_FORMAT))
        out.write(data + bytes(-len(data) % _BLOCK))

    add("json", json.dumps(describe(sample), allow_nan=False).encode())
    for i, camera in enumerate(sample.cameras):
        add(f"{i}.jpg", _packed(".jpg", camera.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]))
        add(f"{i}.depth.png", _packed(".png", encode_depth(camera.depth), png))
        add(f"{i}.label.png", _packed(".png", camera.label, runs))
        for name in sorted(camera.layers):
            stored = _encode_layer(name, camera.layers[name])
            options = runs if name == "measured_kind" else png
            add(f"{i}.{name}.png", _packed(".png", stored, options))
    return out.getvalue()


TAR_END = bytes(2 * _BLOCK)
"""What closes a tar file."""


def decode_set(
    members: Mapping[str, bytes], where: str = "frame set", choose: Choose = range
) -> TrueFrameSet:
    """Read a frame set from its members by extension, as `webdataset` and `ShardReader` give them.

    Args:
        members: Their bytes; only those of the chosen cameras are asked for.
        where: Names the set in errors.
        choose: Which cameras; all by default.

    Raises:
        DatasetError: A member is absent or does not decode; names it and `where`.
    """

    def picture(name: str) -> NDArray[Any]:
        data = members.get(name)
        decoded = None
        if data:
            decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if decoded is None:
            raise DatasetError(
                f"{where}: '{name}' is absent or damaged",
                expected="a picture",
                fix="delete the shard and run write_dataset again with the same arguments",
            )
        return decoded

    try:
        facts = json.loads(members["json"])
    except (KeyError, ValueError) as error:
        raise DatasetError(
            f"{where}: its JSON is absent or damaged ({error})",
            expected="the set's description",
            fix="delete the shard and run write_dataset again with the same arguments",
        ) from None
    cameras = []
    listed = facts.pop("cameras")
    for i in choose(len(listed)):
        c = listed[i]
        model = CameraModel(c["width"], c["height"], c["K"], c["D"], c["distortion_model"])
        cameras.append(
            TrueCamera(
                c["name"],
                model,
                np.array(c["T_base_camera"]),
                np.array(c["T_base_calibrated"]),
                picture(f"{i}.jpg"),
                decode_depth(picture(f"{i}.depth.png")),
                picture(f"{i}.label.png"),
                {
                    name: _decode_layer(name, picture(f"{i}.{name}.png"), (c["width"], c["height"]))
                    for name in c["layers"]
                },
            )
        )
    plane = facts.pop("ground")
    ground = GroundPlane(np.array(plane["normal"]), plane["height"], source="external")
    used = facts.pop("ground_in_use", None)
    in_use = None if used is None else GroundPlane(**used)
    return TrueFrameSet(facts.pop("key"), tuple(cameras), ground, facts, in_use)


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """Read what a data set holds.

    Raises:
        DatasetError: There is none, or it is of another format.
    """
    return read_checked_manifest(
        folder, FORMAT, FORMAT_VERSION, maker="write_dataset", make="make the data set"
    )


class ShardReader:
    """Frame sets of a folder that `write_dataset` made, by index. Safe to hand to processes.

    Args:
        folder: Where `manifest.json` is.

    Raises:
        DatasetError: No data set, or a shard is absent or not as long as it was when written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.manifest = read_manifest(folder)
        self._shards = []
        for entry in self.manifest["shards"]:
            path = self.folder / entry["name"]
            size = path.stat().st_size if path.exists() else -1
            if size != entry["bytes"]:
                seen = "is absent" if size < 0 else f"has {size} bytes"
                raise DatasetError(
                    f"shard '{path}' {seen}",
                    expected=f"{entry['bytes']} bytes",
                    fix="run write_dataset again with the same arguments: it makes it anew",
                )
            self._shards.append((path, int(entry["sets"])))
        self._ends = np.cumsum([count for _, count in self._shards])
        self._index: dict[int, list[dict[str, tuple[int, int]]]] = {}

    def __len__(self) -> int:
        """Count the frame sets."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: int) -> TrueFrameSet:
        """Read one frame set, see `read`."""
        return self.read(index)

    def cameras(self, index: int) -> list[str]:
        """Name the cameras of a frame set, from its description alone."""
        with self._opened(index) as members:
            return [camera["name"] for camera in json.loads(members["json"])["cameras"]]

    def neighbour(self, index: int, offset: int) -> int | None:
        """Index of the set so many later in the same drive; None beyond its ends."""
        per_drive = int(self.manifest["arguments"]["sets_per_drive"])
        other = index + offset
        if not (0 <= index < len(self) and 0 <= other < len(self)):
            return None
        if per_drive:
            together = other // per_drive == index // per_drive
        else:  # each shard is a drive
            here, there = np.searchsorted(self._ends, [index, other], side="right")
            together = bool(here == there)
        return other if together else None

    def read(self, index: int, choose: Choose = range) -> TrueFrameSet:
        """Read one frame set.

        Args:
            index: 0 to len - 1.
            choose: Which of its cameras; the others cost nothing.

        Raises:
            IndexError: There are not so many.
            DatasetError: The shard is damaged.
        """
        with self._opened(index) as members:
            where = f"'{self.folder}', set {index}"
            return decode_set(members, where, choose)

    @contextmanager
    def _opened(self, index: int) -> Iterator[Mapping[str, bytes]]:
        if not 0 <= index < len(self):
            raise IndexError(f"frame set {index} of {len(self)}")
        number = int(np.searchsorted(self._ends, index, side="right"))
        path, count = self._shards[number]
        if number not in self._index:
            self._index[number] = _members(path)
        members = self._index[number]
        if len(members) != count:
            raise _damaged(path, f"holds {len(members)} sets, the manifest says {count}")
        with path.open("rb") as file:
            yield _Members(file, members[index - int(self._ends[number]) + count])


class _Members(Mapping[str, bytes]):
    """A set's members in an open file, read when they are asked for."""

    def __init__(self, file: BinaryIO, offsets: Mapping[str, tuple[int, int]]) -> None:
        self._file, self._offsets = file, offsets

    def __getitem__(self, name: str) -> bytes:
        offset, size = self._offsets[name]
        self._file.seek(offset)
        return self._file.read(size)

    def __iter__(self) -> Iterator[str]:
        return iter(self._offsets)

    def __len__(self) -> int:
        return len(self._offsets)


def _members(path: Path) -> list[dict[str, tuple[int, int]]]:
    """(offset, size) of each set's members by extension, in the file's order."""
    sets: dict[str, dict[str, tuple[int, int]]] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                key, _, name = member.name.partition(".")
                sets.setdefault(key, {})[name] = (member.offset_data, member.size)
    except tarfile.TarError as error:
        raise _damaged(path, str(error)) from None
    return list(sets.values())


def _damaged(path: Path, why: str) -> DatasetError:
    return DatasetError(
        f"shard '{path}' is damaged: {why}",
        expected="a whole tar file",
        fix="delete it and run write_dataset again with the same arguments",
    )
