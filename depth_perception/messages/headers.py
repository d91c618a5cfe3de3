"""Stamps and headers, and the message classes that builders are given."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray


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
