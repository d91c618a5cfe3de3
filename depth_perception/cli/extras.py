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

"""What some verbs need and a robot does not have: loaded before work begins, or how to get it."""

from __future__ import annotations

import importlib

from depth_perception.errors import ConfigurationError

_WITH_TRAINING = (
    "build the workspace with --cmake-args -DDEPTH_PERCEPTION_TRAINING=ON, or install with pip,"
    " which leaves nothing out"
)
_TORCH = "pip install -r requirements/training.txt, or pip install 'depth_perception[train]'"
_WARP = "run 'make setup', or pip install 'depth_perception[world]'"

_RERUN = (
    "pip install -r requirements/viewing.txt, or pip install 'depth_perception[view]' (rerun-sdk"
    " needs NumPy 2)"
)

_FIXES = {
    "depth_perception.training": _WITH_TRAINING,
    "depth_perception.world": _WITH_TRAINING,
    "torch": _TORCH,
    "onnx": _TORCH,
    "warp": _WARP,
    "rerun": _RERUN,
}


def load_extras(task: str, *modules: str) -> None:
    """Import modules that are not everywhere.

    Args:
        task: What needs them, for the error, e.g. ``training``.
        modules: Full names, of those that this file knows how to get.

    Raises:
        ConfigurationError: One does not import; names it and how to get it.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ConfigurationError(
                f"{task} needs the module {module}, which does not import ({error})",
                fix=_FIXES[module],
            ) from None
