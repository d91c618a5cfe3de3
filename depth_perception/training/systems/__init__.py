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

"""Systems that can be trained, one a folder: a configuration names the folder.

A folder's `__init__.py` has a class `Training`, as `training.system.System` wants it. A system of
one's own need not be in this package: `system: my_package.my_system` names any module with such a
class.
"""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
from pathlib import Path
from typing import Any

from depth_perception import __version__
from depth_perception.errors import ConfigurationError
from depth_perception.training.system import System
from depth_perception.yaml_mapping import nearest


def names() -> list[str]:
    """Systems that come with the package."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find(name: str) -> System:
    """Make the system of that name: a folder here, or a module with its whole path.

    Raises:
        ConfigurationError: There is none.
    """
    if "." not in name and name not in names():
        raise ConfigurationError(
            f"system '{name}' does not exist",
            expected=nearest(name, names()),
            fix="correct the name, or name a module of your own with its whole path",
        )
    path = name if "." in name else f"{__name__}.{name}"
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is None or not path.startswith(error.name):
            raise
        raise ConfigurationError(
            f"system '{name}': {error}",
            expected="a module that can be imported",
            fix="put its folder on PYTHONPATH",
        ) from None
    if not hasattr(module, "Training"):
        raise ConfigurationError(
            f"system '{name}' has no class Training", expected="one as training.system.System says"
        )
    made: System = module.Training()
    return made


def facts() -> dict[str, Any]:
    """What code trains: version, and the commit where the package lies in a git checkout."""
    return {"version": __version__, "commit": _commit()}


def _commit() -> str:
    folder = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
