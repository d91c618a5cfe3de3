"""Arguments that several verbs share."""

from __future__ import annotations

import argparse
from typing import Any

import yaml

from depth_perception.errors import ConfigurationError
from depth_perception.parameters import Parameters, load
from depth_perception.resources import parameter_file


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


def parameters_from(options: argparse.Namespace) -> Parameters:
    """Read the parameters that the arguments describe.

    Raises:
        ConfigurationError: A file or value is impossible.
    """
    overrides: dict[str, Any] = {}
    for item in options.set:
        name, equals, text = item.partition("=")
        if not equals:
            raise ConfigurationError(
                f"--set {item}", expected="NAME=VALUE", fix="e.g. --set sync.tolerance=0.03"
            )
        try:
            overrides[name.strip()] = yaml.safe_load(text)
        except yaml.YAMLError:
            overrides[name.strip()] = text
        if overrides[name.strip()] is None:
            overrides[name.strip()] = ""
    if options.estimator:
        overrides["estimator"] = options.estimator
    return load(parameter_file(options.params) if options.params else None, overrides)
