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

"""What drives of every format have in common: images, scans and poses, and the truth they give.

In: a `RecordedSet`, images as they are stored with the LiDAR scan that belongs to them. Out: a
`TrueFrameSet` with sparse depth:

- a scan's points are moved to the image's instant where odometry knows both poses, projected, and
  left out where `datasets.lidar_truth` leaves them out (own body, range, hidden points, ego mask);
- each goes to the pixel nearest to it, of several in a pixel the nearest counts; NaN elsewhere;
- the base frame is x ahead, y left, z up, with its origin on the nominal ground: `ground` is z = 0;
- T_base_camera is the calibration's, and so is T_base_calibrated; nobody knows a truer one;
- label is `NOT_KNOWN`, or 255 on an ego mask; where a drive has dense truth, that is taken instead;
- facts: rig, drive (number), drive_name, index, stamp (ns, of the first chosen camera's image),
  stamps (of all that are chosen), T_odom_base at `stamp` where it is known.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets import labels
from depth_perception.datasets.lidar_truth import BaseScan, TruthProtocol, lidar_truth
from depth_perception.datasets.sample import Choose, DatasetError, TrueCamera, TrueFrameSet
from depth_perception.datasets.source import NOT_KNOWN
from depth_perception.errors import CalibrationError
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import RigCamera
from depth_perception.geometry.transforms import Matrix, inverse, transform_points
from depth_perception.messages.compressed import declared_size, decompress

_ASPECT_TOLERANCE = 0.02


@dataclass(frozen=True, eq=False)
class RecordedScan:
    """One LiDAR revolution.

    Attributes:
        stamp: Its instant, ns.
        name: Of its frame.
        T_base_lidar: (4, 4) mounting.
        points: (N, 3) float32, metres, in its own frame.
        intensity: (N,) float32 as it is stored, or None.
        T_odom_base: Pose of the base at `stamp`, or None.
    """

    stamp: int
    name: str
    T_base_lidar: Matrix
    points: NDArray[np.float32]
    intensity: NDArray[np.float32] | None = None
    T_odom_base: Matrix | None = None


@dataclass(frozen=True, eq=False)
class RecordedImage:
    """One camera's image.

    Attributes:
        name: Of the camera and of its optical frame.
        stamp: Time of capture, ns.
        model: Lens, for images of the size that this one has.
        T_base_camera: (4, 4) mounting.
        data: The JPEG or PNG as it is stored, or (H, W, 3) uint8 BGR.
        where: File or topic, for errors.
        T_odom_base: Pose of the base at `stamp`, or None.
        scan: The scan that tells its depth, or None.
        ego_mask: (H, W) bool, true on the own body, or None.
        depth: (H, W) float32, truth better than the scan's; NaN unknown, +Inf sky; or None.
        label: (H, W) uint8 Cityscapes train ids, or None.
    """

    name: str
    stamp: int
    model: CameraModel
    T_base_camera: Matrix
    data: bytes | NDArray[np.uint8]
    where: str
    T_odom_base: Matrix | None = None
    scan: RecordedScan | None = None
    ego_mask: NDArray[np.bool_] | None = None
    depth: NDArray[np.float32] | None = None
    label: NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class RecordedSet:
    """Images of a rig at about one instant.

    Attributes:
        key: Unique in its data set.
        rig: Kind of vehicle.
        drive: Number of its drive.
        drive_name: The drive's name.
        index: Number in the drive.
        images: In the rig's order.
        truth: What a source of exact truth knows beside its images, see `bag_export`.
    """

    key: str
    rig: str
    drive: int
    drive_name: str
    index: int
    images: tuple[RecordedImage, ...]
    truth: TrueFrameSet | None = None


class DriveFrame(NamedTuple):
    """Where a frame set stands: number of its drive, number in it, and which of its tracks.

    Sets of different tracks do not follow one another: KITTI's lists name one camera a set.
    """

    drive: int
    frame: int
    track: str = ""


class RecordedSource(ABC):
    """Frame sets of drives in some format; the formats' readers derive from it.

    Attributes:
        protocol: Which LiDAR points count.
        drives: Names of the drives.
        drive_frames: Of all frame sets; those from `len` on are only neighbours of the others.
    """

    def __init__(
        self,
        drives: Sequence[str],
        drive_frames: Sequence[DriveFrame],
        protocol: TruthProtocol,
        count: int | None = None,
    ) -> None:
        self.drives, self.protocol = list(drives), protocol
        self.drive_frames = list(drive_frames)
        self._count = len(self.drive_frames) if count is None else count
        # Of a frame that is named twice, the first is its neighbours' neighbour.
        self._at: dict[DriveFrame, int] = {}
        for index, drive_frame in enumerate(self.drive_frames):
            self._at.setdefault(drive_frame, index)

    def __len__(self) -> int:
        """Count the frame sets."""
        return self._count

    def neighbour(self, index: int, offset: int) -> int | None:
        """Index of the set so many later in the same drive; None beyond its ends and in gaps."""
        drive, frame, track = self.locate(index)
        return self._at.get(DriveFrame(drive, frame + offset, track))

    def locate(self, index: int) -> DriveFrame:
        """Where a frame set stands.

        Raises:
            IndexError: There are not so many.
        """
        if not 0 <= index < len(self.drive_frames):
            raise IndexError(f"frame set {index} of {len(self)}")
        return self.drive_frames[index]

    @abstractmethod
    def cameras(self, index: int) -> list[str]:
        """Name the cameras of a frame set, without reading images."""

    @abstractmethod
    def recorded(self, index: int, choose: Choose = range) -> RecordedSet:
        """Read the chosen cameras of a frame set as they are stored."""

    def read(self, index: int, choose: Choose = range) -> TrueFrameSet:
        """Read the chosen cameras of a frame set, see the module's head."""
        return true_set(self.recorded(index, choose), self.protocol)


def true_set(recorded: RecordedSet, protocol: TruthProtocol) -> TrueFrameSet:
    """Make truth of what was recorded, see the module's head.

    Raises:
        DatasetError: An image does not decode; names its file.
    """
    scans: dict[int, BaseScan] = {}
    cameras = []
    for image in recorded.images:
        scan = image.scan
        if scan is not None and id(scan) not in scans:
            points = transform_points(scan.T_base_lidar, scan.points).astype(np.float32)
            scans[id(scan)] = BaseScan(scan.stamp, points, None)
        base_scan = None if scan is None else scans[id(scan)]
        cameras.append(_true_camera(image, base_scan, protocol))
    facts: dict[str, Any] = {
        "rig": recorded.rig,
        "drive": recorded.drive,
        "drive_name": recorded.drive_name,
        "index": recorded.index,
    }
    if recorded.images:
        first = recorded.images[0]
        facts["stamp"] = first.stamp
        facts["stamps"] = {image.name: image.stamp for image in recorded.images}
        if first.T_odom_base is not None:
            facts["T_odom_base"] = first.T_odom_base.tolist()
    return TrueFrameSet(recorded.key, tuple(cameras), GroundPlane(), facts)


def _true_camera(
    image: RecordedImage, scan: BaseScan | None, protocol: TruthProtocol
) -> TrueCamera:
    pixels = decoded(image)
    shape = (image.model.height, image.model.width)
    if image.depth is not None:
        depth = image.depth.copy()
    elif scan is not None:
        depth = scan_depth(image, scan, protocol)
    else:
        depth = np.full(shape, np.nan, np.float32)
    label = np.full(shape, NOT_KNOWN, np.uint8) if image.label is None else image.label.copy()
    if image.ego_mask is not None:
        depth[image.ego_mask] = np.nan
        label[image.ego_mask] = labels.OWN_BODY
    T = image.T_base_camera
    return TrueCamera(image.name, image.model, T, T, pixels, depth, label)


def scan_depth(
    image: RecordedImage, scan: BaseScan, protocol: TruthProtocol
) -> NDArray[np.float32]:
    """Depth (H, W), m, of the scan's points that the image shows; NaN elsewhere."""
    motion = None
    before = None if image.scan is None else image.scan.T_odom_base
    if image.T_odom_base is not None and before is not None:
        motion = inverse(image.T_odom_base) @ before
    camera = RigCamera(
        image.name, image.model, image.T_base_camera, image.name, image.model, image.ego_mask
    )
    truth = lidar_truth(camera, scan, image.stamp, protocol, motion)
    out = np.full((image.model.height, image.model.width), np.inf, np.float32)
    column, row = np.rint(truth.uv).astype(np.intp).T
    np.minimum.at(out, (row, column), truth.depth.astype(np.float32))
    out[np.isinf(out)] = np.nan
    return out


def decoded(image: RecordedImage) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) BGR.

    Raises:
        DatasetError: The file is damaged, or not as large as its camera's images.
    """
    if isinstance(image.data, np.ndarray):
        return image.data
    pixels, why = decompress(image.data, cv2.IMREAD_COLOR)
    size = (image.model.height, image.model.width)
    if pixels is None or pixels.shape[:2] != size:
        why = why or f"{pixels.shape[1]}x{pixels.shape[0]} px"  # type: ignore[union-attr]
        raise DatasetError(
            f"'{image.where}' is damaged ({why})",
            expected=f"a JPEG or PNG of {size[1]}x{size[0]} px",
            fix="fetch it again",
        )
    return np.asarray(pixels, np.uint8)


def fitting_model(model: CameraModel, data: bytes, where: str) -> CameraModel:
    """The camera's model for an image that may have been resized after calibration.

    Raises:
        DatasetError: It is no image, or has another shape; names it.
    """
    size = declared_size(data)
    if size is None or min(size) < 1:
        raise DatasetError(f"'{where}' is no image", expected="a JPEG or PNG", fix="fetch it again")
    if size == (model.width, model.height):
        return model
    if abs(size[0] / model.width * model.height / size[1] - 1) > _ASPECT_TOLERANCE:
        raise DatasetError(
            f"'{where}' has {size[0]}x{size[1]} px, its calibration is for"
            f" {model.width}x{model.height}",
            expected="that size, or one resized evenly",
            fix="fetch image and calibration again",
        )
    return model.resized(*size)


def pinhole(K: NDArray[np.float64], size: tuple[int, int], where: str) -> CameraModel:
    """A camera without distortion.

    Raises:
        DatasetError: K is no camera's; names the file.
    """
    try:
        return CameraModel(size[0], size[1], K)
    except (CalibrationError, ValueError) as error:
        raise DatasetError(
            f"'{where}': {error}", expected="a camera's intrinsics", fix="fetch it again"
        ) from None


def points_of(data: bytes, columns: int, where: str) -> NDArray[np.float32]:
    """Points (N, columns) of a file of float32; those that are not finite are left out.

    Raises:
        DatasetError: The file was cut.
    """
    if len(data) % (4 * columns):
        raise DatasetError(
            f"'{where}' has {len(data)} bytes",
            expected=f"a multiple of {4 * columns}",
            fix="it was cut; fetch it again",
        )
    points = np.frombuffer(data, "<f4").reshape(-1, columns).astype(np.float32)
    return points[np.isfinite(points[:, :3]).all(axis=1)]
