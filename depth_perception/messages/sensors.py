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

"""Headers, images, calibration and point clouds (``sensor_msgs``) between messages and arrays."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import MessageError
from depth_perception.geometry.depth_values import is_measured
from depth_perception.messages.bit_depth import BitDepth
from depth_perception.messages.compressed import decode_compressed_image, decompress
from depth_perception.messages.encodings import COLOURS, ENCODINGS, advice, to_bgr


class MessageTypes(Protocol):
    """Message classes by name, of rclpy or of a typestore; see `ros.messages`, `datasets.bag`."""

    def new(self, type_name: str, **fields: Any) -> Any:
        """Make a message such as ``sensor_msgs/msg/Image`` with all its fields given."""

    def array(self, values: NDArray[Any]) -> Any:
        """Put a contiguous array into the container that the messages' sequences want."""


def stamp_of(time: Any) -> int:
    """Nanoseconds of a ``builtin_interfaces/Time``."""
    return int(time.sec) * 1_000_000_000 + int(time.nanosec)


def zero_stamp(topic: str, stamp: int = 0) -> str:
    """Explain why a message without a time of capture (0 or less, ns) cannot be used."""
    return (
        f"{topic}: header.stamp is {'zero' if stamp == 0 else 'negative'}; expected the time of"
        " capture. Fix: let the camera driver fill header.stamp"
    )


def header(types: MessageTypes, stamp: int, frame_id: str) -> Any:
    """Build a ``std_msgs/Header`` from nanoseconds and a frame."""
    sec, nanosec = divmod(int(stamp), 1_000_000_000)
    time = types.new("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)
    return types.new("std_msgs/msg/Header", stamp=time, frame_id=frame_id)


LABEL_ENCODINGS = ("mono8", "8UC1", "mono16", "16UC1", "32SC1")


DEPTH_ENCODINGS = ("32FC1", "16UC1")


def is_compressed(message: Any) -> bool:
    """Tell a ``CompressedImage`` from an ``Image``."""
    return not hasattr(message, "encoding")


def decode_image(
    message: Any, topic: str = "image", bits: BitDepth | None = None
) -> NDArray[np.uint8]:
    """Decode an ``Image`` or ``CompressedImage`` to (height, width, 3) uint8 BGR.

    Args:
        message: The message.
        topic: For errors.
        bits: How many of 16 bits this camera uses, as far as its images have shown, brought up to
            date; None where this image alone shows it. See `image_decoder` for a camera's images.

    Raises:
        MessageError: Unknown encoding, a ``step`` or ``data`` that does not fit the size, or bytes
            that are no image.
    """
    if is_compressed(message):
        return decode_compressed_image(message, topic, bits)
    encoding = ENCODINGS[message.encoding]
    if encoding is not None and encoding.to_bgr is None:
        raise MessageError(
            f"{topic}: encoding '{message.encoding}' is not a colour or grey image",
            expected=COLOURS,
            fix=advice(message.encoding),
        )
    array = _pixels(message, topic)
    if message.encoding == "bgr8":
        return array  # as most drivers send it
    assert encoding is not None  # `_pixels` refuses unknown ones
    if encoding.channels == 2 and message.width % 2:
        # YUV 4:2:2: OpenCV 4.5 and 4.6 write behind the end of the image, and the process dies.
        raise _no_colour(message, topic, "two pixels share their colour, and its width is odd")
    try:
        return to_bgr(array, encoding, bits)
    except cv2.error as error:
        raise _no_colour(message, topic, error.err) from None


def _no_colour(message: Any, topic: str, reason: str) -> MessageError:
    return MessageError(
        f"{topic}: {message.width}x{message.height} {message.encoding} cannot be turned into"
        f" colour ({reason})",
        expected="an image of at least 2x2 pixels, with an even width and height for yuv",
        fix="correct the camera driver",
    )


def decode_labels(message: Any, topic: str = "labels") -> NDArray[np.integer]:
    """Decode a label image to its (height, width) class ids.

    Raises:
        MessageError: The encoding is not one of `LABEL_ENCODINGS`, or compression was lossy.
    """
    if is_compressed(message):
        labels, _ = decompress(bytes(memoryview(message.data)), cv2.IMREAD_UNCHANGED)
        if labels is None or labels.ndim != 2 or "jpeg" in message.format.lower():
            raise MessageError(
                f"{topic}: format '{message.format}' holds no label image",
                expected="a one-channel PNG (JPEG alters ids)",
                fix="publish labels as mono8 or PNG",
            )
        return np.asarray(labels)
    if message.encoding not in LABEL_ENCODINGS:
        raise MessageError(
            f"{topic}: encoding '{message.encoding}' holds no class ids",
            expected="one of " + ", ".join(LABEL_ENCODINGS),
            fix="publish one class id per pixel, not colours",
        )
    return _pixels(message, topic)


def decode_depth(message: Any, topic: str = "depth") -> NDArray[np.float32]:
    """Decode a depth image of REP 118 to (height, width) metres; NaN unknown, +Inf beyond range."""
    if message.encoding not in DEPTH_ENCODINGS:
        raise MessageError(
            f"{topic}: encoding '{message.encoding}' is no depth image",
            expected="one of " + ", ".join(DEPTH_ENCODINGS),
            fix="publish depth as REP 118 says",
        )
    array = _pixels(message, topic)
    if message.encoding == "16UC1":
        return np.where(array > 0, array * np.float32(1e-3), np.float32(np.nan))
    return array.astype(np.float32, copy=False)


def _pixels(message: Any, topic: str) -> NDArray[Any]:
    """View an Image's pixels as (height, width[, channels]) after checking step and size."""
    encoding = ENCODINGS[message.encoding]
    if encoding is None:
        raise MessageError(
            f"{topic}: encoding '{message.encoding}' is unknown",
            expected=COLOURS,
            fix=advice(message.encoding),
        )
    height, width, step = int(message.height), int(message.width), int(message.step)
    height = height * encoding.rows[0] // encoding.rows[1]
    dtype, channels = encoding.dtype, encoding.channels
    row = width * channels * dtype.itemsize
    data = np.frombuffer(message.data, dtype=np.uint8)
    if height <= 0 or width <= 0:
        raise MessageError(
            f"{topic}: image of {width}x{height} pixels",
            expected="a positive size",
            fix="check the camera driver",
        )
    if step < row or data.size < step * (height - 1) + row:
        raise MessageError(
            f"{topic}: {width}x{height} {message.encoding} with step {step} and {data.size} bytes",
            expected=f"step of at least {row} and {row * height} bytes or more",
            fix="set step = width * bytes per pixel in the publisher",
        )
    rows = np.lib.stride_tricks.as_strided(data, (height, row), (step, 1), writeable=False)
    swap = bool(message.is_bigendian) and dtype.itemsize > 1
    array = np.ascontiguousarray(rows).view(dtype.newbyteorder(">") if swap else dtype)
    array = array.astype(dtype, copy=False)
    return array.reshape((height, width) if channels == 1 else (height, width, channels))


def image_message(
    types: MessageTypes, stamp: int, frame_id: str, image: NDArray[Any], encoding: str
) -> Any:
    """Build an ``Image`` from (height, width[, channels]); the dtype must be the encoding's."""
    image = np.ascontiguousarray(image)
    return types.new(
        "sensor_msgs/msg/Image",
        header=header(types, stamp, frame_id),
        height=image.shape[0],
        width=image.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=image.strides[0],
        data=types.array(image.reshape(-1).view(np.uint8)),
    )


def depth_message(
    types: MessageTypes,
    stamp: int,
    frame_id: str,
    depth: NDArray[np.float32],
    encoding: str = "32FC1",
) -> Any:
    """Build a depth image (REP 118) from (height, width) metres.

    As 16UC1, unknown and beyond range become 0, and so does what millimetres cannot hold (65.5 m).
    """
    if encoding == "16UC1":
        with np.errstate(invalid="ignore"):
            known = is_measured(depth) & (depth < 65.535)
            millimetres = np.where(known, np.round(depth * 1e3), 0).astype(np.uint16)
        return image_message(types, stamp, frame_id, millimetres, "16UC1")
    return image_message(types, stamp, frame_id, depth.astype(np.float32, copy=False), "32FC1")


def camera_info_message(types: MessageTypes, stamp: int, frame_id: str, camera: Any) -> Any:
    """Build the CameraInfo of images that ``camera`` (a `CameraModel`) describes."""
    P = np.zeros((3, 4))
    P[:, :3] = camera.K
    count = {"plumb_bob": 5, "rational_polynomial": 8, "equidistant": 4}[camera.distortion_model]
    D = np.zeros(count)
    D[: min(count, camera.D.size)] = camera.D[:count]
    roi = types.new(
        "sensor_msgs/msg/RegionOfInterest",
        x_offset=0,
        y_offset=0,
        height=0,
        width=0,
        do_rectify=False,
    )
    return types.new(
        "sensor_msgs/msg/CameraInfo",
        header=header(types, stamp, frame_id),
        height=camera.height,
        width=camera.width,
        distortion_model=camera.distortion_model,
        d=types.array(D),
        k=types.array(camera.K.ravel().copy()),
        r=types.array(camera.R.ravel().copy()),
        p=types.array(P.ravel()),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


_POINT_FIELD_TYPES = {
    1: np.int8,
    2: np.uint8,
    3: np.int16,
    4: np.uint16,
    5: np.int32,
    6: np.uint32,
    7: np.float32,
    8: np.float64,
}


_POINT_FIELD_NUMBERS = {np.dtype(dtype): number for number, dtype in _POINT_FIELD_TYPES.items()}


def decode_points(message: Any, topic: str = "points") -> NDArray[np.float32]:
    """Read x, y, z of a PointCloud2: (N, 3) float32 metres in its frame, NaN points left out.

    Raises:
        MessageError: No x, y, z fields, or ``data`` shorter than the sizes say.
    """
    return _read_points(message, topic, ("x", "y", "z"))[0]


def decode_ranges(
    message: Any, topic: str = "points"
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Read x, y, z of a PointCloud2 and, where it has such a field, the deviation of each range.

    Returns:
        (N, 3) float32 metres in its frame, NaN points left out, and (N,) float32 of the field
        ``sigma``, metres; None without one.

    Raises:
        MessageError: No x, y, z fields, or ``data`` shorter than the sizes say.
    """
    return _read_points(message, topic, ("x", "y", "z", "sigma"))


def _read_points(
    message: Any, topic: str, wanted: Collection[str]
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    offsets: dict[str, int] = {}
    names, formats = [], []
    order: Literal["<", ">"] = ">" if message.is_bigendian else "<"
    for point_field in message.fields:
        if point_field.name in wanted and point_field.datatype in (7, 8):
            names.append(point_field.name)
            formats.append(np.dtype(_POINT_FIELD_TYPES[point_field.datatype]).newbyteorder(order))
            offsets[point_field.name] = int(point_field.offset)
    step = int(message.point_step)
    with_sigma = "sigma" in names
    if sorted(set(names) - {"sigma"}) != ["x", "y", "z"] or len(set(names)) != len(names):
        raise MessageError(
            f"{topic}: fields are {[f.name for f in message.fields]}",
            expected="x, y and z as FLOAT32 or FLOAT64",
            fix="choose the LiDAR's point topic",
        )
    ends = [offsets[n] + f.itemsize for n, f in zip(names, formats, strict=True)]
    data = np.frombuffer(message.data, dtype=np.uint8)
    width, height, row_step = int(message.width), int(message.height), int(message.row_step)
    if step < max(ends) or row_step < width * step or data.size < row_step * height:
        raise MessageError(
            f"{topic}: {width}x{height} points, point_step {step}, row_step {row_step},"
            f" {data.size} bytes",
            expected="point_step that holds the fields and data of row_step * height bytes",
            fix="correct the publisher; a bag may be cut",
        )
    if width * height == 0:  # the other sizes may be anything then
        empty = np.zeros((0, 3), np.float32)
        return empty, empty[:, 0] if with_sigma else None
    dtype = np.dtype(
        {"names": names, "formats": formats, "offsets": list(offsets.values()), "itemsize": step}
    )
    rows = data[: row_step * height].reshape(height, row_step)[:, : width * step]
    cloud = np.ascontiguousarray(rows).reshape(-1).view(dtype)
    points = np.stack([cloud[axis] for axis in ("x", "y", "z")], axis=1).astype(np.float32)
    good = np.isfinite(points).all(axis=1)
    if not with_sigma:
        return points[good], None
    sigma = cloud["sigma"].astype(np.float32)
    with np.errstate(invalid="ignore"):
        good &= sigma > 0
    return points[good], sigma[good]


def cloud_message(types: MessageTypes, stamp: int, frame_id: str, points: NDArray[np.void]) -> Any:
    """Build an unordered PointCloud2 from a structured array; its fields become point fields."""
    dtype = points.dtype
    assert dtype.names is not None and dtype.fields is not None
    fields = [
        types.new(
            "sensor_msgs/msg/PointField",
            name=name,
            offset=dtype.fields[name][1],
            datatype=_POINT_FIELD_NUMBERS[dtype.fields[name][0]],
            count=1,
        )
        for name in dtype.names
    ]
    return types.new(
        "sensor_msgs/msg/PointCloud2",
        header=header(types, stamp, frame_id),
        height=1,
        width=len(points),
        fields=fields,
        is_bigendian=False,
        point_step=dtype.itemsize,
        row_step=dtype.itemsize * len(points),
        data=types.array(np.ascontiguousarray(points).view(np.uint8)),
        is_dense=True,
    )
