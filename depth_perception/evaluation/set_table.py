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

"""Rows of the table of clouds, edges, flicker and calibration: one for each depth that is scored.

In: scores against one truth. Out: text by row, for the page and the terminal alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from depth_perception.evaluation.boundary import Boundary
from depth_perception.evaluation.exact import ExactScores
from depth_perception.evaluation.formats import share
from depth_perception.evaluation.profile import ErrorProfile
from depth_perception.evaluation.scores import Evaluation
from depth_perception.evaluation.set_scores import FIELDS, SetScores

SET_HEADINGS = (
    "cloud F %",
    "its precision",
    "its recall",
    "edges F1 %",
    "of attainable",
    "flicker %",
    "steady",
    "ECE %",
)
"""Headings of the cells."""


def lidar_set_rows(e: Evaluation) -> dict[str, list[str]]:
    """Return the rows against the LiDAR; none without one."""
    return _rows(e.sets, e.boundary, e.profiles) if e.points else {}


def exact_set_rows(x: ExactScores | None) -> dict[str, list[str]]:
    """Return the rows against exact truth; none without it."""
    if x is None:
        return {}
    edges = {"depth image": x.all.boundary, "embodied depth": x.all.embodied_boundary}
    found = {name: item for name, item in edges.items() if item is not None}
    return _rows(x.sets, found, x.profiles)


def set_remarks(sets: SetScores, profiles: Mapping[str, ErrorProfile]) -> list[str]:
    """Say what the dashes of the rows mean; may be empty."""
    lines = []
    if sets.flicker_missing:
        lines.append(f"No flicker: {sets.flicker_missing}.")
    elif sets.flicker_motion:
        lines.append(f"Flicker: the vehicle's motion by {sets.flicker_motion}.")
    image = profiles.get("depth image")
    if image is not None and not image.confidence:
        lines.append("No calibration: the estimator says no confidence.")
    elif "embodied depth" in profiles:
        lines.append("No calibration of embodied depth: confidence is published of the other.")
    return lines


def _rows(
    sets: SetScores, edges: Mapping[str, Boundary], profiles: Mapping[str, ErrorProfile]
) -> dict[str, list[str]]:
    rows = {}
    for name in FIELDS:
        cloud, edge, flicker = sets.obstacles.get(name), edges.get(name), sets.flicker.get(name)
        if name not in profiles:
            continue
        nan = math.nan
        rows[name] = [
            *(share(getattr(cloud, key, nan)) for key in ("f1", "precision", "recall")),
            share(getattr(edge, "f1", nan)),
            share(getattr(edge, "reached", nan), 0),
            share(getattr(flicker, "median", nan), 2),
            share(getattr(flicker, "steady", nan), 0),
            share(profiles[name].confidence_gap),
        ]
    return rows
