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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depth_perception.datasets.bag_listing import listed_topics
from depth_perception.errors import ConfigurationError, LibraryError
from depth_perception.frames.publication import ROOT
from depth_perception.nodes.rviz_setup import (
    ANY_RIG,
    RIG_TOPICS,
    RVIZ_MISSING,
    RvizSetup,
    apt_packages,
    file_of,
    is_installed,
    notes_of,
    setup_for_bag,
    setup_for_robot,
)
from depth_perception.parameters import ESTIMATORS, PATH_PARAMETERS, Parameters, load
from depth_perception.resources import parameter_file
from depth_perception.ros.listening import how_to_listen
from depth_perception.yaml_mapping import near_path, nearest

PACKAGE = "depth_perception"


_NAMESPACE = re.compile(r"([A-Za-z_]\w*(/[A-Za-z_]\w*)*)?", re.ASCII)
OWN_CLOCK = (("/clock", "clock"),)
"""A bag in a namespace has its time there, so that two bags do not fight over one clock."""
OWN_TRANSFORMS = (("/tf", "tf"), ("/tf_static", "tf_static"))
"""And its transforms, which may be of frames with the same names as those of another vehicle."""
LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")
_BOOLEAN = ("true", "false")
_NUMBERS = {"1": "true", "0": "false"}
"""Other ways to write a boolean, besides capitals: those of launch's own conditions."""


@dataclass(frozen=True)
class Argument:
    """One argument of the launch file: ``name:=value``; capitals do not matter in ``choices``."""

    name: str
    default: str
    description: str
    choices: tuple[str, ...] = ()

    @property
    def help(self) -> str:
        """The description, with the choices where there are some."""
        if not self.choices:
            return self.description
        return f"{self.description} One of: {', '.join(c or repr('') for c in self.choices)}."

    def value(self, text: str) -> str:
        """Return what was written, or the choice that it means.

        Raises:
            ConfigurationError: It is none of the choices.
        """
        if not self.choices:
            return text
        written = text.strip().lower()
        if set(_BOOLEAN) <= set(self.choices):
            written = _NUMBERS.get(written, written)
        if written not in self.choices:
            raise ConfigurationError(
                f"{self.name}:={text}",
                expected=nearest(text, [choice or repr("") for choice in self.choices]),
                fix="correct the value",
            )
        return written


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
        log_level: Of our nodes' own loggers; others log as they do by default.
        is_node: False for a program that takes no node name.
        required: When it ends, everything ends.
        optional: However it ends, nothing else does.
        notes: What a person who starts it has to know.
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
    optional: bool = False
    notes: tuple[str, ...] = ()

    def left(self, exit_code: int) -> str:
        """Say that an optional process has ended."""
        return f"{self.name} has ended (exit code {exit_code}); everything else goes on"

    @property
    def log_arguments(self) -> tuple[str, ...]:
        """ROS arguments that set the level of the node's own logger.

        For all loggers it would also be that of rcl, rmw and the middleware, whose debug lines
        drown those of the node. A logger is named as its node is, with dots for slashes.
        """
        if self.package != PACKAGE:
            return ()
        logger = ".".join([*filter(None, self.namespace.split("/")), self.name])
        return ("--log-level", f"{logger}:={self.log_level}")


ARGUMENTS = (
    Argument("bag", "", "Bag to play: a rosbag2 directory, .mcap or .db3; empty: live cameras."),
    Argument("rate", "1.0", "Playing speed of the bag, times real time."),
    Argument("loop", "false", "Play the bag again and again.", _BOOLEAN),
    Argument("start", "0.0", "Where in the bag to start, s."),
    Argument("duration", "0.0", "How much of the bag to play, s; 0 for all."),
    Argument("exit_after_bag", "false", "End everything after the bag.", _BOOLEAN),
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
    Argument(
        "namespace",
        "",
        "Namespace of the nodes, and of topics, transforms and clock of the bag; below one that"
        " is pushed.",
    ),
    Argument(
        "autostart",
        "true",
        "Configure and activate surround_depth at once; false leaves that"
        " to lifecycle transitions.",
        _BOOLEAN,
    ),
    Argument(
        "use_sim_time",
        "auto",
        "Take time from /clock; auto: when a bag is played.",
        ("auto", *_BOOLEAN),
    ),
    Argument(
        "rviz",
        "false",
        "Start RViz, if it is installed; when it is closed, the nodes go on.",
        _BOOLEAN,
    ),
    Argument(
        "rviz_config",
        "",
        "RViz file, or one of config/rviz/ by name, e.g. nuscenes; empty: one is made for the"
        " cameras that there are.",
    ),
    Argument("log_level", "info", "Of our nodes, not of ROS below them.", LOG_LEVELS),
    Argument(
        "fastdds_profile",
        "auto",
        "Fast DDS profile; auto: config/fastdds.xml unless the"
        " environment names one; none: its defaults, which lose large images.",
    ),
)


def resolve(values: Mapping[str, str]) -> dict[str, str]:
    """Complete argument values with the defaults, and bring them into the form of the choices.

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
    return {
        name: argument.value(values.get(name, argument.default)) for name, argument in known.items()
    }


def processes(values: Mapping[str, str]) -> list[Process]:
    """List the processes that the argument values ask for.

    Raises:
        ConfigurationError: A value is impossible.
    """
    args = resolve(values)
    bag = args["bag"]
    sim_time = bool(bag) if args["use_sim_time"] == "auto" else _is_true(args["use_sim_time"])
    namespace, log_level = _namespace(args), args["log_level"]
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
            remappings=OWN_CLOCK if bag and namespace else (),
            namespace=namespace,
            log_level=log_level,
            required=True,
        )
    ]
    own_time_and_transforms = (*OWN_CLOCK, *OWN_TRANSFORMS) if bag and namespace else ()
    if bag:
        ends = _is_true(args["exit_after_bag"])
        played: dict[str, Any] = {
            "bag": str(Path(os.path.expanduser(bag)).resolve()),
            "rate": _number(args, "rate"),
            "loop": _is_true(args["loop"]),
            "start": _number(args, "start"),
            "duration": _number(args, "duration"),
            "wait_for_subscribers": 20.0,
            "wait_for_results": f"{ROOT}/status" if ends else "",
        }
        out.append(
            Process(
                "bag_player",
                PACKAGE,
                "bag_player",
                played,
                remappings=own_time_and_transforms,
                namespace=namespace,
                log_level=log_level,
                required=ends,
            )
        )
    if _is_true(args["rviz"]) and is_installed("rviz2"):
        # At each jump back in time RViz forgets what it shows; the view needs no time.
        time = sim_time and not _is_true(args["loop"])
        out.append(_rviz(args, cameras, time, own_time_and_transforms))
    return out


def namespace_in(pushed: str, given: str) -> str:
    """Return the namespace of the nodes, absolute, as launch_ros makes it.

    Args:
        pushed: What ``PushRosNamespace`` and the like have set; may be empty.
        given: The argument ``namespace``: below what was pushed, unless it is absolute.
    """
    whole = given if given.startswith("/") else f"{pushed}/{given}"
    return "/" + whole.strip("/")


def notice(values: Mapping[str, str], remappings: Sequence[tuple[str, str]] = ()) -> str:
    """Say what a person who starts this has to know; empty when there is nothing.

    Args:
        values: The arguments.
        remappings: (from, to) that hold for all nodes, as ``SetRemap`` sets them.

    Raises:
        ConfigurationError: A value is impossible.
    """
    args = resolve(values)
    missing = ""
    if _is_true(args["rviz"]):
        if is_installed("rviz2"):
            return ""
        missing = RVIZ_MISSING.format(packages=apt_packages())
    namespace = namespace_in("", args["namespace"])
    points = namespace_in(namespace, f"{ROOT}/points")
    for old, new in remappings:
        if namespace_in(namespace, old) == points:
            points = namespace_in(namespace, new)
            break
    listen = "depth is computed while somebody listens to an output: " + how_to_listen(points)
    return missing + listen


def _namespace(args: Mapping[str, str]) -> str:
    """Return the namespace without a leading slash; empty for none.

    Raises:
        ConfigurationError: It is none.
    """
    namespace = args["namespace"].strip("/")
    if not _NAMESPACE.fullmatch(namespace):
        raise ConfigurationError(
            f"namespace:={args['namespace']}",
            expected="letters, digits and _, not beginning with a digit, parts separated by /",
            fix="e.g. namespace:=car1",
        )
    return namespace


def _rviz(
    args: Mapping[str, str], cameras: list[str], sim_time: bool, own: Sequence[tuple[str, str]]
) -> Process:
    """Describe the process of RViz, and write the file that it is started with.

    Args:
        args: All launch arguments.
        cameras: Names of those that are wanted; empty for all.
        sim_time: Whether time comes from a bag.
        own: (from, to) for the clock and the transforms of a bag in a namespace.
    """
    overrides: dict[str, Any] = {"cameras": cameras} if cameras else {}
    if args["base_frame"]:
        overrides["base_frame"] = args["base_frame"]
    file = args["params_file"]
    parameters = load(_params_file(file) if file else None, overrides)
    namespace = _namespace(args)
    setup = _rviz_setup(args["bag"], namespace, parameters, Path(file).stem)
    config = file_of(args["rviz_config"], setup, namespace)
    return Process(
        "rviz2",
        "rviz2",
        "rviz2",
        {"use_sim_time": sim_time},
        remappings=tuple({**dict(own), **dict(setup.remappings)}.items()),
        arguments=("-d", str(config)),
        namespace=namespace,
        log_level=args["log_level"],
        optional=True,
        notes=notes_of(setup, args["rviz_config"], config),
    )


def _rviz_setup(bag: str, namespace: str, parameters: Parameters, rig: str) -> RvizSetup:
    if bag:
        return setup_for_bag(_bag_topics(bag), parameters)
    # Only here: who starts no RViz needs no ROS in this process.
    from depth_perception.ros.present_topics import present_topics

    present = present_topics(namespace, parameters)
    return setup_for_robot(present, namespace, parameters, RIG_TOPICS.get(rig, ANY_RIG))


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
    return text == "true"
