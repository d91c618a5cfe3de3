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

"""Where the package's data files are: config, launch and message definitions."""

from __future__ import annotations

import os
from pathlib import Path

from depth_perception.errors import ConfigurationError, ModelError
from depth_perception.yaml_mapping import nearest

_HERE = Path(__file__)


def share_folder() -> Path:
    """Return the folder that holds ``config``, ``launch``, ``msg`` and ``package.xml``.

    That is ``share/depth_perception`` of the prefix that the package is installed in (colcon, pip),
    else the source tree.

    Raises:
        ConfigurationError: Neither is there.
    """
    for parent in _HERE.parents:
        candidate = parent / "share" / "depth_perception"
        if (candidate / "package.xml").exists():
            return candidate
    source = _HERE.resolve().parents[1]
    if (source / "package.xml").exists():
        return source
    raise ConfigurationError(
        f"the data files of depth_perception are not installed (looked above {_HERE.parent})",
        expected="share/depth_perception in the installation's prefix",
        fix="install the package with colcon build or pip install .",
    )


WEIGHTS_FOLDER = _HERE.parent / "weights"
WEIGHTS = {False: ("lite_int8.onnx",), True: ("base_fp16.onnx", "lite_int8.onnx")}
"""Of the fused network, in that folder: whether a GPU is in use, and the files in order of
preference."""
MEASURED_WEIGHTS = "lite_measured_int8.onnx"
"""The network that takes what the vehicle's motion measured; preferred where that is on."""


WEIGHTS_FIX = "install depth_perception again, or do without the network: estimator: embodied"
"""What helps when the package's weights are absent or damaged."""


def weights_file(gpu: bool, measured: bool = False) -> Path:
    """Return the fused network's weights that come with the package.

    Args:
        gpu: Those for a GPU rather than for a CPU, if there are any.
        measured: Those that take measured depth, if there are any.

    Raises:
        ModelError: They are not there.
    """
    names = ((MEASURED_WEIGHTS,) if measured else ()) + WEIGHTS[gpu]
    paths = [WEIGHTS_FOLDER / name for name in names]
    for path in paths:
        if path.is_file():
            return path
    raise ModelError(
        f"the package lacks its network, '{paths[-1]}'",
        expected="the fused network's weights",
        fix=WEIGHTS_FIX,
    )


def config_file(name: str) -> Path:
    """Return a file of ``config/``, e.g. ``nuscenes.yaml``.

    Raises:
        ConfigurationError: There is none of that name; lists what there is beside it.
    """
    folder = share_folder() / "config"
    path = folder / name
    if not path.exists():
        beside = path.parent if path.parent.is_dir() else folder
        ending = path.suffix or ".yaml"
        present = sorted(str(p.relative_to(folder)) for p in beside.glob(f"*{ending}"))
        raise ConfigurationError(
            f"config file '{name}' does not exist",
            expected=nearest(name, present),
            fix="name one of them, or give a path to your own",
        )
    return path


def parameter_file(name: str) -> Path:
    """Find a parameter file by its path, or one of ``config/`` by its bare name.

    Args:
        name: A path, or a name without any folder, e.g. ``nuscenes`` or ``nuscenes.yaml``.

    Returns:
        The file; a path that leads nowhere is returned as it is, and whoever reads it says so.

    Raises:
        ConfigurationError: A bare name that ``config/`` does not have; lists what there is. Or an
            empty one.
    """
    if not name.strip():
        raise ConfigurationError(
            "the name of the parameter file is empty",
            expected="a file, or a name such as nuscenes",
            fix="name one, or leave it out for the defaults",
        )
    path = Path(os.path.expanduser(name))
    if path.is_file() or path.name != name:
        return path
    return config_file(name if name.endswith(".yaml") else f"{name}.yaml")
