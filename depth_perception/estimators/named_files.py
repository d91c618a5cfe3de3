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

"""Files and providers that the parameters name, looked at without loading any network.

Whoever starts long work, or says what a set-up lacks, looks here first: `make_estimator` would say
the same, after it has loaded what comes before.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from depth_perception.errors import ConfigurationError, DepthPerceptionError, ModelError
from depth_perception.parameters import PATH_PARAMETERS, Parameters, SegmentationParameters

_CHECKPOINT = ".pt"


def named_file_errors(parameters: Parameters) -> list[DepthPerceptionError]:
    """Find what the chosen estimator and its source of the road lack: model files, folders, names.

    Ego masks are read by the rig, and are not looked at here.

    Returns:
        What would be raised when the estimator is made; empty when every file that it names is
        there. That a model is whole is seen only when it is loaded.
    """
    check: dict[str, Callable[[Parameters], object]] = {"fused": _fused, "relative": _relative}
    errors: list[DepthPerceptionError] = []
    for look in (check.get(parameters.estimator, lambda _: None), _road):
        try:
            look(parameters)
        except DepthPerceptionError as error:
            errors.append(error)
    return errors


def unused_file_notes(parameters: Parameters) -> list[str]:
    """Say which named files do not exist, of those that the chosen estimator does not read."""
    from depth_perception.segmentation.classes import class_map

    errors = " ".join(map(str, named_file_errors(parameters)))
    notes = []
    for name in PATH_PARAMETERS:
        value: Any = parameters
        for part in name.split("."):
            value = getattr(value, part)
        if not value or f"'{value}'" in errors or Path(os.path.expanduser(value)).exists():
            continue
        if name == "segmentation.classes":
            try:
                class_map(value)
                continue
            except DepthPerceptionError:
                pass
        notes.append(
            f"{name} '{value}' does not exist; with estimator {parameters.estimator} and"
            f" segmentation.source {parameters.segmentation.source} it is not read"
        )
    return notes


def provider_note(parameters: Parameters) -> str:
    """Say which provider that is asked for this machine's ONNX Runtime lacks; empty for none."""
    from depth_perception.inference.onnx_session import CPU, absent_provider, usable_providers
    from depth_perception.inference.onnx_session import provider_name as full

    if parameters.estimator not in ("fused", "relative"):
        return ""
    asked = getattr(parameters, parameters.estimator).providers
    if parameters.fused.model.endswith(_CHECKPOINT) and parameters.estimator == "fused":
        return ""  # PyTorch says what it has when it is loaded
    try:
        usable = usable_providers([full(name) for name in asked])
    except ConfigurationError:
        return ""  # an error of `named_file_errors`
    return absent_provider(asked, next(iter(usable), CPU), f"{parameters.estimator}.providers")


def by_network(parameters: SegmentationParameters) -> bool:
    """Whether the road comes from the depth network itself."""
    named = parameters.model or parameters.labels_folder or parameters.labels_topic
    return parameters.source == "network" or (parameters.source == "auto" and not named)


def check_source(parameters: Parameters) -> None:
    """Refuse to take the road from the fused network where another estimator is chosen.

    Raises:
        ConfigurationError: It is so.
    """
    if parameters.estimator != "fused" and parameters.segmentation.source == "network":
        raise ConfigurationError(
            f"segmentation.source is network, estimator is {parameters.estimator}",
            expected="estimator fused, whose network also finds the road",
            fix="set estimator: fused, or another segmentation.source",
        )


def _fused(parameters: Parameters) -> None:
    from depth_perception.estimators.fused_model import network_file
    from depth_perception.inference.onnx_session import CPU, default_providers, provider_name

    asked = parameters.fused.providers or default_providers()
    gpu = provider_name(asked[0]) != CPU
    file = network_file(parameters.fused, gpu, parameters.motion.enabled)
    if not file.path.is_file():
        raise ModelError(
            f"fused.model '{file.path}' does not exist",
            expected="a model file",
            fix="correct the path, or leave fused.model empty for the package's own",
        )


def _relative(parameters: Parameters) -> None:
    from depth_perception.estimators.relative_description import read_description
    from depth_perception.inference.onnx_session import provider_name

    for name in parameters.relative.providers:
        provider_name(name)
    check_relative(parameters)
    read_description(Path(os.path.expanduser(parameters.relative.model)))


def check_relative(parameters: Parameters) -> None:
    """Refuse the estimator relative without a network.

    Raises:
        ConfigurationError: ``relative.model`` is empty.
    """
    if not parameters.relative.model:
        raise ConfigurationError(
            "estimator is relative, relative.model is empty",
            expected="a YAML file that describes the network",
            fix="set relative.model, e.g. to a copy of config/relative/depth_anything_v2.yaml",
        )


def _road(parameters: Parameters) -> None:
    from depth_perception.segmentation.segmenter_description import read_description
    from depth_perception.segmentation.sources import make_source

    check_source(parameters)
    road = parameters.segmentation
    if parameters.estimator == "fused" and by_network(road):
        return
    if road.model and road.source in ("auto", "onnx"):
        read_description(road.model)
    else:
        make_source(road, lambda text: None)
