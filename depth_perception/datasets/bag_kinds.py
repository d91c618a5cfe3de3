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

"""What a file is by its first bytes, and what to do about one that is no bag.

A file's ending says what somebody called it, and metadata.yaml what a recorder meant to write; both
are often wrong. In: a path. Out: a kind, or the error that says what was found and how to mend it.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from depth_perception.errors import BagError

MCAP_MAGIC = b"\x89MCAP0\r\n"
SQLITE_MAGIC = b"SQLite format 3\x00"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

READABLE = ("mcap", "sqlite3", "zstd")
"""Kinds that are read; `zstd` is one of the other two, compressed as a whole file."""

_ENDINGS = {".mcap": "mcap", ".db3": "sqlite3"}
_MAGICS = {
    MCAP_MAGIC: "mcap",
    SQLITE_MAGIC: "sqlite3",
    ZSTD_MAGIC: "zstd",
    b"#ROSBAG V": "ros1",
    b"version https://git-lfs": "lfs",
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK\x03\x04": "zip",
    b"7z\xbc\xaf\x27\x1c": "7z",
}
ARCHIVES = {
    "gzip": "gunzip --keep {}",
    "xz": "unxz --keep {}",
    "bzip2": "bunzip2 --keep {}",
    "lz4": "lz4 -d {}",
    "zip": "unzip {}",
    "7z": "7z x {}",
    "tar": "tar -xf {}",
}
"""How to unpack what may hold a bag, by kind."""


def kind_of(path: Path) -> str:
    """Tell what a file is.

    Returns:
        One of `READABLE`; ``ros1``, ``lfs`` (a Git LFS pointer), ``web`` (a page), ``empty``,
        ``zeros``, ``metadata`` (a metadata.yaml), a kind of archive such as ``gzip``, or
        ``unknown``.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(512)
    return kind_of_bytes(data)


def kind_of_bytes(data: bytes) -> str:
    """Tell what a file is by its first 512 bytes; see `kind_of`."""
    if not data:
        return "empty"
    for magic, kind in _MAGICS.items():
        if data.startswith(magic):
            return kind
    if not data.strip(b"\x00"):
        return "zeros"
    if data[257:262] == b"ustar":
        return "tar"
    text = data.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "web"
    if b"rosbag2_bagfile_information" in data:
        return "metadata"
    return "unknown"


def refusal(path: Path, kind: str) -> BagError:
    """Build the error of a file of a kind that is not read; names file and fix."""
    quoted = shlex.quote(str(path))
    again = "copy it anew from where it was recorded, or record it again"
    if kind == "empty":
        return BagError(f"bag '{path}' is empty (0 bytes)", expected="messages", fix=again)
    if kind == "zeros":
        return BagError(
            f"bag '{path}' begins with zeros: writing or copying it broke off",
            expected="an mcap or SQLite file",
            fix=again,
        )
    if kind == "ros1":
        named = path if path.suffix == ".bag" else path.with_name(path.name + ".bag")
        rename = "" if named == path else f"mv {quoted} {shlex.quote(str(named))} && "
        target = shlex.quote(str(path.with_name(f"{path.stem}_ros2")))
        return BagError(
            f"bag '{path}' is of ROS 1",
            expected="a rosbag2 directory, .mcap or .db3",
            fix=f"convert it: {rename}rosbags-convert --src {shlex.quote(str(named))}"
            f" --dst {target}",
        )
    if kind == "lfs":
        return BagError(
            f"'{path}' is a pointer of Git LFS, not the bag itself",
            expected="the file that it stands for",
            fix=f"run 'git lfs pull' in {shlex.quote(str(path.parent))}",
        )
    if kind == "web":
        return BagError(
            f"'{path}' is a web page, not a bag",
            expected="the file that the page offers",
            fix="download it again by the link of the file itself (log in first where it is asked)",
        )
    if kind in ARCHIVES:
        return BagError(
            f"'{path}' is packed ({kind})",
            expected="a rosbag2 directory, .mcap or .db3",
            fix=f"unpack it: {ARCHIVES[kind].format(quoted)}",
        )
    if path.suffix in _ENDINGS:
        return BagError(
            f"bag '{path}' does not begin as {_ENDINGS[path.suffix]} files do: its beginning is"
            " damaged, or it is something else",
            expected="an mcap or SQLite file",
            fix=again,
        )
    return BagError(
        f"'{path}' is no bag", expected="a rosbag2 directory, .mcap or .db3", fix="name a bag"
    )
