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

"""Data sets of several cameras and one LiDAR around a vehicle, every datum with a pose of its own.

What readers of such formats share: which cameras are read, ego masks, and how a sample becomes a
`RecordedSet`. A format derives from `RigSource` and says where files, lenses and mountings are.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets.lidar_truth import TruthProtocol
from depth_perception.datasets.sample import Choose, DatasetError
from depth_perception.datasets.sources.address import AddressOptions, protocol_of, read_bytes
from depth_perception.datasets.sources.recorded import (
    DriveFrame,
    RecordedImage,
    RecordedScan,
    RecordedSet,
    RecordedSource,
    fitting_model,
)
from depth_perception.errors import ConfigurationError, DepthPerceptionError
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.transforms import Matrix, matrix_from
from depth_perception.parameters import load
from depth_perception.resources import config_file
from depth_perception.rig.ego_mask import load_ego_masks, rasterize

OPTIONS = ("cameras", "ego_masks")
"""Options that all these formats have: names with commas; a file, or `none`."""


class Datum(NamedTuple):
    """One image or scan.

    Attributes:
        file: Below the folder of its drive.
        stamp: Its instant, ns.
        sensor: Key of its sensor's calibration.
        pose: x y z, m, and quaternion x y z w, as the format has it.
        size: (width, height) that its calibration is for; (0, 0): the image's own.
    """

    file: str
    stamp: int
    sensor: str
    pose: tuple[float, ...]
    size: tuple[int, int] = (0, 0)


class Sample(NamedTuple):
    """Images of about one instant, by camera, and the scan that belongs to them."""

    images: dict[str, Datum]
    scan: Datum | None


class RigSource(RecordedSource):
    """Frame sets of such a data set.

    Args:
        family: Names the configuration, `config/FAMILY.yaml`: the cameras, their order and masks.
        drives: Names of the drives.
        samples: Of each drive, in the order of time.
        options: `OPTIONS` and `max_depth`, as text.

    Raises:
        ConfigurationError: A camera that a sample does not have.
    """

    def __init__(
        self,
        family: str,
        drives: Sequence[str],
        samples: Sequence[Sequence[Sample]],
        options: AddressOptions,
    ) -> None:
        parameters = load(config_file(f"{family}.yaml"))
        self.family, self._usual = family, parameters.cameras
        self._wanted = [name for name in options.get("cameras", "").split(",") if name]
        masks = options.get("ego_masks", parameters.ego_masks)
        self._masks = load_ego_masks(masks) if masks not in ("", "none") else {}
        self._samples = [list(items) for items in samples]
        for name, items in zip(drives, self._samples, strict=True):
            for sample in items:
                lacking = [camera for camera in self._wanted if camera not in sample.images]
                if lacking:
                    raise ConfigurationError(
                        f"cameras={lacking[0]}: drive '{name}' has none of that name",
                        expected=", ".join(sorted(sample.images)),
                    )
        drive_frames = [
            DriveFrame(d, i) for d, items in enumerate(self._samples) for i in range(len(items))
        ]
        protocol: TruthProtocol = protocol_of(options)
        super().__init__(drives, drive_frames, protocol)

    def cameras(self, index: int) -> list[str]:
        """Name the cameras of a frame set: those asked for, or the family's, or all."""
        drive, frame, _ = self.locate(index)
        images = self._samples[drive][frame].images
        return self._wanted or [n for n in self._usual if n in images] or sorted(images)

    def recorded(self, index: int, choose: Choose = range) -> RecordedSet:
        """Read the chosen cameras of a frame set as they are stored."""
        drive, frame, _ = self.locate(index)
        sample, names = self._samples[drive][frame], self.cameras(index)
        chosen = [names[i] for i in choose(len(names))]
        scan = self._scan(drive, sample.scan) if sample.scan is not None and chosen else None
        images = tuple(self._image(drive, name, sample.images[name], scan) for name in chosen)
        name = self.drives[drive]
        return RecordedSet(f"{name}_{frame:06d}", self.family, drive, name, frame, images)

    def _image(
        self, drive: int, name: str, datum: Datum, scan: RecordedScan | None
    ) -> RecordedImage:
        path, T = self._folder(drive) / datum.file, self._mounting(drive, datum)
        data = read_bytes(path, "an image", self._fetch())
        try:
            model = fitting_model(self._lens(drive, datum, data), data, str(path))
        except DepthPerceptionError as error:
            raise DatasetError(f"camera of '{path}': {error}", fix=self._fetch()) from None
        mask = self._masks.get(name)
        return RecordedImage(
            name,
            datum.stamp,
            model,
            T,
            data,
            str(path),
            self._base_pose(datum, T),
            scan,
            None if mask is None else rasterize(mask, model.width, model.height),
        )

    def _scan(self, drive: int, datum: Datum) -> RecordedScan:
        path, T = self._folder(drive) / datum.file, self._mounting(drive, datum)
        points = self._points(path, read_bytes(path, "a LiDAR scan", self._fetch()))
        points = points[np.isfinite(points[:, :3]).all(axis=1)]
        intensity = points[:, 3] if points.shape[1] > 3 else None
        pose = self._base_pose(datum, T)
        return RecordedScan(datum.stamp, self._lidar(), T, points[:, :3], intensity, pose)

    def _fetch(self) -> str:
        """What helps where a file is absent or damaged."""
        return "fetch it again"

    @abstractmethod
    def _lidar(self) -> str:
        """Name of the LiDAR's frame."""

    @abstractmethod
    def _folder(self, drive: int) -> Path:
        """Where a drive's files lie."""

    @abstractmethod
    def _mounting(self, drive: int, datum: Datum) -> Matrix:
        """T_base_sensor of a datum."""

    @abstractmethod
    def _base_pose(self, datum: Datum, T_base_sensor: Matrix) -> Matrix:
        """T_odom_base at a datum's instant."""

    @abstractmethod
    def _lens(self, drive: int, datum: Datum, data: bytes) -> CameraModel:
        """Lens of an image, for the size that calibration is for."""

    @abstractmethod
    def _points(self, path: Path, data: bytes) -> NDArray[np.float32]:
        """Points (N, 3 or more) of a scan's file; the fourth column is intensity."""


def pose_matrix(pose: tuple[float, ...], where: str) -> Matrix:
    """A pose as a matrix.

    Raises:
        DatasetError: Its numbers are no rigid motion; names `where`.
    """
    try:
        return matrix_from(pose[:3], pose[3:], where)
    except DepthPerceptionError as error:
        raise DatasetError(str(error), fix="fetch the data set's tables again") from None
