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

"""The libraries of the extra ``cluster``: imported when they are needed, or how to get them."""

from __future__ import annotations

import importlib
from typing import Any

from depth_perception.errors import ConfigurationError


def load(name: str) -> Any:
    """Import ``ray``, ``pyarrow.parquet`` or ``fsspec.core``.

    Raises:
        ConfigurationError: It is not installed; says how to get it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigurationError(
            f"--cluster needs the module {name.partition('.')[0]}, which does not import ({error})",
            fix="pip install 'depth_perception[cluster]', or of a clone: scripts/extras.bash",
        ) from None
