"""Reading YAML files of named things, with errors that name the file, the key and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from depth_perception.errors import ConfigurationError


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
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"{what} '{path}' cannot be read ({error.strerror})",
            expected="a YAML file",
            fix="correct the path",
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


def nearest(name: str, known: Collection[str]) -> str:
    """Say which of the known names was probably meant, or list them all."""
    match = difflib.get_close_matches(name.lower(), known, n=1)
    return f"'{match[0]}'" if match else "one of " + ", ".join(sorted(known))
