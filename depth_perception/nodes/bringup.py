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

"""The node graph, described once: which processes, with which parameters, under which arguments.

``launch/surround.launch.py`` turns it into launch actions; ``depth_perception launch`` starts the
same processes with the same parameters where ``ros2 launch`` does not exist. No ROS is imported.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depth_perception.datasets.bag_listing import listed_topics
from depth_perception.errors import ConfigurationError, LibraryError
from depth_perception.frames.publication import ROOT
from depth_perception.parameters import ESTIMATORS, PATH_PARAMETERS, load
from depth_perception.resources import config_file, parameter_file
from depth_perception.rig.camera_topics import find_cameras
from depth_perception.ros.listening import how_to_listen
from depth_perception.yaml_mapping import near_path, nearest

PACKAGE = "depth_perception"


_NAMESPACE = re.compile(r"([A-Za-z_]\w*(/[A-Za-z_]\w*)*)?", re.ASCII)
LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")


@dataclass(frozen=True)
class Argument:
    """One argument of the launch file: ``name:=value``."""

    name: str
    default: str
    description: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Process:
    """One process of the graph.

    Attributes:
        name: Name of the node.
        package: Whose executable it is.
        executable: Its name in ``lib/<package>``.
        parameters: Values by parameter name; they win over the files.
        parameter_files: ROS parameter files.
        remappings: (from, to).
        arguments: Command line before ``--ros-args``.
        namespace: Of the node.
        log_level: Of the node's loggers.
        is_node: False for a program that takes no node name.
        required: When it ends, everything ends.
    """

    name: str
    package: str
    executable: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    parameter_files: tuple[str, ...] = ()
    remappings: tuple[tuple[str, str], ...] = ()
    arguments: tuple[str, ...] = ()
    namespace: str = ""
    log_level: str = "info"
    is_node: bool = True
    required: bool = False


ARGUMENTS = (
    Argument("bag", "", "Bag to play: a rosbag2 directory, .mcap or .db3; empty: live cameras."),
    Argument("rate", "1.0", "Playing speed of the bag, times real time."),
    Argument("loop", "false", "Play the bag again and again.", ("true", "false")),
    Argument("start", "0.0", "Where in the bag to start, s."),
    Argument("duration", "0.0", "How much of the bag to play, s; 0 for all."),
    Argument("exit_after_bag", "false", "End everything after the bag.", ("true", "false")),
    Argument(
        "params_file",
        "",
        "ROS parameter file, or one of config/ by name, e.g. nuscenes; empty: defaults.",
    ),
    Argument("cameras", "", "Camera names, with commas; empty: as the file says, or all."),
    Argument("base_frame", "", "Vehicle frame; empty: as the file says, or base_link."),
    Argument(
        "estimator",
        "",
        "How depth is computed; empty: as the file says, or fused.",
        ("", *ESTIMATORS),
    ),
    Argument(
        "queue_size", "", "Frame sets that wait while one is computed; empty: as the file says."
    ),
    Argument("namespace", "", "Namespace of the nodes, and of the topics of the bag."),
    Argument(
        "autostart",
        "true",
        "Configure and activate surround_depth at once; false leaves that"
        " to lifecycle transitions.",
        ("true", "false"),
    ),
    Argument(
        "use_sim_time",
        "auto",
        "Take time from /clock; auto: when a bag is played.",
        ("auto", "true", "false"),
    ),
    Argument("rviz", "false", "Start RViz.", ("true", "false")),
    Argument("rviz_config", "", "RViz file; empty: config/surround.rviz."),
    Argument("log_level", "info", "Of all nodes.", LOG_LEVELS),
    Argument(
        "fastdds_profile",
        "auto",
        "Fast DDS profile; auto: config/fastdds.xml unless the"
        " environment names one; none: its defaults, which lose large images.",
    ),
)


def resolve(values: Mapping[str, str]) -> dict[str, str]:
    """Complete argument values with the defaults, and check them.

    Raises:
        ConfigurationError: An unknown argument, or a value that is not among the choices.
    """
    known = {argument.name: argument for argument in ARGUMENTS}
    for name in values:
        if name not in known:
            raise ConfigurationError(
                f"launch argument '{name}' does not exist",
                expected=nearest(name, known),
                fix="see --show-args",
            )
    out = {name: values.get(name, argument.default) for name, argument in known.items()}
    for name, argument in known.items():
        if argument.choices and out[name].lower() not in argument.choices:
            raise ConfigurationError(
                f"{name}:={out[name]}",
                expected=nearest(out[name], [choice or "''" for choice in argument.choices]),
                fix="correct the value",
            )
    return out


def processes(values: Mapping[str, str]) -> list[Process]:
    """List the processes that the argument values ask for.

    Raises:
        ConfigurationError: A value is impossible.
    """
    args = resolve(values)
    bag = args["bag"]
    sim_time = bool(bag) if args["use_sim_time"] == "auto" else _is_true(args["use_sim_time"])
    namespace, log_level = args["namespace"].strip("/"), args["log_level"].lower()
    if not _NAMESPACE.fullmatch(namespace):
        raise ConfigurationError(
            f"namespace:={args['namespace']}",
            expected="letters, digits and _, not beginning with a digit, parts separated by /",
            fix="e.g. namespace:=car1",
        )
    if bag and not Path(os.path.expanduser(bag)).exists():
        raise ConfigurationError(
            f"bag:={bag} does not exist",
            expected="a rosbag2 directory, .mcap or .db3",
            fix="correct the path" + near_path(bag),
        )
    parameters: dict[str, Any] = {"use_sim_time": sim_time}
    for name in ("base_frame", "estimator"):
        if args[name]:
            parameters[name] = args[name]
    if not _is_true(args["autostart"]):
        parameters["autostart"] = False
    cameras = [name.strip() for name in args["cameras"].split(",") if name.strip()]
    if cameras:
        parameters["cameras"] = cameras
    if args["queue_size"]:
        parameters["sync.queue_size"] = int(_number(args, "queue_size"))
    files: tuple[str, ...] = ()
    if args["params_file"]:
        path = _params_file(args["params_file"])
        files = (str(path.resolve()),)
        parameters.update(_absolute_paths(path))
    out = [
        Process(
            "surround_depth",
            PACKAGE,
            "surround_depth",
            parameters,
            files,
            namespace=namespace,
            log_level=log_level,
            required=True,
        )
    ]
    if bag:
        prefix, ends = f"/{namespace}" if namespace else "", _is_true(args["exit_after_bag"])
        played: dict[str, Any] = {
            "bag": str(Path(os.path.expanduser(bag)).resolve()),
            "rate": _number(args, "rate"),
            "loop": _is_true(args["loop"]),
            "start": _number(args, "start"),
            "duration": _number(args, "duration"),
            "prefix": prefix,
            "wait_for_subscribers": 20.0,
            "wait_for_results": f"{prefix}/{ROOT}/status" if ends else "",
        }
        out.append(
            Process(
                "bag_player",
                PACKAGE,
                "bag_player",
                played,
                namespace=namespace,
                log_level=log_level,
                required=ends,
            )
        )
    if _is_true(args["rviz"]):
        config = args["rviz_config"] or str(_rviz_file(bag, cameras, args["params_file"]))
        out.append(
            Process(
                "rviz2",
                "rviz2",
                "rviz2",
                {"use_sim_time": sim_time},
                arguments=("-d", config),
                namespace=namespace,
                log_level=log_level,
            )
        )
    return out


def notice(values: Mapping[str, str]) -> str:
    """Say what a person who starts this has to know; empty when there is nothing.

    Raises:
        ConfigurationError: A value is impossible.
    """
    args = resolve(values)
    if _is_true(args["rviz"]):
        return ""
    namespace = args["namespace"].strip("/")
    points = f"/{namespace}/surround_depth/points" if namespace else "/surround_depth/points"
    return "depth is computed while somebody listens to an output: " + how_to_listen(points)


def _rviz_file(bag: str, cameras: list[str], params_file: str) -> Path:
    """Return an RViz file that shows a camera which there is: the foremost of the bag, or by name.

    config/surround.rviz shows ``CAM_FRONT``; where that is the one, or no name is known before the
    cameras run, it is used as it is.
    """
    shipped = config_file("surround.rviz")
    overrides = {"cameras": cameras} if cameras else {}
    parameters = load(_params_file(params_file) if params_file else None, overrides)
    topics = _bag_topics(bag) if bag else {}
    found = find_cameras(topics, parameters)
    names = list(found) or parameters.cameras
    if not names:
        return shipped
    name = next((n for n in names if "front" in n.lower() and n.lower().count("_") < 2), names[0])
    image = found[name].image if name in found else f"/{name}/image_rect"
    text = shipped.read_text(encoding="utf-8")
    # RViz names a compressed topic by the raw one and finds the transport itself.
    text = text.replace("/CAM_FRONT/image_rect", image.removesuffix("/compressed"))
    path = Path(tempfile.mkdtemp(prefix="depth_perception_rviz_")) / "surround.rviz"
    path.write_text(text.replace("CAM_FRONT", name), encoding="utf-8")
    return path


def _bag_topics(bag: str) -> dict[str, str]:
    """Map topics to types; by what is listed where only the nodes' interpreter has rosbags."""
    path = Path(os.path.expanduser(bag))
    try:
        from depth_perception.datasets.bag_file import open_bag
    except LibraryError:
        return listed_topics(path)
    with open_bag(path) as reader:
        return {connection.topic: connection.msgtype for connection in reader.connections}


def _params_file(name: str) -> Path:
    """See `resources.parameter_file`; refuses a path that leads nowhere before anything starts."""
    path = parameter_file(name)
    if not path.is_file():
        raise ConfigurationError(
            f"params_file:={path} does not exist",
            expected="a YAML file, or the name of one in config/",
            fix="correct it",
        )
    return path


def _absolute_paths(params_file: Path) -> dict[str, str]:
    """Parameters of the file that name files beside it, with their whole paths.

    ROS hands a node the values of a parameter file, but not where the file lies.
    """
    parameters = load(params_file)
    out = {}
    for name in PATH_PARAMETERS:
        value: Any = parameters
        for part in name.split("."):
            value = getattr(value, part)
        if value and Path(value).is_absolute():
            out[name] = str(value)
    return out


def _number(args: Mapping[str, str], name: str) -> float:
    try:
        return float(args[name])
    except ValueError:
        raise ConfigurationError(
            f"{name}:={args[name]}", expected="a number", fix="correct the value"
        ) from None


def _is_true(text: str) -> bool:
    return text.lower() == "true"
