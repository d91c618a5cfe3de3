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

"""Nothing is used that the oldest supported versions lack: Ubuntu 22.04's and ROS 2 Humble's.

Continuous integration has newer ones, with which such a use would pass every other test.
"""

import ast
import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "depth_perception").rglob("*.py")) + sorted((ROOT / "launch").glob("*.py"))

# Attributes by the version that brought them.
TOO_NEW = {
    "add_section": "rich 12.3",
    "content_filter_options": "rclpy of Iron",
    "add_post_set_parameters_callback": "rclpy of Iron",
    "add_pre_set_parameters_callback": "rclpy of Iron",
    "wait_for_node": "rclpy of Iron",
    "get_type_description": "rclpy of Jazzy",
    "exceptions": "NumPy 1.25",
}
TOO_NEW_OF_NUMPY = {
    "acos": "2.0",
    "astype": "2.0",
    "bitwise_count": "2.0",
    "concat": "2.0",
    "cumulative_sum": "2.1",
    "from_dlpack": "1.23",
    "isdtype": "2.0",
    "matrix_transpose": "2.0",
    "permute_dims": "2.0",
    "pow": "2.0",
    "trapezoid": "2.0",
    "unstack": "2.1",
    "vecdot": "2.0",
    "unique_values": "2.0",
}
# Arguments by what they are given to.
TOO_NEW_ARGUMENTS = {
    ("nanmax", "initial"): "NumPy 1.22",
    ("nanmin", "initial"): "NumPy 1.22",
    ("nansum", "initial"): "NumPy 1.22",
    ("percentile", "method"): "NumPy 1.22",
    ("quantile", "method"): "NumPy 1.22",
    ("nanpercentile", "method"): "NumPy 1.22",
    ("nanquantile", "method"): "NumPy 1.22",
    ("median", "weights"): "NumPy 2.0",
    ("quantile", "weights"): "NumPy 2.0",
    ("stack", "dtype"): "NumPy 1.24",
    ("hstack", "dtype"): "NumPy 1.24",
    ("vstack", "dtype"): "NumPy 1.24",
    ("unique", "equal_nan"): "NumPy 1.24",
    ("asarray", "copy"): "NumPy 2.0",
    ("clip", "min"): "NumPy 2.1",
    ("clip", "max"): "NumPy 2.1",
    ("create_timer", "autostart"): "rclpy of Jazzy",
    ("Node", "enable_logger_service"): "rclpy of Jazzy",
    ("create_subscription", "content_filter_options"): "rclpy of Iron",
}
# Modules, each with the one file that has something in its place.
TOO_NEW_MODULES = {"rclpy.event_handler": "depth_perception/ros/events.py"}


def uses(tree):
    """Yield (line, what) for each use of what is too new."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            of_numpy = isinstance(node.value, ast.Name) and node.value.id in ("np", "numpy")
            if of_numpy and node.attr in TOO_NEW_OF_NUMPY:
                yield node.lineno, f"np.{node.attr} (NumPy {TOO_NEW_OF_NUMPY[node.attr]})"
            elif node.attr in TOO_NEW and (of_numpy or node.attr != "exceptions"):
                yield node.lineno, f"{node.attr} ({TOO_NEW[node.attr]})"
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            for keyword in node.keywords:
                if version := TOO_NEW_ARGUMENTS.get((called, keyword.arg)):
                    yield node.lineno, f"{called}({keyword.arg}=) ({version})"


def test_no_name_is_newer_than_the_oldest_versions():
    found = []
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        found += [f"{path.relative_to(ROOT)}:{line}: {what}" for line, what in uses(tree)]
    assert not found


def test_the_search_finds_what_it_looks_for():
    text = "np.nanmax(a, initial=0.0)\ntable.add_section()\nnp.concat([a])\nnode.exceptions\n"
    assert sorted(line for line, _ in uses(ast.parse(text))) == [1, 2, 3]


def test_modules_newer_than_humble_have_a_replacement():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in TOO_NEW_MODULES:
                assert path.relative_to(ROOT).as_posix() == TOO_NEW_MODULES[node.module]


def test_event_callbacks_come_from_the_module_that_humble_has(monkeypatch):
    pytest.importorskip("rclpy")
    from depth_perception.ros import events

    of_humble = ModuleType("rclpy.qos_event")
    of_humble.PublisherEventCallbacks = type("PublisherEventCallbacks", (), {})
    of_humble.SubscriptionEventCallbacks = type("SubscriptionEventCallbacks", (), {})
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "rclpy.event_handler", None)
        patched.setitem(sys.modules, "rclpy.qos_event", of_humble)
        importlib.reload(events)
        assert events.PublisherEventCallbacks is of_humble.PublisherEventCallbacks
        assert events.SubscriptionEventCallbacks is of_humble.SubscriptionEventCallbacks
    importlib.reload(events)
    assert events.PublisherEventCallbacks is not of_humble.PublisherEventCallbacks
