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

"""Names of recorded data: `FOLDER?option=value&option=value`, without the kind before it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from depth_perception.datasets.lidar_truth import TruthProtocol
from depth_perception.datasets.sample import DatasetError
from depth_perception.errors import ConfigurationError
from depth_perception.yaml_mapping import nearest

AddressOptions = dict[str, str]


def parse(text: str, known: Collection[str]) -> tuple[Path, AddressOptions]:
    """Take a name apart; `max_depth` is an option of every kind.

    Raises:
        ConfigurationError: An option that the kind does not have, or without a value.
        DatasetError: Nothing lies there.
    """
    folder, _, rest = text.partition("?")
    options: AddressOptions = {}
    for item in filter(None, rest.split("&")):
        name, equals, value = item.partition("=")
        if name not in {*known, "max_depth"}:
            raise ConfigurationError(
                f"source '{text}': option '{name}'",
                expected=nearest(name, {*known, "max_depth"}),
                fix="see docs/datasets.md",
            )
        if not equals or not value:
            raise ConfigurationError(
                f"source '{text}': option '{name}' has no value", expected=f"{name}=VALUE"
            )
        options[name] = value
    path = Path(folder)
    if not path.exists():
        raise DatasetError(f"'{folder}' does not exist", fix="correct the path")
    return path, options


def protocol_of(options: AddressOptions) -> TruthProtocol:
    """Which LiDAR points count: `datasets.lidar_truth`'s rules, up to `max_depth` metres.

    Raises:
        ConfigurationError: `max_depth` is no number above 1.
    """
    value = options.get("max_depth", "80")
    try:
        farthest = float(value)
    except ValueError:
        farthest = 0.0
    if not 1.0 < farthest < 1e4:
        raise ConfigurationError(
            f"max_depth={value}", expected="metres, more than 1", fix="e.g. 80"
        )
    return TruthProtocol(max_depth=farthest)


def read_text(path: Path, what: str, fix: str) -> str:
    """Read a small text file.

    Args:
        path: The file.
        what: What it is, for errors.
        fix: What helps where it is absent.

    Raises:
        DatasetError: It cannot be read; names it.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no text"
        raise DatasetError(f"'{path}' cannot be read ({why})", expected=what, fix=fix) from None


def read_bytes(path: Path, what: str, fix: str) -> bytes:
    """Read a file of bytes, see `read_text`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(
            f"'{path}' cannot be read ({error.strerror})", expected=what, fix=fix
        ) from None
