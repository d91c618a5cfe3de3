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

"""Imports point one way: between rooms, inside the synthetic world, and out to torch and ROS.

A room is a folder of the package, or one of the few files that lie beside them. Every import
counts, also those inside of functions and those for type checking alone.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "depth_perception"

ROOMS = {
    "errors": "",
    "yaml_mapping": "errors",
    "resources": "errors yaml_mapping",
    "parameters": "errors yaml_mapping",
    "geometry": "errors",
    "messages": "errors geometry",
    "inference": "errors yaml_mapping geometry",
    "network": "errors yaml_mapping inference",
    "rig": "errors yaml_mapping parameters geometry messages",
    "frames": "errors yaml_mapping parameters geometry messages rig",
    "segmentation": "errors yaml_mapping parameters geometry inference frames",
    "datasets": "errors yaml_mapping resources parameters geometry messages rig frames",
    "estimators": "errors yaml_mapping resources parameters geometry inference network frames"
    " segmentation",
    "motion": "errors parameters geometry frames",
    "pipeline": "errors parameters geometry rig frames segmentation estimators motion",
    "evaluation": "errors geometry messages frames datasets motion pipeline",
    "cluster": "errors parameters geometry inference frames datasets pipeline evaluation",
    "viewing": "errors geometry messages rig frames datasets pipeline evaluation",
    "ros": "errors resources parameters geometry messages rig frames datasets pipeline",
    "nodes": "errors yaml_mapping resources parameters geometry messages rig frames datasets"
    " viewing ros",
    "transport": "errors parameters messages frames ros",
    "training": "errors yaml_mapping resources geometry inference network segmentation datasets"
    " evaluation",
    "adaptation": "errors yaml_mapping resources parameters geometry inference frames datasets"
    " estimators pipeline network training",
    "world": "errors parameters geometry messages rig frames datasets motion",
    "benchmarks": "errors resources parameters geometry messages inference network frames motion"
    " estimators pipeline ros",
    "cli": "errors yaml_mapping resources parameters messages inference network rig frames"
    " datasets pipeline evaluation viewing ros nodes transport training adaptation world cluster",
}
"""Each room, from the ground up, and all that it may import: rooms of lines above its own alone."""

WORLD = ("surfaces", "objects", "scene", "render", "output")
"""Folders of the synthetic world: each may import those before it."""

LOOSE_FILES = {"__init__", "errors", "parameters", "resources", "yaml_mapping", "pipeline"}
"""The only files that lie in no room."""

TORCH_PLACES = ("network", "training", "estimators.torch_session")
"""Where torch may be imported: nothing of it is on a robot that runs the network as ONNX."""

ROS_PLACES = (
    "ros",
    "nodes",
    "transport",
    "benchmarks.cameras",
    "benchmarks.live",
    "benchmarks.soak",
)
"""Where ROS may be imported: everything else runs, and is tested, without it."""

ROS_MODULES = {
    "ament_index_python",
    "builtin_interfaces",
    "cv_bridge",
    "launch",
    "launch_ros",
    "message_filters",
    "rcl_interfaces",
    "rclpy",
    "std_srvs",
    "tf2_ros",
    "tf_transformations",
}
"""Modules of ROS by name; those whose names end in ``_msgs`` or ``_py``, or begin with ``rosidl_``,
are ROS too."""


def imported_names(tree: ast.Module) -> set[str]:
    """Every full name that a module imports, wherever in it: ``from a import b`` is ``a.b``."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"relative import in line {node.lineno}"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


# Not where tests are collected: every process that runs tests would parse all modules, for nothing.
@pytest.fixture(scope="module")
def names() -> dict[str, set[str]]:
    """Every name that a module imports, by its dotted name without the package's own.

    The package's ``__init__`` is the empty name.
    """
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[module] = imported_names(ast.parse(path.read_text(encoding="utf-8"), str(path)))
    return found


def inner_imports(module: str, names: Mapping[str, set[str]]) -> set[str]:
    """Modules of the package that a module imports: a function's name counts as its module."""
    found = set()
    for name in names[module]:
        if name.split(".")[0] == PACKAGE:
            inner = name[len(PACKAGE) + 1 :]
            found.add(inner if inner in names else inner.rpartition(".")[0])
    return found - {module}


@pytest.fixture(scope="module")
def imports(names: dict[str, set[str]]) -> dict[str, set[str]]:
    """The modules of the package that each of them imports."""
    return {module: inner_imports(module, names) for module in names}


def room(module: str) -> str:
    """The room of a module; the package's ``__init__``, with its version, is in none."""
    return module.split(".")[0]


def lies_in(module: str, places: Iterable[str]) -> bool:
    """Whether a module is one of these, or in one of these folders."""
    return any(module == place or module.startswith(place + ".") for place in places)


def find_cycle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """Return one cycle of a graph, empty without any."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_import_is_of_a_module_that_exists(imports, names):
    missing = {(m, o) for m, imported in imports.items() for o in imported if o not in names}
    # The messages are generated when the package is built.
    assert {pair for pair in missing if room(pair[1]) not in ("msg", "srv")} == set()


def test_nothing_lies_loose_but_the_named_files():
    assert {path.stem for path in (ROOT / PACKAGE).glob("*.py")} == LOOSE_FILES


def test_the_table_has_every_room_and_points_upward_only(names):
    assert {room(module) for module in names} - {""} == set(ROOMS)
    known: set[str] = set()
    for name, allowed in ROOMS.items():
        assert set(allowed.split()) <= known, f"{name} may import what is not above it"
        known.add(name)


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_imports_what_the_table_allows(name, imports):
    allowed = {name, "", *ROOMS[name].split()}
    wrong = [
        f"{module} imports {other}"
        for module, imported in imports.items()
        for other in imported
        if room(module) == name and room(other) not in allowed
    ]
    assert not wrong


def test_no_two_files_import_each_other_on_any_way(imports):
    assert find_cycle(imports) == []


def test_a_cycle_would_be_found():
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"d"}}) == []
    assert set(find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}})) == {"b", "c"}


def test_the_folders_of_the_world_import_downward(imports, names):
    folders = {module.split(".")[1] for module in names if module.startswith("world.")}
    assert folders == set(WORLD)
    wrong = [
        f"{module} imports {other}"
        for module, imported in imports.items()
        for other in imported
        if module.startswith("world.") and other.startswith("world.")
        if WORLD.index(other.split(".")[1]) > WORLD.index(module.split(".")[1])
    ]
    assert not wrong


@pytest.mark.parametrize(
    "leaf", ["world", "training", "adaptation", "cluster", "nodes", "benchmarks"]
)
def test_only_the_command_imports_a_leaf(leaf, imports):
    users = {room(m) for m, imported in imports.items() if any(room(o) == leaf for o in imported)}
    assert users <= {leaf, "cli", *(["adaptation"] if leaf == "training" else [])}


def test_torch_is_imported_where_networks_are_made_and_trained_alone(names):
    users = {m for m, used in names.items() if any(n.split(".")[0] == "torch" for n in used)}
    assert users
    assert [module for module in sorted(users) if not lies_in(module, TORCH_PLACES)] == []


def test_rerun_is_imported_where_recordings_are_made_alone(names):
    users = {m for m, used in names.items() if any(n.split(".")[0] == "rerun" for n in used)}
    assert {room(module) for module in users} == {"viewing"}


def is_ros(name: str) -> bool:
    """Whether an import is of ROS."""
    top = name.split(".")[0]
    return top in ROS_MODULES or top.endswith(("_msgs", "_py")) or top.startswith("rosidl_")


def test_ros_is_imported_in_its_own_rooms_alone(names):
    users = {module for module, used in names.items() if any(map(is_ros, used))}
    assert users
    assert [module for module in sorted(users) if not lies_in(module, ROS_PLACES)] == []


IMPORT_ALL = """
import importlib, json, sys

modules, refused = json.load(sys.stdin)

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if any(name == r or name.startswith(r + ".") for r in refused):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
for module in modules:
    try:
        importlib.import_module(module)
    except ImportError as error:
        sys.exit(f"{module}: {error}")
"""


@pytest.mark.parametrize("with_ros", [True, False])
def test_a_robot_needs_neither_training_nor_the_world_nor_torch(with_ros, names):
    if with_ros and importlib.util.find_spec("rclpy") is None:
        pytest.skip("rclpy is not installed")
    training = ["torch", "warp", "embreex", "rerun", f"{PACKAGE}.world", f"{PACKAGE}.training"]
    absent = [*TORCH_PLACES, "world", *([] if with_ros else ROS_PLACES)]
    modules = [module for module in names if module and not lies_in(module, absent)]
    assert len(modules) > 80
    refused = training + ([] if with_ros else sorted(ROS_MODULES))
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL],
        input=json.dumps([[f"{PACKAGE}.{module}" for module in modules], refused]),
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
