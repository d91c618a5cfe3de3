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

"""The table of measured depth that `evaluate` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from depth_perception.evaluation.measured import MeasuredScores


def fill_measured_table(table: Table, scores: Mapping[str, MeasuredScores]) -> None:
    """Add rows to a table with the columns of `MEASURED_HEADINGS`; lines between their parts.

    Args:
        table: With a column for names before those.
        scores: By what they are of; the first is of everything.
    """
    from depth_perception.evaluation.formats import measured_cells, short
    from depth_perception.evaluation.measured import table_of

    for part in table_of(scores):
        if table.rows:
            table.rows[-1].end_section = True
        for name, figures, count in part:
            table.add_row(name, *measured_cells(figures), short(count))
