"""ROS parameters of a node, declared from `depth_perception.parameters`, and read back."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
)
from rclpy.node import Node

from depth_perception.errors import ConfigurationError
from depth_perception.parameters import (
    PATH_PARAMETERS,
    Parameters,
    ParameterSpec,
    from_flat,
    specifications,
)
from depth_perception.resources import share_folder

_INTEGER_LIMIT = 2**63 - 1


def declare_parameters(node: Node) -> Parameters:
    """Declare every parameter of the package on ``node`` and return the values it was given.

    Raises:
        ConfigurationError: A value has the wrong type, is out of range, or contradicts another.
    """
    values = {spec.name: _declared(node, spec) for spec in specifications()}
    return from_flat({**values, **_shipped_files(values)})


def _shipped_files(values: dict[str, Any]) -> dict[str, str]:
    """Find relative paths that are not in the working directory among the package's own files.

    In a file of config/ a path is relative to that folder, but ROS does not say where a parameter
    file lies. The launch file resolves paths of other files.
    """
    out = {}
    for name in PATH_PARAMETERS:
        value = values[name]
        if isinstance(value, str) and value and not Path(value).exists():
            shipped = share_folder() / "config" / value
            if shipped.exists():
                out[name] = str(shipped)
    return out


def _declared(node: Node, spec: ParameterSpec) -> Any:
    # ROS reads an empty list in a file as nothing, and refuses 1 where 1.0 is the default. Both are
    # only forms of writing, so the type is left open here and `from_flat` checks it, in one line.
    try:
        value = node.declare_parameter(spec.name, spec.default, descriptor(spec)).value
    except (InvalidParameterValueException, InvalidParameterTypeException) as error:
        raise ConfigurationError(
            f"{spec.name}: {' '.join(str(error).split())}",
            expected=f"{spec.minimum} to {spec.maximum}",
            fix=f"e.g. {spec.name}: {spec.default!r}",
        ) from None
    return list(value or []) if isinstance(spec.default, list) else value


def descriptor(spec: ParameterSpec) -> ParameterDescriptor:
    """Describe one parameter to ``ros2 param describe`` and rqt."""
    described = ParameterDescriptor(
        name=spec.name,
        description=spec.description,
        additional_constraints="one of: " + ", ".join(spec.choices) if spec.choices else "",
        read_only=True,
        dynamic_typing=True,
    )
    bounded = spec.minimum is not None or spec.maximum is not None
    low = -math.inf if spec.minimum is None else spec.minimum
    high = math.inf if spec.maximum is None else spec.maximum
    if bounded and isinstance(spec.default, float):
        described.floating_point_range = [
            FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)
        ]
    elif bounded and isinstance(spec.default, int) and not isinstance(spec.default, bool):
        described.integer_range = [
            IntegerRange(
                from_value=-_INTEGER_LIMIT if math.isinf(low) else int(low),
                to_value=_INTEGER_LIMIT if math.isinf(high) else int(high),
                step=1,
            )
        ]
    return described
