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

"""Writes rosbag2 bags with the package's topics, without ROS, that Humble and later open.

metadata.yaml is of version 8. From 9 on (Jazzy) it has QoS as a list of mappings with words, and
``ros2 bag`` of Humble takes nothing but a string with YAML in it, whose policies are numbers
(`convert<TopicMetadata>` and `convert<Rosbag2QoS>` in metadata_io.cpp and qos.cpp of branch humble
of github.com/ros2/rosbag2), whatever version stands there; what it does not know it passes over.
Jazzy and later read both forms (rosbag2_storage/yaml.hpp and qos.cpp of branch jazzy); what they
want in 8 beside Humble's are ``type_description_hash``, ``custom_data`` and ``ros_distro``. In mcap
files, whose channels repeat the QoS, the same string.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import BagError, missing_library
from depth_perception.resources import share_folder

try:
    from rosbags.interfaces import (
        Connection,
        Qos,
        QosDurability,
        QosHistory,
        QosLiveliness,
        QosReliability,
        QosTime,
    )
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore
    from rosbags.typesys.store import Typestore
except ImportError as error:
    raise missing_library("rosbags", error) from None

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


def check_new(path: str | Path, overwrite: bool) -> None:
    """Refuse a place for a bag where something lies that is not to be replaced, or is no bag.

    Args:
        path: Of the new bag.
        overwrite: A bag that lies there may be replaced; anything else never is.

    Raises:
        BagError: Names what is in the way.
    """
    path = Path(path)
    if not path.exists():
        return
    is_bag = path.is_dir() and ((path / "metadata.yaml").exists() or not any(path.iterdir()))
    if not overwrite or not is_bag:
        raise BagError(
            f"'{path}' exists" + ("" if is_bag else " and is no bag"),
            expected="a new folder for the bag",
            fix="name another, remove it, or give --overwrite when it is a bag",
        )
    _refuse_strangers(path, {"metadata.yaml"})


def _refuse_strangers(folder: Path, known: Collection[str]) -> None:
    """Refuse to remove a folder that holds more than files of bags and names in ``known``."""
    for item in sorted(folder.iterdir()):
        if item.name not in known and not _BAG_FILE.search(item.name):
            raise BagError(
                f"'{folder}' is not replaced: '{item.name}' in it is no part of a bag",
                expected="a folder with nothing but the bag's own files",
                fix="move that away, or name another folder",
            )


_METADATA_VERSION: Literal[8] = 8
_CANNOT_WRITE = (OSError, sqlite3.Error)
_BAG_FILE = re.compile(r"\.(mcap|db3(-journal|-wal|-shm)?)(\.zstd)?$")


class BagWriter:
    """A new rosbag2 directory; messages go in by topic.

    The bag appears under its name when it is whole. Until then, and for good when writing breaks
    off (an error, Ctrl-C), it lies in a folder with ``.part`` behind the name; what lay under the
    name before stays until the new bag takes its place.

    Attributes:
        path: Where the whole bag will be.
        part: The folder of the bag that is not whole.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        storage: str = "mcap",
        overwrite: bool = False,
        compressed: bool = False,
        keep_part: bool = True,
    ) -> None:
        """Create the folder of the bag that is not whole yet.

        Args:
            path: Of the bag.
            storage: ``mcap`` or ``sqlite3``.
            overwrite: Replace a bag that is there, once the new one is whole.
            compressed: Compress chunks, as ``ros2 bag record`` does it (mcap).
            keep_part: After an error, leave what was written; else remove it.

        Raises:
            BagError: Something is in the way, or the folder cannot be made.
        """
        self.path = Path(path)
        check_new(self.path, overwrite)
        target = self.path.resolve()
        self.part = target.with_name(target.name + ".part")
        self._target = target
        self._keep_part = keep_part
        self.store = package_typestore()
        self.types = BagTypes(self.store)
        plugin = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}[storage]
        # Its files are named after their folder: an inner one has the name of the whole bag.
        self._inner = self.part / target.name
        try:
            self._clear_part()
            self.part.mkdir(parents=True)
            self._writer = Writer(self._inner, version=_METADATA_VERSION, storage_plugin=plugin)
            if compressed:
                self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            self._writer.open()
        except _CANNOT_WRITE as error:
            raise self._unwritable(error) from None
        self._connections: dict[str, Connection] = {}
        self._closed = False

    def _clear_part(self) -> None:
        """Remove what an earlier run that broke off has left, and nothing else."""
        if not self.part.exists():
            return
        metadata = {"metadata.yaml", "metadata.yaml.tmp"}
        if self._inner.is_dir():
            _refuse_strangers(self._inner, metadata)
        _refuse_strangers(self.part, {*metadata, self._inner.name})
        shutil.rmtree(self.part)

    def _unwritable(self, error: Exception) -> BagError:
        left = self._keep_part and self._inner.exists()
        return BagError(
            f"bag '{self.path}' cannot be written ({getattr(error, 'strerror', None) or error})"
            + (f"; what was written so far is in '{self.part}'" if left else ""),
            fix="choose a folder that is writable and has room",
        )

    def write(self, topic: str, message: Any, time: int, *, latched: bool = False) -> None:
        """Append one message at a bag time in nanoseconds."""
        kind = message.__msgtype__
        data = self.store.serialize_cdr(message, kind)
        self.write_serialized(topic, kind, bytes(data), time, latched=latched)

    def write_serialized(
        self, topic: str, type_name: str, data: bytes, time: int, *, latched: bool = False
    ) -> None:
        """Append one message that is already CDR bytes.

        Raises:
            BagError: There is no room, or the folder is gone.
        """
        connection = self._connections.get(topic)
        try:
            if connection is None:
                qos = [latched_qos()] if latched else []
                connection = self._writer.add_connection(
                    topic, type_name, typestore=self.store, offered_qos_profiles=qos
                )
                self._connections[topic] = connection
            self._writer.write(connection, time, data)
        except _CANNOT_WRITE as error:
            raise self._unwritable(error) from None

    def close(self) -> None:
        """Finish the bag: it is whole now, and gets its name.

        Raises:
            BagError: There is no room, or the folder is gone.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self._writer.close()
            if self._target.exists():
                shutil.rmtree(self._target)
            self._inner.rename(self._target)
            self.part.rmdir()
        except _CANNOT_WRITE as error:
            reason = self._unwritable(error)
            self._leave_part()
            raise reason from None

    def break_off(self) -> None:
        """Leave a bag that is not whole: readable, under the name with ``.part``, or not at all."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(*_CANNOT_WRITE):
            self._writer.close()
        self._leave_part()

    def _leave_part(self) -> None:
        """Let go of the files, and keep or remove them as is wanted."""
        with contextlib.suppress(Exception):
            self._writer.abort()  # what is closed already does not mind
        if not self._keep_part:
            shutil.rmtree(self.part, ignore_errors=True)
            return
        with contextlib.suppress(*_CANNOT_WRITE):
            for file in self._inner.iterdir():
                file.rename(self.part / file.name)
            self._inner.rmdir()

    def __enter__(self) -> BagWriter:
        """Give the writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the bag; after an error what was written stays readable, as a part."""
        if kind is None:
            self.close()
        else:
            self.break_off()
