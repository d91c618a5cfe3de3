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

"""Where a verb writes: looked at before its work begins, so that none of it is lost at its end.

Each check tries to write where the output will lie, and leaves nothing there. What fails later all
the same, such as a disk that fills up meanwhile, is an error with a name, too.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from depth_perception.errors import ConfigurationError

_TRIED = bytes(1 << 16)
"""Written and thrown away, to find a disk that is full."""


def check_file(option: str, text: str) -> Path:
    """Refuse a file that cannot be written; folders above it that are missing will be made.

    Args:
        option: The argument, for errors, e.g. ``--json``.
        text: What it was given.

    Returns:
        The path.

    Raises:
        ConfigurationError: It is empty, a folder, or nothing can be written there.
    """
    path = _path(option, text, "a file to write")
    if path.is_dir():
        raise ConfigurationError(
            f"{option} '{path}' is a folder", expected="a file to write", fix="name a file in it"
        )
    if path.exists():
        _try(option, path, lambda: path.open("ab").close())
    else:
        _try_below(option, path)
    return path


def check_folder(option: str, text: str) -> Path:
    """Refuse a folder that cannot be written to; it need not be there yet. As `check_file`."""
    path = _path(option, text, "a folder to write to")
    if path.exists() and not path.is_dir():
        raise ConfigurationError(
            f"{option} '{path}' is a file",
            expected="a folder to write to",
            fix="name another, or remove the file",
        )
    _try_below(option, path)
    return path


def check_bag(option: str, text: str, overwrite: bool) -> Path:
    """Refuse a bag that cannot be written, or that something is in the way of. As `check_file`.

    Args:
        option: The argument.
        text: What it was given.
        overwrite: Whether a bag that is there may be replaced.

    Raises:
        BagError: Something is there that is not to be replaced.
    """
    from depth_perception.datasets.bag_writer import check_new

    path = _path(option, text, "a new folder for the bag")
    check_new(path, overwrite)
    _try_below(option, path)
    return path


def write_text(option: str, path: Path, text: str) -> None:
    """Write a text file and the folders above it.

    Raises:
        ConfigurationError: It cannot be written after all.
    """

    def write() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    _try(option, path, write)


def _path(option: str, text: str, expected: str) -> Path:
    if not text.strip():
        raise ConfigurationError(
            f"{option} is empty", expected=expected, fix=f"name one, or leave {option} out"
        )
    return Path(os.path.expanduser(text))


def _try_below(option: str, path: Path) -> None:
    """Try to write into the nearest folder above a path, or in it, that is there."""

    def write() -> None:
        place = path
        while not (place.exists() or place.is_symlink()) and place != place.parent:
            place = place.parent
        if place.is_file():
            raise ConfigurationError(
                f"{option} '{path}' lies below '{place}', which is a file",
                expected="a folder there",
                fix=f"name another {option}, or remove the file",
            )
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(_TRIED)

    _try(option, path, write)


def _try(option: str, path: Path, write: Callable[[], object]) -> None:
    try:
        write()
    except OSError as error:
        raise ConfigurationError(
            f"{option} '{path}' cannot be written ({error.strerror or error})",
            expected="a place that may be written to and has room",
            fix=f"name another {option}, or make room or rights there",
        ) from None
