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

"""How a viewer lays a recording out: made for the cameras that the rig has, where they look.

On the left the vehicle from above and behind, below it what changes over time; on the right each
camera's image with its depth below: those that look ahead in the upper row, from left to right, the
others in the lower row, as if one looked back over the shoulder.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.viewing.entities import DEPTHS, PLOTS, Entities

AHEAD = math.radians(95.0)
"""A camera that turns no more than so far away from straight ahead is in the upper row."""
EYE, LOOKS_AT = (-14.0, 0.0, 9.0), (5.0, 0.0, 0.0)
"""From where the vehicle is seen, and whither, m of the base frame."""
SERIES = {
    "ground": "Road: pitch and roll, °",
    "height": "Road: height, m",
    "latency": "Latency, ms",
    "speed": "Speed, m/s",
}
"""Plots and their titles; those below the 3D view, in this order."""
WITH_LEGEND = ("ground", "latency")
"""Plots of more than one line."""


def camera_rows(mountings: Mapping[str, NDArray[np.float64]]) -> list[list[str]]:
    """Arrange cameras by where they look.

    Args:
        mountings: T_base_camera (4x4) by name, of the optical frame (z ahead).

    Returns:
        Names: the cameras that look ahead or aside, from left to right; then those that look back,
        from the vehicle's left to its right. Rows without cameras are left out.
    """
    # Straight down or up there is no direction: such a camera looks where its image's top is.
    yaw = {}
    for name, T in mountings.items():
        axis = T[:3, 2] if np.hypot(*T[:2, 2]) > 0.1 else -T[:3, 1]
        yaw[name] = math.atan2(axis[1], axis[0])
    ahead = sorted((n for n in yaw if abs(yaw[n]) <= AHEAD), key=lambda n: -yaw[n])
    back = sorted((n for n in yaw if abs(yaw[n]) > AHEAD), key=lambda n: yaw[n] % (2 * math.pi))
    return [row for row in (ahead, back) if row]


def blueprint(
    entities: Entities, mountings: Mapping[str, NDArray[np.float64]], kinds: Sequence[str] = DEPTHS
) -> Any:
    """Make a ``rerun.blueprint.Blueprint``.

    Args:
        entities: Names of what is logged.
        mountings: T_base_camera by camera.
        kinds: Depth images that there may be of each.
    """
    import rerun.blueprint as rrb

    rows = camera_rows(mountings)
    plots = [
        rrb.TimeSeriesView(
            name=title,
            origin=f"{PLOTS}/{name}",
            plot_legend=rrb.PlotLegend(visible=name in WITH_LEGEND),
        )
        for name, title in SERIES.items()
    ]
    left = rrb.Vertical(
        _vehicle_view(entities, [name for row in rows for name in row]),
        rrb.Tabs(
            rrb.Horizontal(*plots, name="Over time"),
            rrb.TextLogView(name="Warnings", origin=entities.log),
            active_tab=0,
        ),
        row_shares=[3, 1],
    )
    parts: list[Any] = [left]
    if rows:
        cameras = [
            rrb.Horizontal(*(_camera_view(entities, name, kinds) for name in row)) for row in rows
        ]
        parts.append(rrb.Vertical(*cameras))
    return rrb.Blueprint(
        rrb.Horizontal(*parts, column_shares=[1, 1][: len(parts)]),
        rrb.TimePanel(state="collapsed", timeline="stamp"),
        rrb.SelectionPanel(state="collapsed"),
        rrb.BlueprintPanel(state="collapsed"),
        auto_views=False,
    )


def _vehicle_view(entities: Entities, names: Sequence[str]) -> Any:
    """Show everything in space; depth images are not lifted to points, as the cloud is there."""
    import rerun.blueprint as rrb

    hidden = rrb.EntityBehavior(visible=False)
    return rrb.Spatial3DView(
        name="Vehicle",
        origin=entities.vehicle,
        contents=["$origin/**", *(f"- {entities.depths(name)}/**" for name in names)],
        overrides={entities.obstacles: hidden},
        eye_controls=rrb.EyeControls3D(
            kind=rrb.Eye3DKind.Orbital, position=EYE, look_target=LOOKS_AT, eye_up=(0, 0, 1)
        ),
    )


def _camera_view(entities: Entities, name: str, kinds: Sequence[str]) -> Any:
    """Show a camera's image, and below it one of its depth images."""
    import rerun.blueprint as rrb

    image = rrb.Spatial2DView(name=name, origin=entities.image(name))
    depths = [
        rrb.Spatial2DView(
            name="depth" if kind == "estimated" else kind,
            origin=entities.depths(name),
            contents=[entities.depths(name), entities.depth(name, kind)],
        )
        for kind in kinds
    ]
    return rrb.Vertical(image, rrb.Tabs(*depths, active_tab=0))
