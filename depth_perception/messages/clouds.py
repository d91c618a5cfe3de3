"""Point clouds between messages and arrays."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import MessageError
from depth_perception.messages.headers import MessageTypes, header

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
    offsets: dict[str, int] = {}
    names, formats = [], []
    order: Literal["<", ">"] = ">" if message.is_bigendian else "<"
    for point_field in message.fields:
        if point_field.name in ("x", "y", "z") and point_field.datatype in (7, 8):
            names.append(point_field.name)
            formats.append(np.dtype(_POINT_FIELD_TYPES[point_field.datatype]).newbyteorder(order))
            offsets[point_field.name] = int(point_field.offset)
    step = int(message.point_step)
    if sorted(names) != ["x", "y", "z"]:
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
    if width * height == 0:
        return np.zeros((0, 3), np.float32)  # the other sizes may be anything then
    dtype = np.dtype(
        {"names": names, "formats": formats, "offsets": list(offsets.values()), "itemsize": step}
    )
    rows = data[: row_step * height].reshape(height, row_step)[:, : width * step]
    cloud = np.ascontiguousarray(rows).reshape(-1).view(dtype)
    points = np.stack([cloud[axis] for axis in ("x", "y", "z")], axis=1).astype(np.float32)
    return points[np.isfinite(points).all(axis=1)]


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
