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

"""The manifest of a folder of data: which format its files have, and what is in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from depth_perception.datasets.sample import DatasetError

MANIFEST = "manifest.json"


def read_checked_manifest(
    folder: str | Path, kind: str, version: int, *, maker: str, make: str
) -> dict[str, Any]:
    """Read a folder's manifest, and check that its format is the expected one.

    Args:
        folder: Holds a file `MANIFEST`.
        kind: The value that its key ``format`` must have.
        version: The value that its key ``version`` must have.
        maker: What makes such a folder, for errors.
        make: What the user is to do, for errors, e.g. ``make the data set``.

    Raises:
        DatasetError: There is none, it is damaged, or it is of another format.
    """
    path = Path(folder) / MANIFEST
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError:
        raise DatasetError(
            f"'{folder}' has no {MANIFEST}",
            expected=f"a folder that {maker} made",
            fix=f"correct the path, or {make}",
        ) from None
    except ValueError as error:
        raise DatasetError(
            f"'{path}' is damaged ({error})",
            expected="JSON",
            fix=f"delete the folder and {make} again",
        ) from None
    if not isinstance(manifest, dict) or manifest.get("format") != kind:
        raise DatasetError(f"'{path}' is of another kind", expected=f"format '{kind}'")
    if manifest.get("version") != version:
        raise DatasetError(
            f"'{path}' has format version {manifest.get('version')}",
            expected=f"{version}",
            fix=f"{make} again with this package",
        )
    return manifest
