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

"""ROS for the tests that need it: a domain of their own, one executor, and a node that listens."""

from __future__ import annotations

import fcntl
import gc
import importlib.util
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pytest

# PyTorch's threads spin while they wait for cores that others have: a single one here, and in every
# process that tests start. It must be said before torch is imported.
os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")

PATIENCE_S = 120.0
"""How long a test waits for what must come, s. On a busy machine it comes late: no fault of it."""

HAS_ROS = importlib.util.find_spec("rclpy") is not None


def pytest_configure() -> None:
    """Let SIGINT end the processes that tests start, whatever started the tests.

    A shell starts what it puts into the background with SIGINT ignored, and children inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs ROS where there is none; order files where several processes run them."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = places_of_files({item.path for item in items})
        items.sort(key=lambda item: place[item.path])
    skip = pytest.mark.skip(reason="rclpy is not installed; see 'make setup'")
    for item in items:
        if not HAS_ROS and "ros" in getattr(item, "fixturenames", ()):
            item.add_marker(skip)


def pytest_collection_finish() -> None:
    """Let the collector pass over what collecting the tests has imported, as that stays anyway.

    Those are a million objects with PyTorch among them: each `gc.collect` took a second.
    """
    gc.collect()
    gc.freeze()


def places_of_files(paths: set[Path]) -> dict[Path, tuple[float, str]]:
    """Tell in which order processes take test files; each is the sort key of a file's tests.

    Tests with ROS wait for messages while others compute: each kind is spread evenly over the run,
    so that neither all cores are idle nor too many tests compute at once. In each kind the large
    files, which take long, come first: a process that gets one last would keep the others waiting.
    """
    place = {}
    for kind in (True, False):
        files = [path for path in paths if (path.parent.name == "ros") == kind]
        files.sort(key=lambda path: (-path.stat().st_size, str(path)))
        for number, path in enumerate(files):
            place[path] = ((number + 0.5) / len(files), str(path))
    return place


_domain_locks: list[IO[str]] = []
"""Held as long as the process lives."""


def free_domain() -> int:
    """Take a ROS domain that no other run of tests has, and whose discovery ports nobody holds.

    The search starts at our process id. A run holds none of the ports until it starts a node, so
    that another one could choose the same domain meanwhile: a locked file says that it is taken.
    """
    for offset in range(100):
        domain = 1 + (os.getpid() + offset) % 100
        lock = open(Path(tempfile.gettempdir()) / f"test_ros_domain_{domain}.lock", "w")  # noqa: SIM115
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        port = 7400 + 250 * domain
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as multicast,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unicast,
        ):
            try:
                multicast.bind(("", port))
                unicast.bind(("", port + 10))
            except OSError:
                lock.close()
                continue
            _domain_locks.append(lock)
            return domain
    pytest.skip("no free ROS domain")


def wait_for(condition: Callable[[], Any], timeout: float = PATIENCE_S, what: str = "") -> Any:
    """Return the condition's value as soon as it is true; fail when it stays false."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    pytest.fail(f"waited {timeout:.0f} s in vain for {what or condition}")


class RosSession:
    """rclpy, initialised once, with an executor that spins in a thread."""

    def __init__(self) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.signals import SignalHandlerOptions

        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        self.executor = SingleThreadedExecutor()
        self.errors: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        from rclpy._rclpy_pybind11 import InvalidHandle
        from rclpy.executors import ExternalShutdownException

        while not self._stop.is_set():
            try:
                self.executor.spin_once(timeout_sec=0.02)
            except ExternalShutdownException:
                return
            except InvalidHandle:
                continue  # the test's thread destroyed what this one was about to wait for
            except Exception:  # the tests that follow need this thread, too
                self.errors.append(traceback.format_exc())

    def add(self, node: Any) -> None:
        """Spin a node from now on."""
        self.executor.add_node(node)

    def call(self, function: Callable[[], Any]) -> None:
        """Call a function between two callbacks, as a node's own process ends it after the last."""
        task = self.executor.create_task(function)
        wait_for(task.done, what=f"the executor to call {function}")
        error = task.exception()
        if error is not None:
            raise error

    def remove(self, node: Any) -> None:
        """Stop spinning a node and destroy it."""
        self.executor.remove_node(node)
        time.sleep(0.05)  # the executor may still be in the round that it began with the node
        node.destroy_node()

    def close(self) -> None:
        """End the thread and ROS."""
        import rclpy

        self._stop.set()
        self._thread.join(5.0)
        self.executor.shutdown(0.0)
        rclpy.try_shutdown()


@pytest.fixture(scope="session")
def ros_environment() -> Iterator[dict[str, str]]:
    """Environment of every ROS process of this run: a domain of its own, this machine only."""
    from depth_perception.ros.dds_profile import transport_environment

    wanted = {
        "ROS_DOMAIN_ID": str(free_domain()),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        # Humble knows this only; later distributions warn about it.
        **({"ROS_LOCALHOST_ONLY": "1"} if os.environ.get("ROS_DISTRO") == "humble" else {}),
        **transport_environment(),
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    yield dict(os.environ)
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def ros(ros_environment: dict[str, str]) -> Iterator[RosSession]:
    """ROS in this process."""
    session = RosSession()
    yield session
    session.close()


class Listener:
    """A node that keeps every message of the topics that it listens to."""

    def __init__(self, ros: RosSession, capture: pytest.CaptureFixture[str]) -> None:
        from rclpy.node import Node

        self._ros = ros
        self._capture = capture
        self.node = Node("listener")
        self.messages: dict[str, list[Any]] = {}
        self.lines: list[str] = []
        ros.add(self.node)

    def listen(self, topic: str, type_name: str, profile: Any = 10) -> list[Any]:
        """Subscribe to a topic; returns the list that fills."""
        from depth_perception.ros.messages import message_class

        kept = self.messages.setdefault(topic, [])
        self.node.create_subscription(message_class(type_name), topic, kept.append, profile)
        return kept

    def line(self, *parts: str) -> str | None:
        """Return the first line on the console that holds all parts.

        Not from /rosout: that publisher is shared by nodes of one name, and goes with the first.
        """
        self.lines += self._capture.readouterr().err.splitlines()
        return next((line for line in list(self.lines) if all(p in line for p in parts)), None)

    def close(self) -> None:
        """Stop listening; what was logged is shown when the test fails."""
        self._ros.remove(self.node)
        print("\n".join(self.lines), file=sys.stderr)


@pytest.fixture
def listener(ros: RosSession, capfd: pytest.CaptureFixture[str]) -> Iterator[Listener]:
    """A node that listens."""
    made = Listener(ros, capfd)
    yield made
    made.close()


@pytest.fixture
def needs_executables(ros: Any) -> None:
    """Skip where the package is not built."""
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    if not any((Path(p) / "lib/depth_perception/surround_depth").exists() for p in prefixes if p):
        pytest.skip("the package is not built; run 'make setup' and source env.bash")


@pytest.fixture
def start(ros: RosSession, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Start nodes with parameters and remapping rules; they end with the test.

    Without another estimator, with that whose depth is known in closed form and which is made at
    once. The network in the node: test_fused_node, and where nodes are processes of their own.
    """
    from rclpy.parameter import Parameter

    from depth_perception.nodes import surround_depth

    monkeypatch.setattr(surround_depth, "DISCOVERY_PERIOD_S", 0.1)
    started = []

    def make(namespace: str = "", rules: Sequence[str] = (), **parameters: Any) -> Any:
        values = {"estimator": "embodied", "output.image_width": 0, **parameters}
        overrides = [Parameter(name.replace("__", "."), value=v) for name, v in values.items()]
        options: dict[str, Any] = {"namespace": namespace} if namespace else {}
        if rules:
            words = [word for rule in rules for word in ("-r", rule)]
            options["cli_args"] = ["--ros-args", *words]
        node = surround_depth.SurroundDepth(parameter_overrides=overrides, **options)
        started.append(node)
        ros.add(node.node)
        return node

    yield make
    while started:
        node = started.pop()
        ros.call(node.close)
        ros.remove(node.node)
    errors, ros.errors[:] = list(ros.errors), []
    assert not errors, "a callback raised:\n" + "\n".join(errors)
    # A lifecycle node's state machine keeps it in the graph until the collector finds the two.
    node = None
    gc.collect()


@pytest.fixture
def vehicle(ros: RosSession) -> Iterator[Any]:
    """Start the vehicle."""
    from vehicle import Vehicle

    made = Vehicle(ros)
    yield made
    made.close()


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two drives through `tiny_street`, as a data set; its path."""
    from tiny_street import write_street

    return write_street(tmp_path_factory.mktemp("street"))
