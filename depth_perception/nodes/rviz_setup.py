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

"""What RViz is started with: which cameras there are, its file, and the topics to lead it to."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from depth_perception.errors import ConfigurationError
from depth_perception.nodes.rviz_file import (
    TRANSPORTS,
    CameraPanels,
    named_panels,
    panels_of,
    rviz_text,
    transform_remappings,
    write_rviz_file,
)
from depth_perception.parameters import Parameters, load
from depth_perception.resources import config_file
from depth_perception.rig.camera_topics import find_cameras

RIG_TOPICS = {
    "nuscenes": "/{camera}/image_rect_compressed",
    "ddad": "/{camera}/image_raw/compressed",
    "kitti": "/kitti/{camera}/image_raw/compressed",
}
"""Topics of the images of the rigs of ``config/``, in the bags that the usual converters write."""
ANY_RIG = "/{camera}/image_raw"
TRANSPORT = "compressed_image_transport"
RVIZ_MISSING = (
    "rviz:=true, but rviz2 is not installed: everything else starts without it. Fix: apt install"
    " {packages} (the latter for compressed cameras). Without it, "
)


@dataclass(frozen=True)
class RvizSetup:
    """How RViz is to be started.

    Attributes:
        cameras: What it shows of each.
        base_frame: The frame that its view is fixed to.
        remappings: (from, to).
        what: What it shows, in words.
    """

    cameras: tuple[CameraPanels, ...]
    base_frame: str
    remappings: tuple[tuple[str, str], ...]
    what: str

    @property
    def compressed(self) -> bool:
        """Whether the images of a camera are compressed."""
        return any(c.image.rpartition("/")[2] in TRANSPORTS for c in self.cameras)


def setup_for_bag(topics: Mapping[str, str], parameters: Parameters) -> RvizSetup:
    """Show the cameras of a bag.

    Args:
        topics: Type by name. They are played in the nodes' namespace, so names are made relative;
            transforms are played on ``/tf`` and ``/tf_static``, and with that prefix elsewhere.
        parameters: ``cameras`` and what leads to them, ``base_frame`` and ``tf.namespace`` count.
    """
    found = find_cameras(topics, parameters)
    panels = panels_of(found, parameters)
    first = next(iter(found.values())).image if found else ""
    remappings = transform_remappings(topics, parameters, first)
    if not parameters.tf.namespace:
        remappings = [(old, _relative(new)) for old, new in remappings]
    return _setup([_in_namespace(panel) for panel in panels], parameters, remappings)


def setup_for_robot(
    topics: Mapping[str, str], namespace: str, parameters: Parameters, pattern: str = ANY_RIG
) -> RvizSetup:
    """Show the cameras that are there now, and those that the parameters name.

    Args:
        topics: Type by name of what is published.
        namespace: Of the nodes.
        parameters: As for a bag.
        pattern: Topic of a camera's images where it is not there yet, and ``image_topics`` does
            not say.
    """
    found = find_cameras(topics, parameters)
    panels = {panel.panel: panel for panel in panels_of(found, parameters)}
    guessed = {p.panel: _in_namespace(p) for p in named_panels(parameters, pattern)}
    if parameters.image_topics:
        guessed = {p.panel: p for p in named_panels(parameters, pattern)}
    panels = {name: panels.get(name) or guessed[name] for name in parameters.cameras} or panels
    first = next(iter(found.values())).image if found else ""
    place = f"/{namespace}" if namespace else ""
    remappings = transform_remappings(topics, parameters, first, place)
    absent = [name for name in parameters.cameras if name not in found]
    return _setup(list(panels.values()), parameters, remappings, absent)


def file_of(wanted: str, setup: RvizSetup, namespace: str) -> Path:
    """Return the RViz file to start with: the user's own, one of ``config/rviz/``, or a new one.

    Raises:
        ConfigurationError: There is no such file, or it cannot be written.
    """
    if not wanted:
        return write_rviz_file(rviz_text(setup.cameras, setup.base_frame), namespace)
    path = Path(os.path.expanduser(wanted))
    if path.name == wanted and not path.is_file():
        return config_file(f"rviz/{wanted.removesuffix('.rviz')}.rviz")
    if not path.is_file():
        raise ConfigurationError(
            f"rviz_config:={wanted} does not exist",
            expected="an RViz file, or the name of one in config/rviz/",
            fix="correct the path, or leave it out",
        )
    return path


def notes_of(setup: RvizSetup, wanted: str, config: Path) -> tuple[str, ...]:
    """Say what RViz shows, with which file, and what it lacks.

    Args:
        setup: What it is started with.
        wanted: The file that the user asked for, or empty.
        config: The file.
    """
    out = [f"RViz shows {'what its file says' if wanted else setup.what}: {config}"]
    if setup.compressed and not is_installed(TRANSPORT):
        out.append(
            f"{TRANSPORT} is not installed: RViz cannot show the cameras, whose images are"
            f" compressed. Fix: apt install {apt_name(TRANSPORT)}"
        )
    return tuple(out)


def is_installed(package: str) -> bool:
    """Tell whether a ROS package is in one of the prefixes that are in use."""
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    index = "share/ament_index/resource_index/packages"
    return any(prefix and (Path(prefix) / index / package).is_file() for prefix in prefixes)


def apt_name(package: str) -> str:
    """Name a ROS package as Ubuntu's package manager does."""
    return f"ros-{os.environ.get('ROS_DISTRO') or '<distribution>'}-{package.replace('_', '-')}"


def apt_packages() -> str:
    """Name the packages that RViz needs to show everything."""
    return f"{apt_name('rviz2')} {apt_name(TRANSPORT)}"


def shipped_files() -> dict[str, str]:
    """Write the files of ``config/rviz/``, for who starts rviz2 by hand: text by name."""
    out = {"surround": rviz_text((), Parameters().base_frame)}
    for rig, pattern in RIG_TOPICS.items():
        setup = setup_for_robot({}, "", load(config_file(f"{rig}.yaml")), pattern)
        out[rig] = rviz_text(setup.cameras, setup.base_frame)
    return {f"{name}.rviz": text for name, text in out.items()}


def _setup(
    panels: Sequence[CameraPanels],
    parameters: Parameters,
    others: Sequence[tuple[str, str]],
    absent: Sequence[str] = (),
) -> RvizSetup:
    remappings = [panel.remapping for panel in panels if panel.remapping]
    names = ", ".join(panel.panel for panel in panels)
    what = f"the cloud, and images and depth of {names}"
    if not panels:
        what = (
            "the cloud alone, as no camera is published yet (start the cameras first, or name them"
            " with cameras:=, or with cameras and image_topics in params_file:=)"
        )
    elif absent and not parameters.image_topics:
        guessed = ", ".join(p.image for p in panels if p.panel in absent)
        what += (
            f" (not published yet, so their topics are guessed: {guessed}; set image_topics in"
            " params_file:= if they are others)"
        )
    return RvizSetup(tuple(panels), parameters.base_frame, (*remappings, *others), what)


def _in_namespace(panel: CameraPanels) -> CameraPanels:
    """Make the topic of the images relative, so that the namespace of RViz goes before it."""
    old_new = panel.remapping
    return dataclasses.replace(
        panel,
        image=_relative(panel.image),
        remapping=(_relative(old_new[0]), _relative(old_new[1])) if old_new else None,
    )


def _relative(topic: str) -> str:
    return topic.removeprefix("/")
