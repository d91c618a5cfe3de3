"""Writes rosbag2 bags with the package's topics, without ROS."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from depth_perception.errors import BagError
from depth_perception.resources import share_folder

OWN_MESSAGES = ("GroundPlane", "CameraStatus", "SurroundDepthStatus")


def package_typestore() -> Typestore:
    """Return ROS 2's standard messages and the package's own."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types: dict[str, Any] = {}
    for name in OWN_MESSAGES:
        text = (share_folder() / "msg" / f"{name}.msg").read_text()
        types.update(get_types_from_msg(text, f"depth_perception/msg/{name}"))
    store.register(types)
    return store


class BagTypes:
    """`MessageTypes` for bags: the message classes of PyPI ``rosbags``."""

    def __init__(self, store: Typestore) -> None:
        """Take the classes from ``store``."""
        self._types = store.types

    def new(self, type_name: str, **fields: Any) -> Any:
        """Make a message with all its fields given."""
        return self._types[type_name](**fields)

    def array(self, values: NDArray[Any]) -> NDArray[Any]:
        """Numbers stay a NumPy array here."""
        return np.ascontiguousarray(values)


def latched_qos() -> Qos:
    """Return the QoS of ``/tf_static``: reliable, transient local, so that latecomers get it."""
    unlimited = QosTime(0, 0)
    return Qos(
        QosHistory.KEEP_LAST,
        1,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL,
        unlimited,
        unlimited,
        QosLiveliness.AUTOMATIC,
        unlimited,
        False,
    )


def check_new(path: Path, overwrite: bool) -> None:
    """Refuse to write where something lies that is not to be replaced, or is no bag.

    Raises:
        BagError: It exists; names it.
    """
    if not path.exists():
        return
    is_bag = path.is_dir() and ((path / "metadata.yaml").exists() or not any(path.iterdir()))
    if not overwrite or not is_bag:
        raise BagError(
            f"'{path}' exists" + ("" if is_bag else " and is no bag"),
            expected="a new folder for the bag",
            fix="name another, remove it, or give --overwrite when it is a bag",
        )


class BagWriter:
    """A new rosbag2 directory; messages go in by topic."""

    def __init__(self, path: str | Path, *, storage: str = "mcap", overwrite: bool = False) -> None:
        """Create the directory.

        Raises:
            BagError: It exists and is not to be overwritten, or cannot be made.
        """
        self.path = Path(path)
        check_new(self.path, overwrite)
        self.store = package_typestore()
        self.types = BagTypes(self.store)
        plugin = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}[storage]
        try:
            if self.path.exists():
                shutil.rmtree(self.path)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = Writer(self.path, version=9, storage_plugin=plugin)
            self._writer.open()
        except (OSError, sqlite3.Error) as error:
            raise self._unwritable(error) from None
        self._connections: dict[str, Connection] = {}

    def write(self, topic: str, message: Any, time: int, *, latched: bool = False) -> None:
        """Append one message at a bag time in nanoseconds."""
        kind = message.__msgtype__
        data = self.store.serialize_cdr(message, kind)
        self.write_serialized(topic, kind, bytes(data), time, latched=latched)

    def write_serialized(
        self, topic: str, type_name: str, data: bytes, time: int, *, latched: bool = False
    ) -> None:
        """Append one message that is already CDR bytes."""
        connection = self._connections.get(topic)
        if connection is None:
            qos = [latched_qos()] if latched else []
            connection = self._writer.add_connection(
                topic, type_name, typestore=self.store, offered_qos_profiles=qos
            )
            self._connections[topic] = connection
        try:
            self._writer.write(connection, time, data)
        except (OSError, sqlite3.Error) as error:
            raise self._unwritable(error) from None

    def close(self) -> None:
        """Finish the bag.

        Raises:
            BagError: What is left cannot be written, as on a full disk.
        """
        try:
            self._writer.close()
        except (OSError, sqlite3.Error) as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: Exception) -> BagError:
        return BagError(
            f"bag '{self.path}' cannot be written ({getattr(error, 'strerror', None) or error})",
            fix="choose a folder that is writable and has room",
        )

    def __enter__(self) -> BagWriter:
        """Give the writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the bag, also after an error: what was written stays readable."""
        try:
            self.close()
        except BagError:
            if error is None:  # else the first error says more
                raise
