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

"""ROS parameters of a node, declared from `depth_perception.parameters`, and read back."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from depth_perception.errors import ConfigurationError
from depth_perception.parameters import (
    PATH_PARAMETERS,
    Parameters,
    ParameterSpec,
    from_flat,
    specifications,
    unknown_parameter,
)
from depth_perception.resources import share_folder

_OF_ROS = ("use_sim_time", "qos_overrides.", "start_type_description_service")
_INTEGER_LIMIT = 2**63 - 1


class NodeParameters:
    """The package's parameters on a node: declared once, read when it is configured, then kept.

    While the node is configured only live parameters may change, and only to what all parameters
    together allow; the reason for a refusal goes back to whoever asked.
    """

    def __init__(self, node: Node, changed: Callable[[Parameters], None]) -> None:
        """Declare every parameter.

        Args:
            node: The node.
            changed: Gets the new values when live ones were changed.

        Raises:
            ConfigurationError: A value is out of range.
        """
        self._node = node
        self._changed = changed
        self._specs = {spec.name: spec for spec in specifications()}
        self._locked = False
        for spec in self._specs.values():
            _declare(node, spec)
        node.add_on_set_parameters_callback(self._on_set)

        self._refuse_unknown()

    @property
    def autostart(self) -> bool:
        """True when the node is to configure and activate itself."""
        return bool(self._node.get_parameter("autostart").value)

    def _refuse_unknown(self) -> None:
        """Refuse names that were given and are nearly one of ours: they would silently do nothing.

        Others may be meant for another node that shares the file; they get a warning.

        Raises:
            ConfigurationError: There is one; names the nearest.
        """
        for name in getattr(self._node, "_parameter_overrides", {}):
            if name in self._specs or name.startswith(_OF_ROS):
                continue
            if difflib.get_close_matches(name, self._specs, n=1, cutoff=0.8):
                raise unknown_parameter(name)
            self._node.get_logger().warning(f"parameter '{name}' is not one of this node's")

    def read(self) -> Parameters:
        """Return the values, checked, and allow no change of what is not live from now on.

        Raises:
            ConfigurationError: A value has the wrong type, is out of range, or contradicts another.
        """
        values = _checked(self._values())
        self._locked = True
        return values

    def unlock(self) -> None:
        """Allow every change: the node is unconfigured again."""
        self._locked = False

    def _values(self) -> dict[str, Any]:
        return {
            name: _read(spec, self._node.get_parameter(name).value)
            for name, spec in self._specs.items()
        }

    def _on_set(self, asked: list[Parameter]) -> SetParametersResult:
        changes = {p.name: p.value for p in asked if p.name in self._specs}
        if not changes:
            return SetParametersResult(successful=True)
        values = self._values()
        for name, value in changes.items():
            spec = self._specs[name]
            if self._locked and not spec.live and _read(spec, value) != values[name]:
                return _refused(
                    f"{name} does not change while the node is configured. Fix: deactivate and"
                    " clean up the node (ros2 lifecycle set), set it, then configure and activate"
                )
            values[name] = _read(spec, value)
        try:
            checked = _checked(values)
        except ConfigurationError as error:
            return _refused(str(error))
        if self._locked:
            self._changed(checked)
        return SetParametersResult(successful=True)


def _refused(reason: str) -> SetParametersResult:
    return SetParametersResult(successful=False, reason=reason)


def _checked(values: dict[str, Any]) -> Parameters:
    return from_flat({**values, **_shipped_files(values)})


def _read(spec: ParameterSpec, value: Any) -> Any:
    """Take the forms that ROS gives a value: an empty list comes as nothing, others as arrays."""
    return list(value or []) if isinstance(spec.default, list) else value


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


def _declare(node: Node, spec: ParameterSpec) -> None:
    # ROS reads an empty list in a file as nothing, and refuses 1 where 1.0 is the default. Both are
    # only forms of writing, so the type is left open here and `from_flat` checks it, in one line.
    try:
        node.declare_parameter(spec.name, spec.default, descriptor(spec))
    except (InvalidParameterValueException, InvalidParameterTypeException) as error:
        raise ConfigurationError(
            f"{spec.name}: {' '.join(str(error).split())}",
            expected=f"{spec.minimum} to {spec.maximum}",
            fix=f"e.g. {spec.name}: {spec.default!r}",
        ) from None


def descriptor(spec: ParameterSpec) -> ParameterDescriptor:
    """Describe one parameter to ``ros2 param describe`` and rqt."""
    described = ParameterDescriptor(
        name=spec.name,
        description=spec.description,
        additional_constraints="one of: " + ", ".join(spec.choices) if spec.choices else "",
        read_only=False,
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
