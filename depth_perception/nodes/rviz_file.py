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

"""The file that RViz is started with: each camera, its depth in colour, and the cloud.

It is made for the cameras that there are. No ROS is imported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from depth_perception.errors import ConfigurationError
from depth_perception.frames.publication import camera_topics, vehicle_topics
from depth_perception.nodes.rviz_window import Stack, window_state
from depth_perception.parameters import Parameters
from depth_perception.rig.camera_topics import CameraTopics
from depth_perception.rig.tracker import enclosing, namespace_of

DISPLAYS = "Displays"
TRANSFORM_TYPE = "tf2_msgs/msg/TFMessage"
TRANSPORTS = ("compressed", "compressedDepth", "theora")
"""Last names of topics by which RViz tells that images are compressed, and how."""

WINDOW = (1800, 1000)
"""Width and height in pixels: of a screen of 1920x1080, what a desktop's bars leave."""
_BARS = 80
"""Height of menu, tool and status bar together, pixels."""
_BELOW_TOP = 58
_LEFT_WIDTH = 342
"""The list of displays becomes no narrower, because of the buttons below it."""
_RIGHT_WIDTH = 390
HIDE_BUTTONS = 32
"""Width of the two buttons beside the 3D view that hide the panels, pixels."""
_FEW = 3
_AROUND = {"distance": 27, "ahead": 7, "pitch": 0.6}
_AHEAD = {"distance": 24, "ahead": 15, "pitch": 0.5}
"""Where to look from. So few cameras hardly see all around; mostly they look ahead."""
_ROWS = 6
"""More panels above each other are too low to see anything in."""


@dataclass(frozen=True)
class CameraPanels:
    """What RViz shows of one camera.

    Attributes:
        panel: Name of the panel with its images.
        image: Their topic, as RViz has to be told it.
        depth_panel: Name of the panel with its depth in colour.
        depth: That topic.
        remapping: What RViz has to be started with for the images to arrive, or None.
        measured_panel: Name of the panel with its measured depth in colour; empty without motion.
        measured: That topic.
    """

    panel: str
    image: str
    depth_panel: str
    depth: str
    remapping: tuple[str, str] | None = None
    measured_panel: str = ""
    measured: str = ""

    @property
    def depths(self) -> str | Stack:
        """The panel of its depth; with motion also that of measured depth, behind it."""
        if not self.measured_panel:
            return self.depth_panel
        return Stack((self.depth_panel, self.measured_panel), tabbed=True)


def camera_panels(name: str, image: str, compressed: bool, motion: bool = False) -> CameraPanels:
    """Name the panels of one camera.

    RViz takes the last part of a topic's name for the transport, ``compressed`` or else raw, and
    subscribes to that below the rest. Compressed images of a topic that is not called so, such as
    ``/front/image_rect_compressed``, are shown as ``/front/image_rect_compressed/compressed``, and
    that name is remapped to the real one.

    Args:
        name: The camera's.
        image: Topic of its images.
        compressed: Whether they are ``CompressedImage``.
        motion: As the parameter ``motion.enabled``: also show what is measured.
    """
    shown, remapping = image, None
    if compressed and image.rpartition("/")[2] not in TRANSPORTS:
        shown = f"{image}/compressed"
        remapping = (shown, image)
    topics = camera_topics(name, motion=motion)
    measured = (f"{name} measured", topics["measured_colour"][0]) if motion else ("", "")
    return CameraPanels(
        name, shown, f"{name} depth", topics["colour"][0], remapping, measured[0], measured[1]
    )


def panels_of(found: Mapping[str, CameraTopics], parameters: Parameters) -> list[CameraPanels]:
    """Name the panels of all cameras: in the order of ``cameras``, else those in front first."""
    names = list(found)
    if not parameters.cameras:
        names.sort(key=lambda name: "front" not in name.lower())
    motion = parameters.motion.enabled
    return [camera_panels(n, found[n].image, found[n].compressed, motion) for n in names]


def named_panels(parameters: Parameters, pattern: str = "{camera}/image_raw") -> list[CameraPanels]:
    """Name the panels of the cameras that the parameters name, when nobody publishes them yet.

    Args:
        parameters: ``cameras``, ``image_topics`` and ``motion.enabled`` count.
        pattern: Topic of a camera's images where ``image_topics`` does not say.
    """
    topics = parameters.image_topics or [pattern.format(camera=n) for n in parameters.cameras]
    return [
        camera_panels(name, topic, topic.endswith("compressed"), parameters.motion.enabled)
        for name, topic in zip(parameters.cameras, topics, strict=False)
    ]


def transform_remappings(
    topics: Mapping[str, str], parameters: Parameters, image: str, namespace: str = ""
) -> list[tuple[str, str]]:
    """Lead RViz, which listens to ``/tf`` and ``/tf_static``, to what places the cameras.

    Args:
        topics: Type by name of what is published, or lies in a bag.
        parameters: ``tf.namespace`` counts.
        image: Topic of the first camera's images.
        namespace: Of the node, with a leading ``/``.
    """
    there = {namespace_of(name) for name, kind in topics.items() if kind == TRANSFORM_TYPE}
    wanted = parameters.tf.namespace.rstrip("/") if parameters.tf.namespace else None
    if wanted is None:
        around = [*enclosing(namespace_of(image))[:-1], *enclosing(namespace)[:-1], ""]
        wanted = next((place for place in around if place in there), "")
        if wanted == "" and "" not in there and len(there) == 1:
            (wanted,) = there
    if not wanted:
        return []
    return [(f"/{name}", f"{wanted}/{name}") for name in ("tf", "tf_static")]


def rviz_text(cameras: Sequence[CameraPanels], base_frame: str) -> str:
    """Write the file.

    Args:
        cameras: In the order in which they are shown.
        base_frame: The vehicle's frame; the view goes with it.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("depth_perception.nodes", "templates"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    width, height = WINDOW
    return environment.get_template("surround.rviz.j2").render(
        displays=DISPLAYS,
        cameras=cameras,
        outputs={name: topic for name, (topic, _) in vehicle_topics().items()},
        base_frame=base_frame,
        remappings=[camera.remapping for camera in cameras if camera.remapping],
        view=_AROUND if not cameras or len(cameras) > _FEW else _AHEAD,
        width=width,
        height=height,
        window_state=_layout(cameras),
    )


def _layout(cameras: Sequence[CameraPanels]) -> str:
    """Lay the panels out on the right; the 3D view has more than half of the window.

    Up to three cameras stand above each other, each with its depth below; up to six one to a row
    with its depth beside it; more of them two to a row, each behind its depth. Measured depth is a
    tab behind depth.
    """
    width, height = WINDOW[0], WINDOW[1] - _BARS
    left = (_LEFT_WIDTH, Stack((DISPLAYS,)))
    if not cameras:
        return window_state((width, height), _BELOW_TOP, left, None)
    rows: list[str | Stack] = []
    if len(cameras) <= _FEW:
        rows += [name for c in cameras for name in (c.panel, c.depths)]
    elif len(cameras) <= _ROWS:
        rows += [Stack((c.panel, c.depths), vertical=False) for c in cameras]
    else:
        shown = [(c.depth_panel, c.panel, c.measured_panel) for c in cameras]
        tabs = [Stack(tuple(filter(None, names)), tabbed=True) for names in shown]
        rows += [Stack(tuple(tabs[i : i + 2]), vertical=False) for i in range(0, len(tabs), 2)]
    return window_state((width, height), _BELOW_TOP, left, (_RIGHT_WIDTH, Stack(tuple(rows))))


def write_rviz_file(text: str, namespace: str) -> Path:
    """Write the file into ROS's log folder, over the one of the launch before.

    Args:
        text: Its content.
        namespace: Of the nodes: each vehicle on one computer has its own file.

    Raises:
        ConfigurationError: The folder cannot be written.
    """
    environment = os.environ
    home = Path(environment.get("ROS_HOME") or Path.home() / ".ros").expanduser()
    folder = Path(environment.get("ROS_LOG_DIR") or home / "log").expanduser()
    name = "_".join(["surround_depth", *namespace.strip("/").split("/")]).rstrip("_")
    path = folder / f"{name}.rviz"
    beside = folder / f".{name}.{os.getpid()}.rviz"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"RViz's file '{path}' cannot be written: {error.strerror}",
            expected="a folder for logs that may be written",
            fix="set ROS_LOG_DIR to one, or name a file of your own with rviz_config:=",
        ) from None
    return path
