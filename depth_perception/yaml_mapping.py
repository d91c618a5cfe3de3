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

"""Reading YAML files of named things, with errors that name the file, the key and the fix."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from depth_perception.errors import ConfigurationError


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, to which ``1e-3`` is a number, as to YAML 1.2 and to ROS."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def parse_yaml(text: str) -> Any:
    """Read a YAML document: plain values, lists and mappings alone.

    Raises:
        yaml.YAMLError: It is none.
    """
    loader = None
    try:
        loader = _Loader(text)  # of its kind, `yaml.safe_load` would take PyYAML's own
        return loader.get_single_data()
    except yaml.YAMLError:
        raise
    except Exception as error:  # of 2026-13-01, a thousand brackets, !!timestamp x: anything
        raise yaml.YAMLError(str(error) or type(error).__name__) from None
    finally:
        if loader is not None:
            loader.dispose()


def as_float(number: int) -> float:
    """Return a whole number as a float; infinity where it is too large for one."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def read_yaml_mapping(path: str | Path, what: str, example: str) -> dict[Any, Any]:
    """Read a YAML file whose top level is a mapping.

    Args:
        path: The file.
        what: What it is, for errors, e.g. ``"class map"``.
        example: What it should hold, or where an example is, for errors.

    Raises:
        ConfigurationError: The file is absent, no YAML, or no mapping.
    """
    path = Path(path)
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"{what} '{path}' cannot be read ({error.strerror})",
            expected="a YAML file",
            fix="correct the path" + near_path(path),
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{what} '{path}' is no YAML ({' '.join(str(error).split())})",
            expected=example,
            fix="correct the file",
        ) from None
    if not isinstance(content, dict) or not content:
        raise ConfigurationError(
            f"{what} '{path}' holds {'nothing' if not content else type(content).__name__}",
            expected=example,
            fix="correct the file",
        )
    return content


def check_keys(mapping: Mapping[Any, Any], known: Collection[str], where: str) -> None:
    """Refuse keys that nobody reads: a misspelt one would silently do nothing.

    Raises:
        ConfigurationError: A key is not among ``known``; names the nearest one.
    """
    for key in mapping:
        if key not in known:
            raise ConfigurationError(
                f"{where}: key '{key}' does not exist",
                expected=nearest(str(key), known),
                fix="correct the key",
            )


MOST_LISTED = 24
"""More names than these are not listed in an error: the near ones are among them, or none."""


def nearest(name: str, known: Collection[str]) -> str:
    """Say what names there are, and which of them was probably meant, for ``expected``.

    A name of several parts, such as ``sync.tolerance``, is also known by its last.
    """
    near = near_name(name, known)
    if len(known) > MOST_LISTED and near:
        return f"'{near}'"
    names = sorted(known) if isinstance(known, (set, frozenset)) else known
    listed = "one of " + ", ".join(names) if known else "none: there are no names"
    return f"{listed} (did you mean '{near}'?)" if near else listed


def near_name(name: str, known: Collection[str]) -> str:
    """Return the known name that was probably meant; empty when none is near."""
    by_text = {item.lower(): item for item in reversed(list(known))}
    lasts = {item.lower().rpartition(".")[2]: item for item in reversed(list(known))}
    for texts in (by_text, lasts):
        match = difflib.get_close_matches(name.lower(), texts, n=1)
        if match:
            return texts[match[0]]
    return ""


def near_path(path: str | Path) -> str:
    """Say, to be appended to a fix, what lies beside a path that leads nowhere with a name like it.

    Empty when it leads somewhere, or nothing is near.
    """
    path = Path(path)
    try:
        beside = [] if path.exists() else [item.name for item in path.parent.iterdir()]
    except OSError:
        return ""
    near = near_name(path.name, beside)
    return f" (did you mean '{path.parent / near}'?)" if near else ""
