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

"""Where bags lie: paths, patterns and addresses of object stores, and each on this machine's disk.

In: what was given on the command line. Out: `Bag`, its name and address; `identity`, which changes
when its content does; and `fetched`, its path here for as long as it is needed. Addresses such as
``s3://drives/2026/*.mcap`` are read through fsspec (BSD-3-Clause), which knows most stores.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import posixpath
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depth_perception.cluster.libraries import load
from depth_perception.errors import BagError

_MAGIC = "*?["


@dataclass(frozen=True)
class Bag:
    """A bag to work on.

    Attributes:
        name: The end of its path that tells it from the others; results are by this name.
        address: Path or address.
    """

    name: str
    address: str


def find_bags(texts: Sequence[str]) -> list[Bag]:
    """Find the bags that arguments name, each once, in the order of the arguments.

    Args:
        texts: Paths and addresses, also with ``*``, ``?`` and ``[...]``.

    Raises:
        BagError: Nothing is there, or the store needs a library; names the argument.
        ConfigurationError: An address needs fsspec, which is not installed.
    """
    addresses: dict[str, None] = {}
    for text in texts:
        addresses.update(dict.fromkeys(_remote(text) if is_remote(text) else _local(text)))
    return [Bag(*pair) for pair in zip(_names(list(addresses)), addresses, strict=True)]


def is_remote(address: str) -> bool:
    """Tell an address of a store from a path."""
    return "://" in address


def identity(bag: Bag) -> list[list[Any]]:
    """Return what changes when a bag's content does: names, sizes and versions of its files.

    Raises:
        BagError: It is not there.
    """
    if is_remote(bag.address):
        system, _ = _store(bag.address)
        return [[name, size, system.ukey(path)] for path, name, size in _remote_files(bag.address)]
    path = Path(bag.address)
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    try:
        stats = [(file, file.stat()) for file in files]
    except OSError as error:
        raise BagError(f"bag '{bag.address}': {error.strerror}", fix="correct the path") from None
    return [[os.path.relpath(f, path.parent), s.st_size, s.st_mtime_ns] for f, s in stats]


@contextlib.contextmanager
def fetched(address: str, cache: str = "") -> Iterator[Path]:
    """Have a bag on this machine's disk: itself if it is a path, else a copy, removed afterwards.

    Args:
        address: Path or address.
        cache: Folder for copies; empty: that of temporary files.

    Raises:
        BagError: It is not there, or the copy has another size than the store says.
        OSError: The disk has no room for it.
    """
    if not is_remote(address):
        path = Path(address)
        if not path.exists():
            raise BagError(
                f"bag '{address}' does not exist on {os.uname().nodename}",
                expected="a path that each machine of the cluster sees",
                fix="use a shared folder, or an address such as s3://...",
            )
        yield path
        return
    system, top = _store(address)
    files = _remote_files(address)
    folder = Path(tempfile.mkdtemp(prefix="depth_perception_bag_", dir=cache or None))
    try:
        needed, room = sum(size for *_, size in files), shutil.disk_usage(folder).free
        if needed > room:
            raise OSError(
                errno.ENOSPC,
                f"'{address}' has {needed >> 20} MB, and {room >> 20} MB are free",
                str(folder),
            )
        for there, name, size in files:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            system.get_file(there, str(target))
            if target.stat().st_size != size:
                raise BagError(
                    f"'{there}' came with {target.stat().st_size} bytes",
                    expected=f"{size}, as the store says",
                    fix="run again",
                )
        yield folder / posixpath.basename(top.rstrip("/"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _local(text: str) -> list[str]:
    path = os.path.expanduser(text)
    if text.strip() and os.path.exists(path):
        return [os.path.abspath(path)]
    found = sorted(glob.glob(path)) if any(c in path for c in _MAGIC) else []
    if not found:
        raise _nothing(text)
    return [os.path.abspath(item) for item in found]


def _remote(text: str) -> list[str]:
    system, path = _store(text)
    if any(c in path for c in _MAGIC):
        found = sorted(system.glob(path))
    else:
        found = [path] if system.exists(path) else []
    if not found:
        raise _nothing(text)
    return [system.unstrip_protocol(item) for item in found]


def _remote_files(address: str) -> list[tuple[str, str, int]]:
    """Files of a bag in a store: path there, name below the bag's folder, size in bytes."""
    system, top = _store(address)
    found = system.find(top, detail=True)
    if not found:
        raise _nothing(address)
    above = posixpath.dirname(top.rstrip("/"))
    return [
        (path, posixpath.relpath(path, above or "/") if above else path, int(info["size"]))
        for path, info in sorted(found.items())
    ]


def _store(address: str) -> tuple[Any, str]:
    try:
        system, path = load("fsspec.core").url_to_fs(address)
    except ImportError as error:  # fsspec names what that store needs, as s3fs
        raise BagError(f"'{address}': {error}", fix="pip install what it names") from None
    except ValueError as error:
        raise BagError(
            f"'{address}': {error}", expected="an address that fsspec knows", fix="correct it"
        ) from None
    return system, path


def _nothing(text: str) -> BagError:
    return BagError(
        f"bag '{text}' does not exist",
        expected="a rosbag2 directory, .mcap or .db3, a pattern of them, or an address",
        fix="correct it; put a pattern into '...' for the shell",
    )


def _names(addresses: Sequence[str]) -> list[str]:
    """Name bags by the ends of their paths, as long as it takes to tell them apart."""
    parts = [[p for p in address.split("/") if p] for address in addresses]
    length = [1] * len(parts)
    while True:
        names = ["/".join(part[-n:]) for part, n in zip(parts, length, strict=True)]
        counts = Counter(names)
        longer = [
            i for i, name in enumerate(names) if counts[name] > 1 and length[i] < len(parts[i])
        ]
        if not longer:
            return names
        for i in longer:
            length[i] += 1
