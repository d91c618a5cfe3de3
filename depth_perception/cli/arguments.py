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

"""Arguments that several verbs share."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from depth_perception.errors import BagError, ConfigurationError
from depth_perception.parameters import Parameters, load, specifications
from depth_perception.resources import parameter_file
from depth_perception.yaml_mapping import near_path, parse_yaml


def add_parameter_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--params``, ``--set`` and ``--estimator``."""
    parser.add_argument(
        "--params", metavar="FILE", help="ROS parameter file, e.g. config/nuscenes.yaml"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="one parameter, e.g. --set output.image_width=0; may be repeated",
    )
    parser.add_argument(
        "--estimator",
        help="how depth is computed: fused (a network, the default), embodied (geometry alone) or"
        " relative (any network of relative depth)",
    )


def add_frames_argument(parser: argparse.ArgumentParser, of: str = "") -> None:
    """Add ``--frames``, of the verbs that read frame sets: 0, the default, is all there are.

    Args:
        parser: The verb's.
        of: What they are counted in, e.g. ``" of each drive"``; empty: all that is read.
    """
    parser.add_argument(
        "--frames", type=int, default=0, metavar="N", help=f"at most N frame sets{of} (0: all)"
    )


def frames_from(options: argparse.Namespace) -> int:
    """Return what ``--frames`` says: how many frame sets at most, 0 for all.

    Raises:
        ConfigurationError: It is negative.
    """
    if options.frames < 0:
        raise ConfigurationError(
            f"--frames {options.frames}", expected="1 or more, or 0 for all", fix="correct it"
        )
    return int(min(options.frames, sys.maxsize))


def bag_from(options: argparse.Namespace) -> Path:
    """Return the bag that is named; what is in it, is seen when it is opened.

    Raises:
        BagError: There is nothing of that name.
    """
    path = Path(os.path.expanduser(options.bag))
    if not options.bag.strip() or not path.exists():
        raise BagError(
            f"bag '{options.bag}' does not exist",
            expected="a rosbag2 directory, .mcap or .db3",
            fix="correct the path" + (near_path(path) if options.bag.strip() else ""),
        )
    return path


def parameters_from(options: argparse.Namespace) -> Parameters:
    """Read the parameters that the arguments describe.

    Raises:
        ConfigurationError: A file or value is impossible.
    """
    overrides = assignments(options.set, "sync.tolerance=0.03")
    if options.estimator is not None:
        overrides["estimator"] = options.estimator
    file = None if options.params is None else parameter_file(options.params)
    return load(file, overrides)


def parameter_text(parameters: Parameters, usual: Mapping[str, Any] | None = None) -> str:
    """Write parameters as a ROS parameter file: those that are not as they are by default.

    Args:
        parameters: All of them.
        usual: Other defaults by name, for those that are as they are by default.
    """
    values: dict[str, Any] = {}
    for spec in specifications():
        value: Any = parameters
        for part in spec.name.split("."):
            value = getattr(value, part)
        if value == spec.default:
            value = (usual or {}).get(spec.name, value)
        if value != spec.default and value != []:
            values[spec.name] = value
    return str(yaml.safe_dump({"/**": {"ros__parameters": values}}, sort_keys=True))


def assignments(items: Sequence[str], example: str) -> dict[str, Any]:
    """Read the values of ``--set NAME=VALUE``, each as YAML; nothing behind = is an empty text.

    Args:
        items: What was given.
        example: A right one, for errors.

    Raises:
        ConfigurationError: There is no =, no name, or the value is no YAML.
    """
    values: dict[str, Any] = {}
    for item in items:
        name, equals, text = item.partition("=")
        name = name.strip()
        if not equals or not name:
            raise ConfigurationError(
                f"--set {item or repr(item)}", expected="NAME=VALUE", fix=f"e.g. --set {example}"
            )
        try:
            value = parse_yaml(text)
        except yaml.YAMLError as error:
            raise ConfigurationError(
                f"--set {item}: the value is no YAML ({' '.join(str(error).split())})",
                expected="a number, a text, or a list such as [a, b]",
                fix="close brackets and quotes, and put the whole of it into '...' for the shell",
            ) from None
        values[name] = "" if value is None else value
    return values
