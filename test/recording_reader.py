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

"""What a saved recording of rerun holds, for tests: rows of each entity as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np


@dataclass(frozen=True)
class Row:
    """One log call: its stamp (ns) and set, None where it holds for all times, and its values."""

    stamp: int | None
    number: int | None
    values: dict[str, Any]


def read_rows(path: Path, layout: bool = False) -> dict[str, list[Row]]:
    """Read a recording, or its layout: each entity's rows in the order of stamps, static first."""
    try:
        from rerun.chunk import RrdReader
    except ImportError:  # before 0.38 or so, as for Python 3.10
        from rerun.experimental import RrdReader

    reader = RrdReader(str(path))
    (store,) = reader.blueprints() if layout else reader.recordings()
    found: dict[str, list[Row]] = {}
    for chunk in reader.stream(store=store):
        batch = chunk.to_record_batch()
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        for index in range(batch.num_rows):
            given = {name: column[index] for name, column in columns.items()}
            values = {
                name: value.values.to_numpy(zero_copy_only=False)
                if value.type.value_type in ("float", "double")
                else value.as_py()
                for name, value in given.items()
                if ":" in name and value.is_valid
            }
            stamp, number = given.get("stamp"), given.get("set")
            row = Row(
                None if stamp is None or not stamp.is_valid else stamp.value,
                None if number is None or not number.is_valid else number.as_py(),
                values,
            )
            found.setdefault(chunk.entity_path, []).append(row)
    for rows in found.values():
        rows.sort(key=lambda row: -1 if row.stamp is None else row.stamp)
    return found


def values_of(rows: list[Row], component: str) -> list[Any]:
    """All values of one component, such as ``Points3D:positions``, in the order of rows."""
    return [row.values[component] for row in rows if component in row.values]


def pixels_of(row: Row) -> np.ndarray:
    """Decode the encoded image of a row, as it is stored."""
    (name,) = [name for name in row.values if name.endswith(":blob")]
    (blob,) = row.values[name]
    return cv2.imdecode(np.array(blob, np.uint8), cv2.IMREAD_UNCHANGED)
