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

"""Layouts of Foxglove (and Lichtblick) for bags that replay writes, and for the running node.

A layout is JSON: panels by id, ``TYPE!NAME``, and how they share the window, a tree of halves. It
names each topic in full, so that one is made for the cameras of a rig.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from depth_perception.frames.publication import camera_topics, vehicle_topics

COLOURED_DEPTH = (0.0, 60.0)
"""Depth at the ends of the colour map, m."""
DIAGNOSTICS = "/diagnostics"
"""Of the node alone: replay writes none."""
SHIPPED: dict[str, tuple[tuple[str, ...], ...]] = {
    "foxglove.json": (
        ("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT"),
        ("CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT"),
    ),
    "foxglove/ddad.json": (
        ("CAMERA_05", "CAMERA_01", "CAMERA_06"),
        ("CAMERA_07", "CAMERA_09", "CAMERA_08"),
    ),
    "foxglove/kitti.json": (("camera_color_left",),),
}
"""Files of ``config/``, and how the cameras of each rig are arranged. The first is for those of
nuScenes, which synthetic drives have, too."""
_CAMERA_STATE = {
    "perspective": True,
    "distance": 28.0,
    "phi": 58.0,
    "thetaOffset": 90.0,
    "targetOffset": [5.0, 0.0, 0.0],
    "target": [0.0, 0.0, 0.0],
    "targetOrientation": [0.0, 0.0, 0.0, 1.0],
    "fovy": 45.0,
    "near": 0.5,
    "far": 5000.0,
}
"""From behind and above; angles in degrees, lengths in metres."""


def foxglove_layout(
    rows: Sequence[Sequence[str]], base_frame: str, *, motion: bool = True, namespace: str = ""
) -> dict[str, Any]:
    """Make a layout.

    Args:
        rows: Names of cameras as they are arranged, see `blueprint.camera_rows`.
        base_frame: The vehicle's frame, which the view goes with.
        motion: As the parameter ``motion.enabled``: also show what is measured.
        namespace: Of the node, or of the bag's topics.

    Returns:
        What a file ``.json`` of Foxglove holds.
    """
    prefix = f"/{namespace.strip('/')}" if namespace.strip("/") else ""
    names = [name for row in rows for name in row]
    topics = {
        name: {
            short: f"{prefix}/{topic}"
            for short, (topic, _) in camera_topics(name, motion=motion).items()
        }
        for name in names
    }
    vehicle = {short: f"{prefix}/{topic}" for short, (topic, _) in vehicle_topics(motion).items()}
    panels: dict[str, Any] = {
        "3D!vehicle": _space(topics, vehicle, base_frame),
        "Plot!road": _plot(
            "Road: slope ahead (down is positive), slope to the left, height in m",
            {
                "slope ahead": f"{vehicle['ground']}.normal.x",
                "slope to the left": f"{vehicle['ground']}.normal.y",
                "height": f"{vehicle['ground']}.height",
            },
        ),
        "Plot!speed": _plot(
            "Speed in m/s, latency in s",
            {
                "speed": f"{vehicle['status']}.motion_speed",
                "latency": f"{vehicle['status']}.latency",
            },
        ),
        "RawMessages!status": {
            "topicPath": vehicle["status"],
            "diffEnabled": False,
            "diffMethod": "custom",
            "diffTopicPath": "",
            "showFullMessageForDiff": False,
            "foxglovePanelTitle": "Status",
        },
        "DiagnosticSummary!diagnostics": {
            "topicToRender": DIAGNOSTICS,
            "minLevel": 0,
            "pinnedIds": [],
            "hardwareIdFilter": "",
            "sortByLevel": True,
        },
    }
    walls = {"depth": "Depth", "confidence": "Confidence"}
    if motion:
        walls["measured"] = "Measured"
    tabs = []
    for short, title in walls.items():
        for name in names:
            panels[f"Image!{short}_{name}"] = _image(
                f"{name}: {title.lower()}", topics[name], short
            )
        tabs.append({"title": title, "layout": _wall(rows, short)})
    panels["Tab!cameras"] = {"activeTabIdx": 0, "tabs": tabs}
    panels["Tab!below"] = {
        "activeTabIdx": 0,
        "tabs": [
            {"title": "Over time", "layout": _halves("row", ["Plot!road", "Plot!speed"])},
            {"title": "Status", "layout": "RawMessages!status"},
            {"title": "Diagnostics", "layout": "DiagnosticSummary!diagnostics"},
        ],
    }
    left = {
        "direction": "column",
        "first": "3D!vehicle",
        "second": "Tab!below",
        "splitPercentage": 72,
    }
    whole = {"direction": "row", "first": left, "second": "Tab!cameras", "splitPercentage": 50}
    return {
        "configById": panels,
        "globalVariables": {},
        "userNodes": {},
        "playbackConfig": {"speed": 1},
        "layout": whole if names else left,
    }


def shipped_layouts() -> dict[str, dict[str, Any]]:
    """Make the files of ``config/``: the layout by name."""
    return {name: foxglove_layout(rows, "base_link") for name, rows in SHIPPED.items()}


def topics_of(layout: Mapping[str, Any]) -> dict[str, str]:
    """Name the topics that a layout shows: the panel's type that shows it, by topic."""
    found: dict[str, str] = {}
    for panel, config in layout["configById"].items():
        kind = panel.partition("!")[0]
        mode = config.get("imageMode", {})
        shown = [*config.get("topics", {}), mode.get("imageTopic"), mode.get("calibrationTopic")]
        shown += [config.get("topicPath"), config.get("topicToRender")]
        shown += [path["value"].partition(".")[0] for path in config.get("paths", [])]
        found.update({topic: kind for topic in shown if topic})
    return found


def _space(
    topics: Mapping[str, Mapping[str, str]], vehicle: Mapping[str, str], base_frame: str
) -> dict[str, Any]:
    """Show clouds, map, frusta and frames around the vehicle."""
    # Packed as PCL does it: blue comes first.
    cloud = {"visible": True, "colorMode": "rgb", "colorField": "rgb", "pointSize": 2}
    flat = {"visible": False, "colorMode": "flat", "flatColor": "#ffa028", "pointSize": 3}
    shown: dict[str, Any] = {
        vehicle["points"]: cloud,
        vehicle["obstacles"]: flat,
        vehicle["occupancy"]: {"visible": True, "alpha": 0.3},
    }
    for short in topics.values():
        shown[short["camera_info"]] = {
            "visible": True,
            "distance": 1.0,
            "width": 0.01,
            "color": "#ffffffcc",
            "planarProjectionFactor": 1,
        }
        shown[short["depth"]] = {"visible": False}
    return {
        "cameraState": _CAMERA_STATE,
        "followMode": "follow-pose",
        "followTf": base_frame,
        "scene": {"transforms": {"axisScale": 0.5, "labelSize": 0.1}},
        "transforms": {f"frame:{base_frame}": {"visible": True}},
        "topics": shown,
        "layers": {
            "grid": {
                "instanceId": "grid",
                "layerId": "foxglove.Grid",
                "label": "Grid of 5 m",
                "visible": True,
                "frameLocked": True,
                "frameId": base_frame,
                "size": 60,
                "divisions": 12,
                "lineWidth": 1,
                "color": "#248eff40",
                "position": [0, 0, 0],
                "rotation": [0, 0, 0],
            }
        },
        "publish": {},
        "imageMode": {},
        "foxglovePanelTitle": "Vehicle",
    }


def _image(title: str, topics: Mapping[str, str], short: str) -> dict[str, Any]:
    low, high = (0.0, 1.0) if short == "confidence" else COLOURED_DEPTH
    info = "measured_info" if short == "measured" else "camera_info"
    return {
        "foxglovePanelTitle": title,
        "imageMode": {
            "imageTopic": topics[short],
            "calibrationTopic": topics[info],
            "colorMode": "colormap",
            "colorMap": "turbo",
            "minValue": low,
            "maxValue": high,
        },
    }


def _plot(title: str, paths: Mapping[str, str]) -> dict[str, Any]:
    return {
        "foxglovePanelTitle": title,
        "paths": [
            {"value": path, "label": label, "enabled": True, "timestampMethod": "headerStamp"}
            for label, path in paths.items()
        ],
        "showXAxisLabels": True,
        "showYAxisLabels": True,
        "showLegend": True,
        "legendDisplay": "floating",
        "showPlotValuesInLegend": True,
        "isSynced": True,
        "xAxisVal": "timestamp",
    }


def _wall(rows: Sequence[Sequence[str]], short: str) -> Any:
    """Arrange the panels of all cameras as the cameras look."""
    return _halves(
        "column", [_halves("row", [f"Image!{short}_{name}" for name in row]) for row in rows if row]
    )


def _halves(direction: str, parts: Sequence[Any]) -> Any:
    """Share a place evenly: a tree in which each knot is split in two."""
    if len(parts) < 2:
        return parts[0] if parts else None
    return {
        "direction": direction,
        "first": parts[0],
        "second": _halves(direction, parts[1:]),
        "splitPercentage": 100 / len(parts),
    }
