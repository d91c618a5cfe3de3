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

"""What was computed, as entities of a rerun recording. Knows arrays, and nothing of bags or ROS.

In: images, depth, clouds, planes with their stamps. Out: entities below the base frame, for any
viewer of rerun (see `entities` for their names). rerun is imported when a recording is made, so
that everything else works without it.

Two timelines: ``stamp``, the time of capture, and ``set``, the number of the frame set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.depth_values import is_measured
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.viewing.entities import DEPTHS, Entities

if TYPE_CHECKING:
    from depth_perception.geometry.cloud import OccupancyMap

STEPS_PER_METRE = 100.0
"""Depth images are kept as 16 bits in steps of 1 cm: exact to 5 mm, up to `FARTHEST`. In finer
steps the last bits, which nobody sees, are most of the file."""
FARTHEST = 65535 / STEPS_PER_METRE
"""Depth that 16 bits hold, m; what is beyond is kept as unknown, 0."""
COLOURED_DEPTH = (0.0, 60.0)
"""Depth at the ends of the colour map, m; the viewer shows the number itself under the pointer."""

GROUND_EXTENT, GROUND_SPACING = 30.0, 5.0
"""The road plane is drawn as a grid: half of its edge, and between two lines, m."""

LIDAR_COLOUR = (255, 80, 170)
OBSTACLE_COLOUR = (255, 160, 40)
GROUND_COLOUR = (90, 170, 255, 160)
MAP_OPACITY = 0.25
"""The cloud lies on the map, and is to be seen."""
FRUSTUM_LENGTH = 1.0
"""Distance of the image plane from its camera in the 3D view, m."""


@dataclass(frozen=True)
class Limits:
    """How much of everything is kept.

    Attributes:
        points: Of one cloud, at most.
        width: Of an image, px, at most.
        depth_width: Of a depth image, px, at most.
        quality: Of JPEG, 1 to 100.
    """

    points: int = 20_000
    width: int = 640
    depth_width: int = 320
    quality: int = 80


def every_nth(points: NDArray[Any], limit: int) -> NDArray[Any]:
    """Keep at most ``limit`` of (N, ...) points, spread evenly over them; the same ones always."""
    return points[:: max(1, -(-len(points) // limit))]


class Recording:
    """Logs to a stream of rerun.

    Attributes:
        limits: How much of everything is kept.
        entities: Their names.
        shown: Those that hold something now.
    """

    def __init__(self, stream: Any, base_frame: str, limits: Limits | None = None) -> None:
        """Begin.

        Args:
            stream: A ``rerun.RecordingStream``.
            base_frame: Name of the vehicle's frame (x forward, y left, z up), which everything
                lies in.
            limits: How much is kept.
        """
        import rerun

        self._rerun: Any = rerun
        self._stream = stream
        self.limits = limits or Limits()
        self.entities = Entities(base_frame)
        self._placed: dict[str, tuple[int, tuple[NDArray[np.float64], ...]]] = {}
        self._stamp = 0
        self.shown: set[str] = set()
        self._series: set[str] = set()
        self._log("/", rerun.ViewCoordinates.FLU, static=True)

    def begin_set(self, stamp: int, number: int | None = None) -> None:
        """Set the time of what follows.

        Args:
            stamp: ns.
            number: Of the frame set; None: not part of one.
        """
        self.at(stamp)
        if number is None:
            self._stream.disable_timeline("set")
        else:
            self._stream.set_time("set", sequence=number)

    def at(self, stamp: int) -> None:
        """Set the stamp of what follows, ns; the frame set stays."""
        self._stamp = stamp
        self._stream.set_time("stamp", timestamp=np.datetime64(stamp, "ns"))

    def place(self, name: str, T_base_camera: NDArray[np.float64]) -> None:
        """Log where a camera is mounted, 4x4 from its optical frame; once, and when it changes."""
        path = self.entities.camera(name)
        if self._is_news(path, T_base_camera):
            T = T_base_camera
            self._log(path, self._rerun.Transform3D(translation=T[:3, 3], mat3x3=T[:3, :3]))

    def image(self, name: str, camera: CameraModel, image: NDArray[np.uint8]) -> None:
        """Log an image (h, w, 3) BGR of a camera, whose pixels ``camera`` describes."""
        step = _step(camera.width, self.limits.width)
        if step > 1:
            size = max(1, camera.width // step), max(1, camera.height // step)
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
            camera = camera.resized(*size)
        path = self.entities.image(name)
        self._pinhole(path, camera)
        options = [cv2.IMWRITE_JPEG_QUALITY, self.limits.quality]
        contents = cv2.imencode(".jpg", image, options)[1].tobytes()
        self._log(path, self._rerun.EncodedImage(contents=contents, media_type="image/jpeg"))

    def depth(self, name: str, kind: str, camera: CameraModel, depth: NDArray[np.float32]) -> None:
        """Log a depth image.

        Args:
            name: The camera's.
            kind: ``estimated``, ``measured`` or ``embodied``.
            camera: Describes its pixels.
            depth: (h, w) m along the optical axis; what is no number, or beyond `FARTHEST`, is
                shown as unknown.
        """
        with np.errstate(invalid="ignore"):
            known = is_measured(depth) & (depth <= FARTHEST)
            steps = np.where(known, np.round(depth * STEPS_PER_METRE), 0).astype(np.uint16)
        self._log(
            self.entities.depth(name, kind),
            self._rerun.EncodedDepthImage(
                blob=self._sampled(name, camera, steps),
                media_type="image/png",
                meter=STEPS_PER_METRE,
                colormap="turbo",
                depth_range=[edge * STEPS_PER_METRE for edge in COLOURED_DEPTH],
            ),
        )

    def confidence(self, name: str, camera: CameraModel, confidence: NDArray[np.float32]) -> None:
        """Log how sure depth is of each pixel, (h, w) 0 to 1, as grey 0 to 255."""
        grey = np.round(np.clip(np.nan_to_num(confidence), 0, 1) * 255).astype(np.uint8)
        contents = self._sampled(name, camera, grey)
        shown = self._rerun.EncodedImage(contents=contents, media_type="image/png")
        self._log(self.entities.depth(name, "confidence"), shown)

    def clear_depth(self, name: str, kind: str) -> None:
        """Show a kind of depth of a camera no longer: there is none of this frame set."""
        self._clear(self.entities.depth(name, kind), recursive=False)

    def clear_depths(self, name: str) -> None:
        """Show no depth of a camera any longer; its images come by themselves, and go on."""
        for kind in DEPTHS:
            self.clear_depth(name, kind)

    def clear_camera(self, name: str) -> None:
        """Show no image of a camera any longer, nor its depth: it is missing."""
        for path in (self.entities.image(name), self.entities.depths(name)):
            if self._placed.pop(path, None) is not None:
                self._log(path, self._rerun.Clear(recursive=True))
                self.shown = {p for p in self.shown if not p.startswith(path)}

    def cloud(self, points: NDArray[np.void]) -> None:
        """Log the cloud, a structured array of x y z (m, base frame) and rgb, in its colours."""
        points = every_nth(points, self.limits.points)
        packed = np.ascontiguousarray(points["rgb"]).view(np.uint32)
        self._points(
            self.entities.points, _positions(points), packed << np.uint32(8) | np.uint32(255)
        )

    def obstacles(self, points: NDArray[np.void]) -> None:
        """Log those of the cloud that stand above the road, likewise, in one colour."""
        points = every_nth(points, self.limits.points)
        self._points(self.entities.obstacles, _positions(points), OBSTACLE_COLOUR)

    def lidar(self, points: NDArray[np.float32]) -> None:
        """Log a scan of a LiDAR, (N, 3) m of the base frame, in one colour."""
        self._points(self.entities.lidar, every_nth(points, self.limits.points), LIDAR_COLOUR)

    def map(self, occupancy: OccupancyMap) -> None:
        """Log the occupancy map where it lies, with its values as they are published."""
        rows, columns = occupancy.cells.shape
        # Row 0 of an image is at its top, and that of a map at its lowest y.
        cells = np.ascontiguousarray(occupancy.cells[::-1]).astype(np.int8)
        components = self._rerun.components
        shape = components.ImageFormat(
            width=columns, height=rows, color_model="L", channel_datatype="U8"
        )
        self._log(
            self.entities.map,
            self._rerun.GridMap(
                data=cells.tobytes(),
                format=shape,
                cell_size=occupancy.resolution,
                translation=occupancy.origin,
                colormap=components.Colormap.RvizMap,
                opacity=MAP_OPACITY,
            ),
        )

    def ground(self, plane: GroundPlane) -> None:
        """Log the road plane as a grid, and its angles (degrees) and height (m) over time."""
        lines = self._rerun.LineStrips3D(ground_lines(plane), colors=[GROUND_COLOUR], radii=0.01)
        self._log(self.entities.ground, lines)
        self._plot("ground/pitch", "pitch, °", math.degrees(plane.pitch))
        self._plot("ground/roll", "roll, °", math.degrees(plane.roll))
        self._plot("height/height", "height, m", plane.height)

    def latencies(self, seconds: Mapping[str, float], total: float | None = None) -> None:
        """Log what each stage took, and all of them, as ms over time; ``total`` None: their sum."""
        whole = sum(seconds.values()) if total is None else total
        for stage, value in {**seconds, "total": whole}.items():
            self._plot(f"latency/{stage}", f"{stage}, ms", 1e3 * value)

    def speed(self, speed: float) -> None:
        """Log how fast the vehicle moves, m/s; what is no number leaves a gap."""
        if math.isfinite(speed):
            self._plot("speed/speed", "speed, m/s", speed)

    def say(self, text: str, warning: bool = True) -> None:
        """Log a line of text."""
        level = "WARN" if warning else "INFO"
        self._log(self.entities.log, self._rerun.TextLog(text, level=level))

    def _log(self, path: str, *what: Any, static: bool = False) -> None:
        self._stream.log(path, *what, static=static)
        self.shown.add(path)

    def _clear(self, path: str, recursive: bool) -> None:
        if path in self.shown:
            self._log(path, self._rerun.Clear(recursive=recursive))
            self.shown.discard(path)

    def _is_news(self, path: str, *arrays: NDArray[np.float64]) -> bool:
        """Tell whether these are not known at this stamp, and remember them.

        What was logged holds from its stamp on: of a bag that begins anew, it is logged again.
        """
        since, before = self._placed.get(path, (0, ()))
        if before and self._stamp >= since and all(map(np.array_equal, before, arrays)):
            return False
        self._placed[path] = self._stamp, tuple(array.copy() for array in arrays)
        return True

    def _sampled(self, name: str, camera: CameraModel, pixels: NDArray[Any]) -> bytes:
        """Keep every n-th pixel in both directions, as it is, as PNG; and log where they look."""
        step = _step(camera.width, self.limits.depth_width)
        first = min(step // 2, pixels.shape[0] - 1, pixels.shape[1] - 1)
        kept = np.ascontiguousarray(pixels[first::step, first::step])
        K = camera.K.copy()
        K[:2, 2] -= first
        K[:2] /= step
        height, width = kept.shape
        sampled = CameraModel(width, height, K, camera.D, camera.distortion_model, camera.R)
        self._pinhole(self.entities.depths(name), sampled)
        return bytes(cv2.imencode(".png", kept, [cv2.IMWRITE_PNG_COMPRESSION, 4])[1].tobytes())

    def _pinhole(self, path: str, camera: CameraModel) -> None:
        """Log what a camera sees, once, and when it changes; distortion is left out."""
        size = np.array([camera.width, camera.height], np.float64)
        if not self._is_news(path, camera.K, size, camera.R):
            return
        rerun = self._rerun
        pinhole = rerun.Pinhole(
            image_from_camera=camera.K,
            resolution=size,
            camera_xyz=rerun.ViewCoordinates.RDF,
            image_plane_distance=FRUSTUM_LENGTH,
        )
        # K describes the frame that R turns the camera's into.
        turned = (
            [] if np.array_equal(camera.R, np.eye(3)) else [rerun.Transform3D(mat3x3=camera.R.T)]
        )
        self._log(path, pinhole, *turned)

    def _points(self, path: str, positions: NDArray[np.float32], colours: Any) -> None:
        made = self._rerun.Points3D(
            positions, colors=colours, radii=self._rerun.Radius.ui_points(2.0)
        )
        self._log(path, made)

    def _plot(self, name: str, label: str, value: float) -> None:
        path = self.entities.plot(name)
        if path not in self._series:
            self._series.add(path)
            self._log(path, self._rerun.SeriesLines(names=[label]), static=True)
        self._log(path, self._rerun.Scalars(value))


def _step(width: int, limit: int) -> int:
    """Say that every n-th pixel is kept."""
    return max(1, -(-width // limit))


def _positions(points: NDArray[np.void]) -> NDArray[np.float32]:
    return np.stack([points["x"], points["y"], points["z"]], axis=1)


def ground_lines(plane: GroundPlane) -> NDArray[np.float64]:
    """Draw a plane as lines along x and y of the base frame: (lines, 2, 3) m, both ends on it."""
    steps = np.arange(-GROUND_EXTENT, GROUND_EXTENT + 1e-6, GROUND_SPACING)
    ends = np.array([-GROUND_EXTENT, GROUND_EXTENT])
    along_x = np.stack(np.broadcast_arrays(ends, steps[:, None]), axis=-1)
    lines = np.concatenate([along_x, along_x[..., ::-1]])
    z = (plane.height - lines @ plane.normal[:2]) / plane.normal[2]
    return np.concatenate([lines, z[..., None]], axis=-1)
