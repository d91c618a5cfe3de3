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

"""A YAML file of config/training, read to a `TrainingConfiguration`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from depth_perception.errors import ConfigurationError
from depth_perception.network.configuration import NetworkConfiguration
from depth_perception.training.configuration import (
    DataConfiguration,
    LossConfiguration,
    ScheduleConfiguration,
    TrainingConfiguration,
)
from depth_perception.yaml_mapping import as_float, nearest, read_yaml_mapping


def _like(value: Any, default: Any) -> Any:
    """Return a plain value in the type of a default: lists as tuples, whole numbers as floats.

    Raises:
        TypeError: It is of another type, or something in a list is.
    """
    if isinstance(value, (list, tuple)) and isinstance(default, tuple):
        # What a list holds is like what the default's holds; an empty one holds texts.
        return tuple(_like(item, default[0] if default else "") for item in value)
    if type(value) is int and isinstance(default, float):
        value = as_float(value)
    if type(value) is not type(default):
        raise TypeError
    return value


def _plain(value: Any) -> Any:
    """A value as YAML would have it: tuples are lists."""
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _built(kind: type, values: Any, where: str) -> Any:
    if not isinstance(values, dict):
        raise ConfigurationError(f"{where} is {values!r}", expected="names with their values")
    known = {item.name: item for item in dataclasses.fields(kind)}
    out = {}
    for name, value in values.items():
        if name not in known:
            raise ConfigurationError(
                f"{where}.{name} does not exist",
                expected=nearest(str(name), known),
                fix="correct the name",
            )
        default = getattr(kind(), name)
        try:
            out[name] = _like(value, default)
        except TypeError:
            raise ConfigurationError(
                f"{where}.{name}: {value!r}",
                expected="a list" if isinstance(default, tuple) else f"a {type(default).__name__}",
                fix=f"e.g. {_plain(default)!r}",
            ) from None
    return kind(**out)


def from_dict(values: dict[str, Any]) -> TrainingConfiguration:
    """Build a configuration from plain values.

    Raises:
        ConfigurationError: Names the value that is wrong.
    """
    from depth_perception.training.systems import find

    values = dict(values)
    options = find(str(values.get("system", TrainingConfiguration.system))).OPTIONS
    parts: dict[str, Any] = {
        name: _built(kind, values.pop(name, {}), name)
        for name, kind in (
            ("data", DataConfiguration),
            ("loss", LossConfiguration),
            ("schedule", ScheduleConfiguration),
            ("options", options),
        )
    }
    network = values.pop("network", {})
    if not isinstance(network, dict):
        raise ConfigurationError(
            f"network is {network!r}", expected="names with their values", fix="e.g. {size: lite}"
        )
    parts["network"] = NetworkConfiguration.from_dict(network)
    return dataclasses.replace(_built(TrainingConfiguration, values, "training"), **parts)


def read(path: str | Path, overrides: dict[str, Any] | None = None) -> TrainingConfiguration:
    """Read a YAML file; `overrides` are dotted names.

    Raises:
        ConfigurationError: The file is absent, no YAML, or a value is wrong.
    """
    values = read_yaml_mapping(Path(path), "training configuration", "see config/training")
    for name, value in (overrides or {}).items():
        target = values
        *groups, leaf = name.split(".")
        for group in groups:
            target = target.setdefault(group, {})
            if not isinstance(target, dict):
                raise ConfigurationError(f"'{group}' in '{name}' is no group")
        target[leaf] = value
    return from_dict(values)
