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

"""Which files make up a bag: from its folder, metadata.yaml and the files themselves.

In: what a user named. Out: the files in their order. metadata.yaml is a list of names that may be
out of date; a file counts as part of a bag by its first bytes (`bag_kinds`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depth_perception.datasets.bag_kinds import ARCHIVES, READABLE, kind_of, refusal
from depth_perception.datasets.bag_metadata import METADATA, listed_names, read_metadata
from depth_perception.errors import BagError
from depth_perception.yaml_mapping import near_path

_ENDINGS = (".mcap", ".db3", ".bag", ".zstd", ".zst")
_TOLD = ("ros1", "lfs")
"""Kinds of files that are told of though their names do not say that they are bags."""
_SOME = 5


@dataclass
class BagParts:
    """The files of a bag.

    Attributes:
        path: What the user named, or the folder when that was its metadata.yaml.
        files: In the order of time.
        metadata: What metadata.yaml says of the bag; empty without one.
        notes: What is odd and does no harm.
        losses: What is missing, so that messages are.
    """

    path: Path
    files: list[Path]
    metadata: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)


def find_parts(path: Path) -> BagParts:
    """Find the files of the bag that a user named.

    Raises:
        BagError: There is none, it is of another kind, or there are several; names path and fix.
        OSError: A file or folder cannot be read.
    """
    if not path.exists():
        raise BagError(f"bag '{path}' does not exist", fix="correct the path" + near_path(path))
    if path.is_file():
        kind = kind_of(path)
        if kind in READABLE:
            return BagParts(path, [path])
        if kind != "metadata":
            raise refusal(path, kind)
        path = path.parent
    if not (path / METADATA).is_file():
        return _without_metadata(path)
    parts = BagParts(path, [])
    parts.metadata = read_metadata(path / METADATA, parts.notes)
    names = listed_names(parts.metadata)
    if not names:
        found = _without_metadata(path)
        parts.files = found.files
        return parts
    return _with_metadata(parts, names)


def _with_metadata(parts: BagParts, names: list[str]) -> BagParts:
    """Find the files that metadata.yaml lists, or those that took their place."""
    folder = parts.path
    present = {name: _present(folder, name) for name in names}
    missing = [name for name, file in present.items() if file is None]
    # Once, also where it is listed both compressed and not.
    parts.files = list(dict.fromkeys(file for file in present.values() if file is not None))
    others = [file for file in _bag_files(folder) if file not in parts.files]
    if len(missing) == len(names):
        if not others:
            raise _no_file(folder, names)
        families = _families(others)
        if len(families) > 1:
            raise BagError(
                f"bag '{folder}': {METADATA} names {_listing(names)}, which is not there, and"
                f" {len(families)} other bags are: {_listing(file.name for file in others)}",
                expected="the file that it names",
                fix=f"name the file itself, such as '{others[0]}', or rename it to {names[0]}",
            )
        parts.files = others
        parts.notes.append(
            f"bag '{folder}': {METADATA} names {_listing(names)}, which is not there;"
            f" {_listing(file.name for file in others)} is read in its place. Fix: rename the file"
            f" back, or correct relative_file_paths"
        )
        return parts
    more = [file for file in others if _family(file) in {_family(f) for f in parts.files}]
    if len(missing) == 1 and len(others) == 1 and not more:
        parts.files = list(dict.fromkeys(file or others[0] for file in present.values()))
        parts.notes.append(
            f"bag '{folder}': {METADATA} names {missing[0]}, which is not there; {others[0].name}"
            " is read in its place. Fix: rename the file back, or correct relative_file_paths"
        )
        return parts
    if missing:
        parts.losses.append(
            f"bag '{folder}': of its {len(names)} files {_listing(missing)} is missing; its"
            " messages are left out. Fix: copy it into the folder"
        )
    if more:
        parts.files = sorted({*parts.files, *more}, key=_order)
        parts.notes.append(
            f"bag '{folder}': {METADATA} does not list {_listing(file.name for file in more)},"
            " which is read, too: its name says that it is a part. Fix: add it to"
            " relative_file_paths, or run 'ros2 bag reindex' on the folder"
        )
    strangers = [file.name for file in others if file not in more]
    if strangers:
        parts.notes.append(
            f"bag '{folder}': {METADATA} does not list {_listing(strangers)}; not read. Fix: name"
            " the file itself when it is what you mean"
        )
    return parts


def _without_metadata(folder: Path) -> BagParts:
    """Take the files of a folder for one bag, where their names do not say that they are several.

    Raises:
        BagError: There is no file, or files of several bags.
    """
    files = _bag_files(folder)
    families = _families(files)
    if len(families) == 1:
        return BagParts(folder, files)
    if len(families) > 1:
        raise BagError(
            f"'{folder}' has no {METADATA} and {len(files)} bag files:"
            f" {_listing(file.name for file in files)}",
            expected="a rosbag2 directory, or one .mcap or .db3 file",
            fix=f"name the file itself, such as '{files[0]}'",
        )
    raise _no_file(folder, [])


def _no_file(folder: Path, names: list[str]) -> BagError:
    """Say what there is in a folder without a bag's file."""
    children = sorted(folder.iterdir())
    for file in children:
        if file.is_file() and (file.suffix in _ENDINGS or _kind_if_readable(file) in _TOLD):
            return refusal(file, kind_of(file))
    below = [child for child in children if child.is_dir() and _looks_like_bag(child)]
    if names:
        return BagError(
            f"bag '{folder}' has only its {METADATA}: {_listing(names)} is not there",
            expected="the files that it names",
            fix="copy them into the folder",
        )
    if below:
        return BagError(
            f"'{folder}' is no bag but a folder of {len(below)}:"
            f" {_listing(child.name for child in below)}",
            expected="one bag",
            fix=f"name one of them, such as '{below[0]}'",
        )
    for file in children:
        if file.is_file() and _kind_if_readable(file) in ARCHIVES:
            return refusal(file, kind_of(file))
    return BagError(
        f"'{folder}' has no {METADATA} and 0 bag files",
        expected="a rosbag2 directory, or one .mcap or .db3 file",
        fix="name a bag",
    )


def _kind_if_readable(file: Path) -> str:
    """Tell what a file is that nobody has named; empty when it may not be read."""
    try:
        return kind_of(file)
    except OSError:
        return ""


def _looks_like_bag(folder: Path) -> bool:
    try:
        return (folder / METADATA).is_file() or bool(_bag_files(folder))
    except OSError:
        return False


def _present(folder: Path, name: str) -> Path | None:
    """Find a listed file, also compressed or decompressed since; one that is no bag counts."""
    plain = name.removesuffix(".zstd").removesuffix(".zst")
    for candidate in (name, plain, f"{plain}.zstd", f"{plain}.zst"):
        try:
            if (folder / candidate).is_file():
                return folder / candidate
        except OSError:  # no file can have such a name
            continue
    return None


def _bag_files(folder: Path) -> list[Path]:
    """List the files of a folder that can be a bag's, in the order of parts."""
    found = []
    for file in folder.iterdir():
        hidden = file.name.startswith(".") or file.name == METADATA
        if file.is_file() and not hidden and _kind_if_readable(file) in READABLE:
            found.append(file)
    # What was compressed may lie beside what it was made of.
    names = {file.name for file in found}
    kept = [
        file
        for file in found
        if file.suffix not in (".zstd", ".zst") or file.with_suffix("").name not in names
    ]
    return sorted(kept, key=_order)


def _family(file: Path) -> str:
    """What the names of all parts of a split bag have in common: ``drive`` of ``drive_12.mcap``."""
    return re.sub(r"_\d+$", "", file.name.split(".")[0])


def _families(files: Iterable[Path]) -> set[str]:
    return {_family(file) for file in files}


def _order(file: Path) -> tuple[str, int, str]:
    """Sort key: parts by their numbers, ``drive_2`` before ``drive_10``."""
    number = re.search(r"_(\d+)$", file.name.split(".")[0])
    return _family(file), int(number[1]) if number else -1, file.name


def _listing(names: Iterable[str]) -> str:
    """Name some, and say how many more there are."""
    every = [" ".join(name.split()) for name in names]
    more = f" and {len(every) - _SOME} more" if len(every) > _SOME else ""
    return ", ".join(every[:_SOME]) + more
