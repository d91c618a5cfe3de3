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

"""What to play and how: command line and node parameters of ``bag_player``, in one table."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node

from depth_perception.errors import ConfigurationError


@dataclass(frozen=True)
class PlayOptions:
    """Checked values; `OPTIONS` says what they mean."""

    bag: str
    rate: float
    loop: bool
    start: float
    duration: float
    clock: float
    topics: list[str]
    remap: list[str]
    prefix: str
    wait_for_subscribers: float
    wait_for_results: str

    def __post_init__(self) -> None:
        """Refuse what cannot be played."""
        if not self.bag:
            raise ConfigurationError(
                "no bag is named", expected="its path", fix="bag_player BAG, or -p bag:=BAG"
            )
        for name in ("rate", "start", "duration", "clock", "wait_for_subscribers"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0 or (name == "rate" and value < 1e-3):
                raise ConfigurationError(
                    f"{name}: {value}",
                    expected="at least 0.001" if name == "rate" else "0 or more",
                    fix="correct the value",
                )


@dataclass(frozen=True)
class Option:
    """One option: default, description, and what argparse wants besides."""

    default: Any
    description: str
    parser: Mapping[str, Any] = field(default_factory=dict)


_NUMBER = {"type": float}

OPTIONS: Mapping[str, Option] = {
    "bag": Option("", "rosbag2 directory, .mcap or .db3 file.", {"nargs": "?"}),
    "rate": Option(1.0, "Speed, times real time.", _NUMBER),
    "loop": Option(False, "Play again and again.", {"action": "store_true"}),
    "start": Option(0.0, "Where to start, s after the first message.", _NUMBER),
    "duration": Option(0.0, "How much to play, s; 0 for all.", _NUMBER),
    "clock": Option(
        100.0,
        "Frequency of /clock, Hz; 0 publishes none.",
        # As with `ros2 bag play`, --clock alone is enough.
        {**_NUMBER, "nargs": "?", "const": 100.0},
    ),
    "topics": Option([], "Topics to play; none for all.", {"nargs": "*"}),
    "remap": Option([], "Rules /recorded:=/played.", {"nargs": "*", "action": "extend"}),
    "prefix": Option(
        "",
        "Put before every topic but /tf, /tf_static and /clock; empty: the node's namespace before"
        " those that are not in it, / : nothing.",
    ),
    "wait_for_subscribers": Option(
        3.0, "Wait at most this long until somebody listens, s; 0 does not wait.", _NUMBER
    ),
    "wait_for_results": Option(
        "",
        "Status topic of a surround_depth; after the bag, wait until it has nothing left to"
        " compute, at most 60 s.",
    ),
}


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line, without what is ROS's."""
    parser = argparse.ArgumentParser(
        prog="bag_player",
        description="Play a rosbag2 bag.",
        epilog="Every option is a node parameter too; a parameter wins.",
    )
    for name, option in OPTIONS.items():
        listed = isinstance(option.default, list)
        extra = {"default": list(option.default) if listed else option.default, **option.parser}
        if name == "bag":
            parser.add_argument(name, help=option.description, **extra)
        else:
            text = f"{option.description} [{option.default}]"
            parser.add_argument("--" + name.replace("_", "-"), dest=name, help=text, **extra)
    return parser.parse_args(list(argv))


def options_of(node: Node, given: argparse.Namespace) -> PlayOptions:
    """Declare the options as parameters, with the command line as their defaults.

    Raises:
        ConfigurationError: A value is impossible.
    """
    values = {name: _declared(node, name, getattr(given, name)) for name in OPTIONS}
    return PlayOptions(**values)


def _declared(node: Node, name: str, default: Any) -> Any:
    # The type is left open so that 1 may stand for 1.0; it is checked here.
    described = ParameterDescriptor(
        description=OPTIONS[name].description, read_only=True, dynamic_typing=True
    )
    value = node.declare_parameter(name, default, described).value
    wanted = type(OPTIONS[name].default)
    if wanted is list:
        return [str(item) for item in value or []]
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise ConfigurationError(
            f"{name}: {value!r} is a {type(value).__name__}",
            expected=f"a {wanted.__name__}",
            fix="correct the value",
        )
    return value
