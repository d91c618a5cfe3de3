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

"""One part of a bag, opened for what it is: decompressed, and salvaged where it is damaged.

In: a file. Out: a `bag_storage.Storage`, and what was lost.
"""

from __future__ import annotations

import errno
import shlex
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from depth_perception.datasets.bag_kinds import kind_of, refusal
from depth_perception.datasets.bag_storage import (
    SqliteFile,
    Storage,
    counted,
    one_line,
    unwritten_log,
)
from depth_perception.datasets.decompression import zstd
from depth_perception.datasets.mcap_file import McapFile
from depth_perception.datasets.sqlite_salvage import SalvagedSqliteFile
from depth_perception.errors import BagError


@dataclass(frozen=True)
class OpenedPart:
    """A file of a bag.

    Attributes:
        named: As it lies in the bag.
        file: Decompressed, else the same.
        kind: ``mcap`` or ``sqlite3``.
        storage: What reads it.
    """

    named: Path
    file: Path
    kind: str
    storage: Storage


def open_part(named: Path, stack: ExitStack, lost: Callable[[str], None]) -> OpenedPart:
    """Open a file of a bag.

    Args:
        named: The file.
        stack: Closes it, and removes what was decompressed.
        lost: Called with what cannot be read of it, in a line each, when that is found.

    Raises:
        BagError: It is no bag, or nothing in it can be read; names file and fix.
        OSError: It may not be read.
    """
    kind, file = kind_of(named), named
    if kind == "zstd":
        folder = stack.enter_context(TemporaryDirectory(prefix="depth_perception_bag_"))
        file = _decompress(named, Path(folder), lost)
        kind = kind_of(file)
    if kind == "mcap":
        storage: Storage = McapFile(file, lost, named)
    elif kind == "sqlite3":
        storage = _open_sqlite(file, named, lost)
    elif file == named:
        raise refusal(file, kind)
    else:
        raise BagError(
            f"what '{named}' holds is no bag",
            expected="an mcap or SQLite file",
            fix=refusal(named.with_suffix(""), kind).fix,
        )
    stack.callback(storage.close)
    return OpenedPart(named, file, kind, storage)


def salvage(
    file: Path, named: Path, error: BagError, lost: Callable[[str], None]
) -> SalvagedSqliteFile:
    """Open what can be read of a damaged SQLite file.

    Raises:
        BagError: `error`, when that is nothing.
    """
    try:
        found = SalvagedSqliteFile(file)
    except sqlite3.Error:
        raise error from None
    count = sum(topic.msgcount for topic in found.topics)
    if not count:
        found.close()
        raise error
    lost(
        f"bag '{named}' is cut or damaged; what is left of it is read ({counted(count)},"
        f" {(found.end - found.start) * 1e-9:.1f} s), the rest is left out. Fix: {error.fix}"
    )
    return found


def _open_sqlite(file: Path, named: Path, lost: Callable[[str], None]) -> Storage:
    log = unwritten_log(named)
    if log:
        lost(
            f"bag '{named}' was not closed: messages that are not in it yet are left out."
            f" Fix: {log}"
        )
    try:
        return SqliteFile(file, named)
    except BagError as error:
        return salvage(file, named, error, lost)


def _decompress(file: Path, folder: Path, lost: Callable[[str], None]) -> Path:
    """Decompress a whole file into a folder; where it breaks off, what there is.

    Raises:
        BagError: There is no room, or nothing in it can be read.
    """
    target = folder / file.name.removesuffix(".zstd").removesuffix(".zst")
    by_hand = f"decompress it where there is room: zstd -d {shlex.quote(str(file))}"
    try:
        with zstd().open(file, "rb") as packed, target.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
    except (EOFError, zstd().ZstdError) as error:
        if target.stat().st_size == 0:
            raise BagError(
                f"bag '{file}' does not decompress: {one_line(error)}",
                expected="a whole file of zstd",
                fix="copy it anew from where it was recorded, or record it again",
            ) from None
        lost(
            f"bag '{file}' breaks off while it is decompressed ({one_line(error)}); the rest is"
            " left out. Fix: copy it anew from where it was recorded"
        )
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise BagError(
            f"bag '{file}' cannot be decompressed into {folder.parent}: {error.strerror}",
            expected=f"room for some times its {file.stat().st_size / 1e6:.0f} MB",
            fix=by_hand + ", or set TMPDIR",
        ) from None
    return target
