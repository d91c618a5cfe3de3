"""Which systems can be trained, by the name that a configuration gives."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from depth_perception import __version__
from depth_perception.errors import ConfigurationError
from depth_perception.yaml_mapping import nearest

from .fit import System
from .fused import FusedSystem

SYSTEMS: dict[str, Callable[[], System]] = {"fused": FusedSystem}


def find(name: str) -> System:
    """Make the system of that name.

    Raises:
        ConfigurationError: There is none.
    """
    if name not in SYSTEMS:
        raise ConfigurationError(f"system '{name}'", expected=nearest(name, SYSTEMS))
    return SYSTEMS[name]()


def facts() -> dict[str, Any]:
    """What code trains: version, and the commit where the package lies in a git checkout."""
    return {"version": __version__, "commit": _commit()}


def _commit() -> str:
    folder = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
